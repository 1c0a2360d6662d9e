/*
 * A device class is data: properties feed the command line, checks and docs;
 * fields feed snapshots. Classes are listed in hw/registry.c.
 *
 * Life: vm/ allocates cls->size zeroed bytes (struct dev first), sets
 * properties, calls attach once; all allocation and mapping happens there.
 * reset(cold) brings power-on (cold) or RESET# state. After pause() a device
 * starts nothing new; vm/ then runs the loop until dev.inflight is 0 for every
 * device, and only then looks at its state, resets or detaches it. resume()
 * goes on, and takes up what came in between. loaded() checks and re-derives
 * what state fields imply after a snapshot was read: its values are hostile.
 * detach() undoes attach. All with the machine lock held.
 */
#ifndef LODGE_DEVICE_H
#define LODGE_DEVICE_H

#include "base/err.h"
#include "lodge/block.h"
#include "lodge/chardev.h"
#include "lodge/chips.h"
#include "lodge/display.h"
#include "lodge/host.h"
#include "lodge/input.h"
#include "lodge/irq.h"
#include "lodge/net.h"
#include "lodge/space.h"
#include "lodge/state.h"

struct dev;
struct env;
struct media_drive;
struct pci_bus;
struct usb_bus;

enum prop_kind {
    PROP_BOOL,    /* bool */
    PROP_U32,     /* uint32_t */
    PROP_U64,     /* uint64_t */
    PROP_STRING,  /* const char *, borrowed for the device's life */
    PROP_BLK,     /* struct blk *, borrowed */
    PROP_CHARDEV, /* struct chardev *, borrowed */
    PROP_BYTES,   /* struct rom_bytes, borrowed for the device's life */
    PROP_NET,     /* struct net *, borrowed */
};

struct rom_bytes {
    const uint8_t *p;
    size_t n;
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
    /*
     * Memory of its own that the guest sees and that is part of its state
     * (frame buffer, flash), beside the fields: piece n = 0, 1, …; false:
     * there are no more. Loaded before loaded() is called. NULL: none.
     */
    bool (*memory)(struct dev *d, unsigned n, struct span *out);
};

struct dev {
    const struct dev_class *cls;
    const char *id; /* unique in its VM: "serial0" */
    struct env *env;
    unsigned inflight; /* what of it still runs elsewhere: disk requests, … */
    struct list link;  /* vm/'s */
};

struct apic_bus;

/*
 * What the machine offers its devices. The pointers stay valid for the VM's
 * life. The first part is filled by machine/ before the first attach.
 */
struct env {
    struct space *mem, *io;
    /*
     * Guest RAM at physical 0, as host memory. The machine maps it below
     * 0xa0000 and from 0x100000 on; what lies between belongs to the host
     * bridge, which maps it as its registers say.
     */
    uint8_t *ram;
    uint64_t ram_low;  /* bytes of RAM below 4 GB; at least 1 MB */
    uint64_t ram_high; /* bytes of RAM at 4 GB */
    struct loop *loop;
    struct pci_bus *pci; /* NULL before the host bridge is attached */
    unsigned ncpus;
    struct cpu_pins *cpu_pins; /* ncpus */
    struct tsc_clock tsc;      /* for the APIC timers' deadlines */
    struct engine_apics engine_apics; /* vm/: the engine's own, if it has */
    struct engine_chips engine_chips; /* likewise */
    /* What the machine can be asked to do; safe from any callback. */
    void (*power_off)(struct env *env);
    void (*reset)(struct env *env);
    void (*debug_exit)(struct env *env, uint32_t value);
    void (*set_a20)(struct env *env, bool enabled);
    /*
     * The machine's clock, ns: what times in state fields are on, so vm/
     * lets it go on from the saved value when a snapshot is loaded. Devices
     * use env_now(), env_arm(), env_wall_now() below; NULL: the host's clock
     * as it is. A test puts its own in.
     */
    uint64_t (*now)(struct env *env);
    void (*arm)(struct env *env, struct timer *t, uint64_t deadline);
    int64_t (*wall_now)(struct env *env); /* ns since 1970-01-01 UTC */

    /*
     * Wires between chips. The attach of the chip named sets them where
     * machine/ has not. Use them in place, at
     * the time of use: then the order of attaching does not matter.
     */
    struct irq isa_irq[16];  /* i8259: to both 8259s and the IOAPIC */
    struct irq gsi[24];      /* ioapic: its pins alone; PCI uses 16-23 */
    struct msi_sink msi;     /* lapic */
    struct irq pic_intr;     /* lapic: LINT0; unset: cpu_pins[0].intr */
    struct inta pic_inta;    /* i8259: who gives the vector of an ExtINT */
    struct irq nmi;          /* lapic: LINT1; unset: cpu_pins[0].nmi */
    struct ferr_sink ferr;   /* ferr: floating-point errors of CPU 0 */
    struct eoi_sink eoi;     /* ioapic: EOIs of level-triggered vectors */
    struct apic_bus *apics;  /* lapic: how they find each other */
    struct irq pit_irq0;     /* hpet: the 8254's OUT0; unset: isa_irq[0] */
    struct irq pit_mute;     /* i8254: the HPET raises IRQ0 in its place */
    struct irq rtc_irq8;     /* hpet: the RTC's; unset: isa_irq[8] */
    struct irq rtc_event;    /* piix4_pm: likewise, for ACPI */
    struct irq iochk, serr;  /* i8254 (port 0x61): NMIs of ISA and PCI */
    struct irq nmi_mask;     /* i8254: no NMI while asserted (RTC, port 0x70) */
    struct input_sink input; /* i8042: where keys and the mouse go */
    struct usb_bus *usb;     /* xhci: its root hub; hw/usb/usb.h */
    struct display_source display; /* vga: what is on the screen */
    struct dev *isa_dma;     /* dma8237: see hw/timer/dma8237.h */
    uint8_t *a20_port;       /* i8042: its output port, with A20_GATE */
    struct media_drive *drives; /* with removable media: lodge/media.h */
};

/*
 * The gate of address line 20. The keyboard controller's output port and port
 * 0x92 have it as the same bit, and it is the same gate: who writes last wins,
 * so that either can also turn off what the other has turned on. (Where
 * chipsets OR the two, BIOSes that know only port 0x92, such as SeaBIOS, could
 * not turn it off.)
 */
enum { A20_GATE = 1 << 1 };

static inline bool env_a20(const struct env *env)
{
    return env->a20_port && (*env->a20_port & A20_GATE);
}

static inline void env_gate_a20(struct env *env, bool on)
{
    uint8_t *p = env->a20_port;

    if (p)
        *p = (uint8_t)(on ? *p | A20_GATE : *p & ~A20_GATE);
    env->set_a20(env, on);
}

static inline uint64_t env_now(struct env *env)
{
    return env->now ? env->now(env) : host_now();
}

static inline int64_t env_wall_now(struct env *env)
{
    return env->wall_now ? env->wall_now(env) : host_wall_now();
}

/* deadline on env_now()'s scale; UINT64_MAX: disarm. */
static inline void env_arm(struct env *env, struct timer *t, uint64_t deadline)
{
    if (env->arm)
        env->arm(env, t, deadline);
    else if (deadline == UINT64_MAX)
        timer_cancel(t);
    else
        timer_arm(t, deadline);
}

#endif
