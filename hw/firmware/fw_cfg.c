#include "hw/firmware/fw_cfg.h"

#include "base/endian.h"

enum {
    FIRST_PORT = 0x510, /* selector; 0x511: data */
    DMA_PORT = 0x514,

    ARCH = 0x8000, /* keys from here on are the architecture's */
    KEYS = FW_CFG_FILE_FIRST + FW_CFG_FILES,
    ARCH_KEYS = 8,
    NO_KEY = 0xffff,

    ID_TRADITIONAL = 1,
    ID_DMA = 2,

    DMA_ERROR = 1 << 0,
    DMA_READ = 1 << 1,
    DMA_SKIP = 1 << 2,
    DMA_SELECT = 1 << 3,
    DMA_WRITE = 1 << 4,

    DIR_ENTRY = 64,
};

#define DMA_SIGNATURE 0x51454d5520434647ull /* "QEMU CFG" */

struct item {
    const uint8_t *p; /* NULL: the number */
    size_t n;
    uint8_t number[8];
    void (*refresh)(void *ctx);
    void *ctx;
};

struct fw_cfg {
    struct dev dev;
    struct region ports, dma;
    struct item item[KEYS + ARCH_KEYS];
    unsigned nfiles;
    uint8_t directory[4 + FW_CFG_FILES * DIR_ENTRY];

    uint16_t key;
    uint64_t at; /* next byte of the item */
    uint64_t dma_address;
};

/* NULL: no such item. */
static struct item *item_of(struct fw_cfg *f, unsigned key)
{
    if (key < KEYS)
        return &f->item[key];
    if (key >= ARCH && key < ARCH + ARCH_KEYS)
        return &f->item[KEYS + key - ARCH];
    return NULL;
}

static const uint8_t *item_bytes(const struct item *i)
{
    return i->p ? i->p : i->number;
}

static void select_item(struct fw_cfg *f, unsigned key)
{
    struct item *i = item_of(f, key);

    f->key = (uint16_t)key;
    f->at = 0;
    if (i && i->refresh)
        i->refresh(i->ctx);
}

/* --- the byte-wise interface --- */

static uint64_t ports_read(void *dev, uint64_t off, unsigned bytes UNUSED)
{
    struct fw_cfg *f = dev;
    const struct item *i = item_of(f, f->key);

    if (off != 1 || !i || f->at >= i->n)
        return 0;
    return item_bytes(i)[f->at++];
}

/* Data cannot be written. */
static void ports_write(void *dev, uint64_t off, uint64_t v, unsigned bytes)
{
    if (off == 0 && bytes == 2)
        select_item(dev, (unsigned)v);
}

static const struct region_ops ports_ops = {ports_read, ports_write, 1, 2};

/* --- DMA --- */

/* What lies beyond the item's end reads as zeros. */
static int store_zeros(struct space *mem, gpa_t to, uint64_t n)
{
    static const uint8_t zeros[PAGE_SIZE];
    int r = 0;

    for (uint64_t done = 0, piece; !r && done < n; done += piece) {
        piece = MIN(n - done, sizeof zeros);
        r = space_store(mem, to + done, zeros, (size_t)piece);
    }
    return r;
}

static int read_item(struct fw_cfg *f, gpa_t to, uint32_t n)
{
    const struct item *i = item_of(f, f->key);
    struct space *mem = f->dev.env->mem;
    uint64_t have = i && f->at < i->n ? MIN(n, i->n - f->at) : 0;
    int r = 0;

    if (have)
        r = space_store(mem, to, item_bytes(i) + f->at, (size_t)have);
    f->at += n;
    return r ? r : store_zeros(mem, to + have, n - have);
}

/* A transfer: control, length and address, big-endian, at f->dma_address. */
static void run_dma(struct fw_cfg *f)
{
    struct space *mem = f->dev.env->mem;
    gpa_t at = f->dma_address;
    uint8_t desc[16], status[4];
    uint32_t control, n;
    bool bad;

    f->dma_address = 0;
    if (space_load(mem, at, desc, sizeof desc))
        return; /* there is nowhere to say so */
    control = load_be32(desc);
    n = load_be32(desc + 4);
    if (control & DMA_SELECT)
        select_item(f, control >> 16);
    bad = false;
    if (control & DMA_READ)
        bad = read_item(f, load_be64(desc + 8), n) != 0;
    else if (control & DMA_WRITE)
        bad = true;
    else if (control & DMA_SKIP)
        f->at += n;
    store_be32(status, bad ? DMA_ERROR : 0);
    (void)space_store(mem, at, status, sizeof status);
}

/* The registers are big-endian: byte 0 is the highest of the address. */
static uint64_t dma_read(void *dev UNUSED, uint64_t off, unsigned bytes)
{
    uint8_t signature[8];

    store_be64(signature, DMA_SIGNATURE);
    return load_le(signature + off, bytes);
}

static void dma_write(void *dev, uint64_t off, uint64_t v, unsigned bytes)
{
    struct fw_cfg *f = dev;
    uint8_t reg[8];

    store_be64(reg, f->dma_address);
    store_le(reg + off, v, bytes);
    f->dma_address = load_be64(reg);
    if (off + bytes == sizeof reg) /* the lowest byte starts it */
        run_dma(f);
}

static const struct region_ops dma_ops = {dma_read, dma_write, 1, 8};

/* --- items --- */

int fw_cfg_set_bytes(struct dev *d, unsigned key, const void *p, size_t n)
{
    struct item *i = item_of(container_of(d, struct fw_cfg, dev), key);

    if (!i)
        return -LE_USAGE;
    *i = (struct item){.p = p, .n = n};
    return 0;
}

int fw_cfg_set_number(struct dev *d, unsigned key, uint64_t v, unsigned bytes)
{
    struct item *i = item_of(container_of(d, struct fw_cfg, dev), key);

    if (!i || bytes > sizeof i->number)
        return -LE_USAGE;
    *i = (struct item){.n = bytes};
    store_le64(i->number, v);
    return 0;
}

static bool has_file(const struct fw_cfg *f, const char *name)
{
    for (unsigned i = 0; i < f->nfiles; i++)
        if (!strcmp((const char *)f->directory + 4 + i * DIR_ENTRY + 8, name))
            return true;
    return false;
}

int fw_cfg_add_file(struct dev *d, const char *name, const void *p, size_t n,
                    void (*refresh)(void *ctx), void *ctx)
{
    struct fw_cfg *f = container_of(d, struct fw_cfg, dev);
    unsigned key = FW_CFG_FILE_FIRST + f->nfiles;
    uint8_t *entry = f->directory + 4 + f->nfiles * DIR_ENTRY;

    if (f->nfiles == FW_CFG_FILES)
        return -LE_NOSPACE;
    if (strlen(name) >= FW_CFG_NAME_MAX || n > UINT32_MAX || has_file(f, name))
        return -LE_USAGE;
    *item_of(f, key) =
        (struct item){.p = p, .n = n, .refresh = refresh, .ctx = ctx};
    store_be32(entry, (uint32_t)n);
    store_be16(entry + 4, (uint16_t)key);
    memcpy(entry + 8, name, strlen(name) + 1);
    store_be32(f->directory, ++f->nfiles);
    return fw_cfg_set_bytes(d, FW_CFG_FILE_DIR, f->directory,
                            4 + f->nfiles * DIR_ENTRY);
}

/* --- life --- */

static int fw_cfg_attach(struct dev *d, struct env *env, struct err *e)
{
    struct fw_cfg *f = container_of(d, struct fw_cfg, dev);

    d->env = env;
    f->ports = (struct region){
        .name = "fw_cfg", .size = 2, .ops = &ports_ops, .dev = f};
    f->dma = (struct region){
        .name = "fw_cfg DMA", .size = 8, .ops = &dma_ops, .dev = f};
    fw_cfg_set_bytes(d, FW_CFG_SIGNATURE, "QEMU", 4);
    fw_cfg_set_number(d, FW_CFG_ID, ID_TRADITIONAL | ID_DMA, 4);
    fw_cfg_set_bytes(d, FW_CFG_FILE_DIR, f->directory, 4);
    if (space_map(env->io, FIRST_PORT, &f->ports, 0))
        return err_set(e, LE_NOMEM, "cannot map ports 0x510 and 0x511");
    if (space_map(env->io, DMA_PORT, &f->dma, 0)) {
        space_unmap(&f->ports);
        return err_set(e, LE_NOMEM, "cannot map ports 0x514 to 0x51b");
    }
    return 0;
}

static void fw_cfg_reset(struct dev *d, bool cold UNUSED)
{
    struct fw_cfg *f = container_of(d, struct fw_cfg, dev);

    f->key = NO_KEY;
    f->at = 0;
    f->dma_address = 0;
}

/* Nothing to check: an item's end is looked at with every read. */
static int fw_cfg_loaded(struct dev *d, uint16_t version UNUSED)
{
    struct fw_cfg *f = container_of(d, struct fw_cfg, dev);
    struct item *i = item_of(f, f->key);

    if (i && i->refresh)
        i->refresh(i->ctx);
    return 0;
}

static void fw_cfg_detach(struct dev *d)
{
    struct fw_cfg *f = container_of(d, struct fw_cfg, dev);

    space_unmap(&f->ports);
    space_unmap(&f->dma);
}

static const struct field fw_cfg_state[] = {
    FIELD16(struct fw_cfg, key),
    FIELD64(struct fw_cfg, at),
    FIELD64(struct fw_cfg, dma_address),
    FIELD_END,
};

extern const struct dev_class fw_cfg_class;
const struct dev_class fw_cfg_class = {
    .name = "fw-cfg",
    .summary = "firmware configuration",
    .spec = "QEMU, docs/specs/fw_cfg",
    .size = sizeof(struct fw_cfg),
    .state = fw_cfg_state,
    .version = 1,
    .attach = fw_cfg_attach,
    .reset = fw_cfg_reset,
    .loaded = fw_cfg_loaded,
    .detach = fw_cfg_detach,
};
