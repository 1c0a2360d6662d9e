/*
 * Start, pause, reset, end.
 *
 * A vCPU thread passes a checkpoint between two run()s. While there is a hold
 * it parks there; the last one to park posts settle() to the I/O loop, which
 * pauses the devices, waits until they are idle, and then the VM is quiet. A
 * reset is a hold whose work settle() does itself: so a guest can ask for it
 * on any thread, and nobody has to wait for it.
 */
#include "base/libc.h"
#include "vm/internal.h"

enum { DRAIN_NS = 200000 }; /* between looks at busy devices */

/* --- holds --- */

/* run_lock held */
static bool all_parked(const struct vm *vm)
{
    return vm->threads && vm->parked == vm->threads;
}

bool vm_checkpoint(struct vm *vm, struct cpu_thread *t)
{
    bool go, last;

    /* Before the look at holds: a kick that comes later stays. */
    if (atomic_load(&t->vcpu.events) & VCPU_KICK)
        vcpu_lower(&t->vcpu, VCPU_KICK);
    if (!atomic_load(&vm->holds))
        return true;
    host_mutex_lock(&vm->run_lock);
    while (atomic_load(&vm->holds) && !vm->stop_threads) {
        t->parked = true;
        vm->parked++;
        last = all_parked(vm);
        while (t->parked) {
            host_mutex_unlock(&vm->run_lock);
            if (last)
                loop_post(vm->loop, &vm->settle_work);
            last = false;
            host_event_wait(&t->go, UINT64_MAX);
            host_mutex_lock(&vm->run_lock);
        }
    }
    go = !vm->stop_threads;
    host_mutex_unlock(&vm->run_lock);
    return go;
}

/* run_lock held; request_settle() follows without it. */
static void hold(struct vm *vm)
{
    atomic_fetch_add(&vm->holds, 1);
    vm->quiet = vm->quiet && !vm->reset_wanted;
}

/* After a new hold: vCPUs are to come, or settle() to look again. */
static void request_settle(struct vm *vm)
{
    bool parked;

    host_mutex_lock(&vm->run_lock);
    parked = all_parked(vm);
    host_mutex_unlock(&vm->run_lock);
    if (parked)
        loop_post(vm->loop, &vm->settle_work);
    else
        vcpus_raise_all(vm, VCPU_KICK);
}

/* Machine lock held, the VM quiet or about to be. */
static void release(struct vm *vm)
{
    bool run;

    host_mutex_lock(&vm->run_lock);
    run = atomic_load(&vm->holds) == 1;
    if (run) /* who adds a hold from here on waits for settle() again */
        vm->quiet = false;
    host_mutex_unlock(&vm->run_lock);
    if (run && vm->devices_paused) {
        vm->devices_paused = false;
        devices_resume(vm);
    }
    host_mutex_lock(&vm->run_lock);
    if (atomic_fetch_sub(&vm->holds, 1) == 1) {
        vm->parked = 0;
        for (unsigned i = 0; i < vm->threads; i++) {
            vm->cpus[i].parked = false;
            host_event_signal(&vm->cpus[i].go);
        }
    }
    host_mutex_unlock(&vm->run_lock);
}

/* --- reset --- */

/* Machine lock held, no vCPU running, devices idle. */
static int power_on(struct vm *vm, struct err *e)
{
    for (unsigned i = 0; i < vm->config.ncpus; i++) {
        atomic_store(&vm->cpus[i].vcpu.events, 0);
        atomic_store(&vm->cpus[i].vcpu.a20_mask, ~0ull);
    }
    devices_reset(vm);
    return vcpus_boot(vm, e);
}

static void do_reset(struct vm *vm)
{
    struct err e = {0};

    host_log(LOG_INFO, "reset");
    if (power_on(vm, &e))
        vm_fail(vm, &e);
    host_mutex_lock(&vm->run_lock);
    vm->reset_wanted = false;
    host_mutex_unlock(&vm->run_lock);
    release(vm);
}

/* On the loop, machine lock held: vCPUs are parked, or there is a request. */
static void settle(void *ctx)
{
    struct vm *vm = ctx;
    bool parked, reset, held;

    host_mutex_lock(&vm->run_lock);
    parked = all_parked(vm);
    reset = vm->reset_wanted;
    host_mutex_unlock(&vm->run_lock);
    if (!parked)
        return;
    if (!vm->devices_paused) {
        vm->devices_paused = true;
        devices_pause(vm);
    }
    if (devices_busy(vm)) {
        timer_arm(&vm->drain, host_now() + DRAIN_NS);
        return;
    }
    if (reset)
        do_reset(vm);
    host_mutex_lock(&vm->run_lock);
    held = atomic_load(&vm->holds) && all_parked(vm) && !vm->reset_wanted;
    if (held)
        vm->quiet = true;
    host_mutex_unlock(&vm->run_lock);
    if (held)
        host_event_signal(&vm->settled);
}

void vm_request_reset(struct vm *vm)
{
    bool hurry = false;

    if (vm->config.no_reboot) {
        vm_end(vm, VM_END_RESET, 0, "");
        return;
    }
    host_mutex_lock(&vm->run_lock);
    if (vm->started && !vm->ended && !vm->reset_wanted) {
        vm->reset_wanted = hurry = true;
        hold(vm);
    }
    host_mutex_unlock(&vm->run_lock);
    if (hurry)
        request_settle(vm);
}

/* --- end --- */

void vm_end(struct vm *vm, enum vm_end end, uint32_t value, const char *text)
{
    bool first;

    host_mutex_lock(&vm->run_lock);
    first = !vm->ended;
    if (first) {
        vm->ended = true;
        vm->outcome = (struct vm_outcome){.end = end, .value = value};
        snprintf(vm->outcome.text, sizeof vm->outcome.text, "%s", text);
        hold(vm);
    }
    host_mutex_unlock(&vm->run_lock);
    if (!first)
        return;
    request_settle(vm);
    host_event_signal(&vm->end_event);
}

void vm_fail(struct vm *vm, const struct err *e)
{
    vm_end(vm, VM_END_FAILED, 0, e->text);
}

void vm_stop(struct vm *vm)
{
    vm_end(vm, VM_END_STOPPED, 0, "");
}

/* control held: one waiter at a time. */
static void wait_settled(struct vm *vm)
{
    for (;;) {
        bool quiet;

        host_mutex_lock(&vm->run_lock);
        quiet = vm->quiet || !vm->threads;
        host_mutex_unlock(&vm->run_lock);
        if (quiet)
            return;
        host_event_wait(&vm->settled, UINT64_MAX);
    }
}

void vm_wait_quiet(struct vm *vm)
{
    host_mutex_lock(&vm->control);
    wait_settled(vm);
    host_mutex_unlock(&vm->control);
}

void vm_wait(struct vm *vm, uint64_t timeout, struct vm_outcome *out)
{
    uint64_t deadline = UINT64_MAX, now = host_now();

    if (timeout < UINT64_MAX - now)
        deadline = now + timeout;
    if (!host_event_wait(&vm->end_event, deadline))
        vm_end(vm, VM_END_TIMEOUT, 0, "");
    vm_wait_quiet(vm);
    host_mutex_lock(&vm->run_lock);
    *out = vm->outcome;
    host_mutex_unlock(&vm->run_lock);
    host_event_signal(&vm->end_event); /* for who asks again */
}

/* --- pause --- */

void vm_pause(struct vm *vm)
{
    host_mutex_lock(&vm->control);
    host_mutex_lock(&vm->run_lock);
    hold(vm);
    host_mutex_unlock(&vm->run_lock);
    request_settle(vm);
    wait_settled(vm);
    host_mutex_unlock(&vm->control);
}

void vm_resume(struct vm *vm)
{
    host_mutex_lock(&vm->control);
    host_mutex_lock(&vm->lock);
    release(vm);
    host_mutex_unlock(&vm->lock);
    host_mutex_unlock(&vm->control);
}

bool vm_is_running(struct vm *vm)
{
    bool running;

    host_mutex_lock(&vm->run_lock);
    running = vm->started && !vm->ended && !atomic_load(&vm->holds);
    host_mutex_unlock(&vm->run_lock);
    return running;
}

/* --- start --- */

static int check_start(struct vm *vm, struct err *e)
{
    if (vm->started)
        return err_set(e, LE_STATE, "the VM was started already");
    if (vm->ended)
        return err_set(e, LE_STATE, "the VM ended before its start%s%s",
                       vm->outcome.text[0] ? ": " : "", vm->outcome.text);
    return 0;
}

int vm_start(struct vm *vm, struct err *e)
{
    int rc = check_start(vm, e);

    if (rc)
        return rc;
    host_mutex_lock(&vm->lock);
    rc = power_on(vm, e);
    host_mutex_unlock(&vm->lock);
    if (rc)
        return rc;
    if (loop_start(vm->loop))
        return err_set(e, LE_NOMEM,
                       "the host does not let Lodge start its I/O thread");
    host_mutex_lock(&vm->run_lock);
    vm->started = true;
    host_mutex_unlock(&vm->run_lock);
    rc = vcpus_start(vm, e);
    if (rc)
        vm_stop(vm);
    return rc;
}

void lifecycle_init(struct vm *vm)
{
    host_mutex_init(&vm->control);
    host_mutex_init(&vm->run_lock);
    host_event_init(&vm->settled);
    host_event_init(&vm->end_event);
    work_init(&vm->settle_work, settle, vm);
    timer_init(&vm->drain, vm->loop, settle, vm);
}

void lifecycle_destroy(struct vm *vm)
{
    host_event_destroy(&vm->end_event);
    host_event_destroy(&vm->settled);
    host_mutex_destroy(&vm->run_lock);
    host_mutex_destroy(&vm->control);
}
