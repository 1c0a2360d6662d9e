/*
 * String instructions. MOVS and STOS with 64-bit addresses, repeated or not,
 * natively: where all of it lies in one page of RAM (each) that the TLB has,
 * forward. One element at any address by what it is made of, forward. All else
 * is left to the body, which also fills the TLB.
 */
#include "engine/jit/translate.h"
#include "x86/ops/ops.h"

/* S0 = the page of the last byte that reg points to, `repeated` times n. */
static void last_page(struct trans *t, unsigned reg, bool repeated, unsigned n)
{
    static const uint8_t shift[] = {0, 0, 1, 1, 2, 2, 2, 2, 3};
    struct emit *e = t->e;

    if (repeated)
        e_rx(e, true, OP_LEA_R, S0, reg, H_CX, shift[n], -1);
    else
        e_rm(e, true, OP_LEA_R, S0, reg, (int32_t)n - 1);
    e_alu_imm(e, true, ALU_AND, S0, -4096);
}

/*
 * index = offset of the TLB entry of reg's page; the body runs if it is not
 * the one in S0, too.
 */
static void probe(struct trans *t, const struct insn *i, unsigned reg,
                  unsigned index, size_t tag)
{
    struct emit *e = t->e;

    e_rorx(e, index, reg, PAGE_SHIFT - 5);
    e_alu_imm(e, false, ALU_AND, index, (int32_t)((TLB_SIZE - 1) << 5));
    e_rx(e, true, 0x3b, S0, H_SP, index, 0, tlb_offset(t) + (int)tag);
    emit_body_if(t, i, 5);
    /* A TLB of one entry has any page there. */
    if (TLB_SIZE > 1)
        return;
    e_mov(e, index, reg);
    e_alu_imm(e, true, ALU_AND, index, -4096);
    e_rr(e, true, 0x3b, S0, index);
    emit_body_if(t, i, 5);
    e_mov_imm(e, index, 0);
}

/* add (03) or sub (2b) reg, addend */
static void move_by_addend(struct trans *t, unsigned op, unsigned reg,
                           unsigned index)
{
    e_rx(t->e, true, op, reg, H_SP, index, 0,
         tlb_offset(t) + (int)offsetof(struct tlb_entry, addend));
}

static void native(struct trans *t, const struct insn *i, unsigned opcode)
{
    struct emit *e = t->e;

    if (i->flags & INSN_REP)
        e8(e, 0xf3);
    if (i->osize == 2)
        e8(e, 0x66);
    if (i->osize == 8)
        e8(e, 0x48);
    e8(e, i->osize == 1 ? opcode : opcode + 1);
}

/* Up to here nothing has changed. */
static bool begin(struct trans *t, const struct insn *i)
{
    bool repeated = i->flags & INSN_REP;
    struct emit *e = t->e;

    if (!t->wide || i->asize != 8 || (i->flags & INSN_REPNE) || i->seg >= FS)
        return false;
    group_drop(t);
    flags_yield(t, flags_needed(t, i));
    test_mem32(t, C_OFF(s.rflags), FLAG_DF);
    emit_body_if(t, i, 5);
    if (repeated) { /* neither 0 nor more than a page holds */
        e_rm(e, true, OP_LEA_R, S0, H_CX, -1);
        e_alu_imm(e, true, ALU_CMP, S0, PAGE_SIZE / i->osize - 1);
        emit_body_if(t, i, 7);
    }
    return true;
}

/* --- one element --- */

static struct access element(const struct insn *i, unsigned reg, unsigned seg)
{
    return (struct access){.i = i,
                           .implied = true,
                           .reg = (uint8_t)reg,
                           .seg = (uint8_t)seg,
                           .asize = i->asize,
                           .bytes = i->osize};
}

static struct place at_source(struct trans *t, const struct insn *i)
{
    struct access a = element(i, RSI, i->seg);

    return emit_access(t, &a, false);
}

static struct place at_destination(struct trans *t, const struct insn *i,
                                   bool write)
{
    struct access a = element(i, RDI, ES);

    a.write = write;
    return emit_access(t, &a, false);
}

/* Up to here nothing has changed. */
static bool begin_one(struct trans *t, const struct insn *i)
{
    if ((i->flags & (INSN_REP | INSN_REPNE)) ||
        (t->wide && (i->asize != 8 || i->seg >= FS)))
        return false;
    flags_yield(t, flags_needed(t, i));
    test_mem32(t, C_OFF(s.rflags), FLAG_DF);
    emit_body_if(t, i, 5);
    return true;
}

/* op reg, [place] or the other way; op + 1 is not for bytes. */
static void element_op(struct trans *t, const struct insn *i, unsigned op,
                       const struct place *p, unsigned reg)
{
    if (i->osize > 1) {
        move_place(t, op + 1, p, reg, i->osize);
        return;
    }
    e_rx(t->e, false, op, reg, p->base, p->index, 0, p->disp);
}

/* rSI or rDI is one element further; flags stay. */
static void advance(struct trans *t, const struct insn *i, unsigned reg)
{
    e_rm(t->e, i->asize == 8, OP_LEA_R, S0, reg, i->osize);
    e_mov_part(t->e, i->asize, reg, S0);
}

bool emit_lods(struct trans *t, const struct insn *i)
{
    struct place p;

    if (!begin_one(t, i))
        return false;
    p = at_source(t, i);
    element_op(t, i, 0x8a, &p, H_AX);
    advance(t, i, H_SI);
    return true;
}

static bool stos_one(struct trans *t, const struct insn *i)
{
    struct place p;

    if (!begin_one(t, i))
        return false;
    p = at_destination(t, i, true);
    element_op(t, i, 0x88, &p, H_AX);
    advance(t, i, H_DI);
    return true;
}

/* What is at p, out of the way of the other operand. */
static void put_aside(struct trans *t, const struct insn *i,
                      const struct place *p)
{
    element_op(t, i, 0x8a, p, S0);
    e_store(t->e, H_SP, J_OFF(target), S0);
}

/* It, in a register that p leaves. */
static unsigned take_back(struct trans *t, const struct place *p)
{
    unsigned v = spare(t, p);

    e_load(t->e, v, H_SP, J_OFF(target));
    return v;
}

static bool movs_one(struct trans *t, const struct insn *i)
{
    struct place p;
    unsigned v;

    if (!begin_one(t, i))
        return false;
    p = at_source(t, i);
    put_aside(t, i, &p);
    p = at_destination(t, i, true);
    v = take_back(t, &p);
    element_op(t, i, 0x88, &p, v);
    advance(t, i, H_SI);
    advance(t, i, H_DI);
    return true;
}

static void flags_are_new(struct trans *t)
{
    t->in_eflags = true;
    t->in_slot = false;
}

bool emit_scas(struct trans *t, const struct insn *i)
{
    struct place p;

    if (!begin_one(t, i))
        return false;
    p = at_destination(t, i, false);
    element_op(t, i, 0x3a, &p, H_AX); /* cmp */
    flags_are_new(t);
    advance(t, i, H_DI);
    return true;
}

bool emit_cmps(struct trans *t, const struct insn *i)
{
    struct place p;
    unsigned v;

    if (!begin_one(t, i))
        return false;
    p = at_destination(t, i, false); /* whose fault comes first */
    put_aside(t, i, &p);
    p = at_source(t, i);
    v = take_back(t, &p);
    element_op(t, i, 0x38, &p, v);
    flags_are_new(t);
    advance(t, i, H_SI);
    advance(t, i, H_DI);
    return true;
}

/* --- many, natively --- */

bool emit_stos(struct trans *t, const struct insn *i)
{
    if (!t->wide)
        return stos_one(t, i);
    if (!begin(t, i))
        return false;
    last_page(t, H_DI, i->flags & INSN_REP, i->osize);
    probe(t, i, H_DI, S1, offsetof(struct tlb_entry, write));
    move_by_addend(t, 0x03, H_DI, S1);
    native(t, i, 0xaa);
    move_by_addend(t, 0x2b, H_DI, S1);
    return true;
}

bool emit_movs(struct trans *t, const struct insn *i)
{
    bool repeated = i->flags & INSN_REP;

    if (!t->wide)
        return movs_one(t, i);
    if (TLB_SIZE == 1 || !begin(t, i))
        return false;
    last_page(t, H_DI, repeated, i->osize);
    probe(t, i, H_DI, S1, offsetof(struct tlb_entry, write));
    last_page(t, H_SI, repeated, i->osize);
    probe(t, i, H_SI, S2, offsetof(struct tlb_entry, read));
    move_by_addend(t, 0x03, H_DI, S1);
    move_by_addend(t, 0x03, H_SI, S2);
    native(t, i, 0xa4);
    move_by_addend(t, 0x2b, H_DI, S1);
    move_by_addend(t, 0x2b, H_SI, S2);
    return true;
}
