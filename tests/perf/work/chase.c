/* Follows a random cycle of pointers: chase BYTES STEPS. 16 KB stay in the
 * first cache, 8 MB reach far beyond what a TLB covers with 4 KB pages. */
#include "work.h"

int main(int argc, char **argv)
{
    if (argc < 3)
        return 2;

    size_t n = strtoul(argv[1], 0, 0) / sizeof(void *);
    long steps = strtol(argv[2], 0, 0);
    uint32_t s = 7;
    void **at = malloc(n * sizeof *at);

    if (!at || !n)
        return 1;
    for (size_t i = 0; i < n; i++)
        at[i] = &at[i];
    for (size_t i = n - 1; i > 0; i--) { /* Sattolo: one single cycle */
        size_t j = rnd(&s) % i;
        void *t = at[i];

        at[i] = at[j];
        at[j] = t;
    }

    void **p = at;

    for (long i = 0; i < steps; i++)
        p = *p;
    return result((uint64_t)(p - at));
}
