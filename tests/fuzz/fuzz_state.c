/*
 * Saved state by a field table. The first byte is the version. What is taken
 * saves as the same bytes again; what is refused changes nothing.
 */
#include <stdlib.h>
#include <string.h>

#include "lodge/state.h"

struct part {
    uint16_t small;
    bool on;
};

struct model {
    uint8_t a[3];
    uint32_t b;
    uint64_t c[2];
    bool flags[5];
    struct part parts[3];
    uint8_t raw[7];
    uint8_t newer;
};

static const struct field part_fields[] = {
    FIELD_MAX(struct part, small, 16, 999),
    FIELDB(struct part, on),
    FIELD_END,
};

static const struct field fields[] = {
    FIELD_MAX(struct model, a, 8, 3),
    FIELD32(struct model, b),
    FIELD64(struct model, c),
    FIELDB(struct model, flags),
    FIELD_SUB(struct model, parts, struct part, part_fields),
    FIELD_RAW(struct model, raw),
    {"newer", offsetof(struct model, newer), FIELD_U8, 2, 1, 0, 9, NULL},
    FIELD_END,
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct model m, before;
    struct err e = {0};
    uint8_t again[sizeof m];
    uint16_t version;

    if (!size)
        return 0;
    version = 1 + data[0] % 2;
    memset(&m, 0xa5, sizeof m);
    before = m;
    if (state_load(fields, version, &m, data + 1, size - 1, &e)) {
        if (!e.text[0] || memcmp(&m, &before, sizeof m))
            abort();
        return 0;
    }
    if (state_size(fields, version) != size - 1)
        abort();
    state_save(fields, version, &m, again);
    if (memcmp(again, data + 1, size - 1))
        abort();
    return 0;
}
