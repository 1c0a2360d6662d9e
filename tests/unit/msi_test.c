#include "pci_toy.h"

enum { TOY = PCI_DEVFN(5, 0), CAP = 0x40 };

struct rig {
    struct board *b;
    struct dev *host, *isa;
    struct toy *t;
};

static int setup(void **state)
{
    struct rig *r = calloc(1, sizeof *r);

    r->b = board_new();
    r->host = board_add(r->b, &i440fx_class, "host");
    r->isa = board_add(r->b, &piix3_class, "isa");
    r->t = toy_add(r->b, 5, 8, 0);
    conf_write(r->b, TOY, PCI_COMMAND, PCI_CMD_MASTER, 2);
    conf_write(r->b, TOY, CAP + 4, 0xfee01004, 4);
    conf_write(r->b, TOY, CAP + 12, 0x4140, 2);
    *state = r;
    return 0;
}

static int teardown(void **state)
{
    struct rig *r = *state;

    board_remove(r->t);
    board_remove(r->isa);
    board_remove(r->host);
    board_free(r->b);
    free(r);
    return 0;
}

/* Grants 2^log vectors and turns MSI on. */
static void enable(struct board *b, unsigned log)
{
    conf_write(b, TOY, CAP + 2, log << 4 | 1, 2);
}

static void layout(void **state)
{
    struct rig *r = *state;
    struct board *b = r->b;

    assert_int_equal(conf_read(b, TOY, PCI_CAPS, 1), CAP);
    assert_int_equal(conf_read(b, TOY, CAP, 1), 5);
    /* 64-bit, maskable, 8 vectors wanted. */
    assert_int_equal(conf_read(b, TOY, CAP + 2, 2), 0x186);
    conf_write(b, TOY, CAP + 4, 0xffffffff, 4);
    assert_int_equal(conf_read(b, TOY, CAP + 4, 4), 0xfffffffc);
    conf_write(b, TOY, CAP + 16, 0xffffffff, 4);
    assert_int_equal(conf_read(b, TOY, CAP + 16, 4), 0xff);
    conf_write(b, TOY, CAP + 20, 0xffffffff, 4);
    assert_int_equal(conf_read(b, TOY, CAP + 20, 4), 0);
}

static void sends(void **state)
{
    struct rig *r = *state;
    struct board *b = r->b;

    pci_msi_send(&r->t->pci, 0);
    assert_int_equal(b->nmsi, 0); /* off */
    enable(b, 3);
    pci_msi_send(&r->t->pci, 5);
    assert_int_equal(b->nmsi, 1);
    assert_int_equal(b->msi[0].address, 0xfee01004);
    assert_int_equal(b->msi[0].data, 0x4145);
    /* Granted fewer than wanted: vectors fold, the data bits stay. */
    enable(b, 1);
    pci_msi_send(&r->t->pci, 5);
    assert_int_equal(b->msi[1].data, 0x4141);
    /* Granted more than wanted: only what was wanted counts. */
    enable(b, 7);
    conf_write(b, TOY, CAP + 12, 0xffff, 2);
    pci_msi_send(&r->t->pci, 2);
    assert_int_equal(b->msi[2].data, 0xfffa);
}

static void masks(void **state)
{
    struct rig *r = *state;
    struct board *b = r->b;

    enable(b, 3);
    conf_write(b, TOY, CAP + 16, 0x6, 4);
    pci_msi_send(&r->t->pci, 1);
    pci_msi_send(&r->t->pci, 1);
    pci_msi_send(&r->t->pci, 2);
    pci_msi_send(&r->t->pci, 3);
    assert_int_equal(b->nmsi, 1);
    assert_int_equal(conf_read(b, TOY, CAP + 20, 4), 0x6);
    conf_write(b, TOY, CAP + 16, 0x4, 4);
    assert_int_equal(b->nmsi, 2);
    assert_int_equal(b->msi[1].data, 0x4141);
    assert_int_equal(conf_read(b, TOY, CAP + 20, 4), 0x4);
    conf_write(b, TOY, CAP + 16, 0, 1);
    assert_int_equal(b->nmsi, 3);
    assert_int_equal(b->msi[2].data, 0x4142);
    assert_int_equal(conf_read(b, TOY, CAP + 20, 4), 0);
}

static void replaces_the_pin(void **state)
{
    struct rig *r = *state;
    struct board *b = r->b;

    conf_write(b, PCI_DEVFN(1, 0), 0x60, 10, 1);
    pci_set_intx(&r->t->pci, true);
    assert_true(b->isa[10]);
    enable(b, 0);
    assert_false(b->isa[10]);
    conf_write(b, TOY, CAP + 2, 0, 2);
    assert_true(b->isa[10]);
}

static void is_a_memory_write(void **state)
{
    struct rig *r = *state;
    struct board *b = r->b;

    enable(b, 0);
    /* Elsewhere than at the APICs it writes RAM like any other DMA. */
    conf_write(b, TOY, CAP + 4, 0x400000, 4);
    mem_write(b, 0x400000, ~0ull, 8);
    pci_msi_send(&r->t->pci, 0);
    assert_int_equal(b->nmsi, 0);
    assert_int_equal(mem_read(b, 0x400000, 8), 0xffffffff00004140);
    /* No bus mastering, no messages. */
    conf_write(b, TOY, CAP + 4, 0xfee00000, 4);
    conf_write(b, TOY, PCI_COMMAND, 0, 2);
    pci_msi_send(&r->t->pci, 0);
    assert_int_equal(b->nmsi, 0);
    /* Above 4 GB there are no APICs. */
    conf_write(b, TOY, PCI_COMMAND, PCI_CMD_MASTER, 2);
    conf_write(b, TOY, CAP + 8, 1, 4);
    pci_msi_send(&r->t->pci, 0);
    assert_int_equal(b->nmsi, 0);
}

static void counts(void **state)
{
    struct rig *r = *state;
    struct toy t = {0};
    struct err e;

    t.dev = (struct dev){.cls = &toy_class, .id = "t", .env = &r->b->env};
    assert_int_equal(pci_attach(&t.pci, &t.dev, &toy_id, NULL, -1, &e), 0);
    assert_int_equal(pci_msi_init(&t.pci, 3, &e), -LE_USAGE);
    assert_int_equal(pci_msi_init(&t.pci, 64, &e), -LE_USAGE);
    pci_add_cap(&t.pci, PCI_CAP_VENDOR, 180);
    assert_int_equal(pci_msi_init(&t.pci, 32, &e), -LE_NOSPACE);
    pci_detach(&t.pci);
}

/* A snapshot keeps pending bits, but only of masked vectors. */
static void loaded(void **state)
{
    struct rig *r = *state;
    struct board *b = r->b;

    enable(b, 3);
    conf_write(b, TOY, CAP + 16, 0xf0, 4);
    pci_msi_send(&r->t->pci, 7);
    r->t->pci.config[CAP + 20] |= 1;
    r->t->pci.config[CAP + 23] = 0xff;
    pci_loaded(&r->t->pci);
    assert_int_equal(conf_read(b, TOY, CAP + 20, 4), 0x80);
    conf_write(b, TOY, CAP + 16, 0, 4);
    assert_int_equal(b->nmsi, 1);
    assert_int_equal(b->msi[0].data, 0x4147);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(layout),
        T(sends),
        T(masks),
        T(replaces_the_pin),
        T(is_a_memory_write),
        T(counts),
        T(loaded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
