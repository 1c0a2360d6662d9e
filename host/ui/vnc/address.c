#include "host/ui/vnc/address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
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

/* Splits text into an address without brackets and a port, each maybe "". */
static int split(const char *text, char host[64], const char **port)
{
    const char *end = text;

    if (text[0] == '[') {
        end = strchr(++text, ']');
        if (!end || (end[1] && end[1] != ':'))
            return -1;
        *port = end[1] ? end + 2 : "";
    } else {
        end = strrchr(text, ':');
        if (end && strchr(text, ':') != end)
            return -1; /* an IPv6 address wants brackets */
        *port = end ? end + 1 : "";
        end = end ? end : text + strlen(text);
    }
    if (end - text >= 64)
        return -1;
    memcpy(host, text, (size_t)(end - text));
    host[end - text] = 0;
    return 0;
}

static void set_port(struct sockaddr_storage *a, unsigned port)
{
    if (a->ss_family == AF_INET6)
        ((struct sockaddr_in6 *)a)->sin6_port = htons((uint16_t)port);
    else
        ((struct sockaddr_in *)a)->sin_port = htons((uint16_t)port);
}

int vnc_address(const char *text, struct vnc_address *out, struct err *e)
{
    struct sockaddr_in *v4 = (struct sockaddr_in *)&out->a;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&out->a;
    const char *port;
    char host[64], *end;
    unsigned long number;

    memset(out, 0, sizeof *out);
    if (split(text, host, &port))
        return bad(text, e);
    if (!host[0] || !strcmp(host, "localhost"))
        strcpy(host, "127.0.0.1");
    if (inet_pton(AF_INET, host, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        out->len = sizeof *v4;
        out->loopback = ntohl(v4->sin_addr.s_addr) >> 24 == 127;
    } else if (inet_pton(AF_INET6, host, &v6->sin6_addr) == 1) {
        v6->sin6_family = AF_INET6;
        out->len = sizeof *v6;
        out->loopback = IN6_IS_ADDR_LOOPBACK(&v6->sin6_addr);
    } else
        return bad(text, e);
    out->any_port = !port[0];
    if (out->any_port)
        return 0;
    number = strtoul(port, &end, 10);
    if (port[0] < '0' || port[0] > '9' || *end || !number || number > 65535)
        return bad(text, e);
    set_port(&out->a, (unsigned)number);
    return 0;
}

/* 0 or an errno. */
static int try_listen(const struct sockaddr_storage *a, socklen_t len, int *out)
{
    int fd =
        socket(a->ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int one = 1, error = 0;

    if (fd < 0)
        return errno;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(fd, (const struct sockaddr *)a, len) || listen(fd, 8))
        error = errno;
    if (error)
        close(fd);
    else
        *out = fd;
    return error;
}

static unsigned port_of(const struct sockaddr_storage *a)
{
    return ntohs(a->ss_family == AF_INET6
                     ? ((const struct sockaddr_in6 *)a)->sin6_port
                     : ((const struct sockaddr_in *)a)->sin_port);
}

int vnc_listen(const struct vnc_address *where, int *fd, unsigned *port,
               struct err *e)
{
    struct sockaddr_storage a = where->a;
    int error = EADDRINUSE;

    if (!where->any_port)
        error = try_listen(&a, where->len, fd);
    for (unsigned n = 0; where->any_port && n < VNC_PORTS; n++) {
        set_port(&a, VNC_PORT + n);
        error = try_listen(&a, where->len, fd);
        if (error != EADDRINUSE)
            break;
    }
    *port = port_of(&a);
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
