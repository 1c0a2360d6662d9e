/*
 * The user network: libslirp answers the guest's ARP, DHCP, DNS and TCP, and
 * opens sockets of this process for it. It wants to be asked before and after
 * each sleep which descriptors to watch and which are ready; we keep a watch
 * for each and take a turn, once a round of the loop, when anything happened.
 *
 * Frames of 64 KB from the guest go in as they are, so it need not cut them.
 * What comes out goes through a queue (queue.h); while that is crowded, no
 * socket is read.
 */
#include "host/net/backend.h"

#ifndef HAVE_SLIRP

struct backend *slirp_backend(const struct net_options *o,
                              const struct net_env *env, struct err *e)
{
    (void)o;
    (void)env;
    err_set(e, LE_UNSUPPORTED,
            "user: this build of Lodge lacks libslirp; install libslirp-dev "
            "and build it again, or use tap:IF");
    return NULL;
}

#else

#include <arpa/inet.h>
#include <errno.h>
#include <slirp/libslirp.h>
#include <stdlib.h>
#include <string.h>

#include "base/inet.h"
#include "host/net/queue.h"
#include "host/posix/library.h"
#include "host/posix/loop.h"

struct library {
    LIBRARY_MEMBER(slirp_new)
    LIBRARY_MEMBER(slirp_cleanup)
    LIBRARY_MEMBER(slirp_input)
    LIBRARY_MEMBER(slirp_pollfds_fill)
    LIBRARY_MEMBER(slirp_pollfds_poll)
    LIBRARY_MEMBER(slirp_add_hostfwd)
};

static const struct library_row library[] = {
    LIBRARY_ROW(library, slirp_new),
    LIBRARY_ROW(library, slirp_cleanup),
    LIBRARY_ROW(library, slirp_input),
    LIBRARY_ROW(library, slirp_pollfds_fill),
    LIBRARY_ROW(library, slirp_pollfds_poll),
    LIBRARY_ROW(library, slirp_add_hostfwd),
    {0},
};

struct socket {
    struct watch watch;
    struct user *user;
    int fd;
    uint32_t wanted, ready; /* WATCH_… */
    bool seen;              /* in this turn's list */
};

struct user {
    struct backend b; /* first */
    Slirp *slirp;
    struct library lib;
    struct queue queue;
    bool card_waits; /* for us to go on: it refused a frame */
    struct work turn_work;
    struct timer wake;
    struct socket **socket; /* by descriptor */
    int nsockets;
    struct ratelimit log;
    uint8_t out[NET_FRAME_MAX];
};

static void take_turn(struct user *u)
{
    loop_post(u->b.env.loop, &u->turn_work);
}

/* --- descriptors --- */

static struct socket *socket_at(struct user *u, int fd)
{
    return fd >= 0 && fd < u->nsockets ? u->socket[fd] : NULL;
}

static bool grow(struct user *u, int fd)
{
    int n = u->nsockets ? u->nsockets : 64;
    struct socket **more;

    while (n <= fd)
        n *= 2;
    more = realloc(u->socket, (size_t)n * sizeof *more);
    if (!more)
        return false;
    memset(more + u->nsockets, 0, (size_t)(n - u->nsockets) * sizeof *more);
    u->socket = more;
    u->nsockets = n;
    return true;
}

static struct socket *socket_new(struct user *u, int fd)
{
    struct socket *s;

    if (fd < 0 || (fd >= u->nsockets && !grow(u, fd)))
        return NULL;
    s = calloc(1, sizeof *s);
    if (!s)
        return NULL;
    s->user = u;
    s->fd = fd;
    u->socket[fd] = s;
    return s;
}

/* Before fd is closed, or when another one got its number. */
static void socket_forget(struct user *u, int fd)
{
    struct socket *s = socket_at(u, fd);

    if (!s)
        return;
    watch_stop(&s->watch);
    u->socket[fd] = NULL;
    free(s);
}

static void on_ready(void *ctx, uint32_t ready)
{
    struct socket *s = ctx;

    s->ready |= ready;
    take_turn(s->user);
}

static void socket_watch(struct socket *s, uint32_t events)
{
    struct loop *l = s->user->b.env.loop;

    if (s->watch.loop)
        watch_events(&s->watch, events);
    else if (events)
        watch_start(&s->watch, l, s->fd, events, on_ready, s);
}

static const struct {
    int slirp;
    uint32_t watch;
} event_names[] = {
    {SLIRP_POLL_IN, WATCH_IN},      {SLIRP_POLL_OUT, WATCH_OUT},
    {SLIRP_POLL_PRI, WATCH_PRI},    {SLIRP_POLL_ERR, WATCH_ERROR},
    {SLIRP_POLL_HUP, WATCH_HANGUP},
};

/* --- turns --- */

static int add_poll(int fd, int events, void *ctx)
{
    struct user *u = ctx;
    struct socket *s = socket_at(u, fd);

    if (!s)
        s = socket_new(u, fd);
    if (!s)
        return -1;
    s->seen = true;
    s->wanted = 0;
    for (unsigned i = 0; i < ARRAY_LEN(event_names); i++)
        if (events & event_names[i].slirp)
            s->wanted |= event_names[i].watch;
    return fd;
}

static int get_ready(int index, void *ctx)
{
    struct socket *s = socket_at(ctx, index);
    int events = 0;

    for (unsigned i = 0; s && i < ARRAY_LEN(event_names); i++)
        if (s->ready & event_names[i].watch)
            events |= event_names[i].slirp;
    return events;
}

/* Nothing is read for a card that does not keep up. */
static bool holds_back(const struct user *u)
{
    return u->card_waits && queue_is_crowded(&u->queue);
}

/* What to wait for. */
static void watch_all(struct user *u)
{
    uint32_t ms = UINT32_MAX;
    bool hold = holds_back(u);

    u->lib.slirp_pollfds_fill(u->slirp, &ms, add_poll, u);
    for (int fd = 0; fd < u->nsockets; fd++) {
        struct socket *s = u->socket[fd];
        if (!s)
            continue;
        socket_watch(s, s->seen && !hold ? s->wanted : 0);
        s->seen = false;
        s->ready = 0;
    }
    timer_arm(&u->wake,
              ms == UINT32_MAX ? UINT64_MAX : host_now() + ms * 1000000ull);
}

static void deliver(struct user *u)
{
    u->card_waits = !queue_deliver(&u->queue, &u->b.net);
}

static void turn(void *ctx)
{
    struct user *u = ctx;

    u->lib.slirp_pollfds_poll(u->slirp, 0, get_ready, u);
    deliver(u);
    watch_all(u);
}

/* --- the card's side --- */

static bool user_send(void *endpoint, const struct net_frame *f)
{
    struct user *u = endpoint;
    const struct net_offload *o = &f->off;

    spans_read(f->sg, f->nsg, 0, u->out, f->bytes);
    if (o->flags & NET_CSUM_PARTIAL)
        inet_complete(u->out, f->bytes, o->csum_start, o->csum_offset);
    u->lib.slirp_input(u->slirp, u->out, (int)f->bytes);
    take_turn(u);
    return true;
}

static void user_resume(void *endpoint)
{
    take_turn(endpoint);
}

static void user_accept(void *endpoint, unsigned offloads)
{
    queue_accept(&((struct user *)endpoint)->queue, offloads);
}

/* --- libslirp's side --- */

static ssize_t on_packet(const void *p, size_t n, void *ctx)
{
    struct user *u = ctx;

    queue_put(&u->queue, p, n); /* lost when full: TCP sends it again */
    return (ssize_t)n;
}

static void on_guest_error(const char *text, void *ctx)
{
    log_guest(&((struct user *)ctx)->log, "user network: %s", text);
}

static int64_t on_clock(void *ctx)
{
    (void)ctx;
    return (int64_t)host_now();
}

static void *on_timer_new(SlirpTimerCb fn, void *arg, void *ctx)
{
    struct user *u = ctx;
    struct timer *t = calloc(1, sizeof *t);

    if (t)
        timer_init(t, u->b.env.loop, fn, arg);
    return t;
}

static void on_timer_free(void *timer, void *ctx)
{
    (void)ctx;
    if (timer)
        timer_cancel(timer);
    free(timer);
}

static void on_timer_mod(void *timer, int64_t ms, void *ctx)
{
    (void)ctx;
    if (timer)
        timer_arm(timer, (uint64_t)ms * 1000000);
}

static void on_register(int fd, void *ctx)
{
    socket_forget(ctx, fd);
}

static void on_unregister(int fd, void *ctx)
{
    socket_forget(ctx, fd);
}

static void on_notify(void *ctx)
{
    take_turn(ctx);
}

static const SlirpCb callbacks = {
    .send_packet = on_packet,
    .guest_error = on_guest_error,
    .clock_get_ns = on_clock,
    .timer_new = on_timer_new,
    .timer_free = on_timer_free,
    .timer_mod = on_timer_mod,
    .register_poll_fd = on_register,
    .unregister_poll_fd = on_unregister,
    .notify = on_notify,
};

/* --- life --- */

static struct in_addr ip4(uint32_t address)
{
    return (struct in_addr){htonl(address)};
}

/* As most user networks have it, so that guests find what they expect. */
static SlirpConfig user_config(const struct net_options *o)
{
    SlirpConfig c = {
        .version = 1,
        .restricted = o->restricted,
        .in_enabled = true,
        .vnetwork = ip4(0x0a000200),
        .vnetmask = ip4(0xffffff00),
        .vhost = ip4(0x0a000202),
        .vdhcp_start = ip4(0x0a00020f),
        .vnameserver = ip4(0x0a000203),
        .in6_enabled = true,
        .vprefix_len = 64,
        .vhostname = "lodge",
    };

    inet_pton(AF_INET6, "fec0::", &c.vprefix_addr6);
    inet_pton(AF_INET6, "fec0::2", &c.vhost6);
    inet_pton(AF_INET6, "fec0::3", &c.vnameserver6);
    return c;
}

static int add_forward(struct user *u, const struct net_forward *f,
                       struct err *e)
{
    const uint8_t *a = f->address;
    struct in_addr host, any = {0};

    memcpy(&host, a, sizeof host);
    errno = 0;
    if (u->lib.slirp_add_hostfwd(u->slirp, f->udp, host, f->host, any,
                                 f->guest) == 0)
        return 0;
    return err_set(e, errno == EADDRINUSE ? LE_BUSY : LE_ACCESS,
                   "user: fwd=%s:%u.%u.%u.%u:%u: the host does not give that "
                   "port: %s; take another",
                   f->udp ? "udp" : "tcp", a[0], a[1], a[2], a[3], f->host,
                   strerror(errno));
}

static int start(struct user *u, const struct net_options *o, struct err *e)
{
    SlirpConfig c = user_config(o);
    int rc = library_load("libslirp.so.0", "libslirp0", library, &u->lib, e);

    if (rc < 0)
        return err_prefix(e, "user");
    u->slirp = u->lib.slirp_new(&c, &callbacks, u);
    if (!u->slirp)
        return err_set(e, LE_NOMEM, "user: libslirp does not start");
    for (unsigned i = 0; i < o->nforwards; i++) {
        rc = add_forward(u, &o->forward[i], e);
        if (rc < 0)
            return rc;
    }
    take_turn(u);
    return 0;
}

static void user_close(struct backend *b)
{
    struct user *u = container_of(b, struct user, b);

    host_mutex_lock(b->env.lock);
    if (u->slirp)
        u->lib.slirp_cleanup(u->slirp);
    timer_cancel(&u->wake);
    work_cancel(b->env.loop, &u->turn_work);
    for (int fd = 0; fd < u->nsockets; fd++)
        socket_forget(u, fd);
    host_mutex_unlock(b->env.lock);
    free(u->socket);
    queue_exit(&u->queue);
    host_free(u);
}

struct backend *slirp_backend(const struct net_options *o,
                              const struct net_env *env, struct err *e)
{
    struct user *u = host_alloc(sizeof *u);
    int rc;

    if (!u) {
        err_set(e, LE_NOMEM, "the host has no memory left for a network");
        return NULL;
    }
    u->b = (struct backend){
        .net = {.send = user_send,
                .resume = user_resume,
                .accept = user_accept,
                .endpoint = u,
                .offloads = NET_OFF_CSUM | NET_OFF_TSO4 | NET_OFF_ECN},
        .env = *env,
        .close = user_close,
    };
    work_init(&u->turn_work, turn, u);
    timer_init(&u->wake, env->loop, turn, u);
    host_mutex_lock(env->lock);
    rc = queue_init(&u->queue, e);
    if (rc == 0)
        rc = start(u, o, e);
    host_mutex_unlock(env->lock);
    if (rc < 0) {
        user_close(&u->b);
        return NULL;
    }
    return &u->b;
}

#endif
