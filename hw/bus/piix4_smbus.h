/*
 * SMBus host controller of the PIIX4 (Intel 82371AB, 290562, §7.3) on a bus
 * with no devices: every transfer ends in "no acknowledge". A part of the
 * power management function. Machine lock held.
 */
#ifndef HW_BUS_PIIX4_SMBUS_H
#define HW_BUS_PIIX4_SMBUS_H

#include "lodge/irq.h"
#include "lodge/space.h"
#include "lodge/state.h"

struct piix4_smbus {
    struct irq irq; /* level; filled by the owner */
    struct region region;
    uint8_t status, control, command, address, data[2];
    uint8_t block[32], block_at;
    uint8_t slave_control, shadow_command;
    uint16_t slave_event;
    bool level;
};
extern const struct field piix4_smbus_fields[];

void piix4_smbus_init(struct piix4_smbus *s);
void piix4_smbus_reset(struct piix4_smbus *s);
/* Maps its 16 ports, moves or (base 0) unmaps them. */
void piix4_smbus_map(struct piix4_smbus *s, struct space *io, uint16_t base);
void piix4_smbus_loaded(struct piix4_smbus *s);

#endif
