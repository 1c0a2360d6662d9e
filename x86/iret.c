/* IRET in every mode. SDM volume 2, IRET; volume 3, 7.4, 20.2.6, 20.3. */
#include "x86/flags.h"
#include "x86/ops/ops.h"
#include "x86/system.h"

/* Bits that POPF and IRET may load at all; bit 1 stays set. */
enum {
    FLAGS_16 = FLAGS_STATUS | FLAG_TF | FLAG_IF | FLAG_DF | FLAG_OF |
               FLAG_IOPL | FLAG_NT,
    FLAGS_32 = FLAGS_16 | FLAG_RF | FLAG_AC | FLAG_ID,
    FLAGS_VIRTUAL = FLAG_VIF | FLAG_VIP,
};

struct returning {
    uint64_t rip, flags;
    uint16_t cs;
    unsigned size;
};

static struct returning pop_return(struct cpu *c, struct stack *k,
                                   unsigned size)
{
    struct returning r = {.size = size};

    r.rip = stack_pop(c, k, size);
    r.cs = (uint16_t)stack_pop(c, k, size);
    r.flags = stack_pop(c, k, size);
    return r;
}

void x86_check_vip(struct cpu *c)
{
    uint64_t f = c->s.rflags;
    bool counts =
        in_vm86(c) ? c->s.cr4 & CR4_VME
                   : in_protected(c) && c->s.cpl == 3 && (c->s.cr4 & CR4_PVI);

    if (likely((f & FLAGS_VIRTUAL) != FLAGS_VIRTUAL) || !counts)
        return;
    c->insn = NULL; /* the fault is the next instruction's */
    x86_raise_gp0(c);
}

/* --- real and virtual-8086 mode --- */

static void iret_real(struct cpu *c, struct stack *k, unsigned size)
{
    struct returning r = pop_return(c, k, size);
    struct x86_seg cs = seg_real(c, CS, r.cs);
    uint64_t mask = size == 2 ? FLAGS_16 : FLAGS_32;

    seg_check_rip(c, &cs, r.rip, 0);
    if (in_vm86(c))
        mask &= ~(uint64_t)FLAG_IOPL;
    c->s.seg[CS] = cs;
    c->s.rip = r.rip;
    stack_done(c, k);
    flags_change(c, mask, r.flags);
    x86_mode_changed(c);
}

/* Virtual-8086 mode with IOPL below 3: VME gives IF a virtual one. */
static void iret_vme(struct cpu *c, struct stack *k, unsigned size)
{
    enum { LOADED = FLAGS_16 & ~(FLAG_IOPL | FLAG_IF | FLAG_TF) };
    struct returning r;
    struct x86_seg cs;

    if (!(c->s.cr4 & CR4_VME) || size != 2)
        x86_raise_gp0(c);
    r = pop_return(c, k, size);
    cs = seg_real(c, CS, r.cs);
    seg_check_rip(c, &cs, r.rip, 0);
    if ((r.flags & FLAG_TF) ||
        ((r.flags & FLAG_IF) && (c->s.rflags & FLAG_VIP)))
        x86_raise_gp0(c);
    c->s.seg[CS] = cs;
    c->s.rip = r.rip;
    stack_done(c, k);
    flags_change(c, LOADED | FLAG_VIF,
                 (r.flags & LOADED) | (r.flags & FLAG_IF ? FLAG_VIF : 0));
    x86_mode_changed(c);
}

/* --- protected mode --- */

static void iret_task(struct cpu *c)
{
    bool stepping = c->s.rflags & FLAG_TF;
    uint16_t link = (uint16_t)mem_read_system(c, c->s.tr.base, 2);

    x86_task_switch(c, link, TASK_IRET, flags_get(c), 0);
    seg_check_rip(c, &c->s.seg[CS], c->s.rip, 0);
    x86_check_vip(c);
    if (stepping)
        x86_unwind(c, UNWIND_RESTART);
}

/* Into virtual-8086 mode: six more words. The high half of EIP is ignored. */
static void iret_to_vm86(struct cpu *c, struct stack *k,
                         const struct returning *r)
{
    static const uint8_t order[] = {SS, ES, DS, FS, GS};
    uint64_t esp = stack_pop(c, k, 4);
    uint16_t sel[ARRAY_LEN(order)];

    for (unsigned n = 0; n < ARRAY_LEN(order); n++)
        sel[n] = (uint16_t)stack_pop(c, k, 4);
    flags_change(c, FLAGS_32 | FLAGS_VIRTUAL | FLAG_VM, r->flags);
    x86_mode_changed(c);
    c->s.seg[CS] = seg_real(c, CS, r->cs);
    for (unsigned n = 0; n < ARRAY_LEN(order); n++)
        c->s.seg[order[n]] = seg_real(c, order[n], sel[n]);
    c->s.rip = r->rip & 0xffff;
    c->s.gpr[RSP] = esp;
    x86_mode_changed(c);
    x86_check_vip(c);
}

/* Which flags the privilege that IRET ran at may load. */
static uint64_t loadable(const struct cpu *c, unsigned size)
{
    uint64_t mask =
        (size == 2 ? FLAGS_16 : FLAGS_32) & ~(uint64_t)(FLAG_IF | FLAG_IOPL);
    unsigned iopl = (unsigned)(c->s.rflags & FLAG_IOPL) >> 12;

    if (c->s.cpl <= iopl)
        mask |= FLAG_IF;
    if (c->s.cpl == 0)
        mask |= FLAG_IOPL | (size == 2 ? 0 : FLAGS_VIRTUAL);
    return mask;
}

static void iret_protected(struct cpu *c, struct stack *k,
                           const struct returning *r)
{
    struct x86_seg cs = return_code(c, r->cs);
    uint64_t mask = loadable(c, r->size), sp;
    uint16_t ss;

    if (sel_rpl(cs.sel) > c->s.cpl || in_code64(c)) {
        sp = stack_pop(c, k, r->size);
        ss = (uint16_t)stack_pop(c, k, r->size);
        *k = return_stack(c, &cs, ss, sp);
    }
    seg_check_rip(c, &cs, r->rip, 0);
    return_outer(c, &cs, r->rip, k);
    flags_change(c, mask, r->flags);
    x86_mode_changed(c);
    x86_check_vip(c);
}

void op_iret(struct cpu *c, const struct insn *i)
{
    struct stack k = stack_current(c);
    struct returning r;

    c->s.nmi_blocked = false; /* even if it faults */
    if (in_vm86(c) && (c->s.rflags & FLAG_IOPL) != FLAG_IOPL) {
        iret_vme(c, &k, i->osize);
        return;
    }
    if (!in_protected(c)) {
        iret_real(c, &k, i->osize);
        return;
    }
    if (c->s.rflags & FLAG_NT) {
        if (in_long_mode(c))
            x86_raise_gp0(c);
        iret_task(c);
        return;
    }
    r = pop_return(c, &k, i->osize);
    if ((r.flags & FLAG_VM) && i->osize == 4 && c->s.cpl == 0 &&
        !in_long_mode(c))
        iret_to_vm86(c, &k, &r);
    else
        iret_protected(c, &k, &r);
}
