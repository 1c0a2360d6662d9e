/*
 * Decimal adjustment of AL and AX. SF, ZF and PF of AAA and AAS follow AL, OF
 * is clear after all four: undefined in the SDM, so on CPUs.
 */
#include "x86/flags.h"
#include "x86/operand.h"
#include "x86/ops/ops.h"

static void adjusted(struct cpu *c, uint8_t al, bool cf, bool af)
{
    flags_set_status(c, flags_parity(al) | (al ? 0 : FLAG_ZF) |
                            (al & 0x80 ? FLAG_SF : 0) | (cf ? FLAG_CF : 0) |
                            (af ? FLAG_AF : 0));
}

/* sign: 1 for DAA, -1 for DAS */
static void packed(struct cpu *c, int sign)
{
    uint64_t flags = flags_get(c);
    uint8_t old = (uint8_t)c->s.gpr[RAX], al = old;
    bool af = (old & 15) > 9 || (flags & FLAG_AF);
    bool high = old > 0x99 || (flags & FLAG_CF);
    bool cf = high;

    if (af) {
        al = (uint8_t)(al + 6 * sign);
        if (sign < 0 && old < 6) /* borrowed; DAA that carries has high set */
            cf = true;
    }
    if (high)
        al = (uint8_t)(al + 0x60 * sign);
    gpr_write(c, RAX, 1, al);
    adjusted(c, al, cf, af);
}

void op_daa(struct cpu *c, const struct insn *i)
{
    (void)i;
    packed(c, 1);
}

void op_das(struct cpu *c, const struct insn *i)
{
    (void)i;
    packed(c, -1);
}

/* step: what an adjustment adds to AX */
static void unpacked(struct cpu *c, uint16_t step)
{
    uint16_t ax = (uint16_t)c->s.gpr[RAX];
    bool adjust = (ax & 15) > 9 || (flags_get(c) & FLAG_AF);

    if (adjust)
        ax = (uint16_t)(ax + step);
    gpr_write(c, RAX, 2, ax & 0xff0f);
    adjusted(c, ax & 15, adjust, adjust);
}

void op_aaa(struct cpu *c, const struct insn *i)
{
    (void)i;
    unpacked(c, 0x106);
}

void op_aas(struct cpu *c, const struct insn *i)
{
    (void)i;
    unpacked(c, (uint16_t)-0x106);
}

/* AL = CF ? FF : 0; undocumented, in every CPU since the 8086 */
void op_salc(struct cpu *c, const struct insn *i)
{
    (void)i;
    gpr_write(c, RAX, 1, flags_cf(c) ? 0xff : 0);
}
