/* Page faults: map, touch, unmap. */
#define _GNU_SOURCE
#include <sys/mman.h>

#include "work.h"

#define PAGES 512

int main(void)
{
    uint64_t sum = 0;

    for (int round = 0; round < 150; round++) {
        uint8_t *p = mmap(0, PAGES * 4096, PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

        if (p == MAP_FAILED)
            die("mmap");
        madvise(p, PAGES * 4096, MADV_NOHUGEPAGE);
        for (int n = 0; n < PAGES; n++) {
            p[n * 4096] = (uint8_t)n;
            sum += p[n * 4096 + 1] + p[n * 4096];
        }
        munmap(p, PAGES * 4096);
    }
    return result(sum);
}
