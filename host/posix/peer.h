/*
 * A TCP port at which one peer at a time is served; who comes beside it is
 * turned away. It has a loop and a thread of its own.
 *
 * Threads: all functions of ops run on that thread (a lock of the server's is
 * held, nothing of the VM's); open, start and close on the caller's, poll on
 * any.
 */
#ifndef HOST_POSIX_PEER_H
#define HOST_POSIX_PEER_H

#include "host/posix/address.h"

struct peer_ops {
    void (*came)(void *ctx);
    /* Bytes from the peer: how many were taken. The others come again when all
       that out has was sent. */
    size_t (*take)(void *ctx, const uint8_t *p, size_t n);
    void (*poll)(void *ctx);
    /* What to send, or NULL; n bytes of it were sent. */
    const uint8_t *(*out)(void *ctx, size_t *n);
    void (*sent)(void *ctx, size_t n);
    void (*gone)(void *ctx);
};

struct peer_server;

/* Listens: *where says at which port. 0, or -LE_* with a sentence. */
int peer_open(struct address *where, const struct peer_ops *ops, void *ctx,
              struct peer_server **out, struct err *e);
int peer_start(struct peer_server *s, struct err *e);
/* ops->poll is to be called, and what there is then to be sent. */
void peer_poll(struct peer_server *s);
/*
 * last (or NULL) is called as ops are; what there is then is sent as far as the
 * peer takes it. Then the connection ends, without ops->gone. NULL: nothing.
 */
void peer_close(struct peer_server *s, void (*last)(void *ctx));

#endif
