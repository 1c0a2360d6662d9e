/* Model-specific registers and the paravirtual clock. */
#include "x86_fixture.h"
#include "x86/msr.h"
#include "x86/tsc.h"

static struct {
    uint64_t base, deadline;
    unsigned deadline_writes;
    bool locked;
} apic;

static bool apic_read(void *intc, uint32_t msr, uint64_t *v)
{
    (void)intc;
    switch (msr) {
    case MSR_APIC_BASE: *v = apic.base; return true;
    case MSR_TSC_DEADLINE: *v = apic.deadline; return true;
    case 0x802: *v = 7; return true;
    default: return false;
    }
}

static bool apic_write(void *intc, uint32_t msr, uint64_t v)
{
    (void)intc;
    switch (msr) {
    case MSR_APIC_BASE: apic.base = v; return true;
    case MSR_TSC_DEADLINE:
        apic.deadline = v;
        apic.deadline_writes++;
        return true;
    default: return false;
    }
}

static const struct intc_cpu_ops apic_ops = {.read_msr = apic_read,
                                             .write_msr = apic_write};

static uint64_t get(uint32_t msr)
{
    uint64_t v = 0;

    if (!x86_msr_read(fx.cpu, msr, &v))
        fail_msg("RDMSR %x faults", msr);
    return v;
}

static void set(uint32_t msr, uint64_t v)
{
    if (!x86_msr_write(fx.cpu, msr, v))
        fail_msg("WRMSR %x %lx faults", msr, v);
}

static bool refused(uint32_t msr, uint64_t v)
{
    uint64_t before = 0, after = 0;
    bool there = x86_msr_read(fx.cpu, msr, &before);

    if (x86_msr_write(fx.cpu, msr, v))
        return false;
    return x86_msr_read(fx.cpu, msr, &after) == there && before == after;
}

static int start(void **state)
{
    int r = fx_setup(state);

    if (r)
        return r;
    fx_mode64(0);
    tsc_setup(&fx.model, 2000000000, 0);
    fx.model.kvm_leaves = true;
    memset(&apic, 0, sizeof apic);
    return 0;
}

#define BAD_ADDRESS 0x0000800000000000ull

static void system_calls(void **state)
{
    (void)state;
    set(MSR_STAR, 0x0023001012345678);
    assert_int_equal(get(MSR_STAR), 0x0023001012345678);
    set(MSR_LSTAR, 0xffffffff81000000);
    assert_int_equal(fx.cpu->s.lstar, 0xffffffff81000000);
    assert_true(refused(MSR_LSTAR, BAD_ADDRESS));
    assert_true(refused(MSR_CSTAR, BAD_ADDRESS));
    set(MSR_FMASK, 0x47700);
    assert_true(refused(MSR_FMASK, 1ull << 32));
    set(MSR_SYSENTER_ESP, 0xffff888000000000);
    assert_true(refused(MSR_SYSENTER_ESP, BAD_ADDRESS));
    assert_true(refused(MSR_SYSENTER_EIP, BAD_ADDRESS));
    set(MSR_SYSENTER_CS, 0x10);
    assert_int_equal(get(MSR_SYSENTER_CS), 0x10);
}

static void segment_bases(void **state)
{
    (void)state;
    set(MSR_FS_BASE, 0x7fff12345678);
    set(MSR_GS_BASE, 0xffff888000001000);
    set(MSR_KERNEL_GS_BASE, 0x1000);
    assert_int_equal(fx.cpu->s.seg[FS].base, 0x7fff12345678);
    assert_int_equal(fx.cpu->s.seg[GS].base, 0xffff888000001000);
    assert_int_equal(get(MSR_GS_BASE), 0xffff888000001000);
    for (uint32_t n = MSR_FS_BASE; n <= MSR_KERNEL_GS_BASE; n++)
        assert_true(refused(n, BAD_ADDRESS));
    set(MSR_TSC_AUX, 0xffffffff);
    assert_true(refused(MSR_TSC_AUX, 0x100000000));
}

static void efer(void **state)
{
    uint64_t now = get(MSR_EFER);

    (void)state;
    assert_int_equal(now, EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE);
    set(MSR_EFER, now & ~(uint64_t)EFER_LMA); /* LMA is read-only */
    assert_int_equal(get(MSR_EFER), now);
    set(MSR_EFER, EFER_LME);
    assert_int_equal(get(MSR_EFER), EFER_LME | EFER_LMA);
    assert_true(refused(MSR_EFER, 0)); /* LME with paging on */
    assert_true(refused(MSR_EFER, now | EFER_FFXSR));
    assert_true(refused(MSR_EFER, now | 2));
    assert_true(refused(MSR_EFER, now | 1ull << 40));
    fx_protected(32, 0);
    set(MSR_EFER, EFER_LME | EFER_NXE);
    assert_int_equal(get(MSR_EFER), EFER_LME | EFER_NXE);
    feature_set(&fx.model.features, FEAT_NX, false);
    feature_set(&fx.model.features, FEAT_NX, true);
    feature_set(&fx.model.features, FEAT_SYSCALL, false);
    assert_true(refused(MSR_EFER, EFER_LME | EFER_SCE));
    feature_set(&fx.model.features, FEAT_SYSCALL, true);
    set(MSR_EFER, 0);
    fx_mode64(0);
}

static void memory_types(void **state)
{
    (void)state;
    assert_int_equal(get(MSR_MTRRCAP), 0x508);
    set(MSR_PAT, 0x0007040600070406);
    assert_true(refused(MSR_PAT, 0x0002040600070406));
    assert_true(refused(MSR_PAT, 0x0803040600070406));
    set(MSR_MTRR_DEF_TYPE, 0xc06);
    assert_true(refused(MSR_MTRR_DEF_TYPE, 0xc07));
    assert_true(refused(MSR_MTRR_DEF_TYPE, 0x1006));
    for (unsigned k = 0; k < 8; k++) {
        set(MSR_MTRR_PHYSBASE0 + 2 * k, 0x80000000 + k * 0x1000 + 6);
        set(MSR_MTRR_PHYSBASE0 + 2 * k + 1, 0xff80000800);
        assert_int_equal(fx.cpu->s.mtrr_base[k], 0x80000006 + k * 0x1000);
    }
    assert_int_equal(get(MSR_MTRR_PHYSBASE0 + 5), 0xff80000800);
    assert_true(refused(MSR_MTRR_PHYSBASE0, 0x80000002));
    assert_true(refused(MSR_MTRR_PHYSBASE0, 0x80000106));
    assert_true(refused(MSR_MTRR_PHYSBASE0, 1ull << 40 | 6)); /* 40 bits */
    assert_true(refused(MSR_MTRR_PHYSBASE0 + 1, 0xff80000c00));
    assert_true(refused(MSR_MTRR_PHYSBASE0 + 16, 0));
    set(MSR_MTRR_FIX64K, 0x0606060606060606);
    set(MSR_MTRR_FIX16K + 1, 0x0101010101010101);
    set(MSR_MTRR_FIX4K + 7, 0x0505050505050505);
    assert_true(refused(MSR_MTRR_FIX4K + 7, 0x0705050505050505));
    assert_int_equal(fx.cpu->s.mtrr_fixed[0], 0x0606060606060606);
    assert_int_equal(fx.cpu->s.mtrr_fixed[2], 0x0101010101010101);
    assert_int_equal(fx.cpu->s.mtrr_fixed[10], 0x0505050505050505);
    assert_true(refused(MSR_MTRR_FIX16K + 2, 0));
}

static void identification(void **state)
{
    (void)state;
    assert_int_equal(get(MSR_BIOS_SIGN_ID) >> 32, 1);
    set(MSR_BIOS_SIGN_ID, 0); /* as systems do before CPUID */
    assert_int_equal(get(MSR_PLATFORM_INFO), 20 << 8);
    assert_int_equal(get(MSR_MCG_CAP), 4);
    for (unsigned k = 0; k < 16; k++)
        set(MSR_MC0_CTL + k, k % 4 ? 0 : ~0ull);
    assert_int_equal(get(MSR_MC0_CTL), 0);
    assert_true(refused(MSR_MC0_CTL + 1, 1));
    assert_true(refused(MSR_MC0_CTL + 16, 0));
    assert_true(refused(MSR_MCG_CAP, 0));
    assert_true(refused(MSR_PLATFORM_INFO, 0));
    assert_true(get(MSR_MISC_ENABLE) & 1 << 11);
    set(MSR_MISC_ENABLE, 1);
    assert_true(get(MSR_ARCH_CAPABILITIES) & 1);
    set(MSR_SPEC_CTRL, 1);
    set(MSR_SPEC_CTRL, 1 << 10 | 1);
    assert_true(refused(MSR_SPEC_CTRL, 8));
    feature_set(&fx.model.features, FEAT_BHI_CTRL, false);
    assert_true(refused(MSR_SPEC_CTRL, 1 << 10));
    feature_set(&fx.model.features, FEAT_BHI_CTRL, true);
    set(MSR_PRED_CMD, 1);
    assert_true(refused(MSR_PRED_CMD, 2));
    set(MSR_DEBUGCTL, 0);
    assert_true(refused(MSR_DEBUGCTL, 4));
}

/* What is not there, or not in the model. */
static void absent(void **state)
{
    static const uint32_t none[] = {
        0,          0x3a,       0x186,      0x480,      0x6e1,     0x7ff,
        0xc0000085, 0xc0010015, 0x4b564d02, 0x40000000, 0xffffffff};
    static const struct {
        uint32_t msr;
        enum x86_feature feature;
    } with[] = {{MSR_TSC_ADJUST, FEAT_TSC_ADJUST},
                {MSR_SPEC_CTRL, FEAT_SPEC_CTRL},
                {MSR_ARCH_CAPABILITIES, FEAT_ARCH_CAP},
                {MSR_TSC_AUX, FEAT_RDTSCP},
                {MSR_PAT, FEAT_PAT},
                {MSR_MTRRCAP, FEAT_MTRR},
                {MSR_KERNEL_GS_BASE, FEAT_LM},
                {MSR_SYSENTER_CS, FEAT_SEP},
                {MSR_STAR, FEAT_SYSCALL}};
    uint64_t v;

    (void)state;
    for (unsigned k = 0; k < ARRAY_LEN(none); k++)
        if (x86_msr_read(fx.cpu, none[k], &v) ||
            x86_msr_write(fx.cpu, none[k], 0))
            fail_msg("MSR %x is there", none[k]);
    for (unsigned k = 0; k < ARRAY_LEN(with); k++) {
        get(with[k].msr);
        feature_set(&fx.model.features, with[k].feature, false);
        if (x86_msr_read(fx.cpu, with[k].msr, &v))
            fail_msg("MSR %x without its feature", with[k].msr);
        feature_set(&fx.model.features, with[k].feature, true);
    }
    fx.model.kvm_leaves = false;
    assert_true(refused(MSR_KVM_SYSTEM_TIME, 0));
    fx.model.kvm_leaves = true;
}

static void interrupt_controller(void **state)
{
    uint64_t v;

    (void)state;
    assert_false(x86_msr_read(fx.cpu, MSR_APIC_BASE, &v)); /* none */
    fx.vcpu.intc = &apic_ops;
    set(MSR_APIC_BASE, 0xfee00900);
    assert_int_equal(get(MSR_APIC_BASE), 0xfee00900);
    assert_int_equal(get(0x802), 7);
    assert_false(x86_msr_read(fx.cpu, 0x803, &v));
    set(MSR_TSC_DEADLINE, 1234);
    assert_int_equal(apic.deadline, 1234);
    set(MSR_TSC, 0); /* makes it look at its deadline again */
    assert_int_equal(apic.deadline_writes, 2);
    assert_int_equal(apic.deadline, 1234);
    fx.vcpu.intc = NULL;
}

static void timestamp(void **state)
{
    uint64_t offset = fx.cpu->s.tsc_offset, adjust = fx.cpu->s.tsc_adjust, t;

    (void)state;
    set(MSR_TSC, 1000);
    t = get(MSR_TSC);
    assert_true(t >= 1000 && t < 1000 + 2000000000);
    assert_int_equal(fx.cpu->s.tsc_adjust - adjust,
                     fx.cpu->s.tsc_offset - offset);
    offset = fx.cpu->s.tsc_offset;
    set(MSR_TSC_ADJUST, get(MSR_TSC_ADJUST) + 5000);
    assert_int_equal(fx.cpu->s.tsc_offset, offset + 5000);
    set(MSR_TSC_ADJUST, 0);
    assert_int_equal(get(MSR_TSC_ADJUST), 0);
}

/* --- the clock --- */
static uint64_t guest_clock(const uint8_t *p, uint64_t tsc)
{
    struct tsc_to_ns k = {load_le32(p + 24), (int8_t)p[28]};

    return load_le64(p + 16) + tsc_to_ns(k, tsc - load_le64(p + 8));
}

static void system_time(void **state)
{
    uint8_t *p = fx.host + DATA;
    uint64_t before, after, t;
    uint32_t version;

    (void)state;
    memset(p, 0, 64);
    store_le32(p, 6);
    set(MSR_KVM_SYSTEM_TIME, DATA | 1);
    assert_int_equal(get(MSR_KVM_SYSTEM_TIME), DATA | 1);
    version = load_le32(p);
    assert_int_equal(version, 8);
    assert_int_equal(p[29], 1);
    assert_int_equal(load_le32(p + 32), 0); /* no more than 32 bytes */
    t = x86_tsc(fx.cpu);
    before = guest_clock(p, t);
    assert_true(guest_clock(p, t + 2000000000) - before - NS_PER_SEC + 2 < 4);
    /* The guest sets its TSC: time goes on. */
    set(MSR_TSC, 42);
    assert_int_equal(load_le32(p), 10);
    after = guest_clock(p, x86_tsc(fx.cpu));
    assert_true(after >= before && after < before + 60 * NS_PER_SEC);
    /* Another CPU's page would say the same of the same moment. */
    t = x86_tsc(fx.cpu);
    before = guest_clock(p, t);
    kvmclock_update(fx.cpu);
    assert_int_equal(guest_clock(p, t), before);
    set(MSR_KVM_SYSTEM_TIME, 0);
    version = load_le32(p);
    kvmclock_update(fx.cpu);
    assert_int_equal(load_le32(p), version); /* off */
    assert_true(refused(MSR_KVM_SYSTEM_TIME, (DATA + 2) | 1));
    assert_true(refused(MSR_KVM_SYSTEM_TIME, 0x40000000 | 1)); /* no RAM */
}

static void wall_clock(void **state)
{
    uint8_t *p = fx.host + DATA, *s = p + 64;
    int64_t wall;

    (void)state;
    memset(p, 0, 128);
    set(MSR_KVM_SYSTEM_TIME_OLD, (DATA + 64) | 1);
    set(MSR_KVM_WALL_CLOCK_OLD, DATA);
    assert_int_equal(load_le32(p), 2);
    assert_int_equal(load_le32(p + 12), 0);
    assert_true(load_le32(p + 8) < NS_PER_SEC);
    wall = (int64_t)(load_le32(p + 4) * NS_PER_SEC + load_le32(p + 8) +
                     guest_clock(s, x86_tsc(fx.cpu)));
    wall -= host_wall_now();
    assert_true(wall > -60 * (int64_t)NS_PER_SEC && wall < 1000000);
    assert_true(refused(MSR_KVM_WALL_CLOCK, 0x40000000));
    assert_true(refused(MSR_KVM_WALL_CLOCK, DATA + 1));
    set(MSR_KVM_SYSTEM_TIME, 0);
}

static void instructions(void **state)
{
    struct x86_state *s = &fx.cpu->s;

    (void)state;
    s->gpr[RCX] = 0xffffffff00000000 | MSR_STAR;
    s->gpr[RAX] = 0xffffffff11112222;
    s->gpr[RDX] = 0xffffffff33334444;
    assert_int_equal(fx_run(0x0f, 0x30), RAN);
    assert_int_equal(s->star, 0x3333444411112222);
    s->gpr[RAX] = s->gpr[RDX] = ~0ull;
    assert_int_equal(fx_run(0x0f, 0x32), RAN);
    assert_int_equal(s->gpr[RAX], 0x11112222);
    assert_int_equal(s->gpr[RDX], 0x33334444);
    s->gpr[RCX] = 0x3a;
    assert_int_equal(fx_run(0x0f, 0x32), EXC_GP);
    assert_int_equal(fx_run(0x0f, 0x30), EXC_GP);
    s->gpr[RCX] = MSR_LSTAR;
    s->gpr[RDX] = 0x8000;
    assert_int_equal(fx_run(0x0f, 0x30), EXC_GP);
    assert_int_equal(s->gpr[RAX], 0x11112222);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(system_calls),
        cmocka_unit_test(segment_bases),
        cmocka_unit_test(efer),
        cmocka_unit_test(memory_types),
        cmocka_unit_test(identification),
        cmocka_unit_test(absent),
        cmocka_unit_test(interrupt_controller),
        cmocka_unit_test(timestamp),
        cmocka_unit_test(system_time),
        cmocka_unit_test(wall_clock),
        cmocka_unit_test(instructions),
    };

    return cmocka_run_group_tests(tests, start, fx_teardown);
}
