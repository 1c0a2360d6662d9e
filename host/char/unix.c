/* A listening socket in the file system; clients come one after the other. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "host/char/endpoints.h"
#include "host/posix/oserr.h"

struct listener {
    struct stream s; /* first */
    int fd;
    struct watch incoming;
    struct sockaddr_un address;
    bool bound;
};

/* Others wait in the queue until this client has gone. */
static void on_client(void *ctx, uint32_t ready)
{
    struct listener *l = ctx;
    int in, out;

    (void)ready;
    in = accept4(l->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (in < 0)
        return;
    out = fcntl(in, F_DUPFD_CLOEXEC, 3); /* a watch for each direction */
    if (out < 0) {
        close(in);
        return;
    }
    if (!stream_connect(&l->s, in, out))
        watch_events(&l->incoming, 0);
}

static void on_hung_up(struct stream *s)
{
    struct listener *l = container_of(s, struct listener, s);

    stream_disconnect(s);
    watch_events(&l->incoming, WATCH_IN);
    if (s->device_waits) { /* output is only remembered now: no need to wait */
        s->device_waits = false;
        if (s->chr.writable)
            s->chr.writable(s->chr.dev);
    }
}

static void unix_close(struct stream *s)
{
    struct listener *l = container_of(s, struct listener, s);

    stream_finish(s);
    host_mutex_lock(s->env.lock);
    watch_stop(&l->incoming);
    host_mutex_unlock(s->env.lock);
    if (l->fd >= 0)
        close(l->fd);
    if (l->bound)
        unlink(l->address.sun_path);
    host_free(l);
}

static const struct stream_ops unix_ops = {
    .hung_up = on_hung_up,
    .close = unix_close,
};

/* Is there a socket in the way that nobody listens on any more? */
static bool is_stale(const struct sockaddr_un *a)
{
    struct stat st;
    int fd, rc;

    if (lstat(a->sun_path, &st) || !S_ISSOCK(st.st_mode))
        return false;
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return false;
    rc = connect(fd, (const struct sockaddr *)a, sizeof *a);
    rc = rc && errno == ECONNREFUSED;
    close(fd);
    return rc;
}

static int bind_path(struct listener *l)
{
    const struct sockaddr *a = (const struct sockaddr *)&l->address;

    if (bind(l->fd, a, sizeof l->address) == 0)
        return 0;
    if (errno != EADDRINUSE)
        return -1;
    if (!is_stale(&l->address)) {
        errno = EADDRINUSE;
        return -1;
    }
    unlink(l->address.sun_path);
    return bind(l->fd, a, sizeof l->address);
}

static int listen_at(struct listener *l, const char *path, struct err *e)
{
    if (strlen(path) >= sizeof l->address.sun_path)
        return err_set(e, LE_USAGE,
                       "unix:%s: a socket's path has at most %zu bytes", path,
                       sizeof l->address.sun_path - 1);
    l->address.sun_family = AF_UNIX;
    memcpy(l->address.sun_path, path, strlen(path));
    l->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (l->fd < 0)
        return err_errno(e, errno, path);
    fchmod(l->fd, 0600); /* the mode that bind gives the path */
    if (bind_path(l)) {
        if (errno == EADDRINUSE)
            return err_set(e, LE_BUSY,
                           "unix:%s: something else is there already", path);
        return err_errno(e, errno, path);
    }
    l->bound = true;
    if (listen(l->fd, 8) ||
        watch_start(&l->incoming, l->s.env.loop, l->fd, WATCH_IN, on_client, l))
        return err_errno(e, errno, path);
    return 0;
}

struct stream *char_unix_open(const char *path, const struct char_env *env,
                              struct err *e)
{
    struct listener *l = host_alloc(sizeof *l);
    int rc;

    if (!l) {
        err_set(e, LE_NOMEM, "the host has no memory left for a socket");
        return NULL;
    }
    stream_init(&l->s, &unix_ops, env);
    l->fd = -1;
    host_mutex_lock(env->lock);
    rc = listen_at(l, path, e);
    host_mutex_unlock(env->lock);
    if (rc) {
        unix_close(&l->s);
        return NULL;
    }
    return &l->s;
}
