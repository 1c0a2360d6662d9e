/*
 * What a running VM can be asked and told, one function a command. They run on
 * the control socket's thread, no lock held.
 */
#include "cli/remote.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cli/cli.h"
#include "host/char/char.h"
#include "host/control/control.h"
#include "host/ui/keymap.h"
#include "host/ui/picture.h"
#include "host/ui/typist.h"
#include "image/registry.h"
#include "lodge/media.h"
#include "vm/debug.h"

enum { MEDIA = 16 };

struct remote {
    struct control_server *server;
    const char *name;
    struct vm *vm;
    struct pc *pc;
    struct chardev *com1;
    struct typist *typist;
    uint64_t started;
    bool paused;      /* by a command */
    unsigned buttons; /* of the mouse, held by commands */
    /* What insert put into drives: ours to close. */
    struct blk *media[MEDIA];
    struct screen_text text;
};

static struct env *env_of(const struct control_call *c)
{
    return vm_env(((struct remote *)c->ctx)->vm);
}

/* --- the machine as a whole --- */

static json_t *screen_info(struct remote *r)
{
    static const char *const kinds[] = {[DISPLAY_BLANK] = "blank",
                                        [DISPLAY_TEXT] = "text",
                                        [DISPLAY_GRAPHICS] = "graphics"};
    struct display_source *s = &vm_env(r->vm)->display;
    struct display_mode m;

    if (!s->mode)
        return json_null();
    host_mutex_lock(vm_lock(r->vm));
    s->mode(s->dev, &m);
    host_mutex_unlock(vm_lock(r->vm));
    return json_pack("{s:s, s:i, s:i, s:i, s:i}", "kind", kinds[m.kind],
                     "width", (int)m.width, "height", (int)m.height, "columns",
                     (int)m.cols, "rows", (int)m.rows);
}

static json_t *drives_info(struct remote *r)
{
    json_t *list = json_array();

    host_mutex_lock(vm_lock(r->vm));
    for (struct media_drive *d = vm_env(r->vm)->drives; d; d = d->next)
        json_array_append_new(list, json_pack("{s:s, s:b, s:b}", "device",
                                              d->id, "medium", !!d->medium,
                                              "locked", (int)d->locked));
    host_mutex_unlock(vm_lock(r->vm));
    return list;
}

static int do_info(struct control_call *c, struct err *e)
{
    struct remote *r = c->ctx;
    const struct vm_config *vc = vm_config(r->vm);
    const char *state = r->paused               ? "paused"
                        : vm_is_running(r->vm)  ? "running"
                        : vm_debug_holds(r->vm) ? "debugger"
                                                : "stopping";

    (void)e;
    c->result = json_pack("{s:s, s:i, s:s, s:s, s:i, s:I, s:I, s:s, s:o, s:o}",
                          "name", r->name, "pid", (int)getpid(), "state", state,
                          "engine", vc->engine->name, "cpus", (int)vc->ncpus,
                          "memory", (json_int_t)vc->ram_size, "uptime",
                          (json_int_t)((host_now() - r->started) / NS_PER_SEC),
                          "boot", pc_boot_method(r->pc), "screen",
                          screen_info(r), "drives", drives_info(r));
    return 0;
}

static int do_pause(struct control_call *c, struct err *e)
{
    struct remote *r = c->ctx;

    (void)e;
    if (!r->paused)
        vm_pause(r->vm);
    r->paused = true;
    return 0;
}

static int do_resume(struct control_call *c, struct err *e)
{
    struct remote *r = c->ctx;

    (void)e;
    if (r->paused)
        vm_resume(r->vm);
    r->paused = false;
    return 0;
}

static int do_stop(struct control_call *c, struct err *e)
{
    struct remote *r = c->ctx;
    int force = 0;

    if (json_unpack(c->args, "{s?b !}", "force", &force))
        return err_set(e, LE_USAGE, "stop: args are {\"force\": true|false}");
    if (force) {
        vm_stop(r->vm);
        return 0;
    }
    if (r->paused)
        return err_set(e, LE_STATE,
                       "it is paused, so it cannot shut down; resume it first, "
                       "or use --force");
    if (!pc_power_button(r->pc))
        return err_set(e, LE_STATE,
                       "the guest does not listen to the power button; shut it "
                       "down from inside, or use --force");
    return 0;
}

static int do_reset(struct control_call *c, struct err *e)
{
    struct env *env = env_of(c);

    (void)e;
    env->reset(env);
    return 0;
}

/* --- the screen --- */

static json_t *rows_of(const struct screen_text *t)
{
    char line[3 * DISPLAY_MAX_COLS + 1];
    json_t *rows = json_array();

    for (unsigned y = 0; y < t->rows; y++) {
        screen_text_row(t, y, line);
        json_array_append_new(rows, json_string(line));
    }
    return rows;
}

static int do_screen(struct control_call *c, struct err *e)
{
    struct remote *r = c->ctx;
    struct screen_text *t = &r->text;
    int rc = screen_text_take(&vm_env(r->vm)->display, vm_lock(r->vm), t, e);

    if (rc)
        return rc;
    c->result = json_pack(
        "{s:i, s:i, s:o, s:{s:b, s:i, s:i}}", "columns", (int)t->cols, "rows",
        (int)t->rows, "text", rows_of(t), "cursor", "on", (int)t->cursor.on,
        "column", (int)t->cursor.col, "row", (int)t->cursor.row);
    return 0;
}

/* The PNG goes into a file in memory, and its descriptor to who asked. */
static int do_screenshot(struct control_call *c, struct err *e)
{
    struct remote *r = c->ctx;
    struct picture p;
    int rc = picture_take(&vm_env(r->vm)->display, vm_lock(r->vm), &p, e);

    if (rc)
        return rc;
    c->fd = memfd_create("screenshot", MFD_CLOEXEC);
    rc = c->fd < 0 ? err_set(e, LE_NOMEM, "the host has no memory left")
                   : picture_write_png(&p, c->fd, e);
    c->result =
        json_pack("{s:i, s:i}", "width", (int)p.width, "height", (int)p.height);
    picture_free(&p);
    return rc;
}

/* One end of a pair of sockets is the serial line's, the other one goes to who
   asked. */
static int do_console(struct control_call *c, struct err *e)
{
    struct remote *r = c->ctx;
    int pair[2], rc;

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
        return err_set(e, LE_NOMEM, "the host has no sockets left");
    rc = char_join(r->com1, pair[0], e);
    if (rc)
        close(pair[1]);
    else
        c->fd = pair[1];
    return rc;
}

/* --- keyboard and mouse --- */

/* Keys that a paused guest gets would seem to be held until it goes on. */
static int want_awake(const struct remote *r, struct err *e)
{
    return r->paused ? err_set(e, LE_STATE,
                               "it is paused, so it takes no keys and sees no "
                               "mouse; resume it first")
                     : 0;
}

static void typed(void *ctx, int rc, const struct err *e)
{
    control_finish(ctx, rc, e);
}

static int begin_typing(struct control_call *c, struct typing *what,
                        struct err *e)
{
    struct remote *r = c->ctx;

    if (!what)
        return e->code;
    host_mutex_lock(vm_lock(r->vm));
    typist_type(r->typist, what, typed, c);
    host_mutex_unlock(vm_lock(r->vm));
    return CONTROL_LATER;
}

static int do_type(struct control_call *c, struct err *e)
{
    const char *text;

    if (json_unpack(c->args, "{s:s !}", "text", &text))
        return err_set(e, LE_USAGE, "type: args are {\"text\": \"…\"}");
    if (want_awake(c->ctx, e))
        return e->code;
    return begin_typing(c, typing_text(text, e), e);
}

static int do_key(struct control_call *c, struct err *e)
{
    const char *keys;
    int hold = 0;

    if (json_unpack(c->args, "{s:s, s?i !}", "keys", &keys, "hold", &hold) ||
        hold < 0 || hold > 60000)
        return err_set(e, LE_USAGE,
                       "key: args are {\"keys\": \"ctrl-alt-delete\", "
                       "\"hold\": milliseconds}");
    if (want_awake(c->ctx, e))
        return e->code;
    return begin_typing(c, typing_chord(keys, (uint64_t)hold * 1000000, e), e);
}

/* "left", as a bit; 0: none such. */
static unsigned button(const char *name)
{
    static const char *const names[] = {"left", "right", "middle", "side",
                                        "extra"};

    for (unsigned i = 0; i < ARRAY_LEN(names); i++)
        if (!strcmp(names[i], name))
            return 1u << i;
    return 0;
}

static int point(struct remote *r, double x, double y, int wheel, struct err *e)
{
    struct input_sink *in = &vm_env(r->vm)->input;
    bool listens;

    if (!(x >= 0 && x <= 1 && y >= 0 && y <= 1))
        return err_set(e, LE_USAGE,
                       "mouse: x and y go from 0 to 1 across the screen");
    host_mutex_lock(vm_lock(r->vm));
    listens = in->point && in->pointing(in->pointer);
    if (listens)
        in->point(in->pointer, (unsigned)(x * INPUT_POINT_MAX),
                  (unsigned)(y * INPUT_POINT_MAX), wheel, r->buttons);
    host_mutex_unlock(vm_lock(r->vm));
    return listens ? 0
                   : err_set(e, LE_STATE,
                             "the guest listens to no absolute pointer; move "
                             "the mouse instead");
}

/* Either {dx, dy} or {x, y}; press and release name a button each. */
static int do_mouse(struct control_call *c, struct err *e)
{
    struct remote *r = c->ctx;
    struct input_sink *in = &vm_env(r->vm)->input;
    const char *press = NULL, *release = NULL;
    int dx = 0, dy = 0, wheel = 0;
    double x = -1, y = -1;

    if (json_unpack(c->args, "{s?i, s?i, s?F, s?F, s?i, s?s, s?s !}", "dx", &dx,
                    "dy", &dy, "x", &x, "y", &y, "wheel", &wheel, "press",
                    &press, "release", &release) ||
        (press && !button(press)) || (release && !button(release)) ||
        abs(dx) > 10000 || abs(dy) > 10000 || abs(wheel) > 100)
        return err_set(e, LE_USAGE,
                       "mouse: args are dx and dy, or x and y, and wheel, "
                       "press, release; buttons are left, right, middle, side, "
                       "extra");
    if (want_awake(r, e))
        return e->code;
    r->buttons |= press ? button(press) : 0;
    r->buttons &= ~(release ? button(release) : 0);
    if (x != -1 || y != -1)
        return point(r, x, y, wheel, e);
    if (!in->motion)
        return err_set(e, LE_STATE, "this VM has no mouse");
    host_mutex_lock(vm_lock(r->vm));
    in->motion(in->dev, dx, dy, wheel, 0, r->buttons);
    host_mutex_unlock(vm_lock(r->vm));
    return 0;
}

/* --- media --- */

/* Where a medium of ours is noted, or (NULL) a free place; NULL: none. */
static struct blk **noted(struct remote *r, const struct blk *medium)
{
    for (unsigned i = 0; i < MEDIA; i++)
        if (r->media[i] == medium)
            return &r->media[i];
    return NULL;
}

/* Closes what insert opened; other media are closed by who opened them. */
static void close_medium(struct remote *r, struct blk *medium)
{
    struct blk **ours = medium ? noted(r, medium) : NULL;

    if (!ours)
        return;
    *ours = NULL;
    medium->ops->close(medium);
}

static int change_medium(struct remote *r, const char *device,
                         struct blk *medium, bool force, struct err *e)
{
    struct media_drive *d;
    struct blk *old = NULL;
    int rc;

    host_mutex_lock(vm_lock(r->vm));
    d = media_find(vm_env(r->vm), device);
    if (d)
        rc = media_change(d, medium, force, &old, e);
    else
        rc = err_set(e, LE_NOENT,
                     "there is no drive '%.40s'; 'lodge info' lists them",
                     device);
    host_mutex_unlock(vm_lock(r->vm));
    close_medium(r, old);
    return rc;
}

/* The VM has ended: drives let go of what is ours. */
static void take_media_out(struct remote *r)
{
    struct err e;

    host_mutex_lock(vm_lock(r->vm));
    for (struct media_drive *d = vm_env(r->vm)->drives; d; d = d->next) {
        struct blk *old;

        if (d->medium && noted(r, d->medium))
            media_change(d, NULL, true, &old, &e);
    }
    host_mutex_unlock(vm_lock(r->vm));
    for (unsigned i = 0; i < MEDIA; i++)
        close_medium(r, r->media[i]);
}

static int do_insert(struct control_call *c, struct err *e)
{
    struct remote *r = c->ctx;
    struct image_options o = {0};
    const char *device;
    struct blk *medium, **place = noted(r, NULL);
    int force = 0, readonly = 0, rc;

    if (json_unpack(c->args, "{s:s, s:s, s?s, s?b, s?b !}", "device", &device,
                    "file", &o.path, "format", &o.format, "ro", &readonly,
                    "force", &force))
        return err_set(e, LE_USAGE,
                       "insert: args are device, file, format, ro, force");
    o.readonly = readonly || !strncmp(device, "cdrom", 5);
    if (!place)
        return err_set(e, LE_STATE, "no more than %d media at once", MEDIA);
    rc = image_open(&o, vm_env(r->vm)->loop, &medium, e);
    if (rc)
        return rc;
    *place = medium;
    rc = change_medium(r, device, medium, force, e);
    if (rc)
        close_medium(r, medium);
    return rc;
}

static int do_eject(struct control_call *c, struct err *e)
{
    const char *device;
    int force = 0;

    if (json_unpack(c->args, "{s:s, s?b !}", "device", &device, "force",
                    &force))
        return err_set(e, LE_USAGE, "eject: args are device, force");
    return change_medium(c->ctx, device, NULL, force, e);
}

static const struct control_command commands[] = {
    {"info", do_info},
    {"pause", do_pause},
    {"resume", do_resume},
    {"stop", do_stop},
    {"reset", do_reset},
    {"screen", do_screen},
    {"screenshot", do_screenshot},
    {"console", do_console},
    {"type", do_type},
    {"key", do_key},
    {"mouse", do_mouse},
    {"insert", do_insert},
    {"eject", do_eject},
    {0},
};

/* --- life --- */

int remote_open(const char *name, struct remote **out, struct err *e)
{
    struct remote *r = calloc(1, sizeof *r);
    int rc;

    if (!r)
        return err_set(e, LE_NOMEM, "the host has no memory left");
    r->name = name;
    rc = control_open(name, commands, r, &r->server, e);
    if (rc) {
        free(r);
        return rc;
    }
    *out = r;
    return 0;
}

int remote_start(struct remote *r, struct vm *vm, struct pc *pc,
                 struct chardev *com1, struct err *e)
{
    r->com1 = com1;
    r->vm = vm;
    r->pc = pc;
    r->started = host_now();
    r->typist = typist_create(&vm_env(vm)->input, vm_env(vm)->loop);
    if (!r->typist)
        return err_set(e, LE_NOMEM, "the host has no memory left");
    return control_start(r->server, e);
}

void remote_close(struct remote *r)
{
    if (!r)
        return;
    control_stop(r->server);
    if (r->typist) {
        host_mutex_lock(vm_lock(r->vm));
        typist_destroy(r->typist);
        host_mutex_unlock(vm_lock(r->vm));
    }
    control_close(r->server);
    if (r->vm)
        take_media_out(r);
    free(r);
}
