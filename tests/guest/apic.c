/* The local APIC: timer in each mode, IPIs, priorities, x2APIC. */
#include "guest.h"

enum { TIMER = 0x40, SELF = 0x41, HIGH = 0x91, LOW = 0x51, SPURIOUS = 0xff };
enum {
    LVT_TIMER = 0x320,
    INITIAL = 0x380,
    CURRENT = 0x390,
    DIVIDE = 0x3e0,
    TPR = 0x80,
    PPR = 0xa0,
    ISR = 0x100,
    IRR = 0x200,
    ESR = 0x280
};

static volatile unsigned ticks, order, seen[256];
static bool x2;

static void on_timer(struct frame *f)
{
    (void)f;
    ticks++;
    if (x2)
        wrmsr(0x80b, 0);
    else
        lapic_eoi();
}

static void on_vector(struct frame *f)
{
    seen[f->vector] = ++order;
    if (x2)
        wrmsr(0x80b, 0);
    else
        lapic_eoi();
}

static bool ticks_within(unsigned n, int ms)
{
    while (ms-- && ticks < n)
        delay_us(1000);
    return ticks >= n;
}

static bool wait_ticks(unsigned n)
{
    return ticks_within(n, 3000);
}

static unsigned irr(unsigned vector)
{
    return lapic_read(IRR + vector / 32 * 16) >> vector % 32 & 1;
}

static unsigned isr(unsigned vector)
{
    return lapic_read(ISR + vector / 32 * 16) >> vector % 32 & 1;
}

static void timer(void)
{
    lapic_write(DIVIDE, 3); /* by 16 */
    ticks = 0;
    lapic_write(LVT_TIMER, TIMER);
    lapic_write(INITIAL, 10000);
    sti();
    check("one-shot fires", wait_ticks(1), 1);
    delay_us(20000);
    check("one-shot, only once", ticks, 1);
    check("one-shot, count at the end", lapic_read(CURRENT), 0);
    ticks = 0;
    lapic_write(LVT_TIMER, TIMER | 1 << 17);
    lapic_write(INITIAL, 10000);
    check("periodic fires five times", wait_ticks(5), 1);
    lapic_write(INITIAL, 0);
    delay_us(1000);
    ticks = 0;
    delay_us(20000);
    check("periodic stops at 0", ticks, 0);
    lapic_write(LVT_TIMER, TIMER | 1 << 16);
    lapic_write(INITIAL, 10000);
    delay_us(20000);
    check("masked", ticks, 0);
    check("masked, not pending", irr(TIMER), 0);
    lapic_write(LVT_TIMER, TIMER | 1 << 16);
    lapic_write(INITIAL, 0xffffffff);
    uint32_t a = lapic_read(CURRENT);
    delay_us(1000);
    check("counts down", lapic_read(CURRENT) < a, 1);
    lapic_write(INITIAL, 0);
    cli();
}

static void deadline(void)
{
    if (!(cpuid(1, 0).c & 1 << 24)) {
        absent("tsc deadline");
        return;
    }
    ticks = 0;
    lapic_write(LVT_TIMER, TIMER | 2 << 17);
    sti();
    wrmsr(0x6e0, rdtsc() + 1000000);
    check("tsc deadline fires", wait_ticks(1), 1);
    check("tsc deadline, zero after", rdmsr(0x6e0), 0);
    delay_us(5000);
    check("tsc deadline, only once", ticks, 1);
    wrmsr(0x6e0, rdtsc() - 1000);
    check("tsc deadline in the past", wait_ticks(2), 1);
    wrmsr(0x6e0, rdtsc() + (1ull << 40));
    wrmsr(0x6e0, 0);
    check("tsc deadline disarmed", rdmsr(0x6e0), 0);
    wrmsr(0x6e0, rdtsc() + (1ull << 40));
    uint64_t armed = rdmsr(0x6e0);
    uint64_t start = rdtsc();
    wrmsr(0x6e0, rdtsc() + 2000000);
    while (ticks < 3 && rdtsc() - start < 20000000000ull)
        pause();
    check("tsc deadline, not before", rdtsc() - start >= 2000000, 1);
    check("tsc deadline armed reads back", armed > start, 1);
    ticks = 0;
    wrmsr(0x6e0, rdtsc() + (1ull << 40));
    wrmsr(0x10, rdtsc() + (1ull << 41));
    check("tsc deadline, tsc set beyond it", ticks_within(1, 500), 1);
    wrmsr(0x6e0, rdtsc() + 20000000);
    wrmsr(0x3b, rdmsr(0x3b) - (1ull << 41));
    delay_us(50000);
    check("tsc deadline, tsc adjusted back", ticks, 1);
    wrmsr(0x3b, rdmsr(0x3b) + (1ull << 41));
    check("tsc deadline, tsc adjusted forward", ticks_within(2, 500), 1);
    wrmsr(0x3b, 0);
    lapic_write(LVT_TIMER, TIMER | 1 << 16);
    cli();
}

static void ipis(void)
{
    lapic_write(0x300, 0x44000 | SELF); /* self */
    check("self ipi pending", irr(SELF), 1);
    check("self ipi not in service", isr(SELF), 0);
    sti();
    __asm__ volatile("nop");
    cli();
    check("self ipi taken", seen[SELF], 1);
    check("self ipi done", irr(SELF) | isr(SELF), 0);

    lapic_write(0x300, 0x44000 | LOW);
    lapic_write(0x300, 0x44000 | HIGH);
    sti();
    __asm__ volatile("nop");
    cli();
    check("higher vector first", seen[HIGH] < seen[LOW], 1);
    lapic_write(TPR, 0x60);
    lapic_write(0x300, 0x44000 | LOW);
    unsigned before = order;
    sti();
    __asm__ volatile("nop");
    check("held by tpr", order - before, 0);
    check("ppr", lapic_read(PPR), 0x60);
    check("cr8 shows tpr", ({
              uint64_t v;
              __asm__ volatile("mov %%cr8, %0" : "=r"(v));
              v;
          }),
          6);
    __asm__ volatile("mov %0, %%cr8; nop" : : "r"(0ul));
    cli();
    check("released by cr8", order - before, 1);
    send_ipi(lapic_read(0x20) >> 24, 0x4000 | SELF);
    sti();
    __asm__ volatile("nop");
    cli();
    check("ipi to its own id", order - before, 2);
    lapic_write(ESR, 0);
    lapic_write(0x300, 0x44000 | 5);
    lapic_write(ESR, 0);
    check("vector 5 is an error", lapic_read(ESR), 0x20);
    lapic_write(ESR, 0);
    check("version", lapic_read(0x30) & 0xff, 0x14);
}

static void rdmsr_icr(void *arg)
{
    (void)arg;
    rdmsr(0x831); /* reserved: ICR2 does not exist */
}

static void x2apic(void)
{
    unsigned before = order;

    if (!(cpuid(1, 0).c & 1 << 21)) {
        absent("x2apic");
        return;
    }
    wrmsr(0x1b, rdmsr(0x1b) | 0xc00);
    x2 = true;
    check("x2apic id", rdmsr(0x802), 0);
    check("x2apic ldr", rdmsr(0x80d), 1);
    wrmsr(0x83f, SELF);
    sti();
    __asm__ volatile("nop");
    cli();
    check("x2apic self ipi", order - before, 1);
    wrmsr(0x830, 0x4000 | HIGH);
    sti();
    __asm__ volatile("nop");
    cli();
    check("x2apic icr", order - before, 2);
    check("x2apic, no icr2", trap_code(guard(rdmsr_icr, 0)), 0xd0000);
}

void test_main(void)
{
    handlers[TIMER] = on_timer;
    handlers[SELF] = handlers[HIGH] = handlers[LOW] = on_vector;
    handlers[SPURIOUS] = on_vector;
    lapic_enable();
    lapic_write(LVT_TIMER, 1 << 16);
    timer();
    deadline();
    ipis();
    x2apic();
}
