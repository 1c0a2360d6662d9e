/*
 * Frequent instructions of kernels that touch little state: interrupt flag,
 * PUSHF, SWAPGS. 64-bit code; all others run their bodies.
 */
#include "engine/jit/translate.h"
#include "x86/ops/ops.h"

void change_mem32(struct trans *t, unsigned alu, int32_t disp, uint32_t imm)
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
    e_cmp_mem32(t->e, H_SP, N_OFF(poll), 0);
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
    int32_t base = base_of_segment(GS);

    (void)i;
    e_load(t->e, S0, H_SP, base);
    e_load(t->e, S1, H_SP, C_OFF(s.kernel_gs_base));
    e_store(t->e, H_SP, base, S1);
    e_store(t->e, H_SP, C_OFF(s.kernel_gs_base), S0);
    return true;
}

void test_mem32(struct trans *t, int32_t disp, uint32_t imm)
{
    e8(t->e, 0xf7);
    e_modrm_disp(t->e, 0, H_SP, disp);
    e32(t->e, imm);
}

void emit_canonical(struct trans *t, unsigned scratch, unsigned a)
{
    struct emit *e = t->e;

    e_mov(e, scratch, a);
    for (unsigned op = 0xe0; op <= 0xf8; op += 0x18) { /* shl, sar 16 */
        e_rex(e, true, 0, 0, scratch);
        e8(e, 0xc1);
        e8(e, op | (scratch & 7));
        e8(e, 16);
    }
    e_rr(e, true, 0x39, a, scratch); /* cmp */
}

void flags_image(struct trans *t)
{
    struct emit *e = t->e;

    e_load(e, S0, H_SP, C_OFF(s.rflags));
    e_alu_imm(e, false, ALU_AND, S0,
              ~(int32_t)(FLAGS_STATUS | FLAG_RF | FLAG_VM));
    e_rex(e, false, S1, 0, H_SP); /* movzx S1, byte [flags + 1] */
    e8(e, 0x0f);
    e_rm(e, false, 0xb6, S1 & 7, H_SP, N_OFF(flags) + 1);
    e_rr(e, false, 0x09, S1, S0);
    e_rex(e, false, S1, 0, H_SP); /* movzx S1, byte [flags]: OF */
    e8(e, 0x0f);
    e_rm(e, false, 0xb6, S1 & 7, H_SP, N_OFF(flags));
    e_rex(e, false, 0, 0, S1); /* shl S1, 11 */
    e8(e, 0xc1);
    e8(e, 0xe0 | (S1 & 7));
    e8(e, 11);
    e_rr(e, false, 0x09, S1, S0);
}

static bool emit_pushf(struct trans *t, const struct insn *i)
{
    unsigned n = i->osize;
    struct access a = at_stack(t, i, RSP, -(int)n, n);
    struct place p;

    /* In virtual-8086 mode it depends on IOPL. */
    if ((t->wide ? n != 8 : n != 2 && n != 4) || (t->mode & MODE_VM86))
        return false;
    a.write = true;
    if (t->in_eflags && !t->in_slot)
        flags_save(t);
    p = emit_access(t, &a, false);
    t->in_eflags = false;
    /* flags_image() needs S0 and S1. */
    if (p.base == GUEST_RSP && p.index == S2) {
        flags_image(t);
        store_place(t, &p, S0, n);
    } else {
        group_drop_s2(t);
        e_rx(t->e, true, OP_LEA_R, S2, p.base, p.index, 0, p.disp);
        flags_image(t);
        if (n == 2)
            e8(t->e, 0x66);
        e_rm(t->e, n == 8, OP_MOV_STORE, S0, S2, 0);
    }
    move_rsp(t, -(int32_t)n);
    return true;
}

/* --- the direction flag, fences --- */

static bool emit_cld(struct trans *t, const struct insn *i)
{
    flags_yield(t, flags_needed(t, i));
    change_mem32(t, ALU_AND, C_OFF(s.rflags), ~(uint32_t)FLAG_DF);
    return true;
}

static bool emit_std(struct trans *t, const struct insn *i)
{
    flags_yield(t, flags_needed(t, i));
    change_mem32(t, ALU_OR, C_OFF(s.rflags), FLAG_DF);
    return true;
}

static void emit_0fae(struct trans *t, unsigned modrm)
{
    e8(t->e, 0x0f);
    e8(t->e, 0xae);
    e8(t->e, modrm);
}

static bool emit_lfence(struct trans *t, const struct insn *i)
{
    (void)i;
    emit_0fae(t, 0xe8);
    return true;
}

static bool emit_mfence(struct trans *t, const struct insn *i)
{
    (void)i;
    emit_0fae(t, 0xf0);
    return true;
}

static bool emit_sfence(struct trans *t, const struct insn *i)
{
    (void)i;
    emit_0fae(t, 0xf8);
    return true;
}

/* --- the TSC, where guest ticks are the host's but for an offset --- */

static bool plain_tsc(const struct trans *t)
{
    const struct cpu_model *m = t->cpu->ic.cpu.model;

    /* In lock step the time must be the same twice. */
    return !t->j->check && m->tsc_of_host && m->tsc_ratio == 1ull << 48;
}

/* The body runs instead when CR4.TSD forbids it. */
static void unless_forbidden(struct trans *t, const struct insn *i)
{
    if (is_kernel(t))
        return;
    test_mem32(t, C_OFF(s.cr4), CR4_TSD);
    emit_body_if(t, i, 5);
}

/* edx:eax = the sum of them and tsc_offset */
static void add_offset(struct emit *e)
{
    e_rex(e, true, 0, 0, H_DX); /* shl rdx, 32 */
    e8(e, 0xc1);
    e8(e, 0xe0 | H_DX);
    e8(e, 32);
    e_rr(e, true, 0x09, H_AX, H_DX);
    e_rm(e, true, 0x03, H_DX, H_SP, C_OFF(s.tsc_offset));
    e_rr(e, false, OP_MOV_STORE, H_DX, H_AX);
    e_rex(e, true, 0, 0, H_DX); /* shr rdx, 32 */
    e8(e, 0xc1);
    e8(e, 0xe8 | H_DX);
    e8(e, 32);
}

static bool emit_rdtsc(struct trans *t, const struct insn *i)
{
    if (!plain_tsc(t))
        return false;
    flags_yield(t, flags_needed(t, i));
    unless_forbidden(t, i);
    e8(t->e, 0x0f);
    e8(t->e, 0x31);
    add_offset(t->e);
    return true;
}

static bool emit_rdtscp(struct trans *t, const struct insn *i)
{
    if (!plain_tsc(t) || !feature_has(&t->j->host, FEAT_RDTSCP))
        return false;
    flags_yield(t, flags_needed(t, i));
    unless_forbidden(t, i);
    e8(t->e, 0x0f);
    e8(t->e, 0x01);
    e8(t->e, 0xf9);
    add_offset(t->e);
    e_rm(t->e, false, OP_MOV_LOAD, H_CX, H_SP, C_OFF(s.tsc_aux));
    return true;
}

/* --- segment bases --- */

static bool emit_read_base(struct trans *t, const struct insn *i, unsigned seg)
{
    const struct operand *o = &i->opnd[0];
    int h = host_of(o->reg);
    unsigned to = h >= 0 ? (unsigned)h : S0;

    flags_yield(t, flags_needed(t, i));
    test_mem32(t, C_OFF(s.cr4), CR4_FSGSBASE);
    emit_body_if(t, i, 4);
    e_rm(t->e, o->size == 8, OP_MOV_LOAD, to, H_SP, base_of_segment(seg));
    if (h < 0)
        emit_put(t, o->reg, S0);
    return true;
}

static bool emit_write_base(struct trans *t, const struct insn *i, unsigned seg)
{
    const struct operand *o = &i->opnd[0];
    struct emit *e = t->e;

    flags_yield(t, flags_needed(t, i));
    test_mem32(t, C_OFF(s.cr4), CR4_FSGSBASE);
    emit_body_if(t, i, 4);
    e_rr(e, o->size == 8, OP_MOV_STORE, emit_get(t, o->reg, S0), S0);
    if (o->size == 8) {
        emit_canonical(t, S1, S0);
        emit_body_if(t, i, 5);
    }
    e_store(e, H_SP, base_of_segment(seg), S0);
    return true;
}

static bool emit_rdfsbase(struct trans *t, const struct insn *i)
{
    return emit_read_base(t, i, FS);
}

static bool emit_rdgsbase(struct trans *t, const struct insn *i)
{
    return emit_read_base(t, i, GS);
}

static bool emit_wrfsbase(struct trans *t, const struct insn *i)
{
    return emit_write_base(t, i, FS);
}

static bool emit_wrgsbase(struct trans *t, const struct insn *i)
{
    return emit_write_base(t, i, GS);
}

enum where { ANYWHERE, IN_64, IN_KERNEL, IN_KERNEL_64, IN_REAL };

static const struct {
    op_fn body;
    bool (*emit)(struct trans *t, const struct insn *i);
    enum where where;
} system_table[] = {
    {op_mov_from_sreg, emit_from_sreg, ANYWHERE},
    {op_pushf, emit_pushf, ANYWHERE},
    {op_cld, emit_cld, ANYWHERE},
    {op_std, emit_std, ANYWHERE},
    {op_lfence, emit_lfence, ANYWHERE},
    {op_mfence, emit_mfence, ANYWHERE},
    {op_sfence, emit_sfence, ANYWHERE},
    {op_rdtsc, emit_rdtsc, ANYWHERE},
    {op_rdtscp, emit_rdtscp, ANYWHERE},
    {op_rdfsbase, emit_rdfsbase, IN_64},
    {op_rdgsbase, emit_rdgsbase, IN_64},
    {op_wrfsbase, emit_wrfsbase, IN_64},
    {op_wrgsbase, emit_wrgsbase, IN_64},
    {op_syscall, emit_syscall, IN_64},
    {op_mov_to_sreg, emit_to_sreg, IN_REAL},
    {op_push_sreg, emit_push_sreg, ANYWHERE},
    {op_pop_sreg, emit_pop_sreg, IN_REAL},
    {op_lxs, emit_lxs, IN_REAL},
    {op_jmp_far, emit_jmp_far, IN_REAL},
    {op_call_far, emit_call_far, IN_REAL},
    {op_ret_far, emit_ret_far, IN_REAL},
    {op_cli, emit_cli, IN_KERNEL},
    {op_sti, emit_sti, IN_KERNEL},
    {op_swapgs, emit_swapgs, IN_KERNEL_64},
    {op_stac, emit_stac, IN_KERNEL_64},
    {op_clac, emit_clac, IN_KERNEL_64},
    {op_sysret, emit_sysret, IN_KERNEL_64},
};

static bool is_there(const struct trans *t, enum where where)
{
    switch (where) {
    case ANYWHERE: return true;
    case IN_64: return t->wide;
    case IN_KERNEL: return is_kernel(t);
    case IN_KERNEL_64: return t->wide && is_kernel(t);
    case IN_REAL: return is_real(t);
    }
    return false;
}

bool emit_system(struct trans *t, const struct insn *i)
{
    op_fn body = insn_opcode(i)->body;

    for (unsigned n = 0; n < ARRAY_LEN(system_table); n++)
        if (system_table[n].body == body)
            return is_there(t, system_table[n].where) &&
                   system_table[n].emit(t, i);
    return false;
}
