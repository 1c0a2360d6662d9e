/* What terminals and VNC viewers send, as keys; addresses and passwords. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "host/char/escape.h"
#include "host/ui/term/keys.h"
#include "host/ui/ui.h"
#include "host/ui/vnc/address.h"
#include "host/ui/vnc/keys.h"

static void terminal_keys(void **state)
{
    static const struct {
        const char *bytes;
        uint16_t key;
        uint8_t mods;
    } rows[] = {
        {"a", KEY_A, 0},
        {"A", KEY_A, TERM_SHIFT},
        {"~", KEY_GRAVE, TERM_SHIFT},
        {"\r", KEY_ENTER, 0},
        {"\t", KEY_TAB, 0},
        {"\x7f", KEY_BACKSPACE, 0},
        {"\x03", KEY_C, TERM_CTRL},
        {"\x1a", KEY_Z, TERM_CTRL},
        {"\x1c", KEY_BACKSLASH, TERM_CTRL},
        {"\x1b[A", KEY_UP, 0},
        {"\x1bOA", KEY_UP, 0},
        {"\x1b[1;5C", KEY_RIGHT, TERM_CTRL},
        {"\x1b[1;2D", KEY_LEFT, TERM_SHIFT},
        {"\x1b[3~", KEY_DELETE, 0},
        {"\x1b[3;3~", KEY_DELETE, TERM_ALT},
        {"\x1b[6;6~", KEY_PAGEDOWN, TERM_SHIFT | TERM_CTRL},
        {"\x1b[Z", KEY_TAB, TERM_SHIFT},
        {"\x1bOP", KEY_F1, 0},
        {"\x1b[15~", KEY_F5, 0},
        {"\x1b[24~", KEY_F12, 0},
        {"\x1b[24;2~", KEY_F12, TERM_SHIFT},
        {"\x1b[[A", KEY_F1, 0},
        {"\x1b[[E", KEY_F5, 0},
        {"\x1bx", KEY_X, TERM_ALT},
        {"\x1bX", KEY_X, TERM_ALT | TERM_SHIFT},
        {"\x1b\r", KEY_ENTER, TERM_ALT},
        {"\xc3\xa4", 0, 0},
        {"\x1b[99~", 0, 0},
        {"\x1b[?1;2c", 0, 1},
    };
    struct term_key k;

    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
        size_t n = strlen(rows[i].bytes);
        const uint8_t *p = (const uint8_t *)rows[i].bytes;

        assert_int_equal(term_key(p, n, false, &k), n);
        assert_int_equal(k.key, rows[i].key);
        if (k.key)
            assert_int_equal(k.mods, rows[i].mods);
        /* A part of it is either too short or something else whole. */
        for (size_t part = 1; part < n; part++) {
            assert_in_range(term_key(p, part, false, &k), 0, part);
            assert_in_range(term_key(p, part, true, &k), 1, part);
        }
    }
}

/* Escape alone is Escape when nothing follows. */
static void lone_escape(void **state)
{
    struct term_key k;

    (void)state;
    assert_int_equal(term_key((const uint8_t *)"\x1b", 1, false, &k), 0);
    assert_int_equal(term_key((const uint8_t *)"\x1b", 1, true, &k), 1);
    assert_int_equal(k.key, KEY_ESC);
    assert_int_equal(term_key((const uint8_t *)"\x1b\x1b[A", 4, false, &k), 1);
    assert_int_equal(k.key, KEY_ESC);
    assert_int_equal(term_key((const uint8_t *)"\x1b[", 2, true, &k), 2);
    assert_int_equal(k.key, KEY_LEFTBRACKET);
    assert_int_equal(k.mods, TERM_ALT);
}

/* Whatever comes, some of it is taken, and never more than there is. */
static void any_bytes(void **state)
{
    uint8_t p[24];
    struct term_key k;
    uint16_t chord[4];

    (void)state;
    srand(1);
    for (unsigned i = 0; i < 200000; i++) {
        size_t n = 1 + (size_t)rand() % sizeof p, used;

        for (size_t b = 0; b < n; b++)
            p[b] = rand() % 3 ? (uint8_t) "\x1b[O;1~A5"[rand() % 8]
                              : (uint8_t)rand();
        used = term_key(p, n, rand() % 2, &k);
        assert_in_range(used, 0, n);
        assert_true(k.key < KEY_COUNT);
        assert_in_range(term_key_chord(k, chord), 0, 4);
        assert_in_range(term_key(p, n, true, &k), 1, n);
        if (n >= 17)
            assert_true(term_key(p, n, false, &k) > 0);
    }
}

static unsigned ended;

static void end(void *ctx)
{
    (void)ctx;
    ended++;
}

static void after_ctrl_a(void **state)
{
    static const struct escape_row rows[] = {
        {'x', "x", "end the VM", end},
        {ESCAPE_KEY, "Ctrl-A", "send Ctrl-A to the guest", NULL},
        {0},
    };
    struct escape x = {.rows = rows};
    uint8_t p[] = "ab\1xc\1\1d\1?e\1";
    char line[4][ESCAPE_LINE], text[ESCAPE_TEXT];

    (void)state;
    ended = 0;
    assert_int_equal(escape_filter(&x, p, sizeof p - 1), 6);
    assert_memory_equal(p, "abc\1de", 6);
    assert_int_equal(ended, 1);
    p[0] = 'X'; /* in the next piece */
    assert_int_equal(escape_filter(&x, p, 1), 0);
    assert_int_equal(ended, 2);
    assert_int_equal(escape_help(&x, line, 4), 2);
    assert_string_equal(line[0], "Ctrl-A x       end the VM");
    escape_help_text(&x, text);
    assert_string_equal(text, "\r\nCtrl-A x       end the VM\r\n"
                              "Ctrl-A Ctrl-A  send Ctrl-A to the guest\r\n");
}

/* --- vnc --- */

static char log_text[4096];

static void on_key(void *dev, unsigned key, bool down)
{
    size_t n = strlen(log_text);

    (void)dev;
    snprintf(log_text + n, sizeof log_text - n, "%c%02x", down ? '+' : '-',
             key);
}

static void vnc_symbols(void **state)
{
    static const struct {
        uint32_t symbol;
        bool down;
    } events[] = {
        {'a', true},     {'a', true},     {'a', false},   {0xffe1, true},
        {'A', true},     {'A', false},                  /* as it is */
        {'!', true},     {'!', false},                  /* shift is held */
        {'/', true},     {'/', false},                  /* and is not wanted */
        {0xffe1, false}, {'?', true},     {'?', false}, /* is wanted */
        {0xffbe, true},  {0xffbe, false}, {0xff8d, true}, {0x1008ff11, true},
    };
    struct input_sink sink = {.key = on_key};
    struct vnc_keys k = {0};

    (void)state;
    log_text[0] = 0;
    for (unsigned i = 0; i < ARRAY_LEN(events); i++)
        vnc_key(&k, &sink, events[i].symbol, events[i].down);
    vnc_release_all(&k, &sink);
    assert_string_equal(log_text, "+04-04"
                                  "+e1+04-04+1e-1e"
                                  "-e1+38+e1-38"
                                  "-e1"
                                  "+e1+38-e1-38"
                                  "+3a-3a"
                                  "+58-58");
}

static void vnc_addresses(void **state)
{
    static const struct {
        const char *text;
        int loopback; /* -1: refused */
        bool any_port;
    } rows[] = {
        {"", 1, true},
        {"localhost", 1, true},
        {"127.0.0.1:5901", 1, false},
        {":5901", 1, false},
        {"127.9.9.9", 1, true},
        {"[::1]:5901", 1, false},
        {"[::1]", 1, true},
        {"0.0.0.0:5900", 0, false},
        {"[::]:5900", 0, false},
        {"192.168.1.1", 0, true},
        {"::1:5900", -1, false},
        {"127.0.0.1:0", -1, false},
        {"127.0.0.1:65536", -1, false},
        {"127.0.0.1:-1", -1, false},
        {"127.0.0.1:59x", -1, false},
        {"example.org:5900", -1, false},
        {"[::1:5900", -1, false},
        {"[::1]5900", -1, false},
    };
    struct vnc_address a;
    struct err e;

    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
        int rc = vnc_address(rows[i].text, &a, &e);

        assert_int_equal(rc, rows[i].loopback < 0 ? -LE_USAGE : 0);
        if (rc)
            continue;
        assert_int_equal(a.at.loopback, rows[i].loopback);
        assert_int_equal(a.any_port, rows[i].any_port);
    }
}

static void put_file(const char *path, const char *text, mode_t mode)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

    assert_int_equal(write(fd, text, strlen(text)), (int)strlen(text));
    fchmod(fd, mode);
    close(fd);
}

static void vnc_passwords(void **state)
{
    char path[] = "/tmp/lodge-password-XXXXXX", to[VNC_PASSWORD_MAX + 1];
    struct err e;

    (void)state;
    close(mkstemp(path));
    put_file(path, "secret\nmore\n", 0600);
    assert_int_equal(vnc_password(path, to, &e), 0);
    assert_string_equal(to, "secret");
    put_file(path, "12345678", 0400);
    assert_int_equal(vnc_password(path, to, &e), 0);
    assert_string_equal(to, "12345678");
    put_file(path, "secret", 0640);
    assert_int_equal(vnc_password(path, to, &e), -LE_ACCESS);
    put_file(path, "123456789", 0600);
    assert_int_equal(vnc_password(path, to, &e), -LE_USAGE);
    put_file(path, "\nsecret", 0600);
    assert_int_equal(vnc_password(path, to, &e), -LE_USAGE);
    unlink(path);
    assert_int_equal(vnc_password(path, to, &e), -LE_NOENT);
}

static void specs(void **state)
{
    struct ui_env env = {0};
    struct ui *u;
    struct err e;

    (void)state;
    assert_int_equal(ui_check("none", &env, &e), 0);
    assert_int_equal(ui_check("text", &env, &e), 0);
    assert_true(ui_takes_terminal("text"));
    assert_false(ui_takes_terminal("vnc"));
    assert_int_equal(ui_open("none", &env, &u, &e), 0);
    assert_null(u);
    ui_close(u);
    assert_int_equal(ui_check("", &env, &e), -LE_USAGE);
    assert_int_equal(ui_check("nonesuch", &env, &e), -LE_USAGE);
    assert_int_equal(ui_check("none:x", &env, &e), -LE_USAGE);
    assert_int_equal(ui_check("text:", &env, &e), -LE_USAGE);
    assert_int_equal(ui_check("vncx", &env, &e), -LE_USAGE);
#ifdef HAVE_VNC
    assert_int_equal(ui_check("vnc", &env, &e), 0);
    /* Off loopback only with a password. */
    assert_int_equal(ui_check("vnc:0.0.0.0:5900", &env, &e), -LE_USAGE);
    assert_non_null(strstr(e.text, "--vnc-password"));
#endif
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(terminal_keys), cmocka_unit_test(lone_escape),
        cmocka_unit_test(any_bytes),     cmocka_unit_test(after_ctrl_a),
        cmocka_unit_test(vnc_symbols),   cmocka_unit_test(vnc_addresses),
        cmocka_unit_test(vnc_passwords), cmocka_unit_test(specs),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
