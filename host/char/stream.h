/*
 * What endpoints on file descriptors share: buffers between the device, which
 * must never wait, and the host, which may make one wait.
 *
 * Output is collected for a moment before it is written, because guests print
 * byte by byte. A full buffer makes the device busy; it hears writable() when
 * half of it is free. Input that the device does not take waits, and when the
 * buffer is full we stop reading.
 */
#ifndef HOST_CHAR_STREAM_H
#define HOST_CHAR_STREAM_H

#include "host/char/char.h"
#include "host/posix/loop.h"

enum { STREAM_OUT = 16384, STREAM_IN = 4096 };

struct stream;

struct stream_ops {
    /* Looks at n bytes just read; leaves in p what the device is to get and
       returns how many. NULL: all. */
    size_t (*filter)(struct stream *s, uint8_t *p, size_t n);
    /* Read on when the device has no room and the buffer is full, dropping
       what comes; for the filter's sake. */
    bool read_always;
    /* The other end closed (input at its end, or nobody reads output any
       more). NULL: input stops, output vanishes. */
    void (*hung_up)(struct stream *s);
    /* A client with that socket, which is s's from now on; false: s has one
       already. Lock held. NULL: s takes none. */
    bool (*join)(struct stream *s, int fd);
    void (*close)(struct stream *s); /* frees s */
};

struct stream {
    struct chardev chr; /* first */
    const struct stream_ops *ops;
    struct char_env env;
    int in, out; /* -1: none now */
    struct watch readable, writable;
    struct timer flush;
    bool sink; /* output vanishes */
    bool device_waits;
    bool offering;

    uint8_t to_host[STREAM_OUT];
    size_t out_at, out_len;
    uint8_t to_dev[STREAM_IN];
    size_t in_len;
};

/* s is zeroed. */
void stream_init(struct stream *s, const struct stream_ops *ops,
                 const struct char_env *env);
/* Begins with descriptors (non-blocking where they can block; owned by s from
   now on), either -1. Lock held, or the loop not running. */
int stream_connect(struct stream *s, int in, int out);
/* Stops and closes them. Likewise. */
void stream_disconnect(struct stream *s);
/* Text of our own, as far as there is room. Lock held. */
void stream_print(struct stream *s, const char *text);
/* Takes the lock, writes out what is left for at most a second, disconnects. */
void stream_finish(struct stream *s);

#endif
