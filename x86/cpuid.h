/*
 * CPU models and CPUID. A model is immutable once made and may be shared by
 * all vCPUs of a VM. Any thread.
 */
#ifndef X86_CPUID_H
#define X86_CPUID_H

#include "base/err.h"
#include "x86/feature.h"

struct cpu_model {
    char name[32];
    struct x86_features features;
    char vendor[13];
    uint32_t family, model, stepping;
    char brand[49];
    unsigned phys_bits, linear_bits;
    uint64_t tsc_hz;      /* guest TSC frequency */
    uint64_t tsc_ratio;   /* guest ticks per host tick (x86/tsc.h), 16.48 */
    bool tsc_of_host;     /* host ticks are its TSC's; else nanoseconds */
    unsigned ncpus;
    uint64_t xcr0_mask;   /* XCR0 bits that may be set */
    bool kvm_leaves;      /* 0x40000000: KVM signature, clock, TSC frequency */
    bool hyperv;          /* Hyper-V's leaves there instead */
};

struct cpuid_result {
    uint32_t eax, ebx, ecx, edx;
};

/*
 * What an engine can give guests. One that runs them on the CPU itself says
 * which CPU that is: vendor differences then show.
 */
struct cpu_host {
    struct x86_features usable;
    char vendor[13]; /* "": Intel's behaviour, whatever this host is */
    uint32_t family, model, stepping;
    char brand[49];
    unsigned phys_bits; /* 0: no limit of the host's */
    uint64_t tsc_hz;    /* of the host's TSC; 0: to be measured */
};

/*
 * Makes the model a user names: "host", "x86-64", "x86-64-v2" … "-v4", NULL
 * (the highest level that `usable` covers), with ",+feature,-feature": adding
 * a feature adds what it builds on, removing one removes what builds on it.
 * usable: what the engine and this host can do; asking for more is an error
 * that names the feature. The levels are those of the x86-64 psABI; all models
 * have the system features (paging, APIC, time, protection) that are usable.
 *
 * Where vendors differ (SYSENTER in long mode, SYSCALL outside 64-bit code,
 * undefined results) the core does as Intel's, so that is the vendor; family
 * and model of "host" are the host's if it is an Intel CPU. For an engine that
 * runs guests on the CPU itself cpu_model_make_for() has them from it.
 */
int cpu_model_make(struct cpu_model *m, const char *spec,
                   const struct x86_features *usable, unsigned ncpus,
                   struct err *e);
int cpu_model_make_for(struct cpu_model *m, const char *spec,
                       const struct cpu_host *host, unsigned ncpus,
                       struct err *e);
/* What this host's CPU has and x86/ can run on it. */
void cpu_host_features(struct x86_features *f);
/* The name in --cpu, or "" for a feature that only shows state. */
const char *cpu_feature_name(enum x86_feature n);

/*
 * CPUID for a CPU: apic_id, and the state bits that show through (OSXSAVE,
 * OSPKE, XCR0-dependent sizes).
 */
struct cpuid_result x86_cpuid(const struct cpu_model *m, uint32_t leaf,
                              uint32_t subleaf, unsigned apic_id, uint64_t cr4,
                              uint64_t xcr0);

#endif
