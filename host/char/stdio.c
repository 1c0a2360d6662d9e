/*
 * Standard input and output. On a terminal, keys after Ctrl-A are ours: see
 * the table.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host/char/endpoints.h"
#include "host/char/escape.h"
#include "host/char/terminal.h"
#include "host/posix/oserr.h"

struct console {
    struct stream s; /* first */
    bool tty;
    struct escape escape;
};

static void end_vm(void *ctx)
{
    struct console *c = ctx;

    if (c->s.env.quit)
        c->s.env.quit(c->s.env.ctx);
}

static void show_keys(void *ctx);

static const struct escape_row keys[] = {
    {'x', "x", "end the VM", end_vm},
    {'h', "h", "list these keys", show_keys},
    {ESCAPE_KEY, "Ctrl-A", "send Ctrl-A to the guest", NULL},
    {0},
};

static void show_keys(void *ctx)
{
    struct console *c = ctx;
    char text[ESCAPE_TEXT];

    escape_help_text(&c->escape, text);
    stream_print(&c->s, text);
}

static size_t filter_keys(struct stream *s, uint8_t *p, size_t n)
{
    return escape_filter(&container_of(s, struct console, s)->escape, p, n);
}

static void stdio_close(struct stream *s)
{
    struct console *c = container_of(s, struct console, s);

    stream_finish(s);
    if (c->tty)
        terminal_restore();
    host_free(c);
}

/* Ctrl-A must work while the guest takes no input; a pipe can wait. */
static const struct stream_ops tty_ops = {
    .filter = filter_keys,
    .read_always = true,
    .close = stdio_close,
};
static const struct stream_ops pipe_ops = {.close = stdio_close};

/*
 * A descriptor of our own for fd. Where reading and writing can block it is
 * opened anew without blocking: to change fd itself would change it for the
 * shell and for our own standard error too. Where that is not allowed a copy
 * must do: it is used only when poll says it is ready.
 */
static int own_descriptor(int fd, int mode)
{
    char path[40];
    struct stat st;
    int own;

    if (fstat(fd, &st))
        return -1;
    if (S_ISFIFO(st.st_mode) || isatty(fd)) {
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
        own = open(path, mode | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
        if (own >= 0)
            return own;
    }
    return fcntl(fd, F_DUPFD_CLOEXEC, 3);
}

/* A closed standard input or output is one that has nothing to say. */
static int connect_stdio(struct console *c, struct err *e)
{
    int in = own_descriptor(STDIN_FILENO, O_RDONLY);
    int out = own_descriptor(STDOUT_FILENO, O_WRONLY), rc;

    host_mutex_lock(c->s.env.lock);
    rc = stream_connect(&c->s, in, out);
    host_mutex_unlock(c->s.env.lock);
    if (rc)
        return err_set(e, LE_IO, "standard input and output cannot be watched");
    return 0;
}

struct stream *char_stdio_open(const char *arg, const struct char_env *env,
                               struct err *e)
{
    struct console *c = host_alloc(sizeof *c);

    (void)arg;
    if (!c) {
        err_set(e, LE_NOMEM, "the host has no memory left for a console");
        return NULL;
    }
    c->tty = isatty(STDIN_FILENO);
    c->escape = (struct escape){.rows = keys, .ctx = c};
    stream_init(&c->s, c->tty ? &tty_ops : &pipe_ops, env);
    if (c->tty && terminal_raw(STDIN_FILENO, e)) {
        host_free(c);
        return NULL;
    }
    if (connect_stdio(c, e)) {
        stdio_close(&c->s);
        return NULL;
    }
    return &c->s;
}
