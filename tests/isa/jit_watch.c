#include "jit_watch.h"
#include "host_native.h"

#include <signal.h>
#include <stdio.h>
#include <sys/time.h>
#include <unistd.h>

static struct {
    struct vcpu *volatile running;
    volatile unsigned left; /* ticks */
    volatile sig_atomic_t late;
    uint64_t seed, number;
} watch;

static void tick(int sig, siginfo_t *info, void *context)
{
    struct vcpu *v = watch.running;

    (void)sig;
    (void)info;
    if (!watch.left || --watch.left)
        return;
    watch.late = 1;
    if (v) {
        atomic_fetch_or(&v->events, VCPU_KICK);
        v->engine->kick(v);
    } else {
        native_stop(context);
    }
}

void watch_crash(int sig)
{
    char text[120];
    int n = snprintf(
        text, sizeof text, "signal %d in --seed %llu --case %llu\n", sig,
        (unsigned long long)watch.seed, (unsigned long long)watch.number);

    if (write(1, text, (size_t)n) < 0)
        _exit(2);
    _exit(1);
}

void watch_open(void)
{
    static const int fatal[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP};
    static uint8_t stack[65536];
    stack_t alternative = {.ss_sp = stack, .ss_size = sizeof stack};
    struct sigaction a = {.sa_handler = watch_crash, .sa_flags = SA_ONSTACK};
    struct itimerval every = {{0, WATCH_TICK}, {0, WATCH_TICK}};

    sigaltstack(&alternative, NULL);
    for (unsigned n = 0; n < sizeof fatal / sizeof fatal[0]; n++)
        sigaction(fatal[n], &a, NULL);
    a.sa_sigaction = tick;
    a.sa_flags = SA_ONSTACK | SA_RESTART | SA_SIGINFO;
    sigaction(SIGPROF, &a, NULL);
    setitimer(ITIMER_PROF, &every, NULL);
}

void watch_note(uint64_t seed, uint64_t number)
{
    watch.seed = seed;
    watch.number = number;
}

void watch_begin(struct vcpu *v, unsigned ticks)
{
    watch.running = v;
    watch.late = 0;
    watch.left = ticks;
}

bool watch_end(void)
{
    watch.left = 0;
    watch.running = NULL;
    return watch.late;
}
