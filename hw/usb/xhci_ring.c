/* Rings of transfer request blocks: taking from them, and the event ring.
   §4.9, §4.17. */
#include "base/bits.h"
#include "base/endian.h"
#include "hw/usb/xhci.h"

enum { TRB_SIZE = 16, LINKS = 8 };
enum { RING_MIN = 16, RING_MAX = 4096 };
enum { MANAGEMENT_PENDING = 1, MANAGEMENT_ENABLE = 2 };

const struct field xhci_ring_fields[] = {
    FIELD64(struct xhci_ring, at),
    FIELD_MAX(struct xhci_ring, cycle, 8, 1),
    FIELD_END,
};

static int load_trb(struct xhci *x, gpa_t at, struct trb *out)
{
    uint8_t raw[TRB_SIZE];

    if (pci_load(&x->pci, at, raw, sizeof raw))
        return -1;
    *out = (struct trb){load_le64(raw), load_le32(raw + 8), load_le32(raw + 12),
                        at};
    return 0;
}

int xhci_next(struct xhci *x, struct xhci_ring *r, struct trb *out)
{
    /* Links to links would go on for ever. */
    for (unsigned n = 0; n < LINKS; n++) {
        if (load_trb(x, r->at, out))
            return -1;
        if ((out->control & TRB_CYCLE) != r->cycle)
            return 0;
        if ((out->control >> TRB_TYPE_SHIFT & 63) != TRB_LINK) {
            r->at += TRB_SIZE;
            return 1;
        }
        r->at = out->parameter & ~15ull;
        if (out->control & TRB_TOGGLE)
            r->cycle ^= 1;
    }
    return -1;
}

/* --- events --- */

void xhci_start_events(struct xhci *x)
{
    uint8_t entry[TRB_SIZE];

    x->ring_size = x->ring_at = 0;
    x->ring_cycle = 1;
    if (!x->table_size)
        return;
    if (pci_load(&x->pci, x->table, entry, sizeof entry)) {
        xhci_die(x, "the event ring's table is not in memory");
        return;
    }
    x->ring_base = load_le64(entry) & ~63ull;
    x->ring_size = load_le32(entry + 8) & 0xffff;
    if (x->ring_size < RING_MIN || x->ring_size > RING_MAX) {
        x->ring_size = 0;
        xhci_die(x, "an event ring of that size cannot be");
    }
}

static bool has_events(const struct xhci *x)
{
    return x->ring_size &&
           x->dequeue != x->ring_base + (uint64_t)x->ring_at * TRB_SIZE;
}

void xhci_interrupt(struct xhci *x)
{
    bool line;

    if (has_events(x) && !x->busy) {
        x->busy = true;
        x->management |= MANAGEMENT_PENDING;
        x->status |= STS_EINT;
    }
    line = (x->management & MANAGEMENT_PENDING) &&
           (x->management & MANAGEMENT_ENABLE) && (x->command & CMD_INTE);
    if (line && pci_msi_on(&x->pci)) {
        x->management &= ~(uint32_t)MANAGEMENT_PENDING;
        line = false;
        pci_msi_send(&x->pci, 0);
    }
    pci_set_intx(&x->pci, line);
}

/* Places between the ring's end and what software has not taken, less the one
   that must stay free. */
static unsigned room(const struct xhci *x)
{
    uint64_t taken = (x->dequeue - x->ring_base) / TRB_SIZE;

    if (x->dequeue < x->ring_base || taken >= x->ring_size)
        return x->ring_size - 1; /* not set up yet */
    return (unsigned)((taken + x->ring_size - x->ring_at - 1) % x->ring_size);
}

static void put_event(struct xhci *x, uint64_t parameter, uint32_t status,
                      uint32_t control)
{
    uint8_t raw[TRB_SIZE];

    store_le64(raw, parameter);
    store_le32(raw + 8, status);
    store_le32(raw + 12, control | x->ring_cycle);
    if (pci_store(&x->pci, x->ring_base + (uint64_t)x->ring_at * TRB_SIZE, raw,
                  sizeof raw)) {
        xhci_die(x, "the event ring is not in memory");
        return;
    }
    if (++x->ring_at == x->ring_size) {
        x->ring_at = 0;
        x->ring_cycle ^= 1;
    }
}

void xhci_event(struct xhci *x, uint64_t parameter, uint32_t status,
                uint32_t control)
{
    unsigned left = x->ring_size ? room(x) : 0;

    if (left > 1)
        put_event(x, parameter, status, control);
    else if (left == 1) /* the last place says that there is none */
        put_event(x, 0, (uint32_t)CC_RING_FULL << 24,
                  (uint32_t)TRB_HOST_EVENT << TRB_TYPE_SHIFT);
    else
        log_guest(&x->ratelimit, "xhci: the event ring is full");
    xhci_interrupt(x);
}
