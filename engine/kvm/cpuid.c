/*
 * CPUID of the guests: what the model says (x86/cpuid.c), with the parts that
 * only the CPU itself decides taken from KVM.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/bits.h"
#include "base/endian.h"
#include "engine/kvm/kvm.h"
#include "lodge/irq.h"
#include "x86/hostcpu.h"

enum { MOST = 96 };

struct cpuid_table {
    struct kvm_cpuid2 head;
    struct kvm_cpuid_entry2 entry[MOST];
};

struct kvm_cpuid_entry2 kvm_supported(const struct kvm_host *h, uint32_t leaf,
                                      uint32_t subleaf)
{
    for (unsigned n = 0; n < h->cpuid->nent; n++) {
        const struct kvm_cpuid_entry2 *e = &h->cpuid->entries[n];

        if (e->function == leaf &&
            (e->index == subleaf ||
             !(e->flags & KVM_CPUID_FLAG_SIGNIFCANT_INDEX)))
            return *e;
    }
    return (struct kvm_cpuid_entry2){0};
}

/* --- what models can be made of --- */

static const struct {
    uint32_t leaf;
    uint8_t subleaf, reg, bit;
} bits_of[FEAT_COUNT] = {
#define X(name, option, leaf, subleaf, reg, bit)                               \
    [FEAT_##name] = {leaf, subleaf, REG_##reg, bit},
    X86_FEATURES(X)
#undef X
};

static bool supports(const struct kvm_host *h, enum x86_feature n)
{
    struct kvm_cpuid_entry2 e =
        kvm_supported(h, bits_of[n].leaf, bits_of[n].subleaf);
    const uint32_t regs[] = {[REG_EAX] = e.eax,
                             [REG_EBX] = e.ebx,
                             [REG_ECX] = e.ecx,
                             [REG_EDX] = e.edx};

    switch (n) {
    /* KVM's own, whatever the CPU has. */
    case FEAT_X2APIC:
    case FEAT_HYPERVISOR: return true;
    case FEAT_TSCDL: return h->tsc_deadline;
    case FEAT_HYPERV: return kvm_hyperv_usable(h);
    /* KVM gives AMD's CPUs some of Intel's; systems take them for a fault. */
    case FEAT_ARCH_CAP:
        return (regs[REG_EDX] >> 29 & 1) && hostcpu_id(0, 0).ebx == 0x756e6547;
    default: return regs[bits_of[n].reg] >> bits_of[n].bit & 1;
    }
}

static void identity(struct cpu_host *out)
{
    struct cpuid_result r = hostcpu_id(0, 0);
    uint32_t eax = hostcpu_id(1, 0).eax;

    store_le32((uint8_t *)out->vendor, r.ebx);
    store_le32((uint8_t *)out->vendor + 4, r.edx);
    store_le32((uint8_t *)out->vendor + 8, r.ecx);
    out->family = bits(eax, 11, 8);
    out->model = bits(eax, 7, 4) | bits(eax, 19, 16) << 4;
    out->stepping = bits(eax, 3, 0);
    if (out->family == 15)
        out->family += bits(eax, 27, 20);
    for (unsigned n = 0; n < 3; n++) {
        uint8_t *to = (uint8_t *)out->brand + 16 * n;

        r = hostcpu_id(0x80000002 + n, 0);
        store_le32(to, r.eax);
        store_le32(to + 4, r.ebx);
        store_le32(to + 8, r.ecx);
        store_le32(to + 12, r.edx);
    }
}

/* Of a VM, which is the cheapest thing that KVM answers this for. */
static uint64_t tsc_hz(struct kvm_host *h)
{
    int khz = -1, fd = kvm_do_value(h->fd, KVM_CREATE_VM, 0);

    if (fd >= 0) {
        khz = kvm_do_value(fd, KVM_GET_TSC_KHZ, 0);
        close(fd);
    }
    return khz > 0 ? (uint64_t)khz * 1000 : 0;
}

int kvm_host_cpu(struct cpu_host *out, struct err *e)
{
    struct kvm_host h;
    int rc = kvm_host_open(&h, e);

    *out = (struct cpu_host){0};
    if (rc)
        return rc;
    for (unsigned n = 1; n < FEAT_COUNT; n++)
        feature_set(&out->usable, (enum x86_feature)n,
                    supports(&h, (enum x86_feature)n));
    identity(out);
    out->phys_bits = kvm_supported(&h, 0x80000008, 0).eax & 0xff;
    out->tsc_hz = tsc_hz(&h);
    kvm_host_close(&h);
    return 0;
}

/* --- the leaves of one CPU --- */

static struct kvm_cpuid_entry2 *add(struct cpuid_table *t, uint32_t leaf,
                                    uint32_t subleaf, struct cpuid_result r)
{
    static const uint32_t indexed[] = {4, 7, 0xb, 0xd};
    struct kvm_cpuid_entry2 *e = &t->entry[t->head.nent++];

    *e = (struct kvm_cpuid_entry2){.function = leaf,
                                   .index = subleaf,
                                   .eax = r.eax,
                                   .ebx = r.ebx,
                                   .ecx = r.ecx,
                                   .edx = r.edx};
    for (unsigned n = 0; n < ARRAY_LEN(indexed); n++)
        if (indexed[n] == leaf)
            e->flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX;
    return e;
}

static struct kvm_cpuid_entry2 *add_model(struct kvm_cpu *c,
                                          struct cpuid_table *t, uint32_t leaf,
                                          uint32_t subleaf)
{
    return add(t, leaf, subleaf,
               x86_cpuid(c->v->model, leaf, subleaf, c->v->id, 0, XCR0_X87));
}

/* Sizes and places of XSAVE's components are the CPU's. */
static void add_xsave(struct kvm_cpu *c, struct cpuid_table *t)
{
    const struct kvm_host *h = &c->vm->host;
    uint64_t mask = c->v->model->xcr0_mask;
    struct kvm_cpuid_entry2 *zero = add_model(c, t, 0xd, 0);
    uint32_t size = 576;

    add_model(c, t, 0xd, 1);
    for (unsigned n = 2; n < 63; n++) {
        struct kvm_cpuid_entry2 e = kvm_supported(h, 0xd, n);

        if (!(mask >> n & 1) || !e.eax)
            continue;
        add(t, 0xd, n, (struct cpuid_result){e.eax, e.ebx, e.ecx, e.edx});
        size = MAX(size, e.ebx + e.eax);
    }
    zero->ecx = mask ? size : 0;
}

static bool is_amd(const struct cpu_model *m)
{
    return !strcmp(m->vendor, "AuthenticAMD") ||
           !strcmp(m->vendor, "HygonGenuine");
}

/* AMD counts cores where Intel has leaf 4, and takes leaf 1's count for
   threads of one core unless told. */
static void as_amd(const struct cpu_model *m, struct cpuid_table *t)
{
    enum { CMP_LEGACY = 1 << 1 };

    for (unsigned n = 0; n < t->head.nent; n++) {
        struct kvm_cpuid_entry2 *e = &t->entry[n];

        if (e->function == 0x80000001 && m->ncpus > 1)
            e->ecx |= CMP_LEGACY;
        if (e->function == 0x80000008)
            e->ecx = m->ncpus - 1;
    }
}

static void add_basic(struct kvm_cpu *c, struct cpuid_table *t)
{
    static const uint8_t leaves[] = {0, 1, 2, 5, 6, 0x15, 0x16};

    for (unsigned n = 0; n < ARRAY_LEN(leaves); n++)
        add_model(c, t, leaves[n], 0);
    for (unsigned n = 0; n < 5; n++)
        add_model(c, t, 4, n);
    for (unsigned n = 0; n < 3; n++)
        add_model(c, t, 7, n);
    for (unsigned n = 0; n < 3; n++)
        add_model(c, t, 0xb, n);
    if (feature_has(&c->v->model->features, FEAT_XSAVE))
        add_xsave(c, t);
    for (uint32_t leaf = 0x80000000; leaf <= 0x80000008; leaf++)
        add_model(c, t, leaf, 0);
}

/* KVM's leaves: features that KVM itself has, of those whose state is kept or
   may be forgotten. */
static void add_kvm(struct kvm_cpu *c, struct cpuid_table *t)
{
    enum {
        CLOCK = 1 << 0,
        NO_IO_DELAY = 1 << 1,
        CLOCK2 = 1 << 3,
        STEAL_TIME = 1 << 5,
        EOI = 1 << 6, /* noted in memory, where an exit can be spared */
        CLOCK_STABLE = 1 << 24,
    };
    struct kvm_cpuid_entry2 s = kvm_supported(&c->vm->host, 0x40000001, 0);
    uint32_t offer =
        CLOCK | NO_IO_DELAY | CLOCK2 | STEAL_TIME | EOI | CLOCK_STABLE;
    struct cpuid_result r = x86_cpuid(c->v->model, 0x40000000, 0, 0, 0, 0);

    add(t, 0x40000000, 0, r);
    add(t, 0x40000001, 0, (struct cpuid_result){s.eax & offer, 0, 0, 0});
    add(t, 0x40000010, 0, x86_cpuid(c->v->model, 0x40000010, 0, 0, 0, 0));
}

/* One or the other: Linux would take KVM's and leave Hyper-V's alone. */
static void add_paravirtual(struct kvm_cpu *c, struct cpuid_table *t)
{
    const struct cpu_model *m = c->v->model;

    if (m->hyperv)
        t->head.nent +=
            kvm_hyperv_cpuid(c, t->entry + t->head.nent, MOST - t->head.nent);
    else if (m->kvm_leaves)
        add_kvm(c, t);
}

int kvm_set_cpuid(struct kvm_cpu *c, struct err *e)
{
    struct kvm_enable_cap only_these = {.cap = KVM_CAP_ENFORCE_PV_FEATURE_CPUID,
                                        .args = {1}};
    struct cpuid_table t;

    memset(&t, 0, sizeof t);
    add_basic(c, &t);
    if (is_amd(c->v->model))
        as_amd(c->v->model, &t);
    add_paravirtual(c, &t);
    if (kvm_do(c->fd, KVM_SET_CPUID2, &t) < 0)
        return err_set(e, LE_IO, "KVM does not take the CPU model %s: %s",
                       c->v->model->name, strerror(errno));
    kvm_do(c->fd, KVM_ENABLE_CAP, &only_these);
    return 0;
}
