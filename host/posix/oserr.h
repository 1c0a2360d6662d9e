/* From errno to Lodge's errors. */
#ifndef HOST_POSIX_OSERR_H
#define HOST_POSIX_OSERR_H

#include "base/err.h"

/* LE_* for an errno value. */
int le_of_errno(int error);

/* err_set(e, …, "what: sentence"); returns -LE_*. */
int err_errno(struct err *e, int error, const char *what);

#endif
