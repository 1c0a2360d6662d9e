/* The command ring and the contexts of slots and endpoints. §4.6, §6.2. */
#include "base/endian.h"
#include "base/libc.h"
#include "hw/usb/xhci.h"

enum {
    CONTEXT = 32, /* bytes of one */
    GO = 64,      /* commands in one go */
    STATE_SHIFT = 27,
};

const struct field xhci_slot_fields[] = {
    FIELDB(struct xhci_slot, enabled),
    FIELD_MAX(struct xhci_slot, state, 8, SLOT_CONFIGURED),
    FIELD_MAX(struct xhci_slot, port, 8, XHCI_PORTS),
    FIELD_SUB(struct xhci_slot, ep, struct xhci_endpoint, xhci_endpoint_fields),
    FIELD_END,
};

/* A slot's contexts in memory; 0: there are none. */
static gpa_t contexts(struct xhci *x, unsigned slot)
{
    uint8_t raw[8];

    if (pci_load(&x->pci, x->context_table + 8ull * (slot + 1), raw,
                 sizeof raw))
        return 0;
    return load_le64(raw) & ~63ull;
}

static void put_word(struct xhci *x, gpa_t at, uint32_t v)
{
    uint8_t raw[4];

    store_le32(raw, v);
    pci_store(&x->pci, at, raw, sizeof raw);
}

static uint32_t get_word(struct xhci *x, gpa_t at)
{
    uint8_t raw[4] = {0};

    pci_load(&x->pci, at, raw, sizeof raw);
    return load_le32(raw);
}

void xhci_put_endpoint(struct xhci *x, unsigned slot, unsigned ep)
{
    const struct xhci_endpoint *e = &x->slot[slot].ep[ep];
    gpa_t at = contexts(x, slot) + (ep + 1) * CONTEXT;

    put_word(x, at, (get_word(x, at) & ~7u) | e->state);
    put_word(x, at + 8, (uint32_t)e->ring.at | e->ring.cycle);
    put_word(x, at + 12, (uint32_t)(e->ring.at >> 32));
}

static void put_slot(struct xhci *x, unsigned slot)
{
    const struct xhci_slot *s = &x->slot[slot];
    gpa_t at = contexts(x, slot);
    unsigned address = s->state >= SLOT_ADDRESSED ? slot + 1 : 0;

    put_word(x, at + 12, (uint32_t)s->state << STATE_SHIFT | address);
}

/* Copies words of a context of the input to the slot's. */
static void copy_context(struct xhci *x, gpa_t from, gpa_t to)
{
    uint8_t raw[CONTEXT];

    if (!pci_load(&x->pci, from, raw, sizeof raw))
        pci_store(&x->pci, to, raw, sizeof raw);
}

/* Endpoint ep as the input context at from has it. */
static enum completion set_up(struct xhci *x, unsigned slot, unsigned ep,
                              gpa_t from)
{
    struct xhci_endpoint *e = &x->slot[slot].ep[ep];
    uint64_t ring = get_word(x, from + 8) | (uint64_t)get_word(x, from + 12)
                                                << 32;
    unsigned type = get_word(x, from + 4) >> 3 & 7;

    if (type != EP_CONTROL && type != EP_INT_IN && type != EP_INT_OUT &&
        type != EP_BULK_IN && type != EP_BULK_OUT)
        return CC_TRB; /* isochronous ones are not here */
    if ((type == EP_CONTROL) != (ep == 0) ||
        (ep && (type > EP_CONTROL) != !(ep % 2)))
        return CC_PARAMETER;
    *e = (struct xhci_endpoint){.type = (uint8_t)type};
    e->ring = (struct xhci_ring){ring & ~15ull, ring & 1};
    xhci_stop_endpoint(e, EP_RUNNING);
    copy_context(x, from, contexts(x, slot) + (ep + 1) * CONTEXT);
    xhci_put_endpoint(x, slot, ep);
    return CC_SUCCESS;
}

static void disable_endpoint(struct xhci *x, unsigned slot, unsigned ep)
{
    x->slot[slot].ep[ep] = (struct xhci_endpoint){0};
    xhci_put_endpoint(x, slot, ep);
}

/* --- slots --- */

static enum completion enable_slot(struct xhci *x, unsigned *slot)
{
    for (unsigned i = 0; i < XHCI_SLOTS && i < (x->config & 0xff); i++) {
        if (x->slot[i].enabled)
            continue;
        x->slot[i] = (struct xhci_slot){.enabled = true};
        *slot = i;
        return CC_SUCCESS;
    }
    return CC_NO_SLOTS;
}

static enum completion address_device(struct xhci *x, unsigned slot,
                                      const struct trb *t)
{
    struct xhci_slot *s = &x->slot[slot];
    gpa_t input = t->parameter & ~15ull, out = contexts(x, slot);
    unsigned port = get_word(x, input + CONTEXT + 4) >> 16 & 0xff;
    enum completion code;

    if ((get_word(x, input + 4) & 3) != 3 || !out || !port || port > XHCI_PORTS)
        return CC_PARAMETER;
    if (s->state >= SLOT_ADDRESSED)
        return CC_CONTEXT_STATE;
    s->port = (uint8_t)port;
    if (!xhci_function(x, s))
        return CC_PARAMETER;
    copy_context(x, input + CONTEXT, out);
    code = set_up(x, slot, 0, input + 2 * CONTEXT);
    if (code != CC_SUCCESS)
        return code;
    s->state = t->control & TRB_BSR ? SLOT_DEFAULT : SLOT_ADDRESSED;
    put_slot(x, slot);
    return CC_SUCCESS;
}

static enum completion configure(struct xhci *x, unsigned slot,
                                 const struct trb *t)
{
    struct xhci_slot *s = &x->slot[slot];
    gpa_t input = t->parameter & ~15ull;
    bool all_away = t->control & TRB_DC;
    uint32_t drop = all_away ? ~3u : get_word(x, input);
    uint32_t add = all_away ? 0 : get_word(x, input + 4);
    enum completion code = CC_SUCCESS;

    if (s->state < SLOT_ADDRESSED)
        return CC_CONTEXT_STATE;
    for (unsigned n = 2; n < 32; n++) {
        if ((drop | add) >> n & 1)
            disable_endpoint(x, slot, n - 1);
        if (add >> n & 1 && code == CC_SUCCESS)
            code = set_up(x, slot, n - 1, input + (n + 1) * CONTEXT);
    }
    if (code != CC_SUCCESS)
        return code;
    if (add & 1) /* how many contexts there are */
        put_word(x, contexts(x, slot), get_word(x, input + CONTEXT));
    s->state = all_away ? SLOT_ADDRESSED : SLOT_CONFIGURED;
    put_slot(x, slot);
    return CC_SUCCESS;
}

/* What drivers change: the packet size of endpoint 0, the exit latency. */
static enum completion evaluate(struct xhci *x, unsigned slot,
                                const struct trb *t)
{
    gpa_t input = t->parameter & ~15ull, out = contexts(x, slot);
    uint32_t add = get_word(x, input + 4);

    if (x->slot[slot].state < SLOT_DEFAULT)
        return CC_CONTEXT_STATE;
    if (add & 1)
        put_word(x, out + 4,
                 (get_word(x, out + 4) & ~0xffffu) |
                     (get_word(x, input + CONTEXT + 4) & 0xffff));
    if (add & 2)
        put_word(x, out + CONTEXT + 4,
                 (get_word(x, out + CONTEXT + 4) & 0xffff) |
                     (get_word(x, input + 2 * CONTEXT + 4) & ~0xffffu));
    return CC_SUCCESS;
}

static enum completion reset_device(struct xhci *x, unsigned slot)
{
    struct xhci_slot *s = &x->slot[slot];

    if (s->state < SLOT_ADDRESSED)
        return CC_CONTEXT_STATE;
    for (unsigned ep = 1; ep < XHCI_ENDPOINTS; ep++)
        if (s->ep[ep].state != EP_DISABLED)
            disable_endpoint(x, slot, ep);
    s->state = SLOT_DEFAULT;
    put_slot(x, slot);
    return CC_SUCCESS;
}

/* --- endpoints --- */

static enum completion endpoint_command(struct xhci *x, unsigned slot,
                                        const struct trb *t)
{
    unsigned ep = (t->control >> 16 & 31) - 1;
    struct xhci_endpoint *e;
    enum trb_type type = (enum trb_type)(t->control >> TRB_TYPE_SHIFT & 63);

    if (ep >= XHCI_ENDPOINTS)
        return CC_TRB;
    e = &x->slot[slot].ep[ep];
    if (e->state == EP_DISABLED)
        return CC_NO_ENDPOINT;
    if (type == TRB_STOP_ENDPOINT ? e->state != EP_RUNNING
        : type == TRB_RESET_ENDPOINT
            ? e->state != EP_HALTED
            : e->state != EP_STOPPED && e->state != EP_ERROR)
        return CC_CONTEXT_STATE;
    if (type == TRB_SET_DEQUEUE)
        e->ring = (struct xhci_ring){t->parameter & ~15ull, t->parameter & 1};
    if (type == TRB_STOP_ENDPOINT) /* the request under way stays */
        e->state = EP_STOPPED;
    else
        xhci_stop_endpoint(e, EP_STOPPED);
    xhci_put_endpoint(x, slot, ep);
    return CC_SUCCESS;
}

/* --- the ring --- */

static enum completion slot_command(struct xhci *x, unsigned slot,
                                    const struct trb *t)
{
    if (slot >= XHCI_SLOTS || !x->slot[slot].enabled)
        return CC_NO_SLOT;
    switch (t->control >> TRB_TYPE_SHIFT & 63) {
    case TRB_DISABLE_SLOT:
        x->slot[slot] = (struct xhci_slot){0};
        put_slot(x, slot);
        return CC_SUCCESS;
    case TRB_ADDRESS_DEVICE: return address_device(x, slot, t);
    case TRB_CONFIGURE: return configure(x, slot, t);
    case TRB_EVALUATE: return evaluate(x, slot, t);
    case TRB_RESET_DEVICE: return reset_device(x, slot);
    case TRB_RESET_ENDPOINT:
    case TRB_STOP_ENDPOINT:
    case TRB_SET_DEQUEUE: return endpoint_command(x, slot, t);
    default: return CC_TRB;
    }
}

static void run_command(struct xhci *x, const struct trb *t)
{
    unsigned slot = (t->control >> 24) - 1;
    enum completion code;

    switch (t->control >> TRB_TYPE_SHIFT & 63) {
    case TRB_NOOP_COMMAND: code = CC_SUCCESS; break;
    case TRB_ENABLE_SLOT: code = enable_slot(x, &slot); break;
    default: code = slot_command(x, slot, t); break;
    }
    if (code != CC_SUCCESS)
        log_guest(&x->ratelimit, "xhci: command %u of slot %u: code %u",
                  t->control >> TRB_TYPE_SHIFT & 63, slot + 1, code);
    xhci_event(x, t->at, (uint32_t)code << 24,
               (uint32_t)TRB_COMMAND_EVENT << TRB_TYPE_SHIFT | (slot + 1)
                                                                   << 24);
}

void xhci_run_commands(struct xhci *x)
{
    struct trb t;
    unsigned n = 0;

    for (; x->commands && xhci_running(x) && n < GO; n++) {
        int rc = xhci_next(x, &x->command_ring, &t);

        if (rc < 0)
            xhci_die(x, "the command ring is broken");
        if (rc <= 0)
            return;
        run_command(x, &t);
    }
    if (n == GO)
        xhci_again(x);
}
