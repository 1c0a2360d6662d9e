/*
 * Integer bodies against the host's CPU: the same bytes with the same
 * registers and memory, over every operand size, register and memory forms,
 * corner values and random ones. Undefined flags are left out, unless
 * LODGE_EXACT_HOST is set: then the host must be an Intel CPU of today.
 */
#define REG_RIP HOST_REG_RIP /* signal.h has one of its own */
#include <signal.h>
#undef REG_RIP
#include "x86_fixture.h"

#ifdef __x86_64__
#include <stdio.h>
#include <sys/mman.h>

struct host_regs {
    uint64_t gpr[16];
    uint64_t rflags;
};

/*
 * Loads the registers (all but RSP) and flags from r, calls code, and stores
 * them back. DF is clear afterwards.
 */
void host_run(struct host_regs *r, const void *code);
__asm__(".text\n"
        ".globl host_run\n"
        "host_run:\n"
        "push %rbx; push %rbp; push %r12; push %r13; push %r14; push %r15\n"
        "push %rdi; push %rsi\n"
        "push 128(%rdi); popfq\n"
        "mov (%rdi), %rax; mov 8(%rdi), %rcx; mov 16(%rdi), %rdx\n"
        "mov 24(%rdi), %rbx; mov 40(%rdi), %rbp; mov 48(%rdi), %rsi\n"
        "mov 64(%rdi), %r8; mov 72(%rdi), %r9; mov 80(%rdi), %r10\n"
        "mov 88(%rdi), %r11; mov 96(%rdi), %r12; mov 104(%rdi), %r13\n"
        "mov 112(%rdi), %r14; mov 120(%rdi), %r15; mov 56(%rdi), %rdi\n"
        "call *(%rsp)\n"
        "pushfq; push %rdi; mov 24(%rsp), %rdi\n"
        "mov %rax, (%rdi); mov %rcx, 8(%rdi); mov %rdx, 16(%rdi)\n"
        "mov %rbx, 24(%rdi); mov %rbp, 40(%rdi); mov %rsi, 48(%rdi)\n"
        "mov %r8, 64(%rdi); mov %r9, 72(%rdi); mov %r10, 80(%rdi)\n"
        "mov %r11, 88(%rdi); mov %r12, 96(%rdi); mov %r13, 104(%rdi)\n"
        "mov %r14, 112(%rdi); mov %r15, 120(%rdi)\n"
        "pop 56(%rdi); pop 128(%rdi); cld; pop %rsi; pop %rdi\n"
        "pop %r15; pop %r14; pop %r13; pop %r12; pop %rbp; pop %rbx\n"
        "ret\n");

static uint8_t *code_page;
static sigjmp_buf host_fault;
static bool exact;

static void on_fault(int signal)
{
    siglongjmp(host_fault, signal);
}

/* In each test: cmocka has its own handlers before. */
static void catch_faults(void)
{
    struct sigaction on = {.sa_handler = on_fault};

    sigaction(SIGFPE, &on, NULL);
    sigaction(SIGILL, &on, NULL);
}

/* RAN, or the vector of the exception. */
static int run_on_host(struct host_regs *r, const uint8_t *bytes, size_t n)
{
    int signal = sigsetjmp(host_fault, 1);

    if (signal)
        return signal == SIGFPE ? EXC_DE : signal == SIGILL ? EXC_UD : EXC_GP;
    memcpy(code_page, bytes, n);
    code_page[n] = 0xc3;
    host_run(r, code_page);
    return RAN;
}

enum form_flags {
    MODRM = 1 << 0,
    MEM_ONLY = 1 << 1,
    REG_ONLY = 1 << 2,
    LOWREG = 1 << 3, /* register in the opcode */
    IMM8 = 1 << 4,
    IMMZ = 1 << 5, /* 2 or 4 */
    IMMV = 1 << 6, /* 2, 4 or 8 */
    LOCKS = 1 << 7,
    SMALL = 1 << 8, /* registers hold small numbers: bit strings */
    NO16 = 1 << 9,  /* no 66 prefix */
    VEX = 1 << 10,
    ALIGNED = 1 << 11, /* memory operand at a multiple of 16 */
    IMM16_8 = 1 << 12,
    PAIRS = 1 << 13, /* the accumulator often equals the destination */
    RM = MODRM | 1 << 14,
};

/* /0 to /7, or the register field free */
enum { ANY = 8 };

struct form {
    uint8_t map, prefix, op, count; /* count opcodes from op on, step 1 */
    uint8_t ext;
    uint16_t flags;
};

static const struct form forms[] = {
    {0, 0, 0x00, 4, ANY, MODRM | LOCKS}, /* + 8 k below */
    {0, 0, 0x04, 1, ANY, IMM8},
    {0, 0, 0x05, 1, ANY, IMMZ},
    {0, 0, 0x63, 1, ANY, MODRM | NO16},
    {0, 0, 0x69, 1, ANY, MODRM | IMMZ},
    {0, 0, 0x6b, 1, ANY, MODRM | IMM8},
    {0, 0, 0x84, 8, ANY, MODRM},
    {0, 0, 0x8d, 1, ANY, MODRM | MEM_ONLY},
    {0, 0, 0x90, 8, ANY, LOWREG},
    {0, 0, 0x98, 2, ANY, 0},
    {0, 0, 0x9e, 2, ANY, 0},
    {0, 0, 0xa8, 1, ANY, IMM8},
    {0, 0, 0xa9, 1, ANY, IMMZ},
    {0, 0, 0xb0, 8, ANY, LOWREG | IMM8},
    {0, 0, 0xb8, 8, ANY, LOWREG | IMMV},
    {0, 0, 0xc6, 1, 0, MODRM | IMM8},
    {0, 0, 0xc7, 1, 0, MODRM | IMMZ},
    {0, 0, 0xf5, 1, ANY, 0},
    {0, 0, 0xf8, 2, ANY, 0},
    {0, 0, 0xfc, 2, ANY, 0},
    {0, 0, 0xf6, 1, 0, MODRM | IMM8},
    {0, 0, 0xf7, 1, 0, MODRM | IMMZ},
    {1, 0, 0x40, 16, ANY, MODRM},
    {1, 0, 0x90, 16, ANY, MODRM},
    {1, 0, 0xa3, 1, ANY, MODRM | SMALL},
    {1, 0, 0xab, 1, ANY, MODRM | LOCKS | SMALL},
    {1, 0, 0xb3, 1, ANY, MODRM | LOCKS | SMALL},
    {1, 0, 0xbb, 1, ANY, MODRM | LOCKS | SMALL},
    {1, 0, 0xa4, 1, ANY, MODRM | IMM8},
    {1, 0, 0xa5, 1, ANY, MODRM},
    {1, 0, 0xac, 1, ANY, MODRM | IMM8},
    {1, 0, 0xad, 1, ANY, MODRM},
    {1, 0, 0xaf, 1, ANY, MODRM},
    {1, 0, 0xb0, 2, ANY, MODRM | LOCKS | PAIRS},
    {1, 0, 0xb6, 2, ANY, MODRM},
    {1, 0, 0xbe, 2, ANY, MODRM},
    {1, 0, 0xba, 1, 4, MODRM | IMM8},
    {1, 0, 0xba, 1, 5, MODRM | IMM8 | LOCKS},
    {1, 0, 0xba, 1, 6, MODRM | IMM8 | LOCKS},
    {1, 0, 0xba, 1, 7, MODRM | IMM8 | LOCKS},
    {1, 0, 0xbc, 2, ANY, MODRM},
    {1, 0xf3, 0xbc, 2, ANY, MODRM},
    {1, 0xf3, 0xb8, 1, ANY, MODRM},
    {1, 0, 0xc0, 2, ANY, MODRM | LOCKS},
    {1, 0, 0xc3, 1, ANY, MODRM | MEM_ONLY | NO16},
    {1, 0, 0xc7, 1, 1, MODRM | MEM_ONLY | LOCKS | ALIGNED | PAIRS},
    {1, 0, 0xc8, 8, ANY, LOWREG},
    {2, 0, 0xf0, 2, ANY, MODRM | MEM_ONLY},
    {2, 0xf2, 0xf0, 2, ANY, MODRM},
    {2, 0x66, 0xf6, 1, ANY, MODRM | NO16},
    {2, 0xf3, 0xf6, 1, ANY, MODRM | NO16},
    {2, 0, 0xf9, 1, ANY, MODRM | MEM_ONLY | NO16},
    {2, 0, 0xf2, 1, ANY, MODRM | VEX},
    {2, 0, 0xf3, 1, 1, MODRM | VEX},
    {2, 0, 0xf3, 1, 2, MODRM | VEX},
    {2, 0, 0xf3, 1, 3, MODRM | VEX},
    {2, 0, 0xf7, 1, ANY, MODRM | VEX},
    {2, 0x66, 0xf7, 1, ANY, MODRM | VEX},
    {2, 0xf3, 0xf7, 1, ANY, MODRM | VEX},
    {2, 0xf2, 0xf7, 1, ANY, MODRM | VEX},
    {2, 0, 0xf5, 1, ANY, MODRM | VEX},
    {2, 0xf3, 0xf5, 1, ANY, MODRM | VEX},
    {2, 0xf2, 0xf5, 1, ANY, MODRM | VEX},
    {2, 0xf2, 0xf6, 1, ANY, MODRM | VEX},
    {3, 0xf2, 0xf0, 1, ANY, MODRM | VEX | IMM8},
};

static const uint64_t corners[] = {0,
                                   1,
                                   2,
                                   7,
                                   8,
                                   0x0f,
                                   0x10,
                                   0x1f,
                                   0x20,
                                   0x3f,
                                   0x40,
                                   0x7f,
                                   0x80,
                                   0xff,
                                   0x7fff,
                                   0x8000,
                                   0xffff,
                                   0x7fffffff,
                                   0x80000000,
                                   0xffffffff,
                                   0x100000000,
                                   0x7fffffffffffffff,
                                   0x8000000000000000,
                                   0xffffffffffffffff};

static uint64_t operand_value(unsigned flags)
{
    uint64_t v = fx_random();

    if (flags & SMALL)
        return v % 4096 - 2048;
    if (v % 3 == 0)
        return corners[(v >> 8) % ARRAY_LEN(corners)];
    if (v % 3 == 1)
        return v >> (v >> 56 & 63);
    return v;
}

/* A register number that is not RSP. */
static unsigned some_register(void)
{
    unsigned r = fx_random() & 15;

    return r == RSP ? RAX : r;
}

struct code {
    uint8_t b[16];
    size_t n;
};

static void put(struct code *k, unsigned byte)
{
    k->b[k->n++] = (uint8_t)byte;
}

static void put_vex(struct code *k, const struct form *f, unsigned reg,
                    unsigned rm, bool wide)
{
    unsigned pp = f->prefix == 0x66   ? 1
                  : f->prefix == 0xf3 ? 2
                  : f->prefix == 0xf2 ? 3
                                      : 0;

    put(k, 0xc4);
    put(k, (reg & 8 ? 0 : 0x80) | 0x40 | (rm & 8 ? 0 : 0x20) | f->map);
    /* RORX has no third register. */
    put(k, (wide ? 0x80 : 0) | (f->map == 3 ? 15 : ~some_register() & 15) << 3 |
               pp);
}

static void put_immediate(struct code *k, unsigned flags, bool word, bool wide)
{
    unsigned n = flags & IMM8   ? 1
                 : flags & IMMZ ? (word ? 2 : 4)
                 : flags & IMMV ? (wide   ? 8
                                   : word ? 2
                                          : 4)
                                : 0;
    uint64_t v = operand_value(0);

    for (unsigned b = 0; b < n; b++)
        put(k, v >> 8 * b & 0xff);
}

/* Random operands and sizes for opcode op of form f. Memory is [rdi+disp8]. */
static struct code encode(const struct form *f, unsigned op)
{
    struct code k = {{0}, 0};
    bool mem = f->flags & MODRM && !(f->flags & REG_ONLY) &&
               (f->flags & MEM_ONLY || fx_random() & 1);
    bool wide = fx_random() % 3 == 0, word, rex;
    unsigned reg = f->ext == ANY ? some_register() : f->ext;
    unsigned rm = mem ? RDI : some_register();

    if (f->flags & SMALL && reg == RDI) /* the pointer is no small number */
        reg = RAX;
    word = !(f->flags & (NO16 | VEX)) && f->prefix != 0x66 && !wide &&
           fx_random() % 3 == 0;
    rex = wide || reg > 7 || rm > 7 || fx_random() & 1;
    if (f->flags & LOWREG && (op & 7) == RSP)
        rm |= 8, rex = true; /* not RSP */
    if (f->flags & VEX) {
        put_vex(&k, f, reg, rm, wide);
    } else {
        if (mem && f->flags & LOCKS && fx_random() & 1 &&
            (f->map || op >= 0x40 || (op & 7) < 2))
            put(&k, 0xf0);
        if (word)
            put(&k, 0x66);
        if (f->prefix)
            put(&k, f->prefix);
        if (rex)
            put(&k,
                0x40 | (wide ? 8 : 0) | (reg & 8 ? 4 : 0) | (rm & 8 ? 1 : 0));
        if (f->map)
            put(&k, 0x0f);
        if (f->map > 1)
            put(&k, f->map == 2 ? 0x38 : 0x3a);
    }
    put(&k, op);
    if (f->flags & MODRM)
        put(&k, (mem ? 0x40 : 0xc0) | (reg & 7) << 3 | (rm & 7));
    if (mem)
        put(&k, f->flags & ALIGNED ? 0x10 : fx_random() & 31);
    put_immediate(&k, f->flags, word, wide);
    return k;
}

enum { WINDOW = 1024, MIDDLE = DATA + WINDOW / 2 };

static void describe(const struct code *k, const struct host_regs *before,
                     const char *what)
{
    char text[64] = "", dis[80];

    for (size_t b = 0; b < k->n; b++)
        snprintf(text + 3 * b, sizeof text - 3 * b, "%02x ", k->b[b]);
    snprintf(dis, sizeof dis, "%s", insn_opcode(&fx.insn)->name);
    fprintf(stderr, "%s (%s): %s differs; flags before %lx\n", text, dis, what,
            before->rflags);
    for (unsigned r = 0; r < 16; r++)
        fprintf(stderr, "  r%u %016lx\n", r, before->gpr[r]);
    fail();
}

/* Results the SDM leaves open, which hosts may give as they like. */
static bool undefined_result(void)
{
    const struct opcode *o = insn_opcode(&fx.insn);
    bool shld = o->map == 1 && (o->byte & 0xf6) == 0xa4;

    return (shld && fx.insn.osize == 2) ||
           (o->map == 1 && o->byte == 0xc8 && fx.insn.osize == 2);
}

static uint64_t flags_to_compare(void)
{
    return exact ? FLAGS_STATUS | FLAG_DF
                 : (FLAGS_STATUS | FLAG_DF) &
                       ~(uint64_t)insn_opcode(&fx.insn)->flags_undefined;
}

static void compare(const struct code *k, unsigned flags)
{
    static uint8_t before_mem[WINDOW], guest_mem[WINDOW];
    struct cpu *c = fx.cpu;
    struct host_regs r, before;
    uint8_t *mem = fx.host + DATA;
    int guest, host;

    for (unsigned n = 0; n < WINDOW; n += 8)
        store_le64(mem + n, operand_value(0));
    for (unsigned n = 0; n < 16; n++)
        r.gpr[n] = operand_value(flags);
    r.gpr[RDI] = (uintptr_t)fx.host + MIDDLE;
    if (flags & PAIRS && fx_random() & 1) {
        store_le64(mem + WINDOW / 2 + 0x10, r.gpr[RAX]);
        store_le64(mem + WINDOW / 2 + 0x18, r.gpr[RDX]);
        if (fx_random() & 1) /* the 8-byte form */
            store_le64(mem + WINDOW / 2 + 0x10,
                       r.gpr[RDX] << 32 | (uint32_t)r.gpr[RAX]);
    }
    r.rflags = FLAG_1 | (fx_random() & FLAGS_STATUS);
    before = r;
    memcpy(before_mem, mem, WINDOW);

    memcpy(c->s.gpr, r.gpr, sizeof r.gpr);
    flags_set(c, r.rflags);
    guest = fx_run_bytes(k->b, k->n);
    memcpy(guest_mem, mem, WINDOW);
    memcpy(mem, before_mem, WINDOW);

    host = run_on_host(&r, k->b, k->n);
    if (!exact && undefined_result())
        return;
    if (guest != host)
        describe(k, &before, "exception");
    if (memcmp(mem, guest_mem, WINDOW))
        describe(k, &before, "memory");
    if (guest != RAN)
        return;
    for (unsigned n = 0; n < 16; n++)
        if (n != RSP && c->s.gpr[n] != r.gpr[n]) {
            fprintf(stderr, "r%u: %lx, host %lx\n", n, c->s.gpr[n], r.gpr[n]);
            describe(k, &before, "register");
        }
    if ((flags_get(c) ^ r.rflags) & flags_to_compare()) {
        fprintf(stderr, "flags: %lx, host %lx\n",
                c->s.rflags & (FLAGS_STATUS | FLAG_DF),
                r.rflags & (FLAGS_STATUS | FLAG_DF));
        describe(k, &before, "flags");
    }
}

static void run_form(const struct form *f, unsigned times)
{
    for (unsigned n = 0; n < f->count; n++)
        for (unsigned t = 0; t < times; t++) {
            struct code k = encode(f, f->op + n);

            compare(&k, f->flags);
        }
}

static void same_as_host(void **state)
{
    struct form f;

    (void)state;
    catch_faults();
    fx_mode64(3);
    for (unsigned n = 0; n < ARRAY_LEN(forms); n++)
        run_form(&forms[n], 400);
    for (unsigned k = 1; k < 8; k++) /* OR … CMP */
        for (unsigned n = 0; n < 3; n++) {
            f = forms[n];
            f.op = (uint8_t)(f.op + 8 * k);
            if (k == 7)
                f.flags &= ~LOCKS;
            run_form(&f, 400);
        }
}

/* Opcodes whose ModRM.reg says what they do. */
static void groups_same_as_host(void **state)
{
    static const struct form group[] = {
        {0, 0, 0x80, 1, 0, MODRM | IMM8 | LOCKS},
        {0, 0, 0x81, 1, 0, MODRM | IMMZ | LOCKS},
        {0, 0, 0x83, 1, 0, MODRM | IMM8 | LOCKS},
        {0, 0, 0xc0, 2, 0, MODRM | IMM8},
        {0, 0, 0xd0, 4, 0, MODRM},
        {0, 0, 0xf6, 2, 0, MODRM},
        {0, 0, 0xfe, 2, 0, MODRM},
    };

    (void)state;
    catch_faults();
    fx_mode64(3);
    for (unsigned n = 0; n < ARRAY_LEN(group); n++)
        for (unsigned ext = 0; ext < 8; ext++) {
            struct form f = group[n];

            f.ext = (uint8_t)ext;
            if (f.op == 0xf6 && ext < 2) /* TEST has an immediate: above */
                continue;
            if (f.op == 0xfe && ext > 1)
                continue;
            if (f.op == 0xfe || (f.op == 0xf6 && ext < 4))
                f.flags |= LOCKS;
            if (f.op <= 0x83 && ext == 7) /* CMP */
                f.flags &= ~LOCKS;
            run_form(&f, 1200);
        }
}

/* --- strings: the same memory, overlapping and across pages --- */
enum { STRINGS = 3 * 4096 };

static uint8_t string_start[STRINGS], string_guest[STRINGS];

/* Bytes that repeat often, so that comparisons run for a while. */
static void string_memory(uint8_t *mem)
{
    uint64_t v = fx_random();
    unsigned period = 1 + v % 9, flips = v >> 8 & 3;

    for (unsigned k = 0; k < STRINGS; k++)
        mem[k] = (uint8_t)(v >> 8 * (k % period % 8));
    for (unsigned k = 0; k < flips; k++)
        mem[fx_random() % STRINGS] ^= 1;
}

static void string_once(uint8_t op, uint8_t prefix, unsigned size)
{
    struct code k = {{0}, 0};
    uint8_t *mem = fx.host + DATA;
    struct cpu *c = fx.cpu;
    struct host_regs r, before;
    bool down = fx_random() % 4 == 0;
    uint64_t middle = (uintptr_t)mem + (down ? 6000 : 4000);

    if (prefix)
        put(&k, prefix);
    if (size == 2)
        put(&k, 0x66);
    if (size == 8)
        put(&k, 0x48);
    put(&k, op | (size > 1));
    string_memory(mem);
    for (unsigned n = 0; n < 16; n++)
        r.gpr[n] = fx_random();
    r.gpr[RSI] = middle + fx_random() % 200;
    r.gpr[RDI] = fx_random() & 1 ? r.gpr[RSI] + fx_random() % 33 - 16
                                 : middle + fx_random() % 1000;
    r.gpr[RCX] = fx_random() % (fx_random() & 1 ? 20 : 4600 / size);
    if (fx_random() & 1)
        r.gpr[RAX] = load_le64((void *)(uintptr_t)r.gpr[RDI]);
    r.rflags = FLAG_1 | (fx_random() & FLAGS_STATUS) | (down ? FLAG_DF : 0);
    before = r;
    memcpy(string_start, mem, STRINGS);
    memcpy(c->s.gpr, r.gpr, sizeof r.gpr);
    flags_set(c, r.rflags);
    assert_int_equal(fx_run_bytes(k.b, k.n), RAN);
    memcpy(string_guest, mem, STRINGS);
    memcpy(mem, string_start, STRINGS);
    assert_int_equal(run_on_host(&r, k.b, k.n), RAN);
    if (memcmp(mem, string_guest, STRINGS))
        describe(&k, &before, "memory");
    for (unsigned n = 0; n < 16; n++)
        if (n != RSP && c->s.gpr[n] != r.gpr[n])
            describe(&k, &before, "register");
    if ((flags_get(c) ^ r.rflags) & FLAGS_STATUS)
        describe(&k, &before, "flags");
}

static void strings_same_as_host(void **state)
{
    static const uint8_t ops[] = {0xa4, 0xa6, 0xaa, 0xac, 0xae};
    static const uint8_t prefixes[] = {0, 0xf3, 0xf2};

    (void)state;
    catch_faults();
    fx_mode64(3);
    for (unsigned o = 0; o < ARRAY_LEN(ops); o++)
        for (unsigned p = 0; p < ARRAY_LEN(prefixes); p++)
            for (unsigned size = 1; size <= 8; size *= 2)
                for (unsigned t = 0; t < 150; t++)
                    string_once(ops[o], prefixes[p], size);
}

static int setup(void **state)
{
    exact = getenv("LODGE_EXACT_HOST") != NULL;
    code_page = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC,
                     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (code_page == MAP_FAILED)
        return -1;
    return fx_setup(state);
}

static int teardown(void **state)
{
    munmap(code_page, 4096);
    return fx_teardown(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(same_as_host),
        cmocka_unit_test(groups_same_as_host),
        cmocka_unit_test(strings_same_as_host),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
#else
int main(void)
{
    return 77; /* skipped: needs an x86-64 host */
}
#endif
