/*
 * For tests of the boot loaders: guest RAM that is a plain array, small
 * kernels made of bytes, and what to expect of errors.
 */
#ifndef TESTS_BOOT_TESTLIB_H
#define TESTS_BOOT_TESTLIB_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/endian.h"
#include "machine/boot_internal.h"

#define MB (1ull << 20)

/* RAM of a PC below 4 GB; what lies in no RAM entry cannot be written. */
struct test_machine {
    struct e820 map;
    uint8_t *ram;
    uint64_t size;
    uint64_t stored; /* bytes written */
};

static inline int test_span(void *ctx, gpa_t a, size_t n, struct span *out)
{
    struct test_machine *m = ctx;

    for (unsigned i = 0; i < m->map.n; i++) {
        const struct e820_entry *e = &m->map.e[i];

        if (e->type != E820_RAM || a < e->base || a - e->base >= e->len ||
            a >= m->size)
            continue;
        out->p = m->ram + a;
        out->n = (size_t)MIN(n, e->len - (a - e->base));
        /* Short pieces, so that callers must go on. */
        out->n = MIN(out->n, (size_t)1 << 16);
        m->stored += out->n;
        return 0;
    }
    return -LE_RANGE;
}

static inline struct test_machine test_machine(uint64_t size)
{
    struct test_machine m = {.size = size, .ram = calloc(1, size)};

    assert_non_null(m.ram);
    e820_pc(&m.map, size);
    return m;
}

static inline void test_machine_free(struct test_machine *m)
{
    free(m->ram);
    m->ram = NULL;
}

static inline struct boot_request test_request(const struct test_machine *m,
                                               const void *kernel, size_t n)
{
    return (struct boot_request){
        .kernel = {kernel, n, "vmlinuz"},
        .map = &m->map,
        .long_mode = true,
        .rsdp = 0xe1230,
    };
}

static inline int test_load(struct test_machine *m,
                            const struct boot_request *q,
                            struct boot_image *out, struct err *e)
{
    struct boot_ram ram = {.span = test_span, .ctx = m};

    memset(e, 0, sizeof *e);
    return boot_load(q, &ram, out, e);
}

/* Loads; the test fails with the error's text if that fails. */
static inline void must_load(struct test_machine *m,
                             const struct boot_request *q,
                             struct boot_image *out)
{
    struct err e;

    if (test_load(m, q, out, &e))
        fail_msg("not loaded: %s", e.text);
}

/* Fails with this code and a text that has this in it. */
static inline void must_fail(struct test_machine *m,
                             const struct boot_request *q, int code,
                             const char *part)
{
    struct boot_image out;
    struct err e;
    int r = test_load(m, q, &out, &e);

    if (r != -code || !strstr(e.text, part))
        fail_msg("code %d, text \"%s\"; expected %d and \"%s\"", -r, e.text,
                 code, part);
}

/* --- an ELF file with one segment and, if asked for, a PVH note --- */
struct test_elf {
    bool wide;
    uint16_t machine; /* 0: the class's */
    uint64_t entry, vaddr, paddr;
    uint32_t file_size, mem_size;
    uint32_t pvh; /* entry; 0: no note */
};

enum { TEST_ELF_DATA = 0x200 };

static inline size_t make_elf(const struct test_elf *t, uint8_t *to)
{
    unsigned word = t->wide ? 8 : 4, header = t->wide ? 64 : 52;
    unsigned ph_size = t->wide ? 56 : 32;
    unsigned o_flags = t->wide ? 4 : 24, o_off = t->wide ? 8 : 4;
    unsigned o_v = t->wide ? 16 : 8, o_p = o_v + word, o_fs = o_p + word;
    uint8_t *ph = to + header, *note = to + 0x180;
    size_t n = TEST_ELF_DATA + t->file_size;

    memset(to, 0, TEST_ELF_DATA);
    memcpy(to,
           "\x7f"
           "ELF",
           4);
    to[4] = t->wide ? 2 : 1;
    to[5] = 1;
    to[6] = 1;
    store_le16(to + 16, 2);
    store_le16(to + 18, t->machine ? t->machine : t->wide ? 62 : 3);
    store_le32(to + 20, 1);
    store_le(to + 24, t->entry, word);
    store_le(to + 24 + word, header, word);
    store_le16(to + (t->wide ? 54 : 42), (uint16_t)ph_size);
    store_le16(to + (t->wide ? 56 : 44), t->pvh ? 2 : 1);
    store_le32(ph, 1);
    store_le32(ph + o_flags, 5);
    store_le(ph + o_off, TEST_ELF_DATA, word);
    store_le(ph + o_v, t->vaddr, word);
    store_le(ph + o_p, t->paddr, word);
    store_le(ph + o_fs, t->file_size, word);
    store_le(ph + o_fs + word, t->mem_size, word);
    for (size_t i = 0; i < t->file_size; i++)
        to[TEST_ELF_DATA + i] = (uint8_t)(i * 7 + 1);
    if (!t->pvh)
        return n;
    ph += ph_size;
    store_le32(ph, 4);
    store_le(ph + o_off, 0x180, word);
    store_le(ph + o_fs, 56, word);
    store_le(ph + o_fs + word, 56, word);
    /* A note of another kind before the one that counts. */
    store_le32(note, 4);
    store_le32(note + 4, 6);
    store_le32(note + 8, 6);
    memcpy(note + 12, "Xen\0linux\0", 10);
    note += 24;
    store_le32(note, 4);
    store_le32(note + 4, word);
    store_le32(note + 8, 18);
    memcpy(note + 12, "Xen", 4);
    store_le32(note + 16, t->pvh);
    return n;
}

/* --- a bzImage --- */
struct test_bzimage {
    unsigned version;
    bool low; /* zImage */
    bool relocatable, wide;
    uint64_t pref;
    uint32_t init_size;
    const uint8_t *payload; /* or NULL: a pattern */
    size_t payload_size;
};

enum { TEST_SETUP = 3 * 512, TEST_CODE_MIN = 0x3000 };

static inline size_t make_bzimage(const struct test_bzimage *t, uint8_t *to)
{
    size_t code = TEST_CODE_MIN + ((t->payload_size + 15) & ~(size_t)15);

    memset(to, 0, TEST_SETUP + code);
    for (size_t i = 0; i < code; i++)
        to[TEST_SETUP + i] = (uint8_t)(i * 13 + 5);
    memcpy(to, "MZ", 2);
    to[0x1f1] = 2;
    store_le32(to + 0x1f4, (uint32_t)(code / 16));
    store_le16(to + 0x1fe, 0xaa55);
    to[0x200] = 0xeb;
    to[0x201] = 0x6a;
    memcpy(to + 0x202, "HdrS", 4);
    store_le16(to + 0x206, (uint16_t)t->version);
    to[0x211] = t->low ? 0 : 1;
    store_le32(to + 0x214, t->low ? 0x1000 : 0x100000);
    store_le32(to + 0x22c, 0x7fffffff);
    store_le32(to + 0x230, 0x200000);
    to[0x234] = t->relocatable;
    store_le16(to + 0x236, t->wide ? 0x3f : 0);
    store_le32(to + 0x238, 2047);
    store_le64(to + 0x258, t->pref);
    store_le32(to + 0x260, t->init_size);
    if (t->payload) {
        store_le32(to + 0x248, TEST_CODE_MIN);
        store_le32(to + 0x24c, (uint32_t)t->payload_size);
        memcpy(to + TEST_SETUP + TEST_CODE_MIN, t->payload, t->payload_size);
    }
    return TEST_SETUP + code;
}

static inline uint32_t test_crc32(const uint8_t *p, size_t n)
{
    uint32_t c = 0xffffffff;

    while (n--) {
        c ^= *p++;
        for (unsigned i = 0; i < 8; i++)
            c = c >> 1 ^ (c & 1 ? 0xedb88320 : 0);
    }
    return ~c;
}

/* gzip (RFC 1952) with stored blocks only. */
static inline size_t make_gzip(const uint8_t *p, size_t n, uint8_t *to)
{
    uint8_t *q = to;
    uint32_t crc = test_crc32(p, n), size = (uint32_t)n;

    memcpy(q, "\x1f\x8b\x08\0\0\0\0\0\0\xff", 10);
    q += 10;
    do {
        uint16_t k = (uint16_t)MIN(n, 0xffffu);

        n -= k;
        *q++ = n ? 0 : 1;
        store_le16(q, k);
        store_le16(q + 2, (uint16_t)~k);
        memcpy(q + 4, p, k);
        q += 4 + k;
        p += k;
    } while (n);
    store_le32(q, crc);
    store_le32(q + 4, size);
    return (size_t)(q + 8 - to);
}

#endif
