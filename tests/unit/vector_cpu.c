#include "vector_cpu.h"

#include <stdlib.h>
#include <string.h>

#include "x86/flags.h"
#include "x86/fpu.h"
#include "x86/mem.h"
#include "x86/xsave.h"

struct cpu *test_cpu_new(void)
{
    struct cpu *c = aligned_alloc(64, (sizeof *c + 63) & ~63ul);
    struct cpu_model *m = calloc(1, sizeof *m);
    struct err e;

    memset(c, 0, sizeof *c);
    hostvec_features(&m->features);
    m->phys_bits = 40;
    m->linear_bits = 48;
    c->model = m;
    for (unsigned n = 0; n < 6; n++) /* as MODE_FLAT says */
        c->s.seg[n] = (struct x86_seg){
            .limit = 0xffffffff, .attr = SEG_P | SEG_S | SEG_WRITE | SEG_DB};
    c->mode_key = MODE_CODE64 | MODE_PE | MODE_LMA | MODE_SS32 | MODE_FLAT;
    c->s.cr0 = CR0_PE | CR0_NE | CR0_PG;
    c->s.cr4 = CR4_PAE | CR4_OSFXSR | CR4_OSXMMEXCPT | CR4_OSXSAVE;
    c->s.efer = EFER_LME | EFER_LMA;
    c->s.xcr0 = native_xcr0();
    c->s.mxcsr = MXCSR_INIT;
    c->s.rflags = FLAG_1;
    c->tlb = c->tlbs[0];
    for (unsigned k = 0; k < TLB_SIZE; k++)
        c->tlb[k].read = c->tlb[k].write = tlb_none(k);
    fpu_init(c->s.fxsave);
    if (hostvec_open(c, &e))
        abort();
    return c;
}

void test_cpu_map(struct cpu *c, void *page)
{
    uint64_t a = (uintptr_t)page;
    struct tlb_entry *e = tlb_at(c, a);

    *e = (struct tlb_entry){a, a, 0, 0};
}

int test_cpu_run(struct cpu *c, const struct insn *i)
{
    c->insn = i;
    c->block_rip = 0x1000;
    if (__builtin_setjmp(c->unwind_buf))
        return c->exc.vector;
    insn_opcode(i)->body(c, i);
    return -1;
}

void test_cpu_to_native(const struct cpu *c, struct native_state *n)
{
    uint8_t *x = n->xsave;

    memset(x, 0, NATIVE_XSAVE);
    memcpy(n->gpr, c->s.gpr, sizeof n->gpr);
    n->rflags = (c->s.rflags & FLAGS_STATUS) | FLAG_1 | FLAG_IF;
    memcpy(x, c->s.fxsave, FX_XMM);
    memcpy(x + FX_MXCSR, &c->s.mxcsr, 4);
    memcpy(x + 512, &c->s.xcr0, 8);
    for (unsigned r = 0; r < 16; r++) {
        memcpy(x + FX_XMM + 16 * r, c->s.zmm[r], 16);
        memcpy(x + 576 + 16 * r, c->s.zmm[r] + 16, 16);
        memcpy(x + 1152 + 32 * r, c->s.zmm[r] + 32, 32);
        memcpy(x + 1664 + 64 * r, c->s.zmm[16 + r], 64);
    }
    memcpy(x + 1088, c->s.k, 64);
}

/* A component that the host's XSAVE says is initial reads as zeros. */
static bool part_equal(const struct native_state *n, unsigned bit,
                       const uint8_t *mine, unsigned at, unsigned bytes)
{
    static const uint8_t zero[64];
    bool used = n->xsave[512 + bit / 8] >> bit % 8 & 1;

    if (!(native_xcr0() >> bit & 1))
        return true;
    return !memcmp(mine, used ? n->xsave + at : zero, bytes);
}

static const char *vectors_differ(const struct cpu *c,
                                  const struct native_state *n)
{
    for (unsigned r = 0; r < 16; r++) {
        if (!part_equal(n, 1, c->s.zmm[r], FX_XMM + 16 * r, 16))
            return "XMM";
        if (!part_equal(n, 2, c->s.zmm[r] + 16, 576 + 16 * r, 16))
            return "YMM";
        if (!part_equal(n, 6, c->s.zmm[r] + 32, 1152 + 32 * r, 32))
            return "ZMM";
        if (!part_equal(n, 7, c->s.zmm[16 + r], 1664 + 64 * r, 64))
            return "ZMM16 and up";
    }
    return part_equal(n, 5, (const uint8_t *)c->s.k, 1088, 64) ? NULL
                                                               : "opmasks";
}

static const char *x87_differs(const struct cpu *c,
                               const struct native_state *n)
{
    const uint8_t *fx = c->s.fxsave;

    if (!(n->xsave[512] & 1))
        return fpu_is_initial(fx) ? NULL : "x87 is not initial";
    if (memcmp(fx, n->xsave, 2))
        return "FCW";
    if (memcmp(fx + FX_FSW, n->xsave + FX_FSW, 2))
        return "FSW";
    if (fx[FX_FTW] != n->xsave[FX_FTW])
        return "FTW";
    for (unsigned r = 0; r < 8; r++)
        if (memcmp(fx + FX_ST + 16 * r, n->xsave + FX_ST + 16 * r, 10))
            return "ST";
    return NULL;
}

const char *test_cpu_differs(struct cpu *c, const struct native_state *n,
                             uint64_t flags)
{
    const char *what;

    for (unsigned r = 0; r < 16; r++)
        if (r != RSP && c->s.gpr[r] != n->gpr[r])
            return "general register";
    if ((flags_get(c) ^ n->rflags) & flags)
        return "RFLAGS";
    if (memcmp(n->xsave + FX_MXCSR, &c->s.mxcsr, 4))
        return "MXCSR";
    what = x87_differs(c, n);
    return what ? what : vectors_differ(c, n);
}
