/* Entropy device: virtio 1.2 §5.4. */
#include "base/bits.h"
#include "hw/virtio/virtio_pci.h"

/* A buffer gets no more than this: the lock is held meanwhile, and drivers ask
   again for what they lack (§5.4.6). */
enum { QUEUE_SIZE = 16, SPANS = 24, MOST = 4096 };

struct virtio_rng {
    struct dev dev;
    struct virtio_pci t;
    struct virtio_dev v;
    struct span span[SPANS];
    gpa_t addr[SPANS];
};

static enum virtio_step rng_step(struct virtio_dev *v, unsigned q)
{
    struct virtio_rng *s = container_of(v, struct virtio_rng, v);
    struct virtq_buf b = {.span = s->span, .addr = s->addr, .max = SPANS};
    uint32_t written = 0;

    if (virtio_pop(v, q, &b) <= 0)
        return VIRTIO_EMPTY;
    for (unsigned i = b.nout; i < b.nout + b.nin && written < MOST; i++) {
        size_t n = MIN(b.span[i].n, MOST - written);
        host_random(b.span[i].p, n);
        written += (uint32_t)n;
    }
    virtio_push(v, q, &b, written);
    return VIRTIO_TOOK;
}

static void rng_notify(struct virtio_dev *v, unsigned q)
{
    virtio_serve(v, q, rng_step);
}

static const struct virtio_ops rng_device = {
    .id = VIRTIO_ID_RNG,
    .notify = rng_notify,
};

static int rng_attach(struct dev *d, struct env *env, struct err *e)
{
    struct virtio_rng *s = (struct virtio_rng *)d;

    (void)env;
    virtio_init(&s->v, d, &rng_device, 0);
    virtio_add_queue(&s->v, QUEUE_SIZE);
    return virtio_pci_attach(&s->t, &s->v, d, 0x00ff00, e);
}

static void rng_reset(struct dev *d, bool cold)
{
    (void)cold;
    virtio_pci_reset(&((struct virtio_rng *)d)->t);
}

static void rng_pause(struct dev *d)
{
    virtio_pause(&((struct virtio_rng *)d)->v);
}

static void rng_resume(struct dev *d)
{
    virtio_resume(&((struct virtio_rng *)d)->v);
}

static int rng_loaded(struct dev *d, uint16_t version)
{
    (void)version;
    return virtio_pci_loaded(&((struct virtio_rng *)d)->t);
}

static void rng_detach(struct dev *d)
{
    virtio_pci_detach(&((struct virtio_rng *)d)->t);
}

static const struct prop rng_props[] = {
    VIRTIO_PCI_PROPS(struct virtio_rng),
    PROP_END,
};

static const struct field rng_fields[] = {
    VIRTIO_PCI_STATE(struct virtio_rng),
    FIELD_END,
};

extern const struct dev_class virtio_rng_class;
const struct dev_class virtio_rng_class = {
    .name = "virtio-rng",
    .summary = "paravirtual source of entropy",
    .spec = "Virtio 1.2, section 5.4",
    .size = sizeof(struct virtio_rng),
    .props = rng_props,
    .state = rng_fields,
    .version = 1,
    .attach = rng_attach,
    .reset = rng_reset,
    .pause = rng_pause,
    .resume = rng_resume,
    .loaded = rng_loaded,
    .detach = rng_detach,
};
