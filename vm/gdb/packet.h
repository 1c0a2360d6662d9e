/*
 * Packets of GDB's remote serial protocol ("Debugging with GDB", appendix
 * "Remote Protocol", Overview): $data#checksum, with } before bytes that mean
 * something else; + and - acknowledge, until that is agreed away. What comes
 * in is hostile: everything has its bound.
 */
#ifndef VM_GDB_PACKET_H
#define VM_GDB_PACKET_H

#include "base/compiler.h"

enum {
    GDB_PACKET = 0x4000,            /* bytes of data, unescaped */
    GDB_FRAME = 2 * GDB_PACKET + 4, /* of a packet on the wire */
};

enum gdb_event {
    GDB_NOTHING,
    GDB_CAME,      /* a packet: data, n */
    GDB_TOO_LONG,  /* one came that does not fit */
    GDB_INTERRUPT, /* byte 3 outside of packets: Ctrl-C */
};

struct gdb_link {
    /* In. data ends with a zero byte that n does not count. */
    uint8_t data[GDB_PACKET + 1];
    size_t n;
    uint8_t state, sum, told;
    bool escaped, too_long, bad;
    bool no_ack;
    /* Out: an acknowledgement, and the packet sent last or being sent. */
    bool ack;
    uint8_t ack_byte;
    uint8_t frame[GDB_FRAME];
    size_t frame_n, frame_at;
};

void gdb_link_reset(struct gdb_link *l);
/*
 * One byte; not while there is something to send, so that nobody can make us
 * keep more. After GDB_CAME data is the caller's until the next call.
 */
enum gdb_event gdb_link_take(struct gdb_link *l, uint8_t byte);
/* What is to be sent; NULL: nothing. Of it n bytes have been sent. */
const uint8_t *gdb_link_out(const struct gdb_link *l, size_t *n);
void gdb_link_sent(struct gdb_link *l, size_t n);
/* A packet of at most GDB_PACKET bytes, instead of the one sent last. */
void gdb_link_send(struct gdb_link *l, const void *data, size_t n);

/* --- texts: what packets are made of, and read --- */

struct gdb_text {
    char *p;
    size_t n, size;
    bool full; /* something did not fit, and was left out */
};
void gdb_put(struct gdb_text *t, const void *bytes, size_t n);
void gdb_print(struct gdb_text *t, const char *format, ...) PRINTF(2, 3);
/* Bytes as hexadecimal digits, two each. */
void gdb_put_hex(struct gdb_text *t, const void *bytes, size_t n);

/* What has not been read yet of a packet. */
struct gdb_words {
    const char *p, *end;
};
/* Reads word, if it is what comes. */
bool gdb_word(struct gdb_words *w, const char *word);
/* Hexadecimal digits; false: there is none, or it has more than 64 bits. */
bool gdb_number(struct gdb_words *w, uint64_t *v);
/* Pairs of digits, at most max bytes of them, as long as there are. */
size_t gdb_bytes(struct gdb_words *w, uint8_t *to, size_t max);
static inline bool gdb_at_end(const struct gdb_words *w)
{
    return w->p == w->end;
}

#endif
