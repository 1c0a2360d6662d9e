/* ACPI fixed hardware: hw/timer/acpi_pm.c. */
#include "chips.h"

#include "hw/timer/acpi_pm.h"

struct pm_dev {
    struct dev dev;
    struct acpi_pm pm;
    struct irq sci;
};

static int attach(struct dev *d, struct env *env, struct err *e UNUSED)
{
    struct pm_dev *p = container_of(d, struct pm_dev, dev);

    d->env = env;
    p->pm.env = env;
    p->pm.sci = &p->sci;
    acpi_pm_init(&p->pm);
    return acpi_pm_map(&p->pm, 0x600);
}

static void reset(struct dev *d, bool cold UNUSED)
{
    acpi_pm_reset(&container_of(d, struct pm_dev, dev)->pm);
}

static void detach(struct dev *d)
{
    struct pm_dev *p = container_of(d, struct pm_dev, dev);

    acpi_pm_pause(&p->pm);
    acpi_pm_unmap(&p->pm);
}

static int loaded(struct dev *d, uint16_t version UNUSED)
{
    return acpi_pm_loaded(&container_of(d, struct pm_dev, dev)->pm);
}

static const struct field fields[] = {
    FIELD_SUB(struct pm_dev, pm, struct acpi_pm, acpi_pm_fields),
    FIELD_END,
};

static const struct dev_class pm_class = {
    .name = "pm",
    .size = sizeof(struct pm_dev),
    .state = fields,
    .version = 1,
    .attach = attach,
    .reset = reset,
    .loaded = loaded,
    .detach = detach,
};

static const struct chip_target target = {
    .classes = {&pm_class},
    .io = {{0x600, 16}},
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    return chip_fuzz(&target, data, size);
}
