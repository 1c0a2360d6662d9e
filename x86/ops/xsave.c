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

static gva_t area_address(struct cpu *c, const struct insn *i, unsigned n,
                          unsigned alignment, bool write)
{
    gva_t a = op_address(c, i, n, write);

    if (a & (alignment - 1))
        x86_raise_gp0(c);
    return a;
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

/* The slices of vector registers that make up a component. */
struct slices {
    uint8_t first, from, bytes;
};

static struct slices component_slices(unsigned bit)
{
    switch (bit) {
    case XCOMP_SSE: return (struct slices){0, 0, 16};
    case XCOMP_AVX: return (struct slices){0, 16, 16};
    case XCOMP_ZMM_HI256: return (struct slices){0, 32, 32};
    default: return (struct slices){16, 0, 64};
    }
}

static void component_to(const struct x86_state *s, unsigned bit, uint8_t *to,
                         unsigned n)
{
    struct slices v = component_slices(bit);

    if (bit == XCOMP_PKRU)
        store_le64(to, s->pkru);
    else if (bit == XCOMP_OPMASK)
        for (unsigned r = 0; r < 8; r++)
            store_le64(to + 8 * r, s->k[r]);
    else
        for (unsigned r = 0; r * v.bytes < n; r++)
            memcpy(to + r * v.bytes, s->zmm[v.first + r] + v.from, v.bytes);
}

/* from: NULL makes it the initial state. */
static void component_from(struct x86_state *s, unsigned bit,
                           const uint8_t *from, unsigned n)
{
    struct slices v = component_slices(bit);

    if (bit == XCOMP_PKRU)
        s->pkru = from ? load_le32(from) : 0;
    else if (bit == XCOMP_OPMASK)
        for (unsigned r = 0; r < 8; r++)
            s->k[r] = from ? load_le64(from + 8 * r) : 0;
    else
        for (unsigned r = 0; r * v.bytes < n; r++) {
            uint8_t *reg = s->zmm[v.first + r] + v.from;

            if (from)
                memcpy(reg, from + r * v.bytes, v.bytes);
            else
                memset(reg, 0, v.bytes);
        }
}

static bool slices_used(const struct x86_state *s, unsigned bit, unsigned count)
{
    struct slices v = component_slices(bit);
    uint64_t any = 0;

    for (unsigned r = 0; r < count && !any; r++)
        for (unsigned k = 0; k < v.bytes; k += 8)
            any |= load_le64(s->zmm[v.first + r] + v.from + k);
    return any;
}

uint64_t x86_xinuse(const struct cpu *c)
{
    const struct x86_state *s = &c->s;
    uint64_t used = 0, masks = 0;

    if (!fpu_is_initial(s->fxsave))
        used |= BIT64(XCOMP_X87);
    if (s->mxcsr != MXCSR_INIT || slices_used(s, XCOMP_SSE, 16))
        used |= BIT64(XCOMP_SSE);
    if (slices_used(s, XCOMP_AVX, 16))
        used |= BIT64(XCOMP_AVX);
    if (s->pkru)
        used |= BIT64(XCOMP_PKRU);
    if (!(s->xcr0 & XCR0_OPMASK))
        return used;
    for (unsigned r = 0; r < 8; r++)
        masks |= s->k[r];
    if (masks)
        used |= BIT64(XCOMP_OPMASK);
    if (slices_used(s, XCOMP_ZMM_HI256, 16))
        used |= BIT64(XCOMP_ZMM_HI256);
    if (slices_used(s, XCOMP_HI16_ZMM, 16))
        used |= BIT64(XCOMP_HI16_ZMM);
    return used;
}

/* --- FXSAVE, FXRSTOR --- */
void op_fxsave(struct cpu *c, const struct insn *i)
{
    uint8_t area[XSAVE_LEGACY];
    unsigned n = FX_XMM + 16 * low_registers(c);
    gva_t a = area_address(c, i, XSAVE_LEGACY, 16, true);

    fpu_to_area(c, area, wide_form(i));
    store_le32(area + FX_MXCSR, c->s.mxcsr);
    store_le32(area + FX_MXCSR_MASK, MXCSR_DEFINED);
    component_to(&c->s, XCOMP_SSE, area + FX_XMM, n - FX_XMM);
    mem_write_bytes(c, a, area, n);
}

void op_fxrstor(struct cpu *c, const struct insn *i)
{
    uint8_t area[XSAVE_LEGACY];
    unsigned n = FX_XMM + 16 * low_registers(c);
    gva_t a = area_address(c, i, XSAVE_LEGACY, 16, false);
    uint32_t mxcsr;

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

static void save_legacy(struct cpu *c, gva_t a, bool wide, uint64_t save,
                        bool mxcsr)
{
    uint8_t part[16 * 16];

    if (save & XCR0_X87) {
        uint8_t area[FX_X87_SIZE];

        fpu_to_area(c, area, wide);
        mem_write_bytes(c, a, area, FX_MXCSR);
        mem_write_bytes(c, a + FX_ST, area + FX_ST, FX_XMM - FX_ST);
    }
    if (mxcsr) {
        store_le32(part, c->s.mxcsr);
        store_le32(part + 4, MXCSR_DEFINED);
        mem_write_bytes(c, a + FX_MXCSR, part, 8);
    }
    if (save & XCR0_SSE) {
        component_to(&c->s, XCOMP_SSE, part, 16 * low_registers(c));
        mem_write_bytes(c, a + FX_XMM, part, 16 * low_registers(c));
    }
}

static void save_extended(struct cpu *c, gva_t a, struct layout l,
                          uint64_t save)
{
    uint8_t part[1024];

    for (unsigned k = 0; k < XSAVE_COMPONENTS; k++) {
        const struct xsave_component *x = &xsave_components[k];
        unsigned at = component_place(&l, x), n = component_bytes(c, x);

        if (!(save >> x->bit & 1) || !n)
            continue;
        component_to(&c->s, x->bit, part, n);
        mem_write_bytes(c, a + at, part, n);
    }
}

/* optimised: components in their initial state are not written. */
static void xsave(struct cpu *c, const struct insn *i, bool compacted,
                  bool optimised)
{
    uint64_t rfbm = requested(c), used = x86_xinuse(c) & rfbm, header[2];
    uint64_t save = optimised ? used : rfbm;
    struct layout l = {compacted, rfbm, XSAVE_EXTENDED};
    unsigned n = area_size(compacted, rfbm);
    gva_t a = area_address(c, i, n, 64, true);
    bool mxcsr = compacted ? used & XCR0_SSE : rfbm & (XCR0_SSE | XCR0_AVX);

    mem_probe(c, a, n, true);
    if (compacted)
        header[0] = used;
    else
        header[0] = (mem_read(c, a + XSTATE_BV, 8) & ~rfbm) | used;
    header[1] = rfbm | XCOMP_COMPACTED;
    save_legacy(c, a, wide_form(i), save, mxcsr);
    save_extended(c, a, l, save);
    mem_write(c, a + XSTATE_BV, header[0], 8);
    if (compacted)
        mem_write(c, a + XCOMP_BV, header[1], 8);
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
    gva_t a = area_address(c, i, XSAVE_EXTENDED, 64, false);
    unsigned n, low = 16 * low_registers(c);
    struct layout l = {.next = XSAVE_EXTENDED};
    uint32_t mxcsr;

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
