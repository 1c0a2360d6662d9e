/*
 * Between the files of vector instructions: execution on the host, and the
 * memory operands that are accessed by element. See x86/hostvec.h.
 */
#ifndef X86_OPS_VECTOR_H
#define X86_OPS_VECTOR_H

#include "x86/fpu.h"
#include "x86/hostvec.h"
#include "x86/operand.h"
#include "x86/ops/ops.h"

/*
 * Executes i with its memory operand at mem and writes the registers it
 * writes. Raises #UD where the host cannot, #XM (with MXCSR's flags) for an
 * unmasked exception. Returns the MXCSR flags raised, for vector_commit().
 */
uint32_t vector_execute(struct cpu *c, const struct insn *i, void *mem);

/* General registers and RFLAGS out of the stub, and MXCSR's flags. */
void vector_commit(struct cpu *c, const struct insn *i, uint32_t raised);

/* Its memory operand is never checked for alignment (#AC), however small. */
bool vector_ac_exempt(const struct insn *i);

/* op_vector with an EVEX opmask and a memory operand. */
void vector_under_mask(struct cpu *c, const struct insn *i);

/* Which operand is in memory. */
static inline unsigned vector_mem_operand(const struct insn *i)
{
    unsigned k = 0;

    while (k < 3 && i->opnd[k].kind != OPND_MEM)
        k++;
    return k;
}

static inline bool vector_is_store(const struct insn *i)
{
    return i->opnd[0].kind == OPND_MEM && (insn_opcode(i)->props & OP_WRITES0);
}

static inline unsigned vector_opmask(const struct insn *i)
{
    return insn_encoding(i) == ENC_EVEX ? i->evex & 7 : 0;
}

/* Makes the x87 registers MMX ones: TOP 0, none empty. */
void mmx_enter(uint8_t *fx);

#endif
