#include "machine/mptable.h"

#include "base/endian.h"
#include "machine/acpi/acpi.h"

enum {
    HEADER_SIZE = 44,
    SPEC_REV = 4, /* 1.4 */

    ENTRY_CPU = 0,
    ENTRY_BUS = 1,
    ENTRY_IOAPIC = 2,
    ENTRY_INTR = 3,
    ENTRY_LINT = 4,
    CPU_SIZE = 20,
    OTHER_SIZE = 8,

    CPU_ENABLED = 1 << 0,
    CPU_BSP = 1 << 1,
    APIC_VERSION = 0x14,
    IOAPIC_VERSION = 0x20,

    BUS_PCI = 0,
    BUS_ISA = 1,
    INTR_INT = 0,
    INTR_NMI = 1,
    INTR_EXTINT = 3,
    CONFORMS = 0,      /* polarity and trigger mode of the bus */
    HIGH_LEVEL = 0x0d, /* active high, level */
    LOW_LEVEL = 0x0f,
    ALL_APICS = 0xff,
    PIRQ_GSI = 16,
};

struct table {
    uint8_t *p;
    size_t n, max;
    unsigned count;
    bool full;
};

static uint8_t *entry(struct table *t, unsigned type)
{
    size_t n = type == ENTRY_CPU ? CPU_SIZE : OTHER_SIZE;
    uint8_t *p = t->p + t->n;

    if (t->full || n > t->max - t->n) {
        t->full = true;
        return NULL;
    }
    memset(p, 0, n);
    p[0] = (uint8_t)type;
    t->n += n;
    t->count++;
    return p;
}

static void put_cpu(struct table *t, const struct mptable_config *c,
                    unsigned id)
{
    uint8_t *p = entry(t, ENTRY_CPU);

    if (!p)
        return;
    p[1] = (uint8_t)id;
    p[2] = APIC_VERSION;
    p[3] = id ? CPU_ENABLED : CPU_ENABLED | CPU_BSP;
    store_le32(p + 4, c->cpuid_signature);
    store_le32(p + 8, c->cpuid_features);
}

static void put_bus(struct table *t, unsigned id, const char *name)
{
    uint8_t *p = entry(t, ENTRY_BUS);

    if (!p)
        return;
    p[1] = (uint8_t)id;
    memcpy(p + 2, name, 6);
}

static void put_ioapic(struct table *t, unsigned id)
{
    uint8_t *p = entry(t, ENTRY_IOAPIC);

    if (!p)
        return;
    p[1] = (uint8_t)id;
    p[2] = IOAPIC_VERSION;
    p[3] = 1; /* usable */
    store_le32(p + 4, IOAPIC_BASE);
}

/* An interrupt of a bus at an input of the IOAPIC or of local APICs. */
static void put_intr(struct table *t, unsigned kind, unsigned type,
                     unsigned flags, unsigned bus, unsigned source,
                     unsigned apic, unsigned input)
{
    uint8_t *p = entry(t, kind);

    if (!p)
        return;
    p[1] = (uint8_t)type;
    store_le16(p + 2, (uint16_t)flags);
    p[4] = (uint8_t)bus;
    p[5] = (uint8_t)source;
    p[6] = (uint8_t)apic;
    p[7] = (uint8_t)input;
}

static void put_wires(struct table *t, const struct mptable_config *c)
{
    for (unsigned slot = 0; slot < 32; slot++)
        for (unsigned pin = 0; pin < 4 && c->slots >> slot & 1; pin++)
            put_intr(t, ENTRY_INTR, INTR_INT, LOW_LEVEL, BUS_PCI,
                     slot << 2 | pin, c->ioapic_id,
                     PIRQ_GSI + ((slot + pin + c->swizzle) & 3));
    /* Input 0 is the 8259s; the PIT is at 2, where their cascade would be. */
    for (unsigned irq = 0; irq < 16; irq++)
        if (irq != 2)
            put_intr(t, ENTRY_INTR, INTR_INT,
                     irq == ACPI_SCI ? HIGH_LEVEL : CONFORMS, BUS_ISA, irq,
                     c->ioapic_id, irq ? irq : 2);
    put_intr(t, ENTRY_LINT, INTR_EXTINT, CONFORMS, BUS_ISA, 0, 0, 0);
    put_intr(t, ENTRY_LINT, INTR_NMI, CONFORMS, BUS_ISA, 0, ALL_APICS, 1);
}

int mptable_build(const struct mptable_config *c, gpa_t address, uint8_t *to,
                  size_t max, size_t *used, uint8_t pointer[MPTABLE_FLOAT_SIZE],
                  struct err *e)
{
    unsigned ncpus = MIN(c->ncpus, (unsigned)MPTABLE_CPUS_MAX);
    struct table t = {.p = to, .n = HEADER_SIZE, .max = max};

    *used = 0;
    if (max < HEADER_SIZE)
        return err_set(e, LE_RANGE, "no room for the MP table");
    for (unsigned i = 0; i < ncpus; i++)
        put_cpu(&t, c, i);
    put_bus(&t, BUS_PCI, "PCI   ");
    put_bus(&t, BUS_ISA, "ISA   ");
    put_ioapic(&t, c->ioapic_id);
    put_wires(&t, c);
    if (t.full)
        return err_set(e, LE_RANGE, "the MP table of %u CPUs does not fit",
                       ncpus);
    memset(to, 0, HEADER_SIZE);
    memcpy(to, "PCMP", 4);
    store_le16(to + 4, (uint16_t)t.n);
    to[6] = SPEC_REV;
    memcpy(to + 8, "LODGE   LODGE PC    ", 20);
    store_le16(to + 34, (uint16_t)t.count);
    store_le32(to + 36, LAPIC_BASE);
    to[7] = acpi_checksum(to, t.n);
    *used = t.n;

    memset(pointer, 0, MPTABLE_FLOAT_SIZE);
    memcpy(pointer, "_MP_", 4);
    store_le32(pointer + 4, (uint32_t)address);
    pointer[8] = 1; /* 16-byte units */
    pointer[9] = SPEC_REV;
    pointer[10] = acpi_checksum(pointer, MPTABLE_FLOAT_SIZE);
    return 0;
}
