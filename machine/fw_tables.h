/*
 * The tables that firmware takes from fw_cfg and gives to the guest: a script
 * of the ACPI table loader (QEMU, hw/acpi/bios-linker-loader; OVMF and SeaBIOS
 * run it) and the memory map. Pure functions; any thread.
 */
#ifndef MACHINE_FW_TABLES_H
#define MACHINE_FW_TABLES_H

#include "machine/acpi/acpi.h"
#include "machine/e820.h"

#define FW_FILE_TABLES "etc/acpi/tables"
#define FW_FILE_RSDP   "etc/acpi/rsdp"
#define FW_FILE_LOADER "etc/table-loader"

enum {
    FW_LOADER_ENTRY = 128,
    FW_LOADER_MAX = FW_LOADER_ENTRY * (2 + ACPI_LINKS_MAX),
};

/*
 * The script for a block of ACPI tables that was built for address 0 and is
 * two files: what lies before rsdp, and the rest. Returns its length.
 */
size_t fw_loader_script(const struct acpi_links *links, uint32_t rsdp,
                        uint8_t to[FW_LOADER_MAX]);

/* etc/e820: RAM, in entries of E820_WIRE_SIZE; returns their bytes. */
size_t fw_memory_map(uint64_t ram_low, uint64_t ram_high,
                     uint8_t to[2 * E820_WIRE_SIZE]);

#endif
