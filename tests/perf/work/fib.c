/* Recursive calls and nothing else. */
#include "work.h"

__attribute__((noinline, noclone, optimize("no-optimize-sibling-calls"))) //
static uint32_t
fib(uint32_t n)
{
    return n < 2 ? n : fib(n - 1) + fib(n - 2);
}

int main(void)
{
    uint64_t sum = 0;

    for (uint32_t n = 20; n < 37; n++)
        sum = sum * 3 + fib(n);
    return result(sum);
}
