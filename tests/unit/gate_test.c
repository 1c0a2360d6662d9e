/* Far JMP, CALL, RET and IRET: x86/far.c, iret.c, gate.c. */
#include "cpu_bench.h"

#define FAR32(sel, off)                                                        \
    (off) & 255, (off) >> 8 & 255, (off) >> 16 & 255, (off) >> 24 & 255,       \
        (sel)&255, (sel) >> 8
#define FAR16(sel, off) (off) & 255, (off) >> 8 & 255, (sel)&255, (sel) >> 8

enum { CALL32 = 0x8c, CALL16 = 0x84, G3 = 0x60 };

static void call_gate(struct bench *b, unsigned attr, unsigned sel,
                      uint64_t offset, unsigned params)
{
    bench_gate_at(b, GDT + SEL_GATE, attr, sel, offset, params);
    poke(b, GDT + SEL_GATE + 8, offset >> 32, 8);
}

static void push32(struct bench *b, uint32_t v)
{
    b->c.s.gpr[RSP] -= 4;
    poke(b, b->c.s.gpr[RSP], v, 4);
}

static void push64(struct bench *b, uint64_t v)
{
    b->c.s.gpr[RSP] -= 8;
    poke(b, b->c.s.gpr[RSP], v, 8);
}

/* --- real and virtual-8086 mode --- */

static void real_mode(void **state)
{
    struct bench *b = *state;
    struct x86_state *s = &b->c.s;

    bench_real(b);
    RUN(b, 0xea, FAR16(0x2345, 0x6789));
    ASSERT_OK(b);
    assert_int_equal(s->seg[CS].sel, 0x2345);
    assert_int_equal(s->seg[CS].base, 0x23450);
    assert_int_equal(s->seg[CS].limit, 0xffff);
    assert_int_equal(s->rip, 0x6789);
    RUN(b, 0x66, 0xea, FAR32(0x1000, 0x10000)); /* past the limit */
    ASSERT_GP(b, 0);
    assert_int_equal(s->rip, 0x6789);
    assert_int_equal(s->seg[CS].sel, 0x2345);

    bench_real(b);
    RUN(b, 0x9a, FAR16(0x2345, 0x10));
    ASSERT_OK(b);
    assert_int_equal(s->gpr[RSP], 0xffc);
    assert_int_equal(peek(b, DATA + 0xffc, 2), 0x105);
    assert_int_equal(peek(b, DATA + 0xffe, 2), CODE >> 4);
    RUN(b, 0xca, 0x06, 0x00); /* retf 6 */
    ASSERT_OK(b);
    assert_int_equal(s->rip, 0x105);
    assert_int_equal(s->seg[CS].base, CODE);
    assert_int_equal(s->gpr[RSP], 0x1006);

    bench_real(b);
    s->gpr[RSP] = 2;
    RUN(b, 0x9a, FAR16(0x2345, 0x10)); /* the second word is at FFFEh */
    ASSERT_OK(b);
    assert_int_equal(s->gpr[RSP], 0xfffe);
    bench_real(b);
    s->gpr[RSP] = 1;
    RUN(b, 0x9a, FAR16(0x2345, 0x10));
    ASSERT_FAULT(b, EXC_SS, 0);

    bench_vm86(b, 0);
    RUN(b, 0xea, FAR16(0x2345, 0x6789));
    ASSERT_OK(b);
    assert_int_equal(s->seg[CS].base, 0x23450);
    assert_int_equal(s->seg[CS].attr, 0xf3);
}

static void real_iret(void **state)
{
    struct bench *b = *state;
    struct x86_state *s = &b->c.s;

    bench_real(b);
    s->gpr[RSP] = 0x800;
    s->rflags = FLAG_1 | FLAG_VIF | FLAG_AC;
    poke(b, DATA + 0x800, 0x1234, 2);
    poke(b, DATA + 0x802, 0x2000, 2);
    poke(b, DATA + 0x804, 0xffff, 2);
    RUN(b, 0xcf);
    ASSERT_OK(b);
    assert_int_equal(s->rip, 0x1234);
    assert_int_equal(s->seg[CS].sel, 0x2000);
    assert_int_equal(s->rflags, 0x7fd7 | FLAG_VIF | FLAG_AC);
    assert_int_equal(s->gpr[RSP], 0x806);
    poke(b, DATA + 0x800, 0x1234, 4);
    poke(b, DATA + 0x804, 0x2000, 4);
    poke(b, DATA + 0x808, 0xffffffff, 4);
    s->gpr[RSP] = 0x800;
    s->rflags = FLAG_1 | FLAG_VIF;
    RUN(b, 0x66, 0xcf); /* VM, VIF and VIP stay */
    ASSERT_OK(b);
    assert_int_equal(s->rflags, 0x257fd7 | FLAG_VIF);
}

static void vm86_iret(void **state)
{
    struct bench *b = *state;
    struct x86_state *s = &b->c.s;

    bench_vm86(b, 3);
    poke(b, 0x21000, 0x1234, 2);
    poke(b, 0x21002, 0x2345, 2);
    poke(b, 0x21004, 0, 2);
    RUN(b, 0xcf);
    ASSERT_OK(b);
    assert_int_equal(s->rip, 0x1234);
    assert_int_equal(s->rflags, FLAG_1 | FLAG_VM | FLAG_IOPL);

    bench_vm86(b, 1);
    RUN(b, 0xcf);
    ASSERT_GP(b, 0);
    bench_vm86(b, 1);
    s->cr4 |= CR4_VME;
    RUN(b, 0x66, 0xcf); /* VME helps 16-bit IRET only */
    ASSERT_GP(b, 0);
    poke(b, 0x21004, FLAG_IF | FLAG_CF | FLAG_IOPL, 2);
    s->rflags &= ~(uint64_t)FLAG_IF;
    RUN(b, 0xcf);
    ASSERT_OK(b);
    assert_int_equal(s->rflags, FLAG_1 | FLAG_CF | FLAG_VM | FLAG_VIF |
                                    1 << 12); /* IF went to VIF */
    bench_vm86(b, 1);
    s->rflags |= FLAG_VIP;
    RUN(b, 0xcf); /* one is pending */
    ASSERT_GP(b, 0);
    bench_vm86(b, 1);
    poke(b, 0x21004, FLAG_TF, 2);
    RUN(b, 0xcf);
    ASSERT_GP(b, 0);
}

/* --- direct transfers --- */

static void direct(void **state)
{
    static const struct {
        unsigned cpl, sel, vector, error;
    } cases[] = {
        {0, SEL_CODE0, 0, 0},
        {0, SEL_CODE0 | 3, EXC_GP, SEL_CODE0}, /* RPL > CPL */
        {3, SEL_CODE3 & ~3, 0, 0},             /* RPL < CPL is fine */
        {3, SEL_CODE3, 0, 0},
        {3, SEL_CODE0, EXC_GP, SEL_CODE0},
        {0, SEL_CODE3 & ~3, EXC_GP, SEL_CODE3 & ~3}, /* no outward jumps */
        {3, SEL_CONF, 0, 0},
        {3, SEL_CONF | 3, 0, 0},
        {0, SEL_DATA0, EXC_GP, SEL_DATA0},
        {0, 0, EXC_GP, 0},
        {0, 3, EXC_GP, 0},
        {0, 0x100, EXC_GP, 0x100},
        {0, SEL_LDT, EXC_GP, SEL_LDT},
        {0, SEL_FREE, EXC_NP, SEL_FREE},
        {0, SEL_CODE16, 0, 0},
    };
    struct bench *b = *state;
    struct x86_state *s = &b->c.s;

    for (unsigned n = 0; n < ARRAY_LEN(cases); n++)
        for (unsigned call = 0; call < 2; call++) {
            unsigned sel = cases[n].sel;
            uint64_t rsp;

            bench_tables(b);
            bench_desc(b, SEL_FREE, 0, 0xfffff, A_CODE & ~0x80, F_32);
            bench_protected(b, cases[n].cpl);
            rsp = s->gpr[RSP];
            RUN(b, call ? 0x9a : 0xea, FAR32(sel, 0x1234));
            if (cases[n].vector) {
                ASSERT_FAULT(b, cases[n].vector, cases[n].error);
                assert_int_equal(s->rip, CODE);
                assert_int_equal(s->gpr[RSP], rsp);
                continue;
            }
            ASSERT_OK(b);
            assert_int_equal(s->rip, 0x1234);
            assert_int_equal(s->seg[CS].sel, (sel & ~3u) | cases[n].cpl);
            assert_int_equal(s->cpl, cases[n].cpl);
            assert_int_equal(s->gpr[RSP], rsp - (call ? 8 : 0));
            if (call)
                assert_int_equal(peek(b, rsp - 8, 4), CODE + 7);
        }
}

static void direct_limit_and_size(void **state)
{
    struct bench *b = *state;
    struct x86_state *s = &b->c.s;

    bench_protected(b, 0);
    bench_desc(b, SEL_FREE, 0, 0x1000, A_CODE & ~1, 0x4);
    RUN(b, 0xea, FAR32(SEL_FREE, 0x1001));
    ASSERT_GP(b, 0);
    assert_int_equal(bench_access(b, SEL_FREE), A_CODE & ~1);
    RUN(b, 0xea, FAR32(SEL_FREE, 0x1000));
    ASSERT_OK(b);
    assert_int_equal(bench_access(b, SEL_FREE), A_CODE);
    /* through memory, 16 bits: the offset is a word */
    bench_protected(b, 0);
    s->gpr[RSI] = DATA;
    poke(b, DATA, 0x5678, 2);
    poke(b, DATA + 2, SEL_CODE0, 2);
    RUN(b, 0x66, 0xff, 0x1e); /* call far word [esi] */
    ASSERT_OK(b);
    assert_int_equal(s->rip, 0x5678);
    assert_int_equal(s->gpr[RSP], STACK0 - 0x104);
    assert_int_equal(peek(b, STACK0 - 0x104, 2), (CODE + 3) & 0xffff);
    assert_int_equal(peek(b, STACK0 - 0x102, 2), SEL_CODE0);
}

static void compatibility(void **state)
{
    struct bench *b = *state;
    struct x86_state *s = &b->c.s;

    bench_long(b, 0);
    s->gpr[RSI] = DATA;
    poke(b, DATA, 0x1234, 4);
    poke(b, DATA + 4, SEL_CODE0, 2);
    RUN(b, 0xff, 0x2e); /* jmp far dword [rsi], to compatibility mode */
    ASSERT_OK(b);
    assert_false(in_code64(&b->c));
    assert_true(in_long_mode(&b->c));
    assert_int_equal(s->rip, 0x1234);
    RUN(b, 0xea, FAR32(SEL_CODE64, 0x5678)); /* and back */
    ASSERT_OK(b);
    assert_true(in_code64(&b->c));

    bench_long(b, 0); /* m16:64 */
    s->gpr[RSI] = DATA;
    poke(b, DATA, 0xffffffff80000000, 8);
    poke(b, DATA + 8, SEL_CODE64, 2);
    RUN(b, 0x48, 0xff, 0x1e);
    ASSERT_OK(b);
    assert_int_equal(s->rip, 0xffffffff80000000);
    assert_int_equal(s->gpr[RSP], STACK0 - 0x110);
    assert_int_equal(peek(b, STACK0 - 0x110, 8), CODE + 3);
    poke(b, DATA, 0x800000000000, 8);
    RUN(b, 0x48, 0xff, 0x2e);
    ASSERT_GP(b, 0);
    poke(b, DATA + 8, SEL_CODE0, 2); /* beyond a 32-bit segment */
    RUN(b, 0x48, 0xff, 0x2e);
    ASSERT_GP(b, 0);
    poke(b, DATA, 0x1000, 8);
    poke(b, DATA + 8, SEL_FREE, 2);
    bench_desc(b, SEL_FREE, 0, 0xfffff, A_CODE, 0xe); /* L and D */
    RUN(b, 0x48, 0xff, 0x2e);
    ASSERT_GP(b, SEL_FREE);
}

/* --- call gates --- */

static void gate_inner(void **state)
{
    struct bench *b = *state;
    struct x86_state *s = &b->c.s;

    bench_protected(b, 3);
    call_gate(b, CALL32 | G3, SEL_CODE0, 0x18000, 3);
    poke(b, STACK3, 0x11111111, 4);
    poke(b, STACK3 + 4, 0x22222222, 4);
    poke(b, STACK3 + 8, 0x33333333, 4);
    RUN(b, 0x9a, FAR32(SEL_GATE | 3, 0x55555)); /* the offset is ignored */
    ASSERT_OK(b);
    assert_int_equal(s->rip, 0x18000);
    assert_int_equal(s->cpl, 0);
    assert_int_equal(s->seg[CS].sel, SEL_CODE0);
    assert_int_equal(s->seg[SS].sel, SEL_DATA0);
    assert_int_equal(s->gpr[RSP], STACK0 - 28);
    assert_int_equal(peek(b, STACK0 - 4, 4), SEL_DATA3);
    assert_int_equal(peek(b, STACK0 - 8, 4), STACK3);
    assert_int_equal(peek(b, STACK0 - 12, 4), 0x33333333);
    assert_int_equal(peek(b, STACK0 - 16, 4), 0x22222222);
    assert_int_equal(peek(b, STACK0 - 20, 4), 0x11111111);
    assert_int_equal(peek(b, STACK0 - 24, 4), SEL_CODE3);
    assert_int_equal(peek(b, STACK0 - 28, 4), CODE + 7);
    /* and back, releasing the parameters from both stacks */
    RUN(b, 0xca, 12, 0);
    ASSERT_OK(b);
    assert_int_equal(s->rip, CODE + 7);
    assert_int_equal(s->cpl, 3);
    assert_int_equal(s->gpr[RSP], STACK3 + 12);
    assert_int_equal(s->seg[SS].sel, SEL_DATA3);
}

static void gate_of_16_bits(void **state)
{
    struct bench *b = *state;
    struct x86_state *s = &b->c.s;

    bench_protected(b, 3);
    call_gate(b, CALL16 | G3, SEL_CODE0, 0xabcd8000, 2);
    poke(b, STACK3, 0x22221111, 4);
    RUN(b, 0x9a, FAR32(SEL_GATE | 3, 0));
    ASSERT_OK(b);
    assert_int_equal(s->rip, 0x8000);
    assert_int_equal(s->gpr[RSP], STACK0 - 12);
    assert_int_equal(peek(b, STACK0 - 2, 2), SEL_DATA3);
    assert_int_equal(peek(b, STACK0 - 4, 2), STACK3 & 0xffff);
    assert_int_equal(peek(b, STACK0 - 6, 2), 0x2222);
    assert_int_equal(peek(b, STACK0 - 8, 2), 0x1111);
    assert_int_equal(peek(b, STACK0 - 10, 2), SEL_CODE3);
    assert_int_equal(peek(b, STACK0 - 12, 2), (CODE + 7) & 0xffff);
}

static void gate_same_privilege(void **state)
{
    struct bench *b = *state;
    struct x86_state *s = &b->c.s;

    bench_protected(b, 0);
    call_gate(b, CALL32, SEL_CODE0, 0x18000, 5);
    RUN(b, 0x9a, FAR32(SEL_GATE, 0));
    ASSERT_OK(b);
    assert_int_equal(s->gpr[RSP], STACK0 - 0x108); /* no parameters copied */
    bench_protected(b, 3);
    call_gate(b, CALL32 | G3, SEL_CONF, 0x18000, 5);
    RUN(b, 0x9a, FAR32(SEL_GATE, 0));
    ASSERT_OK(b);
    assert_int_equal(s->cpl, 3);
    assert_int_equal(s->seg[CS].sel, SEL_CONF | 3);
    bench_protected(b, 0); /* JMP may use one too, without changing CPL */
    call_gate(b, CALL32, SEL_CODE0, 0x18000, 0);
    RUN(b, 0xea, FAR32(SEL_GATE, 0));
    ASSERT_OK(b);
    assert_int_equal(s->rip, 0x18000);
    bench_protected(b, 3);
    call_gate(b, CALL32 | G3, SEL_CODE0, 0x18000, 0);
    RUN(b, 0xea, FAR32(SEL_GATE, 0));
    ASSERT_GP(b, SEL_CODE0);
}

static void gate_faults(void **state)
{
    static const struct {
        unsigned cpl, rpl, attr, sel, offset, vector, error;
    } cases[] = {
        {3, 0, CALL32, SEL_CODE0, 0, EXC_GP, SEL_GATE}, /* CPL > DPL */
        {0, 3, CALL32, SEL_CODE0, 0, EXC_GP, SEL_GATE}, /* RPL > DPL */
        {0, 0, CALL32 & ~0x80, SEL_CODE0, 0, EXC_NP, SEL_GATE},
        {0, 0, CALL32, 0, 0, EXC_GP, 0},
        {0, 0, CALL32, 0x100, 0, EXC_GP, 0x100},
        {0, 0, CALL32, SEL_DATA0, 0, EXC_GP, SEL_DATA0},
        {0, 0, CALL32, SEL_CODE3, 0, EXC_GP, SEL_CODE3 & ~3},
        {0, 0, CALL32, SEL_FREE, 0, EXC_NP, SEL_FREE},
        {0, 0, CALL32, SEL_CODE16, 0x10000, EXC_GP, 0},
        {0, 0, 0x8e, SEL_CODE0, 0, EXC_GP, SEL_GATE}, /* an interrupt gate */
    };
    struct bench *b = *state;

    for (unsigned n = 0; n < ARRAY_LEN(cases); n++) {
        bench_desc(b, SEL_FREE, 0, 0xfffff, A_CODE & ~0x80, F_32);
        bench_protected(b, cases[n].cpl);
        call_gate(b, cases[n].attr, cases[n].sel, cases[n].offset, 0);
        RUN(b, 0x9a, FAR32(SEL_GATE | cases[n].rpl, 0));
        ASSERT_FAULT(b, cases[n].vector, cases[n].error);
        assert_int_equal(b->c.s.rip, CODE);
    }
}

static void gate_stack_faults(void **state)
{
    struct bench *b = *state;

    call_gate(b, CALL32 | G3, SEL_CODE0, 0x18000, 31);
    bench_protected(b, 3);
    b->c.s.tr.limit = 8;
    RUN(b, 0x9a, FAR32(SEL_GATE, 0));
    ASSERT_FAULT(b, EXC_TS, SEL_TSS);
    bench_protected(b, 3);
    poke(b, TSS + 8, 0, 2);
    RUN(b, 0x9a, FAR32(SEL_GATE, 0));
    ASSERT_FAULT(b, EXC_TS, 0);
    poke(b, TSS + 8, SEL_STACK16, 2); /* 35 doublewords do not fit above */
    poke(b, TSS + 4, 35 * 4 - 1, 4);
    RUN(b, 0x9a, FAR32(SEL_GATE, 0));
    ASSERT_FAULT(b, EXC_SS, SEL_STACK16);
    assert_int_equal(b->c.s.cpl, 3);
    poke(b, TSS + 4, 35 * 4, 4);
    RUN(b, 0x9a, FAR32(SEL_GATE, 0));
    ASSERT_OK(b);
    assert_int_equal(b->c.s.gpr[RSP], 0);
}

static void gate_of_64_bits(void **state)
{
    struct bench *b = *state;
    struct x86_state *s = &b->c.s;

    bench_long(b, 3);
    s->gpr[RSI] = DATA;
    poke(b, DATA + 4, SEL_GATE | 3, 2);
    call_gate(b, CALL32 | G3, SEL_CODE64, 0xffffffff80001000, 7);
    RUN(b, 0xff, 0x1e);
    ASSERT_OK(b);
    assert_int_equal(s->rip, 0xffffffff80001000);
    assert_int_equal(s->cpl, 0);
    assert_int_equal(s->seg[SS].sel, 0);
    assert_true(s->seg[SS].attr & SEG_UNUSABLE);
    assert_int_equal(s->gpr[RSP], STACK0 - 32); /* no parameters */
    assert_int_equal(peek(b, STACK0 - 8, 8), SEL_DATA3);
    assert_int_equal(peek(b, STACK0 - 16, 8), STACK3);
    assert_int_equal(peek(b, STACK0 - 24, 8), SEL_CODE64_3);
    assert_int_equal(peek(b, STACK0 - 32, 8), CODE + 2);
    RUN(b, 0x48, 0xcb);
    ASSERT_OK(b);
    assert_int_equal(s->rip, CODE + 2);
    assert_int_equal(s->gpr[RSP], STACK3);
    assert_int_equal(s->cpl, 3);

    bench_long(b, 3);
    s->gpr[RSI] = DATA;
    call_gate(b, CALL32 | G3, SEL_CODE0, 0x1000, 0); /* not 64-bit code */
    RUN(b, 0xff, 0x1e);
    ASSERT_GP(b, SEL_CODE0);
    call_gate(b, CALL16 | G3, SEL_CODE64, 0x1000, 0);
    RUN(b, 0xff, 0x1e);
    ASSERT_GP(b, SEL_GATE);
    call_gate(b, CALL32 | G3, SEL_CODE64, 0x1000, 0);
    poke(b, GDT + SEL_GATE + 12, 0x1f00, 4); /* the upper type */
    RUN(b, 0xff, 0x1e);
    ASSERT_GP(b, SEL_GATE);
    call_gate(b, CALL32 | G3, SEL_CODE64, 0x900000000000, 0);
    RUN(b, 0xff, 0x1e);
    ASSERT_GP(b, 0);
    s->gdt.limit = SEL_GATE + 14;
    RUN(b, 0xff, 0x1e);
    ASSERT_GP(b, SEL_GATE);
}

/* --- far returns --- */

static void return_checks(void **state)
{
    static const struct {
        unsigned cpl, sel, vector, error;
    } cases[] = {
        {0, SEL_CODE0, 0, 0},
        {3, SEL_CODE0, EXC_GP, SEL_CODE0}, /* inward */
        {0, SEL_CODE0 | 1, EXC_GP, SEL_CODE0},
        {0, SEL_CODE3 & ~3, EXC_GP, SEL_CODE3 & ~3}, /* DPL is not RPL */
        {0, 0, EXC_GP, 0},
        {0, 0x100, EXC_GP, 0x100},
        {0, SEL_DATA0, EXC_GP, SEL_DATA0},
        {0, SEL_FREE, EXC_NP, SEL_FREE},
        {3, SEL_CONF | 3, 0, 0},
        {0, SEL_CONF, 0, 0},
    };
    struct bench *b = *state;

    for (unsigned n = 0; n < ARRAY_LEN(cases); n++)
        for (unsigned iret = 0; iret < 2; iret++) {
            uint64_t rsp;

            bench_desc(b, SEL_FREE, 0, 0xfffff, A_CODE & ~0x80, F_32);
            bench_protected(b, cases[n].cpl);
            rsp = b->c.s.gpr[RSP];
            push32(b, FLAG_1);
            if (!iret)
                b->c.s.gpr[RSP] += 4;
            push32(b, cases[n].sel | 0xabcd0000);
            push32(b, 0x4321);
            RUN(b, iret ? 0xcf : 0xcb);
            if (cases[n].vector) {
                ASSERT_FAULT(b, cases[n].vector, cases[n].error);
                assert_int_equal(b->c.s.gpr[RSP], rsp - (iret ? 12 : 8));
                continue;
            }
            ASSERT_OK(b);
            assert_int_equal(b->c.s.rip, 0x4321);
            assert_int_equal(b->c.s.gpr[RSP], rsp);
            assert_int_equal(b->c.s.seg[CS].sel, cases[n].sel);
        }
}

/* IRET or RET to privilege 3 with this stack. */
static void outward(struct bench *b, bool iret, unsigned ss)
{
    bench_protected(b, 0);
    push32(b, ss);
    push32(b, 0xabcd7ff0);
    if (iret)
        push32(b, FLAG_1 | FLAG_IF);
    push32(b, SEL_CODE3);
    push32(b, 0x4321);
    RUN(b, iret ? 0xcf : 0xcb);
}

static void return_outer_stack(void **state)
{
    static const struct {
        unsigned ss, vector, error;
    } cases[] = {
        {SEL_DATA3, 0, 0},
        {0, EXC_GP, 0},
        {3, EXC_GP, 0},
        {0x103, EXC_GP, 0x100},
        {SEL_DATA3 & ~3, EXC_GP, SEL_DATA3 & ~3},
        {SEL_DATA0 | 3, EXC_GP, SEL_DATA0},
        {SEL_CODE3, EXC_GP, SEL_CODE3 & ~3},
        {SEL_FREE | 3, EXC_SS, SEL_FREE},
    };
    struct bench *b = *state;
    struct x86_state *s = &b->c.s;

    for (unsigned n = 0; n < ARRAY_LEN(cases); n++)
        for (unsigned iret = 0; iret < 2; iret++) {
            bench_desc(b, SEL_FREE, 0, 0xffff, 0x73, F_16);
            outward(b, iret, cases[n].ss);
            if (cases[n].vector) {
                ASSERT_FAULT(b, cases[n].vector, cases[n].error);
                assert_int_equal(s->cpl, 0);
                continue;
            }
            ASSERT_OK(b);
            assert_int_equal(s->cpl, 3);
            assert_int_equal(s->rip, 0x4321);
            assert_int_equal(s->gpr[RSP], 0xabcd7ff0);
            /* data segments of privilege 0 are gone */
            assert_int_equal(s->seg[DS].sel, 0);
            assert_true(s->seg[DS].attr & SEG_UNUSABLE);
            assert_true(s->seg[GS].attr & SEG_UNUSABLE);
        }
    /* to a 16-bit stack: the high half of ESP is privilege 0's */
    bench_desc(b, SEL_FREE, 0, 0xffff, 0xf3, F_16);
    outward(b, true, SEL_FREE | 3);
    ASSERT_OK(b);
    assert_int_equal(s->gpr[RSP], (STACK0 & 0xffff0000) - 0x10000 + 0x7ff0);
}

static void return_keeps_segments(void **state)
{
    struct bench *b = *state;
    struct x86_state *s = &b->c.s;

    bench_protected(b, 0);
    push32(b, SEL_DATA3);
    push32(b, STACK3);
    push32(b, SEL_CODE3);
    push32(b, 0x4321);
    s->seg[DS] = bench_segment(b, SEL_DATA3);
    s->seg[ES] = bench_segment(b, SEL_CONF); /* conforming: kept */
    s->seg[FS] = seg_null(2, 0);
    s->seg[FS].base = 0x1234; /* as WRMSR left it in 64-bit mode */
    x86_mode_changed(&b->c);
    RUN(b, 0xcb);
    ASSERT_OK(b);
    assert_int_equal(s->seg[DS].sel, SEL_DATA3);
    assert_int_equal(s->seg[ES].sel, SEL_CONF);
    assert_int_equal(s->seg[FS].sel, 0);
    assert_int_equal(s->seg[FS].base, 0x1234);
    assert_true(s->seg[GS].attr & SEG_UNUSABLE);
}

/* --- IRET --- */

static uint64_t iret_flags(struct bench *b, unsigned cpl, uint64_t old,
                           uint64_t popped, bool wide)
{
    bench_protected(b, cpl);
    b->c.s.rflags = old;
    if (wide) {
        push32(b, (uint32_t)popped);
        push32(b, cpl ? SEL_CODE3 : SEL_CODE0);
        push32(b, 0x4321);
        RUN(b, 0xcf);
    } else {
        push32(b, (uint32_t)(popped & 0xffff) << 16 |
                      (cpl ? SEL_CODE3 : SEL_CODE0));
        b->c.s.gpr[RSP] -= 2;
        poke(b, b->c.s.gpr[RSP], 0x4321, 2);
        RUN(b, 0x66, 0xcf);
    }
    ASSERT_OK(b);
    return b->c.s.rflags;
}

static void iret_loads_flags(void **state)
{
    struct bench *b = *state;
    uint64_t all = 0xffffffff & ~(uint64_t)(FLAG_VM | FLAG_NT);
    uint64_t user =
        FLAGS_STATUS | FLAG_TF | FLAG_DF | FLAG_AC | FLAG_RF | FLAG_ID;

    assert_int_equal(iret_flags(b, 0, FLAG_1, all, true),
                     user | FLAG_1 | FLAG_IF | FLAG_IOPL | FLAG_VIF | FLAG_VIP);
    assert_int_equal(iret_flags(b, 3, FLAG_1, all, true), user | FLAG_1);
    assert_int_equal(iret_flags(b, 3, FLAG_1 | FLAG_IOPL, all, true),
                     user | FLAG_1 | FLAG_IF | FLAG_IOPL);
    assert_int_equal(iret_flags(b, 3, FLAG_1 | FLAG_IF, 0, true),
                     FLAG_1 | FLAG_IF); /* cannot clear it either */
    assert_int_equal(iret_flags(b, 0, FLAG_1 | FLAG_AC | FLAG_ID, all, false),
                     FLAGS_STATUS | FLAG_TF | FLAG_DF | FLAG_1 | FLAG_IF |
                         FLAG_IOPL | FLAG_AC | FLAG_ID);
    /* VM is nothing to privilege 3 */
    assert_int_equal(iret_flags(b, 3, FLAG_1, FLAG_VM, true), FLAG_1);
}

static void iret_to_vm86(void **state)
{
    struct bench *b = *state;
    struct x86_state *s = &b->c.s;

    bench_protected(b, 0);
    push32(b, 0x1005); /* GS */
    push32(b, 0x1004);
    push32(b, 0x1003);
    push32(b, 0x1000); /* ES */
    push32(b, 0x2000); /* SS */
    push32(b, 0xabcd1000);
    push32(b, FLAG_VM | FLAG_IF | 2 << 12 | FLAG_VIF);
    push32(b, 0x77771001);
    push32(b, 0xffff0100); /* the high half counts for nothing */
    RUN(b, 0xcf);
    ASSERT_OK(b);
    assert_true(in_vm86(&b->c));
    assert_int_equal(s->cpl, 3);
    assert_int_equal(s->rip, 0x100);
    assert_int_equal(s->gpr[RSP], 0xabcd1000);
    assert_int_equal(s->rflags,
                     FLAG_1 | FLAG_VM | FLAG_IF | 2 << 12 | FLAG_VIF);
    assert_int_equal(s->seg[CS].sel, 0x1001);
    assert_int_equal(s->seg[CS].base, 0x10010);
    assert_int_equal(s->seg[SS].base, 0x20000);
    assert_int_equal(s->seg[GS].base, 0x10050);
    for (unsigned n = 0; n < 6; n++) {
        assert_int_equal(s->seg[n].attr, 0xf3);
        assert_int_equal(s->seg[n].limit, 0xffff);
    }
    assert_int_equal(b->c.mode_key >> 17 & 3, 2);
}

/* VIF and VIP together, where they count: #GP before the next instruction. */
static void iret_vip(void **state)
{
    struct bench *b = *state;
    struct x86_state *s = &b->c.s;

    for (unsigned pvi = 0; pvi < 2; pvi++)
        for (unsigned cpl = 0; cpl < 4; cpl += 3) {
            bench_protected(b, 0);
            s->cr4 = pvi ? CR4_PVI : 0;
            push32(b, SEL_DATA3);
            push32(b, STACK3);
            if (!cpl)
                s->gpr[RSP] += 8;
            push32(b, FLAG_VIF | FLAG_VIP);
            push32(b, cpl ? SEL_CODE3 : SEL_CODE0);
            push32(b, 0x4321);
            RUN(b, 0xcf);
            if (pvi && cpl)
                ASSERT_GP(b, 0);
            else
                ASSERT_OK(b);
            assert_int_equal(s->rip, 0x4321);
        }

    bench_protected(b, 0);
    s->cr4 |= CR4_VME;
    for (unsigned n = 0; n < 5; n++)
        push32(b, 0x1000);
    push32(b, 0x1000);
    push32(b, FLAG_VM | FLAG_VIF | FLAG_VIP);
    push32(b, 0x1001);
    push32(b, 0x100);
    RUN(b, 0xcf);
    ASSERT_GP(b, 0);
    assert_int_equal(s->rip, 0x100);
    assert_true(in_vm86(&b->c));
}

static void iret_long(void **state)
{
    struct bench *b = *state;
    struct x86_state *s = &b->c.s;

    bench_long(b, 0);
    push64(b, SEL_DATA3);
    push64(b, 0x7fffffffe000);
    push64(b, FLAG_IF | FLAG_VM);
    push64(b, SEL_CODE64_3);
    push64(b, 0x400000);
    RUN(b, 0x48, 0xcf);
    ASSERT_OK(b);
    assert_int_equal(s->cpl, 3);
    assert_int_equal(s->rip, 0x400000);
    assert_int_equal(s->gpr[RSP], 0x7fffffffe000);
    assert_int_equal(s->rflags, FLAG_1 | FLAG_IF);

    bench_long(b, 0); /* same privilege: SS:RSP are popped too; SS null */
    push64(b, 0);
    push64(b, 0x12345);
    push64(b, FLAG_1);
    push64(b, SEL_CODE64);
    push64(b, 0xffffffff80000000);
    RUN(b, 0x48, 0xcf);
    ASSERT_OK(b);
    assert_int_equal(s->gpr[RSP], 0x12345);
    assert_int_equal(s->seg[SS].sel, 0);
    assert_int_equal(s->cpl, 0);

    bench_long(b, 0); /* null SS for privilege 3 */
    push64(b, 3);
    push64(b, 0x12345);
    push64(b, FLAG_1);
    push64(b, SEL_CODE64_3);
    push64(b, 0x400000);
    RUN(b, 0x48, 0xcf);
    ASSERT_GP(b, 0);

    bench_long(b, 0); /* not canonical: #GP at privilege 0 */
    push64(b, SEL_DATA3);
    push64(b, 0x12345);
    push64(b, FLAG_1);
    push64(b, SEL_CODE64_3);
    push64(b, 0x800000000000);
    RUN(b, 0x48, 0xcf);
    ASSERT_GP(b, 0);
    assert_int_equal(s->cpl, 0);

    bench_long(b, 0); /* to a 32-bit program */
    push64(b, SEL_DATA3);
    push64(b, 0x1ffff0000);
    push64(b, FLAG_1);
    push64(b, SEL_CODE3);
    push64(b, 0x400000);
    RUN(b, 0x48, 0xcf);
    ASSERT_OK(b);
    assert_false(in_code64(&b->c));
    assert_int_equal(s->gpr[RSP], 0xffff0000);

    bench_long(b, 0);
    s->rflags |= FLAG_NT;
    RUN(b, 0x48, 0xcf);
    ASSERT_GP(b, 0);

    bench_long(b, 0); /* half of the first item is beyond the hole */
    s->gpr[RSP] = 0x7ffffffffffc;
    RUN(b, 0x48, 0xcf);
    ASSERT_FAULT(b, EXC_SS, 0);
}

/* 16-bit and 32-bit IRET from 64-bit code pop five items as well. */
static void iret_long_narrow(void **state)
{
    struct bench *b = *state;
    struct x86_state *s = &b->c.s;

    bench_long(b, 0);
    push32(b, SEL_DATA3);
    push32(b, 0xfff0e000);
    push32(b, FLAG_1);
    push32(b, SEL_CODE64_3);
    push32(b, 0x80400000);
    RUN(b, 0xcf);
    ASSERT_OK(b);
    assert_int_equal(s->rip, 0x80400000);
    assert_int_equal(s->gpr[RSP], 0xfff0e000);
    assert_int_equal(s->cpl, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BENCH_TEST(real_mode),
        BENCH_TEST(real_iret),
        BENCH_TEST(vm86_iret),
        BENCH_TEST(direct),
        BENCH_TEST(direct_limit_and_size),
        BENCH_TEST(compatibility),
        BENCH_TEST(gate_inner),
        BENCH_TEST(gate_of_16_bits),
        BENCH_TEST(gate_same_privilege),
        BENCH_TEST(gate_faults),
        BENCH_TEST(gate_stack_faults),
        BENCH_TEST(gate_of_64_bits),
        BENCH_TEST(return_checks),
        BENCH_TEST(return_outer_stack),
        BENCH_TEST(return_keeps_segments),
        BENCH_TEST(iret_loads_flags),
        BENCH_TEST(iret_to_vm86),
        BENCH_TEST(iret_vip),
        BENCH_TEST(iret_long),
        BENCH_TEST(iret_long_narrow),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
