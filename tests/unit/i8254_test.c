/* The interval timer against the 82C54 datasheet: hw/timer/i8254*.c. */
#include "fake_env.h"

#include "hw/timer/i8254_counter.h"
#include "hw/timer/rate.h"

extern const struct dev_class i8254_class;

#define HZ 1193182ull

/* --- one counter, in ticks --- */

static struct pit_counter c;

/* Control word and count at tick 0; the count is loaded at tick 1. */
static void program(unsigned mode, bool bcd, uint16_t count)
{
    c = (struct pit_counter){.gate = true};
    pit_control(&c, (uint8_t)(0x30 | mode << 1 | bcd), 0);
    pit_write(&c, (uint8_t)count, 0);
    pit_write(&c, count >> 8, 0);
}

static uint16_t count_at(uint64_t t)
{
    uint8_t low = pit_read(&c, t);

    return (uint16_t)(pit_read(&c, t) << 8 | low);
}

static void expect_out(uint64_t from, uint64_t to, bool level)
{
    for (uint64_t t = from; t <= to; t++)
        if (pit_out(&c, t) != level)
            fail_msg("OUT is not %d at tick %d", level, (int)t);
}

static void mode0(void **state UNUSED)
{
    program(0, false, 4);
    assert_int_equal(pit_next_rise(&c, 0), 5);
    expect_out(0, 4, false);
    expect_out(5, 100, true);
    assert_int_equal(count_at(1), 4);
    assert_int_equal(count_at(3), 2);
    assert_int_equal(count_at(6), 0xffff); /* counts on */
    assert_true(pit_next_rise(&c, 5) == UINT64_MAX);
    pit_write(&c, 9, 10); /* the first byte stops it, OUT low */
    expect_out(10, 20, false);
    pit_write(&c, 0, 20);
    expect_out(20, 29, false);
    expect_out(30, 40, true);
}

static void mode0_gate(void **state UNUSED)
{
    program(0, false, 10);
    pit_gate(&c, false, 4); /* 3 counted */
    assert_int_equal(count_at(4), 7);
    assert_int_equal(count_at(100), 7);
    expect_out(5, 100, false);
    pit_gate(&c, true, 100);
    expect_out(100, 106, false);
    expect_out(107, 120, true);
}

static void mode1(void **state UNUSED)
{
    program(1, false, 5);
    expect_out(0, 100, true);
    pit_gate(&c, false, 100);
    pit_gate(&c, true, 110);
    expect_out(111, 115, false);
    expect_out(116, 200, true);
    pit_gate(&c, false, 200);
    pit_gate(&c, true, 201);
    expect_out(202, 204, false);
    pit_gate(&c, false, 204);
    pit_gate(&c, true, 205); /* retriggered */
    expect_out(206, 210, false);
    expect_out(211, 220, true);
    /* A new count waits for the next trigger. */
    pit_write(&c, 2, 220);
    pit_write(&c, 0, 220);
    pit_latch_status(&c, 220);
    assert_int_equal(pit_read(&c, 220) & 0x40, 0x40);
    pit_gate(&c, false, 221);
    pit_gate(&c, true, 221);
    expect_out(222, 223, false);
    expect_out(224, 230, true);
}

static void mode2(void **state UNUSED)
{
    program(2, false, 3);
    for (unsigned i = 0; i < 10; i++) {
        expect_out(1 + 3 * i, 2 + 3 * i, true);
        expect_out(3 + 3 * i, 3 + 3 * i, false);
        assert_int_equal(pit_next_rise(&c, 1 + 3 * i), 4 + 3 * i);
        assert_int_equal(pit_next_rise(&c, 3 + 3 * i), 4 + 3 * i);
    }
    assert_int_equal(count_at(1), 3);
    assert_int_equal(count_at(3), 1);
    assert_int_equal(count_at(4), 3);
    /* A new count takes over at the end of the period. */
    pit_write(&c, 5, 40);
    pit_write(&c, 0, 40);
    pit_latch_status(&c, 40);
    assert_int_equal(pit_read(&c, 40), 0x34 | 0x40 | 0x80);
    assert_int_equal(pit_next_rise(&c, 40), 43);
    assert_int_equal(pit_next_rise(&c, 43), 48);
    pit_latch_status(&c, 43);
    assert_int_equal(pit_read(&c, 43), 0x34 | 0x80);
}

static void mode2_gate(void **state UNUSED)
{
    program(2, false, 10);
    pit_gate(&c, false, 10); /* when OUT is low: it goes high */
    expect_out(10, 50, true);
    assert_true(pit_next_rise(&c, 20) == UINT64_MAX);
    pit_gate(&c, true, 50);
    assert_int_equal(count_at(51), 10);
    expect_out(51, 59, true);
    expect_out(60, 60, false);
}

static void mode3_even(void **state UNUSED)
{
    program(3, false, 6);
    for (unsigned i = 0; i < 5; i++) {
        expect_out(1 + 6 * i, 3 + 6 * i, true);
        expect_out(4 + 6 * i, 6 + 6 * i, false);
    }
    assert_int_equal(count_at(1), 6);
    assert_int_equal(count_at(2), 4);
    assert_int_equal(count_at(3), 2);
    assert_int_equal(count_at(4), 6);
    assert_int_equal(pit_next_rise(&c, 1), 7);
    assert_int_equal(pit_next_rise(&c, 6), 7);
}

static void mode3_odd(void **state UNUSED)
{
    program(3, false, 5);
    for (unsigned i = 0; i < 5; i++) {
        expect_out(1 + 5 * i, 3 + 5 * i, true);
        expect_out(4 + 5 * i, 5 + 5 * i, false);
    }
    assert_int_equal(count_at(1), 4);
    assert_int_equal(count_at(2), 2);
    assert_int_equal(count_at(3), 0);
    assert_int_equal(count_at(4), 4);
    assert_int_equal(count_at(5), 2);
}

/* A new count comes in at the end of either half. */
static void mode3_new_count(void **state UNUSED)
{
    program(3, false, 10); /* high 1–5, low 6–10 */
    pit_write(&c, 4, 2);
    pit_write(&c, 0, 2);
    assert_int_equal(pit_next_rise(&c, 2), 8);
    expect_out(3, 5, true);
    expect_out(6, 7, false);
    expect_out(8, 9, true);
    expect_out(10, 11, false);
    program(3, false, 10);
    pit_write(&c, 4, 7);
    pit_write(&c, 0, 7);
    expect_out(8, 10, false);
    expect_out(11, 12, true);
    expect_out(13, 14, false);
}

static void mode4(void **state UNUSED)
{
    program(4, false, 3);
    expect_out(0, 3, true);
    expect_out(4, 4, false);
    expect_out(5, 100, true);
    assert_int_equal(count_at(5), 0xffff);
    pit_write(&c, 2, 100);
    pit_write(&c, 0, 100);
    assert_int_equal(pit_next_rise(&c, 100), 104);
    expect_out(101, 102, true);
    expect_out(103, 103, false);
    expect_out(104, 110, true);
}

static void mode5(void **state UNUSED)
{
    program(5, false, 3);
    expect_out(0, 50, true);
    pit_gate(&c, false, 50);
    pit_gate(&c, true, 60);
    expect_out(61, 63, true);
    expect_out(64, 64, false);
    expect_out(65, 100, true);
}

static void bcd_counts(void **state UNUSED)
{
    program(2, true, 0x1000);
    assert_int_equal(count_at(1), 0x1000);
    assert_int_equal(count_at(2), 0x0999);
    program(0, true, 0); /* 10000 */
    assert_int_equal(count_at(1), 0);
    assert_int_equal(count_at(2), 0x9999);
    assert_int_equal(pit_next_rise(&c, 1), 10001);
    program(0, false, 0); /* 65536 */
    assert_int_equal(pit_next_rise(&c, 1), 65537);
    assert_int_equal(count_at(2), 0xffff);
}

static void modes_6_and_7(void **state UNUSED)
{
    program(6, false, 3);
    assert_int_equal(pit_mode(&c), 2);
    expect_out(3, 3, false);
    program(7, false, 6);
    assert_int_equal(pit_mode(&c), 3);
    expect_out(4, 6, false);
}

static void byte_access(void **state UNUSED)
{
    c = (struct pit_counter){.gate = true};
    pit_control(&c, 0x14, 0); /* low byte, mode 2 */
    pit_write(&c, 100, 0);
    assert_int_equal(pit_read(&c, 1), 100);
    assert_int_equal(pit_read(&c, 2), 99);
    pit_control(&c, 0x24, 10); /* high byte: 0x0200 */
    pit_write(&c, 2, 10);
    assert_int_equal(pit_read(&c, 11), 2);
    assert_int_equal(pit_read(&c, 12), 1);
}

static void latch(void **state UNUSED)
{
    program(2, false, 0x1234);
    pit_latch_count(&c, 5);
    pit_latch_count(&c, 50); /* ignored until it is read */
    assert_int_equal(pit_read(&c, 100), 0x30);
    assert_int_equal(pit_read(&c, 100), 0x12);
    assert_int_equal(count_at(0x35), 0x1200);
    pit_latch_count(&c, 5);
    pit_latch_status(&c, 5); /* status first, then the count */
    assert_int_equal(pit_read(&c, 100), 0x34 | 0x80);
    assert_int_equal(pit_read(&c, 100), 0x30);
    assert_int_equal(pit_read(&c, 100), 0x12);
}

/* --- the device --- */

static struct fake *f;
static struct dev *pit;
static struct fake_line irqs[16];

static int setup(void **state UNUSED)
{
    f = fake_new(1);
    memset(irqs, 0, sizeof irqs);
    for (unsigned n = 0; n < 16; n++)
        f->env.isa_irq[n] = (struct irq){fake_line_set, irqs, n};
    pit = fake_add(f, &i8254_class);
    return 0;
}

static int teardown(void **state UNUSED)
{
    fake_free(f);
    return 0;
}

static void start(uint8_t control, uint16_t count)
{
    outb(f, 0x43, control);
    outb(f, 0x40, (uint8_t)count);
    outb(f, 0x40, count >> 8);
}

static void irq0_rate(void **state UNUSED)
{
    start(0x34, 11932);
    irqs[0].rises = 0;
    fake_advance(f, 10 * NS_PER_SEC);
    assert_in_range(irqs[0].rises, 999, 1000);
    outb(f, 0x43, 0x34); /* no count: no interrupts */
    irqs[0].rises = 0;
    fake_advance(f, NS_PER_SEC);
    assert_int_equal(irqs[0].rises, 0);
}

static void irq0_one_shot(void **state UNUSED)
{
    uint64_t from;

    start(0x30, 1193);
    assert_false(irqs[0].level);
    from = f->now;
    assert_in_range(fake_next(f) - from, 999000, 1002000);
    fake_advance(f, 1002000);
    assert_true(irqs[0].level);
    assert_int_equal(irqs[0].rises, 1);
    assert_true(fake_next(f) == UINT64_MAX);
    outb(f, 0x40, 1); /* OUT falls with the first byte */
    assert_false(irqs[0].level);
}

/* A host that slept makes up for ticks, but not for those of hours. */
static void irq0_late(void **state UNUSED)
{
    start(0x34, 11932);
    irqs[0].rises = 0;
    f->now += 200000000; /* nobody looked for 20 ticks */
    fake_advance(f, 200000000);
    assert_in_range(irqs[0].rises, 38, 41);
    f->now += 3600 * NS_PER_SEC;
    irqs[0].rises = 0;
    fake_advance(f, NS_PER_SEC);
    assert_in_range(irqs[0].rises, 99, 102);
}

static void irq0_too_fast(void **state UNUSED)
{
    start(0x34, 2);
    irqs[0].rises = 0;
    fake_advance(f, 100000000);
    assert_in_range(irqs[0].rises, 4000, 5001);
}

static void reads_back(void **state UNUSED)
{
    start(0x34, 0x8000);
    outb(f, 0x43, 0x74);
    outb(f, 0x41, 18);
    outb(f, 0x41, 0);
    fake_advance(f, ticks_ns(0x10, HZ));
    outb(f, 0x43, 0xc6); /* status and count of 0 and 1 */
    assert_int_equal(inb(f, 0x40), 0xb4);
    assert_in_range(inb(f, 0x40), 0xf0, 0xf2);
    assert_int_equal(inb(f, 0x40), 0x7f);
    assert_int_equal(inb(f, 0x41) & 0x3f, 0x34);
    outb(f, 0x43, 0xe2); /* status of 0 only */
    assert_int_equal(inb(f, 0x40), 0xb4);
    assert_int_equal(inb(f, 0x43), 0xff);
}

static void speaker_port(void **state UNUSED)
{
    outb(f, 0x43, 0xb0); /* counter 2, mode 0 */
    outb(f, 0x61, 0);
    outb(f, 0x42, 100);
    outb(f, 0x42, 0);
    fake_advance(f, NS_PER_SEC);
    assert_int_equal(inb(f, 0x61) & 0x20, 0); /* gate low: no counting */
    outb(f, 0x61, 0x03);
    assert_int_equal(inb(f, 0x61) & 0x0f, 0x03);
    fake_advance(f, ticks_ns(99, HZ));
    assert_int_equal(inb(f, 0x61) & 0x20, 0);
    fake_advance(f, ticks_ns(2, HZ));
    assert_int_equal(inb(f, 0x61) & 0x20, 0x20);
}

static void refresh_toggles(void **state UNUSED)
{
    unsigned changes = 0;
    uint8_t last = inb(f, 0x61) & 0x10;

    for (unsigned i = 0; i < 1000; i++) {
        uint8_t v;

        fake_advance(f, 1000);
        v = inb(f, 0x61) & 0x10;
        changes += v != last;
        last = v;
    }
    assert_in_range(changes, 65, 67); /* each 15.086 µs in 1 ms */
}

static void nmi_sources(void **state UNUSED)
{
    irq_set(&f->env.serr, true);
    assert_int_equal(f->cpu[0].nmi, 1);
    assert_int_equal(inb(f, 0x61) & 0xc0, 0x80);
    irq_set(&f->env.serr, false);
    outb(f, 0x61, 0x04); /* clears and disables */
    assert_int_equal(inb(f, 0x61) & 0xc0, 0);
    irq_set(&f->env.serr, true);
    assert_int_equal(f->cpu[0].nmi, 1);
    irq_set(&f->env.nmi_mask, true);
    irq_set(&f->env.iochk, true);
    assert_int_equal(inb(f, 0x61) & 0xc0, 0x40);
    assert_int_equal(f->cpu[0].nmi, 1);
    irq_set(&f->env.nmi_mask, false); /* it still waits */
    assert_int_equal(f->cpu[0].nmi, 2);
}

static void through_hpet(void **state UNUSED)
{
    static struct fake_line line;

    memset(&line, 0, sizeof line);
    f->env.pit_irq0 = (struct irq){fake_line_set, &line, 0};
    start(0x34, 1000);
    fake_advance(f, 10000000);
    assert_true(line.rises >= 10);
    assert_int_equal(irqs[0].rises, 0);
}

static void pause_and_load(void **state UNUSED)
{
    start(0x34, 11932);
    i8254_class.pause(pit);
    assert_true(fake_next(f) == UINT64_MAX);
    i8254_class.resume(pit);
    assert_true(fake_next(f) != UINT64_MAX);
    assert_int_equal(i8254_class.loaded(pit, 1), 0);
}

/* OUT rises with a control word that leaves mode 0. */
static void control_word_moves_out(void **state UNUSED)
{
    start(0x30, 1000);
    assert_false(irqs[0].level);
    outb(f, 0x43, 0x34);
    assert_true(irqs[0].level);
    outb(f, 0x43, 0x30);
    assert_false(irqs[0].level);
}

static void nmi_status_stays(void **state UNUSED)
{
    irq_set(&f->env.serr, true);
    irq_set(&f->env.iochk, true);
    outb(f, 0x61, 0x00);
    assert_int_equal(inb(f, 0x61) & 0xc0, 0xc0);
    outb(f, 0x61, 0x08);
    assert_int_equal(inb(f, 0x61) & 0xc0, 0x80);
    outb(f, 0x61, 0x04);
    assert_int_equal(inb(f, 0x61) & 0xc0, 0x00);
    irq_set(&f->env.nmi_mask, true);
    i8254_class.reset(pit, false); /* nothing masked any more */
    irq_set(&f->env.serr, false);
    irq_set(&f->env.serr, true);
    assert_int_equal(f->cpu[0].nmi, 2);
}

static void no_count_no_trigger(void **state UNUSED)
{
    program(1, false, 5);
    pit_control(&c, 0x32, 10); /* the old count is forgotten */
    pit_gate(&c, false, 11);
    pit_gate(&c, true, 12);
    expect_out(12, 100, true);
    assert_true(pit_valid(&c));
}

/* A count written in mode 2 is loaded by the gate too. */
static void gate_loads_new_count(void **state UNUSED)
{
    program(2, false, 10);
    pit_write(&c, 4, 3);
    pit_write(&c, 0, 3);
    pit_gate(&c, false, 5);
    pit_gate(&c, true, 30);
    assert_int_equal(pit_next_rise(&c, 31), 35);
    program(2, false, 10);
    pit_write(&c, 4, 3);
    pit_write(&c, 0, 3);
    pit_gate(&c, false, 12); /* after it was loaded at 11 */
    assert_int_equal(count_at(12), 3);
}

static void refresh_by_counter1(void **state UNUSED)
{
    unsigned changes = 0;
    uint8_t last;

    outb(f, 0x43, 0x74);
    outb(f, 0x41, 100);
    outb(f, 0x41, 0);
    last = inb(f, 0x61) & 0x10;
    for (unsigned i = 0; i < 1000; i++) {
        uint8_t v;

        fake_advance(f, 10000);
        v = inb(f, 0x61) & 0x10;
        changes += v != last;
        last = v;
    }
    assert_in_range(changes, 118, 120); /* each 83.8 µs in 10 ms */
}

static void nmi_again(void **state UNUSED)
{
    irq_set(&f->env.serr, true);
    irq_set(&f->env.serr, false);
    outb(f, 0x61, 0x04);
    outb(f, 0x61, 0x00);
    irq_set(&f->env.serr, true);
    assert_int_equal(f->cpu[0].nmi, 2);
}

static void latch_of_one_byte(void **state UNUSED)
{
    c = (struct pit_counter){.gate = true};
    pit_control(&c, 0x14, 0);
    pit_latch_status(&c, 0);
    assert_int_equal(pit_read(&c, 0), 0x14 | 0x80 | 0x40);
    pit_write(&c, 100, 0);
    pit_latch_count(&c, 1);
    assert_int_equal(pit_read(&c, 50), 100);
    assert_int_equal(pit_read(&c, 51), 50); /* live again */
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mode0),
        cmocka_unit_test(mode0_gate),
        cmocka_unit_test(mode1),
        cmocka_unit_test(mode2),
        cmocka_unit_test(mode2_gate),
        cmocka_unit_test(mode3_even),
        cmocka_unit_test(mode3_odd),
        cmocka_unit_test(mode3_new_count),
        cmocka_unit_test(mode4),
        cmocka_unit_test(mode5),
        cmocka_unit_test(bcd_counts),
        cmocka_unit_test(modes_6_and_7),
        cmocka_unit_test(byte_access),
        cmocka_unit_test(latch),
        T(irq0_rate),
        T(irq0_one_shot),
        T(irq0_late),
        T(irq0_too_fast),
        T(reads_back),
        T(speaker_port),
        T(refresh_toggles),
        T(nmi_sources),
        T(through_hpet),
        T(pause_and_load),
        T(control_word_moves_out),
        T(nmi_status_stays),
        cmocka_unit_test(no_count_no_trigger),
        cmocka_unit_test(gate_loads_new_count),
        T(refresh_by_counter1),
        T(nmi_again),
        cmocka_unit_test(latch_of_one_byte),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
