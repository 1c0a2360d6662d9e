/*
 * The asynchronous block contract between disk controllers and images.
 *
 * submit() may be called with or without the machine lock, never waits for
 * the disk, and takes ownership of r until done(). done() runs exactly once
 * per request, on the VM's I/O thread with the machine lock held, never from
 * inside submit(). error is 0 or -LE_*. Requests in flight are unordered
 * against each other; BLK_FLUSH makes everything that was done before its
 * submission durable. Offsets and lengths are bytes, multiples of
 * blk->sector_size; a range beyond blk->size fails with -LE_RANGE.
 */
#ifndef LODGE_BLOCK_H
#define LODGE_BLOCK_H

#include "base/list.h"
#include "lodge/space.h"

enum blk_op { BLK_READ, BLK_WRITE, BLK_FLUSH, BLK_DISCARD, BLK_ZERO };

struct host_file;

struct blk_req {
    enum blk_op op;
    uint64_t off;
    uint64_t len;    /* bytes; for reads and writes the sum of sg */
    struct span *sg; /* borrowed until done */
    unsigned nsg;
    void (*done)(struct blk_req *r, int error);
    void *ctx; /* the submitter's */
    /* While in flight: the image driver's, and those of the host file below. */
    void *priv[4];
    struct {
        struct list link;
        struct host_file *file;
        uint64_t progress; /* bytes moved so far */
        int error;
    } host;
};

struct blk {
    const struct blk_ops *ops;
    uint64_t size;        /* bytes */
    uint32_t sector_size; /* 512 or 4096: smallest unit of a request */
    bool readonly;
    bool can_discard, can_zero;
    char id[21]; /* serial number as shown to guests, NUL-terminated */
};

struct blk_ops {
    void (*submit)(struct blk *b, struct blk_req *r);
    /* Waits for requests in flight, flushes, frees b. Not under the lock. */
    void (*close)(struct blk *b);
};

static inline void blk_submit(struct blk *b, struct blk_req *r)
{
    b->ops->submit(b, r);
}

#endif
