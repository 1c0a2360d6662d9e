/*
 * A PS/2 mouse that becomes an IntelliMouse (wheel) or Explorer (wheel, five
 * buttons) when a driver knocks. Machine lock held.
 * Spec: IBM PS/2 Mouse Technical Reference; Microsoft IntelliMouse notes.
 */
#ifndef HW_INPUT_PS2MOUSE_H
#define HW_INPUT_PS2MOUSE_H

#include "hw/input/ps2.h"

struct ps2mouse {
    struct ps2_queue queue;
    bool enabled, remote, wrap, double_scale;
    uint8_t resolution, rate;
    uint8_t id;         /* 0, 3: wheel, 4: wheel and five buttons */
    uint8_t command;    /* that waits for its parameter; 0: none */
    uint8_t knock[3];   /* the last sample rates set */
    uint8_t buttons;    /* held now: INPUT_* */
    uint8_t reported;   /* as in the last packet */
    int32_t dx, dy, dz; /* not reported yet */
};

extern const struct field ps2mouse_fields[];

void ps2mouse_reset(struct ps2mouse *m);
void ps2mouse_write(struct ps2mouse *m, uint8_t v); /* from the controller */
void ps2mouse_motion(struct ps2mouse *m, int dx, int dy, int wheel,
                     unsigned buttons);
/* The controller is about to look: puts what there is to report in queue. */
void ps2mouse_refill(struct ps2mouse *m);
bool ps2mouse_valid(const struct ps2mouse *m);

#endif
