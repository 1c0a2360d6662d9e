/*
 * One block's translation in progress. Internal to engine/jit.
 */
#ifndef JIT_TRANSLATE_H
#define JIT_TRANSLATE_H

#include "engine/jit/jit.h"
#include "x86/flags.h"

/* Out-of-line code, written after the block. */
enum stub_kind {
    STUB_MEMORY, /* a TLB probe missed */
    STUB_BODY,   /* the fast way does not fit these operands */
    STUB_LINK,   /* a direct branch that is not linked */
    STUB_LEAVE,  /* leave for RIP `target` */
};

struct stub {
    enum stub_kind kind;
    uint8_t *from;        /* rw: after the rel32 that comes here */
    uint8_t *back;        /* rw: where to go on */
    const uint8_t *retry; /* rx */
    const struct jit_insn *insn;
    struct jit_link *link;
    uint64_t target;
    bool ends; /* a branch: done means leave */
};

enum { STUBS = BLOCK_INSNS * 4 + 8 };

struct trans {
    struct jit *j;
    struct jit_cpu *cpu; /* who translates */
    struct emit *e;
    const struct block *ib;
    struct jit_block *b;
    uint64_t rip;
    const uint8_t *page; /* the guest page that holds the block */
    uint32_t mode;
    unsigned mode_id;
    /* Status flags that someone may read, after each instruction. */
    uint16_t live[BLOCK_INSNS];
    unsigned k; /* the instruction at hand */
    /* Where the guest's flags are; both false: nowhere, they are dead. */
    bool in_eflags, in_slot;
    uint8_t fp; /* FP_* known to be live */
    struct stub stub[STUBS];
    unsigned nstubs;
    struct jit_insn *insn[BLOCK_INSNS]; /* made on demand */
    bool ended; /* control does not fall out of the end */
};

/* --- translate.c --- */
struct stub *trans_stub(struct trans *t, enum stub_kind kind, uint8_t *from);
/* What the row says of flags, with the exceptions that depend on operands. */
void insn_flags(const struct insn *i, uint16_t *reads, uint16_t *kills);

/* --- emit_common.c --- */
/* The guest's flags this instruction must find or keep. */
uint16_t flags_needed(const struct trans *t, const struct insn *i);
void flags_save(struct trans *t);    /* to the slot, before EFLAGS go */
void flags_restore(struct trans *t); /* to EFLAGS */
/* Before code that clobbers EFLAGS. */
void flags_yield(struct trans *t, uint16_t needed);
struct jit_insn *trans_insn(struct trans *t, const struct insn *i,
                            unsigned bytes, bool write, unsigned align);
void emit_ea(struct trans *t, const struct insn *i);
/* S0 linear → S0 host address; clobbers S1, S2, EFLAGS. */
void emit_probe(struct trans *t, const struct jit_insn *ji, bool ends);
void emit_body(struct trans *t, const struct insn *i);
void emit_fp_need(struct trans *t, const struct insn *i, unsigned which);
/* Host register of a guest one, or -1. */
int host_of(unsigned guest);
/* The host register that has guest's value: its own, or scratch, loaded. */
unsigned emit_get(struct trans *t, unsigned guest, unsigned scratch);

static inline uint64_t next_rip(const struct trans *t, const struct insn *i)
{
    return t->rip + i->pos + i->len;
}

/* --- emit_copy.c, emit_branch.c: false: not one of theirs --- */
bool emit_copy(struct trans *t, const struct insn *i);
bool emit_special(struct trans *t, const struct insn *i);
void emit_fallthrough(struct trans *t, uint64_t target);

#endif
