/*
 * The clock runs with the host's wall clock and an offset that follows what
 * the guest sets. While it runs its registers are worked out when they are
 * read; while it stands (SET, or the divider in reset) they are in ram[].
 * Flags of register C are worked out when somebody looks, or by a timer when
 * their interrupt is enabled. DSE and SQWE are kept and do nothing: there is
 * no square-wave pin, and PCs do not use the daylight rule.
 */
#include "hw/timer/mc146818.h"

#include "base/bits.h"
#include "hw/timer/mc146818_time.h"
#include "hw/timer/rate.h"

enum {
    A_RS = 0x0f,
    A_DV = 0x70,
    A_DV_RUN = 0x20,
    A_UIP = 0x80,
    C_UF = 1 << 4,
    C_AF = 1 << 5,
    C_PF = 1 << 6,
    C_IRQF = 1 << 7,
    C_FLAGS = C_UF | C_AF | C_PF,
    D_VRT = 0x80,
    NMI_OFF = 0x80,
};

#define NS         ((int64_t)NS_PER_SEC)
#define CRYSTAL_HZ 32768ull
/* UIP rises this long before the registers change: t_BUC + t_UC. */
#define UIP_NS ((244 + 1984) * 1000ll)
/* The wall clock may be set: look again after this long at the latest. */
#define MAX_WAIT_S 60
/* Periodic interrupts the guest was too slow for are made up for, so far. */
#define MAX_LATE_S 1

struct mc146818 {
    struct dev dev;
    struct region ports;
    uint8_t index[2];
    uint8_t ram[128], extended[128];
    /* Clock = wall clock + phase ns, whole seconds of that + offset_s. */
    int64_t offset_s;
    uint32_t phase;
    uint8_t dow_shift;
    int64_t seen;        /* second up to which UF and AF are worked out */
    uint64_t next_cycle; /* of the periodic interrupt */
    struct timer update_timer, periodic_timer;
};

static bool divider_on(const struct mc146818 *p)
{
    return (p->ram[RTC_A] & A_DV) <= A_DV_RUN;
}

static bool running(const struct mc146818 *p)
{
    return divider_on(p) && !(p->ram[RTC_B] & B_SET);
}

/* The clock's seconds; *frac: ns into the second. */
static int64_t rtc_now(const struct mc146818 *p, int64_t *frac)
{
    int64_t x = env_wall_now(p->dev.env) + (int64_t)p->phase;
    int64_t s = x / NS, rest = x % NS;

    if (rest < 0) {
        rest += NS;
        s--;
    }
    if (frac)
        *frac = rest;
    return s + p->offset_s;
}

/* Registers from the clock, and the clock from registers. */
static void to_registers(struct mc146818 *p)
{
    rtc_encode(p->ram, rtc_now(p, NULL), p->dow_shift);
}

static void from_registers(struct mc146818 *p)
{
    unsigned shift;

    p->offset_s += rtc_decode(p->ram, &shift) - rtc_now(p, NULL);
    p->dow_shift = (uint8_t)shift;
    p->seen = rtc_now(p, NULL);
}

/* Periodic interrupt: crystal cycles in a period; 0: none. */
static uint64_t period(const struct mc146818 *p)
{
    unsigned rs = p->ram[RTC_A] & A_RS;

    if (!rs || !divider_on(p))
        return 0;
    return rs < 3 ? 1u << (rs + 6) : 1u << (rs - 1);
}

static uint64_t cycle_now(const struct mc146818 *p)
{
    return ns_ticks(env_now(p->dev.env), CRYSTAL_HZ) / period(p);
}

static void restart_periodic(struct mc146818 *p)
{
    p->next_cycle = period(p) ? cycle_now(p) + 1 : 0;
}

static void work_out_update(struct mc146818 *p)
{
    int64_t now = rtc_now(p, NULL);
    unsigned alarm;

    if (running(p) && now > p->seen) {
        p->ram[RTC_C] |= C_UF;
        alarm = rtc_until_alarm(p->ram, p->seen);
        if (alarm && alarm <= now - p->seen)
            p->ram[RTC_C] |= C_AF;
    }
    p->seen = now;
}

static void work_out_periodic(struct mc146818 *p)
{
    uint64_t now;

    if (!period(p) || (now = cycle_now(p)) < p->next_cycle)
        return;
    if (!(p->ram[RTC_B] & B_PIE)) {
        p->ram[RTC_C] |= C_PF;
        p->next_cycle = now + 1;
        return;
    }
    if (p->ram[RTC_C] & C_PF) /* not served yet: the rest waits */
        return;
    p->ram[RTC_C] |= C_PF;
    if (now - p->next_cycle > MAX_LATE_S * CRYSTAL_HZ / period(p))
        p->next_cycle = now;
    p->next_cycle++;
}

static void drive(struct mc146818 *p)
{
    struct env *env = p->dev.env;
    const struct irq *line =
        env->rtc_irq8.set ? &env->rtc_irq8 : &env->isa_irq[8];
    bool was = p->ram[RTC_C] & C_IRQF;
    bool irq = p->ram[RTC_B] & p->ram[RTC_C] & C_FLAGS;

    if (irq == was)
        return;
    p->ram[RTC_C] ^= C_IRQF;
    irq_set(line, irq);
    irq_set(&env->rtc_event, irq);
}

static void arm_update(struct mc146818 *p)
{
    struct env *env = p->dev.env;
    uint8_t wants = p->ram[RTC_B] & ~p->ram[RTC_C];
    int64_t frac, wait = INT64_MAX;
    unsigned alarm;

    if (!running(p))
        wants = 0;
    rtc_now(p, &frac);
    if (wants & B_UIE)
        wait = 1;
    if ((wants & B_AIE) && (alarm = rtc_until_alarm(p->ram, p->seen)))
        wait = MIN(wait, (int64_t)MIN(alarm, MAX_WAIT_S));
    if (wait == INT64_MAX)
        env_arm(env, &p->update_timer, UINT64_MAX);
    else
        env_arm(env, &p->update_timer,
                env_now(env) + (uint64_t)(wait * NS - frac));
}

static void arm_periodic(struct mc146818 *p)
{
    struct env *env = p->dev.env;
    uint64_t at = UINT64_MAX;

    if (period(p) && (p->ram[RTC_B] & B_PIE) && !(p->ram[RTC_C] & C_PF)) {
        at = ticks_ns(p->next_cycle * period(p), CRYSTAL_HZ);
        if (at <= env_now(env)) /* late */
            at = env_now(env) + ticks_ns(period(p) / 4, CRYSTAL_HZ);
    }
    env_arm(env, &p->periodic_timer, at);
}

static void work_out(struct mc146818 *p)
{
    work_out_update(p);
    work_out_periodic(p);
    drive(p);
}

static void rearm(struct mc146818 *p)
{
    arm_update(p);
    arm_periodic(p);
}

static void timer_due(void *ctx)
{
    work_out(ctx);
    rearm(ctx);
}

static bool is_time(unsigned r)
{
    return r == RTC_SECONDS || r == RTC_MINUTES || r == RTC_HOURS ||
           (r >= RTC_DAY_OF_WEEK && r <= RTC_YEAR) || r == RTC_CENTURY;
}

static uint8_t read_a(const struct mc146818 *p)
{
    int64_t frac;

    rtc_now(p, &frac);
    return p->ram[RTC_A] | (running(p) && frac >= NS - UIP_NS ? A_UIP : 0);
}

static uint8_t rtc_read(struct mc146818 *p, unsigned r)
{
    uint8_t v;

    switch (r) {
    case RTC_A: return read_a(p);
    case RTC_C:
        work_out(p);
        v = p->ram[RTC_C];
        p->ram[RTC_C] &= C_IRQF;
        drive(p);
        rearm(p);
        return v;
    default:
        if (is_time(r) && running(p))
            to_registers(p);
        return p->ram[r];
    }
}

/* What changes how the clock runs or how its registers are to be read. */
static void write_control(struct mc146818 *p, unsigned r, uint8_t v)
{
    bool was_on = divider_on(p);

    if (running(p))
        to_registers(p);
    p->ram[r] = v;
    if (!was_on && divider_on(p)) {
        int64_t frac;

        /* The first update comes half a second after the divider starts. */
        rtc_now(p, &frac);
        p->phase = (uint32_t)((p->phase + NS + NS / 2 - frac) % NS);
    }
    if (running(p))
        from_registers(p);
}

static void write_a(struct mc146818 *p, uint8_t v)
{
    uint8_t old = p->ram[RTC_A];

    write_control(p, RTC_A, v & ~A_UIP);
    if ((old ^ p->ram[RTC_A]) & (A_RS | A_DV))
        restart_periodic(p);
}

static void write_b(struct mc146818 *p, uint8_t v)
{
    if ((v & B_PIE) && !(p->ram[RTC_B] & B_PIE))
        restart_periodic(p);
    if ((v & B_SET) && !(p->ram[RTC_B] & B_SET))
        v &= ~B_UIE;
    write_control(p, RTC_B, v);
}

static void rtc_write(struct mc146818 *p, unsigned r, uint8_t v)
{
    work_out(p); /* by the old settings */
    switch (r) {
    case RTC_A: write_a(p, v); break;
    case RTC_B: write_b(p, v); break;
    case RTC_C:
    case RTC_D: return;
    default:
        if (!is_time(r) || !running(p)) {
            p->ram[r] = v;
        } else {
            to_registers(p);
            p->ram[r] = v;
            from_registers(p);
        }
    }
    if (r <= RTC_B || r == RTC_CENTURY) {
        drive(p);
        rearm(p);
    }
}

enum { INDEX, DATA, EXT_INDEX, EXT_DATA };

static uint64_t ports_read(void *dev, uint64_t off, unsigned bytes UNUSED)
{
    struct mc146818 *p = dev;

    switch (off) {
    case DATA: return rtc_read(p, p->index[0]);
    case EXT_INDEX: return p->index[1];
    case EXT_DATA: return p->extended[p->index[1]];
    default: return 0xff; /* 0x70 is write-only */
    }
}

static void ports_write(void *dev, uint64_t off, uint64_t v,
                        unsigned bytes UNUSED)
{
    struct mc146818 *p = dev;

    switch (off) {
    case INDEX:
        p->index[0] = v & 0x7f;
        irq_set(&p->dev.env->nmi_mask, v & NMI_OFF);
        break;
    case DATA: rtc_write(p, p->index[0], (uint8_t)v); break;
    case EXT_INDEX: p->index[1] = v & 0x7f; break;
    case EXT_DATA: p->extended[p->index[1]] = (uint8_t)v; break;
    default: break;
    }
}

static const struct region_ops ports_ops = {ports_read, ports_write, 1, 1};

/* The sum of 0x10–0x2d, as a BIOS checks it. */
static void set_checksum(struct mc146818 *p)
{
    unsigned sum = 0;

    for (unsigned i = 0x10; i <= 0x2d; i++)
        sum += p->ram[i];
    p->ram[0x2e] = (uint8_t)(sum >> 8);
    p->ram[0x2f] = (uint8_t)sum;
}

void mc146818_set_cmos(struct dev *d, uint8_t address, uint8_t value)
{
    struct mc146818 *p = container_of(d, struct mc146818, dev);

    if (address < RTC_RAM || address > 0x7f || address == RTC_CENTURY)
        return;
    p->ram[address] = value;
    set_checksum(p);
}

static void set_word(struct mc146818 *p, unsigned at, uint64_t v)
{
    v = MIN(v, 0xffff);
    p->ram[at] = (uint8_t)v;
    p->ram[at + 1] = (uint8_t)(v >> 8);
}

/* Memory sizes and the rest where a PC BIOS looks for them. */
static void fill_cmos(struct mc146818 *p)
{
    const struct env *env = p->dev.env;
    const uint64_t mb = 1 << 20;
    uint64_t low = env->ram_low;

    p->ram[0x14] = 0x06; /* equipment: FPU, mouse port */
    set_word(p, 0x15, 640);
    set_word(p, 0x17, low > mb ? (low - mb) >> 10 : 0);
    set_word(p, 0x30, low > mb ? (low - mb) >> 10 : 0);
    set_word(p, 0x34, low > 16 * mb ? (low - 16 * mb) >> 16 : 0);
    set_word(p, 0x5b, (env->ram_high >> 16) & 0xffff);
    p->ram[0x5d] = (uint8_t)(env->ram_high >> 32);
    p->ram[0x5f] = (uint8_t)(env->ncpus - 1);
    set_checksum(p);
}

static int mc146818_attach(struct dev *d, struct env *env, struct err *e)
{
    struct mc146818 *p = container_of(d, struct mc146818, dev);

    d->env = env;
    p->ports =
        (struct region){.name = "RTC", .size = 4, .ops = &ports_ops, .dev = p};
    if (space_map(env->io, 0x70, &p->ports, 0))
        return err_set(e, LE_NOMEM, "cannot map the ports of the clock");
    timer_init(&p->update_timer, env->loop, timer_due, p);
    timer_init(&p->periodic_timer, env->loop, timer_due, p);
    fill_cmos(p);
    p->ram[RTC_A] = A_DV_RUN | 6;
    p->ram[RTC_B] = B_24H;
    p->ram[RTC_D] = D_VRT;
    return 0;
}

static void mc146818_pause(struct dev *d)
{
    struct mc146818 *p = container_of(d, struct mc146818, dev);

    env_arm(d->env, &p->update_timer, UINT64_MAX);
    env_arm(d->env, &p->periodic_timer, UINT64_MAX);
}

static void mc146818_resume(struct dev *d)
{
    timer_due(container_of(d, struct mc146818, dev));
}

static void mc146818_detach(struct dev *d)
{
    struct mc146818 *p = container_of(d, struct mc146818, dev);

    mc146818_pause(d);
    space_unmap(&p->ports);
}

/* Memory, time and register A live on a battery. */
static void mc146818_reset(struct dev *d, bool cold UNUSED)
{
    struct mc146818 *p = container_of(d, struct mc146818, dev);

    p->ram[RTC_B] &= ~(B_PIE | B_AIE | B_UIE | B_SQWE);
    p->ram[RTC_C] &= C_IRQF;
    drive(p);
    p->index[0] = p->index[1] = 0;
    p->seen = rtc_now(p, NULL);
    restart_periodic(p);
    rearm(p);
}

static int mc146818_loaded(struct dev *d, uint16_t version UNUSED)
{
    struct mc146818 *p = container_of(d, struct mc146818, dev);
    /* Two binary bytes of year count up to 25,755. */
    const int64_t longest = 30000ll * 366 * SECONDS_PER_DAY;

    if ((p->ram[RTC_A] & A_UIP) || (p->ram[RTC_C] & 0x0f) ||
        p->ram[RTC_D] != D_VRT || p->offset_s > longest ||
        p->offset_s < -longest)
        return -LE_FORMAT;
    if (period(p) && p->next_cycle > cycle_now(p) + 1)
        return -LE_FORMAT;
    p->seen = rtc_now(p, NULL);
    rearm(p);
    return 0;
}

static const struct field mc146818_state[] = {
    FIELD_MAX(struct mc146818, index, 8, 0x7f),
    FIELD_RAW(struct mc146818, ram),
    FIELD_RAW(struct mc146818, extended),
    {"offset_s", offsetof(struct mc146818, offset_s), FIELD_U64, 1, 1, 0, 0,
     NULL},
    FIELD_MAX(struct mc146818, phase, 32, NS_PER_SEC - 1),
    FIELD_MAX(struct mc146818, dow_shift, 8, 6),
    FIELD64(struct mc146818, next_cycle),
    FIELD_END,
};

const struct dev_class mc146818_class = {
    .name = "mc146818",
    .summary = "real-time clock and CMOS memory",
    .spec = "Motorola MC146818A, 82371SB (PIIX3)",
    .size = sizeof(struct mc146818),
    .state = mc146818_state,
    .version = 1,
    .attach = mc146818_attach,
    .reset = mc146818_reset,
    .pause = mc146818_pause,
    .resume = mc146818_resume,
    .loaded = mc146818_loaded,
    .detach = mc146818_detach,
};
