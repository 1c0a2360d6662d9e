/*
 * --display text: the VM's text screen in this terminal, its keyboard ours.
 * A thread of its own, so that a slow terminal holds up nobody.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "host/char/escape.h"
#include "host/char/terminal.h"
#include "host/posix/loop.h"
#include "host/ui/kinds.h"
#include "host/ui/term/draw.h"
#include "host/ui/term/keys.h"
#include "host/ui/typist.h"

#define BUSY_NS  (NS_PER_SEC / 30) /* between looks at a screen that changes */
#define QUIET_NS (NS_PER_SEC / 12) /* and at one that does not */
#define ESC_NS   30000000ull       /* a lone escape is the key after that */

enum {
    KEYS = 256,    /* bytes typed and not looked at */
    BACKLOG = 128, /* keys the guest has not taken */
    BOX_ROWS = 8,
};

struct term {
    struct ui ui;
    struct ui_env env;
    struct loop *loop;
    struct host_mutex lock;
    struct timer tick, lone;
    struct watch in;
    struct typist *typist; /* machine lock */
    struct escape escape;
    struct draw *screen;
    uint8_t keys[KEYS];
    size_t nkeys;
    bool anew, help;
    char shown[160]; /* the sentence that is drawn, or "" */
    struct screen_text now, drawn;
    int said, log[2]; /* standard error as it was; a pipe in its place */
};

/* --- drawing --- */

static void say_no_text(struct term *t, char *to, size_t n)
{
    struct display_source *s = t->env.display;
    struct display_mode m = {0};

    host_mutex_lock(t->env.lock);
    if (s->mode)
        s->mode(s->dev, &m);
    host_mutex_unlock(t->env.lock);
    if (!m.width)
        snprintf(to, n, "This VM has no screen. Ctrl-A h lists the keys.");
    else if (m.kind == DISPLAY_BLANK)
        snprintf(to, n, "The screen is blank.");
    else
        snprintf(to, n,
                 "The guest shows graphics of %ux%u: look at it with --display "
                 "vnc or 'lodge screenshot'.",
                 m.width, m.height);
}

static void draw(struct term *t, bool text)
{
    char line[BOX_ROWS][ESCAPE_LINE];

    if (text)
        draw_text(&t->drawn);
    else
        draw_sentence(t->shown);
    if (t->help)
        draw_box(line, escape_help(&t->escape, line, BOX_ROWS));
    draw_show(t->anew);
    t->anew = false;
}

static bool same(const struct screen_text *a, const struct screen_text *b)
{
    return a->cols == b->cols && a->rows == b->rows &&
           a->cursor.on == b->cursor.on && a->cursor.col == b->cursor.col &&
           a->cursor.row == b->cursor.row &&
           !memcmp(a->cells, b->cells,
                   (size_t)a->cols * a->rows * sizeof a->cells[0]);
}

/* Takes up what the screen shows now; true: that is new. */
static bool look(struct term *t, bool *text)
{
    char sentence[sizeof t->shown] = "";
    bool changed;
    struct err e;

    *text = !screen_text_take(t->env.display, t->env.lock, &t->now, &e);
    if (!*text)
        say_no_text(t, sentence, sizeof sentence);
    changed =
        strcmp(sentence, t->shown) || (*text && !same(&t->now, &t->drawn));
    memcpy(t->shown, sentence, sizeof sentence);
    if (*text && changed)
        t->drawn = t->now;
    return changed;
}

static void pass_keys(struct term *t, bool last);

static void on_tick(void *ctx)
{
    struct term *t = ctx;
    bool text, changed = look(t, &text);

    if (draw_resized())
        t->anew = true;
    if (changed || t->anew)
        draw(t, text);
    if (t->nkeys && t->lone.deadline == UINT64_MAX)
        pass_keys(t, false);
    timer_arm(&t->tick, host_now() + (changed ? BUSY_NS : QUIET_NS));
}

/* --- keys --- */

static void end_vm(void *ctx)
{
    struct term *t = ctx;

    t->env.quit(t->env.ctx);
}

static void show_keys(void *ctx)
{
    struct term *t = ctx;

    t->help = t->anew = true;
    timer_arm(&t->tick, host_now());
}

static void draw_anew(void *ctx)
{
    struct term *t = ctx;

    t->anew = true;
    timer_arm(&t->tick, host_now());
}

static void play(struct term *t, struct typing *what)
{
    if (!what || !t->env.input->key)
        return;
    host_mutex_lock(t->env.lock);
    typist_type(t->typist, what, NULL, NULL);
    host_mutex_unlock(t->env.lock);
}

static void three_fingers(void *ctx)
{
    play(ctx, typing_chord("ctrl-alt-delete", 0, NULL));
}

static const struct escape_row rows[] = {
    {'x', "x", "end the VM", end_vm},
    {'d', "d", "press Ctrl-Alt-Delete", three_fingers},
    {'l', "l", "draw the screen anew", draw_anew},
    {'h', "h", "list these keys", show_keys},
    {ESCAPE_KEY, "Ctrl-A", "send Ctrl-A to the guest", NULL},
    {0},
};

static bool has_backlog(struct term *t)
{
    unsigned n;

    host_mutex_lock(t->env.lock);
    n = typist_backlog(t->typist);
    host_mutex_unlock(t->env.lock);
    return n >= BACKLOG;
}

/* Plays what was typed, as far as the guest keeps up. last: what is there is
   all there is. */
static void pass_keys(struct term *t, bool last)
{
    uint16_t chord[4];
    struct term_key k;
    size_t used = 1;

    timer_cancel(&t->lone);
    while (t->nkeys && !has_backlog(t)) {
        used = term_key(t->keys, t->nkeys, last, &k);
        if (!used)
            break;
        t->nkeys -= used;
        memmove(t->keys, t->keys + used, t->nkeys);
        if (k.key)
            play(t, typing_keys(chord, term_key_chord(k, chord), 0, NULL));
    }
    if (!used) /* the rest of a sequence, or the Escape key alone */
        timer_arm(&t->lone, host_now() + ESC_NS);
    watch_events(&t->in, t->nkeys < KEYS ? WATCH_IN : 0);
}

static void on_lone(void *ctx)
{
    pass_keys(ctx, true);
}

static void on_input(void *ctx, uint32_t ready)
{
    struct term *t = ctx;
    size_t kept;
    ssize_t n;

    (void)ready;
    if (t->nkeys == KEYS)
        return;
    n = read(STDIN_FILENO, t->keys + t->nkeys, KEYS - t->nkeys);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) { /* the terminal is gone */
        watch_stop(&t->in);
        return;
    }
    if (t->help)
        draw_anew(t);
    t->help = false;
    kept = escape_filter(&t->escape, t->keys + t->nkeys, (size_t)n);
    t->nkeys += kept;
    pass_keys(t, false);
}

/* --- life --- */

/*
 * What others write to standard error would end up in the picture: it waits in
 * a pipe, as far as there is room, until the terminal is free.
 */
static void hold_messages(struct term *t)
{
    t->said = -1;
    if (!isatty(STDERR_FILENO) || pipe2(t->log, O_CLOEXEC | O_NONBLOCK))
        return;
    t->said = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
    if (t->said >= 0)
        dup2(t->log[1], STDERR_FILENO);
    close(t->log[1]);
    if (t->said < 0)
        close(t->log[0]);
}

static void show_messages(struct term *t)
{
    char buf[4096];
    ssize_t n;

    if (t->said < 0)
        return;
    dup2(t->said, STDERR_FILENO);
    close(t->said);
    while ((n = read(t->log[0], buf, sizeof buf)) > 0)
        if (write(STDERR_FILENO, buf, (size_t)n) != n)
            break;
    close(t->log[0]);
}

static void term_free(struct term *t)
{
    host_mutex_lock(t->env.lock);
    typist_destroy(t->typist);
    host_mutex_unlock(t->env.lock);
    loop_destroy(t->loop);
    host_mutex_destroy(&t->lock);
    host_free(t);
}

static void term_close(struct ui *u)
{
    struct term *t = container_of(u, struct term, ui);

    host_mutex_lock(&t->lock);
    watch_stop(&t->in);
    timer_cancel(&t->tick);
    timer_cancel(&t->lone);
    host_mutex_unlock(&t->lock);
    draw_close(t->screen);
    terminal_restore();
    show_messages(t);
    term_free(t);
}

static struct term *term_create(const struct ui_env *env)
{
    struct term *t = host_alloc(sizeof *t);

    if (!t)
        return NULL;
    t->ui.close = term_close;
    t->env = *env;
    t->escape = (struct escape){.rows = rows, .ctx = t};
    t->anew = true;
    host_mutex_init(&t->lock);
    t->loop = loop_create(&t->lock);
    t->typist = typist_create(env->input, env->loop);
    if (t->loop && t->typist) {
        timer_init(&t->tick, t->loop, on_tick, t);
        timer_init(&t->lone, t->loop, on_lone, t);
        return t;
    }
    term_free(t);
    return NULL;
}

static int start(struct term *t, struct err *e)
{
    int rc;

    host_mutex_lock(&t->lock);
    rc = watch_start(&t->in, t->loop, STDIN_FILENO, WATCH_IN, on_input, t);
    host_mutex_unlock(&t->lock);
    timer_arm(&t->tick, host_now());
    if (rc || loop_start(t->loop))
        return err_set(e, LE_NOMEM,
                       "the host does not let Lodge watch the terminal");
    return 0;
}

int term_open(const char *arg, const struct ui_env *env, struct ui **out,
              struct err *e)
{
    struct term *t;
    int rc;

    (void)arg;
    if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO))
        return err_set(e, LE_UNSUPPORTED,
                       "text: standard input and output are no terminal; use "
                       "vnc or none");
    t = term_create(env);
    if (!t)
        return err_set(e, LE_NOMEM, "the host has no memory left");
    rc = terminal_raw(STDIN_FILENO, e);
    if (!rc && (rc = draw_open(&t->screen, e)))
        terminal_restore();
    if (rc) {
        term_free(t);
        return rc;
    }
    hold_messages(t);
    rc = start(t, e);
    if (rc) {
        term_close(&t->ui);
        return rc;
    }
    *out = &t->ui;
    return 0;
}
