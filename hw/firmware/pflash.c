/*
 * Parallel flash with Intel's command set, one byte wide, as firmware keeps
 * its settings in (QEMU's cfi.pflash01). JEDEC JEP137 (CFI); Intel, Common
 * Flash Interface and Command Sets, AP-646, command set 0001.
 *
 * While the array is read the guest reads its bytes as a ROM's; a command
 * takes that mapping away, so that reads get status or identification, until
 * the next "read array". Nothing takes time: status is always "ready".
 *
 * What was changed goes to the disk, if there is one, when the guest is back
 * to reading the array, and before the VM pauses or ends.
 */
#include "base/bits.h"
#include "base/endian.h"
#include "lodge/device.h"

enum {
    BLOCK = 4096,
    BUFFER = 64, /* bytes of a buffered program */
    SECTOR = 512,
    SIZE_MAX_ = 16 << 20,
    QUERY_SIZE = 0x40,

    STATUS_READY = 1 << 7,
    STATUS_ERASE = 1 << 5,
    STATUS_PROGRAM = 1 << 4,

    MAKER = 0x89, /* Intel */
    MODEL = 0x18,
};

enum mode { /* what reads give, and what the next write is */
            ARRAY,
            STATUS,
            ID,
            QUERY,
            PROGRAM_DATA,
            ERASE_CONFIRM,
            BUFFER_COUNT,
            BUFFER_DATA,
            BUFFER_CONFIRM,
            LOCK_WHAT,
            MODES,
};

struct pflash {
    struct dev dev;
    uint64_t base; /* properties */
    struct rom_bytes contents;
    struct blk *disk;

    uint8_t *flash;
    size_t size;
    struct region array, command; /* one of them is mapped */
    uint8_t query[QUERY_SIZE];

    uint8_t mode, status;
    uint8_t left; /* bytes still to come to the buffer */
    uint8_t fill; /* bytes in it */
    uint32_t to;  /* where they go */
    uint8_t buffer[BUFFER];

    size_t dirty, dirty_end; /* not on the disk yet; equal: nothing */
    bool writing, failing;
    struct blk_req req;
    struct span sg;
};

/* --- the disk --- */

static void save(struct pflash *p);

static void saved(struct blk_req *r, int error)
{
    struct pflash *p = r->ctx;

    p->writing = false;
    p->dev.inflight--;
    if (error && !p->failing) /* once, not with every byte */
        host_log(LOG_ERROR, "%s: what firmware writes does not reach its disk",
                 p->dev.id);
    p->failing = error;
    save(p);
}

static void save(struct pflash *p)
{
    size_t from = (size_t)align_down(p->dirty, SECTOR);
    size_t end = (size_t)align_up(p->dirty_end, SECTOR);

    if (!p->disk || p->writing || p->dirty == p->dirty_end)
        return;
    p->dirty = p->dirty_end = 0;
    p->writing = true;
    p->dev.inflight++;
    p->sg = (struct span){p->flash + from, end - from};
    p->req = (struct blk_req){.op = BLK_WRITE,
                              .off = from,
                              .len = end - from,
                              .sg = &p->sg,
                              .nsg = 1,
                              .done = saved,
                              .ctx = p};
    blk_submit(p->disk, &p->req);
}

static void touch(struct pflash *p, size_t at, size_t n)
{
    p->status |= STATUS_READY;
    if (p->dirty == p->dirty_end) {
        p->dirty = at;
        p->dirty_end = at + n;
    }
    p->dirty = MIN(p->dirty, at);
    p->dirty_end = MAX(p->dirty_end, at + n);
}

/* --- commands --- */

static void set_mode(struct pflash *p, enum mode mode)
{
    struct region *want = mode == ARRAY ? &p->array : &p->command;
    struct region *other = mode == ARRAY ? &p->command : &p->array;

    p->mode = (uint8_t)mode;
    if (mode == ARRAY)
        save(p);
    if (want->space)
        return;
    space_unmap(other);
    (void)space_map(p->dev.env->mem, p->base, want, 0);
}

/* Bits go from 1 to 0 only. */
static void program(struct pflash *p, size_t at, const uint8_t *from, size_t n)
{
    for (size_t i = 0; i < n; i++)
        p->flash[at + i] &= from[i];
    touch(p, at, n);
}

static void erase(struct pflash *p, size_t at)
{
    at = (size_t)align_down(at, BLOCK);
    memset(p->flash + at, 0xff, BLOCK);
    touch(p, at, BLOCK);
}

static void command(struct pflash *p, uint8_t v)
{
    static const struct {
        uint8_t code, mode;
    } codes[] = {
        {0x10, PROGRAM_DATA}, {0x40, PROGRAM_DATA}, {0x20, ERASE_CONFIRM},
        {0xe8, BUFFER_COUNT}, {0x60, LOCK_WHAT},    {0x70, STATUS},
        {0x90, ID},           {0x98, QUERY},
    };

    /* QEMU's flash clears "ready" as well, by which OVMF knows it; the next
       operation sets it again. */
    if (v == 0x50)
        p->status = 0;
    for (unsigned i = 0; i < ARRAY_LEN(codes); i++)
        if (v == codes[i].code) {
            set_mode(p, codes[i].mode);
            return;
        }
    set_mode(p, ARRAY);
}

/* The second write of an erase: 0xd0, or it was not meant. */
static void confirm_erase(struct pflash *p, size_t off, uint8_t v)
{
    if (v == 0xd0)
        erase(p, off);
    else
        p->status |= STATUS_ERASE | STATUS_PROGRAM;
    set_mode(p, STATUS);
}

static void buffer_count(struct pflash *p, uint8_t v)
{
    if (v >= BUFFER) {
        p->status |= STATUS_PROGRAM;
        set_mode(p, STATUS);
        return;
    }
    p->left = (uint8_t)(v + 1);
    p->fill = 0;
    set_mode(p, BUFFER_DATA);
}

/* Bytes may come to any address after the first one, in rising order. */
static void buffer_data(struct pflash *p, size_t off, uint8_t v)
{
    if (!p->fill)
        p->to = (uint32_t)off;
    if (off != p->to + (size_t)p->fill)
        p->status |= STATUS_PROGRAM;
    p->buffer[p->fill++ % BUFFER] = v;
    if (--p->left == 0)
        set_mode(p, BUFFER_CONFIRM);
}

static void confirm_buffer(struct pflash *p, uint8_t v)
{
    if (v == 0xd0 && !(p->status & STATUS_PROGRAM) &&
        p->to + p->fill <= p->size)
        program(p, p->to, p->buffer, p->fill);
    else
        p->status |= STATUS_PROGRAM;
    set_mode(p, STATUS);
}

static void flash_write(void *dev, uint64_t off, uint64_t value,
                        unsigned bytes UNUSED)
{
    struct pflash *p = dev;
    uint8_t v = (uint8_t)value;

    switch (p->mode) {
    case PROGRAM_DATA:
        program(p, (size_t)off, &v, 1);
        set_mode(p, STATUS);
        break;
    case ERASE_CONFIRM: confirm_erase(p, (size_t)off, v); break;
    case BUFFER_COUNT: buffer_count(p, v); break;
    case BUFFER_DATA: buffer_data(p, (size_t)off, v); break;
    case BUFFER_CONFIRM: confirm_buffer(p, v); break;
    case LOCK_WHAT: set_mode(p, STATUS); break; /* nothing is locked */
    default: command(p, v); break;
    }
}

static uint64_t flash_read(void *dev, uint64_t off, unsigned bytes UNUSED)
{
    const struct pflash *p = dev;

    switch (p->mode) {
    case ARRAY: return p->flash[off];
    case ID: return off & 0xff ? (off & 0xff) == 1 ? MODEL : 0 : MAKER;
    case QUERY: return off < QUERY_SIZE ? p->query[off] : 0;
    default: return p->status;
    }
}

static const struct region_ops flash_ops = {flash_read, flash_write, 1, 1};

/* --- life --- */

static unsigned log2_up(size_t n)
{
    unsigned bits = 0;

    while ((size_t)1 << bits < n)
        bits++;
    return bits;
}

/* CFI query structure: JEP137; at 0x31 that of the command set. */
static void make_query(struct pflash *p)
{
    static const uint8_t fixed[] = {
        [0x10] = 'Q',  'R',  'Y',           0x01, 0x00,
        0x31,          0x00, [0x1b] = 0x45, 0x55, /* supply, BCD volts and
                                                     tenths */
        [0x1f] = 0x07, 0x07, 0x0a, /* typical times, powers of two */
        [0x23] = 0x04, 0x04, 0x04, /* how much longer at most */
        [0x2c] = 1,                /* one region of equal blocks */
        [0x31] = 'P',  'R',  'I',           '1',  '0',
    };
    unsigned blocks = (unsigned)(p->size / BLOCK) - 1;

    memcpy(p->query, fixed, sizeof fixed);
    p->query[0x27] = (uint8_t)log2_up(p->size);
    p->query[0x2a] = (uint8_t)log2_up(BUFFER);
    store_le16(p->query + 0x2d, (uint16_t)blocks);
    store_le16(p->query + 0x2f, BLOCK / 256);
}

static void pflash_detach(struct dev *d)
{
    struct pflash *p = container_of(d, struct pflash, dev);

    space_unmap(&p->array);
    space_unmap(&p->command);
    if (p->flash)
        host_ram_free(p->flash, p->size);
}

static int pflash_attach(struct dev *d, struct env *env, struct err *e)
{
    struct pflash *p = container_of(d, struct pflash, dev);

    d->env = env;
    p->size = p->contents.n;
    if (p->size % BLOCK || p->size > SIZE_MAX_ || p->base % BLOCK)
        return err_set(e, LE_USAGE,
                       "%s: a flash is a multiple of 4096 bytes, up to 16 MB, "
                       "on a boundary of as many",
                       d->id);
    if (p->disk && (p->disk->size < p->size || p->disk->readonly))
        return err_set(e, LE_USAGE, "%s: its disk cannot hold it", d->id);
    p->flash = host_ram_alloc(p->size);
    if (!p->flash)
        return err_set(e, LE_NOMEM, "%s: the host has no memory left", d->id);
    memcpy(p->flash, p->contents.p, p->size);
    make_query(p);
    p->array = (struct region){.name = "flash",
                               .size = p->size,
                               .ops = &flash_ops,
                               .dev = p,
                               .ram = p->flash,
                               .readonly = true};
    p->command = (struct region){
        .name = "flash commands", .size = p->size, .ops = &flash_ops, .dev = p};
    if (space_map(env->mem, p->base, &p->array, 0)) {
        pflash_detach(d);
        return err_set(e, LE_NOMEM, "%s: cannot be mapped", d->id);
    }
    return 0;
}

static void pflash_reset(struct dev *d, bool cold UNUSED)
{
    struct pflash *p = container_of(d, struct pflash, dev);

    p->status = STATUS_READY;
    p->left = p->fill = 0;
    set_mode(p, ARRAY);
}

static void pflash_pause(struct dev *d)
{
    save(container_of(d, struct pflash, dev));
}

static int pflash_loaded(struct dev *d, uint16_t version UNUSED)
{
    struct pflash *p = container_of(d, struct pflash, dev);

    if (p->mode == BUFFER_DATA && (!p->left || p->left + p->fill > BUFFER))
        return -LE_FORMAT;
    touch(p, 0, p->size); /* the disk's may be another */
    set_mode(p, p->mode);
    return 0;
}

static bool pflash_memory(struct dev *d, unsigned n, struct span *out)
{
    struct pflash *p = container_of(d, struct pflash, dev);

    *out = (struct span){p->flash, p->size};
    return n == 0;
}

static const struct prop pflash_props[] = {
    {"base", "guest-physical address", offsetof(struct pflash, base), PROP_U64,
     true, 0, 0, 0},
    {"contents", "what is in it", offsetof(struct pflash, contents), PROP_BYTES,
     true, 0, 0, 0},
    {"disk", "where it is kept", offsetof(struct pflash, disk), PROP_BLK, false,
     0, 0, 0},
    PROP_END,
};

static const struct field pflash_state[] = {
    FIELD_MAX(struct pflash, mode, 8, MODES - 1),
    FIELD8(struct pflash, status),
    FIELD_MAX(struct pflash, left, 8, BUFFER),
    FIELD_MAX(struct pflash, fill, 8, BUFFER),
    FIELD32(struct pflash, to),
    FIELD_RAW(struct pflash, buffer),
    FIELD_END,
};

extern const struct dev_class pflash_class;
const struct dev_class pflash_class = {
    .name = "pflash",
    .summary = "flash that keeps the settings of firmware",
    .spec = "JEDEC JEP137, Intel command set 0001",
    .size = sizeof(struct pflash),
    .props = pflash_props,
    .state = pflash_state,
    .version = 1,
    .attach = pflash_attach,
    .reset = pflash_reset,
    .pause = pflash_pause,
    .loaded = pflash_loaded,
    .detach = pflash_detach,
    .memory = pflash_memory,
};
