/*
 * The local APIC's registers: by memory (xAPIC) and by MSR (x2APIC), and
 * IA32_APIC_BASE, IA32_TSC_DEADLINE.
 */
#include "hw/intc/lapic_int.h"

enum {
    MSR_APIC_BASE = 0x1b,
    MSR_TSC_DEADLINE = 0x6e0,
    MSR_X2APIC = 0x800,
    MSR_X2APIC_LAST = 0x8ff
};

/* Integrated APIC, six LVT entries, can suppress EOI broadcasts. */
#define VERSION (0x14u | (LVT_COUNT - 1) << 16 | 1u << 24)

#define ICR_BITS 0xccfffu /* delivery status reads as idle */
enum { ICR_BUSY = 1 << 12, ICR_TO_SELF = 1 << 18 };

/* Which registers there are, and the bits of an MSR write that may be set. */
enum { READ = 1, WRITE = 2, XAPIC_ONLY = 4, X2APIC_ONLY = 8 };
static const struct {
    uint8_t access;
    uint32_t bits;
} regs[R_COUNT] = {
    [R_ID] = {READ | WRITE, 0},
    [R_VERSION] = {READ, 0},
    [R_TPR] = {READ | WRITE, 0xff},
    [R_APR] = {READ | XAPIC_ONLY, 0},
    [R_PPR] = {READ, 0},
    [R_EOI] = {WRITE, 0},
    [R_RRD] = {READ | XAPIC_ONLY, 0},
    [R_LDR] = {READ | WRITE, 0},
    [R_DFR] = {READ | WRITE | XAPIC_ONLY, 0},
    [R_SVR] = {READ | WRITE, SVR_MASK},
    [R_ISR... R_ISR + 7] = {READ, 0},
    [R_TMR... R_TMR + 7] = {READ, 0},
    [R_IRR... R_IRR + 7] = {READ, 0},
    [R_ESR] = {READ | WRITE, 0},
    [R_ICR] = {READ | WRITE, ICR_BITS | ICR_BUSY},
    [R_ICR_HIGH] = {READ | WRITE | XAPIC_ONLY, 0},
    [R_LVT... R_LVT + LVT_COUNT - 1] = {READ | WRITE, 0},
    [R_INITIAL] = {READ | WRITE, ~0u},
    [R_CURRENT] = {READ, 0},
    [R_DCR] = {READ | WRITE, 0xb},
    [R_SELF_IPI] = {WRITE | X2APIC_ONLY, 0xff},
};

static uint32_t read_id(const struct lapic *l)
{
    return lapic_x2(l) ? l->cpu : l->id << 24;
}

static uint32_t read_ldr(const struct lapic *l)
{
    return lapic_x2(l) ? (l->cpu >> 4) << 16 | BIT(l->cpu & 15) : l->ldr;
}

static uint32_t reg_read(struct lapic *l, unsigned r)
{
    switch (r) {
    case R_ID: return read_id(l);
    case R_VERSION: return VERSION;
    case R_TPR: return l->tpr;
    case R_APR: return lapic_apr(l);
    case R_PPR: return lapic_ppr(l);
    case R_LDR: return read_ldr(l);
    case R_DFR: return l->dfr;
    case R_SVR: return l->svr;
    case R_ISR ... R_ISR + 7: return l->isr.word[r - R_ISR];
    case R_TMR ... R_TMR + 7: return l->tmr[r - R_TMR];
    case R_IRR ... R_IRR + 7: return l->irr.word[r - R_IRR];
    case R_ESR: return l->esr;
    case R_ICR: return (uint32_t)l->icr;
    case R_ICR_HIGH: return l->icr >> 32;
    case R_LVT ... R_LVT + LVT_COUNT - 1: return l->lvt[r - R_LVT];
    case R_INITIAL: return l->initial_count;
    case R_CURRENT: return lapic_timer_current(l);
    case R_DCR: return l->dcr;
    default: return 0;
    }
}

static void write_svr(struct lapic *l, uint32_t v)
{
    l->svr = v & SVR_MASK;
    if (!(v & SVR_ENABLE))
        for (unsigned n = 0; n < LVT_COUNT; n++)
            l->lvt[n] |= LVT_MASKED;
    lapic_update(l); /* ExtINT follows the mask */
}

static void write_lvt(struct lapic *l, enum lvt n, uint32_t v)
{
    v &= lapic_lvt_mask(l, n);
    if (!(l->svr & SVR_ENABLE))
        v |= LVT_MASKED;
    if (n == LVT_TIMER) {
        lapic_timer_set_lvt(l, v);
        return;
    }
    if (v & LVT_LEVEL)
        v |= l->lvt[n] & LVT_REMOTE_IRR;
    l->lvt[n] = v;
    if (n == LVT_LINT0 || n == LVT_LINT1)
        lapic_lint_changed(l, n - LVT_LINT0);
}

static void write_tpr(struct lapic *l, uint8_t v)
{
    if (l->tpr == v)
        return;
    l->tpr = v;
    lapic_update(l);
}

static void write_id(struct lapic *l, uint8_t id)
{
    l->id = id;
    if (l->id != l->cpu)
        l->bus->ids_changed = true;
}

static void write_icr(struct lapic *l, uint32_t low, uint32_t high)
{
    l->icr = (uint64_t)high << 32 | (low & ICR_BITS);
    lapic_send(l, low, high);
}

static void reg_write(struct lapic *l, unsigned r, uint32_t v)
{
    switch (r) {
    case R_ID: write_id(l, v >> 24); break;
    case R_TPR: write_tpr(l, (uint8_t)v); break;
    case R_EOI: lapic_eoi(l); break;
    case R_LDR: l->ldr = v & 0xff000000; break;
    case R_DFR: l->dfr = v | 0x0fffffff; break;
    case R_SVR: write_svr(l, v); break;
    case R_ESR:
        l->esr = l->esr_pending;
        l->esr_pending = 0;
        break;
    case R_ICR: write_icr(l, v, l->icr >> 32); break;
    case R_ICR_HIGH:
        l->icr = (uint32_t)l->icr | (uint64_t)(v & 0xff000000) << 32;
        break;
    case R_LVT ... R_LVT + LVT_COUNT - 1: write_lvt(l, r - R_LVT, v); break;
    case R_INITIAL: lapic_timer_set_initial(l, v); break;
    case R_DCR: lapic_timer_set_dcr(l, v); break;
    case R_SELF_IPI: lapic_send(l, ICR_TO_SELF | (v & 0xff), 0); break;
    default: break;
    }
}

static bool in_page(struct lapic *l, uint32_t off)
{
    unsigned r = off >> 4;

    if (r < R_COUNT && (regs[r].access & (READ | WRITE)) &&
        !(regs[r].access & X2APIC_ONLY))
        return true;
    lapic_error(l, ESR_ILLEGAL_REG);
    return false;
}

static uint32_t page_read(void *intc, uint32_t off)
{
    struct lapic *l = intc;

    if (!lapic_on(l) || lapic_x2(l))
        return ~0u;
    if ((off & 15) || !in_page(l, off))
        return 0;
    return reg_read(l, off >> 4);
}

static void page_write(void *intc, uint32_t off, uint32_t v)
{
    struct lapic *l = intc;

    if (!lapic_on(l) || lapic_x2(l) || (off & 15) || !in_page(l, off))
        return;
    if (regs[off >> 4].access & WRITE)
        reg_write(l, off >> 4, v);
}

static bool x2_has(const struct lapic *l, unsigned r, unsigned access)
{
    return lapic_on(l) && lapic_x2(l) && r < R_COUNT &&
           (regs[r].access & access) && !(regs[r].access & XAPIC_ONLY);
}

static bool x2_read(struct lapic *l, unsigned r, uint64_t *v)
{
    if (!x2_has(l, r, READ))
        return false;
    *v = r == R_ICR ? l->icr : reg_read(l, r);
    return true;
}

static bool x2_write(struct lapic *l, unsigned r, uint64_t v)
{
    uint32_t allowed;

    if (!x2_has(l, r, WRITE) || r == R_ID || r == R_LDR)
        return false;
    allowed = regs[r].bits;
    if (r >= R_LVT && r < R_LVT + LVT_COUNT)
        allowed = lapic_lvt_mask(l, r - R_LVT) | LVT_STATUS | LVT_REMOTE_IRR;
    if ((uint32_t)v & ~allowed || (r != R_ICR && v >> 32))
        return false;
    if (r == R_ICR)
        write_icr(l, (uint32_t)v, v >> 32);
    else
        reg_write(l, r, (uint32_t)v);
    return true;
}

/* SDM, "x2APIC States and Transitions". */
static bool transition_valid(uint64_t from, uint64_t to)
{
    from &= BASE_MODE;
    to &= BASE_MODE;
    if (to == BASE_EXTD)
        return false;
    if (from == BASE_MODE)
        return to != BASE_EN;
    return from == BASE_EN || to != BASE_MODE;
}

static bool write_base(struct lapic *l, uint64_t v)
{
    uint64_t old = l->apic_base;

    if (!lapic_base_valid(l, v) || !transition_valid(old, v))
        return false;
    l->apic_base = v;
    if ((old & BASE_EN) && !(v & BASE_EN)) {
        l->id = l->cpu;
        lapic_init_state(l);
    }
    if (!(old & BASE_EXTD) && (v & BASE_EXTD))
        l->icr &= 0xffffffff;
    lapic_update(l);
    return true;
}

static bool read_msr(void *intc, uint32_t msr, uint64_t *v)
{
    struct lapic *l = intc;

    switch (msr) {
    case MSR_APIC_BASE: *v = l->apic_base; return true;
    case MSR_TSC_DEADLINE: *v = l->tsc_deadline; return l->has_deadline;
    case MSR_X2APIC ... MSR_X2APIC_LAST: return x2_read(l, msr - MSR_X2APIC, v);
    default: return false;
    }
}

static bool write_msr(void *intc, uint32_t msr, uint64_t v)
{
    struct lapic *l = intc;

    switch (msr) {
    case MSR_APIC_BASE: return write_base(l, v);
    case MSR_TSC_DEADLINE:
        if (l->has_deadline)
            lapic_timer_set_deadline(l, v);
        return l->has_deadline;
    case MSR_X2APIC ... MSR_X2APIC_LAST:
        return x2_write(l, msr - MSR_X2APIC, v);
    default: return false;
    }
}

static int cpu_ack(void *intc)
{
    return lapic_ack(intc);
}

static uint8_t get_tpr(void *intc)
{
    return (uint8_t)((struct lapic *)intc)->tpr;
}

static void set_tpr(void *intc, uint8_t tpr)
{
    write_tpr(intc, tpr);
}

/* The pin of CPU 0 alone is connected. */
static bool cpu_ferr(void *intc, bool on)
{
    const struct lapic *l = intc;
    const struct ferr_sink *sink = &l->dev.env->ferr;

    return l->cpu || !sink->set || sink->set(sink->ctx, on);
}

static void cpu_eoi(void *intc, uint8_t vector)
{
    const struct eoi_sink *sink = &((struct lapic *)intc)->dev.env->eoi;

    if (sink->eoi)
        sink->eoi(sink->ctx, vector);
}

const struct intc_cpu_ops lapic_cpu_ops = {
    .ack = cpu_ack,
    .get_tpr = get_tpr,
    .set_tpr = set_tpr,
    .read = page_read,
    .write = page_write,
    .read_msr = read_msr,
    .write_msr = write_msr,
    .ferr = cpu_ferr,
    .eoi = cpu_eoi,
};
