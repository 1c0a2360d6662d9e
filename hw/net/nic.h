/*
 * What network cards on PCI have in common, whatever their chip: struct nic is
 * the first member of each. Machine lock held.
 */
#ifndef HW_NET_NIC_H
#define HW_NET_NIC_H

#include "hw/net/offload.h"
#include "lodge/pci.h"

struct nic {
    struct dev dev; /* first */
    struct pci_dev pci;
    struct net *net; /* NULL: no cable */
    const char *mac_text;
    struct work tx_work; /* sends, if there is something to be sent */
    bool paused;         /* neither sends nor receives */
    bool rx_wait;        /* a frame was refused: the back end waits */
};

/* The first half of attach(): the address and a place on the bus. */
int nic_attach(struct dev *d, const struct pci_id *id,
               const struct pci_ops *ops, uint8_t mac[NET_MAC], struct err *e);
/* The second half. bars: what adding base addresses came to; send: tx_work's
   function, which gets d. */
int nic_plug(struct dev *d, int bars, void (*send)(void *d),
             const struct net_card *card, struct err *e);

/* Of struct dev_class. */
void nic_pause(struct dev *d);
void nic_resume(struct dev *d);
void nic_detach(struct dev *d);

/* There is room again for what was refused. */
void nic_rx_resume(struct nic *n);

#endif
