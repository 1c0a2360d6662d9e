/* The HPET against IA-PC HPET 1.0a: hw/timer/hpet.c. */
#include "fake_env.h"

extern const struct dev_class hpet_class;

#define BASE    0xfed00000ull
#define CONF(n) (0x100u + 0x20 * (n))
#define CMP(n)  (0x108u + 0x20 * (n))
#define FSB(n)  (0x110u + 0x20 * (n))
enum { GCAP = 0, GCONF = 0x10, STA = 0x20, CNT = 0xf0 };
enum {
    LEVEL = 2,
    ENB = 4,
    PERIODIC = 8,
    VAL_SET = 0x40,
    MODE32 = 0x100,
    FSB_EN = 0x4000
};
#define ROUTE(pin) ((pin) << 9)

static struct fake *f;
static struct dev *hpet;
static struct fake_line isa[16], gsi[24];
static struct {
    unsigned n;
    uint64_t address;
    uint32_t data;
} msi;

static void send(void *ctx UNUSED, uint64_t address, uint32_t data)
{
    msi.n++;
    msi.address = address;
    msi.data = data;
}

static int setup(void **state UNUSED)
{
    f = fake_new(1);
    memset(isa, 0, sizeof isa);
    memset(gsi, 0, sizeof gsi);
    memset(&msi, 0, sizeof msi);
    for (unsigned n = 0; n < 16; n++)
        f->env.isa_irq[n] = (struct irq){fake_line_set, isa, n};
    for (unsigned n = 0; n < 24; n++)
        f->env.gsi[n] = (struct irq){fake_line_set, gsi, n};
    f->env.msi = (struct msi_sink){send, NULL};
    hpet = fake_add(f, &hpet_class);
    return 0;
}

static int teardown(void **state UNUSED)
{
    fake_free(f);
    return 0;
}

static uint64_t rd(unsigned off)
{
    return space_read_locked(f->env.mem, BASE + off, 8);
}

static void wr(unsigned off, uint64_t v)
{
    space_write_locked(f->env.mem, BASE + off, v, 8);
}

static void identification(void **state UNUSED)
{
    assert_int_equal(rd(GCAP), 0x009896808086a201);
    assert_int_equal(mem32(f, BASE + 4), 10000000); /* femtoseconds */
    for (unsigned n = 0; n < 3; n++) {
        assert_int_equal(rd(CONF(n)), 0x00ff010400008030);
        assert_true(rd(CMP(n)) == UINT64_MAX);
    }
    wr(GCAP, 0);
    assert_int_equal(mem32(f, BASE), 0x8086a201);
    assert_int_equal(rd(0x160), 0); /* no fourth timer */
    wr(0x160, ~0ull);
}

static void counts(void **state UNUSED)
{
    fake_advance(f, 1000);
    assert_int_equal(rd(CNT), 0); /* halted */
    wr(CNT, 0xfffffffffffffff0);
    wr(GCONF, 1);
    fake_advance(f, 1000);
    assert_int_equal(rd(CNT), 84);
    wr(GCONF, 0);
    fake_advance(f, 1000);
    assert_int_equal(rd(CNT), 84);
    set_mem32(f, BASE + CNT + 4, 7); /* halves */
    assert_int_equal(rd(CNT), 7ull << 32 | 84);
    wr(GCONF, 1);
    fake_advance(f, 10);
    assert_int_equal(mem32(f, BASE + CNT), 85);
}

static void one_shot_edge(void **state UNUSED)
{
    wr(CONF(0), ENB | ROUTE(16));
    assert_int_equal(rd(CONF(0)) & 0xffff, 0x8030 | ENB | ROUTE(16));
    wr(CMP(0), 1000);
    assert_true(fake_next(f) == UINT64_MAX); /* halted */
    wr(GCONF, 1);
    fake_advance(f, 9990);
    assert_false(gsi[16].level);
    fake_advance(f, 10);
    assert_int_equal(gsi[16].rises, 1);
    assert_int_equal(rd(STA), 0); /* edges have no status */
    assert_true(fake_next(f) == UINT64_MAX);
    wr(CMP(0), 500); /* gone by: not in 64 bits again */
    fake_advance(f, NS_PER_SEC);
    assert_int_equal(gsi[16].rises, 1);
    wr(CMP(0), rd(CNT) + 5);
    fake_advance(f, 50);
    assert_int_equal(gsi[16].rises, 2);
}

static void bits32(void **state UNUSED)
{
    wr(CONF(1), ENB | ROUTE(17) | MODE32);
    wr(CMP(1), 0x700000005);
    assert_int_equal(rd(CMP(1)), 5);
    wr(CNT, 10);
    wr(GCONF, 1);
    fake_advance(f, 10 * ((1ull << 32) - 6)); /* wraps round to 5 */
    assert_int_equal(gsi[17].rises, 0);
    fake_advance(f, 10);
    assert_int_equal(gsi[17].rises, 1);
    fake_advance(f, 10 * (1ull << 32));
    assert_int_equal(gsi[17].rises, 2);
}

static void level_status(void **state UNUSED)
{
    wr(CONF(2), ENB | LEVEL | ROUTE(20));
    wr(CMP(2), 100);
    wr(GCONF, 1);
    fake_advance(f, 1000);
    assert_true(gsi[20].level);
    assert_int_equal(rd(STA), 4);
    wr(STA, 3);
    assert_true(gsi[20].level);
    wr(STA, 4);
    assert_false(gsi[20].level);
    assert_int_equal(rd(STA), 0);
    /* Status is kept without the interrupt. */
    wr(CONF(2), LEVEL | ROUTE(20));
    wr(CMP(2), rd(CNT) + 10);
    fake_advance(f, 100);
    assert_int_equal(rd(STA), 4);
    assert_false(gsi[20].level);
    wr(CONF(2), ENB | LEVEL | ROUTE(20));
    assert_true(gsi[20].level);
    wr(CONF(2), ENB | LEVEL | ROUTE(21)); /* the line moves along */
    assert_false(gsi[20].level);
    assert_true(gsi[21].level);
    wr(GCONF, 0);
    assert_false(gsi[21].level);
}

/* As operating systems start a periodic timer: VAL_SET, first, period. */
static void periodic(void **state UNUSED)
{
    wr(GCONF, 1);
    wr(CONF(0), ENB | PERIODIC | VAL_SET | ROUTE(16));
    wr(CMP(0), rd(CNT) + 50000);
    wr(CMP(0), 100000);
    assert_int_equal(rd(CONF(0)) & VAL_SET, 0);
    fake_advance(f, 500000);
    assert_int_equal(gsi[16].rises, 1);
    assert_int_equal(rd(CMP(0)), 150000);
    fake_advance(f, 1000000);
    assert_int_equal(gsi[16].rises, 2);
    fake_advance(f, 100 * 1000000);
    assert_int_equal(gsi[16].rises, 102);
    f->now += 50 * 1000000; /* the host slept: one, and in step again */
    fake_advance(f, 1);
    assert_int_equal(gsi[16].rises, 103);
    fake_advance(f, 1000000);
    assert_int_equal(gsi[16].rises, 104);
}

static void periodic_32(void **state UNUSED)
{
    wr(CNT, 0xffff0000);
    wr(CONF(0), ENB | PERIODIC | VAL_SET | MODE32 | ROUTE(16));
    set_mem32(f, BASE + CMP(0), 0xffff8000);
    set_mem32(f, BASE + CMP(0), 0x8000);
    wr(GCONF, 1);
    fake_advance(f, 10 * 0x8000);
    assert_int_equal(gsi[16].rises, 1);
    assert_int_equal(rd(CMP(0)), 0);
    fake_advance(f, 10 * 0x8000);
    assert_int_equal(gsi[16].rises, 2);
    assert_int_equal(rd(CMP(0)), 0x8000);
}

static void tiny_period(void **state UNUSED)
{
    unsigned n = 0;
    uint64_t end = f->now + 1000000;

    wr(GCONF, 1);
    wr(CONF(0), ENB | PERIODIC | VAL_SET | ROUTE(16));
    wr(CMP(0), 1);
    wr(CMP(0), 1);
    for (; fake_next(f) < end; n++)
        fake_advance(f, fake_next(f) - f->now);
    assert_in_range(n, 10, 100);
}

static void bad_routes(void **state UNUSED)
{
    wr(CONF(0), ROUTE(16));
    wr(CONF(0), ROUTE(3)); /* not offered: keeps the old one */
    assert_int_equal(rd(CONF(0)) >> 9 & 31, 16);
}

static void fsb_delivery(void **state UNUSED)
{
    wr(FSB(1), 0xfee01000ull << 32 | 0x4041);
    wr(CONF(1), ENB | FSB_EN | ROUTE(16));
    wr(CMP(1), 10);
    wr(GCONF, 1);
    fake_advance(f, 100);
    assert_int_equal(msi.n, 1);
    assert_int_equal(msi.address, 0xfee01000);
    assert_int_equal(msi.data, 0x4041);
    assert_int_equal(gsi[16].rises, 0);
    set_mem32(f, BASE + FSB(1), 0x42);
    assert_int_equal(rd(FSB(1)), 0xfee01000ull << 32 | 0x42);
}

static void legacy_replacement(void **state UNUSED)
{
    irq_set(&f->env.pit_irq0, true);
    assert_true(isa[0].level); /* passed through */
    irq_set(&f->env.rtc_irq8, true);
    assert_true(isa[8].level);
    wr(GCONF, 3);
    assert_false(isa[0].level);
    assert_false(isa[8].level);
    irq_set(&f->env.pit_irq0, false);
    irq_set(&f->env.pit_irq0, true);
    assert_false(isa[0].level); /* held back */
    wr(CONF(0), ENB);
    wr(CONF(1), ENB | LEVEL);
    wr(CONF(2), ENB | ROUTE(18));
    wr(CMP(0), rd(CNT) + 10);
    wr(CMP(1), rd(CNT) + 20);
    wr(CMP(2), rd(CNT) + 30);
    fake_advance(f, 1000);
    assert_int_equal(isa[0].rises, 2);
    assert_true(isa[8].level);
    assert_int_equal(gsi[18].rises, 1);
    wr(STA, 2);
    assert_false(isa[8].level);
    wr(GCONF, 1); /* back: the lines are the old chips' again */
    assert_true(isa[0].level);
    assert_true(isa[8].level);
}

static void reset_pause_load(void **state UNUSED)
{
    wr(CONF(2), ENB | LEVEL | ROUTE(20));
    wr(CMP(2), 100);
    wr(GCONF, 3);
    hpet_class.pause(hpet);
    fake_advance(f, 10000);
    assert_false(gsi[20].level);
    hpet_class.resume(hpet);
    fake_advance(f, 1);
    assert_true(gsi[20].level);
    assert_int_equal(hpet_class.loaded(hpet, 1), 0);
    hpet_class.reset(hpet, false);
    assert_false(gsi[20].level);
    assert_int_equal(rd(GCONF), 0);
    assert_int_equal(rd(CNT), 0);
    assert_int_equal(rd(STA), 0);
}

static void periodic_to_one_shot(void **state UNUSED)
{
    wr(GCONF, 1);
    wr(CONF(0), ENB | PERIODIC | VAL_SET | ROUTE(16));
    wr(CMP(0), 100000);
    wr(CMP(0), 100000);
    wr(CONF(0), ENB | ROUTE(16));
    fake_advance(f, 10 * 1000000);
    assert_int_equal(gsi[16].rises, 1);
    /* 32 bits cut what was wider. */
    wr(CONF(0), ENB | PERIODIC | VAL_SET | ROUTE(16));
    wr(CMP(0), 0x1000000000 + rd(CNT) + 1000);
    wr(CMP(0), 0x1000000000 + 100000);
    wr(CONF(0), ENB | PERIODIC | MODE32 | ROUTE(16));
    gsi[16].rises = 0;
    fake_advance(f, 10 * 1000 + 10 * 1000000);
    assert_int_equal(gsi[16].rises, 11);
}

static void level_of_timer0(void **state UNUSED)
{
    wr(CONF(0), ENB | LEVEL | ROUTE(22));
    wr(CMP(0), 100);
    wr(GCONF, 1);
    fake_advance(f, 1000);
    assert_true(gsi[22].level);
    wr(GCONF, 0);
    assert_false(gsi[22].level);
    wr(GCONF, 1);
    assert_true(gsi[22].level);
    wr(CONF(0), ENB | ROUTE(22)); /* edge: no status */
    assert_int_equal(rd(STA), 0);
    assert_false(gsi[22].level);
    wr(CMP(0), rd(CNT) + 1000);
    hpet_class.reset(hpet, false);
    assert_true(fake_next(f) == UINT64_MAX);
    assert_int_equal(rd(CNT), 0);
}

/* Without an interrupt the host is not woken; registers show no difference. */
static void silent(void **state UNUSED)
{
    wr(CONF(0), PERIODIC | VAL_SET);
    wr(CMP(0), 1000);
    wr(CMP(0), 1000);
    wr(CONF(1), LEVEL | ROUTE(17));
    wr(CMP(1), 1500);
    wr(GCONF, 1);
    assert_true(fake_next(f) == UINT64_MAX);
    fake_advance(f, 25000);
    assert_int_equal(rd(CMP(0)), 3000);
    assert_int_equal(rd(STA), 2);
    assert_false(gsi[17].level);
    wr(CONF(1), LEVEL | ENB | ROUTE(17)); /* what is pending comes through */
    assert_true(gsi[17].level);
    wr(CONF(0), PERIODIC | ENB | ROUTE(16));
    assert_true(fake_next(f) != UINT64_MAX);
    fake_advance(f, 5000);
    assert_int_equal(gsi[16].rises, 1);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(identification),
        T(counts),
        T(one_shot_edge),
        T(bits32),
        T(level_status),
        T(periodic),
        T(periodic_32),
        T(tiny_period),
        T(bad_routes),
        T(fsb_delivery),
        T(legacy_replacement),
        T(reset_pause_load),
        T(periodic_to_one_shot),
        T(level_of_timer0),
        T(silent),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
