/* Address spaces: vm/space.c. */
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <setjmp.h>

#include <cmocka.h>

#include "base/bits.h"
#include "lodge/host.h"
#include "lodge/space.h"

/* A device that writes down what it is asked. */
struct probe {
    char log[512];
    uint64_t value; /* a read gives this, shifted by its offset */
    struct host_mutex *lock;
};

static void note(struct probe *p, const char *format, ...) PRINTF(2, 3);

static void note(struct probe *p, const char *format, ...)
{
    size_t n = strlen(p->log);
    va_list args;

    va_start(args, format);
    vsnprintf(p->log + n, sizeof p->log - n, format, args);
    va_end(args);
}

static uint64_t probe_read(void *dev, uint64_t off, unsigned bytes)
{
    struct probe *p = dev;

    note(p, "r%llx/%u ", (unsigned long long)off, bytes);
    return off < 8 ? p->value >> 8 * off : 0; /* too wide on purpose */
}

static void probe_write(void *dev, uint64_t off, uint64_t v, unsigned bytes)
{
    note(dev, "w%llx/%u=%llx ", (unsigned long long)off, bytes,
         (unsigned long long)v);
}

#define OPS(lo, hi)                                                            \
    ((const struct region_ops){probe_read, probe_write, (lo), (hi)})
static const struct region_ops ops14 = {probe_read, probe_write, 1, 4};
static const struct region_ops ops11 = {probe_read, probe_write, 1, 1};
static const struct region_ops ops44 = {probe_read, probe_write, 4, 4};
static const struct region_ops ops18 = {probe_read, probe_write, 1, 8};
static const struct region_ops ops48 = {probe_read, probe_write, 4, 8};

struct fixture {
    struct space *mem, *io;
    struct probe p, q;
    uint8_t ram[4][PAGE_SIZE];
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);

    f->mem = space_create(0, NULL);
    f->io = space_create(0x10000, NULL);
    f->p.value = 0x8877665544332211;
    f->q.value = 0xf8f7f6f5f4f3f2f1;
    assert_non_null(f->mem);
    assert_non_null(f->io);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    space_destroy(f->mem);
    space_destroy(f->io);
    free(f);
    return 0;
}

#define ASSERT_LOG(p, text)                                                    \
    do {                                                                       \
        assert_string_equal((p).log, text);                                    \
        (p).log[0] = 0;                                                        \
    } while (0)

static void nothing_mapped(void **state)
{
    struct fixture *f = *state;
    struct window w;
    struct span span;
    uint8_t buf[4] = {0};

    assert_true(space_read(f->mem, 0x1234, 8) == UINT64_MAX);
    assert_int_equal(space_read(f->io, 0x80, 2), 0xffff);
    assert_int_equal(space_read(f->io, 0xffff, 4), 0xffffffff);
    assert_int_equal(space_read(f->io, 0x123456789, 1), 0xff);
    assert_int_equal(space_read(f->mem, UINT64_MAX, 4), 0xffffffff);
    space_write(f->mem, UINT64_MAX - 1, 0, 8);
    space_write(f->io, 0xffff, 0, 4);
    assert_false(space_window(f->mem, 0, &w));
    assert_int_equal(space_load(f->mem, 5, buf, 4), -LE_RANGE);
    assert_int_equal(buf[3], 0xff);
    assert_int_equal(space_store(f->mem, 5, buf, 4), -LE_RANGE);
    assert_int_equal(space_span(f->mem, 5, 4, &span), -LE_RANGE);
    /* The ends of the address space. */
    memset(buf, 0, sizeof buf);
    assert_int_equal(space_load(f->mem, UINT64_MAX, buf, 4), -LE_RANGE);
    assert_int_equal(buf[0] & buf[3], 0xff);
    assert_int_equal(space_store(f->mem, UINT64_MAX - 1, buf, 4), -LE_RANGE);
}

static void access_sizes(void **state)
{
    struct fixture *f = *state;
    struct region r = {"p", 16, &ops14, &f->p, NULL, false, NULL, 0, 0};

    space_map(f->mem, 0x1000, &r, 0);
    assert_true(space_read(f->mem, 0x1000, 8) == f->p.value);
    ASSERT_LOG(f->p, "r0/4 r4/4 ");
    assert_int_equal(space_read(f->mem, 0x1001, 4), 0x55443322);
    ASSERT_LOG(f->p, "r1/1 r2/2 r4/1 ");
    space_write(f->mem, 0x1003, 0x123456789abcdef0, 8);
    ASSERT_LOG(f->p, "w3/1=f0 w4/4=789abcde w8/2=3456 wa/1=12 ");
    space_unmap(&r);
    r.ops = &ops11;
    space_map(f->mem, 0x1000, &r, 0);
    assert_int_equal(space_read(f->mem, 0x1002, 2), 0x4433);
    ASSERT_LOG(f->p, "r2/1 r3/1 ");
    space_unmap(&r);
    r.ops = &ops18;
    space_map(f->mem, 0x1000, &r, 0);
    space_write(f->mem, 0x1008, 0x123456789abcdef0, 8);
    ASSERT_LOG(f->p, "w8/8=123456789abcdef0 ");
}

/* Below min: aligned accesses of min, writes with the other bytes kept. */
static void widening(void **state)
{
    struct fixture *f = *state;
    struct region r = {"p", 16, &ops44, &f->p, NULL, false, NULL, 0, 0};

    space_map(f->mem, 0x1000, &r, 0);
    assert_int_equal(space_read(f->mem, 0x1001, 1), 0x22);
    ASSERT_LOG(f->p, "r0/4 ");
    assert_int_equal(space_read(f->mem, 0x1003, 2), 0x5544);
    ASSERT_LOG(f->p, "r0/4 r4/4 ");
    space_write(f->mem, 0x1002, 0xbeef, 2);
    ASSERT_LOG(f->p, "r0/4 w0/4=beef2211 ");
    space_write(f->mem, 0x1004, 0x1122334455667788, 8);
    ASSERT_LOG(f->p, "w4/4=55667788 w8/4=11223344 ");
    space_unmap(&r);
    r.ops = &ops48;
    space_map(f->mem, 0x1000, &r, 0);
    assert_true(space_read(f->mem, 0x1002, 8) == 0x8877665544332211 >> 16);
    ASSERT_LOG(f->p, "r0/4 r4/4 r8/4 ");
}

/* 0xcf8 and 0xcf9: the first byte decides where the access goes. */
static void first_byte_decides(void **state)
{
    struct fixture *f = *state;
    struct region addr = {"cf8", 4, &ops14, &f->p, NULL, false, NULL, 0, 0};
    struct region rst = {"cf9", 1, &ops11, &f->q, NULL, false, NULL, 0, 0};

    space_map(f->io, 0xcf8, &addr, 0);
    space_map(f->io, 0xcf9, &rst, 1);
    space_write(f->io, 0xcf8, 0x80001234, 4);
    ASSERT_LOG(f->p, "w0/4=80001234 ");
    space_write(f->io, 0xcf9, 6, 1);
    ASSERT_LOG(f->q, "w0/1=6 ");
    space_write(f->io, 0xcf9, 0xabcd, 2);
    ASSERT_LOG(f->q, "w0/1=cd ");
    ASSERT_LOG(f->p, "w2/1=ab ");
    /* Past the end of the region: decoded again. */
    space_write(f->io, 0xcfa, 0x44332211, 4);
    ASSERT_LOG(f->p, "w2/2=2211 ");
    assert_int_equal(space_read(f->io, 0xcfb, 2), 0xff44);
}

static void read_only_ops(void **state)
{
    struct fixture *f = *state;
    const struct region_ops none = {NULL, NULL, 1, 4};
    struct region r = {"p", 16, &none, NULL, NULL, false, NULL, 0, 0};

    space_map(f->mem, 0, &r, 0);
    assert_int_equal(space_read(f->mem, 3, 2), 0xffff);
    space_write(f->mem, 3, 1, 2);
}

static void bad_mappings(void **state)
{
    struct fixture *f = *state;
    struct region r = {"p", 0, &ops14, &f->p, NULL, false, NULL, 0, 0};
    const struct region_ops bad[] = {OPS(0, 4), OPS(1, 16), OPS(4, 2),
                                     OPS(1, 3)};

    assert_int_equal(space_map(f->mem, 0, &r, 0), -LE_RANGE);
    r.size = 16;
    assert_int_equal(space_map(f->mem, UINT64_MAX - 14, &r, 0), -LE_RANGE);
    assert_int_equal(space_map(f->io, 0xfff8, &r, 0), -LE_RANGE);
    for (unsigned i = 0; i < ARRAY_LEN(bad); i++) {
        r.ops = &bad[i];
        assert_int_equal(space_map(f->mem, 0, &r, 0), -LE_USAGE);
    }
    r.ops = NULL; /* RAM without memory */
    assert_int_equal(space_map(f->mem, 0, &r, 0), -LE_USAGE);
    r.ops = &ops44;
    r.size = 6; /* no multiple of min */
    assert_int_equal(space_map(f->mem, 0, &r, 0), -LE_USAGE);
    assert_null(r.space);
    space_unmap(&r);
    r.size = 8;
    assert_int_equal(space_map(f->mem, UINT64_MAX - 7, &r, 0), 0);
    assert_int_equal(space_map(f->mem, 0, &r, 0), -LE_STATE);
    assert_int_equal(space_read(f->mem, UINT64_MAX - 3, 8) >> 32, 0xffffffff);
    ASSERT_LOG(f->p, "r4/4 ");
}

static struct region ram_region(const char *name, uint8_t *ram, uint64_t size)
{
    return (struct region){name, size, NULL, NULL, ram, false, NULL, 0, 0};
}

static void ram_and_rom(void **state)
{
    struct fixture *f = *state;
    struct region ram = ram_region("ram", f->ram[0], 2 * PAGE_SIZE);
    struct region rom = ram_region("rom", f->ram[2], PAGE_SIZE);
    struct window w;
    struct span span;
    uint8_t buf[8];

    rom.readonly = true;
    space_map(f->mem, 0, &ram, 0);
    space_map(f->mem, 2 * PAGE_SIZE, &rom, 0);
    space_write(f->mem, 0x101, 0x1122334455667788, 8);
    assert_int_equal(f->ram[0][0x101], 0x88);
    assert_true(space_read(f->mem, 0x101, 8) == 0x1122334455667788);
    assert_int_equal(space_read(f->mem, 0x108, 2), 0xff11 & 0x11);
    /* Across RAM, ROM and nothing. */
    f->ram[2][0] = 0xaa;
    f->ram[2][PAGE_SIZE - 1] = 0xbb;
    space_write(f->mem, 2 * PAGE_SIZE - 2, 0x44332211, 4);
    assert_int_equal(f->ram[1][PAGE_SIZE - 1], 0x22);
    assert_int_equal(f->ram[2][0], 0xaa);
    assert_int_equal(space_read(f->mem, 2 * PAGE_SIZE - 2, 4), 0x00aa2211);
    assert_int_equal(space_read(f->mem, 3 * PAGE_SIZE - 1, 2), 0xffbb);
    assert_int_equal(space_load(f->mem, 3 * PAGE_SIZE - 1, buf, 3), -LE_RANGE);
    assert_int_equal(buf[0], 0xbb);
    assert_int_equal(buf[2], 0xff);
    assert_int_equal(space_load(f->mem, 2 * PAGE_SIZE - 1, buf, 2), 0);
    assert_int_equal(buf[0], 0x22);
    assert_int_equal(buf[1], 0xaa);
    memset(buf, 0x77, sizeof buf);
    assert_int_equal(space_store(f->mem, 2 * PAGE_SIZE - 1, buf, 2), -LE_RANGE);
    assert_int_equal(f->ram[1][PAGE_SIZE - 1], 0x77);
    assert_int_equal(f->ram[2][0], 0xaa);
    assert_true(space_window(f->mem, 0x1fff, &w));
    assert_true(w.base == 0 && w.size == 2 * PAGE_SIZE && w.ram == f->ram[0] &&
                !w.readonly);
    assert_true(space_window(f->mem, 0x2fff, &w) && w.readonly);
    assert_false(space_window(f->mem, 0x3000, &w));
    assert_int_equal(space_span(f->mem, 0x1ff0, 64, &span), 0);
    assert_true(span.p == &f->ram[1][0xff0] && span.n == 16);
    assert_int_equal(space_span(f->mem, 0x2000, 4, &span), -LE_RANGE);
}

/* Flash: read as memory, written as a device. */
static void rom_with_ops(void **state)
{
    struct fixture *f = *state;
    struct region r = ram_region("flash", f->ram[0], PAGE_SIZE);

    r.ops = &ops14;
    r.dev = &f->p;
    assert_int_equal(space_map(f->mem, 0, &r, 0), -LE_USAGE); /* no ROM */
    r.readonly = true;
    assert_int_equal(space_map(f->mem, 0, &r, 0), 0);
    f->ram[0][5] = 0x5a;
    assert_int_equal(space_read(f->mem, 5, 1), 0x5a);
    space_write(f->mem, 4, 0x10, 4);
    ASSERT_LOG(f->p, "w4/4=10 ");
    assert_int_equal(f->ram[0][4], 0);
}

static void priorities(void **state)
{
    struct fixture *f = *state;
    struct region low = ram_region("low", f->ram[0], 4 * PAGE_SIZE);
    struct region mid = {"mid", PAGE_SIZE, &ops14, &f->p, NULL,
                         false, NULL,      0,      0};
    struct region equal = {"equal", 0x800, &ops14, &f->q, NULL,
                           false,   NULL,  0,      0};
    struct window w;

    space_map(f->mem, 0x1000, &mid, 5);
    space_map(f->mem, 0, &low, 0);
    assert_true(space_window(f->mem, 0xfff, &w));
    assert_true(w.base == 0 && w.size == 0x1000 && w.ram == f->ram[0]);
    assert_false(space_window(f->mem, 0x1000, &w));
    assert_true(space_window(f->mem, 0x3000, &w));
    assert_true(w.base == 0x2000 && w.size == 0x2000 && w.ram == f->ram[2]);
    space_map(f->mem, 0x1400, &equal, 5); /* the later one wins */
    space_write(f->mem, 0x1400, 1, 1);
    ASSERT_LOG(f->q, "w0/1=1 ");
    space_write(f->mem, 0x1c00, 1, 1);
    ASSERT_LOG(f->p, "wc00/1=1 ");
    space_unmap(&mid);
    assert_true(space_window(f->mem, 0x1000, &w));
    assert_true(w.base == 0 && w.size == 0x1400);
    assert_true(space_window(f->mem, 0x1c00, &w) && w.base == 0x1c00);
    space_unmap(&equal);
    assert_true(space_window(f->mem, 0x1000, &w) && w.size == 0x4000);
    space_unmap(&low);
    assert_false(space_window(f->mem, 0, &w));
}

/* --- the listener --- */

static void hear_map(void *ctx, const struct window *w)
{
    note(ctx, "+%llx..%llx ", (unsigned long long)w->base,
         (unsigned long long)(w->base + w->size));
}

static void hear_unmap(void *ctx, const struct window *w)
{
    note(ctx, "-%llx..%llx ", (unsigned long long)w->base,
         (unsigned long long)(w->base + w->size));
}

static void hear_changed(void *ctx)
{
    note(ctx, "! ");
}

static void hear_wrote(void *ctx, gpa_t a, size_t n)
{
    note(ctx, "*%llx/%zu ", (unsigned long long)a, n);
}

static void hear_bells(void *ctx, struct region *r, bool there)
{
    note(ctx, "%c%s:%llx/%u ", there ? '+' : '-', r->name,
         (unsigned long long)r->base, r->bells.count);
}

/* Told while the region has its place: after it came, before it goes. */
static void bells(void **state)
{
    struct fixture *f = *state;
    struct probe ear = {0};
    struct region quiet = {"quiet", 64, &ops14, &f->p};
    struct region dev = {"dev", 64, &ops14, &f->p, .bells = {16, 4, 3, 2}};
    const struct space_listener l = {.bells = hear_bells, .ctx = &ear};

    space_listen(f->mem, &l);
    space_map(f->mem, 0x1000, &quiet, 0);
    space_map(f->mem, 0x2000, &dev, 0);
    ASSERT_LOG(ear, "+dev:2000/3 ");
    space_unmap(&dev);
    space_unmap(&quiet);
    ASSERT_LOG(ear, "-dev:2000/3 ");
    space_map(f->mem, 0x5000, &dev, 0);
    ASSERT_LOG(ear, "+dev:5000/3 ");
}

static void hear_settle(void *ctx)
{
    note(ctx, "settle ");
}

static void late(void **state)
{
    struct fixture *f = *state;
    struct probe ear = {0};
    struct region dev = {"dev", 64, &ops14, &f->p, .late = true};
    const struct space_listener l = {
        .bells = hear_bells, .settle = hear_settle, .ctx = &ear};

    space_settle(f->mem); /* nobody listens */
    space_listen(f->mem, &l);
    space_map(f->mem, 0x2000, &dev, 0);
    space_settle(f->mem);
    space_unmap(&dev);
    ASSERT_LOG(ear, "+dev:2000/0 settle -dev:2000/0 ");
}

static void listener(void **state)
{
    struct fixture *f = *state;
    struct probe ear = {0};
    struct region ram = ram_region("ram", f->ram[0], 4 * PAGE_SIZE);
    struct region dev = {"dev", 0x1000, &ops14, &f->p, NULL, false, NULL, 0, 0};
    const struct space_listener l = {hear_map, hear_unmap, hear_changed,
                                     hear_wrote, &ear};

    space_map(f->mem, 0, &ram, 0);
    space_listen(f->mem, &l);
    ASSERT_LOG(ear, "+0..4000 ");
    space_map(f->mem, 0x1000, &dev, 1);
    ASSERT_LOG(ear, "-0..4000 +0..1000 +2000..4000 ! ");
    space_unmap(&dev);
    ASSERT_LOG(ear, "-0..1000 -2000..4000 +0..4000 ! ");
    space_map(f->mem, 0x10000, &dev, 1); /* no RAM is concerned */
    ASSERT_LOG(ear, "");
    space_store(f->mem, 0x3ffe, "abcd", 4);
    ASSERT_LOG(ear, "*3ffe/2 ");
    space_write(f->mem, 0x10, 1, 8);
    ASSERT_LOG(ear, "*10/8 ");
    space_wrote(f->mem, 0x20, 32);
    ASSERT_LOG(ear, "*20/32 ");
}

/* A random set of regions against a byte-by-byte model. */
static void random_maps(void **state)
{
    enum { REGIONS = 60, BYTES = 256, ROUNDS = 600 };
    struct fixture *f = *state;
    static struct region r[REGIONS];
    unsigned order[REGIONS], clock = 0;

    srand(7);
    for (unsigned i = 0; i < REGIONS; i++) {
        r[i] = ram_region("r", calloc(1, BYTES), 1 + (unsigned)rand() % 60);
        memset(r[i].ram, (int)i, BYTES);
    }
    for (unsigned round = 0; round < ROUNDS; round++) {
        unsigned i = (unsigned)rand() % REGIONS;

        if (r[i].space)
            space_unmap(&r[i]);
        else {
            space_map(f->mem, (unsigned)rand() % (BYTES - 60), &r[i],
                      rand() % 4);
            order[i] = clock++;
        }
        for (unsigned a = 0; a < BYTES; a++) {
            const struct region *best = NULL;

            for (unsigned k = 0; k < REGIONS; k++) {
                if (!r[k].space || a - r[k].base >= r[k].size)
                    continue;
                if (!best || r[k].priority > best->priority ||
                    (r[k].priority == best->priority &&
                     order[k] > order[best - r]))
                    best = &r[k];
            }
            assert_int_equal(space_read(f->mem, a, 1), best ? best - r : 0xff);
        }
    }
    for (unsigned i = 0; i < REGIONS; i++) {
        space_unmap(&r[i]);
        free(r[i].ram);
    }
}

static void whole_port_table(void **state)
{
    struct fixture *f = *state;
    struct region all = {"all", 0x10000, &ops11, &f->p, NULL,
                         false, NULL,    0,      0};
    struct region one = {"one", 1, &ops11, &f->q, NULL, false, NULL, 0, 0};

    space_map(f->io, 0, &all, 0);
    space_map(f->io, 0xffff, &one, 1);
    space_write(f->io, 0, 1, 1);
    space_write(f->io, 0xfffe, 0x0302, 2);
    ASSERT_LOG(f->p, "w0/1=1 wfffe/1=2 wffff/1=3 ");
    space_write(f->io, 0xffff, 4, 1);
    ASSERT_LOG(f->q, "w0/1=4 ");
}

/* --- callbacks that change the map, and the lock --- */

struct mover {
    struct space *s;
    struct host_mutex *lock;
    struct region *bar;
    struct region self;
    uint64_t stored;
};

/* Unmaps itself and the other one in mid-access, stores, maps again. */
static void mover_write(void *dev, uint64_t off, uint64_t v, unsigned bytes)
{
    struct mover *m = dev;
    uint8_t byte = (uint8_t)v;

    (void)bytes;
    assert_int_equal(space_store(m->s, 0x10 + off, &byte, 1), 0);
    space_unmap(m->bar);
    space_unmap(&m->self);
    assert_int_equal(space_map(m->s, 0x100000 + (v << 12), m->bar, 1), 0);
    assert_int_equal(space_map(m->s, 0x8000, &m->self, 1), 0);
    m->stored++;
    space_write_locked(m->s, 0x20, m->stored, 8);
}

static void callbacks_may_map(void **state)
{
    struct fixture *f = *state;
    struct host_mutex lock;
    struct mover m = {0};
    const struct region_ops ops = {NULL, mover_write, 1, 1};
    struct region ram = ram_region("ram", f->ram[0], PAGE_SIZE);
    struct region bar = ram_region("bar", f->ram[1], PAGE_SIZE);

    host_mutex_init(&lock);
    m.s = space_create(0, &lock);
    m.bar = &bar;
    m.self = (struct region){"m", 16, &ops, &m, NULL, false, NULL, 0, 0};
    space_map(m.s, 0, &ram, 0);
    space_map(m.s, 0x8000, &m.self, 1);
    space_write(m.s, 0x8001, 0x44332211, 4);
    assert_memory_equal(&f->ram[0][0x11], "\x11\x22\x33\x44", 4);
    assert_int_equal(space_read(m.s, 0x20, 8), 4);
    assert_int_equal(bar.base, 0x144000);
    space_destroy(m.s);
    host_mutex_destroy(&lock);
}

struct race {
    struct host_mutex lock;
    struct space *s;
    uint8_t ram[4][PAGE_SIZE];
    atomic_bool stop;
    atomic_ulong bad, reads, changes;
};

/* The page at 0x1000 is 1 or 2 or absent, the one at 0 always 1. */
static void race_reader(void *arg)
{
    struct race *t = arg;
    struct window w;

    while (!t->stop) {
        uint64_t v = space_read(t->s, 0x1800, 8);
        uint8_t byte = 0;

        if (v != 0x0101010101010101 && v != 0x0202020202020202)
            t->bad++;
        if (space_load(t->s, 0x123, &byte, 1) || byte != 1)
            t->bad++;
        if (!space_window(t->s, 0x10, &w) || w.base || w.ram != t->ram[0])
            t->bad++;
        t->reads++;
    }
}

static void lock_free_readers(void **state)
{
    static struct race t;
    struct region low, high;
    struct host_thread *threads[2];

    (void)state;
    memset(t.ram[0], 1, 2 * PAGE_SIZE);
    memset(t.ram[2], 2, PAGE_SIZE);
    host_mutex_init(&t.lock);
    t.s = space_create(0, &t.lock);
    low = ram_region("low", t.ram[0], 2 * PAGE_SIZE);
    high = ram_region("high", t.ram[2], PAGE_SIZE);
    space_map(t.s, 0, &low, 0);
    for (unsigned i = 0; i < 2; i++)
        threads[i] = host_thread_start("reader", race_reader, &t);
    while (t.reads < 1000)
        ;
    for (unsigned i = 0; i < 20000; i++) {
        host_mutex_lock(&t.lock);
        space_map(t.s, 0x1000, &high, 1);
        host_mutex_unlock(&t.lock);
        host_mutex_lock(&t.lock);
        space_unmap(&high);
        host_mutex_unlock(&t.lock);
    }
    t.stop = true;
    for (unsigned i = 0; i < 2; i++)
        host_thread_join(threads[i]);
    assert_int_equal(t.bad, 0);
    space_destroy(t.s);
    host_mutex_destroy(&t.lock);
}

#define SPACE_TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SPACE_TEST(nothing_mapped),
        SPACE_TEST(access_sizes),
        SPACE_TEST(widening),
        SPACE_TEST(first_byte_decides),
        SPACE_TEST(read_only_ops),
        SPACE_TEST(bad_mappings),
        SPACE_TEST(ram_and_rom),
        SPACE_TEST(rom_with_ops),
        SPACE_TEST(priorities),
        SPACE_TEST(listener),
        SPACE_TEST(random_maps),
        SPACE_TEST(whole_port_table),
        SPACE_TEST(bells),
        SPACE_TEST(late),
        SPACE_TEST(callbacks_may_map),
        cmocka_unit_test(lock_free_readers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
