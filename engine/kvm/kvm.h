/*
 * The kvm engine: guests run on the host's CPU through Linux's /dev/kvm
 * (Documentation/virt/kvm/api.rst). docs/kvm.md says how it is put together.
 *
 *   kvm.c       the engine: open, close, its table
 *   probe.c     may we, and why not
 *   memory.c    windows to memory slots, dirty pages
 *   vcpu.c      the run loop
 *   exits.c     what stops a vCPU
 *   debug.c     what a debugger waits for
 *   stats.c     counters
 *   irqchip.c   local APICs, messages
 *   chips.c     8259s, IOAPIC and 8254 that are the kernel's
 *   route.c     messages that come often
 *   regs.c      x86_state in and out
 *   fpu.c       its x87 and vector part
 *   msr.c       MSRs in and out, and those KVM refuses
 *   cpuid.c     what guests are told
 *   hyperv.c    Hyper-V's interface
 *   doorbell.c  stores that signal
 *   late.c      stores that may wait
 *
 * Threads as in lodge/engine.h. What many threads touch says so.
 */
#ifndef ENGINE_KVM_KVM_H
#define ENGINE_KVM_KVM_H

#include <linux/kvm.h>

#include "lodge/engine.h"
#include "x86/cpuid.h"
#include "x86/state.h"

/* Of one /dev/kvm. */
struct kvm_host {
    int fd;             /* /dev/kvm */
    int run_size;       /* bytes of a vCPU's mapping */
    unsigned max_slots; /* memory slots of a VM */
    unsigned max_gsis;  /* interrupts that can be routed */
    bool any_length;    /* of stores that ring a bell */
    int late_page;      /* of a vCPU's mapping: stores kept back; 0: none */
    bool irqfd, chips, tsc_deadline, sregs2, msr_exits, msr_filter, tsc_attr,
        stats;
    bool hyperv_synic, hyperv_cpuid;
    struct kvm_cpuid2 *cpuid; /* what it can give guests */
};

/* A window that KVM knows; see memory.c. */
struct kvm_slot {
    bool used, logging;
    struct window w; /* its page-aligned inner part */
    uint64_t *wrote; /* pages written by devices, while logging */
};

/* Entries of the routing table for level-triggered messages. */
enum { KVM_LEVEL_ROUTES = 64 };

/* An INT3 of a debugger's: debug.c. */
struct kvm_patch {
    gpa_t at;
    uint8_t was;
};

struct kvm_vm {
    struct vm *vm;
    struct kvm_host host;
    int fd;
    int signal;         /* that gets a vCPU out of the guest */
    uint64_t opened_at; /* host_now() */

    struct host_mutex lock;          /* slots; taken after the machine lock */
    struct kvm_slot *slots;          /* host.max_slots */
    _Atomic unsigned map_generation; /* counts changes of memory */
    _Atomic bool logging;            /* of some slot's pages */

    /* No vCPU runs. */
    struct kvm_patch patch[DEBUG_POINTS];
    unsigned patches;

    /* The machine lock. */
    struct kvm_routes *routes;            /* route.c */
    struct kvm_doorbells *doorbells;      /* doorbell.c */
    struct kvm_coalesced_mmio_ring *late; /* late.c; the VM's only one */
    uint64_t late_stores;
};

/* Why a vCPU came out, for --stats. */
enum kvm_exit_kind {
    KVM_EX_PORT,
    KVM_EX_MMIO,
    KVM_EX_KICK,
    KVM_EX_WINDOW,
    KVM_EX_EOI,
    KVM_EX_MSR,
    KVM_EX_HYPERV,
    KVM_EX_OTHER,
    KVM_EX_COUNT
};

struct kvm_cpu {
    struct vcpu *v;
    struct kvm_vm *vm;
    int fd;
    struct kvm_run *run;     /* shared with the kernel */
    _Atomic int thread;      /* its id while in KVM_RUN, else 0 */
    bool unfinished;         /* an access is finished by the next KVM_RUN */
    bool injected;           /* a vector was given since the last exit */
    unsigned map_generation; /* of memory, when it went in */
    uint32_t held;           /* enum vcpu_event that wait for a debugger */
    struct ratelimit log;
    uint64_t exits[KVM_EX_COUNT], exit_ns[KVM_EX_COUNT];
    uint64_t start_ns, start_cpu_ns; /* see kvm_note_start() */
    int stats_fd;
};

static inline struct kvm_vm *kvm_vm_of(struct vm *vm)
{
    return vm_engine_priv(vm);
}

static inline struct kvm_cpu *kvm_cpu_of(struct vcpu *c)
{
    return c->priv;
}

/* ioctl() that goes on when a signal came between; -1 with errno. */
int kvm_do(int fd, unsigned long request, void *arg);
int kvm_do_value(int fd, unsigned long request, unsigned long value);

/* --- probe.c --- */
/* Opens /dev/kvm and looks at it; 0, or -LE_* with a sentence in e. */
int kvm_host_open(struct kvm_host *h, struct err *e);
void kvm_host_close(struct kvm_host *h);
int kvm_probe(struct engine_caps *out);

/* --- memory.c --- */
int kvm_memory_open(struct kvm_vm *k, struct err *e);
void kvm_memory_close(struct kvm_vm *k);
int kvm_map(struct vm *vm, const struct window *w);
void kvm_unmap(struct vm *vm, const struct window *w);
void kvm_wrote(struct vm *vm, gpa_t a, size_t n);
int kvm_dirty(struct vm *vm, const struct window *w, uint64_t *bitmap);

/* --- vcpu.c --- */
int kvm_vcpu_open(struct vcpu *v, struct err *e);
void kvm_vcpu_close(struct vcpu *v);
enum stop kvm_run(struct vcpu *v);
void kvm_kick(struct vcpu *v);

/* --- exits.c --- */
/* Sees to the exit that run has; true: *stop says that run() ends. */
bool kvm_exit(struct kvm_cpu *c, enum stop *stop);
/* Ends run() with a sentence. */
enum stop kvm_fault(struct kvm_cpu *c, const char *format, ...) PRINTF(2, 3);

/* --- debug.c --- */
int kvm_debug(struct vcpu *v, struct err *e);
int kvm_debug_check(struct vm *vm, const struct debug_points *p, struct err *e);
/* KVM_EXIT_DEBUG. True: the guest's own, which it now gets; false: stop. */
bool kvm_debug_exit(struct kvm_cpu *c);
/* run() ends as after a step. */
enum stop kvm_stepped(struct kvm_cpu *c);
/* The guest gets an exception that has no error code. */
bool kvm_raise(struct kvm_cpu *c, unsigned vector);

/* --- stats.c --- */
/* Before the first instruction: the time since the engine was opened, and what
   the process has had of CPUs since it was started. */
void kvm_note_start(struct kvm_cpu *c);
void kvm_stats(struct vcpu *v,
               void (*emit)(void *ctx, const char *name, uint64_t value),
               void *ctx);

/* --- irqchip.c --- */
extern const struct irqchip_ops kvm_irqchip;
int kvm_irqchip_open(struct kvm_vm *k, struct err *e);
/* Gives the CPU what waits: an ExtINT or an NMI. Its own thread. */
void kvm_give_interrupt(struct kvm_cpu *c);
void kvm_give_nmi(struct kvm_cpu *c);

/* --- chips.c --- */
extern const struct engine_chips kvm_chips;
int kvm_chips_open(struct kvm_vm *k, struct err *e);

/* --- route.c --- */
/* GSIs; there are KVM_LEVEL_ROUTES before those of messages. With the kernel's
   chips: IRQ0 of its 8254 to the 8259s and pin 2, then inputs of the 8259s and
   of the IOAPIC. */
enum { KVM_GSI_PIT = 0, KVM_GSI_PICS = 1, KVM_GSI_IOAPIC = 17 };
extern const struct msi_routes kvm_msi_routes;
/* chips: of the kernel; else the first entries are for messages. */
int kvm_routes_open(struct kvm_vm *k, bool chips, struct err *e);
void kvm_routes_close(struct kvm_vm *k);
/* This message is level-triggered. The machine lock is held. */
void kvm_learn_level(struct kvm_vm *k, uint64_t address, uint32_t data);
/* All that was signalled has reached the local APICs. */
void kvm_routes_settle(struct kvm_vm *k);

/* --- regs.c, fpu.c, msr.c: groups of struct x86_state; 0 or -LE_IO --- */
int kvm_get(struct vcpu *v, struct x86_state *s, uint32_t groups);
int kvm_set(struct vcpu *v, const struct x86_state *s, uint32_t groups);
int kvm_get_fpu(struct kvm_cpu *c, struct x86_state *s);
int kvm_set_fpu(struct kvm_cpu *c, const struct x86_state *s);
int kvm_get_msrs(struct kvm_cpu *c, struct x86_state *s);
int kvm_set_msrs(struct kvm_cpu *c, const struct x86_state *s);
int kvm_get_msr(struct kvm_cpu *c, uint32_t msr, uint64_t *v);
int kvm_set_msr(struct kvm_cpu *c, uint32_t msr, uint64_t v);
/* Which MSRs the guest has, beyond what CPUID says. */
int kvm_msr_open(struct kvm_vm *k, struct err *e);
void kvm_msr_exit(struct kvm_cpu *c);

/* --- cpuid.c --- */
int kvm_host_cpu(struct cpu_host *out, struct err *e);
int kvm_set_cpuid(struct kvm_cpu *c, struct err *e);
/* What KVM supports of a leaf; zeros if nothing. */
struct kvm_cpuid_entry2 kvm_supported(const struct kvm_host *h, uint32_t leaf,
                                      uint32_t subleaf);

/* --- hyperv.c --- */
bool kvm_hyperv_usable(const struct kvm_host *h);
int kvm_hyperv_open(struct kvm_cpu *c, struct err *e);
/* Adds the leaves from 0x40000000 on to room entries; how many they are. */
unsigned kvm_hyperv_cpuid(struct kvm_cpu *c, struct kvm_cpuid_entry2 *to,
                          unsigned room);

/* --- doorbell.c --- */
void kvm_bells(struct vm *vm, struct region *r, bool there);
void kvm_doorbells_close(struct kvm_vm *k);

/* --- late.c --- */
void kvm_late(struct kvm_vm *k, struct region *r, bool there);
void kvm_settle(struct vm *vm);
/* The same, without the machine lock: after each KVM_RUN. */
void kvm_settle_all(struct kvm_vm *k);

extern const struct engine_ops engine_kvm;

#endif
