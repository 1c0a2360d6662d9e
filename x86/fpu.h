/*
 * The x87 part of x86_state: s.fxsave is an FXSAVE64 image (SDM volume 1,
 * 8.1 and 10.5.1) of which the registers, the control words and the pointers
 * are kept; its MXCSR and XMM fields are never the guest's.
 *
 * FIP and FDP hold what the last instruction form left: a 64-bit offset from
 * 64-bit code, or offset 31:0 and selector 47:32 from other code (as FXSAVE
 * without REX.W lays them out). With CPUID's ZERO_FCS_FDS the selectors are 0,
 * so that both are the same.
 *
 * Thread: the vCPU's own.
 */
#ifndef X86_FPU_H
#define X86_FPU_H

#include "base/bits.h"
#include "base/endian.h"
#include "x86/cpu.h"

/* Byte offsets in the image. */
enum {
    FX_FCW = 0,
    FX_FSW = 2,
    FX_FTW = 4,
    FX_FOP = 6,
    FX_FIP = 8,
    FX_FDP = 16,
    FX_MXCSR = 24,
    FX_MXCSR_MASK = 28,
    FX_ST = 32,
    FX_XMM = 160
};
enum { FX_X87_SIZE = 160 }; /* the part that is x87 state (and MXCSR) */

enum {
    FCW_EXCEPTIONS = 0x3f,
    FCW_DEFINED = 0x1f7f,
    FCW_ONES = 0x40,
    FCW_INIT = 0x37f
};
enum {
    FSW_EXCEPTIONS = 0x3f,
    FSW_IE = 1 << 0,
    FSW_ZE = 1 << 2,
    FSW_OE = 1 << 3,
    FSW_UE = 1 << 4,
    FSW_SF = 1 << 6, /* stack fault */
    FSW_ES = 1 << 7,
    FSW_TOP_SHIFT = 11,
    FSW_TOP = 7 << 11,
    FSW_B = 1 << 15
};
enum { FOP_DEFINED = 0x7ff };

enum {
    MXCSR_INIT = 0x1f80,
    MXCSR_DEFINED = 0xffff,
    MXCSR_FLAGS = 0x3f,
    MXCSR_DAZ = 1 << 6,
    MXCSR_MASKS = 0x1f80,
    MXCSR_MASK_SHIFT = 7,
    MXCSR_RC = 3 << 13,
    MXCSR_FTZ = 1 << 15
};

static inline unsigned fpu_cw(const uint8_t *fx)
{
    return load_le16(fx + FX_FCW);
}

static inline unsigned fpu_sw(const uint8_t *fx)
{
    return load_le16(fx + FX_FSW);
}

static inline unsigned fpu_top(const uint8_t *fx)
{
    return fpu_sw(fx) >> FSW_TOP_SHIFT & 7;
}

/*
 * Sets both words the way the CPU keeps them: fixed bits of FCW, and ES and B
 * following from the flags and the masks.
 */
static inline void fpu_set_words(uint8_t *fx, unsigned cw, unsigned sw)
{
    cw = (cw & FCW_DEFINED) | FCW_ONES;
    sw &= 0xffff & ~(FSW_ES | FSW_B);
    if (sw & ~cw & FSW_EXCEPTIONS)
        sw |= FSW_ES | FSW_B;
    store_le16(fx + FX_FCW, (uint16_t)cw);
    store_le16(fx + FX_FSW, (uint16_t)sw);
}

static inline void fpu_set_cw(uint8_t *fx, unsigned cw)
{
    fpu_set_words(fx, cw, fpu_sw(fx));
}

/* --- x86/fpu.c --- */
/* Moves TOP. The image has the registers in stack order, so they move too. */
void fpu_set_top(uint8_t *fx, unsigned top);
/* FNINIT: words, tags and pointers; the registers keep their contents. */
void fpu_init(uint8_t *fx);
/* The full tag word (FNSTENV), by physical register, and back. */
unsigned fpu_full_tags(const uint8_t *fx);
void fpu_set_full_tags(uint8_t *fx, unsigned tags);
/*
 * Bytes 0–159 of an FXSAVE or XSAVE area, MXCSR left out, written from and
 * read into the state; wide is the form with 64-bit pointers (REX.W).
 */
void fpu_to_area(const struct cpu *c, uint8_t *area, bool wide);
void fpu_from_area(struct cpu *c, const uint8_t *area, bool wide);
/* Is the x87 state the initial one of XRSTOR? And making it so. */
bool fpu_is_initial(const uint8_t *fx);
void fpu_reset(uint8_t *fx);

/* Raises what a waiting x87 or MMX instruction raises when an unmasked
   exception is pending: #MF, or FERR# when CR0.NE is clear. */
void fpu_check_pending(struct cpu *c);
/* FNCLEX: FERR# goes away with the flags. */
void fpu_clear_exceptions(struct cpu *c);

#endif
