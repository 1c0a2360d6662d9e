/* lodge engines: which engines this host offers, and why not the others */
#include "cli/engines.h"

#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "engine/interp/interp.h"
#include "engine/jit/jit.h"
#ifdef HAVE_KVM
#include "engine/kvm/kvm.h"
#endif

const struct engine_ops *const engines[] = {
#ifdef HAVE_KVM
    &engine_kvm,
#endif
    &engine_jit, &engine_interp, NULL};

const struct engine_ops *engine_find(const char *name)
{
    for (unsigned n = 0; engines[n]; n++)
        if (!strcmp(engines[n]->name, name))
            return engines[n];
    return NULL;
}

const struct engine_ops *engine_auto(char *why, size_t room)
{
    size_t at = 0;

    why[0] = 0;
    for (unsigned n = 0; engines[n]; n++) {
        struct engine_caps caps = {0};

        if (engines[n]->probe(&caps) == 0 && caps.stock_guests)
            return engines[n];
        if (at < room)
            at += (size_t)snprintf(why + at, room - at, "not %s: %s. ",
                                   engines[n]->name, caps.why);
    }
    return NULL;
}

int verb_engines(const struct verb *v, int argc, char **argv)
{
    struct err e;

    if (cli_parse(v, argc, argv, NULL, NULL, 0, &e) < 0)
        return cli_fail(EXIT_USAGE, &e);
    for (unsigned n = 0; engines[n]; n++) {
        struct engine_caps caps = {0};
        int rc = engines[n]->probe(&caps);

        printf("%-8s %-4s %s\n", engines[n]->name,
               rc ? "no" : caps.stock_guests ? "yes" : "part",
               rc == 0 && !caps.why[0] ? engines[n]->summary : caps.why);
    }
    return EXIT_OK;
}
