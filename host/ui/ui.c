#include "host/ui/ui.h"

#include <string.h>

#include "host/ui/kinds.h"

static int none_open(const char *arg, const struct ui_env *env, struct ui **out,
                     struct err *e)
{
    (void)arg;
    (void)env;
    (void)e;
    *out = NULL;
    return 0;
}

#ifndef HAVE_NCURSES
int term_open(const char *arg, const struct ui_env *env, struct ui **out,
              struct err *e)
{
    (void)arg;
    (void)env;
    (void)out;
    return err_set(e, LE_UNSUPPORTED,
                   "this Lodge was built without ncurses; install "
                   "libncurses-dev and build it again");
}
#endif

#ifndef HAVE_VNC
int vnc_check(const char *arg, const struct ui_env *env, struct err *e)
{
    (void)arg;
    (void)env;
    return err_set(e, LE_UNSUPPORTED,
                   "this Lodge was built without libvncserver; install "
                   "libvncserver-dev and build it again");
}

int vnc_open(const char *arg, const struct ui_env *env, struct ui **out,
             struct err *e)
{
    (void)out;
    return vnc_check(arg, env, e);
}
#endif

static const struct kind {
    const char *word;
    bool terminal;
    int (*check)(const char *arg, const struct ui_env *env, struct err *e);
    int (*open)(const char *arg, const struct ui_env *env, struct ui **out,
                struct err *e);
} kinds[] = {
    {"none", false, NULL, none_open},
    {"text", true, NULL, term_open},
    {"vnc", false, vnc_check, vnc_open},
};

/* NULL with e: no such display. */
static const struct kind *find(const char *spec, const char **arg,
                               struct err *e)
{
    for (unsigned i = 0; i < ARRAY_LEN(kinds); i++) {
        size_t n = strlen(kinds[i].word);

        if (strncmp(spec, kinds[i].word, n))
            continue;
        *arg = spec + n + (spec[n] == ':');
        if (!spec[n] || (spec[n] == ':' && kinds[i].check))
            return &kinds[i];
    }
    err_set(e, LE_USAGE,
            "\"%.60s\" is no display: use none, text or vnc[:ADDR:PORT]", spec);
    return NULL;
}

int ui_check(const char *spec, const struct ui_env *env, struct err *e)
{
    const char *arg;
    const struct kind *k = find(spec, &arg, e);

    if (!k)
        return e->code;
    return k->check ? k->check(arg, env, e) : 0;
}

bool ui_takes_terminal(const char *spec)
{
    const char *arg;
    struct err e;
    const struct kind *k = find(spec, &arg, &e);

    return k && k->terminal;
}

int ui_open(const char *spec, const struct ui_env *env, struct ui **out,
            struct err *e)
{
    const char *arg;
    const struct kind *k = find(spec, &arg, e);

    return k ? k->open(arg, env, out, e) : e->code;
}

void ui_close(struct ui *u)
{
    if (u)
        u->close(u);
}
