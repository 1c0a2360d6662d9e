/*
 * The I/O loop: epoll over descriptors, a timerfd for the earliest timer, an
 * eventfd for posted work. The lock is taken for each callback alone, so that
 * vCPU threads get their turn. What is queued is guarded by `own`, a leaf in
 * the lock order; an entry is taken off its queue only with the machine lock
 * held too, which is why cancelling under that lock is final.
 */
#include "host/posix/loop.h"

#include <errno.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "host/posix/aio.h"
#include "host/posix/clock.h"
#include "host/posix/timers.h"

_Static_assert((int)WATCH_IN == (int)EPOLLIN &&
                   (int)WATCH_PRI == (int)EPOLLPRI &&
                   (int)WATCH_OUT == (int)EPOLLOUT &&
                   (int)WATCH_ERROR == (int)EPOLLERR &&
                   (int)WATCH_HANGUP == (int)EPOLLHUP,
               "watch events are epoll's");

enum {
    BATCH = 32,
    ROUND_TIMERS = 64, /* then others have their turn */
};

struct loop {
    struct host_mutex *lock; /* the machine lock */
    int epoll, event, timer;
    struct host_thread *thread;
    _Atomic bool stop;
    struct aio *aio; /* controlling thread's */

    struct host_mutex own; /* guards what follows */
    bool sleeping;         /* in epoll_wait, or about to */
    struct timer *timers;
    uint64_t programmed; /* when the timerfd fires; UINT64_MAX: never */
    struct list works;
    struct list always; /* watches on files that epoll does not take */
    struct epoll_event batch[BATCH];
    int nbatch;
};

/* --- timers --- */

/* own held. Called when the loop is asleep or goes to sleep. */
static void program_timer(struct loop *l)
{
    struct itimerspec at = {0};
    uint64_t due = l->timers ? l->timers->deadline : UINT64_MAX;

    /* Too early a wake-up that was programmed before costs less than
       programming each time a guest moves its deadline back. */
    if (due >= l->programmed)
        return;
    at.it_value = ns_to_timespec(MAX(due, 1));
    timerfd_settime(l->timer, TFD_TIMER_ABSTIME, &at, NULL);
    l->programmed = due;
}

static void timer_dequeue(struct timer *t)
{
    if (t->deadline == UINT64_MAX)
        return;
    timers_remove(&t->loop->timers, t);
    t->deadline = UINT64_MAX;
}

void timer_init(struct timer *t, struct loop *loop, void (*fn)(void *),
                void *ctx)
{
    *t = (struct timer){.fn = fn, .ctx = ctx, .loop = loop};
    t->deadline = UINT64_MAX;
}

void timer_arm(struct timer *t, uint64_t deadline)
{
    struct loop *l = t->loop;

    host_mutex_lock(&l->own);
    timer_dequeue(t);
    if (deadline != UINT64_MAX) {
        t->deadline = deadline;
        timers_insert(&l->timers, t);
        if (l->sleeping)
            program_timer(l);
    }
    host_mutex_unlock(&l->own);
}

void timer_cancel(struct timer *t)
{
    host_mutex_lock(&t->loop->own);
    timer_dequeue(t);
    host_mutex_unlock(&t->loop->own);
}

/* Runs one timer that is due; false: none is. */
static bool run_timer(struct loop *l, uint64_t now)
{
    struct timer *t;

    host_mutex_lock(l->lock);
    host_mutex_lock(&l->own);
    t = l->timers;
    if (t && t->deadline <= now)
        timer_dequeue(t);
    else
        t = NULL;
    host_mutex_unlock(&l->own);
    if (t)
        t->fn(t->ctx);
    host_mutex_unlock(l->lock);
    return t != NULL;
}

static bool run_timers(struct loop *l)
{
    unsigned n = 0;
    bool due;

    host_mutex_lock(&l->own);
    due = l->timers && l->timers->deadline <= host_now();
    host_mutex_unlock(&l->own);
    if (!due) /* without the machine lock, which others want */
        return false;
    while (n < ROUND_TIMERS && run_timer(l, host_now()))
        n++;
    return n > 0;
}

/* --- posted work --- */

/* own held */
static void wake(struct loop *l)
{
    if (!l->sleeping)
        return;
    l->sleeping = false;
    eventfd_write(l->event, 1);
}

void work_init(struct work *w, void (*fn)(void *), void *ctx)
{
    *w = (struct work){.fn = fn, .ctx = ctx};
    list_init(&w->link);
}

void loop_post(struct loop *l, struct work *w)
{
    host_mutex_lock(&l->own);
    if (!w->queued) {
        w->queued = true;
        list_append(&l->works, &w->link);
        wake(l);
    }
    host_mutex_unlock(&l->own);
}

void work_cancel(struct loop *l, struct work *w)
{
    host_mutex_lock(&l->own);
    if (w->queued) {
        w->queued = false;
        list_remove(&w->link);
    }
    host_mutex_unlock(&l->own);
}

static unsigned count_works(struct loop *l)
{
    unsigned n = 0;

    host_mutex_lock(&l->own);
    list_each(it, &l->works) n++;
    host_mutex_unlock(&l->own);
    return n;
}

static void run_work(struct loop *l)
{
    struct work *w = NULL;

    host_mutex_lock(l->lock);
    host_mutex_lock(&l->own);
    if (!list_empty(&l->works)) {
        w = container_of(l->works.next, struct work, link);
        w->queued = false;
        list_remove(&w->link);
    }
    host_mutex_unlock(&l->own);
    if (w)
        w->fn(w->ctx);
    host_mutex_unlock(l->lock);
}

/* What was posted before the round; what posts itself again waits. */
static bool run_works(struct loop *l)
{
    unsigned n = count_works(l);

    for (unsigned i = 0; i < n; i++)
        run_work(l);
    return n > 0;
}

/* --- descriptors --- */

/* Brings the host's idea of w in line with events; own held. */
static int watch_apply(struct watch *w, uint32_t old)
{
    struct epoll_event e = {.events = w->events, .data.ptr = w};
    int op = !w->events ? EPOLL_CTL_DEL : old ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;

    if (w->events == old || w->always)
        return 0;
    if (epoll_ctl(w->loop->epoll, op, w->fd, &e) == 0)
        return 0;
    if (errno != EPERM)
        return -LE_IO;
    w->always = true;
    list_append(&w->loop->always, &w->link);
    wake(w->loop);
    return 0;
}

int watch_start(struct watch *w, struct loop *l, int fd, uint32_t events,
                void (*fn)(void *ctx, uint32_t ready), void *ctx)
{
    int rc;

    *w = (struct watch){.fn = fn, .ctx = ctx, .loop = l, .fd = fd};
    w->events = events;
    host_mutex_lock(&l->own);
    rc = watch_apply(w, 0);
    host_mutex_unlock(&l->own);
    if (rc)
        w->loop = NULL;
    return rc;
}

/* Forgets events of w that were fetched but not yet reported; own held. */
static void drop_fetched(struct loop *l, const struct watch *w)
{
    for (int i = 0; i < l->nbatch; i++)
        if (l->batch[i].data.ptr == w)
            l->batch[i].data.ptr = NULL;
}

void watch_events(struct watch *w, uint32_t events)
{
    struct loop *l = w->loop;
    uint32_t old = w->events;

    if (!l || old == events)
        return;
    host_mutex_lock(&l->own);
    w->events = events;
    watch_apply(w, old);
    if (w->always && events)
        wake(l);
    host_mutex_unlock(&l->own);
}

void watch_stop(struct watch *w)
{
    struct loop *l = w->loop;

    if (!l)
        return;
    host_mutex_lock(&l->own);
    if (w->always)
        list_remove(&w->link);
    else if (w->events)
        epoll_ctl(l->epoll, EPOLL_CTL_DEL, w->fd, NULL);
    drop_fetched(l, w);
    host_mutex_unlock(&l->own);
    w->loop = NULL;
}

/* The machine lock held. Events may have been put to sleep in between. */
static void report(struct watch *w, uint32_t ready)
{
    uint32_t seen = ready & (w->events | EPOLLERR | EPOLLHUP);

    if (w->events && seen)
        w->fn(w->ctx, seen);
}

static void run_fetched(struct loop *l, int i)
{
    struct watch *w;
    uint32_t ready;

    host_mutex_lock(l->lock);
    host_mutex_lock(&l->own);
    w = l->batch[i].data.ptr;
    ready = l->batch[i].events;
    host_mutex_unlock(&l->own);
    if (w)
        report(w, ready);
    host_mutex_unlock(l->lock);
}

/* own held: is there a file that is always ready, and wanted? */
static struct watch *always_wanted(struct loop *l)
{
    list_each(it, &l->always)
    {
        struct watch *w = container_of(it, struct watch, link);

        if (w->events)
            return w;
    }
    return NULL;
}

static void run_always(struct loop *l)
{
    struct watch *w;

    host_mutex_lock(l->lock);
    host_mutex_lock(&l->own);
    w = always_wanted(l);
    if (w) { /* to the end of the queue */
        list_remove(&w->link);
        list_append(&l->always, &w->link);
    }
    host_mutex_unlock(&l->own);
    if (w)
        report(w, w->events);
    host_mutex_unlock(l->lock);
}

/* --- rounds --- */

/* Fetches what is ready; sleeps for it when there is nothing else to do. */
static void fetch(struct loop *l, bool may_sleep)
{
    struct epoll_event ready[BATCH];
    int n, kept = 0;
    uint64_t count;

    host_mutex_lock(&l->own);
    if (l->stop || !list_empty(&l->works) || always_wanted(l))
        may_sleep = false;
    if (may_sleep) {
        program_timer(l);
        l->sleeping = true;
    }
    host_mutex_unlock(&l->own);

    n = epoll_wait(l->epoll, ready, BATCH, may_sleep ? -1 : 0);

    host_mutex_lock(&l->own);
    l->sleeping = false;
    for (int i = 0; i < n; i++) {
        if (ready[i].data.ptr == &l->event) {
            eventfd_read(l->event, &count);
        } else if (ready[i].data.ptr == &l->timer) {
            if (read(l->timer, &count, sizeof count) == sizeof count)
                l->programmed = UINT64_MAX;
        } else
            l->batch[kept++] = ready[i];
    }
    l->nbatch = kept;
    host_mutex_unlock(&l->own);
}

static bool round_once(struct loop *l, bool may_sleep)
{
    bool any, always;
    int n;

    fetch(l, may_sleep);
    n = l->nbatch;
    for (int i = 0; i < n; i++)
        run_fetched(l, i);
    host_mutex_lock(&l->own);
    l->nbatch = 0;
    always = always_wanted(l);
    host_mutex_unlock(&l->own);
    any = n > 0 || always;
    if (always)
        run_always(l);
    any |= run_works(l);
    any |= run_timers(l);
    return any;
}

static void loop_main(void *arg)
{
    struct loop *l = arg;

    while (!atomic_load(&l->stop))
        round_once(l, true);
}

void loop_barrier(struct loop *l)
{
    host_mutex_lock(l->lock);
    host_mutex_unlock(l->lock);
}

bool loop_has_thread(struct loop *l)
{
    return l->thread != NULL;
}

void loop_run_due(struct loop *l, bool wait)
{
    bool any;

    do {
        any = round_once(l, wait);
        wait = wait && !any;
    } while (any || wait);
}

/* --- life --- */

static int watch_own(struct loop *l, int *fd)
{
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = fd};

    return *fd < 0 ? -1 : epoll_ctl(l->epoll, EPOLL_CTL_ADD, *fd, &e);
}

struct loop *loop_create(struct host_mutex *lock)
{
    struct loop *l = host_alloc(sizeof *l);

    if (!l)
        return NULL;
    l->lock = lock;
    l->programmed = UINT64_MAX;
    host_mutex_init(&l->own);
    list_init(&l->works);
    list_init(&l->always);
    l->epoll = epoll_create1(EPOLL_CLOEXEC);
    l->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    l->timer = timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK);
    if (l->epoll < 0 || watch_own(l, &l->event) || watch_own(l, &l->timer)) {
        loop_destroy(l);
        return NULL;
    }
    return l;
}

int loop_start(struct loop *l)
{
    l->thread = host_thread_start("lodge-io", loop_main, l);
    return l->thread ? 0 : -LE_NOMEM;
}

struct aio *loop_aio(struct loop *l)
{
    if (!l->aio)
        l->aio = aio_create(l, true);
    return l->aio;
}

void loop_set_aio(struct loop *l, struct aio *a)
{
    l->aio = a;
}

static void close_fd(int fd)
{
    if (fd >= 0)
        close(fd);
}

void loop_destroy(struct loop *l)
{
    if (!l)
        return;
    host_mutex_lock(&l->own);
    atomic_store(&l->stop, true);
    wake(l);
    host_mutex_unlock(&l->own);
    host_thread_join(l->thread);
    aio_destroy(l->aio);
    close_fd(l->timer);
    close_fd(l->event);
    close_fd(l->epoll);
    host_mutex_destroy(&l->own);
    host_free(l);
}
