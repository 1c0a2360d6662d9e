/* What the jit asks of the CPU it runs on. */
#include "engine/jit/jit.h"

struct cpuid_result jit_host_cpuid(uint32_t leaf)
{
    struct cpuid_result r = {0};

#ifdef __x86_64__
    __asm__("cpuid"
            : "=a"(r.eax), "=b"(r.ebx), "=c"(r.ecx), "=d"(r.edx)
            : "0"(leaf), "2"(0));
#else
    (void)leaf;
#endif
    return r;
}

bool jit_host_has_avx512(void)
{
    enum {
        OSXSAVE = 1 << 27,
        AVX512F = 1 << 16,
        AVX512BW = 1 << 30,
        STATES = 0xe6
    };
    struct cpuid_result r7 = jit_host_cpuid(7);
    uint32_t low = 0, high = 0;

    if (!(jit_host_cpuid(1).ecx & OSXSAVE) || !(r7.ebx & AVX512F) ||
        !(r7.ebx & AVX512BW))
        return false;
#ifdef __x86_64__
    __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
#endif
    (void)high;
    return (low & STATES) == STATES;
}

void jit_host_relax(void)
{
#ifdef __x86_64__
    __builtin_ia32_pause();
#endif
}
