#include "hw/input/atkbd.h"

#include "base/bits.h"
#include "base/libc.h"

enum {
    SET_LEDS = 0xed,
    ECHO = 0xee,
    SCAN_SET = 0xf0,
    GET_ID = 0xf2,
    SET_TYPEMATIC = 0xf3,
    ENABLE = 0xf4,
    DISABLE = 0xf5,
    DEFAULTS = 0xf6,
    ALL_TYPEMATIC = 0xf7,
    ALL_MAKE_BREAK = 0xf8,
    ALL_MAKE = 0xf9,
    ALL_BOTH = 0xfa,
    KEY_TYPEMATIC = 0xfb,
    KEY_MAKE_BREAK = 0xfc,
    KEY_MAKE = 0xfd,
    RESEND = 0xfe,
    RESET = 0xff,
    FIRST_COMMAND = SET_LEDS,
};
enum { BREAK = 0xf0, EXTENDED = 0xe0, EXTENDED_PAUSE = 0xe1 };
enum { LED_SCROLL = 1, LED_NUM = 2, LED_CAPS = 4 };

/* 10.9 characters a second after half a second. */
#define DEFAULT_RATE 0x2b

_Static_assert(KEY_COUNT <= 64 * 8, "a bit for each key");

static bool bit_of(const uint8_t *set, unsigned n)
{
    return set[n / 8] >> n % 8 & 1;
}

static void set_bit(uint8_t *set, unsigned n, bool on)
{
    uint8_t bit = (uint8_t)BIT(n % 8);

    set[n / 8] = on ? set[n / 8] | bit : set[n / 8] & ~bit;
}

static bool is_down(const struct atkbd *k, unsigned key)
{
    return bit_of(k->down, key);
}

static void set_leds(struct atkbd *k, uint8_t v)
{
    k->led_bits = v & 7;
    if (k->leds)
        k->leds(k->owner, (v & LED_NUM ? INPUT_LED_NUM : 0) |
                              (v & LED_CAPS ? INPUT_LED_CAPS : 0) |
                              (v & LED_SCROLL ? INPUT_LED_SCROLL : 0));
}

static void stop_repeat(struct atkbd *k)
{
    k->repeating = 0;
    env_arm(k->env, &k->repeat, UINT64_MAX);
}

static void set_defaults(struct atkbd *k)
{
    k->rate = DEFAULT_RATE;
    k->set = 2;
    k->overrun = false;
    k->queue.nevents = 0;
    stop_repeat(k);
    memset(k->typematic, 0xff, sizeof k->typematic);
    memset(k->breaks, 0, sizeof k->breaks);
    for (const uint8_t *c = scan_set3_make_break; *c; c++) {
        set_bit(k->typematic, *c, false);
        set_bit(k->breaks, *c, true);
    }
    for (const uint8_t *c = scan_set3_make_only; *c; c++)
        set_bit(k->typematic, *c, false);
}

void atkbd_reset(struct atkbd *k)
{
    set_defaults(k);
    ps2_clear(&k->queue);
    k->command = 0;
    k->scanning = true;
    set_leds(k, 0);
}

/* --- scan codes --- */

struct bytes {
    uint8_t p[PS2_EVENTS];
    unsigned n;
};

/* A set 2 code as the chosen set (1 or 2) spells it. */
static void put(const struct atkbd *k, struct bytes *b, uint8_t code, bool make)
{
    if (k->set == 1) {
        b->p[b->n++] = scan_set2_to_1[code] | (make ? 0 : 0x80);
        return;
    }
    if (!make)
        b->p[b->n++] = BREAK;
    b->p[b->n++] = code;
}

static void put_extended(const struct atkbd *k, struct bytes *b, uint8_t code,
                         bool make)
{
    b->p[b->n++] = EXTENDED;
    put(k, b, code, make);
}

static bool ctrl(const struct atkbd *k)
{
    return is_down(k, KEY_LEFTCTRL) || is_down(k, KEY_RIGHTCTRL);
}

/* Pause sends make and break when it is pressed; with Ctrl it is Break. */
static void pause_codes(const struct atkbd *k, struct bytes *b, bool make)
{
    if (!make)
        return;
    if (ctrl(k)) {
        put_extended(k, b, 0x7e, true);
        put_extended(k, b, 0x7e, false);
        return;
    }
    for (unsigned down = 2; down-- > 0;) {
        b->p[b->n++] = EXTENDED_PAUSE;
        put(k, b, 0x14, down);
        put(k, b, 0x77, down);
    }
}

/* Print Screen wears a shift key unless one is down; with Alt it is SysRq. */
static void print_screen_codes(const struct atkbd *k, struct bytes *b,
                               bool make)
{
    bool dressed =
        !ctrl(k) && !is_down(k, KEY_LEFTSHIFT) && !is_down(k, KEY_RIGHTSHIFT);

    if (is_down(k, KEY_LEFTALT) || is_down(k, KEY_RIGHTALT)) {
        put(k, b, 0x84, make);
        return;
    }
    if (dressed && make)
        put_extended(k, b, 0x12, true);
    put_extended(k, b, 0x7c, make);
    if (dressed && !make)
        put_extended(k, b, 0x12, false);
}

static void codes_of(const struct atkbd *k, struct bytes *b, unsigned key,
                     bool make)
{
    const struct scan_code *c = scan_code(key);

    if (k->set == 3) {
        if (!c->set3 || (!make && !bit_of(k->breaks, c->set3)))
            return;
        if (!make)
            b->p[b->n++] = BREAK;
        b->p[b->n++] = c->set3;
    } else if (key == KEY_PAUSE) {
        pause_codes(k, b, make);
    } else if (key == KEY_PRINTSCREEN) {
        print_screen_codes(k, b, make);
    } else if (key == KEY_LANG1 || key == KEY_LANG2) {
        if (make) /* the Korean keys have no break */
            b->p[b->n++] = c->set2;
    } else if (c->extended) {
        put_extended(k, b, c->set2, make);
    } else {
        put(k, b, c->set2, make);
    }
}

static void send(struct atkbd *k, unsigned key, bool make)
{
    struct bytes b = {.n = 0};
    uint8_t lost = k->set == 1 ? 0xff : 0x00;

    codes_of(k, &b, key, make);
    if (!b.n)
        return;
    /* The last place is for the byte that says that keys were lost. */
    if (!k->overrun && b.n < (unsigned)(PS2_EVENTS - k->queue.nevents))
        ps2_event(&k->queue, b.p, b.n);
    else if (!k->overrun)
        k->overrun = ps2_event(&k->queue, &lost, 1);
    else if (!k->queue.nevents) {
        k->overrun = false;
        ps2_event(&k->queue, b.p, b.n);
    }
    k->queue.ready(k->queue.owner);
}

/* --- auto-repeat --- */

/* Bits 6:5: delay; 4:3 and 2:0: (8 + A) * 2^B / 240 s between repeats. */
static uint64_t delay_ns(const struct atkbd *k)
{
    return (1 + (k->rate >> 5 & 3)) * (NS_PER_SEC / 4);
}

static uint64_t period_ns(const struct atkbd *k)
{
    return ((8 + (k->rate & 7ull)) << (k->rate >> 3 & 3)) * NS_PER_SEC / 240;
}

static bool repeats(const struct atkbd *k, unsigned key)
{
    if (key == KEY_PAUSE || key == KEY_LANG1 || key == KEY_LANG2)
        return false;
    return k->set != 3 || bit_of(k->typematic, scan_code(key)->set3);
}

static void repeat_due(void *ctx)
{
    struct atkbd *k = ctx;

    if (!k->repeating)
        return;
    /* Nobody wants repeats that the guest has no time for. */
    if (ps2_empty(&k->queue))
        send(k, k->repeating, true);
    env_arm(k->env, &k->repeat, env_now(k->env) + period_ns(k));
}

void atkbd_key(struct atkbd *k, unsigned key, bool down)
{
    if (!scan_code(key) || is_down(k, key) == down)
        return;
    set_bit(k->down, key, down);
    if (!k->scanning)
        return;
    send(k, key, down);
    if (down && repeats(k, key)) {
        k->repeating = (uint16_t)key;
        env_arm(k->env, &k->repeat, env_now(k->env) + delay_ns(k));
    } else if (k->repeating == key) {
        stop_repeat(k);
    }
}

/* --- commands --- */

static void set_all(struct atkbd *k, bool typematic, bool breaks)
{
    memset(k->typematic, typematic ? 0xff : 0, sizeof k->typematic);
    memset(k->breaks, breaks ? 0xff : 0, sizeof k->breaks);
}

static void set_one(struct atkbd *k, uint8_t code, bool typematic, bool breaks)
{
    set_bit(k->typematic, code, typematic);
    set_bit(k->breaks, code, breaks);
}

static void scan_set(struct atkbd *k, uint8_t v)
{
    ps2_answer(&k->queue, PS2_ACK);
    if (v == 0)
        ps2_answer(&k->queue, k->set);
    else if (v <= 3)
        k->set = v;
    else
        k->queue.answers[0] = PS2_RESEND;
}

static void parameter(struct atkbd *k, uint8_t v)
{
    uint8_t command = k->command;

    k->command = 0;
    switch (command) {
    case SCAN_SET: scan_set(k, v); return;
    case SET_LEDS: set_leds(k, v); break;
    case SET_TYPEMATIC: k->rate = v & 0x7f; break;
    default: /* a list of keys, up to the next command */
        set_one(k, v, command == KEY_TYPEMATIC, command == KEY_MAKE_BREAK);
        k->command = command;
        break;
    }
    ps2_answer(&k->queue, PS2_ACK);
}

static void reset_command(struct atkbd *k)
{
    atkbd_reset(k);
    ps2_answer(&k->queue, PS2_ACK);
    ps2_answer(&k->queue, PS2_PASSED);
}

static void command(struct atkbd *k, uint8_t v)
{
    k->command = 0;
    if (v == ECHO || v == RESET) {
        if (v == RESET)
            reset_command(k);
        else
            ps2_answer(&k->queue, ECHO);
        return;
    }
    ps2_answer(&k->queue, PS2_ACK);
    switch (v) {
    case SET_LEDS:
    case SCAN_SET:
    case SET_TYPEMATIC:
    case KEY_TYPEMATIC:
    case KEY_MAKE_BREAK:
    case KEY_MAKE: k->command = v; break;
    case GET_ID:
        ps2_answer(&k->queue, 0xab);
        ps2_answer(&k->queue, 0x83);
        break;
    case ENABLE:
        k->queue.nevents = 0;
        k->overrun = false;
        k->scanning = true;
        break;
    case DISABLE:
        set_defaults(k);
        k->scanning = false;
        break;
    case DEFAULTS: set_defaults(k); break;
    case ALL_TYPEMATIC: set_all(k, true, false); break;
    case ALL_MAKE_BREAK: set_all(k, false, true); break;
    case ALL_MAKE: set_all(k, false, false); break;
    case ALL_BOTH: set_all(k, true, true); break;
    default: k->queue.answers[0] = PS2_RESEND; break;
    }
}

void atkbd_write(struct atkbd *k, uint8_t v)
{
    uint8_t last = k->queue.last;

    ps2_answer_start(&k->queue);
    if (v == RESEND)
        ps2_answer(&k->queue, last);
    else if (k->command && v < FIRST_COMMAND)
        parameter(k, v);
    else
        command(k, v);
    k->queue.ready(k->queue.owner);
}

/* --- life --- */

void atkbd_init(struct atkbd *k)
{
    timer_init(&k->repeat, k->env->loop, repeat_due, k);
}

void atkbd_pause(struct atkbd *k)
{
    env_arm(k->env, &k->repeat, UINT64_MAX);
}

/* Keys let go in the meantime are not ours to know: no more repeats. */
void atkbd_resume(struct atkbd *k)
{
    stop_repeat(k);
}

bool atkbd_valid(const struct atkbd *k)
{
    return k->set >= 1 && k->set <= 3 &&
           (!k->command || k->command >= FIRST_COMMAND);
}

const struct field atkbd_fields[] = {
    FIELD_SUB(struct atkbd, queue, struct ps2_queue, ps2_queue_fields),
    FIELD_MAX(struct atkbd, set, 8, 3),
    FIELD8(struct atkbd, command),
    FIELD_MAX(struct atkbd, led_bits, 8, 7),
    FIELD_MAX(struct atkbd, rate, 8, 0x7f),
    FIELDB(struct atkbd, scanning),
    FIELDB(struct atkbd, overrun),
    FIELD_RAW(struct atkbd, typematic),
    FIELD_RAW(struct atkbd, breaks),
    FIELD_RAW(struct atkbd, down),
    FIELD_END,
};
