/* Asking a running VM: one request at a time, waiting for the answer. */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "host/control/control.h"
#include "host/posix/unixsock.h"
#include "lodge/host.h"

/* What a VM may answer at most, and how long it may take to greet. */
enum { ANSWER_MAX = 64 << 20, GREETING_MS = 10000 };

struct control_client {
    int fd, pid;
    char name[CONTROL_NAME_MAX + 1];
    json_t *greeting;
    char *in;
    size_t len, room;
    int came; /* a descriptor that came along, or -1 */
};

static int gone(const struct control_client *c, struct err *e)
{
    return err_set(e, LE_IO, "%s: the VM ended before it answered", c->name);
}

static int make_room(struct control_client *c, struct err *e)
{
    size_t room = c->room ? c->room * 2 : 65536;
    char *in = room <= ANSWER_MAX ? realloc(c->in, room) : NULL;

    if (!in)
        return err_set(e, LE_RANGE, "%s: the answer is too long", c->name);
    c->in = in;
    c->room = room;
    return 0;
}

static void take_descriptor(struct control_client *c, struct msghdr *m)
{
    for (struct cmsghdr *h = CMSG_FIRSTHDR(m); h; h = CMSG_NXTHDR(m, h)) {
        int fd;

        if (h->cmsg_level != SOL_SOCKET || h->cmsg_type != SCM_RIGHTS ||
            h->cmsg_len != CMSG_LEN(sizeof fd))
            continue;
        memcpy(&fd, CMSG_DATA(h), sizeof fd);
        if (c->came >= 0)
            close(c->came);
        c->came = fd;
    }
}

/* Some more bytes. 0, or an error. */
static int read_more(struct control_client *c, struct err *e)
{
    union {
        struct cmsghdr align;
        char buf[CMSG_SPACE(sizeof(int))];
    } control;
    struct msghdr m = {.msg_iovlen = 1,
                       .msg_control = control.buf,
                       .msg_controllen = sizeof control.buf};
    struct iovec v;
    ssize_t n;

    if (c->len == c->room && make_room(c, e))
        return e->code;
    v = (struct iovec){c->in + c->len, c->room - c->len};
    m.msg_iov = &v;
    n = recvmsg(c->fd, &m, MSG_CMSG_CLOEXEC);
    if (n < 0 && errno == EINTR)
        return 0;
    if (n <= 0)
        return gone(c, e);
    take_descriptor(c, &m);
    c->len += (size_t)n;
    return 0;
}

static int wait_readable(struct control_client *c, uint64_t deadline,
                         struct err *e)
{
    uint64_t now = host_now();
    struct pollfd p = {.fd = c->fd, .events = POLLIN};
    int ms = -1, n;

    if (deadline != UINT64_MAX)
        ms = deadline > now ? (int)((deadline - now) / 1000000 + 1) : 0;
    n = poll(&p, 1, ms);
    if (n == 0)
        return err_set(e, LE_BUSY, "%s: the VM does not answer", c->name);
    return n < 0 && errno != EINTR
               ? err_set(e, LE_IO, "%s: %s", c->name, strerror(errno))
               : 0;
}

/* The next line as JSON. */
static int read_message(struct control_client *c, int timeout, json_t **out,
                        struct err *e)
{
    uint64_t deadline =
        timeout < 0 ? UINT64_MAX : host_now() + (uint64_t)timeout * 1000000;
    char *end = NULL;
    size_t n, looked = 0;

    while (!end) {
        if (c->len > looked)
            end = memchr(c->in + looked, '\n', c->len - looked);
        looked = c->len;
        if (!end && (wait_readable(c, deadline, e) || read_more(c, e)))
            return e->code;
    }
    n = (size_t)(end - c->in);
    *out = json_loadb(c->in, n, 0, NULL);
    c->len -= n + 1;
    memmove(c->in, end + 1, c->len);
    if (!*out)
        return err_set(e, LE_FORMAT, "%s: what answers is no VM of Lodge's",
                       c->name);
    return 0;
}

static int hear_greeting(struct control_client *c, struct err *e)
{
    int rc = read_message(c, GREETING_MS, &c->greeting, e), protocol;

    if (rc)
        return rc;
    if (json_unpack(c->greeting, "{s:i}", "protocol", &protocol))
        return err_set(e, LE_FORMAT, "%s: what answers is no VM of Lodge's",
                       c->name);
    if (protocol != CONTROL_PROTOCOL)
        return err_set(e, LE_UNSUPPORTED,
                       "%s: it runs under another version of Lodge, which "
                       "speaks protocol %d and not %d",
                       c->name, protocol, CONTROL_PROTOCOL);
    return 0;
}

static int connect_to(struct control_client *c, struct err *e)
{
    char folder[sizeof((struct sockaddr_un *)0)->sun_path];
    char path[sizeof folder + CONTROL_NAME_MAX + 2];
    struct ucred who;
    socklen_t n = sizeof who;
    int rc = control_folder(folder, sizeof folder, false, e);

    if (!rc) {
        snprintf(path, sizeof path, "%s/%s", folder, c->name);
        rc = unix_connect(path, path, &c->fd, e);
    }
    if (rc == -LE_NOENT)
        return err_set(e, LE_NOENT,
                       "no VM named %s is running; 'lodge ls' lists those that "
                       "are",
                       c->name);
    if (rc)
        return rc;
    c->pid =
        getsockopt(c->fd, SOL_SOCKET, SO_PEERCRED, &who, &n) ? -1 : who.pid;
    return hear_greeting(c, e);
}

int control_connect(const char *name, struct control_client **out,
                    struct err *e)
{
    struct control_client *c;
    int rc = control_check_name(name, e);

    if (rc)
        return rc;
    c = host_alloc(sizeof *c);
    if (!c)
        return err_set(e, LE_NOMEM, "the host has no memory left");
    c->fd = c->came = c->pid = -1;
    snprintf(c->name, sizeof c->name, "%s", name);
    rc = connect_to(c, e);
    if (rc) {
        control_disconnect(c);
        return rc;
    }
    *out = c;
    return 0;
}

const json_t *control_greeting(const struct control_client *c)
{
    return c->greeting;
}

int control_pid(const struct control_client *c)
{
    return c->pid;
}

static int send_all(struct control_client *c, const char *p, size_t n,
                    struct err *e)
{
    while (n) {
        ssize_t done = send(c->fd, p, n, MSG_NOSIGNAL);

        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0)
            return gone(c, e);
        p += done;
        n -= (size_t)done;
    }
    return 0;
}

static int send_request(struct control_client *c, const char *command,
                        json_t *args, struct err *e)
{
    json_t *request =
        json_pack("{s:s, s:o*}", "command", command, "args", args);
    char *text = request ? json_dumps(request, JSON_COMPACT) : NULL;
    size_t n = text ? strlen(text) : 0;
    int rc;

    json_decref(request);
    if (!text)
        rc = err_set(e, LE_USAGE, "%s: this is no UTF-8 text", command);
    else if (n >= CONTROL_REQUEST_MAX)
        rc = err_set(e, LE_RANGE,
                     "%s: this is too much at once; a request has at most 64 "
                     "KB",
                     command);
    else {
        text[n] = '\n'; /* in place of the NUL */
        rc = send_all(c, text, n + 1, e);
    }
    free(text);
    return rc;
}

/* LE_* for the word in an answer. */
static int code_of(const char *word)
{
    for (int code = LE_USAGE; code <= LE_STATE; code++)
        if (!strcmp(control_code_word(code), word))
            return code;
    return LE_IO;
}

int control_ask(struct control_client *c, const char *command, json_t *args,
                int timeout, json_t **result, int *fd, struct err *e)
{
    const char *word = "io", *text = "it could not be done";
    json_t *answer, *r = NULL;
    int ok = 0, rc = send_request(c, command, args, e);

    if (!rc)
        rc = read_message(c, timeout, &answer, e);
    if (rc)
        return rc;
    if (json_unpack(answer, "{s:b, s?o, s?s, s?s}", "ok", &ok, "result", &r,
                    "code", &word, "error", &text) ||
        (ok && !r))
        rc = err_set(e, LE_FORMAT, "%s: what answers is no VM of Lodge's",
                     c->name);
    else if (!ok)
        rc = err_set(e, code_of(word), "%s: %s", c->name, text);
    if (!rc && result)
        *result = json_incref(r);
    json_decref(answer);
    if (fd) {
        *fd = c->came;
        c->came = -1;
    }
    return rc;
}

int control_wait_gone(struct control_client *c, int timeout, struct err *e)
{
    uint64_t deadline =
        timeout < 0 ? UINT64_MAX : host_now() + (uint64_t)timeout * 1000000;
    char buf[256];

    for (;;) {
        ssize_t n;

        if (wait_readable(c, deadline, e))
            return err_set(e, LE_BUSY, "%s: the VM is still running", c->name);
        n = recv(c->fd, buf, sizeof buf, 0);
        if (n == 0 || (n < 0 && errno != EINTR))
            return 0;
    }
}

void control_disconnect(struct control_client *c)
{
    if (!c)
        return;
    if (c->fd >= 0)
        close(c->fd);
    if (c->came >= 0)
        close(c->came);
    json_decref(c->greeting);
    free(c->in);
    host_free(c);
}
