/* Between the files of the PCI bus. Machine lock held throughout. */
#ifndef HW_BUS_PCI_PRIV_H
#define HW_BUS_PCI_PRIV_H

#include "lodge/pci.h"

/* The interrupt pin, after anything it depends on has changed. */
void pci_intx_update(struct pci_dev *p);

/* A memory write of 4 bytes by the device: an interrupt when it goes to the
   local APICs, data when it goes to RAM; nothing while not a bus master. v:
   the vector that it is, or NULL for one that has no route. */
void pci_message(struct pci_dev *p, struct pci_vector *v, uint64_t address,
                 uint32_t data);
/* The same for a message to the local APICs. */
void pci_vector_send(struct env *env, struct pci_vector *v, uint64_t address,
                     uint32_t data);
void pci_vector_close(struct env *env, struct pci_vector *v);

/* Software wrote config[off..off+bytes). */
void pci_msi_written(struct pci_dev *p, unsigned off, unsigned bytes);
void pci_msix_written(struct pci_dev *p, unsigned off, unsigned bytes);

void pci_msix_reset(struct pci_msix *m);
void pci_msix_close(struct pci_msix *m); /* its vectors */
/* pending: the bits the snapshot had. */
void pci_msi_loaded(struct pci_dev *p, uint32_t pending);
void pci_msix_loaded(struct pci_msix *m);

/* Do [a, a+n) and [b, b+m) meet? */
static inline bool pci_touches(unsigned a, unsigned n, unsigned b, unsigned m)
{
    return a < b + m && b < a + n;
}

#endif
