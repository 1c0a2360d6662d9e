/* Exceptions in 64-bit mode: which one, with which error code, and where. */
#include "guest.h"

/* Selectors set up below. */
enum {
    NOT_PRESENT = FREE_SEL,
    USER_ONLY = FREE_SEL + 8,
    READ_ONLY = FREE_SEL + 16,
    EXEC_ONLY = FREE_SEL + 24,
    TSS_ABSENT = FREE_SEL + 32,
    TSS_BUSY = FREE_SEL + 48
};

/* A function in assembly language; guard() keeps the caller's registers. */
#define CODE(name, text)                                                       \
    __asm__(".text\n" #name ": " text "; ret\n");                              \
    void name(void *);
#define FAR "movabs $0x8000000000000000, %rax; "
CODE(divide, "xor %eax, %eax; xor %edx, %edx; div %eax")
CODE(divide_overflow, "mov $2, %edx; xor %eax, %eax; mov $1, %ecx; div %ecx")
CODE(divide_min, "mov $0x80000000, %eax; cdq; mov $-1, %ecx; idiv %ecx")
CODE(breakpoint, "int3")
CODE(undefined, "ud2")
CODE(lock_nop, ".byte 0xf0, 0x90")
CODE(lock_load, ".byte 0xf0; mov (%rsp), %rax")
CODE(too_long, ".byte 0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x66,"
               "0x66,0x66,0x66,0x66,0x66,0x90")
CODE(load_far, FAR "mov (%rax), %eax")
CODE(load_far_stack, "push %rbp; " FAR "mov %rax, %rbp; mov (%rbp), %eax")
CODE(push_far, FAR "mov %rax, %rsp; push %rax")
CODE(jump_far, FAR "jmp *%rax")
CODE(ret_far, FAR "push %rax; ret")
CODE(ds_beyond, "mov $0x1003, %eax; mov %eax, %ds")
CODE(ds_ldt, "mov $0xc, %eax; mov %eax, %ds")
CODE(ds_absent, "mov $0x60, %eax; mov %eax, %ds")
CODE(ds_code, "mov $0x78, %eax; mov %eax, %ds")
CODE(ds_system, "mov $0x50, %eax; mov %eax, %ds")
CODE(ss_absent, "mov $0x60, %eax; mov %eax, %ss")
CODE(ss_user, "mov $0x68, %eax; mov %eax, %ss")
CODE(ss_rpl, "mov $0x13, %eax; mov %eax, %ss")
CODE(ss_readonly, "mov $0x70, %eax; mov %eax, %ss")
CODE(ss_null_rpl, "mov $3, %eax; mov %eax, %ss")
CODE(cs_data, "pushq $0x10; lea 1f(%rip), %rax; push %rax; lretq; 1:")
CODE(cs_absent, "pushq $0; lea 1f(%rip), %rax; push %rax; lretq; 1:")
CODE(cs_beyond, "pushq $0x1000; lea 1f(%rip), %rax; push %rax; lretq; 1:")
CODE(iret_far, "mov %rsp, %rcx; pushq $0x10; push %rcx; pushq $2;"
               "pushq $0x18; " FAR "push %rax; iretq")
CODE(ltr_absent, "mov $0x80, %eax; ltr %ax")
CODE(ltr_busy, "mov $0x90, %eax; ltr %ax")
CODE(ltr_data, "mov $0x10, %eax; ltr %ax")
CODE(lldt_data, "mov $0x10, %eax; lldt %ax")
CODE(int_user_range, "int $0x81")
CODE(into32, ".byte 0xce")
CODE(cmpxchg16b_odd, "lea -72(%rsp), %rax; and $-16, %rax; cmpxchg16b 8(%rax)")
CODE(sse_off, "mov %cr4, %rax; btr $9, %rax; mov %rax, %cr4; .byte 0x0f, 0x57,"
              "0xc0")
CODE(x87_ts, "mov %cr0, %rax; and $-5, %rax; or $8, %rax; mov %rax, %cr0; fnop")
CODE(x87_em, "mov %cr0, %rax; or $4, %rax; mov %rax, %cr0; fnop")
CODE(movaps_odd, "mov %cr0, %rax; and $-13, %rax; mov %rax, %cr0;"
                 "mov %cr4, %rax; bts $9, %rax; mov %rax, %cr4;"
                 "mov %rsp, %rax; and $-16, %rax;"
                 ".byte 0x0f, 0x28, 0x40, 0x08") /* movaps 8(%rax),%xmm0 */
CODE(fxsave_odd, "mov %rsp, %rax; and $-16, %rax; fxsave -1016(%rax)")
CODE(syscall_off, "syscall")
CODE(int1, ".byte 0xf1")

static const struct {
    const char *name;
    void (*fn)(void *);
    uint32_t want;
} rows[] = {
    {"div by zero", divide, 0x00000},
    {"div overflow", divide_overflow, 0x00000},
    {"idiv minimum", divide_min, 0x00000},
    {"int3", breakpoint, 0x30000},
    {"ud2", undefined, 0x60000},
    {"lock nop", lock_nop, 0x60000},
    {"lock load", lock_load, 0x60000},
    {"16 bytes", too_long, 0xd0000},
    {"load not canonical", load_far, 0xd0000},
    {"load by rbp not canonical", load_far_stack, 0xc0000},
    {"push not canonical", push_far, 0xc0000},
    {"jmp not canonical", jump_far, 0xd0000},
    {"ret not canonical", ret_far, 0xd0000},
    {"ds beyond table", ds_beyond, 0xd1000},
    {"ds in no ldt", ds_ldt, 0xd000c},
    {"ds not present", ds_absent, 0xb0060},
    {"ds execute-only", ds_code, 0xd0078},
    {"ds system", ds_system, 0xd0050},
    {"ss not present", ss_absent, 0xc0060},
    {"ss dpl", ss_user, 0xd0068},
    {"ss rpl", ss_rpl, 0xd0010},
    {"ss read-only", ss_readonly, 0xd0070},
    {"ss null rpl 3", ss_null_rpl, 0xd0000},
    {"cs data", cs_data, 0xd0010},
    {"cs null", cs_absent, 0xd0000},
    {"cs beyond table", cs_beyond, 0xd1000},
    {"iret not canonical", iret_far, 0xd0000},
    {"ltr not present", ltr_absent, 0xb0080},
    {"ltr busy", ltr_busy, 0xd0090},
    {"ltr data", ltr_data, 0xd0010},
    {"lldt data", lldt_data, 0xd0010},
    {"into in 64-bit mode", into32, 0x60000},
    {"cmpxchg16b alignment", cmpxchg16b_odd, 0xd0000},
    {"sse without osfxsr", sse_off, 0x60000},
    {"x87 with ts", x87_ts, 0x70000},
    {"x87 with em", x87_em, 0x70000},
    {"movaps alignment", movaps_odd, 0xd0000},
    {"fxsave alignment", fxsave_odd, 0xd0000},
    {"syscall off", syscall_off, 0x60000},
    {"int 81", int_user_range, 0x810000},
};

/* --- at CPL 3 --- */

static void user(void *code)
{
    enter_user((uintptr_t)code, (uintptr_t)user_stack_top, USER_CODE64, 2);
}

static void user_check(const char *name, const void *code, uint64_t want)
{
    check(name, trap_code(guard(user, (void *)(uintptr_t)code)), want);
}

#define USER(name, text)                                                       \
    __asm__(".text\n" #name ": " text "; int $0x80\n");                        \
    extern const char name[];
USER(u_good, "nop")
USER(u_cli, "cli")
USER(u_hlt, "hlt")
USER(u_cr3, "mov %cr3, %rax")
USER(u_lgdt, "lgdt (%rsp)")
USER(u_rdmsr, "rdmsr")
USER(u_int, "int $0x81")
USER(u_sgdt, "sgdt -64(%rsp)")
USER(u_in_open, "in $0x80, %al")
USER(u_in_shut, "in $0x81, %al")
USER(u_inw_shut, "in $0x80, %ax")
/* With EFLAGS.AC. rdi: in a page; rsi: where no page is, not aligned either. */
#define ALIGN(name, text)                                                      \
    USER(name, "pushf; orl $0x40000, (%rsp); popf; lea -128(%rsp), %rdi;"      \
               "and $-64, %rdi; movabs $0x100000001, %rsi;" text)
ALIGN(a_two, "mov 1(%rdi), %ax")
ALIGN(a_four, "mov 2(%rdi), %eax")
ALIGN(a_eight, "mov %rax, 4(%rdi)")
ALIGN(a_fine, "mov 4(%rdi), %eax; mov 8(%rdi), %rax; mov 1(%rdi), %al")
ALIGN(a_hole, "mov (%rsi), %eax")
ALIGN(a_hole_byte, "mov (%rsi), %al")
ALIGN(a_far, "btc $63, %rdi; mov 1(%rdi), %eax")
ALIGN(a_push, "lea 4(%rdi), %rsp; push %rax")
ALIGN(a_lock, "lock addl $1, 2(%rdi)")
ALIGN(a_xchg, "xchg %eax, 61(%rdi)")
ALIGN(a_movs, "lea 1(%rdi), %rsi; movsl")
ALIGN(a_cmpxchg8b, "cmpxchg8b 4(%rdi)")
ALIGN(a_cmpxchg16b, "cmpxchg16b 8(%rdi)")
ALIGN(a_movups, "movups 1(%rdi), %xmm0; movdqu %xmm0, 3(%rdi)")
ALIGN(a_movaps, "movaps 8(%rdi), %xmm0")
ALIGN(a_movsd, "movsd 4(%rdi), %xmm0")
ALIGN(a_fld, "fldt 4(%rdi)")
ALIGN(a_fnstenv, "fnstenv 2(%rdi)")
ALIGN(a_fxsave4, "fxsave 4(%rdi)")
ALIGN(a_fxsave2, "fxsave 2(%rdi)")
ALIGN(a_enter, "mov %rdi, %rsp; enter $8, $0; pushf; andl $~0x40000, (%rsp);"
               "popf; mov 1(%rdi), %eax")

static const struct {
    const char *name, *code;
    uint64_t want;
} alignment[] = {
    {"alignment of 2", a_two, 0x110000},
    {"alignment of 4", a_four, 0x110000},
    {"alignment of 8", a_eight, 0x110000},
    {"alignment is right", a_fine, 0x800000},
    {"alignment before page fault", a_hole, 0x110000},
    {"alignment of a byte", a_hole_byte, 0xe0004},
    {"alignment after canonical", a_far, 0xd0000},
    {"alignment of push", a_push, 0x110000},
    {"alignment of lock add", a_lock, 0x110000},
    {"alignment of xchg", a_xchg, 0x110000},
    {"alignment of movs", a_movs, 0x110000},
    {"alignment of cmpxchg8b", a_cmpxchg8b, 0x110000},
    {"alignment of cmpxchg16b", a_cmpxchg16b, 0xd0000},
    {"alignment of movups", a_movups, 0x800000},
    {"alignment of movaps", a_movaps, 0xd0000},
    {"alignment of movsd", a_movsd, 0x110000},
    {"alignment of fld m80", a_fld, 0x110000},
    {"alignment of fnstenv", a_fnstenv, 0x110000},
    {"alignment of fxsave, 4", a_fxsave4, 0xd0000},
    {"alignment of fxsave, 2", a_fxsave2, 0x110000},
    {"alignment cleared by popf", a_enter, 0x800000},
};
USER(u_dr7, "mov %dr7, %rax")
USER(u_rdtsc, "rdtsc")
USER(u_ss, "mov $0x10, %eax; mov %eax, %ss")
USER(u_cs0, "pushq $0x18; lea 1f(%rip), %rax; push %rax; lretq; 1:")
USER(u_iret0, "mov %rsp, %rcx; pushq $0x2b; push %rcx; pushq $2; pushq $0x18;"
              "lea 1f(%rip), %rax; push %rax; iretq; 1:")
USER(u_popf, "pushq $0x3202; popf; pushf; pop %rax; test $0x3200, %eax;"
             "jz 1f; ud2; 1:")

static void user_checks(void)
{
    user_check("user int 80", u_good, 0x800000);
    user_check("user cli", u_cli, 0xd0000);
    user_check("user hlt", u_hlt, 0xd0000);
    user_check("user mov cr3", u_cr3, 0xd0000);
    user_check("user mov dr7", u_dr7, 0xd0000);
    user_check("user lgdt", u_lgdt, 0xd0000);
    user_check("user rdmsr", u_rdmsr, 0xd0000);
    user_check("user int 81", u_int, 0xd0000 | (0x81 << 3) | 2);
    user_check("user ss dpl", u_ss, 0xd0010);
    user_check("user retf to cpl 0", u_cs0, 0xd0018);
    user_check("user iret to cpl 0", u_iret0, 0xd0018);
    user_check("user popf keeps if, iopl", u_popf, 0x800000);
    tss[0x88 + 0x81 / 8] |= 1 << (0x81 & 7);
    user_check("user in allowed", u_in_open, 0x800000);
    user_check("user in forbidden", u_in_shut, 0xd0000);
    user_check("user in of two ports", u_inw_shut, 0xd0000);
    tss[0x88 + 0x81 / 8] = 0;
    set_cr4(get_cr4() | 1 << 2);
    user_check("user rdtsc with tsd", u_rdtsc, 0xd0000);
    set_cr4(get_cr4() & ~4ul);
    if (cpuid(7, 0).c & 1 << 2) {
        set_cr4(get_cr4() | 1 << 11);
        user_check("user sgdt with umip", u_sgdt, 0xd0000);
        set_cr4(get_cr4() & ~(1ul << 11));
    } else {
        absent("user sgdt with umip");
    }
    user_check("user sgdt", u_sgdt, 0x800000);
    set_cr0(get_cr0() | 1 << 18);
    for (unsigned n = 0; n < sizeof alignment / sizeof alignment[0]; n++)
        user_check(alignment[n].name, alignment[n].code, alignment[n].want);
    set_cr0(get_cr0() & ~(1ul << 18));
    user_check("alignment without cr0.am", a_four, 0x800000);
}

/* --- faults while delivering --- */

static void delivery_checks(void)
{
    struct table shorter = idt_table;

    set_gate(6, stub_address(6), 0x0e, 0);
    check("ud, gate not present", trap_code(guard(undefined, 0)),
          0xb0000 | 6 << 3 | 3);
    set_gate(6, stub_address(6), 0x8e, 0);
    set_gate(3, stub_address(3), 0x0e, 0);
    check("int3, gate not present", trap_code(guard(breakpoint, 0)),
          0xb0000 | 3 << 3 | 2);
    set_gate(3, stub_address(3), 0xee, 0);
    set_gate(0x81, stub_address(0x81), 0x85, 0);
    check("int 81, task gate", trap_code(guard(int_user_range, 0)),
          0xd0000 | 0x81 << 3 | 2);
    set_gate(0x81, 0x8000000000000000ull, 0x8e, 0);
    check("int 81, target not canonical", trap_code(guard(int_user_range, 0)),
          0xd0000);
    set_gate(0x81, stub_address(0x81), 0x8e, 0);
    shorter.limit = 0x81 * 16 + 14;
    __asm__ volatile("lidt %0" : : "m"(shorter));
    check("int 81, table too short", trap_code(guard(int_user_range, 0)),
          0xd0000 | 0x81 << 3 | 2);
    __asm__ volatile("lidt %0" : : "m"(idt_table));
    set_gate(13, stub_address(13), 0x0e, 0);
    check("gp, gate not present: df", trap_code(guard(load_far, 0)), 0x80000);
    set_gate(13, stub_address(13), 0x8e, 1);
    set_gate(12, stub_address(12), 0x0e, 1);
    set_gate(11, stub_address(11), 0x0e, 0);
    check("ss, then np, gate not present: df",
          trap_code(guard(load_far_stack, 0)), 0x80000);
    set_gate(12, stub_address(12), 0x8e, 1);
    set_gate(11, stub_address(11), 0x8e, 0);
}

/* --- debug exceptions --- */

static volatile unsigned steps;
static uintptr_t step_dr6, step_ip;
static volatile uint32_t watched;

static void count_step(struct frame *f)
{
    steps++;
    step_dr6 = get_dr6();
    step_ip = f->ip;
    f->flags |= 1 << 16; /* RF: past an instruction breakpoint */
    set_dr6(0xffff0ff0);
    set_dr7(get_dr7() & ~(1ul << 13));
}

/* The popf that sets TF is not stepped; pushf, and, popf after it are. */
#define STEP(text)                                                             \
    do {                                                                       \
        steps = 0;                                                             \
        __asm__ volatile("pushf; orl $0x100, (%%rsp); popf; " text             \
                         "; pushf; andl $~0x100, (%%rsp); popf"                \
                         :                                                     \
                         : "D"(buffer)                                         \
                         : "rax", "rbx", "rcx", "rdx", "memory");              \
    } while (0)

static void debug_checks(void)
{
    static uint8_t buffer[16];
    uintptr_t here;

    handlers[1] = count_step;
    STEP("nop; nop; nop");
    check("steps of 3 nops", steps, 6);
    check("dr6 of a step", step_dr6, 0xffff4ff0);
    STEP("mov %%ss, %%eax; mov %%eax, %%ss; nop");
    check("steps over mov ss", steps, 5);
    STEP("mov $3, %%ecx; push %%rdi; rep stosb; pop %%rdi");
    check("steps of rep stosb", steps, 9);
    STEP("call 1f; jmp 2f; 1: ret; 2:");
    check("steps of call, ret, jmp", steps, 6);
    STEP("cpuid");
    check("steps of cpuid", steps, 4);

    set_dr0((uintptr_t)&watched);
    set_dr7(0xd0002); /* writes of four bytes */
    steps = 0;
    __asm__ volatile("movl $1, %0; 1: nop; lea 1b(%%rip), %1"
                     : "=m"(watched), "=r"(here));
    check("data breakpoint, after", step_ip - here, 0);
    check("data breakpoint, write", steps, 1);
    check("dr6 of a data breakpoint", step_dr6 & 0xf00f, 1);
    steps = 0;
    (void)watched;
    check("data breakpoint, not by reads", steps, 0);
    *((volatile uint8_t *)&watched + 3) = 1;
    check("data breakpoint, last byte", steps, 1);
    *((volatile uint8_t *)&watched + 4) = 1;
    check("data breakpoint, byte after", steps, 1);
    set_dr7(0xf0002);
    steps = 0;
    (void)watched;
    check("data breakpoint, read or write", steps, 1);
    set_dr7(0);

    __asm__ volatile("lea 1f(%%rip), %0; mov %0, %%dr0; mov $2, %%eax;"
                     "mov %%rax, %%dr7; movl $0, %1; 1: nop; nop"
                     : "=&r"(here), "=m"(steps)
                     :
                     : "rax");
    check("code breakpoint", steps, 1);
    check("code breakpoint, before", step_ip - here, 0);
    check("dr6 of a code breakpoint", step_dr6 & 0xf00f, 1);
    set_dr7(0);
    steps = 0;
    set_dr7(1 << 13);
    (void)get_dr0();
    check("general detect", steps, 1);
    check("dr6 of general detect", step_dr6 & 0xf000, 0x2000);
    set_dr7(0);
    steps = 0;
    guard(int1, 0);
    check("int1", steps, 1);
    handlers[1] = NULL;
}

static void dr4(void *arg)
{
    (void)arg;
    __asm__ volatile("mov %%dr4, %%rax" : : : "rax");
}

void test_main(void)
{
    static uint8_t stack[4096] __attribute__((aligned(16)));
    uintptr_t top = (uintptr_t)stack + sizeof stack;

    memcpy(tss + 0x24, &top, sizeof top);
    for (int n = 12; n < 14; n++) /* the stack may be bad */
        set_gate(n, stub_address(n), 0x8e, 1);
    set_descriptor(NOT_PRESENT, 0, 0xfffff, 0x13, 0xc);
    set_descriptor(USER_ONLY, 0, 0xfffff, 0xf3, 0xc);
    set_descriptor(READ_ONLY, 0, 0xfffff, 0x91, 0xc);
    set_descriptor(EXEC_ONLY, 0, 0xfffff, 0x99, 0xc);
    set_descriptor(TSS_ABSENT, 0, 0x67, 0x09, 0);
    set_descriptor(TSS_BUSY, 0, 0x67, 0x8b, 0);
    set_cr4(get_cr4() | 1 << 9);
    for (unsigned n = 0; n < sizeof rows / sizeof rows[0]; n++)
        check(rows[n].name, trap_code(guard(rows[n].fn, 0)), rows[n].want);
    user_checks();
    delivery_checks();
    debug_checks();
    check("dr4", guard(dr4, 0), 0xffffffffffffffff);
    set_cr4(get_cr4() | 1 << 3);
    check("dr4 with de", trap_code(guard(dr4, 0)), 0x60000);
}
