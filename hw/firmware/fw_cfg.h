/*
 * The firmware configuration device of QEMU's PC ("QEMU Firmware Configuration
 * Device", docs/specs/fw_cfg): how SeaBIOS and OVMF learn what the machine is
 * and get the tables they hand to the guest. Items have numbers; files are
 * items with names, listed in a directory. All are read-only to the guest.
 *
 * Bytes given here are borrowed for the device's life. Between attach and the
 * start, or with the machine lock held.
 */
#ifndef HW_FIRMWARE_FW_CFG_H
#define HW_FIRMWARE_FW_CFG_H

#include "lodge/device.h"

enum fw_cfg_key {
    FW_CFG_SIGNATURE = 0x00,
    FW_CFG_ID = 0x01,
    FW_CFG_UUID = 0x02,
    FW_CFG_RAM_SIZE = 0x03,
    FW_CFG_NOGRAPHIC = 0x04,
    FW_CFG_NB_CPUS = 0x05,
    FW_CFG_KERNEL_SIZE = 0x08,
    FW_CFG_INITRD_SIZE = 0x0b,
    FW_CFG_BOOT_MENU = 0x0e,
    FW_CFG_MAX_CPUS = 0x0f,
    FW_CFG_KERNEL_DATA = 0x11,
    FW_CFG_INITRD_DATA = 0x12,
    FW_CFG_CMDLINE_SIZE = 0x14,
    FW_CFG_CMDLINE_DATA = 0x15,
    FW_CFG_SETUP_SIZE = 0x17,
    FW_CFG_SETUP_DATA = 0x18,
    FW_CFG_FILE_DIR = 0x19,
    FW_CFG_FILE_FIRST = 0x20,
    FW_CFG_IRQ0_OVERRIDE = 0x8002, /* the 8254 is at IOAPIC input 2 */
};

enum {
    FW_CFG_FILES = 32,
    FW_CFG_NAME_MAX = 56, /* with its NUL */
};

/* A number of 1 to 8 bytes, or n bytes at p. -LE_USAGE: no such key here. */
int fw_cfg_set_number(struct dev *d, unsigned key, uint64_t v, unsigned bytes);
int fw_cfg_set_bytes(struct dev *d, unsigned key, const void *p, size_t n);

/*
 * A file. refresh (or NULL) is called when the guest selects it, before it
 * reads: the bytes may change then, their number not. -LE_NOSPACE: there are
 * FW_CFG_FILES already; -LE_USAGE: the name is too long or there already.
 */
int fw_cfg_add_file(struct dev *d, const char *name, const void *p, size_t n,
                    void (*refresh)(void *ctx), void *ctx);

#endif
