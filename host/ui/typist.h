/*
 * Types keys at a pace that the guest keeps up with: the next one only when
 * the guest has taken the last, and not faster than a quick hand. Machine lock
 * held for all but create.
 */
#ifndef HOST_UI_TYPIST_H
#define HOST_UI_TYPIST_H

#include "base/err.h"
#include "lodge/host.h"
#include "lodge/input.h"

/* Characters of one typing_text(), and strokes of one typing. */
enum { TYPING_MAX = 16384 };

struct typist;

/* Plays into sink, which is borrowed. NULL: no memory. */
struct typist *typist_create(struct input_sink *sink, struct loop *loop);
/* What is still to be typed ends with -LE_STATE. NULL: nothing. */
void typist_destroy(struct typist *t);

/* What to type: made of text (ASCII, US layout) or of one chord. NULL with e:
   a character no key has, too much, no memory. */
struct typing;
struct typing *typing_text(const char *text, struct err *e);
struct typing *typing_chord(const char *chord, uint64_t hold_ns, struct err *e);
struct typing *typing_keys(const uint16_t *keys, unsigned n, uint64_t hold_ns,
                           struct err *e);

/*
 * Types it (taken over) after what was asked before; done comes once, on the
 * loop, when the guest has taken all: 0; -LE_BUSY: it takes no keys, and what
 * else waits ends so too. done may be NULL.
 */
void typist_type(struct typist *t, struct typing *what,
                 void (*done)(void *ctx, int rc, const struct err *e),
                 void *ctx);

/* How many are still to be typed. */
unsigned typist_backlog(const struct typist *t);

#endif
