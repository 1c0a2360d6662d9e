/* The user network, with the frames a guest would send; loopback only. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "host/net/net.h"
#include "host/posix/loop.h"
#include "net_wire.h"

#ifndef HAVE_SLIRP

static void lacks_it(void **state)
{
    struct net_options o = {.kind = NET_USER};
    struct err e;

    (void)state;
    assert_null(net_open(&o, &(struct net_env){0}, &e));
    assert_int_equal(e.code, -LE_UNSUPPORTED);
    assert_non_null(strstr(e.text, "libslirp-dev"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(lacks_it)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}

#else

#define MAC "\x52\x54\x00\x12\x34\x56"
#define ALL "\xff\xff\xff\xff\xff\xff"
static const uint8_t guest_ip[4] = {10, 0, 2, 15}, host_ip[4] = {10, 0, 2, 2};

enum { FRAMES = 32 };

struct rig {
    struct host_mutex lock;
    struct loop *loop;
    struct net *net;
    uint8_t frame[FRAMES][2048];
    size_t bytes[FRAMES];
    unsigned frames;
    bool full;
};

static bool receive(void *dev, const struct net_frame *f)
{
    struct rig *r = dev;

    if (r->full)
        return false;
    assert_true(r->frames < FRAMES && f->bytes <= sizeof r->frame[0]);
    r->bytes[r->frames] = f->bytes;
    spans_read(f->sg, f->nsg, 0, r->frame[r->frames++], f->bytes);
    return true;
}

static void open_net(struct rig *r, const struct net_options *o)
{
    struct net_env env = {r->loop, &r->lock};
    struct err e = {0};

    r->net = net_open(o, &env, &e);
    if (!r->net)
        fail_msg("%s", e.text);
    r->net->dev = r;
    r->net->receive = receive;
}

static struct rig *rig_new(void)
{
    struct rig *r = calloc(1, sizeof *r);

    host_mutex_init(&r->lock);
    r->loop = loop_create(&r->lock);
    return r;
}

static void rig_free(struct rig *r)
{
    net_close(r->net);
    loop_destroy(r->loop);
    host_mutex_destroy(&r->lock);
    free(r);
}

static void send_frame(struct rig *r, uint8_t *p, size_t n)
{
    struct span s = {p, n};

    assert_true(r->net->send(
        r->net->endpoint, &(struct net_frame){.sg = &s, .nsg = 1, .bytes = n}));
    loop_run_due(r->loop, false);
}

/* The next frame whose two bytes at `at` are v; NULL: none came. */
static uint8_t *find(struct rig *r, unsigned at, uint16_t v)
{
    for (unsigned i = 0; i < r->frames; i++)
        if (r->bytes[i] > at + 2 && load_be16(r->frame[i] + at) == v)
            return r->frame[i];
    return NULL;
}

static void arp(struct rig *r, unsigned op, const char *to,
                const uint8_t *target)
{
    uint8_t p[42] = {0};

    memcpy(p, to, 6);
    memcpy(p + 6, MAC, 6);
    memcpy(p + 12, "\x08\x06\x00\x01\x08\x00\x06\x04", 8);
    store_be16(p + 20, (uint16_t)op);
    memcpy(p + 22, MAC, 6);
    memcpy(p + 28, guest_ip, 4);
    memcpy(p + 38, target, 4);
    send_frame(r, p, sizeof p);
}

/* UDP over IPv4 with the payload at 42. */
static void udp(struct rig *r, const uint8_t *from, const uint8_t *to,
                uint16_t sport, uint16_t dport, uint8_t *p, size_t payload)
{
    memcpy(p, ALL, 6);
    memcpy(p + 6, MAC, 6);
    store_be16(p + 12, 0x0800);
    memset(p + 14, 0, 28);
    p[14] = 0x45;
    store_be16(p + 16, (uint16_t)(28 + payload));
    p[22] = 64;
    p[23] = 17;
    memcpy(p + 26, from, 4);
    memcpy(p + 30, to, 4);
    store_be16(p + 24, inet_checksum(p + 14, 20));
    store_be16(p + 34, sport);
    store_be16(p + 36, dport);
    store_be16(p + 38, (uint16_t)(8 + payload));
    send_frame(r, p, 42 + payload);
}

/* --- */

static void answers_arp(void **state)
{
    struct rig *r = rig_new();
    struct net_options o = {.kind = NET_USER};
    uint8_t *p;

    (void)state;
    open_net(r, &o);
    arp(r, 1, ALL, host_ip);
    p = find(r, 12, 0x0806);
    assert_non_null(p);
    assert_memory_equal(p + 28, host_ip, 4);
    assert_memory_equal(p, MAC, 6);
    rig_free(r);
}

/* RFC 2131: DISCOVER is answered by an OFFER of 10.0.2.15. */
static void leases(void **state)
{
    struct rig *r = rig_new();
    struct net_options o = {.kind = NET_USER};
    uint8_t p[42 + 300] = {0}, *d = p + 42;
    static const uint8_t none[4] = {0}, all[4] = {255, 255, 255, 255};

    (void)state;
    open_net(r, &o);
    d[0] = d[1] = 1;
    d[2] = 6;
    memcpy(d + 28, MAC, 6);
    memcpy(d + 236, "\x63\x82\x53\x63\x35\x01\x01\xff", 8);
    udp(r, none, all, 68, 67, p, 300);
    d = find(r, 36, 68);
    assert_non_null(d);
    assert_memory_equal(d + 42 + 16, guest_ip, 4);
    assert_memory_equal(d + 42 + 240, "\x35\x01\x02", 3);
    rig_free(r);
}

static int loopback(int type, uint16_t port)
{
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_port = htons(port),
                            .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int fd = socket(AF_INET, type, 0);

    assert_true(fd >= 0);
    assert_int_equal(port ? connect(fd, (struct sockaddr *)&a, sizeof a)
                          : bind(fd, (struct sockaddr *)&a, sizeof a),
                     0);
    return fd;
}

static uint16_t port_of(int fd)
{
    struct sockaddr_in a;
    socklen_t n = sizeof a;

    assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &n), 0);
    return ntohs(a.sin_port);
}

static uint16_t free_port(int type)
{
    int fd = loopback(type, 0);
    uint16_t port = port_of(fd);

    close(fd);
    return port;
}

/* A datagram goes in through a forward and its answer out again. */
static void forwards_udp(void **state)
{
    struct rig *r = rig_new();
    struct net_options o = {.kind = NET_USER,
                            .forward = {{.udp = true,
                                         .address = {127, 0, 0, 1},
                                         .host = free_port(SOCK_DGRAM),
                                         .guest = 9}},
                            .nforwards = 1};
    uint8_t answer[42 + 6], *p = NULL, text[16];
    int fd;

    (void)state;
    open_net(r, &o);
    arp(r, 1, ALL, host_ip); /* so that it knows our address */
    fd = loopback(SOCK_DGRAM, o.forward[0].host);
    assert_int_equal(send(fd, "question", 8, 0), 8);
    while (!(p = find(r, 36, 9)))
        loop_run_due(r->loop, true);
    assert_memory_equal(p + 42, "question", 8);
    memcpy(answer + 42, "answer", 6);
    udp(r, guest_ip, p + 26, 9, load_be16(p + 34), answer, 6);
    assert_int_equal(recv(fd, text, sizeof text, 0), 6);
    assert_memory_equal(text, "answer", 6);
    close(fd);
    rig_free(r);
}

/* A connection to a forwarded port reaches the guest as a SYN; while the card
   takes nothing it waits. */
static void forwards_tcp(void **state)
{
    struct rig *r = rig_new();
    struct net_options o = {.kind = NET_USER,
                            .forward = {{.address = {127, 0, 0, 1},
                                         .host = free_port(SOCK_STREAM),
                                         .guest = 22}},
                            .nforwards = 1};
    uint8_t *p = NULL;
    int fd;

    (void)state;
    open_net(r, &o);
    arp(r, 1, ALL, host_ip);
    r->full = true;
    fd = loopback(SOCK_STREAM, o.forward[0].host);
    loop_run_due(r->loop, true);
    assert_null(find(r, 36, 22));
    r->full = false;
    r->net->resume(r->net->endpoint);
    while (!(p = find(r, 36, 22)))
        loop_run_due(r->loop, true);
    assert_int_equal(p[23], 6);
    assert_int_equal(p[47] & 0x3f, 0x02);
    assert_memory_equal(p + 30, guest_ip, 4);
    close(fd);
    rig_free(r);
}

static void port_in_use(void **state)
{
    struct rig *r = rig_new();
    int fd = loopback(SOCK_DGRAM, 0);
    struct net_options o = {.kind = NET_USER,
                            .forward = {{.udp = true,
                                         .address = {127, 0, 0, 1},
                                         .host = port_of(fd),
                                         .guest = 9}},
                            .nforwards = 1};
    struct net_env env = {r->loop, &r->lock};
    struct err e = {0};

    (void)state;
    assert_null(net_open(&o, &env, &e));
    assert_int_equal(e.code, -LE_BUSY);
    assert_non_null(strstr(e.text, "take another"));
    close(fd);
    rig_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_arp),  cmocka_unit_test(leases),
        cmocka_unit_test(forwards_udp), cmocka_unit_test(forwards_tcp),
        cmocka_unit_test(port_in_use),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

#endif
