/*
 * Stores kept back ("coalesced MMIO"): those to regions that say `late` the
 * kernel puts into a ring of the VM's, as long as there is room, and the vCPU
 * goes on. A picture in a planar mode of a VGA is some ten thousand of them.
 *
 * The kernel adds at `last`, we take at `first`, the machine lock held.
 */
#include "base/bits.h"
#include "base/endian.h"
#include "engine/kvm/kvm.h"
#include "lodge/host.h"

enum {
    ENTRIES = (PAGE_SIZE - sizeof(struct kvm_coalesced_mmio_ring)) /
              sizeof(struct kvm_coalesced_mmio)
};

/* Where it does not work out each store comes as an exit. */
void kvm_late(struct kvm_vm *k, struct region *r, bool there)
{
    struct kvm_coalesced_mmio_zone zone = {.addr = r->base,
                                           .size = (uint32_t)r->size};

    if (k->host.late_page <= 0 || r->size > UINT32_MAX)
        return;
    if (!there)
        kvm_settle(k->vm);
    kvm_do(k->fd,
           there ? KVM_REGISTER_COALESCED_MMIO : KVM_UNREGISTER_COALESCED_MMIO,
           &zone);
}

static bool settled(const struct kvm_coalesced_mmio_ring *ring)
{
    return __atomic_load_n(&ring->first, __ATOMIC_RELAXED) ==
           __atomic_load_n(&ring->last, __ATOMIC_ACQUIRE);
}

/* Across a page's end a store comes in pieces of any size. */
static void bring(struct vm *vm, const struct kvm_coalesced_mmio *s)
{
    unsigned all = MIN(s->len, sizeof s->data);
    unsigned n = is_power_of_two(all) ? all : 1;

    for (unsigned at = 0; at < all; at += n)
        space_write_locked(vm_mem(vm), s->phys_addr + at,
                           load_le(s->data + at, n), n);
}

void kvm_settle(struct vm *vm)
{
    struct kvm_vm *k = kvm_vm_of(vm);
    struct kvm_coalesced_mmio_ring *ring = k->late;
    struct kvm_coalesced_mmio store;

    while (ring && !settled(ring)) {
        uint32_t n = ring->first % ENTRIES;

        store = ring->coalesced_mmio[n];
        __atomic_store_n(&ring->first, (n + 1) % ENTRIES, __ATOMIC_RELEASE);
        k->late_stores++;
        bring(vm, &store);
    }
}

void kvm_settle_all(struct kvm_vm *k)
{
    struct host_mutex *lock;

    if (!k->late || settled(k->late))
        return;
    lock = vm_vcpu(k->vm, 0)->lock;
    host_mutex_lock(lock);
    kvm_settle(k->vm);
    host_mutex_unlock(lock);
}
