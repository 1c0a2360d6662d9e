#include "lodge/host.h"
#include "ring.h"

enum { BASE = 0x200000, DATA = 0x300000, TABLE = 0x400000, SPANS = 40 };

struct rig {
    struct board *b;
    struct virtq q;
    struct ring r;
    struct span span[SPANS];
    gpa_t addr[SPANS];
    struct virtq_buf buf;
};

static void set_up(struct rig *t, unsigned size)
{
    t->r = ring_make(t->b, BASE, size);
    virtq_reset(&t->q);
    t->q.size = (uint16_t)size;
    t->q.desc = t->r.desc;
    t->q.driver = t->r.avail;
    t->q.device = t->r.used;
    t->q.ready = true;
    t->q.indirect = true;
}

static int setup(void **state)
{
    struct rig *t = calloc(1, sizeof *t);

    t->b = board_new();
    t->q = (struct virtq){.mem = t->b->env.mem, .max = 256};
    t->buf = (struct virtq_buf){.span = t->span, .addr = t->addr, .max = SPANS};
    set_up(t, 8);
    *state = t;
    return 0;
}

static int teardown(void **state)
{
    struct rig *t = *state;

    board_free(t->b);
    free(t);
    return 0;
}

static void chain(void **state)
{
    struct rig *t = *state;
    uint32_t head, len;

    assert_int_equal(virtq_pop(&t->q, &t->buf), 0);
    ring_desc(&t->r, 5, DATA, 16, D_NEXT, 2);
    ring_desc(&t->r, 2, DATA + 0x1000, 512, D_NEXT | D_WRITE, 7);
    ring_desc(&t->r, 7, DATA + 0x2000, 1, D_WRITE, 0);
    ring_offer(&t->r, 5);
    assert_int_equal(virtq_pop(&t->q, &t->buf), 1);
    assert_int_equal(t->buf.head, 5);
    assert_int_equal(t->buf.nout, 1);
    assert_int_equal(t->buf.nin, 2);
    assert_int_equal(t->buf.out_bytes, 16);
    assert_int_equal(t->buf.in_bytes, 513);
    assert_ptr_equal(t->span[0].p, t->b->env.ram + DATA);
    assert_int_equal(t->span[1].n, 512);
    assert_int_equal(t->addr[2], DATA + 0x2000);
    assert_int_equal(virtq_pop(&t->q, &t->buf), 0);
    virtq_push(&t->q, &t->buf, 513);
    assert_true(ring_take(&t->r, &head, &len));
    assert_int_equal(head, 5);
    assert_int_equal(len, 513);
    assert_false(ring_take(&t->r, &head, &len));
}

/* Indices run through 16 bits and around the ring many times. */
static void wraps(void **state)
{
    struct rig *t = *state;
    uint32_t head, len;

    for (unsigned i = 0; i < 8; i++)
        ring_desc(&t->r, i, DATA + i, 1, 0, 0);
    for (unsigned i = 0; i < 70000; i++) {
        ring_offer(&t->r, (uint16_t)(i * 3 % 8));
        assert_int_equal(virtq_pop(&t->q, &t->buf), 1);
        assert_int_equal(t->buf.head, i * 3 % 8);
        virtq_push(&t->q, &t->buf, i);
        assert_true(ring_take(&t->r, &head, &len));
        assert_int_equal(len, i);
    }
}

static void unpop(void **state)
{
    struct rig *t = *state;

    ring_desc(&t->r, 0, DATA, 1, 0, 0);
    ring_offer(&t->r, 0);
    assert_int_equal(virtq_pop(&t->q, &t->buf), 1);
    assert_int_equal(virtq_pop(&t->q, &t->buf), 0);
    virtq_unpop(&t->q, 1);
    assert_int_equal(virtq_pop(&t->q, &t->buf), 1);
}

static void indirect(void **state)
{
    struct rig *t = *state;

    /* A plain descriptor may come before the indirect one. */
    ring_desc(&t->r, 0, DATA, 8, D_NEXT, 1);
    ring_desc(&t->r, 1, TABLE, 48, D_INDIRECT | D_WRITE, 0);
    ring_desc_at(&t->r, TABLE, 0, DATA + 0x100, 8, D_NEXT, 2);
    ring_desc_at(&t->r, TABLE, 2, DATA + 0x200, 4, D_NEXT | D_WRITE, 1);
    ring_desc_at(&t->r, TABLE, 1, DATA + 0x300, 4, D_WRITE, 0);
    ring_offer(&t->r, 0);
    assert_int_equal(virtq_pop(&t->q, &t->buf), 1);
    assert_int_equal(t->buf.nout, 2);
    assert_int_equal(t->buf.nin, 2);
    assert_int_equal(t->addr[3], DATA + 0x300);

    /* It may hold more than the ring does. */
    ring_desc(&t->r, 0, TABLE, 16 * 30, D_INDIRECT, 0);
    for (unsigned i = 0; i < 30; i++)
        ring_desc_at(&t->r, TABLE, i, DATA + i, 1, i < 29 ? D_NEXT : 0,
                     (uint16_t)(i + 1));
    ring_offer(&t->r, 0);
    assert_int_equal(virtq_pop(&t->q, &t->buf), 1);
    assert_int_equal(t->buf.nout, 30);
}

/* A table or a buffer may lie across two pieces of RAM. */
static void pieces(void **state)
{
    struct rig *t = *state;
    struct region extra = {
        .name = "extra", .size = 0x1000, .ram = calloc(1, 0x1000)};
    uint64_t end = BOARD_RAM;

    assert_int_equal(space_map(t->b->env.mem, end, &extra, 0), 0);
    ring_desc(&t->r, 0, end - 16, 32, D_INDIRECT, 0);
    ring_desc_at(&t->r, end - 16, 0, end - 4, 10, D_NEXT, 1);
    store_le64(extra.ram, DATA);
    store_le32(extra.ram + 8, 3);
    ring_offer(&t->r, 0);
    assert_int_equal(virtq_pop(&t->q, &t->buf), 1);
    assert_int_equal(t->buf.nout, 3);
    assert_int_equal(t->span[0].n, 4);
    assert_int_equal(t->span[1].n, 6);
    assert_ptr_equal(t->span[1].p, extra.ram);
    assert_int_equal(t->buf.out_bytes, 13);
    space_unmap(&extra);
    free(extra.ram);
}

static void empty_descriptors(void **state)
{
    struct rig *t = *state;

    ring_desc(&t->r, 0, 0xdead0000, 0, D_NEXT, 1);
    ring_desc(&t->r, 1, DATA, 0, D_WRITE, 0);
    ring_offer(&t->r, 0);
    assert_int_equal(virtq_pop(&t->q, &t->buf), 1);
    assert_int_equal(t->buf.nout + t->buf.nin, 0);
}

/* --- a driver that breaks the rules --- */

static void expect_broken(struct rig *t, uint16_t head)
{
    uint16_t used = ring_used_idx(&t->r);

    ring_offer(&t->r, head);
    assert_int_equal(virtq_pop(&t->q, &t->buf), -LE_FORMAT);
    assert_true(t->q.broken);
    /* Nothing works any more, nothing is written. */
    assert_int_equal(virtq_pop(&t->q, &t->buf), -LE_FORMAT);
    virtq_push(&t->q, &t->buf, 1);
    assert_int_equal(ring_used_idx(&t->r), used);
    assert_false(virtq_wants_irq(&t->q));
    assert_false(virtq_listen(&t->q, true));
    set_up(t, 8);
}

static void bad_chains(void **state)
{
    struct rig *t = *state;

    expect_broken(t, 8); /* no such head */
    expect_broken(t, 0xffff);
    ring_desc(&t->r, 0, DATA, 1, D_NEXT, 8); /* no such next */
    expect_broken(t, 0);
    ring_desc(&t->r, 0, DATA, 1, D_NEXT, 0); /* loops */
    expect_broken(t, 0);
    ring_desc(&t->r, 0, DATA, 0, D_NEXT, 1);
    ring_desc(&t->r, 1, DATA, 0, D_NEXT, 0);
    expect_broken(t, 0);
    ring_desc(&t->r, 0, DATA, 1, D_NEXT | D_WRITE, 1); /* read after write */
    ring_desc(&t->r, 1, DATA, 1, 0, 0);
    expect_broken(t, 0);
}

static void bad_addresses(void **state)
{
    struct rig *t = *state;
    static const struct {
        uint64_t addr;
        uint32_t len;
    } bad[] = {
        {0xf0000000, 1},
        {BOARD_RAM - 1, 2},
        {0xffffffffffffffff, 1},
        {0xffffffffffffff00, 0x200},
        {0xfffffffffffffffe, 1},
        {0xa0000, 1},
        {0x9ffff, 2},
        {0x1000, 0xffffffff},
        {1ull << 52, 16},
        {0x7fffffffffffffff, 0x1000},
    };

    for (unsigned i = 0; i < ARRAY_LEN(bad); i++)
        for (uint16_t flags = 0; flags <= D_WRITE; flags += D_WRITE) {
            ring_desc(&t->r, 0, bad[i].addr, bad[i].len, flags, 0);
            expect_broken(t, 0);
        }
}

static void read_only_memory(void **state)
{
    struct rig *t = *state;
    struct region rom = {.name = "rom",
                         .size = 0x1000,
                         .ram = calloc(1, 0x1000),
                         .readonly = true};

    space_map(t->b->env.mem, 0xf0000000, &rom, 0);
    ring_desc(&t->r, 0, 0xf0000000, 16, D_WRITE, 0);
    expect_broken(t, 0);
    space_unmap(&rom);
    free(rom.ram);
}

/* Each length is fine, their sum is not: §2.7.5 allows 4 GB in all. */
static void too_long(void **state)
{
    struct rig *t = *state;
    enum { LEN = 0x50000000 };
    struct region large = {
        .name = "large", .size = LEN, .ram = host_ram_alloc(LEN)};

    space_map(t->b->env.mem, 1ull << 32, &large, 0);
    for (unsigned i = 0; i < 4; i++)
        ring_desc(&t->r, i, 1ull << 32, LEN, i < 3 ? D_NEXT : 0,
                  (uint16_t)(i + 1));
    ring_offer(&t->r, 1);
    assert_int_equal(virtq_pop(&t->q, &t->buf), 1);
    assert_int_equal(t->buf.out_bytes, 3ull * LEN);
    for (unsigned i = 0; i < 4; i++)
        ring_desc(&t->r, i, 1ull << 32, LEN, i < 3 ? D_NEXT : 0,
                  (uint16_t)(i + 1));
    expect_broken(t, 0);
    space_unmap(&large);
    host_ram_free(large.ram, LEN);
}

static void too_many_spans(void **state)
{
    struct rig *t = *state;

    ring_desc(&t->r, 0, TABLE, 16 * (SPANS + 1), D_INDIRECT, 0);
    for (unsigned i = 0; i <= SPANS; i++)
        ring_desc_at(&t->r, TABLE, i, DATA, 1, i < SPANS ? D_NEXT : 0,
                     (uint16_t)(i + 1));
    expect_broken(t, 0);
}

static void bad_indirect(void **state)
{
    struct rig *t = *state;

    ring_desc_at(&t->r, TABLE, 0, DATA, 1, 0, 0);
    ring_desc(&t->r, 0, TABLE, 0, D_INDIRECT, 0);
    expect_broken(t, 0);
    ring_desc(&t->r, 0, TABLE, 17, D_INDIRECT, 0);
    expect_broken(t, 0);
    ring_desc(&t->r, 0, TABLE, 16 * (VIRTQ_MAX + 1), D_INDIRECT, 0);
    expect_broken(t, 0);
    ring_desc(&t->r, 0, TABLE, 0xfffffff0, D_INDIRECT, 0);
    expect_broken(t, 0);
    ring_desc(&t->r, 0, TABLE, 16, D_INDIRECT | D_NEXT, 1);
    expect_broken(t, 0);
    ring_desc(&t->r, 0, 0xf0000000, 16, D_INDIRECT, 0);
    expect_broken(t, 0);
    ring_desc(&t->r, 0, 0xfffffffffffffff0, 32, D_INDIRECT, 0);
    expect_broken(t, 0);
    ring_desc(&t->r, 0, BOARD_RAM - 16, 32, D_INDIRECT, 0);
    ring_desc_at(&t->r, BOARD_RAM - 16, 0, DATA, 1, D_NEXT, 1);
    expect_broken(t, 0);
    /* In a table: another table, a next beyond it, a loop. */
    ring_desc(&t->r, 0, TABLE, 32, D_INDIRECT, 0);
    ring_desc_at(&t->r, TABLE, 0, TABLE, 16, D_INDIRECT, 0);
    expect_broken(t, 0);
    ring_desc_at(&t->r, TABLE, 0, DATA, 1, D_NEXT, 2);
    ring_desc(&t->r, 0, TABLE, 32, D_INDIRECT, 0);
    expect_broken(t, 0);
    ring_desc_at(&t->r, TABLE, 0, DATA, 1, D_NEXT, 1);
    ring_desc_at(&t->r, TABLE, 1, DATA, 1, D_NEXT, 0);
    ring_desc(&t->r, 0, TABLE, 32, D_INDIRECT, 0);
    expect_broken(t, 0);
    /* Not negotiated. */
    ring_desc_at(&t->r, TABLE, 0, DATA, 1, 0, 0);
    ring_desc(&t->r, 0, TABLE, 16, D_INDIRECT, 0);
    t->q.indirect = false;
    expect_broken(t, 0);
}

static void bad_avail_idx(void **state)
{
    struct rig *t = *state;

    t->r.idx = 8; /* nine at once in a ring of eight */
    expect_broken(t, 0);
    t->r.idx = 0xfffe; /* backwards */
    expect_broken(t, 0);
    t->r.idx = 7; /* eight are fine */
    ring_offer(&t->r, 0);
    assert_int_equal(virtq_pop(&t->q, &t->buf), 1);
}

static void bad_areas(void **state)
{
    struct rig *t = *state;
    static const struct {
        int64_t desc, driver, device;
    } moved[] = {
        {8, 0, 0},
        {0, 1, 0},
        {0, 0, 2},
        {0xf0000000, 0, 0},
        {0, 0xf0000000, 0},
        {0, 0, 0xf0000000},
        {BOARD_RAM - BASE - 64, 0, 0},
        {-0x7fffffffffff0000, 0, 0},
    };

    for (unsigned i = 0; i < ARRAY_LEN(moved); i++) {
        t->q.desc += (uint64_t)moved[i].desc;
        t->q.driver += (uint64_t)moved[i].driver;
        t->q.device += (uint64_t)moved[i].device;
        expect_broken(t, 0);
    }
    t->q.size = 6;
    expect_broken(t, 0);
    t->q.size = 0;
    expect_broken(t, 0);
    t->q.size = 512; /* more than offered */
    expect_broken(t, 0);
}

static void not_ready(void **state)
{
    struct rig *t = *state;

    t->q.ready = false;
    ring_offer(&t->r, 0);
    assert_int_equal(virtq_pop(&t->q, &t->buf), 0);
    virtq_push(&t->q, &t->buf, 0);
    assert_int_equal(ring_used_idx(&t->r), 0);
}

/* --- suppression --- */

static void push_one(struct rig *t)
{
    ring_desc(&t->r, 0, DATA, 1, 0, 0);
    ring_offer(&t->r, 0);
    assert_int_equal(virtq_pop(&t->q, &t->buf), 1);
    virtq_push(&t->q, &t->buf, 0);
}

static void flags_suppress(void **state)
{
    struct rig *t = *state;

    push_one(t);
    assert_true(virtq_wants_irq(&t->q));
    ring_no_irq(&t->r, true);
    push_one(t);
    assert_false(virtq_wants_irq(&t->q));

    assert_false(virtq_listen(&t->q, false));
    assert_int_equal(ring_used_flags(&t->r), 1);
    ring_offer(&t->r, 0);
    assert_true(virtq_listen(&t->q, true)); /* it came meanwhile */
    assert_int_equal(ring_used_flags(&t->r), 0);
    assert_int_equal(virtq_pop(&t->q, &t->buf), 1);
    assert_false(virtq_listen(&t->q, true));
}

static void events_suppress(void **state)
{
    struct rig *t = *state;

    t->q.event_idx = true;
    ring_no_irq(&t->r, true); /* not looked at */
    ring_used_event(&t->r, 0);
    push_one(t);
    assert_true(virtq_wants_irq(&t->q));
    /* Wants to hear when index 3 is used, that is of the fourth. */
    ring_used_event(&t->r, 3);
    push_one(t);
    assert_false(virtq_wants_irq(&t->q));
    push_one(t);
    assert_false(virtq_wants_irq(&t->q));
    push_one(t);
    assert_true(virtq_wants_irq(&t->q));
    push_one(t);
    assert_false(virtq_wants_irq(&t->q));
    /* Several at once, the event among them. */
    ring_used_event(&t->r, 6);
    for (unsigned i = 0; i < 4; i++)
        push_one(t);
    assert_true(virtq_wants_irq(&t->q));
    /* Nothing new, nothing to say. */
    assert_false(virtq_wants_irq(&t->q));

    ring_offer(&t->r, 0);
    assert_true(virtq_listen(&t->q, true));
    assert_int_equal(ring_avail_event(&t->r), 9);
    assert_int_equal(virtq_pop(&t->q, &t->buf), 1);
    assert_false(virtq_listen(&t->q, true));
    assert_int_equal(ring_avail_event(&t->r), 10);
    assert_int_equal(ring_used_flags(&t->r), 0);
}

static void events_wrap(void **state)
{
    struct rig *t = *state;
    unsigned irqs = 0;

    t->q.event_idx = true;
    for (unsigned i = 0; i < 70000; i++) {
        if (i % 10 == 0)
            ring_used_event(&t->r, (uint16_t)(i + 4));
        push_one(t);
        irqs += virtq_wants_irq(&t->q);
    }
    /* One in ten, and the very first look. */
    assert_int_equal(irqs, 7001);
}

static void spans(void **state)
{
    uint8_t a[4] = {1, 2, 3, 4}, b[3] = {5, 6, 7}, out[8] = {0};
    const struct span s[] = {{a, 4}, {NULL, 0}, {b, 3}};

    (void)state;
    assert_int_equal(spans_read(s, 3, 0, out, 8), 7);
    assert_memory_equal(out, "\1\2\3\4\5\6\7\0", 8);
    assert_int_equal(spans_read(s, 3, 5, out, 1), 1);
    assert_int_equal(out[0], 6);
    assert_int_equal(spans_read(s, 3, 7, out, 1), 0);
    assert_int_equal(spans_read(s, 3, UINT64_MAX, out, 1), 0);
    assert_int_equal(spans_write(s, 3, 3, "xyz", 3), 3);
    assert_memory_equal(a, "\1\2\3x", 4);
    assert_memory_equal(b, "yz\7", 3);
}

static void loaded(void **state)
{
    struct rig *t = *state;

    t->q.desc_p = t->q.device_p = t->q.driver_p = (uint8_t *)8;
    assert_int_equal(virtq_loaded(&t->q), 0);
    push_one(t);
    t->q.size = 3;
    assert_int_equal(virtq_loaded(&t->q), -LE_FORMAT);
    t->q.size = 1024;
    assert_int_equal(virtq_loaded(&t->q), -LE_FORMAT);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(chain),          T(wraps),           T(unpop),
        T(indirect),       T(pieces),          T(empty_descriptors),
        T(bad_chains),     T(bad_addresses),   T(read_only_memory),
        T(too_long),       T(too_many_spans),  T(bad_indirect),
        T(bad_avail_idx),  T(bad_areas),       T(not_ready),
        T(flags_suppress), T(events_suppress), T(events_wrap),
        T(spans),          T(loaded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
