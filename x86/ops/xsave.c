/*
 * FXSAVE, XSAVE and their kind; LDMXCSR, STMXCSR (SDM volume 1, 10.5 and
 * chapter 13).
 */
#include "x86/xsave.h"

#include "x86/fpu.h"
#include "x86/operand.h"
#include "x86/ops/ops.h"

const struct xsave_component xsave_components[XSAVE_COMPONENTS] = {
    {XCOMP_AVX, 576, 256},        {XCOMP_OPMASK, 1088, 64},
    {XCOMP_ZMM_HI256, 1152, 512}, {XCOMP_HI16_ZMM, 1664, 1024},
    {XCOMP_PKRU, 2688, 8},
};

enum { XSTATE_BV = 512, XCOMP_BV = 520, HEADER_REST = 528 };
#define XCOMP_COMPACTED (1ull << 63)

static bool wide_form(const struct insn *i)
{
    return i->osize == 8;
}

/* XMM, YMM and ZMM registers beyond 7 exist in 64-bit code only. */
static unsigned low_registers(const struct cpu *c)
{
    return in_code64(c) ? 16 : 8;
}

/* The rows have none of the checks of x87 or SSE: these differ a little. */
static void check_fxsave(struct cpu *c)
{
    if (c->s.cr0 & CR0_EM)
        x86_raise(c, EXC_UD);
    if (c->s.cr0 & CR0_TS)
        x86_raise(c, EXC_NM);
}

static void check_xsave(struct cpu *c)
{
    if (!(c->s.cr4 & CR4_OSXSAVE))
        x86_raise(c, EXC_UD);
    if (c->s.cr0 & CR0_TS)
        x86_raise(c, EXC_NM);
}

static gva_t area_address(struct cpu *c, const struct insn *i, unsigned n,
                          unsigned alignment, bool write)
{
    gva_t a = op_address(c, i, n, false);

    /* As measured (the SDM leaves it open): before it matters whether the
       segment may be written, but not what #SS is for. */
    if (a & (alignment - 1)) {
        mem_check_address(c, a, 1);
        mem_check_alignment(c, a, 4);
        x86_raise_gp0(c);
    }
    return write ? op_address(c, i, n, true) : a;
}

/* --- one component in its place, to and from the area --- */
/* Bytes that a component takes part with in the current mode. */
static unsigned component_bytes(const struct cpu *c,
                                const struct xsave_component *x)
{
    if (in_code64(c) || x->bit == XCOMP_OPMASK || x->bit == XCOMP_PKRU)
        return x->size;
    return x->bit == XCOMP_HI16_ZMM ? 0 : x->size / 2;
}

/*
 * The part of each vector register that makes up a component: n bytes from
 * `from`, of registers first and up. Sizes are constants where this is
 * inlined: a copy of any size would be a slow string instruction.
 */
static ALWAYS_INLINE void slices_to(const struct x86_state *s, uint8_t *to,
                                    unsigned first, unsigned from, unsigned n,
                                    unsigned count)
{
    for (unsigned r = 0; r < count; r++)
        memcpy(to + r * n, s->zmm[first + r] + from, n);
}

static ALWAYS_INLINE void slices_from(struct x86_state *s, const uint8_t *p,
                                      unsigned first, unsigned from, unsigned n,
                                      unsigned count)
{
    static const uint8_t zero[64];
    unsigned step = p ? n : 0;

    if (!p)
        p = zero;
    for (unsigned r = 0; r < count; r++, p += step)
        memcpy(s->zmm[first + r] + from, p, n);
}

static ALWAYS_INLINE bool slices_used(const struct x86_state *s, unsigned first,
                                      unsigned from, unsigned n)
{
    uint64_t any = 0;

    for (unsigned r = 0; r < 16 && !any; r++)
        for (unsigned k = 0; k < n; k += 8)
            any |= load_le64(s->zmm[first + r] + from + k);
    return any;
}

static void component_to(const struct x86_state *s, unsigned bit, uint8_t *to,
                         unsigned n)
{
    switch (bit) {
    case XCOMP_SSE: slices_to(s, to, 0, 0, 16, n / 16); break;
    case XCOMP_AVX: slices_to(s, to, 0, 16, 16, n / 16); break;
    case XCOMP_OPMASK:
        for (unsigned r = 0; r < 8; r++)
            store_le64(to + 8 * r, s->k[r]);
        break;
    case XCOMP_ZMM_HI256: slices_to(s, to, 0, 32, 32, n / 32); break;
    case XCOMP_HI16_ZMM: slices_to(s, to, 16, 0, 64, n / 64); break;
    default: store_le64(to, s->pkru); break;
    }
}

/* from: NULL makes it the initial state. */
static void component_from(struct x86_state *s, unsigned bit,
                           const uint8_t *from, unsigned n)
{
    switch (bit) {
    case XCOMP_SSE: slices_from(s, from, 0, 0, 16, n / 16); break;
    case XCOMP_AVX: slices_from(s, from, 0, 16, 16, n / 16); break;
    case XCOMP_OPMASK:
        for (unsigned r = 0; r < 8; r++)
            s->k[r] = from ? load_le64(from + 8 * r) : 0;
        break;
    case XCOMP_ZMM_HI256: slices_from(s, from, 0, 32, 32, n / 32); break;
    case XCOMP_HI16_ZMM: slices_from(s, from, 16, 0, 64, n / 64); break;
    default: s->pkru = from ? load_le32(from) : 0; break;
    }
}

uint64_t x86_xinuse(const struct cpu *c)
{
    const struct x86_state *s = &c->s;
    uint64_t used = 0, masks = 0;

    if (!fpu_is_initial(s->fxsave))
        used |= BIT64(XCOMP_X87);
    if (s->mxcsr != MXCSR_INIT || slices_used(s, 0, 0, 16))
        used |= BIT64(XCOMP_SSE);
    if (slices_used(s, 0, 16, 16))
        used |= BIT64(XCOMP_AVX);
    if (s->pkru)
        used |= BIT64(XCOMP_PKRU);
    if (!(s->xcr0 & XCR0_OPMASK))
        return used;
    for (unsigned r = 0; r < 8; r++)
        masks |= s->k[r];
    if (masks)
        used |= BIT64(XCOMP_OPMASK);
    if (slices_used(s, 0, 32, 32))
        used |= BIT64(XCOMP_ZMM_HI256);
    if (in_code64(c) && slices_used(s, 16, 0, 64)) /* elsewhere never */
        used |= BIT64(XCOMP_HI16_ZMM);
    return used;
}

/* --- FXSAVE, FXRSTOR --- */
void op_fxsave(struct cpu *c, const struct insn *i)
{
    uint8_t area[XSAVE_LEGACY];
    unsigned n = FX_XMM + 16 * low_registers(c);
    gva_t a;

    check_fxsave(c);
    a = area_address(c, i, XSAVE_LEGACY, 16, true);
    fpu_to_area(c, area, wide_form(i));
    store_le32(area + FX_MXCSR, c->s.mxcsr);
    store_le32(area + FX_MXCSR_MASK, MXCSR_DEFINED);
    component_to(&c->s, XCOMP_SSE, area + FX_XMM, n - FX_XMM);
    mem_probe(c, a, XSAVE_LEGACY, true); /* also what is not written */
    mem_write_bytes(c, a, area, n);
}

void op_fxrstor(struct cpu *c, const struct insn *i)
{
    uint8_t area[XSAVE_LEGACY];
    unsigned n = FX_XMM + 16 * low_registers(c);
    uint32_t mxcsr;
    gva_t a;

    check_fxsave(c);
    a = area_address(c, i, XSAVE_LEGACY, 16, false);
    mem_probe(c, a, XSAVE_LEGACY, false);
    mem_read_bytes(c, a, area, n);
    mxcsr = load_le32(area + FX_MXCSR);
    if (mxcsr & ~MXCSR_DEFINED)
        x86_raise_gp0(c);
    fpu_from_area(c, area, wide_form(i));
    if (!(c->s.cr4 & CR4_OSFXSR))
        return;
    c->s.mxcsr = mxcsr;
    component_from(&c->s, XCOMP_SSE, area + FX_XMM, n - FX_XMM);
}

/* --- MXCSR alone --- */
void op_ldmxcsr(struct cpu *c, const struct insn *i)
{
    uint32_t v = (uint32_t)mem_read(c, op_address(c, i, 4, false), 4);

    if (v & ~MXCSR_DEFINED)
        x86_raise_gp0(c);
    c->s.mxcsr = v;
}

void op_stmxcsr(struct cpu *c, const struct insn *i)
{
    mem_write(c, op_address(c, i, 4, true), c->s.mxcsr, 4);
}

/* --- XSAVE, XSAVEOPT, XSAVEC --- */
/* The components that EDX:EAX and XCR0 ask for. */
static uint64_t requested(const struct cpu *c)
{
    uint64_t mask = (c->s.gpr[RDX] << 32) | (uint32_t)c->s.gpr[RAX];

    return mask & c->s.xcr0;
}

/*
 * Walks the extended components in their order. present: those that have a
 * place; in the standard format that is all.
 */
struct layout {
    bool compacted;
    uint64_t present;
    unsigned next; /* end of the ones walked */
};

static unsigned component_place(struct layout *l,
                                const struct xsave_component *x)
{
    unsigned at = l->compacted ? l->next : x->offset;

    if (!l->compacted || (l->present >> x->bit & 1))
        l->next = at + x->size;
    return at;
}

static unsigned area_size(bool compacted, uint64_t present)
{
    struct layout l = {compacted, present, XSAVE_EXTENDED};
    unsigned end = XSAVE_EXTENDED;

    for (unsigned k = 0; k < XSAVE_COMPONENTS; k++) {
        component_place(&l, &xsave_components[k]);
        if (present >> xsave_components[k].bit & 1)
            end = l.next;
    }
    return end;
}

/* An area on its way to memory. What lies side by side is written at once. */
struct saving {
    struct cpu *c;
    gva_t a;
    unsigned start, end; /* bytes not yet written */
    uint8_t area[XSAVE_MAX];
};

static void save_flush(struct saving *v)
{
    if (v->end > v->start)
        mem_write_bytes(v->c, v->a + v->start, v->area + v->start,
                        v->end - v->start);
}

/* The place of n bytes at `at`, which are to be filled in. */
static uint8_t *save_part(struct saving *v, unsigned at, unsigned n)
{
    if (at != v->end) {
        save_flush(v);
        v->start = at;
    }
    v->end = at + n;
    return v->area + at;
}

static void save_legacy(struct saving *v, bool wide, uint64_t save, bool mxcsr)
{
    struct cpu *c = v->c;
    uint8_t x87[FX_X87_SIZE];
    unsigned n = 16 * low_registers(c);

    if (save & XCR0_X87) {
        fpu_to_area(c, x87, wide);
        memcpy(save_part(v, 0, FX_MXCSR), x87, FX_MXCSR);
    }
    if (mxcsr) {
        uint8_t *p = save_part(v, FX_MXCSR, 8);

        store_le32(p, c->s.mxcsr);
        store_le32(p + 4, MXCSR_DEFINED);
    }
    if (save & XCR0_X87)
        memcpy(save_part(v, FX_ST, FX_XMM - FX_ST), x87 + FX_ST,
               FX_XMM - FX_ST);
    if (save & XCR0_SSE)
        component_to(&c->s, XCOMP_SSE, save_part(v, FX_XMM, n), n);
}

static void save_extended(struct saving *v, struct layout l, uint64_t save)
{
    for (unsigned k = 0; k < XSAVE_COMPONENTS; k++) {
        const struct xsave_component *x = &xsave_components[k];
        unsigned at = component_place(&l, x), n = component_bytes(v->c, x);

        if ((save >> x->bit & 1) && n)
            component_to(&v->c->s, x->bit, save_part(v, at, n), n);
    }
}

/* optimised: components in their initial state are not written. */
static void xsave(struct cpu *c, const struct insn *i, bool compacted,
                  bool optimised)
{
    uint64_t rfbm = requested(c), used = x86_xinuse(c) & rfbm, bv = used;
    uint64_t save = optimised ? used : rfbm;
    struct layout l = {compacted, rfbm, XSAVE_EXTENDED};
    unsigned n = area_size(compacted, rfbm);
    bool mxcsr = compacted ? used & XCR0_SSE : rfbm & (XCR0_SSE | XCR0_AVX);
    struct saving v;

    check_xsave(c);
    v.c = c;
    v.a = area_address(c, i, n, 64, true);
    v.start = v.end = 0;
    mem_probe(c, v.a, n, true);
    if (!compacted)
        bv |= mem_read(c, v.a + XSTATE_BV, 8) & ~rfbm;
    save_legacy(&v, wide_form(i), save, mxcsr);
    store_le64(save_part(&v, XSTATE_BV, 8), bv);
    if (compacted)
        store_le64(save_part(&v, XCOMP_BV, 8), rfbm | XCOMP_COMPACTED);
    save_extended(&v, l, save);
    save_flush(&v);
}

void op_xsave(struct cpu *c, const struct insn *i)
{
    xsave(c, i, false, false);
}

void op_xsaveopt(struct cpu *c, const struct insn *i)
{
    xsave(c, i, false, true);
}

void op_xsavec(struct cpu *c, const struct insn *i)
{
    xsave(c, i, true, true);
}

/* --- XRSTOR --- */
/* SDM volume 1, 13.8.1 and 13.8.2: what must hold for the header. */
static bool header_valid(const struct cpu *c, const uint8_t *area)
{
    uint64_t bv = load_le64(area + XSTATE_BV);
    uint64_t comp = load_le64(area + XCOMP_BV), rest = 0;
    unsigned end = comp & XCOMP_COMPACTED ? XSAVE_EXTENDED : 536;

    for (unsigned k = HEADER_REST; k < end; k += 8)
        rest |= load_le64(area + k);
    if (rest)
        return false;
    if (!(comp & XCOMP_COMPACTED))
        return !comp && !(bv & ~c->s.xcr0);
    comp &= ~XCOMP_COMPACTED;
    return feature_has(&c->model->features, FEAT_XSAVEC) &&
           !(comp & ~c->s.xcr0) && !(bv & ~comp);
}

/* Where MXCSR comes from: memory, its initial value, or it stays. */
static uint32_t new_mxcsr(const struct cpu *c, const uint8_t *area,
                          uint64_t rfbm, bool compacted)
{
    uint64_t bv = load_le64(area + XSTATE_BV);

    if (!(rfbm & (compacted ? XCR0_SSE : XCR0_SSE | XCR0_AVX)))
        return c->s.mxcsr;
    if (compacted && !(bv & XCR0_SSE))
        return MXCSR_INIT;
    return load_le32(area + FX_MXCSR);
}

static void restore_extended(struct cpu *c, const uint8_t *area,
                             struct layout l, uint64_t rfbm, uint64_t load)
{
    uint32_t pkru = c->s.pkru;

    for (unsigned k = 0; k < XSAVE_COMPONENTS; k++) {
        const struct xsave_component *x = &xsave_components[k];
        unsigned at = component_place(&l, x);

        if (rfbm >> x->bit & 1)
            component_from(&c->s, x->bit, load >> x->bit & 1 ? area + at : NULL,
                           component_bytes(c, x));
    }
    if (c->s.pkru != pkru)
        tlb_flush_all(c);
}

void op_xrstor(struct cpu *c, const struct insn *i)
{
    uint8_t area[XSAVE_MAX];
    uint64_t rfbm = requested(c), load;
    unsigned n, low = 16 * low_registers(c);
    struct layout l = {.next = XSAVE_EXTENDED};
    uint32_t mxcsr;
    gva_t a;

    check_xsave(c);
    a = area_address(c, i, XSAVE_EXTENDED, 64, false);
    mem_read_bytes(c, a, area, XSAVE_EXTENDED);
    if (!header_valid(c, area))
        x86_raise_gp0(c);
    load = rfbm & load_le64(area + XSTATE_BV);
    l.present = load_le64(area + XCOMP_BV);
    l.compacted = l.present & XCOMP_COMPACTED;
    n = area_size(l.compacted, l.compacted ? l.present & c->s.xcr0 : load);
    if (n > XSAVE_EXTENDED) {
        area_address(c, i, n, 64, false);
        mem_read_bytes(c, a + XSAVE_EXTENDED, area + XSAVE_EXTENDED,
                       n - XSAVE_EXTENDED);
    }
    mxcsr = new_mxcsr(c, area, rfbm, l.compacted);
    if (mxcsr & ~MXCSR_DEFINED)
        x86_raise_gp0(c);

    c->s.mxcsr = mxcsr;
    if (load & XCR0_X87)
        fpu_from_area(c, area, wide_form(i));
    else if (rfbm & XCR0_X87)
        fpu_reset(c->s.fxsave);
    if (rfbm & XCR0_SSE)
        component_from(&c->s, XCOMP_SSE, load & XCR0_SSE ? area + FX_XMM : NULL,
                       low);
    restore_extended(c, area, l, rfbm, load);
}
