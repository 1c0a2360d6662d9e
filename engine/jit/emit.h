/*
 * A small x86-64 assembler: what the translator itself writes around copied
 * instructions. Encodings: Intel SDM volume 2, chapter 2.
 */
#ifndef JIT_EMIT_H
#define JIT_EMIT_H

#include "base/bits.h"
#include "base/endian.h"

enum host_reg {
    H_AX,
    H_CX,
    H_DX,
    H_BX,
    H_SP,
    H_BP,
    H_SI,
    H_DI,
    H_8,
    H_9,
    H_10,
    H_11,
    H_12,
    H_13,
    H_14,
    H_15
};

/* Writes through the rw mapping; p - rw + rx is where the code will run. */
struct emit {
    uint8_t *p, *end; /* end leaves room for one more instruction */
    intptr_t to_rx;   /* rx - rw */
};

static inline const uint8_t *emit_here(const struct emit *e)
{
    return e->p + e->to_rx;
}

static inline void e8(struct emit *e, unsigned v)
{
    *e->p++ = (uint8_t)v;
}

static inline void e32(struct emit *e, uint32_t v)
{
    store_le32(e->p, v);
    e->p += 4;
}

static inline void e64(struct emit *e, uint64_t v)
{
    store_le64(e->p, v);
    e->p += 8;
}

static inline bool fits8(int64_t v)
{
    return v == (int8_t)v;
}

static inline bool fits32(int64_t v)
{
    return v == (int32_t)v;
}

/* REX for reg, index, base; none when nothing needs it. w: 64-bit. */
static inline void e_rex(struct emit *e, bool w, unsigned reg, unsigned index,
                         unsigned base)
{
    unsigned rex = 0x40 | (unsigned)w << 3 | (reg >> 3 & 1) << 2 |
                   (index >> 3 & 1) << 1 | (base >> 3 & 1);

    if (rex != 0x40)
        e8(e, rex);
}

/* ModRM and what follows for [base + disp]. */
static inline void e_modrm_disp(struct emit *e, unsigned reg, unsigned base,
                                int32_t disp)
{
    unsigned mod = disp == 0 && (base & 7) != 5 ? 0 : fits8(disp) ? 1 : 2;

    e8(e, mod << 6 | (reg & 7) << 3 | (base & 7));
    if ((base & 7) == 4)
        e8(e, 0x24);
    if (mod == 1)
        e8(e, (uint8_t)disp);
    else if (mod == 2)
        e32(e, (uint32_t)disp);
}

/* [base + index << scale + disp]; index is not H_SP. */
static inline void e_modrm_sib(struct emit *e, unsigned reg, unsigned base,
                               unsigned index, unsigned scale, int32_t disp)
{
    unsigned mod = disp == 0 && (base & 7) != 5 ? 0 : fits8(disp) ? 1 : 2;

    e8(e, mod << 6 | (reg & 7) << 3 | 4);
    e8(e, scale << 6 | (index & 7) << 3 | (base & 7));
    if (mod == 1)
        e8(e, (uint8_t)disp);
    else if (mod == 2)
        e32(e, (uint32_t)disp);
}

/* op reg, rm (or rm, reg, as the opcode says) between registers */
static inline void e_rr(struct emit *e, bool w, unsigned op, unsigned reg,
                        unsigned rm)
{
    e_rex(e, w, reg, 0, rm);
    e8(e, op);
    e8(e, 0xc0 | (reg & 7) << 3 | (rm & 7));
}

/* op reg, [base + disp] (or the other way) */
static inline void e_rm(struct emit *e, bool w, unsigned op, unsigned reg,
                        unsigned base, int32_t disp)
{
    e_rex(e, w, reg, 0, base);
    e8(e, op);
    e_modrm_disp(e, reg, base, disp);
}

static inline void e_rx(struct emit *e, bool w, unsigned op, unsigned reg,
                        unsigned base, unsigned index, unsigned scale,
                        int32_t disp)
{
    e_rex(e, w, reg, index, base);
    e8(e, op);
    e_modrm_sib(e, reg, base, index, scale, disp);
}

enum {
    OP_MOV_LOAD = 0x8b,
    OP_MOV_STORE = 0x89,
    OP_LEA_R = 0x8d,
    ALU_ADD = 0,
    ALU_OR = 1,
    ALU_AND = 4,
    ALU_SUB = 5,
    ALU_XOR = 6,
    ALU_CMP = 7
};

static inline void e_mov(struct emit *e, unsigned to, unsigned from)
{
    if (to != from)
        e_rr(e, true, OP_MOV_STORE, from, to);
}

/* movzx to, from: of its low 16 bits */
static inline void e_movzx16(struct emit *e, unsigned to, unsigned from)
{
    e_rex(e, false, to, 0, from);
    e8(e, 0x0f);
    e8(e, 0xb7);
    e8(e, 0xc0 | (to & 7) << 3 | (from & 7));
}

/* The prefix of an instruction on n bytes. */
static inline void e_size(struct emit *e, unsigned n)
{
    if (n == 2)
        e8(e, 0x66);
}

/* mov to, from as n bytes of a general register are written */
static inline void e_mov_part(struct emit *e, unsigned n, unsigned to,
                              unsigned from)
{
    e_size(e, n);
    e_rr(e, n == 8, OP_MOV_STORE, from, to);
}

static inline void e_load(struct emit *e, unsigned to, unsigned base,
                          int32_t disp)
{
    e_rm(e, true, OP_MOV_LOAD, to, base, disp);
}

static inline void e_store(struct emit *e, unsigned base, int32_t disp,
                           unsigned from)
{
    e_rm(e, true, OP_MOV_STORE, from, base, disp);
}

static inline void e_mov_imm(struct emit *e, unsigned to, uint64_t v)
{
    if (v == (uint32_t)v) {
        e_rex(e, false, 0, 0, to);
        e8(e, 0xb8 | (to & 7));
        e32(e, (uint32_t)v);
    } else if (fits32((int64_t)v)) {
        e_rex(e, true, 0, 0, to);
        e8(e, 0xc7);
        e8(e, 0xc0 | (to & 7));
        e32(e, (uint32_t)v);
    } else {
        e_rex(e, true, 0, 0, to);
        e8(e, 0xb8 | (to & 7));
        e64(e, v);
    }
}

/* add/or/and/sub/xor/cmp reg, imm */
static inline void e_alu_imm(struct emit *e, bool w, unsigned alu, unsigned reg,
                             int32_t imm)
{
    e_rex(e, w, 0, 0, reg);
    e8(e, fits8(imm) ? 0x83 : 0x81);
    e8(e, 0xc0 | alu << 3 | (reg & 7));
    if (fits8(imm))
        e8(e, (uint8_t)imm);
    else
        e32(e, (uint32_t)imm);
}

/* cmp dword [base + disp], imm */
static inline void e_cmp_mem32(struct emit *e, unsigned base, int32_t disp,
                               int32_t imm)
{
    e_rex(e, false, 0, 0, base);
    e8(e, fits8(imm) ? 0x83 : 0x81);
    e_modrm_disp(e, ALU_CMP, base, disp);
    if (fits8(imm))
        e8(e, (uint8_t)imm);
    else
        e32(e, (uint32_t)imm);
}

/* cmp byte [base + disp], imm */
static inline void e_cmp_mem8(struct emit *e, unsigned base, int32_t disp,
                              unsigned imm)
{
    e_rex(e, false, 0, 0, base);
    e8(e, 0x80);
    e_modrm_disp(e, ALU_CMP, base, disp);
    e8(e, imm);
}

/* rorx to, from, n: rotates without touching flags (BMI2) */
static inline void e_rorx(struct emit *e, unsigned to, unsigned from,
                          unsigned n)
{
    e8(e, 0xc4);
    e8(e, (to & 8 ? 0 : 0x80) | 0x40 | (from & 8 ? 0 : 0x20) | 3);
    e8(e, 0xfb);
    e8(e, 0xf0);
    e8(e, 0xc0 | (to & 7) << 3 | (from & 7));
    e8(e, n);
}

/* jmp, call, jcc rel32; the target is an rx address */
static inline void e_rel32(struct emit *e, const void *target)
{
    intptr_t from = (intptr_t)emit_here(e) + 4;

    e32(e, (uint32_t)((intptr_t)target - from));
}

static inline void e_jmp(struct emit *e, const void *target)
{
    e8(e, 0xe9);
    e_rel32(e, target);
}

static inline void e_call(struct emit *e, const void *target)
{
    e8(e, 0xe8);
    e_rel32(e, target);
}

static inline void e_jcc(struct emit *e, unsigned cc, const void *target)
{
    e8(e, 0x0f);
    e8(e, 0x80 | cc);
    e_rel32(e, target);
}

/* Forward jumps: emit with no target, then bind to here. */
static inline uint8_t *e_jmp_forward(struct emit *e)
{
    e8(e, 0xe9);
    e32(e, 0);
    return e->p;
}

static inline uint8_t *e_jcc_forward(struct emit *e, unsigned cc)
{
    e8(e, 0x0f);
    e8(e, 0x80 | cc);
    e32(e, 0);
    return e->p;
}

static inline void e_bind(struct emit *e, uint8_t *after)
{
    store_le32(after - 4, (uint32_t)(e->p - after));
}

/* Through an absolute address, for C functions out of rel32 reach. */
static inline void e_call_abs(struct emit *e, unsigned scratch, const void *f)
{
    e_mov_imm(e, scratch, (uint64_t)(uintptr_t)f);
    e_rex(e, false, 0, 0, scratch);
    e8(e, 0xff);
    e8(e, 0xd0 | (scratch & 7));
}

#endif
