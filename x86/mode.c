/*
 * What follows from the control and segment registers, and the state after
 * power-on and INIT. SDM volume 3, 2.2, 2.5, 10.1.1.
 */
#include "base/libc.h"
#include "x86/system.h"

/* --- the mode key --- */

/* Attributes that a flat segment has beside base 0 and limit 4 GB. */
enum {
    FLAT_DATA_MASK =
        SEG_UNUSABLE | SEG_P | SEG_S | SEG_CODE | SEG_DOWN | SEG_WRITE,
    FLAT_DATA = SEG_P | SEG_S | SEG_WRITE,
    FLAT_CODE_MASK = SEG_UNUSABLE | SEG_P | SEG_S | SEG_CODE | SEG_READ,
    FLAT_CODE = SEG_P | SEG_S | SEG_CODE | SEG_READ,
};

static bool is_flat(const struct x86_seg *s, uint32_t mask, uint32_t attr)
{
    return !s->base && s->limit == 0xffffffff && (s->attr & mask) == attr;
}

static bool all_flat(const struct x86_state *s)
{
    return is_flat(&s->seg[CS], FLAT_CODE_MASK, FLAT_CODE) &&
           is_flat(&s->seg[SS], FLAT_DATA_MASK, FLAT_DATA) &&
           is_flat(&s->seg[DS], FLAT_DATA_MASK, FLAT_DATA) &&
           is_flat(&s->seg[ES], FLAT_DATA_MASK, FLAT_DATA);
}

/* What of a segment needs no look at it: cpu->seg_end. */
static uint64_t end_of(const struct x86_seg *s, bool typed, bool write)
{
    enum {
        DATA_MASK = SEG_UNUSABLE | SEG_S | SEG_CODE | SEG_DOWN,
        CODE_MASK = SEG_UNUSABLE | SEG_S | SEG_CODE
    };
    /* Of data WRITE and of code READ, which are the same bit. */
    bool data = (s->attr & DATA_MASK) == SEG_S;
    bool code = (s->attr & CODE_MASK) == (SEG_S | SEG_CODE);

    if (!data && !code)
        return 0;
    if (typed && (data ? write && !(s->attr & SEG_WRITE)
                       : write || !(s->attr & SEG_READ)))
        return 0;
    return s->limit == 0xffffffff ? UINT64_MAX : s->limit + 1ull;
}

static uint32_t set_segment_ends(struct cpu *c, uint32_t key)
{
    enum { ROOM = 0x10000 };
    bool typed = (key & (MODE_PE | MODE_VM86)) == MODE_PE, roomy = true;

    for (unsigned n = ES; n <= GS; n++) {
        for (unsigned write = 0; write < 2; write++)
            c->seg_end[write][n] = end_of(&c->s.seg[n], typed, write);
        if (n <= DS)
            roomy &= c->seg_end[n != CS][n] >= ROOM;
    }
    return roomy && !(key & MODE_FLAT) ? MODE_64K : 0;
}

/* Modes of code and stack. */
static uint32_t key_of_segments(const struct x86_state *s)
{
    uint32_t cs = s->seg[CS].attr, key = 0;

    if (!(s->cr0 & CR0_PE)) {
        key |= cs & SEG_DB ? MODE_CODE32 : MODE_CODE16;
    } else if (s->rflags & FLAG_VM) {
        key |= MODE_PE | MODE_VM86 | MODE_CODE16;
        key |= (uint32_t)(s->rflags & FLAG_IOPL) << (17 - 12);
    } else if ((s->efer & EFER_LMA) && (cs & SEG_L)) {
        return MODE_PE | MODE_LMA | MODE_CODE64 | MODE_SS32 | MODE_FLAT;
    } else {
        key |= MODE_PE | (cs & SEG_DB ? MODE_CODE32 : MODE_CODE16);
        if (all_flat(s))
            key |= MODE_FLAT;
    }
    if (s->efer & EFER_LMA)
        key |= MODE_LMA;
    if (s->seg[SS].attr & SEG_DB)
        key |= MODE_SS32;
    return key;
}

/* Whether x87, SSE, AVX and AVX-512 run. */
static uint32_t key_of_fpu(const struct x86_state *s)
{
    enum {
        AVX = XCR0_SSE | XCR0_AVX,
        AVX512 = AVX | XCR0_OPMASK | XCR0_ZMM_HI256 | XCR0_HI16_ZMM,
    };
    uint32_t key = 0;

    key |= s->cr0 & CR0_TS ? MODE_TS : 0;
    key |= s->cr0 & CR0_EM ? MODE_EM : 0;
    key |= s->cr0 & CR0_MP ? MODE_MP : 0;
    key |= s->cr4 & CR4_OSFXSR ? MODE_OSFXSR : 0;
    if (s->cr4 & CR4_OSXSAVE) {
        key |= MODE_OSXSAVE;
        key |= (s->xcr0 & AVX) == AVX ? MODE_AVX : 0;
        key |= (s->xcr0 & AVX512) == AVX512 ? MODE_AVX512 : 0;
    }
    return key;
}

static uint8_t cpl_of(const struct x86_state *s)
{
    if (!(s->cr0 & CR0_PE))
        return 0;
    if (s->rflags & FLAG_VM)
        return 3;
    return seg_dpl(&s->seg[SS]);
}

static void set_tlb(struct cpu *c, unsigned cpl)
{
    bool ac = c->s.rflags & FLAG_AC;

    if (cpl == 3)
        c->tlb_mode = ac && (c->s.cr0 & CR0_AM) ? TLB_USER_AC : TLB_USER;
    else
        c->tlb_mode =
            (c->s.cr4 & CR4_SMAP) && !ac ? TLB_KERNEL_SMAP : TLB_KERNEL;
    c->tlb = c->tlbs[c->tlb_mode];
    tlb_forget_stack(c);
}

enum { DR7_ENABLES = 0xff };

/* Fields of breakpoint n in DR7: 0 execution, 1 write, 2 I/O, 3 access. */
static unsigned dr7_type(uint64_t dr7, unsigned n)
{
    return dr7 >> (16 + 4 * n) & 3;
}

static void set_breakpoints(struct cpu *c)
{
    const struct vcpu_debug *d = &c->vcpu->debug;
    uint64_t dr7 = c->s.dr[7];

    c->has_breakpoints = false;
    c->has_code_breakpoints = d->step;
    c->has_watches = unlikely(d->points != NULL) && d->points->data;
    if (likely(!(dr7 & DR7_ENABLES)))
        return;
    for (unsigned n = 0; n < 4; n++) {
        if (!(dr7 >> 2 * n & 3))
            continue;
        if (dr7_type(dr7, n) == 0)
            c->has_code_breakpoints = true;
        else
            c->has_breakpoints = true;
    }
}

void x86_mode_changed(struct cpu *c)
{
    struct x86_state *s = &c->s;
    bool had = c->has_breakpoints;
    uint32_t key = key_of_segments(s) | key_of_fpu(s);

    s->cpl = cpl_of(s);
    key |= (uint32_t)s->cpl << MODE_CPL_SHIFT;
    key |= s->cr0 & CR0_PG ? MODE_PG : 0;
    set_breakpoints(c);
    key |= s->rflags & FLAG_TF ? MODE_TF : 0;
    if (!(key & MODE_CODE64))
        key |= set_segment_ends(c, key);
    c->mode_key = key;
    c->access_borrowed = false;
    set_tlb(c, s->cpl);
    if (c->has_breakpoints && !had)
        tlb_flush_all(c); /* what is filled would not be looked at */
}

void x86_access_as(struct cpu *c, unsigned cpl, bool code64)
{
    c->access_borrowed = true;
    c->mode_key &= ~(uint32_t)(MODE_CODE | MODE_FLAT);
    c->mode_key |= code64 ? MODE_CODE64 | MODE_FLAT : MODE_CODE32;
    set_tlb(c, cpl);
}

/* --- reset --- */

enum {
    ATTR_DATA = SEG_P | SEG_S | SEG_WRITE | SEG_ACCESSED,
    ATTR_LDT = SEG_P | SYS_LDT,
    ATTR_TSS = SEG_P | SYS_TSS32_BUSY,
    RESET_FCW = 0x40,
    FXSAVE_FTW = 4, /* abridged tag word: a set bit is a register in use */
    FXSAVE_MXCSR = 24,
    RESET_MXCSR = 0x1f80,
};
#define RESET_DR6         0xffff0ff0ull
#define RESET_DR7         0x400ull
#define RESET_PAT         0x0007040600070406ull
#define RESET_MISC_ENABLE 1ull /* fast strings */

/* What RESET clears and INIT leaves alone. */
static void reset_cold(struct x86_state *s)
{
    /* Writes to IA32_TIME_STAMP_COUNTER moved both: back to where the
       machine set it, the same for all CPUs. */
    uint64_t tsc_offset = s->tsc_offset - s->tsc_adjust;

    memset(s, 0, sizeof(*s));
    s->tsc_offset = tsc_offset;
    s->cr0 = CR0_NW | CR0_CD;
    s->fxsave[0] = RESET_FCW;
    s->fxsave[FXSAVE_FTW] = 0xff; /* FTW 5555h: all valid, zero */
    store_le(s->fxsave + FXSAVE_MXCSR, RESET_MXCSR, 4);
    s->mxcsr = RESET_MXCSR;
    s->xcr0 = XCR0_X87;
    s->pat = RESET_PAT;
    s->misc_enable = RESET_MISC_ENABLE;
}

static uint32_t signature(const struct cpu_model *m)
{
    uint32_t family = MIN(m->family, 15);

    return (m->family - family) << 20 | (m->model >> 4) << 16 | family << 8 |
           (m->model & 15) << 4 | m->stepping;
}

void x86_state_reset(struct x86_state *s, const struct cpu_model *m, bool bsp,
                     bool init)
{
    if (!init)
        reset_cold(s);
    memset(s->gpr, 0, sizeof(s->gpr));
    s->gpr[RDX] = signature(m);
    s->rip = 0xfff0;
    s->rflags = FLAG_1;
    for (unsigned n = ES; n <= GS; n++)
        s->seg[n] = (struct x86_seg){.limit = 0xffff, .attr = ATTR_DATA};
    s->seg[CS].sel = 0xf000;
    s->seg[CS].base = 0xffff0000;
    s->ldt = (struct x86_seg){.limit = 0xffff, .attr = ATTR_LDT};
    s->tr = (struct x86_seg){.limit = 0xffff, .attr = ATTR_TSS};
    s->gdt = s->idt = (struct x86_table){.limit = 0xffff};
    s->cr0 = (s->cr0 & (CR0_NW | CR0_CD)) | CR0_ET;
    s->cr2 = s->cr3 = s->cr4 = s->efer = 0;
    memset(s->pdpte, 0, sizeof(s->pdpte));
    memset(s->dr, 0, sizeof(s->dr));
    s->dr[6] = RESET_DR6;
    s->dr[7] = RESET_DR7;
    s->cpl = 0;
    s->activity = bsp ? CPU_RUNNING : CPU_WAIT_SIPI;
    s->sti_shadow = s->movss_shadow = s->nmi_blocked = s->in_smm = false;
    s->pending_db = 0;
}

void x86_reset(struct cpu *c, bool init)
{
    x86_state_reset(&c->s, c->model, !c->vcpu->id, init);
    c->flags_op = 0; /* FLAGS_READY */
    c->insn = NULL;
    c->delivering = -1;
    c->monitor.armed = false;
    x86_mode_changed(c);
    tlb_flush_all(c);
}
