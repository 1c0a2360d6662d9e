/* Signals: to itself, and from faults that the handler repairs. */
#include <signal.h>
#include <sys/mman.h>

#include "work.h"

static volatile uint64_t calls;
static uint8_t *page;

static void count(int sig)
{
    calls += (uint64_t)sig;
}

static void repair(int sig)
{
    calls += (uint64_t)sig;
    if (mprotect(page, 4096, PROT_READ | PROT_WRITE))
        _Exit(1);
}

int main(void)
{
    struct sigaction a = {.sa_handler = count}, f = {.sa_handler = repair};

    if (sigaction(SIGUSR1, &a, 0) || sigaction(SIGSEGV, &f, 0))
        die("sigaction");
    for (int n = 0; n < 70000; n++)
        raise(SIGUSR1);
    page = mmap(0, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED)
        die("mmap");
    for (int n = 0; n < 10000; n++) {
        if (mprotect(page, 4096, PROT_READ))
            die("mprotect");
        *(volatile uint8_t *)page = (uint8_t)n;
    }
    return result(calls + *page);
}
