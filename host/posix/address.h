/* Addresses of TCP servers, as numbers. Any thread. */
#ifndef HOST_POSIX_ADDRESS_H
#define HOST_POSIX_ADDRESS_H

#include <sys/socket.h>

#include "base/err.h"

struct address {
    struct sockaddr_storage a;
    socklen_t len;
    bool loopback;
    bool has_port; /* one was given; 0: any that is free */
};

/*
 * "", "ADDR:PORT", "[ADDR6]:PORT", "ADDR", ":PORT"; numbers or "localhost",
 * which is what no address means. False: it is none of these.
 */
bool address_parse(const char *text, struct address *out);
unsigned address_port(const struct address *a);
void address_set_port(struct address *a, unsigned port);
/* A listening, non-blocking socket at a, where the port is written if any was
   wanted. 0 or an errno. */
int address_listen(struct address *a, int *fd);

#endif
