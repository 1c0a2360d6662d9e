/* vCPUs: their threads, their events, their reset. */
#include "base/libc.h"
#include "vm/internal.h"
#include "x86/cpu.h"

/* --- events --- */

/*
 * The bit before the signal: who wakes looks at the bits. Where the bit was
 * set already the one who set it has signalled, and it was not taken since.
 */
void vcpu_raise(struct vcpu *c, uint32_t event)
{
    uint32_t old = atomic_fetch_or(&c->events, event);

    if ((old & event) == event)
        return;
    host_event_signal(&c->wake);
    c->engine->kick(c);
}

void vcpu_lower(struct vcpu *c, uint32_t event)
{
    atomic_fetch_and(&c->events, ~event);
}

void vcpus_raise_all(struct vm *vm, uint32_t event)
{
    for (unsigned i = 0; i < vm->cpus_open; i++)
        vcpu_raise(&vm->cpus[i].vcpu, event);
}

/* --- pins --- */

static void pin_intr(void *ctx, bool level)
{
    if (level)
        vcpu_raise(ctx, VCPU_INTR);
    else
        vcpu_lower(ctx, VCPU_INTR);
}

static void pin_nmi(void *ctx)
{
    vcpu_raise(ctx, VCPU_NMI);
}

static void pin_smi(void *ctx)
{
    vcpu_raise(ctx, VCPU_SMI);
}

static void pin_init(void *ctx)
{
    vcpu_raise(ctx, VCPU_INIT);
}

static void pin_sipi(void *ctx, uint8_t vector)
{
    struct vcpu *c = ctx;

    atomic_store(&c->sipi_vector, vector);
    vcpu_raise(c, VCPU_SIPI);
}

static const struct cpu_pins pins = {
    .intr = pin_intr,
    .nmi = pin_nmi,
    .smi = pin_smi,
    .init = pin_init,
    .sipi = pin_sipi,
};

/* --- the thread --- */

static void triple_fault(struct vm *vm, struct vcpu *c)
{
    struct x86_state s;
    char text[160];

    if (vm->config.reboot_on_shutdown) {
        vm_request_reset(vm);
        return;
    }
    memset(&s, 0, sizeof s);
    c->engine->get(c, &s, STATE_REGS | STATE_SREGS);
    snprintf(text, sizeof text,
             "the guest crashed: triple fault on CPU %u at %04x:%llx", c->id,
             s.seg[CS].sel, (unsigned long long)s.rip);
    vm_end(vm, VM_END_CRASH, 0, text);
}

static enum stop run(struct cpu_thread *t)
{
    if (unlikely(atomic_load(&t->frozen)))
        return STOP_HALT;
    if (unlikely(t->crashed))
        return STOP_SHUTDOWN;
    return t->vcpu.engine->run(&t->vcpu);
}

/*
 * After STOP_HALT the thread sleeps until something is raised, not until a bit
 * is set: an interrupt may wait for long at a CPU that halted with IF clear.
 */
static void vcpu_main(void *arg)
{
    struct cpu_thread *t = arg;
    struct vcpu *c = &t->vcpu;

    while (vm_checkpoint(c->vm, t)) {
        switch (run(t)) {
        case STOP_HALT: host_event_wait(&c->wake, UINT64_MAX); break;
        case STOP_SHUTDOWN:
            if (t->crashed || !debug_crashed(c->vm, t))
                triple_fault(c->vm, c);
            break;
        case STOP_FAULT: vm_fail(c->vm, &c->fault); break;
        case STOP_DEBUG: debug_hit(c->vm, t); break;
        case STOP_KICK: break;
        }
    }
}

int vcpus_start(struct vm *vm, struct err *e)
{
    for (unsigned i = 0; i < vm->config.ncpus; i++) {
        char name[32];

        snprintf(name, sizeof name, "lodge-cpu%u", i);
        /* Counted before it can park. */
        host_mutex_lock(&vm->run_lock);
        vm->cpus[i].thread = host_thread_start(name, vcpu_main, &vm->cpus[i]);
        if (vm->cpus[i].thread)
            vm->threads++;
        host_mutex_unlock(&vm->run_lock);
        if (!vm->cpus[i].thread)
            return err_set(e, LE_NOMEM,
                           "the host does not let Lodge start a thread for "
                           "CPU %u",
                           i);
    }
    return 0;
}

void vcpus_stop(struct vm *vm)
{
    unsigned n = vm->threads;

    host_mutex_lock(&vm->run_lock);
    vm->stop_threads = true;
    vm->parked = 0;
    atomic_fetch_add(&vm->holds, 1);
    for (unsigned i = 0; i < vm->threads; i++) {
        vm->cpus[i].parked = false;
        host_event_signal(&vm->cpus[i].go);
    }
    host_mutex_unlock(&vm->run_lock);
    vcpus_raise_all(vm, VCPU_KICK);
    while (n)
        host_thread_join(vm->cpus[--n].thread);
    host_mutex_lock(&vm->run_lock);
    vm->threads = 0;
    host_mutex_unlock(&vm->run_lock);
}

/* --- creation --- */

static void vcpu_init(struct vm *vm, struct cpu_thread *t, unsigned id)
{
    struct vcpu *c = &t->vcpu;

    c->vm = vm;
    c->id = id;
    c->engine = vm->config.engine;
    c->model = vm->config.model;
    c->mem = vm->env.mem;
    c->io = vm->env.io;
    c->lock = &vm->lock;
    c->owner = t;
    atomic_init(&c->a20_mask, ~0ull);
    host_event_init(&c->wake);
    host_event_init(&t->go);
    vm->pins[id] = pins;
    vm->pins[id].ctx = c;
}

int vcpus_create(struct vm *vm, struct err *e)
{
    unsigned n = vm->config.ncpus;

    vm->cpus = host_alloc(n * sizeof vm->cpus[0]);
    vm->pins = host_alloc(n * sizeof vm->pins[0]);
    vm->reset_state = host_alloc(sizeof *vm->reset_state);
    if (!vm->cpus || !vm->pins || !vm->reset_state)
        return err_set(e, LE_NOMEM, "the host has no memory left for %u CPUs",
                       n);
    for (unsigned i = 0; i < n; i++)
        vcpu_init(vm, &vm->cpus[i], i);
    for (unsigned i = 0; i < n; i++) {
        int rc = vm->config.engine->vcpu_open(&vm->cpus[i].vcpu, e);

        if (rc)
            return rc;
        vm->cpus_open++;
    }
    return 0;
}

void vcpus_destroy(struct vm *vm)
{
    for (unsigned i = 0; i < vm->cpus_open; i++)
        vm->config.engine->vcpu_close(&vm->cpus[i].vcpu);
    vm->cpus_open = 0;
    for (unsigned i = 0; vm->cpus && i < vm->config.ncpus; i++) {
        host_event_destroy(&vm->cpus[i].vcpu.wake);
        host_event_destroy(&vm->cpus[i].go);
    }
    host_free(vm->cpus);
    host_free(vm->pins);
    host_free(vm->reset_state);
}

/* --- reset --- */

static int boot_cpu(struct vm *vm, unsigned i, struct err *e)
{
    struct vcpu *c = &vm->cpus[i].vcpu;
    struct x86_state *s = vm->reset_state;
    int rc = 0;

    vm->cpus[i].crashed = false;
    memset(s, 0, sizeof *s);
    x86_state_reset(s, c->model, i == 0, false);
    if (vm->machine_ops && vm->machine_ops->cpu_state)
        vm->machine_ops->cpu_state(vm->machine, i, s);
    if (i == 0 && vm->machine_ops)
        rc = vm->machine_ops->boot(vm->machine, vm, s, e);
    if (rc)
        return rc;
    if (c->engine->set(c, s, STATE_ALL))
        return err_set(e, LE_IO, "the %s engine does not take CPU %u's state",
                       c->engine->name, i);
    return 0;
}

int vcpus_boot(struct vm *vm, struct err *e)
{
    for (unsigned i = 0; i < vm->config.ncpus; i++) {
        int rc = boot_cpu(vm, i, e);

        if (rc)
            return rc;
    }
    return 0;
}

/* --- for engines and machine/ --- */

void *vm_engine_priv(struct vm *vm)
{
    return vm->engine_priv;
}

void vm_set_engine_priv(struct vm *vm, void *priv)
{
    vm->engine_priv = priv;
}

const struct engine_tuning *vm_tuning(struct vm *vm)
{
    return &vm->config.tuning;
}

struct space *vm_mem(struct vm *vm)
{
    return vm->env.mem;
}

unsigned vm_ncpus(struct vm *vm)
{
    return vm->config.ncpus;
}

struct vcpu *vm_vcpu(struct vm *vm, unsigned id)
{
    return &vm->cpus[id].vcpu;
}

void vm_set_intc(struct vm *vm, unsigned cpu, const struct intc_cpu_ops *ops,
                 void *intc)
{
    vm->cpus[cpu].vcpu.intc = ops;
    vm->cpus[cpu].vcpu.intc_ctx = intc;
}

int vm_get_state(struct vm *vm, unsigned cpu, struct x86_state *s,
                 uint32_t groups)
{
    struct vcpu *c = vm_vcpu(vm, cpu);

    return c->engine->get(c, s, groups);
}

int vm_set_state(struct vm *vm, unsigned cpu, const struct x86_state *s,
                 uint32_t groups)
{
    struct vcpu *c = vm_vcpu(vm, cpu);

    return c->engine->set(c, s, groups);
}
