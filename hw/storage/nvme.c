/* Registers, queues and requests: NVMe 1.4, chapters 3 and 4. */
#include "hw/storage/nvme.h"

#include "base/bits.h"
#include "base/endian.h"

enum { /* registers */
       CAP = 0x00,
       VS = 0x08,
       INTMS = 0x0c,
       INTMC = 0x10,
       CC = 0x14,
       CSTS = 0x1c,
       AQA = 0x24,
       ASQ = 0x28,
       ACQ = 0x30,
       DOORBELLS = 0x1000,
};

enum { /* CC and CSTS */
       CC_EN = 1,
       CC_MPS = 15 << 7,
       CC_SHN = 3 << 14,
       CC_FIXED = 0x3ff0, /* while enabled: command set, page, arbitration */
       MPS_MAX = 4,
       CSTS_RDY = 1,
       CSTS_CFS = 2,
       CSTS_SHST = 3 << 2,
       SHST_BUSY = 1 << 2,
       SHST_DONE = 2 << 2,
};

/* Queues of up to 1024 entries that are contiguous; 10 s to get ready; the NVM
   command set; pages of 4 to 64 KB. */
#define CAP_VALUE                                                              \
    ((NVME_ENTRIES - 1) | BIT64(16) | 20ull << 24 | BIT64(37) |                \
     (uint64_t)MPS_MAX << 52)

enum { BAR = 0, MSIX_BAR = 4, BAR_BYTES = 0x4000, VERSION = 0x00010400 };
enum { CQE_BYTES = 16, ADMIN_ENTRIES = 4096, CHAINS_MAX = 40 };
enum { ERROR_REGISTER = 1, ERROR_VALUE = 2 };

static struct nvme *nvme_of(struct dev *d)
{
    return container_of(d, struct nvme, dev);
}

static void fatal(struct nvme *c)
{
    c->csts |= CSTS_CFS;
}

/* --- interrupts --- */

static void update_pin(struct nvme *c)
{
    bool level = false;

    for (unsigned i = 0; i < NVME_QUEUES; i++) {
        const struct nvme_cq *q = &c->cq[i];

        level |= q->size && q->interrupts && q->head != q->tail &&
                 !(c->intm & BIT(q->vector & 31));
    }
    pci_set_intx(&c->pci, level);
}

/* --- completion queues --- */

static unsigned room(const struct nvme_cq *q)
{
    return ((unsigned)q->head + q->size - q->tail - 1) % q->size;
}

static void post(struct nvme *c, unsigned sq, uint16_t cid, uint16_t status,
                 uint32_t result)
{
    struct nvme_cq *q = &c->cq[c->sq[sq].cq];
    uint8_t e[CQE_BYTES] = {0};

    store_le32(e, result);
    store_le16(e + 8, c->sq[sq].head);
    store_le16(e + 10, (uint16_t)sq);
    store_le16(e + 12, cid);
    store_le16(e + 14, (uint16_t)(status << 1 | q->phase));
    if (pci_store(&c->pci, q->base + (uint64_t)CQE_BYTES * q->tail, e,
                  sizeof e) < 0)
        fatal(c);
    if (++q->tail == q->size) {
        q->tail = 0;
        q->phase = !q->phase;
    }
    if (!q->interrupts)
        return;
    if (pci_msix_on(&c->pci))
        pci_msix_send(&c->pci, q->vector);
    else
        update_pin(c);
}

void nvme_tell(struct nvme *c)
{
    unsigned info = c->errors & ERROR_REGISTER ? 0 : 1;

    if (!c->errors || !c->nevents || c->told || !c->cq[0].size ||
        room(&c->cq[0]) <= c->cq[0].owed)
        return;
    c->errors &= (uint8_t) ~(info ? ERROR_VALUE : ERROR_REGISTER);
    c->told = true;
    /* An error, which of them, and the log that tells of errors. */
    post(c, 0, c->event[--c->nevents], NVME_OK, info << 8 | 1 << 16);
}

/* --- the guest's pages: §4.3 --- */

static bool carry(struct nvme_req *q, uint64_t at, uint32_t from, uint32_t n,
                  bool to_guest)
{
    struct pci_dev *p = &q->c->pci;
    int r = to_guest ? pci_store(p, at, q->buf + from, n)
                     : pci_load(p, at, q->buf + from, n);

    return r == 0;
}

/* The pages of a list, for bytes [done, n). */
static uint16_t copy_list(struct nvme_req *q, uint64_t list, uint32_t done,
                          uint32_t n, bool to_guest)
{
    uint32_t page = nvme_page(q->c);
    unsigned chains = 0;

    while (done < n) {
        uint32_t k = MIN(n - done, page);
        uint8_t raw[8];
        uint64_t entry;

        if ((list & 7) || chains > CHAINS_MAX)
            return NVME_PRP_OFFSET;
        if (pci_load(&q->c->pci, list, raw, sizeof raw) < 0)
            return NVME_TRANSFER_ERROR;
        entry = load_le64(raw);
        list += sizeof raw;
        if (!(list & (page - 1)) && n - done > page) {
            list = entry; /* the last one leads to the next list */
            chains++;
            continue;
        }
        if (entry & (page - 1))
            return NVME_PRP_OFFSET;
        if (!carry(q, entry, done, k, to_guest))
            return NVME_TRANSFER_ERROR;
        done += k;
    }
    return NVME_OK;
}

uint16_t nvme_copy(struct nvme_req *q, uint32_t n, bool to_guest)
{
    uint64_t prp1 = load_le64(q->command + 24);
    uint64_t prp2 = load_le64(q->command + 32);
    uint32_t page = nvme_page(q->c);
    uint32_t first = MIN(n, page - (uint32_t)(prp1 & (page - 1)));

    if (prp1 & 3)
        return NVME_PRP_OFFSET;
    if (!carry(q, prp1, 0, first, to_guest))
        return NVME_TRANSFER_ERROR;
    if (first == n)
        return NVME_OK;
    if (n - first > page)
        return copy_list(q, prp2, first, n, to_guest);
    if (prp2 & (page - 1))
        return NVME_PRP_OFFSET;
    return carry(q, prp2, first, n - first, to_guest) ? NVME_OK
                                                      : NVME_TRANSFER_ERROR;
}

/* --- requests --- */

static void enable(struct nvme *c);

/* The last request after a reset has come back, or there was none. */
static void finish_reset(struct nvme *c)
{
    c->dropping = false;
    c->csts &= ~(uint32_t)(CSTS_RDY | CSTS_CFS | CSTS_SHST);
    memset(c->sq, 0, sizeof c->sq);
    memset(c->cq, 0, sizeof c->cq);
    c->intm = 0;
    c->nevents = c->errors = 0;
    c->told = false;
    nvme_reset_features(c);
    update_pin(c);
    if (c->cc & CC_EN)
        enable(c);
}

static void release(struct nvme_req *q)
{
    struct nvme *c = q->c;

    q->busy = false;
    c->busy--;
    list_append(&c->idle, &q->link);
    c->sq[q->sq].running--;
    c->cq[c->sq[q->sq].cq].owed--;
}

void nvme_complete(struct nvme_req *q, uint16_t status)
{
    struct nvme *c = q->c;
    unsigned sq = q->sq;

    if (!c->dropping)
        post(c, sq, load_le16(q->command + 2), status, q->result);
    release(q);
    if (c->dropping) {
        if (!c->busy)
            finish_reset(c);
        return;
    }
    if (sq && !c->sq[sq].running)
        nvme_sq_idle(c, sq);
    nvme_tell(c);
}

static void request_done(struct blk_req *r, int error)
{
    struct nvme_req *q = r->ctx;
    struct nvme *c = q->c;
    uint16_t status;

    c->dev.inflight--;
    status = c->dropping ? NVME_ABORTED : nvme_io_done(q, error);
    if (status == NVME_BUSY)
        return;
    nvme_complete(q, status);
    nvme_go(c);
}

void nvme_submit(struct nvme_req *q, enum blk_op op, uint64_t off, uint64_t len)
{
    bool data = op == BLK_READ || op == BLK_WRITE;

    q->span = (struct span){q->buf, (size_t)len};
    q->r.op = op;
    q->r.off = off;
    q->r.len = len;
    q->r.sg = data ? &q->span : NULL;
    q->r.nsg = data;
    q->c->dev.inflight++;
    blk_submit(q->c->blk, &q->r);
}

/* --- submission queues --- */

static bool may_fetch(const struct nvme *c, unsigned n)
{
    const struct nvme_sq *s = &c->sq[n];
    const struct nvme_cq *q = &c->cq[s->cq];

    return s->size && s->head != s->tail && !s->deleting && room(q) > q->owed &&
           !list_empty(&c->idle) && !c->paused && !c->dropping &&
           pci_is_master(&c->pci) &&
           (c->csts & (CSTS_RDY | CSTS_CFS)) == CSTS_RDY;
}

static uint16_t run(struct nvme_req *q)
{
    if (q->command[1] & 0xc3) /* fused, or scatter-gather lists */
        return NVME_INVALID_FIELD;
    return q->sq ? nvme_io(q) : nvme_admin(q);
}

static void fetch(struct nvme *c, unsigned n)
{
    struct nvme_sq *s = &c->sq[n];
    struct nvme_req *q = container_of(c->idle.next, struct nvme_req, link);
    uint16_t status;

    if (pci_load(&c->pci, s->base + (uint64_t)NVME_COMMAND * s->head,
                 q->command, sizeof q->command) < 0) {
        fatal(c);
        return;
    }
    s->head = (uint16_t)((s->head + 1) % s->size);
    list_remove(&q->link);
    q->busy = true;
    q->sq = (uint16_t)n;
    q->result = 0;
    c->busy++;
    s->running++;
    c->cq[s->cq].owed++;
    status = run(q);
    if (status == NVME_KEPT)
        release(q);
    else if (status != NVME_BUSY)
        nvme_complete(q, status);
}

/* Round robin, a command of each queue at a time. */
void nvme_go(struct nvme *c)
{
    bool any;

    if (c->going) {
        c->again = true;
        return;
    }
    c->going = true;
    do {
        any = c->again = false;
        for (unsigned n = 0; n < NVME_QUEUES; n++)
            if (may_fetch(c, n)) {
                fetch(c, n);
                any = true;
            }
    } while (any || c->again);
    c->going = false;
    nvme_tell(c);
}

/* --- enabling and resetting: §7.3, §7.6 --- */

static void enable(struct nvme *c)
{
    uint32_t sqs = (c->aqa & 0xfff) + 1, cqs = (c->aqa >> 16 & 0xfff) + 1;

    if ((c->cc & 0x70) || (c->cc & CC_MPS) >> 7 > MPS_MAX || sqs < 2 ||
        cqs < 2) {
        fatal(c);
        return;
    }
    c->sq[0] = (struct nvme_sq){.base = c->asq, .size = (uint16_t)sqs};
    c->cq[0] = (struct nvme_cq){.base = c->acq,
                                .size = (uint16_t)cqs,
                                .phase = true,
                                .interrupts = true};
    c->csts |= CSTS_RDY;
}

static void flushed(struct blk_req *r, int error)
{
    struct nvme *c = r->ctx;

    (void)error;
    c->dev.inflight--;
    c->shutting_down = false;
    if ((c->csts & CSTS_SHST) == SHST_BUSY)
        c->csts = (c->csts & ~(uint32_t)CSTS_SHST) | SHST_DONE;
}

static void shut_down(struct nvme *c)
{
    c->csts = (c->csts & ~(uint32_t)CSTS_SHST) | SHST_BUSY;
    if (c->shutting_down)
        return;
    c->shutting_down = true;
    c->flush = (struct blk_req){.op = BLK_FLUSH, .done = flushed, .ctx = c};
    c->dev.inflight++;
    blk_submit(c->blk, &c->flush);
}

static void write_cc(struct nvme *c, uint32_t v)
{
    uint32_t was = c->cc;

    v &= 0xfffff1;
    if ((was & CC_EN) && (v & CC_EN))
        v = (v & ~(uint32_t)CC_FIXED) | (was & CC_FIXED);
    c->cc = v;
    if ((v & CC_SHN) && !(was & CC_SHN))
        shut_down(c);
    if ((was & CC_EN) && !(v & CC_EN)) {
        c->dropping = true;
        if (!c->busy)
            finish_reset(c);
    } else if (!(was & CC_EN) && (v & CC_EN) && !c->dropping) {
        enable(c);
    }
}

/* --- registers --- */

static void doorbell_error(struct nvme *c, uint8_t which)
{
    c->errors |= which;
    nvme_tell(c);
}

static void ring(struct nvme *c, unsigned n, uint32_t v)
{
    unsigned id = n / 2;
    bool completion = n & 1;
    unsigned size = id >= NVME_QUEUES ? 0
                    : completion      ? c->cq[id].size
                                      : c->sq[id].size;

    if (c->dropping)
        return;
    if (!size) {
        doorbell_error(c, ERROR_REGISTER);
        return;
    }
    if (v >= size) {
        doorbell_error(c, ERROR_VALUE);
        return;
    }
    if (completion) {
        c->cq[id].head = (uint16_t)v;
        update_pin(c);
    } else {
        c->sq[id].tail = (uint16_t)v;
    }
    nvme_go(c);
}

static uint32_t read_reg(const struct nvme *c, unsigned off)
{
    switch (off) {
    case CAP: return (uint32_t)CAP_VALUE;
    case CAP + 4: return (uint32_t)(CAP_VALUE >> 32);
    case VS: return VERSION;
    case INTMS:
    case INTMC: return c->intm;
    case CC: return c->cc;
    case CSTS: return c->csts;
    case AQA: return c->aqa;
    case ASQ: return (uint32_t)c->asq;
    case ASQ + 4: return (uint32_t)(c->asq >> 32);
    case ACQ: return (uint32_t)c->acq;
    case ACQ + 4: return (uint32_t)(c->acq >> 32);
    default: return 0;
    }
}

static void set_half(uint64_t *to, bool high, uint32_t v)
{
    *to = high ? (uint32_t)*to | (uint64_t)v << 32
               : (*to & ~mask_low(32)) | (v & ~0xfffu);
}

static void write_reg(struct nvme *c, unsigned off, uint32_t v)
{
    switch (off) {
    case INTMS:
        c->intm |= v;
        update_pin(c);
        break;
    case INTMC:
        c->intm &= ~v;
        update_pin(c);
        break;
    case CC: write_cc(c, v); break;
    case AQA: c->aqa = v & 0x0fff0fff; break;
    case ASQ:
    case ASQ + 4: set_half(&c->asq, off != ASQ, v); break;
    case ACQ:
    case ACQ + 4: set_half(&c->acq, off != ACQ, v); break;
    default: break;
    }
}

static uint64_t bar_read(void *dev, uint64_t off, unsigned bytes UNUSED)
{
    return off < DOORBELLS ? read_reg(dev, (unsigned)off) : 0;
}

static void bar_write(void *dev, uint64_t off, uint64_t v,
                      unsigned bytes UNUSED)
{
    if (off < DOORBELLS)
        write_reg(dev, (unsigned)off, (uint32_t)v);
    else
        ring(dev, (unsigned)(off - DOORBELLS) / 4, (uint32_t)v & 0xffff);
}

static const struct region_ops bar_ops = {bar_read, bar_write, 4, 4};

/* --- life --- */

static void nvme_written(struct pci_dev *p, unsigned off UNUSED,
                         unsigned bytes UNUSED)
{
    nvme_go(container_of(p, struct nvme, pci));
}

static const struct pci_ops nvme_pci = {.written = nvme_written};

static const struct pci_id nvme_id = {
    .vendor = 0x1b36,
    .device = 0x0010,
    .class_code = 0x010802,
    .revision = 2,
    .subvendor = 0x1af4,
    .subdevice = 0x1100,
    .pin = 1,
};

/* Two controllers of one name would be taken for one subsystem. */
static void name_controller(struct nvme *c)
{
    const char *serial = c->serial ? c->serial : c->blk->id;

    if (serial[0])
        snprintf(c->name, sizeof c->name, "%.20s", serial);
    else
        snprintf(c->name, sizeof c->name, "LODGE-%.14s", c->dev.id);
}

static int make_requests(struct nvme *c, struct err *e)
{
    list_init(&c->idle);
    c->req = host_alloc(NVME_REQUESTS * sizeof *c->req);
    c->bufs = host_ram_alloc((size_t)NVME_REQUESTS * NVME_BUF);
    if (!c->req || !c->bufs)
        return err_set(e, LE_NOMEM, "%s: the host has no memory left",
                       c->dev.id);
    for (unsigned i = 0; i < NVME_REQUESTS; i++) {
        struct nvme_req *q = &c->req[i];

        q->c = c;
        q->buf = c->bufs + (size_t)NVME_BUF * i;
        q->r.done = request_done;
        q->r.ctx = q;
        list_append(&c->idle, &q->link);
    }
    return 0;
}

static void free_requests(struct nvme *c)
{
    host_free(c->req);
    if (c->bufs)
        host_ram_free(c->bufs, (size_t)NVME_REQUESTS * NVME_BUF);
}

static int attach_pci(struct nvme *c, struct err *e)
{
    int r = pci_attach(&c->pci, &c->dev, &nvme_id, &nvme_pci, -1, e);

    if (r < 0)
        return r;
    c->region = (struct region){
        .name = "nvme", .size = BAR_BYTES, .ops = &bar_ops, .dev = c};
    r = pci_add_bar(&c->pci, BAR, PCI_BAR_MEM64, &c->region);
    if (r == 0)
        r = pci_msix_init(&c->msix, &c->pci, NVME_QUEUES, MSIX_BAR, e);
    if (r < 0)
        pci_detach(&c->pci);
    return r;
}

static int nvme_attach(struct dev *d, struct env *env, struct err *e)
{
    struct nvme *c = nvme_of(d);
    uint32_t sector = c->blk->sector_size;
    int r;

    d->env = env;
    if (!is_power_of_two(sector) || sector < 512 || sector > 4096 ||
        c->blk->size < sector)
        return err_set(e, LE_FORMAT,
                       "%s: its image has sectors that NVMe does not", d->id);
    c->lba_shift = (uint8_t)__builtin_ctz(sector);
    c->readonly |= c->blk->readonly;
    name_controller(c);
    r = make_requests(c, e);
    if (r == 0)
        r = attach_pci(c, e);
    if (r < 0)
        free_requests(c);
    return r;
}

static void nvme_detach(struct dev *d)
{
    struct nvme *c = nvme_of(d);

    pci_detach(&c->pci);
    free_requests(c);
}

static void nvme_reset(struct dev *d, bool cold UNUSED)
{
    struct nvme *c = nvme_of(d);

    pci_reset(&c->pci);
    c->cc = c->aqa = 0;
    c->asq = c->acq = 0;
    finish_reset(c);
}

static void nvme_pause(struct dev *d)
{
    nvme_of(d)->paused = true;
}

static void nvme_resume(struct dev *d)
{
    struct nvme *c = nvme_of(d);

    c->paused = false;
    nvme_go(c);
}

static bool sq_valid(const struct nvme *c, unsigned n)
{
    const struct nvme_sq *s = &c->sq[n];

    if (!s->size)
        return true;
    return s->size >= 2 && s->size <= (n ? NVME_ENTRIES : ADMIN_ENTRIES) &&
           s->head < s->size && s->tail < s->size && s->cq < NVME_QUEUES &&
           !s->cq == !n && c->cq[s->cq].size;
}

static bool cq_valid(const struct nvme *c, unsigned n)
{
    const struct nvme_cq *q = &c->cq[n];

    if (!q->size)
        return true;
    return q->size >= 2 && q->size <= (n ? NVME_ENTRIES : ADMIN_ENTRIES) &&
           q->head < q->size && q->tail < q->size && q->vector < c->msix.count;
}

static int nvme_loaded(struct dev *d, uint16_t version UNUSED)
{
    struct nvme *c = nvme_of(d);
    int r = pci_loaded(&c->pci);

    c->dropping = false;
    if ((c->cc & CC_MPS) >> 7 > MPS_MAX && c->sq[0].size)
        return -LE_FORMAT;
    for (unsigned n = 0; n < NVME_QUEUES; n++)
        if (!c->sq[n].size)
            c->sq[n] = (struct nvme_sq){0};
    for (unsigned n = 0; n < NVME_QUEUES; n++) {
        if (!sq_valid(c, n) || !cq_valid(c, n))
            return -LE_FORMAT;
        c->sq[n].running = c->cq[n].owed = 0;
        c->sq[n].deleting = false;
    }
    if (!pci_msix_on(&c->pci))
        update_pin(c);
    return r;
}

static const struct prop nvme_props[] = {
    {"disk", "the image", offsetof(struct nvme, blk), PROP_BLK, true, 0, 0, 0},
    {"serial", "serial number the guest sees, up to 20 characters",
     offsetof(struct nvme, serial), PROP_STRING, false, 0, 0, 0},
    {"readonly", "refuse to write", offsetof(struct nvme, readonly), PROP_BOOL,
     false, 0, 0, 0},
    {"slot", "PCI slot; 0: any", offsetof(struct nvme, pci.slot), PROP_U32,
     false, 0, 0, 31},
    PROP_END,
};

static const struct field sq_fields[] = {
    FIELD64(struct nvme_sq, base), FIELD16(struct nvme_sq, size),
    FIELD16(struct nvme_sq, head), FIELD16(struct nvme_sq, tail),
    FIELD16(struct nvme_sq, cq),   FIELD_END,
};

static const struct field cq_fields[] = {
    FIELD64(struct nvme_cq, base),      FIELD16(struct nvme_cq, size),
    FIELD16(struct nvme_cq, head),      FIELD16(struct nvme_cq, tail),
    FIELD16(struct nvme_cq, vector),    FIELDB(struct nvme_cq, phase),
    FIELDB(struct nvme_cq, interrupts), FIELD_END,
};

static const struct field nvme_fields[] = {
    FIELD_SUB(struct nvme, pci, struct pci_dev, pci_fields),
    FIELD_SUB(struct nvme, msix, struct pci_msix, pci_msix_fields),
    FIELD_MAX(struct nvme, cc, 32, 0xfffff1),
    FIELD_MAX(struct nvme, csts, 32, CSTS_RDY | CSTS_CFS | CSTS_SHST),
    FIELD_MAX(struct nvme, aqa, 32, 0x0fff0fff),
    FIELD32(struct nvme, intm),
    FIELD64(struct nvme, asq),
    FIELD64(struct nvme, acq),
    FIELD_SUB(struct nvme, sq, struct nvme_sq, sq_fields),
    FIELD_SUB(struct nvme, cq, struct nvme_cq, cq_fields),
    FIELD32(struct nvme, feature),
    FIELD16(struct nvme, event),
    FIELD_MAX(struct nvme, nevents, 8, NVME_EVENTS),
    FIELD_MAX(struct nvme, errors, 8, 3),
    FIELDB(struct nvme, told),
    FIELD64(struct nvme, units),
    FIELD64(struct nvme, commands),
    FIELD_END,
};

extern const struct dev_class nvme_class;
const struct dev_class nvme_class = {
    .name = "nvme",
    .summary = "NVM Express: one disk",
    .spec = "NVM Express 1.4",
    .size = sizeof(struct nvme),
    .props = nvme_props,
    .state = nvme_fields,
    .version = 1,
    .attach = nvme_attach,
    .reset = nvme_reset,
    .pause = nvme_pause,
    .resume = nvme_resume,
    .loaded = nvme_loaded,
    .detach = nvme_detach,
};
