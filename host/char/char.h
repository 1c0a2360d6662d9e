/*
 * Endpoints of serial lines on the host (lodge/chardev.h), by the words of
 * --serial:
 *   stdio       this process's standard input and output; on a terminal raw,
 *               with keys after Ctrl-A (see stdio.c)
 *   file:PATH   output into a file, which is emptied first
 *   unix:PATH   a listening socket; one client at a time, any number in turn.
 *               What nobody was there to read is kept for the next one, up to
 *               the last few KB
 *   console     the same without a path: clients come by char_join()
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
/*
 * A client for a line of unix or console: a stream socket, which is the line's
 * from now on, also after an error. -LE_BUSY: it has a client; -LE_STATE: it is
 * of another kind. Any thread, the lock free.
 */
int char_join(struct chardev *c, int fd, struct err *e);
/* Writes out what it still has, for at most a second. NULL: nothing. */
void char_close(struct chardev *c);

#endif
