/*
 * What a PS/2 keyboard and mouse share: a queue of bytes for the controller,
 * answers before events, and the wire to tell it that there are some. Machine
 * lock held. Spec: IBM PS/2 Hardware Interface Technical Reference, "Keyboard
 * and Auxiliary Device Controller".
 */
#ifndef HW_INPUT_PS2_H
#define HW_INPUT_PS2_H

#include "lodge/device.h"

enum { PS2_EVENTS = 16, PS2_ANSWERS = 8 };
enum { PS2_ACK = 0xfa, PS2_RESEND = 0xfe, PS2_PASSED = 0xaa };

struct ps2_queue {
    uint8_t events[PS2_EVENTS], answers[PS2_ANSWERS]; /* oldest first */
    uint8_t nevents, nanswers;
    uint8_t last; /* for the resend command */
    /* The controller's, for the device to call: look again. */
    void (*ready)(void *owner);
    void *owner;
};

extern const struct field ps2_queue_fields[];

bool ps2_empty(const struct ps2_queue *q);
uint8_t ps2_take(struct ps2_queue *q); /* not when empty */
/* All n bytes or, when they do not fit, none. */
bool ps2_event(struct ps2_queue *q, const uint8_t *p, unsigned n);
/* A byte answered to a command; starting one forgets older answers. */
void ps2_answer_start(struct ps2_queue *q);
void ps2_answer(struct ps2_queue *q, uint8_t v);
void ps2_clear(struct ps2_queue *q);

#endif
