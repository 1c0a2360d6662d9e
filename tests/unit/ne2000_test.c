#include "nic_rig.h"

/* Ports and values are written as the DP8390's data sheet has them. */
extern const struct dev_class ne2000_class;

static uint8_t rd8(struct rig *r, unsigned port)
{
    return (uint8_t)in(r->b, PORTS + port, 1);
}

static void wr8(struct rig *r, unsigned port, uint8_t v)
{
    out(r->b, PORTS + port, v, 1);
}

/* A ring of pages 46 to 80; frames go out from page 40. */
static int setup(void **state)
{
    static const uint8_t values[][2] = {
        {0, 0x21}, {14, 0x49}, {12, 0x04}, {13, 0x00}, {1, 0x46}, {2, 0x80},
        {3, 0x46}, {4, 0x40},  {7, 0xff},  {15, 0x00}, {0, 0x61}, {7, 0x47},
    };
    struct rig *r = rig_new(&ne2000_class);

    for (unsigned i = 0; i < ARRAY_LEN(values); i++)
        wr8(r, values[i][0], values[i][1]);
    for (unsigned i = 0; i < 6; i++)
        wr8(r, 1 + i, (uint8_t)MAC[i]);
    wr8(r, 0, 0x22);
    *state = r;
    return 0;
}

static void dma(struct rig *r, uint16_t at, uint16_t n, uint8_t command)
{
    wr8(r, 7, 0x40);
    wr8(r, 10, (uint8_t)n);
    wr8(r, 11, n >> 8);
    wr8(r, 8, (uint8_t)at);
    wr8(r, 9, at >> 8);
    wr8(r, 0, command);
}

static void read_memory(struct rig *r, uint16_t at, void *p, uint16_t n)
{
    uint8_t *to = p;

    dma(r, at, n, 0x0a);
    for (unsigned i = 0; i < n; i += 2)
        store_le16(to + i, (uint16_t)in(r->b, PORTS + 16, 2));
    assert_int_equal(rd8(r, 7) & 0x40, 0x40); /* RDC */
}

static void write_memory(struct rig *r, uint16_t at, const uint8_t *p,
                         uint16_t n)
{
    dma(r, at, n, 0x12);
    for (unsigned i = 0; i < n; i += 4)
        out(r->b, PORTS + 16, load_le32(p + i), 4);
    assert_int_equal(rd8(r, 7) & 0x40, 0x40);
}

static void identity(void **state)
{
    struct rig *r = *state;
    uint8_t prom[32];

    assert_int_equal(conf_read(r->b, DEVFN, 0, 4), 0x802910ec);
    assert_int_equal(rd8(r, 10), 0x50);
    assert_int_equal(rd8(r, 11), 0x43);
    read_memory(r, 0, prom, 32);
    for (unsigned i = 0; i < 6; i++)
        assert_int_equal(prom[2 * i], (uint8_t)MAC[i]);
    assert_int_equal(prom[28], 0x57);
    assert_int_equal(prom[31], 0x57);
    dma(r, 0, 12, 0x0a); /* byte by byte it gives every second one */
    for (unsigned i = 0; i < 6; i++)
        assert_int_equal(rd8(r, 16), (uint8_t)MAC[i]);
    assert_int_equal(rd8(r, 7) & 0x40, 0x40);
    rd8(r, 0x18); /* the reset port */
    assert_int_equal(rd8(r, 7), 0x80);
    assert_int_equal(rd8(r, 0), 0x21);
}

static void memory(void **state)
{
    struct rig *r = *state;
    uint8_t there[64], back[64];

    make_frame(there, ALL, 64);
    write_memory(r, 0x4000, there, 64);
    read_memory(r, 0x4000, back, 64);
    assert_memory_equal(back, there, 64);
    write_memory(r, 0x7fe0, there, 64); /* around the end of the ring */
    read_memory(r, 0x4600, back, 32);
    assert_memory_equal(back, there + 32, 32);
    write_memory(r, 0, there, 64); /* the PROM is one, and then nothing */
    read_memory(r, 0, back, 64);
    assert_int_equal(back[0], (uint8_t)MAC[0]);
    assert_int_equal(back[40], 0xff);
    assert_int_equal(in(r->b, PORTS + 16, 2), 0xffff); /* none is left */
}

static void transmit(struct rig *r, uint16_t n)
{
    wr8(r, 4, 0x40);
    wr8(r, 5, (uint8_t)n);
    wr8(r, 6, n >> 8);
    wr8(r, 0, 0x26);
    run(r);
}

static void sends(void **state)
{
    struct rig *r = *state;

    make_frame(r->frame, OTHER, 100);
    write_memory(r, 0x4000, r->frame, 100);
    wr8(r, 7, 0xff);
    transmit(r, 100);
    assert_int_equal(r->wire.nsent, 1);
    assert_memory_equal(r->wire.sent[0].p, r->frame, 100);
    assert_int_equal(rd8(r, 7), 2);
    assert_int_equal(rd8(r, 4), 1);
    assert_int_equal(rd8(r, 0), 0x22);
    r->wire.busy = true;
    transmit(r, 100);
    assert_int_equal(rd8(r, 0), 0x26); /* still at it */
    r->wire.busy = false;
    r->wire.net.writable(r->wire.net.dev);
    run(r);
    assert_int_equal(r->wire.nsent, 2);
    wr8(r, 13, 2); /* loopback: not to the wire */
    transmit(r, 100);
    assert_int_equal(r->wire.nsent, 2);
    wr8(r, 13, 0);
    transmit(r, 0xffff); /* nonsense is done at once */
    assert_int_equal(r->wire.nsent, 2);
    assert_int_equal(rd8(r, 0), 0x22);
}

static uint8_t curr(struct rig *r)
{
    wr8(r, 0, 0x62);
    uint8_t v = rd8(r, 7);
    wr8(r, 0, 0x22);
    return v;
}

static void receives(void **state)
{
    struct rig *r = *state;
    uint8_t back[304];

    assert_true(give(r, MAC, 300));
    assert_int_equal(curr(r), 0x49);
    read_memory(r, 0x4700, back, 304);
    assert_int_equal(back[0], 1);
    assert_int_equal(back[1], 0x49);
    assert_int_equal(load_le16(back + 2), 304);
    assert_memory_equal(back + 4, r->frame, 300);
    assert_false(pin(r));
    wr8(r, 15, 1);
    assert_true(pin(r));
    wr8(r, 7, 1);
    assert_false(pin(r));
    wr8(r, 0, 0x20); /* neither start nor stop: it goes on */
    assert_true(give(r, ALL, 42));
    read_memory(r, 0x4900, back, 70);
    assert_int_equal(back[0], 0x21);
    assert_int_equal(load_le16(back + 2), 64);
    assert_int_equal(back[4 + 42], 0);
}

static void fills_up(void **state)
{
    struct rig *r = *state;
    unsigned n = 0;

    while (give(r, MAC, 1500))
        n++;
    assert_int_equal(n, 9); /* of 6 pages each, in 57 */
    wr8(r, 3, 0x76);
    assert_int_equal(r->wire.resumed, 1);
    assert_true(give(r, MAC, 1500));
    assert_int_equal(curr(r), 0x49); /* around the end */
    wr8(r, 3, 0x45); /* the page before page 46: all up to 49 is unread */
    for (n = 0; give(r, MAC, 1500);)
        n++;
    assert_int_equal(n, 8);
    wr8(r, 1, 0x90); /* a ring that makes no sense takes nothing */
    assert_false(give(r, MAC, 1500));
    wr8(r, 0, 0x21);
    assert_true(give(r, MAC, 1500)); /* stopped: dropped */
}

static bool hears(struct rig *r, const char *to)
{
    uint8_t before = curr(r), after;

    assert_true(give(r, to, 100));
    after = curr(r);
    wr8(r, 3, before);
    return after != before;
}

static void filters(void **state)
{
    struct rig *r = *state;

    assert_int_equal(heard(r, hears), TO_MAC | TO_ALL);
    wr8(r, 12, 0x10);
    assert_int_equal(heard(r, hears), TO_MAC | TO_OTHER);
    wr8(r, 12, 0x08);
    assert_int_equal(heard(r, hears), TO_MAC);
    wr8(r, 0, 0x62);
    wr8(r, 8 + 3, 0x80); /* where 01:00:5e:00:00:01 hashes to */
    wr8(r, 0, 0x22);
    assert_int_equal(heard(r, hears), TO_MAC | TO_GROUP);
    wr8(r, 12, 0x30); /* monitor */
    assert_int_equal(heard(r, hears), 0);
}

static void snapshot(void **state)
{
    struct rig *r = *state;

    wr8(r, 15, 1);
    assert_true(give(r, MAC, 100));
    through_snapshot(r);
    assert_true(pin(r));
    assert_int_equal(curr(r), 0x48);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, rig_free)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(identity), T(memory),  T(sends),    T(receives),
        T(fills_up), T(filters), T(snapshot),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
