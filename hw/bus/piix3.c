/*
 * PCI to ISA bridge: Intel 82371SB (PIIX3), 290550. Routes the PCI interrupts
 * A to D to ISA interrupts and resets the machine. The ISA devices inside the
 * chip (8259s with their ELCR, 8254, DMA) are models of their own.
 *
 * As this board wires it, an interrupt routed to IRQ n reaches pin n of both
 * the 8259s and the IOAPIC, and PIRQ A to D are also pins 16 to 19 of the
 * IOAPIC, whatever their routing: a system uses one or the other.
 */
#include "base/bits.h"
#include "hw/bus/pci_priv.h"
#include "hw/bus/piix3.h"

enum { /* registers */
       IORT = 0x4c,
       XBCS = 0x4e,
       PIRQRC = 0x60,
       TOM = 0x69,
       MSTAT = 0x6a,
       MBIRQ = 0x70,
       MBDMA = 0x76,
       PCSC = 0x78,
       APICBASE = 0x80,
       DLC = 0x82,
       SMICNTL = 0xa0,
       SMIEN = 0xa2,
       SEE = 0xa4,
       FTMR = 0xa8,
       SMIREQ = 0xaa,
       CTLTMR = 0xac,
       CTHTMR = 0xae,
};

enum { PIRQ_OFF = 0x80, SCI_IRQ = 9, FIRST_GSI = 16 };
enum { RCR_HARD = 1 << 1, RCR_RESET = 1 << 2, RCR_WRITABLE = 6 };

/* Where a PCI interrupt can be routed; other values are reserved. */
#define ROUTABLE 0xdef8u

static const struct pci_reg piix3_regs[] = {
    {PCI_COMMAND, 2, 0x0007, 1 << 3 | PCI_CMD_SERR, 0},
    {PCI_STATUS, 2, PCI_STS_DEVSEL_MEDIUM, 0, 0x7800},
    {PCI_CACHE_LINE, 1, 0, 0, 0},
    {PCI_LATENCY, 1, 0, 0, 0},
    {IORT, 1, 0x4d, 0x7f, 0},
    {XBCS, 2, 0x0003, 0x1fff, 0},
    {PIRQRC, 4, 0x80808080, 0x8f8f8f8f, 0},
    {TOM, 1, 0x02, 0xfe, 0},
    {MSTAT, 2, 0x0000, 0x0003, 0x8000},
    {MBIRQ, 2, 0x8080, 0xefef, 0},
    {MBDMA, 2, 0x0c0c, 0x8f8f, 0},
    {PCSC, 2, 0x0002, 0xffff, 0},
    {APICBASE, 1, 0x00, 0x7f, 0},
    {DLC, 1, 0x00, 0x0f, 0},
    {SMICNTL, 1, 0x08, 0x1f, 0},
    {SMIEN, 2, 0x0000, 0x01ff, 0},
    {SEE, 4, 0x00000000, 0xf000ffff, 0},
    {FTMR, 1, 0x0f, 0xff, 0},
    {SMIREQ, 2, 0x0000, 0x00ff, 0},
    {CTLTMR, 1, 0x00, 0xff, 0},
    {CTHTMR, 1, 0x00, 0xff, 0},
    PCI_REG_END,
};

struct piix3 {
    struct dev dev;
    struct pci_dev pci;
    uint8_t pirq; /* levels of A to D, a bit each */
    bool sci;
    uint8_t rcr;
    uint16_t driven; /* ISA interrupts we assert */
};

extern const struct dev_class piix3_class;

/* --- interrupts --- */

static uint16_t wanted(const struct piix3 *s)
{
    uint16_t lines = s->sci ? BIT(SCI_IRQ) : 0;

    for (unsigned i = 0; i < 4; i++) {
        uint8_t rc = s->pci.config[PIRQRC + i];
        if ((s->pirq & BIT(i)) && !(rc & PIRQ_OFF))
            lines |= BIT(rc & 15) & ROUTABLE;
    }
    return lines;
}

static void drive(struct piix3 *s, uint16_t changed)
{
    for (; changed; changed &= changed - 1) {
        unsigned n = (unsigned)__builtin_ctz(changed);
        irq_set(&s->dev.env->isa_irq[n], s->driven & BIT(n));
    }
}

static void route(struct piix3 *s)
{
    uint16_t now = wanted(s), changed = now ^ s->driven;

    s->driven = now;
    drive(s, changed);
}

static void pirq_set(void *ctx, unsigned n, bool level)
{
    struct piix3 *s = ctx;

    s->pirq = (uint8_t)(level ? s->pirq | BIT(n) : s->pirq & ~BIT(n));
    irq_set(&s->dev.env->gsi[FIRST_GSI + n], level);
    route(s);
}

static void sci_set(void *ctx, unsigned n, bool level)
{
    struct piix3 *s = ctx;

    (void)n;
    s->sci = level;
    route(s);
}

struct irq piix3_sci(struct pci_bus *b)
{
    for (unsigned i = 0; i < ARRAY_LEN(b->dev); i++)
        if (b->dev[i] && b->dev[i]->dev->cls == &piix3_class)
            return (struct irq){.set = sci_set, .ctx = b->dev[i]->dev};
    return (struct irq){0};
}

/* --- reset control --- */

static uint8_t rcr_read(void *ctx)
{
    struct piix3 *s = ctx;
    return s->rcr;
}

static void rcr_write(void *ctx, uint8_t v)
{
    struct piix3 *s = ctx;
    struct env *env = s->dev.env;
    bool rises = (v & RCR_RESET) && !(s->rcr & RCR_RESET);

    s->rcr = v & RCR_WRITABLE;
    if (!rises)
        return;
    if (v & RCR_HARD) {
        env->reset(env);
        return;
    }
    for (unsigned i = 0; i < env->ncpus; i++)
        env->cpu_pins[i].init(env->cpu_pins[i].ctx);
}

/* --- life --- */

static void piix3_written(struct pci_dev *p, unsigned off, unsigned bytes)
{
    struct piix3 *s = container_of(p, struct piix3, pci);

    if (pci_touches(off, bytes, PIRQRC, 4))
        route(s);
}

static const struct pci_ops piix3_pci = {.written = piix3_written};

static const struct pci_id piix3_id = {
    .vendor = 0x8086,
    .device = 0x7000,
    .class_code = 0x060100,
    .subvendor = 0x1af4,
    .subdevice = 0x1100,
    .regs = piix3_regs,
};

static int piix3_attach(struct dev *d, struct env *env, struct err *e)
{
    struct piix3 *s = (struct piix3 *)d;
    int r = pci_attach(&s->pci, d, &piix3_id, &piix3_pci, PCI_DEVFN(1, 0), e);

    if (r < 0)
        return r;
    for (unsigned i = 0; i < 4; i++)
        env->pci->pirq[i] = (struct irq){pirq_set, s, i};
    env->pci->rcr_read = rcr_read;
    env->pci->rcr_write = rcr_write;
    env->pci->rcr_ctx = s;
    pci_bus_reroute(env->pci);
    return 0;
}

/* The levels that come in are others' and outlive our reset. */
static void piix3_reset(struct dev *d, bool cold)
{
    struct piix3 *s = (struct piix3 *)d;

    (void)cold;
    s->rcr = 0;
    pci_reset(&s->pci);
    route(s);
}

/* Drives every line that is ours to drive, whatever it was before. */
static int piix3_loaded(struct dev *d, uint16_t version)
{
    struct piix3 *s = (struct piix3 *)d;
    uint16_t ours = s->driven | BIT(SCI_IRQ);

    (void)version;
    s->rcr &= RCR_WRITABLE;
    int r = pci_loaded(&s->pci);
    for (unsigned i = 0; i < 4; i++)
        if (!(s->pci.config[PIRQRC + i] & PIRQ_OFF))
            ours |= BIT(s->pci.config[PIRQRC + i] & 15) & ROUTABLE;
    s->driven = wanted(s);
    drive(s, ours);
    for (unsigned i = 0; i < 4; i++)
        irq_set(&s->dev.env->gsi[FIRST_GSI + i], s->pirq & BIT(i));
    return r;
}

static void piix3_detach(struct dev *d)
{
    struct piix3 *s = (struct piix3 *)d;
    struct pci_bus *b = s->pci.bus;

    if (!b)
        return;
    for (unsigned i = 0; i < 4; i++)
        b->pirq[i] = (struct irq){0};
    b->rcr_read = NULL;
    b->rcr_write = NULL;
    pci_detach(&s->pci);
}

static const struct field piix3_fields[] = {
    FIELD_SUB(struct piix3, pci, struct pci_dev, pci_fields),
    FIELD_MAX(struct piix3, pirq, 8, 15),
    FIELDB(struct piix3, sci),
    FIELD8(struct piix3, rcr),
    FIELD_END,
};

const struct dev_class piix3_class = {
    .name = "piix3",
    .summary = "PCI to ISA bridge: interrupt routing and reset",
    .spec = "Intel 82371SB, 290550-001",
    .size = sizeof(struct piix3),
    .state = piix3_fields,
    .version = 1,
    .attach = piix3_attach,
    .reset = piix3_reset,
    .loaded = piix3_loaded,
    .detach = piix3_detach,
};
