/*
 * Host bridge of the PC: Intel 82441FX PCI and Memory Controller (290549).
 * It owns the PCI bus and configuration mechanism #1, and says what the CPU
 * finds from 0xa0000 to 0xfffff: RAM, or what lies on PCI and ISA there.
 *
 * What the machine maps in that range (firmware, a VGA window) has to have a
 * priority below SHADOW_PRIORITY. Not modelled, and read-only: the fixed DRAM
 * hole, which nothing since ISA cards with mapped memory has used.
 */
#include "base/bits.h"
#include "base/endian.h"
#include "hw/bus/pci_priv.h"

enum { SHADOW_PRIORITY = 10, NSEGMENTS = 13, NBELOW = 4 };

enum { /* registers */
       PMCCFG = 0x50,
       DETURBO = 0x52,
       DBC = 0x53,
       AXC = 0x54,
       DRT = 0x55,
       DRAMC = 0x57,
       DRAMT = 0x58,
       PAM0 = 0x59,
       DRB0 = 0x60,
       FDHC = 0x68,
       MTT = 0x70,
       CLT = 0x71,
       SMRAM = 0x72,
       ERRCMD = 0x90,
       ERRSTS = 0x91,
       TRC = 0x93,
};

enum { PAM_READ = 1, PAM_WRITE = 2 };
enum { SMRAM_ON = 1 << 3, SMRAM_LOCK = 1 << 4, SMRAM_OPEN = 1 << 6 };
enum { TRC_HARD = 1 << 1, TRC_RESET = 1 << 2 };

static const struct pci_reg i440fx_regs[] = {
    {PCI_COMMAND, 2, 0x0006, PCI_CMD_PARITY | PCI_CMD_SERR, 0},
    {PCI_STATUS, 2, PCI_STS_FAST_B2B | PCI_STS_DEVSEL_MEDIUM, 0, PCI_STS_W1C},
    {PCI_CACHE_LINE, 1, 0, 0, 0},
    {PCI_LATENCY, 1, 0, 0xf8, 0},
    {PMCCFG, 2, 0x0000, 0xffff, 0},
    {DETURBO, 1, 0x00, 0xff, 0},
    {DBC, 1, 0x83, 0xff, 0},
    {AXC, 1, 0x02, 0xff, 0},
    {DRT, 2, 0x0000, 0xffff, 0},
    {DRAMC, 1, 0x01, 0xff, 0},
    {DRAMT, 1, 0x10, 0xff, 0},
    {PAM0, 1, 0x00, 0x30, 0}, /* only F0000–FFFFF */
    {PAM0 + 1, 4, 0, 0x33333333, 0},
    {PAM0 + 5, 2, 0, 0x3333, 0},
    {DRB0, 4, 0x01010101, ~0u, 0},
    {DRB0 + 4, 4, 0x01010101, ~0u, 0},
    {MTT, 1, 0x20, 0xf8, 0},
    {CLT, 1, 0x10, 0xf8, 0},
    {SMRAM, 1, 0x02, 0x78, 0},
    {ERRCMD, 1, 0x00, 0xff, 0},
    {ERRSTS, 1, 0x00, 0x00, 0xff},
    {TRC, 1, 0x00, 0x0f, 0},
    PCI_REG_END,
};

/* A piece of C0000–FFFFF with attributes of its own. */
struct segment {
    struct i440fx *bridge;
    struct region region;
    uint8_t mode;
    /* What PCI has there, while only writes go to RAM. */
    struct window below[NBELOW];
    unsigned nbelow;
};

struct i440fx {
    struct dev dev;
    struct pci_dev pci;
    struct pci_bus bus;
    struct pci_conf1 conf;
    struct segment segment[NSEGMENTS];
    struct region smram;
    uint8_t trc;
};

/* --- shadow RAM --- */

static gpa_t segment_base(unsigned i)
{
    return i < 12 ? 0xc0000 + i * 0x4000 : 0xf0000;
}

static uint64_t segment_size(unsigned i)
{
    return i < 12 ? 0x4000 : 0x10000;
}

/* Segments 0 to 11 have a nibble each from PAM1 on, the last that of PAM0. */
static uint8_t segment_mode(const struct i440fx *s, unsigned i)
{
    if (i == 12)
        return s->pci.config[PAM0] >> 4 & 3;
    return s->pci.config[PAM0 + 1 + i / 2] >> 4 * (i & 1) & 3;
}

static uint64_t below_read(void *dev, uint64_t off, unsigned bytes)
{
    const struct segment *g = dev;
    gpa_t a = g->region.base + off;

    (void)bytes; /* 1 */
    for (unsigned i = 0; i < g->nbelow; i++)
        if (a - g->below[i].base < g->below[i].size)
            return g->below[i].ram[a - g->below[i].base];
    return 0xff;
}

static void shadow_write(void *dev, uint64_t off, uint64_t v, unsigned bytes)
{
    struct segment *g = dev;

    (void)bytes; /* 1 */
    g->bridge->dev.env->ram[g->region.base + off] = (uint8_t)v;
}

/* Writes go to RAM, reads to PCI: firmware copying itself in place. */
static const struct region_ops write_only_ops = {below_read, shadow_write, 1,
                                                 1};

/* Must be called with the segment unmapped. */
static void look_below(struct segment *g, gpa_t base, uint64_t size)
{
    struct space *mem = g->bridge->dev.env->mem;

    g->nbelow = 0;
    for (gpa_t a = base; a < base + size && g->nbelow < NBELOW;) {
        struct window *w = &g->below[g->nbelow];
        if (space_window(mem, a, w)) {
            a = w->base + w->size;
            g->nbelow++;
        } else {
            a = align_down(a, PAGE_SIZE) + PAGE_SIZE;
        }
    }
}

/* One ROM below it all, the usual case: let CPUs read and run it directly. */
static void map_through(struct segment *g, gpa_t base)
{
    const struct window *w = &g->below[0];

    if (g->nbelow && w->base <= base &&
        base + g->region.size <= w->base + w->size) {
        g->region.ram = w->ram + (base - w->base);
        g->region.readonly = true;
    }
}

static int segment_apply(struct i440fx *s, unsigned i)
{
    struct segment *g = &s->segment[i];
    uint8_t mode = segment_mode(s, i);
    gpa_t base = segment_base(i);

    if (mode == g->mode)
        return 0;
    if (g->region.space)
        space_unmap(&g->region);
    g->mode = mode;
    if (!mode)
        return 0;
    g->region =
        (struct region){.name = "shadow", .size = segment_size(i), .dev = g};
    if (mode & PAM_READ) {
        g->region.ram = s->dev.env->ram + base;
        g->region.readonly = !(mode & PAM_WRITE);
    } else {
        look_below(g, base, g->region.size);
        g->region.ops = &write_only_ops;
        map_through(g, base);
    }
    return space_map(s->dev.env->mem, base, &g->region, SHADOW_PRIORITY);
}

/* --- system management RAM --- */

/* Open: everybody sees the RAM under the VGA window, not only SMM code. */
static int smram_apply(struct i440fx *s)
{
    uint8_t v = s->pci.config[SMRAM];
    bool open = (v & SMRAM_OPEN) && (v & SMRAM_ON);

    if (open == (s->smram.space != NULL))
        return 0;
    if (open)
        return space_map(s->dev.env->mem, 0xa0000, &s->smram, SHADOW_PRIORITY);
    space_unmap(&s->smram);
    return 0;
}

/* Locked, it is closed, and stays so until a reset. */
static void smram_lock(struct i440fx *s)
{
    uint8_t fixed = SMRAM_LOCK | SMRAM_OPEN;

    if (s->pci.config[SMRAM] & SMRAM_LOCK) {
        s->pci.config[SMRAM] &= (uint8_t)~SMRAM_OPEN;
        s->pci.wmask[SMRAM] &= (uint8_t)~fixed;
    } else {
        s->pci.wmask[SMRAM] |= fixed;
    }
}

/* --- the rest --- */

static void apply_all(struct i440fx *s)
{
    smram_lock(s);
    (void)smram_apply(s);
    for (unsigned i = 0; i < NSEGMENTS; i++)
        (void)segment_apply(s, i);
}

/* TRC resets the CPU, or everything, when its reset bit rises. */
static void trc_written(struct i440fx *s)
{
    struct env *env = s->dev.env;
    uint8_t old = s->trc, now = s->pci.config[TRC];

    s->trc = now;
    if (!(now & TRC_RESET) || (old & TRC_RESET))
        return;
    if (now & TRC_HARD) {
        env->reset(env);
        return;
    }
    for (unsigned i = 0; i < env->ncpus; i++)
        env->cpu_pins[i].init(env->cpu_pins[i].ctx);
}

static void i440fx_written(struct pci_dev *p, unsigned off, unsigned bytes)
{
    struct i440fx *s = container_of(p, struct i440fx, pci);

    if (pci_touches(off, bytes, PAM0, 7) || pci_touches(off, bytes, SMRAM, 1))
        apply_all(s);
    if (pci_touches(off, bytes, TRC, 1))
        trc_written(s);
}

static const struct pci_ops i440fx_pci = {.written = i440fx_written};

static const struct pci_id i440fx_id = {
    .vendor = 0x8086,
    .device = 0x1237,
    .class_code = 0x060000,
    .revision = 0x02,
    .subvendor = 0x1af4,
    .subdevice = 0x1100,
    .regs = i440fx_regs,
};

/* Eight rows; each register holds the end of its row in units of 8 MB. What
   does not fit in a byte is beyond what this chip could address. */
static void set_rows(struct i440fx *s)
{
    uint64_t units = s->dev.env->ram_low >> 23;

    for (unsigned i = 0; i < 8; i++) {
        uint64_t end = units * (i + 1) / 8;
        pci_set_reg(&s->pci, (struct pci_reg){.off = (uint8_t)(DRB0 + i),
                                              .bytes = 1,
                                              .reset = (uint8_t)MIN(end, 255),
                                              .writable = 0xff});
    }
}

static int i440fx_attach(struct dev *d, struct env *env, struct err *e)
{
    struct i440fx *s = (struct i440fx *)d;

    pci_bus_init(&s->bus, env, 3); /* slot 1 pin A is PIRQ A */
    env->pci = &s->bus;
    int r = pci_attach(&s->pci, d, &i440fx_id, &i440fx_pci, 0, e);
    if (r < 0)
        return r;
    set_rows(s);
    s->smram = (struct region){
        .name = "smram", .size = 0x20000, .ram = env->ram + 0xa0000};
    for (unsigned i = 0; i < NSEGMENTS; i++)
        s->segment[i].bridge = s;
    r = pci_conf1_init(&s->conf, &s->bus);
    if (r < 0) {
        pci_detach(&s->pci);
        return err_set(e, -r, "ports 0xcf8 to 0xcff are taken");
    }
    return 0;
}

static void i440fx_reset(struct dev *d, bool cold)
{
    struct i440fx *s = (struct i440fx *)d;

    (void)cold;
    s->conf.address = 0;
    s->trc = 0;
    pci_reset(&s->pci);
    apply_all(s);
}

static int i440fx_loaded(struct dev *d, uint16_t version)
{
    struct i440fx *s = (struct i440fx *)d;

    (void)version;
    s->conf.address &= 0x80fffffc;
    s->pci.wmask[SMRAM] |= SMRAM_LOCK | SMRAM_OPEN;
    int r = pci_loaded(&s->pci);
    s->trc = s->pci.config[TRC];
    apply_all(s);
    return r;
}

static void i440fx_detach(struct dev *d)
{
    struct i440fx *s = (struct i440fx *)d;

    for (unsigned i = 0; i < NSEGMENTS; i++)
        if (s->segment[i].region.space)
            space_unmap(&s->segment[i].region);
    if (s->smram.space)
        space_unmap(&s->smram);
    pci_conf1_exit(&s->conf);
    pci_detach(&s->pci);
    d->env->pci = NULL;
}

static const struct field i440fx_fields[] = {
    FIELD_SUB(struct i440fx, pci, struct pci_dev, pci_fields),
    FIELD32(struct i440fx, conf.address),
    FIELD_END,
};

extern const struct dev_class i440fx_class;
const struct dev_class i440fx_class = {
    .name = "i440fx",
    .summary = "PCI host bridge and shadow RAM of the PC",
    .spec = "Intel 82441FX PMC, 290549-001",
    .size = sizeof(struct i440fx),
    .state = i440fx_fields,
    .version = 1,
    .attach = i440fx_attach,
    .reset = i440fx_reset,
    .loaded = i440fx_loaded,
    .detach = i440fx_detach,
};
