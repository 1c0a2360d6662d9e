/* A serial line in this terminal. */
#ifndef CLI_CONSOLE_H
#define CLI_CONSOLE_H

#include "base/err.h"

/*
 * Copies between standard input and output and fd, a socket, until the other
 * end closes it or the user leaves (Ctrl-A x, on a terminal, which is raw
 * meanwhile). Standard input at its end is no reason to leave. Closes fd.
 */
int console_attach(int fd, struct err *e);

#endif
