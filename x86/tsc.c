#include "x86/tsc.h"
#include "lodge/host.h"
#include "x86/cpu.h"
#include "x86/hostcpu.h"
#include "x86/outside.h"

enum { RATIO_BITS = 48 };

typedef unsigned __int128 wide_t;

static uint64_t muldiv(uint64_t a, uint64_t b, uint64_t c)
{
    return (uint64_t)((wide_t)a * b / c);
}

/* --- the host's TSC --- */
/* Leaf 0x15: crystal clock times ratio. 0: not said. */
static uint64_t hz_by_crystal(void)
{
    struct cpuid_result r;

    if (hostcpu_id(0, 0).eax < 0x15)
        return 0;
    r = hostcpu_id(0x15, 0);
    return r.eax ? muldiv(r.ecx, r.ebx, r.eax) : 0;
}

/* One reading of both clocks, taken as close together as is to be had. */
struct moment {
    uint64_t tsc, ns;
};

static struct moment take_moment(void)
{
    struct moment best = {0, 0};
    uint64_t gap = UINT64_MAX;

    for (unsigned k = 0; k < 8; k++) {
        uint64_t before = hostcpu_tsc(), ns = host_now();
        uint64_t after = hostcpu_tsc();

        if (after - before < gap) {
            gap = after - before;
            best.tsc = before + gap / 2;
            best.ns = ns;
        }
    }
    return best;
}

static uint64_t hz_by_clock(void)
{
    struct moment from = take_moment(), to;

    do
        to = take_moment();
    while (to.ns - from.ns < 10000000);
    return muldiv(to.tsc - from.tsc, NS_PER_SEC, to.ns - from.ns);
}

/* Does it tick at one rate whatever the CPU does? */
static bool invariant(void)
{
    return hostcpu_id(0x80000000, 0).eax >= 0x80000007 &&
           (hostcpu_id(0x80000007, 0).edx & 1u << 8);
}

/* What CPUID says is exact, but under a hypervisor it may be of another CPU. */
uint64_t tsc_host_hz(void)
{
    uint64_t measured, said, apart;

    if (!HOSTCPU_X86 || !invariant())
        return 0;
    measured = hz_by_clock();
    said = hz_by_crystal();
    apart = said > measured ? said - measured : measured - said;
    return apart < measured / 2000 ? said : measured;
}

/* --- the guest's --- */
void tsc_setup(struct cpu_model *m, uint64_t guest_hz, uint64_t host_hz)
{
    uint64_t source = host_hz ? host_hz : NS_PER_SEC;

    m->tsc_of_host = host_hz != 0;
    m->tsc_hz = guest_hz ? guest_hz : source;
    m->tsc_ratio = (uint64_t)(((wide_t)m->tsc_hz << RATIO_BITS) / source);
}

uint64_t tsc_host_ticks(const struct cpu_model *m)
{
    return m->tsc_of_host ? hostcpu_tsc() : host_now();
}

uint64_t tsc_scale(const struct cpu_model *m, uint64_t host_ticks)
{
    if (likely(m->tsc_ratio == 1ull << RATIO_BITS))
        return host_ticks;
    return (uint64_t)((wide_t)host_ticks * m->tsc_ratio >> RATIO_BITS);
}

uint64_t tsc_now(const struct cpu_model *m, uint64_t offset)
{
    return tsc_scale(m, tsc_host_ticks(m)) + offset;
}

uint64_t x86_tsc(struct cpu *c)
{
    if (unlikely(c->outside != NULL))
        return x86_outside_read(c, OUTSIDE_TSC, 0, 8);
    return tsc_now(c->model, c->s.tsc_offset);
}

uint64_t tsc_reaches(const struct cpu_model *m, uint64_t offset, uint64_t tsc)
{
    uint64_t at = tsc_now(m, offset), now, away;
    wide_t ns;

    now = host_now(); /* after the TSC: rather late than early */
    if (tsc <= at) {
        away = muldiv(at - tsc, NS_PER_SEC, m->tsc_hz);
        return away < now ? now - away : 0;
    }
    /* Rounded up: not a tick too early. */
    ns = ((wide_t)(tsc - at) * NS_PER_SEC + m->tsc_hz - 1) / m->tsc_hz;
    return ns < UINT64_MAX - now ? now + (uint64_t)ns : UINT64_MAX;
}

/* --- ticks to nanoseconds --- */
static wide_t multiplier(uint64_t hz, int shift)
{
    return ((wide_t)NS_PER_SEC << (64 - shift)) / hz >> 32;
}

/* The shift that leaves mul all of its 32 bits. */
struct tsc_to_ns tsc_to_ns_of(uint64_t hz)
{
    int shift = 0;

    while (multiplier(hz, shift) >> 32)
        shift++;
    while (shift > -30 && !(multiplier(hz, shift) >> 31))
        shift--;
    return (struct tsc_to_ns){(uint32_t)multiplier(hz, shift), (int8_t)shift};
}

uint64_t tsc_to_ns(struct tsc_to_ns k, uint64_t ticks)
{
    if (k.shift < 0)
        ticks >>= -k.shift;
    else
        ticks <<= k.shift;
    return (uint64_t)((wide_t)ticks * k.mul >> 32);
}
