/* Programs that do not end, and crashes of this process. */
#ifndef TESTS_ISA_JIT_WATCH_H
#define TESTS_ISA_JIT_WATCH_H

#include "lodge/engine.h"

void watch_open(void);
/* What a crash says it happened in. */
void watch_note(uint64_t seed, uint64_t number);
/* Runs v; after so many quarters of a second of this process's CPU time (the
   first may be short) it is kicked out, and *late is set. */
enum stop watch_run(struct vcpu *v, unsigned ticks, bool *late);

#endif
