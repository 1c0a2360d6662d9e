/*
 * Transfer rings: control requests stage by stage, and data on the other
 * endpoints, a transfer descriptor (a chain of TRBs) at a time. §4.11, §3.2.9.
 */
#include "base/endian.h"
#include "base/libc.h"
#include "hw/usb/xhci.h"

enum stage { STAGE_NONE, STAGE_SETUP, STAGE_DATA };
enum { TD_TRBS = 32, GO = 128 /* TRBs of a ring in one go */ };

const struct field xhci_endpoint_fields[] = {
    FIELD_SUB(struct xhci_endpoint, ring, struct xhci_ring, xhci_ring_fields),
    FIELD_MAX(struct xhci_endpoint, state, 8, EP_ERROR),
    FIELD_MAX(struct xhci_endpoint, type, 8, EP_INT_IN),
    FIELD_MAX(struct xhci_endpoint, stage, 8, STAGE_DATA),
    FIELD_RAW(struct xhci_endpoint, setup),
    FIELD_MAX(struct xhci_endpoint, moved, 32, XHCI_BUFFER),
    FIELD_END,
};

/* What is being worked on. */
struct job {
    struct xhci *x;
    struct xhci_endpoint *e;
    struct usb_function *f;
    unsigned slot, ep;
};

static unsigned type_of(const struct trb *t)
{
    return t->control >> TRB_TYPE_SHIFT & 63;
}

static uint32_t length_of(const struct trb *t)
{
    return t->status & 0x1ffff;
}

static void report(const struct job *j, const struct trb *t,
                   enum completion code, uint32_t left)
{
    bool data = type_of(t) == TRB_EVENT_DATA;

    xhci_event(j->x, data ? t->parameter : t->at,
               (uint32_t)code << 24 | (left & 0xffffff),
               (uint32_t)TRB_TRANSFER_EVENT << TRB_TYPE_SHIFT |
                   (data ? TRB_ED : 0) | (j->ep + 1) << 16 |
                   (j->slot + 1) << 24);
}

void xhci_stop_endpoint(struct xhci_endpoint *e, enum endpoint_state state)
{
    e->state = (uint8_t)state;
    e->stage = STAGE_NONE;
    e->moved = 0;
}

static void halt(const struct job *j, const struct trb *t, enum completion code)
{
    xhci_stop_endpoint(j->e, code == CC_STALL ? EP_HALTED : EP_ERROR);
    xhci_put_endpoint(j->x, j->slot, j->ep);
    report(j, t, code, 0);
}

/* A TRB's bytes, to or from p: n of them. */
static int move(const struct job *j, const struct trb *t, uint8_t *p,
                uint32_t n, bool in)
{
    uint8_t immediate[8];

    if (!(t->control & TRB_IDT))
        return in ? pci_store(&j->x->pci, t->parameter, p, n)
                  : pci_load(&j->x->pci, t->parameter, p, n);
    store_le64(immediate, t->parameter);
    if (!in)
        memcpy(p, immediate, MIN(n, (uint32_t)8));
    return 0;
}

/* --- control --- */

static struct usb_setup setup_of(const struct xhci_endpoint *e)
{
    return (struct usb_setup){e->setup[0], e->setup[1], load_le16(e->setup + 2),
                              load_le16(e->setup + 4), load_le16(e->setup + 6)};
}

static void begin_control(const struct job *j, const struct trb *t)
{
    store_le64(j->e->setup, t->parameter);
    j->e->stage = STAGE_SETUP;
    j->e->moved = 0;
    if (load_le16(j->e->setup + 6) > USB_CONTROL_MAX)
        halt(j, t, CC_STALL);
    else if (t->control & TRB_IOC)
        report(j, t, CC_SUCCESS, 0);
}

/* Bytes that the function has for an IN request, asked for again with each
   TRB: such requests change nothing. */
static int fetch(const struct job *j)
{
    struct usb_setup s = setup_of(j->e);

    return usb_control(j->f, &s, j->x->buffer);
}

static void control_in(const struct job *j, const struct trb *t)
{
    int have = fetch(j);
    uint32_t want = length_of(t), n;

    if (have < 0) {
        halt(j, t, CC_STALL);
        return;
    }
    n = MIN(want, (uint32_t)have - MIN(j->e->moved, (uint32_t)have));
    if (move(j, t, j->x->buffer + j->e->moved, n, true)) {
        halt(j, t, CC_TRB);
        return;
    }
    j->e->moved += n;
    j->e->stage = STAGE_DATA;
    if (n < want && t->control & (TRB_ISP | TRB_IOC))
        report(j, t, CC_SHORT, want - n);
    else if (t->control & TRB_IOC)
        report(j, t, CC_SUCCESS, 0);
}

/* OUT data waits here until the status stage; no request of ours is longer
   than the buffer, and none is shared between endpoints. */
static void control_out(const struct job *j, const struct trb *t)
{
    uint32_t n = length_of(t);

    if (n > USB_CONTROL_MAX - MIN(j->e->moved, (uint32_t)USB_CONTROL_MAX) ||
        move(j, t, j->x->buffer + j->e->moved, n, false)) {
        halt(j, t, CC_TRB);
        return;
    }
    j->e->moved += n;
    j->e->stage = STAGE_DATA;
    if (t->control & TRB_IOC)
        report(j, t, CC_SUCCESS, 0);
}

static void end_control(const struct job *j, const struct trb *t)
{
    bool in = j->e->setup[0] & 0x80, done = in && j->e->stage == STAGE_DATA;

    if (j->e->stage == STAGE_NONE) {
        halt(j, t, CC_TRB);
        return;
    }
    if (!done && fetch(j) < 0) {
        halt(j, t, CC_STALL);
        return;
    }
    j->e->stage = STAGE_NONE;
    j->e->moved = 0;
    if (t->control & TRB_IOC)
        report(j, t, CC_SUCCESS, 0);
}

static void control_trb(const struct job *j, const struct trb *t)
{
    switch (type_of(t)) {
    case TRB_SETUP: begin_control(j, t); break;
    case TRB_NORMAL: /* data goes on */
    case TRB_DATA:
        if (j->e->stage == STAGE_NONE)
            halt(j, t, CC_TRB);
        else if (j->e->setup[0] & 0x80)
            control_in(j, t);
        else
            control_out(j, t);
        break;
    case TRB_STATUS: end_control(j, t); break;
    case TRB_EVENT_DATA: report(j, t, CC_SUCCESS, j->e->moved); break;
    case TRB_NOOP:
        if (t->control & TRB_IOC)
            report(j, t, CC_SUCCESS, 0);
        break;
    default: halt(j, t, CC_TRB); break;
    }
}

/* --- other endpoints --- */

struct td {
    struct trb trb[TD_TRBS];
    unsigned n;
    uint32_t bytes;
};

/* The next whole chain. 1: there; 0: not (all of it) there; -1: broken. */
static int next_td(const struct job *j, struct xhci_ring *r, struct td *td)
{
    td->n = 0;
    td->bytes = 0;
    do {
        int rc = td->n < TD_TRBS ? xhci_next(j->x, r, &td->trb[td->n]) : -1;

        if (rc <= 0)
            return rc;
        if (type_of(&td->trb[td->n]) == TRB_NORMAL)
            td->bytes += length_of(&td->trb[td->n]);
    } while (td->trb[td->n++].control & TRB_CHAIN);
    return 1;
}

/* n bytes into or out of the chain's buffers. */
static int scatter(const struct job *j, const struct td *td, uint32_t n,
                   bool in)
{
    uint8_t *p = j->x->buffer;

    for (unsigned i = 0; i < td->n && n; i++) {
        uint32_t some = MIN(n, length_of(&td->trb[i]));

        if (type_of(&td->trb[i]) != TRB_NORMAL)
            continue;
        if (move(j, &td->trb[i], p, some, in))
            return -1;
        p += some;
        n -= some;
    }
    return 0;
}

/* Events of a chain that moved n bytes. */
static void report_td(const struct job *j, const struct td *td, uint32_t n)
{
    uint32_t moved = n;
    bool was_short = n < td->bytes;

    for (unsigned i = 0; i < td->n; i++) {
        const struct trb *t = &td->trb[i];
        uint32_t some = MIN(n, length_of(t));

        if (type_of(t) == TRB_EVENT_DATA) {
            report(j, t, was_short ? CC_SHORT : CC_SUCCESS, moved);
            continue;
        }
        if (type_of(t) == TRB_NORMAL && some < length_of(t)) {
            if (t->control & (TRB_ISP | TRB_IOC))
                report(j, t, CC_SHORT, length_of(t) - some);
        } else if (t->control & TRB_IOC)
            report(j, t, CC_SUCCESS, 0);
        n -= some;
    }
}

/* USB_NAK: the chain waits. */
static int exchange(const struct job *j, const struct td *td)
{
    uint32_t n = MIN(td->bytes, (uint32_t)XHCI_BUFFER);
    unsigned number = (j->ep + 1) / 2;
    int done;

    if (j->ep % 2) /* device context index 2n is OUT, 2n + 1 IN */
        return scatter(j, td, n, false)
                   ? USB_STALL
                   : usb_out(j->f, number, j->x->buffer, n);
    done = usb_in(j->f, number, j->x->buffer, n);
    if (done > 0 && scatter(j, td, (uint32_t)done, true))
        return USB_STALL;
    return done;
}

/* One chain; false: nothing more to do now. */
static bool run_td(const struct job *j)
{
    struct xhci_ring r = j->e->ring;
    struct td td;
    int rc = next_td(j, &r, &td), done = 0;

    if (rc < 0)
        halt(j, &(struct trb){.at = j->e->ring.at}, CC_TRB);
    if (rc <= 0)
        return false;
    if (td.bytes || type_of(&td.trb[0]) == TRB_NORMAL)
        done = exchange(j, &td);
    if (done == USB_NAK)
        return false;
    if (done < 0) {
        halt(j, &td.trb[0], CC_STALL);
        return false;
    }
    j->e->ring = r;
    report_td(j, &td, (uint32_t)done);
    return true;
}

static bool run_control(const struct job *j)
{
    struct trb t;
    int rc = xhci_next(j->x, &j->e->ring, &t);

    if (rc < 0)
        halt(j, &(struct trb){.at = j->e->ring.at}, CC_TRB);
    else if (rc)
        control_trb(j, &t);
    return rc > 0;
}

void xhci_run_endpoint(struct xhci *x, unsigned slot, unsigned ep)
{
    struct xhci_slot *s = &x->slot[slot];
    struct job j = {x, &s->ep[ep], xhci_function(x, s), slot, ep};
    unsigned n = 0;

    if (!s->enabled || !j.f || !xhci_running(x))
        return;
    while (j.e->state == EP_RUNNING && n < GO && xhci_running(x) &&
           (j.e->type == EP_CONTROL ? run_control(&j) : run_td(&j)))
        n++;
    if (n == GO)
        xhci_again(x);
}
