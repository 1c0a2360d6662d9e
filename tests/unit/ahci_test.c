/* AHCI 1.3.1: ports, commands in their slots, errors. */
#include "disk_rig.h"

extern const struct dev_class ahci_class;

enum { AHCI = PCI_DEVFN(2, 0), ABAR = 0xe0000000 };
enum { LIST = 0x200000, FIS = 0x201000, TABLE = 0x210000, DATA = 0x300000 };
enum {
    IS = 0x10,
    CMD = 0x18,
    TFD = 0x20,
    SIG = 0x24,
    SSTS = 0x28,
    SCTL = 0x2c,
    SACT = 0x34,
    CI = 0x38
};
enum { WRITE = 0x40, ST_FRE = 0x11 };

static uint32_t hba(struct disk_rig *r, unsigned off)
{
    return (uint32_t)mem_read(r->b, ABAR + off, 4);
}

static void set_hba(struct disk_rig *r, unsigned off, uint32_t v)
{
    mem_write(r->b, ABAR + off, v, 4);
}

static uint32_t port(struct disk_rig *r, unsigned n, unsigned off)
{
    return hba(r, 0x100 + 0x80 * n + off);
}

static void set_port(struct disk_rig *r, unsigned n, unsigned off, uint32_t v)
{
    set_hba(r, 0x100 + 0x80 * n + off, v);
}

static void start_ports(struct disk_rig *r)
{
    for (unsigned n = 0; n < 2; n++) {
        set_port(r, n, 0x00, LIST + 0x400 * n);
        set_port(r, n, 0x08, FIS + 0x100 * n);
        set_port(r, n, 0x30, ~0u);
        set_port(r, n, IS, ~0u);
        set_port(r, n, 0x14, ~0u);
        set_port(r, n, CMD, ST_FRE);
    }
    set_hba(r, 0x04, 2);
    set_hba(r, 0x08, ~0u);
}

static int setup(void **state)
{
    struct disk_rig *r = rig_new(&ahci_class, 100 * 2048);

    rig_blk(r->dev, "drive0", &r->disk->blk);
    rig_flag(r->dev, "cdrom1");
    rig_blk(r->dev, "drive1", &r->medium->blk);
    board_attach(r->b, r->dev);
    conf_write(r->b, AHCI, 0x24, ABAR, 4);
    conf_write(r->b, AHCI, PCI_COMMAND, 6, 2);
    start_ports(r);
    *state = r;
    return 0;
}

static int teardown(void **state)
{
    rig_free(*state);
    return 0;
}

static uint8_t *table(struct disk_rig *r, unsigned slot)
{
    return r->b->env.ram + TABLE + 0x400 * slot;
}

static void region(struct disk_rig *r, unsigned slot, unsigned n, uint64_t at,
                   uint32_t bytes)
{
    uint8_t *p = table(r, slot) + 0x80 + 16 * n;

    store_le64(p, at);
    store_le32(p + 8, 0);
    store_le32(p + 12, bytes - 1);
}

/* A command in a slot, with so many regions; not yet issued. */
static uint8_t *prepare(struct disk_rig *r, unsigned n, unsigned slot,
                        uint8_t code, uint64_t lba, uint16_t count,
                        unsigned regions)
{
    uint8_t *h = r->b->env.ram + LIST + 0x400 * n + 32 * slot;
    uint8_t *t = table(r, slot);

    memset(h, 0, 32);
    store_le16(h, 5);
    store_le16(h + 2, (uint16_t)regions);
    store_le64(h + 8, TABLE + 0x400 * slot);
    memset(t, 0, 0x80);
    t[0] = 0x27;
    t[1] = 0x80;
    t[2] = code;
    for (unsigned i = 0; i < 3; i++) {
        t[4 + i] = (uint8_t)(lba >> 8 * i);
        t[8 + i] = (uint8_t)(lba >> (24 + 8 * i));
    }
    t[7] = 0x40;
    store_le16(t + 12, count);
    return t;
}

static void registers(void **state)
{
    struct disk_rig *r = *state;

    assert_int_equal(conf_read(r->b, AHCI, 8, 4) >> 8, 0x010601);
    assert_int_equal(hba(r, 0x00) & 0x1f, 5);
    assert_int_equal(hba(r, 0x00) >> 30, 3); /* 64-bit addresses, queues */
    assert_int_equal(hba(r, 0x0c), 0x3f);
    assert_int_equal(hba(r, 0x04), 0x80000002);
    assert_int_equal(port(r, 0, SIG), 0x00000101);
    assert_int_equal(port(r, 1, SIG), 0xeb140101);
    assert_int_equal(port(r, 0, SSTS), 0x123);
    assert_int_equal(port(r, 0, TFD), 0x150);
    assert_int_equal(port(r, 2, SSTS), 0);
    assert_int_equal(port(r, 2, TFD), 0x7f);
    assert_int_equal(port(r, 0, CMD) & 0xc000, 0xc000);
}

static void read_dma(void **state)
{
    struct disk_rig *r = *state;

    prepare(r, 0, 3, 0x25, 7, 4, 2);
    region(r, 3, 0, DATA, 1000);
    region(r, 3, 1, DATA + 0x1000, 0x400000);
    set_port(r, 0, CI, 1 << 3);
    assert_int_equal(port(r, 0, TFD) & 0x80, 0x80);
    assert_int_equal(port(r, 0, CI), 1 << 3);
    answer_all(r->disk);
    assert_int_equal(port(r, 0, CI), 0);
    assert_int_equal(port(r, 0, IS), 1);
    assert_int_equal(hba(r, 0x08), 1);
    assert_true(r->b->gsi[16] || r->b->gsi[17] || r->b->gsi[18] ||
                r->b->gsi[19]);
    assert_memory_equal(r->b->env.ram + DATA, r->disk->bytes + 7 * 512, 1000);
    assert_memory_equal(r->b->env.ram + DATA + 0x1000,
                        r->disk->bytes + 7 * 512 + 1000, 1048);
    assert_int_equal(load_le32(r->b->env.ram + LIST + 32 * 3 + 4), 2048);
    assert_int_equal(r->b->env.ram[FIS + 0x40], 0x34);
    assert_int_equal(r->b->env.ram[FIS + 0x42], 0x50);
    set_port(r, 0, IS, 1);
    set_hba(r, 0x08, 1);
    assert_false(r->b->gsi[16] || r->b->gsi[17] || r->b->gsi[18] ||
                 r->b->gsi[19]);
}

static void identify(void **state)
{
    struct disk_rig *r = *state;

    prepare(r, 0, 0, 0xec, 0, 0, 1);
    region(r, 0, 0, DATA, 512);
    set_port(r, 0, CI, 1);
    assert_int_equal(port(r, 0, IS), 2); /* a PIO setup frame */
    assert_int_equal(r->b->env.ram[FIS + 0x20], 0x5f);
    assert_int_equal(r->b->env.ram[FIS + 0x2f], 0x50);
    assert_int_equal(load_le16(r->b->env.ram + DATA + 150), 31);
    assert_int_equal(port(r, 0, CI), 0);
}

static void queued(void **state)
{
    struct disk_rig *r = *state;

    for (unsigned n = 0; n < 32; n++) {
        prepare(r, 0, n, n & 1 ? 0x61 : 0x60, 8 * n, (uint16_t)(n << 3), 1);
        table(r, n)[3] = 8;
        region(r, n, 0, DATA + 4096 * n, 4096);
        memset(r->b->env.ram + DATA + 4096 * n, 0xa0 + (int)n, 4096);
    }
    set_port(r, 0, SACT, ~0u);
    set_port(r, 0, CI, ~0u);
    assert_int_equal(port(r, 0, CI), 0);
    assert_int_equal(r->disk->n, 32); /* all at once */
    for (unsigned n = 0; n < 32; n++) {
        assert_int_equal(port(r, 0, SACT), (uint32_t)(0xffffffffull >> n));
        answer(r->disk, 31 - n, 0); /* in any order */
    }
    assert_int_equal(port(r, 0, SACT), 0);
    assert_int_equal(port(r, 0, IS) & 8, 8);
    assert_int_equal(r->disk->bytes[8 * 512 * 5], 0xa5);
    assert_memory_equal(r->b->env.ram + DATA + 4096 * 6,
                        r->disk->bytes + 8 * 512 * 6, 4096);
}

/* One fails: the others end unheard, and the log tells which it was. */
static void queued_error(void **state)
{
    struct disk_rig *r = *state;

    for (unsigned n = 0; n < 3; n++) {
        prepare(r, 0, n, 0x60, 8 * n, (uint16_t)(n << 3), 1);
        table(r, n)[3] = 8;
        region(r, n, 0, DATA + 4096 * n, 4096);
    }
    memset(r->b->env.ram + DATA, 0xee, 3 * 4096);
    set_port(r, 0, SACT, 7);
    set_port(r, 0, CI, 7);
    answer(r->disk, 1, -LE_IO);
    assert_int_equal(port(r, 0, IS) & (1u << 30), 1u << 30);
    assert_int_equal(port(r, 0, SACT), 7);
    set_port(r, 0, CMD, 0x10);
    assert_int_equal(port(r, 0, CMD) & 0x8000, 0x8000); /* still running */
    answer_all(r->disk);
    assert_int_equal(port(r, 0, CMD) & 0x8000, 0);
    assert_int_equal(port(r, 0, SACT), 0);
    assert_int_equal(r->b->env.ram[DATA], 0xee);
    set_port(r, 0, CMD, ST_FRE);
    prepare(r, 0, 0, 0x2f, 0x10, 1, 1);
    region(r, 0, 0, DATA, 512);
    set_port(r, 0, CI, 1);
    assert_int_equal(r->b->env.ram[DATA], 1);
    assert_int_equal(r->b->env.ram[DATA + 3], 0x40);
}

static void command_error(void **state)
{
    struct disk_rig *r = *state;

    prepare(r, 0, 0, 0x25, DISK / 512, 1, 0);
    prepare(r, 0, 1, 0xe7, 0, 0, 0);
    set_port(r, 0, CI, 3);
    assert_int_equal(port(r, 0, TFD), 0x1051);
    assert_int_equal(port(r, 0, CI), 3); /* and nothing more is fetched */
    assert_int_equal(port(r, 0, CMD) >> 8 & 31, 0);
    assert_int_equal(r->disk->submitted, 0);
    set_port(r, 0, CMD, 0x10);
    assert_int_equal(port(r, 0, CI), 0);
}

static void memory_errors(void **state)
{
    struct disk_rig *r = *state;

    prepare(r, 0, 0, 0x25, 0, 1, 1);
    region(r, 0, 0, 0xf0000000, 512);
    set_port(r, 0, CI, 1);
    answer_all(r->disk);
    assert_int_equal(port(r, 0, IS), 1u << 29);
    set_port(r, 0, CMD, 0x10);
    set_port(r, 0, 0x00, 0xf0000000); /* no command list */
    set_port(r, 0, IS, ~0u);
    set_port(r, 0, SCTL, 1);
    set_port(r, 0, SCTL, 0);
    set_port(r, 0, 0x30, ~0u);
    set_port(r, 0, IS, ~0u);
    set_port(r, 0, CMD, ST_FRE);
    set_port(r, 0, CI, 1);
    assert_int_equal(port(r, 0, IS), 1u << 29);
}

/* More data than the regions hold: the rest is lost, and told. */
static void overflow(void **state)
{
    struct disk_rig *r = *state;

    memset(r->b->env.ram + DATA, 0xee, 2048);
    prepare(r, 0, 0, 0x25, 0, 2, 1);
    region(r, 0, 0, DATA, 512);
    set_port(r, 0, CI, 1);
    answer_all(r->disk);
    assert_int_equal(port(r, 0, IS) & (1 << 24), 1 << 24);
    assert_int_equal(r->b->env.ram[DATA + 512], 0xee);
}

static void soft_reset(void **state)
{
    struct disk_rig *r = *state;
    uint8_t *t = prepare(r, 0, 0, 0, 0, 0, 0);

    r->b->env.ram[LIST + 1] = 0x05; /* reset, clear busy */
    t[1] = 0;
    t[15] = 4;
    set_port(r, 0, CI, 1);
    assert_int_equal(port(r, 0, CI), 0);
    t = prepare(r, 0, 1, 0, 0, 0, 0);
    t[1] = 0;
    set_port(r, 0, CI, 2);
    assert_int_equal(port(r, 0, CI), 0);
    assert_int_equal(port(r, 0, TFD), 0x150);
}

static void comreset(void **state)
{
    struct disk_rig *r = *state;

    memset(r->b->env.ram + DATA, 0xee, 512);
    prepare(r, 0, 0, 0x25, 0, 1, 1);
    region(r, 0, 0, DATA, 512);
    set_port(r, 0, CI, 1);
    set_port(r, 0, CMD, 0x10);
    set_port(r, 0, SCTL, 1);
    set_port(r, 0, SCTL, 0);
    assert_int_not_equal(port(r, 0, SSTS), 0x123);
    answer_all(r->disk);
    assert_int_equal(port(r, 0, SSTS), 0x123);
    assert_int_equal(port(r, 0, TFD), 0x150);
    assert_int_equal(r->b->env.ram[DATA], 0xee);
    assert_int_equal(port(r, 0, IS) & 0x40, 0x40);
}

static void hba_reset(void **state)
{
    struct disk_rig *r = *state;

    prepare(r, 0, 0, 0x25, 0, 1, 1);
    region(r, 0, 0, DATA, 512);
    set_port(r, 0, CI, 1);
    set_hba(r, 0x04, 1);
    assert_int_equal(hba(r, 0x04) & 1, 1);
    answer_all(r->disk);
    assert_int_equal(hba(r, 0x04), 0x80000000);
    assert_int_equal(port(r, 0, CI), 0);
    assert_int_equal(port(r, 0, CMD) & 0xc011, 0);
}

static void packets(void **state)
{
    struct disk_rig *r = *state;
    uint8_t *t = prepare(r, 1, 0, 0xa0, 0, 0, 1);

    region(r, 0, 0, DATA, 4096);
    r->b->env.ram[LIST + 0x400] |= 0x20;
    t[3] = 1;
    set_port(r, 1, CI, 1); /* TEST UNIT READY: it was just switched on */
    assert_int_equal(port(r, 1, TFD), 0x6451);
    set_port(r, 1, CMD, 0x10);
    set_port(r, 1, CMD, ST_FRE);
    t[0x40] = 0x28;
    t[0x45] = 9;
    t[0x48] = 2;
    set_port(r, 1, CI, 1);
    answer_all(r->medium);
    assert_int_equal(port(r, 1, TFD), 0x50);
    assert_memory_equal(r->b->env.ram + DATA, r->medium->bytes + 9 * 2048,
                        4096);
}

/* While paused nothing is fetched; after a snapshot it is. */
static void snapshot(void **state)
{
    struct disk_rig *r = *state;

    prepare(r, 0, 0, 0x25, 1, 1, 1);
    region(r, 0, 0, DATA, 512);
    r->dev->cls->pause(r->dev);
    set_port(r, 0, CI, 1);
    assert_int_equal(r->disk->n, 0);
    rig_reload(r);
    assert_int_equal(r->disk->n, 1);
    answer_all(r->disk);
    assert_int_equal(port(r, 0, CI), 0);
    assert_memory_equal(r->b->env.ram + DATA, r->disk->bytes + 512, 512);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(registers),     TEST(read_dma),     TEST(identify),
        TEST(queued),        TEST(queued_error), TEST(command_error),
        TEST(memory_errors), TEST(overflow),     TEST(soft_reset),
        TEST(comreset),      TEST(hba_reset),    TEST(packets),
        TEST(snapshot),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
