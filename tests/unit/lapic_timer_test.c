/* Local APICs: the timer (SDM volume 3, 11.5.4). */
#include "lapic_bench.h"

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
    wrmsr(1, MSR_DEADLINE, msr(1, MSR_DEADLINE));
    fake_advance(f, 1400000);
    assert_false(f->cpu[1].intr);
    tsc_behind[1] = 0;
    wrmsr(1, MSR_DEADLINE, msr(1, MSR_DEADLINE));
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        LAPIC_TEST(one_shot),        LAPIC_TEST(divider),
        LAPIC_TEST(periodic),        LAPIC_TEST(tiny_period),
        LAPIC_TEST(masked_timer),    LAPIC_TEST(tsc_deadline),
        LAPIC_TEST(tsc_written),     LAPIC_OWN_TEST(no_deadline_mode),
        LAPIC_TEST(count_when_late),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
