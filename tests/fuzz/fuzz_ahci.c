/* AHCI: a disk on port 0, a CD-ROM on port 1: hw/storage/ahci*.c. */
#include "disks.h"

extern const struct dev_class ahci_class;

enum { AHCI = PCI_DEVFN(2, 0), PORT = 0x100, PORT_BYTES = 0x80 };
enum { LISTS = WILD_DATA, FRAMES = WILD_DATA + 0x800, TABLES = 0x3000 };

static void properties(struct wild *w, void *dev)
{
    wild_prop(dev, "drive0", &w->disk[0]->blk);
    wild_flag(dev, "cdrom1");
    wild_prop(dev, "drive1", &w->disk[1]->blk);
}

static void set(struct wild *w, unsigned port, unsigned reg, uint32_t v)
{
    space_write_locked(w->b->env.mem, WILD_BAR + PORT + PORT_BYTES * port + reg,
                       v, 4);
}

static void bring_up(struct wild *w)
{
    conf_write(w->b, AHCI, 0x24, WILD_BAR, 4);
    conf_write(w->b, AHCI, PCI_COMMAND, PCI_CMD_MEM | PCI_CMD_MASTER, 2);
    space_write_locked(w->b->env.mem, WILD_BAR + 4, 0x80000002, 4);
    for (unsigned p = 0; p < 2; p++) {
        set(w, p, 0x00, LISTS + 0x400 * p);
        set(w, p, 0x04, 0);
        set(w, p, 0x08, FRAMES + 0x100 * p);
        set(w, p, 0x0c, 0);
        set(w, p, 0x14, 0xffffffff);
        set(w, p, 0x18, 0x11);
    }
}

/* A command in a slot, with a table of a few regions. */
static void sense(struct wild *w, struct input *in)
{
    static const uint8_t packets[] = {0x00, 0x03, 0x12, 0x1b, 0x1e, 0x25,
                                      0x28, 0x43, 0x46, 0x4a, 0x51, 0x55,
                                      0x5a, 0xa8, 0xad, 0xbe};
    static const uint8_t commands[] = {0x60, 0x61, 0x25, 0x35, 0xec, 0xa0,
                                       0x06, 0xe7, 0x2f, 0xc8, 0xca, 0x20,
                                       0x30, 0xa1, 0xb0, 0xef};
    static const uint8_t rare[] = {0x00, 0x10, 0x70, 0x90, 0x91, 0xc6,
                                   0xe0, 0xe3, 0xe5, 0xe6, 0xf8, 0xf9,
                                   0xb0, 0x40, 0xc4, 0xc5};
    unsigned how = (unsigned)take(in, 1), port = how & 1;
    unsigned which = (unsigned)take(in, 1), slot = which % 32;
    uint64_t table = WILD_DATA + TABLES + 0x100 * slot;
    uint8_t *header = w->b->env.ram + LISTS + 0x400 * port + 32 * slot;
    uint8_t *t = w->b->env.ram + table;

    bool packet = port == 1 && (how & 2);

    store_le16(header, packet ? 0x25 : 5);
    store_le16(header + 2, (uint16_t)(take(in, 1) % 9));
    store_le64(header + 8, table);
    memset(t, 0, 0x50);
    t[0] = 0x27;
    t[1] = how & 2 ? 0x80 : (uint8_t)take(in, 1);
    t[2] = packet ? 0xa0 : which & 0x80 ? rare[how >> 4] : commands[how >> 4];
    t[3] = (uint8_t)take(in, 1);
    t[4] = (uint8_t)take(in, 1);
    t[5] = (uint8_t)take(in, 1);
    t[7] = 0x40;
    t[12] = t[2] >> 4 == 6 ? (uint8_t)(slot << 3) : (uint8_t)take(in, 1);
    for (unsigned i = 0; i < 12; i++)
        t[0x40 + i] = how & 4 ? (uint8_t)take(in, 1) : 0;
    if (packet)
        t[0x40] = packets[how >> 4];
    for (unsigned i = 0; i < 8 && (how & 8); i++) {
        store_le64(t + 0x80 + 16 * i, WILD_DATA + 0x8000 + take(in, 1));
        store_le32(t + 0x80 + 16 * i + 12, (uint32_t)take(in, 2));
    }
    if (t[2] >> 4 == 6)
        set(w, port, 0x34, 1u << slot);
    set(w, port, 0x38, 1u << slot);
}

static const struct wild_target target = {
    .cls = &ahci_class,
    .devfn = AHCI,
    .bar_bytes = 0x300,
    .properties = properties,
    .bring_up = bring_up,
    .sense = sense,
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    return wild_run(&target, data, n);
}
