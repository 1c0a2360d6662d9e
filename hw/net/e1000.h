/*
 * The parts of the 82540EM: Intel, PCI/PCI-X Family of Gigabit Ethernet
 * Controllers Software Developer's Manual (317453); table and section numbers
 * in the sources are its. Machine lock held throughout.
 */
#ifndef HW_NET_E1000_H
#define HW_NET_E1000_H

#include "hw/net/microwire.h"
#include "hw/net/nic.h"

enum { /* registers, §13.4; what starts a range has its end beside it */
       CTRL = 0x0000,
       STATUS = 0x0008,
       EECD = 0x0010,
       EERD = 0x0014,
       CTRL_EXT = 0x0018,
       MDIC = 0x0020,
       FCAL = 0x0028,
       FCT = 0x0030,
       VET = 0x0038,
       ICR = 0x00c0,
       ITR = 0x00c4,
       ICS = 0x00c8,
       IMS = 0x00d0,
       IMC = 0x00d8,
       RCTL = 0x0100,
       FCTTV = 0x0170,
       TXCW = 0x0178,
       TCTL = 0x0400,
       TIPG = 0x0410,
       AIFS = 0x0458,
       LEDCTL = 0x0e00,
       PBA = 0x1000,
       FCRTL = 0x2160,
       FCRTH = 0x2168,
       RDBAL = 0x2800,
       RDBAH = 0x2804,
       RDLEN = 0x2808,
       RDH = 0x2810,
       RDT = 0x2818,
       RDTR = 0x2820,
       RXDCTL = 0x2828,
       RADV = 0x282c,
       RSRPD = 0x2c00,
       TDBAL = 0x3800,
       TDBAH = 0x3804,
       TDLEN = 0x3808,
       TDH = 0x3810,
       TDT = 0x3818,
       TIDV = 0x3820,
       TXDCTL = 0x3828,
       TADV = 0x382c,
       TSPMT = 0x3830,
       STATS = 0x4000,
       STATS_LAST = 0x4124,
       RXCSUM = 0x5000,
       MTA = 0x5200,
       MTA_LAST = 0x53fc,
       RA = 0x5400,
       RA_LAST = 0x547c,
       VFTA = 0x5600,
       VFTA_LAST = 0x57fc,
       WUC = 0x5800,
       WUFC = 0x5808,
       WUS = 0x5810,
       MANC = 0x5820,
       IPAV = 0x5838,
       WUPL = 0x5900,
       E1000_REGS = 0x6000, /* bytes that are kept */
};

enum { /* statistics, §13.7; those of 64 bits have the upper half behind */
       MPC = 0x4010,
       PRC64 = 0x405c,
       GPRC = 0x4074,
       BPRC = 0x4078,
       MPRC = 0x407c,
       GPTC = 0x4080,
       GORC = 0x4088,
       GOTC = 0x4090,
       RUC = 0x40a4,
       ROC = 0x40ac,
       TOR = 0x40c0,
       TOT = 0x40c8,
       TPR = 0x40d0,
       TPT = 0x40d4,
       PTC64 = 0x40d8,
       MPTC = 0x40f0,
       BPTC = 0x40f4,
       TSCTC = 0x40f8,
};

#define CTRL_SLU     BIT(6)
#define CTRL_RST     BIT(26)
#define CTRL_VME     BIT(30)
#define CTRL_PHY_RST BIT(31)
#define STATUS_LU    BIT(1)

enum { /* interrupt causes, §13.4.17 */
       I_TXDW = 1 << 0,
       I_TXQE = 1 << 1,
       I_LSC = 1 << 2,
       I_RXDMT0 = 1 << 4,
       I_RXO = 1 << 6,
       I_RXT0 = 1 << 7,
       I_MDAC = 1 << 9,
       I_ALL = 0x1f6df,
};

/* What a context descriptor says, §3.3.6. */
struct e1000_context {
    uint8_t ip_start, ip_field, tcp_start, tcp_field, headers, command;
    uint16_t ip_end, tcp_end, mss;
};

struct e1000 {
    struct nic nic; /* first */
    struct region memory, ports;
    uint32_t reg[E1000_REGS / 4];
    uint32_t port_address; /* IOADDR */
    uint16_t phy[32];
    struct microwire eeprom;

    bool irq;          /* what the pin shows */
    uint64_t irq_next; /* ITR: not before this time */
    uint64_t link_at;  /* autonegotiation ends then; UINT64_MAX: it did */
    struct timer irq_timer, link_timer;

    /* Transmission, e1000_tx.c */
    struct e1000_context context[2]; /* for checksums; for TSO */
    bool tx_partial;      /* some of the frame is read, or it waits to go */
    bool tx_skip;         /* to the next frame: this one is lost */
    bool tx_held;         /* the back end refused it */
    uint8_t tx_first[16]; /* the descriptor that says what to do with it */
    size_t tx_bytes;
    struct net_offload tx_off; /* of a frame that is held */
    struct ratelimit log;
    uint8_t tx[NET_FRAME_MAX];
    uint8_t rx[NET_FRAME_MAX];
};

static inline uint32_t *e1000_reg(struct e1000 *s, unsigned off)
{
    return &s->reg[off / 4];
}

/* e1000.c */
void e1000_cause(struct e1000 *s, uint32_t causes);
bool e1000_link(const struct e1000 *s);
void e1000_count(struct e1000 *s, unsigned reg, uint32_t n);
void e1000_count64(struct e1000 *s, unsigned reg, uint32_t n);
/* One of the six counters by frame size from `reg` on. bytes: with FCS. */
void e1000_count_size(struct e1000 *s, unsigned reg, size_t bytes);
enum { FCS = 4 };

/* e1000_tx.c: looks for frames to send, from the loop. */
void e1000_tx_start(struct e1000 *s);
void e1000_tx_run(void *e1000);
void e1000_tx_reset(struct e1000 *s);

/* e1000_rx.c */
bool e1000_receive(void *e1000, const struct net_frame *f);
/* Asks for what was refused. */

/* e1000_phy.c: PHY and EEPROM */
void e1000_eeprom_init(struct e1000 *s, const uint8_t mac[NET_MAC]);
void e1000_eecd_write(struct e1000 *s, uint32_t v);
uint32_t e1000_eecd_read(struct e1000 *s);
void e1000_eerd_write(struct e1000 *s, uint32_t v);
void e1000_mdic_write(struct e1000 *s, uint32_t v);
void e1000_phy_reset(struct e1000 *s);
void e1000_phy_link(struct e1000 *s); /* shows the link as it is */

#endif
