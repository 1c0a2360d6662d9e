/*
 * The bodies of all instructions, op_<mnemonic>: declared from the opcode
 * table, defined in x86/ops/<group>.c. See op_fn (x86/insn.h) for the thread
 * and the errors.
 */
#ifndef X86_OPS_OPS_H
#define X86_OPS_OPS_H

#include "x86/insn.h"

#define OPCODE(name, body, ...)                                                \
    void op_##body(struct cpu *c, const struct insn *i);
#include "x86/opcodes.def"

#endif
