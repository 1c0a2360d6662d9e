/* A PCI device with every kind of base address, for tests of the bus. */
#ifndef TESTS_UNIT_PCI_TOY_H
#define TESTS_UNIT_PCI_TOY_H

#include "board.h"

struct toy {
    struct dev dev;
    struct pci_dev pci;
    struct pci_msix msix;
    struct region io, mem, big, rom;
    uint8_t rom_bytes[2048];
    uint64_t last_off, last_value;
    unsigned written; /* calls of ops->written */
    uint32_t msi_vectors, msix_vectors;
    bool bars;
};

static uint64_t toy_read(void *dev, uint64_t off, unsigned bytes)
{
    (void)dev;
    (void)bytes;
    return 0xa0 + off;
}

static void toy_write(void *dev, uint64_t off, uint64_t v, unsigned bytes)
{
    struct toy *t = dev;

    (void)bytes;
    t->last_off = off;
    t->last_value = v;
}

static const struct region_ops toy_ops = {toy_read, toy_write, 1, 4};

static void toy_written(struct pci_dev *p, unsigned off, unsigned bytes)
{
    (void)off;
    (void)bytes;
    container_of(p, struct toy, pci)->written++;
}

static const struct pci_ops toy_pci = {.written = toy_written};

static const struct pci_id toy_id = {
    .vendor = 0x1234,
    .device = 0x5678,
    .class_code = 0x0880ff,
    .revision = 7,
    .subvendor = 0x1af4,
    .subdevice = 0x1100,
    .pin = 1,
};

enum { TOY_BIG = 1 << 24 };

static void toy_bars(struct toy *t)
{
    t->io = (struct region){"io", 32, &toy_ops, t, NULL, false, NULL, 0, 0};
    t->mem = t->big = t->rom = t->io;
    t->mem.size = 4096;
    t->big.size = TOY_BIG;
    t->rom = (struct region){.name = "rom",
                             .size = sizeof t->rom_bytes,
                             .ram = t->rom_bytes,
                             .readonly = true};
    t->rom_bytes[0] = 0x55;
    t->rom_bytes[1] = 0xaa;
    assert_int_equal(pci_add_bar(&t->pci, 0, PCI_BAR_IO, &t->io), 0);
    assert_int_equal(pci_add_bar(&t->pci, 1, PCI_BAR_MEM32, &t->mem), 0);
    assert_int_equal(
        pci_add_bar(&t->pci, 2, PCI_BAR_MEM64 | PCI_BAR_PREFETCH, &t->big), 0);
    assert_int_equal(pci_add_bar(&t->pci, PCI_BAR_ROM, PCI_BAR_MEM32, &t->rom),
                     0);
}

static int toy_attach(struct dev *d, struct env *env, struct err *e)
{
    struct toy *t = (struct toy *)d;
    int r = pci_attach(&t->pci, d, &toy_id, &toy_pci, -1, e);

    (void)env;
    if (r < 0)
        return r;
    if (t->bars)
        toy_bars(t);
    if (t->msi_vectors)
        r = pci_msi_init(&t->pci, t->msi_vectors, e);
    if (r == 0 && t->msix_vectors)
        r = pci_msix_init(&t->msix, &t->pci, t->msix_vectors, 4, e);
    return r;
}

static void toy_reset(struct dev *d, bool cold)
{
    (void)cold;
    pci_reset(&((struct toy *)d)->pci);
}

static void toy_detach(struct dev *d)
{
    pci_detach(&((struct toy *)d)->pci);
}

static const struct prop toy_props[] = {
    {"slot", "", offsetof(struct toy, pci.slot), PROP_U32, false, 0, 0, 31},
    {"msi", "", offsetof(struct toy, msi_vectors), PROP_U32, false, 0, 0, 32},
    {"msix", "", offsetof(struct toy, msix_vectors), PROP_U32, false, 0, 0, 0},
    {"bars", "", offsetof(struct toy, bars), PROP_BOOL, false, 1, 0, 0},
    PROP_END,
};

static const struct dev_class toy_class = {
    .name = "toy",
    .size = sizeof(struct toy),
    .props = toy_props,
    .attach = toy_attach,
    .reset = toy_reset,
    .detach = toy_detach,
};

extern const struct dev_class i440fx_class, piix3_class;

static UNUSED struct toy *toy_add(struct board *b, unsigned slot, unsigned msi,
                                  unsigned msix)
{
    struct toy *t = board_make(b, &toy_class, "toy");

    t->pci.slot = slot;
    t->msi_vectors = msi;
    t->msix_vectors = msix;
    return board_attach(b, t);
}

#endif
