/*
 * Transfers happen when a device asks for them, whole: arbitration, timing and
 * memory-to-memory transfers (which a PC cannot do) are not modelled.
 */
#include "hw/timer/dma8237.h"

#include "base/bits.h"
#include "base/libc.h"

enum { CHIPS = 2, PER_CHIP = 4, PAGES = 16 };

/* Registers, as numbered by A3–A0 */
enum {
    R_STATUS = 8,
    R_COMMAND = 8,
    R_REQUEST = 9,
    R_MASK_BIT = 10,
    R_MODE = 11,
    R_CLEAR_FLIP_FLOP = 12,
    R_TEMPORARY = 13,
    R_MASTER_CLEAR = 13,
    R_CLEAR_MASK = 14,
    R_MASKS = 15,
    REGISTERS
};

enum { COMMAND_DISABLE = 1 << 2 };
enum {
    MODE_TYPE = 3 << 2,
    MODE_VERIFY = 0 << 2,
    MODE_WRITE = 1 << 2,
    MODE_READ = 2 << 2,
    MODE_AUTO = 1 << 4,
    MODE_DOWN = 1 << 5
};

struct dma_channel {
    uint16_t base_address, base_count, address, count;
    uint8_t mode; /* bits 7:2 of the mode register */
};

struct dma_chip {
    struct dma_channel channel[PER_CHIP];
    uint8_t command, status, masks, requests;
    bool high_byte; /* the flip-flop */
};

struct dma8237 {
    struct dev dev;
    struct dma_chip chip[CHIPS];
    uint8_t pages[PAGES]; /* ports 0x80–0x8f */
    struct region ports[CHIPS], page_ports;
};

/* Port 0x80 + this is the page register of a channel. */
static const uint8_t page_of[CHIPS * PER_CHIP] = {7, 3, 1, 2, 15, 11, 9, 10};

/* --- transfers --- */

/* Bytes a channel moves at a time, and where it stands. */
static unsigned width(unsigned n)
{
    return n < PER_CHIP ? 1 : 2;
}

static gpa_t address(const struct dma8237 *d, unsigned n, uint16_t a)
{
    uint8_t page = d->pages[page_of[n]];

    if (n < PER_CHIP)
        return (gpa_t)page << 16 | a;
    return (gpa_t)(page & 0xfe) << 16 | (gpa_t)a << 1;
}

static bool ready(const struct dma8237 *d, unsigned n)
{
    const struct dma_chip *c;

    if (n >= CHIPS * PER_CHIP || n == 4) /* 4 is the cascade */
        return false;
    c = &d->chip[n / PER_CHIP];
    if ((c->command & COMMAND_DISABLE) || (c->masks & BIT(n % PER_CHIP)))
        return false;
    /* Channels 0–3 come through channel 4. */
    return n >= PER_CHIP ||
           !((d->chip[1].command & COMMAND_DISABLE) || (d->chip[1].masks & 1));
}

static void terminal_count(struct dma_chip *c, unsigned n)
{
    struct dma_channel *ch = &c->channel[n];

    c->status |= BIT(n);
    c->requests &= ~BIT(n);
    if (ch->mode & MODE_AUTO) {
        ch->address = ch->base_address;
        ch->count = ch->base_count;
    } else {
        c->masks |= BIT(n);
    }
}

/* The run of units that lie one after the other in memory, at most units. */
static size_t run_length(const struct dma_channel *ch, size_t units)
{
    if (ch->mode & MODE_DOWN)
        return 1;
    return MIN(units, 0x10000u - ch->address);
}

/* to_memory or from_memory, or neither for a verify. */
static size_t move(struct dma8237 *d, unsigned n, const uint8_t *to_memory,
                   uint8_t *from_memory, size_t bytes, bool *tc)
{
    struct dma_chip *c = &d->chip[n / PER_CHIP];
    struct dma_channel *ch = &c->channel[n % PER_CHIP];
    size_t units = MIN(bytes / width(n), (size_t)ch->count + 1), moved = 0;

    while (moved < units) {
        size_t run = run_length(ch, units - moved);
        gpa_t at = address(d, n, ch->address);

        if (to_memory)
            space_store(d->dev.env->mem, at, to_memory + moved * width(n),
                        run * width(n));
        if (from_memory)
            space_load(d->dev.env->mem, at, from_memory + moved * width(n),
                       run * width(n));
        moved += run;
        ch->address += (uint16_t)(ch->mode & MODE_DOWN ? -1 : (int)run);
        ch->count -= (uint16_t)run;
    }
    *tc = moved && ch->count == 0xffff;
    if (*tc)
        terminal_count(c, n % PER_CHIP);
    return moved * width(n);
}

static unsigned transfer_type(const struct dma8237 *d, unsigned n)
{
    return d->chip[n / PER_CHIP].channel[n % PER_CHIP].mode & MODE_TYPE;
}

size_t isa_dma_read(struct dev *dma, unsigned channel, void *buf, size_t n,
                    bool *tc)
{
    struct dma8237 *d = container_of(dma, struct dma8237, dev);

    *tc = false;
    if (!ready(d, channel) || transfer_type(d, channel) != MODE_READ)
        return 0;
    return move(d, channel, NULL, buf, n, tc);
}

size_t isa_dma_write(struct dev *dma, unsigned channel, const void *buf,
                     size_t n, bool *tc)
{
    struct dma8237 *d = container_of(dma, struct dma8237, dev);
    unsigned type;

    *tc = false;
    if (!ready(d, channel))
        return 0;
    type = transfer_type(d, channel);
    if (type != MODE_WRITE && type != MODE_VERIFY)
        return 0;
    return move(d, channel, type == MODE_WRITE ? buf : NULL, NULL, n, tc);
}

void isa_dma_request(struct dev *dma, unsigned channel, bool level)
{
    struct dma8237 *d = container_of(dma, struct dma8237, dev);
    struct dma_chip *c = &d->chip[channel / PER_CHIP & 1];
    uint8_t bit = (uint8_t)BIT(4 + channel % PER_CHIP);

    c->status = level ? c->status | bit : c->status & ~bit;
}

/* --- registers --- */

static uint8_t read_half(struct dma_chip *c, uint16_t v)
{
    c->high_byte = !c->high_byte;
    return c->high_byte ? v & 0xff : v >> 8;
}

static void write_half(uint16_t *v, bool high, uint8_t b)
{
    *v = (uint16_t)(high ? b << 8 | (*v & 0xff) : (*v & 0xff00) | b);
}

static uint8_t chip_read(struct dma_chip *c, unsigned r)
{
    const struct dma_channel *ch = &c->channel[r / 2 % PER_CHIP];
    uint8_t v;

    if (r < R_STATUS)
        return read_half(c, r & 1 ? ch->count : ch->address);
    switch (r) {
    case R_STATUS:
        v = c->status;
        c->status &= 0xf0; /* terminal counts */
        return v;
    case R_MASKS: return c->masks | 0xf0;
    case R_TEMPORARY: return 0;
    default: return 0xff;
    }
}

static void write_address_or_count(struct dma_chip *c, unsigned r, uint8_t v)
{
    struct dma_channel *ch = &c->channel[r / 2];

    write_half(r & 1 ? &ch->base_count : &ch->base_address, c->high_byte, v);
    write_half(r & 1 ? &ch->count : &ch->address, c->high_byte, v);
    c->high_byte = !c->high_byte;
}

static void master_clear(struct dma_chip *c)
{
    c->command = c->requests = 0;
    c->status &= 0xf0;
    c->masks = 0x0f;
    c->high_byte = false;
}

static void set_bit(uint8_t *bits_of, uint8_t v)
{
    uint8_t bit = (uint8_t)BIT(v & 3);

    *bits_of = v & 4 ? *bits_of | bit : *bits_of & ~bit;
}

static void chip_write(struct dma_chip *c, unsigned r, uint8_t v)
{
    switch (r) {
    case R_COMMAND: c->command = v; break;
    case R_REQUEST: set_bit(&c->requests, v); break;
    case R_MASK_BIT: set_bit(&c->masks, v); break;
    case R_MODE: c->channel[v & 3].mode = v & 0xfc; break;
    case R_CLEAR_FLIP_FLOP: c->high_byte = false; break;
    case R_MASTER_CLEAR: master_clear(c); break;
    case R_CLEAR_MASK: c->masks = 0; break;
    case R_MASKS: c->masks = v & 0x0f; break;
    default: write_address_or_count(c, r, v); break;
    }
}

static uint64_t ports8_read(void *dev, uint64_t off, unsigned bytes UNUSED)
{
    return chip_read(&((struct dma8237 *)dev)->chip[0], (unsigned)off);
}

static void ports8_write(void *dev, uint64_t off, uint64_t v,
                         unsigned bytes UNUSED)
{
    chip_write(&((struct dma8237 *)dev)->chip[0], (unsigned)off, (uint8_t)v);
}

/* The second chip's registers are two ports apart. */
static uint64_t ports16_read(void *dev, uint64_t off, unsigned bytes UNUSED)
{
    return chip_read(&((struct dma8237 *)dev)->chip[1], (unsigned)off / 2);
}

static void ports16_write(void *dev, uint64_t off, uint64_t v,
                          unsigned bytes UNUSED)
{
    chip_write(&((struct dma8237 *)dev)->chip[1], (unsigned)off / 2,
               (uint8_t)v);
}

static uint64_t pages_read(void *dev, uint64_t off, unsigned bytes UNUSED)
{
    return ((struct dma8237 *)dev)->pages[off];
}

static void pages_write(void *dev, uint64_t off, uint64_t v,
                        unsigned bytes UNUSED)
{
    ((struct dma8237 *)dev)->pages[off] = (uint8_t)v;
}

static const struct region_ops ports8_ops = {ports8_read, ports8_write, 1, 1};
static const struct region_ops ports16_ops = {ports16_read, ports16_write, 1,
                                              1};
static const struct region_ops pages_ops = {pages_read, pages_write, 1, 1};

/* --- the device --- */

static int dma_attach(struct dev *dev, struct env *env, struct err *e)
{
    struct dma8237 *d = container_of(dev, struct dma8237, dev);

    dev->env = env;
    d->ports[0] = (struct region){
        .name = "DMA 0-3", .size = REGISTERS, .ops = &ports8_ops, .dev = d};
    d->ports[1] = (struct region){.name = "DMA 4-7",
                                  .size = 2 * REGISTERS,
                                  .ops = &ports16_ops,
                                  .dev = d};
    d->page_ports = (struct region){
        .name = "DMA pages", .size = PAGES, .ops = &pages_ops, .dev = d};
    if (space_map(env->io, 0x00, &d->ports[0], 0) ||
        space_map(env->io, 0xc0, &d->ports[1], 0) ||
        space_map(env->io, 0x80, &d->page_ports, 0))
        return err_set(e, LE_NOMEM, "cannot map the ports of the ISA DMA");
    env->isa_dma = dev;
    return 0;
}

static void dma_detach(struct dev *dev)
{
    struct dma8237 *d = container_of(dev, struct dma8237, dev);

    dev->env->isa_dma = NULL;
    space_unmap(&d->ports[0]);
    space_unmap(&d->ports[1]);
    space_unmap(&d->page_ports);
}

static void dma_reset(struct dev *dev, bool cold UNUSED)
{
    struct dma8237 *d = container_of(dev, struct dma8237, dev);

    memset(d->pages, 0, sizeof d->pages);
    for (unsigned n = 0; n < CHIPS; n++) {
        d->chip[n] = (struct dma_chip){0};
        master_clear(&d->chip[n]);
    }
}

static const struct field channel_state[] = {
    FIELD16(struct dma_channel, base_address),
    FIELD16(struct dma_channel, base_count),
    FIELD16(struct dma_channel, address),
    FIELD16(struct dma_channel, count),
    FIELD_MAX(struct dma_channel, mode, 8, 0xfc),
    FIELD_END,
};

static const struct field chip_state[] = {
    FIELD_SUB(struct dma_chip, channel, struct dma_channel, channel_state),
    FIELD8(struct dma_chip, command),
    FIELD8(struct dma_chip, status),
    FIELD_MAX(struct dma_chip, masks, 8, 0x0f),
    FIELD_MAX(struct dma_chip, requests, 8, 0x0f),
    FIELDB(struct dma_chip, high_byte),
    FIELD_END,
};

static const struct field dma_state[] = {
    FIELD_SUB(struct dma8237, chip, struct dma_chip, chip_state),
    FIELD_RAW(struct dma8237, pages),
    FIELD_END,
};

const struct dev_class dma8237_class = {
    .name = "dma8237",
    .summary = "ISA DMA controllers and page registers",
    .spec = "Intel 8237A (231466), 82371SB (PIIX3)",
    .size = sizeof(struct dma8237),
    .state = dma_state,
    .version = 1,
    .attach = dma_attach,
    .reset = dma_reset,
    .detach = dma_detach,
};
