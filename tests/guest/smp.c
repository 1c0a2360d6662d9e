/* Four CPUs: LOCK, TLB shoot-down, code that others change, wake-ups. */
#include "guest.h"

extern volatile uint64_t pd[];

enum {
    CPUS = 4,
    ROUNDS = 2000,
    HALVES = 10000,
    SHOTS = 20,
    SHOOT = 0x41,
    WAKE = 0x42
};

static volatile unsigned stage, done;
static volatile uint64_t counter, exchanged, taken[CPUS];
static volatile uint32_t bits[ROUNDS / 32 + 1], bit_wins;
static volatile unsigned ipis[CPUS];
static struct {
    volatile uint64_t a, b;
} __attribute__((aligned(16))) pair;
static uint8_t straddling[256] __attribute__((aligned(64)));
static uint8_t split[8192] __attribute__((aligned(4096)));
static uint32_t lock, guarded;
static volatile uint8_t *window = (uint8_t *)(1ul << 30);
static uint8_t frames[2][2 << 20] __attribute__((aligned(2 << 20)));
static volatile unsigned stale;
static volatile uint8_t code[4096] __attribute__((aligned(4096)));
static volatile unsigned wrong_code;

static unsigned me(void)
{
    return lapic_read(0x20) >> 24;
}

static void on_ipi(struct frame *f)
{
    (void)f;
    if (f->vector == SHOOT)
        invlpg((uintptr_t)window);
    __atomic_fetch_add(&ipis[me()], 1, __ATOMIC_SEQ_CST);
    lapic_eoi();
}

/* All CPUs wait here for each other. */
static void meet(void)
{
    unsigned now = stage;

    if (__atomic_add_fetch(&done, 1, __ATOMIC_SEQ_CST) == CPUS) {
        done = 0;
        stage = now + 1;
        return;
    }
    while (stage == now)
        pause();
}

static void atomics(unsigned n)
{
    uint64_t *odd = (uint64_t *)(straddling + 60); /* over a line's end */

    for (unsigned k = 0; k < ROUNDS; k++) {
        __asm__ volatile("lock incq %0" : "+m"(counter)::"memory");
        __asm__ volatile("lock addq $1, %0" : "+m"(*odd)::"memory");
        bool old;
        __asm__ volatile("lock btsl %2, %1; setc %0"
                         : "=q"(old), "+m"(bits)
                         : "r"(k)
                         : "memory");
        if (!old)
            __atomic_fetch_add(&bit_wins, 1, __ATOMIC_SEQ_CST);
        uint64_t mine = 1;
        __asm__ volatile("xchg %0, %1" : "+r"(mine), "+m"(exchanged)::"memory");
        taken[n] += mine;
        uint64_t a = pair.a, d = pair.b;
        bool ok;
        do
            __asm__ volatile("lock cmpxchg16b %1; sete %0"
                             : "=q"(ok), "+m"(pair), "+a"(a), "+d"(d)
                             : "b"(a + 1), "c"(d + 3)
                             : "memory");
        while (!ok);
        while (__atomic_exchange_n(&lock, 1, __ATOMIC_ACQUIRE))
            pause();
        guarded++; /* not atomic by itself */
        __atomic_store_n(&lock, 0, __ATOMIC_RELEASE);
    }
}

/*
 * Eight bytes over the end of a line and of a page, changed as one by some and
 * half by half by others: nothing gets lost.
 */
static void halves(unsigned n)
{
    uint64_t *at[] = {(uint64_t *)(split + 60), (uint64_t *)(split + 4092)};

    for (unsigned k = 0; k < HALVES; k++)
        for (unsigned j = 0; j < 2; j++) {
            uint32_t *half = (uint32_t *)at[j];

            if (n & 1) {
                __asm__ volatile("lock incl %0" : "+m"(half[0])::"memory");
                __asm__ volatile("lock incl %0" : "+m"(half[1])::"memory");
            } else {
                __asm__ volatile("lock addq %1, %0"
                                 : "+m"(*at[j])
                                 : "r"(0x100000001ull)
                                 : "memory");
            }
        }
}

/* CPU 0 switches a mapping and shoots; the others must see the new page. */
static void shoot_down(unsigned n)
{
    for (unsigned k = 1; k <= SHOTS; k++) {
        uint8_t want = k & 1;

        meet();
        if (n == 0) {
            pd[512] = (uintptr_t)frames[want] | 0x87;
            invlpg((uintptr_t)window);
            for (unsigned c = 1; c < CPUS; c++)
                ipis[c] = 0;
            lapic_write(0x300, 0xc0000 | 0x4000 | SHOOT);
            for (unsigned c = 1; c < CPUS; c++)
                while (!ipis[c])
                    pause();
        }
        meet();
        if (*window != want)
            __atomic_fetch_add(&stale, 1, __ATOMIC_SEQ_CST);
        meet();
    }
}

/* CPU 0 writes code, the others run it after a serialising instruction. */
static void cross_modify(unsigned n)
{
    for (uint32_t k = 0; k < SHOTS; k++) {
        meet();
        if (n == 0) {
            code[0] = 0xb8;
            *(volatile uint32_t *)(code + 1) = k;
            code[5] = 0xc3;
        }
        meet();
        cpuid(0, 0);
        if (((uint32_t(*)(void))(uintptr_t)code)() != k)
            __atomic_fetch_add(&wrong_code, 1, __ATOMIC_SEQ_CST);
    }
}

/* CPU 0 wakes each other from HLT. */
static void wake(unsigned n)
{
    meet();
    ipis[me()] = 0;
    meet();
    if (n) {
        while (!ipis[me()])
            __asm__ volatile("sti; hlt; cli");
    } else {
        delay_us(2000);
        for (unsigned c = 1; c < CPUS; c++)
            send_ipi(c, 0x4000 | WAKE);
    }
    meet();
    if (n)
        sti();
}

static void cpu_main(unsigned n)
{
    meet();
    atomics(n);
    meet();
    halves(n);
    meet();
    if (n)
        sti();
    shoot_down(n);
    cross_modify(n);
    cli();
    wake(n);
    meet();
}

void test_main(void)
{
    handlers[SHOOT] = handlers[WAKE] = on_ipi;
    frames[0][0] = 0;
    frames[1][0] = 1;
    check("others started", start_cpus(CPUS - 1, cpu_main), CPUS - 1);
    cpu_main(0);
    check("lock inc", counter, CPUS * ROUNDS);
    check("lock add over a cache line's end", *(uint64_t *)(straddling + 60),
          CPUS * ROUNDS);
    check("lock bts, each bit won once", bit_wins, ROUNDS);
    check("xchg, all but the first found 1",
          taken[0] + taken[1] + taken[2] + taken[3], CPUS * ROUNDS - 1);
    check("lock cmpxchg16b, low", pair.a, CPUS * ROUNDS);
    check("lock cmpxchg16b, high", pair.b, 3 * CPUS * ROUNDS);
    check("lock add, lock inc of halves over a line's end",
          *(uint64_t *)(split + 60), CPUS * HALVES * 0x100000001ull);
    check("lock add, lock inc of halves over a page's end",
          *(uint64_t *)(split + 4092), CPUS * HALVES * 0x100000001ull);
    check("under a spin lock", guarded, CPUS * ROUNDS);
    check("stale reads after shoot-downs", stale, 0);
    check("old code run", wrong_code, 0);
    check("woken from hlt", !!ipis[1] + !!ipis[2] + !!ipis[3], 3);
}
