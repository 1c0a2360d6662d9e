/*
 * MSI-X: PCI 3.0 §6.8.2. The table of messages and the pending bits lie in a
 * BAR of their own; a vector that fires while masked is sent on unmasking.
 */
#include "base/bits.h"
#include "base/checked.h"
#include "base/endian.h"
#include "hw/bus/pci_priv.h"

enum { /* offsets into the capability */
       MSIX_CONTROL = 0x02,
       MSIX_TABLE = 0x04,
       MSIX_PBA = 0x08,
       MSIX_LENGTH = 0x0c,
};

enum { MSIX_MASK_ALL = 1 << 14, MSIX_ON = 1 << 15 }; /* MSIX_CONTROL */

enum { /* a table entry */
       ENTRY_ADDRESS = 0,
       ENTRY_DATA = 8,
       ENTRY_CONTROL = 12,
       ENTRY_BYTES = 16,
       ENTRY_MASKED = 1,
};

enum { PBA_OFFSET = 0x800, BAR_BYTES = 0x1000 };

const struct field pci_msix_fields[] = {
    FIELD_RAW(struct pci_msix, table),
    FIELD_RAW(struct pci_msix, pba),
    FIELD_END,
};

static uint16_t control(const struct pci_msix *m)
{
    return load_le16(m->pci->config + m->cap + MSIX_CONTROL);
}

static bool masked(const struct pci_msix *m, unsigned n)
{
    return (control(m) & MSIX_MASK_ALL) ||
           (m->table[n * ENTRY_BYTES + ENTRY_CONTROL] & ENTRY_MASKED);
}

static bool pending(const struct pci_msix *m, unsigned n)
{
    return m->pba[n / 8] & BIT(n % 8);
}

static void send_now(struct pci_msix *m, unsigned n)
{
    const uint8_t *entry = m->table + n * ENTRY_BYTES;

    m->pba[n / 8] &= (uint8_t)~BIT(n % 8);
    pci_message(m->pci, &m->vector[n], load_le64(entry + ENTRY_ADDRESS),
                load_le32(entry + ENTRY_DATA));
}

static void deliver(struct pci_msix *m, unsigned n)
{
    if (pending(m, n) && (control(m) & MSIX_ON) && !masked(m, n))
        send_now(m, n);
}

bool pci_msix_on(const struct pci_dev *p)
{
    return p->msix && (control(p->msix) & MSIX_ON);
}

void pci_msix_send(struct pci_dev *p, unsigned n)
{
    struct pci_msix *m = p->msix;

    if (!pci_msix_on(p) || n >= m->count)
        return;
    if (masked(m, n))
        m->pba[n / 8] |= (uint8_t)BIT(n % 8);
    else
        send_now(m, n);
}

void pci_msix_clear(struct pci_dev *p, unsigned n)
{
    if (p->msix && n < p->msix->count)
        p->msix->pba[n / 8] &= (uint8_t)~BIT(n % 8);
}

void pci_msix_written(struct pci_dev *p, unsigned off, unsigned bytes)
{
    struct pci_msix *m = p->msix;

    if (!m || !pci_touches(off, bytes, m->cap, MSIX_LENGTH))
        return;
    pci_intx_update(p);
    for (unsigned n = 0; n < m->count; n++)
        deliver(m, n);
}

/* --- the BAR --- */

static uint8_t bar_byte(const struct pci_msix *m, uint64_t at)
{
    if (at < m->count * ENTRY_BYTES)
        return m->table[at];
    if (at >= PBA_OFFSET && at - PBA_OFFSET < (m->count + 7u) / 8)
        return m->pba[at - PBA_OFFSET];
    return 0;
}

static uint64_t bar_read(void *dev, uint64_t off, unsigned bytes)
{
    uint64_t v = 0;

    for (unsigned i = 0; i < bytes; i++)
        v |= (uint64_t)bar_byte(dev, off + i) << 8 * i;
    return v;
}

/* The bits of an entry that are there at all. */
static const uint8_t entry_writable[ENTRY_BYTES] = {
    0xfc, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    0xff, 0xff, 0xff, 0xff, 0x01, 0,    0,    0,
};

static void bar_write(void *dev, uint64_t off, uint64_t v, unsigned bytes)
{
    struct pci_msix *m = dev;

    if (!range_ok(off, bytes, m->count * ENTRY_BYTES))
        return; /* the pending bits are read-only */
    for (unsigned i = 0; i < bytes; i++, v >>= 8)
        m->table[off + i] =
            (uint8_t)v & entry_writable[(off + i) % ENTRY_BYTES];
    for (uint64_t n = off / ENTRY_BYTES; n * ENTRY_BYTES < off + bytes; n++)
        deliver(m, (unsigned)n);
}

static const struct region_ops bar_ops = {bar_read, bar_write, 1, 8};

/* --- life --- */

int pci_msix_init(struct pci_msix *m, struct pci_dev *p, unsigned vectors,
                  unsigned bar, struct err *e)
{
    if (!vectors || vectors > PCI_MSIX_MAX)
        return err_set(e, LE_USAGE, "MSI-X with %u vectors", vectors);
    m->pci = p;
    m->count = (uint16_t)vectors;
    m->region = (struct region){
        .name = "msix", .size = BAR_BYTES, .ops = &bar_ops, .dev = m};
    int r = pci_add_bar(p, bar, PCI_BAR_MEM32, &m->region);
    if (r < 0)
        return err_set(e, -r, "BAR %u cannot hold MSI-X", bar);
    m->cap = pci_add_cap(p, PCI_CAP_MSIX, MSIX_LENGTH);
    if (!m->cap)
        return err_set(e, LE_NOSPACE, "no configuration space left for MSI-X");
    const struct pci_reg regs[] = {
        {m->cap + MSIX_CONTROL, 2, vectors - 1, MSIX_MASK_ALL | MSIX_ON, 0},
        {m->cap + MSIX_TABLE, 4, bar, 0, 0},
        {m->cap + MSIX_PBA, 4, PBA_OFFSET | bar, 0, 0},
    };

    for (unsigned i = 0; i < ARRAY_LEN(regs); i++)
        pci_set_reg(p, regs[i]);
    p->msix = m;
    pci_msix_reset(m);
    return 0;
}

void pci_msix_reset(struct pci_msix *m)
{
    memset(m->table, 0, sizeof m->table);
    memset(m->pba, 0, sizeof m->pba);
    for (unsigned n = 0; n < m->count; n++)
        m->table[n * ENTRY_BYTES + ENTRY_CONTROL] = ENTRY_MASKED;
}

void pci_msix_close(struct pci_msix *m)
{
    for (unsigned n = 0; n < m->count; n++)
        pci_vector_close(m->pci->bus->env, &m->vector[n]);
}

void pci_msix_loaded(struct pci_msix *m)
{
    for (unsigned i = 0; i < sizeof m->table; i++)
        m->table[i] &= entry_writable[i % ENTRY_BYTES];
    for (unsigned n = m->count; n < PCI_MSIX_MAX; n++)
        m->pba[n / 8] &= (uint8_t)~BIT(n % 8);
}
