/* Memory accesses: addresses, and the inline probes of the TLB. */
#include "engine/jit/translate.h"
#include "x86/ops/ops.h"

/* --- addresses --- */

bool has_fixed_address(const struct access *a)
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

unsigned segment_of(const struct access *a)
{
    return a->implied ? a->seg : a->i->seg;
}

unsigned address_bytes(const struct access *a)
{
    return a->implied ? a->asize : a->i->asize;
}

bool has_base(const struct trans *t, const struct access *a)
{
    unsigned seg = segment_of(a);

    if (seg >= FS || jit_is_segmented(t->mode))
        return true;
    return !t->wide && seg == CS && a->write; /* to be refused */
}

bool is_simple(const struct trans *t, const struct access *a)
{
    if (a->implied)
        return true;
    if (a->i->base >= 16 || a->i->index != REG_NONE)
        return false;
    return !t->wide || (a->i->seg < FS && a->i->asize == 8);
}

unsigned base_of(const struct access *a)
{
    return a->implied ? a->reg : a->i->base;
}

int32_t disp_of(const struct access *a)
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

bool is_roomy(const struct trans *t, unsigned seg, bool write)
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
unsigned align_of(const struct access *a)
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
 * jcc if S0, an address XOR a tag, is not the offset in the tag's page of
 * something as large and as aligned as that.
 */
static uint8_t *if_outside(struct trans *t, const struct extent *x)
{
    struct emit *e = t->e;
    uint32_t last = PAGE_SIZE - x->span;

    if (x->align) { /* bits that must be zero become the highest */
        unsigned n = (unsigned)__builtin_popcount(x->align);

        e_rex(e, true, 0, 0, S0); /* ror S0, n */
        e8(e, 0xc1);
        e8(e, 0xc8 | (S0 & 7));
        e8(e, n);
        last >>= n;
    }
    e_alu_imm(e, true, ALU_CMP, S0, (int32_t)last);
    return e_jcc_forward(e, 7);
}

/* jcc if what is at S0 is not all on the page of the tag at S1, or misaligned.
 */
static uint8_t *compare_tag(struct trans *t, const struct extent *x,
                            int32_t tag)
{
    struct emit *e = t->e;

    if (TLB_SIZE == 1 || (x->align && x->span <= x->align + 1u)) {
        e_alu_imm(e, true, ALU_AND, S0, -4096 | (int32_t)x->align);
        e_rx(e, true, 0x3b, S0, H_SP, S1, 0, tag);
        return e_jcc_forward(e, 5);
    }
    e_rx(e, true, 0x33, S0, H_SP, S1, 0, tag); /* xor */
    return if_outside(t, x);
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

struct jit_insn *emit_probe(struct trans *t, const struct access *a, int32_t lo,
                            const struct extent *x, unsigned to, bool keep)
{
    struct emit *e = t->e;
    const uint8_t *retry = emit_here(e);
    struct jit_insn *ji;
    struct stub *s;
    unsigned at;

    if (!t->wide && has_base(t, a)) {
        checked_linear(t, a, lo, x->span, x->write, !keep);
        at = S0;
    } else {
        at = lowest(t, a, lo);
    }
    e_rorx(e, S1, at, PAGE_SHIFT - 5);
    e_alu_imm(e, false, ALU_AND, S1, (int32_t)((TLB_SIZE - 1) << 5));
    if (keep)
        e_mov(e, S2, at);
    e_mov(e, S0, at);
    s = trans_stub(t, STUB_MEMORY,
                   compare_tag(t, x, tlb_offset(t) + tag_offset(x->write)));
    e_rx(e, true, OP_MOV_LOAD, to, H_SP, S1, 0,
         tlb_offset(t) + (int)offsetof(struct tlb_entry, addend));
    ji = finish_probe(t, s, a, lo, retry);
    ji->align = x->align;
    return ji;
}

bool emit_fixed(struct trans *t, const struct access *a, bool restore,
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

/* --- the stack's page --- */

struct jit_insn *emit_stack_probe(struct trans *t, const struct access *a,
                                  int32_t lo, const struct extent *x)
{
    struct emit *e = t->e;
    const uint8_t *retry = emit_here(e);
    struct jit_insn *ji;
    struct stub *s;

    emit_linear(t, a, lo, S0);
    e_rm(e, true, 0x33, S0, H_SP, C_OFF(stack.page)); /* xor */
    s = trans_stub(t, STUB_STACK, if_outside(t, x));
    e_load(e, S2, H_SP, C_OFF(stack.addend));
    ji = finish_probe(t, s, a, lo, retry);
    ji->align = x->align;
    s->hit = emit_here(e);
    s->extent = *x;
    return ji;
}
