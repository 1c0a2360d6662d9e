/*
 * A port for one peer at a time (host/posix/peer.h): what is sent comes back in
 * order however much it is, others are turned away, and the last word arrives.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <poll.h>
#include <unistd.h>

#include "host/posix/peer.h"
#include "lodge/host.h"

enum { MUCH = 3 << 20, PIECE = 1000 };

/* An echo that holds at most a piece. */
static struct {
    struct peer_server *server;
    struct address where;
    uint8_t held[PIECE];
    size_t n, at;
    struct host_event came, gone, polled;
} t;

static void came(void *ctx)
{
    (void)ctx;
    host_event_signal(&t.came);
}

static size_t take(void *ctx, const uint8_t *p, size_t n)
{
    (void)ctx;
    assert_int_equal(t.at, t.n); /* all was sent */
    t.at = 0;
    t.n = n < PIECE ? n : PIECE;
    memcpy(t.held, p, t.n);
    return t.n;
}

static void say(const char *text)
{
    t.at = 0;
    t.n = strlen(text);
    memcpy(t.held, text, t.n);
}

static void polled(void *ctx)
{
    (void)ctx;
    say("news");
    host_event_signal(&t.polled);
}

static const uint8_t *out(void *ctx, size_t *n)
{
    (void)ctx;
    *n = t.n - t.at;
    return *n ? t.held + t.at : NULL;
}

static void sent(void *ctx, size_t n)
{
    (void)ctx;
    t.at += n;
    assert_true(t.at <= t.n);
}

static void gone(void *ctx)
{
    (void)ctx;
    t.at = t.n = 0;
    host_event_signal(&t.gone);
}

static const struct peer_ops ops = {came, take, polled, out, sent, gone};

static int set_up(void **unused)
{
    struct err e;

    (void)unused;
    memset(&t, 0, sizeof t);
    host_event_init(&t.came);
    host_event_init(&t.gone);
    host_event_init(&t.polled);
    assert_true(address_parse("127.0.0.1:0", &t.where));
    assert_int_equal(peer_open(&t.where, &ops, NULL, &t.server, &e), 0);
    assert_int_equal(peer_start(t.server, &e), 0);
    assert_true(address_port(&t.where) != 0);
    return 0;
}

static int tear_down(void **unused)
{
    (void)unused;
    peer_close(t.server, NULL);
    host_event_destroy(&t.came);
    host_event_destroy(&t.gone);
    host_event_destroy(&t.polled);
    return 0;
}

static int dial(void)
{
    int fd = socket(t.where.a.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    assert_int_equal(
        connect(fd, (const struct sockaddr *)&t.where.a, t.where.len), 0);
    return fd;
}

static void hears(int fd, const char *text)
{
    char got[32] = "";
    size_t n = 0;

    while (n < strlen(text)) {
        ssize_t k = read(fd, got + n, strlen(text) - n);

        assert_true(k > 0);
        n += (size_t)k;
    }
    assert_string_equal(got, text);
}

static void hears_the_end(int fd)
{
    char byte;

    assert_int_equal(read(fd, &byte, 1), 0);
    close(fd);
}

/* Written and read at once, as much as goes. */
static void much(void **unused)
{
    uint8_t *data = malloc(MUCH), *back = malloc(MUCH);
    size_t w = 0, r = 0;
    int fd = dial();

    (void)unused;
    assert_true(data && back);
    for (size_t n = 0; n < MUCH; n++)
        data[n] = (uint8_t)(n * n >> 9);
    while (r < MUCH) {
        struct pollfd p = {fd, (short)(POLLIN | (w < MUCH ? POLLOUT : 0)), 0};
        ssize_t k;

        assert_true(poll(&p, 1, -1) > 0);
        if (p.revents & POLLOUT) {
            k = send(fd, data + w, MUCH - w, MSG_DONTWAIT);
            w += k > 0 ? (size_t)k : 0;
        }
        if (p.revents & POLLIN) {
            k = read(fd, back + r, MUCH - r);
            assert_true(k > 0);
            r += (size_t)k;
        }
    }
    assert_memory_equal(data, back, MUCH);
    close(fd);
    host_event_wait(&t.gone, UINT64_MAX);
    free(data);
    free(back);
}

static void one_at_a_time(void **unused)
{
    int first = dial(), second;

    (void)unused;
    host_event_wait(&t.came, UINT64_MAX);
    second = dial();
    hears_the_end(second);
    assert_int_equal(write(first, "hello", 5), 5);
    hears(first, "hello");
    close(first);
    host_event_wait(&t.gone, UINT64_MAX);
    first = dial();
    host_event_wait(&t.came, UINT64_MAX);
    assert_int_equal(write(first, "again", 5), 5);
    hears(first, "again");
    close(first);
}

static void news(void **unused)
{
    int fd = dial();

    (void)unused;
    host_event_wait(&t.came, UINT64_MAX);
    peer_poll(t.server);
    host_event_wait(&t.polled, UINT64_MAX);
    hears(fd, "news");
    close(fd);
}

static void last(void *ctx)
{
    (void)ctx;
    say("good-bye");
}

static void last_word(void **unused)
{
    int fd = dial();

    (void)unused;
    host_event_wait(&t.came, UINT64_MAX);
    peer_close(t.server, last);
    t.server = NULL;
    hears(fd, "good-bye");
    hears_the_end(fd);
}

static void port_in_use(void **unused)
{
    struct address same = t.where;
    struct peer_server *s;
    struct err e;
    char port[8];

    (void)unused;
    snprintf(port, sizeof port, "%u", address_port(&t.where));
    assert_int_equal(peer_open(&same, &ops, NULL, &s, &e), -LE_BUSY);
    assert_non_null(strstr(e.text, port));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {TEST(much), TEST(one_at_a_time),
                                       TEST(news), TEST(last_word),
                                       TEST(port_in_use)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
