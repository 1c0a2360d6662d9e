/*
 * Intel 82540EM Gigabit Ethernet controller: registers, interrupts and life.
 * Interrupt delays (RDTR, RADV, TIDV, TADV) count as zero; the throttle (ITR)
 * is modelled. Flow control, wake-up and management do nothing.
 */
#include "base/bits.h"
#include "hw/net/e1000.h"

enum { MEMORY_BYTES = 128 << 10, PORTS_BYTES = 64, ITR_NS = 256 };

#define STATUS_FIXED 0x00000381u /* full duplex, 1000 Mb/s */
#define RA_VALID     BIT(31)

/* --- counters: they stop at their greatest value --- */

void e1000_count(struct e1000 *s, unsigned reg, uint32_t n)
{
    uint32_t *v = e1000_reg(s, reg);

    *v = n > ~0u - *v ? ~0u : *v + n;
}

void e1000_count64(struct e1000 *s, unsigned reg, uint32_t n)
{
    uint32_t *low = e1000_reg(s, reg), *high = low + 1;
    uint64_t v = *low | (uint64_t)*high << 32;

    v = n > ~0ull - v ? ~0ull : v + n;
    *low = (uint32_t)v;
    *high = (uint32_t)(v >> 32);
}

void e1000_count_size(struct e1000 *s, unsigned reg, size_t bytes)
{
    static const uint16_t limits[] = {64, 127, 255, 511, 1023};
    unsigned i = 0;

    while (i < ARRAY_LEN(limits) && bytes > limits[i])
        i++;
    e1000_count(s, reg + 4 * i, 1);
}

/* --- interrupts --- */

/* Drives the pin; a rise waits for the throttle. */
static void drive_irq(struct e1000 *s)
{
    bool want = *e1000_reg(s, ICR) & *e1000_reg(s, IMS);
    uint64_t now = env_now(s->nic.dev.env);

    if (want && !s->irq && now < s->irq_next) {
        env_arm(s->nic.dev.env, &s->irq_timer, s->irq_next);
        return;
    }
    if (want && !s->irq)
        s->irq_next = now + (*e1000_reg(s, ITR) & 0xffff) * (uint64_t)ITR_NS;
    s->irq = want;
    pci_set_intx(&s->nic.pci, want);
}

static void irq_due(void *ctx)
{
    drive_irq(ctx);
}

void e1000_cause(struct e1000 *s, uint32_t causes)
{
    *e1000_reg(s, ICR) |= causes & I_ALL;
    drive_irq(s);
}

/* --- the link --- */

bool e1000_link(const struct e1000 *s)
{
    return s->nic.net && !s->nic.net->down && s->link_at == UINT64_MAX &&
           (s->reg[CTRL / 4] & CTRL_SLU);
}

static void link_due(void *ctx)
{
    struct e1000 *s = ctx;

    s->link_at = UINT64_MAX;
    e1000_phy_link(s);
    e1000_cause(s, I_LSC);
    e1000_tx_start(s);
}

static void link_changed(void *dev)
{
    e1000_phy_link(dev);
    e1000_cause(dev, I_LSC);
}

/* --- registers --- */

static void load_address(struct e1000 *s)
{
    const uint16_t *word = s->eeprom.word;

    *e1000_reg(s, RA) = word[0] | (uint32_t)word[1] << 16;
    *e1000_reg(s, RA + 4) = word[2] | RA_VALID;
}

static void reset_registers(struct e1000 *s)
{
    static const struct {
        uint16_t reg;
        uint32_t v;
    } values[] = {
        {CTRL, 0x00000a09}, {PBA, 0x00100030},    {LEDCTL, 0x07068302},
        {MANC, 0x00002000}, {TXDCTL, 0x00000000}, {VET, 0x00008100},
        {EECD, 0x00000000}, {RXCSUM, 0x00000000}, {TIPG, 0x00602008},
    };

    memset(s->reg, 0, sizeof s->reg);
    for (unsigned i = 0; i < ARRAY_LEN(values); i++)
        *e1000_reg(s, values[i].reg) = values[i].v;
    load_address(s);
    microwire_drive(&s->eeprom, false, false, false);
    s->irq_next = 0;
    env_arm(s->nic.dev.env, &s->irq_timer, UINT64_MAX);
    e1000_tx_reset(s);
    drive_irq(s);
    nic_rx_resume(&s->nic);
}

static void control_write(struct e1000 *s, uint32_t v)
{
    bool up = e1000_link(s);

    if (v & CTRL_RST) {
        reset_registers(s);
        return;
    }
    *e1000_reg(s, CTRL) = v & ~(CTRL_RST | CTRL_PHY_RST);
    if (v & CTRL_PHY_RST)
        e1000_phy_reset(s);
    e1000_phy_link(s);
    if (up != e1000_link(s))
        e1000_cause(s, I_LSC);
}

static void icr_clear(struct e1000 *s, uint32_t v)
{
    *e1000_reg(s, ICR) &= ~v;
    drive_irq(s);
}

static void ims_write(struct e1000 *s, uint32_t v)
{
    *e1000_reg(s, IMS) |= v & I_ALL;
    drive_irq(s);
}

static void imc_write(struct e1000 *s, uint32_t v)
{
    *e1000_reg(s, IMS) &= ~v;
    drive_irq(s);
}

static void rdt_write(struct e1000 *s, uint32_t v)
{
    *e1000_reg(s, RDT) = v & 0xffff;
    nic_rx_resume(&s->nic);
}

static void rctl_write(struct e1000 *s, uint32_t v)
{
    *e1000_reg(s, RCTL) = v;
    nic_rx_resume(&s->nic);
}

static void tdt_write(struct e1000 *s, uint32_t v)
{
    *e1000_reg(s, TDT) = v & 0xffff;
    e1000_tx_start(s);
}

static void tctl_write(struct e1000 *s, uint32_t v)
{
    *e1000_reg(s, TCTL) = v;
    e1000_tx_start(s);
}

/* What writing does: a function, or which bits are kept. Others are read-only.
   last: of a range of registers, or 0. */
static const struct {
    uint16_t reg, last;
    uint32_t mask;
    void (*write)(struct e1000 *s, uint32_t v);
} writes[] = {
    {RDT, 0, 0, rdt_write},         {TDT, 0, 0, tdt_write},
    {IMS, 0, 0, ims_write},         {IMC, 0, 0, imc_write},
    {ICR, 0, 0, icr_clear},         {ICS, 0, 0, e1000_cause},
    {ITR, 0, 0xffff, NULL},         {CTRL, CTRL + 4, 0, control_write},
    {EECD, 0, 0, e1000_eecd_write}, {EERD, 0, 0, e1000_eerd_write},
    {CTRL_EXT, 0, ~0u, NULL},       {MDIC, 0, 0, e1000_mdic_write},
    {FCAL, FCAL + 4, ~0u, NULL},    {FCT, 0, 0xffff, NULL},
    {VET, 0, 0xffff, NULL},         {RCTL, 0, 0, rctl_write},
    {FCTTV, 0, 0xffff, NULL},       {TXCW, 0, ~0u, NULL},
    {TCTL, 0, 0, tctl_write},       {TIPG, 0, ~0u, NULL},
    {AIFS, 0, 0xffff, NULL},        {LEDCTL, 0, ~0u, NULL},
    {PBA, 0, 0xffff, NULL},         {FCRTL, 0, 0x8000fff8, NULL},
    {FCRTH, 0, 0xfff8, NULL},       {RDBAL, 0, ~15u, NULL},
    {RDBAH, 0, ~0u, NULL},          {RDLEN, 0, 0xfff80, NULL},
    {RDH, 0, 0xffff, NULL},         {RDTR, 0, 0xffff, NULL},
    {RXDCTL, 0, ~0u, NULL},         {RADV, 0, 0xffff, NULL},
    {RSRPD, 0, 0xfff, NULL},        {TDBAL, 0, ~15u, NULL},
    {TDBAH, 0, ~0u, NULL},          {TDLEN, 0, 0xfff80, NULL},
    {TDH, 0, 0xffff, NULL},         {TIDV, 0, 0xffff, NULL},
    {TXDCTL, 0, ~0u, NULL},         {TADV, 0, 0xffff, NULL},
    {TSPMT, 0, ~0u, NULL},          {RXCSUM, 0, 0x7ff, NULL},
    {MTA, MTA_LAST, ~0u, NULL},     {RA, RA_LAST, ~0u, NULL},
    {VFTA, VFTA_LAST, ~0u, NULL},   {WUC, 0, 0xf, NULL},
    {WUFC, 0, 0xf00ff, NULL},       {MANC, 0, ~0u, NULL},
    {IPAV, IPAV + 0x1c, ~0u, NULL},
};

static void reg_write(struct e1000 *s, unsigned off, uint32_t v)
{
    for (unsigned i = 0; i < ARRAY_LEN(writes); i++) {
        if (off < writes[i].reg || off > MAX(writes[i].reg, writes[i].last))
            continue;
        if (writes[i].write)
            writes[i].write(s, v);
        else
            *e1000_reg(s, off) = v & writes[i].mask;
        return;
    }
}

/* Counters are cleared by reading; of those of 64 bits the upper half clears
   both. */
static uint32_t stat_read(struct e1000 *s, unsigned off)
{
    static const uint16_t wide[] = {GORC, GOTC, TOR, TOT};
    uint32_t v = *e1000_reg(s, off);

    for (unsigned i = 0; i < ARRAY_LEN(wide); i++) {
        if (off == wide[i])
            return v;
        if (off == wide[i] + 4u)
            *e1000_reg(s, wide[i]) = 0;
    }
    *e1000_reg(s, off) = 0;
    return v;
}

static uint32_t reg_read(struct e1000 *s, unsigned off)
{
    uint32_t v;

    if (off >= STATS && off <= STATS_LAST)
        return stat_read(s, off);
    switch (off) {
    case CTRL + 4: return *e1000_reg(s, CTRL);
    case STATUS: return STATUS_FIXED | (e1000_link(s) ? STATUS_LU : 0);
    case EECD: return e1000_eecd_read(s);
    case ICS:
    case IMC: return 0;
    case ICR:
        v = *e1000_reg(s, ICR);
        if (s->irq)
            v |= BIT(31); /* INT_ASSERTED; harmless where it is reserved */
        icr_clear(s, ~0u);
        return v & I_ALL;
    default: return off < E1000_REGS ? *e1000_reg(s, off) : 0;
    }
}

static uint64_t memory_read(void *dev, uint64_t off, unsigned bytes)
{
    (void)bytes;
    return reg_read(dev, (unsigned)off);
}

static void memory_write(void *dev, uint64_t off, uint64_t v, unsigned bytes)
{
    (void)bytes;
    reg_write(dev, (unsigned)off, (uint32_t)v);
}

static const struct region_ops memory_ops = {memory_read, memory_write, 4, 4};

/* The same through ports, §13.2: an address, then its data. */
static uint64_t ports_read(void *dev, uint64_t off, unsigned bytes)
{
    struct e1000 *s = dev;

    (void)bytes;
    if (off == 0)
        return s->port_address;
    return off == 4 ? reg_read(s, s->port_address) : 0;
}

static void ports_write(void *dev, uint64_t off, uint64_t v, unsigned bytes)
{
    struct e1000 *s = dev;

    (void)bytes;
    if (off == 0)
        s->port_address = (uint32_t)v & (MEMORY_BYTES - 4);
    else if (off == 4)
        reg_write(s, s->port_address, (uint32_t)v);
}

static const struct region_ops ports_ops = {ports_read, ports_write, 4, 4};

/* --- PCI --- */

static void config_written(struct pci_dev *p, unsigned off, unsigned bytes)
{
    if (off < PCI_COMMAND + 2 && off + bytes > PCI_COMMAND)
        e1000_tx_start(container_of(p, struct e1000, nic.pci));
}

static const struct pci_ops config_ops = {.written = config_written};

static int add_bars(struct e1000 *s)
{
    s->memory = (struct region){
        .name = "e1000", .size = MEMORY_BYTES, .ops = &memory_ops, .dev = s};
    s->ports = (struct region){
        .name = "e1000-io", .size = PORTS_BYTES, .ops = &ports_ops, .dev = s};
    int r = pci_add_bar(&s->nic.pci, 0, PCI_BAR_MEM32, &s->memory);
    return r ? r : pci_add_bar(&s->nic.pci, 1, PCI_BAR_IO, &s->ports);
}

/* --- life --- */

static void writable(void *dev)
{
    e1000_tx_start(dev);
}

static const struct net_card card = {e1000_receive, writable, link_changed};

static int e1000_attach(struct dev *d, struct env *env, struct err *e)
{
    static const struct pci_id id = {
        .vendor = 0x8086,
        .device = 0x100e,
        .class_code = 0x020000,
        .revision = 3,
        .subvendor = 0x8086,
        .subdevice = 0x001e,
        .pin = 1,
    };
    struct e1000 *s = (struct e1000 *)d;
    uint8_t mac[NET_MAC];
    int r = nic_attach(d, &id, &config_ops, mac, e);

    if (r < 0)
        return r;
    e1000_eeprom_init(s, mac);
    timer_init(&s->irq_timer, env->loop, irq_due, s);
    timer_init(&s->link_timer, env->loop, link_due, s);
    s->link_at = UINT64_MAX;
    r = nic_plug(d, add_bars(s), e1000_tx_run, &card, e);
    if (r < 0)
        return r;
    if (s->nic.net && s->nic.net->accept) /* sums are filled in, or believed */
        s->nic.net->accept(s->nic.net->endpoint, NET_OFF_CSUM);
    return 0;
}

static void e1000_reset(struct dev *d, bool cold)
{
    struct e1000 *s = (struct e1000 *)d;

    (void)cold;
    pci_reset(&s->nic.pci);
    s->port_address = 0;
    s->irq = false;
    memset(s->context, 0, sizeof s->context);
    s->link_at = UINT64_MAX;
    env_arm(d->env, &s->link_timer, UINT64_MAX);
    reset_registers(s);
    e1000_phy_reset(s);
}

static int e1000_loaded(struct dev *d, uint16_t version)
{
    struct e1000 *s = (struct e1000 *)d;
    int r = pci_loaded(&s->nic.pci);

    (void)version;
    if (r < 0)
        return r;
    s->port_address &= MEMORY_BYTES - 4;
    *e1000_reg(s, ICR) &= I_ALL;
    *e1000_reg(s, IMS) &= I_ALL;
    s->irq_next = MIN(s->irq_next, env_now(d->env) + 0xffff * ITR_NS);
    /* What was read of a frame is not saved: it is lost. */
    s->tx_skip = s->tx_partial;
    s->tx_held = false;
    s->tx_bytes = 0;
    s->nic.rx_wait = true;
    env_arm(d->env, &s->link_timer, s->link_at);
    e1000_phy_link(s);
    drive_irq(s);
    return 0;
}

static void e1000_detach(struct dev *d)
{
    struct e1000 *s = (struct e1000 *)d;

    env_arm(d->env, &s->irq_timer, UINT64_MAX);
    env_arm(d->env, &s->link_timer, UINT64_MAX);
    nic_detach(d);
}

static const struct prop e1000_props[] = {
    NET_PCI_PROPS(struct nic),
    PROP_END,
};

static const struct field context_fields[] = {
    FIELD8(struct e1000_context, ip_start),
    FIELD8(struct e1000_context, ip_field),
    FIELD8(struct e1000_context, tcp_start),
    FIELD8(struct e1000_context, tcp_field),
    FIELD8(struct e1000_context, headers),
    FIELD8(struct e1000_context, command),
    FIELD16(struct e1000_context, ip_end),
    FIELD16(struct e1000_context, tcp_end),
    FIELD16(struct e1000_context, mss),
    FIELD_END,
};

static const struct field e1000_fields[] = {
    FIELD_SUB(struct e1000, nic.pci, struct pci_dev, pci_fields),
    FIELD32(struct e1000, reg),
    FIELD32(struct e1000, port_address),
    FIELD16(struct e1000, phy),
    FIELD_SUB(struct e1000, eeprom, struct microwire, microwire_fields),
    FIELDB(struct e1000, irq),
    FIELD64(struct e1000, irq_next),
    FIELD64(struct e1000, link_at),
    FIELD_SUB(struct e1000, context, struct e1000_context, context_fields),
    FIELDB(struct e1000, tx_partial),
    FIELDB(struct e1000, tx_skip),
    FIELD_RAW(struct e1000, tx_first),
    FIELD_END,
};

extern const struct dev_class e1000_class;
const struct dev_class e1000_class = {
    .name = "e1000",
    .summary = "Intel gigabit Ethernet",
    .spec = "Intel 82540EM, 317453",
    .size = sizeof(struct e1000),
    .props = e1000_props,
    .state = e1000_fields,
    .version = 1,
    .attach = e1000_attach,
    .reset = e1000_reset,
    .pause = nic_pause,
    .resume = nic_resume,
    .loaded = e1000_loaded,
    .detach = e1000_detach,
};
