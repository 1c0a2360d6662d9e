/*
 * Runs a fuzz target without libFuzzer: every file of the folders given, as it
 * is and in some hundred mutations that are the same each time.
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MUTATIONS = 400, FILE_MAX = 1 << 20 };

static uint64_t seed;

static uint32_t next(uint32_t below)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(seed >> 33) % below;
}

/* A few places changed: a bit, a byte, or a number that is often special. */
static size_t mutate(const uint8_t *from, size_t n, uint8_t *to)
{
    static const uint32_t special[] = {
        0, 1, 0x7fffffff, 0x80000000, 0xffffffff, 0xfffff000, 0x10000, 0x7fff};
    unsigned places = 1 + next(4);

    memcpy(to, from, n);
    while (places--) {
        /* Headers are at the start. */
        size_t at = next(next(2) ? (uint32_t)n : (uint32_t)(n < 768 ? n : 768));
        size_t width = (size_t)1 << next(3);

        switch (next(3)) {
        case 0: to[at] ^= (uint8_t)(1u << next(8)); break;
        case 1: to[at] = (uint8_t)next(256); break;
        default:
            if (at + width <= n)
                memcpy(to + at, &special[next(8)], width);
        }
    }
    return next(8) ? n : next((uint32_t)n) + 1;
}

static unsigned replay(const char *path)
{
    uint8_t *data = malloc(FILE_MAX), *changed = malloc(FILE_MAX);
    FILE *f = fopen(path, "rb");
    size_t n = f && data && changed ? fread(data, 1, FILE_MAX, f) : 0;

    if (f)
        fclose(f);
    if (!n) {
        fprintf(stderr, "%s: nothing to read\n", path);
        exit(1);
    }
    seed = n;
    LLVMFuzzerTestOneInput(data, n);
    for (unsigned i = 0; i < MUTATIONS; i++) {
        size_t k = mutate(data, n, changed);
        uint8_t *exact = malloc(k); /* for the address sanitizer */

        memcpy(exact, changed, k);
        LLVMFuzzerTestOneInput(exact, k);
        free(exact);
    }
    free(data);
    free(changed);
    return 1;
}

int main(int argc, char **argv)
{
    unsigned files = 0;

    for (int i = 1; i < argc; i++) {
        DIR *d = opendir(argv[i]);
        struct dirent *e;

        while (d && (e = readdir(d))) {
            char path[4096];

            if (e->d_name[0] == '.')
                continue;
            snprintf(path, sizeof path, "%s/%s", argv[i], e->d_name);
            files += replay(path);
        }
        if (d)
            closedir(d);
    }
    printf("%u files, %u runs\n", files, files * (MUTATIONS + 1));
    return files ? 0 : 1;
}
