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

static void test_modes(void **state)
{
    (void)state;
    is(DECODE_64, "4801d8", "add");
    assert_int_equal(insn.osize, 8);
    assert_int_equal(insn.opnd[0].kind, OPND_GPR);
    assert_int_equal(insn.opnd[0].reg, RAX);
    assert_int_equal(insn.opnd[1].reg, RBX);
    is(DECODE_32, "48", "dec");
    is(DECODE_16, "01d8", "add");
    assert_int_equal(insn.osize, 2);
    is(DECODE_16, "6601d8", "add");
    assert_int_equal(insn.osize, 4);
    is(DECODE_64, "63d8", "movsxd");
    is(DECODE_32, "63d8", "arpl");
    is_ud(DECODE_64, "d6");
    is(DECODE_32, "d6", "salc");
    is_ud(DECODE_64, "8200");
    is_ud(DECODE_64, "ea00000000");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_modes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
