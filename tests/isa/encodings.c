#include "encodings.h"
#include "x86/opspec.h"

struct out {
    struct rng *r;
    uint8_t *bytes;
    unsigned n;
};

uint64_t rng_corner(struct rng *r)
{
    static const uint64_t corners[] = {0,
                                       1,
                                       2,
                                       ~0ull,
                                       0x7f,
                                       0x80,
                                       0xff,
                                       0x7fff,
                                       0x8000,
                                       0xffff,
                                       0x7fffffff,
                                       0x80000000,
                                       0xffffffff,
                                       0x7fffffffffffffff,
                                       0x8000000000000000,
                                       0x100000000};

    return corners[rng_below(r, ARRAY_LEN(corners))];
}

uint64_t rng_value(struct rng *r)
{
    uint64_t v = rng_next(r);

    switch (rng_below(r, 5)) {
    case 0: return rng_corner(r);
    case 1: return v >> rng_below(r, 64);
    case 2: return (uint64_t)((int64_t)v >> rng_below(r, 64));
    default: return v;
    }
}

static void put(struct out *o, unsigned byte)
{
    if (o->n < ENCODING_BYTES)
        o->bytes[o->n++] = (uint8_t)byte;
}

static void noise(struct rng *r, uint8_t *to, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        to[i] = (uint8_t)(rng_next(r) >> 40);
}

static void put_prefixes(struct out *o, unsigned n)
{
    static const uint8_t prefix[] = {0x66, 0x67, 0xf2, 0xf3, 0xf0, 0x2e,
                                     0x36, 0x3e, 0x26, 0x64, 0x65};

    while (n--)
        put(o, prefix[rng_below(o->r, sizeof prefix)]);
}

/* A ModRM byte that the row takes. */
static void put_modrm(struct out *o, const struct opcode *row)
{
    unsigned m = (unsigned)rng_next(o->r) & 0xff;

    if (row->mod < MOD_ANY)
        return;
    if (row->reg < EXT_ANY)
        m = (m & ~0x38u) | row->reg << 3;
    if (row->rm < EXT_ANY)
        m = (m & ~7u) | row->rm;
    if (row->mod == MOD_REG)
        m |= 0xc0;
    if (row->mod == MOD_MEM && m >= 0xc0)
        m &= 0xbf;
    put(o, m);
}

static void put_legacy(struct out *o, enum decode_mode mode,
                       const struct opcode *row)
{
    static const uint8_t mandatory[] = {0, 0x66, 0xf3, 0xf2};
    unsigned w = row->w == W_W1 ? 8 : row->w == W_W0 ? 0 : 8;

    if (rng_one_in(o->r, 3))
        put_prefixes(o, 1 + rng_below(o->r, 3));
    if (row->pp <= PP_F2 && mandatory[row->pp])
        put(o, mandatory[row->pp]);
    if (mode == DECODE_64 && (row->w == W_W1 || rng_one_in(o->r, 2)))
        put(o,
            0x40 | (rng_below(o->r, 16) & (7 | w)) | (row->w == W_W1 ? 8 : 0));
    if (row->map != MAP_1)
        put(o, 0x0f);
    if (row->map == MAP_0F38 || row->map == MAP_0F3A)
        put(o, row->map == MAP_0F38 ? 0x38 : 0x3a);
    put(o, row->mod == MOD_LOW ? row->byte | rng_below(o->r, 8) : row->byte);
}

static unsigned row_w(struct out *o, const struct opcode *row)
{
    return row->w == W_WIG ? rng_below(o->r, 2) : row->w == W_W1;
}

static bool uses_vvvv(const struct opcode *row)
{
    for (unsigned i = 0; i < 4; i++)
        if (operand_types[row->operand[i]].place == AT_VVVV)
            return true;
    return false;
}

static unsigned row_l(struct out *o, const struct opcode *row)
{
    switch (row->l) {
    case L_LIG: return rng_below(o->r, row->encoding == ENC_VEX ? 2 : 3);
    case L_L01: return rng_below(o->r, 2);
    default: return row->l;
    }
}

static void put_vex(struct out *o, enum decode_mode mode,
                    const struct opcode *row)
{
    unsigned high = mode == DECODE_64 ? rng_below(o->r, 8) << 5 : 0xe0;
    unsigned vvvv = uses_vvvv(row) ? rng_below(o->r, 16) : 15;
    unsigned last = vvvv << 3 | row_l(o, row) << 2 | row->pp;
    unsigned w = row_w(o, row);

    if (mode != DECODE_64)
        last |= 0x40;
    if (row->map == MAP_0F && !w && rng_one_in(o->r, 2)) {
        put(o, 0xc5);
        put(o, last | (high & 0x80));
    } else {
        put(o, 0xc4);
        put(o, high | row->map);
        put(o, last | w << 7);
    }
    put(o, row->byte);
}

static void put_evex(struct out *o, enum decode_mode mode,
                     const struct opcode *row)
{
    unsigned high = mode == DECODE_64 ? rng_below(o->r, 16) << 4 : 0xf0;
    unsigned vvvv = uses_vvvv(row) ? rng_below(o->r, 16) : 15;
    unsigned p3 = row_l(o, row) << 5 | 8;

    if (mode != DECODE_64)
        vvvv |= 8;
    if (uses_vvvv(row) && rng_one_in(o->r, 2))
        p3 ^= 8;
    if ((row->evex & EV_K) && !rng_one_in(o->r, 3))
        p3 |= rng_below(o->r, 8);
    if ((p3 & 7) && (row->evex & EV_Z) && rng_one_in(o->r, 3))
        p3 |= 0x80;
    if (rng_one_in(o->r, 3))
        p3 |= 0x10;
    put(o, 0x62);
    put(o, high | row->map);
    put(o, row_w(o, row) << 7 | vvvv << 3 | 4 | row->pp);
    put(o, p3);
    put(o, row->byte);
}

void encoding_of_row(struct rng *r, enum decode_mode mode,
                     const struct opcode *row, uint8_t *to)
{
    struct out o = {r, to, 0};

    noise(r, to, ENCODING_BYTES);
    switch (row->encoding) {
    case ENC_VEX: put_vex(&o, mode, row); break;
    case ENC_EVEX: put_evex(&o, mode, row); break;
    default: put_legacy(&o, mode, row); break;
    }
    put_modrm(&o, row);
}

static void shaped_noise(struct rng *r, uint8_t *to)
{
    static const uint8_t start[] = {0x0f, 0x0f, 0x0f, 0xc4,
                                    0xc5, 0x62, 0xc4, 0x62};
    struct out o = {r, to, 0};

    noise(r, to, ENCODING_BYTES);
    put_prefixes(&o, rng_below(r, 4));
    if (rng_one_in(r, 40))
        put_prefixes(&o, rng_below(r, 16));
    if (rng_one_in(r, 2))
        put(&o, 0x40 + rng_below(r, 16));
    if (!rng_one_in(r, 3))
        put(&o, start[rng_below(r, sizeof start)]);
    if (o.n && to[o.n - 1] == 0x62 && o.n + 2 < ENCODING_BYTES) {
        to[o.n] &= ~8;
        to[o.n + 1] |= 4;
    }
}

static void mutated_row(struct rng *r, enum decode_mode mode, uint8_t *to)
{
    encoding_of_row(r, mode, &opcode_table[rng_below(r, opcode_count)], to);
    for (unsigned n = rng_below(r, 3); n; n--)
        to[rng_below(r, 8)] ^= 1u << rng_below(r, 8);
}

void encoding_any(struct rng *r, enum decode_mode mode, uint8_t *to)
{
    switch (rng_below(r, 8)) {
    case 0: noise(r, to, ENCODING_BYTES); break;
    case 1:
    case 2: shaped_noise(r, to); break;
    default: mutated_row(r, mode, to); break;
    }
}
