/*
 * The machine's memory map: what is where in guest-physical space, in the
 * terms of ACPI's INT 15h/E820h interface (ACPI 6.4, section 15). One map
 * feeds the RAM regions, every boot protocol and SMBIOS.
 *
 * Pure functions over a fixed-size map; any thread. Addresses and lengths in
 * bytes.
 */
#ifndef MACHINE_E820_H
#define MACHINE_E820_H

#include "base/err.h"
#include "lodge/types.h"

enum e820_type {
    E820_RAM = 1,
    E820_RESERVED = 2,
    E820_ACPI = 3, /* ACPI tables, free once the guest has read them */
    E820_NVS = 4,  /* ACPI tables the guest must keep */
};

struct e820_entry {
    uint64_t base, len;
    uint32_t type;
};

enum {
    E820_MAX = 32,
    E820_WIRE_SIZE = 20, /* one entry as INT 15h and boot_params hold it */
};

/* Sorted by base; entries neither overlap nor are empty. */
struct e820 {
    unsigned n;
    struct e820_entry e[E820_MAX];
};

/* Where RAM of a PC ends below 4 GB, and where its parts are. */
#define PC_LOW_RAM_MAX   0xc0000000ull /* RAM below the PCI hole: up to 3 GB */
#define PC_HIGH_RAM_BASE 0x100000000ull
#define PC_RAM_MIN       0x100000ull /* the first megabyte and nothing else */
#define PC_EBDA          0x9fc00ull
#define PC_VGA           0xa0000ull
#define PC_BIOS_DATA     0xe0000ull /* tables, writable by the guest */
#define PC_BIOS_ROM      0xf0000ull
#define PC_MEGABYTE      0x100000ull

/* How much of `ram` bytes lies below 4 GB, and how much from 4 GB up. */
uint64_t pc_low_ram(uint64_t ram);
uint64_t pc_high_ram(uint64_t ram);

/*
 * The map of a PC with `ram` bytes (PC_RAM_MIN at least): RAM, the extended
 * BIOS data area, the BIOS area, the chips below 4 GB.
 */
void e820_pc(struct e820 *m, uint64_t ram);

/*
 * Gives [base, base + len) the type, in place of what it was. -LE_RANGE when
 * the range is empty or wraps, or the map is full (it is then unchanged).
 */
int e820_set(struct e820 *m, uint64_t base, uint64_t len, uint32_t type);

/* Is all of [base, base + len) RAM? False for empty and wrapping ranges. */
bool e820_is_ram(const struct e820 *m, uint64_t base, uint64_t len);

/* RAM at [1 MB, result) without a hole; 0 when there is none. */
uint64_t e820_low_end(const struct e820 *m);

/* Writes entry i as 20 bytes: base, length, type. */
void e820_put(const struct e820 *m, unsigned i, uint8_t *to);

#endif
