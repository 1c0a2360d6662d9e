#include "hw/input/ps2.h"

#include "base/libc.h"

bool ps2_empty(const struct ps2_queue *q)
{
    return !q->nevents && !q->nanswers;
}

static uint8_t shift(uint8_t *p, uint8_t *n)
{
    uint8_t v = p[0];

    memmove(p, p + 1, --*n);
    return v;
}

uint8_t ps2_take(struct ps2_queue *q)
{
    q->last = q->nanswers ? shift(q->answers, &q->nanswers)
                          : shift(q->events, &q->nevents);
    return q->last;
}

bool ps2_event(struct ps2_queue *q, const uint8_t *p, unsigned n)
{
    if (n > (unsigned)(PS2_EVENTS - q->nevents))
        return false;
    memcpy(q->events + q->nevents, p, n);
    q->nevents += (uint8_t)n;
    return true;
}

void ps2_answer_start(struct ps2_queue *q)
{
    q->nanswers = 0;
}

void ps2_answer(struct ps2_queue *q, uint8_t v)
{
    if (q->nanswers < PS2_ANSWERS)
        q->answers[q->nanswers++] = v;
}

void ps2_clear(struct ps2_queue *q)
{
    memset(q->events, 0, sizeof q->events);
    memset(q->answers, 0, sizeof q->answers);
    q->nevents = q->nanswers = q->last = 0;
}

const struct field ps2_queue_fields[] = {
    FIELD_RAW(struct ps2_queue, events),
    FIELD_RAW(struct ps2_queue, answers),
    FIELD_MAX(struct ps2_queue, nevents, 8, PS2_EVENTS),
    FIELD_MAX(struct ps2_queue, nanswers, 8, PS2_ANSWERS),
    FIELD8(struct ps2_queue, last),
    FIELD_END,
};
