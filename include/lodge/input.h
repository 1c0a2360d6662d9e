/*
 * Keys and pointer motion, from a screen or a test to the keyboard and mouse
 * that the guest sees. Keys are positions on a keyboard, not characters: USB
 * HID usages of page 7 (HID Usage Tables, "Keyboard/Keypad Page"), and a few
 * consumer keys above them. Called with the machine lock held.
 */
#ifndef LODGE_INPUT_H
#define LODGE_INPUT_H

#include "base/compiler.h"

/* clang-format off */
enum input_key {
    KEY_A = 0x04, KEY_B, KEY_C, KEY_D, KEY_E, KEY_F, KEY_G, KEY_H, KEY_I,
    KEY_J, KEY_K, KEY_L, KEY_M, KEY_N, KEY_O, KEY_P, KEY_Q, KEY_R, KEY_S,
    KEY_T, KEY_U, KEY_V, KEY_W, KEY_X, KEY_Y, KEY_Z,
    KEY_1, KEY_2, KEY_3, KEY_4, KEY_5, KEY_6, KEY_7, KEY_8, KEY_9, KEY_0,
    KEY_ENTER, KEY_ESC, KEY_BACKSPACE, KEY_TAB, KEY_SPACE, KEY_MINUS,
    KEY_EQUAL, KEY_LEFTBRACKET, KEY_RIGHTBRACKET, KEY_BACKSLASH,
    KEY_NONUS_HASH, KEY_SEMICOLON, KEY_QUOTE, KEY_GRAVE, KEY_COMMA, KEY_DOT,
    KEY_SLASH, KEY_CAPSLOCK,
    KEY_F1, KEY_F2, KEY_F3, KEY_F4, KEY_F5, KEY_F6, KEY_F7, KEY_F8, KEY_F9,
    KEY_F10, KEY_F11, KEY_F12,
    KEY_PRINTSCREEN, KEY_SCROLLLOCK, KEY_PAUSE, KEY_INSERT, KEY_HOME,
    KEY_PAGEUP, KEY_DELETE, KEY_END, KEY_PAGEDOWN, KEY_RIGHT, KEY_LEFT,
    KEY_DOWN, KEY_UP, KEY_NUMLOCK, KEY_KP_SLASH, KEY_KP_STAR, KEY_KP_MINUS,
    KEY_KP_PLUS, KEY_KP_ENTER,
    KEY_KP_1, KEY_KP_2, KEY_KP_3, KEY_KP_4, KEY_KP_5, KEY_KP_6, KEY_KP_7,
    KEY_KP_8, KEY_KP_9, KEY_KP_0,
    KEY_KP_DOT, KEY_NONUS_BACKSLASH, KEY_APPLICATION, KEY_POWER, KEY_KP_EQUAL,
    KEY_F13, KEY_F14, KEY_F15, KEY_F16, KEY_F17, KEY_F18, KEY_F19, KEY_F20,
    KEY_F21, KEY_F22, KEY_F23, KEY_F24 = 0x73,
    KEY_MUTE = 0x7f, KEY_VOLUMEUP, KEY_VOLUMEDOWN,
    KEY_KP_COMMA = 0x85,
    KEY_INTL1 = 0x87, /* Ro; 2: Katakana/Hiragana; 3: Yen; 4: Henkan;
                         5: Muhenkan; 6: KP comma of PC-98 */
    KEY_INTL2, KEY_INTL3, KEY_INTL4, KEY_INTL5, KEY_INTL6,
    KEY_LANG1 = 0x90, /* Hangul/English; 2: Hanja; 3: Katakana; 4: Hiragana */
    KEY_LANG2, KEY_LANG3, KEY_LANG4,
    KEY_LEFTCTRL = 0xe0, KEY_LEFTSHIFT, KEY_LEFTALT, KEY_LEFTMETA,
    KEY_RIGHTCTRL, KEY_RIGHTSHIFT, KEY_RIGHTALT, KEY_RIGHTMETA,
    /* Not of page 7 */
    KEY_SLEEP = 0x100, KEY_WAKE, KEY_MEDIA_NEXT, KEY_MEDIA_PREV,
    KEY_MEDIA_STOP, KEY_MEDIA_PLAY, KEY_MEDIA_SELECT, KEY_MAIL, KEY_CALCULATOR,
    KEY_COMPUTER, KEY_WWW_SEARCH, KEY_WWW_HOME, KEY_WWW_BACK, KEY_WWW_FORWARD,
    KEY_WWW_STOP, KEY_WWW_REFRESH, KEY_WWW_FAVORITES,
    KEY_COUNT,
};
/* clang-format on */

enum {
    INPUT_LEFT = 1,
    INPUT_RIGHT = 2,
    INPUT_MIDDLE = 4,
    INPUT_SIDE = 8,
    INPUT_EXTRA = 16
};

enum { INPUT_POINT_MAX = 0xffff };

/* Lock lights, as the guest last set them. */
enum { INPUT_LED_NUM = 1, INPUT_LED_CAPS = 2, INPUT_LED_SCROLL = 4 };

struct input_sink {
    /* The device's side, set at attach; NULL: no such device. */
    /* Auto-repeat is the device's: one press, one release. Unknown keys are
       ignored. */
    void (*key)(void *dev, unsigned key, bool down);
    /* Relative motion since the last call (dx right, dy down, wheel towards
       the user, hwheel right) and the buttons now held. */
    void (*motion)(void *dev, int dx, int dy, int wheel, int hwheel,
                   unsigned buttons);
    /* The guest has taken every key so far. */
    bool (*idle)(void *dev);
    void *dev;
    /*
     * An absolute pointer's side; point NULL: there is none. x and y go from 0
     * to INPUT_POINT_MAX across the picture; wheel and buttons as above.
     */
    void (*point)(void *pointer, unsigned x, unsigned y, int wheel,
                  unsigned buttons);
    /* The guest listens to it now; else it is motion() that it wants. */
    bool (*pointing)(void *pointer);
    void *pointer;
    /* The screen's side: lights changed. May be NULL. */
    void (*leds)(void *screen, unsigned leds);
    void *screen;
};

#endif
