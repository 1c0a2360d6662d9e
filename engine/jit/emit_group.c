/* Accesses that share one check, and which way each access goes. */
#include "engine/jit/translate.h"
#include "x86/ops/ops.h"

enum {
    GROUP_BYTES = 512, /* that a group reaches over, at most */
    REACH = 2048,      /* or with an index that is small */
    MOVES = 2048,      /* by so much at most: what moves on is followed */
};

/* The segment, where groups must tell them apart. */
static uint8_t group_segment(const struct trans *t, const struct access *a)
{
    return has_base(t, a) ? (uint8_t)segment_of(a) : NO_BASE;
}

/* Does it look like the stack? Only a guess, unless it is rsp. */
static bool is_stack(const struct trans *t, const struct access *a)
{
    const uint64_t *gpr = t->cpu->ic.cpu.s.gpr;
    unsigned base = base_of(a);

    return t->wide && is_simple(t, a) && segment_of(a) < FS &&
           (base == RSP ||
            (base == RBP && !((gpr[RBP] ^ gpr[RSP]) & PAGE_MASK)));
}

bool uses_stack(const struct trans *t)
{
    for (unsigned k = 0; k < t->n; k++) {
        const struct insn *i = &t->insn[k];
        struct access a;
        int32_t moves;

        if (((i->flags & INSN_MEM) && i->base == RSP) ||
            stack_access(t, i, &a, &moves))
            return true;
    }
    return false;
}

/* --- the address --- */

/* [base + disp], in 64-bit code with an index: what a group can have. */
static bool is_regular(const struct trans *t, const struct access *a)
{
    if (is_simple(t, a))
        return true;
    return t->wide && !a->implied && a->i->base < 16 && a->i->index < 16 &&
           a->i->seg < FS && a->i->asize == 8;
}

static bool has_index(const struct access *a)
{
    return !a->implied && a->i->index != REG_NONE;
}

/* As far as groups tell accesses apart by it. */
static unsigned index_of(const struct access *a)
{
    return has_index(a) && !a->reach ? a->i->index : REG_NONE;
}

/* --- small indexes: bytes that look something up in a table --- */

/* What wrote reg last before instruction k of the block, or NULL. */
static const struct insn *last_writer(const struct trans *t, unsigned k,
                                      unsigned reg)
{
    while (k-- > 0)
        if (written_gprs(t, &t->insn[k]) >> reg & 1)
            return &t->insn[k];
    return NULL;
}

/* No more than that is in reg: it comes of a byte, or was masked. */
static uint64_t bound(const struct trans *t, unsigned k, unsigned reg)
{
    const struct insn *i = last_writer(t, k, reg);
    op_fn body = i ? insn_opcode(i)->body : NULL;
    const struct operand *o = i ? i->opnd : NULL;

    if (!i || o[0].kind != OPND_GPR || o[0].size < 4)
        return ~0ull;
    if (body == op_movzx && o[1].size == 1)
        return 0xff;
    if (body == op_and && o[1].kind == OPND_IMM && (int64_t)i->imm >= 0)
        return i->imm;
    return ~0ull;
}

/* reg, as it most likely is at instruction k. */
static bool guess(const struct trans *t, unsigned k, unsigned reg, uint64_t *v)
{
    const struct insn *i = last_writer(t, k, reg);

    *v = t->cpu->ic.cpu.s.gpr[reg];
    if (i && insn_opcode(i)->body == op_lea && i->base == REG_RIP)
        *v = next_rip(t, i) + (uint64_t)(int64_t)i->disp;
    else if (i)
        return false;
    return true;
}

/* How far the index reaches, where all of that should be on one page; or 0. */
static uint16_t find_reach(const struct trans *t, const struct access *a)
{
    unsigned k = (unsigned)(a->i - t->insn);
    uint64_t most, v;

    if (!has_index(a) || !is_regular(t, a) || a->align || k >= t->n)
        return 0;
    most = bound(t, k, a->i->index);
    if (most > (uint64_t)REACH >> a->i->scale || !guess(t, k, a->i->base, &v))
        return 0;
    most <<= a->i->scale;
    v += (uint64_t)(int64_t)a->i->disp;
    return (v ^ (v + most + a->bytes - 1)) & PAGE_MASK ? 0 : (uint16_t)most;
}

/* a where its index is 0. */
static struct access without_index(const struct access *a)
{
    struct access b = *a;

    b.implied = true;
    b.reg = a->i->base;
    b.seg = DS;
    b.asize = 8;
    b.disp = a->i->disp;
    return b;
}

/* --- the address, to groups --- */

/* Are a's addresses made as those in g? */
static bool same_address(const struct trans *t, const struct group *g,
                         const struct access *a)
{
    unsigned index = index_of(a);

    return base_of(a) == g->base && index == g->index &&
           (index == REG_NONE || a->i->scale == g->scale) &&
           (t->wide ||
            (address_bytes(a) == g->asize && group_segment(t, a) == g->seg));
}

/* Is it gone when those registers are written? */
static bool depends(const struct group *g, uint32_t written)
{
    return written >> g->base & 1 ||
           (g->index != REG_NONE && written >> g->index & 1);
}

static void move_group(struct group *g, unsigned reg, int32_t by)
{
    if (g->base == reg)
        g->moved += by;
    if (g->index == reg)
        g->moved += by * (1 << g->scale);
}

/* --- what happens to the groups there are --- */

void group_moved(struct trans *t, unsigned reg, int32_t by)
{
    for (unsigned n = 0; n < GROUPS; n++) {
        struct group *g = &t->group[n];

        move_group(g, reg, by);
        /* Only the low half moves, and the addresses have all of it. */
        if (g->base == RSP && reg == RSP && g->asize != t->stack)
            g->active = false;
    }
}

void group_drop(struct trans *t)
{
    for (unsigned n = 0; n < GROUPS; n++)
        t->group[n].active = false;
}

void group_drop_s2(struct trans *t)
{
    t->group[0].active = false;
}

/* INC, DEC, and ADD, SUB or LEA of a register and a constant. */
static bool moves_register(const struct trans *t, const struct insn *i,
                           unsigned *reg, int32_t *by)
{
    op_fn body = insn_opcode(i)->body;
    const struct operand *o = i->opnd;
    int64_t n;

    if (o[0].kind != OPND_GPR)
        return false;
    *reg = o[0].reg;
    if (t->wide ? o[0].size != 8 : *reg != RSP || o[0].size != t->stack)
        return false;
    if (body == op_add || body == op_sub) {
        if (o[1].kind != OPND_IMM)
            return false;
        n = body == op_add ? (int64_t)i->imm : -(int64_t)i->imm;
    } else if (body == op_inc || body == op_dec) {
        n = body == op_inc ? 1 : -1;
    } else if (body == op_lea) {
        if (i->base != *reg || i->index != REG_NONE || i->asize != 8 ||
            !t->wide)
            return false;
        n = i->disp;
    } else {
        return false;
    }
    *by = (int32_t)n;
    return n >= -MOVES && n <= MOVES;
}

void group_after(struct trans *t, const struct insn *i)
{
    struct access a;
    int32_t by;
    uint32_t written = written_gprs(t, i);
    unsigned reg;

    if (stack_access(t, i, &a, &by)) {
        written &= ~(1u << RSP); /* group_moved() was told */
    } else if (moves_register(t, i, &reg, &by)) {
        group_moved(t, reg, by);
        return;
    }
    for (unsigned n = 0; n < GROUPS; n++)
        if (t->group[n].active && depends(&t->group[n], written))
            t->group[n].active = false;
}

/* --- a new one --- */

/* The access an instruction makes, if it is one that may be in a group. */
static bool groupable(const struct trans *t, const struct insn *i,
                      struct access *a, int32_t *moves)
{
    int k;

    *moves = 0;
    if (stack_access(t, i, a, moves))
        return true;
    if (copy_refused(t, i) || is_masked(i))
        return false;
    k = memory_operand(i);
    if (k < 0)
        return false;
    *a = (struct access){.i = i,
                         .bytes = i->opnd[k].size,
                         .write = writes_operand(insn_opcode(i), (unsigned)k)};
    if (insn_opcode(i)->props & OP_ALIGN)
        a->align = a->bytes - 1u;
    a->reach = find_reach(t, a);
    return is_regular(t, a);
}

/* Does what is emitted for i, no stack access, leave S2 alone? */
static bool keeps_addend(const struct trans *t, const struct insn *i)
{
    op_fn body = insn_opcode(i)->body;

    return !copy_refused(t, i) || body == op_lea || body == op_nop ||
           body == op_jmp;
}

/* a, of which lo is the first byte, in g; false: it is too far, or else
 * aligned. */
static bool join(struct group *g, const struct access *a, int64_t lo)
{
    int64_t first = MIN(lo, g->lo), end = MAX(lo + a->bytes + a->reach, g->hi);
    uint8_t align = MAX(g->align, a->align);

    if (end - first > (a->reach ? REACH + 64 : GROUP_BYTES) ||
        first != (int32_t)first || (a->align && ((lo - first) & a->align)) ||
        (g->align && ((g->lo - first) & g->align)))
        return false;
    g->lo = first;
    g->hi = end;
    g->align = align;
    g->write |= a->write;
    return true;
}

static struct group group_of(const struct trans *t, const struct access *a)
{
    bool indexed = index_of(a) != REG_NONE;

    return (struct group){.active = true,
                          .base = (uint8_t)base_of(a),
                          .index = (uint8_t)index_of(a),
                          .scale = indexed ? a->i->scale : 0,
                          .seg = group_segment(t, a),
                          .asize = (uint8_t)address_bytes(a),
                          .align = a->align,
                          .lo = disp_of(a),
                          .hi = (int64_t)disp_of(a) + a->bytes + a->reach,
                          .write = a->write};
}

/*
 * Looks ahead from the access at hand for others that could share its check.
 * False when there are none.
 */
static bool plan_group(const struct trans *t, const struct access *first,
                       struct group *g)
{
    bool branched = false; /* what follows may not run */
    unsigned shared = 0;

    *g = group_of(t, first);
    for (unsigned k = t->k; k < t->n; k++) {
        const struct insn *i = &t->insn[k];
        struct access a;
        int32_t moves = 0, by;
        unsigned reg;

        if (interp_raises(i->fn))
            break;
        if (groupable(t, i, &a, &moves) && same_address(t, g, &a) &&
            (k > t->k || a.implied != first->implied)) {
            if ((branched && a.write && !g->write) ||
                !join(g, &a, (int64_t)g->moved + disp_of(&a)))
                break;
            shared++;
        } else if (insn_opcode(i)->body == op_jcc) {
            branched = true;
        } else if (!moves && k > t->k && !keeps_addend(t, i)) {
            break;
        }
        if (g->base == RSP && g->asize != t->stack &&
            written_gprs(t, i) >> RSP & 1)
            break;
        if (moves)
            move_group(g, RSP, moves);
        if (!moves && moves_register(t, i, &reg, &by))
            move_group(g, reg, by);
        else if (depends(g, written_gprs(t, i) & ~(moves ? 1u << RSP : 0)))
            break;
    }
    g->moved = 0;
    return shared > 0;
}

static bool covers(const struct trans *t, const struct group *g,
                   const struct access *a)
{
    int64_t at = (int64_t)disp_of(a) + g->moved;

    return g->active && same_address(t, g, a) && at >= g->lo &&
           at + a->bytes + a->reach <= g->hi && (!a->write || g->write) &&
           a->align <= g->align && !((at - g->lo) & a->align);
}

/* The number of a group that covers it, or GROUPS. */
static unsigned covered(const struct trans *t, const struct access *a)
{
    unsigned n = 0;

    if (!is_regular(t, a))
        return GROUPS;
    while (n < GROUPS && !covers(t, &t->group[n], a))
        n++;
    return n;
}

bool group_has(const struct trans *t, const struct access *a)
{
    return covered(t, a) < GROUPS;
}

static int32_t addend_slot(unsigned n)
{
    return n == 1 ? N_OFF(addend) : J_OFF(addend) + 8 * (int)(n - 2);
}

/* A group begins with a: its number. Its addend is in S2, or in S1, too. */
static unsigned begin_group(struct trans *t, const struct access *a,
                            const struct group *g)
{
    struct extent x = {(uint16_t)(g->hi - g->lo), g->align, g->write};
    int32_t lo = (int32_t)(g->lo - disp_of(a));
    unsigned n = t->uses_stack;
    struct access flat = a->reach ? without_index(a) : *a;
    struct jit_insn *ji;

    if (is_stack(t, a) && !t->group[0].active) {
        n = 0;
        ji = emit_stack_probe(t, a, lo, &x);
    } else {
        while (n < GROUPS && t->group[n].active)
            n++;
        if (n == GROUPS) /* of those in memory, in turn */
            n = 1 + t->k % (GROUPS - 1);
        ji = emit_probe(t, &flat, lo, &x, n ? S1 : S2, false);
        if (g->seg != NO_BASE) /* add */
            e_rm(t->e, true, 0x03, n ? S1 : S2, H_SP, base_of_segment(g->seg));
        if (n)
            e_store(t->e, H_SP, addend_slot(n), S1);
    }
    ji->span = x.span;
    ji->group_write = g->write;
    t->group[n] = *g;
    return n;
}

/* --- an access --- */

/* addend: not S0 */
static struct place simple_place(struct trans *t, const struct access *a,
                                 unsigned addend)
{
    if (!t->wide) {
        emit_offset(t, a, 0, S0);
        return (struct place){S0, (uint8_t)addend, 0};
    }
    return (struct place){(uint8_t)emit_get(t, base_of(a), S0), (uint8_t)addend,
                          disp_of(a) + (base_of(a) == RSP ? t->owed : 0)};
}

/* loaded: its addend is where it belongs, or in S1. */
static struct place group_place(struct trans *t, const struct access *a,
                                unsigned n, bool loaded)
{
    unsigned addend = n ? S1 : S2;

    if (has_index(a)) {
        emit_linear(t, a, 0, S0);
        loaded &= host_of(a->i->index) >= 0; /* else it was in S1 */
    }
    if (n && !loaded)
        e_load(t->e, S1, H_SP, addend_slot(n));
    if (has_index(a))
        return (struct place){S0, (uint8_t)addend, 0};
    return simple_place(t, a, addend);
}

/* A probe has consumed the address: once more, keeping the addend in S1. */
static struct place place_again(struct trans *t, const struct access *a)
{
    unsigned addend = S1;

    if (!a->implied &&
        ((a->i->index < 16 && host_of(a->i->index) < 0) || a->i->seg >= FS)) {
        group_drop_s2(t);
        e_mov(t->e, S2, S1);
        addend = S2;
    }
    emit_linear(t, a, 0, S0);
    return (struct place){S0, (uint8_t)addend, 0};
}

static bool may_share(const struct trans *t, const struct access *a)
{
    /* Those beyond 64 KB would not be where a + lo says. */
    if (!t->wide && address_bytes(a) == 2 && has_base(t, a) &&
        !is_roomy(t, segment_of(a), true))
        return false;
    return is_regular(t, a) && !is_masked(a->i) && TLB_SIZE > 1 &&
           !(t->mode & MODE_ALONE);
}

/* In a group, or as the first of one; false: neither. */
static bool emit_shared(struct trans *t, const struct access *a, bool restore,
                        struct place *p)
{
    unsigned n = covered(t, a);
    bool begins = n == GROUPS;
    struct group g;

    if (begins) {
        if (!may_share(t, a) || !plan_group(t, a, &g))
            return false;
        flags_yield(t, flags_needed(t, a->i));
        n = begin_group(t, a, &g);
    }
    if (restore && !t->in_eflags)
        flags_restore(t);
    *p = group_place(t, a, n, begins);
    return true;
}

struct place emit_access(struct trans *t, const struct access *access,
                         bool restore)
{
    struct access with = *access, *a = &with;
    struct extent x = {a->bytes, (uint8_t)align_of(a), a->write};
    struct place p;

    a->reach = find_reach(t, a);
    if (emit_shared(t, a, restore, &p))
        return p;
    flags_yield(t, flags_needed(t, a->i));
    if (has_fixed_address(a) && emit_fixed(t, a, restore, &p))
        return p;
    if (may_share(t, a) && is_stack(t, a) && !t->group[0].active) {
        emit_stack_probe(t, a, 0, &x);
        if (restore)
            flags_restore(t);
        return simple_place(t, a, S2);
    }
    if (!t->wide)
        group_drop_s2(t);
    emit_probe(t, a, 0, &x, S1, !t->wide);
    if (restore)
        flags_restore(t);
    if (!t->wide)
        return (struct place){S2, S1, 0};
    return is_simple(t, a) ? simple_place(t, a, S1) : place_again(t, a);
}
