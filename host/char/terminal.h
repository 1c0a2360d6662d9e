/*
 * Raw mode of the terminal on standard input, and the way back from it on every
 * path out of the process: terminal_restore(), exit(), fatal signals, crashes;
 * also around stops (SIGTSTP, SIGCONT). One user in the process at a time;
 * which is why the saved mode is a static of this file.
 */
#ifndef HOST_CHAR_TERMINAL_H
#define HOST_CHAR_TERMINAL_H

#include "base/err.h"

/* fd is a terminal. -LE_BUSY: it is in use already. */
int terminal_raw(int fd, struct err *e);
/* Harmless when it is not raw. Also from a signal handler. */
void terminal_restore(void);

#endif
