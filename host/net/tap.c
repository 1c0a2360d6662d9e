/*
 * A TAP interface: Linux's Documentation/networking/tuntap. Frames carry
 * virtio-net's header, so checksums and cutting are the host's, and what the
 * host did not need to cut reaches the card whole.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <unistd.h>

#include "host/net/backend.h"
#include "host/posix/loop.h"
#include "host/posix/oserr.h"

enum { TURN = 64 }; /* frames, then others have their turn */

struct tap {
    struct backend b; /* first */
    int fd;
    char ifname[NET_IFNAME];
    struct watch watch;
    struct work resume_work;
    bool card_waits; /* for us to write */
    bool held;       /* the frame in `in` was refused */
    size_t in_bytes;
    uint8_t in[NET_VHDR + NET_FRAME_MAX];
};

static void watch_what_is_due(struct tap *t)
{
    watch_events(&t->watch,
                 (t->held ? 0u : WATCH_IN) | (t->card_waits ? WATCH_OUT : 0u));
}

/* --- guest to host --- */

static bool tap_send(void *endpoint, const struct net_frame *f)
{
    struct tap *t = endpoint;
    struct iovec v[NET_SPANS + 1];
    uint8_t header[NET_VHDR];

    net_vhdr_store(header, &f->off);
    v[0] = (struct iovec){header, sizeof header};
    for (unsigned i = 0; i < f->nsg; i++)
        v[i + 1] = (struct iovec){f->sg[i].p, f->sg[i].n};
    if (writev(t->fd, v, (int)f->nsg + 1) >= 0 || errno != EAGAIN)
        return true; /* another error: an interface that is down, or the like */
    t->card_waits = true;
    watch_what_is_due(t);
    return false;
}

/* --- host to guest --- */

static bool offer(struct tap *t)
{
    struct span data = {t->in + NET_VHDR, t->in_bytes - NET_VHDR};
    struct net_frame f = {.sg = &data, .nsg = 1, .bytes = data.n};
    struct net *n = &t->b.net;

    if (data.n < NET_HEADER || !n->receive)
        return true;
    f.off = net_vhdr_load(t->in);
    return n->receive(n->dev, &f);
}

static void read_frames(struct tap *t)
{
    for (unsigned left = TURN; left && !t->held; left--) {
        ssize_t n = read(t->fd, t->in, sizeof t->in);
        if (n < NET_VHDR)
            break;
        t->in_bytes = (size_t)n;
        t->held = !offer(t);
    }
}

static void on_ready(void *ctx, uint32_t ready)
{
    struct tap *t = ctx;

    if (ready & WATCH_ERROR) { /* the interface is gone */
        host_log(LOG_WARN, "tap:%s: the host removed it; the cable is dead",
                 t->ifname);
        watch_events(&t->watch, 0);
        t->b.net.down = true;
        if (t->b.net.receive)
            t->b.net.link_changed(t->b.net.dev);
        return;
    }
    if ((ready & WATCH_OUT) && t->card_waits) {
        t->card_waits = false;
        if (t->b.net.receive)
            t->b.net.writable(t->b.net.dev);
    }
    if (ready & WATCH_IN)
        read_frames(t);
    watch_what_is_due(t);
}

static void go_on(void *ctx)
{
    struct tap *t = ctx;

    t->held = t->held && !offer(t);
    watch_what_is_due(t);
}

static void tap_resume(void *endpoint)
{
    struct tap *t = endpoint;

    loop_post(t->b.env.loop, &t->resume_work);
}

static void tap_accept(void *endpoint, unsigned offloads)
{
    struct tap *t = endpoint;
    unsigned long flags = 0;

    if (offloads & NET_OFF_CSUM)
        flags |= TUN_F_CSUM;
    if (offloads & NET_OFF_TSO4)
        flags |= TUN_F_TSO4;
    if (offloads & NET_OFF_TSO6)
        flags |= TUN_F_TSO6;
    if ((offloads & NET_OFF_ECN) && (flags & (TUN_F_TSO4 | TUN_F_TSO6)))
        flags |= TUN_F_TSO_ECN;
    if (ioctl(t->fd, TUNSETOFFLOAD, flags) && flags)
        ioctl(t->fd, TUNSETOFFLOAD, 0ul); /* then the host does it all */
    t->held = false; /* it may be what the card no longer knows */
    watch_what_is_due(t);
}

/* --- life --- */

static int open_tun(struct tap *t, struct err *e)
{
    t->fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (t->fd >= 0)
        return 0;
    return err_set(e, le_of_errno(errno),
                   "tap:%s: /dev/net/tun cannot be opened: %s; load the "
                   "host's tun module, or be given access to it",
                   t->ifname, strerror(errno));
}

static int attach(struct tap *t, struct err *e)
{
    struct ifreq r = {.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR};
    int header = NET_VHDR, little = 1;

    memcpy(r.ifr_name, t->ifname, sizeof r.ifr_name);
    if (ioctl(t->fd, TUNSETIFF, &r))
        return err_set(
            e, le_of_errno(errno),
            "tap:%s: %s; 'ip tuntap add %s mode tap user NAME' makes one for "
            "a user, and one VM can have it at a time",
            t->ifname, strerror(errno), t->ifname);
    if (ioctl(t->fd, TUNSETVNETHDRSZ, &header) ||
        ioctl(t->fd, TUNSETVNETLE, &little))
        return err_set(e, LE_UNSUPPORTED,
                       "tap:%s: the host's kernel is too old: %s", t->ifname,
                       strerror(errno));
    if (watch_start(&t->watch, t->b.env.loop, t->fd, WATCH_IN, on_ready, t))
        return err_set(e, LE_IO, "tap:%s: it cannot be watched", t->ifname);
    return 0;
}

static void tap_close(struct backend *b)
{
    struct tap *t = container_of(b, struct tap, b);

    host_mutex_lock(b->env.lock);
    watch_stop(&t->watch);
    work_cancel(b->env.loop, &t->resume_work);
    host_mutex_unlock(b->env.lock);
    if (t->fd >= 0)
        close(t->fd);
    host_free(t);
}

struct backend *tap_backend(const struct net_options *o,
                            const struct net_env *env, struct err *e)
{
    struct tap *t = host_alloc(sizeof *t);
    int rc;

    if (!t) {
        err_set(e, LE_NOMEM, "the host has no memory left for a network");
        return NULL;
    }
    t->b = (struct backend){
        .net = {.send = tap_send,
                .resume = tap_resume,
                .accept = tap_accept,
                .endpoint = t,
                .offloads =
                    NET_OFF_CSUM | NET_OFF_TSO4 | NET_OFF_TSO6 | NET_OFF_ECN},
        .env = *env,
        .close = tap_close,
    };
    memcpy(t->ifname, o->ifname, sizeof t->ifname);
    work_init(&t->resume_work, go_on, t);
    rc = open_tun(t, e);
    host_mutex_lock(env->lock);
    if (rc == 0)
        rc = attach(t, e);
    host_mutex_unlock(env->lock);
    if (rc < 0) {
        tap_close(&t->b);
        return NULL;
    }
    return &t->b;
}
