/* Keyboard and mouse, without the controller: hw/input/{atkbd,ps2mouse}.c. */
#include "fake_env.h"

#include "hw/input/atkbd.h"
#include "hw/input/ps2mouse.h"

static struct fake *f;
static struct atkbd kbd;
static struct ps2mouse mouse;
static unsigned lights;

static void ready(void *owner UNUSED)
{
}

static void set_lights(void *owner UNUSED, unsigned leds)
{
    lights = leds;
}

static int setup(void **state UNUSED)
{
    f = fake_new(1);
    memset(&kbd, 0, sizeof kbd);
    memset(&mouse, 0, sizeof mouse);
    kbd.env = &f->env;
    kbd.leds = set_lights;
    kbd.queue.ready = mouse.queue.ready = ready;
    atkbd_init(&kbd);
    atkbd_reset(&kbd);
    ps2mouse_reset(&mouse);
    return 0;
}

static int teardown(void **state UNUSED)
{
    atkbd_pause(&kbd);
    fake_free(f);
    return 0;
}

static void expect_queue(struct ps2_queue *q, const uint8_t *want, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        assert_false(ps2_empty(q));
        assert_int_equal(ps2_take(q), want[i]);
    }
    assert_true(ps2_empty(q));
}

#define KBD(...)                                                               \
    expect_queue(&kbd.queue, (const uint8_t[]){__VA_ARGS__},                   \
                 sizeof((const uint8_t[]){__VA_ARGS__}))
#define MOUSE(...)                                                             \
    (ps2mouse_refill(&mouse),                                                  \
     expect_queue(&mouse.queue, (const uint8_t[]){__VA_ARGS__},                \
                  sizeof((const uint8_t[]){__VA_ARGS__})))

static void to_kbd(uint8_t v)
{
    atkbd_write(&kbd, v);
}

static void acked(uint8_t v)
{
    to_kbd(v);
    KBD(0xfa);
}

static void press(unsigned key)
{
    atkbd_key(&kbd, key, true);
}

static void let_go(unsigned key)
{
    atkbd_key(&kbd, key, false);
}

static void set_2(void **state UNUSED)
{
    press(KEY_A);
    KBD(0x1c);
    let_go(KEY_A);
    KBD(0xf0, 0x1c);
    press(KEY_RIGHTCTRL);
    KBD(0xe0, 0x14);
    let_go(KEY_RIGHTCTRL);
    KBD(0xe0, 0xf0, 0x14);
    press(KEY_F7);
    KBD(0x83);
    press(KEY_A);
    press(KEY_A); /* held: the repeat is ours */
    KBD(0x1c);
    let_go(KEY_B); /* was not down */
    assert_true(ps2_empty(&kbd.queue));
    press(0xffff);
    press(0);
    assert_true(ps2_empty(&kbd.queue));
}

static void set_1(void **state UNUSED)
{
    acked(0xf0);
    acked(1);
    press(KEY_A);
    let_go(KEY_A);
    KBD(0x1e, 0x9e);
    press(KEY_LEFT);
    let_go(KEY_LEFT);
    KBD(0xe0, 0x4b, 0xe0, 0xcb);
    press(KEY_PAUSE);
    KBD(0xe1, 0x1d, 0x45, 0xe1, 0x9d, 0xc5);
    press(KEY_PRINTSCREEN);
    KBD(0xe0, 0x2a, 0xe0, 0x37);
    let_go(KEY_PRINTSCREEN);
    KBD(0xe0, 0xb7, 0xe0, 0xaa);
    press(KEY_F7);
    let_go(KEY_F7);
    KBD(0x41, 0xc1);
    to_kbd(0xf0);
    KBD(0xfa);
    to_kbd(0);
    KBD(0xfa, 1);
}

static void set_3(void **state UNUSED)
{
    acked(0xf0);
    acked(3);
    press(KEY_A);
    let_go(KEY_A); /* typematic keys have no break code */
    KBD(0x1c);
    press(KEY_LEFTSHIFT);
    let_go(KEY_LEFTSHIFT);
    KBD(0x12, 0xf0, 0x12);
    press(KEY_ESC);
    let_go(KEY_ESC);
    KBD(0x08);
    press(KEY_UP);
    let_go(KEY_UP);
    KBD(0x63);
    acked(0xf8); /* all make and break */
    press(KEY_B);
    let_go(KEY_B);
    KBD(0x32, 0xf0, 0x32);
    fake_advance(f, NS_PER_SEC);
    assert_true(ps2_empty(&kbd.queue)); /* and none repeats */
    acked(0xfd);                        /* these make only */
    acked(0x32);
    acked(0x21);
    acked(0xfa); /* ends the list: all typematic, make and break */
    press(KEY_C);
    let_go(KEY_C);
    KBD(0x21, 0xf0, 0x21);
    acked(0xfd);
    acked(0x21);
    acked(0xf4);
    press(KEY_C);
    let_go(KEY_C);
    KBD(0x21);
    press(KEY_MUTE); /* not in this set */
    assert_true(ps2_empty(&kbd.queue));
    acked(0xf6); /* defaults: set 2 */
    press(KEY_ENTER);
    KBD(0x5a);
}

static void special_keys(void **state UNUSED)
{
    press(KEY_PAUSE);
    KBD(0xe1, 0x14, 0x77, 0xe1, 0xf0, 0x14, 0xf0, 0x77);
    let_go(KEY_PAUSE);
    assert_true(ps2_empty(&kbd.queue));
    press(KEY_PRINTSCREEN);
    KBD(0xe0, 0x12, 0xe0, 0x7c);
    let_go(KEY_PRINTSCREEN);
    KBD(0xe0, 0xf0, 0x7c, 0xe0, 0xf0, 0x12);
    press(KEY_LEFTALT);
    KBD(0x11);
    press(KEY_PRINTSCREEN);
    let_go(KEY_PRINTSCREEN);
    KBD(0x84, 0xf0, 0x84);
    let_go(KEY_LEFTALT);
    KBD(0xf0, 0x11);
    press(KEY_LEFTCTRL);
    KBD(0x14);
    press(KEY_PAUSE);
    KBD(0xe0, 0x7e, 0xe0, 0xf0, 0x7e);
    press(KEY_PRINTSCREEN);
    KBD(0xe0, 0x7c);
    press(KEY_LANG1);
    let_go(KEY_LANG1);
    KBD(0xf2);
}

static void commands(void **state UNUSED)
{
    to_kbd(0xee);
    KBD(0xee);
    to_kbd(0xf2);
    KBD(0xfa, 0xab, 0x83);
    acked(0xed);
    acked(0x06);
    assert_int_equal(lights, INPUT_LED_NUM | INPUT_LED_CAPS);
    to_kbd(0xef);
    KBD(0xfe);
    acked(0xf0);
    to_kbd(9);
    KBD(0xfe);
    acked(0xed); /* a command in place of the parameter */
    to_kbd(0xee);
    KBD(0xee);
    to_kbd(0xfe); /* the last byte once more */
    KBD(0xee);
    to_kbd(0xff);
    KBD(0xfa, 0xaa);
    assert_int_equal(lights, 0);
}

static void disable_enable(void **state UNUSED)
{
    press(KEY_A);
    acked(0xf5); /* forgets what waits */
    press(KEY_B);
    assert_true(ps2_empty(&kbd.queue));
    acked(0xf4);
    press(KEY_C);
    KBD(0x21);
}

static void typematic(void **state UNUSED)
{
    unsigned n = 0;

    press(KEY_A);
    KBD(0x1c);
    fake_advance(f, 499000000);
    assert_true(ps2_empty(&kbd.queue));
    fake_advance(f, 1000000);
    KBD(0x1c);
    acked(0xf3);
    acked(0x00); /* 30 a second after 250 ms */
    let_go(KEY_A);
    KBD(0xf0, 0x1c);
    press(KEY_B);
    fake_advance(f, 249000000);
    KBD(0x32);
    for (unsigned i = 0; i < 1000; i++) {
        fake_advance(f, 1000000);
        if (!ps2_empty(&kbd.queue)) {
            KBD(0x32);
            n++;
        }
    }
    assert_in_range(n, 29, 31);
    press(KEY_C); /* the last one repeats; letting go of B changes nothing */
    let_go(KEY_B);
    KBD(0x21, 0xf0, 0x32);
    fake_advance(f, 251000000);
    KBD(0x21);
    let_go(KEY_C);
    KBD(0xf0, 0x21);
    assert_true(fake_next(f) == UINT64_MAX);
}

static void overrun(void **state UNUSED)
{
    for (unsigned i = 0; i < 20; i++)
        press(KEY_A + i);
    for (unsigned i = 0; i < 15; i++)
        assert_true(ps2_take(&kbd.queue) != 0);
    KBD(0x00); /* keys were lost */
    press(KEY_Z);
    KBD(0x1a);
}

/* --- mouse --- */

static void to_mouse(uint8_t v)
{
    ps2mouse_write(&mouse, v);
}

static void mouse_acked(uint8_t v)
{
    to_mouse(v);
    MOUSE(0xfa);
}

static void mouse_reset(void **state UNUSED)
{
    to_mouse(0xff);
    MOUSE(0xfa, 0xaa, 0x00);
    to_mouse(0xe9);
    MOUSE(0xfa, 0x00, 2, 100);
    ps2mouse_motion(&mouse, 1, 1, 0, 1);
    ps2mouse_refill(&mouse);
    assert_true(ps2_empty(&mouse.queue)); /* not enabled */
}

static void mouse_stream(void **state UNUSED)
{
    mouse_acked(0xf4);
    ps2mouse_motion(&mouse, 10, 20, 0, INPUT_RIGHT | INPUT_MIDDLE);
    MOUSE(0x08 | 6 | 0x20, 10, (uint8_t)-20);
    ps2mouse_motion(&mouse, -300, 0, 0, 0); /* in two packets */
    MOUSE(0x18, (uint8_t)-255, 0);
    MOUSE(0x18, (uint8_t)-45, 0);
    /* What comes while a packet waits is added up. */
    ps2mouse_motion(&mouse, 1, 0, 0, 0);
    ps2mouse_refill(&mouse);
    ps2mouse_motion(&mouse, 2, 0, 0, 0);
    ps2mouse_motion(&mouse, 3, 0, 0, 0);
    MOUSE(0x08, 1, 0);
    MOUSE(0x08, 5, 0);
    ps2mouse_motion(&mouse, INT32_MIN, INT32_MIN, INT32_MIN, ~0u);
    ps2mouse_motion(&mouse, INT32_MAX, INT32_MAX, INT32_MAX, 0);
    mouse_acked(0xf5);
}

static void mouse_scaling(void **state UNUSED)
{
    static const int8_t in[] = {1, 2, 3, 4, 5, 6, -3, -20},
                        out[] = {1, 1, 3, 6, 9, 12, -3, -40};

    mouse_acked(0xf4);
    mouse_acked(0xe7);
    for (unsigned i = 0; i < ARRAY_LEN(in); i++) {
        ps2mouse_motion(&mouse, in[i], 0, 0, 0);
        MOUSE(in[i] < 0 ? 0x18 : 0x08, (uint8_t)out[i], 0);
    }
    mouse_acked(0xe6);
    ps2mouse_motion(&mouse, 4, 0, 0, 0);
    MOUSE(0x08, 4, 0);
}

static void mouse_remote(void **state UNUSED)
{
    mouse_acked(0xf0);
    ps2mouse_motion(&mouse, 3, 0, 0, 1);
    ps2mouse_refill(&mouse);
    assert_true(ps2_empty(&mouse.queue));
    to_mouse(0xeb);
    MOUSE(0xfa, 0x09, 3, 0);
    to_mouse(0xeb);
    MOUSE(0xfa, 0x09, 0, 0);
    to_mouse(0xe9);
    MOUSE(0xfa, 0x44, 2, 100);
    mouse_acked(0xea);
}

static void mouse_wrap(void **state UNUSED)
{
    mouse_acked(0xee);
    to_mouse(0xf2);
    MOUSE(0xf2);
    to_mouse(0x12);
    MOUSE(0x12);
    mouse_acked(0xec);
    to_mouse(0xf2);
    MOUSE(0xfa, 0x00);
}

static void knock(uint8_t a, uint8_t b, uint8_t c)
{
    const uint8_t rate[] = {a, b, c};

    for (unsigned i = 0; i < 3; i++) {
        mouse_acked(0xf3);
        mouse_acked(rate[i]);
    }
}

static void mouse_wheel(void **state UNUSED)
{
    knock(200, 100, 80);
    to_mouse(0xf2);
    MOUSE(0xfa, 0x03);
    mouse_acked(0xf4);
    ps2mouse_motion(&mouse, 0, 0, -1, 0);
    MOUSE(0x08, 0, 0, 0xff);
    ps2mouse_motion(&mouse, 0, 0, 9, 0);
    MOUSE(0x08, 0, 0, 7);
    MOUSE(0x08, 0, 0, 2);
    knock(200, 200, 80);
    to_mouse(0xf2);
    MOUSE(0xfa, 0x04);
    ps2mouse_motion(&mouse, 1, 0, -1, INPUT_SIDE | INPUT_LEFT);
    MOUSE(0x09, 1, 0, 0x1f);
    ps2mouse_motion(&mouse, 0, 0, 0, INPUT_EXTRA);
    MOUSE(0x08, 0, 0, 0x20);
    to_mouse(0xff); /* plain again */
    MOUSE(0xfa, 0xaa, 0x00);
}

static void mouse_errors(void **state UNUSED)
{
    to_mouse(0x55);
    MOUSE(0xfe);
    mouse_acked(0xe8);
    to_mouse(4);
    MOUSE(0xfe);
    mouse_acked(0xe8);
    mouse_acked(3);
    to_mouse(0xe9);
    MOUSE(0xfa, 0, 3, 100);
    to_mouse(0xfe);
    MOUSE(100);
    assert_true(ps2mouse_valid(&mouse));
    mouse.id = 2;
    assert_false(ps2mouse_valid(&mouse));
}

static void set_3_types(void **state UNUSED)
{
    acked(0xf0);
    acked(3);
    press(KEY_A); /* letters repeat */
    KBD(0x1c);
    fake_advance(f, 501000000);
    KBD(0x1c);
    let_go(KEY_A);
    acked(0xf9); /* all make only */
    press(KEY_A);
    let_go(KEY_A);
    KBD(0x1c);
    acked(0xfb); /* this one typematic */
    acked(0x1c);
    acked(0xf4);
    press(KEY_A);
    KBD(0x1c);
    fake_advance(f, 501000000);
    KBD(0x1c);
    let_go(KEY_A);
    acked(0xfc); /* make and break */
    acked(0x1c);
    acked(0xf4);
    press(KEY_A);
    fake_advance(f, 501000000);
    KBD(0x1c);
    let_go(KEY_A);
    KBD(0xf0, 0x1c);
    acked(0xf7); /* all typematic */
    press(KEY_LEFTSHIFT);
    let_go(KEY_LEFTSHIFT);
    KBD(0x12);
    assert_true(atkbd_valid(&kbd));
}

static void command_forgets_answers(void **state UNUSED)
{
    to_kbd(0xf2);
    to_kbd(0xee);
    KBD(0xee);
    to_mouse(0xe9);
    to_mouse(0xf2);
    MOUSE(0xfa, 0x00);
    acked(0xed);
    atkbd_reset(&kbd); /* and its command */
    acked(0xf4);
    mouse_acked(0xf3);
    ps2mouse_reset(&mouse);
    mouse_acked(0xf4);
}

static void mouse_reports_changes_only(void **state UNUSED)
{
    mouse_acked(0xf4);
    ps2mouse_motion(&mouse, 0, 0, 0, INPUT_LEFT);
    MOUSE(0x09, 0, 0);
    ps2mouse_motion(&mouse, 0, 0, 0, INPUT_LEFT);
    ps2mouse_refill(&mouse);
    assert_true(ps2_empty(&mouse.queue));
    mouse_acked(0xf0);
    mouse_acked(0xea); /* stream mode again */
    ps2mouse_motion(&mouse, 1, 0, 0, INPUT_LEFT);
    MOUSE(0x09, 1, 0);
    ps2mouse_motion(&mouse, 5, 5, 0, 0);
    mouse_acked(0xf6); /* defaults: not enabled, no motion */
    mouse_acked(0xf4);
    ps2mouse_refill(&mouse);
    assert_true(ps2_empty(&mouse.queue));
    mouse_acked(0xf3);
    mouse_acked(200);
    mouse_acked(0xf3);
    mouse_acked(100);
    ps2mouse_reset(&mouse); /* half a knock is forgotten */
    mouse_acked(0xf3);
    mouse_acked(80);
    to_mouse(0xf2);
    MOUSE(0xfa, 0x00);
}

/* Events go in whole or not at all. */
static void queue_limits(void **state UNUSED)
{
    uint8_t p[PS2_EVENTS] = {1, 2, 3};

    assert_true(ps2_event(&mouse.queue, p, PS2_EVENTS - 2));
    assert_false(ps2_event(&mouse.queue, p, 3));
    assert_true(ps2_event(&mouse.queue, p, 2));
    assert_false(ps2_event(&mouse.queue, p, 1));
    for (unsigned i = 0; i < 2 * PS2_ANSWERS; i++)
        ps2_answer(&mouse.queue, (uint8_t)i);
    for (unsigned i = 0; i < PS2_ANSWERS; i++)
        assert_int_equal(ps2_take(&mouse.queue), i);
    for (unsigned i = 0; i < PS2_EVENTS; i++)
        ps2_take(&mouse.queue);
    assert_true(ps2_empty(&mouse.queue));
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(set_2),
        T(set_1),
        T(set_3),
        T(special_keys),
        T(commands),
        T(disable_enable),
        T(typematic),
        T(overrun),
        T(mouse_reset),
        T(mouse_stream),
        T(mouse_scaling),
        T(mouse_remote),
        T(mouse_wrap),
        T(mouse_wheel),
        T(mouse_errors),
        T(set_3_types),
        T(command_forgets_answers),
        T(mouse_reports_changes_only),
        T(queue_limits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
