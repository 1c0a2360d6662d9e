/*
 * What an ATA drive tells of itself and what can be set: IDENTIFY (ACS §7.16,
 * §7.17), SET FEATURES (§7.45), SMART (§7.52), the general purpose logs
 * (§7.26, annex A).
 */
#include "base/bits.h"
#include "base/endian.h"
#include "hw/storage/ata_priv.h"

/* --- IDENTIFY --- */

struct word {
    uint8_t at;
    uint16_t v;
};

/* Words that never change: disks. */
static const struct word disk_words[] = {
    {0, 0x0040},                     /* a fixed ATA device */
    {47, 0x8000 | ATA_MULTIPLE_MAX}, /* sectors of READ MULTIPLE */
    {49, 0x0f00},                    /* DMA, LBA, IORDY */
    {50, 0x4000},
    {51, 0x0200}, /* PIO mode 2 without IORDY */
    {53, 0x0007}, /* words 54–58, 64–70 and 88 mean something */
    {64, 0x0003}, /* PIO modes 3 and 4 */
    {65, 120},    /* ns a cycle: multiword DMA and PIO */
    {66, 120},
    {67, 120},
    {68, 120},
    {69, 0},
    {80, 0x01f0}, /* ATA/ATAPI-4 to ATA8-ACS */
    {81, 0x0000},
    {82, 0x4069}, /* NOP, look-ahead, write cache, power management, SMART */
    {83, 0x7400}, /* FLUSH CACHE and EXT, 48-bit addresses */
    {84, 0x4060}, /* general purpose logging, WRITE DMA FUA */
    {86, 0x3400},
    {87, 0x4060},
    {105, ATA_TRIM_BLOCKS},
    {106, 0x6003}, /* eight logical sectors a physical one */
    {217, 1},      /* does not rotate */
};

/* Words that never change: CD-ROMs. */
static const struct word cdrom_words[] = {
    {0, 0x85c0},  /* ATAPI, CD-ROM, removable, packets of 12 bytes */
    {49, 0x0f00}, /* DMA, LBA, IORDY */
    {50, 0x4000}, {51, 0x0200}, {53, 0x0006}, {64, 0x0003},
    {65, 120},    {66, 120},    {67, 120},    {68, 120},
    {80, 0x01f0}, {82, 0x4218}, /* NOP, DEVICE RESET, PACKET, power management
                                 */
    {83, 0x4000}, {84, 0x4000}, {85, 0x4218}, {87, 0x4000},
};

static void put(uint8_t *id, unsigned word, uint16_t v)
{
    store_le16(id + 2 * word, v);
}

/* Two characters a word, the first in its upper half; padded with blanks. */
static void put_text(uint8_t *id, unsigned word, unsigned words,
                     const char *text)
{
    for (unsigned i = 0; i < 2 * words; i++) {
        id[(2 * word + i) ^ 1] = *text ? (uint8_t)*text : ' ';
        if (*text)
            text++;
    }
}

static void put_words(uint8_t *id, const struct word *w, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        put(id, w[i].at, w[i].v);
}

static void put_geometry(const struct ata_drive *d, uint8_t *id)
{
    uint32_t track = (uint32_t)d->heads * d->sectors_per_track;
    uint64_t cylinders = MIN(d->sectors / track, 65535), chs;

    chs = MIN(cylinders * track, d->sectors);
    put(id, 1, (uint16_t)d->cylinders_max);
    put(id, 3, (uint16_t)d->heads_max);
    put(id, 6, 63);
    put(id, 54, (uint16_t)cylinders);
    put(id, 55, d->heads);
    put(id, 56, d->sectors_per_track);
    store_le32(id + 2 * 57, (uint32_t)chs);
}

static void put_disk(const struct ata_drive *d, uint8_t *id)
{
    put_words(id, disk_words, ARRAY_LEN(disk_words));
    put_geometry(d, id);
    if (d->multiple)
        put(id, 59, 0x0100 | d->multiple);
    store_le32(id + 2 * 60, (uint32_t)MIN(d->sectors, mask_low(28)));
    store_le64(id + 2 * 100, d->sectors);
    put(id, 85,
        (uint16_t)(0x4008 | (d->look_ahead ? 0x40 : 0) |
                   (d->write_cache ? 0x20 : 0) | (d->smart ? 1 : 0)));
    if (d->blk->can_discard && !d->readonly)
        put(id, 169, 1);
    else
        put(id, 105, 0);
}

/* What differs between a cable and a link. */
static void put_bus(const struct ata_drive *d, uint8_t *id)
{
    put(id, 63, (uint16_t)(0x07 | d->mwdma << 8));
    put(id, 88, (uint16_t)(0x3f | d->udma << 8));
    if (!d->sata) {
        /* A cable of 80 wires; which device, by jumper. */
        put(id, 93, d->unit & 1 ? 0x6b00 : 0x600b);
        return;
    }
    put(id, 75, d->cdrom ? 0 : 31);          /* queue depth - 1 */
    put(id, 76, d->cdrom ? 0x000e : 0x010e); /* 1.5, 3 and 6 Gb/s; NCQ */
    put(id, 78, 0);
    put(id, 222, 0x101f); /* serial; SATA 1.0a to 2.6 */
}

void ata_identify(const struct ata_drive *d, uint8_t *id)
{
    uint8_t sum = 0;

    memset(id, 0, ATA_SECTOR);
    if (d->cdrom)
        put_words(id, cdrom_words, ARRAY_LEN(cdrom_words));
    else
        put_disk(d, id);
    put_bus(d, id);
    put_text(id, 10, 10, d->serial);
    put_text(id, 23, 4, "1.0");
    put_text(id, 27, 20, d->cdrom ? "LODGE CD-ROM" : "LODGE HARDDISK");
    id[510] = 0xa5;
    for (unsigned i = 0; i < 511; i++)
        sum += id[i];
    id[511] = (uint8_t)-sum;
}

/* --- SET FEATURES --- */

/* Subcommand 03h: the count register has the mode. */
static int set_mode(struct ata_task *t)
{
    struct ata_drive *d = t->drive;
    unsigned kind = t->tf.count >> 3 & 31, mode = t->tf.count & 7;

    if (kind <= 1)
        return mode <= 4 ? ATA_GO : ATA_ABRT; /* PIO */
    if (kind == 4 && mode <= 2) {
        d->mwdma = (uint8_t)BIT(mode);
        d->udma = 0;
        return ATA_GO;
    }
    if (kind == 8 && mode <= 5) {
        d->udma = (uint8_t)BIT(mode);
        d->mwdma = 0;
        return ATA_GO;
    }
    return ATA_ABRT;
}

int ata_set_features(struct ata_task *t)
{
    struct ata_drive *d = t->drive;

    switch (t->tf.feature & 0xff) {
    case 0x03: return set_mode(t);
    case 0x66: /* keep settings over a software reset, or not: as we do */
    case 0xcc: return ATA_GO;
    default: break;
    }
    if (d->cdrom)
        return ATA_ABRT;
    switch (t->tf.feature & 0xff) {
    case 0x02: d->write_cache = true; return ATA_GO;
    case 0x82: d->write_cache = false; return ATA_GO;
    case 0x55: d->look_ahead = false; return ATA_GO;
    case 0xaa: d->look_ahead = true; return ATA_GO;
    default: return ATA_ABRT;
    }
}

/* --- SMART --- */

/* Attributes: number, flags, value and threshold. Nothing wears out here. */
static const struct {
    uint8_t id;
    uint16_t flags;
    uint8_t threshold;
} attributes[] = {
    {1, 0x0003, 6},   /* read error rate */
    {5, 0x0033, 36},  /* sectors reallocated */
    {9, 0x0032, 0},   /* hours of operation */
    {12, 0x0032, 0},  /* times switched on */
    {197, 0x0012, 0}, /* sectors that look weak */
};

enum { ATTRIBUTE_BYTES = 12 };

static void put_checksum(uint8_t *page)
{
    uint8_t sum = 0;

    for (unsigned i = 0; i < ATA_SECTOR - 1; i++)
        sum += page[i];
    page[ATA_SECTOR - 1] = (uint8_t)-sum;
}

static int smart_data(struct ata_task *t, bool thresholds)
{
    uint8_t *p = t->buf;

    memset(p, 0, ATA_SECTOR);
    store_le16(p, 0x0010);
    for (unsigned i = 0; i < ARRAY_LEN(attributes); i++) {
        uint8_t *a = p + 2 + ATTRIBUTE_BYTES * i;

        a[0] = attributes[i].id;
        if (thresholds) {
            a[1] = attributes[i].threshold;
            continue;
        }
        store_le16(a + 1, attributes[i].flags);
        a[3] = a[4] = 100; /* value, and the worst of it */
    }
    if (!thresholds) {
        p[362] = 0x02;            /* off-line collection was completed */
        p[367] = 0x01;            /* off-line commands are taken */
        store_le16(p + 368, 0x3); /* saves its data; autosave */
        p[370] = 0x01;            /* logs errors */
    }
    put_checksum(p);
    return ata_reply(t, ATA_SECTOR);
}

/* Logs 0 (directory), 1 (errors) and 6 (self-tests): empty. */
static int smart_log(struct ata_task *t)
{
    unsigned log = t->tf.lba & 0xff;

    if ((t->tf.count & 0xff) != 1 || (log != 0 && log != 1 && log != 6))
        return ATA_ABRT;
    memset(t->buf, 0, ATA_SECTOR);
    t->buf[0] = 1; /* version */
    if (!log)
        t->buf[2 * 1] = t->buf[2 * 6] = 1; /* one sector each */
    put_checksum(t->buf);
    return ata_reply(t, ATA_SECTOR);
}

int ata_smart(struct ata_task *t)
{
    struct ata_drive *d = t->drive;
    uint8_t sub = t->tf.feature & 0xff;

    if ((t->tf.lba >> 8 & 0xffff) != SMART_MAGIC)
        return ATA_ABRT;
    if (!d->smart && sub != 0xd8)
        return ATA_ABRT;
    switch (sub) {
    case 0xd0: return smart_data(t, false);
    case 0xd1: return smart_data(t, true);
    case 0xd5: return smart_log(t);
    case 0xd2: /* save attributes by itself, or not */
    case 0xd3: /* save them now */
    case 0xd4: /* self-test: over at once, with success */
    case 0xdb: return ATA_GO;
    case 0xda: return ATA_GO; /* LBA mid and high stay: all is well */
    case 0xd8: d->smart = true; return ATA_GO;
    case 0xd9: d->smart = false; return ATA_GO;
    default: return ATA_ABRT;
    }
}

/* --- general purpose logs --- */

int ata_read_log(struct ata_task *t)
{
    struct ata_drive *d = t->drive;
    unsigned log = t->tf.lba & 0xff;
    bool ncq = log == 0x10 && d->sata;

    if (t->tf.count != 1 || (t->tf.lba >> 8 & 0xff) || (log && !ncq))
        return ATA_ABRT;
    memset(t->buf, 0, ATA_SECTOR);
    if (ncq) {
        memcpy(t->buf, d->ncq_error, ATA_SECTOR);
        put_checksum(t->buf);
    } else {
        t->buf[0] = 1;
        t->buf[2 * 0x10] = d->sata;
    }
    return ata_reply(t, ATA_SECTOR);
}
