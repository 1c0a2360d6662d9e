/*
 * Whole reads and writes at an offset of a descriptor: they go on after short
 * transfers and signals. 0 or an errno. Any thread.
 */
#ifndef HOST_POSIX_FDIO_H
#define HOST_POSIX_FDIO_H

#include <sys/uio.h>

#include "base/compiler.h"

int fd_read(int fd, uint64_t off, void *buf, size_t n); /* zeros past the end */
int fd_write(int fd, uint64_t off, const void *buf, size_t n);
/* Zeros, by what the file system offers or else by writing them. */
int fd_zero(int fd, uint64_t off, uint64_t n);
/* Gives storage back; the range reads as zeros or as before. EOPNOTSUPP. */
int fd_discard(int fd, uint64_t off, uint64_t n);

#endif
