/* NVMe: registers, queues, pages: hw/storage/nvme*.c. */
#include "disks.h"

extern const struct dev_class nvme_class;

enum { NVME = PCI_DEVFN(2, 0), ENTRIES = 32, QUEUES = 3 };
enum { SQ = WILD_DATA, CQ = WILD_DATA + 0x4000, PAGES = WILD_DATA + 0x8000 };

static void properties(struct wild *w, void *dev)
{
    wild_prop(dev, "disk", &w->disk[0]->blk);
}

static void set(struct wild *w, unsigned reg, uint32_t v)
{
    space_write_locked(w->b->env.mem, WILD_BAR + reg, v, 4);
}

/* A command of the administrator's that makes an I/O queue. */
static void make_queue(struct wild *w, unsigned at, uint8_t opcode, gpa_t base)
{
    uint8_t *c = w->b->env.ram + SQ + 64 * at;

    memset(c, 0, 64);
    c[0] = opcode;
    store_le64(c + 24, base);
    store_le32(c + 40, (ENTRIES - 1) << 16 | 1);
    store_le32(c + 44, opcode == 0x01 ? 0x10001 : 3);
}

static void bring_up(struct wild *w)
{
    conf_write(w->b, NVME, 0x10, WILD_BAR, 4);
    conf_write(w->b, NVME, 0x14, 0, 4);
    conf_write(w->b, NVME, PCI_COMMAND, PCI_CMD_MEM | PCI_CMD_MASTER, 2);
    set(w, 0x14, 0);
    set(w, 0x24, (ENTRIES - 1) << 16 | (ENTRIES - 1));
    set(w, 0x28, SQ);
    set(w, 0x2c, 0);
    set(w, 0x30, CQ);
    set(w, 0x34, 0);
    set(w, 0x14, 0x460001);
    make_queue(w, 0, 0x05, CQ + 0x1000);
    make_queue(w, 1, 0x01, SQ + 0x1000);
    set(w, 0x1000, 2);
    set(w, 0x1004, 2);
}

/* Some commands, and the doorbell; every answer is taken. */
static void sense(struct wild *w, struct input *in)
{
    static const uint8_t admin[] = {0x05, 0x01, 0x06, 0x02, 0x09, 0x0a,
                                    0x0c, 0x08, 0x00, 0x04, 0x05, 0x01,
                                    0x01, 0x05, 0x06, 0x80};
    static const uint8_t io[] = {0x00, 0x01, 0x02, 0x02,
                                 0x08, 0x09, 0x01, 0x05};
    unsigned how = (unsigned)take(in, 1), q = how & 3 ? how & 1 : how >> 2 & 1;
    unsigned at = (unsigned)take(in, 1) % ENTRIES;
    uint8_t *c = w->b->env.ram + SQ + 0x1000 * q + 64 * at;
    unsigned id = (unsigned)take(in, 1);

    memset(c, 0, 64);
    c[0] = q ? io[how >> 4 & 7] : admin[how >> 4];
    store_le16(c + 2, (uint16_t)id);
    store_le32(c + 4, how & 8 ? 1 : id & 3);
    store_le64(c + 24, PAGES + (id & 0x3c));
    store_le64(c + 32, PAGES + 0x1000 * (id % 5));
    if (!q && (c[0] == 0x01 || c[0] == 0x05)) {
        store_le64(c + 24, (c[0] == 1 ? SQ : CQ) + 0x1000);
        store_le32(c + 40, (ENTRIES - 1) << 16 | (id & 3));
        store_le32(c + 44, (id & 1) << 16 | 3);
    } else {
        store_le32(c + 40, (uint32_t)take(in, 2));
        store_le32(c + 44, q ? id & 4 : (uint32_t)take(in, 1));
        store_le32(c + 48, (uint32_t)take(in, 1));
    }
    set(w, 0x1000 + 8 * q, (at + 1) % ENTRIES);
    set(w, 0x1004 + 8 * q, (uint32_t)take(in, 1) % ENTRIES);
}

static const struct wild_target target = {
    .cls = &nvme_class,
    .devfn = NVME,
    .bar_bytes = 0x1040,
    .properties = properties,
    .bring_up = bring_up,
    .sense = sense,
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    return wild_run(&target, data, n);
}
