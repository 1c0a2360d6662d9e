/* The local APIC as a device: its class, life and snapshot fields. */
#include "hw/intc/lapic_int.h"

uint32_t lapic_lvt_mask(const struct lapic *l, enum lvt n)
{
    switch (n) {
    case LVT_TIMER:
        return 0xff | LVT_MASKED | LVT_PERIODIC |
               (l->has_deadline ? LVT_DEADLINE : 0);
    case LVT_LINT0:
    case LVT_LINT1: return 0x7ff | LVT_ACTIVE_LOW | LVT_LEVEL | LVT_MASKED;
    case LVT_ERROR: return 0xff | LVT_MASKED;
    default: return 0x7ff | LVT_MASKED;
    }
}

bool lapic_base_valid(const struct lapic *l, uint64_t v)
{
    uint64_t ok = (mask_low(l->phys_bits) & PAGE_MASK) | BASE_BSP | BASE_EN;

    if (l->has_x2apic)
        ok |= BASE_EXTD;
    return !(v & ~ok);
}

static int lapic_attach(struct dev *d, struct env *env, struct err *e)
{
    struct lapic *l = container_of(d, struct lapic, dev);
    int rc;

    d->env = env;
    rc = lapic_bus_join(l, e);
    if (rc)
        return rc;
    l->pins = &env->cpu_pins[l->cpu];
    lapic_timer_setup(l);
    return 0;
}

static void lapic_detach(struct dev *d)
{
    struct lapic *l = container_of(d, struct lapic, dev);

    lapic_timer_stop(l);
    lapic_bus_leave(l);
}

static void lapic_reset(struct dev *d, bool cold UNUSED)
{
    struct lapic *l = container_of(d, struct lapic, dev);

    l->apic_base = BASE_DEFAULT | BASE_EN | (l->cpu == 0 ? BASE_BSP : 0);
    l->id = l->cpu;
    lapic_init_state(l);
    lapic_push(l);
}

static void lapic_pause(struct dev *d)
{
    struct lapic *l = container_of(d, struct lapic, dev);

    env_arm(d->env, &l->timer, UINT64_MAX);
    lapic_pull(l);
}

static void lapic_resume(struct dev *d)
{
    struct lapic *l = container_of(d, struct lapic, dev);

    if (!lapic_remote(l))
        lapic_timer_rearm(l);
}

static bool lvts_valid(const struct lapic *l)
{
    for (unsigned n = 0; n < LVT_COUNT; n++) {
        uint32_t ok = lapic_lvt_mask(l, n);

        if (n == LVT_LINT0 || n == LVT_LINT1)
            ok |= LVT_REMOTE_IRR;
        if (l->lvt[n] & ~ok)
            return false;
        if (!(l->svr & SVR_ENABLE) && !(l->lvt[n] & LVT_MASKED))
            return false;
    }
    return true;
}

static bool summarize(struct vector_set *s)
{
    s->used = 0;
    for (unsigned n = 0; n < ARRAY_LEN(s->word); n++)
        if (s->word[n])
            s->used |= BIT(n);
    return !(s->word[0] & 0xffff); /* vectors 0–15 do not exist */
}

static int lapic_loaded(struct dev *d, uint16_t version UNUSED)
{
    struct lapic *l = container_of(d, struct lapic, dev);

    if (!lapic_base_valid(l, l->apic_base) ||
        (l->apic_base & BASE_MODE) == BASE_EXTD || !lvts_valid(l) ||
        !summarize(&l->isr) || !summarize(&l->irr) || (l->svr & ~SVR_MASK) ||
        (l->dcr & ~0xbu) || (l->ldr & 0xffffff) ||
        (l->dfr & 0x0fffffff) != 0x0fffffff || l->timer_start > env_now(d->env))
        return -LE_FORMAT;
    if (l->id != l->cpu)
        l->bus->ids_changed = true;
    lapic_push(l);
    lapic_update_always(l);
    if (!lapic_remote(l))
        lapic_timer_rearm(l);
    return 0;
}

static const struct field set_state[] = {
    FIELD32(struct vector_set, word),
    FIELD_END,
};

static const struct field lapic_state[] = {
    FIELD64(struct lapic, apic_base),
    FIELD_MAX(struct lapic, id, 32, 255),
    FIELD_MAX(struct lapic, tpr, 32, 255),
    FIELD32(struct lapic, ldr),
    FIELD32(struct lapic, dfr),
    FIELD32(struct lapic, svr),
    FIELD_MAX(struct lapic, esr, 32, 255),
    FIELD_MAX(struct lapic, esr_pending, 32, 255),
    FIELD64(struct lapic, icr),
    FIELD32(struct lapic, lvt),
    FIELD_SUB(struct lapic, isr, struct vector_set, set_state),
    FIELD_SUB(struct lapic, irr, struct vector_set, set_state),
    FIELD32(struct lapic, tmr),
    FIELDB(struct lapic, lint),
    FIELDB(struct lapic, extint),
    FIELD32(struct lapic, initial_count),
    FIELD32(struct lapic, dcr),
    FIELD32(struct lapic, timer_left),
    FIELDB(struct lapic, timer_running),
    FIELD64(struct lapic, timer_start),
    FIELD64(struct lapic, tsc_deadline),
    FIELD64(struct lapic, deadline_at),
    FIELD_END,
};

static const struct prop lapic_props[] = {
    {"cpu", "number of the CPU it belongs to", offsetof(struct lapic, cpu),
     PROP_U32, true, 0, 0, LAPIC_MAX_CPUS - 1},
    {"phys-bits", "physical address bits of the CPU",
     offsetof(struct lapic, phys_bits), PROP_U32, false, 46, 32, 52},
    {"x2apic", "offer x2APIC mode", offsetof(struct lapic, has_x2apic),
     PROP_BOOL, false, true, 0, 0},
    {"tsc-deadline", "offer the timer's TSC-deadline mode",
     offsetof(struct lapic, has_deadline), PROP_BOOL, false, true, 0, 0},
    PROP_END,
};

const struct dev_class lapic_class = {
    .name = "lapic",
    .summary = "local APIC of a CPU (xAPIC, x2APIC)",
    .spec = "Intel SDM volume 3, Advanced Programmable Interrupt Controller",
    .size = sizeof(struct lapic),
    .props = lapic_props,
    .state = lapic_state,
    .version = 1,
    .attach = lapic_attach,
    .reset = lapic_reset,
    .pause = lapic_pause,
    .resume = lapic_resume,
    .loaded = lapic_loaded,
    .detach = lapic_detach,
};
