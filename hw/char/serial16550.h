/*
 * A 16550A UART: the chip, without a bus. Its owner embeds it, fills the first
 * fields, routes register accesses here and has in its state table
 *     FIELD_SUB(struct x, uart, struct serial16550, serial16550_fields)
 * Bytes go out as fast as the endpoint takes them and come in as fast as the
 * guest reads them; the baud rate only says when a time-out interrupt comes.
 * Spec: National PC16550D (TL/C/8652). Machine lock held.
 */
#ifndef HW_CHAR_SERIAL16550_H
#define HW_CHAR_SERIAL16550_H

#include "lodge/device.h"

enum { UART_FIFO = 16, UART_WIRE = 1024, UART_REGISTERS = 8 };

/* Modem lines, as in the upper half of MSR */
enum {
    UART_CTS = 1 << 4,
    UART_DSR = 1 << 5,
    UART_RI = 1 << 6,
    UART_DCD = 1 << 7
};

struct serial16550 {
    /* Filled by the owner before serial16550_init(). */
    struct env *env;
    struct chardev *chardev; /* NULL: nothing connected */
    void (*intr)(void *owner, bool level);
    void *owner;

    /* The rest is its own. */
    uint8_t ier, lcr, mcr, lsr, msr, scr;
    uint8_t fcr; /* FIFO enable, DMA mode and trigger bits */
    uint16_t divisor;
    uint8_t rx[UART_FIFO], rx_error[UART_FIFO]; /* oldest first */
    uint8_t rx_count;
    uint8_t tx[UART_FIFO];
    uint8_t tx_count;
    uint8_t lines;       /* modem lines from outside */
    bool thre_interrupt; /* THR became empty and IIR was not read yet */
    bool timed_out;      /* bytes wait in the receive FIFO */
    bool refused;        /* the endpoint has more than we took */
    bool level;          /* of the interrupt */
    /* Bytes sent, on their way to the endpoint: handed over in one go. */
    uint8_t wire[UART_WIRE];
    uint16_t wire_count;
    struct timer rx_timer, wire_timer;
};

extern const struct field serial16550_fields[];

void serial16550_init(struct serial16550 *u);
void serial16550_detach(struct serial16550 *u);
void serial16550_reset(struct serial16550 *u);
void serial16550_pause(struct serial16550 *u);
void serial16550_resume(struct serial16550 *u);
int serial16550_loaded(struct serial16550 *u);

uint8_t serial16550_read(struct serial16550 *u, unsigned reg);
void serial16550_write(struct serial16550 *u, unsigned reg, uint8_t v);

/* From outside: the modem lines are now as given; a break comes in. */
void serial16550_set_lines(struct serial16550 *u, uint8_t lines);
void serial16550_break(struct serial16550 *u);

#endif
