/*
 * The interpreter: decoded blocks, cached by physical address and mode, run by
 * calling one function an instruction. The reference for correctness.
 *
 * Blocks belong to one vCPU and are never written by another; what makes them
 * stale is the generation of their page (engine/code_pages.h).
 */
#ifndef ENGINE_INTERP_H
#define ENGINE_INTERP_H

#include "engine/code_pages.h"
#include "x86/cpu.h"
#include "x86/mem.h"
#include "x86/opcode.h"

extern const struct engine_ops engine_interp;

enum {
    BLOCK_INSNS = 32,        /* at most, in one block */
    BLOCK_HASH = 1 << 16,    /* buckets by physical address */
    BLOCK_JUMPS = 1 << 14,   /* direct-mapped by linear address */
    BLOCK_ARENA = 48u << 20, /* bytes; all blocks go when it is full */
};

/* Beside enum cpu_mode: a block of one instruction. */
#define MODE_SINGLE (1u << 31)

struct block {
    struct block *next;     /* in its hash bucket */
    gpa_t gpa;              /* of the first byte */
    struct code_page *page; /* NULL: not RAM, never kept */
    uint32_t generation;
    uint32_t mode;
    uint16_t n;        /* instructions */
    uint16_t len;      /* bytes */
    bool marked;       /* looks for a debugger's points on its way */
    uint8_t heat;      /* the jit counts runs here, */
    uint64_t heat_rip; /* at this address */
    gpa_t gpa2;        /* of the second page, when the last instruction
                          crosses into one; else NO_PAGE */
    struct code_page *page2;
    uint32_t generation2;
    struct insn insn[];
};
#define NO_PAGE (~0ull)

/* The last translation of a linear address to a block. */
struct jump {
    uint64_t linear;
    uint64_t tlb_generation;
    struct block *block;
    uint32_t mode;
};

/* What the interpreter keeps of a vCPU: cpu->engine. */
struct interp_cpu {
    struct cpu cpu;
    struct code_pages *pages;
    struct block *running;
    uint8_t *arena;
    size_t used;
    uint64_t flushes; /* so often all blocks went */
    struct block *hash[BLOCK_HASH];
    struct jump jump[BLOCK_JUMPS];
};

static inline struct interp_cpu *interp_of(struct cpu *c)
{
    return container_of(c, struct interp_cpu, cpu);
}

/*
 * The block at s.rip in mode_key, found or made. single: of one instruction.
 * Raises what fetching raises; an instruction that cannot run (#UD, too long,
 * privileged) is a block that raises when run.
 */
struct block *block_find(struct cpu *c, bool single);
/*
 * The block at gpa, where that is on b's page and has been decoded and run;
 * NULL otherwise. Raises nothing.
 */
struct block *block_beside(struct cpu *c, const struct block *b, gpa_t gpa);
void block_flush(struct interp_cpu *e);

/* What bytes are decoded as in this mode. */
enum decode_mode block_decode_mode(uint32_t mode);
/* Is a block made of current bytes? Any thread. */
bool block_is_fresh(const struct block *b);
/* Does this function only raise (an instruction that cannot run)? */
bool interp_raises(op_fn f);

/* A faster function for what i does than its body, or the body (bind.c). */
op_fn interp_bind(const struct insn *i, uint32_t mode);

/* --- run.c: the steps of the loop, which the jit shares --- */
void interp_run_block(struct cpu *c, struct block *b);
/* One instruction that needs care: shadows, single-step, breakpoints. False:
   *stop says why the vCPU stops. */
bool interp_run_single(struct cpu *c, enum stop *stop);
/*
 * After a fault or other unwinding; what waits between blocks. False: *stop
 * says why the vCPU stops.
 */
bool interp_after_unwind(struct cpu *c, enum stop *stop);
/* After unwinding: s.rip as it is when the instruction has not run. */
void interp_put_back(struct cpu *c);
/* Writes come to the MMU again, which asks cpu->page_writable. */
void interp_forget_write_tags(struct cpu *c);
bool interp_between_blocks(struct cpu *c, enum stop *stop);
/* Around run(). */
void interp_enter(struct interp_cpu *e);
void interp_leave(struct interp_cpu *e);
/* cpu->watch_met. */
void interp_watch_met(struct cpu *c);
/* cpu->code_written: true if decoded code was hit. */
bool interp_forget_code(struct cpu *c, gpa_t a, unsigned n);

/* --- interp.c: parts of an engine that runs on struct interp_cpu --- */
int interp_cpu_open(struct interp_cpu *e, struct vcpu *v,
                    struct code_pages *pages, struct host_mutex *rmw_lock,
                    struct err *err);
void interp_cpu_close(struct interp_cpu *e);
void interp_stats(struct vcpu *v,
                  void (*emit)(void *ctx, const char *name, uint64_t value),
                  void *ctx);
int interp_get(struct vcpu *v, struct x86_state *s, uint32_t groups);
int interp_set(struct vcpu *v, const struct x86_state *s, uint32_t groups);
int interp_debug(struct vcpu *v, struct err *err);
enum stop interp_run(struct vcpu *v);

#endif
