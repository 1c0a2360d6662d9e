/*
 * Events through the interrupt vector table (real mode, virtual-8086 mode with
 * VME) or the IDT: interrupt and trap gates of 16, 32 and 64 bits, task gates.
 * SDM volume 3, chapters 6 and 20; INT n in volume 2.
 *
 * s changes only when nothing can fault any more. Before that stacks may have
 * been written below their pointers and A bits set, which does no harm when
 * the event is delivered again.
 */
#include "x86/flags.h"
#include "x86/system.h"

enum { ERROR_IDT = 2 };

/* FLAGS, CS, IP and the error code. */
static void frame_add_return(struct cpu *c, struct frame *f,
                             const struct event *e)
{
    frame_add(f, e->flags);
    frame_add(f, c->s.seg[CS].sel);
    frame_add(f, e->rip);
    if (e->has_error)
        frame_add(f, e->error);
}

static void entered(struct cpu *c, uint64_t flags)
{
    flags_set(c, flags);
    x86_mode_changed(c);
}

/* --- the interrupt vector table --- */

static void deliver_vector(struct cpu *c, const struct event *e, gva_t at,
                           uint64_t pushed_flags, uint64_t flags)
{
    uint64_t pointer = mem_read_system(c, at, 4), rip = pointer & 0xffff;
    struct x86_seg cs = seg_real(c, CS, (uint16_t)(pointer >> 16));
    struct stack k = stack_current(c);

    seg_check_rip(c, &cs, rip, 0);
    stack_need(c, &k, 3, 2);
    stack_push(c, &k, pushed_flags, 2);
    stack_push(c, &k, c->s.seg[CS].sel, 2);
    stack_push(c, &k, e->rip, 2);
    stack_done(c, &k);
    c->s.seg[CS] = cs;
    c->s.rip = rip;
    entered(c, flags);
}

static void deliver_real(struct cpu *c, const struct event *e)
{
    unsigned at = e->vector * 4u;

    if (at + 3 > c->s.idt.limit)
        x86_raise_gp0(c);
    deliver_vector(c, e, c->s.idt.base + at, e->flags,
                   e->flags &
                       ~(uint64_t)(FLAG_IF | FLAG_TF | FLAG_AC | FLAG_RF));
}

/* --- INT n in virtual-8086 mode (SDM table 20-2) --- */

/* The vector's bit in the redirection bitmap, below the I/O bitmap. */
static bool redirection_bit(struct cpu *c, unsigned vector)
{
    const struct x86_seg *tr = &c->s.tr;
    uint64_t at;

    if (!(seg_type(tr) & SYS_32) || tr->limit < 0x67)
        x86_raise_gp0(c);
    at = mem_read_system(c, tr->base + 0x66, 2) - 32 + vector / 8;
    if (at > tr->limit)
        x86_raise_gp0(c);
    return mem_read_system(c, tr->base + at, 1) >> vector % 8 & 1;
}

/* True: done. False: on to the protected-mode handler. */
static bool deliver_vm86_int(struct cpu *c, const struct event *e)
{
    bool iopl3 = (e->flags & FLAG_IOPL) == FLAG_IOPL;
    bool redirect = (c->s.cr4 & CR4_VME) && !redirection_bit(c, e->vector);
    uint64_t pushed = e->flags, flags = e->flags;

    if (!redirect) {
        if (!iopl3)
            x86_raise_gp0(c);
        return false;
    }
    flags &= ~(uint64_t)(FLAG_TF | FLAG_RF);
    if (iopl3) {
        flags &= ~(uint64_t)FLAG_IF;
    } else {
        flags &= ~(uint64_t)FLAG_VIF;
        pushed &= ~(uint64_t)FLAG_IF;
        pushed |= FLAG_IOPL | (e->flags & FLAG_VIF ? FLAG_IF : 0);
    }
    deliver_vector(c, e, e->vector * 4u, pushed, flags);
    return true;
}

/* --- the IDT --- */

static NORETURN void raise_idt(struct cpu *c, const struct event *e,
                               unsigned vector)
{
    x86_raise_error(c, vector, e->vector * 8u | ERROR_IDT | e->ext);
}

static struct gate idt_gate(struct cpu *c, const struct event *e)
{
    bool wide = in_long_mode(c);
    unsigned size = wide ? 16 : 8, at = e->vector * size, type;
    struct gate g;
    bool ok;

    if (at + size - 1 > c->s.idt.limit)
        raise_idt(c, e, EXC_GP);
    g = desc_gate(mem_read_system(c, c->s.idt.base + at, 8));
    type = g.attr & (SEG_S | SEG_TYPE);
    ok = type == SYS_INT32 || type == SYS_TRAP32 ||
         (!wide &&
          (type == SYS_INT16 || type == SYS_TRAP16 || type == SYS_TASK_GATE));
    if (!ok)
        raise_idt(c, e, EXC_GP);
    if (e->software && (g.attr & SEG_DPL) >> SEG_DPL_SHIFT < c->s.cpl)
        raise_idt(c, e, EXC_GP);
    if (!(g.attr & SEG_P))
        raise_idt(c, e, EXC_NP);
    if (wide)
        g.offset |= mem_read_system(c, c->s.idt.base + at + 8, 4) << 32;
    else if (!(type & SYS_32))
        g.offset &= 0xffff;
    return g;
}

/* The handler's code segment; its RPL is the handler's CPL. */
static struct x86_seg handler_segment(struct cpu *c, const struct event *e,
                                      uint16_t sel)
{
    struct x86_seg cs = desc_segment(sel, desc_get(c, sel, EXC_GP, e->ext));
    unsigned cpl = c->s.cpl;

    if (!seg_is_code(&cs) || seg_dpl(&cs) > cpl)
        x86_raise_selector(c, EXC_GP, sel, e->ext);
    if (in_long_mode(c) && (cs.attr & (SEG_L | SEG_DB)) != SEG_L)
        x86_raise_selector(c, EXC_GP, sel, e->ext);
    if (!seg_present(&cs))
        x86_raise_selector(c, EXC_NP, sel, e->ext);
    if (in_vm86(c) && (seg_conforming(&cs) || seg_dpl(&cs) != 0))
        x86_raise_selector(c, EXC_GP, sel, e->ext);
    if (!seg_conforming(&cs))
        cpl = seg_dpl(&cs);
    cs.sel = (uint16_t)((sel & ~SEL_RPL) | cpl);
    return cs;
}

static uint64_t handler_flags(const struct event *e, const struct gate *g)
{
    uint64_t f = e->flags & ~(uint64_t)(FLAG_TF | FLAG_NT | FLAG_VM | FLAG_RF);

    return g->attr & 1 ? f : f & ~(uint64_t)FLAG_IF; /* trap: odd types */
}

static void null_data_segments(struct cpu *c)
{
    static const uint8_t data[] = {ES, DS, FS, GS};

    for (unsigned i = 0; i < ARRAY_LEN(data); i++)
        c->s.seg[data[i]] = seg_null(0, 0);
}

/* A fault in loading SS during a task switch left none: one must come from
   the TSS. */
static bool stack_lost(const struct x86_state *s)
{
    return s->cpl < 3 && (s->seg[SS].attr & SEG_UNUSABLE) &&
           !sel_null(s->seg[SS].sel);
}

static void deliver_gate(struct cpu *c, const struct event *e,
                         const struct gate *g)
{
    struct x86_state *s = &c->s;
    struct x86_seg cs = handler_segment(c, e, g->sel);
    unsigned size = g->attr & SYS_32 ? 4 : 2, cpl = sel_rpl(cs.sel);
    bool inner = cpl != s->cpl || stack_lost(s), vm86 = in_vm86(c);
    struct frame f = {0};
    struct stack k;
    uint64_t sp;

    if (inner) {
        k = tss_stack(c, cpl, e->ext);
        if (vm86) {
            frame_add(&f, s->seg[GS].sel);
            frame_add(&f, s->seg[FS].sel);
            frame_add(&f, s->seg[DS].sel);
            frame_add(&f, s->seg[ES].sel);
        }
        frame_add(&f, s->seg[SS].sel);
        frame_add(&f, s->gpr[RSP]);
    } else {
        k = stack_current(c);
        k.error = e->ext;
    }
    sp = inner ? k.sp : s->gpr[RSP];
    frame_add_return(c, &f, e);
    x86_access_as(c, cpl, false);
    stack_need(c, &k, f.n, size);
    seg_check_rip(c, &cs, g->offset, e->ext);
    frame_push(c, &k, &f, size);
    enter_code(c, &cs, g->offset);
    s->seg[SS] = k.seg;
    s->gpr[RSP] = sp;
    stack_done(c, &k);
    if (vm86)
        null_data_segments(c);
    entered(c, handler_flags(e, g));
}

static void deliver_long(struct cpu *c, const struct event *e,
                         const struct gate *g)
{
    struct x86_state *s = &c->s;
    struct x86_seg cs = handler_segment(c, e, g->sel), ss = s->seg[SS];
    unsigned cpl = sel_rpl(cs.sel);
    uint64_t rsp = s->gpr[RSP];
    struct frame f = {0};
    struct stack k;

    if (cpl != s->cpl || g->ist)
        rsp = tss_rsp(c, cpl, g->ist, e->ext);
    if (cpl != s->cpl)
        ss = seg_null((uint16_t)cpl, cpl);
    k = stack_make(&ss, rsp & ~15ull, true, e->ext);
    frame_add(&f, s->seg[SS].sel);
    frame_add(&f, s->gpr[RSP]);
    frame_add_return(c, &f, e);
    x86_access_as(c, cpl, true);
    stack_need(c, &k, f.n, 8);
    seg_check_rip(c, &cs, g->offset, e->ext);
    frame_push(c, &k, &f, 8);
    enter_code(c, &cs, g->offset);
    s->seg[SS] = ss;
    s->gpr[RSP] = k.sp;
    entered(c, handler_flags(e, g));
}

static void deliver_task(struct cpu *c, const struct event *e,
                         const struct gate *g)
{
    unsigned size;
    struct stack k;

    x86_task_switch(c, g->sel, TASK_INT, e->flags, e->ext);
    if (e->has_error) {
        size = seg_type(&c->s.tr) & SYS_32 ? 4 : 2;
        k = stack_current(c);
        k.error = e->ext;
        stack_push(c, &k, e->error, size);
        stack_done(c, &k);
    }
    seg_check_rip(c, &c->s.seg[CS], c->s.rip, e->ext);
    c->delivering = -1; /* what comes now is the task's own */
    x86_check_vip(c);
}

static void through_idt(struct cpu *c, const struct event *e)
{
    struct gate g = idt_gate(c, e);

    if (in_long_mode(c))
        deliver_long(c, e, &g);
    else if ((g.attr & SEG_TYPE) == SYS_TASK_GATE)
        deliver_task(c, e, &g);
    else
        deliver_gate(c, e, &g);
}

void x86_deliver_event(struct cpu *c, const struct event *e)
{
    if (!(c->mode_key & MODE_PE))
        deliver_real(c, e);
    else if (!(e->int_n && in_vm86(c) && deliver_vm86_int(c, e)))
        through_idt(c, e);
    c->s.sti_shadow = c->s.movss_shadow = false;
    c->s.pending_db &= ~(uint64_t)DR6_BS;
}
