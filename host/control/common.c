/* What both ends know: names, the folder of the sockets, words for errors. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host/control/control.h"

int control_check_name(const char *name, struct err *e)
{
    static const char first[] = "abcdefghijklmnopqrstuvwxyz"
                                "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_";
    static const char more[] = "abcdefghijklmnopqrstuvwxyz"
                               "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-";
    size_t n = strlen(name);

    if (n && n <= CONTROL_NAME_MAX && strchr(first, name[0]) &&
        strspn(name, more) == n)
        return 0;
    return err_set(e, LE_USAGE,
                   "'%.80s' is no name for a VM: use letters, digits, '.', '_' "
                   "and '-', at most %d, and a letter or digit first",
                   name, CONTROL_NAME_MAX);
}

/* A folder that is ours and that nobody else can put anything into. */
static bool is_private(const char *path, mode_t not )
{
    struct stat st;

    return !lstat(path, &st) && S_ISDIR(st.st_mode) && st.st_uid == geteuid() &&
           !(st.st_mode & not );
}

/* The folder that the system gives a user for such things, if any. */
static bool runtime_folder(char *path, size_t n)
{
    const char *given = getenv("XDG_RUNTIME_DIR");

    if (given && given[0] == '/') {
        snprintf(path, n, "%s", given);
        return strlen(given) < n && is_private(path, 0022);
    }
    snprintf(path, n, "/run/user/%u", (unsigned)geteuid());
    return is_private(path, 0022);
}

int control_folder(char *path, size_t n, bool make, struct err *e)
{
    char base[100];

    if (runtime_folder(base, sizeof base))
        snprintf(path, n, "%s/lodge", base);
    else
        snprintf(path, n, "/tmp/lodge-%u", (unsigned)geteuid());
    if (make && mkdir(path, 0700) && errno != EEXIST)
        return err_set(e, LE_ACCESS,
                       "the folder %s for control sockets cannot be made: %s",
                       path, strerror(errno));
    if (access(path, F_OK) && errno == ENOENT)
        return err_set(e, LE_NOENT, "no VM is running");
    if (!is_private(path, 0077))
        return err_set(e, LE_ACCESS,
                       "%s should be a folder of this user's with mode 0700; "
                       "remove it, or set XDG_RUNTIME_DIR to another place",
                       path);
    return 0;
}

const char *control_code_word(int code)
{
    static const char *const words[] = {
        [LE_USAGE] = "usage",   [LE_NOENT] = "missing",
        [LE_ACCESS] = "access", [LE_FORMAT] = "format",
        [LE_RANGE] = "range",   [LE_NOMEM] = "memory",
        [LE_NOSPACE] = "space", [LE_IO] = "io",
        [LE_BUSY] = "busy",     [LE_UNSUPPORTED] = "unsupported",
        [LE_STATE] = "state",
    };

    return code > 0 && code <= LE_STATE ? words[code] : "io";
}
