/*
 * Near branches. The target is checked before anything changes: it must be
 * canonical in 64-bit mode and inside CS's limit elsewhere.
 */
#include "x86/flags.h"
#include "x86/ops/ops.h"
#include "x86/ops/sp.h"

/* The target, cut to the operand size and checked. */
static ALWAYS_INLINE uint64_t branch_target(struct cpu *c, const struct insn *i,
                                            uint64_t to)
{
    if (likely(in_code64(c))) {
        if (unlikely(!is_canonical(c, to)))
            x86_raise_gp0(c);
        return to;
    }
    to &= i->osize == 2 ? 0xffff : 0xffffffff;
    if (unlikely(to > c->s.seg[CS].limit))
        x86_raise_gp0(c);
    return to;
}

static ALWAYS_INLINE uint64_t relative_target(struct cpu *c,
                                              const struct insn *i)
{
    return branch_target(c, i, insn_next(c, i) + i->imm);
}

void op_jmp(struct cpu *c, const struct insn *i)
{
    c->s.rip = relative_target(c, i);
}

void op_jmp_ind(struct cpu *c, const struct insn *i)
{
    c->s.rip = branch_target(c, i, op_read(c, i, 0));
}

void op_jcc(struct cpu *c, const struct insn *i)
{
    if (flags_cc(c, insn_cc(i)))
        c->s.rip = relative_target(c, i);
}

void op_jcxz(struct cpu *c, const struct insn *i)
{
    if (!gpr_read(c, RCX, i->asize))
        c->s.rip = relative_target(c, i);
}

/* Counts rCX down and jumps while it is not 0 and `more`. */
static ALWAYS_INLINE void loop_if(struct cpu *c, const struct insn *i,
                                  bool more)
{
    uint64_t count = (gpr_read(c, RCX, i->asize) - 1) & mask_low(8 * i->asize);

    if (count && more)
        c->s.rip = relative_target(c, i);
    gpr_write(c, RCX, i->asize, count);
}

void op_loop(struct cpu *c, const struct insn *i)
{
    loop_if(c, i, true);
}

void op_loope(struct cpu *c, const struct insn *i)
{
    loop_if(c, i, flags_zf(c));
}

void op_loopne(struct cpu *c, const struct insn *i)
{
    loop_if(c, i, !flags_zf(c));
}

static ALWAYS_INLINE void call(struct cpu *c, const struct insn *i,
                               uint64_t target)
{
    sp_push(c, insn_next(c, i), i->osize);
    c->s.rip = target;
}

void op_call(struct cpu *c, const struct insn *i)
{
    call(c, i, relative_target(c, i));
}

/* CPUs have written the return address when the target is not canonical; rSP
   stays. */
static COLD void call_nowhere(struct cpu *c, const struct insn *i)
{
    uint64_t sp = c->s.gpr[RSP];

    sp_push(c, insn_next(c, i), i->osize);
    c->s.gpr[RSP] = sp;
    x86_raise_gp0(c);
}

void op_call_ind(struct cpu *c, const struct insn *i)
{
    uint64_t target = op_read(c, i, 0);

    if (unlikely(in_code64(c) && !is_canonical(c, target)))
        call_nowhere(c, i);
    call(c, i, branch_target(c, i, target));
}

void op_ret(struct cpu *c, const struct insn *i)
{
    uint64_t more = i->opnd[0].kind == OPND_IMM ? (uint16_t)i->imm : 0;

    c->s.rip = branch_target(c, i, sp_read(c, 0, i->osize));
    sp_drop(c, i->osize + more);
}
