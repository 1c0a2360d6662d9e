/*
 * Random programs that end by themselves, with the registers they start from:
 * for running twice, by two engines or by the host's CPU, with the same result.
 *
 * Physical memory, the same in every case (linear is physical, but for the
 * aliases at ALIAS + physical address):
 */
#ifndef TESTS_ISA_JIT_CASES_H
#define TESTS_ISA_JIT_CASES_H

#include "encodings.h"
#include "host_native.h"
#include "x86/cpuid.h"
#include "x86/state.h"

enum {
    TABLES = 0x1000, /* four pages of page tables */
    GDT = 0x5000,
    TSS = 0x6000,
    TSS32 = 0x6800,
    IDT64 = 0x7000,
    STUBS_AT = 0x8000, /* 16 bytes a vector: HLT */
    IST_TOP = 0xa000,
    IDT32 = 0xb000,
    IDT16 = 0xb800,
    CODE_AT = 0x10000,
    CODE_SIZE = 0x3000,
    DATA_AT = 0x14000, /* four pages, then: */
    DATA_RO = 0x18000,
    DATA_HOLE = 0x1a000,
    DATA_KERNEL = 0x1c000, /* supervisor's */
    DATA_END = 0x1d000,
    COUNTERS = 0x1e000, /* of loops */
    RAM_SIZE = 0x20000,
    ALIAS = 0x30000, /* code and data pages are here again */
};

enum case_mode {
    CASE_64_KERNEL,
    CASE_64_USER,
    CASE_COMPAT_KERNEL,
    CASE_COMPAT_USER,
    CASE_32_FLAT,     /* no paging, as in all that follow */
    CASE_32_SEGMENTS, /* with bases and limits */
    CASE_16_REAL,
    CASE_16_VM86,
    CASE_16_PROTECTED, /* with limits */
    CASE_MODES
};

/* Selectors in the GDT, besides those of user code, which are Linux's. */
enum { KERNEL_CS32 = 0x08, KERNEL_CS = 0x10, KERNEL_SS = 0x18 };

enum { PROGRAM_MAX = 2600, PARTS_MAX = 700 };

struct program {
    struct rng *r;
    enum case_mode mode;
    bool wide, user;
    bool narrow;        /* 16-bit code */
    uint32_t base;      /* of DS; others' are near; where there are segments */
    uint32_t code_base; /* of CS */
    uint32_t edge;      /* where segments end, more or less: linear */
    bool rough;         /* faults are likely */
    bool native; /* only what the host can run, too, as a process of Linux */
    uint32_t at; /* where it runs: linear */
    uint8_t bytes[PROGRAM_MAX + 64];
    unsigned n;
    /* Instructions one by one: what may be replaced by NOPs. */
    uint16_t part[PARTS_MAX];
    unsigned parts;
    /* Pointer registers and what is known to be in them. */
    uint32_t pointers, known;
    uint64_t value[16];
    unsigned depth, counters, budget;
};

/* A linear address as offset in DS, in CS. */
static inline uint32_t data_offset(const struct program *p, uint32_t linear)
{
    return linear - p->base;
}

static inline uint32_t code_offset(const struct program *p, uint32_t linear)
{
    return linear - p->code_base;
}

struct row_list {
    uint16_t row[8192];
    unsigned n;
};

/* The rows that programs are made of; native: as in struct program. */
void rows_list(struct row_list *l, const struct cpu_model *m, bool wide,
               bool native);
/* Makes a program of that mode; for the host if native and of user code. */
void program_make(struct program *p, struct rng *r, enum case_mode mode,
                  const struct row_list *rows, bool native);
/* Registers to start it with. */
void program_state(const struct program *p, struct x86_state *s,
                   const struct cpu_model *m);
/*
 * Everything but the program: RAM_SIZE bytes. native: data cannot be run, so
 * that programs stay what the generator makes them.
 */
void program_memory(uint8_t *ram, bool native);

#endif
