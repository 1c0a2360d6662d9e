/*
 * The Internet checksum (RFC 1071), over data in pieces of any length. Pure
 * functions.
 */
#ifndef BASE_INET_H
#define BASE_INET_H

#include "base/compiler.h"

struct inet_sum {
    uint64_t sum; /* of 16-bit words in the host's byte order */
    bool odd;     /* an odd number of bytes so far */
};

void inet_add(struct inet_sum *s, const void *p, size_t n);
/* Adds a number of 16 bits, at an even place. */
void inet_add16(struct inet_sum *s, uint16_t v);
/* The sum, not complemented, as a number to be stored big-endian. */
uint16_t inet_fold(const struct inet_sum *s);
/* The checksum of one piece, to be stored big-endian. */
uint16_t inet_checksum(const void *p, size_t n);
/*
 * Stores the checksum of p[start..n) at p[start + field], which holds the sum
 * of a pseudo header so far. Zero becomes all ones, as UDP wants it.
 */
void inet_complete(uint8_t *p, size_t n, size_t start, size_t field);

#endif
