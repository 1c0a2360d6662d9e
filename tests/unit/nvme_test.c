/* NVM Express 1.4: registers, queues, pages, commands. */
#include "disk_rig.h"

#include "hw/storage/nvme.h"

extern const struct dev_class nvme_class;

enum { NVME_AT = PCI_DEVFN(2, 0), BAR = 0xe0000000 };
enum { ASQ = 0x200000, ACQ = 0x201000, SQ = 0x202000, CQ = 0x203000 };
enum { LIST = 0x204000, DATA = 0x300000, ENTRIES = 8 };
enum { CC = 0x14, CSTS = 0x1c, CC_ON = 0x460001 };

struct nvme_rig {
    struct disk_rig *r;
    uint16_t tail[2], head[2];
    bool phase[2];
    uint16_t cid;
};

static uint32_t reg(struct nvme_rig *n, unsigned off)
{
    return (uint32_t)mem_read(n->r->b, BAR + off, 4);
}

static void set(struct nvme_rig *n, unsigned off, uint32_t v)
{
    mem_write(n->r->b, BAR + off, v, 4);
}

static void enable(struct nvme_rig *n)
{
    set(n, 0x24, (ENTRIES - 1) << 16 | (ENTRIES - 1));
    set(n, 0x28, ASQ);
    set(n, 0x30, ACQ);
    memset(n->r->b->env.ram + ACQ, 0, 4096);
    set(n, CC, CC_ON);
    n->tail[0] = n->head[0] = 0;
    n->phase[0] = true;
    assert_int_equal(reg(n, CSTS), 1);
}

static int setup(void **state)
{
    struct nvme_rig *n = calloc(1, sizeof *n);
    struct disk_rig *r = n->r = rig_new(&nvme_class, 2048);

    rig_blk(r->dev, "disk", &r->disk->blk);
    board_attach(r->b, r->dev);
    conf_write(r->b, NVME_AT, 0x10, BAR, 4);
    conf_write(r->b, NVME_AT, PCI_COMMAND, 6, 2);
    enable(n);
    *state = n;
    return 0;
}

static int teardown(void **state)
{
    struct nvme_rig *n = *state;

    rig_free(n->r);
    free(n);
    return 0;
}

static void put(struct nvme_rig *n, unsigned q, uint8_t code, uint64_t prp1,
                uint64_t prp2, uint32_t d10, uint32_t d11, uint32_t d12)
{
    uint8_t *c = n->r->b->env.ram + (q ? SQ : ASQ) + 64 * n->tail[q];

    memset(c, 0, 64);
    c[0] = code;
    store_le16(c + 2, ++n->cid);
    store_le32(c + 4, q || code == 0x06 ? 1 : 0);
    store_le64(c + 24, prp1);
    store_le64(c + 32, prp2);
    store_le32(c + 40, d10);
    store_le32(c + 44, d11);
    store_le32(c + 48, d12);
    n->tail[q] = (uint16_t)((n->tail[q] + 1) % ENTRIES);
    set(n, 0x1000 + 8 * q, n->tail[q]);
}

/* The next answer's status; -1: none yet. */
static int answered(struct nvme_rig *n, unsigned q, uint32_t *result)
{
    const uint8_t *e = n->r->b->env.ram + (q ? CQ : ACQ) + 16 * n->head[q];
    uint16_t s = load_le16(e + 14);

    if ((s & 1) != n->phase[q])
        return -1;
    if (result)
        *result = load_le32(e);
    n->head[q] = (uint16_t)((n->head[q] + 1) % ENTRIES);
    if (!n->head[q])
        n->phase[q] = !n->phase[q];
    set(n, 0x1004 + 8 * q, n->head[q]);
    return s >> 1;
}

static int admin(struct nvme_rig *n, uint8_t code, uint64_t prp1, uint32_t d10,
                 uint32_t d11, uint32_t *result)
{
    put(n, 0, code, prp1, 0, d10, d11, 0);
    return answered(n, 0, result);
}

static void make_queues(struct nvme_rig *n)
{
    memset(n->r->b->env.ram + CQ, 0, 4096);
    assert_int_equal(admin(n, 5, CQ, (ENTRIES - 1) << 16 | 1, 3, NULL), 0);
    assert_int_equal(
        admin(n, 1, SQ, (ENTRIES - 1) << 16 | 1, 1 << 16 | 1, NULL), 0);
    n->tail[1] = n->head[1] = 0;
    n->phase[1] = true;
}

static bool pin(const struct nvme_rig *n)
{
    const bool *gsi = n->r->b->gsi;

    return gsi[16] || gsi[17] || gsi[18] || gsi[19];
}

static void registers(void **state)
{
    struct nvme_rig *n = *state;

    assert_int_equal(conf_read(n->r->b, NVME_AT, 8, 4) >> 8, 0x010802);
    assert_int_equal(reg(n, 0) & 0xffff, 1023);
    assert_int_equal(reg(n, 8), 0x00010400);
    set(n, CC, 0);
    assert_int_equal(reg(n, CSTS), 0);
    set(n, CC, CC_ON | 7 << 7); /* pages of 512 KB */
    assert_int_equal(reg(n, CSTS) & 2, 2);
    set(n, CC, 0);
    assert_int_equal(reg(n, CSTS), 0);
}

static void identify(void **state)
{
    struct nvme_rig *n = *state;
    const uint8_t *p = n->r->b->env.ram + DATA;

    assert_int_equal(admin(n, 6, DATA, 1, 0, NULL), 0);
    assert_true(pin(n) || n->head[0]);
    assert_memory_equal(p + 4, "LODGE-0001          ", 20);
    assert_int_equal(p[512], 0x66);
    assert_int_equal(p[77], 5);
    assert_int_equal(admin(n, 6, DATA, 0, 0, NULL), 0);
    assert_int_equal(load_le64(p), DISK / 512);
    assert_int_equal(p[130], 9);
    assert_int_equal(admin(n, 6, DATA, 0x55, 0, NULL), 0x4002);
    assert_int_equal(admin(n, 0x77, 0, 0, 0, NULL), 0x4001);
}

/* Without a serial number there is one nevertheless: the device's name. */
static void names(void **state)
{
    struct nvme_rig *n = *state;
    struct disk *d = disk_new(DISK);
    struct dev *other = board_make(n->r->b, &nvme_class, "disk7");

    d->blk.id[0] = 0;
    rig_blk(other, "disk", &d->blk);
    board_attach(n->r->b, other);
    assert_string_equal(((struct nvme *)other)->name, "LODGE-disk7");
    assert_string_equal(((struct nvme *)n->r->dev)->name, "LODGE-0001");
    board_remove(other);
    free(d);
}

/* Half a page, a page, and a list; in and out. */
static void pages(void **state)
{
    struct nvme_rig *n = *state;
    struct disk_rig *r = n->r;
    uint8_t *ram = r->b->env.ram;

    make_queues(n);
    put(n, 1, 2, DATA + 0x800, DATA + 0x2000, 8, 0, 11); /* 6 KB */
    assert_int_equal(answered(n, 1, NULL), -1);
    answer_all(r->disk);
    assert_int_equal(answered(n, 1, NULL), 0);
    assert_memory_equal(ram + DATA + 0x800, r->disk->bytes + 4096, 2048);
    assert_memory_equal(ram + DATA + 0x2000, r->disk->bytes + 4096 + 2048,
                        4096);
    for (unsigned i = 0; i < 4; i++) {
        store_le64(ram + LIST + 8 * i, DATA + 0x10000 - 0x1000 * i);
        memset(ram + DATA + 0x10000 - 0x1000 * i, 0xb0 + (int)i, 4096);
    }
    memset(ram + DATA, 0xaf, 4096);
    put(n, 1, 1, DATA, LIST, 100, 0, 39); /* 20 KB */
    answer_all(r->disk);
    assert_int_equal(answered(n, 1, NULL), 0);
    for (unsigned i = 0; i < 5; i++)
        assert_int_equal(r->disk->bytes[100 * 512 + 4096 * i], 0xaf + i);
}

/* The last place of a page of the list leads to the next page. */
static void chains(void **state)
{
    struct nvme_rig *n = *state;
    struct disk_rig *r = n->r;
    uint8_t *ram = r->b->env.ram;

    make_queues(n);
    store_le64(ram + LIST + 0xff0, DATA + 0x1000);
    store_le64(ram + LIST + 0xff8, LIST + 0x1000);
    store_le64(ram + LIST + 0x1000, DATA + 0x2000);
    store_le64(ram + LIST + 0x1008, DATA + 0x3000);
    put(n, 1, 2, DATA, LIST + 0xff0, 0, 0, 31);
    answer_all(r->disk);
    assert_int_equal(answered(n, 1, NULL), 0);
    assert_memory_equal(ram + DATA, r->disk->bytes, 16384);
    store_le64(ram + LIST + 0xff8, LIST + 0xff8); /* for ever */
    put(n, 1, 2, DATA, LIST + 0xff8, 0, 0, 31);
    answer_all(r->disk);
    assert_int_equal(answered(n, 1, NULL), 0x4013);
}

static void errors(void **state)
{
    struct nvme_rig *n = *state;
    struct disk_rig *r = n->r;

    make_queues(n);
    put(n, 1, 2, DATA, 0, DISK / 512, 0, 0);
    assert_int_equal(answered(n, 1, NULL), 0x4080);
    put(n, 1, 2, DATA, 0, 0, 0, 256); /* more than MDTS */
    assert_int_equal(answered(n, 1, NULL), 0x4002);
    put(n, 1, 2, DATA + 1, 0, 0, 0, 0);
    answer_all(r->disk);
    assert_int_equal(answered(n, 1, NULL), 0x4013);
    put(n, 1, 1, 0xf0000000, 0, 0, 0, 0);
    assert_int_equal(answered(n, 1, NULL), 0x0004);
    assert_int_equal(r->disk->by_op[BLK_WRITE], 0);
    put(n, 1, 2, DATA, 0, 0, 0, 0);
    answer(r->disk, 0, -LE_IO);
    assert_int_equal(answered(n, 1, NULL), 0x281);
}

static void queues(void **state)
{
    struct nvme_rig *n = *state;

    assert_int_equal(admin(n, 1, SQ, 7 << 16 | 1, 1 << 16 | 1, NULL), 0x4100);
    assert_int_equal(admin(n, 5, CQ, 7 << 16 | 17, 3, NULL), 0x4101);
    assert_int_equal(admin(n, 5, CQ, 1024u << 16 | 1, 3, NULL), 0x4102);
    assert_int_equal(admin(n, 5, CQ, 7 << 16 | 1, 99 << 16 | 3, NULL), 0x4108);
    make_queues(n);
    assert_int_equal(admin(n, 4, 0, 1, 0, NULL), 0x410c);
    put(n, 1, 2, DATA, 0, 0, 0, 0);
    assert_int_equal(admin(n, 0, 0, 1, 0, NULL), -1); /* one is running */
    answer_all(n->r->disk);
    assert_int_equal(answered(n, 1, NULL), 0);
    assert_int_equal(answered(n, 0, NULL), 0);
    assert_int_equal(admin(n, 4, 0, 1, 0, NULL), 0);
}

/* A completion queue without room holds back the commands. */
static void full(void **state)
{
    struct nvme_rig *n = *state;

    make_queues(n);
    for (unsigned i = 0; i < ENTRIES - 1; i++)
        put(n, 1, 0, 0, 0, 0, 0, 0);
    assert_int_equal(n->r->disk->n, ENTRIES - 1);
    answer_all(n->r->disk);
    put(n, 1, 0, 0, 0, 0, 0, 0);
    assert_int_equal(n->r->disk->n, 0);
    assert_int_equal(answered(n, 1, NULL), 0);
    assert_int_equal(n->r->disk->n, 1);
    answer_all(n->r->disk);
    for (unsigned i = 0; i < ENTRIES - 1; i++)
        assert_int_equal(answered(n, 1, NULL), 0);
    assert_int_equal(answered(n, 1, NULL), -1);
}

static void discard(void **state)
{
    struct nvme_rig *n = *state;
    struct disk_rig *r = n->r;

    make_queues(n);
    memset(r->b->env.ram + DATA, 0, 4096);
    store_le32(r->b->env.ram + DATA + 4, 4);
    store_le64(r->b->env.ram + DATA + 8, 10);
    store_le32(r->b->env.ram + DATA + 20, 1);
    store_le64(r->b->env.ram + DATA + 24, 30);
    put(n, 1, 9, DATA, 0, 1, 4, 0);
    answer_all(r->disk);
    assert_int_equal(answered(n, 1, NULL), 0);
    assert_int_equal(r->disk->by_op[BLK_DISCARD], 2);
    put(n, 1, 8, 0, 0, 50, 0, 3);
    answer_all(r->disk);
    assert_int_equal(answered(n, 1, NULL), 0);
    assert_int_equal(r->disk->bytes[53 * 512 + 511], 0);
    assert_int_equal(r->disk->by_op[BLK_ZERO], 1);
}

static void cache(void **state)
{
    struct nvme_rig *n = *state;
    uint32_t v;

    make_queues(n);
    assert_int_equal(admin(n, 0x0a, 0, 6, 0, &v), 0);
    assert_int_equal(v, 1);
    put(n, 1, 1, DATA, 0, 0, 0, 0);
    answer_all(n->r->disk);
    assert_int_equal(n->r->disk->by_op[BLK_FLUSH], 0);
    put(n, 1, 1, DATA, 0, 0, 0, 1u << 30); /* past the cache */
    answer_all(n->r->disk);
    assert_int_equal(n->r->disk->by_op[BLK_FLUSH], 1);
    assert_int_equal(admin(n, 9, 0, 6, 0, NULL), 0);
    put(n, 1, 1, DATA, 0, 0, 0, 0);
    answer_all(n->r->disk);
    assert_int_equal(n->r->disk->by_op[BLK_FLUSH], 2);
    assert_int_equal(admin(n, 9, 0, 7, 0x00070007, &v), 0);
    assert_int_equal(v, 0x000f000f);
}

static void events(void **state)
{
    struct nvme_rig *n = *state;
    uint32_t v;

    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(admin(n, 0x0c, 0, 0, 0, NULL), -1);
    assert_int_equal(admin(n, 0x0c, 0, 0, 0, NULL), 0x4105);
    set(n, 0x1000 + 8 * 5, 1); /* the doorbell of no queue */
    assert_int_equal(answered(n, 0, &v), 0);
    assert_int_equal(v, 0x010000);
    set(n, 0x1000, 99);
    assert_int_equal(answered(n, 0, &v), -1); /* after the log was read */
    assert_int_equal(admin(n, 2, DATA, 15 << 16 | 1, 0, NULL), 0);
    assert_int_equal(answered(n, 0, &v), 0);
    assert_int_equal(v, 0x010100);
}

static void reset_under_way(void **state)
{
    struct nvme_rig *n = *state;

    make_queues(n);
    memset(n->r->b->env.ram + DATA, 0xee, 512);
    put(n, 1, 2, DATA, 0, 0, 0, 0);
    set(n, CC, 0);
    assert_int_equal(reg(n, CSTS), 1); /* not yet */
    answer_all(n->r->disk);
    assert_int_equal(reg(n, CSTS), 0);
    assert_int_equal(n->r->b->env.ram[DATA], 0xee);
    enable(n);
    assert_int_equal(admin(n, 6, DATA, 1, 0, NULL), 0);
}

static void shutdown(void **state)
{
    struct nvme_rig *n = *state;

    set(n, CC, CC_ON | 1 << 14);
    assert_int_equal(reg(n, CSTS) >> 2 & 3, 1);
    answer_all(n->r->disk);
    assert_int_equal(reg(n, CSTS) >> 2 & 3, 2);
    assert_int_equal(n->r->disk->by_op[BLK_FLUSH], 1);
}

static void snapshot(void **state)
{
    struct nvme_rig *n = *state;

    make_queues(n);
    n->r->dev->cls->pause(n->r->dev);
    put(n, 1, 2, DATA, 0, 3, 0, 0);
    assert_int_equal(n->r->disk->n, 0);
    rig_reload(n->r);
    answer_all(n->r->disk);
    assert_int_equal(answered(n, 1, NULL), 0);
    assert_memory_equal(n->r->b->env.ram + DATA, n->r->disk->bytes + 3 * 512,
                        512);
}

static void messages(void **state)
{
    struct nvme_rig *n = *state;
    struct board *b = n->r->b;
    uint32_t cap = conf_read(b, NVME_AT, 0x34, 1);

    while (conf_read(b, NVME_AT, cap, 1) != 0x11)
        cap = conf_read(b, NVME_AT, cap + 1, 1);
    conf_write(b, NVME_AT, 0x20, BAR + 0x10000, 4);
    conf_write(b, NVME_AT, cap + 2, 0x8000, 2);
    for (unsigned i = 0; i < 2; i++) {
        mem_write(b, BAR + 0x10000 + 16 * i, 0xfee00000, 4);
        mem_write(b, BAR + 0x10008 + 16 * i, 0x40 + i, 4);
        mem_write(b, BAR + 0x1000c + 16 * i, 0, 4);
    }
    make_queues(n);
    assert_int_equal(b->nmsi, 2);
    assert_int_equal(b->msi[0].data, 0x40);
    assert_false(pin(n));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(registers),       TEST(identify), TEST(names),    TEST(pages),
        TEST(chains),          TEST(errors),   TEST(queues),   TEST(full),
        TEST(discard),         TEST(cache),    TEST(events),   TEST(shutdown),
        TEST(reset_under_way), TEST(snapshot), TEST(messages),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
