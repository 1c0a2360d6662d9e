/*
 * A network cable: between a card and what it is plugged into on the host
 * (host/net/). It carries Ethernet frames without preamble, padding and frame
 * check sequence, each as a run of spans, so that neither side has to copy one
 * together.
 *
 * Threads: everything here is called with the machine lock held, on any
 * thread. Neither side calls back into the other from inside a call, but for
 * what is said below; a back end that got a frame from the card answers it
 * later, from the loop.
 *
 * Back-pressure: send() and receive() return whether they took the frame.
 * Refused, it is still the caller's, who offers it again when the other side
 * calls writable() or resume(); it need not be the same frame then. A frame
 * that is taken may be dropped, as on any network: a card takes and drops what
 * its filters or a driver that does not listen leave no use for.
 *
 * Offloads: a frame may come with work left to do (struct net_offload, virtio
 * 1.2 §5.1.6): a checksum to be filled in, or to be cut into segments. Each
 * side says what it takes; nobody is given more than that. Cards do what the
 * back end cannot (hw/net/offload.h).
 */
#ifndef LODGE_NET_H
#define LODGE_NET_H

#include "base/endian.h"
#include "lodge/space.h"

enum {
    NET_HEADER = 14,    /* destination, source, type */
    NET_FRAME_MIN = 60, /* on a real wire; ours carry shorter ones */
    NET_MTU = 1500,
    NET_FRAME = NET_HEADER + 4 + NET_MTU, /* with a VLAN tag */
    NET_FRAME_MAX = 65536 + 64,           /* bytes, one to be cut included */
    NET_SPANS = 264,                      /* pieces of a frame, at most */
};

/* struct net.offloads, and what net->accept() is given. */
enum {
    NET_OFF_CSUM = 1, /* NET_CSUM_PARTIAL; and NET_CSUM_VALID */
    NET_OFF_TSO4 = 2,
    NET_OFF_TSO6 = 4,
    NET_OFF_ECN = 8, /* TSO of segments that carry ECN's CWR */
};

enum {                       /* net_offload.flags: virtio-net's */
       NET_CSUM_PARTIAL = 1, /* the field holds the pseudo header's sum */
       NET_CSUM_VALID = 2,   /* the checksum was verified */
};
enum { /* net_offload.gso: virtio-net's */
       NET_GSO_NONE = 0,
       NET_GSO_TCP4 = 1,
       NET_GSO_TCP6 = 4,
       NET_GSO_ECN = 0x80, /* ored in */
};

/* Offsets count from the start of the frame. From a guest: hostile. */
struct net_offload {
    uint8_t flags, gso;
    uint16_t header;      /* bytes of all headers; a hint */
    uint16_t gso_size;    /* payload bytes of each segment */
    uint16_t csum_start;  /* what is summed begins here and goes to the end */
    uint16_t csum_offset; /* from there to the checksum field */
};

/* The same as virtio-net's header has it, without its last field. */
enum { NET_VHDR = 10 };
static inline struct net_offload net_vhdr_load(const uint8_t h[NET_VHDR])
{
    return (struct net_offload){h[0],
                                h[1],
                                load_le16(h + 2),
                                load_le16(h + 4),
                                load_le16(h + 6),
                                load_le16(h + 8)};
}
static inline void net_vhdr_store(uint8_t h[NET_VHDR],
                                  const struct net_offload *o)
{
    h[0] = o->flags;
    h[1] = o->gso;
    store_le16(h + 2, o->header);
    store_le16(h + 4, o->gso_size);
    store_le16(h + 6, o->csum_start);
    store_le16(h + 8, o->csum_offset);
}

/* Borrowed for the call it is passed to. */
struct net_frame {
    const struct span *sg; /* read only */
    unsigned nsg;          /* 1 to NET_SPANS */
    size_t bytes;          /* their sum, NET_HEADER to NET_FRAME_MAX */
    struct net_offload off;
};

struct net {
    /* The back end's side. */
    bool (*send)(void *endpoint, const struct net_frame *f);
    /* The card has room again after it refused a frame. */
    void (*resume)(void *endpoint);
    /* What the card takes from now on, NET_OFF_*; NULL: nobody cares. */
    void (*accept)(void *endpoint, unsigned offloads);
    void *endpoint;
    unsigned offloads; /* what send() takes, NET_OFF_* */
    bool down;         /* the link is; frames vanish */

    /* The card's side, set at attach, NULL again from detach on. */
    bool (*receive)(void *dev, const struct net_frame *f);
    void (*writable)(void *dev);
    void (*link_changed)(void *dev); /* down has another value */
    void *dev;
};

#endif
