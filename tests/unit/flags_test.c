/*
 * The lazy flags against the host's: every kind of operation, size and
 * condition, over corner values and random ones.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "x86/flags.h"

static struct cpu cpu;

static uint64_t random64(void)
{
    static uint64_t s = 0x9e3779b97f4a7c15;

    s ^= s << 13;
    s ^= s >> 7;
    s ^= s << 17;
    return s;
}

static const uint64_t corners[] = {0,
                                   1,
                                   2,
                                   0xf,
                                   0x10,
                                   0x7f,
                                   0x80,
                                   0x81,
                                   0xff,
                                   0x100,
                                   0x7fff,
                                   0x8000,
                                   0xffff,
                                   0x10000,
                                   0x7fffffff,
                                   0x80000000,
                                   0xffffffff,
                                   0x100000000,
                                   0x7fffffffffffffff,
                                   0x8000000000000000,
                                   0xfffffffffffffffe,
                                   0xffffffffffffffff};

enum operation {
    ADD,
    ADC,
    SUB,
    SBB,
    AND,
    INC,
    DEC,
    NEG,
    SHL,
    SHR,
    SAR,
    MUL,
    IMUL,
    OPERATIONS
};

#ifdef __x86_64__
/* Runs insn on a and b with the flags in *f. */
#define HOST(name, reg_a, reg_b, insn)                                         \
    static uint64_t name(uint64_t a, uint64_t b, uint64_t *f)                  \
    {                                                                          \
        __asm__ volatile("lea -128(%%rsp), %%rsp; push %1; popfq; " insn       \
                         "; pushfq; pop %1; lea 128(%%rsp), %%rsp"             \
                         : "+a"(a), "+r"(*f)                                   \
                         : "c"(b)                                              \
                         : "rdx", "cc", "memory");                             \
        return a;                                                              \
    }
#define HOST_SIZES(name, insn)                                                 \
    HOST(name##1, "al", "cl", insn "b %%cl, %%al")                             \
    HOST(name##2, "ax", "cx", insn "w %%cx, %%ax")                             \
    HOST(name##4, "eax", "ecx", insn "l %%ecx, %%eax")                         \
    HOST(name##8, "rax", "rcx", insn "q %%rcx, %%rax")
#define HOST_UNARY(name, insn)                                                 \
    HOST(name##1, "", "", insn "b %%al")                                       \
    HOST(name##2, "", "", insn "w %%ax")                                       \
    HOST(name##4, "", "", insn "l %%eax")                                      \
    HOST(name##8, "", "", insn "q %%rax")
#define HOST_SHIFT(name, insn)                                                 \
    HOST(name##1, "", "", insn "b %%cl, %%al")                                 \
    HOST(name##2, "", "", insn "w %%cl, %%ax")                                 \
    HOST(name##4, "", "", insn "l %%cl, %%eax")                                \
    HOST(name##8, "", "", insn "q %%cl, %%rax")
#define HOST_MUL(name, insn)                                                   \
    HOST(name##1, "", "", insn "b %%cl")                                       \
    HOST(name##2, "", "", insn "w %%cx")                                       \
    HOST(name##4, "", "", insn "l %%ecx")                                      \
    HOST(name##8, "", "", insn "q %%rcx")
HOST_SIZES(add, "add")
HOST_SIZES(adc, "adc")
HOST_SIZES(sub, "sub")
HOST_SIZES(sbb, "sbb")
HOST_SIZES(and, "and")
HOST_UNARY(inc, "inc")
HOST_UNARY(dec, "dec")
HOST_UNARY(neg, "neg")
HOST_SHIFT(shl, "shl")
HOST_SHIFT(shr, "shr")
HOST_SHIFT(sar, "sar")
HOST_MUL(mul, "mul")
HOST_MUL(imul, "imul")

#define ALL_SIZES(n)                                                           \
    {                                                                          \
        n##1, n##2, n##4, n##8                                                 \
    }
static uint64_t (*const host[OPERATIONS][4])(uint64_t, uint64_t, uint64_t *) = {
    ALL_SIZES(add), ALL_SIZES(adc), ALL_SIZES(sub), ALL_SIZES(sbb),
    ALL_SIZES(and), ALL_SIZES(inc), ALL_SIZES(dec), ALL_SIZES(neg),
    ALL_SIZES(shl), ALL_SIZES(shr), ALL_SIZES(sar), ALL_SIZES(mul),
    ALL_SIZES(imul)};

/* Leaves the flags of the operation that took a to r. */
static void leave(enum operation op, uint64_t a, uint64_t b, uint64_t r,
                  bool overflow, unsigned n)
{
    unsigned count = b & (n == 8 ? 63 : 31);
    bool cf = flags_cf(&cpu);

    switch (op) {
    case ADD: flags_add(&cpu, r, b, n); break;
    case ADC: flags_adc(&cpu, r, b, cf, n); break;
    case SUB: flags_sub(&cpu, a, b, n); break;
    case SBB: flags_sbb(&cpu, a, b, cf, n); break;
    case AND: flags_logic(&cpu, r, n); break;
    case INC: flags_inc(&cpu, r, n); break;
    case DEC: flags_dec(&cpu, r, n); break;
    case NEG: flags_sub(&cpu, 0, a, n); break;
    case MUL:
    case IMUL: flags_mul(&cpu, r, overflow, n); break;
    default:
        if (count)
            flags_shift(&cpu,
                        op == SHL   ? FLAGS_SHL
                        : op == SHR ? FLAGS_SHR
                                    : FLAGS_SAR,
                        r, a, count, n);
    }
}

static uint64_t defined(enum operation op, uint64_t b, unsigned n)
{
    unsigned count = b & (n == 8 ? 63 : 31);

    if (op == AND)
        return FLAGS_STATUS & ~FLAG_AF;
    if (op == MUL || op == IMUL)
        return FLAG_CF | FLAG_OF;
    if (op < SHL || !count)
        return FLAGS_STATUS;
    return FLAGS_STATUS & ~FLAG_AF & ~(count > 1 ? FLAG_OF : 0) &
           ~(count >= 8 * n ? FLAG_CF : 0);
}

static bool expect_cc(uint64_t f, unsigned cc)
{
    bool cf = f & FLAG_CF, zf = f & FLAG_ZF, sf = f & FLAG_SF, of = f & FLAG_OF,
         pf = f & FLAG_PF;
    const bool met[] = {of, cf, zf, cf || zf, sf, pf, sf != of, zf || sf != of};

    return met[cc / 2] ^ (cc & 1);
}

/* The flags a condition looks at. */
static uint64_t cc_needs(unsigned cc)
{
    static const uint64_t needs[] = {
        FLAG_OF, FLAG_CF, FLAG_ZF,           FLAG_CF | FLAG_ZF,
        FLAG_SF, FLAG_PF, FLAG_SF | FLAG_OF, FLAG_ZF | FLAG_SF | FLAG_OF};

    return needs[cc / 2];
}

static void compare(enum operation op, uint64_t a, uint64_t b, unsigned log,
                    uint64_t before)
{
    uint64_t f = before, r = host[op][log](a, b, &f);
    uint64_t look = defined(op, b, 1u << log), got;
    struct cpu left;

    f &= FLAGS_STATUS;
    flags_set(&cpu, before);
    leave(op, a, b, r, f & FLAG_OF, 1u << log);
    left.flags_op = cpu.flags_op;
    left.flags_dst = cpu.flags_dst;
    left.flags_src = cpu.flags_src;
    for (unsigned cc = 0; cc < 16; cc++) {
        cpu.s.rflags = before;
        cpu.flags_op = left.flags_op;
        cpu.flags_dst = left.flags_dst;
        cpu.flags_src = left.flags_src;
        if (!(cc_needs(cc) & ~look) && flags_cc(&cpu, cc) != expect_cc(f, cc))
            fail_msg("op %d size %d a %lx b %lx before %lx: cc %u is wrong", op,
                     1 << log, a, b, before, cc);
    }
    got = flags_get(&cpu);
    if (cpu.flags_op != FLAGS_READY || (got & look) != (f & look) ||
        (got & ~(uint64_t)FLAGS_STATUS) != (before & ~(uint64_t)FLAGS_STATUS))
        fail_msg("op %d size %d a %lx b %lx before %lx: %lx, host %lx", op,
                 1 << log, a, b, before, got, f);
}

static void matches_host(void **state)
{
    static const uint64_t before[] = {
        FLAG_1, FLAG_1 | FLAG_CF, FLAG_1 | FLAGS_STATUS | FLAG_DF | FLAG_ID};

    (void)state;
    for (unsigned op = 0; op < OPERATIONS; op++)
        for (unsigned log = 0; log < 4; log++) {
            for (unsigned x = 0; x < ARRAY_LEN(corners); x++)
                for (unsigned y = 0; y < ARRAY_LEN(corners); y++)
                    compare((enum operation)op, corners[x], corners[y], log,
                            before[(x + y) % 3] & ~(uint64_t)FLAG_DF);
            for (unsigned k = 0; k < 3000; k++)
                compare((enum operation)op, random64(), random64(), log,
                        before[k % 3] & ~(uint64_t)FLAG_DF);
        }
}

/* INC and DEC keep whatever CF the operation before left lazily. */
static void inc_keeps_cf(void **state)
{
    (void)state;
    for (unsigned op = 0; op < OPERATIONS; op++)
        for (unsigned k = 0; k < 2000; k++) {
            unsigned log = k % 4, n = 1u << log;
            uint64_t a = random64(), b = random64(), f = FLAG_1;
            uint64_t r = host[op][log](a, b, &f);

            if (!(defined((enum operation)op, b, n) & FLAG_CF))
                continue;
            flags_set(&cpu, FLAG_1);
            leave((enum operation)op, a, b, r, f & FLAG_OF, n);
            flags_inc(&cpu, b, n);
            flags_dec(&cpu, a, n);
            flags_inc(&cpu, b, n);
            assert_int_equal(flags_cf(&cpu), f & FLAG_CF);
            assert_int_equal(flags_get(&cpu) & FLAG_CF, f & FLAG_CF);
        }
}
#else
static void matches_host(void **state)
{
    (void)state;
    skip();
}

static void inc_keeps_cf(void **state)
{
    (void)state;
    skip();
}
#endif

static void changes_only_the_mask(void **state)
{
    (void)state;
    flags_set(&cpu, FLAG_1 | FLAG_IF);
    flags_sub(&cpu, 1, 2, 4); /* CF, SF, PF, AF */
    flags_change(&cpu, FLAG_CF | FLAG_ZF, FLAG_ZF | FLAG_OF);
    assert_int_equal(flags_get(&cpu),
                     FLAG_1 | FLAG_IF | FLAG_ZF | FLAG_SF | FLAG_PF | FLAG_AF);
    flags_set_status(&cpu, FLAG_CF);
    assert_int_equal(flags_get(&cpu), FLAG_1 | FLAG_IF | FLAG_CF);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(matches_host),
        cmocka_unit_test(inc_keeps_cf),
        cmocka_unit_test(changes_only_the_mask),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
