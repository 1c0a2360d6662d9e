/*
 * Port 0x92, system control port A: fast A20 and fast reset. Machine lock
 * held. Spec: 82371SB (PIIX3), "Port 92 Register"; IBM PS/2 technical
 * reference.
 */
#include "lodge/device.h"

enum { FAST_INIT = 1 << 0, FAST_A20 = A20_GATE };

struct port92 {
    struct dev dev;
    struct region port;
    uint8_t init; /* FAST_INIT, as written */
};

static uint64_t port_read(void *dev, uint64_t off UNUSED, unsigned bytes UNUSED)
{
    const struct port92 *p = dev;

    return p->init | (env_a20(p->dev.env) ? FAST_A20 : 0);
}

static void port_write(void *dev, uint64_t off UNUSED, uint64_t v,
                       unsigned bytes UNUSED)
{
    struct port92 *p = dev;
    struct env *env = p->dev.env;
    bool rises = v & ~p->init & FAST_INIT;

    p->init = v & FAST_INIT;
    env_gate_a20(env, v & FAST_A20);
    if (rises)
        env->reset(env);
}

static const struct region_ops port_ops = {port_read, port_write, 1, 1};

static int port92_attach(struct dev *d, struct env *env, struct err *e)
{
    struct port92 *p = container_of(d, struct port92, dev);

    d->env = env;
    p->port = (struct region){
        .name = "port 92", .size = 1, .ops = &port_ops, .dev = p};
    if (space_map(env->io, 0x92, &p->port, 0))
        return err_set(e, LE_NOMEM, "cannot map port 0x92");
    return 0;
}

static void port92_reset(struct dev *d, bool cold UNUSED)
{
    container_of(d, struct port92, dev)->init = 0;
}

static void port92_detach(struct dev *d)
{
    space_unmap(&container_of(d, struct port92, dev)->port);
}

static const struct field port92_state[] = {
    FIELD_MAX(struct port92, init, 8, FAST_INIT),
    FIELD_END,
};

const struct dev_class port92_class = {
    .name = "port92",
    .summary = "fast A20 gate and reset",
    .spec = "82371SB (PIIX3)",
    .size = sizeof(struct port92),
    .state = port92_state,
    .version = 2,
    .attach = port92_attach,
    .reset = port92_reset,
    .detach = port92_detach,
};
