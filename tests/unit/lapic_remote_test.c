/* A local APIC that the engine runs: hw/intc/lapic_remote.c. */
#include "lapic_bench.h"

/* The engine's side: its registers, and what it was told. */
static struct apic_regs engine[2];
static unsigned sets;
static uint64_t sent_address;
static uint32_t sent_data;

static int get(void *ctx UNUSED, unsigned cpu, struct apic_regs *r)
{
    *r = engine[cpu];
    return 0;
}

static int set(void *ctx UNUSED, unsigned cpu, const struct apic_regs *r)
{
    engine[cpu] = *r;
    sets++;
    return 0;
}

static void message(void *ctx UNUSED, uint64_t address, uint32_t data)
{
    sent_address = address;
    sent_data = data;
}

static void make_remote(unsigned ncpus)
{
    memset(engine, 0, sizeof engine);
    sets = 0;
    f = fake_new(ncpus);
    f->env.tsc = (struct tsc_clock){tsc_to_ns, NULL};
    f->env.engine_apics =
        (struct engine_apics){.get = get, .set = set, .message = message};
    for (unsigned n = 0; n < ncpus; n++) {
        apic[n] = fake_make(&lapic_class);
        fake_set_u32(apic[n], "cpu", n);
        fake_attach(f, apic[n]);
    }
}

static uint32_t reg(unsigned cpu, uint32_t off)
{
    return engine[cpu].reg[off / 16];
}

static void reset_is_given(void **state UNUSED)
{
    make_remote(2);
    sets = 0;
    for (unsigned n = 0; n < 2; n++)
        lapic_class.reset(apic[n], true);
    assert_int_equal(sets, 2);
    assert_int_equal(engine[0].apic_base, BASE | EN | BSP);
    assert_int_equal(engine[1].apic_base, BASE | EN);
    assert_int_equal(reg(1, ID), 1 << 24);
    assert_int_equal(reg(0, SVR), 0xff);
    assert_int_equal(reg(0, LVT0), MASK);
    lapic_virtual_wire(apic[0]);
    assert_int_equal(reg(0, LVT0), 0x700);
    assert_int_equal(reg(0, LVT1), 0x400);
    assert_int_equal(reg(0, SVR), 0x1ff);
    fake_free(f);
}

/* What is saved is what Lodge's own APIC would have, and goes back as it was:
   a snapshot of one engine goes on under another. */
static void state_travels(void **state UNUSED)
{
    uint8_t bytes[1024], again[1024];
    size_t n = state_size(lapic_class.state, lapic_class.version);
    struct apic_regs was;
    struct err e;

    assert_true(n <= sizeof bytes);
    make_remote(1);
    lapic_class.reset(apic[0], true);
    f->now = 1000000;
    engine[0].reg[SVR / 16] = 0x1ff;
    engine[0].reg[TPR / 16] = 0x20;
    engine[0].reg[LDR / 16] = 0x01000000;
    engine[0].reg[IRR / 16 + 2] = 0x10;  /* vector 0x44 */
    engine[0].reg[ISR / 16 + 1] = 0x100; /* vector 0x28 */
    engine[0].reg[LVTT / 16] = 0x20050;  /* periodic */
    engine[0].reg[TDCR / 16] = 0xb;
    engine[0].reg[TMICT / 16] = 50000;
    engine[0].reg[TMCCT / 16] = 30000;
    was = engine[0];
    lapic_class.pause(apic[0]);
    assert_int_equal(fake_next(f), UINT64_MAX);
    state_save(lapic_class.state, lapic_class.version, apic[0], bytes);
    fake_free(f);

    /* Lodge's own takes it: the timer goes on with what was left. */
    make(1);
    f->now = 1000000;
    if (state_load(lapic_class.state, lapic_class.version, apic[0], bytes, n,
                   &e))
        fail_msg("%s", e.text);
    assert_int_equal(lapic_class.loaded(apic[0], lapic_class.version), 0);
    assert_int_equal(rd(0, TMCCT), 30000);
    assert_int_equal(fake_next(f), 1030000);
    assert_true(in(0, IRR, 0x44));
    assert_true(in(0, ISR, 0x28));
    assert_true(f->cpu[0].intr);
    lapic_class.pause(apic[0]);
    state_save(lapic_class.state, lapic_class.version, apic[0], again);
    fake_free(f);

    /* And back. */
    make_remote(1);
    f->now = 1000000;
    if (state_load(lapic_class.state, lapic_class.version, apic[0], again, n,
                   &e))
        fail_msg("%s", e.text);
    assert_int_equal(lapic_class.loaded(apic[0], lapic_class.version), 0);
    assert_memory_equal(&engine[0], &was, sizeof was);
    fake_free(f);
}

/* Guests can bring registers about that our own APIC would not load. */
static void hostile_registers(void **state UNUSED)
{
    make_remote(1);
    lapic_class.reset(apic[0], true);
    for (unsigned n = 0; n < APIC_REGS; n++)
        engine[0].reg[n] = 0xffffffff;
    engine[0].reg[TMCCT / 16] = 5;
    lapic_class.pause(apic[0]);
    assert_int_equal(lapic_class.loaded(apic[0], lapic_class.version), 0);
    assert_int_equal(reg(0, IRR) & 0xffff, 0);
    fake_free(f);
}

static void messages_and_pins(void **state UNUSED)
{
    make_remote(2);
    f->env.msi.send(f->env.msi.ctx, 0xfee01000, 0x4041);
    assert_int_equal(sent_address, 0xfee01000);
    assert_int_equal(sent_data, 0x4041);
    f->env.msi.send(f->env.msi.ctx, 0xfec01000, 1); /* no message */
    assert_int_equal(sent_data, 0x4041);
    irq_set(&f->env.pic_intr, true); /* INTR is CPU 0's alone */
    assert_true(f->cpu[0].intr);
    assert_false(f->cpu[1].intr);
    irq_set(&f->env.pic_intr, false);
    assert_false(f->cpu[0].intr);
    irq_set(&f->env.nmi, true);
    assert_int_equal(f->cpu[0].nmi, 1);
    assert_int_equal(ack(0), -1); /* there are no 8259s */
    fake_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reset_is_given),
        cmocka_unit_test(state_travels),
        cmocka_unit_test(hostile_registers),
        cmocka_unit_test(messages_and_pins),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
