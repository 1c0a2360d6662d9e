/* MSI and MSI-X by routes (struct msi_routes), masks and pending bits. */
#include "pci_toy.h"

enum { TOY = PCI_DEVFN(5, 0), MSIX = 0x40, VECTORS = 4 };
enum { BASE = 0xe0000000, PBA = BASE + 0x800 };

struct msi_route {
    struct rig *rig;
    bool open;
    uint64_t address;
    uint32_t data;
    unsigned signals;
};

struct rig {
    struct board *b;
    struct dev *host, *isa;
    struct toy *t;
    unsigned opens, aims, closes;
    bool refuse;
    struct msi_route route[2];
};

static struct msi_route *route_open(void *ctx, uint64_t address, uint32_t data)
{
    struct rig *r = ctx;

    r->opens++;
    for (unsigned n = 0; n < ARRAY_LEN(r->route); n++)
        if (!r->route[n].open && !r->refuse) {
            r->route[n] = (struct msi_route){r, true, address, data, 0};
            return &r->route[n];
        }
    return NULL;
}

static bool route_aim(struct msi_route *route, uint64_t address, uint32_t data)
{
    assert_true(route->open);
    route->rig->aims++;
    if (route->rig->refuse)
        return false;
    route->address = address;
    route->data = data;
    return true;
}

static void route_signal(struct msi_route *route)
{
    assert_true(route->open);
    route->signals++;
}

static void route_close(struct msi_route *route)
{
    assert_true(route->open);
    route->open = false;
    route->rig->closes++;
}

static const struct msi_routes routes = {route_open, route_aim, route_signal,
                                         route_close};

static struct rig *make(unsigned msi, unsigned msix)
{
    struct rig *r = calloc(1, sizeof *r);

    r->b = board_new();
    r->b->env.engine_apics.routes = &routes;
    r->b->env.engine_apics.ctx = r;
    r->host = board_add(r->b, &i440fx_class, "host");
    r->isa = board_add(r->b, &piix3_class, "isa");
    r->t = toy_add(r->b, 5, msi, msix);
    if (msix)
        conf_write(r->b, TOY, 0x20, BASE, 4);
    conf_write(r->b, TOY, PCI_COMMAND, PCI_CMD_MASTER | PCI_CMD_MEM, 2);
    return r;
}

static void destroy(struct rig *r)
{
    board_remove(r->t);
    for (unsigned n = 0; n < ARRAY_LEN(r->route); n++)
        assert_false(r->route[n].open);
    board_remove(r->isa);
    board_remove(r->host);
    board_free(r->b);
    free(r);
}

static void entry(struct rig *r, unsigned n, uint32_t data, bool masked)
{
    mem_write(r->b, BASE + 16 * n, 0xfee00000, 8);
    mem_write(r->b, BASE + 16 * n + 8, (uint64_t)masked << 32 | data, 8);
}

static struct rig *with_msix(void)
{
    struct rig *r = make(0, VECTORS);

    conf_write(r->b, TOY, MSIX + 2, 0x8000, 2);
    for (unsigned n = 0; n < VECTORS; n++)
        entry(r, n, 0x50 + n, false);
    return r;
}

static void send(struct rig *r, unsigned n, unsigned times)
{
    while (times--)
        pci_msix_send(&r->t->pci, n);
}

/* The second of the same message opens the route; a vector has its own. */
static void second_takes_route(void **state)
{
    struct rig *r = with_msix();

    (void)state;
    send(r, 1, 1);
    assert_int_equal(r->b->nmsi, 1);
    assert_int_equal(r->opens, 0);
    send(r, 1, 3);
    assert_int_equal(r->b->nmsi, 1);
    assert_int_equal(r->opens, 1);
    assert_int_equal(r->route[0].signals, 3);
    assert_int_equal(r->route[0].address, 0xfee00000);
    assert_int_equal(r->route[0].data, 0x51);
    send(r, 2, 2);
    assert_int_equal(r->route[1].data, 0x52);
    assert_int_equal(r->route[1].signals, 1);
    destroy(r);
    /* Both were closed with the device: destroy() has looked. */
}

/* A new message goes as such once, then the route is aimed at it. */
static void rewritten(void **state)
{
    struct rig *r = with_msix();

    (void)state;
    send(r, 1, 2);
    entry(r, 1, 0x61, false);
    send(r, 1, 1);
    assert_int_equal(r->b->nmsi, 2);
    assert_int_equal(r->b->msi[1].data, 0x61);
    assert_int_equal(r->aims, 0);
    send(r, 1, 2);
    assert_int_equal(r->b->nmsi, 2);
    assert_int_equal(r->aims, 1);
    assert_int_equal(r->route[0].data, 0x61);
    assert_int_equal(r->route[0].signals, 3);
    /* Written as it was: nothing changes. */
    entry(r, 1, 0x61, false);
    send(r, 1, 1);
    assert_int_equal(r->route[0].signals, 4);
    assert_int_equal(r->opens, 1);
    destroy(r);
}

static void masked(void **state)
{
    struct rig *r = with_msix();

    (void)state;
    send(r, 1, 2);
    mem_write(r->b, BASE + 16 + 12, 1, 4);
    send(r, 1, 2);
    assert_int_equal(r->route[0].signals, 1);
    assert_int_equal(mem_read(r->b, PBA, 4), 2);
    mem_write(r->b, BASE + 16 + 12, 0, 4);
    assert_int_equal(r->route[0].signals, 2); /* once, by its route */
    assert_int_equal(mem_read(r->b, PBA, 4), 0);
    conf_write(r->b, TOY, MSIX + 2, 0xc000, 2); /* all of them */
    send(r, 1, 1);
    assert_int_equal(r->route[0].signals, 2);
    mem_write(r->b, BASE + 16 + 8, 0x71, 4); /* rewritten while pending */
    conf_write(r->b, TOY, MSIX + 2, 0x8000, 2);
    assert_int_equal(r->route[0].signals, 2);
    assert_int_equal(r->b->nmsi, 2);
    assert_int_equal(r->b->msi[1].data, 0x71);
    destroy(r);
}

static void not_master(void **state)
{
    struct rig *r = with_msix();

    (void)state;
    send(r, 1, 2);
    conf_write(r->b, TOY, PCI_COMMAND, PCI_CMD_MEM, 2);
    send(r, 1, 1);
    assert_int_equal(r->route[0].signals, 1);
    destroy(r);
}

/* No route to be had is asked for once, until the message is another. */
static void runs_out(void **state)
{
    struct rig *r = with_msix();

    (void)state;
    send(r, 0, 2);
    send(r, 1, 2);
    assert_int_equal(r->b->nmsi, 2);
    send(r, 2, 5);
    assert_int_equal(r->b->nmsi, 7);
    assert_int_equal(r->opens, 3);
    r->refuse = true;
    entry(r, 0, 0x70, false);
    send(r, 0, 5);
    assert_int_equal(r->b->nmsi, 12);
    assert_int_equal(r->b->msi[11].data, 0x70);
    assert_int_equal(r->aims, 1);
    entry(r, 0, 0x50, false); /* as the route still is, but who knows */
    r->refuse = false;
    send(r, 0, 2);
    assert_int_equal(r->route[0].signals, 2);
    destroy(r);
}

/* A vector may lie in RAM, which no route leads to. */
static void to_memory(void **state)
{
    struct rig *r = with_msix();

    (void)state;
    mem_write(r->b, BASE + 16, 0x1000, 8);
    send(r, 1, 3);
    assert_int_equal(mem_read(r->b, 0x1000, 4), 0x51);
    assert_int_equal(r->b->nmsi + r->opens, 0);
    destroy(r);
}

/* A reset leaves the route to whoever programs the vector next. */
static void reset(void **state)
{
    struct rig *r = with_msix();

    (void)state;
    send(r, 1, 2);
    r->t->dev.cls->reset(&r->t->dev, false);
    send(r, 1, 1);
    assert_int_equal(r->route[0].signals, 1);
    assert_true(r->route[0].open);
    destroy(r);
    /* closed once */
}

static void msi(void **state)
{
    struct rig *r = make(4, 0);

    (void)state;
    conf_write(r->b, TOY, 0x44, 0xfee01000, 4);
    conf_write(r->b, TOY, 0x4c, 0x30, 2);
    conf_write(r->b, TOY, 0x42, 2 << 4 | 1, 2);
    for (unsigned n = 0; n < 3; n++)
        pci_msi_send(&r->t->pci, 0);
    assert_int_equal(r->b->nmsi, 1);
    assert_int_equal(r->route[0].signals, 2);
    assert_int_equal(r->route[0].address, 0xfee01000);
    for (unsigned n = 0; n < 3; n++) /* the others go without */
        pci_msi_send(&r->t->pci, 3);
    assert_int_equal(r->b->nmsi, 4);
    assert_int_equal(r->b->msi[3].data, 0x33);
    pci_msi_send(&r->t->pci, 0);
    assert_int_equal(r->route[0].signals, 3);
    destroy(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(second_takes_route),
        cmocka_unit_test(rewritten),
        cmocka_unit_test(masked),
        cmocka_unit_test(not_master),
        cmocka_unit_test(runs_out),
        cmocka_unit_test(to_memory),
        cmocka_unit_test(reset),
        cmocka_unit_test(msi),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
