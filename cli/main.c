/* lodge VERB …: the table of verbs. */
#include "cli/cli.h"

#include <string.h>

const struct verb verbs[] = {
    {"run", "[OPTIONS]", "boot a virtual machine in the foreground",
     "Boots a kernel, in this terminal, until the guest powers off.\n"
     "Ctrl-A x ends the VM, Ctrl-A h lists the other keys.",
     run_options, verb_run},
    {"engines", "", "which CPU engines this host offers, and why not others",
     "Lists the CPU engines, the fastest first, and whether this host can run\n"
     "them.",
     NULL, verb_engines},
    {"help", "[VERB]", "what a verb does and which options it takes",
     "Prints help on Lodge or on one verb.", help_options, verb_help},
    {"version", "", "print the version", "Prints the version.", NULL,
     verb_version},
};
const unsigned verb_count = sizeof verbs / sizeof verbs[0];

const struct verb *verb_find(const char *name)
{
    if (!strcmp(name, "--help") || !strcmp(name, "-h"))
        name = "help";
    if (!strcmp(name, "--version"))
        name = "version";
    for (unsigned n = 0; n < verb_count; n++)
        if (!strcmp(verbs[n].name, name))
            return &verbs[n];
    return NULL;
}

int main(int argc, char **argv)
{
    const struct verb *v;
    struct err e;

    if (argc < 2) {
        help_overview();
        return EXIT_USAGE;
    }
    v = verb_find(argv[1]);
    if (!v) {
        err_set(&e, LE_USAGE, "no verb '%s'; 'lodge help' lists them", argv[1]);
        return cli_fail(EXIT_USAGE, &e);
    }
    for (int n = 2; n < argc; n++)
        if (!strcmp(argv[n], "--help")) {
            help_verb(v);
            return EXIT_OK;
        }
    return v->run(v, argc - 2, argv + 2);
}
