/* The kinds of back ends; for net.c. */
#ifndef HOST_NET_BACKEND_H
#define HOST_NET_BACKEND_H

#include "host/net/net.h"

struct backend {
    struct net net; /* first */
    struct net_env env;
    void (*close)(struct backend *b);
};

/* Each returns NULL with e on an error; with the lock free. */
struct backend *slirp_backend(const struct net_options *o,
                              const struct net_env *env, struct err *e);
struct backend *tap_backend(const struct net_options *o,
                            const struct net_env *env, struct err *e);

#endif
