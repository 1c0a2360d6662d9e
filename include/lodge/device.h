/*
 * A device class is data: properties feed the command line, checks and docs;
 * fields feed snapshots. Classes are listed in hw/registry.c.
 *
 * Life: vm/ allocates cls->size zeroed bytes (struct dev first), sets
 * properties, calls attach once; all allocation and mapping happens there.
 * reset(cold) brings power-on (cold) or RESET# state. pause() returns only when
 * nothing of the device is in flight; resume() goes on. loaded() checks and
 * re-derives what state fields imply after a snapshot was read: its values are
 * hostile. detach() undoes attach. All with the machine lock held.
 */
#ifndef LODGE_DEVICE_H
#define LODGE_DEVICE_H

#include "base/err.h"
#include "lodge/block.h"
#include "lodge/chardev.h"
#include "lodge/host.h"
#include "lodge/irq.h"
#include "lodge/space.h"
#include "lodge/state.h"

struct dev;
struct env;
struct pci_bus;

enum prop_kind {
    PROP_BOOL,    /* bool */
    PROP_U32,     /* uint32_t */
    PROP_U64,     /* uint64_t */
    PROP_STRING,  /* const char *, borrowed for the device's life */
    PROP_BLK,     /* struct blk *, borrowed */
    PROP_CHARDEV, /* struct chardev *, borrowed */
};

struct prop {
    const char *name, *help;
    uint32_t offset;
    uint16_t kind;
    bool required;
    uint64_t def, min, max; /* numbers; max 0: no bound */
};
#define PROP_END {0, 0, 0, 0, 0, 0, 0, 0}

struct dev_class {
    const char *name;    /* as in the registry: "i8254" */
    const char *summary; /* one line for help */
    const char *spec;    /* the datasheet it follows */
    size_t size;
    const struct prop *props; /* PROP_END-terminated, or NULL */
    const struct field *state;
    uint16_t version;
    int (*attach)(struct dev *d, struct env *env, struct err *e);
    void (*reset)(struct dev *d, bool cold);
    void (*pause)(struct dev *d);
    void (*resume)(struct dev *d);
    int (*loaded)(struct dev *d, uint16_t version);
    void (*detach)(struct dev *d);
};

struct dev {
    const struct dev_class *cls;
    const char *id; /* unique in its VM: "serial0" */
    struct env *env;
    struct list link; /* vm/'s */
};

/*
 * What the machine offers its devices. The pointers stay valid for the VM's
 * life. Filled by machine/ before the first attach.
 */
struct env {
    struct space *mem, *io;
    struct loop *loop;
    struct irq isa_irq[16];  /* to both 8259s and the IOAPIC (GSI 0–15) */
    struct msi_sink msi;     /* to the local APICs */
    struct pci_bus *pci;     /* NULL before the host bridge is attached */
    unsigned ncpus;
    struct cpu_pins *cpu_pins; /* ncpus */
    /* What the machine can be asked to do; safe from any callback. */
    void (*power_off)(struct env *env);
    void (*reset)(struct env *env);
    void (*debug_exit)(struct env *env, uint32_t value);
    void (*set_a20)(struct env *env, bool enabled);
};

#endif
