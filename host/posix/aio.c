#include "host/posix/aio.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <sys/uio.h>
#include <unistd.h>

#ifdef HAVE_URING
#include <liburing.h>
#endif

#include "host/posix/loop.h"
#include "host/posix/oserr.h"

enum {
    THREADS = 4,
    RING = 128, /* requests in the ring at once; others wait */
    BATCH = 16, /* completions before others get the lock */
    /* More is not copied from or to the host's cache by the submitter. */
    INLINE_BYTES = 32768,
};

/* A span is an iovec by other names, so spans are given to the host as is. */
_Static_assert(sizeof(struct span) == sizeof(struct iovec) &&
                   offsetof(struct span, p) ==
                       offsetof(struct iovec, iov_base) &&
                   offsetof(struct span, n) == offsetof(struct iovec, iov_len),
               "struct span is laid out like struct iovec");

struct aio {
    struct loop *loop;

    /* Guarded by lock. */
    pthread_mutex_t lock;
    pthread_cond_t more; /* to_do is not empty, or stop */
    struct list to_do;   /* for the threads */
    struct list over;    /* for the loop */
    bool stop;
    struct host_thread *threads[THREADS];
    struct work deliver;

#ifdef HAVE_URING
    bool uring;
    struct io_uring ring;
    struct watch completions;
    unsigned in_ring;
    struct list waiting; /* for room in the ring */
    struct work resubmit;
#endif
};

static struct blk_req *first(struct list *l)
{
    struct list *link = l->next;

    if (link == l)
        return NULL;
    list_remove(link);
    return container_of(link, struct blk_req, host.link);
}

/* --- the way back --- */

void aio_finish(struct aio *a, struct blk_req *r)
{
    pthread_mutex_lock(&a->lock);
    list_append(&a->over, &r->host.link);
    pthread_mutex_unlock(&a->lock);
    loop_post(a->loop, &a->deliver);
}

static void deliver(void *ctx)
{
    struct aio *a = ctx;
    struct blk_req *r = NULL;

    for (unsigned i = 0; i < BATCH; i++) {
        pthread_mutex_lock(&a->lock);
        r = first(&a->over);
        pthread_mutex_unlock(&a->lock);
        if (!r)
            return;
        file_done(r);
    }
    loop_post(a->loop, &a->deliver);
}

/* --- threads --- */

static void to_threads(struct aio *a, struct blk_req *r)
{
    pthread_mutex_lock(&a->lock);
    list_append(&a->to_do, &r->host.link);
    pthread_cond_signal(&a->more);
    pthread_mutex_unlock(&a->lock);
}

/* NULL: the end. */
static struct blk_req *next_to_do(struct aio *a)
{
    struct blk_req *r;

    pthread_mutex_lock(&a->lock);
    while (!(r = first(&a->to_do)) && !a->stop)
        pthread_cond_wait(&a->more, &a->lock);
    pthread_mutex_unlock(&a->lock);
    return r;
}

static void thread_main(void *arg)
{
    struct aio *a = arg;
    struct blk_req *r;

    while ((r = next_to_do(a))) {
        r->host.error = file_work(r);
        aio_finish(a, r);
    }
}

static void stop_threads(struct aio *a)
{
    pthread_mutex_lock(&a->lock);
    a->stop = true;
    pthread_cond_broadcast(&a->more);
    pthread_mutex_unlock(&a->lock);
    for (unsigned i = 0; i < THREADS; i++)
        host_thread_join(a->threads[i]);
}

static bool start_threads(struct aio *a)
{
    for (unsigned i = 0; i < THREADS; i++) {
        a->threads[i] = host_thread_start("lodge-disk", thread_main, a);
        if (!a->threads[i])
            return false;
    }
    return true;
}

/* --- io_uring --- */
#ifdef HAVE_URING

/* lock held */
static void submit_ring(struct aio *a)
{
    if (io_uring_submit(&a->ring) < 0) /* what is queued stays so */
        loop_post(a->loop, &a->resubmit);
}

static void on_resubmit(void *ctx)
{
    struct aio *a = ctx;

    pthread_mutex_lock(&a->lock);
    submit_ring(a);
    pthread_mutex_unlock(&a->lock);
}

/* lock held, room in the ring */
static void prepare(struct aio *a, struct blk_req *r)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&a->ring);
    const struct iovec *iov = (const struct iovec *)(const void *)r->sg;
    int fd = r->host.error; /* where aio_submit put it */

    switch (r->op) {
    case BLK_READ: io_uring_prep_readv(sqe, fd, iov, r->nsg, r->off); break;
    case BLK_WRITE: io_uring_prep_writev(sqe, fd, iov, r->nsg, r->off); break;
    default: io_uring_prep_fsync(sqe, fd, IORING_FSYNC_DATASYNC); break;
    }
    if (r->op != BLK_FLUSH && r->len > INLINE_BYTES)
        io_uring_sqe_set_flags(sqe, IOSQE_ASYNC);
    io_uring_sqe_set_data(sqe, r);
    a->in_ring++;
}

static void to_ring(struct aio *a, struct blk_req *r)
{
    pthread_mutex_lock(&a->lock);
    if (a->in_ring < RING) {
        prepare(a, r);
        submit_ring(a);
    } else
        list_append(&a->waiting, &r->host.link);
    pthread_mutex_unlock(&a->lock);
}

/* Errors that a plain system call may not have. */
static bool try_again(int error)
{
    return error == EAGAIN || error == EINTR || error == EINVAL ||
           error == EOPNOTSUPP || error == ENOSYS;
}

static void ring_done(struct aio *a, struct blk_req *r, int result)
{
    bool moves = r->op == BLK_READ || r->op == BLK_WRITE;

    r->host.error = 0;
    if (result >= 0 && moves && (uint64_t)result < r->len) {
        r->host.progress = (uint64_t)result;
        to_threads(a, r);
        return;
    }
    if (result < 0 && try_again(-result)) {
        to_threads(a, r);
        return;
    }
    if (result < 0)
        r->host.error = -le_of_errno(-result);
    file_done(r);
}

/* Takes one completion; false: there is none. */
static bool next_completion(struct aio *a, struct blk_req **r, int *result)
{
    struct io_uring_cqe *cqe;
    struct blk_req *next;
    bool any;

    pthread_mutex_lock(&a->lock);
    any = io_uring_peek_cqe(&a->ring, &cqe) == 0;
    if (any) {
        *r = io_uring_cqe_get_data(cqe);
        *result = cqe->res;
        io_uring_cqe_seen(&a->ring, cqe);
        a->in_ring--;
        next = first(&a->waiting);
        if (next) {
            prepare(a, next);
            submit_ring(a);
        }
    }
    pthread_mutex_unlock(&a->lock);
    return any;
}

static void on_completions(void *ctx, uint32_t ready)
{
    struct aio *a = ctx;
    struct blk_req *r;
    int result;

    (void)ready;
    for (unsigned i = 0; i < BATCH && next_completion(a, &r, &result); i++)
        ring_done(a, r, result);
}

static void open_ring(struct aio *a)
{
    if (io_uring_queue_init(RING, &a->ring, 0))
        return;
    if (watch_start(&a->completions, a->loop, a->ring.ring_fd, WATCH_IN,
                    on_completions, a)) {
        io_uring_queue_exit(&a->ring);
        return;
    }
    list_init(&a->waiting);
    work_init(&a->resubmit, on_resubmit, a);
    a->uring = true;
}

static void close_ring(struct aio *a)
{
    if (!a->uring)
        return;
    watch_stop(&a->completions);
    io_uring_queue_exit(&a->ring);
}

bool aio_has_uring(const struct aio *a)
{
    return a->uring;
}

#else
static void to_ring(struct aio *a, struct blk_req *r)
{
    to_threads(a, r);
}

static void open_ring(struct aio *a)
{
    (void)a;
}

static void close_ring(struct aio *a)
{
    (void)a;
}

bool aio_has_uring(const struct aio *a)
{
    (void)a;
    return false;
}
#endif

/* --- life --- */

void aio_submit(struct aio *a, struct blk_req *r, int fd, bool in_ring)
{
    bool moves = r->op == BLK_READ || r->op == BLK_WRITE;

    r->host.progress = 0;
    r->host.error = fd;
    if (in_ring && aio_has_uring(a) &&
        (moves ? r->nsg && r->nsg <= IOV_MAX && r->len <= INT_MAX
               : r->op == BLK_FLUSH))
        to_ring(a, r);
    else
        to_threads(a, r);
}

struct aio *aio_create(struct loop *l, bool try_uring)
{
    struct aio *a = host_alloc(sizeof *a);

    if (!a)
        return NULL;
    a->loop = l;
    pthread_mutex_init(&a->lock, NULL);
    pthread_cond_init(&a->more, NULL);
    list_init(&a->to_do);
    list_init(&a->over);
    work_init(&a->deliver, deliver, a);
    if (!start_threads(a)) {
        aio_destroy(a);
        return NULL;
    }
    if (try_uring)
        open_ring(a);
    return a;
}

void aio_destroy(struct aio *a)
{
    if (!a)
        return;
    stop_threads(a);
    close_ring(a);
    pthread_cond_destroy(&a->more);
    pthread_mutex_destroy(&a->lock);
    host_free(a);
}
