/* SYSCALL, SYSENTER, segment bases, XCR0, PKRU: x86/ops/syscall.c, xcr.c. */
#include "cpu_bench.h"

/* --- SYSCALL and SYSENTER --- */

static void check_flat(const struct x86_seg *s, unsigned sel, uint32_t attr)
{
    assert_int_equal(s->sel, sel);
    assert_int_equal(s->base, 0);
    assert_int_equal(s->limit, 0xffffffff);
    assert_int_equal(s->attr, attr);
}

static void syscall(void **state)
{
    struct bench *b = *state;
    struct x86_state *s = &b->c.s;

    bench_long(b, 3);
    s->star = 0x0023001100000000; /* RPL bits do not count for SYSCALL */
    s->lstar = 0xffffffff80000010;
    s->fmask = FLAG_IF | FLAG_DF | 0xffffffff00000000;
    flags_set(&b->c, FLAG_1 | FLAG_IF | FLAG_DF | FLAG_ZF);
    RUN(b, 0x0f, 0x05);
    ASSERT_OK(b);
    assert_int_equal(s->rip, 0xffffffff80000010);
    assert_int_equal(s->gpr[RCX], CODE + 2);
    assert_int_equal(s->gpr[R11], FLAG_1 | FLAG_IF | FLAG_DF | FLAG_ZF);
    assert_int_equal(s->rflags, FLAG_1 | FLAG_ZF);
    assert_int_equal(s->cpl, 0);
    check_flat(&s->seg[CS], 0x10, 0xa09b);
    check_flat(&s->seg[SS], 0x18, 0xc093);
    assert_int_equal(s->gpr[RSP], STACK3); /* the kernel's own business */
    s->gpr[R11] = ~0ull;
    RUN(b, 0x48, 0x0f, 0x07);
    /* TF came with R11: a trap before the next instruction */
    assert_int_equal(b->how, UNWIND_RESTART);
    assert_int_equal(s->pending_db, DR6_BS);
    assert_int_equal(s->rip, CODE + 2);
    assert_int_equal(s->rflags, 0x3c7fd7);
    assert_int_equal(s->cpl, 3);
    check_flat(&s->seg[CS], 0x33, 0xa0fb);
    check_flat(&s->seg[SS], 0x2b, 0xc0f3);
}

static void sysret_checks(void **state)
{
    struct bench *b = *state;
    struct x86_state *s = &b->c.s;

    bench_long(b, 0);
    s->star = 0x0020001000000000;
    s->gpr[RCX] = 0x800000000000;
    s->gpr[R11] = FLAG_1;
    RUN(b, 0x48, 0x0f, 0x07); /* not canonical: #GP in the kernel */
    ASSERT_GP(b, 0);
    assert_int_equal(s->cpl, 0);
    s->gpr[RCX] = 0xffffffff12345678;
    RUN(b, 0x0f, 0x07); /* to 32-bit code */
    ASSERT_OK(b);
    assert_int_equal(s->rip, 0x12345678);
    check_flat(&s->seg[CS], 0x23, 0xc0fb);
    check_flat(&s->seg[SS], 0x2b, 0xc0f3);
    assert_false(in_code64(&b->c));
    bench_long(b, 3);
    RUN(b, 0x48, 0x0f, 0x07);
    ASSERT_GP(b, 0);
    s->efer &= ~(uint64_t)EFER_SCE;
    RUN(b, 0x0f, 0x05);
    ASSERT_UD(b);
    bench_long(b, 0);
    s->efer &= ~(uint64_t)EFER_SCE;
    RUN(b, 0x48, 0x0f, 0x07);
    ASSERT_UD(b);
}

/* TF as SYSCALL leaves it tells whether it is stepped. */
static void syscall_step(void **state)
{
    struct bench *b = *state;
    struct x86_state *s = &b->c.s;

    bench_long(b, 3);
    s->lstar = HANDLER;
    s->fmask = FLAG_TF;
    s->rflags |= FLAG_TF;
    x86_mode_changed(&b->c);
    RUN(b, 0x0f, 0x05);
    assert_int_equal(b->how, UNWIND_RESTART);
    assert_int_equal(s->pending_db, 0);
    bench_long(b, 3);
    s->fmask = 0;
    s->rflags |= FLAG_TF;
    x86_mode_changed(&b->c);
    RUN(b, 0x0f, 0x05);
    assert_int_equal(s->pending_db, DR6_BS);
}

static void sysenter(void **state)
{
    struct bench *b = *state;
    struct x86_state *s = &b->c.s;

    bench_protected(b, 3);
    s->sysenter_cs = 0x13;
    s->sysenter_esp = 0x1111222233334444;
    s->sysenter_eip = 0x5555666677778888;
    s->rflags = FLAG_1 | FLAG_IF | FLAG_IOPL;
    RUN(b, 0x0f, 0x34);
    ASSERT_OK(b);
    assert_int_equal(s->rip, 0x77778888);
    assert_int_equal(s->gpr[RSP], 0x33334444);
    assert_int_equal(s->rflags, FLAG_1 | FLAG_IOPL);
    check_flat(&s->seg[CS], 0x10, 0xc09b);
    check_flat(&s->seg[SS], 0x18, 0xc093);
    s->gpr[RCX] = STACK3;
    s->gpr[RDX] = 0x400000;
    RUN(b, 0x0f, 0x35);
    ASSERT_OK(b);
    assert_int_equal(s->rip, 0x400000);
    assert_int_equal(s->gpr[RSP], STACK3);
    check_flat(&s->seg[CS], 0x23, 0xc0fb);
    check_flat(&s->seg[SS], 0x2b, 0xc0f3);
    RUN(b, 0x0f, 0x35);
    ASSERT_GP(b, 0);
    s->sysenter_cs = 3;
    RUN(b, 0x0f, 0x34);
    ASSERT_GP(b, 0);
    bench_vm86(b, 0); /* leaves virtual-8086 mode */
    s->sysenter_cs = 0x10;
    RUN(b, 0x0f, 0x34);
    ASSERT_OK(b);
    assert_false(in_vm86(&b->c));
    bench_real(b);
    s->cr0 = CR0_ET;
    x86_mode_changed(&b->c);
    RUN(b, 0x0f, 0x34);
    ASSERT_GP(b, 0);
}

static void sysenter_long(void **state)
{
    struct bench *b = *state;
    struct x86_state *s = &b->c.s;

    bench_long(b, 3);
    s->seg[CS] = bench_segment(b, SEL_CODE3); /* from a 32-bit program */
    x86_mode_changed(&b->c);
    s->sysenter_cs = 0x10;
    s->sysenter_esp = 0xffff888000001000;
    s->sysenter_eip = 0xffffffff80001000;
    RUN(b, 0x0f, 0x34);
    ASSERT_OK(b);
    assert_int_equal(s->rip, 0xffffffff80001000);
    assert_int_equal(s->gpr[RSP], 0xffff888000001000);
    check_flat(&s->seg[CS], 0x10, 0xa09b);
    s->gpr[RCX] = 0x7fffffff0000;
    s->gpr[RDX] = 0x400000;
    RUN(b, 0x48, 0x0f, 0x35);
    ASSERT_OK(b);
    assert_int_equal(s->gpr[RSP], 0x7fffffff0000);
    check_flat(&s->seg[CS], 0x33, 0xa0fb);
    check_flat(&s->seg[SS], 0x3b, 0xc0f3);
    bench_long(b, 0);
    s->gpr[RCX] = 0x800000000000;
    RUN(b, 0x48, 0x0f, 0x35);
    ASSERT_GP(b, 0);
    s->gpr[RCX] = 0;
    s->gpr[RDX] = 0x800000000000;
    RUN(b, 0x48, 0x0f, 0x35);
    ASSERT_GP(b, 0);
}

static void bases(void **state)
{
    struct bench *b = *state;
    struct x86_state *s = &b->c.s;

    bench_long(b, 3);
    RUN(b, 0xf3, 0x48, 0x0f, 0xae, 0xc0); /* rdfsbase rax */
    ASSERT_UD(b);
    s->cr4 |= CR4_FSGSBASE;
    s->gpr[RAX] = 0xffff800012345678;
    RUN(b, 0xf3, 0x48, 0x0f, 0xae, 0xd0); /* wrfsbase rax */
    ASSERT_OK(b);
    assert_int_equal(s->seg[FS].base, 0xffff800012345678);
    RUN(b, 0xf3, 0x0f, 0xae, 0xd8); /* wrgsbase eax */
    assert_int_equal(s->seg[GS].base, 0x12345678);
    s->gpr[RAX] = 0x800000000000;
    RUN(b, 0xf3, 0x48, 0x0f, 0xae, 0xd8);
    ASSERT_GP(b, 0);
    RUN(b, 0xf3, 0x48, 0x0f, 0xae, 0xc0);
    assert_int_equal(s->gpr[RAX], 0xffff800012345678);
    RUN(b, 0xf3, 0x0f, 0xae, 0xc0);
    assert_int_equal(s->gpr[RAX], 0x12345678);
    RUN(b, 0xf3, 0x48, 0x0f, 0xae, 0xc8); /* rdgsbase rax */
    assert_int_equal(s->gpr[RAX], 0x12345678);
    RUN(b, 0x0f, 0x01, 0xf8); /* swapgs */
    ASSERT_GP(b, 0);
    bench_long(b, 0);
    s->seg[GS].base = 1;
    s->kernel_gs_base = 2;
    RUN(b, 0x0f, 0x01, 0xf8);
    ASSERT_OK(b);
    assert_int_equal(s->seg[GS].base, 2);
    assert_int_equal(s->kernel_gs_base, 1);
}

/* --- XCR0, PKRU, hypercalls, SMM --- */

static void xcr0(void **state)
{
    static const struct {
        uint64_t v;
        bool ok;
    } cases[] = {
        {1, true},
        {0, false},
        {3, true},
        {7, true},
        {5, false},
        {0xe7, true},
        {0x67, false},
        {0x27, false},
        {0xe3, false},
        {0x9, false},
        {1ull << 63 | 1, false},
        {0x207, false},
    };
    struct bench *b = *state;
    struct x86_state *s = &b->c.s;

    bench_long(b, 0);
    RUN(b, 0x0f, 0x01, 0xd1);
    ASSERT_UD(b);
    RUN(b, 0x0f, 0x01, 0xd0);
    ASSERT_UD(b);
    s->cr4 |= CR4_OSXSAVE;
    x86_mode_changed(&b->c);
    for (unsigned n = 0; n < ARRAY_LEN(cases); n++) {
        s->gpr[RCX] = 0;
        s->gpr[RAX] = (uint32_t)cases[n].v;
        s->gpr[RDX] = cases[n].v >> 32;
        s->xcr0 = 1;
        RUN(b, 0x0f, 0x01, 0xd1);
        if (cases[n].ok) {
            ASSERT_OK(b);
            assert_int_equal(s->xcr0, cases[n].v);
            assert_int_equal(!!(b->c.mode_key & MODE_AVX),
                             (cases[n].v & 6) == 6);
            assert_int_equal(!!(b->c.mode_key & MODE_AVX512),
                             cases[n].v == 0xe7);
        } else {
            ASSERT_GP(b, 0);
            assert_int_equal(s->xcr0, 1);
        }
    }
    b->model.xcr0_mask = 7;
    s->gpr[RAX] = 0xe7;
    s->gpr[RDX] = 0;
    RUN(b, 0x0f, 0x01, 0xd1);
    ASSERT_GP(b, 0);
    s->gpr[RAX] = 1;
    s->gpr[RCX] = 1;
    RUN(b, 0x0f, 0x01, 0xd1);
    ASSERT_GP(b, 0);
    s->xcr0 = 7;
    s->gpr[RCX] = 0;
    s->gpr[RAX] = s->gpr[RDX] = ~0ull;
    RUN(b, 0x0f, 0x01, 0xd0);
    ASSERT_OK(b);
    assert_int_equal(s->gpr[RAX], 7);
    assert_int_equal(s->gpr[RDX], 0);
    s->gpr[RCX] = 2;
    RUN(b, 0x0f, 0x01, 0xd0);
    ASSERT_GP(b, 0);
    bench_long(b, 3);
    s->gpr[RCX] = 0;
    RUN(b, 0x0f, 0x01, 0xd1);
    ASSERT_GP(b, 0);
}

static void pkru(void **state)
{
    struct bench *b = *state;
    struct x86_state *s = &b->c.s;

    bench_long(b, 3);
    s->gpr[RCX] = s->gpr[RDX] = 0;
    RUN(b, 0x0f, 0x01, 0xee);
    ASSERT_UD(b);
    s->cr4 |= CR4_PKE;
    s->gpr[RAX] = 0xffffffff55555554;
    RUN(b, 0x0f, 0x01, 0xef);
    ASSERT_OK(b);
    assert_int_equal(s->pkru, 0x55555554);
    s->gpr[RDX] = 1;
    RUN(b, 0x0f, 0x01, 0xef);
    ASSERT_GP(b, 0);
    RUN(b, 0x0f, 0x01, 0xee);
    ASSERT_OK(b);
    assert_int_equal(s->gpr[RAX], 0x55555554);
    assert_int_equal(s->gpr[RDX], 0);
    s->gpr[RCX] = 1;
    RUN(b, 0x0f, 0x01, 0xee);
    ASSERT_GP(b, 0);
    s->gpr[RDX] = 0;
    RUN(b, 0x0f, 0x01, 0xef);
    ASSERT_GP(b, 0);
    s->cr4 &= ~(uint64_t)CR4_PKE;
    s->gpr[RCX] = 0;
    RUN(b, 0x0f, 0x01, 0xef);
    ASSERT_UD(b);
}

static void hypercall_and_rsm(void **state)
{
    struct bench *b = *state;
    struct x86_state *s = &b->c.s;

    bench_long(b, 0);
    RUN(b, 0x0f, 0x01, 0xc1);
    ASSERT_UD(b);
    b->model.kvm_leaves = true;
    RUN(b, 0x0f, 0x01, 0xc1);
    ASSERT_OK(b);
    assert_int_equal(s->gpr[RAX], (uint64_t)-1000);
    bench_long(b, 3);
    RUN(b, 0x0f, 0x01, 0xd9);
    assert_int_equal(s->gpr[RAX], (uint64_t)-1);
    bench_protected(b, 0);
    s->efer = 0;
    s->cr0 = CR0_PE | CR0_ET;
    x86_mode_changed(&b->c);
    RUN(b, 0x0f, 0x01, 0xc1);
    assert_int_equal(s->gpr[RAX], 0xfffffc18);
    RUN(b, 0x0f, 0xaa);
    ASSERT_UD(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BENCH_TEST(syscall),
        BENCH_TEST(sysret_checks),
        BENCH_TEST(syscall_step),
        BENCH_TEST(sysenter),
        BENCH_TEST(sysenter_long),
        BENCH_TEST(bases),
        BENCH_TEST(xcr0),
        BENCH_TEST(pkru),
        BENCH_TEST(hypercall_and_rsm),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
