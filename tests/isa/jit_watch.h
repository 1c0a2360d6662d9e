/* Programs that do not end, and crashes of this process. */
#ifndef TESTS_ISA_JIT_WATCH_H
#define TESTS_ISA_JIT_WATCH_H

#include "lodge/engine.h"

void watch_open(void);
/* What a crash says it happened in. */
void watch_note(uint64_t seed, uint64_t number);
enum { WATCH_TICK = 20000 }; /* microseconds */
/*
 * v runs from now on, or (NULL) code on the host's CPU; after so many ticks of
 * this process's CPU time (the first may be short) it is stopped.
 */
void watch_begin(struct vcpu *v, unsigned ticks);
bool watch_end(void); /* true: it was stopped */
/* What to do about a signal that says this process is wrong. */
void watch_crash(int sig);

#endif
