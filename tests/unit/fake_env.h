/*
 * An env for one chip or a few: real address spaces, a clock that moves only
 * by fake_advance(), and counters behind every pin. One per test program.
 */
#ifndef TESTS_FAKE_ENV_H
#define TESTS_FAKE_ENV_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#ifdef FAKE_ENV_PLAIN /* fuzz targets: no cmocka */
#define assert_true(x)     ((x) ? (void)0 : abort())
#define assert_non_null(x) assert_true((x) != NULL)
#define fail_msg(...)      abort()
#else
#include <cmocka.h>
#endif

#include "base/bits.h"
#include "lodge/device.h"

enum { FAKE_CPUS = 40, FAKE_TIMERS = 64, FAKE_DEVS = 64 };

struct fake_cpu {
    bool intr;
    unsigned intr_changes, nmi, smi, init, sipi;
    uint8_t sipi_vector;
};

struct fake {
    struct env env; /* first */
    uint64_t now;
    int64_t wall; /* at now 0 */
    struct timer *armed[FAKE_TIMERS];
    uint64_t deadline[FAKE_TIMERS];
    struct cpu_pins pins[FAKE_CPUS];
    struct fake_cpu cpu[FAKE_CPUS];
    struct dev *dev[FAKE_DEVS];
    unsigned ndevs;
    unsigned power_off, reset, debug_exit;
    uint32_t exit_value;
    bool a20;
};

static uint64_t fake_now(struct env *env)
{
    return ((struct fake *)env)->now;
}

static int64_t fake_wall_now(struct env *env)
{
    struct fake *f = (struct fake *)env;

    return f->wall + (int64_t)f->now;
}

static void fake_arm(struct env *env, struct timer *t, uint64_t deadline)
{
    struct fake *f = (struct fake *)env;
    unsigned n, slot = FAKE_TIMERS;

    for (n = 0; n < FAKE_TIMERS; n++) {
        if (f->armed[n] == t)
            break;
        if (!f->armed[n] && slot == FAKE_TIMERS)
            slot = n;
    }
    if (n == FAKE_TIMERS)
        n = slot;
    assert_true(n < FAKE_TIMERS);
    f->armed[n] = deadline == UINT64_MAX ? NULL : t;
    f->deadline[n] = deadline;
}

/* Runs the timers due until now + ns, in order, then stands there. */
UNUSED static void fake_advance(struct fake *f, uint64_t ns)
{
    uint64_t end = f->now + ns;

    for (;;) {
        unsigned first = FAKE_TIMERS;
        struct timer *t;

        for (unsigned n = 0; n < FAKE_TIMERS; n++)
            if (f->armed[n] && f->deadline[n] <= end &&
                (first == FAKE_TIMERS || f->deadline[n] < f->deadline[first]))
                first = n;
        if (first == FAKE_TIMERS)
            break;
        t = f->armed[first];
        if (f->deadline[first] > f->now)
            f->now = f->deadline[first];
        f->armed[first] = NULL;
        t->fn(t->ctx);
    }
    f->now = end;
}

/* The next deadline, or UINT64_MAX when no timer is armed. */
UNUSED static uint64_t fake_next(const struct fake *f)
{
    uint64_t next = UINT64_MAX;

    for (unsigned n = 0; n < FAKE_TIMERS; n++)
        if (f->armed[n] && f->deadline[n] < next)
            next = f->deadline[n];
    return next;
}

static void fake_intr(void *ctx, bool level)
{
    struct fake_cpu *c = ctx;

    c->intr = level;
    c->intr_changes++;
}

static void fake_nmi(void *ctx)
{
    ((struct fake_cpu *)ctx)->nmi++;
}

static void fake_smi(void *ctx)
{
    ((struct fake_cpu *)ctx)->smi++;
}

static void fake_init_pin(void *ctx)
{
    ((struct fake_cpu *)ctx)->init++;
}

static void fake_sipi(void *ctx, uint8_t vector)
{
    struct fake_cpu *c = ctx;

    c->sipi++;
    c->sipi_vector = vector;
}

static void fake_power_off(struct env *env)
{
    ((struct fake *)env)->power_off++;
}

static void fake_reset(struct env *env)
{
    ((struct fake *)env)->reset++;
}

static void fake_debug_exit(struct env *env, uint32_t value)
{
    ((struct fake *)env)->debug_exit++;
    ((struct fake *)env)->exit_value = value;
}

static void fake_set_a20(struct env *env, bool enabled)
{
    ((struct fake *)env)->a20 = enabled;
}

UNUSED static struct fake *fake_new(unsigned ncpus)
{
    struct fake *f = calloc(1, sizeof *f);

    assert_non_null(f);
    assert_true(ncpus <= FAKE_CPUS);
    f->now = 1000 * NS_PER_SEC;
    f->env = (struct env){
        .mem = space_create(0, NULL),
        .io = space_create(65536, NULL),
        .ncpus = ncpus,
        .cpu_pins = f->pins,
        .power_off = fake_power_off,
        .reset = fake_reset,
        .debug_exit = fake_debug_exit,
        .set_a20 = fake_set_a20,
        .now = fake_now,
        .arm = fake_arm,
        .wall_now = fake_wall_now,
    };
    for (unsigned n = 0; n < ncpus; n++)
        f->pins[n] = (struct cpu_pins){fake_intr,     fake_nmi,  fake_smi,
                                       fake_init_pin, fake_sipi, &f->cpu[n]};
    return f;
}

/* A device not attached yet, its properties at their defaults. */
UNUSED static struct dev *fake_make(const struct dev_class *cls)
{
    struct dev *d = calloc(1, cls->size);

    assert_non_null(d);
    d->cls = cls;
    d->id = cls->name;
    for (const struct prop *p = cls->props; p && p->name; p++) {
        void *at = (char *)d + p->offset;

        if (p->kind == PROP_BOOL)
            *(bool *)at = p->def;
        else if (p->kind == PROP_U32)
            *(uint32_t *)at = (uint32_t)p->def;
        else if (p->kind == PROP_U64)
            *(uint64_t *)at = p->def;
    }
    return d;
}

UNUSED static void *fake_prop(struct dev *d, const char *name)
{
    for (const struct prop *p = d->cls->props; p && p->name; p++)
        if (!strcmp(p->name, name))
            return (char *)d + p->offset;
    fail_msg("no property %s", name);
    return NULL;
}

UNUSED static void fake_set_u32(struct dev *d, const char *name, uint32_t v)
{
    *(uint32_t *)fake_prop(d, name) = v;
}

UNUSED static void fake_attach(struct fake *f, struct dev *d)
{
    struct err e = {0};

    assert_true(f->ndevs < FAKE_DEVS);
    if (d->cls->attach(d, &f->env, &e))
        fail_msg("%s: %s", d->cls->name, e.text);
    d->cls->reset(d, true);
    f->dev[f->ndevs++] = d;
}

UNUSED static struct dev *fake_add(struct fake *f, const struct dev_class *cls)
{
    struct dev *d = fake_make(cls);

    fake_attach(f, d);
    return d;
}

UNUSED static void fake_free(struct fake *f)
{
    while (f->ndevs) {
        struct dev *d = f->dev[--f->ndevs];

        d->cls->detach(d);
        free(d);
    }
    assert_true(fake_next(f) == UINT64_MAX); /* nobody left a timer */
    space_destroy(f->env.mem);
    space_destroy(f->env.io);
    free(f);
}

UNUSED static uint8_t inb(struct fake *f, uint16_t port)
{
    return (uint8_t)space_read_locked(f->env.io, port, 1);
}

UNUSED static void outb(struct fake *f, uint16_t port, uint8_t v)
{
    space_write_locked(f->env.io, port, v, 1);
}

UNUSED static uint32_t inl(struct fake *f, uint16_t port)
{
    return (uint32_t)space_read_locked(f->env.io, port, 4);
}

UNUSED static void outl(struct fake *f, uint16_t port, uint32_t v)
{
    space_write_locked(f->env.io, port, v, 4);
}

UNUSED static uint16_t inw(struct fake *f, uint16_t port)
{
    return (uint16_t)space_read_locked(f->env.io, port, 2);
}

UNUSED static void outw(struct fake *f, uint16_t port, uint16_t v)
{
    space_write_locked(f->env.io, port, v, 2);
}

UNUSED static uint32_t mem32(struct fake *f, uint64_t a)
{
    return (uint32_t)space_read_locked(f->env.mem, a, 4);
}

UNUSED static void set_mem32(struct fake *f, uint64_t a, uint32_t v)
{
    space_write_locked(f->env.mem, a, v, 4);
}

/* A line that remembers its level and how often it rose. */
struct fake_line {
    bool level;
    unsigned rises;
};

UNUSED static void fake_line_set(void *ctx, unsigned n, bool level)
{
    struct fake_line *l = (struct fake_line *)ctx + n;

    l->rises += level && !l->level;
    l->level = level;
}

#endif
