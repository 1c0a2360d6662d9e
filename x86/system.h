/*
 * What the system side of x86/ shares and bodies of other groups need not see:
 * descriptors, stacks other than the current one, gates, task switches.
 * Intel SDM volume 3, chapters 3, 5 to 8.
 *
 * Everything that checks takes what it raises on failure as (vector, ext):
 * the error code is the selector without its RPL, plus ext. ext is 1 while an
 * event that no instruction asked for is being delivered (SDM 6.13).
 *
 * Thread: the vCPU's own, as bodies.
 */
#ifndef X86_SYSTEM_H
#define X86_SYSTEM_H

#include "x86/mem.h"

/* Types of system descriptors (SDM table 3-2); in IA-32e mode the 16-bit ones
   are gone and the 32-bit ones are 64-bit. */
enum sys_type {
    SYS_TSS16 = 1,
    SYS_LDT = 2,
    SYS_TSS16_BUSY = 3,
    SYS_CALL16 = 4,
    SYS_TASK_GATE = 5,
    SYS_INT16 = 6,
    SYS_TRAP16 = 7,
    SYS_TSS32 = 9,
    SYS_TSS32_BUSY = 11,
    SYS_CALL32 = 12,
    SYS_INT32 = 14,
    SYS_TRAP32 = 15,
    SYS_BUSY = 2, /* the bit in TSS types */
    SYS_32 = 8,   /* likewise: 32-bit (64-bit) rather than 16-bit */
};

enum { SEL_RPL = 3, SEL_TI = 4 };

static inline bool sel_null(uint16_t sel)
{
    return !(sel & ~SEL_RPL);
}

static inline unsigned sel_rpl(uint16_t sel)
{
    return sel & SEL_RPL;
}

/* --- attributes of a segment --- */
static inline unsigned seg_type(const struct x86_seg *s)
{
    return s->attr & SEG_TYPE;
}

static inline unsigned seg_dpl(const struct x86_seg *s)
{
    return (s->attr & SEG_DPL) >> SEG_DPL_SHIFT;
}

static inline bool seg_present(const struct x86_seg *s)
{
    return s->attr & SEG_P;
}

static inline bool seg_is_code(const struct x86_seg *s)
{
    return (s->attr & (SEG_S | SEG_CODE)) == (SEG_S | SEG_CODE);
}

static inline bool seg_is_data(const struct x86_seg *s)
{
    return (s->attr & (SEG_S | SEG_CODE)) == SEG_S;
}

static inline bool seg_conforming(const struct x86_seg *s)
{
    return s->attr & SEG_CONFORMING;
}

/* A system segment or gate of this type? */
static inline bool seg_is_system(const struct x86_seg *s, enum sys_type type)
{
    return (s->attr & (SEG_S | SEG_TYPE)) == (uint32_t)type;
}

static inline bool seg_is_tss(const struct x86_seg *s)
{
    return (s->attr & (SEG_S | 5)) == 1;
}

/* --- addresses --- */
/* In the paging mode in use: CR4.LA57 or not. Base registers and MSRs go by
   what the model could have: is_canonical(). */
static inline bool x86_canonical(const struct cpu *c, uint64_t a)
{
    return (uint64_t)sign_extend(a, c->s.cr4 & CR4_LA57 ? 57 : 48) == a;
}

/* --- x86/exception.c --- */
NORETURN void x86_raise_selector(struct cpu *c, unsigned vector, uint16_t sel,
                                 unsigned ext);

/* --- x86/mode.c --- */
/*
 * Until x86_mode_changed() (which raising does too): memory is accessed as
 * code of this privilege would, with 64-bit addresses or without. For stacks
 * of a privilege or mode that is about to begin.
 */
void x86_access_as(struct cpu *c, unsigned cpl, bool code64);

/* --- x86/descriptor.c --- */
/* The eight bytes of a descriptor; false: null or outside its table. */
bool desc_read(struct cpu *c, uint16_t sel, uint64_t *raw);
/* Likewise of the upper eight bytes of a 16-byte one. */
bool desc_read_high(struct cpu *c, uint16_t sel, uint64_t *raw);
/* The same, raising (vector, sel, ext). */
uint64_t desc_get(struct cpu *c, uint16_t sel, unsigned vector, unsigned ext);
/* Bits 63:32 of the base of a 16-byte one, in place; its type bits must be
   clear. #GP(sel). */
uint64_t desc_get_high(struct cpu *c, uint16_t sel);
struct x86_seg desc_segment(uint16_t sel, uint64_t raw);
/* Sets the A bit, in memory too, unless it is set. */
void desc_accessed(struct cpu *c, struct x86_seg *s);
/* Sets or clears the busy bit of a TSS in the GDT. */
void desc_busy(struct cpu *c, uint16_t sel, bool busy);
/* Faults now if writing the descriptor would. */
void desc_probe_write(struct cpu *c, uint16_t sel);

struct gate {
    uint64_t offset;
    uint16_t sel;
    uint8_t attr;   /* as struct x86_seg's: P, DPL, S, type */
    uint8_t params; /* of call gates */
    uint8_t ist;    /* in IA-32e mode */
};
struct gate desc_gate(uint64_t raw);

/* --- x86/segment.c --- */
/* A null selector's segment; what null means depends on who asks. */
struct x86_seg seg_null(uint16_t sel, unsigned dpl);
/* In real and virtual-8086 mode. */
struct x86_seg seg_real(const struct cpu *c, unsigned n, uint16_t sel);
/*
 * The segments that sel may load into DS, ES, FS or GS (not null), into SS at
 * cpl, marked as accessed. Nothing of the CPU's state changes.
 */
struct x86_seg seg_check_data(struct cpu *c, uint16_t sel, unsigned cpl,
                              unsigned vector, unsigned ext);
struct x86_seg seg_check_stack(struct cpu *c, uint16_t sel, unsigned cpl,
                               unsigned vector, unsigned ext);
/* Load a segment register as MOV would; all but CS. */
void seg_load(struct cpu *c, unsigned n, uint16_t sel);
/* Is [offset, offset + n) inside the segment's limit? */
bool seg_within(const struct x86_seg *s, uint64_t offset, unsigned n);
/* #GP(ext) unless rip may be executed in cs. */
void seg_check_rip(struct cpu *c, const struct x86_seg *cs, uint64_t rip,
                   unsigned ext);

/*
 * A stack, the current one or one about to become it. Pushes and pops fault
 * and change memory, but never the CPU's registers: stack_done() does.
 */
struct stack {
    struct x86_seg seg;
    uint64_t sp;
    uint64_t mask;  /* of sp: 16, 32 or 64 bits */
    uint32_t error; /* of #SS */
};
struct stack stack_current(struct cpu *c);
struct stack stack_make(const struct x86_seg *ss, uint64_t sp, bool code64,
                        uint32_t error);
/* Raises #SS unless n-byte pushes have room count times. */
void stack_need(struct cpu *c, const struct stack *k, unsigned count,
                unsigned n);
void stack_push(struct cpu *c, struct stack *k, uint64_t v, unsigned n);
uint64_t stack_pop(struct cpu *c, struct stack *k, unsigned n);
/* sp back into RSP, of which a 16-bit stack changes the low half only. */
void stack_done(struct cpu *c, const struct stack *k);

/* What goes onto a stack in one go, first to last; 35: call gates. */
struct frame {
    uint64_t word[36];
    unsigned n;
};
static inline void frame_add(struct frame *f, uint64_t v)
{
    f->word[f->n++] = v;
}
void frame_push(struct cpu *c, struct stack *k, const struct frame *f,
                unsigned size);

/* --- x86/gate.c --- */
/* The last that can fault (the A bit), then CS and s.rip. */
void enter_code(struct cpu *c, struct x86_seg *cs, uint64_t rip);
/* #GP of the selector for code that IA-32e mode cannot run: L and D both. */
void code_check_long(struct cpu *c, const struct x86_seg *cs);
/* The stack for privilege dpl from the current TSS (16- or 32-bit). */
struct stack tss_stack(struct cpu *c, unsigned dpl, unsigned ext);
/* In IA-32e mode: RSP 0 to 2, or ist (1 to 7). */
uint64_t tss_rsp(struct cpu *c, unsigned dpl, unsigned ist, unsigned ext);

/* --- x86/far.c: what RET and IRET share --- */
/* The code segment returned to; its RPL is the CPL there. */
struct x86_seg return_code(struct cpu *c, uint16_t sel);
/* The stack that was popped for it. */
struct stack return_stack(struct cpu *c, const struct x86_seg *cs, uint16_t sel,
                          uint64_t sp);
/* Takes CS, rip and stack; to an outer privilege drops data segments that it
   may not use. x86_mode_changed() is left to the caller. */
void return_outer(struct cpu *c, struct x86_seg *cs, uint64_t rip,
                  const struct stack *k);

/* --- x86/task.c --- */
enum task_why { TASK_JMP, TASK_CALL, TASK_INT, TASK_IRET };
/*
 * Switches to the task of a TSS selector, whose descriptor must be that of a
 * TSS (IRET: a busy one) or vector is raised. s.rip and flags are what the old
 * task goes on with. A fault either comes before anything has changed or is
 * the new task's; c->insn is then NULL.
 */
void x86_task_switch(struct cpu *c, uint16_t tss, enum task_why why,
                     uint64_t flags, unsigned ext);

/* --- x86/deliver.c --- */
struct event {
    uint8_t vector;
    bool has_error;
    bool software; /* INT n, INT3, INTO: DPL check */
    bool int_n;    /* INT n only: virtual-8086 redirection */
    uint8_t ext;
    uint32_t error;
    uint64_t rip;   /* to push */
    uint64_t flags; /* to push */
};
/* Through the IVT or IDT, in every mode. */
void x86_deliver_event(struct cpu *c, const struct event *e);

/* After EFLAGS came from a stack or TSS: #GP(0) if VIF and VIP are both set
   where they count (SDM 20.3.2). s.rip is the new one. */
void x86_check_vip(struct cpu *c);

/* --- x86/ops/control.c --- */
/*
 * CR3 from a TSS or MOV, without bit 63: loads PDPTEs under PAE paging and
 * drops translations that are not global. False, and nothing has changed: a
 * PDPTE has reserved bits set.
 */
bool x86_load_cr3(struct cpu *c, uint64_t cr3);

/* --- x86/ops/descriptor.c --- */
/* #GP(0) for SGDT and its kin where CR4.UMIP forbids them. */
void x86_check_umip(struct cpu *c);

/* --- x86/ops/debug.c --- */
/* DR6 bits of the instruction breakpoints at linear. */
uint64_t x86_code_breakpoints_at(const struct cpu *c, gva_t linear);

#endif
