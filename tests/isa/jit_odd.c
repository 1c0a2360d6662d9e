/*
 * Pieces of random programs that random rows seldom make well: bit strings,
 * compare and exchange, segment overrides, 32-bit addresses, changes of the
 * page tables, IRET.
 */
#include "jit_write.h"

#include "base/bits.h"
#include "base/endian.h"

/* [base + disp] as base_of()'s value has it, changed() for what is written. */
struct where {
    unsigned base;
    int32_t disp;
};

static struct where pick_where(struct program *p, unsigned align)
{
    struct where w;

    w.base = pick_pointer(p, 16);
    w.disp = pick_disp(p, w.base, align);
    return w;
}

/* op reg, [where] */
static void put_op(struct program *p, bool wide, unsigned op, unsigned reg,
                   const struct where *w)
{
    rex(p, wide, reg, 0, w->base);
    if (op >> 8)
        put(p, op >> 8);
    put(p, op & 0xff);
    modrm_mem(p, reg, w->base, w->disp);
}

/* Most flags are undefined then; sbb edx, edx sets them by CF. */
static void only_carry(struct program *p)
{
    put(p, 0x19);
    put(p, 0xd2);
    changed(p, RDX);
}

/* bt, bts, btr, btc [where], reg: the register reaches far. */
void odd_bit_string(struct program *p)
{
    static const uint8_t ops[] = {0xa3, 0xab, 0xb3, 0xbb};
    unsigned op = ops[rng_below(p->r, sizeof ops)], reg = free_reg(p);
    struct where w = pick_where(p, 3);

    set_reg(p, reg, rng_below(p->r, 8192) - 4096);
    part(p);
    if (op != 0xa3 && rng_one_in(p->r, 3))
        put(p, 0xf0);
    if (rng_one_in(p->r, 6))
        put(p, 0x66);
    put_op(p, p->wide && rng_one_in(p->r, 4), 0x0f00 | op, reg, &w);
    only_carry(p);
}

/* rAX and rDX from memory, CMPXCHG8B or 16B there: it succeeds. */
void odd_compare(struct program *p)
{
    bool wide = p->wide && rng_one_in(p->r, 2);
    struct where w = pick_where(p, wide ? 15 : 7), high = w;

    high.disp += wide ? 8 : 4;
    part(p);
    put_op(p, wide, 0x8b, RAX, &w);
    changed(p, RAX);
    if (!rng_one_in(p->r, 6)) {
        part(p);
        put_op(p, wide, 0x8b, RDX, &high);
    }
    changed(p, RDX);
    part(p);
    if (rng_one_in(p->r, 2))
        put(p, 0xf0);
    put_op(p, wide, 0x0fc7, 1, &w);
}

/* An operation through FS or GS, whose bases program_state() gives. */
void odd_segment(struct program *p)
{
    static const uint8_t ops[] = {0x8b, 0x89, 0x03, 0x01, 0x33,
                                  0x39, 0x8a, 0x88, 0x87, 0x11};
    bool gs = rng_one_in(p->r, 2);
    unsigned reg = free_reg(p);
    struct where w = pick_where(p, 0);

    if (p->native && !p->wide)
        return;
    w.disp -= gs ? 0x1000 : 0x48;
    part(p);
    put(p, gs ? 0x65 : 0x64);
    if (rng_one_in(p->r, 8))
        put(p, 0x66);
    put_op(p, p->wide && rng_one_in(p->r, 2), ops[rng_below(p->r, sizeof ops)],
           reg, &w);
}

/* With a 32-bit address in 64-bit code: pointers are low. */
void odd_address(struct program *p)
{
    static const uint8_t ops[] = {0x8b, 0x89, 0x03, 0x29, 0x8d, 0x13};
    unsigned reg = free_reg(p);
    struct where w = pick_where(p, 0);

    part(p);
    if (p->wide)
        put(p, 0x67);
    put_op(p, p->wide && rng_one_in(p->r, 2), ops[rng_below(p->r, sizeof ops)],
           reg, &w);
}

/* Another data page behind an alias, for code that may. */
void odd_remap(struct program *p)
{
    uint32_t page = rng_below(p->r, 4) * 0x1000;
    uint32_t alias = ALIAS + DATA_AT + page;
    uint32_t to = DATA_AT + rng_below(p->r, 4) * 0x1000;

    if (p->mode > CASE_32_FLAT)
        odd_load(p);
    if (p->user || p->mode >= CASE_32_FLAT)
        return;
    part(p); /* mov dword [entry], to */
    put(p, 0xc7);
    modrm_fixed(p, 0, TABLES + 0x3000 + (alias >> 12) * 8);
    put32(p, to | (rng_one_in(p->r, 8) ? 5 : 7));
    part(p); /* invlpg [alias] */
    put(p, 0x0f);
    put(p, 0x01);
    modrm_fixed(p, 7, alias);
}

/* push imm32 */
static unsigned push_imm(struct program *p, uint32_t v)
{
    part(p);
    put(p, 0x68);
    put32(p, v);
    return p->n;
}

/* IRET to the next instruction, at the same privilege. */
void odd_iret(struct program *p)
{
    unsigned reg = free_reg(p), cs, target;

    if (p->mode > CASE_32_FLAT) {
        odd_load(p);
        return;
    }
    if (!(p->known >> RSP & 1))
        set_reg(p, RSP, pick_address(p) & ~15u);
    if (p->wide) {
        part(p); /* mov reg, rsp */
        rex(p, true, RSP, 0, reg);
        put(p, 0x89);
        modrm_reg(p, RSP, reg);
        push_imm(p, p->user ? USER_SS : KERNEL_SS);
        part(p);
        rex(p, false, 0, 0, reg);
        put(p, 0x50 | (reg & 7));
        cs = p->user ? USER_CS : KERNEL_CS;
    } else {
        cs = p->user ? USER_CS32 : KERNEL_CS32;
    }
    part(p);
    put(p, 0x9c); /* pushf */
    push_imm(p, cs);
    target = push_imm(p, 0);
    part(p);
    rex(p, p->wide, 0, 0, 0);
    put(p, 0xcf);
    while (rng_one_in(p->r, 2))
        put(p, 0x90);
    store_le32(p->bytes + target - 4, p->at + p->n);
    changed(p, reg);
}
