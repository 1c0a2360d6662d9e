/* The I/O APIC against the 82093AA datasheet: hw/intc/ioapic.c. */
#include "fake_env.h"

extern const struct dev_class ioapic_class;

enum { IOREGSEL = 0x00, IOWIN = 0x10, EOIR = 0x40 };
#define BASE   0xfec00000ull
#define LEVEL  0x8000u
#define REMOTE 0x4000u
#define MASK   0x10000u

static struct fake *f;
static struct dev *apic;
static struct {
    unsigned n;
    uint64_t address;
    uint32_t data;
} msi;

static void send(void *ctx UNUSED, uint64_t address, uint32_t data)
{
    msi.n++;
    msi.address = address;
    msi.data = data;
}

static int setup(void **state UNUSED)
{
    f = fake_new(1);
    f->env.msi = (struct msi_sink){send, NULL};
    memset(&msi, 0, sizeof msi);
    apic = fake_add(f, &ioapic_class);
    return 0;
}

static int teardown(void **state UNUSED)
{
    fake_free(f);
    return 0;
}

static uint32_t reg(unsigned r)
{
    set_mem32(f, BASE + IOREGSEL, r);
    return mem32(f, BASE + IOWIN);
}

static void set_reg(unsigned r, uint32_t v)
{
    set_mem32(f, BASE + IOREGSEL, r);
    set_mem32(f, BASE + IOWIN, v);
}

static void set_rte(unsigned pin, uint32_t high, uint32_t low)
{
    set_reg(0x11 + 2 * pin, high);
    set_reg(0x10 + 2 * pin, low);
}

static void line(unsigned pin, bool level)
{
    irq_set(&f->env.gsi[pin], level);
}

static void identification(void **state UNUSED)
{
    assert_int_equal(reg(0), 0);
    assert_int_equal(reg(1), 0x00170020);
    set_reg(0, 0xff123456);
    assert_int_equal(reg(0), 0x0f000000);
    assert_int_equal(reg(2), 0x0f000000); /* arbitration ID follows */
    set_reg(1, 0);
    assert_int_equal(reg(1), 0x00170020);
    assert_int_equal(reg(0x40), 0); /* past the table */
    set_mem32(f, BASE + IOREGSEL, 1);
    assert_int_equal(mem32(f, BASE + IOREGSEL), 1);
}

static void table_bits(void **state UNUSED)
{
    for (unsigned n = 0; n < 24; n++) {
        assert_int_equal(reg(0x10 + 2 * n), MASK);
        assert_int_equal(reg(0x11 + 2 * n), 0);
    }
    set_rte(23, 0xffffffff, 0xffffffff);
    assert_int_equal(reg(0x3f), 0xff000000);
    /* Delivery status and remote IRR are read-only. */
    assert_int_equal(reg(0x3e), 0x0001afff);
}

static void edge_message(void **state UNUSED)
{
    set_rte(4, 0x05000000, 0x0000 | 0x0800 | 0x0100 | 0x41);
    line(4, true);
    assert_int_equal(msi.n, 1);
    assert_int_equal(msi.address, 0xfee05004); /* to logical 5 */
    assert_int_equal(msi.data, 0x4141);        /* lowest priority, assert */
    line(4, true);
    assert_int_equal(msi.n, 1);
    line(4, false);
    line(4, true);
    assert_int_equal(msi.n, 2);
}

static void masked_edge_is_lost(void **state UNUSED)
{
    set_rte(4, 0, MASK | 0x41);
    line(4, true);
    set_rte(4, 0, 0x41);
    assert_int_equal(msi.n, 0);
    line(4, false);
    line(4, true);
    assert_int_equal(msi.n, 1);
}

static void level_until_eoi(void **state UNUSED)
{
    set_rte(16, 0, LEVEL | 0x51);
    line(16, true);
    assert_int_equal(msi.n, 1);
    assert_int_equal(msi.data, 0xc051);
    assert_int_equal(reg(0x30), LEVEL | REMOTE | 0x51);
    line(16, false);
    line(16, true);
    assert_int_equal(msi.n, 1); /* remote IRR holds it */
    f->env.eoi.eoi(f->env.eoi.ctx, 0x52);
    assert_int_equal(msi.n, 1); /* another vector */
    f->env.eoi.eoi(f->env.eoi.ctx, 0x51);
    assert_int_equal(msi.n, 2); /* still asserted */
    line(16, false);
    f->env.eoi.eoi(f->env.eoi.ctx, 0x51);
    assert_int_equal(msi.n, 2);
    assert_int_equal(reg(0x30), LEVEL | 0x51);
}

static void level_mask(void **state UNUSED)
{
    set_rte(16, 0, LEVEL | MASK | 0x51);
    line(16, true);
    assert_int_equal(msi.n, 0);
    set_rte(16, 0, LEVEL | 0x51);
    assert_int_equal(msi.n, 1);
    /* Mask and unmask while it is in service: no second message. */
    set_rte(16, 0, LEVEL | MASK | 0x51);
    set_rte(16, 0, LEVEL | 0x51);
    assert_int_equal(msi.n, 1);
}

static void eoi_register(void **state UNUSED)
{
    set_rte(16, 0, LEVEL | 0x51);
    set_rte(17, 0, LEVEL | 0x51);
    line(16, true);
    line(17, true);
    assert_int_equal(msi.n, 2);
    set_mem32(f, BASE + EOIR, 0x51); /* shared vector: both */
    assert_int_equal(msi.n, 4);
}

/* Switching to edge and back forgets remote IRR: how old systems do an EOI. */
static void edge_clears_remote_irr(void **state UNUSED)
{
    set_rte(16, 0, LEVEL | 0x51);
    line(16, true);
    line(16, false);
    assert_int_equal(reg(0x30) & REMOTE, REMOTE);
    set_rte(16, 0, MASK | 0x51);
    set_rte(16, 0, LEVEL | 0x51);
    assert_int_equal(reg(0x30) & REMOTE, 0);
}

/* NMI, SMI, INIT and ExtINT are edges whatever the trigger bit says. */
static void modes_are_edges(void **state UNUSED)
{
    static const uint32_t mode[] = {2, 4, 5, 7};

    for (unsigned n = 0; n < 4; n++) {
        set_rte(n, 0, LEVEL | mode[n] << 8);
        line(n, true);
        assert_int_equal(msi.n, n + 1);
        assert_int_equal(msi.data, 0x4000 | mode[n] << 8);
        assert_int_equal(reg(0x10 + 2 * n) & REMOTE, 0);
    }
}

static void partial_accesses(void **state UNUSED)
{
    set_rte(3, 0, 0x41);
    set_mem32(f, BASE + IOREGSEL, 0x16);
    space_write_locked(f->env.mem, BASE + IOWIN, 0xff, 1);
    assert_int_equal(reg(0x16), 0x41);
    assert_int_equal(mem32(f, BASE + 0x80), 0);
    set_mem32(f, BASE + 0x80, ~0u);
}

static void reset_keeps_lines(void **state UNUSED)
{
    line(16, true);
    ioapic_class.reset(apic, false);
    set_rte(16, 0, LEVEL | 0x51);
    assert_int_equal(msi.n, 1);
    assert_int_equal(ioapic_class.loaded(apic, 1), 0);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(identification),    T(table_bits),
        T(edge_message),      T(masked_edge_is_lost),
        T(level_until_eoi),   T(level_mask),
        T(eoi_register),      T(edge_clears_remote_irr),
        T(modes_are_edges),   T(partial_accesses),
        T(reset_keeps_lines),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
