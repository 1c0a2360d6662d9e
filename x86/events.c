/*
 * What reaches a CPU from outside between instructions, and debug traps of the
 * instruction before, in the order of SDM table 6-2.
 */
#include "lodge/host.h"
#include "x86/system.h"

static bool take(struct cpu *c, uint32_t event)
{
    return atomic_fetch_and(&c->vcpu->events, ~event) & event;
}

static uint32_t waiting(const struct cpu *c)
{
    uint32_t held = c->s.activity == CPU_RUNNING ? c->vcpu->debug.held : 0;

    return atomic_load_explicit(&c->vcpu->events, memory_order_acquire) & ~held;
}

static void start_up(struct cpu *c)
{
    uint8_t vector = atomic_load(&c->vcpu->sipi_vector);

    c->s.seg[CS].sel = (uint16_t)(vector << 8);
    c->s.seg[CS].base = (uint64_t)vector << 12;
    c->s.rip = 0;
    c->s.activity = CPU_RUNNING;
    x86_mode_changed(c);
}

/* INIT, SIPI, SMI and what the machine wants. */
static void take_outer(struct cpu *c, uint32_t events)
{
    if ((events & VCPU_FLUSH) && take(c, VCPU_FLUSH))
        tlb_flush_all(c);
    if ((events & VCPU_INIT) && take(c, VCPU_INIT))
        x86_reset(c, true);
    /* Only a CPU that waits for it takes it; else it is lost. */
    if ((events & VCPU_SIPI) && take(c, VCPU_SIPI) &&
        c->s.activity == CPU_WAIT_SIPI)
        start_up(c);
    if ((events & VCPU_SMI) && take(c, VCPU_SMI))
        host_log(LOG_DEBUG, "CPU %u: SMI ignored: no system-management mode",
                 c->vcpu->id);
}

static void take_debug_trap(struct cpu *c)
{
    gva_t linear = x86_fetch_address(c, c->s.rip);

    c->exc = (struct x86_exception){
        .vector = EXC_DB,
        .dr6 =
            c->s.pending_db |
            (c->s.rflags & FLAG_RF ? 0 : x86_code_breakpoints_at(c, linear))};
    c->s.pending_db = 0;
    x86_deliver(c);
}

/* The vector to deliver, or -1: it went away. */
static int acknowledge(struct cpu *c)
{
    struct vcpu *v = c->vcpu;
    int vector;

    if (!v->intc)
        return -1;
    host_mutex_lock(v->lock);
    vector = v->intc->ack(v->intc_ctx);
    host_mutex_unlock(v->lock);
    return vector;
}

static bool take_interrupt(struct cpu *c)
{
    int vector = acknowledge(c);

    if (vector < 0)
        return false;
    c->s.activity = CPU_RUNNING;
    x86_deliver_interrupt(c, (unsigned)vector, false);
    return true;
}

bool x86_take_events(struct cpu *c)
{
    take_outer(c, waiting(c));
    if (c->s.activity > CPU_HALTED)
        return false;
    if (c->s.movss_shadow)
        return c->s.activity == CPU_RUNNING;
    if (c->s.pending_db) {
        c->s.activity = CPU_RUNNING;
        take_debug_trap(c);
    }
    if ((waiting(c) & VCPU_NMI) && !c->s.nmi_blocked && take(c, VCPU_NMI)) {
        c->s.activity = CPU_RUNNING;
        x86_deliver_interrupt(c, EXC_NMI, true);
    }
    if ((waiting(c) & VCPU_INTR) && (c->s.rflags & FLAG_IF) && !c->s.sti_shadow)
        take_interrupt(c);
    return c->s.activity == CPU_RUNNING;
}
