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
    MAP_1 = 0, MAP_0F = 1, MAP_0F38 = 2, MAP_0F3A = 3, MAP_M5 = 5, MAP_M6 = 6,
};

/* struct opcode.pp: values as in VEX.pp, then the looser rules. */
enum opcode_pp { PP_NP, PP_66, PP_F3, PP_F2, PP___, PP_NFx };

/* struct opcode.w and .l */
enum opcode_w { W_W0, W_W1, W_WIG };
enum opcode_l {
    L_L0, /* 128 bits, LZ */
    L_L1, /* 256 */
    L_L2, /* 512 */
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
    MOD_NONE,   /* no ModRM byte */
    MOD_LOW,    /* none, register in the low bits of the opcode byte */
    MOD_LOW0,   /* none, and REX.B clear */
    MOD_ANY, MOD_MEM, MOD_REG,
    MOD_FORCED, /* mod is ignored, taken for 3 */
};

/* struct opcode.size */
enum opcode_size {
    SIZE_n, /* not a matter of size: as y */
    SIZE_b, SIZE_w, SIZE_v, SIZE_z, SIZE_y, SIZE_q, SIZE_f, SIZE_m,
};

/* struct opcode.evex: what EVEX and VEX encodings of the row may say. */
enum opcode_evex {
    EV_K = 1 << 0,     /* opmask allowed */
    EV_Z = 1 << 1,     /* zeroing allowed (never with a memory destination) */
    EV_KREQ = 1 << 2,  /* opmask other than k0 demanded (gather, scatter) */
    EV_ER = 1 << 3,    /* embedded rounding in register forms */
    EV_SAE = 1 << 4,   /* suppress all exceptions in register forms */
    EV_DISTINCT = 1 << 5, /* gather: destination, index and mask differ;
                             complex FP16: destination is no source */
};

/* struct opcode.tuple: broadcast element, or what disp8 counts. */
enum opcode_tuple {
    T_NONE, /* disp8 counts memory operands; no broadcast */
    T_B16, T_B32, T_B64, /* broadcast of 2, 4, 8 bytes allowed */
    T_E8, T_E16, T_E32, T_E64, /* disp8 counts elements of 1, 2, 4, 8 bytes */
};

/* Operand sizes: a number of bytes, or by rule. */
enum size_rule {
    SZ_0 = 0, SZ_1 = 1, SZ_2 = 2, SZ_4 = 4, SZ_6 = 6, SZ_8 = 8, SZ_10 = 10,
    SZ_16 = 16, SZ_32 = 32, SZ_64 = 64,
    SZ_v = 0x80, /* operand size */
    SZ_z,   /* operand size, 4 at most */
    SZ_y,   /* operand size, 4 at least */
    SZ_vw,  /* operand size as a register, 2 in memory */
    SZ_c,   /* address size */
    SZ_m,   /* 8 in 64-bit mode, else 4 */
    SZ_p,   /* far pointer: operand size + 2 */
    SZ_a,   /* BOUND: two of operand size */
    SZ_s,   /* descriptor-table register: 10 in 64-bit mode, else 6 */
    SZ_env, /* x87 environment: 14 or 28 */
    SZ_sav, /* x87 state: 94 or 108 */
    SZ_x,   /* vector length, and its half, quarter, eighth */
    SZ_h, SZ_f, SZ_e,
    SZ_hr,  /* the same for a register: at least 16 */
    SZ_fr, SZ_er,
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
    AT_VSIB,  /* memory with a vector index */
    AT_IMPLIED, /* memory through register `fixed` in the data segment, or (as
                   AT_IMPLIED_ES) in ES; not in insn.opnd */
    AT_IMPLIED_ES,
};

enum immediate {
    IMM_U8, IMM_S8, IMM_16, IMM_Z, IMM_V, IMM_ONE, IMM_SECOND8, IMM_REL8,
    IMM_RELZ, IMM_FAR,
};

struct operand_type {
    uint8_t place; /* enum operand_place */
    uint8_t kind;  /* enum operand_kind, of the register form */
    uint8_t size;  /* enum size_rule, of the register or immediate */
    uint8_t mem;   /* enum size_rule, of the memory form */
    uint8_t fixed;
};

/*
 * X(name, place, kind, register size, memory size, fixed). Letters as in SDM
 * appendix A.2: E ModRM.rm, G ModRM.reg, B VEX.vvvv, M memory, R ModRM.rm
 * register, V/W/H/U/L vectors (reg, rm, vvvv, rm register, is4), P/Q/N MMX.
 */
#define OPERAND_TYPES(X)                                                       \
    X(Eb, RM, GPR, 1, 1, 0) X(Ew, RM, GPR, 2, 2, 0) X(Ed, RM, GPR, 4, 4, 0)    \
    X(Ev, RM, GPR, v, v, 0) X(Ez, RM, GPR, z, z, 0) X(Ey, RM, GPR, y, y, 0)    \
    X(RvMw, RM, GPR, v, 2, 0) X(RdMb, RM, GPR, 4, 1, 0)                        \
    X(RdMw, RM, GPR, 4, 2, 0) X(RyMb, RM, GPR, y, 1, 0)                        \
    X(RyMw, RM, GPR, y, 2, 0) X(RyMd, RM, GPR, y, 4, 0)                        \
    X(Rm, RM, GPR, m, m, 0) X(Rd, RM, GPR, 4, 4, 0)                            \
    X(Rv, RM, GPR, v, v, 0) X(Ry, RM, GPR, y, y, 0)                            \
    X(Gb, REG, GPR, 1, 0, 0) X(Gw, REG, GPR, 2, 0, 0)                          \
    X(Gd, REG, GPR, 4, 0, 0) X(Gv, REG, GPR, v, 0, 0)                          \
    X(Gz, REG, GPR, z, 0, 0) X(Gy, REG, GPR, y, 0, 0)                          \
    X(Gm, REG, GPR, m, 0, 0) X(Gc, REG, GPR, c, 0, 0)                          \
    X(Bv, VVVV, GPR, v, 0, 0) X(By, VVVV, GPR, y, 0, 0)                        \
    X(Zb, LOW, GPR, 1, 0, 0) X(Zv, LOW, GPR, v, 0, 0)                          \
    X(AL, FIXED, GPR, 1, 0, 0) X(CL, FIXED, GPR, 1, 0, 1)                      \
    X(AX, FIXED, GPR, 2, 0, 0) X(DX, FIXED, GPR, 2, 0, 2)                      \
    X(rAX, FIXED, GPR, v, 0, 0) X(zAX, FIXED, GPR, z, 0, 0)                    \
    X(Sw, REG, SREG, 2, 0, 0) X(Sv, REG, SREG, v, 0, 0)                        \
    X(ES, FIXED, SREG, v, 0, 0)                                                \
    X(CS, FIXED, SREG, v, 0, 1) X(SS, FIXED, SREG, v, 0, 2)                    \
    X(DS, FIXED, SREG, v, 0, 3) X(FS, FIXED, SREG, v, 0, 4)                    \
    X(GS, FIXED, SREG, v, 0, 5)                                                \
    X(Cm, REG, CR, m, 0, 0) X(Dm, REG, DR, m, 0, 0)                            \
    X(M, RM, NONE, 0, 0, 0) X(Mb, RM, NONE, 0, 1, 0)                           \
    X(Mw, RM, NONE, 0, 2, 0) X(Md, RM, NONE, 0, 4, 0)                          \
    X(Mq, RM, NONE, 0, 8, 0) X(Mt, RM, NONE, 0, 10, 0)                         \
    X(Mdq, RM, NONE, 0, 16, 0) X(Mqq, RM, NONE, 0, 32, 0)                      \
    X(M64, RM, NONE, 0, 64, 0) X(Mv, RM, NONE, 0, v, 0)                        \
    X(My, RM, NONE, 0, y, 0) X(Mp, RM, NONE, 0, p, 0)                          \
    X(Ma, RM, NONE, 0, a, 0) X(Ms, RM, NONE, 0, s, 0)                          \
    X(Menv, RM, NONE, 0, env, 0) X(Msav, RM, NONE, 0, sav, 0)                  \
    X(Mx, RM, NONE, 0, x, 0) X(Mh, RM, NONE, 0, h, 0)                          \
    X(Xx, IMPLIED, NONE, 0, 0, RSI) X(Yx, IMPLIED_ES, NONE, 0, 0, RDI)         \
    X(BX, IMPLIED, NONE, 0, 0, RBX) X(DI, IMPLIED, NONE, 0, 0, RDI)            \
    X(AXm, IMPLIED, NONE, 0, 0, RAX)                                           \
    X(Ob, MOFFS, NONE, 0, 1, 0) X(Ov, MOFFS, NONE, 0, v, 0)                    \
    X(Ib, IMM, IMM, 1, 0, IMM_U8) X(Is, IMM, IMM, v, 0, IMM_S8)                \
    X(Ib2, IMM, IMM2, 1, 0, IMM_SECOND8) X(Iw, IMM, IMM, 2, 0, IMM_16)         \
    X(Iz, IMM, IMM, v, 0, IMM_Z) X(Iv, IMM, IMM, v, 0, IMM_V)                  \
    X(I1, IMM, IMM, 1, 0, IMM_ONE) X(Jb, IMM, REL, v, 0, IMM_REL8)             \
    X(Jz, IMM, REL, v, 0, IMM_RELZ) X(Ap, IMM, FAR, p, 0, IMM_FAR)             \
    X(ST0, FIXED, ST, 10, 0, 0) X(STi, RM, ST, 10, 0, 0)                       \
    X(Pq, REG, MMX, 8, 0, 0) X(Qq, RM, MMX, 8, 8, 0)                           \
    X(Qd, RM, MMX, 8, 4, 0) X(Nq, RM, MMX, 8, 8, 0)                            \
    X(Vdq, REG, VEC, 16, 0, 0) X(Vqq, REG, VEC, 32, 0, 0)                      \
    X(Vx, REG, VEC, x, 0, 0) X(Vh, REG, VEC, hr, 0, 0)                         \
    X(Vf, REG, VEC, fr, 0, 0)                                                  \
    X(Hdq, VVVV, VEC, 16, 0, 0) X(Hx, VVVV, VEC, x, 0, 0)                      \
    X(Hqq, VVVV, VEC, 32, 0, 0) X(Hh, VVVV, VEC, hr, 0, 0)                     \
    X(Lx, IS4, VEC, x, 0, 0) X(Ldq, IS4, VEC, 16, 0, 0)                        \
    X(Udq, RM, VEC, 16, 0, 0) X(Ux, RM, VEC, x, 0, 0)                          \
    X(Wx, RM, VEC, x, x, 0) X(Wh, RM, VEC, hr, h, 0)                           \
    X(Wf, RM, VEC, fr, f, 0) X(We, RM, VEC, er, e, 0)                          \
    X(Wdq, RM, VEC, 16, 16, 0) X(Wqq, RM, VEC, 32, 32, 0)                      \
    X(Wq, RM, VEC, 16, 8, 0) X(Wd, RM, VEC, 16, 4, 0)                          \
    X(Ww, RM, VEC, 16, 2, 0) X(Wb, RM, VEC, 16, 1, 0)                          \
    X(XMM0, FIXED, VEC, 16, 0, 0)                                              \
    X(KG, REG, K, 8, 0, 0) X(KH, VVVV, K, 8, 0, 0) X(KR, RM, K, 8, 0, 0)       \
    X(KEb, RM, K, 8, 1, 0) X(KEw, RM, K, 8, 2, 0) X(KEd, RM, K, 8, 4, 0)       \
    X(KEq, RM, K, 8, 8, 0)                                                     \
    X(Vmd, VSIB, NONE, 0, 4, 0) X(Vmq, VSIB, NONE, 0, 8, 0)

enum operand_type_id {
    OT_ = 0, OT__ = 0, /* no operand */
#define X(name, place, kind, size, mem, fixed) OT_##name,
    OPERAND_TYPES(X)
#undef X
    OT_COUNT
};
_Static_assert(OT_COUNT < 256, "struct opcode.operand is bytes");

extern const struct operand_type operand_types[];

#endif
