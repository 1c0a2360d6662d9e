/*
 * Our instructions against the host CPU's: the same random encodings, with
 * the same registers, flags and memory, executed natively at user level and
 * by the bodies in x86/ops. All state and every fault must be the same.
 *
 *   fuzz_host [--count N] [--seed S] [--mode 32|64] [--only MNEMONIC]
 *             [--bind 0|1] [--undefined 0|1]
 *
 * Mode 32 is compatibility mode: the instructions that 64-bit code has lost,
 * 16-bit addresses, segment limits. --bind: the interpreter's own functions
 * for the common forms, never or always.
 *
 * Status flags that the SDM leaves undefined are compared only with
 * --undefined 1. What is left after a fault, and x87 pointers, are as Intel's
 * CPUs have them; elsewhere the test is skipped, unless with --any 1.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "base/endian.h"
#include "engine/interp/interp.h"
#include "host_cases.h"
#include "host_written.h"
#include "x86/fpu.h"
#include "x86/hostcpu.h"
#include "x86/opspec.h"

enum { SKIPPED = 77, REPORTS_MAX = 40, ROWS_MAX = 8192 };

struct fuzz {
    struct rng r;
    struct cpu_model model;
    uint16_t rows[ROWS_MAX];
    unsigned nrows, bad, reports;
    bool reported[ROWS_MAX]; /* one a row is enough to read */
    bool undefined;          /* compare undefined flags too */
    bool any;                /* whoever made the CPU */
    int bind; /* the interpreter's own functions: 0, 1, -1 both */
    uint64_t ran, faults;
    struct host_state before, native, ours;
    struct host_fault native_fault, our_fault;
    struct host_case c;
    bool bound;
    uint64_t gpr_mask; /* what of a general register there is */
};

/* ---- comparison ---- */

static bool differ(struct fuzz *f, const char *what, uint64_t ours,
                   uint64_t host)
{
    char text[120];

    f->bad++;
    if (f->reported[f->c.i.op] || f->reports++ >= REPORTS_MAX)
        return true;
    f->reported[f->c.i.op] = true;
    x86_disassemble(text, sizeof text, &f->c.i, CODE_AT, f->c.mode);
    for (unsigned k = 0; k < f->c.i.len; k++)
        printf("%02x", f->c.i.raw[k]);
    printf("  %s%s\n    %s: ours %llx, host %llx\n", text,
           f->bound ? " (bound)" : "", what, (unsigned long long)ours,
           (unsigned long long)host);
    printf("    MXCSR %x\n", load_le32(f->before.fx + 24));
    if (f->c.i.flags & INSN_MEM)
        printf("    memory at %llx\n", (unsigned long long)f->c.target);
    if (f->our_fault.happened)
        printf("    our fault: %u, %x, %llx\n", f->our_fault.vector,
               f->our_fault.error, (unsigned long long)f->our_fault.address);
    if (f->native_fault.happened)
        printf("    the host's: %u, %x, %llx\n", f->native_fault.vector,
               f->native_fault.error,
               (unsigned long long)f->native_fault.address);
    return true;
}

/* What of CR2 is not the CPU's own affair. */
static uint64_t comparable(const struct fuzz *f)
{
    if (!case_in_pieces(&f->c))
        return ~0ull;
    return f->c.i.asize == 2 ? 0 : PAGE_MASK;
}

static bool fault_differs(struct fuzz *f)
{
    const struct host_fault *o = &f->our_fault, *h = &f->native_fault;

    if (o->happened != h->happened)
        return differ(f, "fault (vector, 100: none)",
                      o->happened ? o->vector : 0x100,
                      h->happened ? h->vector : 0x100);
    if (!o->happened)
        return false;
    if (o->vector != h->vector)
        return differ(f, "vector", o->vector, h->vector);
    /* Linux says "present" of all that is not the process's. */
    if (o->vector == EXC_PF && o->address >= 0x7ffffffff000 &&
        (o->error | 1) == (h->error | 1))
        return false;
    if (o->error != h->error)
        return differ(f, "error code", o->error, h->error);
    if (o->vector == EXC_PF && (o->address ^ h->address) & comparable(f))
        return differ(f, "CR2", o->address, h->address);
    return false;
}

static bool gprs_differ(struct fuzz *f)
{
    static const char *const names[] = {
        "rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
        "r8",  "r9",  "r10", "r11", "r12", "r13", "r14", "r15"};

    for (unsigned n = 0; n < 16; n++)
        if ((f->ours.gpr[n] ^ f->native.gpr[n]) & f->gpr_mask)
            return differ(f, names[n], f->ours.gpr[n], f->native.gpr[n]);
    return f->ours.rip != f->native.rip &&
           differ(f, "rip", f->ours.rip, f->native.rip);
}

static bool jit_differs(struct fuzz *f)
{
    uint32_t mask = written_unexpected(&f->c.i, &f->before, &f->native);

    return mask &&
           differ(f, "registers that the jit takes for unchanged", mask, 0);
}

static bool flags_differ(struct fuzz *f)
{
    uint64_t mask = FLAGS_STATUS | FLAG_DF | FLAG_AC | FLAG_ID | FLAG_NT;

    if (!f->undefined && !f->our_fault.happened)
        mask &= ~(uint64_t)f->c.row->flags_undefined;
    return ((f->ours.rflags ^ f->native.rflags) & mask) &&
           differ(f, "flags", f->ours.rflags & mask, f->native.rflags & mask);
}

/* Pointers are loaded canonical: of how many bits, is the CPU's affair. */
static void same_width(uint8_t *fx)
{
    for (unsigned at = 8; at <= 16; at += 8)
        store_le64(fx + at, (uint64_t)sign_extend(load_le64(fx + at), 48));
}

/*
 * The flags of an unmasked exception. With overflow or underflow PE is of the
 * result that would have been, which we have not got (x86/ops/vector.c); and
 * DPPS and DPPD stop after the step that raised it.
 */
static void forgive_flags(struct fuzz *f)
{
    uint8_t flags = strstr(f->c.row->name, "dpp") ? 0x3f : 0x20;

    f->ours.fx[24] =
        (uint8_t)((f->ours.fx[24] & ~flags) | (f->native.fx[24] & flags));
}

static bool x87_differs(struct fuzz *f)
{
    static const struct {
        const char *name;
        uint8_t at, bytes;
    } fields[] = {{"FCW", 0, 2}, {"FSW", 2, 2},  {"FTW", 4, 1},   {"FOP", 6, 2},
                  {"FIP", 8, 8}, {"FDP", 16, 8}, {"MXCSR", 24, 4}};
    const uint8_t *o = f->ours.fx, *h = f->native.fx;

    if (f->our_fault.happened && f->our_fault.vector == EXC_XM)
        forgive_flags(f);
    /* FSTP m80 and FBSTP come out of #AC with another TOP: no rule in sight. */
    if (f->our_fault.happened && f->our_fault.vector == EXC_AC &&
        f->c.i.opnd[0].kind == OPND_MEM && f->c.i.opnd[0].size == 10)
        return false;
    if (strstr(f->c.row->name, "rstor64") && !f->our_fault.happened) {
        same_width(f->native.fx);
        same_width(f->ours.fx);
    }
    for (unsigned k = 0; k < ARRAY_LEN(fields); k++)
        if (memcmp(o + fields[k].at, h + fields[k].at, fields[k].bytes))
            return differ(f, fields[k].name,
                          load_le(o + fields[k].at, fields[k].bytes),
                          load_le(h + fields[k].at, fields[k].bytes));
    for (unsigned k = 32; k < 160; k += 16) {
        if (memcmp(o + k, h + k, 8))
            return differ(f, "ST", load_le64(o + k), load_le64(h + k));
        if (memcmp(o + k + 8, h + k + 8, 2))
            return differ(f, "ST high", load_le16(o + k + 8),
                          load_le16(h + k + 8));
    }
    return false;
}

static bool vectors_differ(struct fuzz *f)
{
    char name[24];

    for (unsigned n = 0; n < 8; n++)
        if (f->ours.k[n] != f->native.k[n]) {
            snprintf(name, sizeof name, "k%u", n);
            return differ(f, name, f->ours.k[n], f->native.k[n]);
        }
    if (!memcmp(f->ours.zmm, f->native.zmm, sizeof f->ours.zmm))
        return false;
    for (unsigned n = 0; n < 32; n++)
        for (unsigned k = 0; k < 64; k += 8)
            if (memcmp(f->ours.zmm[n] + k, f->native.zmm[n] + k, 8)) {
                snprintf(name, sizeof name, "zmm%u byte %u", n, k);
                return differ(f, name, load_le64(f->ours.zmm[n] + k),
                              load_le64(f->native.zmm[n] + k));
            }
    return false;
}

static bool memory_differs(struct fuzz *f)
{
    uint8_t *host = (uint8_t *)(uintptr_t)DATA, *ours = guest_data();
    char name[24];

    if (!memcmp(ours, host, DATA_SIZE))
        return false;
    for (unsigned k = 0; k < DATA_SIZE; k += 8)
        if (memcmp(ours + k, host + k, 8)) {
            snprintf(name, sizeof name, "memory at %x", DATA + k);
            differ(f, name, load_le64(ours + k), load_le64(host + k));
            break;
        }
    memcpy(ours, host, DATA_SIZE);
    return true;
}

/* ---- one case ---- */

/* A branch that landed ran into the trap there. */
static void settle_branch(struct fuzz *f)
{
    if ((f->c.row->props & OP_BRANCH) && f->native_fault.happened &&
        f->native_fault.vector == EXC_BP) {
        f->native_fault.happened = false;
        f->native.rip--;
    }
}

static void compare(struct fuzz *f)
{
    bool bad = fault_differs(f) || gprs_differ(f) || flags_differ(f) ||
               x87_differs(f) || vectors_differ(f) || jit_differs(f);

    if (memory_differs(f) || bad)
        case_fill(&f->r, &f->before);
    else
        f->before = f->native; /* go on from there */
}

static void one(struct fuzz *f)
{
    struct insn i;

    f->c.r = &f->r;
    f->c.s = &f->before;
    if (!case_make(&f->c, f->rows[rng_below(&f->r, f->nrows)]))
        return;
    i = f->c.i;
    f->bound = f->bind < 0 ? rng_one_in(&f->r, 2) : f->bind;
    if (f->bound)
        i.fn = interp_bind(&i, guest_cpu()->mode_key);
    f->native = f->ours = f->before;
    arena_run(&f->native, &f->native_fault, f->c.i.raw, f->c.i.len,
              f->c.mode == DECODE_32);
    guest_run(&f->ours, &f->our_fault, &i);
    settle_branch(f);
    f->ran++;
    f->faults += f->our_fault.happened;
    compare(f);
}

static void fill_memory(struct fuzz *f)
{
    uint8_t page[0x1000];

    for (unsigned p = 0; p <= DATA_PAGES; p++) {
        for (unsigned k = 0; k < sizeof page; k += 8)
            store_le64(page + k, rng_next(&f->r));
        memcpy(guest_data() + p * 0x1000, page, sizeof page);
        if (p < DATA_PAGES)
            memcpy((void *)(uintptr_t)(DATA + p * 0x1000), page, sizeof page);
        else
            arena_write_frozen(page, 0, sizeof page);
    }
}

static bool is_intel(void)
{
    struct cpuid_result r = hostcpu_id(0, 0);

    return r.ebx == 0x756e6547 && r.edx == 0x49656e69 && r.ecx == 0x6c65746e;
}

static bool start(struct fuzz *f, const char *only)
{
    if (!arena_open()) {
        puts("skipped: needs an x86-64 Linux host with FSGSBASE");
        return false;
    }
    if (!is_intel() && !f->any) {
        puts("skipped: not a CPU of Intel's");
        return false;
    }
    cpu_host_features(&f->model.features);
    f->model.linear_bits = 48;
    f->model.phys_bits = 40;
    f->model.xcr0_mask = 0xe7;
    if (!guest_open(&f->model) || !written_open())
        return false;
    if (f->c.mode == DECODE_32 && !native_has_compat()) {
        puts("skipped: no 32-bit code segment here");
        return false;
    }
    guest_mode(f->c.mode == DECODE_32);
    f->gpr_mask = f->c.mode == DECODE_32 ? 0xffffffff : ~0ull;
    f->nrows = cases_rows(f->rows, &f->model, f->c.mode, only);
    case_fill(&f->r, &f->before);
    fill_memory(f);
    return f->nrows;
}

int main(int argc, char **argv)
{
    static struct fuzz f = {.bind = -1, .r = {1}, .c.mode = DECODE_64};
    uint64_t count = 100000;
    const char *only = NULL;

    for (int k = 1; k + 1 < argc; k += 2) {
        if (!strcmp(argv[k], "--count"))
            count = strtoull(argv[k + 1], NULL, 0);
        else if (!strcmp(argv[k], "--seed"))
            f.r.s = strtoull(argv[k + 1], NULL, 0);
        else if (!strcmp(argv[k], "--mode"))
            f.c.mode = atoi(argv[k + 1]) == 32 ? DECODE_32 : DECODE_64;
        else if (!strcmp(argv[k], "--only"))
            only = argv[k + 1];
        else if (!strcmp(argv[k], "--bind"))
            f.bind = atoi(argv[k + 1]);
        else if (!strcmp(argv[k], "--any"))
            f.any = atoi(argv[k + 1]);
        else if (!strcmp(argv[k], "--undefined"))
            f.undefined = atoi(argv[k + 1]);
    }
    if (!start(&f, only))
        return SKIPPED;
    while (f.ran < count && f.reports < REPORTS_MAX)
        one(&f);
    printf("%u rows, %llu instructions, %llu faults, %u differ\n", f.nrows,
           (unsigned long long)f.ran, (unsigned long long)f.faults, f.bad);
    return f.bad != 0;
}
