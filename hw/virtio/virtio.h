/*
 * Virtio devices, whatever carries them: virtio 1.2 chapter 2. A device model
 * embeds a struct virtio_dev, names its queues and features in attach() and
 * answers virtio_ops; a transport (virtio_pci.h) shows it to the guest and
 * drives the functions of the second half.
 *
 * A driver that breaks a rule of the rings gets DEVICE_NEEDS_RESET, and the
 * device does nothing more for it until it is reset. A reset that comes while
 * requests are in flight is finished when they are; until then the status
 * register does not read as 0, which is what drivers wait for.
 *
 * Machine lock held throughout.
 */
#ifndef HW_VIRTIO_VIRTIO_H
#define HW_VIRTIO_VIRTIO_H

#include "hw/virtio/virtqueue.h"
#include "lodge/device.h"

enum { VIRTIO_QUEUES = 8, VIRTIO_CONFIG = 64 }; /* most of them; bytes */

enum { /* device types, chapter 5 */
       VIRTIO_ID_NET = 1,
       VIRTIO_ID_BLOCK = 2,
       VIRTIO_ID_CONSOLE = 3,
       VIRTIO_ID_RNG = 4,
};

enum { /* device status, §2.1 */
       VIRTIO_ACKNOWLEDGE = 1,
       VIRTIO_DRIVER = 2,
       VIRTIO_DRIVER_OK = 4,
       VIRTIO_FEATURES_OK = 8,
       VIRTIO_NEEDS_RESET = 64,
       VIRTIO_FAILED = 128,
};

/* Features of every device, chapter 6. */
#define VIRTIO_F_INDIRECT_DESC BIT64(28)
#define VIRTIO_F_EVENT_IDX     BIT64(29)
#define VIRTIO_F_VERSION_1     BIT64(32)
#define VIRTIO_F_RING_RESET    BIT64(40)

struct virtio_dev;

/* The device model's side; all but notify may be NULL. */
struct virtio_ops {
    uint16_t id; /* VIRTIO_ID_… */
    /* There may be new buffers in queue q. The lock is held, so this must not
       take long: virtio_serve() keeps to that. */
    void (*notify)(struct virtio_dev *v, unsigned q);
    /* The driver is ready (DRIVER_OK); notify for each queue follows. */
    void (*ready)(struct virtio_dev *v);
    /* Nothing is in flight; forget the driver. Queues are reset around it. */
    void (*reset)(struct virtio_dev *v);
    /* Software wrote config[off..off+bytes), as far as it is writable. */
    void (*config_written)(struct virtio_dev *v, unsigned off, unsigned bytes);
};

/* The transport's side. */
struct virtio_transport {
    void (*queue_irq)(void *transport, unsigned q);
    void (*config_irq)(void *transport);
    void (*reset_done)(void *transport);
};

struct virtio_dev {
    const struct virtio_ops *ops;
    struct dev *dev;
    const struct virtio_transport *transport;
    void *transport_ctx;

    struct virtq q[VIRTIO_QUEUES];
    unsigned nq;
    uint64_t offered, accepted; /* features */
    uint8_t status;
    uint8_t generation; /* of the configuration */
    uint8_t config[VIRTIO_CONFIG], config_mask[VIRTIO_CONFIG];
    unsigned config_bytes;

    bool master;             /* the transport may do DMA */
    bool paused;             /* dev_class.pause */
    bool resetting;          /* waits for what is in flight */
    uint8_t queue_resetting; /* likewise, a bit for each queue */
    unsigned inflight[VIRTIO_QUEUES];
    uint32_t epoch[VIRTIO_QUEUES]; /* resets of the queue so far */
    struct work again_work;
    uint8_t again; /* queues to look at again */
    struct ratelimit log;
};
extern const struct field virtio_fields[];

/* --- for device models --- */

/* In attach: before the transport's. Adds the features of every device. */
void virtio_init(struct virtio_dev *v, struct dev *d,
                 const struct virtio_ops *ops, uint64_t features);
/* A queue of `max` entries, a power of two up to VIRTQ_MAX. */
void virtio_add_queue(struct virtio_dev *v, unsigned max);
/* In detach. */
void virtio_exit(struct virtio_dev *v);

/* May the device look at its queues now? */
bool virtio_running(const struct virtio_dev *v);
bool virtio_has(const struct virtio_dev *v, uint64_t feature);
/* As virtq_pop(), but 0 also when not running, and when the queue broke: the
   driver is told. */
int virtio_pop(struct virtio_dev *v, unsigned q, struct virtq_buf *b);
/* As virtq_push(), and interrupts the driver if it wants it. Not running: the
   buffer is lost, as its driver is. */
void virtio_push(struct virtio_dev *v, unsigned q, const struct virtq_buf *b,
                 uint32_t written);
/* As virtq_publish(), for buffers that virtq_fill() took; and interrupts. */
void virtio_publish(struct virtio_dev *v, unsigned q, unsigned count);
/*
 * Serves queue q, from notify: calls step until the ring is empty or step is
 * blocked, a ring full at most; what is left then comes with virtio_again().
 * BLOCKED: the model calls virtio_again() when it can go on.
 */
enum virtio_step { VIRTIO_TOOK, VIRTIO_EMPTY, VIRTIO_BLOCKED };
void virtio_serve(struct virtio_dev *v, unsigned q,
                  enum virtio_step (*step)(struct virtio_dev *v, unsigned q));
/* The driver did what it must not: DEVICE_NEEDS_RESET. */
void virtio_broken(struct virtio_dev *v, const char *what);
/* Calls notify for q once more, soon, from the loop. */
void virtio_again(struct virtio_dev *v, unsigned q);
/* The device's configuration changed by itself. */
void virtio_config_changed(struct virtio_dev *v);

/*
 * What a device has given to others holds off resets and pauses. begin returns
 * the epoch of the queue, which a reset ends. When it comes back:
 *     if (virtio_wanted(v, q, epoch)) virtio_push(…);
 *     virtio_done(v, q);
 * wanted: the driver that offered the buffer still waits for it, so its RAM
 * may be written.
 */
uint32_t virtio_begin(struct virtio_dev *v, unsigned q);
bool virtio_wanted(const struct virtio_dev *v, unsigned q, uint32_t epoch);
void virtio_done(struct virtio_dev *v, unsigned q);

/* dev_class.pause and .resume. */
void virtio_pause(struct virtio_dev *v);
void virtio_resume(struct virtio_dev *v);

/* --- for transports --- */

void virtio_notify(struct virtio_dev *v, unsigned q);
void virtio_set_features(struct virtio_dev *v, uint64_t accepted);
void virtio_set_status(struct virtio_dev *v, uint8_t status);
/* Setting up a queue: only while it is not in use. */
void virtio_set_queue_size(struct virtio_dev *v, unsigned q, uint16_t size);
void virtio_enable_queue(struct virtio_dev *v, unsigned q);
void virtio_reset_queue(struct virtio_dev *v, unsigned q);
void virtio_config_write(struct virtio_dev *v, unsigned off, uint8_t byte);
/* DMA was allowed or forbidden. */
void virtio_set_master(struct virtio_dev *v, bool master);
/* At once, whatever is in flight: RESET#. */
void virtio_hard_reset(struct virtio_dev *v);
int virtio_loaded(struct virtio_dev *v);

#endif
