/*
 * How a loop's files do their reading and writing without making anyone wait:
 * io_uring where the host has it, and a pool of threads for the rest (what
 * io_uring did only in part, fallocate, temporary files).
 */
#ifndef HOST_POSIX_AIO_H
#define HOST_POSIX_AIO_H

#include "lodge/block.h"
#include "lodge/host.h"

struct aio;

/* On the controlling thread. NULL: no memory, threads or descriptors left. */
struct aio *aio_create(struct loop *l, bool try_uring);
/* With nothing in flight and the loop's thread gone. NULL: nothing. */
void aio_destroy(struct aio *a);
bool aio_has_uring(const struct aio *a);

/*
 * Any thread. r->host.file is set; r ends in file_done() on the loop with the
 * lock held, after file_work() on some thread did what io_uring does not.
 */
void aio_submit(struct aio *a, struct blk_req *r, int fd, bool in_ring);
/* r is over with r->host.error; on to the loop. */
void aio_finish(struct aio *a, struct blk_req *r);

/* --- hostfile.c's, for aio.c --- */
/* Does what is left of r from r->host.progress on; waits. 0 or -LE_*. */
int file_work(struct blk_req *r);
void file_done(struct blk_req *r);

/* --- loop.c's --- */
/* The loop's, made at the first call; destroyed with the loop. */
struct aio *loop_aio(struct loop *l);
/* For tests: use this one instead; before the first loop_aio. */
void loop_set_aio(struct loop *l, struct aio *a);

#endif
