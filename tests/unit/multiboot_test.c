/* Multiboot 1 kernels: ELF and with addresses in their header. */
#include "tests/unit/boot_testlib.h"

enum { HEADER_AT = TEST_ELF_DATA + 0x20 };

static uint8_t file[1 << 17];

static const struct test_elf elf = {
    .entry = 0xc0100040,
    .vaddr = 0xc0100000,
    .paddr = 1 * MB,
    .file_size = 60000,
    .mem_size = 80000,
};

static void put_header(uint8_t *p, uint32_t flags)
{
    store_le32(p, 0x1badb002);
    store_le32(p + 4, flags);
    store_le32(p + 8, 0u - 0x1badb002 - flags);
}

static struct boot_request make(const struct test_machine *m, uint32_t flags)
{
    size_t n = make_elf(&elf, file);

    put_header(file + HEADER_AT, flags);
    return test_request(m, file, n);
}

static void check_info(const struct test_machine *m,
                       const struct boot_request *q,
                       const struct boot_image *out, const char *cmdline)
{
    const uint8_t *p = m->ram + out->rbx, *map;
    uint32_t off = 0, n = load_le32(p + 44);

    assert_int_equal(load_le32(p), 0x24d);
    assert_int_equal(load_le32(p + 4), 639);
    assert_int_equal(load_le32(p + 8), (m->size - MB) >> 10);
    assert_string_equal(m->ram + load_le32(p + 16), cmdline);
    assert_string_equal(m->ram + load_le32(p + 64), "Lodge");
    assert_int_equal(load_le32(p + 20), q->initrd.p ? 1 : 0);
    if (q->initrd.p) {
        const uint8_t *mod = m->ram + load_le32(p + 24);
        uint32_t start = load_le32(mod), end = load_le32(mod + 4);

        assert_int_equal(start % 4096, 0);
        assert_int_equal(end - start, q->initrd.n);
        assert_memory_equal(m->ram + start, q->initrd.p, q->initrd.n);
        assert_string_equal(m->ram + load_le32(mod + 8), q->initrd.name);
        /* Directly behind the kernel. */
        assert_true(start >= MB + 80000 && start < MB + 80000 + 4096);
    }
    map = m->ram + load_le32(p + 48);
    for (unsigned i = 0; i < m->map.n; i++) {
        assert_int_equal(load_le64(map + off + 4), m->map.e[i].base);
        assert_int_equal(load_le64(map + off + 12), m->map.e[i].len);
        assert_int_equal(load_le32(map + off + 20), m->map.e[i].type);
        off += load_le32(map + off) + 4;
    }
    assert_int_equal(off, n);
}

static void elf_kernel(void **state)
{
    struct test_machine m = test_machine(32 * MB);
    struct boot_request q = make(&m, 3);
    struct x86_state s = {.cr0 = 0x60000010};
    struct boot_image out;
    uint8_t module[9000];

    (void)state;
    memset(module, 0x77, sizeof module);
    q.cmdline = "1 2";
    q.initrd = (struct boot_bytes){module, sizeof module, "mod name"};
    must_load(&m, &q, &out);
    check_info(&m, &q, &out, "vmlinuz 1 2");
    assert_memory_equal(m.ram + MB, file + TEST_ELF_DATA, elf.file_size);
    assert_int_equal(boot_state(&out, &s), 0);
    /* The entry is a linear address of the segment. */
    assert_int_equal(s.rip, 0x100040);
    assert_int_equal(s.gpr[RAX], 0x2badb002);
    assert_int_equal(s.gpr[RBX], out.rbx);
    assert_int_equal(s.cr0, CR0_PE | CR0_ET);
    assert_int_equal(s.rflags, FLAG_1);
    for (unsigned i = 0; i < 6; i++) {
        assert_int_equal(s.seg[i].base, 0);
        assert_int_equal(s.seg[i].limit, 0xffffffff);
    }
    q.cmdline = NULL;
    q.initrd.p = NULL;
    must_load(&m, &q, &out);
    check_info(&m, &q, &out, "vmlinuz");
    test_machine_free(&m);
}

static void by_addresses(void **state)
{
    struct test_machine m = test_machine(32 * MB);
    uint8_t *h = file + 0x100;
    struct boot_request q;
    struct boot_image out;

    (void)state;
    for (size_t i = 0; i < 40000; i++)
        file[i] = (uint8_t)(i * 3 + 7);
    put_header(h, 0x10000);
    store_le32(h + 12, 2 * MB + 0x80); /* header */
    store_le32(h + 16, 2 * MB);        /* load: 0x80 into the file */
    store_le32(h + 20, 2 * MB + 30000);
    store_le32(h + 24, 2 * MB + 50000);
    store_le32(h + 28, 2 * MB + 0x123);
    q = test_request(&m, file, 40000);
    memset(m.ram + 2 * MB, 0xbb, 60000);
    must_load(&m, &q, &out);
    assert_int_equal(out.rip, 2 * MB + 0x123);
    assert_memory_equal(m.ram + 2 * MB, file + 0x80, 30000);
    for (unsigned i = 30000; i < 50000; i++)
        assert_int_equal(m.ram[2 * MB + i], 0);
    assert_int_equal(m.ram[2 * MB + 50000], 0xbb);

    store_le32(h + 20, 0); /* to the end of the file */
    store_le32(h + 24, 0); /* no bss */
    must_load(&m, &q, &out);
    assert_memory_equal(m.ram + 2 * MB, file + 0x80, 40000 - 0x80);

    store_le32(h + 20, 2 * MB + 40000);
    must_fail(&m, &q, LE_FORMAT, "contradict");
    store_le32(h + 20, 2 * MB + 30000);
    store_le32(h + 24, 2 * MB + 100);
    must_fail(&m, &q, LE_FORMAT, "contradict");
    store_le32(h + 24, 0);
    store_le32(h + 28, 2 * MB - 1);
    must_fail(&m, &q, LE_FORMAT, "contradict");
    store_le32(h + 28, 2 * MB);
    store_le32(h + 12, 2 * MB + 0x101); /* would start before the file */
    must_fail(&m, &q, LE_FORMAT, "contradict");
    store_le32(h + 12, 2 * MB - 4);
    must_fail(&m, &q, LE_FORMAT, "contradict");
    store_le32(h + 12, 40 * MB + 0x80);
    store_le32(h + 16, 40 * MB);
    store_le32(h + 20, 40 * MB + 30000);
    store_le32(h + 28, 40 * MB);
    must_fail(&m, &q, LE_RANGE, "with --memory");
    test_machine_free(&m);
}

static void refuses(void **state)
{
    struct test_machine m = test_machine(32 * MB);
    struct boot_request q = make(&m, 4);

    (void)state;
    must_fail(&m, &q, LE_UNSUPPORTED, "video mode");
    q = make(&m, 0x100);
    must_fail(&m, &q, LE_UNSUPPORTED, "flags 0x100");
    q = make(&m, 3);
    q.entry = BOOT_64;
    must_fail(&m, &q, LE_USAGE, "multiboot kernel");
    /* A wrong checksum is no header: then it is an ELF file without a note. */
    q = make(&m, 3);
    q.entry = BOOT_AUTO;
    file[HEADER_AT + 8] ^= 1;
    must_fail(&m, &q, LE_UNSUPPORTED, "PVH note");
    /* Not aligned, or too far into the file: likewise. */
    q = make(&m, 3);
    memmove(file + HEADER_AT + 1, file + HEADER_AT, 12);
    must_fail(&m, &q, LE_UNSUPPORTED, "PVH note");
    q = make(&m, 3);
    memset(file + HEADER_AT, 0, 12);
    put_header(file + 8192 - 8, 3);
    must_fail(&m, &q, LE_UNSUPPORTED, "PVH note");
    put_header(file + 8192 - 12, 3);
    must_load(&m, &q, &(struct boot_image){0});
    /* Without ELF or addresses there is nothing to go by. */
    memset(file, 0, sizeof file);
    put_header(file, 0);
    q = test_request(&m, file, 4096);
    must_fail(&m, &q, LE_FORMAT, "is no ELF file");
    /* The address fields lie past the end. */
    put_header(file, 0x10000);
    q = test_request(&m, file, 31);
    must_fail(&m, &q, LE_FORMAT, "no kernel Lodge knows");
    test_machine_free(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(elf_kernel),
        cmocka_unit_test(by_addresses),
        cmocka_unit_test(refuses),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
