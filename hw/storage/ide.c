#include "hw/storage/ide.h"

#include "base/bits.h"
#include "base/endian.h"

enum { /* command block; reading, and writing where it differs */
       R_DATA,
       R_ERROR, /* feature */
       R_COUNT,
       R_LBA_LOW,
       R_LBA_MID,
       R_LBA_HIGH,
       R_DEVICE,
       R_STATUS, /* command */
};

enum { NIEN = 0x02, SRST = 0x04, HOB = 0x80 }; /* device control */
enum { NOT_RESETTING, RESET_BOTH, RESET_ACTIVE };
enum { NOBODY = 0x7f, DEV1 = 0x10 }; /* DD7 is pulled down */

static struct ide_channel *channel_of(struct ata_task *t)
{
    return container_of(t, struct ide_channel, task);
}

/* --- interrupts --- */

static void update_line(struct ide_channel *c)
{
    bool level = (c->intrq & BIT(c->selected)) && !(c->device_control & NIEN);

    if (level == c->line)
        return;
    c->line = level;
    c->irq(c, level);
}

static void raise(struct ide_channel *c, unsigned drive)
{
    c->intrq |= (uint8_t)BIT(drive);
    update_line(c);
}

static void clear(struct ide_channel *c, unsigned drive)
{
    c->intrq &= (uint8_t)~BIT(drive);
    update_line(c);
}

/* --- the drive's side --- */

static void set_status(struct ide_channel *c, uint8_t status)
{
    c->reg[c->active].status = status;
}

static bool is_out(const struct ata_task *t)
{
    return t->data == ATA_PIO_OUT || t->data == ATA_DMA_OUT;
}

static bool is_dma(const struct ata_task *t)
{
    return t->data == ATA_DMA_IN || t->data == ATA_DMA_OUT;
}

/* Packet commands say with each block what it is, and how long. */
static void describe_block(struct ide_channel *c, uint8_t reason)
{
    struct ata_tf *r = &c->reg[c->active];

    r->count = (r->count & 0xff00) | reason;
    r->lba = (r->lba & ~0xffff00ull) | (uint64_t)(c->end - c->pos) << 8;
}

/* The block from c->pos on comes to the data register. */
static void begin_block(struct ide_channel *c)
{
    struct ata_task *t = &c->task;
    bool out = is_out(t);

    c->end = MIN(c->pos + t->block, t->chunk);
    set_status(c, ATA_DRDY | ATA_DSC | ATA_DRQ);
    if (t->packet_cmd)
        describe_block(c, out ? 0 : ATA_PACKET_IO);
    if (!out || !c->first || t->packet_cmd)
        raise(c, c->active);
    c->first = c->quiet = false;
}

static void begin_packet(struct ide_channel *c)
{
    struct ata_tf *r = &c->reg[c->active];

    c->end = ATA_PACKET_BYTES;
    r->count = (r->count & 0xff00) | ATA_PACKET_CD;
    set_status(c, ATA_DRDY | ATA_DSC | ATA_DRQ);
}

static void ide_move(struct ata_task *t)
{
    struct ide_channel *c = channel_of(t);

    c->pos = 0;
    if (t->phase == ATA_PACKET) {
        begin_packet(c);
    } else if (!is_dma(t)) {
        begin_block(c);
    } else {
        c->end = t->chunk;
        set_status(c, ATA_DRDY | ATA_DSC | ATA_DRQ);
        c->dma(c);
    }
}

static void ide_done(struct ata_task *t)
{
    struct ide_channel *c = channel_of(t);
    struct ata_tf *r = &c->reg[c->active];
    uint8_t selected = r->device;

    *r = t->tf;
    r->device = (selected & 0xf0) | (t->tf.device & 0x0f);
    if (!c->quiet || (t->tf.status & ATA_ERR))
        raise(c, c->active);
}

/* The block at the data register has been read or filled. */
static void block_moved(struct ide_channel *c)
{
    struct ata_task *t = &c->task;

    c->quiet = t->data == ATA_PIO_IN && !t->packet_cmd;
    if (t->phase != ATA_PACKET && c->end < t->chunk) {
        begin_block(c);
        return;
    }
    if (t->phase == ATA_PACKET)
        c->quiet = false;
    set_status(c, ATA_BSY);
    ata_moved(t, true);
}

/* --- resets: §9.3 and on --- */

static void sign(struct ide_channel *c, unsigned n)
{
    const struct ata_drive *d = &c->drive[n];

    ata_signature(d, &c->reg[n]);
    c->reg[n].error = ATA_PASSED;
    c->reg[n].status = d->cdrom ? 0 : ATA_DRDY | ATA_DSC;
}

static void finish_reset(struct ide_channel *c)
{
    unsigned how = c->resetting;

    c->resetting = NOT_RESETTING;
    for (unsigned n = 0; n < IDE_DRIVES; n++)
        if (how == RESET_BOTH || n == c->active)
            sign(c, n);
    if (how == RESET_BOTH) {
        c->selected = 0;
        update_line(c);
    }
}

/* What was under way ends unheard; the drives are busy until it has. */
static void begin_reset(struct ide_channel *c, unsigned how)
{
    for (unsigned n = 0; n < IDE_DRIVES; n++) {
        if (how == RESET_ACTIVE && n != c->active)
            continue;
        if (c->drive[n].present)
            ata_drive_reset(&c->drive[n], false);
        c->reg[n].status = ATA_BSY;
        clear(c, n);
    }
    if (c->resetting != RESET_BOTH)
        c->resetting = (uint8_t)how;
    if (ata_abort(&c->task) && !(c->device_control & SRST))
        finish_reset(c);
}

static void ide_drained(struct ata_task *t)
{
    struct ide_channel *c = channel_of(t);

    if (c->resetting && !(c->device_control & SRST))
        finish_reset(c);
}

static void write_control(struct ide_channel *c, uint8_t v)
{
    uint8_t was = c->device_control;

    c->device_control = v;
    if ((v & SRST) && !(was & SRST))
        begin_reset(c, RESET_BOTH);
    else if (!(v & SRST) && (was & SRST) && c->task.phase == ATA_IDLE)
        finish_reset(c);
    update_line(c);
}

static const struct ata_host_ops host_ops = {
    .move = ide_move,
    .done = ide_done,
    .drained = ide_drained,
};

/* --- registers --- */

static void diagnose(struct ide_channel *c)
{
    for (unsigned n = 0; n < IDE_DRIVES; n++) {
        ata_drive_reset(&c->drive[n], false);
        sign(c, n);
    }
    c->selected = 0;
    raise(c, 0);
}

static void command(struct ide_channel *c, uint8_t v)
{
    unsigned n = c->selected;
    struct ata_task *t = &c->task;

    if (c->resetting || (c->device_control & SRST))
        return;
    clear(c, n);
    if (v == ATA_DEVICE_RESET && c->drive[n].cdrom) {
        if (t->phase == ATA_IDLE)
            c->active = (uint8_t)n;
        if (c->active == n)
            begin_reset(c, RESET_ACTIVE);
        return;
    }
    if (t->phase == ATA_CALLED)
        return; /* busy */
    (void)ata_abort(t);
    if (v == ATA_DIAGNOSE) {
        diagnose(c);
        return;
    }
    if (!c->drive[n].present)
        return;
    c->active = (uint8_t)n;
    c->first = true;
    c->quiet = false;
    t->drive = &c->drive[n];
    t->tf = c->reg[n];
    t->tf.command = v;
    set_status(c, ATA_BSY);
    ata_start(t);
}

/* A register of two levels: what was in it moves up. */
static void push_lba(struct ata_tf *r, unsigned at, uint8_t v)
{
    uint64_t old = r->lba >> at & 0xff;

    r->lba &= ~(0xffull << at | 0xffull << (at + 24));
    r->lba |= (uint64_t)v << at | old << (at + 24);
}

/* Writes reach both drives. */
static void write_reg(struct ide_channel *c, unsigned off, uint8_t v)
{
    if (off == R_STATUS) {
        c->device_control &= (uint8_t)~HOB;
        command(c, v);
        return;
    }
    if (c->reg[c->selected].status & (ATA_BSY | ATA_DRQ) && off != R_DEVICE)
        return;
    c->device_control &= (uint8_t)~HOB;
    for (unsigned n = 0; n < IDE_DRIVES; n++) {
        struct ata_tf *r = &c->reg[n];

        switch (off) {
        case R_ERROR: r->feature = (uint16_t)(r->feature << 8 | v); break;
        case R_COUNT: r->count = (uint16_t)(r->count << 8 | v); break;
        case R_DEVICE: r->device = v; break;
        default: push_lba(r, 8 * (off - R_LBA_LOW), v); break;
        }
    }
    if (off == R_DEVICE) {
        c->selected = v & DEV1 ? 1 : 0;
        update_line(c);
    }
}

static uint8_t read_status(const struct ide_channel *c)
{
    if (c->drive[c->selected].present)
        return c->reg[c->selected].status;
    /* Device 0 answers for device 1 that is not there: §9.16.1. A channel
       without any shows no bit on which firmware would wait: OVMF does, for
       half a minute, when the bus floats at 0x7f. */
    return 0;
}

static uint8_t read_reg(struct ide_channel *c, unsigned off)
{
    bool here = c->drive[c->selected].present;
    const struct ata_tf *r = &c->reg[here ? c->selected : 0];
    unsigned up = c->device_control & HOB ? 1 : 0;

    if (off != R_STATUS && !here && !c->drive[0].present)
        return NOBODY;
    switch (off) {
    case R_ERROR: return r->error;
    case R_COUNT: return (uint8_t)(r->count >> 8 * up);
    case R_DEVICE: return r->device | ATA_DEV_ALWAYS;
    case R_STATUS: clear(c, c->selected); return read_status(c);
    default: return (uint8_t)(r->lba >> (8 * (off - R_LBA_LOW) + 24 * up));
    }
}

/* --- the data register --- */

static bool has_data(const struct ide_channel *c, bool out)
{
    const struct ata_task *t = &c->task;

    if (!(c->reg[c->selected].status & ATA_DRQ) || c->active != c->selected)
        return false;
    if (t->phase == ATA_PACKET)
        return out;
    return t->phase == ATA_MOVING && !is_dma(t) && is_out(t) == out;
}

static uint16_t read_data(struct ide_channel *c)
{
    uint16_t v = 0;

    if (!has_data(c, false))
        return 0xffff;
    if (c->pos + 2 <= c->end)
        v = load_le16(c->buf + c->pos);
    else
        v = c->buf[c->pos];
    c->pos += 2;
    if (c->pos >= c->end) {
        c->pos = c->end;
        block_moved(c);
    }
    return v;
}

static void write_data(struct ide_channel *c, uint16_t v)
{
    uint8_t *to;

    if (!has_data(c, true))
        return;
    to = c->task.phase == ATA_PACKET ? c->task.packet : c->buf;
    to[c->pos] = (uint8_t)v;
    if (c->pos + 1 < c->end)
        to[c->pos + 1] = (uint8_t)(v >> 8);
    c->pos += 2;
    if (c->pos >= c->end) {
        c->pos = c->end;
        block_moved(c);
    }
}

/* --- ports --- */

static uint64_t command_read(void *dev, uint64_t off, unsigned bytes)
{
    struct ide_channel *c = dev;
    uint64_t v = 0;

    if (off == R_DATA) {
        v = read_data(c);
        return bytes == 4 ? v | (uint64_t)read_data(c) << 16 : v;
    }
    for (unsigned i = 0; i < bytes; i++)
        v |= (uint64_t)read_reg(c, (unsigned)off + i) << 8 * i;
    return v;
}

static void command_write(void *dev, uint64_t off, uint64_t v, unsigned bytes)
{
    struct ide_channel *c = dev;

    if (off == R_DATA) {
        write_data(c, (uint16_t)v);
        if (bytes == 4)
            write_data(c, (uint16_t)(v >> 16));
        return;
    }
    for (unsigned i = 0; i < bytes; i++)
        write_reg(c, (unsigned)off + i, (uint8_t)(v >> 8 * i));
}

static uint64_t control_read(void *dev, uint64_t off UNUSED,
                             unsigned bytes UNUSED)
{
    struct ide_channel *c = dev;

    return read_status(c);
}

static void control_write(void *dev, uint64_t off UNUSED, uint64_t v,
                          unsigned bytes UNUSED)
{
    write_control(dev, (uint8_t)v);
}

static const struct region_ops command_ops = {command_read, command_write, 1,
                                              4};
static const struct region_ops control_ops = {control_read, control_write, 1,
                                              1};

/* --- DMA --- */

uint32_t ide_dma(struct ide_channel *c, uint8_t **p, bool *to_memory)
{
    const struct ata_task *t = &c->task;

    if (t->phase != ATA_MOVING || !is_dma(t))
        return 0;
    *p = c->buf + c->pos;
    *to_memory = !is_out(t);
    return c->end - c->pos;
}

void ide_dma_moved(struct ide_channel *c, uint32_t n)
{
    c->pos += n;
    if (c->pos < c->end)
        return;
    set_status(c, ATA_BSY);
    ata_moved(&c->task, true);
}

/* --- life --- */

int ide_init(struct ide_channel *c, const struct ata_unit units[IDE_DRIVES],
             struct err *e)
{
    int r = 0;

    for (unsigned n = 0; n < IDE_DRIVES && !r; n++)
        r = ata_drive_init(&c->drive[n], c->dev, n, &units[n], &host_ops, false,
                           e);
    c->task.drive = &c->drive[0];
    ata_task_init(&c->task, c->buf, sizeof c->buf);
    c->command = (struct region){
        .name = "ide", .size = 8, .ops = &command_ops, .dev = c};
    c->control = (struct region){
        .name = "ide control", .size = 1, .ops = &control_ops, .dev = c};
    if (r < 0)
        ide_exit(c);
    return r;
}

void ide_exit(struct ide_channel *c)
{
    for (unsigned n = 0; n < IDE_DRIVES; n++)
        ata_drive_exit(&c->drive[n]);
}

void ide_reset(struct ide_channel *c)
{
    (void)ata_abort(&c->task);
    c->device_control = 0;
    c->selected = c->active = c->intrq = 0;
    c->resetting = NOT_RESETTING;
    c->pos = c->end = 0;
    for (unsigned n = 0; n < IDE_DRIVES; n++) {
        c->reg[n] = (struct ata_tf){0};
        if (c->drive[n].present)
            ata_drive_reset(&c->drive[n], true);
        sign(c, n);
    }
    update_line(c);
}

/* A drive in the middle of a command has to be able to go on with it. */
static bool task_valid(const struct ide_channel *c)
{
    const struct ata_task *t = &c->task;
    const struct ata_drive *d = &c->drive[c->active];
    bool writes = is_out(t) && t->kind != ATA_PARAMS;

    if (t->phase == ATA_IDLE)
        return true;
    if (t->phase == ATA_CALLED || !d->present || t->packet_cmd != d->cdrom)
        return false;
    if (t->phase == ATA_PACKET)
        return d->cdrom && c->end == ATA_PACKET_BYTES && c->pos < c->end &&
               t->block >= 2;
    if (t->data == ATA_NO_DATA || t->kind == ATA_VERIFY ||
        t->kind == ATA_CACHE || (t->kind == ATA_BUFFER && is_out(t)) ||
        (t->kind == ATA_TRIM && !is_out(t)))
        return false;
    if (writes && (d->cdrom || d->readonly))
        return false;
    return t->block >= 2 && t->chunk <= sizeof c->buf && t->chunk <= t->left &&
           c->end <= t->chunk && c->pos < c->end && t->off <= BIT64(62);
}

int ide_loaded(struct ide_channel *c)
{
    for (unsigned n = 0; n < IDE_DRIVES; n++)
        if (ata_drive_loaded(&c->drive[n]))
            return -LE_FORMAT;
    if (!task_valid(c))
        return -LE_FORMAT;
    c->task.drive = &c->drive[c->active];
    c->line = !((c->intrq & BIT(c->selected)) && !(c->device_control & NIEN));
    update_line(c);
    return 0;
}

const struct field ide_channel_fields[] = {
    FIELD_SUB(struct ide_channel, drive, struct ata_drive, ata_drive_fields),
    FIELD_SUB(struct ide_channel, task, struct ata_task, ata_task_fields),
    FIELD_SUB(struct ide_channel, reg, struct ata_tf, ata_tf_fields),
    FIELD8(struct ide_channel, device_control),
    FIELD_MAX(struct ide_channel, selected, 8, 1),
    FIELD_MAX(struct ide_channel, active, 8, 1),
    FIELD_MAX(struct ide_channel, intrq, 8, 3),
    FIELDB(struct ide_channel, first),
    FIELDB(struct ide_channel, quiet),
    FIELD_MAX(struct ide_channel, resetting, 8, RESET_ACTIVE),
    FIELD32(struct ide_channel, pos),
    FIELD32(struct ide_channel, end),
    FIELD_RAW(struct ide_channel, buf),
    FIELD_END,
};
