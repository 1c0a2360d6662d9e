/* Bit fields, masks and alignment. Pure functions; no allocation, no OS. */
#ifndef BASE_BITS_H
#define BASE_BITS_H

#include "base/compiler.h"

#define BIT(n)   (1u << (n))
#define BIT64(n) (1ull << (n))

/* The low n bits set; n from 0 to 64. */
static inline uint64_t mask_low(unsigned n)
{
    return n >= 64 ? ~0ull : (1ull << n) - 1;
}

/* Bits hi..lo of v, shifted down. */
static inline uint64_t bits(uint64_t v, unsigned hi, unsigned lo)
{
    return (v >> lo) & mask_low(hi - lo + 1);
}

/* The low n bits of v as a two's complement number; n from 1 to 64. */
static inline int64_t sign_extend(uint64_t v, unsigned n)
{
    return (int64_t)(v << (64 - n)) >> (64 - n);
}

static inline uint64_t align_down(uint64_t v, uint64_t power_of_two)
{
    return v & ~(power_of_two - 1);
}

static inline uint64_t align_up(uint64_t v, uint64_t power_of_two)
{
    return (v + power_of_two - 1) & ~(power_of_two - 1);
}

static inline bool is_power_of_two(uint64_t v)
{
    return v && !(v & (v - 1));
}

#endif
