/* The clock: hw/timer/mc146818*.c. */
#include "chips.h"

extern const struct dev_class mc146818_class;

static const struct chip_target target = {
    .classes = {&mc146818_class},
    .io = {{0x70, 4}},
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    return chip_fuzz(&target, data, size);
}
