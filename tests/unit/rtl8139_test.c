#include "nic_rig.h"

/* Offsets are written as the data sheet's register table has them. */
enum { DATA = 0x300000, RING = 0x400000, RING_BYTES = 8192 };

extern const struct dev_class rtl8139_class;

static uint32_t rd8(struct rig *r, unsigned off)
{
    return in(r->b, PORTS + off, 1);
}

static uint32_t rd16(struct rig *r, unsigned off)
{
    return in(r->b, PORTS + off, 2);
}

static void wr8(struct rig *r, unsigned off, uint8_t v)
{
    out(r->b, PORTS + off, v, 1);
}

static void wr16(struct rig *r, unsigned off, uint16_t v)
{
    out(r->b, PORTS + off, v, 2);
}

static int setup(void **state)
{
    struct rig *r = rig_new(&rtl8139_class);

    wr(r, 0x30, RING);
    wr8(r, 0x37, 0x0c);
    wr(r, 0x44, 0x0000000a); /* own address and broadcast, 8 KB */
    *state = r;
    return 0;
}

static void identity(void **state)
{
    struct rig *r = *state;

    assert_int_equal(conf_read(r->b, DEVFN, 0, 4), 0x813910ec);
    assert_int_equal(conf_read(r->b, DEVFN, 8, 4), 0x02000010);
    assert_int_equal(rd(r, 0), 0x12005452);
    assert_int_equal(rd16(r, 4), 0x5634);
    assert_int_equal(rd(r, 0x40) & 0x7cc00000, 0x74000000); /* RTL8139C */
    assert_int_equal(rd8(r, 0x58) & 4, 0);                  /* link */
    assert_int_equal(rd16(r, 0x64) & 0x24, 0x24);
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(rd(r, 0x10 + 4 * i), 0x2000);
    assert_int_equal(rd8(r, 0x37), 0x0d); /* nothing received */
}

/* §6.3: by the wires of a 93C46. */
static uint16_t eeprom_word(struct rig *r, unsigned address)
{
    uint32_t command = 6u << 6 | address;
    uint16_t word = 0;

    wr8(r, 0x50, 0x80);
    wr8(r, 0x50, 0x88);
    for (int i = 8; i >= 0; i--) {
        uint8_t di = (uint8_t)((command >> i & 1) << 1);
        wr8(r, 0x50, 0x88 | di);
        wr8(r, 0x50, 0x8c | di);
    }
    for (int i = 0; i < 16; i++) {
        wr8(r, 0x50, 0x88);
        wr8(r, 0x50, 0x8c);
        word = (uint16_t)(word << 1 | (rd8(r, 0x50) & 1));
    }
    wr8(r, 0x50, 0);
    return word;
}

static void eeprom(void **state)
{
    struct rig *r = *state;

    assert_int_equal(eeprom_word(r, 0), 0x8129);
    assert_int_equal(eeprom_word(r, 7), 0x5452);
    assert_int_equal(eeprom_word(r, 9), 0x5634);
    wr8(r, 0, 0xaa);
    wr8(r, 0x50, 0x40); /* loads the address again */
    assert_int_equal(rd8(r, 0), 0x52);
    /* The settings can be written in their mode only. */
    wr8(r, 0x52, 0x5f);
    assert_int_equal(rd8(r, 0x52), 0x0c);
    wr8(r, 0x50, 0xc0);
    wr8(r, 0x52, 0x5f);
    assert_int_equal(rd8(r, 0x52), 0x5f);
}

static void interrupts(void **state)
{
    struct rig *r = *state;

    assert_true(give(r, MAC, 100));
    assert_false(pin(r));
    wr16(r, 0x3c, 1);
    assert_true(pin(r));
    wr16(r, 0x3e, 4);
    assert_true(pin(r));
    wr8(r, 0x3e, 1); /* half of it, as drivers may */
    assert_false(pin(r));
    assert_int_equal(rd16(r, 0x3e), 0);
    r->wire.net.down = true;
    r->wire.net.link_changed(r->wire.net.dev);
    assert_int_equal(rd16(r, 0x3e), 0x20);
    assert_int_equal(rd8(r, 0x58) & 4, 4);
}

/* TCTR counts at 33 MHz from when it is written. */
static void timer(void **state)
{
    struct rig *r = *state;

    r->b->now = 5000;
    wr(r, 0x48, 1);
    r->b->now += 1000000;
    assert_int_equal(rd(r, 0x48), 33000);
    wr(r, 0x54, 66000);
    assert_int_equal(armed_at, 5000 + 2000000);
    timer_runs(r);
    assert_int_equal(rd16(r, 0x3e), 0x4000);
    wr(r, 0x54, 0);
}

/* --- */

static void queue(struct rig *r, unsigned i, size_t n)
{
    memcpy(r->b->env.ram + DATA + 0x1000 * i, r->frame, n);
    wr(r, 0x20 + 4 * i, DATA + 0x1000 * i);
    wr(r, 0x10 + 4 * i, (uint32_t)n);
}

static void sends(void **state)
{
    struct rig *r = *state;

    for (unsigned i = 0; i < 6; i++) {
        make_frame(r->frame, OTHER, 100 + i);
        queue(r, i & 3, 100 + i);
        run(r);
        assert_int_equal(r->wire.nsent, i + 1);
        assert_int_equal(r->wire.sent[i].n, 100 + i);
        assert_memory_equal(r->wire.sent[i].p, r->frame, 100 + i);
        assert_int_equal(rd(r, 0x10 + 4 * (i & 3)) & 0xe000, 0xa000);
    }
    assert_int_equal(rd16(r, 0x3e), 4);
    assert_int_equal(rd16(r, 0x60), 0xf00f); /* OWN and TOK of all */
}

static void busy(void **state)
{
    struct rig *r = *state;

    r->wire.busy = true;
    make_frame(r->frame, OTHER, 100);
    queue(r, 0, 100);
    queue(r, 1, 100);
    run(r);
    assert_int_equal(rd(r, 0x10) & 0x2000, 0);
    unblock(r);
    assert_int_equal(r->wire.nsent, 2);
}

/* What waited for the cable is forgotten. */
static void reset_under_way(void **state)
{
    struct rig *r = *state;

    r->wire.busy = true;
    make_frame(r->frame, OTHER, 100);
    queue(r, 0, 100);
    queue(r, 1, 100);
    run(r);
    wr8(r, 0x37, 0x10);
    unblock(r);
    assert_int_equal(r->wire.nsent, 0);
    assert_int_equal(rd(r, 0x10), 0x2000);
    assert_int_equal(rd16(r, 0x3e), 0);
    wr8(r, 0x37, 0x04);
    queue(r, 0, 100);
    run(r);
    assert_int_equal(r->wire.nsent, 1);
}

static void lies(void **state)
{
    struct rig *r = *state;

    make_frame(r->frame, OTHER, 100);
    queue(r, 0, 0x1fff); /* too long */
    wr(r, 0x24, 0xf0000000);
    wr(r, 0x14, 100); /* nowhere */
    queue(r, 2, 0);
    run(r);
    assert_int_equal(r->wire.nsent, 0);
    assert_int_equal(rd(r, 0x10) & 0x40002000, 0x40002000);
    assert_int_equal(rd(r, 0x14) & 0x40002000, 0x40002000);
    assert_int_equal(rd(r, 0x18) & 0x2000, 0x2000);
    wr8(r, 0x37, 0x08); /* off: it waits */
    queue(r, 3, 100);
    run(r);
    assert_int_equal(r->wire.nsent, 0);
    wr8(r, 0x37, 0x0c);
    run(r);
    assert_int_equal(r->wire.nsent, 1);
}

static void loopback(void **state)
{
    struct rig *r = *state;

    wr(r, 0x40, 3 << 17);
    make_frame(r->frame, MAC, 100);
    queue(r, 0, 100);
    run(r);
    assert_int_equal(r->wire.nsent, 0);
    assert_int_equal(load_le16(r->b->env.ram + RING + 2), 104);
    assert_int_equal(rd16(r, 0x3e), 5);
}

/* The packet at `at` of the ring; its length with FCS. */
static uint16_t packet(struct rig *r, unsigned at, uint16_t status)
{
    const uint8_t *p = r->b->env.ram + RING + at;

    assert_int_equal(load_le16(p), status);
    return load_le16(p + 2);
}

static void receives(void **state)
{
    struct rig *r = *state;

    assert_true(give(r, MAC, 101));
    assert_int_equal(packet(r, 0, 0x4001), 105);
    assert_memory_equal(r->b->env.ram + RING + 4, r->frame, 101);
    assert_int_equal(rd16(r, 0x3a), 112); /* CBR: aligned to 4 */
    assert_int_equal(rd8(r, 0x37) & 1, 0);
    assert_true(give(r, ALL, 30)); /* padded */
    assert_int_equal(packet(r, 112, 0x2001), 64);
    wr16(r, 0x38, 112 + 68 - 16);
    assert_int_equal(rd8(r, 0x37) & 1, 1);
    assert_true(give(r, MAC, 1600)); /* longer than frames are */
    assert_int_equal(rd8(r, 0x37) & 1, 1);
}

static void receives_nowhere(void **state)
{
    struct rig *r = *state;
    uint64_t before = memory_sum(r);

    wr(r, 0x30, 0xf0000000);
    for (unsigned i = 0; i < 3; i++)
        (void)give(r, MAC, 1000);
    assert_int_equal(memory_sum(r), before);
    wr8(r, 0x37, 0);
    wr(r, 0x30, RING);
    wr8(r, 0x37, 0x0c);
    wr16(r, 0x38, (uint16_t)(rd16(r, 0x3a) - 16));
    assert_true(give(r, MAC, 101));
    assert_int_not_equal(memory_sum(r), before);
}

/* Until it is full; then around its end, in both ways. */
static void wraps(void **state)
{
    struct rig *r = *state;
    unsigned n = 0;

    while (give(r, MAC, 1500)) {
        n++;
        wr16(r, 0x3e, 1);
    }
    assert_int_equal(rd16(r, 0x3e), 1); /* what is there wants to be read */
    assert_int_equal(n, 5);             /* of 1508 bytes */
    wr16(r, 0x38, 4 * 1508 - 16);
    assert_int_equal(r->wire.resumed, 1);
    assert_true(give(r, MAC, 1500));
    assert_int_equal(packet(r, 5 * 1508, 0x4001), 1504);
    unsigned first = RING_BYTES - 5 * 1508 - 4;
    assert_memory_equal(r->b->env.ram + RING + 5 * 1508 + 4, r->frame, first);
    assert_memory_equal(r->b->env.ram + RING, r->frame + first, 1500 - first);
    assert_int_equal(rd16(r, 0x3a), 6 * 1508 - RING_BYTES);

    wr8(r, 0x37, 0x1c);
    assert_int_equal(rd16(r, 0x3a), 0);
    wr8(r, 0x37, 0x0c);
    wr(r, 0x30, RING);
    wr(r, 0x44, 0x0000008a); /* WRAP */
    for (unsigned i = 0; i < 6; i++) {
        assert_true(give(r, MAC, 1500));
        wr16(r, 0x38, (uint16_t)(rd16(r, 0x3a) - 16));
    }
    assert_memory_equal(r->b->env.ram + RING + 5 * 1508 + 4, r->frame, 1500);
    assert_int_equal(rd16(r, 0x3a), 6 * 1508 - RING_BYTES);
}

static bool hears(struct rig *r, const char *to)
{
    uint32_t before = rd16(r, 0x3a);

    assert_true(give(r, to, 100));
    wr16(r, 0x38, (uint16_t)(rd16(r, 0x3a) - 16));
    return rd16(r, 0x3a) != before;
}

static void filters(void **state)
{
    struct rig *r = *state;

    assert_int_equal(heard(r, hears), TO_MAC | TO_ALL);
    wr(r, 0x44, 0);
    assert_int_equal(heard(r, hears), 0);
    wr(r, 0x44, 1);
    assert_int_equal(heard(r, hears),
                     TO_MAC | TO_OTHER | TO_ALL | TO_GROUP | TO_GROUP2);
    wr(r, 0x44, 4);
    assert_int_equal(heard(r, hears), 0);
    wr(r, 0x08, BIT(31)); /* where 01:00:5e:00:00:01 hashes to */
    assert_int_equal(heard(r, hears), TO_GROUP);
    wr8(r, 0x37, 0x04);
    assert_int_equal(heard(r, hears), 0);
}

static void snapshot(void **state)
{
    struct rig *r = *state;

    wr16(r, 0x3c, 1);
    assert_true(give(r, MAC, 100));
    r->wire.busy = true;
    make_frame(r->frame, OTHER, 100);
    queue(r, 0, 100);
    run(r);
    r->wire.busy = false;
    through_snapshot(r);
    assert_true(pin(r));
    run(r);
    assert_int_equal(r->wire.nsent, 1); /* what waited */
    assert_int_equal(rd16(r, 0x3a), 108);
    assert_int_equal(rd8(r, 0x37), 0x0c);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, rig_free)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(identity), T(eeprom),   T(interrupts),      T(timer),
        T(sends),    T(busy),     T(reset_under_way), T(receives_nowhere),
        T(lies),     T(loopback), T(receives),        T(wraps),
        T(filters),  T(snapshot),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
