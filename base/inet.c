#include "base/inet.h"

#include "base/endian.h"

static uint64_t load_native(const uint8_t *p, unsigned n)
{
    uint32_t v = 0;

    memcpy(&v, p, n);
    return v;
}

static uint16_t fold(uint64_t v)
{
    while (v >> 16)
        v = (v & 0xffff) + (v >> 16);
    return (uint16_t)v;
}

void inet_add(struct inet_sum *s, const void *data, size_t n)
{
    const uint8_t *p = data;
    uint64_t sum = 0;
    size_t i = 0;

    for (; i + 4 <= n; i += 4) {
        uint32_t v;
        memcpy(&v, p + i, 4);
        sum += v;
    }
    for (; i < n; i += 2) /* a last byte is followed by zero */
        sum += load_native(p + i, n - i > 1 ? 2 : 1);
    uint16_t v = fold(sum);
    s->sum += s->odd ? __builtin_bswap16(v) : v;
    s->odd ^= n & 1;
}

void inet_add16(struct inet_sum *s, uint16_t v)
{
    uint8_t be[2];

    store_be16(be, v);
    s->sum += load_native(be, 2);
}

uint16_t inet_fold(const struct inet_sum *s)
{
    uint16_t v = fold(s->sum);

    return load_be16(&v);
}

uint16_t inet_checksum(const void *p, size_t n)
{
    struct inet_sum s = {0};

    inet_add(&s, p, n);
    return (uint16_t)~inet_fold(&s);
}

void inet_complete(uint8_t *p, size_t n, size_t start, size_t field)
{
    uint16_t sum = inet_checksum(p + start, n - start);

    store_be16(p + start + field, sum ? sum : 0xffff);
}
