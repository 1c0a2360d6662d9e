#include "vm/debug.h"

#include "base/libc.h"
#include "vm/internal.h"
#include "x86/mem.h"
#include "x86/outside.h"

enum { LENGTH_MAX = 1 << 20 };

struct vm_debugger {
    void (*stopped)(void *ctx);
    void *ctx;
    atomic_bool holds; /* the VM stands still for it */
    bool marked;       /* points.marks has grown since the vCPUs ran */
    struct debug_points points;
    struct cpu *walker; /* has the page tables of whom is looked at */
};

/* --- on the vCPU's thread --- */

/* It waits for the debugger from here on. */
static void wait_for_debugger(struct vm *vm, struct cpu_thread *t,
                              struct debug_stop why)
{
    t->stop = why;
    atomic_store(&t->frozen, true);
    vm->debugger->stopped(vm->debugger->ctx);
}

void debug_hit(struct vm *vm, struct cpu_thread *t)
{
    if (t->vcpu.debug.points)
        wait_for_debugger(vm, t, t->vcpu.debug.stop);
}

bool debug_crashed(struct vm *vm, struct cpu_thread *t)
{
    if (!t->vcpu.debug.points)
        return false;
    t->crashed = true;
    wait_for_debugger(vm, t, (struct debug_stop){.why = DEBUG_CRASHED});
    return true;
}

/* --- life --- */

/* Tables in a device are not read: that might change it. */
static void nothing_outside(struct cpu *c, struct outside_access *a)
{
    (void)c;
    a->value = 0;
}

int vm_debug_open(struct vm *vm, void (*stopped)(void *ctx), void *ctx,
                  struct err *e)
{
    struct vm_debugger *d;

    if (!vm->config.engine->debug)
        return err_set(e, LE_UNSUPPORTED,
                       "the %s engine knows no debugger; use --engine jit or "
                       "interp",
                       vm->config.engine->name);
    d = host_alloc(sizeof *d);
    if (!d)
        return err_set(e, LE_NOMEM, "the host has no memory left");
    d->walker = host_ram_alloc(sizeof *d->walker);
    if (!d->walker) {
        host_free(d);
        return err_set(e, LE_NOMEM, "the host has no memory left");
    }
    d->walker->outside = nothing_outside;
    d->stopped = stopped;
    d->ctx = ctx;
    vm->debugger = d;
    return 0;
}

void vm_debug_close(struct vm *vm)
{
    struct vm_debugger *d = vm->debugger;

    if (!d)
        return;
    vm->debugger = NULL;
    host_ram_free(d->walker, sizeof *d->walker);
    host_free(d);
}

/* --- stop and go --- */

/* The engine takes what it has put into the guest for points out again. */
static void leave_engine(struct vm *vm)
{
    for (unsigned n = 0; n < vm->config.ncpus; n++) {
        struct vcpu *c = vm_vcpu(vm, n);

        c->debug.points = NULL;
        c->debug.step = c->debug.marked = false;
        c->debug.held = 0;
        c->engine->debug(c, NULL);
    }
}

void vm_debug_stop(struct vm *vm)
{
    struct vm_debugger *d = vm->debugger;

    if (d->holds)
        return;
    vm_pause(vm);
    d->holds = true;
    leave_engine(vm);
}

bool vm_debug_holds(struct vm *vm)
{
    return vm->debugger && vm->debugger->holds;
}

bool vm_debug_stopped(struct vm *vm, unsigned *cpu, struct debug_stop *why)
{
    for (unsigned n = 0; n < vm->config.ncpus; n++) {
        struct cpu_thread *t = &vm->cpus[n];

        if (!t->stop.why)
            continue;
        *cpu = n;
        *why = t->stop;
        t->stop.why = DEBUG_NONE;
        return true;
    }
    return false;
}

/*
 * What nobody has been told of yet. Accesses were made once and for all; the
 * rest is met again.
 */
static bool has_news(struct vm *vm, const uint8_t *how)
{
    bool news = false;

    for (unsigned n = 0; n < vm->config.ncpus; n++) {
        struct debug_stop *s = &vm->cpus[n].stop;

        if (s->why == DEBUG_POINT && s->kind != DEBUG_CODE)
            news |= how[n] != VM_DEBUG_HOLD;
        else
            s->why = DEBUG_NONE;
    }
    return news;
}

static int enter_engine(struct vm *vm, const uint8_t *how, bool interrupts,
                        struct err *e)
{
    struct vm_debugger *d = vm->debugger;

    for (unsigned n = 0; n < vm->config.ncpus; n++) {
        struct vcpu *c = vm_vcpu(vm, n);
        int rc;

        c->debug.points = &d->points;
        c->debug.step = how[n] == VM_DEBUG_STEP;
        c->debug.held =
            c->debug.step && !interrupts ? VCPU_INTR | VCPU_NMI | VCPU_SMI : 0;
        c->debug.marked = d->marked;
        rc = c->engine->debug(c, e);
        c->debug.marked = false;
        if (rc)
            return rc;
    }
    d->marked = false;
    return 0;
}

static void run_again(struct vm *vm)
{
    vm->debugger->holds = false;
    vm_resume(vm);
}

int vm_debug_go(struct vm *vm, const uint8_t *how, bool interrupts,
                struct err *e)
{
    int rc;

    if (has_news(vm, how)) {
        vm->debugger->stopped(vm->debugger->ctx);
        return 0;
    }
    rc = enter_engine(vm, how, interrupts, e);
    if (rc) {
        leave_engine(vm);
        return rc;
    }
    for (unsigned n = 0; n < vm->config.ncpus; n++)
        atomic_store(&vm->cpus[n].frozen, how[n] == VM_DEBUG_HOLD);
    run_again(vm);
    return 0;
}

void vm_debug_leave(struct vm *vm)
{
    struct vm_debugger *d = vm->debugger;

    vm_debug_stop(vm);
    memset(&d->points, 0, sizeof d->points);
    for (unsigned n = 0; n < vm->config.ncpus; n++) {
        vm->cpus[n].stop.why = DEBUG_NONE;
        atomic_store(&vm->cpus[n].frozen, false);
    }
    run_again(vm);
}

/* --- points --- */

static struct debug_point *find(struct debug_points *s,
                                const struct debug_point *p)
{
    for (unsigned n = 0; n < s->n; n++) {
        struct debug_point *q = &s->point[n];

        if (q->address == p->address && q->kind == p->kind &&
            q->length == p->length && q->hardware == p->hardware)
            return q;
    }
    return NULL;
}

static void drop(struct debug_points *s, struct debug_point *p)
{
    s->data -= p->kind != DEBUG_CODE;
    *p = s->point[--s->n];
}

static void mark(struct vm_debugger *d, gva_t a)
{
    uint64_t *word = &d->points.marks[(a & ~PAGE_MASK) / 64];
    uint64_t bit = 1ull << a % 64;

    d->marked |= !(*word & bit);
    *word |= bit;
}

int vm_debug_add(struct vm *vm, unsigned cpu, const struct debug_point *p,
                 struct err *e)
{
    const struct engine_ops *engine = vm->config.engine;
    struct debug_points *s = &vm->debugger->points;
    struct debug_point *q;
    int rc;

    if (!p->length || p->length > LENGTH_MAX || s->n == DEBUG_POINTS)
        return err_set(e, LE_RANGE,
                       "a point has 1 to %d bytes, and there are at most %d",
                       LENGTH_MAX, DEBUG_POINTS);
    if (find(s, p))
        return 0;
    q = &s->point[s->n++];
    *q = *p;
    if (!vm_debug_translate(vm, cpu, p->address, &q->gpa))
        q->gpa = DEBUG_UNMAPPED;
    s->data += p->kind != DEBUG_CODE;
    rc = engine->debug_check ? engine->debug_check(vm, s, e) : 0;
    if (rc)
        drop(s, q);
    else if (p->kind == DEBUG_CODE)
        mark(vm->debugger, p->address);
    return rc;
}

void vm_debug_remove(struct vm *vm, const struct debug_point *p)
{
    struct debug_points *s = &vm->debugger->points;
    struct debug_point *q = find(s, p);

    if (q)
        drop(s, q);
}

/* --- memory --- */

bool vm_debug_translate(struct vm *vm, unsigned cpu, gva_t a, gpa_t *out)
{
    struct cpu *w = vm->debugger->walker;

    w->vcpu = vm_vcpu(vm, cpu);
    w->model = vm->config.model;
    w->window = (struct window){0};
    if (vm_get_state(vm, cpu, &w->s, STATE_SREGS))
        return false;
    return mem_translate_debug(w, a, out);
}

/* How much of n bytes at a is on its page. */
static size_t on_page(gva_t a, size_t n)
{
    return MIN(n, PAGE_SIZE - (size_t)(a & ~PAGE_MASK));
}

/* Up to n bytes between a and p, page by page. */
static size_t move(struct vm *vm, unsigned cpu, gva_t a, uint8_t *p, size_t n,
                   bool store)
{
    size_t done = 0, piece;
    gpa_t at;

    for (; done < n; done += piece) {
        piece = on_page(a + done, n - done);
        if (!vm_debug_translate(vm, cpu, a + done, &at) ||
            (store ? space_store(vm->env.mem, at, p + done, piece)
                   : space_load(vm->env.mem, at, p + done, piece)))
            break;
    }
    return done;
}

size_t vm_debug_load(struct vm *vm, unsigned cpu, gva_t a, void *to, size_t n)
{
    return move(vm, cpu, a, to, n, false);
}

size_t vm_debug_store(struct vm *vm, unsigned cpu, gva_t a, const void *from,
                      size_t n)
{
    return move(vm, cpu, a, (uint8_t *)(uintptr_t)from, n, true);
}
