/* Mutexes and events. An event is a futex word: no lock on the way to wake. */
#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "host/posix/clock.h"
#include "lodge/host.h"

_Static_assert(sizeof(pthread_mutex_t) <= sizeof(struct host_mutex),
               "host_mutex is too small");

static pthread_mutex_t *mutex_of(struct host_mutex *m)
{
    return (pthread_mutex_t *)m->opaque;
}

/*
 * The machine lock is held for moments only: spinning a little before going
 * to sleep spares most of the switches.
 */
void host_mutex_init(struct host_mutex *m)
{
    pthread_mutexattr_t a;

    pthread_mutexattr_init(&a);
    pthread_mutexattr_settype(&a, PTHREAD_MUTEX_ADAPTIVE_NP);
    pthread_mutex_init(mutex_of(m), &a);
    pthread_mutexattr_destroy(&a);
}

void host_mutex_destroy(struct host_mutex *m)
{
    pthread_mutex_destroy(mutex_of(m));
}

void host_mutex_lock(struct host_mutex *m)
{
    pthread_mutex_lock(mutex_of(m));
}

void host_mutex_unlock(struct host_mutex *m)
{
    pthread_mutex_unlock(mutex_of(m));
}

enum { IDLE, SIGNALLED, WAITING };

static _Atomic uint32_t *event_of(struct host_event *e)
{
    return (_Atomic uint32_t *)e->opaque;
}

static void futex_wait(_Atomic uint32_t *word, uint32_t expect,
                       const struct timespec *timeout)
{
    syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, expect, timeout, NULL, 0);
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
        syscall(SYS_futex, event_of(e), FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
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
