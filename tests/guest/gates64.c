/*
 * Gates of IA-32e mode: 64-bit call gates, interrupt and trap gates, IST, from
 * 64-bit code and from compatibility mode; IRET and far RET to outer rings,
 * null SS, what each failing check raises. SDM volume
 * 3, 5.8.3.1, 5.8.5.1, 6.14.
 */
#include "guest.h"

#define INNER64 0x60 /* DPL 0 */
#define CONF64  0x68 /* conforming, DPL 0 */
#define RING1   0x71
#define BAD     0x78 /* what a row makes of it */
#define GATE    0x83 /* 16 bytes */
#define RING1_D 0x91
enum { CALL = 0x8c, INT = 0x8e, TRAP = 0x8f, DPL3 = 0x60 };
enum { RSP0 = 4, RSP1 = 12, IST1 = 36, IST2 = 44 }; /* in the TSS */
#define FAR_AWAY 0x8000000000000000ull

struct seen {
    uint64_t cs, ss, sp, flags, words[6], count;
} seen;
struct {
    uint32_t offset;
    uint16_t sel;
} __attribute__((packed)) to;
uint64_t back[5], sp_after, ss_after;

/* Notes where it is and what is on its stack; then whence it came. */
__asm__(".text\n"
        ".macro note\n"
        "    push %rax\n"
        "    mov %cs, seen\n    mov %ss, seen + 8\n"
        "    lea 8(%rsp), %rax\n    mov %rax, seen + 16\n"
        "    pushf\n    popq seen + 24\n"
        "    .set i, 0\n"
        "    .rept 6\n"
        "    mov 8 + i(%rsp), %rax\n    mov %rax, seen + 32 + i\n"
        "    .set i, i + 8\n"
        "    .endr\n"
        "    incq seen + 80\n"
        "    pop %rax\n"
        ".endm\n"
        "inner_ret: note\n    lretq\n"
        "inner_iret: note\n    iretq\n"
        "inner_iret_error: note\n    add $8, %rsp\n    iretq\n"
        "user_call: lcall *to\n"
        "after_call: mov %rsp, sp_after\n    mov %ss, ss_after\n    int $0x80\n"
        "user_jmp: ljmp *to\n"
        "user_int: int $0x92\n"
        "after_int: mov %rsp, sp_after\n    int $0x80\n"
        ".code32\n"
        "compat_call: lcall *to\n"
        "after_compat_call: mov %esp, sp_after\n    int $0x80\n"
        "compat_int: int $0x92\n"
        "after_compat_int: mov %esp, sp_after\n    int $0x80\n"
        ".code64\n");
#define LABEL(name) extern const char name[];
LABEL(inner_ret)
LABEL(inner_iret)
LABEL(inner_iret_error)
LABEL(user_call) LABEL(after_call) LABEL(user_jmp) LABEL(user_int)
    LABEL(after_int) LABEL(compat_call) LABEL(after_compat_call)
        LABEL(compat_int) LABEL(after_compat_int)

            static uint8_t inner_stack[4096] __attribute__((aligned(16)));
static uint8_t ist_stack[4096] __attribute__((aligned(16)));
#define INNER_TOP ((uint64_t)(inner_stack + sizeof inner_stack - 8))
#define IST_TOP   ((uint64_t)(ist_stack + sizeof ist_stack - 8))
#define USER_TOP  ((uint64_t)user_stack_top)

/* --- set-up --- */

static void tss_field(unsigned at, uint64_t v)
{
    memcpy(tss + at, &v, sizeof v);
}

static void set_call_gate(unsigned type, unsigned sel, uint64_t at,
                          uint32_t high)
{
    gdt[GATE / 8] = (at & 0xffff) | (uint64_t)sel << 16 | (uint64_t)type << 40 |
                    (at >> 16 & 0xffff) << 48;
    gdt[GATE / 8 + 1] = at >> 32 | (uint64_t)high << 32;
}

static void set_int_gate(unsigned type, unsigned sel, uint64_t at, unsigned ist)
{
    set_gate(0x92, at, type, ist);
    set_gate_selector(0x92, sel);
}

static void reset(void)
{
    set_descriptor(INNER64, 0, 0xfffff, 0x9b, 0xa);
    set_descriptor(CONF64, 0, 0xfffff, 0x9f, 0xa);
    set_descriptor(RING1, 0, 0xfffff, 0xbb, 0xa);
    set_descriptor(RING1_D, 0, 0xfffff, 0xb3, 0xc);
    set_call_gate(CALL | DPL3, INNER64, (uint64_t)inner_ret, 0);
    set_int_gate(INT | DPL3, INNER64, (uint64_t)inner_iret, 0);
    tss_field(RSP0, INNER_TOP);
    tss_field(RSP1, INNER_TOP);
    tss_field(IST2, IST_TOP);
    memset(&seen, 0, sizeof seen);
    to.sel = GATE;
    to.offset = 0;
    sp_after = ss_after = 0;
}

static void go_user(void *code)
{
    enter_user((uintptr_t)code, USER_TOP, USER_CODE64, 2);
}

static void go_compat(void *code)
{
    enter_user((uintptr_t)code, USER_TOP, USER_CODE32, 2);
}

static uint64_t at_user(const char *label, bool compat)
{
    return trap_code(
        guard(compat ? go_compat : go_user, (void *)(uintptr_t)label));
}

static bool words_are(unsigned n, const uint64_t *want)
{
    for (unsigned k = 0; k < n; k++)
        if (seen.words[k] != want[k])
            return false;
    return true;
}

/* --- call gates --- */

static const struct {
    const char *name, *code, *after;
    uint16_t sel, cs, ss;
    bool compat, inner;
} calls[] = {
    {"call gate, ", user_call, after_call, INNER64, INNER64, 0, 0, 1},
    {"call gate from 32-bit code, ", compat_call, after_compat_call, INNER64,
     INNER64, 0, 1, 1},
    {"call gate to ring 1, ", user_call, after_call, RING1, RING1, 1, 0, 1},
    {"call gate to conforming, ", user_call, after_call, CONF64, CONF64 | 3,
     USER_DATA, 0, 0},
    {"call gate to ring 3 from 32-bit code, ", compat_call, after_compat_call,
     USER_CODE64, USER_CODE64, USER_DATA, 1, 0},
};

static void check_calls(void)
{
    for (unsigned n = 0; n < sizeof calls / sizeof calls[0]; n++) {
        bool inner = calls[n].inner;
        uint64_t want[4] = {(uint64_t)calls[n].after,
                            calls[n].compat ? USER_CODE32 : USER_CODE64,
                            USER_TOP, USER_DATA};

        check_prefix = calls[n].name;
        reset();
        set_call_gate(CALL | DPL3, calls[n].sel, (uint64_t)inner_ret, 0);
        check("result", at_user(calls[n].code, calls[n].compat), 0x800000);
        check("cs", seen.cs & 0xffff, calls[n].cs);
        check("ss", seen.ss & 0xffff, calls[n].ss);
        check("bytes pushed", (inner ? INNER_TOP : USER_TOP) - seen.sp,
              inner ? 32 : 16);
        check("frame", words_are(inner ? 4 : 2, want), 1);
        check("sp after", sp_after == USER_TOP, 1);
    }
}

static const struct {
    const char *name;
    uint8_t type;
    uint16_t sel;
    uint8_t access, flags; /* of BAD */
    uint64_t offset;       /* 0: inner_ret */
    uint32_t high;         /* of the gate */
    uint32_t want;
} bad_calls[] = {
    {"call, gate not present", 0x6c, INNER64, 0, 0, 0, 0, 0xb0080},
    {"call, gate of dpl 0", CALL, INNER64, 0, 0, 0, 0, 0xd0080},
    {"call, 16-bit gate", 0xe4, INNER64, 0, 0, 0, 0, 0xd0080},
    {"call, task gate", 0xe5, TSS_SEL, 0, 0, 0, 0, 0xd0080},
    {"call, tss", 0xe9, INNER64, 0, 0, 0, 0, 0xd0080},
    {"call, type in the upper half", CALL | DPL3, INNER64, 0, 0, 0, 1 << 8,
     0xd0080},
    {"call, gate to null", CALL | DPL3, 3, 0, 0, 0, 0, 0xd0000},
    {"call, gate to data", CALL | DPL3, DATA32, 0, 0, 0, 0, 0xd0010},
    {"call, gate to 32-bit code", CALL | DPL3, CODE32, 0, 0, 0, 0, 0xd0008},
    {"call, gate to code with l and d", CALL | DPL3, BAD, 0x9b, 0xe, 0, 0,
     0xd0078},
    {"call, gate to code not present", CALL | DPL3, BAD, 0x1b, 0xa, 0, 0,
     0xb0078},
    {"call, gate beyond the gdt", CALL | DPL3, 0x1000, 0, 0, 0, 0, 0xd1000},
    {"call, gate not canonical", CALL | DPL3, INNER64, 0, 0, FAR_AWAY, 0,
     0xd0000},
};

static void check_bad_calls(void)
{
    struct table shorter = gdt_table;

    check_prefix = "";
    for (unsigned n = 0; n < sizeof bad_calls / sizeof bad_calls[0]; n++) {
        reset();
        set_descriptor(BAD, 0, 0xfffff, bad_calls[n].access,
                       bad_calls[n].flags);
        set_call_gate(bad_calls[n].type, bad_calls[n].sel,
                      bad_calls[n].offset ? bad_calls[n].offset
                                          : (uint64_t)inner_ret,
                      bad_calls[n].high);
        check(bad_calls[n].name, at_user(user_call, false), bad_calls[n].want);
    }
    reset();
    check("jmp by gate to an inner ring", at_user(user_jmp, false),
          0xd0000 | INNER64);
    reset();
    shorter.limit = (GATE & ~7) + 14;
    __asm__ volatile("lgdt %0" : : "m"(shorter));
    check("call, half a gate", at_user(user_call, false), 0xd0080);
    __asm__ volatile("lgdt %0" : : "m"(gdt_table));
    /* Ring 1's stack, so that ring 0's is good for the fault. */
    reset();
    set_call_gate(CALL | DPL3, RING1, (uint64_t)inner_ret, 0);
    tss_field(RSP1, FAR_AWAY);
    check("call, inner stack not canonical", at_user(user_call, false),
          0xc0000);
    reset();
    set_call_gate(CALL | DPL3, RING1, (uint64_t)inner_ret, 0);
    set_descriptor(TSS_SEL, (uint32_t)(uintptr_t)tss, RSP1 + 6, 0x89, 0);
    __asm__ volatile("ltr %w0" : : "r"(TSS_SEL));
    check("call, tss too short", at_user(user_call, false), 0xa0000 | TSS_SEL);
    set_descriptor(TSS_SEL, (uint32_t)(uintptr_t)tss, sizeof tss - 1, 0x89, 0);
    __asm__ volatile("ltr %w0" : : "r"(TSS_SEL));
}

/* --- interrupts --- */

static const struct {
    const char *name, *code, *after;
    uint8_t type, ist;
    uint16_t sel, cs, ss;
    bool compat;
    uint8_t where; /* RSP0, IST2 or 0: the user's */
} ints[] = {
    {"interrupt gate, ", user_int, after_int, INT, 0, INNER64, INNER64, 0, 0,
     RSP0},
    {"trap gate with ist, ", user_int, after_int, TRAP, 2, INNER64 | 3, INNER64,
     0, 0, IST2},
    {"interrupt gate from 32-bit code, ", compat_int, after_compat_int, INT, 0,
     INNER64, INNER64, 0, 1, RSP0},
    {"interrupt gate to ring 1, ", user_int, after_int, INT, 0, RING1, RING1, 1,
     0, RSP0},
    {"interrupt gate to conforming, ", user_int, after_int, INT, 0, CONF64,
     CONF64 | 3, USER_DATA, 0, 0},
    {"interrupt gate to ring 3, with ist, ", user_int, after_int, INT, 2,
     USER_CODE64, USER_CODE64, USER_DATA, 0, IST2},
};

static void check_ints(void)
{
    for (unsigned n = 0; n < sizeof ints / sizeof ints[0]; n++) {
        uint64_t want[5] = {(uint64_t)ints[n].after,
                            ints[n].compat ? USER_CODE32 : USER_CODE64, 2,
                            USER_TOP, USER_DATA};
        uint64_t top = ints[n].where == RSP0   ? INNER_TOP
                       : ints[n].where == IST2 ? IST_TOP
                                               : USER_TOP;

        check_prefix = ints[n].name;
        reset();
        set_int_gate(ints[n].type | DPL3, ints[n].sel, (uint64_t)inner_iret,
                     ints[n].ist);
        check("result", at_user(ints[n].code, ints[n].compat), 0x800000);
        check("cs", seen.cs & 0xffff, ints[n].cs);
        check("ss", seen.ss & 0xffff, ints[n].ss);
        check("bytes pushed, aligned", (top & ~15ull) - seen.sp, 40);
        check("frame", words_are(5, want), 1);
        check("sp after", sp_after == USER_TOP, 1);
    }
}

/* At CPL 0: SS and RSP are pushed too, and aligned. */
static void check_same(void)
{
    static const struct {
        const char *name;
        unsigned type, ist;
        uint64_t flags;
    } rows[] = {{"interrupt gate at cpl 0, ", INT, 0, 2},
                {"trap gate at cpl 0, ", TRAP, 0, 0x202},
                {"interrupt gate at cpl 0 with ist, ", INT, 2, 2}};
    uint64_t sp;

    mask_pics();
    for (unsigned n = 0; n < sizeof rows / sizeof rows[0]; n++) {
        check_prefix = rows[n].name;
        reset();
        set_int_gate(rows[n].type, INNER64, (uint64_t)inner_iret, rows[n].ist);
        __asm__ volatile("mov %%rsp, %%rbx; and $-16, %%rsp; push %%rbx;"
                         "mov %%rsp, %0; pushq $0x202; popfq; int $0x92;"
                         "pushq $2; popfq; pop %%rsp"
                         : "=r"(sp)
                         :
                         : "rbx", "memory", "cc");
        check("flags", seen.flags, rows[n].flags);
        check("flags pushed", seen.words[2], 0x202);
        check("stack", (rows[n].ist ? IST_TOP & ~15ull : sp & ~15ull) - seen.sp,
              40);
        check("sp pushed", seen.words[3] == sp, 1);
        check("ss pushed", seen.words[4], DATA32);
    }
}

/* --- returns --- */

static const struct {
    const char *name;
    uint16_t cs, ss;
    uint8_t access, flags; /* of BAD */
    uint32_t want;         /* 0: arrived at cpl 0 */
} returns[] = {
    {"to 64-bit code", USER_CODE64, USER_DATA, 0, 0, 0x800000},
    {"to conforming", CONF64 | 3, USER_DATA, 0, 0, 0x800000},
    {"to ring 3, ss null", USER_CODE64, 3, 0, 0, 0xd0000},
    {"to ring 1, ss null of rpl 1", RING1, 1, 0, 0, 0x800000},
    {"to ring 1, ss null of rpl 0", RING1, 0, 0, 0, 0xd0000},
    {"to 32-bit code, ss null", USER_CODE32, 3, 0, 0, 0xd0000},
    {"to code with l and d", BAD | 3, USER_DATA, 0xfb, 0xe, 0xd0078},
    {"cs null", 3, USER_DATA, 0, 0, 0xd0000},
    {"cs is data", USER_DATA, USER_DATA, 0, 0, 0xd0028},
    {"cs of dpl 0, rpl 3", INNER64 | 3, USER_DATA, 0, 0, 0xd0060},
    {"cs not present", BAD | 3, USER_DATA, 0x7b, 0xa, 0xb0078},
    {"ss of dpl 0", USER_CODE64, DATA32 | 3, 0, 0, 0xd0010},
    {"ss not present", USER_CODE64, BAD | 3, 0x73, 0xc, 0xc0078},
    {"ss read-only", USER_CODE64, BAD | 3, 0xf1, 0xc, 0xd0078},
};

static void go_iret(void *arg)
{
    (void)arg;
    __asm__ volatile("mov $0x2b, %eax; mov %eax, %ds;" /* kept by CPL 3 */
                     "pushq back + 32; pushq back + 24; pushq back + 16;"
                     "pushq back + 8; pushq back; iretq");
}

static void go_lret(void *arg)
{
    (void)arg;
    __asm__ volatile("pushq back + 32; pushq back + 24; pushq back + 8;"
                     "pushq back; lretq");
}

static void go_iretl(void *arg)
{
    (void)arg;
    __asm__ volatile("sub $20, %rsp; mov back, %eax; mov %eax, (%rsp);"
                     "mov back + 8, %eax; mov %eax, 4(%rsp);"
                     "mov back + 16, %eax; mov %eax, 8(%rsp);"
                     "mov back + 24, %eax; mov %eax, 12(%rsp);"
                     "mov back + 32, %eax; mov %eax, 16(%rsp); iretl");
}

static void set_back(uint16_t cs, uint16_t ss)
{
    reset();
    back[0] = (uint64_t)after_call;
    back[1] = cs;
    back[2] = 2;
    back[3] = cs & 3 ? USER_TOP : INNER_TOP;
    back[4] = ss;
}

static void check_returns(void)
{
    static const struct {
        const char *name;
        void (*go)(void *);
    } ways[] = {
        {"iretq, ", go_iret}, {"iretl, ", go_iretl}, {"lretq, ", go_lret}};

    set_gate(0x80, stub_address(0x80), INT | DPL3, 0);
    for (unsigned w = 0; w < 3; w++) {
        check_prefix = ways[w].name;
        for (unsigned n = 0; n < sizeof returns / sizeof returns[0]; n++) {
            set_back(returns[n].cs, returns[n].ss);
            set_descriptor(BAD, 0, 0xfffff, returns[n].access,
                           returns[n].flags);
            check(returns[n].name, trap_code(guard(ways[w].go, 0)),
                  returns[n].want);
        }
    }
    check_prefix = "iretq, ";
    set_back(USER_CODE64, USER_DATA);
    back[0] = FAR_AWAY;
    check("not canonical", trap_code(guard(go_iret, 0)), 0xd0000);
    set_back(USER_CODE32, USER_DATA);
    back[0] = (uint64_t)after_compat_call;
    check("to 32-bit code", trap_code(guard(go_iret, 0)), 0x800000);
    set_back(INNER64, 0);
    check("to cpl 0, ss null", trap_code(guard(go_iret, 0)), 0x800000);
    check("to cpl 0, ss", ss_after & 0xffff, 0);
    check("to cpl 0, sp", sp_after == INNER_TOP, 1);
    set_back(INNER64, DATA32);
    __asm__ volatile("pushfq; orq $0x4000, (%rsp); popfq");
    check("nt", trap_code(guard(go_iret, 0)), 0xd0000);
    __asm__ volatile("pushq $2; popfq");
}

/* --- stacks that are no good --- */

static void check_stacks(void)
{
    check_prefix = "";
    reset();
    set_int_gate(INT | DPL3, RING1, (uint64_t)inner_iret, 0);
    tss_field(RSP1, FAR_AWAY);
    check("int, inner stack not canonical", at_user(user_int, false), 0xc0000);
    reset();
    set_int_gate(INT | DPL3, INNER64, (uint64_t)inner_iret, 2);
    tss_field(IST2, FAR_AWAY);
    check("int, ist not canonical", at_user(user_int, false), 0xc0000);
    /* #SS's own stack is bad as well: #DF, which has an IST. */
    reset();
    set_gate(12, stub_address(12), INT, 2);
    set_gate(8, stub_address(8), INT, 1);
    tss_field(IST1, IST_TOP);
    set_int_gate(INT | DPL3, INNER64, (uint64_t)inner_iret, 2);
    tss_field(IST2, FAR_AWAY);
    check("int, then ss, ist not canonical", at_user(user_int, false), 0x80000);
    check("df on its ist", IST_TOP - last.at < 256, 1);
    set_gate(12, stub_address(12), INT, 0);
}

void test_main(void)
{
    check_calls();
    check_bad_calls();
    check_ints();
    check_same();
    check_returns();
    check_stacks();
}
