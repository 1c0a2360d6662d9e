/*
 * Displays: where a VM's screen is shown and its keyboard and mouse are, by
 * the words of --display:
 *   none
 *   text               the text screen in this terminal (term/)
 *   vnc[:ADDR:PORT]    a VNC server (vnc/)
 *
 * Threads: check, open and close on the controlling thread, the lock free;
 * close before the VM is dismantled. Each display has a thread of its own.
 */
#ifndef HOST_UI_UI_H
#define HOST_UI_UI_H

#include "base/err.h"
#include "lodge/display.h"
#include "lodge/host.h"
#include "lodge/input.h"

struct ui_env {
    struct loop *loop;              /* the VM's */
    struct host_mutex *lock;        /* the machine lock */
    struct display_source *display; /* may have no source (yet) */
    struct input_sink *input;
    const char *name;          /* of the VM, for titles; or NULL */
    const char *password_file; /* for vnc; or NULL */
    void (*quit)(void *ctx);   /* a person ends the VM; any thread, no lock */
    void *ctx;
};

/* What every display begins with. */
struct ui {
    void (*close)(struct ui *u); /* frees it */
};

/* Is spec well-formed? -LE_USAGE with a sentence that begins with it. */
int ui_check(const char *spec, const struct ui_env *env, struct err *e);
/* Does it want this terminal for itself? */
bool ui_takes_terminal(const char *spec);
/* *out is NULL for none. */
int ui_open(const char *spec, const struct ui_env *env, struct ui **out,
            struct err *e);
void ui_close(struct ui *u); /* NULL: nothing */

#endif
