/* Endpoints of serial lines: host/char/. The loop is run by hand. */
#include <errno.h>
#include <fcntl.h>
#include <pty.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <setjmp.h>

#include <cmocka.h>

#include "host/char/char.h"
#include "host/char/stream.h"
#include "host/posix/clock.h"
#include "host/posix/loop.h"
#include "host/posix/signals.h"

/* A device that takes up to `room` bytes. */
struct fixture {
    struct host_mutex lock;
    struct loop *loop;
    struct char_env env;
    struct chardev *c;
    char got[65536];
    size_t n, room;
    unsigned writable, quits;
    int saved[2]; /* standard input and output of the test */
};

static char dir[] = "/tmp/lodge-char.XXXXXX";

static size_t receive(void *dev, const uint8_t *p, size_t n)
{
    struct fixture *f = dev;

    n = MIN(n, f->room);
    f->room -= n;
    memcpy(f->got + f->n, p, n);
    f->n += n;
    return n;
}

static void writable(void *dev)
{
    ((struct fixture *)dev)->writable++;
}

static void quit(void *ctx)
{
    ((struct fixture *)ctx)->quits++;
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);

    host_mutex_init(&f->lock);
    f->loop = loop_create(&f->lock);
    f->env = (struct char_env){f->loop, &f->lock, quit, f};
    f->room = SIZE_MAX;
    f->saved[0] = dup(0);
    f->saved[1] = dup(1);
    *state = f;
    return 0;
}

static void put_back(struct fixture *f)
{
    char_close(f->c);
    f->c = NULL;
    dup2(f->saved[0], 0);
    dup2(f->saved[1], 1);
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    put_back(f);
    host_clock_freeze(0);
    close(f->saved[0]);
    close(f->saved[1]);
    loop_destroy(f->loop);
    host_mutex_destroy(&f->lock);
    free(f);
    return 0;
}

static struct chardev *opened(struct fixture *f, const char *spec)
{
    struct err e = {0};

    f->c = char_open(spec, &f->env, &e);
    assert_string_equal(e.text, "");
    f->c->receive = receive;
    f->c->writable = writable;
    f->c->dev = f;
    return f->c;
}

static void refused(struct fixture *f, const char *spec, int code,
                    const char *text)
{
    struct err e = {0};

    assert_null(char_open(spec, &f->env, &e));
    assert_int_equal(e.code, -code);
    assert_string_equal(e.text, text);
}

static size_t put(struct fixture *f, const char *text)
{
    return f->c->write(f->c->endpoint, (const uint8_t *)text, strlen(text));
}

/* Lets collected output go. */
static void flush(struct fixture *f)
{
    host_clock_freeze(host_now() + 5000000);
    loop_run_due(f->loop, false);
}

static void bad_words(void **state)
{
    static const char *const words[] = {
        "",      "stdi",  "stdio:", "nonesuch", "file",
        "file:", "unix:", "FILE:x", "none:x"};
    struct fixture *f = *state;
    char text[200];

    for (unsigned i = 0; i < ARRAY_LEN(words); i++) {
        snprintf(text, sizeof text,
                 "\"%s\" is no serial line: use stdio, none, console, "
                 "file:PATH or unix:PATH",
                 words[i]);
        refused(f, words[i], LE_USAGE, text);
    }
    refused(f, "file:missing/x", LE_NOENT, "missing/x: there is no such file");
    refused(f, "file:.", LE_USAGE, ".: it is a directory, not a file");
    char_close(NULL);
}

static void none(void **state)
{
    struct fixture *f = *state;

    opened(f, "none");
    for (unsigned i = 0; i < 10000; i++)
        assert_int_equal(put(f, "hello"), 5);
    f->c->resume(f->c->endpoint);
    loop_run_due(f->loop, false);
    assert_int_equal(f->n, 0);
}

static void file(void **state)
{
    struct fixture *f = *state;
    char buf[64] = "";
    FILE *in;

    opened(f, "file:out.log");
    assert_int_equal(put(f, "first "), 6);
    flush(f);
    assert_int_equal(put(f, "second"), 6); /* written at the close */
    char_close(f->c);
    f->c = NULL;
    in = fopen("out.log", "r");
    assert_int_equal(fread(buf, 1, sizeof buf, in), 12);
    assert_string_equal(buf, "first second");
    fclose(in);
    unlink("out.log");
}

/* --- standard input and output as pipes --- */

struct pipes {
    int in, out; /* our ends */
};

static struct pipes use_pipes(void)
{
    int a[2], b[2];

    fflush(stdout);
    assert_int_equal(pipe(a) | pipe(b), 0);
    dup2(a[0], 0);
    dup2(b[1], 1);
    close(a[0]);
    close(b[1]);
    return (struct pipes){a[1], b[0]};
}

static void pipe_input(void **state)
{
    struct fixture *f = *state;
    struct pipes p = use_pipes();
    char much[3000];
    bool all = true;

    opened(f, "stdio");
    f->room = 4;
    assert_int_equal(write(p.in, "abc\001xdef", 8), 8); /* no keys here */
    loop_run_due(f->loop, false);
    assert_int_equal(f->n, 4);
    f->room = 100;
    f->c->resume(f->c->endpoint);
    assert_int_equal(f->n, 8);
    assert_memory_equal(f->got, "abc\001xdef", 8);
    assert_int_equal(f->quits, 0);
    /* A device that takes nothing holds the writer up; nothing is lost. */
    f->room = f->n = 0;
    fcntl(p.in, F_SETFL, O_NONBLOCK);
    for (unsigned i = 0; i < 10; i++) {
        memset(much, 'a' + (int)i, sizeof much);
        assert_int_equal(write(p.in, much, sizeof much), sizeof much);
        loop_run_due(f->loop, false);
    }
    f->room = SIZE_MAX;
    f->c->resume(f->c->endpoint);
    close(p.in);
    loop_run_due(f->loop, false);
    assert_int_equal(f->n, 10 * sizeof much);
    for (unsigned i = 0; i < f->n; i++)
        all &= f->got[i] == 'a' + (int)(i / sizeof much);
    assert_true(all);
    loop_run_due(f->loop, false); /* the end is no error */
    assert_int_equal(put(f, "x"), 1);
    close(p.out);
}

static void pipe_output(void **state)
{
    struct fixture *f = *state;
    struct pipes p = use_pipes();
    static char buf[1 << 20];
    size_t sent = 0, came = 0, n;
    ssize_t r;

    fcntl(p.out, F_SETFL, O_NONBLOCK);
    opened(f, "stdio");
    while ((n = put(f, "0123456789abcde\n")) == 16) {
        sent += n;
        flush(f);
        assert_true(sent < 1 << 20);
    }
    sent += n;
    assert_true(sent >= STREAM_OUT);
    assert_int_equal(f->writable, 0);
    while (came < sent) {
        r = read(p.out, buf + came, 1000);
        if (r > 0)
            came += (size_t)r;
        loop_run_due(f->loop, false);
    }
    assert_true(f->writable == 1);
    assert_int_equal(read(p.out, buf + came, 1000), -1);
    for (size_t i = 0; i < came; i++)
        assert_int_equal(buf[i], "0123456789abcde\n"[i % 16]);
    /* Nobody reads any more: the guest goes on. */
    close(p.out);
    for (unsigned i = 0; i < 5000; i++) {
        put(f, "0123456789abcde\n");
        flush(f);
    }
    assert_int_equal(put(f, "0123456789abcde\n"), 16);
    close(p.in);
}

/* --- a terminal --- */

struct term {
    int master, slave;
    struct termios before;
};

static struct term use_terminal(void)
{
    struct term t;

    fflush(stdout);
    assert_int_equal(openpty(&t.master, &t.slave, NULL, NULL, NULL), 0);
    tcgetattr(t.slave, &t.before);
    dup2(t.slave, 0);
    dup2(t.slave, 1);
    return t;
}

static bool is_raw(const struct term *t)
{
    struct termios now;

    tcgetattr(t->slave, &now);
    return !(now.c_lflag & (ICANON | ECHO | ISIG)) && !(now.c_oflag & OPOST);
}

static bool is_as_before(const struct term *t)
{
    struct termios now;

    tcgetattr(t->slave, &now);
    return now.c_lflag == t->before.c_lflag &&
           now.c_iflag == t->before.c_iflag && now.c_oflag == t->before.c_oflag;
}

static void type(struct fixture *f, const struct term *t, const char *keys)
{
    size_t n = strlen(keys);

    assert_int_equal(write(t->master, keys, n), n);
    loop_run_due(f->loop, true);
}

static void terminal_keys(void **state)
{
    struct fixture *f = *state;
    struct term t = use_terminal();
    struct err e;
    char buf[500] = "";
    ssize_t n;

    opened(f, "stdio");
    assert_true(is_raw(&t));
    assert_null(char_open("stdio", &f->env, &e));
    assert_int_equal(e.code, -LE_BUSY);
    assert_true(is_raw(&t));
    type(f, &t, "a\003\001\001b\001qc\001"); /* Ctrl-C; an unknown key */
    while (f->n < 5)
        loop_run_due(f->loop, true);
    assert_memory_equal(f->got, "a\003\001bc", 5);
    assert_int_equal(f->quits, 0);
    type(f, &t, "x");
    while (!f->quits)
        loop_run_due(f->loop, true);
    type(f, &t, "\001X\001h");
    put(f, "guest\r\n");
    while (f->quits < 2)
        loop_run_due(f->loop, true);
    put_back(f);
    assert_true(is_as_before(&t));
    n = read(t.master, buf, sizeof buf - 1);
    assert_true(n > 0);
    assert_non_null(strstr(buf, "Ctrl-A x       end the VM\r\n"));
    assert_non_null(strstr(buf, "guest\r\n"));
    close(t.master);
    close(t.slave);
}

/* However much was typed at a guest that does not listen. */
static void terminal_never_stuck(void **state)
{
    struct fixture *f = *state;
    struct term t = use_terminal();
    char keys[501];

    opened(f, "stdio");
    f->room = 0;
    memset(keys, 'k', sizeof keys - 1);
    keys[sizeof keys - 1] = 0;
    for (unsigned i = 0; i < 30; i++)
        type(f, &t, keys);
    type(f, &t, "\001x");
    while (!f->quits)
        loop_run_due(f->loop, true);
    assert_int_equal(f->n, 0);
    put_back(f);
    close(t.master);
    close(t.slave);
}

enum { BY_EXIT = -1 };

/* A process of its own that goes in many ways; the mode must come back. */
static void leave(struct fixture *f, int how)
{
    struct term t = use_terminal();
    int status = 0, go[2];
    char byte;
    pid_t pid;

    assert_int_equal(pipe(go), 0);
    pid = fork();
    if (pid == 0) {
        static struct chardev
            *volatile kept; /* a leak checker looks at exit() */
        struct err e;

        if (how > 0) /* cmocka has handlers of its own */
            signal(how, SIG_DFL);
        kept = char_open("stdio", &f->env, &e);
        if (!kept || write(go[1], "r", 1) != 1)
            _exit(99);
        if (how == BY_EXIT)
            exit(7);
        raise(how);
        _exit(98);
    }
    close(go[1]);
    assert_int_equal(read(go[0], &byte, 1), 1);
    close(go[0]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (how == BY_EXIT)
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 7);
    else
        assert_true(WIFSIGNALED(status) && WTERMSIG(status) == how);
    assert_true(is_as_before(&t));
    dup2(f->saved[0], 0);
    dup2(f->saved[1], 1);
    close(t.master);
    close(t.slave);
}

static void terminal_restored(void **state)
{
    static const int ways[] = {BY_EXIT, SIGTERM, SIGINT,  SIGHUP,
                               SIGQUIT, SIGSEGV, SIGABRT, SIGBUS};

    for (unsigned i = 0; i < ARRAY_LEN(ways); i++)
        leave(*state, ways[i]);
}

/* --- a socket --- */

static int client(const char *path)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);

    strcpy(a.sun_path, path);
    if (connect(fd, (struct sockaddr *)&a, sizeof a)) {
        close(fd);
        return -1;
    }
    return fd;
}

static void expect(int fd, const char *text)
{
    char buf[100] = "";

    assert_int_equal(read(fd, buf, sizeof buf - 1), strlen(text));
    assert_string_equal(buf, text);
}

static void socket_clients(void **state)
{
    struct fixture *f = *state;
    struct stat st;
    int a, b;

    opened(f, "unix:sock");
    assert_int_equal(stat("sock", &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(put(f, "early "), 6); /* nobody there yet */
    a = client("sock");
    b = client("sock"); /* waits for its turn */
    assert_true(a >= 0 && b >= 0);
    loop_run_due(f->loop, false);
    assert_int_equal(put(f, "bird"), 4);
    flush(f);
    expect(a, "early bird");
    assert_int_equal(write(a, "\001x1", 3), 3);
    assert_int_equal(write(b, "2", 1), 1);
    loop_run_due(f->loop, false);
    assert_int_equal(f->n, 3);
    close(a);
    loop_run_due(f->loop, false);
    assert_int_equal(f->n, 4);
    assert_memory_equal(f->got, "\001x12", 4);
    put(f, "for b");
    flush(f);
    expect(b, "for b");
    /* One that does not read, then leaves: the device is told. */
    while (put(f, "0123456789abcdef") == 16)
        flush(f);
    close(b);
    loop_run_due(f->loop, false);
    assert_int_equal(f->writable, 1);
    for (unsigned i = 0; i < 10000; i++)
        assert_int_equal(put(f, "0123456789abcdef"), 16);
    put(f, "last");
    a = client("sock");
    loop_run_due(f->loop, false);
    flush(f);
    {
        static char buf[STREAM_OUT + 1];

        assert_int_equal(read(a, buf, sizeof buf), STREAM_OUT);
        assert_memory_equal(buf + STREAM_OUT - 8, "cdeflast", 8);
    }
    close(a);
    put_back(f);
    assert_int_equal(stat("sock", &st), -1);
}

static void socket_paths(void **state)
{
    struct fixture *f = *state;
    struct sockaddr_un a = {.sun_family = AF_UNIX, .sun_path = "sock"};
    char longer[200] = "unix:", want[300];
    struct stat st;
    int fd;

    /* What is there and no socket is not touched. */
    close(open("sock", O_CREAT | O_WRONLY, 0644));
    refused(f, "unix:sock", LE_BUSY,
            "unix:sock: something else is there already");
    assert_int_equal(stat("sock", &st), 0);
    unlink("sock");
    /* A socket that somebody listens on neither; a dead one is replaced. */
    fd = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof a), 0);
    assert_int_equal(listen(fd, 1), 0);
    refused(f, "unix:sock", LE_BUSY,
            "unix:sock: something else is there already");
    close(fd);
    opened(f, "unix:sock");
    fd = client("sock");
    assert_true(fd >= 0);
    close(fd);
    memset(longer + 5, 'p', 108);
    snprintf(want, sizeof want, "%s: a socket's path has at most 107 bytes",
             longer);
    refused(f, longer, LE_USAGE, want);
}

/* Clients that are brought to it, one at a time. */
static void console(void **state)
{
    struct fixture *f = *state;
    struct err e;
    int a[2], b[2];

    opened(f, "console");
    assert_int_equal(put(f, "early "), 6);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, a), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, b), 0);
    assert_int_equal(char_join(f->c, a[0], &e), 0);
    assert_int_equal(put(f, "bird"), 4);
    flush(f);
    expect(a[1], "early bird");
    assert_int_equal(write(a[1], "in", 2), 2);
    loop_run_due(f->loop, false);
    assert_memory_equal(f->got, "in", 2);
    assert_int_equal(char_join(f->c, b[0], &e), -LE_BUSY);
    assert_int_equal(read(b[1], &e, 1), 0); /* it was closed */
    close(b[1]);
    close(a[1]);
    loop_run_due(f->loop, false);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, b), 0);
    assert_int_equal(char_join(f->c, b[0], &e), 0);
    put(f, "again");
    flush(f);
    expect(b[1], "again");
    close(b[1]);
}

/* Other lines take none. */
static void no_console(void **state)
{
    struct fixture *f = *state;
    struct err e;
    int a[2];

    opened(f, "none");
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, a), 0);
    assert_int_equal(char_join(f->c, a[0], &e), -LE_STATE);
    assert_int_equal(read(a[1], &e, 1), 0);
    close(a[1]);
}

/* --- signals that ask for the end --- */

static void note_signal(void *ctx, int sig)
{
    *(int *)ctx = sig;
}

static void signals_as_events(void **state)
{
    struct fixture *f = *state;
    int seen = 0;
    struct signals *s = signals_watch(f->loop, &f->lock, note_signal, &seen);

    assert_non_null(s);
    raise(SIGTERM);
    loop_run_due(f->loop, true);
    assert_int_equal(seen, SIGTERM);
    raise(SIGINT);
    loop_run_due(f->loop, true);
    assert_int_equal(seen, SIGINT);
    signals_unwatch(s);
    signals_unwatch(NULL);
}

static int make_dir(void **state)
{
    (void)state;
    return mkdtemp(dir) && chdir(dir) == 0 ? 0 : -1;
}

static int remove_dir(void **state)
{
    (void)state;
    return chdir("/") || rmdir(dir);
}

#define CHAR_TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CHAR_TEST(bad_words),
        CHAR_TEST(none),
        CHAR_TEST(file),
        CHAR_TEST(pipe_input),
        CHAR_TEST(pipe_output),
        CHAR_TEST(terminal_keys),
        CHAR_TEST(socket_clients),
        CHAR_TEST(terminal_never_stuck),
        CHAR_TEST(terminal_restored),
        CHAR_TEST(socket_paths),
        CHAR_TEST(console),
        CHAR_TEST(no_console),
        CHAR_TEST(signals_as_events),
    };

    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
