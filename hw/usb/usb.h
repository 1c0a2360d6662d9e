/*
 * USB devices as a host controller sees them: what is said on control pipe 0
 * that is the same for all (standard requests, from descriptors), and transfers
 * on the others. Machine lock held. Spec: Universal Serial Bus 2.0, chapter 9.
 */
#ifndef HW_USB_USB_H
#define HW_USB_USB_H

#include "lodge/device.h"

enum usb_speed { USB_FULL = 1, USB_LOW, USB_HIGH, USB_SUPER }; /* as xHCI's */

/* Instead of a number of bytes. */
enum { USB_NAK = -1, USB_STALL = -2 };

/* Bytes that one control transfer moves at most. */
enum { USB_CONTROL_MAX = 1024 };

struct usb_setup {
    uint8_t type, request;
    uint16_t value, index, length;
};

struct usb_function;

/* What a device is; bytes as they travel. */
struct usb_descriptors {
    const uint8_t *device; /* 18 */
    const uint8_t *config; /* with interfaces and endpoints */
    uint16_t config_len;
    const char *const *strings; /* from 1 on; NULL-terminated */
};

struct usb_ops {
    /* Class and vendor requests, and descriptors that are not above. Data of
       setup->length bytes is at buf, or goes there: returns how many bytes, or
       USB_STALL. */
    int (*control)(struct usb_function *f, const struct usb_setup *setup,
                   uint8_t *buf);
    /* Interrupt and bulk endpoints, 1 to 15: up to n bytes. Number of bytes,
       USB_NAK or USB_STALL. NULL: no such endpoints. */
    int (*in)(struct usb_function *f, unsigned ep, uint8_t *buf, unsigned n);
    int (*out)(struct usb_function *f, unsigned ep, const uint8_t *buf,
               unsigned n);
    void (*reset)(struct usb_function *f); /* a bus reset */
};

struct usb_bus;

struct usb_function {
    /* Filled by the device before usb_plug(). */
    const struct usb_ops *ops;
    const struct usb_descriptors *desc;
    enum usb_speed speed;
    /* The rest is usb.c's. */
    struct usb_bus *bus;
    unsigned port;         /* from 0 */
    uint8_t configuration; /* 0: none yet */
    uint8_t remote_wakeup; /* 0 or 1 */
    uint16_t halted[2];    /* OUT, IN endpoints that answer STALL: a bit each */
};
extern const struct field usb_function_fields[];

enum { USB_PORTS = 4 };

/* A root hub, embedded in a host controller, which fills in the functions. */
struct usb_bus {
    struct usb_function *port[USB_PORTS];
    /* Something is plugged in or taken out. */
    void (*changed)(struct usb_bus *b, unsigned port);
    /* The function may have more to say on IN endpoint ep. */
    void (*wake)(struct usb_bus *b, unsigned port, unsigned ep);
};

/* Into the first free port of env->usb. -LE_STATE: there is no controller;
   -LE_NOSPACE: no port. */
int usb_plug(struct usb_function *f, struct env *env, struct err *e);
void usb_unplug(struct usb_function *f);
void usb_wake(struct usb_function *f, unsigned ep);

/* --- for host controllers --- */
void usb_reset(struct usb_function *f);
/* buf holds USB_CONTROL_MAX bytes; setup->length is not more. Bytes or
   USB_STALL. */
int usb_control(struct usb_function *f, const struct usb_setup *setup,
                uint8_t *buf);
int usb_in(struct usb_function *f, unsigned ep, uint8_t *buf, unsigned n);
int usb_out(struct usb_function *f, unsigned ep, const uint8_t *buf,
            unsigned n);
bool usb_valid(const struct usb_function *f); /* after a load */

#endif
