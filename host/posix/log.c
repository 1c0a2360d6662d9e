#include "host/posix/log.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

static _Atomic int max_level = LOG_WARN;
static atomic_bool crlf;

void host_log_level(enum log_level level)
{
    atomic_store(&max_level, (int)level);
}

void host_log_crlf(bool raw)
{
    atomic_store(&crlf, raw);
}

/* One write a line, so that threads' lines do not mix. */
static void log_line(const char *format, va_list args) PRINTF(1, 0);

static void log_line(const char *format, va_list args)
{
    char line[1024];
    const char *end = atomic_load(&crlf) ? "\r\n" : "\n";
    size_t n;
    int len;

    n = (size_t)snprintf(line, sizeof line, "lodge: ");
    len = vsnprintf(line + n, sizeof line - n - 2, format, args);
    if (len < 0)
        return;
    n = MIN(n + (size_t)len, sizeof line - 3);
    n += (size_t)snprintf(line + n, sizeof line - n, "%s", end);
    if (write(STDERR_FILENO, line, n) < 0)
        return; /* nowhere left to say so */
}

void host_log(enum log_level level, const char *format, ...)
{
    va_list args;

    if ((int)level > atomic_load_explicit(&max_level, memory_order_relaxed))
        return;
    va_start(args, format);
    log_line(format, args);
    va_end(args);
}

enum { GUEST_LINES = 10 };

/*
 * Guests' mistakes are shown from -v on. A ratelimit may be shared by threads:
 * its counts are atomic, and at worst a line too many comes out.
 */
void log_guest(struct ratelimit *r, const char *format, ...)
{
    uint64_t now, start;
    uint32_t dropped;
    va_list args;

    if (atomic_load_explicit(&max_level, memory_order_relaxed) < LOG_INFO)
        return;
    now = host_now();
    start = __atomic_load_n(&r->window_start, __ATOMIC_RELAXED);
    if (!start || now - start >= NS_PER_SEC) {
        __atomic_store_n(&r->window_start, now, __ATOMIC_RELAXED);
        __atomic_store_n(&r->count, 0, __ATOMIC_RELAXED);
        dropped = __atomic_exchange_n(&r->dropped, 0, __ATOMIC_RELAXED);
        if (dropped)
            host_log(LOG_INFO, "(%u more like the following left out)",
                     dropped);
    }
    if (__atomic_add_fetch(&r->count, 1, __ATOMIC_RELAXED) > GUEST_LINES) {
        __atomic_add_fetch(&r->dropped, 1, __ATOMIC_RELAXED);
        return;
    }
    va_start(args, format);
    log_line(format, args);
    va_end(args);
}
