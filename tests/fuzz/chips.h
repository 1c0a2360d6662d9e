/*
 * Fuzzing a chip: the input is a program of accesses to its registers, moves
 * of the clock, lines and what else comes from outside, and of its state taken
 * through a snapshot, true or damaged. What must hold: no crash, no endless
 * loop, and state that the device made itself always loads again.
 */
#ifndef TESTS_FUZZ_CHIPS_H
#define TESTS_FUZZ_CHIPS_H

#define FAKE_ENV_PLAIN
#include "../unit/fake_env.h"

#include "hw/intc/lapic.h"

struct chip_target {
    const struct dev_class *classes[8]; /* NULL-terminated */
    struct {
        uint64_t base;
        uint32_t size;
    } io[8], mem[2]; /* size 0 ends */
    unsigned ncpus;
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct chip_fuzz {
    struct fake *f;
    const uint8_t *p, *end;
    struct dev *lapic[FAKE_CPUS];
    unsigned nlapics;
    struct chardev chardev;
    uint8_t state[80000];
};

static uint64_t take(struct chip_fuzz *z, unsigned n)
{
    uint64_t v = 0;

    for (unsigned i = 0; i < n; i++)
        v |= (uint64_t)(z->p < z->end ? *z->p++ : 0) << 8 * i;
    return v;
}

/* Sometimes busy. */
static size_t chip_write(void *endpoint, const uint8_t *p UNUSED, size_t n)
{
    return take(endpoint, 1) & 1 ? n : n / 2;
}

static void chip_resume(void *endpoint UNUSED)
{
}

static void add_device(struct chip_fuzz *z, const struct dev_class *cls,
                       unsigned n)
{
    struct dev *d = fake_make(cls);

    if (cls == &lapic_class) {
        fake_set_u32(d, "cpu", n);
        z->lapic[z->nlapics++] = d;
    }
    if (!strcmp(cls->name, "serial"))
        *(struct chardev **)fake_prop(d, "chardev") = &z->chardev;
    fake_attach(z->f, d);
}

static void start(struct chip_fuzz *z, const struct chip_target *t)
{
    z->f = fake_new(t->ncpus ? t->ncpus : 1);
    z->f->env.ram_low = 1 << 30;
    z->nlapics = 0;
    z->chardev = (struct chardev){
        .write = chip_write, .resume = chip_resume, .endpoint = z};
    for (unsigned i = 0; t->classes[i]; i++)
        for (unsigned n = 0;
             n < (t->classes[i] == &lapic_class ? z->f->env.ncpus : 1); n++)
            add_device(z, t->classes[i], n);
}

/* Leaves nothing behind in the chardev either. */
static void stop(struct chip_fuzz *z)
{
    z->p = z->end;
    fake_free(z->f);
}

static void access_io(struct chip_fuzz *z, const struct chip_target *t,
                      bool write)
{
    unsigned n = 0, at, size;
    uint16_t port;

    while (n < ARRAY_LEN(t->io) && t->io[n].size)
        n++;
    if (!n)
        return;
    at = take(z, 1);
    size = 1u << at / 64 % 3;
    n = at % n;
    port = (uint16_t)(t->io[n].base + take(z, 1) % t->io[n].size);
    if (write)
        space_write_locked(z->f->env.io, port, take(z, size), size);
    else
        space_read_locked(z->f->env.io, port, size);
}

static void access_mem(struct chip_fuzz *z, const struct chip_target *t,
                       bool write)
{
    unsigned at = take(z, 1), size = 1u << at / 64 % 4;
    uint64_t a;

    if (!t->mem[0].size)
        return;
    a = t->mem[0].base + take(z, 2) % t->mem[0].size;
    if (at & 1)
        a &= ~15ull;
    if (write)
        space_write_locked(z->f->env.mem, a, take(z, size), size);
    else
        space_read_locked(z->f->env.mem, a, size);
}

static void clock_moves(struct chip_fuzz *z)
{
    unsigned how = take(z, 1);
    uint64_t ns = take(z, 3);

    if ((how & 1) && z->f->now < UINT64_MAX / 16) /* the host slept */
        z->f->now += ns << how % 32;
    fake_advance(z->f, ns % 4000000);
}

static void line_moves(struct chip_fuzz *z)
{
    struct env *env = &z->f->env;
    const struct irq *lines[] = {&env->pic_intr, &env->nmi,   &env->pit_irq0,
                                 &env->rtc_irq8, &env->iochk, &env->serr,
                                 &env->nmi_mask};
    unsigned v = take(z, 1), n = v & 63;

    if (n < 16)
        irq_set(&env->isa_irq[n], v & 128);
    else if (n < 40)
        irq_set(&env->gsi[n - 16], v & 128);
    else
        irq_set(lines[n % ARRAY_LEN(lines)], v & 128);
}

static void cpu_does(struct chip_fuzz *z)
{
    const struct intc_cpu_ops *ops = &lapic_cpu_ops;
    unsigned v = take(z, 1);
    uint64_t value;
    void *cpu;

    if (!z->nlapics) {
        if (z->f->env.pic_inta.ack)
            z->f->env.pic_inta.ack(z->f->env.pic_inta.ctx);
        return;
    }
    cpu = lapic_ctx(z->lapic[(v >> 3) % z->nlapics]);
    switch (v & 7) {
    case 0: ops->ack(cpu); break;
    case 1: ops->set_tpr(cpu, (uint8_t)take(z, 1)); break;
    case 2: ops->read(cpu, take(z, 1) << 4); break;
    case 3:
    case 4:
        value = take(z, 1) << 4;
        ops->write(cpu, (uint32_t)value, (uint32_t)take(z, 4));
        break;
    case 5: ops->read_msr(cpu, 0x800 + (uint32_t)take(z, 1), &value); break;
    case 6:
        value = take(z, 1);
        ops->write_msr(cpu, 0x800 + (uint32_t)value, take(z, 5));
        break;
    default:
        value = take(z, 1);
        ops->write_msr(cpu, value & 1 ? 0x1b : 0x6e0,
                       value & 1 ? 0xfee00000 | (value & 0xd0) << 4
                                 : take(z, 6));
        break;
    }
}

static void from_outside(struct chip_fuzz *z)
{
    struct env *env = &z->f->env;
    unsigned v = take(z, 1);
    uint8_t bytes[16];

    switch (v & 3) {
    case 0:
        if (env->msi.send)
            env->msi.send(env->msi.ctx, 0xfee00000 | take(z, 3),
                          (uint32_t)take(z, 2));
        break;
    case 1:
        if (env->input.key)
            env->input.key(env->input.dev, (unsigned)take(z, 2) % 300, v & 4);
        break;
    case 2:
        if (env->input.motion)
            env->input.motion(env->input.dev, (int)take(z, 4),
                              (int8_t)take(z, 1), (int8_t)take(z, 1), 0,
                              v >> 2);
        break;
    default:
        memset(bytes, (int)v, sizeof bytes);
        if (z->chardev.receive)
            z->chardev.receive(z->chardev.dev, bytes, v >> 4);
        if (z->chardev.writable && (v & 4))
            z->chardev.writable(z->chardev.dev);
        break;
    }
}

/* Its own state always loads. Damaged, it loads or is refused: false. */
static bool through_snapshot(struct chip_fuzz *z)
{
    struct dev *d = z->f->dev[take(z, 1) % z->f->ndevs];
    const struct dev_class *c = d->cls;
    size_t n = state_size(c->state, c->version);
    unsigned damage = take(z, 1) & 3;
    struct err e;

    assert_true(n <= sizeof z->state);
    if (c->pause)
        c->pause(d);
    state_save(c->state, c->version, d, z->state);
    for (unsigned i = 0; i < damage && n; i++) {
        uint64_t at = take(z, 2);

        z->state[at % n] = (uint8_t)take(z, 1);
    }
    if (state_load(c->state, c->version, d, z->state, n, &e) ||
        (c->loaded && c->loaded(d, c->version))) {
        assert_true(damage);
        return false;
    }
    if (c->resume)
        c->resume(d);
    return true;
}

static bool step(struct chip_fuzz *z, const struct chip_target *t)
{
    switch (take(z, 1) & 15) {
    case 0:
    case 1:
    case 2:
    case 3: access_io(z, t, true); break;
    case 4:
    case 5: access_io(z, t, false); break;
    case 6:
    case 7: access_mem(z, t, true); break;
    case 8: access_mem(z, t, false); break;
    case 9: clock_moves(z); break;
    case 10: line_moves(z); break;
    case 11:
    case 12: cpu_does(z); break;
    case 13: from_outside(z); break;
    case 14: return through_snapshot(z);
    default: {
        struct dev *d = z->f->dev[take(z, 1) % z->f->ndevs];

        d->cls->reset(d, false);
        break;
    }
    }
    return true;
}

static int chip_fuzz(const struct chip_target *t, const uint8_t *data,
                     size_t size)
{
    static struct chip_fuzz z;

    z.p = data;
    z.end = data + MIN(size, 4096);
    start(&z, t);
    while (z.p < z.end)
        if (!step(&z, t)) {
            const uint8_t *at = z.p;

            stop(&z); /* as a VM whose snapshot is refused */
            start(&z, t);
            z.p = at;
        }
    stop(&z);
    return 0;
}

#endif
