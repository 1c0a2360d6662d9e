#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/endian.h"
#include "machine/e820.h"

#define MB (1ull << 20)
#define GB (1ull << 30)

static void check_entry(const struct e820 *m, unsigned i, uint64_t base,
                        uint64_t len, unsigned type)
{
    assert_true(i < m->n);
    assert_int_equal(m->e[i].base, base);
    assert_int_equal(m->e[i].len, len);
    assert_int_equal(m->e[i].type, type);
}

static void small_pc(void **state)
{
    struct e820 m;

    (void)state;
    e820_pc(&m, 512 * MB);
    check_entry(&m, 0, 0, 0x9fc00, E820_RAM);
    check_entry(&m, 1, 0x9fc00, 0x400, E820_RESERVED);
    check_entry(&m, 2, 0xe0000, 0x20000, E820_RESERVED);
    check_entry(&m, 3, MB, 511 * MB, E820_RAM);
    check_entry(&m, 4, 0xfec00000, 0x1000, E820_RESERVED);
    assert_int_equal(e820_low_end(&m), 512 * MB);
    assert_true(e820_is_ram(&m, MB, 511 * MB));
    assert_false(e820_is_ram(&m, MB, 511 * MB + 1));
    assert_false(e820_is_ram(&m, 0x9fbff, 2));
    assert_false(e820_is_ram(&m, 0, 0));
    assert_false(e820_is_ram(&m, ~0ull, 2));
    assert_false(e820_is_ram(&m, 0xa0000, 1));
}

static void large_pc(void **state)
{
    struct e820 m;

    (void)state;
    e820_pc(&m, 5 * GB);
    assert_int_equal(pc_low_ram(5 * GB), 3 * GB);
    assert_int_equal(pc_high_ram(5 * GB), 2 * GB);
    assert_int_equal(e820_low_end(&m), 3 * GB);
    check_entry(&m, m.n - 1, 4 * GB, 2 * GB, E820_RAM);
    e820_pc(&m, 3 * GB);
    assert_false(e820_is_ram(&m, 4 * GB, 1));
    e820_pc(&m, PC_RAM_MIN);
    assert_int_equal(e820_low_end(&m), 0);
}

static void splits_and_joins(void **state)
{
    struct e820 m = {0};

    (void)state;
    assert_int_equal(e820_set(&m, 100, 100, E820_RAM), 0);
    assert_int_equal(e820_set(&m, 140, 20, E820_NVS), 0);
    check_entry(&m, 0, 100, 40, E820_RAM);
    check_entry(&m, 1, 140, 20, E820_NVS);
    check_entry(&m, 2, 160, 40, E820_RAM);
    assert_int_equal(e820_set(&m, 140, 20, E820_RAM), 0);
    assert_int_equal(m.n, 1);
    check_entry(&m, 0, 100, 100, E820_RAM);
    assert_int_equal(e820_set(&m, 50, 60, E820_ACPI), 0);
    check_entry(&m, 1, 110, 90, E820_RAM);
    assert_int_equal(e820_set(&m, 190, 60, E820_NVS), 0);
    check_entry(&m, 1, 110, 80, E820_RAM);
    check_entry(&m, 2, 190, 60, E820_NVS);
    assert_int_equal(e820_set(&m, 0, 1000, E820_RESERVED), 0);
    assert_int_equal(m.n, 1);
    check_entry(&m, 0, 0, 1000, E820_RESERVED);
}

static void limits(void **state)
{
    struct e820 m = {0};
    uint8_t wire[E820_WIRE_SIZE];
    unsigned n = 0;

    (void)state;
    assert_int_equal(e820_set(&m, 10, 0, E820_RAM), -LE_RANGE);
    assert_int_equal(e820_set(&m, ~0ull, 2, E820_RAM), -LE_RANGE);
    while (!e820_set(&m, n * 100, 50, E820_RAM))
        n++;
    assert_true(m.n <= E820_MAX && m.n >= E820_MAX - 2);
    for (unsigned i = 0; i < m.n; i++)
        check_entry(&m, i, i * 100, 50, E820_RAM);
    e820_put(&m, 3, wire);
    assert_int_equal(load_le64(wire), 300);
    assert_int_equal(load_le64(wire + 8), 50);
    assert_int_equal(load_le32(wire + 16), E820_RAM);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(small_pc),
        cmocka_unit_test(large_pc),
        cmocka_unit_test(splits_and_joins),
        cmocka_unit_test(limits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
