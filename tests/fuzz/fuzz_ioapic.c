/* The I/O APIC, with local APICs: hw/intc/ioapic.c. */
#include "chips.h"

extern const struct dev_class ioapic_class;

static const struct chip_target target = {
    .classes = {&lapic_class, &ioapic_class},
    .mem = {{0xfec00000, 0x50}},
    .ncpus = 4,
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    return chip_fuzz(&target, data, size);
}
