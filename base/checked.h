/* Arithmetic on sizes and addresses from outside: false on overflow. */
#ifndef BASE_CHECKED_H
#define BASE_CHECKED_H

#include "base/compiler.h"

static inline bool add_ok(uint64_t a, uint64_t b, uint64_t *sum)
{
    return !__builtin_add_overflow(a, b, sum);
}

static inline bool mul_ok(uint64_t a, uint64_t b, uint64_t *product)
{
    return !__builtin_mul_overflow(a, b, product);
}

/* Does [off, off + n) lie inside [0, size)? An empty range does up to size. */
static inline bool range_ok(uint64_t off, uint64_t n, uint64_t size)
{
    return n <= size && off <= size - n;
}

#endif
