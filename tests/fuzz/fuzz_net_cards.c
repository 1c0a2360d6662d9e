/*
 * Drivers of network cards gone wild: registers, descriptors, frames from
 * outside, a back end that is busy at will, pauses, resets and snapshots in
 * between. Nothing may crash, hang or be sent that is no frame.
 */
#define BOARD_WITHOUT_CMOCKA
#include "host/posix/loop.h"
#include "tests/fuzz/input.h"
#include "tests/unit/board.h"
#include "tests/unit/net_wire.h"

extern const struct dev_class i440fx_class, e1000_class, ne2000_class,
    rtl8139_class;

enum { TURNS = 500, TIMERS = 8 };
enum { RAM = 0x200000, MEMORY = 0xe0000000, PORTS = 0xc000 };

/* How each is brought to life, and which registers start its work. */
struct setting {
    uint16_t off;
    uint32_t v;
};
static const struct {
    const struct dev_class *class;
    struct setting up[12]; /* 0, 0 ends */
    uint16_t bell[4];
    uint8_t bytes; /* of those; 4: in memory, 1: ports */
} cards[] = {
    {&e1000_class,
     {{0x0000, 0x40},
      {0x3800, RAM},
      {0x3808, 256},
      {0x0400, 2},
      {0x2800, RAM + 256},
      {0x2808, 256},
      {0x5000, 0x300},
      {0x2818, 15},
      {0x0100, 0x0401801e}},
     {0x3818, 0x2818, 0x3818, 0x20},
     4},
    {&rtl8139_class,
     {{0x30, RAM},
      {0x20, RAM + 0x1000},
      {0x24, RAM + 0x1800},
      {0x34, 0x0c000000},
      {0x44, 0x8f},
      {0x3c, 0xffff}},
     {0x10, 0x14, 0x18, 0x1c},
     4},
    {&ne2000_class,
     {{0, 0x21},
      {1, 0x46},
      {2, 0x80},
      {3, 0x46},
      {4, 0x40},
      {5, 100},
      {12, 0x1e},
      {15, 0x7f},
      {0, 0x61},
      {7, 0x47},
      {0, 0x22}},
     {0, 3, 10, 16},
     1},
};
enum { CARDS = ARRAY_LEN(cards) };

struct rig {
    struct board *b;
    struct host_mutex lock;
    struct dev *host, *card[CARDS];
    struct wire wire[CARDS];
    struct timer *timer[TIMERS];
};

static struct rig *the_rig;

static void arm(struct env *env, struct timer *t, uint64_t deadline)
{
    (void)env;
    for (unsigned i = 0; i < TIMERS; i++)
        if (the_rig->timer[i] == t)
            the_rig->timer[i] = NULL;
    for (unsigned i = 0; i < TIMERS && deadline != UINT64_MAX; i++)
        if (!the_rig->timer[i]) {
            the_rig->timer[i] = t;
            return;
        }
}

static unsigned devfn(unsigned which)
{
    return PCI_DEVFN(which + 1, 0);
}

static void map(struct rig *r, unsigned which)
{
    for (unsigned bar = 0; bar < 2; bar++) {
        bool io = conf_read(r->b, devfn(which), 0x10 + 4 * bar, 4) & 1;
        conf_write(r->b, devfn(which), 0x10 + 4 * bar,
                   io ? PORTS + 0x100 * which : MEMORY + 0x100000 * which, 4);
    }
    conf_write(r->b, devfn(which), PCI_COMMAND, 7, 2);
}

static void access(struct rig *r, unsigned which, struct input *i)
{
    /* Of the e1000; the others' lie close together. */
    static const uint16_t registers[] = {
        0x00,   0x08,   0x10,   0x14,   0x18,   0x20,   0x28,   0x2c,
        0x30,   0x38,   0xc0,   0xc4,   0xc8,   0xd0,   0xd8,   0x100,
        0x170,  0x178,  0x400,  0x410,  0x1000, 0x2800, 0x2804, 0x2808,
        0x2810, 0x2818, 0x2820, 0x282c, 0x3800, 0x3804, 0x3808, 0x3810,
        0x3818, 0x3820, 0x3828, 0x382c, 0x4000, 0x40d0, 0x5000, 0x5008,
        0x5200, 0x5400, 0x5404, 0x5478, 0x547c, 0x5600, 0x5800, 0x5820};
    uint8_t how = (uint8_t)take(i, 1);
    unsigned bytes = 1u << (how & 3) % 3;
    uint64_t off = take(i, 2), v;

    if (cards[which].class == &e1000_class && (how & 16)) {
        off = registers[off % ARRAY_LEN(registers)];
        bytes = 4;
    }
    v = take(i, bytes);

    if (how & 4) {
        off =
            PORTS + 0x100 * which + off % (cards[which].bytes == 1 ? 32 : 256);
        if (how & 8)
            (void)in(r->b, (unsigned)off, bytes);
        else
            out(r->b, (unsigned)off, (uint32_t)v, bytes);
        return;
    }
    off += MEMORY + 0x100000 * which;
    if (how & 8)
        (void)mem_read(r->b, off, bytes);
    else
        mem_write(r->b, off, v, bytes);
}

static void register_write(struct rig *r, unsigned which, unsigned off,
                           uint32_t v)
{
    if (cards[which].bytes == 1)
        out(r->b, PORTS + 0x100 * which + off, v, 1);
    else
        mem_write(r->b, MEMORY + 0x100000 * which + off, v, 4);
}

static void bring_up(struct rig *r, unsigned which)
{
    const struct setting *up = cards[which].up;

    map(r, which);
    for (; up->off || up->v; up++)
        register_write(r, which, up->off, up->v);
}

static void ring_bell(struct rig *r, unsigned which, struct input *i)
{
    unsigned off = cards[which].bell[take(i, 1) & 3];
    uint32_t v = (uint32_t)take(i, 1);

    register_write(r, which, off,
                   cards[which].class == &e1000_class ? v % 18 : v);
    loop_run_due(r->b->env.loop, false);
}

/* Sixteen bytes that may be a descriptor; mostly of RAM that is there. */
static void descriptor(struct rig *r, struct input *i)
{
    uint8_t how = (uint8_t)take(i, 1);
    uint8_t *p = r->b->env.ram + RAM + 16 * take(i, 1) % 1024;

    store_le64(p, how & 3 ? RAM + 0x1000 + take(i, 2) : take(i, 8));
    store_le64(p + 8, take(i, 8));
    if (how & 4)
        store_le16(p + 8, (uint16_t)take(i, 1));
}

/* A frame in the e1000's ring: a context for cutting it, then its pieces. */
static void e1000_sends(struct rig *r, struct input *i)
{
    static uint8_t frame[NET_FRAME_MAX];
    gpa_t at = RAM + 0x8000;
    uint8_t how = (uint8_t)take(i, 1);
    unsigned n = (unsigned)take(i, 2) % 9000,
             mss = (unsigned)take(i, 2) & 0x7ff;
    uint8_t *ring = r->b->env.ram + RAM;

    make_tcp4(frame, n);
    if (how & 1) /* no such header */
        frame[take(i, 1) % T_DATA] = (uint8_t)take(i, 1);
    memcpy(r->b->env.ram + at, frame, n + T_DATA);
    register_write(r, 0, 0x400, 0);
    register_write(r, 0, 0x3810, 0);
    register_write(r, 0, 0x3818, 0);
    register_write(r, 0, 0x400, 2);
    memset(ring, 0, 48);
    ring[0] = NET_HEADER;
    ring[1] = NET_HEADER + 10;
    store_le16(ring + 2, T_TCP - 1);
    ring[4] = T_TCP;
    ring[5] = T_TCP + 16;
    store_le32(ring + 8, (uint32_t)n | 0x20000000 | (how & 2 ? 0x05000000 : 0) |
                             (how & 4 ? 0x02000000 : 0));
    ring[13] = (uint8_t)(how & 8 ? T_DATA : take(i, 1));
    store_le16(ring + 14, (uint16_t)mss);
    store_le64(ring + 16, at);
    store_le32(ring + 24, (n + T_DATA) | 0x20100000 | 0x09000000 |
                              (how & 2 ? 0x04000000 : 0) |
                              (how & 16 ? 0x40000000 : 0));
    ring[29] = (uint8_t)(how >> 6);
    register_write(r, 0, 0x3818, how & 32 ? 1 : 2);
    loop_run_due(r->b->env.loop, false);
}

static void frame_in(struct rig *r, unsigned which, struct input *i)
{
    static uint8_t frame[NET_FRAME_MAX];
    size_t n = NET_HEADER + take(i, 2) % 3000;
    uint8_t how = (uint8_t)take(i, 1);
    struct net_offload off = {.flags = how & 2};

    make_tcp4(frame, MAX(n, (size_t)T_DATA) - T_DATA);
    if (how & 4)
        memset(frame, 0xff, 6);
    if (how & 8)
        store_be16(frame + 12, 0x8100);
    if ((how & 1) && n > T_DATA) {
        off = (struct net_offload){NET_CSUM_PARTIAL, 0, 0, 0, T_TCP, 16};
    }
    if (how & 16)
        frame[take(i, 1) % n] = (uint8_t)take(i, 1);
    (void)wire_give_off(&r->wire[which], frame, n, off);
}

static void back_end(struct rig *r, unsigned which, struct input *i)
{
    struct wire *w = &r->wire[which];
    uint8_t how = (uint8_t)take(i, 1);

    w->busy = how & 1;
    w->net.offloads = how >> 4;
    if (how & 2) {
        w->net.down = how & 4;
        w->net.link_changed(w->net.dev);
    }
    w->net.writable(w->net.dev);
    loop_run_due(r->b->env.loop, false);
    for (unsigned n = 0; n < w->nsent && n < WIRE_FRAMES; n++)
        if (w->sent[n].n < NET_HEADER)
            abort();
    wire_clear(w);
}

static void clock_moves(struct rig *r, struct input *i)
{
    struct timer *t;

    r->b->now += take(i, 3);
    for (unsigned n = 0; n < TIMERS; n++) {
        t = r->timer[n];
        r->timer[n] = NULL;
        if (t)
            t->fn(t->ctx);
    }
}

/* Its own state always loads; damaged, it loads or is refused. */
static void reload(struct rig *r, unsigned which, struct input *i)
{
    struct dev *d = r->card[which];
    size_t n = state_size(d->cls->state, d->cls->version);
    uint8_t *bytes = malloc(n);
    unsigned damage = (unsigned)take(i, 1) % 4;
    struct err e = {0};

    d->cls->pause(d);
    state_save(d->cls->state, d->cls->version, d, bytes);
    for (unsigned k = 0; k < damage; k++)
        bytes[take(i, 2) % n] ^= (uint8_t)take(i, 1);
    if (state_load(d->cls->state, d->cls->version, d, bytes, n, &e) < 0 ||
        d->cls->loaded(d, d->cls->version) < 0) {
        if (!damage)
            abort();
        d->cls->reset(d, true);
    }
    d->cls->resume(d);
    free(bytes);
}

static void step(struct rig *r, struct input *i)
{
    unsigned which = (unsigned)take(i, 1) % CARDS;
    struct dev *d = r->card[which];

    switch (take(i, 1) % 18) {
    case 0: bring_up(r, which); break;
    case 1:
        conf_write(r->b, devfn(which), (unsigned)take(i, 1),
                   (uint32_t)take(i, 4), 1u << take(i, 1) % 3);
        break;
    case 2: d->cls->reset(d, false); break;
    case 3: reload(r, which, i); break;
    case 4: d->cls->pause(d); break;
    case 5: d->cls->resume(d); break;
    case 6: back_end(r, which, i); break;
    case 7: clock_moves(r, i); break;
    case 8:
    case 9: frame_in(r, which, i); break;
    case 10:
    case 11: access(r, which, i); break;
    case 12: ring_bell(r, which, i); break;
    case 13: e1000_sends(r, i); break;
    default: descriptor(r, i); break;
    }
}

static void build(struct rig *r)
{
    r->b = board_new();
    r->b->env.arm = arm;
    host_mutex_init(&r->lock);
    r->b->env.loop = loop_create(&r->lock);
    r->host = board_add(r->b, &i440fx_class, "host");
    for (unsigned n = 0; n < CARDS; n++) {
        wire_init(&r->wire[n], 0);
        r->card[n] = board_make(r->b, cards[n].class, cards[n].class->name);
        *(struct net **)board_prop(r->card[n], "net") = &r->wire[n].net;
        board_attach(r->b, r->card[n]);
        bring_up(r, n);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct input i = {data, data + n};
    struct rig *r = the_rig = calloc(1, sizeof *r);

    build(r);
    for (unsigned turn = 0; more(&i) && turn < TURNS; turn++)
        step(r, &i);
    for (unsigned k = CARDS; k--;) {
        wire_clear(&r->wire[k]);
        board_remove(r->card[k]);
    }
    board_remove(r->host);
    loop_destroy(r->b->env.loop);
    host_mutex_destroy(&r->lock);
    board_free(r->b);
    free(r);
    return 0;
}
