/*
 * 8259s, IOAPIC and 8254 that are the engine's (lodge/chips.h): what the
 * devices give it and take from it. What was taken is looked at by moving it
 * to a device of the same class that runs by itself.
 */
#include "fake_env.h"

#include "hw/intc/i8259.h"
#include "hw/registry.h"
#include "lodge/chips.h"

enum { LINES = 8 };
#define IOAPIC 0xfec00000ull
#define MS     (NS_PER_SEC / 1000)

static struct fake *f, *own; /* with an engine's chips, and without */
static struct chip_regs engine[3];
static unsigned sets[3];
static struct {
    enum engine_chip which;
    unsigned n;
    bool level;
} said[LINES];
static unsigned lines, messages;
static uint32_t sent;

static int get(void *ctx UNUSED, enum engine_chip which, struct chip_regs *r)
{
    *r = engine[which];
    return 0;
}

static int set(void *ctx UNUSED, enum engine_chip which,
               const struct chip_regs *r)
{
    engine[which] = *r;
    sets[which]++;
    return 0;
}

static void line(void *ctx UNUSED, enum engine_chip which, unsigned n,
                 bool level)
{
    assert_true(lines < LINES);
    said[lines].which = which;
    said[lines].n = n;
    said[lines++].level = level;
}

static void send(void *ctx UNUSED, uint64_t address UNUSED, uint32_t data)
{
    messages++;
    sent = data;
}

static int setup(void **state UNUSED)
{
    f = fake_new(1);
    own = fake_new(1);
    f->env.engine_chips = (struct engine_chips){get, set, line, NULL};
    f->env.msi = own->env.msi = (struct msi_sink){send, NULL};
    memset(engine, 0, sizeof engine);
    memset(sets, 0, sizeof sets);
    lines = messages = 0;
    return 0;
}

static int teardown(void **state UNUSED)
{
    fake_free(f);
    fake_free(own);
    return 0;
}

static struct dev *add(const char *class)
{
    struct dev *d = fake_add(f, dev_class_find(class));

    d->cls->reset(d, true);
    return d;
}

/* Pauses d and goes on with what it is then, without the engine. */
static struct dev *take_over(struct dev *d)
{
    const struct dev_class *c = d->cls;
    struct dev *to = fake_add(own, c);
    uint8_t bytes[4096];
    size_t n = state_size(c->state, c->version);
    struct err e;

    assert_true(n <= sizeof bytes);
    c->pause(d);
    state_save(c->state, c->version, d, bytes);
    assert_int_equal(state_load(c->state, c->version, to, bytes, n, &e), 0);
    assert_int_equal(c->loaded(to, c->version), 0);
    return to;
}

static bool heard(unsigned n, enum engine_chip which, unsigned input,
                  bool level)
{
    return n < lines && said[n].which == which && said[n].n == input &&
           said[n].level == level;
}

/* --- 8259s --- */

static void pics_are_given(void **state UNUSED)
{
    const struct pic_regs *m = &engine[CHIP_PICS].pic[0];
    const struct pic_regs *s = &engine[CHIP_PICS].pic[1];

    add("i8259");
    assert_true(sets[CHIP_PICS] > 0);
    assert_int_equal(m->lowest, 7);
    static const uint8_t icw[] = {0x11, 0x28, 0x04, 0x03};

    for (unsigned n = 0; n < 4; n++)
        outb(f, n ? 0x21 : 0x20, icw[n]);
    assert_int_equal(m->init, 0);
    assert_int_equal(m->vector, 0x28);
    assert_true(m->auto_eoi && m->icw4_due);
    outb(f, 0xa1, 0xbf);
    assert_int_equal(s->imr, 0xbf);
    outb(f, 0x4d1, 0x0c);
    assert_int_equal(s->elcr, 0x0c);
    outb(f, 0x20, 0xc2); /* priority: IR2 is the lowest */
    assert_int_equal(m->lowest, 2);
    outb(f, 0xa0, 0x6b); /* special mask, read ISR */
    assert_true(s->special_mask && s->read_isr);
    outb(f, 0xa0, 0x11);
    assert_int_equal(s->init, 1); /* ICW2 is due */
}

/* To the engine's 8259s and to its IOAPIC; nothing interrupts by itself. */
static void lines_are_told(void **state UNUSED)
{
    add("ioapic");
    add("i8259");
    sets[CHIP_PICS] = sets[CHIP_IOAPIC] = 0;
    irq_set(&f->env.isa_irq[0], true);
    irq_set(&f->env.isa_irq[12], true);
    irq_set(&f->env.isa_irq[12], false);
    irq_set(&f->env.gsi[20], true);
    assert_int_equal(lines, 7);
    assert_true(heard(0, CHIP_PICS, 0, true));
    assert_true(heard(1, CHIP_IOAPIC, 2, true));
    assert_true(heard(2, CHIP_PICS, 12, true));
    assert_true(heard(3, CHIP_IOAPIC, 12, true));
    assert_true(heard(4, CHIP_PICS, 12, false));
    assert_true(heard(5, CHIP_IOAPIC, 12, false));
    assert_true(heard(6, CHIP_IOAPIC, 20, true));
    assert_int_equal(sets[CHIP_PICS] + sets[CHIP_IOAPIC] + messages, 0);
    assert_false(f->cpu[0].intr);
}

static struct pic_regs pic_at(uint8_t vector)
{
    return (struct pic_regs){.vector = vector, .lowest = 7, .icw4_due = true};
}

/* A request of the slave's goes on as one, vector and all. */
static void pics_are_taken(void **state UNUSED)
{
    struct dev *d = add("i8259"), *to;

    irq_set(&f->env.isa_irq[11], true);
    irq_set(&f->env.isa_irq[3], true);
    engine[CHIP_PICS].pic[0] = pic_at(0x28);
    engine[CHIP_PICS].pic[1] = pic_at(0x70);
    engine[CHIP_PICS].pic[0].irr = 1 << 3 | 1 << 2;
    engine[CHIP_PICS].pic[0].imr = 1 << 6;
    engine[CHIP_PICS].pic[1].irr = 1 << 3;
    to = take_over(d);
    assert_int_equal(inb(own, 0x21), 1 << 6);
    assert_int_equal(i8259_inta(to), 0x73);
    assert_int_equal(i8259_inta(to), 0x2f); /* IR3 waits behind IR2 */
    outb(own, 0xa0, 0x20);
    outb(own, 0x20, 0x20);
    assert_int_equal(i8259_inta(to), 0x2b);
}

/* The engine's 8254 leaves a tick behind, its line low. An edge of another
   line that fell since is gone, as it is with the chip. */
static void pic_edges(void **state UNUSED)
{
    struct dev *d = add("i8259"), *to;

    engine[CHIP_PICS].pic[0] = pic_at(0x28);
    engine[CHIP_PICS].pic[1] = pic_at(0x70);
    engine[CHIP_PICS].pic[0].irr = 1 << 0 | 1 << 5;
    to = take_over(d);
    assert_int_equal(inb(own, 0x20), 1 << 0);
    assert_int_equal(i8259_inta(to), 0x28);
    /* And back: the next tick is a new edge. */
    d->cls->loaded(d, 1);
    assert_int_equal(engine[CHIP_PICS].pic[0].irr, 1 << 0);
    assert_int_equal(engine[CHIP_PICS].pic[0].lines, 0);
}

/* --- IOAPIC --- */

static void ioapic_is_given(void **state UNUSED)
{
    const struct ioapic_regs *r = &engine[CHIP_IOAPIC].ioapic;
    struct dev *d = add("ioapic");

    assert_int_equal(r->redtbl[23], 1 << 16);
    set_mem32(f, IOAPIC, 0);
    set_mem32(f, IOAPIC + 0x10, 5 << 24);
    assert_int_equal(r->id, 5);
    irq_set(&f->env.gsi[9], true);
    irq_set(&f->env.gsi[10], true);
    set_mem32(f, IOAPIC, 0x10 + 2 * 9);
    set_mem32(f, IOAPIC + 0x10, 0x8031); /* level */
    set_mem32(f, IOAPIC, 0x10 + 2 * 10);
    set_mem32(f, IOAPIC + 0x10, 0x32); /* edge */
    assert_int_equal(r->regsel, 0x10 + 2 * 10);
    assert_int_equal(r->redtbl[9], 0x8031);
    assert_int_equal(messages, 0); /* that is the engine's to send */
    d->cls->loaded(d, 1);
    assert_int_equal(r->lines, 1 << 9); /* an old edge is none anew */
}

static void ioapic_is_taken(void **state UNUSED)
{
    struct ioapic_regs *r = &engine[CHIP_IOAPIC].ioapic;
    struct dev *d = add("ioapic");

    irq_set(&f->env.gsi[9], true);
    irq_set(&f->env.gsi[17], true);
    r->id = 3;
    r->regsel = 0x10 + 2 * 9;
    r->redtbl[9] = 0x0100000000000000 | 0xd031; /* level, in service, sending */
    r->redtbl[17] = 0x18032;                    /* level, masked */
    r->redtbl[4] = 0x4033;                      /* edge: no EOI is waited for */
    take_over(d);
    assert_int_equal(mem32(own, IOAPIC + 0x10), 0xc031);
    set_mem32(own, IOAPIC, 0x10 + 2 * 4);
    assert_int_equal(mem32(own, IOAPIC + 0x10), 0x33);
    assert_int_equal(messages, 0);
    own->env.eoi.eoi(own->env.eoi.ctx, 0x31);
    assert_int_equal(messages, 1); /* the line is still there */
    set_mem32(own, IOAPIC, 0x10 + 2 * 17);
    set_mem32(own, IOAPIC + 0x10, 0x8032);
    assert_int_equal(messages, 2);
    assert_int_equal(sent & 0xff, 0x32);
}

/* --- 8254 --- */

static void pit_is_given(void **state UNUSED)
{
    const struct pit_regs *c = engine[CHIP_PIT].pit.counter;

    add("i8254");
    assert_true(c[0].gate && c[1].gate && !c[2].gate);
    assert_int_equal(c[0].control, 0);
    outb(f, 0x43, 0xb6); /* counter 2, a word, mode 3 */
    outb(f, 0x42, 0x34);
    assert_true(c[2].write_high);
    assert_int_equal(c[2].low_byte, 0x34);
    outb(f, 0x42, 0x12);
    assert_int_equal(c[2].count, 0x1234);
    assert_int_equal(c[2].control, 0x36);
    outb(f, 0x61, 3);
    assert_true(c[2].gate && engine[CHIP_PIT].pit.speaker);
    outb(f, 0x43, 0x34); /* counter 0 ticks, but not here */
    outb(f, 0x40, 0);
    outb(f, 0x40, 1);
    assert_int_equal(c[0].count, 0x100);
    assert_true(fake_next(f) == UINT64_MAX);
    fake_advance(f, MS);
    assert_int_equal(lines, 0);
}

static void pit_is_taken(void **state UNUSED)
{
    struct pit_regs *c = engine[CHIP_PIT].pit.counter;
    struct dev *d = add("i8254");

    c[0] = (struct pit_regs){.count = 11932, .control = 0x34, .gate = true};
    c[2] = (struct pit_regs){.count = 0x8000,
                             .age_ns = 10 * MS,
                             .control = 0x30,
                             .gate = true,
                             .latched = 1,
                             .latch = 0xabcd,
                             .read_high = true};
    engine[CHIP_PIT].pit.speaker = true;
    take_over(d);
    assert_int_equal(inb(own, 0x61) & 0x23, 0x03);
    assert_int_equal(inb(own, 0x42), 0xab); /* of what was latched */
    outb(own, 0x43, 0x80);
    unsigned at = inb(own, 0x42);

    at |= (unsigned)inb(own, 0x42) << 8;
    assert_in_range(at, 0x8000 - 11933, 0x8000 - 11930);
    assert_in_range(fake_next(own) - own->now, 9 * MS, 11 * MS);
    fake_advance(own, 18 * MS); /* 28 ms: counter 2 is done */
    assert_int_equal(inb(own, 0x61) & 0x20, 0x20);
}

/* Hostile or odd: no count, both bytes of a latch that has one. */
static void pit_takes_anything(void **state UNUSED)
{
    struct pit_regs *c = engine[CHIP_PIT].pit.counter;
    struct dev *d = add("i8254");

    for (unsigned n = 0; n < 3; n++)
        c[n] = (struct pit_regs){.count = n ? UINT32_MAX : 0,
                                 .age_ns = UINT64_MAX,
                                 .control = 0xff,
                                 .latched = 0xff};
    take_over(d);
    c[0] = (struct pit_regs){.count = 5};
    d->cls->pause(d);
    d->cls->resume(d);
    assert_int_equal(c[0].control, 0);
}

/* The HPET takes IRQ0 over while the guest runs. */
static void hpet_mutes(void **state UNUSED)
{
    struct pit_regs *c = engine[CHIP_PIT].pit.counter;

    add("i8254");
    add("hpet");
    c[0] = (struct pit_regs){.count = 1000, .control = 0x34, .gate = true};
    set_mem32(f, 0xfed00010, 3);
    assert_true(engine[CHIP_PIT].pit.muted);
    assert_int_equal(c[0].count, 1000); /* as the engine had it */
    set_mem32(f, 0xfed00010, 1);
    assert_false(engine[CHIP_PIT].pit.muted);
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(pics_are_given), T(lines_are_told),  T(pics_are_taken),
        T(pic_edges),      T(ioapic_is_given), T(ioapic_is_taken),
        T(pit_is_given),   T(pit_is_taken),    T(pit_takes_anything),
        T(hpet_mutes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
