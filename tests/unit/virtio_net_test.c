#include "host/posix/loop.h"
#include "net_wire.h"
#include "vdriver.h"

enum { DEVFN = PCI_DEVFN(1, 0), RX = 0, TX = 1, CTRL = 2, HEADER = 12 };
enum { BUFFERS = 0x300000, BUFFER_STEP = 0x1000, OUT = 0x400000 };
#define MAC   "\x52\x54\x00\x12\x34\x56"
#define OTHER "\x52\x54\x00\x12\x34\x57"
#define GROUP "\x01\x00\x5e\x00\x00\x01"
#define ALL   "\xff\xff\xff\xff\xff\xff"

#define F_CSUM       BIT64(0)
#define F_GUEST_CSUM BIT64(1)
#define F_GUEST_TSO4 BIT64(7)
#define F_MRG        BIT64(15)
#define F_CTRL       (BIT64(17) | BIT64(18) | BIT64(20) | BIT64(23) | BIT64(2))
#define F_VLAN       BIT64(19)
#define F_BASE       (BIT64(32) | BIT64(28) | F_CTRL)

extern const struct dev_class i440fx_class, virtio_net_class;

struct rig {
    struct board *b;
    struct host_mutex lock;
    struct dev *host, *nic;
    struct wire wire;
    struct vdriver d;
    struct ring *rx, *tx, *ctrl;
    uint8_t frame[70000];
};

static struct rig *rig_new(void)
{
    struct rig *r = calloc(1, sizeof *r);

    r->b = board_new();
    host_mutex_init(&r->lock);
    r->b->env.loop = loop_create(&r->lock);
    wire_init(&r->wire, 0);
    r->host = board_add(r->b, &i440fx_class, "host");
    r->nic = board_make(r->b, &virtio_net_class, "net");
    *(struct net **)board_prop(r->nic, "net") = &r->wire.net;
    board_attach(r->b, r->nic);
    r->d = vd_find(r->b, DEVFN);
    return r;
}

static void start(struct rig *r, uint64_t features)
{
    assert_true(vd_negotiate(&r->d, F_BASE | features));
    r->rx = vd_queue(&r->d, RX, 16);
    r->tx = vd_queue(&r->d, TX, 16);
    r->ctrl = vd_queue(&r->d, CTRL, 16);
    vd_go(&r->d);
}

static int setup(void **state)
{
    struct rig *r = rig_new();

    start(r, F_CSUM | F_GUEST_CSUM | F_GUEST_TSO4 | F_MRG);
    *state = r;
    return 0;
}

static int teardown(void **state)
{
    struct rig *r = *state;

    wire_clear(&r->wire);
    board_remove(r->nic);
    assert_null(r->wire.net.receive);
    board_remove(r->host);
    loop_destroy(r->b->env.loop);
    host_mutex_destroy(&r->lock);
    board_free(r->b);
    free(r);
    return 0;
}

/* Work that was posted to the loop. */
static void run(struct rig *r)
{
    loop_run_due(r->b->env.loop, false);
}

static uint64_t buffer_at(unsigned i)
{
    return BUFFERS + BUFFER_STEP * i;
}

static void add_buffer(struct rig *r, unsigned i, uint32_t bytes)
{
    ring_desc(r->rx, i, buffer_at(i), bytes, D_WRITE, 0);
    ring_offer(r->rx, (uint16_t)i);
}

static bool give(struct rig *r, const char *to, size_t n)
{
    make_frame(r->frame, to, n);
    return wire_give(&r->wire, r->frame, n);
}

/* --- */

static void identity(void **state)
{
    struct rig *r = *state;

    assert_int_equal(conf_read(r->b, DEVFN, 0, 4), 0x10411af4);
    assert_int_equal(conf_read(r->b, DEVFN, 9, 4) & 0xffffff, 0x020000);
    assert_int_equal(vc_read(&r->d, V_NUM_QUEUES, 2), 3);
    for (unsigned i = 0; i < 6; i++)
        assert_int_equal(mem_read(r->b, r->d.device + i, 1), (uint8_t)MAC[i]);
    assert_int_equal(mem_read(r->b, r->d.device + 6, 2), 1); /* link up */
    assert_int_equal(r->wire.accepted, NET_OFF_CSUM | NET_OFF_TSO4);
}

static void link(void **state)
{
    struct rig *r = *state;

    (void)vd_isr(&r->d);
    r->wire.net.down = true;
    r->wire.net.link_changed(r->wire.net.dev);
    assert_int_equal(mem_read(r->b, r->d.device + 6, 2), 0);
    assert_int_equal(vd_isr(&r->d), 2);
}

static void send_out(struct rig *r, const uint8_t *header, size_t n)
{
    memcpy(r->b->env.ram + OUT, header, HEADER);
    memcpy(r->b->env.ram + OUT + 0x1000, r->frame, n);
    ring_desc(r->tx, 0, OUT, HEADER, D_NEXT, 1);
    ring_desc(r->tx, 1, OUT + 0x1000, 20, D_NEXT, 2);
    ring_desc(r->tx, 2, OUT + 0x1000 + 20, (uint32_t)n - 20, 0, 0);
    ring_offer(r->tx, 0);
    vd_kick(&r->d, TX);
}

static void sends(void **state)
{
    struct rig *r = *state;
    uint32_t head, len;

    make_frame(r->frame, OTHER, 200);
    send_out(r, (const uint8_t[HEADER]){0}, 200);
    assert_int_equal(r->wire.nsent, 0); /* on the loop, not here */
    run(r);
    assert_int_equal(r->wire.nsent, 1);
    assert_int_equal(r->wire.sent[0].n, 200);
    assert_memory_equal(r->wire.sent[0].p, r->frame, 200);
    assert_true(ring_take(r->tx, &head, &len));
    assert_int_equal(len, 0);
    assert_int_equal(vd_isr(&r->d), 1);
}

/* Cut here for a back end that cannot, whole for one that can. */
static void sends_tso(void **state)
{
    struct rig *r = *state;
    uint8_t h[HEADER] = {NET_CSUM_PARTIAL, NET_GSO_TCP4, T_DATA};
    uint32_t head, len;

    store_le16(h + 4, 1448);
    store_le16(h + 6, T_TCP);
    store_le16(h + 8, 16);
    make_tcp4(r->frame, 4000);
    send_out(r, h, T_DATA + 4000);
    run(r);
    assert_int_equal(r->wire.nsent, 3);
    for (unsigned i = 0; i < 3; i++)
        assert_true(tcp4_is_right(r->wire.sent[i].p, r->wire.sent[i].n));
    assert_true(ring_take(r->tx, &head, &len));
    r->wire.net.offloads = NET_OFF_CSUM | NET_OFF_TSO4;
    send_out(r, h, T_DATA + 4000);
    run(r);
    assert_int_equal(r->wire.nsent, 4);
    assert_int_equal(r->wire.sent[3].n, T_DATA + 4000);
    assert_int_equal(r->wire.sent[3].off.gso_size, 1448);
}

static void busy(void **state)
{
    struct rig *r = *state;
    uint32_t head, len;

    r->wire.busy = true;
    make_frame(r->frame, OTHER, 100);
    send_out(r, (const uint8_t[HEADER]){0}, 100);
    run(r);
    assert_false(ring_take(r->tx, &head, &len));
    r->wire.busy = false;
    r->wire.net.writable(r->wire.net.dev);
    run(r);
    assert_int_equal(r->wire.nsent, 1);
    assert_true(ring_take(r->tx, &head, &len));
}

/* What waited for the cable is forgotten. */
static void reset_under_way(void **state)
{
    struct rig *r = *state;
    uint32_t head, len;

    r->wire.busy = true;
    make_frame(r->frame, OTHER, 100);
    send_out(r, (const uint8_t[HEADER]){0}, 100);
    run(r);
    vc_write(&r->d, V_STATUS, 0, 1);
    r->wire.busy = false;
    r->wire.net.writable(r->wire.net.dev);
    run(r);
    assert_int_equal(vc_read(&r->d, V_STATUS, 1), 0);
    assert_int_equal(r->wire.nsent, 0);
    assert_false(ring_take(r->tx, &head, &len));
}

static void lacks_header(void **state)
{
    struct rig *r = *state;

    ring_desc(r->tx, 0, OUT, HEADER - 1, 0, 0);
    ring_offer(r->tx, 0);
    vd_kick(&r->d, TX);
    run(r);
    assert_true(vc_read(&r->d, V_STATUS, 1) & S_NEEDS_RESET);
}

static void receives(void **state)
{
    struct rig *r = *state;
    uint8_t *p = r->b->env.ram + buffer_at(0);
    uint32_t head, len;

    add_buffer(r, 0, 2048);
    assert_true(give(r, MAC, 300));
    assert_true(ring_take(r->rx, &head, &len));
    assert_int_equal(len, HEADER + 300);
    assert_int_equal(load_le16(p + 10), 1);
    assert_memory_equal(p + HEADER, r->frame, 300);
    assert_int_equal(vd_isr(&r->d), 1);
}

static void merges(void **state)
{
    struct rig *r = *state;
    struct net_offload off = {NET_CSUM_PARTIAL, NET_GSO_TCP4, 54, 1448, 34, 16};
    uint8_t *p = r->b->env.ram + buffer_at(0);
    uint32_t head, len = 0, sum = 0;

    make_frame(r->frame, MAC, 5000);
    for (unsigned i = 0; i < 3; i++)
        add_buffer(r, i, 1500);
    assert_false(wire_give_off(&r->wire, r->frame, 5000, off));
    assert_int_equal(ring_used_idx(r->rx), 0); /* all or nothing */
    add_buffer(r, 3, 1500);
    vd_kick(&r->d, RX);
    assert_int_equal(r->wire.resumed, 1);
    assert_true(wire_give_off(&r->wire, r->frame, 5000, off));
    for (unsigned i = 0; i < 4; i++) {
        assert_true(ring_take(r->rx, &head, &len));
        assert_int_equal(head, i);
        assert_memory_equal(r->b->env.ram + buffer_at(i) + (i ? 0 : HEADER),
                            r->frame + (i ? sum - HEADER : 0),
                            len - (i ? 0 : HEADER));
        sum += len;
    }
    assert_int_equal(sum, HEADER + 5000);
    assert_int_equal(p[0], NET_CSUM_PARTIAL);
    assert_int_equal(p[1], NET_GSO_TCP4);
    assert_int_equal(load_le16(p + 4), 1448);
    assert_int_equal(load_le16(p + 10), 4);
}

/* Without merging, what does not fit in one buffer is dropped. */
static void does_not_merge(void **state)
{
    struct rig *r = rig_new();
    uint32_t head, len;

    (void)state;
    start(r, 0);
    add_buffer(r, 0, 100);
    assert_true(give(r, MAC, 200));
    assert_false(ring_take(r->rx, &head, &len));
    assert_true(give(r, MAC, 88));
    assert_true(ring_take(r->rx, &head, &len));
    assert_int_equal(len, 100);
    assert_false(give(r, MAC, 88));
    teardown((void **)&r);
}

static void tiny_buffers(void **state)
{
    struct rig *r = *state;

    add_buffer(r, 0, HEADER - 1);
    assert_true(give(r, MAC, 60));
    assert_true(vc_read(&r->d, V_STATUS, 1) & S_NEEDS_RESET);
    assert_true(give(r, MAC, 60)); /* dropped */
}

/* --- the control queue --- */

static uint8_t command(struct rig *r, unsigned class, unsigned cmd,
                       const void *data, uint32_t n)
{
    uint8_t *p = r->b->env.ram + OUT;
    uint32_t head, len;

    p[0] = (uint8_t) class;
    p[1] = (uint8_t)cmd;
    memcpy(p + 2, data, n);
    p[0x800] = 0xee;
    ring_desc(r->ctrl, 0, OUT, 2, D_NEXT, 1);
    ring_desc(r->ctrl, 1, OUT + 2, n, D_NEXT, 2);
    ring_desc(r->ctrl, 2, OUT + 0x800, 1, D_WRITE, 0);
    ring_offer(r->ctrl, 0);
    vd_kick(&r->d, CTRL);
    assert_true(ring_take(r->ctrl, &head, &len));
    assert_int_equal(len, 1);
    return p[0x800];
}

/* Does a frame for `to` get through? */
static bool hears(struct rig *r, const char *to)
{
    uint32_t head, len;

    add_buffer(r, 0, 2048);
    assert_true(give(r, to, 100));
    if (ring_take(r->rx, &head, &len))
        return true;
    assert_true(give(r, ALL, 100)); /* which takes the buffer again */
    assert_true(ring_take(r->rx, &head, &len));
    return false;
}

static void filters(void **state)
{
    struct rig *r = *state;
    static const struct {
        uint8_t command;
        const char *to;
        bool first;
    } rows[] = {{0, OTHER, false},
                {1, GROUP, false},
                {2, OTHER, false},
                {3, GROUP, true},
                {4, MAC, true}};
    uint8_t one = 1, zero = 0, two = 2;

    assert_true(hears(r, MAC));
    assert_true(hears(r, ALL));
    assert_int_equal(command(r, 0, 1, &one, 1), 0); /* all groups, for row 3 */
    for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
        if (i == 1)
            assert_int_equal(command(r, 0, 1, &zero, 1), 0);
        if (i == 3)
            assert_int_equal(command(r, 0, 1, &one, 1), 0);
        assert_int_equal(hears(r, rows[i].to), rows[i].first);
        assert_int_equal(command(r, 0, rows[i].command, &one, 1), 0);
        assert_int_equal(hears(r, rows[i].to), !rows[i].first);
        assert_int_equal(command(r, 0, rows[i].command, &zero, 1), 0);
    }
    assert_int_equal(command(r, 0, 5, &one, 1), 0); /* no broadcast */
    add_buffer(r, 0, 2048);
    assert_true(give(r, ALL, 100));
    assert_int_equal(ring_used_idx(r->rx), r->rx->seen);
    assert_int_equal(command(r, 0, 0, &two, 1), 1);
    assert_int_equal(command(r, 0, 6, &one, 1), 1);
    assert_int_equal(command(r, 0, 0, &one, 0), 1);
    assert_int_equal(command(r, 99, 0, &one, 1), 1);
}

static void tables(void **state)
{
    struct rig *r = *state;
    uint8_t t[8 + 2 * 6] = {1}, many[4 + 65 * 6 + 4] = {65};

    memcpy(t + 4, OTHER, 6);
    t[10] = 1;
    memcpy(t + 14, GROUP, 6);
    assert_false(hears(r, OTHER));
    assert_false(hears(r, GROUP));
    assert_int_equal(command(r, 1, 0, t, sizeof t), 0);
    assert_true(hears(r, OTHER));
    assert_true(hears(r, GROUP));
    assert_false(hears(r, "\x52\x54\x00\x12\x34\x99"));
    assert_int_equal(command(r, 1, 0, t, 5), 1); /* cut off: as it was */
    assert_true(hears(r, OTHER));
    /* More than the table holds: all of them. */
    assert_int_equal(command(r, 1, 0, many, sizeof many), 0);
    assert_true(hears(r, "\x52\x54\x00\x12\x34\x99"));
    assert_int_equal(command(r, 1, 1, OTHER, 6), 0);
    assert_int_equal(mem_read(r->b, r->d.device + 5, 1), 0x57);
    assert_int_equal(command(r, 1, 1, OTHER, 5), 1);
}

static void vlans(void **state)
{
    struct rig *r = rig_new();
    uint8_t id[2] = {5, 0}, bad[2] = {0, 0x10};
    uint32_t head, len;

    (void)state;
    start(r, F_VLAN);
    for (unsigned known = 0; known < 2; known++) {
        add_buffer(r, known, 2048);
        make_frame(r->frame, MAC, 100);
        memcpy(r->frame + 12, "\x81\x00\x60\x05", 4);
        assert_true(wire_give(&r->wire, r->frame, 100));
        assert_int_equal(ring_take(r->rx, &head, &len), known);
        assert_int_equal(command(r, 2, known, id, 2), 0);
    }
    assert_int_equal(command(r, 2, 0, bad, 2), 1);
    teardown((void **)&r);
}

static void offloads(void **state)
{
    struct rig *r = *state;
    uint8_t set[8] = {0};

    assert_int_equal(command(r, 5, 0, set, 8), 0);
    assert_int_equal(r->wire.accepted, 0);
    store_le64(set, F_GUEST_CSUM);
    assert_int_equal(command(r, 5, 0, set, 8), 0);
    assert_int_equal(r->wire.accepted, NET_OFF_CSUM);
    store_le64(set, BIT64(8)); /* not negotiated */
    assert_int_equal(command(r, 5, 0, set, 8), 1);
    vc_write(&r->d, V_STATUS, 0, 1);
    assert_int_equal(r->wire.accepted, 0);
}

/* --- life --- */

static void pauses(void **state)
{
    struct rig *r = *state;
    uint32_t head, len;

    add_buffer(r, 0, 2048);
    r->nic->cls->pause(r->nic);
    assert_false(give(r, MAC, 100));
    make_frame(r->frame, OTHER, 100);
    send_out(r, (const uint8_t[HEADER]){0}, 100);
    run(r);
    assert_int_equal(r->wire.nsent, 0);
    r->nic->cls->resume(r->nic);
    run(r);
    assert_int_equal(r->wire.nsent, 1);
    assert_int_equal(r->wire.resumed, 1);
    assert_true(give(r, MAC, 100));
    assert_true(ring_take(r->rx, &head, &len));
}

/* A driver that is not there yet misses what comes. */
static void no_driver(void **state)
{
    struct rig *r = *state;

    r->nic->cls->reset(r->nic, true);
    assert_true(give(r, MAC, 100));
    r->nic->cls->pause(r->nic);
    assert_false(give(r, MAC, 100));
    r->nic->cls->resume(r->nic);
    assert_int_equal(r->wire.resumed, 1);
}

static void snapshot(void **state)
{
    struct rig *r = *state;
    const struct dev_class *c = r->nic->cls;
    size_t n = state_size(c->state, c->version);
    uint8_t *saved = malloc(n), one = 1;
    struct err e;
    uint32_t head, len;

    assert_int_equal(command(r, 0, 0, &one, 1), 0);
    state_save(c->state, c->version, r->nic, saved);
    c->reset(r->nic, true);
    assert_int_equal(r->wire.accepted, 0);
    assert_int_equal(state_load(c->state, c->version, r->nic, saved, n, &e), 0);
    assert_int_equal(c->loaded(r->nic, c->version), 0);
    c->resume(r->nic);
    assert_int_equal(r->wire.accepted, NET_OFF_CSUM | NET_OFF_TSO4);
    add_buffer(r, 0, 2048);
    assert_true(give(r, OTHER, 100)); /* promiscuous as before */
    assert_true(ring_take(r->rx, &head, &len));
    free(saved);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(identity),     T(link),
        T(sends),        T(sends_tso),
        T(busy),         T(reset_under_way),
        T(lacks_header), T(receives),
        T(merges),       cmocka_unit_test(does_not_merge),
        T(tiny_buffers), T(filters),
        T(tables),       cmocka_unit_test(vlans),
        T(offloads),     T(pauses),
        T(no_driver),    T(snapshot),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
