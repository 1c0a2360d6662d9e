/* Hand-picked encodings, one for each rule of the decoder. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "x86/opcode.h"
#include "x86/state.h"

static struct insn insn;

static enum decode_result decode(enum decode_mode mode, const char *hex)
{
    uint8_t bytes[32];
    size_t n = 0;

    for (const char *p = hex; *p;) {
        unsigned v = 0;

        for (int k = 0; k < 2; k++, p++)
            v = v * 16 + (*p <= '9' ? *p - '0' : (*p | 32) - 'a' + 10);
        bytes[n++] = (uint8_t)v;
        while (*p == ' ')
            p++;
    }
    return x86_decode(&insn, bytes, n, mode);
}

static void is(enum decode_mode mode, const char *hex, const char *name)
{
    assert_int_equal(decode(mode, hex), DECODE_OK);
    assert_string_equal(insn_opcode(&insn)->name, name);
    assert_int_equal(insn.len * 2, strlen(hex));
}

static void is_ud(enum decode_mode mode, const char *hex)
{
    assert_int_equal(decode(mode, hex), DECODE_INVALID);
}

static void operand(unsigned n, enum operand_kind kind, unsigned reg,
                    unsigned size)
{
    assert_int_equal(insn.opnd[n].kind, kind);
    assert_int_equal(insn.opnd[n].reg, reg);
    assert_int_equal(insn.opnd[n].size, size);
}

static void address(unsigned seg, unsigned base, unsigned index, unsigned scale,
                    int32_t disp)
{
    assert_true(insn.flags & INSN_MEM);
    assert_int_equal(insn.seg, seg);
    assert_int_equal(insn.base, base);
    assert_int_equal(insn.index, index);
    assert_int_equal(insn.scale, scale);
    assert_int_equal(insn.disp, disp);
}

static void test_modes(void **state)
{
    (void)state;
    is(DECODE_64, "4801d8", "add");
    assert_int_equal(insn.osize, 8);
    operand(0, OPND_GPR, RAX, 8);
    operand(1, OPND_GPR, RBX, 8);
    is(DECODE_32, "48", "dec");
    is(DECODE_16, "01d8", "add");
    assert_int_equal(insn.osize, 2);
    is(DECODE_16, "6601d8", "add");
    assert_int_equal(insn.osize, 4);
    is(DECODE_64, "63d8", "movsxd");
    is(DECODE_32, "63d8", "arpl");
    is_ud(DECODE_64, "d6");
    is(DECODE_32, "d6", "salc");
    is_ud(DECODE_64, "820000");
    is(DECODE_32, "82c001", "add");
    is_ud(DECODE_64, "ea000000000000");
}

static void test_length(void **state)
{
    (void)state;
    assert_int_equal(decode(DECODE_64, ""), DECODE_MORE);
    assert_int_equal(decode(DECODE_64, "66"), DECODE_MORE);
    assert_int_equal(decode(DECODE_64, "488b"), DECODE_MORE);
    assert_int_equal(decode(DECODE_64, "488b8424000000"), DECODE_MORE);
    assert_int_equal(decode(DECODE_64, "c4"), DECODE_MORE);
    is(DECODE_64, "488b842400000000", "mov");
    /* 15 bytes are one instruction, 16 are none. */
    is(DECODE_64, "2e2e2e2e2e2e2e2e2e2e2e2e2e01c0", "add");
    assert_int_equal(decode(DECODE_64, "2e2e2e2e2e2e2e2e2e2e2e2e2e2e01c0"),
                     DECODE_TOOLONG);
    assert_int_equal(decode(DECODE_64, "2e2e2e2e2e2e2e2e2e2e2e2e2e2e2e2e90"),
                     DECODE_TOOLONG);
    assert_int_equal(decode(DECODE_64, "6666"), DECODE_MORE);
}

/* What is undefined has a length too, as measured: over 15 bytes it is #GP. */
static void test_undefined_length(void **state)
{
    static const struct {
        enum decode_mode mode;
        const char *text;
        unsigned length;
    } rows[] = {
        {DECODE_64, "0f0a", 2},
        {DECODE_64, "c68c240000000000", 8},
        {DECODE_64, "febc2400000000", 7},
        {DECODE_64, "8200", 3},
        {DECODE_64, "9a000000000000", 7},
        {DECODE_64, "06", 1},
        {DECODE_64, "0f38ff842400000000", 9},
        {DECODE_64, "0f3aff84240000000000", 10},
        {DECODE_64, "8f8c2400000000", 7},
        {DECODE_64, "66c5f858c0", 5},
        {DECODE_64, "f3c5f858842400000000", 10},
        {DECODE_64, "c4e278ff842400000000", 10},
        {DECODE_64, "f00f0b", 3},
    };
    char text[80];

    (void)state;
    for (unsigned n = 0; n < ARRAY_LEN(rows); n++) {
        unsigned prefixes = 15 - rows[n].length;

        for (unsigned k = 0; k < 2; k++) {
            memset(text, 0, sizeof text);
            for (unsigned p = 0; p < prefixes + k; p++)
                strcat(text, "2e");
            strcat(text, rows[n].text);
            strcat(text, "0000000000000000");
            assert_int_equal(decode(rows[n].mode, text),
                             k ? DECODE_TOOLONG : DECODE_INVALID);
        }
    }
}

static void test_prefixes(void **state)
{
    (void)state;
    /* REX counts right before the opcode only. */
    is(DECODE_64, "486601d8", "add");
    assert_int_equal(insn.osize, 2);
    is(DECODE_64, "664801d8", "add");
    assert_int_equal(insn.osize, 8);
    /* The last of F2 and F3 is the mandatory prefix; 66 is then a size. */
    is(DECODE_64, "f2f30f10c0", "movss");
    is(DECODE_64, "f3f20f10c0", "movsd");
    is(DECODE_64, "66f30f10c0", "movss");
    is(DECODE_64, "660f10c0", "movupd");
    is(DECODE_64, "66f20f38f1c1", "crc32");
    operand(1, OPND_GPR, RCX, 2);
    is(DECODE_64, "f30fbcc1", "tzcnt");
    is(DECODE_64, "f20fbcc1", "bsf");
    /* No prefix at all in front of VEX and EVEX. */
    is(DECODE_64, "c5f858c1", "vaddps");
    is_ud(DECODE_64, "66c5f858c1");
    is_ud(DECODE_64, "f3c5f858c1");
    is_ud(DECODE_64, "f0c5f858c1");
    is_ud(DECODE_64, "48c5f858c1");
    is_ud(DECODE_64, "4862f16c4858c0");
    is(DECODE_64, "2e67c5f858c1", "vaddps");
    is(DECODE_64, "f390", "pause");
    is(DECODE_64, "f34190", "pause");
    is(DECODE_64, "4190", "xchg");
    is(DECODE_64, "90", "nop");
}

static void test_strings(void **state)
{
    (void)state;
    is(DECODE_64, "f3a4", "movsb");
    assert_true(insn.flags & INSN_REP);
    address(DS, RSI, REG_NONE, 0, 0);
    is(DECODE_64, "f248a7", "cmpsw/cmpsd/cmpsq");
    assert_true(insn.flags & INSN_REPNE);
    assert_int_equal(insn.osize, 8);
    is(DECODE_64, "64ac", "lodsb");
    assert_int_equal(insn.seg, FS);
    is(DECODE_64, "64aa", "stosb"); /* ES stays */
    address(ES, RDI, REG_NONE, 0, 0);
    is(DECODE_64, "f390", "pause");
    assert_false(insn.flags & INSN_REP);
    is(DECODE_32, "64d7", "xlat");
    address(FS, RBX, REG_NONE, 0, 0);
}

static void test_lock(void **state)
{
    (void)state;
    is(DECODE_64, "f00100", "add");
    assert_true(insn.flags & INSN_LOCK);
    is_ud(DECODE_64, "f001c0");   /* no memory */
    is_ud(DECODE_64, "f00300");   /* memory is the source */
    is_ud(DECODE_64, "f08900");   /* MOV */
    is_ud(DECODE_64, "f03900");   /* CMP */
    is_ud(DECODE_64, "f00fa300"); /* BT */
    is(DECODE_64, "f00fab00", "bts");
    is(DECODE_64, "f08600", "xchg");
    is(DECODE_64, "f00fc708", "cmpxchg8b");
    is(DECODE_64, "f0480fc708", "cmpxchg16b");
    is_ud(DECODE_64, "f00f20c0"); /* AMD's way to CR8 */
}

static void test_vex_or_old(void **state)
{
    (void)state;
    is(DECODE_32, "c500", "lds");
    is(DECODE_32, "c400", "les");
    is(DECODE_32, "6200", "bound");
    is(DECODE_16, "c5f858c1", "vaddps");
    is(DECODE_32, "62f16c4858c0", "vaddps");
    is_ud(DECODE_64, "6200000000");
    /* Outside 64-bit mode: eight registers; vvvv must be ones if unused. */
    is(DECODE_32, "c4c13058c1", "vaddps");
    operand(1, OPND_VEC, 1, 16);
    operand(2, OPND_VEC, 1, 16);
    is_ud(DECODE_32, "c4e33bf0c405");
    is_ud(DECODE_32, "62f16c4058c0"); /* V' */
    is(DECODE_32, "62e16c4858c0", "vaddps");
    operand(0, OPND_VEC, 0, 64);
    is(DECODE_32, "c4e3754ac1f0", "vblendvps"); /* is4 bit 7 */
    operand(3, OPND_VEC, 7, 32);
    is(DECODE_64, "c4e3754ac1f0", "vblendvps");
    operand(3, OPND_VEC, 15, 32);
}

static void test_addresses(void **state)
{
    (void)state;
    is(DECODE_64, "8b0424", "mov");
    address(SS, RSP, REG_NONE, 0, 0);
    is(DECODE_64, "8b45f8", "mov");
    address(SS, RBP, REG_NONE, 0, -8);
    is(DECODE_64, "418b45f8", "mov");
    address(DS, R13, REG_NONE, 0, -8);
    is(DECODE_64, "64418b45f8", "mov");
    address(FS, R13, REG_NONE, 0, -8);
    is(DECODE_64, "268b4500", "mov"); /* ES is nothing in 64-bit mode */
    assert_int_equal(insn.seg, SS);
    is(DECODE_32, "268b4500", "mov");
    assert_int_equal(insn.seg, ES);
    is(DECODE_64, "8b05f0ffffff", "mov");
    address(DS, REG_RIP, REG_NONE, 0, -16);
    is(DECODE_32, "8b05f0ffffff", "mov");
    address(DS, REG_NONE, REG_NONE, 0, -16);
    is(DECODE_64, "8b04e5f0ffffff", "mov"); /* no index, no base */
    address(DS, REG_NONE, REG_NONE, 3, -16);
    is(DECODE_64, "428b04e500000000", "mov");
    address(DS, REG_NONE, R12, 3, 0);
    is(DECODE_16, "8b4201", "mov");
    address(SS, RBP, RSI, 0, 1);
    is(DECODE_16, "8b063412", "mov");
    address(DS, REG_NONE, REG_NONE, 0, 0x1234);
    is(DECODE_16, "678b0424", "mov");
    assert_int_equal(insn.asize, 4);
    is_ud(DECODE_64, "8dc0"); /* LEA of a register */
}

static void test_immediates(void **state)
{
    (void)state;
    is(DECODE_64, "48a1f0debc9a78563412", "mov");
    assert_int_equal(insn.imm_len, 8);
    assert_true(insn.imm == 0x123456789abcdef0);
    operand(1, OPND_MEM, 0, 8);
    is(DECODE_64, "67a178563412", "mov");
    address(DS, REG_NONE, REG_NONE, 0, 0x12345678);
    is(DECODE_64, "48b8f0debc9a78563412", "mov");
    assert_true(insn.imm == 0x123456789abcdef0);
    is(DECODE_64, "83c0ff", "add");
    assert_true(insn.imm == ~0ull);
    is(DECODE_64, "cdff", "int");
    assert_true(insn.imm == 0xff);
    is(DECODE_64, "c8341205", "enter");
    assert_true(insn.imm == (5ull << 32 | 0x1234));
    is(DECODE_32, "ea785634121000", "jmp");
    assert_true(insn.imm == (0x10ull << 32 | 0x12345678));
    is(DECODE_16, "ea78561000", "jmp");
    assert_true(insn.imm == (0x10ull << 32 | 0x5678));
    is(DECODE_64, "66e800000080", "call"); /* 66 is ignored, as Intel has it */
    assert_int_equal(insn.osize, 8);
    assert_true(insn.imm == 0xffffffff80000000);
    is(DECODE_32, "66e80080", "call");
    assert_int_equal(insn.osize, 2);
}

static void test_default_sizes(void **state)
{
    (void)state;
    is(DECODE_64, "50", "push");
    assert_int_equal(insn.osize, 8);
    is(DECODE_64, "6650", "push");
    assert_int_equal(insn.osize, 2);
    is(DECODE_64, "41ff10", "call");
    assert_int_equal(insn.osize, 8);
    is(DECODE_64, "66c3", "ret");
    assert_int_equal(insn.osize, 8);
    is(DECODE_64, "0f20c0", "mov");
    assert_int_equal(insn.osize, 8);
    is(DECODE_64, "0f2000", "mov"); /* mod is ignored */
    operand(0, OPND_GPR, RAX, 8);
    is(DECODE_64, "440f20c0", "mov");
    operand(1, OPND_CR, 8, 8);
    is_ud(DECODE_64, "0f20c8");   /* CR1 */
    is_ud(DECODE_64, "440f21c0"); /* DR8 */
    is_ud(DECODE_64, "8ec8");     /* MOV CS */
    is_ud(DECODE_64, "8cf0");     /* no such segment register */
    is(DECODE_64, "b401", "mov");
    operand(0, OPND_GPR, 0x10, 1);
    is(DECODE_64, "40b401", "mov");
    operand(0, OPND_GPR, RSP, 1);
}

static void test_evex(void **state)
{
    (void)state;
    is(DECODE_64, "62f16c4858c0", "vaddps");
    operand(0, OPND_VEC, 0, 64);
    is(DECODE_64, "62016c4058c0", "vaddps");
    operand(0, OPND_VEC, 24, 64);
    operand(1, OPND_VEC, 18, 64);
    operand(2, OPND_VEC, 24, 64);
    is(DECODE_64, "62f16c48584001", "vaddps"); /* disp8 counts 64 bytes */
    assert_int_equal(insn.disp, 64);
    is(DECODE_64, "62f16c58584001", "vaddps"); /* … or elements, if broadcast */
    assert_int_equal(insn.disp, 4);
    operand(2, OPND_MEM, 0, 4);
    is(DECODE_64, "62f16c3858c0", "vaddps"); /* rounding: 512 bits */
    assert_int_equal(insn.vl, 64);
    assert_int_equal(insn.evex >> 5 & 3, 1);
    is_ud(DECODE_64, "62f16d58fec0"); /* VPADDD has no rounding */
    is_ud(DECODE_64, "62f16c6858c0"); /* L'L = 3 */
    is_ud(DECODE_64, "62f16cc858c0"); /* zeroing without a mask */
    is(DECODE_64, "62f16cc958c0", "vaddps");
    is_ud(DECODE_64, "62f17cc91100"); /* zeroing into memory */
    is(DECODE_64, "62f27d49900408", "vpgatherdd");
    is_ud(DECODE_64, "62f27d48900408"); /* needs a mask */
    is_ud(DECODE_64, "62f27d49900400"); /* index is the destination */
}

static void test_vsib(void **state)
{
    (void)state;
    is(DECODE_64, "c4e26d900408", "vpgatherdd");
    operand(0, OPND_VEC, 0, 32);
    operand(1, OPND_MEM, 0, 4);
    operand(2, OPND_VEC, 2, 32);
    assert_int_equal(insn.index, 1);
    assert_true(insn.flags & INSN_VSIB);
    is_ud(DECODE_64, "c4e26d900400");            /* index is the destination */
    is_ud(DECODE_64, "c4e26d900410");            /* index is the mask */
    is_ud(DECODE_64, "c4e26d9000");              /* no SIB */
    is(DECODE_64, "c4e26d900420", "vpgatherdd"); /* ymm4 is an index */
    assert_int_equal(insn.index, 4);
    is_ud(DECODE_16, "c4e26d900408"); /* 16-bit addressing has no SIB */
}

static void test_undocumented(void **state)
{
    (void)state;
    is(DECODE_64, "c0f001", "shl");
    is(DECODE_64, "f6c801", "test");
    is(DECODE_64, "f1", "int1");
    is(DECODE_64, "0f0b", "ud2");
    is(DECODE_64, "0fb9c0", "ud1");
    is(DECODE_64, "0fffc0", "ud0");
    is(DECODE_64, "f30f1efa", "endbr64");
    is(DECODE_64, "f30f1ec8", "nop");
    is(DECODE_64, "0f0d08", "prefetchw");
    is(DECODE_64, "0f1f440000", "nop");
    is(DECODE_64, "0f19c0", "nop");
    is(DECODE_64, "dcd0", "fcom");
    is(DECODE_64, "dfc0", "ffreep");
    is_ud(DECODE_64, "0f01c2"); /* VMLAUNCH */
    is_ud(DECODE_64, "0f04");
    is_ud(DECODE_64, "0f0f00");     /* 3DNow! */
    is_ud(DECODE_64, "8fe97812c0"); /* XOP */
}

static void text(enum decode_mode mode, const char *hex, const char *expected)
{
    char s[96];

    assert_int_equal(decode(mode, hex), DECODE_OK);
    assert_int_equal(x86_disassemble(s, sizeof s, &insn, 0x1000, mode),
                     strlen(expected));
    assert_string_equal(s, expected);
}

static void test_text(void **state)
{
    (void)state;
    text(DECODE_64, "48038410efbeadde",
         "add rax, qword ptr [rax+rdx-0x21524111]");
    text(DECODE_64, "f0480fc10f", "lock xadd qword ptr [rdi], rcx");
    text(DECODE_64, "eb0e", "jmp 0x1010");
    text(DECODE_64, "f348a5", "rep movsq");
    text(DECODE_64, "f2ae", "repne scasb");
    text(DECODE_32, "9a785634121000", "call far 0x0010:0x12345678");
    text(DECODE_64, "62f16cd958440a01",
         "vaddps zmm0{k1}{z}, zmm2, dword ptr [rdx+rcx+0x4]{1to16}");
    text(DECODE_64, "62f16c3858c0", "vaddps zmm0, zmm2, zmm0, {rd-sae}");
    text(DECODE_64, "4898", "cdqe");
    text(DECODE_64, "648b042500000000", "mov eax, dword ptr fs:[0x0]");
    assert_int_equal(x86_disassemble(NULL, 0, &insn, 0, DECODE_64), 27);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_undefined_length),
        cmocka_unit_test(test_modes),
        cmocka_unit_test(test_length),
        cmocka_unit_test(test_prefixes),
        cmocka_unit_test(test_strings),
        cmocka_unit_test(test_lock),
        cmocka_unit_test(test_vex_or_old),
        cmocka_unit_test(test_addresses),
        cmocka_unit_test(test_immediates),
        cmocka_unit_test(test_default_sizes),
        cmocka_unit_test(test_evex),
        cmocka_unit_test(test_vsib),
        cmocka_unit_test(test_undocumented),
        cmocka_unit_test(test_text),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
