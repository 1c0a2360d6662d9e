/*
 * AC'97 controller: Intel 82801AA (ICH), 290655, chapter 13 (function 5).
 * Three bus masters move samples between memory and a codec at the pace that
 * the codec's rates demand. There is no sound: what is played goes nowhere,
 * what is recorded is silence. Time is looked at when software asks and when a
 * buffer is done.
 */
#include "base/bits.h"
#include "base/endian.h"
#include "base/libc.h"
#include "hw/audio/ac97_codec.h"
#include "lodge/pci.h"

enum { MIXER_PORTS = 256, MASTER_PORTS = 64 };
enum { CHANNELS = 3, CHANNEL_PORTS = 16, BUFFERS = 32 };

enum { /* of a bus master: ports */
       BDBAR = 0x0,
       CIV = 0x4,
       LVI = 0x5,
       SR = 0x6,
       PICB = 0x8,
       PIV = 0xa,
       CR = 0xb,
};
enum { /* of all */
       GLOB_CNT = 0x2c,
       GLOB_STA = 0x30,
       CAS = 0x34,
};
enum {
    SR_DCH = 1 << 0,
    SR_CELV = 1 << 1,
    SR_LVBCI = 1 << 2,
    SR_BCIS = 1 << 3,
    SR_FIFOE = 1 << 4,
    SR_W1C = SR_LVBCI | SR_BCIS | SR_FIFOE,
};
enum {
    CR_RPBM = 1 << 0,
    CR_RR = 1 << 1,
    CR_LVBIE = 1 << 2,
    CR_FEIE = 1 << 3,
    CR_IOCE = 1 << 4,
    CR_WRITABLE = CR_RPBM | CR_LVBIE | CR_FEIE | CR_IOCE,
};
enum {
    CNT_COLD = 1 << 1, /* 0: AC_RESET# is asserted */
    CNT_WARM = 1 << 2,
    CNT_WRITABLE = 0x30003b,
    CNT_CHANNELS_AT = 20, /* 0: two; 1: four; 2: six */
};
enum { STA_PCR = 1 << 8, STA_RCS = 1 << 15 };
#define BD_IOC BIT(31)

static const struct {
    uint8_t converter, channels, status; /* its bit in GLOB_STA */
    bool record;
} kinds[CHANNELS] = {
    {AC97_ADC, 2, 5, true},
    {AC97_DAC, 2, 6, false},
    {AC97_MIC_ADC, 1, 7, true},
};

struct channel {
    uint32_t bdbar;
    uint8_t civ, lvi, piv, cr;
    uint16_t sr;
    bool fetched; /* what follows is of the buffer CIV */
    bool ioc;
    uint32_t addr;  /* of the next sample */
    uint16_t picb;  /* samples left */
    uint64_t since; /* env_now() when that was so */
};

struct ac97 {
    struct dev dev;
    struct pci_dev pci;
    struct region mixer_ports, master_ports;
    struct timer timer;
    struct ac97_codec codec;
    struct channel channel[CHANNELS];
    uint32_t control; /* GLOB_CNT */
    bool read_failed; /* GLOB_STA.RCS */
    bool semaphore;   /* CAS */
};

static bool runs(const struct channel *c)
{
    return (c->cr & CR_RPBM) && !(c->sr & SR_DCH);
}

static bool asks(const struct channel *c)
{
    return ((c->sr & SR_LVBCI) && (c->cr & CR_LVBIE)) ||
           ((c->sr & SR_BCIS) && (c->cr & CR_IOCE)) ||
           ((c->sr & SR_FIFOE) && (c->cr & CR_FEIE));
}

static uint32_t global_status(const struct ac97 *s)
{
    uint32_t v = s->control & CNT_COLD ? STA_PCR : 0;

    if (s->read_failed)
        v |= STA_RCS;
    for (unsigned i = 0; i < CHANNELS; i++)
        if (asks(&s->channel[i]))
            v |= BIT(kinds[i].status);
    return v;
}

/* --- the bus masters --- */

/* Samples a second, of all its channels. */
static uint64_t pace(const struct ac97 *s, unsigned n)
{
    uint64_t rate = ac97_codec_rate(&s->codec, kinds[n].converter);
    unsigned more = s->control >> CNT_CHANNELS_AT & 3;

    if (kinds[n].converter == AC97_DAC)
        return rate * 2 * (1 + MIN(more, 2u));
    return rate * kinds[n].channels;
}

static uint64_t duration(const struct ac97 *s, unsigned n, uint64_t samples)
{
    uint64_t rate = pace(s, n);

    return (samples * NS_PER_SEC + rate - 1) / rate;
}

/* What the list has about the present buffer. */
static void fetch(struct ac97 *s, struct channel *c)
{
    uint8_t bd[8];

    if (pci_load(&s->pci, c->bdbar + 8u * c->civ, bd, sizeof bd) < 0) {
        memset(bd, 0, sizeof bd); /* no data, no length */
        c->sr |= SR_FIFOE;
    }
    c->addr = load_le32(bd) & ~1u;
    c->picb = load_le16(bd + 4);
    c->ioc = load_le32(bd + 4) & BD_IOC;
    c->fetched = true;
}

static void next_buffer(struct ac97 *s, struct channel *c)
{
    c->civ = c->piv;
    c->piv = (c->piv + 1) % BUFFERS;
    fetch(s, c);
}

static void buffer_done(struct ac97 *s, struct channel *c)
{
    if (c->ioc)
        c->sr |= SR_BCIS;
    if (c->civ == c->lvi)
        c->sr |= SR_LVBCI | SR_CELV | SR_DCH;
    else
        next_buffer(s, c);
}

/* Moves n samples, at most those that are left of the buffer. */
static void move(struct ac97 *s, unsigned n, uint16_t samples)
{
    static const uint8_t silence[512];
    struct channel *c = &s->channel[n];
    uint32_t left = 2u * samples, at = c->addr;

    while (kinds[n].record && left) {
        uint32_t part = MIN(left, (uint32_t)sizeof silence);

        if (pci_store(&s->pci, at, silence, part) < 0)
            c->sr |= SR_FIFOE;
        at += part;
        left -= part;
    }
    c->addr += 2u * samples;
    c->picb = (uint16_t)(c->picb - samples);
}

/*
 * Up to now. The list has 32 buffers and ends at LVI, so this does, however
 * long nobody looked; after that time begins anew.
 */
static void advance(struct ac97 *s, unsigned n)
{
    struct channel *c = &s->channel[n];
    uint64_t now = env_now(s->dev.env);

    for (unsigned i = 0; i <= BUFFERS && runs(c); i++) {
        uint64_t whole = duration(s, n, c->picb), passed = now - c->since;

        if (passed < whole) {
            uint64_t done = passed * pace(s, n) / NS_PER_SEC;

            done = MIN(done, (uint64_t)c->picb);
            move(s, n, (uint16_t)done);
            c->since += done * NS_PER_SEC / pace(s, n);
            return;
        }
        move(s, n, c->picb);
        c->since += whole;
        buffer_done(s, c);
    }
    c->since = now;
}

/* The next time a buffer ends, and the interrupt as all that has happened
   wants it. */
static void update(struct ac97 *s)
{
    uint64_t next = UINT64_MAX, status = 0;

    for (unsigned n = 0; n < CHANNELS; n++) {
        const struct channel *c = &s->channel[n];

        if (runs(c))
            next = MIN(next, c->since + duration(s, n, c->picb));
        status |= asks(c);
    }
    pci_set_intx(&s->pci, status);
    env_arm(s->dev.env, &s->timer, next);
}

static void advance_all(struct ac97 *s)
{
    for (unsigned n = 0; n < CHANNELS; n++)
        advance(s, n);
}

static void expired(void *ctx)
{
    struct ac97 *s = ctx;

    advance_all(s);
    update(s);
}

static void go_on(struct ac97 *s, struct channel *c)
{
    c->sr &= (uint16_t) ~(SR_DCH | SR_CELV);
    c->since = env_now(s->dev.env);
}

static void channel_reset(struct channel *c)
{
    *c = (struct channel){.sr = SR_DCH};
}

/* Stopped, a bus master keeps its place. */
static void control_write(struct ac97 *s, struct channel *c, uint8_t v)
{
    uint8_t was = c->cr;

    c->cr = v & CR_WRITABLE;
    if ((v & CR_RR) && !(was & CR_RPBM)) {
        channel_reset(c);
        return;
    }
    if (!(v & CR_RPBM)) {
        c->sr |= SR_DCH;
        return;
    }
    if (was & CR_RPBM)
        return;
    if (!c->fetched)
        next_buffer(s, c);
    if (!(c->sr & SR_CELV))
        go_on(s, c);
}

/* More buffers than those that were done: it goes on with the next one. */
static void last_write(struct ac97 *s, struct channel *c, uint8_t v)
{
    bool waits = (c->cr & CR_RPBM) && (c->sr & SR_CELV);

    c->lvi = v % BUFFERS;
    if (!waits || c->lvi == c->civ)
        return;
    next_buffer(s, c);
    go_on(s, c);
}

static void channel_write(struct ac97 *s, struct channel *c, unsigned reg,
                          uint8_t v)
{
    unsigned shift = 8 * reg;

    switch (reg) {
    case BDBAR:
    case BDBAR + 1:
    case BDBAR + 2:
    case BDBAR + 3:
        c->bdbar = (c->bdbar & ~(0xffu << shift)) | (uint32_t)v << shift;
        c->bdbar &= ~7u;
        break;
    case LVI: last_write(s, c, v); break;
    case SR: c->sr &= (uint16_t) ~(v & SR_W1C); break;
    case CR: control_write(s, c, v); break;
    default: break;
    }
}

static uint8_t channel_read(const struct channel *c, unsigned reg)
{
    switch (reg) {
    case CIV: return c->civ;
    case LVI: return c->lvi;
    case SR: return (uint8_t)c->sr;
    case PICB: return (uint8_t)c->picb;
    case PICB + 1: return c->picb >> 8;
    case PIV: return c->piv;
    case CR: return c->cr;
    default:
        return reg < BDBAR + 4 ? (uint8_t)(c->bdbar >> 8 * (reg - BDBAR)) : 0;
    }
}

static void global_write(struct ac97 *s, uint32_t v)
{
    bool was = s->control & CNT_COLD;

    s->control = v & CNT_WRITABLE;
    if (was && !(v & CNT_COLD))
        ac97_codec_reset(&s->codec);
}

static uint64_t master_read(void *dev, uint64_t off, unsigned bytes)
{
    struct ac97 *s = dev;
    uint64_t v = 0;

    advance_all(s);
    update(s);
    for (unsigned i = 0; i < bytes; i++) {
        unsigned at = (unsigned)off + i;
        uint32_t b = 0;

        if (at < CHANNELS * CHANNEL_PORTS)
            b = channel_read(&s->channel[at / CHANNEL_PORTS],
                             at % CHANNEL_PORTS);
        if (at >= GLOB_CNT && at < GLOB_CNT + 4)
            b = s->control >> 8 * (at - GLOB_CNT);
        if (at >= GLOB_STA && at < GLOB_STA + 4)
            b = global_status(s) >> 8 * (at - GLOB_STA);
        if (at == CAS) { /* who reads 0 has it */
            b = s->semaphore;
            s->semaphore = true;
        }
        v |= (uint64_t)(b & 0xff) << 8 * i;
    }
    return v;
}

static void master_write(void *dev, uint64_t off, uint64_t v, unsigned bytes)
{
    struct ac97 *s = dev;

    advance_all(s);
    for (unsigned i = 0; i < bytes; i++) {
        unsigned at = (unsigned)off + i;
        uint8_t b = (uint8_t)(v >> 8 * i);

        if (at < GLOB_CNT)
            channel_write(s, &s->channel[at / CHANNEL_PORTS],
                          at % CHANNEL_PORTS, b);
        else if (at < GLOB_CNT + 4)
            global_write(s, (s->control & ~(0xffu << 8 * (at - GLOB_CNT))) |
                                (uint32_t)b << 8 * (at - GLOB_CNT));
        else if (at == GLOB_STA + 1 && b & STA_RCS >> 8)
            s->read_failed = false;
    }
    update(s);
}

static const struct region_ops master_ops = {master_read, master_write, 1, 4};

/* --- the codec --- */

/* Words at even ports; behind the first codec's there is no other one. */
static bool codec_answers(struct ac97 *s, uint64_t off)
{
    s->semaphore = false;
    return (s->control & CNT_COLD) && off < 2 * AC97_CODEC_REGS;
}

static uint64_t mixer_read(void *dev, uint64_t off, unsigned bytes UNUSED)
{
    struct ac97 *s = dev;

    if (codec_answers(s, off))
        return ac97_codec_read(&s->codec, (unsigned)off & ~1u);
    s->read_failed = true;
    return 0xffff;
}

static void mixer_write(void *dev, uint64_t off, uint64_t v,
                        unsigned bytes UNUSED)
{
    struct ac97 *s = dev;

    advance_all(s);
    if (codec_answers(s, off))
        ac97_codec_write(&s->codec, (unsigned)off & ~1u, (uint16_t)v);
    update(s);
}

static const struct region_ops mixer_ops = {mixer_read, mixer_write, 2, 2};

/* --- life --- */

static const struct pci_reg pci_regs[] = {
    {PCI_COMMAND, 2, 0, PCI_CMD_IO | PCI_CMD_MASTER, 0},
    {PCI_STATUS, 2, PCI_STS_FAST_B2B | PCI_STS_DEVSEL_MEDIUM, 0, 0x2800},
    {PCI_CACHE_LINE, 1, 0, 0, 0},
    PCI_REG_END,
};

static int ac97_attach(struct dev *d, struct env *env, struct err *e)
{
    static const struct pci_id id = {
        .vendor = 0x8086,
        .device = 0x2415,
        .class_code = 0x040100,
        .revision = 1,
        .subvendor = 0x8086,
        .pin = 1,
        .regs = pci_regs,
    };
    struct ac97 *s = (struct ac97 *)d;
    int r = pci_attach(&s->pci, d, &id, NULL, -1, e);

    if (r < 0)
        return r;
    s->mixer_ports = (struct region){.name = "AC'97 codec",
                                     .size = MIXER_PORTS,
                                     .ops = &mixer_ops,
                                     .dev = s};
    s->master_ports = (struct region){.name = "AC'97 bus masters",
                                      .size = MASTER_PORTS,
                                      .ops = &master_ops,
                                      .dev = s};
    r = pci_add_bar(&s->pci, 0, PCI_BAR_IO, &s->mixer_ports);
    if (r == 0)
        r = pci_add_bar(&s->pci, 1, PCI_BAR_IO, &s->master_ports);
    if (r < 0) {
        pci_detach(&s->pci);
        return err_set(e, -r, "%s: no room for its ports", d->id);
    }
    timer_init(&s->timer, env->loop, expired, s);
    return 0;
}

static void ac97_reset(struct dev *d, bool cold UNUSED)
{
    struct ac97 *s = (struct ac97 *)d;

    pci_reset(&s->pci);
    ac97_codec_reset(&s->codec);
    for (unsigned n = 0; n < CHANNELS; n++)
        channel_reset(&s->channel[n]);
    s->control = 0;
    s->read_failed = s->semaphore = false;
    update(s);
}

static int ac97_loaded(struct dev *d, uint16_t version UNUSED)
{
    struct ac97 *s = (struct ac97 *)d;
    int r = pci_loaded(&s->pci);

    ac97_codec_loaded(&s->codec);
    for (unsigned n = 0; n < CHANNELS; n++) {
        struct channel *c = &s->channel[n];

        if (c->since > env_now(d->env))
            return -LE_FORMAT;
        c->bdbar &= ~7u;
    }
    update(s);
    return r;
}

static void ac97_detach(struct dev *d)
{
    struct ac97 *s = (struct ac97 *)d;

    env_arm(d->env, &s->timer, UINT64_MAX);
    pci_detach(&s->pci);
}

static const struct prop ac97_props[] = {
    {"slot", "PCI slot, 0: any free one", offsetof(struct ac97, pci.slot),
     PROP_U32, false, 0, 0, 31},
    PROP_END,
};

static const struct field channel_fields[] = {
    FIELD32(struct channel, bdbar),
    FIELD_MAX(struct channel, civ, 8, BUFFERS - 1),
    FIELD_MAX(struct channel, lvi, 8, BUFFERS - 1),
    FIELD_MAX(struct channel, piv, 8, BUFFERS - 1),
    FIELD_MAX(struct channel, cr, 8, CR_WRITABLE),
    FIELD_MAX(struct channel, sr, 16, SR_W1C | SR_CELV | SR_DCH),
    FIELDB(struct channel, fetched),
    FIELDB(struct channel, ioc),
    FIELD32(struct channel, addr),
    FIELD16(struct channel, picb),
    FIELD64(struct channel, since),
    FIELD_END,
};

static const struct field ac97_fields[] = {
    FIELD_SUB(struct ac97, pci, struct pci_dev, pci_fields),
    FIELD_SUB(struct ac97, codec, struct ac97_codec, ac97_codec_fields),
    FIELD_SUB(struct ac97, channel, struct channel, channel_fields),
    FIELD_MAX(struct ac97, control, 32, CNT_WRITABLE),
    FIELDB(struct ac97, read_failed),
    FIELDB(struct ac97, semaphore),
    FIELD_END,
};

extern const struct dev_class ac97_class;
const struct dev_class ac97_class = {
    .name = "ac97",
    .summary = "AC'97 audio, silent",
    .spec = "Intel 82801AA, 290655-003; Audio Codec '97 revision 2.3",
    .size = sizeof(struct ac97),
    .props = ac97_props,
    .state = ac97_fields,
    .version = 1,
    .attach = ac97_attach,
    .reset = ac97_reset,
    .loaded = ac97_loaded,
    .detach = ac97_detach,
};
