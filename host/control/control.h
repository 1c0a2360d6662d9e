/*
 * The control socket of a running VM: other processes of the same user ask it
 * questions and tell it what to do (docs/control.md has the protocol). What it
 * can be asked is a table; the server knows nothing of VMs.
 *
 *   control_open(name, table, ctx, &s)   the socket is there: the name is ours
 *   control_start(s)                     from now on it is served
 *   control_stop(s), control_close(s)    before what the commands use goes
 *
 * Threads: all on the controlling thread with no lock held. Commands
 * run on the server's own thread, one at a time, without the machine lock: so
 * they may pause a VM, and must be quick otherwise or finish later.
 */
#ifndef HOST_CONTROL_CONTROL_H
#define HOST_CONTROL_CONTROL_H

#include <jansson.h>

#include "base/err.h"

enum {
    CONTROL_PROTOCOL = 1,
    CONTROL_REQUEST_MAX = 65536, /* bytes of a line, its end included */
    CONTROL_CLIENTS = 16,
    CONTROL_NAME_MAX = 63,
};

/* What a command returns, besides 0 and -LE_*: control_finish() follows. */
enum { CONTROL_LATER = 1 };

struct control_call {
    void *ctx;      /* as given to control_open() */
    json_t *args;   /* an object; borrowed until the call is finished */
    json_t *result; /* what to answer (the server's from then on); NULL: {} */
    int fd;         /* to pass along with it (likewise), or -1 */
    void *priv;     /* a command's own, for what goes on later */
};

struct control_command {
    const char *name; /* NULL ends a table */
    int (*run)(struct control_call *call, struct err *e);
};

struct control_server;

/* The paths of all sockets are kept short by a short folder: see common.c. */
int control_open(const char *name, const struct control_command *table,
                 void *ctx, struct control_server **out, struct err *e);
int control_start(struct control_server *s, struct err *e);
/* Commands begin no more. What goes on later is to be finished then. */
void control_stop(struct control_server *s);
/* Every CONTROL_LATER has been finished. NULL: nothing. */
void control_close(struct control_server *s);

/* The end of a call that goes on: 0 or -LE_* with e. Any thread, with locks or
   without; call is not to be used any more. */
void control_finish(struct control_call *call, int rc, const struct err *e);

/* --- what both ends know (common.c) --- */

/* Letters, digits, '.', '_' and '-'; not first: '.' and '-'. */
int control_check_name(const char *name, struct err *e);
/*
 * The folder of this user's sockets: $XDG_RUNTIME_DIR/lodge, or else below
 * /run/user or /tmp; made when make is set, and refused when it is not this
 * user's alone. -LE_NOENT: not there.
 */
int control_folder(char *path, size_t n, bool make, struct err *e);
/* How an answer spells LE_*: "usage", "busy". */
const char *control_code_word(int code);

/* --- the other end (client.c) --- */

struct control_client;

/* Connects to the VM of that name and hears its greeting. */
int control_connect(const char *name, struct control_client **out,
                    struct err *e);
/* What it said at the beginning: an object, borrowed. */
const json_t *control_greeting(const struct control_client *c);
/*
 * Asks and waits for the answer, at most timeout ms (-1: no limit). args is
 * taken over (NULL: none). *result is the caller's; *fd, where fd is not NULL,
 * is a descriptor that came along, or -1. An error is the VM's, or of the way
 * to it.
 */
int control_ask(struct control_client *c, const char *command, json_t *args,
                int timeout, json_t **result, int *fd, struct err *e);
/* Waits until the VM has gone; -LE_BUSY when it has not after timeout ms. */
int control_wait_gone(struct control_client *c, int timeout, struct err *e);
/* The process at the other end, or -1. */
int control_pid(const struct control_client *c);
void control_disconnect(struct control_client *c); /* NULL: nothing */

#endif
