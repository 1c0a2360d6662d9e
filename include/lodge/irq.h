/*
 * Interrupt lines and what connects them to CPUs. A line is level-driven:
 * set(true) asserts, set(false) releases; edge inputs latch on the rise.
 * Everything here is called with the machine lock held.
 */
#ifndef LODGE_IRQ_H
#define LODGE_IRQ_H

#include "lodge/types.h"

struct irq {
    void (*set)(void *ctx, unsigned n, bool level);
    void *ctx;
    unsigned n; /* which input of ctx */
};

static inline void irq_set(const struct irq *line, bool level)
{
    if (line->set)
        line->set(line->ctx, line->n, level);
}

/* A message-signalled interrupt: an address in 0xFEExxxxx and its data. */
struct msi_sink {
    void (*send)(void *ctx, uint64_t address, uint32_t data);
    void *ctx;
};

/* CPU 0's FERR# pin; the answer is its IGNNE# pin. */
struct ferr_sink {
    bool (*set)(void *ctx, bool on);
    void *ctx;
};

/* The 8259s' answer to a CPU's INTA cycle: the vector. */
struct inta {
    int (*ack)(void *ctx);
    void *ctx;
};

/* Told of each EOI that a local APIC broadcasts (level-triggered vectors). */
struct eoi_sink {
    void (*eoi)(void *ctx, uint8_t vector);
    void *ctx;
};

/*
 * The input clock of the local APIC timers, before the divide configuration
 * register. CPUID says the same: leaf 0x15 (crystal clock) and the
 * hypervisor's 0x40000010 (kHz).
 */
#define LAPIC_TIMER_HZ 1000000000ull

/*
 * How the guest's TSC of a CPU maps to the machine's clock (env_now()): the
 * time at which it reaches tsc, anything not in the future when it has, and
 * UINT64_MAX when it is too far away to tell. Whoever changes a TSC writes
 * IA32_TSC_DEADLINE anew afterwards, if it is not zero (x86/msr.c).
 */
struct tsc_clock {
    uint64_t (*to_ns)(void *ctx, unsigned cpu, uint64_t tsc);
    void *ctx;
};

/*
 * The pins of one CPU, driven by its local APIC (or by the 8259 directly when
 * there is none). intr is a level: an interrupt of enough priority waits; the
 * CPU answers with intc_cpu_ops.ack. The others are edges.
 */
struct cpu_pins {
    void (*intr)(void *ctx, bool level);
    void (*nmi)(void *ctx);
    void (*smi)(void *ctx);
    void (*init)(void *ctx);
    void (*sipi)(void *ctx, uint8_t vector);
    void *ctx;
};

/*
 * What a CPU asks of its interrupt controller. Called on the vCPU's thread
 * with the machine lock held.
 */
struct intc_cpu_ops {
    int (*ack)(void *intc);         /* vector 0..255; -1: spurious */
    uint8_t (*get_tpr)(void *intc); /* CR8 = TPR[7:4] */
    void (*set_tpr)(void *intc, uint8_t tpr);
    /* The 4 KB register page, at APIC_BASE as this CPU sees it; off 16-byte
       steps. The engine routes the CPU's own accesses here. */
    uint32_t (*read)(void *intc, uint32_t off);
    void (*write)(void *intc, uint32_t off, uint32_t v);
    /* APIC_BASE, TSC_DEADLINE and the x2APIC range 0x800–0x8ff;
       false: #GP(0). */
    bool (*read_msr)(void *intc, uint32_t msr, uint64_t *v);
    bool (*write_msr)(void *intc, uint32_t msr, uint64_t v);
    /* FERR#, driven while CR0.NE is clear; what IGNNE# is. NULL: asserted. */
    bool (*ferr)(void *intc, bool on);
    /* An engine's own local APIC broadcasts an EOI; engines with such ask for
       nothing but this, ack (of an ExtINT) and ferr. */
    void (*eoi)(void *intc, uint8_t vector);
};

/*
 * The registers of a local APIC that is the engine's own: reg[n] is the one at
 * 16n of the xAPIC's page (SDM volume 3, "Local APIC Register Address Map"),
 * in x2APIC mode likewise, with the upper half of ICR at 0x310.
 */
enum { APIC_REGS = 64 };
struct apic_regs {
    uint32_t reg[APIC_REGS];
    uint64_t apic_base, tsc_deadline;
};

/*
 * Messages that come often can have a route each into an engine's local APICs.
 * open: NULL when there are no more routes, or the message cannot have one.
 * aim: from now on the route is another message's; false: not to be had, it
 * stays what it was. These and close with the machine lock held. signal sends
 * the message: any thread, no lock, and never waits.
 */
struct msi_route;
struct msi_routes {
    struct msi_route *(*open)(void *ctx, uint64_t address, uint32_t data);
    bool (*aim)(struct msi_route *r, uint64_t address, uint32_t data);
    void (*signal)(struct msi_route *r);
    void (*close)(struct msi_route *r);
};

/*
 * An engine's own local APICs as devices see them. get and set while the CPU
 * stands still: 0 or -LE_IO. message: as struct msi_sink. routes: NULL when
 * the engine offers none; their ctx is this one's. Without: all NULL.
 */
struct engine_apics {
    int (*get)(void *ctx, unsigned cpu, struct apic_regs *r);
    int (*set)(void *ctx, unsigned cpu, const struct apic_regs *r);
    void (*message)(void *ctx, uint64_t address, uint32_t data);
    const struct msi_routes *routes;
    void *ctx;
};

#endif
