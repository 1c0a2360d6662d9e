/* A disk that answers when the test says so. */
#ifndef TESTS_UNIT_HELD_DISK_H
#define TESTS_UNIT_HELD_DISK_H

#include "board.h"

enum { DISK = 1 << 20, HELD = 1100 };

#ifndef BOARD_WITHOUT_CMOCKA
#define held_check(x) assert_true(x)
#else
#define held_check(x) ((x) ? (void)0 : abort())
#endif

struct disk {
    struct blk blk;
    uint8_t bytes[DISK];
    struct blk_req *held[HELD];
    unsigned n;
    unsigned submitted, by_op[5];
    uint64_t last_off, last_len;
};

static void disk_submit(struct blk *b, struct blk_req *r)
{
    struct disk *d = container_of(b, struct disk, blk);

    held_check(d->n < HELD);
    d->held[d->n++] = r;
    d->submitted++;
    d->by_op[r->op]++;
    d->last_off = r->off;
    d->last_len = r->len;
    held_check(r->op == BLK_FLUSH ||
               (r->off <= b->size && r->len <= b->size - r->off));
    held_check(r->off % b->sector_size == 0);
    held_check(r->len % b->sector_size == 0);
}

static const struct blk_ops disk_ops = {.submit = disk_submit};

/* Answers held request i: does it first if there is no error. */
static UNUSED void answer(struct disk *d, unsigned i, int error)
{
    struct blk_req *r = d->held[i];
    uint64_t off = r->off, sum = 0;

    memmove(&d->held[i], &d->held[i + 1], (--d->n - i) * sizeof d->held[0]);
    for (unsigned k = 0; k < r->nsg; k++)
        sum += r->sg[k].n;
    if (r->op == BLK_READ || r->op == BLK_WRITE)
        held_check(sum == r->len);
    for (unsigned k = 0; k < r->nsg && !error; k++) {
        if (r->op == BLK_READ)
            memcpy(r->sg[k].p, d->bytes + off, r->sg[k].n);
        else
            memcpy(d->bytes + off, r->sg[k].p, r->sg[k].n);
        off += r->sg[k].n;
    }
    if (!error && (r->op == BLK_ZERO || r->op == BLK_DISCARD))
        memset(d->bytes + off, 0, r->len);
    r->done(r, error);
}

/* Until nothing is asked any more. */
static UNUSED void answer_all(struct disk *d)
{
    while (d->n)
        answer(d, 0, 0);
}

static UNUSED struct disk *disk_new(uint64_t size)
{
    static uint8_t contents[DISK]; /* made once: fuzzers want many disks */
    struct disk *d = calloc(1, sizeof *d);

    d->blk = (struct blk){.ops = &disk_ops,
                          .size = size,
                          .sector_size = 512,
                          .can_discard = true,
                          .can_zero = true,
                          .id = "LODGE-0001"};
    for (unsigned i = 0; !contents[DISK - 1] && i < DISK; i++)
        contents[i] = (uint8_t)(i * 7 + i / 512);
    memcpy(d->bytes, contents, DISK);
    return d;
}

#endif
