/* The interval timer: hw/timer/i8254*.c. */
#include "chips.h"

extern const struct dev_class i8254_class;

static const struct chip_target target = {
    .classes = {&i8254_class},
    .io = {{0x40, 4}, {0x61, 1}},
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    return chip_fuzz(&target, data, size);
}
