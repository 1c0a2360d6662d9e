/*
 * CPU models: which features each name stands for, and what depends on what.
 */
#include "base/bits.h"
#include "base/libc.h"
#include "x86/cpuid.h"
#include "x86/hostcpu.h"
#include "x86/hostvec.h"
#include "x86/state.h"
#include "x86/tsc.h"

static const char *const names[FEAT_COUNT] = {[FEAT_NONE] = "",
#define X(name, option, leaf, subleaf, reg, bit) [FEAT_##name] = option,
                                              X86_FEATURES(X)
#undef X
};

const char *cpu_feature_name(enum x86_feature n)
{
    return n < FEAT_COUNT ? names[n] : "";
}

/* --- what the core implements on any host --- */
static const uint8_t system_features[] = {
    FEAT_FPU,       FEAT_VME,      FEAT_DE,         FEAT_PSE,
    FEAT_TSC,       FEAT_MSR,      FEAT_PAE,        FEAT_MCE,
    FEAT_CX8,       FEAT_APIC,     FEAT_SEP,        FEAT_MTRR,
    FEAT_PGE,       FEAT_MCA,      FEAT_CMOV,       FEAT_PAT,
    FEAT_PSE36,     FEAT_CLFLUSH,  FEAT_FXSR,       FEAT_SS,
    FEAT_HTT,       FEAT_MONITOR,  FEAT_PCID,       FEAT_X2APIC,
    FEAT_TSCDL,     FEAT_XSAVE,    FEAT_RDRAND,     FEAT_HYPERVISOR,
    FEAT_ARAT,      FEAT_FSGSBASE, FEAT_TSC_ADJUST, FEAT_FDP_EXCPTN,
    FEAT_SMEP,      FEAT_ERMS,     FEAT_INVPCID,    FEAT_ZERO_FCS_FDS,
    FEAT_RDSEED,    FEAT_ADX,      FEAT_SMAP,       FEAT_CLFLUSHOPT,
    FEAT_CLWB,      FEAT_UMIP,     FEAT_RDPID,      FEAT_FSRM,
    FEAT_SPEC_CTRL, FEAT_ARCH_CAP, FEAT_BHI_CTRL,   FEAT_XSAVEOPT,
    FEAT_XSAVEC,    FEAT_XGETBV1,  FEAT_LAHF64,     FEAT_PREFETCHW,
    FEAT_SYSCALL,   FEAT_NX,       FEAT_PDPE1GB,    FEAT_RDTSCP,
    FEAT_LM,        FEAT_INVTSC,
};

/* Integer instructions, written in C. */
static const uint8_t integer_features[] = {
    FEAT_CX16,  FEAT_MOVBE,   FEAT_POPCNT,    FEAT_BMI1,      FEAT_BMI2,
    FEAT_LZCNT, FEAT_MOVDIRI, FEAT_MOVDIR64B, FEAT_SERIALIZE,
};

static void add_all(struct x86_features *f, const uint8_t *list, size_t n)
{
    for (size_t k = 0; k < n; k++)
        feature_set(f, (enum x86_feature)list[k], true);
}

void cpu_host_features(struct x86_features *f)
{
    memset(f, 0, sizeof *f);
    add_all(f, system_features, ARRAY_LEN(system_features));
    add_all(f, integer_features, ARRAY_LEN(integer_features));
    hostvec_features(f);
}

/* --- levels of the x86-64 psABI: each adds to the one before --- */
static const uint8_t level1[] = {FEAT_MMX, FEAT_SSE, FEAT_SSE2};
static const uint8_t level2[] = {FEAT_CX16, FEAT_LAHF64, FEAT_POPCNT,
                                 FEAT_SSE3, FEAT_SSE41,  FEAT_SSE42,
                                 FEAT_SSSE3};
static const uint8_t level3[] = {FEAT_AVX,   FEAT_AVX2,  FEAT_BMI1,
                                 FEAT_BMI2,  FEAT_F16C,  FEAT_FMA,
                                 FEAT_LZCNT, FEAT_MOVBE, FEAT_XSAVE};
static const uint8_t level4[] = {FEAT_AVX512F, FEAT_AVX512BW, FEAT_AVX512CD,
                                 FEAT_AVX512DQ, FEAT_AVX512VL};

static const struct level {
    const char *name;
    const uint8_t *features;
    size_t count;
    uint8_t model, stepping; /* of family 6: a CPU that had these first */
} levels[] = {
    {"x86-64", level1, ARRAY_LEN(level1), 23, 10},
    {"x86-64-v2", level2, ARRAY_LEN(level2), 44, 2},
    {"x86-64-v3", level3, ARRAY_LEN(level3), 63, 2},
    {"x86-64-v4", level4, ARRAY_LEN(level4), 85, 7},
};

/* --- what builds on what --- */
static const struct {
    uint8_t feature, needs;
} dependencies[] = {
    {FEAT_FXSR, FEAT_FPU},
    {FEAT_MMX, FEAT_FPU},
    {FEAT_SSE, FEAT_FXSR},
    {FEAT_SSE2, FEAT_SSE},
    {FEAT_SSE3, FEAT_SSE2},
    {FEAT_SSSE3, FEAT_SSE3},
    {FEAT_SSE41, FEAT_SSSE3},
    {FEAT_SSE42, FEAT_SSE41},
    {FEAT_AES, FEAT_SSE2},
    {FEAT_PCLMUL, FEAT_SSE2},
    {FEAT_SHA, FEAT_SSSE3},
    {FEAT_GFNI, FEAT_SSE2},
    {FEAT_XSAVE, FEAT_FXSR},
    {FEAT_XSAVEOPT, FEAT_XSAVE},
    {FEAT_XSAVEC, FEAT_XSAVE},
    {FEAT_XGETBV1, FEAT_XSAVE},
    {FEAT_AVX, FEAT_XSAVE},
    {FEAT_AVX, FEAT_SSE42},
    {FEAT_AVX2, FEAT_AVX},
    {FEAT_FMA, FEAT_AVX},
    {FEAT_F16C, FEAT_AVX},
    {FEAT_AVX_VNNI, FEAT_AVX2},
    {FEAT_VAES, FEAT_AVX},
    {FEAT_VAES, FEAT_AES},
    {FEAT_VPCLMUL, FEAT_AVX},
    {FEAT_VPCLMUL, FEAT_PCLMUL},
    {FEAT_AVX512F, FEAT_AVX2},
    {FEAT_AVX512F, FEAT_FMA},
    {FEAT_AVX512F, FEAT_F16C},
    {FEAT_AVX512BW, FEAT_AVX512F},
    {FEAT_AVX512CD, FEAT_AVX512F},
    {FEAT_AVX512DQ, FEAT_AVX512F},
    {FEAT_AVX512VL, FEAT_AVX512F},
    {FEAT_AVX512IFMA, FEAT_AVX512F},
    {FEAT_AVX512VBMI, FEAT_AVX512BW},
    {FEAT_AVX512VBMI2, FEAT_AVX512BW},
    {FEAT_AVX512VNNI, FEAT_AVX512F},
    {FEAT_AVX512BITALG, FEAT_AVX512BW},
    {FEAT_AVX512VPOPCNT, FEAT_AVX512F},
    {FEAT_AVX512VP2I, FEAT_AVX512F},
    {FEAT_AVX512FP16, FEAT_AVX512BW},
    {FEAT_AVX512FP16, FEAT_AVX512DQ},
    {FEAT_AVX512FP16, FEAT_AVX512VL},
    {FEAT_AVX512BF16, FEAT_AVX512BW},
    {FEAT_PKU, FEAT_XSAVE},
    {FEAT_CX16, FEAT_CX8},
    {FEAT_X2APIC, FEAT_APIC},
    {FEAT_TSCDL, FEAT_APIC},
    {FEAT_TSCDL, FEAT_TSC},
    {FEAT_ARAT, FEAT_APIC},
    {FEAT_TSC_ADJUST, FEAT_TSC},
    {FEAT_INVTSC, FEAT_TSC},
    {FEAT_RDTSCP, FEAT_TSC},
    {FEAT_PSE36, FEAT_PSE},
    {FEAT_NX, FEAT_PAE},
    {FEAT_LM, FEAT_PAE},
    {FEAT_LM, FEAT_NX},
    {FEAT_LM, FEAT_MSR},
    {FEAT_SYSCALL, FEAT_LM},
    {FEAT_LAHF64, FEAT_LM},
    {FEAT_PDPE1GB, FEAT_LM},
    {FEAT_PCID, FEAT_LM},
    {FEAT_FSGSBASE, FEAT_LM},
    {FEAT_INVPCID, FEAT_PCID},
    {FEAT_MTRR, FEAT_MSR},
    {FEAT_PAT, FEAT_MSR},
    {FEAT_MCA, FEAT_MCE},
    {FEAT_SPEC_CTRL, FEAT_MSR},
    {FEAT_ARCH_CAP, FEAT_MSR},
    {FEAT_BHI_CTRL, FEAT_SPEC_CTRL},
    {FEAT_APIC, FEAT_MSR},
    {FEAT_CLFLUSHOPT, FEAT_CLFLUSH},
    {FEAT_CLWB, FEAT_CLFLUSH},
    {FEAT_HYPERV, FEAT_HYPERVISOR},
    {FEAT_HYPERV, FEAT_APIC},
};

/* Chains are short, so going through the table until nothing changes ends. */
static void add_with_needs(struct x86_features *f, enum x86_feature n)
{
    bool changed = true;

    feature_set(f, n, true);
    while (changed) {
        changed = false;
        for (size_t k = 0; k < ARRAY_LEN(dependencies); k++) {
            enum x86_feature needs = (enum x86_feature)dependencies[k].needs;

            if (feature_has(f, (enum x86_feature)dependencies[k].feature) &&
                !feature_has(f, needs)) {
                feature_set(f, needs, true);
                changed = true;
            }
        }
    }
}

/* Drops every feature that lacks what it builds on. */
static void drop_orphans(struct x86_features *f)
{
    bool changed = true;

    while (changed) {
        changed = false;
        for (size_t k = 0; k < ARRAY_LEN(dependencies); k++) {
            enum x86_feature n = (enum x86_feature)dependencies[k].feature;

            if (feature_has(f, n) &&
                !feature_has(f, (enum x86_feature)dependencies[k].needs)) {
                feature_set(f, n, false);
                changed = true;
            }
        }
    }
}

/* --- names --- */
struct word {
    const char *p;
    size_t n;
};

static bool word_is(struct word w, const char *s)
{
    return strlen(s) == w.n && !strncmp(w.p, s, w.n);
}

/* Up to the next comma; *rest is what follows it, NULL at the end. */
static struct word next_word(const char *s, const char **rest)
{
    const char *comma = strchr(s, ',');

    *rest = comma ? comma + 1 : NULL;
    return (struct word){s, comma ? (size_t)(comma - s) : strlen(s)};
}

static enum x86_feature feature_named(struct word w)
{
    for (unsigned n = 1; w.n && n < FEAT_COUNT; n++)
        if (word_is(w, names[n]))
            return (enum x86_feature)n;
    return FEAT_NONE;
}

/* The first feature of f that usable lacks, or FEAT_NONE. */
static enum x86_feature missing(const struct x86_features *f,
                                const struct x86_features *usable)
{
    for (unsigned n = 1; n < FEAT_COUNT; n++)
        if (feature_has(f, (enum x86_feature)n) &&
            !feature_has(usable, (enum x86_feature)n))
            return (enum x86_feature)n;
    return FEAT_NONE;
}

static void level_features(struct x86_features *f, size_t level)
{
    for (size_t k = 0; k <= level; k++)
        add_all(f, levels[k].features, levels[k].count);
}

static size_t highest_level(const struct x86_features *usable)
{
    size_t best = 0;

    for (size_t k = 0; k < ARRAY_LEN(levels); k++) {
        struct x86_features f = {{0}};

        level_features(&f, k);
        if (!missing(&f, usable))
            best = k;
    }
    return best;
}

/* --- identity --- */
static void copy_vendor(struct cpu_model *m)
{
    memcpy(m->vendor, "GenuineIntel", sizeof m->vendor);
}

static void level_identity(struct cpu_model *m, size_t level)
{
    m->family = 6;
    m->model = levels[level].model;
    m->stepping = levels[level].stepping;
    snprintf(m->name, sizeof m->name, "%s", levels[level].name);
    snprintf(m->brand, sizeof m->brand, "Lodge %s", m->name);
}

/* The host's family and model where it is Intel's, else the highest level's. */
static void host_identity(struct cpu_model *m, const struct x86_features *f)
{
    struct cpuid_result r = hostcpu_id(0, 0);
    bool intel = r.ebx == 0x756e6547 && r.edx == 0x49656e69;

    level_identity(m, highest_level(f));
    if (intel) {
        r = hostcpu_id(1, 0);
        m->family = bits(r.eax, 11, 8);
        m->model = bits(r.eax, 7, 4) | bits(r.eax, 19, 16) << 4;
        m->stepping = bits(r.eax, 3, 0);
        if (m->family == 15)
            m->family += bits(r.eax, 27, 20);
    }
    snprintf(m->name, sizeof m->name, "host");
    snprintf(m->brand, sizeof m->brand, "Lodge host CPU");
}

static uint64_t xcr0_mask(const struct x86_features *f)
{
    uint64_t mask = XCR0_X87 | XCR0_SSE;

    if (!feature_has(f, FEAT_XSAVE))
        return 0;
    if (feature_has(f, FEAT_AVX))
        mask |= XCR0_AVX;
    if (feature_has(f, FEAT_AVX512F))
        mask |= XCR0_OPMASK | XCR0_ZMM_HI256 | XCR0_HI16_ZMM;
    if (feature_has(f, FEAT_PKU))
        mask |= 1 << 9;
    return mask;
}

/* --- making one --- */
/* Features and identity of the name alone. */
static int choose_base(struct cpu_model *m, struct word name,
                       const struct x86_features *usable, struct err *e)
{
    struct x86_features f = {{0}};
    enum x86_feature lacks;
    size_t level = highest_level(usable);

    if (word_is(name, "host")) {
        m->features = *usable;
        feature_set(&m->features, FEAT_HYPERV, false);
        host_identity(m, usable);
        return 0;
    }
    if (name.n) {
        for (level = 0; level < ARRAY_LEN(levels); level++)
            if (word_is(name, levels[level].name))
                break;
        if (level == ARRAY_LEN(levels))
            return err_set(e, LE_USAGE,
                           "--cpu: there is no CPU model \"%.*s\"; there are "
                           "host, x86-64, x86-64-v2, x86-64-v3 and x86-64-v4",
                           (int)MIN(name.n, 60), name.p);
    }
    add_all(&f, system_features, ARRAY_LEN(system_features));
    for (size_t k = 0; k < ARRAY_LEN(f.bit); k++)
        f.bit[k] &= usable->bit[k];
    level_features(&f, level);
    lacks = missing(&f, usable);
    if (lacks)
        return err_set(e, LE_UNSUPPORTED,
                       "--cpu %s: this host cannot run the CPU feature %s; "
                       "choose a lower level or leave --cpu out",
                       levels[level].name, names[lacks]);
    m->features = f;
    level_identity(m, level);
    return 0;
}

/* One "+feature" or "-feature". */
static int change_feature(struct x86_features *f, struct word w,
                          const struct x86_features *usable, struct err *e)
{
    struct word name = {w.p + 1, w.n ? w.n - 1 : 0};
    enum x86_feature n, lacks;

    if (!w.n || (w.p[0] != '+' && w.p[0] != '-'))
        return err_set(e, LE_USAGE,
                       "--cpu: \"%.*s\" should be +FEATURE or -FEATURE",
                       (int)MIN(w.n, 60), w.p);
    n = feature_named(name);
    if (n == FEAT_NONE)
        return err_set(e, LE_USAGE,
                       "--cpu: there is no CPU feature \"%.*s\"; the names are "
                       "the Intel manual's in lower case: avx2, sse4.2, bmi1",
                       (int)MIN(name.n, 60), name.p);
    if (w.p[0] == '-') {
        feature_set(f, n, false);
        drop_orphans(f);
        return 0;
    }
    add_with_needs(f, n);
    lacks = missing(f, usable);
    if (lacks)
        return err_set(e, LE_UNSUPPORTED,
                       "--cpu: this host cannot run the CPU feature %s, which "
                       "+%s asks for; leave it out",
                       names[lacks], names[n]);
    return 0;
}

/* A real CPU under the guest: its own name, and no address it lacks. */
static void take_identity(struct cpu_model *m, const struct cpu_host *host,
                          bool whole)
{
    if (host->phys_bits)
        m->phys_bits = MIN(m->phys_bits, host->phys_bits);
    if (!host->vendor[0])
        return;
    memcpy(m->vendor, host->vendor, sizeof m->vendor);
    /* Kernels look for errata by family and model: those of the vendor. */
    if (whole || memcmp(host->vendor, "GenuineIntel", sizeof host->vendor)) {
        m->family = host->family;
        m->model = host->model;
        m->stepping = host->stepping;
    }
    if (whole)
        memcpy(m->brand, host->brand, sizeof m->brand);
}

int cpu_model_make(struct cpu_model *m, const char *spec,
                   const struct x86_features *usable, unsigned ncpus,
                   struct err *e)
{
    struct cpu_host host = {.usable = *usable};

    return cpu_model_make_for(m, spec, &host, ncpus, e);
}

int cpu_model_make_for(struct cpu_model *m, const char *spec,
                       const struct cpu_host *host, unsigned ncpus,
                       struct err *e)
{
    const struct x86_features *usable = &host->usable;
    const char *rest = spec;
    struct word w = {"", 0};
    int r;

    memset(m, 0, sizeof *m);
    if (spec && *spec != '+' && *spec != '-')
        w = next_word(spec, &rest);
    r = choose_base(m, w, usable, e);
    while (!r && rest) {
        w = next_word(rest, &rest);
        r = change_feature(&m->features, w, usable, e);
    }
    if (r)
        return r;
    feature_set(&m->features, FEAT_OSXSAVE, false);
    feature_set(&m->features, FEAT_OSPKE, false);
    feature_set(&m->features, FEAT_HTT, ncpus > 1);
    copy_vendor(m);
    m->phys_bits = feature_has(&m->features, FEAT_LM) ? 40 : 36;
    m->linear_bits = 48;
    m->ncpus = ncpus;
    m->xcr0_mask = xcr0_mask(&m->features);
    m->kvm_leaves = feature_has(&m->features, FEAT_HYPERVISOR);
    m->hyperv = feature_has(&m->features, FEAT_HYPERV);
    take_identity(m, host, !strcmp(m->name, "host"));
    tsc_setup(m, 0, host->tsc_hz ? host->tsc_hz : tsc_host_hz());
    return 0;
}
