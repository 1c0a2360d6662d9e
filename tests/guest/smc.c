/* Code that changes itself: each time the new bytes must run. */
#include "guest.h"

static uint8_t code[3][4096] __attribute__((aligned(4096)));
extern volatile uint64_t pd[];

/* mov $n, %eax; ret */
static void put(uint8_t *at, uint32_t n)
{
    at[0] = 0xb8;
    memcpy(at + 1, &n, 4);
    at[5] = 0xc3;
}

static uint32_t call(const void *at)
{
    return ((uint32_t(*)(void))(uintptr_t)at)();
}

static void rewrites(void)
{
    uint32_t sum = 0;

    for (uint32_t n = 0; n < 2000; n++) {
        put(code[0], n);
        sum += call(code[0]);
    }
    check("immediate rewritten 2000 times", sum, 1999000);
    sum = 0;
    for (uint32_t n = 0; n < 200; n++) {
        code[0][1] = (uint8_t)n; /* one byte of it, in a hot loop */
        for (int k = 0; k < 50; k++)
            sum += call(code[0]) & 0xff;
    }
    check("one byte, between many calls", sum, 995000);
    put(code[0], 1);
    call(code[0]);
    __asm__ volatile("lock cmpxchg %1, %0"
                     : "+m"(code[0][1])
                     : "q"((uint8_t)9), "a"((uint8_t)1)
                     : "memory");
    check("by cmpxchg", call(code[0]), 9);
    uint8_t seven[6] = {0xb8, 7, 0, 0, 0, 0xc3};
    const void *from = seven;
    void *to = code[0];
    unsigned long count = 6;
    __asm__ volatile("rep movsb" : "+S"(from), "+D"(to), "+c"(count)::"memory");
    check("by rep movsb", call(code[0]), 7);
    to = code[0] + 1;
    count = 2;
    __asm__ volatile("rep stosb"
                     : "+D"(to), "+c"(count)
                     : "a"((uint8_t)0x11)
                     : "memory");
    check("by rep stosb", call(code[0]), 0x1111);
    __asm__ volatile("mov %%rsp, %%rcx; lea 16+%0, %%rsp; push %1; push %2;"
                     "mov %%rcx, %%rsp"
                     : "+m"(code[0])
                     : "r"(0ul), "r"(0xc3000000abb8ul)
                     : "rcx", "memory");
    check("by push", call(code[0]), 0xab);
}

/* The store changes the instruction right after it, in the same block. */
static void next_instruction(void)
{
    uint32_t a, sum = 0;

    for (uint32_t n = 1; n <= 100; n++) {
        __asm__ volatile("lea 1f(%%rip), %%rcx; mov %1, 1(%%rcx);"
                         "1: mov $0x12345678, %0"
                         : "=a"(a)
                         : "d"(n)
                         : "rcx", "memory");
        sum += a;
    }
    check("the next instruction", sum, 5050);
    /* A loop that rewrites its own increment. */
    __asm__ volatile("xor %%eax, %%eax; mov $50, %%edx; 1: add $1, %%eax;"
                     "incb 1b+2(%%rip); dec %%edx; jnz 1b"
                     : "=a"(a)
                     :
                     : "rdx", "memory");
    check("a loop changes its own step", a, 1275);
    /* Jumps patched: to the one target, then the other. */
    sum = 0;
    for (int n = 0; n < 200; n++) {
        __asm__ volatile("lea 1f(%%rip), %%rcx; movb %1, 1(%%rcx);"
                         "1: jmp 2f; 2: mov $1, %0; jmp 4f; 3: mov $2, %0; 4:"
                         : "=a"(a)
                         : "d"((uint8_t)(n & 1 ? 7 : 0))
                         : "rcx", "memory");
        sum += a;
    }
    check("a jump patched", sum, 300);
}

static void other_places(void)
{
    uint8_t *edge = code[1] - 3;
    volatile uint8_t *alias;
    uint32_t sum = 0;

    for (uint32_t n = 1; n <= 100; n++) {
        put(edge, n << 16 | n);
        sum += call(edge) >> 16;
    }
    check("across two pages", sum, 5050);
    put(code[2], 5);
    call(code[2]);
    pd[512] = ((uintptr_t)code[2] & ~0x1ffffful) | 0x87;
    invlpg(1ul << 30);
    alias = (uint8_t *)(1ul << 30) + ((uintptr_t)code[2] & 0x1fffff);
    alias[1] = 6;
    check("written through another mapping", call(code[2]), 6);
    check("run through another mapping", call((void *)alias), 6);
    code[2][1] = 8;
    check("run through another mapping, changed", call((void *)alias), 8);
    /* Data beside code: written often, the code stays right. */
    sum = 0;
    for (uint32_t n = 0; n < 3000; n++) {
        *(volatile uint32_t *)(code[2] + 8) = n;
        sum += call(code[2]);
    }
    check("data beside code", sum, 24000);
    check("data beside code, the data", *(uint32_t *)(code[2] + 8), 2999);
    /* The page's mapping changes, not its bytes. */
    put(code[0], 0x10);
    put(code[1], 0x20);
    static volatile uint64_t table[512] __attribute__((aligned(4096)));
    pd[513] = (uintptr_t)table | 7;
    sum = 0;
    for (int n = 0; n < 100; n++) {
        table[0] = (uintptr_t)code[n & 1] | 7;
        invlpg((1ul << 30) + (2 << 20));
        sum += call((void *)((1ul << 30) + (2 << 20)));
    }
    check("mapping switched 100 times", sum, 2400);
}

void test_main(void)
{
    rewrites();
    next_instruction();
    other_places();
}
