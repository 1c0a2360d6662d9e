#include "host/posix/address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { HOST_MAX = 64 };

/* Splits text into an address without brackets and a port, each maybe "". */
static bool split(const char *text, char host[HOST_MAX], const char **port)
{
    const char *end = text;

    if (text[0] == '[') {
        end = strchr(++text, ']');
        if (!end || (end[1] && end[1] != ':'))
            return false;
        *port = end[1] ? end + 2 : "";
    } else {
        end = strrchr(text, ':');
        if (end && strchr(text, ':') != end)
            return false; /* an IPv6 address wants brackets */
        *port = end ? end + 1 : "";
        end = end ? end : text + strlen(text);
    }
    if (end - text >= HOST_MAX)
        return false;
    memcpy(host, text, (size_t)(end - text));
    host[end - text] = 0;
    return true;
}

unsigned address_port(const struct address *a)
{
    return ntohs(a->a.ss_family == AF_INET6
                     ? ((const struct sockaddr_in6 *)&a->a)->sin6_port
                     : ((const struct sockaddr_in *)&a->a)->sin_port);
}

void address_set_port(struct address *a, unsigned port)
{
    if (a->a.ss_family == AF_INET6)
        ((struct sockaddr_in6 *)&a->a)->sin6_port = htons((uint16_t)port);
    else
        ((struct sockaddr_in *)&a->a)->sin_port = htons((uint16_t)port);
}

static bool parse_host(const char *host, struct address *out)
{
    struct sockaddr_in *v4 = (struct sockaddr_in *)&out->a;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&out->a;

    if (inet_pton(AF_INET, host, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        out->len = sizeof *v4;
        out->loopback = ntohl(v4->sin_addr.s_addr) >> 24 == 127;
        return true;
    }
    if (inet_pton(AF_INET6, host, &v6->sin6_addr) != 1)
        return false;
    v6->sin6_family = AF_INET6;
    out->len = sizeof *v6;
    out->loopback = IN6_IS_ADDR_LOOPBACK(&v6->sin6_addr);
    return true;
}

bool address_parse(const char *text, struct address *out)
{
    char host[HOST_MAX], *end;
    const char *port;
    unsigned long number;

    memset(out, 0, sizeof *out);
    if (!split(text, host, &port))
        return false;
    if (!host[0] || !strcmp(host, "localhost"))
        strcpy(host, "127.0.0.1");
    if (!parse_host(host, out))
        return false;
    out->has_port = port[0];
    if (!out->has_port)
        return true;
    number = strtoul(port, &end, 10);
    if (port[0] < '0' || port[0] > '9' || *end || number > 65535)
        return false;
    address_set_port(out, (unsigned)number);
    return true;
}

int address_listen(struct address *a, int *out)
{
    int fd =
        socket(a->a.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int one = 1, error = 0;

    if (fd < 0)
        return errno;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(fd, (const struct sockaddr *)&a->a, a->len) || listen(fd, 8) ||
        getsockname(fd, (struct sockaddr *)&a->a, &a->len))
        error = errno;
    if (error)
        close(fd);
    else
        *out = fd;
    return error;
}
