/* Small ports: hw/char/{debug_exit,port80,port92,testdev}.c,
   hw/intc/ferr.c. */
#include "fake_env.h"
#include "hw/registry.h"

extern const struct dev_class debug_exit_class, dma8237_class, ferr_class,
    port80_class, port92_class, testdev_class;

static struct fake *f;

static int setup(void **state UNUSED)
{
    f = fake_new(1);
    return 0;
}

static int teardown(void **state UNUSED)
{
    fake_free(f);
    return 0;
}

static void exits(void **state UNUSED)
{
    struct dev *d;

    fake_add(f, &debug_exit_class);
    assert_int_equal(inb(f, 0xf4), 0);
    outb(f, 0xf4, 0x2a);
    assert_int_equal(f->debug_exit, 1);
    assert_int_equal(f->exit_value, 0x2a);
    outl(f, 0xf4, 0x12345678);
    assert_int_equal(f->debug_exit, 2); /* one access, whatever its width */
    assert_int_equal(f->exit_value, 0x12345678);
    d = fake_make(&debug_exit_class);
    fake_set_u32(d, "iobase", 0x501);
    fake_attach(f, d);
    outb(f, 0x501, 1);
    assert_int_equal(f->debug_exit, 3);
}

static void post_codes(void **state UNUSED)
{
    fake_add(f, &port80_class);
    fake_add(f, &dma8237_class); /* below it, whatever the order */
    outb(f, 0x80, 0x55);
    assert_int_equal(inb(f, 0x80), 0x55);
    outw(f, 0x80, 0x1234);
    assert_int_equal(inb(f, 0x80), 0x34);
}

/* FERR# is IRQ 13, till port 0xf0 asserts IGNNE#, till FERR# goes away. */
static void floating_point_errors(void **state UNUSED)
{
    struct dev *d = fake_add(f, &ferr_class);
    struct ferr_sink *sink = &f->env.ferr;
    struct fake_line irq13 = {0};

    f->env.isa_irq[13] = (struct irq){fake_line_set, &irq13, 0};
    outb(f, 0xf0, 0); /* says nothing without an error */
    assert_false(sink->set(sink->ctx, true));
    assert_true(irq13.level);
    assert_false(sink->set(sink->ctx, true));
    outb(f, 0xf0, 0);
    assert_false(irq13.level);
    assert_true(sink->set(sink->ctx, true));
    sink->set(sink->ctx, false);
    assert_false(sink->set(sink->ctx, true)); /* a new one */
    assert_true(irq13.level);
    sink->set(sink->ctx, false); /* FNCLEX alone does */
    assert_false(irq13.level);
    sink->set(sink->ctx, true);
    ferr_class.reset(d, false);
    assert_false(irq13.level);
}

static void fast_a20_and_reset(void **state UNUSED)
{
    struct dev *d = fake_add(f, &port92_class);

    fake_add(f, dev_class_find("i8042"));
    assert_int_equal(inb(f, 0x92), 2);
    outb(f, 0x92, 0x00);
    assert_false(f->a20);
    assert_int_equal(inb(f, 0x92), 0);
    /* One gate with two handles: the other one's is this one's. */
    outb(f, 0x64, 0xd1);
    outb(f, 0x60, 0xdf);
    assert_true(f->a20);
    assert_int_equal(inb(f, 0x92), 2);
    outb(f, 0x92, 0x00);
    assert_false(f->a20);
    outb(f, 0x64, 0xd0);
    assert_int_equal(inb(f, 0x60) & 2, 0);
    outb(f, 0x92, 0x02);
    outb(f, 0x64, 0xdd);
    assert_false(f->a20);
    outb(f, 0x92, 0x03);
    assert_int_equal(f->reset, 1);
    outb(f, 0x92, 0x03); /* no edge */
    assert_int_equal(f->reset, 1);
    port92_class.reset(d, false);
    assert_true(f->a20); /* as it was */
    outb(f, 0x92, 0x01);
    assert_int_equal(f->reset, 2);
}

static struct {
    unsigned n;
    gpa_t a;
    size_t size;
} wrote;

static void on_wrote(void *ctx UNUSED, gpa_t a, size_t n)
{
    wrote.n++;
    wrote.a = a;
    wrote.size = n;
}

static void test_ports(void **state UNUSED)
{
    struct space_listener listener = {.wrote = on_wrote};
    static struct fake_line isa[16], gsi[24];

    fake_add(f, &testdev_class);
    for (unsigned n = 0; n < 16; n++)
        f->env.isa_irq[n] = (struct irq){fake_line_set, isa, n};
    for (unsigned n = 0; n < 24; n++)
        f->env.gsi[n] = (struct irq){fake_line_set, gsi, n};
    outl(f, 0xe0, 0x12345678);
    assert_int_equal(inl(f, 0xe0), 0x12345678);
    assert_int_equal(inb(f, 0xe1), 0x56);
    outb(f, 0xe2, 0xab);
    assert_int_equal(inl(f, 0xe0), 0x12ab5678);
    assert_int_equal(inl(f, 0xe8), 0x12ab5678); /* the same, bytewise */
    outw(f, 0xe8, 0xbeef);
    assert_int_equal(inw(f, 0xe0), 0xbeef);
    space_listen(f->env.mem, &listener);
    outl(f, 0xe4, 0x12345678);
    assert_int_equal(wrote.n, 1);
    assert_int_equal(wrote.a, 0x12345000);
    assert_int_equal(wrote.size, 4096);
    outb(f, 0x2000 + 5, 1);
    assert_true(isa[5].level);
    outl(f, 0x2000 + 5, 0);
    assert_false(isa[5].level);
    outb(f, 0x2000 + 17, 1);
    assert_true(gsi[17].level);
    space_write_locked(f->env.mem, 0xff00fff8, 0x1122334455667788, 8);
    assert_int_equal(space_read_locked(f->env.mem, 0xff00fff8, 8),
                     0x1122334455667788);
    assert_int_equal(space_read_locked(f->env.mem, 0xff00fff9, 2), 0x6677);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(exits),
        T(post_codes),
        T(floating_point_errors),
        T(fast_a20_and_reset),
        T(test_ports),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
