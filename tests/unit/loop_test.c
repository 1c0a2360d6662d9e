/* The I/O loop and its timers: host/posix/{loop,timers}.c. */
#include <fcntl.h>
#include <sched.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include <setjmp.h>

#include <cmocka.h>

#include "host/posix/clock.h"
#include "host/posix/loop.h"
#include "host/posix/timers.h"

static int compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

/* Random inserts and removes against a sorted array. */
static void heap_order(void **state)
{
    enum { N = 500 };
    static struct timer t[N];
    uint64_t left[N];
    struct timer *root = NULL;
    unsigned n = 0;

    (void)state;
    srand(1);
    for (unsigned round = 0; round < 20; round++) {
        n = 0;
        for (unsigned i = 0; i < N; i++) {
            t[i].deadline = (uint64_t)rand() % 1000;
            timers_insert(&root, &t[i]);
            if (i % 3 == 2) { /* one of those before, wherever it sits */
                struct timer *victim = &t[i - (unsigned)rand() % 3];

                timers_remove(&root, victim);
                victim->deadline = UINT64_MAX;
            }
        }
        for (unsigned i = 0; i < N; i++)
            if (t[i].deadline != UINT64_MAX)
                left[n++] = t[i].deadline;
        qsort(left, n, sizeof left[0], compare);
        for (unsigned i = 0; i < n; i++) {
            assert_non_null(root);
            assert_int_equal(root->deadline, left[i]);
            timers_remove(&root, root);
        }
        assert_null(root);
    }
}

struct fixture {
    struct host_mutex lock;
    struct loop *loop;
    struct host_event event;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);

    host_mutex_init(&f->lock);
    host_event_init(&f->event);
    f->loop = loop_create(&f->lock);
    assert_non_null(f->loop);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    host_clock_freeze(0);
    loop_destroy(f->loop);
    host_event_destroy(&f->event);
    host_mutex_destroy(&f->lock);
    free(f);
    return 0;
}

struct mark {
    char **at;
    char name;
};

static void put_mark(void *ctx)
{
    struct mark *m = ctx;

    *(*m->at)++ = m->name;
}

static void timers_run_in_order(void **state)
{
    struct fixture *f = *state;
    char order[16] = "", *at = order;
    struct mark m[] = {{&at, 'a'}, {&at, 'b'}, {&at, 'c'}};
    struct timer t[3];

    host_clock_freeze(1000);
    for (unsigned i = 0; i < 3; i++)
        timer_init(&t[i], f->loop, put_mark, &m[i]);
    timer_arm(&t[0], 1030);
    timer_arm(&t[1], 1010);
    timer_arm(&t[2], 1020);
    loop_run_due(f->loop, false);
    assert_string_equal(order, "");
    assert_int_equal(t[1].deadline, 1010);
    host_clock_freeze(1010);
    loop_run_due(f->loop, false);
    assert_string_equal(order, "b");
    assert_true(t[1].deadline == UINT64_MAX);
    timer_arm(&t[2], 1040); /* later */
    timer_arm(&t[1], 1035); /* again */
    host_clock_freeze(1039);
    loop_run_due(f->loop, false);
    assert_string_equal(order, "bab");
    timer_cancel(&t[2]);
    host_clock_freeze(2000);
    loop_run_due(f->loop, false);
    assert_string_equal(order, "bab");
    timer_arm(&t[2], 5); /* long ago: at once */
    timer_arm(&t[0], UINT64_MAX);
    loop_run_due(f->loop, false);
    assert_string_equal(order, "babc");
}

struct again {
    struct loop *loop;
    struct work work;
    unsigned runs, stop_at;
};

static void run_again(void *ctx)
{
    struct again *a = ctx;

    if (++a->runs < a->stop_at)
        loop_post(a->loop, &a->work);
}

static void works(void **state)
{
    struct fixture *f = *state;
    struct again a = {.loop = f->loop, .stop_at = 3}, b = a, gone = a;

    work_init(&a.work, run_again, &a);
    work_init(&b.work, run_again, &b);
    work_init(&gone.work, run_again, &gone);
    loop_post(f->loop, &a.work);
    loop_post(f->loop, &a.work); /* queued already */
    loop_post(f->loop, &gone.work);
    loop_post(f->loop, &b.work);
    work_cancel(f->loop, &gone.work);
    loop_run_due(f->loop, false);
    assert_int_equal(a.runs, 3);
    assert_int_equal(b.runs, 3);
    assert_int_equal(gone.runs, 0);
}

/* --- with the thread --- */

static void signal_event(void *ctx)
{
    host_event_signal(ctx);
}

static void thread_wakes(void **state)
{
    struct fixture *f = *state;
    struct timer late, early;
    struct work w;

    timer_init(&late, f->loop, signal_event, &f->event);
    timer_init(&early, f->loop, signal_event, &f->event);
    work_init(&w, signal_event, &f->event);
    timer_arm(&late, host_now() + 3600 * NS_PER_SEC);
    assert_int_equal(loop_start(f->loop), 0);
    for (unsigned i = 0; i < 50; i++) {
        loop_post(f->loop, &w);
        assert_true(host_event_wait(&f->event, UINT64_MAX));
        timer_arm(&early, host_now() + 100000);
        assert_true(host_event_wait(&f->event, UINT64_MAX));
    }
    timer_arm(&late, host_now());
    assert_true(host_event_wait(&f->event, UINT64_MAX));
}

struct counter {
    struct fixture *f;
    struct timer timer;
    unsigned fired, late;
    bool forbidden;
};

static void count_fire(void *ctx)
{
    struct counter *c = ctx;

    c->fired++;
    c->late += c->forbidden;
}

/* Cancelling under the lock is final, however near the deadline. */
static void cancel_is_final(void **state)
{
    struct fixture *f = *state;
    struct counter c = {.f = f};

    timer_init(&c.timer, f->loop, count_fire, &c);
    loop_start(f->loop);
    for (unsigned i = 0; i < 2000; i++) {
        host_mutex_lock(&f->lock);
        c.forbidden = false;
        timer_arm(&c.timer, host_now() + i % 50 * 1000);
        host_mutex_unlock(&f->lock);
        if (i % 3 == 0)
            usleep(i % 50);
        host_mutex_lock(&f->lock);
        timer_cancel(&c.timer);
        c.forbidden = true;
        host_mutex_unlock(&f->lock);
    }
    host_mutex_lock(&f->lock);
    assert_int_equal(c.late, 0);
    host_mutex_unlock(&f->lock);
}

struct reader {
    struct watch watch;
    struct host_event *event;
    char got[8];
    unsigned n;
    bool stop_at_end;
};

static void read_some(void *ctx, uint32_t ready)
{
    struct reader *r = ctx;
    ssize_t n = read(r->watch.fd, r->got + r->n, sizeof r->got - r->n);

    (void)ready;
    if (n > 0)
        r->n += (unsigned)n;
    if (n == 0 && r->stop_at_end) {
        watch_stop(&r->watch);
        host_event_signal(r->event);
    } else if (n > 0 && !r->stop_at_end)
        host_event_signal(r->event);
}

static void descriptors(void **state)
{
    struct fixture *f = *state;
    struct reader r = {.event = &f->event};
    int p[2];

    assert_int_equal(pipe(p), 0);
    loop_start(f->loop);
    host_mutex_lock(&f->lock);
    assert_int_equal(
        watch_start(&r.watch, f->loop, p[0], WATCH_IN, read_some, &r), 0);
    assert_int_equal(write(p[1], "a", 1), 1);
    host_mutex_unlock(&f->lock);
    host_event_wait(&f->event, UINT64_MAX);
    host_mutex_lock(&f->lock);
    assert_int_equal(r.n, 1);
    watch_events(&r.watch, 0);
    assert_int_equal(write(p[1], "b", 1), 1);
    host_mutex_unlock(&f->lock);
    assert_false(host_event_wait(&f->event, host_now() + 2000000));
    host_mutex_lock(&f->lock);
    watch_events(&r.watch, WATCH_IN);
    host_mutex_unlock(&f->lock);
    host_event_wait(&f->event, UINT64_MAX);
    host_mutex_lock(&f->lock);
    assert_memory_equal(r.got, "ab", 2);
    watch_stop(&r.watch);
    watch_stop(&r.watch);
    host_mutex_unlock(&f->lock);
    close(p[0]);
    close(p[1]);
}

/* A regular file, which epoll refuses, is read to its end. */
static void regular_file(void **state)
{
    struct fixture *f = *state;
    struct reader r = {.event = &f->event, .stop_at_end = true};
    char path[] = "/tmp/loop_test.XXXXXX";
    int fd = mkstemp(path);

    assert_true(fd >= 0);
    unlink(path);
    assert_int_equal(write(fd, "hello", 5), 5);
    lseek(fd, 0, SEEK_SET);
    loop_start(f->loop);
    host_mutex_lock(&f->lock);
    assert_int_equal(
        watch_start(&r.watch, f->loop, fd, WATCH_IN, read_some, &r), 0);
    host_mutex_unlock(&f->lock);
    host_event_wait(&f->event, UINT64_MAX);
    host_mutex_lock(&f->lock);
    assert_int_equal(r.n, 5);
    assert_memory_equal(r.got, "hello", 5);
    host_mutex_unlock(&f->lock);
    close(fd);
}

static void stop_other(void *ctx, uint32_t ready)
{
    struct reader *pair = ctx;

    (void)ready;
    pair[0].n++;
    watch_stop(&pair[0].watch);
    watch_stop(&pair[1].watch);
}

/* Both are ready in one batch; whichever runs first stops the other. */
static void stop_while_fetched(void **state)
{
    struct fixture *f = *state;
    struct reader pair[2] = {{.n = 0}};
    int p[2];

    assert_int_equal(pipe(p), 0);
    assert_int_equal(write(p[1], "x", 1), 1);
    for (int i = 0; i < 2; i++) {
        int fd = i ? dup(p[0]) : p[0];

        watch_start(&pair[i].watch, f->loop, fd, WATCH_IN, stop_other, pair);
        pair[i].n = 0;
    }
    loop_run_due(f->loop, false);
    assert_int_equal(pair[0].n, 1);
    close(pair[1].watch.fd);
    close(p[0]);
    close(p[1]);
}

static void event_deadline(void **state)
{
    struct fixture *f = *state;

    assert_false(host_event_wait(&f->event, 0));
    assert_false(host_event_wait(&f->event, host_now() + 100000));
    host_event_signal(&f->event);
    host_event_signal(&f->event); /* remembered once */
    assert_true(host_event_wait(&f->event, 0));
    assert_false(host_event_wait(&f->event, 0));
}

/* --- mutexes --- */

struct shared {
    struct host_mutex lock;
    uint64_t a, b; /* equal whenever the lock is free */
    bool bad;
};

enum { TURNS = 30000, THREADS = 4 };

static void take_turns(void *arg)
{
    struct shared *s = arg;

    for (unsigned i = 0; i < TURNS; i++) {
        host_mutex_lock(&s->lock);
        s->bad |= s->a != s->b;
        s->a++;
        if (i % 1000 == 0)
            sched_yield(); /* so that others come to wait */
        s->b++;
        host_mutex_unlock(&s->lock);
    }
}

static void mutexes_exclude(void **state)
{
    static struct shared s;
    struct host_thread *t[THREADS];

    (void)state;
    host_mutex_init(&s.lock);
    for (unsigned i = 0; i < THREADS; i++)
        t[i] = host_thread_start("turns", take_turns, &s);
    for (unsigned i = 0; i < THREADS; i++)
        host_thread_join(t[i]);
    assert_false(s.bad);
    assert_int_equal(s.a, THREADS * TURNS);
    assert_int_equal(s.b, s.a);
    host_mutex_destroy(&s.lock);
}

#define LOOP_TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(heap_order),
        LOOP_TEST(timers_run_in_order),
        LOOP_TEST(works),
        LOOP_TEST(thread_wakes),
        LOOP_TEST(cancel_is_final),
        LOOP_TEST(descriptors),
        LOOP_TEST(regular_file),
        LOOP_TEST(stop_while_fetched),
        LOOP_TEST(event_deadline),
        cmocka_unit_test(mutexes_exclude),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
