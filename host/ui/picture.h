/*
 * A still of the screen: as pixels, as a PNG, as text. Any thread, the machine
 * lock free (it is taken here, for bands of rows).
 */
#ifndef HOST_UI_PICTURE_H
#define HOST_UI_PICTURE_H

#include "base/err.h"
#include "lodge/display.h"
#include "lodge/host.h"

struct picture {
    unsigned width, height;
    uint8_t *pixels; /* 32 bits each, rows without gaps; lodge/display.h */
};

int picture_take(struct display_source *s, struct host_mutex *lock,
                 struct picture *out, struct err *e);
/* Writes a PNG file to fd. Uses pixels up. */
int picture_write_png(struct picture *p, int fd, struct err *e);
void picture_free(struct picture *p);

/* The screen's text; -LE_STATE in other modes. */
struct screen_text {
    unsigned cols, rows;
    struct display_cursor cursor;
    struct display_cell cells[DISPLAY_MAX_COLS * DISPLAY_MAX_ROWS];
};
int screen_text_take(struct display_source *s, struct host_mutex *lock,
                     struct screen_text *out, struct err *e);
/* Row as UTF-8 without the blanks at its end; to has room for
   3 * DISPLAY_MAX_COLS + 1 bytes. */
void screen_text_row(const struct screen_text *t, unsigned row, char *to);

/* --- cp437.c --- */
/* What a BIOS font shows for a code, as Unicode; a blank for 0. */
extern const uint16_t cp437_unicode[256];
size_t utf8_put(char *to, uint16_t c); /* BMP: at most 3 bytes; how many */

#endif
