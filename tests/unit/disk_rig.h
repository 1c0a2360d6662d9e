/* A disk controller on a board, and disks that answer when told so. */
#ifndef TESTS_UNIT_DISK_RIG_H
#define TESTS_UNIT_DISK_RIG_H

#include "held_disk.h"

#include "lodge/media.h"

extern const struct dev_class i440fx_class, piix3_class, dma8237_class;

struct disk_rig {
    struct board *b;
    struct dev *host, *isa, *dma, *dev;
    struct disk *disk, *medium;
};

static UNUSED void rig_blk(struct dev *d, const char *name, struct blk *blk)
{
    *(struct blk **)board_prop(d, name) = blk;
}

static UNUSED void rig_flag(struct dev *d, const char *name)
{
    *(bool *)board_prop(d, name) = true;
}

/* The device is made and not attached: its properties come first. */
static UNUSED struct disk_rig *rig_new(const struct dev_class *cls,
                                       uint64_t medium_bytes)
{
    struct disk_rig *r = calloc(1, sizeof *r);

    r->b = board_new();
    r->host = board_add(r->b, &i440fx_class, "host");
    r->isa = board_add(r->b, &piix3_class, "isa");
    r->dma = board_add(r->b, &dma8237_class, "dma");
    r->disk = disk_new(DISK);
    r->medium = disk_new(medium_bytes);
    r->dev = board_make(r->b, cls, "disks");
    return r;
}

static UNUSED void rig_free(struct disk_rig *r)
{
    answer_all(r->disk);
    answer_all(r->medium);
    assert_int_equal(r->dev->inflight, 0);
    board_remove(r->dev);
    board_remove(r->dma);
    board_remove(r->isa);
    board_remove(r->host);
    board_free(r->b);
    free(r->disk);
    free(r->medium);
    free(r);
}

/* Through a snapshot, into registers that were reset meanwhile. */
static UNUSED void rig_reload(struct disk_rig *r)
{
    const struct dev_class *c = r->dev->cls;
    size_t n = state_size(c->state, c->version);
    uint8_t *bytes = malloc(n);
    struct err e;

    if (c->pause)
        c->pause(r->dev);
    answer_all(r->disk);
    answer_all(r->medium);
    state_save(c->state, c->version, r->dev, bytes);
    c->reset(r->dev, true);
    assert_int_equal(state_load(c->state, c->version, r->dev, bytes, n, &e), 0);
    assert_int_equal(c->loaded(r->dev, c->version), 0);
    if (c->resume)
        c->resume(r->dev);
    free(bytes);
}

#endif
