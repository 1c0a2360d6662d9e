/* The host bus adapter: chapters 2 and 3.1 of AHCI 1.3.1. */
#include "hw/storage/ahci.h"

#include "base/bits.h"

enum { /* registers */
       CAP = 0x00,
       GHC = 0x04,
       IS = 0x08,
       PI = 0x0c,
       VS = 0x10,
};

#define GHC_HR BIT(0)
#define GHC_IE BIT(1)
#define GHC_AE BIT(31) /* always: there is no other mode */

/* 64-bit addresses, queued commands, CLO, 3 Gb/s, no legacy mode, PIO of
   several blocks, partial and slumber states, 32 slots, 6 ports. */
#define CAP_VALUE                                                              \
    (BIT(31) | BIT(30) | BIT(24) | 2u << 20 | BIT(18) | BIT(15) | BIT(14) |    \
     BIT(13) | (AHCI_SLOTS - 1) << 8 | (AHCI_PORTS - 1))
#define PI_VALUE ((1u << AHCI_PORTS) - 1)

enum { VS_VALUE = 0x00010200, ABAR = 5, ABAR_BYTES = 0x1000 };

static struct ahci *ahci_of(struct dev *d)
{
    return container_of(d, struct ahci, dev);
}

static uint32_t wanting(struct ahci *s)
{
    uint32_t ports = 0;

    for (unsigned n = 0; n < AHCI_PORTS; n++)
        if (ahci_port_read(&s->port[n], 0x10) & s->port[n].ie)
            ports |= BIT(n);
    return ports;
}

void ahci_update(struct ahci *s)
{
    uint32_t fresh = wanting(s) & ~s->is;

    s->is |= fresh;
    if (pci_msi_on(&s->pci)) {
        if (fresh && s->ie)
            pci_msi_send(&s->pci, 0);
        return;
    }
    pci_set_intx(&s->pci, s->ie && s->is);
}

/* --- reset: §10.4.3 --- */

static void reset_all(struct ahci *s)
{
    s->ie = s->resetting = false;
    s->is = 0;
    for (unsigned n = 0; n < AHCI_PORTS; n++)
        ahci_port_reset(&s->port[n]);
    ahci_update(s);
}

/* HR reads as 1 until the last request has come back. */
void ahci_settled(struct ahci *s)
{
    bool idle = true;

    for (unsigned n = 0; n < AHCI_PORTS; n++)
        idle &= ahci_port_drop(&s->port[n]);
    if (idle)
        reset_all(s);
    else
        for (unsigned n = 0; n < AHCI_PORTS; n++)
            s->port[n].settling = true;
}

/* --- registers --- */

static uint32_t read_reg(struct ahci *s, unsigned off)
{
    switch (off) {
    case CAP: return CAP_VALUE;
    case GHC:
        return GHC_AE | (s->ie ? GHC_IE : 0) | (s->resetting ? GHC_HR : 0);
    case IS: return s->is;
    case PI: return PI_VALUE;
    case VS: return VS_VALUE;
    default: return 0;
    }
}

static void write_reg(struct ahci *s, unsigned off, uint32_t v)
{
    if (off == GHC && (v & GHC_HR)) {
        if (s->resetting)
            return;
        s->resetting = true;
        ahci_settled(s);
        return;
    }
    if (off == GHC)
        s->ie = v & GHC_IE;
    else if (off == IS)
        s->is &= ~v;
    ahci_update(s);
}

static struct ahci_port *port_at(struct ahci *s, uint64_t off)
{
    uint64_t n = (off - AHCI_PORT_BASE) / AHCI_PORT_BYTES;

    return off >= AHCI_PORT_BASE && n < AHCI_PORTS ? &s->port[n] : NULL;
}

static uint64_t hba_read(void *dev, uint64_t off, unsigned bytes UNUSED)
{
    struct ahci *s = dev;
    struct ahci_port *p = port_at(s, off);

    return p ? ahci_port_read(p, off % AHCI_PORT_BYTES)
             : read_reg(s, (unsigned)off);
}

static void hba_write(void *dev, uint64_t off, uint64_t v,
                      unsigned bytes UNUSED)
{
    struct ahci *s = dev;
    struct ahci_port *p = port_at(s, off);

    if (s->resetting)
        return;
    if (p)
        ahci_port_write(p, off % AHCI_PORT_BYTES, (uint32_t)v);
    else
        write_reg(s, (unsigned)off, (uint32_t)v);
}

static const struct region_ops hba_ops = {hba_read, hba_write, 4, 4};

/* --- life --- */

/* Bus mastering may have come on. */
static void ahci_written(struct pci_dev *p, unsigned off UNUSED,
                         unsigned bytes UNUSED)
{
    struct ahci *s = container_of(p, struct ahci, pci);

    for (unsigned n = 0; n < AHCI_PORTS; n++)
        ahci_port_go(&s->port[n]);
}

static const struct pci_ops ahci_pci = {.written = ahci_written};

static const struct pci_id ahci_id = {
    .vendor = 0x8086,
    .device = 0x2922,
    .class_code = 0x010601,
    .revision = 2,
    .subvendor = 0x1af4,
    .subdevice = 0x1100,
    .pin = 1,
};

static int init_ports(struct ahci *s, struct err *e)
{
    for (unsigned n = 0; n < AHCI_PORTS; n++) {
        int r = ahci_port_init(&s->port[n], s, n, e);

        if (r < 0) {
            while (n--)
                ahci_port_exit(&s->port[n]);
            return r;
        }
    }
    return 0;
}

static int ahci_attach(struct dev *d, struct env *env, struct err *e)
{
    struct ahci *s = ahci_of(d);
    int r;

    d->env = env;
    r = pci_attach(&s->pci, d, &ahci_id, &ahci_pci, -1, e);
    if (r < 0)
        return r;
    s->region = (struct region){
        .name = "ahci", .size = ABAR_BYTES, .ops = &hba_ops, .dev = s};
    r = pci_add_bar(&s->pci, ABAR, PCI_BAR_MEM32, &s->region);
    if (r == 0)
        r = pci_msi_init(&s->pci, 1, e);
    if (r == 0)
        r = init_ports(s, e);
    if (r < 0)
        pci_detach(&s->pci);
    return r;
}

static void ahci_detach(struct dev *d)
{
    struct ahci *s = ahci_of(d);

    for (unsigned n = 0; n < AHCI_PORTS; n++)
        ahci_port_exit(&s->port[n]);
    pci_detach(&s->pci);
}

static void ahci_reset(struct dev *d, bool cold UNUSED)
{
    struct ahci *s = ahci_of(d);

    pci_reset(&s->pci);
    reset_all(s);
}

static void ahci_pause(struct dev *d)
{
    ahci_of(d)->paused = true;
}

static void ahci_resume(struct dev *d)
{
    struct ahci *s = ahci_of(d);

    s->paused = false;
    for (unsigned n = 0; n < AHCI_PORTS; n++)
        ahci_port_go(&s->port[n]);
}

static int ahci_loaded(struct dev *d, uint16_t version UNUSED)
{
    struct ahci *s = ahci_of(d);
    int r = pci_loaded(&s->pci);

    s->resetting = false;
    for (unsigned n = 0; n < AHCI_PORTS && r == 0; n++)
        r = ahci_port_loaded(&s->port[n]);
    if (r == 0 && !pci_msi_on(&s->pci))
        pci_set_intx(&s->pci, s->ie && s->is);
    return r;
}

static const struct prop ahci_props[] = {
    ATA_UNIT_PROPS(struct ahci, unit, 0),
    ATA_UNIT_PROPS(struct ahci, unit, 1),
    ATA_UNIT_PROPS(struct ahci, unit, 2),
    ATA_UNIT_PROPS(struct ahci, unit, 3),
    ATA_UNIT_PROPS(struct ahci, unit, 4),
    ATA_UNIT_PROPS(struct ahci, unit, 5),
    {"slot", "PCI slot; 0: any", offsetof(struct ahci, pci.slot), PROP_U32,
     false, 0, 0, 31},
    PROP_END,
};

static const struct field ahci_fields[] = {
    FIELD_SUB(struct ahci, pci, struct pci_dev, pci_fields),
    FIELD_SUB(struct ahci, port, struct ahci_port, ahci_port_fields),
    FIELDB(struct ahci, ie),
    FIELD_MAX(struct ahci, is, 32, PI_VALUE),
    FIELD_END,
};

extern const struct dev_class ahci_class;
const struct dev_class ahci_class = {
    .name = "ahci",
    .summary = "Serial ATA: six ports, disks and CD-ROMs",
    .spec = "AHCI 1.3.1; Intel ICH9, 316972",
    .size = sizeof(struct ahci),
    .props = ahci_props,
    .state = ahci_fields,
    .version = 1,
    .attach = ahci_attach,
    .reset = ahci_reset,
    .pause = ahci_pause,
    .resume = ahci_resume,
    .loaded = ahci_loaded,
    .detach = ahci_detach,
};
