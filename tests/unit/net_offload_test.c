#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "hw/net/offload.h"
#include "net_wire.h"

static struct wire wire;
static uint8_t frame[NET_FRAME_MAX + 100];

static int setup(void **state)
{
    (void)state;
    wire_init(&wire, 0);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    wire_clear(&wire);
    return 0;
}

static const struct net_offload tso4 = {.flags = NET_CSUM_PARTIAL,
                                        .gso = NET_GSO_TCP4 | NET_GSO_ECN,
                                        .header = T_DATA,
                                        .gso_size = 1000,
                                        .csum_start = T_TCP,
                                        .csum_offset = 16};

/* In pieces of `step` bytes, as scattered as a guest's. */
static bool send_pieces(size_t n, size_t step, struct net_offload off)
{
    static struct span sg[NET_SPANS];
    unsigned count = 0;

    for (size_t at = 0; at < n; at += step)
        sg[count++] = (struct span){frame + at, MIN(step, n - at)};
    return net_send(&wire.net, &(struct net_frame){
                                   .sg = sg, .nsg = count, .bytes = n, off});
}

/* RFC 1071, §3's example, and a split at an odd place. */
static void checksum(void **state)
{
    static const uint8_t p[] = {0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7};
    struct inet_sum s = {0};

    (void)state;
    assert_int_equal(inet_checksum(p, 8), (uint16_t)~0xddf2);
    inet_add(&s, p, 3);
    inet_add(&s, p + 3, 5);
    assert_int_equal(inet_fold(&s), 0xddf2);
}

static void plain(void **state)
{
    (void)state;
    make_frame(frame, "\x52\x54\x00\x12\x34\x56", 100);
    assert_true(send_pieces(100, 7, (struct net_offload){0}));
    assert_int_equal(wire.nsent, 1);
    assert_int_equal(wire.sent[0].n, 100);
    assert_memory_equal(wire.sent[0].p, frame, 100);
    wire.busy = true;
    assert_false(send_pieces(100, 7, (struct net_offload){0}));
    wire.net.down = true;
    assert_true(send_pieces(100, 7, (struct net_offload){0}));
    assert_true(net_send(NULL, &(struct net_frame){.bytes = 60}));
    assert_int_equal(wire.nsent, 1);
}

static void sums(void **state)
{
    struct net_offload off = tso4;

    (void)state;
    off.gso = 0;
    for (unsigned odd = 0; odd < 2; odd++) {
        make_tcp4(frame, 500 + odd);
        assert_true(send_pieces(T_DATA + 500 + odd, 13, off));
        assert_int_equal(wire.sent[odd].n, T_DATA + 500 + odd);
        assert_true(tcp4_is_right(wire.sent[odd].p, T_DATA + 500 + odd));
        assert_int_equal(wire.sent[odd].off.flags, 0);
    }
}

static void segments(void **state)
{
    enum { PAYLOAD = 3500, N = T_DATA + PAYLOAD };
    size_t at = 0;

    (void)state;
    make_tcp4(frame, PAYLOAD);
    assert_true(send_pieces(N, 101, tso4));
    assert_int_equal(wire.nsent, 4);
    for (unsigned i = 0; i < 4; i++) {
        const uint8_t *p = wire.sent[i].p;
        size_t part = i < 3 ? 1000 : 500;

        assert_int_equal(wire.sent[i].n, T_DATA + part);
        assert_true(tcp4_is_right(p, wire.sent[i].n));
        assert_memory_equal(p + T_DATA, frame + T_DATA + at, part);
        assert_int_equal(load_be32(p + T_TCP + 4), T_SEQ + at);
        assert_int_equal(load_be16(p + T_IP + 4), 0x1234 + i);
        /* CWR in the first, FIN and PSH in the last */
        assert_int_equal(p[T_TCP + 13], i == 0 ? 0x90 : i == 3 ? 0x19 : 0x10);
        at += part;
    }
}

/* Who takes it whole gets it whole. */
static void passed_on(void **state)
{
    (void)state;
    wire.net.offloads = NET_OFF_CSUM | NET_OFF_TSO4 | NET_OFF_ECN;
    make_tcp4(frame, 3000);
    assert_true(send_pieces(T_DATA + 3000, 999, tso4));
    assert_int_equal(wire.nsent, 1);
    assert_memory_equal(wire.sent[0].p, frame, T_DATA + 3000);
    assert_int_equal(wire.sent[0].off.gso, tso4.gso);
    wire.net.offloads &= ~(unsigned)NET_OFF_ECN;
    assert_true(send_pieces(T_DATA + 3000, 999, tso4));
    assert_int_equal(wire.nsent, 4);
}

static void segments6(void **state)
{
    enum { TCP6 = 54, DATA6 = 74, PAYLOAD = 2000 };
    struct net_offload off = tso4;
    struct inet_sum sum = {0};

    (void)state;
    off.gso = NET_GSO_TCP6;
    off.csum_start = TCP6;
    make_frame(frame, "\x52\x54\x00\x12\x34\x56", DATA6 + PAYLOAD);
    store_be16(frame + 12, 0x86dd);
    frame[T_IP] = 0x60;
    store_be16(frame + T_IP + 4, 20 + PAYLOAD);
    frame[T_IP + 6] = 6;
    frame[TCP6 + 12] = 0x50;
    inet_add(&sum, frame + T_IP + 8, 32);
    inet_add16(&sum, 6);
    inet_add16(&sum, 20 + PAYLOAD);
    store_be16(frame + TCP6 + 16, inet_fold(&sum));
    assert_true(send_pieces(DATA6 + PAYLOAD, 300, off));
    assert_int_equal(wire.nsent, 2);
    for (unsigned i = 0; i < 2; i++) {
        const uint8_t *p = wire.sent[i].p;

        assert_int_equal(load_be16(p + T_IP + 4), 1020);
        sum = (struct inet_sum){0};
        inet_add(&sum, p + T_IP + 8, 32);
        inet_add16(&sum, 6);
        inet_add16(&sum, 1020);
        inet_add(&sum, p + TCP6, 1020);
        assert_int_equal(inet_fold(&sum), 0xffff);
    }
}

/* The first segment is refused: all of it is; later ones are lost. */
static void busy(void **state)
{
    (void)state;
    make_tcp4(frame, 3000);
    wire.busy = true;
    assert_false(send_pieces(T_DATA + 3000, 999, tso4));
    assert_int_equal(wire.nsent, 0);
    wire.busy = false;
    wire.room = 2;
    assert_true(send_pieces(T_DATA + 3000, 999, tso4));
    assert_int_equal(wire.nsent, 2);
}

/* What makes no sense is dropped, and nothing is read past the frame. */
static void nonsense(void **state)
{
    static const struct {
        unsigned at;
        uint8_t value;
    } bytes[] = {{12, 0x86},     {T_IP, 0x65},       {T_IP, 0x44},
                 {T_IP + 9, 17}, {T_TCP + 12, 0x40}, {T_TCP + 12, 0xf0}};
    struct net_offload off[10];

    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(off); i++)
        off[i] = tso4;
    off[0].csum_start = 65535;
    off[1].csum_start = T_IP;
    off[2].csum_offset = 6;
    off[3].gso_size = 0;
    off[4].gso_size = 10;
    off[5].gso = 2;
    off[6].gso = 3;
    off[7].flags = 0;
    off[8].csum_start = 2;
    off[9].gso = NET_GSO_ECN;
    make_tcp4(frame, 60);
    for (unsigned i = 0; i < ARRAY_LEN(off); i++)
        assert_true(send_pieces(T_DATA + 60, 50, off[i]));
    for (unsigned i = 0; i < ARRAY_LEN(bytes); i++) {
        make_tcp4(frame, 5);
        frame[bytes[i].at] = bytes[i].value;
        assert_true(send_pieces(T_DATA + 5, 50, tso4));
    }
    make_tcp4(frame, 100);
    for (size_t n = 0; n <= T_DATA; n++)
        assert_true(send_pieces(n, 50, tso4));
    assert_int_equal(wire.nsent, 0);
}

/* What drivers of real cards leave out is filled in. */
static void prepare(void **state)
{
    uint8_t want[T_DATA + 100];

    (void)state;
    make_tcp4(want, 100);
    make_tcp4(frame, 100);
    struct inet_sum sum = {0};
    inet_add(&sum, frame + T_IP + 12, 8);
    inet_add16(&sum, 6);
    store_be16(frame + T_TCP + 16, inet_fold(&sum));
    store_be16(frame + T_IP + 2, 0);
    store_be16(frame + T_IP + 10, 0);
    net_prepare_tso(frame, T_DATA + 100, T_IP, T_TCP);
    assert_memory_equal(frame, want, T_DATA);
}

static void addresses(void **state)
{
    static const char *const bad[] = {"",
                                      "52:54:00:12:34",
                                      "52:54:00:12:34:56:78",
                                      "52-54-00-12-34-56",
                                      "g2:54:",
                                      "01:00:5e:00:00:01"};
    uint8_t mac[6];
    struct err e;

    (void)state;
    assert_int_equal(net_parse_mac("x", "0A:b1:C2:d3:E4:f5", mac, &e), 0);
    assert_memory_equal(mac, "\x0a\xb1\xc2\xd3\xe4\xf5", 6);
    for (unsigned i = 0; i < ARRAY_LEN(bad); i++)
        assert_int_equal(net_parse_mac("x", bad[i], mac, &e), -LE_USAGE);
    assert_int_equal(net_parse_mac("x", NULL, mac, &e), 0);
    /* The DP8390 and the RTL8139 hash 01:00:5e:00:00:01 to bit 31. */
    assert_int_equal(
        net_crc((const uint8_t *)"\x01\x00\x5e\x00\x00\x01", 6) >> 26, 31);
    assert_int_equal(net_crc((const uint8_t *)"123456789", 9), 0x9b63d02c);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(checksum),  T(plain), T(sums),     T(segments), T(passed_on),
        T(segments6), T(busy),  T(nonsense), T(prepare),  T(addresses),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
