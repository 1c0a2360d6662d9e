#include "hw/timer/i8254_counter.h"

#include "base/bits.h"

enum { RW_LATCH, RW_LOW, RW_HIGH, RW_BOTH };
enum { STATUS_NULL = 1 << 6, STATUS_OUT = 1 << 7 };

unsigned pit_mode(const struct pit_counter *c)
{
    unsigned mode = c->control >> 1 & 7;

    return mode > 5 ? mode - 4 : mode;
}

static unsigned rw(const struct pit_counter *c)
{
    return c->control >> 4 & 3;
}

static bool bcd(const struct pit_counter *c)
{
    return c->control & 1;
}

/* Counting begins with a GATE edge, not with the count. */
static bool needs_trigger(unsigned mode)
{
    return mode == 1 || mode == 5;
}

static bool repeats(unsigned mode)
{
    return mode == 2 || mode == 3;
}

static uint32_t from_register(const struct pit_counter *c, uint16_t v)
{
    if (!bcd(c))
        return v ? v : 0x10000;

    uint32_t n =
        (v >> 12) * 1000 + (v >> 8 & 15) * 100 + (v >> 4 & 15) * 10 + (v & 15);

    return n ? n : 10000;
}

static uint16_t to_register(const struct pit_counter *c, uint32_t n)
{
    if (!bcd(c))
        return (uint16_t)n;
    n %= 10000;
    return (uint16_t)(n / 1000 << 12 | n / 100 % 10 << 8 | n / 10 % 10 << 4 |
                      n % 10);
}

/* How long OUT is high in a period of mode 3. */
static uint32_t high_half(uint32_t n)
{
    return (n + 1) / 2;
}

static uint64_t elapsed(const struct pit_counter *c, uint64_t now)
{
    if (c->state == PIT_HELD)
        return c->held;
    return c->state == PIT_RUN && now > c->start ? now - c->start : 0;
}

/* A count written during a period takes effect at its end. */
static void catch_up(struct pit_counter *c, uint64_t now)
{
    if (c->state != PIT_RUN || !c->null_count || !repeats(pit_mode(c)) ||
        now < c->load_at)
        return;

    bool low_half = false;

    if (pit_mode(c) == 3) /* at the end of either half */
        low_half = (c->load_at - c->start) % c->initial != 0;
    c->initial = c->reload;
    c->null_count = false;
    c->start = c->load_at - (low_half ? high_half(c->initial) : 0);
}

static void load(struct pit_counter *c, uint64_t now)
{
    c->initial = c->reload;
    c->null_count = false;
    c->start = now + 1; /* with the next CLK */
    c->held = 0;
    c->state = c->gate || needs_trigger(pit_mode(c)) ? PIT_RUN : PIT_HELD;
}

/* When the running period (or half, in mode 3) ends. */
static uint64_t boundary(const struct pit_counter *c, uint64_t now)
{
    uint64_t e = elapsed(c, now);
    uint64_t base = c->start + e / c->initial * c->initial;
    uint32_t half = high_half(c->initial);

    if (pit_mode(c) == 3 && e % c->initial < half)
        return base + half;
    return base + c->initial;
}

static void set_count(struct pit_counter *c, uint16_t v, uint64_t now)
{
    unsigned mode = pit_mode(c);

    c->reload = from_register(c, v);
    c->null_count = true;
    c->load_at = UINT64_MAX;
    if (needs_trigger(mode))
        return;
    if (c->state == PIT_IDLE || !repeats(mode))
        load(c, now);
    else if (c->state == PIT_RUN)
        c->load_at = boundary(c, now);
}

static uint16_t current(const struct pit_counter *c, uint64_t now)
{
    uint64_t e = elapsed(c, now), p;
    uint32_t n = c->initial;

    if (c->state == PIT_IDLE || !n)
        return to_register(c, n);
    p = e % n;
    switch (pit_mode(c)) {
    case 2: return to_register(c, n - (uint32_t)p);
    case 3:
        if (p >= high_half(n))
            p -= high_half(n);
        return to_register(c, (n & ~1u) - 2 * (uint32_t)p);
    default: /* counts on through 0 */
        if (!bcd(c))
            return (uint16_t)(n - e);
        return to_register(c, (uint32_t)((n + 10000 - e % 10000) % 10000));
    }
}

bool pit_out(struct pit_counter *c, uint64_t now)
{
    unsigned mode = pit_mode(c);
    uint64_t e;

    catch_up(c, now);
    e = elapsed(c, now);
    if (c->state == PIT_IDLE)
        return mode != 0;
    switch (mode) {
    case 0: return e >= c->initial;
    case 1: return e >= c->initial || now < c->start;
    case 2: return c->state == PIT_HELD || e % c->initial != c->initial - 1;
    case 3:
        return c->state == PIT_HELD || e % c->initial < high_half(c->initial);
    default: return e != c->initial; /* 4, 5: one CLK low */
    }
}

uint64_t pit_next_rise(struct pit_counter *c, uint64_t now)
{
    unsigned mode = pit_mode(c);
    uint64_t at;

    catch_up(c, now);
    if (c->state != PIT_RUN)
        return UINT64_MAX;
    if (!repeats(mode)) {
        at = c->start + c->initial + (mode >= 4);
        return at > now ? at : UINT64_MAX;
    }
    at = c->start + (elapsed(c, now) / c->initial + 1) * c->initial;
    /* A new count comes in at the fall in between. */
    if (c->null_count && c->load_at < at)
        at = c->load_at + c->reload - high_half(c->reload);
    return at;
}

void pit_control(struct pit_counter *c, uint8_t v, uint64_t now)
{
    if (c->state != PIT_IDLE) /* what a read shows until the count comes */
        c->initial = from_register(c, current(c, now));
    c->control = v & 0x3f;
    c->state = PIT_IDLE;
    c->reload = 0;
    c->null_count = true;
    c->write_high = c->read_high = c->status_latched = false;
    c->latched = 0;
}

void pit_write(struct pit_counter *c, uint8_t v, uint64_t now)
{
    catch_up(c, now);
    switch (rw(c)) {
    case RW_LOW: set_count(c, v, now); break;
    case RW_HIGH: set_count(c, (uint16_t)(v << 8), now); break;
    case RW_BOTH:
        if (c->write_high) {
            set_count(c, (uint16_t)(v << 8 | c->low_byte), now);
        } else {
            c->low_byte = v;
            /* Mode 0 stands still, OUT low, between the bytes. */
            if (pit_mode(c) == 0 && c->state != PIT_IDLE) {
                c->initial = from_register(c, current(c, now));
                c->state = PIT_IDLE;
            }
        }
        c->write_high = !c->write_high;
        break;
    default: break; /* no control word yet */
    }
}

static uint8_t read_byte(struct pit_counter *c, uint16_t v)
{
    switch (rw(c)) {
    case RW_HIGH: return v >> 8;
    case RW_BOTH:
        c->read_high = !c->read_high;
        return c->read_high ? v & 0xff : v >> 8;
    default: return v & 0xff;
    }
}

uint8_t pit_read(struct pit_counter *c, uint64_t now)
{
    if (c->status_latched) {
        c->status_latched = false;
        return c->status;
    }
    if (c->latched) {
        c->latched--;
        return read_byte(c, c->latch);
    }
    catch_up(c, now);
    return read_byte(c, current(c, now));
}

void pit_latch_count(struct pit_counter *c, uint64_t now)
{
    if (c->latched)
        return;
    catch_up(c, now);
    c->latch = current(c, now);
    c->latched = rw(c) == RW_BOTH ? 2 : 1;
    c->read_high = false;
}

void pit_latch_status(struct pit_counter *c, uint64_t now)
{
    if (c->status_latched)
        return;
    c->status = c->control;
    if (pit_out(c, now))
        c->status |= STATUS_OUT;
    if (c->null_count || (c->state == PIT_RUN && now < c->start))
        c->status |= STATUS_NULL;
    c->status_latched = true;
}

void pit_gate(struct pit_counter *c, bool level, uint64_t now)
{
    unsigned mode = pit_mode(c);

    if (c->gate == level)
        return;
    catch_up(c, now);
    c->gate = level;
    if (!level) {
        if (c->state != PIT_RUN || needs_trigger(mode))
            return;
        c->held = (uint32_t)MIN(elapsed(c, now), UINT32_MAX);
        c->state = PIT_HELD;
        c->load_at = UINT64_MAX;
    } else if (needs_trigger(mode)) {
        if (c->reload)
            load(c, now);
    } else if (c->state == PIT_HELD) {
        if (repeats(mode)) {
            load(c, now);
        } else {
            c->start = now - c->held;
            c->state = PIT_RUN;
        }
    }
}

bool pit_valid(const struct pit_counter *c)
{
    return c->initial <= 0x10000 && c->reload <= 0x10000 &&
           (c->state == PIT_IDLE || (c->initial && c->reload)) &&
           c->control <= 0x3f;
}

void pit_take(struct pit_counter *c, const struct pit_regs *r, uint64_t age,
              uint64_t now)
{
    *c = (struct pit_counter){
        .control = r->control & 0x3f,
        .gate = r->gate,
        .initial = MIN(MAX(r->count, 1), 0x10000),
        .write_high = r->write_high,
        .read_high = r->read_high,
        .low_byte = r->low_byte,
        .latched = MIN(r->latched, 2),
        .latch = r->latch,
        .status_latched = r->status_latched,
        .status = r->status,
    };
    c->reload = c->initial;
    age = MIN(age, now);
    if (!rw(c)) {
        c->state = PIT_IDLE;
        c->initial = c->reload = 0;
    } else if (c->gate || needs_trigger(pit_mode(c))) {
        c->state = PIT_RUN;
        c->start = now - age;
    } else {
        c->state = PIT_HELD;
        c->held = (uint32_t)MIN(age, UINT32_MAX);
    }
}

struct pit_regs pit_give(const struct pit_counter *c)
{
    return (struct pit_regs){
        .count = c->reload ? c->reload : 0x10000,
        .control = c->control,
        .gate = c->gate,
        .write_high = c->write_high,
        .read_high = c->read_high,
        .low_byte = c->low_byte,
        .latched = c->latched,
        .latch = c->latch,
        .status_latched = c->status_latched,
        .status = c->status,
    };
}

const struct field pit_counter_fields[] = {
    FIELD_MAX(struct pit_counter, control, 8, 0x3f),
    FIELDB(struct pit_counter, gate),
    FIELD_MAX(struct pit_counter, state, 8, PIT_HELD),
    FIELD_MAX(struct pit_counter, initial, 32, 0x10000),
    FIELD_MAX(struct pit_counter, reload, 32, 0x10000),
    FIELDB(struct pit_counter, null_count),
    FIELD64(struct pit_counter, start),
    FIELD64(struct pit_counter, load_at),
    FIELD32(struct pit_counter, held),
    FIELDB(struct pit_counter, write_high),
    FIELDB(struct pit_counter, read_high),
    FIELD8(struct pit_counter, low_byte),
    FIELD_MAX(struct pit_counter, latched, 8, 2),
    FIELD16(struct pit_counter, latch),
    FIELDB(struct pit_counter, status_latched),
    FIELD8(struct pit_counter, status),
    FIELD_END,
};
