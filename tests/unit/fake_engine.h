/*
 * An engine that runs no instructions: what a vCPU does in run() is a function
 * of the test's. It writes down what is done to it. After cmocka.h.
 */
#ifndef FAKE_ENGINE_H
#define FAKE_ENGINE_H

#include "vm/vm.h"
#include "x86/state.h"

enum { CPUS = 3 };

/* What the vCPUs of a test do in run(), and what was done to the engine. */
struct fake {
    enum stop (*body)(struct vcpu *c);
    struct vm *vm;
    atomic_uint in_run, runs[CPUS], bodies, kicks, maps, flushes, wrote;
    atomic_uint sets, opened, closed;
    atomic_bool bad; /* something happened with a vCPU in run() */
    uint64_t rip[CPUS];
    uint8_t activity[CPUS];
    bool refuse_open, refuse_map;
};

static struct fake *fake; /* one VM at a time */

static int fake_open(struct vm *vm, struct err *e)
{
    if (fake->refuse_open)
        return err_set(e, LE_UNSUPPORTED, "not today");
    vm_set_engine_priv(vm, fake);
    return 0;
}

static int fake_map(struct vm *vm, const struct window *w)
{
    assert_ptr_equal(vm_engine_priv(vm), fake);
    assert_true(w->size > 0);
    fake->maps++;
    return fake->refuse_map ? -LE_NOMEM : 0;
}

static void fake_unmap(struct vm *vm, const struct window *w)
{
    (void)vm;
    (void)w;
    fake->maps--;
}

static void fake_wrote(struct vm *vm, gpa_t a, size_t n)
{
    (void)vm;
    (void)a;
    fake->wrote += (unsigned)n;
}

static int fake_vcpu_open(struct vcpu *c, struct err *e)
{
    (void)c;
    (void)e;
    fake->opened++;
    return 0;
}

static void fake_vcpu_close(struct vcpu *c)
{
    (void)c;
    fake->closed++;
}

static enum stop fake_run(struct vcpu *c)
{
    enum stop stop;

    fake->in_run++;
    fake->runs[c->id]++;
    stop = fake->body(c);
    fake->in_run--;
    return stop;
}

static void fake_kick(struct vcpu *c)
{
    (void)c;
    fake->kicks++;
}

static int fake_get(struct vcpu *c, struct x86_state *s, uint32_t groups)
{
    (void)groups;
    s->rip = fake->rip[c->id];
    s->seg[CS].sel = 0x10;
    return 0;
}

static int fake_set(struct vcpu *c, const struct x86_state *s, uint32_t groups)
{
    if (fake->in_run)
        fake->bad = true;
    assert_int_equal(groups, STATE_ALL);
    fake->rip[c->id] = s->rip;
    fake->activity[c->id] = s->activity;
    fake->sets++;
    return 0;
}

static const struct engine_ops fake_engine = {
    .name = "fake",
    .open = fake_open,
    .map = fake_map,
    .unmap = fake_unmap,
    .wrote = fake_wrote,
    .vcpu_open = fake_vcpu_open,
    .vcpu_close = fake_vcpu_close,
    .run = fake_run,
    .kick = fake_kick,
    .get = fake_get,
    .set = fake_set,
};

#endif
