/*
 * A USB tablet: an absolute pointer with five buttons and a wheel, so that the
 * guest's pointer is where the person's is. Machine lock held.
 * Spec: Device Class Definition for Human Interface Devices 1.11.
 */
#include "base/endian.h"
#include "base/libc.h"
#include "hw/usb/usb.h"

enum { GET_REPORT = 1, GET_IDLE, GET_PROTOCOL };
enum { SET_REPORT = 9, SET_IDLE, SET_PROTOCOL };
enum { CLASS_IN = 0xa1, CLASS_OUT = 0x21, INTERFACE_IN = 0x81 };
enum { GET_DESCRIPTOR = 6, DESC_HID = 0x21, DESC_REPORT = 0x22 };
enum { REPORT = 6, REPORTS = 16, POINT_MAX = 0x7fff };

/* Buttons 1 to 5, X and Y from 0 to 0x7fff, the wheel. */
static const uint8_t report_descriptor[] = {
    0x05, 0x01, 0x09, 0x02, 0xa1, 0x01, 0x09, 0x01, 0xa1, 0x00, /* a mouse */
    0x05, 0x09, 0x19, 0x01, 0x29, 0x05, 0x15, 0x00, 0x25, 0x01, /* buttons */
    0x95, 0x05, 0x75, 0x01, 0x81, 0x02, 0x95, 0x01, 0x75, 0x03, 0x81, 0x01,
    0x05, 0x01, 0x09, 0x30, 0x09, 0x31, 0x15, 0x00, 0x26, 0xff, 0x7f, /* X, Y */
    0x35, 0x00, 0x46, 0xff, 0x7f, 0x75, 0x10, 0x95, 0x02, 0x81, 0x02, 0x09,
    0x38, 0x15, 0x81, 0x25, 0x7f, 0x35, 0x00, 0x45, 0x00, /* wheel */
    0x75, 0x08, 0x95, 0x01, 0x81, 0x06, 0xc0, 0xc0,
};

static const uint8_t device_descriptor[18] = {
    18,   1,    0x00, 0x02, 0, 0, 0, 8, /* USB 2.0, packets of 8 on pipe 0 */
    0x09, 0x12, 0x01, 0x00,             /* pid.codes, a test product */
    0x00, 0x01, 1,    2,    0, 1,       /* strings 1 and 2, one configuration */
};

static const uint8_t config_descriptor[] = {
    9,  2,        34,          0,
    1,  1,        0,           0xa0,
    50, /* one interface, remote wake-up */
    9,  4,        0,           0,
    1,  3,        0,           0,
    0, /* HID, no boot protocol */
    9,  DESC_HID, 0x11,        0x01,
    0,  1,        DESC_REPORT, sizeof report_descriptor,
    0,  7,        5,           0x81,
    3,  8,        0,           8, /* interrupt IN 1, 8 bytes, every 8 ms */
};

static const char *const strings[] = {"Lodge", "Tablet", NULL};

static const struct usb_descriptors descriptors = {
    .device = device_descriptor,
    .config = config_descriptor,
    .config_len = sizeof config_descriptor,
    .strings = strings,
};

struct tablet {
    struct dev dev;
    struct usb_function usb;
    uint8_t queue[REPORTS][REPORT]; /* oldest first */
    uint8_t queued;
    uint8_t now[REPORT]; /* as last said */
    uint8_t idle, protocol;
};

/* --- from the screen --- */

/* Motion joins what waits, unless a button changed in between. */
static void enqueue(struct tablet *t, const uint8_t *report, int wheel)
{
    uint8_t *last = t->queued ? t->queue[t->queued - 1] : NULL;
    uint8_t *to = last;

    if (!last || last[0] != report[0] || wheel) {
        if (t->queued == REPORTS) /* nobody listens: the oldest go */
            memmove(t->queue[0], t->queue[1], (REPORTS - 1) * REPORT);
        else
            t->queued++;
        to = t->queue[t->queued - 1];
        to[5] = 0;
    }
    memcpy(to, report, 5);
    to[5] = (uint8_t)(to[5] | (uint8_t)wheel);
}

static void on_point(void *pointer, unsigned x, unsigned y, int wheel,
                     unsigned buttons)
{
    struct tablet *t = pointer;
    uint8_t report[REPORT] = {(uint8_t)(buttons & 0x1f)};

    store_le16(report + 1, (uint16_t)(MIN(x, (unsigned)INPUT_POINT_MAX) >> 1));
    store_le16(report + 3, (uint16_t)(MIN(y, (unsigned)INPUT_POINT_MAX) >> 1));
    wheel = wheel > 127 ? -127 : wheel < -127 ? 127 : -wheel; /* up is plus */
    if (!wheel && !memcmp(report, t->now, 5))
        return;
    memcpy(t->now, report, 5);
    enqueue(t, report, wheel);
    usb_wake(&t->usb, 1);
}

static bool on_pointing(void *pointer)
{
    return ((struct tablet *)pointer)->usb.configuration != 0;
}

/* --- to the guest --- */

static int give(uint8_t *to, const uint8_t *from, unsigned n, unsigned most)
{
    n = MIN(n, most);
    memcpy(to, from, n);
    return (int)n;
}

static int tablet_descriptor(const struct usb_setup *s, uint8_t *buf)
{
    if (s->value >> 8 == DESC_REPORT)
        return give(buf, report_descriptor, sizeof report_descriptor,
                    s->length);
    if (s->value >> 8 == DESC_HID)
        return give(buf, config_descriptor + 18, 9, s->length);
    return USB_STALL;
}

static int tablet_get(struct tablet *t, const struct usb_setup *s, uint8_t *buf)
{
    switch (s->request) {
    case GET_REPORT: return give(buf, t->now, REPORT, s->length);
    case GET_IDLE: return give(buf, &t->idle, 1, s->length);
    case GET_PROTOCOL: return give(buf, &t->protocol, 1, s->length);
    default: return USB_STALL;
    }
}

static int tablet_set(struct tablet *t, const struct usb_setup *s)
{
    switch (s->request) {
    case SET_REPORT: return 0;
    case SET_IDLE: t->idle = (uint8_t)(s->value >> 8); return 0;
    case SET_PROTOCOL: t->protocol = s->value & 1; return 0;
    default: return USB_STALL;
    }
}

static int tablet_control(struct usb_function *f, const struct usb_setup *s,
                          uint8_t *buf)
{
    struct tablet *t = container_of(f, struct tablet, usb);

    if (s->type == INTERFACE_IN && s->request == GET_DESCRIPTOR)
        return tablet_descriptor(s, buf);
    if (s->type == CLASS_IN)
        return tablet_get(t, s, buf);
    return s->type == CLASS_OUT ? tablet_set(t, s) : USB_STALL;
}

static int tablet_in(struct usb_function *f, unsigned ep, uint8_t *buf,
                     unsigned n)
{
    struct tablet *t = container_of(f, struct tablet, usb);
    int given;

    if (ep != 1)
        return USB_STALL;
    if (!t->queued)
        return USB_NAK;
    given = give(buf, t->queue[0], REPORT, n);
    t->queued--;
    memmove(t->queue[0], t->queue[1], (size_t)t->queued * REPORT);
    return given;
}

static void tablet_bus_reset(struct usb_function *f)
{
    struct tablet *t = container_of(f, struct tablet, usb);

    t->queued = 0;
    t->idle = 0;
    t->protocol = 1;
    memset(t->now, 0, sizeof t->now);
}

static const struct usb_ops tablet_usb = {
    .control = tablet_control,
    .in = tablet_in,
    .reset = tablet_bus_reset,
};

/* --- the device --- */

static int tablet_attach(struct dev *d, struct env *env, struct err *e)
{
    struct tablet *t = container_of(d, struct tablet, dev);
    int rc;

    d->env = env;
    t->usb.ops = &tablet_usb;
    t->usb.desc = &descriptors;
    t->usb.speed = USB_FULL;
    rc = usb_plug(&t->usb, env, e);
    if (rc)
        return rc;
    env->input.point = on_point;
    env->input.pointing = on_pointing;
    env->input.pointer = t;
    return 0;
}

static void tablet_reset(struct dev *d, bool cold UNUSED)
{
    usb_reset(&container_of(d, struct tablet, dev)->usb);
}

static int tablet_loaded(struct dev *d, uint16_t version UNUSED)
{
    return usb_valid(&container_of(d, struct tablet, dev)->usb) ? 0
                                                                : -LE_FORMAT;
}

static void tablet_detach(struct dev *d)
{
    struct tablet *t = container_of(d, struct tablet, dev);

    d->env->input.point = NULL;
    d->env->input.pointing = NULL;
    d->env->input.pointer = NULL;
    usb_unplug(&t->usb);
}

static const struct field tablet_fields[] = {
    FIELD_SUB(struct tablet, usb, struct usb_function, usb_function_fields),
    FIELD_RAW(struct tablet, queue),
    FIELD_MAX(struct tablet, queued, 8, REPORTS),
    FIELD_RAW(struct tablet, now),
    FIELD8(struct tablet, idle),
    FIELD_MAX(struct tablet, protocol, 8, 1),
    FIELD_END,
};

extern const struct dev_class usb_tablet_class;
const struct dev_class usb_tablet_class = {
    .name = "usb-tablet",
    .summary = "absolute pointer on USB",
    .spec = "Device Class Definition for HID 1.11",
    .size = sizeof(struct tablet),
    .state = tablet_fields,
    .version = 1,
    .attach = tablet_attach,
    .reset = tablet_reset,
    .loaded = tablet_loaded,
    .detach = tablet_detach,
};
