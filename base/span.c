#include "base/span.h"

#include "base/libc.h"

/* Walks n bytes from `skip` on; to or from is NULL. */
static size_t spans_copy(const struct span *s, unsigned count, uint64_t skip,
                         uint8_t *to, const uint8_t *from, size_t n)
{
    size_t done = 0;

    for (unsigned i = 0; i < count && done < n; i++) {
        if (skip >= s[i].n) {
            skip -= s[i].n;
            continue;
        }
        size_t part = MIN(s[i].n - (size_t)skip, n - done);
        if (to)
            memcpy(to + done, s[i].p + skip, part);
        else
            memcpy(s[i].p + skip, from + done, part);
        done += part;
        skip = 0;
    }
    return done;
}

size_t spans_read(const struct span *s, unsigned count, uint64_t skip, void *p,
                  size_t n)
{
    return spans_copy(s, count, skip, p, NULL, n);
}

size_t spans_write(const struct span *s, unsigned count, uint64_t skip,
                   const void *p, size_t n)
{
    return spans_copy(s, count, skip, NULL, p, n);
}

unsigned spans_slice(const struct span *s, unsigned count, uint64_t skip,
                     uint64_t n, struct span *to)
{
    unsigned made = 0;

    for (unsigned i = 0; i < count && n; i++) {
        if (skip >= s[i].n) {
            skip -= s[i].n;
            continue;
        }
        size_t part = (size_t)MIN(s[i].n - skip, n);
        to[made++] = (struct span){s[i].p + skip, part};
        n -= part;
        skip = 0;
    }
    return made;
}
