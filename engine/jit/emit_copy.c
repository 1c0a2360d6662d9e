/*
 * The generic way: the same instruction again, its memory operand replaced by
 * a checked host address and displaced registers by scratch ones.
 */
#include "engine/jit/translate.h"
#include "x86/ops/ops.h"
#include "x86/reencode.h"

/* A guest register that is in its slot, and where it is meanwhile. */
struct displaced {
    uint8_t guest, host;
    bool written;
};

struct copy {
    struct reencode how;
    struct displaced moved[3];
    unsigned nmoved;
    int mem; /* operand index of the memory operand, or -1 */
    bool mem_written;
    uint8_t code[REENCODE_MAX];
    unsigned len;
};

static bool writes_operand(const struct opcode *row, unsigned k)
{
    return (k == 0 && (row->props & OP_WRITES0)) ||
           (k == 1 && (row->props & OP_WRITES1));
}

/* Gives operand k, a displaced register, a scratch one. */
static bool displace(struct copy *c, unsigned k, unsigned guest, bool written)
{
    static const uint8_t scratch[] = {S1, S2, S0};
    unsigned n, room = c->mem >= 0 ? 2 : 3;

    for (n = 0; n < c->nmoved && c->moved[n].guest != guest; n++)
        ;
    if (n == c->nmoved) {
        if (n == room)
            return false;
        c->moved[c->nmoved++] =
            (struct displaced){(uint8_t)guest, scratch[n], false};
    }
    c->moved[n].written |= written;
    c->how.gpr[k] = c->moved[n].host;
    return true;
}

static bool plan(struct copy *c, const struct insn *i)
{
    const struct opcode *row = insn_opcode(i);

    *c = (struct copy){.mem = -1};
    c->how.base = S0;
    c->how.index = REG_NONE;
    for (unsigned k = 0; k < 4; k++)
        if (i->opnd[k].kind == OPND_MEM) {
            c->mem = (int)k;
            c->mem_written = writes_operand(row, k);
        }
    for (unsigned k = 0; k < 4; k++) {
        const struct operand *o = &i->opnd[k];
        int h;

        if (o->kind != OPND_GPR)
            continue;
        h = o->reg >= 0x10 ? o->reg : host_of(o->reg);
        if (h >= 0)
            c->how.gpr[k] = (uint8_t)h;
        else if (!displace(c, k, o->reg, writes_operand(row, k)))
            return false;
    }
    c->len = x86_reencode(c->code, i, &c->how);
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

/* Instructions that look copyable and are not. */
static bool refused(const struct insn *i)
{
    const struct opcode *row = insn_opcode(i);
    op_fn body = row->body;
    bool mem = i->flags & INSN_MEM;

    if (!(row->props & OP_COPY) ||
        (row->props & (OP_STRING | OP_STACK | OP_SYSTEM | OP_ENDS |
                       OP_NOMEMPTR)))
        return true;
    if (mem && ((row->props & OP_MASKED) || (i->evex & 7) ||
                (i->flags & INSN_VSIB)))
        return true;
    if (body == op_div || body == op_idiv)
        return true;
    /* Bit strings: the register moves the address. */
    if (mem && i->opnd[1].kind == OPND_GPR &&
        (body == op_bt || body == op_bts || body == op_btr || body == op_btc))
        return true;
    return false;
}

static void note_fip(struct trans *t, const struct insn *i)
{
    uint64_t rip = t->rip + i->pos;

    for (int half = 0; half < 2; half++) {
        e8(t->e, 0xc7);
        e_modrm_disp(t->e, 0, H_SP, J_OFF(fip) + 4 * half);
        e32(t->e, (uint32_t)(rip >> 32 * half));
    }
}

bool emit_copy(struct trans *t, const struct insn *i)
{
    const struct opcode *row = insn_opcode(i);
    uint16_t needed = flags_needed(t, i), reads, kills;
    struct copy c;

    if (refused(i) || !plan(&c, i))
        return false;
    insn_flags(i, &reads, &kills);
    if (fp_of(i))
        emit_fp_need(t, i, fp_of(i));
    if (row->props & OP_X87)
        note_fip(t, i);
    if (c.mem >= 0) {
        unsigned n = i->opnd[c.mem].size;

        flags_yield(t, needed);
        emit_ea(t, i);
        emit_probe(t,
                   trans_insn(t, i, n, c.mem_written,
                              row->props & OP_ALIGN ? n - 1 : 0),
                   false);
    }
    /* It reads flags, or keeps some of those that it may write. */
    if (!t->in_eflags && (reads || ((row->flags_written | row->flags_undefined) &&
                                    (t->live[t->k] & ~kills))))
        flags_restore(t);
    for (unsigned n = 0; n < c.nmoved; n++)
        e_load(t->e, c.moved[n].host, H_SP,
               C_OFF(s.gpr) + 8 * c.moved[n].guest);
    for (unsigned n = 0; n < c.len; n++)
        e8(t->e, c.code[n]);
    for (unsigned n = 0; n < c.nmoved; n++)
        if (c.moved[n].written)
            e_store(t->e, H_SP, C_OFF(s.gpr) + 8 * c.moved[n].guest,
                    c.moved[n].host);
    if (row->flags_written | row->flags_undefined) {
        t->in_eflags = true;
        t->in_slot = false;
    }
    return true;
}
