#include "host/char/stream.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    COLLECT_NS = 1000000, /* how long output is collected */
    FINISH_NS = 1000000000,
    PIECE = 4096, /* bytes a write: a pipe that is ready has room for them */
};

/* --- output --- */

/* Is there an end to write to, now or later? */
static bool has_sink(const struct stream *s)
{
    return s->sink || (s->out < 0 && !s->ops->hung_up);
}

static void drop_output(struct stream *s, size_t n)
{
    s->out_at = (s->out_at + n) % STREAM_OUT;
    s->out_len -= n;
}

/* The buffer's free space that is in one piece. */
static size_t append_piece(struct stream *s, const uint8_t *p, size_t n)
{
    size_t at = (s->out_at + s->out_len) % STREAM_OUT;
    size_t room = MIN(STREAM_OUT - s->out_len, STREAM_OUT - at);

    n = MIN(n, room);
    memcpy(s->to_host + at, p, n);
    s->out_len += n;
    return n;
}

static size_t append(struct stream *s, const uint8_t *p, size_t n)
{
    size_t done = append_piece(s, p, n);

    return done + append_piece(s, p + done, n - done);
}

/* Nobody is connected: the last bytes are kept, the oldest go. */
static size_t remember(struct stream *s, const uint8_t *p, size_t n)
{
    size_t skip = n > STREAM_OUT ? n - STREAM_OUT : 0, keep = n - skip;

    if (keep > STREAM_OUT - s->out_len)
        drop_output(s, keep - (STREAM_OUT - s->out_len));
    append(s, p + skip, keep);
    return n;
}

static void schedule_flush(struct stream *s)
{
    if (s->out_len >= STREAM_OUT / 2)
        watch_events(&s->writable, WATCH_OUT);
    else if (s->flush.deadline == UINT64_MAX && !s->writable.events)
        timer_arm(&s->flush, host_now() + COLLECT_NS);
}

static size_t stream_write(void *endpoint, const uint8_t *p, size_t n)
{
    struct stream *s = endpoint;
    size_t done;

    if (has_sink(s))
        return n;
    if (s->out < 0)
        return remember(s, p, n);
    done = append(s, p, n);
    s->device_waits = done < n;
    if (s->out_len)
        schedule_flush(s);
    return done;
}

static void tell_device(struct stream *s)
{
    if (!s->device_waits || s->out_len > STREAM_OUT / 2)
        return;
    s->device_waits = false;
    if (s->chr.writable)
        s->chr.writable(s->chr.dev);
}

static void hung_up(struct stream *s)
{
    if (s->ops->hung_up) {
        s->ops->hung_up(s);
        return;
    }
    s->sink = true;
    s->out_len = 0;
    watch_stop(&s->writable);
}

/* Sockets are asked not to wait, whoever shares them. */
static ssize_t write_some(int fd, const uint8_t *p, size_t n)
{
    ssize_t done = send(fd, p, n, MSG_DONTWAIT | MSG_NOSIGNAL);

    if (done < 0 && errno == ENOTSOCK)
        done = write(fd, p, n);
    return done;
}

/* Writes one piece. 0, or the errno it failed with. */
static int flush_piece(struct stream *s)
{
    size_t n = MIN(s->out_len, STREAM_OUT - s->out_at);
    ssize_t done = write_some(s->out, s->to_host + s->out_at, MIN(n, PIECE));

    if (done < 0)
        return errno;
    drop_output(s, (size_t)done);
    return 0;
}

static void flush_output(struct stream *s)
{
    int error;

    if (s->out < 0 || !s->out_len)
        return;
    error = flush_piece(s);
    if (error && error != EAGAIN && error != EINTR) {
        if (error != EPIPE && error != ECONNRESET)
            host_log(LOG_WARN, "console output is lost: %s", strerror(error));
        hung_up(s);
    } else
        watch_events(&s->writable, s->out_len ? WATCH_OUT : 0);
    tell_device(s);
}

static void on_flush_timer(void *ctx)
{
    flush_output(ctx);
}

static void on_writable(void *ctx, uint32_t ready)
{
    (void)ready;
    flush_output(ctx);
}

void stream_print(struct stream *s, const char *text)
{
    append(s, (const uint8_t *)text, strlen(text));
    if (s->out >= 0)
        schedule_flush(s);
}

/* --- input --- */

static void want_input(struct stream *s)
{
    bool room = s->in_len < STREAM_IN || s->ops->read_always;

    watch_events(&s->readable, room ? WATCH_IN : 0);
}

/*
 * Offers what waits. The device may call resume() from within, so once more
 * when it did.
 */
static void offer(struct stream *s)
{
    size_t taken;

    if (s->offering)
        return;
    s->offering = true;
    while (s->in_len && s->chr.receive) {
        taken = s->chr.receive(s->chr.dev, s->to_dev, s->in_len);
        if (!taken)
            break;
        s->in_len -= taken;
        memmove(s->to_dev, s->to_dev + taken, s->in_len);
    }
    s->offering = false;
    want_input(s);
}

static void stream_resume(void *endpoint)
{
    offer(endpoint);
}

static void accept_input(struct stream *s, uint8_t *p, size_t n)
{
    if (s->ops->filter)
        n = s->ops->filter(s, p, n);
    n = MIN(n, STREAM_IN - s->in_len);
    memcpy(s->to_dev + s->in_len, p, n);
    s->in_len += n;
    offer(s);
}

static void on_readable(void *ctx, uint32_t ready)
{
    struct stream *s = ctx;
    uint8_t buf[STREAM_IN];
    size_t room = STREAM_IN - s->in_len;
    ssize_t n;

    (void)ready;
    if (s->ops->read_always && !room)
        room = STREAM_IN;
    n = read(s->in, buf, room);
    if (n > 0)
        accept_input(s, buf, (size_t)n);
    else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
        watch_stop(&s->readable); /* its end, or it is gone */
        if (s->ops->hung_up)
            s->ops->hung_up(s);
    }
}

/* --- life --- */

void stream_init(struct stream *s, const struct stream_ops *ops,
                 const struct char_env *env)
{
    s->ops = ops;
    s->env = *env;
    s->in = s->out = -1;
    s->chr.write = stream_write;
    s->chr.resume = stream_resume;
    s->chr.endpoint = s;
    timer_init(&s->flush, env->loop, on_flush_timer, s);
}

int stream_connect(struct stream *s, int in, int out)
{
    int rc = 0;

    s->in = in;
    s->out = out;
    if (in >= 0)
        rc = watch_start(&s->readable, s->env.loop, in, 0, on_readable, s);
    if (out >= 0 && !rc)
        rc = watch_start(&s->writable, s->env.loop, out, 0, on_writable, s);
    if (rc) {
        stream_disconnect(s);
        return rc;
    }
    want_input(s);
    if (s->out_len)
        schedule_flush(s);
    return 0;
}

void stream_disconnect(struct stream *s)
{
    watch_stop(&s->readable);
    watch_stop(&s->writable);
    timer_cancel(&s->flush);
    if (s->in >= 0)
        close(s->in);
    if (s->out >= 0)
        close(s->out);
    s->in = s->out = -1;
}

void stream_finish(struct stream *s)
{
    uint64_t deadline = host_now() + FINISH_NS;

    host_mutex_lock(s->env.lock);
    watch_stop(&s->readable);
    while (s->out >= 0 && !s->sink && s->out_len && host_now() < deadline) {
        struct pollfd p = {.fd = s->out, .events = POLLOUT};

        if (poll(&p, 1, 50) > 0 && flush_piece(s) && errno != EAGAIN)
            break;
    }
    stream_disconnect(s);
    host_mutex_unlock(s->env.lock);
}
