/* Virtio over PCI: virtio 1.2 §4.1. */
#include "base/bits.h"
#include "base/checked.h"
#include "base/endian.h"
#include "hw/virtio/virtio_pci.h"

enum { COMMON = 0x0000, ISR = 0x1000, DEVICE = 0x2000, NOTIFY = 0x3000 };
enum { PART = 0x1000, BAR_BYTES = 0x4000, NOTIFY_STEP = 4 };
enum { BAR = 0, MSIX_BAR = 2, NO_VECTOR = 0xffff };
enum { ISR_QUEUE = 1, ISR_CONFIG = 2 };

enum { /* capability: §4.1.4 */
       CAP_LENGTH = 2,
       CAP_TYPE = 3,
       CAP_BAR = 4,
       CAP_OFFSET = 8,
       CAP_BYTES = 12,
       CAP_SIZE = 16,  /* and at its end, for some types… */
       CAP_EXTRA = 16, /* notify multiplier, or the data window */
};

enum { CAP_COMMON = 1, CAP_NOTIFY, CAP_ISR, CAP_DEVICE, CAP_WINDOW };

const struct field virtio_pci_fields[] = {
    FIELD_SUB(struct virtio_pci, pci, struct pci_dev, pci_fields),
    FIELD_SUB(struct virtio_pci, msix, struct pci_msix, pci_msix_fields),
    FIELD32(struct virtio_pci, device_select),
    FIELD32(struct virtio_pci, driver_select),
    FIELD16(struct virtio_pci, queue_select),
    FIELD16(struct virtio_pci, config_vector),
    FIELD16(struct virtio_pci, queue_vector),
    FIELD_MAX(struct virtio_pci, isr, 8, 3),
    FIELD_END,
};

/* --- interrupts --- */

static void interrupt(struct virtio_pci *t, uint16_t vector, uint8_t cause)
{
    if (pci_msix_on(&t->pci)) {
        if (vector != NO_VECTOR)
            pci_msix_send(&t->pci, vector);
        return;
    }
    t->isr |= cause;
    pci_set_intx(&t->pci, true);
}

static void queue_irq(void *transport, unsigned q)
{
    struct virtio_pci *t = transport;
    interrupt(t, t->queue_vector[q], ISR_QUEUE);
}

static void config_irq(void *transport)
{
    struct virtio_pci *t = transport;
    interrupt(t, t->config_vector, ISR_CONFIG);
}

/* §4.1.5.3: reading it acknowledges the interrupt. */
static uint8_t isr_read(struct virtio_pci *t)
{
    uint8_t isr = t->isr;

    t->isr = 0;
    pci_set_intx(&t->pci, false);
    return isr;
}

static void reset_done(void *transport)
{
    struct virtio_pci *t = transport;

    t->device_select = t->driver_select = t->queue_select = 0;
    t->config_vector = NO_VECTOR;
    for (unsigned q = 0; q < VIRTIO_QUEUES; q++)
        t->queue_vector[q] = NO_VECTOR;
    (void)isr_read(t);
}

static const struct virtio_transport transport_ops = {queue_irq, config_irq,
                                                      reset_done};

/* --- common configuration: §4.1.4.3, a row for each field --- */

static struct virtq *queue(struct virtio_pci *t)
{
    return t->queue_select < t->v->nq ? &t->v->q[t->queue_select] : NULL;
}

static uint64_t get_device_select(struct virtio_pci *t)
{
    return t->device_select;
}

static void set_device_select(struct virtio_pci *t, uint64_t v)
{
    t->device_select = (uint32_t)v;
}

static uint64_t feature_half(uint64_t features, uint32_t select)
{
    return select < 2 ? bits(features, 32 * select + 31, 32 * select) : 0;
}

static uint64_t get_device_feature(struct virtio_pci *t)
{
    return feature_half(t->v->offered, t->device_select);
}

static uint64_t get_driver_select(struct virtio_pci *t)
{
    return t->driver_select;
}

static void set_driver_select(struct virtio_pci *t, uint64_t v)
{
    t->driver_select = (uint32_t)v;
}

static uint64_t get_driver_feature(struct virtio_pci *t)
{
    return feature_half(t->v->accepted, t->driver_select);
}

static void set_driver_feature(struct virtio_pci *t, uint64_t v)
{
    unsigned shift = 32 * t->driver_select;

    if (t->driver_select >= 2)
        return;
    uint64_t keep = t->v->accepted & ~(mask_low(32) << shift);
    virtio_set_features(t->v, keep | v << shift);
}

static uint64_t get_config_vector(struct virtio_pci *t)
{
    return t->config_vector;
}

/* A vector that is not there reads back as none: §4.1.5.1.2. */
static uint16_t vector_for(const struct virtio_pci *t, uint64_t v)
{
    return v < t->msix.count ? (uint16_t)v : NO_VECTOR;
}

static void set_config_vector(struct virtio_pci *t, uint64_t v)
{
    t->config_vector = vector_for(t, v);
}

static uint64_t get_num_queues(struct virtio_pci *t)
{
    return t->v->nq;
}

static uint64_t get_status(struct virtio_pci *t)
{
    return t->v->status;
}

static void set_status(struct virtio_pci *t, uint64_t v)
{
    virtio_set_status(t->v, (uint8_t)v);
}

static uint64_t get_generation(struct virtio_pci *t)
{
    return t->v->generation;
}

static uint64_t get_queue_select(struct virtio_pci *t)
{
    return t->queue_select;
}

static void set_queue_select(struct virtio_pci *t, uint64_t v)
{
    t->queue_select = (uint16_t)v;
}

static uint64_t get_queue_size(struct virtio_pci *t)
{
    return queue(t) ? queue(t)->size : 0; /* 0: there is no such queue */
}

static void set_queue_size(struct virtio_pci *t, uint64_t v)
{
    if (queue(t))
        virtio_set_queue_size(t->v, t->queue_select, (uint16_t)v);
}

static uint64_t get_queue_vector(struct virtio_pci *t)
{
    return queue(t) ? t->queue_vector[t->queue_select] : NO_VECTOR;
}

static void set_queue_vector(struct virtio_pci *t, uint64_t v)
{
    if (queue(t))
        t->queue_vector[t->queue_select] = vector_for(t, v);
}

static uint64_t get_queue_enable(struct virtio_pci *t)
{
    return queue(t) && queue(t)->ready;
}

static void set_queue_enable(struct virtio_pci *t, uint64_t v)
{
    if (queue(t) && v == 1)
        virtio_enable_queue(t->v, t->queue_select);
}

/* The notify offset of a queue, and the data to notify it with: its number. */
static uint64_t get_queue_number(struct virtio_pci *t)
{
    return queue(t) ? t->queue_select : 0;
}

static uint64_t get_desc(struct virtio_pci *t)
{
    return queue(t) ? queue(t)->desc : 0;
}

static void set_desc(struct virtio_pci *t, uint64_t v)
{
    if (queue(t) && !queue(t)->ready)
        queue(t)->desc = v;
}

static uint64_t get_driver(struct virtio_pci *t)
{
    return queue(t) ? queue(t)->driver : 0;
}

static void set_driver(struct virtio_pci *t, uint64_t v)
{
    if (queue(t) && !queue(t)->ready)
        queue(t)->driver = v;
}

static uint64_t get_device(struct virtio_pci *t)
{
    return queue(t) ? queue(t)->device : 0;
}

static void set_device(struct virtio_pci *t, uint64_t v)
{
    if (queue(t) && !queue(t)->ready)
        queue(t)->device = v;
}

/* 1 while the reset goes on. */
static uint64_t get_queue_reset(struct virtio_pci *t)
{
    return queue(t) && (t->v->queue_resetting & BIT(t->queue_select));
}

static void set_queue_reset(struct virtio_pci *t, uint64_t v)
{
    if (queue(t) && v == 1)
        virtio_reset_queue(t->v, t->queue_select);
}

static const struct common_field {
    uint8_t off, bytes;
    uint64_t (*get)(struct virtio_pci *t);
    void (*set)(struct virtio_pci *t, uint64_t v); /* NULL: read-only */
} common_fields[] = {
    {0x00, 4, get_device_select, set_device_select},
    {0x04, 4, get_device_feature, NULL},
    {0x08, 4, get_driver_select, set_driver_select},
    {0x0c, 4, get_driver_feature, set_driver_feature},
    {0x10, 2, get_config_vector, set_config_vector},
    {0x12, 2, get_num_queues, NULL},
    {0x14, 1, get_status, set_status},
    {0x15, 1, get_generation, NULL},
    {0x16, 2, get_queue_select, set_queue_select},
    {0x18, 2, get_queue_size, set_queue_size},
    {0x1a, 2, get_queue_vector, set_queue_vector},
    {0x1c, 2, get_queue_enable, set_queue_enable},
    {0x1e, 2, get_queue_number, NULL},
    {0x20, 8, get_desc, set_desc},
    {0x28, 8, get_driver, set_driver},
    {0x30, 8, get_device, set_device},
    {0x38, 2, get_queue_number, NULL},
    {0x3a, 2, get_queue_reset, set_queue_reset},
};
enum { COMMON_BYTES = 0x3c };

/* How much of an access of n bytes at off the field has; *at: from where. */
static unsigned overlap(const struct common_field *f, unsigned off, unsigned n,
                        unsigned *at)
{
    unsigned first = MAX(f->off, off);
    unsigned end = MIN(f->off + f->bytes, off + n);

    *at = first;
    return first < end ? end - first : 0;
}

static uint64_t common_read(struct virtio_pci *t, unsigned off, unsigned bytes)
{
    uint64_t v = 0;

    for (unsigned i = 0; i < ARRAY_LEN(common_fields); i++) {
        const struct common_field *f = &common_fields[i];
        unsigned at, n = overlap(f, off, bytes, &at);
        if (n)
            v |= (f->get(t) >> 8 * (at - f->off) & mask_low(8 * n))
                 << 8 * (at - off);
    }
    return v;
}

/* A write of part of a field leaves the rest of it. */
static void common_write(struct virtio_pci *t, unsigned off, uint64_t v,
                         unsigned bytes)
{
    for (unsigned i = 0; i < ARRAY_LEN(common_fields); i++) {
        const struct common_field *f = &common_fields[i];
        unsigned at, n = overlap(f, off, bytes, &at);
        if (!n || !f->set)
            continue;
        uint64_t mask = mask_low(8 * n) << 8 * (at - f->off);
        uint64_t in = v >> 8 * (at - off) << 8 * (at - f->off);
        f->set(t, (f->get(t) & ~mask) | (in & mask));
    }
}

/* --- device configuration --- */

static uint64_t device_read(struct virtio_pci *t, unsigned off, unsigned bytes)
{
    uint64_t v = 0;

    for (unsigned i = 0; i < bytes && off + i < t->v->config_bytes; i++)
        v |= (uint64_t)t->v->config[off + i] << 8 * i;
    return v;
}

static void device_write(struct virtio_pci *t, unsigned off, uint64_t v,
                         unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++)
        virtio_config_write(t->v, off + i, (uint8_t)(v >> 8 * i));
}

/* --- the BAR --- */

static uint64_t bar_read(void *dev, uint64_t at, unsigned bytes)
{
    struct virtio_pci *t = dev;
    unsigned off = (unsigned)at % PART;

    switch (at - off) {
    case COMMON: return common_read(t, off, bytes);
    case ISR: return off == 0 ? isr_read(t) : 0;
    case DEVICE: return device_read(t, off, bytes);
    default: return 0;
    }
}

static void bar_write(void *dev, uint64_t at, uint64_t v, unsigned bytes)
{
    struct virtio_pci *t = dev;
    unsigned off = (unsigned)at % PART;

    switch (at - off) {
    case COMMON: common_write(t, off, v, bytes); break;
    case DEVICE: device_write(t, off, v, bytes); break;
    case NOTIFY: virtio_notify(t->v, off / NOTIFY_STEP); break;
    default: break;
    }
}

static const struct region_ops bar_ops = {bar_read, bar_write, 1, 4};

/* --- the BAR seen through configuration space: §4.1.4.9 --- */

struct window_access {
    uint32_t off;
    unsigned bytes; /* 0: not a valid access */
};

static struct window_access window_access(const struct virtio_pci *t)
{
    const uint8_t *cap = t->pci.config + t->window;
    struct window_access a = {load_le32(cap + CAP_OFFSET),
                              load_le32(cap + CAP_BYTES)};

    if (cap[CAP_BAR] != BAR || (a.bytes != 1 && a.bytes != 2 && a.bytes != 4) ||
        !range_ok(a.off, a.bytes, BAR_BYTES) || a.off % a.bytes)
        a.bytes = 0;
    return a;
}

static bool in_window(const struct virtio_pci *t, unsigned off, unsigned bytes)
{
    return off + bytes > t->window + (unsigned)CAP_EXTRA &&
           off < t->window + (unsigned)CAP_EXTRA + 4;
}

static void config_reading(struct pci_dev *p, unsigned off, unsigned bytes)
{
    struct virtio_pci *t = container_of(p, struct virtio_pci, pci);

    if (!in_window(t, off, bytes))
        return;
    struct window_access a = window_access(t);
    if (a.bytes)
        store_le32(p->config + t->window + CAP_EXTRA,
                   (uint32_t)bar_read(t, a.off, a.bytes));
}

static void config_written(struct pci_dev *p, unsigned off, unsigned bytes)
{
    struct virtio_pci *t = container_of(p, struct virtio_pci, pci);

    if (off < PCI_COMMAND + 2 && off + bytes > PCI_COMMAND)
        virtio_set_master(t->v, pci_is_master(p));
    if (!in_window(t, off, bytes))
        return;
    struct window_access a = window_access(t);
    uint32_t v = load_le32(p->config + t->window + CAP_EXTRA);
    if (a.bytes)
        bar_write(t, a.off, v & mask_low(8 * a.bytes), a.bytes);
}

static const struct pci_ops config_ops = {config_written, config_reading};

/* --- life --- */

/* Returns the capability's offset; 0 without room. */
static uint8_t add_cap(struct virtio_pci *t, uint8_t type, uint32_t off,
                       uint32_t bytes, unsigned size)
{
    uint8_t at = pci_add_cap(&t->pci, PCI_CAP_VENDOR, size);

    if (!at)
        return 0;
    pci_set_reg(&t->pci,
                (struct pci_reg){at + CAP_LENGTH, 2, type << 8 | size, 0, 0});
    pci_set_reg(&t->pci, (struct pci_reg){at + CAP_BAR, 1, BAR, 0, 0});
    pci_set_reg(&t->pci, (struct pci_reg){at + CAP_OFFSET, 4, off, 0, 0});
    pci_set_reg(&t->pci, (struct pci_reg){at + CAP_BYTES, 4, bytes, 0, 0});
    return at;
}

static bool add_caps(struct virtio_pci *t)
{
    unsigned nq = t->v->nq, config = t->v->config_bytes;
    bool ok = add_cap(t, CAP_COMMON, COMMON, COMMON_BYTES, CAP_SIZE) &&
              add_cap(t, CAP_ISR, ISR, 1, CAP_SIZE);

    if (ok && config)
        ok = add_cap(t, CAP_DEVICE, DEVICE, config, CAP_SIZE);
    uint8_t notify =
        add_cap(t, CAP_NOTIFY, NOTIFY, nq * NOTIFY_STEP, CAP_SIZE + 4);
    t->window = add_cap(t, CAP_WINDOW, 0, 0, CAP_SIZE + 4);
    if (!ok || !notify || !t->window)
        return false;
    const struct pci_reg regs[] = {
        {notify + CAP_EXTRA, 4, NOTIFY_STEP, 0, 0},
        {t->window + CAP_BAR, 1, 0, 0xff, 0},
        {t->window + CAP_OFFSET, 4, 0, ~0u, 0},
        {t->window + CAP_BYTES, 4, 0, ~0u, 0},
        {t->window + CAP_EXTRA, 4, 0, ~0u, 0},
    };
    for (unsigned i = 0; i < ARRAY_LEN(regs); i++)
        pci_set_reg(&t->pci, regs[i]);
    return true;
}

static int add_parts(struct virtio_pci *t, struct err *e)
{
    t->bar = (struct region){
        .name = "virtio", .size = BAR_BYTES, .ops = &bar_ops, .dev = t};
    t->bar.bells = (struct region_bells){NOTIFY, NOTIFY_STEP, t->v->nq, 2};
    int r = pci_add_bar(&t->pci, BAR, PCI_BAR_MEM64, &t->bar);
    if (r == 0)
        r = pci_msix_init(&t->msix, &t->pci, t->v->nq + 1, MSIX_BAR, e);
    if (r == 0 && !add_caps(t))
        r = err_set(e, LE_NOSPACE, "no configuration space left for virtio");
    return r;
}

int virtio_pci_attach(struct virtio_pci *t, struct virtio_dev *v, struct dev *d,
                      uint32_t class_code, struct err *e)
{
    const struct pci_id id = {
        .vendor = 0x1af4,
        .device = (uint16_t)(0x1040 + v->ops->id),
        .class_code = class_code,
        .revision = 1,
        .subvendor = 0x1af4,
        .subdevice = 0x1100,
        .pin = 1,
    };

    t->v = v;
    int r = pci_attach(&t->pci, d, &id, &config_ops, -1, e);
    if (r < 0)
        return r;
    v->transport = &transport_ops;
    v->transport_ctx = t;
    r = add_parts(t, e);
    if (r < 0)
        pci_detach(&t->pci);
    return r;
}

void virtio_pci_detach(struct virtio_pci *t)
{
    virtio_exit(t->v);
    pci_detach(&t->pci);
}

void virtio_pci_reset(struct virtio_pci *t)
{
    pci_reset(&t->pci);
    t->v->master = false;
    virtio_hard_reset(t->v);
}

int virtio_pci_loaded(struct virtio_pci *t)
{
    int r = pci_loaded(&t->pci);

    t->config_vector = vector_for(t, t->config_vector);
    for (unsigned q = 0; q < VIRTIO_QUEUES; q++)
        t->queue_vector[q] = vector_for(t, t->queue_vector[q]);
    if (r == 0)
        r = virtio_loaded(t->v);
    t->v->master = pci_is_master(&t->pci); /* queues: when resumed */
    return r;
}
