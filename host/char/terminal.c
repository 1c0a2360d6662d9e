#include "host/char/terminal.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "base/compiler.h"
#include "host/posix/log.h"

static struct {
    atomic_bool in_use; /* the rest is set before and constant while true */
    int fd;
    struct termios before, raw;
} tty;

/* What ends the process; handlers are put only where nobody has any. */
static const int deadly[] = {SIGHUP,  SIGINT, SIGQUIT, SIGTERM,
                             SIGABRT, SIGBUS, SIGFPE,  SIGILL,
                             SIGSEGV, SIGSYS, SIGXCPU, SIGXFSZ};

/*
 * Only functions that a signal handler may call: tcsetattr is one. At once, for
 * a terminal that was stopped (Ctrl-S) would never be done with its output.
 */
void terminal_restore(void)
{
    int error = errno;

    if (atomic_exchange(&tty.in_use, false))
        tcsetattr(tty.fd, TCSANOW, &tty.before);
    host_log_crlf(false);
    errno = error;
}

static void on_deadly(int sig)
{
    terminal_restore();
    signal(sig, SIG_DFL);
    raise(sig); /* runs when this handler returns */
}

static void on_stop(int sig)
{
    int error = errno;

    (void)sig;
    if (atomic_load(&tty.in_use))
        tcsetattr(tty.fd, TCSANOW, &tty.before);
    raise(SIGSTOP);
    if (atomic_load(&tty.in_use))
        tcsetattr(tty.fd, TCSANOW, &tty.raw);
    errno = error;
}

static void handle(int sig, void (*fn)(int))
{
    struct sigaction old, act;

    if (sigaction(sig, NULL, &old) || old.sa_handler != SIG_DFL)
        return;
    memset(&act, 0, sizeof act);
    act.sa_handler = fn;
    act.sa_flags = SA_RESTART;
    sigfillset(&act.sa_mask);
    sigaction(sig, &act, NULL);
}

/* Handlers and the exit hook stay; they do nothing when nothing is raw. */
static void guard_exits(void)
{
    static atomic_bool hooked;

    for (unsigned i = 0; i < ARRAY_LEN(deadly); i++)
        handle(deadly[i], on_deadly);
    handle(SIGTSTP, on_stop);
    if (!atomic_exchange(&hooked, true))
        atexit(terminal_restore);
}

int terminal_raw(int fd, struct err *e)
{
    if (atomic_load(&tty.in_use))
        return err_set(e, LE_BUSY,
                       "the terminal is in use by another serial line");
    if (tcgetattr(fd, &tty.before))
        return err_set(e, LE_IO, "the terminal does not tell its mode: %s",
                       strerror(errno));
    tty.fd = fd;
    tty.raw = tty.before;
    cfmakeraw(&tty.raw);
    guard_exits();
    atomic_store(&tty.in_use, true);
    if (tcsetattr(fd, TCSANOW, &tty.raw)) {
        terminal_restore();
        return err_set(e, LE_IO, "the terminal cannot be made raw: %s",
                       strerror(errno));
    }
    host_log_crlf(true);
    return 0;
}
