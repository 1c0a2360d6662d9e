/* Where a VNC server listens, and what it asks of who connects. */
#ifndef HOST_UI_VNC_ADDRESS_H
#define HOST_UI_VNC_ADDRESS_H

#include "host/posix/address.h"

struct vnc_address {
    struct address at;
    bool any_port; /* the first free one from 5900 on */
};

enum { VNC_PASSWORD_MAX = 8, VNC_PORT = 5900, VNC_PORTS = 100 };

/* "", "ADDR:PORT", "[ADDR6]:PORT", "ADDR", ":PORT"; numbers or "localhost". */
int vnc_address(const char *text, struct vnc_address *out, struct err *e);
/* A listening, non-blocking socket; *port is where. */
int vnc_listen(const struct vnc_address *a, int *fd, unsigned *port,
               struct err *e);
/* The first line of a file that others cannot read: 1 to 8 characters. */
int vnc_password(const char *path, char to[VNC_PASSWORD_MAX + 1],
                 struct err *e);

#endif
