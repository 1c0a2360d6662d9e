#include "hw/bus/piix3.h"
#include "pci_toy.h"

enum { ISA = PCI_DEVFN(1, 0) };

struct rig {
    struct board *b;
    struct dev *host, *isa;
};

static int setup(void **state)
{
    struct rig *r = calloc(1, sizeof *r);

    r->b = board_new();
    r->host = board_add(r->b, &i440fx_class, "host");
    r->isa = board_add(r->b, &piix3_class, "isa");
    *state = r;
    return 0;
}

static int teardown(void **state)
{
    struct rig *r = *state;

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

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(registers),       T(routing),       T(sharing),
        T(sci_shares_irq9), T(reset_control), T(reset_keeps_foreign_levels),
        T(loaded),          T(gone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
