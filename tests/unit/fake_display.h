/* A display source that shows what a test says. */
#ifndef TESTS_UNIT_FAKE_DISPLAY_H
#define TESTS_UNIT_FAKE_DISPLAY_H

#include <stdlib.h>
#include <string.h>

#include "lodge/display.h"

struct fake_display {
    struct display_source source;
    struct display_mode m;
    uint32_t colour;  /* of all pixels */
    uint64_t changes; /* counts up with each change */
    struct display_cell cells[DISPLAY_MAX_COLS * DISPLAY_MAX_ROWS];
    struct display_cursor cursor;
    unsigned updates;
    bool restless; /* another mode each time */
};

static inline void fake_mode(void *dev, struct display_mode *out)
{
    struct fake_display *f = dev;

    if (f->restless)
        f->m.width ^= 8;
    *out = f->m;
    if (f->restless)
        f->m.width ^= 16;
}

static inline int fake_update(void *dev, struct display_surface *s, unsigned y,
                              unsigned h, struct display_rect *rects,
                              unsigned max)
{
    struct fake_display *f = dev;

    (void)max;
    f->updates++;
    if (s->width != f->m.width || s->height != f->m.height)
        return DISPLAY_STALE;
    if (y == 0)
        s->pass = s->seen != f->changes + 1;
    if (!s->pass)
        return 0;
    for (unsigned row = y; row < y + h; row++)
        for (unsigned x = 0; x < s->width; x++)
            memcpy(s->pixels + row * s->stride + 4 * x, &f->colour, 4);
    if (y + h == s->height)
        s->seen = f->changes + 1;
    rects[0] = (struct display_rect){0, y, s->width, h};
    return 1;
}

static inline unsigned fake_text(void *dev, struct display_cell *cells,
                                 unsigned max, struct display_cursor *cursor)
{
    struct fake_display *f = dev;
    unsigned n = f->m.cols * f->m.rows;

    if (f->m.kind != DISPLAY_TEXT)
        return 0;
    memcpy(cells, f->cells, (n < max ? n : max) * sizeof *cells);
    if (cursor)
        *cursor = f->cursor;
    return n;
}

static inline void fake_graphics(struct fake_display *f, unsigned w, unsigned h,
                                 uint32_t colour)
{
    f->m = (struct display_mode){
        .kind = DISPLAY_GRAPHICS, .width = w, .height = h};
    f->colour = colour;
    f->changes++;
}

static inline void fake_print(struct fake_display *f, unsigned col,
                              unsigned row, const char *text)
{
    for (unsigned i = 0; text[i]; i++)
        f->cells[row * f->m.cols + col + i] = (struct display_cell){
            .code = (uint8_t)text[i], .attr = 7, .fg = 7, .bg = 0};
    f->changes++;
}

static inline void fake_init(struct fake_display *f, unsigned cols,
                             unsigned rows)
{
    memset(f, 0, sizeof *f);
    f->source = (struct display_source){fake_mode, fake_update, fake_text, f};
    f->m = (struct display_mode){DISPLAY_TEXT, cols * 8, rows * 16, cols,
                                 rows,         8,        16};
    for (unsigned i = 0; i < cols * rows; i++)
        f->cells[i] = (struct display_cell){' ', 7, 7, 0, 0};
}

#endif
