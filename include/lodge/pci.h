/*
 * PCI: configuration space, base address registers, interrupts and bus
 * mastering, as PCI Local Bus Specification 3.0 chapter 6 has them.
 *
 * A device class embeds a struct pci_dev beside its struct dev. In attach()
 * it calls pci_attach(), adds base addresses and capabilities, and is done:
 * configuration accesses, BAR moves and interrupt routing happen here. In
 * reset() it calls pci_reset(), in loaded() pci_loaded(), in detach()
 * pci_detach(). Its state table has one row for us:
 *     FIELD_SUB(struct x, pci, struct pci_dev, pci_fields)
 *
 * Everything is called with the machine lock held. Nothing allocates.
 */
#ifndef LODGE_PCI_H
#define LODGE_PCI_H

#include "lodge/device.h"

#define PCI_DEVFN(slot, fn) ((uint8_t)((slot) << 3 | (fn)))
#define PCI_SLOT(devfn)     ((devfn) >> 3)
#define PCI_FN(devfn)       ((devfn)&7)

enum { /* offsets in the type 0 header */
       PCI_VENDOR = 0x00,
       PCI_DEVICE = 0x02,
       PCI_COMMAND = 0x04,
       PCI_STATUS = 0x06,
       PCI_REVISION = 0x08,
       PCI_CLASS = 0x09, /* three bytes: interface, sub-class, class */
       PCI_CACHE_LINE = 0x0c,
       PCI_LATENCY = 0x0d,
       PCI_HEADER = 0x0e,
       PCI_BAR0 = 0x10,
       PCI_SUBVENDOR = 0x2c,
       PCI_SUBDEVICE = 0x2e,
       PCI_ROM = 0x30,
       PCI_CAPS = 0x34,
       PCI_INT_LINE = 0x3c,
       PCI_INT_PIN = 0x3d,
};

enum { /* PCI_COMMAND */
       PCI_CMD_IO = 1 << 0,
       PCI_CMD_MEM = 1 << 1,
       PCI_CMD_MASTER = 1 << 2,
       PCI_CMD_PARITY = 1 << 6,
       PCI_CMD_SERR = 1 << 8,
       PCI_CMD_INTX_OFF = 1 << 10,
};

enum { /* PCI_STATUS */
       PCI_STS_INTX = 1 << 3,
       PCI_STS_CAPS = 1 << 4,
       PCI_STS_FAST_B2B = 1 << 7,
       PCI_STS_DEVSEL_MEDIUM = 1 << 9,
       PCI_STS_MASTER_ABORT = 1 << 13, /* received */
       PCI_STS_W1C = 0xf900,
};

enum { PCI_CAP_MSI = 0x05, PCI_CAP_VENDOR = 0x09, PCI_CAP_MSIX = 0x11 };

/* RAM, ROM and the chips of the mainboard are mapped at 0 and above and win
   over what a guest puts into a base address register. */
#define PCI_BAR_PRIORITY (-10)

struct pci_dev;
struct pci_msix;

/* One register, for tables. */
struct pci_reg {
    uint8_t off, bytes; /* bytes 1 to 4 */
    uint32_t reset;     /* value after reset */
    uint32_t writable;  /* bits software can change */
    uint32_t w1c;       /* bits that writing a 1 clears */
};
#define PCI_REG_END                                                            \
    {                                                                          \
        0, 0, 0, 0, 0                                                          \
    }

struct pci_id {
    uint16_t vendor, device;
    uint32_t class_code; /* class, sub-class, interface: 24 bits */
    uint8_t revision;
    uint16_t subvendor, subdevice;
    uint8_t pin;                /* 0: no interrupt; 1 to 4: INTA# to INTD# */
    const struct pci_reg *regs; /* device-specific, or other than usual */
};

struct pci_ops {
    /* After software wrote config[off..off+bytes). Bytes 1, 2 or 4. */
    void (*written)(struct pci_dev *p, unsigned off, unsigned bytes);
    /* Before config[off..off+bytes) is read: bring it up to date. */
    void (*reading)(struct pci_dev *p, unsigned off, unsigned bytes);
};

enum pci_bar_kind {
    PCI_BAR_IO = 0x1,
    PCI_BAR_MEM32 = 0x0,
    PCI_BAR_MEM64 = 0x4, /* takes the next BAR, too */
    PCI_BAR_PREFETCH = 0x8,
};

struct pci_bar {
    struct region *region; /* borrowed; NULL: not there */
    uint8_t kind;
};

enum { PCI_BAR_ROM = 6, PCI_NBARS = 7 };

/* An MSI or MSI-X vector's last message and, when the same came before, its
   route (struct msi_routes). All zero: none was sent. */
struct pci_vector {
    uint64_t address;
    uint32_t data;
    uint8_t way; /* of the message: hw/bus/pci_vector.c */
    struct msi_route *route;
};

struct pci_dev {
    uint32_t slot; /* a property: the slot wanted, 0: any free one */

    /* Set by pci_attach(). */
    struct dev *dev;
    struct pci_bus *bus;
    const struct pci_ops *ops;
    uint8_t devfn;

    uint8_t config[256];
    uint8_t reset[256], wmask[256], w1c[256];
    struct pci_bar bar[PCI_NBARS];
    struct pci_msix *msix;        /* or NULL */
    uint8_t msi;                  /* offset of the capability, or 0 */
    struct pci_vector msi_vector; /* its first */
    uint8_t cap_last, cap_end;
    bool intx;       /* what the device asks of its interrupt pin */
    bool intx_wired; /* what the bus sees of it */
};
extern const struct field pci_fields[];

/*
 * Puts p on the bus of d->env. devfn -1: p->slot, or the first free slot when
 * that is 0. ops may be NULL. -LE_BUSY when the place is taken, -LE_NOSPACE
 * when there is none, -LE_STATE without a bus.
 */
int pci_attach(struct pci_dev *p, struct dev *d, const struct pci_id *id,
               const struct pci_ops *ops, int devfn, struct err *e);
void pci_detach(struct pci_dev *p);
/* Also its MSI and MSI-X. */
void pci_reset(struct pci_dev *p);
/* config[] came from a snapshot: puts back what is read-only, maps BARs,
   drives the interrupt pin. Also for its MSI and MSI-X. */
int pci_loaded(struct pci_dev *p);

/*
 * BAR n is r, whose size is a power of two: 4 to 256 for I/O, 16 bytes and up
 * for memory. PCI_BAR_ROM: an expansion ROM of 2 KB to 16 MB. A mistake here
 * is the caller's: -LE_USAGE.
 */
int pci_add_bar(struct pci_dev *p, unsigned n, unsigned kind, struct region *r);
/* Where BAR n is mapped now; false when it is not decoded. */
bool pci_bar_base(const struct pci_dev *p, unsigned n, uint64_t *base);

/* A capability of len bytes; returns its offset, or 0 without room. Its body
   is zero and read-only until pci_set_reg(). */
uint8_t pci_add_cap(struct pci_dev *p, uint8_t id, unsigned len);
void pci_set_reg(struct pci_dev *p, struct pci_reg r);

/* The device's interrupt pin; a level. Quiet while MSI or MSI-X is on. */
void pci_set_intx(struct pci_dev *p, bool level);

/*
 * DMA. Like space_load() and so on, but -LE_STATE while software has bus
 * mastering off; a target that is no RAM sets "received master abort".
 */
bool pci_is_master(const struct pci_dev *p);
int pci_load(struct pci_dev *p, gpa_t a, void *buf, size_t n);
int pci_store(struct pci_dev *p, gpa_t a, const void *buf, size_t n);
int pci_span(struct pci_dev *p, gpa_t a, size_t n, struct span *ram);

/* --- MSI: PCI 3.0 §6.8.1; 64-bit addresses, per-vector masking --- */
/* vectors: 1, 2, 4, 8, 16 or 32. */
int pci_msi_init(struct pci_dev *p, unsigned vectors, struct err *e);
bool pci_msi_on(const struct pci_dev *p);
/* Vector n of those granted; masked: remembered as pending. */
void pci_msi_send(struct pci_dev *p, unsigned n);

/* --- MSI-X: PCI 3.0 §6.8.2 --- */
enum { PCI_MSIX_MAX = 128 };
/* Table and pending bits share one BAR of 4 KB: table at 0, bits at 0x800. */
struct pci_msix {
    struct pci_dev *pci;
    struct region region;
    uint16_t count;
    uint8_t cap;
    uint8_t table[PCI_MSIX_MAX * 16];
    uint8_t pba[PCI_MSIX_MAX / 8];
    struct pci_vector vector[PCI_MSIX_MAX];
};
extern const struct field pci_msix_fields[];

int pci_msix_init(struct pci_msix *m, struct pci_dev *p, unsigned vectors,
                  unsigned bar, struct err *e);
bool pci_msix_on(const struct pci_dev *p);
void pci_msix_send(struct pci_dev *p, unsigned n);
/* Forgets that n is pending: its cause is gone. */
void pci_msix_clear(struct pci_dev *p, unsigned n);

/* --- the bus; embedded in a host bridge --- */
struct pci_bus {
    struct env *env;    /* whose spaces BARs are mapped in */
    unsigned swizzle;   /* PIRQ = (slot + pin A=0 + swizzle) mod 4 */
    struct irq pirq[4]; /* set by the interrupt router; level-driven */
    struct pci_dev *dev[256];
    uint64_t asserted[4][4]; /* who asserts PIRQ i: a bit each devfn */
    /* The reset control register among the configuration ports (0xcf9), set
       by the south bridge. */
    uint8_t (*rcr_read)(void *ctx);
    void (*rcr_write)(void *ctx, uint8_t v);
    void *rcr_ctx;
};

void pci_bus_init(struct pci_bus *b, struct env *env, unsigned swizzle);
/* Drives all PIRQs as they stand: after the router was set or changed. */
void pci_bus_reroute(struct pci_bus *b);
/* Which PIRQ (0 to 3) the pin (1 to 4) of a slot is wired to. */
unsigned pci_bus_pirq(const struct pci_bus *b, unsigned slot, unsigned pin);

/* Configuration cycles, bytes 1, 2 or 4, within one dword (else all ones,
   ignored). Nobody at devfn: all ones. */
uint32_t pci_config_read(struct pci_bus *b, uint8_t devfn, unsigned off,
                         unsigned bytes);
void pci_config_write(struct pci_bus *b, uint8_t devfn, unsigned off,
                      uint32_t v, unsigned bytes);

/* --- configuration mechanism #1: PCI 3.0 §3.2.2.3.2; ports 0xcf8–0xcff --- */
struct pci_conf1 {
    struct pci_bus *bus;
    struct region region;
    uint32_t address; /* CONFIG_ADDRESS */
};
int pci_conf1_init(struct pci_conf1 *c, struct pci_bus *b);
void pci_conf1_exit(struct pci_conf1 *c);

/*
 * What firmware does, for machines that start a kernel without one: gives
 * every BAR an address in the windows (ends exclusive), routes PIRQs A to D
 * to the interrupts in irq[] (level-triggered from then on) and tells each
 * device its line. Call after reset. -LE_NOSPACE when a window is too small.
 */
struct pci_plan {
    uint64_t io, io_end, mem, mem_end;
    uint8_t irq[4];
};
int pci_bus_assign(struct pci_bus *b, const struct pci_plan *plan,
                   struct err *e);

#endif
