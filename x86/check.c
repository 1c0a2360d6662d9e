/*
 * What a row of the opcode table demands of the CPU before its body runs:
 * features, mode, privilege, the state of FPU and vector units. The order is
 * that of SDM volume 3, table 6-2 (#UD, then #NM, then #GP) and volume 2, 2.4
 * to 2.7.
 *
 * Nothing here depends on more than row, instruction, mode key, model and
 * XCR0 (which the mode key holds), so engines may ask once a block.
 */
#include "x86/opcode.h"
#include "x86/opspec.h"
#include "x86/system.h"

static bool exists(const struct cpu *c, const struct opcode *o)
{
    const struct x86_features *f = &c->model->features;

    return feature_has(f, (enum x86_feature)o->feature) &&
           feature_has(f, (enum x86_feature)o->feature2) &&
           (!(o->mode & ROW_PROT) || in_protected(c));
}

static bool lock_ok(const struct opcode *o, const struct insn *i)
{
    return !(i->flags & INSN_LOCK) ||
           ((o->props & OP_LOCK) && i->opnd[0].kind == OPND_MEM);
}

/* Privileged instructions that are undefined rather than forbidden. */
static bool undefined_for_user(const struct opcode *o)
{
    return o->feature == FEAT_SMAP || o->feature == FEAT_MONITOR;
}

static enum check_result check_vex(uint32_t key, uint32_t needed)
{
    if ((key & (MODE_PE | MODE_VM86)) != MODE_PE || !(key & MODE_OSXSAVE) ||
        !(key & needed))
        return CHECK_UD;
    return key & MODE_TS ? CHECK_NM : CHECK_OK;
}

static enum check_result check_units(const struct opcode *o, uint32_t key)
{
    if (o->props & OP_AVX512)
        return check_vex(key, MODE_AVX512);
    if (o->props & OP_AVX)
        return check_vex(key, MODE_AVX);
    if (o->props & OP_SSE) {
        if ((key & MODE_EM) || !(key & MODE_OSFXSR))
            return CHECK_UD;
        return key & MODE_TS ? CHECK_NM : CHECK_OK;
    }
    if (o->props & OP_MMX) {
        if (key & MODE_EM)
            return CHECK_UD;
        return key & MODE_TS ? CHECK_NM : CHECK_OK;
    }
    if (o->props & OP_X87)
        return key & (MODE_EM | MODE_TS) ? CHECK_NM : CHECK_OK;
    return CHECK_OK;
}

enum check_result x86_check_row_static(const struct cpu *c,
                                       const struct insn *i)
{
    const struct opcode *o = insn_opcode(i);
    uint32_t key = c->mode_key;
    enum check_result r;

    if (!exists(c, o) || !lock_ok(o, i))
        return CHECK_UD;
    if (insn_encoding(i) != ENC_LEGACY &&
        (key & (MODE_PE | MODE_VM86)) != MODE_PE)
        return CHECK_UD;
    r = check_units(o, key);
    if (r != CHECK_OK)
        return r;
    if ((o->props & OP_PRIV0) && (key & MODE_CPL))
        return undefined_for_user(o) ? CHECK_UD : CHECK_GP0;
    return CHECK_OK;
}

void x86_check_row(struct cpu *c, const struct insn *i)
{
    switch (x86_check_row_static(c, i)) {
    case CHECK_OK: break;
    case CHECK_UD: x86_raise(c, EXC_UD);
    case CHECK_NM: x86_raise(c, EXC_NM);
    case CHECK_GP0: x86_raise_gp0(c);
    }
}
