/*
 * Every vector, MMX and x87 row of the opcode table against the host: random
 * encodings, operands and control words; registers, flags, memory and
 * exceptions must come out as from the same bytes run natively.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "../isa/encodings.h"
#include "vector_cpu.h"
#include "x86/fpu.h"
#include "x86/ops/ops.h"
#include "x86/opspec.h"

enum { ROUNDS = 60, MEM = 256 };

static struct cpu *cpu;
static uint8_t *page; /* mapped in the guest; natively the same one */
static struct rng rng = {42};
static enum decode_mode mode;

/* --- operands --- */
static uint64_t interesting(void)
{
    static const uint64_t values[] = {
        0,
        1,
        ~0ull,
        0x8000000000000000,
        0x7fffffffffffffff,
        0x3ff0000000000000,
        0xbff8000000000000,
        0x7ff0000000000000,
        0xfff0000000000000,
        0x7ff8000000000000,
        0x7ff0000000000001,
        0x0000000000000001,
        0x000fffffffffffff,
        0x0010000000000000,
        0x7fefffffffffffff,
        0x3f8000003f800000,
        0x7f8000007f800001,
        0x0000000100800000,
        0x7f7fffff00800000,
        0x41dfffffffc00000,
        0x43e0000000000000,
        0x4f0000004effffff,
        0x3c00bc007c000001,
        0x0001040003ff7bff,
        0x8080808080808080,
        0x7fff80007fff8000,
    };

    switch (rng_below(&rng, 4)) {
    case 0: return rng_next(&rng);
    case 1:
        return values[rng_below(&rng, ARRAY_LEN(values))] ^
               (rng_next(&rng) & rng_next(&rng) & rng_next(&rng) &
                0x8000000080000001);
    case 2: /* two floats or a double near 1 */
        return (rng_next(&rng) & 0x807fffff807fffff) | 0x3f0000003f000000;
    default: return values[rng_below(&rng, ARRAY_LEN(values))];
    }
}

static void fill(void *to, unsigned n)
{
    for (unsigned k = 0; k < n; k += 8) {
        uint64_t v = interesting();

        memcpy((uint8_t *)to + k, &v, 8);
    }
}

static void random_x87(uint8_t *fx)
{
    static const uint16_t exponents[] = {
        0, 0x7fff, 0x3fff, 0xbfff, 0x4000, 0x7ffe, 1, 0x403e, 0x3fbf, 0xffff};

    for (unsigned r = 0; r < 8; r++) {
        uint8_t *st = fx + FX_ST + 16 * r;
        uint64_t mantissa = interesting();

        if (!rng_one_in(&rng, 4))
            mantissa |= 1ull << 63;
        memcpy(st, &mantissa, 8);
        store_le64(st + 8, rng_one_in(&rng, 3)
                               ? exponents[rng_below(&rng, 10)]
                               : 0x3fff + rng_below(&rng, 40) - 20);
    }
    fx[FX_FTW] = rng_one_in(&rng, 2) ? 0xff : (uint8_t)rng_next(&rng);
    fpu_set_words(fx, 0x37f | (rng_next(&rng) & 0xf00),
                  (unsigned)rng_next(&rng) & 0x7f00);
    if (rng_one_in(&rng, 3)) /* some unmasked, none pending */
        fpu_set_words(fx, fpu_cw(fx) & ~((unsigned)rng_next(&rng) & 0x3f),
                      fpu_sw(fx));
}

static void random_state(bool x87)
{
    for (unsigned r = 0; r < 16; r++)
        cpu->s.gpr[r] =
            mode == DECODE_64 ? interesting() : (uint32_t)interesting();
    for (unsigned r = 0; r < 32; r++)
        fill(cpu->s.zmm[r], 64);
    for (unsigned r = 0; r < 8; r++)
        cpu->s.k[r] = interesting();
    cpu->s.mxcsr = 0x1f80 | (rng_next(&rng) & 0x3f);
    if (rng_one_in(&rng, 3))
        cpu->s.mxcsr |= rng_next(&rng) & 0xe040;
    if (rng_one_in(&rng, 4))
        cpu->s.mxcsr &= ~((uint32_t)rng_next(&rng) & 0x1f80);
    cpu->s.rflags = FLAG_1 | (rng_next(&rng) & FLAGS_STATUS);
    cpu->flags_op = 0;
    fill(page, MEM);
    if (x87)
        random_x87(cpu->s.fxsave);
    else
        fpu_init(cpu->s.fxsave);
}

/* Makes the memory operand lie at a; false: this encoding cannot. */
static bool aim(const struct insn *i, uint64_t a)
{
    uint64_t *base = &cpu->s.gpr[i->base & 15];

    if (i->seg >= FS || i->seg == CS || i->base >= 16 || i->base == RSP ||
        i->asize != (mode == DECODE_64 ? 8 : 4) || i->index == i->base ||
        (i->flags & INSN_VSIB))
        return false;
    if (i->index < 16 && i->index == RSP)
        return false;
    a -= (uint64_t)(int64_t)i->disp;
    if (i->index != REG_NONE)
        a -= cpu->s.gpr[i->index] << i->scale;
    *base = mode == DECODE_64 ? a : (uint32_t)a;
    return true;
}

/* --- one instruction --- */
static void report(const char *what, const struct insn *i)
{
    fprintf(stderr, "%s: %s:", insn_opcode(i)->name, what);
    for (unsigned k = 0; k < i->len; k++)
        fprintf(stderr, " %02x", i->raw[k]);
    fprintf(stderr, "\n");
}

static enum native_end end_of(int vector)
{
    switch (vector) {
    case -1: return NATIVE_DONE;
    case EXC_XM:
    case EXC_MF: return NATIVE_FP;
    case EXC_UD: return NATIVE_INVALID;
    default: return NATIVE_FAULT;
    }
}

/*
 * With an unmasked overflow or underflow the precision flag may be more than
 * the host's (see execute_unmasked()).
 */
static bool trap_flags_equal(const struct native_state *n, const struct insn *i)
{
    bool dot = insn_opcode(i)->map == 3 && (i->code & 0xfe) == 0x40;
    uint32_t host;

    memcpy(&host, n->xsave + FX_MXCSR, 4);
    /* DPPS and DPPD trap between multiplying and adding. */
    if (cpu->s.mxcsr == host || dot)
        return true;
    return (host & 0x18) && (cpu->s.mxcsr & ~0x20u) == (host & ~0x20u);
}

static bool check_run(const struct insn *i)
{
    static struct native_state native;
    static uint8_t before[MEM], ours[MEM];
    const struct opcode *row = insn_opcode(i);
    enum native_end end;
    int vector;
    const char *what;

    test_cpu_to_native(cpu, &native);
    memcpy(before, page, MEM);
    vector = test_cpu_run(cpu, i);
    memcpy(ours, page, MEM);
    memcpy(page, before, MEM);
    end = (mode == DECODE_64 ? native_run : native_run32)(&native, i->raw,
                                                          i->len);
    if (end_of(vector) != end) {
        fprintf(stderr, "exception %d, host %d\n", vector, end);
        report("exception", i);
        return false;
    }
    if (end) {
        if (vector == EXC_XM && !trap_flags_equal(&native, i)) {
            fprintf(stderr, "MXCSR %x, host %x\n", cpu->s.mxcsr,
                    *(uint32_t *)(native.xsave + FX_MXCSR));
            report("MXCSR of #XM", i);
            return false;
        }
        return true;
    }
    if (mode == DECODE_32) /* upper halves and registers are not its matter */
        for (unsigned r = 0; r < 16; r++)
            native.gpr[r] = r < 8 ? (uint32_t)native.gpr[r] : cpu->s.gpr[r];
    what = test_cpu_differs(cpu, &native, FLAGS_STATUS & ~row->flags_undefined);
    if (!what && memcmp(ours, page, MEM))
        what = "memory";
    if (what)
        report(what, i);
    return !what;
}

static bool ours(const struct opcode *row)
{
    return row->body == op_vector || row->body == op_mmx || row->body == op_x87;
}

static bool host_can(const struct opcode *row)
{
    struct x86_features f = cpu->model->features;

    feature_set(&f, FEAT_CMOV, true);
    return feature_has(&f, row->feature) && feature_has(&f, row->feature2);
}

/* False: not an encoding that can be tried. */
static bool prepare(const struct opcode *row, struct insn *i)
{
    uint8_t bytes[ENCODING_BYTES];

    encoding_of_row(&rng, mode, row, bytes);
    if (x86_decode(i, bytes, sizeof bytes, mode) != DECODE_OK ||
        &opcode_table[i->op] != row)
        return false;
    for (unsigned k = 0; k < 4; k++)
        if (i->opnd[k].kind == OPND_GPR && i->opnd[k].reg == RSP)
            return false;
    random_state(row->props & (OP_X87 | OP_MMX));
    if (i->flags & INSN_MEM)
        return aim(i, (uintptr_t)page + 64 +
                          (rng_one_in(&rng, 2) ? 0 : rng_below(&rng, 64)));
    return true;
}

/* Does the row exist in this mode? */
static bool exists(const struct opcode *row)
{
    return !(row->mode & (mode == DECODE_64 ? ROW_NO64 : ROW_ONLY64));
}

static void run_rows(void)
{
    unsigned rows = 0, bad = 0, runs = 0;

    for (unsigned n = 0; n < opcode_count; n++) {
        const struct opcode *row = &opcode_table[n];
        unsigned done = 0, failed = 0;

        if (!ours(row) || !host_can(row) || !exists(row))
            continue;
        for (unsigned k = 0; k < ROUNDS && failed < 3; k++) {
            struct insn i;

            if (!prepare(row, &i))
                continue;
            done++;
            failed += !check_run(&i);
        }
        rows++;
        runs += done;
        bad += failed;
        if (!done)
            fail_msg("never tried: %s", row->name);
    }
    assert_int_equal(bad, 0);
    assert_true(rows > 500 && runs > 15 * rows);
}

static void test_rows(void **state)
{
    (void)state;
    mode = DECODE_64;
    cpu->mode_key = MODE_CODE64 | MODE_PE | MODE_LMA | MODE_SS32 | MODE_FLAT;
    run_rows();
}

/* 32-bit code: W means less, and there are eight registers. */
static void test_rows_32(void **state)
{
    (void)state;
    mode = DECODE_32;
    cpu->mode_key = MODE_CODE32 | MODE_PE | MODE_SS32 | MODE_FLAT;
    run_rows();
}

/* More forms than there is room for: all are dropped, and made again. */
static void test_cache(void **state)
{
    struct hostvec *v = cpu->hostvec;
    unsigned drops = 0, count = v->count;

    (void)state;
    mode = DECODE_64;
    cpu->mode_key = MODE_CODE64 | MODE_PE | MODE_LMA | MODE_SS32 | MODE_FLAT;
    for (unsigned n = 0; n < 3 * HOSTVEC_STUBS; n++) {
        unsigned to = n & 7, from = n >> 3 & 7, order = n >> 6 & 255;
        uint8_t code[] = {0x66, 0x0f, 0x70, (uint8_t)(0xc0 | to << 3 | from),
                          (uint8_t)order}; /* pshufd */
        uint32_t was[4];
        struct insn i;

        fill(cpu->s.zmm[from], 16);
        memcpy(was, cpu->s.zmm[from], 16);
        assert_int_equal(x86_decode(&i, code, sizeof code, mode), DECODE_OK);
        assert_int_equal(test_cpu_run(cpu, &i), -1);
        for (unsigned k = 0; k < 4; k++)
            assert_int_equal(load_le32(cpu->s.zmm[to] + 4 * k),
                             was[order >> 2 * k & 3]);
        drops += v->count < count;
        count = v->count;
        assert_true(count < HOSTVEC_STUBS && v->used <= v->code.len);
    }
    assert_true(drops >= 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_rows_32),
        cmocka_unit_test(test_cache),
    };

    page = native_low_memory(8192);
    cpu = test_cpu_new();
    test_cpu_map(cpu, page);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
