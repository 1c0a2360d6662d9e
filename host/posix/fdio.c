#include "host/posix/fdio.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

int fd_read(int fd, uint64_t off, void *buf, size_t n)
{
    uint8_t *p = buf;

    while (n) {
        ssize_t got = pread(fd, p, MIN(n, (size_t)1 << 30), (off_t)off);

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return errno;
        if (got == 0) {
            memset(p, 0, n);
            return 0;
        }
        p += got;
        off += (uint64_t)got;
        n -= (size_t)got;
    }
    return 0;
}

int fd_write(int fd, uint64_t off, const void *buf, size_t n)
{
    const uint8_t *p = buf;

    while (n) {
        ssize_t put = pwrite(fd, p, MIN(n, (size_t)1 << 30), (off_t)off);

        if (put < 0 && errno == EINTR)
            continue;
        if (put <= 0)
            return put ? errno : EIO;
        p += put;
        off += (uint64_t)put;
        n -= (size_t)put;
    }
    return 0;
}

static int allocate(int fd, int mode, uint64_t off, uint64_t n)
{
    int rc;

    do
        rc = fallocate(fd, mode, (off_t)off, (off_t)n);
    while (rc && errno == EINTR);
    return rc ? errno : 0;
}

/* What says that a way is closed, not that the work failed. */
static bool not_offered(int error)
{
    return error == EOPNOTSUPP || error == ENOSYS || error == EINVAL ||
           error == ENODEV;
}

static int write_zeros(int fd, uint64_t off, uint64_t n)
{
    static const uint8_t zeros[65536];
    int error = 0;

    while (n && !error) {
        size_t piece = (size_t)MIN(n, sizeof zeros);

        error = fd_write(fd, off, zeros, piece);
        off += piece;
        n -= piece;
    }
    return error;
}

int fd_zero(int fd, uint64_t off, uint64_t n)
{
    int error;

    if (!n)
        return 0;
    error = allocate(fd, FALLOC_FL_ZERO_RANGE, off, n);
    if (not_offered(error)) /* a hole is zeros too */
        error =
            allocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, off, n);
    if (not_offered(error))
        error = write_zeros(fd, off, n);
    return error;
}

int fd_discard(int fd, uint64_t off, uint64_t n)
{
    int error;

    if (!n)
        return 0;
    error = allocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, off, n);
    return not_offered(error) ? EOPNOTSUPP : error;
}
