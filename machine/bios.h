/*
 * What a PC's BIOS would leave behind, for kernels that are started without
 * one: tables below 1 MB (ACPI, SMBIOS, MP), the interrupt vectors and the BIOS
 * data area, and real-mode code for the few calls that a kernel's set-up code
 * makes (bios/bios.asm).
 *
 * Pure functions into the caller's copy of the first megabyte; any thread.
 */
#ifndef MACHINE_BIOS_H
#define MACHINE_BIOS_H

#include "machine/acpi/acpi.h"
#include "machine/e820.h"
#include "machine/mptable.h"
#include "machine/smbios.h"

enum {
    BIOS_ACPI = ACPI_BASE, /* e0000 */
    BIOS_SMBIOS = 0xec000,
    BIOS_MPTABLE = 0xed000,
    BIOS_SMBIOS_ENTRY = 0xf0000,
    BIOS_MP_POINTER = 0xf0040,
    BIOS_MAP = 0xf1000,
    BIOS_CODE = 0xff000,
};

struct bios_config {
    const struct e820 *map;
    struct acpi_config acpi;
    struct smbios_config smbios;
    struct mptable_config mp;
    bool no_acpi; /* leave the ACPI tables out */
};

/*
 * Fills low[0..PC_MEGABYTE): the vectors and BIOS data at 0, the EBDA, and
 * all from PC_BIOS_DATA on. *rsdp: 0 without ACPI.
 */
int bios_fill(const struct bios_config *c, uint8_t *low, gpa_t *rsdp,
              struct err *e);

#endif
