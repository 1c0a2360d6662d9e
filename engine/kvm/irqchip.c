/*
 * Interrupts. The local APICs with their timers are the kernel's ("split
 * irqchip"): what guests of today do all the time, timers, IPIs, EOIs and
 * MSIs, costs no exit to us. 8259s, IOAPIC, 8254 and HPET stay the machine's
 * own models, so their state, and what is saved of it, is the same under every
 * engine; unless they are asked to be the kernel's, too (chips.c).
 *
 * An EOI must come out to the IOAPIC when its vector is level-triggered. KVM
 * knows which are from a routing table; each message of that kind is put there
 * the first time it is seen, before it is sent.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "base/endian.h"
#include "engine/kvm/kvm.h"
#include "lodge/host.h"

enum { R_ISR = 0x10, R_IRR = 0x20, R_LINT1 = 0x36 };
enum { MSR_BASE = 0x1b, MSR_DEADLINE = 0x6e0 };
enum { DATA_LEVEL = 1 << 15, LVT_MASKED = 1 << 16, MODE_NMI = 4 };

static int split_open(struct kvm_vm *k, struct err *e)
{
    struct kvm_enable_cap cap = {.cap = KVM_CAP_SPLIT_IRQCHIP,
                                 .args = {KVM_LEVEL_ROUTES}};

    if (kvm_do(k->fd, KVM_ENABLE_CAP, &cap) < 0)
        return err_set(e, LE_UNSUPPORTED,
                       "the host's KVM gives no local APICs: %s",
                       strerror(errno));
    return kvm_routes_open(k, false, e);
}

int kvm_irqchip_open(struct kvm_vm *k, struct err *e)
{
    return vm_tuning(k->vm)->chips ? kvm_chips_open(k, e) : split_open(k, e);
}

/* --- registers in and out --- */

/*
 * KVM may have taken a vector from the APIC and not brought it to the guest
 * yet. Where that is not kept it must be pending again. (In the kernel it stays
 * as it is: this is a copy.)
 */
static void give_back(struct kvm_cpu *c, struct apic_regs *r)
{
    struct kvm_vcpu_events ev;
    unsigned n;

    if (kvm_do(c->fd, KVM_GET_VCPU_EVENTS, &ev) < 0 || !ev.interrupt.injected ||
        ev.interrupt.soft)
        return;
    n = ev.interrupt.nr / 32;
    if (!(r->reg[R_ISR + n] >> ev.interrupt.nr % 32 & 1))
        return; /* the 8259s' */
    r->reg[R_ISR + n] &= ~(1u << ev.interrupt.nr % 32);
    r->reg[R_IRR + n] |= 1u << ev.interrupt.nr % 32;
}

static int get_apic(struct vcpu *v, struct apic_regs *r)
{
    struct kvm_cpu *c = kvm_cpu_of(v);
    struct kvm_lapic_state s;

    *r = (struct apic_regs){0};
    if (kvm_do(c->fd, KVM_GET_LAPIC, &s) < 0 ||
        kvm_get_msr(c, MSR_BASE, &r->apic_base))
        return -LE_IO;
    for (unsigned n = 0; n < APIC_REGS; n++)
        r->reg[n] = load_le32(s.regs + 16 * n);
    give_back(c, r);
    if (c->vm->host.tsc_deadline)
        kvm_get_msr(c, MSR_DEADLINE, &r->tsc_deadline);
    return 0;
}

static int get_settled(struct vcpu *v, struct apic_regs *r)
{
    kvm_routes_settle(kvm_vm_of(v->vm));
    return get_apic(v, r);
}

/* The mode first, as it says what the registers mean. Resetting goes by way
   of the APIC switched off: x2APIC mode has no other way back. */
static int set_base(struct kvm_cpu *c, uint64_t base)
{
    enum { EXTD = 1 << 10, EN = 1 << 11 };

    if (!(base & EXTD) && kvm_set_msr(c, MSR_BASE, base & ~(uint64_t)EN))
        return -LE_IO;
    return kvm_set_msr(c, MSR_BASE, base);
}

static int set_apic(struct vcpu *v, const struct apic_regs *r)
{
    struct kvm_cpu *c = kvm_cpu_of(v);
    struct kvm_lapic_state s;

    memset(&s, 0, sizeof s);
    for (unsigned n = 0; n < APIC_REGS; n++)
        store_le32((uint8_t *)s.regs + 16 * n, r->reg[n]);
    if (set_base(c, r->apic_base) || kvm_do(c->fd, KVM_SET_LAPIC, &s) < 0)
        return -LE_IO;
    if (c->vm->host.tsc_deadline)
        kvm_set_msr(c, MSR_DEADLINE, r->tsc_deadline);
    return 0;
}

/* --- messages --- */

static void message(struct vm *vm, uint64_t address, uint32_t data)
{
    struct kvm_vm *k = kvm_vm_of(vm);
    struct kvm_msi m = {.address_lo = (uint32_t)address,
                        .address_hi = (uint32_t)(address >> 32),
                        .data = data};

    if ((data & DATA_LEVEL) && !vm_tuning(vm)->chips)
        kvm_learn_level(k, address, data);
    kvm_do(k->fd, KVM_SIGNAL_MSI, &m); /* to nobody is no error of ours */
}

const struct irqchip_ops kvm_irqchip = {get_settled, set_apic, message,
                                        &kvm_msi_routes, &kvm_chips};

/* --- the pins --- */

/* The vector of an ExtINT is asked of the 8259s when the CPU can take it, as
   it would be by an INTA cycle. */
void kvm_give_interrupt(struct kvm_cpu *c)
{
    const struct intc_cpu_ops *intc = c->v->intc;
    struct kvm_interrupt irq;
    int vector;

    if (!c->injected && c->run->ready_for_interrupt_injection && intc) {
        host_mutex_lock(c->v->lock);
        vector = intc->ack(c->v->intc_ctx);
        host_mutex_unlock(c->v->lock);
        irq.irq = (uint32_t)vector;
        if (vector >= 0 && kvm_do(c->fd, KVM_INTERRUPT, &irq) == 0)
            c->injected = true;
        if (!(atomic_load(&c->v->events) & VCPU_INTR))
            return;
    }
    c->run->request_interrupt_window = 1;
}

/* As far as LINT1 lets it through. */
void kvm_give_nmi(struct kvm_cpu *c)
{
    struct apic_regs r;
    uint32_t lvt;

    if (get_apic(c->v, &r))
        return;
    lvt = r.reg[R_LINT1];
    if (!(lvt & LVT_MASKED) && bits(lvt, 10, 8) == MODE_NMI)
        kvm_do_value(c->fd, KVM_NMI, 0);
}
