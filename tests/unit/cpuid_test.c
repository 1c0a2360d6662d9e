/* CPU models by name, their features, and what CPUID says of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "lodge/host.h"
#include "x86/cpuid.h"
#include "x86/state.h"
#include "x86/tsc.h"

static struct x86_features everything(void)
{
    struct x86_features f = {{0}};

    for (unsigned n = 1; n < FEAT_COUNT; n++)
        feature_set(&f, (enum x86_feature)n, true);
    return f;
}

static struct cpu_model make(const char *spec, unsigned ncpus)
{
    struct x86_features usable = everything();
    struct cpu_model m;
    struct err e = {0};

    if (cpu_model_make(&m, spec, &usable, ncpus, &e))
        fail_msg("%s: %s", spec, e.text);
    return m;
}

static bool has(const struct cpu_model *m, enum x86_feature n)
{
    return feature_has(&m->features, n);
}

static struct cpuid_result ask(const struct cpu_model *m, uint32_t leaf,
                               uint32_t subleaf)
{
    return x86_cpuid(m, leaf, subleaf, 0, 0, XCR0_X87);
}

static void levels(void **state)
{
    struct cpu_model m;

    (void)state;
    m = make("x86-64", 1);
    assert_true(has(&m, FEAT_SSE2) && has(&m, FEAT_LM) && has(&m, FEAT_SMAP));
    assert_false(has(&m, FEAT_SSE3) || has(&m, FEAT_CX16) ||
                 has(&m, FEAT_POPCNT) || has(&m, FEAT_AVX));
    assert_int_equal(m.xcr0_mask, XCR0_X87 | XCR0_SSE);
    m = make("x86-64-v2", 1);
    assert_true(has(&m, FEAT_SSE42) && has(&m, FEAT_CX16) &&
                has(&m, FEAT_POPCNT));
    assert_false(has(&m, FEAT_AVX) || has(&m, FEAT_BMI1));
    m = make("x86-64-v3", 1);
    assert_true(has(&m, FEAT_AVX2) && has(&m, FEAT_BMI2) &&
                has(&m, FEAT_MOVBE) && has(&m, FEAT_LZCNT));
    assert_false(has(&m, FEAT_AVX512F) || has(&m, FEAT_AES));
    assert_int_equal(m.xcr0_mask, XCR0_X87 | XCR0_SSE | XCR0_AVX);
    m = make(NULL, 1); /* the highest */
    assert_string_equal(m.name, "x86-64-v4");
    assert_true(has(&m, FEAT_AVX512VL) && has(&m, FEAT_AVX512BW));
    assert_false(has(&m, FEAT_OSXSAVE) || has(&m, FEAT_OSPKE));
    assert_int_equal(m.xcr0_mask, 0xe7);
    m = make("host", 2);
    assert_true(has(&m, FEAT_GFNI) && has(&m, FEAT_HTT));
}

/* Without AVX-512 the default is v3; asking for v4 names what is missing. */
static void only_what_is_usable(void **state)
{
    struct x86_features usable = everything();
    struct cpu_model m;
    struct err e = {0};

    (void)state;
    feature_set(&usable, FEAT_AVX512DQ, false);
    feature_set(&usable, FEAT_PCID, false);
    assert_int_equal(cpu_model_make(&m, NULL, &usable, 1, &e), 0);
    assert_string_equal(m.name, "x86-64-v3");
    assert_false(has(&m, FEAT_PCID));
    assert_int_equal(cpu_model_make(&m, "x86-64-v4", &usable, 1, &e),
                     -LE_UNSUPPORTED);
    assert_non_null(strstr(e.text, "avx512dq"));
    assert_int_equal(cpu_model_make(&m, "x86-64,+avx512dq", &usable, 1, &e),
                     -LE_UNSUPPORTED);
    assert_non_null(strstr(e.text, "avx512dq"));
}

static void changed_features(void **state)
{
    struct cpu_model m;

    (void)state;
    m = make("x86-64-v3,-avx", 1);
    assert_false(has(&m, FEAT_AVX) || has(&m, FEAT_AVX2) || has(&m, FEAT_FMA) ||
                 has(&m, FEAT_F16C));
    assert_true(has(&m, FEAT_SSE42) && has(&m, FEAT_BMI1));
    assert_int_equal(m.xcr0_mask, XCR0_X87 | XCR0_SSE);
    m = make("x86-64,+avx2", 1); /* and what it builds on */
    assert_true(has(&m, FEAT_AVX2) && has(&m, FEAT_AVX) &&
                has(&m, FEAT_SSE42) && has(&m, FEAT_SSSE3));
    m = make("x86-64-v2,+aes,+sha,-hypervisor", 1);
    assert_true(has(&m, FEAT_AES) && has(&m, FEAT_SHA));
    assert_false(m.kvm_leaves);
    m = make("+aes", 1); /* of the default */
    assert_string_equal(m.name, "x86-64-v4");
    assert_true(has(&m, FEAT_AES));
    m = make("x86-64-v4,-sse2", 1);
    assert_false(has(&m, FEAT_AVX512F) || has(&m, FEAT_SSE42));
}

static void bad_names(void **state)
{
    static const char *const bad[] = {"pentium",
                                      "x86-64,avx",
                                      "x86-64,+",
                                      "x86-64,",
                                      "x86-64,+nonsense",
                                      "x86-64-v3x",
                                      "x86",
                                      ",",
                                      "x86-64,+avx2,,+aes",
                                      "+",
                                      "x86-64, +avx"};
    struct x86_features usable = everything();
    struct cpu_model m;

    (void)state;
    for (size_t k = 0; k < ARRAY_LEN(bad); k++) {
        struct err e = {0};

        if (cpu_model_make(&m, bad[k], &usable, 1, &e) != -LE_USAGE)
            fail_msg("%s is taken", bad[k]);
        assert_non_null(strstr(e.text, "--cpu"));
    }
}

static void what_the_host_has(void **state)
{
    struct x86_features f;
    struct cpu_model m;
    struct err e;

    (void)state;
    cpu_host_features(&f);
    assert_true(feature_has(&f, FEAT_BMI2) && feature_has(&f, FEAT_SMAP));
    assert_false(feature_has(&f, FEAT_LA57));
    assert_int_equal(cpu_model_make(&m, "host", &f, 1, &e), 0);
#ifdef __x86_64__
    assert_true(has(&m, FEAT_SSE2));
    __builtin_cpu_init();
    assert_int_equal(has(&m, FEAT_AVX2), __builtin_cpu_supports("avx2") != 0);
#endif
}

static void identity(void **state)
{
    struct cpu_model m = make("x86-64-v3", 1);
    struct cpuid_result r = ask(&m, 0, 0);
    char brand[49] = "";

    (void)state;
    assert_int_equal(r.eax, 0x16);
    assert_memory_equal(&r.ebx, "Genu", 4);
    assert_memory_equal(&r.edx, "ineI", 4);
    assert_memory_equal(&r.ecx, "ntel", 4);
    m.family = 6;
    m.model = 0x8f;
    m.stepping = 3;
    assert_int_equal(ask(&m, 1, 0).eax, 0x806f3);
    m.family = 25;
    assert_int_equal(ask(&m, 1, 0).eax, 0xa80ff3);
    for (unsigned k = 0; k < 3; k++) {
        r = ask(&m, 0x80000002 + k, 0);
        memcpy(brand + 16 * k, &r, 16);
    }
    assert_string_equal(brand, "Lodge x86-64-v3");
    r = ask(&m, 0x80000000, 0);
    assert_int_equal(r.eax, 0x80000008);
    assert_int_equal(ask(&m, 0x80000008, 0).eax, 48 << 8 | 40);
}

static void feature_leaves(void **state)
{
    struct cpu_model m = make("x86-64-v3", 1);
    struct cpuid_result r;

    (void)state;
    r = ask(&m, 1, 0);
    assert_true(r.edx & 1 << 26);  /* SSE2 */
    assert_true(r.ecx & 1u << 31); /* hypervisor */
    assert_true(r.ecx & 1 << 28);  /* AVX */
    assert_false(r.ecx & 1 << 27); /* OSXSAVE: CR4 says */
    assert_false(r.ecx & 1 << 25); /* AES */
    r = x86_cpuid(&m, 1, 7, 3, CR4_OSXSAVE, 1);
    assert_true(r.ecx & 1 << 27);
    assert_int_equal(r.ebx >> 24, 3);
    r = ask(&m, 7, 0);
    assert_int_equal(r.eax, 2);
    assert_true(r.ebx & 1 << 5);
    assert_false(r.ebx & 1 << 16);
    assert_int_equal(ask(&m, 7, 2).edx, 1 << 4);
    assert_int_equal(ask(&m, 7, 3).edx, 0);
    assert_int_equal(ask(&m, 7, 3).eax, 0);
    assert_true(ask(&m, 0x80000001, 0).edx & 1 << 29);
    assert_true(ask(&m, 0x80000007, 0).edx & 1 << 8);
    assert_int_equal(ask(&m, 6, 0).eax, 4);
    m = make("host", 1);
    assert_false(ask(&m, 7, 0).ecx & 1 << 4); /* OSPKE */
    assert_true(x86_cpuid(&m, 7, 0, 0, CR4_PKE, 1).ecx & 1 << 4);
    assert_true(ask(&m, 7, 1).eax & 1 << 4);
}

static void topology(void **state)
{
    struct cpu_model m = make("x86-64-v3", 6);
    struct cpuid_result r;

    (void)state;
    r = x86_cpuid(&m, 0xb, 0, 5, 0, 1);
    assert_int_equal(r.eax, 0);
    assert_int_equal(r.ebx, 1);
    assert_int_equal(r.ecx, 0x100);
    assert_int_equal(r.edx, 5);
    r = x86_cpuid(&m, 0xb, 1, 5, 0, 1);
    assert_int_equal(r.eax, 3); /* 6 CPUs: three bits */
    assert_int_equal(r.ebx, 6);
    assert_int_equal(r.ecx, 0x201);
    r = x86_cpuid(&m, 0xb, 2, 5, 0, 1);
    assert_int_equal(r.ebx, 0);
    assert_int_equal(r.ecx, 2);
    assert_int_equal(ask(&m, 1, 0).ebx >> 16 & 0xff, 6);
    assert_true(ask(&m, 1, 0).edx & 1 << 28);
    for (unsigned k = 0; k < 4; k++)
        assert_int_equal(ask(&m, 4, k).eax >> 26, 7); /* cores - 1 */
    assert_int_equal(ask(&m, 4, 0).eax >> 14 & 0xfff, 0);
    assert_int_equal(ask(&m, 4, 3).eax >> 14 & 0xfff, 7); /* shared by all */
    assert_int_equal(ask(&m, 4, 4).eax, 0);
    r = ask(&m, 4, 0);
    assert_int_equal(((r.ebx >> 22) + 1) * ((r.ebx & 0xfff) + 1) * (r.ecx + 1),
                     32768);
    m = make("x86-64-v3", 1);
    assert_false(ask(&m, 1, 0).edx & 1 << 28);
}

static void xsave_areas(void **state)
{
    struct cpu_model m = make("x86-64-v4", 1);
    struct cpuid_result r;

    (void)state;
    r = x86_cpuid(&m, 0xd, 0, 0, 0, XCR0_X87 | XCR0_SSE);
    assert_int_equal(r.eax, 0xe7);
    assert_int_equal(r.ebx, 576);
    assert_int_equal(r.ecx, 2688);
    assert_int_equal(r.edx, 0);
    assert_int_equal(x86_cpuid(&m, 0xd, 0, 0, 0, 7).ebx, 832);
    assert_int_equal(x86_cpuid(&m, 0xd, 0, 0, 0, 0xe7).ebx, 2688);
    r = x86_cpuid(&m, 0xd, 1, 0, 0, 0xe7);
    assert_int_equal(r.eax, 7); /* OPT, C, XGETBV1 */
    assert_int_equal(r.ebx, 576 + 256 + 64 + 512 + 1024);
    assert_int_equal(ask(&m, 0xd, 2).eax, 256);
    assert_int_equal(ask(&m, 0xd, 2).ebx, 576);
    assert_int_equal(ask(&m, 0xd, 5).ebx, 1088);
    assert_int_equal(ask(&m, 0xd, 6).ebx, 1152);
    assert_int_equal(ask(&m, 0xd, 7).ebx, 1664);
    assert_int_equal(ask(&m, 0xd, 9).eax, 0);
    assert_int_equal(ask(&m, 0xd, 3).eax, 0);
    assert_int_equal(ask(&m, 0xd, 63).eax, 0);
    m = make("x86-64,-xsave", 1);
    assert_int_equal(m.xcr0_mask, 0);
    assert_int_equal(ask(&m, 0xd, 0).ecx, 0);
}

static void out_of_range(void **state)
{
    struct cpu_model m = make("x86-64-v3", 1);
    struct cpuid_result top = ask(&m, 0x16, 0);
    static const uint32_t beyond[] = {
        0x17, 0x1f, 0x20000000, 0x40000011, 0x80000009, 0xc0000000, 0xffffffff};

    (void)state;
    for (size_t k = 0; k < ARRAY_LEN(beyond); k++) {
        struct cpuid_result r = ask(&m, beyond[k], 0);

        assert_memory_equal(&r, &top, sizeof r);
    }
    for (uint32_t leaf = 8; leaf < 0xb; leaf++)
        assert_int_equal(ask(&m, leaf, 0).eax, 0);
}

static void paravirtual(void **state)
{
    struct cpu_model m = make("x86-64-v3", 1);
    struct cpuid_result r = ask(&m, 0x40000000, 0);

    (void)state;
    assert_int_equal(r.eax, 0x40000010);
    assert_memory_equal(&r.ebx, "KVMKVMKVM\0\0\0", 12);
    r = ask(&m, 0x40000001, 0);
    assert_true(r.eax & 1 << 3);
    assert_true(r.eax & 1 << 24);
    tsc_setup(&m, 2500000000, 0);
    r = ask(&m, 0x40000010, 0);
    assert_int_equal(r.eax, 2500000);
    assert_int_equal(r.ebx, 1000000);
    m.kvm_leaves = false;
    assert_int_equal(ask(&m, 0x40000000, 0).ecx, ask(&m, 0x16, 0).ecx);
}

/* As Linux computes it: 32 bits, kHz. */
static void tsc_leaf(void **state)
{
    static const uint64_t hz[] = {1000000000, 2600000000, 2599998743,
                                  3792451119, 800000000,  4999999999,
                                  123456789,  2994374000};
    struct cpu_model m = make("x86-64-v3", 1);

    (void)state;
    for (size_t k = 0; k < ARRAY_LEN(hz); k++) {
        struct cpuid_result r;
        uint64_t product;
        int64_t off; /* in kHz */

        tsc_setup(&m, hz[k], 0);
        r = ask(&m, 0x15, 0);
        assert_int_not_equal(r.eax, 0);
        product = (uint64_t)(r.ecx / 1000) * r.ebx;
        assert_true(product <= UINT32_MAX);
        off = (int64_t)(product / r.eax) - (int64_t)(hz[k] / 1000);
        if (off > 2 || off < -2)
            fail_msg("%lu Hz: %u/%u is off by %ld", hz[k], r.ebx, r.eax, off);
        assert_int_equal(ask(&m, 0x16, 0).eax, (hz[k] + 500000) / 1000000);
    }
}

/* --- x86/tsc.c --- */
static void tsc_scales(void **state)
{
    struct cpu_model m = {.tsc_hz = 0};

    (void)state;
    tsc_setup(&m, 0, 0);
    assert_int_equal(m.tsc_hz, 1000000000);
    assert_int_equal(tsc_scale(&m, 12345), 12345);
    tsc_setup(&m, 0, 2600000000);
    assert_int_equal(m.tsc_hz, 2600000000);
    assert_int_equal(tsc_scale(&m, ~0ull), ~0ull);
    tsc_setup(&m, 1300000000, 2600000000);
    assert_int_equal(tsc_scale(&m, 1ull << 60), 1ull << 59);
    tsc_setup(&m, 3000000000, 1000000000);
    assert_int_equal(tsc_scale(&m, 1000000007), 3000000021);
}

static void tsc_clock_scale(void **state)
{
    static const uint64_t hz[] = {1000000,    32768000,   999999999,
                                  1000000000, 1000000001, 2600000000,
                                  4294967296, 10000000000};

    (void)state;
    for (size_t k = 0; k < ARRAY_LEN(hz); k++) {
        struct tsc_to_ns t = tsc_to_ns_of(hz[k]);
        uint64_t ns = tsc_to_ns(t, hz[k] * 1000); /* 1000 s */

        assert_true(t.mul >> 31);
        assert_true(ns <= 1000 * NS_PER_SEC &&
                    ns > 999999 * (NS_PER_SEC / 1000));
        assert_true(1000 * NS_PER_SEC - ns < 1000); /* one in 10^9 */
    }
}

static void tsc_deadlines(void **state)
{
    struct cpu_model m = {.tsc_hz = 0};
    uint64_t now, at;

    (void)state;
    tsc_setup(&m, 3000000000, 0);
    now = host_now();
    at = tsc_reaches(&m, 77, tsc_scale(&m, now) + 77 + 3000000000);
    assert_true(at >= now + NS_PER_SEC - 2);
    assert_true(at <= now + NS_PER_SEC + 100 * 1000000);
    assert_true(tsc_reaches(&m, 0, 1) <= host_now());
    assert_int_equal(tsc_reaches(&m, 0ull - tsc_now(&m, 0), ~0ull >> 1) >> 60,
                     (host_now() + (~0ull >> 1) / 3) >> 60);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(levels),
        cmocka_unit_test(only_what_is_usable),
        cmocka_unit_test(changed_features),
        cmocka_unit_test(bad_names),
        cmocka_unit_test(what_the_host_has),
        cmocka_unit_test(identity),
        cmocka_unit_test(feature_leaves),
        cmocka_unit_test(topology),
        cmocka_unit_test(xsave_areas),
        cmocka_unit_test(out_of_range),
        cmocka_unit_test(paravirtual),
        cmocka_unit_test(tsc_leaf),
        cmocka_unit_test(tsc_scales),
        cmocka_unit_test(tsc_clock_scale),
        cmocka_unit_test(tsc_deadlines),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
