/* 82077AA: what commands do. Chapter 5 of the datasheet. */
#include "base/bits.h"
#include "hw/storage/fdc82077.h"
#include "hw/timer/dma8237.h"

enum { DMA_CHANNEL = 2, SIZE_512 = 2 };
enum { MT = 0x80, MFM = 0x40, SK = 0x20 }; /* in a command's first byte */
enum { EIS = 0x40 }; /* in config: seek before reading or writing */
enum { VERIFY_COUNTED = 0x80 };
enum { VERSION_82077 = 0x90, TRACKS_MAX = 84 };

enum action { NONE, READ, WRITE, VERIFY, FORMAT };

static enum action action_of(const struct fdc *f)
{
    switch (f->command[0] & 31) {
    case 0x02: /* READ TRACK */
    case 0x06:
    case 0x0c: return READ; /* and READ DELETED DATA */
    case 0x05:
    case 0x09: return WRITE;
    case 0x16: return VERIFY;
    case 0x0d: return FORMAT;
    default: return NONE;
    }
}

/* The drive that a command's second byte names; NULL: none there. */
static struct fdc_drive *drive_of(struct fdc *f)
{
    unsigned n = f->command[1] & 3;

    return n < FDC_DRIVES && f->unit[n].present ? &f->drive[n] : NULL;
}

static uint8_t head_and_drive(const struct fdc *f)
{
    return f->command[1] & 7;
}

/* --- the end of a command that moves sectors --- */

static void finish(struct fdc *f, uint8_t st0, uint8_t st1, uint8_t st2)
{
    const uint8_t result[] = {
        (uint8_t)(st0 | (f->command[1] & 3) | (f->t.head & 1) << 2),
        st1,
        st2,
        f->t.cylinder,
        f->t.head,
        f->t.sector,
        SIZE_512};

    fdc_results(f, result, sizeof result, true);
}

static void fail(struct fdc *f, uint8_t st1, uint8_t st2)
{
    finish(f, ST0_ABNORMAL, st1, st2);
}

/* Heads move; the change line falls with the first step, if there is a disk. */
static void go_to(struct fdc_drive *d, unsigned track)
{
    track = MIN(track, TRACKS_MAX - 1);
    if (d->track != track && d->format)
        d->changed = false;
    d->track = (uint8_t)track;
}

/* --- sectors --- */

/* Is there anything to read on this track, at this speed? */
static bool track_readable(const struct fdc *f, const struct fdc_drive *d)
{
    return d && d->format && (f->command[0] & MFM) &&
           (d->format->rates & BIT(f->rate)) &&
           d->track < d->format->cylinders &&
           (f->command[1] >> 2 & 1) < d->format->heads;
}

/* The offset of a sector that is on the present track, or the reason. */
static bool find_sector(struct fdc *f, uint64_t *off)
{
    struct fdc_drive *d = drive_of(f);
    const struct fdc_transfer *t = &f->t;
    unsigned head = f->command[1] >> 2 & 1;

    if (action_of(f) != FORMAT && (f->command[0] & MT))
        head |= t->head & 1;
    if (!track_readable(f, d)) {
        fail(f, ST1_NO_MARK, 0);
        return false;
    }
    if (t->cylinder != d->track) {
        fail(f, ST1_NO_DATA, ST2_WRONG_CYLINDER);
        return false;
    }
    if (t->head != head || head >= d->format->heads || !t->sector ||
        t->sector > d->format->sectors) {
        fail(f, ST1_NO_DATA, 0);
        return false;
    }
    *off =
        (((uint64_t)d->track * d->format->heads + head) * d->format->sectors +
         t->sector - 1) *
        FLOPPY_SECTOR;
    return true;
}

static void call(struct fdc *f, enum blk_op op, uint64_t off)
{
    struct blk *blk = drive_of(f)->media.medium;

    f->span = (struct span){f->buf, FLOPPY_SECTOR};
    f->req.op = op;
    f->req.off = off;
    f->req.len = FLOPPY_SECTOR;
    f->req.sg = &f->span;
    f->req.nsg = 1;
    f->called = true;
    f->dev.inflight++;
    blk_submit(blk, &f->req);
}

/* The sector after this one; false: this was the last of the cylinder. The
   numbers are then those of the table in §5.2.1. */
static bool advance(struct fdc *f)
{
    struct fdc_transfer *t = &f->t;

    if (t->sector != t->last) {
        t->sector++;
        return true;
    }
    t->sector = 1;
    if (f->command[0] & MT) {
        t->head ^= 1;
        if (t->head & 1)
            return true;
    }
    t->cylinder++;
    return false;
}

static void next_sector(struct fdc *f);

/* A sector is done with; tc: the DMA wants no more. */
static void sector_done(struct fdc *f, bool tc)
{
    bool more = advance(f);

    if (action_of(f) == VERIFY) {
        bool counted = f->command[1] & VERIFY_COUNTED;
        tc = counted ? !--f->t.left : !more;
    }
    if (tc)
        finish(f, 0, 0, 0);
    else if (more)
        next_sector(f);
    else
        fail(f, ST1_END, 0);
}

/* --- between buf and memory --- */

/* Without DMA the CPU moves n bytes. */
static void ask_cpu(struct fdc *f, unsigned n)
{
    f->t.pos = 0;
    f->t.want = (uint16_t)n;
    fdc_interrupt(f, true);
}

static void give(struct fdc *f)
{
    bool tc;

    if (!fdc_uses_dma(f))
        ask_cpu(f, FLOPPY_SECTOR);
    else if (!isa_dma_write(f->dev.env->isa_dma, DMA_CHANNEL, f->buf,
                            FLOPPY_SECTOR, &tc))
        fail(f, ST1_OVERRUN, 0);
    else
        sector_done(f, tc);
}

static bool is_protected(const struct fdc *f)
{
    unsigned n = f->command[1] & 3;
    const struct blk *blk;

    if (n >= FDC_DRIVES)
        return false;
    blk = f->drive[n].media.medium;
    return f->unit[n].readonly || (blk && blk->readonly);
}

/* Where buf goes once it is full. */
static void write_sector(struct fdc *f)
{
    uint64_t off;

    if (is_protected(f))
        fail(f, ST1_PROTECTED, 0);
    else if (find_sector(f, &off))
        call(f, BLK_WRITE, off);
}

static void take(struct fdc *f)
{
    size_t n;
    bool tc;

    if (!fdc_uses_dma(f)) {
        ask_cpu(f, FLOPPY_SECTOR);
        return;
    }
    n = isa_dma_read(f->dev.env->isa_dma, DMA_CHANNEL, f->buf, FLOPPY_SECTOR,
                     &tc);
    if (!n) {
        fail(f, ST1_OVERRUN, 0);
        return;
    }
    memset(f->buf + n, 0, FLOPPY_SECTOR - n);
    f->t.left = tc; /* this is the last */
    write_sector(f);
}

/* FORMAT TRACK asks four bytes for each sector: its identity. */
static void take_identity(struct fdc *f)
{
    bool tc;

    if (!f->t.left--)
        finish(f, 0, 0, 0);
    else if (!fdc_uses_dma(f))
        ask_cpu(f, 4);
    else if (isa_dma_read(f->dev.env->isa_dma, DMA_CHANNEL, f->buf, 4, &tc) !=
             4)
        fail(f, ST1_OVERRUN, 0);
    else
        fdc_buffer_moved(f);
}

static void format_sector(struct fdc *f)
{
    struct fdc_transfer *t = &f->t;

    t->cylinder = f->buf[0];
    t->head = f->buf[1];
    t->sector = f->buf[2];
    if (f->buf[3] != SIZE_512) {
        fail(f, ST1_NO_DATA, 0);
        return;
    }
    memset(f->buf, f->command[5], sizeof f->buf);
    write_sector(f);
}

void fdc_buffer_moved(struct fdc *f)
{
    fdc_interrupt(f, false);
    switch (action_of(f)) {
    case READ: sector_done(f, false); break;
    case WRITE:
        f->t.left = 0;
        write_sector(f);
        break;
    case FORMAT: format_sector(f); break;
    default: break;
    }
}

static void next_sector(struct fdc *f)
{
    uint64_t off;

    switch (action_of(f)) {
    case READ:
    case VERIFY:
        if (find_sector(f, &off))
            call(f, BLK_READ, off);
        break;
    case WRITE:
        if (find_sector(f, &off))
            take(f);
        break;
    default: take_identity(f); break;
    }
}

void fdc_call_done(struct blk_req *r, int error)
{
    struct fdc *f = r->ctx;

    f->dev.inflight--;
    f->called = false;
    if (f->aborted) {
        fdc_reset_done(f);
        return;
    }
    if (error) {
        fail(f, ST1_CRC, ST2_CRC);
        return;
    }
    switch (action_of(f)) {
    case READ: give(f); break;
    case WRITE: sector_done(f, f->t.left); break;
    case VERIFY: sector_done(f, false); break;
    default: next_sector(f); break;
    }
}

/* --- commands --- */

static void begin_transfer(struct fdc *f)
{
    struct fdc_drive *d = drive_of(f);
    enum action a = action_of(f);
    const uint8_t *c = f->command;

    f->t = (struct fdc_transfer){.cylinder = c[2],
                                 .head = c[3],
                                 .sector = c[4],
                                 .last = c[6],
                                 .left = c[8]};
    if ((c[0] & 31) == 0x02)
        f->t.sector = 1;
    if (d && (f->config & EIS)) {
        go_to(d, c[2]);
        f->pcn[c[1] & 3] = c[2];
    }
    if (d && d->format && a == WRITE && is_protected(f))
        fail(f, ST1_PROTECTED, 0);
    else if (c[5] != SIZE_512)
        fail(f, d && d->format ? ST1_NO_DATA : ST1_NO_MARK, 0);
    else
        next_sector(f);
}

static void begin_format(struct fdc *f)
{
    struct fdc_drive *d = drive_of(f);
    const uint8_t *c = f->command;

    f->t = (struct fdc_transfer){
        .cylinder = d ? d->track : 0, .head = c[1] >> 2 & 1, .left = c[3]};
    if (!track_readable(f, d))
        fail(f, ST1_NO_MARK, 0);
    else if (is_protected(f))
        fail(f, ST1_PROTECTED, 0);
    else if (c[2] != SIZE_512)
        fail(f, ST1_NO_DATA, 0);
    else
        next_sector(f);
}

static void read_id(struct fdc *f)
{
    struct fdc_drive *d = drive_of(f);

    f->t = (struct fdc_transfer){.head = f->command[1] >> 2 & 1};
    if (!track_readable(f, d)) {
        fail(f, ST1_NO_MARK, 0);
        return;
    }
    f->t.cylinder = d->track;
    if (!d->next_id || d->next_id > d->format->sectors)
        d->next_id = 1;
    f->t.sector = d->next_id++;
    finish(f, 0, 0, 0);
}

static void seek_done(struct fdc *f, uint8_t st0)
{
    fdc_no_results(f);
    fdc_sense_later(f, f->command[1] & 3,
                    (uint8_t)(st0 | ST0_SEEK_END | head_and_drive(f)));
}

static void recalibrate(struct fdc *f)
{
    struct fdc_drive *d = drive_of(f);

    f->command[1] &= 3;
    f->pcn[f->command[1]] = 0;
    if (d)
        go_to(d, 0);
    seek_done(f, d ? 0 : ST0_ABNORMAL | ST0_EQUIPMENT);
}

/* With bit 7, relative to where it is: bit 6 tells inwards. */
static void seek(struct fdc *f)
{
    struct fdc_drive *d = drive_of(f);
    uint8_t *pcn = &f->pcn[f->command[1] & 3], n = f->command[2];
    int to = n;

    if (f->command[0] & 0x80) {
        to = (d ? d->track : 0) + (f->command[0] & 0x40 ? n : -n);
        *pcn = (uint8_t)(*pcn + (f->command[0] & 0x40 ? n : -n));
    } else {
        *pcn = n;
    }
    if (d)
        go_to(d, (unsigned)MAX(to, 0));
    seek_done(f, 0);
}

static void specify(struct fdc *f)
{
    memcpy(f->specify, f->command + 1, 2);
    fdc_no_results(f);
}

static void sense_drive(struct fdc *f)
{
    struct fdc_drive *d = drive_of(f);
    uint8_t st3 = (uint8_t)(0x28 | head_and_drive(f));

    if (d && !d->track)
        st3 |= 0x10;
    if (d && is_protected(f))
        st3 |= 0x40;
    fdc_results(f, &st3, 1, false);
}

static void sense_interrupt(struct fdc *f)
{
    uint8_t result[2] = {ST0_INVALID};
    unsigned n = 1;

    for (unsigned d = 0; d < FDC_SELECTS; d++)
        if (f->sensing & BIT(d)) {
            f->sensing &= (uint8_t)~BIT(d);
            result[0] = f->sense[d];
            result[1] = f->pcn[d];
            n = 2;
            break;
        }
    /* §6.5: one acknowledges them all, where the reset has given four. */
    fdc_results(f, result, n, false);
    fdc_interrupt(f, false);
}

static void configure(struct fdc *f)
{
    f->config = f->command[2] & 0x7f;
    f->pretrack = f->command[3];
    fdc_no_results(f);
}

static void perpendicular(struct fdc *f)
{
    uint8_t v = f->command[1];

    /* Without OW the drives' bits stay as they are. */
    f->perpendicular =
        v & 0x80 ? v & 0x3f : (uint8_t)((f->perpendicular & 0x3c) | (v & 3));
    fdc_no_results(f);
}

static void dump_registers(struct fdc *f)
{
    const uint8_t result[] = {
        f->pcn[0],     f->pcn[1],
        f->pcn[2],     f->pcn[3],
        f->specify[0], f->specify[1],
        f->t.last,     (uint8_t)(f->lock << 7 | f->perpendicular),
        f->config,     f->pretrack};

    fdc_results(f, result, sizeof result, false);
}

static void lock(struct fdc *f)
{
    uint8_t result;

    f->lock = f->command[0] & 0x80;
    result = (uint8_t)(f->lock << 4);
    fdc_results(f, &result, 1, false);
}

static void version(struct fdc *f)
{
    const uint8_t result = VERSION_82077;

    fdc_results(f, &result, 1, false);
}

static void invalid(struct fdc *f)
{
    const uint8_t result = ST0_INVALID;

    fdc_results(f, &result, 1, false);
}

static const struct command {
    uint8_t mask, code, bytes;
    void (*run)(struct fdc *f);
} commands[] = {
    {0x9f, 0x02, 9, begin_transfer}, /* READ TRACK */
    {0xff, 0x03, 3, specify},
    {0xff, 0x04, 2, sense_drive},
    {0x3f, 0x05, 9, begin_transfer}, /* WRITE DATA */
    {0x1f, 0x06, 9, begin_transfer}, /* READ DATA */
    {0xff, 0x07, 2, recalibrate},
    {0xff, 0x08, 1, sense_interrupt},
    {0x3f, 0x09, 9, begin_transfer}, /* WRITE DELETED DATA */
    {0xbf, 0x0a, 2, read_id},
    {0x1f, 0x0c, 9, begin_transfer}, /* READ DELETED DATA */
    {0xbf, 0x0d, 6, begin_format},
    {0xff, 0x0e, 1, dump_registers},
    {0x3f, 0x0f, 3, seek},
    {0xff, 0x10, 1, version},
    {0xff, 0x12, 2, perpendicular},
    {0xff, 0x13, 4, configure},
    {0x7f, 0x14, 1, lock},
    {0x1f, 0x16, 9, begin_transfer}, /* VERIFY */
};

static const struct command *find(uint8_t first)
{
    static const struct command unknown = {0, 0, 1, invalid};

    for (unsigned i = 0; i < ARRAY_LEN(commands); i++)
        if ((first & commands[i].mask) == commands[i].code)
            return &commands[i];
    return &unknown;
}

unsigned fdc_command_bytes(uint8_t first)
{
    return find(first)->bytes;
}

void fdc_execute(struct fdc *f)
{
    find(f->command[0])->run(f);
}
