/*
 * Model-specific registers (SDM volume 4; KVM's clock MSRs: Linux
 * Documentation/virt/kvm/x86/msr.rst). One table says which there are; all
 * others are #GP.
 *
 * Thread: the vCPU's own, or another while it is paused; the machine lock not
 * held (MSRs of the interrupt controller and the clock pages take it).
 */
#ifndef X86_MSR_H
#define X86_MSR_H

#include "x86/cpu.h"

enum {
    MSR_TSC = 0x10,
    MSR_PLATFORM_ID = 0x17,
    MSR_APIC_BASE = 0x1b,
    MSR_SMI_COUNT = 0x34,
    MSR_TSC_ADJUST = 0x3b,
    MSR_SPEC_CTRL = 0x48,
    MSR_PRED_CMD = 0x49,
    MSR_BIOS_UPDT_TRIG = 0x79,
    MSR_BIOS_SIGN_ID = 0x8b,
    MSR_PLATFORM_INFO = 0xce,
    MSR_MTRRCAP = 0xfe,
    MSR_ARCH_CAPABILITIES = 0x10a,
    MSR_SYSENTER_CS = 0x174,
    MSR_SYSENTER_ESP = 0x175,
    MSR_SYSENTER_EIP = 0x176,
    MSR_MCG_CAP = 0x179,
    MSR_MCG_STATUS = 0x17a,
    MSR_PERF_STATUS = 0x198,
    MSR_MISC_ENABLE = 0x1a0,
    MSR_DEBUGCTL = 0x1d9,
    MSR_MTRR_PHYSBASE0 = 0x200,
    MSR_MTRR_FIX64K = 0x250,
    MSR_MTRR_FIX16K = 0x258,
    MSR_MTRR_FIX4K = 0x268,
    MSR_PAT = 0x277,
    MSR_MTRR_DEF_TYPE = 0x2ff,
    MSR_MC0_CTL = 0x400,
    MSR_TSC_DEADLINE = 0x6e0,
    MSR_X2APIC = 0x800,
    MSR_X2APIC_LAST = 0x8ff,
    MSR_KVM_WALL_CLOCK_OLD = 0x11,
    MSR_KVM_SYSTEM_TIME_OLD = 0x12,
    MSR_KVM_WALL_CLOCK = 0x4b564d00,
    MSR_KVM_SYSTEM_TIME = 0x4b564d01,
};
#define MSR_EFER           0xc0000080u
#define MSR_STAR           0xc0000081u
#define MSR_LSTAR          0xc0000082u
#define MSR_CSTAR          0xc0000083u
#define MSR_FMASK          0xc0000084u
#define MSR_FS_BASE        0xc0000100u
#define MSR_GS_BASE        0xc0000101u
#define MSR_KERNEL_GS_BASE 0xc0000102u
#define MSR_TSC_AUX        0xc0000103u

/* RDMSR and WRMSR without the privilege check; false: #GP(0), nothing done. */
bool x86_msr_read(struct cpu *c, uint32_t msr, uint64_t *v);
bool x86_msr_write(struct cpu *c, uint32_t msr, uint64_t v);

/* --- x86/kvmclock.c --- */
/* Points the clock at a structure of the guest (bit 0: enable) and fills it;
   false: not RAM or not aligned. */
bool kvmclock_set_system(struct cpu *c, uint64_t v);
/* Fills the wall clock structure at v. */
bool kvmclock_set_wall(struct cpu *c, uint64_t v);
/* Fills it again, after the TSC was set or time went on without the guest. */
void kvmclock_update(struct cpu *c);

#endif
