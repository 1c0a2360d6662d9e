/* Stacks of inner privileges, and the instructions that interrupt. SDM volume
   3, 5.8.5, 6.12 to 6.14, 7.7; INT n/INTO/INT3/INT1 in volume 2. */
#include "x86/flags.h"
#include "x86/ops/ops.h"
#include "x86/system.h"

/* --- code --- */

void enter_code(struct cpu *c, struct x86_seg *cs, uint64_t rip)
{
    desc_accessed(c, cs);
    c->s.seg[CS] = *cs;
    c->s.rip = rip;
}

void code_check_long(struct cpu *c, const struct x86_seg *cs)
{
    if (in_long_mode(c) && (cs->attr & SEG_L) && (cs->attr & SEG_DB))
        x86_raise_selector(c, EXC_GP, cs->sel, 0);
}

/* --- inner stacks --- */

struct stack tss_stack(struct cpu *c, unsigned dpl, unsigned ext)
{
    const struct x86_seg *tr = &c->s.tr;
    bool wide = seg_type(tr) & SYS_32;
    unsigned n = wide ? 4 : 2, at = wide ? dpl * 8 + 4 : dpl * 4 + 2;
    struct x86_seg ss;
    uint64_t sp;
    uint16_t sel;

    if (at + n + 1 > tr->limit)
        x86_raise_selector(c, EXC_TS, tr->sel, ext);
    sp = mem_read_system(c, tr->base + at, n);
    sel = (uint16_t)mem_read_system(c, tr->base + at + n, 2);
    ss = seg_check_stack(c, sel, dpl, EXC_TS, ext);
    return stack_make(&ss, sp, false, (sel & ~(uint32_t)SEL_RPL) | ext);
}

uint64_t tss_rsp(struct cpu *c, unsigned dpl, unsigned ist, unsigned ext)
{
    const struct x86_seg *tr = &c->s.tr;
    unsigned at = ist ? 28 + ist * 8 : 4 + dpl * 8;

    if (at + 7 > tr->limit)
        x86_raise_selector(c, EXC_TS, tr->sel, ext);
    return mem_read_system(c, tr->base + at, 8);
}

/* --- INT and its kin --- */

/*
 * Delivered here and now, with the return address behind the instruction; a
 * fault on the way is the instruction's own. They are not single-stepped:
 * TF is clear before the trap would be taken.
 */
static void interrupt(struct cpu *c, struct event *e)
{
    bool stepping = c->s.rflags & FLAG_TF;

    e->rip = c->s.rip;
    e->flags = flags_get(c);
    c->stats.exceptions++;
    x86_deliver_event(c, e);
    if (stepping)
        x86_unwind(c, UNWIND_RESTART);
}

void op_int(struct cpu *c, const struct insn *i)
{
    struct event e = {
        .vector = (uint8_t)i->imm, .software = true, .int_n = true};

    interrupt(c, &e);
}

void op_int3(struct cpu *c, const struct insn *i)
{
    struct event e = {.vector = EXC_BP, .software = true};

    (void)i;
    interrupt(c, &e);
}

void op_into(struct cpu *c, const struct insn *i)
{
    struct event e = {.vector = EXC_OF, .software = true};

    (void)i;
    if (flags_of(c))
        interrupt(c, &e);
}

/* As hardware's own: no DPL check, EXT set; DR6 and DR7 stay (SDM 6.4.4). */
void op_int1(struct cpu *c, const struct insn *i)
{
    struct event e = {.vector = EXC_DB, .ext = 1};

    (void)i;
    interrupt(c, &e);
}
