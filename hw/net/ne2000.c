/*
 * NE2000 on PCI: Realtek RTL8029AS, which is National's DP8390D (data sheet
 * TL/F/8582) with 32 KB of memory behind a data port.
 *
 * Not modelled: its EEPROM's wires, loopback's way back into the FIFO, and the
 * counters of errors that do not happen here.
 */
#include "base/bits.h"
#include "hw/net/nic.h"

enum { /* ports */
       CR = 0x00,
       DATA = 0x10,
       RESET = 0x18,
       PORTS = 0x20,
};
enum { /* registers: page << 4 | port, those of page 0 as they are written */
       PSTART = 0x01,
       PSTOP = 0x02,
       BNRY = 0x03,
       TPSR = 0x04,
       TSR = 0x04, /* read */
       TBCR = 0x05,
       ISR = 0x07,
       RSAR = 0x08,
       RBCR = 0x0a,
       RSR = 0x0c, /* read */
       RCR = 0x0c,
       TCR = 0x0d,
       DCR = 0x0e,
       IMR = 0x0f,
       PAR = 0x11,
       CURR = 0x17,
       MAR = 0x18,
       PAGE3 = 0x30,
       REGS = 0x40,
};
enum { CR_STP = 1, CR_TXP = 4, CR_RD = 0x38, CR_NO_DMA = 0x20 };
enum { RD_READ = 0x08, RD_WRITE = 0x10 };
enum { I_PRX = 1, I_PTX = 2, I_RDC = 0x40, I_RST = 0x80 };
enum { RCR_AB = 4, RCR_AM = 8, RCR_PRO = 16, RCR_MON = 32 };
enum { RSR_PRX = 1, RSR_PHY = 32, TSR_PTX = 1, TCR_LOOPBACK = 6, DCR_WORD = 1 };

/* Addresses: the PROM, each byte twice; packet memory from 16 KB on. */
enum { PROM_BYTES = 32, MEMORY = 0x4000, MEMORY_END = 0xc000, PAGE = 256 };
enum { HEADER = 4, FCS = 4, FRAME = 1518 };

struct ne2000 {
    struct nic nic; /* first */
    struct region ports;
    uint8_t cr, tsr, rsr;
    uint8_t r[REGS]; /* as written */
    uint8_t memory[MEMORY_END];
};

static void drive_irq(struct ne2000 *s)
{
    pci_set_intx(&s->nic.pci, s->r[ISR] & s->r[IMR] & 0x7f);
}

static void cause(struct ne2000 *s, uint8_t bits)
{
    s->r[ISR] |= bits;
    drive_irq(s);
}

/* --- packet memory --- */

/* Where byte `at` really is; NULL: nothing is there. */
static uint8_t *cell(struct ne2000 *s, uint32_t at)
{
    if (at < PROM_BYTES || (at >= MEMORY && at < MEMORY_END))
        return &s->memory[at];
    return NULL;
}

static uint8_t memory_read(struct ne2000 *s, uint32_t at)
{
    const uint8_t *p = cell(s, at);

    return p ? *p : 0xff;
}

static void memory_write(struct ne2000 *s, uint32_t at, uint8_t v)
{
    uint8_t *p = at < PROM_BYTES ? NULL : cell(s, at);

    if (p)
        *p = v;
}

/* The remote DMA moves on by a byte; at the ring's end it goes to its start. */
static uint32_t dma_next(struct ne2000 *s)
{
    uint16_t at = load_le16(s->r + RSAR), left = load_le16(s->r + RBCR);
    uint16_t next = (uint16_t)(at + 1);

    if (next == s->r[PSTOP] * PAGE)
        next = (uint16_t)(s->r[PSTART] * PAGE);
    store_le16(s->r + RSAR, next);
    store_le16(s->r + RBCR, (uint16_t)(left - 1));
    if (left == 1)
        cause(s, I_RDC);
    return at;
}

static bool dma_runs(const struct ne2000 *s, unsigned way)
{
    return (s->cr & CR_RD) == way && load_le16(s->r + RBCR);
}

/* --- transmission --- */

static void tx_start(struct ne2000 *s)
{
    if ((s->cr & CR_TXP) && !s->nic.paused)
        loop_post(s->nic.dev.env->loop, &s->nic.tx_work);
}

static void tx_run(void *ctx)
{
    struct ne2000 *s = ctx;
    uint32_t from = s->r[TPSR] * PAGE, n = load_le16(s->r + TBCR);
    struct net *net = s->nic.net;

    if (!(s->cr & CR_TXP) || s->nic.paused)
        return;
    if (s->r[TCR] & TCR_LOOPBACK)
        net = NULL;
    if (from >= MEMORY && from + n <= MEMORY_END && n <= FRAME &&
        !net_send_bytes(net, s->memory + from, n))
        return;
    s->cr &= (uint8_t)~CR_TXP;
    s->tsr = TSR_PTX;
    cause(s, I_PTX);
}

/* --- reception --- */

static bool wanted(struct ne2000 *s, const uint8_t *mac)
{
    unsigned hash = net_crc(mac, NET_MAC) >> 26;
    uint8_t rcr = s->r[RCR];

    s->rsr = RSR_PRX | (net_is_group(mac) ? RSR_PHY : 0);
    if (net_is_broadcast(mac))
        return rcr & RCR_AB;
    if (net_is_group(mac))
        return (rcr & RCR_AM) && (s->r[MAR + hash / 8] & BIT(hash % 8));
    return (rcr & RCR_PRO) || !memcmp(mac, s->r + PAR, NET_MAC);
}

/* Pages that are free; none when the ring makes no sense. Drivers set BNRY to
   the page before the one they read next, so also to that before the ring. */
static unsigned free_pages(const struct ne2000 *s)
{
    unsigned start = s->r[PSTART], stop = s->r[PSTOP], curr = s->r[CURR];
    unsigned last = s->r[BNRY];

    if (start >= stop || curr < start || curr >= stop || last + 1 < start ||
        last >= stop || start < MEMORY / PAGE || stop > MEMORY_END / PAGE)
        return 0;
    return curr < last ? last - curr : stop - start - (curr - last);
}

/* Writes n bytes of p from *at on, around the end of the ring. */
static void ring_put(struct ne2000 *s, uint32_t *at, const uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        s->memory[(*at)++] = p[i];
        if (*at == s->r[PSTOP] * (uint32_t)PAGE)
            *at = s->r[PSTART] * (uint32_t)PAGE;
    }
}

static void store(struct ne2000 *s, const uint8_t *p, size_t n, unsigned pages)
{
    unsigned next = s->r[CURR] + pages;
    uint32_t at = s->r[CURR] * (uint32_t)PAGE;
    uint8_t header[HEADER];

    if (next >= s->r[PSTOP])
        next -= s->r[PSTOP] - s->r[PSTART];
    header[0] = s->rsr;
    header[1] = (uint8_t)next;
    store_le16(header + 2, (uint16_t)(n + FCS));
    ring_put(s, &at, header, HEADER);
    ring_put(s, &at, p, n);
    s->r[CURR] = (uint8_t)next;
    cause(s, I_PRX);
}

static bool ne2000_receive(void *dev, const struct net_frame *f)
{
    struct ne2000 *s = dev;
    uint8_t p[FRAME] = {0};

    s->nic.rx_wait = s->nic.paused;
    if (s->nic.paused)
        return false;
    if ((s->cr & CR_STP) || f->bytes > FRAME || (s->r[TCR] & TCR_LOOPBACK) ||
        (s->r[RCR] & RCR_MON))
        return true;
    spans_read(f->sg, f->nsg, 0, p, f->bytes);
    if (!wanted(s, p))
        return true;
    size_t n = MAX(f->bytes, NET_FRAME_MIN);
    unsigned pages = (unsigned)((HEADER + n + FCS + PAGE - 1) / PAGE);
    s->nic.rx_wait = free_pages(s) <= pages;
    if (!s->nic.rx_wait)
        store(s, p, n, pages);
    else if (s->r[CURR] != s->r[BNRY])
        cause(s, I_PRX); /* drivers that left packets there come back */
    return !s->nic.rx_wait;
}

/* --- registers --- */

static void reset_chip(struct ne2000 *s)
{
    s->cr = CR_STP | CR_NO_DMA;
    s->r[ISR] = I_RST;
    s->r[IMR] = 0;
    drive_irq(s);
    nic_rx_resume(&s->nic);
}

static void cr_write(struct ne2000 *s, uint8_t v)
{
    bool sends = (s->cr | v) & CR_TXP; /* only the chip takes it away */

    s->cr = (uint8_t)(v & ~CR_TXP) | (sends ? CR_TXP : 0);
    if (v & CR_STP)
        s->r[ISR] |= I_RST;
    else
        s->r[ISR] &= (uint8_t)~I_RST;
    if ((v & (RD_READ | RD_WRITE)) && !load_le16(s->r + RBCR))
        cause(s, I_RDC); /* a DMA of no bytes is done */
    drive_irq(s);
    tx_start(s);
    nic_rx_resume(&s->nic);
}

static void reg_write(struct ne2000 *s, unsigned port, uint8_t v)
{
    unsigned reg = (s->cr >> 6) << 4 | port;

    if (port == CR) {
        cr_write(s, v);
        return;
    }
    if (reg >= 0x20 && reg < PAGE3)
        return; /* page 2 is for reading */
    if (reg == ISR)
        v = s->r[ISR] & ~(v & 0x7f);
    s->r[reg] = v;
    drive_irq(s);
    nic_rx_resume(&s->nic);
}

static uint8_t reg_read(struct ne2000 *s, unsigned port)
{
    unsigned page = s->cr >> 6;

    if (port == CR)
        return s->cr;
    if (page == 2) /* what was written to page 0 */
        return s->r[port];
    if (page)
        return s->r[page << 4 | port];
    switch (port) {
    case PSTART:
    case PSTOP: return load_le16(s->r + RSAR) >> 8 * (port - 1) & 0xff;
    case TSR: return s->tsr;
    case 0x0a: return 0x50; /* RTL8029 */
    case 0x0b: return 0x43;
    case RSR: return s->rsr;
    case BNRY:
    case ISR:
    case RSAR:
    case RSAR + 1: return s->r[port];
    default: return 0;
    }
}

/* In word mode the data port moves two bytes even for an access of one. */
static bool drops_half(const struct ne2000 *s, uint64_t off, unsigned bytes)
{
    return off >= DATA && bytes == 1 && (s->r[DCR] & DCR_WORD);
}

static uint64_t ports_read(void *dev, uint64_t off, unsigned bytes)
{
    struct ne2000 *s = dev;
    uint64_t v = 0;

    if (off >= RESET) {
        reset_chip(s);
        return 0;
    }
    for (unsigned i = 0; i < bytes; i++) {
        uint8_t b = 0xff;
        if (off < DATA)
            b = reg_read(s, (unsigned)off + i);
        else if (dma_runs(s, RD_READ))
            b = memory_read(s, dma_next(s));
        v |= (uint64_t)b << 8 * i;
    }
    if (drops_half(s, off, bytes) && dma_runs(s, RD_READ))
        dma_next(s);
    return v;
}

static void ports_write(void *dev, uint64_t off, uint64_t v, unsigned bytes)
{
    struct ne2000 *s = dev;

    for (unsigned i = 0; i < bytes && off < RESET; i++) {
        uint8_t b = (uint8_t)(v >> 8 * i);
        if (off < DATA)
            reg_write(s, (unsigned)off + i, b);
        else if (dma_runs(s, RD_WRITE))
            memory_write(s, dma_next(s), b);
    }
    if (drops_half(s, off, bytes) && dma_runs(s, RD_WRITE))
        dma_next(s);
}

static const struct region_ops ports_ops = {ports_read, ports_write, 1, 4};

/* --- life --- */

static void fill_prom(struct ne2000 *s, const uint8_t mac[NET_MAC])
{
    memset(s->memory, 0x57, PROM_BYTES); /* 'W': a card of 16 bits */
    for (unsigned i = 0; i < 14; i++)
        s->memory[2 * i] = s->memory[2 * i + 1] = i < NET_MAC ? mac[i] : 0;
}

static void writable(void *dev)
{
    tx_start(dev);
}

static void link_changed(void *dev)
{
    (void)dev; /* it has no way to tell */
}

static const struct net_card card = {ne2000_receive, writable, link_changed};

static int ne2000_attach(struct dev *d, struct env *env, struct err *e)
{
    static const struct pci_id id = {
        .vendor = 0x10ec,
        .device = 0x8029,
        .class_code = 0x020000,
        .subvendor = 0x10ec,
        .subdevice = 0x8029,
        .pin = 1,
    };
    struct ne2000 *s = (struct ne2000 *)d;
    uint8_t mac[NET_MAC];
    int r = nic_attach(d, &id, NULL, mac, e);

    (void)env;
    if (r < 0)
        return r;
    s->ports = (struct region){
        .name = "ne2000", .size = PORTS, .ops = &ports_ops, .dev = s};
    fill_prom(s, mac);
    r = pci_add_bar(&s->nic.pci, 0, PCI_BAR_IO, &s->ports);
    return nic_plug(d, r, tx_run, &card, e);
}

static void ne2000_reset(struct dev *d, bool cold)
{
    struct ne2000 *s = (struct ne2000 *)d;

    (void)cold;
    pci_reset(&s->nic.pci);
    memset(s->r, 0, sizeof s->r);
    memset(s->memory + MEMORY, 0, MEMORY_END - MEMORY);
    s->tsr = s->rsr = 0;
    reset_chip(s);
}

static int ne2000_loaded(struct dev *d, uint16_t version)
{
    struct ne2000 *s = (struct ne2000 *)d;
    int r = pci_loaded(&s->nic.pci);

    (void)version;
    s->nic.rx_wait = true;
    drive_irq(s);
    return r;
}

static const struct prop ne2000_props[] = {
    NET_PCI_PROPS(struct nic),
    PROP_END,
};

static const struct field ne2000_fields[] = {
    FIELD_SUB(struct ne2000, nic.pci, struct pci_dev, pci_fields),
    FIELD8(struct ne2000, cr),
    FIELD8(struct ne2000, tsr),
    FIELD8(struct ne2000, rsr),
    FIELD_RAW(struct ne2000, r),
    FIELD_RAW(struct ne2000, memory),
    FIELD_END,
};

extern const struct dev_class ne2000_class;
const struct dev_class ne2000_class = {
    .name = "ne2000",
    .summary = "NE2000 Ethernet, on PCI",
    .spec = "Realtek RTL8029AS; National DP8390D",
    .size = sizeof(struct ne2000),
    .props = ne2000_props,
    .state = ne2000_fields,
    .version = 1,
    .attach = ne2000_attach,
    .reset = ne2000_reset,
    .pause = nic_pause,
    .resume = nic_resume,
    .loaded = ne2000_loaded,
    .detach = nic_detach,
};
