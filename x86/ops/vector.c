/*
 * MMX, SSE, AVX and AVX-512 instructions: memory operand in, executed by the
 * host, memory operand out.
 */
#include "x86/ops/vector.h"

#include "x86/flags.h"
#include "x86/opspec.h"

/* --- floating-point exceptions (SDM volume 1, 11.5 and appendix E) --- */
enum {
    PRECOMPUTATION = 7, /* IE, DE, ZE: found before there is a result */
    FLAG_UE = 1 << 4,
    EVEX_B = 1 << 3, /* in insn.evex */
};

/* The destination, to put it back when an exception is raised. */
struct saved {
    uint8_t vec[64];
    uint64_t k[8];
};

static void save_destination(struct cpu *c, const struct insn *i,
                             struct saved *s)
{
    struct hostvec *v = c->hostvec;

    if (i->opnd[0].kind == OPND_VEC)
        memcpy(s->vec, c->s.zmm[i->opnd[0].reg], 64);
    memcpy(s->k, c->s.k, sizeof s->k);
    memcpy(v->fx, c->s.fxsave, FX_X87_SIZE);
}

static void restore_destination(struct cpu *c, const struct insn *i,
                                const struct saved *s)
{
    struct hostvec *v = c->hostvec;

    if (i->opnd[0].kind == OPND_VEC)
        memcpy(c->s.zmm[i->opnd[0].reg], s->vec, 64);
    memcpy(c->s.k, s->k, sizeof s->k);
    memcpy(c->s.fxsave, v->fx, FX_X87_SIZE);
}

/* Runs it with every exception masked; the flags it raises. */
static uint32_t run_masked(struct cpu *c, hostvec_stub *stub, void *mem,
                           uint32_t control)
{
    struct hostvec *v = c->hostvec;

    hostvec_set_mxcsr(control | MXCSR_MASKS);
    stub(&c->s, mem, &v->frame);
    return hostvec_mxcsr() & MXCSR_FLAGS;
}

/* Is the result FP16? The mnemonic's end says so: vaddph, vcvtps2phx. */
static bool makes_fp16(const struct opcode *row)
{
    size_t n = strlen(row->name);
    const char *end = row->name + n - (n > 3 && row->name[n - 1] == 'x');

    return n > 3 && end[-1] == 'h' && (end[-2] == 'p' || end[-2] == 's');
}

/* Is there a denormal among the results? */
static bool has_fp16_denormal(const struct cpu *c, const struct insn *i,
                              const uint8_t *mem)
{
    const struct opcode *row = insn_opcode(i);
    const struct operand *o = &i->opnd[0];
    const uint8_t *result = o->kind == OPND_VEC ? c->s.zmm[o->reg] : mem;
    uint64_t mask = vector_opmask(i) ? c->s.k[vector_opmask(i)] : ~0ull;

    for (unsigned k = 0; k < (row->l == L_LIG ? 1 : o->size / 2u); k++) {
        unsigned v = load_le16(result + 2 * k);

        if ((mask >> k & 1) && !(v & 0x7c00) && (v & 0x3ff))
            return true;
    }
    return false;
}

/*
 * Underflow, when unmasked, is raised by every tiny result, also an exact
 * one, of which the host says nothing with all masked. Flushing to zero makes
 * it tell; but FP16 is never flushed, so there one must look. Of FP16 only
 * what rounds can underflow: minima, maxima and parts of a number cannot.
 */
static bool is_fp16_arithmetic(const struct opcode *row)
{
    bool vcvtps2ph = row->map == MAP_0F3A && row->byte == 0x1d;
    bool vrndscale =
        row->map == MAP_0F3A && (row->byte == 0x08 || row->byte == 0x0a);

    return (row->evex & EV_ER || vcvtps2ph || vrndscale) && makes_fp16(row);
}

/*
 * Some exceptions are unmasked. What the host raises with all masked is what
 * this instruction raises, but for exact underflow, and this: with overflow
 * or underflow unmasked the precision flag tells of a result with unbounded
 * exponent.
 * SPEC: here it tells of the masked result.
 */
static COLD uint32_t execute_unmasked(struct cpu *c, const struct insn *i,
                                      hostvec_stub *stub, void *mem)
{
    uint32_t control = c->s.mxcsr & (MXCSR_RC | MXCSR_FTZ | MXCSR_DAZ);
    uint32_t unmasked = ~(c->s.mxcsr >> MXCSR_MASK_SHIFT) & MXCSR_FLAGS;
    uint32_t tiny = 0, raised;
    struct hostvec *v = c->hostvec;
    struct hostvec_frame frame = v->frame;
    struct saved saved;

    save_destination(c, i, &saved);
    if (unmasked & FLAG_UE) {
        tiny = run_masked(c, stub, mem, control | MXCSR_FTZ) & FLAG_UE;
        restore_destination(c, i, &saved);
        v->frame = frame;
    }
    if (tiny) /* nothing is flushed when underflow is unmasked */
        control &= ~(uint32_t)MXCSR_FTZ;
    raised = run_masked(c, stub, mem, control) | tiny;
    hostvec_set_mxcsr(MXCSR_INIT);
    if ((unmasked & FLAG_UE) && is_fp16_arithmetic(insn_opcode(i)) &&
        has_fp16_denormal(c, i, mem))
        raised |= FLAG_UE;
    if (!(raised & unmasked))
        return raised;
    restore_destination(c, i, &saved);
    if (raised & unmasked & PRECOMPUTATION)
        raised &= PRECOMPUTATION;
    c->s.mxcsr |= raised;
    x86_raise(c, c->s.cr4 & CR4_OSXMMEXCPT ? EXC_XM : EXC_UD);
}

/*
 * As if all exceptions were masked: with {sae} or a rounding in the
 * instruction, and complex multiplications of FP16 (SDM, VFMULCPH).
 */
static bool never_traps(const struct insn *i)
{
    bool sae = insn_encoding(i) == ENC_EVEX && (i->evex & EVEX_B) &&
               !(i->flags & INSN_MEM);

    return sae || (insn_opcode(i)->evex & EV_DISTINCT);
}

/*
 * All masked. The host's MXCSR is only loaded when the guest's control bits
 * are not the default, or when a flag is up that the guest's has not.
 */
static uint32_t execute_masked(struct cpu *c, hostvec_stub *stub, void *mem)
{
    uint32_t control = (c->s.mxcsr & ~(uint32_t)MXCSR_FLAGS) | MXCSR_MASKS;
    uint32_t host = hostvec_mxcsr(), raised;
    struct hostvec *v = c->hostvec;

    if ((host ^ control) & ~(c->s.mxcsr & MXCSR_FLAGS))
        hostvec_set_mxcsr(control);
    stub(&c->s, mem, &v->frame);
    raised = hostvec_mxcsr() & MXCSR_FLAGS;
    if (control != MXCSR_INIT)
        hostvec_set_mxcsr(MXCSR_INIT);
    return raised;
}

/* --- execution --- */
static bool compares_strings(const struct insn *i)
{
    const struct opcode *row = insn_opcode(i);

    return row->map == 3 && (i->code & ~3) == 0x60 && row->flags_written;
}

uint32_t vector_execute(struct cpu *c, const struct insn *i, void *mem)
{
    struct hostvec *v = c->hostvec;
    hostvec_stub *stub = hostvec_stub_of(c, i);

    if (unlikely(!stub))
        x86_raise(c, EXC_UD);
    for (unsigned k = 0; k < 3; k++)
        if (i->opnd[k].kind == OPND_GPR)
            v->frame.gpr[k] = gpr_read(c, i->opnd[k].reg, i->opnd[k].size);
    if (compares_strings(i)) {
        v->frame.rax = c->s.gpr[RAX];
        v->frame.rdx = c->s.gpr[RDX];
        v->frame.rcx = c->s.gpr[RCX];
    }
    if (!(insn_opcode(i)->props & OP_FPEXC)) {
        stub(&c->s, mem, &v->frame);
        return 0;
    }
    if (likely((c->s.mxcsr & MXCSR_MASKS) == MXCSR_MASKS) || never_traps(i))
        return execute_masked(c, stub, mem);
    return execute_unmasked(c, i, stub, mem);
}

void vector_commit(struct cpu *c, const struct insn *i, uint32_t raised)
{
    const struct opcode *row = insn_opcode(i);
    struct hostvec *v = c->hostvec;

    c->s.mxcsr |= raised;
    if (i->opnd[0].kind == OPND_GPR && (row->props & OP_WRITES0))
        gpr_write(c, i->opnd[0].reg, i->opnd[0].size, v->frame.gpr[0]);
    if (!row->flags_written)
        return;
    flags_set_status(c, v->frame.rflags & FLAGS_STATUS);
    if (compares_strings(i))
        c->s.gpr[RCX] = v->frame.rcx;
}

/* --- memory operands --- */
/* VCVTPH2PS and VCVTPS2PH are exempt even for eight bytes, as measured. */
bool vector_ac_exempt(const struct insn *i)
{
    const struct opcode *row = insn_opcode(i);

    return row->pp == PP_66 && ((row->map == MAP_0F38 && row->byte == 0x13) ||
                                (row->map == MAP_0F3A && row->byte == 0x1d));
}

/* What the TLB lets through needs no check. */
static void check_alignment(struct cpu *c, const struct insn *i, gva_t a,
                            unsigned n)
{
    if (unlikely(c->tlb_mode == TLB_USER_AC) && !vector_ac_exempt(i))
        mem_check_alignment(c, a, n);
}

static bool must_align(const struct insn *i)
{
    return insn_opcode(i)->props & OP_ALIGN;
}

/*
 * Where the host can access the operand in place: RAM in the TLB, and aligned
 * if the instruction is particular about it. NULL: by copy.
 */
static ALWAYS_INLINE void *in_place(struct cpu *c, const struct insn *i,
                                    gva_t a, unsigned n, bool write)
{
    struct tlb_entry *e = tlb_at(c, a);
    uintptr_t host = (uintptr_t)(a + e->addend);

    if ((write ? e->write : e->read) != ((a + n - 1) & PAGE_MASK) ||
        tlb_crosses(a, n) || (must_align(i) && (host & (n - 1))))
        return NULL;
    return (void *)host;
}

static gva_t operand_address(struct cpu *c, const struct insn *i, unsigned n,
                             bool write)
{
    gva_t a = op_address(c, i, n, write);

    if (must_align(i) && (a & (n - 1)))
        x86_raise_gp0(c);
    return a;
}

static void load_and_execute(struct cpu *c, const struct insn *i, unsigned n)
{
    struct hostvec *v = c->hostvec;
    gva_t a = operand_address(c, i, n, false);
    void *mem = in_place(c, i, a, n, false);

    if (!mem) {
        mem = v->mem;
        check_alignment(c, i, a, n);
        mem_read_bytes(c, a, mem, n);
    }
    vector_commit(c, i, vector_execute(c, i, mem));
}

static void execute_and_store(struct cpu *c, const struct insn *i, unsigned n)
{
    struct hostvec *v = c->hostvec;
    gva_t a = operand_address(c, i, n, true);
    void *mem = NULL;
    uint32_t raised;

    if (!(insn_opcode(i)->props & OP_FPEXC))
        mem = in_place(c, i, a, n, true);
    if (!mem)
        check_alignment(c, i, a, n);
    raised = vector_execute(c, i, mem ? mem : v->mem);
    c->s.mxcsr |= raised; /* as CPUs do, even if the write faults */
    if (!mem)
        mem_write_bytes(c, a, v->mem, n);
    vector_commit(c, i, raised);
}

void op_vector(struct cpu *c, const struct insn *i)
{
    unsigned n;

    if (unlikely(!c->hostvec))
        x86_raise(c, EXC_UD);
    if (!(i->flags & INSN_MEM)) {
        vector_commit(c, i, vector_execute(c, i, NULL));
        return;
    }
    if (vector_opmask(i)) {
        vector_under_mask(c, i);
        return;
    }
    n = i->opnd[vector_mem_operand(i)].size;
    if (vector_is_store(i))
        execute_and_store(c, i, n);
    else
        load_and_execute(c, i, n);
}

/* VZEROUPPER; VZEROALL with VEX.L. Registers 16 and up stay. */
void op_vzero(struct cpu *c, const struct insn *i)
{
    static const uint8_t zero[64];
    unsigned count = in_code64(c) ? 16 : 8;

    /* Copies of fixed size, which no string instruction is used for. */
    for (unsigned r = 0; r < count; r++) {
        if (i->vl == 32)
            memcpy(c->s.zmm[r], zero, 16);
        memcpy(c->s.zmm[r] + 16, zero, 48);
    }
}

/* --- MMX: the x87 registers by their physical number --- */
void mmx_enter(uint8_t *fx)
{
    fx[FX_FTW] = 0xff;
    fpu_set_top(fx, 0);
}

static bool uses_mmx(const struct insn *i)
{
    return i->opnd[0].kind == OPND_MMX || i->opnd[1].kind == OPND_MMX ||
           i->opnd[2].kind == OPND_MMX;
}

void op_mmx(struct cpu *c, const struct insn *i)
{
    struct hostvec *v = c->hostvec;
    uint8_t *fx = c->s.fxsave;
    bool mmx = uses_mmx(i), store = vector_is_store(i);
    unsigned n = 0;
    uint32_t raised;
    gva_t a = 0;

    if (unlikely(!v))
        x86_raise(c, EXC_UD);
    /* CVTPI2PS and CVTPI2PD with a memory operand leave the x87 alone. */
    if (mmx)
        fpu_check_pending(c);
    if (i->flags & INSN_MEM) {
        n = i->opnd[vector_mem_operand(i)].size;
        if (store && mmx) /* CPUs do, even if the write faults */
            fpu_set_top(fx, 0);
        a = operand_address(c, i, n, store);
        if (store)
            mem_probe(c, a, n, true);
        else {
            mem_check_alignment(c, a, n);
            mem_read_bytes(c, a, v->mem, n);
        }
    }
    if (mmx)
        mmx_enter(fx); /* also when #XM follows */
    raised = vector_execute(c, i, v->mem);
    if (store)
        mem_write_bytes(c, a, v->mem, n);
    vector_commit(c, i, raised);
    if (i->opnd[0].kind == OPND_MMX && (insn_opcode(i)->props & OP_WRITES0)) {
        uint8_t *reg = fx + FX_ST + 16 * i->opnd[0].reg;

        store_le64(reg + 8, 0xffff);
    }
}

void op_emms(struct cpu *c, const struct insn *i)
{
    uint8_t *fx = c->s.fxsave;

    (void)i;
    fpu_check_pending(c);
    mmx_enter(fx);
    fx[FX_FTW] = 0;
}
