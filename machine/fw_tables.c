#include "machine/fw_tables.h"

#include "base/endian.h"

enum { /* commands of the loader, and where their operands are */
       ALLOCATE = 1,
       ADD_POINTER = 2,
       ADD_CHECKSUM = 3,
       FILE_NAME = 56,
       ZONE_HIGH = 1,
       ZONE_FSEG = 2, /* where a BIOS's RSDP is looked for */
};

struct script {
    uint8_t *to;
    unsigned n;
    uint32_t rsdp; /* where in the block the second file begins */
};

static uint8_t *command(struct script *s, unsigned what)
{
    uint8_t *p = s->to + s->n++ * FW_LOADER_ENTRY;

    memset(p, 0, FW_LOADER_ENTRY);
    store_le32(p, what);
    return p + 4;
}

static void file_name(uint8_t *p, const char *name)
{
    memcpy(p, name, strlen(name) + 1);
}

/* The file that byte `at` of the block is in; *at becomes an offset there. */
static const char *file_at(const struct script *s, uint32_t *at)
{
    if (*at < s->rsdp)
        return FW_FILE_TABLES;
    *at -= s->rsdp;
    return FW_FILE_RSDP;
}

static void allocate(struct script *s, const char *file, uint32_t align,
                     unsigned zone)
{
    uint8_t *p = command(s, ALLOCATE);

    file_name(p, file);
    store_le32(p + FILE_NAME, align);
    p[FILE_NAME + 4] = (uint8_t)zone;
}

/* Everything that is pointed to is in the tables, none in the RSDP. */
static void add_pointer(struct script *s, const struct acpi_link *l)
{
    uint8_t *p = command(s, ADD_POINTER);
    uint32_t at = l->at;

    file_name(p, file_at(s, &at));
    file_name(p + FILE_NAME, FW_FILE_TABLES);
    store_le32(p + 2 * FILE_NAME, at);
    p[2 * FILE_NAME + 4] = l->bytes;
}

static void add_checksum(struct script *s, const struct acpi_link *l)
{
    uint8_t *p = command(s, ADD_CHECKSUM);
    uint32_t at = l->at, start = l->start;

    file_name(p, file_at(s, &at));
    file_at(s, &start);
    store_le32(p + FILE_NAME, at);
    store_le32(p + FILE_NAME + 4, start);
    store_le32(p + FILE_NAME + 8, l->len);
}

size_t fw_loader_script(const struct acpi_links *links, uint32_t rsdp,
                        uint8_t to[FW_LOADER_MAX])
{
    struct script s = {.to = to, .rsdp = rsdp};

    allocate(&s, FW_FILE_RSDP, 16, ZONE_FSEG);
    allocate(&s, FW_FILE_TABLES, 64, ZONE_HIGH);
    for (unsigned i = 0; i < links->n; i++)
        if (links->link[i].bytes)
            add_pointer(&s, &links->link[i]);
    for (unsigned i = 0; i < links->n; i++)
        if (!links->link[i].bytes)
            add_checksum(&s, &links->link[i]);
    return s.n * (size_t)FW_LOADER_ENTRY;
}

size_t fw_memory_map(uint64_t ram_low, uint64_t ram_high,
                     uint8_t to[2 * E820_WIRE_SIZE])
{
    struct e820 m = {
        .n = ram_high ? 2 : 1,
        .e = {{0, ram_low, E820_RAM}, {PC_HIGH_RAM_BASE, ram_high, E820_RAM}}};

    for (unsigned i = 0; i < m.n; i++)
        e820_put(&m, i, to + i * E820_WIRE_SIZE);
    return m.n * (size_t)E820_WIRE_SIZE;
}
