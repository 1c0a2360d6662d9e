/*
 * Real-time clock and CMOS memory: MC146818A with 128 bytes, and 128 more as
 * in the PIIX3; ports 0x70–0x73. Machine lock held.
 * Spec: Motorola MC146818A; 82371SB (PIIX3), "Real Time Clock".
 */
#ifndef HW_TIMER_MC146818_H
#define HW_TIMER_MC146818_H

#include "lodge/device.h"

extern const struct dev_class mc146818_class;

/*
 * What a PC BIOS keeps in CMOS (addresses 0x0e–0x7f): for machine/, before
 * the start. Memory sizes and the number of CPUs are there already.
 */
void mc146818_set_cmos(struct dev *d, uint8_t address, uint8_t value);

#endif
