#include "host/char/escape.h"

#include <stdio.h>

/* The key after Ctrl-A: true when the guest is to get it. */
static bool command(const struct escape *x, uint8_t key)
{
    uint8_t small = key >= 'A' && key <= 'Z' ? key | 0x20 : key;

    for (const struct escape_row *r = x->rows; r->key; r++) {
        if (r->key != small)
            continue;
        if (r->fn)
            r->fn(x->ctx);
        return !r->fn;
    }
    return false; /* a slip of the finger */
}

size_t escape_filter(struct escape *x, uint8_t *p, size_t n)
{
    size_t kept = 0;

    for (size_t i = 0; i < n; i++) {
        if (x->pending) {
            x->pending = false;
            if (command(x, p[i]))
                p[kept++] = p[i];
        } else if (p[i] == ESCAPE_KEY)
            x->pending = true;
        else
            p[kept++] = p[i];
    }
    return kept;
}

unsigned escape_help(const struct escape *x, char (*line)[ESCAPE_LINE],
                     unsigned n)
{
    unsigned i = 0;

    for (; x->rows[i].key && i < n; i++)
        snprintf(line[i], sizeof line[i], "Ctrl-A %-7s %s", x->rows[i].name,
                 x->rows[i].help);
    return i;
}

void escape_help_text(const struct escape *x, char text[ESCAPE_TEXT])
{
    char line[ESCAPE_TEXT / (ESCAPE_LINE + 2)][ESCAPE_LINE];
    unsigned n = escape_help(x, line, ARRAY_LEN(line));
    size_t at = (size_t)snprintf(text, ESCAPE_TEXT, "\r\n");

    for (unsigned i = 0; i < n; i++)
        at += (size_t)snprintf(text + at, ESCAPE_TEXT - at, "%s\r\n", line[i]);
}
