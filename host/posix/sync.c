/* Mutexes and events, each a futex word. */
#include <linux/futex.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "host/posix/clock.h"
#include "lodge/host.h"

static void futex_wait(_Atomic uint32_t *word, uint32_t expect,
                       const struct timespec *timeout)
{
    syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, expect, timeout, NULL, 0);
}

static void futex_wake(_Atomic uint32_t *word)
{
    syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

/* --- mutexes --- */

/*
 * Usually whoever comes first gets the lock, woken or new: that is fast. But a
 * vCPU that polls a device takes the machine lock again at once, and a thread
 * that must first wake up would lose against it for milliseconds. So a waiter
 * that lost a few times counts as starving, and while there is one the lock is
 * not freed but granted: only those who have slept for it may take it then.
 */
enum {
    FREE,
    HELD,
    CONTENDED, /* held, and there may be sleepers */
    GRANTED,   /* to one who has slept */
};

enum { SPINS = 60, LOSSES = 2 };

struct mutex {
    _Atomic uint32_t state;
    _Atomic uint32_t starving; /* waiters that lost too often */
};

_Static_assert(sizeof(struct mutex) <= sizeof(struct host_mutex),
               "host_mutex is too small");

static struct mutex *mutex_of(struct host_mutex *m)
{
    return (struct mutex *)(void *)m->opaque;
}

void host_mutex_init(struct host_mutex *m)
{
    atomic_init(&mutex_of(m)->state, FREE);
    atomic_init(&mutex_of(m)->starving, 0);
}

void host_mutex_destroy(struct host_mutex *m)
{
    (void)m;
}

static bool take(struct mutex *m, uint32_t from, uint32_t to)
{
    return atomic_load_explicit(&m->state, memory_order_relaxed) == from &&
           atomic_compare_exchange_strong(&m->state, &from, to);
}

/* The machine lock is held for moments only: it may be free in a moment. */
static bool spin(struct mutex *m)
{
    for (unsigned i = 0; i < SPINS; i++) {
        if (take(m, FREE, HELD))
            return true;
#ifdef __x86_64__
        __builtin_ia32_pause();
#endif
    }
    return false;
}

static void lock_slowly(struct mutex *m)
{
    unsigned slept = 0;

    while (!take(m, FREE, CONTENDED) &&
           !(slept && take(m, GRANTED, CONTENDED))) {
        uint32_t s = atomic_load(&m->state);

        /* Not what it was when we tried: try again rather than sleep. */
        if (s == FREE || (s == GRANTED && slept) ||
            (s == HELD && !take(m, HELD, CONTENDED)))
            continue;
        if (slept == LOSSES)
            atomic_fetch_add(&m->starving, 1);
        slept++;
        futex_wait(&m->state, s == HELD ? CONTENDED : s, NULL);
    }
    if (slept > LOSSES)
        atomic_fetch_sub(&m->starving, 1);
}

void host_mutex_lock(struct host_mutex *m)
{
    if (!take(mutex_of(m), FREE, HELD) && !spin(mutex_of(m)))
        lock_slowly(mutex_of(m));
}

/* Nobody who starves gives up, so there is one to take what is granted. */
void host_mutex_unlock(struct host_mutex *hm)
{
    struct mutex *m = mutex_of(hm);

    if (unlikely(atomic_load(&m->starving))) {
        atomic_store(&m->state, GRANTED);
        futex_wake(&m->state);
    } else if (atomic_exchange(&m->state, FREE) == CONTENDED)
        futex_wake(&m->state);
}

/* --- events --- */

enum { IDLE, SIGNALLED, WAITING };

static _Atomic uint32_t *event_of(struct host_event *e)
{
    return (_Atomic uint32_t *)e->opaque;
}

void host_event_init(struct host_event *e)
{
    atomic_init(event_of(e), IDLE);
}

void host_event_destroy(struct host_event *e)
{
    (void)e;
}

void host_event_signal(struct host_event *e)
{
    if (atomic_exchange(event_of(e), SIGNALLED) == WAITING)
        futex_wake(event_of(e));
}

bool host_event_wait(struct host_event *e, uint64_t deadline)
{
    _Atomic uint32_t *word = event_of(e);
    uint32_t was;

    for (;;) {
        struct timespec left, *timeout = NULL;

        was = SIGNALLED;
        if (atomic_compare_exchange_strong(word, &was, IDLE))
            return true;
        if (deadline != UINT64_MAX) {
            uint64_t now = host_now();

            if (now >= deadline)
                break;
            /* In pieces: the sleep is on a clock that stops when the host
               is suspended. */
            left = ns_to_timespec(MIN(deadline - now, NS_PER_SEC));
            timeout = &left;
        }
        was = IDLE;
        if (atomic_compare_exchange_strong(word, &was, WAITING) ||
            was == WAITING)
            futex_wait(word, WAITING, timeout);
    }
    return atomic_exchange(word, IDLE) == SIGNALLED;
}
