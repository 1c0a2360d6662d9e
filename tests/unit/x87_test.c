/*
 * x87 around the computations (which vector_test compares with the host for
 * every row): environments in memory, pointers, pending exceptions, stores
 * that do not take place, and the registers as MMX ones.
 */
#include "cpu_bench.h"

#include "native.h"
#include "x86/fpu.h"
#include "x86/hostvec.h"

enum { AREA = DATA + 0x1000, SIZE = 256 };

static struct native_state native;
static uint8_t *low;

static int setup(void **state)
{
    struct bench *b = bench_new();
    struct err e;

    bench_long(b, 0);
    b->c.s.cr4 |= CR4_OSFXSR | CR4_OSXMMEXCPT;
    b->c.s.cr0 |= CR0_NE;
    x86_mode_changed(&b->c);
    b->c.s.gpr[RBX] = AREA;
    assert_int_equal(hostvec_open(&b->c, &e), 0);
    fpu_init(b->c.s.fxsave);
    *state = b;
    return 0;
}

static int teardown(void **state)
{
    struct bench *b = *state;
    uint16_t cw, sw;

    /* What a body leaves of the host's own x87 state. */
    __asm__ volatile("fnstcw %0; fnstsw %1" : "=m"(cw), "=m"(sw));
    assert_int_equal(cw, 0x37f);
    assert_int_equal(sw & (FSW_TOP | FSW_ES | FSW_B), 0);
    assert_int_equal(hostvec_mxcsr() & ~0x3fu, MXCSR_INIT);
    hostvec_close(&b->c);
    return bench_teardown(state);
}

static void random_x87(struct bench *b, unsigned seed)
{
    static const uint64_t mantissa[] = {0, 1ull << 63, 0x8000000000000001,
                                        0x4000000000000000, ~0ull};
    static const uint16_t exponent[] = {0, 0x3fff, 0x7fff, 0xc001};
    uint8_t *fx = b->c.s.fxsave;

    for (unsigned r = 0; r < 8; r++) {
        store_le64(fx + FX_ST + 16 * r, mantissa[(r + seed) % 5]);
        store_le64(fx + FX_ST + 16 * r + 8, exponent[(r + seed / 3) % 4]);
    }
    fpu_set_words(fx, 0x340 | (seed & 0xc3f), seed * 0x1357);
    fx[FX_FTW] = (uint8_t)(seed * 37);
    store_le16(fx + FX_FOP, 0x123);
    store_le64(fx + FX_FIP, 0x11223344);
    store_le64(fx + FX_FDP, 0x55667788);
}

static void to_native(struct bench *b)
{
    memset(native.xsave, 0, NATIVE_XSAVE);
    memcpy(native.xsave, b->c.s.fxsave, FX_XMM);
    store_le32(native.xsave + FX_MXCSR, MXCSR_INIT);
    store_le64(native.xsave + 512, 1);
    memcpy(native.gpr, b->c.s.gpr, sizeof native.gpr);
    native.gpr[RBX] = (uintptr_t)low;
    native.rflags = FLAG_1 | FLAG_IF;
}

static void same_x87(struct bench *b)
{
    const uint8_t *fx = b->c.s.fxsave, *x = native.xsave;
    static uint8_t initial[FX_XMM];

    if (!(x[512] & 1)) { /* the host forgets the registers on FNINIT */
        fpu_reset(initial);
        assert_memory_equal(fx, initial, FX_MXCSR);
        return;
    }
    assert_memory_equal(fx, x, FX_MXCSR);
    for (unsigned r = 0; r < 8; r++)
        assert_memory_equal(fx + FX_ST + 16 * r, x + FX_ST + 16 * r, 10);
}

/* The same bytes here and on the host, memory at RBX. */
static void both(struct bench *b, const uint8_t *insn, unsigned n)
{
    memcpy(low, b->ram + AREA, SIZE);
    to_native(b);
    bench_run(b, insn, n);
    ASSERT_OK(b);
    assert_int_equal(native_run(&native, insn, n), NATIVE_DONE);
    assert_memory_equal(b->ram + AREA, low, SIZE);
    same_x87(b);
}

#define BOTH(b, ...)                                                           \
    both(b, (const uint8_t[]){__VA_ARGS__},                                    \
         sizeof((const uint8_t[]){__VA_ARGS__}))

/* 64-bit code has the protected-mode forms. */
static void test_environment(void **state)
{
    struct bench *b = *state;

    for (unsigned seed = 0; seed < 64; seed++) {
        memset(b->ram + AREA, 0xcc, SIZE);
        random_x87(b, seed);
        BOTH(b, 0xd9, 0x33); /* fnstenv */
        random_x87(b, seed);
        BOTH(b, 0xdd, 0x33); /* fnsave */
        random_x87(b, seed);
        BOTH(b, 0x66, 0xdd, 0x33);
        random_x87(b, seed);
        BOTH(b, 0x66, 0xd9, 0x33);
        random_x87(b, 0);
        fpu_set_words(b->c.s.fxsave, 0x37f, 0);
        store_le16(b->c.s.fxsave + FX_FOP, 0);
        BOTH(b, 0x66, 0xd9, 0x23); /* fldenv */
        random_x87(b, seed);
        BOTH(b, 0xdd, 0x33);
        random_x87(b, seed + 5);
        fpu_set_words(b->c.s.fxsave, 0x37f, 0);
        BOTH(b, 0xdd, 0x23); /* frstor */
        random_x87(b, seed);
        BOTH(b, 0xdf, 0xe0); /* fnstsw ax */
        assert_int_equal(b->c.s.gpr[RAX], native.gpr[RAX]);
        BOTH(b, 0xdd, 0x3b); /* fnstsw m16 */
        BOTH(b, 0xd9, 0x3b); /* fnstcw */
        BOTH(b, 0xdb, 0xe2); /* fnclex */
        poke(b, AREA, seed * 0x2481, 2);
        BOTH(b, 0xd9, 0x2b); /* fldcw */
        BOTH(b, 0xdb, 0xe3); /* fninit */
    }
}

static void test_real_mode_environment(void **state)
{
    struct bench *b = *state;
    uint8_t *fx = b->c.s.fxsave;

    b->c.s.cr0 &= ~(CR0_PG | CR0_PE);
    b->c.s.efer = 0;
    bench_real(b);
    feature_set(&b->model.features, FEAT_ZERO_FCS_FDS, false);
    b->c.s.gpr[RBX] = 0x10;
    RUN(b, 0xd9, 0xe8); /* fld1, at 1000:100 */
    ASSERT_OK(b);
    assert_true(load_le64(fx + FX_FIP) ==
                ((uint64_t)(CODE >> 4) << 32 | 0x100));
    store_le16(fx + FX_FOP, 0x5a5);
    store_le64(fx + FX_FDP, 0xf000ull << 32 | 0x4321);
    RUN(b, 0xd9, 0x37); /* fnstenv [bx] */
    ASSERT_OK(b);
    assert_int_equal(peek(b, 0x10, 2), 0x37f);
    assert_int_equal(peek(b, 0x12, 2), 0x3800);
    assert_int_equal(peek(b, 0x14, 2), 0x3fff);
    assert_int_equal(peek(b, 0x16, 2), (CODE + 0x100) & 0xffff);
    assert_int_equal(peek(b, 0x18, 2), 0x1000 | 0x5a5);
    assert_int_equal(peek(b, 0x1a, 2), 0x4321);
    assert_int_equal(peek(b, 0x1c, 2), 0xf000);
    RUN(b, 0x66, 0xd9, 0x37);
    ASSERT_OK(b);
    assert_int_equal(peek(b, 0x1c, 4), 0xffff0100);
    assert_int_equal(peek(b, 0x20, 4), 1 << 12 | 0x5a5);
    assert_int_equal(peek(b, 0x24, 4), 0xffff4321);
    assert_int_equal(peek(b, 0x28, 4), 0xf << 12);
    fpu_init(fx);
    RUN(b, 0x66, 0xd9, 0x27); /* fldenv */
    ASSERT_OK(b);
    assert_int_equal(load_le32(fx + FX_FIP), CODE + 0x100);
    assert_int_equal(load_le32(fx + FX_FDP), 0xf4321);
    assert_int_equal(load_le16(fx + FX_FOP), 0x5a5);
    assert_int_equal(fx[FX_FTW], 0x80);
    assert_int_equal(fpu_top(fx), 7);
}

/* FIP always; FOP and FDP by what the CPU says of them. */
static void test_pointers(void **state)
{
    struct bench *b = *state;
    uint8_t *fx = b->c.s.fxsave;

    b->c.s.rip = CODE + 0x40;
    RUN(b, 0xdc, 0x03); /* fadd qword [rbx] */
    ASSERT_OK(b);
    assert_int_equal(load_le64(fx + FX_FIP), CODE + 0x40);
    assert_int_equal(load_le64(fx + FX_FDP), 0);
    assert_int_equal(load_le16(fx + FX_FOP), 0);
    fpu_init(fx);
    fpu_set_words(fx, 0x37e, 0);
    b->c.s.rip = CODE + 0x80;
    RUN(b, 0xdc, 0x33); /* fdiv qword [rbx]: invalid, the stack is empty */
    ASSERT_OK(b);
    assert_int_equal(load_le64(fx + FX_FIP), CODE + 0x80);
    assert_int_equal(load_le64(fx + FX_FDP), AREA);
    assert_int_equal(load_le16(fx + FX_FOP), 0x433);
    fpu_init(fx);
    feature_set(&b->model.features, FEAT_FDP_EXCPTN, false);
    RUN(b, 0xdc, 0x03);
    assert_int_equal(load_le64(fx + FX_FDP), AREA);
    assert_int_equal(load_le16(fx + FX_FOP), 0x403);
    RUN(b, 0xd9, 0xe8); /* fld1 has no operand in memory */
    assert_int_equal(load_le64(fx + FX_FDP), AREA);
    assert_int_equal(load_le16(fx + FX_FOP), 0x1e8);
}

static void test_pending(void **state)
{
    struct bench *b = *state;
    uint8_t *fx = b->c.s.fxsave;

    fpu_set_words(fx, 0x37b, 0); /* ZM clear */
    RUN(b, 0xd9, 0xe8);          /* fld1 */
    RUN(b, 0xd9, 0xee);          /* fldz */
    RUN(b, 0xde, 0xf9);          /* fdivp: says nothing yet */
    ASSERT_OK(b);
    assert_int_equal(fpu_sw(fx) & (FSW_ES | FSW_B | FSW_ZE),
                     FSW_ES | FSW_B | FSW_ZE);
    RUN(b, 0xd9, 0xe8);
    ASSERT_FAULT(b, EXC_MF, 0);
    RUN(b, 0x9b); /* fwait */
    ASSERT_FAULT(b, EXC_MF, 0);
    RUN(b, 0xd9, 0x2b); /* fldcw */
    ASSERT_FAULT(b, EXC_MF, 0);
    RUN(b, 0x0f, 0x6f, 0xc1); /* movq mm0, mm1 */
    ASSERT_FAULT(b, EXC_MF, 0);
    RUN(b, 0x0f, 0x77); /* emms */
    ASSERT_FAULT(b, EXC_MF, 0);
    RUN(b, 0xd9, 0x3b); /* these do not wait: fnstcw, fnstsw, fnstenv */
    ASSERT_OK(b);
    RUN(b, 0xdf, 0xe0);
    ASSERT_OK(b);
    RUN(b, 0x0f, 0x58, 0xc1); /* nor does SSE */
    ASSERT_OK(b);
    RUN(b, 0xdb, 0xe2); /* fnclex */
    ASSERT_OK(b);
    assert_int_equal(fpu_sw(fx) & (FSW_ES | FSW_B | 0x3f), 0);
    RUN(b, 0xd9, 0xe8);
    ASSERT_OK(b);
    fpu_set_words(fx, 0x37f, FSW_ZE);
    poke(b, AREA, 0x37b, 2);
    RUN(b, 0xd9, 0x2b); /* unmasking a flag that is up */
    ASSERT_OK(b);
    RUN(b, 0x9b);
    ASSERT_FAULT(b, EXC_MF, 0);
    RUN(b, 0xdb, 0xe3); /* fninit */
    ASSERT_OK(b);
    RUN(b, 0x9b);
    ASSERT_OK(b);
}

static void test_stores(void **state)
{
    struct bench *b = *state;
    uint8_t *fx = b->c.s.fxsave;
    static uint8_t before[FX_XMM];

    poke(b, AREA, 0x1234567812345678, 8);
    fpu_set_words(fx, 0x37e, 0); /* IM clear */
    RUN(b, 0xdd, 0x1b);          /* fstp qword [rbx] of an empty stack */
    ASSERT_OK(b);
    assert_int_equal(peek(b, AREA, 8), 0x1234567812345678);
    assert_int_equal(fpu_top(fx), 0);
    assert_true(fpu_sw(fx) & FSW_ES);
    fpu_init(fx);
    RUN(b, 0xdd, 0x1b); /* masked: the indefinite */
    ASSERT_OK(b);
    assert_true(peek(b, AREA, 8) == 0xfff8000000000000);
    /* Inexact with PM clear: stored and popped, and pending. */
    fpu_init(fx);
    fpu_set_words(fx, 0x35f, 0);
    RUN(b, 0xd9, 0xeb); /* fldpi */
    RUN(b, 0xd9, 0x1b); /* fstp dword */
    ASSERT_OK(b);
    assert_int_equal(peek(b, AREA, 4), 0x40490fdb);
    assert_int_equal(fx[FX_FTW], 0);
    assert_true(fpu_sw(fx) & FSW_ES);
    /* A page fault leaves everything as it was. */
    fpu_init(fx);
    RUN(b, 0xd9, 0xe8);
    poke(b, PD + 8, 0, 8);
    tlb_flush_all(&b->c);
    b->c.s.gpr[RBX] = 0x1ffffc;
    memcpy(before, fx, sizeof before);
    RUN(b, 0xdb, 0x3b); /* fstp tbyte across the boundary */
    ASSERT_FAULT(b, EXC_PF, 2);
    assert_true(b->c.exc.cr2 == 0x200000);
    assert_memory_equal(before, fx, sizeof before);
    assert_int_equal(peek(b, 0x1ffffc, 4), 0);
    RUN(b, 0xdb, 0x2b); /* fld tbyte */
    ASSERT_FAULT(b, EXC_PF, 0);
    assert_memory_equal(before, fx, sizeof before);
}

static void test_flags(void **state)
{
    struct bench *b = *state;

    RUN(b, 0xd9, 0xe8); /* 1.0 in ST1, pi in ST0 */
    RUN(b, 0xd9, 0xeb);
    flags_set(&b->c, FLAG_1 | FLAG_CF | FLAG_OF);
    RUN(b, 0xdb, 0xf1); /* fcomi st, st1: above */
    ASSERT_OK(b);
    assert_int_equal(flags_get(&b->c) & FLAGS_STATUS, 0);
    flags_sub(&b->c, 1, 2, 8); /* CF, lazily */
    RUN(b, 0xda, 0xc1);        /* fcmovb st, st1 */
    assert_int_equal(load_le64(b->c.s.fxsave + FX_ST), 1ull << 63);
    RUN(b, 0xdf, 0xf1); /* fcomip: equal */
    assert_int_equal(flags_get(&b->c) & FLAGS_STATUS, FLAG_ZF);
}

static void test_mmx(void **state)
{
    struct bench *b = *state;
    uint8_t *fx = b->c.s.fxsave;

    RUN(b, 0xd9, 0xe8); /* fld1: in R7 */
    RUN(b, 0xd9, 0xeb); /* fldpi: in R6 */
    b->c.s.gpr[RAX] = 0x1122334455667788;
    RUN(b, 0x48, 0x0f, 0x6e, 0xc8); /* movq mm1, rax */
    ASSERT_OK(b);
    assert_int_equal(fpu_top(fx), 0);
    assert_int_equal(fx[FX_FTW], 0xff);
    assert_int_equal(load_le64(fx + FX_ST + 16), 0x1122334455667788);
    assert_int_equal(load_le64(fx + FX_ST + 16 + 8), 0xffff);
    assert_int_equal(load_le64(fx + FX_ST + 16 * 7), 1ull << 63);
    assert_int_equal(load_le16(fx + FX_ST + 16 * 7 + 8), 0x3fff);
    assert_int_equal(load_le16(fx + FX_ST + 16 * 6 + 8), 0x4000);
    RUN(b, 0x0f, 0xfc, 0xcf); /* paddb mm1, mm7 */
    assert_int_equal(load_le64(fx + FX_ST + 16), 0x9122334455667788);
    RUN(b, 0x0f, 0x77); /* emms */
    ASSERT_OK(b);
    assert_int_equal(fx[FX_FTW], 0);
    assert_int_equal(load_le64(fx + FX_ST + 16), 0x9122334455667788);
    /* MASKMOVQ writes bytes whose mask has its top bit. */
    poke(b, AREA, 0, 8);
    b->c.s.gpr[RDI] = AREA;
    store_le64(fx + FX_ST, 0x80008000007f8080);
    RUN(b, 0x0f, 0xf7, 0xc8); /* maskmovq mm1, mm0 */
    ASSERT_OK(b);
    assert_true(peek(b, AREA, 8) == 0x9100330000007788);
    assert_int_equal(fx[FX_FTW], 0xff);
}

static void test_checks(void **state)
{
    struct bench *b = *state;

    b->c.s.cr0 |= CR0_TS;
    x86_mode_changed(&b->c);
    RUN(b, 0xd9, 0xe8);
    ASSERT_FAULT(b, EXC_NM, 0);
    RUN(b, 0x9b);
    ASSERT_OK(b); /* MP clear */
    b->c.s.cr0 |= CR0_MP;
    x86_mode_changed(&b->c);
    RUN(b, 0x9b);
    ASSERT_FAULT(b, EXC_NM, 0);
    b->c.s.cr0 = (b->c.s.cr0 & ~(CR0_TS | CR0_MP)) | CR0_EM;
    x86_mode_changed(&b->c);
    RUN(b, 0xdb, 0xe3);
    ASSERT_FAULT(b, EXC_NM, 0);
    RUN(b, 0x0f, 0x77);
    ASSERT_UD(b);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_environment), T(test_real_mode_environment),
        T(test_pointers),    T(test_pending),
        T(test_stores),      T(test_flags),
        T(test_mmx),         T(test_checks),
    };

    low = native_low_memory(SIZE);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
