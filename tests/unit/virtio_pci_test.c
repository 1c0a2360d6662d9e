/* The transport, by a device of two queues that gives back what it gets. */
#include "hw/virtio/virtio_pci.h"
#include "vdriver.h"

enum { DEVFN = PCI_DEVFN(1, 0), FEATURE = 1 };
#define V1 (1ull << 32)

struct echo {
    struct dev dev;
    struct virtio_pci t;
    struct virtio_dev v;
    struct span span[8];
    gpa_t addr[8];
    unsigned notified[2], ready, resets, written;
    bool hold; /* keep buffers instead of giving them back */
    struct virtq_buf held;
    unsigned held_queue;
    uint32_t epoch;
};

static enum virtio_step echo_step(struct virtio_dev *v, unsigned q)
{
    struct echo *c = container_of(v, struct echo, v);
    struct virtq_buf b = {.span = c->span, .addr = c->addr, .max = 8};

    if (virtio_pop(v, q, &b) <= 0)
        return VIRTIO_EMPTY;
    if (c->hold) {
        c->held = b;
        c->held_queue = q;
        c->epoch = virtio_begin(v, q);
    } else {
        virtio_push(v, q, &b, (uint32_t)b.in_bytes);
    }
    return VIRTIO_TOOK;
}

static void echo_notify(struct virtio_dev *v, unsigned q)
{
    container_of(v, struct echo, v)->notified[q]++;
    virtio_serve(v, q, echo_step);
}

static void echo_finish(struct echo *c)
{
    if (virtio_wanted(&c->v, c->held_queue, c->epoch))
        virtio_push(&c->v, c->held_queue, &c->held, 7);
    virtio_done(&c->v, c->held_queue);
}

static void echo_ready(struct virtio_dev *v)
{
    container_of(v, struct echo, v)->ready++;
}

static void echo_reset(struct virtio_dev *v)
{
    container_of(v, struct echo, v)->resets++;
}

static void echo_written(struct virtio_dev *v, unsigned off, unsigned bytes)
{
    (void)off;
    (void)bytes;
    container_of(v, struct echo, v)->written++;
}

static const struct virtio_ops echo_ops = {.id = 4,
                                           .notify = echo_notify,
                                           .ready = echo_ready,
                                           .reset = echo_reset,
                                           .config_written = echo_written};

static int echo_attach(struct dev *d, struct env *env, struct err *e)
{
    struct echo *c = (struct echo *)d;

    (void)env;
    virtio_init(&c->v, d, &echo_ops, FEATURE);
    virtio_add_queue(&c->v, 16);
    virtio_add_queue(&c->v, 64);
    memcpy(c->v.config, "\x11\x22\x33\x44\x55\x66", 6);
    c->v.config_bytes = 6;
    c->v.config_mask[1] = 0x0f;
    return virtio_pci_attach(&c->t, &c->v, d, 0x00ff00, e);
}

static void echo_dev_reset(struct dev *d, bool cold)
{
    (void)cold;
    virtio_pci_reset(&((struct echo *)d)->t);
}

static void echo_detach(struct dev *d)
{
    virtio_pci_detach(&((struct echo *)d)->t);
}

static const struct dev_class echo_class = {
    .name = "echo",
    .size = sizeof(struct echo),
    .attach = echo_attach,
    .reset = echo_dev_reset,
    .detach = echo_detach,
};

extern const struct dev_class i440fx_class;

struct rig {
    struct board *b;
    struct dev *host;
    struct echo *c;
    struct vdriver d;
};

static int setup(void **state)
{
    struct rig *r = calloc(1, sizeof *r);

    r->b = board_new();
    r->host = board_add(r->b, &i440fx_class, "host");
    r->c = board_add(r->b, &echo_class, "echo");
    r->d = vd_find(r->b, DEVFN);
    *state = r;
    return 0;
}

static int teardown(void **state)
{
    struct rig *r = *state;

    board_remove(r->c);
    board_remove(r->host);
    board_free(r->b);
    free(r);
    return 0;
}

static void start(struct rig *r, uint64_t features)
{
    assert_true(vd_negotiate(&r->d, V1 | features));
    vd_queue(&r->d, 0, 16);
    vd_queue(&r->d, 1, 64);
    vd_go(&r->d);
}

static void offer(struct rig *r, unsigned q, unsigned head)
{
    ring_desc(&r->d.ring[q], head, 0x300000, 4, D_WRITE, 0);
    ring_offer(&r->d.ring[q], (uint16_t)head);
}

static void identity(void **state)
{
    struct rig *r = *state;

    assert_int_equal(conf_read(r->b, DEVFN, 0, 4), 0x10441af4);
    assert_true(conf_read(r->b, DEVFN, 8, 1) >= 1);
    assert_true(conf_read(r->b, DEVFN, 0x2e, 2) >= 0x40);
    assert_int_equal(vc_read(&r->d, V_NUM_QUEUES, 2), 2);
    assert_int_equal(vd_offered(&r->d), FEATURE | 0x10130000000);
    vc_write(&r->d, V_DEVICE_SELECT, 2, 4);
    assert_int_equal(vc_read(&r->d, V_DEVICE_FEATURE, 4), 0);
}

static void negotiation(void **state)
{
    struct rig *r = *state;
    struct vdriver *d = &r->d;

    assert_false(vd_negotiate(d, 0));      /* no virtio 1 */
    assert_false(vd_negotiate(d, V1 | 2)); /* not offered */
    assert_false(vd_negotiate(d, V1 | 1ull << 63));
    assert_true(vd_negotiate(d, V1 | FEATURE));
    vc_write(d, V_DRIVER_SELECT, 0, 4);
    assert_int_equal(vc_read(d, V_DRIVER_FEATURE, 4), FEATURE);
    vc_write(d, V_DRIVER_FEATURE, 0, 4); /* too late */
    assert_int_equal(vc_read(d, V_DRIVER_FEATURE, 4), FEATURE);
    /* No DRIVER_OK without FEATURES_OK; bits only come. */
    vc_write(d, V_STATUS, 0, 1);
    vc_write(d, V_STATUS, S_ACK | S_DRIVER_OK, 1);
    assert_int_equal(vc_read(d, V_STATUS, 1), S_ACK);
    vc_write(d, V_STATUS, S_DRIVER, 1);
    assert_int_equal(vc_read(d, V_STATUS, 1), S_ACK | S_DRIVER);
    /* A driver cannot claim what only the device says. */
    vc_write(d, V_STATUS, S_NEEDS_RESET | 0x30, 1);
    assert_int_equal(vc_read(d, V_STATUS, 1), S_ACK | S_DRIVER);
    vc_write(d, V_STATUS, 128, 1);
    assert_int_equal(vc_read(d, V_STATUS, 1), S_ACK | S_DRIVER | 128);
}

static void queue_registers(void **state)
{
    struct rig *r = *state;
    struct vdriver *d = &r->d;

    assert_true(vd_negotiate(d, V1));
    vc_write(d, V_QUEUE_SELECT, 1, 2);
    assert_int_equal(vc_read(d, V_QUEUE_SIZE, 2), 64);
    vc_write(d, V_QUEUE_SIZE, 128, 2);
    vc_write(d, V_QUEUE_SIZE, 12, 2);
    vc_write(d, V_QUEUE_SIZE, 0, 2);
    assert_int_equal(vc_read(d, V_QUEUE_SIZE, 2), 64);
    vc_write(d, V_QUEUE_SIZE, 32, 2);
    assert_int_equal(vc_read(d, V_QUEUE_SIZE, 2), 32);
    /* A 64-bit address by halves, or by bytes. */
    vc_write(d, V_DESC, 0x11223344, 4);
    vc_write(d, V_DESC + 4, 0x55667788, 4);
    assert_int_equal(vc_read(d, V_DESC + 4, 4), 0x55667788);
    vc_write(d, V_DESC + 1, 0xee, 1);
    assert_int_equal(vc_read(d, V_DESC, 4), 0x1122ee44);
    vc_write(d, V_DESC, 0x200000, 8);
    vc_write(d, V_QUEUE_ENABLE, 0, 2);
    assert_int_equal(vc_read(d, V_QUEUE_ENABLE, 2), 0);
    vc_write(d, V_QUEUE_ENABLE, 1, 2);
    assert_int_equal(vc_read(d, V_QUEUE_ENABLE, 2), 1);
    vc_write(d, V_DESC, 0x400000, 8); /* in use */
    vc_write(d, V_QUEUE_SIZE, 16, 2);
    vc_write(d, V_QUEUE_ENABLE, 0, 2);
    assert_int_equal(vc_read(d, V_DESC, 4), 0x200000);
    assert_int_equal(vc_read(d, V_QUEUE_SIZE, 2), 32);
    assert_int_equal(vc_read(d, V_QUEUE_ENABLE, 2), 1);
    assert_int_equal(vc_read(d, V_NOTIFY_OFF, 2), 1);
    /* There is no queue 2. */
    vc_write(d, V_QUEUE_SELECT, 2, 2);
    assert_int_equal(vc_read(d, V_QUEUE_SIZE, 2), 0);
    vc_write(d, V_QUEUE_ENABLE, 1, 2);
    vc_write(d, V_QUEUE_VECTOR, 1, 2);
    vc_write(d, V_QUEUE_RESET, 1, 2);
    assert_int_equal(vc_read(d, V_QUEUE_ENABLE, 2), 0);
    assert_int_equal(vc_read(d, V_QUEUE_VECTOR, 2), 0xffff);
    vc_write(d, V_QUEUE_SELECT, 0xffff, 2);
    assert_int_equal(vc_read(d, V_DESC, 4), 0);
}

static void pin_interrupt(void **state)
{
    struct rig *r = *state;
    uint32_t head, len;

    start(r, 0);
    offer(r, 0, 3);
    assert_int_equal(ring_used_idx(&r->d.ring[0]), 0);
    vd_kick(&r->d, 0);
    assert_true(ring_take(&r->d.ring[0], &head, &len));
    assert_int_equal(head, 3);
    assert_int_equal(len, 4);
    assert_true(r->c->t.pci.intx);
    assert_int_equal(vd_isr(&r->d), 1);
    assert_false(r->c->t.pci.intx);
    assert_int_equal(vd_isr(&r->d), 0);
    virtio_config_changed(&r->c->v);
    assert_int_equal(vc_read(&r->d, V_GENERATION, 1), 1);
    offer(r, 1, 0);
    vd_kick(&r->d, 1);
    assert_int_equal(vd_isr(&r->d), 3);
}

static void msix_interrupt(void **state)
{
    struct rig *r = *state;
    struct vdriver *d = &r->d;

    vd_msix(d);
    vc_write(d, V_STATUS, 0, 1);
    assert_int_equal(vc_read(d, V_CONFIG_VECTOR, 2), 0xffff);
    start(r, 0);
    offer(r, 0, 0);
    vd_kick(d, 0);
    assert_int_equal(r->b->nmsi, 0); /* no vector */
    vc_write(d, V_CONFIG_VECTOR, 0, 2);
    vc_write(d, V_QUEUE_SELECT, 1, 2);
    vc_write(d, V_QUEUE_VECTOR, 2, 2);
    assert_int_equal(vc_read(d, V_QUEUE_VECTOR, 2), 2);
    offer(r, 1, 0);
    vd_kick(d, 1);
    assert_int_equal(r->b->nmsi, 1);
    assert_int_equal(r->b->msi[0].data, 0x42);
    virtio_config_changed(&r->c->v);
    assert_int_equal(r->b->msi[1].data, 0x40);
    assert_int_equal(vd_isr(d), 0);
    assert_false(r->c->t.pci.intx);
    /* Three vectors: 3 is none. */
    vc_write(d, V_QUEUE_SELECT, 1, 2);
    vc_write(d, V_QUEUE_VECTOR, 3, 2);
    assert_int_equal(vc_read(d, V_QUEUE_VECTOR, 2), 0xffff);
    vc_write(d, V_CONFIG_VECTOR, 0x1234, 2);
    assert_int_equal(vc_read(d, V_CONFIG_VECTOR, 2), 0xffff);
}

static void notify_everything(void **state)
{
    struct rig *r = *state;
    struct vdriver *d = &r->d;

    /* Before DRIVER_OK nothing happens; then what waits is found. */
    assert_true(vd_negotiate(d, V1));
    vd_queue(d, 0, 16);
    offer(r, 0, 1);
    vd_kick(d, 0);
    assert_int_equal(r->c->notified[0], 0);
    vd_go(d);
    assert_int_equal(r->c->ready, 1);
    assert_int_equal(ring_used_idx(&d->ring[0]), 1);
    /* Queue 1 is not enabled, queue 2 is not there. */
    vd_kick(d, 1);
    for (unsigned off = 0; off < 0x1000; off += 4)
        mem_write(r->b, d->notify + off, 0xffffffff, 4);
    assert_int_equal(r->c->notified[1], 0);
}

static void config_space(void **state)
{
    struct rig *r = *state;
    struct vdriver *d = &r->d;

    assert_int_equal(mem_read(r->b, d->device, 4), 0x44332211);
    assert_int_equal(mem_read(r->b, d->device + 4, 4), 0x6655);
    assert_int_equal(mem_read(r->b, d->device + 0x800, 4), 0);
    mem_write(r->b, d->device, 0, 4);
    assert_int_equal(mem_read(r->b, d->device, 4), 0x44332011);
    assert_int_equal(r->c->written, 1);
    mem_write(r->b, d->device + 0xffc, ~0ull, 4);
    assert_int_equal(r->c->written, 1);
}

/* §4.1.4.9: everything can be done through configuration space alone. */
static void window(void **state)
{
    struct rig *r = *state;
    struct board *b = r->b;
    unsigned w = r->d.window;

    conf_write(b, DEVFN, PCI_COMMAND, PCI_CMD_MASTER, 2); /* no decoding */
    conf_write(b, DEVFN, w + 4, 0, 1);
    conf_write(b, DEVFN, w + 8, 0x2000, 4);
    conf_write(b, DEVFN, w + 12, 4, 4);
    assert_int_equal(conf_read(b, DEVFN, w + 16, 4), 0x44332211);
    conf_write(b, DEVFN, w + 12, 2, 4);
    assert_int_equal(conf_read(b, DEVFN, w + 16, 4), 0x2211);
    conf_write(b, DEVFN, w + 8, V_STATUS, 4);
    conf_write(b, DEVFN, w + 12, 1, 4);
    conf_write(b, DEVFN, w + 16, S_ACK, 4);
    assert_int_equal(conf_read(b, DEVFN, w + 16, 1), S_ACK);
    assert_int_equal(r->c->v.status, S_ACK);
    /* Nonsense is ignored. */
    static const uint32_t bad[][3] = {{1, 0, 4},      {0, 0, 3},  {0, 0, 0},
                                      {0, 0x4000, 1}, {0, 1, 4},  {0, 0, 8},
                                      {0, ~0u, 4},    {255, 0, 1}};
    for (unsigned i = 0; i < ARRAY_LEN(bad); i++) {
        conf_write(b, DEVFN, w + 4, bad[i][0], 1);
        conf_write(b, DEVFN, w + 8, bad[i][1], 4);
        conf_write(b, DEVFN, w + 12, bad[i][2], 4);
        conf_write(b, DEVFN, w + 16, 0xdeadbeef, 4);
        assert_int_equal(conf_read(b, DEVFN, w + 16, 4), 0xdeadbeef);
    }
    assert_int_equal(r->c->v.status, S_ACK);
}

static void broken_ring(void **state)
{
    struct rig *r = *state;
    struct vdriver *d = &r->d;

    start(r, 0);
    vd_msix(d);
    vc_write(d, V_CONFIG_VECTOR, 0, 2);
    ring_desc(&d->ring[0], 0, 0xf0000000, 4, 0, 0);
    ring_offer(&d->ring[0], 0);
    vd_kick(d, 0);
    assert_true(vc_read(d, V_STATUS, 1) & S_NEEDS_RESET);
    assert_int_equal(r->b->nmsi, 1);
    /* The other queue stands still, too, until the reset. */
    offer(r, 1, 0);
    vd_kick(d, 1);
    assert_int_equal(ring_used_idx(&d->ring[1]), 0);
    start(r, 0);
    offer(r, 1, 0);
    vd_kick(d, 1);
    assert_int_equal(ring_used_idx(&d->ring[1]), 1);
    assert_false(vc_read(d, V_STATUS, 1) & S_NEEDS_RESET);
}

static void reset(void **state)
{
    struct rig *r = *state;
    struct vdriver *d = &r->d;

    start(r, FEATURE);
    vc_write(d, V_QUEUE_SELECT, 1, 2);
    vc_write(d, V_STATUS, 0, 1);
    assert_int_equal(vc_read(d, V_STATUS, 1), 0);
    assert_int_equal(vc_read(d, V_QUEUE_SELECT, 2), 0);
    assert_int_equal(vc_read(d, V_QUEUE_ENABLE, 2), 0);
    assert_int_equal(vc_read(d, V_DESC, 4), 0);
    vc_write(d, V_DRIVER_SELECT, 0, 4);
    assert_int_equal(vc_read(d, V_DRIVER_FEATURE, 4), 0);
}

static void reset_waits_for_requests(void **state)
{
    struct rig *r = *state;
    struct vdriver *d = &r->d;
    unsigned resets;

    start(r, 0);
    resets = r->c->resets;
    r->c->hold = true;
    offer(r, 0, 0);
    vd_kick(d, 0);
    assert_int_equal(r->c->dev.inflight, 1);
    vc_write(d, V_STATUS, 0, 1);
    assert_int_not_equal(vc_read(d, V_STATUS, 1), 0);
    /* Meanwhile nothing else is heard. */
    vc_write(d, V_STATUS, S_ACK, 1);
    offer(r, 1, 0);
    vd_kick(d, 1);
    assert_int_equal(r->c->dev.inflight, 1);
    assert_int_equal(r->c->resets, resets);
    echo_finish(r->c);
    assert_int_equal(vc_read(d, V_STATUS, 1), 0);
    assert_int_equal(r->c->resets, resets + 1);
    assert_int_equal(r->c->dev.inflight, 0);
    assert_int_equal(ring_used_idx(&d->ring[0]), 0);
}

static void queue_reset(void **state)
{
    struct rig *r = *state;
    struct vdriver *d = &r->d;
    uint64_t ring_reset = 1ull << 40;

    start(r, 0);
    vc_write(d, V_QUEUE_SELECT, 0, 2);
    vc_write(d, V_QUEUE_RESET, 1, 2); /* not negotiated */
    assert_int_equal(vc_read(d, V_QUEUE_ENABLE, 2), 1);

    start(r, ring_reset);
    r->c->hold = true;
    offer(r, 0, 0);
    vd_kick(d, 0);
    vc_write(d, V_QUEUE_SELECT, 0, 2);
    vc_write(d, V_QUEUE_RESET, 1, 2);
    assert_int_equal(vc_read(d, V_QUEUE_RESET, 2), 1);
    echo_finish(r->c);
    assert_int_equal(vc_read(d, V_QUEUE_RESET, 2), 0);
    assert_int_equal(vc_read(d, V_QUEUE_ENABLE, 2), 0);
    assert_int_equal(vc_read(d, V_QUEUE_SIZE, 2), 16);
    /* The other queue never noticed. */
    r->c->hold = false;
    offer(r, 1, 0);
    vd_kick(d, 1);
    assert_int_equal(ring_used_idx(&d->ring[1]), 1);
    vd_queue(d, 0, 8);
    offer(r, 0, 5);
    vd_kick(d, 0);
    assert_int_equal(ring_used_idx(&d->ring[0]), 1);
}

/*
 * RESET# does not wait; what comes back later goes nowhere, and a driver's own
 * reset waits for it.
 */
static void hard_reset_in_flight(void **state)
{
    struct rig *r = *state;

    start(r, 0);
    r->c->hold = true;
    offer(r, 0, 0);
    vd_kick(&r->d, 0);
    r->c->dev.cls->reset(&r->c->dev, true);
    assert_int_equal(r->c->v.status, 0);
    r->d = vd_find(r->b, DEVFN);
    vc_write(&r->d, V_STATUS, S_ACK, 1);
    vc_write(&r->d, V_STATUS, 0, 1);
    assert_int_equal(vc_read(&r->d, V_STATUS, 1), S_ACK);
    echo_finish(r->c);
    assert_int_equal(vc_read(&r->d, V_STATUS, 1), 0);
    assert_int_equal(r->c->dev.inflight, 0);
    assert_int_equal(load_le16(r->b->env.ram + VRINGS + 0xa002), 0);
    r->c->hold = false;
    start(r, 0);
    offer(r, 0, 0);
    vd_kick(&r->d, 0);
    assert_int_equal(ring_used_idx(&r->d.ring[0]), 1);
}

/* A driver that trusts RESET# and starts at once: the old request comes back
   to a queue that is no longer the one it was taken from. */
static void stale_request(void **state)
{
    static const uint8_t steps[] = {S_ACK, S_DRIVER, S_FEATURES_OK};
    struct rig *r = *state;

    start(r, 0);
    r->c->hold = true;
    offer(r, 0, 0);
    vd_kick(&r->d, 0);
    r->c->dev.cls->reset(&r->c->dev, true);
    r->d = vd_find(r->b, DEVFN);
    vc_write(&r->d, V_DRIVER_SELECT, 1, 4);
    vc_write(&r->d, V_DRIVER_FEATURE, 1, 4);
    for (unsigned i = 0; i < sizeof steps; i++)
        vc_write(&r->d, V_STATUS, steps[i], 1);
    vd_queue(&r->d, 0, 16);
    vd_go(&r->d);
    assert_true(vc_read(&r->d, V_STATUS, 1) & S_DRIVER_OK);
    echo_finish(r->c);
    assert_int_equal(ring_used_idx(&r->d.ring[0]), 0);
    r->c->hold = false;
    offer(r, 0, 0);
    vd_kick(&r->d, 0);
    assert_int_equal(ring_used_idx(&r->d.ring[0]), 1);
}

static void bus_mastering(void **state)
{
    struct rig *r = *state;
    struct vdriver *d = &r->d;

    start(r, 0);
    r->c->hold = true;
    offer(r, 1, 0);
    vd_kick(d, 1);
    r->c->hold = false;
    conf_write(r->b, DEVFN, PCI_COMMAND, PCI_CMD_MEM, 2);
    echo_finish(r->c); /* no DMA: lost */
    offer(r, 0, 0);
    vd_kick(d, 0);
    assert_int_equal(ring_used_idx(&d->ring[0]), 0);
    assert_int_equal(ring_used_idx(&d->ring[1]), 0);
    conf_write(r->b, DEVFN, PCI_COMMAND, PCI_CMD_MEM | PCI_CMD_MASTER, 2);
    assert_int_equal(ring_used_idx(&d->ring[0]), 1);
}

static void pause_and_resume(void **state)
{
    struct rig *r = *state;

    start(r, 0);
    virtio_pause(&r->c->v);
    offer(r, 0, 0);
    vd_kick(&r->d, 0);
    assert_int_equal(ring_used_idx(&r->d.ring[0]), 0);
    virtio_resume(&r->c->v);
    assert_int_equal(ring_used_idx(&r->d.ring[0]), 1);
}

/* Everything a driver set up comes back, and nothing that is wrong does. */
static void loaded(void **state)
{
    struct rig *r = *state;
    struct echo *c = r->c;

    start(r, FEATURE);
    vc_write(&r->d, V_QUEUE_SELECT, 0, 2);
    size_t n = state_size(virtio_fields, 1);
    size_t m = state_size(virtio_pci_fields, 1);
    uint8_t *saved = malloc(n + m);
    struct err e = {0};

    state_save(virtio_fields, 1, &c->v, saved);
    state_save(virtio_pci_fields, 1, &c->t, saved + n);
    c->dev.cls->reset(&c->dev, true);
    assert_int_equal(state_load(virtio_fields, 1, &c->v, saved, n, &e), 0);
    assert_int_equal(state_load(virtio_pci_fields, 1, &c->t, saved + n, m, &e),
                     0);
    assert_int_equal(virtio_pci_loaded(&c->t), 0);
    virtio_resume(&c->v);
    offer(r, 0, 0);
    vd_kick(&r->d, 0);
    assert_int_equal(ring_used_idx(&r->d.ring[0]), 1);

    c->t.queue_vector[0] = 99;
    assert_int_equal(virtio_pci_loaded(&c->t), 0);
    assert_int_equal(c->t.queue_vector[0], 0xffff);
    c->v.accepted |= 1ull << 50;
    assert_int_equal(virtio_pci_loaded(&c->t), -LE_FORMAT);
    c->v.accepted = 0; /* FEATURES_OK without virtio 1 */
    assert_int_equal(virtio_pci_loaded(&c->t), -LE_FORMAT);
    c->v.accepted = V1;
    c->v.q[1].size = 128;
    assert_int_equal(virtio_pci_loaded(&c->t), -LE_FORMAT);
    free(saved);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(identity),
        T(negotiation),
        T(queue_registers),
        T(pin_interrupt),
        T(msix_interrupt),
        T(notify_everything),
        T(config_space),
        T(window),
        T(broken_ring),
        T(reset),
        T(reset_waits_for_requests),
        T(queue_reset),
        T(hard_reset_in_flight),
        T(stale_request),
        T(bus_mastering),
        T(pause_and_resume),
        T(loaded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
