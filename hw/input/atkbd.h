/*
 * An AT/PS/2 keyboard with 105 keys, the Japanese, Korean and Brazilian ones
 * and media keys; scan code sets 1, 2 and 3. Machine lock held.
 * Spec: IBM PS/2 Keyboard and Auxiliary Device Controller reference;
 * Microsoft Keyboard Scan Code Specification 1.3a.
 */
#ifndef HW_INPUT_ATKBD_H
#define HW_INPUT_ATKBD_H

#include "hw/input/ps2.h"

struct atkbd {
    /* Filled by the owner. */
    struct env *env;
    void (*leds)(void *owner, unsigned leds); /* INPUT_LED_* */
    void *owner;

    /* The rest is its own. */
    struct ps2_queue queue;
    uint8_t set;     /* 1 to 3 */
    uint8_t command; /* that waits for its parameter; 0: none */
    uint8_t led_bits, rate;
    bool scanning, overrun;
    uint16_t repeating; /* key, or 0 */
    /* Set 3: which codes repeat, and which have a break code. */
    uint8_t typematic[32], breaks[32];
    uint8_t down[64]; /* keys held, a bit each */
    struct timer repeat;
};

extern const struct field atkbd_fields[];

void atkbd_init(struct atkbd *k);
void atkbd_reset(struct atkbd *k);
void atkbd_pause(struct atkbd *k);
void atkbd_resume(struct atkbd *k);
void atkbd_write(struct atkbd *k, uint8_t v); /* from the controller */
void atkbd_key(struct atkbd *k, unsigned key, bool down);
bool atkbd_valid(const struct atkbd *k);

/* --- atkbd_codes.c --- */

/* Codes of a key: 0, when a set has none for it. */
struct scan_code {
    uint8_t set2, set3;
    bool extended; /* set 1 and 2: after 0xe0 */
};
const struct scan_code *scan_code(unsigned key); /* NULL: no such key */
/* What the controller makes of a set 2 byte: its set 1 code. */
extern const uint8_t scan_set2_to_1[256];
/* Set 3 codes that are not typematic, as a keyboard powers up: what has a
   break code, and what is sent once. 0-terminated. */
extern const uint8_t scan_set3_make_break[], scan_set3_make_only[];

#endif
