/*
 * For a debugger (tests/boot/gdb.py): functions to stop in, memory to watch, a
 * second CPU; and what a debugger must leave to the guest.
 */
#include "guest.h"

volatile uint64_t counter, other;
volatile uint8_t bytes[16];

__attribute__((noinline)) uint64_t leaf(uint64_t n)
{
    counter += n;
    return counter;
}

__attribute__((noinline)) uint64_t middle(uint64_t n)
{
    return leaf(n) + 1;
}

void second(unsigned n)
{
    (void)n;
    for (;;)
        other++;
}

static void int3(void *arg)
{
    (void)arg;
    __asm__ volatile("int3");
}

/* Traps after the NOP. */
static void single_step(void *arg)
{
    (void)arg;
    __asm__ volatile("pushf; orl $0x100, (%rsp); popf; nop; nop");
}

static void breakpoint(void *arg)
{
    (void)arg;
    __asm__ volatile("lea 1f(%%rip), %%rax; mov %%rax, %%dr0\n"
                     "mov $0x401, %%eax; mov %%rax, %%dr7\n"
                     "1: nop"
                     :
                     :
                     : "rax");
}

static uint64_t dr7(void)
{
    uint64_t v;

    __asm__ volatile("mov %%dr7, %0" : "=r"(v));
    return v;
}

static void fill(void)
{
    void *to = (void *)bytes;
    uint64_t n = sizeof bytes;

    __asm__ volatile("rep stosb" : "+D"(to), "+c"(n) : "a"(7) : "memory");
}

void test_main(void)
{
    check("others", start_cpus(1, second), 1);
    check("dr7", dr7(), 0x400);
    for (uint64_t n = 1; n <= 300; n++)
        middle(n);
    check("counter", counter, 45150);
    fill();
    check("bytes", bytes[15], 7);
    check("int3", (uint64_t)guard(int3, 0), 3);
    check("single step", (uint64_t)guard(single_step, 0), 1);
    check("dr7 after", dr7(), 0x400);
    check("breakpoint", (uint64_t)guard(breakpoint, 0), 1);
    finish();
}
