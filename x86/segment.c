/*
 * Segments: limit and type checks of accesses, loads of segment registers in
 * every mode, stacks, and the right to I/O ports. SDM volume 3, chapter 5;
 * volume 1, 19.5.
 */
#include "x86/operand.h"
#include "x86/ops/ops.h"
#include "x86/system.h"

/* --- limits --- */

bool seg_within(const struct x86_seg *s, uint64_t offset, unsigned n)
{
    uint64_t last = offset + n - 1;

    if (s->attr & SEG_UNUSABLE || last < offset)
        return false;
    if ((s->attr & (SEG_S | SEG_CODE | SEG_DOWN)) == (SEG_S | SEG_DOWN))
        return offset > s->limit &&
               last <= (s->attr & SEG_DB ? 0xffffffff : 0xffff);
    /* With a limit of 4 GB addresses wrap, as measured (SDM 5.3). */
    return last <= s->limit || s->limit == 0xffffffff;
}

void seg_check_rip(struct cpu *c, const struct x86_seg *cs, uint64_t rip,
                   unsigned ext)
{
    bool ok;

    if (in_long_mode(c) && (cs->attr & SEG_L))
        ok = x86_canonical(c, rip);
    else
        ok = rip <= cs->limit;
    if (!ok)
        x86_raise_error(c, EXC_GP, ext);
}

/* Types count in protected mode only: in real mode CS can be written. */
static bool type_allows(const struct cpu *c, const struct x86_seg *s,
                        bool write)
{
    if (!in_protected(c))
        return true;
    if (seg_is_code(s))
        return !write && (s->attr & SEG_READ);
    return !write || (s->attr & SEG_WRITE);
}

gva_t x86_linear_checked(struct cpu *c, unsigned seg, uint64_t offset,
                         unsigned n, bool write)
{
    enum {
        MASK = SEG_UNUSABLE | SEG_S | SEG_CODE | SEG_DOWN | SEG_WRITE,
        PLAIN = SEG_S | SEG_WRITE,
    };
    const struct x86_seg *s = &c->s.seg[seg];
    bool ok;
    gva_t a;

    /* Nearly always: data that may be written and grows up. */
    if (likely((s->attr & MASK) == PLAIN && offset + n - 1 <= s->limit &&
               offset <= s->limit && !in_code64(c)))
        return (uint32_t)(s->base + offset);
    if (in_code64(c)) {
        a = offset + (seg >= FS ? s->base : 0);
        ok = x86_canonical(c, a) && x86_canonical(c, a + n - 1);
    } else {
        a = (uint32_t)(s->base + offset);
        ok = seg_within(s, offset, n) && type_allows(c, s, write);
    }
    if (!ok)
        x86_raise_error(c, seg == SS ? EXC_SS : EXC_GP, 0);
    return a;
}

/* --- what may be loaded --- */

struct x86_seg seg_null(uint16_t sel, unsigned dpl)
{
    return (struct x86_seg){.sel = sel,
                            .attr = SEG_UNUSABLE | dpl << SEG_DPL_SHIFT};
}

enum { ATTR_REAL = SEG_P | SEG_S | SEG_WRITE | SEG_ACCESSED };

/*
 * Real mode keeps what the register had of limit and attributes ("unreal"
 * mode); virtual-8086 mode has one fixed set of them.
 */
struct x86_seg seg_real(const struct cpu *c, unsigned n, uint16_t sel)
{
    struct x86_seg s = c->s.seg[n];

    s.sel = sel;
    s.base = (uint64_t)sel << 4;
    if (in_vm86(c)) {
        s.limit = 0xffff;
        s.attr = ATTR_REAL | SEG_DPL;
    } else if (s.attr & SEG_UNUSABLE) {
        s.limit = 0xffff;
        s.attr = ATTR_REAL;
    }
    return s;
}

struct x86_seg seg_check_data(struct cpu *c, uint16_t sel, unsigned cpl,
                              unsigned vector, unsigned ext)
{
    struct x86_seg s = desc_segment(sel, desc_get(c, sel, vector, ext));
    bool code = seg_is_code(&s);

    if (code ? !(s.attr & SEG_READ) : !seg_is_data(&s))
        x86_raise_selector(c, vector, sel, ext);
    if (!(code && seg_conforming(&s)) &&
        (sel_rpl(sel) > seg_dpl(&s) || cpl > seg_dpl(&s)))
        x86_raise_selector(c, vector, sel, ext);
    if (!seg_present(&s))
        x86_raise_selector(c, EXC_NP, sel, ext);
    desc_accessed(c, &s);
    return s;
}

struct x86_seg seg_check_stack(struct cpu *c, uint16_t sel, unsigned cpl,
                               unsigned vector, unsigned ext)
{
    struct x86_seg s = desc_segment(sel, desc_get(c, sel, vector, ext));

    if (sel_rpl(sel) != cpl || seg_dpl(&s) != cpl || !seg_is_data(&s) ||
        !(s.attr & SEG_WRITE))
        x86_raise_selector(c, vector, sel, ext);
    if (!seg_present(&s))
        x86_raise_selector(c, EXC_SS, sel, ext);
    desc_accessed(c, &s);
    return s;
}

static struct x86_seg check_null(struct cpu *c, unsigned n, uint16_t sel)
{
    unsigned cpl = c->s.cpl;

    if (n != SS)
        return seg_null(sel, 0);
    if (!in_code64(c) || cpl == 3 || sel_rpl(sel) != cpl)
        x86_raise_gp0(c);
    return seg_null(sel, cpl);
}

void seg_load(struct cpu *c, unsigned n, uint16_t sel)
{
    struct x86_seg s;

    if (!in_protected(c))
        s = seg_real(c, n, sel);
    else if (sel_null(sel))
        s = check_null(c, n, sel);
    else if (n == SS)
        s = seg_check_stack(c, sel, c->s.cpl, EXC_GP, 0);
    else
        s = seg_check_data(c, sel, c->s.cpl, EXC_GP, 0);
    c->s.seg[n] = s;
    x86_mode_changed(c);
}

/* --- stacks --- */

struct stack stack_make(const struct x86_seg *ss, uint64_t sp, bool code64,
                        uint32_t error)
{
    return (struct stack){
        .seg = *ss,
        .sp = sp,
        .mask = code64              ? ~0ull
                : ss->attr & SEG_DB ? 0xffffffff
                                    : 0xffff,
        .error = error,
    };
}

struct stack stack_current(struct cpu *c)
{
    return stack_make(&c->s.seg[SS], c->s.gpr[RSP], in_code64(c), 0);
}

static bool stack_is64(const struct stack *k)
{
    return k->mask == ~0ull;
}

static bool stack_holds(const struct cpu *c, const struct stack *k,
                        uint64_t offset, unsigned n)
{
    if (stack_is64(k))
        return x86_canonical(c, offset) && x86_canonical(c, offset + n - 1);
    return seg_within(&k->seg, offset & k->mask, n);
}

static gva_t stack_linear(struct cpu *c, const struct stack *k, uint64_t offset,
                          unsigned n)
{
    if (!stack_holds(c, k, offset, n))
        x86_raise_error(c, EXC_SS, k->error);
    if (stack_is64(k))
        return offset;
    return (uint32_t)(k->seg.base + (offset & k->mask));
}

void stack_need(struct cpu *c, const struct stack *k, unsigned count,
                unsigned n)
{
    for (unsigned i = 1; i <= count; i++)
        stack_linear(c, k, k->sp - (uint64_t)i * n, n);
}

void stack_push(struct cpu *c, struct stack *k, uint64_t v, unsigned n)
{
    uint64_t sp = k->sp - n;

    mem_write(c, stack_linear(c, k, sp, n), v, n);
    k->sp = sp;
}

uint64_t stack_pop(struct cpu *c, struct stack *k, unsigned n)
{
    uint64_t v = mem_read(c, stack_linear(c, k, k->sp, n), n);

    k->sp += n;
    return v;
}

void frame_push(struct cpu *c, struct stack *k, const struct frame *f,
                unsigned size)
{
    for (unsigned i = 0; i < f->n; i++)
        stack_push(c, k, f->word[i], size);
}

void stack_done(struct cpu *c, const struct stack *k)
{
    uint64_t *rsp = &c->s.gpr[RSP];

    if (k->mask == 0xffff)
        *rsp = (*rsp & ~0xffffull) | (k->sp & 0xffff);
    else
        *rsp = k->sp & k->mask;
}

/* --- instructions --- */

/* Interrupts, NMIs and #DB wait until the instruction after this one. */
static void shadow(struct cpu *c, unsigned n)
{
    if (n == SS)
        c->s.movss_shadow = true;
}

void op_mov_to_sreg(struct cpu *c, const struct insn *i)
{
    unsigned n = i->opnd[0].reg;

    if (n == CS || n > GS)
        x86_raise(c, EXC_UD);
    seg_load(c, n, (uint16_t)op_read(c, i, 1));
    shadow(c, n);
}

void op_mov_from_sreg(struct cpu *c, const struct insn *i)
{
    if (i->opnd[1].reg > GS)
        x86_raise(c, EXC_UD);
    op_write(c, i, 0, c->s.seg[i->opnd[1].reg].sel);
}

/* With 32-bit operands current CPUs write the low half of the slot only. */
void op_push_sreg(struct cpu *c, const struct insn *i)
{
    unsigned n = i->osize, written = n == 8 ? 8 : 2;
    struct stack k = stack_current(c);
    uint16_t sel = c->s.seg[i->opnd[0].reg].sel;

    k.sp -= n - written;
    stack_push(c, &k, sel, written);
    stack_done(c, &k);
}

void op_pop_sreg(struct cpu *c, const struct insn *i)
{
    unsigned n = i->opnd[0].reg;
    struct stack k = stack_current(c);

    seg_load(c, n, (uint16_t)stack_pop(c, &k, i->osize));
    stack_done(c, &k);
    shadow(c, n);
}

/* LDS, LES, LFS, LGS, LSS: memory is the offset, then the selector. */
void op_lxs(struct cpu *c, const struct insn *i)
{
    unsigned size = i->osize, n;
    gva_t a = op_address(c, i, size + 2, false);
    uint64_t offset = mem_read(c, a, size);
    uint16_t sel = (uint16_t)mem_read(c, a + size, 2);

    switch (i->code) {
    case 0xc4: n = ES; break;
    case 0xc5: n = DS; break;
    case 0xb2: n = SS; break;
    case 0xb4: n = FS; break;
    default: n = GS; break;
    }
    seg_load(c, n, sel);
    gpr_write(c, i->opnd[0].reg, size, offset);
}

/* --- I/O permission --- */

static bool io_bitmap_allows(struct cpu *c, uint16_t port, unsigned n)
{
    const struct x86_seg *tr = &c->s.tr;
    uint64_t at;
    unsigned permissions;

    if (!(seg_type(tr) & SYS_32) || tr->limit < 0x67)
        return false;
    at = mem_read_system(c, tr->base + 0x66, 2) + port / 8;
    if (at + 1 > tr->limit) /* two bytes are read, always */
        return false;
    permissions = (unsigned)mem_read_system(c, tr->base + at, 2);
    return !(permissions >> port % 8 & mask_low(n));
}

void x86_io_check(struct cpu *c, uint16_t port, unsigned n)
{
    unsigned iopl = (unsigned)(c->s.rflags & FLAG_IOPL) >> 12;

    if ((c->mode_key & MODE_PE) && (in_vm86(c) || c->s.cpl > iopl) &&
        !io_bitmap_allows(c, port, n))
        x86_raise_gp0(c);
    if (c->has_breakpoints)
        x86_io_breakpoint(c, port, n);
}
