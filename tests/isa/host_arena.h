/*
 * One instruction on the host CPU at user level: all registers loaded, the
 * bytes executed where they stand, all registers and the fault taken back.
 * x86-64 Linux only; one thread.
 */
#ifndef TESTS_ISA_HOST_ARENA_H
#define TESTS_ISA_HOST_ARENA_H

#include "host_native.h"

/* The arena: address space of which nothing but these pages is mapped, so
   that no wild access reaches the test itself. */
enum {
    ARENA = 0x0f000000,
    ARENA_SIZE = 0x03000000,
    DATA = 0x10000000, /* read-write pages */
    DATA_PAGES = 2,
    FROZEN = DATA + DATA_PAGES * 0x1000, /* one page, read-only */
    DATA_SIZE = (DATA_PAGES + 1) * 0x1000,
    CODE = 0x11000000, /* two pages, the instruction at CODE_AT */
    CODE_AT = CODE + 0x800,
    RETURN_AT = CODE + 0x1800, /* where 32-bit code comes back to 64-bit code */
    EXIT_AT = CODE + 0x1900,   /* where to go after the instruction */
};

/* False: this host or system cannot do it. */
bool arena_open(void);
/*
 * Runs len bytes of code from s; s and f are what came of it. compat: as
 * 32-bit code (compatibility mode), where the low halves of eight registers
 * are all there is.
 */
void arena_run(struct host_state *s, struct host_fault *f, const uint8_t *code,
               unsigned len, bool compat);
/* The frozen page, for preparing it. */
void arena_write_frozen(const uint8_t *from, unsigned at, unsigned n);

#endif
