/*
 * A PCI network card on a board, its cable in our hands, and a clock that
 * moves to the timer armed last.
 */
#ifndef TESTS_UNIT_NIC_RIG_H
#define TESTS_UNIT_NIC_RIG_H

#include "base/bits.h"
#include "host/posix/loop.h"
#include "net_wire.h"
#include "board.h"

enum { DEVFN = PCI_DEVFN(1, 0), BAR = 0xe0000000, PORTS = 0xc000 };
#define MAC    "\x52\x54\x00\x12\x34\x56"
#define OTHER  "\x52\x54\x00\x12\x34\x57"
#define GROUP  "\x01\x00\x5e\x00\x00\x01"
#define GROUP2 "\x01\x00\x5e\x00\x00\x02"
#define ALL    "\xff\xff\xff\xff\xff\xff"

extern const struct dev_class i440fx_class;

struct rig {
    struct board *b;
    struct host_mutex lock;
    struct dev *host, *nic;
    struct wire wire;
    unsigned tail; /* the test's */
    uint8_t frame[70000];
};

static struct timer *armed;
static uint64_t armed_at;

static void rig_arm(struct env *env, struct timer *t, uint64_t deadline)
{
    (void)env;
    if (deadline != UINT64_MAX) {
        armed = t;
        armed_at = deadline;
    } else if (t == armed) {
        armed = NULL;
    }
}

static UNUSED void timer_runs(struct rig *r)
{
    struct timer *t = armed;

    assert_non_null(t);
    armed = NULL;
    r->b->now = armed_at;
    t->fn(t->ctx);
}

/* Its memory at BAR, its ports at PORTS. */
static UNUSED struct rig *rig_new(const struct dev_class *class)
{
    struct rig *r = calloc(1, sizeof *r);

    r->b = board_new();
    r->b->env.arm = rig_arm;
    host_mutex_init(&r->lock);
    r->b->env.loop = loop_create(&r->lock);
    wire_init(&r->wire, 0);
    r->host = board_add(r->b, &i440fx_class, "host");
    r->nic = board_make(r->b, class, "net");
    *(struct net **)board_prop(r->nic, "net") = &r->wire.net;
    board_attach(r->b, r->nic);
    for (unsigned bar = 0x10; bar < 0x18; bar += 4) {
        bool io = conf_read(r->b, DEVFN, bar, 4) & 1;
        conf_write(r->b, DEVFN, bar, io ? PORTS : BAR, 4);
    }
    conf_write(r->b, DEVFN, PCI_COMMAND, 7, 2);
    return r;
}

static UNUSED int rig_free(void **state)
{
    struct rig *r = *state;

    wire_clear(&r->wire);
    board_remove(r->nic);
    assert_null(r->wire.net.receive);
    assert_null(armed);
    board_remove(r->host);
    loop_destroy(r->b->env.loop);
    host_mutex_destroy(&r->lock);
    board_free(r->b);
    free(r);
    return 0;
}

static UNUSED uint32_t rd(struct rig *r, unsigned off)
{
    return (uint32_t)mem_read(r->b, BAR + off, 4);
}

static UNUSED void wr(struct rig *r, unsigned off, uint32_t v)
{
    mem_write(r->b, BAR + off, v, 4);
}

/* Work that was posted to the loop. */
static UNUSED void run(struct rig *r)
{
    loop_run_due(r->b->env.loop, false);
}

static UNUSED bool pin(struct rig *r)
{
    return conf_read(r->b, DEVFN, PCI_STATUS, 2) & PCI_STS_INTX;
}

static UNUSED bool give(struct rig *r, const char *to, size_t n)
{
    make_frame(r->frame, to, n);
    return wire_give(&r->wire, r->frame, n);
}

/* Which of these the card takes by its filters. hears: does it take a frame to
   that address? */
enum { TO_MAC = 1, TO_OTHER = 2, TO_ALL = 4, TO_GROUP = 8, TO_GROUP2 = 16 };
static UNUSED unsigned heard(struct rig *r,
                             bool (*hears)(struct rig *r, const char *to))
{
    static const char *const to[] = {MAC, OTHER, ALL, GROUP, GROUP2};
    unsigned v = 0;

    for (unsigned i = 0; i < ARRAY_LEN(to); i++)
        v |= (unsigned)hears(r, to[i]) << i;
    return v;
}

/* The cable takes frames again: what a card does that waited for it. */
static UNUSED void unblock(struct rig *r)
{
    r->wire.busy = false;
    r->wire.net.writable(r->wire.net.dev);
    run(r);
}

/* Of all memory: DMA to nowhere leaves it as it was. */
static UNUSED uint64_t memory_sum(struct rig *r)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < BOARD_RAM; i += 8)
        sum = sum * 31 + load_le64(r->b->env.ram + i);
    return sum;
}

/* Saves its state, resets it, and loads it again, paused until then. */
static UNUSED void through_snapshot(struct rig *r)
{
    const struct dev_class *c = r->nic->cls;
    size_t size = state_size(c->state, c->version);
    uint8_t *saved = malloc(size);
    struct err e;

    c->pause(r->nic);
    assert_false(give(r, MAC, 100));
    state_save(c->state, c->version, r->nic, saved);
    c->reset(r->nic, true);
    assert_int_equal(rd(r, 0), ~0u); /* not even its BARs */
    assert_int_equal(state_load(c->state, c->version, r->nic, saved, size, &e),
                     0);
    assert_int_equal(c->loaded(r->nic, c->version), 0);
    c->resume(r->nic);
    free(saved);
}

#endif
