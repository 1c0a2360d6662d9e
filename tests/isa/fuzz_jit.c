/*
 * The jit against the interpreter: the same random programs, in two VMs, with
 * the same registers and memory. All registers and all of the memory must be
 * the same in the end.
 *
 *   fuzz_jit [--count N] [--seed S] [--case N] [--mode 0-8] [--check 0|1]
 *            [--host 0|1|2] [--blocks N]
 *
 * --check 1: under the lock step, which tells the block that differs.
 * --host 1: user code only, against this machine's CPU, where the programs run
 * as part of this process (jit_native.h). --host 2: those programs against the
 * interpreter, to see who is wrong. --blocks: so many translations instead of
 * so many programs.
 *
 * Not compared: status flags where an exception ended the program (the jit
 * drops flags that the code after the faulting instruction overwrites), and
 * x87's last data pointer and opcode (of the host, the upper bits of x87's
 * pointers, which it loads as canonical as it likes). No verdict is passed on
 * programs that read flags which the manuals leave undefined (few do, by
 * changing themselves): the lock step knows.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "base/endian.h"
#include "engine/interp/interp.h"
#include "engine/jit/jit.h"
#include "jit_native.h"
#include "jit_watch.h"
#include "jit_write.h"
#include "vm/vm.h"
#include "x86/flags.h"

enum { SKIPPED = 77, REPORTS_MAX = 25, PROGRESS = 1000000 };

struct side {
    const char *name;
    struct vm *vm;
    struct vcpu *v;
    uint8_t *ram;
    struct region region;
    struct x86_state end;
    enum stop stop;
    bool late;    /* stopped, as it took too long */
    bool unknown; /* the host did what no guest would */
};

struct fuzz {
    struct cpu_model model;
    struct row_list rows[2]; /* 32-bit, 64-bit */
    struct side ref, jit;    /* ref: the interpreter, or (no vm) the host */
    struct side checked; /* the jit under the lock step, once it is needed */
    uint8_t memory[RAM_SIZE];
    struct x86_state begin;
    struct program p;
    unsigned reports;
    bool reducing;
    uint64_t ended[3]; /* by its end, by exceptions, otherwise */
    char what[200];
};

static uint64_t case_number, case_seed;
static bool lock_step;
static enum { INTERP, HOST, INTERP_AS_HOST } against;

/* ---- running ---- */

static bool open_side(struct side *s, const struct engine_ops *engine,
                      const struct cpu_model *model, bool check)
{
    struct vm_config config = {.engine = engine,
                               .model = model,
                               .ncpus = 1,
                               .ram_size = RAM_SIZE,
                               .tuning.check = check};
    struct err e = {0};
    int rc;

    s->name = engine->name;
    if (vm_create(&config, &s->vm, &e)) {
        fprintf(stderr, "%s\n", e.text);
        return false;
    }
    s->v = vm_vcpu(s->vm, 0);
    s->ram = vm_ram(s->vm);
    s->region = (struct region){.name = "ram", .size = RAM_SIZE, .ram = s->ram};
    host_mutex_lock(vm_lock(s->vm));
    rc = space_map(vm_env(s->vm)->mem, 0, &s->region, 0);
    host_mutex_unlock(vm_lock(s->vm));
    return rc == 0;
}

/* Everything as at the beginning; what changed is told page by page. */
static void reset_memory(struct fuzz *f, struct side *s)
{
    uint64_t program = f->p.at & ~0xfffull;

    for (uint64_t a = 0; a < RAM_SIZE; a += 0x1000) {
        if (!memcmp(s->ram + a, f->memory + a, 0x1000) &&
            !(a >= program && a < program + 0x2000))
            continue;
        memcpy(s->ram + a, f->memory + a, 0x1000);
        if (s->vm)
            s->v->engine->wrote(s->vm, a, 0x1000);
    }
}

static void run_side(struct fuzz *f, struct side *s)
{
    struct vcpu *v = s->v;

    reset_memory(f, s);
    /* Code that changes itself all the time takes the jit longer. */
    watch_begin(v, s == &f->ref ? 3 : 500);
    if (v) {
        atomic_store(&v->events, 0);
        v->engine->set(v, &f->begin, STATE_ALL);
        s->stop = v->engine->run(v);
        v->engine->get(v, &s->end, STATE_ALL);
    } else {
        s->end = f->begin;
        s->unknown = !native_program(&s->end, s->ram, !f->p.wide);
        s->stop = STOP_HALT;
    }
    s->late = watch_end();
}

/* ---- comparison ---- */

static bool differ(struct fuzz *f, const char *what, uint64_t ref, uint64_t jit)
{
    snprintf(f->what, sizeof f->what, "%s: %s %llx, jit %llx", what,
             f->ref.name, (unsigned long long)ref, (unsigned long long)jit);
    return true;
}

/* The linear address of where it ended. */
static uint64_t end_address(const struct side *s)
{
    const struct x86_seg *cs = &s->end.seg[CS];

    return s->end.rip + (cs->attr & SEG_L ? 0 : cs->base);
}

/* The vector at whose handler it ended; 0x100: at its own end. */
static unsigned end_vector(const struct side *s)
{
    uint64_t at = end_address(s) - 1;

    if (at < STUBS_AT || at >= STUBS_AT + 0x1000)
        return 0x100;
    return (unsigned)(at - STUBS_AT) >> 4;
}

/* Where does FXSAVE fault, whose bytes may be accessed in any order? */
static bool near_on_host(const struct fuzz *f)
{
    uint64_t by = f->ref.end.cr2 - f->jit.end.cr2;
    int32_t apart = (int32_t)by; /* parts of a 32-bit address wrap */

    return !f->ref.vm && apart > -512 && apart < 512;
}

static bool regs_differ(struct fuzz *f)
{
    static const char *const names[] = {
        "rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
        "r8",  "r9",  "r10", "r11", "r12", "r13", "r14", "r15"};
    const struct x86_state *a = &f->ref.end, *b = &f->jit.end;
    bool raised = end_vector(&f->ref) < 0x20 || f->ref.stop == STOP_SHUTDOWN;
    uint64_t mask = raised ? FLAGS_STATUS : 0;

    if (f->ref.stop != f->jit.stop)
        return differ(f, "stop", f->ref.stop, f->jit.stop);
    if (a->rip != b->rip)
        return differ(f, "rip", a->rip, b->rip);
    for (unsigned n = 0; n < 16; n++)
        if (a->gpr[n] != b->gpr[n])
            return differ(f, names[n], a->gpr[n], b->gpr[n]);
    if ((a->rflags ^ b->rflags) & ~mask)
        return differ(f, "rflags", a->rflags, b->rflags);
    if (a->cr2 != b->cr2 && !near_on_host(f))
        return differ(f, "cr2", a->cr2, b->cr2);
    for (unsigned n = 0; n < 6 && f->ref.vm; n++)
        if (a->seg[n].sel != b->seg[n].sel ||
            a->seg[n].attr != b->seg[n].attr ||
            a->seg[n].base != b->seg[n].base ||
            a->seg[n].limit != b->seg[n].limit)
            return differ(f, "segment", a->seg[n].sel, b->seg[n].sel);
    return false;
}

static bool fpu_differs(struct fuzz *f)
{
    const struct x86_state *a = &f->ref.end, *b = &f->jit.end;
    char name[24];
    /* Of an unmasked exception's flags, see forgive_flags() in fuzz_host.c. */
    uint32_t forgiven = !f->ref.vm && end_vector(&f->ref) == EXC_XM ? 0x3f : 0;

    for (unsigned k = 0; k < 160; k++) {
        if (a->fxsave[k] == b->fxsave[k] || k == 6 || k == 7 ||
            (k >= 16 && k < 32) || (k >= 14 && k < 16 && !f->ref.vm))
            continue;
        snprintf(name, sizeof name, "fxsave byte %u", k);
        return differ(f, name, a->fxsave[k], b->fxsave[k]);
    }
    if ((a->mxcsr ^ b->mxcsr) & ~forgiven)
        return differ(f, "mxcsr", a->mxcsr, b->mxcsr);
    for (unsigned n = 0; n < 8; n++)
        if (a->k[n] != b->k[n])
            return differ(f, "opmask", a->k[n], b->k[n]);
    for (unsigned n = 0; n < 32; n++)
        for (unsigned k = 0; k < 64; k += 8)
            if (memcmp(a->zmm[n] + k, b->zmm[n] + k, 8)) {
                snprintf(name, sizeof name, "zmm%u byte %u", n, k);
                return differ(f, name, load_le64(a->zmm[n] + k),
                              load_le64(b->zmm[n] + k));
            }
    return false;
}

/* The status flags in the frame of an exception: taken for the same. */
static void forgive_frame(struct fuzz *f)
{
    static const uint32_t with_error = 1 << 8 | 1 << 10 | 1 << 11 | 1 << 12 |
                                       1 << 13 | 1 << 14 | 1 << 17 | 1 << 21;
    unsigned vector = end_vector(&f->ref);
    unsigned word = f->p.mode < CASE_32_FLAT    ? 8
                    : f->p.mode == CASE_16_REAL ? 2
                                                : 4;
    const struct x86_seg *ss = &f->ref.end.seg[SS];
    uint64_t at = f->ref.end.gpr[RSP] + 2 * word, base = 0;
    uint64_t wrap = word == 8 ? UINT64_MAX : UINT32_MAX;

    if (vector >= 0x20)
        return;
    if (word > 2 && with_error >> vector & 1)
        at += word;
    if (word < 8 && !(ss->attr & SEG_DB))
        at &= 0xffff;
    if (word < 8)
        base = ss->base;
    if (f->ref.end.cr2 != f->jit.end.cr2) /* another byte, another error */
        memcpy(f->jit.ram + f->jit.end.gpr[RSP],
               f->ref.ram + f->jit.end.gpr[RSP], 8);
    for (unsigned k = 0; k < 2; k++) {
        uint8_t mask = k ? FLAG_OF >> 8 : FLAGS_STATUS & 0xff;
        uint64_t a = (base + at + k) & wrap;

        if (a < RAM_SIZE)
            f->jit.ram[a] = (f->jit.ram[a] & ~mask) | (f->ref.ram[a] & mask);
    }
}

static bool memory_differs(struct fuzz *f)
{
    char name[32];

    if (!f->ref.vm) /* nobody has used its page tables */
        memcpy(f->ref.ram + TABLES, f->jit.ram + TABLES, GDT - TABLES);
    if (!memcmp(f->ref.ram, f->jit.ram, RAM_SIZE))
        return false;
    forgive_frame(f);
    for (unsigned a = 0; a < RAM_SIZE; a += 8)
        if (memcmp(f->ref.ram + a, f->jit.ram + a, 8)) {
            snprintf(name, sizeof name, "memory at %x", a);
            return differ(f, name, load_le64(f->ref.ram + a),
                          load_le64(f->jit.ram + a));
        }
    return false;
}

enum verdict { SAME, DIFFERENT, NO_VERDICT };

static struct jit_cpu *jit_cpu(const struct side *s)
{
    return s->v->priv;
}

/* Block by block both do the same, but for undefined flags. */
static bool reads_undefined(struct fuzz *f)
{
    uint64_t before;

    if (!f->checked.vm && !open_side(&f->checked, &engine_jit, &f->model, true))
        return false;
    jit_cpu(&f->checked)->jit->heat = jit_cpu(&f->jit)->jit->heat;
    before = jit_cpu(&f->checked)->stats.undefined;
    run_side(f, &f->checked);
    return f->checked.stop == f->jit.stop &&
           jit_cpu(&f->checked)->stats.undefined != before;
}

static enum verdict run_both(struct fuzz *f)
{
    memcpy(f->memory + f->p.at, f->p.bytes, f->p.n);
    run_side(f, &f->ref);
    if (f->ref.late || f->ref.unknown)
        return NO_VERDICT;
    run_side(f, &f->jit);
    if (f->jit.late) {
        differ(f, "the jit does not end", 0, 0);
        return DIFFERENT;
    }
    if (!regs_differ(f) && !fpu_differs(f) && !memory_differs(f))
        return SAME;
    return !f->reducing && reads_undefined(f) ? NO_VERDICT : DIFFERENT;
}

/* ---- a case ---- */

/* As many instructions as possible are replaced by NOPs. */
static void reduce(struct fuzz *f)
{
    uint8_t saved[PROGRAM_MAX + 64];

    f->reducing = true;
    for (unsigned step = 16; step; step /= 4)
        for (unsigned n = 0; n + step < f->p.parts; n += step) {
            unsigned from = f->p.part[n], to = f->p.part[n + step];

            memcpy(saved, f->p.bytes, sizeof saved);
            memset(f->p.bytes + from, 0x90, to - from);
            if (memcmp(saved, f->p.bytes, sizeof saved) &&
                run_both(f) != DIFFERENT)
                memcpy(f->p.bytes, saved, sizeof saved);
        }
    run_both(f);
    f->reducing = false;
}

static void print_program(const struct program *p)
{
    enum decode_mode mode = program_decode_mode(p);

    for (unsigned n = 0; n < p->n;) {
        char text[120] = "?";
        struct insn i;

        if (x86_decode(&i, p->bytes + n, 15, mode) != DECODE_OK)
            i.len = 1;
        else
            x86_disassemble(text, sizeof text, &i, p->at + n, mode);
        if (p->bytes[n] != 0x90) {
            printf("    %x ", p->at + n);
            for (unsigned k = 0; k < i.len; k++)
                printf("%02x", p->bytes[n + k]);
            printf("  %s\n", text);
        }
        n += i.len;
    }
}

/* Where an exception was raised, and by which bytes. */
static void print_fault(const struct fuzz *f)
{
    uint64_t at = f->ref.end.gpr[RSP];
    uint32_t rip = load_le32(f->ref.ram + (at < IST_TOP ? IST_TOP - 40 : 0));

    if (end_vector(&f->ref) >= 0x20 || at >= IST_TOP)
        return;
    printf("  at %x:", rip);
    for (unsigned k = 0; k < 15; k++) {
        uint64_t a = rip + k < ALIAS ? rip + k : rip + k - ALIAS;

        printf(" %02x", a < RAM_SIZE ? f->ref.ram[a] : 0);
    }
    puts("");
}

static void print_state(const struct side *s)
{
    printf("  %s: vector %x, rip %llx, flags %llx, cr2 %llx, mxcsr %x\n   ",
           s->name, end_vector(s), (unsigned long long)s->end.rip,
           (unsigned long long)s->end.rflags, (unsigned long long)s->end.cr2,
           s->end.mxcsr);
    for (unsigned n = 0; n < 16; n++)
        printf(" %llx", (unsigned long long)s->end.gpr[n]);
    puts("");
}

static void report(struct fuzz *f)
{
    printf("--seed %llu --case %llu (mode %d)\n", (unsigned long long)case_seed,
           (unsigned long long)case_number, f->p.mode);
    reduce(f);
    printf("  %s\n", f->what);
    print_state(&f->ref);
    print_state(&f->jit);
    print_fault(f);
    print_program(&f->p);
    fflush(stdout);
    f->reports++;
}

static void one(struct fuzz *f, int only_mode)
{
    struct rng r = {case_seed + case_number * 0xd1342543de82ef95ull};
    unsigned mode = rng_below(&r, 10);

    if (against)
        mode = mode < 8 ? CASE_64_USER : CASE_COMPAT_USER;
    else
        mode = mode < 4 ? CASE_64_KERNEL : mode < 7 ? CASE_64_USER : mode - 5;
    if (!against && case_number % 4 == 3)
        mode = CASE_32_SEGMENTS + case_number / 4 % 4;
    if (only_mode >= 0)
        mode = (unsigned)only_mode;
    memset(f->memory + CODE_AT, 0x90, CODE_SIZE);
    program_make(&f->p, &r, (enum case_mode)mode,
                 &f->rows[mode <= CASE_64_USER], against);
    program_state(&f->p, &f->begin, &f->model);
    /* Half of them are translated at once. */
    jit_cpu(&f->jit)->jit->heat = case_number & 1 ? 0 : JIT_HEAT / 2;
    switch (run_both(f)) {
    case DIFFERENT: report(f); break;
    case SAME: f->ended[end_vector(&f->ref) < 0x20]++; break;
    case NO_VERDICT: f->ended[2]++; break;
    }
}

static bool open_reference(struct fuzz *f)
{
    if (against != HOST)
        return open_side(&f->ref, &engine_interp, &f->model, false);
    if (SANITIZED) /* its shadow is where programs shall find nothing */
        return false;
    f->ref.name = "host";
    f->ref.ram = native_memory(f->memory, watch_crash);
    return f->ref.ram && native_has_compat();
}

static bool start(struct fuzz *f)
{
    struct engine_caps caps;

    if (engine_jit.probe(&caps))
        return false;
    cpu_host_features(&f->model.features);
    f->model.linear_bits = 48;
    f->model.phys_bits = 40;
    f->model.xcr0_mask =
        feature_has(&f->model.features, FEAT_AVX512F) ? 0xe7 : 7;
    rows_list(&f->rows[0], &f->model, false, against);
    rows_list(&f->rows[1], &f->model, true, against);
    program_memory(f->memory, against);
    return open_reference(f) &&
           open_side(&f->jit, &engine_jit, &f->model, lock_step);
}

int main(int argc, char **argv)
{
    static struct fuzz f;
    uint64_t count = 10000, blocks = UINT64_MAX;
    int mode = -1;
    unsigned shown = 0;

    case_seed = 1;
    for (int k = 1; k + 1 < argc; k += 2) {
        if (!strcmp(argv[k], "--count"))
            count = strtoull(argv[k + 1], NULL, 0);
        else if (!strcmp(argv[k], "--seed"))
            case_seed = strtoull(argv[k + 1], NULL, 0);
        else if (!strcmp(argv[k], "--case"))
            count = (case_number = strtoull(argv[k + 1], NULL, 0)) + 1;
        else if (!strcmp(argv[k], "--check"))
            lock_step = atoi(argv[k + 1]);
        else if (!strcmp(argv[k], "--host"))
            against = atoi(argv[k + 1]);
        else if (!strcmp(argv[k], "--blocks"))
            count = UINT64_MAX, blocks = strtoull(argv[k + 1], NULL, 0);
        else if (!strcmp(argv[k], "--mode"))
            mode = atoi(argv[k + 1]);
    }
    watch_open();
    if (!start(&f)) {
        puts("skipped: the jit does not run here, or the host's CPU cannot be "
             "compared with");
        return SKIPPED;
    }
    for (; case_number < count && f.reports < REPORTS_MAX &&
           jit_cpu(&f.jit)->stats.translations < blocks;
         case_number++) {
        watch_note(case_seed, case_number);
        one(&f, mode);
        if (jit_cpu(&f.jit)->stats.translations / PROGRESS > shown) {
            shown = jit_cpu(&f.jit)->stats.translations / PROGRESS;
            fprintf(stderr, "%u million translations, case %llu\n", shown,
                    (unsigned long long)case_number);
        }
    }
    printf("%llu translations: %llu programs ran to their end, %llu to an "
           "exception, %llu without a verdict; %u differ\n",
           (unsigned long long)jit_cpu(&f.jit)->stats.translations,
           (unsigned long long)f.ended[0], (unsigned long long)f.ended[1],
           (unsigned long long)f.ended[2], f.reports);
    if (f.ref.vm)
        vm_destroy(f.ref.vm);
    vm_destroy(f.jit.vm);
    if (f.checked.vm)
        vm_destroy(f.checked.vm);
    return f.reports != 0;
}
