#include "host/posix/unixsock.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "host/posix/oserr.h"

static int fill_address(struct sockaddr_un *a, const char *path,
                        const char *what, struct err *e)
{
    memset(a, 0, sizeof *a);
    if (strlen(path) >= sizeof a->sun_path)
        return err_set(e, LE_USAGE, "%s: a socket's path has at most %zu bytes",
                       what, sizeof a->sun_path - 1);
    a->sun_family = AF_UNIX;
    memcpy(a->sun_path, path, strlen(path));
    return 0;
}

/* 0, or the errno of what went wrong. */
static int try_connect(const struct sockaddr_un *a, int flags, int *out)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | flags, 0), error;

    if (fd < 0)
        return errno;
    if (connect(fd, (const struct sockaddr *)a, sizeof *a)) {
        error = errno;
        close(fd);
        return error;
    }
    *out = fd;
    return 0;
}

/* Is there a socket in the way that nobody listens on any more? */
static bool is_stale(const struct sockaddr_un *a)
{
    struct stat st;
    int fd, error;

    if (lstat(a->sun_path, &st) || !S_ISSOCK(st.st_mode))
        return false;
    error = try_connect(a, SOCK_NONBLOCK, &fd);
    if (!error)
        close(fd);
    return error == ECONNREFUSED;
}

/* 0 or an errno. */
static int bind_path(int fd, const struct sockaddr_un *path)
{
    const struct sockaddr *a = (const struct sockaddr *)path;

    if (bind(fd, a, sizeof *path) == 0)
        return 0;
    if (errno != EADDRINUSE)
        return errno;
    if (!is_stale(path))
        return EADDRINUSE;
    unlink(path->sun_path);
    return bind(fd, a, sizeof *path) ? errno : 0;
}

int unix_listen(const char *path, const char *what, int *out, struct err *e)
{
    struct sockaddr_un a;
    int rc = fill_address(&a, path, what, e), fd, error;

    if (rc)
        return rc;
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return err_errno(e, errno, what);
    fchmod(fd, 0600); /* the mode that bind gives the path */
    error = bind_path(fd, &a);
    if (!error && listen(fd, 64)) {
        error = errno;
        unlink(path);
    }
    if (!error) {
        *out = fd;
        return 0;
    }
    close(fd);
    if (error == EADDRINUSE)
        return err_set(e, LE_BUSY, "%s: something else is there already", what);
    return err_errno(e, error, what);
}

int unix_connect(const char *path, const char *what, int *out, struct err *e)
{
    struct sockaddr_un a;
    int rc = fill_address(&a, path, what, e), error;

    if (rc)
        return rc;
    error = try_connect(&a, 0, out);
    if (error == ECONNREFUSED)
        error = ENOENT;
    return error ? err_errno(e, error, what) : 0;
}
