#include "hw/char/serial16550.h"

#include "base/bits.h"
#include "base/libc.h"

enum {
    RBR = 0,
    THR = 0,
    DLL = 0,
    IER = 1,
    DLM = 1,
    IIR = 2,
    FCR = 2,
    LCR = 3,
    MCR = 4,
    LSR = 5,
    MSR = 6,
    SCR = 7
};

enum {
    IER_RDA = 1 << 0,
    IER_THRE = 1 << 1,
    IER_RLS = 1 << 2,
    IER_MS = 1 << 3,
    IER_BITS = 0x0f
};
enum {
    IIR_NONE = 0x1,
    IIR_MS = 0x0,
    IIR_THRE = 0x2,
    IIR_RDA = 0x4,
    IIR_RLS = 0x6,
    IIR_TIMEOUT = 0xc,
    IIR_FIFOS = 0xc0
};
enum {
    FCR_ENABLE = 1 << 0,
    FCR_CLEAR_RX = 1 << 1,
    FCR_CLEAR_TX = 1 << 2,
    FCR_KEPT = 0xc9
};
enum {
    LCR_STOP = 1 << 2,
    LCR_PARITY = 1 << 3,
    LCR_BREAK = 1 << 6,
    LCR_DLAB = 1 << 7
};
enum {
    MCR_DTR = 1 << 0,
    MCR_RTS = 1 << 1,
    MCR_OUT1 = 1 << 2,
    MCR_OUT2 = 1 << 3,
    MCR_LOOP = 1 << 4,
    MCR_BITS = 0x1f
};
enum {
    LSR_DR = 1 << 0,
    LSR_OE = 1 << 1,
    LSR_PE = 1 << 2,
    LSR_FE = 1 << 3,
    LSR_BI = 1 << 4,
    LSR_THRE = 1 << 5,
    LSR_TEMT = 1 << 6,
    LSR_FIFO_ERROR = 1 << 7,
    LSR_ERRORS = LSR_OE | LSR_PE | LSR_FE | LSR_BI
};
enum { MSR_DELTAS = 0x0f, MSR_TERI = 1 << 2 };

/* How long sent bytes may wait for others before they are handed over. */
#define WIRE_DELAY 200000ull
/* Input clock / 16 */
#define BAUD_BASE 115200ull

static bool fifos(const struct serial16550 *u)
{
    return u->fcr & FCR_ENABLE;
}

static unsigned capacity(const struct serial16550 *u)
{
    return fifos(u) ? UART_FIFO : 1;
}

static uint8_t word_mask(const struct serial16550 *u)
{
    return (uint8_t)mask_low(5 + (u->lcr & 3));
}

/* --- interrupts --- */

static unsigned trigger(const struct serial16550 *u)
{
    static const uint8_t level[4] = {1, 4, 8, 14};

    return fifos(u) ? level[u->fcr >> 6] : 1;
}

/* The highest-priority source, as IIR shows it. */
static uint8_t source(const struct serial16550 *u)
{
    if ((u->ier & IER_RLS) && (u->lsr & LSR_ERRORS))
        return IIR_RLS;
    if ((u->ier & IER_RDA) && u->rx_count >= trigger(u))
        return IIR_RDA;
    if ((u->ier & IER_RDA) && u->timed_out)
        return IIR_TIMEOUT;
    if ((u->ier & IER_THRE) && u->thre_interrupt)
        return IIR_THRE;
    if ((u->ier & IER_MS) && (u->msr & MSR_DELTAS))
        return IIR_MS;
    return IIR_NONE;
}

static void update(struct serial16550 *u)
{
    bool level = source(u) != IIR_NONE;

    if (level != u->level) {
        u->level = level;
        u->intr(u->owner, level);
    }
}

/* --- receiver --- */

/* Four characters' time, after which lone bytes are worth an interrupt. */
static uint64_t timeout_ns(const struct serial16550 *u)
{
    unsigned length = 1 + 5 + (u->lcr & 3) + !!(u->lcr & LCR_PARITY) +
                      (u->lcr & LCR_STOP ? 2 : 1);

    return 4 * length * MAX(u->divisor, 1) * NS_PER_SEC / BAUD_BASE;
}

static void start_timeout(struct serial16550 *u)
{
    uint64_t at = UINT64_MAX;

    u->timed_out = false;
    if (fifos(u) && u->rx_count)
        at = env_now(u->env) + timeout_ns(u);
    env_arm(u->env, &u->rx_timer, at);
}

static void rx_timeout(void *ctx)
{
    struct serial16550 *u = ctx;

    u->timed_out = u->rx_count != 0;
    update(u);
}

/* The oldest byte has changed: its errors show in LSR. */
static void reveal(struct serial16550 *u)
{
    if (!u->rx_count) {
        u->lsr &= ~LSR_DR;
        return;
    }
    u->lsr |= LSR_DR | u->rx_error[0];
    u->rx_error[0] = 0;
}

static void push(struct serial16550 *u, uint8_t v, uint8_t error)
{
    if (u->rx_count == capacity(u)) {
        u->lsr |= LSR_OE;
        if (fifos(u)) /* the new byte is lost; without FIFOs the old one */
            return;
        u->rx_count = 0;
    }
    u->rx[u->rx_count] = v & word_mask(u);
    u->rx_error[u->rx_count] = error;
    if (u->rx_count++ == 0)
        reveal(u);
}

static void clear_rx(struct serial16550 *u)
{
    u->rx_count = 0;
    memset(u->rx_error, 0, sizeof u->rx_error);
    reveal(u);
    start_timeout(u);
}

/* There is room again for what the endpoint could not get rid of. */
static void offer(struct serial16550 *u)
{
    if (!u->refused || (u->mcr & MCR_LOOP) || u->rx_count > capacity(u) / 2)
        return;
    u->refused = false;
    if (u->chardev->resume)
        u->chardev->resume(u->chardev->endpoint);
}

static size_t receive(void *dev, const uint8_t *p, size_t n)
{
    struct serial16550 *u = dev;
    size_t room = capacity(u) - u->rx_count, took;

    if (u->mcr & MCR_LOOP)
        room = 0;
    took = MIN(n, room);
    for (size_t i = 0; i < took; i++)
        push(u, p[i], 0);
    if (took < n)
        u->refused = true;
    if (took)
        start_timeout(u);
    update(u);
    return took;
}

static uint8_t read_rbr(struct serial16550 *u)
{
    uint8_t v = u->rx[0];

    if (!u->rx_count)
        return 0;
    u->rx_count--;
    memmove(u->rx, u->rx + 1, u->rx_count);
    memmove(u->rx_error, u->rx_error + 1, u->rx_count);
    reveal(u);
    start_timeout(u);
    update(u);
    offer(u);
    return v;
}

static bool errors_in_fifo(const struct serial16550 *u)
{
    bool any = u->lsr & (LSR_PE | LSR_FE | LSR_BI);

    for (unsigned i = 0; i < u->rx_count; i++)
        any |= u->rx_error[i] != 0;
    return fifos(u) && any;
}

static uint8_t read_lsr(struct serial16550 *u)
{
    uint8_t v = u->lsr | (errors_in_fifo(u) ? LSR_FIFO_ERROR : 0);

    u->lsr &= ~LSR_ERRORS;
    update(u);
    return v;
}

/* --- transmitter --- */

/* Hands over what is on the wire; what the endpoint does not take waits for
   its writable(). */
static void flush(struct serial16550 *u)
{
    struct chardev *c = u->chardev;
    size_t took = u->wire_count;

    env_arm(u->env, &u->wire_timer, UINT64_MAX);
    if (!took)
        return;
    if (c && c->write)
        took = c->write(c->endpoint, u->wire, u->wire_count);
    u->wire_count -= (uint16_t)took;
    memmove(u->wire, u->wire + took, u->wire_count);
}

static bool put_on_wire(struct serial16550 *u, uint8_t v)
{
    if (u->lcr & LCR_BREAK) /* the line is held at space: lost */
        return true;
    if (u->wire_count == UART_WIRE)
        return false;
    u->wire[u->wire_count++] = v;
    if (u->wire_count == UART_WIRE / 2 || u->wire_count == UART_WIRE)
        flush(u);
    else if (u->wire_count == 1)
        env_arm(u->env, &u->wire_timer, env_now(u->env) + WIRE_DELAY);
    return true;
}

/* Sends what waits in the transmit FIFO as far as it can go. */
static void transmit(struct serial16550 *u)
{
    unsigned sent = 0;

    for (; sent < u->tx_count; sent++) {
        uint8_t v = u->tx[sent] & word_mask(u);

        if (u->mcr & MCR_LOOP)
            push(u, v, 0);
        else if (!put_on_wire(u, v))
            break;
    }
    if (!sent)
        return;
    u->tx_count -= (uint8_t)sent;
    memmove(u->tx, u->tx + sent, u->tx_count);
    if (u->mcr & MCR_LOOP)
        start_timeout(u);
    if (!u->tx_count) {
        u->lsr |= LSR_THRE | LSR_TEMT;
        u->thre_interrupt = true;
    }
}

static void wire_due(void *ctx)
{
    struct serial16550 *u = ctx;

    flush(u);
    transmit(u);
    update(u);
}

static void clear_tx(struct serial16550 *u)
{
    if (u->tx_count)
        u->thre_interrupt = true;
    u->tx_count = 0;
    u->lsr |= LSR_THRE | LSR_TEMT;
}

static void write_thr(struct serial16550 *u, uint8_t v)
{
    if (u->tx_count < capacity(u))
        u->tx[u->tx_count++] = v;
    else if (!fifos(u))
        u->tx[0] = v;
    u->lsr &= ~(LSR_THRE | LSR_TEMT);
    u->thre_interrupt = false;
    transmit(u);
    update(u);
}

/* --- modem --- */

static void set_modem(struct serial16550 *u, uint8_t lines)
{
    uint8_t changed = (u->msr ^ lines) & ~MSR_DELTAS;
    uint8_t deltas = changed >> 4;

    if (lines & UART_RI) /* only its end counts */
        deltas &= ~MSR_TERI;
    u->msr = lines | (u->msr & MSR_DELTAS) | deltas;
}

static uint8_t looped_lines(const struct serial16550 *u)
{
    return (u->mcr & MCR_RTS ? UART_CTS : 0) |
           (u->mcr & MCR_DTR ? UART_DSR : 0) |
           (u->mcr & MCR_OUT1 ? UART_RI : 0) |
           (u->mcr & MCR_OUT2 ? UART_DCD : 0);
}

static void follow_lines(struct serial16550 *u)
{
    set_modem(u, u->mcr & MCR_LOOP ? looped_lines(u) : u->lines);
}

static uint8_t read_msr(struct serial16550 *u)
{
    uint8_t v = u->msr;

    u->msr &= ~MSR_DELTAS;
    update(u);
    return v;
}

static void write_mcr(struct serial16550 *u, uint8_t v)
{
    u->mcr = v & MCR_BITS;
    follow_lines(u);
    update(u);
    offer(u);
}

/* --- registers --- */

static uint8_t read_iir(struct serial16550 *u)
{
    uint8_t v = source(u);

    if (v == IIR_THRE) {
        u->thre_interrupt = false;
        update(u);
    }
    return v | (fifos(u) ? IIR_FIFOS : 0);
}

static void write_fcr(struct serial16550 *u, uint8_t v)
{
    bool toggled = (u->fcr ^ v) & FCR_ENABLE;

    if (toggled || ((v & FCR_ENABLE) && (v & FCR_CLEAR_RX)))
        clear_rx(u);
    if (toggled || ((v & FCR_ENABLE) && (v & FCR_CLEAR_TX)))
        clear_tx(u);
    u->fcr = v & FCR_ENABLE ? v & FCR_KEPT : 0;
    update(u);
    offer(u);
}

static void write_ier(struct serial16550 *u, uint8_t v)
{
    bool rises = (v & IER_THRE) && !(u->ier & IER_THRE);

    u->ier = v & IER_BITS;
    if (rises && (u->lsr & LSR_THRE))
        u->thre_interrupt = true;
    update(u);
}

uint8_t serial16550_read(struct serial16550 *u, unsigned reg)
{
    bool dlab = u->lcr & LCR_DLAB;

    switch (reg) {
    case RBR: return dlab ? u->divisor & 0xff : read_rbr(u);
    case IER: return dlab ? u->divisor >> 8 : u->ier;
    case IIR: return read_iir(u);
    case LCR: return u->lcr;
    case MCR: return u->mcr;
    case LSR: return read_lsr(u);
    case MSR: return read_msr(u);
    case SCR: return u->scr;
    default: return 0xff;
    }
}

void serial16550_write(struct serial16550 *u, unsigned reg, uint8_t v)
{
    bool dlab = u->lcr & LCR_DLAB;

    switch (reg) {
    case THR:
        if (dlab)
            u->divisor = (u->divisor & 0xff00) | v;
        else
            write_thr(u, v);
        break;
    case IER:
        if (dlab)
            u->divisor = (uint16_t)(v << 8 | (u->divisor & 0xff));
        else
            write_ier(u, v);
        break;
    case FCR: write_fcr(u, v); break;
    case LCR: u->lcr = v; break;
    case MCR: write_mcr(u, v); break;
    case SCR: u->scr = v; break;
    default: break; /* LSR and MSR are read-only */
    }
}

/* --- from outside --- */

static void writable(void *dev)
{
    wire_due(dev);
}

void serial16550_set_lines(struct serial16550 *u, uint8_t lines)
{
    u->lines = lines & ~MSR_DELTAS;
    follow_lines(u);
    update(u);
}

void serial16550_break(struct serial16550 *u)
{
    if (u->mcr & MCR_LOOP)
        return;
    push(u, 0, LSR_BI | LSR_FE);
    start_timeout(u);
    update(u);
}

/* --- life --- */

void serial16550_init(struct serial16550 *u)
{
    timer_init(&u->rx_timer, u->env->loop, rx_timeout, u);
    timer_init(&u->wire_timer, u->env->loop, wire_due, u);
    u->lines = u->chardev ? UART_CTS | UART_DSR | UART_DCD : 0;
    if (u->chardev) {
        u->chardev->receive = receive;
        u->chardev->writable = writable;
        u->chardev->dev = u;
    }
}

void serial16550_detach(struct serial16550 *u)
{
    serial16550_pause(u);
    if (u->chardev) {
        u->chardev->receive = NULL;
        u->chardev->writable = NULL;
        u->chardev->dev = NULL;
    }
}

void serial16550_reset(struct serial16550 *u)
{
    flush(u);
    u->ier = u->fcr = u->lcr = u->mcr = u->scr = 0;
    u->divisor = 12; /* undefined in the datasheet; 9600 baud */
    u->lsr = LSR_THRE | LSR_TEMT;
    u->msr = u->lines;
    u->tx_count = 0;
    u->thre_interrupt = false;
    memset(u->rx, 0, sizeof u->rx);
    memset(u->tx, 0, sizeof u->tx);
    memset(u->wire + u->wire_count, 0, UART_WIRE - u->wire_count);
    clear_rx(u);
    update(u);
    offer(u);
}

void serial16550_pause(struct serial16550 *u)
{
    flush(u);
    env_arm(u->env, &u->rx_timer, UINT64_MAX);
}

void serial16550_resume(struct serial16550 *u)
{
    if (!u->timed_out)
        start_timeout(u);
    wire_due(u);
    offer(u);
}

int serial16550_loaded(struct serial16550 *u)
{
    if (u->rx_count > capacity(u) || u->tx_count > capacity(u) ||
        (u->fcr & ~FCR_KEPT) || (u->fcr && !fifos(u)) ||
        !!(u->lsr & LSR_DR) != (u->rx_count != 0) ||
        !(u->lsr & LSR_THRE) != (u->tx_count != 0))
        return -LE_FORMAT;
    for (unsigned i = 0; i < UART_FIFO; i++)
        if (u->rx_error[i] & ~(LSR_PE | LSR_FE | LSR_BI))
            return -LE_FORMAT;
    u->refused = u->chardev != NULL; /* ask: it may have something */
    serial16550_resume(u);
    return 0;
}

const struct field serial16550_fields[] = {
    FIELD_MAX(struct serial16550, ier, 8, IER_BITS),
    FIELD8(struct serial16550, lcr),
    FIELD_MAX(struct serial16550, mcr, 8, MCR_BITS),
    FIELD_MAX(struct serial16550, lsr, 8, 0x7f),
    FIELD8(struct serial16550, msr),
    FIELD8(struct serial16550, scr),
    FIELD8(struct serial16550, fcr),
    FIELD16(struct serial16550, divisor),
    FIELD_RAW(struct serial16550, rx),
    FIELD_RAW(struct serial16550, rx_error),
    FIELD_MAX(struct serial16550, rx_count, 8, UART_FIFO),
    FIELD_RAW(struct serial16550, tx),
    FIELD_MAX(struct serial16550, tx_count, 8, UART_FIFO),
    FIELDB(struct serial16550, thre_interrupt),
    FIELDB(struct serial16550, timed_out),
    FIELDB(struct serial16550, level),
    FIELD_RAW(struct serial16550, wire),
    FIELD_MAX(struct serial16550, wire_count, 16, UART_WIRE),
    FIELD_END,
};
