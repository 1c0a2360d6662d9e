/*
 * Keyboard and mouse controller of a PC, ports 0x60 and 0x64, with both
 * attached. Machine lock held. Spec: IBM PS/2 Hardware Interface Technical
 * Reference, "Keyboard and Auxiliary Device Controller"; 82C42.
 */
#include "base/bits.h"
#include "base/libc.h"
#include "hw/input/atkbd.h"
#include "hw/input/ps2mouse.h"

enum {
    STATUS_OBF = 1 << 0,
    STATUS_SYS = 1 << 2,
    STATUS_COMMAND = 1 << 3,
    STATUS_UNLOCKED = 1 << 4,
    STATUS_AUX = 1 << 5
};

/* Command byte: the controller's RAM at 0 */
enum {
    CCB_KBD_INT = 1 << 0,
    CCB_AUX_INT = 1 << 1,
    CCB_SYS = 1 << 2,
    CCB_KBD_OFF = 1 << 4,
    CCB_AUX_OFF = 1 << 5,
    CCB_TRANSLATE = 1 << 6
};

enum {
    PORT_RESET = 1 << 0,
    PORT_A20 = A20_GATE,
    PORT_KBD_FULL = 1 << 4,
    PORT_AUX_FULL = 1 << 5,
    PORT_LINES = 0xc0,
    PORT_WRITABLE = 0xff & ~(PORT_KBD_FULL | PORT_AUX_FULL)
};

enum {
    READ_RAM = 0x20,
    WRITE_RAM = 0x60,
    AUX_OFF = 0xa7,
    AUX_ON = 0xa8,
    AUX_TEST = 0xa9,
    SELF_TEST = 0xaa,
    KBD_TEST = 0xab,
    KBD_OFF = 0xad,
    KBD_ON = 0xae,
    READ_INPUT = 0xc0,
    READ_OUTPUT = 0xd0,
    WRITE_OUTPUT = 0xd1,
    WRITE_KBD = 0xd2,
    WRITE_AUX = 0xd3,
    TO_AUX = 0xd4,
    A20_OFF = 0xdd,
    A20_ON = 0xdf,
    READ_TEST = 0xe0,
    PULSE = 0xf0,
    PASSWORD_TEST = 0xa4,
};

#define RAM_SIZE 32

/* Input port: not locked, manufacturing jumper open. */
#define INPUT_PORT 0xa0

/* A device takes this long for its next byte, so that a program may read one
   twice, as some do. */
#define BYTE_GAP 250000ull

enum source { FROM_CONTROLLER, FROM_KBD, FROM_AUX };

struct i8042 {
    struct dev dev;
    struct region data_port, command_port;
    struct atkbd kbd;
    struct ps2mouse mouse;
    uint8_t ram[RAM_SIZE];
    uint8_t output_port;
    bool last_was_command, sys;
    uint8_t command; /* that waits for a byte on the data port; 0: none */
    /* The output buffer, and an answer of the controller that waits for it. */
    bool full, answer_waits;
    uint8_t out, source; /* enum source */
    uint8_t answer, answer_source;
    bool break_prefix; /* translating: 0xf0 was seen */
    uint64_t next;     /* when a device may give its next byte */
    struct timer gap;
    struct ratelimit ratelimit;
};

static uint8_t ccb(const struct i8042 *c)
{
    return c->ram[0];
}

static void drive(struct i8042 *c)
{
    struct env *env = c->dev.env;
    bool aux = c->source == FROM_AUX;

    irq_set(&env->isa_irq[1], c->full && !aux && (ccb(c) & CCB_KBD_INT));
    irq_set(&env->isa_irq[12], c->full && aux && (ccb(c) & CCB_AUX_INT));
}

static void load(struct i8042 *c, uint8_t v, enum source source)
{
    c->out = v;
    c->source = source;
    c->full = true;
    drive(c);
}

static bool kbd_has(const struct i8042 *c)
{
    return !(ccb(c) & CCB_KBD_OFF) && !ps2_empty(&c->kbd.queue);
}

static bool aux_has(struct i8042 *c)
{
    if (ccb(c) & CCB_AUX_OFF)
        return false;
    ps2mouse_refill(&c->mouse);
    return !ps2_empty(&c->mouse.queue);
}

/* A byte of the keyboard as the CPU is to see it; false: part of one. */
static bool translate(struct i8042 *c, uint8_t *v)
{
    bool release = c->break_prefix;

    if (!(ccb(c) & CCB_TRANSLATE))
        return true;
    c->break_prefix = *v == 0xf0;
    if (c->break_prefix)
        return false;
    *v = scan_set2_to_1[*v];
    if (release)
        *v |= 0x80;
    return true;
}

/* Fills the output buffer from whoever has something. */
static void refill(struct i8042 *c)
{
    if (c->full)
        return;
    if (c->answer_waits) {
        c->answer_waits = false;
        load(c, c->answer, c->answer_source);
        return;
    }
    if (!kbd_has(c) && !aux_has(c))
        return;
    if (env_now(c->dev.env) < c->next) {
        env_arm(c->dev.env, &c->gap, c->next);
        return;
    }
    while (kbd_has(c)) {
        uint8_t v = ps2_take(&c->kbd.queue);

        if (translate(c, &v)) {
            load(c, v, FROM_KBD);
            return;
        }
    }
    if (aux_has(c))
        load(c, ps2_take(&c->mouse.queue), FROM_AUX);
}

static void look_again(void *ctx)
{
    refill(ctx);
}

static void answer(struct i8042 *c, uint8_t v, enum source source)
{
    c->answer = v;
    c->answer_source = source;
    c->answer_waits = true;
    refill(c);
}

/* --- port 0x64 --- */

static uint8_t read_status(const struct i8042 *c)
{
    return (uint8_t)((c->full ? STATUS_OBF : 0) | (c->sys ? STATUS_SYS : 0) |
                     (c->last_was_command ? STATUS_COMMAND : 0) |
                     STATUS_UNLOCKED |
                     (c->full && c->source == FROM_AUX ? STATUS_AUX : 0));
}

static void write_output_port(struct i8042 *c, uint8_t v)
{
    struct env *env = c->dev.env;

    c->output_port = v & PORT_WRITABLE;
    env->set_a20(env, v & PORT_A20);
    if (!(v & PORT_RESET))
        env->reset(env);
}

static uint8_t read_output_port(const struct i8042 *c)
{
    uint8_t full = c->source == FROM_AUX ? PORT_AUX_FULL : PORT_KBD_FULL;

    return c->output_port | (c->full ? full : 0);
}

static void write_ccb(struct i8042 *c, uint8_t v)
{
    c->ram[0] = v;
    c->sys = v & CCB_SYS;
    drive(c);
    refill(c);
}

static void command(struct i8042 *c, uint8_t v)
{
    struct env *env = c->dev.env;

    c->last_was_command = true;
    c->command = 0;
    switch (v) {
    case READ_RAM ... READ_RAM + RAM_SIZE - 1:
        answer(c, c->ram[v & (RAM_SIZE - 1)], FROM_CONTROLLER);
        break;
    case WRITE_RAM ... WRITE_RAM + RAM_SIZE - 1:
    case WRITE_OUTPUT:
    case WRITE_KBD:
    case WRITE_AUX:
    case TO_AUX: c->command = v; break;
    case PASSWORD_TEST: answer(c, 0xf1, FROM_CONTROLLER); break; /* none */
    case AUX_OFF: write_ccb(c, ccb(c) | CCB_AUX_OFF); break;
    case AUX_ON: write_ccb(c, ccb(c) & ~CCB_AUX_OFF); break;
    case KBD_OFF: write_ccb(c, ccb(c) | CCB_KBD_OFF); break;
    case KBD_ON: write_ccb(c, ccb(c) & ~CCB_KBD_OFF); break;
    case AUX_TEST:
    case KBD_TEST: answer(c, 0x00, FROM_CONTROLLER); break; /* no fault */
    case SELF_TEST:
        write_ccb(c, ccb(c) | CCB_SYS);
        answer(c, 0x55, FROM_CONTROLLER);
        break;
    case READ_INPUT: answer(c, INPUT_PORT, FROM_CONTROLLER); break;
    case READ_OUTPUT: answer(c, read_output_port(c), FROM_CONTROLLER); break;
    case READ_TEST: answer(c, 0x00, FROM_CONTROLLER); break;
    case A20_OFF: write_output_port(c, c->output_port & ~PORT_A20); break;
    case A20_ON: write_output_port(c, c->output_port | PORT_A20); break;
    case PULSE ... PULSE + 15: /* low nibble: which lines stay high */
        if (!(v & PORT_RESET))
            env->reset(env);
        break;
    default:
        log_guest(&c->ratelimit, "i8042: command 0x%02x is not known", v);
        break;
    }
}

/* --- port 0x60 --- */

static uint8_t read_data(struct i8042 *c)
{
    uint8_t v = c->out;

    if (!c->full) /* the last byte stays readable */
        return v;
    c->full = false;
    if (c->source != FROM_CONTROLLER)
        c->next = env_now(c->dev.env) + BYTE_GAP;
    drive(c);
    refill(c);
    return v;
}

static void write_data(struct i8042 *c, uint8_t v)
{
    uint8_t pending = c->command;

    c->last_was_command = false;
    c->command = 0;
    switch (pending) {
    case 0: /* sending enables the keyboard */
        c->ram[0] &= ~CCB_KBD_OFF;
        atkbd_write(&c->kbd, v);
        break;
    case TO_AUX:
        c->ram[0] &= ~CCB_AUX_OFF;
        ps2mouse_write(&c->mouse, v);
        break;
    case WRITE_RAM: write_ccb(c, v); break;
    case WRITE_OUTPUT: write_output_port(c, v); break;
    case WRITE_KBD: answer(c, v, FROM_KBD); break;
    case WRITE_AUX: answer(c, v, FROM_AUX); break;
    default: c->ram[pending & (RAM_SIZE - 1)] = v; break;
    }
}

static uint64_t data_read(void *dev, uint64_t off UNUSED, unsigned bytes UNUSED)
{
    return read_data(dev);
}

static void data_write(void *dev, uint64_t off UNUSED, uint64_t v,
                       unsigned bytes UNUSED)
{
    write_data(dev, (uint8_t)v);
}

static uint64_t command_read(void *dev, uint64_t off UNUSED,
                             unsigned bytes UNUSED)
{
    refill(dev); /* a program that polls need not wait for our timer */
    return read_status(dev);
}

static void command_write(void *dev, uint64_t off UNUSED, uint64_t v,
                          unsigned bytes UNUSED)
{
    command(dev, (uint8_t)v);
}

static const struct region_ops data_ops = {data_read, data_write, 1, 1};
static const struct region_ops command_ops = {command_read, command_write, 1,
                                              1};

/* --- from the screen, and lights to it --- */

static void input_key(void *dev, unsigned key, bool down)
{
    atkbd_key(&((struct i8042 *)dev)->kbd, key, down);
}

static void input_motion(void *dev, int dx, int dy, int wheel,
                         int hwheel UNUSED, unsigned buttons)
{
    ps2mouse_motion(&((struct i8042 *)dev)->mouse, dx, dy, wheel, buttons);
}

static bool input_idle(void *dev)
{
    const struct i8042 *c = dev;

    return ps2_empty(&c->kbd.queue) && !(c->full && c->source == FROM_KBD);
}

static void leds(void *owner, unsigned lights)
{
    struct input_sink *input = &((struct i8042 *)owner)->dev.env->input;

    if (input->leds)
        input->leds(input->screen, lights);
}

/* --- the device --- */

static int i8042_attach(struct dev *d, struct env *env, struct err *e)
{
    struct i8042 *c = container_of(d, struct i8042, dev);

    d->env = env;
    c->data_port = (struct region){
        .name = "8042 data", .size = 1, .ops = &data_ops, .dev = c};
    c->command_port = (struct region){
        .name = "8042 command", .size = 1, .ops = &command_ops, .dev = c};
    if (space_map(env->io, 0x60, &c->data_port, 0) ||
        space_map(env->io, 0x64, &c->command_port, 0))
        return err_set(e, LE_NOMEM, "cannot map the keyboard's ports");
    env->a20_port = &c->output_port;
    timer_init(&c->gap, env->loop, look_again, c);
    c->kbd.env = env;
    c->kbd.leds = leds;
    c->kbd.owner = c;
    c->kbd.queue.ready = c->mouse.queue.ready = look_again;
    c->kbd.queue.owner = c->mouse.queue.owner = c;
    atkbd_init(&c->kbd);
    env->input.key = input_key;
    env->input.motion = input_motion;
    env->input.idle = input_idle;
    env->input.dev = c;
    return 0;
}

static void i8042_pause(struct dev *d)
{
    struct i8042 *c = container_of(d, struct i8042, dev);

    env_arm(d->env, &c->gap, UINT64_MAX);
    atkbd_pause(&c->kbd);
}

static void i8042_resume(struct dev *d)
{
    struct i8042 *c = container_of(d, struct i8042, dev);

    atkbd_resume(&c->kbd);
    refill(c);
}

static void i8042_detach(struct dev *d)
{
    struct i8042 *c = container_of(d, struct i8042, dev);

    i8042_pause(d);
    d->env->a20_port = NULL;
    d->env->input.key = NULL;
    d->env->input.motion = NULL;
    d->env->input.idle = NULL;
    d->env->input.dev = NULL;
    space_unmap(&c->data_port);
    space_unmap(&c->command_port);
}

/* As a BIOS leaves it, for kernels that are started without one. */
static void i8042_reset(struct dev *d, bool cold UNUSED)
{
    struct i8042 *c = container_of(d, struct i8042, dev);

    env_arm(d->env, &c->gap, UINT64_MAX);
    memset(c->ram, 0, sizeof c->ram);
    c->ram[0] = CCB_TRANSLATE | CCB_SYS | CCB_KBD_INT;
    c->sys = true;
    c->output_port = PORT_LINES | PORT_A20 | PORT_RESET;
    c->last_was_command = true;
    c->command = 0;
    c->full = c->answer_waits = c->break_prefix = false;
    c->out = c->source = c->answer = c->answer_source = 0;
    c->next = 0;
    atkbd_reset(&c->kbd);
    ps2mouse_reset(&c->mouse);
    drive(c);
    d->env->set_a20(d->env, true);
}

static int i8042_loaded(struct dev *d, uint16_t version UNUSED)
{
    struct i8042 *c = container_of(d, struct i8042, dev);
    uint64_t now = env_now(d->env);

    if (!atkbd_valid(&c->kbd) || !ps2mouse_valid(&c->mouse) ||
        c->next > now + BYTE_GAP)
        return -LE_FORMAT;
    leds(c, (c->kbd.led_bits & 2 ? INPUT_LED_NUM : 0) |
                (c->kbd.led_bits & 4 ? INPUT_LED_CAPS : 0) |
                (c->kbd.led_bits & 1 ? INPUT_LED_SCROLL : 0));
    d->env->set_a20(d->env, env_a20(d->env));
    i8042_resume(d);
    return 0;
}

static const struct field i8042_state[] = {
    FIELD_SUB(struct i8042, kbd, struct atkbd, atkbd_fields),
    FIELD_SUB(struct i8042, mouse, struct ps2mouse, ps2mouse_fields),
    FIELD_RAW(struct i8042, ram),
    FIELD_MAX(struct i8042, output_port, 8, PORT_WRITABLE),
    FIELDB(struct i8042, last_was_command),
    FIELDB(struct i8042, sys),
    FIELD8(struct i8042, command),
    FIELDB(struct i8042, full),
    FIELDB(struct i8042, answer_waits),
    FIELD8(struct i8042, out),
    FIELD_MAX(struct i8042, source, 8, FROM_AUX),
    FIELD8(struct i8042, answer),
    FIELD_MAX(struct i8042, answer_source, 8, FROM_AUX),
    FIELDB(struct i8042, break_prefix),
    FIELD64(struct i8042, next),
    FIELD_END,
};

const struct dev_class i8042_class = {
    .name = "i8042",
    .summary = "keyboard and mouse controller with both",
    .spec = "IBM PS/2 Hardware Interface Technical Reference",
    .size = sizeof(struct i8042),
    .state = i8042_state,
    .version = 1,
    .attach = i8042_attach,
    .reset = i8042_reset,
    .pause = i8042_pause,
    .resume = i8042_resume,
    .loaded = i8042_loaded,
    .detach = i8042_detach,
};
