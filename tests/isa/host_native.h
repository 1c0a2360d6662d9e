/*
 * Code on the host CPU at user level: all registers loaded, the code run where
 * it stands until it faults, all registers and the fault taken back. x86-64
 * Linux only; one thread.
 */
#ifndef TESTS_ISA_HOST_NATIVE_H
#define TESTS_ISA_HOST_NATIVE_H

#include <stdbool.h>
#include <stdint.h>

/* Linux's selectors of user code: 64 bits, 32 bits; and of its data. */
enum { USER_CS = 0x33, USER_CS32 = 0x23, USER_SS = 0x2b };

/* Registers of both sides. */
struct host_state {
    uint64_t gpr[16], rip, rflags, gs_base;
    uint64_t fs_base;             /* 0: the C library's */
    _Alignas(16) uint8_t fx[512]; /* FXSAVE64: x87 and MXCSR count */
    uint64_t k[8];
    _Alignas(64) uint8_t zmm[32][64];
};

struct host_fault {
    bool happened;
    unsigned vector;
    uint32_t error;
    uint64_t address; /* of #PF */
};

/* What happened that is no exception: vectors of struct host_fault. */
enum { NATIVE_SYSCALL = 0x100, NATIVE_STOPPED = 0x101 };

/*
 * False: this host or system cannot do it. elsewhere: what signals are for
 * that come while no code runs; NULL: as by default.
 */
bool native_open(void (*elsewhere)(int signal));
/* What of the vector state the host has: 16, 32 or 64 bytes a register. */
unsigned native_vector_bytes(void);
/*
 * Runs from s->rip until a fault, a system call that a filter has stopped, or
 * native_stop(); s and f are what came of it. compat: as 32-bit code.
 */
void native_run_at(struct host_state *s, struct host_fault *f, bool compat);
/* In the handler of a signal, with its third argument: ends the code's run. */
void native_stop(void *context);
/* Whether this kernel has a 32-bit code segment for us. */
bool native_has_compat(void);

#endif
