/* lodge help [VERB], lodge version */
#include "cli/cli.h"

#include <stdio.h>

struct help_request {
    bool man, completion;
};

static int set_man(void *ctx, const char *value, struct err *e)
{
    (void)value;
    (void)e;
    ((struct help_request *)ctx)->man = true;
    return 0;
}

static int set_completion(void *ctx, const char *value, struct err *e)
{
    (void)value;
    (void)e;
    ((struct help_request *)ctx)->completion = true;
    return 0;
}

const struct cli_option help_options[] = {
    {"man", 0, false, NULL, "print the man page (roff)", set_man},
    {"completion", 0, false, NULL, "print the completion for bash",
     set_completion},
    {0},
};

int verb_help(const struct verb *v, int argc, char **argv)
{
    struct help_request r = {0};
    const struct verb *about;
    const char *word;
    struct err e;
    int n = cli_parse(v, argc, argv, &r, &word, 1, &e);

    if (n < 0)
        return cli_fail(EXIT_USAGE, &e);
    if (r.man) {
        help_man();
    } else if (r.completion) {
        help_completion();
    } else if (n == 0) {
        help_overview();
    } else {
        about = verb_find(word);
        if (!about) {
            err_set(&e, LE_USAGE, "no verb '%s'; 'lodge help' lists them",
                    word);
            return cli_fail(EXIT_USAGE, &e);
        }
        help_verb(about);
    }
    return EXIT_OK;
}

int verb_version(const struct verb *v, int argc, char **argv)
{
    struct err e;

    if (cli_parse(v, argc, argv, NULL, NULL, 0, &e) < 0)
        return cli_fail(EXIT_USAGE, &e);
    printf("lodge %s\n", LODGE_VERSION);
    return EXIT_OK;
}
