/*
 * The USB controller: a driver that sets it up, and then writes registers and
 * memory as it likes, with a person moving the pointer meanwhile.
 */
#define BOARD_WITHOUT_CMOCKA
#include "../unit/board.h"

#include "hw/usb/xhci.h"
#include "tests/fuzz/input.h"

extern const struct dev_class i440fx_class, xhci_class, usb_tablet_class;

enum { BAR = 0xc0000000, RAM = 0x100000, ROOM = 0x10000 };

struct rig {
    struct board *b;
    struct dev *dev[3];
};

/* The controller has one timer. */
static struct timer *armed;

static void arm(struct env *env UNUSED, struct timer *t, uint64_t deadline)
{
    armed = deadline == UINT64_MAX ? NULL : t;
}

static void timer_runs(void)
{
    struct timer *t = armed;

    armed = NULL;
    if (t)
        t->fn(t->ctx);
}

static void put(struct rig *r, unsigned off, uint32_t v)
{
    mem_write(r->b, BAR + off, v, 4);
}

/* The driver's beginning, so that what follows gets somewhere. */
static void start(struct rig *r)
{
    unsigned op = XHCI_CAP_SIZE, ir = XHCI_RUNTIME + 0x20;

    conf_write(r->b, PCI_DEVFN(4, 0), PCI_BAR0, BAR, 4);
    conf_write(r->b, PCI_DEVFN(4, 0), PCI_COMMAND, PCI_CMD_MEM | PCI_CMD_MASTER,
               2);
    put(r, op + 0x38, XHCI_SLOTS);
    put(r, op + 0x30, RAM);
    put(r, op + 0x18, (RAM + 0x1000) | 1);
    put(r, op + 0x1c, 0);
    mem_write(r->b, RAM + 0x3000, RAM + 0x2000, 8);
    mem_write(r->b, RAM + 0x3008, 16, 4);
    mem_write(r->b, RAM + 8, RAM + 0x5000, 8);
    put(r, ir + 8, 1);
    put(r, ir + 0x18, RAM + 0x2000);
    put(r, ir + 0x10, RAM + 0x3000);
    put(r, ir + 0x14, 0);
    put(r, op, CMD_RUN | CMD_INTE);
    put(r, op + XHCI_PORT_REGS, PORT_PP | PORT_PR);
}

/* One TRB somewhere in our memory; addresses mostly point there, too. */
static void put_trb(struct rig *r, struct input *in)
{
    uint64_t at = RAM + (take(in, 2) & 0xfff0);
    unsigned how = (unsigned)take(in, 1);
    uint64_t parameter = how & 1 ? take(in, 8) : RAM + (take(in, 2) & 0xffff);

    mem_write(r->b, at, parameter, 8);
    mem_write(r->b, at + 8, take(in, how & 2 ? 4 : 1), 4);
    mem_write(r->b, at + 12,
              (uint32_t)take(in, 1) << 10 | (uint32_t)take(in, 1) << 24 |
                  (uint32_t)take(in, 2) << 16 >> 4 | (how >> 2 & 0x3f),
              4);
}

/* With damage it may be refused; then the machine would not run. */
static void save_and_load(struct rig *r, struct input *in)
{
    unsigned damage = (unsigned)take(in, 1) & 3;

    for (unsigned i = 1; i < 3; i++) {
        const struct dev_class *c = r->dev[i]->cls;
        size_t n = state_size(c->state, c->version);
        uint8_t *p = malloc(n);
        struct err e;

        if (c->pause)
            c->pause(r->dev[i]);
        state_save(c->state, c->version, r->dev[i], p);
        for (unsigned k = 0; k < damage; k++)
            p[take(in, 3) % n] ^= (uint8_t)take(in, 1);
        if (state_load(c->state, c->version, r->dev[i], p, n, &e) ||
            c->loaded(r->dev[i], c->version)) {
            if (!damage)
                abort(); /* what we saved we must be able to load */
            c->reset(r->dev[i], true);
        }
        if (c->resume)
            c->resume(r->dev[i]);
        free(p);
    }
}

static void step(struct rig *r, struct input *in)
{
    struct input_sink *sink = &r->b->env.input;
    unsigned op = (unsigned)take(in, 1);
    uint64_t off;

    if (op & 8)
        timer_runs();
    switch (op % 8) {
    case 0: put(r, take(in, 2) & 0x3ffc, (uint32_t)take(in, 4)); break;
    case 1:
        put(r, XHCI_DOORBELLS + (take(in, 1) & 15) * 4, (uint32_t)take(in, 1));
        break;
    case 2:
        off = take(in, 2) & 0x3fff;
        mem_read(r->b, BAR + off, 1u << (off & 3));
        break;
    case 3: put_trb(r, in); break;
    case 4:
        mem_write(r->b, RAM + (take(in, 2) & 0xfffc), take(in, 4), 4);
        break;
    case 5:
        sink->point(sink->pointer, (unsigned)take(in, 2), (unsigned)take(in, 2),
                    (int8_t)take(in, 1), (unsigned)take(in, 1));
        break;
    case 6:
        put(r, XHCI_CAP_SIZE + XHCI_PORT_REGS + (take(in, 1) & 0x7c),
            (uint32_t)take(in, 4));
        break;
    default: save_and_load(r, in); break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct input in = {data, data + n};
    struct rig r = {.b = board_new()};

    armed = NULL;
    r.b->env.arm = arm;
    r.dev[0] = board_add(r.b, &i440fx_class, "host");
    r.dev[1] = board_make(r.b, &xhci_class, "usb");
    *(uint32_t *)board_prop(r.dev[1], "slot") = 4;
    board_attach(r.b, r.dev[1]);
    r.dev[2] = board_add(r.b, &usb_tablet_class, "tablet");
    start(&r);
    while (more(&in))
        step(&r, &in);
    for (unsigned i = 3; i-- > 0;)
        board_remove(r.dev[i]);
    board_free(r.b);
    return 0;
}
