#include "host/posix/peer.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <unistd.h>

#include "host/posix/loop.h"
#include "host/posix/oserr.h"

enum { IN = 4096 };

struct peer_server {
    const struct peer_ops *ops;
    void *ctx;
    struct host_mutex lock;
    struct loop *loop;
    struct watch incoming, watch;
    struct work polling;
    int listener, fd; /* fd: the peer, or -1 */
    uint8_t in[IN];
    size_t in_n;
};

static void hang_up(struct peer_server *s)
{
    watch_stop(&s->watch);
    close(s->fd);
    s->fd = -1;
    s->in_n = 0;
}

static void lose(struct peer_server *s)
{
    hang_up(s);
    s->ops->gone(s->ctx);
}

/* Sends what there is, as far as the peer takes it. False: it has gone. */
static bool flush(struct peer_server *s)
{
    const uint8_t *p;
    size_t n;

    while ((p = s->ops->out(s->ctx, &n)) != NULL) {
        ssize_t sent = send(s->fd, p, n, MSG_DONTWAIT | MSG_NOSIGNAL);

        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0)
            return errno == EAGAIN;
        s->ops->sent(s->ctx, (size_t)sent);
    }
    return true;
}

/* True: some of what came before was taken. */
static bool digest(struct peer_server *s)
{
    size_t n = s->ops->take(s->ctx, s->in, s->in_n);

    s->in_n -= n;
    memmove(s->in, s->in + n, s->in_n);
    return n;
}

/* Does what can be done now, and says what to wait for. */
static void go_on(struct peer_server *s)
{
    size_t n;

    do {
        if (!flush(s)) {
            lose(s);
            return;
        }
    } while (!s->ops->out(s->ctx, &n) && digest(s));
    watch_events(&s->watch, (s->ops->out(s->ctx, &n) ? WATCH_OUT : 0) |
                                (s->in_n < sizeof s->in ? WATCH_IN : 0));
}

static void on_peer(void *ctx, uint32_t ready)
{
    struct peer_server *s = ctx;
    ssize_t n;

    (void)ready;
    if (s->in_n < sizeof s->in) {
        n = recv(s->fd, s->in + s->in_n, sizeof s->in - s->in_n, MSG_DONTWAIT);
        if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
            lose(s);
            return;
        }
        s->in_n += n > 0 ? (size_t)n : 0;
    }
    go_on(s);
}

static void on_incoming(void *ctx, uint32_t ready)
{
    struct peer_server *s = ctx;
    int fd = accept4(s->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    int one = 1;

    (void)ready;
    if (fd < 0)
        return;
    if (s->fd >= 0 ||
        watch_start(&s->watch, s->loop, fd, WATCH_IN, on_peer, s)) {
        close(fd);
        return;
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    /* One whose machine is lost does not keep the others out for ever. */
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof one);
    s->fd = fd;
    s->ops->came(s->ctx);
    go_on(s);
}

static void on_poll(void *ctx)
{
    struct peer_server *s = ctx;

    s->ops->poll(s->ctx);
    if (s->fd >= 0)
        go_on(s);
}

void peer_poll(struct peer_server *s)
{
    loop_post(s->loop, &s->polling);
}

int peer_open(struct address *where, const struct peer_ops *ops, void *ctx,
              struct peer_server **out, struct err *e)
{
    struct peer_server *s = host_alloc(sizeof *s);
    int error;

    if (!s)
        return err_set(e, LE_NOMEM, "the host has no memory left");
    s->ops = ops;
    s->ctx = ctx;
    s->listener = s->fd = -1;
    host_mutex_init(&s->lock);
    s->loop = loop_create(&s->lock);
    if (!s->loop) {
        peer_close(s, NULL);
        return err_set(e, LE_NOMEM, "the host has no memory left");
    }
    work_init(&s->polling, on_poll, s);
    error = address_listen(where, &s->listener);
    if (error) {
        peer_close(s, NULL);
        return err_set(e, le_of_errno(error),
                       "port %u of that address cannot be had: %s; choose "
                       "another, or 0 for any that is free",
                       address_port(where), strerror(error));
    }
    *out = s;
    return 0;
}

int peer_start(struct peer_server *s, struct err *e)
{
    int rc;

    host_mutex_lock(&s->lock);
    rc = watch_start(&s->incoming, s->loop, s->listener, WATCH_IN, on_incoming,
                     s);
    host_mutex_unlock(&s->lock);
    if (rc || loop_start(s->loop))
        return err_set(e, LE_NOMEM, "the host does not let Lodge serve a port");
    return 0;
}

void peer_close(struct peer_server *s, void (*last)(void *ctx))
{
    if (!s)
        return;
    host_mutex_lock(&s->lock);
    if (last)
        last(s->ctx);
    if (s->fd >= 0) {
        flush(s);
        hang_up(s);
    }
    watch_stop(&s->incoming);
    host_mutex_unlock(&s->lock);
    if (s->listener >= 0)
        close(s->listener);
    if (s->loop)
        loop_destroy(s->loop);
    host_mutex_destroy(&s->lock);
    host_free(s);
}
