/* The clock against the MC146818A datasheet: hw/timer/mc146818*.c. */
#include "fake_env.h"

#include <stdio.h>

#include "hw/timer/mc146818.h"
#include "hw/timer/mc146818_time.h"

#define MS 1000000ull

static struct fake *f;
static struct dev *rtc;
static struct fake_line irqs[16], nmi_mask;

/* 2024-02-28 23:59:58 UTC, a Wednesday */
#define START 1709164798ll

static int setup(void **state UNUSED)
{
    f = fake_new(4);
    f->wall = START * (int64_t)NS_PER_SEC - (int64_t)f->now;
    f->env.ram_low = 3ull << 30;
    f->env.ram_high = 5ull << 30;
    memset(irqs, 0, sizeof irqs);
    memset(&nmi_mask, 0, sizeof nmi_mask);
    for (unsigned n = 0; n < 16; n++)
        f->env.isa_irq[n] = (struct irq){fake_line_set, irqs, n};
    f->env.nmi_mask = (struct irq){fake_line_set, &nmi_mask, 0};
    rtc = fake_add(f, &mc146818_class);
    return 0;
}

static int teardown(void **state UNUSED)
{
    fake_free(f);
    return 0;
}

static uint8_t rd(uint8_t r)
{
    outb(f, 0x70, r);
    return inb(f, 0x71);
}

static void wr(uint8_t r, uint8_t v)
{
    outb(f, 0x70, r);
    outb(f, 0x71, v);
}

static void expect_time(const char *want)
{
    char got[64];

    snprintf(got, sizeof got, "%02x%02x-%02x-%02x %02x:%02x:%02x %x",
             rd(RTC_CENTURY), rd(RTC_YEAR), rd(RTC_MONTH), rd(RTC_DAY),
             rd(RTC_HOURS), rd(RTC_MINUTES), rd(RTC_SECONDS),
             rd(RTC_DAY_OF_WEEK));
    assert_string_equal(got, want);
}

static void runs(void **state UNUSED)
{
    expect_time("2024-02-28 23:59:58 4");
    fake_advance(f, 2 * NS_PER_SEC);
    expect_time("2024-02-29 00:00:00 5");
    fake_advance(f, 86400 * NS_PER_SEC);
    expect_time("2024-03-01 00:00:00 6");
    assert_int_equal(rd(RTC_D), 0x80);
    assert_int_equal(rd(RTC_A), 0x26);
    assert_int_equal(rd(RTC_B), 0x02);
}

static void formats(void **state UNUSED)
{
    wr(RTC_B, B_24H | B_BINARY | B_SET);
    /* The bytes stay, and mean something else now. */
    assert_int_equal(rd(RTC_SECONDS), 0x58);
    wr(RTC_B, B_SET | B_BINARY);
    wr(RTC_HOURS, 0x8c); /* 12 PM */
    wr(RTC_MINUTES, 30);
    wr(RTC_SECONDS, 0);
    wr(RTC_DAY, 31);
    wr(RTC_MONTH, 12);
    wr(RTC_YEAR, 99);
    wr(RTC_CENTURY, 19);
    wr(RTC_B, B_BINARY);
    fake_advance(f, NS_PER_SEC * 3600);
    assert_int_equal(rd(RTC_HOURS), 0x81);
    fake_advance(f, NS_PER_SEC * 11 * 3600);
    assert_int_equal(rd(RTC_HOURS), 12); /* midnight */
    assert_int_equal(rd(RTC_CENTURY), 20);
    assert_int_equal(rd(RTC_YEAR), 0);
    assert_int_equal(rd(RTC_MONTH), 1);
    assert_int_equal(rd(RTC_DAY), 1);
}

static void set_while_stopped(void **state UNUSED)
{
    wr(RTC_B, B_SET | B_24H);
    fake_advance(f, 5 * NS_PER_SEC);
    assert_int_equal(rd(RTC_SECONDS), 0x58); /* stands */
    assert_int_equal(rd(RTC_A) & 0x80, 0);
    wr(RTC_SECONDS, 0x30);
    wr(RTC_MINUTES, 0x15);
    wr(RTC_HOURS, 0x07);
    wr(RTC_DAY, 0x04);
    wr(RTC_MONTH, 0x07);
    wr(RTC_YEAR, 0x76);
    wr(RTC_CENTURY, 0x20);
    wr(RTC_DAY_OF_WEEK, 0x01); /* not what it was in truth */
    wr(RTC_B, B_24H);
    expect_time("2076-07-04 07:15:30 1");
    fake_advance(f, 24 * 3600 * NS_PER_SEC);
    expect_time("2076-07-05 07:15:30 2");
    /* A single register while it runs */
    wr(RTC_YEAR, 0x77);
    expect_time("2077-07-05 07:15:30 2");
    mc146818_class.reset(rtc, true); /* battery-backed */
    expect_time("2077-07-05 07:15:30 2");
}

static void garbage_time(void **state UNUSED)
{
    wr(RTC_B, B_SET);
    for (unsigned r = 0; r < 10; r++)
        wr((uint8_t)r, 0xff);
    wr(RTC_CENTURY, 0xff);
    wr(RTC_B, B_PIE | B_AIE | B_UIE);
    fake_advance(f, 3 * NS_PER_SEC);
    for (unsigned r = 0; r < 0x80; r++)
        rd((uint8_t)r);
    assert_int_equal(mc146818_class.loaded(rtc, 1), 0);
    wr(RTC_B, B_SET | B_BINARY);
    wr(RTC_YEAR, 0xff);
    wr(RTC_CENTURY, 0xff);
    wr(RTC_B, B_BINARY); /* the year 25755 */
    assert_int_equal(mc146818_class.loaded(rtc, 1), 0);
}

static void update_in_progress(void **state UNUSED)
{
    fake_advance(f, 997 * MS);
    assert_int_equal(rd(RTC_A) & 0x80, 0);
    fake_advance(f, 1 * MS);
    assert_int_equal(rd(RTC_A) & 0x80, 0x80);
    assert_int_equal(rd(RTC_SECONDS), 0x58);
    fake_advance(f, 2 * MS);
    assert_int_equal(rd(RTC_A) & 0x80, 0);
    assert_int_equal(rd(RTC_SECONDS), 0x59);
}

static void divider_reset(void **state UNUSED)
{
    fake_advance(f, 300 * MS);
    wr(RTC_A, 0x66);
    fake_advance(f, 5 * NS_PER_SEC);
    assert_int_equal(rd(RTC_SECONDS), 0x58);
    wr(RTC_A, 0x26);
    fake_advance(f, 499 * MS);
    assert_int_equal(rd(RTC_SECONDS), 0x58);
    fake_advance(f, 1 * MS);
    assert_int_equal(rd(RTC_SECONDS), 0x59);
}

static void update_interrupt(void **state UNUSED)
{
    wr(RTC_HOURS_ALARM, 0x99);
    rd(RTC_C);
    assert_true(fake_next(f) == UINT64_MAX); /* idle: no host timer */
    wr(RTC_B, B_24H | B_UIE);
    fake_advance(f, 999 * MS);
    assert_false(irqs[8].level);
    fake_advance(f, 1 * MS);
    assert_true(irqs[8].level);
    fake_advance(f, 3 * NS_PER_SEC);
    assert_int_equal(irqs[8].rises, 1);
    assert_int_equal(rd(RTC_C), 0xd0); /* PF comes without PIE */
    assert_false(irqs[8].level);
    assert_int_equal(rd(RTC_C), 0);
    fake_advance(f, NS_PER_SEC);
    assert_int_equal(irqs[8].rises, 2);
    wr(RTC_B, B_24H | B_UIE | B_SET); /* SET clears UIE */
    assert_int_equal(rd(RTC_B), B_24H | B_SET);
    assert_false(irqs[8].level);
}

static void flags_without_interrupts(void **state UNUSED)
{
    rd(RTC_C);
    fake_advance(f, NS_PER_SEC);
    assert_int_equal(rd(RTC_C), 0x50); /* UF and PF, no IRQF */
    fake_advance(f, NS_PER_SEC);
    assert_int_equal(rd(RTC_C), 0x70); /* midnight: the alarm at 00:00:00 */
    assert_int_equal(irqs[8].rises, 0);
    assert_int_equal(rd(RTC_C), 0);
}

static void count_event(void *ctx, unsigned n UNUSED, bool level)
{
    *(unsigned *)ctx += level;
}

static void alarm(void **state UNUSED)
{
    unsigned events = 0;

    wr(RTC_SECONDS_ALARM, 0x05);
    wr(RTC_MINUTES_ALARM, 0x01);
    wr(RTC_HOURS_ALARM, 0x00);
    rd(RTC_C);
    wr(RTC_B, B_24H | B_AIE);
    f->env.rtc_event = (struct irq){count_event, &events, 0};
    fake_advance(f, 66 * NS_PER_SEC);
    assert_int_equal(irqs[8].rises, 0);
    fake_advance(f, NS_PER_SEC);
    assert_int_equal(irqs[8].rises, 1);
    assert_int_equal(events, 1);
    assert_int_equal(rd(RTC_C) & 0xa0, 0xa0);
    fake_advance(f, 86399 * NS_PER_SEC);
    assert_int_equal(irqs[8].rises, 1);
    fake_advance(f, NS_PER_SEC);
    assert_int_equal(irqs[8].rises, 2);
    f->env.rtc_event = (struct irq){0};
}

static void alarm_any(void **state UNUSED)
{
    wr(RTC_SECONDS_ALARM, 0x00);
    wr(RTC_MINUTES_ALARM, 0xff);
    wr(RTC_HOURS_ALARM, 0xc0);
    wr(RTC_B, B_24H | B_AIE);
    for (unsigned i = 0; i < 10; i++) {
        fake_advance(f, 60 * NS_PER_SEC);
        assert_int_equal(irqs[8].rises, i + 1);
        rd(RTC_C);
    }
    wr(RTC_SECONDS_ALARM, 0x61); /* never */
    fake_advance(f, 90000 * NS_PER_SEC);
    assert_int_equal(irqs[8].rises, 10);
    wr(RTC_SECONDS_ALARM, 0xff); /* each second */
    fake_advance(f, NS_PER_SEC);
    assert_int_equal(irqs[8].rises, 11);
}

static void alarm_search(void **state UNUSED)
{
    uint8_t reg[64] = {[RTC_B] = B_BINARY};

    reg[RTC_HOURS_ALARM] = 0x80 | 1; /* 1 PM */
    assert_int_equal(rtc_until_alarm(reg, 0), 13 * 3600);
    assert_int_equal(rtc_until_alarm(reg, 13 * 3600), 86400);
    assert_int_equal(rtc_until_alarm(reg, -1), 13 * 3600 + 1);
    reg[RTC_HOURS_ALARM] = 99;
    reg[RTC_B] |= B_24H;
    assert_int_equal(rtc_until_alarm(reg, 0), 0);
}

static void periodic_rates(void **state UNUSED)
{
    static const uint16_t hz[16] = {0,   256, 128, 8192, 4096, 2048, 1024, 512,
                                    256, 128, 64,  32,   16,   8,    4,    2};

    wr(RTC_B, B_24H | B_PIE);
    for (unsigned rs = 0; rs < 16; rs++) {
        unsigned n = 0;
        uint64_t end;

        wr(RTC_A, (uint8_t)(0x20 | rs));
        rd(RTC_C);
        end = f->now + NS_PER_SEC;
        while (fake_next(f) <= end) {
            fake_advance(f, fake_next(f) - f->now);
            if (irqs[8].level) {
                n++;
                assert_int_equal(rd(RTC_C) & 0xc0, 0xc0);
            }
        }
        fake_advance(f, end - f->now);
        assert_in_range(n, hz[rs] ? hz[rs] - 1u : 0, hz[rs] + 1u);
    }
}

/* Interrupts the guest was late for come faster; none is lost in a second. */
static void periodic_catches_up(void **state UNUSED)
{
    unsigned n = 0;
    uint64_t end;

    wr(RTC_A, 0x26);
    wr(RTC_B, B_24H | B_PIE);
    rd(RTC_C);
    fake_advance(f, 500 * MS); /* 512 periods, nobody reads C */
    assert_int_equal(irqs[8].rises, 1);
    assert_true(fake_next(f) == UINT64_MAX);
    rd(RTC_C);
    end = f->now + 500 * MS;
    while (fake_next(f) <= end) {
        fake_advance(f, fake_next(f) - f->now);
        if (irqs[8].level) {
            n++;
            rd(RTC_C);
        }
    }
    assert_in_range(n, 1020, 1025);
}

static void memory(void **state UNUSED)
{
    wr(0x40, 0x5a);
    assert_int_equal(rd(0x40), 0x5a);
    outb(f, 0x72, 0x40);
    outb(f, 0x73, 0xa5);
    assert_int_equal(inb(f, 0x73), 0xa5);
    assert_int_equal(inb(f, 0x72), 0x40);
    assert_int_equal(rd(0x40), 0x5a);
    wr(RTC_D, 0);
    assert_int_equal(rd(RTC_D), 0x80);
    assert_int_equal(inb(f, 0x70), 0xff);
    assert_int_equal(rd(0x15) | rd(0x16) << 8, 640);
    assert_int_equal(rd(0x17) | rd(0x18) << 8, 0xffff);
    assert_int_equal(rd(0x34) | rd(0x35) << 8, (3072 - 16) * 16);
    assert_int_equal(rd(0x5b) | rd(0x5c) << 8 | rd(0x5d) << 16, 5 << 14);
    assert_int_equal(rd(0x5f), 3);
    mc146818_set_cmos(rtc, 0x3d, 0x12);
    assert_int_equal(rd(0x3d), 0x12);
    unsigned sum = 0;

    mc146818_set_cmos(rtc, 0x10, 0x40);
    for (uint8_t r = 0x10; r < 0x2e; r++)
        sum += rd(r);
    assert_int_equal(rd(0x2e) << 8 | rd(0x2f), sum);
    mc146818_set_cmos(rtc, RTC_SECONDS, 0x12); /* not memory */
    assert_int_equal(rd(RTC_SECONDS), 0x58);
}

static void nmi_bit(void **state UNUSED)
{
    outb(f, 0x70, 0x8f);
    assert_true(nmi_mask.level);
    outb(f, 0x70, 0x0f);
    assert_false(nmi_mask.level);
}

static void reset_and_load(void **state UNUSED)
{
    wr(RTC_B, B_24H | B_UIE | B_PIE | B_AIE | B_SQWE);
    fake_advance(f, 2 * NS_PER_SEC);
    assert_true(irqs[8].level);
    mc146818_class.reset(rtc, false);
    assert_false(irqs[8].level);
    assert_int_equal(rd(RTC_B), B_24H);
    assert_int_equal(rd(RTC_C), 0);
    assert_int_equal(mc146818_class.loaded(rtc, 1), 0);
    mc146818_class.pause(rtc);
    mc146818_class.resume(rtc);
}

/* Every day of 400 years, against a plain count. */
static void calendar(void **state UNUSED)
{
    static const uint8_t length[] = {31, 28, 31, 30, 31, 30,
                                     31, 31, 30, 31, 30, 31};
    uint8_t reg[64] = {[RTC_B] = B_24H | B_BINARY};
    unsigned y = 1970, m = 1, d = 1, shift;

    for (int64_t day = 0; day < 146097; day++) {
        bool leap = (y % 4 == 0 && y % 100) || y % 400 == 0;

        rtc_encode(reg, day * SECONDS_PER_DAY + 3723, 0);
        if (reg[RTC_CENTURY] * 100u + reg[RTC_YEAR] != y ||
            reg[RTC_MONTH] != m || reg[RTC_DAY] != d || reg[RTC_HOURS] != 1 ||
            reg[RTC_MINUTES] != 2 || reg[RTC_SECONDS] != 3)
            fail_msg("%u-%u-%u is wrong", y, m, d);
        assert_int_equal(reg[RTC_DAY_OF_WEEK], (day + 4) % 7 + 1);
        if (rtc_decode(reg, &shift) != day * SECONDS_PER_DAY + 3723 || shift)
            fail_msg("%u-%u-%u does not come back", y, m, d);
        if (++d > length[m - 1] + (leap && m == 2 ? 1u : 0u)) {
            d = 1;
            if (++m > 12) {
                m = 1;
                y++;
            }
        }
    }
}

/* Enabling the periodic interrupt waits for the next period. */
static void periodic_starts_clean(void **state UNUSED)
{
    wr(RTC_A, 0x2f); /* 2 Hz */
    rd(RTC_C);
    fake_advance(f, 2250 * MS);
    rd(RTC_C);
    fake_advance(f, 2 * NS_PER_SEC);
    rd(RTC_C);
    wr(RTC_B, B_24H | B_PIE);
    assert_false(irqs[8].level);
    fake_advance(f, 200 * MS);
    assert_false(irqs[8].level);
    fake_advance(f, 300 * MS);
    assert_true(irqs[8].level);
    wr(RTC_B, B_24H | B_PIE); /* again: nothing is lost */
    assert_true(irqs[8].level);
}

static void before_1970(void **state UNUSED)
{
    uint8_t reg[64] = {[RTC_B] = B_24H | B_BINARY};
    unsigned shift;

    rtc_encode(reg, -1, 0);
    assert_int_equal(reg[RTC_CENTURY] * 100 + reg[RTC_YEAR], 1969);
    assert_int_equal(reg[RTC_MONTH], 12);
    assert_int_equal(reg[RTC_DAY], 31);
    assert_int_equal(reg[RTC_HOURS], 23);
    assert_int_equal(reg[RTC_SECONDS], 59);
    assert_int_equal(rtc_decode(reg, &shift), -1);
    reg[RTC_MONTH] = 0; /* taken as January, the first, the last … */
    reg[RTC_DAY] = 0;
    assert_int_equal(rtc_decode(reg, &shift), -364 * 86400 - 1);
    reg[RTC_MONTH] = 1;
    reg[RTC_DAY] = 99;
    assert_int_equal(rtc_decode(reg, &shift), -334 * 86400 - 1);
    reg[RTC_MONTH] = 99;
    reg[RTC_DAY] = 31;
    assert_int_equal(rtc_decode(reg, &shift), -1);
    reg[RTC_CENTURY] = reg[RTC_YEAR] = 0; /* the year 0 */
    reg[RTC_MONTH] = reg[RTC_DAY] = 1;
    assert_int_equal(rtc_decode(reg, &shift), -719528ll * 86400 + 86399);
    rtc_encode(reg, -719528ll * 86400, 0);
    assert_int_equal(reg[RTC_MONTH], 1);
    assert_int_equal(reg[RTC_DAY], 1);
}

static void paused_catches_up(void **state UNUSED)
{
    wr(RTC_B, B_24H | B_UIE);
    mc146818_class.pause(rtc);
    fake_advance(f, 5 * NS_PER_SEC);
    assert_false(irqs[8].level);
    mc146818_class.resume(rtc);
    assert_true(irqs[8].level);
}

static void update_on_the_second(void **state UNUSED)
{
    wr(RTC_HOURS_ALARM, 0x99);
    fake_advance(f, 300 * MS);
    rd(RTC_C);
    wr(RTC_B, B_24H | B_UIE);
    fake_advance(f, 699 * MS);
    assert_false(irqs[8].level);
    fake_advance(f, 1 * MS);
    assert_true(irqs[8].level);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(runs),
        T(formats),
        T(set_while_stopped),
        T(garbage_time),
        T(update_in_progress),
        T(divider_reset),
        T(update_interrupt),
        T(flags_without_interrupts),
        T(alarm),
        T(alarm_any),
        cmocka_unit_test(alarm_search),
        T(periodic_rates),
        T(periodic_catches_up),
        T(memory),
        T(nmi_bit),
        T(reset_and_load),
        cmocka_unit_test(calendar),
        T(periodic_starts_clean),
        cmocka_unit_test(before_1970),
        T(paused_catches_up),
        T(update_on_the_second),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
