/*
 * Memory accesses: the inline TLB probe, and groups of accesses that share
 * one.
 */
#include "engine/jit/translate.h"
#include "x86/ops/ops.h"

/* --- addresses --- */

static bool has_fixed_address(const struct access *a)
{
    return !a->implied && (a->i->base == REG_RIP ||
                           (a->i->base == REG_NONE && a->i->index == REG_NONE));
}

static uint64_t fixed_address(const struct trans *t, const struct insn *i)
{
    uint64_t a = (uint64_t)(int64_t)i->disp;

    if (i->base == REG_RIP)
        a += next_rip(t, i);
    else if (i->imm_len > 4)
        a = i->imm;
    return i->asize == 8 ? a : (uint32_t)a;
}

static unsigned segment_of(const struct access *a)
{
    return a->implied ? a->seg : a->i->seg;
}

static unsigned address_bytes(const struct access *a)
{
    return a->implied ? a->asize : a->i->asize;
}

/* Does its segment have a base? Only 64-bit code has none of a limit then. */
static bool has_base(const struct trans *t, const struct access *a)
{
    unsigned seg = segment_of(a);

    if (seg >= FS || jit_is_segmented(t->mode))
        return true;
    return !t->wide && seg == CS && a->write; /* to be refused */
}

/* The segment, where groups must tell them apart. */
static uint8_t group_segment(const struct trans *t, const struct access *a)
{
    return has_base(t, a) ? (uint8_t)segment_of(a) : NO_BASE;
}

/* [base + disp] with nothing more: what groups and short places are for. */
static bool is_simple(const struct trans *t, const struct access *a)
{
    if (a->implied)
        return true;
    if (a->i->base >= 16 || a->i->index != REG_NONE)
        return false;
    return !t->wide || (a->i->seg < FS && a->i->asize == 8);
}

static unsigned base_of(const struct access *a)
{
    return a->implied ? a->reg : a->i->base;
}

static int32_t disp_of(const struct access *a)
{
    return a->implied ? a->disp : a->i->disp;
}

static void linear_scaled(struct trans *t, const struct insn *i, int32_t disp,
                          unsigned to)
{
    struct emit *e = t->e;
    bool wide = i->asize == 8;
    unsigned index = emit_get(t, i->index, S1), base;

    if (i->base == REG_NONE) { /* [index * scale + disp32] */
        e_rex(e, wide, to, index, 0);
        e8(e, OP_LEA_R);
        e8(e, (to & 7) << 3 | 4);
        e8(e, (unsigned)i->scale << 6 | (index & 7) << 3 | 5);
        e32(e, (uint32_t)disp);
        return;
    }
    base = emit_get(t, i->base, S0);
    e_rx(e, wide, OP_LEA_R, to, base, index, i->scale, disp);
}

void emit_offset(struct trans *t, const struct access *a, int32_t more,
                 unsigned to)
{
    struct emit *e = t->e;
    const struct insn *i = a->i;
    unsigned n = address_bytes(a);

    if (has_fixed_address(a)) {
        uint64_t at = fixed_address(t, i) + (uint64_t)(int64_t)more;

        e_mov_imm(e, to, n == 2 ? (uint16_t)at : at);
        return;
    }
    if (a->implied || i->index == REG_NONE) {
        unsigned base = emit_get(t, base_of(a), S0);

        e_rm(e, n == 8, OP_LEA_R, to, base, disp_of(a) + more);
    } else {
        linear_scaled(t, i, i->disp + more, to);
    }
    if (n == 2)
        e_movzx16(e, to, to);
}

void emit_linear(struct trans *t, const struct access *a, int32_t more,
                 unsigned to)
{
    emit_offset(t, a, more, to);
    if (!has_base(t, a))
        return;
    e_load(t->e, S1, H_SP, base_of_segment(segment_of(a)));
    e_rx(t->e, t->wide, OP_LEA_R, to, to, S1, 0, 0);
}

/* --- limits: outside 64-bit code --- */

/* Are all offsets of 16 bits known to be inside? */
static bool is_roomy(const struct trans *t, unsigned seg, bool write)
{
    return (t->mode & MODE_64K) && seg < FS && (seg != CS || !write);
}

/*
 * Compares, so that "above" is beyond the end of the segment: S0 is the
 * offset of span bytes. False: that cannot be. Clobbers S1.
 */
static bool compare_end(struct trans *t, const struct access *a, unsigned span,
                        bool write)
{
    unsigned seg = segment_of(a);
    int32_t end = C_OFF(seg_end) + 8 * (int)(write * 6 + seg);

    if (address_bytes(a) == 2 && is_roomy(t, seg, write)) {
        if (span > 1)
            e_alu_imm(t->e, false, ALU_CMP, S0, 0x10000 - (int32_t)span);
        return span > 1;
    }
    e_rm(t->e, true, OP_LEA_R, S1, S0, (int32_t)span);
    e_rm(t->e, true, 0x3b, S1, H_SP, end); /* cmp */
    return true;
}

/*
 * S0 = the linear address of a + lo; elsewhere if its segment ends before, or,
 * of a group, if that wraps: its addend has the base in it.
 */
static void checked_linear(struct trans *t, const struct access *a, int32_t lo,
                           unsigned span, bool write, bool group)
{
    enum stub_kind kind = group     ? STUB_ALONE
                          : a->ends ? STUB_BODY_END
                                    : STUB_BODY;

    emit_offset(t, a, lo, S0);
    if (compare_end(t, a, span, write))
        trans_stub(t, kind, e_jcc_forward(t->e, 7))->insn = trans_insn(t, a->i);
    e_rm(t->e, false, 0x03, S0, H_SP, base_of_segment(segment_of(a))); /* add */
    if (group)
        trans_stub(t, kind, e_jcc_forward(t->e, 2))->insn = trans_insn(t, a->i);
}

/* --- the probe --- */

int32_t tlb_offset(const struct trans *t)
{
    unsigned mode = t->mode >> 24 & 3;

    return C_OFF(tlbs) + (int)(mode * sizeof(struct tlb_entry) * TLB_SIZE);
}

/* A one-entry TLB does not see a page crossing: only aligned ones go fast. */
static unsigned align_of(const struct access *a)
{
    return TLB_SIZE == 1 && !a->align && a->bytes > 1 ? a->bytes - 1u
                                                      : a->align;
}

/* The register that has a + lo: its base, where that is all, or S0. */
static unsigned lowest(struct trans *t, const struct access *a, int32_t lo)
{
    if (t->wide && is_simple(t, a) && disp_of(a) + lo == 0)
        return emit_get(t, base_of(a), S0);
    emit_linear(t, a, lo, S0);
    return S0;
}

/*
 * jcc if not all of S0's span bytes are on the page of the tag at S1, or S0 is
 * misaligned. S0 XOR the tag is the offset in the page where that is so.
 */
static uint8_t *compare_tag(struct trans *t, unsigned align, unsigned span,
                            int32_t tag)
{
    struct emit *e = t->e;

    if (align || TLB_SIZE == 1) {
        e_alu_imm(e, true, ALU_AND, S0, -4096 | (int32_t)align);
        e_rx(e, true, 0x3b, S0, H_SP, S1, 0, tag);
        return e_jcc_forward(e, 5);
    }
    e_rx(e, true, 0x33, S0, H_SP, S1, 0, tag); /* xor */
    e_alu_imm(e, true, ALU_CMP, S0, (int32_t)(PAGE_SIZE - span));
    return e_jcc_forward(e, 7);
}

static int32_t tag_offset(bool write)
{
    return write ? (int)offsetof(struct tlb_entry, write)
                 : (int)offsetof(struct tlb_entry, read);
}

/* What the stub of a probe must know; lo: of what was probed. */
static struct jit_insn *finish_probe(struct trans *t, struct stub *s,
                                     const struct access *a, int32_t lo,
                                     const uint8_t *retry)
{
    struct jit_insn *ji = trans_insn(t, a->i);

    ji->bytes = a->bytes;
    ji->write = a->write;
    ji->masked = is_masked(a->i);
    ji->at = (int16_t)-lo;
    s->retry = retry;
    s->insn = ji;
    s->access = *a;
    s->group_lo = lo;
    t->in_eflags = false;
    return ji;
}

/*
 * `to` = the addend of the page that holds span bytes at a + lo. S0 and S1 are
 * clobbered, and EFLAGS. keep: S2 = the address.
 */
static struct jit_insn *emit_probe(struct trans *t, const struct access *a,
                                   int32_t lo, unsigned span, bool write,
                                   unsigned to, bool keep)
{
    struct emit *e = t->e;
    unsigned align = align_of(a);
    const uint8_t *retry = emit_here(e);
    struct jit_insn *ji;
    struct stub *s;
    unsigned at;

    if (!t->wide && has_base(t, a)) {
        checked_linear(t, a, lo, span, write, !keep);
        at = S0;
    } else {
        at = lowest(t, a, lo);
    }
    e_rorx(e, S1, at, PAGE_SHIFT - 5);
    e_alu_imm(e, false, ALU_AND, S1, (int32_t)((TLB_SIZE - 1) << 5));
    if (keep)
        e_mov(e, S2, at);
    e_mov(e, S0, at);
    s = trans_stub(
        t, STUB_MEMORY,
        compare_tag(t, align, span, tlb_offset(t) + tag_offset(write)));
    e_rx(e, true, OP_MOV_LOAD, to, H_SP, S1, 0,
         tlb_offset(t) + (int)offsetof(struct tlb_entry, addend));
    ji = finish_probe(t, s, a, lo, retry);
    ji->align = (uint8_t)align;
    return ji;
}

/*
 * The same for an address that is known, and so is its entry: false where it
 * is misaligned or not on one page.
 */
static bool emit_fixed(struct trans *t, const struct access *a, bool restore,
                       struct place *p)
{
    struct emit *e = t->e;
    uint64_t at = fixed_address(t, a->i), page = at & PAGE_MASK;
    size_t slot = page >> PAGE_SHIFT & (TLB_SIZE - 1);
    int32_t entry = tlb_offset(t) + (int)(slot * sizeof(struct tlb_entry));
    const uint8_t *retry = emit_here(e);

    if (has_base(t, a) || a->i->asize == 2 || (at & a->align) ||
        at - page + a->bytes > PAGE_SIZE)
        return false;
    e_mov_imm(e, S0, page);
    e_rm(e, true, 0x39, S0, H_SP, entry + tag_offset(a->write)); /* cmp */
    finish_probe(t, trans_stub(t, STUB_MEMORY, e_jcc_forward(e, 5)), a, 0,
                 retry);
    e_load(e, S1, H_SP, entry + (int)offsetof(struct tlb_entry, addend));
    if (restore) {
        flags_restore(t);
        e_mov_imm(e, S0, page);
    }
    *p = (struct place){S0, S1, (int32_t)(at - page)};
    return true;
}

/* --- groups --- */

void group_moved(struct trans *t, int32_t by)
{
    for (unsigned n = 0; n < GROUPS; n++) {
        struct group *g = &t->group[n];

        if (g->base == RSP)
            g->moved += by;
        /* Only the low half moves, and the addresses have all of it. */
        if (g->base == RSP && g->asize != t->stack)
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

/* ADD or SUB of rsp and a constant. */
static bool moves_rsp(const struct trans *t, const struct insn *i, int32_t *by)
{
    op_fn body = insn_opcode(i)->body;
    const struct operand *o = i->opnd;

    if ((body != op_add && body != op_sub) || o[0].kind != OPND_GPR ||
        o[0].reg != RSP || o[0].size != t->stack || o[1].kind != OPND_IMM ||
        (int64_t)i->imm < -2048 || (int64_t)i->imm > 2048)
        return false;
    *by = body == op_add ? (int32_t)i->imm : -(int32_t)i->imm;
    return true;
}

void group_after(struct trans *t, const struct insn *i)
{
    struct access a;
    int32_t moves;
    uint32_t written = written_gprs(i);

    if (stack_access(t, i, &a, &moves)) {
        written &= ~(1u << RSP); /* group_moved() was told */
    } else if (moves_rsp(t, i, &moves)) {
        group_moved(t, moves);
        return;
    }
    for (unsigned n = 0; n < GROUPS; n++)
        if (written >> t->group[n].base & 1)
            t->group[n].active = false;
}

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
    return is_simple(t, a);
}

/* Does what is emitted for i, no stack access, leave S2 alone? */
static bool keeps_addend(const struct trans *t, const struct insn *i)
{
    op_fn body = insn_opcode(i)->body;

    return !copy_refused(t, i) || body == op_lea || body == op_nop;
}

/* Are a's addresses made as those in g? */
static bool same_space(const struct trans *t, const struct group *g,
                       const struct access *a)
{
    return base_of(a) == g->base &&
           (t->wide ||
            (address_bytes(a) == g->asize && group_segment(t, a) == g->seg));
}

/*
 * Looks ahead from the access at hand for others that could share its check.
 * False when there are none.
 */
static bool plan_group(const struct trans *t, const struct access *first,
                       struct group *g)
{
    unsigned base = base_of(first), shared = 0;
    bool branched = false; /* what follows may not run */
    int32_t moved = 0;

    *g = (struct group){.active = true,
                        .base = (uint8_t)base,
                        .seg = group_segment(t, first),
                        .asize = (uint8_t)address_bytes(first),
                        .lo = disp_of(first),
                        .hi = disp_of(first) + first->bytes,
                        .write = first->write};
    for (unsigned k = t->k; k < t->n; k++) {
        const struct insn *i = &t->insn[k];
        struct access a;
        int32_t moves = 0;

        if (interp_raises(i->fn))
            break;
        if (groupable(t, i, &a, &moves) && same_space(t, g, &a) && !a.align &&
            (k > t->k || a.implied != first->implied)) {
            int32_t lo = moved + disp_of(&a), hi = lo + a.bytes;

            if (branched && a.write && !g->write)
                break;
            if (MAX(hi, g->hi) - MIN(lo, g->lo) > 512)
                break;
            g->lo = MIN(lo, g->lo);
            g->hi = MAX(hi, g->hi);
            g->write |= a.write;
            shared++;
        } else if (insn_opcode(i)->body == op_jcc) {
            branched = true;
        } else if (!moves && k > t->k && !keeps_addend(t, i)) {
            break;
        }
        if (base == RSP && g->asize == t->stack &&
            (moves || moves_rsp(t, i, &moves)))
            moved += moves;
        else if (written_gprs(i) >> base & 1)
            break;
    }
    return shared > 0;
}

static bool covers(const struct trans *t, const struct group *g,
                   const struct access *a)
{
    int32_t at = disp_of(a) + g->moved;

    return g->active && same_space(t, g, a) && at >= g->lo &&
           at + a->bytes <= g->hi && (!a->write || g->write);
}

/* The number of a group that covers it, or GROUPS. */
static unsigned covered(const struct trans *t, const struct access *a)
{
    unsigned n = 0;

    if (!is_simple(t, a) || a->align)
        return GROUPS;
    while (n < GROUPS && !covers(t, &t->group[n], a))
        n++;
    return n;
}

/* addend: not S0 */
static struct place simple_place(struct trans *t, const struct access *a,
                                 unsigned addend)
{
    if (!t->wide) {
        emit_offset(t, a, 0, S0);
        return (struct place){S0, (uint8_t)addend, 0};
    }
    return (struct place){(uint8_t)emit_get(t, base_of(a), S0), (uint8_t)addend,
                          disp_of(a)};
}

static int32_t addend_slot(unsigned n)
{
    return J_OFF(addend) + 8 * (int)n;
}

/* In a group: the register that has the addend. */
static unsigned group_addend(struct trans *t, unsigned n)
{
    if (n == 0)
        return S2;
    e_load(t->e, S1, H_SP, addend_slot(n));
    return S1;
}

/* Begins a group with a; the register that has its addend. */
static unsigned begin_group(struct trans *t, const struct access *a,
                            const struct group *g)
{
    unsigned n = 0, to, span = (unsigned)(g->hi - g->lo);
    struct jit_insn *ji;

    while (n < GROUPS && t->group[n].active)
        n++;
    if (n == GROUPS) /* of those in memory, in turn */
        n = 1 + t->k % (GROUPS - 1);
    to = n ? S1 : S2;
    ji = emit_probe(t, a, g->lo - disp_of(a), span, g->write, to, false);
    ji->span = (uint16_t)span;
    ji->group_write = g->write;
    if (g->seg != NO_BASE) /* add */
        e_rm(t->e, true, 0x03, to, H_SP, base_of_segment(g->seg));
    if (n)
        e_store(t->e, H_SP, addend_slot(n), to);
    t->group[n] = *g;
    return to;
}

static bool may_share(const struct trans *t, const struct access *a)
{
    /* Those beyond 64 KB would not be where a + lo says. */
    if (!t->wide && address_bytes(a) == 2 && has_base(t, a) &&
        !is_roomy(t, segment_of(a), true))
        return false;
    return is_simple(t, a) && !a->align && !is_masked(a->i) && TLB_SIZE > 1 &&
           !(t->mode & MODE_ALONE);
}

struct place emit_access(struct trans *t, const struct access *a, bool restore)
{
    uint16_t needed = flags_needed(t, a->i);
    unsigned n = covered(t, a);
    bool short_form = is_simple(t, a);
    struct group g;
    struct place p;

    if (n < GROUPS) {
        if (restore && !t->in_eflags)
            flags_restore(t);
        return simple_place(t, a, group_addend(t, n));
    }
    flags_yield(t, needed);
    if (has_fixed_address(a) && emit_fixed(t, a, restore, &p))
        return p;
    if (may_share(t, a) && plan_group(t, a, &g)) {
        unsigned addend = begin_group(t, a, &g);

        if (restore)
            flags_restore(t);
        return simple_place(t, a, addend);
    }
    if (!t->wide)
        group_drop_s2(t);
    emit_probe(t, a, 0, a->bytes, a->write, S1, !t->wide);
    if (restore)
        flags_restore(t);
    if (!t->wide)
        return (struct place){S2, S1, 0};
    if (short_form)
        return simple_place(t, a, S1);
    /* The probe consumed the address: once more, keeping the addend. */
    if (!a->implied && a->i->index < 16 && host_of(a->i->index) < 0) {
        group_drop_s2(t);
        e_mov(t->e, S2, S1);
        emit_linear(t, a, 0, S0);
        return (struct place){S0, S2, 0};
    }
    if (!a->implied && a->i->seg >= FS) {
        group_drop_s2(t);
        e_mov(t->e, S2, S1);
        emit_linear(t, a, 0, S0);
        return (struct place){S0, S2, 0};
    }
    emit_linear(t, a, 0, S0);
    return (struct place){S0, S1, 0};
}
