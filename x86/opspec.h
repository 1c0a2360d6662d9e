/*
 * What the columns of x86/opcodes.def mean: the enumerations in struct opcode
 * and the operand types. For the decoder, the disassembler and the program
 * that makes the index; engines see struct insn and props only.
 */
#ifndef X86_OPSPEC_H
#define X86_OPSPEC_H

#include "x86/insn.h"
#include "x86/state.h"

/* struct opcode.map: also the EVEX and VEX map numbers. */
enum opcode_map {
    MAP_1 = 0,
    MAP_0F = 1,
    MAP_0F38 = 2,
    MAP_0F3A = 3,
    MAP_M5 = 5,
    MAP_M6 = 6,
};

/* struct opcode.pp: values as in VEX.pp, then the looser rules. */
enum opcode_pp { PP_NP, PP_66, PP_F3, PP_F2, PP___, PP_NFx };

/* struct opcode.w and .l */
enum opcode_w { W_W0, W_W1, W_WIG };
enum opcode_l {
    L_L0,  /* 128 bits, LZ */
    L_L1,  /* 256 */
    L_L2,  /* 512 */
    L_L01, /* 128 or 256 */
    L_LIG, /* ignored: scalar */
};

/* struct opcode.mode */
enum opcode_mode {
    ROW_ANY = 0,
    ROW_ONLY64 = 1 << 0,
    ROW_NO64 = 1 << 1,
    ROW_PROT = 1 << 2, /* #UD in real and virtual-8086 mode: engine's check */
    ROW_NO64_PROT = ROW_NO64 | ROW_PROT,
};

/* struct opcode.reg and .rm: a number or EXT_ANY; .mod: */
enum { EXT_ANY = 8 };
enum opcode_mod {
    MOD_NONE, /* no ModRM byte */
    MOD_LOW,  /* none, register in the low bits of the opcode byte */
    MOD_LOW0, /* none, and REX.B clear */
    MOD_ANY,
    MOD_MEM,
    MOD_REG,
    MOD_FORCED, /* mod is ignored, taken for 3 */
};

/* struct opcode.size */
enum opcode_size {
    SIZE_n, /* not a matter of size: as y */
    SIZE_b,
    SIZE_w,
    SIZE_v,
    SIZE_z,
    SIZE_y,
    SIZE_q,
    SIZE_f,
    SIZE_m,
};

/* struct opcode.evex: what EVEX and VEX encodings of the row may say. */
enum opcode_evex {
    EV_K = 1 << 0,    /* opmask allowed */
    EV_Z = 1 << 1,    /* zeroing allowed (never with a memory destination) */
    EV_KREQ = 1 << 2, /* opmask other than k0 demanded (gather, scatter) */
    EV_ER = 1 << 3,   /* embedded rounding in register forms */
    EV_SAE = 1 << 4,  /* suppress all exceptions in register forms */
    EV_DISTINCT = 1 << 5, /* gather: destination, index and mask differ;
                             complex FP16: destination is no source */
    EV_NF = 1 << 6,     /* all of the memory operand may fault, under any mask:
                           no fault suppression */
    EV_REPEAT = 1 << 7, /* the memory operand is repeated over the register */
};

/* struct opcode.tuple: broadcast element, or what disp8 counts. */
enum opcode_tuple {
    T_NONE, /* disp8 counts memory operands; no broadcast */
    T_B16,
    T_B32,
    T_B64, /* broadcast of 2, 4, 8 bytes allowed */
    T_E8,
    T_E16,
    T_E32,
    T_E64, /* disp8 counts elements of 1, 2, 4, 8 bytes */
    T_M8,
    T_M16,
    T_M32,
    T_M64, /* as T_NONE; a mask bit stands for 1, 2, 4, 8 bytes of it */
};

/* Operand sizes: a number of bytes, or by rule. */
enum size_rule {
    SZ_0 = 0,
    SZ_1 = 1,
    SZ_2 = 2,
    SZ_4 = 4,
    SZ_6 = 6,
    SZ_8 = 8,
    SZ_10 = 10,
    SZ_16 = 16,
    SZ_32 = 32,
    SZ_64 = 64,
    SZ_v = 0x80, /* operand size */
    SZ_z,        /* operand size, 4 at most */
    SZ_y,        /* operand size, 4 at least */
    SZ_c,        /* address size */
    SZ_m,        /* 8 in 64-bit mode, else 4 */
    SZ_p,        /* far pointer: operand size + 2 */
    SZ_a,        /* BOUND: two of operand size */
    SZ_s,        /* descriptor-table register: 10 in 64-bit mode, else 6 */
    SZ_env,      /* x87 environment: 14 or 28 */
    SZ_sav,      /* x87 state: 94 or 108 */
    SZ_x,        /* vector length, and its half, quarter, eighth */
    SZ_h,
    SZ_f,
    SZ_e,
    SZ_hr, /* the same for a register: at least 16 */
    SZ_fr,
    SZ_er,
};

/* Where an operand comes from. */
enum operand_place {
    AT_NONE,
    AT_REG,   /* ModRM.reg */
    AT_RM,    /* ModRM.rm: register or memory */
    AT_VVVV,  /* VEX.vvvv */
    AT_LOW,   /* low three bits of the opcode */
    AT_FIXED, /* the register that `fixed` says */
    AT_IS4,   /* bits 7:4 of an immediate byte */
    AT_IMM,   /* immediate, `fixed`: enum immediate */
    AT_MOFFS,
    AT_VSIB,    /* memory with a vector index */
    AT_IMPLIED, /* memory through register `fixed` in the data segment, or (as
                   AT_IMPLIED_ES) in ES; not in insn.opnd */
    AT_IMPLIED_ES,
};

enum immediate {
    IMM_U8,
    IMM_S8,
    IMM_16,
    IMM_Z,
    IMM_V,
    IMM_ONE,
    IMM_SECOND8,
    IMM_REL8,
    IMM_RELZ,
    IMM_FAR,
};

struct operand_type {
    uint8_t place; /* enum operand_place */
    uint8_t kind;  /* enum operand_kind, of the register form */
    uint8_t size;  /* enum size_rule, of the register or immediate */
    uint8_t mem;   /* enum size_rule, of the memory form */
    uint8_t fixed;
};

enum operand_type_id {
    OT_ = 0,
    OT__ = 0, /* no operand */
#define X(name, place, kind, size, mem, fixed) OT_##name,
#include "x86/operands.def"
    OT_COUNT
};
_Static_assert(OT_COUNT < 256, "struct opcode.operand is bytes");

extern const struct operand_type operand_types[];

#endif
