/*
 * Virtqueues whose rings are the input. Whatever they hold, a buffer we are
 * given lies in RAM and within its bounds, and taking buffers comes to an end.
 */
#define BOARD_WITHOUT_CMOCKA
#include "tests/fuzz/input.h"
#include "tests/unit/ring.h"

enum { RAM = 1 << 16, SPANS = 20, TURNS = 300 };

struct rig {
    uint8_t *ram, *extra;
    struct virtq q;
    struct span span[SPANS];
    gpa_t addr[SPANS];
};

static void check_span(const struct rig *t, const struct span *s)
{
    bool low = s->p >= t->ram && s->n <= RAM && s->p + s->n <= t->ram + RAM;
    bool high = s->p >= t->extra && s->n <= PAGE_SIZE &&
                s->p + s->n <= t->extra + PAGE_SIZE;

    if (!s->n || (!low && !high))
        abort();
}

static void check_buf(const struct rig *t, const struct virtq_buf *b)
{
    uint64_t out = 0, in = 0;

    if (b->nout + b->nin > SPANS)
        abort();
    for (unsigned i = 0; i < b->nout + b->nin; i++) {
        check_span(t, &b->span[i]);
        *(i < b->nout ? &out : &in) += b->span[i].n;
    }
    if (out != b->out_bytes || in != b->in_bytes || out + in > UINT32_MAX)
        abort();
}

/* The rings lie at 0x0000, 0x4000 and 0x6000; the input says how they are
   filled and what the device does. */
static void run(struct rig *t, struct input *in)
{
    struct virtq_buf b = {.span = t->span, .addr = t->addr, .max = SPANS};

    for (unsigned turn = 0; more(in) && turn < TURNS; turn++) {
        switch (take(in, 1) % 8) {
        case 0: {
            /* A descriptor, of the ring or of a table at 0x8000. */
            unsigned i = (unsigned)take(in, 1);
            uint8_t *d = t->ram + (i & 0x80 ? 0x8000 : 0) + 16 * (i & 0x7f);
            store_le64(d, take(in, 3));
            store_le32(d + 8, (uint32_t)take(in, 2));
            store_le16(d + 12, take(in, 1) & 7);
            store_le16(d + 14, (uint16_t)take(in, 1));
            break;
        }
        case 1:
        case 2: {
            uint16_t idx = load_le16(t->ram + 0x4002);
            unsigned at = idx & (t->q.size - 1u);
            store_le16(t->ram + 0x4004 + 2 * at, (uint16_t)take(in, 1));
            store_le16(t->ram + 0x4002, (uint16_t)(idx + 1));
            break;
        }
        case 3: {
            uint64_t at = take(in, 2);
            store_le32(t->ram + (at & 0xfffc), (uint32_t)take(in, 4));
            break;
        }
        case 4: virtq_listen(&t->q, take(in, 1) & 1); break;
        case 5: (void)virtq_wants_irq(&t->q); break;
        default:
            if (virtq_pop(&t->q, &b) == 1) {
                check_buf(t, &b);
                virtq_push(&t->q, &b, (uint32_t)take(in, 2));
            }
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct input in = {data, data + n};
    struct rig t = {.ram = calloc(1, RAM), .extra = calloc(1, PAGE_SIZE)};
    struct space *mem = space_create(0, NULL);
    struct region ram = {.name = "ram", .size = RAM, .ram = t.ram};
    struct region extra = {.name = "extra", .size = PAGE_SIZE, .ram = t.extra};
    uint8_t setting = (uint8_t)take(&in, 1);

    space_map(mem, 0, &ram, 0);
    space_map(mem, RAM, &extra, 0);
    t.q = (struct virtq){.mem = mem,
                         .max = 128,
                         .size = (uint16_t)(1 << setting % 9),
                         .desc = 0,
                         .driver = 0x4000,
                         .device = 0x6000,
                         .ready = true,
                         .indirect = setting & 0x40,
                         .event_idx = setting & 0x80};
    t.q.next_avail = t.q.next_used = (uint16_t)take(&in, 2);
    store_le16(t.ram + 0x4002, t.q.next_avail);
    run(&t, &in);
    space_unmap(&ram);
    space_unmap(&extra);
    space_destroy(mem);
    free(t.ram);
    free(t.extra);
    return 0;
}
