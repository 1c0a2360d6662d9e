#include "host/ui/typist.h"

#include <string.h>

#include "host/ui/keymap.h"

#define STEP_NS  8000000ull        /* between events */
#define LOOK_NS  2000000ull        /* between looks at a busy guest */
#define PATIENCE (10 * NS_PER_SEC) /* with a guest that takes nothing */

struct key_event {
    uint16_t key;
    bool down;
    uint64_t after; /* ns to wait before the next one */
};

struct typing {
    struct list link;
    void (*done)(void *ctx, int rc, const struct err *e);
    void *ctx;
    size_t n, at;
    struct key_event event[];
};

struct typist {
    struct input_sink *sink;
    struct list queue;
    unsigned backlog;
    struct timer timer;
    uint64_t since; /* when the guest last took a key */
};

static void step(void *ctx);

struct typist *typist_create(struct input_sink *sink, struct loop *loop)
{
    struct typist *t = host_alloc(sizeof *t);

    if (!t)
        return NULL;
    t->sink = sink;
    list_init(&t->queue);
    timer_init(&t->timer, loop, step, t);
    return t;
}

static struct typing *first(const struct typist *t)
{
    return list_empty(&t->queue)
               ? NULL
               : container_of(t->queue.next, struct typing, link);
}

static void finish(struct typist *t, struct typing *what, int rc,
                   const struct err *e)
{
    list_remove(&what->link);
    t->backlog--;
    if (what->done)
        what->done(what->ctx, rc, e);
    host_free(what);
}

void typist_destroy(struct typist *t)
{
    struct err e;
    struct typing *what;

    if (!t)
        return;
    timer_cancel(&t->timer);
    err_set(&e, LE_STATE, "the VM ended before it was typed");
    while ((what = first(t)))
        finish(t, what, e.code, &e);
    host_free(t);
}

/* Nothing must stay pressed of what was given up. */
static void release_all(struct typist *t, const struct typing *what)
{
    for (size_t i = 0; i < what->n; i++)
        t->sink->key(t->sink->dev, what->event[i].key, false);
}

static void wait_for_guest(struct typist *t, struct typing *what)
{
    struct err e;

    if (host_now() - t->since < PATIENCE) {
        timer_arm(&t->timer, host_now() + LOOK_NS);
        return;
    }
    err_set(&e, LE_BUSY,
            "the guest takes no keys: it is busy, paused or does not listen");
    release_all(t, what);
    while ((what = first(t)))
        finish(t, what, e.code, &e);
}

static void step(void *ctx)
{
    struct typist *t = ctx;
    struct typing *what = first(t);
    const struct key_event *k;

    if (!what)
        return;
    if (!t->sink->idle(t->sink->dev)) {
        wait_for_guest(t, what);
        return;
    }
    t->since = host_now();
    if (what->at == what->n) {
        finish(t, what, 0, NULL);
        timer_arm(&t->timer, host_now());
        return;
    }
    k = &what->event[what->at++];
    t->sink->key(t->sink->dev, k->key, k->down);
    timer_arm(&t->timer, host_now() + k->after);
}

void typist_type(struct typist *t, struct typing *what,
                 void (*done)(void *ctx, int rc, const struct err *e),
                 void *ctx)
{
    bool idle = list_empty(&t->queue);

    what->done = done;
    what->ctx = ctx;
    list_append(&t->queue, &what->link);
    t->backlog++;
    if (!idle)
        return;
    t->since = host_now();
    timer_arm(&t->timer, host_now());
}

unsigned typist_backlog(const struct typist *t)
{
    return t->backlog;
}

/* --- what to type --- */

static struct typing *make(size_t events, struct err *e)
{
    struct typing *w =
        host_alloc(sizeof *w + events * sizeof(struct key_event));

    if (w)
        list_init(&w->link);
    else
        err_set(e, LE_NOMEM, "the host has no memory left");
    return w;
}

static void add(struct typing *w, unsigned key, bool down, uint64_t after)
{
    w->event[w->n++] =
        (struct key_event){.key = (uint16_t)key, .down = down, .after = after};
}

static void add_stroke(struct typing *w, const struct key_stroke *s)
{
    if (s->shift)
        add(w, KEY_LEFTSHIFT, true, STEP_NS);
    add(w, s->key, true, STEP_NS);
    add(w, s->key, false, STEP_NS);
    if (s->shift)
        add(w, KEY_LEFTSHIFT, false, STEP_NS);
}

struct typing *typing_text(const char *text, struct err *e)
{
    size_t n = strlen(text);
    struct typing *w;
    struct key_stroke s;

    if (n > TYPING_MAX) {
        err_set(e, LE_RANGE, "at most %d characters can be typed at once",
                TYPING_MAX);
        return NULL;
    }
    for (size_t i = 0; i < n; i++)
        if (!key_of_char((uint8_t)text[i], &s)) {
            err_set(e, LE_USAGE,
                    "no key of a US keyboard types the character at %zu "
                    "(0x%02x)",
                    i + 1, (uint8_t)text[i]);
            return NULL;
        }
    w = make(4 * n, e);
    for (size_t i = 0; w && i < n && key_of_char((uint8_t)text[i], &s); i++)
        add_stroke(w, &s);
    return w;
}

struct typing *typing_keys(const uint16_t *keys, unsigned n, uint64_t hold_ns,
                           struct err *e)
{
    struct typing *w = make(2 * (size_t)n, e);

    if (!w)
        return NULL;
    for (unsigned i = 0; i < n; i++)
        add(w, keys[i], true, i + 1 < n ? STEP_NS : MAX(hold_ns, STEP_NS));
    for (unsigned i = n; i-- > 0;)
        add(w, keys[i], false, STEP_NS);
    return w;
}

struct typing *typing_chord(const char *chord, uint64_t hold_ns, struct err *e)
{
    uint16_t keys[CHORD_MAX];
    int n = chord_parse(chord, keys, e);

    return n < 0 ? NULL : typing_keys(keys, (unsigned)n, hold_ns, e);
}
