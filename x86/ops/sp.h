/*
 * The current stack, for near pushes and pops: SS:rSP, as wide as SS.B says
 * (64 bits in 64-bit code).
 */
#ifndef X86_OPS_SP_H
#define X86_OPS_SP_H

#include "x86/operand.h"

/* The bits of rSP that count. */
static ALWAYS_INLINE uint64_t sp_mask(const struct cpu *c)
{
    if (likely(in_code64(c)))
        return ~0ull;
    return c->mode_key & MODE_SS32 ? 0xffffffff : 0xffff;
}

/* Replaces the bits of rSP that count; a 16-bit stack keeps the others. */
static ALWAYS_INLINE void sp_set(struct cpu *c, uint64_t sp)
{
    uint64_t mask = sp_mask(c);

    c->s.gpr[RSP] = (mask == 0xffff ? c->s.gpr[RSP] & ~mask : 0) | (sp & mask);
}

/* The linear address of n bytes at rSP + up. */
static ALWAYS_INLINE gva_t sp_address(struct cpu *c, uint64_t up, unsigned n,
                                      bool write)
{
    return x86_linear(c, SS, (c->s.gpr[RSP] + up) & sp_mask(c), n, write);
}

/* What is at rSP + up, without popping it. */
static ALWAYS_INLINE uint64_t sp_read(struct cpu *c, uint64_t up, unsigned n)
{
    return mem_read(c, sp_address(c, up, n, false), n);
}

static ALWAYS_INLINE void sp_push(struct cpu *c, uint64_t v, unsigned n)
{
    uint64_t down = 0 - (uint64_t)n;

    mem_write(c, sp_address(c, down, n, true), v, n);
    sp_set(c, c->s.gpr[RSP] + down);
}

static ALWAYS_INLINE void sp_drop(struct cpu *c, uint64_t n)
{
    sp_set(c, c->s.gpr[RSP] + n);
}

#endif
