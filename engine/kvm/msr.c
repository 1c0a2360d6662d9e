/*
 * MSRs: those of struct x86_state in and out; the TSC; and what happens to
 * guests that use others. KVM has most of the CPU's. What Lodge's CPUs do not
 * have (performance counters, branch records, processor trace) is kept from
 * guests by a filter, so that they find the same CPU as under the other
 * engines; what KVM does not know comes here, is logged and is #GP.
 */
#include <errno.h>
#include <string.h>

#include "engine/kvm/kvm.h"
#include "lodge/host.h"
#include "x86/msr.h"
#include "x86/tsc.h"

enum { MSR_XSS = 0xda0 };

/* One MSR, or `n` of them from two fields that take turns. */
static const struct row {
    uint32_t msr;
    uint8_t feature; /* enum x86_feature: without it the guest has it not */
    uint32_t field;
} rows[] = {
#define ROW(msr, feat, name)                                                   \
    {                                                                          \
        msr, FEAT_##feat, offsetof(struct x86_state, name)                     \
    }
    ROW(MSR_STAR, SYSCALL, star),
    ROW(MSR_LSTAR, SYSCALL, lstar),
    ROW(MSR_CSTAR, SYSCALL, cstar),
    ROW(MSR_FMASK, SYSCALL, fmask),
    ROW(MSR_KERNEL_GS_BASE, LM, kernel_gs_base),
    ROW(MSR_SYSENTER_CS, SEP, sysenter_cs),
    ROW(MSR_SYSENTER_ESP, SEP, sysenter_esp),
    ROW(MSR_SYSENTER_EIP, SEP, sysenter_eip),
    ROW(MSR_TSC_ADJUST, TSC_ADJUST, tsc_adjust),
    ROW(MSR_TSC_AUX, RDTSCP, tsc_aux),
    ROW(MSR_PAT, PAT, pat),
    ROW(MSR_MISC_ENABLE, NONE, misc_enable),
    ROW(MSR_SPEC_CTRL, SPEC_CTRL, spec_ctrl),
    ROW(MSR_MTRR_DEF_TYPE, MTRR, mtrr_def_type),
    ROW(MSR_MTRR_FIX64K, MTRR, mtrr_fixed[0]),
    ROW(MSR_MTRR_FIX16K, MTRR, mtrr_fixed[1]),
    ROW(MSR_MTRR_FIX16K + 1, MTRR, mtrr_fixed[2]),
    ROW(MSR_MTRR_FIX4K, MTRR, mtrr_fixed[3]),
    ROW(MSR_MTRR_FIX4K + 1, MTRR, mtrr_fixed[4]),
    ROW(MSR_MTRR_FIX4K + 2, MTRR, mtrr_fixed[5]),
    ROW(MSR_MTRR_FIX4K + 3, MTRR, mtrr_fixed[6]),
    ROW(MSR_MTRR_FIX4K + 4, MTRR, mtrr_fixed[7]),
    ROW(MSR_MTRR_FIX4K + 5, MTRR, mtrr_fixed[8]),
    ROW(MSR_MTRR_FIX4K + 6, MTRR, mtrr_fixed[9]),
    ROW(MSR_MTRR_FIX4K + 7, MTRR, mtrr_fixed[10]),
#define MTRR(n)                                                                \
    ROW(MSR_MTRR_PHYSBASE0 + 2 * n, MTRR, mtrr_base[n]),                       \
        ROW(MSR_MTRR_PHYSBASE0 + 2 * n + 1, MTRR, mtrr_mask[n])
    MTRR(0),
    MTRR(1),
    MTRR(2),
    MTRR(3),
    MTRR(4),
    MTRR(5),
    MTRR(6),
    MTRR(7),
#undef MTRR
#undef ROW
};

/* The clocks come last: setting them writes guest memory by the TSC. */
static const struct row clocks[] = {
    {MSR_KVM_WALL_CLOCK, FEAT_HYPERVISOR,
     offsetof(struct x86_state, kvmclock_wall)},
    {MSR_KVM_SYSTEM_TIME, FEAT_HYPERVISOR,
     offsetof(struct x86_state, kvmclock_system)},
};

enum { MOST = ARRAY_LEN(rows) };

struct msrs {
    struct kvm_msrs head;
    struct kvm_msr_entry entry[MOST];
};

/* The entries from n on that KVM takes at once; it stops at one it refuses. */
static int transfer(struct kvm_cpu *c, unsigned long request, struct msrs *m,
                    unsigned from, unsigned n)
{
    struct msrs part = {.head.nmsrs = n - from};
    int done;

    memcpy(part.entry, m->entry + from, (n - from) * sizeof part.entry[0]);
    done = kvm_do(c->fd, request, &part);
    if (done > 0)
        memcpy(m->entry + from, part.entry,
               (unsigned)done * sizeof part.entry[0]);
    return done;
}

int kvm_get_msr(struct kvm_cpu *c, uint32_t msr, uint64_t *v)
{
    struct msrs m = {.entry = {{.index = msr}}};
    int done = transfer(c, KVM_GET_MSRS, &m, 0, 1);

    *v = m.entry[0].data;
    return done == 1 ? 0 : -LE_IO;
}

int kvm_set_msr(struct kvm_cpu *c, uint32_t msr, uint64_t v)
{
    struct msrs m = {.entry = {{.index = msr, .data = v}}};

    return transfer(c, KVM_SET_MSRS, &m, 0, 1) == 1 ? 0 : -LE_IO;
}

/* All rows whose feature the guest has; an MSR that KVM lacks is left out. */
static int move_rows(struct kvm_cpu *c, struct x86_state *s, bool set,
                     const struct row *table, unsigned count)
{
    const struct row *of[MOST];
    struct msrs m = {0};
    unsigned n = 0, at = 0;

    for (unsigned k = 0; k < count; k++) {
        if (!feature_has(&c->v->model->features,
                         (enum x86_feature)table[k].feature))
            continue;
        of[n] = &table[k];
        m.entry[n].index = table[k].msr;
        if (set)
            memcpy(&m.entry[n].data, (uint8_t *)s + table[k].field, 8);
        n++;
    }
    while (at < n) {
        int done = transfer(c, set ? KVM_SET_MSRS : KVM_GET_MSRS, &m, at, n);

        if (done < 0)
            return -LE_IO;
        for (; !set && done; done--, at++)
            memcpy((uint8_t *)s + of[at]->field, &m.entry[at].data, 8);
        at += (unsigned)done + (at + (unsigned)done < n);
    }
    return 0;
}

/* --- the TSC: as an offset where KVM lets us, else as a value --- */

static struct kvm_device_attr tsc_attr(uint64_t *offset)
{
    return (struct kvm_device_attr){.group = KVM_VCPU_TSC_CTRL,
                                    .attr = KVM_VCPU_TSC_OFFSET,
                                    .addr = (uintptr_t)offset};
}

static int get_tsc(struct kvm_cpu *c, struct x86_state *s)
{
    const struct cpu_model *m = c->v->model;
    struct kvm_device_attr attr = tsc_attr(&s->tsc_offset);
    uint64_t tsc;

    if (m->tsc_of_host && kvm_do(c->fd, KVM_GET_DEVICE_ATTR, &attr) == 0)
        return 0;
    if (kvm_get_msr(c, MSR_TSC, &tsc))
        return -LE_IO;
    s->tsc_offset = tsc - tsc_now(m, 0);
    return 0;
}

static int set_tsc(struct kvm_cpu *c, const struct x86_state *s)
{
    const struct cpu_model *m = c->v->model;
    uint64_t offset = s->tsc_offset;
    struct kvm_device_attr attr = tsc_attr(&offset);

    if (m->tsc_of_host && kvm_do(c->fd, KVM_SET_DEVICE_ATTR, &attr) == 0)
        return 0;
    return kvm_set_msr(c, MSR_TSC, tsc_now(m, offset));
}

/* KVM's clock as x86/kvmclock.c has it: time 0 at the TSC's 0. */
static void set_clock(struct kvm_cpu *c, const struct x86_state *s)
{
    const struct cpu_model *m = c->v->model;
    struct kvm_clock_data clock = {0};

    if (c->v->id || !(s->kvmclock_system & 1))
        return;
    clock.clock = tsc_to_ns(tsc_to_ns_of(m->tsc_hz),
                            tsc_now(m, s->tsc_offset) - s->tsc_adjust);
    kvm_do(c->vm->fd, KVM_SET_CLOCK, &clock);
}

int kvm_get_msrs(struct kvm_cpu *c, struct x86_state *s)
{
    int rc = move_rows(c, s, false, rows, ARRAY_LEN(rows));

    if (!rc)
        rc = move_rows(c, s, false, clocks, ARRAY_LEN(clocks));
    return rc ? rc : get_tsc(c, s);
}

/*
 * What KVM keeps for a guest and x86_state does not: pages of the guest's that
 * KVM writes. They are forgotten, or a system started anew would have them
 * written over. The value of each is what it is after power-on.
 */
static const struct {
    uint32_t first, n, step;
    uint64_t value;
    bool hyperv;
} forgotten[] = {
    {0x4b564d03, 2, 1, 0, false},       /* steal time, EOIs */
    {0x400000b0, 4, 2, 0, true},        /* timers */
    {0x40000090, 16, 1, 1 << 16, true}, /* interrupt sources: masked */
    {0x40000080, 1, 1, 0, true},        /* their controller */
    {0x40000082, 2, 1, 0, true},        /* its pages */
    {0x40000073, 1, 1, 0, true},        /* virtual APIC page */
    {0x40000021, 1, 1, 0, true},        /* TSC page */
    {0x40000001, 1, 1, 0, true},        /* hypercall page */
    {0x40000000, 1, 1, 0, true},        /* the system's name */
};

static void forget_pages(struct kvm_cpu *c)
{
    for (unsigned k = 0; k < ARRAY_LEN(forgotten); k++)
        for (uint32_t n = 0; n < forgotten[k].n; n++)
            if (!forgotten[k].hyperv || c->v->model->hyperv)
                kvm_set_msr(c, forgotten[k].first + n * forgotten[k].step,
                            forgotten[k].value);
}

int kvm_set_msrs(struct kvm_cpu *c, const struct x86_state *s)
{
    struct x86_state copy = *s;
    int rc = move_rows(c, &copy, true, rows, ARRAY_LEN(rows));

    if (!rc)
        rc = set_tsc(c, s);
    if (rc)
        return rc;
    forget_pages(c);
    set_clock(c, s);
    return move_rows(c, &copy, true, clocks, ARRAY_LEN(clocks));
}

/* --- the guest sets its TSC --- */

/* KVM leaves a TSC deadline where it was on the host's clock; written anew, it
   is looked at again. */
static void rearm_deadline(struct kvm_cpu *c)
{
    uint64_t deadline;

    if (c->vm->host.tsc_deadline &&
        !kvm_get_msr(c, MSR_TSC_DEADLINE, &deadline) && deadline)
        kvm_set_msr(c, MSR_TSC_DEADLINE, deadline);
}

/* As KVM would, IA32_TSC_ADJUST along with IA32_TSC. */
static bool write_tsc(struct kvm_cpu *c, uint32_t msr, uint64_t v)
{
    bool adjusts = feature_has(&c->v->model->features, FEAT_TSC_ADJUST);
    uint64_t offset, was, adjust = 0;
    struct kvm_device_attr attr = tsc_attr(&offset);

    if ((msr == MSR_TSC_ADJUST && !adjusts) || kvm_get_msr(c, msr, &was) ||
        (adjusts && kvm_get_msr(c, MSR_TSC_ADJUST, &adjust)) ||
        kvm_do(c->fd, KVM_GET_DEVICE_ATTR, &attr) < 0)
        return false;
    offset += v - was;
    if (kvm_do(c->fd, KVM_SET_DEVICE_ATTR, &attr) < 0 ||
        (adjusts && kvm_set_msr(c, MSR_TSC_ADJUST, adjust + v - was)))
        return false;
    rearm_deadline(c);
    return true;
}

/* --- what guests may not --- */

/* First and how many. Performance counters (Intel's, AMD's), branch records,
   debug store, processor trace. */
static const struct {
    uint32_t first, n;
} hidden[] = {
    {0x0c1, 8},  {0x186, 8},  {0x1c8, 2},      {0x309, 4},       {0x345, 1},
    {0x38d, 4},  {0x3f1, 1},  {0x4c1, 8},      {0x560, 40},      {0x600, 1},
    {0x680, 32}, {0x6c0, 32}, {0xc0010000, 8}, {0xc0010200, 12},
};

/* IA32_TSC and IA32_TSC_ADJUST are ours to write. */
static void keep_tsc(struct kvm_msr_filter *f, unsigned at, uint8_t *none)
{
    static const uint32_t ours[] = {MSR_TSC, MSR_TSC_ADJUST};

    _Static_assert(ARRAY_LEN(hidden) + ARRAY_LEN(ours) <=
                       KVM_MSR_FILTER_MAX_RANGES,
                   "ranges");
    for (unsigned n = 0; n < ARRAY_LEN(ours); n++)
        f->ranges[at + n] =
            (struct kvm_msr_filter_range){.flags = KVM_MSR_FILTER_WRITE,
                                          .base = ours[n],
                                          .nmsrs = 1,
                                          .bitmap = none};
}

static int set_filter(struct kvm_vm *k)
{
    static uint8_t none[8]; /* a clear bit forbids */
    struct kvm_msr_filter f = {.flags = KVM_MSR_FILTER_DEFAULT_ALLOW};

    for (unsigned n = 0; n < ARRAY_LEN(hidden); n++)
        f.ranges[n] = (struct kvm_msr_filter_range){
            .flags = KVM_MSR_FILTER_READ | KVM_MSR_FILTER_WRITE,
            .base = hidden[n].first,
            .nmsrs = hidden[n].n,
            .bitmap = none};
    if (k->host.tsc_attr && k->host.msr_exits)
        keep_tsc(&f, ARRAY_LEN(hidden), none);
    return kvm_do(k->fd, KVM_X86_SET_MSR_FILTER, &f);
}

int kvm_msr_open(struct kvm_vm *k, struct err *e)
{
    struct kvm_enable_cap exits = {
        .cap = KVM_CAP_X86_USER_SPACE_MSR,
        .args = {KVM_MSR_EXIT_REASON_UNKNOWN | KVM_MSR_EXIT_REASON_FILTER}};
    struct kvm_enable_cap no_counters = {.cap = KVM_CAP_PMU_CAPABILITY,
                                         .args = {KVM_PMU_CAP_DISABLE}};

    /* Before Linux 5.18 the counters are there, and CPUID does not say so. */
    kvm_do(k->fd, KVM_ENABLE_CAP, &no_counters);
    if (k->host.msr_exits && kvm_do(k->fd, KVM_ENABLE_CAP, &exits) < 0)
        return err_set(e, LE_IO, "KVM_CAP_X86_USER_SPACE_MSR: %s",
                       strerror(errno));
    if (k->host.msr_filter && set_filter(k) < 0)
        return err_set(e, LE_IO, "KVM_X86_SET_MSR_FILTER: %s", strerror(errno));
    return 0;
}

void kvm_msr_exit(struct kvm_cpu *c)
{
    struct kvm_run *r = c->run;
    bool write = r->exit_reason == KVM_EXIT_X86_WRMSR;

    c->unfinished = true;
    r->msr.error = 0;
    if (write && (r->msr.index == MSR_TSC || r->msr.index == MSR_TSC_ADJUST) &&
        write_tsc(c, r->msr.index, r->msr.data))
        return;
    log_guest(&c->log, "CPU %u: %s of MSR %#x, which is not there", c->v->id,
              write ? "write" : "read", r->msr.index);
    r->msr.error = 1;
}
