#include "host_native.h"

#include <cpuid.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>
#include <asm/prctl.h>
#include <sys/auxv.h>

#include "base/bits.h"
#include "base/endian.h"

enum {
    XSAVE_BYTES = 16384, /* of any host; AMX has 11 KiB */
    XSTATE_BV = 512,
    COMPONENTS = 0xe7, /* x87 SSE AVX opmask ZMM_Hi256 Hi16_ZMM */
};

/* What the trampoline works on; the offsets are in its text. */
struct native_io {
    uint64_t gpr[16];    /* 0 */
    uint64_t rflags;     /* 128 */
    uint64_t code;       /* 136 */
    uint64_t stack;      /* 144: ours, while the guest's is loaded */
    uint64_t area;       /* 152 */
    uint64_t mask;       /* 160: of XRSTOR and XSAVE */
    uint64_t gs_base;    /* 168 */
    uint32_t far_offset; /* 176: m16:32, of 32-bit code */
    uint16_t far_selector;
    uint64_t fs_base;    /* 184 */
    uint64_t fs_of_libc; /* 192 */
};
extern struct native_io native_io;
struct native_io native_io;
void native_enter(void);
void native_enter32(void);
extern const char native_recover[];

_Static_assert(offsetof(struct native_io, gs_base) == 168 &&
                   offsetof(struct native_io, fs_of_libc) == 192,
               "used in text");

#define FOR_GPRS(X)                                                            \
    X("0", "rax")                                                              \
    X("8", "rcx")                                                              \
    X("16", "rdx")                                                             \
    X("24", "rbx")                                                             \
    X("40", "rbp")                                                             \
    X("48", "rsi")                                                             \
    X("56", "rdi")                                                             \
    X("64", "r8")                                                              \
    X("72", "r9")                                                              \
    X("80", "r10") X("88", "r11") X("96", "r12") X("104", "r13")               \
        X("112", "r14") X("120", "r15")
#define LOAD(at, reg)  "mov native_io+" at "(%rip), %" reg "\n"
#define STORE(at, reg) "mov %" reg ", native_io+" at "(%rip)\n"

/* Saves what the ABI wants saved, loads vectors, GS base, flags. */
#define ENTER                                                                  \
    "push %rbx\n push %rbp\n push %r12\n push %r13\n push %r14\n"              \
    "push %r15\n"                                                              \
    "mov %rsp, native_io+144(%rip)\n"                                          \
    "mov native_io+152(%rip), %rdi\n"                                          \
    "mov native_io+160(%rip), %eax\n"                                          \
    "xor %edx, %edx\n"                                                         \
    "xrstor64 (%rdi)\n"                                                        \
    "mov native_io+168(%rip), %rax\n"                                          \
    "wrgsbase %rax\n"                                                          \
    "rdfsbase %rax\n"                                                          \
    "mov %rax, native_io+192(%rip)\n"                                          \
    "mov native_io+184(%rip), %rdx\n"                                          \
    "test %rdx, %rdx\n"                                                        \
    "cmovz %rax, %rdx\n"                                                       \
    "wrfsbase %rdx\n"

__asm__(".text\n"
        ".type native_enter, @function\n"
        "native_enter:\n" ENTER "pushq native_io+128(%rip)\n"
        "popfq\n" FOR_GPRS(LOAD) LOAD(
            "32",
            "rsp") "jmp *native_io+136(%rip)\n"
                   ".size native_enter, .-native_enter\n"
                   ".type native_enter32, @function\n"
                   "native_enter32:\n" ENTER "mov $0x2b, %eax\n"
                   "mov %eax, %ds\n"
                   "mov %eax, %es\n"
                   "pushq native_io+128(%rip)\n"
                   "popfq\n" FOR_GPRS(LOAD) LOAD(
                       "32",
                       "rsp") "ljmp *native_io+176(%rip)\n"
                              ".size native_enter32, .-native_enter32\n"
                              ".type native_exit, @function\n"
                              ".globl native_exit\n"
                              "native_exit:\n" FOR_GPRS(STORE) STORE(
                                  "32",
                                  "rsp") "mov native_io+144(%rip), %rsp\n"
                                         "pushfq\n"
                                         "popq native_io+128(%rip)\n"
                                         "pushq $2\n"
                                         "popfq\n"
                                         "mov native_io+192(%rip), %rax\n"
                                         "wrfsbase %rax\n"
                                         "rdgsbase %rax\n"
                                         "mov %rax, native_io+168(%rip)\n"
                                         "mov native_io+152(%rip), %rdi\n"
                                         "mov native_io+160(%rip), %eax\n"
                                         "xor %edx, %edx\n"
                                         "xsave64 (%rdi)\n"
                                         ".globl native_recover\n"
                                         "native_recover:\n"
                                         "xor %eax, %eax\n"
                                         "mov %eax, %ds\n"
                                         "mov %eax, %es\n"
                                         "fninit\n"
                                         "pushq $0x1f80\n"
                                         "ldmxcsr (%rsp)\n"
                                         "add $8, %rsp\n"
                                         "pop %r15\n pop %r14\n pop %r13\n pop "
                                         "%r12\n pop %rbp\n pop %rbx\n"
                                         "ret\n"
                                         ".size native_exit, .-native_exit\n");

static struct {
    struct host_fault *fault;
    void (*elsewhere)(int signal);
    uint64_t rip;
    unsigned bytes;     /* of a vector register */
    uint32_t offset[8]; /* of each component in an XSAVE area */
    _Alignas(64) uint8_t area[XSAVE_BYTES];
} native;

/* ---- the XSAVE area ---- */

static uint8_t *component(uint8_t *area, unsigned n)
{
    return area + native.offset[n];
}

/* To (load) or from the area. What XSTATE_BV says is not there is zero. */
static void move_component(bool load, uint8_t *area, unsigned n, uint8_t *reg,
                           unsigned at, unsigned bytes)
{
    uint8_t *p = component(area, n) + at;

    if (load)
        memcpy(p, reg, bytes);
    else if (load_le64(area + XSTATE_BV) >> n & 1)
        memcpy(reg, p, bytes);
    else
        memset(reg, 0, bytes);
}

static void move_vectors(bool load, uint8_t *area, struct host_state *s)
{
    for (unsigned r = 0; r < 16; r++) {
        move_component(load, area, 1, s->zmm[r], 160 + 16 * r, 16);
        if (native.bytes >= 32)
            move_component(load, area, 2, s->zmm[r] + 16, 16 * r, 16);
        if (native.bytes >= 64) {
            move_component(load, area, 6, s->zmm[r] + 32, 32 * r, 32);
            move_component(load, area, 7, s->zmm[16 + r], 64 * r, 64);
        }
    }
    for (unsigned r = 0; r < 8 && native.bytes >= 64; r++)
        move_component(load, area, 5, (uint8_t *)&s->k[r], 8 * r, 8);
}

/* Initial x87 state, as XRSTOR would make it. */
static void init_x87(uint8_t *fx)
{
    uint32_t mxcsr = load_le32(fx + 24);

    memset(fx, 0, 160);
    store_le16(fx, 0x37f);
    store_le32(fx + 24, mxcsr);
    store_le32(fx + 28, 0);
}

static bool all_zero(const uint8_t *p, unsigned n)
{
    while (n && !*p)
        p++, n--;
    return !n;
}

/* Components in their initial state shall be so for XSAVEC's eyes too. */
static uint64_t components_used(uint8_t *area)
{
    static const uint16_t bytes[8] = {
        [2] = 256, [5] = 64, [6] = 512, [7] = 1024};
    uint64_t used = native_io.mask;

    for (unsigned n = 2; n < 8; n++)
        if (bytes[n] && (used >> n & 1) &&
            all_zero(component(area, n), bytes[n]))
            used &= ~(1ull << n);
    if (load_le16(area) == 0x37f && all_zero(area + 2, 22) &&
        all_zero(area + 32, 128))
        used &= ~1ull;
    return used;
}

static void load_area(struct host_state *s)
{
    uint8_t *a = native.area;

    memcpy(a, s->fx, 160);
    memset(a + 512, 0, 64);
    move_vectors(true, a, s);
    store_le64(a + XSTATE_BV, components_used(a));
}

static void store_area(uint8_t *area, struct host_state *s)
{
    memcpy(s->fx, area, 160);
    if (!(load_le64(area + XSTATE_BV) & 1))
        init_x87(s->fx);
    move_vectors(false, area, s);
}

/* ---- faults ---- */

static const int gpr_in_context[16] = {
    REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
    REG_R8,  REG_R9,  REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15};

/* The kernel's frame says how far its XSAVE area goes (struct _fpx_sw_bytes, in
   bytes 464 and up). */
static void take_area(const uint8_t *frame)
{
    uint32_t magic = load_le32(frame + 464), size = load_le32(frame + 480);

    if (magic != 0x46505853) /* FP_XSTATE_MAGIC1 */
        size = 512;
    memcpy(native.area, frame, MIN(size, XSAVE_BYTES));
    if (magic != 0x46505853)
        store_le64(native.area + XSTATE_BV, 3);
}

/* Out of the code that runs, with all that the context says. */
static void leave(ucontext_t *u, unsigned vector)
{
    greg_t *g = u->uc_mcontext.gregs;

    native.fault->happened = true;
    native.fault->vector = vector;
    native.fault->error = (uint32_t)g[REG_ERR];
    native.fault->address = (uint64_t)g[REG_CR2];
    native.rip = (uint64_t)g[REG_RIP];
    native_io.rflags = (uint64_t)g[REG_EFL];
    for (unsigned r = 0; r < 16; r++)
        native_io.gpr[r] = (uint64_t)g[gpr_in_context[r]];
    take_area((const uint8_t *)u->uc_mcontext.fpregs);
    g[REG_RIP] = (greg_t)(uintptr_t)native_recover;
    g[REG_RSP] = (greg_t)native_io.stack;
    g[REG_EFL] = 2;
    g[REG_CSGSFS] = (g[REG_CSGSFS] & ~0xffffll) | USER_CS;
}

static void clear_ac(void)
{
    __asm__ volatile("pushfq\n andl $~0x40000, (%%rsp)\n popfq"
                     :
                     :
                     : "cc", "memory");
}

/* Handlers come here first, before anything that the C library has a hand in:
   its thread is where FS is. */
static inline __attribute__((always_inline)) void own_fs(void)
{
    if (native.fault)
        __asm__ volatile("wrfsbase %0" : : "r"(native_io.fs_of_libc));
}

static void on_signal(int number, siginfo_t *info, void *context)
{
    ucontext_t *u = context;

    own_fs();
    clear_ac();
    (void)info;
    if (native.fault)
        leave(u, number == SIGSYS ? NATIVE_SYSCALL
                                  : (unsigned)u->uc_mcontext.gregs[REG_TRAPNO]);
    else if (native.elsewhere) /* the test itself */
        native.elsewhere(number);
    else
        signal(number, SIG_DFL);
}

void native_stop(void *context)
{
    own_fs();
    clear_ac();
    if (native.fault)
        leave(context, NATIVE_STOPPED);
}

static bool catch_signals(void)
{
    static const int numbers[] = {SIGSEGV, SIGILL, SIGFPE,
                                  SIGTRAP, SIGBUS, SIGSYS};
    struct sigaction a = {.sa_sigaction = on_signal,
                          .sa_flags = SA_SIGINFO | SA_ONSTACK};
    static uint8_t memory[1 << 17];
    stack_t stack = {.ss_sp = memory, .ss_size = sizeof memory};

    if (sigaltstack(&stack, NULL))
        return false;
    for (unsigned k = 0; k < ARRAY_LEN(numbers); k++)
        if (sigaction(numbers[k], &a, NULL))
            return false;
    return true;
}

/* ---- set-up ---- */

static bool find_components(void)
{
    unsigned a, b, c, d;
    uint64_t xcr0;

    __cpuid(1, a, b, c, d);
    if (!(c & bit_OSXSAVE) || !(getauxval(AT_HWCAP2) & 2 /* FSGSBASE */))
        return false;
    __asm__("xgetbv" : "=a"(a), "=d"(d) : "c"(0));
    xcr0 = a & COMPONENTS;
    native.bytes = xcr0 == COMPONENTS ? 64 : (xcr0 & 4) ? 32 : 16;
    native_io.mask = native.bytes == 64 ? COMPONENTS : xcr0 & 7;
    for (unsigned n = 2; n < 8; n++)
        if (native_io.mask >> n & 1) {
            __cpuid_count(0xd, n, a, b, c, d);
            native.offset[n] = b;
            if (a + b > XSAVE_BYTES)
                return false;
        }
    return true;
}

bool native_open(void (*elsewhere)(int signal))
{
    native.elsewhere = elsewhere;
    native_io.area = (uint64_t)(uintptr_t)native.area;
    return find_components() && catch_signals();
}

unsigned native_vector_bytes(void)
{
    return native.bytes;
}

void native_run_at(struct host_state *s, struct host_fault *f, bool compat)
{
    memset(f, 0, sizeof *f);
    memcpy(native_io.gpr, s->gpr, sizeof s->gpr);
    native_io.rflags = s->rflags;
    native_io.code = s->rip;
    native_io.far_offset = (uint32_t)s->rip;
    native_io.far_selector = USER_CS32;
    native_io.gs_base = s->gs_base;
    native_io.fs_base = s->fs_base;
    load_area(s);
    native.rip = s->rip;
    native.fault = f;
    if (compat)
        native_enter32();
    else
        native_enter();
    native.fault = NULL;
    memcpy(s->gpr, native_io.gpr, sizeof s->gpr);
    s->rip = native.rip;
    s->rflags = native_io.rflags;
    store_area(native.area, s);
}

/* LSL tells whether the descriptor is there and may be used. */
bool native_has_compat(void)
{
    uint32_t limit = 0;

    __asm__("lsl %1, %0" : "+r"(limit) : "r"(USER_CS32) : "cc");
    return limit == 0xffffffff;
}
