/* What only an x86 host can answer: its CPUID and TSC. Any thread. */
#ifndef X86_HOSTCPU_H
#define X86_HOSTCPU_H

#include "x86/cpuid.h"

#ifdef __x86_64__
enum { HOSTCPU_X86 = true };

static inline struct cpuid_result hostcpu_id(uint32_t leaf, uint32_t subleaf)
{
    struct cpuid_result r;

    __asm__ volatile("cpuid"
                     : "=a"(r.eax), "=b"(r.ebx), "=c"(r.ecx), "=d"(r.edx)
                     : "a"(leaf), "c"(subleaf));
    return r;
}

static inline uint64_t hostcpu_tsc(void)
{
    return __builtin_ia32_rdtsc();
}
#else
enum { HOSTCPU_X86 = false };

static inline struct cpuid_result hostcpu_id(uint32_t leaf, uint32_t subleaf)
{
    (void)leaf;
    (void)subleaf;
    return (struct cpuid_result){0, 0, 0, 0};
}

static inline uint64_t hostcpu_tsc(void)
{
    return 0;
}
#endif

#endif
