#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/endian.h"
#include "machine/smbios.h"

static uint8_t table[SMBIOS_TABLE_MAX], entry[SMBIOS_ENTRY_SIZE];

static uint8_t sum(const uint8_t *p, size_t n)
{
    uint8_t s = 0;

    while (n--)
        s = (uint8_t)(s + *p++);
    return s;
}

static struct smbios_config config(void)
{
    return (struct smbios_config){
        .ram_low = 3ull << 30,
        .ram_high = 5ull << 30,
        .ncpus = 300,
        .cpu_vendor = "GenuineIntel",
        .cpu_brand = "Some CPU",
        .uuid = {1, 2, 3},
    };
}

/* The structure of a type, by the way a guest goes; *strings: how many. */
static const uint8_t *find(size_t n, unsigned type, unsigned *strings,
                           unsigned *count, size_t *largest)
{
    const uint8_t *p = table, *end = table + n, *found = NULL;

    *count = 0;
    *largest = 0;
    while (p < end) {
        const uint8_t *q = p + p[1];
        unsigned k = 0;

        assert_true(p[1] >= 4 && q + 2 <= end);
        while (*q) {
            q += strlen((const char *)q) + 1;
            k++;
            assert_true(q < end);
        }
        q += k ? 1 : 2;
        ++*count;
        if ((size_t)(q - p) > *largest)
            *largest = (size_t)(q - p);
        if (p[0] == type && !found) {
            found = p;
            *strings = k;
        }
        p = q;
    }
    assert_ptr_equal(p, end);
    return found;
}

static void structures(void **state)
{
    static const uint8_t types[] = {0, 1, 3, 4, 16, 17, 19, 32, 127};
    struct smbios_config c = config();
    unsigned strings, count;
    size_t used, largest;
    const uint8_t *p;

    (void)state;
    assert_int_equal(
        smbios_build(&c, 0xec000, table, sizeof table, &used, entry, NULL), 0);
    for (unsigned i = 0; i < sizeof types; i++)
        assert_non_null(find(used, types[i], &strings, &count, &largest));
    p = find(used, 1, &strings, &count, &largest);
    assert_memory_equal(p + 8, c.uuid, 16);
    assert_int_equal(strings, 3);
    p = find(used, 4, &strings, &count, &largest);
    assert_int_equal(p[0x23], 0xff);
    assert_int_equal(load_le16(p + 0x2a), 300);
    p = find(used, 17, &strings, &count, &largest);
    assert_int_equal(load_le16(p + 0x0c), 8192);
    p = find(used, 19, &strings, &count, &largest);
    assert_int_equal(load_le32(p + 8), (3 << 20) - 1);

    assert_int_equal(sum(entry, 0x1f), 0);
    assert_int_equal(sum(entry + 0x10, 0x0f), 0);
    assert_int_equal(load_le16(entry + 0x16), used);
    assert_int_equal(load_le32(entry + 0x18), 0xec000);
    assert_int_equal(load_le16(entry + 0x1c), count);
    assert_int_equal(load_le16(entry + 0x08), largest);
    assert_int_equal(sum(entry + 0x20, 0x18), 0);
    assert_memory_equal(entry + 0x20, "_SM3_", 5);
    assert_int_equal(load_le64(entry + 0x30), 0xec000);
    assert_true(load_le32(entry + 0x2c) >= used);
}

static void too_small(void **state)
{
    struct smbios_config c = config();
    size_t used, full;

    (void)state;
    assert_int_equal(
        smbios_build(&c, 0xec000, table, sizeof table, &full, entry, NULL), 0);
    for (size_t n = 0; n < full; n++) {
        uint8_t *exact = malloc(n + 1);

        assert_int_equal(
            smbios_build(&c, 0xec000, exact, n, &used, entry, NULL), -LE_RANGE);
        free(exact);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(structures),
        cmocka_unit_test(too_small),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
