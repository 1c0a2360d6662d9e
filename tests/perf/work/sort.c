/* qsort() of numbers: indirect calls and unpredictable branches. */
#include "work.h"

#define N 400000

static int compare(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return (x > y) - (x < y);
}

int main(void)
{
    static uint32_t v[N];
    uint32_t s = 1;
    uint64_t sum = 0;

    for (int round = 0; round < 3; round++) {
        for (int n = 0; n < N; n++)
            v[n] = rnd(&s);
        qsort(v, N, sizeof v[0], compare);
        for (int n = 0; n < N; n++)
            sum = sum * 31 + v[n];
    }
    return result(sum);
}
