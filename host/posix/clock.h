/* Clocks: CLOCK_BOOTTIME, which counts while the host is suspended. */
#ifndef HOST_POSIX_CLOCK_H
#define HOST_POSIX_CLOCK_H

#include <stdint.h>
#include <time.h>

struct timespec ns_to_timespec(uint64_t ns);

/*
 * For tests of what depends on time: from now on host_now() stands still at
 * now, in every thread; 0 lets it run again. See loop_create_manual().
 */
void host_clock_freeze(uint64_t now);

#endif
