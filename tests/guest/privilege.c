/*
 * Changes of privilege and of the interrupt flag, often enough that an engine
 * has its fastest way for them, and then with what that way may have
 * overlooked: other MSRs, odd flags, bad targets, interrupts that wait.
 */
#include "guest.h"

enum {
    STAR = 0xc0000081,
    LSTAR = 0xc0000082,
    FMASK = 0xc0000084,
    EFER = 0xc0000080,
    TSC_AUX = 0xc0000103,
    TIMES = 40, /* enough for translated code */
    VECTOR = 0x40,
    CF = 1,
    TF = 1 << 8,
    IF = 1 << 9,
    DF = 1 << 10,
    AC = 1 << 18,
    ID = 1 << 21,
    ALL = 0x8d5 | DF | AC | ID, /* that CPL 3 may change at will */
    FIXED = 2,
    SEEN = ~(3 << 12), /* of RFLAGS */
};

/* --- a kernel's entry, which notes what it finds and goes back --- */

struct entry {
    uint64_t count, rcx, r11, flags, cs, ss, sp;
    uint64_t set_r11, clear_r11; /* what goes back */
    uint64_t rcx_xor;
};
struct entry seen;
uint64_t user_sp, after_flags, after_rax;
uint8_t entry_stack[4096] __attribute__((aligned(16)));

__asm__(".text\n"
        "syscall_entry:\n"
        "mov %rsp, user_sp\n"
        "mov $entry_stack + 4096, %rsp\n"
        "pushfq\n"
        "cld\n"
        "popq seen + 24\n"
        "incq seen\n"
        "mov %rcx, seen + 8\n"
        "mov %r11, seen + 16\n"
        "mov %cs, seen + 32\n"
        "mov %ss, seen + 40\n"
        "mov user_sp, %rsp\n"
        "mov %rsp, seen + 48\n"
        "or seen + 56, %r11\n"
        "mov seen + 64, %rdx\n"
        "not %rdx\n"
        "and %rdx, %r11\n"
        "xor seen + 72, %rcx\n"
        "sysret_here: sysretq\n"
        "syscall_other:\n"
        "incq seen\n"
        "incq seen\n"
        "sysretq\n");
extern const char syscall_entry[], sysret_here[], syscall_other[];

/* user(): TIMES calls with the flags in rdi, which it takes from user_flags. */
uint64_t user_flags, user_times;
__asm__(".text\n"
        "user_calls:\n"
        "mov user_times, %ebx\n"
        "1: pushq user_flags\n"
        "popfq\n"
        "syscall\n"
        "user_returns: pushfq\n"
        "popq after_flags\n"
        "mov %rax, after_rax\n"
        "pushq $2\n"
        "popfq\n"
        "dec %ebx\n"
        "jnz 1b\n"
        "int $0x80\n");
extern const char user_calls[], user_returns[];

static void enter(void *ip)
{
    enter_user((uintptr_t)ip, (uintptr_t)user_stack_top, USER_CODE64, FIXED);
}

static uint64_t calls(uint64_t flags)
{
    user_flags = flags;
    user_times = TIMES;
    seen.count = 0;
    return trap_code(guard(enter, (void *)(uintptr_t)user_calls));
}

static void set_up(void)
{
    wrmsr(EFER, rdmsr(EFER) | 1);
    wrmsr(STAR, (uint64_t)(USER_CODE64 - 16) << 48 | (uint64_t)CODE64 << 32);
    wrmsr(LSTAR, (uintptr_t)syscall_entry);
    wrmsr(FMASK, 0x47700);
}

static void syscall_checks(void)
{
    check("syscall", calls(FIXED), 0x800000);
    check("syscall, how often", seen.count, TIMES);
    check("syscall, rcx", seen.rcx - (uintptr_t)user_returns, 0);
    check("syscall, r11", seen.r11, FIXED);
    check("syscall, flags", seen.flags & SEEN, FIXED);
    check("syscall, cs", seen.cs, CODE64);
    check("syscall, ss", seen.ss, CODE64 + 8);
    check("syscall, sp", seen.sp - (uintptr_t)user_stack_top, 0);
    check("sysret, cs", last.cs, USER_CODE64);
    calls(FIXED | ALL);
    check("syscall, r11 of all flags", seen.r11, FIXED | ALL);
    check("syscall, flags not masked", seen.flags & SEEN, FIXED | 0x8d5 | ID);
    check("sysret, all flags", after_flags, FIXED | ALL);
    wrmsr(FMASK, 0x3f7fd5);
    calls(FIXED | ALL);
    check("syscall, flags all masked", seen.flags & SEEN, FIXED);
    check("sysret, all flags again", after_flags, FIXED | ALL);
    wrmsr(FMASK, 0);
    calls(FIXED | ALL);
    check("syscall, no flags masked", seen.flags & SEEN, (FIXED | ALL));
    wrmsr(FMASK, 0x47700);
    seen.set_r11 = ALL | 0x7000; /* NT, IOPL */
    calls(FIXED);
    check("sysret, more than flags", after_flags, FIXED | ALL | 0x7000);
    seen.set_r11 = 0;
    seen.clear_r11 = FIXED;
    calls(FIXED | CF);
    check("sysret, bit 1 is set", after_flags, FIXED | CF);
    seen.clear_r11 = 0;
}

static void changed_msrs(void)
{
    wrmsr(STAR, (uint64_t)(USER_CODE64 - 16) << 48 | (uint64_t)DATA32 << 32);
    calls(FIXED);
    check("syscall, cs of another star", seen.cs, DATA32);
    wrmsr(STAR, (uint64_t)(USER_CODE64 - 19) << 48 | (uint64_t)27 << 32);
    calls(FIXED);
    check("syscall, rpl of star", seen.cs, CODE64);
    check("sysret, rpl of star", last.cs, USER_CODE64);
    set_up();
    wrmsr(LSTAR, (uintptr_t)syscall_other);
    check("syscall, another lstar", calls(FIXED), 0x800000);
    check("syscall, another lstar's count", seen.count, 2 * TIMES);
    set_up();
    calls(FIXED);
    wrmsr(EFER, rdmsr(EFER) & ~1ull);
    check("syscall without sce", calls(FIXED), 0x60000);
    set_up();
    check("syscall with it again", calls(FIXED), 0x800000);
}

/* --- back to bad places --- */

static unsigned steps;
static uintptr_t step_ip;

static void count_step(struct frame *f)
{
    if (!steps++)
        step_ip = f->ip;
    f->flags &= ~(uint64_t)TF;
}

static void sysret_checks(void)
{
    calls(FIXED);
    seen.rcx_xor = 1ull << 47;
    check("sysret, not canonical", calls(FIXED), 0xd0000);
    check("sysret, not canonical, at cpl", last.cs & 3, 0);
    check("sysret, not canonical, at", last.ip - (uintptr_t)sysret_here, 0);
    seen.rcx_xor = 0;
    calls(FIXED);
    handlers[1] = count_step;
    seen.set_r11 = TF;
    check("sysret, tf", calls(FIXED), 0x800000);
    check("sysret, tf, steps", steps, TIMES);
    check("sysret, tf, first at", step_ip - (uintptr_t)user_returns, 0);
    seen.set_r11 = 0;
    handlers[1] = NULL;
}

/* --- interrupts that wait --- */

static unsigned taken;
static uintptr_t taken_at;

static void note_interrupt(struct frame *f)
{
    taken++;
    taken_at = f->ip;
    lapic_eoi();
}

static void interrupt_self(void)
{
    send_ipi(lapic_read(0x20) >> 24, VECTOR);
}

static void user_once(uint64_t flags)
{
    user_times = 1;
    user_flags = FIXED;
    enter_user((uintptr_t)user_calls, (uintptr_t)user_stack_top, USER_CODE64,
               flags);
}

static void once(void *flags)
{
    user_once((uintptr_t)flags);
}

static void waiting_checks(void)
{
    unsigned wrong = 0;
    uintptr_t at;

    lapic_enable();
    handlers[VECTOR] = note_interrupt;
    seen.set_r11 = IF;
    for (unsigned n = 0; n < TIMES; n++) {
        interrupt_self();
        guard(once, (void *)FIXED);
        wrong += taken != n + 1 || taken_at != (uintptr_t)user_returns;
    }
    check("sysret to a waiting interrupt", wrong, 0);
    seen.set_r11 = 0;
    for (unsigned n = taken = 0; n < TIMES; n++) {
        interrupt_self();
        guard(once, (void *)(FIXED | IF));
        wrong += taken != n + 1 || taken_at != (uintptr_t)user_calls;
    }
    check("iret to a waiting interrupt", wrong, 0);
    for (unsigned n = taken = 0; n < TIMES; n++) {
        interrupt_self();
        __asm__ volatile("sti; nop; 1: nop; cli; lea 1b(%%rip), %0"
                         : "=r"(at)
                         :
                         : "memory");
        wrong += taken != n + 1 || taken_at != at;
    }
    check("sti, one instruction, a waiting interrupt", wrong, 0);
    for (unsigned n = taken = 0; n < TIMES; n++) {
        interrupt_self();
        __asm__ volatile("pushfq; orl $0x200, (%%rsp); popfq; 1: nop; cli;"
                         "lea 1b(%%rip), %0"
                         : "=r"(at)
                         :
                         : "memory", "cc");
        wrong += taken != n + 1 || taken_at != at;
    }
    check("popf to a waiting interrupt", wrong, 0);
    for (unsigned n = taken = 0; n < TIMES; n++) {
        interrupt_self();
        __asm__ volatile("sti; cli; nop; nop" : : : "memory");
        wrong += taken != 0;
    }
    check("sti, cli: none", wrong, 0);
    __asm__ volatile("sti; nop; nop; cli" : : : "memory");
    check("sti, after that one", taken, 1);
    handlers[VECTOR] = NULL;
}

/* A second NMI waits for the end of the first one's handler. */
static unsigned nmis, depth, deepest;

static void note_nmi(struct frame *f)
{
    (void)f;
    if (++depth > deepest)
        deepest = depth;
    if (!(nmis++ & 1))
        send_ipi(lapic_read(0x20) >> 24, 0x400);
    for (unsigned n = 0; n < 100; n++)
        pause();
    depth--;
}

static void nmi_checks(void)
{
    handlers[2] = note_nmi;
    for (unsigned n = 0; n < TIMES; n++) {
        send_ipi(lapic_read(0x20) >> 24, 0x400);
        for (unsigned k = 0; k < 100 && nmis != 2 * n + 2; k++)
            pause();
    }
    check("nmis", nmis, 2 * TIMES);
    check("nmis in nmis", deepest, 1);
    handlers[2] = NULL;
}

/* --- what CPL 3 may be forbidden --- */

#define LOOP(name, text)                                                       \
    __asm__(".text\n" #name ": mov $40, %ebx; 1: " text                        \
            "; dec %ebx; jnz 1b; int $0x80\n");                                \
    extern const char name[];
LOOP(u_rdtsc, "rdtsc")
LOOP(u_rdtscp, "rdtscp; mov %ecx, after_rax")
LOOP(u_bases, "mov $user_flags, %eax; wrfsbase %rax; rdfsbase %rcx;"
              "sub %rax, %rcx; mov %fs:0, %rdx; sub user_flags, %rdx;"
              "or %rdx, %rcx; mov %rcx, after_rax")
LOOP(u_base32, "mov $-1, %rax; wrgsbase %eax; rdgsbase %rcx;"
               "mov %rcx, after_rax")
LOOP(u_far, "mov $1, %eax; cmp $2, %ebx; ja 2f; shl $47, %rax;"
            "2: wrfsbase %rax")
LOOP(u_push, "mov %rsp, %rcx; pushq $-2; pushq user_flags; pushq 8(%rsp);"
             "pop %rax; pop %rdx; pop %rsi; sub %rsp, %rcx; add %rdx, %rax;"
             "add %rsi, %rax; add %rcx, %rax; mov %rax, after_rax")
LOOP(u_push_none, "mov $user_flags, %eax; mov $1, %ecx; cmp %ecx, %ebx;"
                  "ja 2f; movabs $0x100000008, %rax; 2: push (%rax); pop %rcx")
LOOP(u_push_nowhere, "mov %rsp, %rbp; cmp $1, %ebx; ja 2f;"
                     "movabs $0x100000008, %rsp; 2: pushq user_flags;"
                     "mov %rbp, %rsp")
LOOP(u_down, "std; mov $after_flags + 7, %edi; mov $8, %ecx; mov %bl, %al;"
             "rep stosb; cld; mov $after_rax, %edi; mov $8, %ecx; rep stosb;"
             "lfence; mfence; sfence")

static uint64_t user(const char *code)
{
    return trap_code(guard(enter, (void *)(uintptr_t)code));
}

static void user_checks(void)
{
    check("rdtsc", user(u_rdtsc), 0x800000);
    set_cr4(get_cr4() | 1 << 2);
    check("rdtsc with tsd", user(u_rdtsc), 0xd0000);
    set_cr4(get_cr4() & ~4ul);
    check("rdtsc without tsd", user(u_rdtsc), 0x800000);
    if (cpuid(0x80000001, 0).d & 1 << 27) {
        wrmsr(TSC_AUX, 0x1234567);
        check("rdtscp", user(u_rdtscp), 0x800000);
        check("rdtscp, aux", (uint32_t)after_rax, 0x1234567);
    } else {
        absent("rdtscp");
        absent("rdtscp, aux");
    }
    user_flags = 0x123456789abcdef;
    check("push", user(u_push), 0x800000);
    check("push, what", after_rax, 2 * -2ll + 0x123456789abcdef);
    check("push from nowhere", user(u_push_none), 0xe0004);
    check("push from nowhere, where", last.cr2, 0x100000008);
    check("push from nowhere, sp", last.sp - (uintptr_t)user_stack_top, 0);
    check("push to nowhere", user(u_push_nowhere), 0xe0006);
    check("push to nowhere, where", last.cr2, 0x100000000);
    check("push to nowhere, sp", last.sp, 0x100000008);
    check("std, cld", user(u_down), 0x800000);
    check("std", after_flags, 0x0101010101010101);
    check("cld", after_rax, 0x0101010101010101);
    if (!(cpuid(7, 0).b & 1)) {
        absent("fsgsbase");
        return;
    }
    check("fsgsbase off", user(u_bases), 0x60000);
    set_cr4(get_cr4() | 1 << 16);
    check("fsgsbase", user(u_bases), 0x800000);
    check("fsgsbase, fs", after_rax, 0);
    user(u_base32);
    check("fsgsbase, 32 bits", after_rax, 0xffffffff);
    check("fsgsbase, not canonical", user(u_far), 0xd0000);
    set_cr4(get_cr4() & ~(1ul << 16));
    check("fsgsbase off again", user(u_bases), 0x60000);
}

/* --- STAC, CLAC --- */

enum { USER_PAGE = 0x2000000, PAGES_OF_2M = 2048, PTE_U = 4 };

/* The runtime's page directories, one after the other. */
static uint64_t *directories(void)
{
    uint64_t *pml4 = (uint64_t *)(get_cr3() & ~0xffful);
    uint64_t *pdpt = (uint64_t *)(pml4[0] & ~0xfffull);

    return (uint64_t *)(pdpt[0] & ~0xfffull);
}

static void do_stac(void)
{
    __asm__ volatile("stac" : : : "memory");
}

static void do_clac(void)
{
    __asm__ volatile("clac" : : : "memory");
}

static void touch(void *arg)
{
    unsigned from = (unsigned)(uintptr_t)arg;

    for (unsigned n = from; n < TIMES; n++) {
        do_stac();
        *(volatile uint32_t *)USER_PAGE += 1;
        do_clac();
    }
    *(volatile uint32_t *)USER_PAGE += 1;
}

/* The kernel's own memory must not be the user's. */
static void smap_checks(void)
{
    uintptr_t cr4 = get_cr4();
    uint64_t *pd = directories();

    if (!(cpuid(7, 0).b & 1 << 20)) {
        absent("stac, clac");
        return;
    }
    for (unsigned n = 0; n < PAGES_OF_2M; n++)
        if (n != USER_PAGE >> 21)
            pd[n] &= ~(uint64_t)PTE_U;
    write32(USER_PAGE, 0);
    set_cr4(cr4 | 1 << 21);
    check("stac, clac", trap_code(guard(touch, 0)), 0xe0001);
    check("stac, clac, at", last.cr2, USER_PAGE);
    set_cr4(cr4 & ~(1ul << 21));
    check("stac, clac, no smap", trap_code(guard(touch, 0)), 0xffff);
    set_cr4(cr4 | 1 << 21);
    check("stac, clac, smap again", trap_code(guard(touch, (void *)1)),
          0xe0001);
    set_cr4(cr4 & ~(1ul << 21));
    check("stac, clac, sum", *(volatile uint32_t *)USER_PAGE, 3 * TIMES);
}

void test_main(void)
{
    mask_pics();
    set_up();
    syscall_checks();
    changed_msrs();
    sysret_checks();
    waiting_checks();
    nmi_checks();
    user_checks();
    smap_checks();
}
