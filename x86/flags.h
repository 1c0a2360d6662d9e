/*
 * The six status flags, lazily: an instruction leaves what they follow from,
 * and whoever looks works out only the flag it needs (SDM volume 1, 3.4.3.1;
 * volume 2, "Flags Affected").
 *
 * flags_op holds the kind of operation in its low byte, 64 minus the operand
 * width in bits in the next (a shift that brings the sign to bit 63) and for
 * shifts the count in the third. flags_dst and flags_src are sign-extended
 * from the operand size: that keeps the order of signed and of unsigned
 * numbers, so most conditions need not know the size.
 *
 * AND, OR, XOR and TEST leave the same flags as comparing their result with
 * 0, so they are FLAGS_SUB too.
 *
 * Undefined flags are what current Intel CPUs give: a shift or rotate by more
 * than one sets OF as its first step would; MUL gives SF and PF of the low
 * half, ZF and AF clear.
 *
 * Thread: the vCPU's own.
 */
#ifndef X86_FLAGS_H
#define X86_FLAGS_H

#include "base/bits.h"
#include "x86/cpu.h"

enum flags_kind {
    FLAGS_READY, /* s.rflags is right */
    FLAGS_SUB,   /* of dst - src */
    FLAGS_ADD,   /* dst: result; src: what was added */
    FLAGS_ADC,   /* likewise, and 1 more */
    FLAGS_INC,   /* dst: result; src: CF from before, 0 or 1 */
    FLAGS_DEC,
    FLAGS_SHL, /* dst: result; src: value before; count not 0 */
    FLAGS_SHR,
    FLAGS_SAR,
    FLAGS_DST_LAST = FLAGS_SAR, /* from ADD to here ZF and SF are dst's */
    FLAGS_SBB,                  /* of dst - src - 1 */
    FLAGS_MUL, /* dst: low half of the product; src: 1 if it did not fit */
};

enum { FLAGS_SHIFT_BIT = 8, FLAGS_COUNT_BIT = 16 };

/* Conditions of Jcc, SETcc, CMOVcc: bits 3:1; bit 0 negates. */
enum flags_cc {
    CC_O = 0,
    CC_NO,
    CC_B,
    CC_NB,
    CC_Z,
    CC_NZ,
    CC_BE,
    CC_NBE,
    CC_S,
    CC_NS,
    CC_P,
    CC_NP,
    CC_L,
    CC_NL,
    CC_LE,
    CC_NLE,
};

/* --- x86/flags.c --- */
/* The status flags as they are in RFLAGS, others 0. */
uint64_t flags_status_slow(const struct cpu *c);

/* --- leaving flags; n: operand size in bytes, v's higher bits are ignored ---
 */
static ALWAYS_INLINE uint64_t flags_extend(uint64_t v, unsigned n)
{
    return (uint64_t)sign_extend(v, 8 * n);
}

static ALWAYS_INLINE uint32_t flags_op(enum flags_kind k, unsigned n)
{
    return k | (uint32_t)(64 - 8 * n) << FLAGS_SHIFT_BIT;
}

/* SUB, CMP: a - b. NEG: a is 0. */
static ALWAYS_INLINE void flags_sub(struct cpu *c, uint64_t a, uint64_t b,
                                    unsigned n)
{
    c->flags_op = flags_op(FLAGS_SUB, n);
    c->flags_dst = flags_extend(a, n);
    c->flags_src = flags_extend(b, n);
}

static ALWAYS_INLINE void flags_logic(struct cpu *c, uint64_t result,
                                      unsigned n)
{
    c->flags_op = flags_op(FLAGS_SUB, n);
    c->flags_dst = flags_extend(result, n);
    c->flags_src = 0;
}

static ALWAYS_INLINE void flags_add(struct cpu *c, uint64_t result, uint64_t b,
                                    unsigned n)
{
    c->flags_op = flags_op(FLAGS_ADD, n);
    c->flags_dst = flags_extend(result, n);
    c->flags_src = flags_extend(b, n);
}

/* result = a + b + carry */
static ALWAYS_INLINE void flags_adc(struct cpu *c, uint64_t result, uint64_t b,
                                    bool carry, unsigned n)
{
    c->flags_op = flags_op(carry ? FLAGS_ADC : FLAGS_ADD, n);
    c->flags_dst = flags_extend(result, n);
    c->flags_src = flags_extend(b, n);
}

/* a - b - borrow */
static ALWAYS_INLINE void flags_sbb(struct cpu *c, uint64_t a, uint64_t b,
                                    bool borrow, unsigned n)
{
    c->flags_op = flags_op(borrow ? FLAGS_SBB : FLAGS_SUB, n);
    c->flags_dst = flags_extend(a, n);
    c->flags_src = flags_extend(b, n);
}

/* kind: SHL, SHR or SAR of value by count, which is not 0. */
static ALWAYS_INLINE void flags_shift(struct cpu *c, enum flags_kind kind,
                                      uint64_t result, uint64_t value,
                                      unsigned count, unsigned n)
{
    c->flags_op = flags_op(kind, n) | count << FLAGS_COUNT_BIT;
    c->flags_dst = flags_extend(result, n);
    c->flags_src = flags_extend(value, n);
}

/* MUL, IMUL */
static ALWAYS_INLINE void flags_mul(struct cpu *c, uint64_t low, bool overflow,
                                    unsigned n)
{
    c->flags_op = flags_op(FLAGS_MUL, n);
    c->flags_dst = flags_extend(low, n);
    c->flags_src = overflow;
}

/* All six as FLAG_* bits in status. */
static ALWAYS_INLINE void flags_set_status(struct cpu *c, uint64_t status)
{
    c->s.rflags = (c->s.rflags & ~(uint64_t)FLAGS_STATUS) | status;
    c->flags_op = FLAGS_READY;
}

/* --- reading --- */
static ALWAYS_INLINE enum flags_kind flags_kind(const struct cpu *c)
{
    return (enum flags_kind)(uint8_t)c->flags_op;
}

static ALWAYS_INLINE unsigned flags_shift_up(const struct cpu *c)
{
    return (uint8_t)(c->flags_op >> FLAGS_SHIFT_BIT);
}

/* s.rflags is right afterwards. */
static ALWAYS_INLINE void flags_materialise(struct cpu *c)
{
    if (flags_kind(c) != FLAGS_READY)
        flags_set_status(c, flags_status_slow(c));
}

/* All of RFLAGS. */
static ALWAYS_INLINE uint64_t flags_get(struct cpu *c)
{
    flags_materialise(c);
    return c->s.rflags;
}

/* Stores v as it is. */
static ALWAYS_INLINE void flags_set(struct cpu *c, uint64_t v)
{
    c->s.rflags = v;
    c->flags_op = FLAGS_READY;
}

/* Sets the flags in mask to value's; the others stay. */
static ALWAYS_INLINE void flags_change(struct cpu *c, uint64_t mask,
                                       uint64_t value)
{
    flags_set(c, (flags_get(c) & ~mask) | (value & mask));
}

static ALWAYS_INLINE bool flags_test_slow(struct cpu *c, uint64_t flag)
{
    return flags_get(c) & flag;
}

static ALWAYS_INLINE bool flags_cf(struct cpu *c)
{
    enum flags_kind k = flags_kind(c);

    if (likely(k == FLAGS_SUB || k == FLAGS_ADD))
        return c->flags_dst < c->flags_src;
    if (k == FLAGS_INC || k == FLAGS_DEC)
        return c->flags_src;
    return flags_test_slow(c, FLAG_CF);
}

static ALWAYS_INLINE bool flags_zf(struct cpu *c)
{
    enum flags_kind k = flags_kind(c);

    if (likely(k == FLAGS_SUB))
        return c->flags_dst == c->flags_src;
    if (likely(k >= FLAGS_ADD && k <= FLAGS_DST_LAST))
        return !c->flags_dst;
    return flags_test_slow(c, FLAG_ZF);
}

static ALWAYS_INLINE bool flags_sf(struct cpu *c)
{
    enum flags_kind k = flags_kind(c);

    if (likely(k == FLAGS_SUB))
        return (int64_t)((c->flags_dst - c->flags_src) << flags_shift_up(c)) <
               0;
    if (likely(k >= FLAGS_ADD && k <= FLAGS_DST_LAST))
        return (int64_t)c->flags_dst < 0;
    return flags_test_slow(c, FLAG_SF);
}

static ALWAYS_INLINE bool flags_of(struct cpu *c)
{
    return flags_test_slow(c, FLAG_OF);
}

static ALWAYS_INLINE bool flags_pf(struct cpu *c)
{
    return flags_test_slow(c, FLAG_PF);
}

/* CF or ZF: below or equal */
static ALWAYS_INLINE bool flags_be(struct cpu *c)
{
    if (likely(flags_kind(c) == FLAGS_SUB))
        return c->flags_dst <= c->flags_src;
    return flags_test_slow(c, FLAG_CF | FLAG_ZF);
}

/* SF != OF: less */
static ALWAYS_INLINE bool flags_l(struct cpu *c)
{
    uint64_t f;

    if (likely(flags_kind(c) == FLAGS_SUB))
        return (int64_t)c->flags_dst < (int64_t)c->flags_src;
    f = flags_get(c);
    return (f ^ f >> 4) & FLAG_SF; /* OF is bit 11, SF bit 7 */
}

/* ZF or SF != OF: less or equal */
static ALWAYS_INLINE bool flags_le(struct cpu *c)
{
    uint64_t f;

    if (likely(flags_kind(c) == FLAGS_SUB))
        return (int64_t)c->flags_dst <= (int64_t)c->flags_src;
    f = flags_get(c);
    return ((f ^ f >> 4) & FLAG_SF) | (f & FLAG_ZF);
}

/* Is condition cc met? May materialise. Cheapest with a constant cc. */
static ALWAYS_INLINE bool flags_cc(struct cpu *c, unsigned cc)
{
    bool met;

    switch (cc & ~1u) {
    case CC_O: met = flags_of(c); break;
    case CC_B: met = flags_cf(c); break;
    case CC_Z: met = flags_zf(c); break;
    case CC_BE: met = flags_be(c); break;
    case CC_S: met = flags_sf(c); break;
    case CC_P: met = flags_pf(c); break;
    case CC_L: met = flags_l(c); break;
    default: met = flags_le(c); break;
    }
    return met ^ (cc & 1);
}

/* INC and DEC keep CF. */
static ALWAYS_INLINE void flags_inc(struct cpu *c, uint64_t result, unsigned n)
{
    c->flags_src = flags_cf(c);
    c->flags_op = flags_op(FLAGS_INC, n);
    c->flags_dst = flags_extend(result, n);
}

static ALWAYS_INLINE void flags_dec(struct cpu *c, uint64_t result, unsigned n)
{
    c->flags_src = flags_cf(c);
    c->flags_op = flags_op(FLAGS_DEC, n);
    c->flags_dst = flags_extend(result, n);
}

/* PF of a result: set when its low byte has an even number of ones. */
static ALWAYS_INLINE uint64_t flags_parity(uint64_t result)
{
    unsigned nibble = (result ^ result >> 4) & 15;

    return 0x9669u >> nibble & 1 ? FLAG_PF : 0;
}

#endif
