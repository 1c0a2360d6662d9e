/*
 * A VM under a debugger outside the guest: all vCPUs stand still or run
 * together, stop at points, step. The guest sees nothing of it.
 *
 * Thread: the debugger's, one at a time, which is neither a vCPU's nor the
 * loop's and holds no lock. Addresses are linear.
 */
#ifndef VM_DEBUG_H
#define VM_DEBUG_H

#include "vm/vm.h"

/*
 * Before the VM starts: 0, -LE_NOMEM, or -LE_UNSUPPORTED where the engine
 * knows no debugger. stopped is called, on a vCPU's thread, when one has
 * stopped by itself: then vm_debug_stop() is to follow. close: the VM has
 * ended or was not started; stopped is not called again.
 */
int vm_debug_open(struct vm *vm, void (*stopped)(void *ctx), void *ctx,
                  struct err *e);
void vm_debug_close(struct vm *vm);

/* Returns when all stand still, for the debugger alone if for nobody else. */
void vm_debug_stop(struct vm *vm);
/* Any thread: do they stand still for a debugger? */
bool vm_debug_holds(struct vm *vm);
/*
 * Which vCPU stopped by itself, and why; the next call tells of the next one.
 * False: none (any more).
 */
bool vm_debug_stopped(struct vm *vm, unsigned *cpu, struct debug_stop *why);

enum vm_debug_how { VM_DEBUG_HOLD, VM_DEBUG_STEP, VM_DEBUG_GO };
/*
 * On they go, how[n] is CPU n's. interrupts: of the kinds that can be held are
 * taken while stepping, too. An error changes nothing.
 */
int vm_debug_go(struct vm *vm, const uint8_t *how, bool interrupts,
                struct err *e);
/* The debugger has gone: all points with it, and the vCPUs run. */
void vm_debug_leave(struct vm *vm);

/*
 * Points, while all stand still. -LE_RANGE: there are too many, or of this
 * length; -LE_UNSUPPORTED: not under this engine. cpu: whose page tables say
 * where a software breakpoint is. Removing what is not there does nothing.
 */
int vm_debug_add(struct vm *vm, unsigned cpu, const struct debug_point *p,
                 struct err *e);
void vm_debug_remove(struct vm *vm, const struct debug_point *p);

/*
 * Memory, while all stand still: where that CPU has a now; and up to n bytes
 * from there, RAM and ROM (load) or RAM (store), whatever pages allow. Returns
 * how many could be had. Devices are left alone.
 */
bool vm_debug_translate(struct vm *vm, unsigned cpu, gva_t a, gpa_t *out);
size_t vm_debug_load(struct vm *vm, unsigned cpu, gva_t a, void *to, size_t n);
size_t vm_debug_store(struct vm *vm, unsigned cpu, gva_t a, const void *from,
                      size_t n);

#endif
