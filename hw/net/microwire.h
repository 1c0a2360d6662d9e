/*
 * A 93C46: 64 words of EEPROM behind three wires (Microchip 21749), as network
 * cards have it for their address and settings. It is read only: writing is
 * answered as done, and changes nothing. Machine lock held.
 */
#ifndef HW_NET_MICROWIRE_H
#define HW_NET_MICROWIRE_H

#include "lodge/state.h"

enum { MICROWIRE_WORDS = 64 };

struct microwire {
    uint16_t word[MICROWIRE_WORDS];
    uint16_t in, out; /* the command shifted in, what is shifted out */
    uint8_t bits;     /* clocked in since chip select; at most 31 */
    bool clock;
};
extern const struct field microwire_fields[];

/* The wires as the card drives them. */
void microwire_drive(struct microwire *m, bool select, bool clock, bool in);
/* The wire it drives. */
static inline bool microwire_out(const struct microwire *m)
{
    return m->out & 0x8000;
}

#endif
