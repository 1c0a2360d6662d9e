/* The USB controller and the tablet, as a driver sees them. */
#include "board.h"

#include "hw/usb/xhci.h"

extern const struct dev_class i440fx_class, xhci_class, usb_tablet_class;

enum {
    XHCI = PCI_DEVFN(4, 0),
    BAR = 0xc0000000,
    OP = BAR + XHCI_CAP_SIZE,
    PORTSC1 = OP + XHCI_PORT_REGS,
    IR0 = BAR + XHCI_RUNTIME + 0x20,
    BELLS = BAR + XHCI_DOORBELLS,
    /* Guest memory */
    CONTEXTS = 0x100000,
    COMMANDS = 0x101000,
    EVENTS = 0x102000,
    TABLE = 0x103000,
    INPUT = 0x104000,
    OUTPUT = 0x105000,
    RING0 = 0x106000,
    RING1 = 0x107000,
    DATA = 0x108000,
    EVENT_TRBS = 16,
};

struct rig {
    struct board *b;
    struct dev *host, *xhci, *tablet;
    unsigned command, ring0, ring1; /* TRBs written so far */
    unsigned event;                 /* read so far */
};

static void put(struct rig *r, uint64_t at, uint32_t v)
{
    mem_write(r->b, at, v, 4);
}

static uint32_t get(struct rig *r, uint64_t at)
{
    return (uint32_t)mem_read(r->b, at, 4);
}

static void put_trb(struct rig *r, uint64_t at, uint64_t parameter,
                    uint32_t status, uint32_t control)
{
    mem_write(r->b, at, parameter, 8);
    put(r, at + 8, status);
    put(r, at + 12, control | 1);
}

struct event {
    uint64_t parameter;
    unsigned code, type, left, slot, ep;
};

/* The next event, which must be there; acknowledged. */
static struct event take_event(struct rig *r)
{
    uint64_t at = EVENTS + r->event % EVENT_TRBS * 16;
    uint32_t status = get(r, at + 8), control = get(r, at + 12);
    struct event e = {mem_read(r->b, at, 8), status >> 24,  control >> 10 & 63,
                      status & 0xffffff,     control >> 24, control >> 16 & 31};

    assert_int_equal(control & 1, !(r->event / EVENT_TRBS & 1));
    r->event++;
    put(r, IR0 + 0x18, (EVENTS + r->event % EVENT_TRBS * 16) | 8);
    put(r, IR0 + 0x1c, 0);
    return e;
}

static void no_event(struct rig *r)
{
    uint64_t at = EVENTS + r->event % EVENT_TRBS * 16;

    assert_int_equal(get(r, at + 12) & 1, r->event / EVENT_TRBS & 1);
}

static struct event run(struct rig *r, uint64_t parameter, uint32_t control)
{
    struct event e;
    uint64_t at = COMMANDS + r->command++ * 16;

    put_trb(r, at, parameter, 0, control);
    put(r, BELLS, 0);
    e = take_event(r);
    assert_int_equal(e.type, TRB_COMMAND_EVENT);
    assert_int_equal(e.parameter, at);
    return e;
}

static uint32_t cmd(enum trb_type type, unsigned slot, uint32_t more)
{
    return (uint32_t)type << 10 | slot << 24 | more;
}

/* --- setting up, as §4.2 and §4.3 have it --- */

static void start(struct rig *r)
{
    put(r, OP, CMD_RESET);
    assert_int_equal(get(r, OP), 0);
    assert_int_equal(get(r, OP + 4), STS_HALTED);
    put(r, OP + 0x38, XHCI_SLOTS);
    put(r, OP + 0x30, CONTEXTS);
    put(r, OP + 0x34, 0);
    put(r, OP + 0x18, COMMANDS | 1);
    put(r, OP + 0x1c, 0);
    mem_write(r->b, TABLE, EVENTS, 8);
    put(r, TABLE + 8, EVENT_TRBS);
    put(r, IR0 + 0x08, 1);
    put(r, IR0 + 0x18, EVENTS);
    put(r, IR0 + 0x1c, 0);
    put(r, IR0 + 0x10, TABLE);
    put(r, IR0 + 0x14, 0);
    put(r, IR0, 2);
    put(r, OP, CMD_RUN | CMD_INTE);
    assert_int_equal(get(r, OP + 4) & STS_HALTED, 0);
}

static void reset_port(struct rig *r)
{
    struct event e = take_event(r); /* what was plugged in */

    assert_int_equal(e.type, TRB_PORT_EVENT);
    assert_int_equal(e.parameter, 1 << 24);
    assert_int_equal(get(r, PORTSC1) & (PORT_CCS | PORT_CSC | PORT_PED),
                     PORT_CCS | PORT_CSC);
    put(r, PORTSC1, PORT_PP | PORT_CSC);
    put(r, PORTSC1, PORT_PP | PORT_PR);
    e = take_event(r);
    assert_int_equal(e.type, TRB_PORT_EVENT);
    assert_int_equal(get(r, PORTSC1), PORT_CCS | PORT_PED | PORT_PP | PORT_PRC |
                                          USB_FULL << PORT_SPEED_SHIFT);
    put(r, PORTSC1, PORT_PP | PORT_PRC);
    assert_int_equal(get(r, PORTSC1) & PORT_CHANGES, 0);
}

static void put_endpoint_context(struct rig *r, unsigned dci, unsigned type,
                                 unsigned packet, uint64_t ring)
{
    uint64_t at = INPUT + (dci + 1) * 32;

    put(r, at + 4, 3 << 1 | type << 3 | packet << 16);
    mem_write(r->b, at + 8, ring | 1, 8);
}

static void address(struct rig *r)
{
    struct event e = run(r, 0, cmd(TRB_ENABLE_SLOT, 0, 0));

    assert_int_equal(e.code, CC_SUCCESS);
    assert_int_equal(e.slot, 1);
    mem_write(r->b, CONTEXTS + 8, OUTPUT, 8);
    put(r, INPUT + 4, 3);
    put(r, INPUT + 32, 1 << 27 | USB_FULL << 20);
    put(r, INPUT + 36, 1 << 16);
    put_endpoint_context(r, 1, EP_CONTROL, 8, RING0);
    e = run(r, INPUT, cmd(TRB_ADDRESS_DEVICE, 1, 0));
    assert_int_equal(e.code, CC_SUCCESS);
    assert_int_equal(get(r, OUTPUT + 12), SLOT_ADDRESSED << 27 | 1);
    assert_int_equal(get(r, OUTPUT + 32) & 7, EP_RUNNING);
}

/* A control request; returns its last event. */
static struct event request(struct rig *r, uint64_t setup, bool in)
{
    unsigned length = (unsigned)(setup >> 48);
    uint64_t at = RING0 + r->ring0 * 16;

    put_trb(r, at, setup, 8, TRB_SETUP << 10 | TRB_IDT);
    if (length)
        put_trb(r, at += 16, DATA, length,
                TRB_DATA << 10 | (in ? TRB_DIR_IN : 0));
    put_trb(r, at += 16, 0, 0, TRB_STATUS << 10 | TRB_IOC);
    r->ring0 = (unsigned)(at - RING0) / 16 + 1;
    put(r, BELLS + 4, 1);
    return take_event(r);
}

static uint64_t setup_of(unsigned type, unsigned req, unsigned value,
                         unsigned index, unsigned length)
{
    return type | req << 8 | (uint64_t)value << 16 | (uint64_t)index << 32 |
           (uint64_t)length << 48;
}

static void configure(struct rig *r)
{
    struct event e;

    put(r, INPUT, 0);
    put(r, INPUT + 4, 1 | 1 << 3);
    put(r, INPUT + 32, 3 << 27 | USB_FULL << 20);
    put_endpoint_context(r, 3, EP_INT_IN, 8, RING1);
    e = run(r, INPUT, cmd(TRB_CONFIGURE, 1, 0));
    assert_int_equal(e.code, CC_SUCCESS);
    assert_int_equal(get(r, OUTPUT + 12) >> 27, SLOT_CONFIGURED);
    assert_int_equal(request(r, setup_of(0, 9, 1, 0, 0), false).code,
                     CC_SUCCESS);
}

static void expect_report(struct rig *r, uint32_t bytes)
{
    put_trb(r, RING1 + r->ring1++ * 16, DATA, bytes,
            TRB_NORMAL << 10 | TRB_IOC | TRB_ISP);
    put(r, BELLS + 4, 3);
}

static int setup(void **state)
{
    struct rig *r = calloc(1, sizeof *r);

    r->b = board_new();
    r->host = board_add(r->b, &i440fx_class, "host");
    r->xhci = board_make(r->b, &xhci_class, "usb");
    *(uint32_t *)board_prop(r->xhci, "slot") = 4;
    board_attach(r->b, r->xhci);
    r->tablet = board_add(r->b, &usb_tablet_class, "tablet");
    conf_write(r->b, XHCI, PCI_BAR0, BAR, 4);
    conf_write(r->b, XHCI, PCI_BAR0 + 4, 0, 4);
    conf_write(r->b, XHCI, PCI_COMMAND, PCI_CMD_MEM | PCI_CMD_MASTER, 2);
    start(r);
    *state = r;
    return 0;
}

static int teardown(void **state)
{
    struct rig *r = *state;

    board_remove(r->tablet);
    board_remove(r->xhci);
    board_remove(r->host);
    board_free(r->b);
    free(r);
    return 0;
}

static void ready(struct rig *r)
{
    reset_port(r);
    address(r);
    configure(r);
}

/* --- tests --- */

static void capabilities(void **state)
{
    struct rig *r = *state;
    uint32_t cap = (get(r, BAR + 0x10) >> 16) * 4;

    assert_int_equal(mem_read(r->b, BAR, 1), XHCI_CAP_SIZE);
    assert_int_equal(mem_read(r->b, BAR + 2, 2), 0x0110);
    assert_int_equal(get(r, BAR + 4), XHCI_SLOTS | 1 << 8 | 8 << 24);
    assert_int_equal(conf_read(r->b, XHCI, PCI_REVISION, 4) >> 8, 0x0c0330);
    /* USB 2 has ports 1 to 4, USB 3 5 to 8. */
    assert_int_equal(get(r, BAR + cap), 0x02000402);
    assert_memory_equal(&(uint32_t){get(r, BAR + cap + 4)}, "USB ", 4);
    assert_int_equal(get(r, BAR + cap + 8), 0x401);
    assert_int_equal(get(r, BAR + cap + 16), 0x03000002);
    assert_int_equal(get(r, BAR + cap + 24), 0x405);
}

static void descriptors(void **state)
{
    struct rig *r = *state;
    struct event e;

    reset_port(r);
    address(r);
    e = request(r, setup_of(0x80, 6, 0x100, 0, 18), true);
    assert_int_equal(e.type, TRB_TRANSFER_EVENT);
    assert_int_equal(e.code, CC_SUCCESS);
    assert_int_equal(e.ep, 1);
    assert_int_equal(mem_read(r->b, DATA, 2), 0x112);
    assert_int_equal(mem_read(r->b, DATA + 17, 1), 1);
    /* More than there is: the data stage is short. */
    e = request(r, setup_of(0x80, 6, 0x200, 0, 255), true);
    assert_int_equal(e.code, CC_SUCCESS);
    assert_int_equal(mem_read(r->b, DATA + 2, 2), 34);
    e = request(r, setup_of(0x80, 6, 0x302, 0x409, 255), true);
    assert_int_equal(mem_read(r->b, DATA, 2), 0x30e);
    assert_int_equal(mem_read(r->b, DATA + 2, 2), 'T');
    e = request(r, setup_of(0x81, 6, 0x2200, 0, 255), true);
    assert_int_equal(e.code, CC_SUCCESS);
    assert_int_equal(mem_read(r->b, DATA, 4), 0x02090105);
    e = request(r, setup_of(0x21, 10, 0, 0, 0), false); /* SET_IDLE */
    assert_int_equal(e.code, CC_SUCCESS);
}

/* What there is not stalls; the endpoint halts until it is reset. */
static void stall(void **state)
{
    struct rig *r = *state;
    struct event e;

    reset_port(r);
    address(r);
    e = request(r, setup_of(0x80, 6, 0x0600, 0, 10), true);
    assert_int_equal(e.code, CC_STALL);
    assert_int_equal(get(r, OUTPUT + 32) & 7, EP_HALTED);
    e = run(r, 0, cmd(TRB_STOP_ENDPOINT, 1, 1 << 16));
    assert_int_equal(e.code, CC_CONTEXT_STATE);
    e = run(r, 0, cmd(TRB_RESET_ENDPOINT, 1, 1 << 16));
    assert_int_equal(e.code, CC_SUCCESS);
    assert_int_equal(get(r, OUTPUT + 32) & 7, EP_STOPPED);
    e = run(r, (RING0 + r->ring0 * 16) | 1, cmd(TRB_SET_DEQUEUE, 1, 1 << 16));
    assert_int_equal(e.code, CC_SUCCESS);
    e = request(r, setup_of(0x80, 6, 0x100, 0, 8), true);
    assert_int_equal(e.code, CC_SUCCESS);
}

static void point(struct rig *r, unsigned x, unsigned y, int wheel,
                  unsigned buttons)
{
    struct input_sink *in = &r->b->env.input;

    in->point(in->pointer, x, y, wheel, buttons);
}

static void reports(void **state)
{
    struct rig *r = *state;
    struct event e;

    assert_false(r->b->env.input.pointing(r->b->env.input.pointer));
    ready(r);
    assert_true(r->b->env.input.pointing(r->b->env.input.pointer));
    expect_report(r, 6);
    no_event(r); /* nothing to say yet */
    point(r, 0xffff, 0x8000, 0, INPUT_LEFT);
    e = take_event(r);
    assert_int_equal(e.type, TRB_TRANSFER_EVENT);
    assert_int_equal(e.code, CC_SUCCESS);
    assert_int_equal(e.ep, 3);
    assert_int_equal(mem_read(r->b, DATA, 8), 0x40007fff01);
    /* Said before it was asked for: moves join, buttons do not. */
    point(r, 2, 2, 0, INPUT_LEFT);
    point(r, 4, 4, 0, INPUT_LEFT);
    point(r, 4, 4, 0, 0);
    point(r, 4, 4, 1, 0); /* the wheel, towards the person */
    point(r, 4, 4, 0, 0); /* nothing new */
    expect_report(r, 8);
    e = take_event(r);
    assert_int_equal(e.code, CC_SHORT);
    assert_int_equal(e.left, 2);
    assert_int_equal(mem_read(r->b, DATA, 4), 0x02000201);
    expect_report(r, 6);
    assert_int_equal(take_event(r).code, CC_SUCCESS);
    assert_int_equal(mem_read(r->b, DATA, 1), 0);
    expect_report(r, 6);
    assert_int_equal(take_event(r).code, CC_SUCCESS);
    assert_int_equal(mem_read(r->b, DATA + 5, 1), 0xff);
    expect_report(r, 6);
    no_event(r);
}

/* INTA# while an event waits and its handler is not busy. */
static void interrupts(void **state)
{
    struct rig *r = *state;
    struct xhci *x = (struct xhci *)r->xhci;

    assert_true(x->pci.intx); /* the port event of setup() */
    assert_true(get(r, OP + 4) & STS_EINT);
    put(r, OP + 4, STS_EINT);
    put(r, IR0, 3);
    assert_false(x->pci.intx);
    assert_int_equal(get(r, IR0 + 0x18) & 8, 8);
    take_event(r);
    assert_false(x->pci.intx);
    put(r, PORTSC1, PORT_PP | PORT_CSC);
    put(r, PORTSC1, PORT_PP | PORT_PR);
    assert_true(x->pci.intx);
    put(r, OP, CMD_RUN);
    assert_false(x->pci.intx);
}

/* A driver that takes no events: the ring says so in its last place, and the
   controller goes on. */
static void full_ring(void **state)
{
    struct rig *r = *state;
    unsigned last = (EVENT_TRBS - 2) * 16;

    for (unsigned i = 0; i < 3 * EVENT_TRBS; i++) {
        put_trb(r, COMMANDS + r->command++ * 16, 0, 0,
                cmd(TRB_NOOP_COMMAND, 0, 0));
        put(r, BELLS, 0);
    }
    assert_int_equal(get(r, EVENTS + last + 12) >> 10 & 63, TRB_HOST_EVENT);
    assert_int_equal(get(r, EVENTS + last + 8) >> 24, CC_RING_FULL);
    assert_int_equal(get(r, EVENTS + last + 16 + 12) & 1, 0);
    assert_true(get(r, OP) & CMD_RUN);
}

/* Rings that are wrong end in an error, not in a hang. */
static void broken_rings(void **state)
{
    struct rig *r = *state;

    ready(r);
    /* A link to itself, on an endpoint and on the command ring. */
    put_trb(r, RING1, RING1, 0, TRB_LINK << 10);
    put(r, BELLS + 4, 3);
    assert_int_equal(take_event(r).code, CC_TRB);
    assert_int_equal(get(r, OUTPUT + 3 * 32) & 7, EP_ERROR);
    put_trb(r, COMMANDS + r->command * 16, COMMANDS + r->command * 16, 0,
            TRB_LINK << 10);
    put(r, BELLS, 0);
    assert_true(get(r, OP + 4) & STS_HSE);
    assert_false(get(r, OP) & CMD_RUN);
    /* Data to nowhere after a reset. */
    r->command = r->ring0 = r->ring1 = r->event = 0;
    memset(r->b->env.ram + CONTEXTS, 0, 0x10000);
    start(r);
    ready(r);
    put_trb(r, RING1, 0xfe000000, 6, TRB_NORMAL << 10 | TRB_IOC);
    put(r, BELLS + 4, 3);
    point(r, 1, 1, 0, 1);
    assert_int_equal(take_event(r).code, CC_STALL);
}

static void wrong_commands(void **state)
{
    struct rig *r = *state;

    reset_port(r);
    assert_int_equal(run(r, 0, cmd(TRB_DISABLE_SLOT, 1, 0)).code, CC_NO_SLOT);
    assert_int_equal(run(r, 0, cmd(TRB_DISABLE_SLOT, 255, 0)).code, CC_NO_SLOT);
    assert_int_equal(run(r, 0, cmd(TRB_CONFIGURE, 0, 0)).code, CC_NO_SLOT);
    assert_int_equal(run(r, 0, cmd(63, 0, 0)).code, CC_NO_SLOT);
    address(r);
    assert_int_equal(run(r, INPUT, cmd(TRB_ADDRESS_DEVICE, 1, 0)).code,
                     CC_CONTEXT_STATE);
    assert_int_equal(run(r, 0, cmd(TRB_STOP_ENDPOINT, 1, 5 << 16)).code,
                     CC_NO_ENDPOINT);
    assert_int_equal(run(r, 0, cmd(TRB_STOP_ENDPOINT, 1, 0)).code, CC_TRB);
    assert_int_equal(run(r, 0, cmd(21, 1, 0)).code, CC_TRB);
    /* An isochronous endpoint, and one whose direction is not its index's. */
    put(r, INPUT + 4, 1 | 1 << 3);
    put_endpoint_context(r, 3, 5, 8, RING1);
    assert_int_equal(run(r, INPUT, cmd(TRB_CONFIGURE, 1, 0)).code, CC_TRB);
    put_endpoint_context(r, 3, EP_INT_OUT, 8, RING1);
    assert_int_equal(run(r, INPUT, cmd(TRB_CONFIGURE, 1, 0)).code,
                     CC_PARAMETER);
    assert_int_equal(run(r, 0, cmd(TRB_DISABLE_SLOT, 1, 0)).code, CC_SUCCESS);
    for (unsigned i = 0; i < XHCI_SLOTS; i++)
        assert_int_equal(run(r, 0, cmd(TRB_ENABLE_SLOT, 0, 0)).code,
                         CC_SUCCESS);
    assert_int_equal(run(r, 0, cmd(TRB_ENABLE_SLOT, 0, 0)).code, CC_NO_SLOTS);
}

/* Saved in the middle, loaded into another machine: it goes on. */
static void saved(void **state)
{
    struct rig *r = *state, *other;
    struct dev *dev[2] = {r->xhci, r->tablet}, *to[2];
    struct err e;

    ready(r);
    point(r, 8, 8, 0, 2);
    setup((void **)&other);
    memcpy(other->b->env.ram, r->b->env.ram, BOARD_RAM);
    to[0] = other->xhci;
    to[1] = other->tablet;
    for (unsigned i = 0; i < 2; i++) {
        const struct dev_class *c = dev[i]->cls;
        size_t n = state_size(c->state, c->version);
        uint8_t *p = malloc(n);

        state_save(c->state, c->version, dev[i], p);
        assert_int_equal(state_load(c->state, c->version, to[i], p, n, &e), 0);
        assert_int_equal(c->loaded(to[i], c->version), 0);
        free(p);
    }
    other->command = r->command;
    other->ring0 = r->ring0;
    other->event = r->event;
    expect_report(other, 6);
    assert_int_equal(take_event(other).code, CC_SUCCESS);
    assert_int_equal(mem_read(other->b, DATA, 2), 0x402);
    teardown((void **)&other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(capabilities, setup, teardown),
        cmocka_unit_test_setup_teardown(descriptors, setup, teardown),
        cmocka_unit_test_setup_teardown(stall, setup, teardown),
        cmocka_unit_test_setup_teardown(reports, setup, teardown),
        cmocka_unit_test_setup_teardown(interrupts, setup, teardown),
        cmocka_unit_test_setup_teardown(full_ring, setup, teardown),
        cmocka_unit_test_setup_teardown(broken_rings, setup, teardown),
        cmocka_unit_test_setup_teardown(wrong_commands, setup, teardown),
        cmocka_unit_test_setup_teardown(saved, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
