/*
 * The XSAVE-managed state components (SDM volume 1, chapter 13): where each
 * lies in the standard format, as CPUID leaf 0xD tells guests. In the
 * compacted format they follow each other in this order from byte 576, none
 * aligned further.
 */
#ifndef X86_XSAVE_H
#define X86_XSAVE_H

#include "x86/cpu.h"

enum {
    XSAVE_LEGACY = 512,
    XSAVE_HEADER = 64,
    XSAVE_EXTENDED = 576,
    XSAVE_MAX = 2696
};

enum {
    XCOMP_X87,
    XCOMP_SSE,
    XCOMP_AVX,
    XCOMP_OPMASK = 5,
    XCOMP_ZMM_HI256,
    XCOMP_HI16_ZMM,
    XCOMP_PKRU = 9
};

struct xsave_component {
    uint8_t bit; /* in XCR0 */
    uint16_t offset, size;
};

enum { XSAVE_COMPONENTS = 5 }; /* beyond x87 and SSE */
extern const struct xsave_component xsave_components[XSAVE_COMPONENTS];

/*
 * XINUSE: components that are not in their initial state (also XGETBV with
 * ECX = 1). Found by looking, so nothing has to track changes. With an MXCSR
 * other than 1F80H SSE counts as in use.
 */
uint64_t x86_xinuse(const struct cpu *c);

#endif
