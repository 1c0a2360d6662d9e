/*
 * CD-ROM drives: packet commands. MMC-5 (T10/1675-D), SPC-3 (T10/1416-D),
 * SFF-8020i for the transport. One data track from the first block to the end.
 */
#include "base/bits.h"
#include "base/checked.h"
#include "base/endian.h"
#include "hw/storage/ata_priv.h"
#include "hw/storage/atapi_pages.h"

enum {             /* of a command row */
       MEDIUM = 1, /* needs one */
       ALWAYS = 2, /* also while a unit attention waits */
};

enum { SENSE_BYTES = 18, EVENT_MEDIA = 4, CD_BLOCKS_MAX = 360000 };
enum { EVENT_NONE, EVENT_EJECT, EVENT_NEW, EVENT_REMOVED };

/* clang-format off */
static const struct sense
    no_sense = {0, 0, 0},
    tray_is_open = {2, 0x3a, 2},
    no_medium = {2, 0x3a, 1},
    unreadable = {3, 0x11, 0},
    no_such_command = {5, 0x20, 0},
    out_of_range = {5, 0x21, 0},
    bad_field = {5, 0x24, 0},
    no_saved_pages = {5, 0x39, 0},
    wrong_mode = {5, 0x64, 0},
    removal_prevented = {5, 0x53, 2},
    medium_changed = {6, 0x28, 0},
    operator_wants = {6, 0x5a, 1};
/* clang-format on */

/* --- how commands end --- */

static void good(struct ata_task *t)
{
    t->drive->sense = no_sense;
    ata_finish(t, 0, 0);
}

void atapi_failed(struct ata_task *t, struct sense s)
{
    t->drive->sense = s;
    ata_finish(t, ATA_ERR, (uint8_t)(s.key << 4 | ATA_ABRT));
}

static bool has_medium(const struct ata_drive *d)
{
    return d->media.medium && !d->tray_open;
}

static struct sense absent(const struct ata_drive *d)
{
    return d->tray_open ? tray_is_open : no_medium;
}

void atapi_medium_error(struct ata_task *t)
{
    const struct ata_drive *d = t->drive;

    atapi_failed(t, has_medium(d) ? unreadable : absent(d));
}

/* n bytes of t->buf, but no more than the guest has room for. */
static void reply(struct ata_task *t, uint32_t n, uint32_t room)
{
    uint32_t limit = t->block;

    t->drive->sense = no_sense;
    ata_reply(t, MIN(n, room));
    t->block = limit;
    ata_advance(t);
}

/* --- commands --- */

static uint32_t blocks(const struct ata_drive *d)
{
    uint64_t n = (d->media.medium->size + CD_BLOCK - 1) / CD_BLOCK;

    return (uint32_t)MIN(n, UINT32_MAX);
}

static bool is_dvd(const struct ata_drive *d)
{
    return has_medium(d) && blocks(d) > CD_BLOCKS_MAX;
}

static void test_unit_ready(struct ata_task *t)
{
    good(t);
}

static void request_sense(struct ata_task *t)
{
    struct ata_drive *d = t->drive;
    struct sense s = d->sense;
    uint8_t *p = t->buf;

    if (!s.key && d->attention.key) {
        s = d->attention;
        d->attention = no_sense;
    }
    memset(p, 0, SENSE_BYTES);
    p[0] = 0x70;
    p[2] = s.key;
    p[7] = SENSE_BYTES - 8;
    p[12] = s.asc;
    p[13] = s.ascq;
    reply(t, SENSE_BYTES, t->packet[4]);
}

static void inquiry(struct ata_task *t)
{
    static const uint8_t data[] = {
        0x05, 0x80, 0x00, 0x21, 31,  0,   0,   0,   'L', 'O', 'D', 'G',
        'E',  ' ',  ' ',  ' ',  'C', 'D', '-', 'R', 'O', 'M', ' ', ' ',
        ' ',  ' ',  ' ',  ' ',  ' ', ' ', ' ', ' ', '1', '.', '0', ' ',
    };

    if (t->packet[1] & 1) { /* no vital product data */
        atapi_failed(t, bad_field);
        return;
    }
    memcpy(t->buf, data, sizeof data);
    reply(t, sizeof data, load_be16(t->packet + 3));
}

static void read_capacity(struct ata_task *t)
{
    store_be32(t->buf, blocks(t->drive) - 1);
    store_be32(t->buf + 4, CD_BLOCK);
    reply(t, 8, 8);
}

static void read_blocks(struct ata_task *t, uint32_t lba, uint32_t n)
{
    if (!range_ok(lba, n, blocks(t->drive))) {
        atapi_failed(t, out_of_range);
        return;
    }
    t->drive->sense = no_sense;
    t->kind = ATA_MEDIUM;
    t->off = (uint64_t)lba * CD_BLOCK;
    t->left = (uint64_t)n * CD_BLOCK;
    ata_advance(t);
}

static void read_10(struct ata_task *t)
{
    read_blocks(t, load_be32(t->packet + 2), load_be16(t->packet + 7));
}

static void read_12(struct ata_task *t)
{
    read_blocks(t, load_be32(t->packet + 2), load_be32(t->packet + 6));
}

/* READ CD: user data of any sector type, or nothing. */
static void read_cd(struct ata_task *t)
{
    const uint8_t *p = t->packet;
    unsigned type = p[1] >> 2 & 7, what = p[9] & 0xf8;
    uint32_t n = load_be32(p + 5) & 0xffffff;

    if (!n || (!what && !(p[10] & 7)))
        good(t);
    else if ((type != 0 && type != 2) || what != 0x10 || (p[10] & 7))
        atapi_failed(t, type == 1 ? wrong_mode : bad_field);
    else
        read_blocks(t, load_be32(p + 2), n);
}

static void seek(struct ata_task *t)
{
    if (load_be32(t->packet + 2) < blocks(t->drive))
        good(t);
    else
        atapi_failed(t, out_of_range);
}

static void read_toc(struct ata_task *t)
{
    const uint8_t *p = t->packet;
    unsigned format = p[2] & 15;
    uint32_t n;

    if (!format)
        format = p[9] >> 6; /* where SFF-8020i has it */
    n = atapi_toc(t->buf, blocks(t->drive), format, p[1] & 2, p[6]);
    if (n)
        reply(t, n, load_be16(p + 7));
    else
        atapi_failed(t, bad_field);
}

static void read_disc_info(struct ata_task *t)
{
    if (t->packet[1] & 7)
        atapi_failed(t, bad_field);
    else
        reply(t, atapi_disc_info(t->buf), load_be16(t->packet + 7));
}

static void read_structure(struct ata_task *t)
{
    const uint8_t *p = t->packet;
    uint32_t n = 0;

    if (!is_dvd(t->drive))
        atapi_failed(t, (struct sense){5, 0x30, 2}); /* of another kind */
    else if ((n = atapi_dvd_structure(t->buf, blocks(t->drive), p[7], p[6])))
        reply(t, n, load_be16(p + 8));
    else
        atapi_failed(t, bad_field);
}

static void mode_sense(struct ata_task *t)
{
    const struct ata_drive *d = t->drive;
    const uint8_t *p = t->packet;
    bool long_form = p[0] == 0x5a;
    uint32_t n;

    if (p[2] >> 6 == 3) {
        atapi_failed(t, no_saved_pages);
        return;
    }
    n = atapi_mode_pages(t->buf, p[2] & 0x3f, p[2] >> 6 == 1, d->prevent,
                         long_form);
    if (n)
        reply(t, n, long_form ? load_be16(p + 7) : p[4]);
    else
        atapi_failed(t, bad_field);
}

/* The parameters are taken, and change nothing: there is no audio to play. */
static void mode_select(struct ata_task *t)
{
    uint32_t n = load_be16(t->packet + 7);

    if (!n) {
        good(t);
        return;
    }
    if (n > t->buf_bytes) {
        atapi_failed(t, bad_field);
        return;
    }
    t->kind = ATA_PARAMS;
    t->data = t->data == ATA_DMA_IN ? ATA_DMA_OUT : ATA_PIO_OUT;
    t->left = n;
    ata_advance(t);
}

void atapi_params(struct ata_task *t)
{
    t->left = 0;
    good(t);
}

static void get_configuration(struct ata_task *t)
{
    const struct ata_drive *d = t->drive;
    const uint8_t *p = t->packet;
    enum cd_profile profile = CD_PROFILE_NONE;
    uint32_t n;

    if ((p[1] & 3) == 3) {
        atapi_failed(t, bad_field);
        return;
    }
    if (has_medium(d))
        profile = is_dvd(d) ? CD_PROFILE_DVD : CD_PROFILE_CD;
    n = atapi_features(t->buf, profile, p[1] & 3, load_be16(p + 2));
    reply(t, n, load_be16(p + 7));
}

static void get_event(struct ata_task *t)
{
    struct ata_drive *d = t->drive;
    uint8_t *p = t->buf;

    if (!(t->packet[1] & 1)) { /* only when polled */
        atapi_failed(t, bad_field);
        return;
    }
    memset(p, 0, 8);
    p[3] = BIT(EVENT_MEDIA);
    if (!(t->packet[4] & BIT(EVENT_MEDIA))) {
        p[2] = 0x80; /* nothing of these classes */
        store_be16(p, 2);
        reply(t, 4, load_be16(t->packet + 7));
        return;
    }
    store_be16(p, 6);
    p[2] = EVENT_MEDIA;
    p[4] = d->event;
    p[5] = (uint8_t)((d->tray_open ? 1 : 0) | (has_medium(d) ? 2 : 0));
    if (load_be16(t->packet + 7) > 4)
        d->event = EVENT_NONE;
    reply(t, 8, load_be16(t->packet + 7));
}

static void prevent(struct ata_task *t)
{
    t->drive->prevent = t->drive->media.locked = t->packet[4] & 1;
    good(t);
}

static void move_tray(struct ata_drive *d, bool open)
{
    if (d->tray_open == open)
        return;
    d->tray_open = d->media.open = open;
    d->event = open || !d->media.medium ? EVENT_REMOVED : EVENT_NEW;
    if (has_medium(d))
        d->attention = medium_changed;
}

static void start_stop(struct ata_task *t)
{
    struct ata_drive *d = t->drive;
    bool start = t->packet[4] & 1, tray = t->packet[4] & 2;

    if (t->packet[4] >> 4) { /* a power condition */
        good(t);
    } else if (tray && !start && d->prevent) {
        atapi_failed(t, removal_prevented);
    } else {
        if (tray)
            move_tray(d, !start);
        good(t);
    }
}

static void mechanism_status(struct ata_task *t)
{
    memset(t->buf, 0, 8);
    t->buf[1] = t->drive->tray_open ? 0x10 : 0;
    t->buf[5] = 1; /* slots */
    reply(t, 8, load_be16(t->packet + 8));
}

/* SET CD SPEED, SYNCHRONIZE CACHE, STOP PLAY/SCAN: nothing to do. */
static void ignore(struct ata_task *t)
{
    good(t);
}

static const struct {
    uint8_t code, flags;
    void (*run)(struct ata_task *t);
} commands[] = {
    {0x00, MEDIUM, test_unit_ready},
    {0x03, ALWAYS, request_sense},
    {0x12, ALWAYS, inquiry},
    {0x1a, 0, mode_sense},
    {0x1b, 0, start_stop},
    {0x1e, 0, prevent},
    {0x25, MEDIUM, read_capacity},
    {0x28, MEDIUM, read_10},
    {0x2b, MEDIUM, seek},
    {0x35, MEDIUM, ignore},
    {0x43, MEDIUM, read_toc},
    {0x46, ALWAYS, get_configuration},
    {0x4a, ALWAYS, get_event},
    {0x4e, MEDIUM, ignore},
    {0x51, MEDIUM, read_disc_info},
    {0x55, 0, mode_select},
    {0x5a, 0, mode_sense},
    {0xa8, MEDIUM, read_12},
    {0xad, MEDIUM, read_structure},
    {0xbb, 0, ignore},
    {0xbd, 0, mechanism_status},
    {0xbe, MEDIUM, read_cd},
};

void atapi_run(struct ata_task *t)
{
    struct ata_drive *d = t->drive;

    for (unsigned i = 0; i < ARRAY_LEN(commands); i++) {
        if (commands[i].code != t->packet[0])
            continue;
        if (!(commands[i].flags & ALWAYS) && d->attention.key) {
            struct sense s = d->attention;

            d->attention = no_sense;
            atapi_failed(t, s);
        } else if ((commands[i].flags & MEDIUM) && !has_medium(d)) {
            atapi_failed(t, absent(d));
        } else {
            commands[i].run(t);
        }
        return;
    }
    atapi_failed(t, no_such_command);
}

/* --- what a person does --- */

static struct ata_drive *drive_of(struct media_drive *m)
{
    return container_of(m, struct ata_drive, media);
}

static void tell(struct ata_drive *d)
{
    if (d->host->notify)
        d->host->notify(d);
}

void atapi_changed(struct media_drive *m)
{
    struct ata_drive *d = drive_of(m);

    if (m->medium) {
        d->tray_open = m->open = false;
        d->event = EVENT_NEW;
        d->attention = medium_changed;
    } else {
        d->event = EVENT_REMOVED;
        d->attention = no_sense;
    }
    tell(d);
}

void atapi_wanted(struct media_drive *m)
{
    struct ata_drive *d = drive_of(m);

    d->event = EVENT_EJECT;
    d->attention = operator_wants;
    tell(d);
}
