/*
 * Configuration and I/O accesses of any kind to the board's PCI functions, and
 * configuration space as a hostile snapshot has it. What identifies a device
 * never changes, and whatever is mapped can be accessed.
 */
#define BOARD_WITHOUT_CMOCKA
#include "tests/fuzz/input.h"
#include "tests/unit/board.h"

extern const struct dev_class i440fx_class, piix3_class, piix4_pm_class,
    virtio_rng_class;

enum { NDEVS = 4, TURNS = 400 };

static const uint8_t devfns[] = {0, PCI_DEVFN(1, 0), PCI_DEVFN(1, 3),
                                 PCI_DEVFN(2, 0)};
static const uint32_t ids[] = {0x12378086, 0x70008086, 0x71138086, 0x10441af4};

struct rig {
    struct board *b;
    struct dev *dev[NDEVS];
};

static unsigned size(struct input *in)
{
    return 1u << take(in, 1) % 3;
}

static void config(struct rig *r, unsigned which, struct input *in)
{
    unsigned off = (unsigned)take(in, 1), bytes = size(in);

    conf_write(r->b, devfns[which], off, (uint32_t)take(in, 4), bytes);
    (void)conf_read(r->b, devfns[which], off, bytes);
}

static void port(struct rig *r, unsigned base, unsigned range, struct input *in)
{
    unsigned at = base + (unsigned)take(in, 2) % range, bytes = size(in);

    out(r->b, at, (uint32_t)take(in, 4), bytes);
    (void)space_read(r->b->env.io, at, bytes);
}

/* Near where the guest has put a BAR. */
static void memory(struct rig *r, unsigned which, struct input *in)
{
    struct pci_dev *p = r->b->env.pci->dev[devfns[which]];
    uint64_t base = 0, bytes = size(in);

    pci_bar_base(p, (unsigned)take(in, 1) % PCI_NBARS, &base);
    base += take(in, 2);
    mem_write(r->b, base, take(in, 8), (unsigned)bytes);
    (void)mem_read(r->b, base, (unsigned)bytes);
}

static void load(struct rig *r, unsigned which, struct input *in)
{
    struct dev *d = r->dev[which];
    struct pci_dev *p = r->b->env.pci->dev[devfns[which]];

    for (unsigned i = (unsigned)take(in, 1); i; i--)
        p->config[take(in, 1)] = (uint8_t)take(in, 1);
    (void)d->cls->loaded(d, 1);
}

static void step(struct rig *r, struct input *in)
{
    unsigned which = (unsigned)take(in, 1) % NDEVS;
    struct pci_dev *p = r->b->env.pci->dev[devfns[which]];

    switch (take(in, 1) % 8) {
    case 0: port(r, 0xcf8, 8, in); break;
    case 1: port(r, 0, 0x10000, in); break;
    case 2: memory(r, which, in); break;
    case 3: load(r, which, in); break;
    case 4: r->dev[which]->cls->reset(r->dev[which], false); break;
    case 5:
        pci_set_intx(p, take(in, 1) & 1);
        pci_msix_send(p, (unsigned)take(in, 1));
        break;
    default: config(r, which, in); break;
    }
    if (pci_config_read(r->b->env.pci, devfns[which], 0, 4) != ids[which])
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static const struct dev_class *const classes[] = {
        &i440fx_class, &piix3_class, &piix4_pm_class, &virtio_rng_class};
    struct input in = {data, data + n};
    struct rig r = {.b = board_new()};

    for (unsigned i = 0; i < NDEVS; i++)
        r.dev[i] = board_add(r.b, classes[i], classes[i]->name);
    for (unsigned turn = 0; more(&in) && turn < TURNS; turn++)
        step(&r, &in);
    for (unsigned i = NDEVS; i--;)
        board_remove(r.dev[i]);
    board_free(r.b);
    return 0;
}
