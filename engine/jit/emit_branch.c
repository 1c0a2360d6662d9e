/* Branches and the stack; divisions. */
#include "engine/jit/translate.h"
#include "x86/ops/ops.h"
#include "x86/reencode.h"

/* --- leaving a block --- */

/* The rel32 that follows must not cross a cache line: it will be patched. */
void align_patch(struct emit *e, unsigned opcode_bytes)
{
    while (((uintptr_t)(e->p + opcode_bytes) & 63) > 60)
        e8(e, 0x90);
}

/* save: on the way out of line, flags go to their slot. */
static void link_saving(struct trans *t, uint64_t target, bool save)
{
    struct jit_link *l = trans_link(t);
    struct stub *s = trans_stub(t, save ? STUB_SAVE : STUB_LINK, t->e->p);

    l->patch = t->e->p - 4;
    l->target = target;
    l->mode = t->next_mode;
    l->same_page = is_on_page(t, target);
    s->link = l;
    s->target = target;
}

static void link_to(struct trans *t, uint64_t target)
{
    link_saving(t, target, false);
}

/* To the instruction at hand or before it: part of a loop. */
static bool is_backward(const struct trans *t, uint64_t target)
{
    return target <= as_rip(t, rip_of(t, &t->insn[t->k]));
}

static void emit_poll(struct trans *t, uint64_t target)
{
    struct stub *s;

    if (!is_backward(t, target))
        return;
    e_cmp_mem32(t->e, H_SP, N_OFF(poll), 0);
    s = trans_stub(t, STUB_LEAVE, e_jcc_forward(t->e, 5));
    s->target = target;
}

static void emit_jump(struct trans *t, uint64_t target)
{
    emit_poll(t, target);
    align_patch(t->e, 1);
    e_jmp_forward(t->e);
    link_to(t, target);
}

void emit_fallthrough(struct trans *t, uint64_t target)
{
    flags_yield(t, t->live[t->k]);
    emit_jump(t, target);
    t->ended = true;
}

/* pext to, from, [rsp + disp] (BMI2) */
static void emit_pext(struct emit *e, unsigned to, unsigned from, int32_t disp)
{
    e8(e, 0xc4);
    e8(e, (to & 8 ? 0 : 0x80) | 0x60 | 2);
    e8(e, 0x80 | (~from & 15) << 3 | 2);
    e8(e, 0xf5);
    e_modrm_disp(e, to, H_SP, disp);
}

void emit_dispatch(struct trans *t, uint32_t mode, const struct jit_insn *ji)
{
    struct emit *e = t->e;

    unsigned index = S0;

    e_mov_imm(e, S2, ji ? (size_t)((const uint8_t *)ji - t->j->meta) : 0);
    if (jit_is_odd(mode)) { /* by the linear address */
        e_load(e, S1, H_SP, base_of_segment(CS));
        e_rx(e, false, OP_LEA_R, S1, S1, S0, 0, 0);
        index = S1;
    }
    emit_pext(e, S1, index, J_OFF(target_mask));
    e_rex(e, false, 0, S1, H_SP); /* jmp [targets + S1 * 8] */
    e8(e, 0xff);
    e_modrm_sib(e, 4, H_SP, S1, 3, J_OFF(targets[jit_table(mode)]));
    t->ended = true;
}

static void emit_indirect(struct trans *t, const struct insn *i)
{
    emit_dispatch(t, t->next_mode, trans_insn(t, i));
}

/* --- the stack --- */

/* An operand size that pushes and pops have here, and no body is needed for. */
static bool is_stack_size(const struct trans *t, unsigned n)
{
    return t->wide ? n == 8 : n == 2 || n == 4;
}

struct access at_stack(const struct trans *t, const struct insn *i,
                       unsigned reg, int32_t disp, unsigned n)
{
    return (struct access){.i = i,
                           .implied = true,
                           .reg = (uint8_t)reg,
                           .seg = SS,
                           .asize = (uint8_t)t->stack,
                           .disp = disp,
                           .bytes = (uint8_t)n};
}

bool stack_access(const struct trans *t, const struct insn *i, struct access *a,
                  int32_t *moves)
{
    op_fn body = insn_opcode(i)->body;
    const struct operand *o = &i->opnd[0];
    unsigned n = i->osize;
    bool push = body == op_call || body == op_call_ind;
    bool sreg = body == op_push_sreg || body == op_pop_sreg;

    if (!is_stack_size(t, n))
        return false;
    if (sreg && (t->wide || (body == op_pop_sreg && !is_segment_load(t, i))))
        return false;
    if (body == op_push && (o->kind == OPND_GPR || o->kind == OPND_MEM ||
                            (o->kind == OPND_IMM && fits32((int64_t)i->imm))))
        push = true;
    else if (body == op_push_sreg)
        push = true;
    else if (!push && !(body == op_pop && o->kind == OPND_GPR) &&
             body != op_pop_sreg && body != op_ret)
        return false;
    /* The pointer moves, and then its low half is replaced. */
    if (body == op_pop && o->reg == RSP && n < t->stack)
        return false;
    *a = at_stack(t, i, RSP, push ? -(int)n : 0, n);
    a->write = push;
    if (body == op_push_sreg) /* with 32-bit operands, too */
        a->bytes = 2;
    *moves = push ? -(int)n : (int)n;
    return true;
}

/* A scratch register that p leaves. */
unsigned spare(struct trans *t, const struct place *p)
{
    uint8_t left[3];

    free_scratch(p, left);
    if (left[0] == S2)
        group_drop_s2(t);
    return left[0];
}

void move_place(struct trans *t, unsigned op, const struct place *p,
                unsigned reg, unsigned n)
{
    e_size(t->e, n);
    e_rx(t->e, n == 8, op, reg, p->base, p->index, 0, p->disp);
}

void load_place(struct trans *t, const struct place *p, unsigned to, unsigned n)
{
    if (n > 2) {
        move_place(t, OP_MOV_LOAD, p, to, n);
        return;
    }
    e_rex(t->e, false, to, p->index, p->base);
    e8(t->e, 0x0f);
    e8(t->e, 0xb7);
    e_modrm_sib(t->e, to, p->base, p->index, 0, p->disp);
}

void store_place(struct trans *t, const struct place *p, unsigned from,
                 unsigned n)
{
    move_place(t, OP_MOV_STORE, p, from, n);
}

/* mov [place], imm: of 2 or 4 bytes, or 4 sign-extended to 8 */
static void store_imm(struct trans *t, const struct place *p, uint64_t v,
                      unsigned n)
{
    e_size(t->e, n);
    e_rex(t->e, n == 8, 0, p->index, p->base);
    e8(t->e, 0xc7);
    e_modrm_sib(t->e, 0, p->base, p->index, 0, p->disp);
    if (n == 2) {
        e8(t->e, v & 0xff);
        e8(t->e, v >> 8 & 0xff);
    } else {
        e32(t->e, (uint32_t)v);
    }
}

static struct place stack_place(struct trans *t, const struct insn *i,
                                bool ends)
{
    struct access a;
    int32_t moves;

    stack_access(t, i, &a, &moves);
    a.ends = ends;
    return emit_access(t, &a, false);
}

/* rSP = reg + by, as wide as the stack is. Clobbers S1. */
static void set_rsp(struct trans *t, unsigned reg, int32_t by)
{
    unsigned to = t->stack == 2 ? S1 : GUEST_RSP;

    e_rm(t->e, t->wide, OP_LEA_R, to, reg, by);
    if (t->stack == 2)
        e_mov_part(t->e, 2, GUEST_RSP, S1);
}

void settle_rsp(struct trans *t)
{
    if (t->owed)
        set_rsp(t, GUEST_RSP, t->owed);
    t->owed = 0;
}

/* A push or pop that needs nothing but rsp, and cannot fault once checked. */
static bool is_plain(const struct insn *i)
{
    op_fn body = insn_opcode(i)->body;
    const struct operand *o = &i->opnd[0];

    if (body == op_push)
        return o->kind == OPND_IMM || (o->kind == OPND_GPR && o->reg != RSP);
    return body == op_pop && o->kind == OPND_GPR && o->reg != RSP;
}

/* May rsp move with the next instruction, which is one of a row? */
static bool moves_later(const struct trans *t)
{
    const struct insn *next = &t->insn[t->k + 1];
    op_fn body;
    struct access a;
    int32_t moves;

    if (!t->wide || is_last(t) || !is_plain(&t->insn[t->k]))
        return false;
    body = insn_opcode(next)->body;
    return (is_plain(next) || body == op_call || body == op_ret) &&
           !interp_raises(next->fn) && stack_access(t, next, &a, &moves) &&
           group_has(t, &a);
}

void move_rsp(struct trans *t, int32_t by)
{
    group_moved(t, RSP, by);
    t->owed += by;
    if (!moves_later(t))
        settle_rsp(t);
}

static bool emit_push(struct trans *t, const struct insn *i)
{
    const struct operand *o = &i->opnd[0];
    struct access a;
    struct place p;
    unsigned n = i->osize;
    int32_t moves;

    if (!stack_access(t, i, &a, &moves))
        return false;
    if (o->kind == OPND_MEM) {
        struct access from = {.i = i, .bytes = (uint8_t)n};

        p = emit_access(t, &from, false);
        load_place(t, &p, S0, n);
        e_store(t->e, H_SP, J_OFF(target), S0);
    }
    p = emit_access(t, &a, false);
    if (o->kind == OPND_MEM) {
        unsigned v = spare(t, &p);

        e_load(t->e, v, H_SP, J_OFF(target));
        store_place(t, &p, v, n);
    } else if (o->kind == OPND_IMM) {
        store_imm(t, &p, i->imm, n);
    } else {
        store_place(t, &p, emit_get(t, o->reg, S0), n);
    }
    move_rsp(t, moves);
    /* When the load missed, its body has done all: no group began. */
    if (o->kind == OPND_MEM)
        group_drop(t);
    return true;
}

static bool emit_pop(struct trans *t, const struct insn *i)
{
    const struct operand *o = &i->opnd[0];
    struct access a;
    struct place p;
    int32_t moves;
    int h = host_of(o->reg);

    if (!stack_access(t, i, &a, &moves))
        return false;
    p = emit_access(t, &a, false);
    move_place(t, OP_MOV_LOAD, &p, h >= 0 ? (unsigned)h : S0, i->osize);
    if (h < 0)
        emit_put(t, o->reg, S0);
    if (o->reg == RSP)
        group_drop(t);
    else
        move_rsp(t, moves);
    return true;
}

static bool emit_leave(struct trans *t, const struct insn *i)
{
    unsigned n = i->osize;
    struct access a = at_stack(t, i, RBP, 0, n);
    struct place p;

    if (!is_stack_size(t, n))
        return false;
    p = emit_access(t, &a, false);
    load_place(t, &p, S0, n);
    set_rsp(t, H_BP, (int32_t)n);
    e_mov_part(t->e, n, H_BP, S0);
    group_drop(t);
    return true;
}

/* Pushes the return address. */
static void push_next(struct trans *t, const struct insn *i)
{
    struct place p = stack_place(t, i, true);

    if (!t->wide) {
        store_imm(t, &p, next_rip(t, i), i->osize);
    } else {
        e_mov_imm(t->e, S0, next_rip(t, i));
        store_place(t, &p, S0, 8);
    }
    move_rsp(t, -(int32_t)i->osize);
}

/* --- branches --- */

/* Where a direct branch goes; false: it faults. */
static bool find_target(const struct trans *t, const struct insn *i,
                        uint64_t *target)
{
    uint64_t a = branch_target(t, i, next_rip(t, i));

    *target = a;
    return t->wide ? (uint64_t)sign_extend(a, 48) == a : a <= code_limit(t);
}

/* Of an indirect branch to S0; when it faults nothing has changed. */
static void check_limit(struct trans *t, const struct insn *i)
{
    uint32_t most = i->osize == 2 ? 0xffff : 0xffffffff;

    if (t->wide || code_limit(t) >= most)
        return;
    e_rex(t->e, false, 0, 0, S0); /* cmp S0, imm32 */
    e8(t->e, 0x81);
    e8(t->e, 0xc0 | ALU_CMP << 3 | (S0 & 7));
    e32(t->e, code_limit(t));
    trans_stub(t, STUB_BODY_END, e_jcc_forward(t->e, 7))->insn =
        trans_insn(t, i);
}

/* To target on that condition of EFLAGS, else on. */
static void branch_if(struct trans *t, unsigned cc, uint64_t target)
{
    bool save = t->live_taken[t->k] && !t->in_slot;
    uint8_t *skip;

    if (is_turn(t, t->k)) { /* it leaves when it is not taken */
        align_patch(t->e, 2);
        e_jcc_forward(t->e, cc ^ 1);
        link_saving(t, next_rip(t, &t->insn[t->k]), save);
        return;
    }
    if (is_backward(t, target)) {
        skip = e_jcc_forward(t->e, cc ^ 1);
        if (save)
            flags_save(t);
        emit_jump(t, target);
        e_bind(t->e, skip);
        t->in_slot &= !save;
    } else {
        align_patch(t->e, 2);
        e_jcc_forward(t->e, cc);
        link_saving(t, target, save);
    }
    if (!is_last(t))
        return;
    if (t->live_end && !t->in_slot)
        flags_save(t);
    align_patch(t->e, 1);
    e_jmp_forward(t->e);
    link_to(t, next_rip(t, &t->insn[t->k]));
    t->ended = true;
}

static bool emit_jcc(struct trans *t, const struct insn *i)
{
    uint64_t target;

    if (!find_target(t, i, &target))
        return false;
    if (!t->in_eflags)
        flags_restore(t);
    branch_if(t, insn_cc(i), target);
    return true;
}

/* EFLAGS by the counter, rCX + by, in S0. */
static void test_counter(struct trans *t, const struct insn *i, int32_t by)
{
    unsigned n = i->asize;

    flags_yield(t, t->live[t->k]);
    e_rm(t->e, n == 8, OP_LEA_R, S0, H_CX, by);
    e_size(t->e, n);
    e_rr(t->e, n == 8, 0x85, S0, S0); /* test */
}

static bool emit_jcxz(struct trans *t, const struct insn *i)
{
    uint64_t target;

    if (!find_target(t, i, &target))
        return false;
    test_counter(t, i, 0);
    branch_if(t, 4, target);
    return true;
}

static bool emit_loop(struct trans *t, const struct insn *i)
{
    uint64_t target;

    if (!find_target(t, i, &target))
        return false;
    test_counter(t, i, -1);
    e_mov_part(t->e, i->asize, H_CX, S0);
    branch_if(t, 5, target);
    return true;
}

static bool emit_jmp(struct trans *t, const struct insn *i)
{
    uint64_t target;

    if (!find_target(t, i, &target))
        return false;
    if (is_last(t)) {
        emit_fallthrough(t, target);
    } else if (is_backward(t, target)) { /* what is there follows */
        flags_yield(t, t->live[t->k]);
        emit_poll(t, target);
    }
    return true;
}

static bool emit_call(struct trans *t, const struct insn *i)
{
    uint64_t target;

    if (!find_target(t, i, &target) || !is_stack_size(t, i->osize))
        return false;
    push_next(t, i);
    flags_yield(t, t->live[t->k]);
    emit_jump(t, target);
    t->ended = true;
    return true;
}

/* S0 = the target operand. */
static void load_target(struct trans *t, const struct insn *i)
{
    const struct operand *o = &i->opnd[0];
    struct access a = {.i = i, .bytes = o->size, .ends = true};
    struct place p;

    flags_yield(t, t->live[t->k]);
    if (o->kind == OPND_GPR) {
        unsigned from = emit_get(t, o->reg, S0);

        if (o->size == 2)
            e_movzx16(t->e, S0, from);
        else
            e_mov_part(t->e, o->size, S0, from);
    } else {
        p = emit_access(t, &a, false);
        load_place(t, &p, S0, o->size);
    }
    check_limit(t, i);
}

static bool emit_jmp_ind(struct trans *t, const struct insn *i)
{
    if (!is_stack_size(t, i->opnd[0].size))
        return false;
    load_target(t, i);
    emit_indirect(t, i);
    return true;
}

static bool emit_call_ind(struct trans *t, const struct insn *i)
{
    if (!is_stack_size(t, i->opnd[0].size))
        return false;
    load_target(t, i);
    e_store(t->e, H_SP, J_OFF(target), S0);
    push_next(t, i);
    flags_yield(t, t->live[t->k]);
    e_load(t->e, S0, H_SP, J_OFF(target));
    emit_indirect(t, i);
    return true;
}

static bool emit_ret(struct trans *t, const struct insn *i)
{
    unsigned extra = i->opnd[0].kind == OPND_IMM ? (uint16_t)i->imm : 0;
    struct place p;

    if (!is_stack_size(t, i->osize))
        return false;
    flags_yield(t, t->live[t->k]);
    p = stack_place(t, i, true);
    load_place(t, &p, S0, i->osize);
    check_limit(t, i);
    move_rsp(t, (int32_t)(i->osize + extra));
    emit_indirect(t, i);
    return true;
}

/* --- division: natively where it cannot overflow --- */

static void unless_body(struct trans *t, const struct jit_insn *ji, unsigned cc)
{
    struct stub *s = trans_stub(t, STUB_BODY, e_jcc_forward(t->e, cc));

    s->insn = ji;
}

static bool emit_division(struct trans *t, const struct insn *i, bool is_signed)
{
    struct emit *e = t->e;
    const struct operand *o = NULL;
    const struct jit_insn *ji;
    bool w;

    for (unsigned k = 0; k < 4; k++)
        if (i->opnd[k].kind == OPND_MEM ||
            (i->opnd[k].kind == OPND_GPR && i->opnd[k].reg != RAX &&
             i->opnd[k].reg != RDX))
            o = &i->opnd[k];
    if (!o || o->size < 2)
        return false;
    w = o->size == 8;
    if (o->kind == OPND_MEM) {
        struct access a = {.i = i, .bytes = o->size};
        struct place p = emit_access(t, &a, false);

        load_place(t, &p, S0, o->size);
    } else {
        e_rr(e, w, OP_MOV_LOAD, S0, emit_get(t, o->reg, S0));
    }
    flags_yield(t, flags_needed(t, i));
    ji = trans_insn(t, i);
    if (is_signed) {
        /* Not by 0 or -1, and a dividend that is a sign-extended rAX. */
        e_rm(e, w, OP_LEA_R, S1, S0, 1);
        e_size(e, o->size);
        e_alu_imm(e, w, ALU_CMP, S1, 1);
        unless_body(t, ji, 6);
        e_rr(e, w, OP_MOV_LOAD, S1, H_AX);
        e_size(e, o->size);
        e_rex(e, w, 0, 0, S1); /* sar S1, 15, 31 or 63 */
        e8(e, 0xc1);
        e8(e, 0xf8 | (S1 & 7));
        e8(e, 8u * o->size - 1);
        e_size(e, o->size);
        e_rr(e, w, 0x3b, S1, H_DX);
        unless_body(t, ji, 5);
    } else {
        e_size(e, o->size);
        e_rr(e, w, 0x3b, H_DX, S0); /* cmp rdx, divisor */
        unless_body(t, ji, 3);
    }
    e_size(e, o->size);
    e_rex(e, w, 0, 0, S0);
    e8(e, 0xf7);
    e8(e, (is_signed ? 0xf8 : 0xf0) | (S0 & 7));
    for (unsigned n = 0; n < t->nstubs; n++)
        if (t->stub[n].kind == STUB_BODY && t->stub[n].insn == ji)
            t->stub[n].back = e->p;
    t->in_eflags = true;
    t->in_slot = false;
    return true;
}

/* --- LEA, and what does nothing --- */

static bool emit_lea(struct trans *t, const struct insn *i)
{
    const struct operand *o = &i->opnd[0];
    struct access a = {.i = i};
    int h = host_of(o->reg);

    if (h < 0 && o->size == 2)
        return false;
    if (h >= 0 && o->size == 8) {
        emit_offset(t, &a, 0, (unsigned)h);
        return true;
    }
    emit_offset(t, &a, 0, S0);
    if (h >= 0)
        e_mov_part(t->e, o->size, (unsigned)h, S0);
    else {
        if (o->size == 4)
            e_rr(t->e, false, OP_MOV_STORE, S0, S0);
        emit_put(t, o->reg, S0);
    }
    return true;
}

static bool emit_div(struct trans *t, const struct insn *i)
{
    return emit_division(t, i, false);
}

static bool emit_idiv(struct trans *t, const struct insn *i)
{
    return emit_division(t, i, true);
}

static bool emit_nop(struct trans *t, const struct insn *i)
{
    (void)t;
    (void)i;
    return true;
}

/* Alone, nobody can be waited for. */
static bool emit_pause(struct trans *t, const struct insn *i)
{
    (void)i;
    return vm_ncpus(t->j->vm) == 1;
}

bool is_conditional(const struct insn *i)
{
    op_fn body = insn_opcode(i)->body;

    return body == op_jcc || body == op_loop || body == op_jcxz;
}

static const struct {
    op_fn body;
    bool (*emit)(struct trans *t, const struct insn *i);
} special[] = {
    {op_jcc, emit_jcc},           {op_jmp, emit_jmp},
    {op_call, emit_call},         {op_jmp_ind, emit_jmp_ind},
    {op_call_ind, emit_call_ind}, {op_ret, emit_ret},
    {op_push, emit_push},         {op_pop, emit_pop},
    {op_leave, emit_leave},       {op_div, emit_div},
    {op_idiv, emit_idiv},         {op_lea, emit_lea},
    {op_nop, emit_nop},           {op_pause, emit_pause},
    {op_movs, emit_movs},         {op_stos, emit_stos},
    {op_bt, emit_bit_string},     {op_bts, emit_bit_string},
    {op_btr, emit_bit_string},    {op_btc, emit_bit_string},
    {op_jcxz, emit_jcxz},         {op_loop, emit_loop},
    {op_lods, emit_lods},         {op_scas, emit_scas},
    {op_cmps, emit_cmps},
};

bool emit_special(struct trans *t, const struct insn *i)
{
    op_fn body = insn_opcode(i)->body;

    for (unsigned n = 0; n < ARRAY_LEN(special); n++)
        if (special[n].body == body)
            return special[n].emit(t, i);
    return false;
}
