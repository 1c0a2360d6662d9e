/*
 * A running VM's control socket: the commands (docs/control.md) that
 * `lodge run --name` serves, over host/control/. Verbs of the other end are in
 * verb_remote.c.
 */
#ifndef CLI_REMOTE_H
#define CLI_REMOTE_H

#include "machine/pc.h"

struct remote;

/* The socket is there from now on: the name is taken. */
int remote_open(const char *name, struct remote **out, struct err *e);
/* Serves vm, which has been started, until remote_close(). */
/* com1: its serial line, for 'lodge console'. */
int remote_start(struct remote *r, struct vm *vm, struct pc *pc,
                 struct chardev *com1, struct err *e);
/* After vm_wait(), before the VM is dismantled. NULL: nothing. */
void remote_close(struct remote *r);

#endif
