#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>

#include "lodge/host.h"

struct host_thread {
    pthread_t id;
    void (*fn)(void *);
    void *arg;
};

static void *thread_main(void *arg)
{
    struct host_thread *t = arg;

    t->fn(t->arg);
    return NULL;
}

/*
 * Signals meant for the process are left to its first thread, so that no
 * other one's system calls are disturbed.
 */
struct host_thread *host_thread_start(const char *name, void (*fn)(void *),
                                      void *arg)
{
    struct host_thread *t = host_alloc(sizeof *t);
    sigset_t all, old;
    int rc;

    if (!t)
        return NULL;
    t->fn = fn;
    t->arg = arg;
    sigfillset(&all);
    sigdelset(&all, SIGSEGV);
    sigdelset(&all, SIGBUS);
    sigdelset(&all, SIGFPE);
    sigdelset(&all, SIGILL);
    sigdelset(&all, SIGABRT);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    rc = pthread_create(&t->id, NULL, thread_main, t);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (rc) {
        host_free(t);
        return NULL;
    }
    pthread_setname_np(t->id, name); /* too long a name is only left out */
    return t;
}

void host_thread_join(struct host_thread *t)
{
    if (!t)
        return;
    pthread_join(t->id, NULL);
    host_free(t);
}

void host_yield(void)
{
    sched_yield();
}
