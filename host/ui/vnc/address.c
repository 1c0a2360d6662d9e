#include "host/ui/vnc/address.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host/posix/oserr.h"

static int bad(const char *text, struct err *e)
{
    return err_set(e, LE_USAGE,
                   "vnc:%.60s is no address: write vnc:ADDR:PORT with numbers, "
                   "like vnc:127.0.0.1:5901 or vnc:[::1]:5901",
                   text);
}

int vnc_address(const char *text, struct vnc_address *out, struct err *e)
{
    if (!address_parse(text, &out->at) ||
        (out->at.has_port && !address_port(&out->at)))
        return bad(text, e);
    out->any_port = !out->at.has_port;
    return 0;
}

int vnc_listen(const struct vnc_address *where, int *fd, unsigned *port,
               struct err *e)
{
    struct address a = where->at;
    int error = EADDRINUSE;

    if (!where->any_port)
        error = address_listen(&a, fd);
    for (unsigned n = 0; where->any_port && n < VNC_PORTS; n++) {
        address_set_port(&a, VNC_PORT + n);
        error = address_listen(&a, fd);
        if (error != EADDRINUSE)
            break;
    }
    *port = address_port(&a);
    if (error)
        return err_set(e, le_of_errno(error),
                       "vnc: port %u of that address cannot be had: %s; choose "
                       "another with vnc:ADDR:PORT",
                       *port, strerror(error));
    return 0;
}

int vnc_password(const char *path, char to[VNC_PASSWORD_MAX + 1], struct err *e)
{
    char line[64];
    struct stat st;
    ssize_t n;
    size_t len;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

    if (fd < 0)
        return err_errno(e, errno, path);
    n = read(fd, line, sizeof line - 1);
    if (fstat(fd, &st) || n < 0)
        n = -1;
    close(fd);
    if (n < 0)
        return err_set(e, LE_IO, "%s: it cannot be read", path);
    if (st.st_mode & 077)
        return err_set(e, LE_ACCESS,
                       "%s: others can read this password; chmod 600 it", path);
    line[n] = 0;
    len = strcspn(line, "\r\n");
    if (!len || len > VNC_PASSWORD_MAX)
        return err_set(e, LE_USAGE,
                       "%s: a VNC password has 1 to %d characters, in the "
                       "file's first line",
                       path, VNC_PASSWORD_MAX);
    memcpy(to, line, len);
    to[len] = 0;
    return 0;
}
