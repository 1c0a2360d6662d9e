/* memcpy() of blocks of many sizes. */
#include <string.h>

#include "work.h"

int main(void)
{
    static uint8_t a[1 << 20], b[1 << 20];
    uint32_t s = 17;
    uint64_t sum = 0;

    for (size_t n = 0; n < sizeof a; n++)
        a[n] = (uint8_t)rnd(&s);
    for (int n = 0; n < 1500000; n++) {
        size_t len = rnd(&s) & ((2u << (n % 13)) - 1), at = s >> 13;

        memcpy(b + at, a + (at ^ 4096), len);
        sum += b[at];
    }
    for (int n = 0; n < 1200; n++)
        memcpy(n & 1 ? a : b, n & 1 ? b : a, sizeof a - (size_t)n);
    for (size_t n = 0; n < sizeof b; n++)
        sum = sum * 31 + b[n];
    return result(sum);
}
