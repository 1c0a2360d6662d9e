/*
 * What reaches instructions from outside of registers and RAM: devices,
 * ports, the interrupt controller, time and chance. All of it goes through
 * x86_outside(), so that an engine can write down what there was and give it
 * back when the same instructions run again.
 *
 * Thread: the vCPU's own, no lock held; but while cpu->outside is set the
 * machine lock is held.
 */
#ifndef X86_OUTSIDE_H
#define X86_OUTSIDE_H

#include "x86/cpu.h"

enum outside {
    OUTSIDE_DEVICE, /* guest-physical memory that is not RAM */
    OUTSIDE_PORT,
    OUTSIDE_APIC, /* a register of the page, by its offset */
    OUTSIDE_MSR,  /* of the interrupt controller; ok: there is such a one */
    OUTSIDE_TPR,  /* as in the APIC's register */
    OUTSIDE_TSC,  /* as the guest reads it */
    OUTSIDE_RANDOM,
    OUTSIDE_FERR, /* the pin, written; ok: IGNNE# is asserted */
};

struct outside_access {
    uint8_t what; /* enum outside */
    bool write, ok;
    uint8_t bytes;
    uint64_t at, value;
};

/* Makes the access: as the engine has it, or now. */
void x86_outside(struct cpu *c, struct outside_access *a);
void x86_outside_now(struct cpu *c, struct outside_access *a);

uint64_t x86_outside_read(struct cpu *c, enum outside what, uint64_t at,
                          unsigned n);
void x86_outside_write(struct cpu *c, enum outside what, uint64_t at,
                       uint64_t v, unsigned n);

/* The machine lock, for what is not one access. */
void x86_outside_lock(struct cpu *c);
void x86_outside_unlock(struct cpu *c);

#endif
