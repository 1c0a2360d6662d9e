/*
 * The way from opcode bytes to a row. The index itself (opcode_index.h) is
 * made from the table at build time, by tools/mkindex.c.
 *
 * A slot is (encoding, map, opcode byte). It names a run of matches, the more
 * particular first; the first whose masked key is equal is the row.
 */
#ifndef X86_OPINDEX_H
#define X86_OPINDEX_H

#include <stdint.h>

/* What of an instruction chooses among the rows of a slot. */
enum {
    KEY_64 = 1 << 0,
    KEY_PP_SHIFT = 1, /* 0 none, 1 66, 2 F3, 3 F2 */
    KEY_PP = 3 << 1,
    KEY_REP = 2 << 1, /* the bit of PP that F3 and F2 share */
    KEY_W = 1 << 3,
    KEY_L_SHIFT = 4,
    KEY_L = 3 << 4,
    KEY_L2 = 2 << 4,
    KEY_REG_SHIFT = 6,
    KEY_REG = 7 << 6,
    KEY_MOD3 = 1 << 9, /* without ModRM: REX.B */
    KEY_RM_SHIFT = 10,
    KEY_RM = 7 << 10,
};

struct opcode_match {
    uint16_t mask, value;
    uint16_t row;
};

struct opcode_slot {
    uint16_t first;
    uint8_t count;
    uint8_t modrm; /* a ModRM byte follows */
};

enum { SLOT_LEGACY = 0, SLOT_VEX = 4, SLOT_EVEX = 8, SLOT_SPACES = 15 };

/* The slot's space: legacy maps 0–3, VEX maps 1–3, EVEX maps 1–6. */
static inline unsigned slot_space(unsigned encoding, unsigned map)
{
    return encoding == 0   ? SLOT_LEGACY + map
           : encoding == 1 ? SLOT_VEX + map
                           : SLOT_EVEX + map;
}

#endif
