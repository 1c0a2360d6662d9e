/* Multiplication and division; #DE is raised before anything changes. */
#include "x86/flags.h"
#include "x86/operand.h"
#include "x86/ops/ops.h"

typedef unsigned __int128 wide_t;
typedef __int128 swide_t;

/* rDX:rAX, or AX for bytes. */
static void write_wide(struct cpu *c, uint64_t high, uint64_t low, unsigned n)
{
    if (n == 1) {
        gpr_write(c, RAX, 2, (high & 0xff) << 8 | (low & 0xff));
    } else {
        gpr_write(c, RAX, n, low);
        gpr_write(c, RDX, n, high);
    }
}

/* Up to four bytes 64-bit arithmetic will do. */
void op_mul(struct cpu *c, const struct insn *i)
{
    unsigned n = i->opnd[0].size;
    uint64_t a = op_read(c, i, 0), b = gpr_read(c, RAX, n), low, high;

    if (n == 8) {
        wide_t p = (wide_t)a * b;

        low = (uint64_t)p;
        high = (uint64_t)(p >> 64);
    } else {
        low = a * b;
        high = low >> 8 * n;
    }
    write_wide(c, high, low, n);
    flags_mul(c, low, high != 0, n);
}

/* One operand: both halves into rDX:rAX. */
static void imul_wide(struct cpu *c, const struct insn *i)
{
    unsigned n = i->opnd[0].size;
    int64_t a = sign_extend(op_read(c, i, 0), 8 * n);
    int64_t b = sign_extend(gpr_read(c, RAX, n), 8 * n);
    uint64_t low, high;

    if (n == 8) {
        swide_t p = (swide_t)a * b;

        low = (uint64_t)p;
        high = (uint64_t)(p >> 64);
    } else {
        low = (uint64_t)(a * b);
        high = (uint64_t)((int64_t)low >> 8 * n);
    }
    write_wide(c, high, low, n);
    /* It fits when the high half is but the low one's sign. */
    high = flags_extend(high, n);
    flags_mul(c, low, high != (uint64_t)((int64_t)flags_extend(low, n) >> 63),
              n);
}

void op_imul(struct cpu *c, const struct insn *i)
{
    unsigned n = i->opnd[0].size;
    bool overflow;
    int64_t a, b, p;

    if (i->opnd[1].kind == OPND_NONE) {
        imul_wide(c, i);
        return;
    }
    a = sign_extend(op_read(c, i, 1), 8 * n);
    b = sign_extend(op_read(c, i, i->opnd[2].kind != OPND_NONE ? 2 : 0), 8 * n);
    overflow = __builtin_mul_overflow(a, b, &p);
    op_write(c, i, 0, (uint64_t)p);
    flags_mul(c, (uint64_t)p, overflow || p != sign_extend((uint64_t)p, 8 * n),
              n);
}

/* --- division --- */
/* high:low / d, where high < d: the quotient fits 64 bits. */
static uint64_t divide(uint64_t high, uint64_t low, uint64_t d, uint64_t *rest)
{
    wide_t v;

    if (likely(!high)) {
        *rest = low % d;
        return low / d;
    }
    v = (wide_t)high << 64 | low;
    *rest = (uint64_t)(v % d);
    return (uint64_t)(v / d);
}

/* The dividend of a division by up to four bytes. */
static uint64_t dividend(const struct cpu *c, unsigned n)
{
    if (n == 1)
        return (uint16_t)c->s.gpr[RAX];
    return gpr_read(c, RDX, n) << 8 * n | gpr_read(c, RAX, n);
}

void op_div(struct cpu *c, const struct insn *i)
{
    unsigned n = i->opnd[0].size;
    uint64_t d = op_read(c, i, 0), high, low, q, rest;

    if (n == 8) {
        high = c->s.gpr[RDX];
        low = c->s.gpr[RAX];
        if (high >= d) /* also when d is 0 */
            x86_raise(c, EXC_DE);
    } else {
        high = 0;
        low = dividend(c, n);
        if (low >> 8 * n >= d)
            x86_raise(c, EXC_DE);
    }
    q = divide(high, low, d, &rest);
    write_wide(c, rest, q, n);
}

/* Magnitudes are divided; the remainder has the dividend's sign. */
void op_idiv(struct cpu *c, const struct insn *i)
{
    unsigned n = i->opnd[0].size;
    int64_t d = sign_extend(op_read(c, i, 0), 8 * n);
    uint64_t size = d < 0 ? 0 - (uint64_t)d : (uint64_t)d, q, rest;
    bool below_zero, negative;
    wide_t v;

    if (n == 8)
        v = (wide_t)c->s.gpr[RDX] << 64 | c->s.gpr[RAX];
    else
        v = (wide_t)(swide_t)sign_extend(dividend(c, n), 16 * n);
    below_zero = (swide_t)v < 0;
    negative = below_zero ^ (d < 0);
    if (below_zero)
        v = 0 - v;
    if ((uint64_t)(v >> 64) >= size)
        x86_raise(c, EXC_DE);
    q = divide((uint64_t)(v >> 64), (uint64_t)v, size, &rest);
    if (q > mask_low(8 * n - 1) + negative)
        x86_raise(c, EXC_DE);
    write_wide(c, below_zero ? 0 - rest : rest, negative ? 0 - q : q, n);
}

/* --- decimal adjustment around them --- */
void op_aam(struct cpu *c, const struct insn *i)
{
    uint8_t base = (uint8_t)i->imm, al = (uint8_t)c->s.gpr[RAX];

    if (!base)
        x86_raise(c, EXC_DE);
    gpr_write(c, RAX, 2, (uint64_t)(al / base) << 8 | al % base);
    flags_logic(c, al % base, 1);
}

/* The flags are those of the addition. */
void op_aad(struct cpu *c, const struct insn *i)
{
    uint64_t ax = c->s.gpr[RAX], b = (ax >> 8 & 0xff) * (uint8_t)i->imm;
    uint8_t al = (uint8_t)(ax + b);

    gpr_write(c, RAX, 2, al);
    flags_add(c, al, b, 1);
}
