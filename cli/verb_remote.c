/*
 * Verbs that ask a running VM by name: each is a row that makes the requests
 * and shows the answers. cli/remote.c is the other end.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/console.h"
#include "host/control/control.h"
#include "host/posix/oserr.h"

enum { WORDS = 32, FORCE_MS = 5000 };

struct request {
    struct control_client *vm;
    const char *word[WORDS]; /* the name first */
    int words;
    bool force, json, enter, readonly;
    const char *format;
    uint64_t wait; /* seconds; 0: not */
};

#define SETTER(name)                                                           \
    static int set_##name(void *ctx, const char *v, struct err *e)

#define FLAG(name)                                                             \
    SETTER(name)                                                               \
    {                                                                          \
        (void)v;                                                               \
        (void)e;                                                               \
        ((struct request *)ctx)->name = true;                                  \
        return 0;                                                              \
    }
FLAG(force)
FLAG(enter)
FLAG(readonly)

SETTER(wait)
{
    struct request *r = ctx;

    return cli_number("--wait", v, 1, 1000000, &r->wait, e);
}

SETTER(format)
{
    (void)e;
    ((struct request *)ctx)->format = v;
    return 0;
}

SETTER(list_format)
{
    struct request *r = ctx;

    r->json = !strcmp(v, "json");
    return r->json || !strcmp(v, "table")
               ? 0
               : err_set(e, LE_USAGE, "--format: '%s' is none of table, json",
                         v);
}

const struct cli_option stop_options[] = {
    {"force", 'f', false, NULL, "end it at once, as if the plug were pulled",
     set_force},
    {"wait", 'w', false, "SECONDS", "wait until it has ended", set_wait},
    {0},
};
const struct cli_option list_options[] = {
    {"format", 0, false, "FORMAT", "table (the default) or json",
     set_list_format},
    {0},
};
const struct cli_option type_options[] = {
    {"enter", 'e', false, NULL, "press Enter after it", set_enter},
    {0},
};
const struct cli_option insert_options[] = {
    {"format", 0, false, "FORMAT", "the image's format, as for --disk",
     set_format},
    {"ro", 0, false, NULL, "the guest cannot write to it", set_readonly},
    {"force", 'f', false, NULL, "even if the guest has locked the drive",
     set_force},
    {0},
};
const struct cli_option eject_options[] = {
    {"force", 'f', false, NULL, "even if the guest has locked the drive",
     set_force},
    {0},
};

static int ask(struct request *r, const char *command, json_t *args,
               json_t **result, int *fd, struct err *e)
{
    return control_ask(r->vm, command, args, -1, result, fd, e);
}

/* --- what the verbs do --- */

static int do_pause(struct request *r, struct err *e)
{
    return ask(r, "pause", NULL, NULL, NULL, e);
}

static int do_resume(struct request *r, struct err *e)
{
    return ask(r, "resume", NULL, NULL, NULL, e);
}

static int do_restart(struct request *r, struct err *e)
{
    return ask(r, "reset", NULL, NULL, NULL, e);
}

/* A process that does not answer any more is ended by the system. */
static int force_stop(struct request *r, struct err *e)
{
    int rc = control_ask(r->vm, "stop", json_pack("{s:b}", "force", 1),
                         FORCE_MS, NULL, NULL, e);

    if (rc == -LE_BUSY && control_pid(r->vm) > 1)
        return kill(control_pid(r->vm), SIGKILL)
                   ? err_errno(e, errno, r->word[0])
                   : 0;
    return rc == -LE_IO ? 0 : rc; /* it ended before it could say so */
}

static int do_stop(struct request *r, struct err *e)
{
    int rc = r->force ? force_stop(r, e) : ask(r, "stop", NULL, NULL, NULL, e);

    if (!rc && (r->wait || r->force))
        rc = control_wait_gone(r->vm, r->wait ? (int)r->wait * 1000 : FORCE_MS,
                               e);
    return rc;
}

static void print_json(const json_t *v)
{
    json_dumpf(v, stdout, JSON_INDENT(2));
    printf("\n");
}

static void print_value(const char *key, json_t *v)
{
    const char *sub;
    json_t *inner;
    size_t n;

    if (json_is_string(v))
        printf("%-18s%s\n", key, json_string_value(v));
    else if (json_is_integer(v))
        printf("%-18s%lld\n", key, (long long)json_integer_value(v));
    else if (json_is_boolean(v))
        printf("%-18s%s\n", key, json_is_true(v) ? "yes" : "no");
    else if (json_is_object(v))
        json_object_foreach(v, sub, inner)
        {
            char both[64];

            snprintf(both, sizeof both, "%s.%s", key, sub);
            print_value(both, inner);
        }
    else
        json_array_foreach(v, n, inner) print_value(key, inner);
}

static int do_info(struct request *r, struct err *e)
{
    json_t *info, *v;
    const char *key;
    int rc = ask(r, "info", NULL, &info, NULL, e);

    if (rc)
        return rc;
    if (r->json)
        print_json(info);
    else
        json_object_foreach(info, key, v) print_value(key, v);
    json_decref(info);
    return 0;
}

static int do_screen(struct request *r, struct err *e)
{
    json_t *screen, *rows, *row;
    size_t n;
    int rc = ask(r, "screen", NULL, &screen, NULL, e);

    if (rc)
        return rc;
    rows = json_object_get(screen, "text");
    json_array_foreach(rows, n, row) printf("%s\n", json_string_value(row));
    json_decref(screen);
    return 0;
}

static int copy_out(int from, const char *path, struct err *e)
{
    struct stat st;
    off_t at = 0;
    int to, error = 0;

    if (from < 0 || fstat(from, &st) || !S_ISREG(st.st_mode))
        return err_set(e, LE_FORMAT, "no picture came along");
    to = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (to < 0)
        return err_errno(e, errno, path);
    while (!error && at < st.st_size)
        if (sendfile(to, from, &at, (size_t)(st.st_size - at)) <= 0)
            error = errno ? errno : EIO;
    if (close(to) && !error)
        error = errno;
    return error ? err_errno(e, error, path) : 0;
}

static int do_screenshot(struct request *r, struct err *e)
{
    int fd = -1, rc = ask(r, "screenshot", NULL, NULL, &fd, e);

    if (!rc)
        rc = copy_out(fd, r->word[1], e);
    if (fd >= 0)
        close(fd);
    return rc;
}

static int do_console(struct request *r, struct err *e)
{
    int fd = -1, rc = ask(r, "console", NULL, NULL, &fd, e);

    return rc ? rc : console_attach(fd, e);
}

static int do_type(struct request *r, struct err *e)
{
    int rc =
        ask(r, "type", json_pack("{s:s}", "text", r->word[1]), NULL, NULL, e);

    if (!rc && r->enter)
        rc = ask(r, "key", json_pack("{s:s}", "keys", "enter"), NULL, NULL, e);
    return rc;
}

static int do_key(struct request *r, struct err *e)
{
    int rc = 0;

    for (int n = 1; n < r->words && !rc; n++)
        rc = ask(r, "key", json_pack("{s:s}", "keys", r->word[n]), NULL, NULL,
                 e);
    return rc;
}

static int mouse_usage(struct err *e)
{
    return err_set(
        e, LE_USAGE,
        "mouse: say move DX DY, to X Y, wheel N, click, press or "
        "release [left|right|middle]; 'lodge help mouse' tells more");
}

static bool number(const char *text, double *out)
{
    char *end;

    *out = text ? strtod(text, &end) : 0;
    return text && end != text && !*end && *out >= -10000 && *out <= 10000;
}

static int mouse_button(struct request *r, const char *how, struct err *e)
{
    const char *button = r->words > 2 ? r->word[2] : "left";

    return ask(r, "mouse", json_pack("{s:s}", how, button), NULL, NULL, e);
}

static int do_mouse(struct request *r, struct err *e)
{
    const char *what = r->word[1];
    double a, b;
    bool one = number(r->words > 2 ? r->word[2] : NULL, &a);
    bool two = one && number(r->words > 3 ? r->word[3] : NULL, &b);
    int rc;

    if (!strcmp(what, "move") && two)
        return ask(r, "mouse",
                   json_pack("{s:i, s:i}", "dx", (int)a, "dy", (int)b), NULL,
                   NULL, e);
    if (!strcmp(what, "to") && two)
        return ask(r, "mouse", json_pack("{s:f, s:f}", "x", a, "y", b), NULL,
                   NULL, e);
    if (!strcmp(what, "wheel") && one && r->words == 3)
        return ask(r, "mouse", json_pack("{s:i}", "wheel", (int)a), NULL, NULL,
                   e);
    if (r->words > 3)
        return mouse_usage(e);
    if (!strcmp(what, "press") || !strcmp(what, "release"))
        return mouse_button(r, what, e);
    if (strcmp(what, "click"))
        return mouse_usage(e);
    rc = mouse_button(r, "press", e);
    return rc ? rc : mouse_button(r, "release", e);
}

/* The VM runs in a folder of its own: it gets the whole path. */
static int do_insert(struct request *r, struct err *e)
{
    char *path = realpath(r->word[2], NULL);
    json_t *args;

    if (!path)
        return err_errno(e, errno, r->word[2]);
    args = json_pack("{s:s, s:s, s:s*, s:b, s:b}", "device", r->word[1], "file",
                     path, "format", r->format, "ro", (int)r->readonly, "force",
                     (int)r->force);
    free(path);
    if (!args)
        return err_set(e, LE_USAGE, "insert: the file's name is no UTF-8 text");
    return ask(r, "insert", args, NULL, NULL, e);
}

static int do_eject(struct request *r, struct err *e)
{
    return ask(
        r, "eject",
        json_pack("{s:s, s:b}", "device", r->word[1], "force", (int)r->force),
        NULL, NULL, e);
}

static const struct {
    const char *verb;
    int min, max; /* words, the name among them */
    int (*run)(struct request *r, struct err *e);
} verbs_of_vm[] = {
    {"pause", 1, 1, do_pause},
    {"resume", 1, 1, do_resume},
    {"restart", 1, 1, do_restart},
    {"stop", 1, 1, do_stop},
    {"info", 1, 1, do_info},
    {"screen", 1, 1, do_screen},
    {"screenshot", 2, 2, do_screenshot},
    {"console", 1, 1, do_console},
    {"type", 2, 2, do_type},
    {"key", 2, WORDS, do_key},
    {"mouse", 2, 4, do_mouse},
    {"insert", 3, 3, do_insert},
    {"eject", 2, 2, do_eject},
};

static int exit_of(int rc, const struct err *e)
{
    if (rc >= 0)
        return EXIT_OK;
    return cli_fail(rc == -LE_USAGE ? EXIT_USAGE : EXIT_FAILED, e);
}

int verb_remote(const struct verb *v, int argc, char **argv)
{
    struct request r = {0};
    struct err e;
    unsigned row = 0;
    int rc;

    while (strcmp(verbs_of_vm[row].verb, v->name))
        row++;
    rc = r.words =
        cli_parse(v, argc, argv, &r, r.word, verbs_of_vm[row].max, &e);
    if (rc >= 0 && rc < verbs_of_vm[row].min)
        rc = err_set(&e, LE_USAGE, "usage: lodge %s %s", v->name, v->args);
    if (rc >= 0)
        rc = control_connect(r.word[0], &r.vm, &e);
    if (rc >= 0)
        rc = verbs_of_vm[row].run(&r, &e);
    control_disconnect(r.vm);
    return exit_of(rc, &e);
}

/* --- lodge ls --- */

static int is_name(const struct dirent *d)
{
    return !control_check_name(d->d_name, NULL);
}

/* NULL: nobody there, or no answer. */
static json_t *info_of(const char *name)
{
    struct control_client *vm;
    json_t *info = NULL;
    struct err e;

    if (control_connect(name, &vm, &e))
        return NULL;
    if (control_ask(vm, "info", NULL, FORCE_MS, &info, NULL, &e) == -LE_BUSY)
        info = json_pack("{s:s, s:i, s:s}", "name", name, "pid",
                         control_pid(vm), "state", "hangs");
    control_disconnect(vm);
    return info;
}

static void print_row(json_t *info)
{
    const char *name = "", *state = "", *engine = "-";
    json_int_t memory = 0;
    int pid = 0, cpus = 0;

    json_unpack(info, "{s:s, s:i, s:s, s?s, s?i, s?I}", "name", &name, "pid",
                &pid, "state", &state, "engine", &engine, "cpus", &cpus,
                "memory", &memory);
    printf("%-20s %8d  %-9s %-7s %4d %8lld MB\n", name, pid, state, engine,
           cpus, (long long)(memory >> 20));
}

static json_t *list_vms(void)
{
    json_t *list = json_array();
    struct dirent **entry = NULL;
    char folder[128];
    struct err e;
    int n;

    if (control_folder(folder, sizeof folder, false, &e))
        return list;
    n = scandir(folder, &entry, is_name, alphasort);
    for (int i = 0; i < n; i++) {
        json_t *info = info_of(entry[i]->d_name);

        if (info)
            json_array_append_new(list, info);
        free(entry[i]);
    }
    free(entry);
    return list;
}

int verb_ls(const struct verb *v, int argc, char **argv)
{
    struct request r = {0};
    struct err e;
    json_t *list, *info;
    size_t n;
    int rc = cli_parse(v, argc, argv, &r, NULL, 0, &e);

    if (rc < 0)
        return exit_of(rc, &e);
    list = list_vms();
    if (r.json)
        print_json(list);
    else {
        printf("%-20s %8s  %-9s %-7s %4s %11s\n", "NAME", "PID", "STATE",
               "ENGINE", "CPUS", "MEMORY");
        json_array_foreach(list, n, info) print_row(info);
    }
    json_decref(list);
    return EXIT_OK;
}
