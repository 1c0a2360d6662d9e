/* Image formats: image/{registry,raw}.c. */
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <setjmp.h>

#include <cmocka.h>

#include "host/posix/loop.h"
#include "image/registry.h"

struct fixture {
    struct host_mutex lock;
    struct loop *loop;
};

static char dir[] = "/tmp/lodge-raw.XXXXXX";

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);

    host_mutex_init(&f->lock);
    f->loop = loop_create(&f->lock);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    loop_destroy(f->loop);
    host_mutex_destroy(&f->lock);
    free(f);
    return 0;
}

static void make(const char *name, const char *start, size_t at, size_t size)
{
    int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0644);

    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, (off_t)size), 0);
    assert_int_equal(pwrite(fd, start, strlen(start), (off_t)at),
                     strlen(start));
    close(fd);
}

static struct blk *opened(struct fixture *f, const struct image_options *o)
{
    struct err e = {0};
    struct blk *b;

    assert_int_equal(image_open(o, f->loop, &b, &e), 0);
    assert_string_equal(e.text, "");
    return b;
}

static void refused(struct fixture *f, const char *path, const char *format,
                    int code, const char *text)
{
    const struct image_options o = {.path = path, .format = format};
    struct stat before = {0}, after = {0};
    struct err e = {0};
    struct blk *b;

    stat(path, &before);
    assert_int_equal(image_open(&o, f->loop, &b, &e), -code);
    assert_null(b);
    assert_string_equal(e.text, text);
    stat(path, &after);
    assert_true(before.st_mtime == after.st_mtime &&
                before.st_size == after.st_size);
}

static void on_done(struct blk_req *r, int error)
{
    *(int *)r->ctx = error;
}

static int run(struct fixture *f, struct blk *b, enum blk_op op, uint64_t off,
               void *buf, size_t n)
{
    int error = 1;
    struct span sg = {buf, n};
    struct blk_req r = {.op = op,
                        .off = off,
                        .len = n,
                        .sg = &sg,
                        .nsg = 1,
                        .done = on_done,
                        .ctx = &error};

    blk_submit(b, &r);
    assert_int_equal(error, 1);
    while (error == 1)
        loop_run_due(f->loop, true);
    return error;
}

static void requests(void **state)
{
    struct fixture *f = *state;
    uint8_t buf[2048], file[2048];
    struct blk *b;
    FILE *in;

    make("a.img", "hello", 512, 1300); /* two sectors and a half */
    b = opened(f, &(struct image_options){.path = "a.img"});
    assert_int_equal(b->size, 1536);
    assert_int_equal(b->sector_size, 512);
    assert_true(!b->readonly && b->can_discard && b->can_zero);
    assert_int_equal(run(f, b, BLK_READ, 512, buf, 1024), 0);
    assert_memory_equal(buf, "hello", 6);
    assert_int_equal(buf[1023], 0);
    /* Not whole sectors; outside. */
    assert_int_equal(run(f, b, BLK_READ, 1, buf, 512), -LE_USAGE);
    assert_int_equal(run(f, b, BLK_READ, 0, buf, 511), -LE_USAGE);
    assert_int_equal(run(f, b, BLK_READ, 1536, buf, 512), -LE_RANGE);
    assert_int_equal(run(f, b, BLK_WRITE, 1024, buf, 1024), -LE_RANGE);
    assert_int_equal(run(f, b, BLK_WRITE, 0 - 512ull, buf, 1024), -LE_RANGE);
    assert_int_equal(run(f, b, BLK_ZERO, 0 - 512ull, buf, 512), -LE_RANGE);
    assert_int_equal(run(f, b, BLK_DISCARD, 1536, buf, 512), -LE_RANGE);
    memset(buf, 'w', sizeof buf);
    assert_int_equal(run(f, b, BLK_WRITE, 1024, buf, 512), 0);
    assert_int_equal(run(f, b, BLK_ZERO, 512, NULL, 512), 0);
    assert_int_equal(run(f, b, BLK_FLUSH, 0, NULL, 0), 0);
    b->ops->close(b);
    in = fopen("a.img", "r");
    assert_int_equal(fread(file, 1, sizeof file, in), 1536);
    fclose(in);
    assert_memory_equal(file + 1024, buf, 512);
    assert_int_equal(file[512], 0);
    unlink("a.img");
}

static void only_read(void **state)
{
    struct fixture *f = *state;
    struct blk *b;
    uint8_t buf[512];

    make("a.iso", "cd", 0, 2048);
    b = opened(f, &(struct image_options){.path = "a.iso", .readonly = true});
    assert_true(b->readonly && !b->can_discard && !b->can_zero);
    assert_int_equal(run(f, b, BLK_WRITE, 0, buf, 512), -LE_ACCESS);
    assert_int_equal(run(f, b, BLK_READ, 0, buf, 512), 0);
    assert_memory_equal(buf, "cd", 2);
    b->ops->close(b);
    b = opened(f, &(struct image_options){.path = "a.iso", .temporary = true});
    memset(buf, 't', sizeof buf);
    assert_int_equal(run(f, b, BLK_WRITE, 0, buf, 512), 0);
    memset(buf, 0, sizeof buf);
    assert_int_equal(run(f, b, BLK_READ, 0, buf, 512), 0);
    assert_int_equal(buf[511], 't');
    b->ops->close(b);
    b = opened(f, &(struct image_options){.path = "a.iso"});
    assert_int_equal(run(f, b, BLK_READ, 0, buf, 512), 0);
    assert_memory_equal(buf, "cd", 3);
    b->ops->close(b);
    unlink("a.iso");
}

static void which_format(void **state)
{
    struct fixture *f = *state;
    struct blk *b;

    make("disk", "QFI\xfb", 0, 65536);
    refused(f, "disk", NULL, LE_FORMAT,
            "disk: it looks like a qcow2 image, but would be opened as raw: "
            "say which with format=");
    refused(f, "disk", "qcow7", LE_UNSUPPORTED,
            "disk: images in the format qcow7 cannot be opened, only these: "
            "raw");
    refused(f, "disk.QCOW2", NULL, LE_UNSUPPORTED,
            "disk.QCOW2: images in the format qcow2 cannot be opened, only "
            "these: raw");
    /* Who says raw gets raw: the guest may have written that header. */
    b = opened(f, &(struct image_options){.path = "disk", .format = "raw"});
    assert_int_equal(b->size, 65536);
    b->ops->close(b);
    make("disk", "conectix", 65536 - 512, 65536);
    refused(f, "disk", NULL, LE_FORMAT,
            "disk: it looks like a vhd image, but would be opened as raw: "
            "say which with format=");
    make("disk", "conectix", 65536 - 1024, 65536);
    b = opened(f, &(struct image_options){.path = "disk"});
    b->ops->close(b);
    make("disk", "KDM", 0, 3);
    b = opened(f, &(struct image_options){.path = "disk"});
    assert_int_equal(b->size, 512);
    b->ops->close(b);
    unlink("disk");
}

static void bad_files(void **state)
{
    struct fixture *f = *state;
    struct blk *a, *b = NULL;
    struct err e;

    refused(f, "nothing.img", NULL, LE_NOENT,
            "nothing.img: there is no such file");
    make("empty.img", "", 0, 0);
    refused(f, "empty.img", NULL, LE_FORMAT, "empty.img: the image is empty");
    refused(f, "empty.img", "raw", LE_FORMAT, "empty.img: the image is empty");
    unlink("empty.img");
    make("a.img", "x", 0, 512);
    a = opened(f, &(struct image_options){.path = "a.img"});
    assert_int_equal(
        image_open(&(struct image_options){.path = "a.img"}, f->loop, &b, &e),
        -LE_BUSY);
    assert_null(b);
    a->ops->close(a);
    unlink("a.img");
}

/* Closing while the loop runs on its thread: flushes, then lets go. */
static void close_with_thread(void **state)
{
    struct fixture *f = *state;
    struct blk *b;

    make("a.img", "x", 0, 4096);
    loop_start(f->loop);
    for (unsigned i = 0; i < 100; i++) {
        b = opened(f, &(struct image_options){.path = "a.img"});
        b->ops->close(b);
    }
    unlink("a.img");
}

static int make_dir(void **state)
{
    (void)state;
    setenv("TMPDIR", "/tmp", 1);
    return mkdtemp(dir) && chdir(dir) == 0 ? 0 : -1;
}

static int remove_dir(void **state)
{
    (void)state;
    return chdir("/") || rmdir(dir);
}

#define RAW_TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        RAW_TEST(requests),          RAW_TEST(only_read),
        RAW_TEST(which_format),      RAW_TEST(bad_files),
        RAW_TEST(close_with_thread),
    };

    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
