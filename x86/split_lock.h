/*
 * Read-modify-write under LOCK of up to eight bytes over the end of a cache
 * line or page, in RAM. Hosts make that atomic slowly, or not at all ("split
 * lock"), so it is done in two steps, low part first, each of which checks
 * that nobody else's LOCK came between. Between the two others can see the new
 * low part beside the old high part; nothing they store gets lost.
 *
 * With mem_rmw_begin()'s lock held: of two such accesses one waits.
 */
#ifndef X86_SPLIT_LOCK_H
#define X86_SPLIT_LOCK_H

#include "lodge/types.h"

struct cpu;

struct split_lock {
    uint64_t *word[2]; /* aligned, in host memory: the end of one line, the
                          beginning of the next; NULL: not RAM */
    uint64_t was[2];   /* little-endian values */
    uint64_t made;     /* of word 0, once it is stored */
    uint8_t low;       /* bytes in word 0 */
    uint8_t high;
    bool stored;
};

/* False: a device or ROM is part of it. May fault like a write. */
bool split_begin(struct cpu *c, struct split_lock *s, gva_t a, unsigned n);
uint64_t split_read(struct split_lock *s);
/*
 * False: begin again with a read. What f(old) makes of the low part must not
 * depend on the high part, or it is undone (as CMPXCHG's).
 */
bool split_commit(struct split_lock *s, uint64_t v);

#endif
