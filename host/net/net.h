/*
 * What a card can be plugged into on the host (lodge/net.h):
 *   user      a network of its own behind this process, by libslirp: DHCP, DNS,
 *             IPv4 and IPv6; the guest reaches what this process may reach,
 *             nobody reaches the guest but through forwards
 *   tap:IF    a TAP interface of the host
 *   none      nothing; frames vanish
 *
 * Threads: open and close on the controlling thread with the lock free, close
 * after the card's detach and before the loop goes; between them everything is
 * the loop's and the card's.
 */
#ifndef HOST_NET_NET_H
#define HOST_NET_NET_H

#include "lodge/host.h"
#include "lodge/net.h"

enum net_kind { NET_NONE, NET_USER, NET_TAP };
enum { NET_FORWARDS = 32, NET_IFNAME = 16 };

/* A port of the host that leads into the guest. */
struct net_forward {
    bool udp;
    uint8_t address[4]; /* what it is bound to, IPv4 */
    uint16_t host, guest;
};

struct net_options {
    enum net_kind kind;
    char ifname[NET_IFNAME]; /* tap */
    bool restricted;         /* user: nothing but DHCP and TCP forwards */
    struct net_forward forward[NET_FORWARDS];
    unsigned nforwards;
};

struct net_env {
    struct loop *loop;
    struct host_mutex *lock;
};

/* NULL with e on an error. */
struct net *net_open(const struct net_options *o, const struct net_env *env,
                     struct err *e);
void net_close(struct net *n); /* NULL: nothing */

#endif
