/* The loop: events, blocks, and what comes back out of an instruction. */
#include "engine/interp/interp.h"
#include "x86/flags.h"

/* --- code that changes itself --- */

static void leave_block(struct cpu *c, const struct insn *i)
{
    c->s.rip = insn_rip(c, i);
    x86_unwind(c, UNWIND_RESTART);
}

/* The block that c->insn is in, or NULL. */
static struct block *own_block(struct cpu *c)
{
    struct block *b = interp_of(c)->running;

    return b && c->insn >= b->insn && c->insn < b->insn + b->n ? b : NULL;
}

/* What comes after c->insn becomes exits. */
static void end_block(struct cpu *c, struct block *b)
{
    for (unsigned k = 0; k < b->n; k++)
        if (&b->insn[k] > c->insn)
            b->insn[k].fn = leave_block;
}

/*
 * Where an instruction changes the block it is in, the rest of the block is
 * stale: it becomes exits, and the loop looks for the block anew.
 */
bool interp_forget_code(struct cpu *c, gpa_t a, unsigned n)
{
    struct block *b = own_block(c);

    if (!code_pages_written(interp_of(c)->pages, a, n))
        return false;
    c->stats.blocks_invalidated++;
    /* Where it does not run any more, another may be in its place. */
    if (b && !block_is_fresh(b))
        end_block(c, b);
    return true;
}

/*
 * The loop is to look up after this instruction, which an event has it do even
 * if there is no fault and no exit. The block is no longer good for anything
 * else.
 */
void interp_watch_met(struct cpu *c)
{
    struct block *b = own_block(c);

    if (!b || x86_one_by_one(c))
        return;
    end_block(c, b);
    b->generation--;
    atomic_fetch_or(&c->vcpu->events, VCPU_PRIV);
}

/* --- running --- */

void interp_run_block(struct cpu *c, struct block *b)
{
    const struct insn *i = b->insn, *end = i + b->n;
    uint64_t next = c->s.rip + b->len;

    interp_of(c)->running = b;
    c->block_rip = c->s.rip;
    c->s.rip = b->mode & MODE_CODE64 ? next : (uint32_t)next;
    c->stats.instructions += b->n;
    do {
        c->insn = i;
        i->fn(c, i);
    } while (++i != end);
    c->insn = NULL;
}

/* Has a debugger what it waits for, now that something has been done? */
static bool debugger_stops(struct cpu *c, enum stop *stop)
{
    struct vcpu_debug *d = &c->vcpu->debug;

    if (likely(!d->points))
        return false;
    if (d->step && !d->stop.why)
        d->stop.why = DEBUG_STEPPED;
    *stop = STOP_DEBUG;
    return d->stop.why;
}

/*
 * One instruction: under a shadow, which ends with it, or single-stepping, or
 * with breakpoints to compare with (x86/cpu.h says what is due when).
 */
bool interp_run_single(struct cpu *c, enum stop *stop)
{
    bool trap = c->mode_key & MODE_TF;
    bool shadow = c->s.sti_shadow || c->s.movss_shadow;
    struct block *b;

    *stop = STOP_DEBUG;
    if (unlikely(c->vcpu->debug.points != NULL) &&
        x86_debugger_at(c, x86_fetch_address(c, c->s.rip)))
        return false;
    if (c->has_code_breakpoints)
        x86_code_breakpoint(c, x86_fetch_address(c, c->s.rip));
    c->s.rflags &= ~(uint64_t)FLAG_RF;
    b = block_find(c, true);
    interp_run_block(c, b);
    if (trap)
        c->s.pending_db |= DR6_BS;
    if (shadow)
        c->s.sti_shadow = c->s.movss_shadow = false;
    return !debugger_stops(c, stop);
}

/* --- what unwound --- */

void interp_put_back(struct cpu *c)
{
    const struct block *b = interp_of(c)->running;

    if (c->rmw_held)
        mem_rmw_end(c);
    if (!c->insn)
        return; /* fetching or delivering: s.rip is right */
    if (c->unwind == UNWIND_EXCEPTION)
        c->s.rip = insn_rip(c, c->insn);
    /* Instructions after this one were counted but did not run. */
    if (b && c->insn >= b->insn && c->insn < b->insn + b->n)
        c->stats.instructions -= b->n - 1 - (uint64_t)(c->insn - b->insn);
    c->insn = NULL;
}

/* True: go on. False: *stop says why not. */
bool interp_after_unwind(struct cpu *c, enum stop *stop)
{
    enum unwind how = c->unwind;

    flags_materialise(c);
    interp_put_back(c);
    c->unwind = UNWIND_NONE;
    if (how == UNWIND_EXCEPTION) {
        /* An access that a debugger waits for was not made. */
        c->vcpu->debug.stop.why = DEBUG_NONE;
        x86_deliver(c);
    }
    if (how == UNWIND_SHUTDOWN) {
        c->s.activity = CPU_SHUTDOWN;
        *stop = STOP_SHUTDOWN;
        return false;
    }
    return !debugger_stops(c, stop);
}

/* --- events --- */

void interp_forget_write_tags(struct cpu *c)
{
    tlb_forget_stack(c);
    for (unsigned m = 0; m < TLB_MODES; m++)
        for (unsigned n = 0; n < TLB_SIZE; n++)
            c->tlbs[m][n].write = tlb_none(n);
}

static bool take_events(struct cpu *c, uint32_t events, enum stop *stop)
{
    struct vcpu *v = c->vcpu;
    uint64_t delivered;

    if (events & VCPU_PRIV) {
        atomic_fetch_and(&v->events, ~(uint32_t)VCPU_PRIV);
        interp_forget_write_tags(c);
        code_pages_enter(interp_of(c)->pages, v);
    }
    if (events & VCPU_KICK) {
        atomic_fetch_and(&v->events, ~(uint32_t)VCPU_KICK);
        *stop = STOP_KICK;
        return false;
    }
    if (v->debug.stop.why) { /* in the instruction before */
        *stop = STOP_DEBUG;
        return false;
    }
    flags_materialise(c);
    delivered = c->stats.interrupts + c->stats.exceptions;
    if (!x86_take_events(c)) {
        *stop = STOP_HALT;
        return false;
    }
    return delivered == c->stats.interrupts + c->stats.exceptions ||
           !debugger_stops(c, stop);
}

bool interp_between_blocks(struct cpu *c, enum stop *stop)
{
    uint32_t events =
        atomic_load_explicit(&c->vcpu->events, memory_order_relaxed);

    if (unlikely(events | (uint32_t)c->s.activity | (c->s.pending_db != 0)) &&
        !take_events(c, events, stop))
        return false;
    if (unlikely(c->s.rflags & FLAG_RF) && !x86_one_by_one(c))
        c->s.rflags &= ~(uint64_t)FLAG_RF;
    return true;
}

/* Returns only to stop; every fault comes back through interp_run. */
static enum stop loop(struct cpu *c)
{
    enum stop stop;

    if (c->unwind && !interp_after_unwind(c, &stop))
        return stop;
    while (interp_between_blocks(c, &stop)) {
        if (likely(!x86_one_by_one(c)))
            interp_run_block(c, block_find(c, false));
        else if (!interp_run_single(c, &stop))
            break;
    }
    return stop;
}

void interp_enter(struct interp_cpu *e)
{
    struct cpu *c = &e->cpu;

    if (vm_ncpus(c->vcpu->vm) > 1)
        interp_forget_write_tags(c);
    /* Here and not where state is set: that is done under the lock. */
    x86_apic_base_changed(c);
    code_pages_enter(e->pages, c->vcpu);
    c->unwind = UNWIND_NONE;
    c->vcpu->debug.stop.why = DEBUG_NONE;
    c->delivering = -1;
    c->insn = NULL;
}

void interp_leave(struct interp_cpu *e)
{
    flags_materialise(&e->cpu);
    code_pages_leave(e->pages, e->cpu.vcpu);
}

enum stop interp_run(struct vcpu *v)
{
    struct interp_cpu *e = v->priv;
    struct cpu *c = &e->cpu;
    enum stop stop;

    if (c->s.activity == CPU_SHUTDOWN)
        return STOP_SHUTDOWN;
    interp_enter(e);
    __builtin_setjmp(c->unwind_buf);
    stop = loop(c);
    interp_leave(e);
    return stop;
}
