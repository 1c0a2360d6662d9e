/*
 * The Intel MultiProcessor Specification 1.4 tables, for guests that do
 * without ACPI: processors, PCI and ISA bus, the IOAPIC and its wires.
 *
 * Pure functions; any thread.
 */
#ifndef MACHINE_MPTABLE_H
#define MACHINE_MPTABLE_H

#include "base/err.h"
#include "lodge/types.h"

enum {
    MPTABLE_FLOAT_SIZE = 16,
    MPTABLE_MAX = 0x2000, /* of the configuration table */
    MPTABLE_CPUS_MAX = 254,
};

struct mptable_config {
    unsigned ncpus; /* more than MPTABLE_CPUS_MAX: the rest is left out */
    unsigned ioapic_id;
    uint32_t cpuid_signature; /* CPUID.1:EAX, EDX */
    uint32_t cpuid_features;
    /* PIRQ (0 to 3) of a slot's pin (0 to 3) */
    unsigned swizzle;
    uint32_t slots; /* bit n: slot n holds a device with an interrupt pin */
};

/*
 * Writes the configuration table that will be at `address` and the floating
 * pointer, which will be on a 16-byte boundary in 0xf0000–0xfffff. -LE_RANGE:
 * max is too small.
 */
int mptable_build(const struct mptable_config *c, gpa_t address, uint8_t *to,
                  size_t max, size_t *used, uint8_t pointer[MPTABLE_FLOAT_SIZE],
                  struct err *e);

#endif
