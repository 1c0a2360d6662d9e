/* long double is x87: a logistic map and a series. */
#include "work.h"

int main(void)
{
    long double x = 0.3L, sum = 0;

    for (long n = 1; n < 24000000; n++) {
        x = 3.7L * x * (1 - x);
        sum += x / (long double)n;
    }
    return result((uint64_t)(int64_t)(sum * 1e12L));
}
