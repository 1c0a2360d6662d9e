/* Admin commands: NVMe 1.4, chapter 5. */
#include "base/bits.h"
#include "base/endian.h"
#include "hw/storage/nvme.h"

enum { IDENTIFY_BYTES = 4096, LOG_BYTES = 512 };
enum { NAMESPACE = 1 };

enum { /* features */
       F_POWER = 0x02,
       F_TEMPERATURE = 0x04,
       F_CACHE = 0x06,
       F_QUEUES = 0x07,
       F_VECTOR = 0x09,
};

static uint32_t dword(const struct nvme_req *q, unsigned n)
{
    return load_le32(q->command + 4 * n);
}

static uint64_t prp1(const struct nvme_req *q)
{
    return load_le64(q->command + 24);
}

/* --- queues: §5.3 to §5.6 --- */

static bool size_valid(uint32_t entries)
{
    return entries >= 2 && entries <= NVME_ENTRIES;
}

static uint16_t create_cq(struct nvme_req *q)
{
    struct nvme *c = q->c;
    uint32_t id = dword(q, 10) & 0xffff, size = (dword(q, 10) >> 16) + 1;
    uint32_t vector = dword(q, 11) >> 16;

    if (!id || id >= NVME_QUEUES || c->cq[id].size)
        return NVME_INVALID_QID;
    if (!size_valid(size))
        return NVME_INVALID_SIZE;
    if (!(dword(q, 11) & 1) || (prp1(q) & (nvme_page(c) - 1)))
        return NVME_INVALID_FIELD; /* only contiguous ones */
    if (vector >= c->msix.count)
        return NVME_INVALID_VECTOR;
    c->cq[id] = (struct nvme_cq){.base = prp1(q),
                                 .size = (uint16_t)size,
                                 .vector = (uint16_t)vector,
                                 .phase = true,
                                 .interrupts = dword(q, 11) & 2};
    return NVME_OK;
}

static uint16_t create_sq(struct nvme_req *q)
{
    struct nvme *c = q->c;
    uint32_t id = dword(q, 10) & 0xffff, size = (dword(q, 10) >> 16) + 1;
    uint32_t cq = dword(q, 11) >> 16;

    if (!id || id >= NVME_QUEUES || c->sq[id].size)
        return NVME_INVALID_QID;
    if (!size_valid(size))
        return NVME_INVALID_SIZE;
    if (!cq || cq >= NVME_QUEUES || !c->cq[cq].size)
        return NVME_INVALID_CQ;
    if (!(dword(q, 11) & 1) || (prp1(q) & (nvme_page(c) - 1)))
        return NVME_INVALID_FIELD;
    c->sq[id] = (struct nvme_sq){
        .base = prp1(q), .size = (uint16_t)size, .cq = (uint16_t)cq};
    return NVME_OK;
}

static uint16_t delete_cq(struct nvme_req *q)
{
    struct nvme *c = q->c;
    uint32_t id = dword(q, 10) & 0xffff;

    if (!id || id >= NVME_QUEUES || !c->cq[id].size)
        return NVME_INVALID_QID;
    for (unsigned i = 1; i < NVME_QUEUES; i++)
        if (c->sq[i].size && c->sq[i].cq == id)
            return NVME_QUEUE_IN_USE;
    c->cq[id] = (struct nvme_cq){0};
    return NVME_OK;
}

/* Its commands come to their end first. */
static uint16_t delete_sq(struct nvme_req *q)
{
    struct nvme *c = q->c;
    uint32_t id = dword(q, 10) & 0xffff;

    if (!id || id >= NVME_QUEUES || !c->sq[id].size || c->sq[id].deleting)
        return NVME_INVALID_QID;
    if (c->sq[id].running) {
        c->sq[id].deleting = true;
        return NVME_BUSY;
    }
    c->sq[id] = (struct nvme_sq){0};
    return NVME_OK;
}

void nvme_sq_idle(struct nvme *c, unsigned sq)
{
    if (!c->sq[sq].deleting)
        return;
    for (unsigned i = 0; i < NVME_REQUESTS; i++) {
        struct nvme_req *q = &c->req[i];

        if (q->busy && !q->sq && q->command[0] == 0x00 &&
            (dword(q, 10) & 0xffff) == sq) {
            c->sq[sq] = (struct nvme_sq){0};
            nvme_complete(q, NVME_OK);
            return;
        }
    }
}

/* --- IDENTIFY: §5.15 --- */

static void put_text(uint8_t *to, unsigned n, const char *text)
{
    size_t len = MIN(strlen(text), (size_t)n);

    memset(to, ' ', n);
    memcpy(to, text, len);
}

/* An identifier that follows from the serial number. */
static uint64_t eui64(const struct nvme *c)
{
    uint64_t h = 0xcbf29ce484222325;

    for (const char *s = c->name; *s; s++)
        h = (h ^ (uint8_t)*s) * 0x100000001b3;
    return h >> 24 | 0x525400ull << 40;
}

static void identify_controller(const struct nvme *c, uint8_t *p)
{
    static const struct {
        uint16_t at;
        uint8_t bytes;
        uint32_t v;
    } fields[] = {
        {0, 2, 0x1b36},    /* VID */
        {2, 2, 0x1af4},    /* SSVID */
        {72, 1, 6},        /* RAB */
        {73, 3, 0x005452}, /* IEEE */
        {77, 1, NVME_MDTS},
        {80, 4, 0x00010400}, /* VER */
        {111, 1, 1},         /* an I/O controller */
        {258, 1, 3},         /* ACL: four aborts */
        {259, 1, NVME_EVENTS - 1},
        {260, 1, 0x03},   /* FRMW: one slot, read-only */
        {266, 2, 0x0157}, /* WCTEMP, CCTEMP */
        {268, 2, 0x0175},
        {512, 1, 0x66}, /* SQES, CQES: 64 and 16 bytes */
        {513, 1, 0x44},
        {516, 4, NAMESPACE}, /* NN */
        {525, 1, 1},         /* VWC: a volatile write cache */
        {2048, 2, 0x09c4},   /* PSD0: 25 W */
    };
    uint16_t oncs = 0;

    memset(p, 0, IDENTIFY_BYTES);
    for (unsigned i = 0; i < ARRAY_LEN(fields); i++)
        for (unsigned b = 0; b < fields[i].bytes; b++)
            p[fields[i].at + b] = (uint8_t)(fields[i].v >> 8 * b);
    put_text(p + 4, 20, c->name);
    put_text(p + 24, 40, "LODGE NVMe");
    put_text(p + 64, 8, "1.0");
    oncs |= c->blk->can_discard && !c->readonly ? 1 << 2 : 0;
    oncs |= c->blk->can_zero && !c->readonly ? 1 << 3 : 0;
    store_le16(p + 520, oncs);
    snprintf((char *)p + 768, 256, "nqn.2019-08.org.lodge:%s", c->name);
}

static void identify_namespace(const struct nvme *c, uint8_t *p)
{
    uint64_t n = c->blk->size >> c->lba_shift;

    memset(p, 0, IDENTIFY_BYTES);
    store_le64(p, n); /* NSZE, NCAP, NUSE */
    store_le64(p + 8, n);
    store_le64(p + 16, n);
    p[99] = c->readonly; /* NSATTR: write-protected */
    store_be64(p + 120, eui64(c));
    p[130] = c->lba_shift; /* LBAF0 */
}

static uint16_t identify(struct nvme_req *q)
{
    const struct nvme *c = q->c;
    uint32_t ns = dword(q, 1);
    uint8_t *p = q->buf;

    memset(p, 0, IDENTIFY_BYTES);
    switch (dword(q, 10) & 0xff) {
    case 0x00:
        if (ns != NAMESPACE)
            return NVME_INVALID_NAMESPACE;
        identify_namespace(c, p);
        break;
    case 0x01: identify_controller(c, p); break;
    case 0x02: /* namespaces above this one */
        if (ns >= 0xfffffffe)
            return NVME_INVALID_NAMESPACE;
        store_le32(p, ns < NAMESPACE ? NAMESPACE : 0);
        break;
    case 0x03: /* its identifiers: an EUI-64 */
        if (ns != NAMESPACE)
            return NVME_INVALID_NAMESPACE;
        p[0] = 1;
        p[1] = 8;
        store_be64(p + 4, eui64(c));
        break;
    default: return NVME_INVALID_FIELD;
    }
    return nvme_copy(q, IDENTIFY_BYTES, true);
}

/* --- logs: §5.14 --- */

static void smart_log(const struct nvme *c, uint8_t *p)
{
    store_le16(p + 1, 310); /* K */
    p[3] = 100;             /* spare left, and the threshold of it */
    p[4] = 10;
    for (unsigned i = 0; i < 2; i++) {
        store_le64(p + 32 + 16 * i, (c->units[i] + 999) / 1000);
        store_le64(p + 64 + 16 * i, c->commands[i]);
    }
}

static uint16_t get_log(struct nvme_req *q)
{
    struct nvme *c = q->c;
    uint64_t n =
        ((uint64_t)(dword(q, 11) & 0xffff) << 16 | dword(q, 10) >> 16) + 1;
    uint8_t *p = q->buf;

    memset(p, 0, LOG_BYTES);
    switch (dword(q, 10) & 0xff) {
    case 0x01: /* errors: none is kept */
        if (!(dword(q, 10) & BIT(15)))
            c->told = false;
        break;
    case 0x02: smart_log(c, p); break;
    case 0x03: /* firmware: slot 1 runs */
        p[0] = 1;
        put_text(p + 8, 8, "1.0");
        break;
    default: return NVME_INVALID_LOG;
    }
    return nvme_copy(q, (uint32_t)MIN(4 * n, LOG_BYTES), true);
}

/* --- features: §5.21 --- */

void nvme_reset_features(struct nvme *c)
{
    memset(c->feature, 0, sizeof c->feature);
    c->feature[0x01] = 0x07; /* arbitration: no limit to a burst */
    c->feature[F_TEMPERATURE] = 0x0157;
    c->feature[F_CACHE] = 1;
    c->feature[F_QUEUES] = (NVME_QUEUES - 2) << 16 | (NVME_QUEUES - 2);
}

static bool has_feature(uint32_t id)
{
    return id && id < NVME_FEATURES && id != 0x03; /* no LBA ranges */
}

static uint16_t get_feature(struct nvme_req *q)
{
    const struct nvme *c = q->c;
    uint32_t id = dword(q, 10) & 0xff;

    if (!has_feature(id))
        return NVME_INVALID_FIELD;
    q->result = c->feature[id];
    if (id == F_VECTOR) {
        if ((dword(q, 11) & 0xffff) >= c->msix.count)
            return NVME_INVALID_FIELD;
        q->result = dword(q, 11) & 0xffff;
    }
    return NVME_OK;
}

static uint16_t set_feature(struct nvme_req *q)
{
    struct nvme *c = q->c;
    uint32_t id = dword(q, 10) & 0xff, v = dword(q, 11);

    if (!has_feature(id) || (dword(q, 10) & BIT(31)))
        return NVME_INVALID_FIELD; /* nothing is kept without power */
    switch (id) {
    case F_QUEUES: /* as many as there are, whatever is asked for */
        if ((v & 0xffff) == 0xffff || v >> 16 == 0xffff)
            return NVME_INVALID_FIELD;
        q->result = c->feature[id];
        return NVME_OK;
    case F_POWER:
        if (v & 31)
            return NVME_INVALID_FIELD; /* there is one state */
        break;
    case F_VECTOR:
        return (v & 0xffff) < c->msix.count ? NVME_OK : NVME_INVALID_FIELD;
    default: break;
    }
    c->feature[id] = v;
    return NVME_OK;
}

/* --- aborts and events: §5.1, §5.2 --- */

/* What has been fetched is on its way and comes to its end; requests for
   events can be had back. */
static uint16_t abort_command(struct nvme_req *q)
{
    q->result = 1; /* it was not */
    return NVME_OK;
}

/* Kept for later by its identifier alone. */
static uint16_t ask_events(struct nvme_req *q)
{
    struct nvme *c = q->c;

    if (c->nevents == NVME_EVENTS)
        return NVME_EVENT_LIMIT;
    c->event[c->nevents++] = load_le16(q->command + 2);
    return NVME_KEPT;
}

uint16_t nvme_admin(struct nvme_req *q)
{
    switch (q->command[0]) {
    case 0x00: return delete_sq(q);
    case 0x01: return create_sq(q);
    case 0x02: return get_log(q);
    case 0x04: return delete_cq(q);
    case 0x05: return create_cq(q);
    case 0x06: return identify(q);
    case 0x08: return abort_command(q);
    case 0x09: return set_feature(q);
    case 0x0a: return get_feature(q);
    case 0x0c: return ask_events(q);
    default: return NVME_INVALID_OPCODE;
    }
}
