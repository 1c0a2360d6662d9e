/*
 * Floating-point errors as a PC reports them: FERR# of CPU 0 is IRQ 13; a
 * write to port 0xf0 ends the interrupt and asserts IGNNE# until FERR# goes
 * away, so that the handler may use the FPU. Machine lock held.
 * Spec: 82371SB (PIIX3), "Coprocessor Error Function"; SDM volume 1, appendix
 * D.
 */
#include "lodge/device.h"

enum { FERR_IRQ = 13 };

struct ferr {
    struct dev dev;
    struct region port;
    bool error; /* FERR# */
    bool ignne;
};

static void update(struct ferr *f)
{
    irq_set(&f->dev.env->isa_irq[FERR_IRQ], f->error && !f->ignne);
}

static bool error_set(void *ctx, bool on)
{
    struct ferr *f = ctx;

    f->error = on;
    f->ignne &= on;
    update(f);
    return f->ignne;
}

static uint64_t port_read(void *dev UNUSED, uint64_t off UNUSED,
                          unsigned bytes UNUSED)
{
    return 0xff;
}

static void port_write(void *dev, uint64_t off UNUSED, uint64_t v UNUSED,
                       unsigned bytes UNUSED)
{
    struct ferr *f = dev;

    f->ignne = f->error;
    update(f);
}

static const struct region_ops port_ops = {port_read, port_write, 1, 1};

static int ferr_attach(struct dev *d, struct env *env, struct err *e)
{
    struct ferr *f = container_of(d, struct ferr, dev);

    d->env = env;
    f->port = (struct region){
        .name = "port f0", .size = 1, .ops = &port_ops, .dev = f};
    if (space_map(env->io, 0xf0, &f->port, 0))
        return err_set(e, LE_NOMEM, "cannot map port 0xf0");
    env->ferr = (struct ferr_sink){error_set, f};
    return 0;
}

static void ferr_reset(struct dev *d, bool cold UNUSED)
{
    struct ferr *f = container_of(d, struct ferr, dev);

    f->error = f->ignne = false;
    update(f);
}

static void ferr_detach(struct dev *d)
{
    d->env->ferr = (struct ferr_sink){0};
    space_unmap(&container_of(d, struct ferr, dev)->port);
}

static int ferr_loaded(struct dev *d, uint16_t version UNUSED)
{
    struct ferr *f = container_of(d, struct ferr, dev);

    f->ignne &= f->error;
    update(f);
    return 0;
}

static const struct field ferr_state[] = {
    FIELDB(struct ferr, error),
    FIELDB(struct ferr, ignne),
    FIELD_END,
};

const struct dev_class ferr_class = {
    .name = "ferr",
    .summary = "floating-point errors as IRQ 13",
    .spec = "82371SB (PIIX3)",
    .size = sizeof(struct ferr),
    .state = ferr_state,
    .version = 1,
    .attach = ferr_attach,
    .reset = ferr_reset,
    .loaded = ferr_loaded,
    .detach = ferr_detach,
};
