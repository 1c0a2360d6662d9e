/* The lock step: turns, the two runs, what is undone between them. */
#include "engine/jit/check_internal.h"
#include "base/libc.h"
#include "x86/flags.h"

static struct check_cpu *of(struct jit_cpu *j)
{
    return &j->jit->check->of[j->ic.cpu.vcpu->id];
}

/* --- turns --- */

static void take_turn(struct check *k)
{
    atomic_fetch_add(&k->waiting, 1);
    host_mutex_lock(&k->turn);
    atomic_fetch_sub(&k->waiting, 1);
    atomic_fetch_add(&k->granted, 1);
    k->left = CHECK_TURN;
}

/* The mutex alone would let whoever has it take it again and again. */
void check_turn(struct jit_cpu *j)
{
    struct check *k = j->jit->check;
    unsigned granted = atomic_load(&k->granted);

    if (k->left) {
        k->left--;
        return;
    }
    if (!atomic_load(&k->waiting))
        return;
    host_mutex_unlock(&k->turn);
    while (atomic_load(&k->granted) == granted && atomic_load(&k->waiting))
        jit_host_relax();
    take_turn(k);
}

void check_enter(struct jit_cpu *j)
{
    take_turn(j->jit->check);
}

enum stop check_leave(struct jit_cpu *j, enum stop stop)
{
    struct check *k = j->jit->check;

    if (k->failed == j)
        stop = STOP_FAULT;
    host_mutex_unlock(&k->turn);
    return stop;
}

/* --- memory --- */

static bool is_copied(const struct check *k, const uint8_t *ram)
{
    for (unsigned n = k->npages; n-- > 0;)
        if (k->page[n].ram == ram)
            return true;
    return false;
}

/* A REP stops and goes on in another block. */
static void nearly_full(struct check *k)
{
    vcpu_raise(k->cpu->ic.cpu.vcpu, VCPU_PRIV);
}

static void copy_page(struct check *k, uint8_t *ram, gpa_t gpa)
{
    struct check_page *p = &k->page[k->npages];

    if (k->npages == CHECK_PAGES) {
        k->overflow = true;
        return;
    }
    p->ram = ram;
    p->gpa = gpa;
    memcpy(p->before, ram, PAGE_SIZE);
    if (k->phase == CHECK_SECOND)
        memcpy(p->after, ram, PAGE_SIZE); /* the first run did not touch it */
    if (++k->npages > CHECK_PAGES / 2)
        nearly_full(k);
}

static void tlb_filled(struct cpu *c, struct tlb_entry *e, uint8_t *ram,
                       gpa_t page, bool writable)
{
    struct jit_cpu *j = jit_of(c);
    struct check *k = j->jit->check;
    struct check_cpu *o = of(j);

    if (o->nfilled < CHECK_FILLS)
        o->filled[o->nfilled] = e;
    o->nfilled++;
    if (k->phase != CHECK_IDLE && writable && !is_copied(k, ram)) {
        jit_fp_evict(j); /* copying uses vectors */
        copy_page(k, ram, page);
    }
}

/* So that the next write to any page comes to tlb_filled(). */
static void forget_write_tags(struct cpu *c, struct check_cpu *o)
{
    if (o->nfilled > CHECK_FILLS)
        interp_forget_write_tags(c);
    else
        for (unsigned n = 0; n < o->nfilled; n++)
            tlb_drop_write(c, o->filled[n]);
    o->nfilled = 0;
}

static void forget_filled(struct cpu *c, struct check_cpu *o)
{
    if (o->nfilled > CHECK_FILLS)
        tlb_flush_all(c);
    else
        for (unsigned n = 0; n < o->nfilled; n++)
            tlb_drop_entry(c, o->filled[n]);
    o->nfilled = 0;
}

void check_wrote(struct jit *j, gpa_t a, uint64_t n)
{
    struct check *k = j->check;

    if (k->phase == CHECK_IDLE)
        return;
    for (unsigned at = 0; at < k->npages; at++) {
        struct check_page *p = &k->page[at];
        gpa_t from = MAX(a, p->gpa), to = MIN(a + n, p->gpa + PAGE_SIZE);

        if (from < to)
            memcpy(p->before + (from - p->gpa), p->ram + (from - p->gpa),
                   to - from);
    }
}

bool check_code_written(struct jit_cpu *j, gpa_t a, unsigned n)
{
    if (j->jit->check->phase != CHECK_FIRST)
        return false;
    j->stale |= code_pages_hold(j->ic.pages, a, n);
    return true;
}

/* --- the outside --- */

static void write_down(struct cpu *c, struct check *k, struct outside_access *a)
{
    x86_outside_now(c, a);
    if (k->naccesses == CHECK_ACCESSES) {
        k->overflow = true;
        return;
    }
    k->access[k->naccesses++] = *a;
    if (k->naccesses > CHECK_ACCESSES / 2)
        nearly_full(k);
}

static void give_back(struct cpu *c, struct check *k, struct outside_access *a)
{
    const struct outside_access *was = &k->access[k->replayed];

    if (k->replayed == k->naccesses || was->what != a->what ||
        was->write != a->write || was->bytes != a->bytes || was->at != a->at ||
        (a->write && was->value != a->value)) {
        k->diverged = true;
        k->asked = *a;
        x86_unwind(c, UNWIND_RESTART);
    }
    k->replayed++;
    *a = *was;
}

static void outside(struct cpu *c, struct outside_access *a)
{
    struct check *k = jit_of(c)->jit->check;

    if (k->phase == CHECK_FIRST)
        write_down(c, k, a);
    else
        give_back(c, k, a);
}

/* --- running --- */

/* False: f unwound, and c->unwind says how. */
static NOINLINE bool attempt(struct check *k, void (*f)(struct check *k))
{
    struct cpu *c = &k->cpu->ic.cpu;
    void *outer[ARRAY_LEN(c->unwind_buf)];
    bool through = false;

    memcpy(outer, c->unwind_buf, sizeof outer);
    if (!__builtin_setjmp(c->unwind_buf)) {
        f(k);
        through = true;
    }
    c = &k->cpu->ic.cpu;
    memcpy(c->unwind_buf, outer, sizeof outer);
    return through;
}

static void note_end(struct check *k, bool through, struct check_end *end)
{
    struct cpu *c = &k->cpu->ic.cpu;

    jit_fp_evict(k->cpu);
    flags_materialise(c);
    end->how = UNWIND_NONE;
    if (!through) {
        end->how = c->unwind;
        end->exc = c->exc;
        interp_put_back(c);
        c->unwind = UNWIND_NONE;
    }
    memcpy(&end->s, &c->s, k->bytes);
}

static void keep_memory(struct check *k)
{
    for (unsigned n = 0; n < k->npages; n++)
        memcpy(k->page[n].after, k->page[n].ram, PAGE_SIZE);
}

static void run_translation(struct check *k)
{
    jit_run_code(k->cpu, k->block->code);
}

/* As it was, for the second run. */
static void undo(struct check *k)
{
    struct cpu *c = &k->cpu->ic.cpu;

    for (unsigned n = 0; n < k->npages; n++)
        memcpy(k->page[n].ram, k->page[n].before, PAGE_SIZE);
    forget_filled(c, of(k->cpu));
    memcpy(&c->s, &k->before, k->bytes);
    c->s.rflags ^= of(k->cpu)->flags_apart;
    c->flags_op = FLAGS_READY;
    if (c->mode_key != k->mode_key || c->tlb_mode != k->tlb_mode ||
        k->jit.s.dr[7] != k->before.dr[7])
        x86_mode_changed(c);
}

/* Both mean that the guest goes on at s.rip. */
static bool goes_on(enum unwind how)
{
    return how == UNWIND_NONE || how == UNWIND_RESTART;
}

/* Is this, at s.rip, how and where the translation ended? */
static bool arrived(struct check *k, enum unwind how)
{
    struct cpu *c = &k->cpu->ic.cpu;

    if ((how != k->jit.how && !(goes_on(how) && goes_on(k->jit.how))) ||
        c->s.rip != k->jit.s.rip || k->replayed != k->naccesses)
        return false;
    if (k->last_time)
        return true;
    flags_materialise(c);
    return check_same_state(k, &c->s) && check_same_memory(k);
}

static uint64_t as_rip(const struct block *b, uint64_t rip)
{
    return b->mode & MODE_CODE64 ? rip : (uint32_t)rip;
}

static void note_undefined(struct check *k, const struct opcode *row)
{
    k->unclear |= (row->flags_read & k->undefined) != 0;
    k->undefined |= row->flags_undefined;
    k->undefined &= (uint16_t) ~(row->flags_written & ~row->flags_undefined);
}

/* True: arrived. */
static bool follow_block(struct check *k, struct block *b)
{
    struct jit_cpu *j = k->cpu;
    struct cpu *c = &j->ic.cpu;
    uint64_t rip = c->s.rip;

    j->ic.running = b;
    j->stale = false;
    c->block_rip = rip;
    c->s.rip = as_rip(b, rip + b->len);
    for (unsigned n = 0; n < b->n && !j->stale; n++) {
        const struct insn *i = &b->insn[n];
        uint64_t end = c->s.rip, next = as_rip(b, rip + i->pos + i->len);

        note_undefined(k, insn_opcode(i));
        c->insn = i;
        i->fn(c, i);
        c->insn = NULL;
        k->steps++;
        if (n + 1u == b->n)
            return arrived(k, UNWIND_NONE);
        c->s.rip = next;
        if (next == k->jit.s.rip && arrived(k, UNWIND_NONE))
            return true;
        if (!j->stale)
            c->s.rip = end;
    }
    return false;
}

static void follow(struct check *k)
{
    struct cpu *c = &k->cpu->ic.cpu;

    k->same = arrived(k, UNWIND_NONE);
    while (!k->same && k->steps < CHECK_STEPS) {
        struct block *b = block_find(c, false);

        if (check_bytes(b) > k->bytes)
            return;
        k->same = follow_block(k, b);
    }
}

static bool same_exception(const struct x86_exception *a,
                           const struct x86_exception *b)
{
    return a->vector == b->vector && a->has_error == b->has_error &&
           a->soft == b->soft && (!a->has_error || a->error == b->error) &&
           (a->vector != EXC_PF || a->cr2 == b->cr2) &&
           (a->vector != EXC_DB || a->dr6 == b->dr6);
}

/* An instruction that stops in its middle goes on; all else is an end. */
static void run_again(struct check *k)
{
    struct cpu *c = &k->cpu->ic.cpu;

    for (;;) {
        bool through = attempt(k, follow);

        if (!through || k->last_time)
            note_end(k, through, &k->interp);
        if (through || k->diverged)
            return;
        k->same = arrived(k, k->interp.how) &&
                  (k->jit.how != UNWIND_EXCEPTION ||
                   same_exception(&k->interp.exc, &k->jit.exc));
        if (k->same || k->interp.how != UNWIND_RESTART ||
            ++k->steps >= CHECK_STEPS)
            return;
        c->s.rflags &= ~(uint64_t)FLAG_RF;
    }
}

/* --- a block --- */

/*
 * It may be anywhere by now: for the report, once more up to where the
 * translation ended first.
 */
static void run_to_difference(struct check *k)
{
    k->last_time = true;
    k->diverged = false;
    k->steps = k->replayed = 0;
    undo(k);
    run_again(k);
    k->same = false;
}

/* Counts whatever else runs. */
static uint64_t ran(const struct cpu *c)
{
    return c->stats.instructions + c->stats.exceptions + c->stats.interrupts;
}

static void begin(struct check *k, struct jit_cpu *j, const struct jit_block *b)
{
    struct cpu *c = &j->ic.cpu;
    struct check_cpu *o = of(j);

    k->decoded = block_find(c, false);
    if (o->ran != ran(c))
        o->flags_apart = 0;
    jit_fp_evict(j);
    forget_write_tags(c, o);
    flags_materialise(c);
    k->cpu = j;
    k->block = b;
    k->bytes = check_bytes(k->decoded);
    k->mode_key = c->mode_key;
    k->tlb_mode = c->tlb_mode;
    memcpy(&k->before, &c->s, k->bytes);
    k->overflow = k->diverged = k->same = k->last_time = false;
    k->steps = k->npages = k->naccesses = k->replayed = 0;
    k->undefined = 0;
    k->unclear = false;
}

/* On from here: the interpreter's state, the flags of the translation. */
static void finish(struct check *k)
{
    struct cpu *c = &k->cpu->ic.cpu;
    struct check_cpu *o = of(k->cpu);
    uint64_t apart = (c->s.rflags ^ k->jit.s.rflags) & FLAGS_STATUS &
                     ~(uint64_t)k->undefined;

    k->cpu->stats.undefined +=
        ((c->s.rflags ^ k->jit.s.rflags) & k->undefined) != 0;
    if (apart & ~o->flags_apart)
        o->apart_rip = k->before.rip;
    o->flags_apart = apart;
    o->ran = ran(c);
    c->s.rflags = k->jit.s.rflags;
    c->s.sti_shadow = k->jit.s.sti_shadow;
}

/* Who reads what is undefined may do as the translation did. */
static void follow_translation(struct check *k)
{
    struct cpu *c = &k->cpu->ic.cpu;

    for (unsigned n = 0; n < k->npages; n++) {
        memcpy(k->page[n].ram, k->page[n].after, PAGE_SIZE);
        jit_forget_range(k->cpu->jit, k->page[n].gpa, PAGE_SIZE);
    }
    memcpy(&c->s, &k->jit.s, k->bytes);
    c->flags_op = FLAGS_READY;
    c->insn = NULL;
    x86_mode_changed(c);
    of(k->cpu)->flags_apart = 0;
    k->cpu->stats.undefined++;
}

static void fail(struct check *k)
{
    struct vcpu *v = k->cpu->ic.cpu.vcpu;

    check_report(k);
    err_set(&v->fault, LE_STATE,
            "--check: the jit and the interpreter differ on CPU %u in the "
            "block at 0x%llx; the lines above say how",
            v->id, (unsigned long long)k->block->rip);
    k->failed = k->cpu;
    vcpu_raise(v, VCPU_KICK);
}

void check_block(struct jit_cpu *j, const struct jit_block *b)
{
    struct check *k = j->jit->check;
    struct cpu *c = &j->ic.cpu;
    struct host_mutex *lock = c->vcpu->lock;

    begin(k, j, b);
    host_mutex_lock(lock);
    c->outside = outside;
    k->phase = CHECK_FIRST;
    note_end(k, attempt(k, run_translation), &k->jit);
    k->after_sti = j->sti_rip == k->jit.s.rip;
    if (!k->overflow) {
        k->phase = CHECK_SECOND;
        keep_memory(k);
        undo(k);
        run_again(k);
        if (!k->same && !k->unclear)
            run_to_difference(k);
    }
    k->phase = CHECK_IDLE;
    c->outside = NULL;
    host_mutex_unlock(lock);
    if (!k->overflow && !k->same && !k->unclear) {
        fail(k);
        return;
    }
    if (k->overflow)
        of(j)->flags_apart = 0;
    else if (k->same)
        finish(k);
    else
        follow_translation(k);
    j->stats.checked += k->same;
    if (k->jit.how != UNWIND_NONE) {
        c->exc = k->jit.exc;
        x86_unwind(c, k->jit.how);
    }
}

/* --- opening --- */

int check_open(struct jit *j, struct err *e)
{
    struct check *k = host_ram_alloc(sizeof *k);

    if (!k)
        return err_set(e, LE_NOMEM, "no memory for --check");
    j->check = k;
    host_mutex_init(&k->turn);
    k->page = host_ram_alloc(CHECK_PAGES * sizeof *k->page);
    k->access = host_ram_alloc(CHECK_ACCESSES * sizeof *k->access);
    if (!k->page || !k->access)
        return err_set(e, LE_NOMEM, "no memory for --check");
    return 0;
}

void check_close(struct jit *j)
{
    struct check *k = j->check;

    if (!k)
        return;
    if (k->page)
        host_ram_free(k->page, CHECK_PAGES * sizeof *k->page);
    if (k->access)
        host_ram_free(k->access, CHECK_ACCESSES * sizeof *k->access);
    host_mutex_destroy(&k->turn);
    host_ram_free(k, sizeof *k);
    j->check = NULL;
}

void check_vcpu_open(struct jit_cpu *j)
{
    j->ic.cpu.tlb_filled = tlb_filled;
}
