/*
 * A virtual machine: memory, CPUs and their threads, devices, and its life.
 * machine/ builds a PC out of it, cli/ starts and ends it.
 *
 *   vm_create        RAM, address spaces, engine, vCPUs, I/O loop
 *   vm_set_machine   machine/ says how to boot
 *   vm_add_device    in the order in which they are to be reset
 *   vm_start         everything to power-on state, boot hook, vCPUs run
 *   vm_wait          until the guest, a caller or a timeout ends it
 *   vm_dismantle     devices go; then the caller closes disks and endpoints
 *   vm_destroy
 *
 * Threads: create, set_machine, add_device, start, wait, dismantle, destroy
 * belong to one controlling thread, which holds no lock. pause, resume and stop
 * may be called from any thread that is neither a vCPU's nor the loop's and
 * holds no lock. What a guest can ask for (power off, reset, debug exit) may be
 * called from anywhere, locks held or not.
 *
 * Lock order: control (pause, resume, stop) before the machine lock before
 * run_lock (who is parked) and the loop's own. Nobody waits for a vCPU with the
 * machine lock held.
 */
#ifndef VM_VM_H
#define VM_VM_H

#include "lodge/device.h"
#include "lodge/engine.h"

struct vm_config {
    const struct engine_ops *engine;
    const struct cpu_model *model; /* borrowed for the VM's life */
    unsigned ncpus;                /* 1 to 255 */
    uint64_t ram_size;             /* bytes, a multiple of PAGE_SIZE */
    bool hugepages;                /* ram_size: of HOST_HUGE_PAGE */
    bool no_reboot;                /* a reset ends the VM */
    bool reboot_on_shutdown;       /* a triple fault resets, not ends it */
    struct engine_tuning tuning;
};

/*
 * What machine/ knows of its PC. All with the machine lock held and no vCPU
 * running.
 */
struct machine_ops {
    /*
     * At start and after every reset, once devices and CPUs are in power-on
     * state: puts kernel and firmware where they belong in RAM and the
     * bootstrap processor's registers into *bsp (given in power-on state).
     */
    int (*boot)(void *machine, struct vm *vm, struct x86_state *bsp,
                struct err *e);
    /* First step of vm_dismantle, with devices still attached; or NULL. */
    void (*destroy)(void *machine, struct vm *vm);
    /* What firmware changes of every CPU's power-on state (memory types), before
       boot() and the CPUs take it; or NULL. */
    void (*cpu_state)(void *machine, unsigned cpu, struct x86_state *s);
};

/* Why a VM is no longer running. */
enum vm_end {
    VM_END_NONE,
    VM_END_POWER_OFF,
    VM_END_RESET,      /* under no_reboot */
    VM_END_CRASH,      /* triple fault */
    VM_END_DEBUG_EXIT, /* value: what the guest wrote */
    VM_END_STOPPED,    /* vm_stop */
    VM_END_TIMEOUT,
    VM_END_FAILED, /* Lodge could not go on: text says why */
};

struct vm_outcome {
    enum vm_end end;
    uint32_t value;
    char text[512]; /* one sentence, for VM_END_CRASH and VM_END_FAILED */
};

int vm_create(const struct vm_config *config, struct vm **out, struct err *e);
void vm_set_machine(struct vm *vm, const struct machine_ops *ops,
                    void *machine);
/*
 * Ends it if it runs, joins the vCPU threads, detaches every device, last
 * first. The loop lives on, so that disks and endpoints opened on it can be
 * closed. vm_destroy does this where it was not done.
 */
void vm_dismantle(struct vm *vm);
void vm_destroy(struct vm *vm); /* NULL: nothing */

/* --- parts --- */
/*
 * Given with mem, io, ram, loop, ncpus, cpu_pins and what the machine can be
 * asked to do filled; machine/ adds ram_low, ram_high and tsc before it
 * attaches devices.
 */
struct env *vm_env(struct vm *vm);
struct host_mutex *vm_lock(struct vm *vm); /* the machine lock */
uint8_t *vm_ram(struct vm *vm);            /* machine/ maps regions on it */
uint64_t vm_ram_size(struct vm *vm);
const struct vm_config *vm_config(struct vm *vm);
/* The controller that answers a vCPU; before vm_start. */
void vm_set_intc(struct vm *vm, unsigned cpu, const struct intc_cpu_ops *ops,
                 void *intc);

/* --- devices --- */
/*
 * A property's value. PROP_STRING in text may be given to any property of
 * kind bool or number: "on", "off", "4096", "0x3f8", "64K".
 */
struct prop_value {
    const char *name; /* NULL ends a list */
    enum prop_kind kind;
    union {
        bool flag;
        uint64_t number; /* PROP_U32 and PROP_U64 */
        const char *text;
        struct blk *blk;
        struct chardev *chardev;
        struct rom_bytes bytes;
        struct net *net;
    };
};
#define PROP_VALUES(...)  ((const struct prop_value[]){__VA_ARGS__{0}})
#define SET_BOOL(n, v)    {.name = (n), .kind = PROP_BOOL, .flag = (v)},
#define SET_NUMBER(n, v)  {.name = (n), .kind = PROP_U64, .number = (v)},
#define SET_TEXT(n, v)    {.name = (n), .kind = PROP_STRING, .text = (v)},
#define SET_BLK(n, v)     {.name = (n), .kind = PROP_BLK, .blk = (v)},
#define SET_CHARDEV(n, v) {.name = (n), .kind = PROP_CHARDEV, .chardev = (v)},
#define SET_BYTES(n, v)   {.name = (n), .kind = PROP_BYTES, .bytes = (v)},
#define SET_NET(n, v)     {.name = (n), .kind = PROP_NET, .net = (v)},

/*
 * Makes and attaches a device: id (copied) must be new; values is a list or
 * NULL. Before vm_start; takes the machine lock itself. NULL with e on an
 * error. e.g.
 *   vm_add_device(vm, &i8254_class, "pit", PROP_VALUES(SET_NUMBER("irq", 0)),
 *                 e)
 */
struct dev *vm_add_device(struct vm *vm, const struct dev_class *cls,
                          const char *id, const struct prop_value *values,
                          struct err *e);
struct dev *vm_find_device(struct vm *vm, const char *id); /* or NULL */

/* --- life --- */
/* Power-on state everywhere, then the boot hook, then the vCPUs run. */
int vm_start(struct vm *vm, struct err *e);
/*
 * Sleeps until the VM has ended and its vCPUs stand still. After timeout ns
 * (UINT64_MAX: none) it is ended as VM_END_TIMEOUT.
 */
void vm_wait(struct vm *vm, uint64_t timeout, struct vm_outcome *out);
/* Ends a running VM as VM_END_STOPPED; returns at once. From anywhere. */
void vm_stop(struct vm *vm);
/* Ends it as VM_END_FAILED, with the sentence in e. From anywhere. */
void vm_fail(struct vm *vm, const struct err *e);

/*
 * pause returns when every vCPU is out of run() and devices have nothing in
 * flight. Pauses count: as many resumes let it go on.
 */
void vm_pause(struct vm *vm);
void vm_resume(struct vm *vm);
bool vm_is_running(struct vm *vm); /* started, neither ended nor paused */

/* Registers of one CPU, the VM paused or not started. */
int vm_get_state(struct vm *vm, unsigned cpu, struct x86_state *s,
                 uint32_t groups);
int vm_set_state(struct vm *vm, unsigned cpu, const struct x86_state *s,
                 uint32_t groups);

#endif
