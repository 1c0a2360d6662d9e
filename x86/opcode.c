/* The opcode table and the operand types, as data. */
#include "x86/opcode.h"
#include "x86/opspec.h"

#ifndef OPCODE_TABLE_ONLY /* set by the program that makes the index */
/* Weak: a body that nobody has written yet is NULL, and #UD to the guest. */
#define OPCODE(name, body, ...)                                                \
    void op_##body(struct cpu *c, const struct insn *i) __attribute__((weak));
#include "x86/opcodes.def"
#define BODY(name) op_##name
#else
#define BODY(name) NULL
#endif

const struct operand_type operand_types[OT_COUNT] = {
#define X(name, where, form, bytes, memory, number)                            \
    [OT_##name] = {AT_##where, OPND_##form, SZ_##bytes, SZ_##memory, number},
#include "x86/operands.def"
};

#define OPCODE(text, fn, enc, len, prefix, opmap, rexw, opcode, where, ext,    \
               bytes, ops, feat, feat2, flags, what, evx)                      \
    {                                                                          \
        .name = text,                                                          \
        .body = BODY(fn),                                                      \
        .map = MAP_##opmap,                                                    \
        .byte = 0x##opcode,                                                    \
        .encoding = ENC_##enc,                                                 \
        .mode = ROW_##where,                                                   \
        .feature = FEAT_##feat,                                                \
        .feature2 = FEAT_##feat2,                                              \
        .flags_read = (FL_##flags) & 0xffff,                                   \
        .flags_written = (FL_##flags) >> 16 & 0xffff,                          \
        .flags_undefined = (FL_##flags) >> 32 & 0xffff,                        \
        .props = what,                                                         \
        .pp = PP_##prefix,                                                     \
        .w = W_##rexw,                                                         \
        .l = L_##len,                                                          \
        .reg = (EXT_##ext) & 15,                                               \
        .mod = (EXT_##ext) >> 4 & 15,                                          \
        .rm = (EXT_##ext) >> 8 & 15,                                           \
        .size = SIZE_##bytes,                                                  \
        .operand = {(ops)&255, (ops) >> 8 & 255, (ops) >> 16 & 255,            \
                    (ops) >> 24 & 255},                                        \
        .tuple = (evx)&15,                                                     \
        .evex = (evx) >> 4,                                                    \
    },

const struct opcode opcode_table[] = {
#include "x86/opcodes.def"
};

const unsigned opcode_count = ARRAY_LEN(opcode_table);
