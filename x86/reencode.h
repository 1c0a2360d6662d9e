/*
 * Writes a decoded instruction anew for the host: the same opcode with its
 * general registers renamed and its memory operand replaced. What every
 * engine that runs guest instructions on an x86-64 host is built on: the
 * translator copies with it, hostvec runs vector instructions with it.
 *
 * The result is for 64-bit mode whatever mode the guest was in. It has the
 * guest's operand size, vector length, opmask, rounding and immediates; LOCK
 * stays, segment and address-size prefixes go. Vector, opmask, MMX and x87
 * registers keep their numbers.
 *
 * Encodings: Intel SDM volume 2, chapter 2. Pure; any thread.
 */
#ifndef X86_REENCODE_H
#define X86_REENCODE_H

#include "x86/opcode.h"

struct reencode {
    /*
     * The new register of operand k, where opnd[k] is OPND_GPR; numbered as
     * in struct operand (0x10 + n: AH, CH, DH, BH). Operands that the
     * encoding fixes (CL in shifts) must be given as they are.
     */
    uint8_t gpr[4];
    /*
     * Where the memory operand is: [base + index + disp]. index REG_NONE:
     * none. With INSN_VSIB the vector index and its scale stay, and index
     * here is ignored.
     */
    uint8_t base, index;
    int32_t disp;
};

enum { REENCODE_MAX = 15 };

/*
 * Returns the length, at most REENCODE_MAX; 0: this instruction cannot be
 * encoded so. That is: it has no ModRM memory operand but accesses memory
 * (strings, XLAT, MASKMOVDQU, pushes), changes RIP or system state, exists
 * outside 64-bit mode only (INC and DEC have another form and are turned into
 * it, as is MOV with an absolute address), needs REX beside AH, CH, DH or BH,
 * or a fixed operand was renamed.
 *
 * Which registers are implicit (rAX and rDX of MUL, rCX of shifts, all of
 * CPUID-like instructions) only the row knows; they are not renamed.
 */
unsigned x86_reencode(uint8_t *out, const struct insn *i,
                      const struct reencode *how);

#endif
