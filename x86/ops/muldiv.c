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

void op_mul(struct cpu *c, const struct insn *i)
{
    unsigned n = i->opnd[0].size;
    wide_t p = (wide_t)op_read(c, i, 0) * gpr_read(c, RAX, n);
    uint64_t low = (uint64_t)p, high = (uint64_t)(p >> 8 * n);

    write_wide(c, high, low, n);
    flags_mul(c, low, high != 0, n);
}

/* The product of two n-byte numbers; *fits: its low half is all of it. */
static ALWAYS_INLINE swide_t signed_product(uint64_t a, uint64_t b, unsigned n,
                                            bool *fits)
{
    swide_t p = (swide_t)sign_extend(a, 8 * n) * sign_extend(b, 8 * n);

    *fits = p == sign_extend((uint64_t)p, 8 * n);
    return p;
}

void op_imul(struct cpu *c, const struct insn *i)
{
    unsigned n = i->opnd[0].size;
    bool fits;
    swide_t p;

    if (i->opnd[1].kind == OPND_NONE) {
        p = signed_product(op_read(c, i, 0), gpr_read(c, RAX, n), n, &fits);
        write_wide(c, (uint64_t)(p >> 8 * n), (uint64_t)p, n);
    } else {
        p = signed_product(op_read(c, i, 1),
                           op_read(c, i, i->opnd[2].kind != OPND_NONE ? 2 : 0),
                           n, &fits);
        op_write(c, i, 0, (uint64_t)p);
    }
    flags_mul(c, (uint64_t)p, !fits, n);
}

/* --- division --- */
struct quotient {
    uint64_t q, r;
};

/* high:low / d, where high < d: the quotient fits 64 bits. */
static struct quotient divide(uint64_t high, uint64_t low, uint64_t d)
{
    struct quotient x;
    wide_t v;

    if (!high) {
        x.q = low / d;
        x.r = low % d;
    } else {
        v = (wide_t)high << 64 | low;
        x.q = (uint64_t)(v / d);
        x.r = (uint64_t)(v % d);
    }
    return x;
}

/* The dividend of n-byte division, zero-extended. */
static wide_t dividend(const struct cpu *c, unsigned n)
{
    if (n == 1)
        return (uint16_t)c->s.gpr[RAX];
    return (wide_t)gpr_read(c, RDX, n) << 8 * n | gpr_read(c, RAX, n);
}

void op_div(struct cpu *c, const struct insn *i)
{
    unsigned n = i->opnd[0].size;
    uint64_t d = op_read(c, i, 0);
    wide_t v = dividend(c, n);
    struct quotient x;

    if (v >> 8 * n >= d) /* also when d is zero */
        x86_raise(c, EXC_DE);
    x = divide((uint64_t)(v >> 64), (uint64_t)v, d);
    write_wide(c, x.r, x.q, n);
}

void op_idiv(struct cpu *c, const struct insn *i)
{
    unsigned n = i->opnd[0].size;
    int64_t d = sign_extend(op_read(c, i, 0), 8 * n);
    wide_t v = dividend(c, n);
    unsigned unused = 128 - 16 * n;
    bool v_negative = (swide_t)(v << unused) < 0,
         negative = v_negative ^ (d < 0);
    uint64_t size = d < 0 ? 0 - (uint64_t)d : (uint64_t)d;
    struct quotient x;

    if (v_negative)
        v = (0 - (v << unused)) >> unused;
    if (v >> 64 >= size)
        x86_raise(c, EXC_DE);
    x = divide((uint64_t)(v >> 64), (uint64_t)v, size);
    if (x.q > mask_low(8 * n - 1) + negative)
        x86_raise(c, EXC_DE);
    write_wide(c, v_negative ? 0 - x.r : x.r, negative ? 0 - x.q : x.q, n);
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
