#include "hw/net/nic.h"

static struct nic *nic_of(struct dev *d)
{
    return container_of(d, struct nic, dev);
}

int nic_attach(struct dev *d, const struct pci_id *id,
               const struct pci_ops *ops, uint8_t mac[NET_MAC], struct err *e)
{
    struct nic *n = nic_of(d);
    int r = net_parse_mac(d->id, n->mac_text, mac, e);

    return r < 0 ? r : pci_attach(&n->pci, d, id, ops, -1, e);
}

int nic_plug(struct dev *d, int bars, void (*send)(void *d),
             const struct net_card *card, struct err *e)
{
    struct nic *n = nic_of(d);

    if (bars < 0) {
        pci_detach(&n->pci);
        return err_set(e, -bars, "%s: no room for its registers", d->id);
    }
    work_init(&n->tx_work, send, d);
    net_plug(n->net, card, d);
    return 0;
}

void nic_pause(struct dev *d)
{
    nic_of(d)->paused = true;
}

void nic_resume(struct dev *d)
{
    struct nic *n = nic_of(d);

    n->paused = false;
    if (d->env->loop)
        loop_post(d->env->loop, &n->tx_work);
    nic_rx_resume(n);
}

void nic_detach(struct dev *d)
{
    struct nic *n = nic_of(d);

    net_unplug(n->net);
    if (d->env->loop)
        work_cancel(d->env->loop, &n->tx_work);
    pci_detach(&n->pci);
}

void nic_rx_resume(struct nic *n)
{
    if (!n->rx_wait || !n->net)
        return;
    n->rx_wait = false;
    n->net->resume(n->net->endpoint);
}
