/*
 * SMBIOS (DMTF DSP0134 3.0): what the machine is called and what it has, for
 * inventory tools. A 2.1 entry point (32-bit) and a 3.0 one (64-bit) share one
 * structure table of types 0, 1, 3, 4, 16, 17, 19, 32 and 127.
 *
 * Pure functions; any thread.
 */
#ifndef MACHINE_SMBIOS_H
#define MACHINE_SMBIOS_H

#include "base/err.h"
#include "lodge/types.h"

enum {
    SMBIOS_ENTRY_SIZE = 0x40, /* both entry points: 31 bytes, pad, 24 bytes */
    SMBIOS_TABLE_MAX = 0x1000,
};

struct smbios_config {
    uint64_t ram_low, ram_high; /* bytes below and from 4 GB */
    unsigned ncpus;
    const char *cpu_vendor, *cpu_brand;
    uint32_t cpuid_signature; /* CPUID.1:EAX, EDX */
    uint32_t cpuid_features;
    uint8_t uuid[16]; /* as the SMBIOS field holds it */
};

/*
 * Writes the entry points to entry (which will be on a 16-byte boundary in
 * 0xf0000–0xfffff) and the table that will be at `address`. -LE_RANGE when the
 * texts are too long for max.
 */
int smbios_build(const struct smbios_config *c, gpa_t address, uint8_t *table,
                 size_t max, size_t *used, uint8_t entry[SMBIOS_ENTRY_SIZE],
                 struct err *e);

#endif
