/* ELF kernels by their PVH note. */
#include "tests/unit/boot_testlib.h"

static uint8_t file[1 << 18];

static const struct test_elf wide = {
    .wide = true,
    .entry = 0x1000000,
    .vaddr = 0xffffffff81000000,
    .paddr = 16 * MB,
    .file_size = 70000,
    .mem_size = 90000,
    .pvh = 16 * MB + 0x100,
};

static struct boot_request make(const struct test_machine *m,
                                const struct test_elf *t)
{
    return test_request(m, file, make_elf(t, file));
}

static void check_start_info(const struct test_machine *m,
                             const struct boot_request *q,
                             const struct boot_image *out)
{
    const uint8_t *p = m->ram + out->rbx, *map;

    assert_int_equal(load_le32(p), 0x336ec578);
    assert_int_equal(load_le32(p + 4), 1);
    assert_string_equal(m->ram + load_le64(p + 24), q->cmdline);
    assert_int_equal(load_le64(p + 32), q->rsdp);
    assert_int_equal(load_le32(p + 48), m->map.n);
    map = m->ram + load_le64(p + 40);
    for (unsigned i = 0; i < m->map.n; i++) {
        assert_int_equal(load_le64(map + 24 * i), m->map.e[i].base);
        assert_int_equal(load_le64(map + 24 * i + 8), m->map.e[i].len);
        assert_int_equal(load_le32(map + 24 * i + 16), m->map.e[i].type);
    }
    assert_int_equal(load_le32(p + 12), q->initrd.p ? 1 : 0);
    if (q->initrd.p) {
        const uint8_t *module = m->ram + load_le64(p + 16);

        assert_int_equal(load_le64(module + 8), q->initrd.n);
        assert_memory_equal(m->ram + load_le64(module), q->initrd.p,
                            q->initrd.n);
    }
}

static void loads(void **state)
{
    (void)state;
    for (unsigned bits = 32; bits <= 64; bits += 32) {
        struct test_machine m = test_machine(64 * MB);
        struct test_elf t = wide;
        struct x86_state s = {.cr0 = 0x60000010};
        struct boot_request q;
        struct boot_image out;
        uint8_t initrd[777];

        t.wide = bits == 64;
        q = make(&m, &t);
        memset(initrd, 9, sizeof initrd);
        q.initrd = (struct boot_bytes){initrd, sizeof initrd, "initrd"};
        q.cmdline = "panic=-1";
        memset(m.ram + 16 * MB, 0xaa, MB);
        must_load(&m, &q, &out);
        check_start_info(&m, &q, &out);
        assert_memory_equal(m.ram + 16 * MB, file + TEST_ELF_DATA, t.file_size);
        for (size_t i = t.file_size; i < t.mem_size; i++)
            assert_int_equal(m.ram[16 * MB + i], 0);
        assert_int_equal(m.ram[16 * MB + t.mem_size], 0xaa);
        assert_int_equal(boot_state(&out, &s), 0);
        assert_int_equal(s.rip, t.pvh);
        assert_int_equal(s.gpr[RBX], out.rbx);
        assert_int_equal(s.cr0, CR0_PE | CR0_ET);
        assert_int_equal(s.cr4, 0);
        assert_int_equal(s.tr.limit, 0x67);
        assert_int_equal(s.seg[CS].attr, 0xb | SEG_S | SEG_P | SEG_DB | SEG_G);
        test_machine_free(&m);
    }
}

static void refuses(void **state)
{
    struct test_machine m = test_machine(64 * MB);
    struct test_elf t = wide;
    struct boot_request q;

    (void)state;
    t.pvh = 0;
    q = make(&m, &t);
    must_fail(&m, &q, LE_UNSUPPORTED, "without a PVH note");
    t.pvh = 20 * MB;
    q = make(&m, &t);
    must_fail(&m, &q, LE_FORMAT, "PVH entry 0x1400000 is not part");
    t = wide;
    t.machine = 183;
    q = make(&m, &t);
    must_fail(&m, &q, LE_FORMAT, "arm64");
    t = wide;
    t.paddr = 100 * MB;
    t.pvh = 100 * MB;
    q = make(&m, &t);
    must_fail(&m, &q, LE_RANGE, "up to 101 MB");
    t.paddr = 0x1800; /* on the descriptor table and what follows it */
    t.pvh = 0x1800;
    q = make(&m, &t);
    must_fail(&m, &q, LE_FORMAT, "overlap");
    t = wide;
    t.mem_size = t.file_size - 1;
    q = make(&m, &t);
    must_fail(&m, &q, LE_FORMAT, "contradict");
    q = make(&m, &wide);
    q.entry = BOOT_32;
    must_fail(&m, &q, LE_USAGE, "no such entry");
    q.entry = BOOT_AUTO;
    q.long_mode = false;
    must_fail(&m, &q, LE_UNSUPPORTED, "64-bit kernel");
    file[5] = 2;
    must_fail(&m, &q, LE_FORMAT, "big-endian");
    test_machine_free(&m);
}

/* Linkers put a file's headers before its first page, RAM there or not. */
static void headers_before(void **state)
{
    struct test_machine m = test_machine(64 * MB);
    struct test_elf t = wide;
    struct boot_request q;
    struct boot_image out;
    uint8_t *ph;

    (void)state;
    t.wide = false;
    q = make(&m, &t);
    q.cmdline = "";
    /* A third segment; one byte too many makes it one that counts. */
    store_le16(file + 44, 3);
    ph = file + 52 + 64;
    store_le32(ph, 1);
    store_le32(ph + 12, 0xff000);
    store_le32(ph + 16, 52 + 96);
    store_le32(ph + 20, 52 + 96);
    must_load(&m, &q, &out);
    assert_int_equal(out.rip, t.pvh);
    store_le32(ph + 12, 0x100000);
    must_load(&m, &q, &out);
    assert_memory_equal(m.ram + MB, file, 52 + 96);
    store_le32(ph + 12, 0xff000);
    store_le32(ph + 16, 52 + 97);
    store_le32(ph + 20, 52 + 97);
    must_fail(&m, &q, LE_RANGE, "0xff000");
    test_machine_free(&m);
}

static void truncated(void **state)
{
    struct test_machine m = test_machine(64 * MB);
    size_t n = make_elf(&wide, file);

    (void)state;
    for (size_t k = 4; k < n; k += k < 0x300 ? 1 : 333) {
        uint8_t *exact = malloc(k);
        struct boot_request q = test_request(&m, exact, k);

        memcpy(exact, file, k);
        must_fail(&m, &q, LE_FORMAT, "damaged ELF file");
        free(exact);
    }
    test_machine_free(&m);
}

/* Any byte of the headers changed in any of a few ways: no crash, and RAM
   outside the map stays untouched (the address sanitizer sees to it). */
static void damaged(void **state)
{
    static const uint8_t flips[] = {0x01, 0x80, 0xff, 0x7f};
    struct test_machine m = test_machine(64 * MB);
    size_t n = make_elf(&wide, file);
    uint8_t *copy = malloc(n);
    unsigned refused = 0;

    (void)state;
    memcpy(copy, file, n);
    for (size_t i = 0; i < TEST_ELF_DATA; i++)
        for (unsigned f = 0; f < ARRAY_LEN(flips); f++) {
            struct boot_request q = test_request(&m, copy, n);
            struct boot_image out;
            struct err e;

            copy[i] ^= flips[f];
            if (test_load(&m, &q, &out, &e)) {
                assert_true(e.text[0] != 0);
                refused++;
            }
            copy[i] ^= flips[f];
        }
    assert_true(refused > 50);
    free(copy);
    test_machine_free(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(loads),          cmocka_unit_test(refuses),
        cmocka_unit_test(headers_before), cmocka_unit_test(truncated),
        cmocka_unit_test(damaged),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
