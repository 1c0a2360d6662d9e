/*
 * A port that ends the VM with a value: 0xf4, as test kernels written for
 * QEMU's isa-debug-exit expect it. Machine lock held.
 */
#include "lodge/device.h"

struct debug_exit {
    struct dev dev;
    struct region ports;
    uint32_t iobase;
};

static uint64_t ports_read(void *dev UNUSED, uint64_t off UNUSED,
                           unsigned bytes UNUSED)
{
    return 0;
}

static void ports_write(void *dev, uint64_t off UNUSED, uint64_t v,
                        unsigned bytes UNUSED)
{
    struct env *env = ((struct debug_exit *)dev)->dev.env;

    env->debug_exit(env, (uint32_t)v);
}

static const struct region_ops ports_ops = {ports_read, ports_write, 1, 4};

static int debug_exit_attach(struct dev *d, struct env *env, struct err *e)
{
    struct debug_exit *p = container_of(d, struct debug_exit, dev);

    d->env = env;
    p->ports = (struct region){
        .name = "debug exit", .size = 4, .ops = &ports_ops, .dev = p};
    if (space_map(env->io, p->iobase, &p->ports, 0))
        return err_set(e, LE_RANGE, "cannot map the debug exit port at 0x%x",
                       p->iobase);
    return 0;
}

static void debug_exit_reset(struct dev *d UNUSED, bool cold UNUSED)
{
}

static void debug_exit_detach(struct dev *d)
{
    space_unmap(&container_of(d, struct debug_exit, dev)->ports);
}

static const struct field no_state[] = {FIELD_END};

static const struct prop debug_exit_props[] = {
    {"iobase", "first of its four I/O ports",
     offsetof(struct debug_exit, iobase), PROP_U32, false, 0xf4, 0, 0xfffc},
    PROP_END,
};

const struct dev_class debug_exit_class = {
    .name = "debug-exit",
    .summary = "ends the VM with what the guest writes",
    .spec = "QEMU's isa-debug-exit",
    .size = sizeof(struct debug_exit),
    .props = debug_exit_props,
    .state = no_state,
    .version = 1,
    .attach = debug_exit_attach,
    .reset = debug_exit_reset,
    .detach = debug_exit_detach,
};
