/*
 * HLT, MONITOR and MWAIT. SDM volume 2; volume 3, 9.10.
 *
 * Stores by other CPUs and devices go straight to RAM, so nothing tells MWAIT
 * of one. It compares the line with what MONITOR saw, sleeping longer and
 * longer between looks; an event wakes it at once. It never sleeps past
 * MWAIT_LONGEST: then it returns as if for no reason, which the manual allows
 * and software must expect, so that even a store of the value that was there
 * is not waited on for ever.
 */
#include "base/libc.h"
#include "lodge/host.h"
#include "x86/operand.h"
#include "x86/ops/ops.h"
#include "x86/outside.h"
#include "x86/system.h"

#define MWAIT_FIRST   20000ull           /* ns */
#define MWAIT_PAUSE   (NS_PER_SEC / 250) /* 4 ms, between looks at most */
#define MWAIT_LONGEST (NS_PER_SEC / 2)

void op_hlt(struct cpu *c, const struct insn *i)
{
    (void)i;
    if (c->s.rflags & FLAG_TF)
        return; /* the trap would end it at once */
    c->s.activity = CPU_HALTED;
    c->s.sti_shadow = c->s.movss_shadow = false;
    x86_unwind(c, UNWIND_HALT);
}

static void read_line(struct cpu *c, uint64_t line[8])
{
    for (unsigned n = 0; n < 8; n++)
        line[n] =
            x86_outside_read(c, OUTSIDE_DEVICE, c->monitor.address + 8 * n, 8);
}

void op_monitor(struct cpu *c, const struct insn *i)
{
    gva_t a;
    gpa_t at;

    if ((uint32_t)c->s.gpr[RCX])
        x86_raise_gp0(c);
    a = x86_linear(c, i->seg, c->s.gpr[RAX] & mask_low(8 * i->asize), 1, false);
    mem_probe(c, a, 1, false);
    if (!mem_translate_debug(c, a, &at))
        return;
    c->monitor.address = at & ~63ull;
    c->monitor.armed = true;
    read_line(c, c->monitor.line);
}

static bool line_changed(struct cpu *c)
{
    uint64_t now[8];

    read_line(c, now);
    return memcmp(now, c->monitor.line, sizeof(now)) != 0;
}

/* Is there anything that ends the wait, or that the engine must see to? */
static bool must_wake(const struct cpu *c, bool masked_too)
{
    uint32_t e = atomic_load(&c->vcpu->events);

    if (!(c->s.rflags & FLAG_IF) && !masked_too)
        e &= ~(uint32_t)VCPU_INTR;
    if (c->s.nmi_blocked)
        e &= ~(uint32_t)VCPU_NMI;
    return e != 0;
}

void op_mwait(struct cpu *c, const struct insn *i)
{
    bool masked_too = c->s.gpr[RCX] & 1;
    uint64_t pause = MWAIT_FIRST, end;

    (void)i;
    if ((uint32_t)c->s.gpr[RCX] & ~1u)
        x86_raise_gp0(c);
    if (!c->monitor.armed)
        return;
    c->monitor.armed = false;
    if (c->outside)
        return; /* it may wake for any reason, and must not sleep */
    end = host_now() + MWAIT_LONGEST;
    while (!must_wake(c, masked_too) && !line_changed(c) && host_now() < end) {
        host_event_wait(&c->vcpu->wake, host_now() + pause);
        pause = MIN(pause * 2, MWAIT_PAUSE);
    }
}

/*
 * Who has waited in a loop for so long may well wait for a vCPU that waits for
 * this very core.
 */
enum { PAUSES = 64 };

void op_pause(struct cpu *c, const struct insn *i)
{
    (void)i;
    if (++c->pauses % PAUSES == 0)
        host_yield();
}
