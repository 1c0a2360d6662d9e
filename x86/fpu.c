#include "x86/fpu.h"

#include "base/bits.h"
#include "x86/outside.h"

void fpu_set_top(uint8_t *fx, unsigned top)
{
    unsigned by = (top - fpu_top(fx)) & 7;
    uint8_t old[FX_XMM - FX_ST];

    if (!by)
        return;
    memcpy(old, fx + FX_ST, sizeof old);
    for (unsigned r = 0; r < 8; r++)
        memcpy(fx + FX_ST + 16 * r, old + 16 * ((r + by) & 7), 16);
    store_le16(fx + FX_FSW, (uint16_t)((fpu_sw(fx) & ~(unsigned)FSW_TOP) |
                                       top << FSW_TOP_SHIFT));
}

void fpu_init(uint8_t *fx)
{
    fpu_set_top(fx, 0);
    memset(fx, 0, FX_MXCSR);
    store_le16(fx + FX_FCW, FCW_INIT);
}

void fpu_reset(uint8_t *fx)
{
    memset(fx, 0, FX_X87_SIZE);
    store_le16(fx + FX_FCW, FCW_INIT);
}

bool fpu_is_initial(const uint8_t *fx)
{
    uint64_t any = load_le64(fx) ^ FCW_INIT;

    any |= load_le64(fx + FX_FIP) | load_le64(fx + FX_FDP);
    for (unsigned k = FX_ST; k < FX_XMM; k += 8)
        any |= load_le64(fx + k);
    return !any;
}

/* 0 valid, 1 zero, 2 special: of an 80-bit value (SDM volume 1, 8.1.7). */
static unsigned tag_of(const uint8_t *st)
{
    uint64_t mantissa = load_le64(st);
    unsigned exponent = load_le16(st + 8) & 0x7fff;

    if (exponent == 0 && mantissa == 0)
        return 1;
    return exponent == 0 || exponent == 0x7fff || !(mantissa >> 63) ? 2 : 0;
}

unsigned fpu_full_tags(const uint8_t *fx)
{
    unsigned tags = 0, top = fpu_top(fx);

    for (unsigned r = 0; r < 8; r++) {
        const uint8_t *st = fx + FX_ST + 16 * ((r - top) & 7);
        unsigned tag = fx[FX_FTW] >> r & 1 ? tag_of(st) : 3;

        tags |= tag << 2 * r;
    }
    return tags;
}

void fpu_set_full_tags(uint8_t *fx, unsigned tags)
{
    uint8_t used = 0;

    for (unsigned r = 0; r < 8; r++)
        if ((tags >> 2 * r & 3) != 3)
            used |= (uint8_t)(1 << r);
    fx[FX_FTW] = used;
}

/* 64-bit offsets, or 32-bit ones with selectors where the CPU keeps those. */
static uint64_t pointer_bits(const struct cpu *c, bool wide)
{
    if (wide)
        return ~0ull;
    return feature_has(&c->model->features, FEAT_ZERO_FCS_FDS)
               ? 0xffffffffull
               : 0x0000ffffffffffffull;
}

void fpu_to_area(const struct cpu *c, uint8_t *area, bool wide)
{
    const uint8_t *fx = c->s.fxsave;
    uint64_t keep = pointer_bits(c, wide);

    memcpy(area, fx, FX_FIP);
    area[FX_FTW + 1] = 0;
    store_le64(area + FX_FIP, load_le64(fx + FX_FIP) & keep);
    store_le64(area + FX_FDP, load_le64(fx + FX_FDP) & keep);
    memcpy(area + FX_ST, fx + FX_ST, FX_XMM - FX_ST);
}

/* 64-bit offsets become canonical. */
static uint64_t pointer_loaded(const struct cpu *c, uint64_t v, bool wide)
{
    return wide ? (uint64_t)sign_extend(v, MAX(c->model->linear_bits, 48))
                : v & pointer_bits(c, false);
}

void fpu_from_area(struct cpu *c, const uint8_t *area, bool wide)
{
    uint8_t *fx = c->s.fxsave;

    fpu_set_words(fx, load_le16(area + FX_FCW), load_le16(area + FX_FSW));
    fx[FX_FTW] = area[FX_FTW];
    fx[FX_FTW + 1] = 0;
    store_le16(fx + FX_FOP, load_le16(area + FX_FOP) & FOP_DEFINED);
    store_le64(fx + FX_FIP, pointer_loaded(c, load_le64(area + FX_FIP), wide));
    store_le64(fx + FX_FDP, pointer_loaded(c, load_le64(area + FX_FDP), wide));
    for (unsigned k = FX_ST; k < FX_XMM; k += 16) {
        memcpy(fx + k, area + k, 10);
        memset(fx + k + 10, 0, 6);
    }
}

/* True: IGNNE# is asserted. */
static bool drive_ferr(struct cpu *c, bool on)
{
    struct outside_access a = {.what = OUTSIDE_FERR,
                               .write = true,
                               .bytes = 1,
                               .at = 0,
                               .value = on,
                               .ok = true};

    x86_outside(c, &a);
    return a.ok;
}

void fpu_clear_exceptions(struct cpu *c)
{
    enum { CLEARED = FSW_EXCEPTIONS | FSW_SF | FSW_ES | FSW_B };
    uint8_t *fx = c->s.fxsave;

    if ((fpu_sw(fx) & FSW_ES) && !(c->s.cr0 & CR0_NE))
        drive_ferr(c, false);
    fpu_set_words(fx, fpu_cw(fx), fpu_sw(fx) & ~CLEARED);
}

/*
 * Without CR0.NE the error goes out by FERR#, and the CPU waits before this
 * instruction for an interrupt, unless IGNNE# says to go on (SDM volume 1,
 * D.2.1).
 * SPEC: then the flags are lost; the host would fault with them.
 */
static COLD void pending(struct cpu *c)
{
    if (c->s.cr0 & CR0_NE)
        x86_raise(c, EXC_MF);
    if (drive_ferr(c, true)) {
        fpu_clear_exceptions(c);
        return;
    }
    c->s.rip = insn_rip(c, c->insn);
    x86_unwind(c, UNWIND_RESTART);
}

void fpu_check_pending(struct cpu *c)
{
    if (unlikely(fpu_sw(c->s.fxsave) & FSW_ES))
        pending(c);
}
