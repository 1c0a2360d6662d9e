/* The block device against a disk that answers when the test says so. */
#include "held_disk.h"
#include "vdriver.h"

enum { DEVFN = PCI_DEVFN(1, 0) };
enum { HEADERS = 0x300000, STATUS = 0x310000, DATA = 0x400000 };
enum { IN = 0, OUT = 1, FLUSH = 4, GET_ID = 8, DISCARD = 11, ZEROES = 13 };
enum { OK = 0, IOERR = 1, UNSUPP = 2, UNTOUCHED = 0x77 };
#define V1        (1ull << 32)
#define F_FLUSH   (1ull << 9)
#define F_WCE     (1ull << 11)
#define F_DISCARD (1ull << 13)
#define F_ZEROES  (1ull << 14)
#define F_DEFAULT (V1 | F_FLUSH | F_WCE | F_DISCARD | F_ZEROES | 1 << 28)

extern const struct dev_class i440fx_class, virtio_blk_class;

struct rig {
    struct board *b;
    struct dev *host, *dev;
    struct disk *disk;
    struct host_mutex lock;
    struct vdriver d;
    struct ring *r;
};

static void bring_up(struct rig *r, uint64_t features, unsigned size)
{
    r->d = vd_find(r->b, DEVFN);
    assert_true(vd_negotiate(&r->d, features));
    r->r = vd_queue(&r->d, 0, size);
    vd_go(&r->d);
}

static void make(struct rig *r, void (*tweak)(struct rig *r, void *dev))
{
    struct dev *dev = board_make(r->b, &virtio_blk_class, "disk0");

    *(struct blk **)board_prop(dev, "disk") = &r->disk->blk;
    if (tweak)
        tweak(r, dev);
    r->dev = board_attach(r->b, dev);
}

static int setup(void **state)
{
    struct rig *r = calloc(1, sizeof *r);

    r->b = board_new();
    host_mutex_init(&r->lock);
    r->b->env.loop = loop_create(&r->lock);
    r->host = board_add(r->b, &i440fx_class, "host");
    r->disk = disk_new(DISK);
    make(r, NULL);
    bring_up(r, F_DEFAULT, 64);
    *state = r;
    return 0;
}

static int teardown(void **state)
{
    struct rig *r = *state;

    while (r->disk->n)
        answer(r->disk, 0, 0);
    board_remove(r->dev);
    board_remove(r->host);
    loop_destroy(r->b->env.loop);
    host_mutex_destroy(&r->lock);
    board_free(r->b);
    free(r->disk);
    free(r);
    return 0;
}

static void remake(struct rig *r, void (*tweak)(struct rig *r, void *dev),
                   uint64_t features)
{
    board_remove(r->dev);
    make(r, tweak);
    bring_up(r, features, 64);
}

/* Offers request `slot` (three descriptors of its own); does not notify. */
static void offer(struct rig *r, unsigned slot, uint32_t type, uint64_t sector,
                  uint64_t data, uint32_t len)
{
    uint8_t *header = r->b->env.ram + HEADERS + 16 * slot;
    bool in = type == IN || type == GET_ID;
    unsigned i = 3 * slot;

    store_le32(header, type);
    store_le32(header + 4, 0);
    store_le64(header + 8, sector);
    r->b->env.ram[STATUS + slot] = UNTOUCHED;
    ring_desc(r->r, i, HEADERS + 16 * slot, 16, D_NEXT,
              (uint16_t)(len ? i + 1 : i + 2));
    ring_desc(r->r, i + 1, data, len, in ? D_NEXT | D_WRITE : D_NEXT,
              (uint16_t)(i + 2));
    ring_desc(r->r, i + 2, STATUS + slot, 1, D_WRITE, 0);
    ring_offer(r->r, (uint16_t)i);
}

static uint8_t status(struct rig *r, unsigned slot)
{
    return r->b->env.ram[STATUS + slot];
}

/* One request from start to end; everything the disk is asked succeeds. */
static uint8_t request(struct rig *r, uint32_t type, uint64_t sector,
                       uint64_t data, uint32_t len)
{
    uint32_t head, written;

    offer(r, 0, type, sector, data, len);
    vd_kick(&r->d, 0);
    while (r->disk->n)
        answer(r->disk, 0, 0);
    assert_true(ring_take(r->r, &head, &written));
    assert_int_equal(head, 0);
    return status(r, 0);
}

static uint64_t config(struct rig *r, unsigned off, unsigned bytes)
{
    return mem_read(r->b, r->d.device + off, bytes);
}

static void identity(void **state)
{
    struct rig *r = *state;

    assert_int_equal(conf_read(r->b, DEVFN, 0, 4), 0x10421af4);
    assert_int_equal(vd_offered(&r->d) & 0xffffff, 0x6e44);
    assert_int_equal(config(r, 0, 8), DISK / 512);
    assert_int_equal(config(r, 12, 4), 126);
    assert_int_equal(config(r, 20, 4), 512);
    assert_int_equal(config(r, 24, 1), 3); /* 4 KB physical blocks */
    assert_int_equal(config(r, 32, 1), 1);
    assert_int_equal(config(r, 34, 2), 1);
    assert_true(config(r, 40, 4) > 1 && config(r, 52, 4) > 1);
}

static void reads_and_writes(void **state)
{
    struct rig *r = *state;
    uint8_t *ram = r->b->env.ram;

    assert_int_equal(request(r, IN, 3, DATA, 1024), OK);
    assert_memory_equal(ram + DATA, r->disk->bytes + 3 * 512, 1024);
    memset(ram + DATA, 0xc3, 512);
    assert_int_equal(request(r, OUT, DISK / 512 - 1, DATA, 512), OK);
    assert_memory_equal(r->disk->bytes + DISK - 512, ram + DATA, 512);
    assert_int_equal(request(r, FLUSH, 0, 0, 0), OK);
    assert_int_equal(r->disk->by_op[BLK_FLUSH], 1);
    assert_int_equal(vd_isr(&r->d), 1);
}

static void get_id(void **state)
{
    struct rig *r = *state;

    memset(r->b->env.ram + DATA, 0xee, 32);
    assert_int_equal(request(r, GET_ID, 0, DATA, 20), OK);
    assert_memory_equal(r->b->env.ram + DATA, "LODGE-0001\0\0\0\0\0\0\0\0\0\0",
                        20);
    assert_int_equal(r->b->env.ram[DATA + 20], 0xee);
    assert_int_equal(request(r, GET_ID, 0, DATA, 4), OK);
}

/* Header, data and status may be cut in any way (§2.7.4). */
static void any_framing(void **state)
{
    struct rig *r = *state;
    uint8_t *ram = r->b->env.ram;
    uint32_t head, len;

    /* A write: header and data in one descriptor, the last byte apart. */
    store_le32(ram + DATA, OUT);
    store_le64(ram + DATA + 8, 8);
    memset(ram + DATA + 16, 0x5a, 512);
    ring_desc(r->r, 0, DATA, 5, D_NEXT, 1);
    ring_desc(r->r, 1, DATA + 5, 522, D_NEXT, 2);
    ring_desc(r->r, 2, DATA + 527, 1, D_NEXT, 3);
    ring_desc(r->r, 3, STATUS, 1, D_WRITE, 0);
    ring_offer(r->r, 0);
    vd_kick(&r->d, 0);
    answer(r->disk, 0, 0);
    assert_int_equal(ram[STATUS], OK);
    assert_memory_equal(r->disk->bytes + 8 * 512, ram + DATA + 16, 512);

    /* A read: data and status in one. */
    store_le32(ram + DATA, IN);
    store_le64(ram + DATA + 8, 1);
    ring_desc(r->r, 0, DATA, 16, D_NEXT, 1);
    ring_desc(r->r, 1, DATA + 0x1000, 3, D_NEXT | D_WRITE, 2);
    ring_desc(r->r, 2, DATA + 0x1003, 510, D_WRITE, 0);
    ram[DATA + 0x1000 + 512] = UNTOUCHED;
    ring_offer(r->r, 0);
    vd_kick(&r->d, 0);
    answer(r->disk, 0, 0);
    assert_memory_equal(ram + DATA + 0x1000, r->disk->bytes + 512, 512);
    assert_int_equal(ram[DATA + 0x1000 + 512], OK);
    assert_true(ring_take(r->r, &head, &len));
    assert_int_equal(len, 1);
    assert_true(ring_take(r->r, &head, &len));
    assert_int_equal(len, 513);
}

static void out_of_order(void **state)
{
    struct rig *r = *state;
    uint32_t head, len;

    for (unsigned i = 0; i < 4; i++)
        offer(r, i, IN, i, DATA + 0x1000 * i, 512);
    vd_kick(&r->d, 0);
    assert_int_equal(r->disk->n, 4);
    assert_int_equal(r->dev->inflight, 4);
    assert_false(ring_take(r->r, &head, &len));
    answer(r->disk, 2, 0);
    answer(r->disk, 0, -LE_IO);
    answer(r->disk, 1, 0);
    answer(r->disk, 0, -LE_UNSUPPORTED);
    static const unsigned order[] = {2, 0, 3, 1};
    static const uint8_t want[] = {IOERR, UNSUPP, OK, OK};
    for (unsigned i = 0; i < 4; i++) {
        assert_true(ring_take(r->r, &head, &len));
        assert_int_equal(head, 3 * order[i]);
        assert_int_equal(len, want[order[i]] == OK ? 513 : 0);
        assert_int_equal(status(r, i), want[i]);
    }
    assert_int_equal(r->dev->inflight, 0);
}

static void refused(void **state)
{
    struct rig *r = *state;
    static const struct {
        uint32_t type;
        uint64_t sector;
        uint32_t len;
        uint8_t status;
    } bad[] = {
        {IN, DISK / 512, 512, IOERR},
        {IN, DISK / 512 - 1, 1024, IOERR},
        {OUT, DISK / 512, 512, IOERR},
        {IN, 1ull << 55, 512, IOERR}, /* times 512 overflows */
        {IN, ~0ull, 512, IOERR},
        {IN, 0, 511, IOERR},
        {OUT, 0, 513, IOERR},
        {2, 0, 512, UNSUPP},
        {0xffffffff, 0, 512, UNSUPP},
        {10, 0, 0, UNSUPP},
    };

    for (unsigned i = 0; i < ARRAY_LEN(bad); i++)
        assert_int_equal(
            request(r, bad[i].type, bad[i].sector, DATA, bad[i].len),
            bad[i].status);
    assert_int_equal(r->disk->submitted, 0);
    assert_int_equal(request(r, IN, 0, 0, 0), OK); /* nothing to do */
    assert_int_equal(r->disk->submitted, 0);
}

static void make_readonly(struct rig *r, void *dev)
{
    (void)r;
    *(bool *)board_prop(dev, "readonly") = true;
}

static void read_only(void **state)
{
    struct rig *r = *state;

    remake(r, make_readonly, V1 | F_FLUSH);
    assert_int_equal(vd_offered(&r->d) & 0xffffff, 0x0e64);
    assert_int_equal(request(r, OUT, 0, DATA, 512), IOERR);
    assert_int_equal(request(r, DISCARD, 0, DATA, 16), IOERR);
    assert_int_equal(request(r, ZEROES, 0, DATA, 16), IOERR);
    assert_int_equal(r->disk->submitted, 0);
    assert_int_equal(request(r, IN, 0, DATA, 512), OK);
}

static void put_range(struct rig *r, unsigned i, uint64_t sector,
                      uint32_t sectors, uint32_t flags)
{
    uint8_t *p = r->b->env.ram + DATA + 16 * i;

    store_le64(p, sector);
    store_le32(p + 8, sectors);
    store_le32(p + 12, flags);
}

static void ranges(void **state)
{
    struct rig *r = *state;

    put_range(r, 0, 4, 2, 0);
    put_range(r, 1, 100, 0, 0); /* empty */
    put_range(r, 2, 10, 1, 0);
    assert_int_equal(request(r, ZEROES, 0, DATA, 48), OK);
    assert_int_equal(r->disk->by_op[BLK_ZERO], 2);
    assert_int_equal(r->disk->bytes[4 * 512], 0);
    assert_int_equal(r->disk->bytes[6 * 512 - 1], 0);
    assert_int_equal(r->disk->bytes[6 * 512], 6);
    assert_int_equal(r->disk->last_off, 10 * 512);
    put_range(r, 0, 4, 2, 1);
    assert_int_equal(request(r, ZEROES, 0, DATA, 16), OK); /* may unmap */
    assert_int_equal(request(r, DISCARD, 0, DATA, 16), UNSUPP);
    put_range(r, 0, 4, 2, 0);
    assert_int_equal(request(r, DISCARD, 0, DATA, 16), OK);
    assert_int_equal(r->disk->by_op[BLK_DISCARD], 1);
    put_range(r, 0, 0, 0, 0);
    assert_int_equal(request(r, DISCARD, 0, DATA, 16), OK);
    assert_int_equal(r->disk->by_op[BLK_DISCARD], 1);
}

static void bad_ranges(void **state)
{
    struct rig *r = *state;

    put_range(r, 0, 0, 1, 0);
    assert_int_equal(request(r, DISCARD, 0, DATA, 15), IOERR);
    assert_int_equal(request(r, DISCARD, 0, 0, 0), IOERR);
    assert_int_equal(request(r, DISCARD, 0, DATA, 17 * 16), IOERR);
    put_range(r, 1, DISK / 512, 1, 0);
    assert_int_equal(request(r, DISCARD, 0, DATA, 32), IOERR);
    put_range(r, 1, 0, 0xffffffff, 0);
    assert_int_equal(request(r, ZEROES, 0, DATA, 32), IOERR);
    put_range(r, 1, 0, 1, 2);
    assert_int_equal(request(r, ZEROES, 0, DATA, 32), UNSUPP);
    put_range(r, 1, 1ull << 55, 1, 0);
    assert_int_equal(request(r, ZEROES, 0, DATA, 32), IOERR);
    assert_int_equal(r->disk->submitted, 0);
}

/* The second of two ranges fails. */
static void range_error(void **state)
{
    struct rig *r = *state;

    put_range(r, 0, 0, 1, 0);
    put_range(r, 1, 1, 1, 0);
    put_range(r, 2, 2, 1, 0);
    offer(r, 0, ZEROES, 0, DATA, 48);
    vd_kick(&r->d, 0);
    answer(r->disk, 0, 0);
    assert_int_equal(status(r, 0), UNTOUCHED);
    answer(r->disk, 0, -LE_IO);
    assert_int_equal(status(r, 0), IOERR);
    assert_int_equal(r->disk->n, 0);
    assert_int_equal(ring_used_idx(r->r), 1);
}

/* Without a write cache each write is followed by a flush of ours. */
static void write_through(void **state)
{
    struct rig *r = *state;

    mem_write(r->b, r->d.device + 32, 0, 1);
    assert_int_equal(config(r, 32, 1), 0);
    offer(r, 0, OUT, 0, DATA, 512);
    vd_kick(&r->d, 0);
    answer(r->disk, 0, 0);
    assert_int_equal(status(r, 0), UNTOUCHED);
    assert_int_equal(r->disk->held[0]->op, BLK_FLUSH);
    answer(r->disk, 0, -LE_IO);
    assert_int_equal(status(r, 0), IOERR);
    r->r->seen = 1;
    assert_int_equal(request(r, IN, 0, DATA, 512), OK);
    assert_int_equal(r->disk->by_op[BLK_FLUSH], 1);
    mem_write(r->b, r->d.device + 32, 0xff, 1);
    assert_int_equal(config(r, 32, 1), 1);
    r->disk->by_op[BLK_FLUSH] = 0;
    offer(r, 1, OUT, 0, DATA, 512);
    vd_kick(&r->d, 0);
    answer(r->disk, 0, 0);
    assert_int_equal(status(r, 1), OK);
    assert_int_equal(r->disk->by_op[BLK_FLUSH], 0);
}

/* A driver that knows no flush relies on completed writes being durable. */
static void no_flush_negotiated(void **state)
{
    struct rig *r = *state;

    bring_up(r, V1, 64);
    assert_int_equal(request(r, OUT, 0, DATA, 512), OK);
    assert_int_equal(r->disk->by_op[BLK_FLUSH], 1);
    bring_up(r, V1 | F_FLUSH, 64);
    assert_int_equal(request(r, OUT, 0, DATA, 512), OK);
    assert_int_equal(r->disk->by_op[BLK_FLUSH], 1);
}

static void headless(void **state)
{
    struct rig *r = *state;

    ring_desc(r->r, 0, HEADERS, 15, D_NEXT, 1);
    ring_desc(r->r, 1, STATUS, 1, D_WRITE, 0);
    ring_offer(r->r, 0);
    vd_kick(&r->d, 0);
    assert_true(vc_read(&r->d, V_STATUS, 1) & S_NEEDS_RESET);
    assert_int_equal(r->dev->inflight, 0);

    bring_up(r, F_DEFAULT, 64);
    ring_desc(r->r, 0, HEADERS, 16, 0, 0); /* nowhere to put a status */
    ring_offer(r->r, 0);
    vd_kick(&r->d, 0);
    assert_true(vc_read(&r->d, V_STATUS, 1) & S_NEEDS_RESET);
    assert_int_equal(ring_used_idx(r->r), 0);

    bring_up(r, F_DEFAULT, 64);
    assert_int_equal(request(r, IN, 0, DATA, 512), OK);
}

static void reset_in_flight(void **state)
{
    struct rig *r = *state;

    offer(r, 0, IN, 0, DATA, 512);
    offer(r, 1, OUT, 1, DATA, 512);
    vd_kick(&r->d, 0);
    vc_write(&r->d, V_STATUS, 0, 1);
    assert_int_not_equal(vc_read(&r->d, V_STATUS, 1), 0);
    answer(r->disk, 1, 0);
    assert_int_not_equal(vc_read(&r->d, V_STATUS, 1), 0);
    answer(r->disk, 0, 0);
    assert_int_equal(vc_read(&r->d, V_STATUS, 1), 0);
    assert_int_equal(status(r, 0), UNTOUCHED);
    assert_int_equal(ring_used_idx(r->r), 0);
    bring_up(r, F_DEFAULT, 64);
    assert_int_equal(request(r, IN, 0, DATA, 512), OK);
}

static void hard_reset_in_flight(void **state)
{
    struct rig *r = *state;

    offer(r, 0, OUT, 0, DATA, 512);
    vd_kick(&r->d, 0);
    r->dev->cls->reset(r->dev, true);
    while (r->disk->n)
        answer(r->disk, 0, 0);
    assert_int_equal(status(r, 0), UNTOUCHED);
    assert_int_equal(r->dev->inflight, 0);
    bring_up(r, F_DEFAULT, 64);
    assert_int_equal(request(r, IN, 0, DATA, 512), OK);
}

static void pause_drains(void **state)
{
    struct rig *r = *state;

    offer(r, 0, IN, 0, DATA, 512);
    vd_kick(&r->d, 0);
    r->dev->cls->pause(r->dev);
    offer(r, 1, IN, 1, DATA, 512);
    vd_kick(&r->d, 0);
    assert_int_equal(r->disk->n, 1);
    answer(r->disk, 0, 0);
    assert_int_equal(status(r, 0), OK);
    assert_int_equal(r->dev->inflight, 0);
    r->dev->cls->resume(r->dev);
    assert_int_equal(r->disk->n, 1);
    answer(r->disk, 0, 0);
    assert_int_equal(status(r, 1), OK);
}

static void make_small(struct rig *r, void *dev)
{
    (void)r;
    *(uint32_t *)board_prop(dev, "queue-size") = 16;
}

/*
 * The same descriptors offered again while they are in use, more than the ring
 * holds: what we keep stays bounded, and all come back in the end.
 */
static void flood(void **state)
{
    struct rig *r = *state;
    unsigned offered = 0;

    remake(r, make_small, F_DEFAULT & ~(1ull << 28));
    bring_up(r, F_DEFAULT, 16);
    offer(r, 0, IN, 0, DATA, 512);
    for (unsigned i = 1; i < 10; i++)
        ring_offer(r->r, 0);
    vd_kick(&r->d, 0);
    assert_int_equal(r->disk->n, 10);
    for (unsigned i = 0; i < 15; i++)
        ring_offer(r->r, 0);
    vd_kick(&r->d, 0);
    assert_int_equal(r->disk->n, 16);
    for (unsigned i = 0; i < 7; i++)
        ring_offer(r->r, 0);
    assert_int_equal(loop_start(r->b->env.loop), 0);
    while (offered < 32) {
        host_mutex_lock(&r->lock);
        assert_true(r->disk->n <= 16);
        while (r->disk->n)
            answer(r->disk, 0, 0);
        offered = ring_used_idx(r->r);
        host_mutex_unlock(&r->lock);
    }
    assert_int_equal(r->disk->submitted, 32);
}

static void make_huge(struct rig *r, void *dev)
{
    (void)dev;
    r->disk->blk.size = 1ull << 42;
}

/* A range may not ask for more than the configuration says. */
static void range_limit(void **state)
{
    struct rig *r = *state;

    remake(r, make_huge, F_DEFAULT);
    uint32_t most = (uint32_t)config(r, 36, 4);
    assert_int_equal(config(r, 48, 4), most);
    put_range(r, 0, 0, most + 1, 0);
    assert_int_equal(request(r, DISCARD, 0, DATA, 16), IOERR);
    assert_int_equal(request(r, ZEROES, 0, DATA, 16), IOERR);
    assert_int_equal(r->disk->submitted, 0);
}

static void make_multiqueue(struct rig *r, void *dev)
{
    (void)r;
    *(uint32_t *)board_prop(dev, "queues") = 3;
    *(const char **)board_prop(dev, "serial") = "0123456789012345678901234";
}

static void multiqueue(void **state)
{
    struct rig *r = *state;
    struct ring *zero;

    board_remove(r->dev);
    make(r, make_multiqueue);
    r->d = vd_find(r->b, DEVFN);
    assert_true(vd_negotiate(&r->d, F_DEFAULT | 1 << 12));
    assert_int_equal(config(r, 34, 2), 3);
    zero = vd_queue(&r->d, 0, 64);
    r->r = vd_queue(&r->d, 2, 64);
    vd_go(&r->d);
    offer(r, 0, IN, 5, DATA, 512);
    vd_kick(&r->d, 2);
    answer(r->disk, 0, 0);
    assert_int_equal(ring_used_idx(r->r), 1);
    assert_int_equal(ring_used_idx(zero), 0);
    offer(r, 0, GET_ID, 0, DATA, 20);
    vd_kick(&r->d, 2);
    assert_memory_equal(r->b->env.ram + DATA, "01234567890123456789", 20);
}

static void make_4k(struct rig *r, void *dev)
{
    (void)dev;
    r->disk->blk.sector_size = 4096;
    r->disk->blk.can_discard = r->disk->blk.can_zero = false;
}

static void large_sectors(void **state)
{
    struct rig *r = *state;

    remake(r, make_4k, V1 | F_FLUSH);
    assert_int_equal(config(r, 20, 4), 4096);
    assert_int_equal(config(r, 24, 1), 0);
    assert_int_equal(vd_offered(&r->d) & (F_DISCARD | F_ZEROES), 0);
    assert_int_equal(request(r, IN, 8, DATA, 4096), OK);
    assert_memory_equal(r->b->env.ram + DATA, r->disk->bytes + 4096, 4096);
    assert_int_equal(request(r, IN, 1, DATA, 4096), IOERR);
    assert_int_equal(request(r, IN, 0, DATA, 512), IOERR);
    put_range(r, 0, 0, 8, 0);
    assert_int_equal(request(r, DISCARD, 0, DATA, 16), UNSUPP);
}

static void bad_properties(void **state)
{
    struct rig *r = *state;
    struct err e = {0};
    struct dev *dev = board_make(r->b, &virtio_blk_class, "bad");

    *(struct blk **)board_prop(dev, "disk") = &r->disk->blk;
    *(uint32_t *)board_prop(dev, "queue-size") = 100;
    assert_int_equal(virtio_blk_class.attach(dev, &r->b->env, &e), -LE_USAGE);
    *(uint32_t *)board_prop(dev, "queue-size") = 64;
    r->disk->blk.size = 1000;
    assert_int_equal(virtio_blk_class.attach(dev, &r->b->env, &e), -LE_FORMAT);
    r->disk->blk.size = DISK;
    *(uint32_t *)board_prop(dev, "slot") = 1;
    assert_int_equal(virtio_blk_class.attach(dev, &r->b->env, &e), -LE_BUSY);
    free(dev);
}

/* The image may be another one than when the snapshot was made. */
static void saved(void **state)
{
    struct rig *r = *state;
    const struct dev_class *cls = r->dev->cls;
    size_t n = state_size(cls->state, 1);
    uint8_t *bytes = malloc(n);
    struct err e = {0};

    mem_write(r->b, r->d.device + 32, 0, 1);
    state_save(cls->state, 1, r->dev, bytes);
    cls->reset(r->dev, true);
    r->disk->blk.size = DISK / 2;
    assert_int_equal(state_load(cls->state, 1, r->dev, bytes, n, &e), 0);
    assert_int_equal(cls->loaded(r->dev, 1), 0);
    cls->resume(r->dev);
    assert_int_equal(config(r, 0, 8), DISK / 1024);
    assert_int_equal(config(r, 32, 1), 0);
    assert_int_equal(request(r, IN, 0, DATA, 512), OK);
    assert_int_equal(request(r, IN, DISK / 1024, DATA, 512), IOERR);
    free(bytes);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(identity),
        T(reads_and_writes),
        T(get_id),
        T(any_framing),
        T(out_of_order),
        T(refused),
        T(read_only),
        T(ranges),
        T(bad_ranges),
        T(range_error),
        T(write_through),
        T(no_flush_negotiated),
        T(headless),
        T(reset_in_flight),
        T(hard_reset_in_flight),
        T(pause_drains),
        T(flood),
        T(range_limit),
        T(multiqueue),
        T(large_sectors),
        T(bad_properties),
        T(saved),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
