/* What comes from outside, between instructions: x86/events.c, halt.c. */
#include "lodge/host.h"

#include "cpu_bench.h"

enum { INTG = 0x8e };

static void start(struct bench *b, unsigned cpl)
{
    bench_protected(b, cpl);
    for (unsigned v = 0; v < 64; v++)
        bench_idt(b, v, INTG, SEL_CODE0, HANDLER + v);
    b->c.s.rflags |= FLAG_IF;
}

static void intr(struct bench *b, int vector)
{
    b->vector = vector;
    atomic_fetch_or(&b->v.events, (uint32_t)VCPU_INTR);
}

static bool runs;

static void bench_call_take(struct bench *b)
{
    runs = x86_take_events(&b->c);
}

static void take(struct bench *b)
{
    bench_call(b, bench_call_take);
    if (b->how == UNWIND_EXCEPTION)
        bench_deliver(b);
}

static void interrupts(void **state)
{
    struct bench *b = *state;
    struct x86_state *s = &b->c.s;

    start(b, 3);
    s->rflags &= ~(uint64_t)FLAG_IF;
    intr(b, 0x30);
    take(b);
    assert_true(runs);
    assert_int_equal(b->acks, 0);
    assert_int_equal(s->rip, CODE);
    s->rflags |= FLAG_IF;
    take(b);
    assert_int_equal(b->acks, 1);
    assert_int_equal(s->rip, HANDLER + 0x30);
    assert_int_equal(peek(b, STACK0 - 20, 4), CODE);
    assert_int_equal(peek(b, STACK0 - 12, 4), FLAG_1 | FLAG_IF);
    assert_int_equal(b->c.stats.interrupts, 1);
}

static void spurious(void **state)
{
    struct bench *b = *state;

    start(b, 3);
    intr(b, -1);
    take(b);
    assert_true(runs);
    assert_int_equal(b->acks, 1);
    assert_int_equal(b->c.s.rip, CODE);
}

/* EXT is set in what goes wrong on the way; nothing of it is a second fault. */
static void interrupt_faults(void **state)
{
    struct bench *b = *state;

    start(b, 3);
    bench_idt(b, 0x30, INTG & ~0x80, SEL_CODE0, HANDLER);
    intr(b, 0x30);
    bench_call(b, bench_call_take);
    ASSERT_FAULT(b, EXC_NP, 0x30 * 8 + 3);
    assert_int_equal(b->c.delivering, -1);
    bench_deliver(b);
    assert_int_equal(b->c.s.rip, HANDLER + EXC_NP);
}

static void shadows(void **state)
{
    struct bench *b = *state;
    struct x86_state *s = &b->c.s;

    start(b, 0);
    s->sti_shadow = true;
    intr(b, 0x30);
    take(b);
    assert_int_equal(b->acks, 0);
    atomic_fetch_or(&b->v.events, (uint32_t)VCPU_NMI); /* not held by STI */
    take(b);
    assert_int_equal(s->rip, HANDLER + EXC_NMI);
    assert_false(s->sti_shadow);

    start(b, 0);
    s->nmi_blocked = false;
    s->gpr[RAX] = SEL_DATA0;
    RUN(b, 0x8e, 0xd0); /* mov ss,ax holds NMIs and #DB too */
    s->pending_db = 1;
    atomic_fetch_or(&b->v.events, (uint32_t)VCPU_NMI);
    take(b);
    assert_true(runs);
    assert_int_equal(s->rip, CODE + 2);
    assert_int_equal(s->pending_db, 1);
    RUN(b, 0x90);
    take(b);
    assert_int_equal(s->rip, HANDLER + EXC_NMI); /* #DB first, NMI in it */
    assert_int_equal(peek(b, STACK0 - 0x100 - 24, 4), HANDLER + EXC_DB);
    assert_int_equal(s->dr[6] & 0xf, 1);
}

/* Of two instructions that shadow, only the first does. */
static void shadow_in_shadow(void **state)
{
    struct bench *b = *state;

    start(b, 0);
    b->c.s.gpr[RAX] = SEL_DATA0;
    RUN(b, 0x8e, 0xd0);
    assert_true(b->c.s.movss_shadow);
    RUN(b, 0x8e, 0xd0);
    assert_false(b->c.s.movss_shadow);
}

/* MOV SS with a breakpoint on it, then INT: the trap waits in the handler. */
static void trap_after_int(void **state)
{
    struct bench *b = *state;
    struct x86_state *s = &b->c.s;

    start(b, 3);
    bench_idt(b, 0x21, INTG | 0x60, SEL_CODE0, HANDLER + 0x21);
    s->movss_shadow = true;
    s->pending_db = 2;
    RUN(b, 0xcd, 0x21);
    ASSERT_OK(b);
    assert_int_equal(s->rip, HANDLER + 0x21);
    take(b);
    assert_int_equal(s->rip, HANDLER + EXC_DB);
    assert_int_equal(s->dr[6] & 0xf, 2);
    assert_int_equal(peek(b, STACK0 - 20 - 12, 4), HANDLER + 0x21);
}

static void nmi(void **state)
{
    struct bench *b = *state;
    struct x86_state *s = &b->c.s;

    start(b, 0);
    s->rflags &= ~(uint64_t)FLAG_IF;
    atomic_fetch_or(&b->v.events, (uint32_t)VCPU_NMI);
    take(b);
    assert_int_equal(s->rip, HANDLER + EXC_NMI);
    assert_true(s->nmi_blocked);
    atomic_fetch_or(&b->v.events, (uint32_t)VCPU_NMI); /* one waits */
    take(b);
    assert_int_equal(s->rip, HANDLER + EXC_NMI);
    assert_true(atomic_load(&b->v.events) & VCPU_NMI);
    RUN(b, 0xcf);
    ASSERT_OK(b);
    assert_false(s->nmi_blocked);
    take(b);
    assert_true(s->nmi_blocked);
    assert_false(atomic_load(&b->v.events) & VCPU_NMI);
    /* an IRET that faults unblocks as well */
    s->gpr[RSP] = STACK0;
    poke(b, STACK0 + 4, SEL_DATA0, 4);
    RUN(b, 0xcf);
    ASSERT_GP(b, SEL_DATA0);
    assert_false(s->nmi_blocked);
}

static void halt(void **state)
{
    struct bench *b = *state;
    struct x86_state *s = &b->c.s;

    start(b, 0);
    s->sti_shadow = true; /* sti; hlt */
    RUN(b, 0xf4);
    assert_int_equal(b->how, UNWIND_HALT);
    assert_int_equal(s->activity, CPU_HALTED);
    assert_int_equal(s->rip, CODE + 1);
    assert_false(s->sti_shadow);
    take(b);
    assert_false(runs);
    s->rflags &= ~(uint64_t)FLAG_IF;
    intr(b, 0x30);
    take(b);
    assert_false(runs);
    s->rflags |= FLAG_IF;
    take(b);
    assert_true(runs);
    assert_int_equal(s->activity, CPU_RUNNING);
    assert_int_equal(s->rip, HANDLER + 0x30);
    assert_int_equal(peek(b, STACK0 - 0x10c, 4), CODE + 1);

    start(b, 0); /* single-stepped: the trap comes at once */
    s->rflags |= FLAG_TF;
    x86_mode_changed(&b->c);
    RUN(b, 0xf4);
    ASSERT_OK(b);
    take(b);
    assert_int_equal(s->rip, HANDLER + EXC_DB);
    assert_true(s->dr[6] & DR6_BS);

    start(b, 0); /* as does one that was waiting */
    s->activity = CPU_HALTED;
    s->pending_db = 1;
    take(b);
    assert_true(runs);
    assert_int_equal(s->rip, HANDLER + EXC_DB);

    start(b, 3);
    RUN(b, 0xf4);
    ASSERT_GP(b, 0);
}

/* A spurious interrupt does not end HLT. */
static void halt_spurious(void **state)
{
    struct bench *b = *state;

    start(b, 0);
    b->c.s.activity = CPU_HALTED;
    intr(b, -1);
    take(b);
    assert_false(runs);
    assert_int_equal(b->c.s.activity, CPU_HALTED);
}

static void init_and_sipi(void **state)
{
    struct bench *b = *state;
    struct x86_state *s = &b->c.s;

    start(b, 0);
    b->v.id = 1;
    s->cr0 |= CR0_TS | CR0_CD;
    s->gpr[RBX] = 5;
    s->xcr0 = 7;
    s->pat = 0x1234;
    atomic_store(&b->v.sipi_vector, 0x9a);
    atomic_store(&b->v.events, VCPU_SIPI); /* nobody waits for it */
    take(b);
    assert_true(runs);
    assert_int_equal(s->rip, CODE);
    atomic_store(&b->v.events, VCPU_INIT);
    take(b);
    assert_false(runs);
    assert_int_equal(atomic_load(&b->v.events), 0);
    assert_int_equal(s->activity, CPU_WAIT_SIPI);
    assert_int_equal(s->cr0, CR0_ET | CR0_CD | CR0_NW);
    assert_int_equal(s->gpr[RBX], 0);
    assert_int_equal(s->xcr0, 7);
    assert_int_equal(s->pat, 0x1234);
    intr(b, 0x30); /* waits on */
    take(b);
    assert_false(runs);
    atomic_store(&b->v.events, VCPU_SIPI);
    take(b);
    assert_true(runs);
    assert_int_equal(s->seg[CS].sel, 0x9a00);
    assert_int_equal(s->seg[CS].base, 0x9a000);
    assert_int_equal(s->rip, 0);
    assert_int_equal(atomic_load(&b->v.events), 0);

    b->v.id = 0; /* the bootstrap processor starts over */
    atomic_store(&b->v.events, VCPU_INIT);
    take(b);
    assert_true(runs);
    assert_int_equal(s->rip, 0xfff0);
    assert_int_equal(s->seg[CS].base, 0xffff0000);
}

/* Not taken: what is the engine's. Taken and lost: SMI. */
static void others(void **state)
{
    struct bench *b = *state;
    uint64_t flushes;

    start(b, 0);
    flushes = b->c.stats.tlb_flushes;
    atomic_store(&b->v.events, VCPU_SMI | VCPU_FLUSH | VCPU_KICK | VCPU_PRIV);
    take(b);
    assert_true(runs);
    assert_int_equal(atomic_load(&b->v.events), VCPU_KICK | VCPU_PRIV);
    assert_int_equal(b->c.stats.tlb_flushes, flushes + 1);
}

/* Trap first, then NMI, then interrupt; a shut-down CPU takes none. */
static void priorities(void **state)
{
    struct bench *b = *state;
    struct x86_state *s = &b->c.s;

    start(b, 0);
    for (unsigned v = 0; v < 64; v++)
        bench_idt(b, v, 0x8f, SEL_CODE0, HANDLER + v); /* IF stays */
    s->pending_db = DR6_BS;
    atomic_fetch_or(&b->v.events, (uint32_t)VCPU_NMI);
    intr(b, 0x30);
    take(b);
    assert_int_equal(s->rip, HANDLER + 0x30);
    assert_int_equal(peek(b, s->gpr[RSP], 4), HANDLER + EXC_NMI);
    assert_int_equal(peek(b, s->gpr[RSP] + 12, 4), HANDLER + EXC_DB);
    assert_int_equal(peek(b, s->gpr[RSP] + 24, 4), CODE);
    s->activity = CPU_SHUTDOWN;
    atomic_fetch_or(&b->v.events, (uint32_t)VCPU_NMI);
    s->nmi_blocked = false;
    take(b);
    assert_false(runs);
    assert_int_equal(s->rip, HANDLER + 0x30);
}

/* --- MONITOR and MWAIT --- */

static void monitor_mwait(void **state)
{
    struct bench *b = *state;
    struct x86_state *s = &b->c.s;

    start(b, 0);
    s->gpr[RAX] = DATA + 0x47;
    s->gpr[RCX] = 1;
    RUN(b, 0x0f, 0x01, 0xc8);
    ASSERT_GP(b, 0); /* no extensions */
    s->gpr[RCX] = 0;
    RUN(b, 0x0f, 0x01, 0xc8);
    ASSERT_OK(b);
    assert_int_equal(b->c.monitor.address, DATA + 0x40);
    poke(b, DATA + 0x7f, 1, 1); /* in the line: MWAIT comes right back */
    RUN(b, 0x0f, 0x01, 0xc9);
    ASSERT_OK(b);
    assert_false(b->c.monitor.armed);
    RUN(b, 0x0f, 0x01, 0xc9); /* not armed */
    ASSERT_OK(b);
    s->gpr[RCX] = 2;
    RUN(b, 0x0f, 0x01, 0xc9);
    ASSERT_GP(b, 0);
    /* an interrupt that waits, masked or not */
    s->gpr[RCX] = 0;
    RUN(b, 0x0f, 0x01, 0xc8);
    intr(b, 0x30);
    RUN(b, 0x0f, 0x01, 0xc9);
    ASSERT_OK(b);
    s->rflags &= ~(uint64_t)FLAG_IF;
    RUN(b, 0x0f, 0x01, 0xc8);
    s->gpr[RCX] = 1;
    RUN(b, 0x0f, 0x01, 0xc9);
    ASSERT_OK(b);
    bench_protected(b, 3);
    RUN(b, 0x0f, 0x01, 0xc8);
    ASSERT_UD(b);
}

static void store_later(void *ctx)
{
    struct bench *b = ctx;
    struct host_event pause;

    host_event_init(&pause);
    host_event_wait(&pause, host_now() + 2000000);
    host_event_destroy(&pause);
    __atomic_store_n(b->ram + DATA, 1, __ATOMIC_SEQ_CST);
}

/* A store by another thread ends the wait, without any event. */
static void mwait_sees_stores(void **state)
{
    struct bench *b = *state;
    struct host_thread *t;
    uint64_t begin = host_now();

    start(b, 0);
    b->c.s.gpr[RAX] = DATA;
    RUN(b, 0x0f, 0x01, 0xc8);
    t = host_thread_start("store", store_later, b);
    RUN(b, 0x0f, 0x01, 0xc9);
    ASSERT_OK(b);
    host_thread_join(t);
    if (host_now() - begin < NS_PER_SEC / 4) /* else the machine was busy */
        assert_int_equal(b->ram[DATA], 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BENCH_TEST(interrupts),
        BENCH_TEST(spurious),
        BENCH_TEST(interrupt_faults),
        BENCH_TEST(shadows),
        BENCH_TEST(shadow_in_shadow),
        BENCH_TEST(trap_after_int),
        BENCH_TEST(nmi),
        BENCH_TEST(halt),
        BENCH_TEST(halt_spurious),
        BENCH_TEST(init_and_sipi),
        BENCH_TEST(others),
        BENCH_TEST(priorities),
        BENCH_TEST(monitor_mwait),
        BENCH_TEST(mwait_sees_stores),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
