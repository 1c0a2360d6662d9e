/* Task switches: x86/task.c. */
#include "cpu_bench.h"

#define FAR32(sel, off)                                                        \
    (off) & 255, (off) >> 8 & 255, (off) >> 16 & 255, (off) >> 24 & 255,       \
        (sel)&255, (sel) >> 8

enum { DR7_LOCAL_ALL = 0x155 };

/* A 32-bit task at TSS_B that is ready to run at privilege 0. */
static void make_b(struct bench *b)
{
    poke(b, TSS_B + 0, 0xffff, 4);
    poke(b, TSS_B + 28, 0, 4);
    poke(b, TSS_B + 32, HANDLER, 4);
    poke(b, TSS_B + 36, FLAG_IF | FLAG_ZF, 4);
    for (unsigned n = 0; n < 8; n++)
        poke(b, TSS_B + 40 + 4 * n, 0x11110000 + n, 4);
    poke(b, TSS_B + 56, STACK1, 4);
    for (unsigned n = 0; n < 6; n++)
        poke(b, TSS_B + 72 + 4 * n, 0xabcd0000 | SEL_DATA0, 4);
    poke(b, TSS_B + 76, SEL_CODE0, 2);
    poke(b, TSS_B + 96, 0, 2);
    poke(b, TSS_B + 100, 0, 4);
}

/* A 16-bit task at TSS16. */
static void make_16(struct bench *b)
{
    poke(b, TSS16 + 14, 0x8123, 2);
    poke(b, TSS16 + 16, FLAG_IF, 2);
    for (unsigned n = 0; n < 8; n++)
        poke(b, TSS16 + 18 + 2 * n, 0x2220 + n, 2);
    for (unsigned n = 0; n < 4; n++)
        poke(b, TSS16 + 34 + 2 * n, SEL_DATA0, 2);
    poke(b, TSS16 + 36, SEL_CODE0, 2);
    poke(b, TSS16 + 42, 0, 2);
}

static void start(struct bench *b, unsigned cpl)
{
    bench_tables(b);
    bench_protected(b, cpl);
    for (unsigned n = 0; n < 8; n++)
        if (n != RSP)
            b->c.s.gpr[n] = 0xcccc0000 + n;
    b->c.s.dr[7] = 0x400 | DR7_LOCAL_ALL | 2;
    make_b(b);
    make_16(b);
}

static void check_saved(struct bench *b, uint32_t eip, uint32_t flags)
{
    assert_int_equal(peek(b, TSS + 32, 4), eip);
    assert_int_equal(peek(b, TSS + 36, 4), flags);
    for (unsigned n = 0; n < 8; n++)
        if (n != RSP)
            assert_int_equal(peek(b, TSS + 40 + 4 * n, 4), 0xcccc0000 + n);
    assert_int_equal(peek(b, TSS + 56, 4), STACK0 - 0x100);
    assert_int_equal(peek(b, TSS + 72, 2), SEL_DATA0);
    assert_int_equal(peek(b, TSS + 76, 2), SEL_CODE0);
    assert_int_equal(peek(b, TSS + 92, 2), SEL_DATA0);
}

static void check_b(struct bench *b, uint64_t flags)
{
    struct x86_state *s = &b->c.s;

    assert_int_equal(s->rip, HANDLER);
    assert_int_equal(s->rflags, flags);
    for (unsigned n = 0; n < 8; n++)
        if (n != RSP)
            assert_int_equal(s->gpr[n], 0x11110000 + n);
    assert_int_equal(s->seg[CS].sel, SEL_CODE0);
    assert_int_equal(s->seg[DS].sel, SEL_DATA0);
    assert_int_equal(s->seg[DS].limit, 0xffffffff);
    assert_int_equal(s->tr.sel, SEL_TSS_B);
    assert_int_equal(s->tr.base, TSS_B);
    assert_int_equal(seg_type(&s->tr), SYS_TSS32_BUSY);
    assert_true(s->cr0 & CR0_TS);
    assert_int_equal(s->dr[7], 0x400 | 2);
    assert_true(b->c.mode_key & MODE_TS);
}

static void by_jmp(void **state)
{
    struct bench *b = *state;

    start(b, 0);
    b->c.s.rflags = FLAG_1 | FLAG_NT | FLAG_CF;
    RUN(b, 0xea, FAR32(SEL_TSS_B, 0x12345678));
    ASSERT_OK(b);
    check_saved(b, CODE + 7, FLAG_1 | FLAG_NT | FLAG_CF);
    check_b(b, FLAG_1 | FLAG_IF | FLAG_ZF);
    assert_int_equal(b->c.s.gpr[RSP], STACK1);
    assert_int_equal(bench_access(b, SEL_TSS), A_TSS);
    assert_int_equal(bench_access(b, SEL_TSS_B), A_TSS | 2);
    assert_int_equal(peek(b, TSS_B, 2), 0xffff); /* no back link */
}

static void by_call_and_iret(void **state)
{
    struct bench *b = *state;
    struct x86_state *s = &b->c.s;

    start(b, 0);
    RUN(b, 0x9a, FAR32(SEL_TSS_B, 0));
    ASSERT_OK(b);
    check_saved(b, CODE + 7, FLAG_1);
    check_b(b, FLAG_1 | FLAG_IF | FLAG_ZF | FLAG_NT);
    assert_int_equal(s->gpr[RSP], STACK1); /* nothing was pushed */
    assert_int_equal(bench_access(b, SEL_TSS), A_TSS | 2);
    assert_int_equal(bench_access(b, SEL_TSS_B), A_TSS | 2);
    assert_int_equal(peek(b, TSS_B, 4), SEL_TSS);
    s->gpr[RBX] = 0x77;
    s->cr0 &= ~(uint64_t)CR0_TS;
    RUN(b, 0xcf);
    ASSERT_OK(b);
    assert_int_equal(s->tr.sel, SEL_TSS);
    assert_int_equal(s->rip, CODE + 7);
    assert_int_equal(s->rflags, FLAG_1);
    assert_int_equal(s->gpr[RSP], STACK0 - 0x100);
    assert_int_equal(s->gpr[RBX], 0xcccc0000 + RBX);
    assert_true(s->cr0 & CR0_TS);
    assert_int_equal(bench_access(b, SEL_TSS), A_TSS | 2);
    assert_int_equal(bench_access(b, SEL_TSS_B), A_TSS);
    /* saved without NT, to go on after its IRET */
    assert_int_equal(peek(b, TSS_B + 36, 4), FLAG_1 | FLAG_IF | FLAG_ZF);
    assert_int_equal(peek(b, TSS_B + 32, 4), HANDLER + 1);
    assert_int_equal(peek(b, TSS_B + 52, 4), 0x77);
}

static void by_task_gate(void **state)
{
    struct bench *b = *state;

    start(b, 3); /* the TSS's own DPL does not count */
    bench_gate_at(b, GDT + SEL_GATE, TASKG | 0x60, SEL_TSS_B, 0, 0);
    RUN(b, 0x9a, FAR32(SEL_GATE | 3, 0));
    ASSERT_OK(b);
    check_b(b, FLAG_1 | FLAG_IF | FLAG_ZF | FLAG_NT);
    assert_int_equal(b->c.s.cpl, 0);
    assert_int_equal(peek(b, TSS + 76, 2), SEL_CODE3);
}

static void by_exception(void **state)
{
    struct bench *b = *state;

    start(b, 0);
    bench_idt(b, EXC_GP, TASKG, SEL_TSS_B, 0);
    bench_raise(b, EXC_GP);
    ASSERT_OK(b);
    check_saved(b, CODE, FLAG_1 | FLAG_RF);
    check_b(b, FLAG_1 | FLAG_IF | FLAG_ZF | FLAG_NT);
    assert_int_equal(b->c.s.gpr[RSP], STACK1 - 4); /* the error code */
    assert_int_equal(peek(b, STACK1 - 4, 4), 0x5678);
    assert_int_equal(peek(b, TSS_B, 2), SEL_TSS);

    start(b, 0);
    bench_idt(b, 0x30, TASKG, SEL_TSS_B, 0);
    RUN(b, 0xcd, 0x30);
    ASSERT_OK(b);
    check_saved(b, CODE + 2, FLAG_1);
    assert_int_equal(b->c.s.gpr[RSP], STACK1);
}

/* --- 16 bits --- */

static void to_16_bits(void **state)
{
    struct bench *b = *state;
    struct x86_state *s = &b->c.s;

    start(b, 0);
    s->rflags = FLAG_1 | FLAG_AC | FLAG_ID;
    RUN(b, 0x9a, FAR32(SEL_TSS16, 0));
    ASSERT_OK(b);
    assert_int_equal(s->rip, 0x8123);
    assert_int_equal(s->rflags, FLAG_1 | FLAG_IF | FLAG_NT);
    assert_int_equal(s->gpr[RAX], 0xcccc2220); /* the high half is kept */
    assert_int_equal(s->gpr[RDI], 0xcccc2227);
    assert_int_equal(s->gpr[RSP], (STACK0 - 0x100) >> 16 << 16 | 0x2224);
    assert_int_equal(s->seg[DS].sel, SEL_DATA0);
    assert_int_equal(s->seg[FS].sel, 0); /* not in a 16-bit TSS */
    assert_true(s->seg[GS].attr & SEG_UNUSABLE);
    assert_int_equal(seg_type(&s->tr), SYS_TSS16_BUSY);
    assert_int_equal(peek(b, TSS16, 2), SEL_TSS);
    assert_int_equal(bench_access(b, SEL_TSS16), 0x83);
    /* and back: the 16-bit TSS saves low halves */
    s->gpr[RBX] = 0x12345678;
    RUN(b, 0xcf);
    ASSERT_OK(b);
    assert_int_equal(s->tr.sel, SEL_TSS);
    assert_int_equal(s->rflags, FLAG_1 | FLAG_AC | FLAG_ID);
    assert_int_equal(peek(b, TSS16 + 24, 2), 0x5678);
    assert_int_equal(peek(b, TSS16 + 14, 2), 0x8124);
    assert_int_equal(peek(b, TSS16 + 16, 2), FLAG_1 | FLAG_IF);
    assert_int_equal(peek(b, TSS16 + 44, 2), 0); /* nothing past the end */
    assert_int_equal(bench_access(b, SEL_TSS16), 0x81);
}

static void error_code_of_16_bits(void **state)
{
    struct bench *b = *state;

    start(b, 0);
    bench_idt(b, EXC_GP, TASKG, SEL_TSS16, 0);
    b->c.s.gpr[RSP] = 0x30000;
    bench_raise(b, EXC_GP);
    ASSERT_OK(b);
    assert_int_equal(b->c.s.gpr[RSP], 0x32222);
    assert_int_equal(peek(b, 0x32222, 2), 0x5678);
}

/* --- virtual-8086 tasks --- */

static void to_vm86(void **state)
{
    struct bench *b = *state;
    struct x86_state *s = &b->c.s;

    start(b, 0);
    poke(b, TSS_B + 36, FLAG_VM | FLAG_IF | 3 << 12, 4);
    poke(b, TSS_B + 32, 0x100, 4);
    for (unsigned n = 0; n < 6; n++)
        poke(b, TSS_B + 72 + 4 * n, 0x1000 + n, 4);
    RUN(b, 0x9a, FAR32(SEL_TSS_B, 0));
    ASSERT_OK(b);
    assert_true(in_vm86(&b->c));
    assert_int_equal(s->cpl, 3);
    assert_int_equal(s->seg[CS].base, 0x10010);
    assert_int_equal(s->seg[GS].base, 0x10050);
    assert_int_equal(s->seg[SS].attr, 0xf3);
    assert_int_equal(s->rflags, FLAG_1 | FLAG_VM | FLAG_IF | 3 << 12 | FLAG_NT);
    /* out of it again, by a task gate */
    bench_idt(b, 0x30, TASKG | 0x60, SEL_TSS16, 0);
    RUN(b, 0xcd, 0x30);
    ASSERT_OK(b);
    assert_false(in_vm86(&b->c));
    assert_int_equal(s->cpl, 0);
    assert_int_equal(peek(b, TSS_B + 76, 2), 0x1001);
    assert_int_equal(peek(b, TSS_B + 36, 4),
                     FLAG_1 | FLAG_VM | FLAG_IF | 3 << 12 | FLAG_NT);
    assert_int_equal(peek(b, TSS_B + 32, 4), 0x102);
}

/* With VIF and VIP both set it faults before its first instruction, and that
   is no part of what brought it in. */
static void to_vm86_pending(void **state)
{
    struct bench *b = *state;

    start(b, 0);
    b->c.s.cr4 |= CR4_VME;
    poke(b, TSS_B + 36, FLAG_VM | FLAG_VIF | FLAG_VIP, 4);
    poke(b, TSS_B + 32, 0x100, 4);
    RUN(b, 0x9a, FAR32(SEL_TSS_B, 0));
    ASSERT_GP(b, 0);
    assert_true(in_vm86(&b->c));
    assert_int_equal(b->c.s.rip, 0x100);
    start(b, 0);
    poke(b, TSS_B + 36, FLAG_VM | FLAG_VIF | FLAG_VIP, 4);
    poke(b, TSS_B + 32, 0x100, 4);
    bench_idt(b, EXC_NP, TASKG, SEL_TSS_B, 0);
    b->c.exc = (struct x86_exception){.vector = EXC_NP, .has_error = true};
    b->c.delivering = -1;
    bench_call(b, bench_call_deliver);
    ASSERT_GP(b, 0);
    assert_int_equal(b->c.delivering, -1);
}

/* --- what is checked first: nothing has changed --- */

static void refused(void **state)
{
    static const struct {
        unsigned sel, vector, error;
    } cases[] = {
        {SEL_TSS, EXC_GP, SEL_TSS}, /* busy */
        {SEL_LDT, EXC_GP, SEL_LDT},
        {SEL_TSS_B | 3, EXC_GP, SEL_TSS_B}, /* RPL > DPL */
        {0x104, EXC_GP, 0x104},
    };
    struct bench *b = *state;

    for (unsigned n = 0; n < ARRAY_LEN(cases); n++) {
        start(b, 0);
        RUN(b, 0x9a, FAR32(cases[n].sel, 0));
        ASSERT_FAULT(b, cases[n].vector, cases[n].error);
        assert_int_equal(b->c.s.rip, CODE);
        assert_int_equal(b->c.s.tr.sel, SEL_TSS);
    }
    start(b, 3);
    RUN(b, 0x9a, FAR32(SEL_TSS_B, 0)); /* CPL > DPL */
    ASSERT_GP(b, SEL_TSS_B);
    start(b, 0);
    bench_desc(b, SEL_TSS_B, TSS_B, 103, A_TSS & ~0x80, 0);
    RUN(b, 0x9a, FAR32(SEL_TSS_B, 0));
    ASSERT_FAULT(b, EXC_NP, SEL_TSS_B);
    bench_desc(b, SEL_TSS_B, TSS_B, 102, A_TSS, 0);
    RUN(b, 0x9a, FAR32(SEL_TSS_B, 0));
    ASSERT_FAULT(b, EXC_TS, SEL_TSS_B);
    bench_desc(b, SEL_TSS16, TSS16, 42, 0x81, 0);
    RUN(b, 0x9a, FAR32(SEL_TSS16, 0));
    ASSERT_FAULT(b, EXC_TS, SEL_TSS16);
    assert_int_equal(bench_access(b, SEL_TSS16), 0x81);
}

static void gate_refused(void **state)
{
    static const struct {
        unsigned attr, sel, vector, error;
    } cases[] = {
        {TASKG & ~0x80, SEL_TSS_B, EXC_NP, SEL_GATE},
        {TASKG, SEL_TSS_B | 4, EXC_GP, SEL_TSS_B | 4}, /* in the LDT */
        {TASKG, 0, EXC_GP, 0},
        {TASKG, SEL_DATA0, EXC_GP, SEL_DATA0},
        {TASKG, SEL_TSS, EXC_GP, SEL_TSS},
    };
    struct bench *b = *state;

    for (unsigned n = 0; n < ARRAY_LEN(cases); n++) {
        start(b, 0);
        bench_gate_at(b, GDT + SEL_GATE, cases[n].attr, cases[n].sel, 0, 0);
        RUN(b, 0xea, FAR32(SEL_GATE, 0));
        ASSERT_FAULT(b, cases[n].vector, cases[n].error);
        assert_int_equal(b->c.s.rip, CODE);
    }
    /* through the IDT, with EXT */
    start(b, 0);
    bench_idt(b, EXC_UD, TASKG, SEL_TSS, 0);
    b->c.exc = (struct x86_exception){.vector = EXC_UD};
    b->c.delivering = -1;
    bench_call(b, bench_call_deliver);
    ASSERT_GP(b, SEL_TSS | 1);
    bench_idt(b, EXC_UD, TASKG, SEL_TSS_B | 4, 0);
    b->c.exc = (struct x86_exception){.vector = EXC_UD};
    b->c.delivering = -1;
    bench_call(b, bench_call_deliver);
    ASSERT_GP(b, SEL_TSS_B | 5);
    /* the TSS that is left has no room to save this task */
    bench_idt(b, EXC_UD, TASKG, SEL_TSS_B, 0);
    b->c.s.tr.limit = 102;
    b->c.exc = (struct x86_exception){.vector = EXC_UD};
    b->c.delivering = -1;
    bench_call(b, bench_call_deliver);
    ASSERT_FAULT(b, EXC_TS, SEL_TSS | 1);
}

static void return_refused(void **state)
{
    static const struct {
        unsigned link, vector, error;
    } cases[] = {
        {SEL_TSS_B, EXC_TS, SEL_TSS_B}, /* not busy */
        {SEL_TSS_B | 4, EXC_TS, SEL_TSS_B | 4},
        {SEL_DATA0, EXC_TS, SEL_DATA0},
        {0, EXC_TS, 0},
        {0x100, EXC_TS, 0x100},
    };
    struct bench *b = *state;

    for (unsigned n = 0; n < ARRAY_LEN(cases); n++) {
        start(b, 0);
        b->c.s.rflags |= FLAG_NT;
        poke(b, TSS, cases[n].link, 2);
        RUN(b, 0xcf);
        ASSERT_FAULT(b, cases[n].vector, cases[n].error);
        assert_int_equal(b->c.s.rip, CODE);
    }
}

/* A page fault on the way leaves everything to be done again. */
static void page_fault_before(void **state)
{
    struct bench *b = *state;
    struct x86_state *s = &b->c.s;
    enum { PT = 0x75000 };

    start(b, 0);
    for (unsigned n = 0; n < 1024; n++)
        poke(b, PT + 4 * n, n << 12 | 7, 4);
    poke(b, PML4, PT | 7, 4);
    s->cr3 = PML4;
    s->cr0 |= CR0_PG | CR0_WP;
    poke(b, PT + 4 * (GDT >> 12), GDT | 5, 4); /* read-only: busy bits */
    x86_mode_changed(&b->c);
    tlb_flush_all(&b->c);
    poke(b, TSS_B + 28, PML4, 4);
    RUN(b, 0xea, FAR32(SEL_TSS_B, 0));
    ASSERT_FAULT(b, EXC_PF, 3);
    assert_int_equal(s->rip, CODE);
    assert_int_equal(s->tr.sel, SEL_TSS);
    assert_int_equal(bench_access(b, SEL_TSS), A_TSS | 2);
    assert_int_equal(bench_access(b, SEL_TSS_B), A_TSS);
    poke(b, PT + 4 * (GDT >> 12), GDT | 7, 4);
    tlb_flush_all(&b->c);
    RUN(b, 0xea, FAR32(SEL_TSS_B, 0));
    ASSERT_OK(b);
    check_b(b, FLAG_1 | FLAG_IF | FLAG_ZF);
    assert_int_equal(s->cr3, PML4);
}

static void cr3_of_task(void **state)
{
    struct bench *b = *state;
    struct x86_state *s = &b->c.s;

    start(b, 0); /* without paging CR3 is left alone */
    s->cr3 = 0x5000;
    poke(b, TSS_B + 28, 0x6000, 4);
    RUN(b, 0xea, FAR32(SEL_TSS_B, 0));
    ASSERT_OK(b);
    assert_int_equal(s->cr3, 0x5000);
    /* with it, another CR3 is another memory */
    start(b, 0);
    for (unsigned k = 0; k < 2; k++) {
        poke(b, PML4 + k * 0x1000, 0x83, 4);
        poke(b, PML4 + k * 0x1000 + 4, (k ? 0 : 0x400000) | 0x83, 4);
    }
    s->cr4 |= CR4_PSE;
    s->cr3 = PML4;
    s->cr0 |= CR0_PG;
    x86_mode_changed(&b->c);
    poke(b, TSS_B + 28, PML4 + 0x1000, 4);
    RUN(b, 0xea, FAR32(SEL_TSS_B, 0));
    ASSERT_OK(b);
    assert_int_equal(s->cr3, PML4 + 0x1000);
    poke(b, DATA, 0x99, 1);
    s->gpr[RSI] = 0x400000 + DATA;
    RUN(b, 0x8a, 0x06);
    ASSERT_OK(b);
    assert_int_equal(s->gpr[RAX] & 0xff, 0x99);
}

/* PDPTEs are loaded with CR3; bad ones are the new task's #TS. */
static void pdptes_of_task(void **state)
{
    struct bench *b = *state;
    struct x86_state *s = &b->c.s;

    for (unsigned bad = 0; bad < 2; bad++) {
        start(b, 0);
        for (unsigned n = 0; n < 512; n++)
            poke(b, PD + 8 * n, (uint64_t)n << 21 | 0x87, 8);
        poke(b, PDPT_PAE, PD | 1, 8);
        poke(b, PDPT_PAE + 0x20, PD | 1, 8);
        poke(b, PDPT_PAE + 0x28, 0x5001 | bad << 1, 8);
        s->cr3 = PDPT_PAE;
        s->pdpte[0] = PD | 1;
        s->cr4 = CR4_PAE;
        s->cr0 |= CR0_PG;
        x86_mode_changed(&b->c);
        tlb_flush_all(&b->c);
        poke(b, TSS_B + 28, PDPT_PAE + 0x20, 4);
        RUN(b, 0xea, FAR32(SEL_TSS_B, 0));
        assert_int_equal(s->tr.sel, SEL_TSS_B);
        if (bad) {
            ASSERT_FAULT(b, EXC_TS, SEL_TSS_B);
            assert_int_equal(s->cr3, PDPT_PAE);
        } else {
            ASSERT_OK(b);
            assert_int_equal(s->cr3, PDPT_PAE + 0x20);
            assert_int_equal(s->pdpte[1], 0x5001);
        }
        s->cr0 &= ~(uint64_t)CR0_PG;
    }
}

/* --- what is checked in the new task --- */

static void new_task_faults(void **state)
{
    static const struct {
        unsigned at, value, vector, error;
    } cases[] = {
        {96, SEL_DATA0, EXC_TS, SEL_DATA0}, /* LDT */
        {96, SEL_LDT | 4, EXC_TS, SEL_LDT | 4},
        {96, 0x100, EXC_TS, 0x100},
        {76, 0, EXC_TS, 0}, /* CS */
        {76, SEL_DATA0, EXC_TS, SEL_DATA0},
        {76, SEL_CODE3 & ~3, EXC_TS, SEL_CODE3 & ~3},
        {76, SEL_FREE, EXC_NP, SEL_FREE},
        {80, 0, EXC_TS, 0}, /* SS */
        {80, SEL_DATA3, EXC_TS, SEL_DATA3 & ~3},
        {80, SEL_ROM, EXC_TS, SEL_ROM},
        {80, SEL_ABSENT, EXC_TS, SEL_ABSENT}, /* it is no data segment ... */
        {80, SEL_FREE + 8, EXC_SS, SEL_FREE + 8},
        {84, SEL_TSS, EXC_TS, SEL_TSS}, /* DS */
        {84, SEL_XONLY, EXC_TS, SEL_XONLY},
        {84, SEL_FREE + 8, EXC_NP, SEL_FREE + 8},
        {92, 0x100, EXC_TS, 0x100}, /* GS */
        {32, 0x20000, EXC_GP, 0},   /* EIP */
    };
    struct bench *b = *state;
    struct x86_state *s = &b->c.s;

    for (unsigned n = 0; n < ARRAY_LEN(cases); n++) {
        start(b, 0);
        bench_desc(b, SEL_FREE, 0, 0xfffff, A_CODE & ~0x80, F_32);
        bench_desc(b, SEL_FREE + 8, 0, 0xfffff, A_DATA & ~0x80, F_32);
        bench_desc(b, SEL_ABSENT, 0, 0xfffff, 0x99, F_32);
        bench_desc(b, SEL_CODE16, 0, 0x1ffff, A_CODE, 0x4);
        poke(b, TSS_B + 76, SEL_CODE16, 2);
        poke(b, TSS_B + cases[n].at, cases[n].value, 2);
        if (cases[n].at == 32)
            poke(b, TSS_B + 32, cases[n].value, 4);
        RUN(b, 0x9a, FAR32(SEL_TSS_B, 0));
        if (b->how != UNWIND_EXCEPTION || b->c.exc.vector != cases[n].vector ||
            b->c.exc.error != cases[n].error)
            fail_msg("case %u: vector %u, error %x", n, b->c.exc.vector,
                     b->c.exc.error);
        /* in the new task, before its first instruction */
        assert_int_equal(s->tr.sel, SEL_TSS_B);
        assert_int_equal(s->rip, cases[n].at == 32 ? 0x20000 : HANDLER);
        assert_int_equal(s->rflags, FLAG_1 | FLAG_IF | FLAG_ZF | FLAG_NT);
        assert_int_equal(peek(b, TSS + 32, 4), CODE + 7);
    }
}

/* Such a fault is delivered on the new task's stack, or if it has none yet,
   on the one its TSS has for privilege 0. */
static void new_task_fault_delivered(void **state)
{
    struct bench *b = *state;
    struct x86_state *s = &b->c.s;

    start(b, 0);
    bench_idt(b, EXC_TS, 0x8e, SEL_CODE0, HANDLER + 0x100);
    poke(b, TSS_B + 84, SEL_XONLY, 2);
    RUN(b, 0x9a, FAR32(SEL_TSS_B, 0));
    ASSERT_FAULT(b, EXC_TS, SEL_XONLY);
    bench_deliver(b);
    ASSERT_OK(b);
    assert_int_equal(s->rip, HANDLER + 0x100);
    assert_int_equal(s->gpr[RSP], STACK1 - 16);
    assert_int_equal(peek(b, STACK1 - 16, 4), SEL_XONLY);
    assert_int_equal(peek(b, STACK1 - 12, 4), HANDLER);

    start(b, 0);
    poke(b, TSS_B + 80, SEL_ROM, 2); /* SS */
    poke(b, TSS_B + 4, STACK_IST, 4);
    poke(b, TSS_B + 8, SEL_DATA0, 2);
    RUN(b, 0x9a, FAR32(SEL_TSS_B, 0));
    ASSERT_FAULT(b, EXC_TS, SEL_ROM);
    bench_deliver(b);
    ASSERT_OK(b);
    assert_int_equal(s->gpr[RSP], STACK_IST - 24);
    assert_int_equal(peek(b, STACK_IST - 4, 4), SEL_ROM);
    assert_int_equal(peek(b, STACK_IST - 8, 4), STACK1);
}

static void ldt_of_task(void **state)
{
    struct bench *b = *state;
    struct x86_state *s = &b->c.s;

    start(b, 0);
    poke(b, TSS_B + 96, SEL_LDT, 2);
    poke(b, LDT + 8, 0x00cf93000000ffff, 8);
    poke(b, TSS_B + 84, 0x0c, 2); /* DS from there */
    RUN(b, 0xea, FAR32(SEL_TSS_B, 0));
    ASSERT_OK(b);
    assert_int_equal(s->ldt.sel, SEL_LDT);
    assert_int_equal(s->ldt.base, LDT);
    assert_int_equal(s->seg[DS].sel, 0x0c);
}

/* --- traps --- */

static void debug_trap(void **state)
{
    struct bench *b = *state;
    struct x86_state *s = &b->c.s;

    start(b, 0);
    poke(b, TSS_B + 100, 1, 1);
    bench_idt(b, EXC_DB, 0x8e, SEL_CODE0, HANDLER + 0x100);
    RUN(b, 0xea, FAR32(SEL_TSS_B, 0));
    ASSERT_OK(b);
    assert_int_equal(s->pending_db, DR6_BT);
    bench_events(b);
    assert_int_equal(s->rip, HANDLER + 0x100);
    assert_true(s->dr[6] & DR6_BT);
    assert_int_equal(peek(b, STACK1 - 12, 4), HANDLER);
}

/* A task switch is not single-stepped. */
static void not_stepped(void **state)
{
    struct bench *b = *state;

    start(b, 0);
    b->c.s.rflags |= FLAG_TF;
    x86_mode_changed(&b->c);
    RUN(b, 0xea, FAR32(SEL_TSS_B, 0));
    assert_int_equal(b->how, UNWIND_RESTART);
    assert_int_equal(b->c.s.rip, HANDLER);
    assert_int_equal(b->c.s.pending_db, 0);
}

static void none_in_long_mode(void **state)
{
    struct bench *b = *state;

    start(b, 0);
    bench_long(b, 0);
    b->c.s.gpr[RSI] = DATA;
    poke(b, DATA + 4, SEL_TSS_B, 2);
    RUN(b, 0xff, 0x2e);
    ASSERT_GP(b, SEL_TSS_B);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BENCH_TEST(by_jmp),          BENCH_TEST(by_call_and_iret),
        BENCH_TEST(by_task_gate),    BENCH_TEST(by_exception),
        BENCH_TEST(to_16_bits),      BENCH_TEST(error_code_of_16_bits),
        BENCH_TEST(to_vm86),         BENCH_TEST(to_vm86_pending),
        BENCH_TEST(refused),         BENCH_TEST(gate_refused),
        BENCH_TEST(return_refused),  BENCH_TEST(page_fault_before),
        BENCH_TEST(cr3_of_task),     BENCH_TEST(pdptes_of_task),
        BENCH_TEST(new_task_faults), BENCH_TEST(new_task_fault_delivered),
        BENCH_TEST(ldt_of_task),     BENCH_TEST(debug_trap),
        BENCH_TEST(not_stepped),     BENCH_TEST(none_in_long_mode),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
