/*
 * The generic way: the same instruction again, its memory operand replaced by
 * a checked host address and displaced registers by scratch ones.
 */
#include "engine/jit/translate.h"
#include "x86/ops/ops.h"
#include "x86/reencode.h"

bool writes_operand(const struct opcode *row, unsigned k)
{
    return (k == 0 && (row->props & OP_WRITES0)) ||
           (k == 1 && (row->props & OP_WRITES1));
}

bool is_masked(const struct insn *i)
{
    return i->evex & 7;
}

int memory_operand(const struct insn *i)
{
    for (int k = 0; k < 4; k++)
        if (i->opnd[k].kind == OPND_MEM)
            return k;
    return -1;
}

bool is_bit_string(const struct insn *i)
{
    op_fn body = insn_opcode(i)->body;

    return memory_operand(i) >= 0 && i->opnd[1].kind == OPND_GPR &&
           (body == op_bt || body == op_bts || body == op_btr ||
            body == op_btc);
}

/* Instructions that look copyable and are not. */
static bool looks_only(const struct trans *t, const struct insn *i)
{
    const struct opcode *row = insn_opcode(i);
    op_fn body = row->body;
    bool mem = memory_operand(i) >= 0;

    if (!(row->props & OP_COPY) ||
        (row->props &
         (OP_STRING | OP_STACK | OP_SYSTEM | OP_ENDS | OP_NOMEMPTR)))
        return true;
    if (mem && ((row->props & OP_MASKED) || (i->flags & INSN_VSIB)))
        return true;
    if (body == op_div || body == op_idiv)
        return true;
    /* Outside 64-bit code it leaves registers 8 and up alone. */
    if (body == op_vzero && !t->wide)
        return true;
    /* Some features are offered to guests whatever the host has. */
    if (!feature_has(&t->j->host, (enum x86_feature)row->feature) ||
        !feature_has(&t->j->host, (enum x86_feature)row->feature2))
        return true;
    return false;
}

bool copy_refused(const struct trans *t, const struct insn *i)
{
    return is_bit_string(i) || looks_only(t, i);
}

/*
 * Registers that instructions change without naming them; those that push or
 * pop are known only if they are here.
 */
static const struct {
    op_fn body;
    uint32_t gprs;
} implicit[] = {
    {op_mul, 1 << RAX | 1 << RDX},
    {op_imul, 1 << RAX | 1 << RDX},
    {op_div, 1 << RAX | 1 << RDX},
    {op_idiv, 1 << RAX | 1 << RDX},
    {op_cbw, 1 << RAX},
    {op_cwd, 1 << RDX},
    {op_cmpxchg, 1 << RAX},
    {op_lahf, 1 << RAX},
    {op_cmpxchg8b, 1 << RAX | 1 << RDX},
    {op_cmpxchg16b, 1 << RAX | 1 << RDX},
    {op_daa, 1 << RAX},
    {op_das, 1 << RAX},
    {op_aaa, 1 << RAX},
    {op_aas, 1 << RAX},
    {op_aam, 1 << RAX},
    {op_aad, 1 << RAX},
    {op_salc, 1 << RAX},
    {op_push, 1 << RSP},
    {op_push_sreg, 1 << RSP},
    {op_pushf, 1 << RSP},
    {op_pop, 1 << RSP},
    {op_call, 1 << RSP},
    {op_call_ind, 1 << RSP},
    {op_ret, 1 << RSP},
    {op_enter, 1 << RSP | 1 << RBP},
    {op_leave, 1 << RSP | 1 << RBP},
};

/* Of a row: those of its operands apart. */
static uint32_t unnamed_gprs(const struct opcode *row)
{
    for (unsigned n = 0; n < ARRAY_LEN(implicit); n++)
        if (implicit[n].body == row->body)
            return implicit[n].gprs;
    return (row->props & OP_COPY) || row->body == op_nop ||
                   row->body == op_lea || row->body == op_jcc ||
                   row->body == op_jmp
               ? 0
               : ALL_GPRS;
}

void jit_know_rows(struct jit *j)
{
    for (unsigned n = 0; n < opcode_count; n++)
        j->unnamed_gprs[n] = unnamed_gprs(&opcode_table[n]);
}

uint32_t written_gprs(const struct trans *t, const struct insn *i)
{
    const struct opcode *row = insn_opcode(i);
    uint32_t mask = t->j->unnamed_gprs[i->op];

    if (mask == ALL_GPRS)
        return mask;
    for (unsigned k = 0; k < 4; k++)
        if (i->opnd[k].kind == OPND_GPR && writes_operand(row, k))
            mask |= 1u << (i->opnd[k].reg >= 0x10 ? i->opnd[k].reg & 3
                                                  : i->opnd[k].reg);
    /* String compares leave an index in rCX. */
    if (row->body == op_vector && i->opnd[0].kind == OPND_VEC &&
        (row->flags_written & FLAGS_STATUS))
        mask |= 1u << RCX;
    return mask;
}

/* --- the copy --- */

/* A guest register that is in its slot, and where it is meanwhile. */
struct displaced {
    uint8_t guest, host;
    bool read, written;
};

struct copy {
    struct reencode how;
    struct displaced moved[3];
    unsigned nmoved;
    bool turned;    /* AH, CH, DH or BH is the low byte meanwhile, */
    uint8_t parent; /* of that register */
    uint8_t code[REENCODE_MAX];
    unsigned len;
};

/* Scratch registers that the place of the memory operand leaves. */
unsigned free_scratch(const struct place *p, uint8_t *out)
{
    static const uint8_t all[] = {S0, S1, S2};
    unsigned n = 0;

    for (unsigned k = 0; k < ARRAY_LEN(all); k++)
        if (!p || (p->base != all[k] && p->index != all[k]))
            out[n++] = all[k];
    return n;
}

/* Gives operand k, a displaced register, a scratch one. */
static bool displace(struct copy *c, unsigned k, unsigned guest, bool read,
                     bool written, const struct place *p)
{
    uint8_t scratch[3];
    unsigned n, room = free_scratch(p, scratch);

    for (n = 0; n < c->nmoved && c->moved[n].guest != guest; n++)
        ;
    if (n == c->nmoved) {
        if (n == room)
            return false;
        c->moved[c->nmoved++] =
            (struct displaced){(uint8_t)guest, scratch[n], false, false};
    }
    c->moved[n].read |= read;
    c->moved[n].written |= written;
    c->how.gpr[k] = c->moved[n].host;
    return true;
}

/* Does the result depend on what was there? Short ones keep the rest. */
static bool reads_operand(const struct opcode *row, const struct operand *o,
                          unsigned k)
{
    return k > 0 || (row->props & OP_READS0) || !(row->props & OP_WRITES0) ||
           o->size < 4;
}

/*
 * AH, CH, DH and BH cannot be named beside our addresses, which need REX:
 * the register is turned by eight bits for the instruction's time.
 */
static unsigned turn(const struct trans *t, struct copy *c,
                     const struct insn *i)
{
    for (unsigned k = 0; k < 4 && !c->turned; k++)
        if (i->opnd[k].kind == OPND_GPR && i->opnd[k].reg >= 0x10) {
            c->turned = true;
            c->parent = c->how.gpr[k] = i->opnd[k].reg & 3;
        }
    if (!c->turned || t->j->unnamed_gprs[i->op] >> c->parent & 1)
        return 0;
    return x86_reencode(c->code, i, &c->how);
}

/* p: where the memory operand is, NULL without one. */
static bool plan(const struct trans *t, struct copy *c, const struct insn *i,
                 const struct place *p)
{
    const struct opcode *row = insn_opcode(i);

    *c = (struct copy){0};
    if (p) {
        c->how.base = p->base;
        c->how.index = p->index;
        c->how.disp = p->disp;
    }
    for (unsigned k = 0; k < 4; k++) {
        const struct operand *o = &i->opnd[k];
        int h;

        if (o->kind != OPND_GPR)
            continue;
        h = o->reg >= 0x10 ? o->reg : host_of(o->reg);
        if (h >= 0)
            c->how.gpr[k] = (uint8_t)h;
        else if (!displace(c, k, o->reg, reads_operand(row, o, k),
                           writes_operand(row, k), p))
            return false;
    }
    c->len = x86_reencode(c->code, i, &c->how);
    if (!c->len)
        c->len = turn(t, c, i);
    return c->len != 0;
}

static unsigned fp_of(const struct insn *i)
{
    uint32_t props = insn_opcode(i)->props;
    unsigned which = 0;

    if (props & (OP_X87 | OP_MMX))
        which |= FP_X87;
    if (props & (OP_SSE | OP_AVX | OP_AVX512))
        which |= FP_VECTOR;
    for (unsigned k = 0; k < 4; k++) {
        if (i->opnd[k].kind == OPND_MMX)
            which |= FP_X87;
        if (i->opnd[k].kind == OPND_VEC)
            which |= FP_VECTOR;
    }
    return which;
}

static void note_fip(struct trans *t, const struct insn *i)
{
    uint64_t rip = rip_of(t, i);

    for (int half = 0; half < 2; half++) {
        e8(t->e, 0xc7);
        e_modrm_disp(t->e, 0, H_SP, J_OFF(fip) + 4 * half);
        e32(t->e, (uint32_t)(rip >> 32 * half));
    }
    if (t->wide ||
        feature_has(&t->cpu->ic.cpu.model->features, FEAT_ZERO_FCS_FDS))
        return;
    load_selector(t, S0, CS);
    e_rm(t->e, false, OP_MOV_STORE, S0, H_SP, J_OFF(fip) + 4);
}

static void emit_planned(struct trans *t, const struct copy *c)
{
    for (unsigned n = 0; n < c->nmoved; n++) {
        if (c->moved[n].host == S2)
            group_drop_s2(t);
        if (c->moved[n].read)
            emit_get(t, c->moved[n].guest, c->moved[n].host);
    }
    if (c->turned)
        e_rorx(t->e, c->parent, c->parent, 8);
    for (unsigned n = 0; n < c->len; n++)
        e8(t->e, c->code[n]);
    if (c->turned)
        e_rorx(t->e, c->parent, c->parent, 56);
    for (unsigned n = 0; n < c->nmoved; n++)
        if (c->moved[n].written)
            emit_put(t, c->moved[n].guest, c->moved[n].host);
}

/* Over the end of a cache line hosts lock slowly, or kill who tries: only
   aligned ones are copied. */
static bool is_locked(const struct insn *i)
{
    return (i->flags & INSN_LOCK) || insn_opcode(i)->body == op_xchg;
}

/* MOV of a whole register from or to one that is in its slot. */
static bool emit_slot_move(struct trans *t, const struct insn *i)
{
    const struct operand *to = &i->opnd[0], *from = &i->opnd[1];
    int h_to, h_from;
    bool wide = to->size == 8;

    if (insn_opcode(i)->body != op_mov || to->kind != OPND_GPR ||
        from->kind != OPND_GPR || to->size < 4)
        return false;
    h_to = host_of(to->reg);
    h_from = host_of(from->reg);
    if (h_to >= 0 && h_from >= 0)
        return false;
    if (h_to >= 0) {
        e_rm(t->e, wide, OP_MOV_LOAD, (unsigned)h_to, H_SP,
             C_OFF(s.gpr) + 8 * from->reg);
        return true;
    }
    if (h_from < 0)
        e_rm(t->e, wide, OP_MOV_LOAD, S0, H_SP, C_OFF(s.gpr) + 8 * from->reg);
    else if (!wide)
        e_rr(t->e, false, OP_MOV_STORE, (unsigned)h_from, S0);
    emit_put(t, to->reg, h_from >= 0 && wide ? (unsigned)h_from : S0);
    return true;
}

/* Its address is to stay while a register is turned. */
static void keep_address(struct trans *t, const struct copy *c, struct place *p)
{
    uint8_t scratch[3];

    if (!c->turned || (p->base != c->parent && p->index != c->parent))
        return;
    free_scratch(p, scratch);
    e_mov(t->e, scratch[0], c->parent);
    *(p->base == c->parent ? &p->base : &p->index) = scratch[0];
}

static bool copy(struct trans *t, const struct insn *i)
{
    const struct opcode *row = insn_opcode(i);
    uint16_t changes = row->flags_written | row->flags_undefined;
    int mem = memory_operand(i);
    struct place p = {S0, S2, 1 << 20}; /* as long as one can be */
    uint16_t reads, kills;
    bool wants_flags;
    struct copy c;

    if (looks_only(t, i))
        return false;
    if (emit_slot_move(t, i))
        return true;
    if (!plan(t, &c, i, mem >= 0 ? &p : NULL))
        return false;
    insn_flags(i, &reads, &kills);
    /* It reads flags, or keeps some of those that it may write. */
    wants_flags = reads || (changes && (t->live[t->k] & ~kills));
    if (fp_of(i))
        emit_fp_need(t, i, fp_of(i));
    if (mem >= 0) {
        unsigned n = i->opnd[mem].size;
        struct access a = {.i = i,
                           .bytes = (uint8_t)n,
                           .align = row->props & OP_ALIGN || is_locked(i)
                                        ? (uint8_t)(n - 1)
                                        : 0,
                           .write = writes_operand(row, (unsigned)mem)};

        p = emit_access(t, &a, wants_flags);
        keep_address(t, &c, &p);
        plan(t, &c, i, &p);
    } else if (wants_flags && !t->in_eflags) {
        flags_restore(t);
    }
    emit_planned(t, &c);
    if (row->props & OP_X87)
        note_fip(t, i);
    if (changes & FLAGS_STATUS) {
        t->in_eflags = true;
        t->in_slot = false;
    }
    return true;
}

bool emit_copy(struct trans *t, const struct insn *i)
{
    return !is_bit_string(i) && copy(t, i);
}

/*
 * BT and its kin with memory and a register for the bit, which moves the
 * address: a copy does where the bit is in the operand itself.
 */
bool emit_bit_string(struct trans *t, const struct insn *i)
{
    unsigned n = i->opnd[0].size;

    if (n < 4 || !is_bit_string(i) || looks_only(t, i))
        return false;
    flags_yield(t, flags_needed(t, i));
    e_alu_imm(t->e, n == 8, ALU_CMP, emit_get(t, i->opnd[1].reg, S0),
              (int32_t)(8 * n));
    emit_body_if(t, i, 3);
    if (!copy(t, i))
        emit_body(t, i);
    group_drop(t); /* the body's way does not have it */
    return true;
}
