/*
 * A file or block device of the host, as image drivers use it: asynchronous,
 * addressed in bytes. Requests are those of lodge/block.h and keep its
 * promises (done() once, on the loop, lock held, never from inside submit),
 * but at any offset and length. Reads past the end give zeros, writes there
 * make a file grow.
 *
 * A file that is written is locked against other users, one that is only read
 * against writers; so two VMs cannot damage an image, nor read one half
 * changed. Under `temporary` the file is only read: what is written goes to a
 * sparse file without a name in $TMPDIR or /var/tmp, and is gone at the close.
 *
 * Threads: open, close, file_read and file_write on the controlling thread
 * without the lock; submit from any thread.
 */
#ifndef LODGE_FILE_H
#define LODGE_FILE_H

#include "lodge/block.h"
#include "lodge/host.h"

struct file_options {
    bool readonly, temporary;
};

/* 0, or -LE_* with e; nothing of the file is touched then. */
int file_open(const char *path, const struct file_options *o,
              struct loop *loop, struct host_file **out, struct err *e);
/* Waits for requests in flight. Flushing is the caller's. NULL: nothing. */
void file_close(struct host_file *f);

uint64_t file_size(const struct host_file *f); /* when it was opened */

void file_submit(struct host_file *f, struct blk_req *r);
/* Completes r, which was not submitted, with error; by way of the loop. */
void file_finish(struct host_file *f, struct blk_req *r, int error);

/* For headers, at open time: waits. 0 or -LE_*. */
int file_read(struct host_file *f, uint64_t off, void *buf, size_t n);
int file_write(struct host_file *f, uint64_t off, const void *buf, size_t n);

#endif
