/* The session: packets in and out, stopping and going on, memory, points. */
#include "vm/gdb/internal.h"

#include "base/libc.h"

/* --- answers --- */

void gdb_error(struct gdb_stub *s, unsigned number)
{
    s->reply.n = 0;
    gdb_print(&s->reply, "E%02x", number);
}

void gdb_ok(struct gdb_stub *s)
{
    gdb_print(&s->reply, "OK");
}

static void send_reply(struct gdb_stub *s)
{
    if (s->reply.full)
        gdb_error(s, GDB_EINVAL);
    gdb_link_send(&s->link, s->reply.p, s->reply.n);
    s->reply.n = 0;
    s->reply.full = false;
}

/* --- stopping --- */

static void put_why(struct gdb_stub *s)
{
    static const char *const data[] = {[DEBUG_WRITE] = "watch",
                                       [DEBUG_READ] = "rwatch",
                                       [DEBUG_ACCESS] = "awatch"};

    if (s->why.why != DEBUG_POINT)
        return;
    if (s->why.kind == DEBUG_CODE)
        gdb_print(&s->reply, "%s:;", s->why.hardware ? "hwbreak" : "swbreak");
    else
        gdb_print(&s->reply, "%s:%llx;", data[s->why.kind],
                  (unsigned long long)s->why.address);
}

static void put_stop(struct gdb_stub *s)
{
    gdb_print(&s->reply, "T%02xthread:%02x;", s->signal, s->cpu + 1);
    put_why(s);
}

/* All stand still: who stopped by itself is who the debugger looks at. */
static void note_stop(struct gdb_stub *s, unsigned signal)
{
    unsigned cpu;

    s->running = false;
    s->why.why = DEBUG_NONE;
    s->signal = signal;
    if (!vm_debug_stopped(s->vm, &cpu, &s->why))
        return;
    s->cpu = s->go_cpu = cpu;
    s->signal = s->why.why == DEBUG_CRASHED ? GDB_SIGSEGV : GDB_SIGTRAP;
}

static void stop(struct gdb_stub *s, unsigned signal)
{
    vm_debug_stop(s->vm);
    note_stop(s, signal);
}

/* Ctrl-C, or a packet that finds the VM running. */
static void interrupt(struct gdb_stub *s)
{
    stop(s, GDB_SIGINT);
    put_stop(s);
    send_reply(s);
}

void gdb_poll(struct gdb_stub *s)
{
    if (!s->connected || !s->running)
        return;
    stop(s, GDB_SIGTRAP);
    put_stop(s);
    send_reply(s);
}

/* --- going on --- */

void gdb_how_all(struct gdb_stub *s, enum vm_debug_how how)
{
    memset(s->how, how, vm_ncpus(s->vm));
}

void gdb_go(struct gdb_stub *s)
{
    struct err e;

    s->running = true;
    if (!vm_debug_go(s->vm, s->how, s->interrupts, &e))
        return; /* the answer is the next stop */
    s->running = false;
    host_log(LOG_WARN, "gdb: %s", e.text);
    gdb_error(s, GDB_EINVAL);
}

/* An address may follow: where to go on. */
static void go_from(struct gdb_stub *s, struct gdb_words *w,
                    enum vm_debug_how how)
{
    uint64_t rip;

    if (gdb_number(w, &rip)) {
        vm_get_state(s->vm, s->go_cpu, s->state, STATE_REGS);
        s->state->rip = rip;
        vm_set_state(s->vm, s->go_cpu, s->state, STATE_REGS);
    }
    gdb_how_all(s, VM_DEBUG_GO);
    s->how[s->go_cpu] = (uint8_t)how;
    gdb_go(s);
}

/* Signals are nothing that a CPU could be given. */
static void skip_signal(struct gdb_words *w)
{
    uint64_t signal;

    gdb_number(w, &signal);
    gdb_word(w, ";");
}

static void do_c(struct gdb_stub *s, struct gdb_words *w)
{
    go_from(s, w, VM_DEBUG_GO);
}

static void do_C(struct gdb_stub *s, struct gdb_words *w)
{
    skip_signal(w);
    do_c(s, w);
}

static void do_s(struct gdb_stub *s, struct gdb_words *w)
{
    go_from(s, w, VM_DEBUG_STEP);
}

static void do_S(struct gdb_stub *s, struct gdb_words *w)
{
    skip_signal(w);
    do_s(s, w);
}

static void do_why(struct gdb_stub *s, struct gdb_words *w)
{
    (void)w;
    put_stop(s);
}

static void do_D(struct gdb_stub *s, struct gdb_words *w)
{
    (void)w;
    s->connected = false;
    vm_debug_leave(s->vm);
    gdb_ok(s);
}

static void do_k(struct gdb_stub *s, struct gdb_words *w)
{
    (void)w;
    vm_stop(s->vm);
}

/* --- threads --- */

bool gdb_thread(struct gdb_stub *s, struct gdb_words *w, unsigned any,
                unsigned *cpu, bool *all)
{
    uint64_t n;

    *cpu = any;
    *all = gdb_word(w, "-1");
    if (*all)
        return true;
    if (!gdb_number(w, &n) || n > vm_ncpus(s->vm))
        return false;
    if (n)
        *cpu = (unsigned)n - 1;
    return true;
}

static void do_H(struct gdb_stub *s, struct gdb_words *w)
{
    bool go = gdb_word(w, "c"), all;
    unsigned *which = go ? &s->go_cpu : &s->cpu, cpu;

    if ((!go && !gdb_word(w, "g")) || !gdb_thread(s, w, *which, &cpu, &all)) {
        gdb_error(s, GDB_EINVAL);
        return;
    }
    *which = cpu;
    gdb_ok(s);
}

static void do_T(struct gdb_stub *s, struct gdb_words *w)
{
    unsigned cpu;
    bool all;

    if (gdb_thread(s, w, 0, &cpu, &all))
        gdb_ok(s);
    else
        gdb_error(s, GDB_EINVAL);
}

/* --- memory --- */

static size_t load(struct gdb_stub *s, uint64_t a, void *to, size_t n)
{
    if (!s->physical)
        return vm_debug_load(s->vm, s->cpu, a, to, n);
    return space_load(vm_mem(s->vm), a, to, n) ? 0 : n;
}

static size_t store(struct gdb_stub *s, uint64_t a, const void *from, size_t n)
{
    if (!s->physical)
        return vm_debug_store(s->vm, s->cpu, a, from, n);
    return space_store(vm_mem(s->vm), a, from, n) ? 0 : n;
}

/* "address,length" and what has to follow. */
static bool range(struct gdb_stub *s, struct gdb_words *w, uint64_t *a,
                  uint64_t *n, const char *follows)
{
    if (gdb_number(w, a) && gdb_word(w, ",") && gdb_number(w, n) &&
        gdb_word(w, follows))
        return true;
    gdb_error(s, GDB_EINVAL);
    return false;
}

static void do_m(struct gdb_stub *s, struct gdb_words *w)
{
    uint64_t a, n;
    size_t have;

    if (!range(s, w, &a, &n, ""))
        return;
    n = MIN(n, GDB_PACKET / 2); /* fewer is allowed */
    have = load(s, a, s->memory, n);
    if (n && !have)
        gdb_error(s, GDB_EFAULT);
    else
        gdb_put_hex(&s->reply, s->memory, have);
}

static void write(struct gdb_stub *s, uint64_t a, const void *from, size_t n,
                  bool complete)
{
    if (!complete)
        gdb_error(s, GDB_EINVAL);
    else if (store(s, a, from, n) < n)
        gdb_error(s, GDB_EFAULT);
    else
        gdb_ok(s);
}

static void do_M(struct gdb_stub *s, struct gdb_words *w)
{
    uint64_t a, n;
    size_t have;

    if (!range(s, w, &a, &n, ":"))
        return;
    have = gdb_bytes(w, s->memory, sizeof s->memory);
    write(s, a, s->memory, have, have == n && gdb_at_end(w));
}

static void do_X(struct gdb_stub *s, struct gdb_words *w)
{
    uint64_t a, n;

    if (range(s, w, &a, &n, ":"))
        write(s, a, w->p, n, n == (uint64_t)(w->end - w->p));
}

/* --- points --- */

/* "type,address,kind": kind is a length for data, an encoding for code. */
static bool point(struct gdb_stub *s, struct gdb_words *w,
                  struct debug_point *p)
{
    static const uint8_t kind[] = {DEBUG_CODE, DEBUG_CODE, DEBUG_WRITE,
                                   DEBUG_READ, DEBUG_ACCESS};
    uint64_t type, n;

    *p = (struct debug_point){0};
    if (!gdb_number(w, &type) || !gdb_word(w, ",")) {
        gdb_error(s, GDB_EINVAL);
        return false;
    }
    if (type >= ARRAY_LEN(kind) || !range(s, w, &p->address, &n, ""))
        return false; /* other types: an empty answer */
    p->kind = kind[type];
    p->hardware = type != 0;
    p->length = p->kind == DEBUG_CODE ? 1 : (uint32_t)MIN(n, UINT32_MAX);
    return true;
}

static void do_Z(struct gdb_stub *s, struct gdb_words *w)
{
    struct debug_point p;
    struct err e;
    int rc;

    if (!point(s, w, &p))
        return;
    rc = vm_debug_add(s->vm, s->cpu, &p, &e);
    if (!rc)
        gdb_ok(s);
    else
        gdb_error(s, rc == -LE_UNSUPPORTED ? GDB_ENOSYS : GDB_ENOSPC);
}

static void do_z(struct gdb_stub *s, struct gdb_words *w)
{
    struct debug_point p;

    if (!point(s, w, &p))
        return;
    vm_debug_remove(s->vm, &p);
    gdb_ok(s);
}

/* --- packets --- */

static const struct gdb_command packets[] = {
    {"?", do_why},
    {"c", do_c},
    {"C", do_C},
    {"s", do_s},
    {"S", do_S},
    {"D", do_D},
    {"k", do_k},
    {"H", do_H},
    {"T", do_T},
    {"g", gdb_read_all},
    {"G", gdb_write_all},
    {"p", gdb_read_one},
    {"m", do_m},
    {"M", do_M},
    {"P", gdb_write_one},
    {"X", do_X},
    {"Z", do_Z},
    {"z", do_z},
    {0},
};

/* Of a name that is longer than a letter the whole word must be there. */
static bool is_command(struct gdb_words *w, const char *name)
{
    struct gdb_words rest = *w;
    char next;

    if (!gdb_word(&rest, name))
        return false;
    next = rest.p < rest.end ? *rest.p : 0;
    if (name[1] &&
        ((next >= 'a' && next <= 'z') || (next >= 'A' && next <= 'Z')))
        return false;
    *w = rest;
    return true;
}

bool gdb_dispatch(const struct gdb_command *table, struct gdb_stub *s,
                  struct gdb_words *w)
{
    for (; table->name; table++)
        if (is_command(w, table->name)) {
            table->run(s, w);
            return true;
        }
    return false;
}

/* What is not known gets an empty answer, by the protocol. */
static void serve(struct gdb_stub *s)
{
    const char *data = (const char *)s->link.data;
    struct gdb_words w = {data, data + s->link.n};

    if (!gdb_dispatch(gdb_queries, s, &w))
        gdb_dispatch(packets, s, &w);
    if (!s->running)
        send_reply(s);
}

static void take(struct gdb_stub *s, uint8_t byte)
{
    enum gdb_event event = gdb_link_take(&s->link, byte);

    if (event == GDB_NOTHING || !s->connected)
        return;
    if (s->running) {
        interrupt(s);
        return;
    }
    if (event == GDB_CAME)
        serve(s);
    if (event == GDB_TOO_LONG) {
        gdb_error(s, GDB_EINVAL);
        send_reply(s);
    }
}

size_t gdb_take(struct gdb_stub *s, const uint8_t *p, size_t n)
{
    size_t taken = 0, out;

    while (taken < n && !gdb_link_out(&s->link, &out))
        take(s, p[taken++]);
    return taken;
}

const uint8_t *gdb_out(const struct gdb_stub *s, size_t *n)
{
    return gdb_link_out(&s->link, n);
}

void gdb_sent(struct gdb_stub *s, size_t n)
{
    gdb_link_sent(&s->link, n);
}

/* --- life --- */

void gdb_connect(struct gdb_stub *s)
{
    gdb_link_reset(&s->link);
    s->connected = true;
    s->physical = s->interrupts = false;
    s->cpu = s->go_cpu = s->listed = 0;
    stop(s, GDB_SIGTRAP);
}

void gdb_disconnect(struct gdb_stub *s)
{
    if (s->connected)
        vm_debug_leave(s->vm);
    s->connected = false;
    gdb_link_reset(&s->link);
}

void gdb_end(struct gdb_stub *s, bool crashed, unsigned status)
{
    if (!s->connected)
        return;
    gdb_print(&s->reply, crashed ? "X%02x" : "W%02x",
              crashed ? GDB_SIGSEGV : status & 0xff);
    send_reply(s);
    s->connected = false;
}

int gdb_create(struct vm *vm, bool wait, void (*stopped)(void *ctx), void *ctx,
               struct gdb_stub **out, struct err *e)
{
    struct gdb_stub *s = host_alloc(sizeof *s);
    int rc = vm_debug_open(vm, stopped, ctx, e);

    if (s) {
        s->vm = vm;
        s->reply = (struct gdb_text){.p = s->buf, .size = sizeof s->buf};
        s->how = host_alloc(vm_ncpus(vm));
        s->state = host_alloc(sizeof *s->state);
    }
    if (!rc && (!s || !s->how || !s->state || gdb_features_make(s)))
        rc = err_set(e, LE_NOMEM, "the host has no memory left");
    if (rc) {
        gdb_destroy(s);
        return rc;
    }
    if (wait)
        vm_debug_stop(vm);
    *out = s;
    return 0;
}

void gdb_destroy(struct gdb_stub *s)
{
    if (!s)
        return;
    vm_debug_close(s->vm);
    host_free(s->features.p);
    host_free(s->state);
    host_free(s->how);
    host_free(s);
}
