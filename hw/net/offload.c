/*
 * Checksums and segments of TCP for back ends that want whole frames: virtio
 * 1.2 §5.1.6.2, RFC 9293, RFC 3168 (which segments carry ECN's flags).
 */
#include "hw/net/offload.h"

#include "base/bits.h"
#include "base/endian.h"
#include "base/inet.h"

enum {
    HEADERS = 512, /* bytes of headers we take apart */
    MSS_MIN = 48,  /* no TCP has less, and no guest keeps us long */
    TYPE_IP4 = 0x0800,
    TYPE_IP6 = 0x86dd,
    TYPE_VLAN = 0x8100,
    TYPE_SVLAN = 0x88a8,
    PROTO_TCP = 6,
};
enum {
    IP4_LENGTH = 2,
    IP4_ID = 4,
    IP4_PROTO = 9,
    IP4_SUM = 10,
    IP4_BYTES = 20
};
enum { IP6_LENGTH = 4, IP6_BYTES = 40 };
enum {
    TCP_SEQ = 4,
    TCP_WORDS = 12,
    TCP_FLAGS = 13,
    TCP_SUM = 16,
    TCP_BYTES = 20
};
enum { TCP_FIN = 0x01, TCP_PSH = 0x08, TCP_CWR = 0x80 };

/* --- one frame with other headers --- */

static bool send_with(struct net *n, const struct net_frame *f,
                      uint8_t *headers, size_t nheaders, size_t from,
                      size_t bytes)
{
    struct span sg[NET_SPANS + 1];
    struct net_frame whole = {.sg = sg, .bytes = nheaders + bytes};

    sg[0] = (struct span){headers, nheaders};
    whole.nsg = 1 + spans_slice(f->sg, f->nsg, from, bytes, sg + 1);
    return n->send(n->endpoint, &whole);
}

static void add_spans(struct inet_sum *s, const struct net_frame *f,
                      size_t from, size_t bytes)
{
    struct span sg[NET_SPANS];
    unsigned count = spans_slice(f->sg, f->nsg, from, bytes, sg);

    for (unsigned i = 0; i < count; i++)
        inet_add(s, sg[i].p, sg[i].n);
}

static uint16_t checksum_field(const struct inet_sum *s)
{
    uint16_t v = (uint16_t)~inet_fold(s);

    return v ? v : 0xffff;
}

static bool send_summed(struct net *n, const struct net_frame *f)
{
    const struct net_offload *o = &f->off;
    uint8_t headers[HEADERS];
    struct inet_sum sum = {0};
    size_t field = (size_t)o->csum_start + o->csum_offset, count = field + 2;

    if (count > HEADERS)
        return true;
    spans_read(f->sg, f->nsg, 0, headers, count);
    add_spans(&sum, f, o->csum_start, f->bytes - o->csum_start);
    store_be16(headers + field, checksum_field(&sum));
    return send_with(n, f, headers, count, count, f->bytes - count);
}

/* --- segments --- */

struct segments {
    uint8_t headers[HEADERS];
    unsigned ip, tcp, bytes; /* offsets; of all headers */
    bool v6;
    uint32_t seq;
    uint16_t id;
    uint16_t sum; /* the pseudo header's, with the length of all */
};

/* Where the network layer's header begins; its type in *type. */
static unsigned find_ip(const uint8_t *p, unsigned *type)
{
    unsigned at = NET_HEADER;

    *type = load_be16(p + at - 2);
    for (int tags = 0; tags < 2; tags++)
        if (*type == TYPE_VLAN || *type == TYPE_SVLAN) {
            at += 4;
            *type = load_be16(p + at - 2);
        }
    return at;
}

static bool is_ip4(const uint8_t *ip, unsigned header)
{
    return ip[0] >> 4 == 4 && (ip[0] & 15) * 4u == header &&
           header >= IP4_BYTES && ip[IP4_PROTO] == PROTO_TCP;
}

static bool is_ip6(const uint8_t *ip, unsigned header)
{
    return ip[0] >> 4 == 6 && header >= IP6_BYTES;
}

/* False: not a TCP packet as the offload fields say. */
static bool parse(struct segments *s, const struct net_frame *f)
{
    uint8_t *p = s->headers;
    size_t have = spans_read(f->sg, f->nsg, 0, p, HEADERS);
    unsigned type;

    s->tcp = f->off.csum_start;
    s->v6 = (f->off.gso & ~NET_GSO_ECN) == NET_GSO_TCP6;
    if (have < NET_HEADER + IP4_BYTES + TCP_BYTES || s->tcp + TCP_BYTES > have)
        return false;
    s->ip = find_ip(p, &type);
    if (type != (s->v6 ? TYPE_IP6 : TYPE_IP4) || s->tcp < s->ip + IP4_BYTES)
        return false;
    if (!(s->v6 ? is_ip6 : is_ip4)(p + s->ip, s->tcp - s->ip))
        return false;
    unsigned tcp_bytes = p[s->tcp + TCP_WORDS] / 16 * 4u;
    s->bytes = s->tcp + tcp_bytes;
    if (tcp_bytes < TCP_BYTES || s->bytes > have || s->bytes >= f->bytes)
        return false;
    s->seq = load_be32(p + s->tcp + TCP_SEQ);
    s->id = load_be16(p + s->ip + IP4_ID);
    s->sum = load_be16(p + s->tcp + TCP_SUM);
    return true;
}

static void set_ip_length(uint8_t *p, unsigned ip, unsigned tcp, bool v6,
                          size_t bytes)
{
    if (v6) {
        store_be16(p + ip + IP6_LENGTH, (uint16_t)(bytes - ip - IP6_BYTES));
        return;
    }
    store_be16(p + ip + IP4_LENGTH, (uint16_t)(bytes - ip));
    store_be16(p + ip + IP4_SUM, 0);
    store_be16(p + ip + IP4_SUM, inet_checksum(p + ip, tcp - ip));
}

static void sum_segment(struct segments *s, const struct net_frame *f,
                        size_t from, size_t bytes)
{
    uint8_t *field = s->headers + s->tcp + TCP_SUM;
    struct inet_sum sum = {0};

    store_be16(field, 0);
    inet_add16(&sum, s->sum);
    inet_add16(&sum, (uint16_t) ~(f->bytes - s->tcp));
    inet_add16(&sum, (uint16_t)(s->bytes - s->tcp + bytes));
    inet_add(&sum, s->headers + s->tcp, s->bytes - s->tcp);
    add_spans(&sum, f, from, bytes);
    store_be16(field, checksum_field(&sum));
}

/* The segment with payload [at, at + bytes) of all. */
static bool send_segment(struct segments *s, struct net *n,
                         const struct net_frame *f, size_t at, size_t bytes,
                         unsigned number, uint8_t flags)
{
    uint8_t *p = s->headers;
    bool last = s->bytes + at + bytes == f->bytes;

    if (number)
        flags &= (uint8_t)~TCP_CWR;
    if (!last)
        flags &= (uint8_t) ~(TCP_FIN | TCP_PSH);
    p[s->tcp + TCP_FLAGS] = flags;
    store_be32(p + s->tcp + TCP_SEQ, s->seq + (uint32_t)at);
    if (!s->v6)
        store_be16(p + s->ip + IP4_ID, (uint16_t)(s->id + number));
    set_ip_length(p, s->ip, s->tcp, s->v6, s->bytes + bytes);
    sum_segment(s, f, s->bytes + at, bytes);
    return send_with(n, f, p, s->bytes, s->bytes + at, bytes);
}

static bool send_segments(struct net *n, const struct net_frame *f)
{
    struct segments s;
    size_t mss = f->off.gso_size, payload;

    if (mss < MSS_MIN || !parse(&s, f))
        return true;
    payload = f->bytes - s.bytes;
    uint8_t flags = s.headers[s.tcp + TCP_FLAGS];
    unsigned number = 0;
    for (size_t at = 0; at < payload; at += mss, number++)
        if (!send_segment(&s, n, f, at, MIN(mss, payload - at), number,
                          flags) &&
            !number)
            return false;
    return true;
}

/* --- which of it --- */

/* What f asks of the back end, NET_OFF_*; ~0: nonsense. */
static unsigned needs(const struct net_frame *f)
{
    const struct net_offload *o = &f->off;
    unsigned need = 0;

    if (o->flags & NET_CSUM_PARTIAL) {
        if ((size_t)o->csum_start + o->csum_offset + 2 > f->bytes)
            return ~0u;
        need |= NET_OFF_CSUM;
    }
    switch (o->gso & ~NET_GSO_ECN) {
    case NET_GSO_NONE: return o->gso ? ~0u : need;
    case NET_GSO_TCP4: need |= NET_OFF_TSO4; break;
    case NET_GSO_TCP6: need |= NET_OFF_TSO6; break;
    default: return ~0u;
    }
    if (o->gso & NET_GSO_ECN)
        need |= NET_OFF_ECN;
    return need & NET_OFF_CSUM && o->csum_offset == TCP_SUM ? need : ~0u;
}

bool net_send(struct net *n, const struct net_frame *f)
{
    struct net_frame checked = *f;
    unsigned need = needs(f);

    if (!n || n->down || need == ~0u || f->bytes < NET_HEADER ||
        f->bytes > NET_FRAME_MAX || f->nsg > NET_SPANS)
        return true;
    checked.off.flags &= NET_CSUM_PARTIAL;
    if (!(need & ~n->offloads))
        return n->send(n->endpoint, &checked);
    return f->off.gso ? send_segments(n, f) : send_summed(n, f);
}

bool net_send_bytes(struct net *n, const uint8_t *p, size_t bytes)
{
    const struct span sg = {(uint8_t *)(uintptr_t)p, bytes};

    return net_send(n,
                    &(struct net_frame){.sg = &sg, .nsg = 1, .bytes = bytes});
}

void net_prepare_tso(uint8_t *p, size_t bytes, unsigned ip, unsigned tcp)
{
    struct inet_sum sum = {0};

    set_ip_length(p, ip, tcp, p[ip] >> 4 == 6, bytes);
    inet_add16(&sum, load_be16(p + tcp + TCP_SUM));
    inet_add16(&sum, (uint16_t)(bytes - tcp));
    store_be16(p + tcp + TCP_SUM, inet_fold(&sum));
}

/* --- the cable --- */

void net_plug(struct net *n, const struct net_card *card, void *dev)
{
    if (!n)
        return;
    n->dev = dev;
    n->receive = card->receive;
    n->writable = card->writable;
    n->link_changed = card->link_changed;
}

void net_unplug(struct net *n)
{
    if (n)
        n->receive = NULL;
}

/* --- addresses --- */

bool net_is_broadcast(const uint8_t *mac)
{
    static const uint8_t all[NET_MAC] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

    return !memcmp(mac, all, NET_MAC);
}

uint32_t net_crc(const uint8_t *p, size_t n)
{
    uint32_t crc = ~0u;

    for (size_t i = 0; i < 8 * n; i++) {
        uint32_t bit = crc >> 31 ^ (p[i / 8] >> i % 8 & 1);
        crc = crc << 1 ^ (bit ? 0x04c11db7 : 0);
    }
    return crc;
}

static int hex(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 32;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int net_parse_mac(const char *who, const char *text, uint8_t mac[NET_MAC],
                  struct err *e)
{
    const char *p = text ? text : "52:54:00:12:34:56";

    for (unsigned i = 0; i < NET_MAC; i++, p += 3) {
        int high = hex(p[0]), low = high < 0 ? -1 : hex(p[1]);
        if (low < 0 || p[2] != (i < NET_MAC - 1 ? ':' : '\0'))
            return err_set(e, LE_USAGE,
                           "%s: '%.40s' is no address of a network card; give "
                           "one like 52:54:00:12:34:56",
                           who, text);
        mac[i] = (uint8_t)(high << 4 | low);
    }
    if (net_is_group(mac))
        return err_set(e, LE_USAGE,
                       "%s: %s is a group's address; the second digit of a "
                       "card's is even",
                       who, text);
    return 0;
}
