/* The interpreter as an engine: opening, state in and out. */
#include "engine/interp/interp.h"
#include "base/libc.h"
#include "x86/flags.h"
#include "x86/hostvec.h"

/* What the interpreter keeps of a VM: vm_engine_priv(). */
struct interp {
    struct code_pages *pages;
    struct host_mutex rmw_lock;
};

static int interp_probe(struct engine_caps *out)
{
    *out = (struct engine_caps){.stock_guests = true};
    return 0;
}

static int interp_open(struct vm *vm, struct err *e)
{
    struct interp *in = host_alloc(sizeof *in);

    if (!in)
        return err_set(e, LE_NOMEM, "no memory for the interpreter");
    in->pages = code_pages_new(vm);
    if (!in->pages) {
        host_free(in);
        return err_set(e, LE_NOMEM, "no memory for the interpreter");
    }
    host_mutex_init(&in->rmw_lock);
    vm_set_engine_priv(vm, in);
    return 0;
}

static void interp_close(struct vm *vm)
{
    struct interp *in = vm_engine_priv(vm);

    code_pages_free(in->pages);
    host_mutex_destroy(&in->rmw_lock);
    host_free(in);
    vm_set_engine_priv(vm, NULL);
}

static int interp_map(struct vm *vm, const struct window *w)
{
    struct interp *in = vm_engine_priv(vm);
    int rc = code_pages_cover(in->pages, w->base, w->size);

    if (rc == 0) {
        code_pages_written(in->pages, w->base, w->size);
        code_pages_flush_vcpus(in->pages);
    }
    return rc;
}

static void interp_unmap(struct vm *vm, const struct window *w)
{
    struct interp *in = vm_engine_priv(vm);

    code_pages_written(in->pages, w->base, w->size);
    code_pages_flush_vcpus(in->pages);
}

static void interp_wrote(struct vm *vm, gpa_t a, size_t n)
{
    struct interp *in = vm_engine_priv(vm);

    code_pages_written(in->pages, a, n);
}

/* --- vCPUs --- */

static bool page_writable(struct cpu *c, gpa_t a)
{
    struct code_page *page = code_pages_at(interp_of(c)->pages, a);

    return !page ||
           !atomic_load_explicit(&page->granules, memory_order_acquire);
}

static void code_written(struct cpu *c, gpa_t a, unsigned n)
{
    interp_forget_code(c, a, n);
}

int interp_cpu_open(struct interp_cpu *e, struct vcpu *v,
                    struct code_pages *pages, struct host_mutex *rmw_lock,
                    struct err *err)
{
    struct cpu *c = &e->cpu;
    int rc;

    e->arena = host_ram_alloc(BLOCK_ARENA);
    if (!e->arena)
        return err_set(err, LE_NOMEM, "no memory for vCPU %u", v->id);
    e->pages = pages;
    c->vcpu = v;
    c->model = v->model;
    c->rmw_lock = vm_ncpus(v->vm) > 1 ? rmw_lock : NULL;
    c->code_written = code_written;
    c->page_writable = page_writable;
    c->watch_met = interp_watch_met;
    c->delivering = -1;
    x86_reset(c, false);
    rc = hostvec_open(c, err);
    if (rc < 0)
        host_ram_free(e->arena, BLOCK_ARENA);
    return rc;
}

void interp_cpu_close(struct interp_cpu *e)
{
    hostvec_close(&e->cpu);
    host_ram_free(e->arena, BLOCK_ARENA);
}

static int interp_vcpu_open(struct vcpu *v, struct err *err)
{
    struct interp *in = vm_engine_priv(v->vm);
    struct interp_cpu *e = host_ram_alloc(sizeof *e);
    int rc;

    if (!e)
        return err_set(err, LE_NOMEM, "no memory for vCPU %u", v->id);
    rc = interp_cpu_open(e, v, in->pages, &in->rmw_lock, err);
    if (rc < 0) {
        host_ram_free(e, sizeof *e);
        return rc;
    }
    v->priv = e;
    return 0;
}

static void interp_vcpu_close(struct vcpu *v)
{
    struct interp_cpu *e = v->priv;

    interp_cpu_close(e);
    host_ram_free(e, sizeof *e);
    v->priv = NULL;
}

static void interp_kick(struct vcpu *v)
{
    (void)v; /* the loop looks at v->events between blocks */
}

void interp_stats(struct vcpu *v,
                  void (*emit)(void *ctx, const char *name, uint64_t value),
                  void *ctx)
{
    const struct cpu_stats *s = &((struct interp_cpu *)v->priv)->cpu.stats;

    emit(ctx, "interpreted_instructions", s->instructions);
    emit(ctx, "exceptions", s->exceptions);
    emit(ctx, "interrupts", s->interrupts);
    emit(ctx, "tlb_refills", s->tlb_misses);
    emit(ctx, "tlb_flushes", s->tlb_flushes);
    emit(ctx, "mmio_accesses", s->mmio);
    emit(ctx, "port_accesses", s->pio);
    emit(ctx, "blocks_decoded", s->blocks_decoded);
    emit(ctx, "blocks_invalidated", s->blocks_invalidated);
}

int interp_get(struct vcpu *v, struct x86_state *s, uint32_t groups)
{
    struct interp_cpu *e = v->priv;

    x86_state_copy(s, &e->cpu.s, groups);
    return 0;
}

int interp_set(struct vcpu *v, const struct x86_state *s, uint32_t groups)
{
    struct interp_cpu *e = v->priv;
    struct cpu *c = &e->cpu;

    x86_state_copy(&c->s, s, groups);
    c->flags_op = FLAGS_READY;
    x86_mode_changed(c);
    tlb_flush_all(c);
    block_flush(e);
    return 0;
}

int interp_debug(struct vcpu *v, struct err *err)
{
    struct interp_cpu *e = v->priv;

    (void)err;
    x86_mode_changed(&e->cpu);
    if (e->cpu.has_watches)
        tlb_flush_all(&e->cpu);
    if (v->debug.marked)
        block_flush(e);
    return 0;
}

const struct engine_ops engine_interp = {
    .name = "interp",
    .summary = "portable interpreter, the reference for correctness",
    .probe = interp_probe,
    .open = interp_open,
    .close = interp_close,
    .map = interp_map,
    .unmap = interp_unmap,
    .wrote = interp_wrote,
    .vcpu_open = interp_vcpu_open,
    .vcpu_close = interp_vcpu_close,
    .run = interp_run,
    .kick = interp_kick,
    .stats = interp_stats,
    .get = interp_get,
    .set = interp_set,
    .debug = interp_debug,
};
