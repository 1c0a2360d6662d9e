/* SHA-256 (FIPS 180-4) in plain C: shifts, adds, many live values. The
 * constants are computed: fractional parts of roots of primes. */
#include "work.h"

static uint32_t k[64], h[8];

static uint32_t ror(uint32_t x, int n)
{
    return x >> n | x << (32 - n);
}

/* floor(2^32 * frac(root of p)) by bisection over integers. */
static uint32_t root(uint64_t p, int power)
{
    uint64_t lo = 0, hi = (uint64_t)32 << 32;

    while (hi - lo > 1) {
        uint64_t mid = lo + (hi - lo) / 2;
        __uint128_t v = (__uint128_t)mid * mid;

        if (power == 3)
            v = (v >> 32) * mid;
        if ((v >> 64) >= p)
            hi = mid;
        else
            lo = mid;
    }
    return (uint32_t)lo;
}

static void constants(void)
{
    int n = 0;

    for (uint64_t p = 2; n < 64; p++) {
        uint64_t d = 2;

        while (d * d <= p && p % d)
            d++;
        if (d * d <= p)
            continue;
        if (n < 8)
            h[n] = root(p, 2);
        k[n++] = root(p, 3);
    }
}

static void block(const uint8_t *p)
{
    uint32_t w[64], s[8];

    for (int n = 0; n < 16; n++)
        w[n] = (uint32_t)p[4 * n] << 24 | (uint32_t)p[4 * n + 1] << 16 |
               (uint32_t)p[4 * n + 2] << 8 | p[4 * n + 3];
    for (int n = 16; n < 64; n++)
        w[n] = w[n - 16] + w[n - 7] +
               (ror(w[n - 15], 7) ^ ror(w[n - 15], 18) ^ w[n - 15] >> 3) +
               (ror(w[n - 2], 17) ^ ror(w[n - 2], 19) ^ w[n - 2] >> 10);
    for (int n = 0; n < 8; n++)
        s[n] = h[n];
    for (int n = 0; n < 64; n++) {
        uint32_t t1 = s[7] + (ror(s[4], 6) ^ ror(s[4], 11) ^ ror(s[4], 25)) +
                      ((s[4] & s[5]) ^ (~s[4] & s[6])) + k[n] + w[n];
        uint32_t t2 = (ror(s[0], 2) ^ ror(s[0], 13) ^ ror(s[0], 22)) +
                      ((s[0] & s[1]) ^ (s[0] & s[2]) ^ (s[1] & s[2]));

        for (int i = 7; i > 0; i--)
            s[i] = s[i - 1];
        s[4] += t1;
        s[0] = t1 + t2;
    }
    for (int n = 0; n < 8; n++)
        h[n] += s[n];
}

int main(void)
{
    static uint8_t data[1 << 16];
    uint32_t s = 5;

    constants();
    for (size_t n = 0; n < sizeof data; n++)
        data[n] = (uint8_t)rnd(&s);
    for (int round = 0; round < 250; round++)
        for (size_t n = 0; n < sizeof data; n += 64)
            block(data + n);
    return result((uint64_t)h[0] << 32 | h[7]);
}
