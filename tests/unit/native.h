/*
 * Runs one instruction on the host as it is encoded, with all registers given
 * and taken back: the oracle of the vector and x87 tests.
 */
#ifndef TESTS_UNIT_NATIVE_H
#define TESTS_UNIT_NATIVE_H

#include <stdbool.h>
#include <stdint.h>

enum { NATIVE_XSAVE = 4096 };

struct native_state {
    uint64_t gpr[16]; /* gpr[4] (RSP) is not loaded */
    uint64_t rflags;
    _Alignas(64) uint8_t xsave[NATIVE_XSAVE]; /* standard format */
};

/* Memory below 2 GB, readable, writable and never freed. */
void *native_low_memory(unsigned long bytes);
/* Components of XCR0 that are saved and loaded. */
uint64_t native_xcr0(void);
/* How it ended. Signal numbers are not used: <signal.h> and x86/insn.h do not
   go together. */
enum native_end { NATIVE_DONE, NATIVE_FP, NATIVE_INVALID, NATIVE_FAULT };
/* Unless done only xsave is taken back, as it was at the fault. */
enum native_end native_run(struct native_state *s, const uint8_t *insn,
                           unsigned n);
/* The same in 32-bit code: the low halves of gpr[0] to gpr[7]. */
enum native_end native_run32(struct native_state *s, const uint8_t *insn,
                             unsigned n);

#endif
