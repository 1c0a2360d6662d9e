/*
 * What bare-metal test kernels written for QEMU's pc-testdev use: scratch
 * ports at 0xe0 and 0xe8 (bytes only), a port at 0xe4 that makes the engine
 * forget a page, interrupt line n at port 0x2000 + n, and 64 KB of scratch
 * memory behind a device at 0xff000000. Machine lock held.
 */
#include "base/bits.h"
#include "base/endian.h"
#include "lodge/device.h"

enum { LINES = 24, MEMORY = 0x10000 };

struct testdev {
    struct dev dev;
    struct region scratch, scratch_byte, flush, lines, memory;
    uint32_t word;
    uint8_t bytes[MEMORY];
};

static uint64_t scratch_read(void *dev, uint64_t off, unsigned bytes UNUSED)
{
    return ((struct testdev *)dev)->word >> 8 * off;
}

static void scratch_write(void *dev, uint64_t off, uint64_t v, unsigned bytes)
{
    struct testdev *t = dev;
    uint32_t mask = (uint32_t)(mask_low(8 * bytes) << 8 * off);

    t->word = (t->word & ~mask) | ((uint32_t)(v << 8 * off) & mask);
}

static void flush_write(void *dev, uint64_t off UNUSED, uint64_t v,
                        unsigned bytes UNUSED)
{
    space_wrote(((struct testdev *)dev)->dev.env->mem, v & PAGE_MASK,
                PAGE_SIZE);
}

static void line_write(void *dev, uint64_t off, uint64_t v,
                       unsigned bytes UNUSED)
{
    struct env *env = ((struct testdev *)dev)->dev.env;

    irq_set(off < ARRAY_LEN(env->isa_irq) ? &env->isa_irq[off] : &env->gsi[off],
            v != 0);
}

static uint64_t memory_read(void *dev, uint64_t off, unsigned bytes)
{
    return load_le(((struct testdev *)dev)->bytes + off, bytes);
}

static void memory_write(void *dev, uint64_t off, uint64_t v, unsigned bytes)
{
    store_le(((struct testdev *)dev)->bytes + off, v, bytes);
}

static const struct region_ops scratch_ops = {scratch_read, scratch_write, 1,
                                              4};
static const struct region_ops byte_ops = {scratch_read, scratch_write, 1, 1};
static const struct region_ops flush_ops = {NULL, flush_write, 1, 4};
static const struct region_ops line_ops = {NULL, line_write, 1, 4};
static const struct region_ops memory_ops = {memory_read, memory_write, 1, 8};

static int testdev_attach(struct dev *d, struct env *env, struct err *e)
{
    struct testdev *t = container_of(d, struct testdev, dev);

    d->env = env;
    t->scratch = (struct region){
        .name = "test scratch", .size = 4, .ops = &scratch_ops, .dev = t};
    t->scratch_byte = (struct region){
        .name = "test scratch bytes", .size = 4, .ops = &byte_ops, .dev = t};
    t->flush = (struct region){
        .name = "test flush", .size = 4, .ops = &flush_ops, .dev = t};
    t->lines = (struct region){
        .name = "test lines", .size = LINES, .ops = &line_ops, .dev = t};
    t->memory = (struct region){
        .name = "test memory", .size = MEMORY, .ops = &memory_ops, .dev = t};
    if (space_map(env->io, 0xe0, &t->scratch, 0) ||
        space_map(env->io, 0xe8, &t->scratch_byte, 0) ||
        space_map(env->io, 0xe4, &t->flush, 0) ||
        space_map(env->io, 0x2000, &t->lines, 0) ||
        space_map(env->mem, 0xff000000, &t->memory, 1))
        return err_set(e, LE_NOMEM, "cannot map the test device");
    return 0;
}

static void testdev_reset(struct dev *d, bool cold UNUSED)
{
    struct testdev *t = container_of(d, struct testdev, dev);

    t->word = 0;
    memset(t->bytes, 0, sizeof t->bytes);
}

static void testdev_detach(struct dev *d)
{
    struct testdev *t = container_of(d, struct testdev, dev);

    space_unmap(&t->scratch);
    space_unmap(&t->scratch_byte);
    space_unmap(&t->flush);
    space_unmap(&t->lines);
    space_unmap(&t->memory);
}

static const struct field testdev_state[] = {
    FIELD32(struct testdev, word),
    FIELD_RAW(struct testdev, bytes),
    FIELD_END,
};

const struct dev_class testdev_class = {
    .name = "testdev",
    .summary = "ports and memory for bare-metal test kernels",
    .spec = "QEMU's pc-testdev",
    .size = sizeof(struct testdev),
    .state = testdev_state,
    .version = 1,
    .attach = testdev_attach,
    .reset = testdev_reset,
    .detach = testdev_detach,
};
