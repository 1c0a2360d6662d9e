/*
 * I/O APIC: 82093AA with the EOI register of version 0x20, 24 inputs, at
 * 0xfec00000. Lines say "asserted" (lodge/irq.h), not high or low, so the
 * polarity bit is kept but changes nothing. It may be the engine's
 * (lodge/chips.h). Machine lock held.
 */
#include "base/bits.h"
#include "lodge/device.h"

enum { PINS = IOAPIC_PINS };
#define IOAPIC_BASE 0xfec00000ull
#define IOAPIC_SIZE 0x1000ull

/* Offsets in the page, and what IOREGSEL selects */
enum { IOREGSEL = 0x00, IOWIN = 0x10, EOIR = 0x40 };
enum { IOAPICID = 0, IOAPICVER = 1, IOAPICARB = 2, IOREDTBL = 0x10 };

#define VERSION (0x20u | (PINS - 1) << 16)

/* Redirection entries */
enum {
    RTE_LOGICAL = 1 << 11,
    RTE_STATUS = 1 << 12,
    RTE_LOW = 1 << 13,
    RTE_REMOTE_IRR = 1 << 14,
    RTE_LEVEL = 1 << 15,
    RTE_MASKED = 1 << 16,
};
#define RTE_BITS (0xff0000000001ffffull & ~(uint64_t)RTE_STATUS)

enum { MODE_FIXED = 0, MODE_LOWEST = 1 };

struct ioapic {
    struct dev dev;
    struct region page;
    uint64_t redtbl[PINS];
    uint32_t lines; /* asserted inputs */
    uint8_t id, arb, regsel;
};

/* Only fixed and lowest-priority interrupts can be level triggered. */
static bool is_level(uint64_t rte)
{
    return (rte & RTE_LEVEL) && bits(rte, 10, 8) <= MODE_LOWEST;
}

static void send(struct ioapic *p, uint64_t rte)
{
    const struct msi_sink *msi = &p->dev.env->msi;
    uint64_t address = 0xfee00000 | (rte >> 56) << 12;
    uint32_t data = (uint32_t)(rte & 0x7ff) | 1u << 14;

    if (rte & RTE_LOGICAL)
        address |= 1 << 2;
    if (is_level(rte))
        data |= 1u << 15;
    if (msi->send)
        msi->send(msi->ctx, address, data);
}

static bool remote(const struct ioapic *p)
{
    return p->dev.env->engine_chips.get != NULL;
}

/* Sends a level-triggered interrupt that waits and may go. */
static void serve_level(struct ioapic *p, unsigned n)
{
    uint64_t *rte = &p->redtbl[n];

    if (remote(p) || !is_level(*rte) || !(p->lines & BIT(n)) ||
        (*rte & (RTE_MASKED | RTE_REMOTE_IRR)))
        return;
    *rte |= RTE_REMOTE_IRR;
    send(p, *rte);
}

static void line(void *ctx, unsigned n, bool level)
{
    struct ioapic *p = ctx;
    bool rose = level && !(p->lines & BIT(n));
    const struct engine_chips *own = &p->dev.env->engine_chips;

    p->lines = level ? p->lines | BIT(n) : p->lines & ~BIT(n);
    if (remote(p))
        own->line(own->ctx, CHIP_IOAPIC, n, level);
    else if (!level)
        return;
    else if (is_level(p->redtbl[n]))
        serve_level(p, n);
    else if (rose && !(p->redtbl[n] & RTE_MASKED)) /* masked edges are lost */
        send(p, p->redtbl[n]);
}

static void eoi(void *ctx, uint8_t vector)
{
    struct ioapic *p = ctx;

    for (unsigned n = 0; n < PINS; n++)
        if ((p->redtbl[n] & RTE_REMOTE_IRR) &&
            (p->redtbl[n] & 0xff) == vector) {
            p->redtbl[n] &= ~(uint64_t)RTE_REMOTE_IRR;
            serve_level(p, n);
        }
}

/* --- the engine's --- */

static void push(const struct ioapic *p)
{
    const struct engine_chips *own = &p->dev.env->engine_chips;
    struct chip_regs r = {.ioapic = {.id = p->id, .regsel = p->regsel}};

    if (!remote(p))
        return;
    for (unsigned n = 0; n < PINS; n++) {
        r.ioapic.redtbl[n] = p->redtbl[n];
        if (is_level(p->redtbl[n]))
            r.ioapic.lines |= p->lines & BIT(n);
    }
    if (own->set(own->ctx, CHIP_IOAPIC, &r))
        host_log(LOG_WARN, "the engine does not take the IOAPIC's registers");
}

static void ioapic_pause(struct dev *d)
{
    struct ioapic *p = container_of(d, struct ioapic, dev);
    const struct engine_chips *own = &d->env->engine_chips;
    struct chip_regs r;

    if (!remote(p) || own->get(own->ctx, CHIP_IOAPIC, &r))
        return;
    p->id = p->arb = r.ioapic.id & 15;
    p->regsel = r.ioapic.regsel;
    for (unsigned n = 0; n < PINS; n++) {
        p->redtbl[n] = r.ioapic.redtbl[n] & RTE_BITS;
        if (!is_level(p->redtbl[n]))
            p->redtbl[n] &= ~(uint64_t)RTE_REMOTE_IRR;
    }
}

static uint32_t window_read(const struct ioapic *p)
{
    unsigned r = p->regsel;

    switch (r) {
    case IOAPICID: return (uint32_t)p->id << 24;
    case IOAPICVER: return VERSION;
    case IOAPICARB: return (uint32_t)p->arb << 24;
    default: break;
    }
    if (r < IOREDTBL || r >= IOREDTBL + 2 * PINS)
        return 0;
    r -= IOREDTBL;
    return (uint32_t)(p->redtbl[r / 2] >> (r & 1 ? 32 : 0));
}

static void write_redtbl(struct ioapic *p, unsigned r, uint32_t v)
{
    uint64_t *rte = &p->redtbl[r / 2];
    uint64_t keep = *rte & RTE_REMOTE_IRR;

    if (r & 1)
        *rte = (uint64_t)v << 32 | (uint32_t)*rte;
    else
        *rte = (*rte & ~0xffffffffull) | v;
    *rte = (*rte & RTE_BITS & ~(uint64_t)RTE_REMOTE_IRR) | keep;
    /* Made edge-triggered it forgets the EOI it waited for. */
    if (!is_level(*rte))
        *rte &= ~(uint64_t)RTE_REMOTE_IRR;
    serve_level(p, r / 2);
}

static void window_write(struct ioapic *p, uint32_t v)
{
    unsigned r = p->regsel;

    if (r == IOAPICID)
        p->id = p->arb = v >> 24 & 15;
    else if (r >= IOREDTBL && r < IOREDTBL + 2 * PINS)
        write_redtbl(p, r - IOREDTBL, v);
}

static uint64_t page_read(void *dev, uint64_t off, unsigned bytes UNUSED)
{
    struct ioapic *p = dev;

    switch (off) {
    case IOREGSEL: return p->regsel;
    case IOWIN: return window_read(p);
    default: return 0;
    }
}

static void page_write(void *dev, uint64_t off, uint64_t v, unsigned bytes)
{
    struct ioapic *p = dev;

    switch (off) {
    case IOREGSEL: p->regsel = v & 0xff; break;
    case IOWIN:
        if (bytes == 4)
            window_write(p, (uint32_t)v);
        break;
    case EOIR: eoi(p, v & 0xff); break;
    default: break;
    }
    push(p);
}

static const struct region_ops page_ops = {page_read, page_write, 1, 4};

static int ioapic_attach(struct dev *d, struct env *env, struct err *e)
{
    struct ioapic *p = container_of(d, struct ioapic, dev);

    d->env = env;
    p->page = (struct region){
        .name = "IOAPIC", .size = IOAPIC_SIZE, .ops = &page_ops, .dev = p};
    if (space_map(env->mem, IOAPIC_BASE, &p->page, 0))
        return err_set(e, LE_BUSY, "the IOAPIC's page is taken");
    for (unsigned n = 0; n < PINS; n++)
        env->gsi[n] = (struct irq){line, p, n};
    env->eoi = (struct eoi_sink){eoi, p};
    return 0;
}

static void ioapic_detach(struct dev *d)
{
    struct ioapic *p = container_of(d, struct ioapic, dev);

    for (unsigned n = 0; n < PINS; n++)
        d->env->gsi[n] = (struct irq){0};
    d->env->eoi = (struct eoi_sink){0};
    space_unmap(&p->page);
}

static void ioapic_reset(struct dev *d, bool cold UNUSED)
{
    struct ioapic *p = container_of(d, struct ioapic, dev);

    p->id = p->arb = p->regsel = 0;
    for (unsigned n = 0; n < PINS; n++)
        p->redtbl[n] = RTE_MASKED;
    push(p);
}

static int ioapic_loaded(struct dev *d, uint16_t version UNUSED)
{
    struct ioapic *p = container_of(d, struct ioapic, dev);

    for (unsigned n = 0; n < PINS; n++)
        if ((p->redtbl[n] & ~RTE_BITS) ||
            ((p->redtbl[n] & RTE_REMOTE_IRR) && !is_level(p->redtbl[n])))
            return -LE_FORMAT;
    push(p);
    return 0;
}

static const struct field ioapic_state[] = {
    FIELD64(struct ioapic, redtbl),
    FIELD_MAX(struct ioapic, lines, 32, (1u << PINS) - 1),
    FIELD_MAX(struct ioapic, id, 8, 15),
    FIELD_MAX(struct ioapic, arb, 8, 15),
    FIELD8(struct ioapic, regsel),
    FIELD_END,
};

const struct dev_class ioapic_class = {
    .name = "ioapic",
    .summary = "I/O APIC with 24 inputs",
    .spec = "Intel 82093AA (290566), version 0x20 with EOI register",
    .size = sizeof(struct ioapic),
    .state = ioapic_state,
    .version = 1,
    .attach = ioapic_attach,
    .reset = ioapic_reset,
    .pause = ioapic_pause,
    .loaded = ioapic_loaded,
    .detach = ioapic_detach,
};
