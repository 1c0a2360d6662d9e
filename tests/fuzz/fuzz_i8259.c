/* The 8259 pair: hw/intc/i8259.c. */
#include "chips.h"

extern const struct dev_class i8259_class;

static const struct chip_target target = {
    .classes = {&i8259_class},
    .io = {{0x20, 2}, {0xa0, 2}, {0x4d0, 2}},
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    return chip_fuzz(&target, data, size);
}
