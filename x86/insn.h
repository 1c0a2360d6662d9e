/*
 * A decoded instruction: 64 bytes, one host cache line, the same for
 * interpreter, translator and disassembler.
 *
 * Encodings: Intel SDM volume 2, chapter 2. All sizes are in bytes.
 */
#ifndef X86_INSN_H
#define X86_INSN_H

#include "lodge/types.h"

struct cpu;
struct insn;
struct opcode;

/*
 * What an instruction does. Runs on the vCPU's thread with no lock held; a
 * fault does not return (x86_raise). See cpu.h for what it may rely on.
 */
typedef void (*op_fn)(struct cpu *c, const struct insn *i);

enum operand_kind {
    OPND_NONE,
    OPND_GPR,  /* reg 0–15; size 1: reg 0x10 + n is AH, CH, DH, BH */
    OPND_MEM,  /* the one memory operand: seg, base, index, scale, disp */
    OPND_IMM,  /* imm, already sign-extended as the instruction says */
    OPND_IMM2, /* second immediate (ENTER, EXTRQ-like): imm bits 32 and up */
    OPND_REL,  /* imm: signed displacement from the next instruction */
    OPND_FAR,  /* ptr16:16 or ptr16:32: imm = offset | selector << 32 */
    OPND_SREG, OPND_CR, OPND_DR,
    OPND_ST,   /* reg 0–7 */
    OPND_MMX,  /* reg 0–7 */
    OPND_VEC,  /* XMM, YMM or ZMM by size; reg 0–31 */
    OPND_K,    /* opmask register */
};

struct operand {
    uint8_t kind; /* enum operand_kind */
    uint8_t reg;
    uint8_t size; /* of what it reads or writes; 0: not a matter of size */
};

enum { REG_NONE = 0xff, REG_RIP = 0xfe };

enum insn_encoding { ENC_LEGACY, ENC_VEX, ENC_EVEX };

enum insn_flags {
    INSN_LOCK = 1 << 0,
    INSN_REP = 1 << 1,   /* F3, where it repeats (REP, REPE) */
    INSN_REPNE = 1 << 2, /* F2, where it repeats */
    INSN_MEM = 1 << 3,   /* has a memory operand (also implicit: string) */
    INSN_REX = 1 << 4,   /* any REX prefix */
    INSN_REXW = 1 << 5,  /* REX.W, VEX.W or EVEX.W */
    INSN_66 = 1 << 6,    /* an operand-size prefix was there */
    INSN_VSIB = 1 << 7,  /* index is a vector register of size vl */
};

struct insn {
    op_fn fn; /* what the engine runs; the decoder puts the row's body */
    uint16_t op;   /* row: opcode_table[op] */
    uint16_t pos;  /* offset of its first byte in its block */
    uint8_t len;   /* 1 to 15 */
    uint8_t osize; /* effective operand size: 1, 2, 4, 8 */
    uint8_t asize; /* effective address size: 2, 4, 8 */
    uint8_t flags; /* enum insn_flags */

    /* memory operand */
    uint8_t seg;         /* ES … GS: effective segment */
    uint8_t base, index; /* 0–15 (VSIB index 0–31), REG_NONE, REG_RIP */
    uint8_t scale;       /* shift: 0 to 3 */
    int32_t disp;        /* sign-extended, EVEX disp8*N applied; moffs64: see
                            imm */
    uint64_t imm;        /* immediate; for moffs the whole address */

    struct operand opnd[4]; /* destination first, as in the SDM */
    uint8_t vl;             /* vector length 16, 32, 64; 0: none */
    uint8_t evex;  /* opmask aaa 2:0, b (broadcast/rc/sae) 3, z 4, L'L 6:5 */
    uint8_t code;  /* the opcode byte: its low nibble is cc in Jcc, … */
    uint8_t layout; /* enum insn_encoding 1:0, ModRM there 7, and where the
                       ModRM byte is in raw 5:2 */
    uint8_t raw[15]; /* the encoding */
    uint8_t imm_len; /* bytes of immediate at the end of raw */
};

static inline unsigned insn_cc(const struct insn *i)
{
    return i->code & 15;
}

static inline enum insn_encoding insn_encoding(const struct insn *i)
{
    return (enum insn_encoding)(i->layout & 3);
}

static inline bool insn_has_modrm(const struct insn *i)
{
    return i->layout & 0x80;
}

static inline unsigned insn_modrm_at(const struct insn *i)
{
    return i->layout >> 2 & 15;
}

_Static_assert(sizeof(struct insn) == 64, "one cache line");

#endif
