/* The decoder: prefixes, opcode, choice of the row. SDM volume 2, chapter 2. */
#include "x86/decoder.h"
#include "x86/opindex.h"
#include "base/bits.h"
#include "base/endian.h"
#include "x86/opcode_index.h"

enum prefix {
    PREFIX_NO,
    PREFIX_SEG_ES,
    PREFIX_SEG_CS,
    PREFIX_SEG_SS,
    PREFIX_SEG_DS,
    PREFIX_SEG_FS,
    PREFIX_SEG_GS,
    PREFIX_OPSIZE,
    PREFIX_ADDRSIZE,
    PREFIX_LOCK,
    PREFIX_REPNE,
    PREFIX_REP,
    PREFIX_REX, /* in 64-bit mode */
};

static const uint8_t prefix_of[256] = {
    [0x26] = PREFIX_SEG_ES,
    [0x2e] = PREFIX_SEG_CS,
    [0x36] = PREFIX_SEG_SS,
    [0x3e] = PREFIX_SEG_DS,
    [0x64] = PREFIX_SEG_FS,
    [0x65] = PREFIX_SEG_GS,
    [0x66] = PREFIX_OPSIZE,
    [0x67] = PREFIX_ADDRSIZE,
    [0xf0] = PREFIX_LOCK,
    [0xf2] = PREFIX_REPNE,
    [0xf3] = PREFIX_REP,
    [0x40] = PREFIX_REX,
    PREFIX_REX,
    PREFIX_REX,
    PREFIX_REX,
    PREFIX_REX,
    PREFIX_REX,
    PREFIX_REX,
    PREFIX_REX,
    PREFIX_REX,
    PREFIX_REX,
    PREFIX_REX,
    PREFIX_REX,
    PREFIX_REX,
    PREFIX_REX,
    PREFIX_REX,
    PREFIX_REX,
};

/* In 64-bit mode only FS and GS override; the others change nothing. */
static void segment_prefix(struct decoder *d, unsigned seg)
{
    if (d->mode != DECODE_64 || seg >= FS)
        d->segment = seg;
}

static void take_prefix(struct decoder *d, enum prefix p)
{
    switch (p) {
    case PREFIX_OPSIZE: d->opsize = true; break;
    case PREFIX_ADDRSIZE: d->addrsize = true; break;
    case PREFIX_LOCK: d->lock = true; break;
    case PREFIX_REPNE: d->rep = PP_F2; break;
    case PREFIX_REP: d->rep = PP_F3; break;
    default: segment_prefix(d, p - PREFIX_SEG_ES); break;
    }
}

/* A REX prefix counts only right before the opcode. */
static void read_prefixes(struct decoder *d)
{
    uint8_t rex = 0;

    while (d->pos < INSN_MAX) {
        uint8_t byte = d->bytes[d->pos];
        enum prefix p = prefix_of[byte];

        if (p == PREFIX_NO || (p == PREFIX_REX && d->mode != DECODE_64))
            break;
        rex = p == PREFIX_REX ? byte : 0;
        if (!rex)
            take_prefix(d, p);
        d->pos++;
    }
    d->rex = rex;
    d->w = rex >> 3 & 1;
    d->r = rex >> 2 & 1;
    d->x = rex >> 1 & 1;
    d->b = rex & 1;
    d->pp = d->rep ? d->rep : d->opsize ? PP_66 : PP_NP;
}

static bool read_opcode(struct decoder *d)
{
    d->byte = d->bytes[d->pos++];
    if (d->byte != 0x0f)
        return true;
    d->map = MAP_0F;
    d->byte = d->bytes[d->pos++];
    if (d->byte == 0x38 || d->byte == 0x3a) {
        d->map = d->byte == 0x38 ? MAP_0F38 : MAP_0F3A;
        d->byte = d->bytes[d->pos++];
    }
    return true;
}

/* C4, C5 and 62 are LES, LDS and BOUND outside 64-bit mode, unless what would
   be their ModRM names a register. */
static bool is_vex(const struct decoder *d)
{
    return d->mode == DECODE_64 || d->bytes[d->pos + 1] >= 0xc0;
}

static bool vex_prefixes_allowed(const struct decoder *d)
{
    return !d->opsize && !d->rep && !d->lock && !d->rex;
}

static bool read_vex(struct decoder *d)
{
    const uint8_t *p = d->bytes + d->pos;
    bool three = p[0] == 0xc4;
    uint8_t last = p[three ? 2 : 1];

    d->encoding = ENC_VEX;
    d->r = !(p[1] & 0x80);
    d->map = MAP_0F;
    if (three) {
        d->x = !(p[1] & 0x40);
        d->b = !(p[1] & 0x20);
        d->map = p[1] & 0x1f;
        d->w = last >> 7;
    }
    d->vvvv = ~last >> 3 & 15;
    if (d->mode != DECODE_64) /* eight registers; ignored */
        d->b = 0;
    d->l = last >> 2 & 1;
    d->pp = last & 3;
    d->pos += three ? 3 : 2;
    d->byte = d->bytes[d->pos++];
    return vex_prefixes_allowed(d) && d->map >= MAP_0F && d->map <= MAP_0F3A;
}

static bool read_evex(struct decoder *d)
{
    const uint8_t *p = d->bytes + d->pos;

    d->encoding = ENC_EVEX;
    d->r = !(p[1] & 0x80);
    d->x = !(p[1] & 0x40);
    d->b = !(p[1] & 0x20);
    d->r4 = !(p[1] & 0x10);
    d->map = p[1] & 7;
    d->w = p[2] >> 7;
    d->vvvv = (~p[2] >> 3 & 15) | (p[3] & 8 ? 0 : 16);
    d->pp = p[2] & 3;
    d->evex_z = p[3] >> 7;
    d->l = p[3] >> 5 & 3;
    d->evex_b = p[3] >> 4 & 1;
    d->aaa = p[3] & 7;
    if (d->mode != DECODE_64) /* eight registers; ignored but for V' */
        d->b = d->r4 = 0;
    d->pos += 4;
    d->byte = d->bytes[d->pos++];
    return vex_prefixes_allowed(d) && !(p[1] & 8) && (p[2] & 4) &&
           (d->mode == DECODE_64 || (p[3] & 8)) && d->map >= MAP_0F &&
           d->map <= MAP_M6;
}

static bool read_encoding(struct decoder *d)
{
    uint8_t byte = d->bytes[d->pos];

    if ((byte == 0xc4 || byte == 0xc5) && is_vex(d))
        return read_vex(d);
    if (byte == 0x62 && is_vex(d))
        return read_evex(d);
    return read_opcode(d);
}

static unsigned match_key(const struct decoder *d)
{
    unsigned key = d->pp << KEY_PP_SHIFT | (d->w ? KEY_W : 0);

    if (d->mode == DECODE_64)
        key |= KEY_64;
    if (!d->has_modrm)
        return key | d->l << KEY_L_SHIFT | (d->b ? KEY_MOD3 : 0);
    key |= modrm_reg(d) << KEY_REG_SHIFT | modrm_rm(d) << KEY_RM_SHIFT;
    if (modrm_mod(d) != 3)
        return key | d->l << KEY_L_SHIFT;
    /* With embedded rounding L'L is the mode: the length is 512. */
    if (d->evex_b)
        return key | KEY_MOD3 | KEY_L2;
    return key | KEY_MOD3 | d->l << KEY_L_SHIFT;
}

static bool find_row(struct decoder *d)
{
    unsigned space = slot_space(d->encoding, d->map);
    const struct opcode_slot *slot = &opcode_slots[space * 256 + d->byte];
    const struct opcode_match *m = &opcode_matches[slot->first];
    unsigned key;

    d->has_modrm = slot->modrm;
    if (slot->modrm)
        d->modrm = d->bytes[d->pos++];
    key = match_key(d);
    for (unsigned left = slot->count; left; left--, m++)
        if ((key & m->mask) == m->value) {
            d->row = &opcode_table[m->row];
            return true;
        }
    return false;
}

/* What EVEX may say about mask, broadcast and rounding (SDM 2.7). */
static bool evex_allowed(const struct decoder *d, const struct insn *i)
{
    unsigned may = d->row->evex;
    bool memory = i->opnd[0].kind == OPND_MEM;

    if (d->aaa ? !(may & EV_K) : (may & EV_KREQ) || d->evex_z)
        return false;
    if (d->evex_z && (!(may & EV_Z) || memory))
        return false;
    if (!d->evex_b)
        return d->l != 3;
    if (i->flags & INSN_MEM)
        return d->l != 3 && d->row->tuple >= T_B16 && d->row->tuple <= T_B64;
    return may & (EV_ER | EV_SAE);
}

/* Gathers: destination, index and (VEX) mask register all differ. Complex
   multiplications: the destination is neither source. */
static bool distinct(const struct insn *i)
{
    unsigned to = i->opnd[0].reg;

    if (i->flags & INSN_VSIB)
        return to != i->index &&
               (i->opnd[2].kind != OPND_VEC ||
                (to != i->opnd[2].reg && i->index != i->opnd[2].reg));
    return to != i->opnd[1].reg &&
           (i->opnd[2].kind != OPND_VEC || to != i->opnd[2].reg);
}

static bool lock_allowed(const struct insn *i, const struct opcode *row)
{
    return (row->props & OP_LOCK) && i->opnd[0].kind == OPND_MEM;
}

static bool allowed(const struct decoder *d, const struct insn *i)
{
    if (d->lock && !lock_allowed(i, d->row))
        return false;
    if (d->encoding == ENC_LEGACY)
        return true;
    if ((d->row->evex & EV_DISTINCT) && !distinct(i))
        return false;
    /* V' is then the index's. */
    if (!d->vvvv_used && (i->flags & INSN_VSIB ? d->vvvv & 15 : d->vvvv))
        return false;
    return d->encoding == ENC_VEX || evex_allowed(d, i);
}

static unsigned address_size(const struct decoder *d)
{
    static const uint8_t size[][2] = {{2, 4}, {4, 2}, {8, 4}};

    return size[d->mode][d->addrsize];
}

static unsigned vector_length(const struct decoder *d)
{
    if (d->encoding == ENC_LEGACY)
        return d->row->props & OP_SSE ? 16 : 0;
    if (d->row->l == L_LIG)
        return 16;
    if (d->evex_b && modrm_mod(d) == 3)
        return 64;
    return 16u << d->l;
}

static uint8_t insn_flag_bits(const struct decoder *d)
{
    uint8_t f = 0;

    if (d->lock)
        f |= INSN_LOCK;
    if (d->rep && (d->row->props & OP_STRING))
        f |= d->rep == PP_F3 ? INSN_REP : INSN_REPNE;
    if (d->rex)
        f |= INSN_REX;
    if (d->w)
        f |= INSN_REXW;
    if (d->opsize)
        f |= INSN_66;
    return f;
}

static void fill(struct decoder *d, struct insn *i)
{
    i->fn = d->row->body;
    i->op = (uint16_t)(d->row - opcode_table);
    i->asize = address_size(d);
    i->vl = vector_length(d);
    i->osize = decode_operand_size(d);
    i->flags = insn_flag_bits(d);
    i->base = i->index = REG_NONE;
    i->seg = d->segment == SEG_NONE ? DS : d->segment;
    i->code = d->byte;
    i->evex = d->aaa | d->evex_b << 3 | d->evex_z << 4 | d->l << 5;
    i->layout = d->encoding;
    if (d->has_modrm)
        i->layout |= 0x80 | (d->pos - 1) << 2;
}

static bool has_table(const struct decoder *d)
{
    if (d->encoding == ENC_LEGACY)
        return true;
    return d->map >= MAP_0F &&
           d->map <= (d->encoding == ENC_VEX ? MAP_0F3A : MAP_M6);
}

/* The immediate of an opcode that has no row, as CPUs count it. */
static unsigned lost_immediate(const struct decoder *d)
{
    static const struct {
        uint8_t byte, bytes, wide; /* wide: with operands of 32 bits */
    } rows[] = {{0x82, 1, 1}, {0x9a, 4, 6}, {0xc6, 1, 1}, {0xc7, 2, 4},
                {0xd4, 1, 1}, {0xd5, 1, 1}, {0xea, 4, 6}};

    if (d->map == MAP_0F3A)
        return d->has_modrm;
    for (unsigned n = 0; !d->map && n < ARRAY_LEN(rows); n++)
        if (rows[n].byte == d->byte)
            return d->opsize == (d->mode == DECODE_16) ? rows[n].wide
                                                       : rows[n].bytes;
    return 0;
}

/* What is undefined is as long as it would be: over 15 bytes it is #GP. */
static void skip_operands(struct decoder *d)
{
    if (!d->has_modrm && (d->map == MAP_0F38 || d->map == MAP_0F3A)) {
        d->has_modrm = true; /* as all of those maps */
        d->modrm = d->bytes[d->pos++];
    }
    if (d->has_modrm)
        decode_skip_address(d, address_size(d));
    d->pos += lost_immediate(d);
}

/* A missing byte was read as zero; it must not be what decides. */
static enum decode_result outcome(struct decoder *d, struct insn *i, bool ok)
{
    if (d->pos > d->n)
        return d->n >= INSN_MAX ? DECODE_TOOLONG : DECODE_MORE;
    i->len = d->pos;
    return ok ? DECODE_OK : DECODE_INVALID;
}

enum decode_result x86_decode(struct insn *out, const uint8_t *bytes, size_t n,
                              enum decode_mode mode)
{
    struct decoder d = {.mode = mode, .segment = SEG_NONE};
    bool ok;

    d.n = n < INSN_MAX ? n : INSN_MAX;
    memcpy(d.bytes, bytes, d.n);
    memset(out, 0, sizeof *out);
    read_prefixes(&d);
    ok = read_encoding(&d);
    if (has_table(&d) && find_row(&d)) {
        fill(&d, out);
        ok = decode_operands(&d, out) && ok && allowed(&d, out);
    } else {
        skip_operands(&d);
        ok = false;
    }
    memcpy(out->raw, d.bytes, INSN_MAX);
    return outcome(&d, out, ok);
}
