/*
 * Port I/O. Permission (IOPL, the TSS's bitmap) comes first, then for INS the
 * right to write memory: what a port read consumed must not get lost.
 */
#include "x86/ops/ops.h"
#include "x86/ops/rep.h"
#include "x86/outside.h"

static uint64_t port_read(struct cpu *c, uint16_t port, unsigned n)
{
    c->stats.pio++;
    return x86_outside_read(c, OUTSIDE_PORT, port, n);
}

static void port_write(struct cpu *c, uint16_t port, uint64_t v, unsigned n)
{
    c->stats.pio++;
    x86_outside_write(c, OUTSIDE_PORT, port, v, n);
}

void op_in(struct cpu *c, const struct insn *i)
{
    uint16_t port = (uint16_t)op_read(c, i, 1);
    unsigned n = i->opnd[0].size;

    x86_io_check(c, port, n);
    op_write(c, i, 0, port_read(c, port, n));
}

void op_out(struct cpu *c, const struct insn *i)
{
    uint16_t port = (uint16_t)op_read(c, i, 0);
    unsigned n = i->opnd[1].size;

    x86_io_check(c, port, n);
    port_write(c, port, op_read(c, i, 1), n);
}

static void ins_one(struct cpu *c, const struct insn *i)
{
    uint16_t port = (uint16_t)c->s.gpr[RDX];
    unsigned n = i->osize;
    gva_t to;

    x86_io_check(c, port, n);
    to = x86_linear(c, ES, rep_offset(c, i, RDI), n, true);
    mem_probe(c, to, n, true);
    mem_write(c, to, port_read(c, port, n), n);
    rep_advance(c, i, RDI, 1);
}

static void outs_one(struct cpu *c, const struct insn *i)
{
    uint16_t port = (uint16_t)c->s.gpr[RDX];
    unsigned n = i->osize;
    uint64_t v;

    x86_io_check(c, port, n);
    v = mem_read(c, x86_linear(c, i->seg, rep_offset(c, i, RSI), n, false), n);
    port_write(c, port, v, n);
    rep_advance(c, i, RSI, 1);
}

/* Devices take one access after the other. */
static uint64_t one_by_one(struct cpu *c, const struct insn *i, uint64_t count)
{
    (void)c;
    (void)i;
    (void)count;
    return 0;
}

/* Permission is checked even when rCX says to do nothing. */
void op_ins(struct cpu *c, const struct insn *i)
{
    x86_io_check(c, (uint16_t)c->s.gpr[RDX], i->osize);
    rep_run(c, i, ins_one, one_by_one);
}

void op_outs(struct cpu *c, const struct insn *i)
{
    x86_io_check(c, (uint16_t)c->s.gpr[RDX], i->osize);
    rep_run(c, i, outs_one, one_by_one);
}
