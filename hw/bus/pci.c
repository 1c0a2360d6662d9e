/*
 * The PCI bus: PCI Local Bus Specification 3.0, chapter 6. Configuration
 * space is data: a reset value, a write mask and a write-one-to-clear mask for
 * each byte. Machine lock held.
 */
#include "base/bits.h"
#include "base/endian.h"
#include "hw/bus/pci_priv.h"

const struct field pci_fields[] = {
    FIELD_RAW(struct pci_dev, config),
    FIELDB(struct pci_dev, intx),
    FIELD_END,
};

/* x86 has no more address lines than this (SDM volume 3, §4.1.4). */
#define ADDRESS_MAX mask_low(52)
#define PORT_MAX    0xffffu

enum { FIRST_CAP = 0x40, BAR_IO_BITS = 3, BAR_MEM_BITS = 15, ROM_ON = 1 };

/* --- base address registers --- */

static unsigned bar_offset(unsigned n)
{
    return n == PCI_BAR_ROM ? PCI_ROM : PCI_BAR0 + 4 * n;
}

static bool bar_is_io(const struct pci_bar *b)
{
    return b->kind & PCI_BAR_IO;
}

static bool bar_is_64(const struct pci_bar *b)
{
    return b->region && (b->kind & PCI_BAR_MEM64);
}

/* The address software has put into BAR n, if that is to be decoded. */
static bool bar_wanted(const struct pci_dev *p, unsigned n, uint64_t *base)
{
    const struct pci_bar *b = &p->bar[n];
    const uint8_t *reg = p->config + bar_offset(n);
    uint16_t command = load_le16(p->config + PCI_COMMAND);

    if (bar_is_io(b)) {
        *base = load_le32(reg) & ~(uint32_t)BAR_IO_BITS;
        return (command & PCI_CMD_IO) &&
               *base <= PORT_MAX - (b->region->size - 1);
    }
    if (!(command & PCI_CMD_MEM))
        return false;
    if (n == PCI_BAR_ROM && !(reg[0] & ROM_ON))
        return false;
    *base = bar_is_64(b) ? load_le64(reg) : load_le32(reg);
    *base &= ~(b->region->size - 1);
    return *base <= ADDRESS_MAX - (b->region->size - 1);
}

static void bar_update(struct pci_dev *p, unsigned n)
{
    struct region *r = p->bar[n].region;
    uint64_t base;
    bool wanted = bar_wanted(p, n, &base);

    if (r->space && wanted && r->base == base)
        return;
    if (r->space)
        space_unmap(r);
    if (wanted) /* a place that cannot be had is not decoded */
        (void)space_map(bar_is_io(&p->bar[n]) ? p->bus->env->io
                                              : p->bus->env->mem,
                        base, r, PCI_BAR_PRIORITY);
}

static void bars_update(struct pci_dev *p)
{
    for (unsigned n = 0; n < PCI_NBARS; n++)
        if (p->bar[n].region)
            bar_update(p, n);
}

static void bars_unmap(struct pci_dev *p)
{
    for (unsigned n = 0; n < PCI_NBARS; n++)
        if (p->bar[n].region && p->bar[n].region->space)
            space_unmap(p->bar[n].region);
}

static bool bar_fits(const struct pci_dev *p, unsigned n, unsigned kind,
                     uint64_t size)
{
    if (n >= PCI_NBARS || p->bar[n].region || !is_power_of_two(size))
        return false;
    if (n == PCI_BAR_ROM)
        return kind == PCI_BAR_MEM32 && size >= 2048 && size <= 16u << 20;
    if (n && bar_is_64(&p->bar[n - 1]))
        return false;
    if (kind & PCI_BAR_IO)
        return kind == PCI_BAR_IO && size >= 4 && size <= 256;
    if (kind & ~(unsigned)(PCI_BAR_MEM64 | PCI_BAR_PREFETCH) || size < 16)
        return false;
    if (kind & PCI_BAR_MEM64)
        return n < 5 && !p->bar[n + 1].region && size <= BIT64(51);
    return size <= BIT64(31);
}

int pci_add_bar(struct pci_dev *p, unsigned n, unsigned kind, struct region *r)
{
    if (!bar_fits(p, n, kind, r->size))
        return -LE_USAGE;
    bool io = kind & PCI_BAR_IO;
    uint64_t mask = ~(r->size - 1);
    struct pci_reg reg = {
        .off = (uint8_t)bar_offset(n),
        .bytes = 4,
        .reset = kind,
        .writable =
            (uint32_t)mask & ~(uint32_t)(io ? BAR_IO_BITS : BAR_MEM_BITS),
    };

    if (n == PCI_BAR_ROM)
        reg.writable |= ROM_ON;
    pci_set_reg(p, reg);
    if (kind & PCI_BAR_MEM64)
        pci_set_reg(p, (struct pci_reg){.off = (uint8_t)(reg.off + 4),
                                        .bytes = 4,
                                        .writable = (uint32_t)(mask >> 32)});
    p->bar[n] = (struct pci_bar){.region = r, .kind = (uint8_t)kind};
    p->wmask[PCI_COMMAND] |= io ? PCI_CMD_IO : PCI_CMD_MEM;
    bar_update(p, n);
    return 0;
}

bool pci_bar_base(const struct pci_dev *p, unsigned n, uint64_t *base)
{
    if (n >= PCI_NBARS || !p->bar[n].region || !p->bar[n].region->space)
        return false;
    *base = p->bar[n].region->base;
    return true;
}

/* --- registers and capabilities --- */

void pci_set_reg(struct pci_dev *p, struct pci_reg r)
{
    for (unsigned i = 0; i < r.bytes && r.off + i < sizeof p->config; i++) {
        unsigned at = r.off + i;
        p->reset[at] = p->config[at] = (uint8_t)(r.reset >> 8 * i);
        p->wmask[at] = (uint8_t)(r.writable >> 8 * i);
        p->w1c[at] = (uint8_t)(r.w1c >> 8 * i);
    }
}

/* A read-only byte, leaving the masks alone. */
static void set_byte(struct pci_dev *p, unsigned at, uint8_t v)
{
    p->reset[at] = p->config[at] = v;
}

uint8_t pci_add_cap(struct pci_dev *p, uint8_t id, unsigned len)
{
    unsigned at = p->cap_end ? p->cap_end : FIRST_CAP;

    if (len < 2 || len > sizeof p->config - at)
        return 0;
    for (unsigned i = at; i < at + len; i++) {
        set_byte(p, i, 0);
        p->wmask[i] = p->w1c[i] = 0;
    }
    set_byte(p, at, id);
    set_byte(p, p->cap_last ? p->cap_last + 1u : PCI_CAPS, (uint8_t)at);
    set_byte(p, PCI_STATUS, p->reset[PCI_STATUS] | PCI_STS_CAPS);
    p->cap_last = (uint8_t)at;
    /* 0 when the space is used up to its last byte: then there is no room,
       which the next call sees as an end beyond any length. */
    unsigned end = (unsigned)align_up(at + len, 4);
    p->cap_end = end > 0xfc ? 0xff : (uint8_t)end;
    return (uint8_t)at;
}

/* --- configuration accesses --- */

static bool config_range(unsigned off, unsigned bytes)
{
    return (bytes == 1 || bytes == 2 || bytes == 4) && off < 256 &&
           (off & 3) + bytes <= 4;
}

uint32_t pci_config_read(struct pci_bus *b, uint8_t devfn, unsigned off,
                         unsigned bytes)
{
    struct pci_dev *p = b->dev[devfn];

    if (!p || !config_range(off, bytes))
        return (uint32_t)mask_low(8 * bytes);
    if (p->ops && p->ops->reading)
        p->ops->reading(p, off, bytes);
    return (uint32_t)load_le(p->config + off, bytes);
}

void pci_config_write(struct pci_bus *b, uint8_t devfn, unsigned off,
                      uint32_t v, unsigned bytes)
{
    struct pci_dev *p = b->dev[devfn];

    if (!p || !config_range(off, bytes))
        return;
    for (unsigned i = 0; i < bytes; i++) {
        uint8_t *reg = p->config + off + i, in = (uint8_t)(v >> 8 * i);
        uint8_t mask = p->wmask[off + i];
        *reg =
            (uint8_t)(((*reg & ~mask) | (in & mask)) & ~(in & p->w1c[off + i]));
    }
    bool command = pci_touches(off, bytes, PCI_COMMAND, 2);
    if (command || pci_touches(off, bytes, PCI_BAR0, 24) ||
        pci_touches(off, bytes, PCI_ROM, 4))
        bars_update(p);
    if (command)
        pci_intx_update(p);
    pci_msi_written(p, off, bytes);
    pci_msix_written(p, off, bytes);
    if (p->ops && p->ops->written)
        p->ops->written(p, off, bytes);
}

/* --- interrupts --- */

unsigned pci_bus_pirq(const struct pci_bus *b, unsigned slot, unsigned pin)
{
    return (slot + pin - 1 + b->swizzle) & 3;
}

static bool pirq_level(const struct pci_bus *b, unsigned i)
{
    const uint64_t *a = b->asserted[i];
    return a[0] | a[1] | a[2] | a[3];
}

void pci_bus_reroute(struct pci_bus *b)
{
    for (unsigned i = 0; i < 4; i++)
        irq_set(&b->pirq[i], pirq_level(b, i));
}

void pci_intx_update(struct pci_dev *p)
{
    bool off = load_le16(p->config + PCI_COMMAND) & PCI_CMD_INTX_OFF;
    bool level = p->intx && !off && !pci_msi_on(p) && !pci_msix_on(p);
    unsigned pin = p->config[PCI_INT_PIN];

    p->config[PCI_STATUS] &= (uint8_t)~PCI_STS_INTX;
    if (p->intx)
        p->config[PCI_STATUS] |= PCI_STS_INTX;
    if (level == p->intx_wired || pin < 1 || pin > 4)
        return;
    unsigned i = pci_bus_pirq(p->bus, PCI_SLOT(p->devfn), pin);
    p->intx_wired = level;
    p->bus->asserted[i][p->devfn / 64] ^= BIT64(p->devfn % 64);
    irq_set(&p->bus->pirq[i], pirq_level(p->bus, i));
}

void pci_set_intx(struct pci_dev *p, bool level)
{
    if (p->intx == level)
        return;
    p->intx = level;
    pci_intx_update(p);
}

void pci_message(struct pci_dev *p, struct pci_vector *v, uint64_t address,
                 uint32_t data)
{
    uint8_t bytes[4];

    if (!pci_is_master(p))
        return;
    if (address >> 20 == 0xfee) {
        pci_vector_send(p->bus->env, v, address, data);
        return;
    }
    store_le32(bytes, data);
    (void)pci_store(p, address, bytes, sizeof bytes);
}

/* --- DMA --- */

bool pci_is_master(const struct pci_dev *p)
{
    return load_le16(p->config + PCI_COMMAND) & PCI_CMD_MASTER;
}

static int dma_result(struct pci_dev *p, int r)
{
    if (r < 0)
        p->config[PCI_STATUS + 1] |= PCI_STS_MASTER_ABORT >> 8;
    return r;
}

int pci_load(struct pci_dev *p, gpa_t a, void *buf, size_t n)
{
    if (!pci_is_master(p))
        return -LE_STATE;
    return dma_result(p, space_load(p->bus->env->mem, a, buf, n));
}

int pci_store(struct pci_dev *p, gpa_t a, const void *buf, size_t n)
{
    if (!pci_is_master(p))
        return -LE_STATE;
    return dma_result(p, space_store(p->bus->env->mem, a, buf, n));
}

int pci_span(struct pci_dev *p, gpa_t a, size_t n, struct span *ram)
{
    if (!pci_is_master(p))
        return -LE_STATE;
    return dma_result(p, space_span(p->bus->env->mem, a, n, ram));
}

/* --- life --- */

void pci_bus_init(struct pci_bus *b, struct env *env, unsigned swizzle)
{
    *b = (struct pci_bus){.env = env, .swizzle = swizzle};
}

static bool slot_free(const struct pci_bus *b, unsigned slot)
{
    for (unsigned fn = 0; fn < 8; fn++)
        if (b->dev[PCI_DEVFN(slot, fn)])
            return false;
    return true;
}

static int find_place(const struct pci_dev *p, const struct pci_bus *b,
                      int devfn, struct err *e)
{
    if (devfn < 0 && p->slot)
        devfn = p->slot < 32 ? PCI_DEVFN(p->slot, 0) : 256;
    if (devfn > 255)
        return err_set(e, LE_USAGE, "PCI slot %u: slots go up to 31", p->slot);
    if (devfn >= 0) {
        if (!b->dev[devfn])
            return devfn;
        return err_set(e, LE_BUSY,
                       "PCI slot %d.%d is taken by %s: choose another",
                       PCI_SLOT(devfn), PCI_FN(devfn), b->dev[devfn]->dev->id);
    }
    for (unsigned slot = 1; slot < 32; slot++)
        if (slot_free(b, slot))
            return PCI_DEVFN(slot, 0);
    return err_set(e, LE_NOSPACE, "all 32 PCI slots are taken");
}

/* Function 0 of a slot tells whether there are more (§6.2.1). */
static void mark_multifunction(struct pci_bus *b, unsigned slot)
{
    struct pci_dev *first = b->dev[PCI_DEVFN(slot, 0)];
    bool more = false;

    for (unsigned fn = 1; fn < 8; fn++)
        more |= b->dev[PCI_DEVFN(slot, fn)] != NULL;
    if (first && more)
        set_byte(first, PCI_HEADER, first->reset[PCI_HEADER] | 0x80);
}

static void set_header(struct pci_dev *p, const struct pci_id *id)
{
    uint32_t command = PCI_CMD_MASTER | PCI_CMD_PARITY | PCI_CMD_SERR |
                       (id->pin ? PCI_CMD_INTX_OFF : 0);
    const struct pci_reg header[] = {
        {PCI_VENDOR, 2, id->vendor, 0, 0},
        {PCI_DEVICE, 2, id->device, 0, 0},
        {PCI_COMMAND, 2, 0, command, 0},
        {PCI_STATUS, 2, 0, 0, PCI_STS_W1C},
        {PCI_REVISION, 1, id->revision, 0, 0},
        {PCI_CLASS, 3, id->class_code, 0, 0},
        {PCI_CACHE_LINE, 1, 0, 0xff, 0},
        {PCI_LATENCY, 1, 0, 0xff, 0},
        {PCI_SUBVENDOR, 2, id->subvendor, 0, 0},
        {PCI_SUBDEVICE, 2, id->subdevice, 0, 0},
        {PCI_INT_LINE, 1, 0, id->pin ? 0xff : 0, 0},
        {PCI_INT_PIN, 1, id->pin, 0, 0},
    };

    for (unsigned i = 0; i < ARRAY_LEN(header); i++)
        pci_set_reg(p, header[i]);
    for (const struct pci_reg *r = id->regs; r && r->bytes; r++)
        pci_set_reg(p, *r);
}

int pci_attach(struct pci_dev *p, struct dev *d, const struct pci_id *id,
               const struct pci_ops *ops, int devfn, struct err *e)
{
    struct pci_bus *b = d->env->pci;

    if (!b)
        return err_set(e, LE_STATE, "%s needs a machine with a PCI bus",
                       d->cls->name);
    int place = find_place(p, b, devfn, e);
    if (place < 0)
        return place;
    p->dev = d;
    p->bus = b;
    p->ops = ops;
    p->devfn = (uint8_t)place;
    set_header(p, id);
    b->dev[place] = p;
    mark_multifunction(b, PCI_SLOT(p->devfn));
    return 0;
}

void pci_detach(struct pci_dev *p)
{
    if (!p->bus)
        return;
    pci_set_intx(p, false);
    bars_unmap(p);
    pci_vector_close(p->bus->env, &p->msi_vector);
    if (p->msix)
        pci_msix_close(p->msix);
    p->bus->dev[p->devfn] = NULL;
    p->bus = NULL;
}

void pci_reset(struct pci_dev *p)
{
    memcpy(p->config, p->reset, sizeof p->config);
    if (p->msix)
        pci_msix_reset(p->msix);
    p->intx = false;
    bars_update(p);
    pci_intx_update(p);
}

int pci_loaded(struct pci_dev *p)
{
    uint32_t pending = p->msi ? load_le32(p->config + p->msi + 0x14) : 0;

    for (unsigned i = 0; i < sizeof p->config; i++) {
        uint8_t kept = p->wmask[i] | p->w1c[i];
        p->config[i] = (p->reset[i] & (uint8_t)~kept) | (p->config[i] & kept);
    }
    pci_msi_loaded(p, pending);
    if (p->msix)
        pci_msix_loaded(p->msix);
    bars_update(p);
    pci_intx_update(p);
    return 0;
}
