/* AC'97 codec: the registers of its mixer, and the converters' rates. */
#include "base/bits.h"
#include "hw/audio/ac97_codec.h"

enum { /* registers */
       RESET = 0x00,
       RECORD_GAIN = 0x1c,
       POWERDOWN = 0x26,
       EXT_ID = 0x28,
       EXT_CONTROL = 0x2a,
       DAC_RATE = 0x2c,
       ADC_RATE = 0x32,
       MIC_ADC_RATE = 0x34,
};
enum { EXT_VRA = 1 << 0, EXT_VRM = 1 << 3 };
enum { ALL_READY = 0x000f, RATE_MIN = 8000, RATE_MAX = 48000 };
/* Five bits a channel; a sixth, which mixers may have, asks for the utmost. */
enum { LEVEL = 0x1f, LEVEL_SIXTH = 0x20 };

enum kind { PLAIN, STEREO, MONO, RATE };

static const struct {
    uint8_t off, kind;
    uint16_t initial, writable;
} rows[] = {
    {0x02, STEREO, 0x8000, 0x9f1f},        /* master volume */
    {0x04, STEREO, 0x8000, 0x9f1f},        /* headphones */
    {0x06, MONO, 0x8000, 0x801f},          /* mono */
    {0x0a, PLAIN, 0x0000, 0x801e},         /* PC beep */
    {0x0c, MONO, 0x8008, 0x801f},          /* phone */
    {0x0e, MONO, 0x8008, 0x805f},          /* microphone */
    {0x10, STEREO, 0x8808, 0x9f1f},        /* line in */
    {0x12, STEREO, 0x8808, 0x9f1f},        /* CD */
    {0x14, STEREO, 0x8808, 0x9f1f},        /* video */
    {0x16, STEREO, 0x8808, 0x9f1f},        /* aux */
    {0x18, STEREO, 0x8808, 0x9f1f},        /* PCM out */
    {0x1a, PLAIN, 0x0000, 0x0707},         /* record select */
    {RECORD_GAIN, PLAIN, 0x8000, 0x8f0f},  /* record gain */
    {0x1e, PLAIN, 0x8000, 0x800f},         /* record gain, microphone */
    {0x20, PLAIN, 0x0000, 0x0380},         /* general purpose */
    {POWERDOWN, PLAIN, ALL_READY, 0xff00}, /* its low half is status */
    {EXT_ID, PLAIN, EXT_VRA | EXT_VRM, 0}, /* extended audio */
    {EXT_CONTROL, PLAIN, 0, EXT_VRA | EXT_VRM},
    {DAC_RATE, RATE, RATE_MAX, 0xffff},
    {ADC_RATE, RATE, RATE_MAX, 0xffff},
    {MIC_ADC_RATE, RATE, RATE_MAX, 0xffff},
    {0x7c, PLAIN, 0x8384, 0}, /* SigmaTel */
    {0x7e, PLAIN, 0x7600, 0}, /* STAC9700 */
};

static const struct {
    uint8_t off, enable;
} converters[AC97_CONVERTERS] = {
    [AC97_DAC] = {DAC_RATE, EXT_VRA},
    [AC97_ADC] = {ADC_RATE, EXT_VRA},
    [AC97_MIC_ADC] = {MIC_ADC_RATE, EXT_VRM},
};

static uint16_t level(uint16_t v)
{
    return v & LEVEL_SIXTH ? LEVEL : v & LEVEL;
}

/* What a register of that kind makes of v. */
static uint16_t adjust(enum kind kind, uint16_t v)
{
    switch (kind) {
    case STEREO:
        return (uint16_t)((v & 0x8000) | level(v >> 8) << 8 | level(v));
    case MONO: return (uint16_t)((v & 0x8040) | level(v));
    case RATE: return MAX(MIN(v, RATE_MAX), RATE_MIN);
    case PLAIN: break;
    }
    return v;
}

void ac97_codec_reset(struct ac97_codec *c)
{
    *c = (struct ac97_codec){0};
    for (unsigned i = 0; i < ARRAY_LEN(rows); i++)
        c->reg[rows[i].off / 2] = rows[i].initial;
}

uint16_t ac97_codec_read(const struct ac97_codec *c, unsigned off)
{
    return c->reg[off / 2 % AC97_CODEC_REGS];
}

/* A rate is 48 kHz and stays so until variable rates are enabled. */
static bool rate_is_fixed(const struct ac97_codec *c, unsigned off)
{
    for (unsigned i = 0; i < AC97_CONVERTERS; i++)
        if (converters[i].off == off)
            return !(c->reg[EXT_CONTROL / 2] & converters[i].enable);
    return false;
}

static void fix_rates(struct ac97_codec *c)
{
    for (unsigned i = 0; i < AC97_CONVERTERS; i++)
        if (rate_is_fixed(c, converters[i].off))
            c->reg[converters[i].off / 2] = RATE_MAX;
}

void ac97_codec_write(struct ac97_codec *c, unsigned off, uint16_t v)
{
    if (off == RESET)
        ac97_codec_reset(c);
    for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
        uint16_t mask = rows[i].writable, *r = &c->reg[rows[i].off / 2];

        if (rows[i].off != off || rate_is_fixed(c, off))
            continue;
        v = adjust(rows[i].kind, v);
        *r = (uint16_t)((*r & ~mask) | (v & mask));
    }
    fix_rates(c);
}

uint32_t ac97_codec_rate(const struct ac97_codec *c, enum ac97_converter n)
{
    return c->reg[converters[n].off / 2];
}

void ac97_codec_loaded(struct ac97_codec *c)
{
    struct ac97_codec from = *c;

    ac97_codec_reset(c);
    c->reg[EXT_CONTROL / 2] = from.reg[EXT_CONTROL / 2] & (EXT_VRA | EXT_VRM);
    for (unsigned i = 0; i < ARRAY_LEN(rows); i++)
        ac97_codec_write(c, rows[i].off, from.reg[rows[i].off / 2]);
}

const struct field ac97_codec_fields[] = {
    FIELD16(struct ac97_codec, reg),
    FIELD_END,
};
