/*
 * Verbs and their options are tables; parsing, help, the man page and shell
 * completion all come from them.
 */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include "base/err.h"

/* Exit statuses of `lodge`, beside those of a guest. */
enum { EXIT_OK = 0, EXIT_CRASH = 1, EXIT_USAGE = 2, EXIT_TIMEOUT = 124,
       EXIT_FAILED = 125 };

struct cli_option {
    const char *name; /* "memory": --memory; NULL ends a table */
    char letter;      /* 'm': -m; 0: none */
    bool repeats;     /* may be given more than once */
    const char *arg;  /* "SIZE"; NULL: a flag */
    const char *help;
    /* Stores a checked value (NULL for a flag) in the verb's own struct. */
    int (*set)(void *ctx, const char *value, struct err *e);
};

struct verb {
    const char *name, *args, *summary, *description;
    const struct cli_option *options;
    int (*run)(const struct verb *v, int argc, char **argv);
};

extern const struct verb verbs[];
extern const unsigned verb_count;

const struct verb *verb_find(const char *name); /* or NULL */

/*
 * Parses argv (without the verb) into ctx; words that are no options go to
 * words, at most max of them. Returns their number or -LE_USAGE.
 */
int cli_parse(const struct verb *v, int argc, char **argv, void *ctx,
              const char **words, int max, struct err *e);

/* --- values --- */
/* "512M": powers of 1024; K, M, G, T, none. */
int cli_size(const char *option, const char *text, uint64_t *out,
             struct err *e);
int cli_number(const char *option, const char *text, uint64_t min, uint64_t max,
               uint64_t *out, struct err *e);
/*
 * Splits "FILE,key=value,flag": calls set for each key (value NULL for a
 * flag), and for the first part with key NULL. A doubled comma is one comma.
 */
int cli_fields(const char *text,
               int (*set)(void *ctx, const char *key, const char *value,
                          struct err *e),
               void *ctx, struct err *e);

/* --- output --- */
/* Prints "lodge: sentence" to stderr; returns status. */
int cli_fail(int status, const struct err *e);
void help_overview(void);
void help_verb(const struct verb *v);
void help_man(void);
void help_completion(void);

int verb_run(const struct verb *v, int argc, char **argv);
int verb_engines(const struct verb *v, int argc, char **argv);
int verb_help(const struct verb *v, int argc, char **argv);
int verb_version(const struct verb *v, int argc, char **argv);
int verb_remote(const struct verb *v, int argc, char **argv);
int verb_ls(const struct verb *v, int argc, char **argv);
extern const struct cli_option run_options[], help_options[];
extern const struct cli_option stop_options[], list_options[], type_options[],
    insert_options[], eject_options[];

#endif
