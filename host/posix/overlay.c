#include "host/posix/overlay.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/bits.h"
#include "base/checked.h"
#include "host/posix/fdio.h"
#include "host/posix/oserr.h"
#include "lodge/host.h"

enum { SECTOR = 512, WORD_BITS = 64 };

struct overlay {
    int base, fd;
    uint64_t size;
    _Atomic uint64_t *written; /* a bit a sector */
    size_t map_bytes;
    struct host_mutex partial; /* writes of less than a sector */
};

/* --- the bits --- */

/* Sets n bits from first on; what they stand for is in place already. */
static void mark(struct overlay *o, uint64_t first, uint64_t n)
{
    while (n) {
        unsigned at = first % WORD_BITS;
        unsigned len = (unsigned)MIN(n, (uint64_t)(WORD_BITS - at));

        atomic_fetch_or_explicit(&o->written[first / WORD_BITS],
                                 mask_low(len) << at, memory_order_release);
        first += len;
        n -= len;
    }
}

/* How many sectors from first on, at most n, are alike; *here: written. */
static uint64_t alike(struct overlay *o, uint64_t first, uint64_t n, bool *here)
{
    uint64_t done = 0;

    while (done < n) {
        uint64_t s = first + done;
        uint64_t word = atomic_load_explicit(&o->written[s / WORD_BITS],
                                             memory_order_acquire);
        unsigned at = s % WORD_BITS;
        unsigned len = (unsigned)MIN(n - done, (uint64_t)(WORD_BITS - at));
        uint64_t other;

        if (!done)
            *here = word >> at & 1;
        other = (*here ? ~word : word) >> at & mask_low(len);
        if (other)
            return done + (unsigned)__builtin_ctzll(other);
        done += len;
    }
    return n;
}

/* --- access --- */

int overlay_read(struct overlay *o, uint64_t off, void *buf, size_t n)
{
    uint8_t *p = buf;
    int error = 0;

    if (!range_ok(off, n, o->size)) {
        size_t inside = off < o->size ? (size_t)(o->size - off) : 0;

        memset(p + inside, 0, n - inside);
        n = inside;
    }
    while (n && !error) {
        uint64_t first = off / SECTOR, end = align_up(off + n, SECTOR);
        bool here = false;
        uint64_t run = alike(o, first, end / SECTOR - first, &here);
        size_t len = (size_t)MIN(n, (first + run) * SECTOR - off);

        error = fd_read(here ? o->fd : o->base, off, p, len);
        p += len;
        off += len;
        n -= len;
    }
    return error;
}

/* Part of one sector: the rest of it has to come along. */
static int write_partial(struct overlay *o, uint64_t off, const void *buf,
                         size_t n)
{
    uint64_t start = align_down(off, SECTOR);
    uint8_t sector[SECTOR];
    int error;

    host_mutex_lock(&o->partial);
    error = overlay_read(o, start, sector, SECTOR);
    if (!error) {
        memcpy(sector + (off - start), buf, n);
        error = fd_write(o->fd, start, sector, SECTOR);
    }
    if (!error)
        mark(o, start / SECTOR, 1);
    host_mutex_unlock(&o->partial);
    return error;
}

int overlay_write(struct overlay *o, uint64_t off, const void *buf, size_t n)
{
    const uint8_t *p = buf;
    int error = range_ok(off, n, o->size) ? 0 : ENOSPC;

    while (n && !error) {
        size_t at = off % SECTOR, len;

        if (at || n < SECTOR) {
            len = MIN(n, SECTOR - at);
            error = write_partial(o, off, p, len);
        } else {
            len = n - n % SECTOR;
            error = fd_write(o->fd, off, p, len);
            if (!error)
                mark(o, off / SECTOR, len / SECTOR);
        }
        p += len;
        off += len;
        n -= len;
    }
    return error;
}

/* The overlay is sparse: a hole in it is zeros at no cost. */
static int zero_sectors(struct overlay *o, uint64_t off, uint64_t n)
{
    int error = fd_discard(o->fd, off, n);

    if (error == EOPNOTSUPP)
        error = fd_zero(o->fd, off, n);
    if (!error)
        mark(o, off / SECTOR, n / SECTOR);
    return error;
}

int overlay_zero(struct overlay *o, uint64_t off, uint64_t n)
{
    static const uint8_t zeros[SECTOR];
    int error = range_ok(off, n, o->size) ? 0 : ENOSPC;

    while (n && !error) {
        uint64_t at = off % SECTOR, len;

        if (at || n < SECTOR) {
            len = MIN(n, SECTOR - at);
            error = write_partial(o, off, zeros, (size_t)len);
        } else {
            len = n - n % SECTOR;
            error = zero_sectors(o, off, len);
        }
        off += len;
        n -= len;
    }
    return error;
}

/* --- life --- */

/* A file without a name in dir, or -1. */
static int unnamed_file(const char *dir)
{
    char path[4096];
    int fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

    if (fd >= 0 ||
        snprintf(path, sizeof path, "%s/lodge.XXXXXX", dir) >= (int)sizeof path)
        return fd;
    fd = mkostemp(path, O_CLOEXEC);
    if (fd >= 0)
        unlink(path);
    return fd;
}

struct overlay *overlay_create(int base, uint64_t size, struct err *e)
{
    const char *dir = getenv("TMPDIR");
    struct overlay *o = host_alloc(sizeof *o);

    if (!dir || !*dir)
        dir = "/var/tmp";
    if (!o) {
        err_set(e, LE_NOMEM, "the host has no memory left for a disk");
        return NULL;
    }
    host_mutex_init(&o->partial);
    o->base = base;
    o->size = align_up(size, SECTOR);
    o->map_bytes = (size_t)(o->size / SECTOR / WORD_BITS + 1) * 8;
    o->written = host_ram_alloc(o->map_bytes);
    o->fd = unnamed_file(dir);
    if (o->written && o->fd >= 0)
        return o;
    if (o->fd < 0)
        err_set(e, le_of_errno(errno),
                "%s: no temporary file can be made there (TMPDIR names the "
                "place): %s",
                dir, strerror(errno));
    else
        err_set(e, LE_NOMEM, "the host has no memory left for a disk");
    overlay_destroy(o);
    return NULL;
}

void overlay_destroy(struct overlay *o)
{
    if (!o)
        return;
    if (o->fd >= 0)
        close(o->fd);
    host_ram_free((void *)o->written, o->map_bytes);
    host_mutex_destroy(&o->partial);
    host_free(o);
}
