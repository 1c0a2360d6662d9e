/*
 * Local APICs, xAPIC and x2APIC; one device instance for each CPU (property
 * "cpu"). Spec: Intel SDM volume 3, "Advanced Programmable Interrupt
 * Controller" (chapter 10 until 2022, then 11). Machine lock held.
 *
 * The register page is not in the memory space: CPUs come through
 * lapic_cpu_ops with lapic_ctx().
 */
#ifndef HW_INTC_LAPIC_H
#define HW_INTC_LAPIC_H

#include "lodge/device.h"

extern const struct dev_class lapic_class;
extern const struct intc_cpu_ops lapic_cpu_ops;

/* What lapic_cpu_ops take for the CPU of this instance. */
void *lapic_ctx(struct dev *d);

/*
 * What firmware leaves behind: the APIC enabled by software, and on CPU 0 the
 * 8259s connected through LINT0 (ExtINT) and NMI through LINT1. For machines
 * that start a kernel without firmware.
 */
void lapic_virtual_wire(struct dev *d);

#endif
