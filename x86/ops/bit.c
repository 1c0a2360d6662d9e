/* Single bits, bit scans and counts, byte order, CRC32. */
#include "x86/flags.h"
#include "x86/operand.h"
#include "x86/ops/ops.h"

/* --- BT, BTS, BTR, BTC --- */
enum bit_op { BIT_TEST, BIT_SET, BIT_RESET, BIT_COMPLEMENT };

static ALWAYS_INLINE uint64_t bit_result(enum bit_op op, uint64_t v,
                                         uint64_t mask)
{
    switch (op) {
    case BIT_SET: return v | mask;
    case BIT_RESET: return v & ~mask;
    case BIT_COMPLEMENT: return v ^ mask;
    default: return v;
    }
}

/*
 * A register offset is signed and reaches beyond the operand: memory is a
 * string of bits, taken in units of the operand size.
 */
static gva_t bit_address(struct cpu *c, const struct insn *i, uint64_t offset,
                         bool write)
{
    unsigned n = i->opnd[0].size;
    uint64_t ea = x86_ea(c, i);

    if (i->opnd[1].kind == OPND_GPR) {
        int64_t unit = sign_extend(offset, 8 * n) >> __builtin_ctz(8 * n);

        ea = (ea + (uint64_t)unit * n) & mask_low(8 * i->asize);
    }
    return x86_linear(c, i->seg, ea, n, write);
}

static COLD uint64_t bit_locked(struct cpu *c, gva_t a, unsigned n,
                                enum bit_op op, uint64_t mask)
{
    struct lock l;
    uint64_t v;

    lock_begin(c, &l, a, n);
    do
        v = lock_read(c, &l);
    while (!lock_commit(c, &l, v, bit_result(op, v, mask)));
    return v;
}

static ALWAYS_INLINE void bit_op(struct cpu *c, const struct insn *i,
                                 enum bit_op op)
{
    unsigned n = i->opnd[0].size;
    uint64_t offset = op_read(c, i, 1), v;
    uint64_t mask = 1ull << (offset & (8 * n - 1));
    struct rmw m;
    gva_t a;

    if (!op_is_mem(i, 0)) {
        v = gpr_read(c, i->opnd[0].reg, n);
        if (op != BIT_TEST)
            gpr_write(c, i->opnd[0].reg, n, bit_result(op, v, mask));
    } else {
        a = bit_address(c, i, offset, op != BIT_TEST);
        if (op == BIT_TEST)
            v = mem_read(c, a, n);
        else if (op_locked(i))
            v = bit_locked(c, a, n, op, mask);
        else {
            v = rmw_read(c, &m, a, n);
            rmw_write(c, &m, n, bit_result(op, v, mask));
        }
    }
    flags_change(c, FLAG_CF, v & mask ? FLAG_CF : 0);
}

void op_bt(struct cpu *c, const struct insn *i)
{
    bit_op(c, i, BIT_TEST);
}

void op_bts(struct cpu *c, const struct insn *i)
{
    bit_op(c, i, BIT_SET);
}

void op_btr(struct cpu *c, const struct insn *i)
{
    bit_op(c, i, BIT_RESET);
}

void op_btc(struct cpu *c, const struct insn *i)
{
    bit_op(c, i, BIT_COMPLEMENT);
}

/* --- scans and counts --- */
/*
 * A zero source leaves the destination alone, all 64 bits of it. PF follows
 * the result, the other undefined flags are clear.
 */
static void bit_scan(struct cpu *c, const struct insn *i, bool reverse)
{
    uint64_t v = op_read(c, i, 1), r;

    if (!v) {
        flags_set_status(c, FLAG_ZF | FLAG_PF);
        return;
    }
    r = (uint64_t)(reverse ? 63 - __builtin_clzll(v) : __builtin_ctzll(v));
    op_write(c, i, 0, r);
    flags_set_status(c, flags_parity(r));
}

void op_bsf(struct cpu *c, const struct insn *i)
{
    bit_scan(c, i, false);
}

void op_bsr(struct cpu *c, const struct insn *i)
{
    bit_scan(c, i, true);
}

static void count_zeros(struct cpu *c, const struct insn *i, uint64_t count)
{
    op_write(c, i, 0, count);
    flags_set_status(c, (count == 8u * i->opnd[0].size ? FLAG_CF : 0) |
                            (count ? 0 : FLAG_ZF));
}

/* Where BMI1 or LZCNT is not there, the F3 prefix means nothing. */
void op_tzcnt(struct cpu *c, const struct insn *i)
{
    uint64_t v;

    if (!feature_has(&c->model->features, FEAT_BMI1)) {
        op_bsf(c, i);
        return;
    }
    v = op_read(c, i, 1);
    count_zeros(c, i, v ? (uint64_t)__builtin_ctzll(v) : 8 * i->opnd[0].size);
}

void op_lzcnt(struct cpu *c, const struct insn *i)
{
    unsigned width = 8 * i->opnd[0].size;
    uint64_t v;

    if (!feature_has(&c->model->features, FEAT_LZCNT)) {
        op_bsr(c, i);
        return;
    }
    v = op_read(c, i, 1);
    count_zeros(c, i, v ? (uint64_t)__builtin_clzll(v) - (64 - width) : width);
}

void op_popcnt(struct cpu *c, const struct insn *i)
{
    uint64_t v = op_read(c, i, 1);

    /* Without a library: not every host has the instruction. */
    v = v - (v >> 1 & 0x5555555555555555);
    v = (v & 0x3333333333333333) + (v >> 2 & 0x3333333333333333);
    v = ((v + (v >> 4)) & 0x0f0f0f0f0f0f0f0f) * 0x0101010101010101 >> 56;
    op_write(c, i, 0, v);
    flags_set_status(c, v ? 0 : FLAG_ZF);
}

/* --- byte order --- */
static uint64_t swap_bytes(uint64_t v, unsigned n)
{
    return __builtin_bswap64(v) >> (64 - 8 * n);
}

/* Of 16 bits the SDM leaves it undefined; CPUs give 0. */
void op_bswap(struct cpu *c, const struct insn *i)
{
    unsigned n = i->opnd[0].size;

    op_write(c, i, 0, n == 2 ? 0 : swap_bytes(op_read(c, i, 0), n));
}

void op_movbe(struct cpu *c, const struct insn *i)
{
    op_write(c, i, 0, swap_bytes(op_read(c, i, 1), i->opnd[0].size));
}

/* --- CRC32: the Castagnoli polynomial, bits reversed --- */
static uint32_t crc32c(uint32_t crc, uint8_t byte)
{
    crc ^= byte;
    for (unsigned k = 0; k < 8; k++)
        crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78 : 0);
    return crc;
}

void op_crc32(struct cpu *c, const struct insn *i)
{
    uint64_t v = op_read(c, i, 1);
    uint32_t crc = (uint32_t)op_read(c, i, 0);

    for (unsigned k = 0; k < i->opnd[1].size; k++)
        crc = crc32c(crc, (uint8_t)(v >> 8 * k));
    op_write(c, i, 0, crc);
}
