#include "hw/usb/usb.h"

#include "base/endian.h"
#include "base/libc.h"

enum { /* setup->type */
       DIR_IN = 0x80,
       TYPE_MASK = 0x60,
       TYPE_STANDARD = 0,
       TO_MASK = 0x1f,
       TO_DEVICE = 0,
       TO_INTERFACE = 1,
       TO_ENDPOINT = 2,
};
enum { /* setup->request */
       GET_STATUS = 0,
       CLEAR_FEATURE = 1,
       SET_FEATURE = 3,
       SET_ADDRESS = 5,
       GET_DESCRIPTOR = 6,
       GET_CONFIGURATION = 8,
       SET_CONFIGURATION = 9,
       GET_INTERFACE = 10,
       SET_INTERFACE = 11,
};
enum { DESC_DEVICE = 1, DESC_CONFIG = 2, DESC_STRING = 3 };
enum { FEATURE_HALT = 0, FEATURE_WAKEUP = 1 };
enum { LANGUAGE = 0x0409 }; /* English (United States) */

int usb_plug(struct usb_function *f, struct env *env, struct err *e)
{
    struct usb_bus *b = env->usb;

    if (!b)
        return err_set(e, LE_STATE, "there is no USB controller to plug into");
    for (unsigned i = 0; i < USB_PORTS; i++) {
        if (b->port[i])
            continue;
        b->port[i] = f;
        f->bus = b;
        f->port = i;
        b->changed(b, i);
        return 0;
    }
    return err_set(e, LE_NOSPACE, "all %d USB ports are taken", USB_PORTS);
}

void usb_unplug(struct usb_function *f)
{
    struct usb_bus *b = f->bus;

    if (!b)
        return;
    f->bus = NULL;
    b->port[f->port] = NULL;
    b->changed(b, f->port);
}

void usb_wake(struct usb_function *f, unsigned ep)
{
    if (f->bus)
        f->bus->wake(f->bus, f->port, ep);
}

void usb_reset(struct usb_function *f)
{
    f->configuration = 0;
    f->remote_wakeup = 0;
    f->halted[0] = f->halted[1] = 0;
    if (f->ops->reset)
        f->ops->reset(f);
}

/* --- standard requests --- */

static int give(uint8_t *to, const void *from, unsigned n, unsigned most)
{
    n = MIN(n, most);
    memcpy(to, from, n);
    return (int)n;
}

/* A string descriptor: its length, its kind, UTF-16. */
static int give_string(const struct usb_function *f, unsigned index,
                       uint8_t *buf, unsigned most)
{
    uint8_t d[256] = {4, DESC_STRING};
    const char *text;
    size_t n;

    if (index == 0) {
        store_le16(d + 2, LANGUAGE);
        return give(buf, d, 4, most);
    }
    for (unsigned i = 0; i < index; i++)
        if (!f->desc->strings[i])
            return USB_STALL;
    text = f->desc->strings[index - 1];
    n = MIN(strlen(text), (size_t)126);
    d[0] = (uint8_t)(2 + 2 * n);
    for (size_t i = 0; i < n; i++)
        d[2 + 2 * i] = (uint8_t)text[i];
    return give(buf, d, d[0], most);
}

static int get_descriptor(struct usb_function *f, const struct usb_setup *s,
                          uint8_t *buf)
{
    const struct usb_descriptors *d = f->desc;

    switch (s->value >> 8) {
    case DESC_DEVICE: return give(buf, d->device, 18, s->length);
    case DESC_CONFIG:
        return s->value & 0xff ? USB_STALL
                               : give(buf, d->config, d->config_len, s->length);
    case DESC_STRING: return give_string(f, s->value & 0xff, buf, s->length);
    default: return USB_STALL;
    }
}

static uint16_t *halts(struct usb_function *f, uint16_t endpoint)
{
    return &f->halted[endpoint >> 7 & 1];
}

static int get_status(struct usb_function *f, const struct usb_setup *s,
                      uint8_t *buf)
{
    uint8_t status[2] = {0};

    if ((s->type & TO_MASK) == TO_DEVICE)
        status[0] = (uint8_t)(f->remote_wakeup << 1);
    else if ((s->type & TO_MASK) == TO_ENDPOINT)
        status[0] = *halts(f, s->index) >> (s->index & 15) & 1;
    return give(buf, status, 2, s->length);
}

static int feature(struct usb_function *f, const struct usb_setup *s, bool on)
{
    uint16_t bit = (uint16_t)(1u << (s->index & 15));

    if ((s->type & TO_MASK) == TO_DEVICE && s->value == FEATURE_WAKEUP) {
        f->remote_wakeup = on;
        return 0;
    }
    if ((s->type & TO_MASK) != TO_ENDPOINT || s->value != FEATURE_HALT)
        return USB_STALL;
    *halts(f, s->index) =
        (uint16_t)(on ? *halts(f, s->index) | bit : *halts(f, s->index) & ~bit);
    return 0;
}

static int set_configuration(struct usb_function *f, const struct usb_setup *s)
{
    uint8_t wanted = (uint8_t)s->value;

    if (wanted && wanted != f->desc->config[5])
        return USB_STALL;
    f->configuration = wanted;
    f->halted[0] = f->halted[1] = 0;
    return 0;
}

static int standard(struct usb_function *f, const struct usb_setup *s,
                    uint8_t *buf)
{
    uint8_t zero = 0;

    switch (s->request) {
    case GET_STATUS: return get_status(f, s, buf);
    case CLEAR_FEATURE: return feature(f, s, false);
    case SET_FEATURE: return feature(f, s, true);
    case SET_ADDRESS: return 0; /* the controller's matter */
    case GET_CONFIGURATION: return give(buf, &f->configuration, 1, s->length);
    case SET_CONFIGURATION: return set_configuration(f, s);
    case GET_INTERFACE: return give(buf, &zero, 1, s->length);
    case SET_INTERFACE: return s->value ? USB_STALL : 0;
    default: return USB_STALL;
    }
}

int usb_control(struct usb_function *f, const struct usb_setup *s, uint8_t *buf)
{
    int n;

    if ((s->type & TYPE_MASK) != TYPE_STANDARD)
        return f->ops->control(f, s, buf);
    if (s->request != GET_DESCRIPTOR)
        return standard(f, s, buf);
    n = (s->type & TO_MASK) == TO_DEVICE ? get_descriptor(f, s, buf)
                                         : USB_STALL;
    return n == USB_STALL ? f->ops->control(f, s, buf) : n;
}

int usb_in(struct usb_function *f, unsigned ep, uint8_t *buf, unsigned n)
{
    if (!f->configuration || !f->ops->in || f->halted[1] >> ep & 1)
        return USB_STALL;
    return f->ops->in(f, ep, buf, n);
}

int usb_out(struct usb_function *f, unsigned ep, const uint8_t *buf, unsigned n)
{
    if (!f->configuration || !f->ops->out || f->halted[0] >> ep & 1)
        return USB_STALL;
    return f->ops->out(f, ep, buf, n);
}

bool usb_valid(const struct usb_function *f)
{
    return !f->configuration || f->configuration == f->desc->config[5];
}

const struct field usb_function_fields[] = {
    FIELD8(struct usb_function, configuration),
    FIELD_MAX(struct usb_function, remote_wakeup, 8, 1),
    FIELD16(struct usb_function, halted),
    FIELD_END,
};
