/* Delivery of exceptions in virtual-8086 and in IA-32e mode: x86/deliver.c. */
#include "cpu_bench.h"

/* --- virtual-8086 mode --- */

static void vm86_frame(void **state)
{
    struct bench *b = *state;
    struct x86_state *s = &b->c.s;

    bench_vm86(b, 0);
    bench_idt(b, EXC_GP, INT32G, SEL_CODE0, HANDLER);
    bench_raise(b, EXC_GP);
    ASSERT_OK(b);
    assert_int_equal(s->gpr[RSP], STACK0 - 40);
    assert_int_equal(peek(b, STACK0 - 40, 4), 0x5678);
    assert_int_equal(peek(b, STACK0 - 36, 4), 0x100);
    assert_int_equal(peek(b, STACK0 - 32, 4), 0x1001);
    assert_int_equal(peek(b, STACK0 - 28, 4),
                     FLAG_1 | FLAG_VM | FLAG_IF | FLAG_RF);
    assert_int_equal(peek(b, STACK0 - 24, 4), 0x1000);
    assert_int_equal(peek(b, STACK0 - 20, 4), 0x2000);
    assert_int_equal(peek(b, STACK0 - 16, 4), 0x1000); /* ES */
    assert_int_equal(peek(b, STACK0 - 12, 4), 0x1003); /* DS */
    assert_int_equal(peek(b, STACK0 - 8, 4), 0x1004);  /* FS */
    assert_int_equal(peek(b, STACK0 - 4, 4), 0x1005);  /* GS */
    assert_int_equal(s->rflags, FLAG_1);
    assert_int_equal(s->cpl, 0);
    assert_false(in_vm86(&b->c));
    assert_int_equal(s->seg[DS].sel, 0);
    assert_true(s->seg[DS].attr & SEG_UNUSABLE);
    assert_true(s->seg[GS].attr & SEG_UNUSABLE);
}

static void vm86_handler_privilege(void **state)
{
    struct bench *b = *state;

    bench_vm86(b, 0);
    bench_idt(b, EXC_UD, INT32G, SEL_CODE1, HANDLER);
    b->c.exc = (struct x86_exception){.vector = EXC_UD};
    bench_call(b, bench_call_deliver);
    ASSERT_GP(b, (SEL_CODE1 & ~3) | 1);
    bench_idt(b, EXC_UD, INT32G, SEL_CONF, HANDLER);
    b->c.exc = (struct x86_exception){.vector = EXC_UD};
    b->c.delivering = -1;
    bench_call(b, bench_call_deliver);
    ASSERT_GP(b, SEL_CONF | 1);
}

static void vm86_int_n(void **state)
{
    struct bench *b = *state;

    bench_vm86(b, 2);
    bench_idt(b, 0x21, INT32G | G_DPL3, SEL_CODE0, HANDLER);
    bench_idt(b, EXC_BP, INT32G | G_DPL3, SEL_CODE0, HANDLER);
    RUN(b, 0xcd, 0x21);
    ASSERT_GP(b, 0);
    RUN(b, 0xcc); /* not sensitive to IOPL */
    ASSERT_OK(b);
    assert_int_equal(b->c.s.gpr[RSP], STACK0 - 36);
    bench_vm86(b, 3);
    RUN(b, 0xcd, 0x21);
    ASSERT_OK(b);
    assert_int_equal(b->c.s.rip, HANDLER);
    assert_int_equal(peek(b, STACK0 - 36, 4), 0x102);
}

/* CR4.VME: the bitmap below the I/O bitmap decides (SDM table 20-2). */
static void vm86_redirection(void **state)
{
    struct bench *b = *state;
    struct x86_state *s = &b->c.s;

    poke(b, TSS + 0x66, 0x68 + 32, 2);
    poke(b, TSS + 0x68 + 0x22 / 8, 1 << (0x22 % 8), 1);
    poke(b, 0x21 * 4, 0x30000400, 4);
    bench_idt(b, 0x22, INT32G | G_DPL3, SEL_CODE0, HANDLER);

    bench_vm86(b, 3); /* bit clear, IOPL 3 */
    s->cr4 |= CR4_VME;
    s->rflags |= FLAG_NT | FLAG_TF;
    RUN(b, 0xcd, 0x21);
    assert_int_equal(s->seg[CS].sel, 0x3000);
    assert_int_equal(s->rip, 0x400);
    assert_int_equal(s->gpr[RSP], 0x1000 - 6);
    assert_int_equal(peek(b, 0x20ffa, 2), 0x102);
    assert_int_equal(peek(b, 0x20ffc, 2), 0x1001);
    assert_int_equal(peek(b, 0x20ffe, 2),
                     FLAG_1 | FLAG_IF | FLAG_IOPL | FLAG_NT | FLAG_TF);
    assert_int_equal(s->rflags, FLAG_1 | FLAG_VM | FLAG_IOPL | FLAG_NT);

    bench_vm86(b, 0); /* bit clear, IOPL 0: VIF stands in for IF */
    s->rflags &= ~(uint64_t)FLAG_IF;
    s->rflags |= FLAG_VIF;
    RUN(b, 0xcd, 0x21);
    ASSERT_OK(b);
    assert_int_equal(peek(b, 0x20ffe, 2), FLAG_1 | FLAG_IF | FLAG_IOPL);
    assert_int_equal(s->rflags, FLAG_1 | FLAG_VM);
    assert_int_equal(s->seg[CS].attr & SEG_DPL, SEG_DPL);

    bench_vm86(b, 0); /* bit set, IOPL 0 */
    RUN(b, 0xcd, 0x22);
    ASSERT_GP(b, 0);
    bench_vm86(b, 3); /* bit set, IOPL 3 */
    RUN(b, 0xcd, 0x22);
    ASSERT_OK(b);
    assert_int_equal(s->rip, HANDLER);
    assert_int_equal(s->cpl, 0);

    bench_vm86(b, 3); /* the bitmap ends too early */
    s->tr.limit = 0x68 + 3;
    RUN(b, 0xcd, 0x21);
    ASSERT_GP(b, 0);
    s->tr.limit = 0x68 + 4;
    RUN(b, 0xcd, 0x21);
    ASSERT_OK(b);
}

/* --- IA-32e mode --- */

static void long_same_privilege(void **state)
{
    struct bench *b = *state;
    struct x86_state *s = &b->c.s;

    bench_long(b, 0);
    s->rip = 0xffffffff80001234;
    s->gpr[RSP] = STACK0 - 3; /* aligned down to 16 */
    bench_idt64(b, EXC_GP, INT32G, SEL_CODE64, 0xffff800000018000, 0);
    bench_raise(b, EXC_GP);
    ASSERT_OK(b);
    assert_int_equal(s->rip, 0xffff800000018000);
    assert_int_equal(s->gpr[RSP], STACK0 - 16 - 48);
    assert_int_equal(peek(b, STACK0 - 64, 8), 0x5678);
    assert_int_equal(peek(b, STACK0 - 56, 8), 0xffffffff80001234);
    assert_int_equal(peek(b, STACK0 - 48, 8), SEL_CODE64);
    assert_int_equal(peek(b, STACK0 - 40, 8), FLAG_1 | FLAG_RF);
    assert_int_equal(peek(b, STACK0 - 32, 8), STACK0 - 3);
    assert_int_equal(peek(b, STACK0 - 24, 8), SEL_DATA0);
    assert_int_equal(s->seg[SS].sel, SEL_DATA0); /* kept */
}

static void long_from_user(void **state)
{
    struct bench *b = *state;
    struct x86_state *s = &b->c.s;

    bench_long(b, 3);
    bench_idt64(b, EXC_UD, INT32G, SEL_CODE64, HANDLER, 0);
    bench_raise(b, EXC_UD);
    ASSERT_OK(b);
    assert_int_equal(s->cpl, 0);
    assert_int_equal(s->seg[SS].sel, 0);
    assert_true(s->seg[SS].attr & SEG_UNUSABLE);
    assert_int_equal(s->gpr[RSP], STACK0 - 40);
    assert_int_equal(peek(b, STACK0 - 8, 8), SEL_DATA3);
    assert_int_equal(peek(b, STACK0 - 32, 8), SEL_CODE64_3);

    bench_long(b, 3); /* to privilege 1: SS is null with RPL 1 */
    bench_desc(b, SEL_CODE1, 0, 0xfffff, A_CODE | A_DPL1, F_64);
    bench_idt64(b, EXC_UD, INT32G, SEL_CODE1, HANDLER, 0);
    bench_raise(b, EXC_UD);
    ASSERT_OK(b);
    assert_int_equal(s->cpl, 1);
    assert_int_equal(s->seg[SS].sel, 1);
    assert_int_equal(s->gpr[RSP], STACK1 - 40);
}

/* From 32-bit code to a stack that 32-bit code could not reach. */
static void long_from_compatibility(void **state)
{
    struct bench *b = *state;
    struct x86_state *s = &b->c.s;

    bench_long(b, 3);
    s->seg[CS] = bench_segment(b, SEL_CODE3);
    x86_mode_changed(&b->c);
    poke(b, TSS + 4, 0xffffffffc0000000 + STACK0, 8);
    bench_idt64(b, 0x80, INT32G | G_DPL3, SEL_CODE64, HANDLER, 0);
    RUN(b, 0xcd, 0x80);
    ASSERT_OK(b);
    assert_int_equal(s->gpr[RSP], 0xffffffffc0000000 + STACK0 - 40);
    assert_int_equal(peek(b, STACK0 - 40, 8), CODE + 2);
    assert_int_equal(peek(b, STACK0 - 32, 8), SEL_CODE3);
    assert_true(in_code64(&b->c));
    /* and a fault on the way leaves 32-bit code behind */
    bench_long(b, 3);
    s->seg[CS] = bench_segment(b, SEL_CODE3);
    x86_mode_changed(&b->c);
    poke(b, TSS + 4, 0xffffc00000000000, 8); /* not mapped */
    RUN(b, 0xcd, 0x80);
    ASSERT_FAULT(b, EXC_PF, 2); /* a supervisor's write */
    assert_int_equal(b->c.exc.cr2, 0xffffbffffffffff8);
    assert_false(in_code64(&b->c));
    assert_int_equal(b->c.tlb_mode, TLB_USER);
}

static void long_ist(void **state)
{
    struct bench *b = *state;
    struct x86_state *s = &b->c.s;

    bench_long(b, 0);
    bench_idt64(b, EXC_DF, INT32G, SEL_CODE64, HANDLER, 1);
    bench_raise(b, EXC_DF);
    ASSERT_OK(b);
    assert_int_equal(s->gpr[RSP], STACK_IST - 48);
    assert_int_equal(s->seg[SS].sel, SEL_DATA0); /* no change of privilege */
    bench_long(b, 3);
    bench_raise(b, EXC_DF);
    assert_int_equal(s->gpr[RSP], STACK_IST - 48);
    assert_int_equal(s->seg[SS].sel, 0);
    bench_long(b, 0);
    s->tr.limit = 28 + 8 + 6;
    b->c.exc = (struct x86_exception){.vector = EXC_DF, .has_error = true};
    b->c.delivering = -1;
    bench_call(b, bench_call_deliver);
    ASSERT_FAULT(b, EXC_TS, SEL_TSS | 1);
}

static void long_faults(void **state)
{
    static const struct {
        unsigned attr, sel;
        uint64_t offset;
        unsigned vector, error;
    } gates[] = {
        {INT16G, SEL_CODE64, HANDLER, EXC_GP, EXC_UD * 8 + 3},
        {TASKG, SEL_TSS, 0, EXC_GP, EXC_UD * 8 + 3},
        {INT32G & ~0x80, SEL_CODE64, HANDLER, EXC_NP, EXC_UD * 8 + 3},
        {INT32G, SEL_CODE0, HANDLER, EXC_GP, SEL_CODE0 | 1}, /* not L */
        {INT32G, SEL_CODE64, 0x800000000000, EXC_GP, 1},
    };
    struct bench *b = *state;

    for (unsigned n = 0; n < ARRAY_LEN(gates); n++) {
        bench_long(b, 3);
        bench_idt64(b, EXC_UD, gates[n].attr, gates[n].sel, gates[n].offset, 0);
        b->c.exc = (struct x86_exception){.vector = EXC_UD};
        b->c.delivering = -1;
        bench_call(b, bench_call_deliver);
        ASSERT_FAULT(b, gates[n].vector, gates[n].error);
    }
    /* the 16th byte of the gate */
    bench_idt64(b, EXC_UD, INT32G, SEL_CODE64, HANDLER, 0);
    b->c.s.idt.limit = EXC_UD * 16 + 14;
    b->c.exc = (struct x86_exception){.vector = EXC_UD};
    b->c.delivering = -1;
    bench_call(b, bench_call_deliver);
    ASSERT_GP(b, EXC_UD * 8 + 3);
}

/* No stack left: #SS on the way to #GP's handler is #DF, on its own stack. */
static void long_stack_not_canonical(void **state)
{
    struct bench *b = *state;

    bench_long(b, 0);
    bench_idt64(b, EXC_GP, INT32G, SEL_CODE64, HANDLER, 0);
    bench_idt64(b, EXC_DF, INT32G, SEL_CODE64, HANDLER + 8, 1);
    b->c.s.gpr[RSP] = 0x8000000000000000;
    b->c.exc = (struct x86_exception){.vector = EXC_GP, .has_error = true};
    bench_call(b, bench_call_deliver);
    ASSERT_FAULT(b, EXC_SS, 1);
    bench_deliver(b);
    ASSERT_OK(b);
    assert_int_equal(b->c.s.rip, HANDLER + 8);
    assert_int_equal(b->c.s.gpr[RSP], STACK_IST - 48);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BENCH_TEST(vm86_frame),
        BENCH_TEST(vm86_handler_privilege),
        BENCH_TEST(vm86_int_n),
        BENCH_TEST(vm86_redirection),
        BENCH_TEST(long_same_privilege),
        BENCH_TEST(long_from_user),
        BENCH_TEST(long_from_compatibility),
        BENCH_TEST(long_ist),
        BENCH_TEST(long_faults),
        BENCH_TEST(long_stack_not_canonical),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
