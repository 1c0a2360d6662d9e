/* Properties: typed values or text, into the fields of a device. */
#include "base/checked.h"
#include "base/libc.h"
#include "vm/internal.h"

static const struct prop *find_prop(const struct dev *d, const char *name)
{
    for (const struct prop *p = d->cls->props; p && p->name; p++)
        if (!strcmp(p->name, name))
            return p;
    return NULL;
}

static int digit_of(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : 99;
}

/* "123", "0x7b", "64K": false when text is no such number. */
static bool parse_number(const char *text, uint64_t *out)
{
    static const char units[] = "KMGT";
    unsigned base = 10;
    uint64_t v = 0;
    const char *unit;

    if (text[0] == '0' && (text[1] | 0x20) == 'x') {
        base = 16;
        text += 2;
    }
    if (digit_of(*text) >= (int)base)
        return false;
    for (; digit_of(*text) < (int)base; text++)
        if (!mul_ok(v, base, &v) || !add_ok(v, (unsigned)digit_of(*text), &v))
            return false;
    if (*text) {
        unit = strchr(units, *text & ~0x20);
        if (!unit || text[1] || base == 16)
            return false;
        if (!mul_ok(v, 1ull << 10 * (unit - units + 1), &v))
            return false;
    }
    *out = v;
    return true;
}

static bool parse_bool(const char *text, uint64_t *out)
{
    static const char *const words[2][4] = {{"off", "no", "false", "0"},
                                            {"on", "yes", "true", "1"}};

    for (unsigned value = 0; value < 2; value++)
        for (unsigned i = 0; i < 4; i++)
            if (!strcmp(text, words[value][i])) {
                *out = value;
                return true;
            }
    return false;
}

static int bad_value(const struct dev *d, const struct prop *p,
                     const char *want, struct err *e)
{
    return err_set(e, LE_USAGE, "%s (%s): %s takes %s", d->id, d->cls->name,
                   p->name, want);
}

/* The number that v means for p. */
static int number_of(const struct dev *d, const struct prop *p,
                     const struct prop_value *v, uint64_t *n, struct err *e)
{
    char want[160];

    if (v->kind == PROP_STRING && v->text) {
        bool ok = p->kind == PROP_BOOL ? parse_bool(v->text, n)
                                       : parse_number(v->text, n);

        if (ok)
            return 0;
        snprintf(want, sizeof want, "%s, not \"%.60s\"",
                 p->kind == PROP_BOOL ? "on or off" : "a number", v->text);
        return bad_value(d, p, want, e);
    }
    if (p->kind == PROP_BOOL && v->kind == PROP_BOOL) {
        *n = v->flag;
        return 0;
    }
    if (p->kind != PROP_BOOL && (v->kind == PROP_U32 || v->kind == PROP_U64)) {
        *n = v->number;
        return 0;
    }
    return bad_value(d, p, p->kind == PROP_BOOL ? "on or off" : "a number", e);
}

static int set_number(struct dev *d, const struct prop *p, uint64_t n,
                      struct err *e)
{
    uint8_t *to = (uint8_t *)d + p->offset;
    uint64_t max = p->max ? p->max : UINT64_MAX;
    char want[160];

    if (p->kind == PROP_BOOL) {
        *(bool *)to = n != 0;
        return 0;
    }
    if (p->kind == PROP_U32)
        max = MIN(max, UINT32_MAX);
    if (n < p->min || n > max) {
        snprintf(want, sizeof want, "%llu to %llu, not %llu",
                 (unsigned long long)p->min, (unsigned long long)max,
                 (unsigned long long)n);
        return bad_value(d, p, want, e);
    }
    if (p->kind == PROP_U32)
        *(uint32_t *)to = (uint32_t)n;
    else
        *(uint64_t *)to = n;
    return 0;
}

static int set_value(struct dev *d, const struct prop *p,
                     const struct prop_value *v, struct err *e)
{
    static const char *const things[] = {
        [PROP_STRING] = "text",
        [PROP_BLK] = "a disk",
        [PROP_CHARDEV] = "a character device",
        [PROP_BYTES] = "the bytes of a file",
        [PROP_NET] = "a network",
    };
    uint8_t *to = (uint8_t *)d + p->offset;
    uint64_t n = 0;
    int rc;

    switch (p->kind) {
    case PROP_BOOL:
    case PROP_U32:
    case PROP_U64:
        rc = number_of(d, p, v, &n, e);
        return rc ? rc : set_number(d, p, n, e);
    }
    if (v->kind != (enum prop_kind)p->kind)
        return bad_value(d, p, things[p->kind], e);
    switch (p->kind) {
    case PROP_BLK: *(struct blk **)to = v->blk; break;
    case PROP_CHARDEV: *(struct chardev **)to = v->chardev; break;
    case PROP_BYTES: *(struct rom_bytes *)to = v->bytes; break;
    case PROP_NET: *(struct net **)to = v->net; break;
    default: *(const char **)to = v->text; break;
    }
    return 0;
}

static void set_defaults(struct dev *d)
{
    for (const struct prop *p = d->cls->props; p && p->name; p++)
        if (p->kind == PROP_BOOL || p->kind == PROP_U32 || p->kind == PROP_U64)
            set_number(d, p, MAX(p->def, p->min), NULL);
}

/* The value given for p, or NULL. */
static const struct prop_value *value_for(const struct prop *p,
                                          const struct prop_value *values)
{
    for (const struct prop_value *v = values; v && v->name; v++)
        if (!strcmp(v->name, p->name))
            return v;
    return NULL;
}

static bool value_is_null(const struct prop *p, const struct prop_value *v)
{
    switch (p->kind) {
    case PROP_STRING: return !v->text;
    case PROP_BLK: return !v->blk;
    case PROP_CHARDEV: return !v->chardev;
    case PROP_BYTES: return !v->bytes.p;
    case PROP_NET: return !v->net;
    default: return false;
    }
}

static int check_required(struct dev *d, const struct prop_value *values,
                          struct err *e)
{
    for (const struct prop *p = d->cls->props; p && p->name; p++) {
        const struct prop_value *v = value_for(p, values);

        if (p->required && (!v || value_is_null(p, v)))
            return err_set(e, LE_USAGE, "%s (%s): %s must be given (%s)", d->id,
                           d->cls->name, p->name,
                           p->help ? p->help : "no default");
    }
    return 0;
}

/* " (it has a, b, c)" */
static void list_props(const struct dev_class *cls, char *to, size_t n)
{
    size_t at = 0;

    to[0] = 0;
    for (const struct prop *p = cls->props; p && p->name && at < n; p++)
        at += (size_t)snprintf(to + at, n - at, "%s%s",
                               p == cls->props ? " (it has " : ", ", p->name);
    if (at && at < n)
        snprintf(to + at, n - at, ")");
}

int props_set(struct dev *d, const struct prop_value *values, struct err *e)
{
    char have[256];

    set_defaults(d);
    for (const struct prop_value *v = values; v && v->name; v++) {
        const struct prop *p = find_prop(d, v->name);
        int rc;

        if (!p) {
            list_props(d->cls, have, sizeof have);
            return err_set(e, LE_USAGE, "%s: %s has no property %.60s%s", d->id,
                           d->cls->name, v->name, have);
        }
        rc = set_value(d, p, v, e);
        if (rc)
            return rc;
    }
    return check_required(d, values, e);
}
