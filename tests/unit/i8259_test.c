/* The 8259A pair against its datasheet: hw/intc/i8259.c. */
#include "fake_env.h"

#include "hw/intc/i8259.h"

static struct fake *f;
static struct dev *pic;

static void line(unsigned n, bool level)
{
    irq_set(&f->env.isa_irq[n], level);
}

static void edge(unsigned n)
{
    line(n, false);
    line(n, true);
}

static void init_chips(uint8_t icw4)
{
    outb(f, 0x20, 0x11);
    outb(f, 0x21, 0x30);
    outb(f, 0x21, 0x04);
    outb(f, 0x21, icw4);
    outb(f, 0xa0, 0x11);
    outb(f, 0xa1, 0x70);
    outb(f, 0xa1, 0x02);
    outb(f, 0xa1, 0x01);
}

static int setup(void **state UNUSED)
{
    f = fake_new(1);
    pic = fake_add(f, &i8259_class);
    init_chips(0x01);
    return 0;
}

static int teardown(void **state UNUSED)
{
    fake_free(f);
    return 0;
}

static bool intr(void)
{
    return f->cpu[0].intr;
}

static int ack(void)
{
    return i8259_cpu_ops.ack(pic);
}

static uint8_t read_irr(unsigned port)
{
    outb(f, port, 0x0a);
    return inb(f, port);
}

static uint8_t read_isr(unsigned port)
{
    outb(f, port, 0x0b);
    return inb(f, port);
}

static void one_interrupt(void **state UNUSED)
{
    assert_false(intr());
    edge(4);
    assert_true(intr());
    assert_int_equal(read_irr(0x20), 0x10);
    assert_int_equal(ack(), 0x34);
    assert_false(intr());
    assert_int_equal(read_irr(0x20), 0);
    assert_int_equal(read_isr(0x20), 0x10);
    outb(f, 0x20, 0x20);
    assert_int_equal(read_isr(0x20), 0);
}

/* An edge is served once, however long the line stays up. */
static void edge_needs_rise(void **state UNUSED)
{
    edge(4);
    ack();
    outb(f, 0x20, 0x20);
    assert_false(intr());
    line(4, true);
    assert_false(intr());
    edge(4);
    assert_true(intr());
}

/* A line that falls before its INTA takes its request away. */
static void edge_withdrawn(void **state UNUSED)
{
    edge(4);
    line(4, false);
    assert_false(intr());
    assert_int_equal(ack(), 0x37); /* default IR7, not in service */
    assert_int_equal(read_isr(0x20), 0);
}

static void nesting(void **state UNUSED)
{
    edge(4);
    assert_int_equal(ack(), 0x34);
    edge(5);
    assert_false(intr()); /* lower */
    edge(4);
    assert_false(intr()); /* equal */
    edge(1);
    assert_true(intr()); /* higher */
    assert_int_equal(ack(), 0x31);
    assert_int_equal(read_isr(0x20), 0x12);
    outb(f, 0x20, 0x20); /* ends IR1, the highest in service */
    assert_int_equal(read_isr(0x20), 0x10);
    assert_false(intr());
    outb(f, 0x20, 0x64); /* specific, IR4 */
    assert_true(intr());
    assert_int_equal(ack(), 0x34);
    outb(f, 0x20, 0x20);
    assert_int_equal(ack(), 0x35);
}

static void masks(void **state UNUSED)
{
    outb(f, 0x21, 0x10);
    assert_int_equal(inb(f, 0x21), 0x10);
    edge(4);
    assert_false(intr());
    assert_int_equal(read_irr(0x20), 0x10); /* remembered */
    outb(f, 0x21, 0);
    assert_true(intr());
}

static void cascade(void **state UNUSED)
{
    edge(12);
    assert_true(intr());
    assert_int_equal(read_irr(0x20), 0x04);
    assert_int_equal(read_irr(0xa0), 0x10);
    assert_int_equal(ack(), 0x74);
    assert_int_equal(read_isr(0x20), 0x04);
    assert_int_equal(read_isr(0xa0), 0x10);
    edge(14);
    assert_false(intr());
    outb(f, 0xa0, 0x20);
    outb(f, 0x20, 0x20);
    assert_true(intr());
    assert_int_equal(ack(), 0x76);
}

/* Without SFNM a slave in service is deaf to its own higher inputs. */
static void cascade_blocked(void **state UNUSED)
{
    edge(12);
    ack();
    edge(8);
    assert_false(intr());
    edge(1);
    assert_true(intr());
}

static void special_fully_nested(void **state UNUSED)
{
    init_chips(0x11);
    edge(12);
    ack();
    edge(8);
    assert_true(intr());
    assert_int_equal(ack(), 0x70);
    assert_int_equal(read_isr(0xa0), 0x11);
    edge(3);
    assert_false(intr()); /* lower than the slave on the master */
}

static void spurious(void **state UNUSED)
{
    assert_int_equal(ack(), 0x37);
    assert_int_equal(read_isr(0x20), 0);
    edge(15);
    outb(f, 0xa1, 0x80); /* withdrawn behind the cascade */
    assert_false(intr());
    assert_int_equal(ack(), 0x37);
    assert_int_equal(read_isr(0xa0), 0);
}

static void auto_eoi(void **state UNUSED)
{
    init_chips(0x03);
    edge(4);
    assert_int_equal(ack(), 0x34);
    assert_int_equal(read_isr(0x20), 0);
    edge(5);
    assert_true(intr());
}

static void rotate_in_auto_eoi(void **state UNUSED)
{
    init_chips(0x03);
    outb(f, 0x20, 0x80);
    edge(3);
    ack(); /* IR3 is lowest now: 4, 5, 6, 7, 0 … 3 */
    edge(3);
    edge(0);
    edge(6);
    assert_int_equal(ack(), 0x36);
    assert_int_equal(ack(), 0x30);
    assert_int_equal(ack(), 0x33);
    outb(f, 0x20, 0x00); /* off again; IR3 stays lowest */
    edge(5);
    assert_int_equal(ack(), 0x35);
    edge(4);
    edge(5);
    assert_int_equal(ack(), 0x34);
}

static void rotation(void **state UNUSED)
{
    outb(f, 0x20, 0xc4); /* IR4 is lowest: 5, 6, 7, 0 … 4 */
    edge(0);
    edge(5);
    assert_int_equal(ack(), 0x35);
    outb(f, 0x20, 0xa0); /* rotate on non-specific EOI: IR5 is lowest */
    edge(5);
    assert_int_equal(ack(), 0x30);
    outb(f, 0x20, 0xe0); /* rotate on specific EOI of IR0 */
    assert_int_equal(read_isr(0x20), 0);
    edge(1);
    assert_int_equal(ack(), 0x31);
}

static void special_mask(void **state UNUSED)
{
    edge(3);
    ack();
    outb(f, 0x20, 0x68);
    outb(f, 0x21, 0x08); /* IR3 in service and masked: all others may */
    edge(6);
    assert_true(intr());
    assert_int_equal(ack(), 0x36);
    outb(f, 0x20, 0x20); /* IR3 is masked: this ends IR6 */
    assert_int_equal(read_isr(0x20), 0x08);
    outb(f, 0x20, 0x48); /* special mask mode off */
    edge(6);
    assert_false(intr());
}

static void poll(void **state UNUSED)
{
    outb(f, 0x20, 0x0c);
    assert_int_equal(inb(f, 0x20) & 0x80, 0);
    edge(5);
    outb(f, 0x20, 0x0c);
    assert_int_equal(inb(f, 0x20), 0x85);
    assert_false(intr());
    assert_int_equal(read_isr(0x20), 0x20);
}

static void level_triggered(void **state UNUSED)
{
    outb(f, 0x4d0, 0xff);
    outb(f, 0x4d1, 0xff);
    assert_int_equal(inb(f, 0x4d0), 0xf8);
    assert_int_equal(inb(f, 0x4d1), 0xde);
    line(5, true);
    assert_int_equal(ack(), 0x35);
    outb(f, 0x20, 0x20);
    assert_true(intr()); /* still there */
    ack();
    line(5, false);
    outb(f, 0x20, 0x20);
    assert_false(intr());
    line(11, true);
    assert_int_equal(ack(), 0x73);
    outb(f, 0xa0, 0x20);
    outb(f, 0x20, 0x20);
    assert_int_equal(ack(), 0x73);
}

/* ICW1 clears IMR and the edge memory, and restores IR7 as lowest. */
static void icw1_clears(void **state UNUSED)
{
    outb(f, 0x20, 0xc3);
    outb(f, 0x21, 0xff);
    edge(4);
    init_chips(0x01);
    assert_int_equal(inb(f, 0x21), 0);
    assert_false(intr());
    assert_int_equal(read_irr(0x20), 0);
    edge(4);
    edge(0);
    assert_int_equal(ack(), 0x30);
}

static void single_without_icw4(void **state UNUSED)
{
    outb(f, 0x20, 0x12); /* SNGL, no ICW4 */
    outb(f, 0x21, 0x48);
    outb(f, 0x21, 0xef); /* OCW1 already */
    edge(4);
    assert_int_equal(ack(), 0x4c);
    outb(f, 0x20, 0x20);
    assert_int_equal(inb(f, 0x21), 0xef);
}

static void feeds_ioapic(void **state UNUSED)
{
    static struct fake_line pins[24];

    for (unsigned n = 0; n < 24; n++)
        f->env.gsi[n] = (struct irq){fake_line_set, pins, n};
    edge(0);
    assert_true(pins[2].level);
    edge(9);
    assert_true(pins[9].level);
    assert_true(pins[0].level); /* INTR, as ExtINT */
}

/* A second request that waits makes INTR fall and rise in the INTA. */
static void intr_pulses(void **state UNUSED)
{
    static struct fake_line intr_line;

    memset(&intr_line, 0, sizeof intr_line);
    init_chips(0x03);
    f->env.pic_intr = (struct irq){fake_line_set, &intr_line, 0};
    edge(3);
    edge(4);
    assert_int_equal(intr_line.rises, 1);
    f->env.pic_inta.ack(f->env.pic_inta.ctx);
    assert_int_equal(intr_line.rises, 2);
    assert_true(intr_line.level);
    memset(&f->env.pic_intr, 0, sizeof f->env.pic_intr);
}

static void reset_and_loaded(void **state UNUSED)
{
    edge(4);
    assert_true(intr());
    i8259_class.reset(pic, false);
    assert_false(intr());
    assert_int_equal(i8259_class.loaded(pic, 1), 0);
    assert_int_equal(read_irr(0x20), 0); /* the line is up, the edge gone */
}

/* IR0, the first of all, in service. */
static void highest_blocks(void **state UNUSED)
{
    edge(0);
    ack();
    edge(1);
    edge(7);
    assert_false(intr());
    outb(f, 0x20, 0x20);
    assert_int_equal(ack(), 0x31);
}

static void read_select_stays(void **state UNUSED)
{
    edge(4);
    ack();
    edge(5);
    outb(f, 0x20, 0x0b);
    outb(f, 0x20, 0x08); /* OCW3 that selects nothing */
    assert_int_equal(inb(f, 0x20), 0x10);
    outb(f, 0x20, 0x0a);
    outb(f, 0x20, 0x48);
    assert_int_equal(inb(f, 0x20), 0x20);
}

static void icw1_without_icw4(void **state UNUSED)
{
    init_chips(0x03); /* automatic EOI */
    outb(f, 0x20, 0x10);
    outb(f, 0x21, 0x30);
    outb(f, 0x21, 0x04);
    edge(4);
    assert_int_equal(ack(), 0x34);
    assert_int_equal(read_isr(0x20), 0x10); /* gone */
}

static void poll_slave(void **state UNUSED)
{
    edge(14);
    outb(f, 0x20, 0x0c);
    assert_int_equal(inb(f, 0x21), 0x82); /* any read answers a poll */
    outb(f, 0xa0, 0x0c);
    assert_int_equal(inb(f, 0xa0), 0x86);
    assert_int_equal(read_isr(0xa0), 0x40);
    outb(f, 0xa0, 0x0c);
    assert_int_equal(inb(f, 0xa0), 0x07); /* nothing more */
    assert_int_equal(read_isr(0xa0), 0x40);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(one_interrupt),
        T(edge_needs_rise),
        T(edge_withdrawn),
        T(nesting),
        T(masks),
        T(cascade),
        T(cascade_blocked),
        T(special_fully_nested),
        T(spurious),
        T(auto_eoi),
        T(rotate_in_auto_eoi),
        T(rotation),
        T(special_mask),
        T(poll),
        T(level_triggered),
        T(icw1_clears),
        T(single_without_icw4),
        T(feeds_ioapic),
        T(intr_pulses),
        T(reset_and_loaded),
        T(highest_blocks),
        T(read_select_stays),
        T(icw1_without_icw4),
        T(poll_slave),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
