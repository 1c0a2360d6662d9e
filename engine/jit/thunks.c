/* The code between C and translated code. */
#include "engine/jit/jit.h"
#include "base/libc.h"

static const uint8_t callee_saved[] = {H_BX, H_BP, H_12, H_13, H_14, H_15};

/* below: what has been pushed since rsp was &cpu. */
static void spill(struct emit *e, int32_t below)
{
    for (unsigned guest = 0; guest < 16; guest++)
        if (host_of(guest) >= 0)
            e_store(e, H_SP, C_OFF(s.gpr) + 8 * (int)guest + below,
                    (unsigned)host_of(guest));
}

static void reload(struct emit *e, int32_t below)
{
    for (unsigned guest = 0; guest < 16; guest++)
        if (host_of(guest) >= 0)
            e_load(e, (unsigned)host_of(guest), H_SP,
                   C_OFF(s.gpr) + 8 * (int)guest + below);
}

static void push(struct emit *e, unsigned reg)
{
    e_rex(e, false, 0, 0, reg);
    e8(e, 0x50 | (reg & 7));
}

static void pop(struct emit *e, unsigned reg)
{
    e_rex(e, false, 0, 0, reg);
    e8(e, 0x58 | (reg & 7));
}

static void cpu_to_rdi(struct emit *e, int32_t below)
{
    e_rm(e, true, OP_LEA_R, H_DI, H_SP, below - CPU_HOST_SP);
}

/* To the block at S1, as an indirect branch to s.rip would. */
static void jump_to_target(struct emit *e)
{
    e_load(e, S0, H_SP, C_OFF(s.rip));
    e_mov_imm(e, S2, 0);
    e_rex(e, false, 0, 0, S1); /* jmp S1 */
    e8(e, 0xff);
    e8(e, 0xe0 | (S1 & 7));
}

static void emit_enter(struct jit *j, struct emit *e)
{
    const uint8_t *start = emit_here(e);

    for (unsigned n = 0; n < ARRAY_LEN(callee_saved); n++)
        push(e, callee_saved[n]);
    e_alu_imm(e, true, ALU_ADD, H_DI, CPU_HOST_SP);
    e_store(e, H_DI, J_OFF(host_rsp), H_SP);
    e_mov(e, H_SP, H_DI);
    e_mov(e, S1, H_SI);
    reload(e, 0);
    jump_to_target(e);
    memcpy(&j->thunk.enter, &start, sizeof start);
}

static void emit_exits(struct jit *j, struct emit *e)
{
    j->thunk.exit_link = emit_here(e);
    e_store(e, H_SP, J_OFF(exit_link), S1);
    j->thunk.exit_s0 = emit_here(e);
    e_store(e, H_SP, C_OFF(s.rip), S0);
    j->thunk.exit = emit_here(e);
    spill(e, 0);
    e_load(e, H_SP, H_SP, J_OFF(host_rsp));
    for (unsigned n = ARRAY_LEN(callee_saved); n-- > 0;)
        pop(e, callee_saved[n]);
    e8(e, 0xc3);
}

/* EFLAGS from jit_near.flags; below as in spill(). Clobbers S1. */
static void load_flags(struct emit *e, int32_t below)
{
    e_mov(e, S1, H_AX);
    e8(e, 0x0f); /* movzx eax, word [flags] */
    e_rm(e, false, 0xb7, H_AX, H_SP, N_OFF(flags) + below);
    e8(e, 0x04); /* add al, 0x7f: OF from bit 0 */
    e8(e, 0x7f);
    e8(e, 0x9e); /* sahf */
    e_mov(e, H_AX, S1);
}

/*
 * Calls f(cpu, S1, S0) with all guest registers in the state; afterwards they
 * and EFLAGS are loaded again. JIT_DONE returns 5 bytes further on, past the
 * jump that retries; JIT_EXIT leaves.
 */
static const uint8_t *emit_helper(struct jit *j, struct emit *e, const void *f,
                                  bool memory)
{
    const uint8_t *start = emit_here(e);
    uint8_t *leave, *retry = NULL;

    spill(e, 8);
    cpu_to_rdi(e, 8);
    e_mov(e, H_SI, S1);
    if (memory)
        e_mov(e, H_DX, S0);
    e_alu_imm(e, true, ALU_SUB, H_SP, 8);
    e_call_abs(e, H_AX, f);
    e_alu_imm(e, true, ALU_ADD, H_SP, 8);
    e_alu_imm(e, false, ALU_CMP, H_AX, JIT_EXIT);
    leave = e_jcc_forward(e, 4);
    if (memory) {
        e_alu_imm(e, false, ALU_CMP, H_AX, JIT_RETRY);
        retry = e_jcc_forward(e, 4);
        e_rex(e, true, 0, 0, H_SP); /* add qword [rsp], 5 */
        e8(e, 0x83);
        e_modrm_disp(e, ALU_ADD, H_SP, 0);
        e8(e, 5);
    }
    reload(e, 8);
    load_flags(e, 8);
    e8(e, 0xc3);
    if (memory) {
        e_bind(e, retry);
        reload(e, 8);
        e8(e, 0xc3);
    }
    e_bind(e, leave);
    /* The exit spills again what the helper may have changed: load first. */
    e_alu_imm(e, true, ALU_ADD, H_SP, 8);
    reload(e, 0);
    e_jmp(e, j->thunk.exit);
    return start;
}

/*
 * Jumped to: calls f(cpu, S1) and goes where it says, or leaves. Blocks expect
 * live flags in their slot, so EFLAGS need not be loaded.
 */
static const uint8_t *emit_onward(struct jit *j, struct emit *e, const void *f)
{
    const uint8_t *start = emit_here(e);
    uint8_t *leave;

    spill(e, 0);
    cpu_to_rdi(e, 0);
    e_mov(e, H_SI, S1);
    e_call_abs(e, H_AX, f);
    e_mov(e, S1, H_AX);
    reload(e, 0);
    e_rr(e, true, 0x85, S1, S1); /* test */
    leave = e_jcc_forward(e, 4);
    jump_to_target(e);
    e_bind(e, leave);
    e_jmp(e, j->thunk.exit);
    return start;
}

/* Called with the page in S0, as a stub whose stack has left its page does. */
static const uint8_t *emit_stack(struct emit *e, unsigned mode, bool write)
{
    enum { CALLED = 8 };
    const uint8_t *start = emit_here(e);
    int32_t entry = C_OFF(tlbs[mode]) + CALLED, stack = C_OFF(stack) + CALLED;
    int32_t read_tag = entry + (int)offsetof(struct tlb_entry, read),
            write_tag = entry + (int)offsetof(struct tlb_entry, write);
    uint8_t *missed = NULL, *only_read;

    e_rorx(e, S2, S0, PAGE_SHIFT - 5);
    e_alu_imm(e, false, ALU_AND, S2, (int32_t)((TLB_SIZE - 1) << 5));
    e_alu_imm(e, true, ALU_AND, S0, -4096);
    if (!write) {
        e_rx(e, true, 0x3b, S0, H_SP, S2, 0, read_tag); /* cmp */
        missed = e_jcc_forward(e, 5);
    }
    e_rx(e, true, 0x3b, S0, H_SP, S2, 0, write_tag);
    only_read = e_jcc_forward(e, 5);
    e_rx(e, true, OP_MOV_LOAD, S2, H_SP, S2, 0,
         entry + (int)offsetof(struct tlb_entry, addend));
    e_store(e, H_SP, stack + (int)offsetof(struct stack_page, page), S0);
    e_store(e, H_SP, stack + (int)offsetof(struct stack_page, addend), S2);
    e8(e, 0xc3);
    e_bind(e, only_read);
    if (!write) { /* it will do, this once */
        e_rx(e, true, OP_MOV_LOAD, S2, H_SP, S2, 0,
             entry + (int)offsetof(struct tlb_entry, addend));
        e_rr(e, false, 0x39, S0, S0); /* equal */
        e_bind(e, missed);
    }
    e8(e, 0xc3);
    return start;
}

static void emit_missed(struct jit *j, struct emit *e)
{
    j->thunk.missed = emit_here(e);
    e_store(e, H_SP, C_OFF(s.rip), S0);
    e_rm(e, false, OP_MOV_STORE, S2, H_SP, J_OFF(missed_insn));
    emit_onward(j, e, (const void *)jit_missed);
}

/* --- vector and x87 registers --- */

enum vector_width { WIDTH_XMM, WIDTH_YMM, WIDTH_ZMM };

/* vmovups of zmm n (EVEX, host with AVX-512), ymm n or xmm n (VEX). */
static void move_vector(struct emit *e, enum vector_width width, bool store,
                        unsigned n, unsigned base, int32_t disp)
{
    if (width == WIDTH_ZMM) { /* EVEX.512.0F.W0 10/11, disp32 */
        e8(e, 0x62);
        e8(e, (n & 8 ? 0 : 0x80) | 0x40 | (base & 8 ? 0 : 0x20) |
                  (n & 16 ? 0 : 0x10) | 1);
        e8(e, 0x7c);
        e8(e, 0x48);
    } else {
        e8(e, 0xc4);
        e8(e, (n & 8 ? 0 : 0x80) | 0x40 | (base & 8 ? 0 : 0x20) | 1);
        e8(e, width == WIDTH_YMM ? 0x7c : 0x78);
    }
    e8(e, store ? 0x11 : 0x10);
    e8(e, 0x80 | (n & 7) << 3 | (base & 7)); /* [base + disp32] */
    e32(e, (uint32_t)disp);
}

/* kmovq k, [base + disp32] or back; base is rax to rdi but not rsp. */
static void move_mask(struct emit *e, bool store, unsigned n, unsigned base,
                      int32_t disp)
{
    e8(e, 0xc4);
    e8(e, 0xe1);
    e8(e, 0xf8);
    e8(e, store ? 0x91 : 0x90);
    e8(e, 0x80 | n << 3 | base);
    e32(e, (uint32_t)disp);
}

/* ldmxcsr (2), stmxcsr (3) [rdi + disp] */
static void move_mxcsr(struct emit *e, unsigned which, int32_t disp)
{
    e8(e, 0x0f);
    e8(e, 0xae);
    e_modrm_disp(e, which, H_DI, disp);
}

/* fxsave64 (0), fxrstor64 (1) [rdi + disp] */
static void move_x87(struct emit *e, unsigned which, int32_t disp)
{
    e_rex(e, true, 0, 0, H_DI);
    e8(e, 0x0f);
    e8(e, 0xae);
    e_modrm_disp(e, which, H_DI, disp);
}

/* test sil, which; jz */
static uint8_t *unless(struct emit *e, unsigned which)
{
    e8(e, 0x40);
    e8(e, 0xf6);
    e8(e, 0xc6);
    e8(e, which);
    return e_jcc_forward(e, 4);
}

static void move_vectors(struct emit *e, enum vector_width width, bool store,
                         unsigned first, unsigned end)
{
    for (unsigned n = first; n < end; n++)
        move_vector(e, width, store, n, H_DI, C_OFF(s.zmm) + 64 * (int)n);
}

/* What only AVX-512 has. */
static void move_extended(struct jit *j, struct emit *e, bool store)
{
    if (!j->avx512)
        return;
    move_vectors(e, WIDTH_ZMM, store, 16, 32);
    for (unsigned n = 0; n < 8; n++)
        move_mask(e, store, n, H_DI, C_OFF(s.k) + 8 * (int)n);
}

static void move_whole(struct jit *j, struct emit *e, bool store)
{
    move_vectors(e, j->avx512 ? WIDTH_ZMM : WIDTH_YMM, store, 0, 16);
    move_extended(j, e, store);
}

static void vzeroupper(struct emit *e)
{
    e8(e, 0xc5);
    e8(e, 0xf8);
    e8(e, 0x77);
}

/*
 * Where the upper parts of registers 0 to 15 are zero, the host's CPU must know
 * it: else each change between SSE and AVX instructions costs some 50 ns.
 */
static void load_vectors(struct jit *j, struct emit *e)
{
    uint8_t *whole = unless(e, FP_XMM_ONLY), *over;

    vzeroupper(e);
    move_vectors(e, WIDTH_XMM, false, 0, 16);
    move_extended(j, e, false);
    over = e_jmp_forward(e);
    e_bind(e, whole);
    move_whole(j, e, false);
    e_bind(e, over);
}

/*
 * void (struct cpu *c, unsigned which), of which C_OFF() is from rdi then. x87
 * goes first on the way in and out: FXSAVE and FXRSTOR move XMM registers too,
 * whose part of the image is not used.
 */
static void emit_fp_moves(struct jit *j, struct emit *e)
{
    const uint8_t *start = emit_here(e);
    uint8_t *skip;

    e_alu_imm(e, true, ALU_ADD, H_DI, CPU_HOST_SP);
    skip = unless(e, FP_X87);
    move_x87(e, 0, C_OFF(s.fxsave));
    e8(e, 0xdb); /* fninit */
    e8(e, 0xe3);
    e_bind(e, skip);
    skip = unless(e, FP_VECTOR);
    move_whole(j, e, true);
    move_mxcsr(e, 3, C_OFF(s.mxcsr));
    move_mxcsr(e, 2, J_OFF(host_mxcsr));
    vzeroupper(e);
    e_bind(e, skip);
    e8(e, 0xc3);
    memcpy(&j->thunk.fp_save, &start, sizeof start);

    start = emit_here(e);
    e_alu_imm(e, true, ALU_ADD, H_DI, CPU_HOST_SP);
    skip = unless(e, FP_X87);
    move_x87(e, 1, C_OFF(s.fxsave));
    e_bind(e, skip);
    skip = unless(e, FP_VECTOR);
    load_vectors(j, e);
    move_mxcsr(e, 2, C_OFF(s.mxcsr));
    e_bind(e, skip);
    e8(e, 0xc3);
    memcpy(&j->thunk.fp_load, &start, sizeof start);
}

/* Called where a block first needs registers that are not live. */
static void emit_fp_need(struct jit *j, struct emit *e)
{
    for (unsigned which = 1; which <= 3; which++) {
        uint8_t *leave;

        j->thunk.fp_need[which] = emit_here(e);
        spill(e, 8);
        cpu_to_rdi(e, 8);
        e_mov(e, H_SI, S1);
        e_mov_imm(e, H_DX, which);
        e_alu_imm(e, true, ALU_SUB, H_SP, 8);
        e_call_abs(e, H_AX, (const void *)jit_fp_need);
        e_alu_imm(e, true, ALU_ADD, H_SP, 8);
        e_alu_imm(e, false, ALU_CMP, H_AX, JIT_EXIT);
        leave = e_jcc_forward(e, 4);
        reload(e, 8);
        e8(e, 0xc3);
        e_bind(e, leave);
        e_alu_imm(e, true, ALU_ADD, H_SP, 8);
        reload(e, 0);
        e_jmp(e, j->thunk.exit);
    }
}

void jit_emit_thunks(struct jit *j)
{
    struct emit *e = &j->e;

    emit_enter(j, e);
    emit_exits(j, e);
    emit_fp_moves(j, e);
    emit_fp_need(j, e);
    for (unsigned mode = 0; mode < TLB_TABLES; mode++)
        for (int write = 0; write < 2; write++)
            j->thunk.stack[mode][write] = emit_stack(e, mode, write);
    j->thunk.slow = emit_helper(j, e, (const void *)jit_slow, true);
    j->thunk.body = emit_helper(j, e, (const void *)jit_body, false);
    emit_missed(j, e);
    j->thunk.body_end = emit_onward(j, e, (const void *)jit_body_end);
    j->thunk.resume = emit_onward(j, e, (const void *)jit_resume);
}
