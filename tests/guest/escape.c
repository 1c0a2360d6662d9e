/*
 * Accesses and code at the edges of what there is: each is made by code that
 * has run often, on good addresses, before.
 */
#include "guest.h"

extern volatile uint64_t pdpt[];

enum { P = 1, W = 2, PS = 128 };
enum { RAM = 64 << 20, HOT = 40 };
#define ABSENT    0ul
#define WINDOW    0x40000000ul /* 2 MB at 1 GB, by table */
#define NOT_CANON 0x800000000000ul

static volatile uint64_t table[512] __attribute__((aligned(4096)));
static volatile uint64_t directory[512] __attribute__((aligned(4096)));
static uint8_t page[4][4096] __attribute__((aligned(4096)));
static uint8_t big[0x20000] __attribute__((aligned(4096)));

static void map(unsigned n, uint64_t to)
{
    table[n] = to ? to | P | W : 0;
    invlpg(WINDOW + n * 4096ul);
}

static void *window(unsigned n, unsigned off)
{
    return (void *)(WINDOW + n * 4096ul + off);
}

static uint32_t call(const void *at)
{
    return ((uint32_t(*)(void))(uintptr_t)at)();
}

/* --- one instruction, good addresses and then a bad one --- */

static struct {
    uint64_t done, sum, a[HOT + 1];
} run;

#define RUNNER(name, insn)                                                     \
    static void name(void *unused)                                             \
    {                                                                          \
        (void)unused;                                                          \
        for (run.done = 0; run.done <= HOT; run.done++) {                      \
            uint64_t v = 1, a = run.a[run.done];                               \
            __asm__ volatile(insn : "+r"(v) : "r"(a) : "memory", "cc");        \
            run.sum += v;                                                      \
        }                                                                      \
    }
RUNNER(load, "mov (%1), %0")
RUNNER(load_byte, "movzbl (%1), %k0")
RUNNER(store, "mov %0, (%1)")
RUNNER(change, "add %0, (%1)")
RUNNER(change_locked, "lock xadd %0, (%1)")
RUNNER(load_near, "mov -8(%1), %0; add 8(%1), %0; add 16(%1), %0")
RUNNER(load_index, "lea (%1), %0; neg %0; mov (%1, %0, 2), %0")
RUNNER(pushes, "xchg %1, %%rsp; push %0; push %0; pop %0; pop %0;"
               "xchg %1, %%rsp")
RUNNER(calls, "call *%1")

static uint64_t last_is(void (*fn)(void *), uint64_t good, uint64_t bad)
{
    uint64_t trap;

    for (unsigned n = 0; n < HOT; n++)
        run.a[n] = good;
    run.a[HOT] = bad;
    run.sum = 0;
    trap = trap_code(guard(fn, NULL));
    return run.done << 32 | trap;
}

static void bad_addresses(void)
{
    uint64_t good = WINDOW + 64, hot = (uint64_t)HOT << 32;

    map(0, (uintptr_t)page[0]);
    map(1, ABSENT);
    page[0][0] = 0xc3;
    check("load, absent", last_is(load, good, WINDOW + 4096), hot | 0xe0000);
    check("cr2", last.cr2, WINDOW + 4096);
    check("load, across", last_is(load, good, WINDOW + 4092), hot | 0xe0000);
    check("cr2 of the second page", last.cr2, WINDOW + 4096);
    check("store, across", last_is(store, good, WINDOW + 4090), hot | 0xe0002);
    check("add, absent", last_is(change, good, WINDOW + 4096), hot | 0xe0002);
    check("lock xadd, across", last_is(change_locked, good, WINDOW + 4089),
          hot | 0xe0002);
    check("load, not canonical", last_is(load, good, NOT_CANON), hot | 0xd0000);
    check("load, across into not canonical",
          last_is(load, good, NOT_CANON - 4) >> 16 & 0xf, 0xd);
    check("load, at the top", last_is(load_byte, good, ~0ul), hot | 0xe0000);
    check("load, over the top", last_is(load, good, ~0ul - 3) >> 32, HOT);
    check("store, not canonical", last_is(store, good, NOT_CANON << 9),
          hot | 0xd0000);
    check("three loads, the first", last_is(load_near, good, WINDOW + 4104),
          hot | 0xe0000);
    check("its cr2", last.cr2, WINDOW + 4096);
    check("three loads, the last", last_is(load_near, good, WINDOW + 4096 - 16),
          hot | 0xe0000);
    check("its cr2 too", last.cr2, WINDOW + 4096);
    check("index that turns it round",
          last_is(load_index, -good, -WINDOW - 4096), hot | 0xe0000);
    check("push, absent", last_is(pushes, good, WINDOW + 8192), hot | 0xe0002);
    check("push, not canonical", last_is(pushes, good, NOT_CANON + 8),
          hot | 0xc0000);
    check("call, absent", last_is(calls, WINDOW, WINDOW + 4096), hot | 0xe0010);
    check("call, not canonical", last_is(calls, WINDOW, NOT_CANON),
          hot | 0xd0000);
}

/* --- what is not RAM --- */

static void not_ram(void)
{
    uint64_t good = WINDOW + 64, edge = WINDOW + 4096, v = 0;

    map(0, RAM - 4096);
    map(1, RAM);
    map(2, 1ull << 37);
    map(3, (1ull << 39) - 4096);
    *(volatile uint64_t *)(edge - 8) = 0x1111111122222222;
    check("load behind RAM", last_is(load, good, edge),
          (uint64_t)(HOT + 1) << 32 | 0xffff);
    check("load far behind", last_is(load, good, edge + 4096 + 8),
          (uint64_t)(HOT + 1) << 32 | 0xffff);
    check("load further", last_is(load, good, edge + 8192 + 16),
          (uint64_t)(HOT + 1) << 32 | 0xffff);
    check("store behind RAM", last_is(store, good, edge),
          (uint64_t)(HOT + 1) << 32 | 0xffff);
    check("store far behind", last_is(store, good, edge + 4096 + 8),
          (uint64_t)(HOT + 1) << 32 | 0xffff);
    check("xadd behind RAM", last_is(change_locked, good, edge + 8),
          (uint64_t)(HOT + 1) << 32 | 0xffff);
    check("push behind RAM", last_is(pushes, good, edge + 512),
          (uint64_t)(HOT + 1) << 32 | 0xffff);
    for (unsigned n = 0; n < HOT; n++) {
        *(volatile uint64_t *)(edge - 4) = n + 1;
        v += *(volatile uint64_t *)(edge - 4) & 0xffffffff;
    }
    check("half in RAM", v, HOT * (HOT + 1) / 2);
    check("before it", *(volatile uint32_t *)(edge - 8), 0x22222222);
    directory[1] = RAM | P | W;
    invlpg(WINDOW + 0x200000);
    check("a page table behind RAM",
          last_is(load, good, WINDOW + 0x200000) >> 16,
          (uint64_t)HOT << 16 | 0xe);
    directory[1] = 0;
    page[0][0] = 0xc3;
    map(0, (uintptr_t)page[0]);
    check("code behind RAM", last_is(calls, WINDOW, edge + 4096),
          (uint64_t)HOT << 32 | 0x60000);
}

/* --- segment bases, short addresses --- */

static void segments(void)
{
    uint64_t sum = 0, v;

    map(0, (uintptr_t)page[0]);
    *(volatile uint64_t *)window(0, 0x80) = 5;
    for (unsigned n = 0; n < HOT; n++) {
        uint64_t base = n & 1 ? -16ul : WINDOW - 0x1000;

        wrmsr(0xc0000100, base);
        __asm__ volatile("mov %%fs:(%1), %0"
                         : "=r"(v)
                         : "r"(WINDOW + 0x80 - base));
        sum += v;
        __asm__ volatile("mov (%k1, %k2, 4), %0"
                         : "=r"(v)
                         : "r"(0xfffffffff0000000ul),
                           "r"((WINDOW + 0x80 + 0x10000000ul) / 4));
        sum += v;
    }
    check("bases and addresses that wrap", sum, 2 * HOT * 5);
    wrmsr(0xc0000100, 0);
}

/* --- code --- */

/* mov eax, imm32, in which is: mov al, n; ret */
static void middle_of_instructions(void)
{
    static const uint8_t code[] = {0xb8, 0xb0, 5, 0xc3, 0, 0xc3};
    uint32_t sum = 0;

    memcpy(page[1], code, sizeof code);
    map(1, (uintptr_t)page[1]);
    for (unsigned n = 0; n < 2 * HOT; n++)
        sum +=
            n & 1 ? call(window(1, 1)) & 0xff : call(window(1, 0)) & 0xffffff;
    check("into an instruction", sum, HOT * (0xc305b0 + 5));
}

static void exec(void *a)
{
    run.done = call(a);
}

/* mov eax, imm32; ret over the edge of pages 1 and 2 of the window */
static void over_the_edge(void)
{
    uint32_t sum = 0;

    page[1][4094] = 0xb8;
    page[1][4095] = 1;
    memset(page[2], 0, 8);
    memset(page[3], 0, 8);
    page[2][3] = page[3][3] = 0xc3;
    page[3][1] = 2;
    map(1, (uintptr_t)page[1]);
    map(2, (uintptr_t)page[2]);
    for (unsigned n = 0; n < HOT; n++)
        sum += call(window(1, 4094));
    check("over the edge", sum, HOT);
    map(2, ABSENT);
    check("its second page absent", trap_code(guard(exec, window(1, 4094))),
          0xe0010);
    check("its cr2", last.cr2, WINDOW + 8192);
    check("its rip", last.ip, WINDOW + 4096 + 4094);
    map(2, (uintptr_t)page[3]);
    for (unsigned n = 0; n < HOT; n++)
        sum += call(window(1, 4094));
    check("its second page another", sum, HOT + HOT * 0x20001);
    for (unsigned n = 0; n < HOT; n++) {
        page[3][1] = (uint8_t)n;
        sum += call(window(1, 4094)) >> 16;
    }
    check("its second page changed", sum,
          HOT + HOT * 0x20001 + HOT * (HOT - 1) / 2);
    for (unsigned n = 0; n < HOT; n++) {
        map(2, (uintptr_t)page[2 + (n & 1)]);
        page[2][1] = 7;
        page[3][1] = 9;
        sum += call(window(1, 4094)) >> 16;
    }
    check("its second page exchanged", sum,
          HOT + HOT * 0x20001 + HOT * (HOT - 1) / 2 + HOT * 8);
}

static void vga_register(uint16_t port, uint8_t index, uint8_t v)
{
    outb(port, index);
    outb(port + 1, v);
}

/* Adds to *sum what the code at a0000 returns, changed each time. */
static void call_changing(void *sum)
{
    volatile uint8_t *vga = (uint8_t *)0xa0000ul;

    for (unsigned n = 0; n < HOT; n++) {
        vga[2] = (uint8_t)n;
        *(uint32_t *)sum += call((void *)(uintptr_t)vga) >> 8;
    }
}

/*
 * mov eax, imm32; ret in the memory of a VGA, all planes at once: what looks
 * like RAM is a device's doing.
 */
static void in_a_device(void)
{
    volatile uint8_t *vga = (uint8_t *)0xa0000ul;
    static const uint8_t code[] = {0xb8, 0, 0, 0, 0, 0xc3};
    uint32_t sum = 0;

    outb(0x3c2, 0x03);              /* memory on */
    vga_register(0x3c4, 2, 0x0f);   /* write to all planes, */
    vga_register(0x3c4, 4, 0x06);   /* one after another */
    for (uint8_t n = 0; n < 6; n++) /* as they come: no set/reset, no rotation,
                                       read plane 0, write mode 0 */
        vga_register(0x3ce, n, 0);
    vga_register(0x3ce, 6, 0x05); /* at 0xa0000, graphics */
    vga_register(0x3ce, 8, 0xff);
    for (unsigned n = 0; n < sizeof code; n++)
        vga[n] = code[n];
    guard(call_changing, &sum);
    check("code in a device", sum, HOT * (HOT - 1) / 2);
}

static void loads(void *unused)
{
    uint64_t (*fn)(uint64_t, uint64_t) =
        (uint64_t(*)(uint64_t, uint64_t))(uintptr_t)window(1, 0);

    (void)unused;
    for (run.done = 0; run.done <= HOT; run.done++)
        run.sum += fn(run.a[0], run.done < HOT ? 8 * (run.done & 3) : 0x78);
}

/*
 * Two loads near each other; a store between them says how far the second one
 * reaches: at last into a page that is not there.
 */
static void changed_displacement(void)
{
    static const uint8_t code[] = {
        0x48, 0x8b, 0x07,               /* mov rax, [rdi] */
        0x40, 0x88, 0x35, 3,   0, 0, 0, /* mov [rip + 3], sil: */
        0x48, 0x8b, 0x4f, 0,            /* mov rcx, [rdi + this] */
        0x48, 0x01, 0xc8, 0xc3          /* add rax, rcx; ret */
    };
    uint64_t base = WINDOW + 3 * 4096 - 64;

    memcpy(page[1], code, sizeof code);
    map(1, (uintptr_t)page[1]);
    map(2, (uintptr_t)page[2]);
    map(3, ABSENT);
    for (uint64_t n = 0; n < 4; n++)
        memcpy(page[2] + 4096 - 64 + 8 * n, &(uint64_t){n + 1}, 8);
    run.a[0] = base;
    run.sum = 0;
    check("a displacement changed", trap_code(guard(loads, NULL)), 0xe0000);
    check("its cr2", last.cr2, base + 0x78);
    check("the loads before", run.done << 32 | run.sum,
          (uint64_t)HOT << 32 | (HOT + HOT / 4 * 10));
}

/* Code that goes straight on for 128 KB: adds, stores to memory, a return. */
static void long_way(void)
{
    static volatile uint32_t counter;
    uint32_t at = 0, adds = 0, sum = 0;

    big[at++] = 0x31; /* xor eax, eax */
    big[at++] = 0xc0;
    while (at < sizeof big - 32) {
        memcpy(big + at, "\x83\xc0\x01", 3); /* add eax, 1 */
        at += 3;
        adds++;
        if (adds % 5)
            continue;
        memcpy(big + at, "\xff\x04\x25", 3); /* inc dword [counter] */
        uint32_t a = (uint32_t)(uintptr_t)&counter;
        memcpy(big + at + 3, &a, 4);
        at += 7;
    }
    big[at] = 0xc3;
    for (unsigned n = 0; n < 20; n++)
        sum += call(big);
    check("128 KB without a branch", sum, 20 * adds);
    check("its stores", counter, 20 * (adds / 5));
}

/* Many small functions, each called until it is hot, then changed. */
static void many(void)
{
    enum { FUNCTIONS = sizeof big / 16 };
    uint64_t sum = 0;

    for (uint32_t n = 0; n < FUNCTIONS; n++) {
        uint8_t *f = big + 16 * n;

        f[0] = 0xb8; /* mov eax, n; ret */
        memcpy(f + 1, &n, 4);
        f[5] = 0xc3;
    }
    for (unsigned k = 0; k < 12; k++)
        for (unsigned n = 0; n < FUNCTIONS; n++)
            sum += call(big + 16 * n);
    for (unsigned n = 0; n < FUNCTIONS; n += 7) {
        big[16 * n + 4] = 1;
        sum += call(big + 16 * n) >> 24;
    }
    check("8192 functions", sum,
          12ul * FUNCTIONS * (FUNCTIONS - 1) / 2 + (FUNCTIONS + 6) / 7);
}

/* Traps with a stack of their own: the tests lose theirs. */
static void trap_stack(void)
{
    static uint8_t stack[16384] __attribute__((aligned(16)));
    uintptr_t top = (uintptr_t)stack + sizeof stack;

    memcpy(tss + 0x24, &top, sizeof top);
    for (int vector = 12; vector <= 14; vector++)
        set_gate(vector, stub_address(vector), 0x8e, 1);
}

void test_main(void)
{
    trap_stack();
    pdpt[1] = (uintptr_t)directory | P | W;
    directory[0] = (uintptr_t)table | P | W;
    wrmsr(0xc0000080, rdmsr(0xc0000080) | 0x800);
    bad_addresses();
    not_ram();
    segments();
    middle_of_instructions();
    over_the_edge();
    in_a_device();
    changed_displacement();
    long_way();
    many();
}
