/*
 * Console device: virtio 1.2 §5.3, one port, over lodge/chardev.h.
 *
 * A buffer the host cannot take at once goes back to the ring with a note of
 * how far we got, so nothing of the driver's is held while we wait.
 */
#include "base/bits.h"
#include "base/endian.h"
#include "hw/virtio/virtio_pci.h"

#define F_SIZE        BIT64(0)
#define F_EMERG_WRITE BIT64(2)

enum { RX, TX };
enum {
    CONFIG_COLS = 0,
    CONFIG_ROWS = 2,
    CONFIG_PORTS = 4,
    CONFIG_EMERG = 8,
    CONFIG_BYTES = 12
};
enum { QUEUE_SIZE = 64, SPANS = 72, TX_TURN = 64 << 10 };

struct virtio_console {
    struct dev dev;
    struct virtio_pci t;
    struct virtio_dev v;
    struct chardev *chr;
    uint32_t cols, rows;
    uint64_t tx_skip; /* what of the next TX buffer is written already */
    bool rx_wait;     /* the host has more than we could take */
    struct span span[SPANS];
    gpa_t addr[SPANS];
};

static struct virtq_buf buffer(struct virtio_console *c)
{
    return (struct virtq_buf){.span = c->span, .addr = c->addr, .max = SPANS};
}

/* --- guest to host --- */

static size_t write_host(struct virtio_console *c, const uint8_t *p, size_t n)
{
    return c->chr ? c->chr->write(c->chr->endpoint, p, n) : n;
}

/* Writes what is left of b, up to a turn's worth; true: the host is busy. */
static bool write_spans(struct virtio_console *c, const struct virtq_buf *b)
{
    uint64_t skip = c->tx_skip, left = TX_TURN;

    for (unsigned i = 0; i < b->nout && left; i++) {
        const struct span *s = &b->span[i];
        if (skip >= s->n) {
            skip -= s->n;
            continue;
        }
        size_t n = (size_t)MIN(s->n - skip, left);
        size_t done = write_host(c, s->p + skip, n);
        c->tx_skip += MIN(done, n);
        left -= MIN(done, n);
        if (done < n)
            return true;
        skip = 0;
    }
    return false;
}

static enum virtio_step tx_step(struct virtio_dev *v, unsigned q)
{
    struct virtio_console *c = container_of(v, struct virtio_console, v);
    struct virtq_buf b = buffer(c);

    if (virtio_pop(v, q, &b) <= 0)
        return VIRTIO_EMPTY;
    bool busy = write_spans(c, &b);
    if (c->tx_skip < b.out_bytes) {
        virtq_unpop(&v->q[q], 1);
        if (!busy)
            virtio_again(v, q);
        return VIRTIO_BLOCKED;
    }
    c->tx_skip = 0;
    virtio_push(v, q, &b, 0);
    return VIRTIO_TOOK;
}

static void chr_writable(void *dev)
{
    virtio_notify(&((struct virtio_console *)dev)->v, TX);
}

/* --- host to guest --- */

static size_t chr_receive(void *dev, const uint8_t *p, size_t n)
{
    struct virtio_console *c = dev;
    size_t done = 0;

    /* Empty buffers count, too: a driver cannot keep us here. */
    for (unsigned left = QUEUE_SIZE; done < n && left; left--) {
        struct virtq_buf b = buffer(c);
        if (virtio_pop(&c->v, RX, &b) <= 0)
            break;
        size_t part =
            spans_write(b.span + b.nout, b.nin, 0, p + done, n - done);
        virtio_push(&c->v, RX, &b, (uint32_t)part);
        done += part;
    }
    c->rx_wait = done < n;
    return done;
}

static void offer_rx(struct virtio_console *c)
{
    if (!c->rx_wait || !c->chr || !c->chr->resume)
        return;
    c->rx_wait = false;
    c->chr->resume(c->chr->endpoint);
}

/* --- the device --- */

static void console_notify(struct virtio_dev *v, unsigned q)
{
    if (q == RX)
        offer_rx(container_of(v, struct virtio_console, v));
    else
        virtio_serve(v, q, tx_step);
}

static void console_reset(struct virtio_dev *v)
{
    container_of(v, struct virtio_console, v)->tx_skip = 0;
}

/* §5.3.4: a character before there are any queues. */
static void console_config_written(struct virtio_dev *v, unsigned off,
                                   unsigned bytes)
{
    struct virtio_console *c = container_of(v, struct virtio_console, v);

    (void)bytes;
    if (off == CONFIG_EMERG)
        (void)write_host(c, &v->config[off], 1);
    v->config[off] = 0;
}

static const struct virtio_ops console_device = {
    .id = VIRTIO_ID_CONSOLE,
    .notify = console_notify,
    .reset = console_reset,
    .config_written = console_config_written,
};

static void fill_config(struct virtio_console *c)
{
    memset(c->v.config, 0, sizeof c->v.config);
    store_le16(c->v.config + CONFIG_COLS, (uint16_t)c->cols);
    store_le16(c->v.config + CONFIG_ROWS, (uint16_t)c->rows);
    store_le32(c->v.config + CONFIG_PORTS, 1);
}

static int console_attach(struct dev *d, struct env *env, struct err *e)
{
    struct virtio_console *c = (struct virtio_console *)d;
    bool sized = c->cols && c->rows;

    (void)env;
    virtio_init(&c->v, d, &console_device,
                F_EMERG_WRITE | (sized ? F_SIZE : 0));
    virtio_add_queue(&c->v, QUEUE_SIZE);
    virtio_add_queue(&c->v, QUEUE_SIZE);
    fill_config(c);
    c->v.config_bytes = CONFIG_BYTES;
    memset(c->v.config_mask + CONFIG_EMERG, 0xff, 4);
    int r = virtio_pci_attach(&c->t, &c->v, d, 0x078000, e);
    if (r < 0 || !c->chr)
        return r;
    c->chr->receive = chr_receive;
    c->chr->writable = chr_writable;
    c->chr->dev = c;
    return 0;
}

static void console_dev_reset(struct dev *d, bool cold)
{
    (void)cold;
    virtio_pci_reset(&((struct virtio_console *)d)->t);
}

static void console_pause(struct dev *d)
{
    virtio_pause(&((struct virtio_console *)d)->v);
}

static void console_resume(struct dev *d)
{
    virtio_resume(&((struct virtio_console *)d)->v);
}

static int console_loaded(struct dev *d, uint16_t version)
{
    struct virtio_console *c = (struct virtio_console *)d;

    (void)version;
    fill_config(c);
    c->rx_wait = true; /* whatever came meanwhile is to be offered */
    return virtio_pci_loaded(&c->t);
}

static void console_detach(struct dev *d)
{
    struct virtio_console *c = (struct virtio_console *)d;

    if (c->chr) {
        c->chr->receive = NULL;
        c->chr->writable = NULL;
        c->chr->dev = NULL;
    }
    virtio_pci_detach(&c->t);
}

static const struct prop console_props[] = {
    {"chardev", "where it leads to", offsetof(struct virtio_console, chr),
     PROP_CHARDEV, false, 0, 0, 0},
    {"cols", "width the guest is told; 0: it is not",
     offsetof(struct virtio_console, cols), PROP_U32, false, 0, 0, 65535},
    {"rows", "height, likewise", offsetof(struct virtio_console, rows),
     PROP_U32, false, 0, 0, 65535},
    VIRTIO_PCI_PROPS(struct virtio_console),
    PROP_END,
};

static const struct field console_fields[] = {
    VIRTIO_PCI_STATE(struct virtio_console),
    FIELD64(struct virtio_console, tx_skip),
    FIELD_END,
};

extern const struct dev_class virtio_console_class;
const struct dev_class virtio_console_class = {
    .name = "virtio-console",
    .summary = "paravirtual console",
    .spec = "Virtio 1.2, section 5.3",
    .size = sizeof(struct virtio_console),
    .props = console_props,
    .state = console_fields,
    .version = 1,
    .attach = console_attach,
    .reset = console_dev_reset,
    .pause = console_pause,
    .resume = console_resume,
    .loaded = console_loaded,
    .detach = console_detach,
};
