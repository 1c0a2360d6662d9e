/* What the workloads share: a fixed random sequence and the line they print. */
#ifndef WORK_H
#define WORK_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

static inline uint32_t rnd(uint32_t *s)
{
    *s ^= *s << 13;
    *s ^= *s >> 17;
    *s ^= *s << 5;
    return *s;
}

/* The result of a workload; must not depend on the machine. */
static inline int result(uint64_t v)
{
    return printf("%016llx\n", (unsigned long long)v) < 0;
}

static inline void die(const char *what)
{
    perror(what);
    exit(1);
}

#endif
