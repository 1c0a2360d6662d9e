/*
 * How string and string I/O instructions repeat (SDM volume 2, REP): the
 * registers by address size, where to stop for events, traps and breakpoints.
 */
#ifndef X86_OPS_REP_H
#define X86_OPS_REP_H

#include "x86/operand.h"

enum { REP_DR6_BS = 1 << 14 }; /* single step */

/* Waiting events are looked for after this many bytes. */
enum { REP_BURST = 1 << 16 };

static ALWAYS_INLINE uint64_t rep_offset(const struct cpu *c,
                                         const struct insn *i, unsigned reg)
{
    return gpr_read(c, reg, i->asize);
}

static ALWAYS_INLINE uint64_t rep_count(const struct cpu *c,
                                        const struct insn *i)
{
    return gpr_read(c, RCX, i->asize);
}

static ALWAYS_INLINE void rep_set_count(struct cpu *c, const struct insn *i,
                                        uint64_t count)
{
    gpr_write(c, RCX, i->asize, count);
}

/* rSI or rDI by count elements in the direction of DF. */
static ALWAYS_INLINE void rep_advance(struct cpu *c, const struct insn *i,
                                      unsigned reg, uint64_t count)
{
    uint64_t by = count * i->osize;

    if (c->s.rflags & FLAG_DF)
        by = 0 - by;
    gpr_write(c, reg, i->asize, rep_offset(c, i, reg) + by);
}

/* Single-stepping, the guest's or a debugger's, stops after each repetition. */
static ALWAYS_INLINE bool rep_single(const struct cpu *c)
{
    return unlikely((c->mode_key & MODE_TF) || c->vcpu->debug.step);
}

static ALWAYS_INLINE uint64_t rep_limit(const struct cpu *c, uint64_t count)
{
    return rep_single(c) ? MIN(count, 1) : count;
}

/*
 * A repeat count of zero does nothing; but with 32-bit addresses Intel CPUs
 * zero-extend rCX, and the pointers of MOVS and STOS, all the same.
 */
static inline void rep_nothing(struct cpu *c, const struct insn *i)
{
    bool movs = (i->code & 0xfe) == 0xa4, stos = (i->code & 0xfe) == 0xaa;

    if (i->asize != 4)
        return;
    rep_set_count(c, i, 0);
    if (movs)
        rep_advance(c, i, RSI, 0);
    if (movs || stos)
        rep_advance(c, i, RDI, 0);
}

/*
 * After `done` elements, with more to do: is it time to look up? bytes: moved
 * since events were last looked for.
 */
static ALWAYS_INLINE bool rep_must_pause(struct cpu *c, const struct insn *i,
                                         uint64_t *bytes, uint64_t done)
{
    if (unlikely(c->s.pending_db || c->vcpu->debug.stop.why) || rep_single(c))
        return true;
    *bytes += done * i->osize;
    if (*bytes < REP_BURST)
        return false;
    *bytes = 0;
    return atomic_load_explicit(&c->vcpu->events, memory_order_relaxed);
}

/* Leaves in the middle; the instruction goes on from the registers. */
static NORETURN inline void rep_pause(struct cpu *c, const struct insn *i)
{
    if (c->mode_key & MODE_TF)
        c->s.pending_db |= REP_DR6_BS;
    c->s.rip = insn_rip(c, i);
    x86_unwind(c, UNWIND_RESTART);
}

/*
 * many() does up to count elements at once, moves the pointers and returns how
 * many; 0: one() has to do the next. Both leave rCX to the caller.
 */
static ALWAYS_INLINE void
rep_run(struct cpu *c, const struct insn *i,
        void (*one)(struct cpu *c, const struct insn *i),
        uint64_t (*many)(struct cpu *c, const struct insn *i, uint64_t count))
{
    uint64_t count = rep_count(c, i), bytes = 0, done;

    if (!(i->flags & (INSN_REP | INSN_REPNE))) {
        one(c, i);
        return;
    }
    if (!count) {
        rep_nothing(c, i);
        return;
    }
    rep_set_count(c, i, count); /* zero-extended, even if the first faults */
    for (;;) {
        done = many(c, i, rep_limit(c, count));
        if (!done) {
            one(c, i);
            done = 1;
        }
        count -= done;
        rep_set_count(c, i, count);
        if (!count)
            return;
        if (rep_must_pause(c, i, &bytes, done))
            rep_pause(c, i);
    }
}

#endif
