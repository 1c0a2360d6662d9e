/*
 * x87, SSE, AVX and AVX-512 state: an XSAVE area in the standard format, whose
 * components lie where this host's CPU has them (CPUID leaf 0xd).
 */
#include <string.h>

#include "base/endian.h"
#include "engine/kvm/kvm.h"

enum {
    X87_END = 160,
    MXCSR = 24,
    XMM = 160,
    XSTATE_BV = 512,
};
enum { AVX = 2, OPMASK = 5, ZMM_HI256 = 6, HI16_ZMM = 7, PKRU = 9 };

/* Pieces of a component: n of them, size bytes each, at off of struct
   x86_state and then each stride further. */
static const struct {
    uint8_t component;
    uint16_t n, size, stride;
    uint32_t off;
} pieces[] = {
    {AVX, 16, 16, 64, offsetof(struct x86_state, zmm[0][16])},
    {OPMASK, 8, 8, 8, offsetof(struct x86_state, k)},
    {ZMM_HI256, 16, 32, 64, offsetof(struct x86_state, zmm[0][32])},
    {HI16_ZMM, 16, 64, 64, offsetof(struct x86_state, zmm[16])},
    {PKRU, 1, 4, 4, offsetof(struct x86_state, pkru)},
};

/* Where component n lies; 0: this CPU, or this guest, has it not. */
static uint32_t place(const struct kvm_cpu *c, unsigned n)
{
    struct kvm_cpuid_entry2 e;

    if (!(c->v->model->xcr0_mask >> n & 1))
        return 0;
    e = kvm_supported(&c->vm->host, 0xd, n);
    return e.eax && e.ebx + e.eax <= sizeof(struct kvm_xsave) ? e.ebx : 0;
}

int kvm_get_fpu(struct kvm_cpu *c, struct x86_state *s)
{
    struct kvm_xsave area;
    const uint8_t *p = (const uint8_t *)&area;
    uint64_t in_use;

    if (kvm_do(c->fd, KVM_GET_XSAVE, &area) < 0)
        return -LE_IO;
    in_use = load_le64(p + XSTATE_BV);
    memset(s->zmm, 0, sizeof s->zmm);
    memset(s->k, 0, sizeof s->k);
    memset(s->fxsave, 0, sizeof s->fxsave);
    s->pkru = 0;
    memcpy(s->fxsave, p, X87_END);
    s->mxcsr = load_le32(p + MXCSR);
    for (unsigned n = 0; n < 16; n++)
        memcpy(s->zmm[n], p + XMM + 16 * n, 16);
    for (unsigned i = 0; i < ARRAY_LEN(pieces); i++) {
        uint32_t at = place(c, pieces[i].component);

        if (!at || !(in_use >> pieces[i].component & 1))
            continue;
        for (unsigned n = 0; n < pieces[i].n; n++)
            memcpy((uint8_t *)s + pieces[i].off + n * pieces[i].stride,
                   p + at + n * pieces[i].size, pieces[i].size);
    }
    return 0;
}

int kvm_set_fpu(struct kvm_cpu *c, const struct x86_state *s)
{
    struct kvm_xsave area;
    uint8_t *p = (uint8_t *)&area;
    uint64_t in_use = XCR0_X87 | XCR0_SSE;

    memset(&area, 0, sizeof area);
    memcpy(p, s->fxsave, X87_END);
    store_le32(p + MXCSR, s->mxcsr);
    for (unsigned n = 0; n < 16; n++)
        memcpy(p + XMM + 16 * n, s->zmm[n], 16);
    for (unsigned i = 0; i < ARRAY_LEN(pieces); i++) {
        uint32_t at = place(c, pieces[i].component);

        if (!at)
            continue;
        in_use |= 1ull << pieces[i].component;
        for (unsigned n = 0; n < pieces[i].n; n++)
            memcpy(p + at + n * pieces[i].size,
                   (const uint8_t *)s + pieces[i].off + n * pieces[i].stride,
                   pieces[i].size);
    }
    store_le64(p + XSTATE_BV, in_use);
    return kvm_do(c->fd, KVM_SET_XSAVE, &area) < 0 ? -LE_IO : 0;
}
