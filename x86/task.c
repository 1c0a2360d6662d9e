/*
 * Task switches through 16- and 32-bit TSSs. SDM volume 3, chapter 8 (7 in
 * older editions): tables "Exception Conditions Checked During a Task Switch"
 * and "Effect of a Task Switch on Busy Flag, NT Flag, ...".
 */
#include "x86/flags.h"
#include "x86/system.h"

/* Where a TSS keeps what; fields are `size` bytes, selectors 2. */
struct tss_layout {
    uint8_t size, ip, flags, gpr, seg, nseg, ldt;
    uint8_t limit; /* at least */
};
static const struct tss_layout layout16 = {2, 14, 16, 18, 34, 4, 42, 43};
static const struct tss_layout layout32 = {4, 32, 36, 40, 72, 6, 96, 103};
enum { TSS32_CR3 = 28, TSS32_TRAP = 100 };

enum {
    TASK_FLAGS = FLAGS_STATUS | FLAG_TF | FLAG_IF | FLAG_DF | FLAG_IOPL |
                 FLAG_NT | FLAG_RF | FLAG_VM | FLAG_AC | FLAG_VIF | FLAG_VIP |
                 FLAG_ID,
    DR7_LOCAL = 0x155, /* L0 to L3, LE */
};

struct task {
    const struct tss_layout *layout;
    uint64_t rip, flags, gpr[8], cr3;
    uint16_t seg[6], ldt;
    bool trap;
};

static const struct tss_layout *layout_of(const struct x86_seg *tss)
{
    return seg_type(tss) & SYS_32 ? &layout32 : &layout16;
}

static struct x86_seg check_tss(struct cpu *c, uint16_t sel, enum task_why why,
                                unsigned ext)
{
    unsigned vector = why == TASK_IRET ? EXC_TS : EXC_GP;
    struct x86_seg tss;
    bool busy;

    if (in_long_mode(c) || (sel & SEL_TI))
        x86_raise_selector(c, vector, sel, ext);
    tss = desc_segment(sel, desc_get(c, sel, vector, ext));
    busy = tss.attr & SYS_BUSY;
    if (!seg_is_tss(&tss) || busy != (why == TASK_IRET))
        x86_raise_selector(c, vector, sel, ext);
    if (!seg_present(&tss))
        x86_raise_selector(c, EXC_NP, sel, ext);
    if (tss.limit < layout_of(&tss)->limit)
        x86_raise_selector(c, EXC_TS, sel, ext);
    return tss;
}

static void read_task(struct cpu *c, const struct x86_seg *tss, struct task *t)
{
    const struct tss_layout *l = layout_of(tss);
    gva_t a = tss->base;

    *t = (struct task){.layout = l};
    t->rip = mem_read_system(c, a + l->ip, l->size);
    t->flags = mem_read_system(c, a + l->flags, l->size);
    for (unsigned n = 0; n < 8; n++)
        t->gpr[n] = mem_read_system(c, a + l->gpr + n * l->size, l->size);
    for (unsigned n = 0; n < l->nseg; n++)
        t->seg[n] = (uint16_t)mem_read_system(c, a + l->seg + n * l->size, 2);
    t->ldt = (uint16_t)mem_read_system(c, a + l->ldt, 2);
    if (l == &layout32) {
        t->cr3 = mem_read_system(c, a + TSS32_CR3, 4);
        t->trap = mem_read_system(c, a + TSS32_TRAP, 2) & 1;
    }
}

/* CR3, LDT and the stacks of inner privileges are never written. */
static void save_task(struct cpu *c, uint64_t flags, unsigned ext)
{
    const struct x86_seg *tss = &c->s.tr;
    const struct tss_layout *l = layout_of(tss);
    gva_t a = tss->base;

    if (tss->limit < l->limit)
        x86_raise_selector(c, EXC_TS, tss->sel, ext);
    mem_write_system(c, a + l->ip, c->s.rip, l->size);
    mem_write_system(c, a + l->flags, flags, l->size);
    for (unsigned n = 0; n < 8; n++)
        mem_write_system(c, a + l->gpr + n * l->size, c->s.gpr[n], l->size);
    for (unsigned n = 0; n < l->nseg; n++)
        mem_write_system(c, a + l->seg + n * l->size, c->s.seg[n].sel, 2);
}

/* The last memory that is written: all of it, or none. */
static void mark_busy(struct cpu *c, uint16_t from, uint16_t to,
                      enum task_why why)
{
    bool leaves = why == TASK_JMP || why == TASK_IRET;

    if (leaves)
        desc_probe_write(c, from);
    if (why != TASK_IRET)
        desc_busy(c, to, true);
    if (leaves)
        desc_busy(c, from, false);
}

/* --- the new task --- */

static void take_registers(struct cpu *c, const struct task *t,
                           enum task_why why)
{
    bool wide = t->layout == &layout32;
    uint64_t flags = (t->flags & TASK_FLAGS) | FLAG_1;

    if (why == TASK_CALL || why == TASK_INT)
        flags |= FLAG_NT;
    flags_set(c, flags);
    c->s.rip = t->rip;
    for (unsigned n = 0; n < 8; n++) {
        uint64_t *r = &c->s.gpr[n];

        /* A 16-bit task leaves the high halves alone. */
        *r = wide ? t->gpr[n] : (*r & 0xffff0000) | t->gpr[n];
    }
    c->s.cr0 |= CR0_TS;
    c->s.dr[7] &= ~(uint64_t)DR7_LOCAL;
}

/* Selectors now, descriptors once they have been checked. */
static void take_selectors(struct cpu *c, const struct task *t)
{
    bool vm86 = c->s.rflags & FLAG_VM;

    c->s.ldt = seg_null(t->ldt, 0);
    for (unsigned n = 0; n < 6; n++)
        c->s.seg[n] = seg_null(t->seg[n], sel_rpl(t->seg[CS]));
    x86_mode_changed(c);
    if (!vm86)
        return;
    for (unsigned n = 0; n < 6; n++)
        c->s.seg[n] = seg_real(c, n, t->seg[n]);
    x86_mode_changed(c);
}

static void load_ldt(struct cpu *c, uint16_t sel, unsigned ext)
{
    struct x86_seg ldt;

    if (sel_null(sel))
        return;
    if (sel & SEL_TI)
        x86_raise_selector(c, EXC_TS, sel, ext);
    ldt = desc_segment(sel, desc_get(c, sel, EXC_TS, ext));
    if (!seg_is_system(&ldt, SYS_LDT) || !seg_present(&ldt))
        x86_raise_selector(c, EXC_TS, sel, ext);
    c->s.ldt = ldt;
}

static void load_code(struct cpu *c, uint16_t sel, unsigned ext)
{
    struct x86_seg cs = desc_segment(sel, desc_get(c, sel, EXC_TS, ext));
    unsigned dpl = seg_dpl(&cs), rpl = sel_rpl(sel);

    if (!seg_is_code(&cs) || (seg_conforming(&cs) ? dpl > rpl : dpl != rpl))
        x86_raise_selector(c, EXC_TS, sel, ext);
    if (!seg_present(&cs))
        x86_raise_selector(c, EXC_NP, sel, ext);
    desc_accessed(c, &cs);
    c->s.seg[CS] = cs;
}

static void load_segments(struct cpu *c, const struct task *t, unsigned ext)
{
    static const uint8_t data[] = {DS, ES, FS, GS};
    unsigned cpl = sel_rpl(t->seg[CS]);

    load_code(c, t->seg[CS], ext);
    c->s.seg[SS] = seg_check_stack(c, t->seg[SS], cpl, EXC_TS, ext);
    for (unsigned i = 0; i < ARRAY_LEN(data); i++) {
        unsigned n = data[i];

        if (!sel_null(t->seg[n]))
            c->s.seg[n] = seg_check_data(c, t->seg[n], cpl, EXC_TS, ext);
    }
    x86_mode_changed(c);
}

void x86_task_switch(struct cpu *c, uint16_t sel, enum task_why why,
                     uint64_t flags, unsigned ext)
{
    struct x86_seg tss = check_tss(c, sel, why, ext);
    uint16_t from = c->s.tr.sel;
    struct task t;

    read_task(c, &tss, &t);
    if (why == TASK_IRET)
        flags &= ~(uint64_t)FLAG_NT;
    save_task(c, flags, ext);
    if (why == TASK_CALL || why == TASK_INT)
        mem_write_system(c, tss.base, from, 2);
    mark_busy(c, from, sel, why);

    /* From here on it is the new task that faults. */
    c->insn = NULL;
    c->s.tr = tss;
    c->s.tr.attr |= SYS_BUSY;
    take_registers(c, &t, why);
    take_selectors(c, &t);
    if (t.layout == &layout32 && (c->s.cr0 & CR0_PG) && !x86_load_cr3(c, t.cr3))
        x86_raise_selector(c, EXC_TS, sel, ext);
    load_ldt(c, t.ldt, ext);
    if (!(c->s.rflags & FLAG_VM))
        load_segments(c, &t, ext);
    if (t.trap)
        c->s.pending_db |= DR6_BT;
}
