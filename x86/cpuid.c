/*
 * CPUID as a model gives it (SDM volume 2, CPUID; KVM's paravirtual leaves:
 * Linux Documentation/virt/kvm/x86/cpuid.rst). Topology: one thread a core,
 * one package.
 */
#include "x86/cpuid.h"
#include "base/bits.h"
#include "base/endian.h"
#include "base/libc.h"
#include "lodge/irq.h"
#include "x86/state.h"

enum {
    MAX_BASIC = 0x16,
    MAX_KVM = 0x40000010,
};
#define MAX_EXTENDED 0x80000008u

struct ask {
    const struct cpu_model *m;
    uint32_t leaf, subleaf;
    unsigned apic_id;
    uint64_t cr4, xcr0;
};

static bool has(const struct ask *a, enum x86_feature n)
{
    return feature_has(&a->m->features, n);
}

/* --- feature bits --- */
static const struct feature_bit {
    uint32_t leaf;
    uint8_t subleaf, reg, bit;
} feature_bits[FEAT_COUNT] = {
#define X(name, option, leaf, subleaf, reg, bit)                               \
    [FEAT_##name] = {leaf, subleaf, REG_##reg, bit},
    X86_FEATURES(X)
#undef X
};

/* Adds the bits of the model's features in this leaf. */
static void add_features(const struct ask *a, struct cpuid_result *r)
{
    for (unsigned n = 1; n < FEAT_COUNT; n++) {
        const struct feature_bit *b = &feature_bits[n];
        uint32_t bit = 1u << b->bit;

        if (b->leaf != a->leaf || b->subleaf != a->subleaf ||
            !has(a, (enum x86_feature)n))
            continue;
        switch ((enum cpuid_reg)b->reg) {
        case REG_EAX: r->eax |= bit; break;
        case REG_EBX: r->ebx |= bit; break;
        case REG_ECX: r->ecx |= bit; break;
        case REG_EDX: r->edx |= bit; break;
        }
    }
}

/* --- identity --- */
static struct cpuid_result text(uint32_t eax, const char *b, const char *c,
                                const char *d)
{
    return (struct cpuid_result){eax, load_le32(b), load_le32(c), load_le32(d)};
}

static uint32_t signature(const struct cpu_model *m)
{
    uint32_t base = MIN(m->family, 15), extended = m->family - base;

    return extended << 20 | (m->model >> 4 & 15) << 16 | base << 8 |
           (m->model & 15) << 4 | (m->stepping & 15);
}

static struct cpuid_result leaf_vendor(const struct ask *a)
{
    const char *v = a->m->vendor;

    return text(MAX_BASIC, v, v + 8, v + 4);
}

static struct cpuid_result leaf_features(const struct ask *a)
{
    unsigned logical = a->m->ncpus > 1 ? MIN(a->m->ncpus, 255) : 0;
    struct cpuid_result r = {signature(a->m), 0, 0, 0};

    r.ebx = (a->apic_id & 0xff) << 24 | logical << 16 | 64 / 8 << 8;
    add_features(a, &r);
    if (has(a, FEAT_XSAVE) && (a->cr4 & CR4_OSXSAVE))
        r.ecx |= 1u << 27;
    return r;
}

static struct cpuid_result leaf_structured(const struct ask *a)
{
    enum { MAX_SUBLEAF = 2 };
    struct cpuid_result r = {a->subleaf ? 0 : MAX_SUBLEAF, 0, 0, 0};

    add_features(a, &r);
    if (!a->subleaf && has(a, FEAT_PKU) && (a->cr4 & CR4_PKE))
        r.ecx |= 1u << 4;
    return r;
}

static struct cpuid_result leaf_extended_features(const struct ask *a)
{
    struct cpuid_result r = {0, 0, 0, 0};

    add_features(a, &r);
    return r;
}

static struct cpuid_result leaf_brand(const struct ask *a)
{
    char brand[49] = "";
    const char *p = brand + 16 * (a->leaf - 0x80000002);

    snprintf(brand, sizeof brand, "%s", a->m->brand);
    return (struct cpuid_result){load_le32(p), load_le32(p + 4),
                                 load_le32(p + 8), load_le32(p + 12)};
}

/* --- caches and topology --- */
/* Bits that number n CPUs. */
static unsigned bits_for(unsigned n)
{
    unsigned width = 0;

    while (1u << width < n)
        width++;
    return width;
}

enum { CACHE_DATA = 1, CACHE_CODE = 2, CACHE_BOTH = 3 };

static const struct cache {
    uint8_t type, level, ways;
    bool shared;
    uint32_t sets;
} caches[] = {
    {CACHE_DATA, 1, 8, false, 64},    /* 32 KB */
    {CACHE_CODE, 1, 8, false, 64},    /* 32 KB */
    {CACHE_BOTH, 2, 16, false, 1024}, /* 1 MB */
    {CACHE_BOTH, 3, 16, true, 16384}, /* 16 MB */
};

static struct cpuid_result leaf_caches(const struct ask *a)
{
    unsigned ids = 1u << bits_for(a->m->ncpus);
    const struct cache *k;
    struct cpuid_result r = {0, 0, 0, 0};

    if (a->subleaf >= ARRAY_LEN(caches))
        return r;
    k = &caches[a->subleaf];
    r.eax = k->type | k->level << 5 | 1 << 8 /* initialises itself */ |
            (k->shared ? MIN(ids, 4096) - 1 : 0) << 14 |
            (MIN(ids, 64) - 1) << 26;
    r.ebx = (64 - 1) | (k->ways - 1u) << 22; /* line size, one partition */
    r.ecx = k->sets - 1;
    r.edx = k->shared ? 2 : 0; /* the last level holds what the others do */
    return r;
}

/* The descriptors say: see leaves 4 and 0x18. */
static struct cpuid_result leaf_descriptors(const struct ask *a)
{
    (void)a;
    return (struct cpuid_result){0x00feff01, 0xf0, 0, 0};
}

enum { LEVEL_SMT = 1, LEVEL_CORE = 2 };

static struct cpuid_result leaf_topology(const struct ask *a)
{
    struct cpuid_result r = {0, 0, a->subleaf & 0xff, a->apic_id};

    if (a->subleaf == 0) {
        r.ebx = 1;
        r.ecx |= LEVEL_SMT << 8;
    } else if (a->subleaf == 1) {
        r.eax = bits_for(a->m->ncpus);
        r.ebx = a->m->ncpus & 0xffff;
        r.ecx |= LEVEL_CORE << 8;
    }
    return r;
}

static struct cpuid_result leaf_monitor(const struct ask *a)
{
    if (!has(a, FEAT_MONITOR))
        return (struct cpuid_result){0, 0, 0, 0};
    /*
     * Lines of 64 bytes; interrupts end MWAIT even when masked. No C-state is
     * listed: a store by another CPU wakes MWAIT late here, so systems that
     * look (Linux since 5.19) had better idle with HLT.
     */
    return (struct cpuid_result){64, 64, 3, 0};
}

static struct cpuid_result leaf_power(const struct ask *a)
{
    struct cpuid_result r = {0, 0, 0, 0};

    add_features(a, &r);
    return r;
}

/* --- XSAVE --- */
static const struct component {
    uint16_t size, offset; /* in the standard format */
} components[] = {
    [2] = {256, 576},   /* AVX: upper halves of YMM */
    [5] = {64, 1088},   /* opmask */
    [6] = {512, 1152},  /* upper halves of ZMM0–15 */
    [7] = {1024, 1664}, /* ZMM16–31 */
    [9] = {8, 2688},    /* PKRU */
};
enum { XSAVE_HEADER_END = 576 };

/* Bytes of an XSAVE area for these components. */
static uint32_t xsave_size(uint64_t mask, bool compact)
{
    uint32_t end = XSAVE_HEADER_END;

    for (unsigned n = 2; n < ARRAY_LEN(components); n++) {
        if (!(mask >> n & 1))
            continue;
        if (compact)
            end += components[n].size;
        else
            end = MAX(end, (uint32_t)components[n].offset + components[n].size);
    }
    return end;
}

static struct cpuid_result leaf_xsave(const struct ask *a)
{
    uint64_t all = a->m->xcr0_mask;
    struct cpuid_result r = {0, 0, 0, 0};

    if (!has(a, FEAT_XSAVE))
        return r;
    if (a->subleaf == 0) {
        r.eax = (uint32_t)all;
        r.ebx = xsave_size(a->xcr0, false);
        r.ecx = xsave_size(all, false);
        r.edx = (uint32_t)(all >> 32);
    } else if (a->subleaf == 1) {
        add_features(a, &r);
        if (has(a, FEAT_XSAVEC))
            r.ebx = xsave_size(a->xcr0, true);
    } else if (a->subleaf < ARRAY_LEN(components) && (all >> a->subleaf & 1)) {
        r.eax = components[a->subleaf].size;
        r.ebx = components[a->subleaf].offset;
    }
    return r;
}

/* --- time --- */
/*
 * The best fraction up/down for hz over the crystal's frequency whose parts
 * multiply with the crystal's kHz in 32 bits, as systems do: the convergents
 * of its continued fraction.
 */
static void ratio(uint64_t hz, uint64_t crystal, uint32_t *up, uint32_t *down)
{
    uint64_t limit = UINT32_MAX / (crystal / 1000), a = hz, b = crystal;
    uint64_t p = 1, q = 0, p0 = 0, q0 = 1;

    while (b) {
        uint64_t whole = a / b, rest = a % b;
        uint64_t p1 = whole * p + p0, q1 = whole * q + q0;

        if (p1 > limit || q1 > UINT32_MAX)
            break;
        p0 = p, q0 = q, p = p1, q = q1;
        a = b, b = rest;
    }
    *up = (uint32_t)p;
    *down = (uint32_t)q;
}

static struct cpuid_result leaf_tsc(const struct ask *a)
{
    struct cpuid_result r = {0, 0, (uint32_t)LAPIC_TIMER_HZ, 0};

    ratio(a->m->tsc_hz, LAPIC_TIMER_HZ, &r.ebx, &r.eax);
    if (!r.ebx || !r.eax) /* over 4.29 THz or under 1 MHz: not a CPU */
        return (struct cpuid_result){0, 0, 0, 0};
    return r;
}

/* Base and maximum frequency in MHz; the bus is said to run at 100. */
static struct cpuid_result leaf_frequency(const struct ask *a)
{
    uint32_t mhz = (uint32_t)((a->m->tsc_hz + 500000) / 1000000) & 0xffff;

    return (struct cpuid_result){mhz, mhz, 100, 0};
}

/* --- KVM's leaves --- */
enum {
    KVM_CLOCKSOURCE = 1 << 0,
    KVM_NOP_IO_DELAY = 1 << 1,
    KVM_CLOCKSOURCE2 = 1 << 3,
    KVM_CLOCKSOURCE_STABLE = 1 << 24,
};

static struct cpuid_result leaf_kvm(const struct ask *a)
{
    struct cpuid_result r = {0, 0, 0, 0};

    switch (a->leaf) {
    case 0x40000000: return text(MAX_KVM, "KVMK", "VMKV", "M\0\0");
    case 0x40000001:
        r.eax = KVM_CLOCKSOURCE | KVM_NOP_IO_DELAY | KVM_CLOCKSOURCE2 |
                KVM_CLOCKSOURCE_STABLE;
        break;
    case 0x40000010:
        r.eax = (uint32_t)(a->m->tsc_hz / 1000);
        r.ebx = (uint32_t)(LAPIC_TIMER_HZ / 1000);
        break;
    }
    return r;
}

/* --- extended leaves --- */
static struct cpuid_result leaf_extended(const struct ask *a)
{
    (void)a;
    return (struct cpuid_result){MAX_EXTENDED, 0, 0, 0};
}

static struct cpuid_result leaf_l2(const struct ask *a)
{
    (void)a;
    /* 1024 KB, 16 ways (code 8), lines of 64 bytes */
    return (struct cpuid_result){0, 0, 1024 << 16 | 8 << 12 | 64, 0};
}

static struct cpuid_result leaf_addresses(const struct ask *a)
{
    return (struct cpuid_result){a->m->linear_bits << 8 | a->m->phys_bits, 0, 0,
                                 0};
}

static const struct {
    uint32_t leaf;
    struct cpuid_result (*answer)(const struct ask *a);
} leaves[] = {
    {0, leaf_vendor},
    {1, leaf_features},
    {2, leaf_descriptors},
    {4, leaf_caches},
    {5, leaf_monitor},
    {6, leaf_power},
    {7, leaf_structured},
    {0xb, leaf_topology},
    {0xd, leaf_xsave},
    {0x15, leaf_tsc},
    {0x16, leaf_frequency},
    {0x80000000, leaf_extended},
    {0x80000001, leaf_extended_features},
    {0x80000002, leaf_brand},
    {0x80000003, leaf_brand},
    {0x80000004, leaf_brand},
    {0x80000006, leaf_l2},
    {0x80000007, leaf_extended_features},
    {0x80000008, leaf_addresses},
};

/* Out of range: what the highest basic leaf says, as Intel's CPUs answer. */
static uint32_t in_range(const struct cpu_model *m, uint32_t leaf)
{
    if (leaf <= MAX_BASIC)
        return leaf;
    if (leaf >= 0x40000000 && leaf <= MAX_KVM && m->kvm_leaves)
        return leaf;
    if (leaf >= 0x80000000 && leaf <= MAX_EXTENDED)
        return leaf;
    return MAX_BASIC;
}

struct cpuid_result x86_cpuid(const struct cpu_model *m, uint32_t leaf,
                              uint32_t subleaf, unsigned apic_id, uint64_t cr4,
                              uint64_t xcr0)
{
    struct ask a = {m, in_range(m, leaf), subleaf, apic_id, cr4, xcr0};

    if (a.leaf >= 0x40000000 && a.leaf <= MAX_KVM)
        return leaf_kvm(&a);
    /* Leaves that are the same for every subleaf have their bits under 0. */
    if (a.leaf != 4 && a.leaf != 7 && a.leaf != 0xb && a.leaf != 0xd)
        a.subleaf = 0;
    for (size_t k = 0; k < ARRAY_LEN(leaves); k++)
        if (leaves[k].leaf == a.leaf)
            return leaves[k].answer(&a);
    return (struct cpuid_result){0, 0, 0, 0};
}
