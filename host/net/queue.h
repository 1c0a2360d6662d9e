/*
 * Frames on their way to a card, for back ends that cannot hold them back.
 * Segments of one TCP stream that follow each other are put together again, if
 * the card takes such frames: a guest handles one large frame much faster than
 * many small ones. Machine lock held.
 */
#ifndef HOST_NET_QUEUE_H
#define HOST_NET_QUEUE_H

#include "base/err.h"
#include "lodge/net.h"

enum { QUEUE_BYTES = 2 << 20 };

/* The newest frame, while segments may still join it. */
struct queue_tail {
    bool open;
    size_t at; /* of its entry */
    uint32_t next_seq;
    uint16_t mss;
};

struct queue {
    uint8_t *ring;
    size_t head, end; /* where the oldest entry is, and the next will be */
    size_t wrap;      /* where the entries before the start of the ring end */
    size_t used;      /* bytes taken */
    unsigned count;
    unsigned takes; /* NET_OFF_* */
    struct queue_tail tail;
    struct span span; /* of the frame peeked at */
};

int queue_init(struct queue *q, struct err *e);
void queue_exit(struct queue *q);
void queue_clear(struct queue *q);
/* What the card takes from now on. */
void queue_accept(struct queue *q, unsigned takes);

/* Copies a frame whose checksums are right. False: no room; it is lost. */
bool queue_put(struct queue *q, const uint8_t *p, size_t n);
/* The oldest frame, valid until the next call; false: there is none. */
bool queue_peek(struct queue *q, struct net_frame *f);
/* Forgets it. */
void queue_drop(struct queue *q);

/* More than half full: who can wait should. */
static inline bool queue_is_crowded(const struct queue *q)
{
    return q->used > QUEUE_BYTES / 2;
}

/*
 * Gives the card what it takes; true: all of it is gone. Else the card says
 * resume() when it goes on.
 */
bool queue_deliver(struct queue *q, struct net *n);

#endif
