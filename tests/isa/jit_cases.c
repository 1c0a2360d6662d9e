/* The pieces that random programs are made of. */
#include "jit_write.h"

#include <string.h>

#include "base/bits.h"
#include "base/endian.h"
#include "x86/flags.h"
#include "x86/opspec.h"

/* ---- shaped pieces ---- */

static void some(struct program *p, unsigned n, const struct row_list *rows);

static void a_row(struct program *p, const struct row_list *rows)
{
    unsigned row;

    do { /* half of the rows are AVX-512's: the others come more often */
        row = rows->row[rng_below(p->r, rows->n)];
        if ((opcode_table[row].props & (OP_AVX512 | OP_AVX)) &&
            !rng_one_in(p->r, 4))
            row = rows->row[rng_below(p->r, rows->n)];
        if (opcode_table[row].encoding == ENC_EVEX && !rng_one_in(p->r, 4))
            continue;
        /* Real and virtual-8086 mode know no such encodings. */
        if (opcode_table[row].encoding != ENC_LEGACY &&
            (p->mode == CASE_16_REAL || p->mode == CASE_16_VM86) &&
            !rng_one_in(p->r, 100))
            continue;
        break;
    } while (true);
    put_row(p, row);
}

/* A frequent integer instruction, register or memory. */
static void an_integer(struct program *p)
{
    static const uint8_t ops[] = {
        0x01, 0x03, 0x09, 0x0b, 0x11, 0x13, 0x19, 0x1b, 0x21, 0x23, 0x29,
        0x2b, 0x31, 0x33, 0x39, 0x3b, 0x85, 0x89, 0x8b, 0x8b, 0x89, 0x00,
        0x02, 0x10, 0x12, 0x28, 0x38, 0x88, 0x8a, 0x84, 0x8d};
    unsigned op = ops[rng_below(p->r, sizeof ops)], reg = free_reg(p), base;
    bool w = p->wide && rng_one_in(p->r, 2);
    int32_t disp;

    if (op != 0x8d && rng_one_in(p->r, 2)) {
        unsigned rm = free_reg(p);

        part(p);
        if (rng_one_in(p->r, 8))
            put(p, 0x66);
        rex(p, w, reg, 0, rm);
        put(p, op);
        modrm_reg(p, reg, rm);
        return;
    }
    base = pick_pointer(p, 16);
    disp = pick_disp(p, base, 0);
    part(p);
    if (rng_one_in(p->r, 8))
        put(p, 0x66);
    rex(p, w, reg, 0, base);
    put(p, op);
    modrm_mem(p, reg, base, disp);
}

/* Several accesses at one base. */
static void a_group(struct program *p)
{
    unsigned base = pick_pointer(p, 16);

    for (unsigned n = 2 + rng_below(p->r, 4); n && !full(p); n--) {
        unsigned reg = any_reg(p);
        bool w = p->wide && rng_one_in(p->r, 2);
        int32_t disp = pick_disp(p, base, 0);

        if ((p->pointers >> reg & 1) && !rng_one_in(p->r, 20))
            reg = free_reg(p);
        part(p);
        rex(p, w, reg, 0, base);
        put(p, rng_one_in(p->r, 2) ? 0x8b : rng_one_in(p->r, 3) ? 0x13 : 0x89);
        modrm_mem(p, reg, base, disp);
        if (reg == base)
            changed(p, base);
        if (base == RSP && rng_one_in(p->r, 3)) {
            int32_t by = (int32_t)rng_below(p->r, 16) * 8 - 64;

            part(p);
            rex(p, p->wide, 0, 0, RSP);
            put(p, 0x83);
            put(p, rng_one_in(p->r, 2) ? 0xc4 : 0xec);
            put(p, (uint8_t)by);
        }
    }
}

static void a_push(struct program *p)
{
    unsigned reg = any_reg(p);

    part(p);
    if (rng_one_in(p->r, 12))
        put(p, 0x66);
    switch (rng_below(p->r, 6)) {
    case 0:
        put(p, 0x6a);
        put(p, rng_below(p->r, 256));
        break;
    case 1: {
        unsigned n;

        p->n = p->part[p->parts - 1];
        n = operand_bytes(p);
        put(p, 0x68);
        put_sized(p, n, (uint32_t)rng_next(p->r));
        break;
    }
    case 2: put(p, 0x9c); break; /* pushf */
    default:
        rex(p, false, 0, 0, reg);
        put(p, 0x50 | (reg & 7));
        break;
    }
}

static void a_pop(struct program *p)
{
    unsigned reg = rng_one_in(p->r, 12) ? any_reg(p) : free_reg(p);

    part(p);
    if (rng_one_in(p->r, 16))
        put(p, 0x66);
    rex(p, false, 0, 0, reg);
    put(p, 0x58 | (reg & 7));
    changed(p, reg);
}

static void a_stack(struct program *p)
{
    pick_pointer(p, 16);
    if (!(p->known >> RSP & 1) && !rng_one_in(p->r, 8))
        set_reg(p, RSP, pick_address(p) & ~7u);
    for (unsigned n = 1 + rng_below(p->r, 4); n; n--)
        if (rng_one_in(p->r, 2))
            a_push(p);
        else
            a_pop(p);
    switch (rng_below(p->r, 12)) {
    case 0: /* enter 16, 0 or 1 */
        part(p);
        put(p, 0xc8);
        put(p, 16);
        put(p, 0);
        put(p, rng_below(p->r, 2));
        changed(p, RBP);
        break;
    case 1: /* leave */
        set_reg(p, RBP, pick_address(p) & ~7u);
        part(p);
        put(p, 0xc9);
        changed(p, RBP);
        break;
    case 2: /* push, pop [mem] */
    case 3: {
        unsigned base = pick_pointer(p, 16);
        bool push = rng_one_in(p->r, 2);
        int32_t disp = pick_disp(p, base, 0);

        part(p);
        rex(p, false, 0, 0, base);
        put(p, push ? 0xff : 0x8f);
        modrm_mem(p, push ? 6 : 0, base, disp);
        break;
    }
    default: break;
    }
}

static void a_flag_user(struct program *p)
{
    unsigned reg = free_reg(p), rm = free_reg(p), cc = rng_below(p->r, 16);

    switch (rng_below(p->r, 10)) {
    case 0:
    case 1: /* setcc */
        if (rm >= 4 && !p->wide)
            rm = RAX;
        part(p);
        rex(p, false, 0, 0, rm);
        put(p, 0x0f);
        put(p, 0x90 | cc);
        modrm_reg(p, 0, rm);
        changed(p, rm);
        changed(p, rm & 3);
        break;
    case 2:
    case 3:
    case 4: /* cmovcc */
        part(p);
        rex(p, p->wide && rng_one_in(p->r, 2), reg, 0, rm);
        put(p, 0x0f);
        put(p, 0x40 | cc);
        modrm_reg(p, reg, rm);
        break;
    case 5:
        part(p);
        put(p, 0x9f); /* lahf */
        changed(p, RAX);
        break;
    case 6:
        part(p);
        put(p, 0x9e); /* sahf */
        break;
    case 7:
        part(p);
        put(p, 0xf5 + (rng_below(p->r, 3) ? rng_below(p->r, 2) + 3 : 0));
        break; /* cmc, clc, stc */
    default:   /* inc, dec, shifts by cl or constant */
        part(p);
        rex(p, p->wide && rng_one_in(p->r, 2), 0, 0, rm);
        switch (rng_below(p->r, 4)) {
        case 0:
            put(p, 0xff);
            modrm_reg(p, rng_below(p->r, 2), rm);
            break;
        case 1:
            put(p, 0xd3);
            modrm_reg(p, rng_below(p->r, 8), rm);
            break;
        case 2:
            put(p, 0xd1);
            modrm_reg(p, rng_below(p->r, 8), rm);
            break;
        default:
            put(p, 0xc1);
            modrm_reg(p, rng_below(p->r, 8), rm);
            put(p, rng_one_in(p->r, 3) ? 0 : rng_below(p->r, 70));
            break;
        }
        break;
    }
}

static void a_division(struct program *p)
{
    unsigned rm = any_reg(p), base = pick_pointer(p, 16);
    bool w = p->wide && rng_one_in(p->r, 2), is_signed = rng_one_in(p->r, 2);
    bool memory = rng_one_in(p->r, 3);
    int32_t disp = pick_disp(p, base, 0);

    if (!rng_one_in(p->r, 8)) {
        part(p);
        if (is_signed) { /* cdq, cqo */
            rex(p, w, 0, 0, 0);
            put(p, 0x99);
        } else { /* xor edx, edx */
            put(p, 0x31);
            put(p, 0xd2);
        }
        if (!memory && rm != RAX && rm != RDX && !(p->pointers >> rm & 1)) {
            set_reg(p, rm, 1 + rng_below(p->r, 100));
        } else if (memory) { /* or dword [base + disp], 5 */
            part(p);
            rex(p, w, 0, 0, base);
            put(p, 0x83);
            modrm_mem(p, 1, base, disp);
            put(p, 5);
        }
    }
    part(p);
    rex(p, w, 0, 0, memory ? base : rm);
    put(p, rng_one_in(p->r, 12) ? 0xf6 : 0xf7);
    if (memory)
        modrm_mem(p, is_signed ? 7 : 6, base, disp);
    else
        modrm_reg(p, is_signed ? 7 : 6, rm);
    put(p, 0x83); /* cmp edx, 5, as a division leaves no flag defined */
    put(p, 0xfa);
    put(p, 5);
    changed(p, RAX);
    changed(p, RDX);
}

/* CPUs see that a copy overlaps by its addresses alone. */
static uint32_t string_address(struct program *p)
{
    uint32_t a = pick_address(p);

    return p->native && a >= ALIAS ? a - ALIAS : a;
}

static void a_string(struct program *p)
{
    static const uint8_t ops[] = {0xa4, 0xa5, 0xa6, 0xa7, 0xaa,
                                  0xab, 0xac, 0xad, 0xae, 0xaf};
    unsigned prefix = rng_below(p->r, 3);

    set_reg(p, RSI, string_address(p));
    set_reg(p, RDI, string_address(p));
    set_reg(p, RCX, rng_below(p->r, 40));
    if (rng_one_in(p->r, 6)) {
        part(p);
        put(p, 0xfc + rng_below(p->r, 2));
    }
    part(p);
    if (prefix)
        put(p, 0xf1 + prefix);
    rex(p, p->wide && rng_one_in(p->r, 2), 0, 0, 0);
    put(p, ops[rng_below(p->r, sizeof ops)]);
    changed(p, RSI);
    changed(p, RDI);
}

/* jcc or jmp: to be bound. */
static struct hole jump_forward(struct program *p, int cc)
{
    unsigned n;

    part(p);
    n = operand_bytes(p);
    if (cc < 0) {
        put(p, 0xe9);
    } else {
        put(p, 0x0f);
        put(p, 0x80 | (unsigned)cc);
    }
    return put_hole(p, n);
}

static void bind(struct program *p, struct hole after)
{
    fill_hole(p, after, p->n - after.at);
}

static void a_skip(struct program *p, const struct row_list *rows)
{
    struct hole from =
        jump_forward(p, rng_one_in(p->r, 8) ? -1 : (int)rng_below(p->r, 16));

    some(p, 1 + rng_below(p->r, 4), rows);
    bind(p, from);
    if (rng_one_in(p->r, 3))
        p->known &= ~0u << 16;
}

/* Back to `start` while the counter is positive. */
static void count_down(struct program *p, uint32_t counter, unsigned start)
{
    unsigned n;

    part(p);
    if (rng_one_in(p->r, 2)) {
        put(p, 0xff); /* dec: keeps CF */
        modrm_fixed(p, 1, counter);
    } else {
        put(p, 0x83);
        modrm_fixed(p, 5, counter);
        put(p, 1);
    }
    part(p);
    n = operand_bytes(p);
    put(p, 0x0f);
    put(p, 0x8f);
    put_sized(p, n, start - (p->n + n));
}

static void set_counter(struct program *p, uint32_t counter, uint32_t v)
{
    part(p);
    put(p, 0xc7);
    modrm_fixed(p, 0, counter);
    put_sized(p, p->narrow ? 2 : 4, v);
}

static void a_loop(struct program *p, const struct row_list *rows)
{
    uint32_t counter = COUNTERS + 4 * ++p->counters;
    unsigned start;

    set_counter(p, counter, 1 + rng_below(p->r, 6));
    start = p->n;
    some(p, 1 + rng_below(p->r, 4), rows);
    count_down(p, counter, start);
}

/* mov reg, imm of an address of code */
static struct hole load_address(struct program *p, unsigned reg)
{
    unsigned n;

    part(p);
    n = operand_bytes(p);
    rex(p, false, 0, 0, reg);
    put(p, 0xb8 | (reg & 7));
    changed(p, reg);
    return put_hole(p, n);
}

static void bind_address(struct program *p, struct hole after)
{
    fill_hole(p, after, code_offset(p, p->at + p->n));
}

static void a_call(struct program *p, const struct row_list *rows)
{
    struct hole address = {0}, over, from = {0};
    unsigned how = rng_below(p->r, 5), reg = free_reg(p), base, n;
    int32_t disp;

    if (!(p->known >> RSP & 1) && !rng_one_in(p->r, 10))
        set_reg(p, RSP, pick_address(p) & ~7u);
    if (how) {
        address = load_address(p, reg);
        if (rng_one_in(p->r, 60))
            p->bytes[p->n - address.n] ^= 1u << rng_below(p->r, 8);
        if (p->wide && rng_one_in(p->r, 60)) { /* btc reg, 47 to 63 */
            part(p);
            rex(p, true, 0, 0, reg);
            put(p, 0x0f);
            put(p, 0xba);
            modrm_reg(p, 7, reg);
            put(p, 47 + rng_below(p->r, 17));
        }
    }
    base = pick_pointer(p, 16);
    disp = pick_disp(p, base, 0);
    if (how == 1 || how == 2) {
        part(p);
        rex(p, p->wide, reg, 0, base);
        put(p, 0x89);
        modrm_mem(p, reg, base, disp);
    }
    part(p);
    switch (how) {
    case 0:
        n = operand_bytes(p);
        put(p, 0xe8);
        from = put_hole(p, n);
        break;
    case 1:
    case 2:
        rex(p, false, 0, 0, base);
        put(p, 0xff);
        modrm_mem(p, 2, base, disp);
        break;
    default:
        rex(p, false, 0, 0, reg);
        put(p, 0xff);
        modrm_reg(p, 2, reg);
        break;
    }
    over = jump_forward(p, -1);
    if (how)
        bind_address(p, address);
    else
        bind(p, from);
    some(p, 1 + rng_below(p->r, 3), rows);
    part(p);
    if (rng_one_in(p->r, 5)) {
        put(p, 0xc2);
        put(p, rng_below(p->r, 3) * 8);
        put(p, 0);
    } else {
        put(p, 0xc3);
    }
    bind(p, over);
    if (rng_one_in(p->r, 3))
        changed(p, RSP);
}

/*
 * To a label; in the last iteration, by the same branch, to where no code can
 * be.
 */
static void to_nowhere(struct program *p)
{
    unsigned reg = free_reg(p), other = free_reg(p);
    struct hole address = load_address(p, reg);

    part(p);
    if (rng_one_in(p->r, 3)) { /* mov other, reg */
        rex(p, true, reg, 0, other);
        put(p, 0x89);
        modrm_reg(p, reg, other);
    } else { /* xor other, other */
        rex(p, false, other, 0, other);
        put(p, 0x31);
        modrm_reg(p, other, other);
    }
    part(p); /* bts other, 47 to 52 */
    rex(p, true, 0, 0, other);
    put(p, 0x0f);
    put(p, 0xba);
    modrm_reg(p, 5, other);
    put(p, 47 + rng_below(p->r, 6));
    part(p); /* cmp dword [counter], 1 */
    put(p, 0x83);
    modrm_fixed(p, 7, COUNTERS);
    put(p, 1);
    part(p); /* cmovne other, reg */
    rex(p, true, other, 0, reg);
    put(p, 0x0f);
    put(p, 0x45);
    modrm_reg(p, other, reg);
    part(p);
    if (rng_one_in(p->r, 3)) { /* push other; ret */
        rex(p, false, 0, 0, other);
        put(p, 0x50 | (other & 7));
        put(p, 0xc3);
    } else { /* call or jmp */
        rex(p, false, 0, 0, other);
        put(p, 0xff);
        modrm_reg(p, rng_one_in(p->r, 2) ? 2 : 4, other);
    }
    bind_address(p, address);
    changed(p, other);
}

static void an_indirect_jump(struct program *p)
{
    unsigned reg = free_reg(p);
    struct hole address = load_address(p, reg);

    if (rng_one_in(p->r, 3)) {
        part(p);
        rex(p, false, 0, 0, reg);
        put(p, 0x50 | (reg & 7));
        part(p);
        put(p, 0xc3);
    } else {
        part(p);
        rex(p, false, 0, 0, reg);
        put(p, 0xff);
        modrm_reg(p, 4, reg);
    }
    while (rng_one_in(p->r, 2))
        put(p, 0x90);
    bind_address(p, address);
}

/* A store into the constant of a MOV near by, at its own or its other place. */
static void a_self_change(struct program *p)
{
    unsigned reg = free_reg(p), target = free_reg(p), at;
    unsigned n = p->narrow ? 2 : 4;
    /* On a CPU changes by another address take until it serializes. */
    bool aliased = p->mode < CASE_32_FLAT && !p->native;
    uint32_t alias = aliased && rng_one_in(p->r, 2) ? ALIAS : 0;
    bool before = rng_one_in(p->r, 2);

    if (before) {
        set_reg(p, target, 5);
        at = p->n - n;
        part(p);
        put(p, 0x90);
    } else {
        at = 0;
    }
    part(p);
    rex(p, false, reg, 0, 0);
    put(p, rng_one_in(p->r, 2) ? 0x89 : 0x01);
    modrm_fixed(p, reg, 0);
    if (before) {
        fill_hole(p, (struct hole){p->n, n},
                  data_offset(p, p->at + at + alias));
        return;
    }
    at = p->n;
    if (rng_one_in(p->r, 2)) {
        part(p);
        put(p, 0x90);
    }
    set_reg(p, target, 7);
    fill_hole(p, (struct hole){at, n},
              data_offset(p, p->at + p->n - n + alias));
}

static void a_system(struct program *p)
{
    unsigned how = rng_below(p->r, p->user ? 2 : 4);

    if (!(p->known >> RSP & 1))
        set_reg(p, RSP, pick_address(p) & ~7u);
    part(p);
    switch (how) {
    case 0: /* pushf; change; popf */
        put(p, 0x9c);
        part(p);
        if (p->narrow)
            put(p, 0x67);
        rex(p, p->wide, 0, 0, 0);
        put(p, 0x81); /* xor dword [rsp], … */
        put(p, 0x34);
        put(p, 0x24);
        put_sized(p, p->narrow ? 2 : 4,
                  ((uint32_t)rng_next(p->r) & (FLAGS_STATUS | FLAG_ID)) |
                      (rng_one_in(p->r, 8) ? FLAG_AC : 0));
        part(p);
        put(p, 0x9d);
        break;
    case 1: /* pushf; pop reg */
        put(p, 0x9c);
        a_pop(p);
        break;
    case 2: put(p, 0xfa); break; /* cli */
    default: put(p, 0xfb); break;
    }
}

static void one(struct program *p, const struct row_list *rows)
{
    unsigned deep = p->depth < 3 ? 0 : 6;

    p->budget--;
    switch (rng_below(p->r, 50) + deep) {
    case 0:
    case 1:
    case 2: a_skip(p, rows); break;
    case 3: a_loop(p, rows); break;
    case 4:
    case 5: a_call(p, rows); break;
    case 6:
        if (p->wide && rng_one_in(p->r, 8))
            to_nowhere(p);
        else
            an_indirect_jump(p);
        break;
    case 7: a_self_change(p); break;
    case 8: a_system(p); break;
    case 9:
    case 10: a_string(p); break;
    case 11:
    case 12: a_division(p); break;
    case 13:
    case 14:
    case 15: a_stack(p); break;
    case 16:
    case 17:
    case 18: a_group(p); break;
    case 19:
    case 20:
    case 21:
    case 22: a_flag_user(p); break;
    case 23:
    case 24:
    case 25:
    case 26:
    case 27:
    case 28: an_integer(p); break;
    case 29: odd_bit_string(p); break;
    case 30: odd_compare(p); break;
    case 31:
    case 32: odd_segment(p); break;
    case 33: odd_address(p); break;
    case 34: odd_remap(p); break;
    case 35: odd_iret(p); break;
    default: a_row(p, rows); break;
    }
}

static void some(struct program *p, unsigned n, const struct row_list *rows)
{
    p->depth++;
    while (n-- && !full(p))
        one(p, rows);
    p->depth--;
}

void program_make(struct program *p, struct rng *r, enum case_mode mode,
                  const struct row_list *rows, bool native)
{
    unsigned start, n;

    memset(p, 0, sizeof *p);
    p->r = r;
    p->mode = mode;
    p->wide = mode <= CASE_64_USER;
    p->narrow = mode >= CASE_16_REAL;
    p->user = mode == CASE_64_USER || mode == CASE_COMPAT_USER ||
              mode == CASE_16_VM86;
    if (mode > CASE_32_FLAT) { /* offsets of all there is have 16 bits */
        p->base = 0xe010 + 16 * rng_below(r, 0x200);
        p->code_base = 0xe010 + 16 * rng_below(r, 0x200);
        p->edge = DATA_AT + 0x1000 + rng_below(r, 0x3000);
        if (mode == CASE_32_SEGMENTS || mode == CASE_16_PROTECTED) {
            p->base -= rng_below(r, 16);
            p->code_base -= rng_below(r, 16);
        }
    }
    p->native = native && p->user;
    p->at = CODE_AT + 0x40 + rng_below(r, 0x300);
    if (rng_one_in(r, 3)) /* where it crosses into the next page */
        p->at = CODE_AT + 0x1000 - rng_below(r, 200);
    for (unsigned reg = 0; reg < (p->wide ? 16u : 8u); reg++)
        if (reg == RSP || (reg > RDX && rng_one_in(r, 3)))
            p->pointers |= 1u << reg;
    p->rough = rng_one_in(r, 4);
    n = 3 + rng_below(r, rng_one_in(r, 3) ? 58 : 14);
    p->budget = 2 * n;
    set_counter(p, COUNTERS, 8 + rng_below(r, 8));
    start = p->n;
    for (unsigned reg = 0; reg < 16; reg++)
        if (p->pointers >> reg & 1)
            set_reg(p, reg,
                    reg == RSP ? pick_address(p) & ~7u : pick_address(p));
    while (n-- && !full(p))
        one(p, rows);
    count_down(p, COUNTERS, start);
    part(p);
    if (p->user) {
        put(p, 0xcd); /* int 0x21 */
        put(p, 0x21);
    } else {
        put(p, 0xf4); /* hlt */
    }
    p->part[p->parts] = (uint16_t)p->n;
}
