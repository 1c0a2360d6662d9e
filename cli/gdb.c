#include "cli/gdb.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/posix/peer.h"
#include "lodge/host.h"
#include "vm/gdb/stub.h"

struct gdb {
    struct gdb_stub *stub;
    struct peer_server *server;
    const struct vm_outcome *outcome;
    int status;
};

static void came(void *ctx)
{
    host_log(LOG_INFO, "gdb: a debugger is connected");
    gdb_connect(((struct gdb *)ctx)->stub);
}

static size_t take(void *ctx, const uint8_t *p, size_t n)
{
    return gdb_take(((struct gdb *)ctx)->stub, p, n);
}

static void poll(void *ctx)
{
    gdb_poll(((struct gdb *)ctx)->stub);
}

static const uint8_t *out(void *ctx, size_t *n)
{
    return gdb_out(((struct gdb *)ctx)->stub, n);
}

static void sent(void *ctx, size_t n)
{
    gdb_sent(((struct gdb *)ctx)->stub, n);
}

static void gone(void *ctx)
{
    host_log(LOG_INFO, "gdb: the debugger has gone");
    gdb_disconnect(((struct gdb *)ctx)->stub);
}

static const struct peer_ops ops = {came, take, poll, out, sent, gone};

static void stopped(void *ctx)
{
    peer_poll(((struct gdb *)ctx)->server);
}

int gdb_address(const char *text, struct address *where, struct err *e)
{
    char with_colon[80];
    bool alone = text[0] && strspn(text, "0123456789") == strlen(text);

    snprintf(with_colon, sizeof with_colon, "%s%.70s", alone ? ":" : "", text);
    if (address_parse(with_colon, where) && where->has_port)
        return 0;
    return err_set(e, LE_USAGE,
                   "--gdb: '%.60s' is no port; write PORT, or ADDR:PORT with "
                   "numbers, like 127.0.0.1:1234 or [::1]:1234",
                   text);
}

int gdb_open(struct address *where, bool wait, struct vm *vm, struct gdb **to,
             struct err *e)
{
    struct gdb *g = calloc(1, sizeof *g);
    bool any = !address_port(where);
    int rc;

    if (!g)
        return err_set(e, LE_NOMEM, "the host has no memory left");
    rc = peer_open(where, &ops, g, &g->server, e);
    if (!rc)
        rc = gdb_create(vm, wait, stopped, g, &g->stub, e);
    if (rc) {
        gdb_close(g, NULL, 0);
        return err_prefix(e, "--gdb");
    }
    if (!where->loopback)
        host_log(LOG_WARN, "gdb: whoever reaches this address controls the "
                           "VM: the protocol asks for no password");
    host_log(any ? LOG_WARN : LOG_INFO, "gdb: listening at port %u",
             address_port(where));
    *to = g;
    return 0;
}

int gdb_start(struct gdb *g, struct err *e)
{
    return peer_start(g->server, e);
}

static void say_end(void *ctx)
{
    struct gdb *g = ctx;

    gdb_end(g->stub, g->outcome->end == VM_END_CRASH, (unsigned)g->status);
}

void gdb_close(struct gdb *g, const struct vm_outcome *o, int status)
{
    if (!g)
        return;
    g->outcome = o;
    g->status = status;
    peer_close(g->server, o ? say_end : NULL);
    gdb_destroy(g->stub);
    free(g);
}
