#include "host/posix/signals.h"

#include <pthread.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "host/posix/loop.h"

struct signals {
    struct watch watch;
    struct host_mutex *lock;
    void (*fn)(void *ctx, int signal);
    void *ctx;
    int fd;
    sigset_t before;
};

static const int asked[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM};

/* Those that nohup and the like have switched off stay so. */
static void wanted(sigset_t *set)
{
    struct sigaction old;

    sigemptyset(set);
    for (unsigned i = 0; i < ARRAY_LEN(asked); i++)
        if (!sigaction(asked[i], NULL, &old) && old.sa_handler != SIG_IGN)
            sigaddset(set, asked[i]);
}

static void on_signal(void *ctx, uint32_t ready)
{
    struct signals *s = ctx;
    struct signalfd_siginfo info;

    (void)ready;
    if (read(s->fd, &info, sizeof info) == sizeof info)
        s->fn(s->ctx, (int)info.ssi_signo);
}

struct signals *signals_watch(struct loop *l, struct host_mutex *lock,
                              void (*fn)(void *ctx, int signal), void *ctx)
{
    struct signals *s = host_alloc(sizeof *s);
    sigset_t set;
    int rc = -1;

    if (!s)
        return NULL;
    s->lock = lock;
    s->fn = fn;
    s->ctx = ctx;
    wanted(&set);
    pthread_sigmask(SIG_BLOCK, &set, &s->before);
    s->fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    host_mutex_lock(lock);
    if (s->fd >= 0)
        rc = watch_start(&s->watch, l, s->fd, WATCH_IN, on_signal, s);
    host_mutex_unlock(lock);
    if (rc) {
        signals_unwatch(s);
        return NULL;
    }
    return s;
}

void signals_unwatch(struct signals *s)
{
    if (!s)
        return;
    host_mutex_lock(s->lock);
    watch_stop(&s->watch);
    host_mutex_unlock(s->lock);
    if (s->fd >= 0)
        close(s->fd);
    pthread_sigmask(SIG_SETMASK, &s->before, NULL);
    host_free(s);
}
