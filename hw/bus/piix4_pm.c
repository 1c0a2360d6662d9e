/*
 * Power management function of the PIIX4: Intel 82371AB, 290562, function 3.
 * ACPI's registers are hw/timer/acpi_pm.c, the SMBus piix4_smbus.c; this puts
 * them where the configuration registers say, and adds the rest of the I/O
 * space and the advanced power management ports.
 *
 * SMM: firmware may set it up only where the CPUs offer it ("smm"). Otherwise
 * SMIs on APM commands read as enabled already, by which firmware knows that
 * somebody else has taken care of that, and none are raised.
 */
#include "base/bits.h"
#include "base/endian.h"
#include "hw/bus/pci_priv.h"
#include "hw/bus/piix3.h"
#include "hw/bus/piix4_pm.h"
#include "hw/bus/piix4_smbus.h"
#include "hw/timer/acpi_pm.h"

enum { /* configuration registers */
       PMBA = 0x40,
       CNTA = 0x44,
       DEVACTB = 0x58,
       PMREGMISC = 0x80,
       SMBBA = 0x90,
       SMBHSTCFG = 0xd2,
       SMBSLVC = 0xd3,
       SMBREV = 0xd6,
};

enum { PM_PORTS = 0x40, PM_ON = 1, SMB_ON = 1 };
enum { APM_PORT = 0xb2, APM_COMMAND = 0, APM_STATUS = 1 };
#define APMC_SMI BIT(25) /* DEVACTB */

static const struct pci_reg piix4_pm_regs[] = {
    {PCI_COMMAND, 2, 0x0000, PCI_CMD_IO, 0},
    {PCI_STATUS, 2, PCI_STS_FAST_B2B | PCI_STS_DEVSEL_MEDIUM, 0, 0x7800},
    {PCI_CACHE_LINE, 1, 0, 0, 0},
    {PCI_LATENCY, 1, 0, 0, 0},
    {PMBA, 4, 1, 0xffc0, 0},
    /* What follows up to 0x7f watches devices and saves power; kept, not
       acted on. */
    {CNTA, 4, 0, ~0u, 0},
    {0x48, 4, 0, ~0u, 0},
    {0x4c, 4, 0, ~0u, 0},
    {0x50, 4, 0, 0x00ffffff, 0},
    {0x54, 4, 0, ~0u, 0},
    {DEVACTB, 4, APMC_SMI, ~0u, 0},
    {0x5c, 4, 0, ~0u, 0},
    {0x60, 4, 0, ~0u, 0},
    {0x64, 4, 0, ~0u, 0},
    {0x68, 4, 0, 0x00ffffff, 0},
    {0x6c, 4, 0, ~0u, 0},
    {0x70, 4, 0, 0x00ffffff, 0},
    {0x74, 4, 0, ~0u, 0},
    {0x78, 4, 0, ~0u, 0},
    {0x7c, 4, 0, ~0u, 0},
    {PMREGMISC, 1, 0, PM_ON, 0},
    {SMBBA, 4, 1, 0xfff0, 0},
    {SMBHSTCFG, 1, 0, 0x0f, 0},
    {SMBSLVC, 3, 0, 0xffffff, 0},
    {SMBREV, 1, 0, 0, 0},
    PCI_REG_END,
};

struct piix4_pm {
    struct dev dev;
    struct pci_dev pci;
    struct acpi_pm pm;
    struct piix4_smbus smbus;
    bool smm; /* a property */
    struct irq sci_in;
    uint8_t levels; /* who asks for the interrupt: bit 0 ACPI, bit 1 SMBus */
    struct region ports, apm_ports;
    uint16_t pm_base; /* 0: not mapped */
    uint8_t reg[PM_PORTS];
    uint8_t apm[2];
};

/* --- the interrupt: IRQ 9 for both --- */

static void sci_set(void *ctx, unsigned n, bool level)
{
    struct piix4_pm *s = ctx;
    struct irq sci = piix3_sci(s->pci.bus);

    s->levels = (uint8_t)(level ? s->levels | BIT(n) : s->levels & ~BIT(n));
    irq_set(&sci, s->levels);
}

/* --- what of the I/O space ACPI does not define --- */

/* The bits of it that can be written: PCNTRL, GLBEN, GLBCTL, DEVCTL, GPOREG.
   Nothing here ever happens by itself, so status registers stay 0. */
static const uint8_t port_writable[PM_PORTS] = {
    [0x10] = 0x1e, [0x11] = 0x3e, [0x20] = 0xff, [0x21] = 0x0f,
    [0x28] = 0xff, [0x29] = 0xff, [0x2a] = 0xff, [0x2b] = 0x07,
    [0x2c] = 0xff, [0x2d] = 0xff, [0x2e] = 0xff, [0x2f] = 0xff,
    [0x34] = 0xff, [0x35] = 0xff, [0x36] = 0xff, [0x37] = 0x7f,
};

/* General purpose inputs are pulled up; 0x14 and 0x15 (PLVL2, PLVL3) ask for
   a sleep that ends at once. */
static uint64_t port_read(void *dev, uint64_t off, unsigned bytes)
{
    const struct piix4_pm *s = dev;

    (void)bytes; /* 1 */
    if (off >= 0x30 && off <= 0x32)
        return 0xff;
    return s->reg[off];
}

static void port_write(void *dev, uint64_t off, uint64_t v, unsigned bytes)
{
    struct piix4_pm *s = dev;

    (void)bytes; /* 1 */
    s->reg[off] = (uint8_t)v & port_writable[off];
}

static const struct region_ops port_ops = {port_read, port_write, 1, 1};

/* --- advanced power management ports --- */

static uint64_t apm_read(void *dev, uint64_t off, unsigned bytes)
{
    const struct piix4_pm *s = dev;

    (void)bytes; /* 1 */
    return s->apm[off];
}

static void apm_write(void *dev, uint64_t off, uint64_t v, unsigned bytes)
{
    struct piix4_pm *s = dev;
    const struct cpu_pins *cpu = &s->dev.env->cpu_pins[0];

    (void)bytes; /* 1 */
    s->apm[off] = (uint8_t)v;
    if (off != APM_COMMAND)
        return;
    acpi_pm_smi_command(&s->pm, (uint8_t)v);
    if (s->smm && (load_le32(s->pci.config + DEVACTB) & APMC_SMI) && cpu->smi)
        cpu->smi(cpu->ctx);
}

static const struct region_ops apm_ops = {apm_read, apm_write, 1, 1};

/* --- where the registers are --- */

/* PM registers lie above others at the same ports: priority 1 in acpi_pm. */
static void map_pm(struct piix4_pm *s)
{
    struct space *io = s->dev.env->io;
    bool on = s->pci.config[PMREGMISC] & PM_ON;
    uint16_t base = on ? load_le16(s->pci.config + PMBA) & 0xffc0 : 0;

    if (base == s->pm_base)
        return;
    acpi_pm_unmap(&s->pm);
    space_unmap(&s->ports);
    s->pm_base = base;
    if (!base)
        return;
    (void)space_map(io, base, &s->ports, 0);
    (void)acpi_pm_map(&s->pm, base);
}

static void map_smbus(struct piix4_pm *s)
{
    const uint8_t *c = s->pci.config;
    bool on = (c[SMBHSTCFG] & SMB_ON) && (c[PCI_COMMAND] & PCI_CMD_IO);

    piix4_smbus_map(&s->smbus, s->dev.env->io,
                    on ? load_le16(c + SMBBA) & 0xfff0 : 0);
}

static void piix4_pm_written(struct pci_dev *p, unsigned off, unsigned bytes)
{
    struct piix4_pm *s = container_of(p, struct piix4_pm, pci);

    (void)off;
    (void)bytes;
    map_pm(s);
    map_smbus(s);
}

/* --- life --- */

static const struct pci_ops piix4_pm_pci = {.written = piix4_pm_written};

static const struct pci_id piix4_pm_id = {
    .vendor = 0x8086,
    .device = 0x7113,
    .class_code = 0x068000,
    .revision = 3,
    .subvendor = 0x1af4,
    .subdevice = 0x1100,
    .pin = 1,
    .regs = piix4_pm_regs,
};

static void rtc_event(void *ctx, unsigned n, bool level)
{
    struct piix4_pm *s = ctx;

    (void)n;
    if (level)
        acpi_pm_rtc(&s->pm);
}

static int piix4_pm_attach(struct dev *d, struct env *env, struct err *e)
{
    struct piix4_pm *s = (struct piix4_pm *)d;
    int r =
        pci_attach(&s->pci, d, &piix4_pm_id, &piix4_pm_pci, PCI_DEVFN(1, 3), e);

    if (r < 0)
        return r;
    if (s->smm)
        pci_set_reg(&s->pci, (struct pci_reg){DEVACTB, 4, 0, ~0u, 0});
    s->sci_in = (struct irq){sci_set, s, 0};
    s->pm.env = env;
    s->pm.sci = &s->sci_in;
    acpi_pm_init(&s->pm);
    s->smbus.irq = (struct irq){sci_set, s, 1};
    piix4_smbus_init(&s->smbus);
    s->ports = (struct region){
        .name = "PIIX4 PM", .size = PM_PORTS, .ops = &port_ops, .dev = s};
    s->apm_ports =
        (struct region){.name = "APM", .size = 2, .ops = &apm_ops, .dev = s};
    r = space_map(env->io, APM_PORT, &s->apm_ports, 0);
    if (r < 0) {
        pci_detach(&s->pci);
        return err_set(e, -r, "ports 0xb2 and 0xb3 are taken");
    }
    env->rtc_event = (struct irq){rtc_event, s, 0};
    return 0;
}

static void piix4_pm_reset(struct dev *d, bool cold)
{
    struct piix4_pm *s = (struct piix4_pm *)d;

    (void)cold;
    pci_reset(&s->pci);
    acpi_pm_reset(&s->pm);
    piix4_smbus_reset(&s->smbus);
    memset(s->reg, 0, sizeof s->reg);
    memset(s->apm, 0, sizeof s->apm);
    map_pm(s);
    map_smbus(s);
}

static void piix4_pm_pause(struct dev *d)
{
    acpi_pm_pause(&((struct piix4_pm *)d)->pm);
}

static void piix4_pm_resume(struct dev *d)
{
    acpi_pm_resume(&((struct piix4_pm *)d)->pm);
}

static int piix4_pm_loaded(struct dev *d, uint16_t version)
{
    struct piix4_pm *s = (struct piix4_pm *)d;

    (void)version;
    for (unsigned i = 0; i < PM_PORTS; i++)
        s->reg[i] &= port_writable[i];
    int r = pci_loaded(&s->pci);
    if (r == 0)
        r = acpi_pm_loaded(&s->pm);
    sci_set(s, 0, s->pm.level);
    piix4_smbus_loaded(&s->smbus);
    map_pm(s);
    map_smbus(s);
    return r;
}

static void piix4_pm_detach(struct dev *d)
{
    struct piix4_pm *s = (struct piix4_pm *)d;

    d->env->rtc_event = (struct irq){0};
    acpi_pm_pause(&s->pm); /* its timer */
    acpi_pm_unmap(&s->pm);
    space_unmap(&s->ports);
    space_unmap(&s->apm_ports);
    space_unmap(&s->smbus.region);
    pci_detach(&s->pci);
}

bool piix4_pm_power_button(struct dev *d)
{
    return acpi_pm_power_button(&((struct piix4_pm *)d)->pm);
}

static const struct prop piix4_pm_props[] = {
    {"smm", "the CPUs have system management mode",
     offsetof(struct piix4_pm, smm), PROP_BOOL, false, 0, 0, 0},
    PROP_END,
};

static const struct field piix4_pm_fields[] = {
    FIELD_SUB(struct piix4_pm, pci, struct pci_dev, pci_fields),
    FIELD_SUB(struct piix4_pm, pm, struct acpi_pm, acpi_pm_fields),
    FIELD_SUB(struct piix4_pm, smbus, struct piix4_smbus, piix4_smbus_fields),
    FIELD_RAW(struct piix4_pm, reg),
    FIELD_RAW(struct piix4_pm, apm),
    FIELD_END,
};

extern const struct dev_class piix4_pm_class;
const struct dev_class piix4_pm_class = {
    .name = "piix4-pm",
    .summary = "power management and SMBus of the PC",
    .spec = "Intel 82371AB, 290562-001, function 3",
    .size = sizeof(struct piix4_pm),
    .props = piix4_pm_props,
    .state = piix4_pm_fields,
    .version = 1,
    .attach = piix4_pm_attach,
    .reset = piix4_pm_reset,
    .pause = piix4_pm_pause,
    .resume = piix4_pm_resume,
    .loaded = piix4_pm_loaded,
    .detach = piix4_pm_detach,
};
