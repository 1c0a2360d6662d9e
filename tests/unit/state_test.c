/* Field tables: vm/state.c. */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <setjmp.h>

#include <cmocka.h>

#include "base/endian.h"
#include "lodge/state.h"

struct channel {
    uint32_t count;
    uint8_t mode;
};

struct model {
    uint8_t a;
    uint64_t wide;
    uint16_t list[3];
    bool on, flags[2];
    struct channel ch[2];
    uint32_t hidden; /* not modelled */
    uint8_t raw[5];
    uint8_t newer; /* since version 3 */
};

static const struct field channel_fields[] = {
    FIELD32(struct channel, count),
    FIELD_MAX(struct channel, mode, 8, 5),
    FIELD_END,
};

static const struct field fields[] = {
    FIELD8(struct model, a),
    FIELD64(struct model, wide),
    FIELD_MAX(struct model, list, 16, 1000),
    FIELDB(struct model, on),
    FIELDB(struct model, flags),
    FIELD_SUB(struct model, ch, struct channel, channel_fields),
    FIELD_RAW(struct model, raw),
    {"newer", offsetof(struct model, newer), FIELD_U8, 3, 1, 0, 0, NULL},
    FIELD_END,
};

enum { SIZE2 = 1 + 8 + 6 + 1 + 2 + 10 + 5, SIZE3 = SIZE2 + 1 };

static const struct model sample = {
    .a = 0x12,
    .wide = 0x1122334455667788,
    .list = {1, 1000, 0x102},
    .on = true,
    .flags = {false, true},
    .ch = {{0xaabbccdd, 5}, {7, 0}},
    .hidden = 99,
    .raw = {1, 2, 3, 4, 5},
    .newer = 9,
};

static const uint8_t wire[SIZE3] = {
    0x12, 0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11, 1,    0, 0xe8,
    3,    2,    1,    1,    0,    1,    0xdd, 0xcc, 0xbb, 0xaa, 5, 7,
    0,    0,    0,    0,    1,    2,    3,    4,    5,    9,
};

static void layout(void **state)
{
    uint8_t out[SIZE3 + 1];

    (void)state;
    assert_int_equal(state_size(fields, 3), SIZE3);
    assert_int_equal(state_size(fields, 2), SIZE2);
    assert_int_equal(state_size(NULL, 1), 0);
    memset(out, 0xee, sizeof out);
    state_save(fields, 3, &sample, out);
    assert_memory_equal(out, wire, SIZE3);
    assert_int_equal(out[SIZE3], 0xee);
    memset(out, 0xee, sizeof out);
    state_save(fields, 2, &sample, out);
    assert_memory_equal(out, wire, SIZE2);
    assert_int_equal(out[SIZE2], 0xee);
}

static void round_trip(void **state)
{
    struct model m;
    struct err e;

    (void)state;
    memset(&m, 0x55, sizeof m);
    m.hidden = 1;
    assert_int_equal(state_load(fields, 3, &m, wire, SIZE3, &e), 0);
    assert_int_equal(m.a, sample.a);
    assert_true(m.wide == sample.wide);
    assert_memory_equal(m.list, sample.list, sizeof m.list);
    assert_true(m.on && !m.flags[0] && m.flags[1]);
    assert_int_equal(m.ch[0].count, 0xaabbccdd);
    assert_int_equal(m.ch[0].mode, 5);
    assert_int_equal(m.ch[1].count, 7);
    assert_int_equal(m.ch[1].mode, 0);
    assert_memory_equal(m.raw, sample.raw, sizeof m.raw);
    assert_int_equal(m.newer, 9);
    assert_int_equal(m.hidden, 1);
    m.newer = 77;
    assert_int_equal(state_load(fields, 2, &m, wire, SIZE2, &e), 0);
    assert_int_equal(m.newer, 77);
}

/* One byte wrong: an error, and the object as it was. */
static void refused(size_t at, uint8_t byte, const char *name)
{
    struct model m, before;
    uint8_t bad[SIZE3];
    struct err e = {0};

    memcpy(bad, wire, sizeof bad);
    bad[at] = byte;
    memset(&m, 0x55, sizeof m);
    before = m;
    assert_int_equal(state_load(fields, 3, &m, bad, sizeof bad, &e),
                     -LE_FORMAT);
    assert_memory_equal(&m, &before, sizeof m);
    assert_non_null(strstr(e.text, name));
}

static void hostile_values(void **state)
{
    (void)state;
    refused(12, 4, "list"); /* 0x4e8 > 1000 */
    refused(15, 2, "on");
    refused(17, 0xff, "flags");
    refused(22, 6, "mode");
    refused(27, 200, "mode");
}

static void hostile_lengths(void **state)
{
    uint8_t bytes[SIZE3 + 1] = {0};
    struct model m, before;
    struct err e;

    (void)state;
    memcpy(bytes, wire, SIZE3);
    memset(&m, 0x55, sizeof m);
    before = m;
    for (size_t n = 0; n <= sizeof bytes; n++) {
        if (n == SIZE3)
            continue;
        assert_int_equal(state_load(fields, 3, &m, bytes, n, &e), -LE_FORMAT);
        assert_memory_equal(&m, &before, sizeof m);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(layout),
        cmocka_unit_test(round_trip),
        cmocka_unit_test(hostile_values),
        cmocka_unit_test(hostile_lengths),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
