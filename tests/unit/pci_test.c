#include "pci_toy.h"

enum { TOY = PCI_DEVFN(5, 0) };

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
    r->t = toy_add(r->b, 5, 0, 0);
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

static void identification(void **state)
{
    struct board *b = ((struct rig *)*state)->b;

    assert_int_equal(conf_read(b, TOY, 0, 4), 0x56781234);
    assert_int_equal(conf_read(b, TOY, 8, 4), 0x0880ff07);
    assert_int_equal(conf_read(b, TOY, 0x2c, 4), 0x11001af4);
    assert_int_equal(conf_read(b, TOY, 0x3d, 1), 1);
    assert_int_equal(conf_read(b, TOY, 2, 2), 0x5678);
    assert_int_equal(conf_read(b, TOY, 3, 1), 0x56);
    conf_write(b, TOY, 0, 0, 4);
    assert_int_equal(conf_read(b, TOY, 0, 4), 0x56781234);
    assert_int_equal(conf_read(b, PCI_DEVFN(9, 0), 0, 4), 0xffffffff);
    assert_int_equal(conf_read(b, PCI_DEVFN(5, 1), 0, 2), 0xffff);
}

static void mechanism_1(void **state)
{
    struct board *b = ((struct rig *)*state)->b;

    /* Only dwords reach CONFIG_ADDRESS; reserved bits read as zero. */
    out(b, 0xcf8, 0xffffffff, 4);
    assert_int_equal(in(b, 0xcf8, 4), 0x80fffffc);
    out(b, 0xcf8, 0, 1);
    out(b, 0xcfa, 0, 2);
    assert_int_equal(in(b, 0xcf8, 4), 0x80fffffc);
    assert_int_equal(in(b, 0xcf8, 2), 0xffff);

    /* Not enabled, or another bus: nobody answers. */
    out(b, 0xcf8, TOY << 8, 4);
    assert_int_equal(in(b, 0xcfc, 4), 0xffffffff);
    out(b, 0xcf8, 0x80010000 | TOY << 8, 4);
    assert_int_equal(in(b, 0xcfc, 4), 0xffffffff);

    /* Bytes, words and unaligned words in the window. */
    out(b, 0xcf8, 0x80000000 | TOY << 8, 4);
    assert_int_equal(in(b, 0xcfd, 1), 0x12);
    assert_int_equal(in(b, 0xcfe, 2), 0x5678);
    assert_int_equal(in(b, 0xcfd, 2), 0x7812);
}

static void aborts_are_noted(void **state)
{
    struct board *b = ((struct rig *)*state)->b;

    conf_read(b, PCI_DEVFN(20, 0), 0, 4);
    assert_true(conf_read(b, 0, PCI_STATUS, 2) & PCI_STS_MASTER_ABORT);
    conf_write(b, 0, PCI_STATUS, PCI_STS_MASTER_ABORT, 2);
    assert_false(conf_read(b, 0, PCI_STATUS, 2) & PCI_STS_MASTER_ABORT);
}

static void bar_sizing(void **state)
{
    struct board *b = ((struct rig *)*state)->b;
    static const struct {
        unsigned off;
        uint32_t size_mask;
    } want[] = {
        {0x10, 0xffffffe1}, {0x14, 0xfffff000}, {0x18, 0xff00000c},
        {0x1c, 0xffffffff}, {0x20, 0},          {0x30, 0xfffff801},
    };

    for (unsigned i = 0; i < ARRAY_LEN(want); i++) {
        conf_write(b, TOY, want[i].off, 0xffffffff, 4);
        assert_int_equal(conf_read(b, TOY, want[i].off, 4), want[i].size_mask);
    }
}

static void bar_decoding(void **state)
{
    struct rig *r = *state;
    struct board *b = r->b;
    uint64_t base;

    conf_write(b, TOY, 0x10, 0xc000, 4);
    conf_write(b, TOY, 0x14, 0xe0000000, 4);
    conf_write(b, TOY, 0x18, 0x00000000, 4);
    conf_write(b, TOY, 0x1c, 0x12, 4);
    assert_int_equal(in(b, 0xc004, 1), 0xff);
    assert_int_equal(mem_read(b, 0xe0000010, 1), 0xff);

    conf_write(b, TOY, PCI_COMMAND, PCI_CMD_IO, 2);
    assert_int_equal(in(b, 0xc004, 1), 0xa4);
    assert_int_equal(mem_read(b, 0xe0000010, 1), 0xff);

    conf_write(b, TOY, PCI_COMMAND, PCI_CMD_IO | PCI_CMD_MEM, 2);
    assert_int_equal(mem_read(b, 0xe0000010, 1), 0xb0);
    assert_int_equal(mem_read(b, 0x1200000020, 1), 0xc0);
    assert_true(pci_bar_base(&r->t->pci, 2, &base));
    assert_int_equal(base, 0x1200000000);

    /* Moving a live BAR leaves nothing behind. */
    conf_write(b, TOY, 0x14, 0xe0001000, 4);
    assert_int_equal(mem_read(b, 0xe0000010, 1), 0xff);
    mem_write(b, 0xe0001008, 0x1234, 2);
    assert_int_equal(r->t->last_off, 8);
    assert_int_equal(r->t->last_value, 0x1234);

    /* The ROM has an enable bit of its own. */
    conf_write(b, TOY, 0x30, 0xe0100000, 4);
    assert_int_equal(mem_read(b, 0xe0100000, 2), 0xffff);
    conf_write(b, TOY, 0x30, 0xe0100001, 4);
    assert_int_equal(mem_read(b, 0xe0100000, 2), 0xaa55);

    r->t->dev.cls->reset(&r->t->dev, false);
    assert_int_equal(in(b, 0xc004, 1), 0xff);
    assert_int_equal(mem_read(b, 0xe0001008, 1), 0xff);
    assert_int_equal(conf_read(b, TOY, 0x14, 4), 0);
    assert_int_equal(conf_read(b, TOY, 0x18, 4), 0xc);
}

/* A guest may put a BAR anywhere; RAM and the board's chips win. */
static void bar_hostile_places(void **state)
{
    struct rig *r = *state;
    struct board *b = r->b;

    conf_write(b, TOY, PCI_COMMAND, PCI_CMD_IO | PCI_CMD_MEM, 2);
    mem_write(b, 0x200000, 0x77, 1);
    conf_write(b, TOY, 0x14, 0x200000, 4);
    assert_int_equal(mem_read(b, 0x200000, 1), 0x77);
    conf_write(b, TOY, 0x10, 0xce0, 4);
    out(b, 0xcf8, 0x80000000, 4);
    assert_int_equal(in(b, 0xcf8, 4), 0x80000000);
    assert_int_equal(in(b, 0xce1, 1), 0xa1);
    /* Beyond what the address space holds: not decoded. */
    conf_write(b, TOY, 0x10, 0x12340000, 4);
    conf_write(b, TOY, 0x18, 0xff000000, 4);
    conf_write(b, TOY, 0x1c, 0xffffffff, 4);
    assert_int_equal(mem_read(b, 0xffffffffff000000, 1), 0xff);
    assert_false(pci_bar_base(&r->t->pci, 2, &(uint64_t){0}));
    /* All ones with decoding on, as sizing does it. */
    conf_write(b, TOY, 0x14, 0xffffffff, 4);
    assert_int_equal(mem_read(b, 0xfffff000, 1), 0xa0);
}

static void misdeclared_bars(void **state)
{
    struct rig *r = *state;
    struct toy t = {0};
    struct region odd = {.size = 24, .ops = &toy_ops};
    struct region tiny = {.size = 8, .ops = &toy_ops};
    struct region page = {.size = 4096, .ops = &toy_ops};
    struct err e;

    t.dev = (struct dev){.cls = &toy_class, .id = "t2", .env = &r->b->env};
    assert_int_equal(pci_attach(&t.pci, &t.dev, &toy_id, NULL, -1, &e), 0);
    assert_int_equal(pci_add_bar(&t.pci, 0, PCI_BAR_MEM32, &odd), -LE_USAGE);
    assert_int_equal(pci_add_bar(&t.pci, 0, PCI_BAR_MEM32, &tiny), -LE_USAGE);
    assert_int_equal(pci_add_bar(&t.pci, 0, PCI_BAR_IO, &page), -LE_USAGE);
    assert_int_equal(pci_add_bar(&t.pci, 5, PCI_BAR_MEM64, &page), -LE_USAGE);
    assert_int_equal(pci_add_bar(&t.pci, 7, PCI_BAR_MEM32, &page), -LE_USAGE);
    assert_int_equal(pci_add_bar(&t.pci, 0, PCI_BAR_MEM64, &page), 0);
    assert_int_equal(pci_add_bar(&t.pci, 1, PCI_BAR_MEM32, &page), -LE_USAGE);
    pci_detach(&t.pci);
}

static void places(void **state)
{
    struct rig *r = *state;
    struct board *b = r->b;
    struct toy *first = toy_add(b, 0, 0, 0);
    struct toy *taken = board_make(b, &toy_class, "taken");
    struct err e = {0};

    assert_int_equal(PCI_SLOT(first->pci.devfn), 2); /* 0, 1 are bridges */
    taken->pci.slot = 5;
    assert_int_equal(toy_class.attach(&taken->dev, &b->env, &e), -LE_BUSY);
    assert_non_null(strstr(e.text, "toy"));
    taken->pci.slot = 40;
    assert_int_equal(toy_class.attach(&taken->dev, &b->env, &e), -LE_USAGE);
    free(taken);

    struct toy *more[32];
    unsigned n = 0;
    while (n < 28)
        more[n++] = toy_add(b, 0, 0, 0);
    struct toy *last = board_make(b, &toy_class, "last");
    assert_int_equal(toy_class.attach(&last->dev, &b->env, &e), -LE_NOSPACE);
    free(last);
    while (n)
        board_remove(more[--n]);
    board_remove(first);
}

static void multifunction_bit(void **state)
{
    struct rig *r = *state;
    struct toy second = {0};
    struct err e;

    assert_int_equal(conf_read(r->b, TOY, PCI_HEADER, 1), 0);
    second.dev =
        (struct dev){.cls = &toy_class, .id = "fn1", .env = &r->b->env};
    assert_int_equal(pci_attach(&second.pci, &second.dev, &toy_id, NULL,
                                PCI_DEVFN(5, 1), &e),
                     0);
    assert_int_equal(conf_read(r->b, TOY, PCI_HEADER, 1), 0x80);
    assert_int_equal(conf_read(r->b, TOY + 1, PCI_HEADER, 1), 0);
    r->t->dev.cls->reset(&r->t->dev, true);
    assert_int_equal(conf_read(r->b, TOY, PCI_HEADER, 1), 0x80);
    pci_detach(&second.pci);
}

static void no_bus(void **state)
{
    struct board *b = board_new();
    struct toy *t = board_make(b, &toy_class, "alone");
    struct err e = {0};

    (void)state;
    assert_int_equal(toy_class.attach(&t->dev, &b->env, &e), -LE_STATE);
    free(t);
    board_free(b);
}

/* Slot 5 pin A is PIRQ A on this board: (5 + 0 + 3) mod 4. */
static void intx(void **state)
{
    struct rig *r = *state;
    struct board *b = r->b;
    enum { ISA = PCI_DEVFN(1, 0) };

    assert_int_equal(pci_bus_pirq(b->env.pci, 5, 1), 0);
    conf_write(b, ISA, 0x60, 10, 1);
    pci_set_intx(&r->t->pci, true);
    assert_true(b->isa[10]);
    assert_true(conf_read(b, TOY, PCI_STATUS, 2) & PCI_STS_INTX);

    /* Two devices on one line. */
    struct toy *u = toy_add(b, 9, 0, 0);
    pci_set_intx(&u->pci, true);
    pci_set_intx(&r->t->pci, false);
    assert_true(b->isa[10]);
    pci_set_intx(&u->pci, false);
    assert_false(b->isa[10]);
    assert_int_equal(b->isa_rises[10], 1);

    /* Interrupt disable silences the pin, not the status bit. */
    conf_write(b, TOY, PCI_COMMAND, PCI_CMD_INTX_OFF, 2);
    pci_set_intx(&r->t->pci, true);
    assert_false(b->isa[10]);
    assert_true(conf_read(b, TOY, PCI_STATUS, 2) & PCI_STS_INTX);
    conf_write(b, TOY, PCI_COMMAND, 0, 2);
    assert_true(b->isa[10]);

    /* Taking a device away releases its line. */
    pci_set_intx(&u->pci, true);
    board_remove(u);
    assert_true(b->isa[10]);
    r->t->dev.cls->reset(&r->t->dev, true);
    assert_false(b->isa[10]);
}

static void swizzle(void **state)
{
    struct pci_bus *bus = ((struct rig *)*state)->b->env.pci;

    assert_int_equal(pci_bus_pirq(bus, 1, 1), 0);
    assert_int_equal(pci_bus_pirq(bus, 2, 1), 1);
    assert_int_equal(pci_bus_pirq(bus, 3, 2), 3);
    assert_int_equal(pci_bus_pirq(bus, 4, 2), 0);
}

static void dma(void **state)
{
    struct rig *r = *state;
    struct board *b = r->b;
    uint8_t buf[4] = {1, 2, 3, 4};
    struct span s;

    assert_int_equal(pci_store(&r->t->pci, 0x300000, buf, 4), -LE_STATE);
    assert_int_equal(pci_load(&r->t->pci, 0x300000, buf, 4), -LE_STATE);
    assert_int_equal(pci_span(&r->t->pci, 0x300000, 4, &s), -LE_STATE);
    assert_int_equal(mem_read(b, 0x300000, 4), 0);
    conf_write(b, TOY, PCI_COMMAND, PCI_CMD_MASTER, 2);
    assert_int_equal(pci_store(&r->t->pci, 0x300000, buf, 4), 0);
    assert_int_equal(mem_read(b, 0x300000, 4), 0x04030201);
    assert_int_equal(pci_span(&r->t->pci, 0x300000, 4, &s), 0);
    assert_ptr_equal(s.p, b->env.ram + 0x300000);
    assert_int_equal(pci_load(&r->t->pci, 0xf0000000, buf, 4), -LE_RANGE);
    assert_int_equal(buf[0], 0xff);
    assert_true(conf_read(b, TOY, PCI_STATUS, 2) & PCI_STS_MASTER_ABORT);
    conf_write(b, TOY, PCI_STATUS, 0xffff, 2);
    assert_int_equal(conf_read(b, TOY, PCI_STATUS, 2), 0);
}

static void capabilities(void **state)
{
    struct rig *r = *state;
    struct board *b = r->b;
    struct pci_dev *p = &r->t->pci;

    assert_int_equal(conf_read(b, TOY, PCI_CAPS, 1), 0);
    uint8_t one = pci_add_cap(p, PCI_CAP_VENDOR, 7);
    uint8_t two = pci_add_cap(p, PCI_CAP_VENDOR, 100);
    assert_int_equal(one, 0x40);
    assert_int_equal(two, 0x48);
    assert_int_equal(pci_add_cap(p, 1, 100), 0);
    uint8_t three = pci_add_cap(p, 1, 0x100 - 0xac);
    assert_int_equal(three, 0xac);
    assert_int_equal(pci_add_cap(p, 1, 2), 0);
    assert_true(conf_read(b, TOY, PCI_STATUS, 2) & PCI_STS_CAPS);
    assert_int_equal(conf_read(b, TOY, PCI_CAPS, 1), 0x40);
    assert_int_equal(conf_read(b, TOY, 0x40, 2), 0x4809);
    assert_int_equal(conf_read(b, TOY, 0x48, 2), 0xac09);
    assert_int_equal(conf_read(b, TOY, 0xac, 2), 0x0001);
    conf_write(b, TOY, 0x40, 0xffffffff, 4);
    assert_int_equal(conf_read(b, TOY, 0x40, 4), 0x00004809);
    pci_set_reg(p, (struct pci_reg){0x44, 2, 0x1234, 0x00ff, 0x0100});
    conf_write(b, TOY, 0x44, 0xffff, 2);
    assert_int_equal(conf_read(b, TOY, 0x44, 2), 0x12ff);
}

/* What is read-only stays as it was, whatever a snapshot says. */
static void loaded(void **state)
{
    struct rig *r = *state;
    struct board *b = r->b;
    struct pci_dev *p = &r->t->pci;

    memset(p->config, 0xff, sizeof p->config);
    p->intx = false;
    assert_int_equal(pci_loaded(p), 0);
    assert_int_equal(conf_read(b, TOY, 0, 4), 0x56781234);
    assert_int_equal(conf_read(b, TOY, 0x10, 4), 0xffffffe1);
    assert_int_equal(conf_read(b, TOY, PCI_HEADER, 1), 0);
    assert_int_equal(conf_read(b, TOY, PCI_CAPS, 1), 0);
    assert_int_equal(conf_read(b, TOY, 0x40, 4), 0);
    assert_false(conf_read(b, TOY, PCI_STATUS, 2) & PCI_STS_INTX);
    /* …and what is derived follows: memory decoding is on. */
    assert_int_equal(mem_read(b, 0xfffff000, 1), 0xa0);
}

static void assign(void **state)
{
    struct rig *r = *state;
    struct board *b = r->b;
    struct toy *u = toy_add(b, 6, 0, 2);
    const struct pci_plan plan = {
        0xc000, 0xffff, 0xe0000000, 0xfec00000, {10, 10, 11, 11}};
    struct err e = {0};
    uint64_t base[2], io;

    assert_int_equal(pci_bus_assign(b->env.pci, &plan, &e), 0);
    assert_true(pci_bar_base(&r->t->pci, 2, &base[0]));
    assert_true(pci_bar_base(&u->pci, 2, &base[1]));
    assert_int_equal(base[0], 0xe0000000);
    assert_int_equal(base[1], 0xe1000000);
    assert_true(pci_bar_base(&u->pci, 4, &base[1]));
    assert_true(base[1] >= 0xe2000000);
    assert_true(pci_bar_base(&r->t->pci, 0, &io));
    assert_int_equal(io, 0xc000);
    assert_int_equal(conf_read(b, TOY, PCI_INT_LINE, 1), 10);
    assert_int_equal(conf_read(b, PCI_DEVFN(6, 0), PCI_INT_LINE, 1), 10);
    assert_int_equal(conf_read(b, PCI_DEVFN(1, 0), 0x60, 4), 0x0b0b0a0a);
    pci_set_intx(&r->t->pci, true);
    assert_true(b->isa[10]);

    /* Too small a window is the user's to hear of. */
    const struct pci_plan small = {0xc000, 0xffff, 0xe0000000, 0xe0800000, {0}};
    assert_int_equal(pci_bus_assign(b->env.pci, &small, &e), -LE_NOSPACE);
    assert_true(e.text[0]);
    board_remove(u);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(identification),
        T(mechanism_1),
        T(aborts_are_noted),
        T(bar_sizing),
        T(bar_decoding),
        T(bar_hostile_places),
        T(places),
        T(misdeclared_bars),
        T(multifunction_bit),
        T(intx),
        T(swizzle),
        T(dma),
        T(capabilities),
        T(loaded),
        T(assign),
        cmocka_unit_test(no_bus),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
