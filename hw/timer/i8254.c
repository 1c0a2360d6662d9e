/*
 * The 8254 of a PC (ports 0x40–0x43) and the NMI status and control register
 * at 0x61, which has the gate of counter 2 and sees its output. Counter 0 is
 * IRQ0, counter 1 once drove memory refresh, counter 2 the speaker.
 * Spec: Intel 82C54 (231244); 82371SB (PIIX3), "NMI Status and Control".
 *
 * It may be the engine's (lodge/chips.h), then without the NMI sources of port
 * 0x61, and its counters begin their counts anew after a pause.
 *
 * The interrupt line falls only right before it rises again, not when OUT
 * does: a CPU that is slow to take it loses no tick.
 */
#include "base/bits.h"
#include "hw/timer/i8254_counter.h"
#include "hw/timer/rate.h"
#include "lodge/device.h"

#define PIT_HZ 1193182ull

enum { COUNTERS = 3, CONTROL_PORT = 3 };

/* Port 0x61 */
enum {
    P61_GATE2 = 1 << 0,
    P61_SPEAKER = 1 << 1,
    P61_SERR_OFF = 1 << 2,
    P61_IOCHK_OFF = 1 << 3,
    P61_REFRESH = 1 << 4,
    P61_OUT2 = 1 << 5,
    P61_IOCHK = 1 << 6,
    P61_SERR = 1 << 7,
    P61_WRITABLE = 0x0f,
};
enum { SOURCE_IOCHK, SOURCE_SERR };

/* Without firmware nobody sets counter 1: one refresh in 15 µs. */
#define REFRESH_TICKS 18

/* The host wakes no more often than this; edges in between are lost. */
#define MIN_INTERVAL 20000ull
/* Ticks the host was late for are made up for, up to this much of them, for
   systems that count them; if they come at no more than this rate. */
#define MAX_LATE   (NS_PER_SEC)
#define SLOW_TICKS (PIT_HZ / 10000)

struct i8254 {
    struct dev dev;
    struct region ports, port61;
    struct pit_counter counter[COUNTERS];
    uint64_t next_edge; /* of counter 0, in ticks; UINT64_MAX: none */
    bool irq0;
    uint8_t control61;  /* P61_WRITABLE bits */
    uint8_t nmi_status; /* P61_IOCHK, P61_SERR: latched */
    bool nmi_masked, nmi;
    bool muted; /* as the HPET's registers say */
    struct timer timer;
};

static uint64_t ticks(const struct i8254 *p)
{
    return ns_ticks(env_now(p->dev.env), PIT_HZ);
}

static bool remote(const struct i8254 *p)
{
    return p->dev.env->engine_chips.get != NULL;
}

static void set_irq0(struct i8254 *p, bool level)
{
    struct env *env = p->dev.env;

    p->irq0 = level;
    if (remote(p))
        return;
    irq_set(env->pit_irq0.set ? &env->pit_irq0 : &env->isa_irq[0], level);
}

static void arm(struct i8254 *p, uint64_t not_before)
{
    uint64_t at = UINT64_MAX;

    if (p->next_edge != UINT64_MAX && !remote(p))
        at = MAX(ticks_ns(p->next_edge, PIT_HZ), not_before);
    env_arm(p->dev.env, &p->timer, at);
}

/* --- the engine's --- */

/* An output that ticks is left high: it falls right before it rises. */
static void i8254_pull(struct i8254 *p)
{
    const struct engine_chips *own = &p->dev.env->engine_chips;
    struct chip_regs r;
    uint64_t now = ticks(p);

    if (!remote(p) || own->get(own->ctx, CHIP_PIT, &r))
        return;
    for (unsigned n = 0; n < COUNTERS; n++)
        pit_take(&p->counter[n], &r.pit.counter[n],
                 ns_ticks(r.pit.counter[n].age_ns, PIT_HZ), now);
    p->next_edge = pit_next_rise(&p->counter[0], now);
    p->irq0 = p->next_edge != UINT64_MAX && pit_mode(&p->counter[0]) >= 2;
    p->control61 &= ~(P61_GATE2 | P61_SPEAKER);
    p->control61 |= (r.pit.counter[2].gate ? P61_GATE2 : 0) |
                    (r.pit.speaker ? P61_SPEAKER : 0);
}

static void push(struct i8254 *p)
{
    const struct engine_chips *own = &p->dev.env->engine_chips;
    struct chip_regs r = {
        .pit = {.speaker = p->control61 & P61_SPEAKER, .muted = p->muted}};

    if (!remote(p))
        return;
    for (unsigned n = 0; n < COUNTERS; n++)
        r.pit.counter[n] = pit_give(&p->counter[n]);
    if (own->set(own->ctx, CHIP_PIT, &r))
        host_log(LOG_WARN, "the engine does not take the 8254's registers");
}

/* The HPET takes IRQ0, or gives it back; the guest runs. */
static void mute(void *ctx, unsigned n UNUSED, bool level)
{
    struct i8254 *p = ctx;

    if (p->muted == level)
        return;
    i8254_pull(p);
    p->muted = level;
    push(p);
}

/* --- Lodge's own --- */

/* Counter 0 was written: where its OUT is, and when it will rise. */
static void counter0_changed(struct i8254 *p)
{
    struct pit_counter *c = &p->counter[0];
    uint64_t now = ticks(p);
    bool out = pit_out(c, now);

    if (out && !p->irq0)
        set_irq0(p, true);
    else if (!out && p->irq0 && pit_mode(c) < 2)
        set_irq0(p, false);
    p->next_edge = pit_next_rise(c, now);
    arm(p, 0);
}

static void edge_due(void *ctx)
{
    struct i8254 *p = ctx;
    struct pit_counter *c = &p->counter[0];
    uint64_t now_ns = env_now(p->dev.env), now = ns_ticks(now_ns, PIT_HZ);
    uint64_t late, period;

    if (p->next_edge > now) {
        arm(p, 0);
        return;
    }
    late = now - p->next_edge;
    if (p->irq0)
        set_irq0(p, false);
    set_irq0(p, true);
    p->next_edge = pit_next_rise(c, p->next_edge);
    if (p->next_edge == UINT64_MAX)
        return;
    period = c->initial;
    if (period < SLOW_TICKS || late > ns_ticks(MAX_LATE, PIT_HZ))
        p->next_edge = MAX(p->next_edge, pit_next_rise(c, now));
    arm(p, now_ns + MAX(MIN_INTERVAL, ticks_ns(period / 2, PIT_HZ)));
}

static void read_back(struct i8254 *p, uint8_t v, uint64_t now)
{
    for (unsigned n = 0; n < COUNTERS; n++) {
        if (!(v & BIT(n + 1)))
            continue;
        if (!(v & 0x20))
            pit_latch_count(&p->counter[n], now);
        if (!(v & 0x10))
            pit_latch_status(&p->counter[n], now);
    }
}

static void write_control(struct i8254 *p, uint8_t v)
{
    unsigned n = v >> 6;
    uint64_t now = ticks(p);

    if (n == COUNTERS) {
        read_back(p, v, now);
    } else if (!(v & 0x30)) {
        pit_latch_count(&p->counter[n], now);
    } else {
        pit_control(&p->counter[n], v, now);
        if (n == 0)
            counter0_changed(p);
    }
}

static uint64_t ports_read(void *dev, uint64_t off, unsigned bytes UNUSED)
{
    struct i8254 *p = dev;

    if (off == CONTROL_PORT)
        return 0xff;
    return pit_read(&p->counter[off], ticks(p));
}

static void ports_write(void *dev, uint64_t off, uint64_t v,
                        unsigned bytes UNUSED)
{
    struct i8254 *p = dev;

    if (off == CONTROL_PORT) {
        write_control(p, (uint8_t)v);
    } else {
        pit_write(&p->counter[off], (uint8_t)v, ticks(p));
        if (off == 0)
            counter0_changed(p);
    }
    push(p);
}

/* Toggles with every refresh cycle. */
static bool refresh(const struct i8254 *p, uint64_t now)
{
    const struct pit_counter *c = &p->counter[1];

    if (c->state == PIT_RUN && now >= c->start)
        return (now - c->start) / c->initial & 1;
    return now / REFRESH_TICKS & 1;
}

static uint64_t port61_read(void *dev, uint64_t off UNUSED,
                            unsigned bytes UNUSED)
{
    struct i8254 *p = dev;
    uint64_t now = ticks(p);
    uint8_t v = p->control61 | p->nmi_status;

    if (refresh(p, now))
        v |= P61_REFRESH;
    if (pit_out(&p->counter[2], now))
        v |= P61_OUT2;
    return v;
}

static void update_nmi(struct i8254 *p)
{
    struct env *env = p->dev.env;
    bool nmi = p->nmi_status && !p->nmi_masked;

    if (nmi == p->nmi)
        return;
    p->nmi = nmi;
    if (env->nmi.set)
        irq_set(&env->nmi, nmi);
    else if (nmi)
        env->cpu_pins[0].nmi(env->cpu_pins[0].ctx);
}

static void port61_write(void *dev, uint64_t off UNUSED, uint64_t v,
                         unsigned bytes UNUSED)
{
    struct i8254 *p = dev;

    p->control61 = v & P61_WRITABLE;
    if (v & P61_SERR_OFF)
        p->nmi_status &= ~P61_SERR;
    if (v & P61_IOCHK_OFF)
        p->nmi_status &= ~P61_IOCHK;
    pit_gate(&p->counter[2], v & P61_GATE2, ticks(p));
    update_nmi(p);
    push(p);
}

static void nmi_source(void *ctx, unsigned n, bool level)
{
    struct i8254 *p = ctx;
    uint8_t off = n == SOURCE_SERR ? P61_SERR_OFF : P61_IOCHK_OFF;

    if (level && !(p->control61 & off))
        p->nmi_status |= n == SOURCE_SERR ? P61_SERR : P61_IOCHK;
    update_nmi(p);
}

static void nmi_mask(void *ctx, unsigned n UNUSED, bool level)
{
    struct i8254 *p = ctx;

    p->nmi_masked = level;
    update_nmi(p);
}

static const struct region_ops ports_ops = {ports_read, ports_write, 1, 1};
static const struct region_ops port61_ops = {port61_read, port61_write, 1, 1};

static int i8254_attach(struct dev *d, struct env *env, struct err *e)
{
    struct i8254 *p = container_of(d, struct i8254, dev);

    d->env = env;
    p->ports =
        (struct region){.name = "8254", .size = 4, .ops = &ports_ops, .dev = p};
    p->port61 = (struct region){
        .name = "NMI status", .size = 1, .ops = &port61_ops, .dev = p};
    if (space_map(env->io, 0x40, &p->ports, 0) ||
        space_map(env->io, 0x61, &p->port61, 0))
        return err_set(e, LE_NOMEM, "cannot map the ports of the timer");
    timer_init(&p->timer, env->loop, edge_due, p);
    env->iochk = (struct irq){nmi_source, p, SOURCE_IOCHK};
    env->serr = (struct irq){nmi_source, p, SOURCE_SERR};
    env->nmi_mask = (struct irq){nmi_mask, p, 0};
    env->pit_mute = (struct irq){mute, p, 0};
    return 0;
}

static void i8254_detach(struct dev *d)
{
    struct i8254 *p = container_of(d, struct i8254, dev);

    env_arm(d->env, &p->timer, UINT64_MAX);
    d->env->iochk = d->env->serr = d->env->nmi_mask = (struct irq){0};
    d->env->pit_mute = (struct irq){0};
    space_unmap(&p->ports);
    space_unmap(&p->port61);
}

/* The datasheet leaves counters undefined until they are programmed. */
static void i8254_reset(struct dev *d, bool cold UNUSED)
{
    struct i8254 *p = container_of(d, struct i8254, dev);

    for (unsigned n = 0; n < COUNTERS; n++)
        p->counter[n] = (struct pit_counter){.gate = n != 2};
    p->control61 = p->nmi_status = 0;
    p->nmi_masked = false;
    p->next_edge = UINT64_MAX;
    set_irq0(p, false);
    update_nmi(p);
    arm(p, 0);
    push(p);
}

static void i8254_pause(struct dev *d)
{
    struct i8254 *p = container_of(d, struct i8254, dev);

    env_arm(d->env, &p->timer, UINT64_MAX);
    i8254_pull(p);
}

/* Given back, the engine's drops the ticks it has in store from the time of the
   pause; one that does not tick would fire once more. */
static void i8254_resume(struct dev *d)
{
    struct i8254 *p = container_of(d, struct i8254, dev);
    unsigned mode = pit_mode(&p->counter[0]);

    arm(p, 0);
    if (mode == 2 || mode == 3)
        push(p);
}

static int i8254_loaded(struct dev *d, uint16_t version UNUSED)
{
    struct i8254 *p = container_of(d, struct i8254, dev);

    for (unsigned n = 0; n < COUNTERS; n++)
        if (!pit_valid(&p->counter[n]))
            return -LE_FORMAT;
    if (p->next_edge != UINT64_MAX && p->counter[0].state != PIT_RUN)
        return -LE_FORMAT;
    arm(p, 0);
    push(p);
    return 0;
}

static const struct field i8254_state[] = {
    FIELD_SUB(struct i8254, counter, struct pit_counter, pit_counter_fields),
    FIELD64(struct i8254, next_edge),
    FIELDB(struct i8254, irq0),
    FIELD_MAX(struct i8254, control61, 8, P61_WRITABLE),
    FIELD_MAX(struct i8254, nmi_status, 8, P61_IOCHK | P61_SERR),
    FIELDB(struct i8254, nmi_masked),
    FIELDB(struct i8254, nmi),
    FIELD_END,
};

const struct dev_class i8254_class = {
    .name = "i8254",
    .summary = "interval timer and port 0x61",
    .spec = "Intel 82C54 (231244), 82371SB (PIIX3)",
    .size = sizeof(struct i8254),
    .state = i8254_state,
    .version = 1,
    .attach = i8254_attach,
    .reset = i8254_reset,
    .pause = i8254_pause,
    .resume = i8254_resume,
    .loaded = i8254_loaded,
    .detach = i8254_detach,
};
