/*
 * A USB host controller: xHCI 1.1 with four USB 2 ports (and as many USB 3
 * ones, which stay empty), one interrupter, control, interrupt and bulk
 * endpoints. Machine lock held. Spec: eXtensible Host Controller Interface for
 * Universal Serial Bus 1.1; sections below are its.
 */
#include "hw/usb/xhci.h"

#include "base/bits.h"
#include "base/libc.h"

enum { /* capability registers, §5.3 */
       HCIVERSION = 0x0110,
       HCSPARAMS1 = XHCI_SLOTS | 1 << 8 | (int)((unsigned)XHCI_PORTS << 24),
       HCCPARAMS1_AC64 = 1 << 0,
       EXTENDED = 0x500, /* extended capabilities */
};
enum { CRCR_CYCLE = 1, CRCR_STOP = 2, CRCR_ABORT = 4, CRCR_RUNNING = 8 };
enum { MANAGEMENT_PENDING = 1, MANAGEMENT_ENABLE = 2 };
enum { DEQUEUE_BUSY = 1 << 3 };

/* The two "supported protocol" capabilities, §7.2. */
static const uint32_t extended[] = {
    2 | 4 << 8 | 0x02000000u,
    0x20425355,
    1 | USB_PORTS << 8,
    0,
    2 | 0x03000000u,
    0x20425355,
    (USB_PORTS + 1) | USB_PORTS << 8,
    0,
};

void xhci_die(struct xhci *x, const char *why)
{
    log_guest(&x->ratelimit, "xhci: %s", why);
    x->status |= STS_HSE | STS_HALTED;
    x->command &= ~(uint32_t)CMD_RUN;
    x->commands = false;
}

bool xhci_running(const struct xhci *x)
{
    return x->command & CMD_RUN;
}

struct usb_function *xhci_function(struct xhci *x, const struct xhci_slot *s)
{
    unsigned port = s->port - 1u;

    if (port >= USB_PORTS || !(x->portsc[port] & PORT_PED))
        return NULL;
    return x->bus.port[port];
}

void xhci_again(struct xhci *x)
{
    env_arm(x->dev.env, &x->more, env_now(x->dev.env));
}

static void run_all(void *ctx)
{
    struct xhci *x = ctx;

    xhci_run_commands(x);
    for (unsigned s = 0; s < XHCI_SLOTS; s++)
        for (unsigned ep = 0; x->slot[s].enabled && ep < XHCI_ENDPOINTS; ep++)
            xhci_run_endpoint(x, s, ep);
}

/* --- what functions say --- */

static struct xhci *of_bus(struct usb_bus *b)
{
    return container_of(b, struct xhci, bus);
}

static void on_changed(struct usb_bus *b, unsigned port)
{
    xhci_port_changed(of_bus(b), port);
}

static void on_wake(struct usb_bus *b, unsigned port, unsigned ep)
{
    struct xhci *x = of_bus(b);

    xhci_port_wake(x, port);
    for (unsigned s = 0; s < XHCI_SLOTS; s++)
        if (x->slot[s].enabled && x->slot[s].port == port + 1)
            xhci_run_endpoint(x, s, 2 * ep);
}

/* --- registers --- */

static void reset(struct xhci *x)
{
    env_arm(x->dev.env, &x->more, UINT64_MAX);
    x->command = x->notify = x->config = 0;
    x->status = STS_HALTED;
    x->context_table = x->crcr = 0;
    x->commands = false;
    x->command_ring = (struct xhci_ring){0};
    memset(x->slot, 0, sizeof x->slot);
    x->management = 0;
    x->moderation = 4000;
    x->table_size = 0;
    x->table = x->dequeue = 0;
    x->busy = false;
    x->ring_base = 0;
    x->ring_size = x->ring_at = 0;
    x->ring_cycle = 1;
    for (unsigned i = 0; i < USB_PORTS; i++)
        if (x->bus.port[i])
            usb_reset(x->bus.port[i]);
    xhci_ports_reset(x);
    pci_set_intx(&x->pci, false);
}

static void write_command(struct xhci *x, uint32_t v)
{
    bool was = xhci_running(x);

    if (v & CMD_RESET) {
        reset(x);
        return;
    }
    x->command = v & CMD_KEPT;
    if (v & CMD_RESTORE) /* nothing is kept over a power-off */
        x->status |= STS_SRE;
    if (xhci_running(x) && !was) {
        x->status &= ~(uint32_t)STS_HALTED;
        for (unsigned i = 0; i < XHCI_PORTS; i++)
            if (x->portsc[i] & PORT_CHANGES)
                xhci_event(x, (uint64_t)(i + 1) << 24,
                           (uint32_t)CC_SUCCESS << 24,
                           (uint32_t)TRB_PORT_EVENT << TRB_TYPE_SHIFT);
        xhci_again(x);
    } else if (!xhci_running(x)) {
        x->status |= STS_HALTED;
        x->commands = false;
    }
    xhci_interrupt(x);
}

static void write_low(uint64_t *r, uint32_t v)
{
    *r = (*r & ~0xffffffffull) | v;
}

static void write_high(uint64_t *r, uint32_t v)
{
    *r = (*r & 0xffffffffull) | (uint64_t)v << 32;
}

static void write_crcr(struct xhci *x, uint32_t v)
{
    if (x->commands && v & (CRCR_STOP | CRCR_ABORT)) {
        x->commands = false;
        xhci_event(x, x->command_ring.at, (uint32_t)CC_COMMAND_STOPPED << 24,
                   (uint32_t)TRB_COMMAND_EVENT << TRB_TYPE_SHIFT);
    } else if (!x->commands)
        write_low(&x->crcr, v & ~0x3eu);
}

/* The ring is taken up where it was written, or goes on where it stopped. */
static void take_crcr(struct xhci *x)
{
    x->command_ring =
        (struct xhci_ring){x->crcr & ~63ull, x->crcr & CRCR_CYCLE};
}

static void write_operational(struct xhci *x, unsigned off, uint32_t v)
{
    switch (off) {
    case 0x00: write_command(x, v); break;
    case 0x04: x->status &= ~(v & STS_W1C); break;
    case 0x14: x->notify = v & 0xffff; break;
    case 0x18: write_crcr(x, v); break;
    case 0x1c:
        if (!x->commands) {
            write_high(&x->crcr, v);
            take_crcr(x);
        }
        break;
    case 0x30: write_low(&x->context_table, v & ~63u); break;
    case 0x34: write_high(&x->context_table, v); break;
    case 0x38: x->config = v & 0xff; break;
    default: break;
    }
    if (off == 0x18 && !x->commands)
        take_crcr(x);
}

static uint32_t read_operational(const struct xhci *x, unsigned off)
{
    switch (off) {
    case 0x00: return x->command;
    case 0x04: return x->status;
    case 0x08: return 1; /* pages of 4 KB */
    case 0x14: return x->notify;
    case 0x18: return x->commands ? CRCR_RUNNING : 0;
    case 0x30: return (uint32_t)x->context_table;
    case 0x34: return (uint32_t)(x->context_table >> 32);
    case 0x38: return x->config;
    default: return 0;
    }
}

static uint32_t read_capability(unsigned off)
{
    switch (off) {
    case 0x00: return XHCI_CAP_SIZE | (uint32_t)HCIVERSION << 16;
    case 0x04: return (uint32_t)HCSPARAMS1;
    case 0x10: return HCCPARAMS1_AC64 | EXTENDED / 4 << 16;
    case 0x14: return XHCI_DOORBELLS;
    case 0x18: return XHCI_RUNTIME;
    default: return 0;
    }
}

/* In 125 µs, 14 bits: §5.5.1. */
static uint32_t microframe(const struct xhci *x)
{
    return xhci_running(x) ? env_now(x->dev.env) / 125000 & 0x3fff : 0;
}

static uint32_t read_runtime(const struct xhci *x, unsigned off)
{
    switch (off) {
    case 0x00: return microframe(x);
    case 0x20: return x->management;
    case 0x24: return x->moderation;
    case 0x28: return x->table_size;
    case 0x30: return (uint32_t)x->table;
    case 0x34: return (uint32_t)(x->table >> 32);
    case 0x38: return (uint32_t)x->dequeue | (x->busy ? DEQUEUE_BUSY : 0);
    case 0x3c: return (uint32_t)(x->dequeue >> 32);
    default: return 0;
    }
}

static void write_runtime(struct xhci *x, unsigned off, uint32_t v)
{
    switch (off) {
    case 0x20:
        if (v & MANAGEMENT_PENDING)
            x->management &= ~(uint32_t)MANAGEMENT_PENDING;
        x->management =
            (x->management & MANAGEMENT_PENDING) | (v & MANAGEMENT_ENABLE);
        break;
    case 0x24: x->moderation = v; break;
    case 0x28: x->table_size = v & 0xffff; break;
    case 0x30: write_low(&x->table, v & ~63u); break;
    case 0x34:
        write_high(&x->table, v);
        xhci_start_events(x);
        break;
    case 0x38:
        if (v & DEQUEUE_BUSY)
            x->busy = false;
        write_low(&x->dequeue, v & ~15u);
        break;
    case 0x3c: write_high(&x->dequeue, v); break;
    default: break;
    }
    if (off != 0x38) /* its other half follows */
        xhci_interrupt(x);
}

static void ring_doorbell(struct xhci *x, unsigned n, uint32_t v)
{
    unsigned ep = (v & 0xff) - 1;

    if (!xhci_running(x))
        return;
    if (n == 0) {
        x->commands = true;
        xhci_run_commands(x);
    } else if (n <= XHCI_SLOTS && ep < XHCI_ENDPOINTS) {
        struct xhci_endpoint *e = &x->slot[n - 1].ep[ep];

        if (e->state == EP_STOPPED) {
            e->state = EP_RUNNING;
            xhci_put_endpoint(x, n - 1, ep);
        }
        xhci_run_endpoint(x, n - 1, ep);
    }
}

static uint32_t read_port(const struct xhci *x, unsigned off)
{
    unsigned port = off / 16;

    if (port >= XHCI_PORTS)
        return 0;
    return off % 16 == 0   ? x->portsc[port]
           : off % 16 == 4 ? x->portpm[port]
                           : 0;
}

static uint32_t read_word(const struct xhci *x, unsigned off)
{
    unsigned ports = XHCI_CAP_SIZE + XHCI_PORT_REGS;

    if (off < XHCI_CAP_SIZE)
        return read_capability(off);
    if (off >= EXTENDED && off - EXTENDED < sizeof extended)
        return extended[(off - EXTENDED) / 4];
    if (off >= ports && off < ports + XHCI_PORTS * 16)
        return read_port(x, off - ports);
    if (off < ports)
        return read_operational(x, off - XHCI_CAP_SIZE);
    if (off >= XHCI_RUNTIME && off < XHCI_DOORBELLS)
        return read_runtime(x, off - XHCI_RUNTIME);
    return 0;
}

static uint64_t bar_read(void *dev, uint64_t off, unsigned bytes)
{
    uint32_t v = read_word(dev, (unsigned)off & ~3u) >> (off & 3) * 8;

    return bytes < 4 ? v & ((1u << 8 * bytes) - 1) : v;
}

static void bar_write(void *dev, uint64_t at, uint64_t value, unsigned bytes)
{
    struct xhci *x = dev;
    unsigned off = (unsigned)at, ports = XHCI_CAP_SIZE + XHCI_PORT_REGS;
    uint32_t v = (uint32_t)value;

    if (bytes != 4 || off % 4 || off < XHCI_CAP_SIZE) {
        log_guest(&x->ratelimit, "xhci: a write of %u bytes at 0x%x", bytes,
                  off);
        return;
    }
    if (off >= XHCI_DOORBELLS)
        ring_doorbell(x, (off - XHCI_DOORBELLS) / 4, v);
    else if (off >= XHCI_RUNTIME)
        write_runtime(x, off - XHCI_RUNTIME, v);
    else if (off < ports)
        write_operational(x, off - XHCI_CAP_SIZE, v);
    else if (off < ports + XHCI_PORTS * 16 && off % 16 == 0)
        xhci_port_write(x, (off - ports) / 16, v);
    else if (off < ports + XHCI_PORTS * 16 && off % 16 == 4)
        x->portpm[(off - ports) / 16] = v;
}

static const struct region_ops bar_ops = {bar_read, bar_write, 1, 4};

/* --- the device --- */

static const struct pci_reg regs[] = {
    {0x60, 1, 0x30, 0, 0},    /* SBRN: 3.0 */
    {0x61, 1, 0x20, 0x3f, 0}, /* FLADJ */
    PCI_REG_END,
};

static const struct pci_id xhci_id = {
    .vendor = 0x1b36, /* the one that stands for "any xHCI" to drivers */
    .device = 0x000d,
    .class_code = 0x0c0330,
    .revision = 1,
    .subvendor = 0x1af4,
    .subdevice = 0x1100,
    .pin = 1,
    .regs = regs,
};

static int xhci_attach(struct dev *d, struct env *env, struct err *e)
{
    struct xhci *x = container_of(d, struct xhci, dev);
    int rc;

    d->env = env;
    timer_init(&x->more, env->loop, run_all, x);
    x->bus.changed = on_changed;
    x->bus.wake = on_wake;
    x->bar = (struct region){
        .name = "xhci", .size = XHCI_BAR_SIZE, .ops = &bar_ops, .dev = x};
    rc = pci_attach(&x->pci, d, &xhci_id, NULL, -1, e);
    if (!rc)
        rc = pci_add_bar(&x->pci, 0, PCI_BAR_MEM64, &x->bar);
    if (!rc)
        rc = pci_msi_init(&x->pci, 1, e);
    if (!rc)
        env->usb = &x->bus;
    return rc;
}

static void xhci_reset(struct dev *d, bool cold UNUSED)
{
    struct xhci *x = container_of(d, struct xhci, dev);

    pci_reset(&x->pci);
    reset(x);
}

static void xhci_pause(struct dev *d)
{
    env_arm(d->env, &container_of(d, struct xhci, dev)->more, UINT64_MAX);
}

static void xhci_resume(struct dev *d)
{
    struct xhci *x = container_of(d, struct xhci, dev);

    if (xhci_running(x))
        xhci_again(x);
}

static int xhci_loaded(struct dev *d, uint16_t version UNUSED)
{
    struct xhci *x = container_of(d, struct xhci, dev);

    if (x->ring_at >= MAX(x->ring_size, 1u) || x->config > 0xff)
        return -LE_FORMAT;
    return pci_loaded(&x->pci);
}

static void xhci_detach(struct dev *d)
{
    struct xhci *x = container_of(d, struct xhci, dev);

    xhci_pause(d);
    d->env->usb = NULL;
    pci_detach(&x->pci);
}

static const struct prop xhci_props[] = {
    {"slot", "PCI slot; 0: the first free one", offsetof(struct xhci, pci.slot),
     PROP_U32, false, 0, 0, 31},
    PROP_END,
};

static const struct field xhci_fields[] = {
    FIELD_SUB(struct xhci, pci, struct pci_dev, pci_fields),
    FIELD_MAX(struct xhci, command, 32, CMD_KEPT),
    FIELD32(struct xhci, status),
    FIELD32(struct xhci, notify),
    FIELD_MAX(struct xhci, config, 32, 0xff),
    FIELD64(struct xhci, context_table),
    FIELD64(struct xhci, crcr),
    FIELDB(struct xhci, commands),
    FIELD_SUB(struct xhci, command_ring, struct xhci_ring, xhci_ring_fields),
    FIELD32(struct xhci, portsc),
    FIELD32(struct xhci, portpm),
    FIELD_SUB(struct xhci, slot, struct xhci_slot, xhci_slot_fields),
    FIELD_MAX(struct xhci, management, 32, 3),
    FIELD32(struct xhci, moderation),
    FIELD_MAX(struct xhci, table_size, 32, 0xffff),
    FIELD64(struct xhci, table),
    FIELD64(struct xhci, dequeue),
    FIELDB(struct xhci, busy),
    FIELD64(struct xhci, ring_base),
    FIELD_MAX(struct xhci, ring_size, 32, 4096),
    FIELD_MAX(struct xhci, ring_at, 32, 4096),
    FIELD_MAX(struct xhci, ring_cycle, 8, 1),
    FIELD_END,
};

extern const struct dev_class xhci_class;
const struct dev_class xhci_class = {
    .name = "xhci",
    .summary = "USB controller",
    .spec = "eXtensible Host Controller Interface 1.1",
    .size = sizeof(struct xhci),
    .props = xhci_props,
    .state = xhci_fields,
    .version = 1,
    .attach = xhci_attach,
    .reset = xhci_reset,
    .pause = xhci_pause,
    .resume = xhci_resume,
    .loaded = xhci_loaded,
    .detach = xhci_detach,
};
