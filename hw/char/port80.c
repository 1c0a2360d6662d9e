/*
 * Port 0x80: power-on self-test codes, to the trace log, in front of the DMA
 * page register that a PC has there and that reads back what was written.
 * Machine lock held.
 */
#include "lodge/device.h"

struct port80 {
    struct dev dev;
    struct region port;
    uint8_t code;
};

static uint64_t port_read(void *dev, uint64_t off UNUSED, unsigned bytes UNUSED)
{
    return ((struct port80 *)dev)->code;
}

static void port_write(void *dev, uint64_t off UNUSED, uint64_t v,
                       unsigned bytes UNUSED)
{
    struct port80 *p = dev;

    /* Drivers write here to wait a microsecond: only changes are news. */
    if (v != p->code)
        host_log(LOG_TRACE, "port 0x80: code 0x%02x", (unsigned)v);
    p->code = (uint8_t)v;
}

static const struct region_ops port_ops = {port_read, port_write, 1, 1};

static int port80_attach(struct dev *d, struct env *env, struct err *e)
{
    struct port80 *p = container_of(d, struct port80, dev);

    d->env = env;
    p->port = (struct region){
        .name = "POST code", .size = 1, .ops = &port_ops, .dev = p};
    if (space_map(env->io, 0x80, &p->port, 1)) /* above the DMA pages */
        return err_set(e, LE_NOMEM, "cannot map port 0x80");
    return 0;
}

static void port80_reset(struct dev *d, bool cold UNUSED)
{
    container_of(d, struct port80, dev)->code = 0;
}

static void port80_detach(struct dev *d)
{
    space_unmap(&container_of(d, struct port80, dev)->port);
}

static const struct field port80_state[] = {
    FIELD8(struct port80, code),
    FIELD_END,
};

const struct dev_class port80_class = {
    .name = "port80",
    .summary = "power-on self-test codes to the trace log",
    .spec = "IBM PC/AT Technical Reference",
    .size = sizeof(struct port80),
    .state = port80_state,
    .version = 1,
    .attach = port80_attach,
    .reset = port80_reset,
    .detach = port80_detach,
};
