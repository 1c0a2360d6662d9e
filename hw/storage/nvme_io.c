/* NVM commands: NVMe 1.4, chapter 6. */
#include "base/bits.h"
#include "base/checked.h"
#include "base/endian.h"
#include "hw/storage/nvme.h"

enum {
    IO_FLUSH = 0x00,
    IO_WRITE = 0x01,
    IO_READ = 0x02,
    IO_ZEROES = 0x08,
    IO_DATASET = 0x09,
};
enum { NAMESPACE = 1, ALL_NAMESPACES = -1, FEATURE_CACHE = 6 };
enum { DSM_DEALLOCATE = 4, RANGE_BYTES = 16 };

static uint8_t opcode(const struct nvme_req *q)
{
    return q->command[0];
}

static uint32_t dword(const struct nvme_req *q, unsigned n)
{
    return load_le32(q->command + 4 * n);
}

static uint64_t lbas(const struct nvme *c)
{
    return c->blk->size >> c->lba_shift;
}

/* Dwords 10 to 12: where, and how many less one. */
static uint16_t address(const struct nvme_req *q, uint64_t *off, uint64_t *len)
{
    const struct nvme *c = q->c;
    uint64_t lba = load_le64(q->command + 40), n = (dword(q, 12) & 0xffff) + 1;

    if (!range_ok(lba, n, lbas(c)))
        return NVME_LBA_RANGE;
    *off = lba << c->lba_shift;
    *len = n << c->lba_shift;
    return NVME_OK;
}

static uint16_t transfer(struct nvme_req *q)
{
    struct nvme *c = q->c;
    bool write = opcode(q) == IO_WRITE;
    uint64_t off, len;
    uint16_t status = address(q, &off, &len);

    if (status)
        return status;
    if (len > NVME_BUF)
        return NVME_INVALID_FIELD;
    if (write && c->readonly)
        return NVME_READ_ONLY;
    q->bytes = (uint32_t)len;
    status = write ? nvme_copy(q, q->bytes, false) : NVME_OK;
    if (status)
        return status;
    c->units[write] += len >> 9;
    c->commands[write]++;
    nvme_submit(q, write ? BLK_WRITE : BLK_READ, off, len);
    return NVME_BUSY;
}

static uint16_t zeroes(struct nvme_req *q)
{
    uint64_t off, len;
    uint16_t status = address(q, &off, &len);

    if (status)
        return status;
    if (q->c->readonly)
        return NVME_READ_ONLY;
    if (!q->c->blk->can_zero)
        return NVME_INVALID_OPCODE;
    nvme_submit(q, BLK_ZERO, off, len);
    return NVME_BUSY;
}

/* The next range to be discarded, if there is one. */
static uint16_t next_range(struct nvme_req *q)
{
    struct nvme *c = q->c;

    while (q->range < q->ranges) {
        const uint8_t *r = q->buf + RANGE_BYTES * q->range++;
        uint64_t lba = load_le64(r + 8), n = load_le32(r + 4);

        if (!range_ok(lba, n, lbas(c)))
            return NVME_LBA_RANGE;
        if (!n)
            continue;
        nvme_submit(q, BLK_DISCARD, lba << c->lba_shift, n << c->lba_shift);
        return NVME_BUSY;
    }
    return NVME_OK;
}

static uint16_t dataset(struct nvme_req *q)
{
    struct nvme *c = q->c;
    uint16_t status;

    if (c->readonly)
        return NVME_READ_ONLY;
    q->range = 0;
    q->ranges = (dword(q, 10) & 0xff) + 1;
    if (!(dword(q, 11) & DSM_DEALLOCATE) || !c->blk->can_discard)
        return NVME_OK; /* advice on use is not taken */
    status = nvme_copy(q, RANGE_BYTES * q->ranges, false);
    return status ? status : next_range(q);
}

uint16_t nvme_io(struct nvme_req *q)
{
    uint32_t ns = dword(q, 1);

    if (ns != NAMESPACE && !(opcode(q) == IO_FLUSH && ns == UINT32_MAX))
        return NVME_INVALID_NAMESPACE;
    switch (opcode(q)) {
    case IO_FLUSH: nvme_submit(q, BLK_FLUSH, 0, 0); return NVME_BUSY;
    case IO_WRITE:
    case IO_READ: return transfer(q);
    case IO_ZEROES: return zeroes(q);
    case IO_DATASET: return dataset(q);
    default: return NVME_INVALID_OPCODE;
    }
}

/* Writes are made durable where there is no cache or it is to be passed. */
static bool wants_flush(const struct nvme_req *q)
{
    bool fua = dword(q, 12) & BIT(30);

    return (q->r.op == BLK_WRITE || q->r.op == BLK_ZERO) &&
           (fua || !(q->c->feature[FEATURE_CACHE] & 1));
}

uint16_t nvme_io_done(struct nvme_req *q, int error)
{
    if (error && !(q->r.op == BLK_DISCARD && error == -LE_UNSUPPORTED))
        return q->r.op == BLK_READ ? NVME_READ_ERROR : NVME_WRITE_FAULT;
    if (q->r.op == BLK_READ)
        return nvme_copy(q, q->bytes, true);
    if (q->r.op == BLK_DISCARD)
        return next_range(q);
    if (wants_flush(q)) {
        nvme_submit(q, BLK_FLUSH, 0, 0);
        return NVME_BUSY;
    }
    return NVME_OK;
}
