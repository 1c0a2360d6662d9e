/* Registers and memory that random programs start with. */
#include "jit_cases.h"

#include <string.h>

#include "base/bits.h"
#include "base/endian.h"
#include "x86/flags.h"

/* ---- registers ---- */

static void flat_segments(const struct program *p, struct x86_state *s)
{
    unsigned dpl = p->user ? 3 : 0;

    for (unsigned n = 0; n < 6; n++)
        s->seg[n] = (struct x86_seg){0, 0xffffffff, 0xc093 | dpl << 5,
                                     p->user ? USER_SS : KERNEL_SS};
    s->seg[CS].attr = (p->wide ? 0xa09b : 0xc09b) | dpl << 5;
    s->seg[CS].sel = p->wide ? (p->user ? USER_CS : KERNEL_CS)
                             : (p->user ? USER_CS32 : KERNEL_CS32);
    for (unsigned n = 0; n < 6 && p->native; n++) /* Linux loads no more */
        if (n >= FS || (p->wide && (n == DS || n == ES)))
            s->seg[n].sel = 0, s->seg[n].attr |= SEG_UNUSABLE;
    s->seg[FS].base = 0x48;
    s->seg[GS].base = 0x1000;
    s->cpl = (uint8_t)dpl;
}

static void system_segments(const struct program *p, struct x86_state *s)
{
    bool vm86 = p->mode == CASE_16_VM86;

    s->tr = (struct x86_seg){vm86 ? TSS32 : TSS, 0x67, 0x8b, 0x38};
    s->ldt = (struct x86_seg){.attr = SEG_UNUSABLE};
    s->gdt = (struct x86_table){GDT, 0x3f};
    if (p->mode == CASE_16_REAL)
        s->idt = (struct x86_table){IDT16, 0x3ff};
    else if (p->mode >= CASE_32_FLAT)
        s->idt = (struct x86_table){IDT32, 0x7ff};
    else
        s->idt = (struct x86_table){IDT64, 0xfff};
}

/* The others are near DS, so that its pointers fit most of them. */
static void place_segments(const struct program *p, struct x86_state *s)
{
    bool real = p->mode == CASE_16_REAL || p->mode == CASE_16_VM86;

    for (unsigned n = 0; n < 6; n++) {
        struct x86_seg *g = &s->seg[n];

        *g = (struct x86_seg){.base = p->base, .limit = 0xffff, .attr = 0x93};
        if (n == CS)
            g->base = p->code_base;
        else if (n != DS)
            g->base +=
                16 * rng_below(p->r, 8) + (real ? 0 : rng_below(p->r, 16));
        g->sel = real      ? (uint16_t)(g->base >> 4)
                 : n == CS ? KERNEL_CS32
                           : KERNEL_SS;
        if (p->mode == CASE_16_VM86)
            g->attr |= SEG_DPL;
    }
    s->seg[FS].base += 0x48;
    s->seg[GS].base += 0x1000;
    s->seg[FS].base &= real ? ~15ull : ~0ull;
    if (real) {
        s->seg[FS].sel = (uint16_t)(s->seg[FS].base >> 4);
        s->seg[GS].sel = (uint16_t)(s->seg[GS].base >> 4);
    }
    s->cpl = p->user ? 3 : 0;
}

/* A limit that some accesses are beyond. */
static uint32_t some_limit(const struct program *p)
{
    switch (rng_below(p->r, 4)) {
    case 0:
    case 1: return data_offset(p, p->edge) - rng_below(p->r, 4);
    case 2: return 0xffff;
    default: return 0xffffffff;
    }
}

static void limit_data(const struct program *p, struct x86_seg *g, unsigned n)
{
    struct rng *r = p->r;

    g->limit = rng_one_in(r, 3) ? 0xffffffff : some_limit(p);
    if (n == DS && g->limit < COUNTERS + 0x100 - p->base)
        g->limit = 0xffff;
    if (rng_one_in(r, 2))
        g->attr |= SEG_DB;
    if (n == DS || !rng_one_in(r, 6))
        return;
    switch (rng_below(r, 3)) {
    case 0: g->attr &= ~(uint32_t)SEG_WRITE; break;
    case 1:
        g->attr |= SEG_DOWN;
        g->limit = data_offset(p, p->edge) - rng_below(r, 0x800);
        break;
    default:
        if (n != SS)
            g->attr |= SEG_UNUSABLE;
        break;
    }
}

static void limit_code(const struct program *p, struct x86_seg *g)
{
    struct rng *r = p->r;
    uint32_t end = p->at + p->n - p->code_base;

    g->attr = rng_one_in(r, 12) ? 0x99 : 0x9b;
    if (!p->narrow)
        g->attr |= SEG_DB;
    if (rng_one_in(r, 3))
        g->limit = 0xffffffff;
    else if (rng_one_in(r, 8))
        g->limit = end - 4 + rng_below(r, 8);
    else if (rng_one_in(r, 4))
        g->limit = end + rng_below(r, 0x100);
}

static void segments(const struct program *p, struct x86_state *s)
{
    if (p->mode <= CASE_32_FLAT)
        flat_segments(p, s);
    else
        place_segments(p, s);
    system_segments(p, s);
    if (p->mode == CASE_32_SEGMENTS || p->mode == CASE_16_PROTECTED) {
        limit_code(p, &s->seg[CS]);
        for (unsigned n = 0; n < 6; n++)
            if (n != CS)
                limit_data(p, &s->seg[n], n);
    } else if (p->mode == CASE_16_REAL && rng_one_in(p->r, 3)) {
        for (unsigned n = 0; n < 6; n++) /* "unreal" */
            if (rng_one_in(p->r, 2))
                s->seg[n].limit = n == DS ? 0xffffffff : some_limit(p);
    }
}

static void fill_fpu(struct rng *r, struct x86_state *s)
{
    uint8_t *fx = s->fxsave;

    memset(fx, 0, sizeof s->fxsave);
    store_le16(fx, rng_one_in(r, 24) ? 0x340 : 0x37f);
    fx[4] = rng_one_in(r, 2) ? 0xff : (uint8_t)rng_next(r);
    for (unsigned n = 0; n < 8; n++) {
        store_le64(fx + 32 + 16 * n, rng_next(r) | 1ull << 63);
        store_le16(fx + 40 + 16 * n, rng_one_in(r, 3)
                                         ? (uint16_t)rng_next(r)
                                         : 0x3ff0 + rng_below(r, 32));
    }
    s->mxcsr = rng_one_in(r, 24) ? (uint32_t)rng_next(r) & 0xffbf
                                 : 0x1f80 | rng_below(r, 4) << 13;
    for (unsigned n = 0; n < 32; n++)
        for (unsigned k = 0; k < 64; k += 8)
            store_le64(s->zmm[n] + k, rng_value(r));
    for (unsigned n = 0; n < 8; n++)
        s->k[n] = rng_value(r);
}

void program_state(const struct program *p, struct x86_state *s,
                   const struct cpu_model *m)
{
    bool vectors512 = m->xcr0_mask & XCR0_ZMM_HI256;

    memset(s, 0, sizeof *s);
    x86_state_reset(s, m, true, false);
    for (unsigned n = 0; n < 16; n++)
        s->gpr[n] = rng_value(p->r);
    if (!p->wide)
        for (unsigned n = 0; n < 16; n++)
            s->gpr[n] = n < 8 ? (uint32_t)s->gpr[n] : 0;
    fill_fpu(p->r, s);
    if (!vectors512) {
        memset(s->k, 0, sizeof s->k);
        for (unsigned n = 0; n < 32; n++)
            memset(s->zmm[n] + (n < 16 ? 32 : 0), 0, n < 16 ? 32 : 64);
    }
    s->cr0 = CR0_PE | CR0_MP | CR0_ET | CR0_NE | CR0_WP | CR0_AM;
    s->cr4 = CR4_PAE | CR4_OSFXSR | CR4_OSXMMEXCPT | CR4_OSXSAVE;
    s->efer = EFER_SCE | EFER_NXE;
    if (p->mode < CASE_32_FLAT) {
        s->cr0 |= CR0_PG;
        s->efer |= EFER_LME | EFER_LMA;
    }
    if (p->mode == CASE_16_REAL)
        s->cr0 &= ~(uint64_t)CR0_PE;
    s->cr3 = TABLES;
    s->xcr0 = m->xcr0_mask & (XCR0_X87 | XCR0_SSE | XCR0_AVX | 0xe0);
    segments(p, s);
    s->rip = code_offset(p, p->at);
    s->rflags = FLAG_1 | (rng_next(p->r) & FLAGS_STATUS) |
                (rng_one_in(p->r, 12) ? FLAG_AC : 0);
    if (p->native)
        s->rflags |= FLAG_IF;
    else if (rng_one_in(p->r, p->mode == CASE_16_VM86 ? 1 : 2))
        s->rflags |= FLAG_IOPL;
    if (p->mode == CASE_16_VM86)
        s->rflags |= FLAG_VM ^ (rng_one_in(p->r, 6) ? FLAG_IOPL : 0);
}

/* ---- memory ---- */

static void make_tables(uint8_t *ram, bool native)
{
    uint8_t *pt = ram + TABLES + 0x3000;

    for (unsigned n = 0; n < 3; n++)
        store_le64(ram + TABLES + n * 0x1000, (TABLES + (n + 1) * 0x1000) | 7);
    for (uint64_t a = 0x1000; a < RAM_SIZE; a += 0x1000) {
        bool program = a >= CODE_AT && a < CODE_AT + CODE_SIZE;
        bool data = (a >= DATA_AT && a < DATA_END) || a == COUNTERS;
        uint64_t e = a | 3;

        if (program || data)
            e |= 4;
        /* Tables run as code would show when their A bits are set. */
        if ((data && native) || (a < CODE_AT && a != STUBS_AT))
            e |= 1ull << 63;
        if (a == DATA_RO)
            e &= ~2ull;
        if (a == DATA_KERNEL)
            e &= ~4ull;
        if (a == DATA_HOLE || (a >= IST_TOP && a != IDT32 && !program && !data))
            e = 0;
        store_le64(pt + (a >> 12) * 8, e);
        if (program || (data && a != COUNTERS))
            store_le64(pt + ((a + ALIAS) >> 12) * 8, e);
    }
}

static void make_gates(uint8_t *ram)
{
    for (unsigned v = 0; v < 256; v++) {
        uint32_t to = STUBS_AT + v * 16;

        ram[to] = 0xf4;
        store_le32(ram + IDT64 + v * 16, KERNEL_CS << 16 | to);
        store_le32(ram + IDT64 + v * 16 + 4, 0xee01);
        store_le32(ram + IDT32 + v * 8, KERNEL_CS32 << 16 | to);
        store_le32(ram + IDT32 + v * 8 + 4, 0xee00);
        store_le32(ram + IDT16 + v * 4, STUBS_AT >> 4 << 16 | v * 16);
    }
}

void program_memory(uint8_t *ram, bool native)
{
    static const uint64_t gdt[] = {[KERNEL_CS32 >> 3] = 0x00cf9b000000ffff,
                                   [KERNEL_CS >> 3] = 0x00af9b000000ffff,
                                   [KERNEL_SS >> 3] = 0x00cf93000000ffff,
                                   [USER_CS32 >> 3] = 0x00cffb000000ffff,
                                   [USER_SS >> 3] = 0x00cff3000000ffff,
                                   [USER_CS >> 3] = 0x00affb000000ffff};
    struct rng r = {7};

    memset(ram, 0, RAM_SIZE);
    make_tables(ram, native);
    make_gates(ram);
    for (unsigned n = 0; n < ARRAY_LEN(gdt); n++)
        store_le64(ram + GDT + n * 8, gdt[n]);
    store_le64(ram + TSS + 4, IST_TOP);
    store_le64(ram + TSS + 0x24, IST_TOP);
    store_le16(ram + TSS + 0x66, 0x68);
    store_le32(ram + TSS32 + 4, IST_TOP);
    store_le32(ram + TSS32 + 8, KERNEL_SS);
    store_le16(ram + TSS32 + 0x66, 0x68);
    for (unsigned a = DATA_AT; a < DATA_END; a += 8)
        store_le64(ram + a, rng_value(&r));
}
