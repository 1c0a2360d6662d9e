/* IDE: a disk, and a CD-ROM on the other channel: hw/storage/piix_ide.c. */
#include "disks.h"

extern const struct dev_class piix_ide_class;

enum { IDE = PCI_DEVFN(1, 1), BUS_MASTER = 0xc000 };

static void properties(struct wild *w, void *dev)
{
    wild_prop(dev, "drive0", &w->disk[0]->blk);
    wild_flag(dev, "cdrom2");
    wild_prop(dev, "drive2", &w->disk[1]->blk);
}

static void bring_up(struct wild *w)
{
    conf_write(w->b, IDE, 0x40, 0x80008000, 4);
    conf_write(w->b, IDE, 0x20, BUS_MASTER, 4);
    conf_write(w->b, IDE, PCI_COMMAND, PCI_CMD_IO | PCI_CMD_MASTER, 2);
}

/* A command that a drive has, with DMA ready and a packet for a CD-ROM. */
static void sense(struct wild *w, struct input *in)
{
    static const uint8_t commands[] = {0x20, 0x25, 0x30, 0x35, 0xc4, 0xc5,
                                       0xc6, 0xc8, 0xca, 0xec, 0x06, 0xe7,
                                       0xb0, 0x40, 0x91, 0xef};
    static const uint8_t packets[] = {0x00, 0x03, 0x12, 0x1b, 0x1e, 0x25,
                                      0x28, 0x43, 0x46, 0x4a, 0x51, 0x55,
                                      0x5a, 0xa8, 0xad, 0xbe};
    unsigned how = (unsigned)take(in, 1), cd = how & 1;
    unsigned base = cd ? 0x170 : 0x1f0, bm = BUS_MASTER + 8 * cd;
    uint8_t *prd = w->b->env.ram + WILD_DATA;

    store_le32(prd, WILD_DATA + 0x1000);
    store_le32(prd + 4, (uint32_t)take(in, 2) | (how & 2 ? 0x80000000 : 0));
    space_write_locked(w->b->env.io, bm + 4, WILD_DATA, 4);
    out(w->b, bm, 0, 1);
    for (unsigned i = 1; i < 6; i++)
        out(w->b, base + i, (unsigned)take(in, 1), 1);
    out(w->b, base + 6, how & 4 ? 0xe0 : 0xa0, 1);
    if (!cd) {
        out(w->b, base + 7,
            how & 8 ? (unsigned)take(in, 1) : commands[how >> 4], 1);
    } else {
        out(w->b, base + 1, how & 8 ? 1 : 0, 1);
        out(w->b, base + 7, 0xa0, 1);
        space_write_locked(w->b->env.io, base,
                           packets[how >> 4] | take(in, 1) << 8, 2);
        for (unsigned i = 0; i < 5; i++)
            space_write_locked(w->b->env.io, base, take(in, 2), 2);
    }
    out(w->b, bm, how & 8 ? 9 : 1, 1);
    for (unsigned i = 0; i < 300; i++) /* as much as a sector */
        if (how & 2)
            space_write_locked(w->b->env.io, base, how, 2);
        else
            (void)space_read_locked(w->b->env.io, base, 2);
}

static const struct wild_target target = {
    .cls = &piix_ide_class,
    .devfn = IDE,
    .bar = 4,
    .io = {{0x1f0, 8}, {0x3f6, 1}, {0x170, 8}, {BUS_MASTER, 16}},
    .properties = properties,
    .bring_up = bring_up,
    .sense = sense,
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    return wild_run(&target, data, n);
}
