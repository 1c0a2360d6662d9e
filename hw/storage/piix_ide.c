/*
 * IDE function of the PIIX3: Intel 82371SB, 290550, function 1. Two channels
 * at the addresses and interrupts every PC has, and a bus master for each:
 * "Programming Interface for Bus Master IDE Controller", revision 1.0.
 */
#include "base/bits.h"
#include "base/endian.h"
#include "hw/bus/pci_priv.h"
#include "hw/storage/ide.h"

enum { IDETIM = 0x40, SIDETIM = 0x44, IDETIM_ON = 0x8000 };
enum { CHANNELS = 2, BM_BAR = 4, BM_PORTS = 8 };

enum { /* of one channel's bus master registers */
       BMIC = 0,
       BMIS = 2,
       BMIDTP = 4,
};
enum { BMIC_START = 0x01, BMIC_TO_MEMORY = 0x08 };
enum {
    BMIS_ACTIVE = 0x01,
    BMIS_ERROR = 0x02,
    BMIS_INT = 0x04,
    BMIS_DMA_CAPABLE = 0x60,
};
#define PRD_END BIT(31)

struct bus_master {
    uint8_t command, status;
    uint32_t table;      /* BMIDTP */
    uint32_t next;       /* the descriptor to be read next */
    uint32_t addr, left; /* of the present one */
    bool last;
};

struct piix_ide {
    struct dev dev;
    struct pci_dev pci;
    struct ata_unit unit[CHANNELS * IDE_DRIVES];
    struct ide_channel channel[CHANNELS];
    struct bus_master bm[CHANNELS];
    struct region bm_ports;
    bool mapped[CHANNELS];
};

static const struct {
    uint16_t command, control;
    uint8_t irq;
} legacy[CHANNELS] = {{0x1f0, 0x3f6, 14}, {0x170, 0x376, 15}};

static struct piix_ide *adapter_of(const struct ide_channel *c, unsigned *n)
{
    struct piix_ide *s = container_of(c->dev, struct piix_ide, dev);

    *n = (unsigned)(c - s->channel);
    return s;
}

static void channel_irq(struct ide_channel *c, bool level)
{
    unsigned n;
    struct piix_ide *s = adapter_of(c, &n);

    if (level)
        s->bm[n].status |= BMIS_INT;
    irq_set(&s->dev.env->isa_irq[legacy[n].irq], level);
}

/* --- the bus master --- */

static void stop(struct bus_master *m, uint8_t why)
{
    m->status = (uint8_t)((m->status & ~BMIS_ACTIVE) | why);
}

/* Reads the next descriptor. False: the master has stopped, or has to wait. */
static bool fetch(struct piix_ide *s, struct bus_master *m)
{
    uint8_t prd[8];

    if (m->last) { /* shorter than what the drive has: it waits for more */
        stop(m, 0);
        return false;
    }
    if (pci_load(&s->pci, m->next, prd, sizeof prd) < 0) {
        stop(m, BMIS_ERROR);
        return false;
    }
    m->addr = load_le32(prd) & ~1u;
    m->left = load_le16(prd + 4) & 0xfffe;
    if (!m->left)
        m->left = 0x10000;
    m->last = load_le32(prd + 4) & PRD_END;
    m->next += sizeof prd;
    return true;
}

static bool carry(struct piix_ide *s, struct bus_master *m, uint8_t *p,
                  uint32_t n, bool to_memory)
{
    int r = to_memory ? pci_store(&s->pci, m->addr, p, n)
                      : pci_load(&s->pci, m->addr, p, n);

    if (r < 0) {
        stop(m, BMIS_ERROR);
        return false;
    }
    m->addr += n;
    m->left -= n;
    return true;
}

/*
 * As far as it goes: the drive gives no more, descriptors end, memory is not
 * there. While bus mastering is off in PCI's command register nothing moves.
 */
static void run(struct piix_ide *s, unsigned n)
{
    struct bus_master *m = &s->bm[n];
    struct ide_channel *c = &s->channel[n];
    bool to_memory;
    uint8_t *p;
    uint32_t want;

    while ((m->status & BMIS_ACTIVE) && pci_is_master(&s->pci) &&
           (want = ide_dma(c, &p, &to_memory))) {
        if (to_memory != !!(m->command & BMIC_TO_MEMORY))
            return; /* both wait for the other */
        if (!m->left && !fetch(s, m))
            return;
        want = MIN(want, m->left);
        if (!carry(s, m, p, want, to_memory))
            return;
        if (!m->left && m->last)
            stop(m, 0);
        ide_dma_moved(c, want);
    }
}

static void channel_dma(struct ide_channel *c)
{
    unsigned n;
    struct piix_ide *s = adapter_of(c, &n);

    run(s, n);
}

static void write_command(struct piix_ide *s, unsigned n, uint8_t v)
{
    struct bus_master *m = &s->bm[n];
    bool start = (v & BMIC_START) && !(m->command & BMIC_START);

    m->command = v & (BMIC_START | BMIC_TO_MEMORY);
    if (!(v & BMIC_START))
        stop(m, 0);
    if (!start)
        return;
    m->next = m->table;
    m->left = 0;
    m->last = false;
    m->status |= BMIS_ACTIVE;
    run(s, n);
}

static uint64_t bm_read(void *dev, uint64_t off, unsigned bytes UNUSED)
{
    struct piix_ide *s = dev;
    const struct bus_master *m = &s->bm[off / BM_PORTS];
    unsigned reg = off % BM_PORTS;

    switch (reg) {
    case BMIC: return m->command;
    case BMIS: return m->status;
    default: return reg < BMIDTP ? 0 : m->table >> 8 * (reg - BMIDTP) & 0xff;
    }
}

static void bm_write(void *dev, uint64_t off, uint64_t v, unsigned bytes UNUSED)
{
    struct piix_ide *s = dev;
    unsigned n = (unsigned)off / BM_PORTS, reg = off % BM_PORTS;
    struct bus_master *m = &s->bm[n];
    uint8_t set = (uint8_t)v, w1c = set & (BMIS_ERROR | BMIS_INT);

    if (reg == BMIC) {
        write_command(s, n, set);
    } else if (reg == BMIS) {
        m->status = (uint8_t)((m->status & ~(w1c | BMIS_DMA_CAPABLE)) |
                              (set & BMIS_DMA_CAPABLE));
    } else if (reg >= BMIDTP) {
        unsigned shift = 8 * (reg - BMIDTP);

        m->table =
            ((m->table & ~(0xffu << shift)) | (uint32_t)set << shift) & ~3u;
    }
}

static const struct region_ops bm_ops = {bm_read, bm_write, 1, 1};

/* --- configuration --- */

static void map_channel(struct piix_ide *s, unsigned n, bool on)
{
    struct ide_channel *c = &s->channel[n];

    if (on == s->mapped[n])
        return;
    s->mapped[n] = on;
    if (on) { /* ports that cannot be had are not decoded */
        (void)space_map(s->dev.env->io, legacy[n].command, &c->command, 0);
        (void)space_map(s->dev.env->io, legacy[n].control, &c->control, 0);
        return;
    }
    space_unmap(&c->command);
    space_unmap(&c->control);
}

static void decode(struct piix_ide *s)
{
    bool io = load_le16(s->pci.config + PCI_COMMAND) & PCI_CMD_IO;

    for (unsigned n = 0; n < CHANNELS; n++)
        map_channel(
            s, n,
            io && (load_le16(s->pci.config + IDETIM + 2 * n) & IDETIM_ON));
}

static void piix_ide_written(struct pci_dev *p, unsigned off, unsigned bytes)
{
    struct piix_ide *s = container_of(p, struct piix_ide, pci);

    if (pci_touches(off, bytes, PCI_COMMAND, 2) ||
        pci_touches(off, bytes, IDETIM, 4))
        decode(s);
    if (pci_touches(off, bytes, PCI_COMMAND, 2))
        for (unsigned n = 0; n < CHANNELS; n++)
            run(s, n);
}

static const struct pci_ops piix_ide_pci = {.written = piix_ide_written};

static const struct pci_reg piix_ide_regs[] = {
    {PCI_COMMAND, 2, 0x0000, PCI_CMD_IO | PCI_CMD_MASTER, 0},
    {PCI_STATUS, 2, PCI_STS_FAST_B2B | PCI_STS_DEVSEL_MEDIUM, 0, 0x3800},
    {PCI_CACHE_LINE, 1, 0, 0, 0},
    /* The chip has both channels off after reset; OVMF expects them on. */
    {IDETIM, 4, (uint32_t)IDETIM_ON << 16 | IDETIM_ON, 0xf3fff3ff, 0},
    {SIDETIM, 1, 0, 0xff, 0},
    PCI_REG_END,
};

static const struct pci_id piix_ide_id = {
    .vendor = 0x8086,
    .device = 0x7010,
    .class_code = 0x010180, /* both channels where they always were */
    .subvendor = 0x1af4,
    .subdevice = 0x1100,
    .regs = piix_ide_regs,
};

/* --- life --- */

static int init_channels(struct piix_ide *s, struct err *e)
{
    for (unsigned n = 0; n < CHANNELS; n++) {
        struct ide_channel *c = &s->channel[n];
        int r;

        c->dev = &s->dev;
        c->irq = channel_irq;
        c->dma = channel_dma;
        r = ide_init(c, &s->unit[IDE_DRIVES * n], e);
        if (r < 0) {
            while (n--)
                ide_exit(&s->channel[n]);
            return r;
        }
    }
    return 0;
}

/* Function 1 of the PIIX, in slot 1. */
static int piix_ide_attach(struct dev *d, struct env *env, struct err *e)
{
    struct piix_ide *s = (struct piix_ide *)d;
    int r =
        pci_attach(&s->pci, d, &piix_ide_id, &piix_ide_pci, PCI_DEVFN(1, 1), e);

    (void)env;
    if (r < 0)
        return r;
    s->bm_ports = (struct region){.name = "ide bus master",
                                  .size = CHANNELS * BM_PORTS,
                                  .ops = &bm_ops,
                                  .dev = s};
    r = pci_add_bar(&s->pci, BM_BAR, PCI_BAR_IO, &s->bm_ports);
    if (r == 0)
        r = init_channels(s, e);
    if (r < 0)
        pci_detach(&s->pci);
    return r;
}

static void piix_ide_reset(struct dev *d, bool cold)
{
    struct piix_ide *s = (struct piix_ide *)d;

    (void)cold;
    for (unsigned n = 0; n < CHANNELS; n++) {
        s->bm[n] = (struct bus_master){0};
        ide_reset(&s->channel[n]);
    }
    pci_reset(&s->pci);
    decode(s);
}

static int piix_ide_loaded(struct dev *d, uint16_t version)
{
    struct piix_ide *s = (struct piix_ide *)d;
    int r = pci_loaded(&s->pci);

    (void)version;
    decode(s);
    for (unsigned n = 0; n < CHANNELS && r == 0; n++) {
        uint8_t status = s->bm[n].status;

        if (s->bm[n].left > 0x10000)
            return -LE_FORMAT;
        r = ide_loaded(&s->channel[n]);
        s->bm[n].status = status;
    }
    return r;
}

/* A drive that waits for a master which was stopped or not allowed to. */
static void piix_ide_resume(struct dev *d)
{
    struct piix_ide *s = (struct piix_ide *)d;

    for (unsigned n = 0; n < CHANNELS; n++)
        run(s, n);
}

static void piix_ide_detach(struct dev *d)
{
    struct piix_ide *s = (struct piix_ide *)d;

    for (unsigned n = 0; n < CHANNELS; n++) {
        map_channel(s, n, false);
        ide_exit(&s->channel[n]);
    }
    pci_detach(&s->pci);
}

static const struct prop piix_ide_props[] = {
    ATA_UNIT_PROPS(struct piix_ide, unit, 0),
    ATA_UNIT_PROPS(struct piix_ide, unit, 1),
    ATA_UNIT_PROPS(struct piix_ide, unit, 2),
    ATA_UNIT_PROPS(struct piix_ide, unit, 3),
    PROP_END,
};

static const struct field bus_master_fields[] = {
    FIELD8(struct bus_master, command), FIELD8(struct bus_master, status),
    FIELD32(struct bus_master, table),  FIELD32(struct bus_master, next),
    FIELD32(struct bus_master, addr),   FIELD32(struct bus_master, left),
    FIELDB(struct bus_master, last),    FIELD_END,
};

static const struct field piix_ide_fields[] = {
    FIELD_SUB(struct piix_ide, pci, struct pci_dev, pci_fields),
    FIELD_SUB(struct piix_ide, channel, struct ide_channel, ide_channel_fields),
    FIELD_SUB(struct piix_ide, bm, struct bus_master, bus_master_fields),
    FIELD_END,
};

extern const struct dev_class piix_ide_class;
const struct dev_class piix_ide_class = {
    .name = "piix-ide",
    .summary = "IDE: two channels, disks and CD-ROMs",
    .spec = "Intel 82371SB, 290550-001; ATA/ATAPI-7",
    .size = sizeof(struct piix_ide),
    .props = piix_ide_props,
    .state = piix_ide_fields,
    .version = 1,
    .attach = piix_ide_attach,
    .reset = piix_ide_reset,
    .resume = piix_ide_resume,
    .loaded = piix_ide_loaded,
    .detach = piix_ide_detach,
};
