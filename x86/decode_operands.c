/* The decoder: sizes, addresses, immediates, operands. */
#include "x86/decoder.h"
#include "base/bits.h"
#include "base/endian.h"

static unsigned size_by_prefix(const struct decoder *d)
{
    if (d->mode == DECODE_64 && d->w)
        return 8;
    return d->opsize == (d->mode == DECODE_16) ? 4 : 2;
}

unsigned decode_operand_size(const struct decoder *d)
{
    bool wide = d->mode == DECODE_64;
    unsigned v = size_by_prefix(d);

    switch (d->row->size) {
    case SIZE_b: return 1;
    case SIZE_w: return 2;
    case SIZE_v: return v;
    case SIZE_z: return MIN(v, 4);
    case SIZE_q: return wide && v == 4 ? 8 : v;
    case SIZE_f: return wide ? 8 : v;
    case SIZE_m: return wide ? 8 : 4;
    default: return wide && d->w ? 8 : 4;
    }
}

unsigned decode_size_rule(const struct decoder *d, const struct insn *i,
                          unsigned rule)
{
    bool wide = d->mode == DECODE_64;

    if (rule < SZ_v)
        return rule;
    switch (rule) {
    case SZ_z: return MIN(i->osize, 4);
    case SZ_y: return MAX(i->osize, 4);
    case SZ_c: return i->asize;
    case SZ_m: return wide ? 8 : 4;
    case SZ_p: return i->osize + 2;
    case SZ_a: return i->osize * 2;
    case SZ_s: return wide ? 10 : 6;
    case SZ_env: return i->osize == 2 ? 14 : 28;
    case SZ_sav: return i->osize == 2 ? 94 : 108;
    case SZ_x: return i->vl;
    case SZ_h: return i->vl / 2;
    case SZ_f: return i->vl / 4;
    case SZ_e: return i->vl / 8;
    case SZ_hr: return MAX(i->vl / 2, 16);
    case SZ_fr: return MAX(i->vl / 4, 16);
    case SZ_er: return 16;
    default: return i->osize;
    }
}

static uint64_t take(struct decoder *d, unsigned bytes)
{
    uint64_t v = load_le(d->bytes + d->pos, bytes);

    d->pos += bytes;
    return v;
}

/* ---- addresses ---- */

/* disp8 counts in EVEX (SDM 2.7.5): operands, or elements. */
static unsigned disp8_scale(const struct decoder *d, unsigned memory)
{
    if (d->encoding != ENC_EVEX)
        return 1;
    if (d->row->tuple >= T_E8 && d->row->tuple <= T_E64)
        return 1u << (d->row->tuple - T_E8);
    return memory;
}

static void take_disp(struct decoder *d, struct insn *i, unsigned bytes,
                      unsigned memory)
{
    if (!bytes)
        return;
    i->disp = (int32_t)sign_extend(take(d, bytes), bytes * 8);
    if (bytes == 1)
        i->disp *= (int)disp8_scale(d, memory);
}

static void address16(struct decoder *d, struct insn *i, unsigned memory)
{
    static const uint8_t bases[8] = {RBX, RBX, RBP, RBP, RSI, RDI, RBP, RBX};
    static const uint8_t indexes[8] = {RSI,      RDI,      RSI,      RDI,
                                       REG_NONE, REG_NONE, REG_NONE, REG_NONE};
    unsigned mod = modrm_mod(d), rm = modrm_rm(d);

    if (mod == 0 && rm == 6) {
        i->disp = (int32_t)take(d, 2);
        return;
    }
    i->base = bases[rm];
    i->index = indexes[rm];
    take_disp(d, i, mod, memory);
}

static void take_sib(struct decoder *d, struct insn *i, bool vector)
{
    uint8_t sib = (uint8_t)take(d, 1);
    unsigned index = (sib >> 3 & 7) | d->x << 3;

    if (vector)
        i->index = index | (d->vvvv & 16);
    else if (index != 4)
        i->index = index;
    i->scale = sib >> 6;
    if ((sib & 7) != 5 || modrm_mod(d) != 0)
        i->base = (sib & 7) | d->b << 3;
}

static void address32(struct decoder *d, struct insn *i, unsigned memory,
                      bool vector)
{
    unsigned mod = modrm_mod(d), rm = modrm_rm(d);
    unsigned disp = mod == 1 ? 1 : mod == 2 ? 4 : 0;

    if (rm == 4) {
        take_sib(d, i, vector);
        if (i->base == REG_NONE)
            disp = 4;
    } else if (mod == 0 && rm == 5) {
        i->base = d->mode == DECODE_64 ? REG_RIP : REG_NONE;
        disp = 4;
    } else {
        i->base = rm | d->b << 3;
    }
    take_disp(d, i, disp, memory);
}

static bool decode_address(struct decoder *d, struct insn *i, unsigned memory,
                           bool vector)
{
    i->flags |= INSN_MEM;
    if (vector) {
        if (i->asize == 2 || modrm_rm(d) != 4)
            return false;
        i->flags |= INSN_VSIB;
    }
    if (i->asize == 2)
        address16(d, i, memory);
    else
        address32(d, i, memory, vector);
    if (d->segment == SEG_NONE && (i->base == RSP || i->base == RBP))
        i->seg = SS;
    return true;
}

void decode_skip_address(struct decoder *d, unsigned asize)
{
    struct insn unused = {
        .asize = (uint8_t)asize, .base = REG_NONE, .index = REG_NONE};

    if (modrm_mod(d) == 3)
        return;
    d->encoding = ENC_LEGACY; /* no row says how a displacement scales */
    decode_address(d, &unused, 0, false);
}

/* The whole address stands in the instruction. */
static void decode_moffs(struct decoder *d, struct insn *i)
{
    i->flags |= INSN_MEM;
    i->imm = take(d, i->asize);
    i->imm_len = i->asize;
    i->disp = (int32_t)i->imm;
}

/* String operands and their like. A source in DS says what insn.seg is; ES
   cannot be overridden. */
static void decode_implied(struct insn *i, const struct operand_type *t,
                           uint8_t segment)
{
    if (t->place == AT_IMPLIED_ES && (i->flags & INSN_MEM))
        return;
    i->flags |= INSN_MEM;
    i->base = t->fixed;
    i->seg = t->place == AT_IMPLIED_ES ? ES
             : segment == SEG_NONE     ? DS
                                       : segment;
}

/* ---- registers ---- */

static bool is_high_byte(const struct decoder *d, unsigned number,
                         unsigned size)
{
    return size == 1 && number >= 4 && number < 8 && !d->rex &&
           d->encoding == ENC_LEGACY;
}

static bool set_gpr(struct decoder *d, struct operand *o, unsigned number)
{
    o->reg = is_high_byte(d, number, o->size) ? 0x10 + number - 4 : number;
    return number < 16;
}

static bool set_special(struct operand *o, const struct opcode *row,
                        unsigned number)
{
    static const uint16_t control = 1 << 0 | 1 << 2 | 1 << 3 | 1 << 4 | 1 << 8;

    o->reg = number;
    if (o->kind == OPND_CR)
        return control >> number & 1;
    if (o->kind == OPND_DR)
        return number < 8;
    /* CS is loaded by far transfers only. */
    return number < 6 && !(number == CS && (row->props & OP_SYSTEM));
}

static bool decode_reg(struct decoder *d, struct operand *o)
{
    unsigned low = modrm_reg(d), number = low | d->r << 3;

    switch (o->kind) {
    case OPND_GPR: return set_gpr(d, o, number | d->r4 << 4);
    case OPND_VEC: o->reg = number | d->r4 << 4; return true;
    case OPND_SREG: return set_special(o, d->row, low);
    case OPND_CR:
    case OPND_DR: return set_special(o, d->row, number);
    case OPND_K: o->reg = low; return !d->r && !d->r4;
    default: o->reg = low; return true;
    }
}

static bool decode_rm_register(struct decoder *d, struct operand *o)
{
    unsigned low = modrm_rm(d), number = low | d->b << 3;

    switch (o->kind) {
    case OPND_GPR: return set_gpr(d, o, number);
    case OPND_VEC:
        o->reg = d->encoding == ENC_EVEX ? number | d->x << 4 : number;
        return true;
    case OPND_NONE: return false; /* memory only */
    default: o->reg = low; return true;
    }
}

static bool decode_rm_memory(struct decoder *d, struct insn *i,
                             struct operand *o, const struct operand_type *t)
{
    unsigned size = decode_size_rule(d, i, t->mem);

    if (d->evex_b && d->row->tuple <= T_B64 && d->row->tuple >= T_B16)
        size = 1u << d->row->tuple; /* one element, broadcast */
    o->kind = OPND_MEM;
    o->size = size;
    return decode_address(d, i, size, t->place == AT_VSIB);
}

static bool decode_vvvv(struct decoder *d, struct operand *o)
{
    unsigned number = d->vvvv;

    d->vvvv_used = true;
    /* Outside 64-bit mode bit 3 is ignored, but where no register is meant it
       must be clear all the same. */
    if (d->mode != DECODE_64)
        number &= ~8u;
    o->reg = number;
    return o->kind == OPND_VEC || number < (o->kind == OPND_K ? 8 : 16);
}

/* ---- immediates ---- */

static void decode_immediate(struct decoder *d, struct insn *i,
                             unsigned immediate)
{
    unsigned bytes = 0, z = MIN(i->osize, 4);
    unsigned start = d->pos;

    switch (immediate) {
    case IMM_U8: i->imm = take(d, 1); break;
    case IMM_S8:
    case IMM_REL8: bytes = 1; break;
    case IMM_16: i->imm = take(d, 2); break;
    case IMM_Z:
    case IMM_RELZ: bytes = z; break;
    case IMM_V: i->imm = take(d, i->osize); break;
    case IMM_ONE: i->imm = 1; break;
    case IMM_SECOND8: i->imm |= take(d, 1) << 32; break;
    default:
        i->imm = take(d, z);
        i->imm |= take(d, 2) << 32;
        break;
    }
    if (bytes)
        i->imm = (uint64_t)sign_extend(take(d, bytes), bytes * 8);
    i->imm_len += d->pos - start;
}

static void decode_is4(struct decoder *d, struct insn *i, struct operand *o)
{
    i->imm = take(d, 1);
    i->imm_len = 1;
    o->reg = i->imm >> 4 & (d->mode == DECODE_64 ? 15 : 7);
}

/* ---- all of them ---- */

static bool decode_operand(struct decoder *d, struct insn *i, struct operand *o,
                           const struct operand_type *t)
{
    o->kind = t->kind;
    o->size = decode_size_rule(d, i, t->size);
    switch (t->place) {
    case AT_REG: return decode_reg(d, o);
    case AT_RM:
        if (modrm_mod(d) == 3 || d->row->mod == MOD_FORCED)
            return decode_rm_register(d, o);
        return decode_rm_memory(d, i, o, t);
    case AT_VSIB: return decode_rm_memory(d, i, o, t);
    case AT_VVVV: return decode_vvvv(d, o);
    case AT_LOW: return set_gpr(d, o, (d->byte & 7) | d->b << 3);
    case AT_FIXED: o->reg = t->fixed; return true;
    case AT_IS4: decode_is4(d, i, o); return true;
    case AT_IMM: decode_immediate(d, i, t->fixed); return true;
    default: /* AT_MOFFS */
        o->kind = OPND_MEM;
        o->size = decode_size_rule(d, i, t->mem);
        decode_moffs(d, i);
        return true;
    }
}

bool decode_operands(struct decoder *d, struct insn *i)
{
    unsigned n = 0;

    for (unsigned k = 0; k < 4 && d->row->operand[k]; k++) {
        const struct operand_type *t = &operand_types[d->row->operand[k]];

        if (t->place == AT_IMPLIED || t->place == AT_IMPLIED_ES)
            decode_implied(i, t, d->segment);
        else if (!decode_operand(d, i, &i->opnd[n++], t))
            return false;
    }
    return true;
}
