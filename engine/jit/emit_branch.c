/* Branches and the stack, 64-bit code; divisions. */
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
    l->same_page = !((target ^ t->rip) & PAGE_MASK);
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
    return target <= as_rip(t, t->rip + t->insn[t->k].pos);
}

static void emit_poll(struct trans *t, uint64_t target)
{
    struct stub *s;

    if (!is_backward(t, target))
        return;
    e_cmp_mem32(t->e, H_SP, J_OFF(poll), 0);
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

    e_mov_imm(e, S2, ji ? (size_t)((const uint8_t *)ji - t->j->meta) : 0);
    emit_pext(e, S1, S0, J_OFF(target_mask));
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

/* A memory operand that copies refuse too. */
static bool far_from_flat(const struct trans *t, const struct insn *i)
{
    return memory_operand(i) >= 0 &&
           (i->asize == 2 || (!t->wide && i->seg >= FS));
}

bool stack_access(const struct trans *t, const struct insn *i, struct access *a,
                  int32_t *moves)
{
    op_fn body = insn_opcode(i)->body;
    const struct operand *o = &i->opnd[0];
    unsigned n = stack_bytes(t);
    bool push = (body == op_call || body == op_call_ind) && i->osize == n;

    if (body == op_push && i->osize == n &&
        (o->kind == OPND_GPR ||
         (o->kind == OPND_IMM && fits32((int64_t)i->imm)) ||
         (o->kind == OPND_MEM && !far_from_flat(t, i))))
        push = true;
    else if (!push &&
             !(body == op_pop && o->kind == OPND_GPR && o->size == n) &&
             !(body == op_ret && i->osize == n))
        return false;
    *a = (struct access){.i = i,
                         .stack = true,
                         .reg = RSP,
                         .disp = push ? -(int)n : 0,
                         .bytes = (uint8_t)n,
                         .write = push};
    *moves = push ? -(int)n : (int)n;
    return true;
}

static void load_place(struct trans *t, const struct place *p, unsigned to)
{
    e_rx(t->e, t->wide, OP_MOV_LOAD, to, p->base, p->index, 0, p->disp);
}

static void store_place(struct trans *t, const struct place *p, unsigned from)
{
    e_rx(t->e, t->wide, OP_MOV_STORE, from, p->base, p->index, 0, p->disp);
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

static void move_rsp(struct trans *t, int32_t by)
{
    e_rm(t->e, t->wide, OP_LEA_R, GUEST_RSP, GUEST_RSP, by);
    group_moved(t, by);
}

static bool emit_push(struct trans *t, const struct insn *i)
{
    const struct operand *o = &i->opnd[0];
    struct access a;
    struct place p;
    int32_t moves;

    if (!stack_access(t, i, &a, &moves))
        return false;
    if (o->kind == OPND_MEM) {
        struct access from = {.i = i, .bytes = (uint8_t)stack_bytes(t)};

        p = emit_access(t, &from, false);
        load_place(t, &p, S0);
        e_store(t->e, H_SP, J_OFF(target), S0);
    }
    p = emit_access(t, &a, false);
    if (o->kind == OPND_MEM) {
        unsigned v = t->wide ? S0 : S2; /* what the place leaves free */

        e_load(t->e, v, H_SP, J_OFF(target));
        store_place(t, &p, v);
    } else if (o->kind == OPND_IMM) { /* mov [place], imm32 */
        e_rex(t->e, t->wide, 0, p.index, p.base);
        e8(t->e, 0xc7);
        e_modrm_sib(t->e, 0, p.base, p.index, 0, p.disp);
        e32(t->e, (uint32_t)i->imm);
    } else {
        store_place(t, &p, emit_get(t, o->reg, S0));
    }
    move_rsp(t, -(int32_t)stack_bytes(t));
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
    load_place(t, &p, h >= 0 ? (unsigned)h : S0);
    if (h < 0)
        emit_put(t, o->reg, S0);
    if (o->reg == RSP)
        group_drop(t);
    else
        move_rsp(t, (int32_t)stack_bytes(t));
    return true;
}

static bool emit_leave(struct trans *t, const struct insn *i)
{
    unsigned n = stack_bytes(t);
    struct access a = {.i = i, .stack = true, .reg = RBP, .bytes = (uint8_t)n};
    struct place p;

    if (i->osize != n)
        return false;
    p = emit_access(t, &a, false);
    load_place(t, &p, S0);
    e_rm(t->e, t->wide, OP_LEA_R, GUEST_RSP, H_BP, (int32_t)n);
    e_mov(t->e, H_BP, S0);
    group_drop(t);
    return true;
}

/* Pushes the return address. */
static void push_next(struct trans *t, const struct insn *i)
{
    struct place p = stack_place(t, i, true);

    if (!t->wide) { /* mov dword [place], imm32 */
        e_rex(t->e, false, 0, p.index, p.base);
        e8(t->e, 0xc7);
        e_modrm_sib(t->e, 0, p.base, p.index, 0, p.disp);
        e32(t->e, (uint32_t)next_rip(t, i));
    } else {
        e_mov_imm(t->e, S0, next_rip(t, i));
        store_place(t, &p, S0);
    }
    move_rsp(t, -(int32_t)stack_bytes(t));
}

/* --- branches --- */

static bool canonical(const struct trans *t, uint64_t a)
{
    return !t->wide || (uint64_t)sign_extend(a, 48) == a;
}

/* 16-bit operands would cut RIP. */
static bool plain_branch(const struct trans *t, const struct insn *i)
{
    return t->wide || i->osize == 4;
}

static bool emit_jcc(struct trans *t, const struct insn *i)
{
    uint64_t next = next_rip(t, i), target = as_rip(t, next + i->imm);
    uint8_t *skip;
    bool save;

    if (!canonical(t, target) || !plain_branch(t, i))
        return false;
    if (!t->in_eflags)
        flags_restore(t);
    save = t->live_taken[t->k] && !t->in_slot;
    if (is_backward(t, target)) {
        skip = e_jcc_forward(t->e, insn_cc(i) ^ 1);
        if (save)
            flags_save(t);
        emit_jump(t, target);
        e_bind(t->e, skip);
        t->in_slot &= !save;
    } else {
        align_patch(t->e, 2);
        e_jcc_forward(t->e, insn_cc(i));
        link_saving(t, target, save);
    }
    if (!is_last(t))
        return true;
    if (t->live_end && !t->in_slot)
        flags_save(t);
    align_patch(t->e, 1);
    e_jmp_forward(t->e);
    link_to(t, next);
    t->ended = true;
    return true;
}

static bool emit_jmp(struct trans *t, const struct insn *i)
{
    uint64_t target = as_rip(t, next_rip(t, i) + i->imm);

    if (!canonical(t, target) || !plain_branch(t, i))
        return false;
    emit_fallthrough(t, target);
    return true;
}

static bool emit_call(struct trans *t, const struct insn *i)
{
    uint64_t target = as_rip(t, next_rip(t, i) + i->imm);

    if (!canonical(t, target) || !plain_branch(t, i))
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
    struct access a = {.i = i, .bytes = (uint8_t)stack_bytes(t), .ends = true};
    struct place p;

    flags_yield(t, t->live[t->k]);
    if (o->kind == OPND_GPR) {
        e_rr(t->e, t->wide, OP_MOV_STORE, emit_get(t, o->reg, S0), S0);
        return;
    }
    p = emit_access(t, &a, false);
    load_place(t, &p, S0);
}

static bool emit_jmp_ind(struct trans *t, const struct insn *i)
{
    if (i->opnd[0].size != stack_bytes(t) || far_from_flat(t, i))
        return false;
    load_target(t, i);
    emit_indirect(t, i);
    return true;
}

static bool emit_call_ind(struct trans *t, const struct insn *i)
{
    if (i->opnd[0].size != stack_bytes(t) || far_from_flat(t, i))
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

    if (i->osize != stack_bytes(t))
        return false;
    p = stack_place(t, i, true);
    flags_yield(t, t->live[t->k]);
    load_place(t, &p, S0);
    move_rsp(t, (int32_t)(stack_bytes(t) + extra));
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
    if (!o || (o->size != 4 && o->size != 8) || far_from_flat(t, i))
        return false;
    w = o->size == 8;
    if (o->kind == OPND_MEM) {
        struct access a = {.i = i, .bytes = o->size};
        struct place p = emit_access(t, &a, false);

        e_rx(e, w, OP_MOV_LOAD, S0, p.base, p.index, 0, p.disp);
    } else {
        e_rr(e, w, OP_MOV_LOAD, S0, emit_get(t, o->reg, S0));
    }
    flags_yield(t, flags_needed(t, i));
    ji = trans_insn(t, i);
    if (is_signed) {
        /* Not by 0 or -1, and a dividend that is a sign-extended rAX. */
        e_rm(e, w, OP_LEA_R, S1, S0, 1);
        e_alu_imm(e, w, ALU_CMP, S1, 1);
        unless_body(t, ji, 6);
        e_rr(e, w, OP_MOV_LOAD, S1, H_AX);
        e_rex(e, w, 0, 0, S1); /* sar S1, 31 or 63 */
        e8(e, 0xc1);
        e8(e, 0xf8 | (S1 & 7));
        e8(e, w ? 63 : 31);
        e_rr(e, w, 0x3b, S1, H_DX);
        unless_body(t, ji, 5);
    } else {
        e_rr(e, w, 0x3b, H_DX, S0); /* cmp rdx, divisor */
        unless_body(t, ji, 3);
    }
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
    struct insn flat = *i;
    struct access a = {.i = &flat};
    int h = host_of(o->reg);

    if ((o->size != 4 && o->size != 8) || i->asize == 2)
        return false;
    flat.seg = DS;
    if (h >= 0 && o->size == 8) {
        emit_linear(t, &a, 0, (unsigned)h);
        return true;
    }
    emit_linear(t, &a, 0, S0);
    if (h >= 0)
        e_rr(t->e, false, OP_MOV_STORE, S0, (unsigned)h);
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
    {op_nop, emit_nop},           {op_movs, emit_movs},
    {op_stos, emit_stos},         {op_bt, emit_bit_string},
    {op_bts, emit_bit_string},    {op_btr, emit_bit_string},
    {op_btc, emit_bit_string},
};

bool emit_special(struct trans *t, const struct insn *i)
{
    op_fn body = insn_opcode(i)->body;

    for (unsigned n = 0; n < ARRAY_LEN(special); n++)
        if (special[n].body == body)
            return special[n].emit(t, i);
    return false;
}
