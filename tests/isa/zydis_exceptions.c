/*
 * Where we and Zydis 4.0 differ on purpose: instructions we leave out, and
 * what Zydis has wrong.
 */
#include "zydis_compare.h"

#include <string.h>

#include "x86/opspec.h"

/* ---- left out: #UD, or the NOP that CPUs without them see ---- */
static const uint8_t left_out[ZYDIS_ISA_SET_MAX_VALUE + 1] = {
    [ZYDIS_ISA_SET_AMD] = 1,
    [ZYDIS_ISA_SET_AMD3DNOW] = 1,
    [ZYDIS_ISA_SET_AMD_INVLPGB] = 1,
    [ZYDIS_ISA_SET_AMX_BF16] = 1,
    [ZYDIS_ISA_SET_AMX_INT8] = 1,
    [ZYDIS_ISA_SET_AMX_TILE] = 1,
    [ZYDIS_ISA_SET_AVX512ER_512] = 1, /* Xeon Phi */
    [ZYDIS_ISA_SET_AVX512ER_SCALAR] = 1,
    [ZYDIS_ISA_SET_AVX512PF_512] = 1,
    [ZYDIS_ISA_SET_AVX512_4FMAPS_512] = 1,
    [ZYDIS_ISA_SET_AVX512_4FMAPS_SCALAR] = 1,
    [ZYDIS_ISA_SET_AVX512_4VNNIW_512] = 1,
    [ZYDIS_ISA_SET_CET] = 1,
    [ZYDIS_ISA_SET_CLZERO] = 1,
    [ZYDIS_ISA_SET_ENQCMD] = 1,
    [ZYDIS_ISA_SET_FMA4] = 1,
    [ZYDIS_ISA_SET_HRESET] = 1,
    [ZYDIS_ISA_SET_KEYLOCKER] = 1,
    [ZYDIS_ISA_SET_KEYLOCKER_WIDE] = 1,
    [ZYDIS_ISA_SET_KNCE] = 1,
    [ZYDIS_ISA_SET_KNCJKBR] = 1,
    [ZYDIS_ISA_SET_KNCSTREAM] = 1,
    [ZYDIS_ISA_SET_KNCV] = 1,
    [ZYDIS_ISA_SET_KNC_MISC] = 1,
    [ZYDIS_ISA_SET_KNC_PF_HINT] = 1,
    [ZYDIS_ISA_SET_LWP] = 1,
    [ZYDIS_ISA_SET_MCOMMIT] = 1,
    [ZYDIS_ISA_SET_MONITORX] = 1,
    [ZYDIS_ISA_SET_MPX] = 1,
    [ZYDIS_ISA_SET_PADLOCK_ACE] = 1,
    [ZYDIS_ISA_SET_PADLOCK_PHE] = 1,
    [ZYDIS_ISA_SET_PADLOCK_PMM] = 1,
    [ZYDIS_ISA_SET_PADLOCK_RNG] = 1,
    [ZYDIS_ISA_SET_PCONFIG] = 1,
    [ZYDIS_ISA_SET_PT] = 1,
    [ZYDIS_ISA_SET_RDPRU] = 1,
    [ZYDIS_ISA_SET_RTM] = 1,
    [ZYDIS_ISA_SET_SGX] = 1,
    [ZYDIS_ISA_SET_SGX_ENCLV] = 1,
    [ZYDIS_ISA_SET_SMX] = 1,
    [ZYDIS_ISA_SET_SNP] = 1,
    [ZYDIS_ISA_SET_SSE4A] = 1,
    [ZYDIS_ISA_SET_SVM] = 1,
    [ZYDIS_ISA_SET_TBM] = 1,
    [ZYDIS_ISA_SET_TDX] = 1,
    [ZYDIS_ISA_SET_TSX_LDTRK] = 1,
    [ZYDIS_ISA_SET_UINTR] = 1,
    [ZYDIS_ISA_SET_VMFUNC] = 1,
    [ZYDIS_ISA_SET_VTX] = 1,
    [ZYDIS_ISA_SET_WAITPKG] = 1,
    [ZYDIS_ISA_SET_XOP] = 1,
    [ZYDIS_ISA_SET_XSAVES] = 1,
};

bool zydis_left_out(const struct zydis_pair *p)
{
    /* Of VMX and SVM we have the calls to a hypervisor. */
    if (p->zi.mnemonic == ZYDIS_MNEMONIC_VMCALL ||
        p->zi.mnemonic == ZYDIS_MNEMONIC_VMMCALL)
        return false;
    return left_out[p->zi.meta.isa_set];
}

/* ---- Zydis is wrong; a CPU was asked ---- */

/* 66 63 /r reads a word, not a doubleword. */
static bool movsxd16(const struct zydis_pair *p)
{
    return p->zi.mnemonic == ZYDIS_MNEMONIC_MOVSXD && p->zi.operand_width == 16;
}

/* With an address-size prefix Zydis makes R13D of "no base, disp32" (SIB base
   101, mod 0, REX.B). */
static bool sib_no_base(const struct zydis_pair *p)
{
    return p->zi.address_width == 32 && p->zi.raw.modrm.mod == 0 &&
           p->zi.raw.modrm.rm == 4 && p->zi.raw.sib.base == 5 &&
           p->i.base == REG_NONE;
}

/*
 * Outside 64-bit mode EVEX.W is ignored in conversions from and to general
 * registers. Zydis knows, but not for FP16, nor (with embedded rounding) for
 * VCVTSI2SD and VCVTUSI2SD.
 */
static bool w_outside_64(const struct zydis_pair *p)
{
    return !p->zok && p->result == DECODE_OK && p->z->mode != DECODE_64 &&
           insn_encoding(&p->i) == ENC_EVEX && (p->i.flags & INSN_REXW) &&
           !strncmp(p->row->name, "vcvt", 4);
}

bool zydis_wrong(const struct zydis_pair *p)
{
    if (!p->zok)
        return w_outside_64(p);
    return movsxd16(p) || sib_no_base(p);
}
