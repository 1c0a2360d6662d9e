/* Delivery of exceptions: x86/exception.c, deliver.c, and of gate.c the stacks
   and INT instructions. */
#include "cpu_bench.h"

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

/* SP 1 leaves no room for a word; a handler must be inside CS's limit. */
static void real_stack_and_target(void **state)
{
    struct bench *b = *state;

    bench_real(b);
    poke(b, 0x21 * 4, 0x00010002, 4);
    b->c.s.gpr[RSP] = 0xabcd0001;
    RUN(b, 0xcd, 0x21);
    ASSERT_FAULT(b, EXC_SS, 0);
    bench_real(b);
    b->c.s.gpr[RSP] = 0xabcd0000;
    RUN(b, 0xcd, 0x21);
    ASSERT_OK(b);
    assert_int_equal(b->c.s.gpr[RSP], 0xabcdfffa);
    bench_real(b);
    b->c.s.seg[CS].limit = 0x1fff;
    poke(b, 0x21 * 4, 0x00012000, 4);
    RUN(b, 0xcd, 0x21);
    ASSERT_GP(b, 0);
}

/* --- protected mode --- */

static void same_privilege(void **state)
{
    struct bench *b = *state;
    struct x86_state *s = &b->c.s;

    bench_protected(b, 0);
    s->rflags = FLAG_1 | FLAG_IF | FLAG_TF | FLAG_NT | FLAG_AC | FLAG_ZF;
    bench_idt(b, EXC_GP, INT32G, SEL_CODE0, HANDLER);
    bench_raise(b, EXC_GP);
    ASSERT_OK(b);
    assert_int_equal(s->rip, HANDLER);
    assert_int_equal(s->seg[CS].sel, SEL_CODE0);
    assert_int_equal(s->gpr[RSP], STACK0 - 0x110);
    assert_int_equal(peek(b, STACK0 - 0x110, 4), 0x5678);
    assert_int_equal(peek(b, STACK0 - 0x10c, 4), CODE);
    assert_int_equal(peek(b, STACK0 - 0x108, 4), SEL_CODE0);
    assert_int_equal(peek(b, STACK0 - 0x104, 4), FLAG_1 | FLAG_IF | FLAG_TF |
                                                     FLAG_NT | FLAG_AC |
                                                     FLAG_ZF | FLAG_RF);
    assert_int_equal(s->rflags, FLAG_1 | FLAG_AC | FLAG_ZF);
    assert_int_equal(b->c.delivering, -1);
}

/* Trap gates keep IF; INT n pushes the next instruction's address. */
static void trap_gate(void **state)
{
    struct bench *b = *state;
    struct x86_state *s = &b->c.s;

    bench_protected(b, 0);
    s->rflags = FLAG_1 | FLAG_IF;
    bench_idt(b, 0x80, TRAP32G, SEL_CODE0, HANDLER);
    RUN(b, 0xcd, 0x80);
    ASSERT_OK(b);
    assert_int_equal(s->rflags, FLAG_1 | FLAG_IF);
    assert_int_equal(peek(b, STACK0 - 0x10c, 4), CODE + 2);
    assert_int_equal(peek(b, STACK0 - 0x104, 4), FLAG_1 | FLAG_IF);
}

static void inner_privilege(void **state)
{
    struct bench *b = *state;
    struct x86_state *s = &b->c.s;

    bench_protected(b, 3);
    bench_idt(b, EXC_PF, INT32G, SEL_CODE0, HANDLER);
    bench_desc(b, SEL_CODE0, 0, 0xfffff, A_CODE & ~1, F_32); /* not accessed */
    bench_desc(b, SEL_DATA0, 0, 0xfffff, A_DATA & ~1, F_32);
    b->c.exc = (struct x86_exception){
        .vector = EXC_PF, .has_error = true, .error = 7, .cr2 = 0x1234567};
    bench_deliver(b);
    ASSERT_OK(b);
    assert_int_equal(s->cr2, 0x1234567);
    assert_int_equal(s->rip, HANDLER);
    assert_int_equal(s->cpl, 0);
    assert_int_equal(s->seg[CS].sel, SEL_CODE0);
    assert_int_equal(s->seg[SS].sel, SEL_DATA0);
    assert_int_equal(s->gpr[RSP], STACK0 - 24);
    assert_int_equal(peek(b, STACK0 - 24, 4), 7);
    assert_int_equal(peek(b, STACK0 - 20, 4), CODE);
    assert_int_equal(peek(b, STACK0 - 16, 4), SEL_CODE3);
    assert_int_equal(peek(b, STACK0 - 12, 4), FLAG_1 | FLAG_RF);
    assert_int_equal(peek(b, STACK0 - 8, 4), STACK3);
    assert_int_equal(peek(b, STACK0 - 4, 4), SEL_DATA3);
    assert_int_equal(bench_access(b, SEL_CODE0), A_CODE);
    assert_int_equal(bench_access(b, SEL_DATA0), A_DATA);
    assert_int_equal(s->seg[DS].sel, SEL_DATA3); /* untouched */
}

static void gate_of_16_bits(void **state)
{
    struct bench *b = *state;
    struct x86_state *s = &b->c.s;

    bench_protected(b, 3);
    s->rip = 0x12345678;
    bench_idt(b, EXC_GP, INT16G, SEL_CODE0, 0xabcd8000);
    bench_raise(b, EXC_GP);
    ASSERT_OK(b);
    assert_int_equal(s->rip, 0x8000); /* offset 31:16 is not the gate's */
    assert_int_equal(s->gpr[RSP], STACK0 - 12);
    assert_int_equal(peek(b, STACK0 - 12, 2), 0x5678); /* error */
    assert_int_equal(peek(b, STACK0 - 10, 2), 0x5678);
    assert_int_equal(peek(b, STACK0 - 8, 2), SEL_CODE3);
    assert_int_equal(peek(b, STACK0 - 6, 2), FLAG_1);
    assert_int_equal(peek(b, STACK0 - 4, 2), STACK3 & 0xffff);
    assert_int_equal(peek(b, STACK0 - 2, 2), SEL_DATA3);
}

/* A 16-bit TSS has 16-bit stack pointers; a 16-bit stack takes SP only. */
static void stack_of_16_bits(void **state)
{
    struct bench *b = *state;
    struct x86_state *s = &b->c.s;

    bench_protected(b, 3);
    s->tr = bench_segment(b, SEL_TSS16);
    poke(b, TSS16 + 2, 0x7000, 2);
    poke(b, TSS16 + 4, SEL_STACK16, 2);
    bench_idt(b, EXC_GP, INT32G, SEL_CODE0, HANDLER);
    bench_raise(b, EXC_GP);
    ASSERT_OK(b);
    assert_int_equal(s->gpr[RSP], 0x7000 - 24);
    assert_int_equal(s->seg[SS].sel, SEL_STACK16);
    assert_int_equal(peek(b, STACK0 - 0x1000 - 20, 4), CODE);

    /* and from a 32-bit TSS the high half of ESP is kept as loaded */
    bench_protected(b, 3);
    poke(b, TSS + 4, 0xabcd7000, 4);
    poke(b, TSS + 8, SEL_STACK16, 2);
    bench_raise(b, EXC_GP);
    ASSERT_OK(b);
    assert_int_equal(s->gpr[RSP], 0xabcd7000 - 24);
}

static void conforming_handler(void **state)
{
    struct bench *b = *state;
    struct x86_state *s = &b->c.s;

    bench_protected(b, 3);
    bench_idt(b, EXC_UD, INT32G, SEL_CONF, HANDLER);
    bench_raise(b, EXC_UD);
    ASSERT_OK(b);
    assert_int_equal(s->cpl, 3);
    assert_int_equal(s->seg[CS].sel, SEL_CONF | 3);
    assert_int_equal(s->seg[SS].sel, SEL_DATA3);
    assert_int_equal(s->gpr[RSP], STACK3 - 12);
    assert_int_equal(peek(b, STACK3 - 4, 4), FLAG_1 | FLAG_RF);
}

static void middle_privilege(void **state)
{
    struct bench *b = *state;

    bench_protected(b, 3);
    bench_idt(b, EXC_UD, INT32G, SEL_CODE1, HANDLER);
    bench_raise(b, EXC_UD);
    ASSERT_OK(b);
    assert_int_equal(b->c.s.cpl, 1);
    assert_int_equal(b->c.s.seg[CS].sel, SEL_CODE1);
    assert_int_equal(b->c.s.seg[SS].sel, SEL_DATA1);
    assert_int_equal(b->c.s.gpr[RSP], STACK1 - 20);
}

/* --- what can go wrong on the way --- */

/* One way of breaking the delivery of #UD from CPL 3, and what it raises. */
struct broken {
    void (*how)(struct bench *b);
    unsigned vector, error;
};

static void idt_short(struct bench *b)
{
    b->c.s.idt.limit = EXC_UD * 8 + 6;
}
static void gate_type(struct bench *b)
{
    bench_idt(b, EXC_UD, 0x8c, SEL_CODE0, HANDLER); /* a call gate */
}
static void gate_not_system(struct bench *b)
{
    bench_idt(b, EXC_UD, 0x9e, SEL_CODE0, HANDLER);
}
static void gate_absent(struct bench *b)
{
    bench_idt(b, EXC_UD, INT32G & ~0x80, SEL_CODE0, HANDLER);
}
static void code_null(struct bench *b)
{
    bench_idt(b, EXC_UD, INT32G, 3, HANDLER);
}
static void code_outside(struct bench *b)
{
    bench_idt(b, EXC_UD, INT32G, 0x103, HANDLER);
}
static void code_in_no_ldt(struct bench *b)
{
    bench_idt(b, EXC_UD, INT32G, 0x0c, HANDLER);
}
static void code_is_data(struct bench *b)
{
    bench_idt(b, EXC_UD, INT32G, SEL_DATA0, HANDLER);
}
static void code_absent(struct bench *b)
{
    bench_desc(b, SEL_CODE0, 0, 0xfffff, A_CODE & ~0x80, F_32);
}
static void code_limit(struct bench *b)
{
    bench_desc(b, SEL_CODE0, 0, HANDLER - 1, A_CODE, 4);
}
static void tss_limit(struct bench *b)
{
    b->c.s.tr.limit = 8;
}
static void stack_null(struct bench *b)
{
    poke(b, TSS + 8, 0, 2);
}
static void stack_outside(struct bench *b)
{
    poke(b, TSS + 8, 0x100, 2);
}
static void stack_rpl(struct bench *b)
{
    poke(b, TSS + 8, SEL_DATA0 | 1, 2);
}
static void stack_dpl(struct bench *b)
{
    poke(b, TSS + 8, SEL_DATA3 & ~3, 2);
}
static void stack_readonly(struct bench *b)
{
    poke(b, TSS + 8, SEL_ROM, 2);
}
static void stack_is_code(struct bench *b)
{
    poke(b, TSS + 8, SEL_CODE0, 2);
}
static void stack_absent(struct bench *b)
{
    bench_desc(b, SEL_DATA0, 0, 0xfffff, A_DATA & ~0x80, F_32);
}
static void stack_small(struct bench *b)
{
    poke(b, TSS + 4, 0x1000 + 19, 4);
    bench_desc(b, SEL_DATA0, 0, 0xfff, 0x97, 4); /* expand-down */
}

static void delivery_faults(void **state)
{
    static const struct broken ways[] = {
        {idt_short, EXC_GP, EXC_UD * 8 + 3},
        {gate_type, EXC_GP, EXC_UD * 8 + 3},
        {gate_not_system, EXC_GP, EXC_UD * 8 + 3},
        {gate_absent, EXC_NP, EXC_UD * 8 + 3},
        {code_null, EXC_GP, 1},
        {code_outside, EXC_GP, 0x101},
        {code_in_no_ldt, EXC_GP, 0x0d},
        {code_is_data, EXC_GP, SEL_DATA0 | 1},
        {code_absent, EXC_NP, SEL_CODE0 | 1},
        {code_limit, EXC_GP, 1},
        {tss_limit, EXC_TS, SEL_TSS | 1},
        {stack_null, EXC_TS, 1},
        {stack_outside, EXC_TS, 0x101},
        {stack_rpl, EXC_TS, SEL_DATA0 | 1},
        {stack_dpl, EXC_TS, (SEL_DATA3 & ~3) | 1},
        {stack_readonly, EXC_TS, SEL_ROM | 1},
        {stack_is_code, EXC_TS, SEL_CODE0 | 1},
        {stack_absent, EXC_SS, SEL_DATA0 | 1},
        {stack_small, EXC_SS, SEL_DATA0 | 1},
    };
    struct bench *b = *state;

    for (unsigned n = 0; n < ARRAY_LEN(ways); n++) {
        struct x86_state before;

        bench_tables(b);
        bench_protected(b, 3);
        bench_idt(b, EXC_UD, INT32G, SEL_CODE0, HANDLER);
        ways[n].how(b);
        before = b->c.s;
        b->c.exc = (struct x86_exception){.vector = EXC_UD};
        b->c.delivering = -1;
        bench_call(b, bench_call_deliver);
        if (b->how != UNWIND_EXCEPTION || b->c.exc.vector != ways[n].vector ||
            b->c.exc.error != ways[n].error)
            fail_msg("way %u: vector %u, error %x", n, b->c.exc.vector,
                     b->c.exc.error);
        assert_int_equal(b->c.delivering, EXC_UD);
        assert_memory_equal(&before, &b->c.s, sizeof(before));
        assert_int_equal(b->c.mode_key & MODE_CPL, MODE_CPL);
        assert_int_equal(b->c.tlb_mode, TLB_USER);
    }
}

/* INT n leaves EXT clear and checks the gate's DPL; the hardware does not. */
static void int_n_faults(void **state)
{
    struct bench *b = *state;

    bench_protected(b, 3);
    bench_idt(b, 0x30, INT32G, SEL_CODE0, HANDLER);
    RUN(b, 0xcd, 0x30);
    ASSERT_GP(b, 0x30 * 8 + 2);
    assert_int_equal(b->c.s.rip, CODE);
    assert_int_equal(b->c.delivering, -1);
    bench_idt(b, 0x30, (INT32G | G_DPL3) & ~0x80, SEL_CODE0, HANDLER);
    RUN(b, 0xcd, 0x30);
    ASSERT_FAULT(b, EXC_NP, 0x30 * 8 + 2);
    bench_idt(b, 0x30, INT32G | G_DPL3, SEL_DATA0, HANDLER);
    RUN(b, 0xcd, 0x30);
    ASSERT_GP(b, SEL_DATA0);
    bench_idt(b, 0x30, INT32G | G_DPL3, SEL_CODE0, HANDLER);
    RUN(b, 0xcd, 0x30);
    ASSERT_OK(b);
    assert_int_equal(peek(b, STACK0 - 20, 4), CODE + 2);
    /* the fault that INT ends in is not a second one */
    bench_protected(b, 3);
    bench_idt(b, EXC_GP, INT32G, SEL_CODE0, HANDLER);
    RUN(b, 0xcd, 0x31);
    ASSERT_GP(b, 0x31 * 8 + 2);
    bench_deliver(b);
    ASSERT_OK(b);
    assert_int_equal(peek(b, STACK0 - 24, 4), 0x31 * 8 + 2);
    assert_int_equal(peek(b, STACK0 - 20, 4), CODE);
}

static void int3_into_int1(void **state)
{
    struct bench *b = *state;
    struct x86_state *s = &b->c.s;

    bench_protected(b, 3);
    bench_idt(b, EXC_BP, INT32G, SEL_CODE0, HANDLER);
    RUN(b, 0xcc);
    ASSERT_GP(b, EXC_BP * 8 + 2);
    bench_idt(b, EXC_BP, INT32G | G_DPL3, SEL_CODE0, HANDLER);
    RUN(b, 0xcc);
    ASSERT_OK(b);
    assert_int_equal(peek(b, STACK0 - 20, 4), CODE + 1);

    bench_protected(b, 3);
    RUN(b, 0xce);
    ASSERT_OK(b);
    assert_int_equal(s->rip, CODE + 1);
    s->rip = CODE;
    flags_set(&b->c, FLAG_1 | FLAG_OF);
    bench_idt(b, EXC_OF, INT32G | G_DPL3, SEL_CODE0, HANDLER);
    RUN(b, 0xce);
    ASSERT_OK(b);
    assert_int_equal(s->rip, HANDLER);

    /* INT1: no DPL check, EXT set, DR6 not touched */
    bench_protected(b, 3);
    bench_idt(b, EXC_DB, INT32G, SEL_CODE0, HANDLER);
    RUN(b, 0xf1);
    ASSERT_OK(b);
    assert_int_equal(s->dr[6], 0xffff0ff0);
    assert_int_equal(peek(b, STACK0 - 20, 4), CODE + 1);
    bench_protected(b, 3);
    bench_idt(b, EXC_DB, INT32G & ~0x80, SEL_CODE0, HANDLER);
    RUN(b, 0xf1);
    ASSERT_FAULT(b, EXC_NP, EXC_DB * 8 + 3);
}

/* INT n is not single-stepped. */
static void int_n_and_tf(void **state)
{
    struct bench *b = *state;

    bench_protected(b, 0);
    b->c.s.rflags |= FLAG_TF;
    x86_mode_changed(&b->c);
    bench_idt(b, 0x30, INT32G, SEL_CODE0, HANDLER);
    RUN(b, 0xcd, 0x30);
    assert_int_equal(b->how, UNWIND_RESTART);
    assert_int_equal(b->c.s.rip, HANDLER);
    assert_int_equal(b->c.s.pending_db, 0);
    assert_int_equal(peek(b, STACK0 - 0x104, 4), FLAG_1 | FLAG_TF);
    assert_false(b->c.mode_key & MODE_TF);
}

/* --- one after the other --- */

/* first, then second on the way; which handler is entered in the end? */
static unsigned two(struct bench *b, unsigned first, unsigned second)
{
    bench_protected(b, 0);
    for (unsigned v = 0; v < 32; v++)
        bench_idt(b, v, INT32G, SEL_CODE0, HANDLER + v);
    b->c.exc = (struct x86_exception){.vector = (uint8_t)second,
                                      .has_error =
                                          second >= EXC_TS && second <= EXC_PF,
                                      .error = 0x11};
    b->c.delivering = (int8_t)first;
    bench_deliver(b);
    return b->how == UNWIND_SHUTDOWN ? 99 : (unsigned)b->c.s.rip - HANDLER;
}

static void double_faults(void **state)
{
    static const unsigned contributory[] = {EXC_DE, EXC_TS, EXC_NP, EXC_SS,
                                            EXC_GP};
    static const unsigned benign[] = {EXC_DB, EXC_NMI, EXC_BP, EXC_OF, EXC_BR,
                                      EXC_UD, EXC_NM,  EXC_MF, EXC_AC, EXC_XM};
    struct bench *b = *state;

    for (unsigned i = 0; i < ARRAY_LEN(contributory); i++) {
        unsigned v = contributory[i];

        for (unsigned j = 0; j < ARRAY_LEN(contributory); j++)
            assert_int_equal(two(b, v, contributory[j]), EXC_DF);
        assert_int_equal(two(b, v, EXC_PF), EXC_PF);
        assert_int_equal(two(b, EXC_PF, v), EXC_DF);
        assert_int_equal(two(b, EXC_DF, v), 99);
        for (unsigned j = 0; j < ARRAY_LEN(benign); j++) {
            assert_int_equal(two(b, v, benign[j]), benign[j]);
            assert_int_equal(two(b, benign[j], v), v);
        }
    }
    assert_int_equal(two(b, EXC_PF, EXC_PF), EXC_DF);
    assert_int_equal(two(b, EXC_DF, EXC_PF), 99);
    assert_int_equal(two(b, EXC_DF, EXC_DB), EXC_DB);
    assert_int_equal(two(b, EXC_NMI, EXC_PF), EXC_PF);
    /* its error code is 0, whatever came before */
    two(b, EXC_GP, EXC_NP);
    assert_int_equal(peek(b, STACK0 - 0x110, 4), 0);
    assert_false(peek(b, STACK0 - 0x104, 4) & FLAG_RF);
}

/* The real thing: handlers that are not there. */
static void triple_fault(void **state)
{
    struct bench *b = *state;

    bench_protected(b, 0);
    bench_idt(b, EXC_DF, INT32G, SEL_CODE0, HANDLER);
    bench_raise(b, EXC_GP); /* no gate: #GP, #DF */
    ASSERT_OK(b);
    assert_int_equal(b->c.s.rip, HANDLER);
    bench_protected(b, 0);
    bench_idt(b, EXC_DF, 0, SEL_CODE0, HANDLER);
    bench_raise(b, EXC_UD); /* #UD, #GP, #DF, the end */
    assert_int_equal(b->how, UNWIND_SHUTDOWN);
    assert_int_equal(b->c.s.activity, CPU_SHUTDOWN);
    assert_int_equal(b->c.delivering, -1);
}

/* --- debug --- */

static void debug_registers(void **state)
{
    struct bench *b = *state;
    struct x86_state *s = &b->c.s;

    bench_protected(b, 0);
    bench_idt(b, EXC_DB, INT32G, SEL_CODE0, HANDLER);
    s->dr[6] = 0xffff0ff0 | 0xf | DR6_BS;
    s->dr[7] = 0x400 | DR7_GD;
    b->c.exc = (struct x86_exception){.vector = EXC_DB, .dr6 = 4};
    bench_deliver(b);
    /* B0–B3 are replaced, the others only ever set */
    assert_int_equal(s->dr[6], 0xffff0ff0 | 4 | DR6_BS);
    assert_int_equal(s->dr[7], 0x400);
    assert_false(peek(b, STACK0 - 0x104, 4) & FLAG_RF);
    bench_protected(b, 0);
    b->c.exc = (struct x86_exception){.vector = EXC_DB, .dr6 = DR6_BD};
    bench_deliver(b);
    assert_true(s->dr[6] & DR6_BD);
    assert_true(peek(b, STACK0 - 0x104, 4) & FLAG_RF); /* a fault like others */
}

/* A fault forgets what its instruction hit; not what MOV SS before it hit. */
static void pending_at_fault(void **state)
{
    struct bench *b = *state;
    struct x86_state *s = &b->c.s;

    bench_protected(b, 0);
    bench_idt(b, EXC_UD, INT32G, SEL_CODE0, HANDLER);
    s->pending_db = 1;
    bench_raise(b, EXC_UD);
    assert_int_equal(s->pending_db, 0);
    bench_protected(b, 0);
    s->pending_db = 1 | DR6_BS;
    s->movss_shadow = true;
    bench_raise(b, EXC_UD);
    assert_int_equal(s->pending_db, 1);
    assert_false(s->movss_shadow);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BENCH_TEST(real_vector),
        BENCH_TEST(real_limit),
        BENCH_TEST(real_stack_and_target),
        BENCH_TEST(same_privilege),
        BENCH_TEST(trap_gate),
        BENCH_TEST(inner_privilege),
        BENCH_TEST(gate_of_16_bits),
        BENCH_TEST(stack_of_16_bits),
        BENCH_TEST(conforming_handler),
        BENCH_TEST(middle_privilege),
        BENCH_TEST(delivery_faults),
        BENCH_TEST(int_n_faults),
        BENCH_TEST(int3_into_int1),
        BENCH_TEST(int_n_and_tf),
        BENCH_TEST(double_faults),
        BENCH_TEST(triple_fault),
        BENCH_TEST(debug_registers),
        BENCH_TEST(pending_at_fault),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
