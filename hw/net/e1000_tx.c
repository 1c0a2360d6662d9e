/*
 * Transmission: legacy, context and data descriptors (§3.3), checksums and
 * segmentation (§3.4, §3.5), VLAN tags (§9). A frame is gathered in one buffer;
 * what a back end can do of its offloads is left to that.
 */
#include "base/bits.h"
#include "base/inet.h"
#include "hw/net/e1000.h"

enum { DESC = 16, TURN = 512 }; /* bytes; descriptors, then others go on */
enum { TCTL_EN = 1 << 1 };

enum { /* the command byte, 11 of a descriptor */
       EOP = 1 << 0,
       CMD_IC = 1 << 2,  /* legacy: insert a checksum */
       CMD_TSE = 1 << 2, /* the others */
       CMD_RS = 1 << 3,
       CMD_DEXT = 1 << 5,
       CMD_VLE = 1 << 6,
       TU_TCP = 1 << 0, /* context */
       TU_IP4 = 1 << 1,
};
enum { POPTS_IP = 1, POPTS_TCP = 2, STATUS_DD = 1 };

void e1000_tx_reset(struct e1000 *s)
{
    s->tx_partial = s->tx_skip = s->tx_held = false;
    s->tx_bytes = 0;
}

static bool is_extended(const uint8_t *d)
{
    return d[11] & CMD_DEXT;
}

static bool is_context(const uint8_t *d)
{
    return is_extended(d) && !(load_le32(d + 8) >> 20 & 15);
}

static void take_context(struct e1000 *s, const uint8_t *d)
{
    s->context[(d[11] & CMD_TSE) != 0] = (struct e1000_context){
        .ip_start = d[0],
        .ip_field = d[1],
        .ip_end = load_le16(d + 2),
        .tcp_start = d[4],
        .tcp_field = d[5],
        .tcp_end = load_le16(d + 6),
        .command = d[11],
        .headers = d[13],
        .mss = load_le16(d + 14),
    };
}

/* --- a whole frame --- */

static const struct e1000_context *context_of(const struct e1000 *s)
{
    return &s->context[(s->tx_first[11] & CMD_TSE) != 0];
}

/* The checksum of [start, end] at field; end 0: to the end of the frame. */
static void insert_sum(struct e1000 *s, size_t start, size_t field, size_t end)
{
    size_t n = end ? MIN(end + 1, s->tx_bytes) : s->tx_bytes;

    if (start < n && field + 2 <= s->tx_bytes)
        store_be16(s->tx + field, inet_checksum(s->tx + start, n - start));
}

/* A checksum to the end of the frame: whoever is behind us may do it. */
static void want_sum(struct e1000 *s, size_t start, size_t field, size_t end,
                     struct net_offload *o)
{
    if (end || field < start) {
        insert_sum(s, start, field, end);
        return;
    }
    o->flags = NET_CSUM_PARTIAL;
    o->csum_start = (uint16_t)start;
    o->csum_offset = (uint16_t)(field - start);
}

static bool want_segments(struct e1000 *s, struct net_offload *o)
{
    const struct e1000_context *c = context_of(s);
    unsigned ip = c->ip_start, tcp = c->tcp_start;
    bool v4 = c->command & TU_IP4;

    if (!(c->command & TU_TCP) || ip < NET_HEADER ||
        tcp < ip + (v4 ? 20u : 40u) || tcp + 20u > s->tx_bytes ||
        c->tcp_field != tcp + 16 || s->tx[ip] >> 4 != (v4 ? 4 : 6))
        return false;
    net_prepare_tso(s->tx, s->tx_bytes, ip, tcp);
    want_sum(s, tcp, c->tcp_field, 0, o);
    if (s->tx_bytes <= (size_t)c->headers + c->mss)
        return true;
    o->gso = v4 ? NET_GSO_TCP4 : NET_GSO_TCP6;
    o->gso_size = c->mss;
    o->header = c->headers;
    return true;
}

/* What the first descriptor asks for; false: the frame makes no sense. */
static bool offload(struct e1000 *s, struct net_offload *o)
{
    const uint8_t *d = s->tx_first;
    const struct e1000_context *c = context_of(s);

    if (!is_extended(d)) {
        if (d[11] & CMD_IC)
            want_sum(s, d[13], d[10], 0, o);
        return true;
    }
    if (d[11] & CMD_TSE)
        return want_segments(s, o);
    if (d[13] & POPTS_IP)
        insert_sum(s, c->ip_start, c->ip_field, c->ip_end);
    if (d[13] & POPTS_TCP)
        want_sum(s, c->tcp_start, c->tcp_field, c->tcp_end, o);
    return true;
}

static void count_sent(struct e1000 *s, size_t bytes)
{
    size_t wire = MAX(bytes, NET_FRAME_MIN) + FCS;

    e1000_count(s, GPTC, 1);
    e1000_count(s, TPT, 1);
    e1000_count64(s, GOTC, (uint32_t)wire);
    e1000_count64(s, TOT, (uint32_t)wire);
    e1000_count_size(s, PTC64, wire);
    if (net_is_broadcast(s->tx))
        e1000_count(s, BPTC, 1);
    else if (net_is_group(s->tx))
        e1000_count(s, MPTC, 1);
    if (is_extended(s->tx_first) && (s->tx_first[11] & CMD_TSE))
        e1000_count(s, TSCTC, 1);
}

/* With the VLAN tag of the last descriptor d put in. False: busy. */
static bool send_tagged(struct e1000 *s, const uint8_t *d, struct net_offload o)
{
    uint8_t tag[4];
    struct span sg[3] = {{s->tx, s->tx_bytes}};
    struct net_frame f = {.sg = sg, .nsg = 1, .bytes = s->tx_bytes};

    if ((d[11] & CMD_VLE) && (*e1000_reg(s, CTRL) & CTRL_VME)) {
        store_be16(tag, (uint16_t)*e1000_reg(s, VET));
        store_be16(tag + 2, load_le16(d + 14));
        sg[0].n = 12;
        sg[1] = (struct span){tag, 4};
        sg[2] = (struct span){s->tx + 12, s->tx_bytes - 12};
        f.nsg = 3;
        f.bytes += 4;
        o.csum_start = (uint16_t)(o.csum_start + 4);
        o.header = (uint16_t)(o.header + 4);
    }
    f.off = o;
    return net_send(e1000_link(s) ? s->nic.net : NULL, &f);
}

/* d: the last descriptor. False: the back end is busy. */
static bool send_frame(struct e1000 *s, const uint8_t *d)
{
    if (!s->tx_held) {
        s->tx_off = (struct net_offload){0};
        if (s->tx_skip || s->tx_bytes < NET_HEADER || !offload(s, &s->tx_off))
            return true;
    }
    s->tx_held = !send_tagged(s, d, s->tx_off);
    if (!s->tx_held)
        count_sent(s, s->tx_bytes);
    return !s->tx_held;
}

/* --- descriptors --- */

/* Adds a descriptor's data to the frame; what is too long is lost. */
static void gather(struct e1000 *s, const uint8_t *d)
{
    size_t n = is_extended(d) ? load_le32(d + 8) & 0xfffff : load_le16(d + 8);

    if (!s->tx_partial) {
        memcpy(s->tx_first, d, DESC);
        s->tx_bytes = 0;
        s->tx_partial = true;
    }
    if (s->tx_skip || s->tx_held)
        return;
    if (n > sizeof s->tx - s->tx_bytes ||
        (n &&
         pci_load(&s->nic.pci, load_le64(d), s->tx + s->tx_bytes, n) < 0)) {
        log_guest(&s->log, "%s: a frame is too long, or not in RAM",
                  s->nic.dev.id);
        s->tx_skip = true;
        return;
    }
    s->tx_bytes += n;
}

static void write_back(struct e1000 *s, uint64_t at, const uint8_t *d)
{
    uint8_t status = d[12] | STATUS_DD;

    if (!(d[11] & CMD_RS))
        return;
    pci_store(&s->nic.pci, at + 12, &status, 1);
    e1000_cause(s, I_TXDW);
}

/* The next descriptor; false: nothing to do now. */
static bool step(struct e1000 *s)
{
    uint32_t *head = e1000_reg(s, TDH), count = *e1000_reg(s, TDLEN) / DESC;
    uint64_t at = *e1000_reg(s, TDBAL) | (uint64_t)*e1000_reg(s, TDBAH) << 32;
    uint8_t d[DESC] = {0};

    if (*head == *e1000_reg(s, TDT) || *head >= count ||
        *e1000_reg(s, TDT) >= count)
        return false;
    at += DESC * (uint64_t)*head;
    pci_load(&s->nic.pci, at, d, DESC);
    if (is_context(d)) {
        take_context(s, d);
    } else {
        gather(s, d);
        if (d[11] & EOP) {
            if (!send_frame(s, d))
                return false;
            e1000_tx_reset(s);
        }
    }
    write_back(s, at, d);
    *head = (*head + 1) % count;
    if (*head == *e1000_reg(s, TDT))
        e1000_cause(s, I_TXQE);
    return true;
}

static bool is_on(const struct e1000 *s)
{
    return (s->reg[TCTL / 4] & TCTL_EN) && pci_is_master(&s->nic.pci) &&
           !s->nic.paused;
}

void e1000_tx_run(void *e1000)
{
    struct e1000 *s = e1000;

    for (unsigned left = TURN; left; left--)
        if (!is_on(s) || !step(s))
            return;
    e1000_tx_start(s);
}

void e1000_tx_start(struct e1000 *s)
{
    if (is_on(s))
        loop_post(s->nic.dev.env->loop, &s->nic.tx_work);
}
