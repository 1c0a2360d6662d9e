/*
 * Reception: filters (§3.2.1), descriptors and buffers (§3.2.3), checksums
 * (§3.2.9), VLAN tags (§9). A frame that finds too few descriptors is refused
 * and asked for again when the driver adds some.
 */
#include "base/bits.h"
#include "base/inet.h"
#include "hw/net/e1000.h"

enum { /* RCTL, §13.4.22 */
       R_EN = 1 << 1,
       R_UPE = 1 << 3,
       R_MPE = 1 << 4,
       R_LPE = 1 << 5,
       R_BAM = 1 << 15,
       R_VFE = 1 << 18,
       R_BSEX = 1 << 25,
       R_SECRC = 1 << 26,
};
enum { /* descriptor status, §3.2.3.1 */
       D_DD = 1 << 0,
       D_EOP = 1 << 1,
       D_IXSM = 1 << 2,
       D_VP = 1 << 3,
       D_TCPCS = 1 << 5,
       D_IPCS = 1 << 6,
       D_PIF = 1 << 7,
       E_IPE = 1 << 6,
};
enum { DESC = 16, STANDARD = 1522, LARGEST = 16384 };
enum { SUM_IP = 1 << 8, SUM_TCP = 1 << 9 }; /* RXCSUM */

static uint32_t reg(const struct e1000 *s, unsigned off)
{
    return s->reg[off / 4];
}

/* --- filters --- */

static bool is_own(const struct e1000 *s, const uint8_t *mac)
{
    for (unsigned i = RA; i <= RA_LAST; i += 8) {
        uint32_t high = reg(s, i + 4);
        if (high >> 31 && reg(s, i) == load_le32(mac) &&
            (high & 0xffff) == load_le16(mac + 4))
            return true;
    }
    return false;
}

static bool in_hash(const struct e1000 *s, const uint8_t *mac)
{
    static const uint8_t shifts[] = {4, 3, 2, 0};
    unsigned shift = shifts[reg(s, RCTL) >> 12 & 3];
    unsigned bit = load_le16(mac + 4) >> shift & 0xfff;

    return reg(s, MTA + bit / 32 * 4) >> bit % 32 & 1;
}

/* *hashed: only the hash of a group's address let it in. */
static bool wanted_mac(const struct e1000 *s, const uint8_t *mac, bool *hashed)
{
    uint32_t rctl = reg(s, RCTL);

    if (is_own(s, mac) || (net_is_broadcast(mac) && (rctl & R_BAM)))
        return true;
    if (!net_is_group(mac))
        return rctl & R_UPE;
    if (rctl & R_MPE)
        return true;
    *hashed = in_hash(s, mac);
    return *hashed;
}

static bool is_tagged(const struct e1000 *s, const uint8_t *p, size_t n)
{
    return n >= NET_HEADER + 4 && load_be16(p + 12) == reg(s, VET);
}

static bool wanted_vlan(const struct e1000 *s, const uint8_t *p, size_t n)
{
    if (!(reg(s, RCTL) & R_VFE) || !is_tagged(s, p, n))
        return true;
    unsigned id = load_be16(p + 14) & 0xfff;
    return reg(s, VFTA + id / 32 * 4) >> id % 32 & 1;
}

/* --- what a descriptor says of the frame --- */

struct verdict {
    uint8_t status, errors;
    uint16_t tag;
};

/* Checksums: IP's we look at, TCP's and UDP's the back end vouches for. */
static void judge_sums(const struct e1000 *s, size_t n, bool verified,
                       struct verdict *v)
{
    const uint8_t *ip = s->rx + NET_HEADER;
    uint32_t on = reg(s, RXCSUM);

    if (n < NET_HEADER + 20 || load_be16(s->rx + 12) != 0x0800 ||
        ip[0] >> 4 != 4 || !(on & (SUM_IP | SUM_TCP))) {
        v->status |= D_IXSM;
        return;
    }
    size_t header = (ip[0] & 15) * 4u;
    if ((on & SUM_IP) && header >= 20 && NET_HEADER + header <= n) {
        v->status |= D_IPCS;
        if (inet_checksum(ip, header))
            v->errors |= E_IPE;
    }
    bool fragment = load_be16(ip + 6) & 0x3fff;
    if ((on & SUM_TCP) && verified && !fragment && (ip[9] == 6 || ip[9] == 17))
        v->status |= D_TCPCS;
}

/* Takes the tag out of the frame, as CTRL.VME asks; returns its new size. */
static size_t strip_tag(struct e1000 *s, size_t n, struct verdict *v)
{
    if (!(reg(s, CTRL) & CTRL_VME) || !is_tagged(s, s->rx, n))
        return n;
    v->status |= D_VP;
    v->tag = load_be16(s->rx + 14);
    memmove(s->rx + 12, s->rx + 16, n - 16);
    return n - 4;
}

/* --- buffers --- */

static size_t buffer_bytes(const struct e1000 *s)
{
    uint32_t rctl = reg(s, RCTL);
    unsigned shift = rctl >> 16 & 3;

    return (rctl & R_BSEX) && shift ? 32768u >> shift : 2048u >> shift;
}

static uint32_t ring_count(const struct e1000 *s)
{
    return reg(s, RDLEN) / DESC;
}

/* Descriptors that are the card's. */
static uint32_t available(const struct e1000 *s)
{
    uint32_t count = ring_count(s), head = reg(s, RDH), tail = reg(s, RDT);

    if (head >= count || tail >= count)
        return 0;
    return (tail + count - head) % count;
}

static void store(struct e1000 *s, size_t n, const struct verdict *v)
{
    uint64_t base = reg(s, RDBAL) | (uint64_t)reg(s, RDBAH) << 32;
    size_t size = buffer_bytes(s);
    uint32_t *head = e1000_reg(s, RDH);

    for (size_t at = 0; at < n; at += size) {
        uint64_t where = base + DESC * (uint64_t)*head;
        uint8_t d[DESC] = {0};
        size_t part = MIN(size, n - at);

        pci_load(&s->nic.pci, where, d, 8);
        pci_store(&s->nic.pci, load_le64(d), s->rx + at, part);
        store_le16(d + 8, (uint16_t)part);
        d[12] = D_DD | v->status;
        d[13] = v->errors;
        store_le16(d + 14, v->tag);
        if (at + part == n)
            d[12] |= D_EOP;
        pci_store(&s->nic.pci, where + 8, d + 8, 4);
        pci_store(&s->nic.pci, where + 12, d + 12, 4); /* DD after all else */
        *head = (*head + 1) % ring_count(s);
    }
}

static void raise_causes(struct e1000 *s)
{
    unsigned shift = 1 + (reg(s, RCTL) >> 8 & 3);
    uint32_t causes = I_RXT0;

    if (available(s) <= ring_count(s) >> shift)
        causes |= I_RXDMT0;
    e1000_cause(s, causes);
}

static void count_received(struct e1000 *s, size_t wire)
{
    e1000_count(s, GPRC, 1);
    e1000_count(s, TPR, 1);
    e1000_count64(s, GORC, (uint32_t)wire);
    e1000_count64(s, TOR, (uint32_t)wire);
    e1000_count_size(s, PRC64, wire);
    if (net_is_broadcast(s->rx))
        e1000_count(s, BPRC, 1);
    else if (net_is_group(s->rx))
        e1000_count(s, MPRC, 1);
}

/* Puts the frame into s->rx, padded as it would be on a wire, and with room
   for a frame check sequence, which is not modelled: it is zero. */
static size_t take_frame(struct e1000 *s, const struct net_frame *f)
{
    size_t n = spans_read(f->sg, f->nsg, 0, s->rx, f->bytes);

    if (f->off.flags & NET_CSUM_PARTIAL)
        inet_complete(s->rx, n, f->off.csum_start, f->off.csum_offset);
    if (n < NET_FRAME_MIN)
        memset(s->rx + n, 0, NET_FRAME_MIN - n);
    return MAX(n, NET_FRAME_MIN);
}

static bool is_listening(const struct e1000 *s)
{
    return (reg(s, RCTL) & R_EN) && pci_is_master(&s->nic.pci) && e1000_link(s);
}

static bool is_too_long(struct e1000 *s, size_t wire)
{
    if (wire <= ((reg(s, RCTL) & R_LPE) ? LARGEST : STANDARD))
        return false;
    e1000_count(s, ROC, 1);
    return true;
}

bool e1000_receive(void *e1000, const struct net_frame *f)
{
    struct e1000 *s = e1000;
    uint8_t head[NET_HEADER + 4] = {0};
    struct verdict v = {0};
    bool hashed = false;

    s->nic.rx_wait = s->nic.paused;
    if (s->nic.paused)
        return false;
    size_t got = spans_read(f->sg, f->nsg, 0, head, sizeof head);
    if (!is_listening(s) || is_too_long(s, f->bytes + FCS) ||
        !wanted_mac(s, head, &hashed) || !wanted_vlan(s, head, got))
        return true;
    size_t size = buffer_bytes(s);
    size_t most = MAX(f->bytes, NET_FRAME_MIN) + FCS;
    size_t need = (most + size - 1) / size;
    if (available(s) < need) {
        s->nic.rx_wait = need < ring_count(s);
        if (!s->nic.rx_wait)
            e1000_count(s, MPC, 1); /* never fits */
        return !s->nic.rx_wait;
    }
    size_t n = take_frame(s, f);
    count_received(s, n + FCS);
    n = strip_tag(s, n, &v);
    judge_sums(s, n, f->off.flags, &v);
    if (hashed)
        v.status |= D_PIF;
    if (!(reg(s, RCTL) & R_SECRC)) {
        memset(s->rx + n, 0, FCS);
        n += FCS;
    }
    store(s, n, &v);
    raise_causes(s);
    return true;
}
