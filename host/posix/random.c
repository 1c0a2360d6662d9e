#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>

#include "lodge/host.h"

/* getrandom fails only for reasons that do not pass: then nothing is safe. */
void host_random(void *buf, size_t n)
{
    uint8_t *p = buf;

    while (n) {
        ssize_t got = getrandom(p, n, 0);

        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0) {
            host_log(LOG_ERROR, "the host gives no random numbers");
            abort();
        }
        p += got;
        n -= (size_t)got;
    }
}
