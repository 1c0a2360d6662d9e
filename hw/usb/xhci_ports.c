/* Root hub ports. §4.19, §5.4.8. */
#include "hw/usb/xhci.h"

static unsigned link_state(const struct xhci *x, unsigned port)
{
    return (x->portsc[port] & PORT_PLS) >> PORT_PLS_SHIFT;
}

static void set_link_state(struct xhci *x, unsigned port, unsigned state)
{
    x->portsc[port] =
        (x->portsc[port] & ~(uint32_t)PORT_PLS) | state << PORT_PLS_SHIFT;
}

/* Sets change bits; the first one that is new is told of. */
static void change(struct xhci *x, unsigned port, uint32_t bits)
{
    bool told = x->portsc[port] & PORT_CHANGES;

    x->portsc[port] |= bits;
    x->status |= STS_PCD;
    if (!told && xhci_running(x))
        xhci_event(x, (uint64_t)(port + 1) << 24, (uint32_t)CC_SUCCESS << 24,
                   (uint32_t)TRB_PORT_EVENT << TRB_TYPE_SHIFT);
}

static struct usb_function *function(struct xhci *x, unsigned port)
{
    return port < USB_PORTS ? x->bus.port[port] : NULL;
}

/* Powered, and what is plugged in is seen but not reset yet. */
static void settle(struct xhci *x, unsigned port)
{
    struct usb_function *f = function(x, port);

    x->portsc[port] &= (uint32_t)(PORT_CHANGES | PORT_WAKES);
    x->portsc[port] |= PORT_PP;
    if (f)
        x->portsc[port] |= PORT_CCS | (uint32_t)f->speed << PORT_SPEED_SHIFT;
    set_link_state(x, port, f ? PLS_POLLING : PLS_RX_DETECT);
}

void xhci_ports_reset(struct xhci *x)
{
    for (unsigned i = 0; i < XHCI_PORTS; i++) {
        x->portsc[i] = x->portpm[i] = 0;
        settle(x, i);
        if (function(x, i))
            x->portsc[i] |= PORT_CSC;
    }
}

void xhci_port_changed(struct xhci *x, unsigned port)
{
    settle(x, port);
    change(x, port, PORT_CSC);
}

static void reset_port(struct xhci *x, unsigned port)
{
    struct usb_function *f = function(x, port);

    if (!f)
        return;
    usb_reset(f);
    set_link_state(x, port, PLS_U0);
    x->portsc[port] |= PORT_PED;
    change(x, port, PORT_PRC);
}

static void write_link(struct xhci *x, unsigned port, unsigned wanted)
{
    if (!(x->portsc[port] & PORT_PED))
        return;
    if (wanted == PLS_U3)
        set_link_state(x, port, PLS_U3);
    else if (wanted == PLS_RESUME)
        set_link_state(x, port, PLS_RESUME);
    else if (wanted == PLS_U0 && link_state(x, port) != PLS_U0) {
        set_link_state(x, port, PLS_U0);
        change(x, port, PORT_PLC);
        xhci_again(x);
    }
}

void xhci_port_write(struct xhci *x, unsigned port, uint32_t v)
{
    x->portsc[port] &= ~(v & PORT_CHANGES);
    x->portsc[port] =
        (x->portsc[port] & ~(uint32_t)PORT_WAKES) | (v & PORT_WAKES);
    if (!(v & PORT_PP)) { /* no power switch: it stays on, but is disabled */
        settle(x, port);
        return;
    }
    if (v & PORT_PR) {
        reset_port(x, port);
        return;
    }
    if (v & PORT_PED & x->portsc[port]) { /* writing 1 disables */
        x->portsc[port] &= ~(uint32_t)PORT_PED;
        set_link_state(x, port, PLS_POLLING);
        return;
    }
    if (v & PORT_LWS)
        write_link(x, port, (v & PORT_PLS) >> PORT_PLS_SHIFT);
}

void xhci_port_wake(struct xhci *x, unsigned port)
{
    struct usb_function *f = function(x, port);

    if (link_state(x, port) != PLS_U3 || !f || !f->remote_wakeup)
        return;
    set_link_state(x, port, PLS_RESUME);
    change(x, port, PORT_PLC);
}
