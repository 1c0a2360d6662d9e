/*
 * The PC's parts for each other: pc.c (life, memory), pc_devices.c (which
 * devices), boot_firmware.c.
 *
 * A new kind of device: a function here of the type in the table of
 * pc_devices.c, which adds what the configuration asks for with pc_add(), and
 * a row in that table. PCI devices take pc_slot().
 */
#ifndef MACHINE_PC_INTERNAL_H
#define MACHINE_PC_INTERNAL_H

#include "machine/bios.h"
#include "machine/pc.h"

enum {
    PC_FIRST_SLOT = 3, /* 0: host bridge, 1: PIIX, 2: for a display adapter */
    PC_VGA_SLOT = 2,
};

struct pc {
    struct vm *vm;
    struct env *env;
    struct pc_config config;
    struct e820 map;
    struct region low, high, above, rom, nothing;
    uint8_t *ones; /* what is read where there is nothing */
    struct dev *pm;
    unsigned ioapic_id;
    unsigned next_slot;
    const char *method;
    struct firmware *firmware; /* NULL: kernels are started directly */
    struct x86_state scratch;  /* machine lock */
};

/* Every device of the table; without the lock, like what follows. */
int pc_add_devices(struct pc *pc, struct err *e);
/* One device of a class, by name; NULL with e. */
struct dev *pc_add(struct pc *pc, const char *cls, const char *id,
                   const struct prop_value *values, struct err *e);
/* The next free PCI slot. */
unsigned pc_slot(struct pc *pc);

/* --- pc_disks.c --- */
int pc_add_disks(struct pc *pc, struct err *e);

/* What of the tables the configuration decides. */
void pc_describe_config(struct pc *pc, struct bios_config *c);

/* --- boot_firmware.c --- */
/*
 * Puts the ROM below 4 GB and its last 128 KB below 1 MB; attach: flash with
 * the settings, and the configuration device. Both do nothing without
 * firmware. unmap undoes the former.
 */
int firmware_map(struct pc *pc, struct err *e);
int firmware_add(struct pc *pc, struct err *e);
void firmware_unmap(struct pc *pc);
/*
 * A device that firmware can boot from: its Open Firmware path as QEMU's
 * bootorder file has them, e.g. "/pci@i0cf8/scsi@3/disk@0,0". Devices of one
 * kind are tried in the order of these calls. Copied; too many are left out.
 */
void pc_boot_path(struct pc *pc, enum pc_boot kind, const char *path);

#endif
