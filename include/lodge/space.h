/*
 * An address space: guest-physical memory or I/O ports. Regions are mapped at
 * bases with priorities (higher wins where they overlap). Devices see offsets
 * into their region, never addresses; the core splits accesses to the
 * region's min..max bytes, little-endian.
 *
 * Calling thread: any. Device callbacks run with the machine lock held (the
 * space takes it, unless the caller says it holds it already: the _locked
 * variants). RAM is accessed without a lock. Mapping changes are made under
 * the machine lock and tell the engine through the space's listener; they may
 * come from inside a device callback. Nothing mapped: reads give all ones,
 * writes vanish.
 *
 * How an access meets a device: the region at the first byte gets all of it
 * that lies inside that region, even where a small region of higher priority
 * covers later bytes (ports 0xcf8 and 0xcf9 need this); the rest is decoded
 * again. It is cut into naturally aligned pieces (by offset) of at most max
 * bytes, lowest first. A piece below min becomes one aligned access of min:
 * a read drops what was not asked for, a write puts back what it read.
 * Accesses to RAM that are aligned are single-copy atomic.
 */
#ifndef LODGE_SPACE_H
#define LODGE_SPACE_H

#include "base/err.h"
#include "base/span.h"
#include "lodge/types.h"

struct region_ops {
    uint64_t (*read)(void *dev, uint64_t off, unsigned bytes);
    void (*write)(void *dev, uint64_t off, uint64_t v, unsigned bytes);
    uint8_t min, max; /* access sizes the device takes: 1, 2, 4, 8 */
};

/*
 * Stores that only say that there is something to do: `count` offsets from
 * first on, step apart. What is stored does not matter and the guest expects
 * no answer, so an engine may note them without stopping its vCPU: then
 * ops->write comes a little later, on another thread, the lock held, with
 * `bytes` bytes of 0, once for several of them.
 */
struct region_bells {
    uint64_t first;
    uint32_t step, count;
    uint8_t bytes;
};

struct region {
    const char *name;
    uint64_t size;                /* bytes; a multiple of ops->min */
    const struct region_ops *ops; /* NULL: RAM or ROM at ram */
    void *dev;                    /* passed to ops */
    /* Host address; borrowed, and never freed while a vCPU may run: engines
       drop their translations of an unmapped window a little later. */
    uint8_t *ram;
    bool readonly; /* ROM: writes go to ops->write, or nowhere without ops */
    /* The rest is the space's. */
    struct space *space; /* where it is mapped, or NULL */
    gpa_t base;
    int priority;
    struct region_bells bells; /* the owner's; count 0: none */
    bool late; /* the owner's: stores may come late, see space_settle() */
};

struct space;
struct host_mutex;

/*
 * A space of `size` bytes (0: all 2^64) whose device callbacks run under lock
 * (borrowed; NULL: the caller is single-threaded). Up to 65,536 bytes it gets
 * a direct table, as I/O ports want. NULL when the host has no memory.
 * Destroying it needs every user gone; regions still mapped are not touched.
 */
struct space *space_create(uint64_t size, struct host_mutex *lock);
void space_destroy(struct space *s);

/*
 * With the machine lock held (not from inside a lock-free read). Among equal
 * priorities the region mapped last wins. -LE_STATE: r is mapped already;
 * -LE_RANGE: outside the space, or empty; -LE_USAGE: ops with other sizes
 * than 1, 2, 4, 8; -LE_NOMEM. Unmapping what is not mapped does nothing.
 */
int space_map(struct space *s, gpa_t base, struct region *r, int priority);
void space_unmap(struct region *r);

/* One access of 1, 2, 4 or 8 bytes, as a CPU would make it. */
uint64_t space_read(struct space *s, gpa_t a, unsigned bytes);
void space_write(struct space *s, gpa_t a, uint64_t v, unsigned bytes);
uint64_t space_read_locked(struct space *s, gpa_t a, unsigned bytes);
void space_write_locked(struct space *s, gpa_t a, uint64_t v, unsigned bytes);

/*
 * A vCPU's stores to a `late` region may be kept back by its engine, which
 * brings them in their order before any other access of a vCPU to a device and
 * before the machine stands still. The region's owner calls this before it
 * looks, other than in an access, at what they make. Machine lock held.
 */
void space_settle(struct space *s);

/*
 * DMA, by devices; any thread. load reads RAM and ROM, store writes RAM; the
 * other bytes read as all ones and ignore stores, and the return is -LE_RANGE.
 * store tells the engine that RAM changed.
 */
int space_load(struct space *s, gpa_t a, void *buf, size_t n);
int space_store(struct space *s, gpa_t a, const void *buf, size_t n);
/*
 * Guest RAM as host memory: the longest piece of writable RAM at [a, a+n): 0,
 * or -LE_RANGE when a is not RAM. The span may be shorter than n; ask again for
 * the rest. Whoever writes through it calls space_wrote() afterwards.
 */
int space_span(struct space *s, gpa_t a, size_t n, struct span *ram);
void space_wrote(struct space *s, gpa_t a, size_t n);

/*
 * Flat view, for engines: the RAM or ROM window that holds a. Windows never
 * overlap; what is in none goes to space_read/space_write.
 */
struct window {
    gpa_t base;
    uint64_t size;
    uint8_t *ram;
    bool readonly; /* reads from ram, writes through space_write (dropped) */
};
bool space_window(struct space *s, gpa_t a, struct window *out);

/*
 * Who hears of changes; vm/ passes them to the engine. map, unmap and changed
 * run inside space_map/space_unmap: first every unmap, then every map, then
 * changed once. Installing a listener maps all present windows to it. wrote
 * runs on any thread.
 */
struct space_listener {
    void (*map)(void *ctx, const struct window *w);
    void (*unmap)(void *ctx, const struct window *w);
    void (*changed)(void *ctx);
    void (*wrote)(void *ctx, gpa_t a, size_t n);
    void *ctx;
    /* A region with bells or late stores came, or is about to go; or NULL. */
    void (*bells)(void *ctx, struct region *r, bool there);
    void (*settle)(void *ctx); /* of space_settle(); or NULL */
};
void space_listen(struct space *s, const struct space_listener *l);

#endif
