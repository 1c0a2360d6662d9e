/*
 * Realtek RTL8139C Fast Ethernet controller (data sheet revision 1.4; section
 * numbers are its). Not modelled: the C+ descriptors, which this chip does not
 * have, early receive, wake-up and power management.
 *
 * Registers are kept as bytes, as software accesses them in any size; those
 * whose writing does something have a row in a table.
 */
#include "base/bits.h"
#include "base/inet.h"
#include "hw/net/microwire.h"
#include "hw/net/nic.h"
#include "hw/timer/rate.h"

enum { /* registers, §5 */
       IDR = 0x00,
       MAR = 0x08,
       TSD = 0x10, /* four of them */
       TSAD = 0x20,
       RBSTART = 0x30,
       ERBCR = 0x34,
       CR = 0x37,
       CAPR = 0x38,
       CBR = 0x3a,
       IMR = 0x3c,
       ISR = 0x3e,
       TCR = 0x40,
       RCR = 0x44,
       TCTR = 0x48,
       MPC = 0x4c,
       CR9346 = 0x50,
       CONFIG0 = 0x51,
       CONFIG1 = 0x52,
       TIMER_INT = 0x54,
       MSR = 0x58,
       CONFIG3 = 0x59,
       CONFIG4 = 0x5a,
       MULINT = 0x5c,
       RERID = 0x5e,
       TSAD_SUM = 0x60, /* the four TSDs in short */
       BMCR = 0x62,
       BMSR = 0x64,
       ANAR = 0x66,
       ANLPAR = 0x68,
       ANER = 0x6a,
       NWAYTR = 0x70,
       CSCR = 0x74,
       CONFIG5 = 0xd8,
       REGS = 256,
};

#define TSD_SIZE 0x1fffu
#define TSD_OWN  BIT(13)
#define TSD_TUN  BIT(14)
#define TSD_TOK  BIT(15)
#define TSD_TABT BIT(30)
enum { CR_EMPTY = 1, CR_TE = 4, CR_RE = 8, CR_RST = 16 };
enum { /* ISR and IMR */
       I_ROK = 1 << 0,
       I_TOK = 1 << 2,
       I_LINK = 1 << 5,
       I_TIMEOUT = 1 << 14,
       I_SERR = 1 << 15,
       I_ALL = 0xe07f,
};
enum { /* RCR */
       RCR_AAP = 1 << 0,
       RCR_APM = 1 << 1,
       RCR_AM = 1 << 2,
       RCR_AB = 1 << 3,
       RCR_WRAP = 1 << 7,
};
enum { /* status of a received packet */
       RX_ROK = 1 << 0,
       RX_BAR = 1 << 13,
       RX_PAM = 1 << 14,
       RX_MAR = 1 << 15,
};
enum { EE_OUT = 1, EE_IN = 2, EE_CLOCK = 4, EE_SELECT = 8, EE_MODE = 0xc0 };
enum { MODE_PROGRAM = 0x80, MODE_CONFIG = 0xc0 };
enum { FCS = 4, PACKET_HEADER = 4, TX_MAX = 1792, RX_MAX = 1522 };

#define TCR_LOOPBACK (3u << 17)
#define TCR_VERSION  0x74000000u /* RTL8139C */
#define TCTR_HZ      33000000u   /* the PCI clock */

struct rtl8139 {
    struct nic nic; /* first */
    struct region ports, memory;
    uint8_t r[REGS];
    struct microwire eeprom;
    uint8_t next; /* TSD whose turn it is */
    uint64_t timer_start;
    struct timer timer;
    struct ratelimit log;
    uint8_t tx[TX_MAX + 1];
    uint8_t rx[PACKET_HEADER + RX_MAX + FCS];
};

static uint16_t get16(const struct rtl8139 *s, unsigned off)
{
    return load_le16(s->r + off);
}

static uint32_t get32(const struct rtl8139 *s, unsigned off)
{
    return load_le32(s->r + off);
}

static bool has_link(const struct rtl8139 *s)
{
    return s->nic.net && !s->nic.net->down;
}

static void drive_irq(struct rtl8139 *s)
{
    pci_set_intx(&s->nic.pci, get16(s, ISR) & get16(s, IMR));
}

static void cause(struct rtl8139 *s, uint16_t bits)
{
    store_le16(s->r + ISR, get16(s, ISR) | bits);
    drive_irq(s);
}

/* --- transmission, §6.1 --- */

static bool receive_bytes(struct rtl8139 *s, const uint8_t *p, size_t n);

static bool tx_pending(const struct rtl8139 *s)
{
    return (s->r[CR] & CR_TE) && pci_is_master(&s->nic.pci) && !s->nic.paused &&
           !(get32(s, TSD + 4 * s->next) & TSD_OWN);
}

static void tx_start(struct rtl8139 *s)
{
    if (tx_pending(s))
        loop_post(s->nic.dev.env->loop, &s->nic.tx_work);
}

static bool put_on_wire(struct rtl8139 *s, size_t n)
{
    if ((get32(s, TCR) & TCR_LOOPBACK) == TCR_LOOPBACK) {
        (void)receive_bytes(s, s->tx, n);
        return true;
    }
    return net_send_bytes(has_link(s) ? s->nic.net : NULL, s->tx, n);
}

/* Sends the frame of the TSD whose turn it is; false: the back end is busy. */
static bool tx_step(struct rtl8139 *s)
{
    uint8_t *tsd = s->r + TSD + 4 * s->next;
    uint32_t v = load_le32(tsd), n = v & TSD_SIZE;
    uint32_t from = get32(s, TSAD + 4 * s->next);

    if (n > TX_MAX || pci_load(&s->nic.pci, from, s->tx, n) < 0) {
        log_guest(&s->log, "%s: a frame is too long, or not in RAM",
                  s->nic.dev.id);
        v |= TSD_TABT;
    } else if (!put_on_wire(s, n)) {
        return false;
    } else {
        v |= TSD_TOK;
    }
    store_le32(tsd, v | TSD_OWN);
    s->next = (s->next + 1) & 3;
    cause(s, I_TOK);
    return true;
}

static void tx_run(void *ctx)
{
    struct rtl8139 *s = ctx;

    for (unsigned left = 4; left && tx_pending(s); left--)
        if (!tx_step(s))
            return;
    tx_start(s);
}

/* OWN, TOK and so on of all four, a nibble each kind. */
static uint16_t tx_summary(const struct rtl8139 *s)
{
    static const uint32_t kinds[] = {TSD_OWN, TSD_TABT, TSD_TUN, TSD_TOK};
    unsigned v = 0;

    for (unsigned k = 0; k < ARRAY_LEN(kinds); k++)
        for (unsigned i = 0; i < 4; i++)
            if (get32(s, TSD + 4 * i) & kinds[k])
                v |= BIT(4 * k + i);
    return (uint16_t)v;
}

/* --- reception, §6.2 --- */

static uint32_t ring_bytes(const struct rtl8139 *s)
{
    return 8192u << (get32(s, RCR) >> 11 & 3);
}

/* Bytes that software has not read yet; CAPR is 16 behind where it reads. */
static uint32_t ring_used(const struct rtl8139 *s)
{
    return (get16(s, CBR) - (get16(s, CAPR) + 16u)) & (ring_bytes(s) - 1);
}

/* The status bits that say why the frame is taken; 0: it is not. */
static uint16_t wanted(const struct rtl8139 *s, const uint8_t *mac)
{
    uint32_t rcr = get32(s, RCR);
    unsigned hash = net_crc(mac, NET_MAC) >> 26;
    bool own = !memcmp(mac, s->r + IDR, NET_MAC);

    if (net_is_broadcast(mac))
        return rcr & (RCR_AB | RCR_AAP) ? RX_ROK | RX_BAR : 0;
    if (net_is_group(mac)) {
        bool in_hash = s->r[MAR + hash / 8] & BIT(hash % 8);
        return (rcr & RCR_AAP) || ((rcr & RCR_AM) && in_hash) ? RX_ROK | RX_MAR
                                                              : 0;
    }
    if (own && (rcr & (RCR_APM | RCR_AAP)))
        return RX_ROK | RX_PAM;
    return rcr & RCR_AAP ? RX_ROK : 0;
}

/* Into the ring at CBR. With WRAP a packet goes on behind the ring's end. */
static void ring_store(struct rtl8139 *s, uint32_t n)
{
    uint32_t size = ring_bytes(s), at = get16(s, CBR) & (size - 1);
    uint32_t base = get32(s, RBSTART), first = MIN(n, size - at);

    if ((get32(s, RCR) & RCR_WRAP) && size < 65536)
        first = n;
    pci_store(&s->nic.pci, base + at, s->rx, first);
    if (n > first)
        pci_store(&s->nic.pci, base, s->rx + first, n - first);
    store_le16(s->r + CBR, (uint16_t)((at + align_up(n, 4)) & (size - 1)));
}

static bool receive_bytes(struct rtl8139 *s, const uint8_t *p, size_t n)
{
    uint16_t status = n >= NET_HEADER ? wanted(s, p) : 0;
    size_t wire = MAX(n, NET_FRAME_MIN) + FCS;

    if (!(s->r[CR] & CR_RE) || !pci_is_master(&s->nic.pci) || !status ||
        wire > RX_MAX)
        return true;
    uint32_t total = (uint32_t)align_up(PACKET_HEADER + wire, 4);
    if (ring_used(s) + total >= ring_bytes(s)) {
        /* Drivers that left packets in the ring come back for them when there
           is another; so say again that there is. */
        cause(s, I_ROK);
        return false;
    }
    memset(s->rx, 0, PACKET_HEADER + wire);
    store_le16(s->rx, status);
    store_le16(s->rx + 2, (uint16_t)wire);
    memcpy(s->rx + PACKET_HEADER, p, n);
    ring_store(s, (uint32_t)(PACKET_HEADER + wire));
    cause(s, I_ROK);
    return true;
}

static bool rtl_receive(void *dev, const struct net_frame *f)
{
    struct rtl8139 *s = dev;
    uint8_t p[RX_MAX];

    if (!s->nic.paused && (f->bytes > sizeof p || !has_link(s)))
        return true;
    s->nic.rx_wait = s->nic.paused;
    if (s->nic.paused)
        return false;
    size_t n = spans_read(f->sg, f->nsg, 0, p, f->bytes);
    s->nic.rx_wait = !receive_bytes(s, p, n);
    return !s->nic.rx_wait;
}

/* --- the timer: TCTR counts the PCI clock; §5.13 --- */

static uint32_t timer_now(const struct rtl8139 *s)
{
    uint64_t ns = env_now(s->nic.dev.env) - s->timer_start;

    return (uint32_t)ns_ticks(ns, TCTR_HZ);
}

static void timer_set(struct rtl8139 *s)
{
    uint32_t at = get32(s, TIMER_INT);
    uint64_t due = s->timer_start;

    if (at)
        due += ticks_ns(at, TCTR_HZ);
    if (!at || due <= env_now(s->nic.dev.env)) /* once, until it is set anew */
        due = UINT64_MAX;
    env_arm(s->nic.dev.env, &s->timer, due);
}

static void timer_due(void *ctx)
{
    cause(ctx, I_TIMEOUT);
}

/* --- registers --- */

static void phy_link(struct rtl8139 *s)
{
    bool up = has_link(s);

    s->r[MSR] = (uint8_t)((s->r[MSR] & 0xc0) | (up ? 0x10 : 0x14));
    store_le16(s->r + BMSR, up ? 0x782d : 0x7809);
    store_le16(s->r + ANLPAR, up ? 0x45e1 : 0);
    store_le16(s->r + CSCR, up ? 0x03c8 : 0x03c0);
}

/* What CR.RST does: the address and the settings from the EEPROM stay. */
static void reset_registers(struct rtl8139 *s)
{
    memset(s->r + TSD, 0, CR9346 - TSD);
    for (unsigned i = 0; i < 4; i++)
        store_le32(s->r + TSD + 4 * i, TSD_OWN);
    store_le16(s->r + CAPR, 0xfff0);
    store_le32(s->r + TCR, TCR_VERSION);
    store_le32(s->r + TIMER_INT, 0);
    store_le16(s->r + BMCR, 0x3100);
    store_le16(s->r + ANAR, 0x05e1);
    store_le16(s->r + ANER, 0x0001);
    s->next = 0;
    s->timer_start = env_now(s->nic.dev.env);
    timer_set(s);
    phy_link(s);
    drive_irq(s);
    nic_rx_resume(&s->nic);
}

/* What the chip takes from its EEPROM at power-on, and when told to. */
static void load_eeprom(struct rtl8139 *s)
{
    for (unsigned i = 0; i < 3; i++)
        store_le16(s->r + IDR + 2 * i, s->eeprom.word[7 + i]);
    s->r[CONFIG1] = 0x0c; /* both kinds of registers */
    s->r[CONFIG3] = 0x01;
}

/* v: the register with what was written in it; w: only that, else zero. */
static void tsd_write(struct rtl8139 *s, unsigned off, uint32_t v, uint32_t w)
{
    (void)w;
    if (!(get32(s, off) & TSD_OWN))
        return; /* the chip's until it is sent */
    store_le32(s->r + off, v & (TSD_SIZE | TSD_OWN | 0x3f0000));
    tx_start(s);
}

static void cr_write(struct rtl8139 *s, unsigned off, uint32_t v, uint32_t w)
{
    (void)w;
    if (v & CR_RST)
        reset_registers(s);
    else
        s->r[off] = v & (CR_TE | CR_RE);
    tx_start(s);
    nic_rx_resume(&s->nic);
}

static void capr_write(struct rtl8139 *s, unsigned off, uint32_t v, uint32_t w)
{
    (void)w;
    store_le16(s->r + off, (uint16_t)v);
    nic_rx_resume(&s->nic);
}

static void isr_write(struct rtl8139 *s, unsigned off, uint32_t v, uint32_t w)
{
    (void)v;
    store_le16(s->r + off, get16(s, off) & (uint16_t)~w);
    drive_irq(s);
}

static void imr_write(struct rtl8139 *s, unsigned off, uint32_t v, uint32_t w)
{
    (void)w;
    store_le16(s->r + off, v & I_ALL);
    drive_irq(s);
}

static void tcr_write(struct rtl8139 *s, unsigned off, uint32_t v, uint32_t w)
{
    (void)w;
    store_le32(s->r + off, (v & 0x030f07f0) | TCR_VERSION);
}

static void rcr_write(struct rtl8139 *s, unsigned off, uint32_t v, uint32_t w)
{
    (void)w;
    store_le32(s->r + off, v & 0x0f03ffff);
    nic_rx_resume(&s->nic);
}

static void tctr_write(struct rtl8139 *s, unsigned off, uint32_t v, uint32_t w)
{
    (void)off;
    (void)v;
    (void)w;
    s->timer_start = env_now(s->nic.dev.env);
    timer_set(s);
}

static void timer_write(struct rtl8139 *s, unsigned off, uint32_t v, uint32_t w)
{
    (void)w;
    store_le32(s->r + off, v);
    timer_set(s);
}

static void mpc_write(struct rtl8139 *s, unsigned off, uint32_t v, uint32_t w)
{
    (void)v;
    (void)w;
    store_le32(s->r + off, 0);
}

static void wires_write(struct rtl8139 *s, unsigned off, uint32_t v, uint32_t w)
{
    (void)w;
    s->r[off] = (uint8_t)(v & ~(uint32_t)EE_OUT);
    if ((v & EE_MODE) == MODE_PROGRAM)
        microwire_drive(&s->eeprom, v & EE_SELECT, v & EE_CLOCK, v & EE_IN);
    if ((v & EE_MODE) == 0x40) { /* load it again */
        load_eeprom(s);
        s->r[off] = 0;
    }
}

static void config_write(struct rtl8139 *s, unsigned off, uint32_t v,
                         uint32_t w)
{
    (void)w;
    if ((s->r[CR9346] & EE_MODE) == MODE_CONFIG)
        s->r[off] = (uint8_t)v;
}

static void bmcr_write(struct rtl8139 *s, unsigned off, uint32_t v, uint32_t w)
{
    (void)w;
    /* Reset and a new negotiation are done at once. */
    store_le16(s->r + off, v & 0x8000 ? 0x3100 : v & 0x3100);
}

static void keep(struct rtl8139 *s, unsigned off, uint32_t v, uint32_t w)
{
    (void)w;
    s->r[off] = (uint8_t)v;
}

/* bytes: of one register; count of them in a row. */
static const struct {
    uint8_t off, bytes, count;
    void (*write)(struct rtl8139 *s, unsigned off, uint32_t v, uint32_t w);
} rows[] = {
    {IDR, 1, 6, keep},
    {MAR, 1, 8, keep},
    {TSD, 4, 4, tsd_write},
    {TSAD, 1, 16, keep},
    {RBSTART, 1, 4, keep},
    {CR, 1, 1, cr_write},
    {CAPR, 2, 1, capr_write},
    {IMR, 2, 1, imr_write},
    {ISR, 2, 1, isr_write},
    {TCR, 4, 1, tcr_write},
    {RCR, 4, 1, rcr_write},
    {TCTR, 4, 1, tctr_write},
    {MPC, 4, 1, mpc_write},
    {CR9346, 1, 1, wires_write},
    {CONFIG0, 1, 2, config_write},
    {TIMER_INT, 4, 1, timer_write},
    {CONFIG3, 1, 2, config_write},
    {MULINT, 1, 2, keep},
    {BMCR, 2, 1, bmcr_write},
    {ANAR, 1, 2, keep},
    {NWAYTR, 1, 2, keep},
    {CONFIG5, 1, 1, config_write},
};

/* The register at off, its first byte in *first; 0: none that is writable. */
static unsigned find_row(unsigned off, unsigned *first)
{
    for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
        unsigned at = off - rows[i].off;
        if (at < (unsigned)rows[i].bytes * rows[i].count) {
            *first = off - at % rows[i].bytes;
            return i + 1;
        }
    }
    return 0;
}

static void bank_write(void *dev, uint64_t at, uint64_t v, unsigned bytes)
{
    struct rtl8139 *s = dev;

    for (unsigned i = 0, n; i < bytes; i += n) {
        unsigned off = (unsigned)at + i, first, row = find_row(off, &first);
        uint8_t merged[8], alone[8] = {0};

        n = 1;
        if (!row)
            continue;
        n = MIN(first + rows[row - 1].bytes - off, bytes - i);
        memcpy(merged, s->r + first, rows[row - 1].bytes);
        for (unsigned k = 0; k < n; k++)
            merged[off - first + k] = alone[off - first + k] =
                (uint8_t)(v >> 8 * (i + k));
        rows[row - 1].write(s, first,
                            (uint32_t)load_le(merged, rows[row - 1].bytes),
                            (uint32_t)load_le(alone, rows[row - 1].bytes));
    }
}

static uint64_t bank_read(void *dev, uint64_t at, unsigned bytes)
{
    struct rtl8139 *s = dev;
    uint8_t empty = ring_used(s) ? 0 : CR_EMPTY;

    s->r[CR] = (uint8_t)((s->r[CR] & ~CR_EMPTY) | empty);
    store_le32(s->r + TCTR, timer_now(s));
    store_le16(s->r + TSAD_SUM, tx_summary(s));
    s->r[CR9346] = (uint8_t)((s->r[CR9346] & ~EE_OUT) |
                             (microwire_out(&s->eeprom) ? EE_OUT : 0));
    return load_le(s->r + at, bytes);
}

static const struct region_ops bank_ops = {bank_read, bank_write, 1, 4};

/* --- PCI --- */

static void config_written(struct pci_dev *p, unsigned off, unsigned bytes)
{
    if (off < PCI_COMMAND + 2 && off + bytes > PCI_COMMAND)
        tx_start(container_of(p, struct rtl8139, nic.pci));
}

static const struct pci_ops config_ops = {.written = config_written};

static int add_bars(struct rtl8139 *s)
{
    s->ports = s->memory = (struct region){
        .name = "rtl8139", .size = REGS, .ops = &bank_ops, .dev = s};
    int r = pci_add_bar(&s->nic.pci, 0, PCI_BAR_IO, &s->ports);
    return r ? r : pci_add_bar(&s->nic.pci, 1, PCI_BAR_MEM32, &s->memory);
}

/* --- life --- */

static void fill_eeprom(struct rtl8139 *s, const uint8_t mac[NET_MAC])
{
    static const uint16_t head[] = {0x8129, 0x10ec, 0x8139, 0x10ec,
                                    0x8139, 0x4020, 0xe512};

    memcpy(s->eeprom.word, head, sizeof head);
    for (unsigned i = 0; i < 3; i++)
        s->eeprom.word[7 + i] = load_le16(mac + 2 * i);
}

static void writable(void *dev)
{
    tx_start(dev);
}

static void link_changed(void *dev)
{
    phy_link(dev);
    cause(dev, I_LINK);
}

static const struct net_card card = {rtl_receive, writable, link_changed};

static int rtl_attach(struct dev *d, struct env *env, struct err *e)
{
    static const struct pci_id id = {
        .vendor = 0x10ec,
        .device = 0x8139,
        .class_code = 0x020000,
        .revision = 0x10, /* RTL8139C; from 0x20 on it would be a C+ */
        .subvendor = 0x10ec,
        .subdevice = 0x8139,
        .pin = 1,
    };
    struct rtl8139 *s = (struct rtl8139 *)d;
    uint8_t mac[NET_MAC];
    int r = nic_attach(d, &id, &config_ops, mac, e);

    if (r < 0)
        return r;
    fill_eeprom(s, mac);
    timer_init(&s->timer, env->loop, timer_due, s);
    return nic_plug(d, add_bars(s), tx_run, &card, e);
}

static void rtl_reset(struct dev *d, bool cold)
{
    struct rtl8139 *s = (struct rtl8139 *)d;

    (void)cold;
    pci_reset(&s->nic.pci);
    memset(s->r, 0, sizeof s->r);
    microwire_drive(&s->eeprom, false, false, false);
    load_eeprom(s);
    reset_registers(s);
}

static int rtl_loaded(struct dev *d, uint16_t version)
{
    struct rtl8139 *s = (struct rtl8139 *)d;
    int r = pci_loaded(&s->nic.pci);

    (void)version;
    if (r < 0)
        return r;
    if (s->timer_start > env_now(d->env))
        s->timer_start = env_now(d->env);
    store_le16(s->r + ISR, get16(s, ISR) & I_ALL);
    s->nic.rx_wait = true;
    phy_link(s);
    timer_set(s);
    drive_irq(s);
    return 0;
}

static void rtl_detach(struct dev *d)
{
    struct rtl8139 *s = (struct rtl8139 *)d;

    env_arm(d->env, &s->timer, UINT64_MAX);
    nic_detach(d);
}

static const struct prop rtl_props[] = {
    NET_PCI_PROPS(struct nic),
    PROP_END,
};

static const struct field rtl_fields[] = {
    FIELD_SUB(struct rtl8139, nic.pci, struct pci_dev, pci_fields),
    FIELD_RAW(struct rtl8139, r),
    FIELD_SUB(struct rtl8139, eeprom, struct microwire, microwire_fields),
    FIELD_MAX(struct rtl8139, next, 8, 3),
    FIELD64(struct rtl8139, timer_start),
    FIELD_END,
};

extern const struct dev_class rtl8139_class;
const struct dev_class rtl8139_class = {
    .name = "rtl8139",
    .summary = "Realtek fast Ethernet",
    .spec = "Realtek RTL8139C, revision 1.4",
    .size = sizeof(struct rtl8139),
    .props = rtl_props,
    .state = rtl_fields,
    .version = 1,
    .attach = rtl_attach,
    .reset = rtl_reset,
    .pause = nic_pause,
    .resume = nic_resume,
    .loaded = rtl_loaded,
    .detach = rtl_detach,
};
