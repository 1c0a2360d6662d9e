/* Floppy drives: hw/storage/fdc82077.c, with ISA DMA. */
#include "disks.h"

#include "hw/storage/fdc82077.h"

static void properties(struct wild *w, void *dev)
{
    wild_flag(dev, "present0");
    wild_prop(dev, "drive0", &w->disk[1]->blk);
    wild_flag(dev, "present1");
}

static void bring_up(struct wild *w)
{
    out(w->b, 0x3f2, 0, 1);
    out(w->b, 0x3f2, 0x1c, 1);
    out(w->b, 0x3f7, 2, 1); /* 250 kb/s: the medium has 720 KB */
    out(w->b, 0xd6, 0xc0, 1);
    out(w->b, 0xd4, 0, 1);
}

/* Channel 2 moves n + 1 bytes. */
static void dma(struct wild *w, unsigned mode, unsigned n)
{
    out(w->b, 0x0a, 6, 1);
    out(w->b, 0x0c, 0, 1);
    out(w->b, 0x0b, mode, 1);
    out(w->b, 0x04, 0, 1);
    out(w->b, 0x04, 0, 1);
    out(w->b, 0x81, WILD_DATA >> 16, 1);
    out(w->b, 0x05, n & 0xff, 1);
    out(w->b, 0x05, n >> 8, 1);
    out(w->b, 0x0a, 2, 1);
}

static void sense(struct wild *w, struct input *in)
{
    static const uint8_t commands[] = {0xe6, 0xc5, 0x4d, 0x4a, 0x07, 0x0f,
                                       0x08, 0x13, 0x03, 0x56, 0x42, 0x0e,
                                       0x14, 0x94, 0x12, 0x04};
    unsigned how = (unsigned)take(in, 1), code = commands[how & 15];

    dma(w, how & 16 ? 0x46 : 0x4a, (unsigned)take(in, 2));
    out(w->b, 0x3f5, code, 1);
    for (unsigned i = 1; i < fdc_command_bytes((uint8_t)code); i++)
        out(w->b, 0x3f5,
            how & 32 ? (unsigned)take(in, 1) : (unsigned)take(in, 1) % 4, 1);
    if (how & 64)
        answer_all(w->disk[1]);
    if (how & 128)
        for (unsigned i = 0; i < 10; i++)
            (void)space_read_locked(w->b->env.io, 0x3f5, 1);
}

static const struct wild_target target = {
    .cls = &fdc82077_class,
    .io = {{0x3f0, 6}, {0x3f7, 1}, {0x00, 16}},
    .properties = properties,
    .bring_up = bring_up,
    .sense = sense,
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    return wild_run(&target, data, n);
}
