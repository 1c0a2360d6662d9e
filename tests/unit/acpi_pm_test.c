/* ACPI fixed hardware: hw/timer/acpi_pm.c. */
#include "fake_env.h"

#include "hw/timer/acpi_pm.h"

#define BASE 0x600
#define HZ   3579545ull

static struct fake *f;
static struct acpi_pm pm;
static struct fake_line sci_line;
static struct irq sci;

static int setup(void **state UNUSED)
{
    f = fake_new(1);
    memset(&sci_line, 0, sizeof sci_line);
    sci = (struct irq){fake_line_set, &sci_line, 0};
    pm = (struct acpi_pm){.env = &f->env, .sci = &sci, .s5_type = 5};
    acpi_pm_init(&pm);
    assert_int_equal(acpi_pm_map(&pm, BASE), 0);
    acpi_pm_reset(&pm);
    return 0;
}

static int teardown(void **state UNUSED)
{
    acpi_pm_pause(&pm);
    acpi_pm_unmap(&pm);
    fake_free(f);
    return 0;
}

static uint64_t half(void)
{
    return (NS_PER_SEC << 23) / HZ;
}

static void timer_counts(void **state UNUSED)
{
    uint32_t a = inl(f, BASE + 8), b;

    fake_advance(f, NS_PER_SEC);
    b = inl(f, BASE + 8);
    assert_in_range((b - a) & 0xffffff, HZ - 1, HZ + 1);
    assert_int_equal(b >> 24, 0);
    outl(f, BASE + 8, 0); /* read-only */
    assert_int_equal(inl(f, BASE + 8), b);
    assert_int_equal(inw(f, BASE + 8), b & 0xffff);
    pm.timer32 = true;
    fake_advance(f, 1000 * NS_PER_SEC);
    assert_true(inl(f, BASE + 8) >> 24);
}

/* TMR_STS: at each change of bit 23, with or without an interrupt. */
static void timer_overflow(void **state UNUSED)
{
    uint32_t before;

    acpi_pm_smi_command(&pm, ACPI_PM_ENABLE);
    fake_advance(f, half() + 1000);
    assert_int_equal(inw(f, BASE) & 1, 1);
    outw(f, BASE, 1);
    assert_int_equal(inw(f, BASE) & 1, 0);
    assert_true(fake_next(f) == UINT64_MAX); /* nobody waits for it */
    outw(f, BASE + 2, 1);
    before = inl(f, BASE + 8);
    fake_advance(f, half() + 1000);
    assert_true(sci_line.level);
    assert_true((before ^ inl(f, BASE + 8)) & 0x800000);
    outw(f, BASE, 1);
    assert_false(sci_line.level);
    fake_advance(f, half());
    assert_true(sci_line.level);
    assert_int_equal(sci_line.rises, 2);
}

static void sci_needs_enable(void **state UNUSED)
{
    outw(f, BASE + 2, PM1_PWRBTN);
    assert_false(acpi_pm_power_button(&pm));
    assert_int_equal(inw(f, BASE), PM1_PWRBTN);
    assert_false(sci_line.level);
    acpi_pm_smi_command(&pm, ACPI_PM_ENABLE);
    assert_int_equal(inw(f, BASE + 4), PM1_SCI_EN);
    assert_true(sci_line.level);
    assert_true(acpi_pm_power_button(&pm));
    outw(f, BASE, 0xffff);
    assert_false(sci_line.level);
    assert_int_equal(inw(f, BASE), 0);
    acpi_pm_smi_command(&pm, 0x55);
    assert_int_equal(inw(f, BASE + 4), PM1_SCI_EN);
    acpi_pm_smi_command(&pm, ACPI_PM_DISABLE);
    assert_int_equal(inw(f, BASE + 4), 0);
}

/* The alarm, whoever has IRQ 8. */
static void rtc_event(void **state UNUSED)
{
    acpi_pm_smi_command(&pm, ACPI_PM_ENABLE);
    acpi_pm_rtc(&pm);
    assert_int_equal(inw(f, BASE), PM1_RTC);
    assert_false(sci_line.level);
    outw(f, BASE + 2, PM1_RTC);
    assert_true(sci_line.level);
    outw(f, BASE, PM1_RTC);
    assert_false(sci_line.level);
    acpi_pm_rtc(&pm);
    assert_true(sci_line.level);
}

static void bytes_and_dwords(void **state UNUSED)
{
    acpi_pm_power_button(&pm);
    outb(f, BASE, 0xff); /* the other half */
    assert_int_equal(inb(f, BASE + 1), 1);
    outb(f, BASE + 3, 0x01);
    assert_int_equal(inl(f, BASE), 0x01000100);
    outl(f, BASE, 0x00210100);
    assert_int_equal(inl(f, BASE), 0x00210000);
    outb(f, BASE + 2, 0xff); /* what is not there reads 0 */
    outb(f, BASE + 3, 0xff);
    assert_int_equal(inw(f, BASE + 2), 0x0721);
}

static void soft_off(void **state UNUSED)
{
    outw(f, BASE + 4, 5 << 10);
    assert_int_equal(f->power_off, 0);
    assert_int_equal(inw(f, BASE + 4), 5 << 10);
    outw(f, BASE + 4, 1 << 10 | PM1_SLP_EN); /* another state */
    assert_int_equal(f->power_off, 0);
    outw(f, BASE + 4, 5 << 10 | PM1_SLP_EN);
    assert_int_equal(f->power_off, 1);
    assert_int_equal(inw(f, BASE + 4), 5 << 10); /* SLP_EN reads 0 */
}

static void general_purpose(void **state UNUSED)
{
    acpi_pm_smi_command(&pm, ACPI_PM_ENABLE);
    acpi_pm_gpe(&pm, 1);
    assert_int_equal(inw(f, BASE + 0xc), 2);
    assert_false(sci_line.level);
    outw(f, BASE + 0xe, 2);
    assert_true(sci_line.level);
    outw(f, BASE + 0xc, 2);
    assert_false(sci_line.level);
    assert_int_equal(inl(f, BASE + 0xc), 0x00020000);
}

static void moves(void **state UNUSED)
{
    assert_int_equal(acpi_pm_map(&pm, 0xb000), 0);
    outw(f, 0xb002, PM1_PWRBTN);
    assert_int_equal(inw(f, 0xb002), PM1_PWRBTN);
    assert_int_equal(inw(f, BASE + 2), 0xffff);
}

static void load_checks(void **state UNUSED)
{
    assert_int_equal(acpi_pm_loaded(&pm), 0);
    pm.en = 0x8000;
    assert_int_equal(acpi_pm_loaded(&pm), -LE_FORMAT);
    pm.en = PM1_TMR;
    assert_int_equal(acpi_pm_loaded(&pm), 0);
    assert_true(fake_next(f) != UINT64_MAX);
    acpi_pm_pause(&pm);
    assert_true(fake_next(f) == UINT64_MAX);
    acpi_pm_resume(&pm);
    assert_true(fake_next(f) != UINT64_MAX);
}

static void status_writes(void **state UNUSED)
{
    acpi_pm_power_button(&pm);
    outw(f, BASE, 0);
    outw(f, BASE, PM1_TMR | PM1_GBL);
    assert_int_equal(inw(f, BASE), PM1_PWRBTN);
    /* A status that came in the meantime is not lost to the write. */
    f->now += half() + 1000;
    outw(f, BASE + 2, 0);
    assert_int_equal(inw(f, BASE), PM1_PWRBTN | PM1_TMR);
    acpi_pm_gpe(&pm, 3);
    outw(f, BASE + 0xc, 1);
    assert_int_equal(inw(f, BASE + 0xc), 8);
    pm.sts = PM1_WAK | PM1_BM;
    assert_int_equal(acpi_pm_loaded(&pm), 0);
    pm.sts = 2;
    assert_int_equal(acpi_pm_loaded(&pm), -LE_FORMAT);
    pm.sts = 0;
    pm.cnt = PM1_SLP_EN;
    assert_int_equal(acpi_pm_loaded(&pm), -LE_FORMAT);
}

/* PIIX4 lets software set SCI_EN itself. */
static void sci_by_control(void **state UNUSED)
{
    outw(f, BASE + 2, PM1_PWRBTN);
    acpi_pm_power_button(&pm);
    outb(f, BASE + 4, PM1_SCI_EN);
    assert_true(sci_line.level);
    outb(f, BASE + 5, 0x14); /* the other byte */
    assert_int_equal(inw(f, BASE + 4), 0x1401);
    outw(f, BASE + 4, 0);
    assert_false(sci_line.level);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(timer_counts),     T(timer_overflow),
        T(sci_needs_enable), T(rtc_event),
        T(bytes_and_dwords), T(soft_off),
        T(general_purpose),  T(moves),
        T(load_checks),      T(status_writes),
        T(sci_by_control),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
