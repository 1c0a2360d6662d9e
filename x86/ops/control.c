/*
 * Control registers: MOV CR, CLTS, LMSW, SMSW, and what a change of theirs
 * entails: paging and IA-32e mode on and off, PDPTEs, TLB. SDM volume 3, 2.5,
 * 4.1, 4.4.1, 4.10.4, 10.8.5; MOV CR in volume 2.
 */
#include "lodge/host.h"
#include "x86/operand.h"
#include "x86/ops/ops.h"
#include "x86/outside.h"
#include "x86/system.h"

#define CR0_KNOWN                                                              \
    (CR0_PE | CR0_MP | CR0_EM | CR0_TS | CR0_ET | CR0_NE | CR0_WP | CR0_AM |   \
     CR0_NW | CR0_CD | CR0_PG)
#define CR3_NO_FLUSH BIT64(63)

/* --- PDPTEs --- */

static bool pae_paging(uint64_t cr0, uint64_t cr4, uint64_t efer)
{
    return (cr0 & CR0_PG) && (cr4 & CR4_PAE) && !(efer & (EFER_LMA | EFER_LME));
}

/* False: a present one has reserved bits set. */
static bool read_pdptes(struct cpu *c, uint64_t cr3, uint64_t out[4])
{
    uint64_t reserved = 0x1e6 | ~mask_low(c->model->phys_bits);
    uint64_t mask = atomic_load(&c->vcpu->a20_mask);
    gpa_t a = cr3 & 0xffffffe0;

    for (unsigned n = 0; n < 4; n++) {
        out[n] = x86_outside_read(c, OUTSIDE_DEVICE, (a + 8 * n) & mask, 8);
        if ((out[n] & 1) && (out[n] & reserved))
            return false;
    }
    return true;
}

/* Before a change that reloads them: #GP(0), or out has them. */
static void get_pdptes(struct cpu *c, uint64_t out[4])
{
    if (!read_pdptes(c, c->s.cr3, out))
        x86_raise_gp0(c);
}

static void set_pdptes(struct cpu *c, const uint64_t pdpte[4])
{
    for (unsigned n = 0; n < 4; n++)
        c->s.pdpte[n] = pdpte[n];
}

/* --- CR0 --- */

/* May paging be switched on or off here? (SDM 10.8.5) */
static void check_paging_switch(struct cpu *c, bool on)
{
    const struct x86_state *s = &c->s;

    if (on && (s->efer & EFER_LME)) {
        if (!(s->cr4 & CR4_PAE) || (s->seg[CS].attr & SEG_L) ||
            !(seg_type(&s->tr) & SYS_32))
            x86_raise_gp0(c);
    }
    if (!on && (in_code64(c) || (s->cr4 & CR4_PCIDE)))
        x86_raise_gp0(c);
}

static void write_cr0(struct cpu *c, uint64_t v)
{
    uint64_t old = c->s.cr0, changed, pdpte[4];
    bool reload;

    v = (v & CR0_KNOWN) | CR0_ET;
    changed = v ^ old;
    if (((v & CR0_PG) && !(v & CR0_PE)) || ((v & CR0_NW) && !(v & CR0_CD)))
        x86_raise_gp0(c);
    if (changed & CR0_PG)
        check_paging_switch(c, v & CR0_PG);
    reload = (changed & (CR0_PG | CR0_CD | CR0_NW)) &&
             pae_paging(v, c->s.cr4, c->s.efer);
    if (reload) {
        get_pdptes(c, pdpte);
        set_pdptes(c, pdpte);
    }
    c->s.cr0 = v;
    if ((v & CR0_PG) && (c->s.efer & EFER_LME))
        c->s.efer |= EFER_LMA;
    else
        c->s.efer &= ~(uint64_t)EFER_LMA;
    x86_mode_changed(c);
    /* PE changes only while nothing is translated. */
    if (changed & (CR0_PG | CR0_WP))
        tlb_flush_all(c);
}

/* --- CR3 --- */

bool x86_load_cr3(struct cpu *c, uint64_t cr3)
{
    uint64_t pdpte[4];

    if (pae_paging(c->s.cr0, c->s.cr4, c->s.efer)) {
        if (!read_pdptes(c, cr3, pdpte))
            return false;
        set_pdptes(c, pdpte);
    }
    c->s.cr3 = cr3;
    tlb_flush_nonglobal(c);
    return true;
}

static void write_cr3(struct cpu *c, uint64_t v)
{
    bool keep = (c->s.cr4 & CR4_PCIDE) && (v & CR3_NO_FLUSH);

    if (keep)
        v &= ~CR3_NO_FLUSH;
    if (v & ~mask_low(c->model->phys_bits))
        x86_raise_gp0(c);
    if (keep && v == c->s.cr3)
        return;
    if (!x86_load_cr3(c, v))
        x86_raise_gp0(c);
}

/* --- CR4 --- */

static uint64_t cr4_known(const struct cpu_model *m)
{
    static const struct {
        uint32_t bits;
        uint16_t feature; /* enum x86_feature */
    } table[] = {
        {CR4_VME | CR4_PVI, FEAT_VME},
        {CR4_TSD, FEAT_TSC},
        {CR4_DE, FEAT_DE},
        {CR4_PSE, FEAT_PSE},
        {CR4_PAE, FEAT_PAE},
        {CR4_MCE, FEAT_MCE},
        {CR4_PGE, FEAT_PGE},
        {CR4_PCE, FEAT_NONE},
        {CR4_OSFXSR, FEAT_FXSR},
        {CR4_OSXMMEXCPT, FEAT_SSE},
        {CR4_UMIP, FEAT_UMIP},
        {CR4_LA57, FEAT_LA57},
        {CR4_FSGSBASE, FEAT_FSGSBASE},
        {CR4_PCIDE, FEAT_PCID},
        {CR4_OSXSAVE, FEAT_XSAVE},
        {CR4_SMEP, FEAT_SMEP},
        {CR4_SMAP, FEAT_SMAP},
        {CR4_PKE, FEAT_PKU},
    };
    uint64_t known = 0;

    for (unsigned n = 0; n < ARRAY_LEN(table); n++)
        if (feature_has(&m->features, (enum x86_feature)table[n].feature))
            known |= table[n].bits;
    return known;
}

static void check_cr4(struct cpu *c, uint64_t v)
{
    uint64_t changed = v ^ c->s.cr4;
    bool ok = !(v & ~cr4_known(c->model));

    if (c->s.efer & EFER_LMA)
        ok = ok && (v & CR4_PAE) && !(changed & CR4_LA57);
    if (v & changed & CR4_PCIDE)
        ok = ok && (c->s.efer & EFER_LMA) && !(c->s.cr3 & 0xfff);
    if (!ok)
        x86_raise_gp0(c);
}

static void write_cr4(struct cpu *c, uint64_t v)
{
    enum {
        RELOAD = CR4_PAE | CR4_PGE | CR4_PSE | CR4_SMEP,
        /* What the soft TLB has worked into its entries. */
        FLUSH = CR4_PAE | CR4_PGE | CR4_PSE | CR4_PCIDE | CR4_SMEP | CR4_SMAP |
                CR4_PKE | CR4_LA57,
    };
    uint64_t changed = v ^ c->s.cr4, pdpte[4];

    check_cr4(c, v);
    if ((changed & RELOAD) && pae_paging(c->s.cr0, v, c->s.efer)) {
        get_pdptes(c, pdpte);
        set_pdptes(c, pdpte);
    }
    c->s.cr4 = v;
    x86_mode_changed(c);
    if (changed & FLUSH)
        tlb_flush_all(c);
}

/* --- CR8: bits 7:4 of the APIC's task priority --- */

static uint64_t read_cr8(struct cpu *c)
{
    return x86_outside_read(c, OUTSIDE_TPR, 0, 1) >> 4;
}

static void write_cr8(struct cpu *c, uint64_t value)
{
    if (value & ~15ull)
        x86_raise_gp0(c);
    x86_outside_write(c, OUTSIDE_TPR, 0, value << 4, 1);
}

/* --- instructions --- */

void op_mov_from_cr(struct cpu *c, const struct insn *i)
{
    uint64_t v;

    switch (i->opnd[1].reg) {
    case 0: v = c->s.cr0; break;
    case 2: v = c->s.cr2; break;
    case 3: v = c->s.cr3; break;
    case 4: v = c->s.cr4; break;
    case 8: v = read_cr8(c); break;
    default: x86_raise(c, EXC_UD);
    }
    gpr_write(c, i->opnd[0].reg, i->opnd[0].size, v);
}

void op_mov_to_cr(struct cpu *c, const struct insn *i)
{
    uint64_t v = gpr_read(c, i->opnd[1].reg, i->opnd[1].size);

    switch (i->opnd[0].reg) {
    case 0:
        if (v >> 32)
            x86_raise_gp0(c);
        write_cr0(c, v);
        break;
    case 2: c->s.cr2 = v; break;
    case 3: write_cr3(c, v); break;
    case 4: write_cr4(c, v); break;
    case 8: write_cr8(c, v); break;
    default: x86_raise(c, EXC_UD);
    }
}

void op_clts(struct cpu *c, const struct insn *i)
{
    (void)i;
    c->s.cr0 &= ~(uint64_t)CR0_TS;
    x86_mode_changed(c);
}

/* PE, MP, EM and TS; PE can be set, but not cleared. */
void op_lmsw(struct cpu *c, const struct insn *i)
{
    enum { MSW = CR0_PE | CR0_MP | CR0_EM | CR0_TS };
    uint64_t v = op_read(c, i, 0) & MSW;

    write_cr0(c, (c->s.cr0 & ~(uint64_t)(CR0_MP | CR0_EM | CR0_TS)) | v);
}

void op_smsw(struct cpu *c, const struct insn *i)
{
    x86_check_umip(c);
    op_write(c, i, 0, c->s.cr0);
}
