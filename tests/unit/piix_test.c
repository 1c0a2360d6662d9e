#include "hw/bus/piix3.h"
#include "hw/bus/piix4_pm.h"
#include "pci_toy.h"

enum { ISA = PCI_DEVFN(1, 0), PM = PCI_DEVFN(1, 3), PM_BASE = 0x600 };

extern const struct dev_class piix4_pm_class;

struct rig {
    struct board *b;
    struct dev *host, *isa, *pm;
};

static int setup(void **state)
{
    struct rig *r = calloc(1, sizeof *r);

    r->b = board_new();
    r->host = board_add(r->b, &i440fx_class, "host");
    r->isa = board_add(r->b, &piix3_class, "isa");
    r->pm = board_add(r->b, &piix4_pm_class, "pm");
    conf_write(r->b, PM, 0x40, PM_BASE, 4);
    conf_write(r->b, PM, 0x80, 1, 1);
    *state = r;
    return 0;
}

static int teardown(void **state)
{
    struct rig *r = *state;

    board_remove(r->pm);
    board_remove(r->isa);
    board_remove(r->host);
    board_free(r->b);
    free(r);
    return 0;
}

static void registers(void **state)
{
    struct board *b = ((struct rig *)*state)->b;

    assert_int_equal(conf_read(b, ISA, 0, 4), 0x70008086);
    assert_int_equal(conf_read(b, ISA, 8, 4), 0x06010000);
    assert_int_equal(conf_read(b, ISA, 4, 4), 0x02000007);
    assert_int_equal(conf_read(b, ISA, 0x60, 4), 0x80808080);
    conf_write(b, ISA, 0x60, 0xffffffff, 4);
    assert_int_equal(conf_read(b, ISA, 0x60, 4), 0x8f8f8f8f);
}

static void routing(void **state)
{
    struct board *b = ((struct rig *)*state)->b;
    struct irq *pirq = b->env.pci->pirq;

    irq_set(&pirq[2], true);
    for (unsigned n = 0; n < 16; n++)
        assert_false(b->isa[n]); /* off after reset */
    assert_true(b->gsi[18] && !b->gsi[16] && !b->gsi[17] && !b->gsi[19]);
    for (unsigned n = 0; n < 16; n++) {
        bool valid = n >= 3 && n != 8 && n != 13;
        conf_write(b, ISA, 0x62, n, 1);
        for (unsigned m = 0; m < 16; m++)
            assert_int_equal(b->isa[m], valid && m == n);
    }
    conf_write(b, ISA, 0x62, 0x8b, 1);
    for (unsigned m = 0; m < 16; m++)
        assert_false(b->isa[m]);
}

static void sharing(void **state)
{
    struct board *b = ((struct rig *)*state)->b;
    struct irq *pirq = b->env.pci->pirq;

    conf_write(b, ISA, 0x60, 0x0b0b0a0a, 4);
    irq_set(&pirq[0], true);
    irq_set(&pirq[1], true);
    assert_true(b->isa[10]);
    irq_set(&pirq[0], false);
    assert_true(b->isa[10]);
    irq_set(&pirq[3], true);
    assert_true(b->isa[11]);
    irq_set(&pirq[1], false);
    irq_set(&pirq[3], false);
    assert_false(b->isa[10] || b->isa[11]);
    assert_int_equal(b->isa_rises[10], 1);
}

static void sci_shares_irq9(void **state)
{
    struct board *b = ((struct rig *)*state)->b;
    struct irq sci = piix3_sci(b->env.pci);

    conf_write(b, ISA, 0x60, 9, 1);
    irq_set(&sci, true);
    irq_set(&b->env.pci->pirq[0], true);
    irq_set(&sci, false);
    assert_true(b->isa[9]);
    irq_set(&b->env.pci->pirq[0], false);
    assert_false(b->isa[9]);
    assert_int_equal(b->isa_rises[9], 1);
}

static void reset_control(void **state)
{
    struct board *b = ((struct rig *)*state)->b;

    /* The configuration address next to it is not disturbed. */
    out(b, 0xcf8, 0x80000800, 4);
    out(b, 0xcf9, 0x02, 1);
    assert_int_equal(b->resets, 0);
    assert_int_equal(in(b, 0xcf9, 1), 0x02);
    assert_int_equal(in(b, 0xcf8, 4), 0x80000800);
    out(b, 0xcf9, 0x06, 1);
    assert_int_equal(b->resets, 1);
    out(b, 0xcf9, 0x06, 1);
    assert_int_equal(b->resets, 1);
    out(b, 0xcf9, 0x00, 1);
    out(b, 0xcf9, 0x0e, 1); /* as systems do for a full reset */
    assert_int_equal(b->resets, 2);
    out(b, 0xcf9, 0x00, 1);
    out(b, 0xcf9, 0x04, 1);
    assert_int_equal(b->resets, 2);
    assert_int_equal(b->inits, 1);
    /* A dword write here is a configuration address, no reset. */
    out(b, 0xcf9, 0x00, 1);
    out(b, 0xcf8, 0x80000600, 4);
    assert_int_equal(b->resets, 2);
}

static void reset_keeps_foreign_levels(void **state)
{
    struct rig *r = *state;
    struct board *b = r->b;

    conf_write(b, ISA, 0x60, 10, 1);
    irq_set(&b->env.pci->pirq[0], true);
    out(b, 0xcf9, 0x02, 1);
    r->isa->cls->reset(r->isa, false);
    assert_false(b->isa[10]);
    assert_int_equal(in(b, 0xcf9, 1), 0);
    conf_write(b, ISA, 0x60, 10, 1);
    assert_true(b->isa[10]);
}

static void loaded(void **state)
{
    struct rig *r = *state;
    struct board *b = r->b;

    /* Lines that are nobody's of ours are left alone. */
    irq_set(&b->env.isa_irq[4], true);
    irq_set(&b->env.isa_irq[11], true);
    memcpy(b->env.pci->dev[ISA]->config + 0x60, "\x0b\x0a\x80\x80", 4);
    assert_int_equal(r->isa->cls->loaded(r->isa, 1), 0);
    assert_true(b->isa[4]);
    assert_false(b->isa[11]);
    irq_set(&b->env.pci->pirq[1], true);
    assert_true(b->isa[10]);
}

static void gone(void **state)
{
    struct rig *r = *state;
    struct board *b = r->b;

    board_remove(r->isa);
    irq_set(&b->env.pci->pirq[0], true);
    assert_int_equal(in(b, 0xcf9, 1), 0xff);
    out(b, 0xcf9, 0x06, 1);
    assert_int_equal(b->resets, 0);
    irq_set(&(struct irq){0}, true);
    assert_null(piix3_sci(b->env.pci).set);
    r->isa = board_add(b, &piix3_class, "isa");
}

/* --- power management --- */

static void pm_registers(void **state)
{
    struct board *b = ((struct rig *)*state)->b;

    assert_int_equal(conf_read(b, PM, 0, 4), 0x71138086);
    assert_int_equal(conf_read(b, PM, 8, 4) >> 8, 0x068000);
    assert_int_equal(conf_read(b, ISA, PCI_HEADER, 1), 0x80);
    conf_write(b, PM, 0x40, 0xffffffff, 4);
    assert_int_equal(conf_read(b, PM, 0x40, 4), 0xffc1);
    conf_write(b, PM, 0x90, 0xffffffff, 4);
    assert_int_equal(conf_read(b, PM, 0x90, 4), 0xfff1);
    /* No SMM: firmware sees that somebody set it up. */
    assert_int_equal(conf_read(b, PM, 0x58, 4), 1 << 25);
}

static void pm_moves(void **state)
{
    struct rig *r = *state;
    struct board *b = r->b;

    out(b, PM_BASE + 4, 0x0001, 2);
    assert_int_equal(in(b, PM_BASE + 4, 2), 0x0001);
    assert_int_equal(in(b, PM_BASE + 0x30, 1), 0xff);
    conf_write(b, PM, 0x40, 0xb000, 4);
    assert_int_equal(in(b, PM_BASE + 4, 2), 0xffff);
    assert_int_equal(in(b, 0xb004, 2), 0x0001);
    out(b, 0xb020, 0xffff, 2);
    assert_int_equal(in(b, 0xb020, 2), 0x0fff);
    conf_write(b, PM, 0x80, 0, 1);
    assert_int_equal(in(b, 0xb004, 2), 0xffff);
    assert_int_equal(in(b, 0xb020, 2), 0xffff);
    conf_write(b, PM, 0x40, 0xffc0, 4); /* the last there is */
    conf_write(b, PM, 0x80, 1, 1);
    assert_int_equal(in(b, 0xffc4, 2), 0x0001);
    r->pm->cls->reset(r->pm, true);
    assert_int_equal(in(b, 0xffc4, 2), 0xffff);
}

static void power_off(void **state)
{
    struct board *b = ((struct rig *)*state)->b;

    out(b, PM_BASE + 4, 5 << 10 | 1 << 13, 2);
    assert_int_equal(b->power_offs, 0);
    out(b, PM_BASE + 4, 0 << 10 | 1 << 13, 2);
    assert_int_equal(b->power_offs, 1);
}

static void power_button(void **state)
{
    struct rig *r = *state;
    struct board *b = r->b;

    assert_false(piix4_pm_power_button(r->pm));
    out(b, PM_BASE, 1 << 8, 2);
    out(b, 0xb2, 0xf1, 1); /* ACPI on */
    assert_int_equal(in(b, PM_BASE + 4, 2) & 1, 1);
    out(b, PM_BASE + 2, 1 << 8, 2);
    assert_true(piix4_pm_power_button(r->pm));
    assert_true(b->isa[9]);
    out(b, PM_BASE, 1 << 8, 2);
    assert_false(b->isa[9]);
    out(b, 0xb2, 0xf0, 1);
    assert_int_equal(in(b, PM_BASE + 4, 2) & 1, 0);
    assert_int_equal(b->smis, 0);
}

static void apm_ports(void **state)
{
    struct rig *r = *state;
    struct board *b = r->b;

    out(b, 0xb3, 0x5a, 1);
    out(b, 0xb2, 0x12, 1);
    assert_int_equal(in(b, 0xb2, 2), 0x5a12);
    assert_int_equal(b->smis, 0);
    /* With SMM it is for firmware to enable. */
    board_remove(r->pm);
    r->pm = board_make(b, &piix4_pm_class, "pm");
    *(bool *)board_prop(r->pm, "smm") = true;
    board_attach(b, r->pm);
    out(b, 0xb2, 1, 1);
    assert_int_equal(b->smis, 0);
    conf_write(b, PM, 0x58, 1 << 25, 4);
    out(b, 0xb2, 1, 1);
    assert_int_equal(b->smis, 1);
}

static void smbus(void **state)
{
    struct board *b = ((struct rig *)*state)->b;

    conf_write(b, PM, 0x90, 0x700, 4);
    conf_write(b, PM, 0xd2, 9, 1);
    assert_int_equal(in(b, 0x700, 1), 0xff); /* decoding is off */
    conf_write(b, PM, PCI_COMMAND, PCI_CMD_IO, 2);
    assert_int_equal(in(b, 0x700, 1), 0);
    /* Nobody acknowledges any address. */
    for (unsigned a = 0; a < 256; a++) {
        out(b, 0x704, a, 1);
        out(b, 0x702, 0x48, 1);
        assert_int_equal(in(b, 0x700, 1), 0x04);
        assert_int_equal(in(b, 0x702, 1), 0x08);
        out(b, 0x700, 0x04, 1);
        assert_int_equal(in(b, 0x700, 1), 0);
    }
    assert_false(b->isa[9]);
    out(b, 0x702, 0x49, 1);
    assert_true(b->isa[9]);
    out(b, 0x700, 0xff, 1);
    assert_false(b->isa[9]);
    out(b, 0x702, 0x02, 1);
    assert_int_equal(in(b, 0x700, 1), 0x10); /* killed */
    /* The block buffer starts over when the control register is read. */
    in(b, 0x702, 1);
    for (unsigned i = 0; i < 33; i++)
        out(b, 0x707, i + 1, 1);
    in(b, 0x702, 1);
    assert_int_equal(in(b, 0x707, 1), 33);
    assert_int_equal(in(b, 0x707, 1), 2);
    conf_write(b, PM, 0xd2, 8, 1);
    assert_int_equal(in(b, 0x700, 1), 0xff);
}

/* What the RTC puts out is an event of ACPI's. */
static void rtc_event(void **state)
{
    struct rig *r = *state;
    struct board *b = r->b;

    out(b, PM_BASE + 4, 1, 2);
    out(b, PM_BASE + 2, 1 << 10, 2);
    irq_set(&b->env.rtc_event, false);
    assert_false(b->isa[9]);
    irq_set(&b->env.rtc_event, true);
    assert_true(b->isa[9]);
    out(b, PM_BASE, 1 << 10, 2);
    assert_false(b->isa[9]); /* although the RTC still asks */
}

static void pm_saved(void **state)
{
    struct rig *r = *state;
    struct board *b = r->b;
    const struct dev_class *cls = r->pm->cls;
    size_t n = state_size(cls->state, 1);
    uint8_t *bytes = malloc(n);
    struct err e = {0};

    out(b, PM_BASE + 4, 1, 2);
    out(b, PM_BASE + 2, 1 << 8, 2);
    piix4_pm_power_button(r->pm);
    state_save(cls->state, 1, r->pm, bytes);
    cls->reset(r->pm, true);
    assert_false(b->isa[9]);
    assert_int_equal(state_load(cls->state, 1, r->pm, bytes, n, &e), 0);
    assert_int_equal(cls->loaded(r->pm, 1), 0);
    assert_true(b->isa[9]);
    assert_int_equal(in(b, PM_BASE + 2, 2), 1 << 8);
    free(bytes);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(registers),       T(routing),       T(sharing),
        T(sci_shares_irq9), T(reset_control), T(reset_keeps_foreign_levels),
        T(loaded),          T(gone),          T(pm_registers),
        T(pm_moves),        T(power_off),     T(power_button),
        T(rtc_event),       T(apm_ports),     T(smbus),
        T(pm_saved),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
