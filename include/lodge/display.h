/*
 * A screen: what a display adapter shows, for whoever shows it to a person
 * (a terminal, VNC, a screenshot). The adapter is a source; each viewer pulls
 * pictures or text from it at its own pace, 0 to 60 times a second, and keeps
 * a surface of its own, so that any number of viewers can look at once and
 * nothing is drawn while nobody looks.
 *
 * Thread: any, with the machine lock held. Nothing here calls back, allocates
 * or waits. A viewer that draws large pictures asks for them in bands of rows
 * and lets go of the lock in between.
 *
 * Surfaces are the viewer's. Pixels are 32 bits, 0x00RRGGBB little-endian:
 * the bytes B, G, R, 0.
 *
 *   struct display_source *s = &env->display;      NULL ops: no adapter
 *   s->mode(s->dev, &m);
 *   if (m.width != surface.width || …) make surface anew, all zero;
 *   n = s->update(s->dev, &surface, 0, m.height, rects, MAX);
 */
#ifndef LODGE_DISPLAY_H
#define LODGE_DISPLAY_H

#include "lodge/types.h"

enum display_kind {
    DISPLAY_BLANK,    /* off or nothing programmed yet: draws black */
    DISPLAY_TEXT,     /* characters; also draws as pixels */
    DISPLAY_GRAPHICS, /* pixels only */
};

/* Greatest picture that any source shows, and the greatest text screen. */
enum {
    DISPLAY_MAX_WIDTH = 8192,
    DISPLAY_MAX_HEIGHT = 8192,
    DISPLAY_MAX_COLS = 256,
    DISPLAY_MAX_ROWS = 128,
};

struct display_mode {
    enum display_kind kind;
    /* Of the picture in pixels, in text modes too; never 0. */
    unsigned width, height;
    /* Text: characters across and down, pixels of one; else 0. */
    unsigned cols, rows, cell_width, cell_height;
};

struct display_surface {
    uint8_t *pixels; /* the first of row 0 */
    size_t stride;   /* bytes from a row to the next */
    /* As mode() said; a source whose mode is another by now draws nothing
       and update() says DISPLAY_STALE. */
    unsigned width, height;
    /* The source's notes of what is drawn here; zero: nothing. */
    uint64_t seen, pass;
};

struct display_rect {
    unsigned x, y, w, h;
};

enum { DISPLAY_STALE = -1 };

enum {
    DISPLAY_CELL_BLINK = 1,
    DISPLAY_CELL_UNDERLINE = 2,
};

/*
 * A character cell: the code as the guest wrote it (code page 437 in the
 * fonts of a BIOS; a guest may load any other), the attribute byte, and what
 * the attribute means now: colours 0–15 as of the CGA, that is bit 0 blue, 1
 * green, 2 red, 3 bright.
 */
struct display_cell {
    uint8_t code, attr;
    uint8_t fg, bg;
    uint8_t flags;
};

struct display_cursor {
    bool on; /* visible, whether or not it is just blinked away */
    unsigned col, row;
    /* Scan lines of the cell it covers: first and last. */
    uint8_t first, last;
};

struct display_source {
    /* What is shown now. */
    void (*mode)(void *dev, struct display_mode *out);
    /*
     * Brings rows [y, y + h) of the surface up to date and lists what changed
     * there since its last update: at most max rectangles (1 or more), joined
     * as necessary; returns how many, 0 for nothing new, or DISPLAY_STALE.
     * Cover all rows, top to bottom, before beginning again. Blinking counts as
     * change; the source blinks by the machine's clock.
     */
    int (*update)(void *dev, struct display_surface *s, unsigned y, unsigned h,
                  struct display_rect *rects, unsigned max);
    /*
     * Text modes: the cells row by row, at most max of them; returns how
     * many there are (cols * rows), or 0 in other modes. cursor may be NULL.
     */
    unsigned (*text)(void *dev, struct display_cell *cells, unsigned max,
                     struct display_cursor *cursor);
    void *dev;
};

#endif
