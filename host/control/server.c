/*
 * Clients send requests, a line of JSON each, and get an answer to each before
 * their next one is looked at. A client has at most one request under way and
 * one answer unsent, so what it can make us keep is bounded.
 */
#include "host/control/server.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "host/posix/loop.h"
#include "host/posix/unixsock.h"

struct client {
    struct control_server *server;
    struct list link;
    struct watch watch;
    int fd;
    struct pending *pending; /* its request that is under way, or NULL */
    bool last;               /* to be closed after this answer */
    char in[CONTROL_REQUEST_MAX];
    size_t in_len;
    char *out; /* an answer, or what is left of it from out_at on */
    size_t out_len, out_at;
    int out_fd;
};

/* A request that a command has begun. */
struct pending {
    struct control_call call;
    struct control_server *server;
    struct client *client; /* NULL: it has gone */
    struct list link;
    struct work work;
    json_t *request, *id;
    int rc;
    struct err err;
};

struct control_server {
    const struct control_command *table;
    void *ctx;
    char name[CONTROL_NAME_MAX + 1];
    struct loop *loop;
    struct host_mutex *lock;
    struct list clients, pending;
    unsigned nclients;
    /* What control_open() adds. */
    struct host_mutex own_lock;
    int fd;
    struct watch incoming;
    char path[sizeof((struct sockaddr_un *)0)->sun_path];
};

/* --- clients --- */

static void client_close(struct client *c)
{
    watch_stop(&c->watch);
    close(c->fd);
    if (c->out_fd >= 0)
        close(c->out_fd);
    if (c->pending)
        c->pending->client = NULL;
    list_remove(&c->link);
    c->server->nclients--;
    free(c->out);
    host_free(c);
}

/* One message, with the descriptor that belongs to it. Bytes, or -1. */
static ssize_t send_some(struct client *c)
{
    struct iovec v = {c->out + c->out_at, c->out_len - c->out_at};
    union {
        struct cmsghdr align;
        char buf[CMSG_SPACE(sizeof(int))];
    } control = {0};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1};

    if (c->out_fd >= 0) {
        struct cmsghdr *h;

        m.msg_control = control.buf;
        m.msg_controllen = sizeof control.buf;
        h = CMSG_FIRSTHDR(&m);
        h->cmsg_level = SOL_SOCKET;
        h->cmsg_type = SCM_RIGHTS;
        h->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(h), &c->out_fd, sizeof(int));
    }
    return sendmsg(c->fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void forget_output(struct client *c)
{
    free(c->out);
    c->out = NULL;
    c->out_len = c->out_at = 0;
    if (c->out_fd >= 0)
        close(c->out_fd);
    c->out_fd = -1;
}

/* False: the client is gone, c with it. */
static bool flush(struct client *c)
{
    while (c->out && c->out_at < c->out_len) {
        ssize_t n = send_some(c);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            return true;
        if (n < 0) {
            client_close(c);
            return false;
        }
        c->out_at += (size_t)n;
        if (c->out_fd >= 0) {
            close(c->out_fd);
            c->out_fd = -1;
        }
    }
    forget_output(c);
    if (c->last) {
        client_close(c);
        return false;
    }
    return true;
}

/* Takes message over. */
static void set_output(struct client *c, json_t *message, int fd)
{
    char *text = json_dumps(message, JSON_COMPACT | JSON_ENSURE_ASCII);
    size_t n = text ? strlen(text) : 0;

    json_decref(message);
    c->out_fd = fd;
    c->out = text ? realloc(text, n + 1) : NULL;
    if (!c->out) { /* no memory: the client sees the connection end */
        free(text);
        c->last = true;
        return;
    }
    c->out[n] = '\n';
    c->out_len = n + 1;
}

static json_t *error_message(json_t *id, int rc, const char *text)
{
    json_t *said = json_string(text);

    if (!said) /* a name in it that is no UTF-8 */
        said = json_string("this is not possible");
    return json_pack("{s:O?, s:b, s:s, s:o}", "id", id, "ok", 0, "code",
                     control_code_word(-rc), "error", said);
}

static void answer_error(struct client *c, json_t *id, int rc, const char *text)
{
    set_output(c, error_message(id, rc, text), -1);
}

/* --- requests --- */

static void pending_free(struct pending *p)
{
    list_remove(&p->link);
    work_cancel(p->server->loop, &p->work);
    json_decref(p->request);
    json_decref(p->call.result);
    if (p->call.fd >= 0)
        close(p->call.fd);
    host_free(p);
}

static void answer(struct pending *p)
{
    struct client *c = p->client;
    json_t *result =
        p->call.result ? json_incref(p->call.result) : json_object();

    c->pending = NULL;
    if (p->rc < 0) {
        json_decref(result);
        answer_error(c, p->id, p->rc, p->err.text);
        return;
    }
    set_output(
        c,
        json_pack("{s:O?, s:b, s:o}", "id", p->id, "ok", 1, "result", result),
        p->call.fd);
    p->call.fd = -1;
}

static const struct control_command *find(const struct control_server *s,
                                          const char *name)
{
    for (const struct control_command *t = s->table; t->name; t++)
        if (!strcmp(t->name, name))
            return t;
    return NULL;
}

static void pending_done(void *ctx);

/* Takes request over; id, command and args are in it. */
static void begin(struct client *c, const struct control_command *command,
                  json_t *request, json_t *id, json_t *args)
{
    struct control_server *s = c->server;
    struct pending *p = host_alloc(sizeof *p);
    int rc;

    if (!p) {
        answer_error(c, id, -LE_NOMEM, "the host has no memory left");
        json_decref(request);
        return;
    }
    p->server = s;
    p->client = c;
    p->request = request;
    p->id = id;
    p->call = (struct control_call){.ctx = s->ctx, .args = args, .fd = -1};
    work_init(&p->work, pending_done, p);
    list_append(&s->pending, &p->link);
    c->pending = p;
    rc = command->run(&p->call, &p->err);
    if (rc == CONTROL_LATER)
        return;
    p->rc = rc;
    answer(p);
    pending_free(p);
}

/* {"id": any, "command": text, "args": {…}}; id and args may be left out. */
static void take_request(struct client *c, const char *line, size_t n)
{
    json_error_t je;
    json_t *request = json_loadb(line, n, JSON_REJECT_DUPLICATES, &je);
    json_t *id = NULL, *args = NULL;
    const char *name;
    const struct control_command *command;
    char text[256];

    if (!request) {
        snprintf(text, sizeof text, "this is no JSON: %.160s", je.text);
        answer_error(c, NULL, -LE_FORMAT, text);
        return;
    }
    if (json_is_object(request) && !json_object_get(request, "args"))
        json_object_set_new(request, "args", json_object());
    if (json_unpack_ex(request, &je, JSON_STRICT, "{s?o, s:s, s:o}", "id", &id,
                       "command", &name, "args", &args) ||
        !json_is_object(args)) {
        answer_error(c, id, -LE_USAGE,
                     "a request is {\"id\": …, \"command\": \"…\", \"args\": "
                     "{…}}");
        json_decref(request);
        return;
    }
    command = find(c->server, name);
    if (!command) {
        snprintf(text, sizeof text, "there is no command \"%.60s\"", name);
        answer_error(c, id, -LE_UNSUPPORTED, text);
        json_decref(request);
        return;
    }
    begin(c, command, request, id, args);
}

/* The first line of what came, if it is complete. */
static bool take_line(struct client *c)
{
    char *end = memchr(c->in, '\n', c->in_len);
    size_t n;

    if (!end) {
        if (c->in_len < sizeof c->in)
            return false;
        answer_error(c, NULL, -LE_RANGE,
                     "a request has at most 65535 bytes and ends with a "
                     "newline");
        c->in_len = 0;
        c->last = true;
        return true;
    }
    n = (size_t)(end - c->in);
    if (n && strspn(c->in, " \t\r") < n)
        take_request(c, c->in, n);
    c->in_len -= n + 1;
    memmove(c->in, end + 1, c->in_len);
    return true;
}

/* Answers what can be answered now, and says what to wait for. */
static void go_on(struct client *c)
{
    uint32_t events;

    do {
        if (!flush(c))
            return;
    } while (!c->out && !c->pending && take_line(c));
    events = c->out ? WATCH_OUT : 0;
    if (!c->out && !c->pending)
        events = WATCH_IN;
    watch_events(&c->watch, events);
}

static void pending_done(void *ctx)
{
    struct pending *p = ctx;
    struct client *c = p->client;

    if (c)
        answer(p);
    pending_free(p);
    if (c)
        go_on(c);
}

void control_finish(struct control_call *call, int rc, const struct err *e)
{
    struct pending *p = container_of(call, struct pending, call);

    p->rc = rc;
    if (e)
        p->err = *e;
    loop_post(p->server->loop, &p->work);
}

static void on_client(void *ctx, uint32_t ready)
{
    struct client *c = ctx;
    ssize_t n;

    if (c->out || c->pending) {
        go_on(c);
        return;
    }
    (void)ready;
    n = read(c->fd, c->in + c->in_len, sizeof c->in - c->in_len);
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
        client_close(c);
        return;
    }
    if (n > 0)
        c->in_len += (size_t)n;
    go_on(c);
}

/* --- connections --- */

int control_server_adopt(struct control_server *s, int fd)
{
    struct client *c;

    if (s->nclients == CONTROL_CLIENTS || !(c = host_alloc(sizeof *c))) {
        close(fd);
        return -LE_BUSY;
    }
    c->server = s;
    c->fd = fd;
    c->out_fd = -1;
    list_append(&s->clients, &c->link);
    s->nclients++;
    if (watch_start(&c->watch, s->loop, fd, WATCH_IN, on_client, c)) {
        client_close(c);
        return -LE_IO;
    }
    set_output(c,
               json_pack("{s:s, s:i, s:s, s:i}", "lodge", LODGE_VERSION,
                         "protocol", CONTROL_PROTOCOL, "name", s->name, "pid",
                         (int)getpid()),
               -1);
    go_on(c);
    return 0;
}

/* Only who could end this process anyway is heard. */
static bool is_ours(int fd)
{
    struct ucred who;
    socklen_t n = sizeof who;

    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &n))
        return false;
    return who.uid == geteuid() || who.uid == 0;
}

static void on_incoming(void *ctx, uint32_t ready)
{
    struct control_server *s = ctx;
    int fd = accept4(s->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

    (void)ready;
    if (fd < 0)
        return;
    if (is_ours(fd))
        control_server_adopt(s, fd);
    else
        close(fd);
}

/* --- life --- */

struct control_server *control_server_create(const char *name,
                                             const struct control_command *t,
                                             void *ctx, struct loop *loop,
                                             struct host_mutex *lock)
{
    struct control_server *s = host_alloc(sizeof *s);

    if (!s)
        return NULL;
    snprintf(s->name, sizeof s->name, "%s", name);
    s->table = t;
    s->ctx = ctx;
    s->loop = loop;
    s->lock = lock;
    s->fd = -1;
    list_init(&s->clients);
    list_init(&s->pending);
    return s;
}

/* Lock held: no command begins any more. */
static void hang_up(struct control_server *s)
{
    watch_stop(&s->incoming);
    while (!list_empty(&s->clients))
        client_close(container_of(s->clients.next, struct client, link));
}

static void shut(struct control_server *s)
{
    hang_up(s);
    while (!list_empty(&s->pending))
        pending_free(container_of(s->pending.next, struct pending, link));
    if (s->fd >= 0)
        close(s->fd);
    if (s->path[0])
        unlink(s->path);
}

void control_server_destroy(struct control_server *s)
{
    shut(s);
    host_free(s);
}

void control_stop(struct control_server *s)
{
    host_mutex_lock(s->lock);
    hang_up(s);
    host_mutex_unlock(s->lock);
}

void control_close(struct control_server *s)
{
    if (!s)
        return;
    host_mutex_lock(s->lock);
    shut(s);
    host_mutex_unlock(s->lock);
    loop_destroy(s->loop);
    host_mutex_destroy(&s->own_lock);
    host_free(s);
}

/* Two that start at once with one name must not take each other's socket for
   a dead one: the folder is locked meanwhile. */
static int listen_in_folder(struct control_server *s, struct err *e)
{
    char folder[sizeof s->path], path[sizeof s->path + CONTROL_NAME_MAX + 2];
    int rc = control_folder(folder, sizeof folder, true, e), fd;

    if (rc)
        return rc;
    snprintf(path, sizeof path, "%s/%s", folder, s->name);
    fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0)
        flock(fd, LOCK_EX);
    rc = unix_listen(path, path, &s->fd, e);
    if (fd >= 0)
        close(fd);
    if (rc == -LE_BUSY)
        return err_set(e, LE_BUSY,
                       "--name: a VM named %s is running already; choose "
                       "another name",
                       s->name);
    if (rc)
        return rc;
    memcpy(s->path, path, sizeof s->path);
    return 0;
}

int control_open(const char *name, const struct control_command *table,
                 void *ctx, struct control_server **out, struct err *e)
{
    struct control_server *s;
    struct loop *loop;
    int rc = control_check_name(name, e);

    if (rc)
        return rc;
    s = control_server_create(name, table, ctx, NULL, NULL);
    if (!s)
        return err_set(e, LE_NOMEM, "the host has no memory left");
    host_mutex_init(&s->own_lock);
    s->lock = &s->own_lock;
    s->loop = loop = loop_create(s->lock);
    if (!loop) {
        control_close(s);
        return err_set(e, LE_NOMEM, "the host has no memory left");
    }
    rc = listen_in_folder(s, e);
    if (rc) {
        control_close(s);
        return rc;
    }
    *out = s;
    return 0;
}

int control_start(struct control_server *s, struct err *e)
{
    int rc;

    host_mutex_lock(s->lock);
    rc = watch_start(&s->incoming, s->loop, s->fd, WATCH_IN, on_incoming, s);
    host_mutex_unlock(s->lock);
    if (rc || loop_start(s->loop))
        return err_set(e, LE_NOMEM,
                       "the host does not let Lodge serve its control socket");
    return 0;
}
