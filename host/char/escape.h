/*
 * Keys after Ctrl-A, which are Lodge's and not the guest's: each console has a
 * table of them.
 */
#ifndef HOST_CHAR_ESCAPE_H
#define HOST_CHAR_ESCAPE_H

#include "base/compiler.h"

enum { ESCAPE_KEY = 1 }; /* Ctrl-A */

struct escape_row {
    uint8_t key; /* a small letter, or ESCAPE_KEY; 0 ends a table */
    const char *name, *help;
    void (*fn)(void *ctx); /* NULL: the key itself goes to the guest */
};

struct escape {
    const struct escape_row *rows;
    void *ctx;
    bool pending; /* Ctrl-A was the last key */
};

/* Leaves in p what the guest is to get of the n bytes typed; returns how
   many. */
size_t escape_filter(struct escape *x, uint8_t *p, size_t n);

/* A line for each key, n of them at most; returns how many. */
enum { ESCAPE_LINE = 80 };
unsigned escape_help(const struct escape *x, char (*line)[ESCAPE_LINE],
                     unsigned n);
/* The same as text for a terminal in raw mode. */
enum { ESCAPE_TEXT = 1024 };
void escape_help_text(const struct escape *x, char text[ESCAPE_TEXT]);

#endif
