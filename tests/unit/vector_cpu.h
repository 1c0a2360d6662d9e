/*
 * A CPU for tests of bodies without an engine: 64-bit mode, flat, with a few
 * pages whose guest addresses are their host addresses, mapped by filling the
 * TLB.
 */
#ifndef TESTS_UNIT_VECTOR_CPU_H
#define TESTS_UNIT_VECTOR_CPU_H

#include "native.h"
#include "x86/hostvec.h"

/* Every feature of the host's vector units; hostvec is open. */
struct cpu *test_cpu_new(void);
/* Maps one page at the host's address for reading and writing. */
void test_cpu_map(struct cpu *c, void *page);
/* Runs i's body. The exception's vector, or -1. */
int test_cpu_run(struct cpu *c, const struct insn *i);

/* The same registers for both, and do they agree afterwards? */
void test_cpu_to_native(const struct cpu *c, struct native_state *n);
/* NULL, or what differs. flags: those of RFLAGS that count. */
const char *test_cpu_differs(struct cpu *c, const struct native_state *n,
                             uint64_t flags);

#endif
