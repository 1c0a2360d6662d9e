/* Descriptor tables and debug registers as instructions see them:
   x86/ops/descriptor.c, debug.c. */
#include "cpu_bench.h"

/* --- LGDT, SGDT and the like --- */

static void tables(void **state)
{
    struct bench *b = *state;
    struct x86_state *s = &b->c.s;

    bench_protected(b, 0);
    s->gpr[RSI] = DATA;
    poke(b, DATA, 0x1234, 2);
    poke(b, DATA + 2, 0x89abcdef, 4);
    RUN(b, 0x0f, 0x01, 0x1e); /* lidt [esi] */
    ASSERT_OK(b);
    assert_int_equal(s->idt.limit, 0x1234);
    assert_int_equal(s->idt.base, 0x89abcdef);
    RUN(b, 0x66, 0x0f, 0x01, 0x1e); /* 16-bit operands: 24 bits of base */
    assert_int_equal(s->idt.base, 0xabcdef);
    s->idt.base = 0x89abcdef;
    poke(b, DATA, ~0ull, 8);
    RUN(b, 0x66, 0x0f, 0x01, 0x0e); /* sidt: all of it, always */
    ASSERT_OK(b);
    assert_int_equal(peek(b, DATA, 8), 0xffff89abcdef1234);
    bench_long(b, 0);
    s->gpr[RSI] = DATA;
    poke(b, DATA, 0xff, 2);
    poke(b, DATA + 2, 0xffff800000001000, 8);
    RUN(b, 0x66, 0x0f, 0x01, 0x16); /* lgdt [rsi]: 64 bits, always */
    ASSERT_OK(b);
    assert_int_equal(s->gdt.base, 0xffff800000001000);
    RUN(b, 0x0f, 0x01, 0x06); /* sgdt */
    assert_int_equal(peek(b, DATA + 2, 8), 0xffff800000001000);
    poke(b, DATA + 2, 0x800000001000, 8);
    RUN(b, 0x0f, 0x01, 0x16);
    ASSERT_GP(b, 0);
    assert_int_equal(s->gdt.base, 0xffff800000001000);
    bench_protected(b, 3);
    RUN(b, 0x0f, 0x01, 0x16);
    ASSERT_GP(b, 0);
    RUN(b, 0x0f, 0x01, 0x1e);
    ASSERT_GP(b, 0);
}

static void umip(void **state)
{
    struct bench *b = *state;
    struct x86_state *s = &b->c.s;

    for (unsigned on = 0; on < 2; on++) {
        bench_protected(b, 3);
        s->cr4 = on ? CR4_UMIP : 0;
        s->gpr[RSI] = DATA;
#define CHECK(...)                                                             \
    do {                                                                       \
        RUN(b, __VA_ARGS__);                                                   \
        if (on)                                                                \
            ASSERT_GP(b, 0);                                                   \
        else                                                                   \
            ASSERT_OK(b);                                                      \
    } while (0)
        CHECK(0x0f, 0x01, 0x06); /* sgdt */
        CHECK(0x0f, 0x01, 0x0e); /* sidt */
        CHECK(0x0f, 0x00, 0xc0); /* sldt eax */
        CHECK(0x0f, 0x00, 0xc8); /* str eax */
    }
    bench_protected(b, 0);
    s->cr4 = CR4_UMIP;
    s->gpr[RSI] = DATA;
    RUN(b, 0x0f, 0x01, 0x06);
    ASSERT_OK(b);
    bench_vm86(b, 0); /* privilege 3 too */
    s->gpr[RSI] = 0;
    RUN(b, 0x0f, 0x01, 0x04);
    ASSERT_GP(b, 0);
}

static void local_table(void **state)
{
    static const struct {
        unsigned sel, vector, error;
    } cases[] = {
        {SEL_LDT, 0, 0},
        {SEL_LDT | 3, 0, 0},
        {SEL_LDT | 4, EXC_GP, SEL_LDT | 4},
        {SEL_DATA0, EXC_GP, SEL_DATA0},
        {SEL_TSS_B, EXC_GP, SEL_TSS_B},
        {0x100, EXC_GP, 0x100},
        {SEL_FREE, EXC_NP, SEL_FREE},
        {2, 0, 0},
    };
    struct bench *b = *state;
    struct x86_state *s = &b->c.s;

    for (unsigned n = 0; n < ARRAY_LEN(cases); n++) {
        bench_desc(b, SEL_FREE, LDT, 0x3f, A_LDT & ~0x80, 0);
        bench_protected(b, 0);
        s->gpr[RAX] = cases[n].sel;
        RUN(b, 0x0f, 0x00, 0xd0);
        if (cases[n].vector) {
            ASSERT_FAULT(b, cases[n].vector, cases[n].error);
            continue;
        }
        ASSERT_OK(b);
        assert_int_equal(s->ldt.sel, cases[n].sel);
        if (sel_null((uint16_t)cases[n].sel))
            assert_true(s->ldt.attr & SEG_UNUSABLE);
        else
            assert_int_equal(s->ldt.base, LDT);
    }
    RUN(b, 0x0f, 0x00, 0xc0); /* sldt eax */
    assert_int_equal(s->gpr[RAX], 2);
    bench_protected(b, 3);
    RUN(b, 0x0f, 0x00, 0xd0);
    ASSERT_GP(b, 0);
    bench_real(b);
    s->cr0 &= ~(uint64_t)CR0_PE;
    x86_mode_changed(&b->c);
    RUN(b, 0x0f, 0x00, 0xd0);
    ASSERT_UD(b);
}

static void task_register(void **state)
{
    static const struct {
        unsigned sel, vector, error;
    } cases[] = {
        {SEL_TSS_B, 0, 0},
        {SEL_TSS16, 0, 0},
        {SEL_TSS, EXC_GP, SEL_TSS}, /* busy */
        {SEL_TSS_B | 4, EXC_GP, SEL_TSS_B | 4},
        {SEL_LDT, EXC_GP, SEL_LDT},
        {0, EXC_GP, 0},
        {0x100, EXC_GP, 0x100},
        {SEL_FREE, EXC_NP, SEL_FREE},
    };
    struct bench *b = *state;
    struct x86_state *s = &b->c.s;

    for (unsigned n = 0; n < ARRAY_LEN(cases); n++) {
        bench_tables(b);
        bench_desc(b, SEL_FREE, TSS_B, 103, A_TSS & ~0x80, 0);
        bench_protected(b, 0);
        s->gpr[RAX] = cases[n].sel;
        RUN(b, 0x0f, 0x00, 0xd8);
        if (cases[n].vector) {
            ASSERT_FAULT(b, cases[n].vector, cases[n].error);
            assert_int_equal(s->tr.sel, SEL_TSS);
            continue;
        }
        ASSERT_OK(b);
        assert_int_equal(s->tr.sel, cases[n].sel);
        assert_true(bench_access(b, cases[n].sel) & 2);
        assert_true(s->tr.attr & 2);
        RUN(b, 0x0f, 0x00, 0xc8); /* str */
        assert_int_equal(s->gpr[RAX], cases[n].sel);
    }
}

/* Sixteen bytes in 64-bit mode. */
static void wide_system_segments(void **state)
{
    struct bench *b = *state;
    struct x86_state *s = &b->c.s;

    bench_long(b, 0);
    bench_desc(b, SEL_FREE, 0x12345000, 103, A_TSS, 0);
    poke(b, GDT + SEL_FREE + 8, 0xffff8000, 8);
    s->gpr[RAX] = SEL_FREE;
    RUN(b, 0x0f, 0x00, 0xd8);
    ASSERT_OK(b);
    assert_int_equal(s->tr.base, 0xffff800012345000);
    bench_desc(b, SEL_FREE, 0x12345000, 0x3f, A_LDT, 0);
    RUN(b, 0x0f, 0x00, 0xd0);
    ASSERT_OK(b);
    assert_int_equal(s->ldt.base, 0xffff800012345000);
    poke(b, GDT + SEL_FREE + 8, 0x8000, 8); /* not canonical */
    RUN(b, 0x0f, 0x00, 0xd0);
    ASSERT_GP(b, SEL_FREE);
    poke(b, GDT + SEL_FREE + 8, 1ull << 40, 8); /* a type in the upper half */
    RUN(b, 0x0f, 0x00, 0xd0);
    ASSERT_GP(b, SEL_FREE);
    s->gpr[RAX] = 0xf8; /* the table ends after eight bytes */
    bench_desc(b, 0xf8, 0x12345000, 0x3f, A_LDT, 0);
    RUN(b, 0x0f, 0x00, 0xd0);
    ASSERT_GP(b, 0xf8);
    s->gpr[RAX] = SEL_TSS16; /* no 16-bit TSS */
    RUN(b, 0x0f, 0x00, 0xd8);
    ASSERT_GP(b, SEL_TSS16);
}

/* --- LAR, LSL, VERR, VERW, ARPL --- */

static bool zf(struct bench *b)
{
    return flags_get(&b->c) & FLAG_ZF;
}

static uint64_t lar(struct bench *b, unsigned sel)
{
    b->c.s.gpr[RAX] = 0xdeadbeef;
    b->c.s.gpr[RCX] = sel;
    RUN(b, 0x0f, 0x02, 0xc1); /* lar eax,ecx */
    ASSERT_OK(b);
    if (!zf(b))
        assert_int_equal(b->c.s.gpr[RAX], 0xdeadbeef);
    return zf(b) ? b->c.s.gpr[RAX] : 0;
}

static int64_t lsl(struct bench *b, unsigned sel)
{
    b->c.s.gpr[RAX] = 0xdeadbeef;
    b->c.s.gpr[RCX] = sel;
    RUN(b, 0x0f, 0x03, 0xc1);
    ASSERT_OK(b);
    return zf(b) ? (int64_t)b->c.s.gpr[RAX] : -1;
}

static bool ver(struct bench *b, unsigned sel, bool write)
{
    b->c.s.gpr[RAX] = sel;
    RUN(b, 0x0f, 0x00, write ? 0xe8 : 0xe0);
    ASSERT_OK(b);
    return zf(b);
}

static void inspection(void **state)
{
    struct bench *b = *state;

    bench_protected(b, 3);
    assert_int_equal(lar(b, SEL_CODE3), 0xcffb00);
    assert_int_equal(lar(b, SEL_DATA3), 0xcff300);
    assert_int_equal(lar(b, SEL_DATA0), 0); /* CPL > DPL */
    assert_int_equal(lar(b, SEL_CONF), 0xcf9f00);
    assert_int_equal(lar(b, 0), 0);
    assert_int_equal(lar(b, 0x103), 0);
    assert_int_equal(lsl(b, SEL_DATA3), 0xffffffff);
    assert_int_equal(lsl(b, SEL_DATA0), -1);
    assert_true(ver(b, SEL_DATA3, true));
    assert_false(ver(b, SEL_DATA0, false));
    bench_protected(b, 0);
    assert_int_equal(lar(b, SEL_DATA0), 0xcf9300);
    assert_int_equal(lar(b, SEL_DATA0 | 1), 0); /* RPL > DPL */
    assert_int_equal(lar(b, SEL_TSS), 0x8b00);
    assert_int_equal(lar(b, SEL_LDT), 0x8200);
    assert_int_equal(lsl(b, SEL_TSS), 0x7ff);
    assert_int_equal(lsl(b, SEL_ROM), 0xffff);
    assert_int_equal(lar(b, SEL_ABSENT), 0xcf1300); /* present or not */
    assert_true(ver(b, SEL_ROM, false));
    assert_false(ver(b, SEL_ROM, true));
    assert_false(ver(b, SEL_XONLY, false));
    assert_true(ver(b, SEL_CODE0, false));
    assert_false(ver(b, SEL_CODE0, true));
    assert_false(ver(b, SEL_TSS, false));
    b->c.s.gpr[RAX] = 0xdeadbeef;
    b->c.s.gpr[RCX] = SEL_CODE0;
    RUN(b, 0x66, 0x0f, 0x02, 0xc1); /* lar ax,cx */
    assert_int_equal(b->c.s.gpr[RAX], 0xdead9b00);
    bench_real(b);
    b->c.s.cr0 &= ~(uint64_t)CR0_PE;
    x86_mode_changed(&b->c);
    RUN(b, 0x0f, 0x02, 0xc1);
    ASSERT_UD(b);
    bench_vm86(b, 3);
    RUN(b, 0x0f, 0x00, 0xe0);
    ASSERT_UD(b);
}

/* Which system types each answers for, here and in IA-32e mode. */
static void system_types(void **state)
{
    enum { LAR = 0x1a3e, LSL = 0x0a0e, LAR64 = 0x1a04, LSL64 = 0x0a04 };
    struct bench *b = *state;

    for (unsigned type = 0; type < 16; type++) {
        bench_desc(b, SEL_FREE, 0, 0x123, 0x80 | type, 0);
        bench_protected(b, 0);
        assert_int_equal(!!lar(b, SEL_FREE), LAR >> type & 1);
        assert_int_equal(lsl(b, SEL_FREE) == 0x123, LSL >> type & 1);
        bench_long(b, 0);
        assert_int_equal(!!lar(b, SEL_FREE), LAR64 >> type & 1);
        assert_int_equal(lsl(b, SEL_FREE) == 0x123, LSL64 >> type & 1);
        b->c.s.efer = 0;
        b->c.s.cr0 &= ~(uint64_t)CR0_PG;
        x86_mode_changed(&b->c);
    }
}

static void arpl(void **state)
{
    struct bench *b = *state;
    struct x86_state *s = &b->c.s;

    bench_protected(b, 3);
    s->gpr[RAX] = 0x12340008;
    s->gpr[RCX] = 0x1b;
    RUN(b, 0x63, 0xc8); /* arpl ax,cx */
    ASSERT_OK(b);
    assert_int_equal(s->gpr[RAX], 0x1234000b);
    assert_true(zf(b));
    RUN(b, 0x63, 0xc8);
    assert_int_equal(s->gpr[RAX], 0x1234000b);
    assert_false(zf(b));
    poke(b, DATA, 0x11, 2);
    s->gpr[RSI] = DATA;
    RUN(b, 0x63, 0x0e);
    assert_int_equal(peek(b, DATA, 2), 0x13);
    bench_vm86(b, 3);
    RUN(b, 0x63, 0xc8);
    ASSERT_UD(b);
}

/* --- debug registers --- */

static void to_dr(struct bench *b, unsigned dr, uint64_t v)
{
    b->c.s.gpr[RAX] = v;
    RUN(b, 0x0f, 0x23, (uint8_t)(0xc0 | dr << 3));
}

static uint64_t from_dr(struct bench *b, unsigned dr)
{
    RUN(b, 0x0f, 0x21, (uint8_t)(0xc0 | dr << 3));
    ASSERT_OK(b);
    return b->c.s.gpr[RAX];
}

static void debug_registers(void **state)
{
    struct bench *b = *state;
    struct x86_state *s = &b->c.s;

    bench_long(b, 0);
    to_dr(b, 3, 0xffff800012345678);
    ASSERT_OK(b);
    assert_int_equal(from_dr(b, 3), 0xffff800012345678);
    to_dr(b, 6, 0);
    assert_int_equal(from_dr(b, 6), 0xffff0ff0);
    to_dr(b, 6, 0xffffffff);
    assert_int_equal(from_dr(b, 6), 0xffffefff);
    to_dr(b, 6, 1ull << 32);
    ASSERT_GP(b, 0);
    to_dr(b, 7, 0xffff0000 | (0xffff & ~DR7_GD));
    ASSERT_OK(b);
    assert_int_equal(from_dr(b, 7), 0xffff07ff);
    to_dr(b, 7, 1ull << 63);
    ASSERT_GP(b, 0);
    to_dr(b, 7, 0);
    assert_int_equal(s->dr[7], 0x400);
    /* 4 and 5 are 6 and 7 */
    to_dr(b, 4, 0);
    ASSERT_OK(b);
    assert_int_equal(s->dr[6], 0xffff0ff0);
    assert_int_equal(from_dr(b, 5), 0x400);
    s->cr4 |= CR4_DE;
    RUN(b, 0x0f, 0x21, 0xe0);
    ASSERT_UD(b);
    to_dr(b, 5, 0);
    ASSERT_UD(b);
    /* general detect */
    s->dr[7] = 0x400 | DR7_GD;
    RUN(b, 0x0f, 0x21, 0xf0);
    assert_int_equal(b->how, UNWIND_EXCEPTION);
    assert_int_equal(b->c.exc.vector, EXC_DB);
    assert_int_equal(b->c.exc.dr6, DR6_BD);
    assert_int_equal(s->rip, b->c.block_rip);
    bench_long(b, 3);
    RUN(b, 0x0f, 0x21, 0xf0);
    ASSERT_GP(b, 0);
}

/* --- breakpoints --- */

static void set_bp(struct bench *b, unsigned n, uint64_t a, unsigned type,
                   unsigned len)
{
    b->c.s.dr[n] = a;
    b->c.s.dr[7] =
        0x400 | 1u << (2 * n + 1) | type << (16 + 4 * n) | len << (18 + 4 * n);
    x86_mode_changed(&b->c);
}

static void data_breakpoints(void **state)
{
    struct bench *b = *state;
    struct x86_state *s = &b->c.s;

    bench_protected(b, 0);
    s->gpr[RSI] = DATA;
    RUN(b, 0x8b, 0x06); /* fills the TLB before there is a breakpoint */
    set_bp(b, 1, DATA + 4, 1, 3); /* write, 4 bytes */
    assert_true(b->c.has_breakpoints);
    assert_false(b->c.has_code_breakpoints);
    assert_true(x86_one_by_one(&b->c));
    RUN(b, 0x89, 0x06); /* mov [esi],eax */
    assert_int_equal(s->pending_db, 0);
    s->gpr[RSI] = DATA + 1;
    RUN(b, 0x8b, 0x06);
    assert_int_equal(s->pending_db, 0); /* a read */
    RUN(b, 0x89, 0x06);
    ASSERT_OK(b);
    assert_int_equal(s->pending_db, 2); /* its last byte */
    s->pending_db = 0;
    s->gpr[RSI] = DATA + 7;
    RUN(b, 0x88, 0x06);
    assert_int_equal(s->pending_db, 2);
    s->pending_db = 0;
    s->gpr[RSI] = DATA + 8;
    RUN(b, 0x88, 0x06);
    assert_int_equal(s->pending_db, 0);
    set_bp(b, 0, DATA + 5, 3, 1); /* access, 2 bytes: from DATA + 4 */
    s->gpr[RSI] = DATA + 4;
    RUN(b, 0x8a, 0x06);
    assert_int_equal(s->pending_db, 1);
    bench_idt(b, EXC_DB, 0x8e, SEL_CODE0, HANDLER);
    bench_events(b);
    assert_int_equal(s->rip, HANDLER);
    assert_int_equal(s->dr[6], 0xffff0ff1);
    assert_int_equal(s->pending_db, 0);
}

static void io_breakpoints(void **state)
{
    struct bench *b = *state;
    struct x86_state *s = &b->c.s;

    bench_protected(b, 0);
    set_bp(b, 2, 0x80, 2, 1);
    s->gpr[RDX] = 0x81;
    RUN(b, 0xec);
    assert_int_equal(s->pending_db, 0); /* CR4.DE is clear */
    s->cr4 |= CR4_DE;
    RUN(b, 0xec);
    ASSERT_OK(b);
    assert_int_equal(s->pending_db, 4);
    s->pending_db = 0;
    s->gpr[RDX] = 0x82;
    RUN(b, 0xec);
    assert_int_equal(s->pending_db, 0);
}

static gva_t code_at;

static void bench_code_bp(struct bench *b)
{
    x86_code_breakpoint(&b->c, code_at);
}

static void code_breakpoints(void **state)
{
    struct bench *b = *state;
    struct x86_state *s = &b->c.s;

    bench_protected(b, 0);
    set_bp(b, 3, CODE, 0, 0);
    assert_true(b->c.has_code_breakpoints);
    assert_false(b->c.has_breakpoints);
    code_at = CODE + 1;
    bench_call(b, bench_code_bp);
    ASSERT_OK(b);
    code_at = 0x100000000ull + CODE; /* wraps outside 64-bit code */
    bench_call(b, bench_code_bp);
    assert_int_equal(b->how, UNWIND_EXCEPTION);
    assert_int_equal(b->c.exc.vector, EXC_DB);
    assert_int_equal(b->c.exc.dr6, 8);
    code_at = CODE;
    s->rflags |= FLAG_RF;
    bench_call(b, bench_code_bp);
    ASSERT_OK(b);
    s->rflags &= ~(uint64_t)FLAG_RF;
    s->movss_shadow = true;
    bench_call(b, bench_code_bp);
    ASSERT_OK(b);
    s->movss_shadow = false;
    /* a trap of the instruction before reports it along */
    bench_idt(b, EXC_DB, 0x8e, SEL_CODE0, HANDLER);
    s->pending_db = DR6_BS;
    bench_events(b);
    assert_int_equal(s->dr[6], 0xffff0ff8 | DR6_BS);
    s->dr[7] = 0x400;
    x86_mode_changed(&b->c);
    assert_false(x86_one_by_one(&b->c));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BENCH_TEST(tables),
        BENCH_TEST(umip),
        BENCH_TEST(local_table),
        BENCH_TEST(task_register),
        BENCH_TEST(wide_system_segments),
        BENCH_TEST(inspection),
        BENCH_TEST(system_types),
        BENCH_TEST(arpl),
        BENCH_TEST(debug_registers),
        BENCH_TEST(data_breakpoints),
        BENCH_TEST(io_breakpoints),
        BENCH_TEST(code_breakpoints),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
