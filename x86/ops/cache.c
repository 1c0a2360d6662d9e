/*
 * Translations and caches: INVLPG, INVPCID, INVD, WBINVD, CLFLUSH and the like.
 * Guest memory is always coherent here, so that cache control has only its
 * checks left to do. SDM volume 2; volume 3, 4.10.4.1.
 */
#include "x86/operand.h"
#include "x86/ops/ops.h"
#include "x86/system.h"

void op_invlpg(struct cpu *c, const struct insn *i)
{
    gva_t a = x86_ea(c, i);

    if (in_code64(c)) {
        a += i->seg >= FS ? c->s.seg[i->seg].base : 0;
        if (!x86_canonical(c, a))
            return;
    } else {
        a = (uint32_t)(a + c->s.seg[i->seg].base);
    }
    tlb_flush_page(c, a);
}

/* The soft TLB knows no PCIDs: what is dropped may be more than asked for. */
void op_invpcid(struct cpu *c, const struct insn *i)
{
    enum { ADDRESS, CONTEXT, ALL, ALL_BUT_GLOBAL };
    uint64_t type = gpr_read(c, i->opnd[0].reg, i->opnd[0].size);
    gva_t at = op_address(c, i, 16, false);
    uint64_t pcid, linear;

    mem_probe(c, at, 16, false);
    pcid = mem_read(c, at, 8);
    linear = mem_read(c, at + 8, 8);
    if (type > ALL_BUT_GLOBAL || pcid & ~0xfffull)
        x86_raise_gp0(c);
    if (type <= CONTEXT && pcid && !(c->s.cr4 & CR4_PCIDE))
        x86_raise_gp0(c);
    if (type == ADDRESS && !x86_canonical(c, linear))
        x86_raise_gp0(c);
    switch (type) {
    case ADDRESS: tlb_flush_page(c, linear); break;
    case ALL: tlb_flush_all(c); break;
    default: tlb_flush_nonglobal(c); break;
    }
}

/* Nothing is ever only in a cache. */
void op_invd(struct cpu *c, const struct insn *i)
{
    (void)c;
    (void)i;
}

void op_wbinvd(struct cpu *c, const struct insn *i)
{
    (void)c;
    (void)i;
}

/* CLFLUSH, CLFLUSHOPT, CLWB: checked as a read of one byte. */
void op_clflush(struct cpu *c, const struct insn *i)
{
    mem_probe(c, op_address(c, i, 1, false), 1, false);
}

void op_serialize(struct cpu *c, const struct insn *i)
{
    (void)c;
    (void)i;
}
