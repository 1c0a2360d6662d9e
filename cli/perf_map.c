#include "cli/perf_map.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

FILE *perf_map_open(struct err *e)
{
    char path[64];
    FILE *f = NULL;
    int fd;

    snprintf(path, sizeof path, "/tmp/perf-%ld.map", (long)getpid());
    unlink(path); /* an earlier process of that number left it */
    fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd >= 0)
        f = fdopen(fd, "w");
    if (!f) {
        err_set(e, LE_IO, "--perf-map: %s cannot be written: %s", path,
                strerror(errno));
        if (fd >= 0)
            close(fd);
    }
    return f;
}

void perf_map_add(void *ctx, const void *code, size_t n, uint64_t rip,
                  bool user)
{
    fprintf(ctx, "%" PRIxPTR " %zx %s 0x%" PRIx64 "\n", (uintptr_t)code, n,
            user ? "guest user" : "guest kernel", rip);
}
