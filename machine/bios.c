#include "machine/bios.h"

#include "base/endian.h"
#include "machine/embedded.h"

enum {
    ROM_SEG = 0xf000,

    /* Entry points of bios.asm, offsets in ROM_SEG */
    CALL_FAIL = 0xf000,
    CALL_IRQ_LOW = 0xf003,
    CALL_IRQ_HIGH = 0xf006,
    CALL_PLAIN = 0xf009,
    CALL_INT10 = 0xf00c,
    CALL_INT11 = 0xf00f,
    CALL_INT12 = 0xf012,
    CALL_INT15 = 0xf015,
    CALL_INT16 = 0xf018,
    CALL_INT1A = 0xf01b,
    CALL_RESET = 0xf01e,

    BDA = 0x400,
    LOW_KB = 639,
};

static void put_vector(uint8_t *low, unsigned n, unsigned offset)
{
    store_le16(low + n * 4, (uint16_t)offset);
    store_le16(low + n * 4 + 2, ROM_SEG);
}

static void put_vectors(uint8_t *low)
{
    static const struct {
        uint8_t vector;
        uint16_t call;
    } own[] = {
        {0x10, CALL_INT10}, {0x11, CALL_INT11}, {0x12, CALL_INT12},
        {0x13, CALL_FAIL},  {0x14, CALL_FAIL},  {0x15, CALL_INT15},
        {0x16, CALL_INT16}, {0x17, CALL_FAIL},  {0x18, CALL_RESET},
        {0x19, CALL_RESET}, {0x1a, CALL_INT1A},
    };

    for (unsigned i = 0; i < 256; i++)
        put_vector(low, i, CALL_PLAIN);
    for (unsigned i = 0; i < 8; i++) {
        put_vector(low, 0x08 + i, CALL_IRQ_LOW);
        put_vector(low, 0x70 + i, CALL_IRQ_HIGH);
    }
    for (unsigned i = 0; i < ARRAY_LEN(own); i++)
        put_vector(low, own[i].vector, own[i].call);
}

/* IBM PC AT Technical Reference, "BIOS data area". */
static void put_data_area(uint8_t *low, unsigned serials)
{
    static const uint16_t com[] = {0x3f8, 0x2f8, 0x3e8, 0x2e8};
    uint8_t *bda = low + BDA, *next = bda;
    unsigned n = 0;

    memset(bda, 0, 0x100);
    for (unsigned i = 0; i < ARRAY_LEN(com); i++)
        if (serials >> i & 1) {
            store_le16(next, com[i]);
            next += 2;
            n++;
        }
    store_le16(bda + 0x0e, PC_EBDA >> 4);
    store_le16(bda + 0x10, (uint16_t)(0x20 | n << 9)); /* equipment */
    store_le16(bda + 0x13, LOW_KB);
    store_le16(bda + 0x1a, 0x1e); /* the keyboard buffer is empty */
    store_le16(bda + 0x1c, 0x1e);
    bda[0x49] = 3; /* video mode */
    store_le16(bda + 0x4a, 80);
    store_le16(bda + 0x80, 0x1e); /* where the keyboard buffer is */
    store_le16(bda + 0x82, 0x3e);
    bda[0x84] = 24;
    low[PC_EBDA] = 1; /* its size in KB */
}

/* What bios.asm reads at F000:1000. */
static void put_map(uint8_t *low, const struct e820 *m)
{
    const uint64_t mb16 = 16 << 20;
    uint64_t end = MAX(e820_low_end(m), PC_MEGABYTE);
    uint8_t *p = low + BIOS_MAP;

    store_le16(p, (uint16_t)m->n);
    store_le16(p + 2, (uint16_t)MIN((end - PC_MEGABYTE) >> 10, 0xfc00u));
    store_le16(p + 4, (uint16_t)((MIN(end, mb16) - PC_MEGABYTE) >> 10));
    store_le16(p + 6, (uint16_t)((MAX(end, mb16) - mb16) >> 16));
    for (unsigned i = 0; i < m->n; i++)
        e820_put(m, i, p + 16 + i * E820_WIRE_SIZE);
}

int bios_fill(const struct bios_config *c, uint8_t *low, gpa_t *rsdp,
              struct err *e)
{
    size_t used;
    int r = 0;

    memset(low + PC_EBDA, 0, PC_VGA - PC_EBDA);
    memset(low + PC_BIOS_DATA, 0, PC_MEGABYTE - PC_BIOS_DATA);
    put_vectors(low);
    put_data_area(low, c->acpi.serials);
    put_map(low, c->map);
    memcpy(low + BIOS_CODE, bios_code, bios_code_size);
    *rsdp = 0;
    if (!c->no_acpi)
        r = acpi_build(&c->acpi, low + BIOS_ACPI, BIOS_SMBIOS - BIOS_ACPI,
                       &used, rsdp, NULL, e);
    if (!r)
        r = smbios_build(&c->smbios, BIOS_SMBIOS, low + BIOS_SMBIOS,
                         BIOS_MPTABLE - BIOS_SMBIOS, &used,
                         low + BIOS_SMBIOS_ENTRY, e);
    if (!r)
        r = mptable_build(&c->mp, BIOS_MPTABLE, low + BIOS_MPTABLE, MPTABLE_MAX,
                          &used, low + BIOS_MP_POINTER, e);
    return r;
}
