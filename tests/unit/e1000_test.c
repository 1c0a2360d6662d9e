#include "nic_rig.h"

/* Offsets are written as the manual's register summary has them. */
enum { TXD = 0x200000, RXD = 0x210000, DATA = 0x300000, BUFFERS = 0x400000 };
enum { COUNT = 16 };
extern const struct dev_class e1000_class;

static void rings(struct rig *r)
{
    wr(r, 0x3800, TXD);
    wr(r, 0x3808, COUNT * 16);
    wr(r, 0x0400, 0x2);
    wr(r, 0x2800, RXD);
    wr(r, 0x2808, COUNT * 16);
    for (unsigned i = 0; i < COUNT; i++) {
        store_le64(r->b->env.ram + RXD + 16 * i, BUFFERS + 0x4000 * i);
        store_le64(r->b->env.ram + RXD + 16 * i + 8, 0);
    }
    wr(r, 0x2818, COUNT - 1);
    wr(r, 0x0100, 0x04008002); /* on, broadcast, no FCS */
    r->tail = 0;
}

static int setup(void **state)
{
    struct rig *r = rig_new(&e1000_class);

    wr(r, 0x0000, rd(r, 0) | 0x40); /* SLU */
    (void)rd(r, 0xc0);
    rings(r);
    *state = r;
    return 0;
}

/* --- the chip --- */

static void identity(void **state)
{
    struct rig *r = *state;

    assert_int_equal(conf_read(r->b, DEVFN, 0, 4), 0x100e8086);
    assert_int_equal(conf_read(r->b, DEVFN, 8, 4) >> 8, 0x020000);
    assert_int_equal(rd(r, 0x5400), 0x12005452);
    assert_int_equal(rd(r, 0x5404), 0x80005634);
    assert_int_equal(rd(r, 0x0008) & 0xc3, 0x83); /* up, full duplex, gigabit */
    /* The same through the ports. */
    out(r->b, PORTS, 0x5400, 4);
    assert_int_equal(in(r->b, PORTS + 4, 4), 0x12005452);
    out(r->b, PORTS, 0x0038, 4);
    out(r->b, PORTS + 4, 0x12345, 4);
    assert_int_equal(rd(r, 0x0038), 0x2345);
}

/* §5.3.2: the words clocked out are those that EERD gives; their sum. */
static uint16_t microwire(struct rig *r, unsigned address)
{
    uint32_t command = 6u << 6 | address;
    uint16_t word = 0;

    wr(r, 0x10, 0x40);
    assert_true(rd(r, 0x10) & 0x80);
    wr(r, 0x10, 0x42);
    for (int i = 8; i >= 0; i--) {
        uint32_t di = (command >> i & 1) << 2;
        wr(r, 0x10, 0x42 | di);
        wr(r, 0x10, 0x43 | di);
    }
    assert_int_equal(rd(r, 0x10) & 8, 0); /* the zero before the data */
    for (int i = 0; i < 16; i++) {
        wr(r, 0x10, 0x42);
        wr(r, 0x10, 0x43);
        word = (uint16_t)(word << 1 | (rd(r, 0x10) >> 3 & 1));
    }
    wr(r, 0x10, 0);
    return word;
}

static void eeprom(void **state)
{
    struct rig *r = *state;
    uint16_t sum = 0;

    for (unsigned i = 0; i < 64; i++) {
        wr(r, 0x14, i << 8 | 1);
        uint32_t v = rd(r, 0x14);
        assert_true(v & 0x10);
        assert_int_equal(microwire(r, i), v >> 16);
        sum = (uint16_t)(sum + (v >> 16));
    }
    assert_int_equal(sum, 0xbaba);
    assert_int_equal(microwire(r, 0), 0x5452);
}

static uint32_t mdic(struct rig *r, uint32_t v)
{
    wr(r, 0x20, v);
    return rd(r, 0x20);
}

static void phy(void **state)
{
    struct rig *r = *state;

    assert_int_equal(mdic(r, 0x08220000), 0x18220141); /* read 2 of PHY 1 */
    assert_int_equal(mdic(r, 0x08230000) & 0xfff0, 0x0c20);
    assert_true(mdic(r, 0x08210000) & 0x4);     /* link */
    assert_true(mdic(r, 0x08420000) & BIT(30)); /* no PHY 2 */
    mdic(r, 0x04240000 | 0x0123);
    assert_int_equal(mdic(r, 0x08240000) & 0xffff, 0x0123);
    /* Negotiating anew takes a while; its end is an interrupt. */
    mdic(r, 0x04200000 | 0x1200);
    assert_false(rd(r, 0x8) & 2);
    assert_false(mdic(r, 0x08210000) & 0x24);
    assert_false(rd(r, 0xc0) & 4);
    timer_runs(r);
    assert_true(rd(r, 0x8) & 2);
    assert_true(mdic(r, 0x08210000) & 0x24);
    assert_true(rd(r, 0xc0) & 4);
}

static void link(void **state)
{
    struct rig *r = *state;

    r->wire.net.down = true;
    r->wire.net.link_changed(r->wire.net.dev);
    assert_false(rd(r, 0x8) & 2);
    assert_true(rd(r, 0xc0) & 4);
    assert_int_equal(rd(r, 0xc0), 0); /* reading cleared it */
}

static void interrupts(void **state)
{
    struct rig *r = *state;

    wr(r, 0xc8, 0x80);
    assert_false(pin(r));
    wr(r, 0xd0, 0x80);
    assert_true(pin(r));
    wr(r, 0xd8, 0x80);
    assert_false(pin(r));
    wr(r, 0xd0, 0x80);
    assert_int_equal(rd(r, 0xc0), 0x80);
    assert_false(pin(r));
    wr(r, 0xc8, ~0u);
    wr(r, 0xc0, 0x80);
    assert_int_equal(rd(r, 0xc0) & 0x80, 0);
}

/* ITR in steps of 256 ns. */
static void throttle(void **state)
{
    struct rig *r = *state;

    r->b->now = 1000000;
    wr(r, 0xc4, 100);
    wr(r, 0xd0, 0x80);
    wr(r, 0xc8, 0x80);
    assert_true(pin(r));
    (void)rd(r, 0xc0);
    r->b->now += 10000;
    wr(r, 0xc8, 0x80);
    assert_false(pin(r));
    assert_int_equal(armed_at, 1000000 + 25600);
    timer_runs(r);
    assert_true(pin(r));
    (void)rd(r, 0xc0);
    r->b->now += 25600;
    wr(r, 0xc8, 0x80);
    assert_true(pin(r));
}

/* --- transmission --- */

static void descriptor(struct rig *r, uint64_t low, uint64_t high)
{
    uint8_t *d = r->b->env.ram + TXD + 16 * r->tail;

    store_le64(d, low);
    store_le64(d + 8, high);
    r->tail = (r->tail + 1) % COUNT;
}

static void go(struct rig *r)
{
    wr(r, 0x3818, r->tail);
    run(r);
}

static uint8_t status_of(struct rig *r, unsigned i)
{
    return r->b->env.ram[TXD + 16 * i + 12];
}

static void put(struct rig *r, size_t n)
{
    memcpy(r->b->env.ram + DATA, r->frame, n);
}

#define CMD(c) ((uint64_t)(c) << 24)

static void legacy(void **state)
{
    struct rig *r = *state;

    make_frame(r->frame, OTHER, 200);
    put(r, 200);
    descriptor(r, DATA, 50);
    descriptor(r, DATA + 50, 150 | CMD(0x09)); /* EOP, RS */
    go(r);
    assert_int_equal(r->wire.nsent, 1);
    assert_memory_equal(r->wire.sent[0].p, r->frame, 200);
    assert_int_equal(status_of(r, 0), 0);
    assert_int_equal(status_of(r, 1), 1);
    assert_int_equal(rd(r, 0x3810), 2);
    assert_int_equal(rd(r, 0xc0) & 3, 3); /* TXDW, TXQE */
    assert_int_equal(rd(r, 0x4080), 1);   /* GPTC */
    assert_int_equal(rd(r, 0x4080), 0);
    assert_int_equal(rd(r, 0x40e0), 1); /* 128 to 255 bytes */
    assert_int_equal(rd(r, 0x4090), 204);
    assert_int_equal(rd(r, 0x4090), 204);
    assert_int_equal(rd(r, 0x4094), 0);
    assert_int_equal(rd(r, 0x4090), 0);
}

static void legacy_sum(void **state)
{
    struct rig *r = *state;

    make_tcp4(r->frame, 333);
    put(r, T_DATA + 333);
    descriptor(r, DATA,
               (T_DATA + 333) | (T_TCP + 16) << 16 | CMD(0x0d) |
                   (uint64_t)T_TCP << 40);
    go(r);
    assert_true(tcp4_is_right(r->wire.sent[0].p, r->wire.sent[0].n));
}

static void context(struct rig *r, uint8_t command, size_t payload,
                    unsigned mss)
{
    descriptor(r,
               T_IP | (T_IP + 10) << 8 | (uint64_t)(T_TCP - 1) << 16 |
                   (uint64_t)T_TCP << 32 | (uint64_t)(T_TCP + 16) << 40,
               payload | CMD(0x20 | command) | (uint64_t)T_DATA << 40 |
                   (uint64_t)mss << 48);
}

static void sums(void **state)
{
    struct rig *r = *state;

    make_tcp4(r->frame, 300);
    store_be16(r->frame + T_IP + 10, 0);
    put(r, T_DATA + 300);
    context(r, 0x03, 0, 0);
    descriptor(r, DATA,
               (T_DATA + 300) | 1 << 20 | CMD(0x29) | (uint64_t)3 << 40);
    go(r);
    assert_int_equal(r->wire.nsent, 1);
    assert_true(tcp4_is_right(r->wire.sent[0].p, T_DATA + 300));
}

/* As drivers leave it: no lengths, no IP checksum. */
static void prepare_tso(struct rig *r, size_t payload)
{
    struct inet_sum sum = {0};

    make_tcp4(r->frame, payload);
    store_be16(r->frame + T_IP + 2, 0);
    store_be16(r->frame + T_IP + 10, 0);
    inet_add(&sum, r->frame + T_IP + 12, 8);
    inet_add16(&sum, 6);
    store_be16(r->frame + T_TCP + 16, inet_fold(&sum));
    put(r, T_DATA + payload);
    context(r, 0x07, payload, 1460);
    descriptor(r, DATA, T_DATA | 1 << 20 | CMD(0x24) | (uint64_t)3 << 40);
    descriptor(r, DATA + T_DATA, payload | 1 << 20 | CMD(0x2d));
}

static void segments(void **state)
{
    struct rig *r = *state;
    size_t at = 0;

    prepare_tso(r, 4000);
    go(r);
    assert_int_equal(r->wire.nsent, 3);
    for (unsigned i = 0; i < 3; i++) {
        const uint8_t *p = r->wire.sent[i].p;
        size_t n = r->wire.sent[i].n;

        assert_int_equal(n - T_DATA, i < 2 ? 1460 : 1080);
        assert_true(tcp4_is_right(p, n));
        assert_memory_equal(p + T_DATA, r->frame + T_DATA + at, n - T_DATA);
        at += n - T_DATA;
    }
    assert_int_equal(rd(r, 0x40f8), 1); /* TSCTC */
    /* One that fits in a segment. */
    prepare_tso(r, 700);
    go(r);
    assert_int_equal(r->wire.nsent, 4);
    assert_true(tcp4_is_right(r->wire.sent[3].p, T_DATA + 700));
}

static void tags(void **state)
{
    struct rig *r = *state;

    wr(r, 0x0, rd(r, 0) | BIT(30));
    make_tcp4(r->frame, 100);
    put(r, T_DATA + 100);
    context(r, 0x03, 0, 0);
    descriptor(r, DATA,
               (T_DATA + 100) | 1 << 20 | CMD(0x69) | (uint64_t)2 << 40 |
                   (uint64_t)0x6005 << 48);
    go(r);
    const uint8_t *p = r->wire.sent[0].p;
    assert_int_equal(r->wire.sent[0].n, T_DATA + 104);
    assert_memory_equal(p, r->frame, 12);
    assert_memory_equal(p + 12, "\x81\x00\x60\x05\x08\x00", 6);
    memcpy(r->frame + 4, p, 12); /* without the tag */
    memcpy(r->frame + 16, p + 16, T_DATA + 88);
    assert_true(tcp4_is_right(r->frame + 4, T_DATA + 100));
}

static void busy(void **state)
{
    struct rig *r = *state;

    r->wire.busy = true;
    prepare_tso(r, 4000);
    go(r);
    assert_int_equal(rd(r, 0x3810), 2); /* the last descriptor waits */
    unblock(r);
    assert_int_equal(r->wire.nsent, 3);
    assert_true(tcp4_is_right(r->wire.sent[2].p, r->wire.sent[2].n));
    assert_int_equal(rd(r, 0x3810), 3);
}

/* What waited for the cable is forgotten. */
static void reset_under_way(void **state)
{
    struct rig *r = *state;

    r->wire.busy = true;
    prepare_tso(r, 4000);
    go(r);
    wr(r, 0x0, BIT(26));
    unblock(r);
    assert_int_equal(r->wire.nsent, 0);
    wr(r, 0x0, rd(r, 0) | 0x40);
    rings(r);
    wr(r, 0x3818, 0);
    make_frame(r->frame, OTHER, 100);
    put(r, 100);
    descriptor(r, DATA, 100 | CMD(0x0b));
    go(r);
    assert_int_equal(r->wire.nsent, 1);
    assert_int_equal(r->wire.sent[0].n, 100);
}

/* Descriptors that are lies: nothing is sent, the ring goes on. */
static void lies(void **state)
{
    struct rig *r = *state;

    descriptor(r, 0xd0000000, 100 | CMD(0x09)); /* nowhere */
    descriptor(r, DATA, 5 | CMD(0x09));         /* no header */
    descriptor(r, DATA, 0xfffff | 1 << 20 | CMD(0x29));
    context(r, 0x07, 0xfffff, 0);
    descriptor(r, DATA, 10 | 1 << 20 | CMD(0x2d));
    go(r);
    assert_int_equal(r->wire.nsent, 0);
    assert_int_equal(rd(r, 0x3810), r->tail);
    assert_int_equal(status_of(r, 0), 1);
    wr(r, 0x3818, COUNT + 5); /* a tail outside the ring: it stops */
    run(r);
    wr(r, 0x3808, 0);
    go(r);
    make_frame(r->frame, OTHER, 100);
    put(r, 100);
    rings(r);
    wr(r, 0x3810, 0);
    descriptor(r, DATA, 100 | CMD(0x09));
    go(r);
    assert_int_equal(r->wire.nsent, 1);
}

/* --- reception --- */

static uint8_t *received(struct rig *r, unsigned i, uint16_t *n)
{
    uint8_t *d = r->b->env.ram + RXD + 16 * i;

    *n = load_le16(d + 8);
    return d[12] & 1 ? d : NULL;
}

static void receives(void **state)
{
    struct rig *r = *state;
    uint16_t n;

    assert_true(give(r, MAC, 100));
    uint8_t *d = received(r, 0, &n);
    assert_non_null(d);
    assert_int_equal(n, 100);
    assert_int_equal(d[12] & 3, 3);
    assert_int_equal(d[13], 0);
    assert_memory_equal(r->b->env.ram + BUFFERS, r->frame, 100);
    assert_int_equal(rd(r, 0x2810), 1);
    assert_true(rd(r, 0xc0) & 0x80);
    assert_int_equal(rd(r, 0x4074), 1); /* GPRC */
    /* A short one is padded; with its FCS when that is not stripped. */
    wr(r, 0x100, 0x00008002);
    assert_true(give(r, MAC, 42));
    assert_non_null(received(r, 1, &n));
    assert_int_equal(n, 64);
    assert_int_equal(r->b->env.ram[BUFFERS + 0x4000 + 42], 0);
}

static void long_frames(void **state)
{
    struct rig *r = *state;
    uint16_t n;

    assert_true(give(r, MAC, 5000));
    assert_null(received(r, 0, &n));
    assert_int_equal(rd(r, 0x40ac), 1); /* ROC */
    wr(r, 0x100, 0x04008022);           /* LPE */
    assert_true(give(r, MAC, 5000));
    for (unsigned i = 0; i < 3; i++) {
        uint8_t *d = received(r, i, &n);
        assert_non_null(d);
        assert_int_equal(n, i < 2 ? 2048 : 904);
        assert_int_equal(d[12] & 2, i < 2 ? 0 : 2);
        assert_memory_equal(r->b->env.ram + BUFFERS + 0x4000 * i,
                            r->frame + 2048 * i, n);
    }
    wr(r, 0x100, 0x06010022); /* 16 KB buffers */
    assert_true(give(r, MAC, 16000));
    assert_non_null(received(r, 3, &n));
    assert_int_equal(n, 16000);
}

static void no_room(void **state)
{
    struct rig *r = *state;
    uint16_t n;

    wr(r, 0x2818, 2);
    assert_true(give(r, MAC, 100));
    (void)rd(r, 0xc0);
    assert_true(give(r, MAC, 100));
    assert_true(rd(r, 0xc0) & 0x10); /* RXDMT0 */
    assert_false(give(r, MAC, 100));
    assert_null(received(r, 2, &n));
    wr(r, 0x2818, 5);
    assert_int_equal(r->wire.resumed, 1);
    assert_true(give(r, MAC, 100));
    wr(r, 0x2818, COUNT + 3); /* outside: nothing is the card's */
    assert_false(give(r, MAC, 100));
    wr(r, 0x100, 0); /* off: dropped, and asked for so */
    assert_int_equal(r->wire.resumed, 2);
    assert_true(give(r, MAC, 100));
}

/* A buffer that is not there, then a ring that is not. */
static void receives_nowhere(void **state)
{
    struct rig *r = *state;
    uint8_t *ring = r->b->env.ram + RXD;
    uint64_t before;

    store_le64(ring, 0xd0000000);
    before = memory_sum(r);
    (void)give(r, MAC, 100);
    store_le64(ring, 0xd0000000);
    store_le64(ring + 8, 0); /* what the card wrote back */
    assert_int_equal(memory_sum(r), before);
    wr(r, 0x2800, 0xd0000000);
    (void)give(r, MAC, 100);
    (void)give(r, MAC, 100);
    assert_int_equal(memory_sum(r), before);
}

static bool hears(struct rig *r, const char *to)
{
    uint32_t before = rd(r, 0x2810);

    assert_true(give(r, to, 100));
    wr(r, 0x2818, (rd(r, 0x2810) + COUNT - 1) % COUNT);
    return rd(r, 0x2810) != before;
}

static void filters(void **state)
{
    struct rig *r = *state;
    uint32_t base = 0x04000002;

    assert_int_equal(heard(r, hears), TO_MAC | TO_ALL);
    wr(r, 0x100, base);
    assert_int_equal(heard(r, hears), TO_MAC);
    wr(r, 0x100, base | 8);
    assert_int_equal(heard(r, hears), TO_MAC | TO_OTHER);
    wr(r, 0x100, base | 0x10);
    assert_int_equal(heard(r, hears), TO_MAC | TO_ALL | TO_GROUP | TO_GROUP2);
    wr(r, 0x100, base);
    wr(r, 0x5478, 0x12005452); /* the last pair of addresses */
    wr(r, 0x547c, 0x80005734);
    assert_int_equal(heard(r, hears), TO_MAC | TO_OTHER);
    wr(r, 0x547c, 0x00005734);
    assert_int_equal(heard(r, hears), TO_MAC);
    /* 01:00:5e:00:00:01 is bit 0x010 of the hash by bits 47 to 36. */
    wr(r, 0x5200, BIT(16));
    assert_int_equal(heard(r, hears), TO_MAC | TO_GROUP);
    wr(r, 0x100, base | 3 << 12); /* by bits 43 to 32: 0x100 */
    assert_int_equal(heard(r, hears), TO_MAC);
    wr(r, 0x5220, BIT(0));
    assert_int_equal(heard(r, hears), TO_MAC | TO_GROUP);
}

static void vlans(void **state)
{
    struct rig *r = *state;
    uint16_t n;

    wr(r, 0x0, rd(r, 0) | BIT(30));
    wr(r, 0x100, 0x04048002);
    make_frame(r->frame, MAC, 100);
    memcpy(r->frame + 12, "\x81\x00\x60\x25", 4);
    assert_true(wire_give(&r->wire, r->frame, 100));
    assert_null(received(r, 0, &n));
    wr(r, 0x5604, BIT(5)); /* VLAN 0x25 */
    assert_true(wire_give(&r->wire, r->frame, 100));
    uint8_t *d = received(r, 0, &n);
    assert_non_null(d);
    assert_int_equal(n, 96);
    assert_true(d[12] & 8);
    assert_int_equal(load_le16(d + 14), 0x6025);
    assert_memory_equal(r->b->env.ram + BUFFERS + 12, r->frame + 16, 84);
}

static void receive_sums(void **state)
{
    struct rig *r = *state;
    struct net_offload partial = {NET_CSUM_PARTIAL, 0, 0, 0, T_TCP, 16};
    struct net_offload valid = {.flags = NET_CSUM_VALID};
    uint16_t n;

    wr(r, 0x5000, 0x300);
    make_tcp4(r->frame, 100);
    assert_int_equal(r->wire.accepted, NET_OFF_CSUM);
    assert_true(wire_give_off(&r->wire, r->frame, T_DATA + 100, partial));
    uint8_t *d = received(r, 0, &n);
    assert_int_equal(d[12], 0x63);
    assert_true(tcp4_is_right(r->b->env.ram + BUFFERS, n));
    assert_true(wire_give_off(&r->wire, r->frame, T_DATA + 100, valid));
    assert_int_equal(received(r, 1, &n)[12], 0x63);
    assert_true(wire_give(&r->wire, r->frame, T_DATA + 100));
    assert_int_equal(received(r, 2, &n)[12], 0x43); /* nobody vouches */
    r->frame[T_IP + 8]--;
    assert_true(wire_give(&r->wire, r->frame, T_DATA + 100));
    assert_int_equal(received(r, 3, &n)[13], 0x40);
    assert_true(give(r, MAC, 100));
    assert_int_equal(received(r, 4, &n)[12], 7); /* no IP */
}

/* --- life --- */

static void snapshot(void **state)
{
    struct rig *r = *state;
    uint16_t n;

    wr(r, 0xd0, 0x80);
    r->wire.busy = true;
    make_frame(r->frame, OTHER, 100);
    put(r, 100);
    descriptor(r, DATA, 100 | CMD(0x09));
    go(r); /* one is held: it is lost, and nothing of it is sent */
    assert_true(give(r, MAC, 100));
    assert_true(pin(r));
    r->wire.busy = false;
    through_snapshot(r);
    run(r);
    assert_int_equal(r->wire.nsent, 0);
    assert_int_equal(rd(r, 0x3810), 1);
    assert_true(pin(r));
    assert_true(give(r, MAC, 100));
    assert_non_null(received(r, 1, &n));
    descriptor(r, DATA, 100 | CMD(0x09));
    go(r);
    assert_int_equal(r->wire.nsent, 1);
}

static void soft_reset(void **state)
{
    struct rig *r = *state;

    wr(r, 0x5400, 0);
    wr(r, 0xd0, 0x80);
    wr(r, 0xc8, 0x80);
    wr(r, 0x0, BIT(26));
    assert_int_equal(rd(r, 0x5400), 0x12005452); /* from the EEPROM */
    assert_false(pin(r));
    assert_int_equal(rd(r, 0x0) & BIT(26), 0);
    assert_int_equal(rd(r, 0x100), 0);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, rig_free)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(identity),
        T(eeprom),
        T(phy),
        T(link),
        T(interrupts),
        T(throttle),
        T(legacy),
        T(legacy_sum),
        T(sums),
        T(segments),
        T(tags),
        T(busy),
        T(lies),
        T(receives),
        T(long_frames),
        T(no_room),
        T(filters),
        T(vlans),
        T(receive_sums),
        T(snapshot),
        T(soft_reset),
        T(reset_under_way),
        T(receives_nowhere),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
