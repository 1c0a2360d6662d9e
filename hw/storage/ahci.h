/*
 * Serial ATA controller: AHCI 1.3.1, as the ICH9 has it (316972, chapter 14):
 * six ports, 32 commands each, queued ones included. ahci.c is the host bus
 * adapter and its PCI function, ahci_port.c a port. Machine lock held.
 *
 * Commands are fetched only while nothing else stands in their way and carried
 * out to their end, so that between commands there is nothing but registers.
 */
#ifndef HW_STORAGE_AHCI_H
#define HW_STORAGE_AHCI_H

#include "hw/storage/ata.h"
#include "lodge/pci.h"

enum { AHCI_PORTS = 6, AHCI_SLOTS = 32, AHCI_BUF = 65536 };
enum { AHCI_PORT_BASE = 0x100, AHCI_PORT_BYTES = 0x80 };

struct ahci;

struct ahci_slot {
    struct ata_task task;
    struct ahci_port *port;
    uint16_t flags; /* of the command header */
    uint16_t prds, next_prd;
    uint64_t table; /* the command table */
    uint64_t prd_addr;
    uint32_t prd_left;
    uint32_t moved;
    bool queued;
};

struct ahci_port {
    struct ahci *hba;
    unsigned n;
    struct ata_drive drive;
    struct ahci_slot *slot; /* AHCI_SLOTS of them; NULL: nothing attached */
    uint8_t *bufs;
    uint32_t running;  /* slots with a task */
    uint32_t dropping; /* those of them that were told to end */
    bool fetching, again;
    bool settling; /* reset or stopped: waits for dropping to end */

    uint64_t clb, fb;
    uint32_t is, ie, cmd, tfd, sig, ssts, sctl, serr, sact, ci;
    bool halted;         /* by an error, until ST is cleared */
    bool comreset, srst; /* in reset */
};
extern const struct field ahci_port_fields[];

struct ahci {
    struct dev dev;
    struct pci_dev pci;
    struct ata_unit unit[AHCI_PORTS];
    struct region region;
    struct ahci_port port[AHCI_PORTS];
    bool paused;
    bool resetting; /* GHC.HR is set */
    bool ie;        /* GHC.IE */
    uint32_t is;
};

/* PxIS & PxIE has changed. */
void ahci_update(struct ahci *s);
/* A port has come to rest. */
void ahci_settled(struct ahci *s);

int ahci_port_init(struct ahci_port *p, struct ahci *s, unsigned n,
                   struct err *e);
void ahci_port_exit(struct ahci_port *p);
/* Drops what is under way. True: nothing is, or no more. */
bool ahci_port_drop(struct ahci_port *p);
/* Registers and drive as after power-on; nothing is under way. */
void ahci_port_reset(struct ahci_port *p);
uint32_t ahci_port_read(struct ahci_port *p, unsigned off);
void ahci_port_write(struct ahci_port *p, unsigned off, uint32_t v);
/* Fetches commands if there are any to be fetched. */
void ahci_port_go(struct ahci_port *p);
int ahci_port_loaded(struct ahci_port *p);

#endif
