#include "base/libc.h"
#include "hw/registry.h"

/* One X(name) a class, for struct dev_class name_class; a line each. */
/* clang-format off */
#define DEVICES(X) \
    /* intc, timer, char, input */ \
    X(ferr) \
    X(i8259) \
    X(ioapic) \
    X(lapic) \
    X(i8254) \
    X(mc146818) \
    X(hpet) \
    X(serial) \
    X(i8042) \
    X(xhci) \
    X(usb_tablet) \
    X(ac97) \
    X(dma8237) \
    X(debug_exit) \
    X(port80) \
    X(port92) \
    X(testdev) \
    /* firmware, video */ \
    X(debugcon) \
    X(fw_cfg) \
    X(pflash) \
    X(vga) \
    /* bus, storage, net, virtio */ \
    X(i440fx) \
    X(piix3) \
    X(piix4_pm) \
    X(piix_ide) \
    X(fdc82077) \
    X(ahci) \
    X(nvme) \
    X(virtio_blk) \
    X(e1000) \
    X(ne2000) \
    X(rtl8139) \
    X(virtio_console) \
    X(virtio_net) \
    X(virtio_rng)
/* clang-format on */

#define DECLARE(name) extern const struct dev_class name##_class;
DEVICES(DECLARE)
#undef DECLARE

#define ROW(name) &name##_class,
const struct dev_class *const dev_registry[] = {DEVICES(ROW) NULL};
#undef ROW

const struct dev_class *dev_class_find(const char *name)
{
    for (const struct dev_class *const *c = dev_registry; *c; c++)
        if (!strcmp((*c)->name, name))
            return *c;
    return NULL;
}
