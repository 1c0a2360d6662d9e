/* Words of a command line into values. */
#include "cli/cli.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct cli_option *find_long(const struct verb *v,
                                          const char *name, size_t n)
{
    for (const struct cli_option *o = v->options; o && o->name; o++)
        if (strlen(o->name) == n && !strncmp(o->name, name, n))
            return o;
    return NULL;
}

static const struct cli_option *find_letter(const struct verb *v, char letter)
{
    for (const struct cli_option *o = v->options; o && o->name; o++)
        if (letter && o->letter == letter)
            return o;
    return NULL;
}

struct words {
    int argc, next;
    char **argv;
};

/* The option a word names, and its value where that is in the same word. */
static const struct cli_option *match(const struct verb *v, const char *word,
                                      const char **value)
{
    const char *equals = strchr(word, '=');
    size_t n = equals ? (size_t)(equals - word) : strlen(word);

    *value = NULL;
    if (word[1] == '-') {
        if (equals)
            *value = equals + 1;
        return n > 2 ? find_long(v, word + 2, n - 2) : NULL;
    }
    if (word[2])
        *value = word + 2;
    return find_letter(v, word[1]);
}

static int take_option(const struct verb *v, struct words *w, void *ctx,
                       uint64_t *seen, struct err *e)
{
    const char *word = w->argv[w->next++], *value;
    const struct cli_option *o = match(v, word, &value);
    uint64_t bit;

    if (!o)
        return err_set(e, LE_USAGE,
                       "unknown option %s; 'lodge help %s' lists them all",
                       word, v->name);
    bit = 1ull << (o - v->options);
    if ((*seen & bit) && !o->repeats)
        return err_set(e, LE_USAGE, "option --%s was given twice; give it once",
                       o->name);
    *seen |= bit;
    if (!o->arg) {
        if (value)
            return err_set(e, LE_USAGE, "option --%s takes no value", o->name);
        return o->set(ctx, NULL, e);
    }
    if (!value) {
        if (w->next == w->argc)
            return err_set(e, LE_USAGE, "option --%s needs a value: %s",
                           o->name, o->arg);
        value = w->argv[w->next++];
    }
    return o->set(ctx, value, e);
}

/* "-x", "--word"; "-" and "-4" are words. */
static bool is_option(const char *word)
{
    return word[0] == '-' && word[1] && (word[1] < '0' || word[1] > '9');
}

int cli_parse(const struct verb *v, int argc, char **argv, void *ctx,
              const char **words, int max, struct err *e)
{
    struct words w = {.argc = argc, .argv = argv};
    uint64_t seen = 0;
    bool options = true;
    int n = 0;

    while (w.next < argc) {
        const char *word = argv[w.next];

        if (options && !strcmp(word, "--")) {
            options = false;
            w.next++;
        } else if (options && is_option(word)) {
            int rc = take_option(v, &w, ctx, &seen, e);

            if (rc < 0)
                return rc;
        } else if (n == max) {
            return err_set(e, LE_USAGE,
                           "'%s' is one word too many; usage: lodge %s %s",
                           word, v->name, v->args);
        } else {
            words[n++] = argv[w.next++];
        }
    }
    return n;
}

/* --- values --- */

static int parse_u64(const char *text, char **end, uint64_t *out)
{
    if (text[0] < '0' || text[0] > '9')
        return -1;
    errno = 0;
    *out = strtoull(text, end, 0);
    return errno ? -1 : 0;
}

int cli_number(const char *option, const char *text, uint64_t min, uint64_t max,
               uint64_t *out, struct err *e)
{
    char *end;

    if (parse_u64(text, &end, out) < 0 || *end || *out < min || *out > max)
        return err_set(e, LE_USAGE,
                       "%s: '%s' is not a number from %llu to %llu", option,
                       text, (unsigned long long)min, (unsigned long long)max);
    return 0;
}

int cli_size(const char *option, const char *text, uint64_t *out, struct err *e)
{
    static const char units[] = "KMGT";
    unsigned shift = 0;
    const char *unit;
    char *end;
    uint64_t n;

    if (parse_u64(text, &end, &n) < 0)
        goto bad;
    if (*end) {
        unit = strchr(units, *end >= 'a' ? *end - 32 : *end);
        if (!unit || end[1])
            goto bad;
        shift = 10 * (unsigned)(unit - units + 1);
    }
    if (shift && n >> (64 - shift))
        goto bad;
    *out = n << shift;
    return 0;
bad:
    return err_set(e, LE_USAGE,
                   "%s: '%s' is not a size; write a number and K, M, G or T, "
                   "like 512M",
                   option, text);
}

/* One field, up to a single comma; doubled ones become one. */
static const char *copy_field(const char *in, char *out, size_t room)
{
    size_t n = 0;

    while (*in) {
        if (*in == ',') {
            if (in[1] != ',')
                break;
            in++;
        }
        if (n + 1 < room)
            out[n++] = *in;
        in++;
    }
    out[n] = 0;
    return *in ? in + 1 : NULL;
}

int cli_fields(const char *text,
               int (*set)(void *ctx, const char *key, const char *value,
                          struct err *e),
               void *ctx, struct err *e)
{
    char field[4096];
    bool first = true;

    while (text) {
        char *equals;
        int rc;

        text = copy_field(text, field, sizeof field);
        equals = first ? NULL : strchr(field, '=');
        if (equals)
            *equals = 0;
        if (first)
            rc = set(ctx, NULL, field, e);
        else
            rc = set(ctx, field, equals ? equals + 1 : NULL, e);
        if (rc < 0)
            return rc;
        first = false;
    }
    return 0;
}

int cli_fail(int status, const struct err *e)
{
    fprintf(stderr, "lodge: %s\n", e->text);
    return status;
}
