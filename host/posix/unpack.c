/*
 * Compressed kernels and initrds, through the system's libraries; the build
 * says which are there. One call unpacks one stream to its end.
 */
#include <limits.h>
#include <string.h>

#include "base/endian.h"
#include "lodge/host.h"

#ifdef HAVE_ZLIB
#include <zlib.h>
#endif
#ifdef HAVE_LZMA
#include <lzma.h>
#endif
#ifdef HAVE_BZIP2
#include <bzlib.h>
#endif
#ifdef HAVE_LZ4
#include <lz4.h>
#include <lz4frame.h>
#endif
#ifdef HAVE_ZSTD
#include <zstd.h>
#include <zstd_errors.h>
#endif

/* What goes in and out. */
struct job {
    const uint8_t *in;
    size_t n;
    uint8_t *out;
    size_t cap, len;
};

/* How it went; the text is made in one place. */
enum result { DONE, DAMAGED, CUT_SHORT, TOO_LARGE, NO_MEMORY };

/* Libraries that count in 32 bits get their data in pieces. */
static UNUSED unsigned piece(size_t n)
{
    return (unsigned)MIN(n, (size_t)1 << 30);
}

#ifdef HAVE_ZLIB
static enum result unpack_gzip(struct job *j)
{
    z_stream z = {0};
    size_t in = 0;
    int rc;

    if (inflateInit2(&z, 16 + MAX_WBITS) != Z_OK)
        return NO_MEMORY;
    do {
        unsigned give = piece(j->n - in), room = piece(j->cap - j->len);

        z.next_in = (uint8_t *)(uintptr_t)(j->in + in);
        z.avail_in = give;
        z.next_out = j->out + j->len;
        z.avail_out = room;
        rc = inflate(&z, Z_NO_FLUSH);
        in += give - z.avail_in;
        j->len += room - z.avail_out;
    } while (rc == Z_OK);
    inflateEnd(&z);
    switch (rc) {
    case Z_STREAM_END: return DONE;
    case Z_MEM_ERROR: return NO_MEMORY;
    case Z_BUF_ERROR: return in < j->n ? TOO_LARGE : CUT_SHORT;
    default: return DAMAGED;
    }
}
#endif

#ifdef HAVE_LZMA
/* Dictionaries of kernels have up to 128 MB; the file says how much. */
#define LZMA_MEMORY (512ull << 20)

static enum result run_lzma(struct job *j, lzma_stream *s)
{
    lzma_ret rc;

    s->next_in = j->in;
    s->avail_in = j->n;
    s->next_out = j->out;
    s->avail_out = j->cap;
    do
        rc = lzma_code(s, LZMA_RUN);
    while (rc == LZMA_OK);
    j->len = j->cap - s->avail_out;
    switch (rc) {
    case LZMA_STREAM_END: return DONE;
    case LZMA_MEM_ERROR:
    case LZMA_MEMLIMIT_ERROR: return NO_MEMORY;
    case LZMA_BUF_ERROR: return s->avail_in ? TOO_LARGE : CUT_SHORT;
    default: return DAMAGED;
    }
}

static enum result unpack_xz(struct job *j)
{
    lzma_stream s = LZMA_STREAM_INIT;
    enum result r;

    if (lzma_stream_decoder(&s, LZMA_MEMORY, 0) != LZMA_OK)
        return NO_MEMORY;
    r = run_lzma(j, &s);
    lzma_end(&s);
    return r;
}

static enum result unpack_lzma(struct job *j)
{
    lzma_stream s = LZMA_STREAM_INIT;
    enum result r;

    if (lzma_alone_decoder(&s, LZMA_MEMORY) != LZMA_OK)
        return NO_MEMORY;
    r = run_lzma(j, &s);
    lzma_end(&s);
    return r;
}
#endif

#ifdef HAVE_BZIP2
static enum result unpack_bzip2(struct job *j)
{
    bz_stream z = {0};
    size_t in = 0;
    bool moved;
    int rc;

    if (BZ2_bzDecompressInit(&z, 0, 0) != BZ_OK)
        return NO_MEMORY;
    do {
        unsigned give = piece(j->n - in), room = piece(j->cap - j->len);

        z.next_in = (char *)(uintptr_t)(j->in + in);
        z.avail_in = give;
        z.next_out = (char *)(j->out + j->len);
        z.avail_out = room;
        rc = BZ2_bzDecompress(&z);
        moved = z.avail_in < give || z.avail_out < room;
        in += give - z.avail_in;
        j->len += room - z.avail_out;
    } while (rc == BZ_OK && moved);
    BZ2_bzDecompressEnd(&z);
    switch (rc) {
    case BZ_STREAM_END: return DONE;
    case BZ_MEM_ERROR: return NO_MEMORY;
    case BZ_OK: return in < j->n || j->len == j->cap ? TOO_LARGE : CUT_SHORT;
    default: return DAMAGED;
    }
}
#endif

#ifdef HAVE_LZ4
enum { LZ4_LEGACY = 0x184c2102, LZ4_LEGACY_BLOCK = 8 << 20 };

/* The last block where the output may be too small, by way of a full one. */
static enum result lz4_last(struct job *j, const uint8_t *in, unsigned n)
{
    char *full = host_alloc(LZ4_LEGACY_BLOCK);
    enum result r = DAMAGED;
    int len;

    if (!full)
        return NO_MEMORY;
    len = LZ4_decompress_safe((const char *)in, full, (int)n, LZ4_LEGACY_BLOCK);
    if (len >= 0 && (size_t)len > j->cap - j->len)
        r = TOO_LARGE;
    else if (len >= 0) {
        memcpy(j->out + j->len, full, (size_t)len);
        j->len += (size_t)len;
        r = DONE;
    }
    host_free(full);
    return r;
}

static enum result lz4_block(struct job *j, const uint8_t *in, unsigned n)
{
    int len;

    if (j->cap - j->len < LZ4_LEGACY_BLOCK)
        return lz4_last(j, in, n);
    len = LZ4_decompress_safe((const char *)in, (char *)j->out + j->len, (int)n,
                              LZ4_LEGACY_BLOCK);
    if (len < 0)
        return DAMAGED;
    j->len += (size_t)len;
    return DONE;
}

/*
 * Blocks of 8 MB, each after its packed size; there is no end mark. The first
 * block that holds less is the last one: kernels append their size.
 */
static enum result lz4_legacy(struct job *j)
{
    size_t at = 4;

    while (j->n - at > 4) {
        uint32_t n = load_le32(j->in + at);
        size_t before = j->len;
        enum result r;

        at += 4;
        if (n > j->n - at)
            return CUT_SHORT;
        if (n > LZ4_COMPRESSBOUND(LZ4_LEGACY_BLOCK))
            return DAMAGED;
        r = lz4_block(j, j->in + at, n);
        at += n;
        if (r != DONE || j->len - before < LZ4_LEGACY_BLOCK)
            return r;
    }
    return at > 4 ? DONE : CUT_SHORT;
}

static enum result lz4_frame(struct job *j)
{
    LZ4F_dctx *ctx;
    size_t in = 0, left = 1, give, room;

    if (LZ4F_isError(LZ4F_createDecompressionContext(&ctx, LZ4F_VERSION)))
        return NO_MEMORY;
    do {
        give = j->n - in;
        room = j->cap - j->len;
        left = LZ4F_decompress(ctx, j->out + j->len, &room, j->in + in, &give,
                               NULL);
        if (LZ4F_isError(left))
            break;
        in += give;
        j->len += room;
    } while (left && (give || room));
    LZ4F_freeDecompressionContext(ctx);
    if (LZ4F_isError(left))
        return DAMAGED;
    if (!left)
        return DONE;
    return in < j->n || j->len == j->cap ? TOO_LARGE : CUT_SHORT;
}

static enum result unpack_lz4(struct job *j)
{
    if (j->n >= 4 && load_le32(j->in) == LZ4_LEGACY)
        return lz4_legacy(j);
    return lz4_frame(j);
}
#endif

#ifdef HAVE_ZSTD
static enum result zstd_result(size_t rc)
{
    switch (ZSTD_getErrorCode(rc)) {
    case ZSTD_error_no_error: return DONE;
    case ZSTD_error_srcSize_wrong: return CUT_SHORT;
    case ZSTD_error_dstSize_tooSmall: return TOO_LARGE;
    case ZSTD_error_memory_allocation: return NO_MEMORY;
    default: return DAMAGED;
    }
}

static enum result unpack_zstd(struct job *j)
{
    size_t frame = ZSTD_findFrameCompressedSize(j->in, j->n), len;

    if (ZSTD_isError(frame))
        return zstd_result(frame);
    len = ZSTD_decompress(j->out, j->cap, j->in, frame);
    if (ZSTD_isError(len))
        return zstd_result(len);
    j->len = len;
    return DONE;
}
#endif

#ifndef HAVE_ZLIB
#define unpack_gzip NULL
#endif
#ifndef HAVE_LZMA
#define unpack_xz   NULL
#define unpack_lzma NULL
#endif
#ifndef HAVE_BZIP2
#define unpack_bzip2 NULL
#endif
#ifndef HAVE_LZ4
#define unpack_lz4 NULL
#endif
#ifndef HAVE_ZSTD
#define unpack_zstd NULL
#endif

static const struct packer {
    const char *name, *package;
    uint8_t nmagic, magic[6];
    enum result (*unpack)(struct job *j);
} packers[] = {
    /* clang-format off */
    [PACK_GZIP] = {"gzip", "zlib1g-dev", 2, {0x1f, 0x8b}, unpack_gzip},
    [PACK_XZ] = {"xz", "liblzma-dev", 6, {0xfd, '7', 'z', 'X', 'Z', 0},
                 unpack_xz},
    [PACK_LZMA] = {"lzma", "liblzma-dev", 3, {0x5d, 0, 0}, unpack_lzma},
    [PACK_BZIP2] = {"bzip2", "libbz2-dev", 3, {'B', 'Z', 'h'}, unpack_bzip2},
    [PACK_LZ4] = {"lz4", "liblz4-dev", 4, {4, 0x22, 0x4d, 0x18}, unpack_lz4},
    [PACK_ZSTD] = {"zstd", "libzstd-dev", 4, {0x28, 0xb5, 0x2f, 0xfd},
                   unpack_zstd},
    /* clang-format on */
};

enum host_pack host_pack_probe(const void *in, size_t n)
{
    static const uint8_t legacy[] = {2, 0x21, 0x4c, 0x18};

    for (unsigned i = PACK_NONE + 1; i < ARRAY_LEN(packers); i++)
        if (n >= packers[i].nmagic &&
            !memcmp(in, packers[i].magic, packers[i].nmagic))
            return (enum host_pack)i;
    if (n >= sizeof legacy && !memcmp(in, legacy, sizeof legacy))
        return PACK_LZ4;
    return PACK_NONE;
}

static int report(enum result r, const struct job *j, const char *name,
                  struct err *e)
{
    switch (r) {
    case DONE: return 0;
    case CUT_SHORT:
        return err_set(e, LE_FORMAT, "the %s data end too early", name);
    case TOO_LARGE:
        return err_set(e, LE_RANGE, "the %s data unpack to more than %zu bytes",
                       name, j->cap);
    case NO_MEMORY:
        return err_set(e, LE_NOMEM, "the host has no memory to unpack %s data",
                       name);
    default: return err_set(e, LE_FORMAT, "the %s data are damaged", name);
    }
}

int host_unpack(enum host_pack format, const void *in, size_t n, void *out,
                size_t cap, size_t *len, struct err *e)
{
    struct job j = {.in = in, .n = n, .out = out, .cap = cap};
    const struct packer *p;
    int rc;

    *len = 0;
    if (format <= PACK_NONE || (unsigned)format >= ARRAY_LEN(packers))
        return err_set(e, LE_UNSUPPORTED, "an unknown kind of compression");
    p = &packers[format];
    if (!p->unpack)
        return err_set(e, LE_UNSUPPORTED,
                       "this build of Lodge cannot unpack %s data: install "
                       "%s and build it again",
                       p->name, p->package);
    rc = report(p->unpack(&j), &j, p->name, e);
    if (!rc)
        *len = j.len;
    return rc;
}
