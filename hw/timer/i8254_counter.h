/*
 * One counter of an 8254: modes 0–5, binary and BCD. A pure function of time,
 * which callers give in ticks of CLK; OUT and the count are worked out when
 * asked for. Spec: Intel 82C54 datasheet (231244), "Mode Definitions".
 */
#ifndef HW_TIMER_I8254_COUNTER_H
#define HW_TIMER_I8254_COUNTER_H

#include "lodge/chips.h"
#include "lodge/state.h"

enum pit_state {
    PIT_IDLE, /* control word written, counting not begun */
    PIT_RUN,  /* counting since `start` */
    PIT_HELD, /* GATE is low: `held` ticks were counted */
};

struct pit_counter {
    uint8_t control; /* RW, mode, BCD: as in the status byte */
    bool gate;
    uint8_t state;    /* enum pit_state */
    uint32_t initial; /* count in the counting element: 1 to 65536 */
    uint32_t reload;  /* count register, likewise; 0: not written yet */
    bool null_count;  /* reload has not reached the counting element */
    uint64_t start;   /* tick at which initial was loaded */
    uint64_t load_at; /* modes 2, 3: tick at which reload will be */
    uint32_t held;
    /* Bytes on their way in and out. */
    bool write_high, read_high;
    uint8_t low_byte;
    uint8_t latched; /* bytes of the latched count left to read */
    uint16_t latch;
    bool status_latched;
    uint8_t status;
};

extern const struct field pit_counter_fields[];

void pit_control(struct pit_counter *c, uint8_t v, uint64_t now);
void pit_write(struct pit_counter *c, uint8_t v, uint64_t now);
uint8_t pit_read(struct pit_counter *c, uint64_t now);
void pit_latch_count(struct pit_counter *c, uint64_t now);
void pit_latch_status(struct pit_counter *c, uint64_t now);
void pit_gate(struct pit_counter *c, bool level, uint64_t now);

unsigned pit_mode(const struct pit_counter *c);
bool pit_out(struct pit_counter *c, uint64_t now);
/* The next tick after now at which OUT rises by itself; UINT64_MAX: none. */
uint64_t pit_next_rise(struct pit_counter *c, uint64_t now);
bool pit_valid(const struct pit_counter *c);

/* From and to the registers of an engine's own counter; age: ticks since it
   was loaded. A counter without a count is given as counting from 65536. */
void pit_take(struct pit_counter *c, const struct pit_regs *r, uint64_t age,
              uint64_t now);
struct pit_regs pit_give(const struct pit_counter *c);

#endif
