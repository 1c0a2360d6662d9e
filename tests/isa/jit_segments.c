/*
 * Pieces of random programs for code with segments: loads of segment
 * registers, their selectors on the stack, far calls.
 */
#include "jit_write.h"

#include "base/bits.h"

static bool is_real(const struct program *p)
{
    return p->mode == CASE_16_REAL || p->mode == CASE_16_VM86;
}

/* mov seg, reg: in protected mode of flat data, or nothing. */
static void load_segment(struct program *p)
{
    unsigned reg = free_reg(p), seg = rng_below(p->r, 6);
    uint32_t sel = (p->base >> 4) + rng_below(p->r, 8);

    if (seg == CS)
        seg = ES;
    if (!is_real(p)) {
        seg = rng_one_in(p->r, 3) ? ES : FS + rng_below(p->r, 2);
        sel = rng_one_in(p->r, 3) ? 0 : KERNEL_SS;
    }
    if (seg == DS) /* where the counters are */
        sel = p->base >> 4;
    set_reg(p, reg, sel);
    part(p);
    put(p, 0x8e);
    modrm_reg(p, seg, reg);
}

static void use_segment(struct program *p)
{
    static const uint8_t push[] = {0x06, 0x0e, 0x16, 0x1e};
    unsigned reg = free_reg(p);

    switch (rng_below(p->r, 5)) {
    case 0:
        part(p);
        put(p, push[rng_below(p->r, 4)]);
        break;
    case 1: /* push ds; pop ds */
        part(p);
        if (is_real(p)) {
            put(p, 0x1e);
            put(p, 0x1f);
        }
        break;
    case 2: /* les reg, [data]; in protected mode it may well fault */
        if (!is_real(p) && !rng_one_in(p->r, 20))
            break;
        part(p);
        put(p, 0xc4);
        modrm_fixed(p, reg, DATA_AT + rng_below(p->r, 0x1000));
        changed(p, reg);
        break;
    case 3: /* pusha, popa */
        part(p);
        operand_bytes(p);
        put(p, 0x60 + rng_below(p->r, 2));
        p->known = 0;
        break;
    default: /* mov reg, seg */
        part(p);
        put(p, 0x8c);
        modrm_reg(p, rng_below(p->r, 6), reg);
        break;
    }
}

/* A call whose end has another value in CS for the same code. */
static void call_far(struct program *p)
{
    uint32_t apart = rng_below(p->r, 4);
    struct hole to, over;

    part(p);
    put(p, 0x9a);
    to = put_hole(p, 2);
    put_sized(p, 2, (p->code_base >> 4) - apart);
    part(p);
    put(p, 0xe9);
    over = put_hole(p, 2);
    fill_hole(p, (struct hole){to.at, 2},
              code_offset(p, p->at + p->n) + 16 * apart);
    part(p);
    put(p, 0x40 | free_reg(p));
    part(p);
    put(p, 0xcb);
    fill_hole(p, over, p->n - over.at);
}

/* loop, jecxz or the like, forward */
static void by_counter(struct program *p)
{
    unsigned at;

    part(p);
    if (rng_one_in(p->r, 3))
        put(p, 0x67);
    put(p, 0xe0 + rng_below(p->r, 4));
    put(p, 0);
    at = p->n;
    part(p);
    put(p, 0x40 | free_reg(p));
    p->bytes[at - 1] = (uint8_t)(p->n - at);
}

/* mov ecx, n; start: inc edx; lodsb; loop start */
static void loop_back(struct program *p)
{
    unsigned start;

    set_reg(p, RCX, 1 + rng_below(p->r, 60));
    if (!(p->known >> RSI & 1))
        set_reg(p, RSI, pick_address(p));
    start = p->n;
    part(p);
    put(p, 0x40 | RDX);
    part(p);
    if (rng_one_in(p->r, 2))
        put(p, 0xac + rng_below(p->r, 2));
    part(p);
    put(p, 0xe2);
    put(p, 0);
    p->bytes[p->n - 1] = (uint8_t)(start - p->n);
    changed(p, RSI);
}

void odd_load(struct program *p)
{
    if (!(p->known >> RSP & 1))
        set_reg(p, RSP, pick_address(p) & ~1u);
    switch (rng_below(p->r, 5)) {
    case 0: load_segment(p); break;
    case 1: use_segment(p); break;
    case 2: by_counter(p); break;
    case 3: loop_back(p); break;
    default:
        if (is_real(p))
            call_far(p);
        else
            use_segment(p);
        break;
    }
}
