#include "host/posix/library.h"

#include <dlfcn.h>
#include <string.h>

int library_load(const char *file, const char *package,
                 const struct library_row *rows, void *to, struct err *e)
{
    void *lib = dlopen(file, RTLD_NOW | RTLD_LOCAL);

    if (!lib)
        return err_set(e, LE_UNSUPPORTED,
                       "%s is not on this host; install Debian's package %s",
                       file, package);
    for (; rows->symbol; rows++) {
        void *p = dlsym(lib, rows->symbol);

        if (!p)
            return err_set(e, LE_UNSUPPORTED,
                           "%s has no %s; install Debian's package %s", file,
                           rows->symbol, package);
        memcpy((char *)to + rows->at, &p, sizeof p);
    }
    return 0;
}
