/*
 * Virtio over PCI: virtio 1.2 §4.1, without the legacy interface. A device
 * class embeds this after its struct dev, calls virtio_pci_attach() when its
 * virtio_dev is complete, and has rows for virtio_pci_fields and virtio_fields
 * in its state table. Machine lock held.
 *
 * BAR 0 (16 KB, 64-bit): 0x0000 common configuration, 0x1000 ISR, 0x2000
 * device configuration, 0x3000 notification (4 bytes a queue). BAR 2: MSI-X,
 * a vector for each queue and one for the configuration.
 */
#ifndef HW_VIRTIO_VIRTIO_PCI_H
#define HW_VIRTIO_VIRTIO_PCI_H

#include "hw/virtio/virtio.h"
#include "lodge/pci.h"

struct virtio_pci {
    struct pci_dev pci;
    struct pci_msix msix;
    struct virtio_dev *v;
    struct region bar;
    uint32_t device_select, driver_select; /* which half of the features */
    uint16_t queue_select;
    uint16_t config_vector, queue_vector[VIRTIO_QUEUES];
    uint8_t isr;
    uint8_t window; /* offset of the configuration access capability */
};
extern const struct field virtio_pci_fields[];

/* On an error it has undone what it did. class_code: 24 bits. */
int virtio_pci_attach(struct virtio_pci *t, struct virtio_dev *v, struct dev *d,
                      uint32_t class_code, struct err *e);
void virtio_pci_detach(struct virtio_pci *t);
void virtio_pci_reset(struct virtio_pci *t);
int virtio_pci_loaded(struct virtio_pci *t);

#define VIRTIO_PCI_PROPS(type)                                                 \
    {                                                                          \
        "slot", "PCI slot, 1 to 31; 0: the first free one",                    \
            offsetof(type, t.pci.slot), PROP_U32, false, 0, 0, 31              \
    }
#define VIRTIO_PCI_STATE(type)                                                 \
    FIELD_SUB(type, t, struct virtio_pci, virtio_pci_fields),                  \
        FIELD_SUB(type, v, struct virtio_dev, virtio_fields)

#endif
