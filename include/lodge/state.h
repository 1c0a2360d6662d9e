/*
 * Field tables: how a model's state is named, saved and loaded. A table lists
 * what is modelled, not a struct dump; numbers travel little-endian with
 * their declared width. Loading checks lengths and min..max of every value
 * (a snapshot is hostile input) before anything is stored.
 */
#ifndef LODGE_STATE_H
#define LODGE_STATE_H

#include "base/err.h"

enum field_kind {
    FIELD_U8, FIELD_U16, FIELD_U32, FIELD_U64, FIELD_BOOL,
    FIELD_BYTES,  /* count raw bytes */
    FIELD_STRUCT, /* count structs of `size` described by `sub` */
};

struct field {
    const char *name;
    uint32_t offset;
    uint16_t kind;
    uint16_t since;  /* first version of the class that has it; 0 and 1: all */
    uint32_t count;  /* array length; 1 for a scalar */
    uint32_t size;   /* FIELD_STRUCT: bytes of one element */
    uint64_t max;    /* greatest valid value; 0: the whole width */
    const struct field *sub;
};

#define FIELD_COUNT_(s, m, t) \
    (sizeof(((s *)0)->m) / sizeof(t))
/* Scalars and arrays alike: FIELD8(struct pit, mode), … */
#define FIELD8(s, m)  {#m, offsetof(s, m), FIELD_U8, 1, FIELD_COUNT_(s, m, uint8_t), 0, 0, 0}
#define FIELD16(s, m) {#m, offsetof(s, m), FIELD_U16, 1, FIELD_COUNT_(s, m, uint16_t), 0, 0, 0}
#define FIELD32(s, m) {#m, offsetof(s, m), FIELD_U32, 1, FIELD_COUNT_(s, m, uint32_t), 0, 0, 0}
#define FIELD64(s, m) {#m, offsetof(s, m), FIELD_U64, 1, FIELD_COUNT_(s, m, uint64_t), 0, 0, 0}
#define FIELDB(s, m)  {#m, offsetof(s, m), FIELD_BOOL, 1, FIELD_COUNT_(s, m, bool), 0, 0, 0}
/* A scalar or array of `bits` wide values that must not exceed `limit`. */
#define FIELD_MAX(s, m, bits, limit)                                           \
    {#m, offsetof(s, m), FIELD_U##bits, 1, FIELD_COUNT_(s, m, uint##bits##_t), 0, limit, 0}
#define FIELD_RAW(s, m) {#m, offsetof(s, m), FIELD_BYTES, 1, sizeof(((s *)0)->m), 0, 0, 0}
#define FIELD_SUB(s, m, elem, table)                                           \
    {#m, offsetof(s, m), FIELD_STRUCT, 1, FIELD_COUNT_(s, m, elem), sizeof(elem), 0, table}
#define FIELD_END {0, 0, 0, 0, 0, 0, 0, 0}

/* Bytes that saving `obj` takes. */
size_t state_size(const struct field *fields, uint16_t version);
/* Writes state_size() bytes to `to`. */
void state_save(const struct field *fields, uint16_t version, const void *obj,
                uint8_t *to);
/* Reads exactly n bytes; on an error obj is unchanged. */
int state_load(const struct field *fields, uint16_t version, void *obj,
               const uint8_t *from, size_t n, struct err *e);

#endif
