/*
 * The ACPI tables of the PC (ACPI 6.4, chapter 5): RSDP, RSDT, XSDT, FADT,
 * FACS, DSDT, MADT, HPET, WAET. All but the DSDT (dsdt.asl) are made here, as
 * one block of bytes for a fixed guest address.
 *
 * Pure functions; any thread. Addresses are guest-physical.
 */
#ifndef MACHINE_ACPI_H
#define MACHINE_ACPI_H

#include "base/err.h"
#include "lodge/types.h"

enum {
    ACPI_BASE = 0xe0000, /* of machines without firmware */
    ACPI_SIZE_MAX = 0xc000,
    ACPI_RSDP_SIZE = 36,

    /* Where the PIIX4's power management is, without firmware, and its wires.
     */
    ACPI_PM_BASE = 0x600,
    ACPI_GPE_OFFSET = 0x0c,
    ACPI_SCI = 9,
    ACPI_SMI_PORT = 0xb2, /* no SMI: the PIIX4 itself takes these commands */
    ACPI_SMI_ENABLE = 0xf1,
    ACPI_SMI_DISABLE = 0xf0,
    ACPI_RESET_PORT = 0xcf9,
    ACPI_RESET_VALUE = 6,

    LAPIC_BASE = 0xfee00000,
    IOAPIC_BASE = 0xfec00000,
    HPET_BASE = 0xfed00000,
};

struct acpi_config {
    gpa_t base;     /* where the block will be: ACPI_BASE, or 0 for links */
    unsigned ncpus; /* APIC IDs 0 to ncpus - 1 */
    unsigned ioapic_id;
    uint32_t hpet_id;    /* low half of its capability register; 0: no HPET */
    uint16_t pm_base;    /* I/O ports of the PIIX4's power management */
    gpa_t mem32;         /* PCI window below 4 GB: from here to the IOAPIC */
    uint64_t mem64;      /* PCI window above 4 GB, */
    uint64_t mem64_size; /* or 0 */
    uint8_t serials;     /* bit n: COM(n+1) is there */
    bool i8042, vga;
};

/*
 * What has to change where a block built for address 0 is put somewhere: the
 * pointers, to which its address is added, and after them the checksums, the
 * byte at `at` making the sum over [start, start + len) zero.
 */
struct acpi_link {
    uint32_t at;
    uint8_t bytes; /* of a pointer; 0: a checksum */
    uint32_t start, len;
};

enum { ACPI_LINKS_MAX = 64 };

struct acpi_links {
    struct acpi_link link[ACPI_LINKS_MAX]; /* pointers and sums as they come */
    unsigned n;
};

/*
 * Fills to[0..max) with what belongs at c->base. *used: bytes written; *rsdp:
 * its guest address; it comes last. links may be NULL. -LE_RANGE: max is too
 * small.
 */
int acpi_build(const struct acpi_config *c, uint8_t *to, size_t max,
               size_t *used, gpa_t *rsdp, struct acpi_links *links,
               struct err *e);

/* The byte that makes all n sum to zero, given that it is zero now. */
uint8_t acpi_checksum(const uint8_t *p, size_t n);

#endif
