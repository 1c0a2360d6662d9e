#include "machine/smbios.h"

#include "base/bits.h"
#include "base/endian.h"
#include "machine/acpi/acpi.h"
#include "machine/e820.h"

enum {
    UNKNOWN = 2, /* "unknown" in most SMBIOS enumerations; "other" is 1 */
    FORMATTED_MAX = 64,
    STRINGS_MAX = 4,
    MB = 1 << 20,

    HANDLE_BIOS = 0x000,
    HANDLE_SYSTEM = 0x100,
    HANDLE_CHASSIS = 0x300,
    HANDLE_CPU = 0x400,
    HANDLE_ARRAY = 0x1000,
    HANDLE_MODULE = 0x1100,
    HANDLE_RANGE = 0x1300,
    HANDLE_BOOT = 0x2000,
    HANDLE_END = 0x7f00,
    HANDLE_NONE = 0xfffe,
};

/* The table being built; once full, nothing more is written. */
struct table {
    uint8_t *p;
    size_t n, max, largest;
    unsigned count;
    bool full;
};

/* One structure: a fixed part and the strings it numbers from 1. */
struct record {
    uint8_t p[FORMATTED_MAX];
    const char *strings[STRINGS_MAX];
    unsigned nstrings;
};

static struct record record(unsigned type, unsigned size, unsigned handle)
{
    struct record r = {.p = {(uint8_t)type, (uint8_t)size}};

    store_le16(r.p + 2, (uint16_t)handle);
    return r;
}

static void string(struct record *r, unsigned off, const char *s)
{
    if (!s || !*s || r->nstrings == STRINGS_MAX)
        return;
    r->strings[r->nstrings++] = s;
    r->p[off] = (uint8_t)r->nstrings;
}

static void append(struct table *t, const void *p, size_t n)
{
    if (t->full || n > t->max - t->n) {
        t->full = true;
        return;
    }
    memcpy(t->p + t->n, p, n);
    t->n += n;
}

static void put(struct table *t, const struct record *r)
{
    size_t from = t->n;

    append(t, r->p, r->p[1]);
    for (unsigned i = 0; i < r->nstrings; i++)
        append(t, r->strings[i], strlen(r->strings[i]) + 1);
    append(t, "\0", r->nstrings ? 1 : 2);
    t->largest = MAX(t->largest, t->n - from);
    t->count++;
}

static void put_bios(struct table *t)
{
    struct record r = record(0, 0x18, HANDLE_BIOS);

    string(&r, 0x04, "Lodge");
    string(&r, 0x05, "1.0");
    store_le16(r.p + 0x06, 0xf000); /* segment */
    string(&r, 0x08, "01/01/2025");
    store_le64(r.p + 0x0a, BIT64(3)); /* characteristics: not supported */
    r.p[0x12] = 1 << 0;               /* ACPI */
    r.p[0x13] = 1 << 4;               /* virtual machine */
    r.p[0x14] = 1;                    /* release 1.0 */
    r.p[0x16] = 0xff;                 /* no embedded controller */
    r.p[0x17] = 0xff;
    put(t, &r);
}

static void put_system(struct table *t, const struct smbios_config *c)
{
    struct record r = record(1, 0x1b, HANDLE_SYSTEM);

    string(&r, 0x04, "Lodge");
    string(&r, 0x05, "Lodge PC (i440FX)");
    string(&r, 0x06, "1.0");
    memcpy(r.p + 0x08, c->uuid, sizeof c->uuid);
    r.p[0x18] = 6; /* wake-up: power switch */
    put(t, &r);
}

static void put_chassis(struct table *t)
{
    struct record r = record(3, 0x16, HANDLE_CHASSIS);

    string(&r, 0x04, "Lodge");
    r.p[0x05] = 1; /* other */
    r.p[0x09] = 3; /* boot-up, power supply and thermal state: safe */
    r.p[0x0a] = 3;
    r.p[0x0b] = 3;
    r.p[0x0c] = UNKNOWN;
    put(t, &r);
}

static void put_cpu(struct table *t, const struct smbios_config *c)
{
    struct record r = record(4, 0x30, HANDLE_CPU);

    string(&r, 0x04, "CPU 0");
    r.p[0x05] = 3; /* central processor */
    r.p[0x06] = UNKNOWN;
    string(&r, 0x07, c->cpu_vendor);
    store_le32(r.p + 0x08, c->cpuid_signature);
    store_le32(r.p + 0x0c, c->cpuid_features);
    string(&r, 0x10, c->cpu_brand);
    r.p[0x18] = 0x41;               /* populated, enabled */
    r.p[0x19] = 1;                  /* upgrade: other */
    store_le16(r.p + 0x1a, 0xffff); /* caches: not given */
    store_le16(r.p + 0x1c, 0xffff);
    store_le16(r.p + 0x1e, 0xffff);
    r.p[0x23] = (uint8_t)MIN(c->ncpus, 0xffu);
    r.p[0x24] = r.p[0x23];
    r.p[0x25] = r.p[0x23];
    store_le16(r.p + 0x26, 1 << 2); /* 64-bit capable */
    store_le16(r.p + 0x28, UNKNOWN);
    store_le16(r.p + 0x2a, (uint16_t)c->ncpus);
    store_le16(r.p + 0x2c, (uint16_t)c->ncpus);
    store_le16(r.p + 0x2e, (uint16_t)c->ncpus);
    put(t, &r);
}

static void put_memory(struct table *t, const struct smbios_config *c)
{
    uint64_t total = c->ram_low + c->ram_high, mb = total / MB;
    struct record r = record(16, 0x17, HANDLE_ARRAY);

    r.p[0x04] = 1;                      /* where: other */
    r.p[0x05] = 3;                      /* system memory */
    r.p[0x06] = 6;                      /* multi-bit ECC: it does not flip */
    store_le32(r.p + 0x07, 0x80000000); /* see the extended capacity */
    store_le16(r.p + 0x0b, HANDLE_NONE);
    store_le16(r.p + 0x0d, 1);
    store_le64(r.p + 0x0f, total);
    put(t, &r);

    r = record(17, 0x28, HANDLE_MODULE);
    store_le16(r.p + 0x04, HANDLE_ARRAY);
    store_le16(r.p + 0x06, HANDLE_NONE);
    store_le16(r.p + 0x08, 0xffff); /* widths: unknown */
    store_le16(r.p + 0x0a, 0xffff);
    store_le16(r.p + 0x0c, (uint16_t)MIN(mb, 0x7fffu));
    if (mb >= 0x7fff)
        store_le32(r.p + 0x1c, (uint32_t)mb);
    r.p[0x0e] = 9; /* DIMM */
    string(&r, 0x10, "DIMM 0");
    r.p[0x12] = 7;             /* RAM */
    store_le16(r.p + 0x13, 2); /* detail: other */
    string(&r, 0x17, "Lodge");
    put(t, &r);
}

/* n bytes at base; ends are inclusive, in KB, or in bytes where that lacks. */
static void put_range(struct table *t, unsigned i, uint64_t base, uint64_t n)
{
    struct record r = record(19, 0x1f, HANDLE_RANGE + i);
    uint64_t last = base + n - 1;

    if (!n)
        return;
    if (last >> 10 < 0xffffffff) {
        store_le32(r.p + 0x04, (uint32_t)(base >> 10));
        store_le32(r.p + 0x08, (uint32_t)(last >> 10));
    } else {
        store_le32(r.p + 0x04, 0xffffffff);
        store_le32(r.p + 0x08, 0xffffffff);
        store_le64(r.p + 0x0f, base);
        store_le64(r.p + 0x17, last);
    }
    store_le16(r.p + 0x0c, HANDLE_ARRAY);
    r.p[0x0e] = 1;
    put(t, &r);
}

static void put_entries(const struct table *t, gpa_t address, uint8_t *entry)
{
    uint8_t *old = entry, *now = entry + 0x20;

    memset(entry, 0, SMBIOS_ENTRY_SIZE);
    memcpy(old, "_SM_", 4);
    old[0x05] = 0x1f;
    old[0x06] = 2; /* version 2.8 */
    old[0x07] = 8;
    store_le16(old + 0x08, (uint16_t)t->largest);
    memcpy(old + 0x10, "_DMI_", 5);
    store_le16(old + 0x16, (uint16_t)t->n);
    store_le32(old + 0x18, (uint32_t)address);
    store_le16(old + 0x1c, (uint16_t)t->count);
    old[0x1e] = 0x28;
    old[0x15] = acpi_checksum(old + 0x10, 0x0f);
    old[0x04] = acpi_checksum(old, 0x1f);

    memcpy(now, "_SM3_", 5);
    now[0x06] = 0x18;
    now[0x07] = 3; /* version 3.0 */
    now[0x0a] = 1; /* entry point revision */
    store_le32(now + 0x0c, (uint32_t)t->n);
    store_le64(now + 0x10, address);
    now[0x05] = acpi_checksum(now, 0x18);
}

int smbios_build(const struct smbios_config *c, gpa_t address, uint8_t *table,
                 size_t max, size_t *used, uint8_t entry[SMBIOS_ENTRY_SIZE],
                 struct err *e)
{
    struct table t = {.p = table, .max = max};
    struct record r;

    put_bios(&t);
    put_system(&t, c);
    put_chassis(&t);
    put_cpu(&t, c);
    put_memory(&t, c);
    put_range(&t, 0, 0, c->ram_low);
    put_range(&t, 1, PC_HIGH_RAM_BASE, c->ram_high);
    r = record(32, 0x0b, HANDLE_BOOT); /* no errors detected */
    put(&t, &r);
    r = record(127, 0x04, HANDLE_END);
    put(&t, &r);
    *used = t.n;
    if (t.full)
        return err_set(e, LE_RANGE, "the SMBIOS table does not fit");
    put_entries(&t, address, entry);
    return 0;
}
