/* A driver's side of a split virtqueue, in guest RAM; as honest as its test. */
#ifndef TESTS_UNIT_RING_H
#define TESTS_UNIT_RING_H

#include "board.h"
#include "hw/virtio/virtqueue.h"

enum { D_NEXT = 1, D_WRITE = 2, D_INDIRECT = 4 };

struct ring {
    uint8_t *ram;
    unsigned size;
    uint64_t desc, avail, used; /* guest addresses */
    uint16_t idx, seen;         /* next to make available; used ones seen */
};

/* An empty one in the 64 KB at `base`. */
static UNUSED struct ring ring_make(struct board *b, uint64_t base,
                                    unsigned size)
{
    struct ring r = {.ram = b->env.ram,
                     .size = size,
                     .desc = base,
                     .avail = base + 0x8000,
                     .used = base + 0xa000};

    memset(r.ram + r.desc, 0, 16 * size);
    memset(r.ram + r.avail, 0, 6 + 2 * size);
    memset(r.ram + r.used, 0, 6 + 8 * size);
    return r;
}

/* A descriptor anywhere, so also in an indirect table. */
static UNUSED void ring_desc_at(struct ring *r, uint64_t table, unsigned i,
                                uint64_t addr, uint32_t len, uint16_t flags,
                                uint16_t next)
{
    uint8_t *d = r->ram + table + 16 * i;

    store_le64(d, addr);
    store_le32(d + 8, len);
    store_le16(d + 12, flags);
    store_le16(d + 14, next);
}

static UNUSED void ring_desc(struct ring *r, unsigned i, uint64_t addr,
                             uint32_t len, uint16_t flags, uint16_t next)
{
    ring_desc_at(r, r->desc, i, addr, len, flags, next);
}

static UNUSED void ring_offer(struct ring *r, uint16_t head)
{
    store_le16(r->ram + r->avail + 4 + 2 * (r->idx % r->size), head);
    store_le16(r->ram + r->avail + 2, ++r->idx);
}

static UNUSED uint16_t ring_used_idx(const struct ring *r)
{
    return load_le16(r->ram + r->used + 2);
}

/* The next buffer that came back; false: none. */
static UNUSED bool ring_take(struct ring *r, uint32_t *head, uint32_t *len)
{
    const uint8_t *e = r->ram + r->used + 4 + 8 * (r->seen % r->size);

    if (r->seen == ring_used_idx(r))
        return false;
    *head = load_le32(e);
    *len = load_le32(e + 4);
    r->seen++;
    return true;
}

/* flags of the device and of the driver, and the two event indices */
static UNUSED uint16_t ring_used_flags(const struct ring *r)
{
    return load_le16(r->ram + r->used);
}

static UNUSED void ring_no_irq(struct ring *r, bool quiet)
{
    store_le16(r->ram + r->avail, quiet);
}

static UNUSED uint16_t ring_avail_event(const struct ring *r)
{
    return load_le16(r->ram + r->used + 4 + 8 * r->size);
}

static UNUSED void ring_used_event(struct ring *r, uint16_t at)
{
    store_le16(r->ram + r->avail + 4 + 2 * r->size, at);
}

#endif
