/*
 * Libraries that only some VMs need, and that cost every start time and memory
 * when they are linked: they are loaded when they are first wanted, and stay.
 * Any thread.
 *
 *   #define X_LIBRARY(X) X(x_new) X(x_free)
 *   struct x_library { X_LIBRARY(LIBRARY_MEMBER) };
 *   static const struct library_row x_rows[] = {
 *       LIBRARY_ROW(x_library, x_new), … {0}};
 */
#ifndef HOST_POSIX_LIBRARY_H
#define HOST_POSIX_LIBRARY_H

#include "base/err.h"

struct library_row {
    const char *symbol; /* NULL ends a table */
    size_t at;          /* of the pointer to it, in the struct to fill */
};

/* A function or variable of the library's headers: a pointer to it. */
#define LIBRARY_MEMBER(name) __typeof__(name) *name;
#define LIBRARY_ROW(type, name)                                                \
    {                                                                          \
#name, offsetof(struct type, name)                                     \
    }

/* 0, or -LE_UNSUPPORTED with a sentence that names the package. */
int library_load(const char *file, const char *package,
                 const struct library_row *rows, void *to, struct err *e);

#endif
