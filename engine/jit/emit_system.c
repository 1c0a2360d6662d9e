/*
 * Frequent instructions of kernels that touch little state: interrupt flag,
 * PUSHF, SWAPGS. 64-bit code; all others run their bodies.
 */
#include "engine/jit/translate.h"
#include "x86/ops/ops.h"

static bool emit_from_sreg(struct trans *t, const struct insn *i)
{
    const struct operand *o = &i->opnd[0];
    int h = host_of(o->reg);
    unsigned to = h >= 0 ? (unsigned)h : S0;

    if (o->kind != OPND_GPR || (o->size != 4 && o->size != 8))
        return false;
    e_rex(t->e, false, to, 0, H_SP); /* movzx to, word [sel] */
    e8(t->e, 0x0f);
    e8(t->e, 0xb7);
    e_modrm_disp(t->e, to, H_SP,
                 C_OFF(s.seg) + (int)sizeof(struct x86_seg) * i->opnd[1].reg +
                     (int)offsetof(struct x86_seg, sel));
    if (h < 0)
        emit_put(t, o->reg, S0);
    return true;
}

static bool is_kernel(const struct trans *t)
{
    return !(t->mode & MODE_CPL) && (t->mode & MODE_PE);
}

/* and (4) or or (1) dword [rsp + disp], imm32 */
static void change_mem32(struct trans *t, unsigned alu, int32_t disp,
                         uint32_t imm)
{
    e8(t->e, 0x81);
    e_modrm_disp(t->e, alu, H_SP, disp);
    e32(t->e, imm);
}

static bool emit_cli(struct trans *t, const struct insn *i)
{
    flags_yield(t, flags_needed(t, i));
    change_mem32(t, ALU_AND, C_OFF(s.rflags), ~(uint32_t)FLAG_IF);
    return true;
}

/*
 * While links are followed nothing is looked at before the instruction after
 * STI has run; where one is not linked yet, sti_rip tells the loop. But with
 * an interrupt waiting the loop runs the next instruction alone: it may be a
 * NOP before a CLI, and all the time that the guest gives.
 */
static bool emit_sti(struct trans *t, const struct insn *i)
{
    uint64_t next = next_rip(t, i);
    uint8_t *none, *some;

    flags_yield(t, flags_needed(t, i));
    change_mem32(t, ALU_OR, C_OFF(s.rflags), FLAG_IF);
    for (int half = 0; half < 2; half++) { /* mov dword [sti_rip], imm32 */
        e8(t->e, 0xc7);
        e_modrm_disp(t->e, 0, H_SP, J_OFF(sti_rip) + 4 * half);
        e32(t->e, (uint32_t)(next >> 32 * half));
    }
    e_cmp_mem32(t->e, H_SP, J_OFF(pending), 0);
    some = e_jcc_forward(t->e, 5);
    e_cmp_mem32(t->e, H_SP, J_OFF(poll), 0);
    none = e_jcc_forward(t->e, 4);
    e_bind(t->e, some);
    e8(t->e, 0xc6); /* mov byte [sti_shadow], 1 */
    e_modrm_disp(t->e, 0, H_SP, C_OFF(s.sti_shadow));
    e8(t->e, 1);
    e_mov_imm(t->e, S0, next);
    e_jmp(t->e, t->j->thunk.exit_s0);
    e_bind(t->e, none);
    emit_fallthrough(t, next);
    return true;
}

static bool emit_swapgs(struct trans *t, const struct insn *i)
{
    int32_t base = C_OFF(s.seg) + (int)sizeof(struct x86_seg) * GS +
                   (int)offsetof(struct x86_seg, base);

    (void)i;
    e_load(t->e, S0, H_SP, base);
    e_load(t->e, S1, H_SP, C_OFF(s.kernel_gs_base));
    e_store(t->e, H_SP, base, S1);
    e_store(t->e, H_SP, C_OFF(s.kernel_gs_base), S0);
    return true;
}

/* S0 = what PUSHF pushes; the status flags are in the slot. */
static void flags_image(struct trans *t)
{
    struct emit *e = t->e;

    e_load(e, S0, H_SP, C_OFF(s.rflags));
    e_alu_imm(e, false, ALU_AND, S0,
              ~(int32_t)(FLAGS_STATUS | FLAG_RF | FLAG_VM));
    e_rex(e, false, S1, 0, H_SP); /* movzx S1, byte [flags + 1] */
    e8(e, 0x0f);
    e_rm(e, false, 0xb6, S1 & 7, H_SP, J_OFF(flags) + 1);
    e_rr(e, false, 0x09, S1, S0);
    e_rex(e, false, S1, 0, H_SP); /* movzx S1, byte [flags]: OF */
    e8(e, 0x0f);
    e_rm(e, false, 0xb6, S1 & 7, H_SP, J_OFF(flags));
    e_rex(e, false, 0, 0, S1); /* shl S1, 11 */
    e8(e, 0xc1);
    e8(e, 0xe0 | (S1 & 7));
    e8(e, 11);
    e_rr(e, false, 0x09, S1, S0);
}

static bool emit_pushf(struct trans *t, const struct insn *i)
{
    struct access a = {.i = i,
                       .stack = true,
                       .reg = RSP,
                       .disp = -8,
                       .bytes = 8,
                       .write = true};
    struct place p;

    if (i->osize != 8)
        return false;
    if (t->in_eflags && !t->in_slot)
        flags_save(t);
    p = emit_access(t, &a, false);
    /* The place has S1 or, in a group, S2. */
    if (p.index == S1) {
        group_drop(t);
        e_mov(t->e, S2, S1);
        p.index = S2;
    }
    t->in_eflags = false;
    flags_image(t);
    e_rx(t->e, true, OP_MOV_STORE, S0, p.base, p.index, 0, p.disp);
    e_rm(t->e, true, OP_LEA_R, GUEST_RSP, GUEST_RSP, -8);
    group_moved(t, -8);
    return true;
}

bool emit_system(struct trans *t, const struct insn *i)
{
    op_fn body = insn_opcode(i)->body;

    if (!t->wide)
        return false;
    if (body == op_mov_from_sreg)
        return emit_from_sreg(t, i);
    if (body == op_pushf)
        return emit_pushf(t, i);
    if (!is_kernel(t))
        return false;
    if (body == op_cli)
        return emit_cli(t, i);
    if (body == op_sti)
        return emit_sti(t, i);
    return body == op_swapgs && emit_swapgs(t, i);
}
