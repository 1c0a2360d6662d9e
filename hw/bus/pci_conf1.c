/*
 * Configuration mechanism #1: PCI 3.0 §3.2.2.3.2. A dword written to 0xcf8
 * selects a register; 0xcfc–0xcff is a window onto it. Other accesses at
 * 0xcf8–0xcfb are ordinary I/O; the one port in use there is the reset control
 * register of the south bridge, a byte at 0xcf9.
 */
#include "base/bits.h"
#include "hw/bus/pci_priv.h"

enum { CONFIG_PORT = 0xcf8, CONFIG_DATA = 4, RESET_CONTROL = 1 };

#define ADDRESS_ON       BIT(31)
#define ADDRESS_WRITABLE 0x80fffffcu

/* Who is addressed: devfn, or -1 when there is nobody. */
static int target(const struct pci_conf1 *c)
{
    if (!(c->address & ADDRESS_ON) || bits(c->address, 23, 16))
        return -1;
    return (int)bits(c->address, 15, 8);
}

/* A cycle nobody answers ends in a master abort of the host bridge. */
static void note_abort(struct pci_conf1 *c, unsigned devfn)
{
    struct pci_dev *host = c->bus->dev[0];

    if (host && !c->bus->dev[devfn])
        host->config[PCI_STATUS + 1] |= PCI_STS_MASTER_ABORT >> 8;
}

static uint32_t read_part(struct pci_conf1 *c, unsigned off, unsigned bytes)
{
    if (off < CONFIG_DATA) {
        if (off == 0 && bytes == 4)
            return c->address;
        if (off == RESET_CONTROL && bytes == 1 && c->bus->rcr_read)
            return c->bus->rcr_read(c->bus->rcr_ctx);
        return ~0u;
    }
    int devfn = target(c);
    if (devfn < 0)
        return ~0u;
    note_abort(c, (unsigned)devfn);
    unsigned reg = (c->address & 0xfc) + (off & 3);
    return pci_config_read(c->bus, (uint8_t)devfn, reg, bytes);
}

static void write_part(struct pci_conf1 *c, unsigned off, uint32_t v,
                       unsigned bytes)
{
    if (off < CONFIG_DATA) {
        if (off == 0 && bytes == 4)
            c->address = v & ADDRESS_WRITABLE;
        else if (off == RESET_CONTROL && bytes == 1 && c->bus->rcr_write)
            c->bus->rcr_write(c->bus->rcr_ctx, (uint8_t)v);
        return;
    }
    int devfn = target(c);
    if (devfn < 0)
        return;
    note_abort(c, (unsigned)devfn);
    unsigned reg = (c->address & 0xfc) + (off & 3);
    pci_config_write(c->bus, (uint8_t)devfn, reg, v, bytes);
}

/* An unaligned access reaches the bus as single bytes where one cycle cannot
   carry it. */
static bool splits(unsigned off, unsigned bytes)
{
    return (off & 3) + bytes > 4 || bytes == 3;
}

static uint64_t port_read(void *dev, uint64_t off, unsigned bytes)
{
    unsigned at = (unsigned)off;
    uint32_t v = 0;

    if (!splits(at, bytes))
        return read_part(dev, at, bytes) & mask_low(8 * bytes);
    for (unsigned i = 0; i < bytes; i++)
        v |= (read_part(dev, (at + i) & 7, 1) & 0xff) << 8 * i;
    return v;
}

static void port_write(void *dev, uint64_t off, uint64_t v, unsigned bytes)
{
    unsigned at = (unsigned)off;

    if (!splits(at, bytes)) {
        write_part(dev, at, (uint32_t)v, bytes);
        return;
    }
    for (unsigned i = 0; i < bytes; i++)
        write_part(dev, (at + i) & 7, (uint8_t)(v >> 8 * i), 1);
}

static const struct region_ops port_ops = {port_read, port_write, 1, 4};

int pci_conf1_init(struct pci_conf1 *c, struct pci_bus *b)
{
    c->bus = b;
    c->region = (struct region){
        .name = "pci-config", .size = 8, .ops = &port_ops, .dev = c};
    return space_map(b->env->io, CONFIG_PORT, &c->region, 0);
}

void pci_conf1_exit(struct pci_conf1 *c)
{
    if (c->region.space)
        space_unmap(&c->region);
}
