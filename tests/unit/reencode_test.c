/*
 * x86_reencode() against Zydis: of random encodings of every copyable row, in
 * every mode, the original as Zydis reads it and the new one must be the same
 * instruction with the registers renamed and the memory operand replaced.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include <Zydis/Zydis.h>

#include "../isa/encodings.h"
#include "x86/opspec.h"
#include "x86/reencode.h"
#include "x86/state.h"

enum { ROUNDS = 40 };

static ZydisDecoder zydis[3];

struct text {
    ZydisDecodedInstruction insn;
    ZydisDecodedOperand op[ZYDIS_MAX_OPERAND_COUNT];
};

static bool read_text(struct text *t, enum decode_mode mode,
                      const uint8_t *bytes, unsigned n)
{
    return ZYAN_SUCCESS(
        ZydisDecoderDecodeFull(&zydis[mode], bytes, n, &t->insn, t->op));
}

/* Our number of a general register, with Zydis' name and size. */
static bool gpr_is(ZydisRegister reg, unsigned number, unsigned size)
{
    static const ZydisRegister high[] = {ZYDIS_REGISTER_AH, ZYDIS_REGISTER_CH,
                                         ZYDIS_REGISTER_DH, ZYDIS_REGISTER_BH};
    ZydisRegisterClass cls = ZydisRegisterGetClass(reg);
    unsigned id;

    if (number & 0x10)
        return reg == high[number & 3];
    if (size == 1) {
        id = reg - ZYDIS_REGISTER_AL;
        if (id >= 4) /* after AL…BL come AH…BH */
            id -= 4;
        return cls == ZYDIS_REGCLASS_GPR8 && id == number &&
               !(reg >= ZYDIS_REGISTER_AH && reg <= ZYDIS_REGISTER_BH);
    }
    if (size == 2)
        return cls == ZYDIS_REGCLASS_GPR16 && reg - ZYDIS_REGISTER_AX == number;
    if (size == 4)
        return cls == ZYDIS_REGCLASS_GPR32 &&
               reg - ZYDIS_REGISTER_EAX == number;
    return cls == ZYDIS_REGCLASS_GPR64 && reg - ZYDIS_REGISTER_RAX == number;
}

static bool is_gpr(ZydisRegister reg)
{
    ZydisRegisterClass cls = ZydisRegisterGetClass(reg);

    return cls == ZYDIS_REGCLASS_GPR8 || cls == ZYDIS_REGCLASS_GPR16 ||
           cls == ZYDIS_REGCLASS_GPR32 || cls == ZYDIS_REGCLASS_GPR64;
}

static bool memory_ok(const struct insn *i, const struct reencode *how,
                      const ZydisDecodedOperandMem *a)
{
    if (!gpr_is(a->base, how->base, 8) || a->disp.value != how->disp)
        return false;
    if (i->flags & INSN_VSIB)
        return ZydisRegisterGetId(a->index) == (int)i->index &&
               a->scale == 1 << i->scale;
    if (how->index == REG_NONE)
        return a->index == ZYDIS_REGISTER_NONE;
    return gpr_is(a->index, how->index, 8) && a->scale == 1;
}

/* One visible operand: k of ours, old and new of Zydis'. */
static const char *operand_differs(const struct insn *i, unsigned k,
                                   const struct reencode *how,
                                   const ZydisDecodedOperand *was,
                                   const ZydisDecodedOperand *is)
{
    if (was->type != is->type)
        return "operand type";
    /* Of a computed address Zydis gives the address size. */
    if (was->size != is->size && !(insn_opcode(i)->props & OP_NOMEMPTR))
        return "operand size";
    if (is->type == ZYDIS_OPERAND_TYPE_MEMORY)
        return memory_ok(i, how, &is->mem) ? NULL : "memory";
    if (is->type == ZYDIS_OPERAND_TYPE_IMMEDIATE)
        return was->imm.value.u == is->imm.value.u ? NULL : "immediate";
    if (is->type != ZYDIS_OPERAND_TYPE_REGISTER)
        return NULL;
    if (is_gpr(was->reg.value)) {
        if (i->opnd[k].kind != OPND_GPR)
            return "a general register we do not know";
        return gpr_is(is->reg.value, how->gpr[k], was->size / 8)
                   ? NULL
                   : "general register";
    }
    return was->reg.value == is->reg.value ? NULL : "other register";
}

/* Where the length is ignored it need not stay. */
static bool same_avx(const struct insn *i, ZydisDecodedInstructionAvx was,
                     ZydisDecodedInstructionAvx is)
{
    if (insn_opcode(i)->l == L_LIG)
        was.vector_length = is.vector_length;
    return !memcmp(&was, &is, sizeof was);
}

/* Zydis leaves the opmask among the operands, after the destination. */
static const char *text_differs(const struct insn *i,
                                const struct reencode *how,
                                const struct text *was, const struct text *is)
{
    unsigned k = 0;

    if (was->insn.mnemonic != is->insn.mnemonic)
        return "mnemonic";
    if (was->insn.operand_count_visible != is->insn.operand_count_visible)
        return "operand count";
    if (!same_avx(i, was->insn.avx, is->insn.avx))
        return "AVX state";
    if ((was->insn.attributes ^ is->insn.attributes) & ZYDIS_ATTRIB_HAS_LOCK)
        return "LOCK";
    for (unsigned z = 0; z < was->insn.operand_count_visible; z++) {
        const ZydisDecodedOperand *a = &was->op[z];
        bool mask = a->encoding == ZYDIS_OPERAND_ENCODING_MASK;
        const char *what = operand_differs(i, k, how, a, &is->op[z]);

        if (what)
            return what;
        if (!mask)
            k++;
    }
    return NULL;
}

static void choose(struct rng *r, const struct insn *i, struct reencode *how)
{
    const struct opcode *row = insn_opcode(i);
    bool bytes_low = false;

    memset(how, 0, sizeof *how);
    for (unsigned k = 0; k < 4; k++) {
        const struct operand *o = &i->opnd[k];

        how->gpr[k] = (uint8_t)rng_below(r, 16);
        if (o->kind == OPND_GPR && (o->reg & 0x10)) {
            how->gpr[k] = (uint8_t)(0x10 + rng_below(r, 4));
            bytes_low = true;
        }
        if (row->name[0] && o->kind == OPND_GPR && rng_one_in(r, 4))
            how->gpr[k] = o->reg;
    }
    how->base = (uint8_t)rng_below(r, bytes_low && rng_one_in(r, 2) ? 8 : 16);
    do
        how->index = (uint8_t)rng_below(r, 16);
    while (how->index == RSP);
    if ((i->flags & INSN_VSIB) || rng_one_in(r, 2))
        how->index = REG_NONE;
    switch (rng_below(r, 3)) {
    case 0: how->disp = 0; break;
    case 1: how->disp = (int8_t)rng_next(r); break;
    default: how->disp = (int32_t)rng_next(r); break;
    }
}

static void print(const char *what, const uint8_t *p, unsigned n)
{
    fprintf(stderr, "%s", what);
    for (unsigned k = 0; k < n; k++)
        fprintf(stderr, " %02x", p[k]);
    fprintf(stderr, "\n");
}

static void fail_with(const char *why, const struct insn *i,
                      enum decode_mode mode, const uint8_t *out, unsigned n)
{
    fprintf(stderr, "%s: %s (mode %d)\n", insn_opcode(i)->name, why, mode);
    print("  was", i->raw, i->len);
    print("  is ", out, n);
    fail();
}

/* Zydis has 32-bit registers for BSWAP of 16 bits, which is not defined. */
static bool same_form(const struct insn *i)
{
    return insn_opcode(i)->map != 1 || (i->code & 0xf8) != 0xc8 ||
           i->osize != 2;
}

static bool check_one(struct rng *r, const struct insn *i,
                      enum decode_mode mode)
{
    struct text was, is;
    struct reencode how;
    uint8_t out[REENCODE_MAX + 8];
    unsigned n;
    const char *what;

    choose(r, i, &how);
    memset(out, 0xcc, sizeof out);
    n = x86_reencode(out, i, &how);
    if (!n)
        return false;
    if (n > REENCODE_MAX || out[n] != 0xcc)
        fail_with("too long", i, mode, out, n);
    if (!read_text(&was, mode, i->raw, i->len))
        return false; /* Zydis knows no such alias: other tests' matter */
    if (!read_text(&is, DECODE_64, out, n) || is.insn.length != n)
        fail_with("Zydis cannot read it", i, mode, out, n);
    what = text_differs(i, &how, &was, &is);
    if (what && same_form(i))
        fail_with(what, i, mode, out, n);
    return true;
}

static void test_rows(void **state)
{
    struct rng r = {1};
    unsigned done = 0;

    (void)state;
    for (unsigned row = 0; row < opcode_count; row++) {
        const struct opcode *o = &opcode_table[row];
        unsigned ok = 0;

        if (!(o->props & OP_COPY))
            continue;
        for (unsigned mode = DECODE_16; mode <= DECODE_64; mode++)
            for (unsigned k = 0; k < ROUNDS; k++) {
                uint8_t bytes[ENCODING_BYTES];
                struct insn i;

                encoding_of_row(&r, mode, o, bytes);
                if (x86_decode(&i, bytes, sizeof bytes, mode) == DECODE_OK &&
                    i.op == row)
                    ok += check_one(&r, &i, mode);
            }
        done += ok > 0;
        /* DAA and others have no form in 64-bit mode. */
        if (!ok && !(o->mode & ROW_NO64))
            fail_msg("never: %s %x", o->name, o->byte);
    }
    assert_true(done > 2000);
}

static unsigned try(enum decode_mode mode, struct reencode how,
                    const uint8_t *bytes, unsigned n, uint8_t *out)
{
    struct insn i;

    assert_int_equal(x86_decode(&i, bytes, n, mode), DECODE_OK);
    return x86_reencode(out, &i, &how);
}
#define TRY(mode, out, how, ...)                                               \
    try(mode, (struct reencode)how, (const uint8_t[]){__VA_ARGS__},            \
        sizeof((const uint8_t[]){__VA_ARGS__}), out)
#define HOW(...)                                                               \
    {                                                                          \
        .index = REG_NONE, __VA_ARGS__                                         \
    }
#define GPRS(...) .gpr = {__VA_ARGS__}

static void test_cannot(void **state)
{
    uint8_t out[REENCODE_MAX];

    (void)state;
    /* add ah, [rax]: fine, but not with r8 as the base, nor SIL beside it */
    assert_int_equal(
        TRY(DECODE_64, out, HOW(.base = RBX, GPRS(0x10)), 0x02, 0x20), 2);
    assert_int_equal(
        TRY(DECODE_64, out, HOW(.base = R8, GPRS(0x10)), 0x02, 0x20), 0);
    assert_int_equal(TRY(DECODE_64, out, HOW(GPRS(0x10, RSI)), 0x00, 0xc4), 0);
    /* movsb, xlat, maskmovdqu, push [rax], jmp [rax], mov cr0, rax */
    assert_int_equal(TRY(DECODE_64, out, HOW(.base = RBX), 0xa4), 0);
    assert_int_equal(TRY(DECODE_64, out, HOW(.base = RBX), 0xd7), 0);
    assert_int_equal(
        TRY(DECODE_64, out, HOW(.base = RBX), 0x66, 0x0f, 0xf7, 0xc1), 0);
    assert_int_equal(TRY(DECODE_64, out, HOW(.base = RBX), 0xff, 0x30), 0);
    assert_int_equal(TRY(DECODE_64, out, HOW(.base = RBX), 0xff, 0x20), 0);
    assert_int_equal(TRY(DECODE_64, out, HOW(GPRS(0)), 0x0f, 0x22, 0xc0), 0);
    /* a shift by CL with CL elsewhere */
    assert_int_equal(TRY(DECODE_64, out, HOW(GPRS(RBX, RCX)), 0xd3, 0xe0), 2);
    assert_int_equal(TRY(DECODE_64, out, HOW(GPRS(RBX, RDX)), 0xd3, 0xe0), 0);
    /* [rsp] cannot be an index */
    assert_int_equal(try(DECODE_64,
                         (struct reencode){.base = RAX, .index = RSP},
                         (const uint8_t[]){0x8b, 0x00}, 2, out),
                     0);
    assert_int_equal(TRY(DECODE_32, out, HOW(GPRS(0)), 0x27), 0); /* daa */
}

static void is_bytes(const uint8_t *out, unsigned n, const char *bytes,
                     unsigned want)
{
    assert_int_equal(n, want);
    assert_memory_equal(out, bytes, want);
}

/* Forms that change, by hand. */
static void test_forms(void **state)
{
    uint8_t out[REENCODE_MAX];
    unsigned n;

    (void)state;
    n = TRY(DECODE_32, out, HOW(GPRS(R9)), 0x41); /* inc ecx: inc r9d */
    is_bytes(out, n, "\x41\xff\xc1", 3);
    n = TRY(DECODE_16, out, HOW(GPRS(RCX)), 0x4a); /* dec dx: dec cx */
    is_bytes(out, n, "\x66\xff\xc9", 3);
    /* mov eax, [0x12345678]: mov ebx, [r14] */
    n = TRY(DECODE_32, out, HOW(.base = R14, GPRS(RBX)), 0xa1, 0x78, 0x56, 0x34,
            0x12);
    is_bytes(out, n, "\x41\x8b\x1e", 3);
    n = TRY(DECODE_64, out, HOW(.base = RSP, .disp = 8, GPRS(0, RDX)), 0x48,
            0xa3, 1, 2, 3, 4, 5, 6, 7, 8); /* mov [moffs], rax */
    is_bytes(out, n, "\x48\x89\x54\x24\x08", 5);
    n = TRY(DECODE_64, out, HOW(GPRS(RAX, RAX)), 0x93); /* xchg: not nop */
    is_bytes(out, n, "\x87\xc0", 2);
    n = TRY(DECODE_64, out, HOW(GPRS(R8)), 0x05, 4, 3, 2, 1); /* add eax, i */
    is_bytes(out, n, "\x41\x81\xc0\x04\x03\x02\x01", 7);
    n = TRY(DECODE_64, out, HOW(GPRS(RSI)), 0xa8, 7); /* test al, 7: sil */
    is_bytes(out, n, "\x40\xf6\xc6\x07", 4);
    /* lock add fs:[rip + 1], ax in 16-bit operand size, to [r13 + rcx] */
    n = try(DECODE_64, (struct reencode){.base = R13, .index = RCX},
            (const uint8_t[]){0x64, 0xf0, 0x66, 0x01, 0x05, 1, 0, 0, 0}, 9,
            out);
    is_bytes(out, n, "\xf0\x66\x41\x01\x44\x0d\x00", 7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_cannot),
        cmocka_unit_test(test_forms),
    };

    ZydisDecoderInit(&zydis[DECODE_16], ZYDIS_MACHINE_MODE_LEGACY_16,
                     ZYDIS_STACK_WIDTH_16);
    ZydisDecoderInit(&zydis[DECODE_32], ZYDIS_MACHINE_MODE_LEGACY_32,
                     ZYDIS_STACK_WIDTH_32);
    ZydisDecoderInit(&zydis[DECODE_64], ZYDIS_MACHINE_MODE_LONG_64,
                     ZYDIS_STACK_WIDTH_64);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
