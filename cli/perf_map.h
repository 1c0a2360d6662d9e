/*
 * The map of translated code that `perf report` looks for: /tmp/perf-PID.map,
 * a line "START SIZE NAME" for each piece, in hexadecimal without 0x.
 */
#ifndef CLI_PERF_MAP_H
#define CLI_PERF_MAP_H

#include <stdio.h>

#include "base/err.h"

/* NULL: e says why. */
FILE *perf_map_open(struct err *e);
/* For struct engine_tuning: ctx is the file. */
void perf_map_add(void *ctx, const void *code, size_t n, uint64_t rip,
                  bool user);

#endif
