/*
 * What cards have in common: sending with the offloads done here that the back
 * end does not take, and addresses. Machine lock held.
 */
#ifndef HW_NET_OFFLOAD_H
#define HW_NET_OFFLOAD_H

#include "lodge/device.h"

/*
 * Sends f, whose offload fields are a guest's; n NULL: no cable. False: the
 * back end is busy, nothing was sent. What makes no sense is taken and
 * dropped; so are later segments of a frame whose first one got through.
 */
bool net_send(struct net *n, const struct net_frame *f);
/* One whole frame, in one piece. */
bool net_send_bytes(struct net *n, const uint8_t *p, size_t bytes);

/*
 * Completes the headers of a TCP packet that is to be cut, as drivers of real
 * cards leave them: the length in the IP header, that one's checksum, and the
 * length in the pseudo header's sum. p: the start of a frame of `bytes`, with
 * IP at ip and TCP at tcp, all headers there; ip + 40 <= tcp + 20.
 */
void net_prepare_tso(uint8_t *p, size_t bytes, unsigned ip, unsigned tcp);

/* The card's side of a cable; unplugged again, frames for it vanish. n may be
   NULL. */
struct net_card {
    bool (*receive)(void *dev, const struct net_frame *f);
    void (*writable)(void *dev);
    void (*link_changed)(void *dev);
};
void net_plug(struct net *n, const struct net_card *card, void *dev);
void net_unplug(struct net *n);

/* Properties that every card has: members net and mac_text of type. */
#define NET_PROPS(type)                                                        \
    {"net",                                                                    \
     "what it is plugged into",                                                \
     offsetof(type, net),                                                      \
     PROP_NET,                                                                 \
     false,                                                                    \
     0,                                                                        \
     0,                                                                        \
     0},                                                                       \
    {                                                                          \
        "mac", "its address, like 52:54:00:12:34:56",                          \
            offsetof(type, mac_text), PROP_STRING, false, 0, 0, 0              \
    }
/* And every card on PCI: member pci. */
#define NET_PCI_PROPS(type)                                                    \
    NET_PROPS(type),                                                           \
    {                                                                          \
        "slot", "PCI slot, 1 to 31; 0: the first free one",                    \
            offsetof(type, pci.slot), PROP_U32, false, 0, 0, 31                \
    }

enum { NET_MAC = 6 };
static inline bool net_is_group(const uint8_t *mac)
{
    return mac[0] & 1;
}
bool net_is_broadcast(const uint8_t *mac);

/* Ethernet's CRC-32 of p: the register at its end, not complemented, the term
   of the highest power in bit 31. Filters hash addresses by it. */
uint32_t net_crc(const uint8_t *p, size_t n);

/* "52:54:00:12:34:56"; NULL: that one. who: for the error's text. */
int net_parse_mac(const char *who, const char *text, uint8_t mac[NET_MAC],
                  struct err *e);

#endif
