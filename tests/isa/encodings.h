/*
 * Random encodings for the decoder's and the CPU's tests: pure noise, and
 * rows of the opcode table with everything else about them at random.
 */
#ifndef TESTS_ISA_ENCODINGS_H
#define TESTS_ISA_ENCODINGS_H

#include "x86/opcode.h"

enum { ENCODING_BYTES = 24 };

struct rng {
    uint64_t s;
};

/* splitmix64 */
static inline uint64_t rng_next(struct rng *r)
{
    uint64_t z = (r->s += 0x9e3779b97f4a7c15ull);

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ z >> 27) * 0x94d049bb133111ebull;
    return z ^ z >> 31;
}

/* 0 to n - 1 */
static inline unsigned rng_below(struct rng *r, unsigned n)
{
    return (unsigned)((rng_next(r) >> 32) * n >> 32);
}

static inline bool rng_one_in(struct rng *r, unsigned n)
{
    return rng_below(r, n) == 0;
}

/* A number at the edge of what some size of operand holds. */
uint64_t rng_corner(struct rng *r);
/* A corner, noise, or noise with few bits. */
uint64_t rng_value(struct rng *r);

/* Noise, shaped noise or mutated rows: for the decoder. */
void encoding_any(struct rng *r, enum decode_mode mode, uint8_t *to);
/* An encoding of that row, usually valid. Bytes after it are noise. */
void encoding_of_row(struct rng *r, enum decode_mode mode,
                     const struct opcode *row, uint8_t *to);

#endif
