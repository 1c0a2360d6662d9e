/* What is behind the 82540EM: its EEPROM and its PHY. */
#include "base/bits.h"
#include "hw/net/e1000.h"

enum { /* EECD, §13.4.4 */
       EE_SK = 1 << 0,
       EE_CS = 1 << 1,
       EE_DI = 1 << 2,
       EE_DO = 1 << 3,
       EE_REQ = 1 << 6,
       EE_GNT = 1 << 7,
       EE_PRES = 1 << 8,
       EE_KEPT = EE_SK | EE_CS | EE_DI | 0x30 | EE_REQ,
};
enum { ER_START = 1 << 0, ER_DONE = 1 << 4 };
enum { /* MDIC, §13.4.8 */
       MD_WRITE = 1,
       MD_READ = 2,
       MD_PHY = 1,
};
#define MD_READY BIT(28)
#define MD_IRQ   BIT(29)
#define MD_ERROR BIT(30)

enum { /* PHY registers: IEEE 802.3 clause 22, and the 88E1011's own */
       P_CONTROL = 0,
       P_STATUS = 1,
       P_ID1 = 2,
       P_ID2 = 3,
       P_ADVERTISE = 4,
       P_PARTNER = 5,
       P_EXPANSION = 6,
       P_GIG_CONTROL = 9,
       P_GIG_STATUS = 10,
       P_EXTENDED = 15,
       P_SPECIFIC_CONTROL = 16,
       P_SPECIFIC_STATUS = 17,
       P_EXT_CONTROL = 20,
       C_RESTART = 1 << 9,
       C_AUTO = 1 << 12,
       C_RESET = 1 << 15,
       S_DONE = 1 << 5,
       S_LINK = 1 << 2,
       SS_LINK = 1 << 10,
       SS_GIG_FULL = 0xa800, /* 1000 Mb/s, full duplex, resolved */
};

/* --- EEPROM: §5.6 has its map --- */

enum { EEPROM_SUM = 0xbaba };

void e1000_eeprom_init(struct e1000 *s, const uint8_t mac[NET_MAC])
{
    static const uint16_t rest[] = {
        [0x03] = 0x0210, [0x08] = 0xffff, [0x09] = 0xffff, [0x0a] = 0x4408,
        [0x0b] = 0x001e, [0x0c] = 0x8086, [0x0d] = 0x100e, [0x0e] = 0x8086,
        [0x0f] = 0x3040, [0x10] = 0x0008, [0x11] = 0x2000, [0x21] = 0x7061,
        [0x24] = 0x0602,
    };
    uint16_t *word = s->eeprom.word, sum = 0;

    memset(word, 0xff, sizeof s->eeprom.word);
    memcpy(word, rest, sizeof rest);
    for (unsigned i = 0; i < 3; i++)
        word[i] = load_le16(mac + 2 * i);
    for (unsigned i = 0; i < MICROWIRE_WORDS - 1; i++)
        sum = (uint16_t)(sum + word[i]);
    word[MICROWIRE_WORDS - 1] = (uint16_t)(EEPROM_SUM - sum);
}

void e1000_eecd_write(struct e1000 *s, uint32_t v)
{
    microwire_drive(&s->eeprom, v & EE_CS, v & EE_SK, v & EE_DI);
    *e1000_reg(s, EECD) = v & EE_KEPT;
}

uint32_t e1000_eecd_read(struct e1000 *s)
{
    uint32_t v = *e1000_reg(s, EECD) | EE_PRES;

    if (v & EE_REQ)
        v |= EE_GNT;
    return microwire_out(&s->eeprom) ? v | EE_DO : v;
}

void e1000_eerd_write(struct e1000 *s, uint32_t v)
{
    unsigned address = v >> 8 & 0xff;
    uint16_t word =
        address < MICROWIRE_WORDS ? s->eeprom.word[address] : 0xffff;

    if (v & ER_START)
        v = (uint32_t)word << 16 | (v & 0xff00) | ER_DONE;
    *e1000_reg(s, EERD) = v;
}

/* --- PHY --- */

static const uint16_t phy_reset[32] = {
    [P_CONTROL] = C_AUTO | 0x0140,
    [P_STATUS] = 0x7949,
    [P_ID1] = 0x0141,
    [P_ID2] = 0x0c20,
    [P_ADVERTISE] = 0x0de1,
    [P_PARTNER] = 0x45e1,
    [P_EXPANSION] = 0x0001,
    [P_GIG_CONTROL] = 0x0e00,
    [P_GIG_STATUS] = 0x3c00,
    [P_EXTENDED] = 0x3000,
    [P_SPECIFIC_CONTROL] = 0x0360,
    [P_EXT_CONTROL] = 0x0d60,
};

void e1000_phy_link(struct e1000 *s)
{
    bool up = e1000_link(s);

    s->phy[P_STATUS] &= (uint16_t) ~(S_LINK | S_DONE);
    s->phy[P_SPECIFIC_STATUS] = 0;
    if (up) {
        s->phy[P_STATUS] |= S_LINK | S_DONE;
        s->phy[P_SPECIFIC_STATUS] = SS_GIG_FULL | SS_LINK;
    }
}

void e1000_phy_reset(struct e1000 *s)
{
    memcpy(s->phy, phy_reset, sizeof s->phy);
    e1000_phy_link(s);
}

static void negotiate(struct e1000 *s)
{
    enum { NEGOTIATION_NS = 20000000 };

    s->link_at = env_now(s->nic.dev.env) + NEGOTIATION_NS;
    env_arm(s->nic.dev.env, &s->link_timer, s->link_at);
    e1000_phy_link(s);
}

static bool phy_is_readonly(unsigned reg)
{
    return reg == P_STATUS || reg == P_ID1 || reg == P_ID2 ||
           reg == P_PARTNER || reg == P_EXPANSION || reg == P_GIG_STATUS ||
           reg == P_EXTENDED || reg == P_SPECIFIC_STATUS;
}

static void phy_write(struct e1000 *s, unsigned reg, uint16_t v)
{
    if (phy_is_readonly(reg))
        return;
    s->phy[reg] = v;
    if (reg != P_CONTROL)
        return;
    if (v & C_RESET)
        e1000_phy_reset(s);
    s->phy[P_CONTROL] &= (uint16_t) ~(C_RESET | C_RESTART);
    if ((v & (C_RESET | C_RESTART)) && (s->phy[P_CONTROL] & C_AUTO))
        negotiate(s);
}

void e1000_mdic_write(struct e1000 *s, uint32_t v)
{
    unsigned reg = v >> 16 & 31, phy = v >> 21 & 31, op = v >> 26 & 3;
    uint32_t out = (v & ~MD_ERROR) | MD_READY;

    if (phy != MD_PHY || (op != MD_READ && op != MD_WRITE))
        out |= MD_ERROR;
    else if (op == MD_READ)
        out = (out & 0xffff0000) | s->phy[reg];
    else
        phy_write(s, reg, (uint16_t)v);
    *e1000_reg(s, MDIC) = out;
    if (v & MD_IRQ)
        e1000_cause(s, I_MDAC);
}
