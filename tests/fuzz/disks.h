/*
 * A driver gone wild at a disk controller: its registers, and what it finds in
 * memory, as the input has them; disks that answer late, in any order and with
 * errors; media changed; pauses, resets and snapshots in between, true or
 * damaged. Nothing may crash, hang, leak or be counted wrong, and what the
 * device saved itself always loads.
 */
#ifndef TESTS_FUZZ_DISKS_H
#define TESTS_FUZZ_DISKS_H

#define BOARD_WITHOUT_CMOCKA
#include "tests/fuzz/input.h"
#include "tests/unit/held_disk.h"

#include "lodge/media.h"

extern const struct dev_class i440fx_class, piix3_class, dma8237_class;

enum { WILD_TURNS = 800, WILD_DISKS = 2, WILD_BAR = 0xe0000000 };
enum { WILD_DATA = 0x200000, WILD_DATA_BYTES = 0x10000 };

struct wild;

struct wild_target {
    const struct dev_class *cls;
    uint8_t devfn; /* 0: not on PCI */
    uint8_t bar;   /* the one at WILD_BAR; 0xff: none */
    uint32_t bar_bytes;
    struct {
        uint16_t base, bytes;
    } io[4]; /* bytes 0 ends */
    void (*properties)(struct wild *w, void *dev);
    void (*bring_up)(struct wild *w);
    /* Something that this device understands. */
    void (*sense)(struct wild *w, struct input *in);
};

struct wild {
    const struct wild_target *t;
    struct board *b;
    struct dev *host, *isa, *dma, *dev;
    struct disk *disk[WILD_DISKS];
};

static UNUSED void wild_prop(void *dev, const char *name, struct blk *blk)
{
    *(struct blk **)board_prop(dev, name) = blk;
}

static UNUSED void wild_flag(void *dev, const char *name)
{
    *(bool *)board_prop(dev, name) = true;
}

static unsigned wild_held(const struct wild *w)
{
    return w->disk[0]->n + w->disk[1]->n;
}

static void wild_answer_all(struct wild *w)
{
    while (wild_held(w))
        for (unsigned i = 0; i < WILD_DISKS; i++)
            answer_all(w->disk[i]);
}

static void wild_io(struct wild *w, struct input *in)
{
    static const uint8_t sizes[] = {1, 1, 2, 4};
    unsigned which = (unsigned)take(in, 1), n = 0, bytes;
    uint64_t a;

    while (n < 4 && w->t->io[n].bytes)
        n++;
    if (!n)
        return;
    bytes = sizes[which >> 4 & 3];
    a = w->t->io[which % n].base + take(in, 1) % w->t->io[which % n].bytes;
    if (which & 0x80)
        space_write_locked(w->b->env.io, a, take(in, bytes), bytes);
    else
        (void)space_read_locked(w->b->env.io, a, bytes);
}

static void wild_mem(struct wild *w, struct input *in)
{
    uint64_t a = take(in, 2);
    uint32_t v = (uint32_t)take(in, 4);

    if (!w->t->bar_bytes)
        return;
    a = WILD_BAR + (a % w->t->bar_bytes & ~3ull);
    space_write_locked(w->b->env.mem, a, v, 4);
    (void)space_read_locked(w->b->env.mem, a, 4);
}

static void wild_data(struct wild *w, struct input *in)
{
    uint64_t at = WILD_DATA + take(in, 2) % WILD_DATA_BYTES;
    unsigned n = (unsigned)take(in, 1) % 33;

    for (unsigned i = 0; i < n; i++)
        w->b->env.ram[at + i] = (uint8_t)take(in, 1);
}

static void wild_answer(struct wild *w, struct input *in)
{
    struct disk *d = w->disk[take(in, 1) % WILD_DISKS];
    unsigned how = (unsigned)take(in, 1);

    if (d->n)
        answer(d, how % d->n, how >> 6 == 3 ? -(int)(how % 8) : 0);
}

static void wild_change(struct wild *w, struct input *in)
{
    struct media_drive *m = w->b->env.drives;
    unsigned how = (unsigned)take(in, 1);
    struct blk *old;
    struct err e;

    if (m && (how & 4) && m->next)
        m = m->next;
    if (m)
        (void)media_change(m, how & 1 ? &w->disk[1]->blk : NULL, how & 2, &old,
                           &e);
}

/* False: it was damaged, and refused. */
static void wild_reload(struct wild *w, struct input *in)
{
    struct dev *d = w->dev;
    size_t n = state_size(d->cls->state, d->cls->version);
    uint8_t *bytes = malloc(n);
    unsigned damage = (unsigned)take(in, 1) % 8;
    struct err e = {0};

    if (d->cls->pause)
        d->cls->pause(d);
    wild_answer_all(w);
    state_save(d->cls->state, d->cls->version, d, bytes);
    for (unsigned i = 0; i < damage; i++)
        bytes[take(in, 3) % n] ^= (uint8_t)take(in, 1);
    if (state_load(d->cls->state, d->cls->version, d, bytes, n, &e) < 0 ||
        d->cls->loaded(d, d->cls->version) < 0) {
        if (!damage)
            abort();
        d->cls->reset(d, true); /* as a VM does that will not run */
    }
    if (d->cls->resume)
        d->cls->resume(d);
    free(bytes);
}

static void wild_reset(struct wild *w)
{
    if (w->dev->cls->pause)
        w->dev->cls->pause(w->dev);
    wild_answer_all(w);
    w->dev->cls->reset(w->dev, false);
    if (w->dev->cls->resume)
        w->dev->cls->resume(w->dev);
}

static void wild_step(struct wild *w, struct input *in)
{
    switch (take(in, 1) % 16) {
    case 0:
        if (w->t->devfn)
            conf_write(w->b, w->t->devfn, (unsigned)take(in, 1),
                       (uint32_t)take(in, 4), 1u << take(in, 1) % 3);
        break;
    case 1: w->t->bring_up(w); break;
    case 2:
        if (take(in, 1) & 1)
            wild_reset(w);
        else
            wild_reload(w, in);
        break;
    case 3: wild_change(w, in); break;
    case 4:
    case 5: wild_data(w, in); break;
    case 6:
    case 7: wild_mem(w, in); break;
    case 8:
    case 9: wild_io(w, in); break;
    case 10:
    case 11: wild_answer(w, in); break;
    default: w->t->sense(w, in); break;
    }
    if (w->dev->inflight != wild_held(w))
        abort();
}

static int wild_run(const struct wild_target *t, const uint8_t *data, size_t n)
{
    struct input in = {data, data + n};
    struct wild *w = calloc(1, sizeof *w);

    w->t = t;
    w->b = board_new();
    w->host = board_add(w->b, &i440fx_class, "host");
    w->isa = board_add(w->b, &piix3_class, "isa");
    w->dma = board_add(w->b, &dma8237_class, "dma");
    for (unsigned i = 0; i < WILD_DISKS; i++)
        w->disk[i] = disk_new(i ? 1440 << 9 : DISK);
    w->dev = board_make(w->b, t->cls, "disks");
    t->properties(w, w->dev);
    board_attach(w->b, w->dev);
    t->bring_up(w);
    for (unsigned turn = 0; more(&in) && turn < WILD_TURNS; turn++)
        wild_step(w, &in);
    wild_reset(w);
    board_remove(w->dev);
    board_remove(w->dma);
    board_remove(w->isa);
    board_remove(w->host);
    for (unsigned i = 0; i < WILD_DISKS; i++)
        free(w->disk[i]);
    board_free(w->b);
    free(w);
    return 0;
}

#endif
