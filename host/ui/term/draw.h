/*
 * A text screen drawn in a terminal, by ncurses. One in a process at a time;
 * all calls on one thread at a time.
 */
#ifndef HOST_UI_TERM_DRAW_H
#define HOST_UI_TERM_DRAW_H

#include "host/ui/picture.h"

struct draw; /* ncurses' screen */

/* Takes standard input and output, which are a terminal in raw mode. */
int draw_open(struct draw **out, struct err *e);
void draw_close(struct draw *d);

/* The part around the cursor where the terminal is smaller. */
void draw_text(const struct screen_text *t);
/* A sentence instead of a screen. */
void draw_sentence(const char *text);
/* Lines over what is drawn, at the bottom. */
void draw_box(char (*line)[80], unsigned n);
/* Brings it to the terminal; anew: all of it. */
void draw_show(bool anew);
/* Has the terminal another size now? It has been taken up then. */
bool draw_resized(void);

#endif
