/*
 * What Lodge needs of the system below it: time, threads, sleep and wake,
 * memory, entropy, a log. host/ implements these for POSIX; a bare-metal
 * build brings its own. Nothing here shows an operating-system type.
 *
 * Units: nanoseconds since an arbitrary start for host_now(), which goes on
 * while the host is suspended (guests expect their clock right afterwards).
 */
#ifndef LODGE_HOST_H
#define LODGE_HOST_H

#include "base/err.h"
#include "base/list.h"

/* --- time (any thread) --- */
#define NS_PER_SEC 1000000000ull
uint64_t host_now(void);      /* monotonic, ns */
int64_t host_wall_now(void);  /* ns since 1970-01-01 UTC */

/* --- mutual exclusion (any thread; not recursive) --- */
struct host_mutex {
    _Alignas(16) unsigned char opaque[64];
};
void host_mutex_init(struct host_mutex *m);
void host_mutex_destroy(struct host_mutex *m);
void host_mutex_lock(struct host_mutex *m);
void host_mutex_unlock(struct host_mutex *m);

/*
 * An event a single thread sleeps on. A signal before the wait is remembered
 * (once), so no wake-up is lost. wait returns true when signalled, false when
 * the deadline (host_now() scale, UINT64_MAX: none) has passed.
 */
struct host_event {
    _Alignas(16) unsigned char opaque[128];
};
void host_event_init(struct host_event *e);
void host_event_destroy(struct host_event *e);
void host_event_signal(struct host_event *e);
bool host_event_wait(struct host_event *e, uint64_t deadline);

/* --- threads --- */
struct host_thread; /* owned by the starter until joined */
struct host_thread *host_thread_start(const char *name, void (*fn)(void *),
                                      void *arg);
void host_thread_join(struct host_thread *t);
/* Lets other threads have this core, if any want it. */
void host_yield(void);

/*
 * --- the I/O loop of a VM ---
 * One thread runs it. Timer and work functions run on that thread with the
 * loop's lock (the machine lock, given at creation) held. Arming, cancelling
 * and posting may be done from any thread, with or without the lock.
 */
struct loop;

/*
 * A loop whose callbacks run under lock (borrowed); NULL when the host has no
 * memory or descriptors left. start begins its thread: 0 or -LE_NOMEM. What is
 * armed or posted before waits for it. destroy stops and joins the thread (so
 * never from a callback, nor under the lock); timers, works and watches that
 * are still queued are forgotten.
 */
struct loop *loop_create(struct host_mutex *lock);
int loop_start(struct loop *l);
void loop_destroy(struct loop *l);

struct timer {
    void (*fn)(void *ctx);
    void *ctx;
    struct loop *loop;
    uint64_t deadline; /* host_now() scale; UINT64_MAX: not armed */
    /* A pairing heap, the loop's: eldest child, next sibling, and the
       previous sibling or (for the eldest) the parent. */
    struct timer *child, *next, *prev;
};
void timer_init(struct timer *t, struct loop *loop, void (*fn)(void *),
                void *ctx);
void timer_arm(struct timer *t, uint64_t deadline);
void timer_cancel(struct timer *t); /* after it returns under the lock, fn
                                       will not run until armed again */

struct work {
    void (*fn)(void *ctx);
    void *ctx;
    struct list link; /* the loop's */
    bool queued;
};
void work_init(struct work *w, void (*fn)(void *), void *ctx);
void loop_post(struct loop *l, struct work *w); /* no-op if already queued */
/* After it returns under the lock, fn will not run until posted again. */
void work_cancel(struct loop *l, struct work *w);

/* --- memory --- */
/* Zeroed, lazily populated, page-aligned; NULL when the host has none. */
void *host_ram_alloc(size_t bytes);
/* Of huge pages that the host has set aside, a multiple of HOST_HUGE_PAGE and
   all of them ours from now on; NULL when there are not enough. */
enum { HOST_HUGE_PAGE = 2 << 20 };
void *host_ram_alloc_huge(size_t bytes);
void host_ram_free(void *p, size_t bytes);
uint64_t host_ram_total(void); /* bytes the host has in all */
/* Zeroed heap memory on 64-byte boundaries, for attach and load time; NULL
   when there is none. */
void *host_alloc(size_t bytes);
void host_free(void *p);

/*
 * Code memory under W^X: the same bytes mapped twice, rw for writing and rx
 * for execution. len is rounded up to pages. 0 or -LE_NOMEM.
 */
struct host_code {
    uint8_t *rw;
    const uint8_t *rx;
    size_t len;
};
int host_code_alloc(struct host_code *code, size_t len);
void host_code_free(struct host_code *code);

/* --- entropy --- */
void host_random(void *buf, size_t n); /* cryptographic quality; never fails */

/* --- files needed at boot: firmware, kernel, initrd (any thread) --- */
/*
 * Reads a whole file of 1 to limit bytes. On success *data holds *n bytes,
 * to be freed by host_file_free; on an error e names the file and the cause.
 */
int host_file_read(const char *path, uint64_t limit, void **data, size_t *n,
                   struct err *e);
void host_file_free(void *data, size_t n);
/*
 * Likewise, for large files that are only looked at: the bytes are the file's
 * own, so nothing is copied, and whoever overwrites the file changes them.
 * idle: not needed for a while; their memory goes back to the host until they
 * are read again.
 */
int host_file_map(const char *path, uint64_t limit, const void **data,
                  size_t *n, struct err *e);
void host_file_idle(const void *data, size_t n);

/*
 * Compressed data: the formats of kernel images and initrds. PACK_LZ4 is
 * either framing, LZ4's own or the legacy one that kernels use.
 */
enum host_pack {
    PACK_NONE, PACK_GZIP, PACK_XZ, PACK_LZMA, PACK_BZIP2, PACK_LZ4, PACK_ZSTD,
};
/* The format whose magic number in begins with; PACK_NONE: none of them. */
enum host_pack host_pack_probe(const void *in, size_t n);
/*
 * Unpacks in to out, at most cap bytes; *len is how many there were. What
 * follows the end of the compressed stream is ignored. -LE_RANGE: does not fit
 * in cap; -LE_FORMAT: damaged; -LE_UNSUPPORTED: this build lacks the library.
 */
int host_unpack(enum host_pack format, const void *in, size_t n, void *out,
                size_t cap, size_t *len, struct err *e);

/* --- log (any thread) --- */
enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG, LOG_TRACE };
void host_log(enum log_level level, const char *format, ...) PRINTF(2, 3);

/*
 * What a guest does wrong is logged at a bounded rate: at most about ten
 * lines a second per ratelimit, then one line saying how many were left out.
 */
struct ratelimit {
    uint64_t window_start;
    uint32_t count, dropped;
};
void log_guest(struct ratelimit *r, const char *format, ...) PRINTF(2, 3);

#endif
