#include "zydis_compare.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "x86/opspec.h"

void zydis_open(struct zydis *z, enum decode_mode mode)
{
    static const ZydisMachineMode machine[] = {ZYDIS_MACHINE_MODE_LEGACY_16,
                                               ZYDIS_MACHINE_MODE_LEGACY_32,
                                               ZYDIS_MACHINE_MODE_LONG_64};
    static const ZydisStackWidth stack[] = {
        ZYDIS_STACK_WIDTH_16, ZYDIS_STACK_WIDTH_32, ZYDIS_STACK_WIDTH_64};
    /* Hints in the NOP space that we take for the NOPs they are. */
    static const ZydisDecoderMode off[] = {
        ZYDIS_DECODER_MODE_MPX, ZYDIS_DECODER_MODE_CET,
        ZYDIS_DECODER_MODE_CLDEMOTE, ZYDIS_DECODER_MODE_WBNOINVD};

    /* Its text in our spelling, as far as it has a say. */
    static const struct {
        ZydisFormatterProperty property;
        ZyanUPointer value;
    } spelling[] = {
        {ZYDIS_FORMATTER_PROP_FORCE_SIZE, ZYAN_TRUE},
        {ZYDIS_FORMATTER_PROP_FORCE_RELATIVE_RIPREL, ZYAN_TRUE},
        {ZYDIS_FORMATTER_PROP_HEX_UPPERCASE, ZYAN_FALSE},
        {ZYDIS_FORMATTER_PROP_IMM_SIGNEDNESS, ZYDIS_SIGNEDNESS_UNSIGNED},
        {ZYDIS_FORMATTER_PROP_ADDR_PADDING_ABSOLUTE, ZYDIS_PADDING_DISABLED},
        {ZYDIS_FORMATTER_PROP_ADDR_PADDING_RELATIVE, ZYDIS_PADDING_DISABLED},
        {ZYDIS_FORMATTER_PROP_DISP_PADDING, ZYDIS_PADDING_DISABLED},
        {ZYDIS_FORMATTER_PROP_IMM_PADDING, ZYDIS_PADDING_DISABLED},
    };

    memset(z, 0, sizeof *z);
    z->mode = mode;
    ZydisFormatterInit(&z->formatter, ZYDIS_FORMATTER_STYLE_INTEL);
    for (unsigned i = 0; i < ARRAY_LEN(spelling); i++)
        ZydisFormatterSetProperty(&z->formatter, spelling[i].property,
                                  spelling[i].value);
    ZydisDecoderInit(&z->decoder, machine[mode], stack[mode]);
    for (unsigned i = 0; i < ARRAY_LEN(off); i++)
        ZydisDecoderEnableMode(&z->decoder, off[i], ZYAN_FALSE);
}

static bool PRINTF(3, 4) fail(char *why, size_t n, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(why, n, format, args);
    va_end(args);
    return false;
}

/* ---- registers and memory ---- */

static ZydisRegister gpr(unsigned reg, unsigned size)
{
    if (size == 1)
        return reg >= 0x10 ? ZYDIS_REGISTER_AH + (reg - 0x10)
               : reg >= 8  ? ZYDIS_REGISTER_R8B + (reg - 8)
               : reg >= 4  ? ZYDIS_REGISTER_SPL + (reg - 4)
                           : ZYDIS_REGISTER_AL + reg;
    return ZydisRegisterEncode(size == 8   ? ZYDIS_REGCLASS_GPR64
                               : size == 4 ? ZYDIS_REGCLASS_GPR32
                                           : ZYDIS_REGCLASS_GPR16,
                               reg);
}

static ZydisRegister vector(unsigned reg, unsigned size)
{
    return ZydisRegisterEncode(size == 64   ? ZYDIS_REGCLASS_ZMM
                               : size == 32 ? ZYDIS_REGCLASS_YMM
                                            : ZYDIS_REGCLASS_XMM,
                               reg);
}

static ZydisRegister reg_of(const struct operand *o)
{
    switch (o->kind) {
    case OPND_GPR: return gpr(o->reg, o->size);
    case OPND_SREG: return ZYDIS_REGISTER_ES + o->reg;
    case OPND_CR: return ZYDIS_REGISTER_CR0 + o->reg;
    case OPND_DR: return ZYDIS_REGISTER_DR0 + o->reg;
    case OPND_ST: return ZYDIS_REGISTER_ST0 + o->reg;
    case OPND_MMX: return ZYDIS_REGISTER_MM0 + o->reg;
    case OPND_K: return ZYDIS_REGISTER_K0 + o->reg;
    case OPND_VEC: return vector(o->reg, o->size);
    default: return ZYDIS_REGISTER_NONE;
    }
}

static uint64_t truncate(uint64_t v, unsigned bytes)
{
    return bytes >= 8 ? v : v & ((1ull << bytes * 8) - 1);
}

static ZydisRegister base_of(const struct insn *i)
{
    if (i->base == REG_RIP)
        return i->asize == 8 ? ZYDIS_REGISTER_RIP : ZYDIS_REGISTER_EIP;
    return i->base == REG_NONE ? ZYDIS_REGISTER_NONE : gpr(i->base, i->asize);
}

/* Of a vector index only the number: its width follows from the row. */
static bool index_same(const struct insn *i, ZydisRegister index)
{
    if (i->index == REG_NONE)
        return index == ZYDIS_REGISTER_NONE;
    if (i->flags & INSN_VSIB)
        return ZydisRegisterGetId(index) == i->index &&
               ZydisRegisterGetClass(index) >= ZYDIS_REGCLASS_XMM;
    return index == gpr(i->index, i->asize);
}

static bool memory_same(const struct insn *i, const ZydisDecodedOperand *z,
                        char *why, size_t n)
{
    bool bare = i->base == REG_NONE && i->index == REG_NONE;
    uint64_t disp =
        bare && i->imm_len > 4 ? i->imm : (uint64_t)(int64_t)i->disp;

    if (insn_opcode(i)->byte == 0x8d) /* LEA: none */
        ;
    else if ((ZydisRegister)(ZYDIS_REGISTER_ES + i->seg) != z->mem.segment)
        return fail(why, n, "segment %u, %s", i->seg,
                    ZydisRegisterGetString(z->mem.segment));
    if (base_of(i) != z->mem.base)
        return fail(why, n, "base %u, %s", i->base,
                    ZydisRegisterGetString(z->mem.base));
    if (!index_same(i, z->mem.index))
        return fail(why, n, "index %u, %s", i->index,
                    ZydisRegisterGetString(z->mem.index));
    if (i->index != REG_NONE && z->mem.scale != 1u << i->scale)
        return fail(why, n, "scale %u, %u", 1u << i->scale, z->mem.scale);
    if (truncate(disp, i->asize) !=
        truncate((uint64_t)z->mem.disp.value, i->asize))
        return fail(why, n, "displacement %llx, %llx", (unsigned long long)disp,
                    (unsigned long long)z->mem.disp.value);
    return true;
}

/* ---- operands ---- */

static bool immediate_same(const struct insn *i, const struct operand *o,
                           const ZydisDecodedOperand *z, char *why, size_t n)
{
    uint64_t ours = o->kind == OPND_IMM2 ? i->imm >> 32 : i->imm;
    unsigned bytes = o->size ? o->size : 1;

    if (o->kind == OPND_IMM && z->imm.is_relative)
        return fail(why, n, "immediate, relative");
    if (truncate(ours, bytes) != truncate(z->imm.value.u, bytes))
        return fail(why, n, "immediate %llx, %llx", (unsigned long long)ours,
                    (unsigned long long)z->imm.value.u);
    return true;
}

/* CLFLUSH names a byte; that it does a line is no matter of size. */
static bool size_same(const struct insn *i, const struct operand *o,
                      const ZydisDecodedOperand *z)
{
    return o->size == 0 || o->size * 8 == z->size ||
           (o->size == 1 && z->size == 512 && insn_encoding(i) == ENC_LEGACY);
}

static bool operand_same(const struct insn *i, const struct operand *o,
                         const ZydisDecodedOperand *z, char *why, size_t n)
{
    switch (o->kind) {
    case OPND_MEM:
        if (z->type != ZYDIS_OPERAND_TYPE_MEMORY)
            return fail(why, n, "memory, not so");
        if (!(i->flags & INSN_MEM) || !size_same(i, o, z))
            return fail(why, n, "memory of %u bytes, %u bits", o->size,
                        z->size);
        return memory_same(i, z, why, n);
    case OPND_IMM:
    case OPND_IMM2:
    case OPND_REL:
        if (z->type != ZYDIS_OPERAND_TYPE_IMMEDIATE)
            return fail(why, n, "immediate, not so");
        return immediate_same(i, o, z, why, n);
    case OPND_FAR:
        if (z->type != ZYDIS_OPERAND_TYPE_POINTER ||
            z->ptr.segment != i->imm >> 32 || z->ptr.offset != (uint32_t)i->imm)
            return fail(why, n, "far pointer");
        return true;
    default:
        if (z->type != ZYDIS_OPERAND_TYPE_REGISTER)
            return fail(why, n, "register, not so");
        if (reg_of(o) != z->reg.value)
            return fail(why, n, "register kind %u number %u size %u, %s",
                        o->kind, o->reg, o->size,
                        ZydisRegisterGetString(z->reg.value));
        return true;
    }
}

/* A NOP's registers are nothing; Zydis names ModRM.reg in some, and sizes them
   oddly in others. */
static bool is_nop(const struct zydis_pair *p)
{
    return p->row->map == MAP_0F && (p->row->byte & ~7) == 0x18 &&
           p->zi.mnemonic == ZYDIS_MNEMONIC_NOP;
}

/* Registers that are part of the opcode: Zydis does not list each of them. */
static bool is_fixed(const struct zydis_pair *p, unsigned k)
{
    return operand_types[p->row->operand[k]].place == AT_FIXED;
}

/* Ours are the explicit ones; Zydis shows the opmask too. */
static bool operands_same(const struct zydis_pair *p, char *why, size_t n)
{
    unsigned at = 0, left = 0;

    if (is_nop(p))
        return true;
    while (left < 4 && p->i.opnd[left].kind)
        left++;
    for (unsigned k = 0; k < 4 && p->i.opnd[k].kind; k++, at++, left--) {
        char text[128];

        while (at < p->zi.operand_count_visible &&
               p->zo[at].encoding == ZYDIS_OPERAND_ENCODING_MASK)
            at++;
        if (is_fixed(p, k) && at + left > p->zi.operand_count_visible) {
            at--;
            continue;
        }
        if (at < p->zi.operand_count_visible &&
            operand_same(&p->i, &p->i.opnd[k], &p->zo[at], text, sizeof text))
            continue;
        return fail(why, n, "operand %u: %s", k,
                    at < p->zi.operand_count_visible ? text : "none");
    }
    for (; at < p->zi.operand_count_visible; at++)
        if (p->zo[at].visibility == ZYDIS_OPERAND_VISIBILITY_EXPLICIT &&
            p->zo[at].encoding != ZYDIS_OPERAND_ENCODING_MASK)
            return fail(why, n, "no operand %u", at);
    return true;
}

static bool evex_same(const struct zydis_pair *p, char *why, size_t n)
{
    const ZydisDecodedInstructionAvx *a = &p->zi.avx;
    if (insn_encoding(&p->i) != ENC_EVEX)
        return true;
    if ((ZydisRegister)(ZYDIS_REGISTER_K0 + (p->i.evex & 7)) !=
        (a->mask.reg ? a->mask.reg : ZYDIS_REGISTER_K0))
        return fail(why, n, "opmask %u, %s", p->i.evex & 7,
                    ZydisRegisterGetString(a->mask.reg));
    if ((p->i.evex >> 4 & 1) != p->zi.raw.evex.z)
        return fail(why, n, "zeroing %u, %u", p->i.evex >> 4 & 1,
                    p->zi.raw.evex.z);
    return true;
}

/* ---- text ---- */

/* Spelling that does not matter: spaces, scale 1, a comma before {sae}, hints
   of transactional memory; and segments, which Zydis names whenever there is
   a prefix: memory_same() has compared them. */
static void normalise(char *s)
{
    static const char *const drop[] = {
        " ",        "*1]", "*1+", "*1-", ",{", "xacquire",
        "xrelease", "ds:", "es:", "cs:", "ss:"};
    static const char *const put[] = {"", "]", "+", "-", "{", "",
                                      "", "",  "",  "",  ""};

    for (unsigned k = 0; k < ARRAY_LEN(drop); k++)
        for (char *at; (at = strstr(s, drop[k]));) {
            size_t from = strlen(drop[k]), to = strlen(put[k]);

            memcpy(at, put[k], to);
            memmove(at + to, at + from, strlen(at + from) + 1);
        }
}

/* Where both show the same operands under the same name. Branch targets
   Zydis does not truncate outside 64-bit mode. */
static bool text_comparable(const struct zydis_pair *p)
{
    unsigned ours = 0, zydis = 0;

    while (ours < 4 && p->i.opnd[ours].kind)
        ours++;
    for (unsigned k = 0; k < p->zi.operand_count_visible; k++)
        zydis += p->zo[k].encoding != ZYDIS_OPERAND_ENCODING_MASK;
    return ours == zydis && !is_nop(p) &&
           !strcmp(p->name, ZydisMnemonicGetString(p->zi.mnemonic)) &&
           (p->z->mode == DECODE_64 || p->i.opnd[0].kind != OPND_REL) &&
           p->row->byte != 0xae;
}

static bool text_same(struct zydis_pair *p, char *why, size_t n)
{
    char ours[160], zydis[160];

    if (!text_comparable(p))
        return true;
    x86_disassemble(ours, sizeof ours, &p->i, 0x1000, p->z->mode);
    ZydisFormatterFormatInstruction(&p->z->formatter, &p->zi, p->zo,
                                    p->zi.operand_count_visible, zydis,
                                    sizeof zydis, 0x1000, NULL);
    normalise(ours);
    normalise(zydis);
    return !strcmp(ours, zydis) || fail(why, n, "text %s, %s", ours, zydis);
}

/* ---- the instruction ---- */

/* The same thing by another name. */
static bool is_alias(const char *ours, const char *zydis)
{
    static const char *const names[][2] = {
        {"retf", "ret"}, /* Zydis tells them apart by branch type */
        {"endbr32", "nop"},
        {"endbr64", "nop"},
        {"fneni", "feni8087_nop"},
        {"fndisi", "fdisi8087_nop"},
        {"fnsetpm", "fsetpm287_nop"},
    };

    for (unsigned i = 0; i < ARRAY_LEN(names); i++)
        if (!strcmp(ours, names[i][0]) && !strcmp(zydis, names[i][1]))
            return true;
    return !strcmp(ours, zydis);
}

static bool name_same(struct zydis_pair *p)
{
    const char *z = ZydisMnemonicGetString(p->zi.mnemonic);

    x86_mnemonic(p->name, sizeof p->name, &p->i);
    return z && is_alias(p->name, z);
}

/* Where our operand size follows from the prefixes and means something. */
static bool has_osize(const struct zydis_pair *p)
{
    if ((p->row->size == SIZE_y &&
         (p->z->mode == DECODE_16 || (p->i.flags & INSN_66))) ||
        (p->row->size == SIZE_z && (p->i.flags & INSN_REXW)))
        return false;
    return insn_encoding(&p->i) == ENC_LEGACY && p->row->size >= SIZE_v &&
           (p->row->operand[0] || p->row->size == SIZE_q ||
            p->row->size == SIZE_f) &&
           !(p->row->props & (OP_SSE | OP_MMX));
}

static bool sizes_same(const struct zydis_pair *p, char *why, size_t n)
{
    if (p->i.asize * 8 != p->zi.address_width)
        return fail(why, n, "address size %u, %u", p->i.asize * 8,
                    p->zi.address_width);
    if (has_osize(p) && !is_nop(p) && p->i.osize * 8 != p->zi.operand_width)
        return fail(why, n, "operand size %u, %u", p->i.osize * 8,
                    p->zi.operand_width);
    return true;
}

static bool validity_same(const struct zydis_pair *p, char *why, size_t n)
{
    static const char *const names[] = {"ok", "more", "too long", "#UD"};

    if ((p->result == DECODE_OK) == p->zok)
        return true;
    return fail(why, n, "%s %s, Zydis %s (%x)", names[p->result],
                p->row ? p->row->name : "",
                p->zok ? ZydisMnemonicGetString(p->zi.mnemonic) : "error",
                p->status);
}

static bool pair_same(struct zydis_pair *p, char *why, size_t n)
{
    if (!validity_same(p, why, n) || !p->zok)
        return !p->zok && p->result != DECODE_OK;
    p->z->valid++;
    if (!name_same(p))
        return fail(why, n, "mnemonic %s, %s", p->name,
                    ZydisMnemonicGetString(p->zi.mnemonic));
    if (p->i.len != p->zi.length)
        return fail(why, n, "%s: length %u, %u", p->name, p->i.len,
                    p->zi.length);
    if (!operands_same(p, why, n) || !evex_same(p, why, n) ||
        !sizes_same(p, why, n) || !text_same(p, why, n)) {
        char text[200];

        snprintf(text, sizeof text, "%s: %s", p->name, why);
        return fail(why, n, "%s", text);
    }
    return true;
}

bool zydis_same(struct zydis *z, const uint8_t *bytes, char *why, size_t n)
{
    struct zydis_pair p = {.z = z, .bytes = bytes};

    p.result = x86_decode(&p.i, bytes, 15, z->mode);
    p.row = p.result == DECODE_OK ? insn_opcode(&p.i) : NULL;
    p.status = ZydisDecoderDecodeFull(&z->decoder, bytes, 15, &p.zi, p.zo);
    p.zok = ZYAN_SUCCESS(p.status);
    z->compared++;
    if (p.zok && zydis_left_out(&p)) {
        z->skipped++;
        if (p.result == DECODE_OK && strcmp(p.row->name, "nop"))
            return fail(why, n, "%s, Zydis %s (left out)", p.row->name,
                        ZydisMnemonicGetString(p.zi.mnemonic));
        return true;
    }
    if (zydis_wrong(&p)) {
        z->skipped++;
        return true;
    }
    return pair_same(&p, why, n);
}
