/*
 * Port 0x402: what firmware has to say while it works, to the trace log, a
 * line at a time. Reading gives 0xe9, by which firmware knows that somebody
 * listens. Machine lock held. Spec: QEMU's isa-debugcon.
 */
#include "lodge/device.h"

enum { PORT = 0x402, LISTENING = 0xe9, LINE = 256 };

struct debugcon {
    struct dev dev;
    struct region port;
    char line[LINE]; /* not yet ended */
    unsigned n;
};

static void flush(struct debugcon *p)
{
    if (p->n)
        host_log(LOG_TRACE, "firmware: %.*s", (int)p->n, p->line);
    p->n = 0;
}

static uint64_t port_read(void *dev UNUSED, uint64_t off UNUSED,
                          unsigned bytes UNUSED)
{
    return LISTENING;
}

/* No control character of a guest's reaches the terminal. */
static void port_write(void *dev, uint64_t off UNUSED, uint64_t v,
                       unsigned bytes UNUSED)
{
    struct debugcon *p = dev;
    char c = (char)v;

    if (c == '\n' || p->n == LINE)
        flush(p);
    if (c >= ' ' && c < 0x7f)
        p->line[p->n++] = c;
}

static const struct region_ops port_ops = {port_read, port_write, 1, 1};

static int debugcon_attach(struct dev *d, struct env *env, struct err *e)
{
    struct debugcon *p = container_of(d, struct debugcon, dev);

    d->env = env;
    p->port = (struct region){
        .name = "debug console", .size = 1, .ops = &port_ops, .dev = p};
    if (space_map(env->io, PORT, &p->port, 0))
        return err_set(e, LE_NOMEM, "cannot map port 0x402");
    return 0;
}

static void debugcon_reset(struct dev *d, bool cold UNUSED)
{
    flush(container_of(d, struct debugcon, dev));
}

static void debugcon_detach(struct dev *d)
{
    struct debugcon *p = container_of(d, struct debugcon, dev);

    flush(p);
    space_unmap(&p->port);
}

/* What it holds is a line for a log, no state of the guest's. */
static const struct field debugcon_state[] = {FIELD_END};

extern const struct dev_class debugcon_class;
const struct dev_class debugcon_class = {
    .name = "debugcon",
    .summary = "messages of firmware to the trace log",
    .spec = "QEMU's isa-debugcon",
    .size = sizeof(struct debugcon),
    .state = debugcon_state,
    .version = 1,
    .attach = debugcon_attach,
    .reset = debugcon_reset,
    .detach = debugcon_detach,
};
