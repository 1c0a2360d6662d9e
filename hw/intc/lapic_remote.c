/*
 * A local APIC that the engine runs (struct engine_apics): what is here is a
 * copy of its registers, taken when the machine is paused, given when it is
 * reset or a snapshot was loaded. Only the pins are always ours: the 8259s'
 * INTR, which the CPU asks for a vector through intc_cpu_ops.ack, and NMI.
 */
#include "hw/intc/lapic_int.h"

bool lapic_remote(const struct lapic *l)
{
    return l->dev.env->engine_apics.get != NULL;
}

static void take_vectors(uint32_t *to, const struct apic_regs *r, unsigned reg)
{
    for (unsigned n = 0; n < 8; n++)
        to[n] = r->reg[reg + n];
    to[0] &= 0xffff0000; /* vectors 0-15 do not exist */
}

static void summarize(struct vector_set *s)
{
    s->used = 0;
    for (unsigned n = 0; n < ARRAY_LEN(s->word); n++)
        if (s->word[n])
            s->used |= BIT(n);
}

static void take_timer(struct lapic *l, const struct apic_regs *r)
{
    const struct tsc_clock *tsc = &l->dev.env->tsc;

    l->initial_count = r->reg[R_INITIAL];
    l->dcr = r->reg[R_DCR] & 0xb;
    l->timer_left = r->reg[R_CURRENT];
    l->timer_running = l->timer_left != 0;
    l->timer_start = env_now(l->dev.env);
    l->tsc_deadline = r->tsc_deadline;
    l->deadline_at = l->tsc_deadline && tsc->to_ns
                         ? tsc->to_ns(tsc->ctx, l->cpu, l->tsc_deadline)
                         : 0;
}

static void take_regs(struct lapic *l, const struct apic_regs *r)
{
    bool x2 = r->apic_base & BASE_EXTD;

    l->apic_base = r->apic_base;
    l->id = x2 ? l->cpu : r->reg[R_ID] >> 24;
    l->tpr = r->reg[R_TPR] & 0xff;
    if (!x2)
        l->ldr = r->reg[R_LDR] & 0xff000000;
    l->dfr = x2 ? ~0u : r->reg[R_DFR] | 0x0fffffff;
    l->svr = r->reg[R_SVR] & SVR_MASK;
    l->esr = r->reg[R_ESR] & 0xff;
    l->esr_pending = 0;
    l->icr = (uint64_t)r->reg[R_ICR_HIGH] << 32 | r->reg[R_ICR];
    for (unsigned n = 0; n < LVT_COUNT; n++)
        l->lvt[n] = r->reg[R_LVT + n] &
                    (lapic_lvt_mask(l, n) |
                     (n == LVT_LINT0 || n == LVT_LINT1 ? LVT_REMOTE_IRR : 0));
    take_vectors(l->isr.word, r, R_ISR);
    take_vectors(l->irr.word, r, R_IRR);
    take_vectors(l->tmr, r, R_TMR);
    summarize(&l->isr);
    summarize(&l->irr);
    take_timer(l, r);
}

void lapic_pull(struct lapic *l)
{
    const struct engine_apics *a = &l->dev.env->engine_apics;
    struct apic_regs r;

    if (lapic_remote(l) && !a->get(a->ctx, l->cpu, &r))
        take_regs(l, &r);
}

static void give_regs(const struct lapic *l, struct apic_regs *r)
{
    *r = (struct apic_regs){.apic_base = l->apic_base,
                            .tsc_deadline = l->tsc_deadline};
    r->reg[R_ID] = l->id << 24;
    r->reg[R_TPR] = l->tpr;
    r->reg[R_LDR] = l->ldr;
    r->reg[R_DFR] = l->dfr;
    r->reg[R_SVR] = l->svr;
    r->reg[R_ESR] = l->esr;
    r->reg[R_ICR] = (uint32_t)l->icr;
    r->reg[R_ICR_HIGH] = (uint32_t)(l->icr >> 32);
    for (unsigned n = 0; n < LVT_COUNT; n++)
        r->reg[R_LVT + n] = l->lvt[n];
    for (unsigned n = 0; n < 8; n++) {
        r->reg[R_ISR + n] = l->isr.word[n];
        r->reg[R_IRR + n] = l->irr.word[n];
        r->reg[R_TMR + n] = l->tmr[n];
    }
    r->reg[R_INITIAL] = l->initial_count;
    r->reg[R_CURRENT] = l->timer_running ? lapic_timer_current(l) : 0;
    r->reg[R_DCR] = l->dcr;
}

void lapic_push(struct lapic *l)
{
    const struct engine_apics *a = &l->dev.env->engine_apics;
    struct apic_regs r;

    if (!lapic_remote(l))
        return;
    give_regs(l, &r);
    if (a->set(a->ctx, l->cpu, &r))
        host_log(LOG_WARN,
                 "CPU %u: the engine does not take the local APIC's "
                 "registers",
                 l->cpu);
}

/* Whether LINT0 lets an ExtINT through, and LINT1 an NMI, is looked at where
   the registers are. */
void lapic_remote_pin(struct lapic *l, unsigned lint, bool level)
{
    if (lint == 0 && l->cpu == 0)
        l->pins->intr(l->pins->ctx, level);
    else if (lint == 1 && level)
        l->pins->nmi(l->pins->ctx);
}

int lapic_remote_ack(struct lapic *l)
{
    const struct inta *pic = &l->dev.env->pic_inta;

    return pic->ack ? pic->ack(pic->ctx) : -1;
}
