/*
 * What was written to a file that is only read: a sparse file without a name,
 * and a bit for each 512 bytes that says where they are now. The bits take a
 * 4096th of the file's size, and only where something was written.
 *
 * Threads: any, without a lock; requests that overlap are as unordered as the
 * block contract leaves them.
 */
#ifndef HOST_POSIX_OVERLAY_H
#define HOST_POSIX_OVERLAY_H

#include "base/err.h"

struct overlay;

/* base: the file below, borrowed. size: bytes that can be written. */
struct overlay *overlay_create(int base, uint64_t size, struct err *e);
void overlay_destroy(struct overlay *o);

/* 0 or an errno. All of it, zeros past the base's end; -> ENOSPC past size. */
int overlay_read(struct overlay *o, uint64_t off, void *buf, size_t n);
int overlay_write(struct overlay *o, uint64_t off, const void *buf, size_t n);
int overlay_zero(struct overlay *o, uint64_t off, uint64_t n);

#endif
