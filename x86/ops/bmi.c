/* BMI1, BMI2 and ADX: general registers, mostly VEX-encoded. */
#include "x86/flags.h"
#include "x86/operand.h"
#include "x86/ops/ops.h"

/* SF and ZF by the result, CF as given, the rest clear. */
static void bmi_flags(struct cpu *c, uint64_t r, bool cf, unsigned n)
{
    flags_set_status(c, (flags_extend(r, n) >> 63 ? FLAG_SF : 0) |
                            (r & mask_low(8 * n) ? 0 : FLAG_ZF) |
                            (cf ? FLAG_CF : 0));
}

void op_andn(struct cpu *c, const struct insn *i)
{
    uint64_t r = ~op_read(c, i, 1) & op_read(c, i, 2);

    op_write(c, i, 0, r);
    bmi_flags(c, r, false, i->opnd[0].size);
}

void op_blsi(struct cpu *c, const struct insn *i)
{
    uint64_t v = op_read(c, i, 1), r = v & (0 - v);

    op_write(c, i, 0, r);
    bmi_flags(c, r, v != 0, i->opnd[0].size);
}

void op_blsmsk(struct cpu *c, const struct insn *i)
{
    uint64_t v = op_read(c, i, 1), r = v ^ (v - 1);

    op_write(c, i, 0, r);
    bmi_flags(c, r, v == 0, i->opnd[0].size);
}

void op_blsr(struct cpu *c, const struct insn *i)
{
    uint64_t v = op_read(c, i, 1), r = v & (v - 1);

    op_write(c, i, 0, r);
    bmi_flags(c, r, v == 0, i->opnd[0].size);
}

void op_bextr(struct cpu *c, const struct insn *i)
{
    uint64_t v = op_read(c, i, 1), control = op_read(c, i, 2), r;
    unsigned start = control & 0xff, len = control >> 8 & 0xff;

    r = start < 64 ? v >> start & mask_low(len) : 0;
    op_write(c, i, 0, r);
    flags_set_status(c, r ? 0 : FLAG_ZF);
}

void op_bzhi(struct cpu *c, const struct insn *i)
{
    unsigned n = i->opnd[0].size;
    uint64_t v = op_read(c, i, 1);
    unsigned from = op_read(c, i, 2) & 0xff;
    uint64_t r = v & mask_low(from);

    op_write(c, i, 0, r);
    bmi_flags(c, r, from >= 8 * n, n);
}

/* High half to the first destination last: it wins when both are one. */
void op_mulx(struct cpu *c, const struct insn *i)
{
    unsigned n = i->opnd[0].size;
    unsigned __int128 p =
        (unsigned __int128)gpr_read(c, RDX, n) * op_read(c, i, 2);

    op_write(c, i, 1, (uint64_t)p);
    op_write(c, i, 0, (uint64_t)(p >> 8 * n));
}

void op_pdep(struct cpu *c, const struct insn *i)
{
    uint64_t v = op_read(c, i, 1), mask = op_read(c, i, 2), r = 0;

    for (; mask; mask &= mask - 1, v >>= 1)
        if (v & 1)
            r |= mask & (0 - mask);
    op_write(c, i, 0, r);
}

void op_pext(struct cpu *c, const struct insn *i)
{
    uint64_t v = op_read(c, i, 1), mask = op_read(c, i, 2), r = 0;

    for (uint64_t to = 1; mask; mask &= mask - 1, to <<= 1)
        if (v & mask & (0 - mask))
            r |= to;
    op_write(c, i, 0, r);
}

static ALWAYS_INLINE unsigned count_of(struct cpu *c, const struct insn *i)
{
    return op_read(c, i, 2) & (i->opnd[0].size == 8 ? 63 : 31);
}

void op_rorx(struct cpu *c, const struct insn *i)
{
    unsigned width = 8 * i->opnd[0].size, count = count_of(c, i);
    uint64_t v = op_read(c, i, 1);

    op_write(c, i, 0, count ? v >> count | v << (width - count) : v);
}

void op_sarx(struct cpu *c, const struct insn *i)
{
    uint64_t v = flags_extend(op_read(c, i, 1), i->opnd[0].size);

    op_write(c, i, 0, (uint64_t)((int64_t)v >> count_of(c, i)));
}

void op_shlx(struct cpu *c, const struct insn *i)
{
    op_write(c, i, 0, op_read(c, i, 1) << count_of(c, i));
}

void op_shrx(struct cpu *c, const struct insn *i)
{
    op_write(c, i, 0, op_read(c, i, 1) >> count_of(c, i));
}

/* Addition with its carry in and out of one flag alone. */
static void add_through(struct cpu *c, const struct insn *i, uint64_t flag)
{
    unsigned n = i->opnd[0].size;
    uint64_t carry = flags_get(c) & flag ? 1 : 0;
    unsigned __int128 sum =
        (unsigned __int128)op_read(c, i, 0) + op_read(c, i, 1) + carry;

    op_write(c, i, 0, (uint64_t)sum);
    flags_change(c, flag, sum >> 8 * n ? flag : 0);
}

void op_adcx(struct cpu *c, const struct insn *i)
{
    add_through(c, i, FLAG_CF);
}

void op_adox(struct cpu *c, const struct insn *i)
{
    add_through(c, i, FLAG_OF);
}
