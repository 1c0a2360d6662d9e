/*
 * Task switches through 32- and 16-bit TSSs: by JMP, CALL, INT and IRET, direct
 * and through task gates; what fails before the switch and what after it; busy
 * bits, back links, NT, T; tasks in virtual-8086 mode. SDM volume 3, chapter 8.
 */
#include "guest.h"
#include "tasks.h"

struct tss32 {
    uint32_t link, sp0, ss0, sp1, ss1, sp2, ss2, cr3, ip, flags, gpr[8], seg[6],
        ldt;
    uint16_t trap, io;
};
struct tss16 {
    uint16_t link, sp0, ss0, sp1, ss1, sp2, ss2, ip, flags, gpr[8], seg[4], ldt;
};
enum { ES, CS, SS, DS, FS, GS };
enum { SP = 4 };
enum {
    FL_CF = 1,
    FL_TF = 0x100,
    FL_DF = 0x400,
    FL_NT = 0x4000,
    FL_VM = 0x20000,
    FL_IOPL3 = 0x3000
};
enum { TYPE_TSS16 = 0x81, TYPE_TSS32 = 0x89, TYPE_GATE = 0x85, BUSY = 2 };

uint32_t seen[24];
uint32_t leave_by_jmp;
struct {
    uint32_t offset;
    uint16_t sel;
} __attribute__((packed)) to;

static struct tss32 main_tss, task32, nest_tss, vm86_tss, fault_tss[32];
static struct tss16 task16;
static uint64_t ldt[4];
static uint8_t stack[3][4096] __attribute__((aligned(16)));
static uint8_t fault_stack[4096] __attribute__((aligned(16)));
static uint16_t fault_link; /* the task in which the last fault was */
extern const char task_body[], task_left[], nesting_body[];
extern const char double_at[];
extern const char vm86_body[], vm86_after_int[], vm86_hlt[], vm86_end[];
extern const char fault_task_8[], fault_task_10[], fault_task_11[],
    fault_task_12[], fault_task_13[];
void go_jmp(void *), go_call(void *), go_int(void *), go_iret(void *);
void go_double(void *);
void fault_in_task(unsigned vector, unsigned error);
void leave_guard(void) __attribute__((noreturn));

static unsigned type_of(unsigned sel)
{
    return gdt[sel / 8] >> 40 & 0xff;
}

/* --- set-up --- */

static void set_tss(unsigned sel, const void *tss, unsigned size, unsigned type)
{
    set_descriptor(sel, (uint32_t)tss, size - 1, type, 0);
}

static void set_task_gate(unsigned sel, unsigned tss, unsigned access)
{
    gdt[sel / 8] = (uint64_t)tss << 16 | (uint64_t)access << 40;
}

static struct tss32 make_task(const char *code, uint8_t *stack_page)
{
    struct tss32 t = {.ip = (uint32_t)code, .flags = 2 | FL_CF | FL_DF};

    for (unsigned n = 0; n < 8; n++)
        t.gpr[n] = 0x11110000 + n * 0x1111;
    t.gpr[SP] = (uint32_t)(stack_page + 4096);
    for (unsigned n = 0; n < 6; n++)
        t.seg[n] = DATA32;
    t.seg[CS] = CODE32;
    t.seg[GS] = 0;
    t.sp0 = t.gpr[SP];
    t.ss0 = DATA32;
    t.cr3 = get_cr3();
    t.io = sizeof t;
    return t;
}

static void make_fault_tasks(void)
{
    static const struct {
        uint8_t vector;
        const char *code;
    } rows[] = {{8, fault_task_8},
                {10, fault_task_10},
                {11, fault_task_11},
                {12, fault_task_12},
                {13, fault_task_13}};

    for (unsigned n = 0; n < sizeof rows / sizeof rows[0]; n++) {
        unsigned v = rows[n].vector;

        fault_tss[v] = make_task(rows[n].code, fault_stack);
        set_tss(FAULT_TSS + 8 * v, &fault_tss[v], sizeof fault_tss[v],
                TYPE_TSS32);
    }
}

/* A vector's faults are taken by a task, or by a handler as usual. */
static void by_task(unsigned v, bool on)
{
    set_gate((int)v, on ? 0 : stub_address((int)v), on ? TYPE_GATE : 0x8e, 0);
    if (on)
        set_gate_selector((int)v, FAULT_TSS + 8 * v);
}

static void faults_by_task(bool on)
{
    for (unsigned v = 10; v <= 13; v++)
        by_task(v, on);
}

/* Everything as it was, the main task running. */
static void reset(void)
{
    make_fault_tasks();
    task32 = make_task(task_body, stack[0]);
    task32.ldt = TASK_LDT;
    task32.link = 0x1234;
    nest_tss = make_task(nesting_body, stack[1]);
    task16 = (struct tss16){.link = 0x1234,
                            .ip = (uint16_t)(uint32_t)task_body,
                            .flags = 2 | FL_CF | FL_DF,
                            .seg = {DATA32, CODE_LOW, STACK_LOW, DATA32},
                            .ldt = TASK_LDT};
    for (unsigned n = 0; n < 8; n++)
        task16.gpr[n] = (uint16_t)(n * 0x1111);
    task16.gpr[SP] = 0xff0;
    set_tss(MAIN_TSS, &main_tss, sizeof main_tss, TYPE_TSS32);
    set_tss(TASK_TSS, &task32, sizeof task32, TYPE_TSS32);
    set_tss(NEST_TSS, &nest_tss, sizeof nest_tss, TYPE_TSS32);
    set_descriptor(TASK_LDT, (uint32_t)ldt, sizeof ldt - 1, 0x82, 0);
    set_descriptor(CODE_LOW, (uint32_t)task_body & ~0xffffu, 0xfffff, 0x9b,
                   0xc);
    set_descriptor(STACK_LOW, (uint32_t)stack[2], 0xfff, 0x93, 0);
    set_task_gate(TASK_GATE, TASK_TSS, TYPE_GATE);
    set_gate(0x90, 0, TYPE_GATE | 0x60, 0);
    set_gate_selector(0x90, TASK_TSS);
    __asm__ volatile("lldt %w0; ltr %w1; clts" : : "r"(0), "r"(MAIN_TSS));
    memset(seen, 0, sizeof seen);
    to.sel = TASK_TSS;
    leave_by_jmp = 0;
    fault_link = 0;
}

void fault_in_task(unsigned vector, unsigned error)
{
    uint16_t tr;

    __asm__ volatile("str %0" : "=r"(tr));
    last = (struct trap){.vector = (int)vector, .error = error};
    fault_link = (uint16_t)fault_tss[vector].link;
    if (tr != FAULT_TSS + 8 * vector)
        fault_link = 0xbad;
    leave_guard();
}

/* --- switches that succeed --- */

static const struct {
    const char *name;
    void (*go)(void *);
    bool gate, jmp;
} ways[] = {
    {"jmp, ", go_jmp, false, true},
    {"call, ", go_call, false, false},
    {"jmp by gate, ", go_jmp, true, true},
    {"call by gate, ", go_call, true, false},
    {"int, ", go_int, false, false},
};

static bool registers_right(bool wide)
{
    for (unsigned n = 0; n < 8; n++)
        if (wide ? seen[n] != task32.gpr[n] && n != 0
                 : (uint16_t)seen[n] != task16.gpr[n] && n != 0)
            return false;
    return (uint16_t)seen[SEEN_AX / 4] == 0;
}

static bool segments_right(bool wide)
{
    static const uint16_t want[2][6] = {
        {DATA32, CODE_LOW, STACK_LOW, DATA32, 0, 0},
        {DATA32, CODE32, DATA32, DATA32, DATA32, 0}};

    for (unsigned n = 0; n < 6; n++)
        if ((uint16_t)seen[SEEN_ES / 4 + n] != want[wide][n])
            return false;
    return true;
}

static void check_switch(unsigned n, bool wide)
{
    bool jmp = ways[n].jmp;
    unsigned type = wide ? TYPE_TSS32 : TYPE_TSS16, link, flags;

    check_prefix = ways[n].name;
    reset();
    if (!wide)
        set_tss(TASK_TSS, &task16, sizeof task16, TYPE_TSS16);
    if (ways[n].gate)
        to.sel = TASK_GATE;
    leave_by_jmp = jmp;
    __asm__ volatile("mov %0, %%dr7" : : "r"(0x455u)); /* L0 to L3 */
    check("trap", trap_code(guard(ways[n].go, 0)), 0xffff);
    link = wide ? task32.link : task16.link;
    flags = wide ? task32.flags : task16.flags;
    check("entered", seen[SEEN_COUNT / 4], 1);
    check("tr", (uint16_t)seen[SEEN_TR / 4], TASK_TSS);
    check("ldt", (uint16_t)seen[SEEN_LDT / 4], TASK_LDT);
    check("flags", seen[SEEN_FLAGS / 4], jmp ? 0x403 : 0x4403);
    check("registers", registers_right(wide), 1);
    check("segments", segments_right(wide), 1);
    check("cr0.ts", seen[SEEN_CR0 / 4] >> 3 & 1, 1);
    check("dr7", seen[SEEN_DR7 / 4] & 0x55, 0);
    check("back link", (uint16_t)link, jmp ? 0x1234 : MAIN_TSS);
    check("type of the old", seen[SEEN_MAIN / 4],
          TYPE_TSS32 | (jmp ? 0 : BUSY));
    check("type of the new", seen[SEEN_TASK / 4], type | BUSY);
    check("back, type of the old", type_of(TASK_TSS), type);
    check("back, type of the new", type_of(MAIN_TSS), TYPE_TSS32 | BUSY);
    check("back, flags saved", flags & 0x4402, 0x402);
    if (!jmp)
        check("back, ip saved",
              wide ? task32.ip == (uint32_t)task_left
                   : task16.ip == (uint16_t)(uint32_t)task_left,
              1);
    __asm__ volatile("mov %0, %%dr7" : : "r"(0x400u));
}

static void check_nesting(void)
{
    check_prefix = "nested, ";
    reset();
    task32.gpr[0] = 0;
    to.sel = NEST_TSS;
    check("trap", trap_code(guard(go_call, 0)), 0xffff);
    check("entered", seen[SEEN_COUNT / 4], 1);
    check("link of the outer", nest_tss.link, MAIN_TSS);
    check("link of the inner", task32.link, NEST_TSS);
    check("outer went on with its registers", seen[SEEN_NEST / 4], 0x11110000);
    check("types", type_of(NEST_TSS) << 8 | type_of(TASK_TSS), 0x8989);
}

/* --- T --- */

static uintptr_t debug_ip, debug_dr6;
static unsigned debugs;

static void on_debug(struct frame *f)
{
    debugs++;
    debug_ip = f->ip;
    debug_dr6 = get_dr6();
    set_dr6(0xffff0ff0);
}

static void check_trap_bit(void)
{
    check_prefix = "trap bit, ";
    reset();
    task32.trap = 1;
    task32.flags = 2;
    handlers[1] = on_debug;
    set_dr6(0xffff0ff0);
    check("trap", trap_code(guard(go_call, 0)), 0xffff);
    check("#db", debugs, 1);
    check("before the first instruction", debug_ip == (uintptr_t)task_body, 1);
    check("dr6", debug_dr6, 0xffff8ff0);
    handlers[1] = NULL;
}

/* --- what fails before anything has changed: in the old task --- */

static const struct {
    const char *name;
    void (*go)(void *);
    uint16_t sel; /* 0: BAD_TSS */
    uint16_t limit;
    uint8_t type;   /* of BAD_TSS */
    uint16_t gated; /* through a gate in TASK_GATE to this */
    uint8_t gate;   /* its type */
    uint32_t want;
} refused[] = {
    {"jmp to a busy tss", go_jmp, 0, 0x67, 0x8b, 0, 0, 0xd0000 | BAD_TSS},
    {"call to a busy tss", go_call, 0, 0x67, 0x8b, 0, 0, 0xd0000 | BAD_TSS},
    {"jmp to a busy 16-bit tss", go_jmp, 0, 0x67, 0x83, 0, 0,
     0xd0000 | BAD_TSS},
    {"call to itself", go_call, MAIN_TSS, 0x67, 0x89, 0, 0, 0xd0000 | MAIN_TSS},
    {"jmp, tss not present", go_jmp, 0, 0x67, 0x09, 0, 0, 0xb0000 | BAD_TSS},
    {"call, tss too short", go_call, 0, 0x66, 0x89, 0, 0, 0xa0000 | BAD_TSS},
    {"call, 16-bit tss too short", go_call, 0, 0x2a, 0x81, 0, 0,
     0xa0000 | BAD_TSS},
    {"jmp, rpl above dpl", go_jmp, BAD_TSS | 3, 0x67, 0x89, 0, 0,
     0xd0000 | BAD_TSS},
    {"jmp to an ldt", go_jmp, TASK_LDT, 0x67, 0x89, 0, 0, 0xd0000 | TASK_LDT},
    {"jmp beyond the gdt", go_jmp, 0x1000, 0x67, 0x89, 0, 0, 0xd1000},
    {"call by gate, busy", go_call, TASK_GATE, 0x67, 0x8b, BAD_TSS, 0x85,
     0xd0000 | BAD_TSS},
    {"call by gate, tss not present", go_call, TASK_GATE, 0x67, 0x09, BAD_TSS,
     0x85, 0xb0000 | BAD_TSS},
    {"call by gate to data", go_call, TASK_GATE, 0x67, 0x89, DATA32, 0x85,
     0xd0000 | DATA32},
    {"call by gate, null", go_call, TASK_GATE, 0x67, 0x89, 0, 0x85, 0xd0000},
    {"call by gate to an ldt's", go_call, TASK_GATE, 0x67, 0x89, BAD_TSS | 4,
     0x85, 0xd0000 | BAD_TSS | 4},
    {"call by gate, gate not present", go_call, TASK_GATE, 0x67, 0x89, BAD_TSS,
     0x05, 0xb0000 | TASK_GATE},
    {"call by gate, rpl above dpl", go_call, TASK_GATE | 3, 0x67, 0x89, BAD_TSS,
     0x85, 0xd0000 | TASK_GATE},
    {"int, busy", go_int, 0, 0x67, 0x8b, BAD_TSS, 0x85, 0xd0000 | BAD_TSS},
    {"int, tss not present", go_int, 0, 0x67, 0x09, BAD_TSS, 0x85,
     0xb0000 | BAD_TSS},
    {"int, tss too short", go_int, 0, 0x66, 0x89, BAD_TSS, 0x85,
     0xa0000 | BAD_TSS},
    {"iret, link to a free tss", go_iret, 0, 0x67, 0x89, 0, 0,
     0xa0000 | BAD_TSS},
    {"iret, link to data", go_iret, DATA32, 0x67, 0x89, 0, 0, 0xa0000 | DATA32},
    {"iret, link null", go_iret, 3, 0x67, 0x89, 0, 0, 0xa0000},
    {"iret, link into an ldt", go_iret, BAD_TSS | 4, 0x67, 0x8b, 0, 0,
     0xa0000 | BAD_TSS | 4},
    {"iret, link not present", go_iret, 0, 0x67, 0x0b, 0, 0, 0xb0000 | BAD_TSS},
    {"iret, link too short", go_iret, 0, 0x66, 0x8b, 0, 0, 0xa0000 | BAD_TSS},
};

static void check_refused(void)
{
    check_prefix = "";
    for (unsigned n = 0; n < sizeof refused / sizeof refused[0]; n++) {
        uint16_t tr;

        reset();
        set_descriptor(BAD_TSS, (uint32_t)&task32, refused[n].limit,
                       refused[n].type, 0);
        set_task_gate(TASK_GATE, refused[n].gated, refused[n].gate);
        set_gate_selector(0x90, refused[n].gated);
        to.sel = main_tss.link = refused[n].sel ? refused[n].sel : BAD_TSS;
        check(refused[n].name, trap_code(guard(refused[n].go, 0)),
              refused[n].want);
        __asm__ volatile("str %0" : "=r"(tr));
        if (tr != MAIN_TSS || seen[SEEN_COUNT / 4])
            check(" (switched)", tr, MAIN_TSS);
    }
}

/* --- what the new task's own state makes fail: in the new task --- */

enum { IN_LDT = 8 };
static const struct {
    const char *name;
    uint8_t seg; /* or IN_LDT */
    uint32_t value;
    uint8_t access, flags; /* of BAD_SEG */
    uint32_t want;
} broken[] = {
    {"ldt in an ldt", IN_LDT, BAD_SEG | 4, 0x82, 0, 0xa0000 | BAD_SEG | 4},
    {"ldt is a tss", IN_LDT, BAD_SEG, 0x89, 0, 0xa0000 | BAD_SEG},
    {"ldt not present", IN_LDT, BAD_SEG, 0x02, 0, 0xa0000 | BAD_SEG},
    {"ldt beyond the gdt", IN_LDT, 0x1000, 0x82, 0, 0xa1000},
    {"cs null", CS, 0, 0x9b, 12, 0xa0000},
    {"cs is data", CS, BAD_SEG, 0x93, 12, 0xa0000 | BAD_SEG},
    {"cs not present", CS, BAD_SEG, 0x1b, 12, 0xb0000 | BAD_SEG},
    {"cs of dpl 3", CS, BAD_SEG, 0xfb, 12, 0xa0000 | BAD_SEG},
    {"cs beyond the gdt", CS, 0x1000, 0x9b, 12, 0xa1000},
    {"ss null", SS, 0, 0x93, 12, 0xa0000},
    {"ss read-only", SS, BAD_SEG, 0x91, 12, 0xa0000 | BAD_SEG},
    {"ss is code", SS, BAD_SEG, 0x9b, 12, 0xa0000 | BAD_SEG},
    {"ss of dpl 3", SS, BAD_SEG, 0xf3, 12, 0xa0000 | BAD_SEG},
    {"ss of rpl 3", SS, BAD_SEG | 3, 0x93, 12, 0xa0000 | BAD_SEG},
    {"ss not present", SS, BAD_SEG, 0x13, 12, 0xc0000 | BAD_SEG},
    {"ds execute-only", DS, BAD_SEG, 0x99, 12, 0xa0000 | BAD_SEG},
    {"es not present", ES, BAD_SEG, 0x13, 12, 0xb0000 | BAD_SEG},
    {"fs of rpl 3", FS, BAD_SEG | 3, 0x93, 12, 0xa0000 | BAD_SEG},
    {"gs is a tss", GS, BAD_SEG, 0x89, 0, 0xa0000 | BAD_SEG},
    {"gs beyond the gdt", GS, 0x1000, 0x93, 0, 0xa1000},
    {"ip beyond cs", CS, BAD_SEG, 0x9b, 0, 0xd0000},
};

static void check_broken(void)
{
    unsigned theirs = 0, first = 0, n;

    check_prefix = "new task, ";
    for (n = 0; n < sizeof broken / sizeof broken[0]; n++) {
        reset();
        set_descriptor(BAD_SEG, 0, 0xfffff, broken[n].access, broken[n].flags);
        if (!broken[n].flags && (broken[n].access & 0x10))
            set_descriptor(BAD_SEG, 0, 0xfff, broken[n].access, 4);
        (&task32.ip)[broken[n].seg == IN_LDT ? 16 : 10 + broken[n].seg] =
            broken[n].value;
        faults_by_task(true);
        check(broken[n].name, trap_code(guard(go_call, 0)), broken[n].want);
        faults_by_task(false);
        theirs += fault_link == TASK_TSS && task32.link == MAIN_TSS;
        first += task32.ip == (uint32_t)task_body;
    }
    check("the faults were its own", theirs, n);
    check("its ip as it was", first, n);
    check_prefix = "";
    reset();
    by_task(8, true);
    set_gate(13, stub_address(13), 0x0e, 0); /* #NP */
    check("double fault by task gate", trap_code(guard(go_double, 0)), 0x80000);
    check("double fault's task", fault_link, MAIN_TSS);
    check("double fault, ip of the old", main_tss.ip == (uint32_t)double_at, 1);
    by_task(8, false);
    set_gate(13, stub_address(13), 0x8e, 0);
}

/* --- virtual-8086 mode --- */

enum { LOW = 0x7000 };

static void check_vm86(void)
{
    check_prefix = "virtual-8086 task, ";
    reset();
    memcpy((void *)LOW, vm86_body, (size_t)(vm86_end - vm86_body));
    vm86_tss = make_task(0, stack[1]);
    vm86_tss.ip = 0;
    vm86_tss.flags = 2 | FL_VM | FL_IOPL3;
    vm86_tss.gpr[SP] = 0xff0;
    for (unsigned n = 0; n < 6; n++)
        vm86_tss.seg[n] = LOW >> 4;
    set_tss(VM86_TSS, &vm86_tss, sizeof vm86_tss, TYPE_TSS32);
    set_gate(0x91, 0, TYPE_GATE | 0x60, 0);
    set_gate_selector(0x91, TASK_TSS);
    to.sel = VM86_TSS;
    faults_by_task(true);
    check("hlt", trap_code(guard(go_call, 0)), 0xd0000);
    faults_by_task(false);
    check("in the task", fault_link, VM86_TSS);
    check("int through a gate", seen[SEEN_COUNT / 4], 1);
    check("link of int's task", task32.link, VM86_TSS);
    check("flags in int's task", seen[SEEN_FLAGS / 4], 0x4403);
    check("link", vm86_tss.link, MAIN_TSS);
    check("ip", vm86_tss.ip, (uint32_t)(vm86_hlt - vm86_body));
    check("flags", vm86_tss.flags & 0x23000, FL_VM | FL_IOPL3);
    check("nt", vm86_tss.flags & FL_NT, FL_NT);
    check("ax", (uint16_t)vm86_tss.gpr[0], 0x1235);
    check("cs, ds, gs",
          vm86_tss.seg[CS] == LOW >> 4 && vm86_tss.seg[DS] == LOW >> 4 &&
              vm86_tss.seg[GS] == LOW >> 4,
          1);
}

void test_main(void)
{
    main_tss.io = sizeof main_tss;
    main_tss.cr3 = get_cr3();
    print("32-bit tss\n");
    for (unsigned n = 0; n < sizeof ways / sizeof ways[0]; n++)
        check_switch(n, true);
    print("16-bit tss\n");
    for (unsigned n = 0; n < sizeof ways / sizeof ways[0]; n++)
        check_switch(n, false);
    check_nesting();
    check_trap_bit();
    check_refused();
    check_broken();
    check_vm86();
}
