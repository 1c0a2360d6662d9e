/* What Linux would not take for an initrd is named before it starts. */
#include "machine/boot_linux.h"
#include "tests/unit/boot_testlib.h"

static uint8_t kernel[0x400];
static uint8_t file[4096];

/* A member of a cpio archive; returns where the next begins. */
static size_t put_member(size_t at, const char *name, const char *data)
{
    size_t n = strlen(data);

    snprintf((char *)file + at, sizeof file - at,
             "070701%08x%08x%08x%08x%08x%08x%08zx%08x%08x%08x%08x%08zx%08x%s",
             1, 0100644, 0, 0, 1, 0, n, 0, 0, 0, 0, strlen(name) + 1, 0, name);
    at = (at + 110 + strlen(name) + 1 + 3) & ~(size_t)3;
    memcpy(file + at, data, n);
    return (at + n + 3) & ~(size_t)3;
}

static int setup(void **state)
{
    (void)state;
    memset(file, 0, sizeof file);
    memset(kernel, 0, sizeof kernel);
    store_le16(kernel + H_KERNEL_VERSION, 0x100);
    strcpy((char *)kernel + 0x300, "6.1.0-lodge");
    return 0;
}

/* NULL: passes; else a part of the sentence. */
static void expect(size_t n, const char *part)
{
    struct bzimage z = {
        .file = kernel, .n = sizeof kernel, .setup_size = sizeof kernel};
    struct test_machine m = test_machine(16 * MB);
    struct boot_request q = test_request(&m, kernel, sizeof kernel);
    struct err e = {0};
    int r;

    q.initrd = (struct boot_bytes){file, n, "the-initrd"};
    r = linux_check_initrd(&q, &z, &e);
    if (r != (part ? -LE_FORMAT : 0) || (part && !strstr(e.text, part)) ||
        (part && !strstr(e.text, "the-initrd")))
        fail_msg("%zu bytes: code %d, \"%s\"; expected \"%s\"", n, r, e.text,
                 part ? part : "");
    test_machine_free(&m);
}

static void cpio(void **state)
{
    size_t first = put_member(0, "init", "#!/bin/sh\n"), n;

    (void)state;
    n = put_member(first, "TRAILER!!!", "");
    expect(n, NULL);
    expect(n + 512, NULL); /* zeros to the block's end */
    for (size_t cut = 1; cut < n - 3; cut++)
        if (cut < 6)
            expect(cut, "is no initrd");
        else if (cut < first - 2 || cut > first) /* but for padding */
            expect(cut, "truncated");
    memcpy(file + 54, "0000zz00", 8);
    expect(n, "truncated or damaged");
    memcpy(file + 54, "ffffffff", 8);
    expect(n, "truncated or damaged");
}

/* As early microcode comes: an archive, zeros, and the packed rest. */
static void packed(void **state)
{
    static const uint8_t hi[] = {0x1f, 0x8b, 0x08, 0x00, 0x00, 0x00, 0x00, 0x00,
                                 0x02, 0x03, 0xcb, 0xc8, 0x04, 0x00, 0xac, 0x2a,
                                 0x93, 0xd8, 0x02, 0x00, 0x00, 0x00};
    size_t at = put_member(0, "TRAILER!!!", "") + 64;

    (void)state;
    for (unsigned k = 0; k < 2; k++, at = 0) {
        memset(file + at, 0, sizeof file - at);
        memcpy(file + at, hi, sizeof hi);
        expect(at + sizeof hi, NULL);
        expect(at + sizeof hi + 100, NULL);
        expect(at + sizeof hi - 3, "truncated");
        file[at + 12] ^= 1;
        expect(at + sizeof hi, "damaged");
        file[at + 14] ^= 1;
        expect(at + sizeof hi, "damaged");
    }
}

static void others(void **state)
{
    (void)state;
    expect(sizeof file, "is no initrd");
    memcpy(file + 1024 + 56, "\x53\xef", 2); /* ext2 */
    expect(sizeof file, NULL);
    memset(file, 'x', sizeof file);
    expect(sizeof file, "is no initrd");
    /* What is no Linux takes what it likes. */
    strcpy((char *)kernel + 0x300, "iPXE 1.21");
    expect(sizeof file, NULL);
    store_le16(kernel + H_KERNEL_VERSION, 0xffff);
    expect(sizeof file, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(cpio, setup),
        cmocka_unit_test_setup(packed, setup),
        cmocka_unit_test_setup(others, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
