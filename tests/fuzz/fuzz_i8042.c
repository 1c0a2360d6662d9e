/* Keyboard and mouse: hw/input. */
#include "chips.h"

extern const struct dev_class i8042_class, i8259_class;

static const struct chip_target target = {
    .classes = {&i8042_class, &i8259_class},
    .io = {{0x60, 1}, {0x64, 1}},
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    return chip_fuzz(&target, data, size);
}
