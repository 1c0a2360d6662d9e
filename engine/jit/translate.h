/*
 * One block's translation in progress. Internal to engine/jit.
 */
#ifndef JIT_TRANSLATE_H
#define JIT_TRANSLATE_H

#include "engine/jit/jit.h"
#include "x86/flags.h"

/*
 * A memory access to be emitted: i's memory operand, or the stack or a string
 * at [reg + disp].
 */
struct access {
    const struct insn *i; /* of the block: stubs look at it again */
    bool implied;         /* not i's memory operand but [reg + disp] */
    uint8_t reg;          /* implied: where; */
    uint8_t seg, asize;   /* its segment, the bytes of reg that count */
    int32_t disp;
    uint8_t bytes;
    uint8_t align;  /* address bits that must be zero */
    uint16_t reach; /* the index adds no more than that: see emit_group.c */
    bool write;
    bool ends; /* of a branch: when its body has run, leave */
};

enum { NO_BASE = 0xff };

/* What a probe is to find on one page. */
struct extent {
    uint16_t span; /* bytes */
    uint8_t align; /* low address bits that must be zero */
    bool write;
};

/* Where a checked access is: [base + index + disp]. */
struct place {
    uint8_t base, index;
    int32_t disp;
};

/*
 * Accesses that share one check: all at the same registers, which keep their
 * values or change by known amounts, from lo to hi, on one page. The first
 * group's addend is in S2: the stack's, where the block uses it. Those of
 * others are in memory. When they are not on one page, the block is left for a
 * translation without groups.
 */
struct group {
    bool active, write;
    uint8_t base, index, scale; /* guest registers; index: or REG_NONE */
    uint8_t seg, asize;         /* outside 64-bit code: as in struct access; seg
                                   NO_BASE: a flat one */
    uint8_t align;              /* address bits that are zero at lo */
    int32_t moved;              /* the address has, since the group began */
    int64_t lo, hi;             /* bytes, from the address at the beginning */
};

/* Out-of-line code, written after the block. */
enum stub_kind {
    STUB_MEMORY,   /* a TLB probe missed */
    STUB_STACK,    /* not on the stack's page that was used last */
    STUB_BODY,     /* the fast way does not fit these operands */
    STUB_BODY_END, /* likewise, of an instruction that ends the block */
    STUB_ALONE,    /* a group is beyond its segment's end */
    STUB_FP,       /* vector or x87 state is not live */
    STUB_LINK,     /* a direct branch that is not linked */
    STUB_SAVE,     /* likewise, with flags to be saved first */
    STUB_LEAVE,    /* leave for RIP `target` */
    STUB_MISSED,   /* likewise: its page is not mapped as it was */
};

struct stub {
    enum stub_kind kind;
    uint8_t *from;        /* rw: after the rel32 that comes here */
    uint8_t *back;        /* rw: where to go on */
    const uint8_t *retry; /* rx */
    const struct jit_insn *insn;
    struct jit_link *link;
    uint64_t target;
    struct access access; /* STUB_MEMORY: to compute the address again */
    int32_t group_lo;     /* of a group: the lowest byte, else the access */
    /* STUB_STACK: what was checked, and where S2 has been loaded. */
    struct extent extent;
    const uint8_t *hit; /* rx */
    uint8_t fp;         /* STUB_FP: which */
};

/*
 * What is translated as one: a decoded block and those that follow it on its
 * page where it ends with a conditional branch that is not taken.
 */
enum { STUBS = TRACE_INSNS * 6 + 8 };

struct trans {
    struct jit *j;
    struct jit_cpu *cpu; /* who translates */
    struct emit *e;
    struct code_page *guest_page;
    struct jit_block *b;
    uint64_t rip;
    const uint8_t *page; /* the guest page that holds the block */
    uint32_t mode;
    bool wide;      /* 64-bit code; else 32- or 16-bit code */
    unsigned stack; /* bytes of rSP that count */
    bool careful;   /* the code may change under the block: no flag is dead */
    uint32_t next_mode; /* of what direct branches go to */
    unsigned k;         /* the instruction at hand */
    /* Where the guest's flags are; both false: nowhere, they are dead. */
    bool in_eflags, in_slot;
    uint8_t fp; /* FP_* known to be live */
    bool uses_stack;
    int32_t owed;  /* to rsp, in a row of pushes and pops */
    unsigned turn; /* instructions of a loop that is unrolled, or 0 */
    struct group group[GROUPS];
    bool ended;      /* control does not fall out of the end */
    unsigned n, len; /* instructions, and their bytes */
    unsigned nout, nstubs;
    uint16_t live_end; /* status flags live where control falls out */
    /* Nothing below is set to begin with. */
    struct insn insn[TRACE_INSNS]; /* pos from the first one's */
    /*
     * Status flags that someone may read: after each instruction, and where
     * each branch leaves the block.
     */
    uint16_t live[TRACE_INSNS], live_taken[TRACE_INSNS];
    struct stub stub[STUBS];
};

/* --- translate.c --- */
struct stub *trans_stub(struct trans *t, enum stub_kind kind, uint8_t *from);
/* What the row says of flags, with the exceptions that depend on operands. */
void insn_flags(const struct insn *i, uint16_t *reads, uint16_t *kills);

/* --- emit_common.c --- */
/* The guest's flags this instruction must find or keep. */
uint16_t flags_needed(const struct trans *t, const struct insn *i);
void flags_save(struct trans *t);    /* to the slot, before EFLAGS go */
void flags_restore(struct trans *t); /* to EFLAGS; both clobber S0 */
/* Before code that clobbers EFLAGS. */
void flags_yield(struct trans *t, uint16_t needed);
struct jit_insn *trans_insn(struct trans *t, const struct insn *i);
void emit_body(struct trans *t, const struct insn *i);
/* Its body instead of what follows, on that condition: nothing has changed. */
void emit_body_if(struct trans *t, const struct insn *i, unsigned cc);
void emit_fp_need(struct trans *t, const struct insn *i, unsigned which);
/* The host register that has guest's value: its own, or scratch, loaded. */
unsigned emit_get(struct trans *t, unsigned guest, unsigned scratch);
/* Stores a scratch register to a displaced guest register. */
void emit_put(struct trans *t, unsigned guest, unsigned scratch);

/* RIP as wide as the mode has it. */
static inline uint64_t as_rip(const struct trans *t, uint64_t rip)
{
    return t->wide ? rip : (uint32_t)rip;
}

/* Of the block: what is jumped to may lie before its beginning. */
static inline uint64_t rip_of(const struct trans *t, const struct insn *i)
{
    return t->rip + (uint64_t)(int16_t)i->pos;
}

static inline uint64_t next_rip(const struct trans *t, const struct insn *i)
{
    return as_rip(t, rip_of(t, i) + i->len);
}

static inline bool is_last(const struct trans *t)
{
    return t->k + 1 == t->n;
}

/* The end of an unrolled loop's turn that another one follows? */
static inline bool is_turn(const struct trans *t, unsigned k)
{
    return t->turn && (k + 1) % t->turn == 0 && k + 1 < t->n;
}

/* The linear address of code. */
static inline gva_t fetch_address(const struct trans *t, uint64_t rip)
{
    return jit_linear(t->mode, t->b->cs, rip);
}

/* Is code at rip on the block's first page? */
static inline bool is_on_page(const struct trans *t, uint64_t rip)
{
    return !((fetch_address(t, rip) ^ fetch_address(t, t->rip)) & PAGE_MASK);
}

/* The last RIP inside CS, where that is all that is checked. */
static inline uint32_t code_limit(const struct trans *t)
{
    return (uint32_t)(t->b->cs >> 32);
}

/* Where a direct branch goes: its operand size cuts that. */
static inline uint64_t branch_target(const struct trans *t,
                                     const struct insn *i, uint64_t next)
{
    return as_rip(t, next + i->imm) &
           (t->wide || i->osize != 2 ? ~0ull : 0xffff);
}

/* A branch that depends on something. */
bool is_conditional(const struct insn *i);

/* --- emit_memory.c --- */
/* From host rsp, of the TLB's first entry for this mode. */
int32_t tlb_offset(const struct trans *t);
/* Of [base + disp], stack accesses too. */
unsigned base_of(const struct access *a);
int32_t disp_of(const struct access *a);
unsigned segment_of(const struct access *a);
unsigned address_bytes(const struct access *a);
/* Does its segment have a base? Only 64-bit code has none of a limit then. */
bool has_base(const struct trans *t, const struct access *a);
/* Are all offsets of 16 bits known to be inside? */
bool is_roomy(const struct trans *t, unsigned seg, bool write);
/* [base + disp] with nothing more. */
bool is_simple(const struct trans *t, const struct access *a);
bool has_fixed_address(const struct access *a);
/* Address bits that must be zero for the fast way. */
unsigned align_of(const struct access *a);
/* The offset in its segment, plus more, into `to`; clobbers S0 and S1. */
void emit_offset(struct trans *t, const struct access *a, int32_t more,
                 unsigned to);
/* The linear address, likewise. */
void emit_linear(struct trans *t, const struct access *a, int32_t more,
                 unsigned to);
/*
 * `to` = the addend of the page that holds what is at a + lo. S0 and S1 are
 * clobbered, and EFLAGS. keep: S2 = the address.
 */
struct jit_insn *emit_probe(struct trans *t, const struct access *a, int32_t lo,
                            const struct extent *x, unsigned to, bool keep);
/*
 * The same for an address that is known, and so is its entry: false where it
 * is misaligned or not on one page.
 */
bool emit_fixed(struct trans *t, const struct access *a, bool restore,
                struct place *p);
/*
 * S2 = the addend of the page that the stack is on, likewise: known at once
 * where it is the page that was used last.
 */
struct jit_insn *emit_stack_probe(struct trans *t, const struct access *a,
                                  int32_t lo, const struct extent *x);

/* --- emit_group.c --- */
/*
 * Checks an access and says where it is. S0 and S1 are clobbered and may be
 * part of the place; EFLAGS are, unless a group covers the access. If
 * `restore`, the guest's flags are in EFLAGS afterwards.
 */
struct place emit_access(struct trans *t, const struct access *a, bool restore);
/* Does anything go by way of rsp? */
bool uses_stack(const struct trans *t);
/* From host rsp. */
int32_t base_of_segment(unsigned seg);
/* mov of n bytes, 2 to 8, between a register and a place */
void move_place(struct trans *t, unsigned op, const struct place *p,
                unsigned reg, unsigned n);
/* `to` = n bytes there, 2 to 8, with nothing above them. */
void load_place(struct trans *t, const struct place *p, unsigned to,
                unsigned n);
void store_place(struct trans *t, const struct place *p, unsigned from,
                 unsigned n);
/* A scratch register that p leaves. */
unsigned spare(struct trans *t, const struct place *p);
/* Is it known to be in a group, so that it cannot fault? */
bool group_has(const struct trans *t, const struct access *a);
/* A register has moved by a known amount. */
void group_moved(struct trans *t, unsigned reg, int32_t by);
/* After an instruction: which groups survive it? */
void group_after(struct trans *t, const struct insn *i);
/* What the groups knew may be so no longer. */
void group_drop(struct trans *t);
/* S2 is needed for something else. */
void group_drop_s2(struct trans *t);

/* Pads so that a rel32 after an opcode can be patched in one piece. */
void align_patch(struct emit *e, unsigned opcode_bytes);

/* --- emit_copy.c, emit_branch.c: false: not one of theirs --- */
bool emit_copy(struct trans *t, const struct insn *i);
bool emit_special(struct trans *t, const struct insn *i);
/* rSP += by, as wide as the stack is, or soon. Clobbers S1. */
void move_rsp(struct trans *t, int32_t by);
/* rSP as the guest has it. Clobbers S1. */
void settle_rsp(struct trans *t);
/* --- emit_branch.c, leaving a block --- */
void emit_fallthrough(struct trans *t, uint64_t target);
struct jit_link *trans_link(struct trans *t);
/*
 * To the guest address in S0 in that mode, by way of its table of
 * targets. ji: the branch, for check_target(); NULL: no need.
 */
void emit_dispatch(struct trans *t, uint32_t mode, const struct jit_insn *ji);
/* --- emit_copy.c --- */
/* BT, BTS, BTR or BTC of memory by a register. */
bool is_bit_string(const struct insn *i);
bool emit_bit_string(struct trans *t, const struct insn *i);
/* Scratch registers that p leaves (all: NULL), into out[3]; their number. */
unsigned free_scratch(const struct place *p, uint8_t *out);
/* May emit_copy() take it? */
bool copy_refused(const struct trans *t, const struct insn *i);
int memory_operand(const struct insn *i); /* its index, or -1 */
/* Under an opmask: an access that the mask stops does not fault. */
bool is_masked(const struct insn *i);
bool writes_operand(const struct opcode *row, unsigned k);
/* GPRs that an instruction changes, as a mask; ALL_GPRS: any, maybe. */
uint32_t written_gprs(const struct trans *t, const struct insn *i);
/* The access of n bytes at SS:reg + disp. */
struct access at_stack(const struct trans *t, const struct insn *i,
                       unsigned reg, int32_t disp, unsigned n);
/* Stack accesses of PUSH, POP, CALL, RET: true and what they do. */
bool stack_access(const struct trans *t, const struct insn *i, struct access *a,
                  int32_t *moves);

/* --- emit_system.c --- */
bool emit_system(struct trans *t, const struct insn *i); /* as emit_copy() */
/* S0 = what PUSHF pushes; the status flags are in the slot. Clobbers S1. */
void flags_image(struct trans *t);
/* and (4), or (1) or the like: dword [rsp + disp], imm32 */
void change_mem32(struct trans *t, unsigned alu, int32_t disp, uint32_t imm);
/* test dword [rsp + disp], imm32 */
void test_mem32(struct trans *t, int32_t disp, uint32_t imm);
/* scratch = a as it would be canonical; "not equal" when it is not. */
void emit_canonical(struct trans *t, unsigned scratch, unsigned a);

static inline bool is_kernel(const struct trans *t)
{
    return !(t->mode & MODE_CPL);
}

/*
 * Real or virtual-8086 mode with plain segments: loading one changes nothing
 * but its selector and base.
 */
static inline bool is_real(const struct trans *t)
{
    return (!(t->mode & MODE_PE) || (t->mode & MODE_VM86)) &&
           (t->mode & MODE_64K);
}

/* --- emit_segment.c --- */
/* From host rsp. */
int32_t base_of_segment(unsigned seg);
/* movzx to, the selector in a segment register */
void load_selector(struct trans *t, unsigned to, unsigned seg);
/* One after which the code goes on as it is. */
bool is_segment_load(const struct trans *t, const struct insn *i);
bool emit_from_sreg(struct trans *t, const struct insn *i);
bool emit_push_sreg(struct trans *t, const struct insn *i);
/* These where is_real(). */
bool emit_to_sreg(struct trans *t, const struct insn *i);
bool emit_pop_sreg(struct trans *t, const struct insn *i);
bool emit_lxs(struct trans *t, const struct insn *i);
bool emit_jmp_far(struct trans *t, const struct insn *i);
bool emit_call_far(struct trans *t, const struct insn *i);
bool emit_ret_far(struct trans *t, const struct insn *i);

/* --- emit_string.c: as emit_copy() --- */
bool emit_movs(struct trans *t, const struct insn *i);
bool emit_stos(struct trans *t, const struct insn *i);
bool emit_lods(struct trans *t, const struct insn *i);
bool emit_scas(struct trans *t, const struct insn *i);
bool emit_cmps(struct trans *t, const struct insn *i);

/* --- emit_mode.c: as emit_copy() --- */
bool emit_syscall(struct trans *t, const struct insn *i);
bool emit_sysret(struct trans *t, const struct insn *i);
bool emit_stac(struct trans *t, const struct insn *i);
bool emit_clac(struct trans *t, const struct insn *i);

#endif
