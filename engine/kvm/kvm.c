/* The engine's table; opening and closing it. */
#include "engine/kvm/kvm.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "lodge/host.h"

/* Does nothing: that it comes ends KVM_RUN. */
static void on_kick(int signal UNUSED)
{
}

/* All VMs of a process share the signal; its handler is the same for all. */
static int take_signal(struct kvm_vm *k, struct err *e)
{
    struct sigaction act = {.sa_handler = on_kick, .sa_flags = SA_RESTART};

    k->signal = SIGRTMIN + 6;
    sigemptyset(&act.sa_mask);
    if (sigaction(k->signal, &act, NULL))
        return err_set(e, LE_IO, "signal %d cannot be handled: %s", k->signal,
                       strerror(errno));
    return 0;
}

static int create_vm(struct kvm_vm *k, struct err *e)
{
    enum { TSS = 0xfffbd000, IDENTITY_MAP = 0xfffbc000 };
    uint64_t identity = IDENTITY_MAP;

    k->fd = kvm_do_value(k->host.fd, KVM_CREATE_VM, 0);
    if (k->fd < 0)
        return err_set(e, LE_IO, "/dev/kvm makes no virtual machine: %s",
                       strerror(errno));
    /* Four pages that Intel CPUs of old want for real mode, where the PC has
       nothing; AMD's do without, so an error means nothing. */
    kvm_do(k->fd, KVM_SET_IDENTITY_MAP_ADDR, &identity);
    kvm_do_value(k->fd, KVM_SET_TSS_ADDR, TSS);
    return 0;
}

static void kvm_close(struct vm *vm)
{
    struct kvm_vm *k = kvm_vm_of(vm);

    kvm_doorbells_close(k);
    kvm_routes_close(k);
    kvm_memory_close(k);
    if (k->fd >= 0)
        close(k->fd);
    kvm_host_close(&k->host);
    host_mutex_destroy(&k->lock);
    host_free(k);
    vm_set_engine_priv(vm, NULL);
}

static int kvm_open(struct vm *vm, struct err *e)
{
    struct kvm_vm *k = host_alloc(sizeof *k);
    int rc;

    if (!k)
        return err_set(e, LE_NOMEM, "no memory for the kvm engine");
    k->vm = vm;
    k->opened_at = host_now();
    k->fd = k->host.fd = -1;
    host_mutex_init(&k->lock);
    vm_set_engine_priv(vm, k);
    rc = kvm_host_open(&k->host, e);
    if (!rc)
        rc = take_signal(k, e);
    if (!rc)
        rc = create_vm(k, e);
    if (!rc)
        rc = kvm_memory_open(k, e);
    if (!rc) /* before there are chips, whose coming it would wait for */
        rc = kvm_msr_open(k, e);
    if (!rc)
        rc = kvm_irqchip_open(k, e);
    if (rc)
        kvm_close(vm);
    return rc;
}

const struct engine_ops engine_kvm = {
    .name = "kvm",
    .summary = "the host's hardware virtualization, through /dev/kvm",
    .native = true,
    .probe = kvm_probe,
    .host_cpu = kvm_host_cpu,
    .open = kvm_open,
    .close = kvm_close,
    .map = kvm_map,
    .unmap = kvm_unmap,
    .wrote = kvm_wrote,
    .dirty = kvm_dirty,
    .bells = kvm_bells,
    .settle = kvm_settle,
    .irqchip = &kvm_irqchip,
    .vcpu_open = kvm_vcpu_open,
    .vcpu_close = kvm_vcpu_close,
    .run = kvm_run,
    .kick = kvm_kick,
    .stats = kvm_stats,
    .get = kvm_get,
    .set = kvm_set,
    .debug = kvm_debug,
    .debug_check = kvm_debug_check,
};
