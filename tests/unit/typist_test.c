/* Names and characters of keys, and typing at the guest's pace. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "host/posix/clock.h"
#include "host/posix/loop.h"
#include "host/ui/keymap.h"
#include "host/ui/typist.h"

/* A keyboard that writes down what it gets: "+04-04". */
struct guest {
    struct host_mutex lock;
    struct loop *loop;
    struct typist *typist;
    struct input_sink sink;
    char log[8192];
    bool busy;
    unsigned unread;
    int finished, rc;
    struct err err;
};

static void on_key(void *dev, unsigned key, bool down)
{
    struct guest *g = dev;
    size_t n = strlen(g->log);

    assert_int_equal(g->unread, 0); /* never before the last was taken */
    g->unread += g->busy;
    snprintf(g->log + n, sizeof g->log - n, "%c%02x", down ? '+' : '-', key);
}

static bool on_idle(void *dev)
{
    return !((struct guest *)dev)->unread;
}

static void on_done(void *ctx, int rc, const struct err *e)
{
    struct guest *g = ctx;

    g->finished++;
    g->rc = rc;
    if (e)
        g->err = *e;
}

static int setup(void **state)
{
    static struct guest g;

    memset(&g, 0, sizeof g);
    host_clock_freeze(1000000);
    host_mutex_init(&g.lock);
    g.loop = loop_create(&g.lock);
    g.sink = (struct input_sink){.key = on_key, .idle = on_idle, .dev = &g};
    g.typist = typist_create(&g.sink, g.loop);
    *state = &g;
    return !g.typist;
}

static int teardown(void **state)
{
    struct guest *g = *state;

    typist_destroy(g->typist);
    loop_destroy(g->loop);
    host_mutex_destroy(&g->lock);
    host_clock_freeze(0);
    return 0;
}

static void run_for(struct guest *g, uint64_t ns)
{
    for (uint64_t end = host_now() + ns; host_now() < end;) {
        host_clock_freeze(host_now() + 1000000);
        loop_run_due(g->loop, false);
    }
}

static void text(void **state)
{
    struct guest *g = *state;
    struct err e;

    typist_type(g->typist, typing_text("aB\n", &e), on_done, g);
    typist_type(g->typist, typing_chord("ctrl-alt-delete", 0, &e), on_done, g);
    run_for(g, NS_PER_SEC);
    assert_string_equal(g->log, "+04-04"
                                "+e1+05-05-e1"
                                "+28-28"
                                "+e0+e2+4c-4c-e2-e0");
    assert_int_equal(g->finished, 2);
    assert_int_equal(g->rc, 0);
}

/* A guest that reads now and then gets every key, one at a time. */
static void slow_guest(void **state)
{
    struct guest *g = *state;
    struct err e;

    g->busy = true;
    typist_type(g->typist, typing_text("abc", &e), on_done, g);
    for (unsigned i = 0; i < 6; i++) {
        run_for(g, NS_PER_SEC / 2);
        assert_int_equal(strlen(g->log), 3 * (i + 1));
        assert_int_equal(g->finished, 0);
        g->unread = 0;
    }
    run_for(g, NS_PER_SEC);
    assert_int_equal(g->finished, 1);
    assert_int_equal(g->rc, 0);
}

static void deaf_guest(void **state)
{
    struct guest *g = *state;
    struct err e;

    g->unread = 1;
    typist_type(g->typist, typing_text("", &e), on_done, g);
    run_for(g, 9 * NS_PER_SEC);
    assert_int_equal(g->finished, 0);
    run_for(g, 2 * NS_PER_SEC);
    assert_int_equal(g->finished, 1);
    assert_int_equal(g->rc, -LE_BUSY);
    assert_non_null(strstr(g->err.text, "takes no keys"));
    /* The next one has its own chance. */
    g->unread = 0;
    typist_type(g->typist, typing_text("a", &e), on_done, g);
    run_for(g, NS_PER_SEC);
    assert_string_equal(g->log, "+04-04");
    assert_int_equal(g->rc, 0);
}

static void ended(void **state)
{
    struct guest *g = *state;
    struct err e;

    typist_type(g->typist, typing_text("abc", &e), on_done, g);
    typist_destroy(g->typist);
    g->typist = NULL;
    assert_int_equal(g->finished, 1);
    assert_int_equal(g->rc, -LE_STATE);
}

/* Every printable character has one stroke, and no two the same. */
static void characters(void **state)
{
    bool seen[KEY_COUNT][2] = {0};
    struct key_stroke s;

    (void)state;
    for (uint32_t c = ' '; c < 0x7f; c++) {
        assert_true(key_of_char(c, &s));
        assert_false(seen[s.key][s.shift]);
        seen[s.key][s.shift] = true;
    }
    assert_false(key_of_char(0, &s));
    assert_false(key_of_char(1, &s));
    assert_false(key_of_char(0xe4, &s));
    assert_true(key_of_char('~', &s) && s.key == KEY_GRAVE && s.shift);
}

static void names(void **state)
{
    static const struct {
        const char *text;
        int n;
        uint16_t key[CHORD_MAX];
    } good[] = {
        {"a", 1, {KEY_A}},
        {"7", 1, {KEY_7}},
        {"f1", 1, {KEY_F1}},
        {"f12", 1, {KEY_F12}},
        {"f13", 1, {KEY_F13}},
        {"f24", 1, {KEY_F24}},
        {"kp0", 1, {KEY_KP_0}},
        {"kp9", 1, {KEY_KP_9}},
        {"ctrl-minus", 2, {KEY_LEFTCTRL, KEY_MINUS}},
        {"shift-tab", 2, {KEY_LEFTSHIFT, KEY_TAB}},
        {"ctrl-alt-f2", 3, {KEY_LEFTCTRL, KEY_LEFTALT, KEY_F2}},
    };
    static const char *const bad[] = {
        "",          "-",   "a-", "-a",   "A",   "ab",
        "f0",        "f25", "kp", "kp10", "f1x", "F1",
        "ctrl--alt", "!",   "fa", "f 1",  "cap", "a-a-a-a-a-a-a-a-a",
    };
    uint16_t keys[CHORD_MAX];
    struct err e;

    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(good); i++) {
        assert_int_equal(chord_parse(good[i].text, keys, &e), good[i].n);
        for (int k = 0; k < good[i].n; k++)
            assert_int_equal(keys[k], good[i].key[k]);
    }
    for (unsigned i = 0; i < ARRAY_LEN(bad); i++)
        assert_int_equal(chord_parse(bad[i], keys, &e), -LE_USAGE);
}

static void refused(void **state)
{
    static char longer[TYPING_MAX + 2];
    struct err e;

    (void)state;
    memset(longer, 'a', sizeof longer - 1);
    assert_null(typing_text(longer, &e));
    assert_int_equal(e.code, -LE_RANGE);
    assert_null(typing_text("caf\xc3\xa9", &e));
    assert_int_equal(e.code, -LE_USAGE);
    assert_non_null(strstr(e.text, "4 (0xc3)"));
    assert_null(typing_chord("ctrl-nothing", 0, &e));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(text, setup, teardown),
        cmocka_unit_test_setup_teardown(slow_guest, setup, teardown),
        cmocka_unit_test_setup_teardown(deaf_guest, setup, teardown),
        cmocka_unit_test_setup_teardown(ended, setup, teardown),
        cmocka_unit_test(characters),
        cmocka_unit_test(names),
        cmocka_unit_test(refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
