#include "host/net/queue.h"

#include "base/bits.h"
#include "base/inet.h"
#include "lodge/host.h"

/* An entry of the ring: its size, its payload's segments, the frame. */
enum { E_BYTES = 0, E_MSS = 4, E_DATA = 8, E_ALIGN = 8 };

/* Where things are in a TCP segment without options over IPv4 without any. */
enum {
    IP = NET_HEADER,
    IP_LENGTH = IP + 2,
    IP_FRAGMENT = IP + 6,
    IP_TTL = IP + 8,
    IP_PROTO = IP + 9,
    IP_SUM = IP + 10,
    IP_FROM = IP + 12,
    TCP = IP + 20,
    TCP_SEQ = TCP + 4,
    TCP_ACK = TCP + 8,
    TCP_WORDS = TCP + 12,
    TCP_FLAGS = TCP + 13,
    TCP_WINDOW = TCP + 14,
    TCP_SUM = TCP + 16,
    HEADERS = TCP + 20,
    ACK = 0x10,
    PSH = 0x08,
    LONGEST = IP + 65535,
};

int queue_init(struct queue *q, struct err *e)
{
    *q = (struct queue){.ring = host_alloc(QUEUE_BYTES)};
    if (!q->ring)
        return err_set(e, LE_NOMEM,
                       "the host has no memory left for a network");
    return 0;
}

void queue_exit(struct queue *q)
{
    host_free(q->ring);
}

void queue_clear(struct queue *q)
{
    q->head = q->end = q->wrap = q->used = 0;
    q->count = 0;
    q->tail.open = false;
}

void queue_accept(struct queue *q, unsigned takes)
{
    if (q->takes & ~takes) /* it may hold what the card no longer knows */
        queue_clear(q);
    q->takes = takes;
}

/* --- the ring --- */

static size_t entry_bytes(size_t n)
{
    return (size_t)align_up(E_DATA + n, E_ALIGN);
}

/* Bytes that are free from q->end on in one piece. */
static size_t room(const struct queue *q)
{
    if (!q->count)
        return QUEUE_BYTES - q->end;
    return q->end > q->head ? QUEUE_BYTES - q->end : q->head - q->end;
}

/* Makes room for n bytes at q->end; false: there is not as much. */
static bool make_room(struct queue *q, size_t n)
{
    if (!q->count)
        queue_clear(q);
    if (room(q) >= n)
        return true;
    if (!q->count || q->end <= q->head || q->head < n)
        return false;
    q->wrap = q->end;
    q->end = 0;
    return true;
}

static void entry_new(struct queue *q, const uint8_t *p, size_t n)
{
    uint8_t *e = q->ring + q->end;

    store_le32(e + E_BYTES, (uint32_t)n);
    store_le32(e + E_MSS, 0);
    memcpy(e + E_DATA, p, n);
    q->end += entry_bytes(n);
    q->used += entry_bytes(n);
    q->count++;
}

/* --- putting segments together --- */

/* May p be part of a larger frame? */
static bool is_segment(const uint8_t *p, size_t n)
{
    return n > HEADERS && load_be16(p + 12) == 0x0800 && p[IP] == 0x45 &&
           p[IP_PROTO] == 6 && load_be16(p + IP_LENGTH) == n - IP &&
           !(load_be16(p + IP_FRAGMENT) & 0x3fff) && p[TCP_WORDS] == 0x50 &&
           (p[TCP_FLAGS] & ~PSH) == ACK;
}

/* The same stream, with the same service? */
static bool same_stream(const uint8_t *a, const uint8_t *b)
{
    return !memcmp(a, b, IP_LENGTH) && a[IP_TTL] == b[IP_TTL] &&
           !memcmp(a + IP_FROM, b + IP_FROM, TCP_SEQ - IP_FROM);
}

/* Adds the segment's payload to the newest frame, if it goes on there. */
static bool join(struct queue *q, const uint8_t *p, size_t n)
{
    uint8_t *e = q->ring + q->tail.at, *whole = e + E_DATA;
    size_t payload = n - HEADERS, have = load_le32(e + E_BYTES);
    size_t grows = entry_bytes(have + payload) - entry_bytes(have);

    if (!q->tail.open || payload > q->tail.mss || have + payload > LONGEST ||
        load_be32(p + TCP_SEQ) != q->tail.next_seq || room(q) < grows ||
        !same_stream(whole, p))
        return false;
    memcpy(whole + have, p + HEADERS, payload);
    memcpy(whole + TCP_ACK, p + TCP_ACK, 4);
    memcpy(whole + TCP_WINDOW, p + TCP_WINDOW, 2);
    whole[TCP_FLAGS] |= p[TCP_FLAGS];
    store_le32(e + E_BYTES, (uint32_t)(have + payload));
    store_le32(e + E_MSS, q->tail.mss);
    q->end += grows;
    q->used += grows;
    q->tail.next_seq += (uint32_t)payload;
    q->tail.open = payload == q->tail.mss;
    return true;
}

bool queue_put(struct queue *q, const uint8_t *p, size_t n)
{
    bool segment = (q->takes & NET_OFF_TSO4) && is_segment(p, n);

    if (n < NET_HEADER || n > NET_FRAME_MAX)
        return false;
    if (segment && join(q, p, n))
        return true;
    if (!make_room(q, entry_bytes(n)))
        return false;
    q->tail = (struct queue_tail){.open = segment, .at = q->end};
    if (segment) {
        q->tail.mss = (uint16_t)(n - HEADERS);
        q->tail.next_seq = load_be32(p + TCP_SEQ) + q->tail.mss;
    }
    entry_new(q, p, n);
    return true;
}

/* The headers of a frame of several segments, as they leave a sender. */
static void finish_headers(uint8_t *p, size_t n, struct net_offload *o,
                           uint16_t mss)
{
    struct inet_sum sum = {0};

    *o = (struct net_offload){.flags = NET_CSUM_PARTIAL,
                              .gso = NET_GSO_TCP4,
                              .header = HEADERS,
                              .gso_size = mss,
                              .csum_start = TCP,
                              .csum_offset = TCP_SUM - TCP};
    store_be16(p + IP_LENGTH, (uint16_t)(n - IP));
    store_be16(p + IP_SUM, 0);
    store_be16(p + IP_SUM, inet_checksum(p + IP, TCP - IP));
    inet_add(&sum, p + IP_FROM, 8);
    inet_add16(&sum, 6);
    inet_add16(&sum, (uint16_t)(n - TCP));
    store_be16(p + TCP_SUM, inet_fold(&sum));
}

/* --- to the card --- */

bool queue_peek(struct queue *q, struct net_frame *f)
{
    uint8_t *e = q->ring + q->head;

    if (!q->count)
        return false;
    q->span = (struct span){e + E_DATA, load_le32(e + E_BYTES)};
    *f = (struct net_frame){.sg = &q->span, .nsg = 1, .bytes = q->span.n};
    uint32_t mss = load_le32(e + E_MSS);
    if (mss)
        finish_headers(q->span.p, q->span.n, &f->off, (uint16_t)mss);
    else if (q->takes & NET_OFF_CSUM)
        f->off.flags = NET_CSUM_VALID;
    return true;
}

void queue_drop(struct queue *q)
{
    size_t n = entry_bytes(load_le32(q->ring + q->head + E_BYTES));

    if (q->tail.at == q->head)
        q->tail.open = false;
    q->head += n;
    q->used -= n;
    q->count--;
    if (q->wrap && q->head == q->wrap)
        q->head = q->wrap = 0;
}

bool queue_deliver(struct queue *q, struct net *n)
{
    struct net_frame f;

    while (queue_peek(q, &f)) {
        if (n->receive && !n->receive(n->dev, &f))
            return false;
        queue_drop(q);
    }
    return true;
}
