#include "x86/flags.h"

/* Where the operand's sign is, as a mask of the flag to give for it. */
static uint64_t when_negative(uint64_t v, uint64_t flag)
{
    return (int64_t)v < 0 ? flag : 0;
}

/* ZF, SF and PF of a result at the width of flags_op. */
static uint64_t zsp(uint64_t result, unsigned up)
{
    return flags_parity(result) | (result << up ? 0 : FLAG_ZF) |
           when_negative(result << up, FLAG_SF);
}

/* AF from operands and result: the carry into bit 4. */
static uint64_t af(uint64_t a, uint64_t b, uint64_t result)
{
    return (a ^ b ^ result) & FLAG_AF;
}

static uint64_t status_sub(const struct cpu *c, uint64_t borrow)
{
    uint64_t a = c->flags_dst, b = c->flags_src, r = a - b - borrow;
    unsigned up = flags_shift_up(c);
    bool below = borrow ? a <= b : a < b;

    return zsp(r, up) | af(a, b, r) | (below ? FLAG_CF : 0) |
           when_negative(((a ^ b) & (a ^ r)) << up, FLAG_OF);
}

static uint64_t status_add(const struct cpu *c, uint64_t carry)
{
    uint64_t r = c->flags_dst, b = c->flags_src, a = r - b - carry;
    unsigned up = flags_shift_up(c);
    bool wrapped = carry ? r <= b : r < b;

    return zsp(r, up) | af(a, b, r) | (wrapped ? FLAG_CF : 0) |
           when_negative(((a ^ r) & (b ^ r)) << up, FLAG_OF);
}

/* one: 1 for INC, -1 for DEC */
static uint64_t status_inc(const struct cpu *c, uint64_t one)
{
    uint64_t r = c->flags_dst, a = r - one;
    unsigned up = flags_shift_up(c);
    uint64_t toward = one == 1 ? r & ~a : a & ~r; /* sign came or went */

    return zsp(r, up) | af(a, 1, r) | (c->flags_src ? FLAG_CF : 0) |
           when_negative(toward << up, FLAG_OF);
}

static uint64_t status_shl(const struct cpu *c)
{
    uint64_t v = c->flags_src;
    unsigned up = flags_shift_up(c);
    unsigned count = c->flags_op >> FLAGS_COUNT_BIT;

    return zsp(c->flags_dst, up) |
           when_negative(v << (count - 1) << up, FLAG_CF) |
           when_negative((v ^ v << 1) << up, FLAG_OF);
}

static uint64_t status_shr(const struct cpu *c, bool arithmetic)
{
    uint64_t v = c->flags_src;
    unsigned up = flags_shift_up(c);
    unsigned count = c->flags_op >> FLAGS_COUNT_BIT;
    uint64_t out = arithmetic ? (uint64_t)((int64_t)v >> (count - 1))
                              : (v & ~0ull >> up) >> (count - 1);

    return zsp(c->flags_dst, up) | (out & FLAG_CF) |
           when_negative(arithmetic ? 0 : v, FLAG_OF);
}

static uint64_t status_mul(const struct cpu *c)
{
    return flags_parity(c->flags_dst) | when_negative(c->flags_dst, FLAG_SF) |
           (c->flags_src ? FLAG_CF | FLAG_OF : 0);
}

uint64_t flags_status_slow(const struct cpu *c)
{
    switch (flags_kind(c)) {
    case FLAGS_SUB: return status_sub(c, 0);
    case FLAGS_SBB: return status_sub(c, 1);
    case FLAGS_ADD: return status_add(c, 0);
    case FLAGS_ADC: return status_add(c, 1);
    case FLAGS_INC: return status_inc(c, 1);
    case FLAGS_DEC: return status_inc(c, ~0ull);
    case FLAGS_SHL: return status_shl(c);
    case FLAGS_SHR: return status_shr(c, false);
    case FLAGS_SAR: return status_shr(c, true);
    case FLAGS_MUL: return status_mul(c);
    default: return c->s.rflags & FLAGS_STATUS;
    }
}
