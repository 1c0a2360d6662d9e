/* A listening socket in the file system, or none; clients come one after the
   other. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "host/char/endpoints.h"
#include "host/posix/unixsock.h"

struct listener {
    struct stream s; /* first */
    int fd;
    struct watch incoming;
    char path[sizeof((struct sockaddr_un *)0)->sun_path]; /* once bound */
};

/* Others wait in the queue until this client has gone. */
static void listen_on(struct listener *l, bool on)
{
    if (l->fd >= 0)
        watch_events(&l->incoming, on ? WATCH_IN : 0);
}

static void take_client(struct listener *l, int in)
{
    int out = fcntl(in, F_DUPFD_CLOEXEC, 3); /* a watch for each direction */

    if (out < 0) {
        close(in);
        return;
    }
    if (!stream_connect(&l->s, in, out))
        listen_on(l, false);
}

static void on_client(void *ctx, uint32_t ready)
{
    struct listener *l = ctx;
    int in = accept4(l->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

    (void)ready;
    if (in >= 0)
        take_client(l, in);
}

static bool unix_join(struct stream *s, int fd)
{
    if (s->in >= 0 || fcntl(fd, F_SETFL, O_NONBLOCK)) {
        close(fd);
        return false;
    }
    take_client(container_of(s, struct listener, s), fd);
    return true;
}

static void on_hung_up(struct stream *s)
{
    struct listener *l = container_of(s, struct listener, s);

    stream_disconnect(s);
    listen_on(l, true);
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
    if (l->fd >= 0) {
        host_mutex_lock(s->env.lock);
        watch_stop(&l->incoming);
        host_mutex_unlock(s->env.lock);
        close(l->fd);
    }
    if (l->path[0])
        unlink(l->path);
    host_free(l);
}

static const struct stream_ops unix_ops = {
    .hung_up = on_hung_up,
    .join = unix_join,
    .close = unix_close,
};

static int listen_at(struct listener *l, const char *path, struct err *e)
{
    char what[sizeof l->path + 8];
    int rc;

    snprintf(what, sizeof what, "unix:%s", path);
    rc = unix_listen(path, what, &l->fd, e);
    if (rc)
        return rc;
    strcpy(l->path, path); /* unix_listen knows how long it may be */
    if (watch_start(&l->incoming, l->s.env.loop, l->fd, WATCH_IN, on_client, l))
        return err_set(e, LE_IO, "%s cannot be watched", what);
    return 0;
}

struct stream *char_console_open(const char *arg, const struct char_env *env,
                                 struct err *e)
{
    struct listener *l = host_alloc(sizeof *l);

    (void)arg;
    if (!l) {
        err_set(e, LE_NOMEM, "the host has no memory left for a serial line");
        return NULL;
    }
    stream_init(&l->s, &unix_ops, env);
    l->fd = -1;
    return &l->s;
}

struct stream *char_unix_open(const char *path, const struct char_env *env,
                              struct err *e)
{
    struct stream *s = char_console_open(path, env, e);
    int rc;

    if (!s)
        return NULL;
    host_mutex_lock(env->lock);
    rc = listen_at(container_of(s, struct listener, s), path, e);
    host_mutex_unlock(env->lock);
    if (rc) {
        unix_close(s);
        return NULL;
    }
    return s;
}
