/*
 * Little- and big-endian loads and stores at any alignment. Every byte that
 * comes from or goes to a guest, an image or a wire passes through these.
 */
#ifndef BASE_ENDIAN_H
#define BASE_ENDIAN_H

#include "base/compiler.h"
#include "base/libc.h"

#define BASE_ENDIAN_ACCESSORS(bits, swap_le, swap_be)                          \
    static inline uint##bits##_t load_le##bits(const void *p)                  \
    {                                                                          \
        uint##bits##_t v;                                                      \
        memcpy(&v, p, sizeof v);                                               \
        return swap_le(v);                                                     \
    }                                                                          \
    static inline void store_le##bits(void *p, uint##bits##_t v)               \
    {                                                                          \
        v = swap_le(v);                                                        \
        memcpy(p, &v, sizeof v);                                               \
    }                                                                          \
    static inline uint##bits##_t load_be##bits(const void *p)                  \
    {                                                                          \
        uint##bits##_t v;                                                      \
        memcpy(&v, p, sizeof v);                                               \
        return swap_be(v);                                                     \
    }                                                                          \
    static inline void store_be##bits(void *p, uint##bits##_t v)               \
    {                                                                          \
        v = swap_be(v);                                                        \
        memcpy(p, &v, sizeof v);                                               \
    }

#define BASE_KEEP(v) (v)
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
BASE_ENDIAN_ACCESSORS(16, BASE_KEEP, __builtin_bswap16)
BASE_ENDIAN_ACCESSORS(32, BASE_KEEP, __builtin_bswap32)
BASE_ENDIAN_ACCESSORS(64, BASE_KEEP, __builtin_bswap64)
#else
BASE_ENDIAN_ACCESSORS(16, __builtin_bswap16, BASE_KEEP)
BASE_ENDIAN_ACCESSORS(32, __builtin_bswap32, BASE_KEEP)
BASE_ENDIAN_ACCESSORS(64, __builtin_bswap64, BASE_KEEP)
#endif
#undef BASE_KEEP
#undef BASE_ENDIAN_ACCESSORS

/* n is 1, 2, 4 or 8. */
static inline uint64_t load_le(const void *p, unsigned n)
{
    switch (n) {
    case 1: return *(const uint8_t *)p;
    case 2: return load_le16(p);
    case 4: return load_le32(p);
    default: return load_le64(p);
    }
}

static inline void store_le(void *p, uint64_t v, unsigned n)
{
    switch (n) {
    case 1: *(uint8_t *)p = (uint8_t)v; break;
    case 2: store_le16(p, (uint16_t)v); break;
    case 4: store_le32(p, (uint32_t)v); break;
    default: store_le64(p, v); break;
    }
}

#endif
