/*
 * Instructions on single flags. CLI and STI below IOPL work on VIF instead of
 * IF in virtual-8086 mode with CR4.VME and at CPL 3 with CR4.PVI (SDM volume
 * 3, 21.3.3.4 and 21.4).
 */
#include "x86/flags.h"
#include "x86/operand.h"
#include "x86/ops/ops.h"

void op_clc(struct cpu *c, const struct insn *i)
{
    (void)i;
    flags_change(c, FLAG_CF, 0);
}

void op_stc(struct cpu *c, const struct insn *i)
{
    (void)i;
    flags_change(c, FLAG_CF, FLAG_CF);
}

void op_cmc(struct cpu *c, const struct insn *i)
{
    (void)i;
    flags_set(c, flags_get(c) ^ FLAG_CF);
}

/* DF, IF and AC are never held lazily. */
void op_cld(struct cpu *c, const struct insn *i)
{
    (void)i;
    c->s.rflags &= ~(uint64_t)FLAG_DF;
}

void op_std(struct cpu *c, const struct insn *i)
{
    (void)i;
    c->s.rflags |= FLAG_DF;
}

/* The flag that CLI and STI change here: IF, VIF, or #GP(0). */
static uint64_t interrupt_flag(struct cpu *c)
{
    unsigned iopl = c->s.rflags >> 12 & 3;

    if (c->s.cpl <= iopl) /* in virtual-8086 mode CPL is 3 */
        return FLAG_IF;
    if (in_vm86(c) ? c->s.cr4 & CR4_VME : c->s.cpl == 3 && (c->s.cr4 & CR4_PVI))
        return FLAG_VIF;
    x86_raise_gp0(c);
}

void op_cli(struct cpu *c, const struct insn *i)
{
    (void)i;
    c->s.rflags &= ~interrupt_flag(c);
}

/* Interrupts stay off for one more instruction, when they were off. */
void op_sti(struct cpu *c, const struct insn *i)
{
    uint64_t flag = interrupt_flag(c);

    (void)i;
    if (flag == FLAG_VIF && (c->s.rflags & FLAG_VIP))
        x86_raise_gp0(c);
    if (flag == FLAG_IF && !(c->s.rflags & FLAG_IF))
        c->s.sti_shadow = true;
    c->s.rflags |= flag;
}

void op_clac(struct cpu *c, const struct insn *i)
{
    (void)i;
    c->s.rflags &= ~(uint64_t)FLAG_AC;
    x86_mode_changed(c);
}

void op_stac(struct cpu *c, const struct insn *i)
{
    (void)i;
    c->s.rflags |= FLAG_AC;
    x86_mode_changed(c);
}
