/*
 * Split virtqueues: virtio 1.2 §2.7, with indirect descriptors and event
 * indices. The driver's side of the ring is hostile: every index, length and
 * address is read once, checked, and then used. A queue whose driver broke the
 * rules is broken for good (-LE_FORMAT) until it is reset; nothing else
 * happens.
 *
 * A ring is found in RAM once and then used through host pointers, so each of
 * its areas has to be one piece of RAM. RAM lives as long as the VM. Machine
 * lock held.
 */
#ifndef HW_VIRTIO_VIRTQUEUE_H
#define HW_VIRTIO_VIRTQUEUE_H

#include "lodge/space.h"
#include "lodge/state.h"

enum { VIRTQ_MAX = 1024 }; /* entries in a ring */

struct virtq {
    struct space *mem;
    uint16_t max; /* entries the device offers; a power of two */

    /* What the driver set up. */
    uint16_t size;                 /* entries, a power of two up to max */
    uint64_t desc, driver, device; /* guest addresses of the three areas */
    bool ready;
    bool indirect, event_idx; /* features negotiated */

    /* Where we are. */
    uint16_t next_avail, next_used;
    uint16_t signalled; /* next_used at the last look for an interrupt */
    bool signalled_valid;
    bool broken;

    /* The areas in host memory, once found. */
    uint8_t *desc_p, *driver_p, *device_p;
};
extern const struct field virtq_fields[];

/*
 * A buffer the driver made available: nout spans to read, then nin spans to
 * write. The caller gives room for max spans and their addresses.
 */
struct virtq_buf {
    struct span *span;
    gpa_t *addr; /* of each span */
    unsigned max;

    uint16_t head;
    unsigned nout, nin;
    uint64_t out_bytes, in_bytes; /* together below 4 GB */
};

/* Forgets what the driver set up. */
void virtq_reset(struct virtq *q);
/* Checks what came from a snapshot. */
int virtq_loaded(struct virtq *q);

/* 1: took the next buffer into b; 0: none there; -LE_FORMAT: broken. */
int virtq_pop(struct virtq *q, struct virtq_buf *b);
/* Gives back the last `count` buffers popped: the next pop sees them again. */
void virtq_unpop(struct virtq *q, unsigned count);
/* Hands b back with its first `written` bytes of in-spans written. */
void virtq_push(struct virtq *q, const struct virtq_buf *b, uint32_t written);
/*
 * The same for buffers that are to be seen together: fill each (ahead: how many
 * were before it), then publish them all, or none of them.
 */
void virtq_fill(struct virtq *q, const struct virtq_buf *b, uint32_t written,
                unsigned ahead);
void virtq_publish(struct virtq *q, unsigned count);
/* After one or more pushes: does the driver want an interrupt for them? */
bool virtq_wants_irq(struct virtq *q);

/*
 * Asks the driver to tell us of new buffers, or not to bother. Turning it on
 * returns whether there are buffers already, of which it may not tell.
 */
bool virtq_listen(struct virtq *q, bool on);

#endif
