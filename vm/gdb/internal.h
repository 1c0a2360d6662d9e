/* Between the files of vm/gdb/. */
#ifndef VM_GDB_INTERNAL_H
#define VM_GDB_INTERNAL_H

#include "vm/debug.h"
#include "vm/gdb/packet.h"
#include "vm/gdb/stub.h"
#include "x86/cpuid.h"
#include "x86/state.h"

/* Error numbers of E packets: as errno of Linux, which GDB takes for granted.
 */
enum { GDB_EFAULT = 14, GDB_EINVAL = 22, GDB_ENOSPC = 28, GDB_ENOSYS = 38 };
enum { GDB_SIGINT = 2, GDB_SIGTRAP = 5, GDB_SIGSEGV = 11 };

struct gdb_stub {
    struct vm *vm;
    struct gdb_link link;
    bool connected, running;
    bool physical;   /* addresses of memory */
    bool interrupts; /* are taken while stepping */
    unsigned cpu;    /* whose registers and memory: Hg */
    unsigned go_cpu; /* who steps by s: Hc */
    unsigned listed; /* threads told of so far */
    unsigned signal; /* of the last stop */
    struct debug_stop why;
    uint8_t *how;             /* of each vCPU, enum vm_debug_how */
    struct x86_state *state;  /* scratch */
    struct gdb_text reply;    /* to the packet at hand */
    struct gdb_text features; /* target.xml */
    char buf[GDB_PACKET];     /* reply's */
    uint8_t memory[GDB_PACKET];
};

/* A packet or query: its name, and what does the rest of it. */
struct gdb_command {
    const char *name;
    void (*run)(struct gdb_stub *s, struct gdb_words *w);
};
/* False: none of table, which ends with a NULL name. */
bool gdb_dispatch(const struct gdb_command *table, struct gdb_stub *s,
                  struct gdb_words *w);

void gdb_error(struct gdb_stub *s, unsigned number);
void gdb_ok(struct gdb_stub *s);

/* --- stub.c --- */
/* A thread's number, 1 and on; 0 and -1 are any. False: no such thread. */
bool gdb_thread(struct gdb_stub *s, struct gdb_words *w, unsigned any,
                unsigned *cpu, bool *all);
/* Holds, steps or lets go as s->how says; an error is answered. */
void gdb_go(struct gdb_stub *s);
void gdb_how_all(struct gdb_stub *s, enum vm_debug_how how);

/* --- query.c: what begins with q, Q and v --- */
extern const struct gdb_command gdb_queries[];

/* --- regs.c --- */
/* Room for the description and the description itself; 0 or -LE_NOMEM. */
int gdb_features_make(struct gdb_stub *s);
void gdb_read_all(struct gdb_stub *s, struct gdb_words *w);  /* g */
void gdb_write_all(struct gdb_stub *s, struct gdb_words *w); /* G */
void gdb_read_one(struct gdb_stub *s, struct gdb_words *w);  /* p */
void gdb_write_one(struct gdb_stub *s, struct gdb_words *w); /* P */

/* --- monitor.c --- */
void gdb_monitor(struct gdb_stub *s, struct gdb_words *w);

#endif
