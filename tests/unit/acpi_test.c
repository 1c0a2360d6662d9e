/* ACPI tables: every pointer leads to a table whose sum is right; iasl takes
   them apart and puts the DSDT together again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/endian.h"
#include "machine/acpi/acpi.h"

static uint8_t blob[ACPI_SIZE_MAX];
static size_t used;

static const struct acpi_config config = {
    .base = ACPI_BASE,
    .pm_base = 0x600,
    .mem32 = 0xc0000000,
    .ncpus = 4,
    .ioapic_id = 4,
    .hpet_id = 0x8086a201,
    .mem64 = 0x200000000,
    .mem64_size = 0x100000000,
    .serials = 1,
    .i8042 = true,
};

static const uint8_t *at(uint64_t address, size_t n)
{
    assert_true(address >= ACPI_BASE && address + n <= ACPI_BASE + used);
    return blob + (address - ACPI_BASE);
}

static uint8_t sum(const uint8_t *p, size_t n)
{
    uint8_t s = 0;

    while (n--)
        s = (uint8_t)(s + *p++);
    return s;
}

static const uint8_t *table(uint64_t address, const char *signature)
{
    const uint8_t *t = at(address, 36);
    uint32_t n = load_le32(t + 4);

    assert_memory_equal(t, signature, 4);
    at(address, n);
    assert_int_equal(sum(t, n), 0);
    return t;
}

static const uint8_t *build(const struct acpi_config *c)
{
    struct err e;
    gpa_t rsdp;

    memset(blob, 0xcc, sizeof blob);
    if (acpi_build(c, blob, sizeof blob, &used, &rsdp, NULL, &e))
        fail_msg("%s", e.text);
    assert_int_equal(rsdp % 16, 0);
    return at(rsdp, 36);
}

/* A table that the XSDT lists, and the RSDT as well. */
static const uint8_t *find(const uint8_t *rsdp, const char *signature)
{
    const uint8_t *rsdt = table(load_le32(rsdp + 16), "RSDT");
    const uint8_t *xsdt = table(load_le64(rsdp + 24), "XSDT");
    unsigned n = (load_le32(xsdt + 4) - 36) / 8;

    assert_int_equal((load_le32(rsdt + 4) - 36) / 4, n);
    for (unsigned i = 0; i < n; i++) {
        uint64_t a = load_le64(xsdt + 36 + 8 * i);

        assert_int_equal(load_le32(rsdt + 36 + 4 * i), a);
        if (!memcmp(at(a, 4), signature, 4))
            return table(a, signature);
    }
    return NULL;
}

static void root(void **state)
{
    const uint8_t *rsdp = build(&config);

    (void)state;
    assert_memory_equal(rsdp, "RSD PTR ", 8);
    assert_int_equal(sum(rsdp, 20), 0);
    assert_int_equal(sum(rsdp, 36), 0);
    assert_non_null(find(rsdp, "FACP"));
    assert_non_null(find(rsdp, "APIC"));
    assert_non_null(find(rsdp, "HPET"));
    assert_non_null(find(rsdp, "WAET"));
}

static void fadt(void **state)
{
    const uint8_t *t = find(build(&config), "FACP"), *facs;

    (void)state;
    assert_int_equal(load_le32(t + 4), 276);
    facs = at(load_le32(t + 36), 64);
    assert_memory_equal(facs, "FACS", 4);
    assert_int_equal(load_le32(t + 36) % 64, 0);
    assert_int_equal(load_le64(t + 132), 0);
    table(load_le32(t + 40), "DSDT");
    assert_int_equal(load_le64(t + 140), load_le32(t + 40));
    assert_int_equal(load_le16(t + 46), 9);
    /* The old and the extended fields say the same. */
    assert_int_equal(load_le64(t + 148 + 4), load_le32(t + 56));
    assert_int_equal(load_le64(t + 172 + 4), load_le32(t + 64));
    assert_int_equal(load_le64(t + 208 + 4), load_le32(t + 76));
    assert_int_equal(load_le64(t + 220 + 4), load_le32(t + 80));
    assert_int_equal(t[149], t[88] * 8);
    assert_int_equal(t[173], t[89] * 8);
    assert_int_equal(t[209], t[91] * 8);
    assert_int_equal(t[221], t[92] * 8);
    assert_int_equal(load_le64(t + 120), 0xcf9);
    assert_int_equal(t[128], 6);
    assert_int_equal(load_le32(t + 112) >> 10 & 1, 1);
    assert_int_equal(load_le32(t + 112) >> 6 & 1, 0); /* RTC_STS is there */
    assert_int_equal(load_le32(t + 48), 0xb2);
    assert_int_equal(load_le16(t + 52), 0xf0f1);
}

static void madt(void **state)
{
    struct acpi_config c = config;

    (void)state;
    for (c.ncpus = 1; c.ncpus <= 300; c.ncpus += 23) {
        const uint8_t *t = find(build(&c), "APIC"), *p = t + 44;
        const uint8_t *end = t + load_le32(t + 4);
        unsigned cpus = 0, ioapics = 0, overrides = 0, nmis = 0;

        for (; p < end; p += p[1]) {
            assert_true(p[1] >= 6 && p + p[1] <= end);
            switch (p[0]) {
            case 0: assert_int_equal(p[3], cpus++); break;
            case 9: assert_int_equal(load_le32(p + 4), cpus++); break;
            case 1:
                assert_int_equal(load_le32(p + 4), IOAPIC_BASE);
                ioapics++;
                break;
            case 2:
                assert_int_equal(load_le32(p + 4), p[3] == 0 ? 2 : 9);
                assert_int_equal(load_le16(p + 8), p[3] == 0 ? 0 : 0x0d);
                overrides++;
                break;
            case 4:
            case 10: nmis++; break;
            default: fail();
            }
        }
        assert_int_equal(cpus, c.ncpus);
        assert_int_equal(ioapics, 1);
        assert_int_equal(overrides, 2);
        assert_int_equal(nmis, c.ncpus > 255 ? 2 : 1);
    }
}

static void record(void **state)
{
    struct acpi_config c = config;

    (void)state;
    c.hpet_id = 0;
    assert_null(find(build(&c), "HPET"));
    assert_int_equal(load_le64(blob), c.mem64);
    assert_int_equal(load_le64(blob + 8), c.mem64_size);
    assert_int_equal(blob[16], 1);
    assert_int_equal(blob[17], 0);
    assert_int_equal(blob[18], 1);
}

static void too_small(void **state)
{
    uint8_t *exact;
    struct err e;
    gpa_t rsdp;
    size_t full;

    (void)state;
    build(&config);
    full = used;
    for (size_t n = 0; n < full; n += 7) {
        exact = malloc(n + 1);
        assert_int_equal(acpi_build(&config, exact, n, &used, &rsdp, NULL, &e),
                         -LE_RANGE);
        free(exact);
    }
}

static void save(const char *dir, const char *name, const uint8_t *t)
{
    char path[256];
    FILE *f;

    snprintf(path, sizeof path, "%s/%s.aml", dir, name);
    f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(t, 1, load_le32(t + 4), f), load_le32(t + 4));
    assert_int_equal(fclose(f), 0);
}

static void run(const char *dir, const char *command)
{
    char line[600];

    snprintf(line, sizeof line,
             "cd %s && %s >>log 2>&1 && "
             "! grep -iE 'checksum|invalid|error +[1-9]|[1-9] errors' log",
             dir, command);
    if (system(line))
        fail_msg("failed: %s", line);
}

static void round_trip(void **state)
{
    char dir[] = "/tmp/lodge-acpi-XXXXXX", command[128];
    static const char *const names[] = {"FACP", "APIC", "HPET", "WAET"};
    const uint8_t *rsdp = build(&config), *fadt_table = find(rsdp, "FACP");

    (void)state;
    assert_non_null(mkdtemp(dir));
    for (unsigned i = 0; i < 4; i++) {
        save(dir, names[i], find(rsdp, names[i]));
        snprintf(command, sizeof command, "iasl -d %s.aml", names[i]);
        run(dir, command);
    }
    save(dir, "DSDT", at(load_le32(fadt_table + 40), 36));
    run(dir, "iasl -d DSDT.aml && iasl -ve -p again DSDT.dsl && "
             "cmp -i 36 DSDT.aml again.aml");
    snprintf(command, sizeof command, "rm -r %s", dir);
    assert_int_equal(system(command), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(root),      cmocka_unit_test(fadt),
        cmocka_unit_test(madt),      cmocka_unit_test(record),
        cmocka_unit_test(too_small), cmocka_unit_test(round_trip),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
