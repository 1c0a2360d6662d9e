/*
 * What a BIOS does to the chips before it starts a system: bridges, address
 * ranges, interrupt routing, APICs, memory types. For pc.c; machine lock held,
 * no vCPU running, devices just reset.
 */
#ifndef MACHINE_PC_FIRMWARE_H
#define MACHINE_PC_FIRMWARE_H

#include "lodge/device.h"
#include "machine/bios.h"
#include "x86/cpuid.h"
#include "x86/state.h"

/* Shadow RAM, PCI, power management, 8259s, serial ports, IOAPIC, A20. */
int pc_init_chips(struct env *env, unsigned ioapic_id, struct err *e);

/* Memory types: RAM is write-back, the PCI hole and the VGA window are not
   cached. The same on every CPU. */
void pc_init_mtrrs(const struct cpu_model *m, struct x86_state *s);

/* What the tables for the guest are made of, but for map, uuid and no_acpi. */
void pc_describe(struct env *env, const struct cpu_model *m, unsigned ioapic_id,
                 struct bios_config *out);

#endif
