/*
 * Vector instructions at the edge of mapped memory: elements under a mask,
 * gathers and scatters, stores. Whether they fault, and what they have done
 * by then, is as on the host with the same bytes.
 */
#include "cpu_bench.h"

#include <sys/mman.h>

#include "../isa/encodings.h"
#include "vector_cpu.h"
#include "x86/fpu.h"
#include "x86/ops/ops.h"
#include "x86/opspec.h"

enum { ROUNDS = 24, EDGE = 0x200000, PAGE = 4096 };

static struct bench *b;
static struct native_state native;
static uint8_t *low; /* a page, and one that cannot be accessed */
static struct rng rng = {7};

static void make_bench(void)
{
    struct err e;

    b = bench_new();
    bench_long(b, 0);
    b->c.s.cr4 |= CR4_OSFXSR | CR4_OSXSAVE | CR4_OSXMMEXCPT;
    b->c.s.xcr0 = native_xcr0();
    x86_mode_changed(&b->c);
    tlb_flush_all(&b->c);
    hostvec_open(&b->c, &e);
    memset(&b->model.features, 0, sizeof b->model.features);
    hostvec_features(&b->model.features);
    low = native_low_memory(2 * PAGE);
}

/* Whether there is anything beyond the edge. */
static void map(bool there)
{
    poke(b, PD + 8, there ? EDGE | 0x87 : 0, 8);
    tlb_flush_all(&b->c);
    mprotect(low + PAGE, PAGE, there ? PROT_READ | PROT_WRITE : PROT_NONE);
}

static void random_state(void)
{
    struct x86_state *s = &b->c.s;

    for (unsigned r = 0; r < 16; r++)
        s->gpr[r] = rng_next(&rng);
    for (unsigned r = 0; r < 32; r++)
        for (unsigned k = 0; k < 64; k += 8)
            store_le64(s->zmm[r] + k, rng_next(&rng));
    for (unsigned r = 0; r < 8; r++) {
        s->k[r] = rng_next(&rng);
        if (rng_one_in(&rng, 3)) /* the first few elements only */
            s->k[r] &= mask_low(rng_below(&rng, 33));
    }
    s->mxcsr = MXCSR_INIT;
    fpu_init(s->fxsave);
    flags_set(&b->c, FLAG_1);
    map(true);
    for (unsigned k = 0; k < 512; k++)
        low[PAGE - 256 + k] = b->ram[EDGE - 256 + k] = (uint8_t)rng_next(&rng);
    map(false);
}

/* The memory operand at d bytes before the edge, in both. */
static bool aim(const struct insn *i, unsigned d)
{
    uint64_t index = 0;

    if (i->seg >= FS || i->base >= 16 || i->asize != 8 || i->base == RSP)
        return false;
    if (!(i->flags & INSN_VSIB) && i->index != REG_NONE) {
        if (i->index == i->base || i->index == RSP)
            return false;
        index = b->c.s.gpr[i->index] << i->scale;
    }
    index += (uint64_t)(int64_t)i->disp + d;
    b->c.s.gpr[i->base] = EDGE - index;
    test_cpu_to_native(&b->c, &native);
    native.gpr[i->base] = (uintptr_t)low + PAGE - index;
    return true;
}

static void report(const struct insn *i, const char *what)
{
    fprintf(stderr, "%s: %s:", insn_opcode(i)->name, what);
    for (unsigned k = 0; k < i->len; k++)
        fprintf(stderr, " %02x", i->raw[k]);
    fprintf(stderr, "\n");
}

/* Runs i here and on the host; NULL, or what differs. */
static const char *run_both(const struct insn *i)
{
    unsigned base = i->base < 16 ? i->base : RDI;
    uint64_t ours = b->c.s.gpr[base], theirs = native.gpr[base];
    enum native_end end;
    const char *what;
    bool fault;

    bench_run(b, i->raw, i->len);
    end = native_run(&native, i->raw, i->len);
    fault = b->how == UNWIND_EXCEPTION;
    if (fault && b->c.exc.vector != EXC_PF && b->c.exc.vector != EXC_GP)
        return "exception";
    if ((end == NATIVE_FAULT) != fault)
        return fault ? "faults" : "does not fault";
    if (fault)
        memcpy(native.gpr, b->c.s.gpr, sizeof native.gpr);
    else if (native.gpr[base] == theirs)
        native.gpr[base] = ours;
    what = test_cpu_differs(&b->c, &native, fault ? 0 : FLAGS_STATUS);
    if (!what && memcmp(low + PAGE - 256, b->ram + EDGE - 256, 256))
        what = "memory";
    return what;
}

static bool compare(const struct insn *i)
{
    const char *what = run_both(i);

    if (what)
        report(i, what);
    return !what;
}

/*
 * How many elements are done when a gather faults is a CPU's own affair; but
 * going on after the fault must come to the same.
 */
static bool compare_restarted(const struct insn *i, bool *faulted)
{
    static struct native_state before;
    uint64_t base = b->c.s.gpr[i->base];
    const char *what = NULL;

    before = native;
    bench_run(b, i->raw, i->len);
    *faulted = b->how == UNWIND_EXCEPTION;
    if ((native_run(&native, i->raw, i->len) == NATIVE_FAULT) != *faulted)
        what = "faults, or does not";
    if (*faulted) {
        native = before;
        map(true);
        bench_run(b, i->raw, i->len);
        native_run(&native, i->raw, i->len);
    }
    native.gpr[i->base] = base;
    if (!what && b->how != UNWIND_NONE)
        what = "faults again";
    if (!what)
        what = test_cpu_differs(&b->c, &native, FLAGS_STATUS);
    map(true);
    if (!what && memcmp(low + PAGE - 256, b->ram + EDGE - 256, 512))
        what = "memory";
    if (what)
        report(i, what);
    return !what;
}

static bool host_can(const struct opcode *row)
{
    const struct x86_features *f = &b->model.features;

    return feature_has(f, row->feature) && feature_has(f, row->feature2);
}

static bool decode_row(const struct opcode *row, struct insn *i)
{
    uint8_t bytes[ENCODING_BYTES];

    encoding_of_row(&rng, DECODE_64, row, bytes);
    if (x86_decode(i, bytes, sizeof bytes, DECODE_64) != DECODE_OK ||
        &opcode_table[i->op] != row || !(i->flags & INSN_MEM))
        return false;
    for (unsigned k = 0; k < 4; k++)
        if (i->opnd[k].kind == OPND_GPR && i->opnd[k].reg == RSP)
            return false;
    return true;
}

static unsigned mem_bytes(const struct insn *i)
{
    for (unsigned k = 0; k < 4; k++)
        if (i->opnd[k].kind == OPND_MEM)
            return i->opnd[k].size;
    return 16; /* MASKMOVDQU, MASKMOVQ */
}

/* Operands that reach over the edge, by element and as a whole. */
static void test_masked(void **state)
{
    unsigned bad = 0, runs = 0, faults = 0;

    (void)state;
    for (unsigned n = 0; n < opcode_count; n++) {
        const struct opcode *row = &opcode_table[n];
        unsigned failed = 0;

        if ((row->body != op_vector && row->body != op_vector_masked &&
             row->body != op_mmx) ||
            !host_can(row))
            continue;
        for (unsigned k = 0; k < ROUNDS && failed < 2; k++) {
            struct insn i;

            if (!decode_row(row, &i) || (i.flags & INSN_VSIB))
                continue;
            random_state();
            if (!aim(&i, rng_below(&rng, mem_bytes(&i) + 2)))
                continue;
            failed += !compare(&i);
            runs++;
            faults += b->how == UNWIND_EXCEPTION;
        }
        bad += failed;
    }
    assert_int_equal(bad, 0);
    assert_true(faults > runs / 4 && faults < runs);
}

/* Indexes of which some lie beyond the edge. */
static void small_indexes(const struct insn *i, unsigned range)
{
    uint8_t *x = b->c.s.zmm[i->index & 31];
    bool wide = i->code & 1;

    for (unsigned k = 0; k < 64; k += wide ? 8 : 4) {
        uint64_t v = (uint64_t)rng_below(&rng, range) - range / 2;

        store_le(x + k, v, wide ? 8 : 4);
    }
}

static void test_indexed(void **state)
{
    unsigned bad = 0, runs = 0, faults = 0;

    (void)state;
    for (unsigned n = 0; n < opcode_count; n++) {
        const struct opcode *row = &opcode_table[n];
        unsigned failed = 0;

        if (row->body != op_vector_masked || !host_can(row))
            continue;
        for (unsigned k = 0; k < 20 * ROUNDS && failed < 2; k++) {
            struct insn i;
            bool faulted;

            if (!decode_row(row, &i) || !(i.flags & INSN_VSIB))
                continue;
            random_state();
            small_indexes(&i, 1 + rng_below(&rng, 16));
            if (!aim(&i, rng_below(&rng, 100)))
                continue;
            failed += !compare_restarted(&i, &faulted);
            runs++;
            faults += faulted;
        }
        bad += failed;
    }
    assert_int_equal(bad, 0);
    assert_true(faults > runs / 20 && faults < runs);
}

/* #XM or #UD, flags in MXCSR, and nothing else changed. */
static void test_xm(void **state)
{
    struct x86_state *s = &b->c.s;
    uint8_t before[64];

    (void)state;
    map(true);
    random_state();
    s->gpr[RBX] = EDGE - 64;
    for (unsigned k = 0; k < 64; k += 4)
        store_le32(s->zmm[1] + k, 0x7f800000); /* infinity */
    memcpy(s->zmm[0], s->zmm[1], 64);
    memcpy(before, s->zmm[0], 64);
    s->mxcsr = MXCSR_INIT & ~0x80u;
    RUN(b, 0x0f, 0x5c, 0xc1); /* subps xmm0, xmm1 */
    ASSERT_FAULT(b, EXC_XM, 0);
    assert_int_equal(s->mxcsr, (MXCSR_INIT & ~0x80) | 1);
    assert_memory_equal(before, s->zmm[0], 64);
    s->cr4 &= ~CR4_OSXMMEXCPT;
    RUN(b, 0x0f, 0x5c, 0xc1);
    ASSERT_UD(b);
    s->cr4 |= CR4_OSXMMEXCPT;
    /* The store of a conversion that traps does not take place. */
    for (unsigned k = 0; k < 64; k += 4)
        store_le32(s->zmm[1] + k, 0x7f7fffff);
    s->mxcsr = MXCSR_INIT & ~0x400u; /* overflow */
    memcpy(before, b->ram + EDGE - 64, 64);
    RUN(b, 0xc4, 0xe3, 0x79, 0x1d, 0x0b, 0x04); /* vcvtps2ph [rbx], xmm1 */
    ASSERT_FAULT(b, EXC_XM, 0);
    assert_memory_equal(before, b->ram + EDGE - 64, 64);
    s->mxcsr = MXCSR_INIT;
    RUN(b, 0xc4, 0xe3, 0x79, 0x1d, 0x0b, 0x04);
    ASSERT_OK(b);
    assert_int_equal(peek(b, EDGE - 64, 2), 0x7c00);
    assert_int_equal(s->mxcsr, MXCSR_INIT | 0x28);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_masked),
        cmocka_unit_test(test_indexed),
        cmocka_unit_test(test_xm),
    };

    make_bench();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
