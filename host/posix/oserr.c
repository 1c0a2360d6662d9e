#include "host/posix/oserr.h"

#include <errno.h>
#include <string.h>

int le_of_errno(int error)
{
    switch (error) {
    case ENOENT:
    case ENOTDIR:
    case ENXIO:
    case ENODEV: return LE_NOENT;
    case EACCES:
    case EPERM:
    case EROFS: return LE_ACCESS;
    case ENOMEM:
    case EMFILE:
    case ENFILE: return LE_NOMEM;
    case ENOSPC:
    case EDQUOT:
    case EFBIG: return LE_NOSPACE;
    case EBUSY:
    case EADDRINUSE:
    case ETXTBSY: return LE_BUSY;
    case EINVAL:
    case ENAMETOOLONG:
    case EISDIR:
    case ELOOP: return LE_USAGE;
    case EOPNOTSUPP:
    case ENOSYS: return LE_UNSUPPORTED;
    default: return LE_IO;
    }
}

/* What is worth saying better than strerror does. */
static const char *sentence(int error)
{
    switch (error) {
    case ENOENT: return "there is no such file";
    case EACCES: return "this user has no permission to open it";
    case EISDIR: return "it is a directory, not a file";
    case ENOSPC: return "the host's disk is full";
    case EROFS: return "it is on a read-only file system (open it with ro)";
    default: return strerror(error);
    }
}

int err_errno(struct err *e, int error, const char *what)
{
    return err_set(e, le_of_errno(error), "%s: %s", what, sentence(error));
}
