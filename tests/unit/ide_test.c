/* IDE channels, a disk and a CD-ROM: ATA/ATAPI-7, MMC-5, PIIX3. */
#include "disk_rig.h"

extern const struct dev_class piix_ide_class;

enum { IDE = PCI_DEVFN(1, 1), BM = 0xc000, PRDT = 0x200000, DATA = 0x300000 };
enum { DISK_PORT = 0x1f0, CD_PORT = 0x170 };
enum { ERR = 1, DRQ = 8, DF = 0x20, DRDY = 0x40, BSY = 0x80, READY = 0x50 };
enum { MEDIUM_BLOCKS = 100 };

static void decode(struct disk_rig *r)
{
    conf_write(r->b, IDE, 0x40, 0x80008000, 4);
    conf_write(r->b, IDE, 0x20, BM, 4);
    conf_write(r->b, IDE, PCI_COMMAND, 5, 2);
}

static struct disk_rig *make(bool readonly)
{
    struct disk_rig *r = rig_new(&piix_ide_class, MEDIUM_BLOCKS * 2048);

    rig_blk(r->dev, "drive0", &r->disk->blk);
    if (readonly)
        rig_flag(r->dev, "readonly0");
    rig_flag(r->dev, "cdrom2");
    rig_blk(r->dev, "drive2", &r->medium->blk);
    *(const char **)board_prop(r->dev, "name2") = "cdrom0";
    board_attach(r->b, r->dev);
    decode(r);
    return r;
}

static int setup(void **state)
{
    *state = make(false);
    return 0;
}

static int teardown(void **state)
{
    rig_free(*state);
    return 0;
}

static uint8_t status(struct disk_rig *r, unsigned port)
{
    return (uint8_t)in(r->b, port + 7, 1);
}

/* A 28-bit command of the master. */
static void command(struct disk_rig *r, uint8_t code, uint32_t lba, uint8_t n)
{
    out(r->b, 0x1f6, 0xe0 | lba >> 24, 1);
    out(r->b, 0x1f2, n, 1);
    out(r->b, 0x1f3, lba & 0xff, 1);
    out(r->b, 0x1f4, lba >> 8 & 0xff, 1);
    out(r->b, 0x1f5, lba >> 16 & 0xff, 1);
    out(r->b, 0x1f7, code, 1);
}

static void command_ext(struct disk_rig *r, uint8_t code, uint64_t lba,
                        uint16_t n)
{
    out(r->b, 0x1f6, 0xe0, 1);
    out(r->b, 0x1f2, n >> 8, 1);
    out(r->b, 0x1f3, lba >> 24 & 0xff, 1);
    out(r->b, 0x1f4, lba >> 32 & 0xff, 1);
    out(r->b, 0x1f5, lba >> 40 & 0xff, 1);
    out(r->b, 0x1f2, n & 0xff, 1);
    out(r->b, 0x1f3, lba & 0xff, 1);
    out(r->b, 0x1f4, lba >> 8 & 0xff, 1);
    out(r->b, 0x1f5, lba >> 16 & 0xff, 1);
    out(r->b, 0x1f7, code, 1);
}

static void read_words(struct disk_rig *r, unsigned port, uint8_t *to,
                       unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i += 2)
        store_le16(to + i, (uint16_t)in(r->b, port, 2));
}

static void signatures(void **state)
{
    struct disk_rig *r = *state;

    assert_int_equal(in(r->b, 0x1f2, 1), 1);
    assert_int_equal(in(r->b, 0x1f3, 1), 1);
    assert_int_equal(in(r->b, 0x1f4, 1), 0);
    assert_int_equal(in(r->b, 0x1f1, 1), 1);
    assert_int_equal(status(r, DISK_PORT), READY);
    out(r->b, 0x1f6, 0xb0, 1); /* there is no slave */
    assert_int_equal(status(r, DISK_PORT), 0);
    assert_int_equal(in(r->b, 0x174, 1), 0x14);
    assert_int_equal(in(r->b, 0x175, 1), 0xeb);
    assert_int_equal(status(r, CD_PORT), 0);
}

static void decoding(void **state)
{
    struct disk_rig *r = *state;

    conf_write(r->b, IDE, 0x40, 0x0000, 2);
    assert_int_equal(in(r->b, 0x1f7, 1), 0xff);
    conf_write(r->b, IDE, 0x40, 0x8000, 2);
    assert_int_equal(in(r->b, 0x1f7, 1), READY);
    conf_write(r->b, IDE, PCI_COMMAND, 0, 2);
    assert_int_equal(in(r->b, 0x177, 1), 0xff);
}

static void identify(void **state)
{
    struct disk_rig *r = *state;
    uint8_t id[512], sum = 0;

    command(r, 0xec, 0, 0);
    assert_true(r->b->isa[14]);
    assert_int_equal(status(r, DISK_PORT), READY | DRQ);
    assert_false(r->b->isa[14]); /* by reading status */
    read_words(r, DISK_PORT, id, 512);
    assert_int_equal(status(r, DISK_PORT), READY);
    assert_int_equal(load_le16(id), 0x0040);
    assert_int_equal(load_le32(id + 120), DISK / 512);
    assert_int_equal(load_le64(id + 200), DISK / 512);
    assert_memory_equal(id + 20, "OLGD-E0010", 10);
    for (unsigned i = 0; i < 512; i++)
        sum += id[i];
    assert_int_equal(sum, 0);
    assert_int_equal(r->b->isa_rises[14], 1); /* none after the last block */
}

static void pio_read(void **state)
{
    struct disk_rig *r = *state;
    uint8_t got[1024];

    command(r, 0x20, 5, 2);
    assert_int_equal(status(r, DISK_PORT), BSY);
    assert_false(r->b->isa[14]);
    answer(r->disk, 0, 0);
    assert_int_equal(r->disk->last_off, 5 * 512);
    assert_int_equal(status(r, DISK_PORT), READY | DRQ);
    read_words(r, DISK_PORT, got, 512);
    assert_int_equal(status(r, DISK_PORT), READY | DRQ);
    read_words(r, DISK_PORT, got + 512, 512);
    assert_int_equal(status(r, DISK_PORT), READY);
    assert_memory_equal(got, r->disk->bytes + 5 * 512, 1024);
    assert_int_equal(r->b->isa_rises[14], 2);
}

static void pio_write(void **state)
{
    struct disk_rig *r = *state;

    out(r->b, 0x1f2, 4, 1);
    out(r->b, 0x1f7, 0xc6, 1); /* four sectors a block */
    status(r, DISK_PORT);
    command_ext(r, 0x39, 16, 8);
    assert_int_equal(status(r, DISK_PORT), READY | DRQ);
    assert_int_equal(r->b->isa_rises[14], 1); /* none before the first */
    for (unsigned i = 0; i < 512; i++)
        out(r->b, 0x1f0, 0x11110000 | i, 4);
    assert_int_equal(r->b->isa_rises[14], 2);
    status(r, DISK_PORT);
    for (unsigned i = 0; i < 512; i++)
        out(r->b, 0x1f0, 0x22220000 | i, 4);
    assert_int_equal(status(r, DISK_PORT), BSY);
    answer(r->disk, 0, 0);
    assert_int_equal(status(r, DISK_PORT), READY);
    assert_int_equal(load_le32(r->disk->bytes + 16 * 512 + 4), 0x11110001);
    assert_int_equal(load_le32(r->disk->bytes + 20 * 512 + 4), 0x22220001);
}

static void write_through(void **state)
{
    struct disk_rig *r = *state;

    out(r->b, 0x1f1, 0x82, 1);
    command(r, 0xef, 0, 0);
    command(r, 0x30, 1, 1);
    for (unsigned i = 0; i < 256; i++)
        out(r->b, 0x1f0, i, 2);
    answer(r->disk, 0, 0);
    assert_int_equal(status(r, DISK_PORT), BSY);
    assert_int_equal(r->disk->by_op[BLK_FLUSH], 1);
    answer(r->disk, 0, 0);
    assert_int_equal(status(r, DISK_PORT), READY);
}

static void errors(void **state)
{
    struct disk_rig *r = *state;

    command(r, 0x20, DISK / 512 - 1, 2); /* beyond the end */
    assert_int_equal(status(r, DISK_PORT), READY | ERR);
    assert_int_equal(in(r->b, 0x1f1, 1), 0x10);
    assert_int_equal(r->disk->submitted, 0);
    command(r, 0x20, 7, 1);
    answer(r->disk, 0, -LE_IO);
    assert_int_equal(status(r, DISK_PORT), READY | ERR);
    assert_int_equal(in(r->b, 0x1f1, 1), 0x40);
    assert_int_equal(in(r->b, 0x1f3, 1), 7);
    command(r, 0x60, 0, 1); /* queued commands are not for IDE */
    assert_int_equal(in(r->b, 0x1f1, 1), 0x04);
}

static void chs(void **state)
{
    struct disk_rig *r = *state;

    out(r->b, 0x1f6, 0xa1, 1); /* cylinder 1, head 1, sector 2 */
    out(r->b, 0x1f2, 1, 1);
    out(r->b, 0x1f3, 2, 1);
    out(r->b, 0x1f4, 1, 1);
    out(r->b, 0x1f5, 0, 1);
    out(r->b, 0x1f7, 0x20, 1);
    assert_int_equal(r->disk->last_off, ((1 * 16 + 1) * 63 + 1) * 512);
}

static void bus_master(struct disk_rig *r, unsigned channel, bool to_memory)
{
    out(r->b, BM + 8 * channel, 0, 1);
    out(r->b, BM + 8 * channel + 4, PRDT, 4);
    out(r->b, BM + 8 * channel + 2, 6, 1);
    out(r->b, BM + 8 * channel, to_memory ? 9 : 1, 1);
}

static void prd(struct disk_rig *r, unsigned n, uint32_t at, uint32_t count)
{
    store_le32(r->b->env.ram + PRDT + 8 * n, at);
    store_le32(r->b->env.ram + PRDT + 8 * n + 4, count);
}

static void dma_read(void **state)
{
    struct disk_rig *r = *state;

    prd(r, 0, DATA, 1000);
    prd(r, 1, DATA + 0x10000, 24 | 1u << 31);
    command(r, 0xc8, 3, 2);
    answer(r->disk, 0, 0); /* before the master is started */
    bus_master(r, 0, true);
    assert_int_equal(in(r->b, BM + 2, 1), 4); /* exactly as much */
    assert_int_equal(status(r, DISK_PORT), READY);
    assert_memory_equal(r->b->env.ram + DATA, r->disk->bytes + 3 * 512, 1000);
    assert_memory_equal(r->b->env.ram + DATA + 0x10000,
                        r->disk->bytes + 3 * 512 + 1000, 24);
}

static void dma_write(void **state)
{
    struct disk_rig *r = *state;

    memset(r->b->env.ram + DATA, 0x5a, 65536);
    prd(r, 0, DATA, 0 | 1u << 31); /* 64 KB, more than is wanted */
    command(r, 0xca, 100, 100);
    bus_master(r, 0, false);
    while (r->disk->n)
        answer(r->disk, 0, 0);
    assert_int_equal(in(r->b, BM + 2, 1), 5); /* still active */
    assert_int_equal(r->disk->bytes[100 * 512], 0x5a);
    assert_int_equal(r->disk->bytes[200 * 512 - 1], 0x5a);
    assert_int_not_equal(r->disk->bytes[200 * 512], 0x5a);
}

static void dma_to_nowhere(void **state)
{
    struct disk_rig *r = *state;

    prd(r, 0, 0xf0000000, 512 | 1u << 31);
    command(r, 0xc8, 0, 1);
    bus_master(r, 0, true);
    answer(r->disk, 0, 0);
    assert_int_equal(in(r->b, BM + 2, 1), 2);
    assert_true(status(r, DISK_PORT) & DRQ); /* until it is reset */
    out(r->b, BM + 4, 0xe0000000, 4);        /* nor are there descriptors */
    out(r->b, BM, 0, 1);
    out(r->b, BM, 9, 1);
    assert_int_equal(in(r->b, BM + 2, 1) & 3, 2);
    out(r->b, 0x3f6, 4, 1);
    out(r->b, 0x3f6, 0, 1);
    assert_int_equal(status(r, DISK_PORT), READY);
}

/* Short descriptors: the drive waits, and no interrupt says it is over. */
static void dma_too_short(void **state)
{
    struct disk_rig *r = *state;

    prd(r, 0, DATA, 256 | 1u << 31);
    command(r, 0xc8, 0, 1);
    bus_master(r, 0, true);
    answer(r->disk, 0, 0);
    assert_int_equal(in(r->b, BM + 2, 1), 0);
    assert_false(r->b->isa[14]);
}

static void reset_under_way(void **state)
{
    struct disk_rig *r = *state;

    memset(r->b->env.ram + DATA, 0xee, 512);
    prd(r, 0, DATA, 512 | 1u << 31);
    command(r, 0xc8, 0, 1);
    bus_master(r, 0, true);
    out(r->b, 0x3f6, 4, 1);
    out(r->b, 0x3f6, 0, 1);
    assert_int_equal(status(r, DISK_PORT), BSY);
    command(r, 0xec, 0, 0); /* not heard */
    answer(r->disk, 0, 0);
    assert_int_equal(status(r, DISK_PORT), READY);
    assert_int_equal(r->b->env.ram[DATA], 0xee);
    assert_false(r->b->isa[14]);
}

static void trim(void **state)
{
    struct disk_rig *r = *state;

    memset(r->b->env.ram + DATA, 0, 512);
    store_le64(r->b->env.ram + DATA, 8 | 4ull << 48);
    store_le64(r->b->env.ram + DATA + 16, 20 | 1ull << 48);
    prd(r, 0, DATA, 512 | 1u << 31);
    out(r->b, 0x1f1, 0, 1);
    out(r->b, 0x1f1, 1, 1);
    command_ext(r, 0x06, 0, 1);
    bus_master(r, 0, false);
    answer_all(r->disk);
    assert_int_equal(status(r, DISK_PORT), READY);
    assert_int_equal(r->disk->by_op[BLK_DISCARD], 2);
    assert_int_equal(r->disk->bytes[8 * 512 + 5], 0);
    assert_int_equal(r->disk->bytes[20 * 512 + 5], 0);
    assert_int_not_equal(r->disk->bytes[12 * 512 + 5], 0);
}

static void smart(void **state)
{
    struct disk_rig *r = *state;

    out(r->b, 0x1f1, 0xda, 1);
    command(r, 0xb0, 0xc24f00, 0);
    assert_int_equal(status(r, DISK_PORT), READY);
    assert_int_equal(in(r->b, 0x1f4, 1), 0x4f); /* all is well */
    command(r, 0xb0, 0, 0);
    assert_int_equal(status(r, DISK_PORT), READY | ERR);
}

/* --- the CD-ROM --- */

static void send_packet(struct disk_rig *r, const uint8_t *p, bool dma)
{
    out(r->b, 0x176, 0xa0, 1);
    out(r->b, 0x171, dma, 1);
    out(r->b, 0x174, 0, 1);
    out(r->b, 0x175, 8, 1); /* up to 2 KB at once */
    out(r->b, 0x177, 0xa0, 1);
    assert_int_equal(in(r->b, 0x172, 1) & 3, 1); /* a command is wanted */
    for (unsigned i = 0; i < 12; i += 2)
        out(r->b, CD_PORT, load_le16(p + i), 2);
}

/* The packet's first bytes; its answer to `to`. Returns the status. */
static uint8_t ask(struct disk_rig *r, const uint8_t p[12], uint8_t *to,
                   unsigned max)
{
    unsigned got = 0;

    send_packet(r, p, false);
    answer_all(r->medium);
    while (status(r, CD_PORT) & DRQ) {
        unsigned n = in(r->b, 0x174, 1) | in(r->b, 0x175, 1) << 8;

        assert_int_equal(in(r->b, 0x172, 1) & 3, 2);
        assert_true(got + n <= max);
        read_words(r, CD_PORT, to + got, n);
        got += n;
    }
    assert_int_equal(in(r->b, 0x172, 1) & 3, 3);
    return status(r, CD_PORT);
}

static void want_sense(struct disk_rig *r, unsigned key, unsigned asc)
{
    uint8_t s[18];

    assert_int_equal(in(r->b, 0x171, 1) >> 4, key);
    assert_int_equal(ask(r, (uint8_t[12]){0x03, [4] = 18}, s, 18), READY);
    assert_int_equal(s[2], key);
    assert_int_equal(s[12], asc);
}

/* After power-on a drive says so first. */
static void wake(struct disk_rig *r)
{
    assert_int_equal(ask(r, (uint8_t[12]){0}, NULL, 0), READY | ERR);
    want_sense(r, 6, 0x29);
    assert_int_equal(ask(r, (uint8_t[12]){0}, NULL, 0), READY);
}

static void cd_identity(void **state)
{
    struct disk_rig *r = *state;
    uint8_t data[512];

    out(r->b, 0x177, 0xec, 1); /* for disks: refused with a signature */
    assert_int_equal(status(r, CD_PORT), READY | ERR);
    assert_int_equal(in(r->b, 0x175, 1), 0xeb);
    out(r->b, 0x177, 0xa1, 1);
    read_words(r, CD_PORT, data, 512);
    assert_int_equal(load_le16(data), 0x85c0);
    assert_int_equal(ask(r, (uint8_t[12]){0x12, [4] = 36}, data, 36), READY);
    assert_int_equal(data[0], 5);
    assert_memory_equal(data + 8, "LODGE", 5);
    wake(r);
}

static void cd_read(void **state)
{
    struct disk_rig *r = *state;
    static uint8_t data[3 * 2048];

    wake(r);
    assert_int_equal(ask(r, (uint8_t[12]){0x25}, data, 8), READY);
    assert_int_equal(load_be32(data), MEDIUM_BLOCKS - 1);
    assert_int_equal(
        ask(r, (uint8_t[12]){0x28, [5] = 7, [8] = 3}, data, sizeof data),
        READY);
    assert_memory_equal(data, r->medium->bytes + 7 * 2048, sizeof data);
    assert_int_equal(
        ask(r, (uint8_t[12]){0x28, [5] = MEDIUM_BLOCKS, [8] = 1}, NULL, 0),
        READY | ERR);
    want_sense(r, 5, 0x21);
    prd(r, 0, DATA, 2048 | 1u << 31);
    send_packet(r, (uint8_t[12]){0xa8, [5] = 2, [9] = 1}, true);
    bus_master(r, 1, true);
    answer_all(r->medium);
    assert_int_equal(status(r, CD_PORT), READY);
    assert_memory_equal(r->b->env.ram + DATA, r->medium->bytes + 2 * 2048,
                        2048);
}

static void cd_toc(void **state)
{
    struct disk_rig *r = *state;
    uint8_t t[20];

    wake(r);
    assert_int_equal(ask(r, (uint8_t[12]){0x43, [8] = 20}, t, 20), READY);
    assert_int_equal(load_be16(t), 18);
    assert_int_equal(t[5], 0x14);
    assert_int_equal(t[14], 0xaa);
    assert_int_equal(load_be32(t + 16), MEDIUM_BLOCKS);
}

static void cd_change(void **state)
{
    struct disk_rig *r = *state;
    struct media_drive *m = media_find(&r->b->env, "cdrom0");
    struct blk *old;
    struct err e;
    uint8_t event[8];

    wake(r);
    assert_non_null(m);
    assert_int_equal(ask(r, (uint8_t[12]){0x1e, [4] = 1}, NULL, 0), READY);
    assert_int_equal(media_change(m, NULL, false, &old, &e), -LE_BUSY);
    assert_int_equal(
        ask(r, (uint8_t[12]){0x4a, 1, [4] = 0x10, [8] = 8}, event, 8), READY);
    assert_int_equal(event[4], 1); /* somebody wants it */
    assert_int_equal(ask(r, (uint8_t[12]){0x1b, [4] = 2}, NULL, 0),
                     READY | ERR);
    want_sense(r, 6, 0x5a);
    assert_int_equal(media_change(m, NULL, true, &old, &e), 0);
    assert_ptr_equal(old, &r->medium->blk);
    assert_int_equal(ask(r, (uint8_t[12]){0}, NULL, 0), READY | ERR);
    want_sense(r, 2, 0x3a);
    assert_int_equal(media_change(m, &r->medium->blk, false, &old, &e), 0);
    assert_int_equal(ask(r, (uint8_t[12]){0}, NULL, 0), READY | ERR);
    want_sense(r, 6, 0x28);
    assert_int_equal(ask(r, (uint8_t[12]){0}, NULL, 0), READY);
    ask(r, (uint8_t[12]){0x1e}, NULL, 0);
    assert_int_equal(ask(r, (uint8_t[12]){0x1b, [4] = 2}, NULL, 0), READY);
    assert_true(m->open);
    assert_int_equal(ask(r, (uint8_t[12]){0x25}, NULL, 0), READY | ERR);
    want_sense(r, 2, 0x3a);
}

/* Taken out between two chunks of a long read. */
static void cd_gone(void **state)
{
    struct disk_rig *r = *state;
    struct media_drive *m = media_find(&r->b->env, "cdrom0");
    struct blk *old;
    struct err e;

    wake(r);
    prd(r, 0, DATA, 0 | 1u << 31);
    send_packet(r, (uint8_t[12]){0x28, [8] = 30}, true);
    bus_master(r, 1, true);
    assert_int_equal(media_change(m, NULL, true, &old, &e), 0);
    answer_all(r->medium);
    assert_int_equal(status(r, CD_PORT), READY | ERR);
    want_sense(r, 2, 0x3a);
}

/* --- snapshots --- */

static void snapshot(void **state)
{
    struct disk_rig *r = *state;
    uint8_t got[1024];

    command(r, 0x20, 9, 2);
    answer(r->disk, 0, 0);
    read_words(r, DISK_PORT, got, 600); /* in the middle of the second */
    rig_reload(r);
    read_words(r, DISK_PORT, got + 600, 424);
    assert_memory_equal(got, r->disk->bytes + 9 * 512, 1024);
    assert_int_equal(status(r, DISK_PORT), READY);
}

/* A disk that its owner made read-only is not written by a snapshot either. */
static void hostile(void **state)
{
    struct disk_rig *r = *state, *other = make(true);
    const struct dev_class *c = r->dev->cls;
    size_t n = state_size(c->state, c->version);
    uint8_t *bytes = malloc(n);
    struct err e;

    command(r, 0x30, 1, 1);
    state_save(c->state, c->version, r->dev, bytes);
    assert_int_equal(state_load(c->state, c->version, other->dev, bytes, n, &e),
                     0);
    assert_int_not_equal(c->loaded(other->dev, c->version), 0);
    c->reset(other->dev, true);
    decode(other);
    command(other, 0x30, 1, 1);
    assert_int_equal(status(other, DISK_PORT), READY | ERR);
    rig_free(other);
    free(bytes);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(signatures),      TEST(decoding),
        TEST(identify),        TEST(pio_read),
        TEST(pio_write),       TEST(write_through),
        TEST(errors),          TEST(chs),
        TEST(dma_read),        TEST(dma_write),
        TEST(dma_to_nowhere),  TEST(dma_too_short),
        TEST(reset_under_way), TEST(trim),
        TEST(smart),           TEST(cd_identity),
        TEST(cd_read),         TEST(cd_toc),
        TEST(cd_change),       TEST(cd_gone),
        TEST(snapshot),        TEST(hostile),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
