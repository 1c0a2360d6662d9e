/*
 * The local APIC: priorities, acceptance, local interrupts, acknowledge.
 * Lines say "asserted" (lodge/irq.h), not high or low, so the polarity bits
 * of LINT0 and LINT1 are kept but change nothing.
 */
#include "hw/intc/lapic_int.h"

unsigned lapic_ppr(const struct lapic *l)
{
    unsigned served = vector_highest(&l->isr) & 0xf0;

    return (l->tpr & 0xf0) >= served ? l->tpr : served;
}

unsigned lapic_apr(const struct lapic *l)
{
    unsigned tpr = l->tpr & 0xf0;
    unsigned isrv = vector_highest(&l->isr) & 0xf0;
    unsigned irrv = vector_highest(&l->irr) & 0xf0;

    if (tpr >= irrv && tpr > isrv)
        return l->tpr;
    return MAX(tpr & isrv, irrv);
}

/* Does LINT0 or LINT1, as an ExtINT, ask for an INTA cycle? */
static bool extint_pin(const struct lapic *l)
{
    if (!lapic_on(l)) /* the pins are INTR and NMI of old */
        return l->lint[0];
    for (unsigned n = 0; n < 2; n++) {
        uint32_t lvt = l->lvt[LVT_LINT0 + n];

        if (!(lvt & LVT_MASKED) && bits(lvt, 10, 8) == DM_EXTINT && l->lint[n])
            return true;
    }
    return false;
}

static bool deliverable(const struct lapic *l)
{
    return (vector_highest(&l->irr) & 0xf0) > (lapic_ppr(l) & 0xf0);
}

static bool wants_intr(const struct lapic *l)
{
    return deliverable(l) || l->extint || extint_pin(l);
}

void lapic_update(struct lapic *l)
{
    if (!lapic_remote(l) && wants_intr(l) != l->intr)
        lapic_update_always(l);
}

void lapic_update_always(struct lapic *l)
{
    if (lapic_remote(l))
        return;
    l->intr = wants_intr(l);
    l->pins->intr(l->pins->ctx, l->intr);
}

static int inta(struct lapic *l)
{
    const struct inta *pic = &l->dev.env->pic_inta;

    l->extint = false;

    int vector = pic->ack ? pic->ack(pic->ctx) : -1;

    lapic_update(l);
    return vector;
}

int lapic_ack(struct lapic *l)
{
    if (lapic_remote(l))
        return lapic_remote_ack(l);
    if (l->extint || extint_pin(l))
        return inta(l);
    if (!deliverable(l))
        return -1;

    unsigned vector = vector_highest(&l->irr);

    vector_remove(&l->irr, vector);
    vector_add(&l->isr, vector);
    lapic_update(l);
    return (int)vector;
}

/* Ends remote IRR of a level-triggered LINT; it may ask again at once. */
static void lint_eoi(struct lapic *l, unsigned lint, unsigned vector)
{
    uint32_t *lvt = &l->lvt[LVT_LINT0 + lint];

    if ((*lvt & LVT_REMOTE_IRR) && (*lvt & 0xff) == vector) {
        *lvt &= ~LVT_REMOTE_IRR;
        lapic_lint_changed(l, lint);
    }
}

void lapic_eoi(struct lapic *l)
{
    unsigned vector = vector_highest(&l->isr);

    if (!vector)
        return;
    vector_remove(&l->isr, vector);
    if (l->tmr[vector / 32] & BIT(vector % 32)) {
        const struct eoi_sink *sink = &l->dev.env->eoi;

        lint_eoi(l, 0, vector);
        lint_eoi(l, 1, vector);
        if (!(l->svr & SVR_EOI_SUPPRESS) && sink->eoi)
            sink->eoi(sink->ctx, (uint8_t)vector);
    }
    lapic_update(l);
}

static void accept_fixed(struct lapic *l, unsigned vector, bool level)
{
    if (!(l->svr & SVR_ENABLE))
        return;
    if (vector < 16) {
        lapic_error(l, ESR_RECV_ILLEGAL);
        return;
    }
    if (level)
        l->tmr[vector / 32] |= BIT(vector % 32);
    else
        l->tmr[vector / 32] &= ~BIT(vector % 32);
    vector_add(&l->irr, vector);
    lapic_update(l);
}

void lapic_accept(struct lapic *l, const struct apic_message *m)
{
    struct cpu_pins *pins = l->pins;

    switch ((enum delivery)m->mode) {
    case DM_FIXED:
    case DM_LOWEST: accept_fixed(l, m->vector, m->level); break;
    case DM_SMI: pins->smi(pins->ctx); break;
    case DM_NMI: pins->nmi(pins->ctx); break;
    case DM_INIT:
        lapic_init_state(l);
        pins->init(pins->ctx);
        break;
    case DM_SIPI: pins->sipi(pins->ctx, m->vector); break;
    case DM_EXTINT:
        l->extint |= (l->svr & SVR_ENABLE) != 0;
        lapic_update(l);
        break;
    case DM_RESERVED: break;
    }
}

/* Delivers what LVT entry n says; an edge has come, or its level is there. */
void lapic_fire(struct lapic *l, enum lvt n)
{
    uint32_t lvt = l->lvt[n];
    struct apic_message m = {
        .mode = bits(lvt, 10, 8),
        .vector = lvt & 0xff,
        .level = lvt & LVT_REMOTE_IRR, /* only set for such */
    };

    if (!(lvt & LVT_MASKED) && m.mode != DM_EXTINT && m.mode != DM_SIPI &&
        m.mode != DM_LOWEST)
        lapic_accept(l, &m);
}

void lapic_error(struct lapic *l, uint32_t bit)
{
    l->esr_pending |= bit;
    /* An illegal vector in LVT_ERROR is itself an error. */
    if (l->in_error)
        return;
    l->in_error = true;
    lapic_fire(l, LVT_ERROR);
    l->in_error = false;
}

/* Level-triggered fixed LINTs: asks while the pin is active. */
void lapic_lint_changed(struct lapic *l, unsigned lint)
{
    uint32_t *lvt = &l->lvt[LVT_LINT0 + lint];
    bool fixed = bits(*lvt, 10, 8) == DM_FIXED;

    if (lapic_on(l) && fixed && (*lvt & LVT_LEVEL) && !(*lvt & LVT_MASKED) &&
        !(*lvt & LVT_REMOTE_IRR) && l->lint[lint]) {
        *lvt |= LVT_REMOTE_IRR;
        lapic_fire(l, LVT_LINT0 + lint);
    }
    lapic_update(l); /* ExtINT follows the pin */
}

static bool edge_triggered(uint32_t lvt)
{
    return !(lvt & LVT_LEVEL) || bits(lvt, 10, 8) != DM_FIXED;
}

void lapic_pin(struct lapic *l, unsigned lint, bool level)
{
    if (l->lint[lint] == level)
        return;
    l->lint[lint] = level;
    if (lapic_remote(l)) {
        lapic_remote_pin(l, lint, level);
        return;
    }
    if (!lapic_on(l)) {
        if (lint == 1 && level)
            l->pins->nmi(l->pins->ctx);
    } else if (edge_triggered(l->lvt[LVT_LINT0 + lint]) && level) {
        lapic_fire(l, LVT_LINT0 + lint);
    }
    lapic_lint_changed(l, lint);
}

void lapic_init_state(struct lapic *l)
{
    lapic_timer_stop(l);
    l->tpr = l->ldr = l->esr = l->esr_pending = 0;
    l->dfr = ~0u;
    l->svr = 0xff;
    l->icr = 0;
    l->initial_count = l->dcr = l->timer_left = 0;
    l->tsc_deadline = l->deadline_at = l->timer_start = 0;
    l->extint = false;
    for (unsigned n = 0; n < LVT_COUNT; n++)
        l->lvt[n] = LVT_MASKED;
    memset(&l->isr, 0, sizeof l->isr);
    memset(&l->irr, 0, sizeof l->irr);
    memset(l->tmr, 0, sizeof l->tmr);
    lapic_update(l);
}

void *lapic_ctx(struct dev *d)
{
    return container_of(d, struct lapic, dev);
}

void lapic_virtual_wire(struct dev *d)
{
    struct lapic *l = lapic_ctx(d);

    l->svr |= SVR_ENABLE;
    if (l->apic_base & BASE_BSP) {
        l->lvt[LVT_LINT0] = DM_EXTINT << 8;
        l->lvt[LVT_LINT1] = DM_NMI << 8;
    }
    lapic_push(l);
    lapic_update(l);
}
