/* The floppy controller: Intel 82077AA. */
#include "disk_rig.h"

#include "hw/storage/fdc82077.h"

enum { DATA = 0x300000, SIZE = 1440 << 10 };
enum { RQM = 0x80, DIO = 0x40, BUSY = 0x10 };

static int setup(void **state)
{
    struct disk_rig *r = rig_new(&fdc82077_class, SIZE / 2);

    r->disk->blk.size = DISK; /* 1 MB: on 1.2 MB's tracks */
    rig_flag(r->dev, "present0");
    rig_blk(r->dev, "drive0", &r->medium->blk);
    *(const char **)board_prop(r->dev, "name0") = "floppy0";
    rig_flag(r->dev, "present1");
    *(const char **)board_prop(r->dev, "name1") = "floppy1";
    board_attach(r->b, r->dev);
    out(r->b, 0xd6, 0xc0, 1); /* the cascade of the DMA controllers */
    out(r->b, 0xd4, 0, 1);
    *state = r;
    return 0;
}

static int teardown(void **state)
{
    rig_free(*state);
    return 0;
}

static void send(struct disk_rig *r, const uint8_t *p, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        assert_int_equal(in(r->b, 0x3f4, 1) & (RQM | DIO), RQM);
        out(r->b, 0x3f5, p[i], 1);
    }
}
#define SEND(...)                                                              \
    send(r, (const uint8_t[]){__VA_ARGS__},                                    \
         sizeof((const uint8_t[]){__VA_ARGS__}))

static unsigned results(struct disk_rig *r, uint8_t *to)
{
    unsigned n = 0;

    while ((in(r->b, 0x3f4, 1) & (RQM | DIO | BUSY)) == (RQM | DIO | BUSY))
        to[n++] = (uint8_t)in(r->b, 0x3f5, 1);
    return n;
}

/* Out of reset, its four interrupts sensed; 250 kb/s for 720 KB. */
static void wake(struct disk_rig *r)
{
    uint8_t s[10];

    out(r->b, 0x3f2, 0x1c, 1);
    assert_true(r->b->isa[6]);
    for (unsigned n = 0; n < 4; n++) {
        SEND(0x08);
        assert_int_equal(results(r, s), 2);
        assert_int_equal(s[0], 0xc0 | n);
    }
    assert_int_equal(r->b->isa_rises[6], 1);
    out(r->b, 0x3f7, 2, 1);
}

/* Channel 2; mode 0x46: to memory, 0x4a: from it. */
static void dma(struct disk_rig *r, unsigned mode, unsigned bytes)
{
    out(r->b, 0x0a, 6, 1);
    out(r->b, 0x0c, 0, 1);
    out(r->b, 0x0b, mode, 1);
    out(r->b, 0x04, 0, 1);
    out(r->b, 0x04, 0, 1);
    out(r->b, 0x81, DATA >> 16, 1);
    out(r->b, 0x05, (bytes - 1) & 0xff, 1);
    out(r->b, 0x05, (bytes - 1) >> 8, 1);
    out(r->b, 0x0a, 2, 1);
}

static void want(struct disk_rig *r, unsigned st0, unsigned st1, unsigned c,
                 unsigned h, unsigned s)
{
    uint8_t got[10];

    assert_true(r->b->isa[6]);
    assert_int_equal(results(r, got), 7);
    assert_int_equal(got[0], st0);
    assert_int_equal(got[1], st1);
    assert_int_equal(got[3], c);
    assert_int_equal(got[4], h);
    assert_int_equal(got[5], s);
    assert_int_equal(got[6], 2);
    assert_false(r->b->isa[6]);
}

static void seek(struct disk_rig *r, unsigned cylinder)
{
    uint8_t s[10];

    SEND(0x0f, 0, (uint8_t)cylinder);
    SEND(0x08);
    assert_int_equal(results(r, s), 2);
    assert_int_equal(s[0], 0x20);
    assert_int_equal(s[1], cylinder);
}

static void formats(void **state)
{
    static const struct {
        unsigned kb, cylinders, heads, sectors, rate, drive;
    } rows[] = {
        {160, 40, 1, 8, 2, 1},   {180, 40, 1, 9, 2, 1},
        {320, 40, 2, 8, 2, 1},   {360, 40, 2, 9, 2, 1},
        {720, 80, 2, 9, 2, 4},   {1200, 80, 2, 15, 0, 2},
        {1440, 80, 2, 18, 0, 4}, {1680, 80, 2, 21, 0, 4},
        {2880, 80, 2, 36, 3, 5},
    };

    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
        const struct floppy_format *f = floppy_format(rows[i].kb << 10);

        assert_non_null(f);
        assert_int_equal(f->cylinders, rows[i].cylinders);
        assert_int_equal(f->heads, rows[i].heads);
        assert_int_equal(f->sectors, rows[i].sectors);
        assert_true(f->rates & 1u << rows[i].rate);
        assert_int_equal(f->drive, rows[i].drive);
    }
    assert_null(floppy_format(4 << 20));
}

static void identity(void **state)
{
    struct disk_rig *r = *state;
    uint8_t s[10];

    assert_int_equal(in(r->b, 0x3f4, 1), 0); /* in reset */
    wake(r);
    SEND(0x10);
    assert_int_equal(results(r, s), 1);
    assert_int_equal(s[0], 0x90);
    SEND(0x08); /* nothing to be sensed */
    assert_int_equal(results(r, s), 1);
    assert_int_equal(s[0], 0x80);
    SEND(0x18);
    assert_int_equal(results(r, s), 1);
    assert_int_equal(s[0], 0x80);
}

static void lock(void **state)
{
    struct disk_rig *r = *state;
    uint8_t s[10];

    wake(r);
    SEND(0x13, 0, 0x57, 0x11);
    SEND(0x94);
    assert_int_equal(results(r, s), 1);
    assert_int_equal(s[0], 0x10);
    out(r->b, 0x3f4, 0x80, 1); /* software reset */
    SEND(0x0e);
    assert_int_equal(results(r, s), 10);
    assert_int_equal(s[7], 0x80);
    assert_int_equal(s[8], 0x57);
    assert_int_equal(s[9], 0x11);
    SEND(0x14);
    results(r, s);
    out(r->b, 0x3f4, 0x80, 1);
    SEND(0x0e);
    results(r, s);
    assert_int_equal(s[8] & 0x1f, 0);
}

static void read_sectors(void **state)
{
    struct disk_rig *r = *state;

    wake(r);
    seek(r, 3);
    dma(r, 0x46, 1024); /* the last of head 0, the first of head 1 */
    SEND(0xe6, 0, 3, 0, 9, 2, 9, 0x1b, 0xff);
    answer_all(r->medium);
    want(r, 0x04, 0, 3, 1, 2);
    assert_memory_equal(r->b->env.ram + DATA,
                        r->medium->bytes + (3 * 18 + 8) * 512, 1024);
}

static void ends(void **state)
{
    struct disk_rig *r = *state;

    wake(r);
    dma(r, 0x46, 4096); /* more than the track still has */
    SEND(0x46, 0, 0, 0, 9, 2, 9, 0x1b, 0xff);
    answer_all(r->medium);
    want(r, 0x40, 0x80, 1, 0, 1);
    SEND(0x46, 0, 0, 0, 10, 2, 18, 0x1b, 0xff); /* there is no tenth */
    want(r, 0x40, 0x04, 0, 0, 10);
    SEND(0x46, 0, 5, 0, 1, 2, 9, 0x1b, 0xff); /* heads are elsewhere */
    want(r, 0x40, 0x04, 5, 0, 1);
    out(r->b, 0x3f7, 0, 1); /* 500 kb/s */
    SEND(0x46, 0, 0, 0, 1, 2, 9, 0x1b, 0xff);
    want(r, 0x40, 0x01, 0, 0, 1);
    SEND(0x4a, 1); /* no medium */
    want(r, 0x41, 0x01, 0, 0, 0);
}

static void overrun(void **state)
{
    struct disk_rig *r = *state;

    wake(r);
    dma(r, 0x46, 512);
    out(r->b, 0x0a, 6, 1); /* masked */
    SEND(0x46, 0, 0, 0, 1, 2, 9, 0x1b, 0xff);
    answer_all(r->medium);
    want(r, 0x40, 0x10, 0, 0, 1);
}

static void write_sectors(void **state)
{
    struct disk_rig *r = *state;

    wake(r);
    memset(r->b->env.ram + DATA, 0x77, 512);
    dma(r, 0x4a, 512);
    SEND(0x45, 4, 0, 1, 2, 2, 9, 0x1b, 0xff);
    answer_all(r->medium);
    want(r, 0x04, 0, 0, 1, 3);
    assert_int_equal(r->medium->bytes[(9 + 1) * 512], 0x77);
    r->medium->blk.readonly = true;
    SEND(0x45, 0, 0, 0, 1, 2, 9, 0x1b, 0xff);
    want(r, 0x40, 0x02, 0, 0, 1);
}

static void format_track(void **state)
{
    struct disk_rig *r = *state;

    wake(r);
    seek(r, 2);
    for (unsigned i = 0; i < 9; i++)
        memcpy(r->b->env.ram + DATA + 4 * i,
               (uint8_t[]){2, 0, (uint8_t)(i + 1), 2}, 4);
    dma(r, 0x4a, 36);
    SEND(0x4d, 0, 2, 9, 0x50, 0xf6);
    answer_all(r->medium);
    assert_true(r->b->isa[6]);
    for (unsigned i = 0; i < 9 * 512; i++)
        assert_int_equal(r->medium->bytes[2 * 18 * 512 + i], 0xf6);
    assert_int_not_equal(r->medium->bytes[(2 * 18 + 9) * 512], 0xf6);
}

static void without_dma(void **state)
{
    struct disk_rig *r = *state;
    uint8_t got[512];

    wake(r);
    SEND(0x03, 0xdf, 0x03);
    SEND(0x46, 0, 0, 0, 1, 2, 1, 0x1b, 0xff);
    answer_all(r->medium);
    assert_true(r->b->isa[6]);
    for (unsigned i = 0; i < 512; i++) {
        assert_int_equal(in(r->b, 0x3f4, 1), 0xf0);
        got[i] = (uint8_t)in(r->b, 0x3f5, 1);
        if (i == 100)
            rig_reload(r);
    }
    assert_memory_equal(got, r->medium->bytes, 512);
    want(r, 0x40, 0x80, 1, 0, 1);
}

static void verify(void **state)
{
    struct disk_rig *r = *state;

    wake(r);
    SEND(0xd6, 0x80, 0, 0, 1, 2, 9, 0x1b, 12); /* counted, on both heads */
    answer_all(r->medium);
    want(r, 0x04, 0, 0, 1, 4);
    assert_int_equal(r->medium->by_op[BLK_READ], 12);
}

static void change_line(void **state)
{
    struct disk_rig *r = *state;
    struct media_drive *m = media_find(&r->b->env, "floppy0");
    struct blk *old;
    struct err e;
    uint8_t s[10];

    wake(r);
    assert_int_equal(in(r->b, 0x3f7, 1), 0x80);
    seek(r, 0); /* no step: the line stays */
    assert_int_equal(in(r->b, 0x3f7, 1), 0x80);
    seek(r, 1);
    assert_int_equal(in(r->b, 0x3f7, 1), 0);
    assert_int_equal(media_change(m, NULL, false, &old, &e), 0);
    seek(r, 0);
    assert_int_equal(in(r->b, 0x3f7, 1), 0x80);
    r->disk->blk.size = 4 << 20;
    assert_int_equal(media_change(m, &r->disk->blk, false, &old, &e),
                     -LE_FORMAT);
    r->disk->blk.size = 720 << 10;
    assert_int_equal(media_change(m, &r->disk->blk, false, &old, &e), 0);
    SEND(0x07, 0);
    SEND(0x08);
    results(r, s);
    SEND(0x4a, 0);
    want(r, 0, 0, 0, 0, 1);
    SEND(0x4a, 0);
    want(r, 0, 0, 0, 0, 2);
    out(r->b, 0x3f2, 0x0c, 1); /* its motor off */
    assert_int_equal(in(r->b, 0x3f7, 1), 0);
}

static void reset_under_way(void **state)
{
    struct disk_rig *r = *state;

    wake(r);
    memset(r->b->env.ram + DATA, 0xee, 512);
    dma(r, 0x46, 512);
    SEND(0x46, 0, 0, 0, 1, 2, 9, 0x1b, 0xff);
    out(r->b, 0x3f2, 0x00, 1);
    out(r->b, 0x3f2, 0x1c, 1);
    assert_int_equal(in(r->b, 0x3f4, 1), 0);
    answer_all(r->medium);
    assert_int_equal(in(r->b, 0x3f4, 1), RQM);
    assert_true(r->b->isa[6]);
    assert_int_equal(r->b->env.ram[DATA], 0xee);
}

static void no_drive(void **state)
{
    struct disk_rig *r = *state;
    uint8_t s[10];

    wake(r);
    SEND(0x07, 2);
    SEND(0x08);
    results(r, s);
    assert_int_equal(s[0], 0x72);
    SEND(0x04, 0);
    assert_int_equal(results(r, s), 1);
    assert_int_equal(s[0], 0x38);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(formats),       TEST(identity),     TEST(lock),
        TEST(read_sectors),  TEST(ends),         TEST(overrun),
        TEST(write_sectors), TEST(format_track), TEST(without_dma),
        TEST(verify),        TEST(change_line),  TEST(reset_under_way),
        TEST(no_drive),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
