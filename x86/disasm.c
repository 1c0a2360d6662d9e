/* The disassembler: Intel syntax from a decoded instruction. */
#include "x86/opcode.h"
#include "x86/opspec.h"
#include "base/bits.h"
#include "base/libc.h"

struct text {
    char *to;
    size_t n, len;
};

static void PRINTF(2, 3) say(struct text *t, const char *format, ...)
{
    va_list args;
    int n;

    va_start(args, format);
    n = vsnprintf(t->len < t->n ? t->to + t->len : NULL,
                  t->len < t->n ? t->n - t->len : 0, format, args);
    va_end(args);
    t->len += n > 0 ? (size_t)n : 0;
}

/* ---- mnemonic ---- */

/* "a/b/c" has a name a size, 16 bits first; the last serves for the rest. */
static void say_mnemonic(struct text *t, const struct insn *i)
{
    const char *name = insn_opcode(i)->name, *end;
    unsigned size = insn_opcode(i)->size == SIZE_f ? i->asize : i->osize;

    for (unsigned at = 2; at < size && strchr(name, '/'); at *= 2)
        name = strchr(name, '/') + 1;
    end = strchr(name, '/');
    say(t, "%.*s", (int)(end ? (size_t)(end - name) : strlen(name)), name);
}

/* JMP and CALL through far pointers, by immediate or in memory. */
static bool is_far(const struct insn *i)
{
    const struct opcode *row = insn_opcode(i);

    return row->operand[0] == OT_Ap ||
           (row->operand[0] == OT_Mp && row->byte == 0xff);
}

int x86_mnemonic(char *to, size_t n, const struct insn *i)
{
    struct text t = {to, n, 0};

    say_mnemonic(&t, i);
    return (int)t.len;
}

/* ---- registers ---- */

static void say_gpr(struct text *t, unsigned reg, unsigned size)
{
    static const char *const byte[] = {"al",   "cl",   "dl",   "bl",   "spl",
                                       "bpl",  "sil",  "dil",  "r8b",  "r9b",
                                       "r10b", "r11b", "r12b", "r13b", "r14b",
                                       "r15b", "ah",   "ch",   "dh",   "bh"};
    static const char *const word[] = {"ax", "cx", "dx", "bx",
                                       "sp", "bp", "si", "di"};

    if (size == 1)
        say(t, "%s", reg < ARRAY_LEN(byte) ? byte[reg] : "?");
    else if (reg < 8)
        say(t, "%s%s", size == 8 ? "r" : size == 4 ? "e" : "", word[reg]);
    else
        say(t, "r%u%s", reg, size == 8 ? "" : size == 4 ? "d" : "w");
}

static const char *segment_name(unsigned seg)
{
    static const char *const names[] = {"es", "cs", "ss", "ds", "fs", "gs"};

    return seg < ARRAY_LEN(names) ? names[seg] : "?";
}

static void say_vector(struct text *t, unsigned reg, unsigned size)
{
    say(t, "%cmm%u", size == 64 ? 'z' : size == 32 ? 'y' : 'x', reg);
}

/* ---- memory ---- */

static const char *size_name(unsigned size)
{
    switch (size) {
    case 1: return "byte ptr ";
    case 2: return "word ptr ";
    case 4: return "dword ptr ";
    case 6: return "fword ptr ";
    case 8: return "qword ptr ";
    case 10: return "tbyte ptr ";
    case 16: return "xmmword ptr ";
    case 32: return "ymmword ptr ";
    case 64: return "zmmword ptr ";
    default: return "";
    }
}

/* Size of a VSIB index: half the vector for quadwords by doublewords. */
static unsigned vsib_size(const struct insn *i)
{
    bool wide_element = i->flags & INSN_REXW, wide_index = i->code & 1;

    if (!wide_index && wide_element)
        return MAX(i->vl / 2, 16);
    return i->vl;
}

static void say_base(struct text *t, const struct insn *i)
{
    if (i->base == REG_RIP)
        say(t, "%s", i->asize == 8 ? "rip" : "eip");
    else if (i->base != REG_NONE)
        say_gpr(t, i->base, i->asize);
    if (i->index == REG_NONE)
        return;
    if (i->base != REG_NONE)
        say(t, "+");
    if (i->flags & INSN_VSIB)
        say_vector(t, i->index, vsib_size(i));
    else
        say_gpr(t, i->index, i->asize);
    if (i->scale)
        say(t, "*%u", 1u << i->scale);
}

static void say_address(struct text *t, const struct insn *i)
{
    bool bare = i->base == REG_NONE && i->index == REG_NONE;
    uint64_t disp = (uint64_t)(int64_t)i->disp;

    say(t, "[");
    say_base(t, i);
    if (bare) {
        disp = i->imm_len > 4 ? i->imm : disp;
        say(t, "0x%llx", (unsigned long long)(disp & mask_low(i->asize * 8)));
    } else if (i->disp) {
        say(t, "%c0x%llx", i->disp < 0 ? '-' : '+',
            (unsigned long long)(i->disp < 0 ? -disp : disp));
    }
    say(t, "]");
}

/* LEA has none. */
static bool default_segment(const struct insn *i)
{
    if (insn_opcode(i)->map == MAP_1 && i->code == 0x8d)
        return true;
    return i->seg == (i->base == RSP || i->base == RBP ? SS : DS);
}

/* Bytes of the whole vector of which memory holds one element. */
static unsigned broadcast_bytes(const struct insn *i)
{
    const struct opcode *row = insn_opcode(i);

    for (unsigned k = 0; k < 4; k++) {
        unsigned rule = operand_types[row->operand[k]].mem;

        if (rule == SZ_x || rule == SZ_h || rule == SZ_f)
            return i->vl >> (rule - SZ_x);
    }
    return i->vl;
}

static void say_memory(struct text *t, const struct insn *i, unsigned size)
{
    bool broadcast = insn_encoding(i) == ENC_EVEX && (i->evex & 8);

    say(t, "%s", size_name(size));
    if (!default_segment(i))
        say(t, "%s:", segment_name(i->seg));
    say_address(t, i);
    if (broadcast && size)
        say(t, "{1to%u}", broadcast_bytes(i) / size);
}

/* ---- operands ---- */

static void say_immediate(struct text *t, uint64_t v, unsigned size)
{
    say(t, "0x%llx", (unsigned long long)(v & mask_low(size * 8)));
}

static void say_target(struct text *t, const struct insn *i, uint64_t rip)
{
    say_immediate(t, rip + i->len + i->imm, i->osize);
}

static void say_operand(struct text *t, const struct insn *i,
                        const struct operand *o, uint64_t rip)
{
    switch (o->kind) {
    case OPND_GPR: say_gpr(t, o->reg, o->size); break;
    case OPND_MEM: say_memory(t, i, o->size); break;
    case OPND_IMM: say_immediate(t, i->imm, o->size); break;
    case OPND_IMM2: say_immediate(t, i->imm >> 32, o->size); break;
    case OPND_REL: say_target(t, i, rip); break;
    case OPND_FAR:
        say(t, "0x%04x:0x%0*x", (unsigned)(i->imm >> 32), i->osize * 2,
            (unsigned)i->imm);
        break;
    case OPND_SREG: say(t, "%s", segment_name(o->reg)); break;
    case OPND_CR: say(t, "cr%u", o->reg); break;
    case OPND_DR: say(t, "dr%u", o->reg); break;
    case OPND_ST: say(t, "st%u", o->reg); break;
    case OPND_MMX: say(t, "mm%u", o->reg); break;
    case OPND_VEC: say_vector(t, o->reg, o->size); break;
    case OPND_K: say(t, "k%u", o->reg); break;
    default: break;
    }
}

/* EVEX: the mask after the first operand, the rounding after the last
   register. */
static void say_mask(struct text *t, const struct insn *i)
{
    if (insn_encoding(i) != ENC_EVEX || !(i->evex & 7))
        return;
    say(t, "{k%u}", i->evex & 7);
    if (i->evex & 16)
        say(t, "{z}");
}

static void say_rounding(struct text *t, const struct insn *i)
{
    static const char *const modes[] = {"rn", "rd", "ru", "rz"};

    /* Exact conversions take a rounding mode, and ignore it. */
    if (insn_encoding(i) != ENC_EVEX || !(i->evex & 8) ||
        (i->flags & INSN_MEM) || !(insn_opcode(i)->props & OP_FPEXC))
        return;
    if (insn_opcode(i)->evex & EV_ER)
        say(t, ", {%s-sae}", modes[i->evex >> 5 & 3]);
    else
        say(t, ", {sae}");
}

static void say_prefixes(struct text *t, const struct insn *i)
{
    bool compares = insn_opcode(i)->flags_written & FLAG_ZF;

    if (i->flags & INSN_LOCK)
        say(t, "lock ");
    if (i->flags & INSN_REP)
        say(t, compares ? "repe " : "rep ");
    if (i->flags & INSN_REPNE)
        say(t, "repne ");
}

int x86_disassemble(char *to, size_t n, const struct insn *i, uint64_t rip,
                    enum decode_mode mode)
{
    struct text t = {to, n, 0};

    (void)mode;
    if (n)
        to[0] = 0;
    say_prefixes(&t, i);
    say_mnemonic(&t, i);
    if (is_far(i))
        say(&t, " far");
    for (unsigned k = 0; k < 4 && i->opnd[k].kind; k++) {
        if (k && i->opnd[k].kind == OPND_IMM)
            say_rounding(&t, i);
        say(&t, k ? ", " : " ");
        say_operand(&t, i, &i->opnd[k], rip);
        if (k == 0)
            say_mask(&t, i);
        if (i->opnd[k].kind != OPND_IMM &&
            (k == 3 || i->opnd[k + 1].kind == OPND_NONE))
            say_rounding(&t, i);
    }
    return (int)t.len;
}
