/* Exceptions and interrupts: x86/exception.c, deliver.c, events.c, gate.c. */
#include "cpu_bench.h"

enum {
    INT32G = 0x8e,
    TRAP32G = 0x8f,
    INT16G = 0x86,
    TRAP16G = 0x87,
    TASKG = 0x85
};

/* --- real mode --- */

static void real_vector(void **state)
{
    struct bench *b = *state;
    struct x86_state *s = &b->c.s;

    bench_real(b);
    s->rflags = FLAG_1 | FLAG_IF | FLAG_TF | FLAG_CF | FLAG_AC;
    poke(b, 13 * 4, 0x12345678, 4);
    bench_raise(b, EXC_GP);
    ASSERT_OK(b);
    assert_int_equal(s->rip, 0x5678);
    assert_int_equal(s->seg[CS].sel, 0x1234);
    assert_int_equal(s->seg[CS].base, 0x12340);
    assert_int_equal(s->gpr[RSP], 0x1000 - 6); /* and no error code */
    assert_int_equal(peek(b, DATA + 0xffa, 2), 0x100);
    assert_int_equal(peek(b, DATA + 0xffc, 2), CODE >> 4);
    assert_int_equal(peek(b, DATA + 0xffe, 2),
                     FLAG_1 | FLAG_IF | FLAG_TF | FLAG_CF);
    assert_int_equal(s->rflags, FLAG_1 | FLAG_CF);
}

/* A vector outside the table is #GP, then #DF, then the end. */
static void real_limit(void **state)
{
    struct bench *b = *state;

    bench_real(b);
    b->c.s.idt.limit = 0x20 * 4 - 2;
    poke(b, 8 * 4, 0x00010002, 4);
    poke(b, 13 * 4, 0x00030004, 4);
    RUN(b, 0xcd, 0x1f);
    ASSERT_GP(b, 0);
    assert_int_equal(b->c.s.rip, 0x100);
    bench_deliver(b);
    assert_int_equal(b->c.s.seg[CS].sel, 3);
    bench_real(b);
    b->c.s.idt.limit = 8 * 4 + 3;
    bench_raise(b, EXC_GP);
    ASSERT_OK(b);
    assert_int_equal(b->c.s.seg[CS].sel, 1); /* #DF */
    b->c.s.idt.limit = 8 * 4 + 2;
    bench_raise(b, EXC_GP);
    assert_int_equal(b->how, UNWIND_SHUTDOWN);
    assert_int_equal(b->c.s.activity, CPU_SHUTDOWN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BENCH_TEST(real_vector),
        BENCH_TEST(real_limit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
