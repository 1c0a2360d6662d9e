/* Linux boot protocol: kernels made here, and real ones when there are any. */
#include "tests/unit/boot_testlib.h"

static const struct test_bzimage modern = {
    .version = 0x20f,
    .relocatable = true,
    .wide = true,
    .pref = 16 * MB,
    .init_size = 8 * MB,
};

static uint8_t image[1 << 20];

/* What every protected- or long-mode entry hands over. */
static void check_params(const struct test_machine *m,
                         const struct boot_request *q,
                         const struct boot_image *out)
{
    const uint8_t *p = m->ram + out->rsi;

    assert_int_equal(out->rsi, BOOT_INFO);
    assert_memory_equal(p + 0x1fe, q->kernel.p + 0x1fe, 0x10);
    assert_int_equal(p[0x210], 0xff);
    assert_int_equal(load_le16(p + 0x1fa), 0xffff);
    assert_string_equal(m->ram + load_le32(p + 0x228),
                        q->cmdline ? q->cmdline : "");
    assert_int_equal(load_le64(p + 0x70), q->rsdp);
    assert_int_equal(p[0x1e8], m->map.n);
    for (unsigned i = 0; i < m->map.n; i++) {
        assert_int_equal(load_le64(p + 0x2d0 + 20 * i), m->map.e[i].base);
        assert_int_equal(load_le64(p + 0x2d8 + 20 * i), m->map.e[i].len);
        assert_int_equal(load_le32(p + 0x2e0 + 20 * i), m->map.e[i].type);
    }
    assert_int_equal(load_le32(p + 0x1e0), (m->size - MB) >> 10);
    if (q->initrd.p) {
        assert_int_equal(load_le32(p + 0x21c), q->initrd.n);
        assert_int_equal(load_le32(p + 0x218) % 4096, 0);
        assert_memory_equal(m->ram + load_le32(p + 0x218), q->initrd.p,
                            q->initrd.n);
    } else {
        assert_int_equal(load_le32(p + 0x218), 0);
        assert_int_equal(load_le32(p + 0x21c), 0);
    }
    assert_memory_equal(m->ram + BOOT_GDT + BOOT_CS,
                        out->mode == BOOT_MODE_LONG
                            ? "\xff\xff\0\0\0\x9b\xaf\0"
                            : "\xff\xff\0\0\0\x9b\xcf\0",
                        8);
    assert_memory_equal(m->ram + BOOT_GDT + BOOT_DS, "\xff\xff\0\0\0\x93\xcf\0",
                        8);
}

/* Does the table at cr3 map the address to itself, writable? */
static uint64_t walk(const struct test_machine *m, uint64_t cr3, uint64_t a)
{
    uint64_t e = load_le64(m->ram + cr3 + 8 * (a >> 39 & 511));

    assert_int_equal(e & 3, 3);
    e = load_le64(m->ram + (e & ~0xfffull) + 8 * (a >> 30 & 511));
    assert_int_equal(e & 0x83, 3);
    e = load_le64(m->ram + (e & ~0xfffull) + 8 * (a >> 21 & 511));
    assert_int_equal(e & 0x83, 0x83);
    return (e & ~0x1fffffull) | (a & 0x1fffff);
}

static void check_long_mode(const struct test_machine *m,
                            const struct boot_image *out)
{
    static const uint64_t probe[] = {0,          0x2000,     0x1234567,
                                     0x3fffffff, 0x40000000, 0xfee00000};
    struct x86_state s = {.cr0 = 0x60000010, .mtrr_def_type = 0};

    for (unsigned i = 0; i < ARRAY_LEN(probe); i++)
        assert_int_equal(walk(m, out->cr3, probe[i]), probe[i]);
    assert_int_equal(boot_state(out, &s), 0);
    assert_int_equal(s.cr0, CR0_PE | CR0_ET | (uint64_t)CR0_PG);
    assert_int_equal(s.cr4, CR4_PAE);
    assert_int_equal(s.efer, EFER_LME | EFER_LMA);
    assert_int_equal(s.cr3, out->cr3);
    assert_int_equal(s.rip, out->rip);
    assert_int_equal(s.gpr[RSI], out->rsi);
    assert_int_equal(s.rflags, FLAG_1);
    assert_int_equal(s.seg[CS].sel, 0x10);
    assert_int_equal(s.seg[CS].attr, 0xb | SEG_S | SEG_P | SEG_L | SEG_G);
    assert_int_equal(s.seg[SS].sel, 0x18);
    assert_int_equal(s.seg[DS].attr, 3 | SEG_S | SEG_P | SEG_DB | SEG_G);
    assert_int_equal(s.gdt.base, BOOT_GDT);
    assert_true(s.gdt.limit >= 0x1f);
}

static void entry_64(void **state)
{
    struct test_machine m = test_machine(64 * MB);
    size_t n = make_bzimage(&modern, image);
    struct boot_request q = test_request(&m, image, n);
    struct boot_image out;
    uint8_t initrd[5000];

    (void)state;
    memset(initrd, 0x5c, sizeof initrd);
    q.initrd = (struct boot_bytes){initrd, sizeof initrd, "initrd"};
    q.cmdline = "console=ttyS0 quiet";
    must_load(&m, &q, &out);
    assert_int_equal(out.mode, BOOT_MODE_LONG);
    assert_int_equal(out.rip, 16 * MB + 0x200);
    assert_memory_equal(m.ram + 16 * MB, image + TEST_SETUP, n - TEST_SETUP);
    check_params(&m, &q, &out);
    check_long_mode(&m, &out);
    assert_int_equal(load_le32(m.ram + BOOT_INFO + 0x214), 16 * MB);
    /* As high as it goes, in memory and for the kernel. */
    assert_int_equal(load_le32(m.ram + BOOT_INFO + 0x218), 64 * MB - 2 * 4096);
    store_le32(image + 0x22c, 40 * MB - 1);
    must_load(&m, &q, &out);
    assert_int_equal(load_le32(m.ram + BOOT_INFO + 0x218), 40 * MB - 2 * 4096);
    test_machine_free(&m);
}

static void entry_32(void **state)
{
    struct test_machine m = test_machine(64 * MB);
    size_t n = make_bzimage(&modern, image);
    struct boot_request q = test_request(&m, image, n);
    struct x86_state s = {.cr0 = 0x60000010};
    struct boot_image out;

    (void)state;
    q.entry = BOOT_32;
    must_load(&m, &q, &out);
    assert_int_equal(out.mode, BOOT_MODE_PROTECTED);
    assert_int_equal(out.rip, 16 * MB);
    check_params(&m, &q, &out);
    assert_int_equal(boot_state(&out, &s), 0);
    assert_int_equal(s.cr0, CR0_PE | CR0_ET);
    assert_int_equal(s.cr4, 0);
    assert_int_equal(s.efer, 0);
    assert_int_equal(s.seg[CS].attr, 0xb | SEG_S | SEG_P | SEG_DB | SEG_G);
    assert_int_equal(s.seg[CS].limit, 0xffffffff);
    assert_int_equal(s.gpr[RSI], BOOT_INFO);
    assert_int_equal(s.gpr[RBX], 0);
    test_machine_free(&m);
}

static void entry_16(void **state)
{
    struct test_machine m = test_machine(64 * MB);
    size_t n = make_bzimage(&modern, image);
    struct boot_request q = test_request(&m, image, n);
    struct x86_state s = {.cr0 = 0x60000010};
    struct boot_image out;
    const uint8_t *p;

    (void)state;
    q.entry = BOOT_16;
    q.cmdline = "root=/dev/vda";
    must_load(&m, &q, &out);
    assert_int_equal(boot_state(&out, &s), 0);
    assert_int_equal(s.cr0, CR0_ET);
    assert_int_equal(s.seg[CS].sel, 0x9020);
    assert_int_equal(s.seg[CS].base, 0x90200);
    assert_int_equal(s.rip, 0);
    for (unsigned i = 0; i < 6; i++) {
        assert_int_equal(s.seg[i].limit, 0xffff);
        if (i != CS)
            assert_int_equal(s.seg[i].sel, 0x9000);
    }
    p = m.ram + 0x90000;
    assert_memory_equal(p, image, 0x1f1);
    assert_memory_equal(p + 0x290, image + 0x290, TEST_SETUP - 0x290);
    assert_memory_equal(m.ram + MB, image + TEST_SETUP, n - TEST_SETUP);
    assert_int_equal(p[0x211], 0x81);
    assert_int_equal(load_le32(p + 0x214), MB);
    assert_string_equal(m.ram + load_le32(p + 0x228), q.cmdline);
    /* Heap and stack end where the command line begins. */
    assert_true(load_le16(p + 0x224) + 0x200u <= s.gpr[RSP]);
    assert_true(0x90000 + s.gpr[RSP] <= load_le32(p + 0x228));
    test_machine_free(&m);
}

/* Every version of the protocol, each by its own natural way in. */
static void versions(void **state)
{
    (void)state;
    for (unsigned v = 0x200; v <= 0x20f; v++) {
        struct test_machine m = test_machine(64 * MB);
        struct test_bzimage t = modern;
        struct boot_request q;
        struct boot_image out;

        t.version = v;
        q = test_request(&m, image, make_bzimage(&t, image));
        q.cmdline = "a b";
        must_load(&m, &q, &out);
        assert_int_equal(out.mode, v >= 0x20c   ? BOOT_MODE_LONG
                                   : v >= 0x202 ? BOOT_MODE_PROTECTED
                                                : BOOT_MODE_REAL);
        if (out.mode != BOOT_MODE_REAL) {
            assert_int_equal(out.rip & ~0x200ull, v >= 0x20a ? 16 * MB : MB);
        } else {
            const uint8_t *p = m.ram + 0x90000;

            assert_int_equal(load_le16(p + 0x20), 0xa33f);
            assert_string_equal(p + load_le16(p + 0x22), "a b");
        }
        test_machine_free(&m);
    }
}

static void zimage(void **state)
{
    struct test_machine m = test_machine(16 * MB);
    struct test_bzimage t = {.version = 0x203, .low = true};
    size_t n = make_bzimage(&t, image);
    struct boot_request q = test_request(&m, image, n);
    struct boot_image out;

    (void)state;
    must_load(&m, &q, &out);
    assert_int_equal(out.mode, BOOT_MODE_REAL);
    assert_memory_equal(m.ram + 0x10000, image + TEST_SETUP, n - TEST_SETUP);
    assert_int_equal(load_le32(m.ram + 0x90214), 0x1000);
    q.entry = BOOT_32;
    must_fail(&m, &q, LE_UNSUPPORTED, "has no 32-bit entry");
    test_machine_free(&m);
}

static void seed(void **state)
{
    struct test_machine m = test_machine(64 * MB);
    struct boot_request q =
        test_request(&m, image, make_bzimage(&modern, image));
    uint8_t random[BOOT_SEED_SIZE];
    struct boot_image out;
    uint64_t at;

    (void)state;
    for (unsigned i = 0; i < sizeof random; i++)
        random[i] = (uint8_t)(200 - i);
    must_load(&m, &q, &out);
    assert_int_equal(load_le64(m.ram + BOOT_INFO + 0x250), 0);
    q.seed = random;
    must_load(&m, &q, &out);
    at = load_le64(m.ram + BOOT_INFO + 0x250);
    assert_int_equal(load_le64(m.ram + at), 0);
    assert_int_equal(load_le32(m.ram + at + 8), 9);
    assert_int_equal(load_le32(m.ram + at + 12), sizeof random);
    assert_memory_equal(m.ram + at + 16, random, sizeof random);
    test_machine_free(&m);
}

/* --- unpacked on the host --- */
static size_t pack(const struct test_elf *elf, const struct test_bzimage *t,
                   uint8_t *packed)
{
    uint8_t *file = malloc(1 << 20);
    struct test_bzimage with = *t;
    size_t n;

    with.payload_size = make_gzip(file, make_elf(elf, file), packed);
    with.payload = packed;
    n = make_bzimage(&with, image);
    free(file);
    return n;
}

static const struct test_elf vmlinux = {
    .wide = true,
    .entry = 16 * MB + 0x40,
    .vaddr = 0xffffffff81000000,
    .paddr = 16 * MB,
    .file_size = 100000,
    .mem_size = 200000,
};

static void unpacked(void **state)
{
    static uint8_t packed[1 << 19];
    struct test_machine m = test_machine(64 * MB);
    size_t n = pack(&vmlinux, &modern, packed);
    struct boot_request q = test_request(&m, image, n);
    struct boot_image out;

    (void)state;
    q.cmdline = "quiet";
    memset(m.ram + 16 * MB, 0xee, MB); /* not cleared, as after a reset */
    must_load(&m, &q, &out);
    assert_string_equal(out.how, "bzImage unpacked by the host, 64-bit kernel");
    assert_int_equal(out.rip, 16 * MB + 0x40);
    check_params(&m, &q, &out);
    check_long_mode(&m, &out);
    for (size_t i = 0; i < vmlinux.mem_size; i++)
        if (m.ram[16 * MB + i] !=
            (i < vmlinux.file_size ? (uint8_t)(i * 7 + 1) : 0))
            fail_msg("byte %zu is %u", i, m.ram[16 * MB + i]);
    q.self_unpack = true;
    must_load(&m, &q, &out);
    assert_string_equal(out.how, "bzImage, 64-bit entry");
    test_machine_free(&m);
}

static void unpacked_32(void **state)
{
    static uint8_t packed[1 << 19];
    struct test_machine m = test_machine(64 * MB);
    struct test_bzimage t = modern;
    struct test_elf elf = vmlinux;
    struct boot_image out;
    struct boot_request q;

    (void)state;
    t.wide = elf.wide = false;
    elf.vaddr = 0xc1000000;
    q = test_request(&m, image, pack(&elf, &t, packed));
    q.long_mode = false;
    must_load(&m, &q, &out);
    assert_string_equal(out.how, "bzImage unpacked by the host, 32-bit kernel");
    assert_int_equal(out.mode, BOOT_MODE_PROTECTED);
    assert_int_equal(out.rip, 16 * MB + 0x40);
    check_params(&m, &q, &out);
    test_machine_free(&m);
}

/* What cannot be started directly starts by its own stub. */
static void unusual(void **state)
{
    static uint8_t packed[1 << 19];
    struct test_machine m = test_machine(64 * MB);
    struct test_elf elf = vmlinux;
    struct boot_image out;
    struct boot_request q;

    (void)state;
    elf.entry = 17 * MB; /* in no segment */
    q = test_request(&m, image, pack(&elf, &modern, packed));
    must_load(&m, &q, &out);
    assert_string_equal(out.how, "bzImage, 64-bit entry");
    q.entry = BOOT_ELF;
    must_fail(&m, &q, LE_UNSUPPORTED, "its own stub");
    elf = vmlinux;
    elf.paddr = elf.entry = 24 * MB; /* not where the header says */
    q = test_request(&m, image, pack(&elf, &modern, packed));
    must_load(&m, &q, &out);
    assert_string_equal(out.how, "bzImage, 64-bit entry");
    elf = vmlinux;
    elf.machine = 183;
    q = test_request(&m, image, pack(&elf, &modern, packed));
    must_load(&m, &q, &out);
    assert_string_equal(out.how, "bzImage, 64-bit entry");
    /* An unknown packer. */
    q = test_request(&m, image, pack(&vmlinux, &modern, packed));
    memcpy(image + TEST_SETUP + TEST_CODE_MIN, "\x89LZO", 4);
    must_load(&m, &q, &out);
    assert_string_equal(out.how, "bzImage, 64-bit entry");
    test_machine_free(&m);
}

static void by_pvh(void **state)
{
    static uint8_t packed[1 << 19];
    struct test_machine m = test_machine(64 * MB);
    struct test_elf elf = vmlinux;
    struct boot_image out;
    struct boot_request q;

    (void)state;
    elf.pvh = 16 * MB + 0x850;
    q = test_request(&m, image, pack(&elf, &modern, packed));
    q.entry = BOOT_PVH;
    must_load(&m, &q, &out);
    assert_int_equal(out.mode, BOOT_MODE_PROTECTED);
    assert_int_equal(out.rip, elf.pvh);
    assert_int_equal(load_le32(m.ram + out.rbx), 0x336ec578);
    test_machine_free(&m);
}

/* --- what is wrong --- */
static void corrupt(void **state)
{
    static uint8_t packed[1 << 19];
    struct test_machine m = test_machine(64 * MB);
    size_t n = pack(&vmlinux, &modern, packed);
    struct boot_request q = test_request(&m, image, n);

    (void)state;
    image[TEST_SETUP + TEST_CODE_MIN + 5000] ^= 1;
    must_fail(&m, &q, LE_FORMAT, "vmlinuz is corrupt");
    test_machine_free(&m);
}

static void truncated(void **state)
{
    struct test_machine m = test_machine(64 * MB);
    size_t n = make_bzimage(&modern, image);

    (void)state;
    for (size_t k = 0x208; k < n - 15; k += k < 0x400 ? 1 : 97) {
        uint8_t *exact = malloc(k); /* for the address sanitizer */
        struct boot_request q = test_request(&m, exact, k);

        memcpy(exact, image, k);
        must_fail(&m, &q, LE_FORMAT, "vmlinuz is truncated");
        free(exact);
    }
    test_machine_free(&m);
}

static void no_kernel(void **state)
{
    struct test_machine m = test_machine(64 * MB);
    uint8_t file[512] = {0};
    struct boot_request q = test_request(&m, file, 0);

    (void)state;
    must_fail(&m, &q, LE_FORMAT, "vmlinuz is empty");
    q.kernel.n = sizeof file;
    must_fail(&m, &q, LE_FORMAT, "no kernel Lodge knows");
    memcpy(file + 0x38, "ARM\x64", 4);
    must_fail(&m, &q, LE_FORMAT, "arm64");
    memset(file, 0, sizeof file);
    memcpy(file, "MZ", 2);
    must_fail(&m, &q, LE_FORMAT, "cut off before its Linux boot header");
    memcpy(file, "\x1f\x8b\x08", 3);
    must_fail(&m, &q, LE_FORMAT, "gzip");
    memcpy(file, "QFI\xfb", 4);
    must_fail(&m, &q, LE_FORMAT, "disk image");
    test_machine_free(&m);
}

static void does_not_fit(void **state)
{
    struct test_machine m = test_machine(20 * MB);
    struct boot_request q =
        test_request(&m, image, make_bzimage(&modern, image));
    static uint8_t initrd[5 * MB];
    char *text = malloc(70000);

    (void)state;
    must_fail(&m, &q, LE_RANGE, "up to 24 MB, but the guest has 20 MB");
    test_machine_free(&m);

    m = test_machine(28 * MB);
    q.map = &m.map;
    q.initrd = (struct boot_bytes){initrd, sizeof initrd, "the-initrd"};
    /* There is room below the kernel, too. */
    must_load(&m, &q, &(struct boot_image){0});
    assert_int_equal(load_le32(m.ram + BOOT_INFO + 0x218), 11 * MB);
    q.initrd.n = 0;
    must_fail(&m, &q, LE_FORMAT, "the-initrd is empty");
    q.initrd.p = image; /* never read: it is refused before */
    q.initrd.n = 16 * MB;
    must_fail(&m, &q, LE_RANGE, "the-initrd (16 MB) does not fit");
    q.initrd.p = NULL;

    memset(text, 'x', 70000);
    q.cmdline = text;
    text[2047] = 0;
    must_load(&m, &q, &(struct boot_image){0});
    text[2047] = 'x';
    text[2048] = 0;
    must_fail(&m, &q, LE_RANGE, "2048 bytes, but vmlinuz takes 2047");
    text[2048] = 'x';
    text[69999] = 0;
    must_fail(&m, &q, LE_RANGE, "shorten --append");
    free(text);
    test_machine_free(&m);
}

static void wrong_cpu(void **state)
{
    struct test_machine m = test_machine(64 * MB);
    struct boot_request q =
        test_request(&m, image, make_bzimage(&modern, image));

    (void)state;
    q.long_mode = false;
    must_fail(&m, &q, LE_UNSUPPORTED, "64-bit kernel");
    q.long_mode = true;
    store_le16(image + 0x236, 0);
    q.entry = BOOT_64;
    must_fail(&m, &q, LE_UNSUPPORTED, "has no 64-bit entry");
    store_le16(image + 0x206, 0x105);
    must_fail(&m, &q, LE_UNSUPPORTED, "version 1.05");
    test_machine_free(&m);
}

/* Header fields at their extremes: an error or a load inside RAM, no more. */
static void extremes(void **state)
{
    static const uint16_t fields[] = {0x1f1, 0x1f4, 0x201, 0x22c, 0x230, 0x238,
                                      0x248, 0x24c, 0x258, 0x25c, 0x260, 0x211};
    static const uint32_t values[] = {
        0, 1, 0xff, 0x7fffffff, 0x80000000, 0xfffff000, 0xffffffff};
    struct test_machine m = test_machine(64 * MB);
    unsigned loaded = 0, refused = 0;

    (void)state;
    for (unsigned f = 0; f < ARRAY_LEN(fields); f++)
        for (unsigned v = 0; v < ARRAY_LEN(values); v++)
            for (enum boot_entry how = BOOT_AUTO; how <= BOOT_PVH; how++) {
                struct boot_request q =
                    test_request(&m, image, make_bzimage(&modern, image));
                struct boot_image out;
                struct err e;

                store_le32(image + fields[f], values[v]);
                q.entry = how;
                if (test_load(&m, &q, &out, &e)) {
                    assert_true(e.text[0] != 0);
                    refused++;
                } else {
                    loaded++;
                }
            }
    assert_true(loaded > 10 && refused > 10);
    test_machine_free(&m);
}

/* The kernels that $LODGE_TEST_KERNELS names (separated by colons) load, and
   unpack to a known ELF. */
static void real_kernels(void **state)
{
    const char *list = getenv("LODGE_TEST_KERNELS");
    char path[1024];

    (void)state;
    if (!list || !*list)
        skip();
    while (*list) {
        size_t n = strcspn(list, ":");
        struct test_machine m = test_machine(512 * MB);
        struct boot_request q;
        struct boot_image out;
        uint8_t *file;
        FILE *f;

        snprintf(path, sizeof path, "%.*s", (int)n, list);
        f = fopen(path, "rb");
        assert_non_null(f);
        file = malloc(64 * MB);
        q = test_request(&m, file, fread(file, 1, 64 * MB, f));
        fclose(f);
        for (enum boot_entry how = BOOT_AUTO; how <= BOOT_PVH; how++) {
            struct err e;

            q.entry = how;
            if (test_load(&m, &q, &out, &e) && how != BOOT_64)
                fail_msg("%s: %s", path, e.text);
            if (how == BOOT_AUTO)
                print_message("%s: %s\n", path, out.how);
            if (how == BOOT_AUTO)
                assert_non_null(strstr(out.how, "unpacked by the host"));
        }
        free(file);
        test_machine_free(&m);
        list += n + (list[n] == ':');
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(entry_64),     cmocka_unit_test(entry_32),
        cmocka_unit_test(entry_16),     cmocka_unit_test(versions),
        cmocka_unit_test(zimage),       cmocka_unit_test(seed),
        cmocka_unit_test(unpacked),     cmocka_unit_test(unpacked_32),
        cmocka_unit_test(unusual),      cmocka_unit_test(by_pvh),
        cmocka_unit_test(corrupt),      cmocka_unit_test(truncated),
        cmocka_unit_test(no_kernel),    cmocka_unit_test(does_not_fit),
        cmocka_unit_test(wrong_cpu),    cmocka_unit_test(extremes),
        cmocka_unit_test(real_kernels),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
