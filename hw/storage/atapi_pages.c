#include "hw/storage/atapi_pages.h"

#include "base/bits.h"
#include "base/endian.h"

enum { LEAD_OUT = 0xaa, DATA_TRACK = 0x14, LEAD_IN_FRAMES = 150 };

/* --- READ TOC --- */

/* Minutes, seconds and frames of 1/75 s, or the block; four bytes. */
static void put_address(uint8_t *p, uint32_t lba, bool msf)
{
    uint32_t frames = lba + LEAD_IN_FRAMES;

    if (!msf) {
        store_be32(p, lba);
        return;
    }
    p[0] = 0;
    p[1] = (uint8_t)(frames / (75 * 60));
    p[2] = (uint8_t)(frames / 75 % 60);
    p[3] = (uint8_t)(frames % 75);
}

static uint8_t *put_track(uint8_t *p, unsigned track, uint32_t lba, bool msf)
{
    p[0] = p[3] = 0;
    p[1] = DATA_TRACK;
    p[2] = (uint8_t)track;
    put_address(p + 4, lba, msf);
    return p + 8;
}

static uint32_t finish_toc(uint8_t *p, const uint8_t *end)
{
    uint32_t n = (uint32_t)(end - p);

    store_be16(p, (uint16_t)(n - 2));
    p[2] = p[3] = 1; /* first and last, tracks or sessions */
    return n;
}

static uint32_t toc_tracks(uint8_t *p, uint32_t blocks, bool msf,
                           unsigned start)
{
    uint8_t *q = p + 4;

    if (start > 1 && start != LEAD_OUT)
        return 0;
    if (start <= 1)
        q = put_track(q, 1, 0, msf);
    return finish_toc(p, put_track(q, LEAD_OUT, blocks, msf));
}

/* The raw table: points A0 to A2, then the track; 11 bytes each. */
static uint32_t toc_full(uint8_t *p, uint32_t blocks)
{
    static const uint8_t points[] = {0xa0, 0xa1, 0xa2, 1};
    uint8_t *q = p + 4;

    for (unsigned i = 0; i < sizeof points; i++, q += 11) {
        memset(q, 0, 11);
        q[0] = 1;
        q[1] = DATA_TRACK;
        q[3] = points[i];
        if (points[i] < 0xa2 && points[i] > 1)
            q[8] = 1;
        else
            put_address(q + 7, points[i] == 1 ? 0 : blocks, true);
    }
    return finish_toc(p, q);
}

uint32_t atapi_toc(uint8_t *p, uint32_t blocks, unsigned format, bool msf,
                   unsigned start)
{
    switch (format) {
    case 0: return toc_tracks(p, blocks, msf, start);
    case 1: return finish_toc(p, put_track(p + 4, 1, 0, msf));
    case 2: return toc_full(p, blocks);
    default: return 0;
    }
}

/* --- the disc --- */

uint32_t atapi_disc_info(uint8_t *p)
{
    memset(p, 0, 34);
    store_be16(p, 32);
    p[2] = 0x0e;             /* complete, and so is its last session */
    p[3] = 1;                /* first track */
    p[4] = p[5] = p[6] = 1;  /* sessions; tracks of the last one */
    p[7] = 0x20;             /* may be used without restrictions */
    memset(p + 16, 0xff, 8); /* no place for more */
    return 34;
}

uint32_t atapi_dvd_structure(uint8_t *p, uint32_t blocks, unsigned format,
                             unsigned layer)
{
    uint32_t n = 4;

    if (layer)
        return 0;
    memset(p, 0, 4 + 2048);
    switch (format) {
    case 0x00: /* physical: DVD-ROM, 12 cm, one layer */
        p[4] = 0x01;
        p[5] = 0x0f;
        p[6] = 0x01;
        store_be32(p + 8, 0x30000);
        store_be32(p + 12, 0x30000 + blocks - 1);
        n += 2048;
        break;
    case 0x01: n += 4; break;    /* not protected */
    case 0x04: n += 2048; break; /* manufacturing data: none */
    default: return 0;
    }
    store_be16(p, (uint16_t)(n - 2));
    return n;
}

/* --- MODE SENSE --- */

static const uint8_t mode_pages[][22] = {
    {0x01, 6, 0, 5},                                 /* errors: five tries */
    {0x0d, 6, 0, 0x0d, 0, 60, 0, 75},                /* CD-ROM parameters */
    {0x0e, 14, 4, 0, 0, 0, 0, 75, 1, 0xff, 2, 0xff}, /* audio */
    {0x1a, 10},                                      /* power conditions */
    /* Capabilities: reads CD-R and DVD; a tray that can be locked; speeds in
       kB/s. */
    {0x2a, 20, 0x3b, 0, 0x70, 0, 0x29, 0, 0x16, 0, 0, 2, 2, 0, 0x16, 0},
};

uint32_t atapi_mode_pages(uint8_t *p, unsigned page, bool changeable,
                          bool locked, bool long_form)
{
    uint32_t head = long_form ? 8 : 4, n = head;

    memset(p, 0, head);
    for (unsigned i = 0; i < ARRAY_LEN(mode_pages); i++) {
        const uint8_t *m = mode_pages[i];
        uint32_t bytes = m[1] + 2u;

        if (page != 0x3f && page != m[0])
            continue;
        memcpy(p + n, m, bytes);
        if (changeable)
            memset(p + n + 2, 0, bytes - 2);
        else if (m[0] == 0x2a && locked)
            p[n + 6] |= 2;
        n += bytes;
    }
    if (n == head)
        return 0;
    if (long_form)
        store_be16(p, (uint16_t)(n - 2));
    else
        p[0] = (uint8_t)(n - 1);
    p[long_form ? 2 : 1] = 0x01; /* medium type: 120 mm data */
    return n;
}

/* --- GET CONFIGURATION --- */

enum { PERSISTENT = 2, FEATURE_MAX = 12 };

static const struct feature {
    uint16_t code;
    uint8_t flags; /* version << 2, persistent */
    uint8_t n;
    uint8_t data[FEATURE_MAX];
    uint8_t profiles; /* current with: 1 CD, 2 DVD; 0: always */
} features[] = {
    {0x0000, PERSISTENT, 8, {0, 0x10, 0, 0, 0, 8, 0, 0}, 0},
    {0x0001, 2 << 2 | PERSISTENT, 8, {0, 0, 0, 2, 1, 0, 0, 0}, 0}, /* ATAPI */
    {0x0002, 1 << 2 | PERSISTENT, 4, {2, 0, 0, 0}, 0},
    {0x0003, PERSISTENT, 4, {0x29, 0, 0, 0}, 0}, /* tray, lock, eject */
    {0x0010, 0, 8, {0, 0, 8, 0, 0, 1, 0, 0}, 3}, /* random readable */
    {0x001e, 2 << 2, 4, {0}, 1},                 /* CD read */
    {0x001f, 0, 0, {0}, 2},                      /* DVD read */
    {0x0100, PERSISTENT, 0, {0}, 0},             /* power management */
    {0x0105, PERSISTENT, 0, {0}, 0},             /* time-outs */
};

static bool is_current(const struct feature *f, enum cd_profile profile)
{
    unsigned bit = profile == CD_PROFILE_CD    ? 1
                   : profile == CD_PROFILE_DVD ? 2
                                               : 0;

    return !f->profiles || (f->profiles & bit);
}

static uint32_t put_feature(uint8_t *p, const struct feature *f,
                            enum cd_profile profile)
{
    bool current = is_current(f, profile);

    store_be16(p, f->code);
    p[2] = (uint8_t)(f->flags | current);
    p[3] = f->n;
    memcpy(p + 4, f->data, f->n);
    if (!f->code) { /* which of the profiles is current */
        p[6] = profile == CD_PROFILE_DVD;
        p[10] = profile == CD_PROFILE_CD;
    }
    return 4u + f->n;
}

uint32_t atapi_features(uint8_t *p, enum cd_profile profile, unsigned which,
                        unsigned first)
{
    uint32_t n = 8;

    memset(p, 0, 8);
    store_be16(p + 6, (uint16_t)profile);
    for (unsigned i = 0; i < ARRAY_LEN(features); i++) {
        const struct feature *f = &features[i];

        if (f->code < first || (which == 2 && f->code != first) ||
            (which == 1 && !is_current(f, profile)))
            continue;
        n += put_feature(p + n, f, profile);
    }
    store_be32(p, n - 4);
    return n;
}
