#include "x86/msr.h"
#include "base/bits.h"
#include "lodge/irq.h"
#include "x86/mem.h"
#include "x86/outside.h"

struct row;
typedef bool (*msr_read)(struct cpu *c, const struct row *r, unsigned n,
                         uint64_t *v);
typedef bool (*msr_write)(struct cpu *c, const struct row *r, unsigned n,
                          uint64_t v);

/* MSRs first to last; n is which of them. */
struct row {
    uint32_t first, last;
    uint8_t feature; /* enum x86_feature: without it #GP */
    msr_read read;   /* NULL: #GP */
    msr_write write; /* NULL: #GP */
    uint32_t field;  /* offset of the (first) field in struct x86_state */
    uint64_t value;  /* what it reads as; bits that may be written */
};

static bool has(const struct cpu *c, enum x86_feature n)
{
    return feature_has(&c->model->features, n);
}

/* --- plain ones --- */
static uint64_t *field_of(struct cpu *c, const struct row *r, unsigned n)
{
    return (uint64_t *)(void *)((uint8_t *)&c->s + r->field) + n;
}

static bool read_field(struct cpu *c, const struct row *r, unsigned n,
                       uint64_t *v)
{
    *v = *field_of(c, r, n);
    return true;
}

/* Bits outside the row's value are reserved. */
static bool write_field(struct cpu *c, const struct row *r, unsigned n,
                        uint64_t v)
{
    if (v & ~r->value)
        return false;
    *field_of(c, r, n) = v;
    return true;
}

static bool canonical(const struct cpu *c, uint64_t v)
{
    return (uint64_t)sign_extend(v, c->model->linear_bits) == v;
}

static bool write_address(struct cpu *c, const struct row *r, unsigned n,
                          uint64_t v)
{
    if (!canonical(c, v))
        return false;
    *field_of(c, r, n) = v;
    return true;
}

static bool read_value(struct cpu *c, const struct row *r, unsigned n,
                       uint64_t *v)
{
    (void)c;
    (void)n;
    *v = r->value;
    return true;
}

static bool write_nothing(struct cpu *c, const struct row *r, unsigned n,
                          uint64_t v)
{
    (void)c;
    (void)r;
    (void)n;
    (void)v;
    return true;
}

/* A bank's CTL takes anything and keeps nothing; the others only zero. */
static bool write_mc_bank(struct cpu *c, const struct row *r, unsigned n,
                          uint64_t v)
{
    (void)c;
    (void)r;
    return n % 4 == 0 || !v;
}

/* Commands and controls of which nothing is left to do: known bits pass. */
static bool write_command(struct cpu *c, const struct row *r, unsigned n,
                          uint64_t v)
{
    (void)c;
    (void)n;
    return !(v & ~r->value);
}

static bool read_zero(struct cpu *c, const struct row *r, unsigned n,
                      uint64_t *v)
{
    (void)c;
    (void)r;
    (void)n;
    *v = 0;
    return true;
}

/* --- time --- */
/* The TSC jumped: what was set by it must be looked at again. */
static void tsc_changed(struct cpu *c)
{
    struct vcpu *v = c->vcpu;
    uint64_t deadline;

    if (v->intc) {
        x86_outside_lock(c);
        if (v->intc->read_msr(v->intc_ctx, MSR_TSC_DEADLINE, &deadline) &&
            deadline)
            v->intc->write_msr(v->intc_ctx, MSR_TSC_DEADLINE, deadline);
        x86_outside_unlock(c);
    }
    kvmclock_update(c);
}

static void move_tsc(struct cpu *c, uint64_t by)
{
    c->s.tsc_offset += by;
    c->s.tsc_adjust += by;
    tsc_changed(c);
}

static bool read_tsc(struct cpu *c, const struct row *r, unsigned n,
                     uint64_t *v)
{
    (void)r;
    (void)n;
    *v = x86_tsc(c);
    return true;
}

static bool write_tsc(struct cpu *c, const struct row *r, unsigned n,
                      uint64_t v)
{
    (void)r;
    (void)n;
    move_tsc(c, v - x86_tsc(c));
    return true;
}

static bool write_tsc_adjust(struct cpu *c, const struct row *r, unsigned n,
                             uint64_t v)
{
    (void)r;
    (void)n;
    move_tsc(c, v - c->s.tsc_adjust);
    return true;
}

static bool write_system_time(struct cpu *c, const struct row *r, unsigned n,
                              uint64_t v)
{
    (void)r;
    (void)n;
    return c->model->kvm_leaves && kvmclock_set_system(c, v);
}

static bool write_wall_clock(struct cpu *c, const struct row *r, unsigned n,
                             uint64_t v)
{
    (void)r;
    (void)n;
    return c->model->kvm_leaves && kvmclock_set_wall(c, v);
}

static bool read_clock(struct cpu *c, const struct row *r, unsigned n,
                       uint64_t *v)
{
    return c->model->kvm_leaves && read_field(c, r, n, v);
}

/* In units of 100 MHz where the SDM has the ratio of core to bus clock. */
static bool read_platform_info(struct cpu *c, const struct row *r, unsigned n,
                               uint64_t *v)
{
    (void)r;
    (void)n;
    *v = (c->model->tsc_hz / 100000000 & 0xff) << 8;
    return true;
}

/* --- the interrupt controller's --- */
static bool read_intc(struct cpu *c, const struct row *r, unsigned n,
                      uint64_t *v)
{
    struct outside_access a = {.what = OUTSIDE_MSR, .at = r->first + n};

    x86_outside(c, &a);
    *v = a.value;
    return a.ok;
}

static bool write_intc(struct cpu *c, const struct row *r, unsigned n,
                       uint64_t v)
{
    struct outside_access a = {
        .what = OUTSIDE_MSR, .write = true, .at = r->first + n, .value = v};

    x86_outside(c, &a);
    if (a.ok && r->first + n == MSR_APIC_BASE)
        x86_apic_base_changed(c);
    return a.ok;
}

/* --- memory types --- */
enum { MTRR_COUNT = 8, MTRR_CAP = MTRR_COUNT | 1 << 8 | 1 << 10 };

/* UC, WC, WT, WP, WB; PAT has UC- (7) besides. */
static bool memory_type(unsigned type, bool pat)
{
    return (pat ? 0xf3 : 0x73) >> type & 1 && type < 8;
}

/* Eight types. */
static bool write_types(struct cpu *c, const struct row *r, unsigned n,
                        uint64_t v)
{
    for (unsigned k = 0; k < 64; k += 8)
        if (!memory_type(v >> k & 0xff, r->first == MSR_PAT))
            return false;
    *field_of(c, r, n) = v;
    return true;
}

/* Bases at even numbers, masks at odd ones. */
static uint64_t *mtrr_variable(struct cpu *c, unsigned n)
{
    return n & 1 ? &c->s.mtrr_mask[n / 2] : &c->s.mtrr_base[n / 2];
}

static bool read_mtrr(struct cpu *c, const struct row *r, unsigned n,
                      uint64_t *v)
{
    (void)r;
    *v = *mtrr_variable(c, n);
    return true;
}

static bool write_mtrr(struct cpu *c, const struct row *r, unsigned n,
                       uint64_t v)
{
    uint64_t address = mask_low(c->model->phys_bits) & PAGE_MASK;
    uint64_t allowed = address | (n & 1 ? 1 << 11 : 0xff);

    (void)r;
    if (v & ~allowed || (!(n & 1) && !memory_type(v & 0xff, false)))
        return false;
    *mtrr_variable(c, n) = v;
    return true;
}

static bool write_mtrr_default(struct cpu *c, const struct row *r, unsigned n,
                               uint64_t v)
{
    (void)r;
    (void)n;
    if (v & ~0xcffull || !memory_type(v & 0xff, false))
        return false;
    c->s.mtrr_def_type = v;
    return true;
}

/* --- system calls and segments --- */
static bool write_efer(struct cpu *c, const struct row *r, unsigned n,
                       uint64_t v)
{
    uint64_t old = c->s.efer, allowed = EFER_LMA;

    (void)r;
    (void)n;
    allowed |= has(c, FEAT_SYSCALL) ? EFER_SCE : 0;
    allowed |= has(c, FEAT_LM) ? EFER_LME : 0;
    allowed |= has(c, FEAT_NX) ? EFER_NXE : 0;
    if (v & ~allowed || ((v ^ old) & EFER_LME && c->s.cr0 & CR0_PG))
        return false;
    c->s.efer = (v & ~(uint64_t)EFER_LMA) | (old & EFER_LMA);
    x86_mode_changed(c);
    if ((c->s.efer ^ old) & EFER_NXE)
        tlb_flush_all(c);
    return true;
}

static bool read_base(struct cpu *c, const struct row *r, unsigned n,
                      uint64_t *v)
{
    (void)r;
    *v = c->s.seg[FS + n].base;
    return true;
}

static bool write_base(struct cpu *c, const struct row *r, unsigned n,
                       uint64_t v)
{
    (void)r;
    if (!canonical(c, v))
        return false;
    c->s.seg[FS + n].base = v;
    return true;
}

/* --- features --- */
enum {
    MISC_FAST_STRINGS = 1 << 0,
    MISC_NO_BTS = 1 << 11,
    MISC_NO_PEBS = 1 << 12,
    MISC_MONITOR = 1 << 18,
    /* What else is written is not kept: it switches nothing that we have. */
    MISC_KEPT = MISC_FAST_STRINGS | MISC_MONITOR,
};

static bool read_misc_enable(struct cpu *c, const struct row *r, unsigned n,
                             uint64_t *v)
{
    (void)r;
    (void)n;
    *v = c->s.misc_enable | MISC_NO_BTS | MISC_NO_PEBS;
    return true;
}

static bool write_misc_enable(struct cpu *c, const struct row *r, unsigned n,
                              uint64_t v)
{
    (void)r;
    (void)n;
    c->s.misc_enable = v & MISC_KEPT;
    return true;
}

/* IBRS, STIBP and BHI_DIS_S: accepted, there being nothing to restrict. */
static bool write_spec_ctrl(struct cpu *c, const struct row *r, unsigned n,
                            uint64_t v)
{
    uint64_t allowed = 3 | (has(c, FEAT_BHI_CTRL) ? 1 << 10 : 0);

    (void)r;
    (void)n;
    if (v & ~allowed)
        return false;
    c->s.spec_ctrl = v;
    return true;
}

/*
 * Nothing runs ahead of the checks in an emulated CPU, which is what most of
 * these say; IBRS_ALL keeps guests from replacing every indirect branch.
 */
static bool read_arch_capabilities(struct cpu *c, const struct row *r,
                                   unsigned n, uint64_t *v)
{
    static const uint8_t not_affected[] = {0 /* RDCL */,
                                           3 /* L1D flush on VM entry */,
                                           4 /* SSB */,
                                           5 /* MDS */,
                                           6 /* page size change */,
                                           8 /* TAA */,
                                           13,
                                           14,
                                           15 /* MMIO stale data */,
                                           20 /* BHI */,
                                           24 /* PBRSB */,
                                           26 /* GDS */,
                                           27 /* RFDS */,
                                           62 /* ITS */};

    (void)r;
    (void)n;
    *v = has(c, FEAT_SPEC_CTRL) ? 1 << 1 /* IBRS_ALL */ : 0;
    for (size_t k = 0; k < ARRAY_LEN(not_affected); k++)
        *v |= 1ull << not_affected[k];
    return true;
}

enum { MC_BANKS = 4 };

#define STATE(name) offsetof(struct x86_state, name)
#define MICROCODE   (1ull << 32)
#define FIELD(msr, feat, name, allowed)                                        \
    {                                                                          \
        msr, msr, FEAT_##feat, read_field, write_field, STATE(name), allowed   \
    }
#define ADDRESS(msr, feat, name)                                               \
    {                                                                          \
        msr, msr, FEAT_##feat, read_field, write_address, STATE(name), 0       \
    }
#define CUSTOM(msr, last, feat, rd, wr)                                        \
    {                                                                          \
        msr, last, FEAT_##feat, rd, wr, 0, 0                                   \
    }
#define VALUE(msr, feat, v, wr)                                                \
    {                                                                          \
        msr, msr, FEAT_##feat, read_value, wr, 0, v                            \
    }
#define COMMAND(msr, feat, rd, allowed)                                        \
    {                                                                          \
        msr, msr, FEAT_##feat, rd, write_command, 0, allowed                   \
    }

/* In order of their numbers. */
static const struct row rows[] = {
    CUSTOM(MSR_TSC, MSR_TSC, TSC, read_tsc, write_tsc),
    {MSR_KVM_WALL_CLOCK_OLD, MSR_KVM_WALL_CLOCK_OLD, FEAT_NONE, read_clock,
     write_wall_clock, STATE(kvmclock_wall), 0},
    {MSR_KVM_SYSTEM_TIME_OLD, MSR_KVM_SYSTEM_TIME_OLD, FEAT_NONE, read_clock,
     write_system_time, STATE(kvmclock_system), 0},
    VALUE(MSR_PLATFORM_ID, NONE, 0, NULL),
    CUSTOM(MSR_APIC_BASE, MSR_APIC_BASE, APIC, read_intc, write_intc),
    VALUE(MSR_SMI_COUNT, NONE, 0, NULL),
    {MSR_TSC_ADJUST, MSR_TSC_ADJUST, FEAT_TSC_ADJUST, read_field,
     write_tsc_adjust, STATE(tsc_adjust), 0},
    {MSR_SPEC_CTRL, MSR_SPEC_CTRL, FEAT_SPEC_CTRL, read_field, write_spec_ctrl,
     STATE(spec_ctrl), 0},
    COMMAND(MSR_PRED_CMD, SPEC_CTRL, NULL, 1),
    CUSTOM(MSR_BIOS_UPDT_TRIG, MSR_BIOS_UPDT_TRIG, NONE, NULL, write_nothing),
    VALUE(MSR_BIOS_SIGN_ID, NONE, MICROCODE, write_nothing),
    CUSTOM(MSR_PLATFORM_INFO, MSR_PLATFORM_INFO, NONE, read_platform_info,
           NULL),
    VALUE(MSR_MTRRCAP, MTRR, MTRR_CAP, NULL),
    CUSTOM(MSR_ARCH_CAPABILITIES, MSR_ARCH_CAPABILITIES, ARCH_CAP,
           read_arch_capabilities, NULL),
    FIELD(MSR_SYSENTER_CS, SEP, sysenter_cs, 0xffffffff),
    ADDRESS(MSR_SYSENTER_ESP, SEP, sysenter_esp),
    ADDRESS(MSR_SYSENTER_EIP, SEP, sysenter_eip),
    VALUE(MSR_MCG_CAP, MCA, MC_BANKS, NULL),
    COMMAND(MSR_MCG_STATUS, MCA, read_zero, 7),
    CUSTOM(MSR_PERF_STATUS, MSR_PERF_STATUS, NONE, read_platform_info, NULL),
    CUSTOM(MSR_MISC_ENABLE, MSR_MISC_ENABLE, NONE, read_misc_enable,
           write_misc_enable),
    COMMAND(MSR_DEBUGCTL, NONE, read_zero, 3 /* LBR, BTF: not there */),
    CUSTOM(MSR_MTRR_PHYSBASE0, MSR_MTRR_PHYSBASE0 + 2 * MTRR_COUNT - 1, MTRR,
           read_mtrr, write_mtrr),
    {MSR_MTRR_FIX64K, MSR_MTRR_FIX64K, FEAT_MTRR, read_field, write_types,
     STATE(mtrr_fixed[0]), 0},
    {MSR_MTRR_FIX16K, MSR_MTRR_FIX16K + 1, FEAT_MTRR, read_field, write_types,
     STATE(mtrr_fixed[1]), 0},
    {MSR_MTRR_FIX4K, MSR_MTRR_FIX4K + 7, FEAT_MTRR, read_field, write_types,
     STATE(mtrr_fixed[3]), 0},
    {MSR_PAT, MSR_PAT, FEAT_PAT, read_field, write_types, STATE(pat), 0},
    {MSR_MTRR_DEF_TYPE, MSR_MTRR_DEF_TYPE, FEAT_MTRR, read_field,
     write_mtrr_default, STATE(mtrr_def_type), 0},
    /* CTL, STATUS, ADDR, MISC of each: nothing ever happens */
    CUSTOM(MSR_MC0_CTL, MSR_MC0_CTL + 4 * MC_BANKS - 1, MCA, read_zero,
           write_mc_bank),
    CUSTOM(MSR_TSC_DEADLINE, MSR_TSC_DEADLINE, TSCDL, read_intc, write_intc),
    CUSTOM(MSR_X2APIC, MSR_X2APIC_LAST, X2APIC, read_intc, write_intc),
    {MSR_KVM_WALL_CLOCK, MSR_KVM_WALL_CLOCK, FEAT_NONE, read_clock,
     write_wall_clock, STATE(kvmclock_wall), 0},
    {MSR_KVM_SYSTEM_TIME, MSR_KVM_SYSTEM_TIME, FEAT_NONE, read_clock,
     write_system_time, STATE(kvmclock_system), 0},
    {MSR_EFER, MSR_EFER, FEAT_NX, read_field, write_efer, STATE(efer), 0},
    FIELD(MSR_STAR, SYSCALL, star, ~0ull),
    ADDRESS(MSR_LSTAR, SYSCALL, lstar),
    ADDRESS(MSR_CSTAR, SYSCALL, cstar),
    FIELD(MSR_FMASK, SYSCALL, fmask, 0xffffffff),
    CUSTOM(MSR_FS_BASE, MSR_GS_BASE, LM, read_base, write_base),
    ADDRESS(MSR_KERNEL_GS_BASE, LM, kernel_gs_base),
    FIELD(MSR_TSC_AUX, RDTSCP, tsc_aux, 0xffffffff),
};

static const struct row *row_of(const struct cpu *c, uint32_t msr)
{
    unsigned from = 0, to = ARRAY_LEN(rows);

    while (from < to) {
        unsigned middle = (from + to) / 2;
        const struct row *r = &rows[middle];

        if (msr < r->first)
            to = middle;
        else if (msr > r->last)
            from = middle + 1;
        else
            return has(c, (enum x86_feature)r->feature) ? r : NULL;
    }
    return NULL;
}

bool x86_msr_read(struct cpu *c, uint32_t msr, uint64_t *v)
{
    const struct row *r = row_of(c, msr);

    return r && r->read && r->read(c, r, msr - r->first, v);
}

bool x86_msr_write(struct cpu *c, uint32_t msr, uint64_t v)
{
    const struct row *r = row_of(c, msr);

    return r && r->write && r->write(c, r, msr - r->first, v);
}
