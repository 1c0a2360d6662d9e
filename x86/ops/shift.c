/*
 * Shifts and rotates. The count is taken modulo 32 (64 for quadwords); a
 * count of zero changes no flag. Where the SDM leaves OF undefined, for counts
 * over one, it is that of the first step, as on current Intel CPUs; ROL and
 * ROR of a register by an immediate leave it alone.
 */
#include "x86/flags.h"
#include "x86/operand.h"
#include "x86/ops/ops.h"

static ALWAYS_INLINE unsigned shift_count(struct cpu *c, const struct insn *i,
                                          unsigned k)
{
    return op_read(c, i, k) & (i->opnd[0].size == 8 ? 63 : 31);
}

static ALWAYS_INLINE void shift(struct cpu *c, const struct insn *i,
                                enum flags_kind kind)
{
    unsigned n = i->opnd[0].size, count = shift_count(c, i, 1);
    struct rmw m;
    uint64_t v = op_fetch(c, i, 0, &m), r;

    if (kind == FLAGS_SHL)
        r = v << count;
    else if (kind == FLAGS_SHR)
        r = v >> count;
    else
        r = (uint64_t)(sign_extend(v, 8 * n) >> count);
    op_update(c, i, 0, &m, r);
    if (likely(count))
        flags_shift(c, kind, r, v, count, n);
}

void op_shl(struct cpu *c, const struct insn *i)
{
    shift(c, i, FLAGS_SHL);
}

void op_shr(struct cpu *c, const struct insn *i)
{
    shift(c, i, FLAGS_SHR);
}

void op_sar(struct cpu *c, const struct insn *i)
{
    shift(c, i, FLAGS_SAR);
}

static ALWAYS_INLINE bool bit(uint64_t v, unsigned n)
{
    return v >> n & 1;
}

/* Rotates change CF and OF alone. */
static ALWAYS_INLINE void rotate_flags(struct cpu *c, bool cf, bool of)
{
    flags_change(c, FLAG_CF | FLAG_OF, (cf ? FLAG_CF : 0) | (of ? FLAG_OF : 0));
}

/* Left by count, 0 to bits - 1. */
static ALWAYS_INLINE uint64_t rotate(uint64_t v, unsigned count, unsigned width)
{
    return count ? v << count | v >> (width - count) : v;
}

/* ROL and ROR */
static ALWAYS_INLINE void plain_rotate_flags(struct cpu *c,
                                             const struct insn *i,
                                             unsigned count, bool cf, bool of)
{
    if (i->opnd[1].kind == OPND_IMM && count != 1 && !op_is_mem(i, 0))
        flags_change(c, FLAG_CF, cf ? FLAG_CF : 0);
    else
        rotate_flags(c, cf, of);
}

void op_rol(struct cpu *c, const struct insn *i)
{
    unsigned width = 8 * i->opnd[0].size, count = shift_count(c, i, 1);
    struct rmw m;
    uint64_t v = op_fetch(c, i, 0, &m), r = rotate(v, count % width, width);

    op_update(c, i, 0, &m, r);
    if (count)
        plain_rotate_flags(c, i, count, bit(r, 0), bit(v ^ v << 1, width - 1));
}

void op_ror(struct cpu *c, const struct insn *i)
{
    unsigned width = 8 * i->opnd[0].size, count = shift_count(c, i, 1);
    struct rmw m;
    uint64_t v = op_fetch(c, i, 0, &m);
    uint64_t r = rotate(v, (width - count % width) % width, width);

    op_update(c, i, 0, &m, r);
    if (count)
        plain_rotate_flags(c, i, count, bit(r, width - 1),
                           bit(v, 0) ^ bit(v, width - 1));
}

/* Through CF: width + 1 bits, so 8- and 16-bit counts go modulo 9 and 17. */
void op_rcl(struct cpu *c, const struct insn *i)
{
    unsigned width = 8 * i->opnd[0].size;
    unsigned count = shift_count(c, i, 1) % (width + 1);
    struct rmw m;
    uint64_t v = op_fetch(c, i, 0, &m), cf = flags_cf(c);

    if (!count) {
        op_update(c, i, 0, &m, v);
        return;
    }
    op_update(c, i, 0, &m,
              (v << count) | cf << (count - 1) |
                  (count > 1 ? v >> (width + 1 - count) : 0));
    rotate_flags(c, bit(v, width - count), bit(v ^ v << 1, width - 1));
}

void op_rcr(struct cpu *c, const struct insn *i)
{
    unsigned width = 8 * i->opnd[0].size;
    unsigned count = shift_count(c, i, 1) % (width + 1);
    struct rmw m;
    uint64_t v = op_fetch(c, i, 0, &m), cf = flags_cf(c);

    if (!count) {
        op_update(c, i, 0, &m, v);
        return;
    }
    op_update(c, i, 0, &m,
              (v >> count) | cf << (width - count) |
                  (count > 1 ? v << (width + 1 - count) : 0));
    rotate_flags(c, bit(v, count - 1), cf ^ bit(v, width - 1));
}

/* ZF, SF and PF by the result, AF clear. */
static void double_flags(struct cpu *c, uint64_t r, bool cf, bool of,
                         unsigned n)
{
    flags_logic(c, r, n);
    flags_change(c, FLAG_CF | FLAG_OF, (cf ? FLAG_CF : 0) | (of ? FLAG_OF : 0));
}

/*
 * The three words that a 16-bit double shift by up to 31 moves through; by
 * more than 16 the SDM leaves the result undefined, CPUs take the destination
 * again after the source.
 */
static uint64_t three_words(uint64_t high, uint64_t middle, uint64_t low)
{
    return high << 32 | middle << 16 | low;
}

void op_shld(struct cpu *c, const struct insn *i)
{
    unsigned n = i->opnd[0].size, width = 8 * n, count = shift_count(c, i, 2);
    struct rmw m;
    uint64_t v = op_fetch(c, i, 0, &m), s = op_read(c, i, 1), r;
    bool cf;

    if (!count) {
        op_update(c, i, 0, &m, v);
        return;
    }
    if (n == 2) {
        r = three_words(v, s, v) << count >> 32;
        cf = bit(three_words(v, s, v), 48 - count);
    } else {
        r = v << count | s >> (width - count);
        cf = bit(v, width - count);
    }
    op_update(c, i, 0, &m, r);
    double_flags(c, r, cf, bit(v ^ v << 1, width - 1), n);
}

void op_shrd(struct cpu *c, const struct insn *i)
{
    unsigned n = i->opnd[0].size, width = 8 * n, count = shift_count(c, i, 2);
    struct rmw m;
    uint64_t v = op_fetch(c, i, 0, &m), s = op_read(c, i, 1), r;
    bool cf;

    if (!count) {
        op_update(c, i, 0, &m, v);
        return;
    }
    if (n == 2) {
        r = three_words(v, s, v) >> count;
        cf = bit(three_words(v, s, v), count - 1);
    } else {
        r = v >> count | s << (width - count);
        cf = bit(v, count - 1);
    }
    op_update(c, i, 0, &m, r);
    double_flags(c, r, cf, bit(v, width - 1) ^ bit(s, 0), n);
}
