/*
 * The decoder against Zydis: the same validity, length, mnemonic, operands
 * and sizes for random and mutated encodings in each mode. What differs on
 * purpose is in the tables of zydis_exceptions.c, nowhere else.
 *
 *   fuzz_decode [--count N] [--seed S] [--mode 16|32|64] [--bytes HEX]
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <Zydis/Zydis.h>

#include "encodings.h"
#include "zydis_compare.h"

enum { REPORTS_MAX = 60 };

static void print_bytes(const uint8_t *b, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        printf("%02x", b[i]);
}

static bool check(struct zydis *z, const uint8_t *bytes)
{
    char why[256];

    if (zydis_same(z, bytes, why, sizeof why))
        return true;
    printf("%s: ", z->mode == DECODE_64 ? "64" : z->mode ? "32" : "16");
    print_bytes(bytes, 15);
    printf("\n    %s\n", why);
    return false;
}

static unsigned fuzz(enum decode_mode mode, uint64_t seed, uint64_t count)
{
    struct rng r = {seed + mode};
    struct zydis z;
    unsigned bad = 0;

    zydis_open(&z, mode);
    for (uint64_t i = 0; i < count && bad < REPORTS_MAX; i++) {
        uint8_t bytes[ENCODING_BYTES];

        encoding_any(&r, mode, bytes);
        bad += !check(&z, bytes);
    }
    printf("mode %d: %llu compared, %llu valid, %llu skipped, %u differ\n",
           16 << mode, (unsigned long long)z.compared,
           (unsigned long long)z.valid, (unsigned long long)z.skipped, bad);
    return bad;
}

static unsigned one(enum decode_mode mode, const char *hex)
{
    uint8_t bytes[ENCODING_BYTES] = {0};
    struct zydis z;

    for (unsigned n = 0; n < 15 && hex[0] && hex[1]; n++, hex += 2) {
        unsigned v = 0;

        sscanf(hex, "%2x", &v);
        bytes[n] = (uint8_t)v;
    }
    zydis_open(&z, mode);
    return !check(&z, bytes);
}

int main(int argc, char **argv)
{
    uint64_t count = 100000, seed = 1;
    unsigned bad = 0;
    const char *hex = NULL;
    int only = -1;

    for (int i = 1; i + 1 < argc; i += 2) {
        if (!strcmp(argv[i], "--count"))
            count = strtoull(argv[i + 1], NULL, 0);
        else if (!strcmp(argv[i], "--seed"))
            seed = strtoull(argv[i + 1], NULL, 0);
        else if (!strcmp(argv[i], "--bytes"))
            hex = argv[i + 1];
        else if (!strcmp(argv[i], "--mode"))
            only = atoi(argv[i + 1]);
    }
    for (enum decode_mode m = DECODE_16; m <= DECODE_64; m++) {
        if (only >= 0 && only != 16 << m)
            continue;
        bad += hex ? one(m, hex) : fuzz(m, seed, count);
    }
    return bad != 0;
}
