/*
 * FXSAVE, XSAVE and their kind: areas byte for byte as the host writes them
 * from the same state, what XRSTOR refuses, and the init optimisation.
 */
#include "cpu_bench.h"

#include "native.h"
#include "x86/fpu.h"
#include "x86/xsave.h"

enum { AREA = DATA + 0x1000, SIZE = 4096 };

static struct native_state native;
static uint8_t *low; /* where the host saves to */

static int setup(void **state)
{
    struct bench *b = bench_new();

    bench_long(b, 0);
    b->c.s.cr4 |= CR4_OSFXSR | CR4_OSXSAVE;
    b->c.s.xcr0 = native_xcr0();
    x86_mode_changed(&b->c);
    b->c.s.gpr[RBX] = AREA;
    *state = b;
    return 0;
}

/* Every register with something of its own in it. */
static void fill_state(struct bench *b)
{
    struct x86_state *s = &b->c.s;

    for (unsigned r = 0; r < 32; r++)
        for (unsigned k = 0; k < 64; k++)
            s->zmm[r][k] = (uint8_t)(r * 64 + k + 1);
    for (unsigned r = 0; r < 8; r++)
        s->k[r] = 0x1111111111111111ull * (r + 1);
    for (unsigned r = 0; r < 8; r++) {
        uint8_t *st = s->fxsave + FX_ST + 16 * r;

        store_le64(st, 0x8000000000000000 | r << 20 | 7);
        store_le16(st + 8, (uint16_t)(0x3ffe + r));
    }
    fpu_set_words(s->fxsave, 0x27f, 0x3921);
    s->fxsave[FX_FTW] = 0xb9;
    store_le16(s->fxsave + FX_FOP, 0x5a5);
    store_le64(s->fxsave + FX_FIP, 0x0000123456789abc);
    store_le64(s->fxsave + FX_FDP, 0x00007fedcba98765);
    s->mxcsr = 0x5fa1;
}

/* The guest's state in the host's registers, by the host's XRSTOR. */
static void to_native(struct bench *b)
{
    const struct x86_state *s = &b->c.s;
    uint8_t *x = native.xsave;

    memset(x, 0, NATIVE_XSAVE);
    memcpy(x, s->fxsave, FX_XMM);
    store_le32(x + FX_MXCSR, s->mxcsr);
    store_le64(x + 512, native_xcr0());
    for (unsigned r = 0; r < 16; r++) {
        memcpy(x + FX_XMM + 16 * r, s->zmm[r], 16);
        memcpy(x + 576 + 16 * r, s->zmm[r] + 16, 16);
        memcpy(x + 1152 + 32 * r, s->zmm[r] + 32, 32);
        memcpy(x + 1664 + 64 * r, s->zmm[16 + r], 64);
    }
    memcpy(x + 1088, s->k, 64);
    memcpy(native.gpr, s->gpr, sizeof native.gpr);
    native.gpr[RBX] = (uintptr_t)low;
    native.rflags = FLAG_1 | FLAG_IF;
}

/* Runs the save instruction here and on the host into areas of 0xa5. */
static void save_both(struct bench *b, const uint8_t *insn, unsigned n,
                      uint64_t mask)
{
    memset(b->ram + AREA, 0xa5, SIZE);
    memset(b->ram + AREA + 512, 0, 64);
    memcpy(low, b->ram + AREA, SIZE);
    b->c.s.gpr[RAX] = (uint32_t)mask;
    b->c.s.gpr[RDX] = mask >> 32;
    to_native(b);
    bench_run(b, insn, n);
    ASSERT_OK(b);
    assert_int_equal(native_run(&native, insn, n), NATIVE_DONE);
    for (unsigned k = 0; k < SIZE; k++)
        if (b->ram[AREA + k] != low[k])
            fail_msg("byte %u: %02x, host %02x", k, b->ram[AREA + k], low[k]);
}

static const uint8_t fxsave[] = {0x0f, 0xae, 0x03},
                     fxsave64[] = {0x48, 0x0f, 0xae, 0x03},
                     fxrstor64[] = {0x48, 0x0f, 0xae, 0x0b},
                     xsave[] = {0x0f, 0xae, 0x23},
                     xsave64[] = {0x48, 0x0f, 0xae, 0x23},
                     xsaveopt64[] = {0x48, 0x0f, 0xae, 0x33},
                     xsavec64[] = {0x48, 0x0f, 0xc7, 0x23},
                     xrstor64[] = {0x48, 0x0f, 0xae, 0x2b};

/* The reserved bytes 416 to 511 are nobody's. */
static void test_as_host(void **state)
{
    static const uint64_t masks[] = {~0ull, 7, 1, 2, 4, 0xe0, 0xe7, 0x60, 0};
    struct bench *b = *state;

    fill_state(b);
    save_both(b, fxsave64, sizeof fxsave64, 0);
    for (unsigned k = 0; k < ARRAY_LEN(masks); k++) {
        uint64_t mask = masks[k] & native_xcr0();

        save_both(b, xsave64, sizeof xsave64, mask);
        save_both(b, xsaveopt64, sizeof xsaveopt64, mask);
        save_both(b, xsavec64, sizeof xsavec64, mask);
    }
    store_le64(b->c.s.fxsave + FX_FIP, 0x12345678);
    store_le64(b->c.s.fxsave + FX_FDP, 0x87654321);
    save_both(b, fxsave, sizeof fxsave, 0);
    save_both(b, xsave, sizeof xsave, 7);
}

static void save_restore(struct bench *b, const uint8_t *save, unsigned ns,
                         const uint8_t *restore, unsigned nr, uint64_t mask)
{
    static struct x86_state before;

    fill_state(b);
    memset(b->ram + AREA, 0, SIZE);
    b->c.s.gpr[RAX] = mask;
    b->c.s.gpr[RDX] = 0;
    before = b->c.s;
    bench_run(b, save, ns);
    ASSERT_OK(b);
    memset(b->c.s.zmm, 0x5a, sizeof b->c.s.zmm);
    memset(b->c.s.k, 0x5a, sizeof b->c.s.k);
    fpu_reset(b->c.s.fxsave);
    b->c.s.mxcsr = MXCSR_INIT;
    bench_run(b, restore, nr);
    ASSERT_OK(b);
    if (mask & 1)
        assert_memory_equal(before.fxsave, b->c.s.fxsave, FX_MXCSR);
    if (mask & 2)
        assert_int_equal(before.mxcsr, b->c.s.mxcsr);
    for (unsigned r = 0; r < 16; r++) {
        if (mask & 2)
            assert_memory_equal(before.zmm[r], b->c.s.zmm[r], 16);
        if (mask & 4)
            assert_memory_equal(before.zmm[r] + 16, b->c.s.zmm[r] + 16, 16);
        if (mask & 64)
            assert_memory_equal(before.zmm[r] + 32, b->c.s.zmm[r] + 32, 32);
        if (mask & 128)
            assert_memory_equal(before.zmm[r + 16], b->c.s.zmm[r + 16], 64);
        else
            assert_int_equal(b->c.s.zmm[r + 16][5], 0x5a);
    }
    if (mask & 32)
        assert_memory_equal(before.k, b->c.s.k, 64);
}

static void test_round_trip(void **state)
{
    struct bench *b = *state;

    b->c.s.xcr0 = 0xe7;
    save_restore(b, fxsave64, 4, fxrstor64, 4, 3);
    for (uint64_t mask = 1; mask < 256; mask += 3) {
        save_restore(b, xsave64, 4, xrstor64, 4, mask & 0xe7);
        save_restore(b, xsavec64, 4, xrstor64, 4, mask & 0xe7);
        save_restore(b, xsaveopt64, 4, xrstor64, 4, mask & 0xe7);
    }
}

/* Components in their initial state are left out, and XRSTOR makes them so. */
static void test_init(void **state)
{
    struct bench *b = *state;

    b->c.s.xcr0 = 0xe7;
    fill_state(b);
    memset(b->c.s.k, 0, sizeof b->c.s.k);
    for (unsigned r = 0; r < 16; r++)
        memset(b->c.s.zmm[r] + 16, 0, 48);
    fpu_reset(b->c.s.fxsave);
    assert_int_equal(x86_xinuse(&b->c), XCR0_SSE | XCR0_HI16_ZMM);
    memset(b->ram + AREA, 0xa5, SIZE);
    b->c.s.gpr[RAX] = 0xe7;
    RUN(b, 0x48, 0x0f, 0xc7, 0x23); /* xsavec64 */
    ASSERT_OK(b);
    assert_int_equal(peek(b, AREA + 512, 8), XCR0_SSE | XCR0_HI16_ZMM);
    assert_true(peek(b, AREA + 520, 8) == (0xe7 | 1ull << 63));
    assert_int_equal(peek(b, AREA, 8), 0xa5a5a5a5a5a5a5a5);
    assert_int_equal(peek(b, AREA + 576, 8), 0xa5a5a5a5a5a5a5a5);
    /* 576 + AVX 256 + opmasks 64 + ZMM_Hi256 512 */
    assert_int_equal(peek(b, AREA + 1408, 1), b->c.s.zmm[16][0]);

    memset(b->ram + AREA + 528, 0, 48);
    memset(b->c.s.zmm, 0x77, sizeof b->c.s.zmm);
    memset(b->c.s.k, 0x77, sizeof b->c.s.k);
    b->c.s.fxsave[FX_ST] = 1;
    RUN(b, 0x48, 0x0f, 0xae, 0x2b); /* xrstor64 */
    ASSERT_OK(b);
    assert_int_equal(x86_xinuse(&b->c), XCR0_SSE | XCR0_HI16_ZMM);
    assert_int_equal(b->c.s.zmm[3][0], 3 * 64 + 1);
    assert_int_equal(b->c.s.zmm[3][16], 0);
    assert_int_equal(b->c.s.mxcsr, 0x5fa1);
    assert_true(fpu_is_initial(b->c.s.fxsave));
}

static void clean_area(struct bench *b)
{
    memset(b->ram + AREA, 0, SIZE);
    poke(b, AREA + FX_MXCSR, MXCSR_INIT, 4);
    b->c.s.gpr[RAX] = 0xe7;
    b->c.s.gpr[RDX] = 0;
    b->c.s.gpr[RBX] = AREA;
}

static void refuses(struct bench *b, unsigned at, uint64_t v, unsigned n)
{
    clean_area(b);
    poke(b, AREA + at, v, n);
    bench_run(b, xrstor64, 4);
    ASSERT_GP(b, 0);
    clean_area(b);
    bench_run(b, xrstor64, 4);
    ASSERT_OK(b);
}

static void test_refused(void **state)
{
    struct bench *b = *state;

    b->c.s.xcr0 = 0x27;
    refuses(b, FX_MXCSR, 0x10000, 4);
    refuses(b, 512, 0x40, 8); /* not in XCR0 */
    refuses(b, 520, 0x1, 8);  /* standard format with XCOMP_BV */
    refuses(b, 528, 1, 8);
    refuses(b, 520, 1ull << 63 | 0x80, 8); /* compacted, not in XCR0 */
    clean_area(b);
    poke(b, AREA + 512, 4, 8);
    poke(b, AREA + 520, 1ull << 63 | 3, 8); /* not in XCOMP_BV */
    bench_run(b, xrstor64, 4);
    ASSERT_GP(b, 0);
    clean_area(b);
    poke(b, AREA + 520, 1ull << 63 | 3, 8);
    poke(b, AREA + 560, 1, 8); /* reserved in the compacted format */
    bench_run(b, xrstor64, 4);
    ASSERT_GP(b, 0);
    clean_area(b);
    b->c.s.gpr[RBX] = AREA + 16;
    bench_run(b, xrstor64, 4);
    ASSERT_GP(b, 0);
    b->c.s.gpr[RBX] = AREA + 32;
    bench_run(b, xsave64, 4);
    ASSERT_GP(b, 0);
    b->c.s.gpr[RBX] = AREA + 8;
    bench_run(b, fxsave64, 4);
    ASSERT_GP(b, 0);
    clean_area(b);
    poke(b, AREA + FX_MXCSR, 0x80000000, 4);
    bench_run(b, fxrstor64, 4);
    ASSERT_GP(b, 0);
    poke(b, AREA, 0x12340, 4);
    RUN(b, 0x0f, 0xae, 0x13); /* ldmxcsr */
    ASSERT_GP(b, 0);
    poke(b, AREA, 0xffff, 4);
    RUN(b, 0x0f, 0xae, 0x13);
    ASSERT_OK(b);
    assert_int_equal(b->c.s.mxcsr, 0xffff);
    RUN(b, 0x0f, 0xae, 0x5b, 0x04); /* stmxcsr [rbx+4] */
    assert_int_equal(peek(b, AREA + 4, 4), 0xffff);
}

/* Nothing is written when any byte of the area would fault. */
static void test_fault(void **state)
{
    struct bench *b = *state;
    uint64_t a = 0x200000 - 1024;

    b->c.s.xcr0 = 0xe7;
    fill_state(b);
    poke(b, PD + 8, 0, 8);
    tlb_flush_all(&b->c);
    b->c.s.gpr[RBX] = a;
    b->c.s.gpr[RAX] = 0xe7;
    b->c.s.gpr[RDX] = 0;
    bench_run(b, xsave64, 4);
    ASSERT_FAULT(b, EXC_PF, 2);
    assert_true(b->c.exc.cr2 == 0x200000);
    assert_int_equal(peek(b, a, 8), 0);
    b->c.s.gpr[RAX] = 7; /* ends 832 bytes in */
    bench_run(b, xsave64, 4);
    ASSERT_OK(b);
    assert_int_equal(peek(b, a, 2), 0x27f);
}

/* Outside 64-bit mode registers 8 and up are neither saved nor loaded. */
static void test_32_bit(void **state)
{
    struct bench *b = *state;

    b->c.s.efer = 0;
    b->c.s.cr0 &= ~CR0_PG;
    bench_protected(b, 0);
    b->c.s.cr4 |= CR4_OSFXSR | CR4_OSXSAVE;
    b->c.s.xcr0 = 0xe7;
    x86_mode_changed(&b->c);
    fill_state(b);
    memset(b->ram + AREA, 0xa5, SIZE);
    memset(b->ram + AREA + 512, 0, 64);
    b->c.s.gpr[RBX] = AREA;
    b->c.s.gpr[RAX] = 0xe7;
    b->c.s.gpr[RDX] = 0;
    RUN(b, 0x0f, 0xae, 0x23); /* xsave */
    ASSERT_OK(b);
    assert_int_equal(peek(b, AREA + FX_XMM + 16 * 7, 1), b->c.s.zmm[7][0]);
    assert_int_equal(peek(b, AREA + FX_XMM + 16 * 8, 1), 0xa5);
    assert_int_equal(peek(b, AREA + 576 + 16 * 8, 1), 0xa5);
    assert_int_equal(peek(b, AREA + 1152 + 32 * 8, 1), 0xa5);
    assert_int_equal(peek(b, AREA + 1664, 1), 0xa5);
    assert_int_equal(peek(b, AREA + 1088, 8), b->c.s.k[0]);
    memset(b->c.s.zmm, 0x33, sizeof b->c.s.zmm);
    RUN(b, 0x0f, 0xae, 0x2b); /* xrstor */
    ASSERT_OK(b);
    assert_int_equal(b->c.s.zmm[7][63], (uint8_t)(7 * 64 + 64));
    assert_int_equal(b->c.s.zmm[8][0], 0x33);
    assert_int_equal(b->c.s.zmm[8][63], 0x33);
    assert_int_equal(b->c.s.zmm[16][0], 0x33);
}

static void test_checks(void **state)
{
    struct bench *b = *state;

    b->c.s.cr0 |= CR0_TS;
    x86_mode_changed(&b->c);
    bench_run(b, fxsave64, 4);
    ASSERT_FAULT(b, EXC_NM, 0);
    bench_run(b, fxrstor64, 4);
    ASSERT_FAULT(b, EXC_NM, 0);
    bench_run(b, xsavec64, 4);
    ASSERT_FAULT(b, EXC_NM, 0);
    bench_run(b, xrstor64, 4);
    ASSERT_FAULT(b, EXC_NM, 0);
    b->c.s.cr0 |= CR0_EM;
    x86_mode_changed(&b->c);
    bench_run(b, fxsave64, 4);
    ASSERT_UD(b);
    b->c.s.cr0 &= ~(CR0_TS | CR0_EM);
    b->c.s.cr4 &= ~CR4_OSXSAVE;
    x86_mode_changed(&b->c);
    bench_run(b, xsave64, 4);
    ASSERT_UD(b);
    bench_run(b, fxsave64, 4);
    ASSERT_OK(b);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, bench_teardown)
    const struct CMUnitTest tests[] = {
        T(test_as_host), T(test_round_trip), T(test_init),   T(test_refused),
        T(test_fault),   T(test_32_bit),     T(test_checks),
    };

    low = native_low_memory(SIZE);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
