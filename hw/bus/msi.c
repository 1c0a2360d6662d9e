/*
 * Message-signalled interrupts: PCI 3.0 §6.8.1, the form with 64-bit addresses
 * and a mask bit for each vector. All state is in configuration space.
 */
#include "base/bits.h"
#include "base/endian.h"
#include "hw/bus/pci_priv.h"

enum { /* offsets into the capability */
       MSI_CONTROL = 0x02,
       MSI_ADDRESS = 0x04,
       MSI_DATA = 0x0c,
       MSI_MASK = 0x10,
       MSI_PENDING = 0x14,
       MSI_LENGTH = 0x18,
};

enum { /* MSI_CONTROL */
       MSI_ON = 1 << 0,
       MSI_CAPABLE_SHIFT = 1, /* log2 of the vectors wanted */
       MSI_GRANTED_SHIFT = 4, /* log2 of the vectors software grants */
       MSI_64BIT = 1 << 7,
       MSI_MASKABLE = 1 << 8,
};

int pci_msi_init(struct pci_dev *p, unsigned vectors, struct err *e)
{
    if (!is_power_of_two(vectors) || vectors > 32)
        return err_set(e, LE_USAGE, "MSI with %u vectors", vectors);
    unsigned log = (unsigned)__builtin_ctz(vectors);
    uint8_t at = pci_add_cap(p, PCI_CAP_MSI, MSI_LENGTH);
    if (!at)
        return err_set(e, LE_NOSPACE, "no configuration space left for MSI");
    const struct pci_reg regs[] = {
        {at + MSI_CONTROL, 2,
         MSI_64BIT | MSI_MASKABLE | log << MSI_CAPABLE_SHIFT,
         MSI_ON | 7 << MSI_GRANTED_SHIFT, 0},
        {at + MSI_ADDRESS, 4, 0, ~3u, 0},
        {at + MSI_ADDRESS + 4, 4, 0, ~0u, 0},
        {at + MSI_DATA, 2, 0, 0xffff, 0},
        {at + MSI_MASK, 4, 0, (uint32_t)mask_low(vectors), 0},
    };

    for (unsigned i = 0; i < ARRAY_LEN(regs); i++)
        pci_set_reg(p, regs[i]);
    p->msi = at;
    return 0;
}

static uint16_t control(const struct pci_dev *p)
{
    return load_le16(p->config + p->msi + MSI_CONTROL);
}

bool pci_msi_on(const struct pci_dev *p)
{
    return p->msi && (control(p) & MSI_ON);
}

/* Software may grant fewer vectors than wanted, never more. */
static unsigned granted(const struct pci_dev *p)
{
    unsigned c = control(p);
    unsigned wanted = c >> MSI_CAPABLE_SHIFT & 7;
    unsigned given = c >> MSI_GRANTED_SHIFT & 7;
    return 1u << MIN(given, wanted);
}

static void send_now(struct pci_dev *p, unsigned n)
{
    const uint8_t *cap = p->config + p->msi;
    uint32_t data = load_le16(cap + MSI_DATA);

    data = (data & ~(granted(p) - 1)) | n;
    pci_message(p, n ? NULL : &p->msi_vector, load_le64(cap + MSI_ADDRESS),
                data);
}

void pci_msi_send(struct pci_dev *p, unsigned n)
{
    if (!pci_msi_on(p))
        return;
    uint8_t *cap = p->config + p->msi;
    n &= granted(p) - 1;
    if (load_le32(cap + MSI_MASK) & BIT(n))
        store_le32(cap + MSI_PENDING, load_le32(cap + MSI_PENDING) | BIT(n));
    else
        send_now(p, n);
}

void pci_msi_written(struct pci_dev *p, unsigned off, unsigned bytes)
{
    if (!p->msi || !pci_touches(off, bytes, p->msi, MSI_LENGTH))
        return;
    pci_intx_update(p);
    if (!pci_msi_on(p))
        return;
    uint8_t *cap = p->config + p->msi;
    uint32_t pending = load_le32(cap + MSI_PENDING);
    uint32_t due = pending & ~load_le32(cap + MSI_MASK);

    store_le32(cap + MSI_PENDING, pending & ~due);
    for (; due; due &= due - 1)
        send_now(p, (unsigned)__builtin_ctz(due) & (granted(p) - 1));
}

void pci_msi_loaded(struct pci_dev *p, uint32_t pending)
{
    if (!p->msi)
        return;
    uint8_t *cap = p->config + p->msi;
    store_le32(cap + MSI_PENDING, pending & load_le32(cap + MSI_MASK));
}
