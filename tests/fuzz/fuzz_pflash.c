/* Flash: any writes and reads, with a disk that answers late or not well. */
#define BOARD_WITHOUT_CMOCKA
#include "../unit/board.h"
#include "input.h"

extern const struct dev_class pflash_class;

enum { SIZE = 2 * 4096 };
#define BASE 0xffc00000ull

static void submit(struct blk *blk, struct blk_req *r)
{
    struct blk_req **slot = (struct blk_req **)(blk + 1);

    if (*slot || r->off + r->len > SIZE)
        abort();
    *slot = r;
}

static void complete(struct blk_req **waiting, int error)
{
    struct blk_req *r = *waiting;

    *waiting = NULL;
    if (r)
        r->done(r, error);
}

static const struct blk_ops disk_ops = {.submit = submit};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t contents[SIZE];
    struct {
        struct blk blk;
        struct blk_req *waiting;
    } disk = {.blk = {.ops = &disk_ops, .size = SIZE, .sector_size = 512}};
    struct input in = {data, data + MIN(size, 4096)};
    struct board *b = board_new();
    struct dev *d = board_make(b, &pflash_class, "flash");

    *(uint64_t *)board_prop(d, "base") = BASE;
    *(struct rom_bytes *)board_prop(d, "contents") =
        (struct rom_bytes){contents, SIZE};
    *(struct blk **)board_prop(d, "disk") = &disk.blk;
    board_attach(b, d);
    while (more(&in)) {
        unsigned op = (unsigned)take(&in, 1), n = 1u << (op & 3);
        uint64_t a = BASE + take(&in, 2) % SIZE;

        if (op < 0xc0)
            mem_write(b, a, take(&in, n), n);
        else if (op < 0xf0)
            mem_read(b, a, n);
        else if (op < 0xfc)
            complete(&disk.waiting, op & 1 ? -LE_IO : 0);
        else
            d->cls->reset(d, op & 1);
    }
    d->cls->pause(d);
    while (disk.waiting)
        complete(&disk.waiting, 0);
    if (d->inflight)
        abort();
    board_remove(d);
    board_free(b);
    return 0;
}
