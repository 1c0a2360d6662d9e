/*
 * Far JMP, CALL and RET: directly, through call gates, to tasks. JMP, CALL and
 * RET in SDM volume 2; volume 3, 5.8.
 */
#include "x86/flags.h"
#include "x86/operand.h"
#include "x86/ops/ops.h"
#include "x86/system.h"

struct far {
    uint64_t offset;
    uint16_t sel;
};

static struct far far_operand(struct cpu *c, const struct insn *i)
{
    unsigned n = i->osize;
    gva_t a;

    if (i->opnd[0].kind == OPND_FAR)
        return (struct far){.offset = i->imm & mask_low(8 * n) & 0xffffffff,
                            .sel = (uint16_t)(i->imm >> 32)};
    a = op_address(c, i, n + 2, false);
    return (struct far){.offset = mem_read(c, a, n),
                        .sel = (uint16_t)mem_read(c, a + n, 2)};
}

static bool is_code64(const struct cpu *c, const struct x86_seg *cs)
{
    return in_long_mode(c) && (cs->attr & SEG_L);
}

/* CS and rip were checked; k is the stack to go on with. */
static void arrive(struct cpu *c, struct x86_seg *cs, uint64_t rip,
                   const struct stack *k)
{
    enter_code(c, cs, rip);
    if (k)
        stack_done(c, k);
    x86_mode_changed(c);
}

/* Pushes the return address and goes. */
static void call_to(struct cpu *c, struct x86_seg *cs, uint64_t rip,
                    struct stack *k, struct frame *f, unsigned size)
{
    frame_add(f, c->s.seg[CS].sel);
    frame_add(f, c->s.rip);
    x86_access_as(c, sel_rpl(cs->sel), is_code64(c, cs));
    stack_need(c, k, f->n, size);
    seg_check_rip(c, cs, rip, 0);
    frame_push(c, k, f, size);
    arrive(c, cs, rip, k);
}

/* --- real and virtual-8086 mode --- */

static void go_real(struct cpu *c, const struct far *to, bool call,
                    unsigned size)
{
    struct x86_seg cs = seg_real(c, CS, to->sel);
    struct stack k = stack_current(c);

    if (call)
        stack_need(c, &k, 2, size);
    seg_check_rip(c, &cs, to->offset, 0);
    if (call) {
        stack_push(c, &k, c->s.seg[CS].sel, size);
        stack_push(c, &k, c->s.rip, size);
        stack_done(c, &k);
    }
    c->s.seg[CS] = cs;
    c->s.rip = to->offset;
    x86_mode_changed(c);
}

/* --- protected mode --- */

static void go_direct(struct cpu *c, const struct far *to, struct x86_seg *cs,
                      bool call, unsigned size)
{
    unsigned cpl = c->s.cpl, dpl = seg_dpl(cs);
    struct frame f = {0};
    struct stack k;

    if (seg_conforming(cs) ? dpl > cpl : dpl != cpl || sel_rpl(to->sel) > cpl)
        x86_raise_selector(c, EXC_GP, to->sel, 0);
    code_check_long(c, cs);
    if (!seg_present(cs))
        x86_raise_selector(c, EXC_NP, to->sel, 0);
    cs->sel = (uint16_t)((to->sel & ~SEL_RPL) | cpl);
    if (call) {
        k = stack_make(&c->s.seg[SS], c->s.gpr[RSP], is_code64(c, cs), 0);
        call_to(c, cs, to->offset, &k, &f, size);
    } else {
        seg_check_rip(c, cs, to->offset, 0);
        arrive(c, cs, to->offset, NULL);
    }
}

/* The code segment a call gate names; its RPL is the CPL there. */
static struct x86_seg gate_code(struct cpu *c, uint16_t sel, bool call)
{
    unsigned cpl = c->s.cpl, dpl;
    struct x86_seg cs = desc_segment(sel, desc_get(c, sel, EXC_GP, 0));

    dpl = seg_dpl(&cs);
    if (!seg_is_code(&cs) || dpl > cpl)
        x86_raise_selector(c, EXC_GP, sel, 0);
    if (in_long_mode(c) && (cs.attr & (SEG_L | SEG_DB)) != SEG_L)
        x86_raise_selector(c, EXC_GP, sel, 0);
    if (!call && !seg_conforming(&cs) && dpl != cpl)
        x86_raise_selector(c, EXC_GP, sel, 0);
    if (!seg_present(&cs))
        x86_raise_selector(c, EXC_NP, sel, 0);
    if (!seg_conforming(&cs))
        cpl = dpl;
    cs.sel = (uint16_t)((sel & ~SEL_RPL) | cpl);
    return cs;
}

/* The stack of an inner privilege, with what goes there before the return
   address: the old stack's pointer and the parameters. */
static struct stack gate_stack(struct cpu *c, unsigned dpl,
                               const struct gate *g, struct frame *f,
                               unsigned size)
{
    struct stack old = stack_current(c), k;
    struct x86_seg ss;
    uint64_t params[31];

    if (in_long_mode(c)) {
        ss = seg_null((uint16_t)dpl, dpl);
        k = stack_make(&ss, tss_rsp(c, dpl, 0, 0), true, 0);
    } else {
        k = tss_stack(c, dpl, 0);
    }
    frame_add(f, old.seg.sel);
    frame_add(f, old.sp);
    if (!in_long_mode(c)) {
        for (unsigned i = 0; i < g->params; i++)
            params[i] = stack_pop(c, &old, size);
        for (unsigned i = g->params; i-- > 0;)
            frame_add(f, params[i]);
    }
    return k;
}

static void go_gate(struct cpu *c, uint16_t sel, uint64_t raw, bool call)
{
    struct gate g = desc_gate(raw);
    bool narrow = !(g.attr & SYS_32);
    unsigned size = narrow ? 2 : in_long_mode(c) ? 8 : 4;
    struct frame f = {0};
    struct x86_seg cs;
    struct stack k;
    uint64_t sp;

    if (in_long_mode(c))
        g.offset |= desc_get_high(c, sel);
    else if (narrow)
        g.offset &= 0xffff;
    cs = gate_code(c, g.sel, call);
    if (!call) {
        seg_check_rip(c, &cs, g.offset, 0);
        arrive(c, &cs, g.offset, NULL);
    } else if (sel_rpl(cs.sel) == c->s.cpl) {
        k = stack_make(&c->s.seg[SS], c->s.gpr[RSP], is_code64(c, &cs), 0);
        call_to(c, &cs, g.offset, &k, &f, size);
    } else {
        k = gate_stack(c, sel_rpl(cs.sel), &g, &f, size);
        sp = k.sp;
        call_to(c, &cs, g.offset, &k, &f, size);
        c->s.seg[SS] = k.seg;
        c->s.gpr[RSP] = sp;
        stack_done(c, &k);
        x86_mode_changed(c);
    }
}

static void go_task(struct cpu *c, uint16_t tss, bool call)
{
    bool stepping = c->s.rflags & FLAG_TF;

    x86_task_switch(c, tss, call ? TASK_CALL : TASK_JMP, flags_get(c), 0);
    seg_check_rip(c, &c->s.seg[CS], c->s.rip, 0);
    x86_check_vip(c);
    if (stepping) /* a task switch ends a single step */
        x86_unwind(c, UNWIND_RESTART);
}

static void go_system(struct cpu *c, uint16_t sel, uint64_t raw, bool call)
{
    struct x86_seg d = desc_segment(sel, raw);
    bool wide = in_long_mode(c), gate;
    unsigned type = d.attr & (SEG_S | SEG_TYPE);

    gate = type == SYS_CALL32 ||
           (!wide && (type == SYS_CALL16 || type == SYS_TASK_GATE));
    if (!gate && (wide || !seg_is_tss(&d)))
        x86_raise_selector(c, EXC_GP, sel, 0);
    if (seg_dpl(&d) < c->s.cpl || seg_dpl(&d) < sel_rpl(sel))
        x86_raise_selector(c, EXC_GP, sel, 0);
    if (gate && !seg_present(&d))
        x86_raise_selector(c, EXC_NP, sel, 0);
    if (!gate)
        go_task(c, sel, call);
    else if (type == SYS_TASK_GATE)
        go_task(c, desc_gate(raw).sel, call);
    else
        go_gate(c, sel, raw, call);
}

static void go(struct cpu *c, const struct insn *i, bool call)
{
    struct far to = far_operand(c, i);
    struct x86_seg d;
    uint64_t raw;

    if (!in_protected(c)) {
        go_real(c, &to, call, i->osize);
        return;
    }
    raw = desc_get(c, to.sel, EXC_GP, 0);
    d = desc_segment(to.sel, raw);
    if (seg_is_code(&d))
        go_direct(c, &to, &d, call, i->osize);
    else
        go_system(c, to.sel, raw, call);
}

void op_jmp_far(struct cpu *c, const struct insn *i)
{
    go(c, i, false);
}

void op_call_far(struct cpu *c, const struct insn *i)
{
    go(c, i, true);
}

/* --- returns --- */

struct x86_seg return_code(struct cpu *c, uint16_t sel)
{
    struct x86_seg cs = desc_segment(sel, desc_get(c, sel, EXC_GP, 0));
    unsigned dpl = seg_dpl(&cs), rpl = sel_rpl(sel);

    if (!seg_is_code(&cs) || rpl < c->s.cpl)
        x86_raise_selector(c, EXC_GP, sel, 0);
    if (seg_conforming(&cs) ? dpl > rpl : dpl != rpl)
        x86_raise_selector(c, EXC_GP, sel, 0);
    code_check_long(c, &cs);
    if (!seg_present(&cs))
        x86_raise_selector(c, EXC_NP, sel, 0);
    return cs;
}

struct stack return_stack(struct cpu *c, const struct x86_seg *cs, uint16_t sel,
                          uint64_t sp)
{
    unsigned cpl = sel_rpl(cs->sel);
    struct x86_seg ss;

    if (!sel_null(sel)) {
        ss = seg_check_stack(c, sel, cpl, EXC_GP, 0);
    } else {
        if (!is_code64(c, cs) || cpl == 3 || sel_rpl(sel) != cpl)
            x86_raise_gp0(c);
        ss = seg_null(sel, cpl);
    }
    return stack_make(&ss, sp, is_code64(c, cs), 0);
}

/* Data segments that the outer privilege may not use are taken away. */
static void drop_inner_segments(struct cpu *c, unsigned cpl)
{
    static const uint8_t data[] = {ES, DS, FS, GS};

    for (unsigned n = 0; n < ARRAY_LEN(data); n++) {
        struct x86_seg *s = &c->s.seg[data[n]];

        if (s->attr & SEG_UNUSABLE) {
            s->sel = 0;
            continue;
        }
        if (seg_dpl(s) < cpl && !(seg_is_code(s) && seg_conforming(s)))
            *s = seg_null(0, 0);
    }
}

void return_outer(struct cpu *c, struct x86_seg *cs, uint64_t rip,
                  const struct stack *k)
{
    unsigned was = c->s.cpl;

    enter_code(c, cs, rip);
    c->s.seg[SS] = k->seg;
    stack_done(c, k);
    if (sel_rpl(cs->sel) > was)
        drop_inner_segments(c, sel_rpl(cs->sel));
}

static void ret_real(struct cpu *c, struct stack *k, unsigned size,
                     uint64_t release)
{
    uint64_t rip = stack_pop(c, k, size);
    struct x86_seg cs = seg_real(c, CS, (uint16_t)stack_pop(c, k, size));

    seg_check_rip(c, &cs, rip, 0);
    k->sp += release;
    c->s.seg[CS] = cs;
    c->s.rip = rip;
    stack_done(c, k);
    x86_mode_changed(c);
}

void op_ret_far(struct cpu *c, const struct insn *i)
{
    unsigned size = i->osize;
    uint64_t release = i->opnd[0].kind == OPND_IMM ? i->imm & 0xffff : 0;
    struct stack k = stack_current(c), outer;
    struct x86_seg cs;
    uint64_t rip, sp;
    uint16_t ss;

    if (!in_protected(c)) {
        ret_real(c, &k, size, release);
        return;
    }
    rip = stack_pop(c, &k, size);
    cs = return_code(c, (uint16_t)stack_pop(c, &k, size));
    k.sp += release;
    if (sel_rpl(cs.sel) == c->s.cpl) {
        seg_check_rip(c, &cs, rip, 0);
        arrive(c, &cs, rip, &k);
        return;
    }
    sp = stack_pop(c, &k, size);
    ss = (uint16_t)stack_pop(c, &k, size);
    outer = return_stack(c, &cs, ss, sp);
    seg_check_rip(c, &cs, rip, 0);
    outer.sp += release;
    return_outer(c, &cs, rip, &outer);
    x86_mode_changed(c);
}
