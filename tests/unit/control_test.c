/* Control registers, TLB and caches: x86/ops/control.c, cache.c. */
#include "cpu_bench.h"

static void to_cr(struct bench *b, unsigned cr, uint64_t v)
{
    b->c.s.gpr[RAX] = v;
    RUN(b, 0x0f, 0x22, (uint8_t)(0xc0 | cr << 3));
}

static uint64_t from_cr(struct bench *b, unsigned cr)
{
    RUN(b, 0x0f, 0x20, (uint8_t)(0xc0 | cr << 3));
    ASSERT_OK(b);
    return b->c.s.gpr[RAX];
}

/* --- CR0 --- */

static void cr0_combinations(void **state)
{
    static const struct {
        uint32_t v;
        bool ok;
    } cases[] = {
        {CR0_PE, true},
        {CR0_PE | CR0_PG, true},
        {CR0_PG, false},
        {CR0_PE | CR0_NW, false},
        {CR0_PE | CR0_NW | CR0_CD, true},
        {CR0_PE | CR0_CD, true},
    };
    struct bench *b = *state;

    for (unsigned n = 0; n < ARRAY_LEN(cases); n++) {
        uint64_t before;

        bench_protected(b, 0);
        b->c.s.cr0 = CR0_PE | CR0_ET;
        before = b->c.s.cr0;
        to_cr(b, 0, cases[n].v);
        if (cases[n].ok) {
            ASSERT_OK(b);
            assert_int_equal(b->c.s.cr0, cases[n].v | CR0_ET);
        } else {
            ASSERT_GP(b, 0);
            assert_int_equal(b->c.s.cr0, before);
        }
    }
    /* reserved bits are ignored, ET is always set */
    bench_protected(b, 0);
    to_cr(b, 0, CR0_PE | 1u << 28 | 1u << 17 | 0x40);
    ASSERT_OK(b);
    assert_int_equal(from_cr(b, 0), CR0_PE | CR0_ET);
    assert_int_equal(b->c.s.cr2, 0);
    assert_int_equal(b->c.s.cr3, 0);
    bench_long(b, 0);
    to_cr(b, 0, 1ull << 32 | b->c.s.cr0);
    ASSERT_GP(b, 0);
}

static void cr0_modes(void **state)
{
    struct bench *b = *state;
    struct x86_state *s = &b->c.s;

    bench_real(b);
    to_cr(b, 0, CR0_PE | CR0_TS | CR0_EM | CR0_MP);
    ASSERT_OK(b);
    assert_true(in_protected(&b->c));
    assert_int_equal(b->c.mode_key & (MODE_TS | MODE_EM | MODE_MP),
                     MODE_TS | MODE_EM | MODE_MP);
    assert_int_equal(s->seg[CS].base, CODE); /* until a far jump */
    assert_int_equal(s->cpl, 0);
    s->seg[CS].attr |= SEG_DB; /* 32-bit real mode: the attribute stays */
    x86_mode_changed(&b->c);
    to_cr(b, 0, 0);
    ASSERT_OK(b);
    assert_false(b->c.mode_key & MODE_PE);
    assert_int_equal(b->c.mode_key & MODE_CODE, MODE_CODE32);
    /* write protection is in the TLB */
    bench_protected(b, 0);
    uint64_t g = b->c.tlb_generation;
    to_cr(b, 0, CR0_PE | CR0_WP);
    assert_true(b->c.tlb_generation > g);
    g = b->c.tlb_generation;
    to_cr(b, 0, CR0_PE | CR0_WP | CR0_TS);
    assert_int_equal(b->c.tlb_generation, g);
}

/* --- IA-32e mode on and off --- */

static void before_long(struct bench *b)
{
    bench_long(b, 0); /* page tables */
    bench_protected(b, 0);
    b->c.s.cr0 = CR0_PE | CR0_ET;
    b->c.s.cr4 = CR4_PAE;
    b->c.s.efer = EFER_LME;
    x86_mode_changed(&b->c);
}

static void long_mode_on(void **state)
{
    struct bench *b = *state;
    struct x86_state *s = &b->c.s;

    before_long(b);
    to_cr(b, 0, CR0_PE | CR0_PG);
    ASSERT_OK(b);
    assert_int_equal(s->efer, EFER_LME | EFER_LMA);
    assert_true(in_long_mode(&b->c));
    assert_false(in_code64(&b->c)); /* compatibility mode, so far */
    to_cr(b, 0, CR0_PE);
    ASSERT_OK(b);
    assert_int_equal(s->efer, EFER_LME);
    assert_false(in_long_mode(&b->c));

    before_long(b); /* without PAE */
    s->cr4 = 0;
    to_cr(b, 0, CR0_PE | CR0_PG);
    ASSERT_GP(b, 0);
    assert_int_equal(s->efer, EFER_LME);
    before_long(b); /* with CS.L */
    s->seg[CS].attr |= SEG_L;
    to_cr(b, 0, CR0_PE | CR0_PG);
    ASSERT_GP(b, 0);
    before_long(b); /* with a 16-bit TSS */
    s->tr.attr = SEG_P | SYS_TSS16_BUSY;
    to_cr(b, 0, CR0_PE | CR0_PG);
    ASSERT_GP(b, 0);
}

static void long_mode_off(void **state)
{
    struct bench *b = *state;

    bench_long(b, 0); /* not from 64-bit code */
    to_cr(b, 0, CR0_PE);
    ASSERT_GP(b, 0);
    to_cr(b, 4, 0); /* nor PAE from under it */
    ASSERT_GP(b, 0);
    bench_long(b, 0);
    b->c.s.cr4 |= CR4_PCIDE;
    b->c.s.seg[CS] = bench_segment(b, SEL_CODE0);
    x86_mode_changed(&b->c);
    to_cr(b, 0, CR0_PE); /* nor with PCIDs on */
    ASSERT_GP(b, 0);
}

/* --- PAE paging --- */

static void pdptes(void **state)
{
    static const uint64_t bad[] = {
        2, 4, 0x20, 0x40, 0x80, 0x100, 1ull << 40, 1ull << 52, 1ull << 63};
    struct bench *b = *state;
    struct x86_state *s = &b->c.s;

    bench_protected(b, 0);
    s->cr0 = CR0_PE | CR0_ET;
    s->cr4 = CR4_PAE;
    s->cr3 = PDPT_PAE;
    x86_mode_changed(&b->c);
    bench_long(b, 0); /* PD maps the low memory */
    bench_protected(b, 0);
    s->efer = 0;
    s->cr0 = CR0_PE | CR0_ET;
    s->cr3 = PDPT_PAE;
    x86_mode_changed(&b->c);
    poke(b, PDPT_PAE, PD | 1, 8);
    poke(b, PDPT_PAE + 8, 0x1e6, 8); /* not present: anything goes */
    poke(b, PDPT_PAE + 16, 0xe19 | 0x5000, 8);
    to_cr(b, 0, CR0_PE | CR0_PG);
    ASSERT_OK(b);
    assert_int_equal(s->pdpte[0], PD | 1);
    assert_int_equal(s->pdpte[2], 0x5e19);
    for (unsigned n = 0; n < ARRAY_LEN(bad); n++) {
        poke(b, PDPT_PAE + 0x20 + 24, 1 | bad[n], 8);
        poke(b, PDPT_PAE + 0x20, PD | 1, 8);
        to_cr(b, 3, PDPT_PAE + 0x20);
        ASSERT_GP(b, 0);
        assert_int_equal(s->cr3, PDPT_PAE);
        assert_int_equal(s->pdpte[2], 0x5e19);
    }
    poke(b, PDPT_PAE + 0x20 + 24, 0x39f ^ 0x186, 8);
    to_cr(b, 3, (PDPT_PAE + 0x20) | 0x18); /* PWT and PCD are no address */
    ASSERT_OK(b);
    assert_int_equal(s->cr3, (PDPT_PAE + 0x20) | 0x18);
    assert_int_equal(s->pdpte[2], 0);
    /* CR4.PGE reloads; so does CR0.CD */
    poke(b, PDPT_PAE + 0x20 + 16, 0x7001, 8);
    to_cr(b, 4, CR4_PAE | CR4_PGE);
    ASSERT_OK(b);
    assert_int_equal(s->pdpte[2], 0x7001);
    poke(b, PDPT_PAE + 0x20 + 16, 0x8001, 8);
    to_cr(b, 4, CR4_PAE | CR4_PGE | CR4_DE);
    assert_int_equal(s->pdpte[2], 0x7001);
    to_cr(b, 0, CR0_PE | CR0_PG | CR0_CD);
    assert_int_equal(s->pdpte[2], 0x8001);
    poke(b, PDPT_PAE + 0x20 + 16, 0x8003, 8);
    to_cr(b, 0, CR0_PE | CR0_PG);
    ASSERT_GP(b, 0);
    to_cr(b, 4, CR4_PAE);
    ASSERT_GP(b, 0);
}

/* --- CR3 --- */

static void cr3(void **state)
{
    struct bench *b = *state;
    struct x86_state *s = &b->c.s;
    uint64_t g;

    bench_long(b, 0);
    to_cr(b, 3, PML4 | 0xfff); /* bits 11:0 are no address */
    ASSERT_OK(b);
    assert_int_equal(from_cr(b, 3), PML4 | 0xfff);
    to_cr(b, 3, PML4 | 1ull << 40); /* beyond MAXPHYADDR */
    ASSERT_GP(b, 0);
    to_cr(b, 3, PML4 | 1ull << 63);
    ASSERT_GP(b, 0);
    to_cr(b, 3, PML4);
    to_cr(b, 4, CR4_PAE | CR4_PCIDE);
    ASSERT_OK(b);
    to_cr(b, 3, PML4 | 5);
    g = b->c.tlb_generation;
    to_cr(b, 3, 1ull << 63 | PML4 | 5); /* the same, and keep */
    ASSERT_OK(b);
    assert_int_equal(s->cr3, PML4 | 5);
    assert_int_equal(b->c.tlb_generation, g);
    to_cr(b, 3, PML4 | 5);
    assert_true(b->c.tlb_generation > g);
    g = b->c.tlb_generation;
    to_cr(b, 3, 1ull << 63 | PML4 | 6);
    assert_int_equal(s->cr3, PML4 | 6);
    assert_true(b->c.tlb_generation > g);
    to_cr(b, 3, 1ull << 62 | PML4);
    ASSERT_GP(b, 0);
    /* CR4.PCIDE only with a PCID of 0 */
    to_cr(b, 4, CR4_PAE);
    ASSERT_OK(b);
    to_cr(b, 4, CR4_PAE | CR4_PCIDE);
    ASSERT_GP(b, 0);
    bench_protected(b, 0); /* and in IA-32e mode */
    s->efer = 0;
    s->cr3 = s->cr4 = 0;
    s->cr0 = CR0_PE | CR0_ET;
    x86_mode_changed(&b->c);
    to_cr(b, 4, CR4_PCIDE);
    ASSERT_GP(b, 0);
}

/* --- CR4 --- */

static void cr4_features(void **state)
{
    static const struct {
        uint32_t bit;
        enum x86_feature feature;
    } cases[] = {
        {CR4_VME, FEAT_VME},       {CR4_PVI, FEAT_VME},
        {CR4_TSD, FEAT_TSC},       {CR4_DE, FEAT_DE},
        {CR4_PSE, FEAT_PSE},       {CR4_PAE, FEAT_PAE},
        {CR4_MCE, FEAT_MCE},       {CR4_PGE, FEAT_PGE},
        {CR4_OSFXSR, FEAT_FXSR},   {CR4_OSXMMEXCPT, FEAT_SSE},
        {CR4_UMIP, FEAT_UMIP},     {CR4_FSGSBASE, FEAT_FSGSBASE},
        {CR4_OSXSAVE, FEAT_XSAVE}, {CR4_SMEP, FEAT_SMEP},
        {CR4_SMAP, FEAT_SMAP},     {CR4_PKE, FEAT_PKU},
        {CR4_LA57, FEAT_LA57},
    };
    struct bench *b = *state;

    for (unsigned n = 0; n < ARRAY_LEN(cases); n++) {
        bench_protected(b, 0);
        b->c.s.cr4 = 0;
        feature_set(&b->model.features, cases[n].feature, false);
        to_cr(b, 4, cases[n].bit);
        ASSERT_GP(b, 0);
        feature_set(&b->model.features, cases[n].feature, true);
        to_cr(b, 4, cases[n].bit);
        ASSERT_OK(b);
        assert_int_equal(b->c.s.cr4, cases[n].bit);
    }
    for (unsigned bit = 0; bit < 32; bit++) {
        bool known = BIT(bit) & CR4_PCE;

        for (unsigned n = 0; n < ARRAY_LEN(cases); n++)
            known |= BIT(bit) & cases[n].bit;
        if (known)
            continue;
        bench_protected(b, 0);
        b->c.s.cr4 = 0;
        to_cr(b, 4, BIT(bit));
        ASSERT_GP(b, 0);
    }
    bench_long(b, 0);
    to_cr(b, 4, 1ull << 32 | CR4_PAE);
    ASSERT_GP(b, 0);
    to_cr(b, 4, CR4_PAE | CR4_LA57); /* not while active */
    ASSERT_GP(b, 0);
}

static void cr4_effects(void **state)
{
    struct bench *b = *state;
    struct x86_state *s = &b->c.s;
    uint64_t g;

    bench_long(b, 0);
    g = b->c.tlb_generation;
    to_cr(b, 4, CR4_PAE | CR4_OSFXSR | CR4_OSXSAVE);
    assert_int_equal(b->c.tlb_generation, g);
    assert_true(b->c.mode_key & MODE_OSFXSR);
    assert_true(b->c.mode_key & MODE_OSXSAVE);
    to_cr(b, 4, s->cr4 | CR4_SMAP);
    assert_true(b->c.tlb_generation > g);
    assert_int_equal(b->c.tlb_mode, TLB_KERNEL_SMAP);
    s->rflags |= FLAG_AC;
    x86_mode_changed(&b->c);
    assert_int_equal(b->c.tlb_mode, TLB_KERNEL);
}

/* --- the rest of the family --- */

static void cr2_cr8_and_none(void **state)
{
    struct bench *b = *state;

    bench_long(b, 0);
    to_cr(b, 2, 0x123456789abcdef0);
    ASSERT_OK(b);
    assert_int_equal(b->c.s.cr2, 0x123456789abcdef0);
    assert_int_equal(from_cr(b, 2), 0x123456789abcdef0);
    b->c.s.gpr[RAX] = 0xb;
    RUN(b, 0x44, 0x0f, 0x22, 0xc0); /* mov cr8,rax */
    ASSERT_OK(b);
    assert_int_equal(b->tpr, 0xb0);
    b->tpr = 0x7f;
    RUN(b, 0x44, 0x0f, 0x20, 0xc0);
    assert_int_equal(b->c.s.gpr[RAX], 7);
    b->c.s.gpr[RAX] = 0x10;
    RUN(b, 0x44, 0x0f, 0x22, 0xc0);
    ASSERT_GP(b, 0);
    assert_int_equal(b->tpr, 0x7f);
    for (unsigned cr = 0; cr < 16; cr++) { /* those that are not there */
        const uint8_t to[] = {0x40 | (cr & 8) >> 1, 0x0f, 0x22,
                              0xc0 | (cr & 7) << 3};
        const uint8_t from[] = {0x40 | (cr & 8) >> 1, 0x0f, 0x20,
                                0xc0 | (cr & 7) << 3};
        struct insn i;

        if (cr == 0 || (cr >= 2 && cr <= 4) || cr == 8)
            continue;
        if (x86_decode(&i, to, 4, DECODE_64) == DECODE_OK) {
            bench_run(b, to, 4);
            ASSERT_UD(b);
        }
        if (x86_decode(&i, from, 4, DECODE_64) == DECODE_OK) {
            bench_run(b, from, 4);
            ASSERT_UD(b);
        }
    }
    bench_protected(b, 3);
    RUN(b, 0x0f, 0x20, 0xc0);
    ASSERT_GP(b, 0);
    RUN(b, 0x0f, 0x22, 0xc0);
    ASSERT_GP(b, 0);
    bench_vm86(b, 3);
    RUN(b, 0x0f, 0x20, 0xc0);
    ASSERT_GP(b, 0);
}

static void msw(void **state)
{
    struct bench *b = *state;
    struct x86_state *s = &b->c.s;

    bench_protected(b, 0);
    s->cr0 = CR0_PE | CR0_ET | CR0_WP | CR0_TS;
    x86_mode_changed(&b->c);
    s->gpr[RAX] = 0xfff0;
    RUN(b, 0x0f, 0x01, 0xf0); /* lmsw ax: PE stays, TS goes */
    ASSERT_OK(b);
    assert_int_equal(s->cr0, CR0_PE | CR0_ET | CR0_WP);
    s->gpr[RAX] = CR0_MP | CR0_EM | CR0_TS;
    RUN(b, 0x0f, 0x01, 0xf0);
    assert_int_equal(s->cr0 & 0xf, 0xf);
    RUN(b, 0x0f, 0x06); /* clts */
    ASSERT_OK(b);
    assert_int_equal(s->cr0 & 0xf, 7);
    assert_false(b->c.mode_key & MODE_TS);
    s->gpr[RAX] = 0;
    RUN(b, 0x0f, 0x01, 0xe0); /* smsw eax */
    assert_int_equal(s->gpr[RAX], s->cr0);
    s->gpr[RSI] = DATA;
    poke(b, DATA, 0xffffffff, 4);
    RUN(b, 0x0f, 0x01, 0x26); /* smsw [esi]: a word */
    assert_int_equal(peek(b, DATA, 4), 0xffff0000 | (s->cr0 & 0xffff));
    bench_real(b);
    s->cr0 = CR0_ET;
    s->gpr[RAX] = CR0_PE;
    RUN(b, 0x0f, 0x01, 0xf0);
    assert_true(in_protected(&b->c));
    bench_protected(b, 3);
    RUN(b, 0x0f, 0x01, 0xf0);
    ASSERT_GP(b, 0);
    RUN(b, 0x0f, 0x06);
    ASSERT_GP(b, 0);
    RUN(b, 0x0f, 0x01, 0xe0);
    ASSERT_OK(b);
    s->cr4 |= CR4_UMIP;
    RUN(b, 0x0f, 0x01, 0xe0);
    ASSERT_GP(b, 0);
}

/* --- TLB and cache instructions --- */

/* Reads a byte through DS, with what the TLB knows. */
static uint64_t read_at(struct bench *b, uint64_t a)
{
    b->c.s.gpr[RSI] = a;
    RUN(b, 0x8a, 0x06);
    ASSERT_OK(b);
    return b->c.s.gpr[RAX] & 0xff;
}

static void invalidate(void **state)
{
    struct bench *b = *state;
    struct x86_state *s = &b->c.s;
    enum { A = 0x200000 };
    static const uint8_t ways[] = {0, 1, 2, 3};

    bench_long(b, 0);
    poke(b, 0x300000, 0x33, 1);
    poke(b, 0x200000, 0x22, 1);
    for (unsigned n = 0; n < ARRAY_LEN(ways) + 2; n++) {
        poke(b, PD + 8, 0x200000 | 0x87, 8);
        tlb_flush_all(&b->c);
        assert_int_equal(read_at(b, A), 0x22);
        poke(b, PD + 8, 0x87, 8); /* now physical 0 */
        poke(b, 0, 0x11, 1);
#if TLB_BITS > 0
        assert_int_equal(read_at(b, A), 0x22); /* still cached */
#endif
        s->gpr[RSI] = A + 0x123;
        s->gpr[RDX] = DATA;
        poke(b, DATA, 0, 8);
        poke(b, DATA + 8, A + 0x456, 8);
        s->gpr[RAX] = n;
        if (n < 4)
            RUN(b, 0x66, 0x0f, 0x38, 0x82, 0x02); /* invpcid rax,[rdx] */
        else if (n == 4)
            RUN(b, 0x0f, 0x01, 0x3e); /* invlpg [rsi] */
        else
            to_cr(b, 3, PML4);
        ASSERT_OK(b);
        assert_int_equal(read_at(b, A), 0x11);
    }
#if TLB_BITS > 0
    /* outside 64-bit mode the segment's base is added */
    poke(b, PD + 8, 0x200000 | 0x87, 8);
    tlb_flush_all(&b->c);
    assert_int_equal(read_at(b, A), 0x22);
    poke(b, PD + 8, 0x87, 8);
    s->seg[CS] = bench_segment(b, SEL_CODE0);
    s->seg[DS].base = 0x100000;
    s->seg[FS].base = 0xffe00000;
    x86_mode_changed(&b->c);
    s->gpr[RSI] = A - 0x100000;
    RUN(b, 0x64, 0x0f, 0x01, 0x3e); /* fs: another page */
    s->gpr[RSI] = A - 0x100000;
    RUN(b, 0x8a, 0x06);
    assert_int_equal(s->gpr[RAX] & 0xff, 0x22);
    RUN(b, 0x0f, 0x01, 0x3e);
    RUN(b, 0x8a, 0x06);
    assert_int_equal(s->gpr[RAX] & 0xff, 0x11);
    bench_long(b, 0);
#endif
    s->gpr[RSI] = 0x800000000000; /* not canonical: nothing happens */
    RUN(b, 0x0f, 0x01, 0x3e);
    ASSERT_OK(b);
    bench_protected(b, 3);
    RUN(b, 0x0f, 0x01, 0x3e);
    ASSERT_GP(b, 0);
}

/* Of INVPCID's types only one drops global pages without naming them. */
static void invpcid_global(void **state)
{
#if TLB_BITS > 0
    struct bench *b = *state;

    for (unsigned type = 1; type < 4; type++) {
        bench_long(b, 0);
        b->c.s.cr4 |= CR4_PGE;
        poke(b, 0x200000, 0x22, 1);
        poke(b, 0, 0x11, 1);
        poke(b, PD + 8, 0x200000 | 0x187, 8);
        tlb_flush_all(&b->c);
        assert_int_equal(read_at(b, 0x200000), 0x22);
        poke(b, PD + 8, 0x87, 8);
        b->c.s.gpr[RAX] = type;
        b->c.s.gpr[RDX] = DATA;
        poke(b, DATA, 0, 8);
        RUN(b, 0x66, 0x0f, 0x38, 0x82, 0x02);
        ASSERT_OK(b);
        assert_int_equal(read_at(b, 0x200000), type == 2 ? 0x11 : 0x22);
    }
#else
    (void)state;
#endif
}

static void invpcid_faults(void **state)
{
    static const struct {
        uint64_t type, pcid, linear;
        bool pcide, ok;
    } cases[] = {
        {4, 0, 0, true, false},
        {1ull << 32, 0, 0, true, false},
        {0, 0x1000, 0, true, false},
        {2, 0x1000, 0, true, false},
        {0, 1, 0, false, false},
        {1, 1, 0, false, false},
        {2, 1, 0, false, true},
        {0, 1, 0, true, true},
        {0, 0, 0x800000000000, false, false},
        {1, 0, 0x800000000000, false, true},
    };
    struct bench *b = *state;

    for (unsigned n = 0; n < ARRAY_LEN(cases); n++) {
        bench_long(b, 0);
        b->c.s.cr4 = CR4_PAE | (cases[n].pcide ? CR4_PCIDE : 0);
        b->c.s.gpr[RAX] = cases[n].type;
        b->c.s.gpr[RDX] = DATA;
        poke(b, DATA, cases[n].pcid, 8);
        poke(b, DATA + 8, cases[n].linear, 8);
        RUN(b, 0x66, 0x0f, 0x38, 0x82, 0x02);
        if (cases[n].ok)
            ASSERT_OK(b);
        else
            ASSERT_GP(b, 0);
    }
}

static void cache(void **state)
{
    struct bench *b = *state;

    bench_long(b, 0);
    RUN(b, 0x0f, 0x08); /* invd */
    ASSERT_OK(b);
    RUN(b, 0x0f, 0x09); /* wbinvd */
    ASSERT_OK(b);
    RUN(b, 0x0f, 0x01, 0xe8); /* serialize */
    ASSERT_OK(b);
    b->c.s.gpr[RSI] = 0x40000000; /* not mapped */
    RUN(b, 0x0f, 0xae, 0x3e);     /* clflush [rsi] */
    ASSERT_FAULT(b, EXC_PF, 0);
    b->c.s.gpr[RSI] = DATA;
    RUN(b, 0x0f, 0xae, 0x3e);
    ASSERT_OK(b);
    bench_long(b, 3);
    RUN(b, 0x0f, 0x08);
    ASSERT_GP(b, 0);
    RUN(b, 0x0f, 0x09);
    ASSERT_GP(b, 0);
    b->c.s.gpr[RSI] = DATA;
    RUN(b, 0x66, 0x0f, 0xae, 0x3e); /* clflushopt */
    ASSERT_OK(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BENCH_TEST(cr0_combinations), BENCH_TEST(cr0_modes),
        BENCH_TEST(long_mode_on),     BENCH_TEST(long_mode_off),
        BENCH_TEST(pdptes),           BENCH_TEST(cr3),
        BENCH_TEST(cr4_features),     BENCH_TEST(cr4_effects),
        BENCH_TEST(cr2_cr8_and_none), BENCH_TEST(msw),
        BENCH_TEST(invalidate),       BENCH_TEST(invpcid_global),
        BENCH_TEST(invpcid_faults),   BENCH_TEST(cache),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
