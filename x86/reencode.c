#include "x86/reencode.h"

#include "base/bits.h"
#include "base/libc.h"
#include "x86/opspec.h"

/* The fields of an encoding, whichever prefix will carry them. */
struct fields {
    uint8_t encoding;
    uint8_t pp; /* mandatory prefix, as in VEX.pp */
    uint8_t map, byte;
    bool w, osize16, lock;
    bool modrm, mem;
    uint8_t reg, rm, vvvv;      /* 0–31; rm of the register form */
    uint8_t low;                /* opcode + r: its register; else 0 */
    uint8_t base, index, scale; /* index 0–31; REG_NONE */
    int32_t disp;
    bool rex;    /* demanded by a byte register */
    bool no_rex; /* forbidden by one */
    bool cannot;
    uint8_t imm[8], imm_len;
};

enum { IS_MOFFS = 0xa0, IS_INC = 0x40, IS_DEC = 0x48, IS_XCHG = 0x90 };

/* --- gathering the fields --- */

static void take_byte_register(struct fields *f, uint8_t reg)
{
    if (reg & 0x10)
        f->no_rex = true;
    else if (reg >= 4)
        f->rex = true;
}

/* The number that goes into the encoding for general register reg. */
static uint8_t gpr_number(struct fields *f, const struct operand *o,
                          uint8_t reg)
{
    if (o->size == 1) {
        take_byte_register(f, reg);
        if (reg & 0x10)
            return 4 + (reg & 3);
    } else if (reg & 0x10)
        f->cannot = true;
    return reg & 15;
}

/*
 * A MOV between rAX and an absolute address, as MOV with a ModRM; only where
 * the register operand is rAX itself or what it was renamed to.
 */
static void take_moffs(struct fields *f, const struct insn *i,
                       const struct reencode *how)
{
    unsigned k = i->opnd[0].kind == OPND_GPR ? 0 : 1;

    if (f->map != MAP_1 || (f->byte & 0xfc) != IS_MOFFS) {
        f->cannot = true;
        return;
    }
    /* A0/A1 load, A2/A3 store; 8A/8B and 88/89. */
    f->byte = (f->byte & 2 ? 0x88 : 0x8a) | (f->byte & 1);
    f->reg = gpr_number(f, &i->opnd[k], how->gpr[k]);
    f->imm_len = 0;
    f->modrm = f->mem = true;
}

/* INC and DEC of 32-bit code (40–4F) as FF /0, FF /1. */
static void take_inc_dec(struct fields *f)
{
    f->reg = f->byte >= IS_DEC;
    f->byte = 0xff;
    f->rm = f->low;
    f->low = 0;
    f->modrm = true;
}

/*
 * An operand that is always rAX, renamed: the forms with a ModRM of
 * arithmetic with an immediate (04 to 3D), TEST (A8, A9) and XCHG (90+r).
 */
static void take_accumulator(struct fields *f, const struct insn *i,
                             uint8_t reg)
{
    if (f->map != MAP_1 || f->encoding != ENC_LEGACY) {
        f->cannot = true;
    } else if ((i->code & 0xc6) == 0x04) {
        f->byte = 0x80 | (i->code & 1);
        f->reg = i->code >> 3 & 7;
        f->rm = reg;
    } else if ((i->code & 0xfe) == 0xa8) {
        f->byte = 0xf6 | (i->code & 1);
        f->rm = reg;
    } else if ((i->code & 0xf8) == IS_XCHG) {
        f->reg = reg; /* to_xchg() does the rest */
        return;
    } else if ((i->code & 0xfc) != IS_MOFFS) { /* take_moffs() does that */
        f->cannot = true;
        return;
    }
    f->modrm = true;
}

/*
 * XCHG with rAX always as 87 /r: renamed it could become 90, which is NOP and
 * leaves bits 63:32.
 */
static void to_xchg(struct fields *f)
{
    f->byte = 0x87;
    f->rm = f->low;
    f->low = 0;
    f->modrm = true;
}

static void take_operand(struct fields *f, const struct insn *i, unsigned k,
                         const struct operand_type *t,
                         const struct reencode *how)
{
    const struct operand *o = &i->opnd[k];
    bool gpr = o->kind == OPND_GPR;
    uint8_t n = o->reg;

    if (o->kind == OPND_MEM) {
        f->mem = true;
        if (t->place == AT_MOFFS)
            take_moffs(f, i, how);
        return;
    }
    if (gpr && t->place == AT_FIXED) {
        if (how->gpr[k] != o->reg)
            take_accumulator(f, i, gpr_number(f, o, how->gpr[k]));
        return;
    }
    if (gpr)
        n = gpr_number(f, o, how->gpr[k]);
    switch (t->place) {
    case AT_REG: f->reg = n; break;
    case AT_RM: f->rm = n; break;
    case AT_VVVV: f->vvvv = n; break;
    case AT_LOW:
        f->low = n;
        f->byte &= 0xf8;
        break;
    case AT_IS4: f->imm[0] = (uint8_t)(n << 4 | (f->imm[0] & 15)); break;
    default: break;
    }
}

/*
 * VEX.W and EVEX.W: the row's; but where it says the size of a general
 * register it counts in 64-bit mode only, and there it is the operand size.
 * (WIG: VPCMPESTRx has such registers, and they are implied.)
 */
static bool wants_w_vex(const struct insn *i, const struct opcode *row)
{
    bool by_size = row->w == W_WIG;

    for (unsigned k = 0; k < ARRAY_LEN(row->operand); k++) {
        const struct operand_type *t = &operand_types[row->operand[k]];

        by_size |= t->kind == OPND_GPR && (t->size == SZ_y || t->size == SZ_v);
    }
    return by_size ? i->osize == 8 : row->w == W_W1;
}

static bool wants_w(const struct insn *i, const struct opcode *row)
{
    if (insn_encoding(i) != ENC_LEGACY)
        return wants_w_vex(i, row);
    return row->w == W_WIG ? i->flags & INSN_REXW : row->w == W_W1;
}

static void take_memory(struct fields *f, const struct insn *i,
                        const struct reencode *how)
{
    f->base = how->base;
    f->index = how->index;
    f->disp = how->disp;
    if (i->flags & INSN_VSIB) {
        f->index = i->index;
        f->scale = i->scale;
    } else if (f->index == RSP || f->base > 15 ||
               (f->index > 15 && f->index != REG_NONE))
        f->cannot = true;
}

/* Implied operands of a row are not among the instruction's. */
static void take_operands(struct fields *f, const struct insn *i,
                          const struct opcode *row, const struct reencode *how)
{
    unsigned n = 0;

    for (unsigned k = 0; k < ARRAY_LEN(row->operand) && row->operand[k]; k++) {
        const struct operand_type *t = &operand_types[row->operand[k]];

        if (t->place != AT_IMPLIED && t->place != AT_IMPLIED_ES)
            take_operand(f, i, n++, t, how);
    }
}

static void take_fields(struct fields *f, const struct insn *i,
                        const struct reencode *how)
{
    const struct opcode *row = insn_opcode(i);
    uint8_t modrm = insn_has_modrm(i) ? i->raw[insn_modrm_at(i)] : 0;

    f->encoding = (uint8_t)insn_encoding(i);
    f->pp = row->pp <= PP_F2 ? row->pp : PP_NP;
    f->map = row->map;
    f->byte = i->code;
    f->w = wants_w(i, row);
    f->osize16 = i->osize == 2 && f->encoding == ENC_LEGACY &&
                 (row->size == SIZE_v || row->size == SIZE_z);
    f->lock = i->flags & INSN_LOCK;
    f->modrm = insn_has_modrm(i);
    f->reg = modrm >> 3 & 7; /* an opcode extension, or an operand's */
    f->rm = modrm & 7;
    f->imm_len = i->imm_len;
    memcpy(f->imm, i->raw + i->len - i->imm_len, i->imm_len & 15);
    take_operands(f, i, row, how);
    if (f->mem)
        take_memory(f, i, how);
}

/* --- writing --- */

static uint8_t *put_disp(uint8_t *p, int32_t v)
{
    for (unsigned k = 0; k < 32; k += 8)
        *p++ = (uint8_t)((uint32_t)v >> k);
    return p;
}

static uint8_t *put_memory(uint8_t *p, const struct fields *f)
{
    bool sib = f->index != REG_NONE || (f->base & 7) == RSP;
    uint8_t reg = (uint8_t)((f->reg & 7) << 3);
    /* [rBP] and [r13] need a displacement. EVEX scales a disp8. */
    bool none = f->disp == 0 && (f->base & 7) != RBP;
    bool small = f->disp == 0 ||
                 (f->encoding != ENC_EVEX && f->disp >= -128 && f->disp <= 127);

    *p++ = (uint8_t)((none    ? 0x00
                      : small ? 0x40
                              : 0x80) |
                     reg | (sib ? RSP : f->base & 7));
    if (sib)
        *p++ = (uint8_t)(f->scale << 6 |
                         (f->index == REG_NONE ? RSP : f->index & 7) << 3 |
                         (f->base & 7));
    if (none)
        return p;
    if (!small)
        return put_disp(p, f->disp);
    *p++ = (uint8_t)f->disp;
    return p;
}

static uint8_t *put_rest(uint8_t *p, const struct fields *f)
{
    *p++ = (uint8_t)(f->byte | (f->low & 7));
    if (f->modrm) {
        if (f->mem)
            p = put_memory(p, f);
        else
            *p++ = (uint8_t)(0xc0 | (f->reg & 7) << 3 | (f->rm & 7));
    }
    memcpy(p, f->imm, f->imm_len);
    return p + f->imm_len;
}

/* Bit 3 of the numbers in ModRM.reg, SIB.index and ModRM.rm or SIB.base. */
static unsigned bit_r(const struct fields *f)
{
    return f->reg >> 3 & 1;
}

static unsigned bit_x(const struct fields *f)
{
    return f->mem && f->index != REG_NONE ? f->index >> 3 & 1 : 0;
}

static unsigned bit_b(const struct fields *f)
{
    return (f->mem ? f->base : f->modrm ? f->rm : f->low) >> 3 & 1;
}

static uint8_t *put_legacy(uint8_t *p, struct fields *f)
{
    static const uint8_t prefix[] = {0, 0x66, 0xf3, 0xf2};
    unsigned rex =
        (unsigned)f->w << 3 | bit_r(f) << 2 | bit_x(f) << 1 | bit_b(f);

    if (f->lock)
        *p++ = 0xf0;
    if (f->osize16 && f->pp != PP_66)
        *p++ = 0x66;
    if (f->pp)
        *p++ = prefix[f->pp];
    if (rex || f->rex) {
        f->cannot |= f->no_rex;
        *p++ = (uint8_t)(0x40 | rex);
    }
    if (f->map != MAP_1)
        *p++ = 0x0f;
    if (f->map == MAP_0F38)
        *p++ = 0x38;
    else if (f->map == MAP_0F3A)
        *p++ = 0x3a;
    return put_rest(p, f);
}

static uint8_t *put_vex(uint8_t *p, const struct fields *f, unsigned l)
{
    *p++ = 0xc4;
    *p++ = (uint8_t)((bit_r(f) << 7 | bit_x(f) << 6 | bit_b(f) << 5) ^ 0xe0) |
           f->map;
    *p++ =
        (uint8_t)((unsigned)f->w << 7 | (~f->vvvv & 15u) << 3 | l << 2 | f->pp);
    return put_rest(p, f);
}

static uint8_t *put_evex(uint8_t *p, const struct fields *f, uint8_t evex)
{
    unsigned x = f->mem ? bit_x(f) : f->rm >> 4 & 1u;
    unsigned v = f->vvvv;
    unsigned low;

    if (f->mem && f->index != REG_NONE) /* only a vector index has a bit 4 */
        v |= f->index & 0x10;
    low = bit_r(f) << 7 | x << 6 | bit_b(f) << 5 | (f->reg >> 4 & 1u) << 4;
    *p++ = 0x62;
    *p++ = (uint8_t)((low ^ 0xf0) | f->map);
    *p++ = (uint8_t)((unsigned)f->w << 7 | (~v & 15u) << 3 | 4 | f->pp);
    *p++ = (uint8_t)((evex >> 4 & 1u) << 7 | (evex >> 5 & 3u) << 5 |
                     (evex >> 3 & 1u) << 4 | (~v >> 4 & 1u) << 3 | (evex & 7));
    return put_rest(p, f);
}

/* Rows that are more than a computation on their ModRM operands. */
static bool copyable(const struct insn *i, const struct opcode *row)
{
    bool fields = insn_has_modrm(i) && i->raw[insn_modrm_at(i)] < 0xc0;

    if (row->props & (OP_BRANCH | OP_STRING | OP_STACK | OP_SYSTEM))
        return false;
    /* Memory that no ModRM names: XLAT, MASKMOVQ; moffs is seen to. */
    if ((i->flags & INSN_MEM) && !fields &&
        (row->map != MAP_1 || (i->code & 0xfc) != IS_MOFFS))
        return false;
    return i->imm_len <= 8;
}

static bool is_xchg(const struct insn *i, const struct opcode *row)
{
    return row->map == MAP_1 && (i->code & 0xf8) == IS_XCHG &&
           row->mod == MOD_LOW && i->opnd[1].kind == OPND_GPR;
}

unsigned x86_reencode(uint8_t *out, const struct insn *i,
                      const struct reencode *how)
{
    const struct opcode *row = insn_opcode(i);
    struct fields f = {.index = REG_NONE};
    uint8_t *end;

    if (!copyable(i, row))
        return 0;
    take_fields(&f, i, how);
    if (is_xchg(i, row))
        to_xchg(&f);
    if ((row->mode & ROW_NO64) && f.encoding == ENC_LEGACY) {
        if (f.map == MAP_1 && (f.byte & 0xf0) == IS_INC)
            take_inc_dec(&f);
        else if (f.map == MAP_1 && f.byte == 0x82)
            f.byte = 0x80; /* the same instruction */
        else
            return 0;
    }
    if (f.encoding == ENC_EVEX)
        end = put_evex(out, &f, i->evex);
    else if (f.encoding == ENC_VEX)
        end = put_vex(out, &f,
                      row->l == L_L1 || (row->l == L_L01 && i->vl == 32));
    else
        end = put_legacy(out, &f);
    return f.cannot ? 0 : (unsigned)(end - out);
}
