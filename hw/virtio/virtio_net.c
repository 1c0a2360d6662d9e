/*
 * Network device: virtio 1.2 §5.1, one pair of queues and the control queue,
 * over lodge/net.h.
 *
 * Frames go out on the I/O loop, so that the driver's CPU goes on meanwhile. A
 * frame the back end refuses goes back to its ring; one that finds too few
 * receive buffers is refused, and asked for again when the driver adds some.
 */
#include "base/bits.h"
#include "base/endian.h"
#include "hw/net/offload.h"
#include "hw/virtio/virtio_pci.h"

#define F_CSUM                BIT64(0)
#define F_GUEST_CSUM          BIT64(1)
#define F_CTRL_GUEST_OFFLOADS BIT64(2)
#define F_MAC                 BIT64(5)
#define F_GUEST_TSO4          BIT64(7)
#define F_GUEST_TSO6          BIT64(8)
#define F_GUEST_ECN           BIT64(9)
#define F_HOST_TSO4           BIT64(11)
#define F_HOST_TSO6           BIT64(12)
#define F_HOST_ECN            BIT64(13)
#define F_MRG_RXBUF           BIT64(15)
#define F_STATUS              BIT64(16)
#define F_CTRL_VQ             BIT64(17)
#define F_CTRL_RX             BIT64(18)
#define F_CTRL_VLAN           BIT64(19)
#define F_CTRL_RX_EXTRA       BIT64(20)
#define F_CTRL_MAC_ADDR       BIT64(23)

#define FEATURES                                                               \
    (F_CSUM | F_GUEST_CSUM | F_CTRL_GUEST_OFFLOADS | F_MAC | F_GUEST_TSO4 |    \
     F_GUEST_TSO6 | F_GUEST_ECN | F_HOST_TSO4 | F_HOST_TSO6 | F_HOST_ECN |     \
     F_MRG_RXBUF | F_STATUS | F_CTRL_VQ | F_CTRL_RX | F_CTRL_VLAN |            \
     F_CTRL_RX_EXTRA | F_CTRL_MAC_ADDR)
#define GUEST_OFFLOADS                                                         \
    (F_GUEST_CSUM | F_GUEST_TSO4 | F_GUEST_TSO6 | F_GUEST_ECN)

enum { RX, TX, CTRL };
enum { CONFIG_MAC = 0, CONFIG_STATUS = 6, CONFIG_BYTES = 8, LINK_UP = 1 };
enum { H_BUFFERS = NET_VHDR, H_BYTES = 12 }; /* struct virtio_net_hdr, §5.1.6 */
enum { QUEUE_SIZE = 256, CTRL_SIZE = 64, MACS = 64, VLANS = 4096 };
enum { DATA_MAX = 2 * 4 + MACS * NET_MAC }; /* of a command */

/* What the control queue sets, and drivers find as it is after a reset. */
struct filter {
    bool promisc, all_multi, all_uni, no_multi, no_uni, no_broadcast;
    bool uni_overflow, multi_overflow; /* more than MACS were asked for */
    uint8_t uni, multi;                /* how many of each, in this order */
    uint8_t mac[MACS * NET_MAC];
    uint8_t vlan[VLANS / 8];
};

struct virtio_net {
    struct dev dev;
    struct virtio_pci t;
    struct virtio_dev v;
    struct net *net;
    const char *mac_text;
    uint8_t mac[NET_MAC]; /* as built */
    struct filter filter;
    uint64_t guest_offloads; /* F_GUEST_… that are on */
    bool rx_wait;            /* the back end was refused a frame */
    struct work tx_work;
    struct span span[NET_SPANS], span2[NET_SPANS];
    gpa_t addr[NET_SPANS], addr2[NET_SPANS];
};

/* --- guest to host --- */

static enum virtio_step tx_step(struct virtio_dev *v, unsigned q)
{
    struct virtio_net *s = container_of(v, struct virtio_net, v);
    struct virtq_buf b = {.span = s->span, .addr = s->addr, .max = NET_SPANS};
    uint8_t h[H_BYTES];

    if (virtio_pop(v, q, &b) <= 0)
        return VIRTIO_EMPTY;
    if (spans_read(b.span, b.nout, 0, h, H_BYTES) < H_BYTES) {
        virtio_broken(v, "a frame lacks its header");
        return VIRTIO_EMPTY;
    }
    struct net_frame f = {.sg = s->span2, .bytes = b.out_bytes - H_BYTES};
    f.nsg = spans_slice(b.span, b.nout, H_BYTES, f.bytes, s->span2);
    f.off = net_vhdr_load(h);
    if (!net_send(s->net, &f)) {
        virtq_unpop(&v->q[q], 1);
        return VIRTIO_BLOCKED;
    }
    virtio_push(v, q, &b, 0);
    return VIRTIO_TOOK;
}

static void tx_run(void *ctx)
{
    virtio_serve(&((struct virtio_net *)ctx)->v, TX, tx_step);
}

static void tx_later(struct virtio_net *s)
{
    virtq_listen(&s->v.q[TX], false);
    loop_post(s->dev.env->loop, &s->tx_work);
}

static void net_writable(void *dev)
{
    tx_later(dev);
}

/* --- filters --- */

static bool in_table(const struct filter *f, unsigned from, unsigned n,
                     const uint8_t *mac)
{
    for (unsigned i = from; i < from + n; i++)
        if (!memcmp(f->mac + NET_MAC * i, mac, NET_MAC))
            return true;
    return false;
}

/* §5.1.6.5.1: what decides about a frame for this address? */
static bool wanted_mac(const struct virtio_net *s, const uint8_t *mac)
{
    const struct filter *f = &s->filter;

    if (f->promisc)
        return true;
    if (net_is_broadcast(mac))
        return !f->no_broadcast;
    if (net_is_group(mac))
        return !f->no_multi && (f->all_multi || f->multi_overflow ||
                                in_table(f, f->uni, f->multi, mac));
    return !f->no_uni && (f->all_uni || f->uni_overflow ||
                          !memcmp(mac, s->v.config + CONFIG_MAC, NET_MAC) ||
                          in_table(f, 0, f->uni, mac));
}

static bool wanted_vlan(const struct virtio_net *s, const uint8_t *header)
{
    if (!virtio_has(&s->v, F_CTRL_VLAN) || load_be16(header + 12) != 0x8100)
        return true;
    unsigned id = load_be16(header + 14) & (VLANS - 1);
    return s->filter.vlan[id / 8] & BIT(id % 8);
}

static bool wanted(const struct virtio_net *s, const struct net_frame *f)
{
    uint8_t header[NET_HEADER + 4] = {0};

    spans_read(f->sg, f->nsg, 0, header, sizeof header);
    return wanted_mac(s, header) && wanted_vlan(s, header);
}

/* --- host to guest --- */

/* A frame behind its header, and how far it got into receive buffers. */
struct delivery {
    struct span sg[NET_SPANS + 1];
    unsigned nsg;
    size_t bytes, done;
    unsigned buffers;
};

static uint32_t fill(struct delivery *d, const struct virtq_buf *b)
{
    size_t before = d->done;

    for (unsigned i = b->nout; i < b->nout + b->nin && d->done < d->bytes; i++)
        d->done +=
            spans_read(d->sg, d->nsg, d->done, b->span[i].p, b->span[i].n);
    return (uint32_t)(d->done - before);
}

enum delivered { GONE, NO_ROOM, DROPPED };

/* The next buffer; 0: there is none, and the driver will tell of more. */
static int next_buffer(struct virtio_net *s, struct virtq_buf *b)
{
    int r;

    do
        r = virtio_pop(&s->v, RX, b);
    while (r == 0 && virtio_running(&s->v) && virtq_listen(&s->v.q[RX], true));
    return r;
}

static enum delivered give_up(struct virtio_net *s, unsigned buffers,
                              enum delivered why)
{
    virtq_unpop(&s->v.q[RX], buffers);
    return why;
}

static enum delivered deliver(struct virtio_net *s, struct delivery *d)
{
    struct virtio_dev *v = &s->v;
    bool merge = virtio_has(v, F_MRG_RXBUF);
    struct virtq_buf first = {
        .span = s->span, .addr = s->addr, .max = NET_SPANS};
    struct virtq_buf more = {
        .span = s->span2, .addr = s->addr2, .max = NET_SPANS};

    while (d->done < d->bytes) {
        struct virtq_buf *b = d->buffers ? &more : &first;
        if (next_buffer(s, b) <= 0)
            return give_up(s, d->buffers, NO_ROOM);
        if (b->in_bytes < (d->buffers ? 1 : H_BYTES)) {
            virtio_broken(v, "a receive buffer has no room");
            return DROPPED;
        }
        if (!merge && b->in_bytes < d->bytes)
            return give_up(s, 1, DROPPED);
        uint32_t n = fill(d, b);
        virtq_fill(&v->q[RX], b, n, d->buffers++);
    }
    uint8_t count[2];
    store_le16(count, (uint16_t)d->buffers);
    spans_write(first.span + first.nout, first.nin, H_BUFFERS, count, 2);
    virtio_publish(v, RX, d->buffers);
    return GONE;
}

static bool net_receive(void *dev, const struct net_frame *f)
{
    struct virtio_net *s = dev;
    uint8_t h[H_BYTES];
    struct delivery d = {.bytes = H_BYTES + f->bytes, .nsg = 1 + f->nsg};

    if (s->v.paused) {
        s->rx_wait = true;
        return false;
    }
    if (!virtio_running(&s->v) || !s->v.q[RX].ready || !wanted(s, f))
        return true;
    net_vhdr_store(h, &f->off);
    store_le16(h + H_BUFFERS, 1);
    d.sg[0] = (struct span){h, H_BYTES};
    memcpy(d.sg + 1, f->sg, f->nsg * sizeof *f->sg);
    s->rx_wait = deliver(s, &d) == NO_ROOM;
    return !s->rx_wait;
}

static void offer_rx(struct virtio_net *s)
{
    if (!s->rx_wait || !s->net)
        return;
    s->rx_wait = false;
    s->net->resume(s->net->endpoint);
}

/* --- the control queue, §5.1.6.5: each returns whether it went well --- */

struct command {
    uint8_t data[DATA_MAX];
    size_t n;
};

static bool set_flag(bool *flag, const struct command *c)
{
    if (c->n < 1 || c->data[0] > 1)
        return false;
    *flag = c->data[0];
    return true;
}

static bool set_rx(struct virtio_net *s, unsigned command,
                   const struct command *c)
{
    struct filter *f = &s->filter;
    bool *const flags[] = {&f->promisc,  &f->all_multi, &f->all_uni,
                           &f->no_multi, &f->no_uni,    &f->no_broadcast};

    return command < ARRAY_LEN(flags) && set_flag(flags[command], c);
}

/* Takes one list of addresses at *at; too many: *overflow. */
static bool take_macs(struct filter *f, const struct command *c, size_t *at,
                      uint8_t *count, bool *overflow)
{
    unsigned have = f->uni + f->multi;

    if (c->n < *at + 4)
        return false;
    uint32_t n = load_le32(c->data + *at);
    *at += 4;
    *overflow = n > MACS - have;
    if (*overflow) {
        *at += MIN(c->n - *at, (size_t)MIN(n, 1u << 16) * NET_MAC);
        return true;
    }
    if (c->n < *at + n * NET_MAC)
        return false;
    memcpy(f->mac + NET_MAC * have, c->data + *at, n * NET_MAC);
    *count = (uint8_t)n;
    *at += n * NET_MAC;
    return true;
}

static bool set_table(struct virtio_net *s, const struct command *c)
{
    struct filter f = s->filter;
    size_t at = 0;

    f.uni = f.multi = 0;
    f.multi_overflow = true; /* when the first list is past what we read */
    if (!take_macs(&f, c, &at, &f.uni, &f.uni_overflow))
        return false;
    if ((!f.uni_overflow || at < c->n) &&
        !take_macs(&f, c, &at, &f.multi, &f.multi_overflow))
        return false;
    s->filter = f;
    return true;
}

static bool set_mac(struct virtio_net *s, unsigned command,
                    const struct command *c)
{
    if (command == 0)
        return set_table(s, c);
    if (command != 1 || c->n != NET_MAC)
        return false;
    memcpy(s->v.config + CONFIG_MAC, c->data, NET_MAC);
    return true;
}

static bool set_vlan(struct virtio_net *s, unsigned command,
                     const struct command *c)
{
    if (command > 1 || c->n != 2)
        return false;
    unsigned id = load_le16(c->data);
    if (id >= VLANS)
        return false;
    if (command == 0)
        s->filter.vlan[id / 8] |= (uint8_t)BIT(id % 8);
    else
        s->filter.vlan[id / 8] &= (uint8_t)~BIT(id % 8);
    return true;
}

static void tell_offloads(struct virtio_net *s)
{
    uint64_t on = s->guest_offloads;
    unsigned takes = 0;

    if (!s->net || !s->net->accept)
        return;
    if (on & F_GUEST_CSUM) /* the others make no sense without */
        takes = NET_OFF_CSUM | (on & F_GUEST_TSO4 ? NET_OFF_TSO4 : 0) |
                (on & F_GUEST_TSO6 ? NET_OFF_TSO6 : 0) |
                (on & F_GUEST_ECN ? NET_OFF_ECN : 0);
    s->net->accept(s->net->endpoint, takes);
}

static bool set_offloads(struct virtio_net *s, unsigned command,
                         const struct command *c)
{
    if (command != 0 || c->n != 8)
        return false;
    uint64_t on = load_le64(c->data);
    if (on & ~(s->v.accepted & GUEST_OFFLOADS))
        return false;
    s->guest_offloads = on;
    tell_offloads(s);
    return true;
}

static const struct {
    uint8_t class;
    uint64_t feature;
    bool (*run)(struct virtio_net *s, unsigned command,
                const struct command *c);
} commands[] = {
    {0, F_CTRL_RX, set_rx},
    {1, F_CTRL_VQ, set_mac},
    {2, F_CTRL_VLAN, set_vlan},
    {5, F_CTRL_GUEST_OFFLOADS, set_offloads},
};

static bool run_command(struct virtio_net *s, const struct virtq_buf *b)
{
    struct command c;
    uint8_t head[2];

    if (spans_read(b->span, b->nout, 0, head, 2) < 2)
        return false;
    c.n = spans_read(b->span, b->nout, 2, c.data, sizeof c.data);
    for (unsigned i = 0; i < ARRAY_LEN(commands); i++)
        if (commands[i].class == head[0] &&
            virtio_has(&s->v, commands[i].feature))
            return commands[i].run(s, head[1], &c);
    return false;
}

static enum virtio_step ctrl_step(struct virtio_dev *v, unsigned q)
{
    struct virtio_net *s = container_of(v, struct virtio_net, v);
    struct virtq_buf b = {.span = s->span, .addr = s->addr, .max = NET_SPANS};
    uint8_t ack;

    if (virtio_pop(v, q, &b) <= 0)
        return VIRTIO_EMPTY;
    ack = !run_command(s, &b);
    size_t n = spans_write(b.span + b.nout, b.nin, 0, &ack, 1);
    virtio_push(v, q, &b, (uint32_t)n);
    return VIRTIO_TOOK;
}

/* --- the device --- */

static void net_notify(struct virtio_dev *v, unsigned q)
{
    struct virtio_net *s = container_of(v, struct virtio_net, v);

    switch (q) {
    case RX:
        virtq_listen(&v->q[RX], false);
        offer_rx(s);
        break;
    case TX: tx_later(s); break;
    default: virtio_serve(v, q, ctrl_step); break;
    }
}

static void net_ready(struct virtio_dev *v)
{
    struct virtio_net *s = container_of(v, struct virtio_net, v);

    s->guest_offloads = v->accepted & GUEST_OFFLOADS;
    tell_offloads(s);
}

static void net_reset(struct virtio_dev *v)
{
    struct virtio_net *s = container_of(v, struct virtio_net, v);

    s->filter = (struct filter){0};
    memcpy(v->config + CONFIG_MAC, s->mac, NET_MAC);
    s->guest_offloads = 0;
    tell_offloads(s);
    offer_rx(s);
}

static const struct virtio_ops net_device = {
    .id = VIRTIO_ID_NET,
    .notify = net_notify,
    .ready = net_ready,
    .reset = net_reset,
};

static void set_link(struct virtio_net *s)
{
    bool up = s->net && !s->net->down;

    store_le16(s->v.config + CONFIG_STATUS, up ? LINK_UP : 0);
}

static void net_link_changed(void *dev)
{
    struct virtio_net *s = dev;

    set_link(s);
    virtio_config_changed(&s->v);
}

/* --- life --- */

static const struct net_card card = {net_receive, net_writable,
                                     net_link_changed};

static int net_attach(struct dev *d, struct env *env, struct err *e)
{
    struct virtio_net *s = (struct virtio_net *)d;
    int r = net_parse_mac(d->id, s->mac_text, s->mac, e);

    (void)env;
    if (r < 0)
        return r;
    virtio_init(&s->v, d, &net_device, FEATURES);
    virtio_add_queue(&s->v, QUEUE_SIZE);
    virtio_add_queue(&s->v, QUEUE_SIZE);
    virtio_add_queue(&s->v, CTRL_SIZE);
    work_init(&s->tx_work, tx_run, s);
    memcpy(s->v.config + CONFIG_MAC, s->mac, NET_MAC);
    set_link(s);
    s->v.config_bytes = CONFIG_BYTES;
    r = virtio_pci_attach(&s->t, &s->v, d, 0x020000, e);
    if (r == 0)
        net_plug(s->net, &card, s);
    return r;
}

static void net_dev_reset(struct dev *d, bool cold)
{
    (void)cold;
    virtio_pci_reset(&((struct virtio_net *)d)->t);
}

static void net_pause(struct dev *d)
{
    virtio_pause(&((struct virtio_net *)d)->v);
}

static void net_resume(struct dev *d)
{
    struct virtio_net *s = (struct virtio_net *)d;

    virtio_resume(&s->v);
    offer_rx(s); /* also without a driver: then what waits is dropped */
}

static int net_loaded(struct dev *d, uint16_t version)
{
    struct virtio_net *s = (struct virtio_net *)d;
    int r = virtio_pci_loaded(&s->t);

    (void)version;
    if (r < 0)
        return r;
    if (s->filter.uni + s->filter.multi > MACS)
        return -LE_FORMAT;
    s->guest_offloads &= s->v.accepted & GUEST_OFFLOADS;
    s->rx_wait = true; /* nothing is lost by asking */
    set_link(s);
    tell_offloads(s);
    return 0;
}

static void net_detach(struct dev *d)
{
    struct virtio_net *s = (struct virtio_net *)d;

    net_unplug(s->net);
    if (d->env->loop)
        work_cancel(d->env->loop, &s->tx_work);
    virtio_pci_detach(&s->t);
}

static const struct prop net_props[] = {
    NET_PROPS(struct virtio_net),
    VIRTIO_PCI_PROPS(struct virtio_net),
    PROP_END,
};

static const struct field filter_fields[] = {
    FIELDB(struct filter, promisc),
    FIELDB(struct filter, all_multi),
    FIELDB(struct filter, all_uni),
    FIELDB(struct filter, no_multi),
    FIELDB(struct filter, no_uni),
    FIELDB(struct filter, no_broadcast),
    FIELDB(struct filter, uni_overflow),
    FIELDB(struct filter, multi_overflow),
    FIELD_MAX(struct filter, uni, 8, MACS),
    FIELD_MAX(struct filter, multi, 8, MACS),
    FIELD_RAW(struct filter, mac),
    FIELD_RAW(struct filter, vlan),
    FIELD_END,
};

static const struct field net_fields[] = {
    VIRTIO_PCI_STATE(struct virtio_net),
    FIELD_SUB(struct virtio_net, filter, struct filter, filter_fields),
    FIELD64(struct virtio_net, guest_offloads),
    FIELD_END,
};

extern const struct dev_class virtio_net_class;
const struct dev_class virtio_net_class = {
    .name = "virtio-net",
    .summary = "paravirtual network card",
    .spec = "Virtio 1.2, section 5.1",
    .size = sizeof(struct virtio_net),
    .props = net_props,
    .state = net_fields,
    .version = 1,
    .attach = net_attach,
    .reset = net_dev_reset,
    .pause = net_pause,
    .resume = net_resume,
    .loaded = net_loaded,
    .detach = net_detach,
};
