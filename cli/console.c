/* `lodge console`: a serial line in this terminal. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/console.h"
#include "host/char/escape.h"
#include "host/char/terminal.h"
#include "host/posix/oserr.h"

struct console {
    int fd;
    bool done;
    struct escape escape;
};

static void leave(void *ctx)
{
    ((struct console *)ctx)->done = true;
}

static void show_keys(void *ctx);

static const struct escape_row keys[] = {
    {'x', "x", "leave; the VM goes on", leave},
    {'h', "h", "list these keys", show_keys},
    {ESCAPE_KEY, "Ctrl-A", "send Ctrl-A to the guest", NULL},
    {0},
};

static void show_keys(void *ctx)
{
    struct console *c = ctx;
    char text[ESCAPE_TEXT];

    escape_help_text(&c->escape, text);
    dprintf(STDOUT_FILENO, "%s", text);
}

static bool write_all(int fd, const uint8_t *p, size_t n)
{
    while (n) {
        ssize_t r = write(fd, p, n);

        if (r < 0 && errno != EINTR)
            return false;
        p += r < 0 ? 0 : r;
        n -= r < 0 ? 0 : (size_t)r;
    }
    return true;
}

/* What one side has for the other one; false: it has come to its end. */
static bool copy(struct console *c, int from, int to, bool typed)
{
    uint8_t buf[4096];
    ssize_t n = read(from, buf, sizeof buf);

    if (n < 0 && errno == EINTR)
        return true;
    if (n <= 0)
        return false;
    if (typed)
        n = (ssize_t)escape_filter(&c->escape, buf, (size_t)n);
    return write_all(to, buf, (size_t)n);
}

static void exchange(struct console *c, bool tty)
{
    struct pollfd p[] = {{.fd = c->fd, .events = POLLIN},
                         {.fd = STDIN_FILENO, .events = POLLIN}};

    while (!c->done) {
        if (poll(p, ARRAY_LEN(p), -1) < 0 && errno != EINTR)
            return;
        if (p[0].revents && !copy(c, c->fd, STDOUT_FILENO, false))
            return;
        if (p[1].revents && !copy(c, STDIN_FILENO, c->fd, tty))
            p[1].fd = -1;
    }
}

int console_attach(int fd, struct err *e)
{
    struct console c = {.fd = fd, .escape = {.rows = keys}};
    bool tty = isatty(STDIN_FILENO);
    int rc = tty ? terminal_raw(STDIN_FILENO, e) : 0;

    c.escape.ctx = &c;
    signal(SIGPIPE, SIG_IGN);
    if (!rc) {
        exchange(&c, tty);
        if (tty)
            terminal_restore();
    }
    close(fd);
    return rc;
}
