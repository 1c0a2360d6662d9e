/* Local APICs against the SDM: hw/intc/lapic*.c. */
#include "lapic_bench.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        LAPIC_OWN_TEST(power_on),
        LAPIC_TEST(priorities),
        LAPIC_TEST(task_priority),
        LAPIC_TEST(software_disable),
        LAPIC_TEST(lint_extint),
        LAPIC_TEST(lint_modes),
        LAPIC_TEST(lint_level),
        LAPIC_TEST(eoi_reaches_ioapic),
        LAPIC_TEST(extint_message),
        LAPIC_TEST(trigger_mode_follows),
        LAPIC_TEST(pause_and_load),
        LAPIC_TEST(bad_cpu),
        LAPIC_TEST(priority_registers),
        LAPIC_TEST(eoi_of_edges_stays),
        LAPIC_TEST(disabled_takes_no_extint),
        LAPIC_TEST(lint1_level),
        LAPIC_TEST(missing_registers),
        LAPIC_TEST(virtual_wire),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
