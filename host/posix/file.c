/* Whole files: firmware, kernel, initrd. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host/posix/oserr.h"
#include "lodge/host.h"

/* "12 MB", "700 KB", "3 bytes": enough to see what is wrong. */
static void size_text(uint64_t n, char *to, size_t len)
{
    static const char *const units[] = {"bytes", "KB", "MB", "GB", "TB"};
    unsigned u = 0;

    while (n >= 10240 && u + 1 < ARRAY_LEN(units)) {
        n /= 1024;
        u++;
    }
    snprintf(to, len, "%llu %s", (unsigned long long)n, units[u]);
}

static int check_file(const char *path, const struct stat *st, uint64_t limit,
                      struct err *e)
{
    char has[32], most[32];

    if (S_ISDIR(st->st_mode))
        return err_errno(e, EISDIR, path);
    if (!S_ISREG(st->st_mode))
        return err_set(e, LE_USAGE, "%s: it is not a regular file", path);
    if (!st->st_size)
        return err_set(e, LE_FORMAT, "%s: the file is empty", path);
    if ((uint64_t)st->st_size > limit) {
        size_text((uint64_t)st->st_size, has, sizeof has);
        size_text(limit, most, sizeof most);
        return err_set(e, LE_RANGE,
                       "%s: the file has %s, which is more than the %s that "
                       "can be loaded here",
                       path, has, most);
    }
    return 0;
}

static int read_all(int fd, const char *path, uint8_t *to, size_t n,
                    struct err *e)
{
    for (size_t at = 0; at < n;) {
        ssize_t got = read(fd, to + at, MIN(n - at, (size_t)1 << 30));

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return err_errno(e, errno, path);
        if (got == 0)
            return err_set(e, LE_IO, "%s: the file shrank while it was read",
                           path);
        at += (size_t)got;
    }
    return 0;
}

/* Read-only, so that the pages are the file's. */
static int map_all(int fd, const char *path, void **data, size_t n,
                   struct err *e)
{
    void *p = mmap(NULL, n, PROT_READ, MAP_PRIVATE, fd, 0);

    if (p == MAP_FAILED)
        return err_errno(e, errno, path);
    *data = p;
    return 0;
}

static int read_copy(int fd, const char *path, void **data, size_t n,
                     struct err *e)
{
    void *p = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
                   -1, 0);
    int rc;

    if (p == MAP_FAILED)
        return err_set(e, LE_NOMEM, "%s: the host has no memory left for it",
                       path);
    rc = read_all(fd, path, p, n, e);
    if (rc)
        munmap(p, n);
    else
        *data = p;
    return rc;
}

static int open_whole(const char *path, uint64_t limit, bool map, void **data,
                      size_t *n, struct err *e)
{
    /* Not to wait for the writer of a FIFO, which is refused anyway. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY), rc;
    struct stat st;

    *data = NULL;
    *n = 0;
    if (fd < 0)
        return err_errno(e, errno, path);
    rc = fstat(fd, &st) ? err_errno(e, errno, path)
                        : check_file(path, &st, limit, e);
    if (!rc)
        rc = (map ? map_all : read_copy)(fd, path, data, (size_t)st.st_size, e);
    if (!rc)
        *n = (size_t)st.st_size;
    close(fd);
    return rc;
}

int host_file_read(const char *path, uint64_t limit, void **data, size_t *n,
                   struct err *e)
{
    return open_whole(path, limit, false, data, n, e);
}

int host_file_map(const char *path, uint64_t limit, const void **data,
                  size_t *n, struct err *e)
{
    void *p;
    int rc = open_whole(path, limit, true, &p, n, e);

    *data = p;
    return rc;
}

void host_file_idle(const void *data, size_t n)
{
    if (data)
        madvise((void *)(uintptr_t)data, n, MADV_DONTNEED);
}

/* Not host_ram_free(), which takes whole huge pages. */
void host_file_free(void *data, size_t n)
{
    if (data)
        munmap(data, n);
}
