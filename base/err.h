/*
 * Errors a person can act on. Functions that can fail return 0 or -LE_*, and
 * where they take a struct err they fill it with one sentence: what failed,
 * which file or option, and the way out. Thread: any; an err belongs to its
 * caller.
 */
#ifndef BASE_ERR_H
#define BASE_ERR_H

#include "base/compiler.h"

enum {
    LE_USAGE = 1,   /* the request makes no sense as written */
    LE_NOENT,       /* a file or object is not there */
    LE_ACCESS,      /* the host refuses */
    LE_FORMAT,      /* bytes from outside are not what they claim to be */
    LE_RANGE,       /* outside what the object holds */
    LE_NOMEM,       /* the host has no memory left for this */
    LE_NOSPACE,     /* the host's disk is full */
    LE_IO,          /* the host could not read or write */
    LE_UNSUPPORTED, /* well-formed, but not something we do */
    LE_BUSY,        /* in use by another */
    LE_STATE,       /* not possible at this point of its life */
};

struct err {
    int code; /* -LE_*, or 0 */
    char text[512];
};

/* Fills e (which may be NULL) and returns -code. */
int err_set(struct err *e, int code, const char *format, ...) PRINTF(3, 4);

/* Puts "prefix: " before the sentence in e; returns e's code. */
int err_prefix(struct err *e, const char *format, ...) PRINTF(2, 3);

#endif
