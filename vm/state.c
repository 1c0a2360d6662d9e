/*
 * Field tables: saving and loading (lodge/state.h). Layout: the fields in the
 * order of the table, elements of arrays one after another, nothing between
 * them. A bool is a byte, 0 or 1.
 */
#include "base/endian.h"
#include "base/libc.h"
#include "lodge/state.h"

/* Bytes that one element takes on the wire. */
static size_t element_size(const struct field *f, uint16_t version)
{
    switch (f->kind) {
    case FIELD_U16: return 2;
    case FIELD_U32: return 4;
    case FIELD_U64: return 8;
    case FIELD_STRUCT: return state_size(f->sub, version);
    default: return 1; /* FIELD_U8, FIELD_BOOL, FIELD_BYTES */
    }
}

/* Bytes from one element to the next in memory. */
static size_t element_stride(const struct field *f)
{
    switch (f->kind) {
    case FIELD_STRUCT: return f->size;
    case FIELD_BOOL: return sizeof(bool);
    default: return element_size(f, 0);
    }
}

/* The same in memory and on the wire. */
static bool is_bytes(const struct field *f)
{
    return f->kind == FIELD_U8 || f->kind == FIELD_BYTES;
}

static bool in_version(const struct field *f, uint16_t version)
{
    return f->since <= 1 || f->since <= version;
}

size_t state_size(const struct field *fields, uint16_t version)
{
    size_t n = 0;

    for (const struct field *f = fields; f && f->name; f++)
        if (in_version(f, version))
            n += f->count * element_size(f, version);
    return n;
}

static void save_element(const struct field *f, uint16_t version,
                         const void *from, uint8_t *to)
{
    switch (f->kind) {
    case FIELD_U16: store_le16(to, *(const uint16_t *)from); break;
    case FIELD_U32: store_le32(to, *(const uint32_t *)from); break;
    case FIELD_U64: store_le64(to, *(const uint64_t *)from); break;
    case FIELD_BOOL: *to = *(const bool *)from; break;
    case FIELD_STRUCT: state_save(f->sub, version, from, to); break;
    default: break; /* is_bytes() */
    }
}

void state_save(const struct field *fields, uint16_t version, const void *obj,
                uint8_t *to)
{
    for (const struct field *f = fields; f && f->name; f++) {
        size_t step = element_size(f, version), stride = element_stride(f);
        const uint8_t *from = (const uint8_t *)obj + f->offset;

        if (!in_version(f, version))
            continue;
        if (is_bytes(f)) {
            memcpy(to, from, f->count);
            to += f->count;
            continue;
        }
        for (uint32_t i = 0; i < f->count; i++, from += stride, to += step)
            save_element(f, version, from, to);
    }
}

static uint64_t greatest(const struct field *f)
{
    if (f->kind == FIELD_BOOL)
        return 1;
    return f->max ? f->max : UINT64_MAX;
}

/* The first pass: every value, before anything is stored. */
static int check(const struct field *fields, uint16_t version,
                 const uint8_t *from, struct err *e)
{
    for (const struct field *f = fields; f && f->name; f++) {
        size_t step = element_size(f, version);

        if (!in_version(f, version))
            continue;
        if (is_bytes(f) && !f->max) {
            from += f->count;
            continue;
        }
        for (uint32_t i = 0; i < f->count; i++, from += step) {
            if (f->kind == FIELD_STRUCT) {
                int rc = check(f->sub, version, from, e);

                if (rc)
                    return rc;
            } else if (load_le(from, (unsigned)step) > greatest(f))
                return err_set(
                    e, LE_FORMAT, "the saved value %llu of %s is above %llu",
                    (unsigned long long)load_le(from, (unsigned)step), f->name,
                    (unsigned long long)greatest(f));
        }
    }
    return 0;
}

static void load(const struct field *fields, uint16_t version, void *obj,
                 const uint8_t *from);

static void load_element(const struct field *f, uint16_t version, void *to,
                         const uint8_t *from)
{
    switch (f->kind) {
    case FIELD_U16: *(uint16_t *)to = load_le16(from); break;
    case FIELD_U32: *(uint32_t *)to = load_le32(from); break;
    case FIELD_U64: *(uint64_t *)to = load_le64(from); break;
    case FIELD_BOOL: *(bool *)to = *from != 0; break;
    case FIELD_STRUCT: load(f->sub, version, to, from); break;
    default: break; /* is_bytes() */
    }
}

static void load(const struct field *fields, uint16_t version, void *obj,
                 const uint8_t *from)
{
    for (const struct field *f = fields; f && f->name; f++) {
        size_t step = element_size(f, version), stride = element_stride(f);
        uint8_t *to = (uint8_t *)obj + f->offset;

        if (!in_version(f, version))
            continue;
        if (is_bytes(f)) {
            memcpy(to, from, f->count);
            from += f->count;
            continue;
        }
        for (uint32_t i = 0; i < f->count; i++, from += step, to += stride)
            load_element(f, version, to, from);
    }
}

int state_load(const struct field *fields, uint16_t version, void *obj,
               const uint8_t *from, size_t n, struct err *e)
{
    size_t want = state_size(fields, version);
    int rc;

    if (n != want)
        return err_set(e, LE_FORMAT,
                       "the saved state has %zu bytes where version %u has "
                       "%zu",
                       n, version, want);
    rc = check(fields, version, from, e);
    if (!rc)
        load(fields, version, obj, from);
    return rc;
}
