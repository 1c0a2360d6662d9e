#include "host/ui/picture.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifdef HAVE_PNG
#include <png.h>
#endif

/* Rows drawn at a time, the lock held; and how often a guest that keeps
   changing its mode is followed. */
enum { BAND = 64, TRIES = 10 };

static int no_screen(struct err *e)
{
    return err_set(e, LE_STATE, "this VM has no screen");
}

/* 0, -LE_STATE: the mode changed meanwhile. */
static int draw(struct display_source *s, struct host_mutex *lock,
                struct display_surface *to)
{
    struct display_rect rect;

    for (unsigned y = 0; y < to->height; y += BAND) {
        int n;

        host_mutex_lock(lock);
        n = s->update(s->dev, to, y, MIN(BAND, to->height - y), &rect, 1);
        host_mutex_unlock(lock);
        if (n == DISPLAY_STALE)
            return -LE_STATE;
    }
    return 0;
}

static int try_take(struct display_source *s, struct host_mutex *lock,
                    struct picture *out, struct err *e)
{
    struct display_surface to = {0};
    struct display_mode m;

    host_mutex_lock(lock);
    s->mode(s->dev, &m);
    host_mutex_unlock(lock);
    to.width = m.width;
    to.height = m.height;
    to.stride = (size_t)m.width * 4;
    to.pixels = calloc(m.height, to.stride);
    if (!to.pixels)
        return err_set(e, LE_NOMEM,
                       "the host has no memory left for a picture of %ux%u",
                       m.width, m.height);
    if (draw(s, lock, &to)) {
        free(to.pixels);
        return err_set(e, LE_STATE, "the screen keeps changing its mode");
    }
    *out = (struct picture){m.width, m.height, to.pixels};
    return 0;
}

int picture_take(struct display_source *s, struct host_mutex *lock,
                 struct picture *out, struct err *e)
{
    int rc = -LE_STATE;

    if (!s->mode)
        return no_screen(e);
    for (unsigned i = 0; i < TRIES && rc == -LE_STATE; i++)
        rc = try_take(s, lock, out, e);
    return rc;
}

void picture_free(struct picture *p)
{
    free(p->pixels);
    p->pixels = NULL;
}

#ifdef HAVE_PNG
/* 32-bit pixels to 24-bit ones, in place. */
static void pack(struct picture *p)
{
    size_t n = (size_t)p->width * p->height;

    for (size_t i = 0; i < n; i++)
        memmove(p->pixels + 3 * i, p->pixels + 4 * i, 3);
}

int picture_write_png(struct picture *p, int fd, struct err *e)
{
    png_image image = {.version = PNG_IMAGE_VERSION,
                       .width = p->width,
                       .height = p->height,
                       .format = PNG_FORMAT_BGR,
                       .flags = PNG_IMAGE_FLAG_FAST};
    int own = dup(fd), bad;
    FILE *f = own < 0 ? NULL : fdopen(own, "wb");

    if (!f) {
        if (own >= 0)
            close(own);
        return err_set(e, LE_NOMEM, "the host has no memory left");
    }
    pack(p);
    bad = !png_image_write_to_stdio(&image, f, 0, p->pixels, 0, NULL);
    bad |= fclose(f);
    return bad ? err_set(e, LE_IO, "the picture cannot be written: %s",
                         image.message[0] ? image.message : strerror(errno))
               : 0;
}
#else
int picture_write_png(struct picture *p, int fd, struct err *e)
{
    (void)p;
    (void)fd;
    return err_set(e, LE_UNSUPPORTED,
                   "this Lodge was built without libpng; install libpng-dev "
                   "and build it again");
}
#endif

/* --- text --- */

int screen_text_take(struct display_source *s, struct host_mutex *lock,
                     struct screen_text *out, struct err *e)
{
    struct display_mode m;
    unsigned n = 0;

    if (!s->mode)
        return no_screen(e);
    host_mutex_lock(lock);
    s->mode(s->dev, &m);
    if (m.kind == DISPLAY_TEXT)
        n = s->text(s->dev, out->cells, ARRAY_LEN(out->cells), &out->cursor);
    host_mutex_unlock(lock);
    out->cols = m.cols;
    out->rows = m.rows;
    if (n && n == m.cols * m.rows && m.cols <= DISPLAY_MAX_COLS)
        return 0;
    return err_set(e, LE_STATE,
                   "the screen shows no text but %s of %ux%u; take a "
                   "screenshot",
                   m.kind == DISPLAY_BLANK ? "nothing" : "graphics", m.width,
                   m.height);
}

void screen_text_row(const struct screen_text *t, unsigned row, char *to)
{
    const struct display_cell *c = t->cells + (size_t)row * t->cols;
    size_t at = 0, end = 0;

    for (unsigned x = 0; x < t->cols; x++) {
        uint16_t u = cp437_unicode[c[x].code];

        at += utf8_put(to + at, u);
        if (u != ' ')
            end = at;
    }
    to[end] = 0;
}
