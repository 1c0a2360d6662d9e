/*
 * Guest memory: a slot of KVM's for each window. KVM knows whole pages only;
 * what of a window is no whole page is reached by exits, like a device. Reads
 * of a read-only window are the guest's own, writes come here as exits.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "engine/kvm/kvm.h"
#include "lodge/host.h"

int kvm_memory_open(struct kvm_vm *k, struct err *e)
{
    k->slots = host_alloc(k->host.max_slots * sizeof k->slots[0]);
    return k->slots ? 0 : err_set(e, LE_NOMEM, "no memory for the kvm engine");
}

void kvm_memory_close(struct kvm_vm *k)
{
    for (unsigned n = 0; k->slots && n < k->host.max_slots; n++)
        host_free(k->slots[n].wrote);
    host_free(k->slots);
    k->slots = NULL;
}

/* The whole pages of w; false: there are none. */
static bool whole_pages(const struct window *w, struct window *out)
{
    uint64_t skip = align_up(w->base, PAGE_SIZE) - w->base;

    *out = *w;
    if (w->size < skip || ((uintptr_t)(w->ram + skip) & (PAGE_SIZE - 1)))
        return false;
    out->base += skip;
    out->ram += skip;
    out->size = (w->size - skip) & PAGE_MASK;
    return out->size != 0;
}

static int tell(struct kvm_vm *k, unsigned n, bool there)
{
    const struct kvm_slot *s = &k->slots[n];
    struct kvm_userspace_memory_region r = {
        .slot = n,
        .flags = (s->w.readonly ? KVM_MEM_READONLY : 0) |
                 (s->logging ? KVM_MEM_LOG_DIRTY_PAGES : 0),
        .guest_phys_addr = s->w.base,
        .memory_size = there ? s->w.size : 0,
        .userspace_addr = (uintptr_t)s->w.ram,
    };

    return kvm_do(k->fd, KVM_SET_USER_MEMORY_REGION, &r) < 0 ? -LE_IO : 0;
}

static struct kvm_slot *find(struct kvm_vm *k, const struct window *w)
{
    for (unsigned n = 0; n < k->host.max_slots; n++) {
        struct kvm_slot *s = &k->slots[n];

        if (s->used && s->w.base == w->base && s->w.size == w->size)
            return s;
    }
    return NULL;
}

static int add(struct kvm_vm *k, const struct window *w)
{
    unsigned n = 0;

    while (n < k->host.max_slots && k->slots[n].used)
        n++;
    if (n == k->host.max_slots)
        return -LE_NOSPACE;
    k->slots[n] = (struct kvm_slot){.used = true, .w = *w};
    if (!tell(k, n, true))
        return 0;
    k->slots[n].used = false;
    return -LE_IO;
}

int kvm_map(struct vm *vm, const struct window *w)
{
    struct kvm_vm *k = kvm_vm_of(vm);
    struct window pages;
    int rc;

    if (!whole_pages(w, &pages))
        return 0;
    host_mutex_lock(&k->lock);
    rc = add(k, &pages);
    atomic_fetch_add(&k->map_generation, 1);
    host_mutex_unlock(&k->lock);
    return rc;
}

void kvm_unmap(struct vm *vm, const struct window *w)
{
    struct kvm_vm *k = kvm_vm_of(vm);
    struct window pages;
    struct kvm_slot *s;

    if (!whole_pages(w, &pages))
        return;
    host_mutex_lock(&k->lock);
    s = find(k, &pages);
    if (s) {
        tell(k, (unsigned)(s - k->slots), false);
        host_free(s->wrote);
        *s = (struct kvm_slot){0};
    }
    atomic_fetch_add(&k->map_generation, 1);
    host_mutex_unlock(&k->lock);
}

/* --- dirty pages: the guest's by KVM, the devices' by kvm_wrote() --- */

static size_t bitmap_words(const struct kvm_slot *s)
{
    return (size_t)((s->w.size / PAGE_SIZE + 63) / 64);
}

static void note_written(struct kvm_slot *s, gpa_t a, size_t n)
{
    uint64_t first, last;

    if (!s->logging || a >= s->w.base + s->w.size || a + n <= s->w.base)
        return;
    first = (MAX(a, s->w.base) - s->w.base) / PAGE_SIZE;
    last = (MIN(a + n, s->w.base + s->w.size) - 1 - s->w.base) / PAGE_SIZE;
    for (uint64_t p = first; p <= last; p++)
        s->wrote[p / 64] |= 1ull << p % 64;
}

void kvm_wrote(struct vm *vm, gpa_t a, size_t n)
{
    struct kvm_vm *k = kvm_vm_of(vm);

    if (!atomic_load(&k->logging) || !n)
        return;
    host_mutex_lock(&k->lock);
    for (unsigned i = 0; i < k->host.max_slots; i++)
        note_written(&k->slots[i], a, n);
    host_mutex_unlock(&k->lock);
}

/* From here on: until now every page may have been written. */
static int start_logging(struct kvm_vm *k, struct kvm_slot *s)
{
    s->wrote = host_alloc(bitmap_words(s) * 8);
    if (!s->wrote)
        return -LE_NOMEM;
    s->logging = true;
    atomic_store(&k->logging, true);
    return tell(k, (unsigned)(s - k->slots), true);
}

static int read_log(struct kvm_vm *k, struct kvm_slot *s, uint64_t *bitmap)
{
    struct kvm_dirty_log log = {.slot = (unsigned)(s - k->slots),
                                .dirty_bitmap = bitmap};

    if (kvm_do(k->fd, KVM_GET_DIRTY_LOG, &log) < 0)
        return -LE_IO;
    for (size_t n = 0; n < bitmap_words(s); n++)
        bitmap[n] |= s->wrote[n];
    memset(s->wrote, 0, bitmap_words(s) * 8);
    return 0;
}

int kvm_dirty(struct vm *vm, const struct window *w, uint64_t *bitmap)
{
    struct kvm_vm *k = kvm_vm_of(vm);
    struct window pages;
    struct kvm_slot *s;
    int rc = 0;

    if (!whole_pages(w, &pages) || pages.base != w->base ||
        pages.size != w->size)
        return -LE_UNSUPPORTED;
    host_mutex_lock(&k->lock);
    s = find(k, &pages);
    if (!s) {
        rc = -LE_STATE;
    } else if (s->w.readonly) {
        memset(bitmap, 0, bitmap_words(s) * 8);
    } else if (!s->logging) {
        rc = start_logging(k, s);
        memset(bitmap, 0xff, bitmap_words(s) * 8);
    } else {
        rc = read_log(k, s, bitmap);
    }
    host_mutex_unlock(&k->lock);
    return rc;
}
