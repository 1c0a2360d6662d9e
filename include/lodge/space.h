/*
 * An address space: guest-physical memory or I/O ports. Regions are mapped at
 * bases with priorities (higher wins where they overlap). Devices see offsets
 * into their region, never addresses; the core splits accesses to the
 * region's min..max bytes, little-endian.
 *
 * Calling thread: any. Device callbacks run with the machine lock held (the
 * space takes it, unless the caller says it holds it already: the _locked
 * variants). RAM is accessed without a lock. Mapping changes are made under
 * the machine lock and tell the engine through the space's listener.
 * Nothing mapped: reads give all ones, writes vanish.
 */
#ifndef LODGE_SPACE_H
#define LODGE_SPACE_H

#include "base/err.h"
#include "lodge/types.h"

struct region_ops {
    uint64_t (*read)(void *dev, uint64_t off, unsigned bytes);
    void (*write)(void *dev, uint64_t off, uint64_t v, unsigned bytes);
    uint8_t min, max; /* access sizes the device takes: 1, 2, 4, 8 */
};

struct region {
    const char *name;
    uint64_t size;                /* bytes */
    const struct region_ops *ops; /* NULL: RAM or ROM at ram */
    void *dev;                    /* passed to ops */
    uint8_t *ram;                 /* host address; borrowed */
    bool readonly;                /* ROM: guest writes are dropped */
    /* The rest is the space's. */
    struct space *space; /* where it is mapped, or NULL */
    gpa_t base;
    int priority;
};

/* A piece of guest RAM as host memory. */
struct span {
    uint8_t *p;
    size_t n;
};

struct space;

int space_map(struct space *s, gpa_t base, struct region *r, int priority);
void space_unmap(struct region *r);

/* One access of 1, 2, 4 or 8 bytes, as a CPU would make it. */
uint64_t space_read(struct space *s, gpa_t a, unsigned bytes);
void space_write(struct space *s, gpa_t a, uint64_t v, unsigned bytes);
uint64_t space_read_locked(struct space *s, gpa_t a, unsigned bytes);
void space_write_locked(struct space *s, gpa_t a, uint64_t v, unsigned bytes);

/*
 * DMA, by devices with the machine lock held. load and store go to RAM and
 * ROM; what is not RAM reads as all ones and ignores stores, and the return is
 * -LE_RANGE. store tells the engine that RAM changed.
 */
int space_load(struct space *s, gpa_t a, void *buf, size_t n);
int space_store(struct space *s, gpa_t a, const void *buf, size_t n);
/*
 * The longest piece of writable RAM at [a, a+n): 0, or -LE_RANGE when a is
 * not RAM. The span may be shorter than n; ask again for the rest. Whoever
 * writes through it calls space_wrote() afterwards.
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

#endif
