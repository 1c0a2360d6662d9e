/* What the jit asks of the CPU it runs on. */
#include "engine/jit/jit.h"

struct cpuid_result jit_host_cpuid(uint32_t leaf, uint32_t subleaf)
{
    struct cpuid_result r = {0};

#ifdef __x86_64__
    __asm__("cpuid"
            : "=a"(r.eax), "=b"(r.ebx), "=c"(r.ecx), "=d"(r.edx)
            : "0"(leaf), "2"(subleaf));
#else
    (void)leaf;
    (void)subleaf;
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
    struct cpuid_result r7 = jit_host_cpuid(7, 0);
    uint32_t low = 0, high = 0;

    if (!(jit_host_cpuid(1, 0).ecx & OSXSAVE) || !(r7.ebx & AVX512F) ||
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

static uint32_t pick(struct cpuid_result r, enum cpuid_reg reg)
{
    const uint32_t all[] = {[REG_EAX] = r.eax,
                            [REG_EBX] = r.ebx,
                            [REG_ECX] = r.ecx,
                            [REG_EDX] = r.edx};

    return all[reg];
}

void jit_host_features(struct x86_features *f)
{
    static const struct {
        enum x86_feature feature;
        uint32_t leaf, subleaf;
        enum cpuid_reg reg;
        unsigned bit;
    } rows[] = {
#define X(name, option, leaf, subleaf, reg, bit)                               \
    {FEAT_##name, leaf, subleaf, REG_##reg, bit},
        X86_FEATURES(X)
#undef X
    };

    *f = (struct x86_features){0};
    for (unsigned n = 0; n < ARRAY_LEN(rows); n++) {
        uint32_t top = rows[n].leaf & 0x80000000;

        if (rows[n].leaf > jit_host_cpuid(top, 0).eax)
            continue;
        feature_set(
            f, rows[n].feature,
            pick(jit_host_cpuid(rows[n].leaf, rows[n].subleaf), rows[n].reg) >>
                    rows[n].bit &
                1);
    }
}
