/* SMBus host controller of the PIIX4: Intel 82371AB, 290562, §7.3. */
#include "base/libc.h"
#include "hw/bus/piix4_smbus.h"

enum { /* registers */
       HSTSTS = 0x0,
       HSTCNT = 0x2,
       HSTCMD = 0x3,
       HSTADD = 0x4,
       HSTDAT0 = 0x5,
       HSTDAT1 = 0x6,
       BLKDAT = 0x7,
       SLVCNT = 0x8,
       SHDWCMD = 0x9,
       SLVEVT = 0xa,
       PORTS = 0x10,
};

enum { STS_DEV_ERR = 1 << 2, STS_FAILED = 1 << 4, STS_W1C = 0x1e };
enum {
    CNT_IRQ = 1 << 0,
    CNT_KILL = 1 << 1,
    CNT_START = 1 << 6,
    CNT_KEPT = 0x1f
};

const struct field piix4_smbus_fields[] = {
    FIELD8(struct piix4_smbus, status),
    FIELD8(struct piix4_smbus, control),
    FIELD8(struct piix4_smbus, command),
    FIELD8(struct piix4_smbus, address),
    FIELD8(struct piix4_smbus, data),
    FIELD8(struct piix4_smbus, block),
    FIELD_MAX(struct piix4_smbus, block_at, 8, 31),
    FIELD8(struct piix4_smbus, slave_control),
    FIELD8(struct piix4_smbus, shadow_command),
    FIELD16(struct piix4_smbus, slave_event),
    FIELD_END,
};

static void drive(struct piix4_smbus *s)
{
    s->level = (s->control & CNT_IRQ) && (s->status & STS_W1C);
    irq_set(&s->irq, s->level);
}

static void write_control(struct piix4_smbus *s, uint8_t v)
{
    s->control = v & CNT_KEPT;
    if (v & CNT_KILL)
        s->status |= STS_FAILED;
    else if (v & CNT_START)
        s->status |= STS_DEV_ERR;
    drive(s);
}

static uint8_t next_block_byte(struct piix4_smbus *s)
{
    uint8_t at = s->block_at;

    s->block_at = (at + 1) % sizeof s->block;
    return at;
}

static uint64_t port_read(void *dev, uint64_t off, unsigned bytes)
{
    struct piix4_smbus *s = dev;

    (void)bytes; /* 1 */
    switch (off) {
    case HSTSTS: return s->status;
    case HSTCNT: s->block_at = 0; return s->control;
    case HSTCMD: return s->command;
    case HSTADD: return s->address;
    case HSTDAT0:
    case HSTDAT1: return s->data[off - HSTDAT0];
    case BLKDAT: return s->block[next_block_byte(s)];
    case SLVCNT: return s->slave_control;
    case SHDWCMD: return s->shadow_command;
    case SLVEVT: return s->slave_event & 0xff;
    case SLVEVT + 1: return s->slave_event >> 8;
    default: return 0;
    }
}

static void port_write(void *dev, uint64_t off, uint64_t v, unsigned bytes)
{
    struct piix4_smbus *s = dev;
    uint8_t b = (uint8_t)v;

    (void)bytes; /* 1 */
    switch (off) {
    case HSTSTS:
        s->status &= (uint8_t) ~(b & STS_W1C);
        drive(s);
        break;
    case HSTCNT: write_control(s, b); break;
    case HSTCMD: s->command = b; break;
    case HSTADD: s->address = b; break;
    case HSTDAT0:
    case HSTDAT1: s->data[off - HSTDAT0] = b; break;
    case BLKDAT: s->block[next_block_byte(s)] = b; break;
    case SLVCNT: s->slave_control = b & 0x0f; break;
    case SLVEVT: s->slave_event = (s->slave_event & 0xff00) | b; break;
    case SLVEVT + 1:
        s->slave_event = (uint16_t)((s->slave_event & 0xff) | b << 8);
        break;
    default: break;
    }
}

static const struct region_ops port_ops = {port_read, port_write, 1, 1};

void piix4_smbus_init(struct piix4_smbus *s)
{
    s->region = (struct region){
        .name = "SMBus", .size = PORTS, .ops = &port_ops, .dev = s};
}

void piix4_smbus_reset(struct piix4_smbus *s)
{
    s->status = s->control = s->command = s->address = 0;
    s->data[0] = s->data[1] = 0;
    memset(s->block, 0, sizeof s->block);
    s->block_at = s->slave_control = s->shadow_command = 0;
    s->slave_event = 0;
    drive(s);
}

void piix4_smbus_map(struct piix4_smbus *s, struct space *io, uint16_t base)
{
    if (s->region.space && s->region.base == base)
        return;
    space_unmap(&s->region);
    if (base)
        (void)space_map(io, base, &s->region, 0);
}

void piix4_smbus_loaded(struct piix4_smbus *s)
{
    s->status &= STS_W1C;
    s->control &= CNT_KEPT;
    drive(s);
}
