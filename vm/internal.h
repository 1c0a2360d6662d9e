/* struct vm, for the files of vm/ only. */
#ifndef VM_INTERNAL_H
#define VM_INTERNAL_H

#include "vm/vm.h"

/* One vCPU and its thread. */
struct cpu_thread {
    struct vcpu vcpu;
    struct host_thread *thread;
    struct host_event go; /* it sleeps here while parked */
    bool parked;          /* run_lock */
    /* It does not run although there is no hold: for a debugger. */
    atomic_bool frozen;
    bool crashed; /* the debugger knows of the triple fault; now it counts */
    struct debug_stop stop; /* the thread's, then, parked, the debugger's */
};

struct vm {
    struct vm_config config;
    struct env env;
    struct host_mutex lock; /* the machine lock */
    struct loop *loop;
    uint8_t *ram;
    void *engine_priv;
    bool engine_open;

    struct cpu_thread *cpus; /* config.ncpus */
    unsigned cpus_open;      /* how many the engine knows */
    unsigned threads;        /* how many threads were started */
    struct cpu_pins *pins;

    const struct machine_ops *machine_ops;
    void *machine;
    struct list devices;
    bool dismantled;
    struct vm_debugger *debugger; /* NULL: none */

    /* Machine lock. */
    bool devices_paused;
    struct work settle_work; /* vCPUs have parked, or there is a request */
    struct timer drain;      /* look again whether devices are idle */
    struct x86_state *reset_state;

    struct host_mutex control;   /* one pause or resume at a time */
    struct host_event settled;   /* quiet became true; waiter holds control */
    struct host_event end_event; /* ended became true; vm_wait sleeps here */

    struct host_mutex run_lock; /* guards the rest */
    /*
     * vCPUs run while there are no holds: one a pause, one for a reset that
     * waits, one for the end. Changed under run_lock, read without.
     */
    _Atomic unsigned holds;
    unsigned parked; /* vCPUs that stand at their checkpoint */
    bool started, ended, reset_wanted, stop_threads;
    bool quiet; /* vCPUs parked, devices paused and idle */
    struct vm_outcome outcome;
};

/* --- vcpu.c --- */
int vcpus_create(struct vm *vm, struct err *e);
int vcpus_start(struct vm *vm, struct err *e);
/* Ends the threads, which are parked or running; joins them. */
void vcpus_stop(struct vm *vm);
void vcpus_destroy(struct vm *vm);
void vcpus_raise_all(struct vm *vm, uint32_t event);
/* Power-on state for all, then the boot hook. Lock held, no vCPU running. */
int vcpus_boot(struct vm *vm, struct err *e);

/* --- debug.c: on the vCPU's thread --- */
/* run() returned STOP_DEBUG. */
void debug_hit(struct vm *vm, struct cpu_thread *t);
/* A triple fault. True: a debugger looks at it first. */
bool debug_crashed(struct vm *vm, struct cpu_thread *t);

/* --- device.c --- */
void devices_reset(struct vm *vm);
void devices_pause(struct vm *vm);
void devices_resume(struct vm *vm);
bool devices_busy(struct vm *vm);
void devices_detach(struct vm *vm);

/* --- prop.c --- */
/* Sets all properties of d: those in values, and the others' defaults. */
int props_set(struct dev *d, const struct prop_value *values, struct err *e);

/* --- lifecycle.c --- */
void lifecycle_init(struct vm *vm);
void lifecycle_destroy(struct vm *vm);
void vm_end(struct vm *vm, enum vm_end end, uint32_t value, const char *text);
void vm_request_reset(struct vm *vm);
/* Sleeps until vCPUs are parked and devices idle; there is a hold. */
void vm_wait_quiet(struct vm *vm);
/* The vCPU thread's stop: false when it has to end. */
bool vm_checkpoint(struct vm *vm, struct cpu_thread *t);

#endif
