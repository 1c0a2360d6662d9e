/*
 * Address spaces (lodge/space.h).
 *
 * Mapped regions are flattened into an array of disjoint runs, rebuilt at each
 * change under the machine lock; device accesses, which take that lock anyway,
 * search it. vCPU threads look up RAM without a lock, in a "view": a copy of
 * the RAM runs only. Views live in a ring and are reused, never freed before
 * the space is; each has a sequence number that is odd while it is rewritten,
 * so that a reader who slept through a whole round notices and tries again.
 * So memory is bounded however often a guest moves its BARs, and readers write
 * nothing that they share.
 */
#include <stdatomic.h>

#include "base/bits.h"
#include "base/checked.h"
#include "base/endian.h"
#include "lodge/host.h"
#include "lodge/space.h"

enum { VIEWS = 4, PORTS = 65536 };

/* A run of addresses that one region answers. */
struct run {
    uint64_t first, last; /* inclusive: a space may reach 2^64 - 1 */
    uint64_t off;         /* of first in the region */
    struct region *r;
};

struct view_run {
    _Atomic uint64_t first, last;
    _Atomic uintptr_t ram;
    _Atomic bool readonly;
};

struct view {
    _Atomic uint64_t seq;
    _Atomic uint32_t n;
    uint32_t cap;
    struct view *retired; /* outgrown ones, kept for readers that sleep */
    struct view_run run[];
};

struct space {
    struct host_mutex *lock;
    uint64_t last;

    /* Guarded by the lock. Regions by falling priority. */
    struct region **regions;
    unsigned nregions, cap_regions;
    struct run *flat, *old; /* 2 * cap_regions each */
    unsigned nflat, nold;
    uint16_t *ports; /* index in flat + 1, 0 for none; small spaces only */
    struct space_listener listener;

    /* Read by anyone. */
    _Atomic(struct view *) view;
    /* Written under the lock. */
    struct view *ring[VIEWS];
    unsigned next_view;
    struct view *retired;
};

static void space_lock(struct space *s)
{
    if (s->lock)
        host_mutex_lock(s->lock);
}

static void space_unlock(struct space *s)
{
    if (s->lock)
        host_mutex_unlock(s->lock);
}

/* --- the view: RAM, without a lock --- */

/*
 * Loads acquire and stores release throughout: so a reader's second look at
 * seq comes after its other loads, and a writer's odd seq before its stores.
 */
#define GET(field)    atomic_load_explicit(&(field), memory_order_acquire)
#define PUT(field, v) atomic_store_explicit(&(field), v, memory_order_release)

/* The run of v that holds a, or the next one above, or NULL. */
static struct view_run *view_search(struct view *v, gpa_t a)
{
    uint32_t lo = 0, hi = MIN(GET(v->n), v->cap), end = hi;

    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;

        if (GET(v->run[mid].last) < a)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo < end ? &v->run[lo] : NULL;
}

/*
 * The window that holds a: true. Else w->base is where the next one begins
 * (UINT64_MAX: nowhere).
 */
static bool find_ram(struct space *s, gpa_t a, struct window *w)
{
    struct view *v;
    struct view_run *r;
    uint64_t seq, last;

    do {
        v = GET(s->view);
        seq = GET(v->seq);
        r = view_search(v, a);
        w->base = UINT64_MAX;
        w->size = 0;
        last = 0;
        if (r) {
            w->base = GET(r->first);
            last = GET(r->last);
            w->ram = (uint8_t *)GET(r->ram);
            w->readonly = GET(r->readonly);
        }
    } while (unlikely((seq & 1) || GET(v->seq) != seq));
    if (!r)
        return false;
    w->size = last - w->base + 1;
    return w->base <= a;
}

static struct view *view_alloc(uint32_t cap)
{
    struct view *v = host_alloc(sizeof *v + cap * sizeof v->run[0]);

    if (v)
        v->cap = cap;
    return v;
}

/* Makes every view of the ring large enough for cap runs. */
static int views_reserve(struct space *s, uint32_t cap)
{
    for (unsigned i = 0; i < VIEWS; i++) {
        struct view *v = s->ring[i], *larger;

        if (v && v->cap >= cap)
            continue;
        larger = view_alloc(cap);
        if (!larger)
            return -LE_NOMEM;
        if (v) {
            v->retired = s->retired;
            s->retired = v;
        }
        s->ring[i] = larger;
    }
    return 0;
}

static void view_publish(struct space *s)
{
    struct view *v = s->ring[s->next_view];
    uint64_t seq = GET(v->seq);
    uint32_t n = 0;

    PUT(v->seq, seq + 1);
    for (unsigned i = 0; i < s->nflat; i++) {
        const struct run *f = &s->flat[i];

        if (!f->r->ram)
            continue;
        PUT(v->run[n].first, f->first);
        PUT(v->run[n].last, f->last);
        PUT(v->run[n].ram, (uintptr_t)(f->r->ram + f->off));
        PUT(v->run[n].readonly, f->r->readonly);
        n++;
    }
    PUT(v->n, n);
    PUT(v->seq, seq + 2);
    PUT(s->view, v);
    s->next_view = (s->next_view + 1) % VIEWS;
}

bool space_window(struct space *s, gpa_t a, struct window *out)
{
    return find_ram(s, a, out);
}

/* --- mapping --- */

/* Puts [first, last] of r into flat before index i. */
static void flat_insert(struct space *s, unsigned i, struct region *r,
                        uint64_t first, uint64_t last)
{
    memmove(&s->flat[i + 1], &s->flat[i], (s->nflat - i) * sizeof s->flat[0]);
    s->flat[i] = (struct run){first, last, first - r->base, r};
    s->nflat++;
}

/* Adds what of r is not covered yet. */
static void flat_add(struct space *s, struct region *r)
{
    uint64_t at = r->base, end = r->base + (r->size - 1);
    unsigned i = 0;

    while (i < s->nflat && s->flat[i].last < at)
        i++;
    for (;; i++) {
        uint64_t gap_end = end;

        if (i < s->nflat && s->flat[i].first <= at) {
            if (s->flat[i].last >= end)
                return;
            at = s->flat[i].last + 1;
            continue;
        }
        if (i < s->nflat && s->flat[i].first <= end)
            gap_end = s->flat[i].first - 1;
        flat_insert(s, i, r, at, gap_end);
        if (gap_end == end)
            return;
        at = gap_end + 1;
    }
}

static void fill_ports(struct space *s)
{
    memset(s->ports, 0, PORTS * sizeof s->ports[0]);
    for (unsigned i = 0; i < s->nflat; i++)
        for (uint64_t p = s->flat[i].first; p <= s->flat[i].last; p++)
            s->ports[p] = (uint16_t)(i + 1);
}

static struct window run_window(const struct run *f)
{
    return (struct window){f->first, f->last - f->first + 1, f->r->ram + f->off,
                           f->r->readonly};
}

static bool same_window(const struct run *a, const struct run *b)
{
    return a->first == b->first && a->last == b->last && a->r == b->r;
}

/*
 * Calls fn for each window of a that is not in b. Both are sorted. A region
 * does not change while it is mapped, so the same region at the same place is
 * the same window.
 */
static bool windows_missing(const struct run *a, unsigned na,
                            const struct run *b, unsigned nb,
                            void (*fn)(void *, const struct window *),
                            void *ctx)
{
    bool any = false;
    unsigned j = 0;

    for (unsigned i = 0; i < na; i++) {
        struct window w;

        if (!a[i].r->ram)
            continue;
        while (j < nb && b[j].first < a[i].first)
            j++;
        if (j < nb && same_window(&a[i], &b[j]))
            continue;
        any = true;
        w = run_window(&a[i]);
        if (fn)
            fn(ctx, &w);
    }
    return any;
}

static void rebuild(struct space *s)
{
    const struct space_listener *l = &s->listener;
    struct run *t = s->old;
    bool gone, come;

    s->old = s->flat;
    s->nold = s->nflat;
    s->flat = t;
    s->nflat = 0;
    for (unsigned i = 0; i < s->nregions; i++)
        flat_add(s, s->regions[i]);
    if (s->ports)
        fill_ports(s);

    gone =
        windows_missing(s->old, s->nold, s->flat, s->nflat, l->unmap, l->ctx);
    come = windows_missing(s->flat, s->nflat, s->old, s->nold, NULL, NULL);
    if (!gone && !come)
        return;
    view_publish(s);
    windows_missing(s->flat, s->nflat, s->old, s->nold, l->map, l->ctx);
    if (l->changed)
        l->changed(l->ctx);
}

/* Room for one more region; with n of them there are at most 2n - 1 runs. */
static int reserve(struct space *s)
{
    unsigned cap = s->cap_regions ? 2 * s->cap_regions : 32;
    struct region **regions;
    struct run *flat, *old;

    if (s->nregions < s->cap_regions)
        return 0;
    regions = host_alloc(cap * sizeof *regions);
    flat = host_alloc(2 * cap * sizeof *flat);
    old = host_alloc(2 * cap * sizeof *old);
    if (!regions || !flat || !old || views_reserve(s, 2 * cap)) {
        host_free(regions);
        host_free(flat);
        host_free(old);
        return -LE_NOMEM;
    }
    if (s->cap_regions) {
        memcpy(regions, s->regions, s->nregions * sizeof *regions);
        memcpy(flat, s->flat, s->nflat * sizeof *flat);
    }
    host_free(s->regions);
    host_free(s->flat);
    host_free(s->old);
    s->regions = regions;
    s->flat = flat;
    s->old = old;
    s->cap_regions = cap;
    return 0;
}

static bool sizes_ok(const struct region *r)
{
    const struct region_ops *o = r->ops;

    if (!o)
        return r->ram != NULL;
    return is_power_of_two(o->min) && is_power_of_two(o->max) && o->max <= 8 &&
           o->min <= o->max && r->size % o->min == 0 &&
           (!r->ram || r->readonly);
}

static void tell_bells(struct space *s, struct region *r, bool there)
{
    if ((r->bells.count || r->late) && s->listener.bells)
        s->listener.bells(s->listener.ctx, r, there);
}

int space_map(struct space *s, gpa_t base, struct region *r, int priority)
{
    uint64_t last;
    unsigned at = 0;
    int rc;

    if (r->space)
        return -LE_STATE;
    if (!r->size || !add_ok(base, r->size - 1, &last) || last > s->last)
        return -LE_RANGE;
    if (!sizes_ok(r))
        return -LE_USAGE;
    rc = reserve(s);
    if (rc)
        return rc;
    r->space = s;
    r->base = base;
    r->priority = priority;
    while (at < s->nregions && s->regions[at]->priority > priority)
        at++;
    memmove(&s->regions[at + 1], &s->regions[at],
            (s->nregions - at) * sizeof s->regions[0]);
    s->regions[at] = r;
    s->nregions++;
    rebuild(s);
    tell_bells(s, r, true);
    return 0;
}

void space_unmap(struct region *r)
{
    struct space *s = r->space;
    unsigned at = 0;

    if (!s)
        return;
    tell_bells(s, r, false);
    while (s->regions[at] != r)
        at++;
    s->nregions--;
    memmove(&s->regions[at], &s->regions[at + 1],
            (s->nregions - at) * sizeof s->regions[0]);
    rebuild(s);
    r->space = NULL;
}

void space_listen(struct space *s, const struct space_listener *l)
{
    s->listener = *l;
    windows_missing(s->flat, s->nflat, NULL, 0, l->map, l->ctx);
}

struct space *space_create(uint64_t size, struct host_mutex *lock)
{
    struct space *s = host_alloc(sizeof *s);

    if (!s)
        return NULL;
    s->lock = lock;
    s->last = size - 1; /* 0 means 2^64 */
    if (s->last < PORTS)
        s->ports = host_alloc(PORTS * sizeof s->ports[0]);
    if ((s->last < PORTS && !s->ports) || reserve(s)) {
        space_destroy(s);
        return NULL;
    }
    view_publish(s);
    return s;
}

void space_destroy(struct space *s)
{
    if (!s)
        return;
    for (unsigned i = 0; i < VIEWS; i++)
        host_free(s->ring[i]);
    while (s->retired) {
        struct view *v = s->retired;

        s->retired = v->retired;
        host_free(v);
    }
    host_free(s->regions);
    host_free(s->flat);
    host_free(s->old);
    host_free(s->ports);
    host_free(s);
}

/* --- accesses of a CPU --- */

/* The run that holds a, or NULL. Lock held; void after the next callback. */
static const struct run *find_run(const struct space *s, gpa_t a)
{
    unsigned lo = 0, hi = s->nflat;

    if (a > s->last)
        return NULL;
    if (s->ports)
        return s->ports[a] ? &s->flat[s->ports[a] - 1] : NULL;
    while (lo < hi) {
        unsigned mid = lo + (hi - lo) / 2;

        if (s->flat[mid].last < a)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo < s->nflat && s->flat[lo].first <= a ? &s->flat[lo] : NULL;
}

static uint64_t ram_read(const uint8_t *p, unsigned n)
{
    uint64_t v = 0;

    if (((uintptr_t)p & (n - 1)) == 0) {
        switch (n) {
        case 1: return __atomic_load_n(p, __ATOMIC_RELAXED);
        case 2: return __atomic_load_n((const uint16_t *)p, __ATOMIC_RELAXED);
        case 4: return __atomic_load_n((const uint32_t *)p, __ATOMIC_RELAXED);
        case 8: return __atomic_load_n((const uint64_t *)p, __ATOMIC_RELAXED);
        }
    }
    for (unsigned i = 0; i < n; i++)
        v |= (uint64_t)p[i] << 8 * i;
    return v;
}

static void ram_write(uint8_t *p, uint64_t v, unsigned n)
{
    if (((uintptr_t)p & (n - 1)) == 0) {
        switch (n) {
        case 1: __atomic_store_n(p, (uint8_t)v, __ATOMIC_RELAXED); return;
        case 2:
            __atomic_store_n((uint16_t *)p, (uint16_t)v, __ATOMIC_RELAXED);
            return;
        case 4:
            __atomic_store_n((uint32_t *)p, (uint32_t)v, __ATOMIC_RELAXED);
            return;
        case 8: __atomic_store_n((uint64_t *)p, v, __ATOMIC_RELAXED); return;
        }
    }
    for (unsigned i = 0; i < n; i++)
        p[i] = (uint8_t)(v >> 8 * i);
}

/*
 * The next piece of an access of n bytes at off: its size in *piece, and the
 * aligned access of *unit bytes at the returned offset that carries it.
 */
static uint64_t next_piece(const struct region_ops *o, uint64_t off, unsigned n,
                           unsigned *piece, unsigned *unit)
{
    unsigned size = o->max;
    uint64_t at;

    while (size > 1 && (size > n || (off & (size - 1))))
        size /= 2;
    if (size >= o->min) {
        *piece = *unit = size;
        return off;
    }
    at = align_down(off, o->min);
    *unit = o->min;
    *piece = MIN(n, (unsigned)(at + o->min - off));
    return at;
}

static uint64_t dev_read(struct region *r, uint64_t off, unsigned n)
{
    uint64_t v = 0;

    for (unsigned i = 0, piece; i < n; i += piece) {
        unsigned unit;
        uint64_t at = next_piece(r->ops, off + i, n - i, &piece, &unit), x;

        x = r->ops->read ? r->ops->read(r->dev, at, unit) : ~0ull;
        x = x >> 8 * (off + i - at) & mask_low(8 * piece);
        v |= x << 8 * i;
    }
    return v;
}

static void dev_write(struct region *r, uint64_t off, uint64_t v, unsigned n)
{
    if (!r->ops || !r->ops->write)
        return;
    for (unsigned i = 0, piece; i < n; i += piece) {
        unsigned unit, shift;
        uint64_t at = next_piece(r->ops, off + i, n - i, &piece, &unit);
        uint64_t x = v >> 8 * i & mask_low(8 * piece), old = 0;

        if (piece < unit) {
            shift = 8 * (unsigned)(off + i - at);
            if (r->ops->read)
                old = r->ops->read(r->dev, at, unit);
            x = x << shift | (old & ~(mask_low(8 * piece) << shift));
            x &= mask_low(8 * unit);
        }
        r->ops->write(r->dev, at, x, unit);
    }
}

/* How many of n bytes at offset off in f go to it as one access. */
static unsigned share(const struct run *f, gpa_t a, unsigned n, bool ram)
{
    uint64_t rest =
        ram ? f->last - a : f->r->size - 1 - (f->off + a - f->first);

    return rest < n ? (unsigned)rest + 1 : n;
}

uint64_t space_read_locked(struct space *s, gpa_t a, unsigned bytes)
{
    uint64_t v = 0;

    for (unsigned i = 0, n; i < bytes; i += n) {
        const struct run *f = a + i < a ? NULL : find_run(s, a + i);
        uint64_t x = 0xff, off;

        n = 1;
        if (f) {
            n = share(f, a + i, bytes - i, f->r->ram != NULL);
            off = f->off + (a + i - f->first);
            x = f->r->ram ? ram_read(f->r->ram + off, n)
                          : dev_read(f->r, off, n);
        }
        v |= x << 8 * i;
    }
    return v;
}

void space_write_locked(struct space *s, gpa_t a, uint64_t v, unsigned bytes)
{
    for (unsigned i = 0, n; i < bytes; i += n) {
        const struct run *f = a + i < a ? NULL : find_run(s, a + i);
        uint64_t x = v >> 8 * i, off;
        bool ram;

        n = 1;
        if (!f)
            continue;
        ram = f->r->ram && !f->r->readonly;
        n = share(f, a + i, bytes - i, f->r->ram != NULL);
        off = f->off + (a + i - f->first);
        if (ram) {
            ram_write(f->r->ram + off, x, n);
            space_wrote(s, a + i, n);
        } else
            dev_write(f->r, off, x & mask_low(8 * n), n);
    }
}

static bool inside(const struct window *w, gpa_t a, unsigned n)
{
    return range_ok(a - w->base, n, w->size);
}

uint64_t space_read(struct space *s, gpa_t a, unsigned bytes)
{
    struct window w;
    uint64_t v;

    if (find_ram(s, a, &w) && inside(&w, a, bytes))
        return ram_read(w.ram + (a - w.base), bytes);
    space_lock(s);
    v = space_read_locked(s, a, bytes);
    space_unlock(s);
    return v;
}

void space_write(struct space *s, gpa_t a, uint64_t v, unsigned bytes)
{
    struct window w;

    if (find_ram(s, a, &w) && !w.readonly && inside(&w, a, bytes)) {
        ram_write(w.ram + (a - w.base), v, bytes);
        space_wrote(s, a, bytes);
        return;
    }
    space_lock(s);
    space_write_locked(s, a, v, bytes);
    space_unlock(s);
}

void space_settle(struct space *s)
{
    if (s->listener.settle)
        s->listener.settle(s->listener.ctx);
}

/* --- DMA --- */

void space_wrote(struct space *s, gpa_t a, size_t n)
{
    if (s->listener.wrote)
        s->listener.wrote(s->listener.ctx, a, n);
}

/*
 * The next stretch of at most n bytes at a that is all one window or all none:
 * returns its length, and in *p where it is in RAM or ROM (NULL: it is not).
 */
static size_t stretch(struct space *s, gpa_t a, size_t n, uint8_t **p,
                      bool *readonly)
{
    struct window w;
    uint64_t len;

    *p = NULL;
    *readonly = true;
    if (find_ram(s, a, &w)) {
        *p = w.ram + (a - w.base);
        *readonly = w.readonly;
        len = w.size - (a - w.base);
    } else
        len = w.base - a;
    return (size_t)MIN(len, n);
}

/* Bytes from a to the end of all addresses, at most n. */
static size_t addressable(gpa_t a, size_t n)
{
    return a && n > 0 - a ? (size_t)(0 - a) : n;
}

int space_load(struct space *s, gpa_t a, void *buf, size_t n)
{
    size_t reach = addressable(a, n), len;
    uint8_t *to = buf, *p;
    bool readonly;
    int rc = reach < n ? -LE_RANGE : 0;

    for (size_t i = 0; i < reach; i += len) {
        len = stretch(s, a + i, reach - i, &p, &readonly);
        if (!len) { /* the very last byte of all, and nothing there */
            reach = i;
            rc = -LE_RANGE;
        } else if (p)
            memcpy(to + i, p, len);
        else {
            memset(to + i, 0xff, len);
            rc = -LE_RANGE;
        }
    }
    memset(to + reach, 0xff, n - reach);
    return rc;
}

int space_store(struct space *s, gpa_t a, const void *buf, size_t n)
{
    size_t reach = addressable(a, n), len;
    const uint8_t *from = buf;
    uint8_t *p;
    bool readonly;
    int rc = reach < n ? -LE_RANGE : 0;

    for (size_t i = 0; i < reach; i += len) {
        len = stretch(s, a + i, reach - i, &p, &readonly);
        if (!len)
            return -LE_RANGE;
        if (p && !readonly) {
            memcpy(p, from + i, len);
            space_wrote(s, a + i, len);
        } else
            rc = -LE_RANGE;
    }
    return rc;
}

int space_span(struct space *s, gpa_t a, size_t n, struct span *ram)
{
    bool readonly;

    ram->n = stretch(s, a, addressable(a, n), &ram->p, &readonly);
    return ram->p && !readonly ? 0 : -LE_RANGE;
}
