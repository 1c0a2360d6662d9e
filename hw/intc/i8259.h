/*
 * The two cascaded 8259As of a PC as the PIIX3 has them: ports 0x20–0x21,
 * 0xa0–0xa1 and the edge/level control registers 0x4d0–0x4d1.
 * Spec: Intel 8259A datasheet (231468); 82371FB/SB (PIIX, PIIX3), "Interrupt
 * Controller". Machine lock held.
 */
#ifndef HW_INTC_I8259_H
#define HW_INTC_I8259_H

#include "lodge/device.h"

extern const struct dev_class i8259_class;

/* For CPU 0 of a machine without a local APIC; ctx is the device. */
extern const struct intc_cpu_ops i8259_cpu_ops;

/* An INTA cycle: the vector; IR7's when no request is left (spurious). */
int i8259_inta(struct dev *d);

#endif
