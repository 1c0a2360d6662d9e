/* The jit as an engine, and the loop around translated code. */
#include "engine/jit/jit.h"
#include "base/libc.h"
#include "engine/jit/check.h"
#include "x86/flags.h"
#include "x86/ops/ops.h"

static int jit_probe(struct engine_caps *out)
{
    struct cpuid_result r7 = jit_host_cpuid(7, 0), r1 = jit_host_cpuid(1, 0);

    *out = (struct engine_caps){.stock_guests = true};
    /* BMI2 for address arithmetic that keeps flags, AVX for the state. */
    if ((r7.ebx & BIT(8)) && (r1.ecx & BIT(28)))
        return 0;
    out->stock_guests = false;
    snprintf(out->why, sizeof out->why,
             "the host's CPU lacks AVX or BMI2; use --engine interp");
    return -LE_UNSUPPORTED;
}

static void jit_free(struct jit *j)
{
    check_close(j);
    code_pages_free(j->pages);
    host_code_free(&j->memory);
    if (j->meta)
        host_ram_free(j->meta, JIT_META);
    host_mutex_destroy(&j->rmw_lock);
    host_mutex_destroy(&j->lock);
    host_mutex_destroy(&j->world);
    host_ram_free(j, sizeof *j);
}

/* Two halves, so that what runs lies close together. */
static void open_code(struct jit *j)
{
    const struct host_code *m = &j->memory;
    size_t half = align_up(m->len / 2, PAGE_SIZE);

    j->e =
        (struct emit){.p = m->rw, .end = m->rw + half, .to_rx = m->rx - m->rw};
    j->cold = j->e;
    j->cold.p = j->cold_start = m->rw + half;
    j->cold.end = m->rw + m->len;
}

static void tune(struct jit *j)
{
    j->tuning = vm_tuning(j->vm);
    j->meta_used = JIT_META_FIRST;
    j->meta_size = JIT_META;
    j->heat = j->tuning->stress & STRESS_EAGER ? 0 : JIT_HEAT;
    if (j->tuning->stress & STRESS_SMALL) {
        j->e.end = j->e.p + JIT_SMALL;
        j->cold.end = j->cold.p + JIT_SMALL;
        j->meta_size = JIT_SMALL;
    }
}

static int jit_open(struct vm *vm, struct err *e)
{
    struct jit *j = host_ram_alloc(sizeof *j);

    if (!j)
        return err_set(e, LE_NOMEM, "no memory for the jit");
    host_mutex_init(&j->rmw_lock);
    host_mutex_init(&j->lock);
    host_mutex_init(&j->world);
    j->vm = vm;
    j->pages = code_pages_new(vm);
    j->meta = host_ram_alloc(JIT_META);
    if (!j->pages || !j->meta || host_code_alloc(&j->memory, JIT_CODE) < 0) {
        jit_free(j);
        return err_set(e, LE_NOMEM,
                       "no memory for translated code; use --engine interp");
    }
    open_code(j);
    jit_host_features(&j->host);
    jit_know_rows(j);
    tune(j);
    if (j->tuning->check && check_open(j, e) < 0) {
        jit_free(j);
        return -LE_NOMEM;
    }
    vm_set_engine_priv(vm, j);
    return 0;
}

static void jit_close(struct vm *vm)
{
    jit_free(vm_engine_priv(vm));
    vm_set_engine_priv(vm, NULL);
}

/* --- RAM that changes --- */

void jit_forget_range(struct jit *j, gpa_t a, uint64_t n)
{
    while (n) {
        uint64_t piece = MIN(n, PAGE_SIZE - (a & ~PAGE_MASK));

        if (code_pages_written(j->pages, a, piece)) {
            host_mutex_lock(&j->lock);
            jit_invalidate_page(j, a & PAGE_MASK);
            host_mutex_unlock(&j->lock);
        }
        a += piece;
        n -= piece;
    }
}

static int jit_map(struct vm *vm, const struct window *w)
{
    struct jit *j = vm_engine_priv(vm);
    int rc = code_pages_cover(j->pages, w->base, w->size);

    if (rc == 0) {
        jit_forget_range(j, w->base, w->size);
        code_pages_flush_vcpus(j->pages);
    }
    return rc;
}

static void jit_unmap(struct vm *vm, const struct window *w)
{
    struct jit *j = vm_engine_priv(vm);

    jit_forget_range(j, w->base, w->size);
    code_pages_flush_vcpus(j->pages);
}

static void jit_wrote(struct vm *vm, gpa_t a, size_t n)
{
    struct jit *j = vm_engine_priv(vm);

    if (unlikely(j->check != NULL))
        check_wrote(j, a, n);
    jit_forget_range(j, a, n);
}

/* Is the instruction that writes there on that very page? */
static bool writes_own_page(struct cpu *c, gpa_t a)
{
    gva_t page = x86_fetch_address(c, c->block_rip) & PAGE_MASK;
    const struct itlb_entry *e =
        &c->itlb[c->s.cpl == 3][(page >> PAGE_SHIFT) & (ITLB_SIZE - 1)];

    return e->tag == page && e->gpa == (a & PAGE_MASK);
}

static void code_written(struct cpu *c, gpa_t a, unsigned n)
{
    struct jit_cpu *j = jit_of(c);
    bool own;

    if (unlikely(j->jit->check != NULL) && check_code_written(j, a, n))
        return;
    if (!interp_forget_code(c, a, n))
        return;
    jit_fp_evict(j);
    j->stale = true;
    j->stats.invalidations++;
    own = writes_own_page(c, a);
    host_mutex_lock(&j->jit->lock);
    if (own)
        jit_be_careful(j->jit, a);
    jit_invalidate_page(j->jit, a & PAGE_MASK);
    host_mutex_unlock(&j->jit->lock);
}

/* --- vCPUs --- */

static void going_outside(struct cpu *c)
{
    jit_fp_evict(jit_of(c));
}

/* What the thunks move depends on the model: at the first vCPU. */
static void open_thunks(struct jit *j, const struct cpu_model *m)
{
    if (j->code_start)
        return;
    j->avx512 =
        jit_host_has_avx512() && feature_has(&m->features, FEAT_AVX512F);
    jit_emit_thunks(j);
    j->code_start = j->e.p;
}

static int jit_vcpu_open(struct vcpu *v, struct err *err)
{
    size_t below = align_up(JIT_STACK, PAGE_SIZE);
    size_t bytes = below + sizeof(struct jit_cpu);
    uint8_t *stack = host_ram_alloc(bytes);
    struct jit_cpu *j;
    int rc;

    if (!stack)
        return err_set(err, LE_NOMEM, "no memory for vCPU %u", v->id);
    j = (struct jit_cpu *)(void *)(stack + below);
    j->jit = vm_engine_priv(v->vm);
    open_thunks(j->jit, v->model);
    rc = interp_cpu_open(&j->ic, v, j->jit->pages, &j->jit->rmw_lock, err);
    if (rc < 0) {
        host_ram_free(stack, bytes);
        return rc;
    }
    j->stack = stack;
    j->stack_bytes = bytes;
    j->host_mxcsr = 0x1f80;
    j->sti_rip = ~0ull;
    jit_disown_tables(j);
    jit_interrupt(j); /* the loop begins by looking */
    j->ic.cpu.code_written = code_written;
    j->chance = j->jit->tuning->seed + v->id;
    if (j->jit->check)
        check_vcpu_open(j);
    j->ic.cpu.going_outside = going_outside;
    v->priv = j;
    return 0;
}

static void jit_vcpu_close(struct vcpu *v)
{
    struct jit_cpu *j = v->priv;

    interp_cpu_close(&j->ic);
    host_ram_free(j->stack, j->stack_bytes);
    v->priv = NULL;
}

static void jit_kick(struct vcpu *v)
{
    struct jit_cpu *j = v->priv;

    if (j)
        jit_interrupt(j);
}

/* --- translated code when nobody else is in it --- */

static void enter_code(struct jit_cpu *j)
{
    for (;;) {
        atomic_store(&j->in_code, true);
        if (!atomic_load(&j->jit->stop_world))
            return;
        atomic_store(&j->in_code, false);
        host_mutex_lock(&j->jit->world);
        host_mutex_unlock(&j->jit->world);
    }
}

/*
 * Runs jit_flush with every other vCPU outside translated code. The caller is
 * outside and holds no lock; the others may take jit->lock on their way out.
 */
void jit_flush_world(struct jit_cpu *self)
{
    struct jit *j = self->jit;

    jit_fp_evict(self); /* clearing the tables uses vectors */
    host_mutex_lock(&j->world);
    atomic_store(&j->stop_world, true);
    for (unsigned id = 0; id < vm_ncpus(j->vm); id++) {
        struct jit_cpu *other = vm_vcpu(j->vm, id)->priv;

        if (!other || other == self)
            continue;
        while (atomic_load(&other->in_code)) {
            jit_interrupt(other);
            jit_host_relax();
        }
    }
    host_mutex_lock(&j->lock);
    jit_flush(j);
    host_mutex_unlock(&j->lock);
    atomic_store(&j->stop_world, false);
    host_mutex_unlock(&j->world);
}

static bool has_room(const struct jit *j)
{
    return j->e.end - j->e.p > JIT_ROOM && j->cold.end - j->cold.p > JIT_ROOM &&
           j->meta_size - j->meta_used > JIT_ROOM && j->nmaps < JIT_MAP_IDS - 2;
}

/* --- the loop --- */

static bool may_translate(struct jit_cpu *j, const struct block *b)
{
    struct vcpu *self = j->ic.cpu.vcpu;

    if (!b->page || b->marked || (b->mode & (MODE_SINGLE | MODE_TF)) ||
        !code_pages_settled(j->ic.pages, b->page, self))
        return false;
    return b->gpa2 == NO_PAGE ||
           (b->page2 && code_pages_settled(j->ic.pages, b->page2, self));
}

/* Lock held. */
static struct jit_block *translate(struct jit_cpu *j, struct block *ib,
                                   const uint8_t *page, uint32_t mode)
{
    const struct engine_tuning *t = j->jit->tuning;
    const struct x86_state *s = &j->ic.cpu.s;
    const uint8_t *from = emit_here(&j->jit->e);
    struct jit_block *b = jit_translate(j, ib, page, s->rip, mode);

    if (t->translated && b)
        t->translated(t->ctx, from, (size_t)(emit_here(&j->jit->e) - from),
                      s->rip, s->cpl == 3);
    return b;
}

static bool is_cold(const struct jit_cpu *j, const struct block *ib)
{
    unsigned heat = j->jit->heat;

    return ib->heat < heat ||
           (heat && ib->heat < JIT_LOOP_HEAT && block_is_loop(ib));
}

/* Warm blocks are translated; others run interpreted. NULL: it did run. */
static struct jit_block *warm_up(struct jit_cpu *j, const uint8_t *page,
                                 uint32_t mode)
{
    struct cpu *c = &j->ic.cpu;
    struct block *ib;
    struct jit_block *b = NULL;

    jit_fp_evict(j);
    ib = block_find(c, false);
    if (ib->heat_rip != c->s.rip) {
        ib->heat_rip = c->s.rip;
        ib->heat = 0;
    }
    if ((is_cold(j, ib) && !(mode & MODE_ALONE)) || !may_translate(j, ib)) {
        if (is_cold(j, ib)) {
            jit_set_cold(j, x86_fetch_address(c, c->s.rip), ib);
            ib->heat++;
            j->stats.cold++;
        } else {
            j->stats.interpreted++;
        }
        interp_run_block(c, ib);
        return NULL;
    }
    if (!has_room(j->jit))
        jit_flush_world(j);
    host_mutex_lock(&j->jit->lock);
    if (block_is_fresh(ib))
        b = translate(j, ib, page, mode);
    j->epoch = j->jit->epoch;
    host_mutex_unlock(&j->jit->lock);
    if (!b)
        interp_run_block(c, ib);
    return b;
}

/* --- from block to block --- */

/* b's pages have just been fetched, so they are mapped as b says. */
static void map_pages(struct jit_cpu *j, const struct jit_block *b)
{
    for (unsigned n = 0; n < b->npages; n++)
        jit_map_page(j, b->map_id[n]);
}

/* Found in this epoch, and not forgotten since. */
static bool is_alive(const struct jit_cpu *j, const struct jit_block *b)
{
    return j->epoch == j->jit->epoch && !b->dead;
}

/* What makes the next jump to b short. */
static void remember(struct jit_cpu *j, struct jit_block *b)
{
    host_mutex_lock(&j->jit->lock);
    if (is_alive(j, b)) {
        if (j->exit_link) {
            j->stats.links++;
            jit_connect(j->jit, j->exit_link, b);
        }
        map_pages(j, b);
        if (!(b->mode & MODE_ALONE))
            jit_set_target(j, b);
    }
    host_mutex_unlock(&j->jit->lock);
}

/*
 * b, unless the page that its instruction runs into is no longer that at gpa.
 * Without the lock another vCPU's flush may have given b's memory to others.
 */
static struct jit_block *check_second(struct jit_cpu *j, struct jit_block *b,
                                      gva_t second, gpa_t gpa)
{
    const uint8_t *page;

    if (mem_fetch_page(&j->ic.cpu, second, &page) == gpa)
        return b;
    host_mutex_lock(&j->jit->lock);
    if (is_alive(j, b))
        jit_forget(j->jit, b);
    host_mutex_unlock(&j->jit->lock);
    return NULL;
}

/* Run so far too seldom to have been translated: no need to search. */
static bool run_if_cold(struct jit_cpu *j, gva_t linear, gpa_t gpa)
{
    struct cpu *c = &j->ic.cpu;
    struct block *b = jit_cold(j, linear, gpa);

    if (!b || b->heat_rip != c->s.rip || !is_cold(j, b))
        return false;
    b->heat++;
    j->stats.cold++;
    jit_fp_evict(j);
    interp_run_block(c, b);
    return true;
}

/* Without the lock; a flush meanwhile shows in the epoch. */
static struct jit_block *find_recent(struct jit_cpu *j, uint32_t mode,
                                     gpa_t page)
{
    struct jit_block *b;

    j->epoch = __atomic_load_n(&j->jit->epoch, __ATOMIC_ACQUIRE);
    b = jit_recent(j, mode, j->ic.cpu.s.rip);
    return b && b->npages == 1 && b->pages[0].page == page ? b : NULL;
}

static struct jit_block *lookup(struct jit_cpu *j)
{
    struct cpu *c = &j->ic.cpu;
    const uint8_t *page;
    struct jit_block *b;
    const struct jit_link *link;
    uint32_t mode = jit_mode(c);
    gva_t linear = x86_fetch_address(c, c->s.rip), second = 0;
    gpa_t gpa, gpa2 = 0;
    bool crosses;

    /* Read once: another vCPU's flush may clear it. */
    link = __atomic_load_n(&j->exit_link, __ATOMIC_RELAXED);
    if (link && link->alone && link->target == c->s.rip)
        mode |= MODE_ALONE;
    if (!in_code64(c) && c->s.rip > c->s.seg[CS].limit)
        x86_raise_gp0(c);
    gpa = mem_fetch_page(c, linear, &page);
    if (unlikely(j->jit->tuning->stress != 0))
        jit_stress(j, gpa);
    b = find_recent(j, mode, gpa);
    if (b)
        return b;
    if (!(mode & MODE_ALONE) &&
        run_if_cold(j, linear, gpa | (linear & ~PAGE_MASK)))
        return NULL;
    j->stats.lookups++;
    host_mutex_lock(&j->jit->lock);
    b = jit_search(j->jit, gpa | (linear & ~PAGE_MASK), c->s.rip, mode,
                   jit_cs(c));
    j->epoch = j->jit->epoch;
    crosses = b && b->npages > 1;
    if (crosses) {
        second = jit_block_page(b, 1);
        gpa2 = b->pages[1].page;
    }
    host_mutex_unlock(&j->jit->lock);
    if (crosses)
        b = check_second(j, b, second, gpa2);
    return b ? b : warm_up(j, page, mode);
}

/*
 * An indirect branch found no target. To a non-canonical one it faults, with
 * rsp as it was before.
 */
static void check_target(struct jit_cpu *j)
{
    struct cpu *c = &j->ic.cpu;
    const struct jit_insn *ji = (const void *)(j->jit->meta + j->missed_insn);
    op_fn body;

    if (!j->missed_insn || !in_code64(c) ||
        (uint64_t)sign_extend(c->s.rip, 48) == c->s.rip)
        return;
    body = insn_opcode(&ji->i)->body;
    if (body == op_ret)
        c->s.gpr[RSP] -=
            8 + (ji->i.opnd[0].kind == OPND_IMM ? (uint16_t)ji->i.imm : 0);
    else if (body == op_call_ind)
        c->s.gpr[RSP] += 8;
    c->insn = &ji->i;
    c->block_rip = ji->rip;
    x86_raise_gp0(c);
}

void jit_run_code(struct jit_cpu *j, const uint8_t *code)
{
    struct cpu *c = &j->ic.cpu;

    j->ic.running = NULL; /* another may have its memory by now */
    j->exit_link = NULL;
    j->missed = false;
    jit_near(j)->flags = jit_flags_from_rflags(flags_get(c));
    j->jit->thunk.enter(c, code);
    if (SANITIZED)
        jit_fp_evict(j);
    flags_set_status(c, jit_flags_to_rflags(jit_near(j)->flags));
    j->stats.exits++;
    j->stats.exits_unlinked += j->exit_link != NULL;
    if (j->missed) {
        j->stats.exits_indirect++;
        check_target(j);
    }
}

static void run_translated(struct jit_cpu *j, struct jit_block *b)
{
    jit_own_table(j, b->mode & ~MODE_ALONE);
    if (unlikely(j->jit->check != NULL)) {
        map_pages(j, b);
        check_block(j, b);
        return;
    }
    remember(j, b);
    enter_code(j);
    if (is_alive(j, b)) /* there may have been a flush while we waited */
        jit_run_code(j, b->code);
    atomic_store(&j->in_code, false);
}

/*
 * Where an indirect branch to s.rip would go: most exits go on there, without a
 * lock or a search. in_code is set.
 */
static const uint8_t *remembered(struct jit_cpu *j)
{
    struct cpu *c = &j->ic.cpu;
    const uint8_t *code = jit_target(j, jit_mode(c), c->s.rip);

    j->stats.reentries += code != NULL;
    return code;
}

/*
 * The block at s.rip, if it ran here lately: for targets that had to share
 * their entry, and pages whose mapping was not known. in_code is set.
 */
static const uint8_t *recall(struct jit_cpu *j)
{
    struct cpu *c = &j->ic.cpu;
    struct jit_block *b = jit_recent(j, jit_mode(c), c->s.rip);

    if (!b)
        return NULL;
    jit_own_table(j, b->mode);
    for (unsigned n = 0; n < b->npages; n++)
        if (!jit_is_mapped(j, b->map_id[n]))
            return NULL;
    jit_set_target(j, b);
    j->stats.recalls++;
    return b->code;
}

static bool run_remembered(struct jit_cpu *j)
{
    const uint8_t *code;

    if (j->exit_link)
        return false;
    enter_code(j);
    code = j->missed ? recall(j) : remembered(j);
    if (code)
        jit_run_code(j, code);
    atomic_store(&j->in_code, false);
    return code;
}

const uint8_t *jit_resume(struct cpu *c)
{
    struct jit_cpu *j = jit_of(c);

    if (j->jit->check ||
        atomic_load_explicit(&jit_near(j)->poll, memory_order_relaxed) ||
        j->pending || c->s.activity || c->s.pending_db || x86_one_by_one(c))
        return NULL;
    c->s.rflags &= ~(uint64_t)FLAG_RF;
    if (j->maps_generation != c->tlb_generation)
        jit_follow_flushes(j);
    return remembered(j);
}

const uint8_t *jit_missed(struct cpu *c)
{
    struct jit_cpu *j = jit_of(c);
    const uint8_t *code = NULL;

    if (j->maps_generation != c->tlb_generation)
        jit_follow_flushes(j);
    if (!j->jit->check &&
        !atomic_load_explicit(&jit_near(j)->poll, memory_order_relaxed))
        code = recall(j);
    j->missed = !code;
    return code;
}

static void step(struct jit_cpu *j)
{
    struct cpu *c = &j->ic.cpu;
    struct jit_block *b;

    if (j->interpret || c->has_watches ||
        (in_code64(c) && (uint64_t)sign_extend(c->s.rip, 48) != c->s.rip)) {
        j->interpret = false;
        j->exit_link = NULL;
        jit_fp_evict(j);
        j->stats.interpreted++;
        interp_run_block(c, block_find(c, false));
        return;
    }
    if (j->maps_generation != c->tlb_generation)
        jit_follow_flushes(j);
    if (run_remembered(j))
        return;
    b = lookup(j);
    if (b)
        run_translated(j, b);
    else
        j->exit_link = NULL;
}

/* An interrupt between STI and HLT would leave the guest asleep. */
static bool after_sti(struct jit_cpu *j)
{
    const struct x86_state *s = &j->ic.cpu.s;
    bool yes = s->rip == j->sti_rip;

    j->sti_rip = yes ? ~0ull : j->sti_rip;
    return yes && s->activity == CPU_RUNNING && !s->pending_db;
}

static enum stop loop(struct jit_cpu *j)
{
    struct cpu *c = &j->ic.cpu;
    enum stop stop;

    atomic_store(&j->in_code, false);
    if (c->unwind) {
        jit_fp_evict(j);
        j->exit_link = NULL;
        if (!interp_after_unwind(c, &stop))
            return stop;
    }
    for (;;) {
        if (unlikely(j->jit->check != NULL))
            check_turn(j);
        if (!after_sti(j)) {
            jit_uninterrupt(j); /* before the events are looked at */
            j->pending =
                atomic_load_explicit(&c->vcpu->events, memory_order_relaxed);
            if (j->pending | (uint32_t)c->s.activity | !!c->s.pending_db)
                jit_fp_evict(j);
            if (!interp_between_blocks(c, &stop))
                return stop;
            j->pending =
                atomic_load_explicit(&c->vcpu->events, memory_order_relaxed);
        }
        if (unlikely(x86_one_by_one(c))) {
            j->exit_link = NULL;
            jit_fp_evict(j);
            if (!interp_run_single(c, &stop))
                return stop;
        } else {
            step(j);
        }
    }
}

/* Helpers run on our own stack; from there a jump passes over the frames
   between translated code and jit_run(), too. */
static void forget_frames(struct jit_cpu *j)
{
    enum { ENTERING = 16 << 10 };
    uint8_t *here = __builtin_frame_address(0);

    FRAMES_LEFT(j->stack, (size_t)((uint8_t *)j - (uint8_t *)j->stack));
    FRAMES_LEFT(here - ENTERING, (size_t)ENTERING);
}

static enum stop jit_run(struct vcpu *v)
{
    struct jit_cpu *j = v->priv;
    struct cpu *c = &j->ic.cpu;
    enum stop stop;

    if (c->s.activity == CPU_SHUTDOWN)
        return STOP_SHUTDOWN;
    if (j->jit->check)
        check_enter(j);
    interp_enter(&j->ic);
    j->exit_link = NULL;
    __builtin_setjmp(c->unwind_buf);
    forget_frames(j);
    stop = loop(j);
    jit_fp_evict(j);
    interp_leave(&j->ic);
    return j->jit->check ? check_leave(j, stop) : stop;
}

static int jit_debug(struct vcpu *v, struct err *err)
{
    struct jit_cpu *j = v->priv;

    if (v->debug.marked && !v->id) { /* none of them runs */
        host_mutex_lock(&j->jit->lock);
        jit_flush(j->jit);
        host_mutex_unlock(&j->jit->lock);
    }
    return interp_debug(v, err);
}

const struct engine_ops engine_jit = {
    .name = "jit",
    .summary = "x86-64 binary translation, no hardware support needed",
    .probe = jit_probe,
    .open = jit_open,
    .close = jit_close,
    .map = jit_map,
    .unmap = jit_unmap,
    .wrote = jit_wrote,
    .vcpu_open = jit_vcpu_open,
    .vcpu_close = jit_vcpu_close,
    .run = jit_run,
    .kick = jit_kick,
    .stats = jit_stats,
    .get = interp_get,
    .set = interp_set,
    .debug = jit_debug,
};
