/* Local APICs, with what feeds them: hw/intc/lapic*.c. */
#include "chips.h"

extern const struct dev_class i8259_class, ioapic_class;

static const struct chip_target target = {
    .classes = {&lapic_class, &i8259_class, &ioapic_class},
    .io = {{0x20, 2}, {0xa0, 2}, {0x4d0, 2}},
    .mem = {{0xfec00000, 0x50}},
    .ncpus = 4,
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    return chip_fuzz(&target, data, size);
}
