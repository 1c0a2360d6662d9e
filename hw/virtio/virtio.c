/* The transport-independent part of a virtio device: virtio 1.2 chapter 2. */
#include "base/bits.h"
#include "hw/virtio/virtio.h"

#define STATUS_BITS                                                            \
    (VIRTIO_ACKNOWLEDGE | VIRTIO_DRIVER | VIRTIO_DRIVER_OK |                   \
     VIRTIO_FEATURES_OK | VIRTIO_NEEDS_RESET | VIRTIO_FAILED)

const struct field virtio_fields[] = {
    FIELD_SUB(struct virtio_dev, q, struct virtq, virtq_fields),
    FIELD64(struct virtio_dev, accepted),
    FIELD8(struct virtio_dev, status),
    FIELD8(struct virtio_dev, generation),
    FIELD_RAW(struct virtio_dev, config),
    FIELD_END,
};

/* --- what device models call --- */

static void look_again(void *ctx)
{
    struct virtio_dev *v = ctx;
    uint8_t due = v->again;

    v->again = 0;
    for (; due; due &= due - 1)
        virtio_notify(v, (unsigned)__builtin_ctz(due));
}

void virtio_init(struct virtio_dev *v, struct dev *d,
                 const struct virtio_ops *ops, uint64_t features)
{
    v->ops = ops;
    v->dev = d;
    v->offered = features | VIRTIO_F_INDIRECT_DESC | VIRTIO_F_EVENT_IDX |
                 VIRTIO_F_VERSION_1 | VIRTIO_F_RING_RESET;
    work_init(&v->again_work, look_again, v);
}

void virtio_add_queue(struct virtio_dev *v, unsigned max)
{
    struct virtq *q = &v->q[v->nq++];

    *q = (struct virtq){.mem = v->dev->env->mem, .max = (uint16_t)max};
    virtq_reset(q);
}

void virtio_exit(struct virtio_dev *v)
{
    if (v->dev && v->dev->env->loop)
        work_cancel(v->dev->env->loop, &v->again_work);
}

bool virtio_running(const struct virtio_dev *v)
{
    return (v->status & VIRTIO_DRIVER_OK) &&
           !(v->status & VIRTIO_NEEDS_RESET) && v->master && !v->paused &&
           !v->resetting;
}

bool virtio_has(const struct virtio_dev *v, uint64_t feature)
{
    return v->accepted & feature;
}

void virtio_broken(struct virtio_dev *v, const char *what)
{
    log_guest(&v->log, "%s: %s; the driver has to reset it", v->dev->id, what);
    if (v->status & VIRTIO_NEEDS_RESET)
        return;
    v->status |= VIRTIO_NEEDS_RESET;
    if (v->status & VIRTIO_DRIVER_OK)
        v->transport->config_irq(v->transport_ctx);
}

static bool queue_running(const struct virtio_dev *v, unsigned q)
{
    return virtio_running(v) && v->q[q].ready && !(v->queue_resetting & BIT(q));
}

int virtio_pop(struct virtio_dev *v, unsigned q, struct virtq_buf *b)
{
    if (!queue_running(v, q))
        return 0;
    int r = virtq_pop(&v->q[q], b);
    if (r < 0) {
        virtio_broken(v, "a queue breaks the rules");
        return 0;
    }
    return r;
}

/* May we write to the driver's RAM? A pause does not matter: it waits. */
static bool pushes(const struct virtio_dev *v)
{
    return v->master && !v->resetting && !(v->status & VIRTIO_NEEDS_RESET);
}

void virtio_push(struct virtio_dev *v, unsigned q, const struct virtq_buf *b,
                 uint32_t written)
{
    if (!pushes(v))
        return;
    virtq_fill(&v->q[q], b, written, 0);
    virtio_publish(v, q, 1);
}

void virtio_publish(struct virtio_dev *v, unsigned q, unsigned count)
{
    if (!pushes(v))
        return;
    virtq_publish(&v->q[q], count);
    if (virtq_wants_irq(&v->q[q]))
        v->transport->queue_irq(v->transport_ctx, q);
}

/* Drivers need not tell us of buffers while we look for them anyway. */
void virtio_serve(struct virtio_dev *v, unsigned q,
                  enum virtio_step (*step)(struct virtio_dev *v, unsigned q))
{
    struct virtq *ring = &v->q[q];

    virtq_listen(ring, false);
    for (unsigned left = ring->size; left; left--) {
        enum virtio_step s = step(v, q);
        if (s == VIRTIO_BLOCKED || !queue_running(v, q))
            return;
        if (s == VIRTIO_TOOK)
            continue;
        if (!virtq_listen(ring, true))
            return;
        virtq_listen(ring, false);
    }
    virtio_again(v, q);
}

void virtio_again(struct virtio_dev *v, unsigned q)
{
    v->again |= (uint8_t)BIT(q);
    loop_post(v->dev->env->loop, &v->again_work);
}

void virtio_config_changed(struct virtio_dev *v)
{
    v->generation++;
    if (v->status & VIRTIO_DRIVER_OK)
        v->transport->config_irq(v->transport_ctx);
}

/* --- notification --- */

void virtio_notify(struct virtio_dev *v, unsigned q)
{
    if (q < v->nq && queue_running(v, q))
        v->ops->notify(v, q);
}

static void notify_all(struct virtio_dev *v)
{
    for (unsigned q = 0; q < v->nq; q++)
        virtio_notify(v, q);
}

void virtio_pause(struct virtio_dev *v)
{
    v->paused = true;
}

void virtio_resume(struct virtio_dev *v)
{
    v->paused = false;
    notify_all(v);
}

void virtio_set_master(struct virtio_dev *v, bool master)
{
    bool begins = master && !v->master;

    v->master = master;
    if (begins)
        notify_all(v);
}

/* --- reset --- */

static void forget_queue(struct virtio_dev *v, unsigned q)
{
    virtq_reset(&v->q[q]);
    v->epoch[q]++;
    v->queue_resetting &= (uint8_t)~BIT(q);
}

static void finish_reset(struct virtio_dev *v)
{
    v->resetting = false;
    v->accepted = 0;
    v->again = 0;
    for (unsigned q = 0; q < v->nq; q++)
        forget_queue(v, q);
    if (v->ops->reset)
        v->ops->reset(v);
    v->status = 0;
    if (v->transport)
        v->transport->reset_done(v->transport_ctx);
}

void virtio_hard_reset(struct virtio_dev *v)
{
    v->generation = 0;
    finish_reset(v);
}

static bool busy(const struct virtio_dev *v)
{
    for (unsigned q = 0; q < v->nq; q++)
        if (v->inflight[q])
            return true;
    return false;
}

uint32_t virtio_begin(struct virtio_dev *v, unsigned q)
{
    v->inflight[q]++;
    v->dev->inflight++;
    return v->epoch[q];
}

bool virtio_wanted(const struct virtio_dev *v, unsigned q, uint32_t epoch)
{
    return v->epoch[q] == epoch && pushes(v);
}

void virtio_done(struct virtio_dev *v, unsigned q)
{
    v->inflight[q]--;
    v->dev->inflight--;
    if ((v->queue_resetting & BIT(q)) && !v->inflight[q])
        forget_queue(v, q);
    if (v->resetting && !busy(v))
        finish_reset(v);
}

void virtio_reset_queue(struct virtio_dev *v, unsigned q)
{
    if (q >= v->nq || !virtio_has(v, VIRTIO_F_RING_RESET) || !v->q[q].ready)
        return;
    if (v->inflight[q])
        v->queue_resetting |= (uint8_t)BIT(q);
    else
        forget_queue(v, q);
}

/* --- setting up --- */

void virtio_set_features(struct virtio_dev *v, uint64_t accepted)
{
    if (!(v->status & VIRTIO_FEATURES_OK) && !v->resetting)
        v->accepted = accepted;
}

/* Only features that are offered, and no driver from before virtio 1. */
static bool features_ok(const struct virtio_dev *v)
{
    return !(v->accepted & ~v->offered) && virtio_has(v, VIRTIO_F_VERSION_1);
}

static void set_ring_features(struct virtio_dev *v)
{
    for (unsigned q = 0; q < v->nq; q++) {
        v->q[q].indirect = virtio_has(v, VIRTIO_F_INDIRECT_DESC);
        v->q[q].event_idx = virtio_has(v, VIRTIO_F_EVENT_IDX);
    }
}

/* §2.1.2: bits come one after the other; only a reset takes them away. */
void virtio_set_status(struct virtio_dev *v, uint8_t status)
{
    if (v->resetting)
        return;
    if (!status) {
        if (busy(v))
            v->resetting = true;
        else
            finish_reset(v);
        return;
    }
    uint8_t rises = status & ~v->status & STATUS_BITS & ~VIRTIO_NEEDS_RESET;
    if ((rises & VIRTIO_FEATURES_OK) && !features_ok(v))
        rises &= (uint8_t)~VIRTIO_FEATURES_OK;
    if (!((v->status | rises) & VIRTIO_FEATURES_OK))
        rises &= (uint8_t)~VIRTIO_DRIVER_OK;
    v->status |= rises;
    if (rises & VIRTIO_FEATURES_OK)
        set_ring_features(v);
    if (rises & VIRTIO_DRIVER_OK) {
        if (v->ops->ready)
            v->ops->ready(v);
        notify_all(v);
    }
}

void virtio_set_queue_size(struct virtio_dev *v, unsigned q, uint16_t size)
{
    if (!v->q[q].ready && is_power_of_two(size) && size <= v->q[q].max)
        v->q[q].size = size;
}

void virtio_enable_queue(struct virtio_dev *v, unsigned q)
{
    if (v->resetting || !(v->status & VIRTIO_FEATURES_OK) || v->q[q].ready)
        return;
    v->q[q].ready = true;
    set_ring_features(v);
    virtio_notify(v, q); /* after a queue reset it may have buffers already */
}

void virtio_config_write(struct virtio_dev *v, unsigned off, uint8_t byte)
{
    if (off >= v->config_bytes || !v->config_mask[off] || v->resetting)
        return;
    v->config[off] = (uint8_t)((v->config[off] & ~v->config_mask[off]) |
                               (byte & v->config_mask[off]));
    if (v->ops->config_written)
        v->ops->config_written(v, off, 1);
}

/* --- snapshots --- */

int virtio_loaded(struct virtio_dev *v)
{
    v->status &= STATUS_BITS;
    if (v->accepted & ~v->offered)
        return -LE_FORMAT;
    if ((v->status & VIRTIO_FEATURES_OK) && !features_ok(v))
        return -LE_FORMAT;
    for (unsigned q = 0; q < v->nq; q++) {
        int r = virtq_loaded(&v->q[q]);
        if (r < 0)
            return r;
    }
    set_ring_features(v);
    return 0;
}
