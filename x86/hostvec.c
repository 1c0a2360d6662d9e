#include "x86/hostvec.h"

#include "base/libc.h"

/* --- the stubs --- */
/*
 * What tells one form from another: the row, the operands, the sizes, the
 * opmask and rounding, the immediate. The memory operand comes to a stub from
 * outside, and so do general registers (their numbers are left in all the
 * same: that is quicker, and they are few).
 */
static ALWAYS_INLINE struct hostvec_form form_of(const struct insn *i)
{
    struct hostvec_form f;

    _Static_assert(offsetof(struct insn, layout) + 1 -
                           offsetof(struct insn, opnd) ==
                       sizeof f.operands,
                   "operands, vl, evex, code and layout lie side by side");
    memcpy(f.operands, (const uint8_t *)i + offsetof(struct insn, opnd),
           sizeof f.operands);
    f.rest = i->op | (uint64_t)i->osize << 16 |
             (uint64_t)(i->flags & INSN_REXW) << 24 |
             (uint64_t)(uint8_t)i->imm << 32;
    return f;
}

static ALWAYS_INLINE bool same_form(const struct hostvec_form *a,
                                    const struct hostvec_form *b)
{
    return !((a->operands[0] ^ b->operands[0]) |
             (a->operands[1] ^ b->operands[1]) | (a->rest ^ b->rest));
}

static ALWAYS_INLINE unsigned slot_of(const struct hostvec_form *f)
{
    uint64_t h = f->operands[0] * 0x9e3779b97f4a7c15ull;

    h ^= (f->operands[1] + f->rest * 3) * 0xc2b2ae3d27d4eb4full;
    h ^= h >> 29;
    return (unsigned)(h >> 20) & (HOSTVEC_STUBS - 1);
}

/*
 * Before code bytes are used again: the old ones were fetched from another
 * linear address than they are now written at, and only a serialising
 * instruction orders that (SDM volume 3, 9.1.3).
 */
static void serialise(void)
{
#ifdef __x86_64__
    uint32_t a = 0, b, c = 0, d;

    __asm__ volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d) : : "memory");
#endif
}

static void forget_all(struct hostvec *v)
{
    memset(v->table, 0, sizeof v->table);
    v->used = v->count = 0;
    serialise();
}

static hostvec_stub *stub_at(const struct hostvec *v, uint32_t code)
{
    return (hostvec_stub *)(uintptr_t)(v->code.rx + code - 1);
}

static COLD hostvec_stub *make_stub(struct hostvec *v, const struct insn *i,
                                    const struct hostvec_form *form)
{
    unsigned n, slot = slot_of(form);

    if (v->used + HOSTVEC_STUB_MAX > v->code.len ||
        v->count >= HOSTVEC_STUBS * 3 / 4)
        forget_all(v);
    n = hostvec_emit(v, v->code.rw + v->used, i);
    if (!n)
        return NULL;
    while (v->table[slot].code)
        slot = (slot + 1) & (HOSTVEC_STUBS - 1);
    v->table[slot] = (struct hostvec_entry){*form, v->used + 1};
    v->used += (n + 15) & ~15u;
    v->count++;
    return stub_at(v, v->table[slot].code);
}

hostvec_stub *hostvec_stub_of(struct cpu *c, const struct insn *i)
{
    struct hostvec *v = c->hostvec;
    struct hostvec_form form = form_of(i);

    if (unlikely(!v))
        return NULL;
    for (unsigned slot = slot_of(&form); v->table[slot].code;
         slot = (slot + 1) & (HOSTVEC_STUBS - 1))
        if (likely(same_form(&v->table[slot].form, &form)))
            return stub_at(v, v->table[slot].code);
    return make_stub(v, i, &form);
}

/* --- what the host has --- */
#ifdef __x86_64__

/* The leaves that vector features are in: CPUID is slow under a hypervisor. */
struct host_leaf {
    uint32_t leaf, subleaf, reg[4];
};
struct host_leaves {
    struct host_leaf leaf[3];
    uint64_t xcr0; /* as the host's system set it; 0 without XSAVE */
};

static struct host_leaf host_cpuid(uint32_t leaf, uint32_t subleaf)
{
    struct host_leaf l = {leaf, subleaf, {0}};

    __asm__ volatile("cpuid"
                     : "=a"(l.reg[REG_EAX]), "=b"(l.reg[REG_EBX]),
                       "=c"(l.reg[REG_ECX]), "=d"(l.reg[REG_EDX])
                     : "a"(leaf), "c"(subleaf));
    return l;
}

static void host_read(struct host_leaves *h)
{
    uint32_t low, high;

    *h = (struct host_leaves){{{1, 0, {0}}, {7, 0, {0}}, {7, 1, {0}}}, 0};
    h->leaf[0] = host_cpuid(1, 0);
    if (host_cpuid(0, 0).reg[REG_EAX] >= 7)
        h->leaf[1] = host_cpuid(7, 0);
    if (h->leaf[1].reg[REG_EAX] >= 1)
        h->leaf[2] = host_cpuid(7, 1);
    if (h->leaf[0].reg[REG_ECX] >> 27 & 1) { /* OSXSAVE */
        __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
        h->xcr0 = (uint64_t)high << 32 | low;
    }
}

static bool host_has(const struct host_leaves *h, uint32_t leaf,
                     uint32_t subleaf, enum cpuid_reg reg, unsigned bit)
{
    for (unsigned k = 0; k < ARRAY_LEN(h->leaf); k++)
        if (h->leaf[k].leaf == leaf && h->leaf[k].subleaf == subleaf)
            return h->leaf[k].reg[reg] >> bit & 1;
    return false;
}

/* The register state that a feature's instructions need the host to save. */
#define NEEDS_AVX    (XCR0_SSE | XCR0_AVX)
#define NEEDS_AVX512 (NEEDS_AVX | XCR0_OPMASK | XCR0_ZMM_HI256 | XCR0_HI16_ZMM)

#define VECTOR_FEATURES(X)                                                     \
    X(FPU, 0)                                                                  \
    X(MMX, 0) X(SSE, 0) X(SSE2, 0) X(SSE3, 0) X(SSSE3, 0) X(SSE41, 0)          \
        X(SSE42, 0) X(AES, 0) X(PCLMUL, 0) X(SHA, 0) X(GFNI, 0)                \
            X(AVX, NEEDS_AVX) X(F16C, NEEDS_AVX) X(FMA, NEEDS_AVX)             \
                X(AVX2, NEEDS_AVX) X(VAES, NEEDS_AVX) X(VPCLMUL, NEEDS_AVX) X( \
                    AVX_VNNI, NEEDS_AVX) X(AVX512F, NEEDS_AVX512)              \
                    X(AVX512DQ, NEEDS_AVX512) X(AVX512IFMA, NEEDS_AVX512) X(   \
                        AVX512CD, NEEDS_AVX512) X(AVX512BW, NEEDS_AVX512)      \
                        X(AVX512VL, NEEDS_AVX512) X(AVX512VBMI, NEEDS_AVX512)  \
                            X(AVX512VBMI2, NEEDS_AVX512)                       \
                                X(AVX512VNNI, NEEDS_AVX512) X(AVX512BITALG,    \
                                                              NEEDS_AVX512)    \
                                    X(AVX512VPOPCNT, NEEDS_AVX512)             \
                                        X(AVX512VP2I, NEEDS_AVX512)            \
                                            X(AVX512FP16, NEEDS_AVX512)        \
                                                X(AVX512BF16, NEEDS_AVX512)

static const struct {
    uint16_t feature;
    uint16_t needs;
} vector_features[] = {
#define X(name, needs) {FEAT_##name, needs},
    VECTOR_FEATURES(X)
#undef X
};

static const struct {
    uint32_t leaf;
    uint8_t subleaf, reg, bit;
} feature_bits[FEAT_COUNT] = {
#define X(name, option, leaf, subleaf, reg, bit)                               \
    [FEAT_##name] = {leaf, subleaf, REG_##reg, bit},
    X86_FEATURES(X)
#undef X
};

void hostvec_features(struct x86_features *f)
{
    struct host_leaves h;

    host_read(&h);
    for (unsigned k = 0; k < ARRAY_LEN(vector_features); k++) {
        unsigned n = vector_features[k].feature;
        uint64_t needs = vector_features[k].needs;

        if ((h.xcr0 & needs) == needs &&
            host_has(&h, feature_bits[n].leaf, feature_bits[n].subleaf,
                     feature_bits[n].reg, feature_bits[n].bit))
            feature_set(f, n, true);
    }
    /* How FXSAVE shows pointers; and the saving itself, which is ours. */
    feature_set(f, FEAT_FXSR, true);
    feature_set(f, FEAT_XSAVE, true);
    feature_set(f, FEAT_XSAVEOPT, true);
    feature_set(f, FEAT_XSAVEC, true);
    feature_set(f, FEAT_XGETBV1, true);
    feature_set(f, FEAT_FDP_EXCPTN, true);
    feature_set(f, FEAT_ZERO_FCS_FDS, true);
}

int hostvec_open(struct cpu *c, struct err *e)
{
    struct x86_features f = {0};
    struct hostvec *v = host_alloc(sizeof *v);

    if (!v)
        return err_set(e, LE_NOMEM, "no memory for vector instructions");
    if (host_code_alloc(&v->code, HOSTVEC_CODE)) {
        host_free(v);
        return err_set(e, LE_NOMEM, "no code memory for vector instructions");
    }
    hostvec_features(&f);
    v->avx = feature_has(&f, FEAT_AVX);
    v->avx512 = feature_has(&f, FEAT_AVX512F);
    v->avx512vl = feature_has(&f, FEAT_AVX512VL);
    v->avx512bw = feature_has(&f, FEAT_AVX512BW);
    c->hostvec = v;
    return 0;
}

void hostvec_close(struct cpu *c)
{
    struct hostvec *v = c->hostvec;

    if (!v)
        return;
    host_code_free(&v->code);
    host_free(v);
    c->hostvec = NULL;
}

#else

void hostvec_features(struct x86_features *f)
{
    (void)f;
}

int hostvec_open(struct cpu *c, struct err *e)
{
    (void)e;
    c->hostvec = NULL;
    return 0;
}

void hostvec_close(struct cpu *c)
{
    (void)c;
}

#endif
