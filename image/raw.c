/*
 * The raw format: the disk's bytes, in order. A file whose size is no multiple
 * of a sector is shown rounded up; what is not there reads as zeros.
 */
#include "base/bits.h"
#include "base/checked.h"
#include "base/libc.h"
#include "image/registry.h"

enum { SECTOR = 512 };

struct raw {
    struct blk blk; /* first */
    struct host_file *file;
};

static struct raw *raw_of(struct blk *b)
{
    return container_of(b, struct raw, blk);
}

static int check(const struct blk *b, const struct blk_req *r)
{
    if (r->op == BLK_FLUSH)
        return 0;
    if (r->off % b->sector_size || r->len % b->sector_size)
        return -LE_USAGE;
    if (!range_ok(r->off, r->len, b->size))
        return -LE_RANGE;
    return 0;
}

static void raw_submit(struct blk *b, struct blk_req *r)
{
    int rc = check(b, r);

    if (rc)
        file_finish(raw_of(b)->file, r, rc);
    else
        file_submit(raw_of(b)->file, r);
}

static void nothing(struct blk_req *r, int error)
{
    *(int *)r->ctx = error;
}

static void raw_close(struct blk *b)
{
    struct raw *raw = raw_of(b);
    int error = 0;
    struct blk_req r = {.op = BLK_FLUSH, .done = nothing, .ctx = &error};

    file_submit(raw->file, &r);
    file_close(raw->file); /* waits for the flush too */
    if (error)
        host_log(LOG_ERROR, "what was written last to a disk may be lost: "
                            "the host could not flush it");
    host_free(raw);
}

static const struct blk_ops raw_ops = {raw_submit, raw_close};

static int raw_open(struct host_file *f, const struct image_options *o,
                    struct blk **out, struct err *e)
{
    struct raw *raw;

    if (!file_size(f))
        return err_set(e, LE_FORMAT, "%s: the image is empty", o->path);
    raw = host_alloc(sizeof *raw);
    if (!raw)
        return err_set(e, LE_NOMEM, "%s: the host has no memory left for it",
                       o->path);
    raw->file = f;
    raw->blk.ops = &raw_ops;
    raw->blk.size = align_up(file_size(f), SECTOR);
    raw->blk.sector_size = SECTOR;
    raw->blk.readonly = o->readonly;
    raw->blk.can_discard = raw->blk.can_zero = !o->readonly;
    *out = &raw->blk;
    return 0;
}

static const char *const suffixes[] = {".raw", ".img", ".iso", ".bin",
                                       ".dsk", ".ima", NULL};

extern const struct image_format image_raw;
const struct image_format image_raw = {
    .name = "raw",
    .summary = "the disk's bytes, in order",
    .suffixes = suffixes,
    .open = raw_open,
};
