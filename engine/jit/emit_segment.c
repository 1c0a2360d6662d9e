/*
 * Segment registers and far branches: on the stack everywhere; loaded in real
 * and virtual-8086 mode (is_real()), where the base is the selector times 16
 * and nothing else changes. All else is left to the bodies. SS is, too: its
 * loads are followed by a shadow.
 */
#include "engine/jit/translate.h"
#include "x86/ops/ops.h"

static int32_t slot_of(unsigned seg, size_t member)
{
    return C_OFF(s.seg) + (int32_t)(sizeof(struct x86_seg) * seg + member);
}

void load_selector(struct trans *t, unsigned to, unsigned seg)
{
    e_rex(t->e, false, to, 0, H_SP); /* movzx to, word [sel] */
    e8(t->e, 0x0f);
    e8(t->e, 0xb7);
    e_modrm_disp(t->e, to, H_SP, slot_of(seg, offsetof(struct x86_seg, sel)));
}

int32_t base_of_segment(unsigned seg)
{
    return slot_of(seg, offsetof(struct x86_seg, base));
}

/* The segment that a load is of. */
static unsigned loaded_segment(const struct insn *i)
{
    if (insn_opcode(i)->body != op_lxs)
        return i->opnd[0].reg;
    switch (i->code) {
    case 0xc4: return ES;
    case 0xc5: return DS;
    case 0xb2: return SS;
    case 0xb4: return FS;
    default: return GS;
    }
}

bool is_segment_load(const struct trans *t, const struct insn *i)
{
    op_fn body = insn_opcode(i)->body;
    unsigned seg;

    if (!is_real(t) ||
        (body != op_mov_to_sreg && body != op_pop_sreg && body != op_lxs))
        return false;
    seg = loaded_segment(i);
    return seg != CS && seg != SS && seg <= GS;
}

/* Those that MODE_64K says nothing of may have to become usable. */
static void need_usable(struct trans *t, const struct insn *i, unsigned seg)
{
    if (seg < FS)
        return;
    flags_yield(t, flags_needed(t, i));
    test_mem32(t, slot_of(seg, offsetof(struct x86_seg, attr)), SEG_UNUSABLE);
    emit_body_if(t, i, 5);
}

/* From the selector in a register, with zeros above it, which is clobbered. */
static void set_segment(struct trans *t, unsigned seg, unsigned from)
{
    e8(t->e, 0x66); /* mov [sel], from */
    e_rm(t->e, false, OP_MOV_STORE, from, H_SP,
         slot_of(seg, offsetof(struct x86_seg, sel)));
    e_rorx(t->e, from, from, 60);
    e_store(t->e, H_SP, base_of_segment(seg), from);
    group_drop(t);
}

bool emit_from_sreg(struct trans *t, const struct insn *i)
{
    const struct operand *o = &i->opnd[0];
    int h = host_of(o->reg);

    if (o->kind != OPND_GPR || o->size < 2 || i->opnd[1].reg > GS)
        return false;
    if (h >= 0 && o->size > 2) {
        load_selector(t, (unsigned)h, i->opnd[1].reg);
        return true;
    }
    if (h < 0 && o->size == 2)
        return false;
    load_selector(t, S0, i->opnd[1].reg);
    if (h < 0)
        emit_put(t, o->reg, S0);
    else
        e_mov_part(t->e, 2, (unsigned)h, S0);
    return true;
}

bool emit_to_sreg(struct trans *t, const struct insn *i)
{
    const struct operand *o = &i->opnd[1];
    unsigned seg = loaded_segment(i);

    if (!is_segment_load(t, i))
        return false;
    need_usable(t, i, seg);
    if (o->kind == OPND_MEM) {
        struct access a = {.i = i, .bytes = 2};
        struct place p = emit_access(t, &a, false);

        load_place(t, &p, S0, 2);
    } else {
        e_movzx16(t->e, S0, emit_get(t, o->reg, S0));
    }
    set_segment(t, seg, S0);
    return true;
}

bool emit_push_sreg(struct trans *t, const struct insn *i)
{
    struct access a;
    struct place p;
    int32_t moves;
    unsigned v;

    if (!stack_access(t, i, &a, &moves))
        return false;
    p = emit_access(t, &a, false);
    v = spare(t, &p);
    load_selector(t, v, i->opnd[0].reg);
    store_place(t, &p, v, 2);
    move_rsp(t, moves);
    return true;
}

bool emit_pop_sreg(struct trans *t, const struct insn *i)
{
    unsigned seg = loaded_segment(i);
    struct access a;
    struct place p;
    int32_t moves;

    if (!is_segment_load(t, i) || !stack_access(t, i, &a, &moves))
        return false;
    need_usable(t, i, seg);
    p = emit_access(t, &a, false);
    load_place(t, &p, S0, 2);
    set_segment(t, seg, S0);
    move_rsp(t, moves);
    return true;
}

bool emit_lxs(struct trans *t, const struct insn *i)
{
    unsigned n = i->osize, seg = loaded_segment(i), v;
    struct access a = {.i = i, .bytes = (uint8_t)(n + 2)};
    struct place p, sel;

    if (!is_segment_load(t, i))
        return false;
    need_usable(t, i, seg);
    sel = p = emit_access(t, &a, false);
    sel.disp += (int32_t)n;
    v = spare(t, &p);
    load_place(t, &sel, v, 2);
    set_segment(t, seg, v);
    move_place(t, OP_MOV_LOAD, &p, (unsigned)host_of(i->opnd[0].reg), n);
    return true;
}

/* --- far branches: 16-bit offsets, which no limit of 64 KB forbids --- */

/* To S0: the offset, and the selector above it. */
static void go_far(struct trans *t)
{
    e_mov(t->e, S1, S0);
    e_rex(t->e, false, 0, 0, S1); /* shr S1, 16 */
    e8(t->e, 0xc1);
    e8(t->e, 0xe8 | (S1 & 7));
    e8(t->e, 16);
    e_movzx16(t->e, S0, S0);
    set_segment(t, CS, S1);
    emit_dispatch(t, t->next_mode, NULL);
}

/* The target, likewise, in jit_cpu.target. */
static void find_far(struct trans *t, const struct insn *i)
{
    if (i->opnd[0].kind == OPND_FAR) {
        e_mov_imm(t->e, S0, (i->imm & 0xffff) | (i->imm >> 32 & 0xffff) << 16);
    } else {
        struct access a = {.i = i, .bytes = 4, .ends = true};
        struct place p = emit_access(t, &a, false);

        load_place(t, &p, S0, 4);
    }
    e_store(t->e, H_SP, J_OFF(target), S0);
}

bool emit_jmp_far(struct trans *t, const struct insn *i)
{
    if (i->osize != 2)
        return false;
    flags_yield(t, t->live[t->k]);
    find_far(t, i);
    go_far(t);
    return true;
}

bool emit_call_far(struct trans *t, const struct insn *i)
{
    struct access a = at_stack(t, i, RSP, -4, 4);
    struct place p;
    unsigned v;

    if (i->osize != 2)
        return false;
    flags_yield(t, t->live[t->k]);
    find_far(t, i);
    a.write = a.ends = true;
    p = emit_access(t, &a, false);
    v = spare(t, &p);
    load_selector(t, v, CS);
    e_rex(t->e, false, 0, 0, v); /* shl v, 16 */
    e8(t->e, 0xc1);
    e8(t->e, 0xe0 | (v & 7));
    e8(t->e, 16);
    e_alu_imm(t->e, false, ALU_OR, v, (int32_t)(next_rip(t, i) & 0xffff));
    store_place(t, &p, v, 4);
    move_rsp(t, -4);
    e_load(t->e, S0, H_SP, J_OFF(target));
    go_far(t);
    return true;
}

bool emit_ret_far(struct trans *t, const struct insn *i)
{
    unsigned extra = i->opnd[0].kind == OPND_IMM ? (uint16_t)i->imm : 0;
    struct access a = at_stack(t, i, RSP, 0, 4);
    struct place p;

    if (i->osize != 2)
        return false;
    flags_yield(t, t->live[t->k]);
    a.ends = true;
    p = emit_access(t, &a, false);
    load_place(t, &p, S0, 4);
    move_rsp(t, (int32_t)(4 + extra));
    go_far(t);
    return true;
}
