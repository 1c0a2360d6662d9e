#include "engine/code_pages.h"

/* Two levels, so that only covered gigabytes take (lazily used) memory. */
enum {
    CHUNK_SHIFT = 30,
    CHUNK_PAGES = 1 << (CHUNK_SHIFT - PAGE_SHIFT),
    CHUNKS = 1 << 12, /* 4 TB of guest-physical addresses */
};

struct cpu_seen {
    _Atomic uint64_t sequence; /* UINT64_MAX: not in run() */
};

struct code_pages {
    struct vm *vm;
    unsigned ncpus;
    _Atomic uint32_t sequence;
    struct cpu_seen *seen; /* ncpus */
    struct code_page *chunk[CHUNKS];
};

struct code_pages *code_pages_new(struct vm *vm)
{
    struct code_pages *p = host_alloc(sizeof *p);

    if (!p)
        return NULL;
    p->vm = vm;
    p->ncpus = vm_ncpus(vm);
    p->seen = host_alloc(p->ncpus * sizeof *p->seen);
    if (!p->seen) {
        host_free(p);
        return NULL;
    }
    for (unsigned n = 0; n < p->ncpus; n++)
        p->seen[n].sequence = UINT64_MAX;
    return p;
}

void code_pages_free(struct code_pages *p)
{
    if (!p)
        return;
    for (unsigned n = 0; n < CHUNKS; n++)
        if (p->chunk[n])
            host_ram_free(p->chunk[n], CHUNK_PAGES * sizeof *p->chunk[n]);
    host_free(p->seen);
    host_free(p);
}

int code_pages_cover(struct code_pages *p, gpa_t base, uint64_t size)
{
    uint64_t first = base >> CHUNK_SHIFT;
    uint64_t last = (base + size - 1) >> CHUNK_SHIFT;

    for (uint64_t n = first; n <= last && n < CHUNKS; n++) {
        if (p->chunk[n])
            continue;
        p->chunk[n] = host_ram_alloc(CHUNK_PAGES * sizeof *p->chunk[n]);
        if (!p->chunk[n])
            return -LE_NOMEM;
    }
    return 0;
}

struct code_page *code_pages_at(struct code_pages *p, gpa_t a)
{
    uint64_t n = a >> CHUNK_SHIFT;

    if (n >= CHUNKS || !p->chunk[n])
        return NULL;
    return &p->chunk[n][(a >> PAGE_SHIFT) & (CHUNK_PAGES - 1)];
}

static uint64_t granule_mask(gpa_t a, unsigned n)
{
    unsigned first = (a & ~PAGE_MASK) >> 6;
    unsigned last = ((a & ~PAGE_MASK) + n - 1) >> 6;

    return (~0ull << first) & (~0ull >> (63 - last));
}

bool code_pages_claim(struct code_pages *p, struct code_page *page,
                      struct vcpu *self, gpa_t a, unsigned n)
{
    uint64_t mask = granule_mask(a, n);

    if ((atomic_load_explicit(&page->granules, memory_order_relaxed) & mask) ==
        mask)
        return false;
    if (atomic_load(&page->granules)) {
        atomic_fetch_or(&page->granules, mask);
        return false;
    }
    /* The first code on this page: unsettled before it can be seen. */
    atomic_store(&page->sequence, atomic_fetch_add(&p->sequence, 1) + 1);
    atomic_fetch_or(&page->granules, mask);
    for (unsigned id = 0; id < p->ncpus; id++)
        if (id != self->id && atomic_load(&p->seen[id].sequence) != UINT64_MAX)
            vcpu_raise(vm_vcpu(p->vm, id), VCPU_PRIV);
    return true;
}

bool code_pages_settled(struct code_pages *p, const struct code_page *page,
                        struct vcpu *self)
{
    uint32_t need = atomic_load(&page->sequence);

    for (unsigned id = 0; id < p->ncpus; id++) {
        uint64_t seen = atomic_load(&p->seen[id].sequence);

        if (id != self->id && seen != UINT64_MAX &&
            (int32_t)((uint32_t)seen - need) < 0)
            return false;
    }
    return true;
}

bool code_pages_hold(struct code_pages *p, gpa_t a, unsigned n)
{
    struct code_page *page = code_pages_at(p, a);

    return page && (atomic_load(&page->granules) & granule_mask(a, n));
}

bool code_pages_written(struct code_pages *p, gpa_t a, size_t n)
{
    bool hit = false;

    /* Bytes were stored before; decoders claim before they read. */
    atomic_thread_fence(memory_order_seq_cst);
    while (n) {
        size_t left = PAGE_SIZE - (a & ~PAGE_MASK);
        unsigned piece = (unsigned)MIN(n, left);
        struct code_page *page = code_pages_at(p, a);

        if (page && (atomic_load(&page->granules) & granule_mask(a, piece))) {
            atomic_store(&page->granules, 0);
            atomic_fetch_add(&page->generation, 1);
            hit = true;
        }
        a += piece;
        n -= piece;
    }
    return hit;
}

void code_pages_enter(struct code_pages *p, struct vcpu *self)
{
    atomic_store(&p->seen[self->id].sequence,
                 (uint64_t)atomic_load(&p->sequence));
}

void code_pages_leave(struct code_pages *p, struct vcpu *self)
{
    atomic_store(&p->seen[self->id].sequence, UINT64_MAX);
}

void code_pages_flush_vcpus(struct code_pages *p)
{
    for (unsigned id = 0; id < p->ncpus; id++)
        vcpu_raise(vm_vcpu(p->vm, id), VCPU_FLUSH);
}
