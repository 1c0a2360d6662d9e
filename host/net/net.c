#include "host/net/backend.h"

#include <signal.h>

static bool none_send(void *endpoint, const struct net_frame *f)
{
    (void)endpoint;
    (void)f;
    return true;
}

static void none_resume(void *endpoint)
{
    (void)endpoint;
}

static void none_close(struct backend *b)
{
    host_free(b);
}

/* A card whose cable is not plugged in. */
static struct backend *none_backend(const struct net_options *o,
                                    const struct net_env *env, struct err *e)
{
    struct backend *b = host_alloc(sizeof *b);

    (void)o;
    if (!b) {
        err_set(e, LE_NOMEM, "the host has no memory left for a network");
        return NULL;
    }
    *b = (struct backend){.net = {.send = none_send,
                                  .resume = none_resume,
                                  .endpoint = b,
                                  .down = true},
                          .env = *env,
                          .close = none_close};
    return b;
}

struct net *net_open(const struct net_options *o, const struct net_env *env,
                     struct err *e)
{
    static struct backend *(*const kinds[])(
        const struct net_options *, const struct net_env *, struct err *) = {
        [NET_NONE] = none_backend,
        [NET_USER] = slirp_backend,
        [NET_TAP] = tap_backend,
    };
    struct backend *b;

    signal(SIGPIPE, SIG_IGN); /* a peer that goes is an error of write */
    b = kinds[o->kind](o, env, e);
    return b ? &b->net : NULL;
}

void net_close(struct net *n)
{
    struct backend *b;

    if (!n)
        return;
    b = container_of(n, struct backend, net);
    b->close(b);
}
