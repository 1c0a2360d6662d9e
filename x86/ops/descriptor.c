/*
 * Descriptor tables and selectors as instructions see them: LGDT to SLDT, LTR,
 * STR, LAR, LSL, VERR, VERW, ARPL. SDM volume 2.
 */
#include "x86/flags.h"
#include "x86/operand.h"
#include "x86/ops/ops.h"
#include "x86/system.h"

void x86_check_umip(struct cpu *c)
{
    if ((c->s.cr4 & CR4_UMIP) && c->s.cpl)
        x86_raise_gp0(c);
}

/* --- tables: two bytes of limit, then the base --- */

static void load_table(struct cpu *c, const struct insn *i, struct x86_table *t)
{
    unsigned n = in_code64(c) ? 8 : 4;
    gva_t a = op_address(c, i, n + 2, false);
    uint16_t limit = (uint16_t)mem_read(c, a, 2);
    uint64_t base = mem_read(c, a + 2, n);

    if (n == 4 && i->osize == 2)
        base &= 0xffffff;
    if (!is_canonical(c, base))
        x86_raise_gp0(c);
    *t = (struct x86_table){.base = base, .limit = limit};
}

/* All of the base, whatever the operand size, as every 32-bit CPU does. */
static void store_table(struct cpu *c, const struct insn *i,
                        const struct x86_table *t)
{
    unsigned n = in_code64(c) ? 8 : 4;
    gva_t a;

    x86_check_umip(c);
    a = op_address(c, i, n + 2, true);
    mem_probe(c, a, n + 2, true);
    mem_write(c, a, t->limit, 2);
    mem_write(c, a + 2, t->base, n);
}

void op_lgdt(struct cpu *c, const struct insn *i)
{
    load_table(c, i, &c->s.gdt);
}

void op_lidt(struct cpu *c, const struct insn *i)
{
    load_table(c, i, &c->s.idt);
}

void op_sgdt(struct cpu *c, const struct insn *i)
{
    store_table(c, i, &c->s.gdt);
}

void op_sidt(struct cpu *c, const struct insn *i)
{
    store_table(c, i, &c->s.idt);
}

/* --- LDTR and TR --- */

/* In 64-bit mode these have 16 bytes and a 64-bit base. */
static void wide_base(struct cpu *c, struct x86_seg *s)
{
    if (!in_code64(c))
        return;
    s->base |= desc_get_high(c, s->sel);
    if (!is_canonical(c, s->base))
        x86_raise_selector(c, EXC_GP, s->sel, 0);
}

static struct x86_seg system_segment(struct cpu *c, uint16_t sel)
{
    if (sel & SEL_TI)
        x86_raise_selector(c, EXC_GP, sel, 0);
    return desc_segment(sel, desc_get(c, sel, EXC_GP, 0));
}

void op_lldt(struct cpu *c, const struct insn *i)
{
    uint16_t sel = (uint16_t)op_read(c, i, 0);
    struct x86_seg ldt;

    if (sel_null(sel)) {
        c->s.ldt = seg_null(sel, 0);
        return;
    }
    ldt = system_segment(c, sel);
    if (!seg_is_system(&ldt, SYS_LDT))
        x86_raise_selector(c, EXC_GP, sel, 0);
    if (!seg_present(&ldt))
        x86_raise_selector(c, EXC_NP, sel, 0);
    wide_base(c, &ldt);
    c->s.ldt = ldt;
}

void op_ltr(struct cpu *c, const struct insn *i)
{
    uint16_t sel = (uint16_t)op_read(c, i, 0);
    struct x86_seg tr;

    if (sel_null(sel))
        x86_raise_gp0(c);
    tr = system_segment(c, sel);
    if (!seg_is_system(&tr, SYS_TSS32) &&
        (in_long_mode(c) || !seg_is_system(&tr, SYS_TSS16)))
        x86_raise_selector(c, EXC_GP, sel, 0);
    if (!seg_present(&tr))
        x86_raise_selector(c, EXC_NP, sel, 0);
    wide_base(c, &tr);
    desc_busy(c, sel, true);
    tr.attr |= SYS_BUSY;
    c->s.tr = tr;
}

void op_sldt(struct cpu *c, const struct insn *i)
{
    x86_check_umip(c);
    op_write(c, i, 0, c->s.ldt.sel);
}

void op_str(struct cpu *c, const struct insn *i)
{
    x86_check_umip(c);
    op_write(c, i, 0, c->s.tr.sel);
}

/* --- looking at descriptors without loading them --- */

enum { IN_LAR = 1, IN_LSL = 2, IN_LONG = 4 };

/* Which system types LAR and LSL answer for, also in IA-32e mode. */
static const uint8_t visible[16] = {
    [SYS_TSS16] = IN_LAR | IN_LSL,
    [SYS_LDT] = IN_LAR | IN_LSL | IN_LONG,
    [SYS_TSS16_BUSY] = IN_LAR | IN_LSL,
    [SYS_CALL16] = IN_LAR,
    [SYS_TASK_GATE] = IN_LAR,
    [SYS_TSS32] = IN_LAR | IN_LSL | IN_LONG,
    [SYS_TSS32_BUSY] = IN_LAR | IN_LSL | IN_LONG,
    [SYS_CALL32] = IN_LAR | IN_LONG,
};

/* False: no such descriptor, or one that CPL or RPL must not see. */
static bool look_up(struct cpu *c, uint16_t sel, uint64_t *raw,
                    struct x86_seg *s)
{
    if (!desc_read(c, sel, raw))
        return false;
    *s = desc_segment(sel, *raw);
    return (seg_is_code(s) && seg_conforming(s)) ||
           (seg_dpl(s) >= c->s.cpl && seg_dpl(s) >= sel_rpl(sel));
}

static bool is_visible(struct cpu *c, const struct x86_seg *s, unsigned who)
{
    unsigned as = visible[seg_type(s)];

    return (s->attr & SEG_S) ||
           ((as & who) && (!in_long_mode(c) || (as & IN_LONG)));
}

static void set_zf(struct cpu *c, bool on)
{
    flags_change(c, FLAG_ZF, on ? FLAG_ZF : 0);
}

/* Bits 19:16, undefined in the manual, are the descriptor's, as on current
   CPUs. */
#define LAR_MASK 0x00ffff00u

void op_lar(struct cpu *c, const struct insn *i)
{
    uint16_t sel = (uint16_t)op_read(c, i, 1);
    struct x86_seg s;
    uint64_t raw;
    bool ok = look_up(c, sel, &raw, &s) && is_visible(c, &s, IN_LAR);

    if (ok)
        op_write(c, i, 0, raw >> 32 & LAR_MASK);
    set_zf(c, ok);
}

void op_lsl(struct cpu *c, const struct insn *i)
{
    uint16_t sel = (uint16_t)op_read(c, i, 1);
    struct x86_seg s;
    uint64_t raw;
    bool ok = look_up(c, sel, &raw, &s) && is_visible(c, &s, IN_LSL);

    if (ok)
        op_write(c, i, 0, s.limit);
    set_zf(c, ok);
}

void op_verr(struct cpu *c, const struct insn *i)
{
    struct x86_seg s;
    uint64_t raw;
    bool ok = look_up(c, (uint16_t)op_read(c, i, 0), &raw, &s);

    set_zf(c,
           ok && (seg_is_data(&s) || (seg_is_code(&s) && (s.attr & SEG_READ))));
}

void op_verw(struct cpu *c, const struct insn *i)
{
    struct x86_seg s;
    uint64_t raw;
    bool ok = look_up(c, (uint16_t)op_read(c, i, 0), &raw, &s);

    set_zf(c, ok && seg_is_data(&s) && (s.attr & SEG_WRITE));
}

/* As measured, memory must be writable only if it is written. */
void op_arpl(struct cpu *c, const struct insn *i)
{
    uint64_t to = op_read(c, i, 0);
    uint64_t rpl = sel_rpl((uint16_t)op_read(c, i, 1));
    bool lower = sel_rpl((uint16_t)to) < rpl;

    if (lower)
        op_write(c, i, 0, (to & ~(uint64_t)SEL_RPL) | rpl);
    set_zf(c, lower);
}
