/* The UART: hw/char/serial*.c. */
#include "chips.h"

extern const struct dev_class serial_class;

static const struct chip_target target = {
    .classes = {&serial_class},
    .io = {{0x3f8, 8}},
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    return chip_fuzz(&target, data, size);
}
