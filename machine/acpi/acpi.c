#include "machine/acpi/acpi.h"

#include "base/bits.h"
#include "base/endian.h"
#include "machine/embedded.h"

enum {
    HEADER_SIZE = 36,
    FADT_SIZE = 276,
    FACS_SIZE = 64,
    TABLES_MAX = 8,

    /* FADT, IAPC_BOOT_ARCH */
    ARCH_LEGACY_DEVICES = 1 << 0,
    ARCH_8042 = 1 << 1,
    ARCH_NO_VGA = 1 << 2,

    /* FADT, fixed feature flags */
    FLAG_WBINVD = 1 << 0,
    FLAG_PROC_C1 = 1 << 2,
    FLAG_NO_SLEEP_BUTTON = 1 << 5,
    FLAG_RESET_REG = 1 << 10,

    /* Generic address structure */
    SPACE_MEMORY = 0,
    SPACE_IO = 1,

    /* MADT */
    MADT_PCAT = 1 << 0,
    MADT_ENABLED = 1 << 0,
    MPS_HIGH_LEVEL = 0x0d, /* active high, level-triggered */
    XAPIC_IDS = 255,

    WAET_RTC_GOOD = 1 << 0,
    WAET_PM_TIMER_GOOD = 1 << 1,
};

static const char oem_id[6] = "LODGE ";
static const char oem_table_id[8] = "LODGEPC ";
static const char creator_id[4] = "LDGE";

/* The block being built. Once full, it stays so and nothing more is written. */
struct blob {
    gpa_t base;
    struct acpi_links *links; /* or NULL */
    uint8_t *p;
    size_t n, max;
    bool full;
    unsigned ntables;
    gpa_t table[TABLES_MAX]; /* what RSDT and XSDT list */
};

uint8_t acpi_checksum(const uint8_t *p, size_t n)
{
    uint8_t sum = 0;

    while (n--)
        sum = (uint8_t)(sum + *p++);
    return (uint8_t)-sum;
}

/* n zero bytes at an aligned place; NULL: full. */
static uint8_t *blob_take(struct blob *b, size_t n, size_t align)
{
    size_t at = (size_t)align_up(b->n, align);

    if (b->full || at > b->max || n > b->max - at) {
        b->full = true;
        return NULL;
    }
    b->n = at + n;
    memset(b->p + at, 0, n);
    return b->p + at;
}

static gpa_t blob_address(const struct blob *b, const uint8_t *p)
{
    return b->base + (gpa_t)(p - b->p);
}

static void blob_link(struct blob *b, const uint8_t *at, unsigned bytes,
                      const uint8_t *start, size_t len)
{
    struct acpi_links *l = b->links;

    if (!l)
        return;
    if (l->n == ACPI_LINKS_MAX) {
        b->full = true;
        return;
    }
    l->link[l->n++] =
        (struct acpi_link){(uint32_t)(at - b->p), (uint8_t)bytes,
                           (uint32_t)(start - b->p), (uint32_t)len};
}

static void put_pointer(struct blob *b, uint8_t *at, gpa_t v, unsigned bytes)
{
    store_le(at, v, bytes);
    blob_link(b, at, bytes, b->p, 0);
}

/* The byte at sum makes those at p come to zero. Where it is to be linked it
   stays zero, from which SeaBIOS and OVMF, each in its way, get it right. */
static void put_sum(struct blob *b, uint8_t *sum, const uint8_t *p, size_t n)
{
    *sum = 0;
    if (!b->links)
        *sum = acpi_checksum(p, n);
    blob_link(b, sum, 0, p, n);
}

static uint8_t *table_begin(struct blob *b, const char *signature,
                            uint8_t revision, size_t size)
{
    uint8_t *t = blob_take(b, size, 16);

    if (!t)
        return NULL;
    memcpy(t, signature, 4);
    store_le32(t + 4, (uint32_t)size);
    t[8] = revision;
    memcpy(t + 10, oem_id, sizeof oem_id);
    memcpy(t + 16, oem_table_id, sizeof oem_table_id);
    store_le32(t + 24, 1);
    memcpy(t + 28, creator_id, sizeof creator_id);
    store_le32(t + 32, 1);
    return t;
}

/* Sums it up; listed: RSDT and XSDT point to it. */
static void table_end(struct blob *b, uint8_t *t, bool listed)
{
    if (!t)
        return;
    put_sum(b, t + 9, t, load_le32(t + 4));
    if (listed)
        b->table[b->ntables++] = blob_address(b, t);
}

static void put_gas(uint8_t *p, unsigned space, unsigned bits, unsigned access,
                    uint64_t address)
{
    p[0] = (uint8_t)space;
    p[1] = (uint8_t)bits;
    p[3] = (uint8_t)access;
    store_le64(p + 4, address);
}

/* What dsdt.asl reads as its region BINF. */
static void put_info(struct blob *b, const struct acpi_config *c)
{
    uint8_t *p = blob_take(b, 32, 16);

    if (!p)
        return;
    store_le64(p, c->mem64_size ? c->mem64 : 0);
    store_le64(p + 8, c->mem64_size);
    p[16] = c->serials;
    p[17] = c->hpet_id != 0;
    p[18] = c->i8042;
    store_le32(p + 20, (uint32_t)c->mem32);
    store_le16(p + 24, c->pm_base);
}

static gpa_t put_facs(struct blob *b)
{
    uint8_t *t = blob_take(b, FACS_SIZE, 64);

    if (!t)
        return 0;
    memcpy(t, "FACS", 4);
    store_le32(t + 4, FACS_SIZE);
    t[32] = 2; /* version */
    return blob_address(b, t);
}

/* OperationRegion (BINF, SystemMemory, a number of 32 bits follows */
static const uint8_t binf_aml[] = {0x5b, 0x80, 'B', 'I', 'N', 'F', 0, 0x0c};

/* With the address of what put_info() put at the start. */
static gpa_t put_dsdt(struct blob *b)
{
    uint8_t *t = blob_take(b, dsdt_aml_size, 16);

    if (!t)
        return 0;
    memcpy(t, dsdt_aml, dsdt_aml_size);
    for (size_t i = 0; i + sizeof binf_aml + 4 <= dsdt_aml_size; i++)
        if (!memcmp(t + i, binf_aml, sizeof binf_aml))
            put_pointer(b, t + i + sizeof binf_aml, b->base, 4);
    put_sum(b, t + 9, t, dsdt_aml_size);
    return blob_address(b, t);
}

static void put_fadt(struct blob *b, const struct acpi_config *c, gpa_t facs,
                     gpa_t dsdt)
{
    const unsigned pm = c->pm_base;
    uint8_t *t = table_begin(b, "FACP", 6, FADT_SIZE);

    if (!t)
        return;
    put_pointer(b, t + 36, facs, 4);
    put_pointer(b, t + 40, dsdt, 4);
    store_le16(t + 46, ACPI_SCI);
    store_le32(t + 48, ACPI_SMI_PORT);
    t[52] = ACPI_SMI_ENABLE;
    t[53] = ACPI_SMI_DISABLE;
    store_le32(t + 56, pm);     /* PM1a event block: 4 bytes */
    store_le32(t + 64, pm + 4); /* PM1a control block: 2 bytes */
    store_le32(t + 76, pm + 8); /* PM timer: 4 bytes */
    store_le32(t + 80, pm + ACPI_GPE_OFFSET);
    t[88] = 4;
    t[89] = 2;
    t[91] = 4;
    t[92] = 4;
    store_le16(t + 96, 0xfff); /* no C2: worst latency over 100 µs */
    store_le16(t + 98, 0xfff); /* no C3: over 1000 µs */
    t[108] = 0x32;             /* century in CMOS */
    store_le16(t + 109,
               (uint16_t)(ARCH_LEGACY_DEVICES | (c->vga ? 0 : ARCH_NO_VGA) |
                          (c->i8042 ? ARCH_8042 : 0)));
    store_le32(t + 112, FLAG_WBINVD | FLAG_PROC_C1 | FLAG_NO_SLEEP_BUTTON |
                            FLAG_RESET_REG);
    put_gas(t + 116, SPACE_IO, 8, 1, ACPI_RESET_PORT);
    t[128] = ACPI_RESET_VALUE;
    /* X_FIRMWARE_CTRL stays 0: either field may be used, not both. */
    put_pointer(b, t + 140, dsdt, 8);
    put_gas(t + 148, SPACE_IO, 32, 2, pm);
    put_gas(t + 172, SPACE_IO, 16, 2, pm + 4);
    put_gas(t + 208, SPACE_IO, 32, 3, pm + 8);
    put_gas(t + 220, SPACE_IO, 32, 1, pm + ACPI_GPE_OFFSET);
    memcpy(t + 268, "Lodge\0\0", 8); /* hypervisor vendor identity */
    table_end(b, t, true);
}

static uint8_t *madt_entry(uint8_t **p, unsigned type, unsigned size)
{
    uint8_t *at = *p;

    at[0] = (uint8_t)type;
    at[1] = (uint8_t)size;
    *p += size;
    return at;
}

static void madt_cpu(uint8_t **p, unsigned id)
{
    uint8_t *q = madt_entry(p, id < XAPIC_IDS ? 0 : 9, id < XAPIC_IDS ? 8 : 16);

    if (id < XAPIC_IDS) {
        q[2] = (uint8_t)id;
        q[3] = (uint8_t)id;
        store_le32(q + 4, MADT_ENABLED);
    } else {
        store_le32(q + 4, id);
        store_le32(q + 8, MADT_ENABLED);
        store_le32(q + 12, id);
    }
}

static void madt_override(uint8_t **p, unsigned irq, unsigned gsi,
                          unsigned flags)
{
    uint8_t *q = madt_entry(p, 2, 10);

    q[3] = (uint8_t)irq;
    store_le32(q + 4, gsi);
    store_le16(q + 8, (uint16_t)flags);
}

static void put_madt(struct blob *b, const struct acpi_config *c)
{
    unsigned xapics = MIN(c->ncpus, (unsigned)XAPIC_IDS);
    unsigned x2apics = c->ncpus - xapics;
    size_t size = HEADER_SIZE + 8 + xapics * 8 + x2apics * 16 + 12 + 2 * 10 +
                  6 + (x2apics ? 12 : 0);
    uint8_t *t = table_begin(b, "APIC", 4, size), *p, *q;

    if (!t)
        return;
    store_le32(t + 36, LAPIC_BASE);
    store_le32(t + 40, MADT_PCAT);
    p = t + 44;
    for (unsigned i = 0; i < c->ncpus; i++)
        madt_cpu(&p, i);
    q = madt_entry(&p, 1, 12);
    q[2] = (uint8_t)c->ioapic_id;
    store_le32(q + 4, IOAPIC_BASE);
    madt_override(&p, 0, 2, 0);
    madt_override(&p, ACPI_SCI, ACPI_SCI, MPS_HIGH_LEVEL);
    q = madt_entry(&p, 4, 6); /* LINT1 of every CPU is NMI */
    q[2] = 0xff;
    q[5] = 1;
    if (x2apics) {
        q = madt_entry(&p, 0xa, 12);
        store_le32(q + 4, 0xffffffff);
        q[8] = 1;
    }
    table_end(b, t, true);
}

static void put_hpet(struct blob *b, const struct acpi_config *c)
{
    uint8_t *t;

    if (!c->hpet_id)
        return;
    t = table_begin(b, "HPET", 1, 56);
    if (!t)
        return;
    store_le32(t + 36, c->hpet_id);
    put_gas(t + 40, SPACE_MEMORY, 64, 0, HPET_BASE);
    store_le16(t + 53, 0x80); /* least ticks of a periodic timer */
    table_end(b, t, true);
}

static void put_waet(struct blob *b)
{
    uint8_t *t = table_begin(b, "WAET", 1, 40);

    if (!t)
        return;
    store_le32(t + 36, WAET_RTC_GOOD | WAET_PM_TIMER_GOOD);
    table_end(b, t, true);
}

static gpa_t put_root(struct blob *b, const char *signature, unsigned width)
{
    uint8_t *t =
        table_begin(b, signature, 1, HEADER_SIZE + (size_t)b->ntables * width);

    if (!t)
        return 0;
    for (unsigned i = 0; i < b->ntables; i++)
        put_pointer(b, t + HEADER_SIZE + i * width, b->table[i], width);
    table_end(b, t, false);
    return blob_address(b, t);
}

static gpa_t put_rsdp(struct blob *b, gpa_t rsdt, gpa_t xsdt)
{
    uint8_t *t = blob_take(b, ACPI_RSDP_SIZE, 16);

    if (!t)
        return 0;
    memcpy(t, "RSD PTR ", 8);
    memcpy(t + 9, oem_id, sizeof oem_id);
    t[15] = 2; /* revision */
    put_pointer(b, t + 16, rsdt, 4);
    store_le32(t + 20, ACPI_RSDP_SIZE);
    put_pointer(b, t + 24, xsdt, 8);
    put_sum(b, t + 8, t, 20);
    put_sum(b, t + 32, t, ACPI_RSDP_SIZE);
    return blob_address(b, t);
}

int acpi_build(const struct acpi_config *c, uint8_t *to, size_t max,
               size_t *used, gpa_t *rsdp, struct acpi_links *links,
               struct err *e)
{
    struct blob b = {.base = c->base, .links = links, .p = to, .max = max};
    gpa_t facs, rsdt, xsdt;

    if (links)
        links->n = 0;
    put_info(&b, c); /* first: put_dsdt() relies on it */
    facs = put_facs(&b);
    put_fadt(&b, c, facs, put_dsdt(&b));
    put_madt(&b, c);
    put_hpet(&b, c);
    put_waet(&b);
    rsdt = put_root(&b, "RSDT", 4);
    xsdt = put_root(&b, "XSDT", 8);
    *rsdp = put_rsdp(&b, rsdt, xsdt);
    *used = b.n;
    if (b.full)
        return err_set(e, LE_RANGE,
                       "the ACPI tables of %u CPUs do not fit below 1 MB",
                       c->ncpus);
    return 0;
}
