/*
 * Vector and x87 instructions, run by executing the same instruction on an
 * x86-64 host with the guest's values. For each form (opcode, operands,
 * immediate, opmask, rounding; the memory operand abstracted) a stub is made
 * once that loads the registers which the
 * instruction names from struct x86_state, executes it and stores back what
 * it wrote.
 *
 * The host's vector registers are free between calls (the ABI says so, and
 * the core uses none). MXCSR and the x87 state are back to the ABI's default
 * on return. On other hosts nothing can be run, and hostvec_features() offers
 * nothing.
 *
 * Memory: one code area of HOSTVEC_CODE bytes and a table, allocated on open;
 * when either is full all stubs are dropped. Thread: the vCPU's own.
 */
#ifndef X86_HOSTVEC_H
#define X86_HOSTVEC_H

#include "base/err.h"
#include "lodge/host.h"
#include "x86/cpu.h"
#include "x86/opcode.h"

enum { HOSTVEC_CODE = 256 * 1024, HOSTVEC_STUBS = 4096, HOSTVEC_MEM = 64 };

/* What goes in and out of a stub beside struct x86_state. */
struct hostvec_frame {
    uint64_t gpr[4];        /* operand k, where it is OPND_GPR */
    uint64_t rax, rdx, rcx; /* PCMPxSTRx: lengths in, index out */
    uint64_t rflags;        /* in and out, where the row reads or writes */
};

/*
 * state: struct x86_state; for x87 rows the 16-byte aligned FXSAVE64 image.
 * mem: the memory operand, as many bytes as it has.
 */
typedef void hostvec_stub(void *state, void *mem, struct hostvec_frame *f);

struct hostvec_form {
    uint64_t operands[2];
    uint64_t rest;
};

struct hostvec_entry {
    struct hostvec_form form;
    uint32_t code; /* offset + 1; 0: free */
};

struct hostvec {
    struct host_code code;
    uint32_t used;                        /* bytes of code */
    uint32_t count;                       /* entries in use */
    bool avx, avx512, avx512vl, avx512bw; /* what the host has */
    struct hostvec_frame frame;
    _Alignas(64) uint8_t mem[HOSTVEC_MEM]; /* memory operands, by copy */
    _Alignas(16) uint8_t fx[512];          /* x87 state, by copy */
    struct hostvec_entry table[HOSTVEC_STUBS];
};

/* Makes and ends c->hostvec. On hosts without it open succeeds with NULL. */
int hostvec_open(struct cpu *c, struct err *e);
void hostvec_close(struct cpu *c);

/* The stub of an op_vector, op_mmx or op_x87 row; NULL: this host has none. */
hostvec_stub *hostvec_stub_of(struct cpu *c, const struct insn *i);

/* The x87 and vector features this host can run; others are left alone. */
void hostvec_features(struct x86_features *f);

/*
 * MXCSR of the host: on entry of floating-point stubs, and what they raised.
 * control: RC, FTZ, DAZ and masks.
 */
static inline uint32_t hostvec_mxcsr(void)
{
    uint32_t v = 0;

#ifdef __x86_64__
    __asm__ volatile("stmxcsr %0" : "=m"(v));
#endif
    return v;
}

static inline void hostvec_set_mxcsr(uint32_t v)
{
#ifdef __x86_64__
    __asm__ volatile("ldmxcsr %0" : : "m"(v));
#else
    (void)v;
#endif
}

/* --- x86/hostvec_emit.c --- */
enum { HOSTVEC_STUB_MAX = 256 };
/* Writes the stub of i to p; its length, or 0 when it cannot be made. */
unsigned hostvec_emit(const struct hostvec *v, uint8_t *p,
                      const struct insn *i);

#endif
