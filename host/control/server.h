/* The server without a socket of its own, for tests. Lock held. */
#ifndef HOST_CONTROL_SERVER_H
#define HOST_CONTROL_SERVER_H

#include "host/control/control.h"
#include "lodge/host.h"

/* Runs on a loop whose callbacks hold lock; NULL: no memory. Without a name it
   listens nowhere. */
struct control_server *control_server_create(const char *name,
                                             const struct control_command *t,
                                             void *ctx, struct loop *loop,
                                             struct host_mutex *lock);
/* Serves a connected, non-blocking socket, which is the server's from now on;
   greets. -LE_BUSY: there are too many clients. */
int control_server_adopt(struct control_server *s, int fd);
void control_server_destroy(struct control_server *s);

#endif
