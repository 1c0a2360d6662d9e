/*
 * The same instruction by our decoder and bodies: a bare CPU in 64-bit user
 * mode whose linear addresses are those of the arena (host_arena.h), over
 * memory of its own.
 */
#ifndef TESTS_ISA_HOST_GUEST_H
#define TESTS_ISA_HOST_GUEST_H

#include "host_arena.h"
#include "x86/cpu.h"
#include "x86/opcode.h"

bool guest_open(const struct cpu_model *model);
/* The guest's DATA_SIZE bytes. */
uint8_t *guest_data(void);
/* 64-bit code, or 32-bit code in compatibility mode. */
void guest_mode(bool compat);
void guest_run(struct host_state *s, struct host_fault *f, struct insn *i);
/* Its general registers alone, to ask x86_ea() before a run. */
struct cpu *guest_cpu(void);

#endif
