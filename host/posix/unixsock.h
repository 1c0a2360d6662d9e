/*
 * Unix stream sockets in the file system: made with mode 0600, and a path that
 * a dead process left behind is taken over. Any thread.
 */
#ifndef HOST_POSIX_UNIXSOCK_H
#define HOST_POSIX_UNIXSOCK_H

#include "base/err.h"

/*
 * A listening socket at path, not blocking, for the caller to close and its
 * path to unlink. -LE_BUSY: something else is there, or someone listens.
 * Sentences begin with what.
 */
int unix_listen(const char *path, const char *what, int *fd, struct err *e);

/* A connected socket, blocking. -LE_NOENT: nobody listens there. */
int unix_connect(const char *path, const char *what, int *fd, struct err *e);

#endif
