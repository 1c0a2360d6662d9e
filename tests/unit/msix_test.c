#include "pci_toy.h"

enum { TOY = PCI_DEVFN(5, 0), CAP = 0x40, VECTORS = 20 };
enum { BASE = 0xe0000000, PBA = BASE + 0x800 };

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
    r->t = toy_add(r->b, 5, 0, VECTORS);
    conf_write(r->b, TOY, 0x20, BASE, 4);
    conf_write(r->b, TOY, PCI_COMMAND, PCI_CMD_MASTER | PCI_CMD_MEM, 2);
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

static void control(struct board *b, uint16_t v)
{
    conf_write(b, TOY, CAP + 2, v, 2);
}

static void entry(struct board *b, unsigned n, uint32_t data, bool masked)
{
    mem_write(b, BASE + 16 * n, 0xfee00000 + 0x1000 * n, 8);
    mem_write(b, BASE + 16 * n + 8, (uint64_t)masked << 32 | data, 8);
}

static void layout(void **state)
{
    struct rig *r = *state;
    struct board *b = r->b;

    assert_int_equal(conf_read(b, TOY, CAP, 1), 0x11);
    assert_int_equal(conf_read(b, TOY, CAP + 2, 2), VECTORS - 1);
    assert_int_equal(conf_read(b, TOY, CAP + 4, 4), 4);
    assert_int_equal(conf_read(b, TOY, CAP + 8, 4), 0x804);
    control(b, 0xffff);
    assert_int_equal(conf_read(b, TOY, CAP + 2, 2), 0xc000 | (VECTORS - 1));
    /* All vectors are masked after reset. */
    for (unsigned n = 0; n < VECTORS; n++)
        assert_int_equal(mem_read(b, BASE + 16 * n + 12, 4), 1);
    assert_int_equal(mem_read(b, BASE + 16 * VECTORS + 12, 4), 0);
}

static void table_access(void **state)
{
    struct board *b = ((struct rig *)*state)->b;

    mem_write(b, BASE, ~0ull, 8);
    mem_write(b, BASE + 8, ~0ull, 8);
    assert_int_equal(mem_read(b, BASE, 8), 0xfffffffffffffffc);
    assert_int_equal(mem_read(b, BASE + 8, 4), 0xffffffff);
    assert_int_equal(mem_read(b, BASE + 12, 4), 1);
    /* Beyond the table, and the pending bits: read-only. */
    mem_write(b, BASE + 16 * VECTORS, ~0ull, 8);
    assert_int_equal(mem_read(b, BASE + 16 * VECTORS, 8), 0);
    mem_write(b, BASE + 16 * VECTORS - 4, ~0ull, 8); /* across its end */
    assert_int_equal(mem_read(b, BASE + 16 * VECTORS, 4), 0);
    mem_write(b, PBA, ~0ull, 8);
    assert_int_equal(mem_read(b, PBA, 8), 0);
}

static void sends(void **state)
{
    struct rig *r = *state;
    struct board *b = r->b;

    entry(b, 3, 0x51, false);
    pci_msix_send(&r->t->pci, 3);
    assert_int_equal(b->nmsi, 0); /* off */
    control(b, 0x8000);
    pci_msix_send(&r->t->pci, 3);
    assert_int_equal(b->nmsi, 1);
    assert_int_equal(b->msi[0].address, 0xfee03000);
    assert_int_equal(b->msi[0].data, 0x51);
    pci_msix_send(&r->t->pci, VECTORS);
    pci_msix_send(&r->t->pci, 0xffff);
    assert_int_equal(b->nmsi, 1);
}

static void vector_mask(void **state)
{
    struct rig *r = *state;
    struct board *b = r->b;

    control(b, 0x8000);
    entry(b, 17, 0x52, true);
    pci_msix_send(&r->t->pci, 17);
    pci_msix_send(&r->t->pci, 17);
    assert_int_equal(b->nmsi, 0);
    assert_int_equal(mem_read(b, PBA, 8), 1 << 17);
    mem_write(b, BASE + 16 * 17 + 8, 0x53, 4); /* data alone: still masked */
    assert_int_equal(b->nmsi, 0);
    mem_write(b, BASE + 16 * 17 + 12, 0, 4);
    assert_int_equal(b->nmsi, 1);
    assert_int_equal(b->msi[0].data, 0x53);
    assert_int_equal(mem_read(b, PBA, 8), 0);
    mem_write(b, BASE + 16 * 17 + 12, 1, 4);
    mem_write(b, BASE + 16 * 17 + 12, 0, 4);
    assert_int_equal(b->nmsi, 1); /* once only */
}

static void function_mask(void **state)
{
    struct rig *r = *state;
    struct board *b = r->b;

    control(b, 0xc000);
    entry(b, 0, 0x60, false);
    entry(b, 1, 0x61, true);
    pci_msix_send(&r->t->pci, 0);
    pci_msix_send(&r->t->pci, 1);
    assert_int_equal(mem_read(b, PBA, 4), 3);
    control(b, 0x8000);
    assert_int_equal(b->nmsi, 1);
    assert_int_equal(b->msi[0].data, 0x60);
    assert_int_equal(mem_read(b, PBA, 4), 2);
    pci_msix_clear(&r->t->pci, 1);
    entry(b, 1, 0x61, false);
    assert_int_equal(b->nmsi, 1);
}

static void replaces_the_pin(void **state)
{
    struct rig *r = *state;
    struct board *b = r->b;

    conf_write(b, PCI_DEVFN(1, 0), 0x60, 10, 1);
    pci_set_intx(&r->t->pci, true);
    assert_true(b->isa[10]);
    control(b, 0x8000);
    assert_false(b->isa[10]);
    control(b, 0);
    assert_true(b->isa[10]);
}

static void resets(void **state)
{
    struct rig *r = *state;
    struct board *b = r->b;

    control(b, 0x8000);
    entry(b, 2, 0x70, true);
    pci_msix_send(&r->t->pci, 2);
    r->t->dev.cls->reset(&r->t->dev, false);
    conf_write(b, TOY, 0x20, BASE, 4);
    conf_write(b, TOY, PCI_COMMAND, PCI_CMD_MASTER | PCI_CMD_MEM, 2);
    assert_int_equal(mem_read(b, PBA, 4), 0);
    assert_int_equal(mem_read(b, BASE + 32 + 8, 4), 0);
    assert_int_equal(mem_read(b, BASE + 32 + 12, 4), 1);
    assert_false(pci_msix_on(&r->t->pci));
}

static void loaded(void **state)
{
    struct rig *r = *state;
    struct board *b = r->b;

    memset(r->t->msix.table, 0xff, sizeof r->t->msix.table);
    memset(r->t->msix.pba, 0xff, sizeof r->t->msix.pba);
    pci_loaded(&r->t->pci);
    assert_int_equal(mem_read(b, BASE + 12, 4), 1);
    assert_int_equal(mem_read(b, PBA, 8), (1u << VECTORS) - 1);
}

static void counts(void **state)
{
    struct rig *r = *state;
    struct toy *t = calloc(1, sizeof *t);
    struct err e;

    t->dev = (struct dev){.cls = &toy_class, .id = "t", .env = &r->b->env};
    assert_int_equal(pci_attach(&t->pci, &t->dev, &toy_id, NULL, -1, &e), 0);
    assert_int_equal(pci_msix_init(&t->msix, &t->pci, 0, 0, &e), -LE_USAGE);
    assert_int_equal(pci_msix_init(&t->msix, &t->pci, 129, 0, &e), -LE_USAGE);
    assert_int_equal(pci_msix_init(&t->msix, &t->pci, 128, 0, &e), 0);
    assert_int_equal(pci_msix_init(&t->msix, &t->pci, 8, 0, &e), -LE_USAGE);
    pci_detach(&t->pci);
    free(t);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(layout),      T(table_access),  T(sends),
        T(vector_mask), T(function_mask), T(replaces_the_pin),
        T(resets),      T(loaded),        T(counts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
