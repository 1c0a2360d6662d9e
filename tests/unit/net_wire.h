/*
 * A back end for tests of network cards: it keeps what is sent, can be busy,
 * and hands frames to the card. And a few frames.
 */
#ifndef TESTS_UNIT_NET_WIRE_H
#define TESTS_UNIT_NET_WIRE_H

#include <stdlib.h>
#include <string.h>

#include "base/endian.h"
#include "base/inet.h"
#include "lodge/net.h"

enum { WIRE_FRAMES = 64 };

struct wire {
    struct net net;
    struct {
        uint8_t *p;
        size_t n;
        struct net_offload off;
    } sent[WIRE_FRAMES];
    unsigned nsent, resumed, accepted;
    bool busy;
    unsigned room; /* frames until it is busy; 0: no limit */
};

static bool wire_send(void *endpoint, const struct net_frame *f)
{
    struct wire *w = endpoint;

    if (w->busy)
        return false;
    if (w->nsent < WIRE_FRAMES) {
        uint8_t *p = malloc(f->bytes);
        if (spans_read(f->sg, f->nsg, 0, p, f->bytes) != f->bytes)
            abort();
        w->sent[w->nsent].p = p;
        w->sent[w->nsent].n = f->bytes;
        w->sent[w->nsent].off = f->off;
    }
    w->nsent++;
    w->busy = w->room && !--w->room;
    return true;
}

static void wire_resume(void *endpoint)
{
    ((struct wire *)endpoint)->resumed++;
}

static void wire_accept(void *endpoint, unsigned offloads)
{
    ((struct wire *)endpoint)->accepted = offloads;
}

static UNUSED void wire_init(struct wire *w, unsigned offloads)
{
    *w = (struct wire){.net = {.send = wire_send,
                               .resume = wire_resume,
                               .accept = wire_accept,
                               .endpoint = w,
                               .offloads = offloads}};
}

static UNUSED void wire_clear(struct wire *w)
{
    for (unsigned i = 0; i < w->nsent && i < WIRE_FRAMES; i++)
        free(w->sent[i].p);
    w->nsent = 0;
}

static UNUSED bool wire_give_off(struct wire *w, const void *p, size_t n,
                                 struct net_offload off)
{
    const struct span s = {(uint8_t *)(uintptr_t)p, n};
    struct net_frame f = {.sg = &s, .nsg = 1, .bytes = n, .off = off};

    return w->net.receive(w->net.dev, &f);
}

static UNUSED bool wire_give(struct wire *w, const void *p, size_t n)
{
    return wire_give_off(w, p, n, (struct net_offload){0});
}

/* A frame for `to` (six bytes), of n bytes that count up. */
static UNUSED void make_frame(uint8_t *p, const char *to, size_t n)
{
    for (size_t i = 0; i < n; i++)
        p[i] = (uint8_t)(i * 7 + i / 251);
    memcpy(p, to, 6);
    memcpy(p + 6, "\x52\x54\x00\xaa\xbb\xcc", 6);
    store_be16(p + 12, 0x88b5); /* for experiments */
}

/* A TCP segment over IPv4 at 14: flags FIN, PSH, ACK and CWR; checksums right
   but TCP's, which holds the pseudo header's sum. */
enum { T_IP = 14, T_TCP = 34, T_DATA = 54, T_SEQ = 0x10000000 };
static UNUSED void make_tcp4(uint8_t *p, size_t payload)
{
    struct inet_sum sum = {0};

    make_frame(p, "\x52\x54\x00\x12\x34\x56", T_DATA + payload);
    store_be16(p + 12, 0x0800);
    memset(p + T_IP, 0, T_DATA - T_IP);
    p[T_IP] = 0x45;
    store_be16(p + T_IP + 2, (uint16_t)(40 + payload));
    store_be16(p + T_IP + 4, 0x1234);
    p[T_IP + 8] = 64;
    p[T_IP + 9] = 6;
    memcpy(p + T_IP + 12, "\x0a\x00\x02\x0f\x0a\x00\x02\x02", 8);
    store_be16(p + T_IP + 10, inet_checksum(p + T_IP, 20));
    store_be16(p + T_TCP, 4000);
    store_be16(p + T_TCP + 2, 80);
    store_be32(p + T_TCP + 4, T_SEQ);
    store_be32(p + T_TCP + 8, 0x20000000);
    p[T_TCP + 12] = 0x50;
    p[T_TCP + 13] = 0x80 | 0x10 | 0x08 | 0x01;
    store_be16(p + T_TCP + 14, 8192);
    inet_add(&sum, p + T_IP + 12, 8);
    inet_add16(&sum, 6);
    inet_add16(&sum, (uint16_t)(20 + payload));
    store_be16(p + T_TCP + 16, inet_fold(&sum));
}

/* Are IP's and TCP's checksums of this frame right? */
static UNUSED bool tcp4_is_right(const uint8_t *p, size_t n)
{
    struct inet_sum sum = {0};

    inet_add(&sum, p + T_IP + 12, 8);
    inet_add16(&sum, 6);
    inet_add16(&sum, (uint16_t)(n - T_TCP));
    inet_add(&sum, p + T_TCP, n - T_TCP);
    return inet_checksum(p + T_IP, 20) == 0 && inet_fold(&sum) == 0xffff &&
           load_be16(p + T_IP + 2) == n - T_IP;
}

#endif
