#include "base/err.h"
#include "base/libc.h"

int err_set(struct err *e, int code, const char *format, ...)
{
    va_list args;

    if (!e)
        return -code;
    e->code = -code;
    va_start(args, format);
    vsnprintf(e->text, sizeof e->text, format, args);
    va_end(args);
    return -code;
}

int err_prefix(struct err *e, const char *format, ...)
{
    char old[sizeof e->text];
    va_list args;
    size_t n;

    memcpy(old, e->text, sizeof old);
    va_start(args, format);
    vsnprintf(e->text, sizeof e->text, format, args);
    va_end(args);
    n = strlen(e->text);
    snprintf(e->text + n, sizeof e->text - n, ": %s", old);
    return e->code;
}
