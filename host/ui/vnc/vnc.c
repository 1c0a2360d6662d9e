/*
 * --display vnc: a VNC server, by libvncserver, on a thread of its own. The
 * screen is looked at only while somebody is connected, and only what changed
 * is sent.
 */
#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <rfb/rfb.h>

#include "host/posix/library.h"
#include "host/ui/kinds.h"
#include "host/ui/vnc/address.h"
#include "host/ui/vnc/keys.h"

#define FRAME_NS (NS_PER_SEC / 40)

enum {
    VIEWERS = 8,
    BAND = 128, /* rows drawn at a time, the machine lock held */
    RECTS = 32,
    PATIENCE_MS = 2000, /* with a viewer that does not read */
};

struct library {
    LIBRARY_MEMBER(rfbClientIteratorNext)
    LIBRARY_MEMBER(rfbGetClientIterator)
    LIBRARY_MEMBER(rfbGetScreen)
    LIBRARY_MEMBER(rfbMarkRectAsModified)
    LIBRARY_MEMBER(rfbNewClient)
    LIBRARY_MEMBER(rfbNewFramebuffer)
    LIBRARY_MEMBER(rfbProcessEvents)
    LIBRARY_MEMBER(rfbReleaseClientIterator)
    LIBRARY_MEMBER(rfbScreenCleanup)
    LIBRARY_MEMBER(rfbShutdownServer)
    LIBRARY_MEMBER(rfbInitServerWithPthreadsAndZRLE)
    LIBRARY_MEMBER(rfbLog)
    LIBRARY_MEMBER(rfbErr)
    LIBRARY_MEMBER(rfbCheckPasswordByList)
};

static const struct library_row library[] = {
    LIBRARY_ROW(library, rfbClientIteratorNext),
    LIBRARY_ROW(library, rfbGetClientIterator),
    LIBRARY_ROW(library, rfbGetScreen),
    LIBRARY_ROW(library, rfbMarkRectAsModified),
    LIBRARY_ROW(library, rfbNewClient),
    LIBRARY_ROW(library, rfbNewFramebuffer),
    LIBRARY_ROW(library, rfbProcessEvents),
    LIBRARY_ROW(library, rfbReleaseClientIterator),
    LIBRARY_ROW(library, rfbScreenCleanup),
    LIBRARY_ROW(library, rfbShutdownServer),
    LIBRARY_ROW(library, rfbInitServerWithPthreadsAndZRLE),
    LIBRARY_ROW(library, rfbLog),
    LIBRARY_ROW(library, rfbErr),
    LIBRARY_ROW(library, rfbCheckPasswordByList),
    {0},
};

struct vnc {
    struct library lib;
    struct ui ui;
    struct ui_env env;
    struct vnc_address where;
    char password[VNC_PASSWORD_MAX + 1];
    char *passwords[2]; /* as libvncserver wants them */
    char title[128];
    struct host_thread *thread;
    atomic_bool stop;
    int wake, fd;
    /* The thread's. */
    rfbScreenInfo *screen;
    struct display_surface surface;
    unsigned viewers;
    struct vnc_keys keys;
    int x, y; /* of the pointer, last; -1: not known */
    int buttons;
    uint64_t next; /* when to look at the screen again */
};

/* --- keyboard and pointer --- */

static void on_key(rfbBool down, rfbKeySym symbol, rfbClientRec *client)
{
    struct vnc *v = client->screen->screenData;

    host_mutex_lock(v->env.lock);
    vnc_key(&v->keys, v->env.input, symbol, down);
    host_mutex_unlock(v->env.lock);
}

/* Buttons of RFB: left, middle, right, wheel up, wheel down. */
static unsigned buttons_of(int mask)
{
    return (mask & 1 ? INPUT_LEFT : 0) | (mask & 2 ? INPUT_MIDDLE : 0) |
           (mask & 4 ? INPUT_RIGHT : 0);
}

static unsigned scale(int at, unsigned size)
{
    return size > 1 ? (unsigned)((uint64_t)at * INPUT_POINT_MAX / (size - 1))
                    : 0;
}

static void on_pointer(int mask, int x, int y, rfbClientRec *client)
{
    struct vnc *v = client->screen->screenData;
    struct input_sink *in = v->env.input;
    int fresh = mask & ~v->buttons;
    int wheel = (fresh & 16 ? 1 : 0) - (fresh & 8 ? 1 : 0);

    x = MAX(0, MIN(x, (int)v->surface.width - 1));
    y = MAX(0, MIN(y, (int)v->surface.height - 1));
    host_mutex_lock(v->env.lock);
    if (in->point && in->pointing(in->pointer))
        in->point(in->pointer, scale(x, v->surface.width),
                  scale(y, v->surface.height), wheel, buttons_of(mask));
    else if (in->motion)
        in->motion(in->dev, v->x < 0 ? 0 : x - v->x, v->y < 0 ? 0 : y - v->y,
                   wheel, 0, buttons_of(mask));
    host_mutex_unlock(v->env.lock);
    v->x = x;
    v->y = y;
    v->buttons = mask;
}

/* --- viewers --- */

/* Nothing must stay held by somebody who has gone. */
static void on_gone(rfbClientRec *client)
{
    struct vnc *v = client->screen->screenData;

    v->viewers--;
    host_mutex_lock(v->env.lock);
    vnc_release_all(&v->keys, v->env.input);
    if (v->buttons && v->env.input->motion)
        v->env.input->motion(v->env.input->dev, 0, 0, 0, 0, 0);
    host_mutex_unlock(v->env.lock);
    v->buttons = 0;
    v->x = v->y = -1;
}

static enum rfbNewClientAction on_viewer(rfbClientRec *client)
{
    struct vnc *v = client->screen->screenData;

    client->clientGoneHook = on_gone;
    v->viewers++;
    return v->viewers > VIEWERS ? RFB_CLIENT_REFUSE : RFB_CLIENT_ACCEPT;
}

static void accept_viewer(struct vnc *v)
{
    int fd = accept4(v->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

    if (fd >= 0 && v->viewers < VIEWERS)
        v->lib.rfbNewClient(v->screen, fd); /* closes it when it fails */
    else if (fd >= 0)
        close(fd);
}

/* --- the picture --- */

/* Ours is 0x00RRGGBB, which a new picture makes libvncserver forget. */
static void set_format(struct vnc *v)
{
    rfbScreenInfo *s = v->screen;
    rfbClientRec *c;
    rfbClientIteratorPtr i;

    s->serverFormat.redShift = 16;
    s->serverFormat.greenShift = 8;
    s->serverFormat.blueShift = 0;
    i = v->lib.rfbGetClientIterator(s);
    while ((c = v->lib.rfbClientIteratorNext(i)))
        s->setTranslateFunction(c);
    v->lib.rfbReleaseClientIterator(i);
}

/* A picture of another size. False: no memory for it; the old one stays. */
static bool resize(struct vnc *v, unsigned width, unsigned height)
{
    uint8_t *pixels = calloc(height, (size_t)width * 4);
    uint8_t *old = v->surface.pixels;

    if (!pixels)
        return false;
    v->surface = (struct display_surface){.pixels = pixels,
                                          .stride = (size_t)width * 4,
                                          .width = width,
                                          .height = height};
    v->x = v->y = -1;
    v->lib.rfbNewFramebuffer(v->screen, (char *)pixels, (int)width, (int)height,
                             8, 3, 4);
    set_format(v);
    free(old);
    return true;
}

static bool follow_mode(struct vnc *v)
{
    struct display_source *s = v->env.display;
    struct display_mode m;

    if (!s->mode)
        return false;
    host_mutex_lock(v->env.lock);
    s->mode(s->dev, &m);
    host_mutex_unlock(v->env.lock);
    return (m.width == v->surface.width && m.height == v->surface.height) ||
           resize(v, m.width, m.height);
}

static void look(struct vnc *v)
{
    struct display_source *s = v->env.display;
    struct display_rect r[RECTS];

    if (!follow_mode(v))
        return;
    for (unsigned y = 0; y < v->surface.height; y += BAND) {
        int n;

        host_mutex_lock(v->env.lock);
        n = s->update(s->dev, &v->surface, y, MIN(BAND, v->surface.height - y),
                      r, RECTS);
        host_mutex_unlock(v->env.lock);
        for (int i = 0; i < n; i++)
            v->lib.rfbMarkRectAsModified(v->screen, (int)r[i].x, (int)r[i].y,
                                         (int)(r[i].x + r[i].w),
                                         (int)(r[i].y + r[i].h));
        if (n == DISPLAY_STALE)
            return;
    }
}

/* --- the thread --- */

static void wait_for_viewer(struct vnc *v)
{
    struct pollfd p[] = {{.fd = v->fd, .events = POLLIN},
                         {.fd = v->wake, .events = POLLIN}};

    poll(p, ARRAY_LEN(p), -1);
}

/*
 * Viewers' messages until it is time to look again. What a look finds goes to
 * those who wait for it before anything is waited for.
 */
static void serve_viewers(struct vnc *v)
{
    uint64_t now = host_now();

    if (now >= v->next) {
        look(v);
        v->next = MAX(v->next + FRAME_NS, now);
        v->lib.rfbProcessEvents(v->screen, 0);
        now = host_now();
    }
    v->lib.rfbProcessEvents(v->screen,
                            v->next > now ? (long)((v->next - now) / 1000) : 0);
}

static void vnc_main(void *ctx)
{
    struct vnc *v = ctx;

    while (!atomic_load(&v->stop)) {
        if (!v->viewers)
            wait_for_viewer(v);
        accept_viewer(v);
        if (v->viewers)
            serve_viewers(v);
    }
}

/* --- life --- */

static void quiet(const char *format, ...)
{
    char line[256];
    va_list args;

    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    line[strcspn(line, "\n")] = 0;
    host_log(LOG_DEBUG, "vnc: %s", line);
}

static void vnc_free(struct vnc *v)
{
    if (v->screen) {
        v->lib.rfbShutdownServer(v->screen, TRUE);
        v->screen->frameBuffer = NULL;
        v->lib.rfbScreenCleanup(v->screen);
    }
    if (v->fd >= 0)
        close(v->fd);
    if (v->wake >= 0)
        close(v->wake);
    free(v->surface.pixels);
    memset(v->password, 0, sizeof v->password);
    host_free(v);
}

static void vnc_close(struct ui *u)
{
    struct vnc *v = container_of(u, struct vnc, ui);
    uint64_t one = 1;

    atomic_store(&v->stop, true);
    if (write(v->wake, &one, sizeof one) < 0)
        host_log(LOG_ERROR, "vnc: %s", strerror(errno));
    if (v->thread)
        host_thread_join(v->thread);
    vnc_free(v);
}

int vnc_check(const char *arg, const struct ui_env *env, struct err *e)
{
    char password[VNC_PASSWORD_MAX + 1];
    struct vnc_address where;
    int rc = vnc_address(arg, &where, e);

    if (rc)
        return rc;
    if (env->password_file)
        return vnc_password(env->password_file, password, e);
    if (!where.at.loopback)
        return err_set(e, LE_USAGE,
                       "vnc:%s: others than this host could look in; give a "
                       "password with --vnc-password FILE, or listen on "
                       "127.0.0.1",
                       arg);
    return 0;
}

static int make_screen(struct vnc *v, struct err *e)
{
    rfbScreenInfo *s;
    int rc =
        library_load("libvncserver.so.1", "libvncserver1", library, &v->lib, e);

    if (rc)
        return rc;
    *v->lib.rfbLog = *v->lib.rfbErr = quiet;
    s = v->screen = v->lib.rfbGetScreen(NULL, NULL, 640, 480, 8, 3, 4);
    if (!s)
        return err_set(e, LE_NOMEM, "the host has no memory left");
    s->port = s->ipv6port = 0; /* we listen ourselves */
    s->autoPort = FALSE;
    s->desktopName = v->title;
    s->screenData = v;
    s->alwaysShared = TRUE;
    s->cursor = NULL;
    s->maxClientWait = PATIENCE_MS;
    s->deferUpdateTime = 0; /* look() has its pace */
    s->kbdAddEvent = on_key;
    s->ptrAddEvent = on_pointer;
    s->newClientHook = on_viewer;
    if (v->password[0]) {
        v->passwords[0] = v->password;
        s->authPasswdData = v->passwords;
        s->passwordCheck = v->lib.rfbCheckPasswordByList;
    }
    v->lib.rfbInitServerWithPthreadsAndZRLE(s);
    return resize(v, 640, 480)
               ? 0
               : err_set(e, LE_NOMEM, "the host has no memory left");
}

static int start(struct vnc *v, struct err *e)
{
    unsigned port;
    int rc = make_screen(v, e);

    if (!rc)
        rc = vnc_listen(&v->where, &v->fd, &port, e);
    if (rc)
        return rc;
    v->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    v->thread =
        v->wake < 0 ? NULL : host_thread_start("lodge-vnc", vnc_main, v);
    if (!v->thread)
        return err_set(e, LE_NOMEM, "the host has no memory left");
    host_log(v->where.any_port ? LOG_WARN : LOG_INFO,
             "vnc: the screen is at port %u", port);
    return 0;
}

int vnc_open(const char *arg, const struct ui_env *env, struct ui **out,
             struct err *e)
{
    struct vnc *v;
    int rc = vnc_check(arg, env, e);

    if (rc)
        return rc;
    v = host_alloc(sizeof *v);
    if (!v)
        return err_set(e, LE_NOMEM, "the host has no memory left");
    v->ui.close = vnc_close;
    v->env = *env;
    v->fd = v->wake = v->x = v->y = -1;
    snprintf(v->title, sizeof v->title, "%s - Lodge",
             env->name ? env->name : "VM");
    rc = vnc_address(arg, &v->where, e);
    if (!rc && env->password_file)
        rc = vnc_password(env->password_file, v->password, e);
    if (!rc)
        rc = start(v, e);
    if (rc) {
        vnc_free(v);
        return rc;
    }
    *out = &v->ui;
    return 0;
}
