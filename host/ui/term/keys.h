/*
 * What a terminal sends for keys, as keys of a PC: characters, control codes,
 * and the escape sequences that terminals of the xterm, VT and Linux families
 * share. Any thread.
 */
#ifndef HOST_UI_TERM_KEYS_H
#define HOST_UI_TERM_KEYS_H

#include "lodge/input.h"

enum { TERM_SHIFT = 1, TERM_ALT = 2, TERM_CTRL = 4 };

struct term_key {
    uint16_t key; /* 0: nothing that a keyboard has */
    uint8_t mods; /* TERM_* held with it */
};

/*
 * The first key of the n bytes at p; returns how many bytes it took (1 to n),
 * or 0: more is to come. last: nothing more comes for now, so that a lone
 * escape is the Escape key.
 */
size_t term_key(const uint8_t *p, size_t n, bool last, struct term_key *out);

/* The keys to hold together for it, at most 4; returns how many. */
unsigned term_key_chord(struct term_key k, uint16_t keys[4]);

#endif
