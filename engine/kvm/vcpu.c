/* vCPUs: the loop around KVM_RUN, and how one is got out of it. */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "engine/kvm/kvm.h"
#include "lodge/host.h"

static int open_parts(struct kvm_cpu *c, struct err *e)
{
    void *run;
    int rc;

    c->fd = kvm_do_value(c->vm->fd, KVM_CREATE_VCPU, c->v->id);
    if (c->fd < 0)
        return err_set(e, LE_IO, "/dev/kvm makes no CPU %u: %s", c->v->id,
                       strerror(errno));
    run = mmap(NULL, (size_t)c->vm->host.run_size, PROT_READ | PROT_WRITE,
               MAP_SHARED, c->fd, 0);
    if (run == MAP_FAILED)
        return err_set(e, LE_NOMEM, "CPU %u of /dev/kvm: %s", c->v->id,
                       strerror(errno));
    c->run = run;
    if (!c->v->id && c->vm->host.late_page > 0)
        c->vm->late = (void *)((uint8_t *)run +
                               (size_t)c->vm->host.late_page * PAGE_SIZE);
    rc = kvm_set_cpuid(c, e);
    if (!rc && c->v->model->hyperv)
        rc = kvm_hyperv_open(c, e);
    if (!rc && c->vm->host.stats)
        c->stats_fd = kvm_do_value(c->fd, KVM_GET_STATS_FD, 0);
    return rc;
}

int kvm_vcpu_open(struct vcpu *v, struct err *e)
{
    struct kvm_cpu *c = host_alloc(sizeof *c);
    int rc;

    if (!c)
        return err_set(e, LE_NOMEM, "no memory for vCPU %u", v->id);
    c->v = v;
    c->vm = kvm_vm_of(v->vm);
    c->fd = c->stats_fd = -1;
    v->priv = c;
    rc = open_parts(c, e);
    if (rc)
        kvm_vcpu_close(v);
    return rc;
}

void kvm_vcpu_close(struct vcpu *v)
{
    struct kvm_cpu *c = kvm_cpu_of(v);

    if (!v->id)
        c->vm->late = NULL;
    if (c->run)
        munmap(c->run, (size_t)c->vm->host.run_size);
    if (c->stats_fd >= 0)
        close(c->stats_fd);
    if (c->fd >= 0)
        close(c->fd);
    host_free(c);
    v->priv = NULL;
}

/* The kernel reads the byte when KVM_RUN begins, whoever wrote it. */
static void set_immediate_exit(struct kvm_cpu *c, bool on)
{
    __atomic_store_n(&c->run->immediate_exit, on, __ATOMIC_SEQ_CST);
}

/*
 * The byte first: a vCPU that is not in KVM_RUN yet comes straight out of it.
 * One that is there gets a signal.
 */
void kvm_kick(struct vcpu *v)
{
    struct kvm_cpu *c = kvm_cpu_of(v);
    int thread;

    set_immediate_exit(c, true);
    thread = atomic_load(&c->thread);
    if (thread)
        syscall(SYS_tgkill, getpid(), thread, c->vm->signal);
}

static void admit_signal(struct kvm_cpu *c)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, c->vm->signal);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

/* What waits and is not a kick. KVM sees to INIT and SIPI itself. */
static void take_events(struct kvm_cpu *c, uint32_t events)
{
    const uint32_t ours =
        VCPU_FLUSH | VCPU_PRIV | VCPU_INIT | VCPU_SIPI | VCPU_SMI;

    if (events & ours)
        vcpu_lower(c->v, events & ours);
    if (events & VCPU_NMI) {
        vcpu_lower(c->v, VCPU_NMI);
        kvm_give_nmi(c);
    }
    c->run->request_interrupt_window = 0;
    if (events & VCPU_INTR)
        kvm_give_interrupt(c);
}

/* 0: an exit to see to; else errno of KVM_RUN. */
static int enter(struct kvm_cpu *c, int thread)
{
    int rc, error;

    c->map_generation = atomic_load(&c->vm->map_generation);
    atomic_store(&c->thread, thread);
    rc = ioctl(c->fd, KVM_RUN, 0);
    error = rc < 0 ? errno : 0;
    atomic_store(&c->thread, 0);
    c->unfinished = c->injected = false;
    return error;
}

enum stop kvm_run(struct vcpu *v)
{
    struct kvm_cpu *c = kvm_cpu_of(v);
    int thread = (int)syscall(SYS_gettid);
    enum stop stop;

    admit_signal(c);
    if (!c->start_ns)
        kvm_note_start(c);
    for (;;) {
        /* KVM forgets the step of an instruction that came out for a device:
           with the access finished it is done. */
        bool stepped = v->debug.step && c->unfinished;
        uint32_t events;
        int error;

        set_immediate_exit(c, false);
        events = atomic_load(&v->events) & ~c->held;
        if ((events & VCPU_KICK) || stepped) {
            if (!c->unfinished)
                return STOP_KICK;
            set_immediate_exit(c, true);
        } else if (events || c->run->request_interrupt_window) {
            take_events(c, events);
        }
        error = enter(c, thread);
        kvm_settle_all(c->vm);
        if (error == EINTR && stepped)
            return kvm_stepped(c);
        if (error == EINTR)
            c->exits[KVM_EX_KICK]++;
        else if (error && error != EAGAIN)
            return kvm_fault(c, "CPU %u: the host's KVM fails: %s", v->id,
                             strerror(error));
        else if (!error && kvm_exit(c, &stop))
            return stop;
    }
}
