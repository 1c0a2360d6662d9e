/* The UART against the PC16550D datasheet: hw/char/serial*.c. */
#include "fake_env.h"

#include "hw/char/serial16550.h"

extern const struct dev_class serial_class;

enum { RBR = 0x3f8, IER, IIR, LCR, MCR, LSR, MSR, SCR };
enum {
    DR = 0x01,
    OE = 0x02,
    FE = 0x08,
    BI = 0x10,
    THRE = 0x20,
    TEMT = 0x40,
    FIFO_ERROR = 0x80
};

static struct fake *f;
static struct dev *serial;
static struct fake_line isa[16];

/* The endpoint: takes `room` bytes, counts what it is asked. */
static struct {
    uint8_t got[8192];
    size_t n, room;
    unsigned writes, resumes;
} host;

static size_t host_write(void *endpoint UNUSED, const uint8_t *p, size_t n)
{
    size_t take = MIN(n, host.room);

    host.writes++;
    assert_true(host.n + take <= sizeof host.got);
    memcpy(host.got + host.n, p, take);
    host.n += take;
    host.room -= take;
    return take;
}

static void host_resume(void *endpoint UNUSED)
{
    host.resumes++;
}

static struct chardev chardev;

static int setup(void **state UNUSED)
{
    f = fake_new(1);
    memset(isa, 0, sizeof isa);
    memset(&host, 0, sizeof host);
    host.room = SIZE_MAX;
    chardev = (struct chardev){.write = host_write, .resume = host_resume};
    for (unsigned n = 0; n < 16; n++)
        f->env.isa_irq[n] = (struct irq){fake_line_set, isa, n};
    serial = fake_make(&serial_class);
    *(struct chardev **)fake_prop(serial, "chardev") = &chardev;
    fake_attach(f, serial);
    return 0;
}

static int teardown(void **state UNUSED)
{
    fake_free(f);
    return 0;
}

static size_t type(const char *s)
{
    return chardev.receive(chardev.dev, (const uint8_t *)s, strlen(s));
}

static void settle(void)
{
    fake_advance(f, NS_PER_SEC);
}

static void defaults(void **state UNUSED)
{
    assert_int_equal(inb(f, IER), 0);
    assert_int_equal(inb(f, IIR), 0x01);
    assert_int_equal(inb(f, LCR), 0);
    assert_int_equal(inb(f, MCR), 0);
    assert_int_equal(inb(f, LSR), THRE | TEMT);
    assert_int_equal(inb(f, MSR), 0xb0);
    outb(f, SCR, 0x5a);
    assert_int_equal(inb(f, SCR), 0x5a);
    outb(f, IER, 0xff);
    assert_int_equal(inb(f, IER), 0x0f);
    outb(f, MCR, 0xff);
    assert_int_equal(inb(f, MCR), 0x1f);
}

static void divisor_latch(void **state UNUSED)
{
    outb(f, IER, 0x01);
    outb(f, LCR, 0x83);
    outb(f, RBR, 0x34);
    outb(f, IER, 0x12);
    assert_int_equal(inb(f, RBR), 0x34);
    assert_int_equal(inb(f, IER), 0x12);
    outb(f, LCR, 0x03);
    assert_int_equal(inb(f, IER), 0x01);
    assert_int_equal(host.n, 0);
}

static void sends(void **state UNUSED)
{
    outb(f, LCR, 0x03);
    for (const char *s = "hello"; *s; s++) {
        outb(f, RBR, (uint8_t)*s);
        assert_int_equal(inb(f, LSR), THRE | TEMT);
    }
    settle();
    assert_int_equal(host.n, 5);
    assert_memory_equal(host.got, "hello", 5);
    assert_int_equal(host.writes, 1); /* together */
    outb(f, LCR, 0x02);               /* seven bits */
    outb(f, RBR, 0xc1);
    settle();
    assert_int_equal(host.got[5], 0x41);
    outb(f, LCR, 0x43); /* break: the line is not ours */
    outb(f, RBR, 'x');
    settle();
    assert_int_equal(host.n, 6);
}

/* THRE interrupt: when THR empties; and when enabled while it is empty. */
static void thre_rules(void **state UNUSED)
{
    outb(f, LCR, 0x03);
    outb(f, IER, 0x02);
    assert_true(isa[4].level);
    assert_int_equal(inb(f, IIR), 0x02); /* reading it clears it */
    assert_false(isa[4].level);
    assert_int_equal(inb(f, IIR), 0x01);
    outb(f, IER, 0x02); /* was on: nothing new */
    assert_false(isa[4].level);
    outb(f, IER, 0x00);
    outb(f, IER, 0x02); /* reasserted: drivers test for this */
    assert_true(isa[4].level);
    inb(f, IIR);
    outb(f, RBR, 'a');
    assert_true(isa[4].level); /* sent already */
    outb(f, IER, 0x00);
    assert_false(isa[4].level);
    assert_int_equal(inb(f, IIR), 0x01);
    outb(f, IER, 0x02);
    outb(f, LSR, 0); /* read-only */
    assert_int_equal(inb(f, LSR), THRE | TEMT);
    assert_int_equal(inb(f, IIR), 0x02);
}

/* A busy endpoint: the wire's buffer and the FIFO fill, THRE goes. */
static void back_pressure(void **state UNUSED)
{
    unsigned sent = 0;

    host.room = 10;
    outb(f, LCR, 0x03);
    outb(f, 0x3fa, 0x01);
    outb(f, IER, 0x02);
    inb(f, IIR);
    while (inb(f, LSR) & THRE) {
        outb(f, RBR, (uint8_t)sent++);
        inb(f, IIR);
        assert_in_range(sent, 0, 5000);
    }
    assert_int_equal(sent, 10 + UART_WIRE + 1);
    for (unsigned i = 1; i < 16; i++)
        outb(f, RBR, (uint8_t)sent++);
    outb(f, RBR, 0xee); /* the FIFO is full: lost */
    settle();
    assert_false(isa[4].level);
    assert_int_equal(inb(f, LSR) & (THRE | TEMT), 0);
    host.room = SIZE_MAX;
    chardev.writable(chardev.dev);
    assert_true(isa[4].level);
    assert_int_equal(inb(f, IIR), 0xc2);
    settle();
    assert_int_equal(host.n, sent);
    for (unsigned i = 0; i < sent; i++)
        assert_int_equal(host.got[i], i & 0xff);
}

static void receives_without_fifo(void **state UNUSED)
{
    outb(f, LCR, 0x03);
    outb(f, IER, 0x01);
    assert_int_equal(type("ab"), 1);
    assert_true(isa[4].level);
    assert_int_equal(inb(f, IIR), 0x04);
    assert_int_equal(inb(f, LSR), THRE | TEMT | DR);
    assert_int_equal(inb(f, RBR), 'a');
    assert_int_equal(host.resumes, 1);
    assert_false(isa[4].level);
    assert_int_equal(inb(f, LSR), THRE | TEMT);
    assert_int_equal(type("b"), 1);
    assert_int_equal(inb(f, RBR), 'b');
    assert_int_equal(host.resumes, 1);
}

static void trigger_levels(void **state UNUSED)
{
    static const uint8_t level[4] = {1, 4, 8, 14};

    outb(f, LCR, 0x03);
    outb(f, IER, 0x01);
    for (unsigned i = 0; i < 4; i++) {
        outb(f, IIR, (uint8_t)(i << 6 | 0x07));
        for (unsigned n = 1; n < level[i]; n++)
            type("x");
        assert_int_equal(inb(f, IIR), 0xc1);
        type("x");
        assert_int_equal(inb(f, IIR), 0xc4);
        assert_true(isa[4].level);
        inb(f, RBR);
        assert_int_equal(inb(f, IIR), 0xc1);
        assert_false(isa[4].level);
    }
}

/* Fewer bytes than the trigger level: after four characters' time. */
static void time_out(void **state UNUSED)
{
    uint64_t four = 4 * 10 * NS_PER_SEC / 115200;

    outb(f, LCR, 0x83);
    outb(f, RBR, 1);
    outb(f, IER, 0);
    outb(f, LCR, 0x03);
    outb(f, IIR, 0xc1);
    outb(f, IER, 0x01);
    type("ab");
    fake_advance(f, four - 1000);
    assert_false(isa[4].level);
    type("c"); /* starts it again */
    fake_advance(f, four - 1000);
    assert_false(isa[4].level);
    fake_advance(f, 2000);
    assert_true(isa[4].level);
    assert_int_equal(inb(f, IIR), 0xcc);
    assert_int_equal(inb(f, RBR), 'a');
    assert_false(isa[4].level);
    fake_advance(f, four);
    assert_int_equal(inb(f, IIR), 0xcc);
    inb(f, RBR);
    inb(f, RBR);
    settle();
    assert_int_equal(inb(f, IIR), 0xc1);
}

static void full_fifo_waits(void **state UNUSED)
{
    outb(f, LCR, 0x03);
    outb(f, IIR, 0x01);
    assert_int_equal(type("0123456789abcdefXYZ"), 16);
    assert_int_equal(type("XYZ"), 0);
    for (unsigned i = 0; i < 8; i++)
        assert_int_equal(inb(f, RBR), (unsigned)"01234567"[i]);
    assert_int_equal(host.resumes, 1);
    assert_int_equal(inb(f, LSR) & OE, 0);
    outb(f, IIR, 0x03); /* clear the receiver */
    assert_int_equal(inb(f, LSR) & DR, 0);
    assert_int_equal(inb(f, RBR), 0);
}

static void fifo_switch_clears(void **state UNUSED)
{
    outb(f, IIR, 0x01);
    type("abc");
    assert_int_equal(inb(f, IIR) & 0xc0, 0xc0);
    outb(f, IIR, 0xc0); /* off: other bits are not programmed */
    assert_int_equal(inb(f, IIR) & 0xc0, 0);
    assert_int_equal(inb(f, LSR), THRE | TEMT);
}

static void line_errors(void **state UNUSED)
{
    struct serial16550 *u = chardev.dev;

    outb(f, LCR, 0x03);
    outb(f, IIR, 0x81);
    outb(f, IER, 0x05);
    type("a");
    serial16550_break(u);
    type("b");
    assert_false(isa[4].level); /* not at the top yet */
    assert_int_equal(inb(f, LSR), THRE | TEMT | DR | FIFO_ERROR);
    assert_int_equal(inb(f, RBR), 'a');
    assert_true(isa[4].level);
    assert_int_equal(inb(f, IIR), 0xc6);
    assert_int_equal(inb(f, LSR), THRE | TEMT | DR | BI | FE | FIFO_ERROR);
    assert_false(isa[4].level);
    assert_int_equal(inb(f, LSR), THRE | TEMT | DR);
    assert_int_equal(inb(f, RBR), 0);
    assert_int_equal(inb(f, RBR), 'b');
}

static void loopback(void **state UNUSED)
{
    outb(f, LCR, 0x03);
    outb(f, MCR, 0x10);
    assert_int_equal(inb(f, MSR) & 0xf0, 0);
    outb(f, MCR, 0x1a); /* RTS, OUT2 */
    assert_int_equal(inb(f, MSR) & 0xf0, 0x90);
    outb(f, MCR, 0x15); /* DTR, OUT1 */
    assert_int_equal(inb(f, MSR) & 0xf0, 0x60);
    outb(f, RBR, 0x5a);
    settle();
    assert_int_equal(host.n, 0);
    assert_int_equal(inb(f, LSR), THRE | TEMT | DR);
    assert_int_equal(inb(f, RBR), 0x5a);
    assert_int_equal(type("x"), 0); /* the outside is cut off */
    outb(f, RBR, 1);
    outb(f, RBR, 2); /* overrun: without FIFO the old one goes */
    assert_int_equal(inb(f, LSR), THRE | TEMT | DR | OE);
    assert_int_equal(inb(f, RBR), 2);
    outb(f, IIR, 0x01);
    for (unsigned i = 0; i < 17; i++)
        outb(f, RBR, (uint8_t)i);
    assert_int_equal(inb(f, LSR), THRE | TEMT | DR | OE);
    for (unsigned i = 0; i < 16; i++) /* with it the new one */
        assert_int_equal(inb(f, RBR), i);
    outb(f, MCR, 0x00);
    assert_int_equal(host.resumes, 1);
}

static void modem_deltas(void **state UNUSED)
{
    struct serial16550 *u = chardev.dev;

    outb(f, IER, 0x08);
    serial16550_set_lines(u, UART_DSR | UART_RI);
    assert_true(isa[4].level);
    assert_int_equal(inb(f, IIR), 0x00);
    assert_int_equal(inb(f, MSR), 0x69); /* DCTS, DDCD; RI only rose */
    assert_false(isa[4].level);
    serial16550_set_lines(u, UART_DSR);
    assert_int_equal(inb(f, MSR), 0x24); /* TERI */
    serial16550_set_lines(u, UART_CTS);
    assert_int_equal(inb(f, MSR), 0x13);
    assert_int_equal(inb(f, MSR), 0x10);
}

static void priorities(void **state UNUSED)
{
    struct serial16550 *u = chardev.dev;

    outb(f, LCR, 0x03);
    outb(f, IER, 0x0f);
    serial16550_set_lines(u, 0);
    serial16550_break(u);
    assert_int_equal(inb(f, IIR), 0x06);
    inb(f, LSR);
    assert_int_equal(inb(f, IIR), 0x04);
    inb(f, RBR);
    assert_int_equal(inb(f, IIR), 0x02);
    assert_int_equal(inb(f, IIR), 0x00);
    assert_true(isa[4].level);
    inb(f, MSR);
    assert_int_equal(inb(f, IIR), 0x01);
    assert_false(isa[4].level);
}

static void other_ports(void **state UNUSED)
{
    static const struct {
        uint16_t io;
        uint8_t irq;
    } com[] = {{0x2f8, 3}, {0x3e8, 4}, {0x2e8, 3}};

    for (unsigned i = 0; i < 3; i++) {
        struct dev *d = fake_make(&serial_class);

        fake_set_u32(d, "com", i + 2);
        *(bool *)fake_prop(d, "out2") = true;
        fake_attach(f, d);
        outb(f, com[i].io + 1, 0x02);
        assert_false(isa[com[i].irq].level); /* OUT2 is off */
        outb(f, com[i].io + 4, 0x08);
        assert_true(isa[com[i].irq].level);
        outb(f, com[i].io + 4, 0x18);
        assert_false(isa[com[i].irq].level);
        /* Nothing connected: bytes vanish, no modem lines. */
        outb(f, com[i].io + 4, 0x08);
        outb(f, com[i].io, 'x');
        assert_int_equal(inb(f, com[i].io + 5), THRE | TEMT);
        assert_int_equal(inb(f, com[i].io + 6) & 0xf0, 0);
        settle();
    }
}

static void pause_hands_over(void **state UNUSED)
{
    outb(f, LCR, 0x03);
    outb(f, RBR, 'x');
    assert_int_equal(host.n, 0);
    serial_class.pause(serial);
    assert_int_equal(host.n, 1);
    assert_true(fake_next(f) == UINT64_MAX);
    serial_class.resume(serial);
    assert_int_equal(serial_class.loaded(serial, 1), 0);
    outb(f, RBR, 'y');
    serial_class.reset(serial, false);
    assert_int_equal(host.n, 2);
}

static void load_checks(void **state UNUSED)
{
    struct serial16550 *u = chardev.dev;

    u->rx_count = 2; /* without FIFOs */
    assert_int_equal(serial16550_loaded(u), -LE_FORMAT);
    u->rx_count = 1; /* DR says otherwise */
    assert_int_equal(serial16550_loaded(u), -LE_FORMAT);
    u->rx_count = 0;
    u->rx_error[15] = 0x80;
    assert_int_equal(serial16550_loaded(u), -LE_FORMAT);
    u->rx_error[15] = 0;
    assert_int_equal(serial16550_loaded(u), 0);
}

static void loopback_modem_interrupt(void **state UNUSED)
{
    outb(f, MCR, 0x10);
    inb(f, MSR);
    outb(f, IER, 0x08);
    assert_false(isa[4].level);
    outb(f, MCR, 0x12); /* RTS, so CTS */
    assert_true(isa[4].level);
    assert_int_equal(inb(f, MSR), 0x11);
    assert_false(isa[4].level);
    outb(f, MCR, 0x10);
    inb(f, MSR);
    outb(f, MCR, 0x14); /* OUT1, so RI: rises, no news */
    assert_int_equal(inb(f, MSR), 0x40);
}

static void fifo_reset_bits(void **state UNUSED)
{
    host.room = 0;
    outb(f, LCR, 0x03);
    outb(f, IIR, 0x01);
    while (inb(f, LSR) & THRE)
        outb(f, RBR, 'x');
    outb(f, IER, 0x02);
    assert_false(isa[4].level);
    outb(f, IIR, 0x05); /* clears the transmit FIFO: empty now */
    assert_int_equal(inb(f, LSR) & (THRE | TEMT), THRE | TEMT);
    assert_true(isa[4].level);
    type("abc");
    outb(f, IIR, 0x01); /* clears nothing */
    assert_int_equal(inb(f, RBR), 'a');
    outb(f, LCR, 0x43); /* with break on bytes go nowhere, and at once */
    outb(f, RBR, 'y');
    assert_int_equal(inb(f, LSR) & THRE, THRE);
}

static void resumes_time_out(void **state UNUSED)
{
    outb(f, LCR, 0x03);
    outb(f, IIR, 0xc1);
    outb(f, IER, 0x01);
    type("a");
    serial_class.pause(serial);
    assert_true(fake_next(f) == UINT64_MAX);
    serial_class.resume(serial);
    settle();
    assert_true(isa[4].level);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(defaults),           T(divisor_latch),    T(sends),
        T(thre_rules),         T(back_pressure),    T(receives_without_fifo),
        T(trigger_levels),     T(time_out),         T(full_fifo_waits),
        T(fifo_switch_clears), T(line_errors),      T(loopback),
        T(modem_deltas),       T(priorities),       T(other_ports),
        T(pause_hands_over),   T(load_checks),      T(loopback_modem_interrupt),
        T(fifo_reset_bits),    T(resumes_time_out),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
