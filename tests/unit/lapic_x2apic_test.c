/* Local APICs: IA32_APIC_BASE and x2APIC mode (SDM volume 3, 11.4, 11.12). */
#include "lapic_bench.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        LAPIC_TEST(base_transitions), LAPIC_TEST(global_disable),
        LAPIC_OWN_TEST(x2apic_ids),   LAPIC_TEST(x2apic_faults),
        LAPIC_TEST(writable_id),      LAPIC_TEST(other_ids_after_load),
        LAPIC_TEST(x2apic_lvts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
