#include "host/posix/clock.h"

#include <stdatomic.h>

#include "lodge/host.h"

static _Atomic uint64_t frozen; /* tests only; 0: the clock runs */

static uint64_t read_clock(clockid_t clock)
{
    struct timespec t;

    clock_gettime(clock, &t);
    return (uint64_t)t.tv_sec * NS_PER_SEC + (uint64_t)t.tv_nsec;
}

uint64_t host_now(void)
{
    uint64_t now = atomic_load_explicit(&frozen, memory_order_relaxed);

    return now ? now : read_clock(CLOCK_BOOTTIME);
}

int64_t host_wall_now(void)
{
    return (int64_t)read_clock(CLOCK_REALTIME);
}

void host_clock_freeze(uint64_t now)
{
    atomic_store_explicit(&frozen, now, memory_order_relaxed);
}

struct timespec ns_to_timespec(uint64_t ns)
{
    return (struct timespec){(time_t)(ns / NS_PER_SEC),
                             (long)(ns % NS_PER_SEC)};
}
