/*
 * What firmware does to a PCI bus before it starts a system: PCI Firmware
 * Specification 3.0, chapter 3. For machines that start a kernel directly.
 */
#include "base/bits.h"
#include "base/endian.h"
#include "hw/bus/pci_priv.h"

enum { PIRQRC = 0x60, ELCR_PORT = 0x4d0 }; /* PIIX3 */

struct window_left {
    uint64_t at, end;
};

static bool is_io(const struct pci_bar *b)
{
    return b->kind & PCI_BAR_IO;
}

static int place_bar(struct pci_dev *p, unsigned n, struct window_left *w,
                     struct err *e)
{
    const struct pci_bar *b = &p->bar[n];
    uint64_t size = b->region->size, base = align_up(w->at, size);

    if (base < w->at || base >= w->end || size > w->end - base)
        return err_set(e, LE_NOSPACE,
                       "no address space left for %s: use fewer or smaller "
                       "devices",
                       p->dev->id);
    w->at = base + size;
    unsigned off = PCI_BAR0 + 4 * n;
    pci_config_write(p->bus, p->devfn, off, (uint32_t)base, 4);
    if (!is_io(b) && (b->kind & PCI_BAR_MEM64))
        pci_config_write(p->bus, p->devfn, off + 4, (uint32_t)(base >> 32), 4);
    return 0;
}

/* Places what is exactly `size` bytes: from the largest down, nothing is lost
   to alignment. */
static int place_size(struct pci_bus *b, uint64_t size, bool io,
                      struct window_left *w, struct err *e)
{
    for (unsigned devfn = 0; devfn < 256; devfn++) {
        struct pci_dev *p = b->dev[devfn];
        for (unsigned n = 0; p && n < PCI_BAR_ROM; n++) {
            const struct pci_bar *bar = &p->bar[n];
            if (!bar->region || is_io(bar) != io || bar->region->size != size)
                continue;
            int r = place_bar(p, n, w, e);
            if (r < 0)
                return r;
        }
    }
    return 0;
}

static void enable(struct pci_dev *p, const struct pci_plan *plan)
{
    unsigned pin = p->config[PCI_INT_PIN];
    uint16_t command = load_le16(p->config + PCI_COMMAND);

    for (unsigned n = 0; n < PCI_BAR_ROM; n++)
        if (p->bar[n].region)
            command |= is_io(&p->bar[n]) ? PCI_CMD_IO : PCI_CMD_MEM;
    pci_config_write(p->bus, p->devfn, PCI_COMMAND, command, 2);
    if (pin) {
        unsigned i = pci_bus_pirq(p->bus, PCI_SLOT(p->devfn), pin);
        pci_config_write(p->bus, p->devfn, PCI_INT_LINE, plan->irq[i], 1);
    }
}

static bool is_piix3(const struct pci_dev *p)
{
    return load_le32(p->config + PCI_VENDOR) == 0x70008086;
}

static void route(struct pci_bus *b, const struct pci_plan *plan)
{
    for (unsigned devfn = 0; devfn < 256; devfn++)
        for (unsigned i = 0; b->dev[devfn] && i < 4; i++)
            if (is_piix3(b->dev[devfn]))
                pci_config_write(b, (uint8_t)devfn, PIRQRC + i, plan->irq[i],
                                 1);
    for (unsigned i = 0; i < 4; i++) {
        unsigned irq = plan->irq[i] & 15, port = ELCR_PORT + irq / 8;
        uint64_t elcr = space_read_locked(b->env->io, port, 1);
        space_write_locked(b->env->io, port, elcr | BIT(irq % 8), 1);
    }
}

int pci_bus_assign(struct pci_bus *b, const struct pci_plan *plan,
                   struct err *e)
{
    struct window_left io = {plan->io, plan->io_end};
    struct window_left mem = {plan->mem, plan->mem_end};
    int r = 0;

    for (unsigned log = 52; log-- > 2 && r == 0;) {
        if (log <= 8)
            r = place_size(b, BIT64(log), true, &io, e);
        if (r == 0)
            r = place_size(b, BIT64(log), false, &mem, e);
    }
    if (r < 0)
        return r;
    route(b, plan);
    for (unsigned devfn = 0; devfn < 256; devfn++)
        if (b->dev[devfn])
            enable(b->dev[devfn], plan);
    return 0;
}
