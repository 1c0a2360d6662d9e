/* Small ports: hw/char/{debug_exit,port80,port92,testdev}.c,
   hw/intc/ferr.c. */
#include "chips.h"

extern const struct dev_class debug_exit_class, ferr_class, port92_class,
    testdev_class;

static const struct chip_target target = {
    .classes = {&debug_exit_class, &port92_class, &testdev_class, &ferr_class},
    .io = {{0xe0, 12}, {0xf4, 4}, {0x92, 1}, {0xf0, 1}, {0x2000, 24}},
    .mem = {{0xff000000, 0x10000}},
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    return chip_fuzz(&target, data, size);
}
