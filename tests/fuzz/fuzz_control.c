/*
 * The control socket's server: what any process of this user may send. The
 * bytes go in as they come, in pieces of the sizes that the input says, from
 * two clients.
 */
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "host/control/server.h"
#include "host/posix/loop.h"
#include "host/ui/typist.h"
#include "tests/fuzz/input.h"

static int echo(struct control_call *call, struct err *e)
{
    (void)e;
    call->result = json_pack("{s:O}", "args", call->args);
    return 0;
}

static int refuse(struct control_call *call, struct err *e)
{
    const char *text;

    if (json_unpack(call->args, "{s:s}", "text", &text))
        return err_set(e, LE_USAGE, "no text");
    return err_set(e, LE_STATE, "not now: %s", text);
}

/* Ends later, with a descriptor. */
static int begin(struct control_call *call, struct err *e)
{
    struct control_call **later = call->ctx;

    if (*later)
        return err_set(e, LE_BUSY, "one at a time");
    *later = call;
    call->fd = dup(STDIN_FILENO);
    return CONTROL_LATER;
}

static int play(struct control_call *call, struct err *e)
{
    const char *keys = "", *text = "";
    struct typing *what;

    json_unpack(call->args, "{s?s, s?s}", "keys", &keys, "text", &text);
    what = typing_chord(keys, 0, e);
    host_free(what);
    what = typing_text(text, e);
    host_free(what);
    return e->code;
}

static const struct control_command commands[] = {
    {"echo", echo}, {"refuse", refuse}, {"begin", begin}, {"play", play}, {0}};

static void finish(struct control_call **later)
{
    struct err e;

    if (!*later)
        return;
    err_set(&e, LE_IO, "in the end not");
    control_finish(*later, json_object_size((*later)->args) ? -LE_IO : 0, &e);
    *later = NULL;
}

/* What a client sees: lines. */
static void drain(int fd)
{
    char buf[4096];

    while (recv(fd, buf, sizeof buf, MSG_DONTWAIT) > 0)
        ;
}

/* Two clients' ends of connections to the server. */
static void connect_clients(struct control_server *s, int client[2])
{
    for (unsigned i = 0; i < 2; i++) {
        int fd[2];

        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fd) ||
            control_server_adopt(s, fd[1]))
            abort();
        client[i] = fd[0];
    }
}

/* A byte says who sends how much, and what happens then. */
static void piece(struct input *in, int client[2], struct loop *loop,
                  struct control_call **later)
{
    unsigned how = (unsigned)take(in, 1), who = how >> 7;
    size_t n = how & 0x40 ? (how & 0x3f) * 1024u : (how & 0x3f) * 8u + 1;

    n = MIN(n, (size_t)(in->end - in->p));
    if (client[who] >= 0 &&
        send(client[who], in->p, n, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
        drain(client[who]);
    in->p += n;
    loop_run_due(loop, false);
    if (how % 5 == 0)
        finish(later);
    if (how % 3 == 0 && client[who] >= 0)
        drain(client[who]);
    if (how == 0xff && client[1] >= 0) {
        close(client[1]);
        client[1] = -1;
    }
}

static void converse(struct input *in, struct control_server *s,
                     struct loop *loop, struct control_call **later)
{
    int client[2];

    connect_clients(s, client);
    while (more(in))
        piece(in, client, loop, later);
    finish(later);
    loop_run_due(loop, false);
    for (unsigned i = 0; i < 2; i++)
        if (client[i] >= 0)
            close(client[i]);
    loop_run_due(loop, false);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct input in = {data, data + n};
    struct control_call *later = NULL;
    struct host_mutex lock;
    struct control_server *s;
    struct loop *loop;

    host_mutex_init(&lock);
    loop = loop_create(&lock);
    s = loop ? control_server_create("fuzz", commands, &later, loop, &lock)
             : NULL;
    if (!s)
        abort();
    converse(&in, s, loop, &later);
    control_server_destroy(s);
    loop_destroy(loop);
    host_mutex_destroy(&lock);
    return 0;
}
