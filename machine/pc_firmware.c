#include "machine/pc_firmware.h"

#include "base/bits.h"
#include "base/libc.h"
#include "lodge/pci.h"

enum {
    /* i440FX (function 0.0): programmable attribute map; two bits a piece of
       C0000–FFFFF: 1 reads, 2 writes go to RAM */
    PAM0 = 0x59,
    PAM5 = 0x5e,
    PAM6 = 0x5f,
    PAM_F0000_READ = 1 << 4,
    PAM_READ_WRITE = 0x33,

    /* PIIX4, function 3 */
    PIIX4_PM_ID = 0x71138086,
    PIIX3_IDE_ID = 0x70108086,
    IDETIM = 0x40, /* both channels; bit 15: its ports are decoded */
    PMBA = 0x40,
    PMREGMISC = 0x80,
    SMBBA = 0x90,
    SMBHSTCFG = 0xd2,
    SMB_BASE = 0x700,

    PIC_MASTER = 0x20,
    PIC_SLAVE = 0xa0,
    ELCR2 = 0x4d1,
    DMA2_MODE = 0xd6,
    DMA2_MASK = 0xd4,
    DMA_CASCADE = 0xc0,
    PORT_92 = 0x92,
    PORT_92_A20 = 2,

    UART_LCR = 3,
    UART_8N1 = 0x03,
    UART_DLAB = 0x80,

    IOREGSEL = 0x00,
    IOWIN = 0x10,

    MTRR_UC = 0,
    MTRR_WP = 5,
    MTRR_WB = 6,
    MTRR_ENABLE = 1 << 11,
    MTRR_FIXED = 1 << 10,
    MTRR_VALID = 1 << 11,
    MTRR_FIXED_A0000 = 2, /* after 64 KB pieces: A0000, then C0000 … F8000 */
};

/* I/O addresses of PCI devices, above all that ISA and the chip set decode. */
#define PCI_IO     0xc000
#define PCI_IO_END 0x10000

#define PCI_MEM     PC_LOW_RAM_MAX
#define PCI_MEM_END 0xfec00000ull

/* PIRQ A to D where the 8259s are used. */
static const uint8_t pirq_irq[4] = {10, 10, 11, 11};

static void outb(struct env *env, unsigned port, unsigned v)
{
    space_write_locked(env->io, port, v, 1);
}

static void init_pics(struct env *env)
{
    static const struct {
        uint8_t base, vector, cascade;
    } pic[] = {{PIC_MASTER, 0x08, 0x04}, {PIC_SLAVE, 0x70, 0x02}};

    for (unsigned i = 0; i < 2; i++) {
        outb(env, pic[i].base, 0x11); /* ICW1: cascade, ICW4 follows */
        outb(env, pic[i].base + 1, pic[i].vector);
        outb(env, pic[i].base + 1, pic[i].cascade);
        outb(env, pic[i].base + 1, 0x01); /* 8086 mode */
        outb(env, pic[i].base + 1, 0xff); /* all masked */
    }
    /* The SCI is level-triggered; PCI's interrupts were done with the bus. */
    outb(env, ELCR2,
         (unsigned)space_read_locked(env->io, ELCR2, 1) | BIT(ACPI_SCI - 8));
}

/* Channels 0 to 3 come through channel 4. */
static void init_dma(struct env *env)
{
    outb(env, DMA2_MODE, DMA_CASCADE);
    outb(env, DMA2_MASK, 0);
}

/* 115200 baud, 8 bits, no parity: small kernels only write. */
static void init_serials(struct env *env)
{
    static const uint16_t com[] = {0x3f8, 0x2f8, 0x3e8, 0x2e8};

    for (unsigned i = 0; i < ARRAY_LEN(com); i++) {
        outb(env, com[i] + UART_LCR, UART_DLAB | UART_8N1);
        outb(env, com[i], 1);
        outb(env, com[i] + 1, 0);
        outb(env, com[i] + UART_LCR, UART_8N1);
    }
}

static void init_ioapic(struct env *env, unsigned id)
{
    space_write_locked(env->mem, IOAPIC_BASE + IOREGSEL, 0, 4);
    space_write_locked(env->mem, IOAPIC_BASE + IOWIN, (uint64_t)id << 24, 4);
}

static void init_power(struct pci_bus *b, uint8_t d)
{
    pci_config_write(b, d, PMBA, ACPI_PM_BASE | 1, 4);
    pci_config_write(b, d, PMREGMISC, 1, 1);
    pci_config_write(b, d, SMBBA, SMB_BASE | 1, 4);
    pci_config_write(b, d, SMBHSTCFG, 1, 1);
    pci_config_write(b, d, PCI_COMMAND, PCI_CMD_IO, 2);
    pci_config_write(b, d, PCI_INT_LINE, ACPI_SCI, 1);
}

static void init_ide(struct pci_bus *b, uint8_t d)
{
    pci_config_write(b, d, IDETIM, 0x80008000, 4);
    pci_config_write(b, d, PCI_COMMAND, PCI_CMD_IO | PCI_CMD_MASTER, 2);
}

/* The chip set's functions that need more than addresses. */
static const struct {
    uint32_t id;
    void (*init)(struct pci_bus *b, uint8_t devfn);
} functions[] = {{PIIX4_PM_ID, init_power}, {PIIX3_IDE_ID, init_ide}};

static void init_functions(struct pci_bus *b)
{
    for (unsigned d = 0; d < 256; d++)
        for (unsigned i = 0; i < ARRAY_LEN(functions); i++)
            if (b->dev[d] && pci_config_read(b, (uint8_t)d, PCI_VENDOR, 4) ==
                                 functions[i].id)
                functions[i].init(b, (uint8_t)d);
}

/* RAM shows at E0000–FFFFF; the upper half of it as if it were ROM. */
static void init_shadow(struct env *env)
{
    pci_config_write(env->pci, 0, PAM0, PAM_F0000_READ, 1);
    pci_config_write(env->pci, 0, PAM5, PAM_READ_WRITE, 1);
    pci_config_write(env->pci, 0, PAM6, PAM_READ_WRITE, 1);
}

int pc_init_chips(struct env *env, unsigned ioapic_id, struct err *e)
{
    struct pci_plan plan = {
        .io = PCI_IO,
        .io_end = PCI_IO_END,
        .mem = PCI_MEM,
        .mem_end = PCI_MEM_END,
    };
    int r;

    memcpy(plan.irq, pirq_irq, sizeof plan.irq);
    init_shadow(env);
    r = pci_bus_assign(env->pci, &plan, e);
    if (r)
        return r;
    init_functions(env->pci);
    init_pics(env);
    init_dma(env);
    /* The 8254 is left standing: unlike a BIOS we need no tick, and it would
       wake the host 18 times a second for nothing. */
    init_serials(env);
    init_ioapic(env, ioapic_id);
    outb(env, PORT_92, PORT_92_A20);
    return 0;
}

/* SDM volume 3, "Memory Type Range Registers". */
void pc_init_mtrrs(const struct cpu_model *m, struct x86_state *s)
{
    const uint64_t hole = PC_HIGH_RAM_BASE - PC_LOW_RAM_MAX;
    const uint64_t address_bits = mask_low(m->phys_bits);
    const uint64_t wb = 0x0101010101010101 * MTRR_WB;
    const uint64_t wp = 0x0101010101010101 * MTRR_WP;

    if (!feature_has(&m->features, FEAT_MTRR))
        return;
    s->mtrr_def_type = MTRR_ENABLE | MTRR_FIXED | MTRR_WB;
    for (unsigned i = 0; i < ARRAY_LEN(s->mtrr_fixed); i++)
        s->mtrr_fixed[i] = i < MTRR_FIXED_A0000    ? wb
                           : i == MTRR_FIXED_A0000 ? MTRR_UC
                                                   : wp;
    s->mtrr_base[0] = PC_LOW_RAM_MAX | MTRR_UC;
    s->mtrr_mask[0] = (~(hole - 1) & address_bits) | MTRR_VALID;
}

/* Devices with an interrupt pin, a bit a slot. */
static uint32_t interrupting_slots(const struct pci_bus *b)
{
    uint32_t slots = 0;

    for (unsigned devfn = 0; devfn < 256; devfn++)
        if (b->dev[devfn] && b->dev[devfn]->config[PCI_INT_PIN])
            slots |= BIT(PCI_SLOT(devfn));
    return slots;
}

/* 32 GB above all RAM, on a boundary of as much, if the CPUs reach it. */
static void place_window(struct acpi_config *c, uint64_t ram_high,
                         unsigned phys_bits)
{
    const uint64_t size = BIT64(35);
    uint64_t base = align_up(PC_HIGH_RAM_BASE + ram_high, size);

    if (base + size > BIT64(phys_bits))
        return;
    c->mem64 = base;
    c->mem64_size = size;
}

void pc_describe(struct env *env, const struct cpu_model *m, unsigned ioapic_id,
                 struct bios_config *out)
{
    struct cpuid_result id = x86_cpuid(m, 1, 0, 0, 0, 0);
    uint32_t hpet = (uint32_t)space_read_locked(env->mem, HPET_BASE, 4);

    out->acpi.base = ACPI_BASE;
    out->acpi.pm_base = ACPI_PM_BASE;
    out->acpi.mem32 = PC_LOW_RAM_MAX;
    out->acpi.ncpus = env->ncpus;
    out->acpi.ioapic_id = ioapic_id;
    out->acpi.hpet_id = hpet == 0xffffffff ? 0 : hpet;
    place_window(&out->acpi, env->ram_high, m->phys_bits);
    out->smbios.ram_low = env->ram_low;
    out->smbios.ram_high = env->ram_high;
    out->smbios.ncpus = env->ncpus;
    out->smbios.cpu_vendor = m->vendor;
    out->smbios.cpu_brand = m->brand;
    out->smbios.cpuid_signature = id.eax;
    out->smbios.cpuid_features = id.edx;
    out->mp.ncpus = env->ncpus;
    out->mp.ioapic_id = ioapic_id;
    out->mp.cpuid_signature = id.eax;
    out->mp.cpuid_features = id.edx;
    out->mp.swizzle = env->pci->swizzle;
    out->mp.slots = interrupting_slots(env->pci);
}
