/*
 * Faster functions for the forms that most of a 64-bit guest is made of: the
 * same as the bodies in x86/ops with operand kinds, sizes and address forms
 * known when compiled. Everything else runs its body.
 */
#include "engine/interp/interp.h"
#include "x86/flags.h"
#include "x86/operand.h"
#include "x86/ops/ops.h"

/* --- addresses: 64-bit, flat or with an FS or GS base --- */

static ALWAYS_INLINE gva_t ea_base(struct cpu *c, const struct insn *i)
{
    return c->s.gpr[i->base] + (uint64_t)(int64_t)i->disp;
}

static ALWAYS_INLINE gva_t ea_index(struct cpu *c, const struct insn *i)
{
    return ea_base(c, i) + (c->s.gpr[i->index] << i->scale);
}

static ALWAYS_INLINE gva_t ea_other(struct cpu *c, const struct insn *i)
{
    gva_t a = x86_ea(c, i);

    return i->seg < FS ? a : a + c->s.seg[i->seg].base;
}

enum form { FORM_BASE, FORM_INDEX, FORM_OTHER, FORMS };

static enum form form_of(const struct insn *i)
{
    if (i->asize != 8 || i->seg >= FS || i->base >= 16)
        return FORM_OTHER;
    if (i->index == REG_NONE)
        return FORM_BASE;
    return i->index < 16 ? FORM_INDEX : FORM_OTHER;
}

/* --- register values of a constant size --- */

static ALWAYS_INLINE uint64_t low(uint64_t v, unsigned n)
{
    return v & mask_low(8 * n);
}

static ALWAYS_INLINE uint64_t *reg_of(struct cpu *c, const struct insn *i,
                                      unsigned k)
{
    return &c->s.gpr[i->opnd[k].reg];
}

static ALWAYS_INLINE void put(uint64_t *r, uint64_t v, unsigned n)
{
    if (n == 1)
        *r = (*r & ~0xffull) | (uint8_t)v;
    else
        *r = low(v, n); /* 4 or 8 */
}

/* One function for each address form. */
#define EACH_FORM(X, ...)                                                      \
    X(base, __VA_ARGS__) X(index, __VA_ARGS__) X(other, __VA_ARGS__)

/* --- moves --- */

#define LOAD(form, n)                                                          \
    static void load##n##_##form(struct cpu *c, const struct insn *i)          \
    {                                                                          \
        put(reg_of(c, i, 0), mem_read(c, ea_##form(c, i), n), n);              \
    }
#define STORE(form, n)                                                         \
    static void store##n##_##form(struct cpu *c, const struct insn *i)         \
    {                                                                          \
        mem_write(c, ea_##form(c, i), *reg_of(c, i, 1), n);                    \
    }
#define STORE_IMM(form, n)                                                     \
    static void store_imm##n##_##form(struct cpu *c, const struct insn *i)     \
    {                                                                          \
        mem_write(c, ea_##form(c, i), i->imm, n);                              \
    }
#define LOAD_ZX(form, n)                                                       \
    static void load_zx##n##_##form(struct cpu *c, const struct insn *i)       \
    {                                                                          \
        *reg_of(c, i, 0) = mem_read(c, ea_##form(c, i), n);                    \
    }
#define LOAD_SX4(form, n)                                                      \
    static void load_sx4_##form(struct cpu *c, const struct insn *i)           \
    {                                                                          \
        *reg_of(c, i, 0) =                                                     \
            (uint64_t)sign_extend(mem_read(c, ea_##form(c, i), 4), 32);        \
    }
#define LEA(form, n)                                                           \
    static void lea##n##_##form(struct cpu *c, const struct insn *i)           \
    {                                                                          \
        *reg_of(c, i, 0) = low(lea_##form(c, i), n);                           \
    }
/* LEA knows no segment. */
#define lea_base  ea_base
#define lea_index ea_index
#define lea_other x86_ea

EACH_FORM(LOAD, 1)
EACH_FORM(LOAD, 4)
EACH_FORM(LOAD, 8)
EACH_FORM(STORE, 1)
EACH_FORM(STORE, 4)
EACH_FORM(STORE, 8)
EACH_FORM(STORE_IMM, 1)
EACH_FORM(STORE_IMM, 4)
EACH_FORM(STORE_IMM, 8)
EACH_FORM(LOAD_ZX, 1)
EACH_FORM(LOAD_ZX, 2)
EACH_FORM(LOAD_SX4, 4)
EACH_FORM(LEA, 4)
EACH_FORM(LEA, 8)

#define MOVE(n)                                                                \
    static void mov##n##_rr(struct cpu *c, const struct insn *i)               \
    {                                                                          \
        *reg_of(c, i, 0) = low(*reg_of(c, i, 1), n);                           \
    }                                                                          \
    static void mov##n##_ri(struct cpu *c, const struct insn *i)               \
    {                                                                          \
        *reg_of(c, i, 0) = low(i->imm, n);                                     \
    }
MOVE(4)
MOVE(8)

static void movzx1_rr(struct cpu *c, const struct insn *i)
{
    *reg_of(c, i, 0) = (uint8_t)*reg_of(c, i, 1);
}

static void movsxd_rr(struct cpu *c, const struct insn *i)
{
    *reg_of(c, i, 0) = (uint64_t)sign_extend(*reg_of(c, i, 1), 32);
}

static void nop(struct cpu *c, const struct insn *i)
{
    (void)c;
    (void)i;
}

/* --- arithmetic --- */

#define COMPUTE_ADD(c, a, b, n) (flags_add(c, (a) + (b), b, n), (a) + (b))
#define COMPUTE_SUB(c, a, b, n) (flags_sub(c, a, b, n), (a) - (b))
#define COMPUTE_AND(c, a, b, n) (flags_logic(c, (a) & (b), n), (a) & (b))
#define COMPUTE_OR(c, a, b, n)  (flags_logic(c, (a) | (b), n), (a) | (b))
#define COMPUTE_XOR(c, a, b, n) (flags_logic(c, (a) ^ (b), n), (a) ^ (b))

/* op reg, src */
#define ALU_TO_REG(name, OP, src, n, value)                                    \
    static void name##n##_##src(struct cpu *c, const struct insn *i)           \
    {                                                                          \
        uint64_t b = (value), *r = reg_of(c, i, 0), a = *r;                    \
        put(r, OP(c, a, b, n), n);                                             \
    }
/* CMP, TEST: no result */
#define ALU_FLAGS(name, OP, src, n, left, value)                               \
    static void name##n##_##src(struct cpu *c, const struct insn *i)           \
    {                                                                          \
        uint64_t b = (value), a = (left);                                      \
        (void)OP(c, a, b, n);                                                  \
    }
#define SRC_REG       (*reg_of(c, i, 1))
#define SRC_MEM(f, n) (mem_read(c, ea_##f(c, i), n))

#define ALU_SIZE(name, OP, n)                                                  \
    ALU_TO_REG(name, OP, rr, n, SRC_REG)                                       \
    ALU_TO_REG(name, OP, ri, n, i->imm)                                        \
    ALU_TO_REG(name, OP, base, n, SRC_MEM(base, n))                            \
    ALU_TO_REG(name, OP, index, n, SRC_MEM(index, n))                          \
    ALU_TO_REG(name, OP, other, n, SRC_MEM(other, n))
#define COMPARE_SIZE(name, OP, n)                                              \
    ALU_FLAGS(name, OP, rr, n, *reg_of(c, i, 0), SRC_REG)                      \
    ALU_FLAGS(name, OP, ri, n, *reg_of(c, i, 0), i->imm)                       \
    ALU_FLAGS(name, OP, base, n, *reg_of(c, i, 0), SRC_MEM(base, n))           \
    ALU_FLAGS(name, OP, index, n, *reg_of(c, i, 0), SRC_MEM(index, n))         \
    ALU_FLAGS(name, OP, other, n, *reg_of(c, i, 0), SRC_MEM(other, n))         \
    ALU_FLAGS(name, OP, mr_base, n, SRC_MEM(base, n), SRC_REG)                 \
    ALU_FLAGS(name, OP, mr_index, n, SRC_MEM(index, n), SRC_REG)               \
    ALU_FLAGS(name, OP, mr_other, n, SRC_MEM(other, n), SRC_REG)               \
    ALU_FLAGS(name, OP, mi_base, n, SRC_MEM(base, n), i->imm)                  \
    ALU_FLAGS(name, OP, mi_index, n, SRC_MEM(index, n), i->imm)                \
    ALU_FLAGS(name, OP, mi_other, n, SRC_MEM(other, n), i->imm)

#define ALU_ALL(name, OP)                                                      \
    ALU_SIZE(name, OP, 1) ALU_SIZE(name, OP, 4) ALU_SIZE(name, OP, 8)
#define COMPARE_ALL(name, OP)                                                  \
    COMPARE_SIZE(name, OP, 1)                                                  \
    COMPARE_SIZE(name, OP, 4) COMPARE_SIZE(name, OP, 8)

ALU_ALL(add, COMPUTE_ADD)
ALU_ALL(sub, COMPUTE_SUB)
ALU_ALL(and, COMPUTE_AND)
ALU_ALL(or, COMPUTE_OR)
ALU_ALL(xor, COMPUTE_XOR)
COMPARE_ALL(cmp, COMPUTE_SUB)
COMPARE_ALL(test, COMPUTE_AND)

#define STEP(n)                                                                \
    static void inc##n##_r(struct cpu *c, const struct insn *i)                \
    {                                                                          \
        uint64_t *r = reg_of(c, i, 0);                                         \
        put(r, *r + 1, n);                                                     \
        flags_inc(c, *r, n);                                                   \
    }                                                                          \
    static void dec##n##_r(struct cpu *c, const struct insn *i)                \
    {                                                                          \
        uint64_t *r = reg_of(c, i, 0);                                         \
        put(r, *r - 1, n);                                                     \
        flags_dec(c, *r, n);                                                   \
    }
STEP(4)
STEP(8)

#define SHIFT(name, kind, n, expr)                                             \
    static void name##n##_ri(struct cpu *c, const struct insn *i)              \
    {                                                                          \
        uint64_t *r = reg_of(c, i, 0), v = low(*r, n), result;                 \
        unsigned count = i->imm & (8 * n - 1);                                 \
        if (!count) {                                                          \
            *r = v;                                                            \
            return;                                                            \
        }                                                                      \
        result = (uint64_t)(expr);                                             \
        put(r, result, n);                                                     \
        flags_shift(c, kind, result, v, count, n);                             \
    }
SHIFT(shl, FLAGS_SHL, 4, v << count)
SHIFT(shl, FLAGS_SHL, 8, v << count)
SHIFT(shr, FLAGS_SHR, 4, v >> count)
SHIFT(shr, FLAGS_SHR, 8, v >> count)
SHIFT(sar, FLAGS_SAR, 4, sign_extend(v, 32) >> count)
SHIFT(sar, FLAGS_SAR, 8, (int64_t)v >> count)

/* --- stack and branches, 64-bit code --- */

static void push_r(struct cpu *c, const struct insn *i)
{
    uint64_t v = *reg_of(c, i, 0), sp = c->s.gpr[RSP] - 8;

    mem_write(c, sp, v, 8);
    c->s.gpr[RSP] = sp;
}

static void pop_r(struct cpu *c, const struct insn *i)
{
    uint64_t v = mem_read(c, c->s.gpr[RSP], 8);

    c->s.gpr[RSP] += 8;
    *reg_of(c, i, 0) = v;
}

static ALWAYS_INLINE void go_to(struct cpu *c, uint64_t target)
{
    if (unlikely((uint64_t)sign_extend(target, 48) != target))
        x86_raise_gp0(c);
    c->s.rip = target;
}

static void jmp_rel(struct cpu *c, const struct insn *i)
{
    go_to(c, insn_next(c, i) + i->imm);
}

static void jmp_reg(struct cpu *c, const struct insn *i)
{
    go_to(c, *reg_of(c, i, 0));
}

static void call_rel(struct cpu *c, const struct insn *i)
{
    uint64_t next = insn_next(c, i), sp = c->s.gpr[RSP] - 8;
    uint64_t target = next + i->imm;

    if (unlikely((uint64_t)sign_extend(target, 48) != target))
        x86_raise_gp0(c);
    mem_write(c, sp, next, 8);
    c->s.gpr[RSP] = sp;
    c->s.rip = target;
}

static void ret_near(struct cpu *c, const struct insn *i)
{
    uint64_t target = mem_read(c, c->s.gpr[RSP], 8);

    (void)i;
    go_to(c, target);
    c->s.gpr[RSP] += 8;
}

#define JCC(cc)                                                                \
    static void jcc_##cc(struct cpu *c, const struct insn *i)                  \
    {                                                                          \
        if (flags_cc(c, CC_##cc))                                              \
            go_to(c, insn_next(c, i) + i->imm);                                \
    }
#define EACH_CC(X)                                                             \
    X(O)                                                                       \
    X(NO)                                                                      \
    X(B)                                                                       \
    X(NB) X(Z) X(NZ) X(BE) X(NBE) X(S) X(NS) X(P) X(NP) X(L) X(NL) X(LE)       \
        X(NLE)
EACH_CC(JCC)
#define JCC_ROW(cc) jcc_##cc,
static const op_fn jcc_table[16] = {EACH_CC(JCC_ROW)};

/* --- which function for which form --- */

/* Index 0: 1 byte, 1: 4 bytes, 2: 8 bytes. */
struct move_row {
    op_fn body;
    op_fn rr[3], ri[3], rm[3][FORMS], mr[3][FORMS], mi[3][FORMS];
};
#define BY_SIZE(name, form)                                                    \
    {                                                                          \
        name##1_##form, name##4_##form, name##8_##form                         \
    }
#define BY_FORM(name, n)                                                       \
    {                                                                          \
        name##n##_base, name##n##_index, name##n##_other                       \
    }
#define BY_FORM_MR(name, n, to)                                                \
    {                                                                          \
        name##n##_##to##_base, name##n##_##to##_index, name##n##_##to##_other  \
    }
#define MEM_ROW(name)                                                          \
    {                                                                          \
        BY_FORM(name, 1), BY_FORM(name, 4), BY_FORM(name, 8)                   \
    }
#define ALU_ROW(name)                                                          \
    {                                                                          \
        .body = op_##name, .rr = BY_SIZE(name, rr), .ri = BY_SIZE(name, ri),   \
        .rm = MEM_ROW(name)                                                    \
    }
#define COMPARE_ROW(name)                                                      \
    {                                                                          \
        .body = op_##name, .rr = BY_SIZE(name, rr), .ri = BY_SIZE(name, ri),   \
        .rm = MEM_ROW(name),                                                   \
        .mr = {BY_FORM_MR(name, 1, mr), BY_FORM_MR(name, 4, mr),               \
               BY_FORM_MR(name, 8, mr)},                                       \
        .mi = {BY_FORM_MR(name, 1, mi), BY_FORM_MR(name, 4, mi),               \
               BY_FORM_MR(name, 8, mi)},                                       \
    }

static const struct move_row move_rows[] = {
    {.body = op_mov,
     .rr = {NULL, mov4_rr, mov8_rr},
     .ri = {NULL, mov4_ri, mov8_ri},
     .rm = MEM_ROW(load),
     .mr = MEM_ROW(store),
     .mi = MEM_ROW(store_imm)},
    ALU_ROW(add),
    ALU_ROW(sub),
    ALU_ROW(and),
    ALU_ROW(or),
    ALU_ROW(xor),
    COMPARE_ROW(cmp),
    COMPARE_ROW(test),
};

/* One register operand, perhaps with an immediate: [0] 4 bytes, [1] 8. */
struct reg_row {
    op_fn body, r[2];
};
static const struct reg_row reg_rows[] = {
    {op_inc, {inc4_r, inc8_r}},   {op_dec, {dec4_r, dec8_r}},
    {op_shl, {shl4_ri, shl8_ri}}, {op_shr, {shr4_ri, shr8_ri}},
    {op_sar, {sar4_ri, sar8_ri}},
};

static const op_fn load_zx[2][FORMS] = {BY_FORM(load_zx, 1),
                                        BY_FORM(load_zx, 2)};
static const op_fn load_sx4[FORMS] = BY_FORM(load_sx, 4);
static const op_fn lea_table[2][FORMS] = {BY_FORM(lea, 4), BY_FORM(lea, 8)};

static int size_index(unsigned n)
{
    return n == 1 ? 0 : n == 4 ? 1 : n == 8 ? 2 : -1;
}

static bool is_low_reg(const struct operand *o)
{
    return o->kind == OPND_GPR && o->reg < 16;
}

static op_fn bind_two(const struct move_row *row, const struct insn *i)
{
    const struct operand *a = &i->opnd[0], *b = &i->opnd[1];
    int n = size_index(a->size);

    if (n < 0 || (i->flags & INSN_LOCK))
        return NULL;
    if (is_low_reg(a)) {
        if (is_low_reg(b) && b->size == a->size)
            return row->rr[n];
        if (b->kind == OPND_IMM)
            return row->ri[n];
        if (b->kind == OPND_MEM && b->size == a->size)
            return row->rm[n][form_of(i)];
    } else if (a->kind == OPND_MEM) {
        if (is_low_reg(b))
            return row->mr[n][form_of(i)];
        if (b->kind == OPND_IMM)
            return row->mi[n][form_of(i)];
    }
    return NULL;
}

static op_fn bind_reg(const struct insn *i, op_fn body)
{
    const struct operand *a = &i->opnd[0], *b = &i->opnd[1];

    if (!is_low_reg(a) || (a->size != 4 && a->size != 8) ||
        (b->kind != OPND_NONE && b->kind != OPND_IMM))
        return NULL;
    for (unsigned n = 0; n < ARRAY_LEN(reg_rows); n++)
        if (reg_rows[n].body == body)
            return reg_rows[n].r[a->size == 8];
    return NULL;
}

/* MOVZX, MOVSXD, LEA: the destination's size is not the source's. */
static op_fn bind_widening(const struct insn *i, op_fn body)
{
    const struct operand *a = &i->opnd[0], *b = &i->opnd[1];
    bool wide = a->size == 4 || a->size == 8;

    if (!is_low_reg(a) || !wide)
        return NULL;
    if (body == op_movzx) {
        if (b->kind == OPND_MEM)
            return load_zx[b->size == 2][form_of(i)];
        return b->size == 1 && is_low_reg(b) ? movzx1_rr : NULL;
    }
    if (body == op_movsxd && a->size == 8)
        return b->kind == OPND_MEM ? load_sx4[form_of(i)] : movsxd_rr;
    if (body == op_lea && i->asize == 8)
        return lea_table[a->size == 8][i->seg < FS ? form_of(i) : FORM_OTHER];
    return NULL;
}

static op_fn bind_branch(const struct insn *i, op_fn body)
{
    const struct operand *a = &i->opnd[0];

    if (body == op_jcc)
        return jcc_table[insn_cc(i)];
    if (body == op_jmp)
        return jmp_rel;
    if (body == op_jmp_ind && is_low_reg(a))
        return jmp_reg;
    if (body == op_call)
        return call_rel;
    if (body == op_ret && a->kind == OPND_NONE)
        return ret_near;
    if (body == op_push && is_low_reg(a) && a->size == 8)
        return push_r;
    if (body == op_pop && is_low_reg(a) && a->size == 8)
        return pop_r;
    return body == op_nop ? nop : NULL;
}

static op_fn bind(const struct insn *i, op_fn body)
{
    op_fn f;

    for (unsigned n = 0; n < ARRAY_LEN(move_rows); n++)
        if (move_rows[n].body == body)
            return bind_two(&move_rows[n], i);
    f = bind_branch(i, body);
    if (!f)
        f = bind_reg(i, body);
    return f ? f : bind_widening(i, body);
}

op_fn interp_bind(const struct insn *i, uint32_t mode)
{
    op_fn body = insn_opcode(i)->body, f = NULL;

    if (mode & MODE_CODE64)
        f = bind(i, body);
    return f ? f : body;
}
