/*
 * 8259s, IOAPIC and 8254 that an engine runs itself. As with its local APICs
 * (struct engine_apics), the devices of hw/ keep the registers whenever the
 * machine stands still, and what is saved is theirs; while it runs they are
 * the engine's, and accesses by CPUs do not come out to the devices.
 *
 * Machine lock held throughout; get and set while no CPU runs (the 8254's also
 * while one does, as when a HPET takes its place).
 */
#ifndef LODGE_CHIPS_H
#define LODGE_CHIPS_H

#include "lodge/types.h"

enum engine_chip { CHIP_PICS, CHIP_IOAPIC, CHIP_PIT };

/* One 8259A; names as in its datasheet (Intel 231468). */
struct pic_regs {
    uint8_t irr, imr, isr;
    uint8_t lines;  /* levels of its inputs; the slave's to the master: 0 */
    uint8_t elcr;   /* a bit each: level triggered */
    uint8_t vector; /* ICW2 */
    uint8_t lowest; /* the IR with the lowest priority */
    uint8_t init;   /* 0: initialised; else the ICW that is due: 1 is ICW2 */
    bool icw4_due, auto_eoi, rotate_auto_eoi, fully_nested;
    bool special_mask, read_isr, poll;
};

enum { IOAPIC_PINS = 24 };

struct ioapic_regs {
    uint64_t redtbl[IOAPIC_PINS];
    uint32_t lines; /* levels of its level-triggered inputs; only for set */
    uint8_t id, regsel;
};

/* One counter of an 8254, which always counts: anew from when it is set. */
struct pit_regs {
    uint32_t count;  /* 1 to 65536 */
    uint64_t age_ns; /* since it was loaded; only of get */
    uint8_t control; /* as in the status byte; 0: not programmed */
    bool gate;
    bool write_high, read_high; /* what the next access is for */
    uint8_t low_byte;           /* written already */
    uint8_t latched;            /* bytes of latch left to read */
    uint16_t latch;
    bool status_latched;
    uint8_t status;
};

struct chip_regs {
    union {
        struct pic_regs pic[2]; /* master, slave */
        struct ioapic_regs ioapic;
        struct {
            struct pit_regs counter[3];
            bool speaker; /* port 0x61 bit 1 */
            bool muted;   /* counter 0 raises no interrupts */
        } pit;
    };
};

/* get and set: 0 or -LE_IO. line: input n of the chip; the 8254's output goes
   to IRQ0 and pin 2 by itself. Without: NULL. */
struct engine_chips {
    int (*get)(void *ctx, enum engine_chip which, struct chip_regs *r);
    int (*set)(void *ctx, enum engine_chip which, const struct chip_regs *r);
    void (*line)(void *ctx, enum engine_chip which, unsigned n, bool level);
    void *ctx;
};

#endif
