/*
 * Files behind images: host/posix/{aio,hostfile,overlay,fdio}.c, with io_uring
 * and with threads alone.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <setjmp.h>

#include <cmocka.h>

#include "host/posix/aio.h"
#include "host/posix/loop.h"
#include "lodge/file.h"

enum { SIZE = 100000, SLOTS = 24, SPANS = 4 };

struct fixture {
    struct host_mutex lock;
    struct loop *loop;
    struct host_file *file;
};

static char dir[] = "/tmp/lodge-aio.XXXXXX";
static bool use_uring;

/* One request and what became of it. */
struct slot {
    struct blk_req r;
    struct span sg[SPANS];
    bool done;
    int error;
};

static void on_done(struct blk_req *r, int error)
{
    struct slot *s = r->ctx;

    assert_false(s->done);
    s->done = true;
    s->error = error;
}

static void prepare(struct slot *s, enum blk_op op, uint64_t off, uint64_t len)
{
    memset(s, 0, sizeof *s);
    s->r = (struct blk_req){
        .op = op, .off = off, .len = len, .done = on_done, .ctx = s};
}

static void submit(struct fixture *f, struct slot *s)
{
    file_submit(f->file, &s->r);
    assert_false(s->done);
}

static int wait_for(struct fixture *f, struct slot *s)
{
    while (!s->done)
        loop_run_due(f->loop, true);
    return s->error;
}

/* One request on one buffer, to its end. */
static int run(struct fixture *f, enum blk_op op, uint64_t off, void *buf,
               size_t n)
{
    struct slot s;

    prepare(&s, op, off, n);
    s.sg[0] = (struct span){buf, n};
    s.r.sg = s.sg;
    s.r.nsg = buf ? 1 : 0;
    submit(f, &s);
    return wait_for(f, &s);
}

static void fill(uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        p[i] = (uint8_t)rand();
}

static void make_file(const char *name, const uint8_t *p, size_t n)
{
    int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0644);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, p, n), n);
    close(fd);
}

static size_t file_bytes(const char *name, uint8_t *p, size_t cap)
{
    int fd = open(name, O_RDONLY);
    ssize_t n = read(fd, p, cap);

    assert_true(fd >= 0 && n >= 0);
    close(fd);
    return (size_t)n;
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    struct aio *a;

    srand(3);
    host_mutex_init(&f->lock);
    f->loop = loop_create(&f->lock);
    a = aio_create(f->loop, use_uring);
    assert_non_null(a);
    assert_true(use_uring || !aio_has_uring(a));
    loop_set_aio(f->loop, a);
    *state = f;
    return 0;
}

static void shut(struct fixture *f)
{
    file_close(f->file);
    f->file = NULL;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    shut(f);
    loop_destroy(f->loop);
    host_mutex_destroy(&f->lock);
    free(f);
    unlink("disk");
    return 0;
}

static void opened(struct fixture *f, const struct file_options *o)
{
    struct err e = {0};

    assert_int_equal(file_open("disk", o, f->loop, &f->file, &e), 0);
}

/* --- against a model in memory --- */

struct model {
    uint8_t *now;  /* what the file holds */
    uint8_t *data; /* a buffer for each slot */
    size_t piece;  /* each slot has its own piece of the file */
    struct slot slots[SLOTS];
};

static void start_slot(struct fixture *f, struct model *m, unsigned i)
{
    static const enum blk_op ops[] = {BLK_READ,  BLK_READ, BLK_WRITE,
                                      BLK_WRITE, BLK_ZERO, BLK_FLUSH};
    struct slot *s = &m->slots[i];
    uint8_t *buf = m->data + i * m->piece;
    size_t from = (size_t)rand() % m->piece;
    size_t n = (size_t)rand() % (m->piece - from), left = n;
    uint64_t off = i * m->piece + from;
    unsigned k;

    if (rand() % 2) { /* whole sectors, as guests mostly ask */
        off = off / 512 * 512;
        n = left = n / 512 * 512;
        if (off < i * m->piece)
            off += 512;
        if (off + n > (i + 1) * m->piece)
            n = left = 0;
    }
    prepare(s, ops[rand() % ARRAY_LEN(ops)], off, n);
    for (k = 0; k < SPANS - 1 && left; k++) {
        s->sg[k].p = buf + (n - left);
        s->sg[k].n = (size_t)rand() % (left + 1);
        left -= s->sg[k].n;
    }
    s->sg[k++] = (struct span){buf + (n - left), left};
    s->r.sg = s->sg;
    s->r.nsg = k;
    if (s->r.op == BLK_WRITE)
        fill(buf, n);
    submit(f, s);
}

static void finish_slot(struct fixture *f, struct model *m, unsigned i)
{
    struct slot *s = &m->slots[i];
    uint8_t *buf = m->data + i * m->piece;

    assert_int_equal(wait_for(f, s), 0);
    switch (s->r.op) {
    case BLK_READ: assert_memory_equal(buf, m->now + s->r.off, s->r.len); break;
    case BLK_WRITE: memcpy(m->now + s->r.off, buf, s->r.len); break;
    case BLK_ZERO: memset(m->now + s->r.off, 0, s->r.len); break;
    default: break;
    }
}

/* Batches of requests in flight at once, each in its own piece of the file. */
static void random_requests(struct fixture *f, uint8_t *now)
{
    static struct model m;

    m.now = now;
    m.piece = SIZE / SLOTS;
    m.data = malloc(SIZE);
    for (unsigned round = 0; round < 60; round++) {
        for (unsigned i = 0; i < SLOTS; i++)
            start_slot(f, &m, i);
        for (unsigned i = 0; i < SLOTS; i++)
            finish_slot(f, &m, i);
    }
    free(m.data);
}

static void reads_and_writes(void **state)
{
    struct fixture *f = *state;
    static uint8_t now[SIZE], file[SIZE + 1];

    fill(now, SIZE);
    make_file("disk", now, SIZE);
    opened(f, &(struct file_options){0});
    assert_int_equal(file_size(f->file), SIZE);
    random_requests(f, now);
    shut(f);
    assert_int_equal(file_bytes("disk", file, sizeof file), SIZE);
    assert_memory_equal(file, now, SIZE);
}

static void temporary(void **state)
{
    struct fixture *f = *state;
    static uint8_t base[SIZE], now[SIZE], file[SIZE + 1];
    uint8_t byte;

    fill(base, SIZE);
    memcpy(now, base, SIZE);
    make_file("disk", base, SIZE);
    opened(f, &(struct file_options){.temporary = true});
    random_requests(f, now);
    assert_int_equal(run(f, BLK_READ, 0, file, SIZE), 0);
    assert_memory_equal(file, now, SIZE);
    /* Given back: never the old content of the file below. */
    assert_int_equal(run(f, BLK_DISCARD, 1000, NULL, 5000), 0);
    assert_int_equal(run(f, BLK_READ, 0, file, SIZE), 0);
    memset(now + 1000, 0, 5000);
    assert_memory_equal(file, now, SIZE);
    /* The rest of the last sector is there, what lies beyond is not. */
    assert_int_equal(run(f, BLK_WRITE, SIZE, "x", 1), 0);
    assert_int_equal(run(f, BLK_READ, SIZE, &byte, 1), 0);
    assert_int_equal(byte, 'x');
    assert_int_equal(run(f, BLK_WRITE, 1 << 20, "x", 1), -LE_NOSPACE);
    assert_int_equal(run(f, BLK_ZERO, 1 << 20, NULL, 1), -LE_NOSPACE);
    shut(f);
    assert_int_equal(file_bytes("disk", file, sizeof file), SIZE);
    assert_memory_equal(file, base, SIZE);
    opened(f, &(struct file_options){.temporary = true}); /* gone */
    assert_int_equal(run(f, BLK_READ, 0, file, SIZE), 0);
    assert_memory_equal(file, base, SIZE);
}

static void past_the_end(void **state)
{
    struct fixture *f = *state;
    uint8_t buf[2000], file[4000];

    memset(buf, 'a', 1000);
    make_file("disk", buf, 1000);
    opened(f, &(struct file_options){0});
    memset(buf, 'x', sizeof buf);
    assert_int_equal(run(f, BLK_READ, 500, buf, sizeof buf), 0);
    for (unsigned i = 0; i < sizeof buf; i++)
        assert_int_equal(buf[i], i < 500 ? 'a' : 0);
    memset(buf, 'x', sizeof buf);
    assert_int_equal(run(f, BLK_READ, 5000, buf, sizeof buf), 0);
    assert_int_equal(buf[0] | buf[1999], 0);
    assert_int_equal(run(f, BLK_WRITE, 3000, "tail", 4), 0);
    assert_int_equal(run(f, BLK_DISCARD, 0, NULL, 100), 0);
    shut(f);
    assert_int_equal(file_bytes("disk", file, sizeof file), 3004);
    assert_memory_equal(file + 3000, "tail", 4);
    assert_int_equal(file[999], 'a');
    assert_int_equal(file[1000], 0);
}

/* More than the ring holds, of which some are large. */
static void many_at_once(void **state)
{
    enum { MANY = 700, EACH = 50000 };
    struct fixture *f = *state;
    struct slot *s = calloc(MANY, sizeof *s);
    uint8_t *buf = malloc((size_t)MANY * EACH);

    make_file("disk", (const uint8_t *)"x", 1);
    opened(f, &(struct file_options){0});
    for (unsigned op = 0; op < 2; op++) {
        for (unsigned i = 0; i < MANY; i++) {
            size_t n = i % 7 ? 100 : EACH;
            uint8_t *p = buf + (size_t)i * EACH;

            memset(p, op ? 0 : (int)i, n);
            prepare(&s[i], op ? BLK_READ : BLK_WRITE, (uint64_t)i * EACH, n);
            s[i].sg[0] = (struct span){p, n};
            s[i].r.sg = s[i].sg;
            s[i].r.nsg = 1;
            submit(f, &s[i]);
        }
        for (unsigned i = 0; i < MANY; i++) {
            assert_int_equal(wait_for(f, &s[i]), 0);
            assert_int_equal(buf[(size_t)i * EACH + 99], (uint8_t)i);
        }
    }
    free(s);
    free(buf);
}

static void refused_requests(void **state)
{
    struct fixture *f = *state;
    uint8_t buf[512] = {0};
    struct span sg[2] = {{buf, 256}, {buf + 256, SIZE_MAX}};
    struct slot s;

    make_file("disk", buf, sizeof buf);
    opened(f, &(struct file_options){.readonly = true});
    assert_int_equal(run(f, BLK_WRITE, 0, buf, 512), -LE_ACCESS);
    assert_int_equal(run(f, BLK_ZERO, 0, NULL, 512), -LE_ACCESS);
    assert_int_equal(run(f, BLK_DISCARD, 0, NULL, 512), -LE_ACCESS);
    assert_int_equal(run(f, BLK_FLUSH, 0, NULL, 0), 0);
    assert_int_equal(run(f, BLK_READ, 0, buf, 512), 0);
    assert_int_equal(run(f, BLK_READ, UINT64_MAX - 100, buf, 512), -LE_RANGE);
    assert_int_equal(run(f, BLK_READ, INT64_MAX, buf, 512), -LE_RANGE);
    prepare(&s, BLK_READ, 0, 255); /* the spans hold more, and too much */
    s.r.sg = sg;
    s.r.nsg = 1;
    submit(f, &s);
    assert_int_equal(wait_for(f, &s), -LE_RANGE);
    s.r.nsg = 2;
    s.done = false;
    submit(f, &s);
    assert_int_equal(wait_for(f, &s), -LE_RANGE);
    assert_int_equal(file_write(f->file, 0, "x", 1), -LE_ACCESS);
    shut(f);
    opened(f, &(struct file_options){0});
    prepare(&s, BLK_WRITE, 0, 0);
    file_finish(f->file, &s.r, -LE_FORMAT); /* what a driver refuses */
    assert_false(s.done);
    assert_int_equal(wait_for(f, &s), -LE_FORMAT);
    assert_int_equal(file_write(f->file, 5, "abc", 3), 0);
    assert_int_equal(file_read(f->file, 4, buf, 5), 0);
    assert_memory_equal(buf, "\0abc\0", 5);
}

static void disk_full(void **state)
{
    struct fixture *f = *state;
    struct rlimit old, small;
    uint8_t buf[4096] = {1};

    make_file("disk", buf, sizeof buf);
    opened(f, &(struct file_options){0});
    getrlimit(RLIMIT_FSIZE, &old);
    small = (struct rlimit){1 << 20, old.rlim_max};
    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &small);
    assert_int_equal(run(f, BLK_WRITE, 2 << 20, buf, 4096), -LE_NOSPACE);
    assert_int_equal(run(f, BLK_WRITE, (1 << 20) - 100, buf, 4096),
                     -LE_NOSPACE);
    assert_int_equal(run(f, BLK_WRITE, 8192, buf, 4096), 0);
    setrlimit(RLIMIT_FSIZE, &old);
}

/* --- opening --- */

static void cannot_open(struct fixture *f, const char *path,
                        const struct file_options *o, int code,
                        const char *text)
{
    struct host_file *file = NULL;
    struct err e = {0};

    assert_int_equal(file_open(path, o, f->loop, &file, &e), -code);
    assert_null(file);
    assert_string_equal(e.text, text);
}

static void open_errors(void **state)
{
    const struct file_options rw = {0};
    struct fixture *f = *state;

    cannot_open(f, "missing", &rw, LE_NOENT, "missing: there is no such file");
    assert_int_equal(access("missing", F_OK), -1);
    cannot_open(f, ".", &rw, LE_USAGE, ".: it is a directory, not a file");
    cannot_open(f, ".", &(struct file_options){.readonly = true}, LE_USAGE,
                ".: it is a directory, not a file");
    assert_int_equal(mkfifo("fifo", 0600), 0);
    cannot_open(f, "fifo", &(struct file_options){.readonly = true}, LE_USAGE,
                "fifo: it is neither a file nor a block device");
    unlink("fifo");
    cannot_open(f, "/dev/null", &rw, LE_USAGE,
                "/dev/null: it is neither a file nor a block device");
    make_file("disk", (const uint8_t *)"x", 1);
    setenv("TMPDIR", "/nonexistent", 1);
    cannot_open(f, "disk", &(struct file_options){.temporary = true}, LE_NOENT,
                "/nonexistent: no temporary file can be made there (TMPDIR "
                "names the place): No such file or directory");
    setenv("TMPDIR", dir, 1);
    file_close(NULL);
}

static void locks(void **state)
{
    static const struct {
        struct file_options first, second;
        bool ok;
    } pairs[] = {
        {{0}, {0}, false},
        {{0}, {.readonly = true}, false},
        {{0}, {.temporary = true}, false},
        {{.readonly = true}, {0}, false},
        {{.temporary = true}, {0}, false},
        {{.readonly = true}, {.readonly = true}, true},
        {{.temporary = true}, {.temporary = true}, true},
        {{.temporary = true}, {.readonly = true}, true},
    };
    struct fixture *f = *state;
    struct host_file *second;
    struct err e;

    make_file("disk", (const uint8_t *)"x", 1);
    for (unsigned i = 0; i < ARRAY_LEN(pairs); i++) {
        opened(f, &pairs[i].first);
        if (pairs[i].ok) {
            assert_int_equal(
                file_open("disk", &pairs[i].second, f->loop, &second, &e), 0);
            file_close(second);
        } else {
            bool write =
                !pairs[i].second.readonly && !pairs[i].second.temporary;

            cannot_open(f, "disk", &pairs[i].second, LE_BUSY,
                        write ? "disk: it is in use by another VM or program"
                              : "disk: it is in use by another VM or program, "
                                "which may change it");
        }
        shut(f);
    }
}

/* --- with the loop's thread, from several threads --- */

struct client {
    struct fixture *f;
    struct host_event done;
    uint64_t base;
    bool bad;
};

struct waiting {
    struct blk_req r;
    struct client *c;
    int error;
};

static void on_client_done(struct blk_req *r, int error)
{
    struct waiting *w = r->ctx;

    w->error = error;
    host_event_signal(&w->c->done);
}

static void client_run(struct client *c, enum blk_op op, uint64_t off,
                       uint8_t *buf, size_t n)
{
    struct span sg = {buf, n};
    struct waiting w = {.c = c};

    w.r = (struct blk_req){.op = op,
                           .off = off,
                           .len = n,
                           .sg = &sg,
                           .nsg = 1,
                           .done = on_client_done,
                           .ctx = &w};
    file_submit(c->f->file, &w.r);
    host_event_wait(&c->done, UINT64_MAX);
    /* done() itself has returned: what it used is on this stack. */
    loop_barrier(c->f->loop);
    c->bad |= w.error != 0;
}

static void client_main(void *arg)
{
    struct client *c = arg;
    uint8_t out[700], in[700];

    for (unsigned i = 0; i < 60; i++) {
        memset(out, (int)(i + c->base), sizeof out);
        client_run(c, BLK_WRITE, c->base + i * 10, out, sizeof out);
        client_run(c, BLK_READ, c->base + i * 10, in, sizeof in);
        c->bad |= memcmp(in, out, sizeof in) != 0;
        if (i % 20 == 0)
            client_run(c, BLK_FLUSH, 0, NULL, 0);
    }
}

static void several_threads(void **state)
{
    struct fixture *f = *state;
    struct host_thread *t[3];
    struct client c[3];

    for (unsigned kind = 0; kind < 2; kind++) {
        make_file("disk", (const uint8_t *)"x", 1);
        truncate("disk", 1 << 20);
        opened(f, &(struct file_options){.temporary = kind});
        if (!kind)
            loop_start(f->loop);
        for (unsigned i = 0; i < 3; i++) {
            c[i] = (struct client){.f = f, .base = i * 100000u};
            host_event_init(&c[i].done);
            t[i] = host_thread_start("client", client_main, &c[i]);
        }
        for (unsigned i = 0; i < 3; i++) {
            host_thread_join(t[i]);
            assert_false(c[i].bad);
        }
        shut(f);
    }
}

static int make_dir(void **state)
{
    (void)state;
    if (!mkdtemp(dir) || chdir(dir))
        return -1;
    setenv("TMPDIR", dir, 1);
    return 0;
}

static int remove_dir(void **state)
{
    (void)state;
    return chdir("/") || rmdir(dir); /* nothing was left behind */
}

#define AIO_TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        AIO_TEST(reads_and_writes), AIO_TEST(temporary),
        AIO_TEST(past_the_end),     AIO_TEST(many_at_once),
        AIO_TEST(refused_requests), AIO_TEST(disk_full),
        AIO_TEST(open_errors),      AIO_TEST(locks),
        AIO_TEST(several_threads),
    };
    struct host_mutex lock;
    struct loop *l;
    struct aio *a;
    int rc =
        cmocka_run_group_tests_name("threads", tests, make_dir, remove_dir);

    host_mutex_init(&lock);
    l = loop_create(&lock);
    a = aio_create(l, true);
    use_uring = a && aio_has_uring(a);
    aio_destroy(a);
    loop_destroy(l);
    if (!use_uring) {
        print_message("this host has no io_uring: not tested\n");
        return rc;
    }
    strcpy(dir, "/tmp/lodge-aio.XXXXXX");
    return rc +
           cmocka_run_group_tests_name("io_uring", tests, make_dir, remove_dir);
}
