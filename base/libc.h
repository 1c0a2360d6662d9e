/*
 * The few C library functions the core may use. A hosted build takes them
 * from the C library, a bare-metal one brings its own; the core is compiled
 * with -nostdinc, so they are declared here rather than included.
 */
#ifndef BASE_LIBC_H
#define BASE_LIBC_H

#include <stdarg.h>
#include <stddef.h>

void *memcpy(void *restrict to, const void *restrict from, size_t n);
void *memmove(void *to, const void *from, size_t n);
void *memset(void *to, int byte, size_t n);
void *memchr(const void *s, int byte, size_t n);
int memcmp(const void *a, const void *b, size_t n);
size_t strlen(const char *s);
int strcmp(const char *a, const char *b);
int strncmp(const char *a, const char *b, size_t n);
char *strchr(const char *s, int c);
int snprintf(char *restrict to, size_t n, const char *restrict format, ...)
    __attribute__((format(printf, 3, 4)));
int vsnprintf(char *restrict to, size_t n, const char *restrict format,
              va_list args);

#endif
