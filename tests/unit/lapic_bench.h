/*
 * Local APICs on a fake environment: registers, CPUs, a TSC; for tests of
 * hw/intc/lapic*.c against the SDM.
 */
#ifndef TESTS_LAPIC_BENCH_H
#define TESTS_LAPIC_BENCH_H

#include "fake_env.h"

#include "hw/intc/lapic.h"

extern const struct dev_class ioapic_class, i8259_class;

enum {
    ID = 0x20,
    VER = 0x30,
    TPR = 0x80,
    APR = 0x90,
    PPR = 0xa0,
    EOI = 0xb0,
    LDR = 0xd0,
    DFR = 0xe0,
    SVR = 0xf0,
    ISR = 0x100,
    TMR = 0x180,
    IRR = 0x200,
    ESR = 0x280,
    ICR = 0x300,
    ICR2 = 0x310,
    LVTT = 0x320,
    LVTTHERM = 0x330,
    LVTPC = 0x340,
    LVT0 = 0x350,
    LVT1 = 0x360,
    LVTERR = 0x370,
    TMICT = 0x380,
    TMCCT = 0x390,
    TDCR = 0x3e0
};
enum { MSR_BASE = 0x1b, MSR_DEADLINE = 0x6e0 };
#define MASK 0x10000u
#define BSP  0x100u
#define EXTD 0x400u
#define EN   0x800u
#define BASE 0xfee00000u

static struct fake *f;
static struct dev *apic[FAKE_CPUS];
static const struct intc_cpu_ops *ops = &lapic_cpu_ops;

/* TSC: 2 ticks a ns, 0 at time 0, and set back on some CPU. */
static uint64_t tsc_behind[FAKE_CPUS];

static inline uint64_t tsc_to_ns(void *ctx UNUSED, unsigned cpu, uint64_t tsc)
{
    return (tsc + tsc_behind[cpu] + 1) / 2;
}

static inline void make(unsigned ncpus)
{
    f = fake_new(ncpus);
    f->env.tsc = (struct tsc_clock){tsc_to_ns, NULL};
    memset(tsc_behind, 0, sizeof tsc_behind);
    for (unsigned n = 0; n < ncpus; n++) {
        apic[n] = fake_make(&lapic_class);
        fake_set_u32(apic[n], "cpu", n);
        fake_attach(f, apic[n]);
    }
}

static inline uint32_t rd(unsigned cpu, uint32_t off)
{
    return ops->read(lapic_ctx(apic[cpu]), off);
}

static inline void wr(unsigned cpu, uint32_t off, uint32_t v)
{
    ops->write(lapic_ctx(apic[cpu]), off, v);
}

static inline bool rdmsr(unsigned cpu, uint32_t msr, uint64_t *v)
{
    return ops->read_msr(lapic_ctx(apic[cpu]), msr, v);
}

static inline bool wrmsr(unsigned cpu, uint32_t msr, uint64_t v)
{
    return ops->write_msr(lapic_ctx(apic[cpu]), msr, v);
}

static inline uint64_t msr(unsigned cpu, uint32_t n)
{
    uint64_t v = 0;

    assert_true(rdmsr(cpu, n, &v));
    return v;
}

static inline int ack(unsigned cpu)
{
    return ops->ack(lapic_ctx(apic[cpu]));
}

static inline bool in(unsigned cpu, uint32_t set, unsigned vector)
{
    return rd(cpu, set + vector / 32 * 16) >> vector % 32 & 1;
}

static inline void enable(void)
{
    for (unsigned n = 0; n < f->env.ncpus; n++)
        wr(n, SVR, 0x1ff);
}

static inline void x2(unsigned cpu)
{
    assert_true(wrmsr(cpu, MSR_BASE, msr(cpu, MSR_BASE) | EN | EXTD));
}

static inline void ipi(unsigned from, uint32_t dest, uint32_t low)
{
    wr(from, ICR2, dest << 24);
    wr(from, ICR, low);
}

static inline void msi(uint32_t low20, uint32_t data)
{
    f->env.msi.send(f->env.msi.ctx, BASE | low20, data);
}

static inline int setup(void **state UNUSED)
{
    make(4);
    enable();
    return 0;
}

static inline int teardown(void **state UNUSED)
{
    fake_free(f);
    return 0;
}

/* Four CPUs, enabled; or what the test itself makes. */
#define LAPIC_TEST(name)     cmocka_unit_test_setup_teardown(name, setup, teardown)
#define LAPIC_OWN_TEST(name) cmocka_unit_test_teardown(name, teardown)

#endif
