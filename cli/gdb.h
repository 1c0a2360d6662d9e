/* A debugger's way to a running VM: --gdb. Controlling thread. */
#ifndef CLI_GDB_H
#define CLI_GDB_H

#include "host/posix/address.h"
#include "vm/vm.h"

struct gdb;

/* The address that --gdb names: "PORT", "ADDR:PORT". */
int gdb_address(const char *text, struct address *out, struct err *e);
/* Listens, before the VM starts. wait: it waits for the debugger. */
int gdb_open(struct address *where, bool wait, struct vm *vm, struct gdb **out,
             struct err *e);
/* Once the VM has started. */
int gdb_start(struct gdb *g, struct err *e);
/* The VM has ended as o says (NULL: it never ran), with that exit status. */
void gdb_close(struct gdb *g, const struct vm_outcome *o, int status);

#endif
