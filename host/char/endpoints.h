/* The kinds of endpoints; for char.c. Each returns NULL with e on an error. */
#ifndef HOST_CHAR_ENDPOINTS_H
#define HOST_CHAR_ENDPOINTS_H

#include "host/char/stream.h"

struct stream *char_stdio_open(const char *arg, const struct char_env *env,
                               struct err *e);
struct stream *char_file_open(const char *path, const struct char_env *env,
                              struct err *e);
struct stream *char_unix_open(const char *path, const struct char_env *env,
                              struct err *e);
struct stream *char_console_open(const char *arg, const struct char_env *env,
                                 struct err *e);

#endif
