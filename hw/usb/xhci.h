/*
 * The parts of the xHCI host controller, for its files alone. Machine lock
 * held. Spec: eXtensible Host Controller Interface 1.1; sections below are its.
 */
#ifndef HW_USB_XHCI_H
#define HW_USB_XHCI_H

#include "hw/usb/usb.h"
#include "lodge/pci.h"

enum {
    XHCI_SLOTS = 8,
    XHCI_ENDPOINTS = 31,        /* device context indices 1 to 31, less 1 */
    XHCI_PORTS = 2 * USB_PORTS, /* USB 2 first; the USB 3 ones stay empty */
    XHCI_BUFFER = 4096,         /* bytes that one transfer moves at most */
    XHCI_CAP_SIZE = 0x40,       /* where the operational registers begin */
    XHCI_PORT_REGS = 0x400,     /* from there on */
    XHCI_RUNTIME = 0x1000,
    XHCI_DOORBELLS = 0x2000,
    XHCI_BAR_SIZE = 0x4000,
};

enum { /* USBCMD, §5.4.1 */
       CMD_RUN = 1 << 0,
       CMD_RESET = 1 << 1,
       CMD_INTE = 1 << 2,
       CMD_SAVE = 1 << 8,
       CMD_RESTORE = 1 << 9,
       CMD_KEPT = 0xd0d,
};
enum { /* USBSTS, §5.4.2 */
       STS_HALTED = 1 << 0,
       STS_HSE = 1 << 2,
       STS_EINT = 1 << 3,
       STS_PCD = 1 << 4,
       STS_SRE = 1 << 10,
       STS_W1C = STS_HSE | STS_EINT | STS_PCD | STS_SRE,
};
enum { /* PORTSC, §5.4.8 */
       PORT_CCS = 1 << 0,
       PORT_PED = 1 << 1,
       PORT_PR = 1 << 4,
       PORT_PLS = 0xf << 5,
       PORT_PLS_SHIFT = 5,
       PORT_PP = 1 << 9,
       PORT_SPEED_SHIFT = 10,
       PORT_LWS = 1 << 16,
       PORT_CSC = 1 << 17,
       PORT_PRC = 1 << 21,
       PORT_PLC = 1 << 22,
       PORT_CHANGES = 0x7f << 17,
       PORT_WAKES = 7 << 25,
};
enum {
    PLS_U0 = 0,
    PLS_U3 = 3,
    PLS_RX_DETECT = 5,
    PLS_POLLING = 7,
    PLS_RESUME = 15
};

enum trb_type { /* §6.4.6 */
                TRB_NORMAL = 1,
                TRB_SETUP,
                TRB_DATA,
                TRB_STATUS,
                TRB_ISOCH,
                TRB_LINK,
                TRB_EVENT_DATA,
                TRB_NOOP,
                TRB_ENABLE_SLOT,
                TRB_DISABLE_SLOT,
                TRB_ADDRESS_DEVICE,
                TRB_CONFIGURE,
                TRB_EVALUATE,
                TRB_RESET_ENDPOINT,
                TRB_STOP_ENDPOINT,
                TRB_SET_DEQUEUE,
                TRB_RESET_DEVICE,
                TRB_NOOP_COMMAND = 23,
                TRB_TRANSFER_EVENT = 32,
                TRB_COMMAND_EVENT,
                TRB_PORT_EVENT,
                TRB_HOST_EVENT = 37,
};
enum { /* in control */
       TRB_CYCLE = 1 << 0,
       TRB_TOGGLE = 1 << 1, /* Link */
       TRB_ISP = 1 << 2,    /* report short packets */
       TRB_ED = 1 << 2,     /* a transfer event of an Event Data TRB */
       TRB_CHAIN = 1 << 4,
       TRB_IOC = 1 << 5,
       TRB_IDT = 1 << 6, /* the parameter is the data */
       TRB_BSR = 1 << 9, /* Address Device: without asking the device */
       TRB_DC = 1 << 9,  /* Configure Endpoint: all away */
       TRB_TYPE_SHIFT = 10,
       TRB_DIR_IN = 1 << 16,
};
enum completion { /* §6.4.5 */
                  CC_SUCCESS = 1,
                  CC_TRB = 5,
                  CC_STALL = 6,
                  CC_NO_SLOTS = 9,
                  CC_NO_SLOT = 11,
                  CC_NO_ENDPOINT = 12,
                  CC_SHORT = 13,
                  CC_PARAMETER = 17,
                  CC_CONTEXT_STATE = 19,
                  CC_RING_FULL = 21,
                  CC_COMMAND_STOPPED = 24,
};

struct trb {
    uint64_t parameter;
    uint32_t status, control;
    gpa_t at; /* where it was */
};

struct xhci_ring {
    uint64_t at;   /* the next TRB */
    uint8_t cycle; /* that it has when it is ours */
};
extern const struct field xhci_ring_fields[];

enum endpoint_state {
    EP_DISABLED,
    EP_RUNNING,
    EP_HALTED,
    EP_STOPPED,
    EP_ERROR
}; /* §6.2.3, table 57 */
enum endpoint_type {
    EP_BULK_OUT = 2,
    EP_INT_OUT,
    EP_CONTROL,
    EP_BULK_IN = 6,
    EP_INT_IN
};

struct xhci_endpoint {
    struct xhci_ring ring;
    uint8_t state, type;
    /* Control endpoints: the request under way. */
    uint8_t stage; /* enum stage, xhci_transfer.c */
    uint8_t setup[8];
    uint32_t moved; /* data bytes of it so far */
};
extern const struct field xhci_endpoint_fields[];

enum slot_state { SLOT_ENABLED, SLOT_DEFAULT, SLOT_ADDRESSED, SLOT_CONFIGURED };

struct xhci_slot {
    bool enabled;
    uint8_t state; /* enum slot_state */
    uint8_t port;  /* from 1; 0: none */
    struct xhci_endpoint ep[XHCI_ENDPOINTS];
};
extern const struct field xhci_slot_fields[];

struct xhci {
    struct dev dev;
    struct pci_dev pci;
    struct usb_bus bus;
    struct region bar;
    struct timer more; /* rings were too long for one go */
    struct ratelimit ratelimit;

    uint32_t command, status, notify, config;
    uint64_t context_table; /* DCBAAP */
    uint64_t crcr;          /* as written; the ring's start */
    bool commands;          /* the command ring is running */
    struct xhci_ring command_ring;
    uint32_t portsc[XHCI_PORTS], portpm[XHCI_PORTS];
    struct xhci_slot slot[XHCI_SLOTS];

    /* Interrupter 0 and its event ring. */
    uint32_t management, moderation, table_size;
    uint64_t table, dequeue; /* ERSTBA; ERDP without its flags */
    bool busy;               /* ERDP: event handler busy */
    uint64_t ring_base;
    uint32_t ring_size, ring_at; /* TRBs */
    uint8_t ring_cycle;

    uint8_t buffer[XHCI_BUFFER];
};

/* --- xhci.c --- */
/* What software asks for cannot be: all stops until a reset. */
void xhci_die(struct xhci *x, const char *why);
bool xhci_running(const struct xhci *x);
/* The function in a slot's port, or NULL. */
struct usb_function *xhci_function(struct xhci *x, const struct xhci_slot *s);
void xhci_again(struct xhci *x); /* look at all rings once more, soon */

/* --- xhci_ports.c --- */
void xhci_ports_reset(struct xhci *x);
void xhci_port_write(struct xhci *x, unsigned port, uint32_t v);
void xhci_port_changed(struct xhci *x, unsigned port);
/* USB 2 port of a wake-up; resumes it when it sleeps. */
void xhci_port_wake(struct xhci *x, unsigned port);

/* --- xhci_ring.c --- */
/* The next TRB of a ring, through links. 1: taken; 0: there is none; -1: the
   ring is broken. */
int xhci_next(struct xhci *x, struct xhci_ring *r, struct trb *out);
void xhci_event(struct xhci *x, uint64_t parameter, uint32_t status,
                uint32_t control);
void xhci_start_events(struct xhci *x); /* the table was written */
/* Raises or drops the interrupt as the registers stand. */
void xhci_interrupt(struct xhci *x);

/* --- xhci_command.c --- */
void xhci_run_commands(struct xhci *x);
/* Writes an endpoint's state and ring into its context in memory. */
void xhci_put_endpoint(struct xhci *x, unsigned slot, unsigned ep);

/* --- xhci_transfer.c --- */
/* slot from 0; ep: device context index less 1. */
void xhci_run_endpoint(struct xhci *x, unsigned slot, unsigned ep);
void xhci_stop_endpoint(struct xhci_endpoint *ep, enum endpoint_state state);

#endif
