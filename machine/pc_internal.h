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
    struct region low, high, above, rom;
    struct dev *pm;
    unsigned ioapic_id;
    unsigned next_slot;
    const char *method;
    struct x86_state scratch; /* machine lock */
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

#endif
