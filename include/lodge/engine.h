/*
 * A CPU engine: what runs guest instructions. Memory and port accesses are
 * calls out of run(); only rare events stop it.
 *
 * Threads: open, close and dirty on the VM's controlling thread with no vCPU
 * running. map and unmap with the machine lock held, before the start or, when
 * a guest moves mappings (BARs, PAM, SMRAM), from a device callback on a vCPU
 * thread while others run: they must not wait for vCPUs. vm/ then raises
 * VCPU_FLUSH on all. The RAM behind a window stays valid, so a vCPU that has
 * not seen the flush yet does no harm; the one whose own access caused it must
 * see it before its next memory access (so OUT and MMIO stores end a block
 * when VCPU_FLUSH waits). run, get, set on the vCPU's own thread (get/set also
 * from another one while the vCPU is paused); kick and wrote from any thread.
 */
#ifndef LODGE_ENGINE_H
#define LODGE_ENGINE_H

#include <stdatomic.h>

#include "base/err.h"
#include "lodge/host.h"
#include "lodge/irq.h"
#include "lodge/space.h"

struct vm;
struct vcpu;
struct x86_state;
struct cpu_model;
struct cpu_host;

enum stop {
    STOP_KICK,     /* kicked: look at requests, then run again */
    STOP_HALT,     /* HLT, MWAIT or wait-for-SIPI with nothing to do */
    STOP_SHUTDOWN, /* triple fault */
    STOP_DEBUG,    /* for the debugger; vcpu->debug.stop says why */
    STOP_FAULT,    /* the engine cannot go on; vcpu->fault says why */
};

/*
 * Events waiting for a vCPU. Set with vcpu_raise() from any thread; the
 * engine looks at them between blocks and clears what it has taken.
 */
enum vcpu_event {
    VCPU_INTR = 1 << 0, /* level: the interrupt controller has a vector */
    VCPU_NMI = 1 << 1,
    VCPU_SMI = 1 << 2,
    VCPU_INIT = 1 << 3,
    VCPU_SIPI = 1 << 4,  /* vector in sipi_vector */
    VCPU_KICK = 1 << 5,  /* leave run() with STOP_KICK */
    VCPU_FLUSH = 1 << 6, /* drop cached translations (A20, mapping change) */
    VCPU_PRIV = 1 << 7,  /* the engine's own */
};

/*
 * What a debugger outside the guest waits for. Addresses are linear, as seen
 * by all CPUs and address spaces.
 */
enum debug_kind { DEBUG_CODE, DEBUG_WRITE, DEBUG_READ, DEBUG_ACCESS };
#define DEBUG_UNMAPPED (~0ull)
enum { DEBUG_POINTS = 256 };

struct debug_point {
    gva_t address;
    gpa_t gpa;       /* where that was when it was set, or DEBUG_UNMAPPED */
    uint32_t length; /* bytes of data; 1 for DEBUG_CODE */
    uint8_t kind;    /* enum debug_kind */
    bool hardware;   /* DEBUG_CODE: asked for in a debug register */
};

struct debug_points {
    unsigned n, data; /* data: how many are not DEBUG_CODE */
    struct debug_point point[DEBUG_POINTS];
    /*
     * Offsets in a page where there is a DEBUG_CODE point or was one: what is
     * decoded from there looks at the points before it runs. Bits are only
     * added; that is when code decoded before has to go.
     */
    uint64_t marks[PAGE_SIZE / 64];
};

enum debug_why {
    DEBUG_NONE,
    DEBUG_STEPPED,
    DEBUG_POINT,
    DEBUG_CRASHED, /* a triple fault: vm/ stops there itself */
};

/*
 * A vCPU under a debugger; the guest sees nothing of it. vm/ owns all of it,
 * changes it with the vCPU out of run() and tells engine_ops.debug; the engine
 * writes stop before it returns STOP_DEBUG.
 *
 * run() stops before an instruction that has a DEBUG_CODE point, also if it is
 * the first one; and after one that made an access which others wait for.
 * step: after one instruction, or repetition of it, or when an exception or
 * interrupt has been delivered instead; points at that instruction are passed.
 */
struct vcpu_debug {
    const struct debug_points *points; /* NULL: there is no debugger */
    bool step;
    bool marked;   /* points->marks has grown */
    uint32_t held; /* enum vcpu_event that only a halted vCPU takes */
    struct debug_stop {
        uint8_t why;
        uint8_t kind;  /* of the point, */
        bool hardware; /* as it was asked for */
        gva_t address;
    } stop;
};

struct vcpu {
    struct vm *vm;
    unsigned id; /* 0 is the bootstrap processor; also the APIC ID */
    const struct engine_ops *engine;
    const struct cpu_model *model;
    void *priv; /* the engine's */

    struct space *mem, *io;
    struct host_mutex *lock; /* the machine lock, for intc calls */
    const struct intc_cpu_ops *intc;
    void *intc_ctx;

    _Atomic uint32_t events; /* enum vcpu_event */
    _Atomic uint8_t sipi_vector;
    _Atomic uint64_t a20_mask; /* ANDed with physical addresses */
    struct host_event wake;    /* the vCPU thread sleeps here after STOP_HALT */

    struct err fault; /* set before STOP_FAULT */
    struct vcpu_debug debug;
    void *owner;      /* vm/'s */
};

/* Any thread. Sets the event, wakes the vCPU and kicks its engine. */
void vcpu_raise(struct vcpu *c, uint32_t event);
/* Any thread. VCPU_INTR went away before it was taken. */
void vcpu_lower(struct vcpu *c, uint32_t event);

enum {
    STATE_REGS = 1 << 0,  /* gpr, rip, rflags */
    STATE_SREGS = 1 << 1, /* segments, tables, control registers, EFER */
    STATE_FPU = 1 << 2,
    STATE_MSRS = 1 << 3,
    STATE_DEBUG = 1 << 4,
    STATE_EVENTS = 1 << 5, /* shadows, NMI masking, activity */
    STATE_ALL = (1 << 6) - 1,
};

struct engine_caps {
    bool stock_guests; /* runs unmodified 64-bit systems */
    char why[160];     /* one sentence: why not, and the way out */
};

/*
 * Local APICs that the engine runs itself, timers and IPIs included. 8259s,
 * IOAPIC and timers are the machine's; the lapic device of hw/intc has a copy
 * of the registers whenever the machine stands still, so what is saved is the
 * same. See struct engine_apics (lodge/irq.h).
 */
struct irqchip_ops {
    int (*get)(struct vcpu *c, struct apic_regs *r);
    int (*set)(struct vcpu *c, const struct apic_regs *r);
    void (*message)(struct vm *vm, uint64_t address, uint32_t data);
    const struct msi_routes *routes; /* ctx is the struct vm; NULL: none */
    /* Other chips, for tuning->chips; ctx is the struct vm, not the one in it.
       NULL: none. */
    const struct engine_chips *chips;
};

struct engine_ops {
    const char *name, *summary;
    bool native; /* guest code runs as fast as Lodge's own */
    /* 0 when this host can run it; else -LE_* with caps->why. */
    int (*probe)(struct engine_caps *out);
    /* What CPU guests can have (x86/cpuid.h); NULL: what x86/ can run here. */
    int (*host_cpu)(struct cpu_host *out, struct err *e);
    int (*open)(struct vm *vm, struct err *e);
    void (*close)(struct vm *vm);
    int (*map)(struct vm *vm, const struct window *w);
    void (*unmap)(struct vm *vm, const struct window *w);
    /* RAM changed behind the engine: device DMA, loaders. */
    void (*wrote)(struct vm *vm, gpa_t a, size_t n);
    /* Pages of w written since the last call, a bit each; clears. */
    int (*dirty)(struct vm *vm, const struct window *w, uint64_t *bitmap);
    /* A region with bells or late stores (lodge/space.h) was mapped, or is
       about to go; the machine lock is held. NULL: its stores come like all
       others. */
    void (*bells)(struct vm *vm, struct region *r, bool there);
    /* space_settle(): brings the stores kept back. NULL: there are none. */
    void (*settle)(struct vm *vm);
    const struct irqchip_ops *irqchip; /* NULL: the models in hw/intc */
    int (*vcpu_open)(struct vcpu *c, struct err *e);
    void (*vcpu_close)(struct vcpu *c);
    enum stop (*run)(struct vcpu *c); /* called with no lock held */
    void (*kick)(struct vcpu *c);
    /* Names and values of the engine's counters; the vCPU stands still. */
    void (*stats)(struct vcpu *c,
                  void (*emit)(void *ctx, const char *name, uint64_t value),
                  void *ctx);
    int (*get)(struct vcpu *c, struct x86_state *s, uint32_t groups);
    int (*set)(struct vcpu *c, const struct x86_state *s, uint32_t groups);
    /* c->debug has changed; no vCPU runs. 0 or -LE_*. NULL: no debugger. */
    int (*debug)(struct vcpu *c, struct err *e);
    /* Before a debugger gets these points: can they be had? No vCPU runs.
       NULL: all can. */
    int (*debug_check)(struct vm *vm, const struct debug_points *p,
                       struct err *e);
};

/*
 * How an engine goes about its work, for tests of it and for looking at it:
 * nothing that a guest could tell, but for chips, which differ in trifles.
 * Engines ignore what is not theirs.
 */
struct engine_tuning {
    bool chips;      /* irqchip->chips in place of the models of hw/ */
    bool check;      /* translated code is compared with interpreted code */
    uint32_t stress; /* enum engine_stress */
    uint64_t seed;   /* of what is done at random */
    /* Code for the guest's rip was made; any vCPU's thread; or NULL. */
    void (*translated)(void *ctx, const void *code, size_t n, uint64_t rip,
                       bool user);
    void *ctx;
};

/* Rare paths made common. */
enum engine_stress {
    STRESS_SMALL = 1 << 0, /* little room for translations */
    STRESS_FLUSH = 1 << 1, /* all translations go, at random */
    STRESS_SMC = 1 << 2,   /* pages of code change, at random */
    STRESS_EAGER = 1 << 3, /* nothing is too cold to be translated */
};

const struct engine_tuning *vm_tuning(struct vm *vm);
/* vm/ keeps one for each engine of each VM. */
void *vm_engine_priv(struct vm *vm);
void vm_set_engine_priv(struct vm *vm, void *priv);
struct space *vm_mem(struct vm *vm);
unsigned vm_ncpus(struct vm *vm);
struct vcpu *vm_vcpu(struct vm *vm, unsigned id);

#endif
