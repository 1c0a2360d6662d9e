#include "native.h"

#include <setjmp.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

/* Code, the state in use and what must survive, at fixed low addresses. */
struct trampoline {
    uint8_t code[4096];
    struct native_state state;
    uint64_t rsp;
    uint8_t stack[64 * 1024]; /* for signals */
    struct {
        uint32_t offset;
        uint16_t selector;
    } far32;
};

/* Selectors that Linux gives every process. */
enum { CODE32 = 0x23, DATA32 = 0x2b, CODE64 = 0x33 };

static struct trampoline *t;
static sigjmp_buf back;
static volatile enum native_end ended;

void *native_low_memory(unsigned long bytes)
{
    void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE | PROT_EXEC,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);

    return p == MAP_FAILED ? NULL : p;
}

uint64_t native_xcr0(void)
{
    uint32_t low, high;

    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (low | (uint64_t)high << 32) & 0xe7;
}

/*
 * What the signal frame has of the vector state: an XSAVE area in the
 * standard format, its size in the bytes that FXSAVE leaves to software.
 */
static unsigned frame_bytes(const ucontext_t *u)
{
    const uint8_t *x = (const uint8_t *)u->uc_mcontext.fpregs;
    uint32_t magic, size;

    memcpy(&magic, x + 464, 4);
    memcpy(&size, x + 480, 4);
    if (magic != 0x46505853)
        return 512;
    return size < NATIVE_XSAVE ? size : NATIVE_XSAVE;
}

static void on_signal(int sig, siginfo_t *info, void *context)
{
    ucontext_t *u = context;

    (void)info;
    ended = sig == SIGFPE   ? NATIVE_FP
            : sig == SIGILL ? NATIVE_INVALID
                            : NATIVE_FAULT;
    memcpy(t->state.xsave, u->uc_mcontext.fpregs, frame_bytes(u));
    siglongjmp(back, 1);
}

/* op reg, [absolute] */
static uint8_t *put_absolute(uint8_t *p, unsigned reg, const void *at)
{
    uint32_t a = (uint32_t)(uintptr_t)at;

    *p++ = (uint8_t)(4 | (reg & 7) << 3);
    *p++ = 0x25;
    memcpy(p, &a, 4);
    return p + 4;
}

static uint8_t *put_mov(uint8_t *p, uint8_t opcode, unsigned reg,
                        const void *at)
{
    *p++ = (uint8_t)(0x48 | (reg >> 3) << 2);
    *p++ = opcode;
    return put_absolute(p, reg, at);
}

static uint8_t *put_xsave_mask(uint8_t *p)
{
    uint32_t mask = (uint32_t)native_xcr0();

    *p++ = 0xb8; /* mov eax, mask; xor edx, edx */
    memcpy(p, &mask, 4);
    p += 4;
    *p++ = 0x31;
    *p++ = 0xd2;
    return p;
}

static uint8_t *put_bytes(uint8_t *p, const char *bytes, unsigned n)
{
    memcpy(p, bytes, n);
    return p + n;
}

/* mov eax, DATA32; mov ds, eax; mov es, eax */
static uint8_t *put_data_segments(uint8_t *p)
{
    static const uint8_t code[] = {0xb8, DATA32, 0,    0,   0,
                                   0x8e, 0xd8,   0x8e, 0xc0};

    memcpy(p, code, sizeof code);
    return p + sizeof code;
}

/* Far jumps into 32-bit code and out again. */
static uint8_t *put_insn32(uint8_t *p, const uint8_t *insn, unsigned n)
{
    uint32_t next;

    *p++ = 0xff; /* jmp far [far32] */
    p = put_absolute(p, 5, &t->far32);
    t->far32.offset = (uint32_t)(uintptr_t)p;
    t->far32.selector = CODE32;
    memcpy(p, insn, n);
    p += n;
    next = (uint32_t)(uintptr_t)p + 7;
    *p++ = 0xea; /* jmp far CODE64:next */
    memcpy(p, &next, 4);
    p[4] = CODE64;
    p[5] = 0;
    return p + 6;
}

static void make_code(const uint8_t *insn, unsigned n, bool code32)
{
    uint8_t *p = t->code;

    /* push rbx, rbp, r12 to r15; mov [rsp_slot], rsp */
    p = put_bytes(p, "\x53\x55\x41\x54\x41\x55\x41\x56\x41\x57", 10);
    p = put_mov(p, 0x89, 4, &t->rsp);
    p = put_xsave_mask(p);
    p = put_bytes(p, "\x48\x0f\xae", 3); /* xrstor64 */
    p = put_absolute(p, 5, t->state.xsave);
    p = put_bytes(p, "\xff", 1); /* push [rflags]; popfq */
    p = put_absolute(p, 6, &t->state.rflags);
    p = put_bytes(p, "\x9d", 1);
    if (code32)
        p = put_data_segments(p);
    for (unsigned r = 0; r < 16; r++)
        if (r != 4)
            p = put_mov(p, 0x8b, r, &t->state.gpr[r]);
    if (code32) {
        p = put_insn32(p, insn, n);
    } else {
        memcpy(p, insn, n);
        p += n;
    }
    for (unsigned r = 0; r < 16; r++)
        if (r != 4)
            p = put_mov(p, 0x89, r, &t->state.gpr[r]);
    p = put_mov(p, 0x8b, 4, &t->rsp); /* 32-bit code may halve RSP */
    p = put_bytes(p, "\x9c\x8f", 2);  /* pushfq; pop [rflags] */
    p = put_absolute(p, 0, &t->state.rflags);
    p = put_bytes(p, "\xfc", 1); /* cld */
    p = put_xsave_mask(p);
    p = put_bytes(p, "\x48\x0f\xae", 3); /* xsave64 */
    p = put_absolute(p, 4, t->state.xsave);
    p = put_bytes(p, "\xdb\xe3", 2); /* fninit */
    p = put_bytes(p, "\x41\x5f\x41\x5e\x41\x5d\x41\x5c\x5d\x5b\xc3", 11);
}

static void catch_signals(struct sigaction *old)
{
    static const int signals[] = {SIGFPE, SIGSEGV, SIGILL, SIGBUS};
    struct sigaction a = {.sa_sigaction = on_signal,
                          .sa_flags = SA_SIGINFO | SA_ONSTACK};
    stack_t stack = {.ss_sp = t->stack, .ss_size = sizeof t->stack};

    sigaltstack(&stack, NULL);
    for (unsigned k = 0; k < 4; k++)
        sigaction(signals[k], &a, &old[k]);
}

static void leave_signals(const struct sigaction *old)
{
    static const int signals[] = {SIGFPE, SIGSEGV, SIGILL, SIGBUS};

    for (unsigned k = 0; k < 4; k++)
        sigaction(signals[k], &old[k], NULL);
}

static enum native_end run(struct native_state *s, const uint8_t *insn,
                           unsigned n, bool code32)
{
    static const uint32_t mxcsr = 0x1f80;
    struct sigaction old[4] = {0};

    if (!t)
        t = native_low_memory(sizeof *t);
    t->state = *s;
    make_code(insn, n, code32);
    catch_signals(old);
    ended = NATIVE_DONE;
    if (!sigsetjmp(back, 1))
        ((void (*)(void))(uintptr_t)t->code)();
    __asm__ volatile("fninit; ldmxcsr %0; cld" : : "m"(mxcsr));
    leave_signals(old);
    *s = t->state;
    return ended;
}

enum native_end native_run(struct native_state *s, const uint8_t *insn,
                           unsigned n)
{
    return run(s, insn, n, false);
}

enum native_end native_run32(struct native_state *s, const uint8_t *insn,
                             unsigned n)
{
    return run(s, insn, n, true);
}
