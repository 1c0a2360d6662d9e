/* The lock step: comparing states and memory, and telling of differences. */
#include "engine/jit/check_internal.h"
#include "base/libc.h"
#include "x86/flags.h"

/* --- what there is to compare --- */

struct part {
    const char *name;
    uint16_t offset;
    uint8_t bytes;
    uint8_t count;   /* that many, */
    uint16_t stride; /* so far apart */
};

#define ONE(m)                                                                 \
    {                                                                          \
#m, offsetof(struct x86_state, m), sizeof(((struct x86_state *)0)->m), \
            1, 0                                                               \
    }
#define ALL(m)                                                                 \
    {                                                                          \
#m, offsetof(struct x86_state, m),                                     \
            sizeof(((struct x86_state *)0)->m[0]),                             \
            ARRAY_LEN(((struct x86_state *)0)->m),                             \
            sizeof(((struct x86_state *)0)->m[0])                              \
    }
#define SEGS(m)                                                                \
    {                                                                          \
        "seg[]." #m, offsetof(struct x86_state, seg[0].m),                     \
            sizeof(((struct x86_state *)0)->seg[0].m), 6,                      \
            sizeof(struct x86_seg)                                             \
    }

static const struct part parts[] = {
    ALL(gpr),
    ONE(rip),
    SEGS(base),
    SEGS(limit),
    SEGS(attr),
    SEGS(sel),
    ONE(ldt.base),
    ONE(ldt.limit),
    ONE(ldt.attr),
    ONE(ldt.sel),
    ONE(tr.base),
    ONE(tr.limit),
    ONE(tr.attr),
    ONE(tr.sel),
    ONE(gdt.base),
    ONE(gdt.limit),
    ONE(idt.base),
    ONE(idt.limit),
    ONE(cr0),
    ONE(cr2),
    ONE(cr3),
    ONE(cr4),
    ONE(efer),
    ONE(xcr0),
    ALL(pdpte),
    ALL(dr),
    ONE(star),
    ONE(lstar),
    ONE(cstar),
    ONE(fmask),
    ONE(kernel_gs_base),
    ONE(sysenter_cs),
    ONE(sysenter_esp),
    ONE(sysenter_eip),
    ONE(tsc_offset),
    ONE(tsc_adjust),
    ONE(tsc_aux),
    ONE(pat),
    ONE(misc_enable),
    ONE(spec_ctrl),
    ONE(xss),
    ONE(mtrr_def_type),
    ALL(mtrr_fixed),
    ALL(mtrr_base),
    ALL(mtrr_mask),
    ONE(kvmclock_system),
    ONE(kvmclock_wall),
    ONE(cpl),
    ONE(activity),
    ONE(movss_shadow),
    ONE(nmi_blocked),
    ONE(in_smm),
    ONE(pending_db),
    ONE(mxcsr),
    ONE(pkru),
    ALL(k),
    ALL(zmm),
};

/*
 * Of the FXSAVE image: control, status and tag words, the last instruction,
 * the registers. A translation does not keep the last opcode and operand, and
 * the rest is not used.
 */
static const struct {
    const char *name;
    uint8_t from, to;
} x87_parts[] = {{"FCW, FSW, FTW", 0, 6}, {"FIP", 8, 16}, {"ST", 32, 160}};

static const uint8_t *at(const struct x86_state *s, const struct part *p,
                         unsigned n)
{
    return (const uint8_t *)s + p->offset + n * p->stride;
}

static bool same_part(const struct part *p, const struct x86_state *a,
                      const struct x86_state *b)
{
    if (p->stride == p->bytes)
        return !memcmp(at(a, p, 0), at(b, p, 0), (size_t)p->bytes * p->count);
    for (unsigned n = 0; n < p->count; n++)
        if (memcmp(at(a, p, n), at(b, p, n), p->bytes))
            return false;
    return true;
}

/*
 * Flags that the two differ in are kept and looked at again after the next
 * block. The shadow of an STI: the loop knows of it.
 */
static bool same_events(const struct check *k, const struct x86_state *i)
{
    const struct x86_state *j = &k->jit.s;

    return !((i->rflags ^ j->rflags) & ~(uint64_t)FLAGS_STATUS) &&
           (i->sti_shadow == j->sti_shadow || k->after_sti);
}

#define SPAN(a, b, from, to)                                                   \
    memcmp((const uint8_t *)(a) + (from), (const uint8_t *)(b) + (from),       \
           (to) - (from))
#define AT(m) offsetof(struct x86_state, m)

static bool same_x87(const struct x86_state *a, const struct x86_state *b)
{
    for (unsigned n = 0; n < ARRAY_LEN(x87_parts); n++)
        if (SPAN(a->fxsave, b->fxsave, x87_parts[n].from, x87_parts[n].to))
            return false;
    return true;
}

/* All but rflags and the shadow of STI; padding must be the same too. */
static bool same_bytes(const struct x86_state *a, const struct x86_state *b,
                       size_t bytes)
{
    if (SPAN(a, b, 0, AT(rflags)) || SPAN(a, b, AT(seg), AT(sti_shadow)) ||
        SPAN(a, b, AT(movss_shadow), CHECK_NARROW))
        return false;
    return bytes == CHECK_NARROW ||
           (!SPAN(a, b, AT(mxcsr), sizeof *a) && same_x87(a, b));
}

static bool same_parts(const struct x86_state *a, const struct x86_state *b,
                       size_t bytes)
{
    for (unsigned n = 0; n < ARRAY_LEN(parts); n++)
        if (parts[n].offset < bytes && !same_part(&parts[n], a, b))
            return false;
    return bytes == CHECK_NARROW || same_x87(a, b);
}

bool check_same_state(const struct check *k, const struct x86_state *interp)
{
    const struct x86_state *jit = &k->jit.s;

    return same_events(k, interp) && (same_bytes(interp, jit, k->bytes) ||
                                      same_parts(interp, jit, k->bytes));
}

/* May its translation run on into other blocks? */
static bool runs_on(const struct block *b)
{
    const struct insn *last = &b->insn[b->n - 1];

    return !(insn_opcode(last)->props & OP_ENDS) ||
           (insn_opcode(last)->props & OP_SYSTEM) ||
           last->opnd[0].kind == OPND_REL;
}

size_t check_bytes(const struct block *b)
{
    enum {
        PLAIN = OP_COPY | OP_STACK | OP_BRANCH | OP_STRING,
        OTHER = OP_X87 | OP_MMX | OP_SSE | OP_AVX | OP_AVX512
    };

    if (runs_on(b))
        return sizeof(struct x86_state);
    for (unsigned n = 0; n < b->n; n++) {
        const struct insn *i = &b->insn[n];
        uint32_t props = insn_opcode(i)->props;

        if (!(props & PLAIN) || (props & OTHER))
            return sizeof(struct x86_state);
        for (unsigned k = 0; k < 4; k++)
            if (i->opnd[k].kind >= OPND_ST)
                return sizeof(struct x86_state);
    }
    return CHECK_NARROW;
}

bool check_same_memory(const struct check *k)
{
    for (unsigned n = 0; n < k->npages; n++)
        if (memcmp(k->page[n].ram, k->page[n].after, PAGE_SIZE))
            return false;
    return true;
}

/* --- telling --- */

enum { LINES_MAX = 40 }; /* of each kind */

static void say_bytes(const char *name, unsigned n, const uint8_t *interp,
                      const uint8_t *jit, unsigned bytes)
{
    for (unsigned off = 0; off < bytes; off += 8) {
        unsigned piece = MIN(8, bytes - off);

        if (memcmp(interp + off, jit + off, piece))
            host_log(LOG_ERROR, "  %s %u+%u: interp 0x%llx, jit 0x%llx", name,
                     n, off, (unsigned long long)load_le(interp + off, piece),
                     (unsigned long long)load_le(jit + off, piece));
    }
}

static void say_state(const struct x86_state *interp,
                      const struct x86_state *jit, size_t bytes)
{
    for (unsigned n = 0; n < ARRAY_LEN(parts); n++) {
        const struct part *p = &parts[n];

        if (p->offset >= bytes)
            break;
        for (unsigned k = 0; k < p->count; k++)
            say_bytes(p->name, k, at(interp, p, k), at(jit, p, k), p->bytes);
    }
    for (unsigned n = 0; bytes > CHECK_NARROW && n < ARRAY_LEN(x87_parts); n++)
        say_bytes(x87_parts[n].name, 0, interp->fxsave + x87_parts[n].from,
                  jit->fxsave + x87_parts[n].from,
                  x87_parts[n].to - x87_parts[n].from);
    if ((interp->rflags ^ jit->rflags) & ~(uint64_t)FLAGS_STATUS)
        host_log(LOG_ERROR, "  rflags: interp 0x%llx, jit 0x%llx",
                 (unsigned long long)interp->rflags,
                 (unsigned long long)jit->rflags);
    if (interp->sti_shadow != jit->sti_shadow)
        host_log(LOG_ERROR, "  STI's shadow: interp %d, jit %d",
                 interp->sti_shadow, jit->sti_shadow);
}

static void say_memory(const struct check *k)
{
    unsigned lines = 0;

    for (unsigned n = 0; n < k->npages; n++) {
        const struct check_page *p = &k->page[n];

        for (unsigned a = 0; a < PAGE_SIZE && lines < LINES_MAX; a += 8) {
            if (!memcmp(p->ram + a, p->after + a, 8))
                continue;
            host_log(LOG_ERROR,
                     "  memory at 0x%llx: before 0x%llx, interp 0x%llx, "
                     "jit 0x%llx",
                     (unsigned long long)p->gpa + a,
                     (unsigned long long)load_le64(p->before + a),
                     (unsigned long long)load_le64(p->ram + a),
                     (unsigned long long)load_le64(p->after + a));
            lines++;
        }
    }
}

static void say_access(const char *who, const struct outside_access *a)
{
    static const char *const names[] = {
        [OUTSIDE_DEVICE] = "device memory", [OUTSIDE_PORT] = "port",
        [OUTSIDE_APIC] = "APIC register",   [OUTSIDE_MSR] = "MSR",
        [OUTSIDE_TPR] = "task priority",    [OUTSIDE_TSC] = "TSC",
        [OUTSIDE_RANDOM] = "random number", [OUTSIDE_FERR] = "FERR#"};

    host_log(LOG_ERROR, "  %s %s %s at 0x%llx, %u bytes, 0x%llx", who,
             a->write ? "writes" : "reads", names[a->what],
             (unsigned long long)a->at, a->bytes, (unsigned long long)a->value);
}

static void say_code(const struct check *k)
{
    const struct block *b = k->decoded;
    enum decode_mode mode;

    if (!b)
        return;
    mode = b->mode & MODE_CODE64 ? DECODE_64 : DECODE_32;
    for (unsigned n = 0; n < b->n; n++) {
        uint64_t rip = k->before.rip + b->insn[n].pos;
        char text[120];

        x86_disassemble(text, sizeof text, &b->insn[n], rip, mode);
        host_log(LOG_ERROR, "  0x%llx  %s", (unsigned long long)rip, text);
    }
}

static void say_before(const struct x86_state *s)
{
    for (unsigned n = 0; n < 16; n += 4)
        host_log(LOG_ERROR, "  before: r%-2u %016llx %016llx %016llx %016llx",
                 n, (unsigned long long)s->gpr[n],
                 (unsigned long long)s->gpr[n + 1],
                 (unsigned long long)s->gpr[n + 2],
                 (unsigned long long)s->gpr[n + 3]);
    host_log(LOG_ERROR, "  before: rflags %llx, CPL %u, cr3 %llx",
             (unsigned long long)s->rflags, s->cpl, (unsigned long long)s->cr3);
}

static void say_end(const char *who, const struct check_end *e)
{
    static const char *const how[] = {
        [UNWIND_NONE] = "goes on",
        [UNWIND_EXCEPTION] = "raises an exception",
        [UNWIND_RESTART] = "stops in an instruction",
        [UNWIND_HALT] = "halts",
        [UNWIND_SHUTDOWN] = "shuts down"};

    host_log(LOG_ERROR, "  %s %s at 0x%llx", who, how[e->how],
             (unsigned long long)e->s.rip);
    if (e->how == UNWIND_EXCEPTION)
        host_log(LOG_ERROR, "    vector %u, error %x, address 0x%llx",
                 e->exc.vector, e->exc.error, (unsigned long long)e->exc.cr2);
}

void check_report(const struct check *k)
{
    const struct check_cpu *o = &k->of[k->cpu->ic.cpu.vcpu->id];

    host_log(LOG_ERROR, "--check: block at 0x%llx, mode %x, CPU %u",
             (unsigned long long)k->before.rip, k->block->mode,
             k->cpu->ic.cpu.vcpu->id);
    say_code(k);
    say_before(&k->before);
    if (o->flags_apart)
        host_log(LOG_ERROR,
                 "  the jit took flags 0x%llx for dead in the block at 0x%llx",
                 (unsigned long long)o->flags_apart,
                 (unsigned long long)o->apart_rip);
    say_end("jit", &k->jit);
    say_end("interp", &k->interp);
    if (k->replayed < k->naccesses)
        say_access("jit", &k->access[k->replayed]);
    if (k->diverged)
        say_access("interp", &k->asked);
    say_state(&k->interp.s, &k->jit.s, k->bytes);
    say_memory(k);
}
