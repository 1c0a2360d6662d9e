/* The log goes to standard error. */
#ifndef HOST_POSIX_LOG_H
#define HOST_POSIX_LOG_H

#include "lodge/host.h"

/* What is written: level and everything graver. At first LOG_WARN. */
void host_log_level(enum log_level level);

/*
 * While the terminal is raw a line must end with CR LF; host/char sets this.
 */
void host_log_crlf(bool raw);

#endif
