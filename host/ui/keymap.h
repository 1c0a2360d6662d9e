/*
 * What people and screens call keys, as keys of lodge/input.h: names, the
 * characters of a US keyboard. Any thread.
 */
#ifndef HOST_UI_KEYMAP_H
#define HOST_UI_KEYMAP_H

#include "base/err.h"
#include "lodge/input.h"

enum { CHORD_MAX = 8 };

struct key_stroke {
    uint16_t key;
    bool shift;
};

/* The stroke that types a character (ASCII; newline, tab, backspace, escape);
   false: no key has it. */
bool key_of_char(uint32_t c, struct key_stroke *out);

/* A key by its name ("f1", "ctrl", "page-up" is "pageup") or its character;
   0: none. */
unsigned key_by_name(const char *name, size_t n);

/*
 * Keys to be held together, in that order: "ctrl-alt-delete", "shift-f10",
 * "a". Returns how many, at most CHORD_MAX, or -LE_USAGE.
 */
int chord_parse(const char *text, uint16_t keys[CHORD_MAX], struct err *e);

#endif
