/* What belongs nowhere else: random numbers, identification, time, nothing. */
#include "x86/cpuid.h"
#include "x86/flags.h"
#include "x86/msr.h"
#include "x86/operand.h"
#include "x86/ops/ops.h"
#include "x86/outside.h"

void op_nop(struct cpu *c, const struct insn *i)
{
    (void)c;
    (void)i;
}

/*
 * Loads and stores are as ordered as the host's; what a guest on TSO still
 * needs is that a load does not overtake an earlier store.
 */
void op_mfence(struct cpu *c, const struct insn *i)
{
    (void)c;
    (void)i;
    atomic_thread_fence(memory_order_seq_cst);
}

void op_lfence(struct cpu *c, const struct insn *i)
{
    (void)c;
    (void)i;
    atomic_thread_fence(memory_order_acquire);
}

void op_sfence(struct cpu *c, const struct insn *i)
{
    (void)c;
    (void)i;
    atomic_thread_fence(memory_order_release);
}

void op_ud(struct cpu *c, const struct insn *i)
{
    (void)i;
    x86_raise(c, EXC_UD);
}

/* The host never runs out of entropy: CF is always set. */
static void random_number(struct cpu *c, const struct insn *i)
{
    op_write(c, i, 0, x86_outside_read(c, OUTSIDE_RANDOM, 0, 8));
    flags_set_status(c, FLAG_CF);
}

void op_rdrand(struct cpu *c, const struct insn *i)
{
    random_number(c, i);
}

void op_rdseed(struct cpu *c, const struct insn *i)
{
    random_number(c, i);
}

void op_rdpid(struct cpu *c, const struct insn *i)
{
    op_write(c, i, 0, c->s.tsc_aux);
}

void op_cpuid(struct cpu *c, const struct insn *i)
{
    uint64_t *r = c->s.gpr;
    struct cpuid_result v =
        x86_cpuid(c->model, (uint32_t)r[RAX], (uint32_t)r[RCX], c->vcpu->id,
                  c->s.cr4, c->s.xcr0);

    (void)i;
    r[RAX] = v.eax;
    r[RBX] = v.ebx;
    r[RCX] = v.ecx;
    r[RDX] = v.edx;
}

static void read_tsc(struct cpu *c)
{
    uint64_t t;

    if ((c->s.cr4 & CR4_TSD) && c->s.cpl)
        x86_raise_gp0(c);
    t = x86_tsc(c);
    c->s.gpr[RAX] = (uint32_t)t;
    c->s.gpr[RDX] = t >> 32;
}

void op_rdtsc(struct cpu *c, const struct insn *i)
{
    (void)i;
    read_tsc(c);
}

void op_rdtscp(struct cpu *c, const struct insn *i)
{
    (void)i;
    read_tsc(c);
    c->s.gpr[RCX] = (uint32_t)c->s.tsc_aux;
}

/* No model has performance counters, so no index is valid. */
void op_rdpmc(struct cpu *c, const struct insn *i)
{
    (void)i;
    x86_raise_gp0(c);
}

void op_rdmsr(struct cpu *c, const struct insn *i)
{
    uint64_t v = 0;

    (void)i;
    if (!x86_msr_read(c, (uint32_t)c->s.gpr[RCX], &v))
        x86_raise_gp0(c);
    c->s.gpr[RAX] = (uint32_t)v;
    c->s.gpr[RDX] = v >> 32;
}

void op_wrmsr(struct cpu *c, const struct insn *i)
{
    uint64_t v = c->s.gpr[RDX] << 32 | (uint32_t)c->s.gpr[RAX];

    (void)i;
    if (!x86_msr_write(c, (uint32_t)c->s.gpr[RCX], v))
        x86_raise_gp0(c);
}

/* Signed index against the two bounds in memory. */
void op_bound(struct cpu *c, const struct insn *i)
{
    unsigned n = i->opnd[0].size;
    gva_t a = op_address(c, i, 2 * n, false);
    int64_t v = sign_extend(op_read(c, i, 0), 8 * n);

    /* The upper bound is read when the lower one holds. */
    if (v < sign_extend(mem_read(c, a, n), 8 * n) ||
        v > sign_extend(mem_read(c, a + n, n), 8 * n))
        x86_raise(c, EXC_BR);
}
