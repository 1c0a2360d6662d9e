/* Which endpoint a word means; the two simplest ones. */
#include "host/char/char.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "host/char/endpoints.h"
#include "host/posix/oserr.h"

static void plain_close(struct stream *s)
{
    stream_finish(s);
    host_free(s);
}

static const struct stream_ops plain_ops = {.close = plain_close};

static struct stream *plain_open(const struct char_env *env, struct err *e)
{
    struct stream *s = host_alloc(sizeof *s);

    if (s)
        stream_init(s, &plain_ops, env);
    else
        err_set(e, LE_NOMEM, "the host has no memory left for a serial line");
    return s;
}

/* Never connected: output vanishes. */
static struct stream *char_none_open(const char *arg,
                                     const struct char_env *env, struct err *e)
{
    (void)arg;
    return plain_open(env, e);
}

struct stream *char_file_open(const char *path, const struct char_env *env,
                              struct err *e)
{
    struct stream *s = plain_open(env, e);
    int fd, rc;

    if (!s)
        return NULL;
    fd =
        open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NONBLOCK, 0666);
    if (fd < 0) {
        err_errno(e, errno, path);
        plain_close(s);
        return NULL;
    }
    host_mutex_lock(env->lock);
    rc = stream_connect(s, -1, fd);
    host_mutex_unlock(env->lock);
    if (rc) {
        err_set(e, LE_IO, "%s: it cannot be watched", path);
        plain_close(s);
        return NULL;
    }
    return s;
}

static const struct {
    const char *word;
    bool takes_path;
    struct stream *(*open)(const char *arg, const struct char_env *env,
                           struct err *e);
} kinds[] = {
    {"stdio", false, char_stdio_open},     {"none", false, char_none_open},
    {"file", true, char_file_open},        {"unix", true, char_unix_open},
    {"console", false, char_console_open},
};

struct chardev *char_open(const char *spec, const struct char_env *env,
                          struct err *e)
{
    signal(SIGPIPE, SIG_IGN); /* a reader that goes is an error of write */
    for (unsigned i = 0; i < ARRAY_LEN(kinds); i++) {
        size_t n = strlen(kinds[i].word);
        const char *arg = spec + n;
        struct stream *s;

        if (strncmp(spec, kinds[i].word, n))
            continue;
        if (kinds[i].takes_path ? arg[0] != ':' || !arg[1] : arg[0] != 0)
            continue;
        s = kinds[i].open(arg + kinds[i].takes_path, env, e);
        return s ? &s->chr : NULL;
    }
    err_set(e, LE_USAGE,
            "\"%s\" is no serial line: use stdio, none, console, file:PATH or "
            "unix:PATH",
            spec);
    return NULL;
}

int char_join(struct chardev *c, int fd, struct err *e)
{
    struct stream *s = c ? container_of(c, struct stream, chr) : NULL;
    bool joined;

    if (!s || !s->ops->join) {
        close(fd);
        return err_set(e, LE_STATE,
                       "its serial line is somewhere else; --serial console "
                       "keeps it for this");
    }
    host_mutex_lock(s->env.lock);
    joined = s->ops->join(s, fd);
    host_mutex_unlock(s->env.lock);
    return joined ? 0
                  : err_set(e, LE_BUSY, "somebody is at its console already");
}

void char_close(struct chardev *c)
{
    struct stream *s;

    if (!c)
        return;
    s = container_of(c, struct stream, chr);
    s->ops->close(s);
}
