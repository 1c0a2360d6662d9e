/* Counters for --stats: ours, and what the kernel counts of a vCPU. */
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/bits.h"
#include "engine/kvm/kvm.h"
#include "lodge/host.h"

static const char *const kinds[KVM_EX_COUNT] = {
    [KVM_EX_PORT] = "port",      [KVM_EX_MMIO] = "mmio",
    [KVM_EX_KICK] = "kick",      [KVM_EX_WINDOW] = "interrupt_window",
    [KVM_EX_EOI] = "ioapic_eoi", [KVM_EX_MSR] = "msr",
    [KVM_EX_HYPERV] = "hyperv",  [KVM_EX_OTHER] = "other",
};

/* All exits of the guest, also those that the kernel sees to alone. */
static const char *const kernel_counters[] = {
    "exits",
    "io_exits",
    "mmio_exits",
    "irq_exits",
    "halt_exits",
    "signal_exits",
    "pf_taken",
    "irq_injections",
    "irq_window_exits",
    "request_irq_exits",
    "insn_emulation",
    "hypercalls",
    "halt_poll_success_ns",
    "halt_wait_ns",
};

typedef void (*emit_fn)(void *ctx, const char *name, uint64_t value);

static void emit_kernel(const char *name, uint64_t v, emit_fn emit, void *ctx)
{
    char text[64];

    for (unsigned n = 0; n < ARRAY_LEN(kernel_counters); n++)
        if (!strcmp(name, kernel_counters[n])) {
            snprintf(text, sizeof text, "kernel_%s", name);
            emit(ctx, text, v);
        }
}

/* The file describes itself: a header, descriptors, values. */
static void read_kernel(int fd, emit_fn emit, void *ctx)
{
    enum { NAME_MOST = 128, DESCRIPTORS_MOST = 256 };
    struct kvm_stats_header h;

    if (fd < 0 || pread(fd, &h, sizeof h, 0) != sizeof h ||
        h.name_size > NAME_MOST || h.num_desc > DESCRIPTORS_MOST)
        return;
    for (uint32_t n = 0; n < h.num_desc; n++) {
        size_t size = sizeof(struct kvm_stats_desc) + h.name_size;
        union {
            struct kvm_stats_desc d;
            uint8_t bytes[sizeof(struct kvm_stats_desc) + NAME_MOST + 1];
        } u = {0};
        uint64_t value;

        if (pread(fd, &u, size, h.desc_offset + (off_t)(n * size)) !=
                (ssize_t)size ||
            pread(fd, &value, sizeof value,
                  (off_t)h.data_offset + u.d.offset) != sizeof value)
            return;
        emit_kernel(u.d.name, value, emit, ctx);
    }
}

void kvm_note_start(struct kvm_cpu *c)
{
    struct timespec t = {0};

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    c->start_ns = host_now() - c->vm->opened_at;
    c->start_cpu_ns = (uint64_t)t.tv_sec * NS_PER_SEC + (uint64_t)t.tv_nsec;
}

void kvm_stats(struct vcpu *v,
               void (*emit)(void *ctx, const char *name, uint64_t value),
               void *ctx)
{
    struct kvm_cpu *c = kvm_cpu_of(v);
    char name[64];

    for (unsigned n = 0; n < KVM_EX_COUNT; n++) {
        snprintf(name, sizeof name, "exits_%s", kinds[n]);
        emit(ctx, name, c->exits[n]);
        snprintf(name, sizeof name, "ns_%s", kinds[n]);
        emit(ctx, name, c->exit_ns[n]);
    }
    if (!v->id)
        emit(ctx, "late_stores", c->vm->late_stores);
    emit(ctx, "start_ns", c->start_ns);
    emit(ctx, "start_cpu_ns", c->start_cpu_ns);
    read_kernel(c->stats_fd, emit, ctx);
}
