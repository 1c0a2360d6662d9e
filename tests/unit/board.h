/*
 * A board for device tests: RAM, an I/O space, and wires that only
 * record what happens on them. No clock, no threads.
 */
#ifndef TESTS_UNIT_BOARD_H
#define TESTS_UNIT_BOARD_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#ifndef BOARD_WITHOUT_CMOCKA /* fuzz targets */
#include <cmocka.h>
#endif

#include "base/endian.h"
#include "lodge/device.h"
#include "lodge/pci.h"

#ifdef BOARD_WITHOUT_CMOCKA
enum { BOARD_RAM = 4 << 20 };
#else
enum { BOARD_RAM = 16 << 20 };
#endif
enum { BOARD_MSIS = 256 };

struct board {
    struct env env;
    struct cpu_pins pins;
    struct region low, high;
    bool isa[16];
    unsigned isa_rises[16];
    bool gsi[24];
    uint64_t now;
    struct {
        uint64_t address;
        uint32_t data;
    } msi[BOARD_MSIS];
    unsigned nmsi;
    unsigned resets, power_offs, inits, smis;
};

static void board_isa(void *ctx, unsigned n, bool level)
{
    struct board *b = ctx;

    b->isa_rises[n] += level && !b->isa[n];
    b->isa[n] = level;
}

static void board_gsi(void *ctx, unsigned n, bool level)
{
    ((struct board *)ctx)->gsi[n] = level;
}

/* Timers never fire by themselves here. */
static uint64_t board_now(struct env *env)
{
    return container_of(env, struct board, env)->now;
}

static void board_arm(struct env *env, struct timer *t, uint64_t deadline)
{
    (void)env;
    (void)t;
    (void)deadline;
}

static void board_msi(void *ctx, uint64_t address, uint32_t data)
{
    struct board *b = ctx;

    if (b->nmsi < BOARD_MSIS) {
        b->msi[b->nmsi].address = address;
        b->msi[b->nmsi].data = data;
    }
    b->nmsi++;
}

static void board_reset(struct env *env)
{
    container_of(env, struct board, env)->resets++;
}

static void board_power_off(struct env *env)
{
    container_of(env, struct board, env)->power_offs++;
}

static void board_init(void *ctx)
{
    ((struct board *)ctx)->inits++;
}

static void board_smi(void *ctx)
{
    ((struct board *)ctx)->smis++;
}

static UNUSED struct board *board_new(void)
{
    struct board *b = calloc(1, sizeof *b);
    uint8_t *ram = calloc(1, BOARD_RAM);

    b->pins = (struct cpu_pins){.init = board_init, .smi = board_smi, .ctx = b};
    b->env = (struct env){
        .mem = space_create(0, NULL),
        .io = space_create(65536, NULL),
        .ram = ram,
        .ram_low = BOARD_RAM,
        .ncpus = 1,
        .cpu_pins = &b->pins,
        .msi = {board_msi, b},
        .reset = board_reset,
        .power_off = board_power_off,
        .now = board_now,
        .arm = board_arm,
    };
    for (unsigned i = 0; i < 16; i++)
        b->env.isa_irq[i] = (struct irq){board_isa, b, i};
    for (unsigned i = 0; i < 24; i++)
        b->env.gsi[i] = (struct irq){board_gsi, b, i};
    b->low = (struct region){.name = "low", .size = 0xa0000, .ram = ram};
    b->high = (struct region){
        .name = "high", .size = BOARD_RAM - 0x100000, .ram = ram + 0x100000};
    if (space_map(b->env.mem, 0, &b->low, 0) ||
        space_map(b->env.mem, 0x100000, &b->high, 0))
        abort();
    return b;
}

static UNUSED void board_free(struct board *b)
{
    space_destroy(b->env.mem);
    space_destroy(b->env.io);
    free(b->env.ram);
    free(b);
}

/* A device before its attach, with the defaults of its properties. */
static UNUSED void *board_make(struct board *b, const struct dev_class *cls,
                               const char *id)
{
    struct dev *d = calloc(1, cls->size);

    d->cls = cls;
    d->id = id;
    d->env = &b->env;
    for (const struct prop *p = cls->props; p && p->name; p++) {
        char *at = (char *)d + p->offset;
        if (p->kind == PROP_BOOL)
            *(bool *)at = p->def;
        else if (p->kind == PROP_U32)
            *(uint32_t *)at = (uint32_t)p->def;
        else if (p->kind == PROP_U64)
            *(uint64_t *)at = p->def;
    }
    return d;
}

/* Where property `name` of d lies. */
static UNUSED void *board_prop(void *dev, const char *name)
{
    struct dev *d = dev;

    for (const struct prop *p = d->cls->props; p && p->name; p++)
        if (!strcmp(p->name, name))
            return (char *)d + p->offset;
    fprintf(stderr, "no property %s\n", name);
    abort();
}

static UNUSED void *board_attach(struct board *b, void *dev)
{
    struct dev *d = dev;
    struct err e = {0};

    if (d->cls->attach(d, &b->env, &e) < 0) {
        fprintf(stderr, "%s: %s\n", d->id, e.text);
        abort();
    }
    if (d->cls->reset)
        d->cls->reset(d, true);
    return d;
}

static UNUSED void *board_add(struct board *b, const struct dev_class *cls,
                              const char *id)
{
    return board_attach(b, board_make(b, cls, id));
}

static UNUSED void board_remove(void *dev)
{
    struct dev *d = dev;

    if (d->cls->detach)
        d->cls->detach(d);
    free(d);
}

/* Configuration cycles through the ports, as a guest makes them. */
static UNUSED void conf_at(struct board *b, unsigned devfn, unsigned off)
{
    space_write(b->env.io, 0xcf8, 0x80000000u | devfn << 8 | (off & 0xfc), 4);
}

static UNUSED uint32_t conf_read(struct board *b, unsigned devfn, unsigned off,
                                 unsigned bytes)
{
    conf_at(b, devfn, off);
    return (uint32_t)space_read(b->env.io, 0xcfc + (off & 3), bytes);
}

static UNUSED void conf_write(struct board *b, unsigned devfn, unsigned off,
                              uint32_t v, unsigned bytes)
{
    conf_at(b, devfn, off);
    space_write(b->env.io, 0xcfc + (off & 3), v, bytes);
}

static UNUSED uint32_t in(struct board *b, unsigned port, unsigned bytes)
{
    return (uint32_t)space_read(b->env.io, port, bytes);
}

static UNUSED void out(struct board *b, unsigned port, uint32_t v,
                       unsigned bytes)
{
    space_write(b->env.io, port, v, bytes);
}

static UNUSED uint64_t mem_read(struct board *b, uint64_t a, unsigned bytes)
{
    return space_read(b->env.mem, a, bytes);
}

static UNUSED void mem_write(struct board *b, uint64_t a, uint64_t v,
                             unsigned bytes)
{
    space_write(b->env.mem, a, v, bytes);
}

#endif
