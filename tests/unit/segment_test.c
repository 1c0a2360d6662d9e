/* Segment checks and loads, and I/O permission: x86/segment.c. */
#include "cpu_bench.h"

/* --- accesses --- */

/* mov al,[seg:esi] or mov [seg:esi],al at an offset */
static void touch(struct bench *b, unsigned prefix, uint32_t offset, bool write)
{
    b->c.s.gpr[RSI] = offset;
    b->c.exc.vector = 0xff;
    b->how = UNWIND_NONE;
    RUN(b, (uint8_t)prefix, write ? 0x88 : 0x8a, 0x06);
}

struct access {
    unsigned seg, n;
    uint64_t offset;
    bool write;
};

static struct access access_now;

static void bench_access_now(struct bench *b)
{
    b->c.exc.error =
        (uint32_t)x86_linear_checked(&b->c, access_now.seg, access_now.offset,
                                     access_now.n, access_now.write);
}

/* The linear address, or the vector that was raised, negative. */
static int64_t linear(struct bench *b, unsigned seg, uint64_t offset,
                      unsigned n, bool write)
{
    access_now = (struct access){seg, n, offset, write};
    bench_call(b, bench_access_now);
    if (b->how == UNWIND_NONE)
        return b->c.exc.error;
    assert_int_equal(b->c.exc.error, 0);
    return -(int64_t)b->c.exc.vector;
}

static void limits(void **state)
{
    struct bench *b = *state;
    struct x86_state *s = &b->c.s;

    bench_protected(b, 0);
    bench_desc(b, SEL_FREE, 0x12345000, 0xfff, A_DATA, 0x4);
    s->seg[FS] = bench_segment(b, SEL_FREE);
    assert_int_equal(linear(b, FS, 0, 4, true), 0x12345000);
    assert_int_equal(linear(b, FS, 0xffc, 4, true), 0x12345ffc);
    assert_int_equal(linear(b, FS, 0xffd, 4, true), -EXC_GP);
    assert_int_equal(linear(b, FS, 0xfff, 1, false), 0x12345fff);
    assert_int_equal(linear(b, FS, 0x1000, 1, false), -EXC_GP);
    assert_int_equal(linear(b, FS, 0xffffffff, 2, false), -EXC_GP);
    s->seg[SS] = s->seg[FS];
    assert_int_equal(linear(b, SS, 0x1000, 1, false), -EXC_SS);
    /* granularity: limit 1 is 8 KB */
    bench_desc(b, SEL_FREE, 0, 1, A_DATA, F_32);
    s->seg[FS] = bench_segment(b, SEL_FREE);
    assert_int_equal(s->seg[FS].limit, 0x1fff);
    bench_desc(b, SEL_FREE, 0, 0xabcde, A_DATA, 0x4);
    assert_int_equal(bench_segment(b, SEL_FREE).limit, 0xabcde);
    /* the base wraps at 4 GB */
    bench_desc(b, SEL_FREE, 0xfffff000, 0xfffff, A_DATA, F_32);
    s->seg[FS] = bench_segment(b, SEL_FREE);
    assert_int_equal(linear(b, FS, 0x2345, 1, false), 0x1345);
}

static void expand_down(void **state)
{
    struct bench *b = *state;
    struct x86_state *s = &b->c.s;

    bench_protected(b, 0);
    bench_desc(b, SEL_FREE, 0x100000, 0xfff, 0x97, F_16);
    s->seg[GS] = bench_segment(b, SEL_FREE);
    assert_int_equal(linear(b, GS, 0xfff, 1, true), -EXC_GP);
    assert_int_equal(linear(b, GS, 0x1000, 1, true), 0x101000);
    assert_int_equal(linear(b, GS, 0xfffe, 2, true), 0x10fffe);
    assert_int_equal(linear(b, GS, 0xffff, 2, true), -EXC_GP);
    assert_int_equal(linear(b, GS, 0x10000, 1, true), -EXC_GP);
    bench_desc(b, SEL_FREE, 0, 0xfff, 0x97, 0x4); /* B: up to 4 GB */
    s->seg[GS] = bench_segment(b, SEL_FREE);
    assert_int_equal(linear(b, GS, 0x7ffffffe, 2, true), 0x7ffffffe);
    assert_int_equal(linear(b, GS, 0x10000, 1, true), 0x10000);
    assert_int_equal(linear(b, GS, 0xffffffff, 2, true), -EXC_GP);
    /* a limit of 4 GB leaves nothing */
    bench_desc(b, SEL_FREE, 0, 0xfffff, 0x97, F_32);
    s->seg[GS] = bench_segment(b, SEL_FREE);
    assert_int_equal(linear(b, GS, 0xffffffff, 1, true), -EXC_GP);
    assert_false(b->c.mode_key & MODE_FLAT && 0);
}

static void types(void **state)
{
    struct bench *b = *state;
    struct x86_state *s = &b->c.s;

    bench_protected(b, 0);
    s->seg[DS] = bench_segment(b, SEL_ROM);
    x86_mode_changed(&b->c);
    touch(b, 0x3e, 4, false);
    ASSERT_OK(b);
    touch(b, 0x3e, 4, true);
    ASSERT_GP(b, 0);
    touch(b, 0x2e, DATA, true); /* CS is never written */
    ASSERT_GP(b, 0);
    touch(b, 0x2e, DATA, false);
    ASSERT_OK(b);
    s->seg[CS] = bench_segment(b, SEL_XONLY);
    x86_mode_changed(&b->c);
    touch(b, 0x2e, DATA, false); /* nor read, when it cannot be */
    ASSERT_GP(b, 0);
    s->seg[ES] = seg_null(0, 0);
    x86_mode_changed(&b->c);
    touch(b, 0x26, 0, false);
    ASSERT_GP(b, 0);
}

/* Types do not count in real mode; limits do. */
static void real_mode_accesses(void **state)
{
    struct bench *b = *state;
    struct x86_state *s = &b->c.s;

    bench_real(b);
    s->seg[CS].attr = 0x9b; /* as left from protected mode */
    assert_int_equal(linear(b, CS, 0, 2, true), CODE);
    s->seg[DS].attr = 0x91;
    assert_int_equal(linear(b, DS, 0xfffe, 2, true), 0xfffe);
    assert_int_equal(linear(b, DS, 0xffff, 2, true), -EXC_GP);
    assert_int_equal(linear(b, SS, 0xffff, 2, true), -EXC_SS);
    s->seg[DS].limit = 0xffffffff; /* unreal */
    assert_int_equal(linear(b, DS, 0x123456, 2, true), 0x123456);
    bench_vm86(b, 0);
    assert_int_equal(linear(b, DS, 0xffff, 1, true), 0x1ffff + 0x30);
    assert_int_equal(linear(b, DS, 0xffff, 2, true), -EXC_GP);
}

static void long_mode_accesses(void **state)
{
    struct bench *b = *state;
    struct x86_state *s = &b->c.s;

    bench_long(b, 0);
    s->seg[DS] = seg_null(0, 0); /* means nothing in 64-bit mode */
    s->seg[FS].base = 0x1000;
    x86_mode_changed(&b->c);
    assert_int_equal(linear(b, DS, 0x5000, 8, true), 0x5000);
    assert_int_equal(linear(b, FS, 0x5000, 8, true), 0x6000);
    assert_int_equal(linear(b, DS, 0x7ffffffffff9, 8, true), -EXC_GP);
    assert_int_equal(linear(b, SS, 0x800000000000, 1, false), -EXC_SS);
    assert_int_equal(linear(b, FS, 0x7ffffffff000, 1, false), -EXC_GP);
}

/* --- loads --- */

static unsigned load(struct bench *b, unsigned seg, uint16_t sel)
{
    b->c.s.gpr[RAX] = sel;
    RUN(b, 0x8e, (uint8_t)(0xc0 | seg << 3)); /* mov sreg,ax */
    return b->how == UNWIND_NONE ? 0 : b->c.exc.vector << 16 | b->c.exc.error;
}

#define RAISES(v, e) ((v) << 16 | (e))

static void data_loads(void **state)
{
    static const struct {
        unsigned cpl, sel, result;
    } cases[] = {
        {0, SEL_DATA0, 0},
        {0, SEL_DATA3, 0},
        {0, SEL_DATA0 | 3, RAISES(EXC_GP, SEL_DATA0)}, /* RPL > DPL */
        {3, SEL_DATA3, 0},
        {3, SEL_DATA3 & ~3, 0},
        {3, SEL_DATA0, RAISES(EXC_GP, SEL_DATA0)}, /* CPL > DPL */
        {3, SEL_CODE3, 0},
        {3, SEL_CODE0, RAISES(EXC_GP, SEL_CODE0)},
        {3, SEL_CONF | 3, 0}, /* conforming: no privilege */
        {0, SEL_XONLY, RAISES(EXC_GP, SEL_XONLY)},
        {0, SEL_TSS, RAISES(EXC_GP, SEL_TSS)},
        {0, SEL_ABSENT, RAISES(EXC_NP, SEL_ABSENT)},
        {0, 0x100, RAISES(EXC_GP, 0x100)},
        {0, 0xfffb, RAISES(EXC_GP, 0xfff8)},
        {0, 0x0c, RAISES(EXC_GP, 0x0c)}, /* no LDT */
        {0, 0, 0},
        {3, 3, 0},
        {3, SEL_ROM | 3, RAISES(EXC_GP, SEL_ROM)},
        {0, SEL_ROM, 0},
    };
    static const uint8_t regs[] = {ES, DS, FS, GS};
    struct bench *b = *state;

    for (unsigned n = 0; n < ARRAY_LEN(cases); n++)
        for (unsigned r = 0; r < ARRAY_LEN(regs); r++) {
            struct x86_seg before;
            unsigned result;

            bench_protected(b, cases[n].cpl);
            before = b->c.s.seg[regs[r]];
            result = load(b, regs[r], (uint16_t)cases[n].sel);
            if (result != cases[n].result)
                fail_msg("case %u: %x", n, result);
            if (result)
                assert_memory_equal(&before, &b->c.s.seg[regs[r]],
                                    sizeof(before));
            else
                assert_int_equal(b->c.s.seg[regs[r]].sel, cases[n].sel);
        }
}

static void stack_loads(void **state)
{
    static const struct {
        unsigned cpl, sel, result;
    } cases[] = {
        {0, SEL_DATA0, 0},
        {0, SEL_STACK16, 0},
        {0, SEL_DOWN, 0},
        {0, SEL_DATA3, RAISES(EXC_GP, SEL_DATA3 & ~3)},
        {0, SEL_DATA0 | 1, RAISES(EXC_GP, SEL_DATA0)},
        {3, SEL_DATA3, 0},
        {3, SEL_DATA3 & ~3, RAISES(EXC_GP, SEL_DATA3 & ~3)},
        {3, SEL_DATA0 | 3, RAISES(EXC_GP, SEL_DATA0)},
        {0, SEL_ROM, RAISES(EXC_GP, SEL_ROM)},
        {0, SEL_CODE0, RAISES(EXC_GP, SEL_CODE0)},
        {0, SEL_TSS, RAISES(EXC_GP, SEL_TSS)},
        {0, 0, RAISES(EXC_GP, 0)},
        {3, 3, RAISES(EXC_GP, 0)},
        {0, 0x100, RAISES(EXC_GP, 0x100)},
    };
    struct bench *b = *state;

    for (unsigned n = 0; n < ARRAY_LEN(cases); n++) {
        unsigned result;

        bench_protected(b, cases[n].cpl);
        b->c.s.movss_shadow = false;
        result = load(b, SS, (uint16_t)cases[n].sel);
        if (result != cases[n].result)
            fail_msg("case %u: %x", n, result);
        assert_int_equal(b->c.s.movss_shadow, !result);
    }
    bench_protected(b, 0);
    bench_desc(b, SEL_FREE, 0, 0xffff, A_DATA & ~0x80, 0);
    assert_int_equal(load(b, SS, SEL_FREE), RAISES(EXC_SS, SEL_FREE));
}

/* In 64-bit mode SS may be null below privilege 3, with RPL as CPL. */
static void null_stack(void **state)
{
    struct bench *b = *state;

    bench_long(b, 0);
    assert_int_equal(load(b, SS, 0), 0);
    assert_int_equal(b->c.s.cpl, 0);
    assert_int_equal(load(b, SS, 1), RAISES(EXC_GP, 0));
    bench_long(b, 3);
    assert_int_equal(load(b, SS, 3), RAISES(EXC_GP, 0));
    assert_int_equal(load(b, SS, 0), RAISES(EXC_GP, 0));
    bench_long(b, 0); /* not in compatibility mode */
    b->c.s.seg[CS] = bench_segment(b, SEL_CODE0);
    x86_mode_changed(&b->c);
    assert_int_equal(load(b, SS, 0), RAISES(EXC_GP, 0));
}

static void accessed_bit(void **state)
{
    struct bench *b = *state;

    bench_protected(b, 0);
    bench_desc(b, SEL_FREE, 0, 0xffff, 0x92, 0);
    assert_int_equal(load(b, DS, SEL_FREE), 0);
    assert_int_equal(bench_access(b, SEL_FREE), 0x93);
    assert_int_equal(b->c.s.seg[DS].attr & 0xff, 0x93);
    bench_desc(b, SEL_FREE, 0, 0xffff, 0x12, 0); /* not present: not touched */
    assert_int_equal(load(b, DS, SEL_FREE), RAISES(EXC_NP, SEL_FREE));
    assert_int_equal(bench_access(b, SEL_FREE), 0x12);
}

static void from_ldt(void **state)
{
    struct bench *b = *state;

    bench_protected(b, 0);
    b->c.s.ldt = bench_segment(b, SEL_LDT);
    poke(b, LDT + 0x38, 0x00cf93000000ffff, 8);
    assert_int_equal(load(b, ES, 0x3c), 0);
    assert_int_equal(b->c.s.seg[ES].limit, 0xffffffff);
    poke(b, LDT + 0x40, 0x00cf93000000ffff, 8); /* past the end */
    assert_int_equal(load(b, ES, 0x44), RAISES(EXC_GP, 0x44));
    assert_int_equal(load(b, ES, 4), RAISES(EXC_GP, 4)); /* not null */
}

/* The limit of an unreal segment survives loads in real mode. */
static void unreal(void **state)
{
    struct bench *b = *state;
    struct x86_state *s = &b->c.s;

    bench_real(b);
    s->seg[DS].limit = 0xffffffff;
    s->seg[DS].attr |= SEG_DB | SEG_G;
    assert_int_equal(load(b, DS, 0x1234), 0);
    assert_int_equal(s->seg[DS].base, 0x12340);
    assert_int_equal(s->seg[DS].limit, 0xffffffff);
    assert_true(s->seg[DS].attr & SEG_DB);
    s->seg[ES] = seg_null(0, 0); /* a null one becomes usable again */
    assert_int_equal(load(b, ES, 0x10), 0);
    assert_int_equal(s->seg[ES].attr, 0x93);
    assert_int_equal(s->seg[ES].limit, 0xffff);
    bench_vm86(b, 0);
    assert_int_equal(load(b, DS, 0xfff3), 0);
    assert_int_equal(s->seg[DS].base, 0xfff30);
    assert_int_equal(s->seg[DS].attr, 0xf3);
}

static void fs_base_of_null(void **state)
{
    struct bench *b = *state;

    bench_long(b, 0);
    b->c.s.seg[FS].base = 0x123456789abc;
    assert_int_equal(load(b, FS, 0), 0);
    assert_int_equal(b->c.s.seg[FS].base, 0);
    assert_int_equal(load(b, DS, 0), 0);
    assert_true(b->c.mode_key & MODE_FLAT);
}

static void not_cs(void **state)
{
    struct bench *b = *state;
    struct insn i;

    bench_protected(b, 0);
    if (x86_decode(&i, (const uint8_t[]){0x8e, 0xc8}, 2, DECODE_32) ==
        DECODE_OK) {
        RUN(b, 0x8e, 0xc8);
        ASSERT_UD(b);
    }
}

/* --- stores, pushes and pops --- */

static void stores(void **state)
{
    struct bench *b = *state;
    struct x86_state *s = &b->c.s;

    bench_protected(b, 3);
    s->gpr[RAX] = ~0ull;
    RUN(b, 0x8c, 0xd8); /* mov eax,ds */
    assert_int_equal(s->gpr[RAX], SEL_DATA3);
    s->gpr[RAX] = 0xffffffff;
    RUN(b, 0x66, 0x8c, 0xd8); /* mov ax,ds */
    assert_int_equal(s->gpr[RAX], 0xffff0000 | SEL_DATA3);
    s->gpr[RSI] = DATA;
    poke(b, DATA, 0xaaaaaaaa, 4);
    RUN(b, 0x8c, 0x1e); /* mov [esi],ds: a word */
    assert_int_equal(peek(b, DATA, 4), 0xaaaa0000 | SEL_DATA3);
}

static void pushes(void **state)
{
    struct bench *b = *state;
    struct x86_state *s = &b->c.s;

    bench_protected(b, 3);
    poke(b, STACK3 - 4, 0xaaaaaaaa, 4);
    RUN(b, 0x1e);
    ASSERT_OK(b);
    assert_int_equal(s->gpr[RSP], STACK3 - 4);
    assert_int_equal(peek(b, STACK3 - 4, 4), 0xaaaa0000 | SEL_DATA3);
    RUN(b, 0x66, 0x1e);
    assert_int_equal(s->gpr[RSP], STACK3 - 6);
    RUN(b, 0x66, 0x07); /* pop es */
    ASSERT_OK(b);
    RUN(b, 0x07);
    ASSERT_OK(b);
    assert_int_equal(s->gpr[RSP], STACK3);
    /* a fault leaves ESP alone */
    poke(b, STACK3, SEL_TSS, 4);
    RUN(b, 0x07);
    ASSERT_GP(b, SEL_TSS);
    assert_int_equal(s->gpr[RSP], STACK3);
    bench_long(b, 3);
    RUN(b, 0x0f, 0xa0); /* push fs */
    assert_int_equal(s->gpr[RSP], STACK3 - 8);
    assert_int_equal(peek(b, STACK3 - 8, 8), SEL_DATA3);
    RUN(b, 0x0f, 0xa9); /* pop gs */
    ASSERT_OK(b);
    assert_int_equal(s->gpr[RSP], STACK3);
}

/* POP SS pops from the old stack, and shadows as MOV SS does. */
static void pop_ss(void **state)
{
    struct bench *b = *state;
    struct x86_state *s = &b->c.s;

    bench_protected(b, 0);
    s->seg[SS] = bench_segment(b, SEL_STACK16);
    s->gpr[RSP] = 0xabcdfffe;
    x86_mode_changed(&b->c);
    poke(b, STACK0 - 0x8000 + 0xfffe, SEL_DATA0, 2);
    RUN(b, 0x66, 0x17);
    ASSERT_OK(b);
    assert_int_equal(s->seg[SS].sel, SEL_DATA0);
    assert_int_equal(s->gpr[RSP], 0xabcd0000);
    assert_true(s->movss_shadow);
}

static void far_pointers(void **state)
{
    struct bench *b = *state;
    struct x86_state *s = &b->c.s;

    bench_protected(b, 3);
    poke(b, DATA, 0x12345678, 4);
    poke(b, DATA + 4, SEL_CODE3, 2);
    s->gpr[RSI] = DATA;
    s->gpr[RAX] = 0xaaaaaaaa;
    RUN(b, 0xc4, 0x06); /* les eax,[esi] */
    ASSERT_OK(b);
    assert_int_equal(s->gpr[RAX], 0x12345678);
    assert_int_equal(s->seg[ES].sel, SEL_CODE3);
    poke(b, DATA + 4, SEL_DATA0, 2);
    s->gpr[RAX] = 0xaaaaaaaa;
    RUN(b, 0x0f, 0xb5, 0x06); /* lgs: fails, and EAX is as it was */
    ASSERT_GP(b, SEL_DATA0);
    assert_int_equal(s->gpr[RAX], 0xaaaaaaaa);
    poke(b, DATA + 2, SEL_DATA3, 2);
    RUN(b, 0x66, 0x0f, 0xb2, 0x06); /* lss ax,[esi]: no shadow */
    ASSERT_OK(b);
    assert_int_equal(s->gpr[RAX], 0xaaaa5678);
    assert_int_equal(s->seg[SS].sel, SEL_DATA3);
    assert_false(s->movss_shadow);
}

/* --- ports --- */

static unsigned port;

static void bench_call_io(struct bench *b)
{
    x86_io_check(&b->c, (uint16_t)(port & 0xffff), port >> 16);
}

static bool may(struct bench *b, unsigned n, unsigned at)
{
    port = n << 16 | at;
    bench_call(b, bench_call_io);
    if (b->how == UNWIND_EXCEPTION)
        assert_int_equal(b->c.exc.vector << 16 | b->c.exc.error, EXC_GP << 16);
    return b->how == UNWIND_NONE;
}

static void io_bitmap(void **state)
{
    struct bench *b = *state;
    struct x86_state *s = &b->c.s;

    bench_real(b);
    assert_true(may(b, 4, 0xfffc));
    bench_protected(b, 3);
    s->rflags |= FLAG_IOPL;
    assert_true(may(b, 4, 0x1000));
    s->rflags &= ~(uint64_t)FLAG_IOPL;
    /* 0x7ff bytes of TSS hold a bitmap for 0x3cb8 ports and one byte more */
    assert_true(may(b, 1, 0x1000));
    poke(b, TSS + 0x68 + 0x1000 / 8, 0x80, 1);
    assert_true(may(b, 2, 0x1005));
    assert_false(may(b, 2, 0x1006));
    assert_false(may(b, 1, 0x1007));
    assert_true(may(b, 1, 0x1008));
    assert_false(may(b, 4, 0x1004));
    poke(b, TSS + 0x68 + 0x1000 / 8, 0x00, 1);
    poke(b, TSS + 0x68 + 0x1000 / 8 + 1, 0x01, 1);
    assert_false(may(b, 4, 0x1005)); /* crosses into the next byte */
    /* two bytes are read, always */
    s->tr.limit = 0x68 + 0x200;
    assert_false(may(b, 1, 0x1000));
    s->tr.limit = 0x68 + 0x201;
    assert_true(may(b, 1, 0x1000));
    s->tr.limit = 0x66;
    assert_false(may(b, 1, 0));
    /* CPL 0 needs none; a 16-bit TSS has none */
    bench_protected(b, 0);
    s->tr.limit = 0;
    assert_true(may(b, 4, 0));
    bench_protected(b, 3);
    s->tr.attr &= ~(uint32_t)SYS_32;
    assert_false(may(b, 1, 0));
    /* virtual-8086 mode goes by the bitmap whatever IOPL is */
    bench_vm86(b, 3);
    assert_true(may(b, 1, 0x1000));
    assert_false(may(b, 1, 0x1008));
    /* privilege 1 with IOPL 1 */
    bench_protected(b, 0);
    bench_segments(b, SEL_CODE1, SEL_DATA1, SEL_DATA1);
    s->rflags = FLAG_1 | 1 << 12;
    x86_mode_changed(&b->c);
    assert_true(may(b, 1, 0x1008));
    s->rflags = FLAG_1;
    assert_false(may(b, 1, 0x1008));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BENCH_TEST(limits),
        BENCH_TEST(expand_down),
        BENCH_TEST(types),
        BENCH_TEST(real_mode_accesses),
        BENCH_TEST(long_mode_accesses),
        BENCH_TEST(data_loads),
        BENCH_TEST(stack_loads),
        BENCH_TEST(null_stack),
        BENCH_TEST(accessed_bit),
        BENCH_TEST(from_ldt),
        BENCH_TEST(unreal),
        BENCH_TEST(fs_base_of_null),
        BENCH_TEST(not_cs),
        BENCH_TEST(stores),
        BENCH_TEST(pushes),
        BENCH_TEST(pop_ss),
        BENCH_TEST(far_pointers),
        BENCH_TEST(io_bitmap),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
