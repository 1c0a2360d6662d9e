/*
 * Pushes, pops, flags on the stack and stack frames. rSP changes after the
 * last access that can fault.
 */
#include "x86/flags.h"
#include "x86/ops/ops.h"
#include "x86/ops/sp.h"

void op_push(struct cpu *c, const struct insn *i)
{
    sp_push(c, op_read(c, i, 0), i->osize);
}

/* POP to memory based on rSP counts from where the pop leaves it. */
static gva_t pop_address(struct cpu *c, const struct insn *i)
{
    uint64_t ea = x86_ea(c, i);

    if (i->base == RSP)
        ea = (ea + i->osize) & mask_low(8 * i->asize);
    return x86_linear(c, i->seg, ea, i->osize, true);
}

void op_pop(struct cpu *c, const struct insn *i)
{
    unsigned n = i->osize;
    uint64_t v = sp_read(c, 0, n);

    if (op_is_mem(i, 0)) {
        mem_write(c, pop_address(c, i), v, n);
        sp_drop(c, n);
    } else {
        sp_drop(c, n);
        gpr_write(c, i->opnd[0].reg, n, v);
    }
}

/*
 * All eight, rSP as it was before. Each piece is checked before the first is
 * written: on a 16-bit stack the pieces may wrap.
 */
void op_pusha(struct cpu *c, const struct insn *i)
{
    unsigned n = i->osize;
    gva_t at[8];

    for (unsigned r = 0; r < 8; r++) {
        at[r] = sp_address(c, 0 - (uint64_t)n * (r + 1), n, true);
        mem_probe(c, at[r], n, true);
    }
    for (unsigned r = 0; r < 8; r++)
        mem_write(c, at[r], c->s.gpr[r], n);
    sp_drop(c, 0 - (uint64_t)n * 8);
}

/* The stored rSP is not read back. */
/* rDI first; CPUs have written what came before a fault. */
void op_popa(struct cpu *c, const struct insn *i)
{
    unsigned n = i->osize;

    for (unsigned r = 8; r-- > 0;) {
        uint64_t v = sp_read(c, (uint64_t)n * (7 - r), n);

        if (r != RSP)
            gpr_write(c, r, n, v);
    }
    sp_drop(c, n * 8);
}

/* --- flags --- */
static unsigned iopl(const struct cpu *c)
{
    return c->s.rflags >> 12 & 3;
}

/*
 * In virtual-8086 mode below IOPL 3 PUSHF and POPF trap, but under CR4.VME
 * their 16-bit forms work on VIF in place of IF (SDM volume 3, 21.3.3.4).
 */
static bool virtual_interrupts(struct cpu *c, const struct insn *i)
{
    if (!in_vm86(c) || iopl(c) == 3)
        return false;
    if (i->osize != 2 || !(c->s.cr4 & CR4_VME))
        x86_raise_gp0(c);
    return true;
}

void op_pushf(struct cpu *c, const struct insn *i)
{
    uint64_t f = flags_get(c) & ~(uint64_t)(FLAG_RF | FLAG_VM);

    if (virtual_interrupts(c, i)) {
        f &= ~(uint64_t)FLAG_IF;
        f |= FLAG_IOPL | (f & FLAG_VIF ? FLAG_IF : 0);
    }
    sp_push(c, f, i->osize);
}

enum {
    FLAGS_POP16 = FLAGS_STATUS | FLAG_TF | FLAG_DF | FLAG_NT,
    FLAGS_POP32 = FLAGS_POP16 | FLAG_AC | FLAG_ID
};

/* Which flags POPF may change here. */
static uint64_t popf_mask(const struct cpu *c, const struct insn *i)
{
    uint64_t mask = i->osize == 2 ? FLAGS_POP16 : FLAGS_POP32;

    if (!in_vm86(c) && c->s.cpl == 0)
        mask |= FLAG_IOPL;
    if (c->s.cpl <= iopl(c)) /* in virtual-8086 mode CPL is 3 */
        mask |= FLAG_IF;
    return mask;
}

void op_popf(struct cpu *c, const struct insn *i)
{
    uint64_t old = flags_get(c), v, mask, f;
    bool virtual = virtual_interrupts(c, i);

    v = sp_read(c, 0, i->osize);
    if (virtual) {
        if ((v & FLAG_TF) || ((v & FLAG_IF) && (old & FLAG_VIP)))
            x86_raise_gp0(c);
        mask = FLAGS_POP16 | FLAG_VIF;
        v |= v & FLAG_IF ? FLAG_VIF : 0;
    } else {
        mask = popf_mask(c, i);
    }
    sp_drop(c, i->osize);
    f = (old & ~mask & ~(uint64_t)FLAG_RF) | (v & mask) | FLAG_1;
    flags_set(c, f);
    if ((f ^ old) & (FLAG_TF | FLAG_AC))
        x86_mode_changed(c);
}

/* --- frames --- */
/*
 * Copies `levels` frame pointers of the outer procedures and pushes the new
 * one below those; rSP only moves in op_enter().
 */
static void copy_display(struct cpu *c, unsigned n, unsigned levels,
                         uint64_t frame)
{
    uint64_t rbp = c->s.gpr[RBP], mask = sp_mask(c), v;
    uint64_t below = n; /* rBP was pushed already */

    for (unsigned k = 1; k < levels; k++) {
        rbp -= n;
        below += n;
        v = mem_read(c, x86_linear(c, SS, rbp & mask, n, false), n);
        mem_write(c, sp_address(c, 0 - below, n, true), v, n);
    }
    mem_write(c, sp_address(c, 0 - (below + n), n, true), frame, n);
}

void op_enter(struct cpu *c, const struct insn *i)
{
    unsigned n = i->osize, levels = i->imm >> 32 & 31;
    uint64_t mask = sp_mask(c), alloc = (uint16_t)i->imm;
    uint64_t frame = c->s.gpr[RSP] - n;
    uint64_t down = n + (uint64_t)n * levels + alloc;

    mem_write(c, sp_address(c, 0 - (uint64_t)n, n, true), c->s.gpr[RBP], n);
    if (mask == 0xffff) /* the rest of rSP goes into the frame pointer too */
        frame = (c->s.gpr[RSP] & ~mask) | (frame & mask);
    if (levels)
        copy_display(c, n, levels, frame);
    /* The final rSP must be writable, though nothing is written there. */
    mem_probe(c, sp_address(c, 0 - down, n, true), n, true);
    sp_drop(c, 0 - down);
    gpr_write(c, RBP, n, frame);
}

void op_leave(struct cpu *c, const struct insn *i)
{
    unsigned n = i->osize;
    uint64_t frame = c->s.gpr[RBP] & sp_mask(c);
    uint64_t v = mem_read(c, x86_linear(c, SS, frame, n, false), n);

    sp_set(c, frame + n);
    gpr_write(c, RBP, n, v);
}
