/*
 * One CPU as interp and jit run it: the canonical state, and beside it what
 * makes running fast (lazy flags, soft TLB) or is only true in mid-instruction.
 *
 * What a body (op_fn) may rely on:
 *  - c->insn == i, and insn_rip()/insn_next() give its place.
 *  - For a row with OP_ENDS s.rip is already the next instruction's; a branch
 *    overwrites it. For others s.rip is stale and must not be touched.
 *  - A fault (x86_raise and all memory accessors) does not return; the engine
 *    puts s.rip back to insn_rip(). So a body changes no state before its last
 *    possible fault, except where the SDM says so (REP iterations). A body
 *    that has left its instruction behind (a task switch) makes c->insn NULL:
 *    then s.rip is right as it is, as it is while events are delivered.
 *  - Row checks (feature, CPL, LOCK validity, CR0/CR4/XCR0 for x87, SSE and
 *    AVX) were made by the engine before the body, by x86_check_row().
 *  - Bodies are integer-only code: the build gives x86/ -mgeneral-regs-only.
 *
 * Thread: the vCPU's own, no lock held.
 */
#ifndef X86_CPU_H
#define X86_CPU_H

#include "lodge/engine.h"
#include "x86/cpuid.h"
#include "x86/insn.h"
#include "x86/state.h"

/* A page's translation, for reads and writes that need no further check. */
struct tlb_entry {
    uint64_t read, write; /* linear page address, or tlb_none() */
    uintptr_t addend;     /* host address - linear address */
    uint64_t gpa;         /* page; low bits TLB_* */
};
enum {
    TLB_GLOBAL = 1 << 0,
    TLB_LARGE = 1 << 1,
    TLB_WRITABLE = 1 << 2, /* RAM, for this mode, with D set; even if the write
                              tag is kept back for decoded code */
};

#ifndef TLB_BITS /* stress builds say 0 */
#define TLB_BITS 13
#endif
enum {
    TLB_SIZE = 1 << TLB_BITS,
    TLB_LISTED = 512,
    TLB_FLUSHED = 64, /* Linux flushes up to 33 pages one by one */
    TLB_LARGE_SEEN = 4096,
};

/* Matches no page address, with or without low bits for alignment. */
#define TLB_NONE 0x800ull
/*
 * The tag of an empty entry: a page that is looked for in another one, and not
 * in the next, so that whoever compares nothing but the page finds no match.
 */
static inline uint64_t tlb_none(size_t slot)
{
    return TLB_SIZE == 1 ? TLB_NONE : (slot ^ TLB_SIZE / 2) << PAGE_SHIFT;
}

/*
 * Translations by how the access is made: user; supervisor; supervisor while
 * SMAP forbids user pages (CR4.SMAP and not EFLAGS.AC). And user while
 * alignment is checked (CR0.AM and EFLAGS.AC): that one never has an entry, so
 * that every access goes the slow way, which looks; off, it costs nothing.
 */
enum tlb_mode {
    TLB_USER,
    TLB_KERNEL,
    TLB_KERNEL_SMAP,
    TLB_MODES, /* that have entries */
    TLB_USER_AC = TLB_MODES,
    TLB_TABLES
};

/*
 * Where the physical pages of a bucket are written through the TLB: numbers of
 * entries, in all tables together, that had a write tag for one. lost: there
 * were more than fit.
 */
enum { TLB_WRITERS = 1 << 13, TLB_WRITER_ENTRIES = 6 };
struct tlb_writers {
    bool lost;
    uint8_t n;
    uint16_t entry[TLB_WRITER_ENTRIES];
};

/* Exceptions (SDM 6.3.1) */
enum { EXC_DE, EXC_DB, EXC_NMI, EXC_BP, EXC_OF, EXC_BR, EXC_UD, EXC_NM, EXC_DF,
       EXC_TS = 10, EXC_NP, EXC_SS, EXC_GP, EXC_PF, EXC_MF = 16, EXC_AC,
       EXC_MC, EXC_XM };

/* How control came back to the engine out of a body. */
enum unwind {
    UNWIND_NONE,
    UNWIND_EXCEPTION, /* c->exc is to be delivered */
    UNWIND_RESTART,   /* state is consistent at s.rip: poll events, go on (a
                         REP interrupted, a code page changed under us) */
    UNWIND_HALT,      /* activity changed */
    UNWIND_SHUTDOWN,
    UNWIND_DEBUG, /* a debugger's point at s.rip */
};

struct x86_exception {
    uint8_t vector;
    bool has_error;
    bool soft;       /* INT n, INT3, INTO: DPL check, pushes the next RIP */
    uint32_t error;
    uint64_t cr2;    /* #PF */
    uint64_t dr6;    /* #DB: bits to set */
};

/*
 * The TLB's entry of the page that the stack is on, for an engine that looks
 * here first: filled by it, from an entry of the current mode that has a write
 * tag. What drops any entry of the TLB, or changes the mode, forgets it.
 */
struct stack_page {
    uint64_t page; /* linear, or STACK_NONE */
    uint64_t addend;
};
/*
 * No canonical address is on this page, and the addend that goes with it leads
 * to `nowhere` in struct cpu.
 */
#define STACK_NONE 0x5ac0ffee00000000ull

enum { CPU_HOST_SP = 32 };

/* A page's translation for instruction fetch. */
struct itlb_entry {
    uint64_t tag; /* linear page address, or TLB_NONE */
    gpa_t gpa;
    const uint8_t *ram; /* the page; NULL: not RAM or ROM */
    bool global;
};
enum { ITLB_SIZE = 256, ITLB_LISTED = 64 };

struct outside_access;

struct cpu {
    /*
     * An engine may have the host's stack pointer at CPU_HOST_SP, with what is
     * used most in reach of a short displacement: before it nothing is kept.
     */
    uint8_t lost[CPU_HOST_SP];
    uint8_t near[16]; /* the engine's own */
    struct stack_page stack;
    struct x86_state s;

    /*
     * Lazy status flags (x86/flags.h): while flags_op is not FLAGS_READY the
     * six status bits of s.rflags are stale and follow from these.
     */
    uint32_t flags_op;
    uint64_t flags_dst, flags_src;

    /* Where we are. */
    const struct insn *insn;
    uint64_t block_rip; /* RIP of the block that insn is in */

    /* Derived from s by x86_mode_changed(). */
    uint32_t mode_key;   /* enum cpu_mode bits: part of every block's key */
    struct tlb_entry *tlb; /* the current mode's, TLB_SIZE entries */
    uint8_t tlb_mode;      /* enum tlb_mode */
    /*
     * Not for 64-bit code: an access of n bytes at an offset needs no look at
     * the segment if offset + n is not beyond this; 0: always look. Indexed
     * by write, segment.
     */
    uint64_t seg_end[2][6];
    bool has_breakpoints;      /* DR7 enables any data or I/O breakpoint */
    bool has_code_breakpoints; /* DR7 enables any instruction breakpoint, or a
                                  debugger (lodge/engine.h) single-steps */
    bool has_watches;          /* a debugger waits for data accesses: pages of
                                  these have no entry in the TLB */
    bool access_borrowed;      /* mode_key and tlb are not those of s: see
                                  x86_access_as(); raising puts them back */

    uint8_t unwind;         /* enum unwind */
    struct x86_exception exc;
    int8_t delivering;      /* vector being delivered, or -1 */
    void *unwind_buf[5];    /* __builtin_setjmp, set by the engine */

    struct vcpu *vcpu;
    struct host_mutex *rmw_lock; /* the VM's, for mem_rmw_begin(); NULL: alone */
    bool rmw_held; /* an unwinding engine calls mem_rmw_end() */
    const struct cpu_model *model;
    void *hostvec;  /* x86/hostvec.c: stubs for vector and x87 */
    void *engine;   /* the engine's own per-CPU data */
    /* A debugger waits for an access that c->insn makes: the engine stops after
       it. NULL: it looks by itself. */
    void (*watch_met)(struct cpu *c);
    /* RAM that holds decoded code was written just now. */
    void (*code_written)(struct cpu *c, gpa_t a, unsigned n);
    /* May this RAM page be written without being asked first? The MMU asks
       before it fills a write tag. */
    bool (*page_writable)(struct cpu *c, gpa_t page);
    /* NULL or called before anything outside the CPU is: for an engine that
       keeps guest values in host registers that only C code of the layers
       above leaves alone. */
    void (*going_outside)(struct cpu *c);
    /* For an engine that runs instructions twice; NULL: not. Instead of
       x86_outside_now(); and before memory at e's page, the host's ram, is
       accessed that was not in the TLB. */
    void (*outside)(struct cpu *c, struct outside_access *a);
    void (*tlb_filled)(struct cpu *c, struct tlb_entry *e, uint8_t *ram,
                       gpa_t page, bool writable);

    uint64_t apic_base;   /* this CPU's APIC_BASE: x86_apic_base_changed() */
    struct window window; /* RAM found last: see mmu.c */
    /* Slots given entries without G since the last flush; more than fit: all
       of the mode's are looked at. */
    uint16_t nonglobal[TLB_MODES][TLB_LISTED];
    uint16_t nonglobals[TLB_MODES];
    uint16_t itlb_nonglobal[ITLB_LISTED], itlb_nonglobals; /* likewise */
    struct tlb_writers writers[TLB_WRITERS];
    /* Which large pages entries came of, hashed, by whether they have G. */
    uint64_t large_seen[2][TLB_LARGE_SEEN / 64];
    /* Flushes so far, for what is cached by linear address elsewhere. */
    uint64_t tlb_generation; /* of any kind */
    uint64_t flushes_all, flushes_nonglobal, flushes_page;
    /* The last pages, a ring; with TLB_LARGE: all of the 2 MB there. */
    gva_t flushed[TLB_FLUSHED];

    uint32_t pauses; /* PAUSE instructions so far */
    struct { /* MONITOR/MWAIT */
        gpa_t address;
        bool armed;
        uint64_t line[8]; /* what was there */
    } monitor;

    struct cpu_stats {
        uint64_t instructions, exceptions, interrupts, tlb_misses, tlb_flushes,
            mmio, pio, blocks_decoded, blocks_invalidated;
    } stats;

    struct tlb_entry tlbs[TLB_TABLES][TLB_SIZE];
    struct itlb_entry itlb[2][ITLB_SIZE]; /* supervisor, user */
    uint8_t nowhere[PAGE_SIZE];
};

/* The mode bits that change what a block of code means. */
enum cpu_mode {
    MODE_CODE16 = 0, MODE_CODE32 = 1, MODE_CODE64 = 2, MODE_CODE = 3,
    MODE_PE = 1 << 2,   /* protected mode, virtual-8086 included */
    MODE_VM86 = 1 << 3,
    MODE_LMA = 1 << 4,
    MODE_SS32 = 1 << 5, /* SS.B; set in 64-bit code */
    MODE_CPL = 3 << 6,  /* CPL in bits 7:6 */
    MODE_CPL_SHIFT = 6,
    MODE_FLAT = 1 << 8, /* CS, SS, DS, ES base 0 and limit 4 GB, usable,
                           writable (readable for CS): nothing to add or
                           check. Always set in 64-bit code. */
    MODE_TS = 1 << 9, MODE_EM = 1 << 10, MODE_MP = 1 << 11,
    MODE_OSFXSR = 1 << 12, MODE_OSXSAVE = 1 << 13, /* XCR0 via generation */
    MODE_AVX = 1 << 14, MODE_AVX512 = 1 << 15, /* XCR0 lets them run */
    MODE_TF = 1 << 16,  /* single-step: blocks of one instruction */
    MODE_IOPL = 3 << 17, /* in virtual-8086 mode only */
    MODE_PG = 1 << 19,
    MODE_64K = 1 << 20, /* not flat, but CS can be read, and SS, DS and ES be
                           read and written, up to offset FFFFh at least */
};

static inline bool in_code64(const struct cpu *c)
{
    return c->mode_key & MODE_CODE64;
}

static inline bool in_long_mode(const struct cpu *c)
{
    return c->mode_key & MODE_LMA;
}

/* Protected mode proper: PE set and not virtual-8086. */
static inline bool in_protected(const struct cpu *c)
{
    return (c->mode_key & (MODE_PE | MODE_VM86)) == MODE_PE;
}

static inline bool in_vm86(const struct cpu *c)
{
    return c->mode_key & MODE_VM86;
}

/* The linear address of code at rip. */
static inline gva_t x86_fetch_address(const struct cpu *c, uint64_t rip)
{
    return in_code64(c) ? rip : (uint32_t)(rip + c->s.seg[CS].base);
}

static inline uint64_t insn_rip(const struct cpu *c, const struct insn *i)
{
    return c->block_rip + i->pos;
}

/* Not truncated to the mode's width. */
static inline uint64_t insn_next(const struct cpu *c, const struct insn *i)
{
    return c->block_rip + i->pos + i->len;
}

/* --- x86/exception.c --- */
NORETURN void x86_raise(struct cpu *c, unsigned vector);
NORETURN void x86_raise_error(struct cpu *c, unsigned vector, uint32_t error);
NORETURN void x86_raise_gp0(struct cpu *c);
NORETURN void x86_raise_pf(struct cpu *c, gva_t address, uint32_t error);
NORETURN void x86_raise_db(struct cpu *c, uint64_t dr6);
NORETURN void x86_unwind(struct cpu *c, enum unwind how);
/*
 * Delivers c->exc from s.rip, already put back (or the next instruction's, for
 * traps). Makes c->insn NULL. May raise again, and is then called again: nested
 * faults turn into #DF and shutdown here. On return s is at the handler.
 * INT n, INT3, INTO and INT1 deliver in their bodies.
 */
void x86_deliver(struct cpu *c);
/* An external interrupt or NMI, likewise. */
void x86_deliver_interrupt(struct cpu *c, unsigned vector, bool nmi);

/* --- x86/check.c --- */
enum check_result { CHECK_OK, CHECK_UD, CHECK_NM, CHECK_GP0 };
/*
 * The checks of i's row: they depend on row, instruction, model and mode_key
 * only, so that once for a block is enough. Not among them: a pending x87
 * exception, and what bodies say they check.
 */
enum check_result x86_check_row_static(const struct cpu *c,
                                       const struct insn *i);
/* Raises if one fails. */
void x86_check_row(struct cpu *c, const struct insn *i);

/* --- x86/ops/debug.c: breakpoints (SDM volume 3, 18.2) --- */
/*
 * Before an instruction, while has_code_breakpoints: raises #DB if one is at
 * linear, unless RF or a MOV SS shadow forbids it.
 */
void x86_code_breakpoint(struct cpu *c, gva_t linear);
/* While has_breakpoints or has_watches: a data or port access that one waits
   for is noted in s.pending_db, or for a debugger in vcpu->debug.stop, for
   after the instruction (or REP iteration). */
void x86_data_breakpoint(struct cpu *c, gva_t linear, unsigned n, bool write);
void x86_io_breakpoint(struct cpu *c, uint16_t port, unsigned n);
/*
 * Does a debugger wait for the instruction at linear? Then vcpu->debug.stop
 * says so. Not while it single-steps.
 */
bool x86_debugger_at(struct cpu *c, gva_t linear);
/* While has_watches: are there any on this page? */
bool x86_debugger_watches(const struct cpu *c, gva_t page);

/* --- x86/segment.c --- */
/*
 * May the current privilege access n bytes of ports (IOPL, else the TSS's
 * bitmap)? #GP(0) if not. Notes I/O breakpoints.
 */
void x86_io_check(struct cpu *c, uint16_t port, unsigned n);

/* --- x86/mode.c --- */
/* Recomputes mode_key, cpl, tlb_mode and what else follows from s. After any
   change of CR0, CR4, EFER, XCR0, a segment, CPL, TF, AC, VM, DR7. */
void x86_mode_changed(struct cpu *c);
/* The state after power-on or INIT (SDM 10.1.1, table 10-1). */
void x86_reset(struct cpu *c, bool init);
void x86_state_reset(struct x86_state *s, const struct cpu_model *m,
                     bool bsp, bool init);
/* CPU timestamp counter as the guest reads it: x86/tsc.c. */
uint64_t x86_tsc(struct cpu *c);

/* --- x86/events.c ---
 * Takes what waits in vcpu->events and can be taken at s.rip now (INIT, SIPI,
 * NMI, interrupts under IF and the shadows), and ends HLT for it. False: the
 * CPU stays halted. Called between blocks.
 */
bool x86_take_events(struct cpu *c);

/*
 * What the engine does beside that:
 *  - x86_take_events() is called when vcpu->events, s.pending_db or s.activity
 *    is not 0; it takes what it can. KICK and PRIV are the engine's.
 *  - While x86_one_by_one(), instructions run alone, and after each: if TF was
 *    set before it, DR6_BS goes to s.pending_db; if a shadow was there before
 *    it, both shadows end (one that the instruction itself sets stays, unless
 *    it was already under one). An instruction that unwinds has seen to both
 *    itself.
 *  - RF is cleared before an instruction runs and after its breakpoint was
 *    looked for; so IRET can set it. A REP that stops with UNWIND_RESTART sets
 *    it, and stops when s.pending_db is not 0.
 */
static inline bool x86_one_by_one(const struct cpu *c)
{
    return c->s.sti_shadow || c->s.movss_shadow || (c->mode_key & MODE_TF) ||
           c->has_breakpoints || c->has_code_breakpoints;
}

#endif
