/*
 * reads FILE N: N reads of 4 KB, one at a time, at places that look random and
 * are the same every time, past the page cache.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { BLOCK = 4096 };

static uint64_t next(uint64_t x)
{
    x ^= x << 13;
    x ^= x >> 7;
    return x ^ x << 17;
}

int main(int argc, char **argv)
{
    int fd = argc == 3 ? open(argv[1], O_RDONLY | O_DIRECT) : -1;
    off_t blocks = fd < 0 ? 0 : lseek(fd, 0, SEEK_END) / BLOCK;
    uint64_t x = 0x1234567;
    void *buffer;

    if (blocks <= 0 || posix_memalign(&buffer, BLOCK, BLOCK)) {
        fputs("reads FILE N\n", stderr);
        return 1;
    }
    for (long n = atol(argv[2]); n > 0; n--) {
        x = next(x);
        if (pread(fd, buffer, BLOCK, (off_t)(x % (uint64_t)blocks) * BLOCK) !=
            BLOCK) {
            perror(argv[1]);
            return 1;
        }
    }
    return 0;
}
