/* Split virtqueues: virtio 1.2 §2.7. */
#include "base/bits.h"
#include "base/endian.h"
#include "hw/virtio/virtqueue.h"

enum { /* descriptors, §2.7.5 */
       DESC_BYTES = 16,
       DESC_NEXT = 1,
       DESC_WRITE = 2,
       DESC_INDIRECT = 4,
};

enum { /* available ring, §2.7.6; used ring, §2.7.8 */
       RING_FLAGS = 0,
       RING_IDX = 2,
       RING_ENTRIES = 4,
       AVAIL_ENTRY = 2,
       USED_ENTRY = 8,
       RING_QUIET = 1, /* in flags: the other side need not tell us */
};

struct desc {
    uint64_t addr;
    uint32_t len;
    uint16_t flags, next;
};

const struct field virtq_fields[] = {
    FIELD_MAX(struct virtq, size, 16, VIRTQ_MAX),
    FIELD64(struct virtq, desc),
    FIELD64(struct virtq, driver),
    FIELD64(struct virtq, device),
    FIELDB(struct virtq, ready),
    FIELD16(struct virtq, next_avail),
    FIELD16(struct virtq, next_used),
    FIELD16(struct virtq, signalled),
    FIELDB(struct virtq, signalled_valid),
    FIELDB(struct virtq, broken),
    FIELD_END,
};

/* --- shared with a running driver: each 16-bit field is one access --- */

static uint16_t ring_load(const uint8_t *p)
{
    uint16_t v =
        __atomic_load_n((const uint16_t *)(const void *)p, __ATOMIC_ACQUIRE);
    return load_le16(&v);
}

static void ring_store(uint8_t *p, uint16_t v)
{
    uint16_t le;

    store_le16(&le, v);
    __atomic_store_n((uint16_t *)(void *)p, le, __ATOMIC_RELEASE);
}

static int break_queue(struct virtq *q)
{
    q->broken = true;
    return -LE_FORMAT;
}

/* --- the areas --- */

static uint8_t *find_area(struct virtq *q, uint64_t a, size_t n, size_t align)
{
    struct span ram;

    if ((a & (align - 1)) || space_span(q->mem, a, n, &ram) < 0 || ram.n < n)
        return NULL;
    return ram.p;
}

static size_t driver_bytes(const struct virtq *q)
{
    return RING_ENTRIES + AVAIL_ENTRY * (size_t)q->size + 2;
}

static size_t device_bytes(const struct virtq *q)
{
    return RING_ENTRIES + USED_ENTRY * (size_t)q->size + 2;
}

/* Finds the areas when they are used for the first time. */
static bool usable(struct virtq *q)
{
    if (!q->ready || q->broken)
        return false;
    if (q->desc_p)
        return true;
    uint8_t *desc = find_area(q, q->desc, DESC_BYTES * (size_t)q->size, 16);
    q->driver_p = find_area(q, q->driver, driver_bytes(q), 2);
    q->device_p = find_area(q, q->device, device_bytes(q), 4);
    if (!is_power_of_two(q->size) || q->size > q->max || !desc ||
        !q->driver_p || !q->device_p) {
        q->broken = true;
        return false;
    }
    q->desc_p = desc;
    return true;
}

void virtq_reset(struct virtq *q)
{
    *q = (struct virtq){.mem = q->mem, .max = q->max, .size = q->max};
}

int virtq_loaded(struct virtq *q)
{
    q->desc_p = q->driver_p = q->device_p = NULL;
    if (!is_power_of_two(q->size) || q->size > q->max)
        return -LE_FORMAT;
    return 0;
}

/* --- taking buffers --- */

/* A table of descriptors: the queue's own, or an indirect one. */
struct table {
    const uint8_t *p; /* NULL: not one piece of RAM, read it in parts */
    uint64_t addr;
    unsigned count;
};

static bool read_desc(struct virtq *q, const struct table *t, unsigned i,
                      struct desc *d)
{
    uint8_t raw[DESC_BYTES];

    if (t->p)
        memcpy(raw, t->p + DESC_BYTES * i, sizeof raw);
    else if (space_load(q->mem, t->addr + DESC_BYTES * i, raw, sizeof raw) < 0)
        return false;
    d->addr = load_le64(raw);
    d->len = load_le32(raw + 8);
    d->flags = load_le16(raw + 12);
    d->next = load_le16(raw + 14);
    return true;
}

/* §2.7.5.3: the rest of the buffer is in a table elsewhere. */
static bool enter_indirect(struct virtq *q, const struct desc *d,
                           struct table *t)
{
    uint64_t end;
    struct span ram;

    if (!q->indirect || (d->flags & DESC_NEXT) || !d->len ||
        d->len % DESC_BYTES || d->len / DESC_BYTES > VIRTQ_MAX ||
        __builtin_add_overflow(d->addr, d->len, &end))
        return false;
    *t = (struct table){.addr = d->addr, .count = d->len / DESC_BYTES};
    if (space_span(q->mem, d->addr, d->len, &ram) == 0 && ram.n >= d->len)
        t->p = ram.p;
    return true;
}

/* The RAM of one descriptor, in as many spans as it takes. */
static bool add_spans(struct virtq *q, struct virtq_buf *b,
                      const struct desc *d)
{
    uint64_t end, a = d->addr;
    bool in = d->flags & DESC_WRITE;

    if (__builtin_add_overflow(a, d->len, &end) || (!in && b->nin) ||
        b->out_bytes + b->in_bytes + d->len > UINT32_MAX)
        return false;
    *(in ? &b->in_bytes : &b->out_bytes) += d->len;
    while (a < end) {
        unsigned n = b->nout + b->nin;
        if (n == b->max ||
            space_span(q->mem, a, (size_t)(end - a), &b->span[n]) < 0 ||
            !b->span[n].n)
            return false;
        b->addr[n] = a;
        a += b->span[n].n;
        *(in ? &b->nin : &b->nout) += 1;
    }
    return true;
}

/* Follows the chain from descriptor i; a loop runs into the count. */
static bool walk(struct virtq *q, unsigned i, struct virtq_buf *b)
{
    struct table t = {.p = q->desc_p, .count = q->size};
    bool indirect = false;

    for (unsigned left = t.count; left; left--) {
        struct desc d;
        if (i >= t.count || !read_desc(q, &t, i, &d))
            return false;
        if (d.flags & DESC_INDIRECT) {
            if (indirect || !enter_indirect(q, &d, &t))
                return false;
            indirect = true;
            i = 0;
            left = t.count + 1;
            continue;
        }
        if (!add_spans(q, b, &d))
            return false;
        if (!(d.flags & DESC_NEXT))
            return true;
        i = d.next;
    }
    return false;
}

int virtq_pop(struct virtq *q, struct virtq_buf *b)
{
    if (!usable(q))
        return q->broken ? -LE_FORMAT : 0;
    uint16_t waiting =
        (uint16_t)(ring_load(q->driver_p + RING_IDX) - q->next_avail);
    if (!waiting)
        return 0;
    if (waiting > q->size)
        return break_queue(q);
    unsigned slot = q->next_avail & (q->size - 1u);
    b->head = ring_load(q->driver_p + RING_ENTRIES + AVAIL_ENTRY * slot);
    b->nout = b->nin = 0;
    b->out_bytes = b->in_bytes = 0;
    if (!walk(q, b->head, b))
        return break_queue(q);
    q->next_avail++;
    return 1;
}

void virtq_unpop(struct virtq *q, unsigned count)
{
    q->next_avail = (uint16_t)(q->next_avail - count);
}

/* --- giving them back --- */

void virtq_fill(struct virtq *q, const struct virtq_buf *b, uint32_t written,
                unsigned ahead)
{
    if (!usable(q))
        return;
    for (unsigned i = b->nout; i < b->nout + b->nin; i++)
        space_wrote(q->mem, b->addr[i], b->span[i].n);
    size_t at =
        RING_ENTRIES + USED_ENTRY * ((q->next_used + ahead) & (q->size - 1u));
    store_le32(q->device_p + at, b->head);
    store_le32(q->device_p + at + 4, written);
    space_wrote(q->mem, q->device + at, USED_ENTRY);
}

void virtq_publish(struct virtq *q, unsigned count)
{
    if (!usable(q))
        return;
    q->next_used = (uint16_t)(q->next_used + count);
    ring_store(q->device_p + RING_IDX, q->next_used);
    space_wrote(q->mem, q->device, RING_ENTRIES);
}

void virtq_push(struct virtq *q, const struct virtq_buf *b, uint32_t written)
{
    virtq_fill(q, b, written, 0);
    virtq_publish(q, 1);
}

/* §2.7.10: has the index gone past `event` on its way from old to now? */
static bool passed(uint16_t event, uint16_t now, uint16_t old)
{
    return (uint16_t)(now - event - 1) < (uint16_t)(now - old);
}

bool virtq_wants_irq(struct virtq *q)
{
    if (!usable(q))
        return false;
    /* The used index has to be seen before we look at the suppression. */
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    if (!q->event_idx)
        return !(ring_load(q->driver_p + RING_FLAGS) & RING_QUIET);
    uint16_t event = ring_load(q->driver_p + driver_bytes(q) - 2);
    bool wants =
        !q->signalled_valid || passed(event, q->next_used, q->signalled);
    q->signalled = q->next_used;
    q->signalled_valid = true;
    return wants;
}

bool virtq_listen(struct virtq *q, bool on)
{
    if (!usable(q))
        return false;
    if (!q->event_idx) {
        ring_store(q->device_p + RING_FLAGS, on ? 0 : RING_QUIET);
        space_wrote(q->mem, q->device, RING_ENTRIES);
    } else if (on) {
        size_t at = device_bytes(q) - 2;
        ring_store(q->device_p + at, q->next_avail);
        space_wrote(q->mem, q->device + at, 2);
    }
    if (!on)
        return false;
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    return ring_load(q->driver_p + RING_IDX) != q->next_avail;
}
