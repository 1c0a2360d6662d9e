/* What the files of the lock step share. */
#ifndef JIT_CHECK_INTERNAL_H
#define JIT_CHECK_INTERNAL_H

#include "engine/jit/check.h"
#include "x86/outside.h"

enum {
    CHECK_PAGES = 4096,     /* written in one block: a REP of 16 MB */
    CHECK_ACCESSES = 16384, /* to devices, in one block */
    CHECK_FILLS = 1024,     /* TLB entries filled since they were looked at */
    CHECK_STEPS = 4096,     /* instructions until the interpreter gives up */
    CHECK_TURN = 256,       /* blocks until other vCPUs have their turn */
    CHECK_CPUS = 255,
};

/* A page that was written, or may have been. */
struct check_page {
    uint8_t *ram;
    gpa_t gpa;
    uint8_t before[PAGE_SIZE];
    uint8_t after[PAGE_SIZE]; /* as the translation left it */
};

/*
 * The vector and x87 registers, most of the state, are left alone while no
 * instruction can see them: struct x86_state up to them, and all of it.
 */
enum { CHECK_NARROW = offsetof(struct x86_state, fxsave) };

/* Where a run ended. */
struct check_end {
    struct x86_state s;
    enum unwind how; /* UNWIND_NONE: it went through */
    struct x86_exception exc;
};

struct check_cpu {
    struct tlb_entry *filled[CHECK_FILLS];
    unsigned nfilled; /* more than fit: any */
    /*
     * Status flags in which the two differed when a block ended: the
     * translator takes them for dead, and the interpreter goes on with its
     * own, to see whether they are (undefined ones but for: they are the
     * translation's). Void when anything else has run since.
     */
    uint64_t flags_apart, ran;
    uint64_t apart_rip; /* of the block since which they are */
};

enum check_phase { CHECK_IDLE, CHECK_FIRST, CHECK_SECOND };

struct check {
    struct host_mutex turn;
    _Atomic unsigned waiting, granted;
    unsigned left; /* of this turn */
    struct jit_cpu *failed;

    /* The block at hand. */
    enum check_phase phase;
    struct jit_cpu *cpu;
    const struct jit_block *block;
    const struct block *decoded; /* its instructions */
    struct x86_state before;
    struct check_end jit, interp;
    bool after_sti; /* the translation ended behind an STI */
    bool overflow;  /* more than can be put back: not checked */
    bool diverged;  /* the second run asked for something else */
    bool same;
    bool last_time; /* only to see where they differ */
    size_t bytes;   /* of the state, that are looked at */
    uint32_t mode_key;
    uint8_t tlb_mode;
    unsigned steps;
    uint16_t undefined; /* flags that the instructions leave so, */
    bool unclear;       /* and that one of them reads */
    struct check_page *page;
    unsigned npages;
    struct outside_access *access;
    unsigned naccesses, replayed;
    struct outside_access asked; /* when diverged */

    struct check_cpu of[CHECK_CPUS];
};

/* --- check_state.c --- */
/* Are they the same, but for what a translation may leave different? */
bool check_same_state(const struct check *k, const struct x86_state *interp);
/* Bytes of the state that the instructions of a block may use. */
size_t check_bytes(const struct block *b);
bool check_same_memory(const struct check *k);
/* Writes the difference to the log. */
void check_report(const struct check *k);

#endif
