/*
 * The ACPI table loader's script, run here as firmware runs it: afterwards
 * every pointer leads to a table whose sum is right.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/endian.h"
#include "machine/fw_tables.h"

static uint8_t block[ACPI_SIZE_MAX], script[FW_LOADER_MAX];
static struct acpi_links links;

/* Files as the firmware has put them: address, bytes, length. */
static struct file {
    const char *name;
    uint64_t at;
    uint8_t *p;
    size_t n;
    bool allocated;
} files[2];

static const struct acpi_config config = {
    .pm_base = 0xb000,
    .mem32 = 0x80000000,
    .ncpus = 3,
    .ioapic_id = 3,
    .hpet_id = 0x8086a201,
    .i8042 = true,
    .vga = true,
};

static struct file *find(const uint8_t *name)
{
    for (unsigned i = 0; i < 2; i++)
        if (!strcmp(files[i].name, (const char *)name))
            return &files[i];
    fail_msg("no file %s", (const char *)name);
    return NULL;
}

static uint8_t sum(const uint8_t *p, size_t n)
{
    uint8_t s = 0;

    while (n--)
        s = (uint8_t)(s + *p++);
    return s;
}

static void run(const uint8_t *c)
{
    struct file *f = find(c + 4), *to;
    uint32_t at, start, n;

    switch (load_le32(c)) {
    case 1:
        n = load_le32(c + 60);
        assert_true(n && !(n & (n - 1)));
        assert_int_equal(f->at % n, 0);
        assert_int_equal(c[64], f == &files[0] ? 2 : 1);
        f->allocated = true;
        break;
    case 2:
        to = find(c + 60);
        at = load_le32(c + 116);
        n = c[120];
        assert_true(f->allocated && to->allocated && at + n <= f->n);
        assert_true(load_le(f->p + at, n) < to->n);
        store_le(f->p + at, load_le(f->p + at, n) + to->at, n);
        break;
    case 3:
        at = load_le32(c + 60);
        start = load_le32(c + 64);
        n = load_le32(c + 68);
        assert_true(at < f->n && start + n <= f->n);
        /* SeaBIOS subtracts from what is there, OVMF does not. */
        assert_int_equal(f->p[at], 0);
        f->p[at] = (uint8_t)-sum(f->p + start, n);
        break;
    default: fail_msg("command %u", load_le32(c));
    }
}

static const uint8_t *table(uint64_t a, const char *signature)
{
    const struct file *f = &files[1];
    const uint8_t *t = f->p + (a - f->at);

    assert_true(a >= f->at && a + 36 <= f->at + f->n);
    assert_memory_equal(t, signature, 4);
    assert_true(load_le32(t + 4) <= f->n - (a - f->at));
    if (strcmp(signature, "FACS"))
        assert_int_equal(sum(t, load_le32(t + 4)), 0);
    return t;
}

static void links_work(void **state)
{
    struct err e;
    size_t used, n;
    gpa_t rsdp;
    const uint8_t *r, *xsdt, *fadt, *dsdt, *binf;

    (void)state;
    if (acpi_build(&config, block, sizeof block, &used, &rsdp, &links, &e))
        fail_msg("%s", e.text);
    assert_int_equal(used, rsdp + ACPI_RSDP_SIZE);
    files[0] = (struct file){FW_FILE_RSDP, 0xf5a80, block + rsdp, 36, false};
    files[1] = (struct file){FW_FILE_TABLES, 0x3fff0040, block, rsdp, false};
    n = fw_loader_script(&links, (uint32_t)rsdp, script);
    assert_int_equal(n % FW_LOADER_ENTRY, 0);
    for (size_t i = 0; i < n; i += FW_LOADER_ENTRY)
        run(script + i);

    r = files[0].p;
    assert_int_equal(sum(r, 20), 0);
    assert_int_equal(sum(r, 36), 0);
    table(load_le32(r + 16), "RSDT");
    xsdt = table(load_le64(r + 24), "XSDT");
    fadt = table(load_le64(xsdt + 36), "FACP");
    table(load_le64(xsdt + 44), "APIC");
    table(load_le32(fadt + 36), "FACS");
    dsdt = table(load_le64(fadt + 140), "DSDT");
    assert_int_equal(load_le32(fadt + 40), load_le64(fadt + 140));
    assert_int_equal(load_le32(fadt + 56), 0xb000);
    assert_int_equal(load_le16(fadt + 109) & 4, 0); /* there is a VGA */
    /* The DSDT finds the record at the start of the block. */
    binf = NULL;
    for (size_t i = 0; i + 12 < load_le32(dsdt + 4); i++)
        if (!memcmp(dsdt + i,
                    "\x5b\x80"
                    "BINF\0\x0c",
                    8))
            binf = dsdt + i + 8;
    assert_non_null(binf);
    assert_int_equal(load_le32(binf), files[1].at);
    assert_int_equal(load_le32(block + 20), 0x80000000);
    assert_int_equal(load_le16(block + 24), 0xb000);
}

/* Built for an address, it is what the links make of it there. */
static void same_as_fixed(void **state)
{
    static uint8_t fixed[ACPI_SIZE_MAX];
    struct acpi_config c = config;
    struct err e;
    size_t used;
    gpa_t rsdp;

    (void)state;
    c.base = files[1].at;
    assert_int_equal(
        acpi_build(&c, fixed, sizeof fixed, &used, &rsdp, NULL, &e), 0);
    assert_memory_equal(fixed, block, used);
}

static void memory_map(void **state)
{
    uint8_t map[2 * E820_WIRE_SIZE];

    (void)state;
    assert_int_equal(fw_memory_map(0x40000000, 0, map), 20);
    assert_int_equal(load_le64(map + 8), 0x40000000);
    assert_int_equal(load_le32(map + 16), 1);
    assert_int_equal(fw_memory_map(0xc0000000, 0x1000, map), 40);
    assert_int_equal(load_le64(map + 20), 0x100000000);
    assert_int_equal(load_le64(map + 28), 0x1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(links_work),
        cmocka_unit_test(same_as_fixed),
        cmocka_unit_test(memory_map),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
