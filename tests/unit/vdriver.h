/*
 * A virtio driver over PCI for tests: it finds the structures by their
 * capabilities, negotiates, and sets up queues in guest RAM.
 */
#ifndef TESTS_UNIT_VDRIVER_H
#define TESTS_UNIT_VDRIVER_H

#include "base/bits.h"
#include "ring.h"

enum { VBAR = 0xe0000000, VMSIX = 0xe0100000, VRINGS = 0x800000 };
enum {
    V_DEVICE_SELECT = 0x00,
    V_DEVICE_FEATURE = 0x04,
    V_DRIVER_SELECT = 0x08,
    V_DRIVER_FEATURE = 0x0c,
    V_CONFIG_VECTOR = 0x10,
    V_NUM_QUEUES = 0x12,
    V_STATUS = 0x14,
    V_GENERATION = 0x15,
    V_QUEUE_SELECT = 0x16,
    V_QUEUE_SIZE = 0x18,
    V_QUEUE_VECTOR = 0x1a,
    V_QUEUE_ENABLE = 0x1c,
    V_NOTIFY_OFF = 0x1e,
    V_DESC = 0x20,
    V_DRIVER = 0x28,
    V_DEVICE = 0x30,
    V_NOTIFY_DATA = 0x38,
    V_QUEUE_RESET = 0x3a
};
enum {
    S_ACK = 1,
    S_DRIVER = 2,
    S_DRIVER_OK = 4,
    S_FEATURES_OK = 8,
    S_NEEDS_RESET = 64
};

struct vdriver {
    struct board *b;
    unsigned devfn;
    uint64_t common, isr, device, notify;
    uint32_t notify_step;
    uint8_t window;
    struct ring ring[8];
};

static UNUSED uint32_t vc_read(struct vdriver *d, unsigned off, unsigned bytes)
{
    return (uint32_t)mem_read(d->b, d->common + off, bytes);
}

static UNUSED void vc_write(struct vdriver *d, unsigned off, uint64_t v,
                            unsigned bytes)
{
    mem_write(d->b, d->common + off, v, bytes);
}

static uint64_t vd_bar(unsigned bar)
{
    return bar == 2 ? VMSIX : VBAR;
}

static void vd_cap(struct vdriver *d, unsigned cap)
{
    unsigned type = conf_read(d->b, d->devfn, cap + 3, 1);
    unsigned bar = conf_read(d->b, d->devfn, cap + 4, 1);
    uint64_t at = vd_bar(bar) + conf_read(d->b, d->devfn, cap + 8, 4);

    switch (type) {
    case 1: d->common = at; break;
    case 2:
        d->notify = at;
        d->notify_step = conf_read(d->b, d->devfn, cap + 16, 4);
        break;
    case 3: d->isr = at; break;
    case 4: d->device = at; break;
    case 5: d->window = (uint8_t)cap; break;
    default: fail_msg("capability type %u", type);
    }
}

/* Gives it addresses and finds its parts. */
static UNUSED struct vdriver vd_find(struct board *b, unsigned devfn)
{
    struct vdriver d = {.b = b, .devfn = devfn};
    unsigned n = 0;

    conf_write(b, devfn, 0x10, VBAR, 4);
    conf_write(b, devfn, 0x14, 0, 4);
    conf_write(b, devfn, 0x18, VMSIX, 4);
    conf_write(b, devfn, PCI_COMMAND, PCI_CMD_MEM | PCI_CMD_MASTER, 2);
    for (unsigned c = conf_read(b, devfn, PCI_CAPS, 1); c;
         c = conf_read(b, devfn, c + 1, 1)) {
        assert_true(++n < 16);
        if (conf_read(b, devfn, c, 1) == PCI_CAP_VENDOR)
            vd_cap(&d, c);
    }
    assert_true(d.common && d.isr && d.notify && d.window);
    return d;
}

static UNUSED uint64_t vd_offered(struct vdriver *d)
{
    vc_write(d, V_DEVICE_SELECT, 0, 4);
    uint64_t f = vc_read(d, V_DEVICE_FEATURE, 4);
    vc_write(d, V_DEVICE_SELECT, 1, 4);
    return f | (uint64_t)vc_read(d, V_DEVICE_FEATURE, 4) << 32;
}

/* Up to FEATURES_OK; false: the device does not take them. */
static UNUSED bool vd_negotiate(struct vdriver *d, uint64_t features)
{
    vc_write(d, V_STATUS, 0, 1);
    assert_int_equal(vc_read(d, V_STATUS, 1), 0);
    vc_write(d, V_STATUS, S_ACK, 1);
    vc_write(d, V_STATUS, S_ACK | S_DRIVER, 1);
    vc_write(d, V_DRIVER_SELECT, 0, 4);
    vc_write(d, V_DRIVER_FEATURE, features & 0xffffffff, 4);
    vc_write(d, V_DRIVER_SELECT, 1, 4);
    vc_write(d, V_DRIVER_FEATURE, features >> 32, 4);
    vc_write(d, V_STATUS, S_ACK | S_DRIVER | S_FEATURES_OK, 1);
    return vc_read(d, V_STATUS, 1) & S_FEATURES_OK;
}

/* Queue q with `size` entries, its ring at a place of its own. */
static UNUSED struct ring *vd_queue(struct vdriver *d, unsigned q,
                                    unsigned size)
{
    struct ring *r = &d->ring[q];

    *r = ring_make(d->b, VRINGS + 0x10000 * q, size);
    vc_write(d, V_QUEUE_SELECT, q, 2);
    vc_write(d, V_QUEUE_SIZE, size, 2);
    vc_write(d, V_DESC, r->desc, 8);
    vc_write(d, V_DRIVER, r->avail, 8);
    vc_write(d, V_DEVICE, r->used, 8);
    vc_write(d, V_QUEUE_ENABLE, 1, 2);
    return r;
}

static UNUSED void vd_go(struct vdriver *d)
{
    vc_write(d, V_STATUS, vc_read(d, V_STATUS, 1) | S_DRIVER_OK, 1);
}

static UNUSED void vd_kick(struct vdriver *d, unsigned q)
{
    vc_write(d, V_QUEUE_SELECT, q, 2);
    uint64_t off = (uint64_t)vc_read(d, V_NOTIFY_OFF, 2) * d->notify_step;
    mem_write(d->b, d->notify + off, q, 2);
}

static UNUSED uint8_t vd_isr(struct vdriver *d)
{
    return (uint8_t)mem_read(d->b, d->isr, 1);
}

/* MSI-X on, vector n sends data 0x40 + n. */
static UNUSED void vd_msix(struct vdriver *d)
{
    unsigned cap = conf_read(d->b, d->devfn, PCI_CAPS, 1);

    while (conf_read(d->b, d->devfn, cap, 1) != PCI_CAP_MSIX)
        cap = conf_read(d->b, d->devfn, cap + 1, 1);
    unsigned count = (conf_read(d->b, d->devfn, cap + 2, 2) & 0x7ff) + 1;
    conf_write(d->b, d->devfn, cap + 2, 0x8000, 2);
    for (unsigned n = 0; n < count; n++) {
        mem_write(d->b, VMSIX + 16 * n, 0xfee00000, 8);
        mem_write(d->b, VMSIX + 16 * n + 8, 0x40 + n, 8);
    }
}

#endif
