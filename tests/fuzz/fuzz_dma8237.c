/* ISA DMA: hw/timer/dma8237.c. */
#include "chips.h"

extern const struct dev_class dma8237_class, port80_class;

static const struct chip_target target = {
    .classes = {&dma8237_class, &port80_class},
    .io = {{0x00, 16}, {0x80, 16}, {0xc0, 32}},
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    return chip_fuzz(&target, data, size);
}
