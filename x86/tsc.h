/*
 * The timestamp counter. Guest ticks are the host's own where it has an
 * invariant TSC, scaled only when the guest's frequency is another; elsewhere
 * they are made from host_now(). Any thread; pure but for reading the clock.
 */
#ifndef X86_TSC_H
#define X86_TSC_H

#include "x86/cpuid.h"

/*
 * Frequency of the host's TSC in Hz, measured over about 10 ms, and as CPUID
 * has it where that agrees; 0: none that could be used.
 */
uint64_t tsc_host_hz(void);
/*
 * Sets the guest's frequency and what it takes to get there from the host's.
 * guest_hz 0: the host's own; host_hz as from tsc_host_hz().
 */
void tsc_setup(struct cpu_model *m, uint64_t guest_hz, uint64_t host_hz);

/* The host's ticks, and guest ticks for them without any offset. */
uint64_t tsc_host_ticks(const struct cpu_model *m);
uint64_t tsc_scale(const struct cpu_model *m, uint64_t host_ticks);
/* A guest TSC now; offset: s.tsc_offset. */
uint64_t tsc_now(const struct cpu_model *m, uint64_t offset);

/*
 * host_now() when the TSC of that offset reaches tsc: in the past when it
 * has; UINT64_MAX when that is centuries away. For struct tsc_clock.
 */
uint64_t tsc_reaches(const struct cpu_model *m, uint64_t offset, uint64_t tsc);

/*
 * Ticks of hz to nanoseconds as paravirtual clocks do it (KVM's pvclock):
 * (shift < 0 ? ticks >> -shift : ticks << shift) * mul >> 32.
 */
struct tsc_to_ns {
    uint32_t mul;
    int8_t shift;
};
struct tsc_to_ns tsc_to_ns_of(uint64_t hz);
uint64_t tsc_to_ns(struct tsc_to_ns k, uint64_t ticks);

#endif
