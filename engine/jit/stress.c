/* What is done at random in tests, so that it is not rare. */
#include "engine/jit/jit.h"

/* One in n, by xorshift64* (Marsaglia 2003, Vigna 2016). */
static bool one_in(struct jit_cpu *j, unsigned n)
{
    uint64_t x = j->chance ? j->chance : 1;

    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    j->chance = x;
    return (x * 0x2545f4914f6cdd1dull >> 32) % n == 0;
}

void jit_stress(struct jit_cpu *j, gpa_t a)
{
    uint32_t what = j->jit->tuning->stress;

    if ((what & STRESS_FLUSH) && one_in(j, 4096))
        jit_flush_world(j);
    if ((what & STRESS_SMC) && one_in(j, 64))
        jit_forget_range(j->jit, a & PAGE_MASK, PAGE_SIZE);
}
