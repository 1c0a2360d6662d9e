/*
 * SYSCALL, SYSENTER and back, the FS and GS bases. Intel's semantics, where
 * AMD's differ: SYSCALL in 64-bit mode only, SYSRET checks its target before
 * it leaves privilege 0. SDM volume 2; volume 3, 5.8.7, 5.8.8.
 */
#include "x86/flags.h"
#include "x86/operand.h"
#include "x86/ops/ops.h"
#include "x86/system.h"

enum {
    CODE_TYPE = SEG_CODE | SEG_READ | SEG_ACCESSED,
    DATA_TYPE = SEG_WRITE | SEG_ACCESSED,
};

/* Segments here are made, not loaded: base 0, limit 4 GB. width: SEG_L or
   SEG_DB. */
static void flat_segments(struct cpu *c, uint16_t code, uint16_t data,
                          unsigned cpl, uint32_t width)
{
    uint32_t common = SEG_P | SEG_S | SEG_G | cpl << SEG_DPL_SHIFT;

    c->s.seg[CS] = (struct x86_seg){
        .sel = (uint16_t)((code & ~SEL_RPL) | cpl),
        .limit = 0xffffffff,
        .attr = common | CODE_TYPE | width,
    };
    c->s.seg[SS] = (struct x86_seg){
        .sel = (uint16_t)((data & ~SEL_RPL) | cpl),
        .limit = 0xffffffff,
        .attr = common | DATA_TYPE | SEG_DB,
    };
    x86_mode_changed(c);
}

/*
 * Whether SYSCALL and SYSRET end in a single-step trap is told by TF as they
 * leave it, not as they found it.
 */
static void step_by_new_flags(struct cpu *c, bool stepping)
{
    bool steps = c->s.rflags & FLAG_TF;

    if (!stepping && !steps)
        return;
    if (steps)
        c->s.pending_db |= DR6_BS;
    c->s.sti_shadow = c->s.movss_shadow = false;
    x86_unwind(c, UNWIND_RESTART);
}

static void check_syscall(struct cpu *c)
{
    if (!(c->s.efer & EFER_SCE) || !in_code64(c))
        x86_raise(c, EXC_UD);
}

void op_syscall(struct cpu *c, const struct insn *i)
{
    bool stepping = c->s.rflags & FLAG_TF;
    uint16_t sel = (uint16_t)(c->s.star >> 32);
    uint64_t flags;

    (void)i;
    check_syscall(c);
    flags = flags_get(c);
    c->s.gpr[RCX] = c->s.rip;
    c->s.gpr[R11] = flags;
    c->s.rip = c->s.lstar;
    flags_set(c, (flags & ~(c->s.fmask & 0xffffffff)) | FLAG_1);
    flat_segments(c, sel, (uint16_t)((sel & ~SEL_RPL) + 8), 0, SEG_L);
    step_by_new_flags(c, stepping);
}

void op_sysret(struct cpu *c, const struct insn *i)
{
    enum { LOADED = 0x3c7fd7 }; /* all but VM and RF */
    bool stepping = c->s.rflags & FLAG_TF, wide = i->osize == 8;
    uint16_t sel = (uint16_t)(c->s.star >> 48);
    uint64_t rip = c->s.gpr[RCX];

    check_syscall(c);
    if (c->s.cpl)
        x86_raise_gp0(c);
    if (!wide)
        rip = (uint32_t)rip;
    else if (!x86_canonical(c, rip))
        x86_raise_gp0(c);
    c->s.rip = rip;
    flags_set(c, (c->s.gpr[R11] & LOADED) | FLAG_1);
    flat_segments(c, wide ? (uint16_t)(sel + 16) : sel, (uint16_t)(sel + 8), 3,
                  wide ? SEG_L : SEG_DB);
    step_by_new_flags(c, stepping);
}

void op_sysenter(struct cpu *c, const struct insn *i)
{
    uint16_t sel = (uint16_t)c->s.sysenter_cs;
    bool wide = in_long_mode(c);

    (void)i;
    if (!(c->mode_key & MODE_PE) || sel_null(sel))
        x86_raise_gp0(c);
    flags_change(c, FLAG_VM | FLAG_IF | FLAG_RF, 0);
    c->s.gpr[RSP] = wide ? c->s.sysenter_esp : (uint32_t)c->s.sysenter_esp;
    c->s.rip = wide ? c->s.sysenter_eip : (uint32_t)c->s.sysenter_eip;
    flat_segments(c, sel, (uint16_t)((sel & ~SEL_RPL) + 8), 0,
                  wide ? SEG_L : SEG_DB);
}

void op_sysexit(struct cpu *c, const struct insn *i)
{
    uint16_t sel = (uint16_t)(c->s.sysenter_cs & ~(uint64_t)SEL_RPL);
    uint64_t rip = c->s.gpr[RDX], rsp = c->s.gpr[RCX];
    bool wide = i->osize == 8;

    if (!in_protected(c) || c->s.cpl || sel_null(sel))
        x86_raise_gp0(c);
    if (!wide) {
        rip = (uint32_t)rip;
        rsp = (uint32_t)rsp;
    } else if (!x86_canonical(c, rip) || !x86_canonical(c, rsp)) {
        x86_raise_gp0(c);
    }
    c->s.rip = rip;
    c->s.gpr[RSP] = rsp;
    sel = (uint16_t)(sel + (wide ? 32 : 16));
    flat_segments(c, sel, (uint16_t)(sel + 8), 3, wide ? SEG_L : SEG_DB);
}

/* --- segment bases --- */

void op_swapgs(struct cpu *c, const struct insn *i)
{
    uint64_t base = c->s.seg[GS].base;

    (void)i;
    c->s.seg[GS].base = c->s.kernel_gs_base;
    c->s.kernel_gs_base = base;
}

static void check_fsgsbase(struct cpu *c)
{
    if (!(c->s.cr4 & CR4_FSGSBASE))
        x86_raise(c, EXC_UD);
}

static void read_base(struct cpu *c, const struct insn *i, unsigned seg)
{
    check_fsgsbase(c);
    op_write(c, i, 0, c->s.seg[seg].base);
}

static void write_base(struct cpu *c, const struct insn *i, unsigned seg)
{
    uint64_t base = op_read(c, i, 0);

    check_fsgsbase(c);
    if (!is_canonical(c, base))
        x86_raise_gp0(c);
    c->s.seg[seg].base = base;
}

void op_rdfsbase(struct cpu *c, const struct insn *i)
{
    read_base(c, i, FS);
}

void op_rdgsbase(struct cpu *c, const struct insn *i)
{
    read_base(c, i, GS);
}

void op_wrfsbase(struct cpu *c, const struct insn *i)
{
    write_base(c, i, FS);
}

void op_wrgsbase(struct cpu *c, const struct insn *i)
{
    write_base(c, i, GS);
}
