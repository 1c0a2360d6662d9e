/* ATA drives: the way of a command, and what disks do. See ata.h. */
#include "base/bits.h"
#include "base/checked.h"
#include "base/endian.h"
#include "hw/storage/ata_priv.h"

enum {            /* of a command row */
       EXT = 1,   /* 48-bit addresses */
       DISK = 2,  /* disks have it */
       CDROM = 4, /* CD-ROMs have it */
       BOTH = 6,
       QUEUED = 8, /* FPDMA */
       FUA = 16,
       MULTIPLE = 32,
};

struct ata_row {
    uint8_t command, flags, data;
    int (*run)(struct ata_task *t, const struct ata_row *row);
};

/* --- the way of a command --- */

void ata_finish(struct ata_task *t, uint8_t status, uint8_t error)
{
    t->tf.status = (uint8_t)(ATA_DRDY | ATA_DSC | status);
    t->tf.error = error;
    if (t->packet_cmd)
        t->tf.count = (t->tf.count & 0xf8) | ATA_PACKET_IO | ATA_PACKET_CD;
    t->phase = ATA_IDLE;
    t->drive->host->done(t);
}

static void fail(struct ata_task *t, uint8_t error)
{
    ata_finish(t, ATA_ERR, error);
}

static struct blk *medium_of(const struct ata_task *t)
{
    struct ata_drive *d = t->drive;

    return d->cdrom ? d->media.medium : d->blk;
}

static void submit(struct ata_task *t, enum blk_op op, uint64_t off,
                   uint64_t len)
{
    struct blk *blk = medium_of(t);
    bool data = op == BLK_READ || op == BLK_WRITE;

    t->span = (struct span){t->buf, (size_t)len};
    t->req.op = op;
    t->req.off = off;
    t->req.len = len;
    t->req.sg = data ? &t->span : NULL;
    t->req.nsg = data;
    t->phase = ATA_CALLED;
    t->aborted = false;
    t->drive->dev->inflight++;
    blk_submit(blk, &t->req);
}

/* The next chunk from the medium; the end of a last, partial block of a CD
   reads as zeros. */
static void submit_read(struct ata_task *t)
{
    struct blk *blk = medium_of(t);
    uint64_t len = t->chunk;

    if (!blk || t->off >= blk->size) { /* taken out in the meantime */
        if (t->packet_cmd)
            atapi_medium_error(t);
        else
            fail(t, ATA_UNC);
        return;
    }
    if (len > blk->size - t->off) {
        len = blk->size - t->off;
        memset(t->buf + len, 0, t->chunk - (size_t)len);
    }
    submit(t, BLK_READ, t->off, len);
}

static void move(struct ata_task *t)
{
    t->phase = ATA_MOVING;
    t->drive->host->move(t);
}

/* Everything has been moved. */
static void conclude(struct ata_task *t)
{
    bool write = t->kind == ATA_MEDIUM &&
                 (t->data == ATA_PIO_OUT || t->data == ATA_DMA_OUT);

    if (write && (t->fua || !t->drive->write_cache)) {
        t->kind = ATA_CACHE;
        submit(t, BLK_FLUSH, 0, 0);
        return;
    }
    ata_finish(t, 0, 0);
}

void ata_advance(struct ata_task *t)
{
    if (!t->left) {
        conclude(t);
        return;
    }
    t->chunk = (uint32_t)MIN(t->left, (uint64_t)t->buf_bytes);
    if (t->kind == ATA_VERIFY ||
        (t->kind == ATA_MEDIUM &&
         (t->data == ATA_PIO_IN || t->data == ATA_DMA_IN)))
        submit_read(t);
    else
        move(t);
}

static void step(struct ata_task *t)
{
    t->off += t->chunk;
    t->left -= t->chunk;
    ata_advance(t);
}

/* The next range of a DATA SET MANAGEMENT; eight bytes: LBA and length. */
static void trim_next(struct ata_task *t)
{
    struct ata_drive *d = t->drive;

    for (; t->range < t->chunk / 8; t->range++) {
        uint64_t v = load_le64(t->buf + 8 * t->range);
        uint64_t lba = v & mask_low(48), n = v >> 48;

        if (!n)
            continue;
        if (!range_ok(lba, n, d->sectors)) {
            fail(t, ATA_ABRT);
            return;
        }
        t->range++;
        submit(t, BLK_DISCARD, lba * ATA_SECTOR, n * ATA_SECTOR);
        return;
    }
    ata_finish(t, 0, 0);
}

void ata_moved(struct ata_task *t, bool ok)
{
    bool packet = t->phase == ATA_PACKET;

    if (!ok) {
        fail(t, ATA_ABRT);
    } else if (packet) {
        atapi_run(t);
    } else if (t->kind == ATA_TRIM) {
        trim_next(t);
    } else if (t->kind == ATA_PARAMS) {
        atapi_params(t);
    } else if (t->kind == ATA_MEDIUM &&
               (t->data == ATA_PIO_OUT || t->data == ATA_DMA_OUT)) {
        submit(t, BLK_WRITE, t->off, t->chunk);
    } else {
        step(t);
    }
}

static void set_lba(struct ata_task *t, uint64_t lba);

static void medium_failed(struct ata_task *t)
{
    if (t->packet_cmd) {
        atapi_medium_error(t);
        return;
    }
    if (t->kind == ATA_TRIM || t->kind == ATA_CACHE) {
        fail(t, ATA_ABRT);
        return;
    }
    set_lba(t, t->off / ATA_SECTOR);
    fail(t, ATA_UNC);
}

static void request_done(struct blk_req *r, int error)
{
    struct ata_task *t = r->ctx;

    t->drive->dev->inflight--;
    if (t->aborted) {
        t->aborted = false;
        t->phase = ATA_IDLE;
        t->drive->host->drained(t);
        return;
    }
    if (error && !(t->kind == ATA_TRIM && error == -LE_UNSUPPORTED)) {
        medium_failed(t);
        return;
    }
    if (t->kind == ATA_TRIM)
        trim_next(t);
    else if (t->kind == ATA_CACHE)
        ata_finish(t, 0, 0);
    else if (r->op == BLK_READ && t->kind == ATA_MEDIUM)
        move(t);
    else
        step(t);
}

bool ata_abort(struct ata_task *t)
{
    if (t->phase == ATA_CALLED) {
        t->aborted = true;
        return false;
    }
    t->phase = ATA_IDLE;
    return true;
}

/* --- addresses --- */

static bool is_ext(const struct ata_task *t);

/* The sector a 28-bit command means; UINT64_MAX: none. */
static uint64_t lba28(const struct ata_task *t)
{
    const struct ata_drive *d = t->drive;
    uint64_t low = t->tf.lba & 0xffffff;
    unsigned top = t->tf.device & 15, sector = low & 0xff;

    if (t->tf.device & ATA_DEV_LBA)
        return low | (uint64_t)top << 24;
    if (!sector || sector > d->sectors_per_track || top >= d->heads)
        return UINT64_MAX;
    return ((low >> 8) * d->heads + top) * d->sectors_per_track + sector - 1;
}

static void set_lba(struct ata_task *t, uint64_t lba)
{
    const struct ata_drive *d = t->drive;
    uint32_t track;

    if (is_ext(t)) {
        t->tf.lba = lba;
        return;
    }
    t->tf.device &= 0xf0;
    if (t->tf.device & ATA_DEV_LBA) {
        t->tf.lba = lba & 0xffffff;
        t->tf.device |= lba >> 24 & 15;
    } else if (d->heads && d->sectors_per_track) {
        track = (uint32_t)lba / d->sectors_per_track;
        t->tf.lba = (uint64_t)(track / d->heads & 0xffff) << 8 |
                    (lba % d->sectors_per_track + 1);
        t->tf.device |= track % d->heads;
    }
}

/* Where the command's sectors begin and how many there are; an error bit when
   they are not all on the disk. */
static int address(struct ata_task *t, const struct ata_row *row, uint64_t *lba,
                   uint32_t *n)
{
    if (row->flags & QUEUED) {
        *lba = t->tf.lba;
        *n = t->tf.feature ? t->tf.feature : 65536;
    } else if (row->flags & EXT) {
        *lba = t->tf.lba;
        *n = t->tf.count ? t->tf.count : 65536;
    } else {
        *lba = lba28(t);
        *n = t->tf.count & 0xff ? t->tf.count & 0xff : 256;
    }
    return range_ok(*lba, *n, t->drive->sectors) ? 0 : ATA_IDNF;
}

/* --- commands; each returns ATA_GO, ATA_STARTED or an error --- */

static int transfer(struct ata_task *t, const struct ata_row *row)
{
    struct ata_drive *d = t->drive;
    bool out = row->data == ATA_PIO_OUT || row->data == ATA_DMA_OUT;
    uint64_t lba;
    uint32_t n;
    int error;

    if (out && d->readonly)
        return ATA_ABRT;
    if ((row->flags & MULTIPLE) && !d->multiple)
        return ATA_ABRT;
    error = address(t, row, &lba, &n);
    if (error)
        return error;
    t->kind = row->data == ATA_NO_DATA ? ATA_VERIFY : ATA_MEDIUM;
    t->fua =
        (row->flags & FUA) || ((row->flags & QUEUED) && (t->tf.device & 0x80));
    t->block = ATA_SECTOR * (row->flags & MULTIPLE ? d->multiple : 1);
    t->off = lba * ATA_SECTOR;
    t->left = (uint64_t)n * ATA_SECTOR;
    d->power = 0xff;
    return ATA_GO;
}

int ata_reply(struct ata_task *t, uint32_t n)
{
    t->kind = ATA_BUFFER;
    t->block = ATA_SECTOR;
    t->left = n;
    t->off = 0;
    return ATA_GO;
}

static int identify(struct ata_task *t, const struct ata_row *row)
{
    (void)row;
    ata_identify(t->drive, t->buf);
    return ata_reply(t, ATA_SECTOR);
}

static int nothing(struct ata_task *t, const struct ata_row *row)
{
    (void)t;
    (void)row;
    return ATA_GO;
}

static int refuse(struct ata_task *t, const struct ata_row *row)
{
    (void)t;
    (void)row;
    return ATA_ABRT;
}

/* Not for packet devices, which answer with their signature: §7.16. */
static int identify_other(struct ata_task *t)
{
    ata_signature(t->drive, &t->tf);
    return ATA_ABRT;
}

static int flush(struct ata_task *t, const struct ata_row *row)
{
    (void)row;
    t->kind = ATA_CACHE;
    submit(t, BLK_FLUSH, 0, 0);
    return ATA_STARTED;
}

static int trim(struct ata_task *t, const struct ata_row *row)
{
    (void)row;
    if (!(t->tf.feature & 1) || t->drive->readonly || !t->tf.count ||
        t->tf.count > ATA_TRIM_BLOCKS || !t->drive->blk->can_discard)
        return ATA_ABRT;
    t->kind = ATA_TRIM;
    t->range = 0;
    t->left = (uint64_t)t->tf.count * ATA_SECTOR;
    return ATA_GO;
}

static int seek(struct ata_task *t, const struct ata_row *row)
{
    uint64_t lba = lba28(t);

    (void)row;
    return lba < t->drive->sectors ? ATA_GO : ATA_IDNF;
}

static int set_multiple(struct ata_task *t, const struct ata_row *row)
{
    uint8_t n = t->tf.count & 0xff;

    (void)row;
    if (n > ATA_MULTIPLE_MAX || (n && !is_power_of_two(n)))
        return ATA_ABRT;
    t->drive->multiple = n;
    return ATA_GO;
}

/* INITIALIZE DEVICE PARAMETERS (ATA-5 §8.16): the geometry of CHS. */
static int set_geometry(struct ata_task *t, const struct ata_row *row)
{
    uint8_t sectors = t->tf.count & 0xff;

    (void)row;
    if (!sectors)
        return ATA_ABRT;
    t->drive->sectors_per_track = sectors;
    t->drive->heads = (t->tf.device & 15) + 1;
    return ATA_GO;
}

/* Also READ NATIVE MAX ADDRESS EXT: there is no host protected area. */
static int native_max(struct ata_task *t, const struct ata_row *row)
{
    uint64_t last = t->drive->sectors - 1;

    if (row->flags & EXT) {
        t->tf.lba = last;
        return ATA_GO;
    }
    if (!(t->tf.device & ATA_DEV_LBA))
        return ATA_ABRT;
    set_lba(t, MIN(last, mask_low(28)));
    return ATA_GO;
}

static int set_power(struct ata_task *t, const struct ata_row *row)
{
    /* E0 and E2 go to standby, E1 and E3 to idle, E6 to sleep. */
    t->drive->power = row->command & 1 ? 0xff : 0x00;
    return ATA_GO;
}

static int get_power(struct ata_task *t, const struct ata_row *row)
{
    (void)row;
    t->tf.count = t->drive->power;
    return ATA_GO;
}

static int features(struct ata_task *t, const struct ata_row *row)
{
    (void)row;
    return ata_set_features(t);
}

static int smart(struct ata_task *t, const struct ata_row *row)
{
    (void)row;
    return ata_smart(t);
}

static int read_log(struct ata_task *t, const struct ata_row *row)
{
    (void)row;
    return ata_read_log(t);
}

/* EXECUTE DEVICE DIAGNOSTIC and DEVICE RESET; an IDE channel does more. */
static int diagnose(struct ata_task *t, const struct ata_row *row)
{
    if (row->command == ATA_DEVICE_RESET)
        ata_drive_reset(t->drive, false);
    ata_signature(t->drive, &t->tf);
    ata_finish(t, 0, ATA_PASSED);
    return ATA_STARTED;
}

static int packet(struct ata_task *t, const struct ata_row *row)
{
    unsigned limit = t->tf.lba >> 8 & 0xfffe;

    (void)row;
    t->packet_cmd = true;
    t->block = limit ? limit : 0xfffe;
    t->data = t->tf.feature & 1 ? ATA_DMA_IN : ATA_PIO_IN;
    t->tf.count = (t->tf.count & 0xf8) | ATA_PACKET_CD;
    t->phase = ATA_PACKET;
    t->drive->host->move(t);
    return ATA_STARTED;
}

/* clang-format off */
static const struct ata_row rows[] = {
    {0x00, BOTH, ATA_NO_DATA, refuse},                  /* NOP */
    {0x06, DISK | EXT, ATA_DMA_OUT, trim},              /* DATA SET MANAGEMENT */
    {ATA_DEVICE_RESET, CDROM, ATA_NO_DATA, diagnose},
    {0x20, DISK, ATA_PIO_IN, transfer},                 /* READ SECTORS */
    {0x21, DISK, ATA_PIO_IN, transfer},                 /* … without retries */
    {0x24, DISK | EXT, ATA_PIO_IN, transfer},
    {0x25, DISK | EXT, ATA_DMA_IN, transfer},           /* READ DMA EXT */
    {0x27, DISK | EXT, ATA_NO_DATA, native_max},
    {0x29, DISK | EXT | MULTIPLE, ATA_PIO_IN, transfer},
    {0x2f, DISK | EXT, ATA_PIO_IN, read_log},
    {0x30, DISK, ATA_PIO_OUT, transfer},                /* WRITE SECTORS */
    {0x31, DISK, ATA_PIO_OUT, transfer},
    {0x34, DISK | EXT, ATA_PIO_OUT, transfer},
    {0x35, DISK | EXT, ATA_DMA_OUT, transfer},          /* WRITE DMA EXT */
    {0x39, DISK | EXT | MULTIPLE, ATA_PIO_OUT, transfer},
    {0x3d, DISK | EXT | FUA, ATA_DMA_OUT, transfer},
    {0x40, DISK, ATA_NO_DATA, transfer},                /* READ VERIFY */
    {0x41, DISK, ATA_NO_DATA, transfer},
    {0x42, DISK | EXT, ATA_NO_DATA, transfer},
    {0x47, DISK | EXT, ATA_DMA_IN, read_log},
    {0x60, DISK | EXT | QUEUED, ATA_DMA_IN, transfer},  /* READ FPDMA */
    {0x61, DISK | EXT | QUEUED, ATA_DMA_OUT, transfer}, /* WRITE FPDMA */
    {ATA_DIAGNOSE, BOTH, ATA_NO_DATA, diagnose},
    {0x91, DISK, ATA_NO_DATA, set_geometry},
    {0xa0, CDROM, ATA_NO_DATA, packet},
    {0xa1, CDROM, ATA_PIO_IN, identify},
    {0xb0, DISK, ATA_PIO_IN, smart},
    {0xc4, DISK | MULTIPLE, ATA_PIO_IN, transfer},      /* READ MULTIPLE */
    {0xc5, DISK | MULTIPLE, ATA_PIO_OUT, transfer},
    {0xc6, DISK, ATA_NO_DATA, set_multiple},
    {0xc8, DISK, ATA_DMA_IN, transfer},                 /* READ DMA */
    {0xc9, DISK, ATA_DMA_IN, transfer},
    {0xca, DISK, ATA_DMA_OUT, transfer},
    {0xcb, DISK, ATA_DMA_OUT, transfer},
    {0xce, DISK | EXT | MULTIPLE | FUA, ATA_PIO_OUT, transfer},
    {0xe0, BOTH, ATA_NO_DATA, set_power},
    {0xe1, BOTH, ATA_NO_DATA, set_power},
    {0xe2, BOTH, ATA_NO_DATA, set_power},
    {0xe3, BOTH, ATA_NO_DATA, set_power},
    {0xe5, BOTH, ATA_NO_DATA, get_power},
    {0xe6, BOTH, ATA_NO_DATA, set_power},
    {0xe7, DISK, ATA_NO_DATA, flush},
    {0xea, DISK | EXT, ATA_NO_DATA, flush},
    {0xec, DISK, ATA_PIO_IN, identify},
    {0xef, BOTH, ATA_NO_DATA, features},
    {0xf8, DISK, ATA_NO_DATA, native_max},
};
/* clang-format on */

/* RECALIBRATE and SEEK have 16 codes each. */
static const struct ata_row recalibrate_row = {0x10, DISK, ATA_NO_DATA,
                                               nothing};
static const struct ata_row seek_row = {0x70, DISK, ATA_NO_DATA, seek};

static const struct ata_row *find_row(uint8_t command)
{
    if (command >> 4 == 1)
        return &recalibrate_row;
    if (command >> 4 == 7)
        return &seek_row;
    for (unsigned i = 0; i < ARRAY_LEN(rows); i++)
        if (rows[i].command == command)
            return &rows[i];
    return NULL;
}

static bool is_ext(const struct ata_task *t)
{
    const struct ata_row *row = find_row(t->tf.command);

    return row && (row->flags & EXT);
}

bool ata_is_queued(uint8_t command)
{
    const struct ata_row *row = find_row(command);

    return row && (row->flags & QUEUED);
}

/* Commands that a packet device refuses with its signature. */
static bool wants_signature(const struct ata_task *t)
{
    uint8_t c = t->tf.command;

    return t->drive->cdrom && (c == 0xec || c == 0x20);
}

void ata_task_init(struct ata_task *t, uint8_t *buf, uint32_t bytes)
{
    t->buf = buf;
    t->buf_bytes = bytes;
    t->req.done = request_done;
    t->req.ctx = t;
}

void ata_start(struct ata_task *t)
{
    struct ata_drive *d = t->drive;
    const struct ata_row *row = find_row(t->tf.command);
    int r = ATA_ABRT;

    t->packet_cmd = t->fua = false;
    t->kind = ATA_BUFFER;
    t->off = t->left = 0;
    t->chunk = t->range = 0;
    t->block = ATA_SECTOR;
    if (row && (row->flags & (d->cdrom ? CDROM : DISK)) &&
        (d->sata || !(row->flags & QUEUED))) {
        t->data = row->data;
        r = row->run(t, row);
    } else if (wants_signature(t)) {
        r = identify_other(t);
    }
    if (r == ATA_GO)
        ata_advance(t);
    else if (r != ATA_STARTED)
        fail(t, (uint8_t)r);
}

/* --- life --- */

/* ATA-5's old limits for CHS: 16 heads, 63 sectors, 16383 cylinders. */
static void derive_geometry(struct ata_drive *d)
{
    uint64_t cylinders = d->sectors / (16 * 63);

    d->heads_max = 16;
    d->cylinders_max = (uint32_t)MIN(MAX(cylinders, 1), 16383);
}

int ata_drive_init(struct ata_drive *d, struct dev *dev, unsigned unit,
                   const struct ata_unit *u, const struct ata_host_ops *host,
                   bool sata, struct err *e)
{
    const char *serial = u->serial ? u->serial : u->blk ? u->blk->id : "";

    d->host = host;
    d->dev = dev;
    d->unit = (uint8_t)unit;
    d->sata = sata;
    d->cdrom = u->cdrom;
    d->present = u->cdrom || u->blk;
    if (!d->present)
        return 0;
    if (u->blk && (u->blk->sector_size != ATA_SECTOR || !u->blk->size))
        return err_set(e, LE_UNSUPPORTED,
                       "%s: drive %u: an ATA disk has sectors of 512 bytes, "
                       "its image has not; use bus=virtio or bus=nvme",
                       dev->id, unit);
    if (serial[0])
        snprintf(d->serial, sizeof d->serial, "%.20s", serial);
    else /* drives are told apart by it */
        snprintf(d->serial, sizeof d->serial, "LODGE-%.8s-%u", dev->id, unit);
    if (d->cdrom) {
        d->media = (struct media_drive){.id = u->name ? u->name : dev->id,
                                        .medium = u->blk,
                                        .changed = atapi_changed,
                                        .wanted = atapi_wanted};
        media_add(dev->env, &d->media);
        return 0;
    }
    d->blk = u->blk;
    d->readonly = u->readonly || u->blk->readonly;
    d->sectors = u->blk->size / ATA_SECTOR;
    derive_geometry(d);
    return 0;
}

void ata_drive_exit(struct ata_drive *d)
{
    if (d->present && d->cdrom)
        media_remove(d->dev->env, &d->media);
    d->present = false;
}

void ata_drive_reset(struct ata_drive *d, bool power_on)
{
    d->heads = 16;
    d->sectors_per_track = 63;
    d->power = 0xff;
    if (d->cdrom && power_on) {
        d->prevent = d->media.locked = false;
        d->event = 0;
        d->sense = (struct sense){0};
        d->attention = (struct sense){6, 0x29, 0};
    }
    if (!power_on)
        return;
    d->multiple = 0;
    d->mwdma = BIT(2);
    d->udma = 0;
    d->write_cache = d->look_ahead = d->smart = true;
    memset(d->ncq_error, 0, sizeof d->ncq_error);
    d->ncq_error[0] = 0x80; /* no queued command has failed */
}

void ata_signature(const struct ata_drive *d, struct ata_tf *tf)
{
    tf->count = 1;
    tf->lba = d->cdrom ? 0xeb1401 : 0x000001;
    tf->device = 0;
}

int ata_drive_loaded(struct ata_drive *d)
{
    bool chs = d->heads >= 1 && d->heads <= 16 && d->sectors_per_track;

    if (!d->present)
        return 0;
    d->media.open = d->tray_open;
    d->media.locked = d->prevent;
    if (!chs || (d->multiple & (d->multiple - 1)))
        return -LE_FORMAT;
    return 0;
}

static const struct field sense_fields[] = {
    FIELD_MAX(struct sense, key, 8, 15),
    FIELD8(struct sense, asc),
    FIELD8(struct sense, ascq),
    FIELD_END,
};

const struct field ata_drive_fields[] = {
    FIELD8(struct ata_drive, heads),
    FIELD8(struct ata_drive, sectors_per_track),
    FIELD_MAX(struct ata_drive, multiple, 8, ATA_MULTIPLE_MAX),
    FIELD8(struct ata_drive, mwdma),
    FIELD8(struct ata_drive, udma),
    FIELDB(struct ata_drive, write_cache),
    FIELDB(struct ata_drive, look_ahead),
    FIELDB(struct ata_drive, smart),
    FIELD8(struct ata_drive, power),
    FIELD_SUB(struct ata_drive, sense, struct sense, sense_fields),
    FIELD_SUB(struct ata_drive, attention, struct sense, sense_fields),
    FIELD_MAX(struct ata_drive, event, 8, 4),
    FIELDB(struct ata_drive, tray_open),
    FIELDB(struct ata_drive, prevent),
    FIELD_RAW(struct ata_drive, ncq_error),
    FIELD_END,
};

const struct field ata_tf_fields[] = {
    FIELD_MAX(struct ata_tf, lba, 64, 0xffffffffffff),
    FIELD16(struct ata_tf, feature),
    FIELD16(struct ata_tf, count),
    FIELD8(struct ata_tf, device),
    FIELD8(struct ata_tf, command),
    FIELD8(struct ata_tf, status),
    FIELD8(struct ata_tf, error),
    FIELD_END,
};

const struct field ata_task_fields[] = {
    FIELD_SUB(struct ata_task, tf, struct ata_tf, ata_tf_fields),
    FIELD_RAW(struct ata_task, packet),
    FIELD_MAX(struct ata_task, phase, 8, ATA_PHASES - 1),
    FIELD_MAX(struct ata_task, kind, 8, ATA_KINDS - 1),
    FIELD_MAX(struct ata_task, data, 8, ATA_DMA_OUT),
    FIELD64(struct ata_task, off),
    FIELD64(struct ata_task, left),
    FIELD32(struct ata_task, chunk),
    FIELD32(struct ata_task, range),
    FIELD32(struct ata_task, block),
    FIELDB(struct ata_task, fua),
    FIELDB(struct ata_task, packet_cmd),
    FIELD_END,
};
