/*
 * 8259A pair, which may be the engine's (lodge/chips.h). LTIM of ICW1 does
 * nothing (the ELCR decides), and of ICW4 only AEOI and SFNM act, as in the
 * PIIX3: 8086 mode and the buffering are wired.
 */
#include "hw/intc/i8259.h"

#include "base/bits.h"
#include "base/libc.h"

enum { MASTER, SLAVE, CHIPS };

enum {
    ICW1_IC4 = 1 << 0,
    ICW1_SNGL = 1 << 1,
    ICW1_SELECT = 1 << 4,
    ICW4_8086 = 1 << 0,
    ICW4_AEOI = 1 << 1,
    ICW4_SFNM = 1 << 4,
    OCW3_RIS = 1 << 0,
    OCW3_RR = 1 << 1,
    OCW3_POLL = 1 << 2,
    OCW3_SELECT = 1 << 3,
    OCW3_SMM = 1 << 5,
    OCW3_ESMM = 1 << 6,
};

/* OCW2 bits 7:5: R, SL, EOI */
enum ocw2 {
    ROTATE_AEOI_CLEAR,
    EOI,
    NO_OPERATION,
    EOI_SPECIFIC,
    ROTATE_AEOI_SET,
    ROTATE_EOI,
    SET_PRIORITY,
    ROTATE_EOI_SPECIFIC,
};

enum init_step { INIT_DONE, INIT_ICW2, INIT_ICW3, INIT_ICW4 };

#define CASCADE_IR  2 /* the slave hangs on IR2 of the master */
#define TIMER       1 /* the bit of IR0, the 8254's */
#define SPURIOUS_IR 7

struct pic_chip {
    uint8_t lines; /* levels of IR7–0 */
    uint8_t latch; /* edges seen, while their line stays high */
    uint8_t imr, isr;
    uint8_t elcr;   /* a bit each: level triggered */
    uint8_t vector; /* ICW2 */
    uint8_t lowest; /* the IR with the lowest priority */
    uint8_t icw1, icw3, icw4;
    uint8_t init; /* enum init_step */
    bool special_mask, rotate_aeoi, read_isr, poll;
    bool intr; /* the INT output */
};

struct i8259 {
    struct dev dev;
    struct pic_chip chip[CHIPS];
    struct region ports[CHIPS], elcr;
};

static const uint8_t elcr_mask[CHIPS] = {0xf8, 0xde};

static uint8_t irr(const struct pic_chip *c)
{
    return (c->latch & ~c->elcr) | (c->lines & c->elcr);
}

/* 0 is the highest priority. */
static unsigned priority_of(const struct pic_chip *c, unsigned ir)
{
    return (ir - c->lowest - 1) & 7;
}

/* The IR of highest priority among those in set, or -1. */
static int highest(const struct pic_chip *c, uint8_t set)
{
    if (!set)
        return -1;

    unsigned first = (c->lowest + 1) & 7;
    unsigned rotated = (uint8_t)(set >> first | set << (8 - first));

    return (__builtin_ctz(rotated) + first) & 7;
}

/* The request that would be served now, or -1. */
static int pending(const struct pic_chip *c, bool master)
{
    int ir = highest(c, irr(c) & ~c->imr);
    int served = highest(c, c->special_mask ? c->isr & ~c->imr : c->isr);

    if (ir < 0 || served < 0)
        return ir;
    if (priority_of(c, ir) < priority_of(c, served))
        return ir;
    /* Special fully nested: a slave in service may ask again. */
    if (ir == served && master && (c->icw4 & ICW4_SFNM) && ir == CASCADE_IR)
        return ir;
    return -1;
}

static void set_line(struct pic_chip *c, unsigned ir, bool level)
{
    uint8_t bit = BIT(ir);

    if (!level) {
        c->lines &= ~bit;
        c->latch &= ~bit;
    } else if (!(c->lines & bit)) {
        c->lines |= bit;
        c->latch |= bit;
    }
}

static void drive_intr(struct i8259 *p, bool level)
{
    struct env *env = p->dev.env;

    if (env->pic_intr.set)
        irq_set(&env->pic_intr, level);
    else
        env->cpu_pins[0].intr(env->cpu_pins[0].ctx, level);
    irq_set(&env->gsi[0], level); /* the IOAPIC's ExtINT pin */
}

static bool remote(const struct i8259 *p)
{
    return p->dev.env->engine_chips.get != NULL;
}

static void push(const struct i8259 *p);

/* After any change. */
static void update(struct i8259 *p)
{
    struct pic_chip *m = &p->chip[MASTER], *s = &p->chip[SLAVE];

    s->intr = pending(s, false) >= 0;
    set_line(m, CASCADE_IR, s->intr);

    bool intr = pending(m, true) >= 0;

    if (remote(p)) {
        m->intr = intr;
        push(p);
        return;
    }

    if (intr != m->intr) {
        m->intr = intr;
        drive_intr(p, intr);
    }
}

/* The chip takes an INTA (or a poll) for ir. */
static void take(struct pic_chip *c, unsigned ir)
{
    c->latch &= ~BIT(ir);
    if (!(c->icw4 & ICW4_AEOI))
        c->isr |= BIT(ir);
    else if (c->rotate_aeoi)
        c->lowest = ir;
}

static uint8_t inta_cycle(struct pic_chip *c, bool master, int *ir)
{
    *ir = pending(c, master);
    if (*ir >= 0)
        take(c, *ir);
    return c->vector | (*ir < 0 ? SPURIOUS_IR : *ir);
}

int i8259_inta(struct dev *d)
{
    struct i8259 *p = container_of(d, struct i8259, dev);
    int ir;
    int vector = inta_cycle(&p->chip[MASTER], true, &ir);

    if (ir == CASCADE_IR)
        vector = inta_cycle(&p->chip[SLAVE], false, &ir);
    /* INT falls in an INTA: edge inputs behind it see the next request. */
    if (p->chip[MASTER].intr) {
        p->chip[MASTER].intr = false;
        drive_intr(p, false);
    }
    update(p);
    return vector;
}

static void ocw2(struct pic_chip *c, uint8_t v)
{
    unsigned level = v & 7;
    int served = highest(c, c->special_mask ? c->isr & ~c->imr : c->isr);

    switch ((enum ocw2)(v >> 5)) {
    case ROTATE_AEOI_CLEAR: c->rotate_aeoi = false; break;
    case ROTATE_AEOI_SET: c->rotate_aeoi = true; break;
    case NO_OPERATION: break;
    case SET_PRIORITY: c->lowest = level; break;
    case EOI:
    case ROTATE_EOI:
        if (served < 0)
            break;
        c->isr &= ~BIT(served);
        if (v >> 5 == ROTATE_EOI)
            c->lowest = served;
        break;
    case EOI_SPECIFIC: c->isr &= ~BIT(level); break;
    case ROTATE_EOI_SPECIFIC:
        c->isr &= ~BIT(level);
        c->lowest = level;
        break;
    }
}

static void ocw3(struct pic_chip *c, uint8_t v)
{
    if (v & OCW3_ESMM)
        c->special_mask = v & OCW3_SMM;
    c->poll = v & OCW3_POLL;
    if (v & OCW3_RR)
        c->read_isr = v & OCW3_RIS;
}

static void icw1(struct pic_chip *c, uint8_t v)
{
    c->icw1 = v;
    c->init = INIT_ICW2;
    c->latch = 0; /* each line must rise anew */
    c->imr = c->isr = 0;
    c->lowest = 7;
    c->special_mask = c->read_isr = c->poll = c->rotate_aeoi = false;
    if (!(v & ICW1_IC4))
        c->icw4 = 0;
}

/* A write to the odd port: the next ICW while initialising, else OCW1. */
static void write_data(struct pic_chip *c, uint8_t v)
{
    bool icw4 = c->icw1 & ICW1_IC4;

    switch ((enum init_step)c->init) {
    case INIT_DONE: c->imr = v; break;
    case INIT_ICW2:
        c->vector = v & 0xf8;
        c->init = !(c->icw1 & ICW1_SNGL) ? INIT_ICW3
                  : icw4                 ? INIT_ICW4
                                         : INIT_DONE;
        break;
    case INIT_ICW3:
        c->icw3 = v;
        c->init = icw4 ? INIT_ICW4 : INIT_DONE;
        break;
    case INIT_ICW4:
        c->icw4 = v;
        c->init = INIT_DONE;
        break;
    }
}

static void chip_write(struct i8259 *p, unsigned n, uint64_t off, uint8_t v)
{
    struct pic_chip *c = &p->chip[n];

    if (off)
        write_data(c, v);
    else if (v & ICW1_SELECT)
        icw1(c, v);
    else if (v & OCW3_SELECT)
        ocw3(c, v);
    else
        ocw2(c, v);
    update(p);
}

static uint8_t poll_read(struct i8259 *p, unsigned n)
{
    struct pic_chip *c = &p->chip[n];
    int ir = pending(c, n == MASTER);

    c->poll = false;
    if (ir < 0)
        return SPURIOUS_IR;
    take(c, ir);
    update(p);
    return 0x80 | ir;
}

static uint8_t chip_read(struct i8259 *p, unsigned n, uint64_t off)
{
    struct pic_chip *c = &p->chip[n];

    if (c->poll)
        return poll_read(p, n);
    if (off)
        return c->imr;
    return c->read_isr ? c->isr : irr(c);
}

static uint64_t master_read(void *dev, uint64_t off, unsigned bytes UNUSED)
{
    return chip_read(dev, MASTER, off);
}

static void master_write(void *dev, uint64_t off, uint64_t v,
                         unsigned bytes UNUSED)
{
    chip_write(dev, MASTER, off, v);
}

static uint64_t slave_read(void *dev, uint64_t off, unsigned bytes UNUSED)
{
    return chip_read(dev, SLAVE, off);
}

static void slave_write(void *dev, uint64_t off, uint64_t v,
                        unsigned bytes UNUSED)
{
    chip_write(dev, SLAVE, off, v);
}

static uint64_t elcr_read(void *dev, uint64_t off, unsigned bytes UNUSED)
{
    return ((struct i8259 *)dev)->chip[off].elcr;
}

static void elcr_write(void *dev, uint64_t off, uint64_t v,
                       unsigned bytes UNUSED)
{
    struct i8259 *p = dev;

    p->chip[off].elcr = v & elcr_mask[off];
    update(p);
}

static const struct region_ops master_ops = {master_read, master_write, 1, 1};
static const struct region_ops slave_ops = {slave_read, slave_write, 1, 1};
static const struct region_ops elcr_ops = {elcr_read, elcr_write, 1, 1};

/* An ISA interrupt line goes to the 8259s and to the IOAPIC, IRQ0 to pin 2. */
static void isa_line(void *ctx, unsigned n, bool level)
{
    struct i8259 *p = ctx;

    if (n == CASCADE_IR)
        return;
    set_line(&p->chip[n / 8], n % 8, level);
    if (remote(p))
        p->dev.env->engine_chips.line(p->dev.env->engine_chips.ctx, CHIP_PICS,
                                      n, level);
    else
        update(p);
    irq_set(&p->dev.env->gsi[n == 0 ? 2 : n], level);
}

/* --- the engine's --- */

static void take_regs(struct pic_chip *c, const struct pic_regs *r)
{
    c->latch = r->irr & ~c->elcr & c->lines;
    c->imr = r->imr;
    c->isr = r->isr;
    c->vector = r->vector & 0xf8;
    c->lowest = r->lowest & 7;
    c->icw1 = (uint8_t)(ICW1_SELECT | (r->icw4_due ? ICW1_IC4 : 0));
    c->icw4 = (uint8_t)((r->auto_eoi ? ICW4_AEOI : 0) |
                        (r->fully_nested ? ICW4_SFNM : 0) | ICW4_8086);
    c->init = r->init & 3;
    c->special_mask = r->special_mask;
    c->rotate_aeoi = r->rotate_auto_eoi;
    c->read_isr = r->read_isr;
    c->poll = r->poll;
}

/*
 * Levels are known here anyway. Two lines are not: the slave's comes of its
 * registers, and the engine's 8254 gives its own a pulse for each tick, of
 * which one that waits is left.
 */
static void i8259_pull(struct i8259 *p)
{
    const struct engine_chips *own = &p->dev.env->engine_chips;
    struct pic_chip *m = &p->chip[MASTER], *s = &p->chip[SLAVE];
    struct chip_regs r;

    if (!remote(p) || own->get(own->ctx, CHIP_PICS, &r))
        return;
    for (unsigned n = 0; n < CHIPS; n++)
        p->chip[n].elcr = r.pic[n].elcr & elcr_mask[n];
    m->lines = (m->lines & ~BIT(CASCADE_IR)) | (r.pic[MASTER].irr & TIMER);
    take_regs(m, &r.pic[MASTER]);
    take_regs(s, &r.pic[SLAVE]);
    m->latch &= ~BIT(CASCADE_IR);
    s->intr = pending(s, false) >= 0;
    set_line(m, CASCADE_IR, s->intr);
    m->intr = pending(m, true) >= 0;
}

static struct pic_regs give_regs(const struct pic_chip *c)
{
    return (struct pic_regs){
        .irr = irr(c),
        .imr = c->imr,
        .isr = c->isr,
        .lines = c->lines,
        .elcr = c->elcr,
        .vector = c->vector,
        .lowest = c->lowest,
        .init = c->init,
        .icw4_due = c->icw1 & ICW1_IC4,
        .auto_eoi = c->icw4 & ICW4_AEOI,
        .rotate_auto_eoi = c->rotate_aeoi,
        .fully_nested = c->icw4 & ICW4_SFNM,
        .special_mask = c->special_mask,
        .read_isr = c->read_isr,
        .poll = c->poll,
    };
}

static void push(const struct i8259 *p)
{
    const struct engine_chips *own = &p->dev.env->engine_chips;
    struct chip_regs r;

    for (unsigned n = 0; n < CHIPS; n++)
        r.pic[n] = give_regs(&p->chip[n]);
    r.pic[MASTER].irr &= ~BIT(CASCADE_IR);
    r.pic[MASTER].lines &= ~(BIT(CASCADE_IR) | TIMER);
    if (own->set(own->ctx, CHIP_PICS, &r))
        host_log(LOG_WARN, "the engine does not take the 8259s' registers");
}

static void i8259_pause(struct dev *d)
{
    i8259_pull(container_of(d, struct i8259, dev));
}

static int env_inta(void *ctx)
{
    return i8259_inta(ctx);
}

static int i8259_attach(struct dev *d, struct env *env, struct err *e)
{
    struct i8259 *p = container_of(d, struct i8259, dev);
    int rc;

    d->env = env;
    p->ports[MASTER] = (struct region){
        .name = "8259 master", .size = 2, .ops = &master_ops, .dev = p};
    p->ports[SLAVE] = (struct region){
        .name = "8259 slave", .size = 2, .ops = &slave_ops, .dev = p};
    p->elcr =
        (struct region){.name = "ELCR", .size = 2, .ops = &elcr_ops, .dev = p};
    if ((rc = space_map(env->io, 0x20, &p->ports[MASTER], 0)) ||
        (rc = space_map(env->io, 0xa0, &p->ports[SLAVE], 0)) ||
        (rc = space_map(env->io, 0x4d0, &p->elcr, 0)))
        return err_set(e, -rc, "the interrupt controller's ports are taken");
    for (unsigned n = 0; n < ARRAY_LEN(env->isa_irq); n++)
        env->isa_irq[n] = (struct irq){isa_line, p, n};
    env->pic_inta = (struct inta){env_inta, d};
    return 0;
}

static void i8259_detach(struct dev *d)
{
    struct i8259 *p = container_of(d, struct i8259, dev);
    struct env *env = d->env;

    memset(env->isa_irq, 0, sizeof env->isa_irq);
    env->pic_inta = (struct inta){0};
    space_unmap(&p->ports[MASTER]);
    space_unmap(&p->ports[SLAVE]);
    space_unmap(&p->elcr);
}

static void i8259_reset(struct dev *d, bool cold UNUSED)
{
    struct i8259 *p = container_of(d, struct i8259, dev);

    for (unsigned n = 0; n < CHIPS; n++) {
        struct pic_chip *c = &p->chip[n];

        /* Lines are the devices'; INT is brought down by update(). */
        *c = (struct pic_chip){.lines = c->lines, .intr = c->intr, .lowest = 7};
    }
    update(p);
}

static int i8259_loaded(struct dev *d, uint16_t version UNUSED)
{
    struct i8259 *p = container_of(d, struct i8259, dev);

    for (unsigned n = 0; n < CHIPS; n++) {
        struct pic_chip *c = &p->chip[n];

        if ((c->vector & 7) || (c->elcr & ~elcr_mask[n]) ||
            (c->latch & ~c->lines))
            return -LE_FORMAT;
    }
    if (remote(p))
        push(p);
    return 0;
}

static const struct field chip_state[] = {
    FIELD8(struct pic_chip, lines),
    FIELD8(struct pic_chip, latch),
    FIELD8(struct pic_chip, imr),
    FIELD8(struct pic_chip, isr),
    FIELD8(struct pic_chip, elcr),
    FIELD8(struct pic_chip, vector),
    FIELD_MAX(struct pic_chip, lowest, 8, 7),
    FIELD8(struct pic_chip, icw1),
    FIELD8(struct pic_chip, icw3),
    FIELD8(struct pic_chip, icw4),
    FIELD_MAX(struct pic_chip, init, 8, INIT_ICW4),
    FIELDB(struct pic_chip, special_mask),
    FIELDB(struct pic_chip, rotate_aeoi),
    FIELDB(struct pic_chip, read_isr),
    FIELDB(struct pic_chip, poll),
    FIELDB(struct pic_chip, intr),
    FIELD_END,
};

static const struct field i8259_state[] = {
    FIELD_SUB(struct i8259, chip, struct pic_chip, chip_state),
    FIELD_END,
};

const struct dev_class i8259_class = {
    .name = "i8259",
    .summary = "two cascaded 8259A interrupt controllers",
    .spec = "Intel 8259A (231468), 82371SB (PIIX3)",
    .size = sizeof(struct i8259),
    .state = i8259_state,
    .version = 1,
    .attach = i8259_attach,
    .reset = i8259_reset,
    .pause = i8259_pause,
    .loaded = i8259_loaded,
    .detach = i8259_detach,
};

static int cpu_ack(void *intc)
{
    return i8259_inta(intc);
}

static uint8_t cpu_get_tpr(void *intc UNUSED)
{
    return 0;
}

static void cpu_set_tpr(void *intc UNUSED, uint8_t tpr UNUSED)
{
}

static uint32_t cpu_read(void *intc UNUSED, uint32_t off UNUSED)
{
    return ~0u;
}

static void cpu_write(void *intc UNUSED, uint32_t off UNUSED, uint32_t v UNUSED)
{
}

static bool cpu_read_msr(void *intc UNUSED, uint32_t msr UNUSED,
                         uint64_t *v UNUSED)
{
    return false;
}

static bool cpu_write_msr(void *intc UNUSED, uint32_t msr UNUSED,
                          uint64_t v UNUSED)
{
    return false;
}

const struct intc_cpu_ops i8259_cpu_ops = {
    .ack = cpu_ack,
    .get_tpr = cpu_get_tpr,
    .set_tpr = cpu_set_tpr,
    .read = cpu_read,
    .write = cpu_write,
    .read_msr = cpu_read_msr,
    .write_msr = cpu_write_msr,
};
