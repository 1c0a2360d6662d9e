#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/endian.h"
#include "machine/mptable.h"

static uint8_t sum(const uint8_t *p, size_t n)
{
    uint8_t s = 0;

    while (n--)
        s = (uint8_t)(s + *p++);
    return s;
}

static void check(unsigned ncpus)
{
    const struct mptable_config c = {
        .ncpus = ncpus, .ioapic_id = 5, .swizzle = 3, .slots = 1 << 3 | 1 << 4};
    static uint8_t t[MPTABLE_MAX], pointer[MPTABLE_FLOAT_SIZE];
    unsigned count[5] = {0}, entries = 0, bsps = 0, pci = 0;
    const uint8_t *p = t + 44;
    size_t used;

    assert_int_equal(
        mptable_build(&c, 0xed000, t, sizeof t, &used, pointer, NULL), 0);
    assert_memory_equal(pointer, "_MP_", 4);
    assert_int_equal(load_le32(pointer + 4), 0xed000);
    assert_int_equal(sum(pointer, 16), 0);
    assert_memory_equal(t, "PCMP", 4);
    assert_int_equal(load_le16(t + 4), used);
    assert_int_equal(sum(t, used), 0);
    while (p < t + used) {
        assert_true(p[0] <= 4);
        if (p[0] == 0) {
            assert_int_equal(p[1], count[0]);
            bsps += p[3] >> 1 & 1;
        }
        if (p[0] == 3 && p[4] == 0) {
            unsigned slot = p[5] >> 2, pin = p[5] & 3;

            assert_int_equal(p[7], 16 + ((slot + pin + 3) & 3));
            assert_int_equal(load_le16(p + 2), 0x0f);
            pci++;
        } else if (p[0] == 3) {
            assert_int_equal(p[7], p[5] == 0 ? 2 : p[5]);
            assert_int_equal(load_le16(p + 2), p[5] == 9 ? 0x0d : 0);
        }
        count[p[0]]++;
        entries++;
        p += p[0] == 0 ? 20 : 8;
    }
    assert_ptr_equal(p, t + used);
    assert_int_equal(entries, load_le16(t + 34));
    assert_int_equal(count[0], ncpus < 254 ? ncpus : 254);
    assert_int_equal(bsps, 1);
    assert_int_equal(count[1], 2);
    assert_int_equal(count[2], 1);
    assert_int_equal(pci, 8);
    assert_int_equal(count[3], 15 + 8);
    assert_int_equal(count[4], 2);
    for (size_t n = 0; n < used; n += 5) {
        uint8_t *exact = malloc(n + 1);
        size_t k;

        assert_int_equal(
            mptable_build(&c, 0xed000, exact, n, &k, pointer, NULL), -LE_RANGE);
        free(exact);
    }
}

static void tables(void **state)
{
    (void)state;
    check(1);
    check(4);
    check(255);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(tables)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
