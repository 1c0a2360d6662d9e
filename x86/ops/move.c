/* Moves, extensions and addresses. */
#include "x86/flags.h"
#include "x86/operand.h"
#include "x86/ops/ops.h"

void op_mov(struct cpu *c, const struct insn *i)
{
    op_write(c, i, 0, op_read(c, i, 1));
}

void op_movzx(struct cpu *c, const struct insn *i)
{
    op_write(c, i, 0, op_read(c, i, 1));
}

void op_movsx(struct cpu *c, const struct insn *i)
{
    op_write(c, i, 0, flags_extend(op_read(c, i, 1), i->opnd[1].size));
}

void op_movsxd(struct cpu *c, const struct insn *i)
{
    op_movsx(c, i);
}

/* Reads its source and writes its destination whatever the condition. */
void op_cmovcc(struct cpu *c, const struct insn *i)
{
    uint64_t v = op_read(c, i, 1);

    op_write(c, i, 0, flags_cc(c, insn_cc(i)) ? v : op_read(c, i, 0));
}

void op_setcc(struct cpu *c, const struct insn *i)
{
    op_write(c, i, 0, flags_cc(c, insn_cc(i)));
}

void op_lea(struct cpu *c, const struct insn *i)
{
    op_write(c, i, 0, x86_ea(c, i));
}

void op_xlat(struct cpu *c, const struct insn *i)
{
    uint64_t offset =
        (c->s.gpr[RBX] + (uint8_t)c->s.gpr[RAX]) & mask_low(8 * i->asize);

    gpr_write(c, RAX, 1,
              mem_read(c, x86_linear(c, i->seg, offset, 1, false), 1));
}

/* CBW, CWDE, CDQE */
void op_cbw(struct cpu *c, const struct insn *i)
{
    gpr_write(c, RAX, i->osize, flags_extend(c->s.gpr[RAX], i->osize / 2));
}

/* CWD, CDQ, CQO */
void op_cwd(struct cpu *c, const struct insn *i)
{
    uint64_t v = flags_extend(c->s.gpr[RAX], i->osize);

    gpr_write(c, RDX, i->osize, (uint64_t)((int64_t)v >> 63));
}

enum { FLAGS_AH = FLAG_CF | FLAG_PF | FLAG_AF | FLAG_ZF | FLAG_SF };

/* In 64-bit mode LAHF and SAHF are a feature of their own. */
static void check_ah_flags(struct cpu *c)
{
    if (in_code64(c) && !feature_has(&c->model->features, FEAT_LAHF64))
        x86_raise(c, EXC_UD);
}

void op_lahf(struct cpu *c, const struct insn *i)
{
    (void)i;
    check_ah_flags(c);
    gpr_write(c, 0x10 + RAX, 1, (flags_get(c) & FLAGS_AH) | FLAG_1);
}

void op_sahf(struct cpu *c, const struct insn *i)
{
    (void)i;
    check_ah_flags(c);
    flags_change(c, FLAGS_AH, gpr_read(c, 0x10 + RAX, 1));
}

void op_movnti(struct cpu *c, const struct insn *i)
{
    op_mov(c, i);
}

void op_movdiri(struct cpu *c, const struct insn *i)
{
    op_mov(c, i);
}

/* The register is the destination's offset in ES, aligned to 64. */
void op_movdir64b(struct cpu *c, const struct insn *i)
{
    uint64_t offset = gpr_read(c, i->opnd[0].reg, i->asize);
    gva_t from = op_address(c, i, 64, false);
    gva_t to = x86_linear(c, ES, offset, 64, true);
    uint8_t line[64];

    mem_read_bytes(c, from, line, sizeof line);
    if (to & 63 || (in_code64(c) && !is_canonical(c, to)))
        x86_raise_gp0(c); /* whatever segment the source is in */
    mem_write_bytes(c, to, line, sizeof line);
}
