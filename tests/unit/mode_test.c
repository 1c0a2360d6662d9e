/* What follows from the mode: x86/mode.c, check.c. */
#include "cpu_bench.h"

static uint32_t key(struct bench *b)
{
    x86_mode_changed(&b->c);
    return b->c.mode_key;
}

static void keys(void **state)
{
    struct bench *b = *state;
    struct x86_state *s = &b->c.s;

    assert_int_equal(key(b), MODE_CODE16 | MODE_64K); /* after reset */
    s->seg[CS].attr |= SEG_DB;
    assert_int_equal(key(b), MODE_CODE32 | MODE_64K);
    bench_protected(b, 0);
    assert_int_equal(key(b), MODE_CODE32 | MODE_PE | MODE_SS32 | MODE_FLAT);
    bench_protected(b, 3);
    assert_int_equal(key(b),
                     MODE_CODE32 | MODE_PE | MODE_SS32 | MODE_FLAT | MODE_CPL);
    bench_segments(b, SEL_CODE1, SEL_DATA1, SEL_DATA1);
    assert_int_equal(key(b) >> MODE_CPL_SHIFT & 3, 1);
    s->cr0 |= CR0_TS | CR0_EM | CR0_MP | CR0_PG;
    assert_int_equal(key(b) & (MODE_TS | MODE_EM | MODE_MP | MODE_PG),
                     MODE_TS | MODE_EM | MODE_MP | MODE_PG);
    s->rflags |= FLAG_TF;
    assert_true(key(b) & MODE_TF);
    s->cr0 &= ~(uint64_t)(CR0_TS | CR0_EM | CR0_MP | CR0_PG);
    bench_vm86(b, 2);
    assert_int_equal(key(b), MODE_PE | MODE_VM86 | MODE_CODE16 | MODE_CPL |
                                 MODE_64K | 2 << 17);
    bench_long(b, 0);
    assert_int_equal(key(b), MODE_CODE64 | MODE_PE | MODE_LMA | MODE_SS32 |
                                 MODE_FLAT | MODE_PG);
    s->seg[CS] = bench_segment(b, SEL_CODE0);
    assert_int_equal(key(b), MODE_CODE32 | MODE_PE | MODE_LMA | MODE_SS32 |
                                 MODE_FLAT | MODE_PG);
    s->seg[CS] = bench_segment(b, SEL_CODE16);
    assert_int_equal(key(b) & (MODE_CODE | MODE_FLAT), MODE_CODE16);
}

/* How far a segment goes without a look at it, and who has 64 KB. */
static void ends(void **state)
{
    static const struct {
        unsigned seg, sel;
        uint64_t read, write;
    } cases[] = {
        {DS, SEL_DATA0, UINT64_MAX, UINT64_MAX},
        {DS, SEL_ROM, 0x10000, 0},
        {ES, SEL_DOWN, 0, 0},
        {CS, SEL_XONLY, 0, 0},
        {CS, SEL_CODE0, UINT64_MAX, 0},
        {CS, SEL_CONF, UINT64_MAX, 0},
    };
    struct bench *b = *state;
    struct x86_seg *s = b->c.s.seg;

    for (unsigned n = 0; n < ARRAY_LEN(cases); n++) {
        unsigned seg = cases[n].seg;

        bench_protected(b, 0);
        s[seg] = bench_segment(b, cases[n].sel);
        x86_mode_changed(&b->c);
        assert_int_equal(b->c.seg_end[0][seg], cases[n].read);
        assert_int_equal(b->c.seg_end[1][seg], cases[n].write);
    }
    bench_protected(b, 0);
    s[GS] = seg_null(0, 0);
    s[ES].limit = 0xffff;
    assert_int_equal(key(b) & (MODE_64K | MODE_FLAT), MODE_64K);
    assert_int_equal(b->c.seg_end[1][ES], 0x10000);
    assert_int_equal(b->c.seg_end[0][GS], 0);
    s[ES].limit = 0xfffe;
    assert_int_equal(key(b) & (MODE_64K | MODE_FLAT), 0);
    assert_int_equal(b->c.seg_end[1][ES], 0xffff);
}

/* A segment that needs a base added or a check made is not flat. */
static void flatness(void **state)
{
    static const struct {
        unsigned seg, sel;
        bool flat;
    } cases[] = {
        {DS, SEL_DATA0, true},   {DS, SEL_DATA3, true},
        {DS, SEL_ROM, false},    {ES, SEL_DOWN, false},
        {DS, SEL_CODE0, false},  {SS, SEL_STACK16, false},
        {CS, SEL_XONLY, false},  {CS, SEL_CONF, true},
        {FS, SEL_ROM, true},     {GS, SEL_STACK16, true},
        {ES, SEL_DATA16, false},
    };
    struct bench *b = *state;

    for (unsigned n = 0; n < ARRAY_LEN(cases); n++) {
        bench_protected(b, 0);
        b->c.s.seg[cases[n].seg] = bench_segment(b, cases[n].sel);
        assert_int_equal(!!(key(b) & MODE_FLAT), cases[n].flat);
    }
    bench_protected(b, 0);
    b->c.s.seg[DS] = seg_null(0, 0);
    assert_false(key(b) & MODE_FLAT);
    bench_protected(b, 0);
    b->c.s.seg[ES].base = 0x10;
    assert_false(key(b) & MODE_FLAT);
    bench_desc(b, SEL_FREE, 0, 0xfffff, 0x97, F_32); /* expand-down, empty */
    bench_protected(b, 0);
    b->c.s.seg[ES] = bench_segment(b, SEL_FREE);
    assert_false(key(b) & MODE_FLAT);
}

static void tlb_modes(void **state)
{
    struct bench *b = *state;
    struct x86_state *s = &b->c.s;

    bench_protected(b, 0);
    assert_int_equal(b->c.tlb_mode, TLB_KERNEL);
    assert_ptr_equal(b->c.tlb, b->c.tlbs[TLB_KERNEL]);
    s->cr4 |= CR4_SMAP;
    key(b);
    assert_int_equal(b->c.tlb_mode, TLB_KERNEL_SMAP);
    assert_ptr_equal(b->c.tlb, b->c.tlbs[TLB_KERNEL_SMAP]);
    bench_protected(b, 3);
    assert_int_equal(b->c.tlb_mode, TLB_USER);
    x86_access_as(&b->c, 0, false);
    assert_int_equal(b->c.tlb_mode, TLB_KERNEL_SMAP);
    key(b);
    assert_int_equal(b->c.tlb_mode, TLB_USER);
    bench_segments(b, SEL_CODE1, SEL_DATA1, SEL_DATA1);
    key(b);
    assert_int_equal(b->c.tlb_mode, TLB_KERNEL_SMAP); /* 1 is a supervisor */
    s->cr0 |= CR0_AM;
    s->rflags |= FLAG_AC;
    key(b);
    assert_int_equal(b->c.tlb_mode, TLB_KERNEL);
    bench_protected(b, 3);
    s->cr0 |= CR0_AM;
    s->rflags |= FLAG_AC;
    key(b);
    assert_int_equal(b->c.tlb_mode, TLB_USER_AC);
    s->cr0 &= ~(uint64_t)CR0_AM;
    key(b);
    assert_int_equal(b->c.tlb_mode, TLB_USER);
    bench_long(b, 0);
    x86_access_as(&b->c, 0, false);
    assert_int_equal(b->c.mode_key & (MODE_CODE | MODE_FLAT), MODE_CODE32);
    x86_access_as(&b->c, 0, true);
    assert_int_equal(b->c.mode_key & (MODE_CODE | MODE_FLAT),
                     MODE_CODE64 | MODE_FLAT);
}

static void breakpoints_on(void **state)
{
    struct bench *b = *state;
    struct x86_state *s = &b->c.s;
    uint64_t g;

    bench_protected(b, 0);
    g = b->c.tlb_generation;
    s->dr[7] = 0x400 | 0xf0000; /* not enabled */
    key(b);
    assert_false(b->c.has_breakpoints);
    s->dr[7] = 0x400 | 1; /* execution */
    key(b);
    assert_false(b->c.has_breakpoints);
    assert_true(b->c.has_code_breakpoints);
    assert_int_equal(b->c.tlb_generation, g);
    s->dr[7] = 0x400 | 2 | 0x10000;
    key(b);
    assert_true(b->c.has_breakpoints);
    assert_false(b->c.has_code_breakpoints);
    assert_true(b->c.tlb_generation > g);
}

/* --- reset --- */

static void reset(void **state)
{
    struct bench *b = *state;
    struct x86_state *s = &b->c.s;

    memset(s, 0xa5, sizeof(*s));
    s->tsc_offset = 1000;
    s->tsc_adjust = 300;
    x86_state_reset(s, &b->model, true, false);
    assert_int_equal(s->rip, 0xfff0);
    assert_int_equal(s->rflags, 2);
    assert_int_equal(s->gpr[RDX], 0x906e3);
    assert_int_equal(s->gpr[RAX], 0);
    assert_int_equal(s->seg[CS].sel, 0xf000);
    assert_int_equal(s->seg[CS].base, 0xffff0000);
    assert_int_equal(s->seg[CS].limit, 0xffff);
    assert_int_equal(s->seg[CS].attr, 0x93);
    assert_int_equal(s->seg[GS].attr, 0x93);
    assert_int_equal(s->ldt.attr, 0x82);
    assert_int_equal(s->tr.attr, 0x8b);
    assert_int_equal(s->idt.limit, 0xffff);
    assert_int_equal(s->cr0, 0x60000010);
    assert_int_equal(s->cr4, 0);
    assert_int_equal(s->efer, 0);
    assert_int_equal(s->dr[6], 0xffff0ff0);
    assert_int_equal(s->dr[7], 0x400);
    assert_int_equal(s->mxcsr, 0x1f80);
    assert_int_equal(s->xcr0, 1);
    assert_int_equal(load_le(s->fxsave, 2), 0x40);
    assert_int_equal(load_le(s->fxsave + 2, 2), 0);
    assert_int_equal(s->fxsave[4], 0xff); /* FTW 5555h */
    assert_int_equal(s->pat, 0x0007040600070406);
    assert_int_equal(s->activity, CPU_RUNNING);
    assert_int_equal(s->tsc_offset, 700);
    assert_int_equal(s->tsc_adjust, 0);
    assert_int_equal(s->star, 0);
    x86_state_reset(s, &b->model, false, false);
    assert_int_equal(s->activity, CPU_WAIT_SIPI);
    /* INIT: FPU, vector registers and MSRs stay */
    s->zmm[3][5] = 7;
    s->fxsave[0] = 0x7f;
    s->star = 5;
    s->mtrr_def_type = 6;
    s->cr0 = 0x80000000 | CR0_CD | CR0_PE;
    s->efer = EFER_LME | EFER_LMA;
    s->nmi_blocked = true;
    x86_state_reset(s, &b->model, true, true);
    assert_int_equal(s->zmm[3][5], 7);
    assert_int_equal(s->fxsave[0], 0x7f);
    assert_int_equal(s->star, 5);
    assert_int_equal(s->mtrr_def_type, 6);
    assert_int_equal(s->cr0, CR0_CD | CR0_ET);
    assert_int_equal(s->efer, 0);
    assert_false(s->nmi_blocked);
    /* a family beyond 15 */
    b->model.family = 0x19;
    b->model.model = 0x21;
    b->model.stepping = 2;
    x86_state_reset(s, &b->model, true, false);
    assert_int_equal(s->gpr[RDX], 0xa20f12);
}

/* --- the checks of rows --- */

static enum check_result check(struct bench *b, const void *bytes, size_t n)
{
    assert_int_equal(x86_decode(&b->insn, bytes, n, bench_decode_mode(&b->c)),
                     DECODE_OK);
    key(b);
    return x86_check_row_static(&b->c, &b->insn);
}

#define CHECK(b, ...)                                                          \
    check(b, (const uint8_t[]){__VA_ARGS__},                                   \
          sizeof((const uint8_t[]){__VA_ARGS__}))

#define FADD     0xd8, 0xc1
#define PADDB    0x0f, 0xfc, 0xc1       /* mm0,mm1 */
#define ADDPS    0x0f, 0x58, 0xc1       /* xmm0,xmm1 */
#define VADDPS   0xc5, 0xf8, 0x58, 0xc1 /* xmm0,xmm0,xmm1 */
#define VADDPS_Z 0x62, 0xf1, 0x7c, 0x48, 0x58, 0xc1
#define POPCNT   0xf3, 0x0f, 0xb8, 0xc1

static void x87_and_mmx(void **state)
{
    struct bench *b = *state;
    struct x86_state *s = &b->c.s;

    bench_protected(b, 3);
    assert_int_equal(CHECK(b, FADD), CHECK_OK);
    s->cr0 |= CR0_TS;
    assert_int_equal(CHECK(b, FADD), CHECK_NM);
    assert_int_equal(CHECK(b, PADDB), CHECK_NM);
    s->cr0 |= CR0_EM;
    assert_int_equal(CHECK(b, PADDB), CHECK_UD); /* before #NM */
    assert_int_equal(CHECK(b, FADD), CHECK_NM);
    s->cr0 &= ~(uint64_t)CR0_TS;
    assert_int_equal(CHECK(b, FADD), CHECK_NM);
    feature_set(&b->model.features, FEAT_MMX, false);
    s->cr0 &= ~(uint64_t)CR0_EM;
    assert_int_equal(CHECK(b, PADDB), CHECK_UD);
}

static void sse(void **state)
{
    struct bench *b = *state;
    struct x86_state *s = &b->c.s;

    bench_protected(b, 3);
    s->cr0 |= CR0_TS;
    assert_int_equal(CHECK(b, ADDPS), CHECK_UD); /* OSFXSR is clear */
    s->cr4 |= CR4_OSFXSR;
    assert_int_equal(CHECK(b, ADDPS), CHECK_NM);
    s->cr0 |= CR0_EM;
    assert_int_equal(CHECK(b, ADDPS), CHECK_UD);
    s->cr0 &= ~(uint64_t)(CR0_EM | CR0_TS);
    assert_int_equal(CHECK(b, ADDPS), CHECK_OK);
    feature_set(&b->model.features, FEAT_SSE, false);
    assert_int_equal(CHECK(b, ADDPS), CHECK_UD);
}

static void avx(void **state)
{
    struct bench *b = *state;
    struct x86_state *s = &b->c.s;

    bench_protected(b, 3);
    s->cr4 |= CR4_OSFXSR;
    s->xcr0 = 7;
    assert_int_equal(CHECK(b, VADDPS), CHECK_UD);
    s->cr4 |= CR4_OSXSAVE;
    assert_int_equal(CHECK(b, VADDPS), CHECK_OK);
    s->cr0 |= CR0_EM; /* means nothing to AVX */
    assert_int_equal(CHECK(b, VADDPS), CHECK_OK);
    s->cr0 |= CR0_TS;
    assert_int_equal(CHECK(b, VADDPS), CHECK_NM);
    s->xcr0 = 3;
    assert_int_equal(CHECK(b, VADDPS), CHECK_UD);
    s->cr0 &= ~(uint64_t)(CR0_TS | CR0_EM);
    s->xcr0 = 7;
    assert_int_equal(CHECK(b, VADDPS_Z), CHECK_UD);
    s->xcr0 = 0xe7;
    assert_int_equal(CHECK(b, VADDPS_Z), CHECK_OK);
    feature_set(&b->model.features, FEAT_AVX512F, false);
    assert_int_equal(CHECK(b, VADDPS_Z), CHECK_UD);
    assert_int_equal(CHECK(b, VADDPS), CHECK_OK);
    bench_vm86(b, 3);
    assert_int_equal(CHECK(b, VADDPS), CHECK_UD);
}

static void features_and_privilege(void **state)
{
    struct bench *b = *state;

    bench_protected(b, 3);
    assert_int_equal(CHECK(b, POPCNT), CHECK_OK);
    feature_set(&b->model.features, FEAT_POPCNT, false);
    assert_int_equal(CHECK(b, POPCNT), CHECK_UD);
    assert_int_equal(CHECK(b, 0xf4), CHECK_GP0);            /* hlt */
    assert_int_equal(CHECK(b, 0x0f, 0x01, 0xca), CHECK_UD); /* clac */
    assert_int_equal(CHECK(b, 0x0f, 0x01, 0xc8), CHECK_UD); /* monitor */
    feature_set(&b->model.features, FEAT_INVPCID, false);
    assert_int_equal(CHECK(b, 0x66, 0x0f, 0x38, 0x82, 0x02), CHECK_UD);
    assert_int_equal(CHECK(b, 0x0f, 0x00, 0xe0), CHECK_OK); /* verr */
    bench_vm86(b, 3);
    assert_int_equal(CHECK(b, 0xf4), CHECK_GP0);
    assert_int_equal(CHECK(b, 0x0f, 0x00, 0xe0), CHECK_UD);
    b->c.s.rflags = FLAG_1;
    b->c.s.cr0 = CR0_ET;
    assert_int_equal(CHECK(b, 0xf4), CHECK_OK); /* real mode */
    assert_int_equal(CHECK(b, 0x0f, 0x00, 0xe0), CHECK_UD);
}

static void lock(void **state)
{
    struct bench *b = *state;
    struct insn i;

    bench_protected(b, 3);
    assert_int_equal(CHECK(b, 0xf0, 0x01, 0x06), CHECK_OK); /* add [esi],eax */
    /* forms that take no LOCK: the decoder or the check refuses them */
    static const uint8_t bad[][4] = {
        {0xf0, 0x01, 0xc6}, {0xf0, 0x03, 0x06}, {0xf0, 0x89, 0x06},
        {0xf0, 0x90, 0x90}, {0xf0, 0x0f, 0xa2}, {0xf0, 0x39, 0x06},
    };
    for (unsigned n = 0; n < ARRAY_LEN(bad); n++)
        if (x86_decode(&i, bad[n], 4, DECODE_32) == DECODE_OK)
            assert_int_equal(x86_check_row_static(&b->c, &i), CHECK_UD);
}

static void raising(void **state)
{
    struct bench *b = *state;

    bench_protected(b, 3);
    RUN(b, 0xf4);
    ASSERT_GP(b, 0);
    b->c.s.cr0 |= CR0_TS;
    x86_mode_changed(&b->c);
    RUN(b, FADD);
    ASSERT_FAULT(b, EXC_NM, 0);
    assert_false(b->c.exc.has_error);
    RUN(b, ADDPS);
    ASSERT_UD(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BENCH_TEST(keys),
        BENCH_TEST(ends),
        BENCH_TEST(flatness),
        BENCH_TEST(tlb_modes),
        BENCH_TEST(breakpoints_on),
        BENCH_TEST(reset),
        BENCH_TEST(x87_and_mmx),
        BENCH_TEST(sse),
        BENCH_TEST(avx),
        BENCH_TEST(features_and_privilege),
        BENCH_TEST(lock),
        BENCH_TEST(raising),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
