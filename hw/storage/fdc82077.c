/* 82077AA: registers, phases and interrupts. */
#include "hw/storage/fdc82077.h"

#include "base/bits.h"

enum { /* ports from 0x3f0 on */
       SRA,
       SRB,
       DOR,
       TDR,
       MSR, /* reading; writing: DSR */
       FIFO,
       DIR = 7, /* reading; writing: CCR */
};

enum { DOR_SELECT = 0x03, DOR_RUN = 0x04, DOR_DMAGATE = 0x08 };
enum { DSR_RESET = 0x80, DIR_CHANGED = 0x80, CONFIG_NO_POLL = 0x10 };
enum { MSR_BUSY = 0x10, MSR_NON_DMA = 0x20, MSR_DIO = 0x40, MSR_RQM = 0x80 };
enum { IRQ = 6, BASE = 0x3f0, ST0_POLLED = 0xc0 };
enum { CONFIG_RESET = 0x20, CONFIG_LOCKED = 0x2f, CONFIG_RESET_MASK = 0x40 };

static struct fdc *fdc_of(struct dev *d)
{
    return container_of(d, struct fdc, dev);
}

/* --- interrupts --- */

static void update_line(struct fdc *f)
{
    bool level = f->interrupt && (f->dor & DOR_DMAGATE);

    if (level == f->line)
        return;
    f->line = level;
    irq_set(&f->dev.env->isa_irq[IRQ], level);
}

void fdc_interrupt(struct fdc *f, bool level)
{
    f->interrupt = level;
    update_line(f);
}

void fdc_sense_later(struct fdc *f, unsigned drive, uint8_t st0)
{
    f->sense[drive] = st0;
    f->sensing |= (uint8_t)BIT(drive);
    fdc_interrupt(f, true);
}

/* --- phases --- */

void fdc_no_results(struct fdc *f)
{
    f->phase = FDC_COMMAND;
    f->ncommand = 0;
}

void fdc_results(struct fdc *f, const uint8_t *p, unsigned n, bool interrupt)
{
    memcpy(f->result, p, n);
    f->nresult = (uint8_t)n;
    f->next_result = 0;
    f->phase = FDC_RESULT;
    if (interrupt)
        fdc_interrupt(f, true);
}

static uint8_t main_status(const struct fdc *f)
{
    if (!(f->dor & DOR_RUN) || (f->called && f->aborted))
        return 0;
    switch (f->phase) {
    case FDC_COMMAND: return f->ncommand ? MSR_RQM | MSR_BUSY : MSR_RQM;
    case FDC_RESULT: return MSR_RQM | MSR_DIO | MSR_BUSY;
    default: break;
    }
    if (fdc_uses_dma(f) || f->called)
        return MSR_BUSY;
    /* READ DATA and its kin have bit 1 set, writes have not. */
    return MSR_RQM | MSR_BUSY | MSR_NON_DMA |
           ((f->command[0] & 2) ? MSR_DIO : 0);
}

static uint8_t read_fifo(struct fdc *f)
{
    uint8_t v;

    if (!(main_status(f) & MSR_DIO))
        return 0xff;
    if (f->phase == FDC_EXECUTION) {
        v = f->buf[f->t.pos++];
        if (f->t.pos == f->t.want)
            fdc_buffer_moved(f);
        return v;
    }
    fdc_interrupt(f, false);
    v = f->result[f->next_result++];
    if (f->next_result == f->nresult)
        fdc_no_results(f);
    return v;
}

static void write_fifo(struct fdc *f, uint8_t v)
{
    uint8_t status = main_status(f);

    if (!(status & MSR_RQM) || (status & MSR_DIO))
        return;
    if (f->phase == FDC_EXECUTION) {
        f->buf[f->t.pos++] = v;
        if (f->t.pos == f->t.want)
            fdc_buffer_moved(f);
        return;
    }
    f->command[f->ncommand++] = v;
    if (f->ncommand == fdc_command_bytes(f->command[0])) {
        f->phase = FDC_EXECUTION;
        fdc_execute(f);
    }
}

/* --- reset: §4.0 --- */

static void drop_command(struct fdc *f)
{
    f->aborted = f->called;
    f->sensing = 0;
    fdc_no_results(f);
    fdc_interrupt(f, false);
}

/* A software reset spares what LOCK protects. */
static void begin_reset(struct fdc *f)
{
    drop_command(f);
    memset(f->pcn, 0, sizeof f->pcn);
    if (!f->lock) {
        f->config = (uint8_t)(CONFIG_RESET | (f->config & CONFIG_RESET_MASK));
        f->pretrack = 0;
    }
    f->perpendicular &= 0x3c;
}

/* With polling on, every drive has a change of its ready line to report. */
void fdc_reset_done(struct fdc *f)
{
    f->aborted = false;
    if (!(f->dor & DOR_RUN) || (f->config & CONFIG_NO_POLL))
        return;
    for (unsigned n = 0; n < FDC_SELECTS; n++)
        fdc_sense_later(f, n, (uint8_t)(ST0_POLLED | n));
}

static void write_dor(struct fdc *f, uint8_t v)
{
    uint8_t was = f->dor;

    f->dor = v;
    if (!(v & DOR_RUN) && (was & DOR_RUN))
        begin_reset(f);
    else if ((v & DOR_RUN) && !(was & DOR_RUN) && !f->called)
        fdc_reset_done(f);
    update_line(f);
}

static void write_dsr(struct fdc *f, uint8_t v)
{
    f->dsr = v & 0x7f;
    f->rate = v & 3;
    if (!(v & DSR_RESET) || !(f->dor & DOR_RUN))
        return;
    begin_reset(f);
    if (!f->called)
        fdc_reset_done(f);
}

/* --- ports --- */

static uint8_t read_dir(const struct fdc *f)
{
    unsigned n = f->dor & DOR_SELECT;

    if (n >= FDC_DRIVES || !f->unit[n].present ||
        !(f->dor & BIT(4 + n))) /* its motor */
        return 0;
    return f->drive[n].changed ? DIR_CHANGED : 0;
}

static uint64_t port_read(void *dev, uint64_t off, unsigned bytes UNUSED)
{
    struct fdc *f = dev;

    switch (off) {
    case DOR: return f->dor;
    case TDR: return f->tdr;
    case MSR: return main_status(f);
    case FIFO: return read_fifo(f);
    default: return 0xff; /* SRA and SRB are not there in AT mode */
    }
}

static void port_write(void *dev, uint64_t off, uint64_t v,
                       unsigned bytes UNUSED)
{
    struct fdc *f = dev;

    switch (off) {
    case DOR: write_dor(f, (uint8_t)v); break;
    case TDR: f->tdr = v & 3; break;
    case MSR: write_dsr(f, (uint8_t)v); break;
    case FIFO: write_fifo(f, (uint8_t)v); break;
    default: break;
    }
}

static uint64_t dir_read(void *dev, uint64_t off UNUSED, unsigned bytes UNUSED)
{
    return read_dir(dev);
}

static void ccr_write(void *dev, uint64_t off UNUSED, uint64_t v,
                      unsigned bytes UNUSED)
{
    ((struct fdc *)dev)->rate = v & 3;
}

static const struct region_ops port_ops = {port_read, port_write, 1, 1};
static const struct region_ops dir_ops = {dir_read, ccr_write, 1, 1};

/* --- media --- */

void fdc_drive_changed(struct media_drive *m)
{
    struct fdc_drive *d = container_of(m, struct fdc_drive, media);

    d->format = m->medium ? floppy_format(m->medium->size) : NULL;
    d->changed = true;
    d->next_id = 1;
}

static int check_medium(struct media_drive *m, const struct blk *blk,
                        struct err *e)
{
    if (blk->sector_size == FLOPPY_SECTOR && floppy_format(blk->size))
        return 0;
    return err_set(e, LE_FORMAT,
                   "%s: no floppy is that large; the largest holds 3.84 MB",
                   m->id);
}

/* --- life --- */

static int init_drive(struct fdc *f, unsigned n, struct err *e)
{
    struct fdc_drive *d = &f->drive[n];
    int r;

    if (!f->unit[n].present)
        return 0;
    d->media = (struct media_drive){.id = f->unit[n].name ? f->unit[n].name
                                                          : f->dev.id,
                                    .medium = f->unit[n].blk,
                                    .check = check_medium,
                                    .changed = fdc_drive_changed};
    r = d->media.medium ? check_medium(&d->media, d->media.medium, e) : 0;
    if (r < 0)
        return r;
    fdc_drive_changed(&d->media);
    media_add(f->dev.env, &d->media);
    return 0;
}

static void remove_drives(struct fdc *f)
{
    for (unsigned n = 0; n < FDC_DRIVES; n++)
        media_remove(f->dev.env, &f->drive[n].media);
}

static int fdc_attach(struct dev *dev, struct env *env, struct err *e)
{
    struct fdc *f = fdc_of(dev);
    int r = 0;

    dev->env = env;
    if (!env->isa_dma)
        return err_set(e, LE_STATE, "floppy drives need ISA DMA");
    f->req.done = fdc_call_done;
    f->req.ctx = f;
    for (unsigned n = 0; n < FDC_DRIVES && !r; n++)
        r = init_drive(f, n, e);
    if (r < 0) {
        remove_drives(f);
        return r;
    }
    f->low = (struct region){
        .name = "floppy", .size = FIFO + 1, .ops = &port_ops, .dev = f};
    f->high = (struct region){
        .name = "floppy DIR", .size = 1, .ops = &dir_ops, .dev = f};
    if (!space_map(env->io, BASE, &f->low, 0) &&
        !space_map(env->io, BASE + DIR, &f->high, 0))
        return 0;
    space_unmap(&f->low);
    remove_drives(f);
    return err_set(e, LE_NOMEM, "cannot map the ports of the floppy drives");
}

static void fdc_detach(struct dev *dev)
{
    struct fdc *f = fdc_of(dev);

    remove_drives(f);
    space_unmap(&f->low);
    space_unmap(&f->high);
}

static void fdc_reset(struct dev *dev, bool cold UNUSED)
{
    struct fdc *f = fdc_of(dev);

    f->lock = false;
    f->config = 0;
    f->perpendicular = 0;
    f->dor = f->tdr = 0;
    f->dsr = f->rate = FLOPPY_250;
    f->specify[0] = f->specify[1] = 0;
    begin_reset(f);
    for (unsigned n = 0; n < FDC_DRIVES; n++)
        f->drive[n].changed = true;
    update_line(f);
}

/* Only without DMA is there anything to wait for in the execution phase. */
static bool valid(const struct fdc *f)
{
    const struct fdc_transfer *t = &f->t;
    unsigned n = fdc_command_bytes(f->command[0]);

    if (f->phase == FDC_COMMAND)
        return !f->ncommand || f->ncommand < n;
    if (f->phase == FDC_RESULT)
        return f->next_result < f->nresult;
    return !fdc_uses_dma(f) && f->ncommand == n && n >= 6 &&
           t->want <= FLOPPY_SECTOR && t->pos < t->want;
}

static int fdc_loaded(struct dev *dev, uint16_t version UNUSED)
{
    struct fdc *f = fdc_of(dev);

    if (!valid(f))
        return -LE_FORMAT;
    f->line = !(f->interrupt && (f->dor & DOR_DMAGATE));
    update_line(f);
    return 0;
}

#define UNIT_PROPS(n)                                                          \
    {"drive" #n,                                                               \
     "the medium in drive " #n,                                                \
     offsetof(struct fdc, unit[n].blk),                                        \
     PROP_BLK,                                                                 \
     false,                                                                    \
     0,                                                                        \
     0,                                                                        \
     0},                                                                       \
        {"present" #n,                                                         \
         "there is a drive " #n,                                               \
         offsetof(struct fdc, unit[n].present),                                \
         PROP_BOOL,                                                            \
         false,                                                                \
         0,                                                                    \
         0,                                                                    \
         0},                                                                   \
        {"readonly" #n,                                                        \
         "its media are write-protected",                                      \
         offsetof(struct fdc, unit[n].readonly),                               \
         PROP_BOOL,                                                            \
         false,                                                                \
         0,                                                                    \
         0,                                                                    \
         0},                                                                   \
    {                                                                          \
        "name" #n, "how it is named to change its medium",                     \
            offsetof(struct fdc, unit[n].name), PROP_STRING, false, 0, 0, 0    \
    }

static const struct prop fdc_props[] = {
    UNIT_PROPS(0),
    UNIT_PROPS(1),
    PROP_END,
};

static const struct field drive_fields[] = {
    FIELD8(struct fdc_drive, track),
    FIELD8(struct fdc_drive, next_id),
    FIELDB(struct fdc_drive, changed),
    FIELD_END,
};

static const struct field transfer_fields[] = {
    FIELD8(struct fdc_transfer, cylinder), FIELD8(struct fdc_transfer, head),
    FIELD8(struct fdc_transfer, sector),   FIELD8(struct fdc_transfer, last),
    FIELD8(struct fdc_transfer, left),     FIELD16(struct fdc_transfer, pos),
    FIELD16(struct fdc_transfer, want),    FIELD_END,
};

static const struct field fdc_fields[] = {
    FIELD_SUB(struct fdc, drive, struct fdc_drive, drive_fields),
    FIELD8(struct fdc, dor),
    FIELD8(struct fdc, dsr),
    FIELD8(struct fdc, tdr),
    FIELD_MAX(struct fdc, rate, 8, 3),
    FIELD_MAX(struct fdc, phase, 8, FDC_PHASES - 1),
    FIELD_RAW(struct fdc, command),
    FIELD_MAX(struct fdc, ncommand, 8, FDC_COMMAND_MAX),
    FIELD_RAW(struct fdc, result),
    FIELD_MAX(struct fdc, nresult, 8, FDC_RESULTS),
    FIELD_MAX(struct fdc, next_result, 8, FDC_RESULTS),
    FIELD_RAW(struct fdc, pcn),
    FIELD_RAW(struct fdc, specify),
    FIELD8(struct fdc, config),
    FIELD8(struct fdc, pretrack),
    FIELD8(struct fdc, perpendicular),
    FIELDB(struct fdc, lock),
    FIELD_RAW(struct fdc, sense),
    FIELD_MAX(struct fdc, sensing, 8, 15),
    FIELDB(struct fdc, interrupt),
    FIELD_SUB(struct fdc, t, struct fdc_transfer, transfer_fields),
    FIELD_RAW(struct fdc, buf),
    FIELD_END,
};

const struct dev_class fdc82077_class = {
    .name = "fdc82077",
    .summary = "floppy disk controller and two drives",
    .spec = "Intel 82077AA, 290166",
    .size = sizeof(struct fdc),
    .props = fdc_props,
    .state = fdc_fields,
    .version = 1,
    .attach = fdc_attach,
    .reset = fdc_reset,
    .loaded = fdc_loaded,
    .detach = fdc_detach,
};
