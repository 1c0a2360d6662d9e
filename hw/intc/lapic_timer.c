/*
 * The local APIC timer: one-shot, periodic, TSC-deadline (SDM, "APIC Timer").
 * Writing the mode of a counting timer lets it count on; what it does at zero
 * is decided there. Only a change to or from TSC-deadline disarms it.
 */
#include "hw/intc/lapic_int.h"

_Static_assert(LAPIC_TIMER_HZ == NS_PER_SEC, "ticks are taken as ns");

/* A guest may ask for an interrupt each nanosecond; the host wakes no more
   often than this. What is missed in between is one interrupt. */
#define MIN_INTERVAL 20000ull

/* DCR bits 3, 1, 0: divide by 2, 4 … 128, 1. */
static unsigned divide_shift(const struct lapic *l)
{
    return (((l->dcr & 3) | (l->dcr >> 1 & 4)) + 1) & 7;
}

static bool deadline_mode(const struct lapic *l)
{
    return (l->lvt[LVT_TIMER] & LVT_TIMER_MODE) == LVT_DEADLINE;
}

static uint64_t expiry(const struct lapic *l)
{
    return l->timer_start + ((uint64_t)l->timer_left << divide_shift(l));
}

/*
 * When the CPU's TSC reaches the deadline. Asked for on the CPU's own thread,
 * when deadline or TSC change; the timer, on another, takes the answer as it
 * is.
 */
static void find_deadline(struct lapic *l)
{
    const struct tsc_clock *tsc = &l->dev.env->tsc;

    l->deadline_at = tsc->to_ns
                         ? tsc->to_ns(tsc->ctx, l->cpu, l->tsc_deadline)
                         : l->tsc_deadline;
}

static void disarm(struct lapic *l)
{
    env_arm(l->dev.env, &l->timer, UINT64_MAX);
}

/* Counting is over at its expiry; now is not before it. */
static void count_zero(struct lapic *l, uint64_t now)
{
    uint64_t period = (uint64_t)l->initial_count << divide_shift(l);

    if (!(l->lvt[LVT_TIMER] & LVT_PERIODIC) || !period) {
        l->timer_running = false;
        l->timer_left = 0;
        disarm(l);
    } else {
        uint64_t end = expiry(l);

        l->timer_start = end + (now - end) / period * period;
        l->timer_left = l->initial_count;
        env_arm(l->dev.env, &l->timer, MAX(expiry(l), now + MIN_INTERVAL));
    }
    lapic_fire(l, LVT_TIMER);
}

static void deadline_reached(struct lapic *l)
{
    l->tsc_deadline = 0;
    disarm(l);
    lapic_fire(l, LVT_TIMER);
}

/* Looks at where the timer stands: fires what is due, arms for the rest. */
void lapic_timer_rearm(struct lapic *l)
{
    uint64_t now = env_now(l->dev.env);
    uint64_t at = UINT64_MAX;

    if (deadline_mode(l)) {
        if (l->tsc_deadline)
            at = l->deadline_at;
        if (at <= now) {
            deadline_reached(l);
            return;
        }
    } else if (l->timer_running) {
        at = expiry(l);
        if (at <= now) {
            count_zero(l, now);
            return;
        }
    }
    env_arm(l->dev.env, &l->timer, at);
}

static void timer_due(void *ctx)
{
    lapic_timer_rearm(ctx);
}

void lapic_timer_setup(struct lapic *l)
{
    timer_init(&l->timer, l->dev.env->loop, timer_due, l);
}

void lapic_timer_stop(struct lapic *l)
{
    l->timer_running = false;
    disarm(l);
}

uint32_t lapic_timer_current(const struct lapic *l)
{
    uint64_t now = env_now(l->dev.env);
    unsigned shift = divide_shift(l);

    if (!l->timer_running)
        return 0;

    uint64_t gone = (now - l->timer_start) >> shift;

    if (gone < l->timer_left)
        return l->timer_left - (uint32_t)gone;
    if (!(l->lvt[LVT_TIMER] & LVT_PERIODIC) || !l->initial_count)
        return 0;
    /* Due, but its interrupt has not been dealt with yet. */
    gone = (gone - l->timer_left) % l->initial_count;
    return l->initial_count - (uint32_t)gone;
}

void lapic_timer_set_initial(struct lapic *l, uint32_t v)
{
    if (deadline_mode(l))
        return;
    l->initial_count = v;
    l->timer_left = v;
    l->timer_start = env_now(l->dev.env);
    l->timer_running = v != 0;
    lapic_timer_rearm(l);
}

/* The count goes on from where it is, at the new rate. */
void lapic_timer_set_dcr(struct lapic *l, uint32_t v)
{
    lapic_timer_rearm(l); /* what is due comes first */
    l->timer_left = lapic_timer_current(l);
    l->dcr = v & 0xb;
    if (!l->timer_running)
        return;
    l->timer_start = env_now(l->dev.env);
    lapic_timer_rearm(l);
}

void lapic_timer_set_lvt(struct lapic *l, uint32_t v)
{
    bool was = deadline_mode(l);

    l->lvt[LVT_TIMER] = v;
    if (deadline_mode(l) != was) {
        l->tsc_deadline = 0;
        l->initial_count = l->timer_left = 0;
        lapic_timer_stop(l);
    }
}

void lapic_timer_set_deadline(struct lapic *l, uint64_t tsc)
{
    if (!deadline_mode(l))
        return;
    l->tsc_deadline = tsc;
    find_deadline(l);
    lapic_timer_rearm(l);
}
