/*
 * The code of one stub:
 *
 *   mov r9, rdx                  the frame, out of PCMPxSTRx's way
 *   load the vector, opmask and MMX registers named, or the x87 state
 *   mov temporaries, [frame]     general registers
 *   the instruction              memory operand: [rsi]
 *   mov [frame], temporary
 *   store the registers written
 *   vzeroupper and emms, or the x87 state put back
 *   ret
 *
 * Registers keep their numbers. A legacy vector instruction touches 128 bits
 * and leaves the rest, so they are loaded and stored as 128 bits; a VEX or
 * EVEX one zeroes the rest of its destination, which is stored whole.
 */
#include "x86/hostvec.h"

#include "x86/fpu.h"
#include "x86/opspec.h"
#include "x86/reencode.h"

#ifdef __x86_64__

struct emit {
    const struct hostvec *v;
    const struct insn *i;
    const struct opcode *row;
    uint8_t *p;
};

/* Temporaries for operands 0–3. */
static const uint8_t temporary[4] = {RAX, RCX, R8, R10};

static void put(struct emit *e, unsigned n, const uint8_t *bytes)
{
    memcpy(e->p, bytes, n);
    e->p += n;
}
#define PUT(e, ...)                                                            \
    put(e, sizeof((uint8_t[]){__VA_ARGS__}), (const uint8_t[]){__VA_ARGS__})

/* ModRM of [base + disp32]; base is rdi or r9. */
static void put_at(struct emit *e, unsigned reg, unsigned base, size_t disp)
{
    PUT(e, (uint8_t)(0x80 | (reg & 7) << 3 | (base & 7)), (uint8_t)disp,
        (uint8_t)(disp >> 8), (uint8_t)(disp >> 16), (uint8_t)(disp >> 24));
}

/* --- general registers and flags --- */
enum { MOV_LOAD = 0x8b, MOV_STORE = 0x89 };

static void put_mov(struct emit *e, uint8_t opcode, unsigned reg,
                    size_t in_frame)
{
    PUT(e, (uint8_t)(0x49 | (reg >> 3) << 2), opcode); /* REX.W, REX.B */
    put_at(e, reg, R9, in_frame);
}

static size_t gpr_at(unsigned k)
{
    return offsetof(struct hostvec_frame, gpr) + 8 * k;
}

static bool is_pcmpstr(const struct emit *e)
{
    return e->row->map == MAP_0F3A && e->i->code >= 0x60 &&
           e->i->code <= 0x63 && insn_encoding(e->i) != ENC_EVEX;
}

static void put_gpr_in(struct emit *e)
{
    for (unsigned k = 0; k < 4; k++)
        if (e->i->opnd[k].kind == OPND_GPR)
            put_mov(e, MOV_LOAD, temporary[k], gpr_at(k));
    if (is_pcmpstr(e)) {
        put_mov(e, MOV_LOAD, RAX, offsetof(struct hostvec_frame, rax));
        put_mov(e, MOV_LOAD, RDX, offsetof(struct hostvec_frame, rdx));
        put_mov(e, MOV_LOAD, RCX, offsetof(struct hostvec_frame, rcx));
    }
    if (e->row->flags_read) {
        /* Only FCMOVcc: CF, ZF, PF. */
        put_mov(e, MOV_LOAD, RAX, offsetof(struct hostvec_frame, rflags));
        PUT(e, 0x88, 0xc4, 0x9e); /* mov ah, al; sahf */
    }
}

static void put_gpr_out(struct emit *e)
{
    if (e->row->flags_written) {
        PUT(e, 0x9c); /* pushfq; pop [frame.rflags] */
        PUT(e, 0x41, 0x8f);
        put_at(e, 0, R9, offsetof(struct hostvec_frame, rflags));
    }
    if ((e->row->props & OP_WRITES0) && e->i->opnd[0].kind == OPND_GPR)
        put_mov(e, MOV_STORE, temporary[0], gpr_at(0));
    if (is_pcmpstr(e))
        put_mov(e, MOV_STORE, RCX, offsetof(struct hostvec_frame, rcx));
}

/* --- vector, opmask and MMX registers: between host and [rdi] --- */
enum { MOVUPS_LOAD = 0x10, MOVUPS_STORE = 0x11 };

static void put_movups_evex(struct emit *e, uint8_t opcode, unsigned reg,
                            unsigned bytes)
{
    unsigned l = bytes == 64 ? 2 : bytes == 32;

    if (!e->v->avx512vl)
        l = 2;
    PUT(e, 0x62,
        (uint8_t)(0x61 | !(reg & 8) << 7 | !(reg & 16) << 4), /* X, B: 1 */
        0x7c, (uint8_t)(0x08 | l << 5), opcode);
    put_at(e, reg, RDI, offsetof(struct x86_state, zmm) + 64 * reg);
}

static void put_movups(struct emit *e, uint8_t opcode, unsigned reg,
                       unsigned bytes)
{
    if (insn_encoding(e->i) == ENC_LEGACY) {
        if (reg & 8)
            PUT(e, 0x44);
        PUT(e, 0x0f, opcode);
    } else if (reg < 16 && bytes <= 32) {
        PUT(e, 0xc5, (uint8_t)(!(reg & 8) << 7 | 0x78 | (bytes == 32) << 2),
            opcode);
    } else {
        put_movups_evex(e, opcode, reg, bytes);
        return;
    }
    put_at(e, reg, RDI, offsetof(struct x86_state, zmm) + 64 * reg);
}

/* KMOVQ, or KMOVW where the opmasks have 16 bits. */
enum { KMOV_LOAD = 0x90, KMOV_STORE = 0x91 };

static void put_kmov(struct emit *e, uint8_t opcode, unsigned reg)
{
    if (e->v->avx512bw)
        PUT(e, 0xc4, 0xe1, 0xf8, opcode);
    else
        PUT(e, 0xc5, 0xf8, opcode);
    put_at(e, reg, RDI, offsetof(struct x86_state, k) + 8 * reg);
}

enum { MOVQ_LOAD = 0x6f, MOVQ_STORE = 0x7f };

static void put_movq_mmx(struct emit *e, uint8_t opcode, unsigned reg)
{
    PUT(e, 0x0f, opcode);
    put_at(e, reg, RDI, offsetof(struct x86_state, fxsave) + FX_ST + 16 * reg);
}

/* How much of its sources the instruction may look at. */
static unsigned source_bytes(const struct emit *e)
{
    unsigned n = MAX(e->i->vl, 16);

    for (unsigned k = 0; k < 4; k++)
        if (e->i->opnd[k].kind == OPND_VEC)
            n = MAX(n, e->i->opnd[k].size);
    return n;
}

/* VP2INTERSECT writes two opmasks: its operand's pair. */
static bool writes_pair(const struct emit *e)
{
    return e->row->feature == FEAT_AVX512VP2I ||
           e->row->feature2 == FEAT_AVX512VP2I;
}

static void put_loads(struct emit *e)
{
    unsigned bytes = source_bytes(e);

    for (unsigned k = 0; k < 4; k++) {
        const struct operand *o = &e->i->opnd[k];

        if (o->kind == OPND_VEC)
            put_movups(e, MOVUPS_LOAD, o->reg, bytes);
        else if (o->kind == OPND_K)
            put_kmov(e, KMOV_LOAD, o->reg);
        else if (o->kind == OPND_MMX)
            put_movq_mmx(e, MOVQ_LOAD, o->reg);
    }
    if (insn_encoding(e->i) == ENC_EVEX && (e->i->evex & 7))
        put_kmov(e, KMOV_LOAD, e->i->evex & 7);
}

static void put_store(struct emit *e, const struct operand *o)
{
    if (o->kind == OPND_VEC)
        put_movups(e, MOVUPS_STORE, o->reg, e->v->avx512 ? 64 : 32);
    else if (o->kind == OPND_MMX)
        put_movq_mmx(e, MOVQ_STORE, o->reg);
    else if (o->kind == OPND_K && writes_pair(e)) {
        put_kmov(e, KMOV_STORE, o->reg & 6);
        put_kmov(e, KMOV_STORE, o->reg | 1);
    } else if (o->kind == OPND_K)
        put_kmov(e, KMOV_STORE, o->reg);
}

static void put_stores(struct emit *e)
{
    if (e->row->props & OP_WRITES0)
        put_store(e, &e->i->opnd[0]);
    if (e->row->props & OP_WRITES1)
        put_store(e, &e->i->opnd[1]);
    /* PCMPESTRM and PCMPISTRM */
    if (is_pcmpstr(e) && !(e->i->code & 1))
        put_movups(e, MOVUPS_STORE, 0, e->v->avx512 ? 64 : 32);
}

/* --- the whole --- */
static bool put_insn(struct emit *e)
{
    struct reencode how = {.base = RSI, .index = REG_NONE};
    unsigned n;

    memcpy(how.gpr, temporary, sizeof how.gpr);
    n = x86_reencode(e->p, e->i, &how);
    e->p += n;
    return n;
}

/*
 * FNINIT is slow, and only needed when an unmasked exception is left pending;
 * else emptying the registers and FLDCW will do.
 */
static bool put_x87(struct emit *e)
{
    PUT(e, 0x48, 0x0f, 0xae, 0x0f); /* fxrstor64 [rdi] */
    put_gpr_in(e);
    if (!put_insn(e))
        return false;
    put_gpr_out(e);
    PUT(e, 0x48, 0x0f, 0xae, 0x07);    /* fxsave64 [rdi] */
    PUT(e, 0xf6, 0x47, FX_FSW, FSW_ES, /* test byte [rdi + FSW], ES */
        0x75, 9);                      /* jnz to fninit */
    PUT(e, 0x0f, 0x77);                /* emms */
    PUT(e, 0xd9, 0x2d, 4, 0, 0, 0);    /* fldcw, of the word below */
    PUT(e, 0xc3);
    PUT(e, 0xdb, 0xe3); /* fninit */
    PUT(e, 0xc3);
    PUT(e, FCW_INIT & 0xff, FCW_INIT >> 8);
    return true;
}

static bool put_vector(struct emit *e)
{
    bool mmx = false;

    for (unsigned k = 0; k < 4; k++)
        mmx |= e->i->opnd[k].kind == OPND_MMX;
    put_loads(e);
    put_gpr_in(e);
    if (!put_insn(e))
        return false;
    put_gpr_out(e);
    put_stores(e);
    if (mmx)
        PUT(e, 0x0f, 0x77); /* emms */
    if (insn_encoding(e->i) != ENC_LEGACY)
        PUT(e, 0xc5, 0xf8, 0x77); /* vzeroupper */
    PUT(e, 0xc3);
    return true;
}

unsigned hostvec_emit(const struct hostvec *v, uint8_t *p, const struct insn *i)
{
    struct emit e = {v, i, insn_opcode(i), p};

    /* A vector index would have the host access memory of its own. */
    if ((i->flags & INSN_VSIB) || i->imm_len > 1)
        return 0;
    if (insn_encoding(i) != ENC_LEGACY && !v->avx)
        return 0;
    if (insn_encoding(i) == ENC_EVEX && !v->avx512)
        return 0;
    PUT(&e, 0x49, 0x89, 0xd1); /* mov r9, rdx */
    if (!(e.row->props & OP_X87 ? put_x87(&e) : put_vector(&e)))
        return 0;
    return (unsigned)(e.p - p);
}

#else

unsigned hostvec_emit(const struct hostvec *v, uint8_t *p, const struct insn *i)
{
    (void)v;
    (void)p;
    (void)i;
    return 0;
}

#endif
