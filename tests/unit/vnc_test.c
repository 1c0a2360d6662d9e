/* The VNC server, looked at by libvncclient. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>
#include <rfb/rfbclient.h>

#include "fake_display.h"
#include "host/posix/log.h"
#include "host/ui/ui.h"

enum { PATIENCE_S = 30, SYMBOL = 'x' };

struct fixture {
    struct fake_display display;
    struct host_mutex lock;
    struct input_sink input;
    struct ui *ui;
    unsigned port;
    char spec[40], log[1024];
    char password_file[32];
};

static void note(struct fixture *f, const char *format, ...)
{
    size_t n = strlen(f->log);
    va_list args;

    va_start(args, format);
    vsnprintf(f->log + n, sizeof f->log - n, format, args);
    va_end(args);
}

static void on_key(void *dev, unsigned key, bool down)
{
    note(dev, "%c%02x ", down ? '+' : '-', key);
}

static void on_motion(void *dev, int dx, int dy, int wheel, int hwheel,
                      unsigned buttons)
{
    note(dev, "m%d,%d,%d,%d,%u ", dx, dy, wheel, hwheel, buttons);
}

/* A port that was free just now. */
static unsigned free_port(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof a;
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof a), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &n), 0);
    close(fd);
    return ntohs(a.sin_port);
}

static void open_server(struct fixture *f, const char *password)
{
    struct ui_env env = {.lock = &f->lock,
                         .display = &f->display.source,
                         .input = &f->input,
                         .name = "test"};
    struct err e;

    if (password) {
        int fd;

        strcpy(f->password_file, "/tmp/lodge-vnc-XXXXXX");
        fd = mkstemp(f->password_file);
        assert_int_equal(write(fd, password, strlen(password)),
                         (int)strlen(password));
        close(fd);
        env.password_file = f->password_file;
    }
    f->port = free_port();
    snprintf(f->spec, sizeof f->spec, "vnc:127.0.0.1:%u", f->port);
    assert_int_equal(ui_open(f->spec, &env, &f->ui, &e), 0);
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);

    host_log_level(LOG_ERROR);
    fake_init(&f->display, 80, 25);
    host_mutex_init(&f->lock);
    f->input =
        (struct input_sink){.key = on_key, .motion = on_motion, .dev = f};
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    ui_close(f->ui);
    if (f->password_file[0])
        unlink(f->password_file);
    host_mutex_destroy(&f->lock);
    free(f);
    return 0;
}

static const char *given; /* to the server that asks for a password */

static char *on_password(rfbClient *c)
{
    (void)c;
    return strdup(given);
}

static rfbClient *connect_viewer(const struct fixture *f)
{
    rfbClient *c = rfbGetClient(8, 3, 4);

    rfbEnableClientLogging = FALSE;
    c->GetPassword = on_password;
    c->serverHost = strdup("127.0.0.1");
    c->serverPort = (int)f->port;
    c->canHandleNewFBSize = TRUE;
    c->appData.encodingsString = "raw";
    return rfbInitClient(c, NULL, NULL) ? c : NULL;
}

/* Pixels as libvncclient wants them by default: red in the lowest byte. */
static bool shows(const rfbClient *c, int w, int h, uint32_t colour)
{
    const uint8_t want[3] = {(uint8_t)(colour >> 16), (uint8_t)(colour >> 8),
                             (uint8_t)colour};

    if (c->width != w || c->height != h)
        return false;
    for (int i = 0; i < w * h; i++)
        if (memcmp(c->frameBuffer + 4 * (size_t)i, want, 3))
            return false;
    return true;
}

static void wait_until_shown(rfbClient *c, int w, int h, uint32_t colour)
{
    uint64_t end = host_now() + PATIENCE_S * NS_PER_SEC;

    while (!shows(c, w, h, colour)) {
        assert_true(host_now() < end);
        if (WaitForMessage(c, 10000) > 0)
            assert_true(HandleRFBServerMessage(c));
    }
}

static void change(struct fixture *f, unsigned w, unsigned h, uint32_t colour)
{
    host_mutex_lock(&f->lock);
    fake_graphics(&f->display, w, h, colour);
    host_mutex_unlock(&f->lock);
}

static void picture(void **state)
{
    struct fixture *f = *state;
    rfbClient *c;

    change(f, 320, 200, 0x00102030);
    open_server(f, NULL);
    c = connect_viewer(f);
    assert_non_null(c);
    assert_string_equal(c->desktopName, "test - Lodge");
    wait_until_shown(c, 320, 200, 0x00102030);
    change(f, 320, 200, 0x00ff8001);
    wait_until_shown(c, 320, 200, 0x00ff8001);
    change(f, 800, 600, 0x00007f00);
    wait_until_shown(c, 800, 600, 0x00007f00);
    rfbClientCleanup(c);
}

/* Nobody looks: nothing is drawn. */
static void nobody(void **state)
{
    struct fixture *f = *state;

    open_server(f, NULL);
    usleep(100000);
    host_mutex_lock(&f->lock);
    assert_int_equal(f->display.updates, 0);
    host_mutex_unlock(&f->lock);
}

static void wait_for_log(struct fixture *f, const char *want)
{
    uint64_t end = host_now() + PATIENCE_S * NS_PER_SEC;
    bool there = false;

    while (!there) {
        assert_true(host_now() < end);
        host_mutex_lock(&f->lock);
        there = strstr(f->log, want) != NULL;
        host_mutex_unlock(&f->lock);
        usleep(1000);
    }
}

static void keys_and_pointer(void **state)
{
    struct fixture *f = *state;
    rfbClient *c;

    change(f, 640, 480, 1);
    open_server(f, NULL);
    c = connect_viewer(f);
    assert_non_null(c);
    wait_until_shown(c, 640, 480, 1);
    SendKeyEvent(c, SYMBOL, TRUE);
    SendKeyEvent(c, SYMBOL, FALSE);
    wait_for_log(f, "+1b -1b ");
    SendPointerEvent(c, 100, 100, 0);
    SendPointerEvent(c, 110, 95, rfbButton1Mask);
    SendPointerEvent(c, 110, 95, 0);
    SendPointerEvent(c, 110, 95, rfbButton5Mask);
    wait_for_log(f, "m0,0,0,0,0 m10,-5,0,0,1 m0,0,0,0,0 m0,0,1,0,0 ");
    /* Who goes lets go of what is held. */
    SendKeyEvent(c, SYMBOL, TRUE);
    wait_for_log(f, "m0,0,1,0,0 +1b ");
    rfbClientCleanup(c);
    wait_for_log(f, "m0,0,1,0,0 +1b -1b ");
}

static void password(void **state)
{
    struct fixture *f = *state;
    rfbClient *c;

    change(f, 64, 64, 1);
    open_server(f, "secret\n");
    given = "wrong";
    assert_null(connect_viewer(f));
    given = "";
    assert_null(connect_viewer(f));
    given = "secret";
    c = connect_viewer(f);
    assert_non_null(c);
    wait_until_shown(c, 64, 64, 1);
    rfbClientCleanup(c);
}

/* Bytes that are no viewer's, and connections that say nothing. */
static void strangers(void **state)
{
    struct fixture *f = *state;
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    rfbClient *c;
    int fd[12];

    change(f, 64, 64, 7);
    open_server(f, NULL);
    a.sin_port = htons((uint16_t)f->port);
    for (unsigned i = 0; i < ARRAY_LEN(fd); i++) {
        fd[i] = socket(AF_INET, SOCK_STREAM, 0);
        assert_int_equal(connect(fd[i], (struct sockaddr *)&a, sizeof a), 0);
        if (i % 3)
            send(fd[i], "GET / HTTP/1.0\r\n\r\n\0\0\0\xff\xff\xff\xff", 25,
                 MSG_NOSIGNAL);
    }
    for (unsigned i = 0; i < ARRAY_LEN(fd); i++)
        close(fd[i]);
    for (unsigned i = 0; !(c = connect_viewer(f)); i++) {
        assert_true(i < 100); /* until the server has seen them go */
        usleep(20000);
    }
    wait_until_shown(c, 64, 64, 7);
    rfbClientCleanup(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(picture, setup, teardown),
        cmocka_unit_test_setup_teardown(nobody, setup, teardown),
        cmocka_unit_test_setup_teardown(keys_and_pointer, setup, teardown),
        cmocka_unit_test_setup_teardown(password, setup, teardown),
        cmocka_unit_test_setup_teardown(strangers, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
