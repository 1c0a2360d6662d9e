/*
 * The jit: x86-64 guest code run as x86-64 host code. See docs/jit.md for the
 * design and what was measured.
 *
 * While translated code runs:
 *   host rsp       CPU_HOST_SP beyond &cpu: the state is at small positive
 *                  offsets, the stack that helpers use is below it
 *   host r9        guest rsp
 *   host r10, r11, r14   scratch (S0, S1, S2)
 *   guest r9, r10, r11, r14   in their state slots: compilers use them least
 *   all others     in the same-numbered host register
 *   status flags   in EFLAGS, or in jit_near.flags, as the translator knows;
 *                  between blocks in jit_near.flags unless dead
 *   vectors, x87   in the host's registers while jit_near.fp_live says so
 *
 * Blocks are found by (physical address, RIP, mode, place of CS) and shared by
 * all vCPUs of a VM. Cold code is run by the interpreter, block by block, and
 * translated from the interpreter's decoded blocks once it is warm.
 */
#ifndef ENGINE_JIT_H
#define ENGINE_JIT_H

#include "engine/interp/interp.h"
#include "engine/jit/emit.h"

extern const struct engine_ops engine_jit;

/* S2 keeps its value over helpers, as C calls it. */
enum { S0 = H_10, S1 = H_11, S2 = H_14, GUEST_RSP = H_9 };

enum {
    JIT_HEAT = 8,          /* interpreted this often before translation */
    JIT_CODE = 128u << 20, /* bytes of code memory */
    JIT_META = 128u << 20, /* bytes of what describes it */
    JIT_META_FIRST = 16,   /* offset 0 stands for none */
    JIT_ROOM = 128u << 10, /* at least, of each, for one block */
    JIT_SMALL = 1u << 20,  /* of both, under stress */
    JIT_HASH = 1 << 18,
    JIT_PAGES = 1 << 14,   /* buckets of blocks by physical page */
    JIT_TARGETS = 1 << 17, /* of indirect branches, by bits of RIP: */
    JIT_TABLES = 5,        /* for so many kinds of mode */
    JIT_RECENT = 1 << 16,  /* blocks that were run, by RIP */
    JIT_MAP_IDS = 1 << 15, /* mappings of code pages, numbered from 1 */
    JIT_MAP_HEADS = 1 << 14,
    JIT_LOCAL = 512,
    JIT_CAREFUL = 1 << 14,
    GROUPS = 4,         /* of accesses that share a check, at a time */
    TRACE_INSNS = 64,   /* translated as one, at most */
    UNROLL_INSNS = 32,  /* of loops */
    JIT_LOOP_HEAT = 64, /* theirs: they get more code, and some end soon */
    JIT_STACK = 256u << 10,
    JIT_ROWS = 4096, /* of the opcode table, at most */
};

#define ALL_GPRS (~0u)

struct jit_block;

/* A direct branch out of a block: patched to go straight to its target. */
struct jit_link {
    uint8_t *patch;      /* rw address of the rel32 */
    const uint8_t *stub; /* rx: where it goes while not linked */
    struct jit_block *from, *to;
    struct jit_link *next;    /* in to->incoming */
    struct jit_link *sibling; /* in from->more */
    uint64_t target;          /* RIP */
    bool same_page;
    uint32_t mode; /* of the target, MODE_ALONE apart */
    bool alone;    /* for the translation without groups */
};

/* One of the pages that a block is on: in the list of its bucket. */
struct jit_page {
    struct jit_page *next;
    struct jit_block *block;
    gpa_t page;
};

struct jit_block {
    /* Who looks for a block reads these: one cache line. */
    struct jit_block *hash_next;
    gpa_t gpa;
    uint64_t rip, cs; /* cs: see jit_cs() */
    uint32_t mode;
    bool dead;
    uint8_t npages;      /* two where its instruction crosses into another */
    uint32_t map_id[2];  /* by page */
    const uint8_t *code; /* rx: entry when the first page is known to be
                            mapped so */
    struct jit_page pages[2];
    const uint8_t *checked;  /* rx: entry that checks it */
    const uint8_t *indirect; /* rx: entry that checks S0, too: is it rip? */
    struct jit_link *incoming;
    struct jit_link out[2];
    struct jit_link *more; /* out of groups that did not fit */
};

/* An instruction that may need its body or a slow memory path. */
struct jit_insn {
    struct insn i; /* pos is 0; its RIP is: */
    uint64_t rip;
    uint64_t next; /* truncated as the mode says */
    uint8_t bytes; /* of the memory access; 0: none */
    bool write;
    bool masked; /* what its mask stops must not fault: only the body knows */
    bool group_write; /* the group writes, maybe not its first access */
    uint16_t span;    /* of a group's check: run nothing, only fill; else 0 */
    int16_t at;       /* of its first access, from its lowest byte */
    uint8_t align;    /* low address bits that must be zero, else the body */
    uint8_t fp;       /* FP_*: must be live again when it returns */
};

enum {
    FP_VECTOR = 1,
    FP_X87 = 2,
    FP_XMM_ONLY = 4, /* to fp_load: nothing but zeros above XMM0 to XMM15 */
};

/* What helpers tell the thunk that called them. */
enum jit_result {
    JIT_RETRY, /* memory: the TLB has it now */
    JIT_DONE,  /* the body has run: go on after the instruction */
    JIT_EXIT,  /* leave: state is at s.rip */
};

struct jit_stats {
    uint64_t translations, flushes, links, lookups, invalidations;
    uint64_t translations_16, translations_32; /* of code so wide */
    uint64_t exits, exits_unlinked, exits_indirect, reentries, recalls;
    uint64_t cold, interpreted; /* blocks not yet, or never, translated */
    uint64_t bodies, slow_memory, group_misses, fp_saves, checked;
    uint64_t undefined;      /* checked ones that differ in undefined flags */
    uint32_t body[JIT_ROWS]; /* runs of each opcode row's body */
};

/* In struct cpu's near. */
struct jit_near {
    uint16_t flags;        /* AX after LAHF; SETO AL */
    uint8_t fp_live;       /* FP_* now in host registers */
    _Atomic uint32_t poll; /* something waits: leave translated code */
    uint64_t addend;       /* of the second group */
};

struct jit_cpu {
    struct interp_cpu ic; /* first: interp_of() works on it */
    bool stale;           /* code was changed by the running instruction */
    bool interpret;       /* what is at s.rip cannot run natively now */
    uint64_t host_rsp;
    uint64_t addend[GROUPS - 2]; /* of the others: see struct group */
    uint64_t target;             /* of an indirect call, while it pushes */
    uint64_t sti_rip; /* no events here, once: the last STI's next RIP */
    uint64_t fip;     /* RIP of the last x87 instruction, while x87 is live */
    struct jit_link *exit_link; /* the branch we left by, or NULL */
    uint32_t missed_insn;       /* of an indirect branch: from jit->meta; 0 */
    bool missed;                /* we left by one, or a page was mapped anew */
    /* Of RIP, for PEXT; or 0 to send all indirect branches to entry 0. */
    _Atomic uint64_t target_mask;
    /* maps[] is right for these counts of flushes. */
    uint64_t maps_generation, maps_all, maps_nonglobal, maps_page;
    uint32_t host_mxcsr;
    struct jit *jit;
    void *stack; /* guard, stack, then this structure */
    size_t stack_bytes;
    struct jit_stats stats;
    _Atomic bool in_code;
    uint64_t epoch;   /* of the block in hand */
    uint32_t pending; /* events that wait but could not be taken */
    uint64_t chance;  /* of stress.c */
    /* Those that are not of global pages; more than fit: all are looked at. */
    uint16_t local[JIT_LOCAL];
    unsigned nlocal;
    uint8_t maps[JIT_MAP_IDS];       /* is it still so? maps.c */
    uint32_t table_mode[JIT_TABLES]; /* whose targets each table has */
    bool half_used[JIT_TABLES][2];
    const uint8_t *targets[JIT_TABLES][JIT_TARGETS];
    /* What was run at an address lately. Most lookups need not go further. */
    struct recent_block {
        gva_t linear;
        uintptr_t
            block; /* a jit_block, not ALONE, maybe dead; or, with RECENT_COLD
                      added, a struct block that is too cold for one */
    } recent[JIT_RECENT];
    uint64_t cold_flushes; /* of ic's blocks, that recent[] has followed */
};

static inline struct jit_cpu *jit_of(struct cpu *c)
{
    return container_of(c, struct jit_cpu, ic.cpu);
}

static inline struct jit_near *jit_near(struct jit_cpu *j)
{
    _Static_assert(sizeof(struct jit_near) <= sizeof j->ic.cpu.near, "");
    return (void *)j->ic.cpu.near;
}

/* Offset from host rsp of a member of struct jit_cpu. */
#define J_OFF(member)                                                          \
    ((int32_t)(offsetof(struct jit_cpu, member) -                              \
               offsetof(struct jit_cpu, ic.cpu)) -                             \
     CPU_HOST_SP)
#define C_OFF(member) J_OFF(ic.cpu.member)
#define N_OFF(member) (C_OFF(near) + (int32_t)offsetof(struct jit_near, member))

/* Code that every VM needs once: emitted when it opens (thunks.c). */
struct jit_thunks {
    void (*enter)(struct cpu *c, const uint8_t *code);
    const uint8_t *exit;      /* s.rip is set */
    const uint8_t *exit_s0;   /* s.rip = S0 */
    const uint8_t *exit_link; /* s.rip = S0, exit_link = S1 */
    const uint8_t *missed;    /* s.rip = S0, missed_insn = S2, missed */
    const uint8_t *slow;      /* S0 linear, S1 jit_insn; returns to +0 to
                                 retry, to +5 when done (a group: to give
                                 up) */
    /* By tlb_mode, and write: S2 = the addend of S0's page, which is the
       stack's from now on; "not equal": not in the TLB. Clobbers S0. */
    const uint8_t *stack[TLB_TABLES][2];
    const uint8_t *body;       /* S1 jit_insn */
    const uint8_t *body_end;   /* likewise, at the end of a block: jump there */
    const uint8_t *resume;     /* jump there with s.rip set: on to its block */
    const uint8_t *fp_need[4]; /* makes FP_* live; flags clobbered */
    void (*fp_save)(struct cpu *c, unsigned which);
    void (*fp_load)(struct cpu *c, unsigned which);
};

/* A code page mapped somewhere, for user or supervisor code. */
struct map_id {
    gva_t page;
    gpa_t gpa;
    uint32_t next; /* in its bucket by page: a lower number; 0: none */
    bool user;
};

struct jit {
    struct code_pages *pages;
    struct host_mutex rmw_lock;
    struct host_mutex world; /* whoever stops all vCPUs; before lock */
    struct host_mutex lock;  /* everything below, and patching of code */
    struct host_code memory;
    struct emit e, cold; /* what runs, and what seldom does */
    uint8_t *code_start; /* rw, after the thunks */
    uint8_t *cold_start;
    struct jit_thunks thunk;
    uint8_t *meta;
    size_t meta_used;
    struct jit_block *hash[JIT_HASH];
    struct jit_page *by_page[JIT_PAGES];
    struct map_id map_ids[JIT_MAP_IDS];
    uint32_t map_heads[JIT_MAP_HEADS];
    unsigned nmaps;
    uint64_t epoch; /* counts flushes: older blocks are gone */
    /* Pages whose own code wrote to it, by number: no flag is dead there. */
    uint64_t careful[JIT_CAREFUL / 64];
    struct vm *vm;
    struct x86_features host; /* what the host's CPU can execute */
    uint8_t heat; /* JIT_HEAT; tests may have everything translated at once */
    bool avx512;  /* the host's vector registers are 32 ZMM, with opmasks */
    struct check *check; /* lock step: check.h; or NULL */
    /* By opcode row: GPRs that it changes without naming them. */
    uint32_t unnamed_gprs[JIT_ROWS];
    const struct engine_tuning *tuning;
    size_t meta_size;
    _Atomic bool stop_world;
};

/* The host register that has a guest's, or -1: it is in its slot. */
static inline int host_of(unsigned guest)
{
    switch (guest) {
    case RSP: return GUEST_RSP;
    case S0:
    case S1:
    case S2:
    case GUEST_RSP: return -1;
    default: return (int)guest;
    }
}

/* --- thunks.c --- */
void jit_emit_thunks(struct jit *j);

/* --- emit_copy.c --- */
void jit_know_rows(struct jit *j);

/* --- cache.c: lock held --- */
struct jit_block *jit_search(struct jit *j, gpa_t gpa, uint64_t rip,
                             uint32_t mode, uint64_t cs);
void jit_insert(struct jit *j, struct jit_block *b);
void jit_forget(struct jit *j, struct jit_block *b);
void jit_invalidate_page(struct jit *j, gpa_t page);
void jit_flush(struct jit *j);
void jit_connect(struct jit *j, struct jit_link *l, struct jit_block *to);
void *jit_meta_alloc(struct jit *j, size_t bytes);
bool jit_is_careful(const struct jit *j, gpa_t page);
void jit_be_careful(struct jit *j, gpa_t page);

/* Where CS is, as far as it is compiled in: its base, and its limit << 32. */
static inline uint64_t jit_cs(const struct cpu *c)
{
    const struct x86_seg *cs = &c->s.seg[CS];

    return in_code64(c) ? 0xffffffffull << 32
                        : (uint32_t)cs->base | (uint64_t)cs->limit << 32;
}

/* In 64-bit code and flat segments nothing is added to the mode. */
static inline bool jit_is_segmented(uint32_t mode)
{
    return !(mode & (MODE_CODE64 | MODE_FLAT));
}

/*
 * Odd modes, that programs pass through or change often, share a table of
 * targets: what lands there checks that the mode is its own.
 */
static inline bool jit_is_odd(uint32_t mode)
{
    enum { FLAT32 = MODE_FLAT | MODE_CODE32 | MODE_SS32 };

    return !(mode & MODE_CODE64) && (mode & FLAT32) != FLAT32;
}

/* The linear address of code at rip in that mode and CS. */
static inline gva_t jit_linear(uint32_t mode, uint64_t cs, uint64_t rip)
{
    return mode & MODE_CODE64 ? rip : (uint32_t)(rip + cs);
}

/* The linear address of b's nth page. */
static inline gva_t jit_block_page(const struct jit_block *b, unsigned n)
{
    gva_t a = (jit_linear(b->mode, b->cs, b->rip) & PAGE_MASK) + n * PAGE_SIZE;

    return b->mode & MODE_CODE64 ? a : (uint32_t)a;
}

/* --- maps.c --- */
/* The number of a mapping; 0: there are too many. Lock held. */
uint32_t jit_map_id(struct jit *j, gva_t page, gpa_t gpa, bool user);
/* That page has just been fetched from and is mapped so: code may rely on it.
   With the lock, or in_code. */
void jit_map_page(struct jit_cpu *c, uint32_t id);
/* Is it, as far as can be told without a fault? In_code. */
bool jit_is_mapped(struct jit_cpu *c, uint32_t id);
/* After flushes of the TLB: maps[] forgets what they ask for, no more. */
void jit_follow_flushes(struct jit_cpu *c);

/* --- targets.c: modes here are without MODE_ALONE --- */
unsigned jit_table(uint32_t mode);
/* Before translated code of this mode runs; the vCPU's own thread. */
void jit_own_table(struct jit_cpu *c, uint32_t mode);
/* As if no code had run; the vCPU is outside of it. */
void jit_disown_tables(struct jit_cpu *c);
/* For the next jump to b, which is not ALONE. */
void jit_set_target(struct jit_cpu *c, struct jit_block *b);
void jit_forget_target(struct jit_cpu *c, const struct jit_block *b);
/*
 * Where an indirect branch to rip would go, if anywhere: enter it with s.rip
 * set. It may still find that it is not the right one, and leave.
 */
const uint8_t *jit_target(struct jit_cpu *c, uint32_t mode, uint64_t rip);
/* A block that ran at rip lately, if it is still to be found here, or NULL. */
struct jit_block *jit_recent(struct jit_cpu *c, uint32_t mode, uint64_t rip);
/* b runs at a, and is too cold to be translated. */
void jit_set_cold(struct jit_cpu *c, gva_t a, struct block *b);
/* That block, if a is mapped to gpa and b still what the CPU would run there.
 */
struct block *jit_cold(struct jit_cpu *c, gva_t a, gpa_t gpa);
/* Makes translated code leave, soon; any thread. And the end of that. */
void jit_interrupt(struct jit_cpu *c);
void jit_uninterrupt(struct jit_cpu *c);

/* --- jit.c --- */
/* Runs translated code until it leaves, with the state in place. */
void jit_run_code(struct jit_cpu *j, const uint8_t *code);
/* jit_flush() with every other vCPU outside translated code. */
void jit_flush_world(struct jit_cpu *self);
/* RAM changed: what was made of it goes. */
void jit_forget_range(struct jit *j, gpa_t a, uint64_t n);

/* --- stress.c: now and then, between blocks; a: of the next --- */
void jit_stress(struct jit_cpu *j, gpa_t a);
/*
 * Where translated code goes on at s.rip without the loop, after a body that
 * ended its block. NULL: the loop must look.
 */
const uint8_t *jit_resume(struct cpu *c);
/* Likewise, where an indirect branch to s.rip, or an entry's check, missed. */
const uint8_t *jit_missed(struct cpu *c);

/* A short loop of one block, to be unrolled? */
bool block_is_loop(const struct block *ib);

/* --- translate.c: lock held; NULL: not this block --- */
struct jit_block *jit_translate(struct jit_cpu *j, struct block *ib,
                                const uint8_t *page, uint64_t rip,
                                uint32_t mode);

/* --- helpers.c: called by thunks --- */
enum jit_result jit_slow(struct cpu *c, const struct jit_insn *i, gva_t a);
enum jit_result jit_body(struct cpu *c, const struct jit_insn *i);
/* A body and then jit_resume(). */
const uint8_t *jit_body_end(struct cpu *c, const struct jit_insn *i);
void jit_fp_evict(struct jit_cpu *j);
enum jit_result jit_fp_need(struct cpu *c, const struct jit_insn *i,
                            unsigned which);
uint64_t jit_flags_to_rflags(uint16_t ax);
uint16_t jit_flags_from_rflags(uint64_t rflags);

/* --- stats.c --- */
void jit_stats(struct vcpu *v,
               void (*emit)(void *ctx, const char *name, uint64_t value),
               void *ctx);

/* --- host_x86.c --- */
struct cpuid_result jit_host_cpuid(uint32_t leaf, uint32_t subleaf);
void jit_host_features(struct x86_features *f); /* CPUID's bits, all */
bool jit_host_has_avx512(void);
void jit_host_relax(void); /* in a loop that waits for another thread */

/* Beside enum cpu_mode and the TLB mode: translated without groups. */
#define MODE_ALONE (1u << 26)

/* The key of a block: the CPU's mode and what else is compiled in. */
static inline uint32_t jit_mode(const struct cpu *c)
{
    return c->mode_key | (uint32_t)c->tlb_mode << 24;
}

#endif
