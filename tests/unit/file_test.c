/* Whole files, memory, the log: host/posix/{file,memory,log,random}.c. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <setjmp.h>

#include <cmocka.h>

#include "host/posix/clock.h"
#include "host/posix/log.h"
#include "lodge/host.h"

static char dir[] = "/tmp/lodge-file.XXXXXX";

static int make_dir(void **state)
{
    (void)state;
    return mkdtemp(dir) && chdir(dir) == 0 ? 0 : -1;
}

static int remove_dir(void **state)
{
    (void)state;
    unlink("kernel");
    unlink("empty");
    unlink("secret");
    unlink("fifo");
    return chdir("/") || rmdir(dir);
}

static void put(const char *name, size_t n)
{
    FILE *f = fopen(name, "w");

    assert_non_null(f);
    for (size_t i = 0; i < n; i++)
        putc((int)(i * 7 & 0xff), f);
    assert_int_equal(fclose(f), 0);
}

static void reads_all(void **state)
{
    struct err e = {0};
    void *data;
    size_t n;

    (void)state;
    put("kernel", 100001);
    assert_int_equal(host_file_read("kernel", 100001, &data, &n, &e), 0);
    assert_int_equal(n, 100001);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(((uint8_t *)data)[i], i * 7 & 0xff);
    host_file_free(data, n);
}

/* Large files give back what is theirs, not what comes behind it. */
static void frees_its_own(void **state)
{
    const size_t size = (3 << 20) + 5000, page = (size_t)getpagesize();
    const void *mapped;
    struct err e = {0};
    void *data[2];
    size_t n;

    (void)state;
    put("kernel", size);
    assert_int_equal(host_file_read("kernel", size, &data[0], &n, &e), 0);
    assert_int_equal(host_file_map("kernel", size, &mapped, &n, &e), 0);
    data[1] = (void *)(uintptr_t)mapped;
    for (unsigned k = 0; k < 2; k++) {
        uint8_t *behind = (uint8_t *)data[k] + (size + page - 1) / page * page;

        /* Unless there is something already. */
        mmap(behind, page, PROT_READ | PROT_WRITE,
             MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
        host_file_free(data[k], n);
        assert_int_equal(msync(behind, page, MS_ASYNC), 0);
        assert_int_equal(msync(data[k], page, MS_ASYNC), -1);
    }
}

static void refuses(const char *path, uint64_t limit, int code,
                    const char *text)
{
    struct err e = {0};
    void *data = &e;
    size_t n = 1;

    assert_int_equal(host_file_read(path, limit, &data, &n, &e), -code);
    assert_null(data);
    assert_int_equal(n, 0);
    assert_int_equal(e.code, -code);
    assert_string_equal(e.text, text);
}

static void one_sentence_each(void **state)
{
    (void)state;
    put("kernel", 30000);
    put("empty", 0);
    refuses("missing", 100, LE_NOENT, "missing: there is no such file");
    refuses("kernel/x", 100, LE_NOENT, "kernel/x: Not a directory");
    refuses(".", 100, LE_USAGE, ".: it is a directory, not a file");
    refuses("empty", 100, LE_FORMAT, "empty: the file is empty");
    refuses("kernel", 29999, LE_RANGE,
            "kernel: the file has 29 KB, which is more than the 29 KB that "
            "can be loaded here");
    refuses("kernel", 100, LE_RANGE,
            "kernel: the file has 29 KB, which is more than the 100 bytes "
            "that can be loaded here");
    assert_int_equal(mkfifo("fifo", 0600), 0);
    refuses("fifo", 100, LE_USAGE, "fifo: it is not a regular file");
    refuses("/dev/null", 100, LE_USAGE, "/dev/null: it is not a regular file");
    put("secret", 10);
    chmod("secret", 0);
    if (geteuid() != 0)
        refuses("secret", 100, LE_ACCESS,
                "secret: this user has no permission to open it");
}

static void code_memory(void **state)
{
    static const uint8_t ret42[] = {0xb8, 42, 0, 0, 0, 0xc3};
    struct host_code c;

    (void)state;
    assert_int_equal(host_code_alloc(&c, 100), 0);
    assert_true(c.len >= 100 && c.len % 4096 == 0);
    assert_ptr_not_equal(c.rw, c.rx);
    memcpy(c.rw + c.len - sizeof ret42, ret42, sizeof ret42);
    assert_memory_equal(c.rx + c.len - sizeof ret42, ret42, sizeof ret42);
#ifdef __x86_64__
    {
        int (*fn)(void) =
            (int (*)(void))(uintptr_t)(c.rx + c.len - sizeof ret42);

        assert_int_equal(fn(), 42);
    }
#endif
    host_code_free(&c);
    assert_null(c.rw);
    host_code_free(&c);
    assert_int_equal(host_code_alloc(&c, 0), -LE_NOMEM);
    assert_int_equal(host_code_alloc(&c, SIZE_MAX - 5), -LE_NOMEM);
}

static void ram_and_heap(void **state)
{
    uint8_t *p = host_ram_alloc(5000), *q;

    (void)state;
    assert_non_null(p);
    assert_int_equal((uintptr_t)p % 4096, 0);
    assert_true(p[0] == 0 && p[4999] == 0);
    p[4999] = 1;
    host_ram_free(p, 5000);
    p = host_ram_alloc(5 << 20);
    assert_int_equal((uintptr_t)p % (2 << 20), 0);
    assert_int_equal(p[(5 << 20) - 1], 0);
    host_ram_free(p, 5 << 20);
    assert_null(host_ram_alloc(0));
    assert_null(host_ram_alloc(SIZE_MAX));
    assert_null(host_ram_alloc(SIZE_MAX / 2));
    host_ram_free(NULL, 5);
    q = host_alloc(100);
    assert_int_equal((uintptr_t)q % 64, 0);
    for (unsigned i = 0; i < 100; i++)
        assert_int_equal(q[i], 0);
    host_free(q);
    assert_null(host_alloc(SIZE_MAX));
    host_free(NULL);
    assert_true(host_ram_total() > 1 << 20);
}

/* What fn writes to standard error. */
static void captured(void (*fn)(void), char *to, size_t cap)
{
    int p[2], saved = dup(2);
    ssize_t n;

    assert_int_equal(pipe(p), 0);
    dup2(p[1], 2);
    fn();
    dup2(saved, 2);
    close(saved);
    close(p[1]);
    n = read(p[0], to, cap - 1);
    close(p[0]);
    to[n > 0 ? n : 0] = 0;
}

static void log_lines(void)
{
    char *longer = calloc(1, 5001);

    memset(longer, 'x', 5000);
    host_log(LOG_ERROR, "error %d", 1);
    host_log(LOG_WARN, "warning");
    host_log(LOG_INFO, "not shown");
    host_log_crlf(true);
    host_log(LOG_WARN, "raw");
    host_log(LOG_WARN, "%s", longer);
    host_log_crlf(false);
    free(longer);
}

static void log_guest_lines(void)
{
    struct ratelimit r = {0};

    host_clock_freeze(5000000000);
    for (unsigned i = 0; i < 30; i++)
        log_guest(&r, "slip %u", i);
    host_clock_freeze(6000000000);
    log_guest(&r, "later");
}

static unsigned lines(const char *text)
{
    unsigned n = 0;

    for (; *text; text++)
        n += *text == '\n';
    return n;
}

static void logging(void **state)
{
    char out[4096];

    (void)state;
    captured(log_lines, out, sizeof out);
    assert_ptr_equal(
        strstr(out, "lodge: error 1\nlodge: warning\nlodge: raw\r\nlodge: x"),
        out);
    assert_int_equal(lines(out), 4);
    assert_int_equal(out[strlen(out) - 1], '\n');
    captured(log_guest_lines, out, sizeof out);
    assert_string_equal(out, ""); /* not without -v */
    host_log_level(LOG_INFO);
    captured(log_guest_lines, out, sizeof out);
    host_log_level(LOG_WARN);
    host_clock_freeze(0);
    assert_int_equal(lines(out), 12);
    assert_non_null(strstr(out, "lodge: slip 9\nlodge: (20 more like the "
                                "following left out)\nlodge: later\n"));
}

static void random_numbers(void **state)
{
    uint8_t a[64] = {0}, b[64] = {0};

    (void)state;
    host_random(a, sizeof a);
    host_random(b, sizeof b);
    assert_memory_not_equal(a, b, sizeof a);
    host_random(a, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frees_its_own),     cmocka_unit_test(reads_all),
        cmocka_unit_test(one_sentence_each), cmocka_unit_test(code_memory),
        cmocka_unit_test(ram_and_heap),      cmocka_unit_test(logging),
        cmocka_unit_test(random_numbers),
    };

    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
