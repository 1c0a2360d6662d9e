#include "vm/gdb/packet.h"

#include "base/libc.h"

enum { IDLE, DATA, SUM_HIGH, SUM_LOW };
enum { ESCAPE = '}', ESCAPE_BIT = 0x20, INTERRUPT = 3 };

static int digit(int c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

void gdb_link_reset(struct gdb_link *l)
{
    memset(l, 0, sizeof *l);
}

/* --- in --- */

static void begin(struct gdb_link *l)
{
    l->state = DATA;
    l->n = 0;
    l->sum = 0;
    l->escaped = l->too_long = false;
}

static enum gdb_event take_idle(struct gdb_link *l, uint8_t byte)
{
    if (byte == '$')
        begin(l);
    else if (byte == '-' && !l->no_ack)
        l->frame_at = 0; /* once more */
    return byte == INTERRUPT ? GDB_INTERRUPT : GDB_NOTHING;
}

static void take_data(struct gdb_link *l, uint8_t byte)
{
    if (byte == '$') { /* the one before was broken off */
        begin(l);
        return;
    }
    if (byte == '#') {
        l->state = SUM_HIGH;
        return;
    }
    l->sum += byte;
    if (byte == ESCAPE && !l->escaped) {
        l->escaped = true;
        return;
    }
    if (l->n == GDB_PACKET)
        l->too_long = true;
    else
        l->data[l->n++] = l->escaped ? byte ^ ESCAPE_BIT : byte;
    l->escaped = false;
}

static enum gdb_event finish(struct gdb_link *l, bool good)
{
    l->state = IDLE;
    if (!l->no_ack) {
        l->ack = true;
        l->ack_byte = good ? '+' : '-';
    }
    if (!good && !l->no_ack)
        return GDB_NOTHING;
    l->data[l->n] = 0;
    return l->too_long ? GDB_TOO_LONG : GDB_CAME;
}

enum gdb_event gdb_link_take(struct gdb_link *l, uint8_t byte)
{
    switch (l->state) {
    case IDLE: return take_idle(l, byte);
    case DATA: take_data(l, byte); return GDB_NOTHING;
    case SUM_HIGH:
        l->told = (uint8_t)((unsigned)digit(byte) << 4);
        l->bad = digit(byte) < 0;
        l->state = SUM_LOW;
        return GDB_NOTHING;
    default:
        return finish(l, !l->bad && digit(byte) >= 0 &&
                             (l->told | digit(byte)) == l->sum);
    }
}

/* --- out --- */

const uint8_t *gdb_link_out(const struct gdb_link *l, size_t *n)
{
    if (l->ack) {
        *n = 1;
        return &l->ack_byte;
    }
    *n = l->frame_n - l->frame_at;
    return *n ? l->frame + l->frame_at : NULL;
}

void gdb_link_sent(struct gdb_link *l, size_t n)
{
    if (l->ack)
        l->ack = false;
    else
        l->frame_at += n;
}

void gdb_link_send(struct gdb_link *l, const void *data, size_t n)
{
    static const char hex[] = "0123456789abcdef";
    const uint8_t *from = data;
    uint8_t *to = l->frame, sum = 0;

    *to++ = '$';
    for (size_t k = 0; k < n && k < GDB_PACKET; k++) {
        uint8_t byte = from[k];

        if (byte == '$' || byte == '#' || byte == '*' || byte == ESCAPE) {
            *to++ = ESCAPE;
            sum += ESCAPE;
            byte ^= ESCAPE_BIT;
        }
        *to++ = byte;
        sum += byte;
    }
    *to++ = '#';
    *to++ = (uint8_t)hex[sum >> 4];
    *to++ = (uint8_t)hex[sum & 15];
    l->frame_n = (size_t)(to - l->frame);
    l->frame_at = 0;
}

/* --- texts --- */

void gdb_put(struct gdb_text *t, const void *bytes, size_t n)
{
    if (n > t->size - t->n) {
        t->full = true;
        return;
    }
    memcpy(t->p + t->n, bytes, n);
    t->n += n;
}

void gdb_print(struct gdb_text *t, const char *format, ...)
{
    char line[256];
    va_list args;
    int n;

    va_start(args, format);
    n = vsnprintf(line, sizeof line, format, args);
    va_end(args);
    if (n < 0 || (size_t)n >= sizeof line)
        t->full = true;
    else
        gdb_put(t, line, (size_t)n);
}

void gdb_put_hex(struct gdb_text *t, const void *bytes, size_t n)
{
    const uint8_t *from = bytes;

    for (size_t k = 0; k < n; k++)
        gdb_print(t, "%02x", from[k]);
}

bool gdb_word(struct gdb_words *w, const char *word)
{
    size_t n = strlen(word);

    if ((size_t)(w->end - w->p) < n || memcmp(w->p, word, n))
        return false;
    w->p += n;
    return true;
}

bool gdb_number(struct gdb_words *w, uint64_t *v)
{
    const char *from = w->p;

    *v = 0;
    for (; w->p < w->end && digit(*w->p) >= 0; w->p++) {
        if (*v >> 60)
            return false;
        *v = *v << 4 | (unsigned)digit(*w->p);
    }
    return w->p != from;
}

size_t gdb_bytes(struct gdb_words *w, uint8_t *to, size_t max)
{
    size_t n = 0;

    for (; n < max && w->end - w->p >= 2; n++, w->p += 2) {
        int high = digit(w->p[0]), low = digit(w->p[1]);

        if (high < 0 || low < 0)
            break;
        to[n] = (uint8_t)(high << 4 | low);
    }
    return n;
}
