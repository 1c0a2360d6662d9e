/*
 * Pieces of memory, and runs of them: the data of a disk request, a network
 * frame, a virtio buffer. Whoever makes a span says how long it is valid.
 */
#ifndef BASE_SPAN_H
#define BASE_SPAN_H

#include "base/compiler.h"

struct span {
    uint8_t *p;
    size_t n;
};

/* Copy between a run of spans, from byte `skip` of it, and p; return how many
   of n bytes there were. */
size_t spans_read(const struct span *s, unsigned count, uint64_t skip, void *p,
                  size_t n);
size_t spans_write(const struct span *s, unsigned count, uint64_t skip,
                   const void *p, size_t n);

/* The spans of bytes skip to skip + n of s, or of as many as there are; `to`
   has room for count. Returns how many spans. */
unsigned spans_slice(const struct span *s, unsigned count, uint64_t skip,
                     uint64_t n, struct span *to);

#endif
