/*
 * Armed timers by deadline: a pairing heap through the timers themselves, so
 * that arming never allocates. Insert O(1), remove O(log n) amortised. The
 * caller locks.
 */
#ifndef HOST_POSIX_TIMERS_H
#define HOST_POSIX_TIMERS_H

#include "lodge/host.h"

/* *root is the earliest timer, or NULL. t is not in the heap. */
void timers_insert(struct timer **root, struct timer *t);
/* t is in the heap. */
void timers_remove(struct timer **root, struct timer *t);

#endif
