/* Bytes, pointers and single instructions of random programs. */
#include "jit_write.h"

#include <string.h>

#include "base/bits.h"
#include "base/endian.h"
#include "x86/ops/ops.h"
#include "x86/opspec.h"

/* ---- rows ---- */

/* They tell time, chance or identity, or leave the comparison's reach. */
static const char *const left_out[] = {
    "rdtsc", "rdtscp", "rdpmc",  "rdpid",  "rdrand",    "rdseed",
    "cpuid", "xgetbv", "rdpkru", "wrpkru", "serialize",
};

/* Of these the host does more, as it has more: PKRU, tile registers. */
static bool saves_all(const struct opcode *o)
{
    return !strncmp(o->name, "xsave", 5) || !strncmp(o->name, "xrstor", 6);
}

static bool is_left_out(const struct opcode *o)
{
    for (unsigned k = 0; k < ARRAY_LEN(left_out); k++)
        if (!strcmp(o->name, left_out[k]))
            return true;
    return o->props &
           (OP_SYSTEM | OP_ENDS | OP_STACK | OP_PRIV0 | OP_STRING | OP_BRANCH);
}

void rows_list(struct row_list *l, const struct cpu_model *m, bool wide,
               bool native)
{
    l->n = 0;
    for (unsigned k = 0; k < opcode_count; k++) {
        const struct opcode *o = &opcode_table[k];

        if (!o->body || is_left_out(o) || (native && saves_all(o)) ||
            (o->mode & (wide ? ROW_NO64 : ROW_ONLY64)) ||
            (o->feature && !feature_has(&m->features, o->feature)) ||
            (o->feature2 && !feature_has(&m->features, o->feature2)))
            continue;
        l->row[l->n++] = (uint16_t)k;
    }
}

/* ---- bytes ---- */

void put(struct program *p, unsigned byte)
{
    p->bytes[p->n++] = (uint8_t)byte;
}

void put32(struct program *p, uint32_t v)
{
    store_le32(p->bytes + p->n, v);
    p->n += 4;
}

void put_sized(struct program *p, unsigned n, uint32_t v)
{
    put(p, v & 0xff);
    put(p, v >> 8 & 0xff);
    if (n < 4)
        return;
    put(p, v >> 16 & 0xff);
    put(p, v >> 24);
}

unsigned operand_bytes(struct program *p)
{
    if (!p->narrow)
        return 4;
    if (!rng_one_in(p->r, 4))
        return 2;
    put(p, 0x66);
    return 4;
}

struct hole put_hole(struct program *p, unsigned n)
{
    put_sized(p, n, 0);
    return (struct hole){p->n, n};
}

void fill_hole(struct program *p, struct hole h, uint32_t v)
{
    if (h.n == 4)
        store_le32(p->bytes + h.at - 4, v);
    else
        store_le16(p->bytes + h.at - 2, (uint16_t)v);
}

enum decode_mode program_decode_mode(const struct program *p)
{
    return p->wide ? DECODE_64 : p->narrow ? DECODE_16 : DECODE_32;
}

bool full(const struct program *p)
{
    return p->n > PROGRAM_MAX - 200 || p->parts > PARTS_MAX - 20 || !p->budget;
}

/* A new instruction begins. */
void part(struct program *p)
{
    p->part[p->parts++] = (uint16_t)p->n;
}

void rex(struct program *p, bool w, unsigned reg, unsigned index, unsigned base)
{
    unsigned v = 0x40 | (unsigned)w << 3 | (reg >> 3) << 2 | (index >> 3) << 1 |
                 base >> 3;

    if (v != 0x40)
        put(p, v);
}

void modrm_reg(struct program *p, unsigned reg, unsigned rm)
{
    put(p, 0xc0 | (reg & 7) << 3 | (rm & 7));
}

/* A prefix for the instruction that is being written. */
static void add_prefix(struct program *p, unsigned byte)
{
    unsigned from = p->part[p->parts - 1];

    memmove(p->bytes + from + 1, p->bytes + from, p->n - from);
    p->bytes[from] = (uint8_t)byte;
    p->n++;
}

/* [bx], [bp], [si], [di] and, for want of others, sums; false: not so. */
static bool modrm_mem16(struct program *p, unsigned reg, unsigned base,
                        int32_t disp)
{
    static const uint8_t rm[] = {[RBX] = 7, [RBP] = 6, [RSI] = 4, [RDI] = 5};
    bool small = disp == (int8_t)disp;

    if (base != RBX && base != RBP && base != RSI && base != RDI)
        return false;
    put(p, (small ? 0x40 : 0x80) | (reg & 7) << 3 | rm[base]);
    if (small)
        put(p, (uint8_t)disp);
    else
        put_sized(p, 2, (uint32_t)disp);
    return true;
}

void modrm_mem(struct program *p, unsigned reg, unsigned base, int32_t disp)
{
    bool small = disp == (int8_t)disp;

    if (p->narrow) {
        if (!rng_one_in(p->r, 4) && modrm_mem16(p, reg, base, disp))
            return;
        add_prefix(p, 0x67);
    }

    put(p, (small ? 0x40 : 0x80) | (reg & 7) << 3 | (base & 7));
    if ((base & 7) == 4)
        put(p, 0x24);
    if (small)
        put(p, (uint8_t)disp);
    else
        put32(p, (uint32_t)disp);
}

/* [address], no registers */
void modrm_fixed(struct program *p, unsigned reg, uint32_t address)
{
    put(p, (reg & 7) << 3 | (p->wide ? 4 : p->narrow ? 6 : 5));
    if (p->wide)
        put(p, 0x25);
    put_sized(p, p->narrow ? 2 : 4, data_offset(p, address));
}

/* mov reg, imm32 (zero-extended) */
void set_reg(struct program *p, unsigned reg, uint32_t v)
{
    unsigned n = 4;

    part(p);
    if (p->narrow && rng_one_in(p->r, 8))
        n = 2;
    else if (p->narrow)
        put(p, 0x66);
    rex(p, false, 0, 0, reg);
    put(p, 0xb8 | (reg & 7));
    put_sized(p, n, v);
    p->value[reg] = v;
    if (p->pointers >> reg & 1)
        p->known |= 1u << reg;
}

unsigned any_reg(struct program *p)
{
    return rng_below(p->r, p->wide ? 16 : 8);
}

/* One that is no pointer. */
unsigned free_reg(struct program *p)
{
    unsigned reg;

    do
        reg = any_reg(p);
    while (p->pointers >> reg & 1);
    return reg;
}

void changed(struct program *p, unsigned reg)
{
    p->known &= ~(1u << reg);
}

/* ---- pointers ---- */

uint32_t pick_address(struct program *p)
{
    struct rng *r = p->r;
    uint32_t a = DATA_AT + 0x200 + rng_below(r, 0x3c00);

    switch (rng_below(r, p->rough ? 16 : 160)) {
    case 0: a = DATA_RO - 0x20 + rng_below(r, 0x40); break;
    case 1: a = DATA_HOLE - 0x20 + rng_below(r, 0x30); break;
    case 2: a = DATA_KERNEL - 0x20 + rng_below(r, 0x40); break;
    default:
        if (rng_one_in(r, 5))
            a = DATA_AT + 0xfc0 + rng_below(r, 0x80);
        break;
    }
    if (rng_one_in(r, 2))
        a &= ~15u;
    if (rng_one_in(r, 8) && p->mode < CASE_32_FLAT)
        a += ALIAS;
    a = data_offset(p, a);
    if (p->mode <= CASE_32_FLAT)
        return a;
    /* Where 16 bits wrap, and near the end. */
    if (rng_one_in(r, p->rough ? 8 : 50))
        return (0xfff0 + rng_below(r, 0x20)) & 0xffff;
    if (rng_one_in(r, p->rough ? 5 : 12))
        return data_offset(p, p->edge - 0x20 + rng_below(r, 0x20));
    return a;
}

/* A pointer register with (b: with the same bit 3) something known in it. */
unsigned pick_pointer(struct program *p, unsigned high)
{
    unsigned reg;
    uint32_t set =
        high == 16 ? p->pointers : p->pointers & (high ? 0xff00u : 0xffu);

    if (!set)
        return 16;
    do
        reg = any_reg(p);
    while (!(set >> reg & 1));
    if (!(p->known >> reg & 1) && !rng_one_in(p->r, 12))
        set_reg(p, reg, reg == RSP ? pick_address(p) & ~7u : pick_address(p));
    return reg;
}

int32_t pick_disp(struct program *p, unsigned reg, unsigned align)
{
    int32_t d = (int32_t)rng_below(p->r, 128) - 64;

    if (rng_one_in(p->r, 2))
        d &= ~7;
    if (rng_one_in(p->r, 20))
        d *= 16;
    if (p->mode > CASE_32_FLAT && rng_one_in(p->r, 2) &&
        (uint32_t)(p->value[reg] + 0x20) % 0x10000 < 0x40)
        d = (int16_t)(0 - (uint32_t)p->value[reg] - rng_below(p->r, 10) + 1);
    if (align && !rng_one_in(p->r, 30))
        d -= (int32_t)((p->value[reg] + (uint64_t)(int64_t)d) & align);
    return d;
}

/* ---- instructions by row ---- */

static bool has_implied(const struct opcode *o)
{
    for (unsigned k = 0; k < 4; k++) {
        unsigned place = operand_types[o->operand[k]].place;

        if (place == AT_IMPLIED || place == AT_IMPLIED_ES)
            return true;
    }
    return false;
}

static void note_writes(struct program *p, const struct insn *i)
{
    const struct opcode *o = insn_opcode(i);

    for (unsigned k = 0; k < 4; k++) {
        unsigned reg = i->opnd[k].reg;

        if (i->opnd[k].kind == OPND_GPR &&
            ((k == 0 && (o->props & OP_WRITES0)) ||
             (k == 1 && (o->props & OP_WRITES1))))
            changed(p, reg >= 16 ? reg & 3 : reg);
    }
    changed(p, RAX);
    changed(p, RDX);
    changed(p, RCX);
}

static bool writes_pointer(const struct program *p, const struct insn *i)
{
    struct program q = {.known = 0xffff};

    note_writes(&q, i);
    return p->pointers & ~q.known;
}

/* The row's bytes with a memory operand that makes sense. */
static void put_with_memory(struct program *p, const struct insn *i,
                            const uint8_t *bytes)
{
    unsigned at = insn_modrm_at(i), reg = bytes[at] >> 3 & 7, base, size = 1;
    unsigned tail = i->len - i->imm_len;
    int32_t disp;

    base = pick_pointer(p, i->base < 16 ? i->base & 8 : 0);
    if (p->narrow && base == RSP)
        base = 16;
    for (unsigned k = 0; k < 4; k++)
        if (i->opnd[k].kind == OPND_MEM)
            size = i->opnd[k].size;
    if (base == 16 || rng_one_in(p->r, p->rough ? 10 : 30)) {
        uint32_t a = (pick_address(p) & ~(size - 1)) + p->base;

        part(p);
        memcpy(p->bytes + p->n, bytes, at);
        p->n += at;
        if (p->narrow && i->asize == 4) {
            put(p, reg << 3 | 5);
            put32(p, data_offset(p, a));
        } else {
            modrm_fixed(p, reg, a);
        }
        if (p->wide && i->index < 16 && (i->index & 8)) /* SIB says r12 */
            changed(p, R12);
    } else {
        disp =
            pick_disp(p, base, insn_opcode(i)->props & OP_ALIGN ? size - 1 : 0);
        part(p);
        memcpy(p->bytes + p->n, bytes, at);
        p->n += at;
        if (p->narrow && i->asize == 2) {
            unsigned rm = base == RBX   ? 7
                          : base == RBP ? 6
                          : base == RSI ? 4
                                        : 5;

            put(p, 0x80 | reg << 3 | rm);
            put_sized(p, 2, (uint32_t)disp);
        } else if (insn_encoding(i) == ENC_EVEX || disp != (int8_t)disp) {
            put(p, 0x80 | reg << 3 | (base & 7));
            if ((base & 7) == 4)
                put(p, 0x24);
            put32(p, (uint32_t)disp);
        } else {
            put(p, 0x40 | reg << 3 | (base & 7));
            if ((base & 7) == 4)
                put(p, 0x24);
            put(p, (uint8_t)disp);
        }
    }
    memcpy(p->bytes + p->n, bytes + tail, i->imm_len);
    p->n += i->imm_len;
}

/* [base + index * scale] */
static void put_with_index(struct program *p, const struct insn *i,
                           const uint8_t *bytes)
{
    unsigned at = insn_modrm_at(i), reg = bytes[at] >> 3 & 7, base;
    unsigned index = (i->index < 16 ? i->index & 8 : 0) | rng_below(p->r, 8);
    unsigned tail = i->len - i->imm_len;
    int32_t disp;

    base = pick_pointer(p, i->base < 16 ? i->base & 8 : 0);
    if (index == RSP || base == 16 || i->asize == 2 ||
        (insn_opcode(i)->props & OP_ALIGN && !p->rough)) {
        put_with_memory(p, i, bytes);
        return;
    }
    if (!(p->pointers >> index & 1))
        set_reg(p, index, rng_below(p->r, 32));
    disp = pick_disp(p, base, 0);
    part(p);
    memcpy(p->bytes + p->n, bytes, at);
    p->n += at;
    put(p, 0x84 | reg << 3);
    put(p, rng_below(p->r, 4) << 6 | (index & 7) << 3 | (base & 7));
    put32(p, (uint32_t)disp);
    memcpy(p->bytes + p->n, bytes + tail, i->imm_len);
    p->n += i->imm_len;
}

bool put_row(struct program *p, unsigned row)
{
    enum decode_mode mode = program_decode_mode(p);
    const struct opcode *o = &opcode_table[row];
    uint8_t bytes[ENCODING_BYTES];
    struct insn i;

    encoding_of_row(p->r, mode, o, bytes);
    if (x86_decode(&i, bytes, sizeof bytes, mode) != DECODE_OK || i.op != row)
        return false;
    /* Linux gives 32-bit code no such segments. */
    if (p->native && i.seg >= FS && !p->wide)
        return false;
    if (writes_pointer(p, &i) && !rng_one_in(p->r, 10))
        return false;
    /* 16-bit addresses reach nothing of ours without segments. */
    if ((i.flags & INSN_MEM) &&
        ((i.asize == 2 && !p->narrow) || (i.flags & INSN_VSIB)) &&
        !rng_one_in(p->r, 50))
        return false;
    if (o->body == op_div || o->body == op_idiv)
        return false;
    if (has_implied(o) && !rng_one_in(p->r, 20))
        return false;
    if (!(i.flags & INSN_MEM) || !insn_has_modrm(&i) ||
        (i.asize == 2 && !p->narrow) || (i.flags & INSN_VSIB) ||
        has_implied(o)) {
        part(p);
        memcpy(p->bytes + p->n, bytes, i.len);
        p->n += i.len;
    } else if (rng_one_in(p->r, 5)) {
        put_with_index(p, &i, bytes);
    } else {
        put_with_memory(p, &i, bytes);
    }
    /* They leave most flags undefined: sbb edx, edx reads the one they set. */
    if (o->body == op_bt || o->body == op_bts || o->body == op_btr ||
        o->body == op_btc) {
        put(p, 0x19);
        put(p, 0xd2);
    }
    note_writes(p, &i);
    return true;
}
