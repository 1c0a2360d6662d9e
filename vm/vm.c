/* Making and unmaking a VM; what it offers to engine, devices and machine. */
#include "vm/vm.h"

#include "base/libc.h"
#include "vm/debug.h"
#include "vm/internal.h"

enum { MAX_CPUS = 255, A20 = 1 << 20 };

/* --- the engine hears of memory --- */

static void mem_map(void *ctx, const struct window *w)
{
    struct vm *vm = ctx;
    struct err e;

    if (!vm->config.engine->map || !vm->config.engine->map(vm, w))
        return;
    err_set(&e, LE_NOMEM, "the %s engine cannot map guest memory at 0x%llx",
            vm->config.engine->name, (unsigned long long)w->base);
    vm_fail(vm, &e);
}

static void mem_unmap(void *ctx, const struct window *w)
{
    struct vm *vm = ctx;

    if (vm->config.engine->unmap)
        vm->config.engine->unmap(vm, w);
}

static void mem_changed(void *ctx)
{
    vcpus_raise_all(ctx, VCPU_FLUSH);
}

static void mem_wrote(void *ctx, gpa_t a, size_t n)
{
    struct vm *vm = ctx;

    if (vm->config.engine->wrote)
        vm->config.engine->wrote(vm, a, n);
}

static void mem_bells(void *ctx, struct region *r, bool there)
{
    struct vm *vm = ctx;

    if (vm->config.engine->bells)
        vm->config.engine->bells(vm, r, there);
}

static void mem_settle(void *ctx)
{
    struct vm *vm = ctx;

    if (vm->config.engine->settle)
        vm->config.engine->settle(vm);
}

static void listen(struct vm *vm)
{
    const struct space_listener l = {mem_map, mem_unmap, mem_changed, mem_wrote,
                                     vm,      mem_bells, mem_settle};

    space_listen(vm->env.mem, &l);
}

/* --- what devices can ask of the machine --- */

static struct vm *vm_of(struct env *env)
{
    return container_of(env, struct vm, env);
}

static void env_power_off(struct env *env)
{
    vm_end(vm_of(env), VM_END_POWER_OFF, 0, "");
}

static void env_reset(struct env *env)
{
    vm_request_reset(vm_of(env));
}

static void env_debug_exit(struct env *env, uint32_t value)
{
    vm_end(vm_of(env), VM_END_DEBUG_EXIT, value, "");
}

static void env_set_a20(struct env *env, bool enabled)
{
    struct vm *vm = vm_of(env);
    uint64_t mask = enabled ? ~0ull : ~(uint64_t)A20;

    for (unsigned i = 0; i < vm->config.ncpus; i++) {
        struct vcpu *c = &vm->cpus[i].vcpu;

        if (atomic_exchange(&c->a20_mask, mask) != mask)
            vcpu_raise(c, VCPU_FLUSH);
    }
}

static int apics_get(void *ctx, unsigned cpu, struct apic_regs *r)
{
    struct vm *vm = ctx;

    return vm->config.engine->irqchip->get(vm_vcpu(vm, cpu), r);
}

static int apics_set(void *ctx, unsigned cpu, const struct apic_regs *r)
{
    struct vm *vm = ctx;

    return vm->config.engine->irqchip->set(vm_vcpu(vm, cpu), r);
}

static void apics_message(void *ctx, uint64_t address, uint32_t data)
{
    struct vm *vm = ctx;

    vm->config.engine->irqchip->message(vm, address, data);
}

static void fill_env(struct vm *vm)
{
    const struct irqchip_ops *irqchip = vm->config.engine->irqchip;
    struct env *env = &vm->env;

    env->ram = vm->ram;
    env->loop = vm->loop;
    env->ncpus = vm->config.ncpus;
    env->cpu_pins = vm->pins;
    env->power_off = env_power_off;
    env->reset = env_reset;
    env->debug_exit = env_debug_exit;
    env->set_a20 = env_set_a20;
    if (irqchip)
        env->engine_apics = (struct engine_apics){
            apics_get, apics_set, apics_message, irqchip->routes, vm};
    if (irqchip && irqchip->chips && vm->config.tuning.chips) {
        env->engine_chips = *irqchip->chips;
        env->engine_chips.ctx = vm;
    }
}

/* --- create, destroy --- */

static int check_config(const struct vm_config *c, struct err *e)
{
    uint64_t have = host_ram_total();

    if (!c->ncpus || c->ncpus > MAX_CPUS)
        return err_set(e, LE_USAGE, "a VM has 1 to %d CPUs, not %u", MAX_CPUS,
                       c->ncpus);
    if (!c->ram_size || c->ram_size % PAGE_SIZE)
        return err_set(e, LE_USAGE,
                       "guest memory must be a multiple of %u bytes above 0",
                       PAGE_SIZE);
    if (c->hugepages && c->ram_size % HOST_HUGE_PAGE)
        return err_set(e, LE_USAGE,
                       "--memory: huge pages have 2 MB each; give a multiple "
                       "of that");
    if (c->ram_size > have)
        return err_set(e, LE_NOMEM,
                       "%llu MB of guest memory are more than the host's "
                       "%llu MB: ask for less",
                       (unsigned long long)(c->ram_size >> 20),
                       (unsigned long long)(have >> 20));
    return 0;
}

static int make_ram(struct vm *vm, struct err *e)
{
    uint64_t size = vm->config.ram_size, pages = size / HOST_HUGE_PAGE;

    vm->ram =
        vm->config.hugepages ? host_ram_alloc_huge(size) : host_ram_alloc(size);
    if (!vm->ram && vm->config.hugepages)
        return err_set(e, LE_NOMEM,
                       "the host has no %llu huge pages free for the guest: "
                       "set them aside with 'sysctl vm.nr_hugepages=%llu', or "
                       "leave hugepages out",
                       (unsigned long long)pages, (unsigned long long)pages);
    if (!vm->ram)
        return err_set(e, LE_NOMEM,
                       "the host does not give %llu MB of memory for the "
                       "guest: ask for less",
                       (unsigned long long)(size >> 20));
    return 0;
}

static int make_parts(struct vm *vm, struct err *e)
{
    int rc = make_ram(vm, e);

    if (rc)
        return rc;
    vm->env.mem = space_create(0, &vm->lock);
    vm->env.io = space_create(0x10000, &vm->lock);
    vm->loop = loop_create(&vm->lock);
    if (!vm->env.mem || !vm->env.io || !vm->loop)
        return err_set(e, LE_NOMEM,
                       "the host has no memory or descriptors left for a VM");
    return 0;
}

int vm_create(const struct vm_config *config, struct vm **out, struct err *e)
{
    struct vm *vm;
    int rc = check_config(config, e);

    *out = NULL;
    if (rc)
        return rc;
    vm = host_alloc(sizeof *vm);
    if (!vm)
        return err_set(e, LE_NOMEM, "the host has no memory left for a VM");
    vm->config = *config;
    host_mutex_init(&vm->lock);
    list_init(&vm->devices);
    rc = make_parts(vm, e);
    lifecycle_init(vm);
    if (!rc)
        rc = config->engine->open(vm, e);
    if (!rc) {
        vm->engine_open = true;
        rc = vcpus_create(vm, e);
    }
    if (rc) {
        vm_destroy(vm);
        return rc;
    }
    fill_env(vm);
    listen(vm);
    *out = vm;
    return 0;
}

void vm_dismantle(struct vm *vm)
{
    if (vm->dismantled)
        return;
    vm->dismantled = true;
    if (vm->threads) {
        vm_stop(vm);
        vm_wait_quiet(vm);
        vcpus_stop(vm);
    }
    host_mutex_lock(&vm->lock);
    if (vm->machine_ops && vm->machine_ops->destroy)
        vm->machine_ops->destroy(vm->machine, vm);
    devices_detach(vm);
    host_mutex_unlock(&vm->lock);
}

void vm_destroy(struct vm *vm)
{
    if (!vm)
        return;
    vm_dismantle(vm);
    vm_debug_close(vm);
    loop_destroy(vm->loop);
    vcpus_destroy(vm);
    if (vm->engine_open && vm->config.engine->close)
        vm->config.engine->close(vm);
    space_destroy(vm->env.io);
    space_destroy(vm->env.mem);
    host_ram_free(vm->ram, vm->config.ram_size);
    lifecycle_destroy(vm);
    host_mutex_destroy(&vm->lock);
    host_free(vm);
}

void vm_set_machine(struct vm *vm, const struct machine_ops *ops, void *machine)
{
    vm->machine_ops = ops;
    vm->machine = machine;
}

/* --- parts --- */

struct env *vm_env(struct vm *vm)
{
    return &vm->env;
}

struct host_mutex *vm_lock(struct vm *vm)
{
    return &vm->lock;
}

uint8_t *vm_ram(struct vm *vm)
{
    return vm->ram;
}

uint64_t vm_ram_size(struct vm *vm)
{
    return vm->config.ram_size;
}

const struct vm_config *vm_config(struct vm *vm)
{
    return &vm->config;
}
