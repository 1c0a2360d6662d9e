/*
 * Random programs of user code (jit_cases.h) on the host's CPU: a process of
 * Linux in whose address space the same pages are, at the same addresses. What
 * comes of it is told as a guest would find it: with the exception delivered
 * to the guest's handler.
 */
#ifndef TESTS_ISA_JIT_NATIVE_H
#define TESTS_ISA_JIT_NATIVE_H

#include "jit_cases.h"

/*
 * RAM_SIZE bytes, mapped as memory's page tables (program_memory()) say for
 * user code; NULL: not on this host. System calls by the programs are stopped
 * from now on.
 */
uint8_t *native_memory(const uint8_t *memory, void (*elsewhere)(int signal));
/*
 * Runs the program from *s; *s and the memory are then as when the guest's
 * handler has halted. False: something happened to it that no guest knows.
 */
bool native_program(struct x86_state *s, uint8_t *ram, bool compat);

#endif
