/* What stops a vCPU and is not the kernel's to see to. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/endian.h"
#include "engine/kvm/kvm.h"
#include "lodge/host.h"

enum stop kvm_fault(struct kvm_cpu *c, const char *format, ...)
{
    char text[400];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    err_set(&c->v->fault, LE_IO, "%s", text);
    return STOP_FAULT;
}

/* The largest of 8, 4, 2, 1 bytes that n has. */
static unsigned piece(unsigned n)
{
    unsigned size = 8;

    while (size > n)
        size /= 2;
    return size;
}

static void move(struct space *s, gpa_t a, uint8_t *data, unsigned n,
                 bool write)
{
    for (unsigned at = 0, size; at < n; at += size) {
        size = piece(n - at);
        if (write)
            space_write(s, a + at, load_le(data + at, size), size);
        else
            store_le(data + at, space_read(s, a + at, size), size);
    }
}

static void mmio(struct kvm_cpu *c)
{
    struct kvm_run *r = c->run;

    move(c->v->mem, r->mmio.phys_addr, r->mmio.data,
         MIN(r->mmio.len, sizeof r->mmio.data), r->mmio.is_write);
    c->unfinished = true;
}

static void port(struct kvm_cpu *c)
{
    struct kvm_run *r = c->run;
    uint8_t *data = (uint8_t *)r + r->io.data_offset;

    for (uint32_t n = 0; n < r->io.count; n++, data += r->io.size)
        move(c->v->io, r->io.port, data, r->io.size,
             r->io.direction == KVM_EXIT_IO_OUT);
    c->unfinished = true;
}

static void end_of_interrupt(struct kvm_cpu *c)
{
    const struct intc_cpu_ops *intc = c->v->intc;

    if (!intc || !intc->eoi)
        return;
    host_mutex_lock(c->v->lock);
    intc->eoi(c->v->intc_ctx, c->run->eoi.vector);
    host_mutex_unlock(c->v->lock);
}

/* Calls of a guest for Hyper-V that KVM leaves to us: there are none that we
   know; the synthetic controller's changes need nothing. */
static void hyperv(struct kvm_cpu *c)
{
    enum { INVALID_CODE = 2 };

    if (c->run->hyperv.type == KVM_EXIT_HYPERV_HCALL)
        c->run->hyperv.u.hcall.result = INVALID_CODE;
    c->unfinished = true;
}

/*
 * KVM meets code outside of memory when another CPU is just moving that
 * memory: it is there again the next time.
 */
static bool memory_moved(const struct kvm_cpu *c)
{
    return atomic_load(&c->vm->map_generation) != c->map_generation;
}

/*
 * Code where there is no memory reads as all ones, which is #UD; KVM cannot
 * say so itself. False: it failed at something else.
 */
static bool raise_ud_outside(struct kvm_cpu *c)
{
    enum { EXC_UD = 6 };
    struct kvm_translation at = {0};
    struct kvm_sregs sregs;
    struct kvm_regs regs;
    struct window w;

    if (c->run->internal.suberror != KVM_INTERNAL_ERROR_EMULATION ||
        kvm_do(c->fd, KVM_GET_REGS, &regs) < 0 ||
        kvm_do(c->fd, KVM_GET_SREGS, &sregs) < 0)
        return false;
    at.linear_address = sregs.cs.base + regs.rip;
    if (kvm_do(c->fd, KVM_TRANSLATE, &at) < 0 || !at.valid ||
        space_window(c->v->mem, at.physical_address, &w))
        return false;
    return kvm_raise(c, EXC_UD);
}

static enum stop internal_error(struct kvm_cpu *c)
{
    struct kvm_regs regs = {0};
    struct kvm_sregs sregs = {0};

    kvm_do(c->fd, KVM_GET_REGS, &regs);
    kvm_do(c->fd, KVM_GET_SREGS, &sregs);
    if (c->run->internal.suberror == KVM_INTERNAL_ERROR_EMULATION)
        return kvm_fault(c,
                         "CPU %u: the host's KVM cannot run the instruction "
                         "at %04x:%llx; --engine jit can",
                         c->v->id, sregs.cs.selector,
                         (unsigned long long)regs.rip);
    return kvm_fault(c,
                     "CPU %u: the host's KVM fails at %04x:%llx (internal "
                     "error %u); try --engine jit",
                     c->v->id, sregs.cs.selector, (unsigned long long)regs.rip,
                     c->run->internal.suberror);
}

static enum stop entry_failed(struct kvm_cpu *c)
{
    return kvm_fault(
        c,
        "CPU %u: the host's CPU does not enter the guest (reason "
        "0x%llx); try --engine jit",
        c->v->id,
        (unsigned long long)c->run->fail_entry.hardware_entry_failure_reason);
}

/* A kind of exit that the loop goes on after. */
static bool serve(struct kvm_cpu *c, enum kvm_exit_kind *kind)
{
    switch (c->run->exit_reason) {
    case KVM_EXIT_IO:
        *kind = KVM_EX_PORT;
        port(c);
        return true;
    case KVM_EXIT_MMIO:
        *kind = KVM_EX_MMIO;
        mmio(c);
        return true;
    case KVM_EXIT_IRQ_WINDOW_OPEN: *kind = KVM_EX_WINDOW; return true;
    case KVM_EXIT_IOAPIC_EOI:
        *kind = KVM_EX_EOI;
        end_of_interrupt(c);
        return true;
    case KVM_EXIT_X86_RDMSR:
    case KVM_EXIT_X86_WRMSR:
        *kind = KVM_EX_MSR;
        kvm_msr_exit(c);
        return true;
    case KVM_EXIT_HYPERV:
        *kind = KVM_EX_HYPERV;
        hyperv(c);
        return true;
    case KVM_EXIT_INTR: *kind = KVM_EX_KICK; return true;
    case KVM_EXIT_DEBUG: *kind = KVM_EX_OTHER; return kvm_debug_exit(c);
    case KVM_EXIT_INTERNAL_ERROR:
        *kind = KVM_EX_OTHER;
        return memory_moved(c) || raise_ud_outside(c);
    default: *kind = KVM_EX_OTHER; return false;
    }
}

bool kvm_exit(struct kvm_cpu *c, enum stop *stop)
{
    uint64_t from = host_now();
    enum kvm_exit_kind kind;
    bool served = serve(c, &kind);

    c->exits[kind]++;
    c->exit_ns[kind] += host_now() - from;
    if (served)
        return false;
    switch (c->run->exit_reason) {
    case KVM_EXIT_HLT: *stop = STOP_HALT; break;
    case KVM_EXIT_SHUTDOWN: *stop = STOP_SHUTDOWN; break;
    case KVM_EXIT_DEBUG: *stop = STOP_DEBUG; break;
    case KVM_EXIT_INTERNAL_ERROR: *stop = internal_error(c); break;
    case KVM_EXIT_FAIL_ENTRY: *stop = entry_failed(c); break;
    default:
        *stop = kvm_fault(c,
                          "CPU %u: the host's KVM stops for reason %u, "
                          "which Lodge does not know",
                          c->v->id, c->run->exit_reason);
    }
    return true;
}
