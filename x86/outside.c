#include "x86/outside.h"
#include "x86/tsc.h"

void x86_outside_lock(struct cpu *c)
{
    if (!c->outside)
        host_mutex_lock(c->vcpu->lock);
}

void x86_outside_unlock(struct cpu *c)
{
    if (!c->outside)
        host_mutex_unlock(c->vcpu->lock);
}

/* --- one access --- */

static void of_space(struct cpu *c, struct space *s, struct outside_access *a)
{
    if (c->outside && a->write)
        space_write_locked(s, a->at, a->value, a->bytes);
    else if (c->outside)
        a->value = space_read_locked(s, a->at, a->bytes);
    else if (a->write)
        space_write(s, a->at, a->value, a->bytes);
    else
        a->value = space_read(s, a->at, a->bytes);
}

static void of_apic(const struct vcpu *v, struct outside_access *a)
{
    if (a->write)
        v->intc->write(v->intc_ctx, (uint32_t)a->at, (uint32_t)a->value);
    else
        a->value = v->intc->read(v->intc_ctx, (uint32_t)a->at);
}

static void of_msr(const struct vcpu *v, struct outside_access *a)
{
    if (a->write)
        a->ok = v->intc->write_msr(v->intc_ctx, (uint32_t)a->at, a->value);
    else
        a->ok = v->intc->read_msr(v->intc_ctx, (uint32_t)a->at, &a->value);
}

static void of_tpr(const struct vcpu *v, struct outside_access *a)
{
    if (a->write)
        v->intc->set_tpr(v->intc_ctx, (uint8_t)a->value);
    else
        a->value = v->intc->get_tpr(v->intc_ctx);
}

static void of_ferr(const struct vcpu *v, struct outside_access *a)
{
    a->ok = !v->intc->ferr || v->intc->ferr(v->intc_ctx, a->value);
}

static void of_intc(struct cpu *c, struct outside_access *a)
{
    const struct vcpu *v = c->vcpu;

    if (!v->intc)
        return;
    x86_outside_lock(c);
    if (a->what == OUTSIDE_APIC)
        of_apic(v, a);
    else if (a->what == OUTSIDE_MSR)
        of_msr(v, a);
    else if (a->what == OUTSIDE_FERR)
        of_ferr(v, a);
    else
        of_tpr(v, a);
    x86_outside_unlock(c);
}

void x86_outside_now(struct cpu *c, struct outside_access *a)
{
    switch ((enum outside)a->what) {
    case OUTSIDE_DEVICE: of_space(c, c->vcpu->mem, a); break;
    case OUTSIDE_PORT: of_space(c, c->vcpu->io, a); break;
    case OUTSIDE_APIC:
    case OUTSIDE_MSR:
    case OUTSIDE_FERR:
    case OUTSIDE_TPR: of_intc(c, a); break;
    case OUTSIDE_TSC: a->value = tsc_now(c->model, c->s.tsc_offset); break;
    case OUTSIDE_RANDOM: host_random(&a->value, sizeof a->value); break;
    }
}

void x86_outside(struct cpu *c, struct outside_access *a)
{
    if (c->going_outside)
        c->going_outside(c);
    if (unlikely(c->outside != NULL))
        c->outside(c, a);
    else
        x86_outside_now(c, a);
}

uint64_t x86_outside_read(struct cpu *c, enum outside what, uint64_t at,
                          unsigned n)
{
    struct outside_access a = {
        .what = (uint8_t)what, .bytes = (uint8_t)n, .at = at};

    x86_outside(c, &a);
    return a.value;
}

void x86_outside_write(struct cpu *c, enum outside what, uint64_t at,
                       uint64_t v, unsigned n)
{
    struct outside_access a = {.what = (uint8_t)what,
                               .write = true,
                               .bytes = (uint8_t)n,
                               .at = at,
                               .value = v};

    x86_outside(c, &a);
}
