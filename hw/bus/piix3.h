/*
 * PCI to ISA bridge: Intel 82371SB (PIIX3), 290550. What other functions of
 * the same chip need of it. Machine lock held.
 */
#ifndef HW_BUS_PIIX3_H
#define HW_BUS_PIIX3_H

#include "lodge/irq.h"

struct pci_bus;

/*
 * The input for the system control interrupt. It shares IRQ 9 with PCI
 * interrupts routed there, so it has to go through the bridge. Where the bus
 * has no PIIX3: a line that goes nowhere.
 */
struct irq piix3_sci(struct pci_bus *b);

#endif
