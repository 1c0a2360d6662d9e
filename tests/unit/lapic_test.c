/* Local APICs against the SDM: hw/intc/lapic*.c. */
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

static uint64_t tsc_to_ns(void *ctx UNUSED, unsigned cpu, uint64_t tsc)
{
    return (tsc + tsc_behind[cpu] + 1) / 2;
}

static void make(unsigned ncpus)
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

static uint32_t rd(unsigned cpu, uint32_t off)
{
    return ops->read(lapic_ctx(apic[cpu]), off);
}

static void wr(unsigned cpu, uint32_t off, uint32_t v)
{
    ops->write(lapic_ctx(apic[cpu]), off, v);
}

static bool rdmsr(unsigned cpu, uint32_t msr, uint64_t *v)
{
    return ops->read_msr(lapic_ctx(apic[cpu]), msr, v);
}

static bool wrmsr(unsigned cpu, uint32_t msr, uint64_t v)
{
    return ops->write_msr(lapic_ctx(apic[cpu]), msr, v);
}

static uint64_t msr(unsigned cpu, uint32_t n)
{
    uint64_t v = 0;

    assert_true(rdmsr(cpu, n, &v));
    return v;
}

static int ack(unsigned cpu)
{
    return ops->ack(lapic_ctx(apic[cpu]));
}

static bool in(unsigned cpu, uint32_t set, unsigned vector)
{
    return rd(cpu, set + vector / 32 * 16) >> vector % 32 & 1;
}

static void enable(void)
{
    for (unsigned n = 0; n < f->env.ncpus; n++)
        wr(n, SVR, 0x1ff);
}

static void x2(unsigned cpu)
{
    assert_true(wrmsr(cpu, MSR_BASE, msr(cpu, MSR_BASE) | EN | EXTD));
}

static void ipi(unsigned from, uint32_t dest, uint32_t low)
{
    wr(from, ICR2, dest << 24);
    wr(from, ICR, low);
}

static void msi(uint32_t low20, uint32_t data)
{
    f->env.msi.send(f->env.msi.ctx, BASE | low20, data);
}

static int setup(void **state UNUSED)
{
    make(4);
    enable();
    return 0;
}

static int teardown(void **state UNUSED)
{
    fake_free(f);
    return 0;
}

static void power_on(void **state UNUSED)
{
    make(2);
    assert_int_equal(msr(0, MSR_BASE), BASE | EN | BSP);
    assert_int_equal(msr(1, MSR_BASE), BASE | EN);
    assert_int_equal(rd(1, ID), 0x01000000);
    assert_int_equal(rd(0, VER), 0x01050014);
    assert_int_equal(rd(0, SVR), 0xff);
    assert_int_equal(rd(0, DFR), 0xffffffff);
    assert_int_equal(rd(0, LDR), 0);
    for (unsigned off = LVTT; off <= LVTERR; off += 16)
        assert_int_equal(rd(0, off), MASK);
    wr(0, LVT0, 0x700); /* masks stay while disabled by software */
    assert_int_equal(rd(0, LVT0), MASK | 0x700);
}

static void priorities(void **state UNUSED)
{
    ipi(0, 1, 0x31);
    assert_true(f->cpu[1].intr);
    assert_true(in(1, IRR, 0x31));
    assert_int_equal(ack(1), 0x31);
    assert_false(f->cpu[1].intr);
    assert_true(in(1, ISR, 0x31));
    assert_false(in(1, IRR, 0x31));
    assert_int_equal(rd(1, PPR), 0x30);
    ipi(0, 1, 0x3f); /* same class waits */
    assert_false(f->cpu[1].intr);
    ipi(0, 1, 0x40);
    assert_true(f->cpu[1].intr);
    assert_int_equal(ack(1), 0x40);
    wr(1, EOI, 0);
    assert_false(in(1, ISR, 0x40));
    assert_false(f->cpu[1].intr);
    wr(1, EOI, 0);
    assert_int_equal(ack(1), 0x3f);
    wr(1, EOI, 0);
    assert_int_equal(ack(1), -1);
    wr(1, EOI, 0); /* with nothing in service */
}

static void task_priority(void **state UNUSED)
{
    ops->set_tpr(lapic_ctx(apic[0]), 0x50);
    assert_int_equal(rd(0, TPR), 0x50);
    wr(0, TPR, 0x55);
    assert_int_equal(ops->get_tpr(lapic_ctx(apic[0])), 0x55);
    assert_int_equal(rd(0, PPR), 0x55); /* TPR whole when it wins */
    ipi(1, 0, 0x5f);
    assert_false(f->cpu[0].intr);
    assert_int_equal(ack(0), -1);
    wr(0, TPR, 0x4f);
    assert_true(f->cpu[0].intr);
    assert_int_equal(rd(0, APR), 0x50);
    wr(0, TPR, 0x50);
    assert_false(f->cpu[0].intr);
    wr(0, TPR, 0);
    assert_int_equal(ack(0), 0x5f);
    wr(0, TPR, 0x20);
    assert_int_equal(rd(0, PPR), 0x50);
}

static void shorthands(void **state UNUSED)
{
    wr(0, ICR, 0x40061); /* self */
    assert_true(f->cpu[0].intr);
    assert_false(f->cpu[1].intr);
    assert_int_equal(ack(0), 0x61);
    wr(0, ICR, 0xc0062); /* others */
    assert_false(f->cpu[0].intr);
    for (unsigned n = 1; n < 4; n++)
        assert_int_equal(ack(n), 0x62);
    wr(0, ICR, 0x80073); /* all */
    for (unsigned n = 0; n < 4; n++)
        assert_int_equal(ack(n), 0x73);
    wr(0, ICR, 0xc0184); /* lowest priority among the others */
    unsigned got = 0;

    assert_int_equal(ack(0), -1);
    for (unsigned n = 1; n < 4; n++)
        got += ack(n) == 0x84;
    assert_int_equal(got, 1);
}

static void physical_broadcast(void **state UNUSED)
{
    ipi(2, 0xff, 0x44);
    for (unsigned n = 0; n < 4; n++)
        assert_int_equal(ack(n), 0x44);
    ipi(2, 9, 0x44); /* nobody */
    assert_int_equal(rd(2, ICR), 0x44);
    assert_int_equal(rd(2, ICR2), 0x09000000);
}

static void logical_flat(void **state UNUSED)
{
    for (unsigned n = 0; n < 4; n++)
        wr(n, LDR, 1u << (24 + n) | 0x1234);
    assert_int_equal(rd(3, LDR), 0x08000000);
    ipi(0, 0x0a, 0x855);
    assert_int_equal(ack(0), -1);
    assert_int_equal(ack(1), 0x55);
    assert_int_equal(ack(2), -1);
    assert_int_equal(ack(3), 0x55);
    ipi(0, 0xf0, 0x855);
    for (unsigned n = 0; n < 4; n++)
        assert_int_equal(ack(n), -1);
}

static void logical_cluster(void **state UNUSED)
{
    for (unsigned n = 0; n < 4; n++) {
        wr(n, DFR, 0x0fffffff);
        wr(n, LDR, (n / 2 << 4 | 1u << n % 2) << 24);
    }
    ipi(0, 0x13, 0x855); /* cluster 1, members 0 and 1: CPUs 2, 3 */
    assert_int_equal(ack(0), -1);
    assert_int_equal(ack(1), -1);
    assert_int_equal(ack(2), 0x55);
    assert_int_equal(ack(3), 0x55);
    ipi(0, 0x02, 0x866);
    assert_int_equal(ack(1), 0x66);
    ipi(0, 0xff, 0x877);
    for (unsigned n = 0; n < 4; n++)
        assert_int_equal(ack(n), 0x77);
}

static void delivery_modes(void **state UNUSED)
{
    ipi(0, 1, 0x200);
    assert_int_equal(f->cpu[1].smi, 1);
    ipi(0, 1, 0x400);
    assert_int_equal(f->cpu[1].nmi, 1);
    ipi(0, 1, 0x300); /* reserved */
    ipi(0, 1, 0x700); /* ExtINT cannot be sent */
    assert_false(f->cpu[1].intr);
    wr(1, LDR, 0x02000000);
    wr(1, TPR, 0x30);
    ipi(0, 1, 0x40ff & ~0x4000u);
    assert_true(f->cpu[1].intr);
    ipi(0, 1, 0xc500); /* INIT, level, assert */
    assert_int_equal(f->cpu[1].init, 1);
    assert_false(f->cpu[1].intr);
    assert_int_equal(rd(1, LDR), 0);
    assert_int_equal(rd(1, TPR), 0);
    assert_int_equal(rd(1, SVR), 0xff);
    assert_int_equal(rd(1, ID), 0x01000000);
    ipi(0, 1, 0x8500); /* de-assert does nothing */
    assert_int_equal(f->cpu[1].init, 1);
    ipi(0, 1, 0x69a);
    assert_int_equal(f->cpu[1].sipi, 1);
    assert_int_equal(f->cpu[1].sipi_vector, 0x9a);
    wr(0, ICR, 0xc4500); /* INIT to all others */
    assert_int_equal(f->cpu[0].init, 0);
    assert_int_equal(f->cpu[3].init, 1);
}

static void lowest_priority(void **state UNUSED)
{
    unsigned got[4] = {0};

    for (unsigned n = 0; n < 4; n++)
        wr(n, LDR, 1u << (24 + n));
    wr(0, TPR, 0x80);
    wr(1, TPR, 0x40);
    wr(2, TPR, 0x60);
    wr(3, TPR, 0x70);
    msi(0x0f00c, 0x191); /* logical 0x0f, redirectable */
    assert_int_equal(ack(1), 0x91);
    wr(1, EOI, 0);
    for (unsigned n = 0; n < 4; n++)
        wr(n, TPR, 0);
    for (unsigned i = 0; i < 8; i++) { /* a tie goes round */
        msi(0x0f00c, 0x191);
        for (unsigned n = 0; n < 4; n++)
            if (ack(n) == 0x91) {
                got[n]++;
                wr(n, EOI, 0);
            }
    }
    for (unsigned n = 0; n < 4; n++)
        assert_int_equal(got[n], 2);
}

/* A CPU with the vector in service is the focus, however busy. */
static void focus(void **state UNUSED)
{
    for (unsigned n = 0; n < 4; n++)
        wr(n, LDR, 1u << (24 + n));
    ipi(0, 2, 0x91);
    assert_int_equal(ack(2), 0x91);
    msi(0x0f00c, 0x191);
    assert_true(in(2, IRR, 0x91));
    wr(2, SVR, 0x3ff); /* focus checking off */
    wr(2, EOI, 0);
    assert_int_equal(ack(2), 0x91);
    for (unsigned i = 0; i < 3; i++)
        msi(0x0f00c, 0x191);
    assert_false(in(2, IRR, 0x91));
}

static void messages(void **state UNUSED)
{
    msi(0x03000, 0x0041);
    assert_int_equal(ack(3), 0x41);
    wr(3, EOI, 0);
    msi(0xff000, 0x0042);
    for (unsigned n = 0; n < 4; n++)
        assert_int_equal(ack(n), 0x42);
    msi(0x01000, 0x0400);
    assert_int_equal(f->cpu[1].nmi, 1);
    msi(0x01000, 0x0200);
    assert_int_equal(f->cpu[1].smi, 1);
    msi(0x01000, 0x0500);
    assert_int_equal(f->cpu[1].init, 1);
    msi(0x01000, 0x0600); /* no start-up by MSI */
    assert_int_equal(f->cpu[1].sipi, 0);
    msi(0x02000, 0x8045); /* level, de-assert */
    assert_false(in(2, IRR, 0x45));
    f->env.msi.send(f->env.msi.ctx, 0xfed02000, 0x46); /* not an MSI */
    assert_int_equal(ack(2), -1);
}

static void illegal_vectors(void **state UNUSED)
{
    wr(0, LVTERR, 0xe0);
    ipi(0, 1, 0x0f);
    assert_false(f->cpu[1].intr);
    assert_int_equal(ack(0), 0xe0);
    wr(0, EOI, 0);
    assert_int_equal(rd(0, ESR), 0); /* not until it is written */
    wr(0, ESR, 0);
    assert_int_equal(rd(0, ESR), 0x20);
    wr(0, ESR, 0);
    assert_int_equal(rd(0, ESR), 0);
    msi(0, 0x08);
    wr(0, ESR, 0);
    assert_int_equal(rd(0, ESR), 0x40);
    assert_int_equal(ack(0), 0xe0);
    wr(0, EOI, 0);
    assert_int_equal(rd(0, 0x40), 0); /* no such register */
    wr(0, 0x3f0, 1);
    wr(0, ESR, 0);
    assert_int_equal(rd(0, ESR), 0x80);
    wr(0, LVTERR, 0x05); /* an error in reporting errors: no end */
    ipi(0, 1, 0x0f);
    wr(0, ESR, 0);
    assert_int_equal(rd(0, ESR), 0x60);
}

static void software_disable(void **state UNUSED)
{
    wr(0, LVT0, 0x700);
    ipi(1, 0, 0x55);
    wr(0, SVR, 0xff);
    assert_int_equal(rd(0, LVT0), MASK | 0x700);
    ipi(1, 0, 0x66); /* refused */
    assert_false(in(0, IRR, 0x66));
    assert_int_equal(ack(0), 0x55); /* what was there is kept */
    ipi(1, 0, 0x400);
    assert_int_equal(f->cpu[0].nmi, 1);
    wr(0, SVR, 0x1ff);
    assert_int_equal(rd(0, LVT0), MASK | 0x700);
}

static void one_shot(void **state UNUSED)
{
    wr(0, TDCR, 0x0b); /* divide by 1 */
    wr(0, LVTT, 0x40);
    wr(0, TMICT, 1000);
    assert_int_equal(rd(0, TMCCT), 1000);
    fake_advance(f, 400);
    assert_int_equal(rd(0, TMCCT), 600);
    fake_advance(f, 599);
    assert_false(f->cpu[0].intr);
    assert_int_equal(rd(0, TMCCT), 1);
    fake_advance(f, 1);
    assert_int_equal(ack(0), 0x40);
    wr(0, EOI, 0);
    assert_int_equal(rd(0, TMCCT), 0);
    fake_advance(f, 100000);
    assert_false(f->cpu[0].intr);
    assert_int_equal(rd(0, TMICT), 1000);
    wr(0, TMICT, 50);
    wr(0, TMICT, 0); /* stops */
    fake_advance(f, 100);
    assert_false(f->cpu[0].intr);
}

static void divider(void **state UNUSED)
{
    static const struct {
        uint8_t tdcr, by;
    } row[] = {{0, 2},  {1, 4},  {2, 8},    {3, 16},
               {8, 32}, {9, 64}, {10, 128}, {11, 1}};

    wr(0, LVTT, 0x40);
    for (unsigned i = 0; i < ARRAY_LEN(row); i++) {
        wr(0, TDCR, row[i].tdcr);
        wr(0, TMICT, 100);
        fake_advance(f, 100 * row[i].by - 1);
        assert_false(f->cpu[0].intr);
        fake_advance(f, 1);
        assert_int_equal(ack(0), 0x40);
        wr(0, EOI, 0);
    }
    wr(0, TDCR, 0xf4); /* bit 2 and above do not exist */
    assert_int_equal(rd(0, TDCR), 0);
    /* Changed while it counts: the rest at the new rate. */
    wr(0, TDCR, 11);
    wr(0, TMICT, 100);
    fake_advance(f, 50);
    wr(0, TDCR, 0);
    assert_int_equal(rd(0, TMCCT), 50);
    fake_advance(f, 99);
    assert_false(f->cpu[0].intr);
    fake_advance(f, 1);
    assert_true(f->cpu[0].intr);
}

static void periodic(void **state UNUSED)
{
    wr(0, TDCR, 0x0b);
    wr(0, LVTT, 0x20040);
    wr(0, TMICT, 100000);
    for (unsigned i = 0; i < 5; i++) {
        fake_advance(f, 100000);
        assert_int_equal(ack(0), 0x40);
        wr(0, EOI, 0);
        assert_int_equal(rd(0, TMCCT), 100000);
    }
    /* To one-shot: runs out once more; back to periodic: stays at 0. */
    fake_advance(f, 30000);
    wr(0, LVTT, 0x40);
    assert_int_equal(rd(0, TMCCT), 70000);
    fake_advance(f, 70000);
    assert_int_equal(ack(0), 0x40);
    wr(0, EOI, 0);
    assert_int_equal(rd(0, TMCCT), 0);
    wr(0, LVTT, 0x20040);
    fake_advance(f, 1000000);
    assert_int_equal(rd(0, TMCCT), 0);
    assert_false(f->cpu[0].intr);
}

/* However short the period, the host is not woken more often than it can. */
static void tiny_period(void **state UNUSED)
{
    unsigned n = 0;
    uint64_t end;

    wr(0, TDCR, 0x0b);
    wr(0, LVTT, 0x20040);
    wr(0, TMICT, 1);
    end = f->now + 1000000;
    while (fake_next(f) < end) {
        fake_advance(f, fake_next(f) - f->now);
        if (ack(0) == 0x40)
            wr(0, EOI, 0);
        n++;
    }
    assert_in_range(n, 10, 100);
}

static void masked_timer(void **state UNUSED)
{
    wr(0, TDCR, 0x0b);
    wr(0, LVTT, MASK | 0x40);
    wr(0, TMICT, 1000);
    fake_advance(f, 500);
    assert_int_equal(rd(0, TMCCT), 500); /* counts all the same */
    fake_advance(f, 600);
    wr(0, LVTT, 0x40);
    assert_false(f->cpu[0].intr); /* that one is lost */
}

static void tsc_deadline(void **state UNUSED)
{
    uint64_t tsc = 2 * f->now;

    assert_true(wrmsr(0, MSR_DEADLINE, tsc + 10)); /* not in that mode */
    assert_int_equal(msr(0, MSR_DEADLINE), 0);
    wr(0, LVTT, 0x40040);
    wr(0, TMICT, 100); /* ignored in this mode */
    assert_int_equal(rd(0, TMICT), 0);
    assert_true(wrmsr(0, MSR_DEADLINE, tsc + 2001));
    assert_int_equal(msr(0, MSR_DEADLINE), tsc + 2001);
    assert_int_equal(rd(0, TMCCT), 0);
    fake_advance(f, 1000);
    assert_false(f->cpu[0].intr);
    fake_advance(f, 1);
    assert_int_equal(ack(0), 0x40);
    wr(0, EOI, 0);
    assert_int_equal(msr(0, MSR_DEADLINE), 0);
    wrmsr(0, MSR_DEADLINE, 1); /* past: at once */
    assert_int_equal(ack(0), 0x40);
    wr(0, EOI, 0);
    wrmsr(0, MSR_DEADLINE, 4 * f->now);
    wrmsr(0, MSR_DEADLINE, 0); /* disarms */
    fake_advance(f, 2 * f->now);
    assert_false(f->cpu[0].intr);
    wrmsr(0, MSR_DEADLINE, 4 * f->now);
    wr(0, LVTT, 0x40); /* leaving the mode disarms too */
    assert_int_equal(msr(0, MSR_DEADLINE), 0);
    assert_true(fake_next(f) == UINT64_MAX);
}

static void tsc_written(void **state UNUSED)
{
    wr(1, LVTT, 0x40040);
    wrmsr(1, MSR_DEADLINE, 2 * f->now + 2000000);
    tsc_behind[1] = 1000000; /* the TSC was set back by as much */
    lapic_tsc_changed(apic[1]);
    fake_advance(f, 1400000);
    assert_false(f->cpu[1].intr);
    tsc_behind[1] = 0;
    lapic_tsc_changed(apic[1]);
    assert_int_equal(ack(1), 0x40);
}

static void no_deadline_mode(void **state UNUSED)
{
    uint64_t v;

    f = fake_new(1);
    apic[0] = fake_make(&lapic_class);
    *(bool *)fake_prop(apic[0], "tsc-deadline") = false;
    *(bool *)fake_prop(apic[0], "x2apic") = false;
    fake_attach(f, apic[0]);
    assert_false(rdmsr(0, MSR_DEADLINE, &v));
    assert_false(wrmsr(0, MSR_DEADLINE, 0));
    wr(0, SVR, 0x1ff);
    wr(0, LVTT, 0x40040);
    assert_int_equal(rd(0, LVTT), 0x40);
    assert_false(wrmsr(0, MSR_BASE, BASE | EN | EXTD | BSP));
}

static void base_transitions(void **state UNUSED)
{
    enum { OFF, XAPIC = EN, X2APIC = EN | EXTD, BAD = EXTD };
    static const struct {
        uint32_t from, to;
        bool ok;
    } row[] = {
        {OFF, OFF, true},       {OFF, XAPIC, true},     {OFF, X2APIC, false},
        {OFF, BAD, false},      {XAPIC, OFF, true},     {XAPIC, XAPIC, true},
        {XAPIC, X2APIC, true},  {XAPIC, BAD, false},    {X2APIC, OFF, true},
        {X2APIC, XAPIC, false}, {X2APIC, X2APIC, true}, {X2APIC, BAD, false},
    };

    for (unsigned i = 0; i < ARRAY_LEN(row); i++) {
        lapic_class.reset(apic[0], true);
        assert_true(wrmsr(0, MSR_BASE, BASE | row[i].from));
        assert_int_equal(wrmsr(0, MSR_BASE, BASE | row[i].to), row[i].ok);
        assert_int_equal(msr(0, MSR_BASE),
                         BASE | (row[i].ok ? row[i].to : row[i].from));
    }
    lapic_class.reset(apic[0], true);
    assert_false(wrmsr(0, MSR_BASE, BASE | EN | 1));
    assert_false(wrmsr(0, MSR_BASE, BASE | EN | 0x200));
    assert_false(wrmsr(0, MSR_BASE, BASE | EN | 1ull << 46));
    assert_true(wrmsr(0, MSR_BASE, 0x3f0000000000 | EN | BSP)); /* moved */
}

static void global_disable(void **state UNUSED)
{
    wr(0, LDR, 0x0f000000);
    ipi(1, 0, 0x55);
    wrmsr(0, MSR_BASE, BASE);
    assert_false(f->cpu[0].intr);
    assert_int_equal(rd(0, ID), ~0u);
    ipi(1, 0, 0x55);
    assert_false(f->cpu[0].intr);
    irq_set(&f->env.pic_intr, true); /* INTR and NMI of old */
    assert_true(f->cpu[0].intr);
    assert_false(f->cpu[1].intr); /* its LINT0 is masked */
    irq_set(&f->env.pic_intr, false);
    assert_false(f->cpu[0].intr);
    irq_set(&f->env.nmi, true);
    assert_int_equal(f->cpu[0].nmi, 1);
    wrmsr(0, MSR_BASE, BASE | EN);
    assert_int_equal(rd(0, LDR), 0);
    assert_int_equal(rd(0, SVR), 0xff);
}

static void x2apic_ids(void **state UNUSED)
{
    make(40);
    for (unsigned n = 0; n < 40; n++) {
        x2(n);
        wrmsr(n, 0x80f, 0x1ff);
    }
    assert_int_equal(msr(37, 0x802), 37);
    assert_int_equal(msr(37, 0x80d), 0x00020020);
    assert_int_equal(msr(37, 0x803), 0x01050014);
    wrmsr(0, 0x830, 37ull << 32 | 0x55);
    assert_int_equal(ack(37), 0x55);
    assert_int_equal(msr(0, 0x830), 37ull << 32 | 0x55);
    wrmsr(0, 0x830, 0x00020021ull << 32 | 0x866); /* 32 and 37 */
    assert_int_equal(ack(32), 0x66);
    assert_int_equal(ack(37), 0x66);
    assert_int_equal(ack(33), -1);
    assert_int_equal(ack(5), -1);
    wrmsr(0, 0x830, 0xffffffffull << 32 | 0x77);
    for (unsigned n = 0; n < 40; n++)
        assert_int_equal(ack(n), 0x77);
    wrmsr(0, 0x830, 0xffull << 32 | 0x88); /* no broadcast here */
    assert_int_equal(ack(1), -1);
    msi(37 << 12, 0x99); /* MSIs reach x2APIC IDs below 255 */
    assert_int_equal(ack(37), 0x99);
    assert_int_equal(rd(37, ID), ~0u); /* no page in this mode */
}

static void x2apic_faults(void **state UNUSED)
{
    uint64_t v;

    assert_false(rdmsr(0, 0x802, &v)); /* xAPIC mode */
    assert_false(wrmsr(0, 0x80b, 0));
    x2(0);
    wrmsr(0, 0x80f, 0x1ff);
    static const uint16_t absent[] = {0x800, 0x809, 0x80c, 0x80e, 0x82f,
                                      0x831, 0x83a, 0x840, 0x8ff};
    for (unsigned i = 0; i < ARRAY_LEN(absent); i++) {
        assert_false(rdmsr(0, absent[i], &v));
        assert_false(wrmsr(0, absent[i], 0));
    }
    static const uint16_t readonly[] = {0x802, 0x803, 0x80a, 0x80d,
                                        0x810, 0x818, 0x827, 0x839};
    for (unsigned i = 0; i < ARRAY_LEN(readonly); i++) {
        assert_true(rdmsr(0, readonly[i], &v));
        assert_false(wrmsr(0, readonly[i], v));
    }
    assert_false(rdmsr(0, 0x80b, &v)); /* EOI, SELF IPI: write only */
    assert_false(rdmsr(0, 0x83f, &v));
    assert_false(wrmsr(0, 0x80b, 1));
    assert_true(wrmsr(0, 0x80b, 0));
    assert_false(wrmsr(0, 0x828, 1));
    assert_true(wrmsr(0, 0x828, 0));
    assert_false(wrmsr(0, 0x808, 0x100));
    assert_false(wrmsr(0, 0x808, 1ull << 32));
    assert_false(wrmsr(0, 0x830, 0x2000));
    assert_false(wrmsr(0, 0x830, 0x30000));
    assert_false(wrmsr(0, 0x832, 1 << 11));
    assert_false(wrmsr(0, 0x83e, 4));
    assert_false(wrmsr(0, 0x83f, 0x155));
    assert_true(wrmsr(0, 0x83f, 0x55));
    assert_int_equal(ack(0), 0x55);
    assert_int_equal(msr(0, 0x830), 0);
    assert_int_equal(msr(0, 0x812), 1u << 21);
    wrmsr(0, 0x838, 1000);
    assert_int_equal(msr(0, 0x838), 1000);
}

static void writable_id(void **state UNUSED)
{
    wr(2, ID, 0x77000000);
    assert_int_equal(rd(2, ID), 0x77000000);
    ipi(0, 2, 0x55);
    assert_int_equal(ack(2), -1);
    ipi(0, 0x77, 0x55);
    assert_int_equal(ack(2), 0x55);
}

static void lint_extint(void **state UNUSED)
{
    struct dev *pic = fake_add(f, &i8259_class);

    (void)pic;
    outb(f, 0x20, 0x11);
    outb(f, 0x21, 0x30);
    outb(f, 0x21, 0x04);
    outb(f, 0x21, 0x03);
    irq_set(&f->env.isa_irq[5], true);
    assert_false(f->cpu[0].intr); /* LINT0 is masked after reset */
    lapic_virtual_wire(apic[0]);
    lapic_virtual_wire(apic[1]);
    assert_true(f->cpu[0].intr);
    assert_false(f->cpu[1].intr);
    wr(0, TPR, 0xf0); /* no bar to ExtINT */
    assert_true(f->cpu[0].intr);
    assert_int_equal(ack(0), 0x35);
    assert_false(f->cpu[0].intr);
    assert_false(in(0, ISR, 0x35)); /* not the APIC's */
}

static void lint_modes(void **state UNUSED)
{
    wr(0, LVT1, 0x400);
    wr(1, LVT1, 0x200);
    wr(2, LVT1, MASK | 0x400);
    wr(3, LVT1, 0x66);
    irq_set(&f->env.nmi, true);
    assert_int_equal(f->cpu[0].nmi, 1);
    assert_int_equal(f->cpu[1].smi, 1);
    assert_int_equal(f->cpu[2].nmi, 0);
    assert_int_equal(ack(3), 0x66);
    wr(3, EOI, 0);
    irq_set(&f->env.nmi, false);
    assert_false(f->cpu[3].intr);
    irq_set(&f->env.nmi, true);
    assert_int_equal(ack(3), 0x66);
}

static void lint_level(void **state UNUSED)
{
    wr(0, LVT0, 0x8055);
    irq_set(&f->env.pic_intr, true);
    assert_int_equal(rd(0, LVT0), 0xc055);
    assert_int_equal(ack(0), 0x55);
    assert_true(in(0, TMR, 0x55));
    wr(0, EOI, 0);
    assert_int_equal(ack(0), 0x55); /* still asserted */
    irq_set(&f->env.pic_intr, false);
    wr(0, EOI, 0);
    assert_int_equal(ack(0), -1);
    assert_int_equal(rd(0, LVT0), 0x8055);
}

static void eoi_reaches_ioapic(void **state UNUSED)
{
    fake_add(f, &ioapic_class);
    set_mem32(f, 0xfec00000, 0x10 + 2 * 20);
    set_mem32(f, 0xfec00010, 0x8061);
    irq_set(&f->env.gsi[20], true);
    assert_int_equal(ack(0), 0x61);
    assert_true(in(0, TMR, 0x61));
    wr(0, EOI, 0);
    assert_int_equal(ack(0), 0x61); /* line still up */
    irq_set(&f->env.gsi[20], false);
    wr(0, EOI, 0);
    assert_int_equal(ack(0), -1);
    /* Suppressed: only the IOAPIC's own EOI register ends it. */
    wr(0, SVR, 0x11ff);
    irq_set(&f->env.gsi[20], true);
    assert_int_equal(ack(0), 0x61);
    wr(0, EOI, 0);
    assert_int_equal(ack(0), -1);
    set_mem32(f, 0xfec00040, 0x61);
    assert_int_equal(ack(0), 0x61);
}

static void extint_message(void **state UNUSED)
{
    fake_add(f, &ioapic_class);
    fake_add(f, &i8259_class);
    outb(f, 0x20, 0x11);
    outb(f, 0x21, 0x30);
    outb(f, 0x21, 0x04);
    outb(f, 0x21, 0x03);
    set_mem32(f, 0xfec00000, 0x11);
    set_mem32(f, 0xfec00010, 2u << 24);
    set_mem32(f, 0xfec00000, 0x10);
    set_mem32(f, 0xfec00010, 0x700);
    irq_set(&f->env.isa_irq[3], true);
    irq_set(&f->env.isa_irq[6], true);
    assert_int_equal(ack(2), 0x33);
    assert_int_equal(ack(2), 0x36); /* INTR pulsed: a second message */
    assert_false(f->cpu[2].intr);
}

static void trigger_mode_follows(void **state UNUSED)
{
    msi(0, 0xc077);
    assert_true(in(0, TMR, 0x77));
    ack(0);
    wr(0, EOI, 0);
    msi(0, 0x77);
    assert_false(in(0, TMR, 0x77));
}

static void pause_and_load(void **state UNUSED)
{
    wr(0, TDCR, 0x0b);
    wr(0, LVTT, 0x40);
    wr(0, TMICT, 1000);
    lapic_class.pause(apic[0]);
    fake_advance(f, 5000);
    assert_false(f->cpu[0].intr);
    lapic_class.resume(apic[0]);
    assert_true(f->cpu[0].intr);
    assert_int_equal(lapic_class.loaded(apic[0], 1), 0);
    assert_true(f->cpu[0].intr);
}

static void bad_cpu(void **state UNUSED)
{
    struct dev *d = fake_make(&lapic_class);
    struct err e;

    fake_set_u32(d, "cpu", 3);
    assert_int_equal(lapic_class.attach(d, &f->env, &e), -LE_USAGE);
    fake_set_u32(d, "cpu", 4);
    assert_int_equal(lapic_class.attach(d, &f->env, &e), -LE_RANGE);
    free(d);
}

static void priority_registers(void **state UNUSED)
{
    ipi(1, 0, 0x31);
    assert_int_equal(rd(0, APR), 0x30);
    ack(0);
    wr(0, TPR, 0x35); /* the same class as what is served */
    assert_int_equal(rd(0, PPR), 0x35);
    wr(0, TPR, 0x25);
    assert_int_equal(rd(0, PPR), 0x30);
    assert_int_equal(rd(0, APR), 0x20); /* TPR and ISRV */
    wr(0, TPR, 0x45);
    assert_int_equal(rd(0, APR), 0x45);
    ipi(1, 0, 0x71);
    assert_int_equal(rd(0, APR), 0x70);
}

static struct {
    unsigned n;
    uint8_t vector;
} eois;

static void count_eoi(void *ctx UNUSED, uint8_t vector)
{
    eois.n++;
    eois.vector = vector;
}

/* Only level-triggered vectors go to the IOAPICs, and only those are in TMR. */
static void eoi_of_edges_stays(void **state UNUSED)
{
    f->env.eoi = (struct eoi_sink){count_eoi, NULL};
    eois.n = 0;
    wr(0, LVTT, 0x55);
    wr(0, TDCR, 0x0b);
    msi(0, 0xc055); /* leaves its TMR bit set */
    ack(0);
    wr(0, EOI, 0);
    assert_int_equal(eois.n, 1);
    assert_int_equal(eois.vector, 0x55);
    wr(0, TMICT, 10);
    fake_advance(f, 10);
    assert_false(in(0, TMR, 0x55));
    assert_int_equal(ack(0), 0x55);
    wr(0, EOI, 0);
    assert_int_equal(eois.n, 1);
    msi(0, 0xc066);
    ack(0);
    ipi(1, 0, 0xc500); /* INIT clears TMR */
    assert_false(in(0, TMR, 0x66));
    assert_int_equal(rd(0, TMR + 0x30), 0);
    f->env.eoi = (struct eoi_sink){0};
}

static void disabled_takes_no_extint(void **state UNUSED)
{
    wr(1, SVR, 0xff);
    msi(0x01000, 0x0700);
    assert_false(f->cpu[1].intr);
    wr(1, SVR, 0x1ff);
    msi(0x01000, 0x0700);
    assert_true(f->cpu[1].intr);
    assert_int_equal(ack(1), -1); /* no 8259 answers */
    assert_false(f->cpu[1].intr);
}

static void lint1_level(void **state UNUSED)
{
    wr(0, LVT1, 0x8055);
    irq_set(&f->env.nmi, true);
    assert_int_equal(rd(0, LVT1), 0xc055);
    assert_int_equal(ack(0), 0x55);
    wr(0, EOI, 0);
    assert_int_equal(ack(0), 0x55);
    irq_set(&f->env.nmi, false);
    wr(0, EOI, 0);
    assert_int_equal(rd(0, LVT1), 0x8055);
}

static void redirection_hint(void **state UNUSED)
{
    unsigned got = 0;

    for (unsigned n = 0; n < 4; n++)
        wr(n, LDR, 1u << (24 + n));
    msi(0x0f00c, 0x0091); /* fixed, but with the hint: one of them */
    for (unsigned n = 0; n < 4; n++)
        got += ack(n) == 0x91;
    assert_int_equal(got, 1);
    for (unsigned n = 0; n < 4; n++)
        wr(n, EOI, 0);
    msi(0x0f004, 0x0092); /* without: all */
    for (unsigned n = 0; n < 4; n++)
        assert_int_equal(ack(n), 0x92);
    for (unsigned n = 0; n < 4; n++) {
        wr(n, EOI, 0);
        wr(n, SVR, n == 2 ? 0x1ff : 0xff);
    }
    msi(0x0f00c, 0x193); /* those that are disabled do not take part */
    msi(0x0f00c, 0x193);
    assert_int_equal(ack(2), 0x93);
    wr(2, SVR, 0xff);
    msi(0x0f00c, 0x194);
    for (unsigned n = 0; n < 4; n++)
        assert_false(in(n, IRR, 0x94));
}

static void init_with_edge(void **state UNUSED)
{
    ipi(0, 1, 0x500); /* edge: the level does not matter */
    assert_int_equal(f->cpu[1].init, 1);
    ipi(0, 1, 0x4500);
    assert_int_equal(f->cpu[1].init, 2);
}

static void missing_registers(void **state UNUSED)
{
    static const uint32_t off[] = {0x00,  0x10,  0x40,  0x70,  0x290, 0x2f0,
                                   0x3a0, 0x3d0, 0x3f0, 0x400, 0xff0};

    for (unsigned i = 0; i < ARRAY_LEN(off); i++) {
        assert_int_equal(rd(0, off[i]), 0);
        wr(0, ESR, 0);
        assert_int_equal(rd(0, ESR), 0x80);
        wr(0, off[i], 0);
        wr(0, ESR, 0);
        assert_int_equal(rd(0, ESR), 0x80);
    }
    wr(0, VER, 0); /* there, but read-only */
    wr(0, TMCCT, 0);
    rd(0, EOI);
    wr(0, ESR, 0);
    assert_int_equal(rd(0, ESR), 0);
}

/* The count between the end of a period and the timer's own look at it. */
static void count_when_late(void **state UNUSED)
{
    wr(0, TDCR, 0x0b);
    wr(0, LVTT, 0x20040);
    wr(0, TMICT, 100000);
    f->now += 130000;
    assert_int_equal(rd(0, TMCCT), 70000);
    wr(0, LVTT, 0x40); /* one-shot: over */
    assert_int_equal(rd(0, TMCCT), 0);
    wr(0, TDCR, 0); /* what is due comes before the new rate */
    assert_int_equal(ack(0), 0x40);
    wr(0, EOI, 0);
    wr(0, TMICT, 1000);
    ipi(1, 0, 0x500);
    assert_int_equal(rd(0, TMCCT), 0);
    assert_int_equal(rd(0, TMICT), 0);
    wr(0, SVR, 0x1ff);
    wr(0, LVTT, 0x40);
    wr(0, TMICT, 1000);
    wr(0, LVTT, 0x40040);
    wr(0, LVTT, 0x40);
    assert_int_equal(rd(0, TMCCT), 0);
}

static void other_ids_after_load(void **state UNUSED)
{
    wr(2, ID, 0x77000000);
    lapic_class.reset(apic[2], true);
    wr(2, SVR, 0x1ff);
    ipi(0, 2, 0x55); /* the reset gave it its own again */
    assert_int_equal(ack(2), 0x55);
}

static void x2apic_lvts(void **state UNUSED)
{
    x2(0);
    wrmsr(0, 0x80f, 0x1ff);
    assert_true(wrmsr(0, 0x832, 0x60040)); /* all that the timer has */
    assert_true(wrmsr(0, 0x832, 0x30040));
    assert_false(wrmsr(0, 0x832, 0x8040));
    assert_true(wrmsr(0, 0x833, 0x10740));
    assert_false(wrmsr(0, 0x834, 0x2040));
    assert_true(wrmsr(0, 0x835, 0x1f7ff)); /* read-only bits may be set */
    assert_int_equal(msr(0, 0x835), 0x1a7ff);
    assert_true(wrmsr(0, 0x837, 0x110fe & ~0x1000));
    assert_false(wrmsr(0, 0x837, 0x104fe));
    assert_int_equal(msr(0, 0x837), 0x100fe);
    assert_false(wrmsr(0, 0x838, 1ull << 32));
    assert_true(wrmsr(0, 0x838, 0xffffffff));
    assert_int_equal(rd(0, SVR), ~0u); /* the page is not there */
    wr(0, SVR, 0);
    assert_int_equal(msr(0, 0x80f), 0x1ff);
    wrmsr(0, MSR_BASE, BASE | BSP);
    assert_int_equal(rd(0, SVR), ~0u);
}

static void virtual_wire(void **state UNUSED)
{
    lapic_class.reset(apic[0], true);
    lapic_class.reset(apic[1], true);
    lapic_virtual_wire(apic[0]);
    lapic_virtual_wire(apic[1]);
    assert_int_equal(rd(0, SVR), 0x1ff);
    assert_int_equal(rd(0, LVT0), 0x700);
    assert_int_equal(rd(0, LVT1), 0x400);
    assert_int_equal(rd(1, SVR), 0x1ff);
    assert_int_equal(rd(1, LVT0), MASK);
}

static void first_vector(void **state UNUSED)
{
    ipi(0, 1, 16);
    assert_true(in(1, IRR, 16));
    wr(0, ESR, 0);
    assert_int_equal(rd(0, ESR), 0);
}

int main(void)
{
#define T(name)   cmocka_unit_test_setup_teardown(name, setup, teardown)
#define OWN(name) cmocka_unit_test_teardown(name, teardown)
    const struct CMUnitTest tests[] = {
        OWN(power_on),
        T(priorities),
        T(task_priority),
        T(shorthands),
        T(physical_broadcast),
        T(logical_flat),
        T(logical_cluster),
        T(delivery_modes),
        T(lowest_priority),
        T(focus),
        T(messages),
        T(illegal_vectors),
        T(software_disable),
        T(one_shot),
        T(divider),
        T(periodic),
        T(tiny_period),
        T(masked_timer),
        T(tsc_deadline),
        T(tsc_written),
        OWN(no_deadline_mode),
        T(base_transitions),
        T(global_disable),
        OWN(x2apic_ids),
        T(x2apic_faults),
        T(writable_id),
        T(lint_extint),
        T(lint_modes),
        T(lint_level),
        T(eoi_reaches_ioapic),
        T(extint_message),
        T(trigger_mode_follows),
        T(pause_and_load),
        T(bad_cpu),
        T(priority_registers),
        T(eoi_of_edges_stays),
        T(disabled_takes_no_extint),
        T(lint1_level),
        T(redirection_hint),
        T(init_with_edge),
        T(missing_registers),
        T(count_when_late),
        T(other_ids_after_load),
        T(x2apic_lvts),
        T(virtual_wire),
        T(first_vector),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
