/*
 * XCR0, PKRU, and what a guest asks of a hypervisor or of SMM. SDM volume 1,
 * 13.3; volume 2.
 */
#include "x86/operand.h"
#include "x86/ops/ops.h"
#include "x86/system.h"
#include "x86/xsave.h"

static uint64_t edx_eax(const struct cpu *c)
{
    return c->s.gpr[RDX] << 32 | (uint32_t)c->s.gpr[RAX];
}

static void check_osxsave(struct cpu *c)
{
    if (!(c->s.cr4 & CR4_OSXSAVE))
        x86_raise(c, EXC_UD);
}

/* Register 1: the components that are not known to be as they began. */
void op_xgetbv(struct cpu *c, const struct insn *i)
{
    uint32_t n = (uint32_t)c->s.gpr[RCX];
    uint64_t v = c->s.xcr0;

    (void)i;
    check_osxsave(c);
    if (n > 1 || (n == 1 && !feature_has(&c->model->features, FEAT_XGETBV1)))
        x86_raise_gp0(c);
    if (n == 1)
        v &= x86_xinuse(c);
    gpr_write(c, RAX, 4, v);
    gpr_write(c, RDX, 4, v >> 32);
}

static bool xcr0_valid(const struct cpu *c, uint64_t v)
{
    enum { AVX512 = XCR0_OPMASK | XCR0_ZMM_HI256 | XCR0_HI16_ZMM };

    if ((v & ~c->model->xcr0_mask) || !(v & XCR0_X87))
        return false;
    if ((v & XCR0_AVX) && !(v & XCR0_SSE))
        return false;
    return !(v & AVX512) || ((v & AVX512) == AVX512 && (v & XCR0_AVX));
}

void op_xsetbv(struct cpu *c, const struct insn *i)
{
    uint64_t v = edx_eax(c);

    (void)i;
    check_osxsave(c);
    if ((uint32_t)c->s.gpr[RCX] || !xcr0_valid(c, v))
        x86_raise_gp0(c);
    c->s.xcr0 = v;
    x86_mode_changed(c);
}

static void check_pkru(struct cpu *c)
{
    if (!(c->s.cr4 & CR4_PKE))
        x86_raise(c, EXC_UD);
    if ((uint32_t)c->s.gpr[RCX])
        x86_raise_gp0(c);
}

void op_rdpkru(struct cpu *c, const struct insn *i)
{
    (void)i;
    check_pkru(c);
    gpr_write(c, RAX, 4, c->s.pkru);
    gpr_write(c, RDX, 4, 0);
}

void op_wrpkru(struct cpu *c, const struct insn *i)
{
    uint32_t v = (uint32_t)c->s.gpr[RAX];

    (void)i;
    check_pkru(c);
    if ((uint32_t)c->s.gpr[RDX])
        x86_raise_gp0(c);
    if (v == c->s.pkru)
        return;
    c->s.pkru = v;
    tlb_flush_all(c); /* entries have the rights worked in */
}

/*
 * KVM's hypercall, of which no call is offered. A guest takes the instruction
 * of its CPU's vendor, so that both are known.
 */
void op_vmcall(struct cpu *c, const struct insn *i)
{
    enum { KVM_EPERM = 1, KVM_ENOSYS = 1000 };

    (void)i;
    if (!c->model->kvm_leaves)
        x86_raise(c, EXC_UD);
    c->s.gpr[RAX] = -(uint64_t)(c->s.cpl ? KVM_EPERM : KVM_ENOSYS);
    if (!in_code64(c))
        c->s.gpr[RAX] = (uint32_t)c->s.gpr[RAX];
}

/* There is no system-management mode to return from. */
void op_rsm(struct cpu *c, const struct insn *i)
{
    (void)i;
    x86_raise(c, EXC_UD);
}
