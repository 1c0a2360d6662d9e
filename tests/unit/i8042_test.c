/* The keyboard and mouse controller: hw/input/i8042.c. */
#include "fake_env.h"

extern const struct dev_class i8042_class;

enum { OBF = 0x01, SYS = 0x04, CMD = 0x08, AUX = 0x20 };

static struct fake *f;
static struct dev *kbc;
static struct fake_line isa[16];

static int setup(void **state UNUSED)
{
    f = fake_new(1);
    memset(isa, 0, sizeof isa);
    for (unsigned n = 0; n < 16; n++)
        f->env.isa_irq[n] = (struct irq){fake_line_set, isa, n};
    kbc = fake_add(f, &i8042_class);
    return 0;
}

static int teardown(void **state UNUSED)
{
    fake_free(f);
    return 0;
}

static void key(unsigned k, bool down)
{
    f->env.input.key(f->env.input.dev, k, down);
}

/* Polls for a byte as a driver does; -1: none comes. */
static int get(void)
{
    for (unsigned i = 0; i < 100; i++) {
        if (inb(f, 0x64) & OBF)
            return inb(f, 0x60);
        fake_advance(f, 10000);
    }
    return -1;
}

static void ctr(uint8_t v)
{
    outb(f, 0x64, 0x60);
    outb(f, 0x60, v);
}

static void command_byte(void **state UNUSED)
{
    assert_int_equal(inb(f, 0x64) & OBF, 0);
    ctr(0x43);
    assert_int_equal(inb(f, 0x64) & SYS, 0);
    outb(f, 0x64, 0x20);
    assert_int_equal(inb(f, 0x64) & (OBF | CMD | AUX), OBF | CMD);
    assert_int_equal(inb(f, 0x60), 0x43);
    outb(f, 0x64, 0xad);
    outb(f, 0x64, 0x20);
    assert_int_equal(inb(f, 0x60), 0x53);
    outb(f, 0x64, 0xa7);
    outb(f, 0x64, 0x20);
    assert_int_equal(inb(f, 0x60), 0x73);
    outb(f, 0x64, 0xae);
    outb(f, 0x64, 0xa8);
    outb(f, 0x64, 0x20);
    assert_int_equal(inb(f, 0x60), 0x43);
    outb(f, 0x64, 0x6a); /* the rest of its RAM */
    outb(f, 0x60, 0x99);
    assert_int_equal(inb(f, 0x64) & CMD, 0);
    outb(f, 0x64, 0x2a);
    assert_int_equal(inb(f, 0x60), 0x99);
}

static void tests(void **state UNUSED)
{
    static const struct {
        uint8_t command, answer;
    } row[] = {{0xaa, 0x55}, {0xab, 0x00}, {0xa9, 0x00},
               {0xa4, 0xf1}, {0xc0, 0xa0}, {0xe0, 0x00}};

    ctr(0);
    for (unsigned i = 0; i < ARRAY_LEN(row); i++) {
        outb(f, 0x64, row[i].command);
        assert_int_equal(get(), row[i].answer);
    }
    assert_int_equal(inb(f, 0x64) & SYS, SYS); /* by the self-test */
    outb(f, 0x64, 0xbb);                       /* unknown */
    assert_int_equal(get(), -1);
}

static void translated_keys(void **state UNUSED)
{
    key(KEY_A, true);
    assert_true(isa[1].level);
    assert_int_equal(inb(f, 0x60), 0x1e);
    assert_false(isa[1].level);
    key(KEY_A, false);
    assert_int_equal(get(), 0x9e);
    key(KEY_UP, true);
    assert_int_equal(get(), 0xe0);
    assert_int_equal(get(), 0x48);
    key(KEY_UP, false);
    assert_int_equal(get(), 0xe0);
    assert_int_equal(get(), 0xc8);
    ctr(0x05); /* as the keyboard sends them */
    key(KEY_A, true);
    key(KEY_A, false);
    assert_int_equal(get(), 0x1c);
    assert_int_equal(get(), 0xf0);
    assert_int_equal(get(), 0x1c);
    assert_int_equal(get(), -1);
}

/* One interrupt a byte; a byte stays readable until the next. */
static void byte_by_byte(void **state UNUSED)
{
    key(KEY_UP, true);
    assert_int_equal(isa[1].rises, 1);
    assert_int_equal(inb(f, 0x60), 0xe0);
    assert_int_equal(inb(f, 0x60), 0xe0);
    assert_false(isa[1].level);
    fake_advance(f, 1000000);
    assert_int_equal(isa[1].rises, 2);
    assert_int_equal(inb(f, 0x60), 0x48);
}

static void disabled_keyboard_waits(void **state UNUSED)
{
    outb(f, 0x64, 0xad);
    key(KEY_B, true);
    assert_int_equal(get(), -1);
    outb(f, 0x64, 0x20); /* answers are not stopped */
    assert_int_equal(get(), 0x55);
    outb(f, 0x64, 0xae);
    assert_int_equal(get(), 0x30);
}

static void keyboard_commands(void **state UNUSED)
{
    outb(f, 0x64, 0xad);
    outb(f, 0x60, 0xf2); /* sending enables it again */
    assert_int_equal(get(), 0xfa);
    assert_int_equal(get(), 0xab);
    assert_int_equal(get(), 0x41); /* 0x83 translated */
    outb(f, 0x60, 0xff);
    assert_int_equal(get(), 0xfa);
    assert_int_equal(get(), 0xaa);
}

static void aux(void **state UNUSED)
{
    ctr(0x47);
    outb(f, 0x64, 0xd4);
    outb(f, 0x60, 0xf2);
    assert_int_equal(inb(f, 0x64) & (OBF | AUX), OBF | AUX);
    assert_true(isa[12].level);
    assert_false(isa[1].level);
    assert_int_equal(get(), 0xfa);
    assert_false(isa[12].level);
    assert_int_equal(get(), 0x00);
    outb(f, 0x64, 0xd4);
    outb(f, 0x60, 0xf4);
    assert_int_equal(get(), 0xfa);
    f->env.input.motion(f->env.input.dev, 5, -3, 0, 0, INPUT_LEFT);
    assert_int_equal(get(), 0x09);
    assert_int_equal(get(), 5);
    assert_int_equal(get(), 3);
    outb(f, 0x64, 0xa7);
    f->env.input.motion(f->env.input.dev, 1, 0, 0, 0, 0);
    assert_int_equal(get(), -1);
}

static void loop_back_commands(void **state UNUSED)
{
    ctr(0x47);
    outb(f, 0x64, 0xd2);
    outb(f, 0x60, 0x77);
    assert_true(isa[1].level);
    assert_int_equal(get(), 0x77);
    outb(f, 0x64, 0xd3);
    outb(f, 0x60, 0x88);
    assert_true(isa[12].level);
    assert_int_equal(inb(f, 0x64) & AUX, AUX);
    assert_int_equal(get(), 0x88);
}

static void a20(void **state UNUSED)
{
    assert_true(f->a20);
    outb(f, 0x64, 0xd1);
    outb(f, 0x60, 0xdd);
    assert_false(f->a20);
    outb(f, 0x64, 0xd0);
    assert_int_equal(get() & 2, 0);
    outb(f, 0x64, 0xdf);
    assert_true(f->a20);
    outb(f, 0x64, 0xd0);
    assert_int_equal(get() & 3, 3);
    outb(f, 0x64, 0xdd);
    assert_false(f->a20);
    i8042_class.reset(kbc, false);
    assert_true(f->a20);
}

static void resets(void **state UNUSED)
{
    outb(f, 0x64, 0xff); /* pulses nothing */
    assert_int_equal(f->reset, 0);
    outb(f, 0x64, 0xfe);
    assert_int_equal(f->reset, 1);
    outb(f, 0x64, 0xd1);
    outb(f, 0x60, 0xde);
    assert_int_equal(f->reset, 2);
}

static void interrupt_enables(void **state UNUSED)
{
    ctr(0x40);
    key(KEY_C, true);
    assert_int_equal(inb(f, 0x64) & OBF, OBF);
    assert_false(isa[1].level);
    ctr(0x41);
    assert_true(isa[1].level);
}

static void pause_reset_load(void **state UNUSED)
{
    key(KEY_C, true); /* would repeat */
    i8042_class.pause(kbc);
    assert_true(fake_next(f) == UINT64_MAX);
    i8042_class.resume(kbc);
    assert_int_equal(i8042_class.loaded(kbc, 1), 0);
    i8042_class.reset(kbc, false);
    assert_int_equal(inb(f, 0x64) & OBF, 0);
    assert_false(isa[1].level);
}

static void sending_enables_the_mouse(void **state UNUSED)
{
    outb(f, 0x64, 0xa7);
    outb(f, 0x64, 0xd4);
    outb(f, 0x60, 0xf2);
    assert_int_equal(get(), 0xfa);
    assert_int_equal(get(), 0x00);
    outb(f, 0x64, 0x20);
    assert_int_equal(get() & 0x20, 0);
}

static void output_port(void **state UNUSED)
{
    outb(f, 0x64, 0xd0);
    assert_int_equal(get(), 0xc3);
    outb(f, 0x64, 0xd1);
    outb(f, 0x60, 0xf3); /* the buffer's bits are not for writing */
    outb(f, 0x64, 0xd0);
    assert_int_equal(get(), 0xc3);
}

static unsigned lights;

static void set_lights(void *screen UNUSED, unsigned leds)
{
    lights = leds;
}

static void lights_after_load(void **state UNUSED)
{
    f->env.input.leds = set_lights;
    outb(f, 0x60, 0xed);
    outb(f, 0x60, 0x05);
    assert_int_equal(lights, INPUT_LED_SCROLL | INPUT_LED_CAPS);
    lights = 0;
    assert_int_equal(i8042_class.loaded(kbc, 1), 0);
    assert_int_equal(lights, INPUT_LED_SCROLL | INPUT_LED_CAPS);
    f->env.input.leds = NULL;
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest list[] = {
        T(command_byte),
        T(tests),
        T(translated_keys),
        T(byte_by_byte),
        T(disabled_keyboard_waits),
        T(keyboard_commands),
        T(aux),
        T(loop_back_commands),
        T(a20),
        T(resets),
        T(interrupt_enables),
        T(pause_reset_load),
        T(sending_enables_the_mouse),
        T(output_port),
        T(lights_after_load),
    };

    return cmocka_run_group_tests(list, NULL, NULL);
}
