/*
 * Block device: virtio 1.2 §5.2, over lodge/block.h.
 *
 * Requests come from a pool as large as the queues, so a driver cannot make us
 * keep more than that; what finds no place waits in the ring. A request that
 * reads or writes lends its RAM to the image, as spans, until it is done. No
 * layout of the buffers is assumed (§2.7.4): header and status may share
 * descriptors with the data.
 */
#include "base/bits.h"
#include "base/checked.h"
#include "base/endian.h"
#include "hw/virtio/virtio_pci.h"

#define F_SEG_MAX      BIT64(2)
#define F_RO           BIT64(5)
#define F_BLK_SIZE     BIT64(6)
#define F_FLUSH        BIT64(9)
#define F_TOPOLOGY     BIT64(10)
#define F_CONFIG_WCE   BIT64(11)
#define F_MQ           BIT64(12)
#define F_DISCARD      BIT64(13)
#define F_WRITE_ZEROES BIT64(14)

enum { /* configuration, §5.2.4 */
       CONFIG_CAPACITY = 0,
       CONFIG_SEG_MAX = 12,
       CONFIG_BLK_SIZE = 20,
       CONFIG_PHYSICAL_EXP = 24,
       CONFIG_MIN_IO = 26,
       CONFIG_OPT_IO = 28,
       CONFIG_WRITEBACK = 32,
       CONFIG_NUM_QUEUES = 34,
       CONFIG_DISCARD_SECTORS = 36,
       CONFIG_DISCARD_SEG = 40,
       CONFIG_DISCARD_ALIGN = 44,
       CONFIG_ZEROES_SECTORS = 48,
       CONFIG_ZEROES_SEG = 52,
       CONFIG_ZEROES_UNMAP = 56,
       CONFIG_BYTES = 60,
};

enum {
    T_IN = 0,
    T_OUT = 1,
    T_FLUSH = 4,
    T_GET_ID = 8,
    T_DISCARD = 11,
    T_WRITE_ZEROES = 13
};
enum { S_OK = 0, S_IOERR = 1, S_UNSUPP = 2, S_BUSY = 0xff };

enum {
    SECTOR = 512,
    HEADER_BYTES = 16,
    ID_BYTES = 20,
    SEG_MAX = 126,
    SPANS = SEG_MAX + 8, /* header, status, and RAM in pieces */
    RANGES = 16,         /* of one discard or write zeroes request */
    RANGE_BYTES = 16,
    RANGE_UNMAP = 1,
    RANGE_SECTORS = 1 << 22, /* 2 GB at once */
};

struct range {
    uint64_t sector;
    uint32_t sectors, flags;
};

struct blk_request {
    struct blk_req r;
    struct list link; /* in virtio_blk.idle */
    struct virtio_blk *b;
    uint32_t epoch;
    uint8_t queue;
    uint32_t type;
    uint8_t status;
    uint8_t *status_p; /* the driver's last byte */
    struct virtq_buf buf;
    struct span span[SPANS];
    gpa_t addr[SPANS];
    struct span data[SPANS]; /* span without header and status */
    unsigned ndata;
    uint64_t data_bytes;
    struct range range[RANGES];
    unsigned nranges, next_range;
};

struct virtio_blk {
    struct dev dev;
    struct virtio_pci t;
    struct virtio_dev v;
    struct blk *blk;
    const char *serial;
    uint32_t queues, queue_size;
    bool readonly;
    struct blk_request *pool;
    struct list idle;
    uint8_t starved; /* queues that found the pool empty */
};

/* --- the driver's buffers --- */

/*
 * What of spans [from, to) lies between byte `skip` and the last `trim` bytes
 * goes to q->data.
 */
static void take_data(struct blk_request *q, unsigned from, unsigned to,
                      uint64_t skip, uint64_t bytes)
{
    q->data_bytes = bytes;
    q->ndata = spans_slice(q->span + from, to - from, skip, bytes, q->data);
}

static void take_out_data(struct blk_request *q)
{
    take_data(q, 0, q->buf.nout, HEADER_BYTES, q->buf.out_bytes - HEADER_BYTES);
}

static void take_in_data(struct blk_request *q)
{
    take_data(q, q->buf.nout, q->buf.nout + q->buf.nin, 0, q->buf.in_bytes - 1);
}

/* --- completion --- */

/* What of the in-buffers we can vouch for: all of them, or nothing but the
   status where that is alone. */
static uint32_t bytes_written(const struct blk_request *q)
{
    if (q->status == S_OK || q->buf.in_bytes == 1)
        return (uint32_t)q->buf.in_bytes;
    return 0;
}

static void finish(struct blk_request *q, uint8_t status)
{
    struct virtio_blk *b = q->b;
    unsigned queue = q->queue;

    q->status = status;
    if (q->status_p && virtio_wanted(&b->v, queue, q->epoch)) {
        *q->status_p = status;
        virtio_push(&b->v, queue, &q->buf, bytes_written(q));
    }
    list_append(&b->idle, &q->link);
    virtio_done(&b->v, queue);
}

static bool write_through(const struct virtio_blk *b)
{
    if (virtio_has(&b->v, F_CONFIG_WCE))
        return !b->v.config[CONFIG_WRITEBACK];
    return !virtio_has(&b->v, F_FLUSH);
}

static void submit(struct blk_request *q, enum blk_op op, uint64_t off,
                   uint64_t len)
{
    bool data = op == BLK_READ || op == BLK_WRITE;

    q->r.op = op;
    q->r.off = off;
    q->r.len = len;
    q->r.sg = data ? q->data : NULL;
    q->r.nsg = data ? q->ndata : 0;
    blk_submit(q->b->blk, &q->r);
}

/* The next range of a discard or write zeroes request, if there is one. */
static bool submit_range(struct blk_request *q)
{
    while (q->next_range < q->nranges && !q->range[q->next_range].sectors)
        q->next_range++;
    if (q->next_range == q->nranges)
        return false;
    const struct range *g = &q->range[q->next_range++];
    bool discard = q->type == T_DISCARD;
    submit(q, discard ? BLK_DISCARD : BLK_ZERO, g->sector * SECTOR,
           (uint64_t)g->sectors * SECTOR);
    return true;
}

static uint8_t status_of(int error)
{
    if (!error)
        return S_OK;
    return error == -LE_UNSUPPORTED ? S_UNSUPP : S_IOERR;
}

/* Any change of the medium is made durable if there is no write cache. */
static bool wants_flush(const struct blk_request *q)
{
    return q->r.op != BLK_READ && q->r.op != BLK_FLUSH && write_through(q->b);
}

static void request_done(struct blk_req *r, int error)
{
    struct blk_request *q = r->ctx;
    struct virtio_blk *b = q->b;

    if (!error && submit_range(q))
        return;
    if (!error && wants_flush(q)) {
        submit(q, BLK_FLUSH, 0, 0);
        return;
    }
    finish(q, status_of(error));
    for (; b->starved; b->starved &= (uint8_t)(b->starved - 1))
        virtio_again(&b->v, (unsigned)__builtin_ctz(b->starved));
}

/* --- requests: each returns a status, or S_BUSY while it goes on --- */

static bool range_valid(const struct virtio_blk *b, uint64_t sector,
                        uint64_t bytes)
{
    uint64_t off;

    return mul_ok(sector, SECTOR, &off) && range_ok(off, bytes, b->blk->size) &&
           off % b->blk->sector_size == 0 && bytes % b->blk->sector_size == 0;
}

static uint8_t do_transfer(struct blk_request *q, uint64_t sector)
{
    struct virtio_blk *b = q->b;
    bool out = q->type == T_OUT;

    if (out && b->readonly)
        return S_IOERR;
    if (out)
        take_out_data(q);
    else
        take_in_data(q);
    if (!range_valid(b, sector, q->data_bytes))
        return S_IOERR;
    if (!q->data_bytes)
        return S_OK;
    submit(q, out ? BLK_WRITE : BLK_READ, sector * SECTOR, q->data_bytes);
    return S_BUSY;
}

static uint8_t do_flush(struct blk_request *q, uint64_t sector)
{
    (void)sector;
    submit(q, BLK_FLUSH, 0, 0);
    return S_BUSY;
}

static uint8_t do_get_id(struct blk_request *q, uint64_t sector)
{
    struct virtio_blk *b = q->b;
    const char *id = b->serial ? b->serial : b->blk->id;
    char text[ID_BYTES] = {0};

    (void)sector;
    take_in_data(q);
    memcpy(text, id, MIN(strlen(id), sizeof text));
    spans_write(q->data, q->ndata, 0, text, sizeof text);
    return S_OK;
}

/* §5.2.6.2: what a range may ask for. */
static uint8_t check_range(const struct blk_request *q, const struct range *g)
{
    uint32_t allowed = q->type == T_WRITE_ZEROES ? RANGE_UNMAP : 0;

    if (g->flags & ~allowed)
        return S_UNSUPP;
    if (g->sectors > RANGE_SECTORS ||
        !range_valid(q->b, g->sector, (uint64_t)g->sectors * SECTOR))
        return S_IOERR;
    return S_OK;
}

static uint8_t do_ranges(struct blk_request *q, uint64_t sector)
{
    uint64_t feature = q->type == T_DISCARD ? F_DISCARD : F_WRITE_ZEROES;

    (void)sector;
    if (!(q->b->v.offered & feature))
        return q->b->readonly ? S_IOERR : S_UNSUPP;
    take_out_data(q);
    if (!q->data_bytes || q->data_bytes % RANGE_BYTES ||
        q->data_bytes / RANGE_BYTES > RANGES)
        return S_IOERR;
    q->nranges = (unsigned)(q->data_bytes / RANGE_BYTES);
    for (unsigned i = 0; i < q->nranges; i++) {
        uint8_t raw[RANGE_BYTES], status;
        spans_read(q->data, q->ndata, i * RANGE_BYTES, raw, sizeof raw);
        q->range[i] = (struct range){load_le64(raw), load_le32(raw + 8),
                                     load_le32(raw + 12)};
        status = check_range(q, &q->range[i]);
        if (status != S_OK)
            return status;
    }
    return submit_range(q) ? S_BUSY : S_OK;
}

static const struct {
    uint32_t type;
    uint8_t (*run)(struct blk_request *q, uint64_t sector);
} request_types[] = {
    {T_IN, do_transfer},   {T_OUT, do_transfer},   {T_FLUSH, do_flush},
    {T_GET_ID, do_get_id}, {T_DISCARD, do_ranges}, {T_WRITE_ZEROES, do_ranges},
};

static void run(struct blk_request *q)
{
    const struct virtq_buf *buf = &q->buf;
    struct virtio_blk *b = q->b;
    uint8_t header[HEADER_BYTES], status = S_UNSUPP;

    q->status_p = NULL;
    if (buf->out_bytes < HEADER_BYTES || !buf->in_bytes) {
        virtio_broken(&b->v, "a request lacks its header or status");
        finish(q, S_IOERR);
        return;
    }
    struct span last = q->span[buf->nout + buf->nin - 1];
    q->status_p = last.p + last.n - 1;
    q->nranges = q->next_range = 0;
    spans_read(q->span, buf->nout, 0, header, sizeof header);
    q->type = load_le32(header);
    for (unsigned i = 0; i < ARRAY_LEN(request_types); i++)
        if (request_types[i].type == q->type)
            status = request_types[i].run(q, load_le64(header + 8));
    if (status != S_BUSY)
        finish(q, status);
}

/* --- the queues --- */

static enum virtio_step blk_step(struct virtio_dev *v, unsigned queue)
{
    struct virtio_blk *b = container_of(v, struct virtio_blk, v);

    if (list_empty(&b->idle)) {
        b->starved |= (uint8_t)BIT(queue);
        return VIRTIO_BLOCKED;
    }
    struct blk_request *q =
        container_of(b->idle.next, struct blk_request, link);
    if (virtio_pop(v, queue, &q->buf) <= 0)
        return VIRTIO_EMPTY;
    list_remove(&q->link);
    q->queue = (uint8_t)queue;
    q->epoch = virtio_begin(v, queue);
    run(q);
    return VIRTIO_TOOK;
}

static void blk_notify(struct virtio_dev *v, unsigned queue)
{
    virtio_serve(v, queue, blk_step);
}

static void blk_reset(struct virtio_dev *v)
{
    struct virtio_blk *b = container_of(v, struct virtio_blk, v);

    b->starved = 0;
    v->config[CONFIG_WRITEBACK] = 1;
}

static const struct virtio_ops blk_device = {
    .id = VIRTIO_ID_BLOCK,
    .notify = blk_notify,
    .reset = blk_reset,
};

/* --- life --- */

static uint64_t features(const struct virtio_blk *b)
{
    const struct blk *blk = b->blk;
    uint64_t f = F_SEG_MAX | F_BLK_SIZE | F_FLUSH | F_TOPOLOGY | F_CONFIG_WCE;

    if (b->queues > 1)
        f |= F_MQ;
    if (b->readonly)
        return f | F_RO;
    if (blk->can_discard)
        f |= F_DISCARD;
    if (blk->can_zero)
        f |= F_WRITE_ZEROES;
    return f;
}

/* Everything a driver can read there, except the cache mode. */
static void fill_config(struct virtio_blk *b)
{
    uint8_t *c = b->v.config;
    uint32_t sector = b->blk->sector_size, page = MAX(sector, PAGE_SIZE);

    store_le64(c + CONFIG_CAPACITY, b->blk->size / SECTOR);
    store_le32(c + CONFIG_SEG_MAX, SEG_MAX);
    store_le32(c + CONFIG_BLK_SIZE, sector);
    c[CONFIG_PHYSICAL_EXP] = (uint8_t)__builtin_ctz(page / sector);
    store_le16(c + CONFIG_MIN_IO, (uint16_t)(page / sector));
    store_le16(c + CONFIG_NUM_QUEUES, (uint16_t)b->queues);
    store_le32(c + CONFIG_DISCARD_SECTORS, RANGE_SECTORS);
    store_le32(c + CONFIG_DISCARD_SEG, RANGES);
    store_le32(c + CONFIG_DISCARD_ALIGN, sector / SECTOR);
    store_le32(c + CONFIG_ZEROES_SECTORS, RANGE_SECTORS);
    store_le32(c + CONFIG_ZEROES_SEG, RANGES);
    c[CONFIG_ZEROES_UNMAP] = b->blk->can_discard;
    b->v.config_bytes = CONFIG_BYTES;
    b->v.config_mask[CONFIG_WRITEBACK] = 1;
}

static int make_pool(struct virtio_blk *b, struct err *e)
{
    unsigned n = b->queues * b->queue_size;

    list_init(&b->idle);
    b->pool = host_alloc(n * sizeof *b->pool);
    if (!b->pool)
        return err_set(e, LE_NOMEM, "%s: the host has no memory left",
                       b->dev.id);
    for (unsigned i = 0; i < n; i++) {
        struct blk_request *q = &b->pool[i];
        q->b = b;
        q->r.ctx = q;
        q->r.done = request_done;
        q->buf =
            (struct virtq_buf){.span = q->span, .addr = q->addr, .max = SPANS};
        list_append(&b->idle, &q->link);
    }
    return 0;
}

static int check_props(const struct virtio_blk *b, struct err *e)
{
    uint32_t sector = b->blk->sector_size;

    if (!is_power_of_two(b->queue_size))
        return err_set(e, LE_USAGE,
                       "%s: a queue size of %u: it has to be a power of two",
                       b->dev.id, b->queue_size);
    if (!is_power_of_two(sector) || sector < SECTOR || sector > 32768 ||
        b->blk->size % sector)
        return err_set(e, LE_FORMAT,
                       "%s: its image is not a whole number of sectors",
                       b->dev.id);
    return 0;
}

static int blk_attach(struct dev *d, struct env *env, struct err *e)
{
    struct virtio_blk *b = (struct virtio_blk *)d;
    int r = check_props(b, e);

    (void)env;
    if (r < 0)
        return r;
    b->readonly |= b->blk->readonly;
    virtio_init(&b->v, d, &blk_device, features(b));
    for (unsigned i = 0; i < b->queues; i++)
        virtio_add_queue(&b->v, b->queue_size);
    fill_config(b);
    r = make_pool(b, e);
    if (r == 0)
        r = virtio_pci_attach(&b->t, &b->v, d, 0x010000, e);
    if (r < 0)
        host_free(b->pool);
    return r;
}

static void blk_dev_reset(struct dev *d, bool cold)
{
    (void)cold;
    virtio_pci_reset(&((struct virtio_blk *)d)->t);
}

static void blk_pause(struct dev *d)
{
    virtio_pause(&((struct virtio_blk *)d)->v);
}

static void blk_resume(struct dev *d)
{
    virtio_resume(&((struct virtio_blk *)d)->v);
}

/* A snapshot says nothing of the image: that is as it is. */
static int blk_loaded(struct dev *d, uint16_t version)
{
    struct virtio_blk *b = (struct virtio_blk *)d;
    uint8_t writeback = b->v.config[CONFIG_WRITEBACK] & 1;

    (void)version;
    memset(b->v.config, 0, sizeof b->v.config);
    fill_config(b);
    b->v.config[CONFIG_WRITEBACK] = writeback;
    return virtio_pci_loaded(&b->t);
}

static void blk_detach(struct dev *d)
{
    struct virtio_blk *b = (struct virtio_blk *)d;

    virtio_pci_detach(&b->t);
    host_free(b->pool);
}

static const struct prop blk_props[] = {
    {"disk", "the image", offsetof(struct virtio_blk, blk), PROP_BLK, true, 0,
     0, 0},
    {"serial", "serial number the guest sees, up to 20 characters",
     offsetof(struct virtio_blk, serial), PROP_STRING, false, 0, 0, 0},
    {"readonly", "refuse to write", offsetof(struct virtio_blk, readonly),
     PROP_BOOL, false, 0, 0, 0},
    {"queues", "request queues", offsetof(struct virtio_blk, queues), PROP_U32,
     false, 1, 1, VIRTIO_QUEUES},
    {"queue-size", "entries in a queue, a power of two",
     offsetof(struct virtio_blk, queue_size), PROP_U32, false, 256, 4,
     VIRTQ_MAX},
    VIRTIO_PCI_PROPS(struct virtio_blk),
    PROP_END,
};

static const struct field blk_fields[] = {
    VIRTIO_PCI_STATE(struct virtio_blk),
    FIELD_END,
};

extern const struct dev_class virtio_blk_class;
const struct dev_class virtio_blk_class = {
    .name = "virtio-blk",
    .summary = "paravirtual disk",
    .spec = "Virtio 1.2, section 5.2",
    .size = sizeof(struct virtio_blk),
    .props = blk_props,
    .state = blk_fields,
    .version = 1,
    .attach = blk_attach,
    .reset = blk_dev_reset,
    .pause = blk_pause,
    .resume = blk_resume,
    .loaded = blk_loaded,
    .detach = blk_detach,
};
