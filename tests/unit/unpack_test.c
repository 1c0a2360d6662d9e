/* Decompression: host/posix/unpack.c. */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <setjmp.h>

#include <cmocka.h>

#include "base/endian.h"
#include "lodge/host.h"
#include "unpack_data.h"

enum { PLAIN_MAX = 1000 };

static uint8_t plain[PLAIN_MAX];
static size_t plain_len;

/* Words in an order from a small generator; zeros as in a kernel. */
static int make_plain(void **state)
{
    static const struct {
        const char *text;
        size_t n;
    } words[] = {{"lodge ", 6},
                 {"guest ", 6},
                 {"kernel ", 7},
                 {"page ", 5},
                 {"\0\0\0\0", 4}};
    uint32_t x = 1;

    (void)state;
    for (unsigned i = 0; i < 120; i++) {
        x = (x * 1103515245 + 12345) & 0x7fffffff;
        memcpy(plain + plain_len, words[(x >> 16) % 5].text,
               words[(x >> 16) % 5].n);
        plain_len += words[(x >> 16) % 5].n;
    }
    return 0;
}

static const struct sample {
    const char *name;
    enum host_pack format;
    const uint8_t *bytes;
    size_t n;
} samples[] = {
    {"gzip", PACK_GZIP, packed_gzip, sizeof packed_gzip},
    {"xz", PACK_XZ, packed_xz, sizeof packed_xz},
    {"lzma", PACK_LZMA, packed_lzma, sizeof packed_lzma},
    {"bzip2", PACK_BZIP2, packed_bzip2, sizeof packed_bzip2},
    {"lz4", PACK_LZ4, packed_lz4, sizeof packed_lz4},
    {"lz4", PACK_LZ4, packed_lz4_legacy, sizeof packed_lz4_legacy},
    {"zstd", PACK_ZSTD, packed_zstd, sizeof packed_zstd},
};

/*
 * What a build without the library says: then there is no more to test. The
 * build that `make test` makes has them all.
 */
static bool lacking(const struct sample *s)
{
    uint8_t out[16];
    size_t len;
    struct err e;

    if (host_unpack(s->format, s->bytes, s->n, out, sizeof out, &len, &e) !=
        -LE_UNSUPPORTED)
        return false;
    assert_non_null(strstr(e.text, "install lib"));
    print_message("%s: not in this build\n", s->name);
    return true;
}

static void whole(void **state)
{
    uint8_t in[PLAIN_MAX + 8], out[PLAIN_MAX];
    struct err e = {0};
    size_t len;

    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(samples); i++) {
        const struct sample *s = &samples[i];

        assert_int_equal(host_pack_probe(s->bytes, s->n), s->format);
        if (lacking(s))
            continue;
        assert_int_equal(
            host_unpack(s->format, s->bytes, s->n, out, sizeof out, &len, &e),
            0);
        assert_int_equal(len, plain_len);
        assert_memory_equal(out, plain, plain_len);
        /* Room for not one byte more; and a kernel's size after the end. */
        memcpy(in, s->bytes, s->n);
        store_le32(in + s->n, (uint32_t)plain_len);
        memset(out, 0, sizeof out);
        assert_int_equal(
            host_unpack(s->format, in, s->n + 4, out, plain_len, &len, &e), 0);
        assert_int_equal(len, plain_len);
        assert_memory_equal(out, plain, plain_len);
    }
    assert_int_equal(host_pack_probe("MZ......", 8), PACK_NONE);
    assert_int_equal(host_pack_probe("\x1f", 1), PACK_NONE);
    assert_int_equal(host_pack_probe("", 0), PACK_NONE);
    assert_int_equal(host_unpack(PACK_NONE, "x", 1, out, 1, &len, &e),
                     -LE_UNSUPPORTED);
    assert_int_equal(host_unpack((enum host_pack)99, "x", 1, out, 1, &len, &e),
                     -LE_UNSUPPORTED);
}

static void output_too_small(void **state)
{
    uint8_t out[PLAIN_MAX];
    struct err e = {0};
    size_t len;

    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(samples); i++) {
        const struct sample *s = &samples[i];

        for (size_t cap = 1; cap < plain_len && !lacking(s); cap += 37) {
            memset(out, 0xee, sizeof out);
            assert_int_equal(
                host_unpack(s->format, s->bytes, s->n, out, cap, &len, &e),
                -LE_RANGE);
            assert_int_equal(len, 0);
            assert_int_equal(out[cap], 0xee);
        }
    }
}

static void truncated(void **state)
{
    uint8_t out[PLAIN_MAX];
    struct err e = {0};
    size_t len;

    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(samples); i++) {
        const struct sample *s = &samples[i];

        for (size_t n = 0; n < s->n && !lacking(s); n++) {
            /* An exact copy, so that a sanitizer sees reads past its end. */
            uint8_t *in = malloc(n ? n : 1);

            memcpy(in, s->bytes, n);
            assert_int_equal(
                host_unpack(s->format, in, n, out, sizeof out, &len, &e),
                -LE_FORMAT);
            free(in);
        }
    }
}

/* Every byte wrong in turn: never a crash, never a byte too many. */
static void damaged(void **state)
{
    uint8_t out[PLAIN_MAX + 1], in[PLAIN_MAX];
    struct err e = {0};
    size_t len;
    unsigned refused;

    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(samples); i++) {
        const struct sample *s = &samples[i];

        if (lacking(s))
            continue;
        refused = 0;
        for (size_t at = 0; at < s->n; at++) {
            memcpy(in, s->bytes, s->n);
            in[at] ^= 0xff;
            out[plain_len] = 0xee;
            refused +=
                host_unpack(s->format, in, s->n, out, plain_len, &len, &e) != 0;
            assert_int_equal(out[plain_len], 0xee);
        }
        /* lz4 has no checksum over what a literal says; others have. */
        assert_true(refused > (s->format == PACK_LZ4 ? 0 : s->n / 2));
    }
}

/* One block of the old lz4 framing: n bytes of 'A'. Returns its length. */
static size_t legacy_block(uint8_t *to, size_t n)
{
    size_t at = 4, match = n - 1 - 5 - 4 - 15;

    to[at++] = 0x1f; /* a literal, then a long match */
    to[at++] = 'A';
    to[at++] = 1;
    to[at++] = 0;
    for (; match >= 255; match -= 255)
        to[at++] = 255;
    to[at++] = (uint8_t)match;
    to[at++] = 0x50; /* five literals end a block */
    memset(to + at, 'A', 5);
    at += 5;
    store_le32(to, (uint32_t)at - 4);
    return at;
}

static void many_lz4_blocks(void **state)
{
    enum { BLOCK = 8 << 20, LAST = 1000 };
    size_t n = 4, total = 2 * (size_t)BLOCK + LAST, len;
    uint8_t *in = malloc(1 << 20), *out = malloc(total);
    struct err e = {0};

    (void)state;
    if (!lacking(&samples[5])) {
        store_le32(in, 0x184c2102);
        n += legacy_block(in + n, BLOCK);
        n += legacy_block(in + n, BLOCK);
        n += legacy_block(in + n, LAST);
        store_le32(in + n, (uint32_t)total);
        assert_int_equal(host_unpack(PACK_LZ4, in, n + 4, out, total, &len, &e),
                         0);
        assert_int_equal(len, total);
        assert_true(out[0] == 'A' && !memcmp(out, out + 1, total - 1));
        assert_int_equal(
            host_unpack(PACK_LZ4, in, n + 4, out, total - 1, &len, &e),
            -LE_RANGE);
        assert_int_equal(host_unpack(PACK_LZ4, in, n - 1, out, total, &len, &e),
                         -LE_FORMAT);
    }
    free(in);
    free(out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whole),           cmocka_unit_test(output_too_small),
        cmocka_unit_test(truncated),       cmocka_unit_test(damaged),
        cmocka_unit_test(many_lz4_blocks),
    };

    return cmocka_run_group_tests(tests, make_plain, NULL);
}
