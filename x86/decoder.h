/*
 * Inside the decoder: what is known of an instruction while it is read.
 * decode.c reads prefixes and opcode and finds the row; decode_operands.c
 * reads addresses and immediates and fills the operands.
 */
#ifndef X86_DECODER_H
#define X86_DECODER_H

#include "x86/opcode.h"
#include "x86/opspec.h"

enum { INSN_MAX = 15, SEG_NONE = 0xff };

struct decoder {
    /* The bytes, zero beyond n: reading never goes out, and what was read is
       compared with n in the end. */
    uint8_t bytes[48];
    unsigned n, pos;
    enum decode_mode mode;
    enum insn_encoding encoding;

    bool opsize, addrsize, lock; /* 66, 67, F0 */
    uint8_t rep;                 /* 2 F3, 3 F2, as PP_*; 0 none */
    uint8_t segment;             /* override, or SEG_NONE */
    bool rex;                    /* any REX byte in force */
    uint8_t w, r, x, b;          /* REX and its VEX and EVEX kin, 0 or 1 */
    uint8_t r4;                  /* EVEX.R', bit 4 of ModRM.reg */
    uint8_t vvvv;                /* 0–15 upright; 16 is V' */
    uint8_t pp;
    uint8_t l; /* 0, 1, 2 (3: reserved) */
    bool evex_b, evex_z;
    uint8_t aaa;

    uint8_t map, byte, modrm;
    bool has_modrm;
    bool vvvv_used;
    const struct opcode *row;
};

static inline unsigned modrm_mod(const struct decoder *d)
{
    return d->modrm >> 6;
}

static inline unsigned modrm_reg(const struct decoder *d)
{
    return d->modrm >> 3 & 7;
}

static inline unsigned modrm_rm(const struct decoder *d)
{
    return d->modrm & 7;
}

/* Past SIB and displacement, if ModRM names memory. */
void decode_skip_address(struct decoder *d, unsigned asize);
/* Fills operands, address and immediates; false: #UD. */
bool decode_operands(struct decoder *d, struct insn *i);

/* Effective operand size and bytes of a size rule (x86/opspec.h). */
unsigned decode_operand_size(const struct decoder *d);
unsigned decode_size_rule(const struct decoder *d, const struct insn *i,
                          unsigned rule);

#endif
