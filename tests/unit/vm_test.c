/*
 * A VM's life with an engine that runs no instructions: start, halt, pause,
 * reset, end. vm/{vm,vcpu,lifecycle,device}.c.
 */
#include <sched.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <setjmp.h>

#include <cmocka.h>

#include "fake_engine.h"
#include "x86/cpuid.h"

/* --- bodies --- */

/* Computes until it is kicked. */
static enum stop busy(struct vcpu *c)
{
    for (;;) {
        uint32_t e = atomic_load(&c->events);

        fake->bodies++;
        if (e & VCPU_FLUSH) {
            fake->flushes++;
            vcpu_lower(c, VCPU_FLUSH);
        }
        if (e & VCPU_KICK) {
            vcpu_lower(c, VCPU_KICK);
            return STOP_KICK;
        }
        sched_yield();
    }
}

/* HLT with interrupts off: an interrupt wakes nobody. */
static enum stop deaf(struct vcpu *c)
{
    if (atomic_load(&c->events) & VCPU_NMI) {
        vcpu_lower(c, VCPU_NMI);
        fake->bodies++;
    }
    return STOP_HALT;
}

/* CPU 0 writes to a port, the others halt. */
static enum stop port_write(struct vcpu *c)
{
    if (c->id)
        return deaf(c);
    space_write(c->io, 0x10, 0xab, 1);
    return busy(c);
}

/* Waits at a device for its lock most of the time. */
static enum stop port_poll(struct vcpu *c)
{
    while (!(atomic_load(&c->events) & VCPU_KICK))
        space_read(c->io, 0x10, 1);
    vcpu_lower(c, VCPU_KICK);
    return STOP_KICK;
}

static enum stop crash(struct vcpu *c)
{
    return c->id == 1 ? STOP_SHUTDOWN : deaf(c);
}

static enum stop crash_once(struct vcpu *c)
{
    if (fake->bodies++ == 0)
        return STOP_SHUTDOWN;
    return busy(c);
}

static enum stop fault(struct vcpu *c)
{
    if (c->id != 2)
        return deaf(c);
    err_set(&c->fault, LE_IO, "the engine lost its way");
    return STOP_FAULT;
}

/* --- a device --- */

struct gadget {
    struct dev dev;
    struct region port;
    struct timer timer;
    void (*on_write)(struct gadget *g);
    atomic_uint resets, pauses, resumes, reads;
};

static uint64_t gadget_read(void *dev, uint64_t off, unsigned bytes)
{
    struct gadget *g = dev;

    (void)off;
    (void)bytes;
    g->reads++;
    return 0x5a;
}

static void gadget_write(void *dev, uint64_t off, uint64_t v, unsigned bytes)
{
    struct gadget *g = dev;

    (void)off;
    (void)bytes;
    assert_int_equal(v, 0xab);
    if (g->on_write)
        g->on_write(g);
}

static const struct region_ops gadget_ops = {gadget_read, gadget_write, 1, 1};

static int gadget_attach(struct dev *d, struct env *env, struct err *e)
{
    struct gadget *g = container_of(d, struct gadget, dev);

    (void)e;
    g->port =
        (struct region){"gadget", 1, &gadget_ops, g, NULL, false, NULL, 0, 0};
    timer_init(&g->timer, env->loop, NULL, g);
    return space_map(env->io, 0x10, &g->port, 0);
}

static void check_still(void)
{
    if (fake->in_run)
        fake->bad = true;
}

static void gadget_reset(struct dev *d, bool cold)
{
    struct gadget *g = container_of(d, struct gadget, dev);

    check_still();
    assert_true(cold);
    g->resets++;
}

static void gadget_pause(struct dev *d)
{
    check_still();
    container_of(d, struct gadget, dev)->pauses++;
}

static void gadget_resume(struct dev *d)
{
    check_still();
    container_of(d, struct gadget, dev)->resumes++;
}

static void gadget_detach(struct dev *d)
{
    struct gadget *g = container_of(d, struct gadget, dev);

    check_still();
    assert_int_equal(d->inflight, 0);
    space_unmap(&g->port);
    timer_cancel(&g->timer);
}

static const struct dev_class gadget_class = {
    .name = "gadget",
    .size = sizeof(struct gadget),
    .attach = gadget_attach,
    .reset = gadget_reset,
    .pause = gadget_pause,
    .resume = gadget_resume,
    .detach = gadget_detach,
};

static struct gadget *add_gadget(struct vm *vm)
{
    struct err e = {0};
    struct dev *d = vm_add_device(vm, &gadget_class, "g", NULL, &e);

    assert_string_equal(e.text, "");
    assert_non_null(d);
    return container_of(d, struct gadget, dev);
}

/* --- the machine --- */

struct machine {
    unsigned boots, fail_at;
    bool destroyed;
};

static int machine_boot(void *machine, struct vm *vm, struct x86_state *bsp,
                        struct err *e)
{
    struct machine *m = machine;

    assert_ptr_equal(vm, fake->vm);
    check_still();
    if (++m->boots == m->fail_at)
        return err_set(e, LE_NOENT, "the kernel is gone");
    bsp->rip = 0x1000 + m->boots;
    return 0;
}

static void machine_destroy(void *machine, struct vm *vm)
{
    (void)vm;
    ((struct machine *)machine)->destroyed = true;
}

static const struct machine_ops machine_ops = {machine_boot, machine_destroy};

struct fixture {
    struct fake fake;
    struct machine machine;
    struct vm *vm;
    struct vm_config config;
};

static const struct cpu_model model; /* nothing asks what it can do */

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);

    fake = &f->fake;
    f->fake.body = busy;
    f->config = (struct vm_config){.engine = &fake_engine,
                                   .model = &model,
                                   .ncpus = CPUS,
                                   .ram_size = 1 << 20};
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    vm_destroy(f->vm);
    assert_int_equal(f->fake.opened, f->fake.closed);
    assert_int_equal(f->fake.in_run, 0);
    assert_false(f->fake.bad);
    assert_true(!f->vm || f->machine.destroyed);
    free(f);
    return 0;
}

static void create(struct fixture *f)
{
    struct err e = {0};

    assert_int_equal(vm_create(&f->config, &f->vm, &e), 0);
    f->fake.vm = f->vm;
    vm_set_machine(f->vm, &machine_ops, &f->machine);
}

static void start(struct fixture *f)
{
    struct err e = {0};

    assert_int_equal(vm_start(f->vm, &e), 0);
}

static void await(atomic_uint *counter, unsigned at_least)
{
    while (*counter < at_least)
        sched_yield();
}

static void ends(struct fixture *f, enum vm_end how, uint32_t value,
                 const char *text)
{
    struct vm_outcome out = {0};

    vm_wait(f->vm, UINT64_MAX, &out);
    assert_int_equal(out.end, how);
    assert_int_equal(out.value, value);
    assert_string_equal(out.text, text);
    assert_int_equal(f->fake.in_run, 0);
    assert_false(vm_is_running(f->vm));
}

/* --- tests --- */

static void bad_configs(void **state)
{
    struct fixture *f = *state;
    struct vm_config c = f->config;
    struct err e;
    struct vm *vm = NULL;

    c.ncpus = 0;
    assert_int_equal(vm_create(&c, &vm, &e), -LE_USAGE);
    c.ncpus = 256;
    assert_int_equal(vm_create(&c, &vm, &e), -LE_USAGE);
    c = f->config;
    c.ram_size = 0;
    assert_int_equal(vm_create(&c, &vm, &e), -LE_USAGE);
    c.ram_size = PAGE_SIZE + 1;
    assert_int_equal(vm_create(&c, &vm, &e), -LE_USAGE);
    c.ram_size = 1ull << 60;
    assert_int_equal(vm_create(&c, &vm, &e), -LE_NOMEM);
    assert_non_null(strstr(e.text, "ask for less"));
    f->fake.refuse_open = true;
    assert_int_equal(vm_create(&f->config, &vm, &e), -LE_UNSUPPORTED);
    assert_string_equal(e.text, "not today");
    assert_null(vm);
}

static void never_started(void **state)
{
    struct fixture *f = *state;

    create(f);
    assert_int_equal(f->fake.opened, CPUS);
    assert_false(vm_is_running(f->vm));
    assert_int_equal(vm_ram_size(f->vm), 1 << 20);
    assert_ptr_equal(vm_env(f->vm)->ram, vm_ram(f->vm));
    vm_pause(f->vm);
    vm_resume(f->vm);
    add_gadget(f->vm);
}

static void starts_and_stops(void **state)
{
    struct fixture *f = *state;
    struct gadget *g;

    create(f);
    g = add_gadget(f->vm);
    start(f);
    assert_int_equal(g->resets, 1);
    assert_int_equal(f->machine.boots, 1);
    assert_int_equal(f->fake.sets, CPUS);
    assert_int_equal(f->fake.rip[0], 0x1001);
    assert_int_equal(f->fake.activity[0], CPU_RUNNING);
    assert_int_equal(f->fake.activity[1], CPU_WAIT_SIPI);
    for (unsigned i = 0; i < CPUS; i++)
        await(&f->fake.runs[i], 1);
    assert_true(vm_is_running(f->vm));
    assert_int_equal(vm_start(f->vm, NULL), -LE_STATE);
    assert_null(vm_add_device(f->vm, &gadget_class, "late", NULL, NULL));
    vm_stop(f->vm);
    ends(f, VM_END_STOPPED, 0, "");
    ends(f, VM_END_STOPPED, 0, ""); /* asked again */
    assert_int_equal(g->pauses, 1);
    vm_dismantle(f->vm);
    assert_true(f->machine.destroyed);
}

static void destroyed_while_running(void **state)
{
    struct fixture *f = *state;

    create(f);
    start(f);
    await(&f->fake.runs[2], 1);
}

static void timeout(void **state)
{
    struct fixture *f = *state;
    struct vm_outcome out;

    create(f);
    start(f);
    vm_wait(f->vm, 1000000, &out);
    assert_int_equal(out.end, VM_END_TIMEOUT);
    assert_int_equal(f->fake.in_run, 0);
}

static void pauses(void **state)
{
    struct fixture *f = *state;
    struct gadget *g;
    unsigned done;

    create(f);
    g = add_gadget(f->vm);
    start(f);
    for (unsigned i = 0; i < 100; i++) {
        vm_pause(f->vm);
        assert_int_equal(f->fake.in_run, 0);
        assert_int_equal(g->pauses, i + 1);
        assert_int_equal(g->resumes, i);
        vm_pause(f->vm); /* they count */
        vm_resume(f->vm);
        assert_int_equal(f->fake.in_run, 0);
        assert_false(vm_is_running(f->vm));
        assert_int_equal(g->pauses, i + 1);
        done = f->fake.bodies;
        vm_resume(f->vm);
        assert_int_equal(g->resumes, i + 1);
        await(&f->fake.bodies, done + 1);
    }
    vm_pause(f->vm);
    vm_stop(f->vm); /* ended while paused */
    ends(f, VM_END_STOPPED, 0, "");
}

static void pauses_at_a_device(void **state)
{
    struct fixture *f = *state;
    struct gadget *g;

    f->fake.body = port_poll;
    create(f);
    g = add_gadget(f->vm);
    start(f);
    for (unsigned i = 0; i < 50; i++) {
        unsigned before;

        vm_pause(f->vm);
        assert_int_equal(f->fake.in_run, 0);
        before = g->reads;
        vm_resume(f->vm);
        await(&g->reads, before + 10);
    }
}

static void pauser(void *arg)
{
    struct fixture *f = arg;

    for (unsigned i = 0; i < 100; i++) {
        vm_pause(f->vm);
        if (f->fake.in_run)
            f->fake.bad = true;
        vm_resume(f->vm);
    }
}

/* Several threads pause, and resets come in between. */
static void pauses_and_resets_together(void **state)
{
    struct fixture *f = *state;
    struct host_thread *t[3];
    struct gadget *g;
    struct env *env;

    create(f);
    g = add_gadget(f->vm);
    env = vm_env(f->vm);
    start(f);
    for (unsigned i = 0; i < 3; i++)
        t[i] = host_thread_start("pauser", pauser, f);
    for (unsigned i = 0; i < 50; i++) {
        unsigned resets = g->resets;

        /* One that comes while another is done is one with it. */
        for (; g->resets == resets; sched_yield())
            env->reset(env);
    }
    for (unsigned i = 0; i < 3; i++)
        host_thread_join(t[i]);
    vm_pause(f->vm);
    assert_int_equal(g->pauses, g->resumes + 1);
    vm_resume(f->vm);
    assert_true(vm_is_running(f->vm));
}

/* Halted CPUs sleep, even with an interrupt that they do not take. */
static void halt_sleeps(void **state)
{
    struct fixture *f = *state;
    unsigned before;
    struct vcpu *c;

    f->fake.body = deaf;
    create(f);
    start(f);
    c = vm_vcpu(f->vm, 1);
    await(&f->fake.runs[1], 1);
    vm_env(f->vm)->cpu_pins[1].intr(c, true);
    usleep(20000);
    before = f->fake.runs[1];
    assert_in_range(before, 1, 3);
    vm_env(f->vm)->cpu_pins[1].intr(c, true); /* it is up already */
    usleep(20000);
    assert_int_equal(f->fake.runs[1], before);
    assert_true(atomic_load(&c->events) & VCPU_INTR);
    vm_env(f->vm)->cpu_pins[1].intr(c, false);
    assert_false(atomic_load(&c->events) & VCPU_INTR);
    for (unsigned i = 0; i < 1000; i++) { /* none is lost */
        vm_env(f->vm)->cpu_pins[1].nmi(c);
        await(&f->fake.bodies, i + 1);
    }
    vm_env(f->vm)->cpu_pins[2].sipi(vm_vcpu(f->vm, 2), 0x9a);
    assert_true(atomic_load(&vm_vcpu(f->vm, 2)->events) & VCPU_SIPI);
    assert_int_equal(vm_vcpu(f->vm, 2)->sipi_vector, 0x9a);
    vm_pause(f->vm); /* asleep as they are */
    vm_resume(f->vm);
}

static void write_reset(struct gadget *g)
{
    if (g->resets < 3)
        g->dev.env->reset(g->dev.env);
    else
        g->dev.env->power_off(g->dev.env);
    g->dev.env->reset(g->dev.env); /* one more changes nothing */
}

static void guest_resets_and_powers_off(void **state)
{
    struct fixture *f = *state;
    struct gadget *g;

    f->fake.body = port_write;
    create(f);
    g = add_gadget(f->vm);
    g->on_write = write_reset;
    vcpu_raise(vm_vcpu(f->vm, 1), VCPU_INTR);
    start(f);
    ends(f, VM_END_POWER_OFF, 0, "");
    assert_int_equal(g->resets, 3);
    assert_int_equal(f->machine.boots, 3);
    assert_int_equal(f->fake.sets, 3 * CPUS);
    assert_int_equal(f->fake.rip[0], 0x1003);
    assert_false(atomic_load(&vm_vcpu(f->vm, 1)->events) & VCPU_INTR);
}

static void timer_resets(void *ctx)
{
    struct gadget *g = ctx;

    g->dev.env->reset(g->dev.env);
}

/* A reset that comes while the VM is paused is done, and it stays paused. */
static void reset_while_paused(void **state)
{
    struct fixture *f = *state;
    struct gadget *g;
    unsigned bodies;

    create(f);
    g = add_gadget(f->vm);
    g->timer.fn = timer_resets;
    start(f);
    vm_pause(f->vm);
    bodies = f->fake.bodies;
    timer_arm(&g->timer, host_now());
    await(&g->resets, 2);
    vm_pause(f->vm);
    assert_int_equal(f->fake.bodies, bodies);
    assert_int_equal(g->pauses, 1);
    assert_int_equal(f->machine.boots, 2);
    vm_resume(f->vm);
    for (unsigned i = 0; i < 20; i++) { /* a pause waits for a reset */
        vm_env(f->vm)->reset(vm_env(f->vm));
        vm_pause(f->vm);
        assert_int_equal(g->resets, 3 + i);
        vm_resume(f->vm);
    }
    assert_false(vm_is_running(f->vm));
    vm_resume(f->vm);
    await(&f->fake.bodies, bodies + 1);
}

static void no_reboot(void **state)
{
    struct fixture *f = *state;
    struct gadget *g;

    f->fake.body = port_write;
    f->config.no_reboot = true;
    create(f);
    g = add_gadget(f->vm);
    g->on_write = write_reset;
    start(f);
    ends(f, VM_END_RESET, 0, "");
    assert_int_equal(g->resets, 1);
}

static void write_debug_exit(struct gadget *g)
{
    g->dev.env->debug_exit(g->dev.env, 0x21);
}

static void debug_exit(void **state)
{
    struct fixture *f = *state;

    f->fake.body = port_write;
    create(f);
    add_gadget(f->vm)->on_write = write_debug_exit;
    start(f);
    ends(f, VM_END_DEBUG_EXIT, 0x21, "");
}

static void triple_fault(void **state)
{
    struct fixture *f = *state;

    f->fake.body = crash;
    create(f);
    f->fake.rip[1] = 0xfff0;
    start(f);
    vm_wait(f->vm, UINT64_MAX, &(struct vm_outcome){0});
    ends(f, VM_END_CRASH, 0,
         "the guest crashed: triple fault on CPU 1 at 0010:fff0");
}

static void triple_fault_reboots(void **state)
{
    struct fixture *f = *state;
    struct gadget *g;

    f->fake.body = crash_once;
    f->config.reboot_on_shutdown = true;
    create(f);
    g = add_gadget(f->vm);
    start(f);
    await(&g->resets, 2);
    await(&f->fake.bodies, 100);
    assert_int_equal(g->resets, 2);
}

static void engine_fault(void **state)
{
    struct fixture *f = *state;

    f->fake.body = fault;
    create(f);
    start(f);
    ends(f, VM_END_FAILED, 0, "the engine lost its way");
}

static void boot_fails(void **state)
{
    struct fixture *f = *state;
    struct err e = {0};

    f->machine.fail_at = 1;
    create(f);
    assert_int_equal(vm_start(f->vm, &e), -LE_NOENT);
    assert_string_equal(e.text, "the kernel is gone");
    assert_int_equal(f->fake.runs[0], 0);
}

static void boot_fails_at_reset(void **state)
{
    struct fixture *f = *state;
    struct gadget *g;

    f->machine.fail_at = 2;
    f->fake.body = port_write;
    create(f);
    g = add_gadget(f->vm);
    g->on_write = write_reset;
    start(f);
    ends(f, VM_END_FAILED, 0, "the kernel is gone");
    assert_int_equal(g->resets, 2);
}

static void finish_request(void *ctx)
{
    ((struct gadget *)ctx)->dev.inflight--;
}

static void begin_request(struct gadget *g)
{
    g->dev.inflight++;
    timer_arm(&g->timer, host_now() + 3000000);
}

/* A pause waits for what a device has in flight; so does the end. */
static void waits_for_devices(void **state)
{
    struct fixture *f = *state;
    struct gadget *g;
    struct host_mutex *lock;

    create(f);
    g = add_gadget(f->vm);
    g->timer.fn = finish_request;
    lock = vm_lock(f->vm);
    start(f);
    for (unsigned i = 0; i < 3; i++) {
        host_mutex_lock(lock);
        begin_request(g);
        host_mutex_unlock(lock);
        vm_pause(f->vm);
        host_mutex_lock(lock);
        assert_int_equal(g->dev.inflight, 0);
        host_mutex_unlock(lock);
        vm_resume(f->vm);
    }
    host_mutex_lock(lock);
    begin_request(g);
    host_mutex_unlock(lock);
    vm_stop(f->vm);
    ends(f, VM_END_STOPPED, 0, "");
    assert_int_equal(g->dev.inflight, 0);
}

static void engine_hears_of_memory(void **state)
{
    struct fixture *f = *state;
    struct region ram = {"ram", 1 << 20, NULL, NULL, NULL, false, NULL, 0, 0};
    struct region rom = ram;
    uint32_t zero = 0;

    create(f);
    ram.ram = rom.ram = vm_ram(f->vm);
    rom.readonly = true;
    rom.size = 4096;
    assert_int_equal(space_map(vm_mem(f->vm), 0, &ram, 0), 0);
    assert_int_equal(f->fake.maps, 1);
    start(f);
    space_store(vm_mem(f->vm), 0x1000, &zero, 4);
    assert_int_equal(f->fake.wrote, 4);
    await(&f->fake.runs[0], 1);
    host_mutex_lock(vm_lock(f->vm));
    space_map(vm_mem(f->vm), 0x2000, &rom, 1);
    host_mutex_unlock(vm_lock(f->vm));
    assert_int_equal(f->fake.maps, 3);
    await(&f->fake.flushes, CPUS);
    /* A20 masks the CPUs' addresses and flushes them. */
    vm_env(f->vm)->set_a20(vm_env(f->vm), true); /* as it is */
    vm_env(f->vm)->set_a20(vm_env(f->vm), false);
    await(&f->fake.flushes, 2 * CPUS);
    assert_true(vm_vcpu(f->vm, 2)->a20_mask == ~(1ull << 20));
    vm_env(f->vm)->reset(vm_env(f->vm));
    while (vm_vcpu(f->vm, 2)->a20_mask != ~0ull)
        sched_yield();
    vm_dismantle(f->vm);
    assert_int_equal(f->fake.flushes, 2 * CPUS);
    f->fake.refuse_map = true;
    space_unmap(&rom);
    ends(f, VM_END_STOPPED, 0, "");
}

static void engine_cannot_map(void **state)
{
    struct fixture *f = *state;
    struct region ram = {"ram", 1 << 20, NULL, NULL, NULL, false, NULL, 0, 0};
    struct err e;

    create(f);
    ram.ram = vm_ram(f->vm);
    f->fake.refuse_map = true;
    space_map(vm_mem(f->vm), 0x100000, &ram, 0);
    assert_int_equal(vm_start(f->vm, &e), -LE_STATE);
    assert_string_equal(e.text,
                        "the VM ended before its start: the fake engine "
                        "cannot map guest memory at 0x100000");
}

#define VM_TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        VM_TEST(bad_configs),
        VM_TEST(never_started),
        VM_TEST(starts_and_stops),
        VM_TEST(destroyed_while_running),
        VM_TEST(timeout),
        VM_TEST(pauses),
        VM_TEST(pauses_at_a_device),
        VM_TEST(pauses_and_resets_together),
        VM_TEST(halt_sleeps),
        VM_TEST(guest_resets_and_powers_off),
        VM_TEST(reset_while_paused),
        VM_TEST(no_reboot),
        VM_TEST(debug_exit),
        VM_TEST(triple_fault),
        VM_TEST(triple_fault_reboots),
        VM_TEST(engine_fault),
        VM_TEST(boot_fails),
        VM_TEST(boot_fails_at_reset),
        VM_TEST(waits_for_devices),
        VM_TEST(engine_hears_of_memory),
        VM_TEST(engine_cannot_map),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
