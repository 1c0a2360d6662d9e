/*
 * Signals that ask the process to end (SIGHUP, SIGINT, SIGQUIT, SIGTERM), as
 * events of a loop. They are blocked from then on, so do this on the first
 * thread before others start.
 */
#ifndef HOST_POSIX_SIGNALS_H
#define HOST_POSIX_SIGNALS_H

#include "lodge/host.h"

struct signals;

/* fn runs on the loop, its lock held. NULL: the host has no memory or
   descriptors left. */
struct signals *signals_watch(struct loop *l, struct host_mutex *lock,
                              void (*fn)(void *ctx, int signal), void *ctx);
/* Back to how it was; lock free. NULL: nothing. */
void signals_unwatch(struct signals *s);

#endif
