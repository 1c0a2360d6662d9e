#include "host_cases.h"

#include <string.h>

#include "base/bits.h"
#include "base/endian.h"
#include "x86/flags.h"
#include "x86/hostcpu.h"
#include "x86/mem.h"
#include "x86/ops/ops.h"
#include "x86/opspec.h"

/* ---- which rows ---- */

/* Not for a comparison: they tell time, chance or identity, reach the kernel
   or the hypervisor, or would change what this process stands on. */
static const char *const left_out[] = {
    "rdtsc",    "rdtscp",     "rdpmc",
    "rdpid",    "rdrand",     "rdseed",
    "cpuid",    "xgetbv",     "rdpkru",
    "wrpkru",   "syscall",    "sysret",
    "sysenter", "sysexit",    "vmcall",
    "vmmcall",  "int",        "int3",
    "int1",     "retf",       "iret/iretd/iretq",
    "lss",      "lfs",        "lgs",
    "lar",      "lsl",        "verr",
    "verw",     "sgdt",       "sidt",
    "sldt",     "str",        "smsw",
    "rdfsbase", "wrfsbase",   "serialize",
    "xsaveopt", "xsaveopt64", /* may leave out what has not changed */
};

static bool is_left_out(const struct opcode *o)
{
    for (unsigned k = 0; k < ARRAY_LEN(left_out); k++)
        if (!strcmp(o->name, left_out[k]))
            return true;
    /* MOV to and POP of segment registers, far CALL and JMP. */
    if ((o->props & OP_SYSTEM) && !(o->props & OP_PRIV0) &&
        ((o->props & OP_WRITES0) || (o->props & OP_BRANCH)) &&
        strcmp(o->name, "rdgsbase") && strcmp(o->name, "in") &&
        strcmp(o->name, "arpl"))
        return true;
    return false;
}

static bool host_has(enum x86_feature f)
{
    static const struct {
        uint32_t leaf, subleaf;
        uint8_t reg, bit;
    } where[FEAT_COUNT] = {
#define X(name, option, l, s, r, b) [FEAT_##name] = {l, s, REG_##r, b},
        X86_FEATURES(X)
#undef X
    };
    struct cpuid_result r;

    if (f == FEAT_NONE)
        return true;
    if (hostcpu_id(where[f].leaf & 0x80000000, 0).eax < where[f].leaf)
        return false;
    r = hostcpu_id(where[f].leaf, where[f].subleaf);
    return (where[f].reg == REG_EAX   ? r.eax
            : where[f].reg == REG_EBX ? r.ebx
            : where[f].reg == REG_ECX ? r.ecx
                                      : r.edx) >>
               where[f].bit &
           1;
}

static bool can_run(const struct opcode *o, const struct cpu_model *m,
                    enum decode_mode mode)
{
    if (mode != DECODE_64 && o->encoding == ENC_LEGACY && o->w == W_W1)
        return false; /* needs a REX prefix */
    return !(o->mode & (mode == DECODE_64 ? ROW_NO64 : ROW_ONLY64)) &&
           host_has(o->feature) && host_has(o->feature2) &&
           feature_has(&m->features, o->feature) &&
           feature_has(&m->features, o->feature2) && !is_left_out(o) &&
           (!(o->props & OP_AVX) || native_vector_bytes() >= 32) &&
           (!(o->props & OP_AVX512) || native_vector_bytes() >= 64);
}

unsigned cases_rows(uint16_t *rows, const struct cpu_model *m,
                    enum decode_mode mode, const char *only)
{
    unsigned n = 0;

    for (unsigned k = 0; k < opcode_count; k++)
        if (can_run(&opcode_table[k], m, mode) &&
            (!only || !strcmp(only, opcode_table[k].name)))
            rows[n++] = (uint16_t)k;
    return n;
}

/* ---- values ---- */

static uint64_t value(struct rng *r)
{
    return rng_one_in(r, 6) ? rng_corner(r) ^ rng_corner(r) : rng_value(r);
}

/* Floating-point numbers worth meeting, by size. */
static uint64_t float_value(struct rng *r, unsigned bytes)
{
    static const uint16_t half[] = {0,      0x8000, 0x3c00, 0xbc00, 0x7c00,
                                    0xfc00, 0x7e00, 0x7d01, 1,      0x83ff,
                                    0x7bff, 0x4248, 0x5640, 0x0400};
    static const uint32_t single[] = {
        0,          0x80000000, 0x3f800000, 0xbf800000, 0x7f800000, 0xff800000,
        0x7fc00000, 0x7f800001, 1,          0x807fffff, 0x7f7fffff, 0x40490fdb,
        0x4f000000, 0xcf000000, 0x5f000000, 0x00800000, 0x477ff000, 0x33000001};
    static const uint64_t dbl[] = {0,
                                   0x8000000000000000,
                                   0x3ff0000000000000,
                                   0xbff0000000000000,
                                   0x7ff0000000000000,
                                   0xfff0000000000000,
                                   0x7ff8000000000000,
                                   0x7ff0000000000001,
                                   1,
                                   0x800fffffffffffff,
                                   0x7fefffffffffffff,
                                   0x400921fb54442d18,
                                   0x41dfffffffc00000,
                                   0xc1e0000000000000,
                                   0x43e0000000000000,
                                   0xc3e0000000000000,
                                   0x0010000000000000,
                                   0x47efffffe0000000,
                                   0x36a0000000000000};

    if (rng_one_in(r, 2))
        return value(r);
    if (bytes == 2)
        return half[rng_below(r, ARRAY_LEN(half))];
    if (bytes == 4)
        return single[rng_below(r, ARRAY_LEN(single))];
    return dbl[rng_below(r, ARRAY_LEN(dbl))];
}

static void fill_bytes(struct rng *r, uint8_t *to, unsigned n)
{
    unsigned size = 1u << rng_below(r, 4), kind = rng_below(r, 4);

    for (unsigned k = 0; k + size <= n; k += size) {
        uint64_t v = kind == 0   ? rng_next(r)
                     : kind == 1 ? value(r)
                                 : float_value(r, size);

        store_le(to + k, v, size);
    }
}

/* 80-bit reals: any class. */
static void fill_real(struct rng *r, uint8_t *to)
{
    static const uint16_t exponents[] = {
        0, 1, 0x3fff, 0x7fff, 0x7ffe, 0x403e, 0x3ffe, 0x4000, 0x43fe, 0x3c01};
    static const uint64_t fractions[] = {0,     1ull << 63,       3ull << 62, 1,
                                         ~0ull, (1ull << 63) | 1, 1ull << 62};
    bool plain = rng_one_in(r, 2);
    uint16_t e = exponents[rng_below(r, ARRAY_LEN(exponents))];
    uint64_t f = fractions[rng_below(r, ARRAY_LEN(fractions))];

    if (plain) {
        e = (uint16_t)(0x3fe0 + rng_below(r, 64));
        f = rng_next(r) | 1ull << 63;
    } else if (rng_one_in(r, 3)) {
        f = rng_next(r);
    }
    store_le64(to, f);
    store_le16(to + 8, e | (rng_one_in(r, 2) ? 0x8000 : 0));
}

static void fill_x87(struct rng *r, uint8_t *fx)
{
    unsigned cw = 0x40 | (unsigned)(rng_next(r) & 0x1f3f);
    unsigned sw = (unsigned)rng_next(r) & 0x7f7f;

    if (!rng_one_in(r, 8))
        cw |= 0x3f;
    if (rng_one_in(r, 2))
        cw |= 0x300;
    if (!rng_one_in(r, 8))
        sw &= ~0x7fu;
    if (sw & ~cw & 0x3f)
        sw |= 0x8080;
    memset(fx, 0, 160);
    store_le16(fx, (uint16_t)cw);
    store_le16(fx + 2, (uint16_t)sw);
    fx[4] = rng_one_in(r, 3) ? (uint8_t)rng_next(r) : 0xff;
    if (rng_one_in(r, 8))
        fx[4] = 0;
    store_le16(fx + 6, rng_next(r) & 0x7ff);
    store_le64(fx + 8, rng_next(r) >> 17);
    store_le64(fx + 16, rng_next(r) >> 17);
    for (unsigned k = 0; k < 8; k++)
        fill_real(r, fx + 32 + 16 * k);
}

static void fill_mxcsr(struct rng *r, uint8_t *fx)
{
    uint32_t v = (uint32_t)rng_next(r) & 0xffff;

    if (!rng_one_in(r, 8))
        v |= 0x1f80;
    if (!rng_one_in(r, 4))
        v &= ~0x8040u;
    store_le32(fx + 24, v);
    store_le32(fx + 28, 0xffff);
}

static void fill_vector(struct rng *r, struct host_state *s, unsigned n)
{
    unsigned bytes =
        n < 16 || native_vector_bytes() == 64 ? native_vector_bytes() : 0;

    fill_bytes(r, s->zmm[n], bytes);
}

void case_fill(struct rng *r, struct host_state *s)
{
    memset(s, 0, sizeof *s);
    for (unsigned n = 0; n < 16; n++)
        s->gpr[n] = value(r);
    fill_x87(r, s->fx);
    fill_mxcsr(r, s->fx);
    for (unsigned n = 0; n < 32; n++)
        fill_vector(r, s, n);
    for (unsigned n = 0; n < 8 && native_vector_bytes() == 64; n++)
        s->k[n] = value(r);
}

static void fill_operands(struct host_case *c)
{
    struct rng *r = c->r;

    for (unsigned n = 0; n < 16; n++)
        c->s->gpr[n] = value(r);
    for (unsigned k = 0; k < 4; k++) {
        const struct operand *o = &c->i.opnd[k];

        if (o->kind == OPND_VEC)
            fill_vector(r, c->s, o->reg);
        if (o->kind == OPND_K)
            c->s->k[o->reg] = value(r);
    }
    if (insn_encoding(&c->i) == ENC_EVEX && native_vector_bytes() == 64)
        c->s->k[c->i.evex & 7] = value(r);
    if (c->row->props & (OP_X87 | OP_MMX))
        fill_x87(r, c->s->fx);
    fill_mxcsr(r, c->s->fx);
    c->s->rflags = FLAG_1 | FLAG_IF | (rng_next(r) & FLAGS_STATUS) |
                   (rng_one_in(r, 4) ? FLAG_DF : 0) |
                   (rng_one_in(r, 6) ? FLAG_AC : 0);
}

/* ---- memory ---- */

static bool is_xsave(const struct host_case *c)
{
    return !strncmp(c->row->name, "xsave", 5) ||
           !strncmp(c->row->name, "xrstor", 6);
}

static unsigned operand_bytes(const struct host_case *c)
{
    if (is_xsave(c))
        return 2688; /* as far as ZMM16 to ZMM31 reach */
    if (!strncmp(c->row->name, "fx", 2) && (c->row->props & OP_SYSTEM) == 0 &&
        c->row->operand[0] == OT_M)
        return 512;
    for (unsigned k = 0; k < 4; k++)
        if (c->i.opnd[k].kind == OPND_MEM && c->i.opnd[k].size)
            return c->i.opnd[k].size;
    return (c->row->props & OP_MASKED) ? 16 : c->i.osize; /* MASKMOVDQU */
}

/* A memory image whose parts the CPU takes in an order of its own. */
static bool is_image(const struct host_case *c)
{
    static const char *const names[] = {"fnstenv", "fldenv",    "fnsave",
                                        "frstor",  "fxsave",    "fxsave64",
                                        "fxrstor", "fxrstor64", "movdir64b"};

    for (unsigned k = 0; k < ARRAY_LEN(names); k++)
        if (!strcmp(c->row->name, names[k]))
            return true;
    return is_xsave(c);
}

bool case_in_pieces(const struct host_case *c)
{
    return is_image(c) || (c->row->props & OP_MASKED) ||
           (insn_encoding(&c->i) == ENC_EVEX && (c->i.evex & 7));
}

static uint64_t pick_target(struct host_case *c, unsigned n)
{
    struct rng *r = c->r;
    uint64_t page = 0x1000, in = rng_below(r, DATA_PAGES * 0x1000 - 1024);
    unsigned cross = 1 + rng_below(r, n > 1 ? n - 1 : 1);
    bool locked = (c->i.flags & INSN_LOCK) || !strcmp(c->row->name, "xchg");

    /* A split lock would be the kernel's business. */
    if (locked)
        cross = 0;
    if (n > 64) /* nor shall it cross from one hole to another */
        in &= 0x3ff;
    switch (rng_below(r, 24)) {
    case 0: return DATA + page - cross;
    case 1: return FROZEN + (in & 0xff0);
    case 2: return FROZEN - cross;
    case 3: return FROZEN + (case_in_pieces(c) ? 0 : page) - cross;
    case 4: return DATA - (is_xsave(c) ? 0 : cross);
    case 5: return DATA - 0x10000 + (in & ~63ull);
    case 6:
        if (c->mode == DECODE_32) /* the end of the segment */
            return 0x100000000 -
                   (rng_one_in(r, 2) && !case_in_pieces(c) ? cross : n);
        if (c->i.asize == 8)
            return (rng_one_in(r, 2) ? 0x0000800000000000
                                     : 0xffff7fffffffffc0) -
                   (rng_one_in(r, 2) && !is_image(c) ? cross : 0);
        return DATA + (in & ~63ull);
    case 7:
    case 8: return DATA + (locked ? in & ~15ull : in);
    default: return DATA + (in & ~63ull);
    }
}

/* Operands worth meeting, at the target on both sides. */
static void fill_target(struct host_case *c, unsigned n)
{
    uint8_t bytes[64];

    if (c->target < DATA || c->target + n > FROZEN || n > sizeof bytes)
        return;
    fill_bytes(c->r, bytes, sizeof bytes);
    if (n == 10)
        fill_real(c->r, bytes);
    memcpy((void *)(uintptr_t)c->target, bytes, n);
    memcpy(guest_data() + (c->target - DATA), bytes, n);
}

static void patch_disp(struct host_case *c, uint64_t disp)
{
    struct insn *i = &c->i;
    unsigned at = i->len - i->imm_len - 4u;

    i->disp = (int32_t)disp;
    store_le32(c->bytes + at, (uint32_t)disp);
    memcpy(i->raw, c->bytes, sizeof i->raw);
}

/* 1 / odd, modulo 2^64. */
static uint64_t inverse(uint64_t odd)
{
    uint64_t x = odd;

    for (unsigned k = 0; k < 6; k++)
        x *= 2 - odd * x;
    return x;
}

/* base + index * scale = sum, with base and index as they are named. */
static void solve(struct host_case *c, uint64_t sum)
{
    struct insn *i = &c->i;
    uint64_t *g = c->s->gpr;

    if (i->index == REG_NONE) {
        g[i->base] = sum;
    } else if (i->base == i->index) {
        uint64_t k = 1 + (1ull << i->scale);

        g[i->base] = k == 2 ? sum >> 1 : sum * inverse(k);
    } else {
        g[i->base] = sum - (g[i->index] << i->scale);
    }
}

/* No base: the displacement is the address. */
static void place_bare(struct host_case *c, uint64_t offset)
{
    struct insn *i = &c->i;

    if (!insn_has_modrm(i)) { /* moffs */
        store_le(c->bytes + i->len - i->imm_len, offset, i->imm_len);
        i->imm = offset;
        i->disp = (int32_t)offset;
        memcpy(i->raw, c->bytes, sizeof i->raw);
        return;
    }
    if (i->index < 16) {
        c->s->gpr[i->index] &= 0xff;
        offset -= c->s->gpr[i->index] << i->scale;
    }
    patch_disp(c, offset);
}

/* Every element of the index goes into the data pages, on either side of the
   base, or now and then just beside them. */
static void place_vsib(struct host_case *c)
{
    struct insn *i = &c->i;
    unsigned size = i->code & 1 ? 8 : 4;

    for (unsigned k = 0; k + size <= 64; k += size) {
        int64_t at = (int64_t)rng_below(c->r, DATA_SIZE - 0x10) - 0x1000;

        if (rng_one_in(c->r, 30))
            at = DATA_SIZE - 0x1000 + (int)rng_below(c->r, 64) - 8;
        store_le(c->s->zmm[i->index] + k, (uint64_t)(at >> i->scale), size);
    }
    if (i->base == REG_NONE)
        patch_disp(c, DATA + 0x1000);
    else
        c->s->gpr[i->base] = DATA + 0x1000 - (uint64_t)(int64_t)i->disp;
}

static void place_modrm(struct host_case *c)
{
    struct insn *i = &c->i;
    uint64_t offset = c->target;

    if (i->seg == GS)
        offset -= c->s->gs_base;
    if (i->flags & INSN_VSIB)
        place_vsib(c);
    else if (i->base == REG_RIP)
        patch_disp(c, offset - (CODE_AT + i->len));
    else if (i->base == REG_NONE)
        place_bare(c, offset);
    else
        solve(c, offset - (uint64_t)(int64_t)i->disp);
}

/* Strings, XLAT, MASKMOV: registers are given. */
static void place_implied(struct host_case *c)
{
    uint64_t *g = c->s->gpr, base = c->i.seg == GS ? c->s->gs_base : 0;

    if (c->row->props & OP_STRING) {
        g[RSI] = c->target - base;
        g[RDI] = pick_target(c, c->i.osize);
        if (!rng_one_in(c->r, 8))
            g[RCX] = rng_below(c->r, 40);
        if (c->i.seg == ES)
            g[RDI] = c->target;
    } else if (c->i.base == RBX) {
        g[RBX] = c->target - base - (uint8_t)g[RAX];
    } else {
        g[c->i.base] = c->target - base;
    }
}

static bool implied(const struct host_case *c)
{
    for (unsigned k = 0; k < 4; k++) {
        unsigned place = operand_types[c->row->operand[k]].place;

        if (place == AT_IMPLIED || place == AT_IMPLIED_ES)
            return true;
    }
    return false;
}

static void place_memory(struct host_case *c)
{
    unsigned n = operand_bytes(c);

    c->s->gs_base = rng_one_in(c->r, 3) ? rng_below(c->r, 0x0f000000) : 0;
    c->target = 0;
    if (!(c->i.flags & INSN_MEM) || c->i.asize == 2)
        return; /* 64 KiB of which nothing is mapped */
    c->target = pick_target(c, n);
    if (implied(c))
        place_implied(c);
    else
        place_modrm(c);
    fill_target(c, n);
}

/* ---- what needs more care ---- */

/* A trap in the code pages; or no address at all. */
static uint64_t landing(const struct host_case *c)
{
    struct rng *r = c->r;

    if (c->mode == DECODE_64 && rng_one_in(r, 16))
        return 0x8000000000000000 | rng_next(r) >> 4;
    return CODE_AT + 0x100 + rng_below(r, 0x400);
}

static void set_quad(uint64_t at, uint64_t v)
{
    if (at >= DATA && at + 8 <= FROZEN) {
        memcpy((void *)(uintptr_t)at, &v, 8);
        memcpy(guest_data() + (at - DATA), &v, 8);
    }
}

static uint64_t get_quad(uint64_t at)
{
    uint64_t v = 0;

    if (at >= DATA && at + 8 <= FROZEN)
        memcpy(&v, (const void *)(uintptr_t)at, 8);
    return v;
}

static void patch_relative(struct host_case *c)
{
    struct insn *i = &c->i;
    int64_t to = i->imm_len == 1 ? 0x30 + rng_below(c->r, 0x50)
                                 : 0x100 + rng_below(c->r, 0x400);

    if (rng_one_in(c->r, 2))
        to = -to;
    i->imm = (uint64_t)to;
    store_le(c->bytes + i->len - i->imm_len, (uint64_t)to, i->imm_len);
    memcpy(i->raw, c->bytes, sizeof i->raw);
}

/* What stands there is what we put there, or it is not mapped. */
static bool known_quad(uint64_t at)
{
    return (at >= DATA && at + 8 <= FROZEN) || at + 8 <= DATA ||
           at >= FROZEN + 0x1000;
}

static bool prepare_branch(struct host_case *c)
{
    const struct operand *o = &c->i.opnd[0];

    if (c->i.osize == 2) /* IP: nothing is there */
        return false;

    if (o->kind == OPND_REL)
        patch_relative(c);
    else if (o->kind == OPND_GPR)
        c->s->gpr[o->reg] = landing(c);
    else if (o->kind == OPND_MEM)
        set_quad(c->target, landing(c));
    else
        set_quad(c->s->gpr[RSP], landing(c)); /* RET */
    /* base + base cannot be odd. */
    if (o->kind == OPND_MEM)
        return known_quad(c->target) &&
               (c->i.base != c->i.index || c->i.scale || c->i.base >= 16);
    /* CALL RSP: the target would be the stack's. */
    if (o->kind == OPND_GPR)
        return o->reg != RSP;
    return o->kind == OPND_REL || known_quad(c->s->gpr[RSP]);
}

static void prepare_stack(struct host_case *c)
{
    uint64_t *g = c->s->gpr;

    g[RSP] = pick_target(c, 8);
    if (g[RSP] >> 47) /* not beside a memory operand */
        g[RSP] ^= 0x4000000000;
    if (rng_below(c->r, 8) || c->row->byte == 0x9d)
        g[RSP] = DATA + 0x200 + (rng_below(c->r, 0x1800) & ~7u);
    if (c->row->byte == 0xc9 || c->row->byte == 0xc8) /* LEAVE, ENTER */
        g[RBP] = pick_target(c, 8);
    if (c->row->byte == 0x9d) /* POPF: no trap */
        set_quad(g[RSP], get_quad(g[RSP]) & ~(uint64_t)FLAG_TF);
}

/* Quotients that fit now and then. */
static void prepare_divide(struct host_case *c)
{
    uint64_t *g = c->s->gpr;

    if (rng_one_in(c->r, 4))
        return;
    if (c->i.osize == 1)
        g[RAX] = rng_below(c->r, 0x300);
    g[RDX] = rng_below(c->r, 16);
    if (rng_one_in(c->r, 3))
        g[RDX] = (uint64_t)((int64_t)g[RAX] >> 63);
}

static void prepare_compare(struct host_case *c)
{
    uint64_t *g = c->s->gpr;

    if (rng_one_in(c->r, 2))
        return;
    if (c->i.opnd[0].kind == OPND_GPR) {
        g[RAX] = g[c->i.opnd[0].reg & 15];
    } else {
        g[RAX] = get_quad(c->target);
        g[RDX] = get_quad(c->target + 8);
        if (!strcmp(c->row->name, "cmpxchg8b"))
            g[RDX] = g[RAX] >> 32;
    }
}

/* A bit far away is memory far away. */
static void prepare_bit(struct host_case *c)
{
    uint64_t *r = &c->s->gpr[c->i.opnd[1].reg & 15];

    if (c->i.opnd[0].kind == OPND_MEM && c->i.opnd[1].kind == OPND_GPR)
        *r = (uint64_t)((int64_t)(*r << 49) >> 49);
}

/* Components that both have; for XRSTOR a header that is mostly good. */
static void prepare_xsave(struct host_case *c)
{
    const uint64_t all = native_vector_bytes() == 64 ? 0xe7 : 7;
    uint64_t at = c->target, bv = rng_next(c->r) & all;
    bool compact = rng_one_in(c->r, 3);

    c->s->gpr[RAX] &= ~0xffffffffull | all;
    c->s->gpr[RDX] &= ~0xffffffffull;
    if (c->row->name[1] == 's')
        return;
    set_quad(at + 24, get_quad(at + 24) & 0xffffffff0000ffff);
    set_quad(at + 512, bv);
    set_quad(at + 520, compact ? 1ull << 63 | bv | (rng_next(c->r) & all) : 0);
    for (unsigned k = 528; k < 576; k += 8)
        set_quad(at + k, 0);
    if (rng_one_in(c->r, 8))
        set_quad(at + 512 + 8 * rng_below(c->r, 8), rng_next(c->r));
}

/* Reserved bits of MXCSR are a fault; now and then it shall not be one. */
static void prepare_mxcsr(struct host_case *c)
{
    uint64_t at = c->target;

    if (rng_one_in(c->r, 4))
        return;
    if (c->row->body == op_fxrstor)
        at += 24;
    else if (c->row->body != op_ldmxcsr)
        return;
    set_quad(at, get_quad(at) & 0xffffffff0000ffff);
}

static bool prepare(struct host_case *c)
{
    const char *name = c->row->name;

    if (c->row->props & OP_STACK)
        prepare_stack(c);
    if (is_xsave(c)) {
        if (c->i.base == RAX || c->i.base == RDX || c->i.index == RAX ||
            c->i.index == RDX)
            return false; /* those say what to save */
    }
    if (!strcmp(name, "movdir64b"))
        c->s->gpr[c->i.opnd[0].reg] = DATA + 64 * rng_below(c->r, 64);
    if (name[0] == 'b' && name[1] == 't')
        prepare_bit(c);
    place_memory(c);
    if (!strcmp(name, "div") || !strcmp(name, "idiv"))
        prepare_divide(c);
    if (!strncmp(name, "cmpxchg", 7))
        prepare_compare(c);
    prepare_mxcsr(c);
    if (is_xsave(c))
        prepare_xsave(c);
    if ((c->row->props & OP_BRANCH) && !prepare_branch(c))
        return false;
    return true;
}

/* ---- is it safe? ---- */

/* In the arena, not canonical, or where nothing is ever mapped. */
static bool safe_address(uint64_t a)
{
    const uint64_t margin = 0x100000;
    uint64_t high = a >> 47;

    return a < 0x10000 || (a >= 0xffff0000 && a <= 0x100000000) ||
           (a >= ARENA + margin && a < ARENA + ARENA_SIZE - margin &&
            (a < CODE - margin || a > CODE + margin)) ||
           (high != 0 && high != 0x1ffff) ||
           (a + 64 >= 1ull << 47 && high == 0) /* runs out of the low half */
           || (a >= 0xffff7fffffffff00 && a < 0xffff800000000000);
}

static uint64_t truncate(uint64_t a, unsigned bytes)
{
    return a & mask_low(8 * bytes);
}

/* BT and its like with a register: memory far from the operand's address. */
static int64_t bit_distance(const struct host_case *c)
{
    const struct operand *o = c->i.opnd;
    uint64_t v;

    if (c->row->name[0] != 'b' || c->row->name[1] != 't' ||
        o[1].kind != OPND_GPR)
        return 0;
    v = c->s->gpr[o[1].reg & 15];
    return sign_extend(v, c->i.osize * 8) >> 3;
}

static bool safe(const struct host_case *c)
{
    struct cpu *g = guest_cpu();
    const struct insn *i = &c->i;
    const uint64_t *r = c->s->gpr;
    uint64_t base = i->seg == GS ? c->s->gs_base : 0;

    /* FS is the C library's; in 32-bit code GS is not ours to set. */
    if ((i->flags & INSN_MEM) &&
        (i->seg == FS || (i->seg == GS && c->mode != DECODE_64)))
        return false;
    if ((c->row->props & OP_STACK) && !safe_address(r[RSP]))
        return false;
    if ((c->row->props & OP_STACK) &&
        (c->row->byte == 0xc9 || c->row->byte == 0xc8) && !safe_address(r[RBP]))
        return false;
    if (!strcmp(c->row->name, "movdir64b") &&
        !safe_address(truncate(r[i->opnd[0].reg], i->asize)))
        return false;
    if (!(i->flags & INSN_MEM) || (i->flags & INSN_VSIB) ||
        (c->row->props & OP_NOMEMPTR))
        return true;
    if (c->row->props & OP_STRING)
        return safe_address(truncate(r[RSI], i->asize) + base) &&
               safe_address(truncate(r[RDI], i->asize));
    memcpy(g->s.gpr, r, sizeof g->s.gpr);
    g->block_rip = CODE_AT;
    return safe_address(x86_ea(g, i) + base) &&
           safe_address(
               truncate(x86_ea(g, i) + (uint64_t)bit_distance(c), i->asize) +
               base);
}

/* Gathers need their base for sure, and an index that is no base's problem. */
static bool vsib_ok(const struct host_case *c)
{
    return !(c->i.flags & INSN_VSIB) || c->i.seg != GS;
}

bool case_make(struct host_case *c, unsigned row)
{
    encoding_of_row(c->r, c->mode, &opcode_table[row], c->bytes);
    if (x86_decode(&c->i, c->bytes, ENCODING_BYTES, c->mode) != DECODE_OK)
        return false;
    c->row = insn_opcode(&c->i);
    if (c->i.op != row)
        return false;
    fill_operands(c);
    c->i.pos = 0;
    if (!prepare(c))
        return false;
    if (c->mode == DECODE_32)
        for (unsigned n = 0; n < 16; n++)
            c->s->gpr[n] = n < 8 ? (uint32_t)c->s->gpr[n] : 0;
    return vsib_ok(c) && safe(c);
}
