/*
 * High precision event timers at 0xfed00000: 64-bit counter at 100 MHz, three
 * comparators, all periodic-capable, legacy replacement and FSB delivery.
 * Spec: IA-PC HPET 1.0a. Machine lock held.
 *
 * An edge-triggered interrupt's line falls only right before it rises again.
 */
#include "base/bits.h"
#include "hw/timer/rate.h"
#include "lodge/device.h"

#define HPET_BASE 0xfed00000ull
#define HPET_SIZE 0x400ull
#define TICK_NS   10ull
#define TICK_FS   (TICK_NS * 1000000)

/* The host wakes for a timer no more often than this. */
#define MIN_INTERVAL 20000ull

enum { TIMERS = 3 };

/* Registers */
enum {
    GCAP_ID = 0x000,
    GEN_CONF = 0x010,
    GINTR_STA = 0x020,
    MAIN_CNT = 0x0f0,
    TIMER0 = 0x100,
    TIMER_STEP = 0x20,
    TN_CONF = 0x00,
    TN_CMP = 0x08,
    TN_FSB = 0x10
};

/* GEN_CONF */
enum { ENABLE_CNF = 1 << 0, LEG_RT_CNF = 1 << 1 };

/* TN_CONF, its low half */
enum {
    TN_LEVEL = 1 << 1,
    TN_INT_ENB = 1 << 2,
    TN_PERIODIC = 1 << 3,
    TN_PER_CAP = 1 << 4,
    TN_SIZE_CAP = 1 << 5,
    TN_VAL_SET = 1 << 6,
    TN_32MODE = 1 << 8,
    TN_ROUTE = 31 << 9,
    TN_FSB_EN = 1 << 14,
    TN_FSB_CAP = 1 << 15
};
#define TN_WRITABLE                                                            \
    (TN_LEVEL | TN_INT_ENB | TN_PERIODIC | TN_VAL_SET | TN_32MODE | TN_ROUTE | \
     TN_FSB_EN)
/* Inputs of the IOAPIC a timer may be routed to: 2, 8, 16–23. */
#define ROUTE_CAP 0x00ff0104ull
#define TN_CAPS   (ROUTE_CAP << 32 | TN_PER_CAP | TN_SIZE_CAP | TN_FSB_CAP)

/* Vendor 8086, legacy replacement, 64 bits, three timers, revision 1. */
#define CAPS                                                                   \
    (TICK_FS << 32 | 0x8086ull << 16 | 1 << 15 | 1 << 13 | (TIMERS - 1) << 8 | \
     0x01)

struct hpet_timer {
    uint32_t conf;   /* TN_WRITABLE bits */
    uint64_t cmp;    /* what the counter is compared with */
    uint64_t period; /* last value written in periodic mode */
    uint64_t fsb;
    bool waiting;
    uint64_t due; /* the match waited for, on the whole 64-bit counter */
    bool irq;     /* level of the line it drives */
    struct timer timer;
    struct hpet *hpet;
};

struct hpet {
    struct dev dev;
    struct region page;
    uint32_t conf, status;
    uint64_t counter;  /* at base; while halted: as it is */
    uint64_t base;     /* machine clock, ns */
    bool legacy_in[2]; /* what the 8254 and the RTC put out */
    struct hpet_timer timer[TIMERS];
};

static bool enabled(const struct hpet *h)
{
    return h->conf & ENABLE_CNF;
}

static bool legacy(const struct hpet *h)
{
    return h->conf & LEG_RT_CNF;
}

static uint64_t counter(const struct hpet *h)
{
    if (!enabled(h))
        return h->counter;
    return h->counter + (env_now(h->dev.env) - h->base) / TICK_NS;
}

static uint64_t width(const struct hpet_timer *t)
{
    return t->conf & TN_32MODE ? UINT32_MAX : UINT64_MAX;
}

static unsigned number(const struct hpet_timer *t)
{
    return (unsigned)(t - t->hpet->timer);
}

/* --- interrupt lines --- */

/* IRQ0 and IRQ8: the 8254's and the RTC's, or timers 0 and 1's. */
static const struct irq *legacy_line(const struct hpet *h, unsigned n)
{
    return &h->dev.env->isa_irq[n == 0 ? 0 : 8];
}

static void drive(struct hpet_timer *t, bool level)
{
    const struct hpet *h = t->hpet;

    if (t->irq == level)
        return;
    t->irq = level;
    if (legacy(h) && number(t) < 2)
        irq_set(legacy_line(h, number(t)), level);
    else if (BIT(bits(t->conf, 13, 9)) & ROUTE_CAP)
        irq_set(&h->dev.env->gsi[bits(t->conf, 13, 9)], level);
}

static bool may_interrupt(const struct hpet_timer *t)
{
    return enabled(t->hpet) && (t->conf & TN_INT_ENB);
}

/* A level-triggered timer's line follows its status bit. */
static void follow_status(struct hpet_timer *t)
{
    drive(t, may_interrupt(t) && (t->conf & TN_LEVEL) &&
                 !(t->conf & TN_FSB_EN) && (t->hpet->status & BIT(number(t))));
}

static void interrupt(struct hpet_timer *t)
{
    struct hpet *h = t->hpet;
    const struct msi_sink *msi = &h->dev.env->msi;

    if (t->conf & TN_LEVEL) {
        h->status |= BIT(number(t));
        follow_status(t);
    }
    if (!may_interrupt(t))
        return;
    if (t->conf & TN_FSB_EN) {
        if (msi->send)
            msi->send(msi->ctx, t->fsb >> 32, (uint32_t)t->fsb);
    } else if (!(t->conf & TN_LEVEL)) {
        drive(t, false);
        drive(t, true);
    }
}

static void legacy_input(void *ctx, unsigned n, bool level)
{
    struct hpet *h = ctx;

    h->legacy_in[n] = level;
    if (!legacy(h))
        irq_set(legacy_line(h, n), level);
}

/* --- matches --- */

/* Without an interrupt nobody has to be woken: catch_up() sees the match. */
static void arm(struct hpet_timer *t, uint64_t not_before)
{
    struct hpet *h = t->hpet;
    struct env *env = h->dev.env;
    uint64_t at = UINT64_MAX, ticks;

    if (may_interrupt(t) && t->waiting) {
        ticks = t->due - h->counter;
        if (ticks < (UINT64_MAX - h->base) / TICK_NS)
            at = MAX(h->base + ticks * TICK_NS, not_before);
    }
    env_arm(env, &t->timer, at);
}

/* Finds the next match from what the counter shows now. What the 64-bit
   counter has passed will not come again. */
static void expect(struct hpet_timer *t)
{
    uint64_t now = counter(t->hpet), ticks = (t->cmp - now) & width(t);

    t->due = now + ticks;
    t->waiting = ticks < UINT64_MAX / 2;
    arm(t, 0);
}

static void expect_all(struct hpet *h)
{
    for (unsigned n = 0; n < TIMERS; n++)
        expect(&h->timer[n]);
}

/* What follows a match at due, by now gone by. */
static void advance(struct hpet_timer *t, uint64_t now)
{
    uint64_t step;

    if ((t->conf & TN_PERIODIC) && t->period) {
        step = ((now - t->due) / t->period + 1) * t->period;
        t->cmp = (t->cmp + step) & width(t);
        t->due += step;
    } else if (t->conf & TN_32MODE) {
        t->due += 1ull << 32; /* comes round again */
    } else {
        t->waiting = false;
    }
}

static bool is_due(const struct hpet_timer *t, uint64_t now)
{
    return enabled(t->hpet) && t->waiting && now - t->due <= UINT64_MAX / 2;
}

/* The matches of timers that may not interrupt, before anybody looks. */
static void catch_up(struct hpet *h)
{
    uint64_t now = counter(h);

    for (unsigned n = 0; n < TIMERS; n++) {
        struct hpet_timer *t = &h->timer[n];

        if (may_interrupt(t) || !is_due(t, now))
            continue;
        advance(t, now);
        interrupt(t);
    }
}

static void timer_due(void *ctx)
{
    struct hpet_timer *t = ctx;
    struct hpet *h = t->hpet;
    uint64_t now = counter(h);

    if (!is_due(t, now)) {
        arm(t, 0);
        return;
    }
    advance(t, now);
    arm(t, env_now(h->dev.env) + MIN_INTERVAL);
    interrupt(t);
}

/* --- registers --- */

static uint64_t timer_read(const struct hpet_timer *t, unsigned r)
{
    switch (r) {
    case TN_CONF: return TN_CAPS | t->conf;
    case TN_CMP: return t->cmp;
    case TN_FSB: return t->fsb;
    default: return 0;
    }
}

static uint64_t read64(const struct hpet *h, unsigned r)
{
    unsigned n = (r - TIMER0) / TIMER_STEP;

    switch (r) {
    case GCAP_ID: return CAPS;
    case GEN_CONF: return h->conf;
    case GINTR_STA: return h->status;
    case MAIN_CNT: return counter(h);
    default: break;
    }
    if (r < TIMER0 || n >= TIMERS)
        return 0;
    return timer_read(&h->timer[n], (r - TIMER0) % TIMER_STEP);
}

static void write_timer_conf(struct hpet_timer *t, uint32_t v)
{
    drive(t, false); /* it may be routed elsewhere now */
    v &= TN_WRITABLE;
    if (!(BIT(bits(v, 13, 9)) & ROUTE_CAP))
        v = (v & ~TN_ROUTE) | (t->conf & TN_ROUTE);
    if (!(v & TN_PERIODIC))
        v &= ~TN_VAL_SET;
    t->conf = v;
    if (!(v & TN_LEVEL))
        t->hpet->status &= ~BIT(number(t));
    t->cmp &= width(t);
    t->period &= width(t);
    follow_status(t);
    expect(t);
}

/*
 * mask: the bits this access reaches. In periodic mode a write sets the
 * period; the comparator itself only right after VAL_SET.
 */
static void write_cmp(struct hpet_timer *t, uint64_t v, uint64_t mask)
{
    mask &= width(t);
    if (!(t->conf & TN_PERIODIC) || (t->conf & TN_VAL_SET))
        t->cmp = (t->cmp & ~mask) | (v & mask);
    if (t->conf & TN_PERIODIC)
        t->period = (t->period & ~mask) | (v & mask);
    t->conf &= ~TN_VAL_SET;
    expect(t);
}

static void timer_write(struct hpet_timer *t, unsigned r, uint64_t v,
                        uint64_t mask)
{
    switch (r) {
    case TN_CONF:
        if (mask & UINT32_MAX)
            write_timer_conf(t, (uint32_t)v);
        break;
    case TN_CMP: write_cmp(t, v, mask); break;
    case TN_FSB: t->fsb = (t->fsb & ~mask) | (v & mask); break;
    default: break;
    }
}

static void set_legacy(struct hpet *h, bool on)
{
    if (on == legacy(h))
        return;
    for (unsigned n = 0; n < TIMERS; n++)
        drive(&h->timer[n], false);
    h->conf ^= LEG_RT_CNF;
    irq_set(&h->dev.env->pit_mute, on);
    for (unsigned n = 0; n < 2; n++)
        irq_set(legacy_line(h, n), !on && h->legacy_in[n]);
}

static void write_conf(struct hpet *h, uint32_t v)
{
    set_legacy(h, v & LEG_RT_CNF);
    if ((v & ENABLE_CNF) != (h->conf & ENABLE_CNF)) {
        h->counter = counter(h);
        h->base = env_now(h->dev.env);
        h->conf ^= ENABLE_CNF;
        expect_all(h);
    }
    for (unsigned n = 0; n < TIMERS; n++)
        follow_status(&h->timer[n]);
}

static void write64(struct hpet *h, unsigned r, uint64_t v, uint64_t mask)
{
    unsigned n = (r - TIMER0) / TIMER_STEP;

    switch (r) {
    case GEN_CONF:
        if (mask & UINT32_MAX)
            write_conf(h, (uint32_t)v);
        return;
    case GINTR_STA:
        h->status &= ~(uint32_t)(v & mask);
        for (n = 0; n < TIMERS; n++)
            if (v & mask & BIT(n))
                follow_status(&h->timer[n]);
        return;
    case MAIN_CNT:
        h->counter = (counter(h) & ~mask) | (v & mask);
        h->base = env_now(h->dev.env);
        expect_all(h);
        return;
    default: break;
    }
    if (r >= TIMER0 && n < TIMERS)
        timer_write(&h->timer[n], (r - TIMER0) % TIMER_STEP, v, mask);
}

static uint64_t page_read(void *dev, uint64_t off, unsigned bytes)
{
    uint64_t v;

    catch_up(dev);
    v = read64(dev, off & ~7u);
    return bytes == 8 ? v : (uint32_t)(v >> 8 * (off & 4));
}

static void page_write(void *dev, uint64_t off, uint64_t v, unsigned bytes)
{
    unsigned shift = 8 * (off & 4);

    catch_up(dev);
    if (bytes == 8)
        write64(dev, (unsigned)off, v, UINT64_MAX);
    else
        write64(dev, off & ~7u, v << shift, (uint64_t)UINT32_MAX << shift);
}

static const struct region_ops page_ops = {page_read, page_write, 4, 8};

/* --- the device --- */

static int hpet_attach(struct dev *d, struct env *env, struct err *e)
{
    struct hpet *h = container_of(d, struct hpet, dev);

    d->env = env;
    h->page = (struct region){
        .name = "HPET", .size = HPET_SIZE, .ops = &page_ops, .dev = h};
    if (space_map(env->mem, HPET_BASE, &h->page, 0))
        return err_set(e, LE_NOMEM, "cannot map the HPET's page");
    for (unsigned n = 0; n < TIMERS; n++) {
        struct hpet_timer *t = &h->timer[n];

        t->hpet = h;
        timer_init(&t->timer, env->loop, timer_due, t);
    }
    env->pit_irq0 = (struct irq){legacy_input, h, 0};
    env->rtc_irq8 = (struct irq){legacy_input, h, 1};
    return 0;
}

static void hpet_pause(struct dev *d)
{
    struct hpet *h = container_of(d, struct hpet, dev);

    for (unsigned n = 0; n < TIMERS; n++)
        env_arm(d->env, &h->timer[n].timer, UINT64_MAX);
}

static void hpet_resume(struct dev *d)
{
    struct hpet *h = container_of(d, struct hpet, dev);

    for (unsigned n = 0; n < TIMERS; n++)
        arm(&h->timer[n], 0);
}

static void hpet_detach(struct dev *d)
{
    struct hpet *h = container_of(d, struct hpet, dev);

    hpet_pause(d);
    d->env->pit_irq0 = d->env->rtc_irq8 = (struct irq){0};
    space_unmap(&h->page);
}

static void hpet_reset(struct dev *d, bool cold UNUSED)
{
    struct hpet *h = container_of(d, struct hpet, dev);

    set_legacy(h, false);
    h->conf = h->status = 0;
    h->counter = 0;
    for (unsigned n = 0; n < TIMERS; n++) {
        struct hpet_timer *t = &h->timer[n];

        drive(t, false);
        t->conf = 0;
        t->cmp = UINT64_MAX;
        t->period = t->fsb = 0;
        t->waiting = false;
        arm(t, 0);
    }
}

static int hpet_loaded(struct dev *d, uint16_t version UNUSED)
{
    struct hpet *h = container_of(d, struct hpet, dev);

    if ((h->conf & ~(ENABLE_CNF | LEG_RT_CNF)) || h->status >= BIT(TIMERS) ||
        h->base > env_now(d->env))
        return -LE_FORMAT;
    for (unsigned n = 0; n < TIMERS; n++) {
        const struct hpet_timer *t = &h->timer[n];
        unsigned route = bits(t->conf, 13, 9);

        if ((t->conf & ~TN_WRITABLE) || (t->cmp & ~width(t)) ||
            (t->period & ~width(t)) || (route && !(BIT(route) & ROUTE_CAP)))
            return -LE_FORMAT;
    }
    irq_set(&d->env->pit_mute, legacy(h));
    hpet_resume(d);
    return 0;
}

static const struct field timer_state[] = {
    FIELD32(struct hpet_timer, conf),   FIELD64(struct hpet_timer, cmp),
    FIELD64(struct hpet_timer, period), FIELD64(struct hpet_timer, fsb),
    FIELDB(struct hpet_timer, waiting), FIELD64(struct hpet_timer, due),
    FIELDB(struct hpet_timer, irq),     FIELD_END,
};

static const struct field hpet_state[] = {
    FIELD32(struct hpet, conf),
    FIELD32(struct hpet, status),
    FIELD64(struct hpet, counter),
    FIELD64(struct hpet, base),
    FIELDB(struct hpet, legacy_in),
    FIELD_SUB(struct hpet, timer, struct hpet_timer, timer_state),
    FIELD_END,
};

const struct dev_class hpet_class = {
    .name = "hpet",
    .summary = "high precision event timers",
    .spec = "IA-PC HPET 1.0a",
    .size = sizeof(struct hpet),
    .state = hpet_state,
    .version = 1,
    .attach = hpet_attach,
    .reset = hpet_reset,
    .pause = hpet_pause,
    .resume = hpet_resume,
    .loaded = hpet_loaded,
    .detach = hpet_detach,
};
