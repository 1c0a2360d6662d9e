/*
 * What a debugger that speaks GDB's remote serial protocol ("Debugging with
 * GDB", appendix "Remote Protocol") is told of a VM and can do with it:
 * all-stop mode, a thread a vCPU. Bytes in, bytes out; whose they are is the
 * caller's to know. docs/debug.md lists what there is.
 *
 * Thread: as vm/debug.h; stopped() of gdb_create() comes on vCPUs' threads.
 */
#ifndef VM_GDB_STUB_H
#define VM_GDB_STUB_H

#include "vm/vm.h"

struct gdb_stub;

/*
 * Before the VM starts. wait: it stands still until a debugger lets it go.
 * stopped: gdb_poll() is to be called soon. The VM has ended, or was not
 * started, when the stub is destroyed (NULL: nothing).
 */
int gdb_create(struct vm *vm, bool wait, void (*stopped)(void *ctx), void *ctx,
               struct gdb_stub **out, struct err *e);
void gdb_destroy(struct gdb_stub *s);

/* A debugger is there: the VM stops. It has gone: the VM goes on. */
void gdb_connect(struct gdb_stub *s);
void gdb_disconnect(struct gdb_stub *s);

/*
 * Takes bytes from the debugger and does what they say. Returns how many it
 * took; the others are to come again when what there is has been sent.
 */
size_t gdb_take(struct gdb_stub *s, const uint8_t *p, size_t n);
void gdb_poll(struct gdb_stub *s);
/* What is to be sent to the debugger, or NULL; n bytes of it were sent. */
const uint8_t *gdb_out(const struct gdb_stub *s, size_t *n);
void gdb_sent(struct gdb_stub *s, size_t n);

/* The VM has ended: with an exit status, or crashed. */
void gdb_end(struct gdb_stub *s, bool crashed, unsigned status);

#endif
