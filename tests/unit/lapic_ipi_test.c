/* Local APICs: interrupts between CPUs and messages (SDM volume
 * 3, 11.6, 11.11). */
#include "lapic_bench.h"

static void shorthands(void **state UNUSED)
{
    wr(0, ICR, 0x40061); /* self */
    assert_true(f->cpu[0].intr);
    assert_false(f->cpu[1].intr);
    assert_int_equal(ack(0), 0x61);
    wr(0, ICR, 0xc0062); /* others */
    assert_false(f->cpu[0].intr);
    for (unsigned n = 1; n < 4; n++)
        assert_int_equal(ack(n), 0x62);
    wr(0, ICR, 0x80073); /* all */
    for (unsigned n = 0; n < 4; n++)
        assert_int_equal(ack(n), 0x73);
    wr(0, ICR, 0xc0184); /* lowest priority among the others */
    unsigned got = 0;

    assert_int_equal(ack(0), -1);
    for (unsigned n = 1; n < 4; n++)
        got += ack(n) == 0x84;
    assert_int_equal(got, 1);
}

static void physical_broadcast(void **state UNUSED)
{
    ipi(2, 0xff, 0x44);
    for (unsigned n = 0; n < 4; n++)
        assert_int_equal(ack(n), 0x44);
    ipi(2, 9, 0x44); /* nobody */
    assert_int_equal(rd(2, ICR), 0x44);
    assert_int_equal(rd(2, ICR2), 0x09000000);
}

static void logical_flat(void **state UNUSED)
{
    for (unsigned n = 0; n < 4; n++)
        wr(n, LDR, 1u << (24 + n) | 0x1234);
    assert_int_equal(rd(3, LDR), 0x08000000);
    ipi(0, 0x0a, 0x855);
    assert_int_equal(ack(0), -1);
    assert_int_equal(ack(1), 0x55);
    assert_int_equal(ack(2), -1);
    assert_int_equal(ack(3), 0x55);
    ipi(0, 0xf0, 0x855);
    for (unsigned n = 0; n < 4; n++)
        assert_int_equal(ack(n), -1);
}

static void logical_cluster(void **state UNUSED)
{
    for (unsigned n = 0; n < 4; n++) {
        wr(n, DFR, 0x0fffffff);
        wr(n, LDR, (n / 2 << 4 | 1u << n % 2) << 24);
    }
    ipi(0, 0x13, 0x855); /* cluster 1, members 0 and 1: CPUs 2, 3 */
    assert_int_equal(ack(0), -1);
    assert_int_equal(ack(1), -1);
    assert_int_equal(ack(2), 0x55);
    assert_int_equal(ack(3), 0x55);
    ipi(0, 0x02, 0x866);
    assert_int_equal(ack(1), 0x66);
    ipi(0, 0xff, 0x877);
    for (unsigned n = 0; n < 4; n++)
        assert_int_equal(ack(n), 0x77);
}

static void delivery_modes(void **state UNUSED)
{
    ipi(0, 1, 0x200);
    assert_int_equal(f->cpu[1].smi, 1);
    ipi(0, 1, 0x400);
    assert_int_equal(f->cpu[1].nmi, 1);
    ipi(0, 1, 0x300); /* reserved */
    ipi(0, 1, 0x700); /* ExtINT cannot be sent */
    assert_false(f->cpu[1].intr);
    wr(1, LDR, 0x02000000);
    wr(1, TPR, 0x30);
    ipi(0, 1, 0x40ff & ~0x4000u);
    assert_true(f->cpu[1].intr);
    ipi(0, 1, 0xc500); /* INIT, level, assert */
    assert_int_equal(f->cpu[1].init, 1);
    assert_false(f->cpu[1].intr);
    assert_int_equal(rd(1, LDR), 0);
    assert_int_equal(rd(1, TPR), 0);
    assert_int_equal(rd(1, SVR), 0xff);
    assert_int_equal(rd(1, ID), 0x01000000);
    ipi(0, 1, 0x8500); /* de-assert does nothing */
    assert_int_equal(f->cpu[1].init, 1);
    ipi(0, 1, 0x69a);
    assert_int_equal(f->cpu[1].sipi, 1);
    assert_int_equal(f->cpu[1].sipi_vector, 0x9a);
    wr(0, ICR, 0xc4500); /* INIT to all others */
    assert_int_equal(f->cpu[0].init, 0);
    assert_int_equal(f->cpu[3].init, 1);
}

static void lowest_priority(void **state UNUSED)
{
    unsigned got[4] = {0};

    for (unsigned n = 0; n < 4; n++)
        wr(n, LDR, 1u << (24 + n));
    wr(0, TPR, 0x80);
    wr(1, TPR, 0x40);
    wr(2, TPR, 0x60);
    wr(3, TPR, 0x70);
    msi(0x0f00c, 0x191); /* logical 0x0f, redirectable */
    assert_int_equal(ack(1), 0x91);
    wr(1, EOI, 0);
    for (unsigned n = 0; n < 4; n++)
        wr(n, TPR, 0);
    for (unsigned i = 0; i < 8; i++) { /* a tie goes round */
        msi(0x0f00c, 0x191);
        for (unsigned n = 0; n < 4; n++)
            if (ack(n) == 0x91) {
                got[n]++;
                wr(n, EOI, 0);
            }
    }
    for (unsigned n = 0; n < 4; n++)
        assert_int_equal(got[n], 2);
}

/* A CPU with the vector in service is the focus, however busy. */
static void focus(void **state UNUSED)
{
    for (unsigned n = 0; n < 4; n++)
        wr(n, LDR, 1u << (24 + n));
    ipi(0, 2, 0x91);
    assert_int_equal(ack(2), 0x91);
    msi(0x0f00c, 0x191);
    assert_true(in(2, IRR, 0x91));
    wr(2, SVR, 0x3ff); /* focus checking off */
    wr(2, EOI, 0);
    assert_int_equal(ack(2), 0x91);
    for (unsigned i = 0; i < 3; i++)
        msi(0x0f00c, 0x191);
    assert_false(in(2, IRR, 0x91));
}

static void messages(void **state UNUSED)
{
    msi(0x03000, 0x0041);
    assert_int_equal(ack(3), 0x41);
    wr(3, EOI, 0);
    msi(0xff000, 0x0042);
    for (unsigned n = 0; n < 4; n++)
        assert_int_equal(ack(n), 0x42);
    msi(0x01000, 0x0400);
    assert_int_equal(f->cpu[1].nmi, 1);
    msi(0x01000, 0x0200);
    assert_int_equal(f->cpu[1].smi, 1);
    msi(0x01000, 0x0500);
    assert_int_equal(f->cpu[1].init, 1);
    msi(0x01000, 0x0600); /* no start-up by MSI */
    assert_int_equal(f->cpu[1].sipi, 0);
    msi(0x02000, 0x8045); /* level, de-assert */
    assert_false(in(2, IRR, 0x45));
    f->env.msi.send(f->env.msi.ctx, 0xfed02000, 0x46); /* not an MSI */
    assert_int_equal(ack(2), -1);
}

static void illegal_vectors(void **state UNUSED)
{
    wr(0, LVTERR, 0xe0);
    ipi(0, 1, 0x0f);
    assert_false(f->cpu[1].intr);
    assert_int_equal(ack(0), 0xe0);
    wr(0, EOI, 0);
    assert_int_equal(rd(0, ESR), 0); /* not until it is written */
    wr(0, ESR, 0);
    assert_int_equal(rd(0, ESR), 0x20);
    wr(0, ESR, 0);
    assert_int_equal(rd(0, ESR), 0);
    msi(0, 0x08);
    wr(0, ESR, 0);
    assert_int_equal(rd(0, ESR), 0x40);
    assert_int_equal(ack(0), 0xe0);
    wr(0, EOI, 0);
    assert_int_equal(rd(0, 0x40), 0); /* no such register */
    wr(0, 0x3f0, 1);
    wr(0, ESR, 0);
    assert_int_equal(rd(0, ESR), 0x80);
    wr(0, LVTERR, 0x05); /* an error in reporting errors: no end */
    ipi(0, 1, 0x0f);
    wr(0, ESR, 0);
    assert_int_equal(rd(0, ESR), 0x60);
}

static void redirection_hint(void **state UNUSED)
{
    unsigned got = 0;

    for (unsigned n = 0; n < 4; n++)
        wr(n, LDR, 1u << (24 + n));
    msi(0x0f00c, 0x0091); /* fixed, but with the hint: one of them */
    for (unsigned n = 0; n < 4; n++)
        got += ack(n) == 0x91;
    assert_int_equal(got, 1);
    for (unsigned n = 0; n < 4; n++)
        wr(n, EOI, 0);
    msi(0x0f004, 0x0092); /* without: all */
    for (unsigned n = 0; n < 4; n++)
        assert_int_equal(ack(n), 0x92);
    for (unsigned n = 0; n < 4; n++) {
        wr(n, EOI, 0);
        wr(n, SVR, n == 2 ? 0x1ff : 0xff);
    }
    msi(0x0f00c, 0x193); /* those that are disabled do not take part */
    msi(0x0f00c, 0x193);
    assert_int_equal(ack(2), 0x93);
    wr(2, SVR, 0xff);
    msi(0x0f00c, 0x194);
    for (unsigned n = 0; n < 4; n++)
        assert_false(in(n, IRR, 0x94));
}

static void init_with_edge(void **state UNUSED)
{
    ipi(0, 1, 0x500); /* edge: the level does not matter */
    assert_int_equal(f->cpu[1].init, 1);
    ipi(0, 1, 0x4500);
    assert_int_equal(f->cpu[1].init, 2);
}

static void first_vector(void **state UNUSED)
{
    ipi(0, 1, 16);
    assert_true(in(1, IRR, 16));
    wr(0, ESR, 0);
    assert_int_equal(rd(0, ESR), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        LAPIC_TEST(shorthands),      LAPIC_TEST(physical_broadcast),
        LAPIC_TEST(logical_flat),    LAPIC_TEST(logical_cluster),
        LAPIC_TEST(delivery_modes),  LAPIC_TEST(lowest_priority),
        LAPIC_TEST(focus),           LAPIC_TEST(messages),
        LAPIC_TEST(illegal_vectors), LAPIC_TEST(redirection_hint),
        LAPIC_TEST(init_with_edge),  LAPIC_TEST(first_vector),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
