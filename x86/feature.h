/*
 * CPU features by their CPUID bit: one list for the opcode table, the CPU
 * models, CPUID itself and the command line (--cpu MODEL,+avx2).
 * X(NAME, "option name", leaf, subleaf, register, bit)
 */
#ifndef X86_FEATURE_H
#define X86_FEATURE_H

#include "base/compiler.h"

enum cpuid_reg { REG_EAX, REG_EBX, REG_ECX, REG_EDX };

#define X86_FEATURES(X)                                                        \
    X(FPU, "fpu", 1, 0, EDX, 0) X(VME, "vme", 1, 0, EDX, 1)                    \
    X(DE, "de", 1, 0, EDX, 2) X(PSE, "pse", 1, 0, EDX, 3)                      \
    X(TSC, "tsc", 1, 0, EDX, 4) X(MSR, "msr", 1, 0, EDX, 5)                    \
    X(PAE, "pae", 1, 0, EDX, 6) X(MCE, "mce", 1, 0, EDX, 7)                    \
    X(CX8, "cx8", 1, 0, EDX, 8) X(APIC, "apic", 1, 0, EDX, 9)                  \
    X(SEP, "sep", 1, 0, EDX, 11) X(MTRR, "mtrr", 1, 0, EDX, 12)                \
    X(PGE, "pge", 1, 0, EDX, 13) X(MCA, "mca", 1, 0, EDX, 14)                  \
    X(CMOV, "cmov", 1, 0, EDX, 15) X(PAT, "pat", 1, 0, EDX, 16)                \
    X(PSE36, "pse36", 1, 0, EDX, 17) X(CLFLUSH, "clflush", 1, 0, EDX, 19)      \
    X(MMX, "mmx", 1, 0, EDX, 23) X(FXSR, "fxsr", 1, 0, EDX, 24)                \
    X(SSE, "sse", 1, 0, EDX, 25) X(SSE2, "sse2", 1, 0, EDX, 26)                \
    X(SS, "ss", 1, 0, EDX, 27) X(HTT, "ht", 1, 0, EDX, 28)                     \
    X(SSE3, "sse3", 1, 0, ECX, 0) X(PCLMUL, "pclmulqdq", 1, 0, ECX, 1)         \
    X(MONITOR, "monitor", 1, 0, ECX, 3) X(SSSE3, "ssse3", 1, 0, ECX, 9)        \
    X(FMA, "fma", 1, 0, ECX, 12) X(CX16, "cx16", 1, 0, ECX, 13)                \
    X(PCID, "pcid", 1, 0, ECX, 17) X(SSE41, "sse4.1", 1, 0, ECX, 19)           \
    X(SSE42, "sse4.2", 1, 0, ECX, 20) X(X2APIC, "x2apic", 1, 0, ECX, 21)       \
    X(MOVBE, "movbe", 1, 0, ECX, 22) X(POPCNT, "popcnt", 1, 0, ECX, 23)        \
    X(TSCDL, "tsc-deadline", 1, 0, ECX, 24) X(AES, "aes", 1, 0, ECX, 25)       \
    X(XSAVE, "xsave", 1, 0, ECX, 26) X(OSXSAVE, "", 1, 0, ECX, 27)             \
    X(AVX, "avx", 1, 0, ECX, 28) X(F16C, "f16c", 1, 0, ECX, 29)                \
    X(RDRAND, "rdrand", 1, 0, ECX, 30)                                         \
    X(HYPERVISOR, "hypervisor", 1, 0, ECX, 31)                                 \
    X(ARAT, "arat", 6, 0, EAX, 2)                                              \
    X(FSGSBASE, "fsgsbase", 7, 0, EBX, 0)                                      \
    X(TSC_ADJUST, "tsc-adjust", 7, 0, EBX, 1)                                  \
    X(BMI1, "bmi1", 7, 0, EBX, 3) X(AVX2, "avx2", 7, 0, EBX, 5)                \
    X(FDP_EXCPTN, "fdp-excptn-only", 7, 0, EBX, 6)                             \
    X(SMEP, "smep", 7, 0, EBX, 7) X(BMI2, "bmi2", 7, 0, EBX, 8)                \
    X(ERMS, "erms", 7, 0, EBX, 9) X(INVPCID, "invpcid", 7, 0, EBX, 10)         \
    X(ZERO_FCS_FDS, "zero-fcs-fds", 7, 0, EBX, 13)                             \
    X(AVX512F, "avx512f", 7, 0, EBX, 16)                                       \
    X(AVX512DQ, "avx512dq", 7, 0, EBX, 17)                                     \
    X(RDSEED, "rdseed", 7, 0, EBX, 18) X(ADX, "adx", 7, 0, EBX, 19)            \
    X(SMAP, "smap", 7, 0, EBX, 20)                                             \
    X(AVX512IFMA, "avx512ifma", 7, 0, EBX, 21)                                 \
    X(CLFLUSHOPT, "clflushopt", 7, 0, EBX, 23)                                 \
    X(CLWB, "clwb", 7, 0, EBX, 24)                                             \
    X(AVX512CD, "avx512cd", 7, 0, EBX, 28)                                     \
    X(SHA, "sha", 7, 0, EBX, 29)                                               \
    X(AVX512BW, "avx512bw", 7, 0, EBX, 30)                                     \
    X(AVX512VL, "avx512vl", 7, 0, EBX, 31)                                     \
    X(AVX512VBMI, "avx512vbmi", 7, 0, ECX, 1)                                  \
    X(UMIP, "umip", 7, 0, ECX, 2) X(PKU, "pku", 7, 0, ECX, 3)                  \
    X(OSPKE, "", 7, 0, ECX, 4)                                                 \
    X(AVX512VBMI2, "avx512vbmi2", 7, 0, ECX, 6)                                \
    X(GFNI, "gfni", 7, 0, ECX, 8) X(VAES, "vaes", 7, 0, ECX, 9)                \
    X(VPCLMUL, "vpclmulqdq", 7, 0, ECX, 10)                                    \
    X(AVX512VNNI, "avx512vnni", 7, 0, ECX, 11)                                 \
    X(AVX512BITALG, "avx512bitalg", 7, 0, ECX, 12)                             \
    X(AVX512VPOPCNT, "avx512vpopcntdq", 7, 0, ECX, 14)                         \
    X(LA57, "la57", 7, 0, ECX, 16) X(RDPID, "rdpid", 7, 0, ECX, 22)            \
    X(MOVDIRI, "movdiri", 7, 0, ECX, 27)                                       \
    X(MOVDIR64B, "movdir64b", 7, 0, ECX, 28)                                   \
    X(FSRM, "fsrm", 7, 0, EDX, 4)                                              \
    X(AVX512VP2I, "avx512vp2intersect", 7, 0, EDX, 8)                          \
    X(SERIALIZE, "serialize", 7, 0, EDX, 14)                                   \
    X(AVX512FP16, "avx512fp16", 7, 0, EDX, 23)                                 \
    X(SPEC_CTRL, "spec-ctrl", 7, 0, EDX, 26)                                   \
    X(ARCH_CAP, "arch-capabilities", 7, 0, EDX, 29)                            \
    X(AVX_VNNI, "avx-vnni", 7, 1, EAX, 4)                                      \
    X(AVX512BF16, "avx512bf16", 7, 1, EAX, 5)                                  \
    X(BHI_CTRL, "bhi-ctrl", 7, 2, EDX, 4)                                      \
    X(XSAVEOPT, "xsaveopt", 0xd, 1, EAX, 0)                                    \
    X(XSAVEC, "xsavec", 0xd, 1, EAX, 1)                                        \
    X(XGETBV1, "xgetbv1", 0xd, 1, EAX, 2)                                      \
    X(LAHF64, "lahf-lm", 0x80000001, 0, ECX, 0)                                \
    X(LZCNT, "lzcnt", 0x80000001, 0, ECX, 5)                                   \
    X(PREFETCHW, "prefetchw", 0x80000001, 0, ECX, 8)                           \
    X(SYSCALL, "syscall", 0x80000001, 0, EDX, 11)                              \
    X(NX, "nx", 0x80000001, 0, EDX, 20)                                        \
    X(PDPE1GB, "pdpe1gb", 0x80000001, 0, EDX, 26)                              \
    X(RDTSCP, "rdtscp", 0x80000001, 0, EDX, 27)                                \
    X(LM, "lm", 0x80000001, 0, EDX, 29)                                        \
    X(INVTSC, "invtsc", 0x80000007, 0, EDX, 8)                                 \
    /* Hyper-V's interface, for engines that have it; by name only */          \
    X(HYPERV, "hyperv", 0x40000003, 0, EAX, 5)

enum x86_feature {
    FEAT_NONE, /* always there: the 8086 to 80386 set and CPUID */
#define X(name, option, leaf, subleaf, reg, bit) FEAT_##name,
    X86_FEATURES(X)
#undef X
    FEAT_COUNT
};

struct x86_features {
    uint64_t bit[(FEAT_COUNT + 63) / 64];
};

static inline bool feature_has(const struct x86_features *f, enum x86_feature n)
{
    return n == FEAT_NONE || (f->bit[n / 64] >> (n % 64) & 1);
}

static inline void feature_set(struct x86_features *f, enum x86_feature n,
                               bool on)
{
    uint64_t mask = 1ull << (n % 64);

    f->bit[n / 64] = on ? f->bit[n / 64] | mask : f->bit[n / 64] & ~mask;
}

#endif
