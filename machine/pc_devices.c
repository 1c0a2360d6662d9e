/* Which devices a PC has. */
#include "base/bits.h"
#include "base/libc.h"
#include "hw/intc/lapic.h"
#include "hw/registry.h"
#include "machine/pc_internal.h"
#include "x86/cpuid.h"

struct dev *pc_add(struct pc *pc, const char *name, const char *id,
                   const struct prop_value *values, struct err *e)
{
    const struct dev_class *cls = dev_class_find(name);

    if (!cls) {
        err_set(e, LE_UNSUPPORTED, "this build of Lodge has no %s", name);
        return NULL;
    }
    return vm_add_device(pc->vm, cls, id, values, e);
}

unsigned pc_slot(struct pc *pc)
{
    return pc->next_slot++;
}

/* What is always there, in the order of attaching and of reset. */
static const struct {
    const char *cls, *id;
} board[] = {
    {"i440fx", "host-bridge"}, {"piix3", "isa-bridge"}, {"piix4-pm", "pm"},
    {"i8259", "pic"},          {"ioapic", "ioapic"},    {"dma8237", "dma"},
    {"i8254", "pit"},          {"mc146818", "rtc"},     {"hpet", "hpet"},
    {"i8042", "kbd"},          {"port92", "port92"},    {"port80", "port80"},
    {"ferr", "ferr"},
};

static int add_board(struct pc *pc, struct err *e)
{
    for (unsigned i = 0; i < ARRAY_LEN(board); i++)
        if (!pc_add(pc, board[i].cls, board[i].id, NULL, e))
            return e->code;
    pc->pm = vm_find_device(pc->vm, "pm");
    return 0;
}

static int add_apics(struct pc *pc, struct err *e)
{
    const struct vm_config *vc = vm_config(pc->vm);
    const struct x86_features *f = &vc->model->features;

    for (unsigned i = 0; i < vc->ncpus; i++) {
        struct dev *d;
        char id[16];

        snprintf(id, sizeof id, "apic%u", i);
        d = pc_add(
            pc, "lapic", id,
            PROP_VALUES(SET_NUMBER("cpu", i)
                            SET_NUMBER("phys-bits", vc->model->phys_bits)
                                SET_BOOL("x2apic", feature_has(f, FEAT_X2APIC))
                                    SET_BOOL("tsc-deadline",
                                             feature_has(f, FEAT_TSCDL))),
            e);
        if (!d)
            return e->code;
        vm_set_intc(pc->vm, i, &lapic_cpu_ops, lapic_ctx(d));
    }
    return 0;
}

static int add_screen(struct pc *pc, struct err *e)
{
    const struct boot_bytes *bios = &pc->config.vga_bios;
    struct rom_bytes rom = {bios->p, bios->n};

    if (!pc->config.screen)
        return 0;
    return pc_add(pc, "vga", "vga",
                  PROP_VALUES(SET_NUMBER("slot", PC_VGA_SLOT)
                                  SET_BYTES("rom", rom)),
                  e)
               ? 0
               : e->code;
}

static int add_serials(struct pc *pc, struct err *e)
{
    for (unsigned i = 0; i < PC_SERIALS; i++) {
        char id[16];

        if (!pc->config.serial[i])
            continue;
        snprintf(id, sizeof id, "serial%u", i);
        if (!pc_add(pc, "serial", id,
                    PROP_VALUES(SET_NUMBER("com", i + 1) SET_CHARDEV(
                        "chardev", pc->config.serial[i])),
                    e))
            return e->code;
    }
    return 0;
}

static int add_extras(struct pc *pc, struct err *e)
{
    const struct pc_config *c = &pc->config;

    if (c->console && !pc_add(pc, "virtio-console", "console0",
                              PROP_VALUES(SET_CHARDEV("chardev", c->console)
                                              SET_NUMBER("slot", pc_slot(pc))),
                              e))
        return e->code;
    if (!c->no_rng && !pc_add(pc, "virtio-rng", "rng0",
                              PROP_VALUES(SET_NUMBER("slot", pc_slot(pc))), e))
        return e->code;
    if (c->audio && !pc_add(pc, c->audio, "audio0",
                            PROP_VALUES(SET_NUMBER("slot", pc_slot(pc))), e))
        return e->code;
    if (c->debug_exit && !pc_add(pc, "debug-exit", "debug-exit", NULL, e))
        return e->code;
    if (c->test_device && !pc_add(pc, "testdev", "test-device", NULL, e))
        return e->code;
    return 0;
}

static int add_nics(struct pc *pc, struct err *e)
{
    for (unsigned i = 0; i < pc->config.nnics; i++) {
        const struct pc_nic *nic = &pc->config.nic[i];
        char id[16];

        snprintf(id, sizeof id, "net%u", i);
        if (!pc_add(pc, nic->model, id,
                    PROP_VALUES(SET_NET("net", nic->net) SET_TEXT(
                        "mac", nic->mac) SET_NUMBER("slot", pc_slot(pc))),
                    e))
            return e->code;
    }
    return 0;
}

/* Where there is a screen a pointer belongs to it, one that is where the
   person's is. */
static int add_pointer(struct pc *pc, struct err *e)
{
    if (!pc->config.screen)
        return 0;
    if (!pc_add(pc, "xhci", "usb", PROP_VALUES(SET_NUMBER("slot", pc_slot(pc))),
                e) ||
        !pc_add(pc, "usb-tablet", "tablet", NULL, e))
        return e->code;
    return 0;
}

/* In the order of attaching and of reset. Firmware last: its tables describe
   the others. */
static int (*const groups[])(struct pc *, struct err *) = {
    add_board,  add_apics, add_screen,  add_serials,  pc_add_disks,
    add_extras, add_nics,  add_pointer, firmware_add,
};

int pc_add_devices(struct pc *pc, struct err *e)
{
    int r = 0;

    for (unsigned i = 0; !r && i < ARRAY_LEN(groups); i++)
        r = groups[i](pc, e);
    return r;
}
