/*
 * KVM's paravirtual clock: the guest works out the time from its TSC and a
 * scale that we leave in its memory, under a version that is odd while we
 * write. The time is the TSC as it would be without the guest's own changes
 * (TSC_ADJUST follows all of them). Every CPU is given the same origin, time 0
 * at that TSC's 0, so that all work out the same to the last bit and the
 * clock never goes back from one to the other.
 */
#include "base/endian.h"
#include "x86/msr.h"
#include "x86/outside.h"
#include "x86/tsc.h"

/* struct pvclock_vcpu_time_info and struct pvclock_wall_clock */
enum {
    SYSTEM_VERSION = 0,
    SYSTEM_TSC = 8,
    SYSTEM_NS = 16,
    SYSTEM_MUL = 24,
    SYSTEM_SHIFT = 28,
    SYSTEM_FLAGS = 29,
    SYSTEM_SIZE = 32,
    TSC_STABLE = 1 << 0,
    WALL_VERSION = 0,
    WALL_SEC = 4,
    WALL_NS = 8,
    WALL_SIZE = 12,
    CLOCK_ENABLE = 1 << 0,
};

/*
 * Stores a structure whose first word is its version. The lock of the machine
 * is what writing guest memory from outside asks for.
 */
static bool store_versioned(struct cpu *c, gpa_t a, uint8_t *p, size_t n)
{
    struct vcpu *v = c->vcpu;
    uint8_t old[4];
    uint32_t version;
    bool ok;

    x86_outside_lock(c);
    ok = !space_load(v->mem, a, old, sizeof old);
    version = (load_le32(old) | 1) + (load_le32(old) & 1 ? 2 : 0);
    store_le32(p, version);
    ok = ok && !space_store(v->mem, a, p, 4);
    atomic_thread_fence(memory_order_seq_cst);
    ok = ok && !space_store(v->mem, a, p, n);
    atomic_thread_fence(memory_order_seq_cst);
    store_le32(p, version + 1);
    ok = ok && !space_store(v->mem, a, p, 4);
    x86_outside_unlock(c);
    return ok;
}

static bool fill_system(struct cpu *c, gpa_t a)
{
    struct tsc_to_ns scale = tsc_to_ns_of(c->model->tsc_hz);
    uint8_t p[SYSTEM_SIZE] = {0};

    store_le64(p + SYSTEM_TSC, c->s.tsc_adjust);
    store_le64(p + SYSTEM_NS, 0);
    store_le32(p + SYSTEM_MUL, scale.mul);
    p[SYSTEM_SHIFT] = (uint8_t)scale.shift;
    p[SYSTEM_FLAGS] = TSC_STABLE;
    return store_versioned(c, a, p, sizeof p);
}

bool kvmclock_set_system(struct cpu *c, uint64_t v)
{
    gpa_t a = v & ~(uint64_t)CLOCK_ENABLE;

    if (v & CLOCK_ENABLE && ((a & 3) || !fill_system(c, a)))
        return false;
    c->s.kvmclock_system = v;
    return true;
}

void kvmclock_update(struct cpu *c)
{
    if (c->s.kvmclock_system & CLOCK_ENABLE)
        fill_system(c, c->s.kvmclock_system & ~(uint64_t)CLOCK_ENABLE);
}

/* The wall time at which the system time was 0. */
bool kvmclock_set_wall(struct cpu *c, uint64_t v)
{
    uint8_t p[WALL_SIZE] = {0};
    uint64_t tsc = x86_tsc(c) - c->s.tsc_adjust;
    int64_t at = host_wall_now() -
                 (int64_t)tsc_to_ns(tsc_to_ns_of(c->model->tsc_hz), tsc);
    int64_t sec = at / (int64_t)NS_PER_SEC, ns = at % (int64_t)NS_PER_SEC;

    if (ns < 0) {
        ns += (int64_t)NS_PER_SEC;
        sec--;
    }
    store_le32(p + WALL_SEC, (uint32_t)sec);
    store_le32(p + WALL_NS, (uint32_t)ns);
    if ((v & 3) || !store_versioned(c, v, p, sizeof p))
        return false;
    c->s.kvmclock_wall = v;
    return true;
}
