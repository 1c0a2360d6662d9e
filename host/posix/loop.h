/*
 * The I/O loop's side for host/: file descriptors. Also how tests drive a loop
 * without its thread.
 */
#ifndef HOST_POSIX_LOOP_H
#define HOST_POSIX_LOOP_H

#include "lodge/host.h"

/* As EPOLLIN and so on. Errors and hanging up are reported unasked. */
enum {
    WATCH_IN = 0x01,
    WATCH_PRI = 0x02,
    WATCH_OUT = 0x04,
    WATCH_ERROR = 0x08,
    WATCH_HANGUP = 0x10,
};

/*
 * Calls fn(ctx) on the loop's thread, the lock held, while fd is ready for one
 * of events, or is in error or hung up. Files that are always ready (regular
 * files, /dev/null) are called once a round.
 */
struct watch {
    void (*fn)(void *ctx, uint32_t ready);
    void *ctx;
    struct loop *loop; /* NULL: not watching */
    int fd;            /* borrowed */
    uint32_t events;   /* 0: asleep, errors included */
    bool always;
    struct list link;
};

/* 0, or -LE_IO when the host does not let fd be watched. These three with the
   lock held or the loop not running. */
int watch_start(struct watch *w, struct loop *l, int fd, uint32_t events,
                void (*fn)(void *ctx, uint32_t ready), void *ctx);
void watch_events(struct watch *w, uint32_t events);
/* fn will not be called again. Before fd is closed. Safe on a watch that was
   never started. */
void watch_stop(struct watch *w);

/*
 * For tests: on a loop that was never started, runs what is due at
 * host_now() (see host_clock_freeze) and what is posted or ready, until
 * nothing is; on the calling thread. wait: sleep for the first one if need be.
 */
void loop_run_due(struct loop *l, bool wait);

/* Returns when no callback is running; with the lock free. */
void loop_barrier(struct loop *l);

/* Was the loop started? */
bool loop_has_thread(struct loop *l);

#endif
