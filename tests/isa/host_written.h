/*
 * What the jit takes an instruction to change: a group's check stands for as
 * long as the registers of its address do, so none may be missing.
 */
#ifndef TESTS_ISA_HOST_WRITTEN_H
#define TESTS_ISA_HOST_WRITTEN_H

#include "host_native.h"
#include "x86/opcode.h"

bool written_open(void);
/* General registers that changed and should not have, as a mask. */
uint32_t written_unexpected(const struct insn *i,
                            const struct host_state *before,
                            const struct host_state *after);

#endif
