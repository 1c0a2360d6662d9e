/*
 * Instructions that change the privilege or the TLB mode, without leaving
 * translated code: SYSCALL, SYSRET, STAC, CLAC. 64-bit code. What does not
 * hold here (odd flags, MSRs that have changed since) is left to the body.
 */
#include "engine/jit/translate.h"
#include "x86/ops/ops.h"
#include "x86/system.h"

/* --- the state --- */

static void set_mem8(struct trans *t, int32_t disp, unsigned v)
{
    e8(t->e, 0xc6);
    e_modrm_disp(t->e, 0, H_SP, disp);
    e8(t->e, v);
}

static void set_mem32(struct trans *t, int32_t disp, uint32_t v)
{
    e8(t->e, 0xc7);
    e_modrm_disp(t->e, 0, H_SP, disp);
    e32(t->e, v);
}

/* As tlb_forget_stack(). */
static void forget_stack(struct trans *t)
{
    e_mov_imm(t->e, S2, STACK_NONE);
    e_store(t->e, H_SP, C_OFF(stack.page), S2);
    e_mov_imm(t->e, S2, -STACK_NONE);
    e_rx(t->e, true, OP_LEA_R, S2, H_SP, S2, 0, C_OFF(nowhere));
    e_store(t->e, H_SP, C_OFF(stack.addend), S2);
}

static void set_tlb_mode(struct trans *t, enum tlb_mode mode)
{
    forget_stack(t);
    set_mem8(t, C_OFF(tlb_mode), mode);
    e_rm(t->e, true, OP_LEA_R, S2, H_SP,
         C_OFF(tlbs) + (int)(mode * sizeof(struct tlb_entry) * TLB_SIZE));
    e_store(t->e, H_SP, C_OFF(tlb), S2);
}

static void set_segment(struct trans *t, unsigned n, unsigned sel,
                        uint32_t attr)
{
    int32_t at = C_OFF(s.seg) + (int)(n * sizeof(struct x86_seg));

    e_rex(t->e, true, 0, 0, 0); /* mov qword [base], 0 */
    set_mem32(t, at + (int)offsetof(struct x86_seg, base), 0);
    set_mem32(t, at + (int)offsetof(struct x86_seg, limit), 0xffffffff);
    set_mem32(t, at + (int)offsetof(struct x86_seg, attr), attr);
    e8(t->e, 0x66); /* mov word [sel], imm16 */
    e8(t->e, 0xc7);
    e_modrm_disp(t->e, 0, H_SP, at + (int)offsetof(struct x86_seg, sel));
    e8(t->e, sel & 0xff);
    e8(t->e, sel >> 8);
}

/* CS and SS as SYSCALL and SYSRET make them, and what follows from CPL. */
static void enter_privilege(struct trans *t, unsigned code, unsigned data,
                            unsigned cpl, uint32_t mode)
{
    enum {
        COMMON = SEG_P | SEG_S | SEG_G | SEG_ACCESSED,
        CODE_TYPE = COMMON | SEG_CODE | SEG_READ | SEG_L,
        DATA_TYPE = COMMON | SEG_WRITE | SEG_DB,
    };

    set_segment(t, CS, (code & ~(unsigned)SEL_RPL) | cpl,
                CODE_TYPE | cpl << SEG_DPL_SHIFT);
    set_segment(t, SS, (data & ~(unsigned)SEL_RPL) | cpl,
                DATA_TYPE | cpl << SEG_DPL_SHIFT);
    set_mem8(t, C_OFF(s.cpl), cpl);
    set_mem32(t, C_OFF(mode_key), mode & 0xffffff);
    set_tlb_mode(t, (enum tlb_mode)(mode >> 24 & 3));
}

/* The mode that this one becomes. */
static uint32_t mode_at(const struct trans *t, unsigned cpl, enum tlb_mode tlb)
{
    return (t->next_mode & 0xffffff & ~(uint32_t)MODE_CPL) |
           cpl << MODE_CPL_SHIFT | (uint32_t)tlb << 24;
}

/* RFLAGS, and the status flags' slot, from S1; clobbers S2. */
static void set_flags(struct trans *t)
{
    struct emit *e = t->e;

    e_alu_imm(e, true, ALU_OR, S1, FLAG_1);
    e_store(e, H_SP, C_OFF(s.rflags), S1);
    /* SETO's byte */
    e_rr(e, false, OP_MOV_STORE, S1, S2);
    e_rex(e, false, 0, 0, S2); /* shr S2, 11 */
    e8(e, 0xc1);
    e8(e, 0xe8 | (S2 & 7));
    e8(e, 11);
    e_alu_imm(e, false, ALU_AND, S2, 1);
    e_rex(e, false, S2, 0, H_SP);
    e8(e, 0x88);
    e_modrm_disp(e, S2, H_SP, N_OFF(flags));
    /* LAHF's */
    e_rex(e, false, S1, 0, H_SP);
    e8(e, 0x88);
    e_modrm_disp(e, S1, H_SP, N_OFF(flags) + 1);
}

/* --- when it is left to the body --- */

static void body_if(struct trans *t, const struct jit_insn *ji, unsigned cc)
{
    trans_stub(t, STUB_BODY_END, e_jcc_forward(t->e, cc))->insn = ji;
}

static bool smap_now(const struct trans *t)
{
    return t->cpu->ic.cpu.s.cr4 & CR4_SMAP;
}

/* CR4.SMAP must be what it was when this was translated. */
static void need_smap(struct trans *t, const struct jit_insn *ji)
{
    test_mem32(t, C_OFF(s.cr4), CR4_SMAP);
    body_if(t, ji, smap_now(t) ? 4 : 5);
}

/* The targets of the mode that begins must be those that the vCPU has. */
static void need_table(struct trans *t, const struct jit_insn *ji,
                       uint32_t mode)
{
    e_cmp_mem32(t->e, H_SP, J_OFF(table_mode[jit_table(mode)]), (int32_t)mode);
    body_if(t, ji, 5);
}

/* STAR's selectors must be so, too, and EFER.SCE be set. */
static const struct jit_insn *begin(struct trans *t, const struct insn *i)
{
    const struct jit_insn *ji = trans_insn(t, i);
    uint32_t sel = (uint32_t)(t->cpu->ic.cpu.s.star >> 32);

    if (t->in_eflags && !t->in_slot)
        flags_save(t);
    t->in_eflags = false;
    e_cmp_mem32(t->e, H_SP, C_OFF(s.star) + 4, (int32_t)sel);
    body_if(t, ji, 5);
    test_mem32(t, C_OFF(s.efer), EFER_SCE);
    body_if(t, ji, 4);
    return ji;
}

/* --- SYSCALL, SYSRET --- */

bool emit_syscall(struct trans *t, const struct insn *i)
{
    const struct jit_insn *ji = begin(t, i);
    uint16_t sel = (uint16_t)(t->cpu->ic.cpu.s.star >> 32);
    bool smap = smap_now(t);
    uint32_t mode = mode_at(t, 0, smap ? TLB_KERNEL_SMAP : TLB_KERNEL);
    struct emit *e = t->e;

    need_smap(t, ji);
    need_table(t, ji, mode);
    flags_image(t);
    e_rm(e, false, OP_MOV_LOAD, S1, H_SP, C_OFF(s.fmask));
    e_rex(e, true, 0, 0, S1); /* not S1 */
    e8(e, 0xf7);
    e8(e, 0xd0 | (S1 & 7));
    e_rr(e, true, 0x21, S0, S1); /* and S1, S0 */
    if (smap) {
        e_rex(e, false, 0, 0, S1); /* test S1, AC */
        e8(e, 0xf7);
        e8(e, 0xc0 | (S1 & 7));
        e32(e, FLAG_AC);
        body_if(t, ji, 5);
    }
    e_mov_imm(e, H_CX, next_rip(t, i));
    emit_put(t, R11, S0);
    set_flags(t);
    enter_privilege(t, sel, (sel & ~(unsigned)SEL_RPL) + 8, 0, mode);
    e_load(e, S0, H_SP, C_OFF(s.lstar));
    emit_dispatch(t, mode, NULL);
    return true;
}

/* A waiting event that the new IF lets in must be seen at once. */
static void leave_for_pending(struct trans *t)
{
    e_cmp_mem32(t->e, H_SP, J_OFF(pending), 0);
    e_jcc(t->e, 5, t->j->thunk.exit_s0);
}

bool emit_sysret(struct trans *t, const struct insn *i)
{
    enum { LOADED = 0x3c7fd7 }; /* all but VM and RF */
    const struct jit_insn *ji;
    unsigned sel = (uint16_t)(t->cpu->ic.cpu.s.star >> 48);
    uint32_t mode = mode_at(t, 3, TLB_USER);
    struct emit *e = t->e;

    if (i->osize != 8)
        return false;
    ji = begin(t, i);
    need_table(t, ji, mode);
    emit_canonical(t, S0, H_CX);
    body_if(t, ji, 5);
    e_rr(e, false, OP_MOV_STORE, emit_get(t, R11, S1), S1);
    e_alu_imm(e, false, ALU_AND, S1, LOADED);
    e_rex(e, false, 0, 0, S1); /* test S1, TF | AC */
    e8(e, 0xf7);
    e8(e, 0xc0 | (S1 & 7));
    e32(e, FLAG_TF | FLAG_AC);
    body_if(t, ji, 5);
    set_flags(t);
    enter_privilege(t, (sel + 16) & 0xffff, (sel + 8) & 0xffff, 3, mode);
    leave_for_pending(t);
    emit_dispatch(t, mode, NULL);
    return true;
}

/* --- STAC, CLAC --- */

static bool emit_ac(struct trans *t, const struct insn *i, bool set,
                    enum tlb_mode to)
{
    const struct jit_insn *ji = trans_insn(t, i);
    uint32_t mode = mode_at(t, 0, to);

    if (t->in_eflags && !t->in_slot)
        flags_save(t); /* for the body */
    t->in_eflags = false;
    need_table(t, ji, mode);
    if (!set && (t->next_mode >> 24 & 3) == TLB_KERNEL)
        need_smap(t, ji);
    if (set)
        change_mem32(t, ALU_OR, C_OFF(s.rflags), FLAG_AC);
    else
        change_mem32(t, ALU_AND, C_OFF(s.rflags), ~(uint32_t)FLAG_AC);
    set_tlb_mode(t, to);
    t->next_mode = mode;
    emit_fallthrough(t, next_rip(t, i));
    return true;
}

bool emit_stac(struct trans *t, const struct insn *i)
{
    return emit_ac(t, i, true, TLB_KERNEL);
}

bool emit_clac(struct trans *t, const struct insn *i)
{
    return emit_ac(t, i, false, smap_now(t) ? TLB_KERNEL_SMAP : TLB_KERNEL);
}
