#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "host/net/queue.h"
#include "net_wire.h"

static struct queue q;
static uint8_t frame[NET_FRAME_MAX];

static int setup(void **state)
{
    struct err e;

    (void)state;
    assert_int_equal(queue_init(&q, &e), 0);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    queue_exit(&q);
    return 0;
}

/* A segment with `payload` bytes from `at` of the stream on, PSH at will. */
static bool put(uint32_t at, size_t payload, uint8_t flags)
{
    make_tcp4(frame, payload);
    store_be32(frame + T_TCP + 4, T_SEQ + at);
    frame[T_TCP + 13] = 0x10 | flags;
    for (size_t i = 0; i < payload; i++)
        frame[T_DATA + i] = (uint8_t)((at + i) * 31 >> 3);
    return queue_put(&q, frame, T_DATA + payload);
}

static size_t next(struct net_frame *f)
{
    assert_true(queue_peek(&q, f));
    for (size_t i = T_DATA; i < f->bytes; i++) {
        uint32_t at = load_be32(f->sg->p + T_TCP + 4) - T_SEQ;

        assert_int_equal(f->sg->p[i], (uint8_t)((at + i - T_DATA) * 31 >> 3));
    }
    return f->bytes;
}

static void plain(void **state)
{
    struct net_frame f;

    (void)state;
    assert_false(queue_peek(&q, &f));
    assert_true(put(0, 1000, 0));
    assert_true(put(1000, 1000, 0));
    assert_int_equal(next(&f), T_DATA + 1000); /* a card that takes no more */
    assert_int_equal(f.off.flags, 0);
    queue_drop(&q);
    assert_int_equal(next(&f), T_DATA + 1000);
    queue_drop(&q);
    assert_false(queue_peek(&q, &f));
}

static void joins(void **state)
{
    struct net_frame f;

    (void)state;
    queue_accept(&q, NET_OFF_CSUM | NET_OFF_TSO4);
    for (unsigned i = 0; i < 5; i++)
        assert_true(put(1000 * i, 1000, i == 2 ? 8 : 0));
    assert_true(put(5000, 400, 0));
    assert_true(put(5400, 400, 0)); /* the last one was short: a new frame */
    assert_int_equal(next(&f), T_DATA + 5400);
    assert_int_equal(f.off.flags, NET_CSUM_PARTIAL);
    assert_int_equal(f.off.gso, NET_GSO_TCP4);
    assert_int_equal(f.off.gso_size, 1000);
    assert_int_equal(f.off.csum_start, T_TCP);
    assert_int_equal(f.off.csum_offset, 16);
    assert_int_equal(f.sg->p[T_TCP + 13], 0x18);
    assert_int_equal(load_be16(f.sg->p + T_IP + 2), 5440);
    assert_int_equal(inet_checksum(f.sg->p + T_IP, 20), 0);
    inet_complete(f.sg->p, f.bytes, T_TCP, 16);
    assert_true(tcp4_is_right(f.sg->p, f.bytes));
    queue_drop(&q);
    assert_int_equal(next(&f), T_DATA + 400);
    assert_int_equal(f.off.flags, NET_CSUM_VALID);
}

/* One difference each, and no segment joins the one before. */
static void apart(void **state)
{
    static const struct {
        unsigned at;
        uint8_t change;
    } rows[] = {
        {0, 1},           {T_IP + 1, 1},   {T_IP + 8, 1},    {T_IP + 12, 1},
        {T_IP + 19, 1},   {T_TCP, 1},      {T_TCP + 3, 1},   {T_TCP + 7, 1},
        {T_TCP + 13, 1},  {T_TCP + 13, 2}, {T_TCP + 13, 4},  {T_TCP + 13, 0x20},
        {T_TCP + 12, 16}, {T_IP + 7, 1},   {T_IP + 6, 0x20}, {T_IP + 9, 1},
        {T_IP, 1},
    };

    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
        queue_accept(&q, NET_OFF_CSUM | NET_OFF_TSO4);
        queue_clear(&q);
        assert_true(put(0, 500, 0));
        put(500, 500, 0);
        assert_int_equal(q.count, 1);
        queue_clear(&q);
        assert_true(put(0, 500, 0));
        make_tcp4(frame, 500);
        store_be32(frame + T_TCP + 4, T_SEQ + 500);
        frame[T_TCP + 13] = 0x10;
        frame[rows[i].at] ^= rows[i].change;
        assert_true(queue_put(&q, frame, T_DATA + 500));
        assert_int_equal(q.count, 2);
    }
}

static void longest(void **state)
{
    struct net_frame f;
    uint32_t at = 0;

    (void)state;
    queue_accept(&q, NET_OFF_CSUM | NET_OFF_TSO4);
    for (; at < 200000; at += 1448)
        assert_true(put(at, 1448, 0));
    for (at = 0; queue_peek(&q, &f); queue_drop(&q)) {
        assert_true(next(&f) <= 14 + 65535);
        assert_true(q.count == 1 || f.bytes > 14 + 65535 - 1448);
        at += (uint32_t)f.bytes - T_DATA;
    }
    assert_int_equal(at, 139 * 1448);
}

/* Around the ring many times, with frames of all sizes, none lost or mixed. */
static void goes_round(void **state)
{
    uint32_t seed = 1, in = 0, out = 0;
    struct net_frame f;

    (void)state;
    for (unsigned turn = 0; turn < 60000; turn++) {
        seed = seed * 1103515245 + 12345;
        size_t n = 60 + (seed >> 12) % 1500;
        bool fill = turn / 3000 % 2 == 0;
        if (fill || (seed >> 8) % 8 == 0) {
            memset(frame, 0, n);
            store_le32(frame + 20, in);
            store_le32(frame + n - 4, ~in);
            if (queue_put(&q, frame, n))
                in++;
        }
        if (!fill || (seed >> 9) % 8 == 0) {
            if (!queue_peek(&q, &f))
                continue;
            assert_int_equal(load_le32(f.sg->p + 20), out);
            assert_int_equal(load_le32(f.sg->p + f.bytes - 4), ~out);
            queue_drop(&q);
            out++;
        }
        assert_true(q.used <= QUEUE_BYTES);
        assert_int_equal(q.count, in - out);
    }
    assert_true(out > 20000);
}

static unsigned taken, refuse_after;

static bool receive(void *dev, const struct net_frame *f)
{
    (void)dev;
    (void)f;
    if (taken == refuse_after)
        return false;
    taken++;
    return true;
}

static void delivers(void **state)
{
    struct net n = {.receive = receive};

    (void)state;
    for (unsigned i = 0; i < 5; i++)
        assert_true(put(2000 * i, 100, 0));
    refuse_after = 3;
    assert_false(queue_deliver(&q, &n));
    assert_int_equal(q.count, 2);
    refuse_after = 100;
    assert_true(queue_deliver(&q, &n));
    assert_int_equal(taken, 5);
    assert_true(put(0, 100, 0));
    n.receive = NULL; /* no card: lost */
    assert_true(queue_deliver(&q, &n));
    assert_int_equal(q.count, 0);
}

/* A card that takes less than before gets nothing it does not know. */
static void takes_less(void **state)
{
    struct net_frame f;

    (void)state;
    queue_accept(&q, NET_OFF_CSUM | NET_OFF_TSO4);
    put(0, 500, 0);
    put(500, 500, 0);
    queue_accept(&q, NET_OFF_CSUM);
    assert_false(queue_peek(&q, &f));
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(plain),      T(joins),    T(apart),      T(longest),
        T(goes_round), T(delivers), T(takes_less),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
