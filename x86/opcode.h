/*
 * The opcode table: one row an instruction form, in the notation of the Intel
 * SDM volume 2. Decoder, interpreter, translator and disassembler are all fed
 * from it; there is no second list.
 *
 * The rows are in x86/opcodes.def; the bodies (op_*) are in x86/ops/.
 */
#ifndef X86_OPCODE_H
#define X86_OPCODE_H

#include "x86/feature.h"
#include "x86/insn.h"

/* What the engines need to know of a row beyond its operands. */
enum opcode_props {
    OP_LOCK = 1 << 0,    /* LOCK allowed with a memory destination */
    OP_READS0 = 1 << 1,  /* reads its first operand */
    OP_WRITES0 = 1 << 2, /* writes its first operand */
    OP_WRITES1 = 1 << 3, /* writes its second too (XCHG, XADD, MULX) */
    OP_ENDS = 1 << 4,    /* ends a block: branches, and what changes the mode,
                            mappings or interruptibility */
    OP_BRANCH = 1 << 5,  /* sets RIP */
    OP_STRING = 1 << 6,  /* memory operands through rSI, rDI; REP allowed */
    OP_STACK = 1 << 7,   /* implicit push or pop */
    OP_SYSTEM = 1 << 8,  /* touches system state: never copied */
    OP_PRIV0 = 1 << 9,   /* #GP(0) unless CPL 0 (real mode counts as 0) */
    OP_X87 = 1 << 10,    /* checks CR0.EM, CR0.TS, pending #MF */
    OP_MMX = 1 << 11,    /* likewise, #UD for EM */
    OP_SSE = 1 << 12,    /* checks CR0.EM, TS, CR4.OSFXSR */
    OP_AVX = 1 << 13,    /* checks CR4.OSXSAVE, XCR0, TS */
    OP_AVX512 = 1 << 14, /* likewise with the opmask and ZMM states */
    OP_ALIGN = 1 << 15, /* #GP(0) on a memory operand not aligned to its size */
    OP_FPEXC = 1 << 16, /* may raise #XM: uses and changes MXCSR */
    OP_NOMEMPTR = 1 << 17, /* memory operand is computed, not accessed (LEA,
                            INVLPG, PREFETCH, multi-byte NOP) */
    OP_COPY = 1 << 18,     /* user-level, no system state: an engine may run the
                              same encoding on the host with registers and
                              memory operand replaced */
    OP_MASKED = 1 << 19, /* memory accessed by element, under a mask or VSIB */
};

struct opcode {
    const char *name;  /* mnemonic, lower case; one a size: "cbw/cwde/cdqe" */
    op_fn body;        /* NULL while nobody has written it: #UD */
    uint8_t map, byte; /* 0 one-byte, 1 0F, 2 0F38, 3 0F3A, 5 and 6 EVEX maps */
    uint8_t encoding;  /* enum insn_encoding */
    uint8_t mode;      /* enum opcode_mode: ROW_PROT is the engine's to check */
    uint16_t feature, feature2; /* enum x86_feature: both are needed */
    /* FLAG_*. Read includes what may pass unchanged (a shift by 0, REP with
       rCX 0); written is to a defined value, and clobbered = written |
       undefined. */
    uint16_t flags_read, flags_written, flags_undefined;
    uint32_t props;
    /* The decoder's: see x86/opspec.h. */
    uint8_t pp, w, l;
    uint8_t reg, mod, rm; /* ModRM constraints */
    uint8_t size;
    uint8_t operand[4];
    uint8_t tuple, evex;
};

extern const struct opcode opcode_table[];
extern const unsigned opcode_count;

static inline const struct opcode *insn_opcode(const struct insn *i)
{
    return &opcode_table[i->op];
}

/* Decoding context: what of the CPU's mode changes the meaning of bytes. */
enum decode_mode {
    DECODE_16, /* CS.D = 0: real, virtual-8086, 16-bit protected */
    DECODE_32, /* CS.D = 1 outside long mode, or compatibility */
    DECODE_64,
};

enum decode_result {
    DECODE_OK,
    DECODE_MORE,    /* needs bytes beyond n: not an error by itself */
    DECODE_TOOLONG, /* over 15 bytes: #GP(0) */
    DECODE_INVALID, /* #UD; out->len is what was looked at */
};

/*
 * Decodes one instruction from n bytes. Everything but the mode comes from
 * the bytes: rows that need a feature the model lacks, protected mode or a
 * privilege are decoded all the same and checked by the engine, by row.
 * Pure; any thread.
 */
enum decode_result x86_decode(struct insn *out, const uint8_t *bytes, size_t n,
                              enum decode_mode mode);

/*
 * Intel-syntax text of an instruction at rip. Returns the length as snprintf.
 */
int x86_disassemble(char *to, size_t n, const struct insn *i, uint64_t rip,
                    enum decode_mode mode);

/* Its mnemonic alone, for its size. Returns the length as snprintf. */
int x86_mnemonic(char *to, size_t n, const struct insn *i);

#endif
