/* The HPET, with the chips it replaces: hw/timer/hpet.c. */
#include "chips.h"

extern const struct dev_class hpet_class, i8254_class, mc146818_class,
    i8259_class;

static const struct chip_target target = {
    .classes = {&i8259_class, &hpet_class, &i8254_class, &mc146818_class},
    .io = {{0x40, 4}, {0x70, 2}},
    .mem = {{0xfed00000, 0x180}},
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    return chip_fuzz(&target, data, size);
}
