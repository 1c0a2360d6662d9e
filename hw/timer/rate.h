/*
 * Ticks of a fixed-rate oscillator on the machine's clock: tick k begins at
 * ticks_ns(k). Exact for hz up to 2^32 and centuries. Pure.
 */
#ifndef HW_TIMER_RATE_H
#define HW_TIMER_RATE_H

#include "lodge/host.h"

/* Whole ticks in ns. */
static inline uint64_t ns_ticks(uint64_t ns, uint64_t hz)
{
    return ns / NS_PER_SEC * hz + ns % NS_PER_SEC * hz / NS_PER_SEC;
}

/* The first ns at which ns_ticks() is ticks or more; at most UINT64_MAX. */
static inline uint64_t ticks_ns(uint64_t ticks, uint64_t hz)
{
    uint64_t s = ticks / hz, rest = ticks % hz;

    if (s >= UINT64_MAX / NS_PER_SEC)
        return UINT64_MAX;
    return s * NS_PER_SEC + (rest * NS_PER_SEC + hz - 1) / hz;
}

#endif
