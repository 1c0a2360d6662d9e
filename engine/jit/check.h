/*
 * Lock step (--check): each translated block is run a second time, by the
 * interpreter, from the same registers and memory, and must come by the state
 * that the translation left. The first difference ends the VM with a report.
 *
 * The translation runs first and alone (nothing is linked). Memory pages are
 * copied before they are written, and put back for the interpreter; what
 * reaches instructions from outside (x86/outside.h) is written down, and the
 * interpreter is given the same again, so that it happens once. vCPUs take
 * turns, and hold the machine lock while a block runs.
 *
 * Thread: the vCPU's own, but for check_wrote().
 */
#ifndef JIT_CHECK_H
#define JIT_CHECK_H

#include "engine/jit/jit.h"

int check_open(struct jit *j, struct err *e);
void check_close(struct jit *j);
void check_vcpu_open(struct jit_cpu *j);

/* Around run(): waits for a turn; a difference becomes STOP_FAULT. */
void check_enter(struct jit_cpu *j);
enum stop check_leave(struct jit_cpu *j, enum stop stop);
/* Between blocks: others may have a turn. */
void check_turn(struct jit_cpu *j);

/* Runs b twice. Raises what it raises. */
void check_block(struct jit_cpu *j, const struct jit_block *b);

/* cpu->code_written: true while translations are kept for the second run. */
bool check_code_written(struct jit_cpu *j, gpa_t a, unsigned n);
/* A device wrote to RAM. Machine lock held. */
void check_wrote(struct jit *j, gpa_t a, uint64_t n);

#endif
