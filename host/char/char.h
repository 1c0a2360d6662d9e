/*
 * Endpoints of serial lines on the host (lodge/chardev.h), by the words of
 * --serial:
 *   stdio       this process's standard input and output; on a terminal raw,
 *               with keys after Ctrl-A (see stdio.c)
 *   file:PATH   output into a file, which is emptied first
 *   unix:PATH   a listening socket; one client at a time, any number in turn.
 *               What nobody was there to read is kept for the next one, up to
 *               the last few KB
 *   none        output vanishes, no input
 *
 * Threads: open and close on the controlling thread with the lock free, close
 * before the loop goes; between them everything is the loop's and devices'.
 */
#ifndef HOST_CHAR_CHAR_H
#define HOST_CHAR_CHAR_H

#include "base/err.h"
#include "lodge/chardev.h"
#include "lodge/host.h"

struct char_env {
    struct loop *loop;
    struct host_mutex *lock;
    void (*quit)(void *ctx); /* Ctrl-A x; on the loop, lock held */
    void *ctx;
};

/* NULL with e on an error. */
struct chardev *char_open(const char *spec, const struct char_env *env,
                          struct err *e);
/* Writes out what it still has, for at most a second. NULL: nothing. */
void char_close(struct chardev *c);

#endif
