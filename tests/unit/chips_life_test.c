/*
 * What every chip must do, whatever it is: come up the same after any reset,
 * go through a snapshot unchanged, refuse a damaged one, leave nothing behind
 * when it is detached, and stop its timers while paused.
 */
#include "fake_env.h"

#include <stdio.h>

#include "hw/intc/lapic.h"
#include "hw/registry.h"

struct row {
    const char *name;
    struct {
        uint16_t base, size;
    } io[4];
    uint64_t mem;
    unsigned mem_size;
    const char *kept; /* fields a reset leaves alone */
};

static const struct row rows[] = {
    {.name = "i8259", .io = {{0x20, 2}, {0xa0, 2}, {0x4d0, 2}}},
    {.name = "ioapic", .mem = 0xfec00000, .mem_size = 0x44, .kept = "lines"},
    {.name = "lapic"},
    {.name = "i8254", .io = {{0x40, 4}, {0x61, 1}}},
    {.name = "mc146818",
     .io = {{0x70, 4}},
     .kept = "ram extended offset_s phase dow_shift next_cycle"},
    {.name = "hpet", .mem = 0xfed00000, .mem_size = 0x160, .kept = "base"},
    {.name = "serial", .io = {{0x3f8, 8}}},
    {.name = "i8042", .io = {{0x60, 1}, {0x64, 1}}},
    {.name = "dma8237", .io = {{0, 16}, {0x80, 16}, {0xc0, 32}}},
    {.name = "debug-exit", .io = {{0xf4, 4}}},
    {.name = "port80", .io = {{0x80, 1}}},
    {.name = "port92", .io = {{0x92, 1}}},
    {.name = "ferr", .io = {{0xf0, 1}}},
    {.name = "testdev",
     .io = {{0xe0, 12}},
     .mem = 0xff000000,
     .mem_size = 0x10000},
};

static uint64_t seed;

static uint32_t any(uint32_t below)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(seed >> 33) % below;
}

static void poke_lapic(struct dev *d)
{
    void *cpu = lapic_ctx(d);

    switch (any(3)) {
    case 0:
        lapic_cpu_ops.write(cpu, any(0x40) << 4, any(UINT32_MAX) >> any(32));
        break;
    case 1: lapic_cpu_ops.write(cpu, 0xf0, 0x1ff); break;
    default: lapic_cpu_ops.ack(cpu); break;
    }
}

static void poke_ports(struct fake *f, const struct row *r)
{
    unsigned n = 0, i;
    uint16_t port;

    while (n < ARRAY_LEN(r->io) && r->io[n].size)
        n++;
    if (!n)
        return;
    i = any(n);
    port = (uint16_t)(r->io[i].base + any(r->io[i].size));
    if (any(3))
        outb(f, port, (uint8_t)any(256));
    else
        inb(f, port);
}

/* As a guest that does not know what it does. */
static void poke(struct fake *f, const struct row *r, struct dev *d)
{
    if (d->cls == &lapic_class)
        poke_lapic(d);
    poke_ports(f, r);
    if (r->mem_size) {
        uint64_t a = r->mem + any(r->mem_size / 4) * 4;

        set_mem32(f, a, any(UINT32_MAX) >> any(32));
        mem32(f, a);
    }
    if (any(8) == 0)
        fake_advance(f, any(100000));
}

struct saved {
    uint8_t *p;
    size_t n;
};

static struct saved save(const struct dev *d)
{
    struct saved s = {.n = state_size(d->cls->state, d->cls->version)};

    s.p = calloc(1, s.n + 1);
    assert_non_null(s.p);
    state_save(d->cls->state, d->cls->version, d, s.p);
    return s;
}

static const struct dev_class *find(const struct row *r)
{
    const struct dev_class *c = dev_class_find(r->name);

    if (!c)
        fail_msg("no class %s", r->name);
    return c;
}

/* The bytes of top-level fields that a reset keeps are made equal. */
static void mask_kept(const struct row *r, const struct dev_class *c,
                      struct saved *s)
{
    size_t at = 0;

    for (const struct field *f = c->state; f->name; f++) {
        struct field one[] = {*f, FIELD_END};
        size_t n = state_size(one, c->version);
        const char *found = r->kept ? strstr(r->kept, f->name) : NULL;

        if (found)
            memset(s->p + at, 0, n);
        at += n;
    }
}

static void reset_is_fresh(void **state UNUSED)
{
    for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
        struct fake *f = fake_new(1);
        struct dev *d = fake_add(f, find(&rows[i]));
        struct saved fresh = save(d), again;

        mask_kept(&rows[i], d->cls, &fresh);
        seed = i;
        for (unsigned round = 0; round < 20; round++) {
            for (unsigned n = 0; n < 200; n++)
                poke(f, &rows[i], d);
            d->cls->reset(d, round & 1);
            again = save(d);
            mask_kept(&rows[i], d->cls, &again);
            /* Times are those of the reset. */
            if (strcmp(rows[i].name, "hpet") &&
                memcmp(fresh.p, again.p, fresh.n))
                fail_msg("%s is not the same after a reset", rows[i].name);
            free(again.p);
        }
        free(fresh.p);
        fake_free(f);
    }
}

static void snapshot_and_back(void **state UNUSED)
{
    for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
        const struct dev_class *c = find(&rows[i]);
        struct fake *f = fake_new(1);
        struct dev *d = fake_add(f, c);

        seed = i;
        for (unsigned round = 0; round < 50; round++) {
            struct fake *to = fake_new(1);
            struct dev *copy = fake_add(to, c);
            struct saved was, now;
            struct err e = {0};

            for (unsigned n = 0; n < 50; n++)
                poke(f, &rows[i], d);
            to->now = f->now;
            if (c->pause)
                c->pause(d);
            was = save(d);
            if (state_load(c->state, c->version, copy, was.p, was.n, &e))
                fail_msg("%s: %s", c->name, e.text);
            if (c->loaded && c->loaded(copy, c->version))
                fail_msg("%s does not take its own state", c->name);
            if (c->resume)
                c->resume(d);
            now = save(copy);
            free(was.p);
            was = save(d);
            if (memcmp(was.p, now.p, was.n))
                fail_msg("%s changes in a snapshot", c->name);
            if (fake_next(f) != fake_next(to))
                fail_msg("%s waits for another time", c->name);
            free(was.p);
            free(now.p);
            fake_free(to);
        }
        fake_free(f);
    }
}

static void paused_is_quiet(void **state UNUSED)
{
    for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
        const struct dev_class *c = find(&rows[i]);
        struct fake *f = fake_new(1);
        struct dev *d = fake_add(f, c);

        seed = i;
        for (unsigned n = 0; n < 500; n++) {
            poke(f, &rows[i], d);
            if (!c->pause) {
                assert_true(fake_next(f) == UINT64_MAX);
                continue;
            }
            c->pause(d);
            assert_true(fake_next(f) == UINT64_MAX);
            if (c->resume)
                c->resume(d);
        }
        fake_free(f);
    }
}

static bool all_zero(const void *p, size_t n)
{
    const uint8_t *b = p;

    while (n && !*b) {
        b++;
        n--;
    }
    return !n;
}

static void detach_leaves_nothing(void **state UNUSED)
{
    struct fake *f = fake_new(1);
    struct env *env = &f->env;
    static const uint64_t pages[] = {0xfec00000, 0xfed00000, 0xff000000};

    for (unsigned i = 0; i < ARRAY_LEN(rows); i++)
        fake_add(f, find(&rows[i]));
    while (f->ndevs) {
        struct dev *d = f->dev[--f->ndevs];

        d->cls->detach(d);
        free(d);
    }
    for (uint32_t port = 0; port < 65536; port++)
        assert_int_equal(inb(f, (uint16_t)port), 0xff);
    for (unsigned i = 0; i < ARRAY_LEN(pages); i++)
        for (unsigned n = 0; n < 4096; n += 4)
            assert_int_equal(mem32(f, pages[i] + n), ~0u);
    assert_true(all_zero(env->isa_irq, sizeof env->isa_irq));
    assert_true(all_zero(env->gsi, sizeof env->gsi));
    assert_null(env->msi.send);
    assert_null(env->pic_intr.set);
    assert_null(env->pic_inta.ack);
    assert_null(env->nmi.set);
    assert_null(env->eoi.eoi);
    assert_null(env->apics);
    assert_null(env->pit_irq0.set);
    assert_null(env->rtc_irq8.set);
    assert_null(env->rtc_event.set);
    assert_null(env->iochk.set);
    assert_null(env->serr.set);
    assert_null(env->nmi_mask.set);
    assert_null(env->input.key);
    assert_null(env->input.motion);
    assert_null(env->input.dev);
    assert_null(env->isa_dma);
    fake_free(f);
}

/* --- damaged state --- */

/* Where the value of a path like "chip[1].vector" is; its field in *out. */
static void *locate(const struct field *fields, void *obj, const char *path,
                    const struct field **out)
{
    char name[64];
    unsigned index = 0;
    int used = 0;
    void *at;

    if (sscanf(path, "%63[a-z0-9_]%n", name, &used) != 1)
        fail_msg("bad path %s", path);
    path += used;
    if (*path == '[') {
        sscanf(path, "[%u]%n", &index, &used);
        path += used;
    }
    for (const struct field *f = fields; f->name; f++) {
        static const uint8_t bytes[] = {
            [FIELD_U8] = 1,  [FIELD_U16] = 2,  [FIELD_U32] = 4,
            [FIELD_U64] = 8, [FIELD_BOOL] = 1, [FIELD_BYTES] = 1};

        if (strcmp(f->name, name))
            continue;
        assert_true(index < f->count);
        at = (uint8_t *)obj + f->offset +
             index * (f->kind == FIELD_STRUCT ? f->size : bytes[f->kind]);
        if (f->kind == FIELD_STRUCT)
            return locate(f->sub, at, path + 1, out);
        *out = f;
        return at;
    }
    fail_msg("no field %s", name);
    return NULL;
}

static const struct {
    const char *cls, *path;
    uint64_t value;
    bool ok;
} damage[] = {
    {"i8259", "chip[0].vector", 0x30, true},
    {"i8259", "chip[0].vector", 0x31, false},
    {"i8259", "chip[0].elcr", 0xf8, true},
    {"i8259", "chip[0].elcr", 0x04, false},
    {"i8259", "chip[1].elcr", 0xde, true},
    {"i8259", "chip[1].elcr", 0x01, false},
    {"i8259", "chip[1].latch", 0x01, false}, /* an edge without its line */
    {"ioapic", "redtbl[23]", 0xff0000000001afff, true},
    {"ioapic", "redtbl[0]", 0x0001000000010000, false},
    {"ioapic", "redtbl[5]", 0xc051, true},
    {"ioapic", "redtbl[5]", 0x4051, false}, /* remote IRR of an edge */
    {"lapic", "apic_base", 0xfee00d00, true},
    {"lapic", "apic_base", 0xfee00500, false},
    {"lapic", "apic_base", 0xfee00901, false},
    {"lapic", "lvt[3]", 0x1c700, true},
    {"lapic", "lvt[3]", 0x00700, false}, /* unmasked while disabled */
    {"lapic", "lvt[0]", 0x14000, false},
    {"lapic", "lvt[5]", 0x10700, false},
    {"lapic", "isr.word[0]", 0x10000, true},
    {"lapic", "isr.word[0]", 0x8000, false},
    {"lapic", "irr.word[0]", 0x0001, false},
    {"lapic", "irr.word[1]", 0x0001, true},
    {"lapic", "svr", 0x13ff, true},
    {"lapic", "svr", 0x10ff, true},
    {"lapic", "svr", 0x20ff, false},
    {"lapic", "dcr", 0x0b, true},
    {"lapic", "dcr", 0x04, false},
    {"lapic", "ldr", 0xff000000, true},
    {"lapic", "ldr", 0x00000001, false},
    {"lapic", "dfr", 0x0fffffff, true},
    {"lapic", "dfr", 0, false},
    {"lapic", "timer_start", 1, true},
    {"lapic", "timer_start", UINT64_MAX, false},
    {"i8254", "counter[0].state", 1, false}, /* counting, but no count */
    {"i8254", "counter[1].initial", 0x10000, true},
    {"i8254", "counter[1].control", 0x3f, true},
    {"i8254", "next_edge", 5, false},
    {"mc146818", "ram[10]", 0xa6, false},
    {"mc146818", "ram[12]", 0xf0, true},
    {"mc146818", "ram[12]", 0x01, false},
    {"mc146818", "ram[13]", 0x00, false},
    {"mc146818", "offset_s", UINT64_MAX, true},
    {"mc146818", "offset_s", 1ull << 62, false},
    {"mc146818", "offset_s", 1ull << 63, false},
    {"mc146818", "next_cycle", UINT64_MAX, false},
    {"hpet", "conf", 3, true},
    {"hpet", "conf", 4, false},
    {"hpet", "status", 7, true},
    {"hpet", "status", 8, false},
    {"hpet", "base", UINT64_MAX, false},
    {"hpet", "timer[0].conf", 0x2000, true},
    {"hpet", "timer[0].conf", 0x0001, false},
    {"hpet", "timer[0].conf", 0x0600, false}, /* route 3 */
    {"hpet", "timer[2].conf", 0x0100, false}, /* 32 bits, cmp all ones */
    {"serial", "uart.rx_count", 1, false},
    {"serial", "uart.tx_count", 1, false},
    {"serial", "uart.lsr", 0x61, false},
    {"serial", "uart.lsr", 0x00, false},
    {"serial", "uart.fcr", 0x01, true},
    {"serial", "uart.fcr", 0xc0, false},
    {"serial", "uart.fcr", 0x03, false},
    {"serial", "uart.rx_error[3]", 0x1c, true},
    {"serial", "uart.rx_error[3]", 0x02, false},
    {"i8042", "kbd.set", 1, true},
    {"i8042", "kbd.set", 3, true},
    {"i8042", "kbd.set", 0, false},
    {"i8042", "kbd.command", 0xed, true},
    {"i8042", "kbd.command", 0x10, false},
    {"i8042", "mouse.id", 4, true},
    {"i8042", "mouse.id", 1, false},
    {"i8042", "mouse.command", 0xf3, true},
    {"i8042", "mouse.command", 0xe8, true},
    {"i8042", "mouse.command", 0x01, false},
    {"i8042", "mouse.dx", 32767, true},
    {"i8042", "mouse.dx", 32768, false},
    {"i8042", "mouse.dy", 0x80000000, false},
    {"i8042", "mouse.dz", 0xffff0000, false},
    {"i8042", "next", UINT64_MAX, false},
};

static void damaged_state(void **state UNUSED)
{
    for (unsigned i = 0; i < ARRAY_LEN(damage); i++) {
        struct fake *f = fake_new(1);
        struct dev *d = fake_add(f, dev_class_find(damage[i].cls));
        const struct dev_class *c = d->cls;
        const struct field *field;
        void *at = locate(c->state, d, damage[i].path, &field);
        int rc;

        switch (field->kind) {
        case FIELD_U16: *(uint16_t *)at = (uint16_t)damage[i].value; break;
        case FIELD_U32: *(uint32_t *)at = (uint32_t)damage[i].value; break;
        case FIELD_U64: *(uint64_t *)at = damage[i].value; break;
        default: *(uint8_t *)at = (uint8_t)damage[i].value; break;
        }
        rc = c->loaded(d, c->version);
        if (rc != (damage[i].ok ? 0 : -LE_FORMAT))
            fail_msg("%s: %s = %llx gives %d", c->name, damage[i].path,
                     (unsigned long long)damage[i].value, rc);
        fake_free(f);
    }
}

/* What a device holds of others comes back with its state. */
static void loaded_takes_hold(void **state UNUSED)
{
    struct fake *f = fake_new(1);
    struct dev *kbc = fake_add(f, dev_class_find("i8042"));
    const struct field *field;

    *(uint8_t *)locate(kbc->cls->state, kbc, "output_port", &field) &= ~2;
    assert_int_equal(kbc->cls->loaded(kbc, 1), 0);
    assert_false(f->a20);
    *(uint8_t *)locate(kbc->cls->state, kbc, "output_port", &field) |= 2;
    assert_int_equal(kbc->cls->loaded(kbc, 1), 0);
    assert_true(f->a20);
    fake_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reset_is_fresh),
        cmocka_unit_test(snapshot_and_back),
        cmocka_unit_test(paused_is_quiet),
        cmocka_unit_test(detach_leaves_nothing),
        cmocka_unit_test(damaged_state),
        cmocka_unit_test(loaded_takes_hold),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
