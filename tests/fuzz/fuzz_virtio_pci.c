/*
 * A driver gone wild: virtio block, console, entropy and network devices on the
 * PCI bus, their rings, registers and requests as the input has them, a disk
 * that answers late, in any order and with errors, pauses, resets and snapshots
 * in between. Nothing may crash, leak or be counted wrong.
 */
#define BOARD_WITHOUT_CMOCKA
#include "hw/virtio/virtio_pci.h"
#include "tests/fuzz/input.h"
#include "host/posix/loop.h"
#include "tests/unit/net_wire.h"
#include "tests/unit/ring.h"

extern const struct dev_class i440fx_class, piix3_class, virtio_blk_class,
    virtio_console_class, virtio_rng_class, virtio_net_class;

enum {
    NDEVS = 4,
    NET = 3,
    QUEUES = 3,
    TURNS = 600,
    HELD = 64,
    DISK = 1 << 16,
    QUEUE_SIZE = 16
};
enum { RINGS = 0x200000, RING_STEP = 0x10000, DATA = 0x300000 };

static const uint8_t devfns[NDEVS] = {PCI_DEVFN(2, 0), PCI_DEVFN(3, 0),
                                      PCI_DEVFN(4, 0), PCI_DEVFN(5, 0)};

struct rig {
    struct board *b;
    struct dev *host, *isa, *dev[NDEVS];
    struct blk blk;
    struct blk_req *held[HELD];
    unsigned nheld;
    struct chardev chr;
    size_t room;
    struct wire wire;
    struct host_mutex lock;
    struct ring ring[NDEVS][QUEUES];
};

/* --- the other side of the devices --- */

static void disk_submit(struct blk *blk, struct blk_req *q)
{
    struct rig *r = container_of(blk, struct rig, blk);
    uint64_t sum = 0;

    for (unsigned i = 0; i < q->nsg; i++)
        sum += q->sg[i].n;
    if (r->nheld == HELD || q->off > DISK || q->len > DISK - q->off ||
        (q->nsg && sum != q->len))
        abort();
    r->held[r->nheld++] = q;
}

static const struct blk_ops disk_ops = {.submit = disk_submit};

static void answer(struct rig *r, unsigned i, int error)
{
    struct blk_req *q = r->held[i];

    r->held[i] = r->held[--r->nheld];
    for (unsigned k = 0; k < q->nsg && q->op == BLK_READ; k++)
        memset(q->sg[k].p, (int)k, q->sg[k].n);
    q->done(q, error);
}

static size_t chr_write(void *endpoint, const uint8_t *p, size_t n)
{
    struct rig *r = endpoint;
    static uint8_t taken[1 << 16];

    n = MIN(n, r->room); /* 16 bits */
    memcpy(taken, p, n);
    r->room -= n;
    return n;
}

static void chr_resume(void *endpoint)
{
    (void)endpoint;
}

/* --- the driver --- */

static uint64_t bar(unsigned which)
{
    return 0xe0000000 + 0x10000 * which;
}

static void bring_up(struct rig *r, unsigned which, uint64_t features)
{
    static const uint8_t status[] = {0, 1, 3, 11};
    uint64_t at = bar(which);

    conf_write(r->b, devfns[which], 0x10, (uint32_t)at, 4);
    conf_write(r->b, devfns[which], 0x14, 0, 4);
    conf_write(r->b, devfns[which], 0x18, (uint32_t)at + 0x8000, 4);
    conf_write(r->b, devfns[which], PCI_COMMAND, 6, 2);
    mem_write(r->b, at + 0x14, 0, 1);
    for (unsigned half = 0; half < 2; half++) {
        mem_write(r->b, at, half, 4);
        mem_write(r->b, at + 8, half, 4);
        uint64_t offered = mem_read(r->b, at + 4, 4);
        mem_write(r->b, at + 12, offered & features >> 32 * half, 4);
    }
    for (unsigned i = 1; i < sizeof status; i++)
        mem_write(r->b, at + 0x14, status[i], 1);
    for (unsigned q = 0; q < (which == NET ? 3 : 2); q++) {
        uint64_t base = RINGS + RING_STEP * (QUEUES * which + q);
        r->ring[which][q] = ring_make(r->b, base, QUEUE_SIZE);
        mem_write(r->b, at + 0x16, q, 2);
        mem_write(r->b, at + 0x18, QUEUE_SIZE, 2);
        mem_write(r->b, at + 0x20, base, 8);
        mem_write(r->b, at + 0x28, base + 0x8000, 8);
        mem_write(r->b, at + 0x30, base + 0xa000, 8);
        mem_write(r->b, at + 0x1c, 1, 2);
    }
    mem_write(r->b, at + 0x14, 15, 1);
}

/* A descriptor somewhere in the data, rarely anywhere at all. */
static void descriptor(struct rig *r, unsigned which, struct input *in)
{
    struct ring *ring = &r->ring[which][take(in, 1) % (which == NET ? 3 : 2)];
    uint8_t how = (uint8_t)take(in, 1);
    uint64_t addr = DATA + take(in, 2), table = ring->desc;
    uint32_t len = (uint32_t)take(in, 2);

    if (how >> 4 == 15)
        addr = take(in, 8);
    else if (how >> 4 == 14)
        len = (uint32_t)take(in, 4);
    if (how & 8)
        table = DATA;
    ring_desc_at(ring, table, (unsigned)take(in, 1) % QUEUE_SIZE, addr, len,
                 how & 7, (uint16_t)(take(in, 1) % (QUEUE_SIZE + 1)));
}

static void request_header(struct rig *r, struct input *in)
{
    uint8_t *p = r->b->env.ram + DATA + (take(in, 1) << 4);

    store_le32(p, (uint32_t)take(in, 1) % 16);
    store_le64(p + 8, take(in, 1));
}

/* A whole request of the disk: header, data or ranges, status. */
static void disk_request(struct rig *r, struct input *in)
{
    static const uint8_t types[] = {0, 1, 0, 1, 4, 8, 11, 13};
    uint8_t how = (uint8_t)take(in, 1), type = types[how & 7];
    unsigned q = how >> 3 & 1, at = (how >> 4) % 4 * 4, pieces = how >> 6;
    struct ring *ring = &r->ring[0][q];
    gpa_t header = DATA + 0x40 * at, data = DATA + 0x1000 + take(in, 2);
    uint8_t *range = r->b->env.ram + data;
    bool in_data = type == 0 || type == 8;

    pieces = MIN(pieces, 2u);
    store_le32(r->b->env.ram + header, type);
    store_le64(r->b->env.ram + header + 8, take(in, 1));
    store_le64(range, take(in, 1));
    store_le32(range + 8, (uint32_t)take(in, 1));
    store_le32(range + 12, (uint32_t)take(in, 1) & 3);
    ring_desc(ring, at, header, 16, D_NEXT, (uint16_t)(at + 1));
    for (unsigned i = 1; i <= pieces; i++)
        ring_desc(ring, at + i, data,
                  type >= 11 ? 16 : (uint32_t)take(in, 1) << 8,
                  D_NEXT | (in_data ? D_WRITE : 0), (uint16_t)(at + i + 1));
    ring_desc(ring, at + 1 + pieces, header + 16, 1, D_WRITE, 0);
    ring_offer(ring, (uint16_t)at);
    mem_write(r->b, bar(0) + 0x3000 + 4 * q, q, 2);
    loop_run_due(r->b->env.loop, false);
}

/* A command of the network card's control queue. */
static void net_control(struct rig *r, struct input *in)
{
    static const uint8_t classes[] = {0, 1, 2, 5};
    struct ring *ring = &r->ring[NET][2];
    uint8_t *p = r->b->env.ram + DATA;
    unsigned n = (unsigned)take(in, 1);

    p[0] = classes[take(in, 1) & 3];
    p[1] = (uint8_t)(take(in, 1) & 7);
    for (unsigned i = 0; i < 32; i++)
        p[2 + i] = (uint8_t)take(in, 1);
    ring_desc(ring, 0, DATA, 2, D_NEXT, 1);
    ring_desc(ring, 1, DATA + 2, n, D_NEXT, 2);
    ring_desc(ring, 2, DATA + 0x200, 1, D_WRITE, 0);
    ring_offer(ring, 0);
    mem_write(r->b, bar(NET) + 0x3000 + 4 * 2, 2, 2);
    loop_run_due(r->b->env.loop, false);
}

static void kick(struct rig *r, unsigned which, struct input *in)
{
    unsigned q = (unsigned)take(in, 1) % (which == NET ? 3 : 2),
             n = (unsigned)take(in, 1) % 20;

    for (unsigned i = 0; i < n; i++)
        ring_offer(&r->ring[which][q],
                   (uint16_t)(take(in, 1) % (QUEUE_SIZE + 1)));
    mem_write(r->b, bar(which) + 0x3000 + 4 * q, q, 2);
    loop_run_due(r->b->env.loop, false);
}

/* --- everything else --- */

static void reload(struct rig *r, unsigned which, struct input *in)
{
    struct dev *d = r->dev[which];
    size_t n = state_size(d->cls->state, 1);
    uint8_t *bytes = malloc(n);
    struct err e = {0};

    d->cls->pause(d);
    while (r->nheld)
        answer(r, 0, 0);
    state_save(d->cls->state, 1, d, bytes);
    for (unsigned i = (unsigned)take(in, 1) % 8; i; i--)
        bytes[take(in, 2) % n] ^= (uint8_t)take(in, 1);
    if (state_load(d->cls->state, 1, d, bytes, n, &e) < 0 ||
        d->cls->loaded(d, 1) < 0)
        d->cls->reset(d, true); /* as a VM does that will not run */
    d->cls->resume(d);
    free(bytes);
}

static void console(struct rig *r, struct input *in)
{
    static const uint8_t text[256] = {1};

    r->room = take(in, 2);
    if (take(in, 1) & 1)
        r->chr.writable(r->chr.dev);
    else
        (void)r->chr.receive(r->chr.dev, text, take(in, 1));
}

static void network(struct rig *r, struct input *in)
{
    static uint8_t frame[NET_FRAME_MAX];
    uint8_t how = (uint8_t)take(in, 1);
    size_t n = NET_HEADER + take(in, 2);
    struct net_offload off = {.flags = how & 3};

    if (how & 4) {
        r->wire.busy = how & 8;
        r->wire.net.offloads = how >> 4;
        r->wire.net.writable(r->wire.net.dev);
        loop_run_due(r->b->env.loop, false);
        wire_clear(&r->wire);
        return;
    }
    make_frame(frame, "\xff\xff\xff\xff\xff\xff", n);
    frame[0] = (uint8_t)take(in, 1);
    (void)wire_give_off(&r->wire, frame, n, off);
}

static void access(struct rig *r, unsigned which, struct input *in)
{
    uint64_t a = bar(which) + take(in, 2) % 0x9000;
    unsigned bytes = 1u << take(in, 1) % 4;

    mem_write(r->b, a, take(in, 8), bytes);
    (void)mem_read(r->b, a, bytes);
}

static void step(struct rig *r, struct input *in)
{
    unsigned which = (unsigned)take(in, 1) % NDEVS;
    struct dev *d = r->dev[which];

    switch (take(in, 1) % 18) {
    case 0: bring_up(r, which, take(in, 1) & 1 ? ~0ull : take(in, 8)); break;
    case 1: access(r, which, in); break;
    case 2:
        conf_write(r->b, devfns[which], (unsigned)take(in, 1),
                   (uint32_t)take(in, 4), 1u << take(in, 1) % 3);
        break;
    case 3: d->cls->reset(d, false); break;
    case 4: reload(r, which, in); break;
    case 5: d->cls->pause(d); break;
    case 6: d->cls->resume(d); break;
    case 7: which == NET ? network(r, in) : console(r, in); break;
    case 8: mem_write(r->b, bar(which) + 0x14, take(in, 1), 1); break;
    case 9:
    case 10:
        if (r->nheld)
            answer(r, (unsigned)take(in, 1) % r->nheld,
                   -(int)(take(in, 1) % 8));
        break;
    case 11: request_header(r, in); break;
    case 12: kick(r, which, in); break;
    case 13: disk_request(r, in); break;
    case 14: net_control(r, in); break;
    default: descriptor(r, which, in); break;
    }
    if (r->dev[0]->inflight != r->nheld)
        abort();
}

static void build(struct rig *r)
{
    struct board *b = r->b = board_new();

    host_mutex_init(&r->lock);
    b->env.loop = loop_create(&r->lock);
    wire_init(&r->wire, 0);
    r->host = board_add(b, &i440fx_class, "host");
    r->isa = board_add(b, &piix3_class, "isa");
    r->blk = (struct blk){.ops = &disk_ops,
                          .size = DISK,
                          .sector_size = 512,
                          .can_discard = true,
                          .can_zero = true};
    r->chr = (struct chardev){chr_write, chr_resume, r, NULL, NULL, NULL};
    r->dev[0] = board_make(b, &virtio_blk_class, "disk");
    *(struct blk **)board_prop(r->dev[0], "disk") = &r->blk;
    *(uint32_t *)board_prop(r->dev[0], "queue-size") = QUEUE_SIZE;
    *(uint32_t *)board_prop(r->dev[0], "queues") = 2;
    r->dev[1] = board_make(b, &virtio_console_class, "console");
    *(struct chardev **)board_prop(r->dev[1], "chardev") = &r->chr;
    r->dev[2] = board_make(b, &virtio_rng_class, "rng");
    r->dev[NET] = board_make(b, &virtio_net_class, "net");
    *(struct net **)board_prop(r->dev[NET], "net") = &r->wire.net;
    for (unsigned i = 0; i < NDEVS; i++) {
        board_attach(b, r->dev[i]);
        bring_up(r, i, ~0ull);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct input in = {data, data + n};
    struct rig *r = calloc(1, sizeof *r);

    build(r);
    for (unsigned turn = 0; more(&in) && turn < TURNS; turn++)
        step(r, &in);
    while (r->nheld)
        answer(r, 0, 0);
    for (unsigned i = NDEVS; i--;)
        board_remove(r->dev[i]);
    board_remove(r->isa);
    board_remove(r->host);
    wire_clear(&r->wire);
    loop_destroy(r->b->env.loop);
    host_mutex_destroy(&r->lock);
    board_free(r->b);
    free(r);
    return 0;
}
